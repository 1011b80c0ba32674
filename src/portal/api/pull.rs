//! What a provider asks for: questions and events. Where there is nothing it waits, and is woken by what changes for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Extension;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};

use super::answers::named;
use super::guard::{Machine, malformed};
use super::problem::{Denied, absent};
use super::{Api, off};
use crate::portal::docket::Docket;
use crate::portal::docket::wire::Page;

/// Longest wait that may be asked for.
pub const LONGEST: u64 = 60;
/// How often those who wait look, where nothing told them to: another process may have written, such as `tracehop portal` at a terminal.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Requests of one provider that wait at once: two lists, of a daemon and of its stand-by, and as many again. Others get an empty page at once.
const WAITING: usize = 8;

/// How many requests of each provider wait.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<HashMap<Arc<str>, usize>>);

/// A place among those who wait, given back at the end.
struct Place<'a>(&'a Waiting, Arc<str>);

impl Waiting {
    fn place(&self, provider: &Arc<str>) -> Option<Place<'_>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let n = all.entry(provider.clone()).or_default();
        if *n >= WAITING {
            return None;
        }
        *n += 1;
        Some(Place(self, provider.clone()))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut all = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(&self.1) {
            Some(n) if *n > 1 => *n -= 1,
            _ => drop(all.remove(&self.1)),
        }
    }
}

/// What can be asked for beside the path.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wish {
    state: String,
    cursor: String,
    wait: String,
}

impl Wish {
    fn read(&self) -> Result<(i64, Duration), Denied> {
        if !self.state.is_empty() && self.state != "open" {
            return Err(malformed("state is \"open\", or left out."));
        }
        let cursor = match &*self.cursor {
            "" => Ok(0),
            text => text.parse::<i64>().map_err(|_| ()),
        };
        let cursor = cursor.ok().filter(|c| *c >= 0);
        let cursor = cursor.ok_or_else(|| malformed("cursor is one that a page gave."))?;
        let wait = match &*self.wait {
            "" => Some(0),
            text => text.parse::<u64>().ok().filter(|w| *w <= LONGEST),
        };
        let wait = wait.ok_or_else(|| malformed("wait is a number of seconds, 60 at most."))?;
        Ok((cursor, Duration::from_secs(wait)))
    }
}

/// `GET /v1/providers/{pid}/hop-requests`
pub(super) async fn questions(
    State(api): State<Arc<Api>>,
    Extension(machine): Extension<Machine>,
    pid: Result<Path<String>, PathRejection>,
    wish: Result<Query<Wish>, QueryRejection>,
) -> Result<Response, Denied> {
    let provider = Api::own(&machine, &named(pid)?)?;
    let (cursor, wait) = wished(wish)?;
    let look = |docket: &Docket, provider: &str, after| docket.open_questions(provider, after);
    let page = api.page(provider, cursor, wait, look).await?;
    Ok(listed("requests", &page))
}

/// `GET /v1/providers/{pid}/events`
pub(super) async fn events(
    State(api): State<Arc<Api>>,
    Extension(machine): Extension<Machine>,
    pid: Result<Path<String>, PathRejection>,
    wish: Result<Query<Wish>, QueryRejection>,
) -> Result<Response, Denied> {
    let provider = Api::own(&machine, &named(pid)?)?;
    let (cursor, wait) = wished(wish)?;
    let now = api.now;
    let look = move |docket: &Docket, provider: &str, after| docket.events(provider, after, now());
    let page = api.page(provider, cursor, wait, look).await?;
    Ok(listed("events", &page))
}

fn wished(wish: Result<Query<Wish>, QueryRejection>) -> Result<(i64, Duration), Denied> {
    let Query(wish) = wish.map_err(|_| malformed("The query can't be read."))?;
    wish.read()
}

impl Api {
    /// A page as soon as there is something on it, or when the time is over.
    async fn page(
        &self,
        provider: Arc<str>,
        cursor: i64,
        wait: Duration,
        look: impl Fn(&Docket, &str, i64) -> crate::portal::docket::Result<Page> + Copy + Send + 'static,
    ) -> Result<Page, Denied> {
        let until = Instant::now() + wait;
        // Before the first look: what comes in between wakes us.
        let mut changes = self.docket.changes();
        let mut stopped = self.stopped.clone();
        let place = self.waiting.place(&provider);
        loop {
            let (docket, whose) = (self.docket.clone(), provider.clone());
            let page = off(move || look(&docket, &whose, cursor)).await??;
            let over = Instant::now() >= until || *stopped.borrow();
            if !page.entries.is_empty() || over || place.is_none() {
                return Ok(page);
            }
            let again = until.min(Instant::now() + LOOK_AGAIN);
            loop {
                tokio::select! {
                    change = changes.recv() => match change {
                        Ok(change) if change.providers.contains(&provider) => break,
                        Ok(_) => {}
                        Err(RecvError::Lagged(_)) => break,
                        Err(RecvError::Closed) => return Err(absent()),
                    },
                    () = sleep_until(again) => break,
                    _ = stopped.wait_for(|stop| *stop) => break,
                }
            }
        }
    }
}

/// A page as JSON, its entries octet by octet as they are.
fn listed(name: &str, page: &Page) -> Response {
    let mut body = format!("{{\"{name}\":[").into_bytes();
    for (n, entry) in page.entries.iter().enumerate() {
        if n > 0 {
            body.push(b',');
        }
        body.extend_from_slice(entry);
    }
    body.extend_from_slice(format!("],\"cursor\":\"{}\"}}", page.cursor).as_bytes());
    let headers = [
        (CONTENT_TYPE, "application/json"),
        (CACHE_CONTROL, "no-store"),
    ];
    (headers, body).into_response()
}
