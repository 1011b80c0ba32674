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
pub mod window;

#[cfg(test)]
pub(crate) mod sample;

use std::sync::Arc;

use answer::{Provider, Resolution};

/// Version of the matcher: rises with every change that can change an answer, and stands in every answer.
pub const MATCHER_VERSION: &str = "1.0";

/// What the operator decides about answers.
#[derive(Clone, Debug, PartialEq)]
pub struct TracebackSettings {
    /// Least posterior of the upstream that is named: 0.99, in the strict profile 0.999.
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
    /// How many days of records are kept. A request for an older call is out of retention.
    pub retention_days: u32,
}

impl Default for TracebackSettings {
    fn default() -> Self {
        Self {
            threshold: 0.99,
            automatic: vec![Resolution::UpstreamDomestic],
            provider: None,
            own_ids: Vec::new(),
            sensors: Vec::new(),
            clock_peer_s: clock::CLOCK_PEER_S,
            // 18 months of toll records (47 CFR 42.6).
            retention_days: 548,
        }
    }
}
