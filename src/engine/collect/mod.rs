//! The last stage: judged messages, in the order of capture, become records.
//!
//! - [`tally`]: what is counted

pub mod tally;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::base::Timestamp;
use crate::call::attempt::{
    AttemptCounters, AttemptLimits, Attempts, Ended, Facts, InviteFacts, InviteIs, Lane,
    RequestKind, Snapshot, snapshot,
};
use crate::call::classify::behaviour::{BehaviourSettings, Behaviours, Call};
use crate::call::classify::campaign::{CampaignSettings, Campaigns, Member};
use crate::call::classify::disagreement::refusal_disagrees;
use crate::call::classify::memory::MemoryCounters;
use crate::call::classify::replay::{ReplayCounters, Replays, Sighting};
use crate::call::classify::skew::{self, Skews};
use crate::call::classify::{Campaign, Finding, Flag, FlagMemory, FlagSettings};
use crate::call::leg::{LegCounters, LegFacts, LegLimits, Legs, Pair};
use crate::call::peer::unknown::{UnknownNeighbour, UnknownNeighbours};
use crate::call::peer::{PeerTable, Resolved, Seen};
use crate::call::record::evidence::{Evidence, StoredEvidence};
use crate::call::record::{Begin, Clock, Direction, End, Sensor};
use crate::engine::judge::{Judged, Unjudged, Wanting};
use crate::engine::park::{ParkCounters, ParkLimits, Parked, Released, Why};
use crate::number::NumberPlan;
use crate::wire::{Flow, Provenance};
pub use tally::{CollectCounters, DirectionKey, Tally, TallyKey};
use tally::{key_of, place_of};

/// What collect has to know.
#[derive(Clone, Debug)]
pub struct CollectSettings {
    /// Neighbours.
    pub peers: Arc<PeerTable>,
    /// How numbers are written here: what stands behind a technical prefix is read by it.
    pub plan: NumberPlan,
    /// What flags are set by.
    pub flags: FlagSettings,
    /// Half width of the freshness window.
    pub window: Duration,
    /// The sensors by index.
    pub sensors: Vec<Sensor>,
    /// How good capture times are.
    pub clock: Clock,
    /// Version of the configuration.
    pub config: u32,
    /// Where behaviours begin.
    pub behaviour: BehaviourSettings,
    /// What makes a campaign.
    pub campaign: CampaignSettings,
    /// Bounds.
    pub limits: AttemptLimits,
}

impl CollectSettings {
    /// What packets show of a message.
    fn seen<'a>(&'a self, flow: &'a Flow, sensor: u16) -> Seen<'a> {
        let sensor = self.sensors.get(usize::from(sensor));
        Seen {
            flow,
            sensor: sensor.or(self.sensors.first()),
        }
    }

    fn resolve(&self, flow: &Flow, sensor: u16, invite: &InviteFacts) -> Resolved<'_> {
        self.peers.resolve(self.seen(flow, sensor), invite.words())
    }

    /// Takes the technical prefix off the called number that the neighbour's rule asks for.
    fn take_off_prefix(&self, flow: &Flow, sensor: u16, invite: &mut InviteFacts) {
        if !self.peers.takes_prefixes() {
            return;
        }
        let resolved = self.resolve(flow, sensor, invite);
        if let Some(prefix) = resolved.peer.and_then(|(_, r)| r.tech_prefix.as_ref()) {
            invite
                .said
                .take_off(prefix, &self.plan, &mut invite.numbers);
            if invite.numbers.called.is_some() {
                invite.called_text = None;
            }
        }
    }
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

/// What collect gives out.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// A call attempt began.
    Begin(Box<Begin>),
    /// More is known of one.
    End(End),
    /// What it takes to judge the attempt again that began last.
    Evidence(Box<StoredEvidence>),
    /// A behaviour is above its threshold, still is, or no longer is.
    Finding(Box<Finding>),
    /// A campaign began, goes on, or is over.
    Campaign(Box<Campaign>),
}

/// The machine. `handle` in, `poll_output` out.
#[derive(Debug)]
pub struct Collector {
    settings: CollectSettings,
    attempts: Attempts,
    legs: Legs,
    now: Timestamp,
    next_uid: u64,
    output: VecDeque<Output>,
    counters: CollectCounters,
    tallies: BTreeMap<TallyKey, Tally>,
    /// Keys of the tallies, by the place that each attempt remembers.
    places: Vec<TallyKey>,
    replays: Replays,
    skews: Skews,
    behaviours: Behaviours,
    campaigns: Campaigns,
    unknown: UnknownNeighbours,
    memory: FlagMemory,
    /// Whether calls may wait for certificates, and how many.
    park: Option<ParkLimits>,
    /// Records of calls that wait: their halves go out when the call goes on.
    held: HashMap<u64, Held>,
    held_octets: usize,
    parked: VecDeque<Parked>,
    park_counters: ParkCounters,
}

