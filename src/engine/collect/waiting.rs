//! Calls whose record waits for a certificate: held here while a thread beside looks for it.

use super::tally::key_of;
use super::{Collector, Tally};
use crate::base::Timestamp;
use crate::call::attempt::{Ended, InviteFacts, Lane};
use crate::call::classify::disagreement::refusal_disagrees;
use crate::call::leg::Pair;
use crate::call::record::evidence::Evidence;
use crate::engine::judge::Wanting;
use crate::engine::park::{ParkCounters, Parked, Released, Why};
use crate::wire::Flow;

/// What is kept of a waiting call beside its message: facts, flow, places in tables.
const HELD_BESIDE: usize = 1_024;

/// How often the URL of a certificate is kept while a call waits for it: with the call, in the park, at the fetcher's desk and in its queue.
const URL_COPIES: usize = 4;

/// A call whose record is not written yet: because it has just begun, or because it waits.
#[derive(Debug)]
pub(super) struct Held {
    pub at: Timestamp,
    pub flow: Flow,
    pub lane: Lane,
    pub sensor: u16,
    pub invite: Box<InviteFacts>,
    /// The ingress leg that it continues.
    pub pair: Option<Pair>,
    /// The egress leg that it is.
    pub came_back: Option<Pair>,
    pub evidence: Option<Box<Evidence>>,
    pub ends: Vec<Ended>,
    pub octets: usize,
}

impl Held {
    /// Holds what others said of it meanwhile against the verdict that it has now. Gives whether they say the opposite.
    fn hold_against(&mut self, invite: &InviteFacts) -> bool {
        let (ours, identities) = (invite.verdict.validation, invite.verdict.identities);
        let mut disagrees = false;
        let ends = self.ends.iter_mut().map(|e| &mut e.end);
        for end in ends.filter(|e| e.stir_cause.is_some()) {
            // A refusal for another reason, after a remark on the way, is none of this call's verification.
            let refused = matches!(end.code, 403 | 428 | 436..=438);
            end.disagrees = refusal_disagrees(ours, identities, refused);
            disagrees |= end.disagrees;
        }
        disagrees
    }
}

impl Collector {
    /// A call that begins to wait for a certificate; its record is held until [`Collector::handle_released`].
    pub fn poll_parked(&mut self) -> Option<Parked> {
        self.parked.pop_front()
    }

    /// A call that waited goes on.
    pub fn handle_released(&mut self, released: Released) {
        let Released {
            uid,
            facts,
            evidence,
            why,
        } = released;
        let Some(mut call) = self.held.remove(&uid) else {
            return;
        };
        let peers = self.settings.peers.clone();
        self.park_counters.count(why);
        self.held_octets -= call.octets;
        if let Some(mut invite) = facts {
            self.settings
                .resolve_and_take_off(&peers, &call.flow, call.sensor, &mut invite);
            self.attempts.handle_verdict(uid, call.lane, &invite);
            if call.hold_against(&invite)
                && let Some(tally) = self.tally_of(&call)
            {
                // What waits has not passed, so nothing that was said against it was counted before.
                tally.refusal_disagrees += 1;
            }
            (call.invite, call.evidence) = (invite, evidence);
        }
        let resolved = self
            .settings
            .resolve(&peers, &call.flow, call.sensor, &call.invite);
        self.begin(uid, call, &peers, resolved);
    }

    /// When the oldest call that waits began.
    pub fn oldest_held(&self) -> Option<Timestamp> {
        self.held.values().map(|h| h.at).min()
    }

    /// How many calls wait.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Whether the next call that lacks a certificate would find no room to wait.
    pub fn is_full(&self) -> bool {
        self.park
            .is_some_and(|l| self.held.len() >= l.calls || self.held_octets >= l.octets)
    }

    /// Counts of calls that lacked a certificate.
    pub fn park_counters(&self) -> ParkCounters {
        self.park_counters
    }

    fn tally_of(&mut self, call: &Held) -> Option<&mut Tally> {
        let s = &self.settings;
        let resolved = s.resolve(&s.peers, &call.flow, call.sensor, &call.invite);
        let key = key_of(&resolved);
        self.tallies.get_mut(&key)
    }

    /// Sends a call to wait, if it may; the octets that it takes come back.
    pub(super) fn room_for(&mut self, uid: u64, wanting: Box<Wanting>) -> Option<usize> {
        self.park?;
        self.park_counters.wanting += 1;
        if self.is_full() {
            self.park_counters.count(Why::RoomFull);
            return None;
        }
        let urls: usize = wanting.wants.iter().map(|w| w.url().len()).sum();
        let octets = wanting.message.bytes.len() + URL_COPIES * urls + HELD_BESIDE;
        self.parked.push_back(Parked { uid, wanting });
        Some(octets)
    }

    pub(super) fn hold(&mut self, uid: u64, held: Held) {
        self.held_octets += held.octets;
        self.held.insert(uid, held);
        self.park_counters.most = self.park_counters.most.max(self.held.len());
    }
}
