//! A process that writes a store until it is killed: this test binary runs itself. What it has committed it says, line by line.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use super::*;

/// Where the child writes.
pub(super) const CHILD: &str = "TRACEHOP_TEST_STORE";
/// An end follows its begin by so many records: some come after the seal.
pub(super) const LAG: u64 = 10;
/// How long records are kept: the child makes an hour of capture time of 720 records.
const KEPT: Duration = Duration::from_secs(3_600);

/// The record of a uid, five seconds after the one before.
pub(super) fn made(uid: u64) -> Begin {
    let mut b = match uid % 5 {
        0 => full_begin(uid),
        _ => begin(uid),
    };
    b.at = b.at.plus(Duration::from_secs(uid * 5));
    b.numbers.called = Some(tn("12025550100"));
    b
}

pub(super) fn made_end(uid: u64) -> End {
    let mut e = end(&made(uid));
    e.duration_ms = u32::try_from(uid).ok();
    e
}

pub(super) fn writer_settings() -> StoreSettings {
    StoreSettings {
        retention: KEPT,
        compaction: CompactionSettings {
            gather: 3,
            closed_after: Duration::ZERO,
            settled_after: Duration::from_secs(600),
            ..CompactionSettings::default()
        },
        sealing: Sealing::Background,
        ..settings(150)
    }
}

/// The child: writes, seals, merges, forgets, until it dies.
pub(super) fn write_forever(dir: &Path) {
    let mut store = EmbeddedStore::open(dir, writer_settings()).unwrap();
    let mut out = std::io::stdout();
    let mut uid = store.last_uid();
    // The last ends may have been lost with their begins kept: a seal commits in between the two.
    for late in uid.saturating_sub(LAG)..=uid.saturating_sub(LAG - 1) {
        if late > 0 && late <= uid {
            store.append_end(&made_end(late)).unwrap();
        }
    }
    loop {
        for _ in 0..20 {
            uid += 1;
            store.append_begin(&made(uid)).unwrap();
            store.append_evidence(&evidence::evidence(uid)).unwrap();
            if uid > LAG {
                store.append_end(&made_end(uid - LAG)).unwrap();
            }
        }
        if uid.is_multiple_of(60) {
            store
                .append_coverage(&Coverage {
                    sensor: "edge-1".into(),
                    from: made(uid - 59).at,
                    until: made(uid).at,
                    ..Coverage::default()
                })
                .unwrap();
        }
        store.commit().unwrap();
        store.tend(made(uid).at).unwrap();
        writeln!(out, "acknowledged {uid}").unwrap();
        out.flush().unwrap();
        if uid.is_multiple_of(200) {
            store.retain(made(uid).at).unwrap();
        }
    }
}

/// A running child.
pub(super) struct Writer {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// The last uid that it said.
    pub acknowledged: u64,
}

impl Writer {
    /// Starts the test of that name as a child.
    pub fn start(test: &str, dir: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(CHILD, dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            child,
            lines,
            acknowledged: 0,
        }
    }

    /// Waits for what it says next; `false` where it is dead.
    pub fn listen(&mut self) -> bool {
        let Some(Ok(line)) = self.lines.next() else {
            return false;
        };
        if let Some(uid) = line.strip_prefix("acknowledged ") {
            self.acknowledged = uid.parse().unwrap();
        }
        true
    }

    /// Kills it, and gives all that it said before.
    pub fn kill(mut self) -> u64 {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        while self.listen() {}
        self.acknowledged
    }
}