/// A call whose record is not written yet: because it has just begun, or because it waits.
#[derive(Debug)]
struct Held {
    at: Timestamp,
    flow: Flow,
    lane: Lane,
    sensor: u16,
    invite: Box<InviteFacts>,
    pair: Option<Pair>,
    came_back: Option<Pair>,
    evidence: Option<Box<Evidence>>,
    ends: Vec<End>,
    octets: usize,
}

impl Held {
    /// Holds what others said of it meanwhile against the verdict that it has now. Gives whether they say the opposite.
    fn hold_against(&mut self, invite: &InviteFacts) -> bool {
        let (ours, identities) = (invite.verdict.validation, invite.verdict.identities);
        let mut disagrees = false;
        for end in self.ends.iter_mut().filter(|e| e.stir_cause.is_some()) {
            // A refusal for another reason, after a remark on the way, is none of this call's verification.
            let refused = matches!(end.code, 403 | 428 | 436..=438);
            end.disagrees = refusal_disagrees(ours, identities, refused);
            disagrees |= end.disagrees;
        }
        disagrees
    }
}

/// A message of this sensor makes collect panic, in tests alone.
#[cfg(test)]
pub(crate) const PANICS: u16 = u16::MAX;

/// What is kept of a waiting call beside its message: facts, flow, places in tables.
const HELD_BESIDE: usize = 1_024;

/// How often the URL of a certificate is kept while a call waits for it: with the call, in the park, at the fetcher's desk and in its queue.
const URL_COPIES: usize = 4;

impl Collector {
    /// Starts with `next_uid` for the first record.
    pub fn new(settings: CollectSettings, next_uid: u64) -> Self {
        Self {
            attempts: Attempts::new(settings.limits),
            legs: Legs::new(LegLimits::default()),
            now: Timestamp::MIN,
            replays: Replays::new(settings.window),
            skews: Skews::default(),
            behaviours: behaviours(&settings),
            campaigns: Campaigns::new(settings.campaign),
            unknown: UnknownNeighbours::default(),
            memory: FlagMemory::default(),
            places: Vec::new(),
            settings,
            next_uid,
            output: VecDeque::new(),
            counters: CollectCounters::default(),
            tallies: BTreeMap::new(),
            park: None,
            held: HashMap::new(),
            held_octets: 0,
            parked: VecDeque::new(),
            park_counters: ParkCounters::default(),
        }
    }

    /// Lets calls wait for certificates: see [`Collector::poll_parked`].
    pub fn parking(self, limits: ParkLimits) -> Self {
        Self {
            park: Some(limits),
            ..self
        }
    }

    /// Takes the next message of the capture.
    pub fn handle(&mut self, judged: Judged) {
        #[cfg(test)]
        assert_ne!(judged.sensor, PANICS, "a test wants a panic");
        let Judged {
            at,
            flow,
            sensor,
            facts,
            evidence,
            wanting,
            ..
        } = judged;
        self.now = self.now.max(at);
        let lane = Lane::new(self.settings.peers.side(&flow), &flow);
        let c = &mut self.counters;
        match facts {
            Err(Unjudged::NotSip) => c.not_sip += 1,
            Err(Unjudged::Panicked) => c.panicked += 1,
            Ok(Facts::Response(response)) => {
                c.responses += 1;
                let request = self.settings.peers.side(&flow.reversed());
                let request = Lane::new(request, &flow);
                self.attempts.handle_response(at, request, &response);
            }
            Ok(Facts::Request(request)) => {
                match request.kind {
                    RequestKind::Other => c.other_requests += 1,
                    RequestKind::Ack | RequestKind::Cancel | RequestKind::Bye => {
                        c.dialog_requests += 1
                    }
                }
                let reversed = self.settings.peers.side(&flow.reversed());
                let reversed = Lane::new(reversed, &flow);
                self.attempts.handle_request(at, lane, reversed, &request);
            }
            Ok(Facts::Invite(mut invite)) => {
                let uid = self.next_uid;
                self.settings.take_off_prefix(&flow, sensor, &mut invite);
                let (settings, tallies, places) =
                    (&self.settings, &mut self.tallies, &mut self.places);
                let place = || place_of(settings.resolve(&flow, sensor, &invite), tallies, places);
                match self
                    .attempts
                    .handle_invite_at_place(uid, at, lane, &invite, place)
                {
                    InviteIs::Retransmission => c.retransmissions += 1,
                    InviteIs::Fork => c.forks += 1,
                    InviteIs::AuthRetry => c.auth_retries += 1,
                    InviteIs::ReInvite => c.reinvites += 1,
                    InviteIs::New => {
                        c.attempts += 1;
                        self.next_uid += 1;
                        self.memory.note(at, &invite, &self.settings.flags);
                        let (pair, came_back) = self.tie(uid, at, &flow, sensor, &invite);
                        let call = Held {
                            at,
                            flow,
                            lane,
                            sensor,
                            invite,
                            pair,
                            came_back,
                            evidence,
                            ends: Vec::new(),
                            octets: 0,
                        };
                        match wanting.and_then(|w| self.room_for(uid, w)) {
                            Some(octets) => self.hold(uid, Held { octets, ..call }),
                            None => self.begin(uid, call),
                        }
                    }
                }
            }
        }
        self.take_ends();
    }

