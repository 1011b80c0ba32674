//! What people and machines of this house do: list, decide, look up, read coverage and audit log, stop and let go.
//!
//! No scan: the list is of requests, never of calls; a look-up names a case, one call and a window of two hours at most, and stands in the audit log
//! before it is made.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Query, RawQuery, State};
use axum::http::HeaderMap;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Api;
use super::auth::Operator;
use super::counters::more;
use super::limits::{LOOKUPS_PER_MINUTE, What};
use super::problem::{Denied, Kind, Problem, trouble};
use super::requests::{One, off};
use crate::base::Timestamp;
use crate::proof::audit::{Entry, head, proof};
use crate::responder::case::{RequestKey, RequestState, Who};
use crate::responder::desk::{Decision, Edit, Filter};
use crate::responder::settings::Role;
use crate::traceback::answer::Resolution;
use crate::traceback::coverage::Sight;
use crate::traceback::request::MAX_TEXT;
use crate::web::listen::Guest;

/// Requests in a list at most, and where the wish says nothing.
const LISTED: usize = 100;
/// Longest span whose coverage is told at once: two days, around any window that a request may ask for.
const COVERAGE: Duration = Duration::from_secs(48 * 3600);
/// Holes that are listed; the rest is counted.
const GAPS: usize = 1000;
/// Longest comment or reason.
const MAX_COMMENT: usize = 4 * MAX_TEXT;

fn shown(value: impl Serialize) -> Response {
    ([(CACHE_CONTROL, "no-store")], axum::Json(value)).into_response()
}

fn malformed(api: &Api, what: impl Into<String>) -> Denied {
    more(&api.counters.malformed);
    Problem::new(Kind::MALFORMED, what).into()
}

fn body<T: DeserializeOwned>(api: &Api, octets: &[u8]) -> Result<T, Denied> {
    serde_json::from_slice(octets).map_err(|e| malformed(api, e.to_string()))
}

/// After who it is: before, a query that can't be read would tell that there is something to ask.
fn query<T: DeserializeOwned>(api: &Api, raw: Option<String>) -> Result<T, Denied> {
    let uri = format!("/?{}", raw.unwrap_or_default());
    let uri = uri.parse().map_err(|_| malformed(api, "the query"))?;
    let read = Query::try_from_uri(&uri);
    read.map(|Query(q)| q)
        .map_err(|e| malformed(api, e.body_text()))
}

impl Api {
    fn operator(
        &self,
        headers: &HeaderMap,
        guest: &Guest,
        role: Role,
    ) -> Result<Arc<Operator>, Denied> {
        let caller = self.door.load().caller(headers, guest)?;
        Ok(caller.operator(role)?)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListWish {
    state: Option<String>,
    portal: Option<Box<str>>,
    limit: Option<usize>,
    cursor: Option<String>,
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Extension(guest): Extension<Guest>,
    headers: HeaderMap,
    RawQuery(raw): RawQuery,
) -> Result<Response, Denied> {
    api.operator(&headers, &guest, Role::Read)?;
    let wish: ListWish = query(&api, raw)?;
    let words = wish.state.as_deref().unwrap_or_default().split(',');
    let words = words.filter(|w| !w.is_empty());
    let states: Option<Vec<RequestState>> = words.map(RequestState::from_label).collect();
    let states = states.ok_or_else(|| malformed(&api, "state: no such state"))?;
    let most = wish.limit.unwrap_or(LISTED).clamp(1, LISTED);
    let after = match &wish.cursor {
        None => None,
        Some(text) => Some(place(text).ok_or_else(|| malformed(&api, "cursor"))?),
    };
    let filter = Filter {
        portal: wish.portal,
        states,
        most,
        after,
    };
    let desk = api.desk.clone();
    let lines = off(move || desk.list(&filter)).await??;
    let more_to_come = (lines.len() == most).then(|| lines.last()).flatten();
    let mut page = json!({ "requests": lines });
    if let (Some(last), Some(members)) = (more_to_come, page.as_object_mut()) {
        members.insert("cursor".to_owned(), json!(cursor(&last.key)));
    }
    Ok(shown(page))
}

fn cursor(key: &RequestKey) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("{}\n{}", key.portal, key.id))
}

