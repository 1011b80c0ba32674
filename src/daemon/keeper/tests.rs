//! A keeper over a real folder, and a disk that refuses.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::store::embedded::MinFree;
use crate::store::embedded::tests::evidence::evidence;
use crate::store::embedded::tests::made::{begin, end, tn};

fn keeper(folder: &Path) -> (Keeper, Arc<Mutex<Vec<LostRecord>>>) {
    let path = folder.join("store");
    let mut keeper = Keeper::open(path, StoreSettings::default(), crate::host::clock::now).unwrap();
    let lost = Arc::<Mutex<Vec<LostRecord>>>::default();
    let told = lost.clone();
    keeper.tell_lost(move |record| told.lock().unwrap().push(record));
    (keeper, lost)
}

/// As when the disk is full.
fn refuse(keeper: &mut Keeper) {
    keeper.fail(&StoreError::LogFailed {
        path: keeper.path.clone(),
        why: "No space left on device".to_owned(),
    });
    keeper.next_try = Instant::now() + Duration::from_secs(3_600);
}

fn uids(keeper: &Keeper) -> Vec<u64> {
    let all = keeper.by_called(tn("12025550100"), Timestamp::MIN, Timestamp::MAX);
    let mut uids: Vec<u64> = all.unwrap().iter().map(|c| c.begin.uid).collect();
    uids.sort_unstable();
    uids
}

#[test]
fn what_finds_no_room_while_the_store_takes_nothing_is_told_and_the_rest_is_written_once() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, lost) = keeper(dir.path());
    keeper.room = (5, 2);
    for uid in 1..=3 {
        keeper.append_begin(&begin(uid)).unwrap();
    }
    keeper.commit().unwrap();
    // Taken in and perhaps in the log, but nobody has said that it is durable.
    keeper.append_begin(&begin(4)).unwrap();
    refuse(&mut keeper);
    for uid in 5..=10 {
        keeper.append_begin(&begin(uid)).unwrap();
        keeper.commit().unwrap();
    }
    let health = keeper.health().load_full();
    assert_eq!((health.held, health.lost), (5, 2));
    assert!(health.trouble.is_some());
    let told: Vec<_> = lost.lock().unwrap().clone();
    let one = begin(9);
    let (sensor, at) = (one.sensor, one.at);
    assert_eq!(told, vec![LostRecord { sensor, at }; 2]);
    keeper.next_try = Instant::now();
    keeper.commit().unwrap();
    keeper.append_begin(&begin(11)).unwrap();
    keeper.commit().unwrap();
    let health = keeper.health().load_full();
    assert_eq!((health.held, health.lost), (0, 2));
    assert_eq!(health.trouble, None);
    assert_eq!(uids(&keeper), [1, 2, 3, 4, 5, 6, 7, 8, 11]);
    assert_eq!(keeper.close(), 0);
}

/// The running minute is told every two seconds: days without a store must not cost a place for each time.
/// A keeper whose disk has as many MiB free as the test says, of which 10 must stay so.
fn guarded(folder: &Path) -> (Keeper, Arc<Mutex<Vec<LostRecord>>>, Arc<AtomicU64>) {
    let (mut keeper, lost) = keeper(folder);
    let free = Arc::new(AtomicU64::new(1_000));
    let told = free.clone();
    let store = keeper.store.as_mut().unwrap();
    store.guard(MinFree::Octets(10 << 20), move || {
        told.load(Ordering::Relaxed) << 20
    });
    (keeper, lost, free)
}

#[test]
fn what_a_disk_without_room_does_not_take_waits_in_order_and_is_written_once() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, lost, free) = guarded(dir.path());
    keeper.room = (6, 2);
    keeper.append_begin(&begin(1)).unwrap();
    free.store(9, Ordering::Relaxed);
    keeper.commit().unwrap();
    let reader = keeper.reader();
    for uid in 2..=4 {
        keeper.append_begin(&begin(uid)).unwrap();
        keeper.append_end(&end(&begin(uid))).unwrap();
    }
    keeper.append_evidence(&evidence(4)).unwrap();
    keeper.append_begin(&begin(5)).unwrap();
    keeper.append_end(&end(&begin(5))).unwrap();
    keeper.commit().unwrap();
    let health = keeper.health().load_full();
    assert!(health.trouble.as_ref().unwrap().contains("9 MiB are free"));
    assert_eq!(
        (
            health.held,
            health.lost,
            health.lost_ends,
            health.lost_evidence
        ),
        (6, 1, 1, 1)
    );
    assert_eq!(lost.lock().unwrap().len(), 1);
    assert!(reader.load().is_some(), "it is read still");
    assert_eq!(uids(&keeper), [1]);
    let row = Coverage {
        sensor: "edge-1".into(),
        from: begin(1).at,
        until: begin(1).at.plus(Duration::from_secs(60)),
        lost_records: 1,
        ..Coverage::default()
    };
    keeper.append_coverage(&row).unwrap();
    keeper.commit().unwrap();
    let at = begin(1).at;
    assert_eq!(keeper.coverage(at, at).unwrap()[0].lost_records, 1);
    free.store(1_000, Ordering::Relaxed);
    keeper.commit().unwrap();
    keeper.append_begin(&begin(6)).unwrap();
    keeper.commit().unwrap();
    let health = keeper.health().load_full();
    assert_eq!(
        (health.trouble.as_ref(), health.held, health.lost),
        (None, 0, 1)
    );
    let all = keeper
        .by_called(tn("12025550100"), Timestamp::MIN, Timestamp::MAX)
        .unwrap();
    let ended: Vec<_> = all.iter().map(|c| (c.begin.uid, c.end.is_some())).collect();
    assert_eq!(
        ended,
        [(1, false), (2, true), (3, true), (4, true), (6, false)]
    );
}

