//! Bodies of the targets for what comes off the wire. The promises: books balance and nothing is kept at the end; what comes out whole was
//! put in whole; and a stream means the same in whatever pieces it comes.

use super::message_seeds;
use crate::base::Timestamp;
use crate::engine::{AssembleLimits, Assembler, Frame};
use crate::lab::network::Neighbour;
use crate::lab::pcap::encapsulation::{Encapsulation, wrap};
use crate::lab::pcap::frame::{Frames, Segment, Way};
use crate::wire::ip::reassembly::{DatagramKey, Taken};
use crate::wire::ip::{Fragment, Packet, Reassembler, ReassemblyLimits, UDP};
use crate::wire::link::LinkType;
use crate::wire::tcp::stream::Found;
use crate::wire::tcp::{self, StreamKey, StreamLimits, Streams};
use crate::wire::tunnel::{Announced, TunnelPath};
use crate::wire::{Flow, Message, Transport, Vlans, sctp, ws};
use clap::ValueEnum;

const AT: Timestamp = super::DEFAULT_BASE;

/// Pieces behind two octets of length each.
pub(super) fn pieces(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let ([a, b], rest) = data.split_first_chunk()?;
        let (piece, rest) =
            rest.split_at(usize::from(u16::from_be_bytes([*a, *b])).min(rest.len()));
        data = rest;
        Some(piece)
    })
}

pub(super) fn joined(pieces: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let one = |p: Vec<u8>| [&(p.len() as u16).to_be_bytes()[..], &p].concat();
    pieces.into_iter().flat_map(one).collect()
}

/// Frames of Ethernet, one after another, a millisecond apart.
pub(super) fn frames(data: &[u8]) {
    let mut assembler = Assembler::new(AssembleLimits::default());
    let mut out: Vec<Message> = Vec::new();
    for (i, bytes) in (0i64..).zip(pieces(data)) {
        assembler.handle_frame(Frame {
            at: Timestamp::from_nanos(AT.nanos() + i * 1_000_000),
            link: LinkType::Ethernet,
            sensor: 0,
            bytes,
            original_len: bytes.len(),
        });
        out.extend(std::iter::from_fn(|| assembler.poll_message()));
    }
    assembler.finish();
    out.extend(std::iter::from_fn(|| assembler.poll_message()));
    let counters = assembler.counters();
    assert_eq!(counters.imbalance(), None, "{counters:?}");
    assert!(counters.gauges().all(|(_, n)| n == 0), "{counters:?}");
    assert_eq!(out.len() as u64, counters.messages_out);
    let octets: usize = out.iter().map(|m| m.bytes.len()).sum();
    assert!(octets <= data.len(), "more octets than came in");
}

fn way() -> Option<Way> {
    let path = Neighbour::named("northstar")?.path(0, 0, 40_211, true);
    Some(Way { path, to_us: true })
}

pub(super) fn frames_seeds() -> Vec<Vec<u8>> {
    let Some(way) = way() else {
        return Vec::new();
    };
    let messages = message_seeds();
    let mut out = Vec::new();
    for (into, message) in Encapsulation::value_variants().iter().zip(&messages) {
        let mut made = Frames::default();
        let mut frames = made.datagram(&way, message);
        let segment = Segment {
            sequence: 7,
            acknowledgement: 0,
            flags: 0x18,
        };
        let front = message.get(..message.len().min(1_000)).unwrap_or_default();
        frames.push(made.segment(&way, segment, front));
        let wrapped = (1u32..).zip(frames).flat_map(|(id, bytes)| {
            let length = bytes.len();
            let frame = crate::lab::pcap::Frame {
                at: 0,
                bytes,
                length,
            };
            wrap(&frame, *into, id, 600)
        });
        out.push(joined(wrapped.map(|f| f.bytes)));
    }
    out
}

