//! What is answered to whom.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use super::{Check, Status};

/// Prometheus' text format, as its documentation names it.
pub(crate) const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What can be asked for beside the path.
#[derive(Debug, Default, serde::Deserialize)]
struct Wish {
    format: Option<String>,
}

/// All paths.
pub(super) fn router(status: Arc<dyn Status>) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/metrics", get(metrics))
        .route("/healthz", get(health))
        .route("/readyz", get(readiness))
        .with_state(status)
}

async fn index() -> &'static str {
    concat!(
        "tracehop ",
        env!("CARGO_PKG_VERSION"),
        "\n/metrics\n/healthz\n/readyz\n"
    )
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
