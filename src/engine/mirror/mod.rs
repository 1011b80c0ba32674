//! First stage for agents that mirror what they see: HEP packets → SIP messages, each from the sensor that its agent is.
//!
//! ```text
//! packet ─► HEP ─► allow-list ─► SIP? ─► inflate ─► datagram ───────────────► message
//!                                                  └► stream ─► framing ─────┘
//! ```
//!
//! What [`Assembler`](crate::engine::Assembler) is for frames: after each `handle_*` call [`Mirror::poll_message`] until it gives `None`, now and then
//! [`Mirror::poll_coverage`]. Every packet ends in exactly one counter of [`MirrorCounters`].
//!
//! An agent is known by address, carrier, client certificate, number and key, as far as the configuration names them. Over UDP all of these can be written
//! by anybody on the way, the key too: it is plain text. Only TLS with client certificates says who speaks.
//!
//! Coverage: over TCP and TLS an agent looks while it is connected (from its first packet on); over UDP while packets came within
//! [`MirrorLimits::udp_quiet`], so that up to as much after its last packet counts as covered although it may have gone. What the kernel or the listener dropped of our
//! datagrams can't be laid to one agent: it counts in the row of each that is heard over UDP.
//!
//! - [`agent`]: the allow-list
//! - [`split`]: messages of streams out of payloads
//! - [`counters`]: what became of everything

pub mod agent;
pub mod counters;
mod split;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use agent::{Agent, AgentKey, Carrier, CarrierKind, ClientCertificate, Refusal};
pub use counters::MirrorCounters;
pub use split::SplitLimits;

use crate::base::Timestamp;
use crate::call::record::Coverage;
use crate::engine::assemble::ledger::Ledger;
use crate::wire::hep::{self, HepPacket};
use crate::wire::sip::looks_like_sip;
use crate::wire::tunnel::TunnelPath;
use crate::wire::{Flow, Macs, Message, Transport, Vlans};
use split::{SplitKey, Splits, Times};

/// Limits of a [`Mirror`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MirrorLimits {
    /// How far an agent's clock may be from ours before arrival counts in its place.
    pub clock_distance: Duration,
    /// How long an agent over UDP counts as looking after its last packet.
    pub udp_quiet: Duration,
    /// On split messages.
    pub split: SplitLimits,
}

impl Default for MirrorLimits {
    /// Two seconds, which is the answer's usual precision and far more than NTP leaves open; two minutes.
    fn default() -> Self {
        Self {
            clock_distance: Duration::from_secs(2),
            udp_quiet: Duration::from_secs(120),
            split: SplitLimits::default(),
        }
    }
}

/// What one agent showed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AgentCounts {
    /// Packets that were its own.
    pub packets: u64,
    /// SIP messages out of them, whole or cut.
    pub messages: u64,
}

/// HEP packets → SIP messages.
#[derive(Debug)]
pub struct Mirror {
    agents: Arc<[Agent]>,
    limits: MirrorLimits,
    splits: Splits,
    ledger: Ledger,
    counters: MirrorCounters,
    /// By sensor.
    of_agents: BTreeMap<u16, AgentCounts>,
    ready: VecDeque<(Timestamp, Message)>,
    /// Agents heard over UDP, and when last.
    heard: BTreeMap<u16, Timestamp>,
    /// Agents admitted over each connection. The listener bounds connections.
    connections: HashMap<(CarrierKind, SocketAddr), Vec<u16>>,
}

impl Mirror {
    /// One that has heard nothing.
    pub fn new(agents: impl Into<Arc<[Agent]>>, limits: MirrorLimits) -> Self {
        let mut mirror = Self {
            agents: [].into(),
            limits,
            splits: Splits::new(limits.split),
            ledger: Ledger::default(),
            counters: MirrorCounters::default(),
            of_agents: BTreeMap::new(),
            ready: VecDeque::new(),
            heard: BTreeMap::new(),
            connections: HashMap::new(),
        };
        mirror.handle_agents(agents.into());
        mirror
    }

    /// Puts another allow-list in the place of this one. What is connected stays so, and its next packet is held against the new list.
    pub fn handle_agents(&mut self, agents: Arc<[Agent]>) {
        let most = agents.iter().map(|a| a.sensor).max();
        let names = (0..=most.unwrap_or(0)).map(|sensor| {
            let agent = agents.iter().find(|a| a.sensor == sensor);
            agent.map_or_else(|| format!("sensor-{sensor}").into(), |a| a.name.clone())
        });
        self.ledger.name_sensors(names);
        self.agents = agents;
    }