#[test]
fn a_store_opened_anew_without_room_writes_later_what_it_lacks_and_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, _, _) = guarded(dir.path());
    keeper.append_begin(&begin(1)).unwrap();
    // In the log, though nobody has said that it is durable.
    keeper.store.as_mut().unwrap().commit().unwrap();
    keeper.append_end(&end(&begin(1))).unwrap();
    keeper.append_begin(&begin(2)).unwrap();
    refuse(&mut keeper);
    keeper.append_begin(&begin(3)).unwrap();
    // More than any disk has.
    keeper.settings.min_free = MinFree::Octets(u64::MAX / 4);
    keeper.next_try = Instant::now();
    keeper.commit().unwrap();
    assert!(keeper.reader().load().is_some());
    assert!(
        keeper
            .health
            .trouble
            .as_ref()
            .unwrap()
            .contains("min_free_mb")
    );
    keeper.append_begin(&begin(4)).unwrap();
    keeper.store.as_mut().unwrap().seal().unwrap();
    let store = keeper.store.as_mut().unwrap();
    store.guard(MinFree::Octets(1), || 1 << 40);
    keeper.commit().unwrap();
    keeper.commit().unwrap();
    assert_eq!(uids(&keeper), [1, 2, 3, 4]);
    assert_eq!(keeper.health.trouble, None);
    let put = keeper.store.as_ref().unwrap().counters().begins;
    assert_eq!(put, 2, "1 and 2 were there");
}

#[test]
fn what_waits_for_room_at_the_end_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, lost, free) = guarded(dir.path());
    free.store(0, Ordering::Relaxed);
    keeper.commit().unwrap();
    keeper.append_begin(&begin(1)).unwrap();
    assert_eq!(keeper.close(), 1);
    assert_eq!(lost.lock().unwrap().len(), 1);
}

#[test]
fn a_minute_takes_one_place_however_often_it_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, _) = keeper(dir.path());
    refuse(&mut keeper);
    let minute = Timestamp::from_secs(1_795_512_600);
    for told in 1..=100u64 {
        let row = Coverage {
            sensor: "edge".into(),
            from: minute,
            until: minute.plus(Duration::from_millis(told)),
            packets: told,
            ..Coverage::default()
        };
        keeper.append_coverage(&row).unwrap();
    }
    assert_eq!((keeper.held.len(), keeper.rows.len()), (0, 1));
    keeper.next_try = Instant::now();
    keeper.commit().unwrap();
    assert!(keeper.rows.is_empty());
    let rows = keeper.coverage(Timestamp::MIN, Timestamp::MAX).unwrap();
    let packets: Vec<_> = rows.iter().map(|r| r.packets).collect();
    assert_eq!(packets, [100]);
}

#[test]
fn campaigns_are_held_as_they_last_stood_while_the_store_takes_nothing() {
    use crate::call::classify::campaign::{CampaignState, Key};
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, _) = keeper(dir.path());
    refuse(&mut keeper);
    let at = Timestamp::from_secs(1_795_512_600);
    for volume in 1..=100 {
        let campaign = Campaign {
            id: "1-calling-number".into(),
            peer: None,
            key: Key::CallingNumber("12025550199".into()),
            first: at,
            last: at,
            volume,
            flags: Vec::new(),
            signers: Vec::new(),
            examples: Vec::new(),
            state: CampaignState::Open,
        };
        keeper.append_campaign(&campaign).unwrap();
    }
    assert_eq!(keeper.campaigns.len(), 1);
    keeper.next_try = Instant::now();
    keeper.commit().unwrap();
    assert!(keeper.campaigns.is_empty());
    let found = keeper.campaigns(at, at).unwrap();
    assert_eq!(found.iter().map(|c| c.volume).collect::<Vec<_>>(), [100]);
}

#[test]
fn an_end_on_a_store_that_takes_nothing_says_how_many_records_are_lost() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, lost) = keeper(dir.path());
    refuse(&mut keeper);
    for uid in 1..=3 {
        keeper.append_begin(&begin(uid)).unwrap();
    }
    fs::remove_dir_all(dir.path().join("store")).unwrap();
    fs::write(dir.path().join("store"), "no folder").unwrap();
    assert_eq!(keeper.close(), 3);
    assert_eq!(lost.lock().unwrap().len(), 3);
}
