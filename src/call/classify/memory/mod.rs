//! What one call can't show: which numbers a neighbour has signed before, and who called an emergency number a short while ago.
//!
//! Comes in: calls in the order of capture. Comes out: two flags and whom they spare. Everything is bounded, and forgets on the side of
//! saying nothing. A snapshot carries it over a restart; what of one is broken or of another version is refused as a whole.
//!
//! - [`signed`]: numbers by neighbour · [`emergency`]: callers of emergency numbers · [`snapshot`]: their octets

pub mod emergency;
pub mod signed;
pub mod snapshot;

use std::sync::Arc;

pub use emergency::EmergencyCallers;
pub use signed::SignedNumbers;

use super::Flag;
use super::flagging::{self, FlagSettings, Flagged, Subject};
use crate::base::Timestamp;
use crate::call::attempt::InviteFacts;
use crate::call::peer::{PeerTable, Resolved};

/// All of it.
#[derive(Debug, Default)]
pub struct FlagMemory {
    emergency: EmergencyCallers,
    signed: SignedNumbers,
}

/// What became of what is remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryCounters {
    /// Callers of emergency numbers now.
    pub callers: usize,
    /// Callers that were forgotten early, for want of room.
    pub callers_evicted: u64,
    /// Octets that filters of signed numbers take now.
    pub signed_octets: usize,
    /// Filters that were begun anew early, for want of room: their neighbours are learnt again.
    pub signed_rotated: u64,
    /// Calls of neighbours beyond those that are remembered.
    pub signed_others: u64,
}

impl FlagMemory {
    /// Notes an attempt as soon as it is seen, whatever its verdict waits for: a call back may come before that.
    pub fn note(&mut self, at: Timestamp, invite: &InviteFacts, settings: &FlagSettings) {
        if flagging::is_emergency(invite, settings)
            && let Some(caller) = invite.numbers.asserted.or(invite.numbers.from)
        {
            self.emergency.insert(caller, at);
        }
    }

    /// Judges an attempt: [`flagging::flag`] with what is remembered, which then remembers it too.
    pub fn flag(
        &mut self,
        at: Timestamp,
        invite: &InviteFacts,
        resolved: &Resolved<'_>,
        settings: &FlagSettings,
    ) -> Flagged {
        let called = invite.numbers.called.or(invite.numbers.to);
        let back = called.is_some_and(|tn| self.emergency.called(&tn, at, settings.callback));
        let mut out = flagging::flag(invite, resolved, settings, back);
        let call = Subject::of_invite(invite, resolved);
        if let (Some(orig), Some((peer, _))) = (call.signed_with_a(), resolved.peer)
            && let Some(news) = self.signed.handle(at, &peer.id, &orig, settings)
        {
            let note = format!(
                "{orig}, not among the numbers of {} calls since {}",
                news.calls, news.since
            );
            out.add(Flag::NewSignedNumber, &note);
        }
        out
    }

    /// Forgets neighbours that the table does not have.
    pub fn handle_peers(&mut self, peers: &PeerTable) {
        let known: Vec<&Arc<str>> = peers.peers.iter().map(|p| &p.id).collect();
        self.signed.retain(|id| known.contains(&id));
    }

    /// Counts so far.
    pub fn counters(&self) -> MemoryCounters {
        MemoryCounters {
            callers: self.emergency.len(),
            callers_evicted: self.emergency.evicted,
            signed_octets: self.signed.octets(),
            signed_rotated: self.signed.rotated,
            signed_others: self.signed.others,
        }
    }
}

#[cfg(test)]
mod tests;
