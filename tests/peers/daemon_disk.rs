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

    /// Takes so much that this many octets are left.
    fn leave(&self, octets: u64) {
        let file = fs::File::options()
            .create(true)
            .append(true)
            .open(&self.filler);
        let mut file = file.unwrap();
        while self.left() > octets {
            file.write_all(&[0; 65_536]).unwrap();
        }
    }

    /// Octets that are left.
    fn left(&self) -> u64 {
        let said = run("stat", &["-f", "-c", "%a %S", &text(&self.at)]);
        let figures = said.split_whitespace().map(|n| n.parse::<u64>().unwrap());
        figures.product()
    }

    fn free(&self) {
        fs::remove_file(&self.filler).unwrap();
    }
}

/// Watches without the guard of the disk, for which this one is too small at any time.
fn unguarded(edge: &Edge) {
    edge.configure(WATCH);
    allow(edge, 0);
}

/// So much must stay free.
fn allow(edge: &Edge, mib: u64) {
    let path = edge.path("tracehop.toml");
    let text = fs::read_to_string(&path).unwrap();
    let guard = format!("[store]\nmin_free_mb = {mib}\n");
    fs::write(&path, text.replace("[store]\n", &guard)).unwrap();
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
    unguarded(&edge);
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
    unguarded(&edge);
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

#[test]
#[ignore = "needs sipp, ip and root"]
fn peer_daemon_leaves_room_on_its_disk_lets_evidence_go_first_and_goes_on_with_what_waited() {
    let edge = Edge::new();
    let disk = SmallDisk::mount(&edge);
    edge.configure(WATCH);
    allow(&edge, 4);
    let _callee = edge.callee(&edge.b, CALLEE, "u1");
    let daemon = Daemon::start(&edge);
    edge.place(&Calls::to(CALLED, 20)).finish();
    wait_for_calls(&edge, CALLED, 20);
    let appended = |what: &str| {
        let label = format!("what=\"{what}\"");
        daemon.metric("tracehop_store_appended_total", &label)
    };
    let evidence = appended("evidence");
    assert!(evidence >= 20.0, "{evidence}");

    // Between four and eight MiB: records, and no evidence.
    disk.leave(6 << 20);
    until("little room", || {
        daemon.metric("tracehop_store_free_bytes", "") < f64::from(8 << 20)
    });
    edge.place(&Calls::to(CALLED, 20)).finish();
    wait_for_calls(&edge, CALLED, 40);
    assert_eq!(appended("evidence"), evidence);
    let refused = daemon.metric("tracehop_store_refused_total", "why=\"evidence_no_room\"");
    assert!(refused >= 20.0, "{refused}");
    assert_eq!(daemon.metric("tracehop_store_writable", ""), 1.0);

    // Below four: no record, and the rest of the disk stays as it is.
    disk.leave(3 << 20);
    until("no room", || {
        daemon.ask("/readyz").is_some_and(|(code, page)| {
            code == 503 && page.contains("MiB are free") && page.contains("must stay so")
        })
    });
    edge.place(&Calls::to(CALLED, 20)).finish();
    sleep(seconds(3.0));
    assert_eq!(calls(&edge, CALLED).len(), 40);
    assert!(
        disk.left() > 2 << 20,
        "the guard itself takes next to nothing"
    );
    disk.free();
    until("ready", || {
        daemon.ask("/readyz").is_some_and(|(code, _)| code == 200)
    });
    wait_for_calls(&edge, CALLED, 60);
    let ended = daemon.stop();
    let records = calls(&edge, CALLED);
    assert_once(&records);
    assert_eq!(records.len(), 60, "{}", ended.said);
    let answered = |c: &&StoredCall| c.end.as_ref().is_some_and(|e| e.state == State::Answered);
    assert_eq!(records.iter().filter(answered).count(), 60);
    let said = |what: &str| ended.said.matches(what).count();
    assert_eq!(
        said("no record is taken until there is room"),
        1,
        "{}",
        ended.said
    );
    assert_eq!(said("the store has room again"), 1, "{}", ended.said);
    assert_eq!(
        said("no evidence is kept, and its oldest days are deleted"),
        1
    );
    let ledger = coverage(&edge, "vb");
    assert!(matches!(&ledger[..], [one] if one.looked()), "{ledger:#?}");
}