    /// What each agent of the allow-list showed; one that was never heard showed nothing.
    pub fn by_agent(&self) -> impl Iterator<Item = (&Arc<str>, AgentCounts)> {
        let counts = |a: &Agent| self.of_agents.get(&a.sensor).copied().unwrap_or_default();
        self.agents.iter().map(move |a| (&a.name, counts(a)))
    }

    /// The allow-list.
    pub fn agents(&self) -> &[Agent] {
        &self.agents
    }

    /// Takes a packet in. `arrived` is our clock's time.
    pub fn handle_packet(
        &mut self,
        peer: SocketAddr,
        over: Carrier<'_>,
        bytes: &[u8],
        arrived: Timestamp,
    ) {
        self.counters.packets_in += 1;
        let packet = match hep::parse(bytes, arrived) {
            Ok(packet) => packet,
            Err(e) => return *self.counters.of_error(e) += 1,
        };
        let agents = self.agents.clone();
        let agent = match agent::find(&agents, peer.ip(), over, &packet) {
            Ok(agent) => agent,
            Err(refusal) => return *self.counters.of_refusal(refusal) += 1,
        };
        self.look(agent.sensor, peer, over.kind(), arrived);
        self.handle_admitted(agent.sensor, &packet, arrived);
    }

    /// A connection has ended.
    pub fn handle_closed(&mut self, peer: SocketAddr, over: CarrierKind, at: Timestamp) {
        let admitted = self.connections.remove(&(over, peer));
        for sensor in admitted.into_iter().flatten() {
            self.ledger.handle_close(sensor, at);
        }
    }

    /// The kernel, or the listener for want of room, dropped so many datagrams more.
    pub fn handle_dropped(&mut self, packets: u64, at: Timestamp) {
        self.counters.dropped = self.counters.dropped.saturating_add(packets);
        for sensor in self.heard.keys() {
            self.ledger.count(*sensor, at, |row| {
                row.dropped = row.dropped.saturating_add(packets);
            });
        }
    }

    /// Lets time pass: agents that are quiet for too long no longer look, and split messages are given up.
    pub fn handle_time(&mut self, now: Timestamp) {
        let quiet = self.limits.udp_quiet;
        let gone = |last: &Timestamp| last.distance(now) > quiet;
        let silent = self.heard.iter().filter(|(_, last)| gone(last));
        let silent: Vec<u16> = silent.map(|(sensor, _)| *sensor).collect();
        self.ledger.handle_time(now);
        for sensor in silent {
            self.heard.remove(&sensor);
            self.ledger.handle_close(sensor, now);
        }
        self.splits.expire(now);
        self.gather();
    }

    /// The host's clock was set, as [`Assembler::handle_step`](crate::engine::Assembler::handle_step). Agents that were heard go on being heard.
    pub fn handle_step(&mut self, before: Timestamp, after: Timestamp) {
        for last in self.heard.values_mut() {
            *last = after.minus(before.distance((*last).min(before)));
        }
        self.ledger.handle_step(before, after);
    }

    /// Times have been here so often before: see [`Ledger::begin_pass`].
    pub fn begin_pass(&mut self, pass: u16) {
        self.ledger.begin_pass(pass);
    }

    /// Has the running minutes' rows come out too, as they are so far.
    pub fn publish_coverage(&mut self) {
        self.ledger.publish();
    }

    /// The next message, and when its last part reached us.
    pub fn poll_message(&mut self) -> Option<(Timestamp, Message)> {
        self.ready.pop_front()
    }

    /// The next row of coverage: as [`Assembler::poll_coverage`](crate::engine::Assembler::poll_coverage).
    pub fn poll_coverage(&mut self) -> Option<Coverage> {
        self.ledger.poll_row()
    }

    /// We cease to listen: what is incomplete is given up, and the last rows of coverage come out.
    pub fn finish(&mut self) {
        self.splits.finish();
        self.gather();
        self.ledger.publish();
    }

    /// What became of everything so far.
    pub fn counters(&self) -> MirrorCounters {
        let mut c = self.counters;
        let s = self.splits.counts();
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        c.threads_lost = s.threads_lost;
        c.splits_begun = s.begun;
        c.splits_completed = s.completed;
        c.splits_age = s.age;
        c.splits_evicted = s.evicted;
        c.splits_replaced = s.replaced;
        c.splits_too_long = s.too_long;
        c.splits_end = s.end;
        c.splits_open = count(self.splits.open());
        c.split_octets = count(self.splits.octets());
        let connected = self.connections.values().flatten();
        let mut open: Vec<u16> = connected.chain(self.heard.keys()).copied().collect();
        open.sort_unstable();
        open.dedup();
        c.agents_open = count(open.len());
        c
    }

