//! Floor 3: from a hop request and the records of a window to an answer that says how sure it is. Pure: no store, no clock.
//!
//! Comes in: a [`request::HopRequest`], the records that [`window`] asked for, [`Coverage`](crate::call::record::Coverage)
//! rows, the table of neighbours. Goes out: a [`matching::Decision`], rendered as [`answer::HopAnswer`] for the portal and
//! [`explain::Explanation`] for an engineer. A wrong answer accuses an innocent carrier, so whatever is not certain is
//! refused by name ([`condition::Condition`]) and left to a person.
//!
//! - [`request`]: what the portal asks, validated
//! - [`window`]: which spans of time must be looked up: the ladder and the zone slips
//! - [`coverage`]: how much of a window was seen
//! - [`candidate`]: from records to attempts: collapse, pairing of ingress with egress, calls
//! - [`background`]: how usual such a call is, measured
//! - [`clock`]: what a stated time is worth
//! - [`score`]: log-likelihood of each attempt, every term kept
//! - [`condition`]: why an answer is not given
//! - [`matching`]: the decision
//! - [`answer`]: the decision as the portal gets it
//! - [`deadline`]: when it is due
//! - [`audit`]: the tree over the audit log
//! - [`path`]: the answers of a trace, put together and checked
//! - [`walk`]: whom a case asks next, and where it stands
//! - [`explain`]: the decision as an engineer gets it

pub mod answer;
pub mod audit;
pub mod background;
pub mod candidate;
pub mod clock;
pub mod condition;
pub mod coverage;
pub mod deadline;
pub mod explain;
pub mod matching;
pub mod path;
pub mod request;
pub mod score;
pub mod walk;
pub mod window;

#[cfg(test)]
pub(crate) mod sample;

use std::sync::Arc;

use answer::{Provider, Resolution};

/// Version of the matcher: rises with every change that can change an answer, and stands in every answer.
pub const MATCHER_VERSION: &str = "2.1";

/// How much is asked of an answer that nobody looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Posterior of 0.99; how far off in time a call may lie is what the posterior supports.
    #[default]
    Normal,
    /// Posterior of 0.999, and evidence of class E3 as the specification has it: within 5 s or the request's imprecision.
    Strict,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 2] = [Self::Normal, Self::Strict];

    /// Its name, as in the configuration.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Strict => "strict",
        }
    }

    /// Least posterior of the upstream that is named, unless the operator says otherwise.
    pub const fn threshold(self) -> f64 {
        match self {
            Self::Normal => 0.99,
            Self::Strict => 0.999,
        }
    }
}

/// What the operator decides about answers.
#[derive(Clone, Debug, PartialEq)]
pub struct TracebackSettings {
    /// How much is asked.
    pub profile: Profile,
    /// Least posterior of the upstream that is named: that of the profile by default.
    pub threshold: f64,
    /// Resolutions that may leave without a person. By default only [`Resolution::UpstreamDomestic`]: customers, foreign
    /// entry and refusals are a person's business until the operator says otherwise.
    pub automatic: Vec<Resolution>,
    /// Who we are, as answers say it.
    pub provider: Option<Provider>,
    /// Ids under which portals know ourselves. A request that names one of them as its downstream asks about calls that ended here.
    pub own_ids: Vec<Arc<str>>,
    /// Sensors that must have been looking. A sensor that the coverage rows show is expected in any case.
    pub sensors: Vec<Arc<str>>,
    /// Spread of the difference between our clock and the requester's, in seconds. Learnt from confirmed answers; until then
    /// [`clock::CLOCK_PEER_S`].
    pub clock_peer_s: f64,
    /// How far the requester's clock is behind ours, in seconds: the median over answers that were confirmed. It moves what is likely, not the
    /// windows that are searched.
    pub clock_offset_s: f64,
    /// How many days of records are kept. A request for an older call is out of retention.
    pub retention_days: u32,
}

impl Default for TracebackSettings {
    fn default() -> Self {
        Self {
            profile: Profile::Normal,
            threshold: Profile::Normal.threshold(),
            automatic: vec![Resolution::UpstreamDomestic],
            provider: None,
            own_ids: Vec::new(),
            sensors: Vec::new(),
            clock_peer_s: clock::CLOCK_PEER_S,
            clock_offset_s: 0.0,
            // 18 months of toll records (47 CFR 42.6).
            retention_days: 548,
        }
    }
}
