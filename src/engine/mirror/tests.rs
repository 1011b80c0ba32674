use proptest::prelude::*;

use super::*;
use crate::wire::Cut;
use crate::wire::hep::{Key, Payload, SIP, write};

const NOW: Timestamp = Timestamp::from_secs(1_795_532_400);

fn after(ms: u64) -> Timestamp {
    NOW.plus(Duration::from_millis(ms))
}

fn sip(call: u32, body: &str) -> Vec<u8> {
    format!(
        "INVITE sip:12025550100@example.net SIP/2.0\r\nCall-ID: {call}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn packet(payload: &[u8]) -> HepPacket<'_> {
    HepPacket {
        version: 3,
        between: Some((
            "198.51.100.7:5060".parse().unwrap(),
            "192.0.2.1:5060".parse().unwrap(),
        )),
        protocol: Some(17),
        kind: SIP,
        at: Some(NOW),
        agent: Some(2001),
        key: None,
        vlan: None,
        payload: (!payload.is_empty()).then_some(Payload::Plain(payload)),
    }
}

fn over_tls(payload: &[u8]) -> Vec<u8> {
    write::v3(&HepPacket {
        protocol: Some(22),
        ..packet(payload)
    })
    .unwrap()
}

fn agent(name: &str, sensor: u16) -> Agent {
    Agent {
        name: name.into(),
        sensor,
        networks: vec!["192.0.2.0/24".parse().unwrap()],
        id: None,
        key: None,
        carrier: None,
        certificate: None,
    }
}

fn mirror(agents: &[Agent]) -> Mirror {
    Mirror::new(agents.to_vec(), MirrorLimits::default())
}

fn peer() -> SocketAddr {
    "192.0.2.9:40000".parse().unwrap()
}

/// Hands a packet in over UDP.
fn hand(m: &mut Mirror, bytes: &[u8], ms: u64) {
    m.handle_packet(peer(), Carrier::Udp, bytes, after(ms));
}

fn out(m: &mut Mirror) -> Vec<(Vec<u8>, Option<Cut>)> {
    let all: Vec<_> = std::iter::from_fn(|| m.poll_message()).collect();
    assert_eq!(m.counters().imbalance(), None);
    all.into_iter().map(|(_, m)| (m.bytes, m.cut)).collect()
}

#[test]
fn a_packet_becomes_a_message_of_its_agents_sensor() {
    let mut m = mirror(&[agent("proxy-a", 3)]);
    let vlan = HepPacket {
        vlan: Some(7),
        ..packet(b"x")
    };
    let bytes = sip(1, "");
    let vlan = HepPacket {
        payload: Some(Payload::Plain(&bytes)),
        at: Some(after(20)),
        ..vlan
    };
    hand(&mut m, &write::v3(&vlan).unwrap(), 50);
    let (arrived, message) = m.poll_message().unwrap();
    assert_eq!(
        (arrived, message.at, message.sensor),
        (after(50), after(20), 3)
    );
    assert_eq!(message.flow.vlans.as_slice(), [7]);
    assert_eq!(
        (message.flow.transport, message.bytes),
        (Transport::Udp, bytes)
    );
    m.finish();
    let row = m.poll_coverage().unwrap();
    assert_eq!((&*row.sensor, row.packets, row.messages), ("proxy-a", 1, 1));
}

#[test]
fn refused_is_whoever_is_not_on_the_list_each_for_what_he_lacks() {
    let known = Agent {
        id: Some(2001),
        key: Some(AgentKey::new(b"example-key")),
        carrier: Some(CarrierKind::Tls),
        certificate: Some("proxy.example.net".into()),
        ..agent("proxy-a", 1)
    };
    let mut m = mirror(&[known]);
    let certificate = |name: &str| ClientCertificate {
        names: vec![name.into()],
        fingerprint: "ab".repeat(32).into(),
    };
    let (right, wrong) = (
        certificate("PROXY.example.net"),
        certificate("proxy.example.com"),
    );
    let bytes = sip(1, "");
    let said = |id, key: &'static [u8]| {
        write::v3(&HepPacket {
            agent: id,
            key: Some(Key(key)),
            ..packet(&bytes)
        })
        .unwrap()
    };
    let good = said(Some(2001), b"example-key");
    let tls = Carrier::Tls(Some(&right));
    for (from, over, bytes) in [
        ("203.0.113.9:1", tls, &good),
        ("192.0.2.9:1", Carrier::Udp, &good),
        ("192.0.2.9:1", Carrier::Tls(None), &good),
        ("192.0.2.9:1", Carrier::Tls(Some(&wrong)), &good),
        ("192.0.2.9:1", tls, &said(Some(2002), b"example-key")),
        ("192.0.2.9:1", tls, &said(None, b"example-key")),
        ("192.0.2.9:1", tls, &said(Some(2001), b"example-kez")),
        ("192.0.2.9:1", tls, &said(Some(2001), b"example")),
        ("192.0.2.9:1", tls, &said(Some(2001), b"")),
    ] {
        m.handle_packet(from.parse().unwrap(), over, bytes, NOW);
        assert_eq!(m.poll_message(), None);
    }
    let c = m.counters();
    assert_eq!(
        (c.refused_address, c.refused_carrier, c.refused_certificate),
        (1, 1, 2)
    );
    assert_eq!((c.refused_id, c.refused_key, c.messages_out), (2, 3, 0));
    // An IPv4 address as a socket for both families shows it.
    m.handle_packet("[::ffff:192.0.2.9]:1".parse().unwrap(), tls, &good, NOW);
    assert_eq!(out(&mut m).len(), 1);
    assert!(right.is(&format!(
        "sha256:{}",
        "AB:".repeat(32).trim_end_matches(':')
    )));
    assert!(!format!("{:?}", m.agents()).contains("example-key"));
}

