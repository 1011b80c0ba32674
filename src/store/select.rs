//! Which records somebody wants, beyond what the indexes know: tested on each record as it is read.

use std::sync::Arc;

use crate::base::digest::IdDigest;
use crate::call::classify::Flags;
use crate::call::record::{Direction, StoredCall};
use crate::number::Tn;
use crate::stir::verify::Attestation;
use crate::store::Role;

/// What is wanted of a window. What is not said matches any record; what is said must all match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Request-URI, To, or the number before a diversion.
    pub called: Option<Tn>,
    /// From, P-Asserted-Identity, Remote-Party-ID, or the signed number.
    pub calling: Option<Tn>,
    /// The neighbour.
    pub peer: Option<Neighbour>,
    /// All of these flags.
    pub flags: Flags,
    /// Digest of the Call-ID.
    pub call_id: Option<IdDigest>,
    /// Which way.
    pub direction: Option<Direction>,
    /// The attestation that was claimed.
    pub attest: Option<Attestation>,
}

/// A neighbour that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Neighbour {
    /// By its id in peers.toml.
    Known(Arc<str>),
    /// One that no rule names.
    Unknown,
}

impl Selection {
    /// Whether it names anything: all of a window is nobody's to have.
    pub fn is_bounded(&self) -> bool {
        *self != Self::default()
    }

    /// Whether a record is wanted.
    pub fn matches(&self, call: &StoredCall) -> bool {
        let b = &call.begin;
        let peer = match &self.peer {
            None => true,
            Some(Neighbour::Known(id)) => b.peer.as_deref() == Some(id),
            Some(Neighbour::Unknown) => b.peer.is_none(),
        };
        peer && self.called.is_none_or(|n| Role::Called.matches(b, n))
            && self.calling.is_none_or(|n| Role::Calling.matches(b, n))
            && b.flags.0 & self.flags.0 == self.flags.0
            && self.call_id.is_none_or(|d| b.ids.call_id == d)
            && self.direction.is_none_or(|d| b.direction == d)
            && self.attest.is_none_or(|a| b.verdict.attest == Some(a))
    }
}
