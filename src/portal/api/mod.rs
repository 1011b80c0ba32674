//! The portal over HTTP, for machines: providers' daemons ask, receive and answer here; requesters' machines hand requests in.
//!
//! ```text
//! connection ─► which route? ─► who is it? ─► how often? ─► body, bounded ─► docket ─► reply
//! ```
//!
//! | route | for | says |
//! |---|---|---|
//! | `GET /v1/providers/{pid}/hop-requests` | that provider | questions that it has not acknowledged; waits |
//! | `GET /v1/providers/{pid}/events` | that provider | other events; waits |
//! | `POST /v1/hop-requests/{id}/ack` | its provider | the question is durable there |
//! | `PUT …/answers/{answer_id}` | its provider | an answer, signed |
//! | `PUT …/drafts/{answer_id}` | its provider | a draft for its staff in the console |
//! | `POST /v1/providers/{pid}/reports/{key}` | that provider | a campaign that nobody asked about |
//! | `POST /v1/tracebacks`, `GET …/{id}` | requesters' machines | a request, and what became of it |
//! | `GET /.well-known/traceback-portal` | everybody | who we are, and our public key |
//! | `GET /metrics`, `/healthz`, `/readyz` | whoever watches, on loopback alone | figures and health |
//!
//! The description is docs/api/portal.yaml; a test holds both against each other. Refused: whoever is not known (401, whatever he asks for). What is another
//! provider's and what is not there are the same 404. Bounds: connections and time (`web::listen`), a head of 8 KiB, bodies by route ([`routes`]), so many
//! requests a minute by machine, and so many that wait ([`pull`]).
//!
//! - [`server`]: the socket and its thread
//! - [`routes`]: which path leads where, and for whom
//! - [`guard`]: who it is, how often, how long
//! - [`pull`], [`answers`], [`requests`], [`about`]: what is done there
//! - [`problem`]: what is said when something is not done
//! - [`counters`]: what became of requests

pub mod about;
pub mod answers;
pub mod counters;
pub mod guard;
pub mod problem;
pub mod pull;
pub mod requests;
pub mod routes;
pub mod server;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

pub use counters::ApiCounters;
pub use server::{ApiError, ApiServer, RunningApi};

use super::docket::Docket;
use crate::base::Timestamp;
use crate::web::Status;
use crate::web::rate::Buckets;

/// What all handlers share.
pub(crate) struct Api {
    docket: Arc<Docket>,
    /// Machines of requesters.
    requesters: Arc<ArcSwap<guard::Requesters>>,
    rates: Buckets<guard::Machine>,
    waiting: pull::Waiting,
    counters: Arc<counters::Counters>,
    status: Arc<dyn Status>,
    now: fn() -> Timestamp,
    /// Turns true when the server stops: nobody waits any longer then.
    stopped: watch::Receiver<bool>,
}

/// Runs what waits for the disk where it holds up nobody.
async fn off<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, problem::Denied> {
    tokio::task::spawn_blocking(work).await.map_err(|e| {
        tracing::error!("the portal's API: {e}");
        problem::trouble()
    })
}
