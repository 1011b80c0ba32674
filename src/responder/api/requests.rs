//! Requests and their answers, for the portal that asked and for operators.
//!
//! A portal sees its own requests alone; any other id is refused like one that nobody has. It is not told whether a person or a machine is at work:
//! what is under way is `pending`, so that nothing of our neighbours shows in it.

use std::sync::Arc;
use std::time::Instant;

use axum::Extension;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::header::{CACHE_CONTROL, RETRY_AFTER};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::{Caller, Portal};
use super::counters::more;
use super::limits::{READS_PER_REQUEST, What};
use super::problem::{Denied, Kind, Problem, trouble};
use super::push::signed;
use super::refusal::Refusal;
use super::{Api, provider};
use crate::proof::audit::{Entry, proof};
use crate::responder::case::{RequestKey, RequestState, Who};
use crate::responder::desk::{Case, Desk, DeskError, Signed};
use crate::responder::settings::Role;
use crate::web::listen::Guest;

/// When a portal should ask again for an answer that is not there yet.
const ASK_AGAIN: u64 = 5;

/// Of which portal an operator means a request, where several use its id.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Of {
    portal: Option<Box<str>>,
}

/// A request that is named by a path. What can't be read names none: it is refused like one.
pub(super) struct One {
    pub id: String,
    pub of: Of,
}

impl<S: Send + Sync> FromRequestParts<S> for One {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let id = Path::<String>::from_request_parts(parts, state).await;
        let of = Query::<Of>::from_request_parts(parts, state).await;
        match (id, of) {
            (Ok(Path(id)), Ok(Query(of))) => Ok(Self { id, of }),
            _ => Err(Refusal::NotThere),
        }
    }
}

/// Runs what waits for the disk where it holds up nobody.
pub(super) async fn off<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Denied> {
    tokio::task::spawn_blocking(work).await.map_err(|e| {
        tracing::error!("the API: {e}");
        trouble()
    })
}

impl Api {
    /// Counts against what somebody may do in a minute.
    pub(super) fn within(&self, what: What, who: &Arc<str>, per_minute: u32) -> Result<(), Denied> {
        let taken = self.limits.take(what, who, per_minute, Instant::now());
        taken.map_err(|wait| {
            more(&self.counters.limited);
            let text = format!("{per_minute} in a minute are allowed here.");
            Problem::new(Kind::TOO_MANY, text).after(wait).into()
        })
    }

    /// Who reads, within limits.
    pub(super) fn reader(&self, headers: &HeaderMap, guest: &Guest) -> Result<Caller, Denied> {
        let caller = self.door.load().caller(headers, guest)?;
        match &caller {
            Caller::Operator(operator) => operator.may(Role::Read)?,
            Caller::Portal(portal) => {
                let most = portal.per_minute.saturating_mul(READS_PER_REQUEST);
                self.within(What::Read, &portal.name, most)?;
            }
        }
        Ok(caller)
    }

    /// The request that is meant: a portal's own, an operator's by its portal, or the only one of that id.
    pub(super) fn find(&self, caller: &Caller, id: &str, of: &Of) -> Result<Case, Denied> {
        let now = (self.now)();
        let show = |portal: &Arc<str>| {
            let key = RequestKey {
                portal: portal.clone(),
                id: id.into(),
            };
            self.desk.show(&key, now)
        };
        let mut found = Vec::new();
        match caller {
            Caller::Portal(portal) => found.extend(show(&portal.name)?),
            Caller::Operator(_) => {
                for name in self.door.load().portals() {
                    if of.portal.as_ref().is_none_or(|p| **p == **name) {
                        found.extend(show(name)?);
                    }
                }
            }
        }
        let several = found.len() > 1;
        match found.pop() {
            None => Err(Refusal::NotThere.into()),
            Some(_) if several => {
                let text = "Several portals use this id: name one, with ?portal=";
                Err(Problem::new(Kind::MALFORMED, text).into())
            }
            Some(case) => Ok(case),
        }
    }

    /// Writes into the audit log what an operator reads, before he gets it.
    pub(super) fn note_reading(
        &self,
        caller: &Caller,
        case: &Case,
        what: &'static str,
    ) -> Result<(), DeskError> {
        let Caller::Operator(operator) = caller else {
            return Ok(());
        };
        let entry = Entry {
            at: (self.now)(),
            who: &Who::Operator(operator.name.clone()),
            act: "read",
            case_id: &case.line.case_id,
            request: Some(&case.line.key.id),
            detail: json!({ "portal": case.line.key.portal, "what": what }),
        };
        self.desk.note(&entry).map(|_| ())
    }
}

/// What a portal is told of a state.
pub(super) const fn told(state: RequestState) -> &'static str {
    match state {
        RequestState::Received | RequestState::Ready | RequestState::Review => "pending",
        RequestState::NeedsInfo => "needs-info",
        RequestState::Outbox | RequestState::Sent => "answered",
        RequestState::Accepted => "accepted",
        RequestState::Disputed => "disputed",
        RequestState::Closed => "closed",
        RequestState::Expired => "expired",
        RequestState::Withdrawn => "withdrawn",
    }
}

