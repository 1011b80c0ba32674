//! Fragments as networks and attackers deliver them.

use super::*;
use std::net::Ipv4Addr;

fn packet(payload: &[u8]) -> Packet<'_> {
    Packet {
        source: Ipv4Addr::new(192, 0, 2, 1).into(),
        destination: Ipv4Addr::new(192, 0, 2, 2).into(),
        protocol: crate::wire::ip::UDP,
        fragment: None,
        payload,
        said: payload.len(),
    }
}

/// Takes in `octets` at `offset` of datagram `id`.
fn give(r: &mut Reassembler, id: u32, offset: u16, more: bool, octets: &[u8]) -> Taken {
    give_at(r, id, offset, more, octets, 0)
}

fn give_at(
    r: &mut Reassembler,
    id: u32,
    offset: u16,
    more: bool,
    octets: &[u8],
    secs: i64,
) -> Taken {
    let fragment = Fragment { id, offset, more };
    let packet = packet(octets);
    let key = DatagramKey::of(&packet, fragment, 0, Vlans::new(), TunnelPath::none());
    r.handle(key, fragment, &packet, Timestamp::from_secs(secs))
}

fn new() -> Reassembler {
    Reassembler::new(ReassemblyLimits::default())
}

fn bytes(taken: Taken) -> Vec<u8> {
    match taken {
        Taken::Complete(d) => d.bytes,
        other => panic!("not complete: {other:?}"),
    }
}

#[test]
fn any_order_gives_the_same() {
    let mut r = new();
    assert_eq!(give(&mut r, 1, 8, true, b"bbbbbbbb"), Taken::Held);
    assert_eq!(give(&mut r, 1, 16, false, b"ccc"), Taken::Held);
    assert_eq!(give(&mut r, 1, 8, true, b"bbbbbbbb"), Taken::Duplicate);
    assert_eq!(
        bytes(give(&mut r, 1, 0, true, b"aaaaaaaa")),
        b"aaaaaaaabbbbbbbbccc"
    );
    assert_eq!((r.open(), r.octets()), (0, 0));
    assert!(r.per_source.is_empty());
}

#[test]
fn an_overlap_spoils_the_datagram_for_good() {
    for (offset, more, octets) in [
        (0, true, &b"aaaaaaaX"[..]),
        (0, true, b"aaaaaaaaaaaaaaaa"),
        (8, true, b"bbbbbbbbbbbbbbbb"),
        (16, false, b"x"),
        (8, false, b"short"),
    ] {
        let mut r = new();
        give(&mut r, 1, 0, true, b"aaaaaaaa");
        give(&mut r, 1, 16, true, b"cccccccc");
        give(&mut r, 1, 24, false, b"end");
        assert_eq!(
            give(&mut r, 1, offset, more, octets),
            Taken::Overlap,
            "{offset}"
        );
        let lost = r.poll_lost().unwrap();
        assert_eq!(
            (lost.why, lost.front.as_slice()),
            (LostWhy::Overlap, &b"aaaaaaaa"[..])
        );
        assert_eq!(give(&mut r, 1, 8, true, b"bbbbbbbb"), Taken::Overlap);
        assert_eq!(r.octets(), 0);
        r.finish();
        assert_eq!(r.poll_lost(), None, "it is lost only once");
    }
}

#[test]
fn what_never_completes_comes_out_with_its_front() {
    let mut r = new();
    give_at(&mut r, 1, 0, true, b"aaaaaaaa", 5);
    give_at(&mut r, 1, 16, false, b"cc", 6);
    give_at(&mut r, 2, 8, false, b"a=sendrecv\r\n", 7);
    r.expire(Timestamp::from_secs(15));
    assert_eq!(r.poll_lost(), None, "ten seconds are not over");
    r.expire(Timestamp::from_secs(16));
    let lost = r.poll_lost().unwrap();
    assert_eq!((lost.why, lost.at), (LostWhy::Age, Timestamp::from_secs(6)));
    assert_eq!(lost.front, b"aaaaaaaa");
    r.finish();
    let lost = r.poll_lost().unwrap();
    assert_eq!((lost.why, lost.text), (LostWhy::End, true));
    assert!(lost.front.is_empty());
    assert_eq!((r.open(), r.octets()), (0, 0));
}

#[test]
fn late_duplicates_are_no_loss_and_a_new_datagram_with_the_same_id_is_not_swallowed() {
    let mut r = new();
    give(&mut r, 1, 0, true, b"aaaaaaaa");
    bytes(give(&mut r, 1, 8, false, b"b"));
    assert_eq!(give(&mut r, 1, 8, false, b"b"), Taken::Held);
    r.finish();
    assert_eq!(r.poll_lost().unwrap().why, LostWhy::Duplicate);
    give(&mut r, 1, 0, true, b"aaaaaaaa");
    assert_eq!(bytes(give(&mut r, 1, 8, false, b"c")), b"aaaaaaaac");
    give(&mut r, 1, 0, true, b"AAAAAAAA");
    r.finish();
    assert_eq!(r.poll_lost().unwrap().why, LostWhy::End);
}

