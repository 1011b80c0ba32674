//! The store as a whole, on a real folder.

mod beside;
mod campaigns;
mod check;
mod compact;
pub(crate) mod evidence;
mod faults;
mod flips;
mod kill;
pub(crate) mod made;
mod manifest;
mod older;
mod sealed;
mod writer;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use proptest::prelude::*;

use self::faults::copy;
use self::made::{begin, begins, end, ends, full_begin, tn};
use self::sealed::Encrypted;
use super::*;
use crate::base::digest::Digest128;
use crate::call::classify::Campaign;
use crate::call::record::{ClockState, Coverage, Down, End, StoredCall};
use crate::number::Tn;
use crate::store::{Bounded, Lookup, Role, Store};
use crate::wire::Provenance;

fn settings(records: usize) -> StoreSettings {
    StoreSettings {
        segment_records: records,
        segment_span: Duration::from_secs(86_400),
        retention: Duration::from_secs(2 * 3600),
        sealing: Sealing::Inline,
        ..StoreSettings::default()
    }
}

fn open(dir: &Path) -> EmbeddedStore {
    EmbeddedStore::open(dir, settings(1_000_000)).unwrap()
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

const ALWAYS: (Timestamp, Timestamp) = (Timestamp::MIN, Timestamp::MAX);

fn called(store: &dyn Lookup, number: &str) -> Vec<StoredCall> {
    store.by_called(tn(number), ALWAYS.0, ALWAYS.1).unwrap()
}

fn calling(store: &dyn Lookup, number: &str) -> Vec<StoredCall> {
    store.by_calling(tn(number), ALWAYS.0, ALWAYS.1).unwrap()
}

fn uids(calls: &[StoredCall]) -> Vec<u64> {
    calls.iter().map(|c| c.begin.uid).collect()
}

/// Everything a store should answer, kept the simple way.
#[derive(Default)]
struct Model {
    begins: BTreeMap<u64, Begin>,
    ends: BTreeMap<u64, End>,
}

impl Model {
    fn answer(
        &self,
        from: Timestamp,
        until: Timestamp,
        of: impl Fn(&Begin) -> bool,
    ) -> Vec<StoredCall> {
        let hits = self.begins.values();
        let mut hits: Vec<_> = hits
            .filter(|b| from <= b.at && b.at <= until && of(b))
            .map(|b| StoredCall {
                begin: b.clone(),
                end: self.ends.get(&b.uid).cloned(),
            })
            .collect();
        hits.sort_by_key(|c| (c.begin.at, c.begin.uid));
        hits
    }

    fn check(&self, store: &dyn Lookup, from: Timestamp, until: Timestamp) {
        let numbers = self.begins.values().flat_map(|b| {
            let n = &b.numbers;
            [
                n.called,
                n.to,
                n.diverted_from,
                n.from,
                n.asserted,
                n.remote_party,
                b.verdict.orig,
            ]
        });
        let numbers: std::collections::BTreeSet<_> = numbers.flatten().collect();
        for number in numbers {
            let some = Some(number);
            let expected = self.answer(from, until, |b| {
                let n = &b.numbers;
                [n.called, n.to, n.diverted_from].contains(&some)
            });
            assert_eq!(store.by_called(number, from, until).unwrap(), expected);
            let count = store.count(Role::Called, number, from, until).unwrap();
            assert_eq!(count, expected.len() as u64);
            for most in [0, 1, count, count + 1] {
                let found = store
                    .look_up(Role::Called, number, from, until, most)
                    .unwrap();
                assert_eq!(found, up_to(&expected, most));
            }
            let expected = self.answer(from, until, |b| {
                let n = &b.numbers;
                [n.from, n.asserted, n.remote_party, b.verdict.orig].contains(&some)
            });
            assert_eq!(store.by_calling(number, from, until).unwrap(), expected);
            let count = store.count(Role::Calling, number, from, until).unwrap();
            assert_eq!(count, expected.len() as u64);
            for most in [0, 1, count, count + 1] {
                let found = store
                    .look_up(Role::Calling, number, from, until, most)
                    .unwrap();
                assert_eq!(found, up_to(&expected, most));
            }
        }
    }
}

fn up_to(expected: &[StoredCall], most: u64) -> Bounded {
    match expected.len() as u64 {
        count if count > most => Bounded::TooMany(count),
        _ => Bounded::All(expected.to_vec()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Any records, any mixture of memory, segments, late ends and reopening: every field comes back.
    #[test]
    fn what_was_taken_in_is_found(
        records in begins(1..40),
        finals in ends(0..60),
        seal_every in 1_usize..50,
        reopen_at in 0_usize..100,
        window in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        encrypted: bool,
    ) {
        let place = Encrypted::new();
        let dir = place.path();
        let settings = if encrypted { place.settings() } else { settings(1_000_000) };
        let open = || EmbeddedStore::open(&dir, settings.clone()).unwrap();
        let mut store = open();
        let mut model = Model::default();
        let mut steps = 0;
        let mut finals = finals.into_iter();
        for b in &records {
            store.append_begin(b).unwrap();
            model.begins.insert(b.uid, b.clone());
            // Ends for any record so far, some of them sealed by now.
            for (which, mut e) in finals.by_ref().take(2) {
                let of = which.get(&model.begins.values().collect::<Vec<_>>()).to_owned().clone();
                e.uid = of.uid;
                e.begun_at = of.at;
                e.called = of.numbers.called;
                store.append_end(&e).unwrap();
                model.ends.insert(e.uid, e);
            }
            steps += 1;
            if steps % seal_every == 0 {
                store.seal().unwrap();
            }
            if steps == reopen_at {
                store.commit().unwrap();
                drop(store);
                store = open();
            }
        }
        let (from, until) = (window.0.get(&records).at, window.1.get(&records).at);
        model.check(&store, from.min(until), from.max(until));
        model.check(&store.reader(), ALWAYS.0, ALWAYS.1);
        store.commit().unwrap();
        let (reader, report) = EmbeddedStore::open_reader(&dir, &settings).unwrap();
        prop_assert_eq!(report.torn_bytes + report.bad_frames + report.unreadable + report.foreign_files, 0);
        model.check(&reader, ALWAYS.0, ALWAYS.1);
        store.close().unwrap();
        let store = open();
        prop_assert_eq!(store.open_report(), &OpenReport::default());
        prop_assert_eq!(store.last_uid(), records.iter().map(|b| b.uid).max().unwrap());
        model.check(&store, from.min(until), from.max(until));
    }

    /// The octets of a record are read as that record or not at all.
    #[test]
    fn octets_of_a_record_never_panic(b in begins(1..2), cut in any::<prop::sample::Index>(), bit in 0..8) {
        let mut body = Vec::new();
        encode_begin(&b[0], &mut body);
        let numbering = names::Numbering::current();
        let row = codec::BeginRow::decode(&body, &numbering).unwrap();
        prop_assert!(row.is_text());
        prop_assert_eq!(row.to_begin(), Some(b[0].clone()));
        let place = cut.index(body.len());
        prop_assert!(codec::BeginRow::decode(&body[..place], &numbering).is_none());
        body[place] ^= 1_u8 << bit;
        if let Some(row) = codec::BeginRow::decode(&body, &numbering) {
            prop_assert_eq!(row.to_begin().is_some(), row.is_text());
        }
    }
}

#[test]
fn windows_are_closed_at_both_ends() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let times = [
        "2026-11-24T12:59:59.999999999Z",
        "2026-11-24T13:00:00Z",
        "2026-11-24T13:00:00.000000001Z",
        "2026-11-24T14:00:00Z",
    ];
    for (uid, time) in (1..).zip(times) {
        let mut b = begin(uid);
        b.at = at(time);
        store.append_begin(&b).unwrap();
    }
    for _ in 0..2 {
        for (i, from) in times.iter().enumerate() {
            for (j, until) in times.iter().enumerate() {
                let expected: Vec<u64> = (i + 1..j + 2).map(|u| u as u64).collect();
                let number = tn("12025550100");
                let found = store.by_called(number, at(from), at(until)).unwrap();
                assert_eq!(uids(&found), expected, "{from} to {until}");
                let count = store
                    .count(Role::Called, number, at(from), at(until))
                    .unwrap();
                assert_eq!(count, expected.len() as u64);
                let number = tn("12025550199");
                let found = store.by_calling(number, at(from), at(until)).unwrap();
                assert_eq!(uids(&found), expected);
                let count = store.count(Role::Calling, number, at(from), at(until));
                assert_eq!(count.unwrap(), expected.len() as u64);
            }
        }
        store.seal().unwrap();
    }
}

#[test]
fn folders_are_those_of_capture_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    for (uid, time) in [(1, "2019-03-01T00:10:00Z"), (2, "2026-11-24T13:00:00Z")] {
        let mut b = begin(uid);
        b.at = at(time);
        store.append_begin(&b).unwrap();
    }
    store.seal().unwrap();
    assert!(dir.path().join("seg/2019-03-01/00").is_dir());
    assert!(dir.path().join("seg/2026-11-24/13").is_dir());
    assert_eq!(uids(&called(&store, "12025550100")), [1, 2]);
}

#[test]
fn the_later_end_wins_across_seals() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let b = begin(1);
    store.append_begin(&b).unwrap();
    let code = |store: &dyn Lookup| called(store, "12025550100")[0].end.as_ref().map(|e| e.code);
    assert_eq!(code(&store), None);
    for (i, status) in [180, 200, 486, 487, 500, 503].into_iter().enumerate() {
        let mut e = end(&b);
        e.code = status;
        store.append_end(&e).unwrap();
        assert_eq!(code(&store), Some(status), "in memory");
        if i > 0 {
            store.seal().unwrap();
            assert_eq!(code(&store), Some(status), "sealed");
        }
    }
    drop(store);
    assert_eq!(code(&open(dir.path())), Some(503));
}

