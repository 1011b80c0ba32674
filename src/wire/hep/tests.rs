use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;

use super::stream::{Framed, frame};
use super::*;
use crate::wire::sip::frame::MAX_MESSAGE;

const ARRIVED: Timestamp = Timestamp::from_secs(1_313_440_460);
const OPTIONS: &[u8] = b"OPTIONS sip:a@example.net SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1\r\n\r\n";

type Chunk = (u16, u16, Vec<u8>);

fn chunk(kind: u16, value: &[u8]) -> Chunk {
    (0, kind, value.to_vec())
}

fn packet(chunks: &[Chunk]) -> Vec<u8> {
    let mut out = b"HEP3\0\0".to_vec();
    for (vendor, kind, value) in chunks {
        out.extend(vendor.to_be_bytes());
        out.extend(kind.to_be_bytes());
        out.extend(u16::try_from(value.len() + 6).unwrap().to_be_bytes());
        out.extend(value);
    }
    let total = u16::try_from(out.len()).unwrap();
    out[4..6].copy_from_slice(&total.to_be_bytes());
    out
}

/// The example of Rev 37.
fn example() -> Vec<Chunk> {
    vec![
        chunk(1, &[2]),
        chunk(2, &[17]),
        chunk(3, &[212, 202, 0, 1]),
        chunk(4, &[82, 116, 0, 211]),
        chunk(7, &12010u16.to_be_bytes()),
        chunk(8, &5060u16.to_be_bytes()),
        chunk(9, &1_313_440_459u32.to_be_bytes()),
        chunk(10, &120_000u32.to_be_bytes()),
        chunk(11, &[1]),
        chunk(12, &228u32.to_be_bytes()),
        chunk(15, b"INVITE sip:bob"),
    ]
}

/// The example with some chunks in the place of its own.
fn with(chunks: &[Chunk]) -> Vec<u8> {
    let mut all = example();
    all.retain(|(_, kind, _)| chunks.iter().all(|(_, k, _)| k != kind));
    all.extend_from_slice(chunks);
    packet(&all)
}

fn between(source: &str, destination: &str) -> Option<(SocketAddr, SocketAddr)> {
    Some((source.parse().unwrap(), destination.parse().unwrap()))
}

#[test]
fn the_example_of_the_specification() {
    let bytes = packet(&example());
    assert_eq!(bytes.len(), 113);
    let p = parse(&bytes, ARRIVED).unwrap();
    assert_eq!(p.between, between("212.202.0.1:12010", "82.116.0.211:5060"));
    assert_eq!(
        (p.version, p.transport(), p.kind),
        (3, Some(Transport::Udp), SIP)
    );
    assert_eq!(p.at, Some(Timestamp::from_nanos(1_313_440_459_120_000_000)));
    assert_eq!((p.agent, p.vlan, p.key), (Some(228), None, None));
    assert_eq!(p.payload, Some(Payload::Plain(b"INVITE sip:bob")));
    let eep = [b"EEP3", &bytes[4..]].concat();
    assert_eq!(parse(&eep, ARRIVED), Ok(p));
}

