//! Thousands of requests about calls of which the truth is known, through the whole responder.
//!
//! The model is that of the matcher's specification: 40 upstreams, 15 downstreams, calls over six hours. 15 % of the calls had a
//! failed attempt 0.5 to 6 s before (12 % never passed on, 3 % refused by the same downstream), and 60 % of the retries draw
//! their upstream anew; 5 % are dialled again. 30 % of the requests tell the minute only; clocks differ by σ 1.5 s (90 %),
//! 15 s (9 %) or exactly an hour (1 %). 1.5 % of the requests carry another calling number than From, the downstream is
//! known in 90 %, and half of the requests tell whether the call was answered and for how long.
//!
//! What the specification leaves open is chosen here: three tenths of the calls go to 200 busy numbers, three tenths come from 50
//! campaign numbers, the rest are spread over tens of thousands; a call is dialled again after 8 to 120 s and goes to the
//! same downstream in four cases of five; a time to the minute is cut or rounded with equal chance. Legs share no identifier, so
//! that ingress and egress are paired by their numbers alone.
//!
//! None of this is field data: it shows that the matcher does what it claims under its own assumptions, and what a lost leg does to it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::memory::Memory;
use super::*;
use crate::call::peer::{Peer, PeerKind};
use crate::call::record::{Coverage, State, StoredCall};
use crate::number::Tn;
use crate::traceback::request::ProviderIds;
use crate::traceback::sample;

const HOURS: i64 = 6;
const UPSTREAMS: u64 = 40;
const DOWNSTREAMS: u64 = 15;

/// What is lost.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lost {
    Nothing,
    /// The sensor was down for 2 % of the time, and says so.
    Outages,
    /// The legs of 2 % of the traced calls are gone, and nobody knows.
    Unknown,
}

#[derive(Clone, Copy, Debug)]
struct Model {
    seed: u64,
    calls: usize,
    requests: usize,
    /// Spread of the clocks in the world; the matcher reckons with 1.5 s.
    clock_s: f64,
    redials: f64,
    downstream_known: f64,
    threshold: f64,
    lost: Lost,
}

const BASE: Model = Model {
    seed: 1,
    calls: 40_000,
    requests: 3_000,
    clock_s: 1.5,
    redials: 0.05,
    downstream_known: 0.9,
    threshold: 0.99,
    lost: Lost::Nothing,
};

#[derive(Clone, Debug, Default)]
struct Tally {
    requests: u32,
    automatic: u32,
    automatic_wrong: u32,
    /// Named for a person to confirm.
    proposed: u32,
    proposed_wrong: u32,
    ambiguous: u32,
    not_found: u32,
    gap: u32,
    /// What the posterior alone would have answered, without any other gate.
    posterior: u32,
    posterior_wrong: u32,
}

#[test]
fn no_automatic_answer_is_wrong() {
    let t = run(BASE, "base");
    assert_eq!(t.automatic_wrong, 0);
    assert!(t.share(t.automatic) > 0.80, "{t:?}");
    assert!(t.share(t.posterior) > 0.90, "{t:?}");
    let harsh = Model {
        clock_s: 4.0,
        redials: 0.15,
        seed: 2,
        requests: 1_500,
        calls: 20_000,
        ..BASE
    };
    let t = run(harsh, "harsh");
    assert_eq!(t.automatic_wrong, 0);
    assert!(t.share(t.automatic) > 0.60, "{t:?}");
}

#[test]
fn no_automatic_answer_is_wrong_around_a_gap_that_is_known() {
    let t = run(
        Model {
            lost: Lost::Outages,
            seed: 3,
            requests: 2_000,
            calls: 20_000,
            ..BASE
        },
        "known outages of 2 %",
    );
    assert_eq!(t.automatic_wrong, 0);
    assert!(t.gap > 0 && t.share(t.automatic) > 0.70, "{t:?}");
}

#[test]
fn a_lost_leg_that_nobody_knows_of_rarely_makes_an_answer_wrong() {
    let t = run(
        Model {
            lost: Lost::Unknown,
            seed: 4,
            requests: 2_000,
            calls: 20_000,
            ..BASE
        },
        "2 % of the traced legs lost, unknown",
    );
    // Sixty calls' worth of temptation; without the gate on delivery 0.23 % of the answers would be wrong.
    assert!(t.automatic_wrong <= 2, "{t:?}");
}

