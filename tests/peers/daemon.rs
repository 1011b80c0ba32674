//! The daemon end to end: real calls on a real wire, with tshark beside it as the judge.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpStream;

use tracehop::base::digest::IdDigest;
use tracehop::call::record::{Direction, State, StoredCall};
use tracehop::stir::verify::Validation;
use tracehop::wire::{Provenance, Transport};

use super::edge::{CALLEE, CALLEE_V6, CALLER, CALLER_V6, Edge, until, within};
use super::run;
use super::running::{Daemon, calls, coverage, identities};
use super::support::text;
use super::traffic::{Calls, Invites, attestation};

/// Fails unless the records are those of the INVITEs that tshark saw, with the same Identity values.
fn assert_same(edge: &Edge, records: &[StoredCall], theirs: &Invites) {
    assert_eq!(records.len(), theirs.len());
    let ours: BTreeSet<_> = records.iter().map(|c| c.begin.ids.call_id).collect();
    assert_eq!(ours.len(), records.len(), "no call twice");
    for (call_id, (identity, _)) in theirs {
        let digest = IdDigest::of(call_id.as_bytes());
        let record = records.iter().find(|c| c.begin.ids.call_id == digest);
        let record = record.unwrap_or_else(|| panic!("{call_id} is missing"));
        assert_eq!(identities(edge, record.begin.uid), [identity.as_str()]);
    }
}

/// Fails unless the neighbour's call passed, was answered, and ended as it was placed.
fn assert_good(call: &StoredCall, n: usize, transport: Transport) {
    let b = &call.begin;
    assert_eq!(b.verdict.validation, Validation::Passed, "{call:#?}");
    assert_eq!(b.verdict.attest, Some(attestation(n)), "{call:#?}");
    assert_eq!(b.provenance, Provenance::Wire);
    assert_eq!(b.direction, Direction::Ingress);
    assert_eq!(b.peer.as_deref(), Some("northstar"));
    assert_eq!(b.transport, transport);
    let end = call.end.as_ref().unwrap_or_else(|| panic!("{call:#?}"));
    assert_eq!((end.state, end.code), (State::Answered, 200), "{call:#?}");
    let duration = end.duration_ms.unwrap();
    assert!((150..2_000).contains(&duration), "{call:#?}");
}

/// Which of its calls that was: the last digits of the calling number.
fn number(call: &StoredCall) -> usize {
    let from = call.begin.numbers.from.unwrap();
    from.as_str()[9..].parse().unwrap()
}

#[test]
#[ignore = "needs sipp, tcpdump, tshark, ip and root"]
fn peer_daemon_records_every_sipp_call_once_over_udp_tcp_and_ipv6() {
    const COUNT: usize = 40;
    for threads in [1, 3] {
        let edge = Edge::new();
        edge.configure(&format!(
            "[[capture.interface]]\nname = \"vb\"\nthreads = {threads}\n"
        ));
        let callees = [
            (CALLEE, "u1"),
            (CALLEE, "t1"),
            (CALLEE_V6, "u1"),
            (CALLEE_V6, "t1"),
        ];
        let _callees = callees.map(|(at, transport)| edge.callee(&edge.b, at, transport));
        let oracle = edge.tcpdump("oracle.pcap");
        let daemon = Daemon::start(&edge);
        let placed = [
            (CALLER, CALLEE, "u1", Transport::Udp, "12025550101"),
            (CALLER, CALLEE, "t1", Transport::Tcp, "12025550102"),
            (CALLER_V6, CALLEE_V6, "u1", Transport::Udp, "12025550103"),
            (CALLER_V6, CALLEE_V6, "tn", Transport::Tcp, "12025550104"),
        ];
        let sipps = placed.map(|(from, to, transport, _, called)| {
            edge.place(&Calls {
                from,
                to,
                transport,
                rate: 20,
                ..Calls::to(called, COUNT)
            })
        });
        sipps.into_iter().for_each(|sipp| sipp.finish());
        let fragments = daemon.metric(
            "tracehop_assembled_total",
            "outcome=\"fragments_completing\"",
        );
        let ended = daemon.stop();
        let theirs = oracle.end();
        assert_eq!(theirs.len(), 4 * COUNT, "the oracle sees every call");
        assert!(
            fragments >= 2.0 * COUNT as f64,
            "UDP comes in fragments: {fragments}"
        );
        let mut all = Vec::new();
        for (_, _, _, transport, called) in placed {
            let records = calls(&edge, called);
            assert_eq!(
                records.len(),
                COUNT,
                "{transport:?}, {threads} threads: {}",
                ended.said
            );
            for call in &records {
                assert_good(call, number(call), transport);
            }
            all.extend(records);
        }
        assert_same(&edge, &all, &theirs);
        let ledger = coverage(&edge, "vb");
        assert!(matches!(&ledger[..], [one] if one.looked()), "{ledger:#?}");
        assert_eq!(ledger[0].all["lost_fragments"], 0);
    }
}

