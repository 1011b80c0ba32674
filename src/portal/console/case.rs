//! One case: its page, what is done to it there, its report, its files.
//!
//! - [`picture`]: the call path
//! - [`live`]: news, as they come
//! - [`acts`]: what people do to it

mod acts;
mod live;
mod picture;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Serialize;

pub(super) use acts::{MOST_UPLOAD, file_of};
pub(super) use live::{Watchers, inbox_events};

use super::cases::ROLES;
use super::evidence;
use super::{Answer, Console, Trouble, Visitor};
use crate::base::digest::Digest128;
use crate::portal::docket::read::case::{AnswerView, CaseView, HopView};
use crate::portal::word::{CaseState, HopState, Outcome, Role};
use crate::proof::audit::Line;
use picture::{Picture, Turn};

/// Parts of the page that come anew, and their templates.
const PARTS: [(&str, &str); 3] = [
    ("head", "case_head.html"),
    ("path", "case_path.html"),
    ("log", "case_log.html"),
];

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/cases/{case}", get(page))
        .route("/cases/{case}/events", get(live::events))
        .route("/cases/{case}/report", get(report))
        .route("/cases/{case}/answers.jsonl", get(answers))
        .route("/cases/{case}/keys.json", get(keys))
        .route("/cases/{case}/files/{id}", get(file))
        .route("/cases/{case}/files", acts::upload())
        .route("/cases/{case}/hops/{hop}", get(hop))
        .route("/cases/{case}/hops/{hop}/{act}", post(acts::on_hop))
        .route("/cases/{case}/{act}", post(acts::on_case))
}

/// A hop, with all that is said of it in words.
#[derive(Debug, Serialize)]
struct HopPage<'a> {
    #[serde(flatten)]
    hop: &'a HopView,
    /// What was answered.
    says: Option<&'static str>,
    /// On what it rests.
    facts: Vec<(&'static str, String)>,
    /// Seconds that it took.
    took_s: Option<f64>,
    /// Seconds until it is due; negative: since.
    left_s: Option<f64>,
    /// Earlier and refused answers.
    further: Vec<AnswerPage<'a>>,
}

/// An answer, in words.
#[derive(Debug, Serialize)]
struct AnswerPage<'a> {
    #[serde(flatten)]
    answer: &'a AnswerView,
    says: &'static str,
    facts: Vec<(&'static str, String)>,
}

/// A line of the log, in words.
#[derive(Debug, Serialize)]
struct LogLine<'a> {
    at: &'a str,
    who: &'a str,
    act: &'a str,
    request: Option<&'a str>,
    detail: String,
    index: u64,
}

impl<'a> LogLine<'a> {
    fn of(line: &'a Line) -> Self {
        let detail: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&line.detail).unwrap_or_default();
        let said = detail.iter().filter(|(_, v)| !v.is_null());
        let said = said.map(|(name, value)| match value.as_str() {
            Some(text) => format!("{}: {text}", name.replace('_', " ")),
            None => format!("{}: {value}", name.replace('_', " ")),
        });
        Self {
            at: &line.at,
            who: &line.who,
            act: &line.act,
            request: line.request.as_deref(),
            detail: said.collect::<Vec<_>>().join(" · "),
            index: line.index,
        }
    }
}

/// What templates of a case get.
async fn data(console: &Console, visitor: &Visitor, case: &str) -> Result<Value, Trouble> {
    let (actor, case) = (visitor.actor(), case.to_owned());
    let case = console
        .look(move |docket, _| docket.case(&actor, &case))
        .await?;
    Ok(shown(console, visitor, &case))
}

fn shown(console: &Console, visitor: &Visitor, case: &CaseView) -> Value {
    let now = console.now();
    let words = |a: &AnswerView| a.said.as_ref().map(evidence::facts).unwrap_or_default();
    let hops: Vec<HopPage<'_>> = case
        .hops
        .iter()
        .map(|hop| HopPage {
            says: hop.resolution.map(evidence::says),
            facts: hop.answer.as_ref().map(words).unwrap_or_default(),
            took_s: hop.answered.map(|a| a.secs_since(hop.issued)),
            left_s: is_open(hop.state).then(|| hop.due.secs_since(now)),
            further: further(hop),
            hop,
        })
        .collect();
    let counted = || case.hops.iter().filter_map(|h| h.answer.as_ref());
    let holds = counted().all(|a| a.flaws.is_empty());
    let outcomes: Vec<&str> = Outcome::ALL.iter().map(|o| o.label()).collect();
    let analyst = visitor.user().role == Role::Analyst;
    let live = matches!(case.state, CaseState::Open | CaseState::Stuck);
    context! {
        case => Serde(case),
        hops => Serde(hops),
        across => Serde(Picture::of(case, Turn::Across, now)),
        down => Serde(Picture::of(case, Turn::Down, now)),
        answers => counted().count(),
        holds,
        outcomes,
        analyst,
        requester => visitor.user().role == Role::Requester,
        may => context! {
            open => analyst && case.state == CaseState::Submitted,
            close => analyst && live,
            reopen => analyst && matches!(case.state, CaseState::Closed | CaseState::Declined | CaseState::Stuck),
            withdraw => visitor.user().role != Role::Auditor && matches!(case.state, CaseState::Submitted | CaseState::Open | CaseState::Stuck),
            campaign => analyst,
            note => visitor.user().role != Role::Auditor,
        },
        at => now.to_string(),
        log => Serde(case.log.iter().map(LogLine::of).collect::<Vec<_>>()),
    }
}