#[test]
fn an_end_may_come_before_its_begin() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let b = begin(5);
    store.append_end(&end(&b)).unwrap();
    store.seal().unwrap();
    store.append_begin(&b).unwrap();
    assert!(called(&store, "12025550100")[0].end.is_some());
    store.seal().unwrap();
    assert!(called(&store, "12025550100")[0].end.is_some());
}

#[test]
fn numbers_under_every_name_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let mut b = begin(1);
    b.numbers.to = Some(tn("12025550101"));
    b.numbers.diverted_from = Some(tn("12025550102"));
    b.numbers.asserted = Some(tn("12025550103"));
    b.numbers.remote_party = Some(tn("12025550104"));
    b.verdict.orig = Some(tn("12025550105"));
    store.append_begin(&b).unwrap();
    let mut code = begin(2);
    code.numbers.called = Some(tn("*67"));
    code.numbers.to = Some(tn("0123"));
    code.numbers.from = Some(tn("#1"));
    store.append_begin(&code).unwrap();
    let mut nameless = begin(3);
    nameless.numbers = Default::default();
    nameless.called_text = Some("sip:alice@example.net".into());
    store.append_begin(&nameless).unwrap();
    for _ in 0..2 {
        for number in ["12025550100", "12025550101", "12025550102"] {
            assert_eq!(uids(&called(&store, number)), [1], "{number}");
            assert_eq!(uids(&calling(&store, number)), [] as [u64; 0]);
        }
        for number in ["12025550199", "12025550103", "12025550104", "12025550105"] {
            assert_eq!(uids(&calling(&store, number)), [1], "{number}");
            assert_eq!(uids(&called(&store, number)), [] as [u64; 0]);
        }
        assert_eq!(called(&store, "*67")[0].begin, code);
        assert_eq!(called(&store, "0123")[0].begin, code);
        assert_eq!(calling(&store, "#1")[0].begin, code);
        assert_eq!(called(&store, "123"), []);
        store.seal().unwrap();
    }
}

