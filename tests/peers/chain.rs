//! A call through our own platform of two proxies and a back-to-back agent, all real: `tracehop run` watches the edge and the loopback inside.
//!
//! ```text
//! sipp ─ vb ─► kamailio ─ lo ─► sippy (new Call-ID, new tags) ─ lo ─► kamailio ─ vb ─► sipp
//!   northstar          our platform: legs inside, of no neighbour                 westgate
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use tracehop::call::leg::Pairing;
use tracehop::call::record::{Direction, ReleasedBy, State, StoredCall};

use super::edge::{CALLEE, Edge, Ends, until};
use super::run;
use super::running::{Daemon, calls, wait_for_calls};
use super::support::text;
use super::traffic::Calls;

/// Where the agent and the second proxy are; the first one is where callers call.
const AGENT: &str = "198.51.100.12";
const SECOND: &str = "198.51.100.13";
/// Who takes the calls: `westgate` of the edge's peers.
const TAKER: &str = "198.51.100.3";

const PROXY: &str = include_str!("chain/proxy.cfg");
const GIVES_UP: &str = include_str!("chain/gives_up.xml");
const RINGS: &str = include_str!("chain/rings.xml");

/// The agent's Contact, without the name before it (`Anonymous <sip:…>`), of which sipp makes a garbled Request-URI.
const CONTACT: &str = "sip:198.51.100.12:5060";

const COUNT: usize = 20;

/// The edge with the platform in it.
struct Chain {
    edge: Edge,
    _parts: Vec<Ends>,
}

impl Chain {
    fn new() -> Self {
        let edge = Edge::new();
        let peers = edge.path("peers.toml");
        let all = fs::read_to_string(&peers).unwrap();
        let own = format!("\"{CALLEE}\", \"{AGENT}\", \"{SECOND}\"");
        fs::write(&peers, all.replace(&format!("\"{CALLEE}\""), &own)).unwrap();
        for address in [AGENT, SECOND] {
            let address = format!("{address}/32");
            run("ip", &["-n", &edge.b, "addr", "add", &address, "dev", "vb"]);
        }
        edge.configure(
            "[[capture.interface]]\nname = \"vb\"\n[[capture.interface]]\nname = \"lo\"\n",
        );
        let parts = vec![
            proxy(&edge, "first", CALLEE, AGENT),
            agent(&edge),
            proxy(&edge, "second", SECOND, TAKER),
        ];
        for address in [CALLEE, AGENT, SECOND] {
            let local = format!("{address}:5060");
            until(address, || {
                run("ip", &["netns", "exec", &edge.b, "ss", "-Hlun"]).contains(&local)
            });
        }
        Self {
            edge,
            _parts: parts,
        }
    }

    /// Calls without Identity whose caller hangs up while it rings, towards a callee that only rings.
    fn give_up(&self, called: &str) {
        let edge = &self.edge;
        let (from, to) = (edge.path("gives_up.xml"), edge.path("rings.xml"));
        fs::write(&from, GIVES_UP).unwrap();
        fs::write(&to, RINGS).unwrap();
        let rings = text(&to);
        let callee = ["sipp", "-sf", &rings, "-i", TAKER, "-p", "5060", "-nostdin"];
        let _callee = edge.start(&edge.a, &callee);
        self.place(&from, called);
    }

    /// Runs a caller's scenario to its end.
    fn place(&self, scenario: &Path, called: &str) {
        let edge = &self.edge;
        let numbers = edge.path("plain.csv");
        let lines = (0..COUNT).map(|n| format!("121255501{n:02};{called}\n"));
        fs::write(
            &numbers,
            format!("SEQUENTIAL\n{}", lines.collect::<String>()),
        )
        .unwrap();
        let count = COUNT.to_string();
        let to = format!("{CALLEE}:5060");
        let log = edge.path("plain.err");
        let (scenario, numbers, errors) = (text(scenario), text(&numbers), text(&log));
        let caller = [
            "sipp",
            &to,
            "-sf",
            &scenario,
            "-inf",
            &numbers,
            "-i",
            "198.51.100.1",
            "-p",
            "5060",
            "-r",
            "20",
            "-d",
            "200",
            "-m",
            &count,
            "-timeout",
            "30",
            "-nostdin",
            "-trace_err",
            "-error_file",
            &errors,
        ];
        let mut caller = edge.command(&edge.a, &caller);
        caller.stdout(std::process::Stdio::null());
        let mut caller = Ends::of(caller);
        caller.said_in(log);
        caller.finish();
    }
}

/// A Kamailio that hands every call on.
fn proxy(edge: &Edge, name: &str, own: &str, next: &str) -> Ends {
    let dir = edge.path(name);
    fs::create_dir(&dir).unwrap();
    let config = dir.join("proxy.cfg");
    fs::write(&config, PROXY.replace("OWN", own).replace("NEXT", next)).unwrap();
    let (config, dir, pid) = (text(&config), text(&dir), text(&dir.join("pid")));
    let kamailio = [
        "kamailio", "-f", &config, "-DD", "-E", "-w", &dir, "-Y", &dir, "-P", &pid,
    ];
    edge.start(&edge.b, &kamailio)
}