    /// Lets time pass without a message: attempts that nobody answers end.
    pub fn handle_time(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        self.attempts.handle_time(now);
        self.take_ends();
        self.behaviours.handle_time(now);
        self.campaigns.handle_time(now);
        self.take_findings();
    }

    /// Other neighbours, numbers and sensors from now on; open attempts keep what they began with. Another freshness window costs what is remembered of
    /// PASSporTs.
    pub fn handle_settings(&mut self, settings: CollectSettings) {
        if settings.window != self.settings.window {
            self.replays.begin_anew(settings.window);
        }
        self.behaviours.handle_settings(settings.behaviour.clone());
        self.behaviours
            .handle_protected(settings.flags.protected.clone());
        self.campaigns.handle_settings(settings.campaign);
        self.memory.handle_peers(&settings.peers);
        self.settings = settings;
    }

    /// How good capture times are from now on.
    pub fn handle_clock(&mut self, clock: Clock) {
        self.settings.clock = clock;
    }

    /// The clock has stepped: open attempts end as they stand while [`Collector::poll_output`] is called, and later ones begin with a new table.
    pub fn handle_step(&mut self) {
        let mut old = std::mem::replace(&mut self.attempts, Attempts::new(self.settings.limits));
        old.finish();
        while let Some(ended) = old.poll_ended() {
            self.ended(ended);
        }
        self.attempts.count_on(old.counters(), 0);
        // Where the new time lies says the next call.
        self.behaviours.begin_anew(Timestamp::MIN);
        self.campaigns.begin_anew(Timestamp::MIN);
        self.take_findings();
        self.legs.begin_anew();
        self.now = Timestamp::MIN;
    }

    /// What is open, to be taken over after a restart. To be taken before [`Collector::finish`]: the records of these calls then say how they stand.
    pub fn snapshot(&self, now: Timestamp, clock: snapshot::ClockMark) -> Snapshot {
        let peers = self.settings.peers.version;
        self.attempts.snapshot(now, clock, peers)
    }

    /// Takes over what was open before a restart. Gives how many calls.
    ///
    /// # Errors
    ///
    /// [`snapshot::Refused`]: then they stay unfinished.
    pub fn resume(
        &mut self,
        snapshot: Snapshot,
        now: Timestamp,
        clock: snapshot::ClockMark,
    ) -> Result<u64, snapshot::Refused> {
        let peers = self.settings.peers.version;
        self.attempts.resume(snapshot, now, clock, peers)
    }

    /// Calls that were open before a restart and can't be taken over.
    pub fn count_not_resumed(&mut self, calls: u64) {
        self.attempts.count_not_resumed(calls);
    }

    /// Begins anew after a panic: what may be half done is let go, and counts and calls that wait are kept.
    pub fn rebuild(&mut self, next_uid: u64) {
        let open = u64::try_from(self.attempts.len()).unwrap_or(u64::MAX);
        let counters = self.attempts.counters();
        self.attempts = Attempts::new(self.settings.limits);
        self.attempts.count_on(counters, open);
        self.legs.begin_anew();
        self.replays.begin_anew(self.settings.window);
        self.next_uid = self.next_uid.max(next_uid) + 1;
        self.counters.panicked += 1;
        self.behaviours.begin_anew(Timestamp::MIN);
        self.campaigns.begin_anew(Timestamp::MIN);
    }