#[test]
fn a_number_called_more_often_than_a_page_holds_is_found_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    for uid in 1..=9000 {
        let mut b = begin(uid);
        b.at = b.at.plus(Duration::from_millis(uid * 10));
        if uid % 3 != 0 {
            b.numbers.called = Some(tn(if uid % 3 == 1 {
                "12025550150"
            } else {
                "12025550099"
            }));
        }
        store.append_begin(&b).unwrap();
    }
    let start = begin(1).at;
    for _ in 0..2 {
        for number in ["12025550099", "12025550100", "12025550150"] {
            assert_eq!(called(&store, number).len(), 3000);
            let from = start.plus(Duration::from_millis(40_000));
            let until = start.plus(Duration::from_millis(40_290));
            let found = store.by_called(tn(number), from, until).unwrap();
            assert_eq!(found.len(), 10);
            assert_eq!(
                store.count(Role::Called, tn(number), from, until).unwrap(),
                10
            );
        }
        assert_eq!(calling(&store, "12025550199").len(), 9000);
        store.seal().unwrap();
    }
}

/// Enough segments for several threads, and for a cache that holds fewer files and footers than there are.
#[test]
fn many_segments_answer_as_one_whatever_is_kept_of_them() {
    const SEGMENTS: u64 = 70;
    let dir = tempfile::tempdir().unwrap();
    let mut store = EmbeddedStore::open(dir.path(), settings(10)).unwrap();
    let mut model = Model::default();
    for uid in 1..=SEGMENTS * 10 {
        let mut b = begin(uid);
        b.at = b.at.plus(Duration::from_secs(uid));
        if uid % 7 == 0 {
            b.numbers.called = Some(tn("12025550150"));
        }
        store.append_begin(&b).unwrap();
        model.begins.insert(uid, b);
    }
    let middle = begin(1).at.plus(Duration::from_secs(SEGMENTS * 5));
    store.close().unwrap();
    let (whole, _) = EmbeddedStore::open_read_only(dir.path()).unwrap();
    model.check(&whole, ALWAYS.0, ALWAYS.1);
    for (octets, files) in [(64 << 20, 64), (64 << 20, 3), (40_000, 64), (1, 1), (1, 0)] {
        let (narrow, _) = EmbeddedStore::open_read_only(dir.path()).unwrap();
        let narrow = narrow.keeping(octets, files);
        model.check(&narrow, ALWAYS.0, ALWAYS.1);
        model.check(&narrow, ALWAYS.0, middle);
        let (kept, weight, open) = narrow.kept();
        assert!(open <= files, "{open} files");
        assert!(kept == 1 || weight <= octets, "{kept} of {weight} octets");
        assert!(octets == 1 || kept > 1);
    }
}

