//! Holds as retention, late calls, crashes and damage meet them.

use super::*;
use crate::call::classify::campaign::{Campaign, CampaignState};
use crate::call::classify::finding::Example;
use crate::call::leg::{Pair, Pairing};
use crate::call::record::{Begin, Coverage, Direction};
use crate::store::embedded::tests::evidence::evidence;
use crate::store::embedded::tests::made::{begin, end, tn};
use crate::store::{Lookup, Store};

const DAY: Duration = Duration::from_secs(86_400);
const MINUTE: Duration = Duration::from_secs(60);

fn hold(from: Timestamp, until: Timestamp) -> Hold {
    Hold {
        case: "C-7/2026 é".to_owned(),
        called: Some("12025550100".to_owned()),
        calling: None,
        from,
        until,
        reason: Some("subpoena 26-17".to_owned()),
        who: "terminal:alice".to_owned(),
        at: until,
        filled: None,
    }
}

fn at() -> Timestamp {
    begin(1).at
}

fn settings() -> StoreSettings {
    StoreSettings {
        retention: DAY * 90,
        evidence_retention: DAY * 30,
        ..StoreSettings::default()
    }
}

/// Another leg with all numbers rewritten, one that shares the caller, a stranger, and what belongs to them.
fn put(store: &mut EmbeddedStore) {
    let mut first = begin(1);
    first.numbers.called = Some(tn("12025550170"));
    first.numbers.from = Some(tn("12025550171"));
    first.at = at().minus(Duration::from_millis(3));
    let mut held = begin(2);
    held.direction = Direction::Egress;
    held.pair = Some(Pair {
        uid: 1,
        at: first.at,
        how: Pairing::CallId,
    });
    let mut other = begin(3);
    other.numbers.called = Some(tn("12025550172"));
    other.pair = held.pair;
    let mut stranger = begin(4);
    stranger.numbers.called = Some(tn("12025550173"));
    for b in [&first, &held, &other, &stranger] {
        store.append_begin(b).unwrap();
    }
    store.append_end(&end(&held)).unwrap();
    for uid in [1, 2] {
        let mut e = evidence(uid);
        e.at = at();
        store.append_evidence(&e).unwrap();
    }
    store.append_coverage(&row(at())).unwrap();
    for (id, uid) in [("2-calling-number", 2), ("4-number-pattern", 4)] {
        store.append_campaign(&campaign(id, uid)).unwrap();
    }
    store.commit().unwrap();
    store.seal().unwrap();
}

fn row(from: Timestamp) -> Coverage {
    Coverage {
        sensor: "edge-1".into(),
        from,
        until: from.plus(MINUTE),
        packets: 7,
        ..Coverage::default()
    }
}

fn campaign(id: &str, uid: u64) -> Campaign {
    Campaign {
        id: id.into(),
        peer: None,
        key: crate::call::classify::campaign::Key::NumberPattern("1202555xxxx".into()),
        first: at(),
        last: at(),
        volume: 10,
        flags: Vec::new(),
        signers: Vec::new(),
        examples: vec![Example { uid, at: at() }],
        state: CampaignState::Closed,
    }
}

fn uids(reader: &StoreReader) -> Vec<(u64, bool)> {
    let mut all = Vec::new();
    let visit = |c: crate::call::record::StoredCall| {
        all.push((c.begin.uid, c.end.is_some()));
        std::ops::ControlFlow::Continue(())
    };
    reader.scan(Timestamp::MIN, Timestamp::MAX, visit).unwrap();
    all.sort_unstable();
    all
}

fn kept(root: &Path) -> StoreReader {
    let hold = find(root, "C-7/2026 é").unwrap().unwrap();
    open(root, &hold, &settings()).unwrap().unwrap()
}

#[test]
fn a_case_keeps_its_calls_legs_evidence_coverage_and_campaigns_beyond_retention() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let mut store = EmbeddedStore::open(root, settings()).unwrap();
    put(&mut store);
    let window = (at().minus(MINUTE), at().plus(MINUTE));
    // Beside the writer.
    let laid = lay(
        root,
        &settings(),
        hold(window.0, window.1),
        at().plus(DAY * 2),
    )
    .unwrap();
    let filled = laid.filled.clone().unwrap();
    assert_eq!((filled.records, filled.legs, filled.evidence), (3, 2, 2));
    assert_eq!((filled.coverage, filled.campaigns), (1, 1));
    assert!(filled.complete);
    assert_eq!(list(root).unwrap(), [laid]);

    let report = store.retain(at().plus(DAY * 91)).unwrap();
    assert_eq!((report.held_up, report.evidence_days), (None, 1));
    assert_eq!(uids(&store.reader()), []);
    let reader = kept(root);
    assert_eq!(uids(&reader), [(1, false), (2, true), (3, false)]);
    let found = reader.by_called(tn("12025550100"), at(), at()).unwrap();
    assert_eq!(found.len(), 1);
    for uid in [1, 2] {
        let stored = reader.evidence(uid).unwrap().unwrap();
        assert_eq!(stored.evidence, evidence(uid).evidence);
    }
    assert_eq!(reader.coverage(at(), at()).unwrap(), [row(at())]);
    let all = reader.campaigns(at(), at()).unwrap();
    assert_eq!(all, [campaign("2-calling-number", 2)]);

    assert!(release(root, "C-7/2026 é").unwrap());
    assert!(!release(root, "C-7/2026 é").unwrap());
    assert_eq!(list(root).unwrap(), []);
    let left: Vec<_> = fs::read_dir(layout::holds(root)).unwrap().collect();
    assert_eq!(left.len(), 1, "the lock alone");
}

