//! The same calls in every encapsulation: the same messages, and the same records but for VLANs.

mod support;

use std::net::SocketAddr;

use clap::ValueEnum;
use support::{Lab, Recorder};
use tracehop::base::Timestamp;
use tracehop::capture::Merge;
use tracehop::engine::assemble::{AssembleCounters, AssembleLimits, Assembler};
use tracehop::lab::{Encapsulation, LabOptions};
use tracehop::wire::tunnel::{TunnelPath, Tunnels};
use tracehop::wire::{Cut, Message, Transport};

fn lab(encapsulation: Encapsulation, outer_mtu: usize) -> Lab {
    Lab::with(|options| LabOptions {
        seed: 5,
        calls: 400,
        lossy: false,
        encapsulation,
        outer_mtu,
        ..options
    })
}

fn messages(lab: &Lab, tunnels: Tunnels) -> (Vec<Message>, AssembleCounters) {
    let mut source = Merge::open(lab.captures().into_iter().map(|f| (f, 0))).unwrap();
    let mut assembler = Assembler::new(AssembleLimits::default()).with_tunnels(tunnels);
    while let Some(event) = source.next_event().unwrap() {
        event.feed(&mut assembler);
    }
    assembler.finish();
    let counters = assembler.counters();
    assert_eq!(counters.imbalance(), None);
    let out = std::iter::from_fn(|| assembler.poll_message()).collect();
    (out, counters)
}

type Seen = (
    u64,
    Timestamp,
    SocketAddr,
    SocketAddr,
    Transport,
    Option<Cut>,
    Vec<u8>,
);

/// What must be the same.
fn seen(messages: &[Message]) -> Vec<Seen> {
    let one = |m: &Message| {
        let f = &m.flow;
        let bytes = m.bytes.clone();
        (
            m.seq,
            m.at,
            f.source,
            f.destination,
            f.transport,
            m.cut,
            bytes,
        )
    };
    messages.iter().map(one).collect()
}

#[test]
fn every_encapsulation_gives_the_same_messages_whole_and_in_fragments() {
    let (plain, c) = messages(&lab(Encapsulation::None, 1_500), Tunnels::default());
    let want = seen(&plain);
    let inner_fragments = c.frames_fragment;
    assert!(want.len() > 3_000 && inner_fragments > 500);
    for encapsulation in Encapsulation::value_variants() {
        for mtu in [9_000, 600] {
            let (got, c) = messages(&lab(*encapsulation, mtu), Tunnels::default());
            assert!(seen(&got) == want, "{encapsulation:?} {mtu}: {c:?}");
            let is_tunnel = got.iter().all(|m| m.flow.path != TunnelPath::none());
            let plain = matches!(encapsulation, Encapsulation::None | Encapsulation::Qinq);
            assert_eq!(is_tunnel, !plain, "{encapsulation:?}");
            let below_ip = matches!(
                encapsulation,
                Encapsulation::Mpls | Encapsulation::Pseudowire | Encapsulation::Pppoe
            );
            if !plain && !below_ip && mtu < 9_000 {
                assert!(c.frames_fragment > inner_fragments, "outer fragments");
            }
        }
    }
}

#[test]
fn a_tunnel_that_is_off_hides_its_calls() {
    let lab = lab(Encapsulation::Vxlan, 1_500);
    let (got, c) = messages(&lab, Tunnels::none());
    assert!(got.is_empty() && c.udp_not_sip > 3_000);
}

#[test]
fn every_encapsulation_gives_the_same_records() {
    let records = |encapsulation, mtu| {
        let mut recorder = Recorder::default();
        lab(encapsulation, mtu).replay(&mut recorder, 2);
        recorder
    };
    let want = records(Encapsulation::None, 1_500);
    // Tunnels that carry packets leave VLANs and hardware addresses of the laboratory's frames behind, and with them the rules of some neighbours.
    for (encapsulation, mtu) in [
        (Encapsulation::Pseudowire, 1_500),
        (Encapsulation::Erspan3, 600),
        (Encapsulation::Vxlan, 1_500),
    ] {
        let got = records(encapsulation, mtu);
        assert_eq!(got.begins.len(), want.begins.len(), "{encapsulation:?}");
        for (got, want) in got.calls().iter().zip(want.calls()) {
            assert_eq!(*got, want, "{encapsulation:?}");
        }
    }
}
