//! Merging changes no answer, wherever it is cut short.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use proptest::collection::vec;

use super::*;

/// Merges whatever can be, in small pieces.
fn merging(gather: usize, most_rows: usize, group_rows: usize) -> StoreSettings {
    StoreSettings {
        compaction: CompactionSettings {
            gather,
            most_rows,
            group_rows,
            closed_after: Duration::ZERO,
            settled_after: Duration::ZERO,
            ..CompactionSettings::default()
        },
        ..settings(1_000_000)
    }
}

/// All hours that tests have are long over.
const LATER: Timestamp = Timestamp::MAX;

fn scanned(reader: &StoreReader) -> Vec<StoredCall> {
    let mut all = Vec::new();
    let scan = reader.scan(ALWAYS.0, ALWAYS.1, |call| {
        all.push(call);
        ControlFlow::Continue(())
    });
    scan.unwrap();
    all
}

impl Model {
    fn check_all(&self, reader: &StoreReader) {
        self.check(reader, ALWAYS.0, ALWAYS.1);
        assert_eq!(scanned(reader), self.answer(ALWAYS.0, ALWAYS.1, |_| true));
    }
}

/// What lies in the hour folders, and what their manifests list.
fn there_and_listed(root: &Path) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut there, mut listed) = (BTreeSet::new(), BTreeSet::new());
    for (day, name) in layout::list(&layout::segments(root)).unwrap() {
        let day_number = layout::day_from(&name.unwrap()).unwrap();
        for (dir, name) in layout::list(&day).unwrap() {
            let hour = day_number * layout::DAY + name.unwrap().parse::<i64>().unwrap();
            let names = layout::list(&dir).unwrap();
            there.extend(
                names
                    .into_iter()
                    .filter_map(|(_, n)| n)
                    .filter(|n| n != "manifest"),
            );
            let files = super::super::manifest::read(root, hour).unwrap().unwrap();
            listed.extend(super::super::manifest::names(&files));
        }
    }
    (there, listed)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Any records, ends before, with and after them, seals, merges and reopening at any moment: the answers are those of a model.
    #[test]
    fn merging_changes_no_answer(
        records in begins(1..60),
        finals in ends(0..120),
        acts in vec(0_u8..12, 60),
        gather in 2_usize..5,
        sizes in prop::sample::select(vec![(5, 3), (20, 7), (40, 16), (1_000, 500)]),
        window in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let settings = merging(gather, sizes.0, sizes.1);
        let mut store = EmbeddedStore::open(dir.path(), settings.clone()).unwrap();
        let mut model = Model::default();
        let mut finals = finals.into_iter();
        for (b, act) in records.iter().zip(acts) {
            for (i, (which, mut e)) in finals.by_ref().take(2).enumerate() {
                // Of any record so far, and of the one that is just coming.
                let of = match model.begins.is_empty() || i == 1 && act % 2 == 0 {
                    true => b,
                    false => *which.get(&model.begins.values().collect::<Vec<_>>()),
                };
                e.uid = of.uid;
                e.begun_at = of.at;
                e.called = of.numbers.called;
                store.append_end(&e).unwrap();
                model.ends.insert(e.uid, e);
            }
            if act == 11 {
                // Its first end is sealed before it comes.
                store.seal().unwrap();
            }
            store.append_begin(b).unwrap();
            model.begins.insert(b.uid, b.clone());
            match act {
                0..=4 => store.seal().unwrap(),
                5 | 6 => store.compact(LATER).unwrap(),
                7 => {
                    store.commit().unwrap();
                    drop(store);
                    store = EmbeddedStore::open(dir.path(), settings.clone()).unwrap();
                }
                _ => {}
            }
        }
        store.seal().unwrap();
        let (beside, _) = EmbeddedStore::open_read_only(dir.path()).unwrap();
        store.compact(LATER).unwrap();
        model.check_all(&store.reader());
        model.check_all(&beside);
        let (from, until) = (window.0.get(&records).at, window.1.get(&records).at);
        model.check(&store, from.min(until), from.max(until));
        let (there, listed) = there_and_listed(dir.path());
        prop_assert_eq!(there, listed);
        prop_assert_eq!(store.reader().held().sealed, records.len() as u64);
        store.close().unwrap();
        let store = open(dir.path());
        prop_assert_eq!(store.open_report(), &OpenReport::default());
        prop_assert_eq!(store.last_uid(), records.iter().map(|b| b.uid).max().unwrap());
        model.check_all(&store.reader());
        // All records of an hour fit one file, and all ends are in their rows.
        if sizes.0 == 1_000 {
            for files in store.reader().shared.state().hours.values() {
                prop_assert_eq!((files.segments.len(), files.ends.len()), (1, 0));
            }
        }
    }
}

