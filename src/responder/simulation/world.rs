//! The world: calls that are dialled, refused, dialled again, and the requests that ask about them.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::tally::Tally;
use super::{DOWNSTREAMS, HOURS, Lost, Model, UPSTREAMS};
use crate::base::Timestamp;
use crate::call::peer::{Peer, PeerKind, PeerTable};
use crate::call::record::{Coverage, State, StoredCall};
use crate::number::Tn;
use crate::responder::answer;
use crate::store::memory::Memory;
use crate::traceback::TracebackSettings;
use crate::traceback::request::{HopRequest, ProviderIds};
use crate::traceback::sample;

/// One call of the world: the attempt that was delivered, and a failed one before it.
struct Traced {
    at: Timestamp,
    called: Tn,
    from: Tn,
    asserted: Option<Tn>,
    upstream: Arc<str>,
    downstream: u64,
    answered: Option<f64>,
    uids: [u64; 2],
}

pub(super) fn world(model: Model) -> Tally {
    let mut rng = Rng(model.seed);
    let mut records = Vec::new();
    let mut calls = Vec::new();
    while calls.len() < model.calls {
        let start = sample::T0
            .minute()
            .plus(rng.seconds(0.0, HOURS as f64 * 3600.0));
        dial(&mut rng, &model, start, &mut records, &mut calls);
    }
    let mut coverage = coverage(records.len());
    let (traced, gone) = pick(&mut rng, &model, &calls, &mut coverage);
    records.retain(|r| !gone.contains(&r.begin.uid));
    if model.lost == Lost::Outages {
        let looking = |at: Timestamp| coverage.iter().any(|c| c.from <= at && at < c.until);
        records.retain(|r| looking(r.begin.at));
    }
    let store = Memory::of(records, coverage).unwrap();
    let peers = neighbours();
    let settings = TracebackSettings {
        threshold: model.threshold,
        ..TracebackSettings::default()
    };
    let now = sample::T0.plus(Duration::from_secs(2 * 86_400));
    let mut tally = Tally::default();
    for i in traced {
        let Some(call) = calls.get(i) else { continue };
        let request = ask(&mut rng, &model, call);
        let answered = answer(&request, &store, &peers, &settings, now).unwrap();
        tally.count(&answered, &call.upstream, model.threshold);
    }
    tally
}

/// Dials one number, perhaps failing first, perhaps dialling again.
fn dial(
    rng: &mut Rng,
    model: &Model,
    start: Timestamp,
    records: &mut Vec<StoredCall>,
    calls: &mut Vec<Traced>,
) {
    let called = if rng.chance(0.3) {
        number("1888555", rng.below(200))
    } else {
        number("1202555", rng.below(60_000))
    };
    let from = if rng.chance(0.3) {
        number("1900555", rng.below(50))
    } else {
        number("1303555", rng.below(80_000))
    };
    let asserted = rng
        .chance(0.02)
        .then(|| number("1404555", rng.below(9_000)));
    let (mut upstream, mut downstream) = (rng.below(UPSTREAMS), rng.below(DOWNSTREAMS));
    let mut at = start;
    let attempt = |at, upstream: u64, downstream: u64| {
        let mut s = sample::call(0, &format!("u{upstream}"), &format!("d{downstream}"), 0);
        s.at = at;
        s.numbers.called = Some(called);
        s.numbers.from = Some(from);
        s.numbers.asserted = asserted;
        s
    };
    let fate = rng.unit();
    if fate < 0.15 {
        let failed = attempt(at, upstream, downstream);
        let failed = if fate < 0.12 {
            failed.never_passed()
        } else {
            failed.refused()
        };
        write(records, failed);
        at = at.plus(rng.seconds(0.5, 6.0));
        if rng.chance(0.6) {
            upstream = rng.below(UPSTREAMS);
        }
    }
    loop {
        let mut s = attempt(at, upstream, downstream);
        let answered = rng.chance(0.35).then(|| rng.exponential(20.0));
        for end in [Some(&mut s.ingress), s.egress.as_mut()]
            .into_iter()
            .flatten()
        {
            match answered {
                Some(seconds) => end.duration_ms = Some((seconds * 1000.0) as u32),
                None => {
                    (end.state, end.code, end.duration_ms) = (State::Cancelled, 487, None);
                    end.final_ms = Some(7_000);
                }
            }
        }
        let uids = write(records, s);
        calls.push(Traced {
            at: at.plus(Duration::from_millis(20)),
            called,
            from,
            asserted,
            upstream: format!("u{upstream}").into(),
            downstream,
            answered,
            uids,
        });
        if !rng.chance(model.redials) {
            return;
        }
        at = at.plus(rng.seconds(8.0, 120.0));
        if rng.chance(0.6) {
            upstream = rng.below(UPSTREAMS);
        }
        if rng.chance(0.2) {
            downstream = rng.below(DOWNSTREAMS);
        }
    }
}

