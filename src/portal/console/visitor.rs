//! Who asks for a page.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::header::COOKIE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};

use super::page::said;
use super::{Console, Trouble};
use crate::portal::docket::{Actor, Session, User};
use crate::portal::word::Role;
use crate::web::client::escaped;
use crate::web::listen::Guest;

/// Longest path that one comes back to after logging in.
const MOST_NEXT: usize = 1024;

/// Somebody who has logged in.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// The session.
    pub session: Session,
    /// Path and query of what was asked for.
    pub path: String,
    /// What the act before says of itself.
    pub said: Option<&'static str>,
}

impl Visitor {
    /// Who it is.
    pub fn user(&self) -> &User {
        &self.session.user
    }

    /// As acts of the docket know him.
    pub fn actor(&self) -> Actor {
        self.user().actor()
    }

    /// Lets go on who has one of these roles; for others there is no such page.
    ///
    /// # Errors
    ///
    /// [`Trouble`], which looks as if the page were not there.
    pub fn is(&self, roles: &[Role]) -> Result<(), Trouble> {
        if roles.contains(&self.user().role) {
            Ok(())
        } else {
            Err(Trouble::absent("page"))
        }
    }

    /// Finds out who asks. `used` is as in [`crate::portal::docket::Docket::session`].
    pub(super) async fn find(
        console: &Console,
        parts: &Parts,
        used: bool,
    ) -> Result<Option<Self>, Trouble> {
        let Some(cookie) = cookie(&parts.headers, console.cookie_name()) else {
            return Ok(None);
        };
        let session = console
            .look(move |docket, now| docket.session(&cookie, used, now))
            .await?;
        let path = parts.uri.path_and_query().map_or("/", |p| p.as_str());
        Ok(session.map(|session| Self {
            session,
            path: path.to_owned(),
            said: said(parts.uri.query().unwrap_or_default()),
        }))
    }
}

impl FromRequestParts<Console> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Response> {
        match Self::find(console, parts, true).await {
            Ok(Some(visitor)) => Ok(visitor),
            Ok(None) if matches!(parts.method, Method::GET | Method::HEAD) => {
                let path = parts.uri.path_and_query().map_or("/", |p| p.as_str());
                let to = match path {
                    "/" => "/login".to_owned(),
                    path => format!("/login?next={}", escaped(path)),
                };
                Err(Redirect::to(&to).into_response())
            }
            Ok(None) => Err(Trouble::said(
                StatusCode::FORBIDDEN,
                "Your session has ended: nothing was done. Log in, and do it again.",
            )
            .into_response()),
            Err(trouble) => Err(trouble.into_response()),
        }
    }
}

impl Console {
    /// Name of the cookie. With TLS the browser itself sees to it that no other host and no plain page sets it.
    pub(super) fn cookie_name(&self) -> &'static str {
        if self.by_tls() {
            "__Host-session"
        } else {
            "session"
        }
    }

    /// Whether people come by TLS: here, or at a proxy in front.
    pub(super) fn by_tls(&self) -> bool {
        let settings = self.docket().settings();
        let url = settings.console.public_url.as_deref();
        settings.console.tls.is_some() || url.is_some_and(|u| u.starts_with("https://"))
    }
}

/// The value of a cookie.
fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|v| v.to_str().ok());
    let mut all = all
        .flat_map(|v| v.split(';'))
        .filter_map(|c| c.trim().split_once('='));
    let value = all.find(|(n, _)| *n == name).map(|(_, v)| v.to_owned());
    value.filter(|v| v.len() <= 128)
}

/// Where one may be sent after logging in: a path of ours, and nothing that a browser could take for another host.
pub(super) fn next(path: &str) -> &str {
    let ours = path.starts_with('/') && !path.starts_with("//") && path.len() <= MOST_NEXT;
    let plain = !path.contains('\\') && !path.chars().any(|c| c.is_control() || c.is_whitespace());
    if ours && plain { path } else { "/" }
}

/// The address of who asks, as text; `-` where it is not known.
pub(super) fn address(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<Guest>().and_then(|g| g.address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_logging_in_one_stays_here() {
        for path in ["/cases", "/cases/TB-2026-000001?x=1"] {
            assert_eq!(next(path), path);
        }
        for path in [
            "//example.org/",
            "https://example.org/",
            "/\\example.org",
            "",
            "x",
            "/a\r\nb",
        ] {
            assert_eq!(next(path), "/", "{path}");
        }
    }
}
