//! Frames of a capture put into tunnels, as a mirror port, an overlay or an access network would show them.
//!
//! In comes a frame; out come one or more, at the same time: a tunnel on IPv4 whose packet exceeds the outer MTU is cut into fragments, of
//! which the inner frame may be a fragment itself. A frame that the tap cut short is cut short at the same octet.

use pnet::packet::ip::IpNextHeaderProtocol;

use super::Frame;
use super::frame::ipv4_packet;

/// What the frames of a capture are put into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Encapsulation {
    /// Nothing.
    #[default]
    None,
    /// Two more VLAN tags, outside.
    Qinq,
    /// Two labels before the IP packet.
    Mpls,
    /// Two labels and the whole frame behind a control word.
    Pseudowire,
    /// A PPPoE session.
    Pppoe,
    /// GRE with a key and the IP packet.
    Gre,
    /// GRE without one and the whole frame.
    Gretap,
    /// ERSPAN type I.
    Erspan1,
    /// ERSPAN type II.
    Erspan2,
    /// ERSPAN type III with the sub-header of its platform.
    Erspan3,
    /// VXLAN.
    Vxlan,
    /// GENEVE with one option.
    Geneve,
    /// IPv4 or IPv6 in IPv4.
    Ipip,
}

const ETHERNET: usize = 14;
const UDP: u8 = 17;
const GRE: u8 = 47;
/// Far ends of the tunnel, in a range of documentation that no neighbour uses.
const ENDS: ([u8; 4], [u8; 4]) = ([203, 0, 113, 201], [203, 0, 113, 202]);
const MACS: [u8; 12] = [2, 0, 0x5e, 9, 9, 2, 2, 0, 0x5e, 9, 9, 1];

/// Puts a frame in. `id` tells outer datagrams apart; `mtu` is that of the outer link.
pub fn wrap(frame: &Frame, into: Encapsulation, id: u32, mtu: usize) -> Vec<Frame> {
    let missing = frame.length.saturating_sub(frame.bytes.len());
    // What was not kept is made up, and cut off again at the end.
    let mut whole = frame.bytes.clone();
    whole.resize(frame.length, 0);
    let (tags, ethertype, packet) = parts(&whole);
    let ethernet = |tags: &[u8], kind: [u8; 2], rest: &[&[u8]]| {
        vec![[&MACS[..], tags, &kind, &rest.concat()].concat()]
    };
    let plain = |protocol, payload: &[&[u8]]| outer(protocol, &payload.concat(), id, mtu);
    let sequence = id.to_be_bytes();
    let frames = match into {
        Encapsulation::None => vec![whole.clone()],
        Encapsulation::Qinq => {
            let (head, rest) = whole.split_at(12.min(whole.len()));
            vec![[head, &[0x88, 0xa8, 0x0b, 0xb8, 0x81, 0, 0x0b, 0xb9], rest].concat()]
        }
        Encapsulation::Mpls => {
            let labels = [0, 0x10, 0, 62, 0, 0x20, 1, 62];
            ethernet(tags, [0x88, 0x47], &[&labels, packet])
        }
        Encapsulation::Pseudowire => {
            let labels = [0, 0x10, 0, 62, 0, 0x20, 1, 62, 0, 0, 0, 0];
            ethernet(&[], [0x88, 0x47], &[&labels, &whole])
        }
        Encapsulation::Pppoe => {
            let length = (packet.len() as u16 + 2).to_be_bytes();
            let protocol = if ethertype == [0x86, 0xdd] {
                0x57
            } else {
                0x21
            };
            let header = [0x11, 0, 0, 77, length[0], length[1], 0, protocol];
            ethernet(tags, [0x88, 0x64], &[&header, packet])
        }
        Encapsulation::Gre => {
            let header = [0x20, 0, ethertype[0], ethertype[1], 0, 0, 0, 42];
            plain(GRE, &[&header, packet])
        }
        Encapsulation::Gretap => plain(GRE, &[&[0, 0, 0x65, 0x58], &whole]),
        Encapsulation::Erspan1 => plain(GRE, &[&[0, 0, 0x88, 0xbe], &whole]),
        Encapsulation::Erspan2 => plain(
            GRE,
            &[
                &[0x10, 0, 0x88, 0xbe],
                &sequence,
                // Version 1, tag kept in the frame, session 5.
                &[0x10, 0, 0x18, 5, 0, 0, 0, 1],
                &whole,
            ],
        ),
        Encapsulation::Erspan3 => plain(
            GRE,
            &[
                &[0x10, 0, 0x22, 0xeb],
                &sequence,
                // Version 2, session 5; a time; a frame, and a sub-header behind.
                &[0x20, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0x80, 1],
                &[0; 8],
                &whole,
            ],
        ),
        Encapsulation::Vxlan => overlay(4789, &[&[8, 0, 0, 0, 0, 0, 42, 0], &whole], id, mtu),
        Encapsulation::Geneve => {
            let header = [1, 0, 0x65, 0x58, 0, 0, 42, 0, 1, 2, 3, 0];
            overlay(6081, &[&header, &whole], id, mtu)
        }
        Encapsulation::Ipip => {
            let protocol = if ethertype == [0x86, 0xdd] { 41 } else { 4 };
            plain(protocol, &[packet])
        }
    };
    let mut missing = missing;
    let mut out: Vec<_> = frames
        .into_iter()
        .rev()
        .map(|mut bytes| {
            let length = bytes.len();
            // From the end backwards: headers of the outer packets are always kept.
            let gone = missing.min(length.saturating_sub(80));
            missing -= gone;
            bytes.truncate(length - gone);
            Frame {
                at: frame.at,
                bytes,
                length,
            }
        })
        .collect();
    out.reverse();
    out
}

