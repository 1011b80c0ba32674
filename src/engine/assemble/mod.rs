//! First stage: frames in capture order → SIP messages, numbered.
//!
//! ```text
//! frame ─► link ─► IP ─► UDP, SCTP ───────────────► looks like SIP? ─► message
//!           ▲      ▲│└► fragments ─► UDP, TCP, SCTP       ▲
//!           └ tunnels └─► TCP ─► streams ─► framing ──────┘
//! ```
//!
//! A tunnel leads back to the link or to IP, at most [`MAX_TUNNELS`] times; fragments may stand around it
//! and in it. The way through tunnels is part of every key, so that two networks with the same addresses are never mixed.
//!
//! One [`Assembler`] for each source. After each [`Assembler::handle_frame`] call [`Assembler::poll_message`] until it gives `None`; now and then
//! [`Assembler::poll_coverage`]; at the end [`Assembler::finish`] and both again. Nothing is lost in silence: every frame ends in exactly one counter of
//! [`AssembleCounters`], and every message that began and can't be completed comes out with its [`Cut`], or is counted in the
//! [coverage](crate::call::record::Coverage) of its minute.
//!
//! A cut message bears the time of its last octets seen, not of our giving up: it may be some seconds older than the message before it. It may be
//! cut anywhere, also within its start line, where the scanner finds no message.
//!
//! - [`counters`]: what became of everything
//! - `layers`: from the frame inwards; `fragments`: datagrams put together, or lost
//! - [`ledger`]: coverage, minute by minute

pub mod counters;
mod fragments;
mod layers;
pub mod ledger;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

pub use counters::AssembleCounters;

use crate::base::Timestamp;
use crate::call::record::Coverage;
use crate::wire::ip::{Reassembler, ReassemblyLimits};
use crate::wire::link::LinkType;
use crate::wire::tcp::stream::Found;
use crate::wire::tcp::{StreamKey, StreamLimits, Streams};
use crate::wire::tunnel::{MAX_TUNNELS, TunnelPath, Tunnels};
use crate::wire::{Cut, Flow, Macs, Message, Transport, Vlans};
use layers::Place;
use ledger::Ledger;

/// How often, in capture time, we look for what has become too old. Looking costs more than a frame; a tenth of a second is
/// exact enough for limits of seconds.
const SWEEP: Duration = Duration::from_millis(100);

/// A captured frame.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Capture time.
    pub at: Timestamp,
    /// What it begins with.
    pub link: LinkType,
    /// Which sensor of the configuration saw it, by index.
    pub sensor: u16,
    /// Its octets, as far as the capture kept them.
    pub bytes: &'a [u8],
    /// How many octets it had on the wire. Where that is unknown and octets may be missing: any number above.
    pub original_len: usize,
}

/// Limits of an [`Assembler`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AssembleLimits {
    /// On fragments.
    pub reassembly: ReassemblyLimits,
    /// On TCP.
    pub streams: StreamLimits,
}

/// Frames → numbered SIP messages.
#[derive(Debug)]
pub struct Assembler {
    tunnels: Tunnels,
    reassembler: Reassembler,
    gathers_lost: bool,
    streams: Streams,
    ledger: Ledger,
    counters: AssembleCounters,
    ready: VecDeque<Message>,
    next_seq: u64,
    swept: Timestamp,
}

impl Assembler {
    /// One that has seen nothing. Sensors are called `sensor-0`, `sensor-1`, … until [`Assembler::with_sensors`] names them.
    pub fn new(limits: AssembleLimits) -> Self {
        Self {
            tunnels: Tunnels::default(),
            reassembler: Reassembler::new(limits.reassembly),
            gathers_lost: false,
            streams: Streams::new(limits.streams),
            ledger: Ledger::default(),
            counters: AssembleCounters::default(),
            ready: VecDeque::new(),
            next_seq: 0,
            swept: Timestamp::MIN,
        }
    }

    /// Names the sensors, in the order of [`Frame::sensor`], for coverage.
    #[must_use]
    pub fn with_sensors(mut self, names: impl IntoIterator<Item = Arc<str>>) -> Self {
        self.ledger.name_sensors(names);
        self
    }

    /// Says which tunnels are opened: all of them, at their registered ports, unless told otherwise.
    #[must_use]
    pub fn with_tunnels(mut self, tunnels: Tunnels) -> Self {
        self.tunnels = tunnels;
        self
    }

    /// Takes a frame in.
    pub fn handle_frame(&mut self, frame: Frame<'_>) {
        self.counters.frames_in += 1;
        self.ledger.handle_packet(frame.sensor, frame.at);
        if frame.at.distance(self.swept) >= SWEEP {
            self.sweep(frame.at);
        }
        let is_snapped = frame.bytes.len() < frame.original_len;
        let place = Place {
            sensor: frame.sensor,
            at: frame.at,
            macs: Macs::default(),
            vlans: Vlans::new(),
            path: TunnelPath::none(),
            depth: 0,
            short: is_snapped.then_some(Cut::SnapLength),
        };
        self.handle_link(frame.link, frame.bytes, place);
    }

    /// Lets time pass without a frame: what is too old is given up, and quiet minutes count as covered for the sensors that
    /// are open.
    pub fn handle_time(&mut self, now: Timestamp) {
        self.ledger.handle_time(now);
        self.sweep(now);
    }

