use std::time::Duration;

use proptest::prelude::*;

use super::signed::{News, numbers_of};
use super::snapshot::BadSnapshot;
use super::*;
use crate::number::Tn;

const DAY: i64 = 86_400;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn number(n: u64) -> Tn {
    Tn::from_u64(12_025_550_000 + n).unwrap()
}

fn settings(days: u64, calls: u64) -> FlagSettings {
    FlagSettings {
        learning: Duration::from_secs(days * 86_400),
        learning_calls: calls,
        ..FlagSettings::default()
    }
}

/// A neighbour's calls: (when in days, which number), and whether each was news.
fn news(
    table: &mut SignedNumbers,
    peer: &str,
    calls: &[(i64, u64)],
    s: &FlagSettings,
) -> Vec<bool> {
    let id = Arc::from(peer);
    let one = |(day, n): &(i64, u64)| table.handle(at(day * DAY), &id, &number(*n), s).is_some();
    calls.iter().map(one).collect()
}

#[test]
fn a_number_is_news_only_when_learning_is_over() {
    let s = settings(7, 3);
    let mut t = SignedNumbers::default();
    let calls = [(0, 1), (0, 2), (6, 3), (7, 1), (7, 4), (8, 4), (8, 5)];
    assert_eq!(
        news(&mut t, "north", &calls, &s),
        [false, false, false, false, true, false, true]
    );
    // Long enough, and too few calls; another neighbour's calls are none of its own.
    assert_eq!(
        news(&mut t, "south", &[(0, 1), (9, 2), (9, 4), (9, 5)], &s),
        [false, false, false, true]
    );
    let said = t.handle(at(8 * DAY), &Arc::from("north"), &number(9), &s);
    assert_eq!(
        said,
        Some(News {
            calls: 7,
            since: at(0)
        })
    );
}

#[test]
fn a_neighbour_that_comes_back_after_long_is_not_learnt_any_more() {
    let s = settings(7, 1);
    let mut t = SignedNumbers::default();
    // Known still after 90 days, by the old generation; and what is remembered begins later and later.
    let calls = [(0, 1), (91, 1), (91, 2), (182, 1), (183, 2), (274, 3)];
    assert_eq!(
        news(&mut t, "north", &calls, &s),
        [false, false, true, false, false, true]
    );
    let rotated_twice = [(0, 1), (100, 2), (200, 3), (201, 1)];
    let mut t = SignedNumbers::default();
    assert_eq!(
        news(&mut t, "north", &rotated_twice, &s),
        [false, true, true, true],
        "forgotten after two generations without a call"
    );
}

#[test]
fn who_signs_too_many_numbers_forgets_his_own_and_is_learnt_again() {
    let s = settings(7, 10);
    let mut t = SignedNumbers::default();
    let peer = Arc::from("north");
    t.octets = usize::MAX / 2; // as if others had taken all room
    let mut last = 0;
    for n in 0..u64::from(numbers_of(0)) * 3 {
        let news = t.handle(at(10 * DAY), &peer, &number(n), &s);
        assert_eq!(news, None);
        last = n;
    }
    assert!(t.rotated >= 2);
    // What is remembered begins ten days after the first call: no news before it has been watched for a week again.
    assert!(
        t.handle(at(16 * DAY), &peer, &number(last + 1), &s)
            .is_none()
    );
    assert!(
        t.handle(at(17 * DAY), &peer, &number(last + 2), &s)
            .is_some()
    );
}

#[test]
fn neighbours_and_octets_are_bounded() {
    let s = settings(7, 10);
    let mut t = SignedNumbers::default();
    for n in 0..5_000 {
        let peer = Arc::from(format!("p{n}"));
        t.handle(at(0), &peer, &number(1), &s);
    }
    assert_eq!(t.others, 5_000 - 4_096);
    assert_eq!(t.octets(), 4_096 * 16_384);
    t.retain(|id| &**id == "p7");
    assert_eq!(t.octets(), 16_384);
}

