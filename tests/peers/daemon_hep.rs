//! The daemon and its agents under faults: senders cut off, garbage, and a clock that is set.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use tracehop::base::Timestamp;
use tracehop::call::record::StoredCall;
use tracehop::host::clock;
use tracehop::stir::verify::Validation;
use tracehop::wire::Provenance;

use super::edge::{Edge, until, within};
use super::running::{Daemon, Stretch, calls, coverage, coverage_until, wait_for_calls};

const LISTEN: &str = "[hep]\nudp = [\"127.0.0.1:9060\"]\ntcp = [\"127.0.0.1:9060\"]\n\
                      [[hep.agent]]\nname = \"proxy-a\"\nnetworks = [\"127.0.0.1/32\"]\nid = 2001\n";
const AT: &str = "127.0.0.1:9060";
const CALLED: &str = "12025550123";

/// A sensor that is away for less than two seconds did not cease to look.
const QUIET: Duration = Duration::from_millis(2_500);

fn assert_mirrored(records: &[StoredCall]) {
    let ids: BTreeSet<_> = records.iter().map(|c| c.begin.ids.call_id).collect();
    assert_eq!(ids.len(), records.len(), "a call twice");
    for c in records {
        assert_eq!(c.begin.provenance, Provenance::Hep);
        assert_eq!(c.begin.verdict.validation, Validation::Passed, "{c:#?}");
    }
}

#[test]
#[ignore = "needs ip and root"]
fn peer_daemon_takes_no_harm_of_agents_that_are_cut_off_or_send_garbage() {
    let edge = Edge::new();
    edge.configure(LISTEN);
    let daemon = Daemon::start(&edge);
    let packet = |n| edge.mirrored(CALLED, n, clock::now());
    let connect = || within(&edge.b, || TcpStream::connect(AT)).unwrap();
    let hep =
        |outcome: &str| daemon.metric("tracehop_hep_total", &format!("outcome=\"{outcome}\""));
    // One packet and half of another, and the agent is gone.
    let (whole, half) = (packet(1), packet(2));
    let mut cut = connect();
    cut.write_all(&[&whole[..], &half[..half.len() / 2]].concat())
        .unwrap();
    wait_for_calls(&edge, CALLED, 1);
    let told = clock::now();
    drop(cut);
    until("the cut", || hep("closed_cut") == 1.0);
    let gone = clock::now();
    sleep(QUIET);
    // Garbage, and a packet that says to be longer than it may be: their connections are closed by us.
    for garbage in [
        vec![0xa5; 10_000],
        [b"HEP3\xff\xff".to_vec(), vec![0; 70_000]].concat(),
    ] {
        let mut stream = connect();
        let _ = stream.write_all(&garbage);
        stream
            .set_read_timeout(Some(Duration::from_secs(15)))
            .unwrap();
        let mut rest = Vec::new();
        let closed = stream.read_to_end(&mut rest);
        let waited = closed
            .as_ref()
            .is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!waited, "the connection stays open");
    }
    let socket = within(&edge.b, || UdpSocket::bind("127.0.0.1:0")).unwrap();
    let before = hep("packets_in");
    for length in [0, 1, 5, 6, 7, 100, 9_000] {
        let garbage: Vec<u8> = (0..length).map(|n| (n * 31 % 251) as u8).collect();
        socket.send_to(&garbage, AT).unwrap();
    }
    for length in 1..half.len() {
        socket.send_to(&half[..length], AT).unwrap();
    }
    until("all packets", || {
        let lost = hep("dropped") + hep("queue_full");
        hep("packets_in") + lost - before >= 7.0 + half.len() as f64 - 1.0
    });
    // Whoever has something to say is heard: over the same socket, and over a new connection.
    socket.send_to(&packet(3), AT).unwrap();
    connect().write_all(&packet(4)).unwrap();
    wait_for_calls(&edge, CALLED, 3);
    assert_eq!(daemon.ask("/readyz").unwrap().0, 200);
    let ended = daemon.stop();
    let records = calls(&edge, CALLED);
    assert_eq!(records.len(), 3, "{}", ended.said);
    assert_mirrored(&records);
    // Between the cut and the next word nobody is known to have looked.
    let ledger = coverage(&edge, "proxy-a");
    let [first, dark, last] = &ledger[..] else {
        panic!("{ledger:#?}")
    };
    assert!(
        first.looked() && dark.state == "unknown" && last.looked(),
        "{ledger:#?}"
    );
    assert!(
        dark.from >= told && dark.from <= gone && dark.until >= gone.plus(QUIET),
        "{ledger:#?}"
    );
}

