//! Layers 2 to 4, written with pnet's packet builders.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use pnet::packet::ethernet::{EtherType, EtherTypes, MutableEthernetPacket};
use pnet::packet::ip::{IpNextHeaderProtocol, IpNextHeaderProtocols};
use pnet::packet::ipv4::{self, MutableIpv4Packet};
use pnet::packet::ipv6::{MutableFragmentPacket, MutableIpv6Packet};
use pnet::packet::tcp::{self, MutableTcpPacket};
use pnet::packet::udp::{self, MutableUdpPacket};
use pnet::packet::vlan::MutableVlanPacket;
use pnet::util::MacAddr;

use crate::lab::network::Path;

/// The largest IP packet on our links: Ethernet's (RFC 894).
pub const MTU: usize = 1_500;

const ETHERNET: usize = 14;
const VLAN: usize = 4;
const IPV4: usize = 20;
const IPV6: usize = 40;
const FRAGMENT: usize = 8;
const UDP: usize = 8;
const TCP: usize = 20;

/// A path in one direction.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// Between which sockets.
    pub path: Path,
    /// Whether it leads to us.
    pub to_us: bool,
}

impl Way {
    fn source(&self) -> SocketAddr {
        if self.to_us {
            self.path.theirs
        } else {
            self.path.ours
        }
    }

    fn destination(&self) -> SocketAddr {
        if self.to_us {
            self.path.ours
        } else {
            self.path.theirs
        }
    }

    /// How many octets of a stream fit one segment.
    pub fn segment(&self) -> usize {
        MTU - TCP - if self.source().is_ipv6() { IPV6 } else { IPV4 }
    }
}

/// What one TCP segment says beside its octets.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// Number of its first octet.
    pub sequence: u32,
    /// The next octet expected from the other side.
    pub acknowledgement: u32,
    /// Its flags.
    pub flags: u8,
}

/// Writes frames and counts their identifications.
#[derive(Debug, Default)]
pub struct Frames {
    identification: u32,
}

impl Frames {
    /// A UDP datagram in as many frames as it takes.
    pub fn datagram(&mut self, way: &Way, payload: &[u8]) -> Vec<Vec<u8>> {
        let mut bytes = vec![0; UDP + payload.len()];
        if let Some(mut p) = MutableUdpPacket::new(&mut bytes) {
            p.set_source(way.source().port());
            p.set_destination(way.destination().port());
            p.set_length((UDP + payload.len()) as u16);
            p.set_payload(payload);
            let sum = match (way.source().ip(), way.destination().ip()) {
                (IpAddr::V4(s), IpAddr::V4(d)) => udp::ipv4_checksum(&p.to_immutable(), &s, &d),
                (IpAddr::V6(s), IpAddr::V6(d)) => udp::ipv6_checksum(&p.to_immutable(), &s, &d),
                _ => 0,
            };
            // A sum of zero is sent as all ones (RFC 768).
            p.set_checksum(if sum == 0 { 0xffff } else { sum });
        }
        self.packets(way, IpNextHeaderProtocols::Udp, &bytes)
    }