/// Three segments of an hour and one of the next, with ends in them, after them, and for a record that has not come.
fn busy_hour(dir: &Path) -> Model {
    let mut store = EmbeddedStore::open(dir, merging(2, 1_000, 4)).unwrap();
    let mut model = Model::default();
    for uid in 1..=24_u64 {
        let mut b = full_begin(uid);
        b.at = b.at.plus(Duration::from_secs(uid * 260));
        b.numbers.called = Some(tn(&format!("1202555010{}", uid % 4)));
        store.append_begin(&b).unwrap();
        model.begins.insert(uid, b);
        if uid % 3 == 0 {
            let mut e = end(&model.begins[&(uid / 2 + 1)]);
            e.code = 400 + uid as u16;
            store.append_end(&e).unwrap();
            model.ends.insert(e.uid, e);
        }
        if uid % 7 == 0 {
            store.seal().unwrap();
        }
    }
    let mut stray = end(&model.begins[&24]);
    stray.uid = 99;
    store.append_end(&stray).unwrap();
    store.close().unwrap();
    model
}

#[test]
fn a_merge_that_stops_anywhere_neither_loses_nor_doubles() {
    let dir = tempfile::tempdir().unwrap();
    let model = busy_hour(&dir.path().join("before"));
    let mut stops = 0;
    for after in 0.. {
        let root = dir.path().join(after.to_string());
        copy(&dir.path().join("before"), &root);
        let mut store = EmbeddedStore::open(&root, merging(2, 1_000, 4)).unwrap();
        layout::stop::AFTER.set(Some(after));
        let done = store.compact(LATER);
        let left = layout::stop::AFTER.take().unwrap();
        // What was open goes on as it can.
        model.check_all(&store.reader());
        drop(store);
        let (beside, _) = EmbeddedStore::open_read_only(&root).unwrap();
        model.check_all(&beside);
        let mut store = EmbeddedStore::open(&root, merging(2, 1_000, 4)).unwrap();
        assert_eq!(store.open_report().missing_files, 0);
        model.check_all(&store.reader());
        model.check_all(&beside);
        store.compact(LATER).unwrap();
        model.check_all(&store.reader());
        model.check_all(&beside);
        store.close().unwrap();
        open(&root);
        let (there, listed) = there_and_listed(&root);
        assert_eq!(there, listed);
        assert_eq!(
            there.iter().filter(|n| n.starts_with("h-")).count(),
            4,
            "two hours: {there:?}"
        );
        assert_eq!(
            there.iter().filter(|n| n.starts_with("e-")).count(),
            1,
            "the stray: {there:?}"
        );
        std::fs::remove_dir_all(&root).unwrap();
        if left > 0 {
            done.unwrap();
            break;
        }
        stops += 1;
    }
    assert!(stops > 25, "{stops}");
}

