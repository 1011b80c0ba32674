//! The inbox of a provider's staff: its own questions, what its machine found, answers by hand. Nothing of any other hop.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Deserialize;
use serde_json::Value as Json;

use super::case::{MOST_UPLOAD, file_of};
use super::evidence::{facts, says};
use super::page::{moment, problems};
use super::posted::Fields;
use super::{Answer, Console, Posted, Trouble, Visitor, done};
use crate::base::Timestamp;
use crate::portal::docket::read::inbox::{InboxHop, InboxLine, InboxPart};
use crate::portal::docket::{Actor, ByHand, Decision, Named, Problem};
use crate::portal::word::Role;
use crate::traceback::answer::resolution::Names;
use crate::traceback::answer::{Party, Resolution};
use crate::web::client::escaped;

/// Lines of a page.
const LINES: usize = 50;

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/inbox", get(list))
        .route("/inbox/events", get(super::case::inbox_events))
        .route("/inbox/{hop}", get(page))
        .route("/inbox/{hop}/draft", post(decide))
        .route("/inbox/{hop}/answer", post(answer))
        .route("/inbox/{hop}/dispute", post(dispute))
        .route("/inbox/{hop}/stand-by", post(stand_by))
        .route(
            "/inbox/{hop}/files",
            post(attach).layer(DefaultBodyLimit::max(MOST_UPLOAD)),
        )
        .route("/inbox/{hop}/files/{id}", get(file))
}

/// Whose staff asks.
fn staff(visitor: &Visitor) -> Result<(String, Actor), Trouble> {
    visitor.is(&[Role::Provider])?;
    let provider = visitor.user().provider.as_deref();
    let provider = provider.ok_or_else(|| Trouble::absent("page"))?;
    Ok((provider.to_owned(), visitor.user().actor()))
}

#[derive(Debug, Default, Deserialize)]
struct Choice {
    part: Option<String>,
    after: Option<String>,
}

async fn list(
    State(console): State<Console>,
    visitor: Visitor,
    Query(choice): Query<Choice>,
) -> Answer {
    let (provider, _) = staff(&visitor)?;
    let past = choice.part.as_deref() == Some("past");
    let data = lines(&console, provider, past, choice.after).await?;
    console.page(&visitor, "inbox.html", data)
}

/// The open questions, as they come anew.
pub(super) async fn open_lines(console: &Console, visitor: &Visitor) -> Result<Value, Trouble> {
    let (provider, _) = staff(visitor)?;
    lines(console, provider, false, None).await
}

async fn lines(
    console: &Console,
    provider: String,
    past: bool,
    after: Option<String>,
) -> Result<Value, Trouble> {
    let part = if past {
        InboxPart::Past
    } else {
        InboxPart::Open
    };
    let first = after.is_none();
    let (lines, waiting) = console
        .look(move |docket, now| {
            let lines = docket.inbox(&provider, part, after.as_deref(), LINES)?;
            Ok((lines, docket.waiting(&provider, now)?))
        })
        .await?;
    let now = console.now();
    let next = lines.last().filter(|_| lines.len() == LINES);
    Ok(context! {
        next => next.map(|l| l.hop.clone()),
        lines => lines.iter().map(|l| line(l, now)).collect::<Vec<_>>(),
        waiting => Serde(waiting),
        past,
        first,
    })
}

/// A question, as templates have it.
fn line(l: &InboxLine, now: Timestamp) -> Value {
    let left = l.due.secs_since(now);
    let none = Json::Null;
    let call = l.request.get("call").unwrap_or(&none);
    let draft = l.draft.as_ref().map(|d| {
        context! {
            answer => &d.answer,
            says => says(d.resolution),
            named => d.named.as_ref().map(|n| n.name.clone()),
            sure => d.posterior.filter(|p| p.is_finite()).map(|p| format!("{:.2}", p * 100.0)),
            received => d.received.to_string(),
            decision => &d.decision,
            decided_by => &d.decided_by,
        }
    });
    context! {
        hop => &l.hop,
        state => l.state.label(),
        branch => l.branch.label(),
        priority => l.priority,
        issued => l.issued.to_string(),
        due => l.due.to_string(),
        left,
        overdue => left < 0.0,
        answered => l.answered.map(|a| a.to_string()),
        in_time => l.in_time,
        downstream => l.downstream.as_ref().map(|d| d.name.clone()),
        campaign => &l.campaign,
        says => l.resolution.map(says),
        named => l.named.as_ref().map(|n| n.name.clone()),
        called => text(call, "called"),
        calling => text(call, "calling"),
        time => call.get("time").map(|t| text(t, "rfc3339").or_else(|| text(t, "value"))),
        draft,
    }
}