    /// The source has ended: what is still open is closed as it stands, while [`Collector::poll_output`] is called.
    pub fn finish(&mut self) {
        self.attempts.finish();
        self.behaviours.finish();
        self.campaigns.finish();
        self.take_findings();
    }

    /// Records, in the order in which they must be written.
    pub fn poll_output(&mut self) -> Option<Output> {
        loop {
            if let Some(ready) = self.output.pop_front() {
                return Some(ready);
            }
            let ended = self.attempts.poll_ended()?;
            self.ended(ended);
        }
    }

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
        self.park_counters.count(why);
        self.held_octets -= call.octets;
        if let Some(mut invite) = facts {
            self.settings
                .take_off_prefix(&call.flow, call.sensor, &mut invite);
            self.attempts.handle_verdict(uid, call.lane, &invite);
            if call.hold_against(&invite)
                && let Some(tally) = self.tally_of(&call)
            {
                // What waits has not passed, so nothing that was said against it was counted before.
                tally.refusal_disagrees += 1;
            }
            (call.invite, call.evidence) = (invite, evidence);
        }
        self.begin(uid, call);
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

    /// Counts so far.
    pub fn counters(&self) -> CollectCounters {
        self.counters
    }

    /// Counts of the table of attempts so far.
    pub fn attempt_counters(&self) -> AttemptCounters {
        self.attempts.counters()
    }

    /// What became of legs so far.
    pub fn leg_counters(&self) -> LegCounters {
        self.legs.counters()
    }

    /// Entries kept for attempts now: bounded by a small multiple of [`AttemptLimits`].
    pub fn remembered(&self) -> usize {
        self.attempts.remembered()
    }

    /// What became of PASSporTs so far.
    pub fn replay_counters(&self) -> ReplayCounters {
        self.replays.counters()
    }

    /// How far each signer's clock is off, as far as calls show.
    pub fn skews(&self) -> &Skews {
        &self.skews
    }

    /// What calls show together.
    pub fn behaviours(&self) -> &Behaviours {
        &self.behaviours
    }

    /// Flagged calls that belong together.
    pub fn campaigns(&self) -> &Campaigns {
        &self.campaigns
    }

    /// Addresses that handed calls over and that no rule knows.
    pub fn unknown(&self) -> &UnknownNeighbours {
        &self.unknown
    }

    /// Goes on with what another collector has remembered for flags.
    pub fn handle_memory(&mut self, memory: FlagMemory) {
        self.memory = memory;
        self.memory.handle_peers(&self.settings.peers);
    }

    /// What is remembered for flags, at the end: nothing is left.
    pub fn take_memory(&mut self) -> FlagMemory {
        std::mem::take(&mut self.memory)
    }

    /// Counts of what is remembered for flags.
    pub fn memory_counters(&self) -> MemoryCounters {
        self.memory.counters()
    }

    /// What each neighbour sent or got so far.
    pub fn tallies(&self) -> &BTreeMap<TallyKey, Tally> {
        &self.tallies
    }

    fn take_ends(&mut self) {
        while let Some(ended) = self.attempts.poll_ended() {
            self.ended(ended);
        }
    }

    /// What ties a new attempt to others at our edge. It is asked when the INVITE has its turn: a call that waits for a certificate is told by the
    /// PASSporT that it shows, and nobody waits for it.
    fn tie(
        &mut self,
        uid: u64,
        at: Timestamp,
        flow: &Flow,
        sensor: u16,
        invite: &InviteFacts,
    ) -> (Option<Pair>, Option<Pair>) {
        let resolved = self.settings.resolve(flow, sensor, invite);
        let peer = resolved.peer.map(|(p, _)| p.id.clone());
        let view = (sensor, self.settings.clock.error_ns);
        match resolved.direction {
            Direction::Ingress => {
                let leg = LegFacts::new(uid, at, view, peer, invite);
                (None, self.legs.handle_ingress(leg))
            }
            Direction::Egress => {
                let leg = LegFacts::new(uid, at, view, peer, invite);
                (self.legs.handle_egress(leg), None)
            }
            // Between strangers, or between hosts of our own platform.
            Direction::Unknown => (None, None),
        }
    }

