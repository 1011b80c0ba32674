//! The daemon end to end: real calls on a real wire, with tshark beside it as the judge.

use std::collections::BTreeSet;

use tracehop::base::digest::IdDigest;
use tracehop::call::record::{Direction, State, StoredCall};
use tracehop::stir::verify::Validation;
use tracehop::wire::{Provenance, Transport};

use super::edge::{CALLEE, CALLEE_V6, CALLER, CALLER_V6, Calls, Edge, Invites, attestation};
use super::running::{Daemon, calls, coverage, identities};

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