#[test]
fn malformed_packets_are_refused_each_for_its_reason() {
    let good = packet(&example());
    let total = |n: u16| [&good[..4], &n.to_be_bytes(), &good[6..]].concat();
    let one = |header: &[u8]| {
        let total = u16::try_from(header.len() + 6).unwrap();
        [b"HEP3".as_slice(), &total.to_be_bytes(), header].concat()
    };
    for (bytes, error) in [
        (b"".to_vec(), HepError::NotHep),
        (b"HEP".to_vec(), HepError::NotHep),
        (b"HEP4\x00\x06".to_vec(), HepError::NotHep),
        (b"EEP1\x00\x06".to_vec(), HepError::NotHep),
        (b"\x03\x10\x02".to_vec(), HepError::NotHep),
        (b"HEP3\x00".to_vec(), HepError::Truncated),
        (good[..112].to_vec(), HepError::Truncated),
        (total(114), HepError::Truncated),
        (total(5), HepError::Length),
        (total(0), HepError::Length),
        (total(112), HepError::Length),
        (one(&[0, 0, 0, 1, 0, 5]), HepError::Length),
        (one(&[0, 0, 0, 1, 0, 0]), HepError::Length),
        (one(&[0, 0, 0, 1, 0, 8, 2]), HepError::Length),
        (one(&[0, 0, 0, 1, 0]), HepError::Length),
        (with(&[chunk(1, &[])]), HepError::Size),
        (with(&[chunk(2, &[0, 17])]), HepError::Size),
        (with(&[chunk(3, &[1, 2, 3])]), HepError::Size),
        (with(&[chunk(5, &[0; 15])]), HepError::Size),
        (with(&[chunk(6, &[0; 17])]), HepError::Size),
        (with(&[chunk(7, &[1])]), HepError::Size),
        (with(&[chunk(9, &[0; 8])]), HepError::Size),
        (with(&[chunk(11, &[])]), HepError::Size),
        (with(&[chunk(12, &[7, 0xd2])]), HepError::Size),
        (with(&[chunk(18, &[1])]), HepError::Size),
        (
            vec![1, 16, 2, 17, 0, 1, 0, 2, 1, 2, 3, 4, 5, 6, 7],
            HepError::Truncated,
        ),
        (vec![2, 16, 2], HepError::Truncated),
        (
            vec![
                2, 16, 2, 17, 0, 1, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            ],
            HepError::Truncated,
        ),
        (
            vec![1, 16, 0, 17, 0, 1, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8],
            HepError::NotHep,
        ),
    ] {
        assert_eq!(parse(&bytes, ARRIVED).err(), Some(error), "{bytes:02x?}");
    }
}

#[test]
fn what_real_agents_write() {
    let read = |chunks: &[Chunk]| {
        let bytes = with(chunks);
        let p = parse(&bytes, ARRIVED).unwrap();
        (p.transport(), p.between, p.at, p.vlan, p.payload.is_some())
    };
    let plain = read(&[]);
    let (udp, pair, at, ..) = plain;
    // Kamailio: TLS is protocol 22; OpenSIPS: WebSocket is 50.
    assert_eq!(read(&[chunk(2, &[22])]).0, Some(Transport::Tls));
    assert_eq!(read(&[chunk(2, &[50])]).0, Some(Transport::Ws));
    assert_eq!(read(&[chunk(2, &[132])]).0, Some(Transport::Sctp));
    assert_eq!(read(&[chunk(2, &[99])]).0, None);
    // hep-js: family 0. The addresses that are there count.
    assert_eq!(read(&[chunk(1, &[0])]).1, pair);
    // heplify: VLAN 0 is no VLAN.
    assert_eq!(read(&[chunk(18, &[0, 0])]), plain);
    assert_eq!(read(&[chunk(18, &[0, 7])]).3, Some(7));
    // sofia-sip: time 0 is none. Asterisk: whole milliseconds.
    assert_eq!(read(&[chunk(9, &[0; 4])]).2, None);
    assert_eq!(
        read(&[chunk(10, &119_000u32.to_be_bytes())]).2,
        at.map(|t| t.minus(std::time::Duration::from_millis(1)))
    );
    // Unknown chunks, other vendors, an empty payload.
    assert_eq!(
        read(&[chunk(17, b"a"), chunk(0x7777, b""), (2, 1, vec![9, 9])]),
        plain
    );
    assert_eq!(read(&[chunk(15, b"")]), (udp, pair, at, None, false));
    // IPv6 as a BSD numbers it.
    let v6 = [chunk(1, &[28]), chunk(5, &[1; 16]), chunk(6, &[2; 16])];
    assert!(read(&v6).1.unwrap().0.is_ipv6());
    // Octets behind the packet.
    let trailed = [packet(&example()), vec![0; 3]].concat();
    assert_eq!(
        parse(&trailed, ARRIVED),
        parse(&packet(&example()), ARRIVED)
    );
}

