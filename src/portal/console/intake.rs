//! A new request: one call, or several examples of the same campaign, each of which becomes a case.
//!
//! What was typed stays typed until all of it was taken. Examples that were taken are said with their case and do not stand in the form again, so that
//! sending it once more does not hand them in twice.

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use minijinja::value::{Serde, merge_maps};
use minijinja::{Value, context};
use serde::{Deserialize, Serialize};

use super::posted::Fields;
use super::{Answer, Console, Posted, Trouble, Visitor, done};
use crate::portal::docket::{DocketError, Handed, Problem, Submitted};
use crate::portal::word::Role;

/// Calls of one form: a few examples tell a campaign from chance; more come by the API.
const MOST_ROWS: usize = 20;
/// Rows of an empty form.
const ROWS: usize = 1;
/// Who hands requests in.
const ROLES: &[Role] = &[Role::Requester, Role::Analyst];

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/requests/new", get(form).post(hand_in))
}

/// One example as it was typed.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct Row {
    called: String,
    calling: String,
    time: String,
    provider: String,
    duration_s: String,
    answered: String,
    sip_call_id: String,
    identity: String,
}

impl Row {
    fn read(fields: &Fields, n: usize) -> Self {
        let text = |name: &str| fields.text(&format!("{name}_{n}")).to_owned();
        Self {
            called: text("called"),
            calling: text("calling"),
            time: text("time"),
            provider: text("provider"),
            duration_s: text("duration_s"),
            answered: text("answered"),
            sip_call_id: text("sip_call_id"),
            identity: text("identity"),
        }
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What all examples have in common.
#[derive(Clone, Debug, Default, Serialize)]
struct Common {
    tz: String,
    campaign: String,
    priority: String,
    legal_basis: String,
    evidence: String,
}

/// Names of fields that stand in a row; those of others are common.
const OF_ROW: [&str; 8] = [
    "called",
    "calling",
    "time",
    "provider",
    "duration_s",
    "answered",
    "sip_call_id",
    "identity",
];

/// The form, with what is wrong with it.
#[derive(Debug, Default)]
struct Form {
    common: Common,
    rows: Vec<Row>,
    /// Of the whole form.
    problems: Vec<Problem>,
    /// Of each row.
    of_rows: Vec<Vec<Problem>>,
    /// Cases that were made.
    taken: Vec<Submitted>,
    /// Why a row was not taken, where no field is to blame.
    refused: Vec<(usize, String)>,
}

/// What a link to the form fills in: a call of a report that came unasked.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Known {
    called: String,
    calling: String,
    time: String,
    provider: String,
    campaign: String,
}

async fn form(
    State(console): State<Console>,
    visitor: Visitor,
    Query(known): Query<Known>,
) -> Answer {
    visitor.is(ROLES)?;
    let mut rows = vec![Row::default(); ROWS];
    if let Some(first) = rows.first_mut() {
        first.called = known.called;
        first.calling = known.calling;
        first.time = known.time;
        first.provider = known.provider;
    }
    let filled = Form {
        rows,
        common: Common {
            campaign: known.campaign,
            ..Common::default()
        },
        ..Form::default()
    };
    show(&console, &visitor, &filled).await
}

async fn show(console: &Console, visitor: &Visitor, form: &Form) -> Answer {
    let (offered, campaigns) = console
        .look(|docket, _| Ok((docket.offered()?, docket.campaign_names()?)))
        .await?;
    let settings = console.docket().settings();
    let none = Vec::new();
    let rows: Vec<Value> = form
        .rows
        .iter()
        .enumerate()
        .map(|(n, row)| {
            let problems = super::problems(form.of_rows.get(n).unwrap_or(&none));
            let refused = form
                .refused
                .iter()
                .find(|(at, _)| *at == n)
                .map(|(_, why)| why);
            context! { row => Serde(row), n => n + 1, problems, refused }
        })
        .collect();
    let data = context! {
        common => Serde(&form.common),
        problems => super::problems(&form.problems),
        rows,
        taken => Serde(&form.taken),
        wrong => form.problems.len() + form.of_rows.iter().map(Vec::len).sum::<usize>() + form.refused.len(),
        most => MOST_ROWS,
        fresh_days => settings.intake.fresh_days,
        oldest_days => settings.intake.oldest_days,
        per_day => settings.intake.per_day,
        at_once => settings.intake.open_at_once,
    };
    let more = context! { offered => Serde(offered), campaigns => Serde(campaigns) };
    console.page(visitor, "intake.html", merge_maps([data, more]))
}

async fn hand_in(State(console): State<Console>, posted: Posted) -> Answer {
    let Posted { visitor, fields } = posted;
    visitor.is(ROLES)?;
    let text = |name: &str| fields.text(name).to_owned();
    let common = Common {
        tz: text("tz"),
        campaign: text("campaign"),
        priority: text("priority"),
        legal_basis: text("legal_basis"),
        evidence: text("evidence"),
    };
    let mut rows: Vec<Row> = (1..=MOST_ROWS).map(|n| Row::read(&fields, n)).collect();
    let filled = rows
        .iter()
        .rposition(|r| !r.is_empty())
        .map_or(1, |last| last + 1);
    let shown = (1..=MOST_ROWS)
        .filter(|n| fields.is(&format!("called_{n}")))
        .count();
    rows.truncate(filled.max(shown).max(1));
    let mut form = Form {
        common,
        rows,
        ..Form::default()
    };
    if fields.is("more") {
        // Without script: the form comes back with another row.
        if form.rows.len() < MOST_ROWS {
            form.rows.push(Row::default());
        }
        return show(&console, &visitor, &form).await;
    }
    form.rows.retain(|row| !row.is_empty());
    if form.rows.is_empty() {
        form.rows.push(Row::default());
    }
    let form = submit(&console, &visitor, form).await?;
    if form.rows.is_empty() {
        let to = match &form.taken[..] {
            [only] => format!("/cases/{}", only.case),
            _ => "/cases".to_owned(),
        };
        return Ok(done(&to, "handed-in"));
    }
    let page = show(&console, &visitor, &form).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

/// Hands each row in; those that were taken leave the form.
async fn submit(console: &Console, visitor: &Visitor, form: Form) -> Result<Form, Trouble> {
    let actor = visitor.actor();
    console
        .look(move |docket, now| {
            let mut out = Form {
                common: form.common,
                ..Form::default()
            };
            for row in form.rows {
                let place = out.rows.len();
                let outcome = match handed(&out.common, &row) {
                    Ok(handed) => docket.submit(&actor, &handed, now),
                    Err(problems) => Err(DocketError::Wrong(problems)),
                };
                match outcome {
                    Ok(submitted) => out.taken.push(submitted),
                    Err(DocketError::Wrong(problems)) => {
                        let (own, common): (Vec<_>, Vec<_>) = problems
                            .into_iter()
                            .partition(|p| OF_ROW.contains(&p.field));
                        for problem in common {
                            if !out.problems.contains(&problem) {
                                out.problems.push(problem);
                            }
                        }
                        out.of_rows.push(own);
                        out.rows.push(row);
                    }
                    Err(DocketError::Refused(why)) => {
                        out.refused.push((place, why));
                        out.of_rows.push(Vec::new());
                        out.rows.push(row);
                    }
                    Err(DocketError::TooMany { what, .. }) => {
                        out.refused.push((place, what));
                        out.of_rows.push(Vec::new());
                        out.rows.push(row);
                    }
                    Err(e) => return Err(e),
                }
            }
            Ok(out)
        })
        .await
}

/// A row as the docket takes it.
fn handed(common: &Common, row: &Row) -> Result<Handed, Vec<Problem>> {
    let duration_s = match &*row.duration_s {
        "" => None,
        text => Some(text.parse().map_err(|_| {
            vec![Problem {
                field: "duration_s",
                wanted: "a number of seconds".to_owned(),
            }]
        })?),
    };
    Ok(Handed {
        called: row.called.clone(),
        calling: row.calling.clone(),
        time: row.time.clone(),
        tz: common.tz.clone(),
        answered: match &*row.answered {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        },
        duration_s,
        sip_call_id: row.sip_call_id.clone(),
        identity: row.identity.clone(),
        provider: row.provider.clone(),
        priority: common.priority.clone(),
        legal_basis: common.legal_basis.clone(),
        campaign: common.campaign.clone(),
        evidence: common.evidence.clone(),
        ..Handed::default()
    })
}