#[test]
fn calls_that_came_after_the_hold_was_laid_are_in_it_before_anything_is_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let mut store = EmbeddedStore::open(root, settings()).unwrap();
    put(&mut store);
    let window = (at().minus(MINUTE), at().plus(MINUTE * 60));
    let laid = lay(
        root,
        &settings(),
        hold(window.0, window.1),
        at().plus(MINUTE),
    )
    .unwrap();
    assert!(!laid.filled.unwrap().complete);
    store.seal().unwrap();
    // The end of a call, another call, and a row of the ledger, later.
    let mut third = begin(3);
    third.numbers.called = Some(tn("12025550172"));
    store.append_end(&end(&third)).unwrap();
    let late = Begin {
        uid: 9,
        at: at().plus(MINUTE * 30),
        ..begin(9)
    };
    store.append_begin(&late).unwrap();
    store.append_coverage(&row(at().plus(MINUTE * 30))).unwrap();
    store.commit().unwrap();
    // Far from retention nothing is done.
    store.retain(at().plus(DAY * 10)).unwrap();
    assert_eq!(uids(&kept(root)).len(), 3);
    store.retain(at().plus(DAY * 31)).unwrap();
    let filled = find(root, "C-7/2026 é").unwrap().unwrap().filled.unwrap();
    assert!(filled.complete);
    assert_eq!(
        (
            filled.number,
            filled.records,
            filled.evidence,
            filled.coverage
        ),
        (2, 4, 2, 2)
    );
    store.retain(at().plus(DAY * 91)).unwrap();
    assert_eq!(
        uids(&kept(root)),
        [(1, false), (2, true), (3, true), (9, false)]
    );
    let folders = fs::read_dir(folder(root, "C-7/2026 é")).unwrap().count();
    assert_eq!(folders, 2, "the statement and one filling");
}

#[test]
fn what_an_earlier_filling_had_stays_when_the_store_has_lost_it() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let mut store = EmbeddedStore::open(root, settings()).unwrap();
    put(&mut store);
    let window = (at().minus(MINUTE), at().plus(DAY * 20));
    let laid = lay(
        root,
        &settings(),
        hold(window.0, window.1),
        at().plus(MINUTE),
    )
    .unwrap();
    let short = StoreSettings {
        retention: DAY,
        ..settings()
    };
    drop(store);
    let mut store = EmbeddedStore::open(root, short).unwrap();
    store.retain(at().plus(DAY * 3)).unwrap();
    assert_eq!(uids(&store.reader()), []);
    let again = find(root, &laid.case).unwrap().unwrap().filled.unwrap();
    assert!(!again.complete && again.number == 2);
    assert_eq!(
        again.forgotten_before, None,
        "nothing of it was ever missing"
    );
    // Once more, from the filling before alone.
    store.retain(at().plus(DAY * 4)).unwrap();
    let reader = kept(root);
    assert_eq!(uids(&reader), [(1, false), (2, true), (3, false)]);
    assert!(reader.evidence(2).unwrap().is_some());
    assert_eq!(reader.coverage(at(), at()).unwrap().len(), 1);
    assert_eq!(reader.campaigns(at(), at()).unwrap().len(), 1);
}

#[test]
fn a_hold_that_cannot_be_read_holds_up_retention_and_says_which() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let mut store = EmbeddedStore::open(root, settings()).unwrap();
    put(&mut store);
    lay(root, &settings(), hold(at(), at()), at().plus(DAY * 2)).unwrap();
    let file = folder(root, "C-7/2026 é").join("hold");
    let whole = fs::read(&file).unwrap();
    let mut bad = whole.clone();
    bad[20] ^= 1;
    fs::write(&file, bad).unwrap();
    let report = store.retain(at().plus(DAY * 91)).unwrap();
    let why = report.held_up.unwrap();
    assert!(why.contains("C-7%2F2026%20%C3%A9/hold"), "{why}");
    assert_eq!((report.hours, report.evidence_days), (0, 0));
    assert_eq!(uids(&store.reader()).len(), 4);
    fs::write(&file, whole).unwrap();
    let report = store.retain(at().plus(DAY * 91)).unwrap();
    assert_eq!((report.held_up, report.hours), (None, 2));
}