fn place(cursor: &str) -> Option<RequestKey> {
    let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let (portal, id) = text.split_once('\n')?;
    Some(RequestKey {
        portal: portal.into(),
        id: id.into(),
    })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase", tag = "decision", deny_unknown_fields)]
enum RawDecision {
    Approve {
        answer_id: Box<str>,
    },
    Edit {
        answer_id: Option<Box<str>>,
        resolution: Resolution,
        upstream: Option<Box<str>>,
        comment: Option<String>,
    },
    Reject {
        reason: String,
    },
    Ask {
        what: String,
    },
}

pub(super) async fn decide(
    State(api): State<Arc<Api>>,
    Extension(guest): Extension<Guest>,
    headers: HeaderMap,
    One { id, of }: One,
    octets: Bytes,
) -> Result<Response, Denied> {
    let operator = api.operator(&headers, &guest, Role::Decide)?;
    let raw: RawDecision = body(&api, &octets)?;
    let (decision, seen) = decision(&api, raw)?;
    let line = off(move || {
        let caller = super::auth::Caller::Operator(operator.clone());
        let case = api.find(&caller, &id, &of)?;
        let (key, who, now) = (
            &case.line.key,
            Who::Operator(operator.name.clone()),
            (api.now)(),
        );
        // Somebody approves what he saw, not what came since.
        let state = match &seen {
            Some(seen) => api.desk.decide_seen(key, &who, &decision, seen, now)?,
            None => api.desk.decide(key, &who, &decision, now)?,
        };
        more(&api.counters.decided);
        Ok::<Value, Denied>(json!({ "portal": key.portal, "id": key.id, "state": state }))
    });
    Ok(shown(line.await??))
}

fn decision(api: &Api, raw: RawDecision) -> Result<(Decision, Option<Box<str>>), Denied> {
    let text = |name: &str, text: String| match text.trim().is_empty() || text.len() > MAX_COMMENT {
        true => Err(malformed(
            api,
            format!("{name}: 1 to {MAX_COMMENT} octets are wanted"),
        )),
        false => Ok(text),
    };
    Ok(match raw {
        RawDecision::Approve { answer_id } => (Decision::Approve, Some(answer_id)),
        RawDecision::Reject { reason } => (Decision::Reject(text("reason", reason)?), None),
        RawDecision::Ask { what } => (Decision::Ask(text("what", what)?), None),
        RawDecision::Edit {
            answer_id,
            resolution,
            upstream,
            comment,
        } => {
            let party = match upstream {
                None => None,
                Some(peer) => Some(api.backend.party(&peer).ok_or_else(|| {
                    let what = "upstream: no neighbour in peers.toml has this id";
                    Denied::from(Problem::new(Kind::WRONG, what))
                })?),
            };
            let edit = Edit {
                resolution,
                party,
                comment: comment.map(|c| text("comment", c)).transpose()?,
            };
            (Decision::Edit(edit), answer_id)
        }
    })
}

pub(super) async fn look_up(
    State(api): State<Arc<Api>>,
    Extension(guest): Extension<Guest>,
    headers: HeaderMap,
    octets: Bytes,
) -> Result<Response, Denied> {
    let operator = api.operator(&headers, &guest, Role::Lookup)?;
    api.within(What::LookUp, &operator.name, LOOKUPS_PER_MINUTE)?;
    let request = api.backend.read(&octets).map_err(|refused| {
        more(&api.counters.malformed);
        let text = "Everything that is missing or wrong is listed.";
        Problem::new(Kind::INSUFFICIENT, text).with("problems", json!(refused.problems))
    })?;
    let answered = off(move || {
        let now = (api.now)();
        let entry = Entry {
            at: now,
            who: &Who::Operator(operator.name.clone()),
            act: "look-up",
            case_id: &request.case_id,
            request: Some(&request.id),
            detail: json!({ "sha256": request.sha256, "by": "api" }),
        };
        let line = api.desk.note(&entry)?;
        more(&api.counters.looked_up);
        let answered = api.backend.look_up(&request, now).map_err(|e| {
            tracing::error!("a look-up: {e}");
            trouble()
        })?;
        Ok::<_, Denied>(json!({
            "answer": answered.answer,
            "explanation": answered.explanation,
            "audit": { "index": line },
        }))
    });
    Ok(shown(answered.await??))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Span {
    from: Timestamp,
    to: Timestamp,
}

pub(super) async fn coverage(
    State(api): State<Arc<Api>>,
    Extension(guest): Extension<Guest>,
    headers: HeaderMap,
    RawQuery(raw): RawQuery,
) -> Result<Response, Denied> {
    api.operator(&headers, &guest, Role::Read)?;
    let Span { from, to } = query(&api, raw)?;
    if to <= from || to.distance(from) > COVERAGE {
        let hours = COVERAGE.as_secs() / 3600;
        return Err(malformed(
            &api,
            format!("from must lie before to, by {hours} hours at most"),
        ));
    }
    let sight = off(move || {
        let rows = api.backend.coverage(from, to).map_err(|e| {
            tracing::error!("coverage for the API: {e}");
            trouble()
        })?;
        Ok::<_, Denied>(Sight::over(&rows, from, to, &api.backend.sensors()))
    });
    let sight = sight.await??;
    let gaps: Vec<_> = sight.gaps.iter().take(GAPS).collect();
    Ok(shown(json!({
        "from": from,
        "to": to,
        "share": sight.share,
        "whole": sight.is_whole(),
        "gaps": gaps,
        "gap_count": sight.gaps.len(),
    })))
}

pub(super) async fn audit_head(
    State(api): State<Arc<Api>>,
    Extension(guest): Extension<Guest>,
    headers: HeaderMap,
) -> Result<Response, Denied> {
    api.operator(&headers, &guest, Role::Audit)?;
    let signer = api.backend.signer().ok_or_else(|| {
        let text = "There is no key to sign a head with.";
        Denied::from(Problem::new(Kind::TROUBLE, text))
    })?;
    let head = off(move || {
        let now = (api.now)();
        api.desk.with(|tx| head::keep(tx, &signer, now))
    });
    Ok(super::push::signed(head.await??.json))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProofWish {
    entry: u64,
    size: Option<u64>,
}

pub(super) async fn audit_proof(
    State(api): State<Arc<Api>>,
    Extension(guest): Extension<Guest>,
    headers: HeaderMap,
    RawQuery(raw): RawQuery,
) -> Result<Response, Denied> {
    api.operator(&headers, &guest, Role::Audit)?;
    let wish: ProofWish = query(&api, raw)?;
    let desk = api.desk.clone();
    let proof = off(move || desk.with(|tx| proof::inclusion(tx, wish.entry, wish.size)));
    match proof.await?? {
        Some(proof) => Ok(shown(proof)),
        None => Err(malformed(
            &api,
            "the log has no such line, or no tree of that size",
        )),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Why {
    why: String,
}

pub(super) async fn halt(
    State(api): State<Arc<Api>>,
    Extension(guest): Extension<Guest>,
    headers: HeaderMap,
    octets: Bytes,
) -> Result<Response, Denied> {
    let operator = api.operator(&headers, &guest, Role::Decide)?;
    let Why { why } = body(&api, &octets)?;
    if why.trim().is_empty() || why.len() > MAX_COMMENT {
        return Err(malformed(
            &api,
            format!("why: 1 to {MAX_COMMENT} octets are wanted"),
        ));
    }
    let halted = off(move || {
        let who = Who::Operator(operator.name.clone());
        api.desk.halt(&who, &why, (api.now)())?;
        api.desk.halted()
    });
    Ok(shown(json!({ "halted": halted.await?? })))
}

pub(super) async fn resume(
    State(api): State<Arc<Api>>,
    Extension(guest): Extension<Guest>,
    headers: HeaderMap,
) -> Result<Response, Denied> {
    let operator = api.operator(&headers, &guest, Role::Decide)?;
    let was = off(move || {
        let who = Who::Operator(operator.name.clone());
        api.desk.resume(&who, (api.now)())
    });
    Ok(shown(json!({ "halted": null, "was_halted": was.await?? })))
}