#[test]
fn a_key_is_never_shown() {
    let bytes = with(&[chunk(14, b"myHep")]);
    let p = parse(&bytes, ARRIVED).unwrap();
    assert_eq!(p.key, Some(Key(b"myHep")));
    assert!(format!("{p:?}").contains("Key(…)") && !format!("{p:?}").contains("myHep"));
}

#[test]
fn agents_are_known_in_each_byte_order_that_is_written() {
    assert!(is_agent(2002, 2002));
    assert!(is_agent(0x07d2_0000, 2002), "sngrep");
    assert!(is_agent(0x0065_0000, 101), "sipgrep");
    assert!(is_agent(0xd207, 2002), "version 2 in network order");
    assert!(is_agent(0xd207_0000, 2002));
    assert!(!is_agent(2003, 2002));
}

fn structure(version: u8, family: u8, block: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut out = vec![version, 99, family, 22, 0x13, 0xc5, 0x13, 0xc4];
    let n = if family == 2 { 4 } else { 16 };
    out.extend(vec![1; n]);
    out.extend(vec![2; n]);
    out.extend(block);
    out.extend(payload);
    out
}

#[test]
fn version_1_and_2_as_each_agent_writes_them() {
    let (seconds, micros) = (1_313_440_459u32, 120_000u32);
    let little = [
        &seconds.to_le_bytes()[..],
        &micros.to_le_bytes(),
        &228u16.to_le_bytes(),
    ]
    .concat();
    let big = [
        &seconds.to_be_bytes()[..],
        &micros.to_be_bytes(),
        &228u16.to_be_bytes(),
    ]
    .concat();
    for family in [2, 10] {
        for block in [&little, &big] {
            for padding in [&b""[..], b"\0\0", b"AB", b"\r\n"] {
                let bytes = structure(2, family, &[block, padding].concat(), OPTIONS);
                let p = parse(&bytes, ARRIVED).unwrap();
                assert_eq!(p.at, Some(Timestamp::from_nanos(1_313_440_459_120_000_000)));
                assert_eq!(p.payload, Some(Payload::Plain(OPTIONS)), "{padding:?}");
                assert!(is_agent(p.agent.unwrap(), 228));
                assert_eq!(p.transport(), Some(Transport::Tls));
                let (source, destination) = p.between.unwrap();
                assert_eq!((source.port(), destination.port()), (5061, 5060));
            }
        }
        let bytes = structure(1, family, b"", OPTIONS);
        let p = parse(&bytes, ARRIVED).unwrap();
        assert_eq!((p.at, p.agent), (None, None));
        assert_eq!(p.payload, Some(Payload::Plain(OPTIONS)));
    }
    // A piece of a message shows no beginning: agents that split pad.
    let bytes = structure(2, 2, &[&little[..], b"\0\0"].concat(), b"rest of a body");
    assert_eq!(
        parse(&bytes, ARRIVED).unwrap().payload,
        Some(Payload::Plain(b"rest of a body"))
    );
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut e = ZlibEncoder::new(Vec::new(), Compression::best());
    e.write_all(bytes).unwrap();
    e.finish().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut e = GzEncoder::new(Vec::new(), Compression::default());
    e.write_all(bytes).unwrap();
    e.finish().unwrap()
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut e = DeflateEncoder::new(Vec::new(), Compression::fast());
    e.write_all(bytes).unwrap();
    e.finish().unwrap()
}

#[test]
fn compressed_payloads_are_opened_up_to_a_limit() {
    let largest = vec![b'a'; MAX_MESSAGE];
    let larger = vec![b'a'; MAX_MESSAGE + 1];
    for pack in [zlib, gzip, deflate] {
        for text in [OPTIONS, &largest] {
            let bytes = with(&[chunk(15, b""), chunk(16, &pack(text))]);
            let payload = parse(&bytes, ARRIVED).unwrap().payload.unwrap();
            assert_eq!(payload.open().unwrap().as_ref(), text);
        }
        assert_eq!(
            Payload::Compressed(&pack(&larger)).open(),
            Err(HepError::TooLarge)
        );
        let packed = pack(OPTIONS);
        for cut in 0..packed.len() - 8 {
            assert_eq!(
                Payload::Compressed(&packed[..cut]).open(),
                Err(HepError::Inflate),
                "{cut}"
            );
        }
    }
    let mut wrong = gzip(OPTIONS);
    let sum = wrong.len() - 8;
    wrong[sum] ^= 1;
    assert_eq!(Payload::Compressed(&wrong).open(), Err(HepError::Inflate));
    // A gzip header with every optional field.
    let plain = gzip(OPTIONS);
    let full = [
        &[0x1f, 0x8b, 8, 0x1e],
        &plain[4..10],
        b"\x02\0xxname\0note\0cc",
        &plain[10..],
    ]
    .concat();
    assert_eq!(Payload::Compressed(&full).open().unwrap().as_ref(), OPTIONS);
}

