//! A case or an inbox that is watched: its parts come anew, as server-sent events, whenever something about it changed.
//!
//! Bounds: [`OF_SESSION`] streams of a session, [`OF_ALL`] in all, [`LIFE`] each; the browser comes again by itself. News within [`PAUSE`] are one. A stream keeps no
//! session alive, and ends with it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

use super::{PARTS, data};
use crate::base::digest::Digest128;
use crate::portal::console::{Answer, Console, Trouble, Visitor, inbox};
use crate::portal::docket::Change;
use crate::portal::word::Role;
use minijinja::Value;

/// Streams of one session: some windows beside one another.
const OF_SESSION: usize = 8;
/// Streams in all: each costs a task and a page made anew for each change.
const OF_ALL: usize = 512;
/// A stream ends after so long, so that nothing is held for ever for who is gone.
const LIFE: Duration = Duration::from_secs(600);
/// So long nothing is sent after something was: an answer and what follows from it are one piece of news.
const PAUSE: Duration = Duration::from_millis(250);
/// A line without content every so often: proxies cut what is silent for longer, and who is gone is noticed.
const BEAT: Duration = Duration::from_secs(20);
/// Deadlines come nearer by themselves: the parts are made anew so often even without news.
const ANEW: Duration = Duration::from_secs(30);

/// Streams that are open.
#[derive(Clone, Debug, Default)]
pub(in crate::portal::console) struct Watchers(Arc<Mutex<HashMap<Box<[u8]>, usize>>>);

/// A place among them, given back at the end.
#[derive(Debug)]
struct Place(Watchers, Box<[u8]>);

impl Watchers {
    fn place(&self, session: &[u8]) -> Option<Place> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sum: usize = all.values().sum();
        let here = all.get(session).copied().unwrap_or(0);
        if sum >= OF_ALL || here >= OF_SESSION {
            return None;
        }
        all.insert(session.into(), here + 1);
        Some(Place(self.clone(), session.into()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(&self.1) {
            Some(n) if *n > 1 => *n -= 1,
            _ => {
                all.remove(&self.1);
            }
        }
    }
}

/// What is written goes out as it comes.
#[derive(Debug)]
struct Feed(mpsc::Receiver<Bytes>);

impl axum::body::HttpBody for Feed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0
            .poll_recv(cx)
            .map(|octets| octets.map(|o| Ok(Frame::data(o))))
    }
}

/// What is watched.
#[derive(Debug)]
enum Watched {
    Case(String),
    /// The open questions of the visitor's provider.
    Inbox,
}

impl Watched {
    fn parts(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Case(_) => &PARTS,
            Self::Inbox => &[("lines", "inboxlines.html")],
        }
    }

    async fn data(&self, console: &Console, visitor: &Visitor) -> Result<Value, Trouble> {
        match self {
            Self::Case(case) => data(console, visitor, case).await,
            Self::Inbox => inbox::open_lines(console, visitor).await,
        }
    }

    fn is_of(&self, change: &Change, visitor: &Visitor) -> bool {
        match self {
            Self::Case(case) => change.case.as_deref() == Some(case),
            Self::Inbox => {
                let provider = visitor.user().provider.as_deref();
                change.providers.iter().any(|p| Some(&**p) == provider)
            }
        }
    }
}

/// `GET /cases/{id}/events`.
pub(super) async fn events(
    State(console): State<Console>,
    Path(case): Path<String>,
    parts: Parts,
) -> Answer {
    watch(console, parts, super::ROLES, Watched::Case(case)).await
}

/// `GET /inbox/events`.
pub(in crate::portal::console) async fn inbox_events(
    State(console): State<Console>,
    parts: Parts,
) -> Answer {
    watch(console, parts, &[Role::Provider], Watched::Inbox).await
}

async fn watch(console: Console, parts: Parts, roles: &[Role], watched: Watched) -> Answer {
    // 204 tells the browser not to come again.
    let Some(visitor) = Visitor::find(&console, &parts, false).await? else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    visitor.is(roles)?;
    let Some(place) = console.watchers().place(&visitor.session.hash) else {
        let says = "Too many pages are being watched: close some, or load this one again by hand.";
        return Err(Trouble::said(StatusCode::TOO_MANY_REQUESTS, says));
    };
    // Listening begins before the first look: nothing can be missed between the two.
    let changes = console.docket().changes();
    watched.data(&console, &visitor).await?;
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(async move {
        let watch = Watch {
            console,
            visitor,
            parts,
            watched,
            sender,
            sent: HashMap::new(),
        };
        watch.run(changes).await;
        drop(place);
    });
    let headers = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-store"),
        // nginx would keep events back until its buffer is full.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::new(Feed(receiver))).into_response() as Response)
}

struct Watch {
    console: Console,
    visitor: Visitor,
    parts: Parts,
    watched: Watched,
    sender: mpsc::Sender<Bytes>,
    /// Digests of what the browser has.
    sent: HashMap<&'static str, String>,
}

impl Watch {
    async fn run(mut self, mut changes: tokio::sync::broadcast::Receiver<Change>) {
        let end = Instant::now() + LIFE;
        let mut anew = Instant::now();
        let mut beat = Instant::now() + BEAT;
        loop {
            let now = Instant::now();
            if now >= end {
                return;
            }
            if now >= anew {
                if self.send().await.is_none() {
                    return;
                }
                sleep(PAUSE).await;
                anew = Instant::now() + ANEW;
            }
            if now >= beat {
                if self.write(":\n\n".to_owned()).await.is_none() {
                    return;
                }
                beat = now + BEAT;
            }
            match timeout_at(anew.min(beat).min(end), changes.recv()).await {
                Ok(Ok(change)) if self.watched.is_of(&change, &self.visitor) => {
                    anew = Instant::now()
                }
                Ok(Ok(_)) | Err(_) => {}
                // Some were missed: maybe ours.
                Ok(Err(RecvError::Lagged(_))) => anew = Instant::now(),
                Ok(Err(RecvError::Closed)) => return,
            }
            if self.sender.is_closed() {
                return;
            }
        }
    }

    /// Sends the parts that changed; `None` ends the stream.
    async fn send(&mut self) -> Option<()> {
        // Whoever logged out, was disabled or may no longer see the case sees no more of it.
        let found = Visitor::find(&self.console, &self.parts, false).await;
        self.visitor = found.ok()??;
        let data = self.watched.data(&self.console, &self.visitor).await;
        let data = data.ok()?;
        for &(part, template) in self.watched.parts() {
            let html = self
                .console
                .part(&self.visitor, template, data.clone())
                .ok()?;
            let digest = Digest128::of(html.as_bytes()).to_string();
            if self.sent.get(part) == Some(&digest) {
                continue;
            }
            let event = json!({ "digest": digest, "html": html });
            self.write(format!("event: {part}\ndata: {event}\n\n"))
                .await?;
            self.sent.insert(part, digest);
        }
        Some(())
    }

    async fn write(&self, text: String) -> Option<()> {
        // Who does not read holds up nobody but himself, and no longer than the stream lasts.
        self.sender.send(Bytes::from(text)).await.ok()
    }
}
