//! What everybody may know: who we are and by which keys our answers are checked.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Api;

/// Versions of the protocol that we speak: the first part of every path.
pub const VERSIONS: [&str; 1] = ["v1"];

/// What a portal may count on.
pub const CAPABILITIES: [&str; 7] = [
    "push",
    "wait",
    "standard-webhooks-v1",
    "standard-webhooks-v1a",
    "jws-answers",
    "hop-digests",
    "audit-proofs",
];

/// Documents change when the operator changes them: an hour is soon enough for a new key, which the old one overlaps.
const CACHED: &str = "max-age=3600";

pub(super) async fn document(State(api): State<Arc<Api>>) -> Response {
    let about = api.backend.about();
    let door = api.door.load();
    let url = |path: &str| match door.public_url() {
        Some(base) => format!("{}{path}", base.trim_end_matches('/')),
        None => path.to_owned(),
    };
    let mut document = json!({
        "provider": { "ids": about.ids },
        "versions": VERSIONS,
        "push_url": url("/v1/hop-requests"),
        "jwks_uri": url("/.well-known/jwks.json"),
        "jwks": jwks(&api),
        "retention_days": about.retention_days,
        "capabilities": CAPABILITIES,
    });
    if let (Some(name), Some(provider)) = (about.name, document.get_mut("provider"))
        && let Some(members) = provider.as_object_mut()
    {
        members.insert("name".to_owned(), json!(name));
    }
    ([(CACHE_CONTROL, CACHED)], axum::Json(document)).into_response()
}

pub(super) async fn keys(State(api): State<Arc<Api>>) -> Response {
    ([(CACHE_CONTROL, CACHED)], axum::Json(jwks(&api))).into_response()
}

/// Without a key nothing is signed, and there is nothing to check.
fn jwks(api: &Api) -> Value {
    let signer = api.backend.signer();
    signer.map_or_else(|| json!({ "keys": [] }), |s| s.jwks())
}

/// The path of a request: its id may hold anything.
pub(super) fn location(id: &str) -> String {
    let mut path = String::from("/v1/hop-requests/");
    for b in id.bytes() {
        match b {
            // Unreserved, RFC 3986 §2.3.
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                path.push(char::from(b));
            }
            _ => {
                const HEX: &[u8; 16] = b"0123456789ABCDEF";
                let digit = |n: u8| HEX.get(usize::from(n)).copied().map_or('0', char::from);
                path.extend(['%', digit(b >> 4), digit(b & 15)]);
            }
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stays_one_segment_of_a_path() {
        assert_eq!(location("HR-1"), "/v1/hop-requests/HR-1");
        assert_eq!(
            location("a/b?c#ä %"),
            "/v1/hop-requests/a%2Fb%3Fc%23%C3%A4%20%25"
        );
    }
}
