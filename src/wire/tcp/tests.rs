//! Streams as networks deliver them.

use super::stream::Found;
use super::*;
use crate::base::Timestamp;
use crate::wire::{Cut, Flow, Transport, Vlans};
use proptest::prelude::*;
use std::time::Duration;

fn key(port: u16) -> StreamKey {
    let address = |last: u8, port| std::net::SocketAddr::from(([192, 0, 2, last], port));
    let flow = Flow {
        source: address(1, port),
        destination: address(2, 5060),
        transport: Transport::Tcp,
        vlans: Vlans::new(),
        path: Default::default(),
        macs: Default::default(),
    };
    StreamKey { sensor: 0, flow }
}

fn segment(seq: u32, payload: &[u8]) -> Segment<'_> {
    Segment {
        source: 5060,
        destination: 5060,
        seq,
        syn: false,
        fin: false,
        rst: false,
        payload,
        said: payload.len(),
    }
}

fn syn(seq: u32) -> Segment<'static> {
    Segment {
        syn: true,
        ..segment(seq, b"")
    }
}

fn ms(n: i64) -> Timestamp {
    Timestamp::from_nanos(1_795_512_600_000_000_000 + n * 1_000_000)
}

/// A request with a body of so many octets; the body is not text and has no line end.
fn invite(n: usize, body: usize) -> Vec<u8> {
    let mut m = format!("INVITE sip:+12025550{n:03}@example.net SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bK{n}\r\nIdentity: x\r\nContent-Length: {body}\r\n\r\n").into_bytes();
    m.resize(m.len() + body, b'x');
    m
}

/// What came out: messages and why they are cut; `None` for gaps and the like.
fn drain(s: &mut Streams) -> Vec<(Vec<u8>, Option<Cut>)> {
    std::iter::from_fn(|| s.poll_found())
        .filter_map(|(_, f, _)| match f {
            Found::Message { bytes, cut } => Some((bytes, cut)),
            _ => None,
        })
        .collect()
}

/// Gives a stream from its SYN on, in pieces `(from, to)` of its octets, and then ends it.
fn run(stream: &[u8], isn: u32, pieces: &[(usize, usize)]) -> Vec<(Vec<u8>, Option<Cut>)> {
    let mut s = Streams::new(StreamLimits::default());
    s.handle(key(1), &syn(isn), ms(0));
    for &(a, b) in pieces {
        let seq = isn.wrapping_add(1).wrapping_add(a as u32);
        s.handle(key(1), &segment(seq, &stream[a..b]), ms(1));
    }
    s.finish();
    drain(&mut s)
}

fn whole(messages: &[Vec<u8>]) -> Vec<(Vec<u8>, Option<Cut>)> {
    messages.iter().map(|m| (m.clone(), None)).collect()
}

fn three() -> [Vec<u8>; 3] {
    [invite(1, 10), invite(2, 0), invite(3, 700)]
}

#[test]
fn several_messages_in_a_segment_and_one_over_many() {
    let stream = [&three().concat()[..], b"\r\n\r\n"].concat();
    assert_eq!(run(&stream, 7, &[(0, stream.len())]), whole(&three()));
    let single: Vec<_> = (0..stream.len()).map(|i| (i, i + 1)).collect();
    assert_eq!(run(&stream, 7, &single), whole(&three()));
}

#[test]
fn sequence_numbers_wrap() {
    let stream = three().concat();
    let half = stream.len() / 2;
    let isn = u32::MAX - 100;
    let pieces = [(half, stream.len()), (0, half)];
    assert_eq!(run(&stream, isn, &pieces), whole(&three()));
}

#[test]
fn the_first_octets_win_an_overlap() {
    let stream = invite(1, 20);
    let n = stream.len() as u32;
    let mut s = Streams::new(StreamLimits::default());
    s.handle(key(1), &syn(0), ms(0));
    // The last ten come first; then the whole with other octets in their place.
    s.handle(
        key(1),
        &segment(1 + n - 10, &stream[stream.len() - 10..]),
        ms(1),
    );
    let mut forged = stream.clone();
    let at = forged.len() - 10;
    forged[at..].fill(b'!');
    s.handle(key(1), &segment(1, &forged), ms(2));
    s.handle(key(1), &segment(1, &[b'?'; 300]), ms(3));
    assert_eq!(drain(&mut s), whole(&[stream]));
}