#[test]
#[ignore = "needs ip and root"]
fn peer_daemon_killed_says_since_when_its_agents_were_not_heard() {
    let edge = Edge::new();
    edge.configure(LISTEN);
    let daemon = Daemon::start(&edge);
    let socket = within(&edge.b, || UdpSocket::bind("127.0.0.1:0")).unwrap();
    let tell = |called: &str| {
        let packet = edge.mirrored(called, 1, clock::now());
        socket.send_to(&packet, AT).unwrap();
        wait_for_calls(&edge, called, 1);
    };
    tell("12025550101");
    // Longer than it takes until a running minute is in the store.
    sleep(Duration::from_secs(5));
    let killed = clock::now();
    daemon.kill();
    let daemon = Daemon::start(&edge);
    tell("12025550102");
    let heard = clock::now();
    daemon.stop();
    for called in ["12025550101", "12025550102"] {
        assert_mirrored(&calls(&edge, called));
    }
    let ledger = coverage(&edge, "proxy-a");
    let [first, died, last] = &ledger[..] else {
        panic!("{ledger:#?}")
    };
    assert!(
        first.looked() && died.why == "died" && last.looked(),
        "{ledger:#?}"
    );
    let known = killed.distance(died.from);
    assert!(
        died.from <= killed && known < Duration::from_secs(5),
        "{ledger:#?}"
    );
    assert!(died.until > killed && died.until <= heard, "{ledger:#?}");
}

/// The library that gives a program another time than the host's.
fn faketime() -> PathBuf {
    let mut folders = fs::read_dir("/usr/lib").unwrap().map(|e| e.unwrap().path());
    let library = |f: PathBuf| Some(f.join("faketime/libfaketimeMT.so.1")).filter(|l| l.exists());
    folders
        .find_map(library)
        .expect("libfaketime; tests/run installs it")
}

/// The daemon's clock alone is set: kernel and agents keep theirs, so agents here tell the time as the daemon has it. What the kernel's capture times
/// do when the host's clock is set, this does not show.
#[test]
#[ignore = "needs libfaketime, ip and root"]
fn peer_daemon_whose_clock_is_set_by_an_hour_and_back_keeps_every_call_and_says_so() {
    const HOUR: Duration = Duration::from_secs(3_600);
    let edge = Edge::new();
    edge.configure(LISTEN);
    let offset = edge.path("offset");
    fs::write(&offset, "+0\n").unwrap();
    let library = faketime();
    let (library, offset_file) = (library.to_str().unwrap(), offset.to_str().unwrap());
    let daemon = Daemon::start_with(
        &edge,
        &[
            ("LD_PRELOAD", library),
            ("FAKETIME_TIMESTAMP_FILE", offset_file),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ],
    );
    let socket = within(&edge.b, || UdpSocket::bind("127.0.0.1:0")).unwrap();
    let tell = |called: &str, ahead: Duration| {
        for n in 0..3 {
            let at = clock::now().plus(ahead);
            socket.send_to(&edge.mirrored(called, n, at), AT).unwrap();
        }
        wait_for_calls(&edge, called, 3);
    };
    let set = |to: &str, times: usize| {
        let at = clock::now();
        fs::write(&offset, to).unwrap();
        until("the step", || {
            daemon.said().matches("the clock was set").count() >= times
        });
        at
    };
    let began = clock::now();
    tell("12025550101", Duration::ZERO);
    let forward = set("+3600\n", 1);
    tell("12025550102", HOUR);
    let back = set("+0\n", 2);
    tell("12025550103", Duration::ZERO);
    assert_eq!(daemon.ask("/readyz").unwrap().0, 200);
    let ended = daemon.stop();
    let (mut uids, mut seen) = (BTreeSet::new(), Vec::new());
    for (called, ahead) in [
        ("12025550101", Duration::ZERO),
        ("12025550102", HOUR),
        ("12025550103", Duration::ZERO),
    ] {
        let records = calls(&edge, called);
        assert_eq!(records.len(), 3, "{called}: {}", ended.said);
        assert_mirrored(&records);
        for c in records {
            assert!(uids.insert(c.begin.uid), "a uid twice");
            let off = c.begin.at.minus(ahead).distance(began);
            assert!(off < Duration::from_secs(30), "{c:#?}");
            seen.push(c.begin.at);
        }
    }
    // Times that never were, and those that came twice, are told as such, also where somebody looked in one of the two.
    let ledger = coverage_until(&edge, "proxy-a", clock::now().plus(2 * HOUR));
    let second = Duration::from_secs(1);
    let spans = [(began, clock::now()), (forward.plus(HOUR), back.plus(HOUR))];
    for s in ledger.iter().filter(|s| s.looked()) {
        let within = |(from, until): &(Timestamp, Timestamp)| {
            s.from >= from.minus(second) && s.until <= until.plus(second)
        };
        assert!(spans.iter().any(within), "{ledger:#?}");
    }
    for at in seen {
        let looked = |s: &Stretch| s.looked() && s.from <= at.plus(second) && at <= s.until;
        assert!(ledger.iter().any(looked), "{at}: {ledger:#?}");
    }
    let mut stepped = ledger.iter().filter(|s| s.why == "clock-step");
    let never = stepped.next().unwrap();
    let twice = stepped.next().unwrap();
    assert!(
        never.from.distance(forward) < second && never.until.distance(forward.plus(HOUR)) < second,
        "{ledger:#?}"
    );
    assert!(
        twice.from.distance(back) < second && twice.until.distance(back.plus(HOUR)) < second,
        "{ledger:#?}"
    );
    assert_eq!(stepped.count(), 0, "{ledger:#?}");
}
