//! The first half of a record: what a new attempt is tied to, which flags it earns, and where it counts.

use super::tally::key_of;
use super::{Collector, Held, Output};
use crate::base::Timestamp;
use crate::call::attempt::InviteFacts;
use crate::call::classify::behaviour::Call;
use crate::call::classify::campaign::Member;
use crate::call::classify::flagging::Flagged;
use crate::call::classify::replay::Sighting;
use crate::call::classify::{Flag, skew};
use crate::call::leg::{LegFacts, Pair};
use crate::call::peer::unknown::UnknownNeighbour;
use crate::call::peer::{PeerTable, Resolved};
use crate::call::record::evidence::StoredEvidence;
use crate::call::record::{Begin, Direction};
use crate::wire::Provenance;

impl Collector {
    /// What ties a new attempt to others at our edge: the ingress leg that an egress leg continues, or the egress leg that came back. It is asked when
    /// the INVITE has its turn: a call that waits for a certificate is told by the PASSporT that it shows, and nobody waits for it.
    pub(super) fn tie(
        &mut self,
        uid: u64,
        at: Timestamp,
        sensor: u16,
        resolved: Resolved<'_>,
        invite: &InviteFacts,
    ) -> (Option<Pair>, Option<Pair>) {
        let leg = || {
            let peer = resolved.peer.map(|(p, _)| p.id.clone());
            LegFacts::new(
                uid,
                at,
                (sensor, self.settings.clock.error_ns),
                peer,
                invite,
            )
        };
        match resolved.direction {
            Direction::Ingress => (None, self.legs.handle_ingress(leg())),
            Direction::Egress => (self.legs.handle_egress(leg()), None),
            // Between strangers, or between hosts of our own platform.
            Direction::Unknown => (None, None),
        }
    }

    /// The record goes out, and behind it what waited for it.
    pub(super) fn begin(
        &mut self,
        uid: u64,
        mut call: Held,
        peers: &PeerTable,
        resolved: Resolved<'_>,
    ) {
        let (mut flagged, sighting) = self.flag(uid, &call, resolved);
        let skew = match sighting {
            // Each PASSporT once: what comes again is not its signer's doing.
            Some(Sighting::First) => self.skews.handle(call.at, &call.invite.verdict),
            _ => None,
        };
        let (evidence, ends) = (call.evidence.take(), std::mem::take(&mut call.ends));
        let exempt = flagged.exempt;
        let (at, mut begin) = (call.at, self.record(uid, call, peers, resolved));
        if let Some(call) = Call::of(&begin, flagged.flags, exempt) {
            flagged.flags.0 |= self.behaviours.handle_call(&call).0;
        }
        begin.flags = self.settings.flags.keep(flagged.flags);
        begin.notes = flagged.notes;
        if let Some(member) = Member::of(&begin, exempt) {
            self.campaigns.handle_call(&member);
        }
        let tally = self.tallies.entry(key_of(&resolved)).or_default();
        tally.count(&begin);
        if let Some(n) = skew.and_then(|s| tally.skew.get_mut(skew::class_of(s))) {
            *n += 1;
        }
        if begin.direction != Direction::Egress && begin.peer.is_none() {
            self.unknown.handle(unknown_of(&begin));
        }
        self.output.push_back(Output::Begin(begin));
        if let Some(evidence) = evidence {
            let evidence = *evidence;
            let stored = StoredEvidence { uid, at, evidence };
            self.output.push_back(Output::Evidence(Box::new(stored)));
        }
        for ended in ends {
            self.behaviours.handle_end(ended.at, &ended.end);
            self.output.push_back(Output::End(ended.end));
        }
        self.take_findings();
    }

    /// Flags that a call earns by itself and by what is remembered of others. Those that it earns by what its subject does stand beside.
    fn flag(
        &mut self,
        uid: u64,
        call: &Held,
        resolved: Resolved<'_>,
    ) -> (Flagged, Option<Sighting>) {
        let s = &self.settings;
        let mut flagged = self.memory.flag(call.at, &call.invite, &resolved, &s.flags);
        if let Some(out) = call.came_back {
            let (uid, how) = (out.uid, out.how.label());
            let note = format!("record {uid} went out with the same {how}");
            flagged.flags.insert(Flag::Loop);
            flagged.notes.insert(Flag::Loop, &note);
        }
        let (direction, flags) = (resolved.direction, &mut flagged.flags);
        let sighting = match is_inside(&resolved) {
            true => None,
            false => self
                .replays
                .handle(uid, call.at, direction, &call.invite, flags),
        };
        (flagged, sighting)
    }

    /// The record, without flags.
    fn record(
        &self,
        uid: u64,
        call: Held,
        peers: &PeerTable,
        resolved: Resolved<'_>,
    ) -> Box<Begin> {
        let s = &self.settings;
        let (flow, invite) = (call.flow, *call.invite);
        let seen = s.seen(&flow, call.sensor);
        let attribution = peers.attribution(resolved, seen, invite.words());
        let sensor = seen.sensor;
        Box::new(Begin {
            uid,
            at: call.at,
            clock: s.clock,
            sensor: sensor.map_or_else(|| "unnamed".into(), |s| s.name.clone()),
            provenance: sensor.map_or(Provenance::File, |s| s.provenance),
            config: s.config,
            direction: resolved.direction,
            peer: resolved.peer.map(|(p, _)| p.id.clone()),
            peer_rule: resolved.peer.map(|(_, r)| r.name.clone()),
            attribution,
            pair: call.pair,
            transport: flow.transport,
            source: flow.source,
            destination: flow.destination,
            vlan: flow.vlans.first().copied(),
            trunk: invite.trunk,
            numbers: invite.numbers,
            called_text: invite.called_text,
            ids: invite.ids,
            verdict: invite.verdict,
            verstat: invite.verstat,
            flags: Default::default(),
            notes: Default::default(),
        })
    }
}

/// Whether a call runs between hosts of our own platform: there it is on its way through, under as many Call-IDs as there are hosts.
pub(super) fn is_inside(resolved: &Resolved<'_>) -> bool {
    resolved.direction == Direction::Unknown && resolved.peer.is_some()
}

/// A record of no neighbour, for the list of those.
fn unknown_of(begin: &Begin) -> UnknownNeighbour {
    UnknownNeighbour {
        address: begin.source.ip(),
        calls: 1,
        uncertain: 0,
        first: begin.at,
        last: begin.at,
        socket: begin.source,
        own: begin.destination,
        vlan: begin.vlan,
        trunk: begin.trunk.clone(),
        sensor: begin.sensor.clone(),
    }
}
