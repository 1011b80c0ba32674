//! The only room with threads and queues.
//!
//! - [`metrics`]: what a run counted, as Prometheus reads it
//! - [`pipeline`]: the three stages on threads, from a source of frames to a store
//! - `park`: the thread on which calls wait for certificates

pub mod keeper;
pub mod metrics;
mod park;
pub mod pipeline;
