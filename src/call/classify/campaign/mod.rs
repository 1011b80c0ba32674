//! Campaigns: flagged calls of one upstream that belong together.
//!
//! In: flagged calls that neighbours hand to us, in order of capture. Out: a [`Campaign`] when it opens, at most every ten minutes while it grows, and when
//! it closes.
//!
//! - [`member`]: which flags make a call part of one
//! - [`table`]: which calls belong together, and what is remembered

pub mod member;
pub mod table;

pub use table::{CampaignCounters, CampaignSettings, Campaigns, Member};

use std::sync::Arc;

use super::Flag;
use super::finding::Example;
use crate::base::Timestamp;

/// Names one campaign over its life: the uid of the first record in it, and the kind of its key. Unique within a store.
pub type CampaignId = Box<str>;

/// Signers kept at most.
pub const SIGNERS: usize = 8;

/// What its calls have in common besides the upstream.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(tag = "kind", content = "value", rename_all = "kebab-case")]
pub enum Key {
    /// The calling number.
    CallingNumber(Box<str>),
    /// Signer (service provider code) and `origid`, with a slash between.
    SignerOrigid(Box<str>),
    /// What the calling numbers have in common: `1202555xxxx`, `local-to-called`, `many-numbers`, `anonymous`.
    NumberPattern(Box<str>),
}

impl Key {
    /// Its kind, as in output and metrics.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::CallingNumber(_) => "calling-number",
            Self::SignerOrigid(_) => "signer-origid",
            Self::NumberPattern(_) => "number-pattern",
        }
    }

    /// What it is.
    pub fn value(&self) -> &str {
        match self {
            Self::CallingNumber(v) | Self::SignerOrigid(v) | Self::NumberPattern(v) => v,
        }
    }
}

/// Whether more calls are expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CampaignState {
    /// It goes on.
    Open,
    /// It has been quiet for the window, or had to make room, or we stopped looking.
    Closed,
}

impl CampaignState {
    /// Its name in output.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

/// Flagged calls of one upstream that belong together, as they stand. A later one with the same id replaces an earlier one.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Campaign {
    /// Names it over its life.
    pub id: CampaignId,
    /// The upstream; `None` for one that no rule names.
    pub peer: Option<Arc<str>>,
    /// What its calls have in common.
    pub key: Key,
    /// Time of its first call.
    pub first: Timestamp,
    /// Time of its last call so far.
    pub last: Timestamp,
    /// Calls so far.
    pub volume: u64,
    /// Calls by flag, in the order of [`Flag::ALL`]; flags that none has are left out.
    pub flags: Vec<(Flag, u64)>,
    /// Service provider codes of those who signed, in the order seen: at most [`SIGNERS`].
    pub signers: Vec<Box<str>>,
    /// A few calls, spread over its life: at most [`super::finding::EXAMPLES`].
    pub examples: Vec<Example>,
    /// Whether more calls are expected.
    pub state: CampaignState,
}

#[cfg(test)]
pub(in crate::call::classify) mod tests;