#[test]
fn a_hole_cuts_its_message_and_the_next_one_is_whole() {
    let stream = three().concat();
    let first = invite(1, 10).len();
    let second = first + invite(2, 0).len();
    // Within the body of the third, whose end is known; within the head of the second, whose end is not.
    for (a, b, cut_at, rest) in [
        (second + 300, second + 350, second, vec![]),
        (first + 30, first + 60, first, whole(&[invite(3, 700)])),
    ] {
        let mut after = invite(4, 3);
        let full = [&stream[..], &after].concat();
        let out = run(&full, 5, &[(0, a), (b, full.len())]);
        let mut expected = whole(&three()[..if cut_at == first { 1 } else { 2 }]);
        expected.push((full[cut_at..a].to_vec(), Some(Cut::TcpGap)));
        expected.extend(rest);
        expected.push((std::mem::take(&mut after), None));
        assert_eq!(out, expected);
    }
}

#[test]
fn a_hole_is_given_up_after_a_while_even_if_nothing_more_comes() {
    let stream = three().concat();
    let mut s = Streams::new(StreamLimits::default());
    s.handle(key(1), &syn(0), ms(0));
    s.handle(key(1), &segment(1, &stream[..50]), ms(1));
    let last = invite(1, 10).len();
    s.handle(key(1), &segment(1 + last as u32, &stream[last..]), ms(2));
    s.expire(ms(3_002));
    assert_eq!(drain(&mut s), []);
    s.expire(ms(3_003));
    let out = drain(&mut s);
    assert_eq!(out[0], (stream[..50].to_vec(), Some(Cut::TcpGap)));
    assert_eq!(out[1..], whole(&three()[1..]));
    assert_eq!(s.counts().gaps, 1);
}

#[test]
fn a_stream_may_be_joined_in_the_middle_of_a_message() {
    let stream = three().concat();
    let mut s = Streams::new(StreamLimits::default());
    for (i, chunk) in stream[40..].chunks(33).enumerate() {
        s.handle(key(1), &segment(9_000 + 33 * i as u32, chunk), ms(0));
    }
    assert_eq!(drain(&mut s), whole(&three()[1..]));
}

#[test]
fn a_new_connection_between_the_same_ports_begins_anew() {
    let mut s = Streams::new(StreamLimits::default());
    let m = invite(1, 5);
    s.handle(key(1), &syn(100), ms(0));
    s.handle(key(1), &segment(101, &m[..60]), ms(1));
    // A forged SYN alone changes nothing.
    s.handle(key(1), &syn(5_000_000), ms(2));
    s.handle(key(1), &segment(161, &m[60..]), ms(3));
    assert_eq!(drain(&mut s), whole(std::slice::from_ref(&m)));
    s.handle(key(1), &segment(101 + m.len() as u32, &m[..60]), ms(4));
    s.handle(key(1), &segment(5_000_001, &m), ms(5));
    let out = drain(&mut s);
    assert_eq!(out[0], (m[..60].to_vec(), Some(Cut::EndOfStream)));
    assert_eq!(out[1..], whole(&[m]));
}

#[test]
fn what_comes_again_after_the_end_is_no_new_message() {
    let mut s = Streams::new(StreamLimits::default());
    let m = invite(1, 5);
    s.handle(key(1), &syn(100), ms(0));
    let fin = Segment {
        fin: true,
        ..segment(101, &m)
    };
    assert_eq!(s.handle(key(1), &fin, ms(1)), SegmentFate::Delivered);
    assert_eq!(s.handle(key(1), &fin, ms(2)), SegmentFate::Repeated);
    assert_eq!(drain(&mut s), whole(&[m]));
}

#[test]
fn a_reset_gives_out_what_is_left_and_a_forged_one_does_nothing() {
    let mut s = Streams::new(StreamLimits::default());
    let m = invite(1, 5);
    s.handle(key(1), &segment(101, &m[..90]), ms(0));
    let reset = |seq| Segment {
        rst: true,
        ..segment(seq, b"")
    };
    s.handle(key(1), &reset(90), ms(1));
    s.handle(key(1), &reset(700), ms(1));
    assert_eq!(drain(&mut s), []);
    s.handle(key(1), &reset(191), ms(1));
    assert_eq!(drain(&mut s), [(m[..90].to_vec(), Some(Cut::EndOfStream))]);
}

