//! Calls that only their number makes remarkable: robocallers, floods and their like, each beside lawful traffic that looks nearly the same.
//!
//! Two hours of a run are quiet, so that usual is known; then the same day comes round every two hours, with other numbers. What is meant for
//! whom is said here. Rates are guesses, made by somebody who had read the engine's thresholds: what is found of them measures delay and confusion, and is no blind test.

use std::collections::BTreeSet;

use super::plan::{Outcome, Plan, Route, SECOND};
use super::traffic::Planner;
use crate::call::classify::Flag;
use crate::lab::kind::Kind;
use crate::lab::lists::ANSWERING_POINT;
use crate::lab::network::{Neighbour, OWN_NUMBERS};
use crate::lab::random::Random;
use crate::lab::truth::Behaviour;
use crate::stir::verify::Attestation;

const MINUTE: i64 = 60 * SECOND;
/// How long a run is quiet, and then one round.
const ROUND: i64 = 120 * MINUTE;
/// For how long after its end a behaviour may still be seen in counts of an hour.
const AFTER: i64 = 60 * MINUTE;

/// Calls that belong together.
struct Scenario {
    name: &'static str,
    up: &'static [&'static str],
    /// Minutes of the round: first, and how many.
    from: i64,
    minutes: i64,
    /// Calls a minute.
    rate: i64,
    /// Flags that are meant, and those that are no mistake either.
    flags: &'static [Flag],
    also: &'static [Flag],
    caller: Who,
    called: Who,
    /// Answered in a hundred; seconds of talk, least and most.
    answered: u64,
    talk: (i64, i64),
    /// Signed with A.
    signed: bool,
}

/// A side of such calls.
#[derive(Clone, Copy, PartialEq)]
enum Who {
    /// One number in each round.
    One,
    /// A number of this list's answering point.
    AnsweringPoint,
    /// One toll-free number.
    TollFree,
    /// Anybody.
    Anybody,
    /// One number after the other.
    Ascending,
    /// Any of one block of a thousand.
    Block,
    /// One of our customers' numbers.
    Customer,
}

const NOTHING: Scenario = Scenario {
    name: "",
    up: &[],
    from: 0,
    minutes: 0,
    rate: 0,
    flags: &[],
    also: &[],
    caller: Who::One,
    called: Who::Anybody,
    answered: 0,
    talk: (0, 0),
    signed: false,
};

const SCENARIOS: &[Scenario] = &{
    use Flag::*;
    [
        Scenario {
            name: "robocaller",
            up: &["bargain"],
            from: 5,
            minutes: 20,
            rate: 90,
            flags: &[HighVolume, ShortCalls],
            also: &[LowAnswer],
            answered: 16,
            talk: (2, 8),
            ..NOTHING
        },
        Scenario {
            name: "low-answer",
            up: &["meridian"],
            minutes: 60,
            rate: 8,
            flags: &[LowAnswer],
            answered: 4,
            talk: (20, 90),
            ..NOTHING
        },
        Scenario {
            name: "short-calls",
            up: &["northstar"],
            from: 60,
            minutes: 50,
            rate: 6,
            flags: &[ShortCalls],
            answered: 40,
            talk: (1, 6),
            ..NOTHING
        },
        Scenario {
            name: "snowshoe",
            up: &["meridian"],
            from: 65,
            minutes: 40,
            rate: 200,
            flags: &[Snowshoe],
            also: &[LowAnswer, ShortCalls, MixChange],
            caller: Who::Anybody,
            answered: 12,
            talk: (3, 25),
            ..NOTHING
        },
        Scenario {
            name: "sequential",
            up: &["keystone"],
            from: 10,
            minutes: 10,
            rate: 20,
            flags: &[SequentialDialling],
            called: Who::Ascending,
            answered: 30,
            talk: (10, 120),
            ..NOTHING
        },
        Scenario {
            name: "sequential-by-many",
            up: &["prairie"],
            from: 30,
            minutes: 8,
            rate: 60,
            flags: &[SequentialDialling],
            caller: Who::Anybody,
            called: Who::Ascending,
            answered: 30,
            talk: (10, 120),
            ..NOTHING
        },
        Scenario {
            name: "flood",
            up: &["northstar", "westgate", "tidewater"],
            from: 75,
            minutes: 5,
            rate: 150,
            flags: &[Flood],
            caller: Who::Anybody,
            called: Who::One,
            answered: 10,
            talk: (2, 30),
            ..NOTHING
        },
        Scenario {
            name: "flood-of-a-prefix",
            up: &["northstar", "westgate", "keystone"],
            from: 86,
            minutes: 3,
            rate: 900,
            flags: &[Flood],
            caller: Who::Anybody,
            called: Who::Block,
            answered: 10,
            talk: (2, 30),
            ..NOTHING
        },
        Scenario {
            name: "protected-flood",
            up: &["northstar", "keystone"],
            from: 96,
            minutes: 6,
            rate: 45,
            flags: &[ProtectedFlood],
            also: &[Flood],
            caller: Who::Anybody,
            called: Who::AnsweringPoint,
            answered: 60,
            talk: (5, 40),
            ..NOTHING
        },
        // What looks like it and is none.
        Scenario {
            name: "call-centre",
            up: &["northstar"],
            minutes: 120,
            rate: 25,
            answered: 58,
            talk: (40, 280),
            signed: true,
            ..NOTHING
        },
        Scenario {
            name: "notification",
            up: &["westgate"],
            from: 40,
            minutes: 15,
            rate: 70,
            answered: 68,
            talk: (18, 42),
            signed: true,
            ..NOTHING
        },
        Scenario {
            name: "hot-toll-free",
            up: &["northstar", "westgate", "keystone", "tidewater"],
            from: 20,
            minutes: 10,
            rate: 110,
            caller: Who::Anybody,
            called: Who::TollFree,
            answered: 70,
            talk: (30, 200),
            ..NOTHING
        },
        Scenario {
            name: "office-exchange",
            up: &["acme"],
            minutes: 120,
            rate: 12,
            caller: Who::Customer,
            answered: 55,
            talk: (10, 240),
            ..NOTHING
        },
    ]
};