#[test]
fn a_bomb_ends_at_the_limit() {
    let bomb = zlib(&vec![0; 30_000_000]);
    assert!(bomb.len() < 65_000);
    assert_eq!(Payload::Compressed(&bomb).open(), Err(HepError::TooLarge));
}

#[test]
fn streams_are_framed_by_total_length_and_never_taken_up_again() {
    let one = packet(&example());
    for cut in 0..one.len() {
        let need = if cut < 6 { 6 } else { one.len() };
        assert_eq!(frame(&one[..cut]), Framed::NeedMore(need));
    }
    assert_eq!(frame(&[one.clone(), one].concat()), Framed::Packet(113));
    assert_eq!(frame(b"HEP3\0\x06"), Framed::Packet(6));
    for broken in [
        &b"HEP3\0\x05"[..],
        b"HEP2",
        b"X",
        b"\x02\x10",
        b"GET / HTTP/1.1",
    ] {
        assert_eq!(frame(broken), Framed::Broken);
    }
}

#[test]
fn what_is_written_is_read() {
    let bytes = with(&[chunk(14, b"key"), chunk(18, &[0, 7])]);
    let p = parse(&bytes, ARRIVED).unwrap();
    assert_eq!(parse(&write::v3(&p).unwrap(), ARRIVED), Ok(p.clone()));
    let v6 = HepPacket {
        between: between("[2001:db8::1]:5061", "[2001:db8::2]:5060"),
        payload: Some(Payload::Compressed(b"x")),
        ..p
    };
    assert_eq!(parse(&write::v3(&v6).unwrap(), ARRIVED), Ok(v6.clone()));
    let long = vec![b'a'; 65_530];
    assert_eq!(
        write::v3(&HepPacket {
            payload: Some(Payload::Plain(&long)),
            ..v6
        }),
        None
    );
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), version in 0u8..5) {
        if let Some(first) = bytes.first_mut() { *first = version; }
        let _ = parse(&bytes, ARRIVED).map(|p| p.payload.map(Payload::open));
        let mut three = b"HEP3".to_vec();
        three.extend(u16::try_from(bytes.len() + 6).unwrap().to_be_bytes());
        three.extend(&bytes);
        let _ = parse(&three, ARRIVED).map(|p| p.payload.map(Payload::open));
        let _ = inflate::inflate(&bytes);
        match frame(&three) {
            Framed::Packet(n) => prop_assert!(n >= 6 && n <= three.len()),
            Framed::NeedMore(n) => prop_assert!(n > three.len()),
            Framed::Broken => {}
        }
    }

    #[test]
    fn chunks_come_in_any_order(chunks in Just(example()).prop_shuffle()) {
        let (a, b) = (packet(&chunks), packet(&example()));
        prop_assert_eq!(parse(&a, ARRIVED), parse(&b, ARRIVED));
    }

    #[test]
    fn a_cut_packet_is_never_taken_for_a_whole_one(cut in 0usize..113) {
        prop_assert!(parse(&packet(&example())[..cut], ARRIVED).is_err());
    }

    #[test]
    fn whatever_is_packed_comes_out(bytes in proptest::collection::vec(any::<u8>(), 1..2000)) {
        for pack in [zlib, gzip, deflate] {
            prop_assert_eq!(inflate::inflate(&pack(&bytes)).unwrap(), bytes.clone());
        }
    }
}
