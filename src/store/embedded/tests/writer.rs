//! A process that writes a store until it is killed: this test binary runs itself. What it has committed it says, line by line.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Instant;

use super::*;

/// Where the child writes.
pub(super) const CHILD: &str = "TRACEHOP_TEST_STORE";
/// An end follows its begin by so many records: some come after the seal.
pub(super) const LAG: u64 = 10;
/// Records of a commit.
pub(super) const COMMITTED: u64 = 20;
/// Longest wait for what a child says: a slow disk is no reason to give up, a lock that nobody opens is.
const PATIENCE: Duration = Duration::from_secs(180);
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
    let mut store = opened(dir);
    let mut out = std::io::stdout();
    let mut uid = store.last_uid();
    // The last ends may have been lost with their begins kept: a seal commits in between the two.
    for late in uid.saturating_sub(LAG)..=uid.saturating_sub(LAG - 1) {
        if late > 0 && late <= uid {
            store.append_end(&made_end(late)).unwrap();
        }
    }
    loop {
        for _ in 0..COMMITTED {
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

/// Opens the store when nobody else has it any more: another child of our parent's, just starting, shares its locks until it has become another program.
fn opened(dir: &Path) -> EmbeddedStore {
    let begin = Instant::now();
    loop {
        match EmbeddedStore::open(dir, writer_settings()) {
            Err(StoreError::Locked { .. }) if begin.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(5));
            }
            opened => return opened.unwrap(),
        }
    }
}

/// A running child.
pub(super) struct Writer {
    child: Child,
    lines: Receiver<String>,
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
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        let (says, lines) = mpsc::channel();
        // Ends when the child does, or with the one that listens.
        std::thread::spawn(move || said.map_while(Result::ok).try_for_each(|l| says.send(l)));
        Self {
            child,
            lines,
            acknowledged: 0,
        }
    }

    /// Waits for what it says next; `false` where it is dead.
    pub fn listen(&mut self) -> bool {
        let line = match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Disconnected) => return false,
            Err(RecvTimeoutError::Timeout) => {
                let pid = self.child.id();
                panic!(
                    "process {pid} has said nothing for {PATIENCE:?}: {}",
                    threads(pid)
                )
            }
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

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What each thread of a process waits for in the kernel.
fn threads(pid: u32) -> String {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter();
    let of = |task: &Path, what| {
        let text = std::fs::read_to_string(task.join(what)).unwrap_or_default();
        text.trim_end().to_owned()
    };
    let each = tasks.flatten().flatten().map(|task| {
        let task = task.path();
        format!("{} in {}", of(&task, "comm"), of(&task, "wchan"))
    });
    each.collect::<Vec<_>>().join(", ")
}