    /// The agent looks: over UDP since it is heard, over a connection since it was admitted there.
    fn look(&mut self, sensor: u16, peer: SocketAddr, over: CarrierKind, at: Timestamp) {
        let is_new = match over {
            CarrierKind::Udp => self.heard.insert(sensor, at).is_none(),
            CarrierKind::Tcp | CarrierKind::Tls => {
                let connections = &mut self.connections;
                let admitted = connections.entry((over, peer)).or_insert_with(|| {
                    self.counters.connections_seen += 1;
                    Vec::new()
                });
                let is_new = !admitted.contains(&sensor);
                if is_new {
                    admitted.push(sensor);
                }
                is_new
            }
        };
        if is_new {
            self.ledger.handle_open(sensor, at);
        }
        self.ledger.handle_packet(sensor, at);
    }

    fn handle_admitted(&mut self, sensor: u16, packet: &HepPacket<'_>, arrived: Timestamp) {
        self.of_agents.entry(sensor).or_default().packets += 1;
        let Some(payload) = packet.payload else {
            self.counters.packets_keep_alive += 1;
            return;
        };
        if packet.kind != hep::SIP {
            return *self.counters.of_kind(packet.kind) += 1;
        }
        let Some((source, destination)) = packet.between else {
            self.counters.packets_no_address += 1;
            self.unreadable(sensor, arrived);
            return;
        };
        let payload = match payload.open() {
            Ok(payload) => payload,
            Err(e) => {
                *self.counters.of_error(e) += 1;
                self.unreadable(sensor, arrived);
                return;
            }
        };
        self.counters.packets_sip += 1;
        let times = Times {
            at: self.time(packet, arrived),
            arrived,
        };
        let transport = packet.transport().unwrap_or_else(|| {
            self.counters.transports_unknown += 1;
            Transport::Udp
        });
        let flow = Flow {
            source,
            destination,
            transport,
            vlans: packet.vlan.into_iter().collect::<Vlans>(),
            path: TunnelPath::none(),
            macs: Macs::default(),
        };
        let key = SplitKey { sensor, flow };
        // In the middle of a message line ends are its own.
        let blank = payload.iter().all(|b| matches!(b, b'\r' | b'\n' | 0));
        if blank && !self.splits.holds(&key) {
            self.counters.payloads_keep_alive += 1;
            return;
        }
        if matches!(transport, Transport::Udp | Transport::Sctp) {
            if !looks_like_sip(&payload) {
                self.counters.payloads_not_sip += 1;
                return;
            }
            self.counters.payloads_whole += 1;
            let bytes = payload.into_owned();
            self.push(split::Whole {
                key,
                times,
                bytes,
                cut: None,
            });
        } else {
            self.counters.payloads_stream += 1;
            let lost = self.splits.counts().threads_lost;
            self.splits.handle(key, &payload, times);
            // What could not be framed may have been messages.
            let lost = self.splits.counts().threads_lost - lost;
            self.ledger
                .count(sensor, arrived, |row| row.unreadable += lost);
            self.gather();
        }
    }

    /// The agent's time, unless it is missing or too far from ours.
    fn time(&mut self, packet: &HepPacket<'_>, arrived: Timestamp) -> Timestamp {
        match packet.at {
            None => self.counters.times_missing += 1,
            Some(at) if at.distance(arrived) > self.limits.clock_distance => {
                self.counters.times_off += 1;
            }
            Some(at) => return at,
        }
        arrived
    }

    fn unreadable(&mut self, sensor: u16, at: Timestamp) {
        self.ledger.count(sensor, at, |row| row.unreadable += 1);
    }

    fn gather(&mut self) {
        while let Some(whole) = self.splits.poll() {
            self.push(whole);
        }
    }

    fn push(&mut self, whole: split::Whole) {
        let split::Whole {
            key,
            times,
            bytes,
            cut,
        } = whole;
        self.counters.messages_out += 1;
        *self.counters.of_cut(cut) += 1;
        self.of_agents.entry(key.sensor).or_default().messages += 1;
        self.ledger
            .count(key.sensor, times.arrived, |row| match cut {
                None => row.messages += 1,
                Some(_) => row.incomplete += 1,
            });
        let message = Message {
            seq: 0,
            at: times.at,
            flow: key.flow,
            sensor: key.sensor,
            bytes,
            cut,
        };
        self.ready.push_back((times.arrived, message));
    }
}

#[cfg(test)]
mod tests;