/// VLAN tags with their types, the type of the packet, and the packet.
fn parts(frame: &[u8]) -> (&[u8], [u8; 2], &[u8]) {
    let mut at = 12;
    while let Some([0x81, 0] | [0x88, 0xa8]) = frame.get(at..at + 2) {
        at += 4;
    }
    let kind = match frame.get(at..at + 2) {
        Some([a, b]) => [*a, *b],
        _ => [0, 0],
    };
    let tags = frame.get(12..at).unwrap_or_default();
    (tags, kind, frame.get(at + 2..).unwrap_or_default())
}

/// A UDP datagram to a tunnel's port, without a checksum, as overlays send.
fn overlay(port: u16, payload: &[&[u8]], id: u32, mtu: usize) -> Vec<Vec<u8>> {
    let payload = payload.concat();
    let length = (payload.len() as u16 + 8).to_be_bytes();
    let header = [
        &(49_152 + (id % 16_000) as u16).to_be_bytes()[..],
        &port.to_be_bytes(),
        &length,
        &[0, 0],
    ]
    .concat();
    outer(UDP, &[header, payload].concat(), id, mtu)
}

/// An IPv4 packet between the ends of the tunnel, or its fragments, each in its frame.
fn outer(protocol: u8, payload: &[u8], id: u32, mtu: usize) -> Vec<Vec<u8>> {
    let room = mtu.max(100).saturating_sub(20) / 8 * 8;
    let count = payload.len().div_ceil(room);
    let frame = |(i, piece): (usize, &[u8])| {
        let packet = ipv4_packet(
            ENDS.0.into(),
            ENDS.1.into(),
            IpNextHeaderProtocol::new(protocol),
            id,
            i * room,
            i + 1 < count,
            piece,
        );
        let mut bytes = Vec::with_capacity(ETHERNET + packet.len());
        bytes.extend(MACS);
        bytes.extend([8, 0]);
        bytes.extend(packet);
        bytes
    };
    payload.chunks(room).enumerate().map(frame).collect()
}