    /// A sensor begins to look. One that was never told so begins with its first frame.
    pub fn handle_open(&mut self, sensor: u16, at: Timestamp) {
        self.ledger.handle_open(sensor, at);
    }

    /// A sensor ceases to look: what passes between this and its next frame is not covered.
    pub fn handle_close(&mut self, sensor: u16, at: Timestamp) {
        self.ledger.handle_close(sensor, at);
    }

    /// The capture reports that it lost so many more packets.
    pub fn handle_dropped(&mut self, sensor: u16, at: Timestamp, packets: u64) {
        // The number is the capture file's word: any at all.
        let dropped = &mut self.counters.capture_dropped;
        *dropped = dropped.saturating_add(packets);
        self.ledger.count(sensor, at, |row| {
            row.dropped = row.dropped.saturating_add(packets)
        });
    }

    /// The kernel's ring was full so many times, and it stopped to wait for us.
    pub fn handle_freezes(&mut self, sensor: u16, at: Timestamp, freezes: u64) {
        self.ledger.count(sensor, at, |row| {
            row.freezes = row.freezes.saturating_add(freezes)
        });
    }

    /// The host's clock was set, from `before` to `after`, as a clock that nobody sets shows. The time between is covered by nothing.
    pub fn handle_step(&mut self, before: Timestamp, after: Timestamp) {
        self.ledger.handle_step(before, after);
    }

    /// Capture times have been here so often before (see [`Ledger::begin_pass`]).
    pub fn begin_pass(&mut self, pass: u16) {
        self.ledger.begin_pass(pass);
    }

    /// Has the running minutes' rows come out too, as they are so far: what a crash may cost is what came after.
    pub fn publish_coverage(&mut self) {
        self.ledger.publish();
    }

    /// The next message, whole or cut.
    pub fn poll_message(&mut self) -> Option<Message> {
        self.ready.pop_front()
    }

    /// The next row of coverage. A row comes out when its minute is over, and again, with the same `from`, if something that
    /// began in it is given up later: the later row replaces the earlier one.
    pub fn poll_coverage(&mut self) -> Option<Coverage> {
        self.ledger.poll_row()
    }

    /// The capture has ended: everything that is still incomplete is given up, and the last rows of coverage come out.
    pub fn finish(&mut self) {
        // What is given up may hold a fragment in a tunnel, and so on inwards.
        for _ in 0..=MAX_TUNNELS {
            self.reassembler.finish();
            self.gather_lost();
        }
        self.streams.finish();
        self.gather_found();
        self.ledger.publish();
    }

    /// What became of everything so far.
    pub fn counters(&self) -> AssembleCounters {
        let mut c = self.counters;
        let s = self.streams.counts();
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        c.datagrams_begun = self.reassembler.begun();
        c.datagrams_open = count(self.reassembler.open());
        c.datagram_octets = count(self.reassembler.octets());
        c.streams_begun = s.begun;
        c.streams_not_sip = s.not_sip;
        c.streams_idle = s.idle;
        c.streams_evicted = s.evicted;
        c.streams_replaced = s.replaced;
        c.streams_ended = s.ended;
        c.stream_gaps = s.gaps;
        c.streams_open = count(self.streams.open());
        c.stream_octets = count(self.streams.octets());
        c
    }

    fn sweep(&mut self, now: Timestamp) {
        self.swept = now;
        self.reassembler.expire(now);
        self.gather_lost();
        self.streams.expire(now);
        self.gather_found();
    }

    /// Takes over what streams found.
    fn gather_found(&mut self) {
        while let Some((key, found, at)) = self.streams.poll_found() {
            let StreamKey { sensor, mut flow } = key;
            match found {
                Found::WsMessage { bytes, cut } => {
                    self.counters.ws_messages += 1;
                    flow.transport = Transport::Ws;
                    self.push(flow, bytes, cut, sensor, at);
                }
                Found::WsOther => self.counters.ws_not_sip += 1,
                Found::WsControl => self.counters.ws_control += 1,
                Found::WsCompressed => {
                    self.counters.ws_compressed += 1;
                    self.ledger.count(sensor, at, |row| row.unreadable += 1);
                }
                Found::Message { bytes, cut } => {
                    self.counters.stream_messages += 1;
                    self.push(flow, bytes, cut, sensor, at);
                }
                Found::KeepAlive => self.counters.stream_keep_alives += 1,
                Found::Gap => {
                    self.counters.stream_gaps_between += 1;
                    self.ledger.count(sensor, at, |row| {
                        row.incomplete += 1;
                        row.tcp_gaps += 1;
                    });
                }
                Found::LostThread => {
                    self.counters.stream_lost_threads += 1;
                    self.ledger.count(sensor, at, |row| row.unreadable += 1);
                }
            }
        }
    }

    fn push(&mut self, flow: Flow, bytes: Vec<u8>, cut: Option<Cut>, sensor: u16, at: Timestamp) {
        self.counters.messages_out += 1;
        *self.counters.of_cut(cut) += 1;
        self.ledger.count(sensor, at, |row| match cut {
            None => row.messages += 1,
            Some(cut) => {
                row.incomplete += 1;
                row.lost_fragments += u64::from(cut == Cut::LostFragment);
                row.tcp_gaps += u64::from(cut == Cut::TcpGap);
            }
        });
        let seq = self.next_seq;
        self.next_seq += 1;
        self.ready.push_back(Message {
            seq,
            at,
            flow,
            sensor,
            bytes,
            cut,
        });
    }
}

#[cfg(test)]
mod tests;
