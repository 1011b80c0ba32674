//! A finding: a behaviour that went above its threshold, explained by the terms that it rests on.
//!
//! It is given out when it opens, again while it lasts (at bounded intervals), and when it closes; [`Finding::id`] stays the same.

use std::fmt;
use std::sync::Arc;

use super::Flag;
use crate::base::Timestamp;

/// Names one finding over its life: its kind, what it is about, and the record with which it opened. Unique within a store, because uids are.
pub type FindingId = Box<str>;

/// Records named as examples at most.
pub const EXAMPLES: usize = 5;

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It is new.
    Opened,
    /// It goes on.
    Updated,
    /// It has been below its threshold for a while, or we stopped looking.
    Closed,
}

impl Change {
    /// Its name in output.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Updated => "updated",
            Self::Closed => "closed",
        }
    }
}

/// Whom or what a finding is about.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(tag = "kind", content = "value", rename_all = "kebab-case")]
pub enum Subject {
    /// A calling number of the finding's neighbour.
    CallingNumber(Box<str>),
    /// A called number, whoever calls it.
    CalledNumber(Box<str>),
    /// Called numbers that begin alike, whoever calls them.
    CalledPrefix(Box<str>),
    /// The finding's neighbour as a whole.
    Neighbour,
}

impl Subject {
    /// What it is, as in output and metrics.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::CallingNumber(_) => "calling-number",
            Self::CalledNumber(_) => "called-number",
            Self::CalledPrefix(_) => "called-prefix",
            Self::Neighbour => "neighbour",
        }
    }

    /// The number or prefix; `None` for a neighbour.
    pub fn value(&self) -> Option<&str> {
        match self {
            Self::CallingNumber(v) | Self::CalledNumber(v) | Self::CalledPrefix(v) => Some(v),
            Self::Neighbour => None,
        }
    }
}

/// One thing that a score is made of.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Term {
    /// What was measured.
    pub name: Box<str>,
    /// What it came to.
    pub value: f64,
    /// From where on, or below where, it counts.
    pub threshold: f64,
    /// What it adds to the score where it counts.
    pub weight: f64,
    /// Whether it counted.
    pub met: bool,
}

/// A record as an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Example {
    /// Its uid.
    pub uid: u64,
    /// Its time.
    pub at: Timestamp,
}

/// A behaviour that is, or was, above its threshold.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Finding {
    /// Names it over its life.
    pub id: FindingId,
    /// Which behaviour.
    pub kind: Flag,
    /// What became of it.
    pub change: Change,
    /// The neighbour; `None` for one that no rule names, and for a called number or prefix, which several may call.
    pub peer: Option<Arc<str>>,
    /// Whom or what it is about.
    pub subject: Subject,
    /// When it opened.
    pub since: Timestamp,
    /// The time of this change.
    pub at: Timestamp,
    /// Calls that were flagged for it so far.
    pub calls: u64,
    /// Sum of the weights of the terms that count, the highest so far when closed: 0 to 1.
    pub score: f64,
    /// What the score is made of.
    pub terms: Vec<Term>,
    /// Records among its calls: at most [`EXAMPLES`], spread over its life.
    pub examples: Vec<Example>,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value() {
            Some(value) => write!(f, "{} {value}", self.label()),
            None => f.write_str(self.label()),
        }
    }
}
