//! From the frame inwards: link, IP, tunnels and what is in them, UDP, TCP, SCTP.

use std::net::{IpAddr, SocketAddr};

use super::Assembler;
use crate::base::Timestamp;
use crate::wire::ip::{self, IpError};
use crate::wire::link::{self, LinkType};
use crate::wire::sip::looks_like_sip;
use crate::wire::tcp::{self, SegmentFate, StreamKey};
use crate::wire::tunnel::{Announced, Carries, MAX_TUNNELS, Opened, TunnelPath};
use crate::wire::{Cut, Flow, Macs, Transport, Vlans, sctp, udp};

/// Where and when octets were seen, and what is known to be missing.
#[derive(Debug)]
pub(super) struct Place {
    pub sensor: u16,
    pub at: Timestamp,
    pub vlans: Vlans,
    pub macs: Macs,
    pub path: TunnelPath,
    /// How many tunnels `path` holds.
    pub depth: usize,
    /// Set when octets may be missing at the end, and no sender is to blame for it.
    pub short: Option<Cut>,
}

/// Between which addresses.
pub(super) type Ends = (IpAddr, IpAddr);

impl Place {
    pub(super) fn flow(&self, ends: Ends, transport: Transport, from: u16, to: u16) -> Flow {
        Flow {
            source: SocketAddr::new(ends.0, from),
            destination: SocketAddr::new(ends.1, to),
            transport,
            vlans: self.vlans.clone(),
            path: self.path.clone(),
            macs: self.macs,
        }
    }

    /// Why a message that ends too early does.
    pub(super) fn why_short(&self) -> Cut {
        self.short.unwrap_or(Cut::SnapLength)
    }
}

impl Assembler {
    pub(super) fn handle_link(&mut self, link: LinkType, frame: &[u8], mut place: Place) {
        let peeled = match link::peel(link, frame) {
            Ok(peeled) => peeled,
            Err(e) => return *self.counters.of_link(e) += 1,
        };
        place.macs = peeled.macs;
        if place.vlans.is_empty() {
            place.vlans = peeled.vlans;
        } else {
            place.vlans.extend(peeled.vlans);
        }
        let announced = match peeled.carries {
            Carries::Ip => return self.handle_ip(peeled.packet, place),
            Carries::Mpls if self.tunnels.mpls => Announced::Mpls,
            Carries::Pppoe if self.tunnels.pppoe => Announced::Pppoe,
            Carries::Mpls | Carries::Pppoe | Carries::Ethernet => {
                return self.counters.frames_not_ip += 1;
            }
        };
        self.counters.frames_tunnel += 1;
        self.open(announced, peeled.packet, None, place);
    }

    fn handle_ip(&mut self, packet: &[u8], place: Place) {
        let packet = match ip::parse(packet) {
            // A receiver drops a packet that ends before it says, unless only our capture ends there.
            Ok(p) if p.payload.len() < p.said && place.short.is_none() => {
                return *self.counters.of_ip(IpError::Malformed) += 1;
            }
            Ok(packet) => packet,
            Err(e) => return *self.counters.of_ip(e) += 1,
        };
        if let Some(fragment) = packet.fragment {
            return self.handle_fragment(&packet, fragment, place);
        }
        let ends = (packet.source, packet.destination);
        match packet.protocol {
            ip::UDP => {
                self.counters.frames_udp += 1;
                self.handle_udp(ends, packet.payload, packet.said, place);
            }
            ip::TCP => {
                self.counters.frames_tcp += 1;
                self.handle_segment(ends, packet.payload, packet.said, place);
            }
            sctp::PROTOCOL => {
                self.counters.frames_sctp += 1;
                self.handle_sctp(ends, packet.payload, packet.said, place);
            }
            other => match self.tunnels.of_protocol(other) {
                Some(announced) => {
                    self.counters.frames_tunnel += 1;
                    self.open(announced, packet.payload, Some(ends), place);
                }
                None => self.counters.frames_other_protocol += 1,
            },
        }
    }

