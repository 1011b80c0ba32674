//! The daemon under faults: whatever happens to it, it goes on or starts again clean, and the ledger says what was missed.

use std::collections::BTreeSet;
use std::fs;
use std::thread::sleep;
use std::time::Duration;

use tracehop::base::Timestamp;
use tracehop::base::digest::IdDigest;
use tracehop::call::record::{State, StoredCall};
use tracehop::host::clock;

use super::edge::{CALLEE, Edge, PEERS, STRANGER, until};
use super::running::{Daemon, Stretch, calls, coverage};
use super::traffic::{Calls, Invites};

pub const WATCH: &str = "[[capture.interface]]\nname = \"vb\"\n";
pub const CALLED: &str = "12025550123";

pub fn seconds(s: f64) -> Duration {
    Duration::from_secs_f64(s)
}

/// Fails when a record is there twice.
pub fn assert_once(records: &[StoredCall]) {
    let uids: BTreeSet<_> = records.iter().map(|c| c.begin.uid).collect();
    assert_eq!(uids.len(), records.len(), "a uid twice");
    let ids: BTreeSet<_> = records.iter().map(|c| c.begin.ids.call_id).collect();
    assert_eq!(ids.len(), records.len(), "a call twice");
}

/// When tshark saw the INVITEs of which there is no record.
pub fn missing(records: &[StoredCall], theirs: &Invites) -> Vec<f64> {
    let ours: BTreeSet<_> = records.iter().map(|c| c.begin.ids.call_id).collect();
    let there = theirs.iter();
    let there = there.filter(|(id, _)| !ours.contains(&IdDigest::of(id.as_bytes())));
    there.map(|(_, (_, at))| *at).collect()
}

pub fn epoch(at: Timestamp) -> f64 {
    at.nanos() as f64 / 1e9
}

/// Stretches in which the sensor was down for a reason.
pub fn down(ledger: &[Stretch], why: &str) -> Vec<Stretch> {
    let down = ledger.iter().filter(|s| s.state == "down" && s.why == why);
    down.cloned().collect()
}

/// Waits until the ledger says that the daemon has looked after a point in time.
fn looks_since(edge: &Edge, since: Option<Timestamp>) {
    let looks = |s: &Stretch| s.looked() && since.is_none_or(|at| s.until > at);
    until("a row of the ledger", || {
        coverage(edge, "vb").iter().any(looks)
    });
}

#[test]
#[ignore = "needs sipp, tcpdump, tshark, ip and root"]
fn peer_daemon_killed_under_traffic_loses_a_second_and_the_ledger_says_which() {
    let edge = Edge::new();
    edge.configure(WATCH);
    let _callee = edge.callee(&edge.b, CALLEE, "u1");
    let oracle = edge.tcpdump("oracle.pcap");
    let mut daemon = Daemon::start(&edge);
    let sipp = edge.place(&Calls::to(CALLED, 400));
    let mut killed = Vec::new();
    for round in 0..3 {
        // Somewhere in a second: what the clock says is as good as a die.
        let more = u64::from(clock::now().nanos().unsigned_abs() as u32 % 1_000);
        sleep(Duration::from_millis(1_200 + more));
        // On a busy machine it may not have looked yet: what never looked can't say that it died.
        looks_since(&edge, killed.last().map(|&(_, ready)| ready));
        let at = clock::now();
        daemon.kill();
        if round == 1 {
            sleep(seconds(1.0));
        }
        daemon = Daemon::start(&edge);
        killed.push((at, clock::now()));
    }
    sipp.finish();
    daemon.stop();
    let theirs = oracle.end();
    assert_eq!(theirs.len(), 400);
    let records = calls(&edge, CALLED);
    assert_once(&records);
    for at in missing(&records, &theirs) {
        let known = |(killed, ready): &(Timestamp, Timestamp)| {
            (epoch(*killed) - 2.5..epoch(*ready)).contains(&at)
        };
        assert!(killed.iter().any(known), "{at} is missing: {killed:?}");
    }
    let ledger = coverage(&edge, "vb");
    let died = down(&ledger, "died");
    assert_eq!(died.len(), 3, "{ledger:#?}");
    for (stretch, (killed, ready)) in died.iter().zip(&killed) {
        assert!(
            stretch.from <= *killed && stretch.until > *killed,
            "{ledger:#?}"
        );
        assert!(
            stretch.from >= killed.minus(seconds(5.0)) && stretch.until <= *ready,
            "{ledger:#?}"
        );
        // What is missing was missed in a time of which the ledger says so.
    }
    for at in missing(&records, &theirs) {
        let told = |s: &Stretch| (epoch(s.from)..=epoch(s.until)).contains(&at);
        assert!(died.iter().any(told), "{at} is missing: {died:#?}");
    }
    assert!(
        ledger.iter().all(|s| s.looked() || s.state == "down"),
        "{ledger:#?}"
    );
}