#[test]
fn lengths_that_can_t_be() {
    let mut r = new();
    for (offset, more, octets) in [
        (0, true, &b""[..]),
        (0, true, b"seven.."),
        (65_528, false, b"eight..."),
    ] {
        assert_eq!(give(&mut r, 1, offset, more, octets), Taken::Malformed);
    }
    assert_eq!(r.open(), 0);
}

#[test]
fn a_flood_stays_within_all_limits_and_nothing_is_silent() {
    let limits = ReassemblyLimits {
        datagrams: 50,
        octets: 4_000,
        per_source: 20,
        ..ReassemblyLimits::default()
    };
    let mut r = Reassembler::new(limits);
    let (mut refused, mut evicted) = (0, 0);
    for id in 0..1_000u32 {
        let fragment = Fragment {
            id,
            offset: 0,
            more: true,
        };
        let mut packet = packet(&[0; 80]);
        let [_, b, c, d] = id.to_be_bytes();
        // Every third datagram from one address, the rest from all over.
        packet.source = Ipv4Addr::new(198, if id % 3 == 0 { 18 } else { b | 64 }, c, d).into();
        if id % 3 == 0 {
            packet.source = Ipv4Addr::new(198, 18, 0, 1).into();
        }
        let key = DatagramKey::of(&packet, fragment, 0, Vlans::new(), TunnelPath::none());
        r.handle(key, fragment, &packet, Timestamp::from_secs(0));
        while let Some(lost) = r.poll_lost() {
            match lost.why {
                LostWhy::Refused => refused += 1,
                LostWhy::Evicted => evicted += 1,
                other => panic!("{other:?}"),
            }
        }
        assert!(r.open() <= 50 && r.octets() <= 4_000 && r.per_source.len() <= 50);
    }
    assert_eq!(r.open() + refused + evicted, 1_000);
}

#[test]
fn one_source_can_t_take_all_the_room() {
    let limits = ReassemblyLimits {
        per_source: 3,
        ..ReassemblyLimits::default()
    };
    let mut r = Reassembler::new(limits);
    for id in 0..3 {
        assert_eq!(give(&mut r, id, 0, true, b"aaaaaaaa"), Taken::Held);
    }
    assert_eq!(give(&mut r, 9, 0, true, b"aaaaaaaa"), Taken::Refused);
    assert_eq!(r.poll_lost().unwrap().front, b"aaaaaaaa");
    bytes(give(&mut r, 0, 8, false, b"b"));
    assert_eq!(give(&mut r, 10, 0, true, b"aaaaaaaa"), Taken::Held);
}

#[test]
fn too_many_fragments_spoil_the_datagram() {
    let mut r = new();
    for i in 0..256u16 {
        assert_eq!(give(&mut r, 1, i * 8, true, b"aaaaaaaa"), Taken::Held);
    }
    assert_eq!(give(&mut r, 1, 256 * 8, true, b"aaaaaaaa"), Taken::Refused);
    assert_eq!(r.poll_lost().unwrap().front.len(), 2048);
}

#[test]
fn a_snapped_fragment_completes_by_what_it_said() {
    let mut r = new();
    let fragment = Fragment {
        id: 1,
        offset: 0,
        more: true,
    };
    let mut first = packet(b"aaaa");
    first.said = 8;
    let key = DatagramKey::of(&first, fragment, 0, Vlans::new(), TunnelPath::none());
    r.handle(key, fragment, &first, Timestamp::from_secs(0));
    let Taken::Complete(d) = give(&mut r, 1, 8, false, b"bb") else {
        panic!("not complete");
    };
    assert!(d.snapped);
    assert_eq!((d.bytes.as_slice(), d.said), (&b"aaaa"[..], 10));
}

#[test]
fn one_source_can_t_push_another_s_datagram_out_by_sheer_size() {
    let limits = ReassemblyLimits {
        octets: 400_000,
        per_source_octets: 100_000,
        ..ReassemblyLimits::default()
    };
    let mut r = Reassembler::new(limits);
    assert_eq!(give(&mut r, 1, 0, true, b"aaaaaaaa"), Taken::Held);
    let flood = |r: &mut Reassembler, id: u32, offset: u16| {
        let fragment = Fragment {
            id,
            offset,
            more: true,
        };
        let mut packet = packet(&[0; 8_000]);
        packet.source = Ipv4Addr::new(198, 51, 100, 1).into();
        let key = DatagramKey::of(&packet, fragment, 0, Vlans::new(), TunnelPath::none());
        r.handle(key, fragment, &packet, Timestamp::from_secs(0))
    };
    let mut refused = 0;
    for id in 0..1_000 {
        for offset in [0, 8_000, 16_000] {
            refused += usize::from(flood(&mut r, id, offset) == Taken::Refused);
        }
        assert!(r.octets() <= 110_000);
    }
    assert!(refused > 900);
    assert_eq!(
        bytes(give(&mut r, 1, 8, false, b"bb")),
        b"aaaaaaaabb",
        "the other source's was pushed out"
    );
    r.finish();
    assert_eq!((r.open(), r.octets(), r.per_source.len()), (0, 0, 0));
}