    /// Opens a tunnel and goes on inside. Whoever calls has counted that there is one.
    pub(super) fn open(
        &mut self,
        announced: Announced,
        bytes: &[u8],
        ends: Option<Ends>,
        mut place: Place,
    ) {
        if place.depth >= MAX_TUNNELS {
            self.counters.tunnels_too_deep += 1;
            return;
        }
        let opened = match announced.open(bytes) {
            Ok(opened) => opened,
            Err(e) => return *self.counters.of_tunnel(e) += 1,
        };
        *self.counters.of_opened(opened.kind) += 1;
        let mut outside = Vlans::new();
        if opened.carries == Carries::Ethernet {
            outside = std::mem::take(&mut place.vlans);
            place.vlans.extend(opened.vlan);
        }
        place.path = place.path.into_tunnel(&opened, ends, outside);
        place.depth += 1;
        if opened.truncated {
            place.short.get_or_insert(Cut::SnapLength);
        }
        match opened.carries {
            Carries::Ip => self.handle_ip(opened.inside, place),
            Carries::Ethernet => self.handle_link(LinkType::Ethernet, opened.inside, place),
            Carries::Mpls | Carries::Pppoe => self.handle_tunnelled(&opened, place),
        }
    }

    /// A tunnel right in a tunnel, as MPLS in GRE (RFC 4023).
    fn handle_tunnelled(&mut self, opened: &Opened<'_>, place: Place) {
        let announced = match opened.carries {
            Carries::Mpls if self.tunnels.mpls => Announced::Mpls,
            Carries::Pppoe if self.tunnels.pppoe => Announced::Pppoe,
            _ => return self.counters.frames_not_ip += 1,
        };
        self.counters.frames_tunnel += 1;
        self.open(announced, opened.inside, None, place);
    }

    pub(super) fn handle_udp(&mut self, ends: Ends, bytes: &[u8], said: usize, place: Place) {
        let Some(datagram) = udp::parse(bytes, said) else {
            self.counters.udp_malformed += 1;
            return;
        };
        if let Some(announced) = self.tunnel_of(&datagram) {
            self.counters.udp_tunnel += 1;
            return self.open(announced, datagram.payload, Some(ends), place);
        }
        if self.is_sip(datagram.payload) {
            let (from, to) = (datagram.source, datagram.destination);
            let flow = place.flow(ends, Transport::Udp, from, to);
            let cut = datagram.short.then(|| place.why_short());
            self.push(flow, datagram.payload.to_vec(), cut, place.sensor, place.at);
        }
    }

    /// Which tunnel a datagram holds. SIP at a tunnel's port is SIP: no tunnel's header reads like it.
    pub(super) fn tunnel_of(&self, datagram: &udp::Datagram<'_>) -> Option<Announced> {
        let announced = self.tunnels.of_port(datagram.destination)?;
        (!looks_like_sip(datagram.payload)).then_some(announced)
    }

    /// Counts what a UDP payload is.
    pub(super) fn is_sip(&mut self, payload: &[u8]) -> bool {
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

    pub(super) fn handle_segment(&mut self, ends: Ends, bytes: &[u8], said: usize, place: Place) {
        let Some(segment) = tcp::parse(bytes, said) else {
            self.counters.segments_malformed += 1;
            return;
        };
        let (sensor, at) = (place.sensor, place.at);
        let flow = place.flow(ends, Transport::Tcp, segment.source, segment.destination);
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

    pub(super) fn handle_sctp(&mut self, ends: Ends, bytes: &[u8], said: usize, place: Place) {
        let Some(packet) = sctp::parse(bytes, said) else {
            self.counters.sctp_malformed += 1;
            return;
        };
        self.counters.sctp_read += 1;
        for chunk in packet.chunks() {
            self.counters.sctp_chunks += 1;
            match chunk {
                sctp::Chunk::Message { payload, short } if looks_like_sip(payload) => {
                    self.counters.sctp_sip += 1;
                    let (from, to) = (packet.source, packet.destination);
                    let flow = place.flow(ends, Transport::Sctp, from, to);
                    let cut = short.then(|| place.why_short());
                    self.push(flow, payload.to_vec(), cut, place.sensor, place.at);
                }
                sctp::Chunk::Message { .. } => self.counters.sctp_not_sip += 1,
                sctp::Chunk::Part { payload, first } if first && looks_like_sip(payload) => {
                    self.counters.sctp_parts_sip += 1;
                    self.ledger
                        .count(place.sensor, place.at, |row| row.incomplete += 1);
                }
                sctp::Chunk::Part { .. } => self.counters.sctp_parts += 1,
                sctp::Chunk::Control => self.counters.sctp_control += 1,
                sctp::Chunk::Malformed => self.counters.sctp_chunks_malformed += 1,
            }
        }
    }
}