pub(super) async fn state(
    State(api): State<Arc<Api>>,
    Extension(guest): Extension<Guest>,
    headers: HeaderMap,
    One { id, of }: One,
) -> Result<Response, Denied> {
    let caller = api.reader(&headers, &guest)?;
    let shown = off(move || {
        let case = api.find(&caller, &id, &of)?;
        api.note_reading(&caller, &case, "state")?;
        more(&api.counters.shown);
        Ok::<_, Denied>(match caller {
            Caller::Portal(_) => portal_view(&case),
            Caller::Operator(_) => json!(case.line),
        })
    });
    let shown = shown.await??;
    Ok(([(CACHE_CONTROL, "no-store")], axum::Json(shown)).into_response())
}

fn portal_view(case: &Case) -> Value {
    json!({
        "id": case.line.key.id,
        "case_id": case.line.case_id,
        "state": told(case.line.state),
        "received": case.line.received,
        "due": case.line.due,
    })
}

pub(super) async fn answer(
    State(api): State<Arc<Api>>,
    Extension(guest): Extension<Guest>,
    headers: HeaderMap,
    One { id, of }: One,
) -> Result<Response, Denied> {
    let caller = api.reader(&headers, &guest)?;
    let found = off(move || {
        let case = api.find(&caller, &id, &of)?;
        api.note_reading(&caller, &case, "answer")?;
        let answer = api.answer_for(&caller, &case)?;
        more(&api.counters.shown);
        Ok::<_, Denied>(answer.map(|a| a.body).ok_or_else(|| portal_view(&case)))
    });
    Ok(match found.await?? {
        Ok(body) => signed(body),
        Err(state) => not_yet(state),
    })
}

fn not_yet(state: Value) -> Response {
    let again = [(RETRY_AFTER, ASK_AGAIN.to_string())];
    let no_store = [(CACHE_CONTROL, "no-store")];
    (StatusCode::ACCEPTED, again, no_store, axum::Json(state)).into_response()
}

impl Api {
    /// The signed answer that somebody may see. A portal that fetches its answers has it then.
    fn answer_for(&self, caller: &Caller, case: &Case) -> Result<Option<Signed>, DeskError> {
        match caller {
            Caller::Operator(_) => self.desk.signed(&case.line.key),
            Caller::Portal(portal) => self.for_portal(portal, &case.line.key),
        }
    }

    fn for_portal(&self, portal: &Portal, key: &RequestKey) -> Result<Option<Signed>, DeskError> {
        match portal.fetches {
            true => self.desk.collect(key, (self.now)()),
            // The outbox still brings it: what is read here may break off on its way.
            false => Ok(self.desk.peek(key)?.map(|(_, signed)| signed)),
        }
    }
}

/// The answer that leaves by itself or has left, if there is one now. A question back is none.
pub(super) async fn leaving(
    api: &Arc<Api>,
    portal: &Arc<Portal>,
    key: &RequestKey,
) -> Result<Option<Vec<u8>>, Denied> {
    let (api, portal, key) = (api.clone(), portal.clone(), key.clone());
    let found = off(move || match api.desk.peek(&key)? {
        Some((state, _)) if state != RequestState::NeedsInfo => api.for_portal(&portal, &key),
        _ => Ok(None),
    });
    Ok(found.await??.map(|a| a.body))
}

pub(super) async fn evidence(
    State(api): State<Arc<Api>>,
    Extension(guest): Extension<Guest>,
    headers: HeaderMap,
    One { id, of }: One,
) -> Result<Response, Denied> {
    let caller = api.reader(&headers, &guest)?;
    let shown = off(move || {
        let case = api.find(&caller, &id, &of)?;
        api.note_reading(&caller, &case, "evidence")?;
        let answer = api.answer_for(&caller, &case)?;
        more(&api.counters.shown);
        let answer = answer.and_then(|a| serde_json::from_slice(&a.body).ok());
        let of_answer = match &answer {
            Some(answer) => Some(of_answer(&api.desk, &case, answer)?),
            None => None,
        };
        Ok::<_, Denied>(match (&caller, of_answer) {
            (Caller::Portal(_), None) => Err(portal_view(&case)),
            (Caller::Portal(_), Some(evidence)) => Ok(evidence),
            (Caller::Operator(_), evidence) => Ok(json!({ "case": case, "sent": evidence })),
        })
    });
    Ok(match shown.await?? {
        Ok(evidence) => ([(CACHE_CONTROL, "no-store")], axum::Json(evidence)).into_response(),
        Err(state) => not_yet(state),
    })
}

/// What an answer rests on, and the proof that its line is in the audit log.
fn of_answer(desk: &Desk, case: &Case, answer: &Value) -> Result<Value, DeskError> {
    let mut shown = json!({
        "request_id": case.line.key.id,
        "answer_id": answer.get("id"),
        "revision": answer.get("revision"),
        "resolution": answer.get("resolution"),
        "location": provider::location(&case.line.key.id),
    });
    let Some(members) = shown.as_object_mut() else {
        return Ok(shown);
    };
    for name in ["evidence", "undecided", "problems", "matcher_version"] {
        if let Some(value) = answer.get(name) {
            members.insert(name.to_owned(), value.clone());
        }
    }
    let line = answer.get("audit").and_then(|a| a.get("index"));
    if let Some(line) = line.and_then(Value::as_u64) {
        let proof = desk.with(|tx| proof::inclusion(tx, line, None))?;
        members.insert("audit".to_owned(), json!(proof));
    }
    Ok(shown)
}
