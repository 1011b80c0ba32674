//! What portals push: `POST /v1/hop-requests`.
//!
//! The same event again gets the same reply. A request is durable before its 202 leaves. Nothing in status, time or body of that 202 depends on what the
//! request names: whether a downstream is a neighbour of ours is the matcher's business, which comes later. With `Prefer: wait` a certain answer
//! that leaves by itself comes back as 200; everything else is the same 202, when the time is over.

use std::sync::Arc;
use std::time::Instant as Clock;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::time::{Duration, Instant, sleep_until, timeout};

use super::auth::Portal;
use super::counters::more;
use super::limits::{LONGEST_WAIT, LOOK_AGAIN, What};
use super::problem::{Denied, Kind, Problem};
use super::refusal::Refusal;
use super::requests::{leaving, off};
use super::webhook::Envelope;
use super::{Api, provider};
use crate::responder::adapter::event::RawEvent;
use crate::responder::case::{Incoming, RequestKey, Way};
use crate::responder::desk::{Heard, Refusal as NotTaken, Taken};
use crate::web::listen::Guest;

/// When to come again if all room is taken: people decide about what fills it.
const FULL: Duration = Duration::from_secs(60);

pub(super) async fn push(
    State(api): State<Arc<Api>>,
    Extension(guest): Extension<Guest>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Denied> {
    let now = (api.now)();
    let envelope = Envelope::read(&headers, now)?;
    let portal = api.door.load().issuer(&envelope, &body, &guest)?;
    // Nobody remembers whether it was here, and an old word would undo a newer one. Whoever sends it again signs anew.
    if envelope.timestamp < api.started.secs() {
        return Err(Refusal::BeforeStart.into());
    }
    // Before the limit, so that whoever replays a portal's messages can't use up what it may send.
    api.seen.look(&portal.name, &envelope, &body)?;
    api.within(What::Push, &portal.name, portal.per_minute)?;
    let (name, rate) = (&portal.name, portal.per_minute);
    api.seen.remember(name, rate, &envelope, &body, now)?;
    let event: RawEvent<'_> = serde_json::from_slice(&body).map_err(|e| {
        more(&api.counters.malformed);
        Problem::new(Kind::MALFORMED, format!("the event can't be read: {e}"))
    })?;
    let incoming = event.read().map_err(|lacks| {
        more(&api.counters.malformed);
        Problem::new(Kind::MALFORMED, format!("the event lacks {lacks}"))
    })?;
    match incoming {
        // A later portal may have more than we know; it must not think that we are broken.
        None => {
            more(&api.counters.unknown_event);
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        Some(Incoming::Request(octets)) => {
            let wait = wished(&headers);
            let until = Instant::now() + wait.unwrap_or_default();
            let key = take(&api, &portal, octets).await?;
            request_reply(&api, &portal, key, wait.is_some(), until).await
        }
        Some(incoming) => {
            let (desk, name) = (api.desk.clone(), portal.name.clone());
            let heard = off(move || desk.event(&name, &incoming, now)).await??;
            more(match heard {
                Heard::Unknown => &api.counters.stray_event,
                Heard::As(_) | Heard::Noted => &api.counters.heard,
            });
            Ok(StatusCode::NO_CONTENT.into_response())
        }
    }
}