/// A text of ours or another's, bounded for a page.
fn text(of: &Json, name: &str) -> Option<String> {
    let text = of.get(name)?.as_str()?;
    Some(text.chars().take(256).collect())
}

async fn page(State(console): State<Console>, visitor: Visitor, Path(hop): Path<String>) -> Answer {
    let (provider, _) = staff(&visitor)?;
    shown(&console, &visitor, provider, hop, context! {}, context! {}).await
}

async fn shown(
    console: &Console,
    visitor: &Visitor,
    provider: String,
    hop: String,
    typed: Value,
    problems: Value,
) -> Answer {
    let (hop, offered) = console
        .look(move |docket, _| {
            let hop = docket.inbox_hop(&provider, &hop)?;
            Ok((hop, docket.offered()?))
        })
        .await?;
    let InboxHop {
        line: l,
        draft,
        answers,
        attachments,
        named_by,
    } = &hop;
    let answers: Vec<_> = answers
        .iter()
        .map(|a| {
            context! {
                revision => a.revision,
                state => a.state.label(),
                way => a.way.label(),
                received => a.received.to_string(),
                says => says(a.resolution),
                facts => a.said.as_ref().map(facts).unwrap_or_default(),
                digest => &a.digest,
                wrong => &a.wrong,
                dispute => &a.dispute,
                disputed_by => &a.disputed_by,
            }
        })
        .collect();
    let finer: Vec<_> = Resolution::ALL
        .into_iter()
        .filter(|r| *r != Resolution::Pending)
        .map(|r| (r.label(), says(r)))
        .collect();
    let data = context! {
        hop => line(l, console.now()),
        question => question(&l.request),
        draft_facts => draft.as_ref().map(facts).unwrap_or_default(),
        answers,
        files => Serde(attachments),
        named_by => Serde(named_by),
        finer,
        offered,
        typed,
        problems,
    };
    console.page(visitor, "question.html", data)
}

/// What is asked, each with its name.
fn question(request: &Json) -> Vec<(&'static str, String)> {
    let none = Json::Null;
    let call = request.get("call").unwrap_or(&none);
    let time = call.get("time").unwrap_or(&none);
    let number = |of: &Json, name: &str| of.get(name).and_then(Json::as_f64);
    let yes = |of: &Json, name: &str| of.get(name).and_then(Json::as_bool);
    let at = text(time, "rfc3339").or_else(|| text(time, "value"));
    let at = at.map(|at| moment(&at));
    let at = at.map(|at| match number(time, "precision_s") {
        Some(p) => format!("{at}, ± {p} s"),
        None => at,
    });
    let campaign = request.get("campaign").unwrap_or(&none);
    [
        ("Called", text(call, "called")),
        ("Calling", text(call, "calling")),
        ("When", at),
        (
            "Answered",
            yes(call, "answered").map(|a| if a { "yes" } else { "no" }.to_owned()),
        ),
        (
            "Duration",
            number(call, "duration_s").map(|d| format!("{d} s")),
        ),
        ("Call-ID", text(call, "sip_call_id")),
        ("Session-ID", text(call, "session_id")),
        ("origid", text(call, "origid")),
        ("PASSporT, SHA-256", text(call, "identity_sha256")),
        ("Legal basis", text(request, "legal_basis")),
        ("Campaign", text(campaign, "name")),
        ("What it is about", text(campaign, "summary")),
        ("Remark", text(request, "remark")),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value.filter(|v| !v.is_empty())?)))
    .collect()
}

fn to(hop: &str) -> String {
    format!("/inbox/{}", escaped(hop))
}

async fn decide(State(console): State<Console>, Path(hop): Path<String>, posted: Posted) -> Answer {
    let Posted { visitor, fields } = posted;
    let (_, actor) = staff(&visitor)?;
    let why = fields.text("why").to_owned();
    let (decision, said) = match fields.text("decision") {
        "approve" => (Decision::Approve, "draft-approved"),
        "reject" => (Decision::Reject(why), "draft-rejected"),
        _ => return Err(Trouble::absent("decision")),
    };
    let answer = fields.text("answer").to_owned();
    let path = match fields.text("from") {
        "list" => "/inbox".to_owned(),
        _ => to(&hop),
    };
    console
        .look(move |docket, now| docket.decide_draft(&actor, &hop, &answer, &decision, now))
        .await?;
    Ok(done(&path, said))
}

