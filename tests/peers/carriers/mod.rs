//! Ten carriers with real SIP between them, each with a probe on its own wire; calls of a hundred customers over four to ten hops.
//!
//! - `plan`: who there is, which way calls go, and so the truth
//! - `net`: namespaces · `switch`: Kamailio and sippy · `traffic`: sipp · `probe`: the daemons

mod net;
mod plan;
mod probe;
mod switch;
mod traffic;

use std::collections::BTreeMap;
use std::fs;

use tracehop::base::Timestamp;
use tracehop::call::record::{Direction, StoredCall};
use tracehop::host::clock;
use tracehop::lab::pki::Pki;
use tracehop::number::Tn;
use tracehop::store::Store as _;
use tracehop::store::embedded::EmbeddedStore;

use net::Net;
use plan::{CARRIERS, Call};
use probe::Probe;

/// Calls, each of which is traced.
const CALLS: usize = 100;

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
    let mut probes: Vec<Probe> = Vec::new();
    for n in 0..CARRIERS {
        probe::configure(&net, n, "");
        probe::hand_over(&net, n);
        probes.push(Probe::start(&net, n, &[]));
    }
    let mut parts = Vec::new();
    for n in 0..CARRIERS {
        parts.extend(switch::start(&net, n));
    }
    parts.extend(traffic::phones(&net));
    for probe in &mut probes {
        probe.ready(&net);
    }
    let calls = plan::calls(CALLS);
    traffic::place(&net, &calls, &pki.signers);
    std::thread::sleep(std::time::Duration::from_secs(3));
    let mut all = BTreeMap::new();
    for call in &calls {
        for w in wrong(&net, call) {
            all.insert(w, ());
        }
    }
    assert!(all.is_empty(), "{all:#?}");
}
