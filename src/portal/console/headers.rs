//! What every answer forbids the browser.

use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::middleware::Next;
use axum::response::Response;

use super::Console;

/// Nothing but our own style sheet, script and pictures; no frame around us; forms come back to us.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
/// A year, as the HSTS preload lists ask for.
const STRICT: &str = "max-age=31536000";

/// Sets them, where the page itself has not.
pub(super) async fn set(State(console): State<Console>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut put = |name, value| {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    };
    put(CONTENT_SECURITY_POLICY, POLICY);
    put(X_CONTENT_TYPE_OPTIONS, "nosniff");
    put(X_FRAME_OPTIONS, "DENY");
    // With no-referrer browsers would post with the origin "null".
    put(REFERRER_POLICY, "same-origin");
    put(CACHE_CONTROL, "no-store");
    if console.by_tls() {
        put(STRICT_TRANSPORT_SECURITY, STRICT);
    }
    response
}