/// What a neighbour's other calls may be flagged with beside such calls: the neighbour is what is counted.
const BESIDE: &[Flag] = {
    use Flag::*;
    &[
        MixChange,
        Snowshoe,
        ShortCalls,
        LowAnswer,
        SequentialDialling,
    ]
};

/// Their calls in this slice of the run, added to what goes on beside them.
pub fn calls(planner: &mut Planner, plans: &mut Vec<Plan>) {
    let scope = planner.scope;
    let round = (scope.start - scope.run).div_euclid(ROUND);
    // A slice is shorter than a round, so it lies in two of them at most.
    for round in [round, round + 1] {
        let begin = scope.run + round * ROUND;
        if round < 1 || begin >= scope.start + scope.span {
            continue;
        }
        mix_change(plans, begin, round);
        for (scenario, n) in SCENARIOS.iter().zip(0..) {
            beside(scenario, plans, begin);
            // The numbers of a round are the same in every slice, whatever the slice's own seed.
            let mut rng = Random::new(u64::try_from(round * 100 + n).unwrap_or(0), scenario.name);
            let subject = Subject::new(scenario, planner, &mut rng);
            let from = begin + scenario.from * MINUTE;
            let step = MINUTE / scenario.rate;
            let before = (scope.start - from).div_euclid(step).max(0);
            let until = (scope.start + scope.span - from).div_euclid(step) + 1;
            for i in before..until.min(scenario.minutes * scenario.rate) {
                let at = from + i * step + (i * 7_919).rem_euclid(step);
                if (scope.start..scope.start + scope.span).contains(&at) {
                    plans.extend(subject.call(planner, scenario, at, i));
                }
            }
        }
    }
}

/// What the calls of one round have in common.
struct Subject {
    caller: String,
    called: String,
    name: String,
}

impl Subject {
    fn new(scenario: &Scenario, planner: &Planner, rng: &mut Random) -> Self {
        let mut numbers = planner.with(rng.clone());
        let caller = numbers.other_number("");
        let called = match scenario.called {
            Who::AnsweringPoint => ANSWERING_POINT.to_owned(),
            Who::TollFree => "18005550160".to_owned(),
            _ => numbers.other_number(&caller),
        };
        let name = match (scenario.caller, scenario.called) {
            (Who::One, _) => caller.clone(),
            (_, Who::Block) => called[..8].to_owned(),
            (_, Who::One | Who::AnsweringPoint | Who::TollFree) => called.clone(),
            _ => scenario.up.concat(),
        };
        // The same in another round is another matter.
        let name = format!("{} {name} {}", scenario.name, rng.below(1_000));
        Self {
            caller,
            called,
            name,
        }
    }

