//! No, always the same: whoever is not known, or asks for what is not his, learns nothing from status, headers, body, size or time.
//!
//! Every request is read whole first, within bounds. Then it is handled; if the outcome is a [`Refusal`], all that the handler said is thrown away,
//! and one fixed response leaves [`AFTER`] after the request was whole. Work that takes longer, on a machine under load, makes it the next
//! multiple of that time. The reason goes to counters, the log and, as sums, the audit log. What HTTP itself refuses (a head that is none, or above
//! 8 KiB) is refused by the library before any of this, for everybody alike.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::{Instant, sleep_until};

use super::Api;
use crate::web::body::{Unread, whole};

/// Longest body that is read: a request's largest size ([`crate::traceback::request::MAX_OCTETS`]), and its envelope.
pub const BODY_OCTETS: usize = crate::traceback::request::MAX_OCTETS;
/// What is read and thrown away of a longer one, so that its sender gets to read the refusal; beyond it the connection breaks.
const DRAINED: usize = 4 * BODY_OCTETS;
/// When a refusal leaves: some fifty times what the longest check takes (64 KiB through HMAC or Ed25519, a look into the desk: below 1 ms), and short
/// against a retry of any portal.
pub const AFTER: Duration = Duration::from_millis(50);
/// The refusal. 404 because it says the least: RFC 9110 §15.5.5 allows it for what is not to be known to exist.
const STATUS: StatusCode = StatusCode::NOT_FOUND;
/// Its body (RFC 9457).
const TEXT: &str = r#"{"type":"tag:tracehop.example,2026:refused","title":"Refused","status":404,"detail":"There is nothing here for you: the reason is in the log of the provider."}"#;

macro_rules! refusals {
    ($($(#[$what:meta])* $id:ident $label:literal;)*) => {
        /// Why a request was refused. Only this house learns it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Refusal { $( $(#[$what])* $id, )* }

        impl Refusal {
            /// Every one.
            pub const ALL: [Self; [$($label),*].len()] = [$(Self::$id),*];

            /// Name in metrics, log and audit.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$id => $label),* }
            }
        }
    };
}

refusals! {
    /// No such path.
    NoRoute "no-route";
    /// No such method there.
    NoMethod "no-method";
    /// No token, and no certificate that says who it is.
    Unknown "unknown";
    /// A token that nobody has.
    Token "token";
    /// The client certificate is missing, or another's.
    Certificate "certificate";
    /// One of the headers of a signed event is missing or can't be read.
    Unsigned "unsigned";
    /// Signed too long ago, or in the future.
    Stale "stale";
    /// Signed before this process began, which remembers nothing of that time: it may be a replay.
    BeforeStart "before-start";
    /// No key of any portal fits the signature.
    Forged "forged";
    /// This very message was here before.
    Replayed "replayed";
    /// The event's id was used for another event.
    IdReused "id-reused";
    /// More octets than are read.
    TooLong "too-long";
    /// The body did not come in time, or broke off.
    Broken "broken";
    /// No such request, or another portal's.
    NotThere "not-there";
    /// A portal asked for what is for operators.
    NotForPortals "not-for-portals";
    /// An operator whose role does not allow it.
    Role "role";
}

impl Refusal {
    /// Place in [`Refusal::ALL`].
    pub(super) fn place(self) -> usize {
        let place = Self::ALL.iter().position(|r| *r == self);
        place.unwrap_or(usize::MAX)
    }
}

impl From<Unread> for Refusal {
    fn from(why: Unread) -> Self {
        match why {
            Unread::TooLong => Self::TooLong,
            Unread::Broken => Self::Broken,
        }
    }
}

impl IntoResponse for Refusal {
    /// Marked for [`guard`], which makes the response.
    fn into_response(self) -> Response {
        let mut response = STATUS.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Reads the request whole, has it handled, and makes every refusal the same.
pub(super) async fn guard(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let body = whole(body, BODY_OCTETS, DRAINED).await;
    let arrived = Instant::now();
    let response = match body {
        Ok(body) => next.run(Request::from_parts(parts, body.into())).await,
        Err(why) => Refusal::from(why).into_response(),
    };
    let Some(why) = response.extensions().get::<Refusal>().copied() else {
        return response;
    };
    api.counters.refuse(why);
    tracing::debug!(reason = why.label(), "a request to the API was refused");
    sleep_until(leaves(arrived, Instant::now())).await;
    let headers = [
        (
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        ),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (STATUS, headers, TEXT).into_response()
}

/// The first multiple of [`AFTER`] that has not passed.
fn leaves(arrived: Instant, now: Instant) -> Instant {
    let mut at = arrived + AFTER;
    while at < now {
        at += AFTER;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_leave_at_multiples_of_one_time() {
        let arrived = Instant::now();
        for (took, leaves_after) in [(0, 50), (1, 50), (49, 50), (50, 50), (51, 100), (160, 200)] {
            let now = arrived + Duration::from_millis(took);
            let after = Duration::from_millis(leaves_after);
            assert_eq!(leaves(arrived, now), arrived + after, "{took} ms");
        }
    }

    #[test]
    fn the_text_is_the_problem_that_it_says() {
        let text: serde_json::Value = serde_json::from_str(TEXT).unwrap();
        assert_eq!(text["status"], STATUS.as_u16());
    }

    #[test]
    fn every_reason_has_its_place() {
        for (n, why) in Refusal::ALL.iter().enumerate() {
            assert_eq!(why.place(), n);
        }
    }
}
