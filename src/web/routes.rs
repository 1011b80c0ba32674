//! What is answered to whom.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use super::{Check, Status};

/// Prometheus' text format, as its documentation names it.
pub(crate) const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Styles of our own, and nothing else.
const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What can be asked for beside the path.
#[derive(Debug, Default, serde::Deserialize)]
struct Wish {
    format: Option<String>,
    refresh: Option<String>,
}

/// All paths.
pub(super) fn router(status: Arc<dyn Status>) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/style.css", get(style))
        .route("/metrics", get(metrics))
        .route("/healthz", get(health))
        .route("/readyz", get(readiness))
        .with_state(status)
}

async fn page(State(status): State<Arc<dyn Status>>, Query(wish): Query<Wish>) -> Response {
    let again = wish.refresh.as_deref() != Some("0");
    (guarded("text/html; charset=utf-8"), status.page(again)).into_response()
}

async fn style(State(status): State<Arc<dyn Status>>) -> Response {
    (guarded("text/css; charset=utf-8"), status.style()).into_response()
}

/// Headers of what a browser shows: nothing may run there, nothing is loaded from elsewhere, nobody frames it or keeps it.
fn guarded(kind: &'static str) -> [(HeaderName, &'static str); 5] {
    [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ]
}

async fn metrics(State(status): State<Arc<dyn Status>>) -> Response {
    let headers = [(CONTENT_TYPE, TEXT_FORMAT), (CACHE_CONTROL, "no-store")];
    (headers, status.metrics()).into_response()
}

async fn health(
    State(status): State<Arc<dyn Status>>,
    headers: HeaderMap,
    Query(wish): Query<Wish>,
) -> Response {
    answer(&status.health(), &headers, wish)
}

async fn readiness(
    State(status): State<Arc<dyn Status>>,
    headers: HeaderMap,
    Query(wish): Query<Wish>,
) -> Response {
    answer(&status.readiness(), &headers, wish)
}

fn answer(checks: &[Check], headers: &HeaderMap, wish: Wish) -> Response {
    let ok = checks.iter().all(|c| c.ok);
    let code = match ok {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    let no_store = [(CACHE_CONTROL, "no-store")];
    if wants_json(headers, wish) {
        let body = axum::Json(json!({ "ok": ok, "checks": checks }));
        return (code, no_store, body).into_response();
    }
    let mut text = String::from(if ok { "ok\n" } else { "not ok\n" });
    for c in checks {
        let word = if c.ok { "ok" } else { "NOT OK" };
        // Writing into a string can't fail.
        let _ = writeln!(text, "{}: {word}: {}", c.name, c.state);
    }
    (code, no_store, text).into_response()
}

/// Whether JSON is asked for. The first kind that we have counts; weights are for pages with more to choose from.
fn wants_json(headers: &HeaderMap, wish: Wish) -> bool {
    if let Some(format) = wish.format {
        return format == "json";
    }
    let accept = headers.get(ACCEPT).and_then(|v| v.to_str().ok());
    let kinds = accept.unwrap_or_default().split(',');
    let mut kinds = kinds.map(|k| k.split(';').next().unwrap_or_default().trim());
    kinds.find(|k| matches!(*k, "application/json" | "text/plain" | "text/*" | "*/*"))
        == Some("application/json")
}
