//! The last stage: judged messages, in the order of capture, become records.
//!
//! - [`settings`]: what collect has to know
//! - [`Collector`]: the machine; here is what it does with each message
//! - `begin`: the first half of a record · `waiting`: calls whose record waits for a certificate
//! - [`output`]: what comes out, and in which order
//! - `anew`: other settings, a restart, the end · `figures`: what is counted · [`tally`]: by neighbour
//!
//! Only capture time counts. [`Collector::handle_time`] says that none earlier will come, and when and how often it is called changes no record.

mod anew;
mod begin;
mod figures;
pub mod output;
pub mod settings;
pub mod tally;
mod waiting;

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::base::Timestamp;
use crate::call::attempt::{
    Attempts, Facts, InviteFacts, InviteIs, Lane, RequestFacts, RequestKind, ResponseFacts,
};
use crate::call::classify::FlagMemory;
use crate::call::classify::behaviour::Behaviours;
use crate::call::classify::campaign::Campaigns;
use crate::call::classify::replay::Replays;
use crate::call::classify::skew::Skews;
use crate::call::leg::{LegLimits, Legs};
use crate::call::peer::unknown::UnknownNeighbours;
use crate::call::record::evidence::Evidence;
use crate::engine::judge::{Judged, Unjudged, Wanting};
use crate::engine::park::{ParkCounters, ParkLimits, Parked};
use crate::wire::Flow;
pub use output::Output;
pub use settings::CollectSettings;
use tally::place_of;
pub use tally::{CollectCounters, DirectionKey, Tally, TallyKey};
use waiting::Held;

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

/// A message of this sensor makes collect panic, in tests alone.
#[cfg(test)]
pub(crate) const PANICS: u16 = u16::MAX;

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
        self.pass(judged.at);
        let (at, flow, c) = (judged.at, judged.flow, &mut self.counters);
        match judged.facts {
            Err(Unjudged::NotSip) => c.not_sip += 1,
            Err(Unjudged::Panicked) => c.panicked += 1,
            Ok(Facts::Response(response)) => self.response(at, &flow, &response),
            Ok(Facts::Request(request)) => self.request(at, &flow, &request),
            Ok(Facts::Invite(invite)) => {
                let with = (judged.evidence, judged.wanting);
                self.invite(at, flow, judged.sensor, invite, with);
            }
        }
        self.take_ends();
    }

    /// Lets time pass without a message: attempts that nobody answers end. No message before `now` may come any more, or what it finds depends on
    /// when this was called.
    pub fn handle_time(&mut self, now: Timestamp) {
        if now <= self.now {
            return;
        }
        self.pass(now);
        self.behaviours.handle_time(now);
        self.campaigns.handle_time(now);
        self.take_findings();
    }

    /// What ends by time ends before the next message has its turn.
    fn pass(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        self.attempts.handle_time(now);
        self.take_ends();
    }

    /// The lane of a request that runs as this flow does.
    fn lane(&self, flow: &Flow) -> Lane {
        Lane::new(self.settings.peers.side(flow), flow)
    }

    /// The lane of a request that runs the other way.
    fn lane_against(&self, flow: &Flow) -> Lane {
        Lane::new(self.settings.peers.side(&flow.reversed()), flow)
    }

    fn response(&mut self, at: Timestamp, flow: &Flow, response: &ResponseFacts) {
        self.counters.responses += 1;
        // Of all others the attempts want nothing.
        if response.to_invite {
            let lane = self.lane_against(flow);
            self.attempts.handle_response(at, lane, response);
        }
    }

    fn request(&mut self, at: Timestamp, flow: &Flow, request: &RequestFacts) {
        match request.kind {
            RequestKind::Other => self.counters.other_requests += 1,
            RequestKind::Ack | RequestKind::Cancel | RequestKind::Bye => {
                self.counters.dialog_requests += 1;
                let (along, against) = (self.lane(flow), self.lane_against(flow));
                self.attempts.handle_request(at, along, against, request);
            }
        }
    }

    fn invite(
        &mut self,
        at: Timestamp,
        flow: Flow,
        sensor: u16,
        mut invite: Box<InviteFacts>,
        (evidence, wanting): (Option<Box<Evidence>>, Option<Box<Wanting>>),
    ) {
        let (uid, lane) = (self.next_uid, self.lane(&flow));
        let (s, peers) = (&self.settings, self.settings.peers.clone());
        // Once for all: the neighbour of the record, of its leg and of its tally.
        let resolved = s.resolve_and_take_off(&peers, &flow, sensor, &mut invite);
        let (tallies, places) = (&mut self.tallies, &mut self.places);
        let place = || place_of(resolved, tallies, places);
        let is = self
            .attempts
            .handle_invite_at_place(uid, at, lane, &invite, place);
        let c = &mut self.counters;
        match is {
            InviteIs::Retransmission => c.retransmissions += 1,
            InviteIs::Fork => c.forks += 1,
            InviteIs::AuthRetry => c.auth_retries += 1,
            InviteIs::ReInvite => c.reinvites += 1,
            InviteIs::New => {
                c.attempts += 1;
                self.next_uid += 1;
                self.memory.note(at, &invite, &self.settings.flags);
                let (pair, came_back) = self.tie(uid, at, sensor, resolved, &invite);
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
                    Some(octets) => {
                        if !begin::is_inside(&resolved) {
                            self.replays.note(uid, at, resolved.direction, &call.invite);
                        }
                        self.hold(uid, Held { octets, ..call });
                    }
                    None => self.begin(uid, call, &peers, resolved),
                }
            }
        }
    }
}

fn behaviours(settings: &CollectSettings) -> Behaviours {
    let mut behaviours = Behaviours::new(settings.behaviour.clone());
    behaviours.handle_protected(settings.flags.protected.clone());
    behaviours
}

#[cfg(test)]
mod tests;