#[test]
fn counting_callers_reads_no_record() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let time = |uid: u64| begin(1).at.plus(Duration::from_millis(uid));
    for uid in 1..=9000 {
        let mut b = begin(uid);
        b.at = time(uid);
        store.append_begin(&b).unwrap();
    }
    store.close().unwrap();
    let (reader, _) = EmbeddedStore::open_read_only(dir.path()).unwrap();
    for entry in std::fs::read_dir(dir.path().join("seg/2026-11-24/13")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "parquet") {
            std::fs::remove_file(path).unwrap();
        }
    }
    let number = tn("12025550199");
    let wide = reader.count(
        Role::Calling,
        number,
        at("2026-11-24T12:59:00Z"),
        time(60_000),
    );
    assert_eq!(wide.unwrap(), 9000, "the index is enough");
    let edge = reader.count(Role::Calling, number, time(1), time(9000));
    assert!(
        edge.is_err(),
        "within a second only the record knows its time"
    );
}

#[test]
fn coverage_rows_replace_and_stay() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let row = |sensor: &str, from: &str, messages| Coverage {
        sensor: sensor.into(),
        from: at(from),
        until: at(from).plus(Duration::from_secs(60)),
        packets: u64::MAX,
        messages,
        incomplete: 1,
        dropped: 2,
        unreadable: 3,
        lost_fragments: 4,
        tcp_gaps: 5,
        freezes: 6,
        shed: 7,
        unverified: 8,
        lost_records: 9,
        duplicates: u64::MAX,
        clock: (messages > 1).then_some(ClockState {
            synchronised: messages > 2,
            offset_ns: -3,
            error_ns: u64::MAX,
        }),
        down: (messages > 5).then_some(Down::Died),
    };
    let (a, b) = ("2026-11-24T23:59:00Z", "2026-11-25T00:00:00Z");
    store.append_coverage(&row("west", a, 1)).unwrap();
    store.append_coverage(&row("east", a, 2)).unwrap();
    store.seal().unwrap();
    store.append_coverage(&row("west", a, 5)).unwrap();
    store.append_coverage(&row("west", b, 6)).unwrap();
    let expected = [row("east", a, 2), row("west", a, 5), row("west", b, 6)];
    for _ in 0..2 {
        assert_eq!(store.coverage(ALWAYS.0, ALWAYS.1).unwrap(), expected);
        let midnight = store.coverage(at(b), at(b)).unwrap();
        assert_eq!(midnight, expected, "rows that end at midnight touch it");
        let after = at("2026-11-25T00:00:30Z");
        assert_eq!(store.coverage(after, after).unwrap(), expected[2..]);
        store.seal().unwrap();
    }
    drop(store);
    assert_eq!(
        open(dir.path()).coverage(ALWAYS.0, ALWAYS.1).unwrap(),
        expected
    );
}