#[test]
fn the_first_agent_that_fits_is_meant() {
    let second = agent("all-others", 2);
    let first = Agent {
        id: Some(2001),
        ..agent("proxy-a", 1)
    };
    let mut m = mirror(&[first, second]);
    let bytes = sip(1, "");
    for id in [2001, 2002, 0x07d1_0000] {
        let p = HepPacket {
            agent: Some(id),
            ..packet(&bytes)
        };
        hand(&mut m, &write::v3(&p).unwrap(), 0);
    }
    let sensors: Vec<_> = std::iter::from_fn(|| m.poll_message())
        .map(|(_, m)| m.sensor)
        .collect();
    assert_eq!(sensors, [1, 2, 1]);
}

#[test]
fn an_agents_clock_that_is_off_does_not_count() {
    let mut m = mirror(&[agent("proxy-a", 0)]);
    let bytes = sip(1, "");
    for (at, bears) in [
        (Some(after(0)), after(1_000)),
        (Some(after(2_999)), after(2_999)),
        (Some(NOW.plus(Duration::from_secs(3_600))), after(1_000)),
        (None, after(1_000)),
    ] {
        let at = if at == Some(after(0)) {
            Some(NOW.minus(Duration::from_secs(60)))
        } else {
            at
        };
        hand(
            &mut m,
            &write::v3(&HepPacket {
                at,
                ..packet(&bytes)
            })
            .unwrap(),
            1_000,
        );
        assert_eq!(m.poll_message().unwrap().1.at, bears);
    }
    assert_eq!((m.counters().times_off, m.counters().times_missing), (2, 1));
}

#[test]
fn what_is_no_sip_message_is_counted_by_what_it_is() {
    let mut m = mirror(&[agent("proxy-a", 0)]);
    let kind = |kind, payload| {
        write::v3(&HepPacket {
            kind,
            ..packet(payload)
        })
        .unwrap()
    };
    for bytes in [
        kind(5, b"{}"),
        kind(100, b"line"),
        kind(0x3c, b"cdr"),
        kind(SIP, b""),
        kind(SIP, b"\r\n\r\n"),
        kind(SIP, b"\x16\x03\x01"),
        write::v3(&HepPacket {
            between: None,
            ..packet(b"x")
        })
        .unwrap(),
        write::v3(&HepPacket {
            payload: Some(Payload::Compressed(b"\xff")),
            ..packet(b"x")
        })
        .unwrap(),
        b"GET / HTTP/1.1".to_vec(),
        b"HEP3\0\x07".to_vec(),
    ] {
        hand(&mut m, &bytes, 0);
    }
    assert_eq!(out(&mut m), []);
    let c = m.counters();
    assert_eq!(
        (c.packets_rtcp, c.packets_log, c.packets_other_type),
        (1, 1, 1)
    );
    assert_eq!(
        (
            c.packets_keep_alive,
            c.payloads_keep_alive,
            c.payloads_not_sip
        ),
        (1, 1, 1)
    );
    assert_eq!((c.packets_no_address, c.packets_inflate_broken), (1, 1));
    assert_eq!(
        (c.packets_not_hep, c.packets_truncated, c.packets_in),
        (1, 1, 10)
    );
    // An IP protocol that nobody knows does not cost the message.
    let bytes = sip(1, "");
    let odd = HepPacket {
        protocol: Some(0),
        ..packet(&bytes)
    };
    hand(&mut m, &write::v3(&odd).unwrap(), 0);
    assert_eq!((out(&mut m).len(), m.counters().transports_unknown), (1, 1));
}