#[test]
fn a_case_has_one_hold_and_no_more_than_a_case_is_held() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let mut store = EmbeddedStore::open(root, settings()).unwrap();
    put(&mut store);
    lay(root, &settings(), hold(at(), at()), at()).unwrap();
    let twice = lay(root, &settings(), hold(at(), at()), at()).unwrap_err();
    assert!(twice.to_string().contains("has a hold already"), "{twice}");
    let mut other = hold(at(), at());
    other.case = "..".to_owned();
    assert!(folder(root, "..").ends_with("%2E."));
    let (reader, _) = EmbeddedStore::open_reader(root, &settings()).unwrap();
    layout::create_dirs(&folder(root, "..")).unwrap();
    let many = fill::fill(root, &settings(), other, &reader, at(), 2).unwrap_err();
    assert!(many.to_string().contains("more than 2 records"), "{many}");
}

#[test]
fn of_a_window_that_is_gone_already_the_hold_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let mut store = EmbeddedStore::open(root, settings()).unwrap();
    put(&mut store);
    store.retain(at().plus(DAY * 91)).unwrap();
    let laid = lay(root, &settings(), hold(at(), at()), at().plus(DAY * 91)).unwrap();
    let filled = laid.filled.unwrap();
    assert_eq!(filled.records, 0);
    assert!(filled.forgotten_before.is_some_and(|f| f > at()));
}

#[test]
fn a_hold_of_an_encrypted_store_has_keys_of_its_own_and_forbids_erasing() {
    let dir = tempfile::tempdir().unwrap();
    let key = |name: &str| {
        let path = dir.path().join(name);
        crate::store::embedded::make_key_file(&path).unwrap();
        crate::store::embedded::KeySource::File(path)
    };
    let (old, new) = (key("old"), key("new"));
    let with = |key: &crate::store::embedded::KeySource| StoreSettings {
        encryption: Some(key.clone()),
        ..settings()
    };
    let root = &dir.path().join("store");
    let mut store = EmbeddedStore::open(root, with(&old)).unwrap();
    put(&mut store);
    let laid = lay(root, &with(&old), hold(at(), at()), at().plus(DAY * 2)).unwrap();
    let erased = store.erase(&[at()]).unwrap_err();
    assert!(erased.to_string().contains("release it first"), "{erased}");
    store.retain(at().plus(DAY * 91)).unwrap();
    drop(store);
    assert!(
        open(root, &laid, &settings()).is_err(),
        "not without the key"
    );
    crate::store::embedded::rotate_keys(root, &old, &new).unwrap();
    let reader = open(root, &laid, &with(&new)).unwrap().unwrap();
    assert_eq!(uids(&reader), [(1, false), (2, true), (3, false)]);
    assert!(reader.evidence(2).unwrap().is_some());
    assert!(open(root, &laid, &with(&old)).is_err());
    // Nothing of it lies about in the open.
    let mut folders = vec![layout::holds(root)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().unwrap() != "hold" {
                let octets = fs::read(&path).unwrap();
                let open = |w: &[u8]| memchr::memmem::find(&octets, w).is_some();
                assert!(
                    !open(b"2025550100") && !open(b"INVITE"),
                    "{}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn evidence_that_makes_room_is_held_before_it_goes() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let mut store = EmbeddedStore::open(root, settings()).unwrap();
    put(&mut store);
    let window = (at().minus(MINUTE), at().plus(MINUTE));
    lay(root, &settings(), hold(window.0, window.1), at()).unwrap();
    let mut e = evidence(3);
    e.at = at();
    store.append_evidence(&e).unwrap();
    let mut later = evidence(90);
    later.at = at().plus(DAY * 3);
    store.append_evidence(&later).unwrap();
    store.guard(crate::store::embedded::MinFree::Octets(100), || 150);
    store.commit().unwrap();
    assert_eq!(
        store.counters().evidence_days_freed,
        0,
        "nobody has said what time it is"
    );
    store.retain(at().plus(DAY * 2)).unwrap();
    store.commit().unwrap();
    assert_eq!(store.counters().evidence_days_freed, 1);
    assert!(store.reader().evidence(3).unwrap().is_none());
    let reader = kept(root);
    assert!((1..=3).all(|uid| reader.evidence(uid).unwrap().is_some()));
}