#[test]
fn pages_and_row_groups_of_a_merged_segment_are_searched_as_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = EmbeddedStore::open(dir.path(), merging(2, 100_000, 4_000)).unwrap();
    let mut model = Model::default();
    for uid in 1..=9_000_u64 {
        let mut b = begin(uid);
        b.at = b.at.plus(Duration::from_millis(uid * 10));
        let called = ["12025550150", "12025550100", "12025550099"][(uid % 3) as usize];
        b.numbers.called = Some(tn(called));
        if uid % 1_000 == 7 {
            b.numbers.to = Some(tn("12025550111"));
        }
        store.append_begin(&b).unwrap();
        let mut e = end(&b);
        e.code = (uid % 600) as u16;
        if uid % 2 == 0 {
            store.append_end(&e).unwrap();
            model.ends.insert(uid, e);
        }
        model.begins.insert(uid, b);
        if uid % 2_000 == 0 {
            store.seal().unwrap();
        }
    }
    store.seal().unwrap();
    for uid in (1..=9_000_u64).step_by(2) {
        let mut e = end(&model.begins[&uid]);
        e.code = (uid % 600) as u16;
        store.append_end(&e).unwrap();
        model.ends.insert(uid, e);
    }
    store.seal().unwrap();
    store.compact(LATER).unwrap();
    let counters = store.counters().compaction;
    assert_eq!(
        (
            counters.merges,
            counters.files,
            counters.rows,
            counters.folded
        ),
        (1, 6, 9_000, 4_500)
    );
    assert!(counters.read > 0 && counters.written > 0 && counters.failures == 0);
    {
        let reader = store.reader();
        let state = reader.shared.state();
        let files = state.hours.values().next().unwrap();
        let segment = files.segments[0];
        assert!(segment.merged && files.ends.is_empty());
        let path = segment.parquet(dir.path());
        let file =
            table::Reader::open(&path, &[], Some(segment.sum), &reader.shared.vault).unwrap();
        assert_eq!(file.groups(), 3);
        assert_eq!(file.about("merged"), Some("1 2 3 4 5"));
        assert_eq!(file.about("log"), Some("6"));
        assert_eq!(file.about("last_uid"), Some("9000"));
    }
    let start = begin(1).at;
    let (from, until) = (
        start.plus(Duration::from_millis(40_000)),
        start.plus(Duration::from_millis(40_290)),
    );
    model.check(&store, from, until);
    for number in ["12025550099", "12025550100", "12025550150", "12025550111"] {
        let some = Some(tn(number));
        let expected = model.answer(ALWAYS.0, ALWAYS.1, |b| {
            b.numbers.called == some || b.numbers.to == some
        });
        assert_eq!(called(&store, number), expected);
    }
    assert_eq!(
        scanned(&store.reader()),
        model.answer(ALWAYS.0, ALWAYS.1, |_| true)
    );
}

/// Eight hours of an old capture, as fast as they come, by a clock that moves half a minute meanwhile.
#[test]
fn a_capture_replayed_is_merged_hour_by_hour_and_each_row_written_a_few_times() {
    const ROWS: u64 = 1_600;
    let dir = tempfile::tempdir().unwrap();
    let settings = StoreSettings {
        segment_records: 20,
        compaction: CompactionSettings {
            gather: 4,
            most_rows: 200,
            group_rows: 50,
            ..CompactionSettings::default()
        },
        ..merging(4, 200, 50)
    };
    let mut store = EmbeddedStore::open(dir.path(), settings).unwrap();
    let mut now = at("2026-11-26T08:00:00Z");
    let mut model = Model::default();
    for uid in 1..=ROWS {
        let mut b = begin(uid);
        b.at = b.at.plus(Duration::from_secs(uid * 18));
        store.append_begin(&b).unwrap();
        model.begins.insert(uid, b);
        if uid > 30 {
            let e = end(&model.begins[&(uid - 30)]);
            store.append_end(&e).unwrap();
            model.ends.insert(e.uid, e);
        }
        if uid % 50 == 0 {
            now = now.plus(Duration::from_secs(1));
            store.tend(now).unwrap();
        }
    }
    store.seal().unwrap();
    store.tend(now).unwrap();
    for minutes in [5, 11, 300] {
        store
            .tend(now.plus(Duration::from_secs(minutes * 60)))
            .unwrap();
    }
    for files in store.reader().shared.state().hours.values() {
        let unmerged = files.segments.iter().filter(|s| !s.merged).count();
        let shape = (files.segments.len(), unmerged, files.ends.len());
        // A full one and a small one that has nobody to be merged with.
        assert!(shape.0 <= 2 && shape.1 <= 1 && shape.2 <= 1, "{shape:?}");
    }
    let counters = store.counters().compaction;
    assert!(
        counters.rows >= ROWS && counters.rows <= 3 * ROWS,
        "{counters:?}"
    );
    let pending = model.ends.len() as u64 - store.counters().compaction.folded;
    assert!(pending < ROWS, "{counters:?}");
    model.check_all(&store.reader());
}