fn further(hop: &HopView) -> Vec<AnswerPage<'_>> {
    let current = hop.answer.as_ref().map(|a| &a.id);
    let all = hop.answers.iter().filter(|a| Some(&a.id) != current);
    all.map(|answer| AnswerPage {
        says: evidence::says(answer.resolution),
        facts: answer
            .said
            .as_ref()
            .map(evidence::facts)
            .unwrap_or_default(),
        answer,
    })
    .collect()
}

fn is_open(state: HopState) -> bool {
    !matches!(state, HopState::Answered | HopState::Withdrawn)
}

async fn page(
    State(console): State<Console>,
    visitor: Visitor,
    Path(case): Path<String>,
) -> Answer {
    visitor.is(ROLES)?;
    let data = data(&console, &visitor, &case).await?;
    let mut parts = Vec::new();
    for (name, template) in PARTS {
        let html = console.part(&visitor, template, data.clone())?;
        let digest = Digest128::of(html.as_bytes()).to_string();
        // Made by a template of ours, which has escaped what is in it.
        let html = Value::from_safe_string(html);
        parts.push((name, context! { html, digest }));
    }
    let parts: std::collections::BTreeMap<&str, Value> = parts.into_iter().collect();
    let campaigns = console.look(|docket, _| docket.campaign_names()).await?;
    let more = context! { parts, campaigns => Serde(campaigns) };
    console.page(
        &visitor,
        "case.html",
        minijinja::value::merge_maps([data, more]),
    )
}

async fn report(
    State(console): State<Console>,
    visitor: Visitor,
    Path(case): Path<String>,
) -> Answer {
    visitor.is(ROLES)?;
    let data = data(&console, &visitor, &case).await?;
    console.page(&visitor, "case_report.html", data)
}

async fn hop(
    State(console): State<Console>,
    visitor: Visitor,
    Path((case, hop)): Path<(String, String)>,
) -> Answer {
    visitor.is(&[Role::Analyst, Role::Auditor])?;
    let page = hop_page(&console, &visitor, &case, &hop, &[]).await?;
    let typed = context! { typed => context! {} };
    console.page(
        &visitor,
        "case_hop.html",
        minijinja::value::merge_maps([page, typed]),
    )
}

/// What the page of a hop shows, but for what was typed into its form.
async fn hop_page(
    console: &Console,
    visitor: &Visitor,
    case: &str,
    hop: &str,
    problems: &[crate::portal::docket::Problem],
) -> Result<Value, Trouble> {
    let (actor, id) = (visitor.actor(), case.to_owned());
    let view = console
        .look(move |docket, _| docket.case(&actor, &id))
        .await?;
    let place = view.hops.iter().position(|h| h.id == hop);
    let place = place.ok_or_else(|| Trouble::absent("question"))?;
    let all = shown(console, visitor, &view);
    let question = view.hops.get(place).and_then(|h| h.request.as_ref());
    let question = question.and_then(|q| serde_json::to_string_pretty(q).ok());
    let more = context! {
        place,
        question,
        problems => super::problems(problems),
    };
    Ok(minijinja::value::merge_maps([all, more]))
}

async fn answers(
    State(console): State<Console>,
    visitor: Visitor,
    Path(case): Path<String>,
) -> Answer {
    visitor.is(&[Role::Analyst, Role::Auditor])?;
    let (actor, id) = (visitor.actor(), case.clone());
    let (octets, _) = console
        .look(move |docket, _| docket.case_proof(&actor, &id))
        .await?;
    download(&format!("{case}-answers.jsonl"), octets)
}

async fn keys(
    State(console): State<Console>,
    visitor: Visitor,
    Path(case): Path<String>,
) -> Answer {
    visitor.is(&[Role::Analyst, Role::Auditor])?;
    let (actor, id) = (visitor.actor(), case.clone());
    let (_, keys) = console
        .look(move |docket, _| docket.case_proof(&actor, &id))
        .await?;
    download(&format!("{case}-keys.json"), keys.to_string().into_bytes())
}

async fn file(
    State(console): State<Console>,
    visitor: Visitor,
    Path((case, id)): Path<(String, i64)>,
) -> Answer {
    visitor.is(ROLES)?;
    let actor = visitor.actor();
    let (name, octets) = console
        .look(move |docket, _| docket.case_attachment(&actor, &case, id))
        .await?;
    download(&name, octets)
}

/// A file that the browser keeps and never shows: it is somebody else's.
pub(super) fn download(name: &str, octets: Vec<u8>) -> Result<Response, Trouble> {
    let plain: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') {
                c
            } else {
                '_'
            }
        })
        .take(100)
        .collect();
    let escaped = crate::web::client::escaped(name);
    let disposition = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{escaped}");
    let disposition = HeaderValue::from_str(&disposition).map_err(|e| Trouble::home(&e))?;
    let mut response = octets.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_DISPOSITION, disposition);
    let kind = HeaderValue::from_static("application/octet-stream");
    headers.insert(CONTENT_TYPE, kind);
    Ok(response)
}
