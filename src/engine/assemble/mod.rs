//! First stage: frames in capture order → SIP messages, numbered.
//!
//! ```text
//! frame ─► link ─► IP ─► UDP ─────────────────────► looks like SIP? ─► message
//!                   │└► fragments ─► UDP, TCP             ▲
//!                   └─► TCP ─► streams ─► framing ────────┘
//! ```
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
//! - [`ledger`]: coverage, minute by minute

pub mod counters;
pub mod ledger;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use counters::AssembleCounters;

use crate::base::Timestamp;
use crate::call::record::Coverage;
use crate::wire::ip::reassembly::{Datagram, DatagramKey, Lost, LostWhy, Taken};
use crate::wire::ip::{self, IpError, Packet, Reassembler, ReassemblyLimits};
use crate::wire::link::{self, LinkType};
use crate::wire::sip::looks_like_sip;
use crate::wire::tcp::stream::Found;
use crate::wire::tcp::{self, SegmentFate, StreamKey, StreamLimits, Streams};
use crate::wire::{Cut, Flow, Message, Transport, Vlans, udp};
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
    reassembler: Reassembler,
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
            reassembler: Reassembler::new(limits.reassembly),
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

    /// Takes a frame in.
    pub fn handle_frame(&mut self, frame: Frame<'_>) {
        self.counters.frames_in += 1;
        self.ledger.handle_packet(frame.sensor, frame.at);
        if frame.at.distance(self.swept) >= SWEEP {
            self.sweep(frame.at);
        }
        let peeled = match link::peel(frame.link, frame.bytes) {
            Ok(peeled) => peeled,
            Err(e) => return *self.counters.of_link(e) += 1,
        };
        let snapped = frame.bytes.len() < frame.original_len;
        let packet = match ip::parse(peeled.packet) {
            // A receiver drops a packet that ends before it says, unless only our capture ends there.
            Ok(p) if p.payload.len() < p.said && !snapped => {
                return *self.counters.of_ip(IpError::Malformed) += 1;
            }
            Ok(packet) => packet,
            Err(e) => return *self.counters.of_ip(e) += 1,
        };
        let place = Place {
            sensor: frame.sensor,
            vlans: peeled.vlans,
            at: frame.at,
        };
        if packet.fragment.is_some() {
            self.handle_fragment(&packet, place);
            return;
        }
        match packet.protocol {
            ip::UDP => {
                self.counters.frames_udp += 1;
                self.handle_udp(&packet, place);
            }
            ip::TCP => {
                self.counters.frames_tcp += 1;
                self.handle_segment(&packet, packet.payload, packet.said, place);
            }
            _ => self.counters.frames_other_protocol += 1,
        }
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
        self.reassembler.finish();
        self.gather_lost();
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

    fn handle_udp(&mut self, packet: &Packet<'_>, place: Place) {
        let Some(datagram) = udp::parse(packet.payload, packet.said) else {
            self.counters.udp_malformed += 1;
            return;
        };
        if self.is_sip(datagram.payload) {
            let flow = place.flow(
                packet,
                Transport::Udp,
                datagram.source,
                datagram.destination,
            );
            let cut = datagram.short.then_some(Cut::SnapLength);
            self.push(flow, datagram.payload.to_vec(), cut, place.sensor, place.at);
        }
    }

    /// Counts what a UDP payload is.
    fn is_sip(&mut self, payload: &[u8]) -> bool {
        let is_sip = looks_like_sip(payload);
        if is_sip {
            self.counters.udp_sip += 1;
        } else if payload.iter().all(|b| matches!(b, b'\r' | b'\n' | 0)) {
            self.counters.udp_keep_alive += 1;
        } else {
            self.counters.udp_not_sip += 1;
        }
        is_sip
    }

    fn handle_segment(&mut self, packet: &Packet<'_>, bytes: &[u8], said: usize, place: Place) {
        let Some(segment) = tcp::parse(bytes, said) else {
            self.counters.segments_malformed += 1;
            return;
        };
        let (sensor, at) = (place.sensor, place.at);
        let flow = place.flow(packet, Transport::Tcp, segment.source, segment.destination);
        let key = StreamKey { sensor, flow };
        match self.streams.handle(key, &segment, at) {
            SegmentFate::Control => self.counters.segments_control += 1,
            SegmentFate::Delivered => self.counters.segments_delivered += 1,
            SegmentFate::Repeated => self.counters.segments_repeated += 1,
            SegmentFate::Held => self.counters.segments_held += 1,
            SegmentFate::NotSip => self.counters.segments_not_sip += 1,
        }
        self.gather_found();
    }

    fn handle_fragment(&mut self, packet: &Packet<'_>, place: Place) {
        let Some(fragment) = packet.fragment else {
            return;
        };
        if packet.source.is_ipv4() && !matches!(packet.protocol, ip::UDP | ip::TCP) {
            self.counters.frames_other_protocol += 1;
            return;
        }
        self.counters.frames_fragment += 1;
        let key = DatagramKey::of(packet, fragment, place.sensor, place.vlans.clone());
        match self.reassembler.handle(key, fragment, packet, place.at) {
            Taken::Held => self.counters.fragments_held += 1,
            Taken::Duplicate => self.counters.fragments_duplicate += 1,
            Taken::Overlap => self.counters.fragments_overlap += 1,
            Taken::Malformed => self.counters.fragments_malformed += 1,
            Taken::Refused => self.counters.fragments_refused += 1,
            Taken::Complete(datagram) => {
                self.counters.fragments_completing += 1;
                self.counters.datagrams_completed += 1;
                self.handle_datagram(packet, datagram, place);
            }
        }
        self.gather_lost();
    }

    /// A datagram put together. Its buffer becomes the message.
    fn handle_datagram(&mut self, packet: &Packet<'_>, mut datagram: Datagram, place: Place) {
        let (protocol, front) = upper(packet.source.is_ipv6(), datagram.protocol, &datagram.bytes);
        let bytes = datagram.bytes.get(front..).unwrap_or_default();
        let said = datagram.said.saturating_sub(front);
        match protocol {
            Some(ip::UDP) => {
                self.counters.datagrams_udp += 1;
                let Some(d) = udp::parse(bytes, said) else {
                    self.counters.udp_malformed += 1;
                    return;
                };
                if !self.is_sip(d.payload) {
                    return;
                }
                let flow = place.flow(packet, Transport::Udp, d.source, d.destination);
                let cut = d.short.then_some(Cut::SnapLength);
                let length = d.payload.len();
                datagram.bytes.drain(..front + udp::HEADER);
                datagram.bytes.truncate(length);
                self.push(flow, datagram.bytes, cut, place.sensor, place.at);
            }
            Some(ip::TCP) => {
                self.counters.datagrams_tcp += 1;
                self.handle_segment(packet, bytes, said, place);
            }
            _ => self.counters.datagrams_other += 1,
        }
    }

    /// Takes note of the datagrams that were given up. The front of a SIP message comes out as a cut message.
    fn gather_lost(&mut self) {
        while let Some(lost) = self.reassembler.poll_lost() {
            *self.counters.of_lost(lost.why) += 1;
            if lost.why != LostWhy::Duplicate {
                self.handle_lost(lost);
            }
        }
    }

    fn handle_lost(&mut self, mut lost: Lost) {
        let Lost { key, at, .. } = &lost;
        let (sensor, at) = (key.sensor, *at);
        if lost.front.is_empty() {
            // Of a datagram without its first fragment we know no port. Reading like text is all that SIP and it have in common.
            if lost.text {
                self.counters.fronts_missing_text += 1;
                self.ledger.count(sensor, at, |row| {
                    row.incomplete += 1;
                    row.lost_fragments += 1;
                });
            } else {
                self.counters.fronts_missing += 1;
            }
            return;
        }
        let (protocol, front) = upper(key.source.is_ipv6(), lost.protocol, &lost.front);
        let bytes = lost.front.get(front..).unwrap_or_default();
        if protocol != Some(ip::UDP) {
            // A segment that is missing shows as a gap in its stream.
            self.counters.fronts_not_udp += 1;
            return;
        }
        match udp::parse(bytes, usize::from(u16::MAX)) {
            // Overlapping fragments leave it open what the receiver saw: that there was something is all we say.
            Some(d) if looks_like_sip(d.payload) && lost.why == LostWhy::Overlap => {
                self.counters.fronts_sip_overlap += 1;
                self.ledger.count(sensor, at, |row| {
                    row.incomplete += 1;
                    row.lost_fragments += 1;
                });
            }
            Some(d) if looks_like_sip(d.payload) => {
                self.counters.fronts_sip += 1;
                let flow = Flow {
                    source: SocketAddr::new(key.source, d.source),
                    destination: SocketAddr::new(key.destination, d.destination),
                    transport: Transport::Udp,
                    vlans: key.vlans.clone(),
                };
                let length = d.payload.len();
                let mut bytes = std::mem::take(&mut lost.front);
                bytes.drain(..front + udp::HEADER);
                bytes.truncate(length);
                self.push(flow, bytes, Some(Cut::LostFragment), sensor, at);
            }
            _ => self.counters.fronts_not_sip += 1,
        }
    }

    /// Takes over what streams found.
    fn gather_found(&mut self) {
        while let Some((key, found, at)) = self.streams.poll_found() {
            let StreamKey { sensor, flow } = key;
            match found {
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

/// Where and when a packet was seen.
struct Place {
    sensor: u16,
    vlans: Vlans,
    at: Timestamp,
}

impl Place {
    fn flow(self: &Place, packet: &Packet<'_>, transport: Transport, from: u16, to: u16) -> Flow {
        Flow {
            source: SocketAddr::new(packet.source, from),
            destination: SocketAddr::new(packet.destination, to),
            transport,
            vlans: self.vlans.clone(),
        }
    }
}

/// What the octets behind the IP header are, and where that begins: in IPv6 more extension headers may come first. `None` when they
/// can't be read.
fn upper(is_v6: bool, protocol: u8, bytes: &[u8]) -> (Option<u8>, usize) {
    if !is_v6 {
        return (Some(protocol), 0);
    }
    match ip::walk_extensions(protocol, bytes) {
        Ok(u) if u.fragment.is_none() => (Some(u.protocol), u.skipped),
        _ => (None, 0),
    }
}

#[cfg(test)]
mod tests;