#[test]
#[ignore = "needs sipp, tcpdump, tshark, ip and root"]
fn peer_daemon_that_is_restarted_in_mid_call_records_how_the_calls_end() {
    const COUNT: usize = 10;
    const CALLED: &str = "12025550124";
    let edge = Edge::new();
    edge.configure("[[capture.interface]]\nname = \"vb\"\nthreads = 2\n");
    let _callee = edge.callee(&edge.b, CALLEE, "u1");
    let daemon = Daemon::start(&edge);
    let sipp = edge.place(&Calls {
        rate: 20,
        hold_ms: 9_000,
        ..Calls::to(CALLED, COUNT)
    });
    until("answers", || {
        daemon.metric("tracehop_records_total", "half=\"end\"") >= COUNT as f64
    });
    daemon.stop();
    for call in &calls(&edge, CALLED) {
        let end = call.end.as_ref().unwrap();
        assert_eq!((end.state, end.duration_ms), (State::Answered, None));
    }
    let daemon = Daemon::start(&edge);
    sipp.finish();
    let resumed = daemon.metric("tracehop_attempt_events_total", "event=\"resumed\"");
    let ended = daemon.stop();
    assert_eq!(resumed as usize, COUNT, "{}", ended.said);
    let records = calls(&edge, CALLED);
    assert_eq!(records.len(), COUNT, "no record twice");
    for call in &records {
        let end = call.end.as_ref().unwrap();
        let duration = end.duration_ms.unwrap_or_else(|| panic!("{call:#?}"));
        assert!((8_500..12_000).contains(&duration), "{call:#?}");
    }
}

/// A mirror port that shows what comes in and nothing of what goes out.
const SPAN: &str = "table netdev span { chain copy { type filter hook ingress device \"vb\" priority 0; policy accept; dup to \"s0\"; }; }\n";

#[test]
#[ignore = "needs sipp, nft, tcpdump, tshark, ip and root"]
fn peer_daemon_on_a_mirror_port_of_one_direction_records_every_call() {
    const COUNT: usize = 40;
    const CALLED: &str = "12025550123";
    let edge = Edge::new();
    let b = edge.b.as_str();
    run(
        "ip",
        &[
            "-n", b, "link", "add", "s0", "type", "veth", "peer", "name", "s1",
        ],
    );
    for link in ["s0", "s1"] {
        run("ip", &["-n", b, "link", "set", link, "up"]);
    }
    let rules = text(&edge.path("span.nft"));
    fs::write(&rules, SPAN).unwrap();
    run("ip", &["netns", "exec", b, "nft", "-f", &rules]);
    edge.configure("[[capture.interface]]\nname = \"s1\"\nthreads = 2\n");
    let _callee = edge.callee(b, CALLEE, "u1");
    let oracle = edge.tcpdump("oracle.pcap");
    let daemon = Daemon::start(&edge);
    edge.place(&Calls::to(CALLED, COUNT)).finish();
    let ended = daemon.stop();
    let theirs = oracle.end();
    assert_eq!(theirs.len(), COUNT);
    let records = calls(&edge, CALLED);
    assert_eq!(records.len(), COUNT, "{}", ended.said);
    assert_same(&edge, &records, &theirs);
    for call in &records {
        assert_eq!(
            call.begin.verdict.validation,
            Validation::Passed,
            "{call:#?}"
        );
        // Nobody saw an answer, and nobody claims one.
        let answered = call.end.as_ref().is_some_and(|e| e.code != 0);
        assert!(!answered, "{call:#?}");
    }
}

/// What Kamailio does: takes calls over TLS, hands them on in clear, and mirrors both legs.
const PROXY: &str = r#"#!KAMAILIO
log_stderror=yes
children=1
tcp_children=2
auto_aliases=no
enable_tls=yes
listen=udp:198.51.100.2:5060
listen=tls:198.51.100.2:5061
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "siptrace.so"
loadmodule "tls.so"
modparam("siptrace", "duplicate_uri", "sip:127.0.0.1:9060")
modparam("siptrace", "trace_to_database", 0)
modparam("siptrace", "hep_mode_on", 1)
modparam("siptrace", "hep_version", 3)
modparam("siptrace", "hep_capture_id", 2001)
modparam("siptrace", "trace_on", 1)
modparam("siptrace", "trace_mode", 1)
modparam("tls", "config", "tls.cfg")
request_route {
  if (has_totag()) { if (loose_route()) t_relay(); else if (is_method("ACK")) t_check_trans(); exit; }
  t_check_trans(); record_route();
  $du = "sip:198.51.100.3:5060"; t_relay();
}
"#;

