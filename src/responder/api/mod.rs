//! The provider's side of a traceback over HTTP: portals push requests and read answers, people of this house decide.
//!
//! ```text
//! connection ─► whole request, bounded ─► who is it? ─► what may he? ─► desk ─► reply
//!                        └──────────────── no ──┴──────── no ─┴─► one refusal for all, at a fixed time
//! ```
//!
//! | route | for | says |
//! |---|---|---|
//! | `POST /v1/hop-requests` | portals, signed | takes a request, or a word about one |
//! | `GET /v1/hop-requests/{id}` | its portal, operators | where it stands |
//! | `GET …/answer` | its portal, operators | the signed answer, as sent |
//! | `GET …/evidence` | its portal, operators | what the answer rests on, and its place in the audit log |
//! | `POST …/decision` | operators: decide | approve, edit, reject, ask |
//! | `GET /v1/hop-requests` | operators: read | requests, never calls |
//! | `POST /v1/lookups` | operators: lookup | a look-up with its candidates, in the audit log first |
//! | `GET /v1/coverage` | operators: read | what was seen of a span of time |
//! | `GET /v1/audit/head`, `…/proof` | operators: audit | signed head, proof of a line |
//! | `POST /v1/halt`, `/v1/resume` | operators: decide | stops and lets go everything that leaves |
//! | `GET /.well-known/traceback-provider`, `…/jwks.json` | everybody | who we are, and our public keys |
//!
//! The description is docs/api/hop-answer.yaml; a test holds both against each other. What it defends against, and how: docs/THREATS.md.
//!
//! Refused: whoever is not known. All [`refusal`]s are one and the same response, and leave at a fixed time after the request was whole.
//! Bounds: connections and time (`web::listen`), a head of 8 KiB, a body of [`refusal::BODY_OCTETS`], so many requests a minute by issuer
//! ([`limits`]), so many that wait for an answer ([`limits::WAITING`]), ids of events for ten minutes ([`webhook`]).
//!
//! - [`server`]: the socket and its thread
//! - [`auth`]: who it is
//! - [`webhook`]: signatures of events
//! - [`limits`]: how much of it
//! - [`refusal`]: no, always the same
//! - [`problem`]: what those who are known are told
//! - [`routes`]: which path leads where
//! - [`push`], [`requests`], [`operator`], [`provider`]: what is done there

pub mod auth;
pub mod counters;
pub mod limits;
pub mod operator;
pub mod problem;
pub mod provider;
pub mod push;
pub mod refusal;
pub mod requests;
pub mod routes;
pub mod server;
pub mod webhook;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::sync::watch;

pub use counters::ApiCounters;
pub use server::{ApiError, ApiServer, ApiView, RunningApi};

use super::Answered;
use super::case::RequestKey;
use super::desk::Desk;
use crate::base::Timestamp;
use crate::call::record::Coverage;
use crate::proof::sign::Signer;
use crate::traceback::answer::Party;
use crate::traceback::request::{HopRequest, Insufficient};

/// What the API needs beside the desk. Methods are called on threads that may wait; each must end within seconds.
pub trait ApiBackend: Send + Sync + 'static {
    /// Something new lies on the desk: whoever matches should look.
    fn taken(&self, key: &RequestKey);

    /// Changes whenever requests moved, so that those who wait look again. Missing a change costs a wait of [`limits::LOOK_AGAIN`].
    fn moved(&self) -> watch::Receiver<u64>;

    /// Reads an operator's request.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it.
    fn read(&self, octets: &[u8]) -> Result<HopRequest, Insufficient>;

    /// Looks a call up and matches. It is in the audit log already.
    ///
    /// # Errors
    ///
    /// What the store could not do; for the log, not for who asks.
    fn look_up(&self, request: &HopRequest, now: Timestamp) -> Result<Answered, String>;

    /// Rows of the coverage ledger.
    ///
    /// # Errors
    ///
    /// What the store could not do; for the log.
    fn coverage(&self, from: Timestamp, until: Timestamp) -> Result<Vec<Coverage>, String>;

    /// Sensors that must have been looking.
    fn sensors(&self) -> Vec<Arc<str>>;

    /// A neighbour by its id in `peers.toml`, and how an answer names it.
    fn party(&self, peer: &str) -> Option<(Arc<str>, Party)>;

    /// Who we are.
    fn about(&self) -> About;

    /// The key that answers are signed with.
    fn signer(&self) -> Option<Arc<Signer>>;
}

/// Who we are, as everybody may know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Our legal name.
    pub name: Option<Arc<str>>,
    /// Our ids at portals and registries.
    pub ids: Vec<Arc<str>>,
    /// For how many days calls are kept.
    pub retention_days: u32,
}

/// What all handlers share.
pub(crate) struct Api {
    desk: Arc<Desk>,
    backend: Arc<dyn ApiBackend>,
    door: arc_swap::ArcSwap<auth::Door>,
    limits: limits::Limits,
    seen: webhook::Seen,
    counters: Arc<counters::Counters>,
    now: fn() -> Timestamp,
    started: Timestamp,
}