    fn ended(&mut self, ended: Ended) {
        self.legs.handle_end(self.now, &ended.end);
        let key = usize::try_from(ended.place)
            .ok()
            .and_then(|p| self.places.get(p));
        let tally = key.and_then(|k| self.tallies.get_mut(k));
        if let (true, Some(tally)) = (ended.spoken_against, tally) {
            tally.refused_by_stir += 1;
            tally.refusal_disagrees += u64::from(ended.end.disagrees);
        }
        // The second half of a record never goes before the first.
        match self.held.get_mut(&ended.end.uid) {
            Some(held) => held.ends.push(ended.end),
            None => {
                self.behaviours.handle_end(&ended.end);
                self.output.push_back(Output::End(ended.end));
            }
        }
    }

    /// What the behaviours and campaigns have to tell goes out behind the call that told them.
    fn take_findings(&mut self) {
        while let Some(finding) = self.behaviours.poll_finding() {
            self.output.push_back(Output::Finding(Box::new(finding)));
        }
        while let Some(campaign) = self.campaigns.poll_campaign() {
            self.output.push_back(Output::Campaign(Box::new(campaign)));
        }
    }

    fn tally_of(&mut self, call: &Held) -> Option<&mut Tally> {
        let resolved = self.settings.resolve(&call.flow, call.sensor, &call.invite);
        let key = key_of(&resolved);
        self.tallies.get_mut(&key)
    }

    /// Sends a call to wait, if it may; the octets that it takes come back.
    fn room_for(&mut self, uid: u64, wanting: Box<Wanting>) -> Option<usize> {
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

    fn hold(&mut self, uid: u64, held: Held) {
        self.held_octets += held.octets;
        self.held.insert(uid, held);
        self.park_counters.most = self.park_counters.most.max(self.held.len());
    }

    fn begin(&mut self, uid: u64, call: Held) {
        let Held {
            at,
            flow,
            sensor,
            invite,
            evidence,
            ends,
            pair,
            came_back,
            ..
        } = call;
        let invite = *invite;
        let s = &self.settings;
        let resolved = s.resolve(&flow, sensor, &invite);
        let seen = s.seen(&flow, sensor);
        let attribution = s.peers.attribution(resolved, seen, invite.words());
        let sensor = seen.sensor;
        let flagged = self.memory.flag(at, &invite, &resolved, &s.flags);
        let (mut flags, mut notes) = (flagged.flags, flagged.notes);
        if let Some(out) = came_back {
            let note = format!(
                "record {} went out with the same {}",
                out.uid,
                out.how.label()
            );
            flags.insert(Flag::Loop);
            notes.insert(Flag::Loop, &note);
        }
        let direction = resolved.direction;
        // What runs between hosts of our own platform is on its way through, under as many Call-IDs as there are hosts.
        let inside = direction == Direction::Unknown && resolved.peer.is_some();
        let sighting = if inside {
            None
        } else {
            self.replays.handle(at, direction, &invite, &mut flags)
        };
        // Each PASSporT once: what comes again is not its signer's doing.
        let skew = match sighting {
            Some(Sighting::First) => self.skews.handle(at, &invite.verdict),
            _ => None,
        };
        let mut begin = Box::new(Begin {
            uid,
            at,
            clock: s.clock,
            sensor: sensor.map_or_else(|| "unnamed".into(), |s| s.name.clone()),
            provenance: sensor.map_or(Provenance::File, |s| s.provenance),
            config: s.config,
            direction: resolved.direction,
            peer: resolved.peer.map(|(p, _)| p.id.clone()),
            peer_rule: resolved.peer.map(|(_, r)| r.name.clone()),
            attribution,
            pair,
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
            flags: s.flags.keep(flags),
            notes,
        });
        if let Some(call) = Call::of(&begin, flagged.exempt) {
            begin.flags.0 |= self
                .settings
                .flags
                .keep(self.behaviours.handle_call(&call))
                .0;
        }
        if let Some(member) = Member::of(&begin, flagged.exempt) {
            self.campaigns.handle_call(&member);
        }
        let key = (begin.direction.into(), begin.peer.clone());
        let tally = self.tallies.entry(key).or_default();
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
        for end in ends {
            self.behaviours.handle_end(&end);
            self.output.push_back(Output::End(end));
        }
        self.take_findings();
    }
}

fn behaviours(settings: &CollectSettings) -> Behaviours {
    let mut behaviours = Behaviours::new(settings.behaviour.clone());
    behaviours.handle_protected(settings.flags.protected.clone());
    behaviours
}

#[cfg(test)]
mod tests;