fn write(records: &mut Vec<StoredCall>, mut s: sample::Sample) -> [u64; 2] {
    s.uid = records.len() as u64 + 1;
    let uids = [s.uid, s.uid + 1];
    records.extend(s.records());
    uids
}

/// Which calls are asked about, and which records are gone.
fn pick(
    rng: &mut Rng,
    model: &Model,
    calls: &[Traced],
    coverage: &mut Vec<Coverage>,
) -> (Vec<usize>, HashSet<u64>) {
    let traced: Vec<usize> = (0..model.requests)
        .map(|_| rng.below(calls.len() as u64) as usize)
        .collect();
    let mut gone = HashSet::new();
    match model.lost {
        Lost::Nothing => {}
        Lost::Unknown => {
            for call in traced.iter().filter_map(|i| calls.get(*i)) {
                if rng.chance(0.02) {
                    gone.extend(call.uids);
                }
            }
        }
        Lost::Outages => {
            let minutes = HOURS as u64 * 60;
            for _ in 0..2 {
                let from = sample::T0
                    .minute()
                    .plus(Duration::from_secs(60 * rng.below(minutes)));
                let until = from.plus(Duration::from_secs(60 * minutes / 100));
                coverage.retain(|c| c.from < from || c.from > until);
            }
        }
    }
    (traced, gone)
}

/// The request that the downstream would have sent.
fn ask(rng: &mut Rng, model: &Model, call: &Traced) -> HopRequest {
    let kind = rng.unit();
    let off = if kind < 0.90 {
        rng.normal(model.clock_s)
    } else if kind < 0.99 {
        rng.normal(15.0)
    } else {
        rng.normal(model.clock_s) + if rng.chance(0.5) { 3600.0 } else { -3600.0 }
    };
    let told = call.at.nanos() + (off * 1e9) as i64;
    let minute = 60_000_000_000;
    let (told, precision_s) = if rng.chance(0.3) {
        let shift = if rng.chance(0.5) { minute / 2 } else { 0 };
        ((told + shift).div_euclid(minute) * minute, 60.0)
    } else {
        (told.div_euclid(1_000_000_000) * 1_000_000_000, 1.0)
    };
    let mut request = sample::request();
    request.downstream = rng.chance(model.downstream_known).then(|| ProviderIds {
        provider_ids: vec![format!("D-{}", call.downstream)],
        name: None,
    });
    let c = &mut request.call;
    c.called = call.called;
    c.at = Timestamp::from_nanos(told);
    c.precision_s = precision_s;
    c.calling = Some(match call.asserted {
        Some(asserted) if rng.chance(0.15) => asserted,
        _ if rng.chance(0.012) => number("1505555", rng.below(9_000)),
        _ => call.from,
    });
    if rng.chance(0.5) {
        c.answered = Some(call.answered.is_some());
        c.duration_s = call.answered;
    }
    request
}

fn neighbours() -> PeerTable {
    let mut table = PeerTable::new(Vec::new(), Vec::new(), 1);
    for (letter, count) in [("u", UPSTREAMS), ("d", DOWNSTREAMS)] {
        for i in 0..count {
            let id = format!("{letter}{i}");
            table.peers.push(Peer {
                name: format!("{id} LLC").into(),
                portal_id: Some(format!("{}-{i}", letter.to_uppercase()).into()),
                ..Peer::new(&id, PeerKind::Provider)
            });
        }
    }
    table
}

/// A day of minutes without a hole; fourteen messages a call, both legs, within the six hours.
fn coverage(records: usize) -> Vec<Coverage> {
    let first = sample::T0.minute().secs() - 16 * 3600;
    (0..38 * 60)
        .map(|i| {
            let busy = (16 * 60..(16 + HOURS) * 60).contains(&i);
            let messages = if busy {
                records as u64 * 7 / (HOURS as u64 * 60)
            } else {
                0
            };
            Coverage {
                sensor: "edge1".into(),
                from: Timestamp::from_secs(first + i * 60),
                until: Timestamp::from_secs(first + (i + 1) * 60),
                packets: messages,
                messages,
                ..Coverage::default()
            }
        })
        .collect()
}

fn number(prefix: &str, n: u64) -> Tn {
    Tn::from_canonical(format!("{prefix}{n:04}").as_bytes()).unwrap()
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    fn seconds(&mut self, from: f64, to: f64) -> Duration {
        Duration::from_secs_f64(from + self.unit() * (to - from))
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    fn normal(&mut self, sigma: f64) -> f64 {
        let (u, v) = (1.0 - self.unit(), self.unit());
        sigma * (-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos()
    }
}
