//! The shared engine: one ClickHouse cluster that holds the records of many probes.
//!
//! ```text
//! probe 1 ── embedded store ──┐ sealed files, in order          ┌── shard 1: two replicas
//! probe 2 ── embedded store ──┼───────── forwarder ─────────────┼── shard 2: two replicas
//! probe 3 ── embedded store ──┘                                 └── …
//!                  │                                                     │
//!                  └─────────────── look-up: both, merged ───────────────┘
//! ```
//!
//! A probe's own store stays what it is, and is the spool: [`forward`] sends what is sealed, in the order of sealing, each file in batches that are the same octets
//! whenever they are made, until the engine has acknowledged them. [`read`] asks the engine and the probe's own store and gives one answer. It never says of a time
//! that it was seen when the records of that time may still be on their way: see there.
//!
//! - [`client`]: statements and answers over HTTP, fail-over, whether a replica has all that was acknowledged
//! - [`schema`]: the tables, `config/clickhouse/*.sql`, and bringing a node up to date
//! - [`cursor`]: how far this probe has come · [`forward`]: the forwarder · [`read`]: look-ups
//! - [`probes`]: who forwards, and until when all of it is there
//! - [`check`]: what an operator asks before trusting it · [`retain`]: forgetting by the day
//!
//! No text from outside becomes part of a statement: numbers and times are integers, texts go as `RowBinary`.

pub mod check;
pub mod client;
pub mod cursor;
pub mod forward;
pub mod probes;
pub mod read;
pub mod retain;
pub mod schema;

use std::sync::Arc;
use std::time::Duration;

pub use self::client::{Engine, EngineError};
pub use self::forward::{ForwardState, Forwarder};
pub use self::read::Asked;
use super::embedded::StoreReader;
use super::{Lookup, StoreError};
use crate::web::client::ClientSettings;

/// The highest number that a probe can have.
pub const MOST_PROBES: u16 = super::embedded::spool::MOST_PROBES;

/// The engine as the operator wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineSettings {
    /// This probe's number, 1 to [`MOST_PROBES`]; no other has it.
    pub probe: u16,
    /// Its name, as others' coverage shows it.
    pub name: Arc<str>,
    /// Nodes by shard, replicas of the same shard side by side.
    pub shards: Vec<Vec<ClientSettings>>,
    /// Replicas that must have a batch before it counts as acknowledged.
    pub quorum: u8,
    /// How long records stay in the engine.
    pub retention: Duration,
}

/// What one question is asked of: the engine and the own store where there is an engine, else the own store.
///
/// # Errors
///
/// [`StoreError::Engine`]: the own store alone would be no answer.
pub fn ask(
    engine: Option<&Arc<Engine>>,
    reader: &StoreReader,
) -> Result<Box<dyn Lookup>, StoreError> {
    match engine {
        Some(engine) => Ok(Box::new(Asked::begin(engine.clone(), reader.clone())?)),
        None => Ok(Box::new(reader.clone())),
    }
}
