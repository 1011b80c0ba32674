//! What it costs to find a neighbour among many: CPU time of one thread.
//!
//! `cargo bench --bench peers` (options: `-- RULES ROUNDS`)
//!
//! Three tables of as many rules: a network each; the same under a few wide ones; and four trunk groups at each address. For each, `resolve` with
//! what it takes to fill a record, and `side`, which every message asks for twice.

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};

use cpu_time::ThreadTime;
use tracehop::call::peer::{Peer, PeerKind, PeerRule, PeerTable, Seen, Words};
use tracehop::wire::{Flow, Transport};

fn main() {
    let mut numbers = std::env::args()
        .skip(1)
        .filter_map(|a| a.parse::<u32>().ok());
    let rules = numbers.next().unwrap_or(1_000);
    let rounds = numbers.next().unwrap_or(1_000_000);
    println!("{rules} rules, {rounds} rounds; nanoseconds of one thread");
    for (what, shared, wide) in [
        ("a network each", 1, 0),
        ("under eight wide ones", 1, 8),
        ("four trunk groups at each", 4, 0),
    ] {
        let table = table(rules, shared, wide);
        let flows: Vec<_> = (0..rules).map(|n| flow(n / shared)).collect();
        let words = Words {
            group: Some("TG-2"),
            ..Words::none()
        };
        let round = |f: &mut dyn FnMut(&Flow)| {
            let start = ThreadTime::now();
            // A step that shares no factor with most tables, so that none is asked for twice in a row.
            for n in 0..rounds {
                f(&flows[n as usize * 7_919 % flows.len()]);
            }
            start.elapsed().as_nanos() as f64 / f64::from(rounds)
        };
        let resolve = round(&mut |flow| {
            let seen = Seen { flow, sensor: None };
            black_box(table.resolve(black_box(seen), words));
        });
        let record = round(&mut |flow| {
            let seen = Seen { flow, sensor: None };
            let resolved = table.resolve(black_box(seen), words);
            black_box(table.attribution(resolved, seen, words));
        });
        let side = round(&mut |flow| {
            black_box(table.side(black_box(flow)));
        });
        println!(
            "{what:<28} resolve {resolve:>6.0}   with attribution {record:>6.0}   side {side:>6.0}"
        );
    }
}

fn table(rules: u32, shared: u32, wide: u32) -> PeerTable {
    let mut peers = vec![Peer::new("us", PeerKind::Own)];
    let mut all = vec![rule("us", 0, "192.0.2.0/28")];
    for n in 0..rules {
        peers.push(Peer::new(&format!("p{n}"), PeerKind::Provider));
        let group = (n % shared + 1 < shared).then(|| format!("TG-{}", n % shared).into());
        let net = format!("{}/28", host(n / shared));
        all.push(PeerRule {
            trunk_group: group,
            ..rule(&format!("r{n}"), peers.len() - 1, &net)
        });
    }
    for n in 0..wide {
        all.push(rule(&format!("w{n}"), 1, &format!("100.64.0.0/{}", 10 + n)));
    }
    PeerTable::new(peers, all, 1)
}

fn rule(name: &str, peer: usize, net: &str) -> PeerRule {
    PeerRule {
        networks: vec![net.parse().unwrap()],
        ..PeerRule::new(name, peer)
    }
}

/// Of shared address space (RFC 6598).
fn host(n: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x6440_0000 + n * 16)
}

fn flow(n: u32) -> Flow {
    Flow {
        source: SocketAddr::new(host(n).into(), 5060),
        destination: "192.0.2.1:5060".parse().unwrap(),
        transport: Transport::Udp,
        vlans: Default::default(),
        path: Default::default(),
        macs: Default::default(),
    }
}
