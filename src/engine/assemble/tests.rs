//! Whole frames in, messages and books out.

use super::*;
use proptest::prelude::*;
use std::net::IpAddr;

mod garbage;
mod macs;
mod streams;
mod tunnels;

/// A signed INVITE of about the size that carriers see; `n` makes it another one.
fn invite(n: usize) -> Vec<u8> {
    let body = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
    format!(
        "INVITE sip:+12025550{n:03}@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{n}\r\n\
         From: <sip:+12025550100@example.net>;tag={n}\r\nTo: <sip:+12025550{n:03}@example.com>\r\nCall-ID: {n}@example.net\r\n\
         CSeq: 1 INVITE\r\nIdentity: {};info=<https://cert.example.org/a.pem>;alg=ES256;ppt=shaken\r\n\
         Content-Length: {}\r\n\r\n{body}",
        "eyJhbGciOiJFUzI1NiJ9.".repeat(60),
        body.len(),
    )
    .into_bytes()
}

fn ms(n: i64) -> Timestamp {
    Timestamp::from_nanos(1_795_512_600_000_000_000 + n * 1_000_000)
}

fn udp(payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() + 8) as u16;
    [
        &[0x13, 0xc4, 0x13, 0xc5][..],
        &length.to_be_bytes(),
        &[0, 0],
        payload,
    ]
    .concat()
}

fn tcp(seq: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let ports = [0x13, 0xc4, 0x13, 0xc5];
    [
        &ports[..],
        &seq.to_be_bytes(),
        &[0; 4],
        &[0x50, flags, 0xff, 0xff, 0, 0, 0, 0],
        payload,
    ]
    .concat()
}

