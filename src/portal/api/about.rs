//! What everybody may know, and what is shown to whoever watches.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Api;
use super::problem::{Denied, absent};
use crate::web::Check;

/// The document changes with the operator's key: an hour is soon enough.
const CACHED: &str = "max-age=3600";
/// Versions of the protocol that we speak: the first part of every path.
pub const VERSIONS: [&str; 1] = ["v1"];

/// `GET /.well-known/traceback-portal`
pub(super) async fn document(State(api): State<Arc<Api>>) -> Response {
    let settings = api.docket.settings();
    let signer = api.docket.signer();
    let document = json!({
        "portal": { "name": settings.name },
        "versions": VERSIONS,
        "url": settings.api.public_url,
        "jwks": signer.jwks(),
        "webhook_keys": signer.webhook_key().into_iter().collect::<Vec<_>>(),
    });
    ([(CACHE_CONTROL, CACHED)], axum::Json(document)).into_response()
}

/// `GET /metrics`
pub(super) async fn metrics(State(api): State<Arc<Api>>) -> Result<Response, Denied> {
    let status = api.status.clone();
    let text = tokio::task::spawn_blocking(move || status.metrics()).await;
    let headers = [
        (CONTENT_TYPE, crate::web::routes::TEXT_FORMAT),
        (CACHE_CONTROL, "no-store"),
    ];
    let text = text.map_err(|_| absent())?;
    Ok((headers, text).into_response())
}

/// `GET /healthz`
pub(super) async fn health(State(api): State<Arc<Api>>) -> Response {
    shown(&api.status.health())
}

/// `GET /readyz`
pub(super) async fn readiness(State(api): State<Arc<Api>>) -> Response {
    shown(&api.status.readiness())
}

fn shown(checks: &[Check]) -> Response {
    let ok = checks.iter().all(|c| c.ok);
    let code = match ok {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    let body = axum::Json(json!({ "ok": ok, "checks": checks }));
    (code, [(CACHE_CONTROL, "no-store")], body).into_response()
}
