//! Style sheet, script and icon: compiled in, named by what is in them, so that browsers keep them for good.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;

use super::{Answer, Console, Trouble};
use crate::base::digest::Digest128;

/// A file as it is served.
#[derive(Debug)]
struct Asset {
    name: String,
    kind: &'static str,
    octets: &'static str,
}

impl Asset {
    fn new(stem: &str, end: &str, kind: &'static str, octets: &'static str) -> Self {
        let digest = Digest128::of(octets.as_bytes());
        Self {
            name: format!("{stem}-{digest}.{end}"),
            kind,
            octets,
        }
    }
}

static ASSETS: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    [
        Asset::new(
            "style",
            "css",
            "text/css; charset=utf-8",
            include_str!("pages/style.css"),
        ),
        Asset::new(
            "live",
            "js",
            "text/javascript; charset=utf-8",
            include_str!("pages/live.js"),
        ),
        Asset::new(
            "icon",
            "svg",
            "image/svg+xml",
            include_str!("pages/icon.svg"),
        ),
    ]
});

/// Where they are, for the head of a page.
#[derive(Debug, Serialize)]
pub(super) struct Assets {
    style: String,
    script: String,
    icon: String,
}

pub(super) static PATHS: LazyLock<Assets> = LazyLock::new(|| {
    let [style, script, icon] = ASSETS.each_ref().map(|a| format!("/static/{}", a.name));
    Assets {
        style,
        script,
        icon,
    }
});

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/static/{name}", get(serve))
}

async fn serve(Path(name): Path<String>, headers: HeaderMap) -> Answer {
    let Some(asset) = ASSETS.iter().find(|a| a.name == name) else {
        return Err(Trouble::absent("file"));
    };
    let tag = format!("\"{}\"", asset.name);
    let kept = headers
        .get(IF_NONE_MATCH)
        .is_some_and(|v| v.as_bytes() == tag.as_bytes());
    let mut response: Response = if kept {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(CONTENT_TYPE, asset.kind)], asset.octets).into_response()
    };
    let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
    response.headers_mut().insert(CACHE_CONTROL, forever);
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    Ok(response)
}
