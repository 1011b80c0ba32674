//! Floor 3: calls. From single messages to call attempts, the neighbour who handed them over, flags, and the record.
//!
//! - [`attempt`]: INVITE transactions become call attempts
//! - [`classify`]: which flags a call earns
//! - [`leg`]: which ingress leg became which egress leg
//! - [`peer`]: the neighbour who handed a call over
//! - [`record`]: what is stored of a call attempt: the narrow waist of the house

pub mod attempt;
pub mod classify;
pub mod leg;
pub mod peer;
pub mod record;
