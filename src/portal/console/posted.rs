//! Forms that people send: that they are ours, of this session, and not too large.

use axum::Form;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::{Console, Trouble, Visitor};

/// Octets of a form: a request with 50 calls and a page of text is a tenth of it.
pub(super) const MOST_OCTETS: usize = 256 * 1024;
/// Fields of a form.
const MOST_FIELDS: usize = 1000;

/// Fields as a browser sent them.
#[derive(Clone, Debug, Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// What stands in a field, without space at both ends; empty where there is none.
    pub fn text(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(n, _)| n == name);
        found.map_or("", |(_, value)| value.trim())
    }

    /// What stands in a field, where something stands there.
    pub fn some(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|t| !t.is_empty())
    }

    /// What stands in a field as it was typed: passwords.
    pub fn raw(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(n, _)| n == name);
        found.map_or("", |(_, value)| value)
    }

    /// Whether a box is ticked, or a button of this name was pressed.
    pub fn is(&self, name: &str) -> bool {
        self.0.iter().any(|(n, _)| n == name)
    }

    /// All fields, for a page that shows again what was typed.
    pub fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }
}

/// A form of somebody who has logged in, with his token and from a page of ours.
#[derive(Clone, Debug)]
pub struct Posted {
    /// Who sent it.
    pub visitor: Visitor,
    /// What it says.
    pub fields: Fields,
}

impl FromRequest<Console> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, console: &Console) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        if !from_here(&parts.headers, console) {
            return Err(foreign().into_response());
        }
        let visitor = Visitor::from_request_parts(&mut parts, console).await?;
        let fields = read(Request::from_parts(parts, body)).await?;
        if !same(fields.raw("csrf"), &visitor.session.csrf) {
            return Err(foreign().into_response());
        }
        Ok(Self { visitor, fields })
    }
}

/// A form of somebody who has not logged in yet.
#[derive(Debug)]
pub(super) struct Unknown(pub Fields);

impl FromRequest<Console> for Unknown {
    type Rejection = Response;

    async fn from_request(request: Request, console: &Console) -> Result<Self, Response> {
        if !from_here(request.headers(), console) {
            return Err(foreign().into_response());
        }
        read(request).await.map(Self)
    }
}

async fn read(request: Request) -> Result<Fields, Response> {
    let form = Form::<Vec<(String, String)>>::from_request(request, &()).await;
    let Form(fields) = form.map_err(|e| {
        let why = "This form can't be read, or is too large.";
        Trouble::said(e.into_response().status(), why).into_response()
    })?;
    if fields.len() > MOST_FIELDS {
        let why = "This form has too many fields.";
        return Err(Trouble::said(StatusCode::PAYLOAD_TOO_LARGE, why).into_response());
    }
    Ok(Fields(fields))
}

/// What a form of another site, or of an earlier session, is told.
pub(super) fn foreign() -> Trouble {
    let why = "This form is not of this session: nothing was done. Go back, load the page again, and send it from there.";
    Trouble::said(StatusCode::FORBIDDEN, why)
}

/// Whether the browser says that the form is on a page of ours. Every browser of these years names the origin of what it posts.
pub(super) fn from_here(headers: &HeaderMap, console: &Console) -> bool {
    let text = |name| headers.get(name).and_then(|v| v.to_str().ok());
    let Some(origin) = text(ORIGIN) else {
        return false;
    };
    let settings = console.docket().settings();
    let public = settings.console.public_url.as_deref();
    if public.is_some_and(|url| url.trim_end_matches('/').eq_ignore_ascii_case(origin)) {
        return true;
    }
    let there = origin.split_once("://").map(|(_, authority)| authority);
    matches!((there, text(HOST)), (Some(there), Some(host)) if there.eq_ignore_ascii_case(host))
}

/// Whether two tokens are the same; takes as long for any that is not.
pub(super) fn same(one: &str, other: &str) -> bool {
    let differing = one
        .bytes()
        .zip(other.bytes())
        .fold(0, |d, (a, b)| d | (a ^ b));
    one.len() == other.len() && differing == 0 && !one.is_empty()
}