#[test]
fn what_is_not_sip_is_dropped_and_remembered_until_the_next_syn() {
    let mut s = Streams::new(StreamLimits::default());
    s.handle(key(1), &syn(0), ms(0));
    let mut seq = 1u32;
    let mut fates = Vec::new();
    let block = [0x17, 0x03, 0x03, b'\n', 0x80].repeat(280);
    for _ in 0..80 {
        fates.push(s.handle(key(1), &segment(seq, &block), ms(1)));
        seq += block.len() as u32;
        assert!(s.octets() < 4_096, "nothing is kept of it");
    }
    assert_eq!(fates.last(), Some(&SegmentFate::NotSip));
    assert_eq!((s.open(), s.counts().not_sip), (0, 1));
    s.handle(key(1), &syn(0), ms(2));
    s.handle(key(1), &segment(1, &invite(1, 0)), ms(3));
    assert_eq!(drain(&mut s).len(), 1);
}

#[test]
fn a_proxy_line_before_the_first_message_does_not_hide_it() {
    let m = invite(1, 3);
    let stream = [b"PROXY TCP4 192.0.2.1 192.0.2.2 5060 5060\r\n", &m[..]].concat();
    assert_eq!(run(&stream, 0, &[(0, stream.len())]), whole(&[m]));
}

#[test]
fn what_the_capture_cut_off_is_not_waited_for() {
    let mut s = Streams::new(StreamLimits::default());
    let (a, b) = (invite(1, 400), invite(2, 0));
    let snapped = Segment {
        said: a.len(),
        ..segment(1, &a[..96])
    };
    s.handle(key(1), &syn(0), ms(0));
    s.handle(key(1), &snapped, ms(1));
    s.handle(key(1), &segment(1 + a.len() as u32, &b), ms(2));
    let out = drain(&mut s);
    assert_eq!(out[0], (a[..96].to_vec(), Some(Cut::SnapLength)));
    assert_eq!(out[1..], whole(&[b]));
}

#[test]
fn half_open_streams_cost_no_more_than_they_may_and_push_no_trunk_out() {
    let limits = StreamLimits {
        sip: 4,
        unknown: 100,
        octets: 50_000,
        ..StreamLimits::default()
    };
    let mut s = Streams::new(limits);
    let m = invite(1, 50);
    s.handle(key(1), &segment(1, &[&m[..], &m[..70]].concat()), ms(0));
    assert_eq!(drain(&mut s).len(), 1);
    for port in 2..3_000u16 {
        s.handle(key(port), &syn(0), ms(i64::from(port)));
        if port % 2 == 0 {
            s.handle(key(port), &segment(50, &[b'x'; 1_400]), ms(i64::from(port)));
        }
        assert!(s.open() <= 104 && s.octets() <= 50_000);
    }
    assert!(s.counts().evicted > 2_800);
    s.handle(
        key(1),
        &segment(1 + m.len() as u32 + 70, &m[70..]),
        ms(3_000),
    );
    assert_eq!(drain(&mut s), whole(&[m]), "the trunk stands");
    s.finish();
    assert_eq!((s.open(), s.octets()), (0, 0));
    let c = s.counts();
    assert_eq!(
        c.begun,
        c.idle + c.evicted + c.ended + c.not_sip + c.replaced
    );
}

#[test]
fn a_stream_in_use_is_not_idle() {
    let mut s = Streams::new(StreamLimits::default());
    for i in 0..10 {
        s.handle(
            key(1),
            &segment(1 + 4 * i, b"\r\n\r\n"),
            ms(40_000 * i64::from(i)),
        );
        s.expire(ms(40_000 * i64::from(i)));
        assert_eq!((s.open(), s.counts().begun), (1, 1));
    }
    s.expire(Timestamp::MAX);
    assert_eq!((s.open(), s.counts().idle), (0, 1));
}

/// Cuts `0..len` at the given places.
fn cut_at(len: usize, mut cuts: Vec<usize>) -> Vec<(usize, usize)> {
    cuts.retain(|c| *c > 0 && *c < len);
    cuts.push(len);
    cuts.sort_unstable();
    cuts.dedup();
    let starts = std::iter::once(0).chain(cuts.iter().copied());
    starts.zip(cuts.iter().copied()).collect()
}

