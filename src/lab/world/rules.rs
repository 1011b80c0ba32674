//! The rules that people and papers go by, on the same stores and the same requests.

use std::sync::Arc;

use crate::base::Timestamp;
use crate::call::record::{Direction, StoredCall};
use crate::store::{Lookup, StoreError};
use crate::traceback::request::HopRequest;

/// What a rule says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// This neighbour.
    Peer(Arc<str>),
    /// Several fit.
    Ambiguous,
    /// None fits.
    Nothing,
}

/// A rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Simple {
    /// The record of a call to the number that is nearest in time, within two minutes.
    NearestCalled,
    /// The same among calls from the calling number, where the request has one.
    NearestBoth,
    /// Source, destination and time equal within five seconds, as labels of the literature have it (Jäger, CCS 2024).
    Exact,
}

impl Simple {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::NearestCalled, Self::NearestBoth, Self::Exact];

    /// In words.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NearestCalled => "nearest record (called, ±120 s)",
            Self::NearestBoth => "nearest record (called and calling)",
            Self::Exact => "exact source, destination, ±5 s",
        }
    }

    /// Answers a request.
    ///
    /// # Errors
    ///
    /// What the store could not do.
    pub fn ask(self, request: &HopRequest, store: &dyn Lookup) -> Result<Said, StoreError> {
        let call = &request.call;
        let reach = match self {
            Self::Exact => std::time::Duration::from_secs(5),
            _ => std::time::Duration::from_secs(120),
        };
        let records = store.by_called(call.called, call.at.minus(reach), call.at.plus(reach))?;
        let from_caller = |r: &StoredCall| {
            let n = &r.begin.numbers;
            call.calling.is_none() || [n.from, n.asserted].contains(&call.calling)
        };
        let from_source = |r: &StoredCall| r.begin.numbers.from == call.calling;
        let fits = |r: &&StoredCall| match self {
            Self::NearestCalled => true,
            Self::NearestBoth => from_caller(r),
            Self::Exact => call.calling.is_some() && from_source(r),
        };
        let came = |r: &&StoredCall| r.begin.direction == Direction::Ingress;
        let mut found: Vec<&StoredCall> = records.iter().filter(came).filter(fits).collect();
        if self == Self::Exact {
            found.sort_by_key(|r| r.begin.peer.clone());
            found.dedup_by_key(|r| r.begin.peer.clone());
            if found.len() > 1 {
                return Ok(Said::Ambiguous);
            }
        }
        let far = |r: &&&StoredCall| distance(r.begin.at, call.at);
        let nearest = found.iter().min_by_key(far);
        Ok(match nearest.map(|r| r.begin.peer.clone()) {
            Some(Some(peer)) => Said::Peer(peer),
            Some(None) => Said::Ambiguous,
            None => Said::Nothing,
        })
    }
}

fn distance(a: Timestamp, b: Timestamp) -> u64 {
    a.nanos().abs_diff(b.nanos())
}
