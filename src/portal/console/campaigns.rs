//! Campaigns, and reports that providers sent unasked.

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Deserialize;

use super::page::problems;
use super::posted::Fields;
use super::{Answer, Console, Posted, Trouble, Visitor, done};
use crate::base::Timestamp;
use crate::portal::docket::CampaignForm;
use crate::portal::word::{Category, Role};

/// Who sees campaigns and reports; analysts change them.
const ROLES: &[Role] = &[Role::Analyst, Role::Auditor];
/// Lines of a page.
const LINES: usize = 50;
/// Campaigns that a form offers: the latest.
const OFFERED: usize = 200;

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/campaigns", get(list).post(make))
        .route("/campaigns/{id}", get(page).post(edit))
        .route("/campaigns/{id}/merge", post(merge))
        .route("/reports", get(reports))
        .route("/reports/{provider}/{key}", get(report).post(file))
}

/// Where a page begins.
#[derive(Debug, Default, Deserialize)]
struct From {
    before: Option<i64>,
    at: Option<i64>,
    key: Option<String>,
    all: Option<String>,
}

fn categories() -> Vec<(&'static str, String)> {
    let all = Category::ALL.iter();
    all.map(|c| (c.label(), c.label().replace('-', " ")))
        .collect()
}

async fn list(
    State(console): State<Console>,
    visitor: Visitor,
    Query(from): Query<From>,
) -> Answer {
    visitor.is(ROLES)?;
    listed(&console, &visitor, from.before, context! {}, context! {}).await
}

/// The list, with a form for one more.
async fn listed(
    console: &Console,
    visitor: &Visitor,
    before: Option<i64>,
    typed: Value,
    problems: Value,
) -> Answer {
    let lines = console
        .look(move |docket, _| docket.campaign_lines(before, LINES))
        .await?;
    let next = lines.last().filter(|_| lines.len() == LINES).map(|l| l.id);
    let data = context! {
        lines => Serde(&lines),
        next,
        before,
        typed,
        problems,
        categories => categories(),
    };
    console.page(visitor, "campaigns.html", data)
}

fn form(fields: &Fields) -> CampaignForm {
    CampaignForm {
        name: fields.text("name").to_owned(),
        category: fields.text("category").to_owned(),
        summary: fields.text("summary").to_owned(),
    }
}

fn typed(form: &CampaignForm) -> Value {
    context! { name => &form.name, category => &form.category, summary => &form.summary }
}