    /// A TCP segment, which always fits one frame.
    pub fn segment(&mut self, way: &Way, segment: Segment, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; TCP + payload.len()];
        if let Some(mut p) = MutableTcpPacket::new(&mut bytes) {
            p.set_source(way.source().port());
            p.set_destination(way.destination().port());
            p.set_sequence(segment.sequence);
            p.set_acknowledgement(segment.acknowledgement);
            p.set_data_offset(5);
            p.set_flags(segment.flags);
            p.set_window(0xffff);
            p.set_payload(payload);
            let sum = match (way.source().ip(), way.destination().ip()) {
                (IpAddr::V4(s), IpAddr::V4(d)) => tcp::ipv4_checksum(&p.to_immutable(), &s, &d),
                (IpAddr::V6(s), IpAddr::V6(d)) => tcp::ipv6_checksum(&p.to_immutable(), &s, &d),
                _ => 0,
            };
            p.set_checksum(sum);
        }
        self.packets(way, IpNextHeaderProtocols::Tcp, &bytes)
            .concat()
    }

    /// One IP packet, or its fragments.
    fn packets(&mut self, way: &Way, protocol: IpNextHeaderProtocol, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.identification = self.identification.wrapping_add(1);
        let id = self.identification;
        match (way.source().ip(), way.destination().ip()) {
            (IpAddr::V4(s), IpAddr::V4(d)) => {
                // Offsets count in units of eight octets.
                let room = (MTU - IPV4) / 8 * 8;
                let whole = IPV4 + bytes.len() <= MTU;
                let parts = cut(bytes, if whole { bytes.len() } else { room });
                parts
                    .map(|(at, more, part)| {
                        link(
                            way,
                            EtherTypes::Ipv4,
                            &ipv4_packet(s, d, protocol, id, at, more, part),
                        )
                    })
                    .collect()
            }
            (IpAddr::V6(s), IpAddr::V6(d)) if IPV6 + bytes.len() <= MTU => {
                vec![link(
                    way,
                    EtherTypes::Ipv6,
                    &ipv6_packet(s, d, protocol, bytes),
                )]
            }
            (IpAddr::V6(s), IpAddr::V6(d)) => {
                let room = (MTU - IPV6 - FRAGMENT) / 8 * 8;
                let fragment = |(at, more, part): (usize, bool, &[u8])| {
                    let part = fragment_header(protocol, id, at, more, part);
                    link(
                        way,
                        EtherTypes::Ipv6,
                        &ipv6_packet(s, d, IpNextHeaderProtocols::Ipv6Frag, &part),
                    )
                };
                cut(bytes, room).map(fragment).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// Parts of at most `room` octets, each with its offset and whether more follow.
fn cut(bytes: &[u8], room: usize) -> impl Iterator<Item = (usize, bool, &[u8])> {
    let room = room.max(1);
    let total = bytes.len();
    bytes
        .chunks(room)
        .enumerate()
        .map(move |(i, part)| (i * room, i * room + part.len() < total, part))
}

pub(super) fn ipv4_packet(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: IpNextHeaderProtocol,
    id: u32,
    offset: usize,
    more: bool,
    payload: &[u8],
) -> Vec<u8> {
    let mut bytes = vec![0; IPV4 + payload.len()];
    if let Some(mut p) = MutableIpv4Packet::new(&mut bytes) {
        p.set_version(4);
        p.set_header_length(5);
        p.set_total_length((IPV4 + payload.len()) as u16);
        p.set_identification((id & 0xffff) as u16);
        p.set_flags(if more { 0b001 } else { 0 });
        p.set_fragment_offset((offset / 8) as u16);
        p.set_ttl(62);
        p.set_next_level_protocol(protocol);
        p.set_source(source);
        p.set_destination(destination);
        p.set_payload(payload);
        let sum = ipv4::checksum(&p.to_immutable());
        p.set_checksum(sum);
    }
    bytes
}

fn ipv6_packet(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    next: IpNextHeaderProtocol,
    payload: &[u8],
) -> Vec<u8> {
    let mut bytes = vec![0; IPV6 + payload.len()];
    if let Some(mut p) = MutableIpv6Packet::new(&mut bytes) {
        p.set_version(6);
        p.set_payload_length(payload.len() as u16);
        p.set_next_header(next);
        p.set_hop_limit(62);
        p.set_source(source);
        p.set_destination(destination);
        p.set_payload(payload);
    }
    bytes
}

fn fragment_header(
    next: IpNextHeaderProtocol,
    id: u32,
    offset: usize,
    more: bool,
    payload: &[u8],
) -> Vec<u8> {
    let mut bytes = vec![0; FRAGMENT];
    if let Some(mut p) = MutableFragmentPacket::new(&mut bytes) {
        p.set_next_header(next);
        // The offset stands in the upper thirteen bits (RFC 8200 §4.5); the builder's own setters count two bits of flags.
        p.set_fragment_offset_with_flags((offset as u16 & !7) | u16::from(more));
        p.set_id(id);
    }
    bytes.extend_from_slice(payload);
    bytes
}

/// Ethernet with the path's VLAN tags; the outer one of two is a service tag (802.1ad).
fn link(way: &Way, ethertype: EtherType, packet: &[u8]) -> Vec<u8> {
    let tags = way.path.vlans;
    let tag_type = |i: usize| match (tags.len(), i) {
        (n, i) if i >= n => ethertype,
        (2, 0) => EtherType::new(0x88a8),
        _ => EtherTypes::Vlan,
    };
    let mut bytes = vec![0; ETHERNET + VLAN * tags.len()];
    bytes.extend_from_slice(packet);
    if let Some(mut p) = MutableEthernetPacket::new(&mut bytes) {
        let (theirs, ours) = (way.path.theirs.ip(), way.path.ours.ip());
        let router = way.path.mac.map_or_else(|| mac(theirs), MacAddr::from);
        let (from, to) = if way.to_us {
            (router, mac(ours))
        } else {
            (mac(ours), router)
        };
        p.set_source(from);
        p.set_destination(to);
        p.set_ethertype(tag_type(0));
    }
    for (i, tag) in tags.iter().enumerate() {
        if let Some(mut p) = bytes
            .get_mut(ETHERNET + VLAN * i..)
            .and_then(MutableVlanPacket::new)
        {
            p.set_vlan_identifier(*tag);
            p.set_ethertype(tag_type(i + 1));
        }
    }
    bytes
}

/// A locally administered address that goes with an IP address.
fn mac(ip: IpAddr) -> MacAddr {
    let (a, b, c) = match ip {
        IpAddr::V4(ip) => {
            let [_, b, c, d] = ip.octets();
            (b, c, d)
        }
        IpAddr::V6(ip) => {
            let s = ip.segments();
            (0x06, (s[2] & 0xff) as u8, (s[7] & 0xff) as u8)
        }
    };
    MacAddr::new(0x02, 0x00, 0x5e, a, b, c)
}
