//! kill -9, for real: this test binary runs itself, the child appends and commits and says what is acknowledged, and dies.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::*;

const CHILD: &str = "TRACEHOP_TEST_STORE";
const NAME: &str = "store::embedded::tests::kill::no_acknowledged_record_is_lost_by_kill_9";

#[test]
fn no_acknowledged_record_is_lost_by_kill_9() {
    if let Some(dir) = std::env::var_os(CHILD) {
        return write_forever(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    // Records that outlived their process without having been acknowledged: their evidence may be lost.
    let mut unsaid = Vec::new();
    for round in 0..8_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture", "--test-threads=1"])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = |acknowledged: &mut u64| {
            let line = lines.next()?.ok()?;
            if let Some(uid) = line.strip_prefix("acknowledged ") {
                *acknowledged = uid.parse().ok()?;
            }
            Some(())
        };
        let before = acknowledged;
        while acknowledged == before {
            said(&mut acknowledged).expect("the child has died by itself");
        }
        // Somewhere in the middle of an append, a commit or a seal.
        std::thread::sleep(Duration::from_millis(20 + round * 37));
        child.kill().unwrap();
        child.wait().unwrap();
        while said(&mut acknowledged).is_some() {}
        let last = check(dir.path(), acknowledged, &unsaid);
        unsaid.push(acknowledged + 1..=last);
    }
    assert!(
        acknowledged > 1000,
        "only {acknowledged}: too slow to prove anything"
    );
}

fn check(dir: &Path, acknowledged: u64, unsaid: &[std::ops::RangeInclusive<u64>]) -> u64 {
    let (reader, _) = EmbeddedStore::open_read_only(dir).unwrap();
    let mut store = open(dir);
    let report = store.open_report();
    assert_eq!(report.bad_frames + report.unreadable, 0);
    let calls = called(&store, "12025550100");
    let found = uids(&calls);
    let all: Vec<u64> = (1..=found.len() as u64).collect();
    assert!(found == all, "gaps or doubles among {}", found.len());
    let last = found.len() as u64;
    assert!(last >= acknowledged, "{last} of {acknowledged}");
    assert_eq!(store.last_uid(), last);
    assert_eq!(called(&reader, "12025550100"), calls);
    for call in calls.iter().filter(|c| c.begin.uid + LAG <= acknowledged) {
        let end = call.end.as_ref().expect("an acknowledged end");
        assert_eq!(u64::from(end.duration_ms.unwrap()), call.begin.uid);
    }
    // The evidence of every acknowledged record is there: of the newest, where a crash tears, and of some older ones.
    let some = (acknowledged.saturating_sub(200)..=acknowledged).chain([1, acknowledged / 2]);
    for uid in some.filter(|uid| *uid > 0 && !unsaid.iter().any(|r| r.contains(uid))) {
        let found = reader.evidence(uid).unwrap();
        assert_eq!(found, Some(evidence::evidence(uid)), "{uid}");
    }
    // Now and then the next child finds everything sealed.
    if last.is_multiple_of(2) {
        store.seal().unwrap();
        assert_eq!(called(&store, "12025550100"), calls);
    }
    last
}

/// An end follows its begin by so many records: some come after the seal.
const LAG: u64 = 10;

fn write_forever(dir: &Path) {
    let settings = StoreSettings {
        sealing: Sealing::Background,
        ..settings(700)
    };
    let mut store = EmbeddedStore::open(dir, settings).unwrap();
    let mut out = std::io::stdout();
    let made = |uid: u64| {
        let mut b = begin(uid);
        b.at = b.at.plus(Duration::from_millis(uid));
        b
    };
    let finish = |store: &mut EmbeddedStore, uid: u64| {
        let mut e = end(&made(uid));
        e.duration_ms = Some(uid as u32);
        store.append_end(&e).unwrap();
    };
    let mut uid = store.last_uid();
    // The last end may have been lost with its begin kept: a seal commits in between the two.
    if uid > LAG {
        finish(&mut store, uid - LAG);
    }
    loop {
        for _ in 0..50 {
            uid += 1;
            store.append_begin(&made(uid)).unwrap();
            store.append_evidence(&evidence::evidence(uid)).unwrap();
            if uid > LAG {
                finish(&mut store, uid - LAG);
            }
        }
        store.commit().unwrap();
        writeln!(out, "acknowledged {uid}").unwrap();
        out.flush().unwrap();
    }
}