    fn call(&self, planner: &mut Planner, s: &Scenario, at: i64, i: i64) -> Option<Plan> {
        let i = usize::try_from(i).unwrap_or(0);
        let up = Neighbour::named(s.up.get(i % s.up.len())?)?;
        let down = planner.downstream();
        let mut plan = planner.ordinary(at, up, down);
        plan.memory.set_apart = true;
        plan.calling = match s.caller {
            Who::One => self.caller.clone(),
            // An office shows the number of each desk.
            Who::Customer => format!("170355501{:02}", i % 30),
            _ => plan.calling,
        };
        plan.called = match s.called {
            Who::One | Who::AnsweringPoint | Who::TollFree => self.called.clone(),
            Who::Block => format!("{}1{:02}", &self.called[..8], planner.rng.below(100)),
            Who::Ascending => ascending(&self.called, i),
            _ => planner.other_number(&plan.calling),
        };
        if OWN_NUMBERS.iter().any(|own| plan.called.starts_with(own)) {
            plan.route = Route::ToOwn;
        }
        if s.signed {
            (plan.kind, plan.attest) = (Kind::Valid(Attestation::A), Attestation::A);
        }
        let ms = 1_000_000;
        plan.outcome = if planner.rng.below(100) < s.answered {
            Outcome::Answered {
                ring: planner.rng.between(1_500, 12_000) * ms,
                talk: planner.rng.between(s.talk.0 * 1_000, s.talk.1 * 1_000) * ms,
                by_caller: planner.rng.chance(0.3),
            }
        } else {
            match planner.rng.below(3) {
                0 => Outcome::Cancelled {
                    after: planner.rng.between(8_000, 25_000) * ms,
                },
                1 => Outcome::Final {
                    code: 486,
                    after: planner.rng.between(200, 900) * ms,
                },
                _ => Outcome::Final {
                    code: 404,
                    after: planner.rng.between(30, 300) * ms,
                },
            }
        };
        plan.behaviour = Some(Behaviour {
            name: s.name,
            subject: self.name.clone(),
            flags: s.flags,
            also: if s.flags.is_empty() { &[] } else { also(s) },
        });
        Some(plan)
    }
}

/// What is no mistake on a call of a scenario: its own, and what its neighbour's counts may come to.
fn also(s: &Scenario) -> &'static [Flag] {
    if s.also.is_empty() {
        &[Flag::MixChange]
    } else {
        s.also
    }
}

/// Number `i` after another: a hundred lines, then those of the next area code that can be.
fn ascending(first: &str, i: usize) -> String {
    let area = first
        .get(1..4)
        .and_then(|a| a.parse::<usize>().ok())
        .unwrap_or(300);
    let area = 200 + (area - 200 + i / 100) % 600;
    // Area codes with 9 in the middle, and 11 at the end, can't be.
    let area = match (area / 10 % 10, area % 10) {
        (9, _) => area - 20,
        (1, 1) => area + 1,
        _ => area,
    };
    format!("1{area}55501{:02}", i % 100)
}

/// Other calls of a neighbour through whom such calls run.
fn beside(s: &Scenario, plans: &mut [Plan], begin: i64) {
    if s.flags.is_empty() {
        return;
    }
    let window = begin + s.from * MINUTE..begin + (s.from + s.minutes) * MINUTE + AFTER;
    for plan in plans
        .iter_mut()
        .filter(|p| window.contains(&p.at) && p.behaviour.is_none())
    {
        if plan.upstream.is_some_and(|u| s.up.contains(&u.id)) {
            plan.behaviour = Some(Behaviour {
                name: "beside",
                subject: String::new(),
                flags: &[],
                also: BESIDE,
            });
        }
    }
}

/// For an hour of each round nothing that comes through one neighbour is signed.
fn mix_change(plans: &mut [Plan], begin: i64, round: i64) {
    let up = "tidewater";
    let (from, until) = (begin + 10 * MINUTE, begin + 60 * MINUTE);
    let through = |p: &Plan| {
        p.upstream.is_some_and(|u| u.id == up) && !p.memory.set_apart && p.case.is_none()
    };
    let valid = |p: &Plan| {
        matches!(
            p.kind,
            Kind::Valid(_) | Kind::QuotedPpt | Kind::CompactName | Kind::Folded | Kind::TwoHeaders
        )
    };
    let families: BTreeSet<usize> = plans
        .iter()
        .filter(|p| (from..until).contains(&p.at) && through(p) && valid(p))
        .map(|p| p.family)
        .collect();
    for plan in plans.iter_mut() {
        // Attempts of one call have one PASSporT, or none.
        if families.contains(&plan.family) {
            plan.kind = Kind::Unsigned;
        }
        if through(plan) && (from..until + AFTER).contains(&plan.at) {
            let meant = plan.at < until;
            plan.behaviour = Some(Behaviour {
                name: if meant { "mix-change" } else { "beside" },
                subject: if meant {
                    format!("mix-change {up} {round}")
                } else {
                    String::new()
                },
                flags: if meant { &[Flag::MixChange] } else { &[] },
                also: BESIDE,
            });
        }
    }
}
