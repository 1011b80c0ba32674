//! When an answer is due, by the rule of the country. Rules are data; what could not be verified is marked so.

use crate::base::Timestamp;

/// By which rule deadlines run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum DeadlineRule {
    /// 47 CFR 64.1200(n)(1): 24 h on a clock that keeps business hours.
    #[default]
    Us,
    /// Canada: two business days.
    Canada,
    /// 24 h by the wall.
    Plain,
}

/// The deadline of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// From when the clock counts.
    pub starts: Timestamp,
    /// When the answer is due.
    pub due: Timestamp,
}
