//! Who it is, how often it may, and how much is read of it: before any handler.
//!
//! Who is not known costs a look at an index and no octet of memory: what it sends is thrown away. Tokens of requesters are kept as MACs under a key of this
//! process; those of providers as SHA-256, in the docket.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ring::{hmac, rand};

use super::problem::{Denied, MALFORMED, SLOW, TOO_LARGE, TOO_MANY, UNKNOWN, absent, trouble};
use super::routes::{For, Route};
use super::{Api, off};
use crate::portal::settings::RequesterSettings;
use crate::web::body::{Unread, whole};
use crate::web::listen::Guest;

/// How much of a body that is too long is read and thrown away, in times of its bound, so that its sender gets to read why.
const DRAINED: usize = 4;
/// Longest token that is looked at: ours have 47 characters.
const TOKEN: usize = 256;

/// Whose machine it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Machine {
    /// A provider's.
    Provider(Arc<str>),
    /// One that hands requests in, by its name, and for whom.
    Requester(Arc<str>, Arc<str>),
}

/// Machines that hand requests in.
#[derive(Debug)]
pub struct Requesters {
    key: hmac::Key,
    all: Vec<(Machine, hmac::Tag)>,
}

impl Requesters {
    /// Reads their tokens.
    ///
    /// # Errors
    ///
    /// Which file is wrong, and what is wrong with it.
    pub fn read(settings: &[RequesterSettings]) -> Result<Self, String> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new())
            .map_err(|_| "no random numbers from the host".to_owned())?;
        let mut all: Vec<(Machine, hmac::Tag)> = Vec::new();
        for one in settings {
            let token = token_of(&one.token_file)
                .map_err(|e| format!("{}: {e}", one.token_file.display()))?;
            let tag = hmac::sign(&key, token.as_bytes());
            if all.iter().any(|(_, t)| t.as_ref() == tag.as_ref()) {
                let path = one.token_file.display();
                return Err(format!("{path}: somebody else has this token"));
            }
            let machine = Machine::Requester(one.name.clone(), one.organisation.clone());
            all.push((machine, tag));
        }
        Ok(Self { key, all })
    }

    fn known(&self, token: &str) -> Option<Machine> {
        let is = |tag: &hmac::Tag| hmac::verify(&self.key, token.as_bytes(), tag.as_ref()).is_ok();
        let found = self.all.iter().find(|(_, tag)| is(tag));
        found.map(|(machine, _)| machine.clone())
    }
}

fn token_of(path: &Path) -> std::io::Result<String> {
    Ok(std::fs::read_to_string(path)?.trim().to_owned())
}

fn bearer(headers: &HeaderMap) -> Result<Option<String>, Denied> {
    let Some(shown) = headers.get(AUTHORIZATION) else {
        return Ok(None);
    };
    let text = shown.to_str().ok().and_then(|t| t.split_once(' '));
    let token = text.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let token = token.map(|(_, token)| token.trim());
    match token.filter(|t| !t.is_empty() && t.len() <= TOKEN) {
        Some(token) => Ok(Some(token.to_owned())),
        None => Err(unknown()),
    }
}

fn unknown() -> Denied {
    Denied::new(
        UNKNOWN,
        "Show the token that the portal gave you, with the client certificate where you are bound to one.",
    )
}

/// Lets a request through to its handler, with whose it is and its body whole, and counts what becomes of it.
pub(super) async fn guard(
    State((api, place, route)): State<(Arc<Api>, usize, &'static Route)>,
    request: Request,
    next: Next,
) -> Response {
    let response = handle(&api, route, request, next).await;
    api.counters.reply(Some(place), response.status().as_u16());
    response
}

async fn handle(api: &Arc<Api>, route: &Route, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let guest = parts.extensions.get::<Guest>().cloned().unwrap_or_default();
    let admitted = admit(api, route, &parts.headers, &guest).await;
    let machine = match admitted {
        Ok(machine) => machine,
        Err(denied) => {
            // What it sent besides is read a little, so that it gets to read this.
            let _ = whole(body, 0, DRAINED * route.most).await;
            return denied.into_response();
        }
    };
    let announced = parts.headers.get(CONTENT_LENGTH);
    let announced = announced.and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    let most = match announced {
        // It is never kept then.
        Some(n) if n > route.most => 0,
        _ => route.most,
    };
    let octets = match whole(body, most, DRAINED * route.most).await {
        Ok(octets) => octets,
        Err(Unread::TooLong) => {
            let text = format!("{} octets at most are read here.", route.most);
            return Denied::new(TOO_LARGE, text).into_response();
        }
        Err(Unread::Broken) => {
            return Denied::new(SLOW, "Send it within ten seconds.").into_response();
        }
    };
    if let Some(machine) = machine {
        parts.extensions.insert(machine);
    }
    next.run(Request::from_parts(parts, octets.into())).await
}

async fn admit(
    api: &Arc<Api>,
    route: &Route,
    headers: &HeaderMap,
    guest: &Guest,
) -> Result<Option<Machine>, Denied> {
    let machine = match route.whose {
        For::Everybody => return Ok(None),
        For::Watchers => {
            let inside = api.docket.settings().api.address.ip().is_loopback();
            return inside.then_some(None).ok_or_else(absent);
        }
        For::Requesters => {
            let token = bearer(headers)?.ok_or_else(unknown)?;
            api.requesters.load().known(&token).ok_or_else(unknown)?
        }
        For::Providers => {
            let token = bearer(headers)?;
            if token.is_none() && guest.certificate.is_none() {
                return Err(unknown());
            }
            let (docket, shown) = (api.docket.clone(), guest.certificate.clone());
            let found = off(move || docket.machine(token.as_deref(), shown.as_deref())).await??;
            Machine::Provider(found.ok_or_else(unknown)?.into())
        }
    };
    let most = api.docket.settings().per_minute;
    let taken = api.rates.take(machine.clone(), most, Instant::now());
    taken.map_err(|wait| {
        let text = format!("{most} requests in a minute are allowed.");
        Denied::new(TOO_MANY, text).after(wait)
    })?;
    Ok(Some(machine))
}

impl Api {
    /// The provider whose machine it is; of another one's path there is nothing.
    pub(super) fn own(machine: &Machine, pid: &str) -> Result<Arc<str>, Denied> {
        match machine {
            Machine::Provider(id) if **id == *pid => Ok(id.clone()),
            _ => Err(absent()),
        }
    }

    /// The provider whose machine it is.
    pub(super) fn provider(machine: &Machine) -> Result<Arc<str>, Denied> {
        match machine {
            Machine::Provider(id) => Ok(id.clone()),
            // The guard lets nobody else through.
            Machine::Requester(..) => Err(trouble()),
        }
    }
}

/// A query that can't be read.
pub(super) fn malformed(what: &str) -> Denied {
    Denied::new(MALFORMED, what)
}