/// An Ethernet frame with VLAN 7 and an IPv4 packet; `field` is the fragment field, octets past the packet are padding.
fn v4(protocol: u8, id: u16, field: u16, payload: &[u8]) -> Vec<u8> {
    let mut f = vec![
        2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0, 0, 7, 0x08, 0, 0x45, 0,
    ];
    f.extend((payload.len() as u16 + 20).to_be_bytes());
    f.extend(id.to_be_bytes());
    f.extend(field.to_be_bytes());
    f.extend([64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    f.extend(payload);
    f.resize(f.len().max(64), 0);
    f
}

/// The same with IPv6; a Fragment header stands behind a hop-by-hop header, if `fragment` gives its id and field.
fn v6(protocol: u8, fragment: Option<(u32, u16)>, payload: &[u8]) -> Vec<u8> {
    let mut extensions = Vec::new();
    if let Some((id, field)) = fragment {
        extensions.extend([44, 0, 1, 4, 0, 0, 0, 0, protocol, 0]);
        extensions.extend(field.to_be_bytes());
        extensions.extend(id.to_be_bytes());
    }
    let mut f = vec![
        2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xdd, 0x60, 0, 0, 0,
    ];
    f.extend(((payload.len() + extensions.len()) as u16).to_be_bytes());
    f.extend([if fragment.is_some() { 0 } else { protocol }, 64]);
    for last in [1, 2] {
        f.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    f.extend(extensions);
    f.extend(payload);
    f
}

/// Frames of a UDP datagram in fragments for an MTU.
fn fragments(is_v6: bool, id: u16, datagram: &[u8], mtu: usize) -> Vec<Vec<u8>> {
    // 40 octets of IPv6 header, 8 of hop-by-hop, 8 of the Fragment header.
    let room = (mtu - if is_v6 { 56 } else { 20 }) / 8 * 8;
    let count = datagram.len().div_ceil(room);
    let frame = |(i, piece): (usize, &[u8])| {
        let more = u16::from(i + 1 < count);
        if is_v6 {
            v6(17, Some((u32::from(id), (i * room) as u16 | more)), piece)
        } else {
            v4(17, id, (i * room / 8) as u16 | more << 13, piece)
        }
    };
    datagram.chunks(room).enumerate().map(frame).collect()
}

fn frame(at: Timestamp, bytes: &[u8]) -> Frame<'_> {
    Frame {
        at,
        link: LinkType::Ethernet,
        sensor: 0,
        bytes,
        original_len: bytes.len(),
    }
}

fn new() -> Assembler {
    Assembler::new(AssembleLimits::default())
}

fn drain(a: &mut Assembler) -> Vec<Message> {
    std::iter::from_fn(|| a.poll_message()).collect()
}

fn run<'a>(frames: impl IntoIterator<Item = &'a Vec<u8>>) -> (Vec<Message>, AssembleCounters) {
    let mut a = new();
    for (i, f) in frames.into_iter().enumerate() {
        a.handle_frame(frame(ms(i as i64), f));
        assert_eq!(a.counters().imbalance(), None);
    }
    a.finish();
    assert_eq!(a.counters().imbalance(), None);
    (drain(&mut a), a.counters())
}

#[test]
fn a_datagram_becomes_a_message_with_its_flow() {
    let (out, c) = run(&[v4(17, 1, 0, &udp(&invite(1)))]);
    let m = &out[0];
    assert_eq!((m.seq, m.at, m.sensor, m.cut), (0, ms(0), 0, None));
    assert_eq!(m.bytes, invite(1));
    assert_eq!(m.flow.source.to_string(), "192.0.2.1:5060");
    assert_eq!(m.flow.destination.to_string(), "192.0.2.2:5061");
    assert_eq!(
        (m.flow.transport, m.flow.vlans.as_slice()),
        (Transport::Udp, &[7][..])
    );
    assert_eq!((c.frames_udp, c.udp_sip, c.messages_whole), (1, 1, 1));
}

#[test]
fn padding_never_becomes_body() {
    let short = b"SIP/2.0 200 OK\r\n\r\n";
    let (out, _) = run(&[v4(17, 1, 0, &udp(short))]);
    assert_eq!(out[0].bytes, short);
}

#[test]
fn every_other_frame_is_counted_by_what_it_is() {
    let mut arp = vec![0; 60];
    arp[12..14].copy_from_slice(&[0x08, 0x06]);
    let mut long = v4(17, 1, 0, &udp(b"x"));
    long[20..22].copy_from_slice(&500u16.to_be_bytes());
    let frames = [
        arp,
        vec![0; 5],
        v4(1, 1, 0, b"ping"),
        v4(50, 1, 0x2000, b"fragment"),
        v4(17, 1, 0, &udp(b"\r\n\r\n")),
        v4(17, 1, 0, &udp(&[0x80, 0, 1, 2])),
        v4(17, 1, 0, b"short"),
        v4(6, 1, 0, b"short"),
        v4(6, 1, 0, &tcp(1, 0x10, b"")),
        long,
        v6(17, Some((1, 1)), b"seven.."),
    ];
    let (out, c) = run(&frames);
    assert_eq!(out, []);
    let seen: Vec<_> = c.iter().filter(|(_, n)| *n > 0).collect();
    assert_eq!(
        seen,
        [
            ("frames_in", 11),
            ("frames_link_truncated", 1),
            ("frames_not_ip", 1),
            ("frames_ip_malformed", 1),
            ("frames_other_protocol", 2),
            ("frames_fragment", 1),
            ("frames_udp", 3),
            ("frames_tcp", 2),
            ("fragments_malformed", 1),
            ("udp_keep_alive", 1),
            ("udp_not_sip", 1),
            ("udp_malformed", 1),
            ("segments_control", 1),
            ("segments_malformed", 1),
        ]
    );
}

#[test]
fn a_snapped_frame_gives_a_cut_message() {
    let whole = v4(17, 1, 0, &udp(&invite(1)));
    let mut a = new();
    a.handle_frame(Frame {
        bytes: &whole[..200],
        ..frame(ms(0), &whole)
    });
    for part in fragments(false, 2, &udp(&invite(2)), 576) {
        let kept = part.len().min(200);
        a.handle_frame(Frame {
            bytes: &part[..kept],
            ..frame(ms(0), &part)
        });
    }
    let out = drain(&mut a);
    assert_eq!(out.len(), 2);
    for (i, m) in out.iter().enumerate() {
        assert_eq!(m.cut, Some(Cut::SnapLength));
        assert!(invite(i + 1).starts_with(&m.bytes) && m.bytes.len() > 100);
    }
    assert_eq!(a.counters().imbalance(), None);
}

#[test]
fn messages_of_tcp_are_numbered_with_those_of_udp() {
    let stream = [invite(1), invite(2)].concat();
    let (a, b) = stream.split_at(900);
    let frames = [
        v4(6, 1, 0, &tcp(9, 0x02, b"")),
        v4(6, 2, 0, &tcp(10, 0x18, a)),
        v4(17, 3, 0, &udp(&invite(3))),
        v4(6, 4, 0, &tcp(10 + 900, 0x18, b)),
    ];
    let (out, c) = run(&frames);
    let numbered: Vec<_> = out.iter().map(|m| (m.seq, m.bytes.clone())).collect();
    assert_eq!(numbered, [(0, invite(3)), (1, invite(1)), (2, invite(2))]);
    assert_eq!(out[1].flow.transport, Transport::Tcp);
    assert_eq!((c.stream_messages, c.streams_ended), (2, 1));
}

#[test]
fn a_segment_may_come_in_fragments() {
    let segment = tcp(10, 0x18, &invite(1));
    let frames = [
        v4(6, 7, 0x2000, &segment[..800]),
        v4(6, 7, 100, &segment[800..]),
    ];
    let (out, _) = run(&frames);
    assert_eq!(out[0].bytes, invite(1));
}

#[test]
fn a_cut_message_bears_the_time_of_its_octets() {
    let parts = fragments(false, 1, &udp(&invite(1)), 576);
    let mut a = new();
    a.handle_frame(frame(ms(5), &parts[0]));
    a.handle_frame(frame(ms(6), &parts[2]));
    a.handle_frame(frame(ms(11_000), &v4(1, 1, 0, b"ping")));
    let out = drain(&mut a);
    assert_eq!((out[0].at, out[0].cut), (ms(6), Some(Cut::LostFragment)));
    assert_eq!(
        out[0].bytes,
        invite(1)[..544],
        "552 octets of the fragment, less the header"
    );
    assert_eq!(a.counters().datagrams_lost_age, 1);
}

#[test]
fn overlapping_fragments_give_no_message_but_count_as_incomplete() {
    let mut parts = fragments(false, 1, &udp(&invite(1)), 576);
    let mut forged = parts[1].clone();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    parts.insert(2, forged);
    let mut a = new();
    for p in &parts {
        a.handle_frame(frame(ms(0), p));
    }
    a.finish();
    assert_eq!(drain(&mut a), []);
    let c = a.counters();
    assert_eq!(
        (
            c.datagrams_lost_overlap,
            c.fronts_sip_overlap,
            c.imbalance()
        ),
        (1, 1, None)
    );
    assert_eq!(a.poll_coverage().unwrap().incomplete, 1);
}

#[test]
fn coverage_tells_whole_from_incomplete() {
    let mut a = new().with_sensors(["edge".into()]);
    a.handle_frame(frame(ms(1_000), &v4(17, 1, 0, &udp(&invite(1)))));
    let parts = fragments(false, 2, &udp(&invite(2)), 576);
    a.handle_frame(frame(ms(59_000), &parts[0]));
    a.handle_dropped(0, ms(59_500), 3);
    a.handle_frame(frame(ms(61_000), &v4(1, 1, 0, b"ping")));
    let row = a.poll_coverage().unwrap();
    assert_eq!(
        (&*row.sensor, row.from, row.until),
        ("edge", ms(1_000), ms(60_000))
    );
    assert_eq!(
        (row.packets, row.messages, row.incomplete, row.dropped),
        (2, 1, 0, 3)
    );
    a.handle_frame(frame(ms(70_000), &v4(1, 1, 0, b"ping")));
    let row = a.poll_coverage().unwrap();
    assert_eq!((row.from, row.messages, row.incomplete), (ms(1_000), 1, 1));
    a.finish();
    let row = a.poll_coverage().unwrap();
    assert_eq!(
        (row.from, row.until, row.packets),
        (ms(60_000), ms(70_000), 2)
    );
    assert_eq!(a.poll_coverage(), None);
}

#[test]
fn a_flood_of_first_fragments_stays_within_its_limits_and_none_is_silent() {
    let mut limits = AssembleLimits::default();
    limits.reassembly.octets = 100_000;
    limits.reassembly.datagrams = 50;
    let mut a = Assembler::new(limits);
    let datagram = udp(&invite(1));
    let mut messages = 0;
    for id in 0..5_000u16 {
        let mut first = v4(17, id, 0x2000, &datagram[..552]);
        first[30..34].copy_from_slice(&[198, 18, (id >> 8) as u8, id as u8]);
        a.handle_frame(frame(ms(0), &first));
        messages += drain(&mut a).len();
        let c = a.counters();
        assert!(c.datagram_octets <= 100_000 && c.datagrams_open <= 50);
    }
    a.finish();
    messages += drain(&mut a).len();
    let c = a.counters();
    assert_eq!((messages, c.messages_cut_lost_fragment), (5_000, 5_000));
    assert_eq!(
        (c.imbalance(), c.datagrams_open, c.datagram_octets),
        (None, 0, 0)
    );
}

#[test]
fn names_are_stable_and_unique() {
    let c = AssembleCounters::default();
    let names: std::collections::BTreeSet<_> = c.iter().chain(c.gauges()).map(|(n, _)| n).collect();
    assert_eq!(names.len(), c.iter().count() + c.gauges().count());
    assert_eq!(names.len(), AssembleCounters::HELP.len());
    let plain = |n: &str| n.bytes().all(|b| b == b'_' || b.is_ascii_lowercase());
    assert!(names.iter().all(|n| plain(n)));
}

fn shuffle<T>(items: &mut [T], mut seed: u64) {
    for i in (1..items.len()).rev() {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        items.swap(i, (seed >> 33) as usize % (i + 1));
    }
}

proptest! {
    /// Any MTU, any order, any fragments twice: the same message, and nothing else.
    #[test]
    fn any_cut_any_order_same_message(
        is_v6: bool, mtu in 68usize..1_600, n in 1usize..999, twice in proptest::collection::vec(any::<prop::sample::Index>(), 0..6), seed: u64,
    ) {
        let mtu = if is_v6 { mtu.max(80) } else { mtu };
        let message = invite(n);
        let mut frames = fragments(is_v6, 77, &udp(&message), mtu);
        for t in twice { frames.push(t.get(&frames).clone()); }
        shuffle(&mut frames, seed);
        let (out, c) = run(&frames);
        prop_assert!(!out.is_empty());
        for m in &out { prop_assert_eq!((&m.bytes, m.cut), (&message, None)); }
        // It comes twice only if all of it came twice.
        prop_assert!(out.len() == 1 || frames.len() >= 2 * fragments(is_v6, 77, &udp(&message), mtu).len());
        prop_assert_eq!((c.datagrams_open, c.datagram_octets), (0, 0));
    }

    /// Whichever fragment is lost: a cut message or a counted loss, never a message that looks whole.
    #[test]
    fn a_lost_fragment_is_never_silent(is_v6: bool, mtu in 80usize..1_300, lose in any::<prop::sample::Index>(), seed: u64) {
        let message = invite(1);
        let mut frames = fragments(is_v6, 9, &udp(&message), mtu);
        let lost = lose.index(frames.len());
        frames.remove(lost);
        shuffle(&mut frames, seed);
        let mut a = new();
        for f in &frames { a.handle_frame(frame(ms(0), f)); }
        a.handle_time(ms(20_000));
        let out = drain(&mut a);
        a.finish();
        let row = a.poll_coverage().unwrap();
        prop_assert_eq!((row.messages, row.incomplete), (0, 1));
        if lost == 0 {
            prop_assert!(out.is_empty());
            prop_assert_eq!(a.counters().fronts_missing_text, 1);
        } else {
            prop_assert_eq!(out.len(), 1);
            prop_assert_eq!(out[0].cut, Some(Cut::LostFragment));
            prop_assert!(message.starts_with(&out[0].bytes) && out[0].bytes.len() < message.len());
        }
    }

    /// Any segments in any order, some of them twice: the same messages.
    #[test]
    fn any_segmentation_same_messages(is_v6: bool, size in 4usize..1_500, twice in proptest::collection::vec(any::<prop::sample::Index>(), 0..6), isn: u32, seed: u64) {
        let stream = [invite(1), invite(2), invite(3)].concat();
        let wrap = |seq, flags, payload: &[u8]| {
            let s = tcp(seq, flags, payload);
            if is_v6 { v6(6, None, &s) } else { v4(6, 0, 0, &s) }
        };
        let mut frames: Vec<_> = stream.chunks(size).enumerate()
            .map(|(i, c)| wrap(isn.wrapping_add(1 + (i * size) as u32), 0x18, c)).collect();
        for t in twice { frames.push(t.get(&frames).clone()); }
        shuffle(&mut frames, seed);
        frames.insert(0, wrap(isn, 0x02, b""));
        let mut a = new();
        for f in &frames { a.handle_frame(frame(ms(0), f)); }
        let out: Vec<_> = drain(&mut a).into_iter().map(|m| (m.bytes, m.cut)).collect();
        prop_assert_eq!(out, [(invite(1), None), (invite(2), None), (invite(3), None)]);
        prop_assert_eq!(a.counters().imbalance(), None);
    }

    /// Garbage, and good frames with some octets changed: no panic, and the books balance.
    #[test]
    fn garbage_never_panics_and_the_books_balance(
        frames in proptest::collection::vec((0usize..4, any::<u32>(), proptest::collection::vec((0usize..90, any::<u8>()), 0..4), 0usize..1_400,
            proptest::collection::vec(any::<u8>(), 0..70), -90_000i64..90_000), 0..60),
        dlt in prop_oneof![4 => Just(1u32), 1 => 0u32..300],
    ) {
        let mut limits = AssembleLimits::default();
        limits.reassembly.datagrams = 5;
        limits.streams.sip = 3;
        limits.streams.unknown = 3;
        let mut a = Assembler::new(limits);
        let mut messages = 0;
        for (kind, x, changes, cut, garbage, at) in frames {
            let mut bytes = match kind {
                0 => garbage,
                1 => v4(17, x as u16 % 3, (x >> 8) as u16 & 0x2003, &udp(&invite(1))),
                2 => v6(17, Some((x % 3, (x >> 8) as u16 & 0x19)), &udp(&invite(2))[..800]),
                _ => v4(6, 0, 0, &tcp(x % 2_000, (x >> 16) as u8 & 0x17, &invite(3))),
            };
            for (i, b) in changes { if let Some(o) = bytes.get_mut(i) { *o = b; } }
            let original_len = bytes.len();
            bytes.truncate(original_len.saturating_sub(if x % 5 == 0 { cut } else { 0 }));
            a.handle_frame(Frame { original_len, link: LinkType::from_dlt(dlt), ..frame(ms(at), &bytes) });
            prop_assert_eq!(a.counters().imbalance(), None);
            for m in drain(&mut a) { prop_assert_eq!(m.seq, messages); messages += 1; }
        }
        a.finish();
        for m in drain(&mut a) { prop_assert_eq!(m.seq, messages); messages += 1; }
        let c = a.counters();
        prop_assert_eq!(c.imbalance(), None);
        prop_assert_eq!((c.datagrams_open, c.streams_open, c.datagram_octets, c.stream_octets), (0, 0, 0, 0));
        let rows: Vec<_> = std::iter::from_fn(|| a.poll_coverage()).collect();
        prop_assert!(rows.iter().all(|r| r.from <= r.until));
    }
}

#[test]
fn a_capture_may_claim_to_have_lost_any_number() {
    let mut a = new();
    a.handle_dropped(0, ms(0), u64::MAX);
    a.handle_dropped(0, ms(0), u64::MAX);
    a.finish();
    assert_eq!(a.counters().capture_dropped, u64::MAX);
    assert_eq!(a.poll_coverage().unwrap().dropped, u64::MAX);
}

#[test]
fn both_versions_of_ip_are_seen() {
    let (out, _) = run(&[v6(17, None, &udp(&invite(1)))]);
    assert!(matches!(out[0].flow.source.ip(), IpAddr::V6(_)));
}

/// What the stage costs. Run with `cargo test --release --lib cost_of_a_frame -- --ignored --nocapture` on a quiet machine.
#[test]
#[ignore = "a measurement"]
fn cost_of_a_frame() {
    let whole = [v4(17, 1, 0, &udp(&invite(1)))];
    let two = fragments(false, 1, &udp(&invite(1)), 900);
    let stream = [v4(6, 1, 0, &tcp(0, 0x18, &invite(1)))];
    for (what, frames) in [
        ("whole", &whole[..]),
        ("two fragments", &two),
        ("tcp", &stream),
    ] {
        let mut a = new();
        let mut best = f64::MAX;
        let mut seq = 1u32;
        let size = invite(1).len() as u32;
        for round in 0..20 {
            let copies: Vec<Vec<u8>> = frames.to_vec();
            let started = std::time::Instant::now();
            for i in 0..20_000u32 {
                for mut f in copies.iter().cloned() {
                    if what == "tcp" {
                        f[42..46].copy_from_slice(&seq.to_be_bytes());
                        seq = seq.wrapping_add(size);
                    } else {
                        f[22..24].copy_from_slice(&(i as u16).to_be_bytes());
                    }
                    a.handle_frame(frame(ms(round * 20_000 + i64::from(i)), &f));
                }
                assert!(a.poll_message().is_some());
            }
            best = best.min(started.elapsed().as_nanos() as f64 / 20_000.0);
        }
        eprintln!("{what}: {best:.0} ns a message, the copy of its frames included");
    }
}
