//! The only room with threads and queues.
//!
//! ```text
//! sources ─ caught ─► intake ─► judges ─► collect ─► keeper ─► store       pipeline: intake, judges, collect
//!                                 trust ─┘
//! ```
//!
//! - [`pipeline`]: the three stages on threads, from a source of messages to a store
//! - [`intake`]: what live sources caught, in order, without what is let go
//! - [`keeper`]: a store that goes on when the disk does not
//! - [`neighbours`]: what is kept of neighbours beside the records
//! - [`trust`]: credentials over reloads · `open_calls`, `flag_memory`: what is carried over a restart, in a `state_file`
//! - [`run`]: the daemon's life · `source`: a thread that reads an interface
//! - [`status`]: what is shown over HTTP
//! - [`page`]: the same and today's calls for people, as a page
//! - [`metrics`]: what a run counted, as Prometheus reads it

mod flag_memory;
mod found;
pub mod intake;
pub mod keeper;
pub mod metrics;
pub mod neighbours;
mod open_calls;
pub mod page;
pub mod pipeline;
pub mod run;
pub mod source;
mod state_file;
pub mod status;
pub mod trust;