#[test]
fn retention_deletes_whole_hours_and_remembers() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let times = [
        "2026-11-23T09:59:59Z",
        "2026-11-24T10:30:00Z",
        "2026-11-24T11:00:00Z",
    ];
    for (uid, time) in (1..).zip(times) {
        let mut b = begin(uid);
        b.at = at(time);
        store.append_begin(&b).unwrap();
        store
            .append_coverage(&Coverage {
                sensor: "s".into(),
                from: at(time),
                until: at(time),
                ..Coverage::default()
            })
            .unwrap();
    }
    store.seal().unwrap();
    assert_eq!(called(&store, "12025550100").len(), 3);
    assert_eq!(
        store.reader().kept().0,
        6,
        "of each hour a segment and its index"
    );
    let report = store.retain(at("2026-11-23T10:00:00Z")).unwrap();
    assert_eq!(report, RetentionReport::default(), "nothing is that old");
    assert_eq!(store.forgotten_before(), None);
    let report = store.retain(at("2026-11-24T13:59:59Z")).unwrap();
    let limit = at("2026-11-24T11:00:00Z");
    assert_eq!(
        (report.hours, report.segments, report.coverage_days),
        (2, 2, 1)
    );
    assert_eq!(report.forgotten_before, Some(limit));
    assert!(!dir.path().join("seg/2026-11-23").exists());
    assert!(dir.path().join("seg/2026-11-24/11").exists());
    assert_eq!(store.reader().kept().0, 2, "footers of the hour that stays");
    assert_eq!(uids(&called(&store, "12025550100")), [3]);
    // A clock that steps back does not bring back what was forgotten.
    store.retain(at("2026-11-24T01:00:00Z")).unwrap();
    assert_eq!(store.forgotten_before(), Some(limit));
    let mut old = begin(9);
    old.at = at(times[0]);
    store.append_begin(&old).unwrap();
    assert_eq!(store.counters().too_old, 1);
    assert_eq!(uids(&called(&store, "12025550100")), [3]);
    store.seal().unwrap();
    assert!(!dir.path().join("seg/2026-11-23").exists());
    drop(store);
    assert_eq!(open(dir.path()).forgotten_before(), Some(limit));
}

#[test]
fn a_second_writer_is_told_who_is_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let second = EmbeddedStore::open(dir.path(), settings(10)).err().unwrap();
    let us = format!("process {}", std::process::id());
    assert!(matches!(&second, StoreError::Locked { holder, .. } if *holder == us));
    assert!(second.to_string().contains(&us));
    drop(store);
    open(dir.path());
}