#[test]
fn an_hour_that_goes_on_is_left_alone_until_enough_has_gathered() {
    let dir = tempfile::tempdir().unwrap();
    let settings = StoreSettings {
        compaction: CompactionSettings {
            gather: 3,
            ..CompactionSettings::default()
        },
        ..merging(3, 1_000, 100)
    };
    let mut store = EmbeddedStore::open(dir.path(), settings).unwrap();
    let merges = |store: &mut EmbeddedStore, time: &str| {
        store.tend(at(time)).unwrap();
        store.counters().compaction.merges
    };
    for uid in 1..=2 {
        store.append_begin(&begin(uid)).unwrap();
        store.seal().unwrap();
    }
    assert_eq!(merges(&mut store, "2026-11-24T13:30:00Z"), 0);
    store.append_begin(&begin(3)).unwrap();
    store.seal().unwrap();
    assert_eq!(
        merges(&mut store, "2026-11-24T13:30:01Z"),
        1,
        "three have gathered"
    );
    store.append_begin(&begin(4)).unwrap();
    store.append_end(&end(&begin(1))).unwrap();
    store.seal().unwrap();
    assert_eq!(
        merges(&mut store, "2026-11-24T14:09:59Z"),
        1,
        "not ten minutes over"
    );
    assert_eq!(merges(&mut store, "2026-11-24T14:10:00Z"), 2);
    store.append_end(&end(&begin(2))).unwrap();
    store.seal().unwrap();
    assert_eq!(merges(&mut store, "2026-11-24T17:59:59Z"), 2);
    assert_eq!(
        merges(&mut store, "2026-11-24T18:00:00Z"),
        3,
        "the late end is folded"
    );
    assert_eq!(merges(&mut store, "2026-11-25T18:00:00Z"), 3);
    assert_eq!(store.counters().compaction.folded, 2);
    // Ends that trickle in for ever are kept in few files.
    for round in 0..20 {
        let mut e = end(&begin(1));
        e.uid = 1_000 + round;
        store.append_end(&e).unwrap();
        store.seal().unwrap();
        store.tend(at("2026-11-25T19:00:00Z")).unwrap();
        let reader = store.reader();
        let state = reader.shared.state();
        assert!(state.hours.values().all(|f| f.ends.len() <= 4));
    }
}

#[test]
fn a_damaged_segment_stays_as_it_is_and_the_other_hours_are_merged() {
    let dir = tempfile::tempdir().unwrap();
    let model = busy_hour(dir.path());
    let now = at("2026-11-25T13:00:00Z");
    let hour = layout::hour_dir(
        dir.path(),
        layout::hour_of(at("2026-11-24T13:00:00Z").nanos()),
    );
    let files = layout::list(&hour).unwrap();
    let (path, _) = files
        .iter()
        .find(|(p, _)| p.extension().is_some_and(|e| e == "parquet"))
        .unwrap();
    let mut octets = std::fs::read(path).unwrap();
    octets[40] ^= 1;
    std::fs::write(path, &octets).unwrap();
    let mut store = EmbeddedStore::open(dir.path(), merging(2, 1_000, 4)).unwrap();
    let e = store.compact(now).unwrap_err();
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(e.to_string().contains(name), "{e}");
    assert!(store.compaction_trouble().unwrap().contains(name));
    let counters = store.counters().compaction;
    assert_eq!((counters.failures, counters.merges), (1, 1));
    assert_eq!(
        layout::list(&hour).unwrap(),
        files,
        "nothing is left behind and nothing is gone"
    );
    let next = at("2026-11-24T14:00:00Z");
    model.check(&store, next, ALWAYS.1);
    octets[40] ^= 1;
    std::fs::write(path, &octets).unwrap();
    store.compact(now).unwrap();
    assert_eq!(store.counters().compaction.merges, 1, "not at once");
    drop(store);
    let mut store = EmbeddedStore::open(dir.path(), merging(2, 1_000, 4)).unwrap();
    store.compact(now).unwrap();
    assert_eq!(store.compaction_trouble(), None);
    model.check_all(&store.reader());
}

