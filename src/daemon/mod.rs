//! The only room with threads and queues.
//!
//! - [`metrics`]: what a run counted, as Prometheus reads it
//! - [`pipeline`]: the three stages on threads, from a source of frames to a store

pub mod metrics;
pub mod pipeline;