#[test]
fn a_reader_beside_a_live_writer_sees_what_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    store.append_begin(&begin(1)).unwrap();
    store.seal().unwrap();
    store.append_begin(&begin(2)).unwrap();
    store.commit().unwrap();
    store.append_begin(&begin(3)).unwrap();
    let (reader, _) = EmbeddedStore::open_read_only(dir.path()).unwrap();
    assert_eq!(uids(&called(&reader, "12025550100")), [1, 2]);
    assert_eq!(reader.last_uid(), 2);
    let nowhere = EmbeddedStore::open_read_only(&dir.path().join("none"));
    assert!(matches!(nowhere, Err(StoreError::Io { .. })));
}

#[test]
fn a_uid_is_taken_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    for uid in [7, 3, 9] {
        store.append_begin(&begin(uid)).unwrap();
        assert!(
            matches!(store.append_begin(&begin(uid)), Err(StoreError::UidTaken(u)) if u == uid)
        );
    }
    assert_eq!(store.last_uid(), 9);
    assert_eq!(store.counters().begins, 3);
}

#[test]
fn both_sides_may_go_to_other_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<EmbeddedStore>();
    shared::<StoreReader>();
}

/// Raises the flag in the end, also where the test fails: a thread that waits for it would wait for ever.
struct Raise<'a>(&'a AtomicBool);

impl Drop for Raise<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn look_ups_go_on_while_another_thread_writes_and_seals() {
    let dir = tempfile::tempdir().unwrap();
    let settings = StoreSettings {
        sealing: Sealing::Background,
        ..settings(500)
    };
    let mut store = EmbeddedStore::open(dir.path(), settings).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _done = Raise(&done);
        for _ in 0..2 {
            let (reader, done) = (store.reader(), &done);
            scope.spawn(move || {
                let mut seen = 0;
                while !done.load(Ordering::Relaxed) {
                    match reader.by_called(tn("12025550100"), ALWAYS.0, ALWAYS.1) {
                        Ok(calls) => {
                            let expected: Vec<u64> = (1..=calls.len() as u64).collect();
                            assert_eq!(uids(&calls), expected, "none missing, none twice");
                            assert!(calls.len() >= seen);
                            seen = calls.len();
                        }
                        Err(e) => assert!(matches!(e, StoreError::Restless), "{e}"),
                    }
                }
            });
        }
        for uid in 1..=6000 {
            store.append_begin(&begin(uid)).unwrap();
            if uid % 100 == 0 {
                store.commit().unwrap();
            }
        }
    });
    store.seal().unwrap();
    assert_eq!(called(&store, "12025550100").len(), 6000);
    assert!(store.counters().seals >= 11);
}

#[test]
fn a_scan_shows_every_record_once_in_order_of_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = EmbeddedStore::open(dir.path(), settings(50)).unwrap();
    // Called numbers fall while time rises, over three hours a week apart.
    for uid in 1..=300u64 {
        let week = Duration::from_secs(uid / 101 * 7 * 86_400 + uid * 20 % 3_000);
        let mut b = begin(uid);
        b.at = b.at.plus(week);
        b.numbers.called = Some(tn(&format!("1202555{:04}", 9_999 - uid)));
        store.append_begin(&b).unwrap();
        store.append_end(&end(&b)).unwrap();
    }
    store.commit().unwrap();
    let reader = store.reader();
    let mut seen = Vec::new();
    let (from, until) = (at("2026-11-24T13:00:00Z"), at("2026-12-31T00:00:00Z"));
    reader
        .scan(from, until, |call| {
            assert!(call.end.is_some());
            seen.push((call.begin.at, call.begin.uid));
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(seen.len(), 300);
    assert!(seen.is_sorted());
    let mut first = 0;
    reader
        .scan(from, from, |_| {
            first += 1;
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(first, seen.iter().filter(|(t, _)| *t == from).count());
}