/// The first octet says which tunnel.
pub(super) fn tunnel(data: &[u8]) {
    const ALL: [Announced; 6] = [
        Announced::Mpls,
        Announced::Pppoe,
        Announced::Gre,
        Announced::IpInIp,
        Announced::Vxlan,
        Announced::Geneve,
    ];
    let Some((which, bytes)) = data.split_first() else {
        return;
    };
    let Some(announced) = ALL.get(usize::from(*which) % ALL.len()) else {
        return;
    };
    if let Ok(opened) = announced.open(bytes) {
        assert!(opened.inside.len() <= bytes.len());
        let is_part = opened.inside.is_empty()
            || bytes
                .windows(opened.inside.len())
                .any(|w| w == opened.inside);
        assert!(is_part, "what is inside did not come in");
        assert!(opened.vlan.is_none_or(|v| (1..4_096).contains(&v)));
    }
}

pub(super) fn tunnel_seeds() -> Vec<Vec<u8>> {
    let ip = [
        0x45, 0, 0, 20, 0, 1, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2,
    ];
    let headers: [&[u8]; 7] = [
        &[0, 0, 0x10, 1, 64],
        &[1, 0x11, 0, 0, 7, 0, 22, 0, 0x21],
        &[2, 0xb0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1],
        &[
            2, 0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 9, 0x10, 5, 0, 0, 0, 0,
        ],
        &[3],
        &[4, 8, 0, 0, 0, 0, 0, 7, 0],
        &[5, 1, 0, 8, 0, 0, 0, 7, 0, 1, 2, 3, 0],
    ];
    headers.map(|h| [h, &ip].concat()).into()
}

/// Three octets each: where a fragment of one known datagram begins, how long it is (both in eights), whether more follow.
pub(super) fn reassembly(data: &[u8]) {
    let whole: Vec<u8> = (0..4_096u32).map(|i| (i * 7 + i / 256) as u8).collect();
    let mut reassembler = Reassembler::new(ReassemblyLimits::default());
    let [source, destination] = [1, 2].map(|n| std::net::IpAddr::from([192, 0, 2, n]));
    for piece in data.as_chunks::<3>().0 {
        let [offset, length, more] = *piece;
        let (begin, length) = (usize::from(offset) * 8, usize::from(length) * 8);
        let Some(payload) = whole.get(begin..(begin + length).min(whole.len())) else {
            continue;
        };
        let fragment = Fragment {
            id: 1,
            offset: begin as u16,
            more: more & 1 == 1,
        };
        let packet = Packet {
            source,
            destination,
            protocol: UDP,
            fragment: Some(fragment),
            payload,
            said: payload.len(),
        };
        let key = DatagramKey::of(&packet, fragment, 0, Vlans::new(), TunnelPath::none());
        if let Taken::Complete(d) = reassembler.handle(key, fragment, &packet, AT) {
            assert!(whole.starts_with(&d.bytes), "put together wrongly");
            assert_eq!((d.said, d.snapped), (d.bytes.len(), false));
        }
    }
    reassembler.finish();
    while let Some(lost) = reassembler.poll_lost() {
        assert!(whole.starts_with(&lost.front));
    }
    assert_eq!((reassembler.open(), reassembler.octets()), (0, 0));
}

pub(super) fn reassembly_seeds() -> Vec<Vec<u8>> {
    vec![
        vec![0, 10, 1, 10, 10, 1, 20, 3, 0],
        vec![20, 3, 0, 10, 10, 1, 0, 10, 1],
        vec![0, 10, 1, 5, 10, 1, 10, 3, 0],
        vec![0, 10, 1, 0, 10, 1, 10, 3, 0],
    ]
}