/// A sippy that ends each call and begins another, under a Call-ID of its own.
fn agent(edge: &Edge) -> Ends {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers/bin/b2bua_radius");
    assert!(program.exists(), "{program:?}: tests/run installs it");
    let [program, socket, log, pid] = [
        program,
        edge.path("b2b.sock"),
        edge.path("b2b.log"),
        edge.path("b2b.pid"),
    ]
    .map(|p| text(&p));
    let own = format!("--sip_address={AGENT}");
    let next = format!("--static_route={SECOND}:5060");
    let [socket, log, pid] = [
        format!("--b2bua_socket={socket}"),
        format!("--logfile={log}"),
        format!("--pidfile={pid}"),
    ];
    edge.start(
        &edge.b,
        &[
            &program,
            "--foreground=on",
            "--auth_enable=off",
            "--acct_enable=off",
            &own,
            "--sip_port=5060",
            "--hide_call_id=on",
            &next,
            "--pass_headers=identity",
            &socket,
            &log,
            &pid,
        ],
    )
}

/// The legs at our edge, each egress leg with the ingress leg that its record names.
fn pairs(records: &[StoredCall]) -> Vec<(&StoredCall, &StoredCall, Pairing)> {
    let legs = |way| records.iter().filter(move |r| r.begin.direction == way);
    let pairs: Vec<_> = legs(Direction::Egress)
        .map(|egress| {
            let pair = egress
                .begin
                .pair
                .unwrap_or_else(|| panic!("alone: {egress:#?}"));
            let ingress = legs(Direction::Ingress).find(|i| i.begin.uid == pair.uid);
            (ingress.expect("its ingress leg"), egress, pair.how)
        })
        .collect();
    let distinct: BTreeSet<u64> = pairs.iter().map(|(i, ..)| i.begin.uid).collect();
    assert_eq!(
        distinct.len(),
        legs(Direction::Ingress).count(),
        "one call each"
    );
    assert_eq!(distinct.len(), pairs.len(), "one egress leg each");
    pairs
}

/// One call at our edge for every call placed, with the right legs and neighbours. The platform's own legs stand beside, named as such.
fn check(edge: &Edge, called: &str, how: Pairing, state: State) {
    wait_for_calls(edge, called, 4 * COUNT);
    let records = calls(edge, called);
    let pairs = pairs(&records);
    assert_eq!(pairs.len(), COUNT);
    for (ingress, egress, by) in pairs {
        let (i, e) = (&ingress.begin, &egress.begin);
        assert_eq!(by, how);
        assert_eq!(
            (i.peer.as_deref(), e.peer.as_deref()),
            (Some("northstar"), Some("westgate"))
        );
        assert_eq!((&*i.sensor, &*e.sensor), ("vb", "vb"));
        assert_eq!(i.numbers.from, e.numbers.from);
        assert_ne!(i.ids.call_id, e.ids.call_id);
        assert_eq!(i.verdict.passport, e.verdict.passport);
        for leg in [ingress, egress] {
            let end = leg.end.as_ref().expect("an end");
            assert_eq!(end.state, state, "{leg:#?}");
            assert!(!end.one_way);
            let released = (state == State::Answered).then_some(ReleasedBy::Caller);
            assert_eq!(end.released_by, released, "{leg:#?}");
            // From answer to BYE, as sipp's callers hold it.
            match end.duration_ms {
                Some(ms) => assert!((150..2_000).contains(&ms), "{leg:#?}"),
                None => assert_ne!(state, State::Answered, "{leg:#?}"),
            }
        }
        let lengths = [ingress, egress].map(|leg| leg.end.as_ref().unwrap().duration_ms);
        if let [Some(a), Some(b)] = lengths {
            assert!(a.abs_diff(b) < 300, "{a} and {b} ms of one call");
        }
    }
    let inside: Vec<_> = records
        .iter()
        .filter(|r| r.begin.direction == Direction::Unknown)
        .collect();
    assert_eq!(inside.len(), 2 * COUNT);
    for leg in inside {
        assert_eq!(
            (leg.begin.peer.as_deref(), &*leg.begin.sensor),
            (Some("own"), "lo")
        );
    }
}

#[test]
#[ignore = "needs root, ip, sipp, kamailio and sippy"]
fn peer_a_platform_of_proxies_and_an_agent_makes_one_call_of_each() {
    let chain = Chain::new();
    let edge = &chain.edge;
    let daemon = Daemon::start(edge);
    let (signed, plain, given_up) = ("12025550123", "12025550145", "12025550167");
    let callee = edge.callee(&edge.a, TAKER, "u1");
    let of = |called| Calls {
        rate: 20,
        padding: 0,
        remote: CONTACT,
        ..Calls::to(called, COUNT)
    };
    edge.place(&of(signed)).finish();
    let caller = edge.path("plain.xml");
    let identity = "Identity: [field2];info=<[field3]>;alg=ES256;ppt=shaken\n";
    let unsigned = include_str!("edge/caller.xml").replace(identity, "");
    fs::write(
        &caller,
        unsigned
            .replace("PADDING", "")
            .replace("[next_url]", CONTACT),
    )
    .unwrap();
    chain.place(&caller, plain);
    drop(callee);
    chain.give_up(given_up);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(daemon.stop().code, Some(0));
    check(edge, signed, Pairing::Passport, State::Answered);
    check(edge, plain, Pairing::Numbers, State::Answered);
    check(edge, given_up, Pairing::Numbers, State::Cancelled);
}
