//! Ten carriers with real SIP between them, each with a probe on its own wire; calls of a hundred customers over four to ten hops.
//!
//! - `plan`: who there is, which way calls go, and so the truth
//! - `net`: namespaces · `switch`: Kamailio and sippy · `traffic`: sipp · `probe`: the daemons · `portal`: the portal

mod net;
mod plan;
mod portal;
mod probe;
mod switch;
mod traffic;

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use tracehop::base::Timestamp;
use tracehop::call::record::{Direction, StoredCall};
use tracehop::host::clock;
use tracehop::lab::pki::Pki;
use tracehop::number::Tn;
use tracehop::store::Lookup as _;
use tracehop::store::embedded::EmbeddedStore;

use super::run;
use net::Net;
use plan::{CARRIERS, Call};
use portal::Portal;
use probe::Probe;

/// Calls, each of which is traced.
const CALLS: usize = 100;

/// How long a daemon must have looked before and after a call to be sure of it (`traceback::window::MAIN_S` and the imprecision), and until it is written down.
const WINDOW: Duration = Duration::from_secs(124);

fn rest_until(when: Instant) {
    sleep(when.saturating_duration_since(Instant::now()));
}

/// What a carrier's store has of a number.
fn records(net: &Net, n: usize, called: &str) -> Vec<StoredCall> {
    let path = net.folder(n).join("state/store");
    let (store, report) = EmbeddedStore::open_read_only(&path).unwrap();
    assert_eq!(report.bad_frames, 0, "{report:?}");
    let number = Tn::from_canonical(called.as_bytes()).unwrap();
    let mut calls = store
        .by_called(number, Timestamp::default(), Timestamp::MAX)
        .unwrap();
    calls.sort_by_key(|c| c.begin.uid);
    calls
}

/// What is wrong with the records of a call at the carriers that it passed.
fn wrong(net: &Net, call: &Call) -> Vec<String> {
    let mut wrong = Vec::new();
    let traced = call.traced();
    let mut called = call.rings();
    for (place, n) in traced.iter().enumerate() {
        let name = |o: usize| Some(format!("c{o}"));
        let up = match (traced.get(place + 1), call.route.from) {
            (Some(up), _) => name(*up),
            (None, plan::From::Customer) => Some("customers".to_owned()),
            (None, plan::From::Abroad) => Some("abroad".to_owned()),
        };
        let down = match place {
            0 => Some("subscribers".to_owned()),
            _ => name(traced[place - 1]),
        };
        let diverts = call.route.forwards_to.is_some() && call.route.path.last() == Some(n);
        let egress = records(net, *n, &called);
        if diverts {
            called.clone_from(&call.dialled);
        }
        let ingress = match diverts {
            true => records(net, *n, &called),
            false => egress.clone(),
        };
        let has = |all: &[StoredCall], way, peer: &Option<String>| {
            all.iter()
                .any(|c| c.begin.direction == way && c.begin.peer.as_deref() == peer.as_deref())
        };
        if !has(&ingress, Direction::Ingress, &up) || !has(&egress, Direction::Egress, &down) {
            let seen: Vec<_> = ingress
                .iter()
                .chain(&egress)
                .map(|c| format!("{:?} {:?}", c.begin.direction, c.begin.peer))
                .collect();
            wrong.push(format!(
                "{} over {:?}: at C-{n} wanted {up:?} to {down:?}, seen {seen:?}",
                call.dialled, call.route.path
            ));
        }
    }
    wrong
}

#[test]
#[ignore = "needs root, ip, sipp, kamailio and sippy"]
fn peer_ten_carriers_trace_a_hundred_calls() {
    let net = Net::new();
    let pki = Pki::new(11, clock::now()).unwrap();
    for (name, content) in &pki.files {
        let path = net.path("certs").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let clock = [probe::kept_clock(&net)];
    let mut probes: Vec<Probe> = Vec::new();
    let portal = Portal::set_up(&net);
    for n in 0..CARRIERS {
        probe::configure(&net, n, &portal.responder(n));
        probe::hand_over(&net, n);
        probes.push(Probe::start(&net, n, &clock));
    }
    let mut parts = Vec::new();
    for n in 0..CARRIERS {
        parts.extend(switch::start(&net, n));
    }
    parts.extend(traffic::phones(&net));
    let portal = portal.start(&net);
    for probe in &mut probes {
        probe.ready(&net);
    }
    let looking = Instant::now();
    let calls = plan::calls(CALLS);
    rest_until(looking + WINDOW);
    traffic::place(&net, &calls, &pki.signers);
    let placed = Instant::now();
    sleep(Duration::from_secs(3));
    let mut all = BTreeMap::new();
    for call in &calls {
        for w in wrong(&net, call) {
            all.insert(w, ());
        }
    }
    assert!(all.is_empty(), "{all:#?}");
    rest_until(placed + WINDOW);
    // The dead one: its switch goes on, and nobody answers for it.
    drop(probes.remove(plan::DEAD));
    let slow: Vec<Slow> = plan::SLOW
        .iter()
        .map(|n| Slow::down(probes[n - usize::from(*n > plan::DEAD)].pid()))
        .collect();
    let begin = Instant::now();
    // First those that will wait for somebody who is dead.
    let mut calls = calls;
    calls.sort_by_key(|c| !c.traced().contains(&plan::DEAD));
    let cases: Vec<String> = calls.iter().map(|c| portal.hand_in(&net, c)).collect();
    portal.wait_for_ends(calls.len());
    println!(
        "{} traces took {:?}, the slowest answer {:.1} s",
        cases.len(),
        begin.elapsed(),
        portal.slowest(&cases)
    );
    drop(slow);
    let wrong: Vec<String> = calls
        .iter()
        .zip(&cases)
        .flat_map(|(call, case)| portal.wrong(&net, call, case))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}\n{}", portal.said());
    for case in [&cases[0], &cases[CALLS - 1]] {
        portal.export(&net, case);
    }
}

/// A daemon that gets the processor for a moment only, now and then, until this goes: a machine that is far too small.
struct Slow {
    pid: u32,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Slow {
    /// Stopped for so long, and let go for so long.
    const TURNS: [(&str, Duration); 2] = [
        ("-STOP", Duration::from_millis(900)),
        ("-CONT", Duration::from_millis(200)),
    ];

    fn down(pid: u32) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let thread = std::thread::spawn({
            let stop = stop.clone();
            move || {
                while !stop.load(Ordering::Relaxed) {
                    for (signal, long) in Self::TURNS {
                        run("kill", &[signal, &pid.to_string()]);
                        sleep(long);
                    }
                }
            }
        });
        let thread = Some(thread);
        Self { pid, stop, thread }
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
        run("kill", &["-CONT", &self.pid.to_string()]);
    }
}