#[test]
fn several_messages_in_one_payload_and_one_over_several() {
    let mut m = mirror(&[agent("proxy-a", 0)]);
    let (a, b) = (sip(1, "v=0"), sip(2, &"b".repeat(3_000)));
    hand(
        &mut m,
        &over_tls(&[a.as_slice(), b"\r\n\r\n", &b].concat()),
        0,
    );
    assert_eq!(out(&mut m), [(a.clone(), None), (b.clone(), None)]);
    for cut in [1, 20, 60, b.len() - 1] {
        hand(&mut m, &over_tls(&b[..cut]), 0);
        assert_eq!(out(&mut m), []);
        hand(&mut m, &over_tls(&[&b[cut..], &a[..9]].concat()), 1);
        hand(&mut m, &over_tls(&a[9..]), 2);
        assert_eq!(out(&mut m), [(b.clone(), None), (a.clone(), None)]);
    }
    let c = m.counters();
    assert_eq!(
        (c.splits_begun, c.splits_completed, c.split_octets),
        (8, 8, 0)
    );
}

#[test]
fn split_messages_that_are_never_whole_come_out_cut() {
    let limits = SplitLimits {
        count: 2,
        octets: 5_000,
        age: Duration::from_secs(5),
    };
    let mut m = Mirror::new(
        vec![agent("proxy-a", 0)],
        MirrorLimits {
            split: limits,
            ..MirrorLimits::default()
        },
    );
    let long = sip(1, &"b".repeat(3_000));
    // An agent's cap: the next message begins where the rest is due.
    hand(&mut m, &over_tls(&long[..1_000]), 0);
    hand(&mut m, &over_tls(&sip(2, "")), 1);
    assert_eq!(
        out(&mut m),
        [
            (long[..1_000].to_vec(), Some(Cut::EndOfStream)),
            (sip(2, ""), None)
        ]
    );
    // Age.
    hand(&mut m, &over_tls(&long[..900]), 2);
    m.handle_time(after(5_002));
    assert_eq!(out(&mut m), []);
    m.handle_time(after(5_003));
    assert_eq!(
        out(&mut m),
        [(long[..900].to_vec(), Some(Cut::EndOfStream))]
    );
    // Count and octets: the oldest goes.
    for port in 1..=3u16 {
        let front = &long[..usize::from(port) * 100];
        let between = Some((SocketAddr::new(peer().ip(), port), peer()));
        let p = HepPacket {
            between,
            protocol: Some(6),
            ..packet(front)
        };
        hand(&mut m, &write::v3(&p).unwrap(), 6_000);
    }
    assert_eq!(
        out(&mut m),
        [(long[..100].to_vec(), Some(Cut::EndOfStream))]
    );
    // Longer than a message may be.
    let endless = b"INVITE sip:a@example.net SIP/2.0\r\nContent-Length: 99999\r\n\r\n".to_vec();
    hand(&mut m, &over_tls(&endless), 6_001);
    assert_eq!(out(&mut m), [(endless, Some(Cut::EndOfStream))]);
    // What begins in the middle is passed over to the next beginning.
    hand(
        &mut m,
        &over_tls(&[b"rest of something\r\n", sip(3, "").as_slice()].concat()),
        6_002,
    );
    assert_eq!(out(&mut m), [(sip(3, ""), None)]);
    m.finish();
    assert_eq!(out(&mut m).len(), 2);
    let c = m.counters();
    assert_eq!(
        (c.splits_replaced, c.splits_age, c.splits_evicted),
        (1, 1, 1)
    );
    assert_eq!(
        (
            c.splits_too_long,
            c.splits_end,
            c.threads_lost,
            c.split_octets
        ),
        (1, 2, 1, 0)
    );
    let rows: Vec<_> = std::iter::from_fn(|| m.poll_coverage()).collect();
    assert_eq!(rows.iter().map(|r| r.incomplete).sum::<u64>(), 6);
}

#[test]
fn what_a_stream_lost_stands_in_the_ledger() {
    let mut m = mirror(&[agent("proxy-a", 0)]);
    hand(&mut m, &over_tls(&sip(1, "")), 0);
    let garbled = [&b"garbage\r\n\r\n"[..], &sip(2, "")].concat();
    hand(&mut m, &over_tls(&garbled), 1);
    m.finish();
    let rows: Vec<_> = std::iter::from_fn(|| m.poll_coverage()).collect();
    let lost = m.counters().threads_lost;
    assert!(lost > 0 && rows.iter().map(|r| r.unreadable).sum::<u64>() == lost);
}

#[test]
fn a_step_of_the_clock_ends_no_agent_s_looking() {
    let mut m = mirror(&[agent("udp", 0)]);
    let early = NOW.minus(Duration::from_secs(3_600));
    hand(&mut m, &write::v3(&packet(b"")).unwrap(), 0);
    m.handle_step(after(500), early);
    m.handle_time(early.plus(Duration::from_secs(1)));
    assert_eq!(m.counters().agents_open, 1);
    m.finish();
    let rows: Vec<_> = std::iter::from_fn(|| m.poll_coverage()).collect();
    let covers = |at| rows.iter().any(|r| r.from <= at && r.until > at);
    assert!(covers(after(499)) && covers(early.plus(Duration::from_millis(500))));
    assert!(!covers(early.plus(Duration::from_secs(1_800))));
}