/// The form as somebody filled it in. The finer choice counts before the four.
fn by_hand(fields: &Fields) -> Result<ByHand, (&'static str, &'static str)> {
    let finer = fields.some("finer").and_then(Resolution::from_label);
    let abroad = fields.is("abroad");
    let resolution = match (finer, fields.text("choice")) {
        (Some(finer), _) => finer,
        (None, "provider") if abroad => Resolution::UpstreamForeign,
        (None, "provider") => Resolution::UpstreamDomestic,
        (None, "origin") => Resolution::OriginEndCustomer,
        (None, "not-found") => Resolution::NotFound,
        _ => return Err(("choice", "one of the four, or a finer one below")),
    };
    let other = |name: &str, contact: &str, country: &str| {
        let named = fields.some(name)?;
        Some(Named::Other(Party {
            name: named.into(),
            portal_id: None,
            rmd: None,
            frn: None,
            ocn: None,
            country: fields.text(country).to_ascii_uppercase().into(),
            contact: fields.some(contact).map(Into::into),
            gateway: false,
        }))
    };
    let party = match resolution.names() {
        Names::Never => None,
        _ if resolution.names_originator() => other("caller", "caller_contact", "caller_country"),
        _ => {
            let listed = fields
                .some("provider")
                .map(|p| Named::Provider(p.to_owned()));
            listed.or_else(|| other("other", "other_contact", "other_country"))
        }
    };
    Ok(ByHand {
        resolution,
        party: party.unwrap_or_default(),
        forwarded: fields.text("forwarded").to_owned(),
        comment: fields.text("comment").to_owned(),
        mitigation: fields.text("mitigation").to_owned(),
    })
}

async fn answer(State(console): State<Console>, Path(hop): Path<String>, posted: Posted) -> Answer {
    let Posted { visitor, fields } = posted;
    let (provider, actor) = staff(&visitor)?;
    let wrong = match by_hand(&fields) {
        Err((field, wanted)) => problems(&[Problem {
            field,
            wanted: wanted.to_owned(),
        }]),
        Ok(answer) => {
            let of = hop.clone();
            let given = console
                .look(move |docket, now| {
                    let mut answer = answer;
                    if let Named::Provider(typed) = &answer.party {
                        // A name is as good as an id where only one bears it; else the act says what is wrong.
                        if let Some(id) = docket.meant(typed)? {
                            answer.party = Named::Provider(id);
                        }
                    }
                    docket.answer_by_hand(&actor, &of, &answer, now)
                })
                .await;
            match given {
                Ok(()) => return Ok(done(&to(&hop), "answered")),
                Err(trouble) => problems(&trouble.problems()?),
            }
        }
    };
    let typed: BTreeMap<&str, &str> = fields.all().collect();
    let typed = Value::from(Serde(typed));
    let page = shown(&console, &visitor, provider, hop, typed, wrong).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

async fn dispute(
    State(console): State<Console>,
    Path(hop): Path<String>,
    posted: Posted,
) -> Answer {
    let Posted { visitor, fields } = posted;
    let (_, actor) = staff(&visitor)?;
    let (path, why) = (to(&hop), fields.text("why").to_owned());
    console
        .look(move |docket, now| docket.dispute_what_led_here(&actor, &hop, &why, now))
        .await?;
    Ok(done(&path, "disputed"))
}

async fn stand_by(
    State(console): State<Console>,
    Path(hop): Path<String>,
    posted: Posted,
) -> Answer {
    let Posted { visitor, fields } = posted;
    let (_, actor) = staff(&visitor)?;
    let (path, why) = (to(&hop), fields.text("why").to_owned());
    console
        .look(move |docket, now| docket.stand_by(&actor, &hop, &why, now))
        .await?;
    Ok(done(&path, "stands"))
}

/// A file to a question of one's own.
async fn attach(
    State(console): State<Console>,
    Path(hop): Path<String>,
    request: Request,
) -> Result<Response, Response> {
    let (visitor, name, octets) = file_of(&console, request, &[Role::Provider]).await?;
    let (provider, actor) = staff(&visitor).map_err(IntoResponse::into_response)?;
    let path = to(&hop);
    let added = console
        .look(move |docket, now| {
            let case = docket.inbox_hop(&provider, &hop)?.line.case;
            docket.attach(&actor, &case, Some(&hop), &name, &octets, now)
        })
        .await;
    added.map_err(IntoResponse::into_response)?;
    Ok(done(&path, "file-added"))
}

async fn file(
    State(console): State<Console>,
    visitor: Visitor,
    Path((_, id)): Path<(String, i64)>,
) -> Answer {
    let (provider, _) = staff(&visitor)?;
    let (_, octets) = console
        .look(move |docket, _| docket.inbox_attachment(&provider, id))
        .await?;
    let name = format!("attachment-{id}.pdf");
    Ok(super::sheet::file(
        &name,
        "application/octet-stream",
        octets,
    ))
}