/// The acceptance run: 36,000 requests, and as many under harsher clocks and with lost legs. Two minutes, so only on demand.
///
/// When last run: base 90.0 % automatic and none wrong of 32,400; strict 87.2 %, none; harsh 73.2 %, 1; harsh without a downstream
/// 71.8 %, 1; known outages 85.9 %, none; 2 % lost without anybody knowing 88.0 %, 5 (0.016 %), strict 4, harsh 15 (0.06 %).
#[test]
#[ignore = "two minutes of work"]
fn acceptance() {
    let variants = [
        ("base", BASE),
        (
            "base, 0.999",
            Model {
                threshold: 0.999,
                ..BASE
            },
        ),
        (
            "harsh",
            Model {
                clock_s: 4.0,
                redials: 0.15,
                ..BASE
            },
        ),
        (
            "harsh, downstream unknown",
            Model {
                clock_s: 4.0,
                redials: 0.15,
                downstream_known: 0.0,
                ..BASE
            },
        ),
        (
            "known outages of 2 %",
            Model {
                lost: Lost::Outages,
                ..BASE
            },
        ),
        (
            "2 % lost, unknown",
            Model {
                lost: Lost::Unknown,
                ..BASE
            },
        ),
        (
            "2 % lost, unknown, 0.999",
            Model {
                lost: Lost::Unknown,
                threshold: 0.999,
                ..BASE
            },
        ),
        (
            "2 % lost, unknown, harsh",
            Model {
                lost: Lost::Unknown,
                clock_s: 4.0,
                redials: 0.15,
                ..BASE
            },
        ),
    ];
    for (name, model) in variants {
        let mut sum = Tally::default();
        for seed in 1..=3 {
            sum.add(&world(Model {
                seed,
                calls: 120_000,
                requests: 12_000,
                ..model
            }));
        }
        sum.print(name);
        match model.lost {
            // A redial through another upstream stands in for the lost call, and nothing in the records tells.
            Lost::Unknown => assert!(sum.automatic_wrong <= 20, "{name}: {sum:?}"),
            // One in ten thousand is what 30,000 right answers can show; the harsh clocks are not what the matcher reckons with.
            _ if model.clock_s > BASE.clock_s => {
                assert!(sum.automatic_wrong <= 3, "{name}: {sum:?}")
            }
            _ => assert_eq!(sum.automatic_wrong, 0, "{name}: {sum:?}"),
        }
    }
}

fn run(model: Model, name: &str) -> Tally {
    let t = world(model);
    t.print(name);
    t
}

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

fn world(model: Model) -> Tally {
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
    let store = Memory::of(records, coverage);
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

impl Tally {
    fn count(&mut self, a: &Answered, truth: &str, threshold: f64) {
        self.requests += 1;
        let named = a
            .answer
            .upstream
            .as_ref()
            .map(|p| p.name.trim_end_matches(" LLC") == truth);
        match (named, a.explanation.automatic) {
            (Some(right), true) => {
                self.automatic += 1;
                self.automatic_wrong += u32::from(!right);
            }
            (Some(right), false) => {
                self.proposed += 1;
                self.proposed_wrong += u32::from(!right);
            }
            (None, _) => match a.answer.resolution {
                Resolution::NotFound => self.not_found += 1,
                Resolution::CaptureGap => self.gap += 1,
                _ => self.ambiguous += 1,
            },
        }
        if let Some((name, p)) = a.explanation.upstreams.first()
            && *p >= threshold
        {
            self.posterior += 1;
            self.posterior_wrong += u32::from(name != truth);
        }
    }

    fn add(&mut self, o: &Self) {
        self.requests += o.requests;
        self.automatic += o.automatic;
        self.automatic_wrong += o.automatic_wrong;
        self.proposed += o.proposed;
        self.proposed_wrong += o.proposed_wrong;
        self.ambiguous += o.ambiguous;
        self.not_found += o.not_found;
        self.gap += o.gap;
        self.posterior += o.posterior;
        self.posterior_wrong += o.posterior_wrong;
    }

    fn share(&self, n: u32) -> f64 {
        f64::from(n) / f64::from(self.requests.max(1))
    }

    fn print(&self, name: &str) {
        let percent = |n| 100.0 * self.share(n);
        println!(
            "{name}: {} requests; automatic {:.2} % ({} wrong); for a person: named {:.2} % ({} wrong), ambiguous {:.2} %, \
             gap {:.2} %, not found {:.2} %; posterior alone {:.2} % ({} wrong)",
            self.requests,
            percent(self.automatic),
            self.automatic_wrong,
            percent(self.proposed),
            self.proposed_wrong,
            percent(self.ambiguous),
            percent(self.gap),
            percent(self.not_found),
            percent(self.posterior),
            self.posterior_wrong,
        );
    }
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