/// Lays it on the desk.
async fn take(api: &Arc<Api>, portal: &Arc<Portal>, octets: Vec<u8>) -> Result<RequestKey, Denied> {
    let (desk, name, now) = (api.desk.clone(), portal.name.clone(), (api.now)());
    let backend = api.backend.clone();
    let taken = off(move || {
        let taken = desk.take(&name, Way::Push, &octets, now);
        if let Ok(Taken::New(key) | Taken::Clarified(key)) = &taken {
            backend.taken(key);
        }
        taken
    });
    let taken = taken.await??;
    let (key, counter) = match taken {
        Taken::New(key) => (key, &api.counters.taken),
        Taken::Clarified(key) => (key, &api.counters.clarified),
        Taken::Again(key, _) => (key, &api.counters.again),
        Taken::Refused(NotTaken::Full) => {
            more(&api.counters.full);
            let text = "As many requests are under way as may be; come again later.";
            return Err(Problem::new(Kind::FULL, text).after(FULL).into());
        }
        // It was reconfigured away in this very moment.
        Taken::Refused(NotTaken::UnknownPortal) => return Err(Refusal::Forged.into()),
        Taken::Refused(why) => {
            more(&api.counters.turned_down);
            let text = match why {
                NotTaken::Over => "the case is over, and this is another request under its id",
                NotTaken::ChangedTooOften => "it was changed more often than is looked at",
                _ => why.label(),
            };
            return Err(Problem::new(Kind::NOT_NOW, text).into());
        }
    };
    more(counter);
    Ok(key)
}

async fn request_reply(
    api: &Arc<Api>,
    portal: &Arc<Portal>,
    key: RequestKey,
    waits: bool,
    until: Instant,
) -> Result<Response, Denied> {
    let location = [(LOCATION, provider::location(&key.id))];
    if waits && let Some(answer) = wait(api, portal, &key, until).await? {
        more(&api.counters.answered);
        return Ok((location, signed(answer)).into_response());
    }
    let body = axum::Json(json!({ "id": key.id }));
    Ok((StatusCode::ACCEPTED, location, body).into_response())
}

/// Waits until the answer may leave, or the time is over.
async fn wait(
    api: &Arc<Api>,
    portal: &Arc<Portal>,
    key: &RequestKey,
    until: Instant,
) -> Result<Option<Vec<u8>>, Denied> {
    // Where too many wait nobody looks, but the time is the same: it must not tell how busy we are with whom.
    let place = api.limits.waiting.clone().try_acquire_owned();
    if place.is_err() {
        sleep_until(until).await;
        return Ok(None);
    }
    let mut moved = api.backend.moved();
    loop {
        moved.mark_unchanged();
        if let Some(answer) = leaving(api, portal, key).await? {
            return Ok(Some(answer));
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        let turn = left.min(LOOK_AGAIN);
        let begin = Clock::now();
        // Whoever could tell may be gone, which comes at once: then by time alone.
        if let Ok(Err(_)) = timeout(turn, moved.changed()).await {
            tokio::time::sleep(turn.saturating_sub(begin.elapsed())).await;
        }
    }
}

/// A signed answer, octet by octet.
pub(super) fn signed(body: Vec<u8>) -> Response {
    let headers = [
        (CONTENT_TYPE, "application/json"),
        (CACHE_CONTROL, "no-store"),
    ];
    (headers, body).into_response()
}

/// `Prefer: wait=5` (RFC 7240 §4.3), at most [`LONGEST_WAIT`].
fn wished(headers: &HeaderMap) -> Option<Duration> {
    let all = headers.get_all("prefer").iter();
    let mut words = all
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split([',', ';']));
    let seconds: u64 = words.find_map(|word| {
        let (name, value) = word.split_once('=')?;
        let value = value.trim().trim_matches('"');
        name.trim()
            .eq_ignore_ascii_case("wait")
            .then(|| value.parse().ok())?
    })?;
    let wait = Duration::from_secs(seconds).min(LONGEST_WAIT);
    (!wait.is_zero()).then_some(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_are_read_as_they_are_written() {
        let wait = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.append("prefer", "respond-async".parse().unwrap());
            headers.append("prefer", text.parse().unwrap());
            wished(&headers).map(|d| d.as_secs())
        };
        assert_eq!(wait("wait=5"), Some(5));
        assert_eq!(wait("handling=lenient, Wait = \"7\""), Some(7));
        assert_eq!(wait("wait=3600"), Some(10));
        for none in ["wait=0", "wait", "wait=-1", "wait=soon", "waits=5", ""] {
            assert_eq!(wait(none), None, "{none}");
        }
    }
}