proptest! {
    /// Any cut, any order, any repetition, overlaps included: the same messages.
    #[test]
    fn any_cut_any_order_same_messages(
        cuts in proptest::collection::vec(0usize..1_400, 0..25),
        more in proptest::collection::vec((0usize..1_300, 1usize..200), 0..10),
        isn in prop_oneof![any::<u32>(), Just(u32::MAX - 300)],
        seed: u64,
    ) {
        let stream = [&three().concat()[..], b"\r\n\r\n", &invite(4, 30)].concat();
        let mut pieces = cut_at(stream.len(), cuts);
        pieces.extend(more.iter().map(|(a, n)| (*a.min(&(stream.len() - 1)), (a + n).min(stream.len()))).filter(|(a, b)| a < b));
        shuffle(&mut pieces, seed);
        let expected: Vec<_> = three().into_iter().chain([invite(4, 30)]).collect();
        prop_assert_eq!(run(&stream, isn, &pieces), whole(&expected));
    }

    /// With one piece missing, nothing comes out whole that is not, and every message is accounted for.
    #[test]
    fn a_missing_piece_is_never_silent(cuts in proptest::collection::vec(0usize..1_400, 1..12), lose in any::<prop::sample::Index>(), seed: u64) {
        let messages: Vec<_> = three().into_iter().chain([invite(4, 30)]).collect();
        let stream = messages.concat();
        let mut pieces = cut_at(stream.len(), cuts);
        let lost = pieces.remove(lose.index(pieces.len()));
        shuffle(&mut pieces, seed);
        let mut s = Streams::new(StreamLimits { gap: Duration::from_secs(1), ..StreamLimits::default() });
        s.handle(key(1), &syn(0), ms(0));
        for (a, b) in &pieces {
            s.handle(key(1), &segment(1 + *a as u32, &stream[*a..*b]), ms(1));
        }
        s.expire(ms(5_000));
        s.finish();
        let mut cuts_or_gaps = 0;
        while let Some((_, found, _)) = s.poll_found() {
            match found {
                Found::Message { bytes, cut: None } => prop_assert!(messages.contains(&bytes)),
                Found::Message { bytes, cut: Some(_) } => {
                    prop_assert!(messages.iter().any(|m| m.starts_with(&bytes) && m.len() > bytes.len()));
                    cuts_or_gaps += 1;
                }
                Found::Gap | Found::LostThread => cuts_or_gaps += 1,
                Found::KeepAlive
                | Found::WsMessage { .. }
                | Found::WsOther
                | Found::WsCompressed
                | Found::WsControl => {}
            }
        }
        // What is lost before any message was seen, or at the end, can't be told from there being nothing.
        let last = stream.len() - invite(4, 30).len();
        let visible = lost.1 < stream.len() && (lost.0 > 40 || lost.1 <= last);
        prop_assert!(cuts_or_gaps > 0 || !visible, "lost {lost:?}");
    }

    #[test]
    fn garbage_never_panics_and_the_books_balance(
        steps in proptest::collection::vec((0u16..3, any::<u32>(), 0u8..16, proptest::collection::vec(any::<u8>(), 0..40), 0usize..3), 0..200),
    ) {
        let limits = StreamLimits { sip: 2, unknown: 2, octets: 2_000, ahead: 300, not_sip: 2, ..StreamLimits::default() };
        let mut s = Streams::new(limits);
        for (i, (port, seq, flags, payload, beyond)) in steps.iter().enumerate() {
            let seg = Segment {
                syn: flags & 3 == 1, fin: flags & 12 == 4, rst: flags & 12 == 8, said: payload.len() + beyond,
                ..segment(seq % 400, payload)
            };
            s.handle(key(*port), &seg, ms(i as i64 * 500));
            s.expire(ms(i as i64 * 500));
            prop_assert!(s.open() <= 4 && s.octets() <= 2_000);
        }
        s.finish();
        prop_assert_eq!((s.open(), s.octets()), (0, 0));
        let c = s.counts();
        prop_assert_eq!(c.begun, c.idle + c.evicted + c.ended + c.not_sip + c.replaced);
    }

    #[test]
    fn headers_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80), said in 0usize..100) {
        if let Some(s) = parse(&bytes, said.max(bytes.len())) { prop_assert!(s.payload.len() <= s.said); }
        let _ = parse(&bytes, said);
    }
}

/// Deterministic shuffle (splitmix64).
fn shuffle<T>(items: &mut [T], mut seed: u64) {
    for i in (1..items.len()).rev() {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        items.swap(i, (z ^ (z >> 31)) as usize % (i + 1));
    }
}
