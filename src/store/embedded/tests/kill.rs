//! kill -9, for real, at 500 random points of a process that appends, commits, seals and forgets: all that it acknowledged is there, field by field, nothing
//! twice, and a check says that the store is sound. `TRACEHOP_KILLS` sets another number of kills, `TRACEHOP_SEED` another seed.

use super::flips::{Rng, number};
use super::writer::{
    CHILD, COMMITTED, LAG, Writer, made, made_end, write_forever, writer_settings,
};
use super::*;

const NAME: &str = "store::embedded::tests::kill::no_acknowledged_record_is_lost_by_kill_9";
/// As many as the requirement says.
const KILLS: u64 = 500;
/// Kills of one store: then another is begun, so that looking it over stays cheap.
const A_STORE: u64 = 25;
/// Stores at the same time.
const LANES: u64 = 2;
/// Most commits that are waited for before the kill, so that the slowest machine too comes to seals and merges.
const COMMITS: u64 = 16;
/// Longest span between the last of these and the kill, in microseconds: some appends, a commit, a seal.
const LONGEST: u64 = 10_000;

#[test]
fn no_acknowledged_record_is_lost_by_kill_9() {
    if let Some(dir) = std::env::var_os(CHILD) {
        return write_forever(Path::new(&dir));
    }
    let kills = number("TRACEHOP_KILLS", KILLS);
    let seed = number("TRACEHOP_SEED", 9);
    let seen: Vec<Seen> = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES)
            .map(|lane| scope.spawn(move || kill_often(kills.div_ceil(LANES), Rng(seed + lane))))
            .collect();
        lanes.into_iter().map(|l| l.join().unwrap()).collect()
    });
    let sum = |of: fn(&Seen) -> u64| seen.iter().map(of).sum::<u64>();
    println!(
        "{} kills, {} records acknowledged, {} with unfinished files, {} with records only in the log, {} with merged segments, {} after retention",
        sum(|s| s.kills),
        sum(|s| s.acknowledged),
        sum(|s| s.void),
        sum(|s| s.in_log),
        sum(|s| s.merged),
        sum(|s| s.forgotten)
    );
    assert!(sum(|s| s.kills) >= kills);
    assert!(sum(|s| s.in_log) > kills / 4);
    assert!(sum(|s| s.merged) > kills / 20);
}

#[derive(Default)]
struct Seen {
    kills: u64,
    acknowledged: u64,
    void: u64,
    in_log: u64,
    forgotten: u64,
    merged: u64,
}

fn kill_often(kills: u64, mut rng: Rng) -> Seen {
    let mut seen = Seen::default();
    while seen.kills < kills {
        let dir = tempfile::tempdir().unwrap();
        let mut acknowledged = 0;
        for round in 0..A_STORE.min(kills - seen.kills) {
            let mut writer = Writer::start(NAME, dir.path());
            let wanted = acknowledged + 1 + rng.below(COMMITS) * COMMITTED;
            while writer.acknowledged < wanted {
                assert!(writer.listen(), "the child has died by itself");
            }
            std::thread::sleep(Duration::from_micros(rng.below(LONGEST)));
            acknowledged = writer.kill();
            seen.kills += 1;
            look(dir.path(), acknowledged, round, &mut seen);
        }
        seen.acknowledged += acknowledged;
    }
    seen
}

/// Whether there is a segment that others were merged into.
fn has_merged(dir: &Path) -> bool {
    layout::list(dir).unwrap().into_iter().any(|(path, name)| {
        let name = name.unwrap();
        (name.starts_with("h-") && name.ends_with(".parquet"))
            || (path.is_dir() && has_merged(&path))
    })
}

fn look(dir: &Path, acknowledged: u64, round: u64, seen: &mut Seen) {
    let (reader, _) = EmbeddedStore::open_read_only(dir).unwrap();
    let before = called(&reader, "12025550100");
    let report = check::checked(dir);
    assert!(report.is_sound(), "{report:#?}");
    let mut store = EmbeddedStore::open(dir, writer_settings()).unwrap();
    let opened = store.open_report();
    assert_eq!(
        opened.bad_frames + opened.unreadable + opened.missing_files,
        0
    );
    seen.void += u64::from(opened.void_files > 0);
    seen.in_log += u64::from(opened.records > 0);
    seen.merged += u64::from(has_merged(dir));
    let calls = called(&store, "12025550100");
    assert!(before == calls, "a reader and the writer see the same");
    let forgotten = store.forgotten_before();
    seen.forgotten += u64::from(forgotten.is_some());
    let found = uids(&calls);
    let first = (1..)
        .find(|uid| forgotten.is_none_or(|f| made(*uid).at >= f))
        .unwrap();
    let last = found.last().copied().unwrap_or(0);
    assert!(last >= acknowledged, "{last} of {acknowledged}");
    assert_eq!(store.last_uid(), last);
    let all: Vec<u64> = (first..=last).collect();
    assert!(found == all, "gaps or doubles between {first} and {last}");
    for call in &calls {
        let uid = call.begin.uid;
        assert_eq!(call.begin, made(uid));
        match &call.end {
            Some(end) => assert_eq!(*end, made_end(uid)),
            None => assert!(
                uid + LAG > acknowledged,
                "the end of {uid} was acknowledged"
            ),
        }
    }
    // The evidence of acknowledged records: of the newest, where a crash tears.
    for uid in (acknowledged.saturating_sub(5)..=acknowledged).filter(|uid| *uid > 0) {
        let found = reader.evidence(uid).unwrap();
        assert_eq!(found, Some(evidence::evidence(uid)), "{uid}");
    }
    // Now and then the next child finds everything sealed.
    if round % 5 == 4 {
        store.seal().unwrap();
        assert_eq!(called(&store, "12025550100"), calls);
        drop(store);
        assert!(check::checked(dir).is_sound());
    }
}
