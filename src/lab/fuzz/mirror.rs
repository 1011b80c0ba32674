//! Bodies of the targets for what agents send us: HEP packets, their streams, and the stage that makes messages of them.

use std::net::SocketAddr;
use std::time::Duration;

use super::message_seeds;
use super::wire::{joined, pieces};
use crate::engine::mirror::{
    Agent, AgentKey, Carrier, CarrierKind, Mirror, MirrorLimits, SplitLimits,
};
use crate::wire::hep::stream::{Framed, frame};
use crate::wire::hep::{self, HepPacket, Key, Payload, SIP, write};
use crate::wire::sip::frame::MAX_MESSAGE;

/// What is read can be written and read again, and a stream gives the same packets in whatever pieces it comes.
pub(super) fn hep(data: &[u8]) {
    if let Ok(packet) = hep::parse(data, super::DEFAULT_BASE) {
        if let Some(Ok(payload)) = packet.payload.map(Payload::open) {
            assert!(payload.len() <= MAX_MESSAGE, "a payload without limit");
        }
        if let Some(written) = write::v3(&packet) {
            let version = 3;
            let again = hep::parse(&written, super::DEFAULT_BASE);
            assert_eq!(again, Ok(HepPacket { version, ..packet }));
        }
    }
    let mut by_octet = Vec::new();
    let (mut kept, mut broken) = (Vec::new(), false);
    for b in data {
        kept.push(*b);
        match frame(&kept) {
            Framed::Packet(n) => {
                assert_eq!(n, kept.len(), "a packet of octets that were not there");
                by_octet.push(std::mem::take(&mut kept));
            }
            Framed::NeedMore(n) => assert!(n > kept.len()),
            Framed::Broken => {
                broken = true;
                break;
            }
        }
    }
    let (mut at_once, mut rest) = (Vec::new(), data);
    while !rest.is_empty() {
        match frame(rest) {
            Framed::Packet(n) => {
                let (packet, after) = rest.split_at(n);
                at_once.push(packet.to_vec());
                rest = after;
            }
            Framed::NeedMore(n) => {
                assert!(n > rest.len() && !broken);
                break;
            }
            Framed::Broken => {
                assert!(broken, "broken only at once");
                break;
            }
        }
    }
    assert_eq!(at_once, by_octet);
}

fn packet(protocol: u8, payload: Payload<'_>) -> HepPacket<'_> {
    HepPacket {
        version: 3,
        between: Some((
            SocketAddr::from(([198, 51, 100, 7], 5060)),
            SocketAddr::from(([192, 0, 2, 1], 5061)),
        )),
        protocol: Some(protocol),
        kind: SIP,
        at: Some(super::DEFAULT_BASE),
        agent: Some(2001),
        key: Some(Key(b"secret")),
        vlan: None,
        payload: Some(payload),
    }
}

/// Packets of all versions, over datagrams and streams, some compressed.
fn packets() -> Vec<Vec<u8>> {
    let message = message_seeds().pop().unwrap_or_default();
    let v6 = (
        SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, 5060)),
        SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, 0)),
    );
    let packed = miniature(&message);
    let plain = Payload::Plain(&message);
    let mut out: Vec<_> = [
        packet(17, plain),
        packet(6, plain),
        HepPacket {
            between: Some(v6),
            vlan: Some(7),
            agent: None,
            ..packet(22, plain)
        },
        HepPacket {
            payload: None,
            ..packet(17, plain)
        },
        packet(17, Payload::Compressed(&packed)),
    ]
    .iter()
    .filter_map(write::v3)
    .collect();
    // What our own writer leaves out would never be asked for otherwise: a VLAN and a chunk of some vendor, put in by hand.
    if let Some(first) = out.first().cloned() {
        let more = [&first[..], &[0, 0, 0, 18, 0, 8, 0, 7, 0, 9, 0, 1, 0, 7, 0]].concat();
        let total = (more.len() as u16).to_be_bytes();
        let patched = more.iter().enumerate().map(|(i, b)| match i {
            4 => total[0],
            5 => total[1],
            _ => *b,
        });
        out.push(patched.collect());
    }
    let front = |version, length| {
        let ports = [0x13, 0xc4, 0x13, 0xc4];
        let addresses = [198, 51, 100, 7, 192, 0, 2, 1];
        [&[version, length, 2, 17][..], &ports, &addresses].concat()
    };
    out.push([&front(1, 16)[..], &message].concat());
    let block = [0x10, 0x20, 0x30, 0x6a, 5, 0, 0, 0, 0xd1, 7, 0, 0];
    out.push([&front(2, 28)[..], &block, &message].concat());
    out
}