#[test]
fn an_agent_looks_while_it_is_heard_or_connected() {
    let mut m = mirror(&[
        agent("udp", 0),
        Agent {
            carrier: Some(CarrierKind::Tls),
            ..agent("tls", 1)
        },
    ]);
    let open = |m: &Mirror| m.counters().agents_open;
    hand(&mut m, &write::v3(&packet(b"")).unwrap(), 0);
    assert_eq!(open(&m), 1);
    m.handle_time(after(120_000));
    assert_eq!(open(&m), 1);
    m.handle_dropped(7, after(120_000));
    m.handle_time(after(120_001));
    assert_eq!(open(&m), 0);
    let mut m = mirror(&[Agent {
        carrier: Some(CarrierKind::Tls),
        ..agent("tls", 1)
    }]);
    m.handle_packet(peer(), Carrier::Tls(None), &over_tls(&sip(1, "")), NOW);
    m.handle_time(after(600_000));
    assert_eq!((open(&m), m.counters().connections_seen), (1, 1));
    m.handle_closed(peer(), CarrierKind::Tls, after(600_001));
    assert_eq!(open(&m), 0);
    m.handle_time(after(1_200_000));
    m.finish();
    let rows: Vec<_> = std::iter::from_fn(|| m.poll_coverage()).collect();
    assert_eq!(rows.iter().map(|r| r.until).max(), Some(after(600_001)));
    assert!(rows.iter().all(|r| &*r.sensor == "tls"));
}

proptest! {
    #[test]
    fn cut_anywhere_a_stream_gives_the_same_messages(cuts in proptest::collection::vec(1usize..400, 0..20)) {
        let all: Vec<Vec<u8>> = (0..6).map(|n| sip(n, &"x".repeat(usize::try_from(n).unwrap() * 50))).collect();
        let stream = all.concat();
        let mut m = mirror(&[agent("proxy-a", 0)]);
        let mut rest = stream.as_slice();
        for cut in cuts.into_iter().chain([stream.len()]) {
            let (front, tail) = rest.split_at(cut.min(rest.len()));
            // A cut right before a start line leaves nothing open there.
            hand(&mut m, &over_tls(front), 0);
            rest = tail;
        }
        let expected: Vec<_> = all.into_iter().map(|m| (m, None)).collect();
        prop_assert_eq!(out(&mut m), expected);
    }

    #[test]
    fn nothing_makes_it_panic_and_everything_adds_up(
        packets in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..80), 0u8..3, any::<bool>()), 0..30),
    ) {
        let mut m = mirror(&[agent("proxy-a", 0)]);
        for (i, (bytes, how, udp)) in packets.iter().enumerate() {
            let sip = [b"INVITE sip:a@b SIP/2.0\r\nl: 40\r\n\r\n".as_slice(), bytes].concat();
            let bytes = match how {
                0 => bytes.clone(),
                1 => over_tls(bytes),
                _ => over_tls(&sip),
            };
            let over = if *udp { Carrier::Udp } else { Carrier::Tcp };
            m.handle_packet(peer(), over, &bytes, after(u64::try_from(i).unwrap() * 700));
            m.handle_time(after(u64::try_from(i).unwrap() * 700));
            prop_assert_eq!(m.counters().imbalance(), None);
        }
        m.finish();
        prop_assert_eq!(m.counters().imbalance(), None);
        prop_assert_eq!(m.counters().split_octets, 0);
    }
}

#[test]
fn a_clock_that_is_set_covers_nothing_between_and_nobody_is_quiet_for_it() {
    let mut m = mirror(&[agent("proxy-a", 1)]);
    let bytes = sip(1, "");
    let said = write::v3(&packet(&bytes)).unwrap();
    let at = NOW;
    let hour = Duration::from_secs(3_600);
    hand(&mut m, &said, 0);
    let before = at.plus(Duration::from_secs(5));
    m.handle_time(before);
    m.publish_coverage();
    let row = m.poll_coverage().unwrap();
    assert_eq!((row.from, row.until, row.packets), (at, before, 1));
    m.handle_step(before, before.plus(hour));
    let later = before.plus(hour).plus(Duration::from_secs(2));
    m.handle_time(later);
    m.finish();
    let rows: Vec<_> = std::iter::from_fn(|| m.poll_coverage()).collect();
    let last = rows.last().unwrap();
    assert_eq!((last.from, last.until), (before.plus(hour), later));
    assert!(
        rows.iter()
            .all(|r| r.until <= before || r.from >= before.plus(hour))
    );
}