const PROXY_TLS: &str = "[server:default]\nmethod = TLSv1.2+\nprivate_key = tls.key\ncertificate = tls.pem\nverify_certificate = no\n\
                         require_certificate = no\n[client:default]\nmethod = TLSv1.2+\nverify_certificate = no\n";

#[test]
#[ignore = "needs sipp, kamailio, socat, openssl, tcpdump, tshark, ip and root"]
fn peer_daemon_records_both_legs_of_a_tls_trunk_once_from_kamailios_hep_and_the_wire() {
    const COUNT: usize = 20;
    const CALLED: &str = "12025550123";
    let edge = Edge::new();
    edge.configure(
        "[[capture.interface]]\nname = \"vb\"\n[hep]\nudp = [\"127.0.0.1:9060\"]\n\
         [[hep.agent]]\nname = \"proxy-a\"\nnetworks = [\"198.51.100.2/32\"]\nid = 2001\n",
    );
    fs::write(edge.path("proxy.cfg"), PROXY).unwrap();
    fs::write(edge.path("tls.cfg"), PROXY_TLS).unwrap();
    let [key, certificate] = ["tls.key", "tls.pem"].map(|f| text(&edge.path(f)));
    let request = [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=proxy.example.net",
    ];
    run(
        "openssl",
        &[&request[..], &["-keyout", &key, "-out", &certificate]].concat(),
    );
    let oracle = edge.tcpdump("oracle.pcap");
    let daemon = Daemon::start(&edge);
    let _callee = edge.callee(&edge.a, "198.51.100.3", "u1");
    let folder = text(edge.dir.path());
    let proxy = [
        "kamailio",
        "-f",
        "proxy.cfg",
        "-DD",
        "-E",
        "-w",
        &folder,
        "-Y",
        &folder,
        "-P",
        "kam.pid",
    ];
    let proxy = edge.start(&edge.b, &proxy);
    let to = format!("OPENSSL:{CALLEE}:5061,verify=0");
    let tunnel = [
        "socat",
        "TCP-LISTEN:5065,bind=127.0.0.1,fork,reuseaddr",
        &to,
    ];
    let _tunnel = edge.start(&edge.a, &tunnel);
    until("kamailio", || {
        within(&edge.a, || TcpStream::connect((CALLEE, 5061))).is_ok()
    });
    until("socat", || {
        within(&edge.a, || TcpStream::connect("127.0.0.1:5065")).is_ok()
    });
    let sipp = edge.place(&Calls {
        from: "127.0.0.1",
        to: "127.0.0.1",
        port: 5065,
        local_port: "5070",
        transport: "t1",
        rate: 20,
        ..Calls::to(CALLED, COUNT)
    });
    sipp.finish();
    // INVITE, 180, 200, ACK, BYE, 200 of the second leg came twice.
    let twice = || daemon.metric("tracehop_duplicates_total", "outcome=\"duplicates\"");
    until("every duplicate", || twice() >= 6.0 * COUNT as f64);
    // Kamailio ends its children by itself.
    proxy.signal("-TERM");
    let ended = daemon.stop();
    let theirs = oracle.end();
    assert_eq!(
        theirs.len(),
        COUNT,
        "in clear on the wire is the second leg alone"
    );
    let records = calls(&edge, CALLED);
    let (first, second): (Vec<_>, Vec<_>) = records
        .into_iter()
        .partition(|c| c.begin.transport == Transport::Tls);
    assert_eq!(
        (first.len(), second.len()),
        (COUNT, COUNT),
        "{}",
        ended.said
    );
    assert_same(&edge, &first, &theirs);
    assert_same(&edge, &second, &theirs);
    for call in first.iter().chain(&second) {
        let b = &call.begin;
        assert_eq!(b.verdict.validation, Validation::Passed, "{call:#?}");
        assert_eq!(b.verdict.attest, Some(attestation(number(call))));
        let end = call.end.as_ref().unwrap_or_else(|| panic!("{call:#?}"));
        assert_eq!((end.state, end.code), (State::Answered, 200), "{call:#?}");
    }
    for call in &first {
        let b = &call.begin;
        assert_eq!((b.provenance, &*b.sensor), (Provenance::Hep, "proxy-a"));
        assert_eq!(
            (b.direction, b.peer.as_deref()),
            (Direction::Ingress, Some("northstar"))
        );
    }
    for call in &second {
        let b = &call.begin;
        assert_eq!(b.transport, Transport::Udp);
        assert_eq!(
            (b.direction, b.peer.as_deref()),
            (Direction::Egress, Some("westgate"))
        );
    }
}