async fn make(State(console): State<Console>, posted: Posted) -> Answer {
    let Posted { visitor, fields } = posted;
    visitor.is(&[Role::Analyst])?;
    let (actor, form) = (visitor.user().actor(), form(&fields));
    let wanted = form.clone();
    let made = console
        .look(move |docket, now| docket.make_campaign(&actor, &wanted, now))
        .await;
    match made {
        Ok(id) => Ok(done(&format!("/campaigns/{id}"), "campaign-made")),
        Err(trouble) => {
            let wrong = problems(&trouble.problems()?);
            let page = listed(&console, &visitor, None, typed(&form), wrong).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

async fn page(State(console): State<Console>, visitor: Visitor, Path(id): Path<i64>) -> Answer {
    visitor.is(ROLES)?;
    shown(&console, &visitor, id, None, context! {}).await
}

async fn shown(
    console: &Console,
    visitor: &Visitor,
    id: i64,
    typed: Option<Value>,
    problems: Value,
) -> Answer {
    let (page, others) = console
        .look(move |docket, _| {
            let page = docket.campaign_page(id)?;
            Ok((page, docket.campaign_lines(None, OFFERED)?))
        })
        .await?;
    let line = &page.line;
    let others = others.iter().filter(|o| o.id != id);
    let others: Vec<_> = others.map(|o| (o.id.to_string(), o.name.clone())).collect();
    let as_is = context! { name => &line.name, category => line.category.label(), summary => &line.summary };
    let data = context! {
        page => Serde(&page),
        bars => super::chart::bars(page.origins.iter().map(|o| o.cases)),
        others,
        typed => typed.unwrap_or(as_is),
        problems,
        categories => categories(),
        may_edit => visitor.user().role == Role::Analyst,
    };
    console.page(visitor, "campaign.html", data)
}

async fn edit(State(console): State<Console>, Path(id): Path<i64>, posted: Posted) -> Answer {
    let Posted { visitor, fields } = posted;
    visitor.is(&[Role::Analyst])?;
    let (actor, form) = (visitor.user().actor(), form(&fields));
    let wanted = form.clone();
    let changed = console
        .look(move |docket, now| docket.edit_campaign(&actor, id, &wanted, now))
        .await;
    match changed {
        Ok(()) => Ok(done(&format!("/campaigns/{id}"), "campaign-changed")),
        Err(trouble) => {
            let wrong = problems(&trouble.problems()?);
            let page = shown(&console, &visitor, id, Some(typed(&form)), wrong).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

async fn merge(State(console): State<Console>, Path(id): Path<i64>, posted: Posted) -> Answer {
    let Posted { visitor, fields } = posted;
    visitor.is(&[Role::Analyst])?;
    let into: i64 = fields
        .text("into")
        .parse()
        .map_err(|_| Trouble::absent("campaign"))?;
    let actor = visitor.user().actor();
    console
        .look(move |docket, now| docket.merge_campaigns(&actor, id, into, now))
        .await?;
    Ok(done(&format!("/campaigns/{into}"), "campaigns-merged"))
}

async fn reports(
    State(console): State<Console>,
    visitor: Visitor,
    Query(from): Query<From>,
) -> Answer {
    visitor.is(ROLES)?;
    let only_new = from.all.is_none();
    let before = from.at.map(Timestamp::from_nanos).zip(from.key);
    let lines = console
        .look(move |docket, _| {
            let before = before.as_ref().map(|(at, key)| (*at, &**key));
            docket.report_lines(only_new, before, LINES)
        })
        .await?;
    let next = lines.last().filter(|_| lines.len() == LINES);
    let next = next.map(|l| (l.received.nanos(), l.key.clone()));
    let data = context! { lines => Serde(&lines), only_new, next };
    console.page(&visitor, "reports.html", data)
}

async fn report(
    State(console): State<Console>,
    visitor: Visitor,
    Path((provider, key)): Path<(String, String)>,
) -> Answer {
    visitor.is(ROLES)?;
    let (report, campaigns) = console
        .look(move |docket, _| {
            let report = docket.report_page(&provider, &key)?;
            Ok((report, docket.campaign_lines(None, OFFERED)?))
        })
        .await?;
    let mut offered = vec![(
        String::new(),
        "in none: looked at, and put aside".to_owned(),
    )];
    offered.extend(campaigns.iter().map(|c| (c.id.to_string(), c.name.clone())));
    let said = &report.said;
    let text = |of: &serde_json::Value, name: &str| match of.get(name) {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(serde_json::Value::Number(n)) => n.to_string(),
        _ => String::new(),
    };
    let none = serde_json::Value::Null;
    let campaign = said.get("campaign").unwrap_or(&none);
    let upstream = said.get("upstream").unwrap_or(&none);
    let examples = said.get("examples").and_then(|e| e.as_array());
    let examples: Vec<_> = examples
        .into_iter()
        .flatten()
        .take(LINES)
        .map(|e| context! { at => text(e, "at"), called => text(e, "called"), calling => text(e, "calling") })
        .collect();
    let facts: Vec<(&str, String)> = [
        ("Leading flag", text(campaign, "flag")),
        ("Calls", text(campaign, "calls")),
        ("First", text(campaign, "first")),
        ("Last", text(campaign, "last")),
        ("State", text(campaign, "state")),
        ("Upstream named", text(upstream, "name")),
        ("Its id here", text(upstream, "portal_id")),
        ("Its country", text(upstream, "country")),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .collect();
    let data = context! {
        report => Serde(&report),
        facts,
        examples,
        offered,
        problems => context! {},
        may_edit => visitor.user().role == Role::Analyst,
    };
    console.page(&visitor, "report.html", data)
}

async fn file(
    State(console): State<Console>,
    Path((provider, key)): Path<(String, String)>,
    posted: Posted,
) -> Answer {
    let Posted { visitor, fields } = posted;
    visitor.is(&[Role::Analyst])?;
    let campaign = match fields.some("campaign") {
        None => None,
        Some(id) => Some(id.parse().map_err(|_| Trouble::absent("campaign"))?),
    };
    let actor = visitor.user().actor();
    console
        .look(move |docket, now| docket.file_report(&actor, &provider, &key, campaign, now))
        .await?;
    Ok(done("/reports", "report-filed"))
}