#[test]
#[ignore = "needs sipp, tcpdump, tshark, ip and root"]
fn peer_daemon_told_to_end_under_traffic_loses_nothing_and_is_alone() {
    let edge = Edge::new();
    edge.configure(WATCH);
    let _callee = edge.callee(&edge.b, CALLEE, "u1");
    let oracle = edge.tcpdump("oracle.pcap");
    let daemon = Daemon::start(&edge);
    let second = Daemon::launch(&edge, &[]).wait();
    assert_eq!(second.code, Some(75), "{}", second.said);
    let last = second.said.trim_end().lines().last().unwrap();
    assert!(last.contains(&daemon.pid().to_string()), "{last}");
    let sipp = edge.place(&Calls {
        rate: 200,
        ..Calls::to(CALLED, 1_000)
    });
    until("traffic", || calls(&edge, CALLED).len() >= 200);
    let told = epoch(clock::now());
    let ended = daemon.stop();
    drop(sipp);
    let theirs = oracle.end();
    let records = calls(&edge, CALLED);
    assert_once(&records);
    // What comes while it ends may be seen or not.
    assert!(theirs.len() > 200, "{}", theirs.len());
    assert!(
        missing(&records, &theirs).iter().all(|at| *at >= told),
        "{}",
        ended.said
    );
    let ledger = coverage(&edge, "vb");
    assert!(matches!(&ledger[..], [one] if one.looked()), "{ledger:#?}");
    // The next start says that it was stopped, and from when.
    Daemon::start(&edge).stop();
    let ledger = coverage(&edge, "vb");
    let stopped = down(&ledger, "stopped");
    assert_eq!(stopped.len(), 1, "{ledger:#?}");
    assert!(
        missing(&records, &theirs)
            .iter()
            .all(|at| *at >= epoch(stopped[0].from) - 0.001),
        "{ledger:#?}"
    );
}

#[test]
#[ignore = "needs sipp, ip and root"]
fn peer_daemon_goes_on_when_the_interface_does_and_the_ledger_says_when_it_did_not() {
    let edge = Edge::new();
    edge.configure(&format!("{WATCH}threads = 2\n"));
    let daemon = Daemon::start(&edge);
    let few = |called| {
        let _callee = edge.callee(&edge.b, CALLEE, "u1");
        edge.place(&Calls::to(called, 10)).finish();
    };
    let not_ready = || {
        until("not ready", || {
            daemon
                .ask("/readyz")
                .is_some_and(|(code, page)| code == 503 && page.contains("vb"))
        })
    };
    let ready = || {
        until("ready", || {
            daemon.ask("/readyz").is_some_and(|(code, _)| code == 200)
        })
    };
    few("12025550101");
    edge.set("down");
    not_ready();
    sleep(seconds(1.0));
    edge.set("up");
    edge.settle();
    ready();
    few("12025550102");
    edge.unplug();
    not_ready();
    sleep(seconds(1.0));
    edge.plug();
    ready();
    few("12025550103");
    let ended = daemon.stop();
    for called in ["12025550101", "12025550102", "12025550103"] {
        let records = calls(&edge, called);
        assert_eq!(records.len(), 10, "{called}: {}", ended.said);
        assert!(
            records
                .iter()
                .all(|c| c.end.as_ref().is_some_and(|e| e.state == State::Answered))
        );
    }
    let ledger = coverage(&edge, "vb");
    let states: Vec<_> = ledger
        .iter()
        .map(|s| (s.looked(), s.why.as_str()))
        .collect();
    let up = (true, "");
    let gone = (false, "interface");
    assert_eq!(states, [up, gone, up, gone, up], "{ledger:#?}");
    for s in down(&ledger, "interface") {
        let long = s.until.distance(s.from);
        assert!((seconds(0.9)..seconds(5.0)).contains(&long), "{ledger:#?}");
    }
}

#[test]
#[ignore = "needs sipp, ip and root"]
fn peer_daemon_takes_all_of_a_new_configuration_or_nothing() {
    let edge = Edge::new();
    edge.configure(WATCH);
    let _callee = edge.callee(&edge.b, CALLEE, "u1");
    let daemon = Daemon::start(&edge);
    let stranger = |called| Calls {
        from: STRANGER,
        ..Calls::to(called, 5)
    };
    edge.place(&stranger("12025550101")).finish();
    let long = edge.place(&Calls {
        hold_ms: 5_000,
        rate: 100,
        ..Calls::to("12025550102", 5)
    });
    sleep(seconds(0.5));
    let good = fs::read_to_string(edge.path("tracehop.toml")).unwrap();
    fs::write(
        edge.path("tracehop.toml"),
        format!("{good}\n[verify]\nfreshness_seconds = \"x\"\n"),
    )
    .unwrap();
    daemon.signal("-HUP");
    daemon.says("not reloaded");
    until("the gauge", || {
        daemon.metric("tracehop_config_last_reload_successful", "") == 0.0
    });
    edge.place(&stranger("12025550103")).finish();
    fs::write(edge.path("tracehop.toml"), &good).unwrap();
    let rule =
        "[[rule]]\nname = \"new-trunk\"\npeer = \"westgate\"\nnetworks = [\"198.51.100.5\"]\n";
    fs::write(edge.path("peers.toml"), format!("{PEERS}\n{rule}")).unwrap();
    daemon.signal("-HUP");
    until("the gauge", || {
        daemon.metric("tracehop_config_last_reload_successful", "") == 1.0
    });
    edge.place(&stranger("12025550104")).finish();
    long.finish();
    let ended = daemon.stop();
    for (called, peer) in [
        ("12025550101", None),
        ("12025550102", Some("northstar")),
        ("12025550103", None),
        ("12025550104", Some("westgate")),
    ] {
        let records = calls(&edge, called);
        assert_eq!(records.len(), 5, "{called}: {}", ended.said);
        for call in records {
            assert_eq!(call.begin.peer.as_deref(), peer, "{call:#?}");
            let end = call.end.as_ref().unwrap();
            assert_eq!(end.state, State::Answered);
            // Calls that were open stay open.
            assert!(
                called != "12025550102" || end.duration_ms.unwrap() > 4_500,
                "{call:#?}"
            );
        }
    }
    let ledger = coverage(&edge, "vb");
    assert!(matches!(&ledger[..], [one] if one.looked()), "{ledger:#?}");
}
