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

mod tally;
mod world;

use tally::Tally;
use world::world;

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
        for seed in 101..=103 {
            sum.add(&world(Model {
                seed,
                calls: 120_000,
                requests: 12_000,
                ..model
            }));
        }
        sum.print(name);
        match model.lost {
            // A redial through another upstream stands in for the lost call, and nothing in the records tells. Measured: 26 of 30,092 with harsh
            // clocks, for which the specification's own model gives 0.14 %.
            Lost::Unknown if model.clock_s > BASE.clock_s => {
                assert!(sum.automatic_wrong <= 42, "{name}: {sum:?}")
            }
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