/// Four octets each: where a segment of one known stream of messages begins (two octets) and how long it is.
pub(super) fn tcp_framing(data: &[u8]) {
    let messages: Vec<Vec<u8>> = message_seeds().into_iter().take(3).collect();
    let stream = messages.concat();
    let mut streams = Streams::new(StreamLimits::default());
    let address = |n: u8| std::net::SocketAddr::from(([192, 0, 2, n], 5060));
    let flow = Flow {
        source: address(1),
        destination: address(2),
        transport: Transport::Tcp,
        vlans: Vlans::new(),
        path: TunnelPath::none(),
        macs: Default::default(),
    };
    let key = StreamKey { sensor: 0, flow };
    for piece in data.as_chunks::<4>().0 {
        let [a, b, c, d] = *piece;
        let (begin, length) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let begin = usize::from(begin) % stream.len();
        let end = (begin + usize::from(length)).min(stream.len());
        let payload = stream.get(begin..end).unwrap_or_default();
        let segment = tcp::Segment {
            source: 5060,
            destination: 5060,
            seq: u32::MAX.wrapping_sub(100).wrapping_add(begin as u32),
            syn: false,
            fin: end == stream.len(),
            rst: false,
            payload,
            said: payload.len(),
        };
        streams.handle(key.clone(), &segment, AT);
    }
    streams.finish();
    while let Some((_, found, _)) = streams.poll_found() {
        match found {
            Found::Message { bytes, cut: None } => {
                assert!(messages.contains(&bytes), "a message that nobody sent");
            }
            Found::Message { bytes, .. } => {
                assert!(messages.iter().any(|m| m.starts_with(&bytes)));
            }
            _ => {}
        }
    }
    assert_eq!((streams.open(), streams.octets()), (0, 0));
}

pub(super) fn tcp_framing_seeds() -> Vec<Vec<u8>> {
    let cut = |at: &[(u16, u16)]| {
        let one = |(a, n): &(u16, u16)| [a.to_be_bytes(), n.to_be_bytes()].concat();
        at.iter().flat_map(one).collect()
    };
    vec![
        cut(&[(0, 1_400), (1_400, 1_400), (2_800, 1_400), (4_200, 1_400)]),
        cut(&[(0, 500), (1_000, 500), (500, 500), (1_500, 9_000)]),
        cut(&[(0, 800), (700, 800), (1_600, 9_000)]),
        cut(&[(300, 9_000)]),
    ]
}

/// At once, and octet by octet: the same messages.
pub(super) fn websocket(data: &[u8]) {
    let _ = (ws::handshake(data), ws::likely_frame(data));
    let (mut at_once, mut by_octet) = (Vec::new(), Vec::new());
    let first = ws::Frames::default().receive(data, &mut at_once);
    let (mut frames, mut kept, mut second) = (ws::Frames::default(), Vec::new(), Ok(0));
    for b in data {
        kept.push(*b);
        second = frames.receive(&kept, &mut by_octet);
        match second {
            Ok(used) => drop(kept.drain(..used)),
            Err(ws::Broken) => break,
        }
    }
    assert_eq!(at_once, by_octet);
    assert_eq!(first.is_err(), second.is_err());
}

pub(super) fn websocket_seeds() -> Vec<Vec<u8>> {
    let ok = b"SIP/2.0 200 OK\r\nVia: SIP/2.0/WS x.invalid\r\n\r\n";
    let n = ok.len() as u8;
    vec![
        [&[0x81, n][..], ok, &[0x89, 0, 0x82, n], ok].concat(),
        [
            &[0x01, n][..],
            ok,
            &[0x88, 0x80, 1, 2, 3, 4, 0x80, 3, 1, 2, 3],
        ]
        .concat(),
        [&[0x82, 0xfe, 0, n, 0, 0, 0, 0][..], ok, &[0xc1, 1, 0]].concat(),
        b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: sip\r\n\r\n".to_vec(),
    ]
}

pub(super) fn sctp_chunks(data: &[u8]) {
    for more in [0, 7] {
        let Some(packet) = sctp::parse(data, data.len() + more) else {
            continue;
        };
        let mut octets = 0;
        for chunk in packet.chunks() {
            octets += 4;
            if let sctp::Chunk::Message { payload, .. } | sctp::Chunk::Part { payload, .. } = chunk
            {
                octets += payload.len();
            }
        }
        assert!(octets <= data.len(), "more than came in");
    }
}

pub(super) fn sctp_chunks_seeds() -> Vec<Vec<u8>> {
    let common = [0x13, 0xc4, 0x13, 0xc4, 0, 0, 0, 1, 0, 0, 0, 0];
    let chunk = [
        0, 3, 0, 20, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, b'S', b'I', b'P', b'/',
    ];
    let sack = [3, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    vec![
        [&common[..], &chunk, &chunk].concat(),
        [&common[..], &sack, &chunk].concat(),
    ]
}
