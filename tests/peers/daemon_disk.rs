//! The daemon on a disk that is full: what it can't write it holds, and what it loses it tells.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::Instant;

use tracehop::call::record::{State, StoredCall};
use tracehop::host::clock;
use tracehop::stir::verify::Validation;

use super::daemon_faults::{CALLED, WATCH, assert_once, down, epoch, missing, seconds};
use super::edge::{CALLEE, Edge, until};
use super::run;
use super::running::{Daemon, calls, coverage, wait_for_calls};
use super::support::text;
use super::traffic::Calls;

/// A small file system of its own for the store. It goes with the test.
struct SmallDisk {
    at: PathBuf,
    filler: PathBuf,
}

impl SmallDisk {
    fn mount(edge: &Edge) -> Self {
        let at = edge.path("state/store");
        fs::create_dir_all(&at).unwrap();
        run(
            "mount",
            &[
                "-t",
                "tmpfs",
                "-o",
                "size=16m,mode=755",
                "tmpfs",
                &text(&at),
            ],
        );
        // Other namespaces may have copies of the mount: only within it is space taken.
        Self {
            filler: at.join("filler"),
            at,
        }
    }

    /// Takes all the space that there is.
    fn fill(&self) {
        let mut file = fs::File::options()
            .create(true)
            .append(true)
            .open(&self.filler)
            .unwrap();
        let block = [0; 4096];
        while file.write_all(&block).is_ok() {}
    }

    fn free(&self) {
        fs::remove_file(&self.filler).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .args(["-l", &text(&self.at)])
            .status();
    }
}

#[test]
#[ignore = "needs sipp, ip and root"]
fn peer_daemon_holds_what_a_full_disk_does_not_take_and_writes_it_after() {
    let edge = Edge::new();
    let disk = SmallDisk::mount(&edge);
    edge.configure(WATCH);
    let _callee = edge.callee(&edge.b, CALLEE, "u1");
    let daemon = Daemon::start(&edge);
    let sipp = edge.place(&Calls {
        rate: 50,
        ..Calls::to(CALLED, 400)
    });
    sleep(seconds(1.5));
    disk.fill();
    until("trouble", || {
        disk.fill();
        daemon
            .ask("/readyz")
            .is_some_and(|(code, page)| code == 503 && page.contains("store"))
    });
    assert_eq!(daemon.metric("tracehop_store_writable", ""), 0.0);
    assert_eq!(daemon.ask("/healthz").unwrap().0, 200, "its stages turn");
    // Over several vain attempts to open the store.
    let begin = Instant::now();
    while begin.elapsed() < seconds(5.0) {
        disk.fill();
        sleep(seconds(0.2));
    }
    disk.free();
    until("ready", || {
        daemon.ask("/readyz").is_some_and(|(code, _)| code == 200)
    });
    sipp.finish();
    let ended = daemon.stop();
    let records = calls(&edge, CALLED);
    assert_once(&records);
    assert_eq!(records.len(), 400, "{}", ended.said);
    let answered = |c: &&StoredCall| c.end.as_ref().is_some_and(|e| e.state == State::Answered);
    assert_eq!(records.iter().filter(answered).count(), 400);
    assert!(
        records
            .iter()
            .all(|c| c.begin.verdict.validation == Validation::Passed)
    );
    let ledger = coverage(&edge, "vb");
    assert!(matches!(&ledger[..], [one] if one.looked()), "{ledger:#?}");
}

#[test]
#[ignore = "needs sipp, ip and root"]
fn peer_daemon_that_ends_on_a_full_disk_says_so_and_the_ledger_is_dark_for_what_is_lost() {
    let edge = Edge::new();
    let disk = SmallDisk::mount(&edge);
    edge.configure(WATCH);
    let _callee = edge.callee(&edge.b, CALLEE, "u1");
    let oracle = edge.tcpdump("oracle.pcap");
    let daemon = Daemon::start(&edge);
    edge.place(&Calls::to(CALLED, 20)).finish();
    wait_for_calls(&edge, CALLED, 20);
    disk.fill();
    let full = clock::now();
    edge.place(&Calls::to("12025550124", 20)).finish();
    until("trouble", || {
        disk.fill();
        daemon
            .ask("/readyz")
            .is_some_and(|(code, page)| code == 503 && page.contains("store"))
    });
    daemon.signal("-TERM");
    let ended = daemon.wait();
    assert!(ended.took < seconds(10.0));
    assert_eq!(ended.code, Some(74), "{}", ended.said);
    assert!(
        ended.said.contains("records could not be stored"),
        "{}",
        ended.said
    );
    let theirs = oracle.end();
    disk.free();
    Daemon::start(&edge).stop();
    let mut records = calls(&edge, CALLED);
    assert_eq!(records.len(), 20);
    records.extend(calls(&edge, "12025550124"));
    assert_once(&records);
    let ledger = coverage(&edge, "vb");
    let died = down(&ledger, "died");
    assert_eq!(died.len(), 1, "{ledger:#?}");
    let lost = missing(&records, &theirs);
    assert!(lost.len() > 10, "{}", lost.len());
    for at in lost {
        let told = (epoch(died[0].from)..epoch(died[0].until)).contains(&at);
        assert!(told && at > epoch(full), "{at} is missing: {ledger:#?}");
    }
}