/// zlib without compressing (RFC 1950, RFC 1951 §3.2.4).
fn miniature(bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len() as u16;
    let (mut a, mut b) = (1u32, 0u32);
    for octet in bytes {
        a = (a + u32::from(*octet)) % 65_521;
        b = (b + a) % 65_521;
    }
    let (len, not) = (length.to_le_bytes(), (!length).to_le_bytes());
    let sum = (b << 16 | a).to_be_bytes();
    [&[0x78, 0x01, 0x01][..], &len, &not, bytes, &sum].concat()
}

pub(super) fn hep_seeds() -> Vec<Vec<u8>> {
    let mut out = packets();
    let streams = out.iter().take(4).flatten().copied().collect();
    out.push(streams);
    out
}

/// Few enough to be reached.
const LIMITS: SplitLimits = SplitLimits {
    count: 3,
    octets: 4_000,
    age: Duration::from_secs(5),
};

fn agents() -> Vec<Agent> {
    let agent = |name: &str, sensor, network: &str| Agent {
        name: name.into(),
        sensor,
        networks: network.parse().into_iter().collect(),
        id: None,
        key: None,
        carrier: None,
        certificate: None,
    };
    vec![
        Agent {
            id: Some(2001),
            key: Some(AgentKey::new(b"secret")),
            ..agent("proxy-a", 0, "192.0.2.0/25")
        },
        Agent {
            carrier: Some(CarrierKind::Tcp),
            ..agent("proxy-b", 1, "192.0.2.128/25")
        },
        agent("proxy-c", 2, "2001:db8::/32"),
    ]
}

/// The whole stage. The first octet of a piece says who sends it, over what, and how much time went by; without more octets, the connection ends.
pub(super) fn mirror(data: &[u8]) {
    let limits = MirrorLimits {
        split: LIMITS,
        ..MirrorLimits::default()
    };
    let mut mirror = Mirror::new(agents(), limits);
    let (mut now, mut messages, mut octets) = (super::DEFAULT_BASE, 0u64, 0);
    for piece in pieces(data) {
        let Some((how, bytes)) = piece.split_first() else {
            continue;
        };
        let peer = match how & 3 {
            0 => SocketAddr::from(([192, 0, 2, 1], 9060)),
            1 => SocketAddr::from(([192, 0, 2, 200], 9060)),
            2 => SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 9060)),
            _ => SocketAddr::from(([203, 0, 113, 1], 9060)),
        };
        let over = match how >> 2 & 3 {
            0 | 1 => Carrier::Udp,
            2 => Carrier::Tcp,
            _ => Carrier::Tls(None),
        };
        now = now.plus(Duration::from_millis(u64::from(how >> 4) * 400));
        if bytes.is_empty() {
            mirror.handle_closed(peer, over.kind(), now);
        } else {
            mirror.handle_packet(peer, over, bytes, now);
        }
        mirror.handle_time(now);
        let c = mirror.counters();
        assert_eq!(c.imbalance(), None, "{c:?}");
        assert!(c.splits_open <= LIMITS.count as u64, "{c:?}");
        assert!(c.split_octets <= LIMITS.octets as u64, "{c:?}");
        while let Some((_, message)) = mirror.poll_message() {
            messages += 1;
            octets += message.bytes.len();
        }
    }
    mirror.finish();
    messages += std::iter::from_fn(|| mirror.poll_message()).count() as u64;
    let c = mirror.counters();
    assert_eq!(c.imbalance(), None, "{c:?}");
    assert_eq!((c.splits_open, c.split_octets), (0, 0), "{c:?}");
    assert_eq!(c.messages_out, messages);
    // Deflate packs at most 1 : 1,032 (RFC 1951's shortest code for its longest run).
    assert!(octets <= data.len() * 1_032 + 8, "more octets than came in");
    while mirror.poll_coverage().is_some() {}
}

pub(super) fn mirror_seeds() -> Vec<Vec<u8>> {
    let sent = |how: u8, packet: &[u8]| [&[how], packet].concat();
    let all = packets();
    let mut out: Vec<Vec<u8>> = all
        .iter()
        .map(|p| joined([0x00, 0x09, 0x02, 0x0e, 0x03].map(|how| sent(how, p))))
        .collect();
    // Messages of a stream over several packets, the last without its rest.
    let message = message_seeds().pop().unwrap_or_default();
    let parts = message.chunks(300).chain(message.chunks(500).take(1));
    let parts = parts.filter_map(|p| write::v3(&packet(22, Payload::Plain(p))));
    let mut split: Vec<_> = parts.map(|p| sent(0x10, &p)).collect();
    split.push(vec![0x10]);
    out.push(joined(split));
    out
}