#[test]
fn filters_err_seldom_and_only_towards_known() {
    let s = settings(1, 1);
    let mut t = SignedNumbers::default();
    let peer = Arc::from("north");
    for n in 0..100_000 {
        t.handle(at(0), &peer, &number(n), &s);
    }
    for n in (0..100_000).step_by(97) {
        assert_eq!(t.handle(at(0), &peer, &number(n), &settings(0, 1)), None);
    }
    let missed = (100_000..101_000)
        .filter(|n| t.handle(at(2 * DAY), &peer, &number(*n), &s).is_none())
        .count();
    assert_eq!(missed, 0, "of 1,000 new numbers are taken for known");
    assert!(t.octets() < 3 << 19, "{}", t.octets());
}

#[test]
fn a_callback_comes_within_the_hours_and_to_the_caller_alone() {
    let mut c = EmergencyCallers::default();
    let two_hours = Duration::from_secs(7_200);
    c.insert(number(1), at(1_000));
    let called = |n, secs| c.called(&number(n), at(secs), two_hours);
    assert!(called(1, 1_000) && called(1, 8_200));
    assert!(!called(1, 8_201) && !called(1, 999) && !called(2, 1_001));
}

#[test]
fn callers_are_bounded() {
    let mut c = EmergencyCallers::default();
    for n in 0..70_000 {
        c.insert(number(n), at(0));
    }
    assert_eq!((c.len(), c.evicted), (65_536, 70_000 - 65_536));
    assert!(c.called(&number(69_999), at(0), Duration::ZERO));
}

fn memory(numbers: u64) -> FlagMemory {
    let mut m = FlagMemory::default();
    m.emergency.insert(number(1), at(5));
    let s = settings(7, 1);
    for n in 0..numbers {
        m.signed.handle(at(0), &Arc::from("north"), &number(n), &s);
        m.signed
            .handle(at(100 * DAY), &Arc::from("south"), &number(n / 2), &s);
    }
    m
}

#[test]
fn a_snapshot_carries_everything_over() {
    let octets = memory(5_000).into_snapshot();
    let mut again = FlagMemory::from_snapshot(&octets).unwrap();
    assert_eq!(again.counters(), memory(5_000).counters());
    assert!(
        again
            .emergency
            .called(&number(1), at(6), Duration::from_secs(10))
    );
    let s = settings(7, 1);
    let mut news = |n| {
        let peer = Arc::from("north");
        again.signed.handle(at(8 * DAY), &peer, &number(n), &s)
    };
    assert_eq!(news(4_999), None);
    assert_eq!(news(5_001).map(|n| n.calls), Some(5_001));
    assert_eq!(
        FlagMemory::from_snapshot(&octets).unwrap().into_snapshot(),
        octets
    );
}

/// A later version of a library must not hash otherwise: every number would be news.
#[test]
fn a_snapshot_has_the_same_octets_in_every_version() {
    let octets = memory(3).into_snapshot();
    // Without the checksum at its end: with it, every snapshot has the same one.
    let content = &octets[..octets.len() - 4];
    assert_eq!(
        crc32c::crc32c(content),
        3_739_027_356,
        "then raise the version in MAGIC"
    );
}

#[test]
fn broken_snapshots_are_refused_whole() {
    let sound = memory(5).into_snapshot();
    let refused = |octets: &[u8]| FlagMemory::from_snapshot(octets).unwrap_err();
    assert_eq!(refused(b""), BadSnapshot::Magic);
    assert_eq!(refused(b"thflags\x02rest"), BadSnapshot::Magic);
    assert_eq!(refused(&sound[..sound.len() - 1]), BadSnapshot::Checksum);
    let sealed = |content: &[u8]| {
        let mut out = content.to_vec();
        out.extend_from_slice(&crc32c::crc32c(content).to_le_bytes());
        out
    };
    let content = &sound[..sound.len() - 4];
    assert_eq!(
        refused(&sealed(&content[..content.len() - 8])),
        BadSnapshot::Content
    );
    let longer = [content, &[0]].concat();
    assert_eq!(refused(&sealed(&longer)), BadSnapshot::Content);
    let many = [b"thflags\x01".as_slice(), &[0xff; 4]].concat();
    assert_eq!(refused(&sealed(&many)), BadSnapshot::Content);
}

proptest! {
    #[test]
    fn any_octets_are_refused_or_read(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut octets = [b"thflags\x01".as_slice(), &body].concat();
        octets.extend_from_slice(&crc32c::crc32c(&octets).to_le_bytes());
        let _ = FlagMemory::from_snapshot(&octets);
    }
}