#[test]
fn nothing_is_merged_that_is_not_forwarded_or_has_no_room() {
    let dir = tempfile::tempdir().unwrap();
    busy_hour(dir.path());
    let settings = StoreSettings {
        forwarded: Forwarded::nothing(),
        ..merging(2, 1_000, 4)
    };
    let mut store = EmbeddedStore::open(dir.path(), settings).unwrap();
    store.compact(LATER).unwrap();
    assert_eq!(store.counters().compaction.merges, 0);
    store.settings.forwarded.note(2);
    store.guard_room(Arc::new(|octets| octets < 1_000));
    store.compact(LATER).unwrap();
    let counters = store.counters().compaction;
    assert_eq!((counters.merges, counters.no_room), (0, 1));
    drop(store);
    let settings = StoreSettings {
        forwarded: Forwarded::nothing(),
        ..merging(2, 1_000, 4)
    };
    let mut store = EmbeddedStore::open(dir.path(), settings).unwrap();
    store.settings.forwarded.note(2);
    store.compact(LATER).unwrap();
    assert_eq!(
        store.counters().compaction.files,
        3,
        "two segments and the ends of the second log"
    );
}

#[test]
fn retention_and_closing_end_a_merge_that_is_under_way() {
    let dir = tempfile::tempdir().unwrap();
    let model = busy_hour(dir.path());
    let slow = |octets_per_second| {
        let mut settings = merging(2, 1_000, 4);
        settings.compaction.octets_per_second = octets_per_second;
        StoreSettings {
            sealing: Sealing::Background,
            ..settings
        }
    };
    let mut store = EmbeddedStore::open(dir.path(), slow(2_000)).unwrap();
    store.tend(LATER).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(
        store.counters().compaction.merges,
        0,
        "it would take a minute"
    );
    drop(store);
    let mut store = EmbeddedStore::open(dir.path(), slow(2_000)).unwrap();
    model.check_all(&store.reader());
    store.tend(LATER).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    store.retain(at("2026-11-24T23:00:00Z")).unwrap();
    drop(store);
    let mut store = EmbeddedStore::open(dir.path(), slow(1 << 40)).unwrap();
    assert_eq!(called(&store, "12025550100"), []);
    assert_eq!(layout::list(&layout::segments(dir.path())).unwrap(), []);
    assert_eq!(store.open_report().void_files, 0);
    // And at full speed, it does its work beside the store.
    for uid in 201..=203 {
        let mut b = begin(uid);
        b.at = at("2026-11-24T22:00:00Z");
        store.append_begin(&b).unwrap();
        store.seal().unwrap();
    }
    let begin = std::time::Instant::now();
    while store.counters().compaction.merges == 0 {
        store.tend(LATER).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        assert!(begin.elapsed() < Duration::from_secs(60));
    }
    assert_eq!(uids(&called(&store, "12025550100")), [201, 202, 203]);
}

#[test]
fn an_input_with_a_column_of_a_later_version_is_refused() {
    use crate::store::embedded::segment::{BeginCells, EndCells};
    use crate::store::embedded::table::Writer;
    let dir = tempfile::tempdir().unwrap();
    let later = dir.path().join("later.parquet");
    let mut spec = EndCells::SPECS[1];
    spec.name = "mood";
    let writer = Writer::create(
        &later,
        &[BeginCells::SPECS, EndCells::SPECS, &[spec]],
        &Default::default(),
        None,
    )
    .unwrap();
    let sum = writer.finish(&[]).unwrap().sum;
    let file = table::Reader::open(&later, &[], Some(sum), &Default::default()).unwrap();
    let e = super::super::compact::refuse_unknown(&file).unwrap_err();
    assert!(e.to_string().contains("mood"), "{e}");
}

#[test]
fn stores_of_earlier_versions_are_merged() {
    for name in [
        "store-before-chain",
        "store-before-attribution",
        "store-before-manifest",
    ] {
        let dir = older::fixture(name);
        let mut store = EmbeddedStore::open(dir.path(), merging(2, 1_000, 16)).unwrap();
        store.seal().unwrap();
        let before = scanned(&store.reader());
        assert!(!before.is_empty());
        store.compact(LATER).unwrap();
        assert!(
            store.counters().compaction.merges > 0 || name == "store-before-chain",
            "{name}"
        );
        assert_eq!(scanned(&store.reader()), before, "{name}");
        let mut model = Model::default();
        for call in before {
            model.ends.extend(call.end.map(|e| (e.uid, e)));
            model.begins.insert(call.begin.uid, call.begin);
        }
        model.check_all(&store.reader());
        drop(store);
        let store = open(dir.path());
        assert_eq!(store.open_report(), &OpenReport::default());
        model.check_all(&store.reader());
    }
}
