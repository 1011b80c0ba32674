//! Traffic that opens each kind of finding, and honest traffic that looks like it and opens none.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::call::classify::finding::{Change, Subject};

/// 2026-11-24 09:00 UTC.
const START: i64 = 1_795_510_800;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Talked(u32),
    NotTaken,
    Unseen,
}

#[derive(Clone, Debug)]
struct Planned {
    ms: i64,
    peer: &'static str,
    from: u64,
    to: u64,
    attested: bool,
    outcome: Outcome,
}

/// A random source that is the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        sketch::spread(self.0.into()) % sides
    }
}

/// `count` calls, evenly over `seconds`.
fn calls(count: i64, seconds: i64, mut one: impl FnMut(i64) -> Planned) -> Vec<Planned> {
    (0..count)
        .map(|n| Planned {
            ms: n * seconds * 1_000 / count,
            ..one(n)
        })
        .collect()
}

fn plan(from: u64, to: u64, outcome: Outcome) -> Planned {
    Planned {
        ms: 0,
        peer: "north",
        from,
        to,
        attested: false,
        outcome,
    }
}

/// What ordinary subscribers of a neighbour do in an hour.
fn ordinary(peer: &'static str, count: i64, seconds: i64, seed: u64) -> Vec<Planned> {
    let mut dice = Dice(seed);
    calls(count, seconds, |_| {
        let answered = dice.roll(100) < 60;
        let seconds = 20 + u32::try_from(dice.roll(300)).unwrap();
        Planned {
            peer,
            attested: dice.roll(100) < 50,
            ..plan(
                13_035_550_000 + dice.roll(5_000) * 7,
                12_025_000_000 + dice.roll(900_000) * 11,
                if answered {
                    Outcome::Talked(seconds)
                } else {
                    Outcome::NotTaken
                },
            )
        }
    })
}

fn end(uid: u64, state: State, duration_ms: Option<u32>) -> End {
    End {
        uid,
        begun_at: Timestamp::from_secs(START),
        called: None,
        state,
        code: match state {
            State::Answered => 200,
            _ => 486,
        },
        cause: None,
        stir_cause: None,
        disagrees: false,
        ringing_ms: None,
        final_ms: Some(8_000),
        duration_ms,
        released_by: None,
        one_way: false,
        retransmissions: 0,
        forks: 0,
        auth_retries: 0,
    }
}

/// Runs calls with their ends, in order of time. Gives the flags of each call, and the findings.
fn run_with(b: &mut Behaviours, mut plan: Vec<Planned>) -> (Vec<(Planned, Flags)>, Vec<Finding>) {
    plan.sort_by_key(|p| p.ms);
    let mut flagged = Vec::new();
    let mut ends: BTreeMap<(i64, u64), End> = BTreeMap::new();
    let mut findings = Vec::new();
    let at = |ms: i64| Timestamp::from_nanos(START * 1_000_000_000 + ms * 1_000_000);
    for (uid, p) in (1u64..).zip(plan) {
        while let Some(entry) = ends.first_entry().filter(|e| e.key().0 <= p.ms) {
            let ((ms, _), end) = entry.remove_entry();
            b.handle_time(at(ms));
            b.handle_end(&end);
        }
        let peer: Arc<str> = p.peer.into();
        let (from, to) = (Tn::from_u64(p.from), Tn::from_u64(p.to));
        let call = Call {
            uid,
            at: at(p.ms),
            peer: Some(&peer).filter(|p| !p.is_empty()),
            calling: from.as_ref(),
            called: to.as_ref(),
            attested: p.attested,
            unsigned: !p.attested,
        };
        let flags = b.handle_call(&call);
        match p.outcome {
            Outcome::Talked(seconds) => {
                ends.insert((p.ms + 8_000, uid), end(uid, State::Answered, None));
                let over = p.ms + 8_000 + i64::from(seconds) * 1_000;
                ends.insert(
                    (over, uid),
                    end(uid, State::Answered, Some(seconds * 1_000)),
                );
            }
            Outcome::NotTaken => {
                ends.insert((p.ms + 20_000, uid), end(uid, State::Failed, None));
            }
            Outcome::Unseen => {}
        }
        flagged.push((p, flags));
        findings.extend(std::iter::from_fn(|| b.poll_finding()));
    }
    b.finish();
    findings.extend(std::iter::from_fn(|| b.poll_finding()));
    (flagged, findings)
}

fn run(plan: Vec<Planned>) -> (Vec<(Planned, Flags)>, Vec<Finding>) {
    let mut b = Behaviours::new(BehaviourSettings::default());
    let protected = [Tn::from_canonical(b"12025550111").unwrap()];
    b.handle_protected(Arc::new(NumberSet::of(protected)));
    run_with(&mut b, plan)
}

/// What opened, in order: kind and subject.
fn opened(findings: &[Finding]) -> Vec<(&'static str, String)> {
    let of = findings.iter().filter(|f| f.change == Change::Opened);
    of.map(|f| (f.kind.label(), f.subject.to_string()))
        .collect()
}

fn share(flagged: &[(Planned, Flags)], flag: Flag, of: impl Fn(&Planned) -> bool) -> f64 {
    let of: Vec<_> = flagged.iter().filter(|(p, _)| of(p)).collect();
    let hit = of.iter().filter(|(_, f)| f.contains(flag)).count();
    hit as f64 / of.len() as f64
}

#[test]
fn ordinary_traffic_opens_nothing() {
    let mut all = ordinary("north", 20_000, 7_200, 1);
    all.extend(ordinary("south", 3_000, 7_200, 2));
    let (flagged, findings) = run(all);
    assert_eq!(opened(&findings), []);
    assert!(flagged.iter().all(|(_, f)| *f == Flags::default()));
}

#[test]
fn a_robocaller_is_high_volume_and_its_neighbours_others_are_not() {
    let mut dice = Dice(3);
    let mut all = ordinary("north", 10_000, 3_600, 4);
    all.extend(calls(7_200, 3_600, |_| {
        let outcome = match dice.roll(10) {
            0 | 1 => Outcome::Talked(7),
            _ => Outcome::NotTaken,
        };
        plan(
            12_025_550_123,
            14_045_000_000 + dice.roll(9_000_000),
            outcome,
        )
    }));
    let (flagged, findings) = run(all);
    assert_eq!(
        opened(&findings),
        [("high-volume", "calling-number 12025550123".to_owned())]
    );
    let robot = |p: &Planned| p.from == 12_025_550_123;
    assert!(share(&flagged, Flag::HighVolume, robot) > 0.97);
    assert_eq!(share(&flagged, Flag::HighVolume, |p| !robot(p)), 0.0);
    let last = findings.last().unwrap();
    assert_eq!(last.change, Change::Closed);
    assert_eq!(last.id, findings[0].id);
    assert!(last.calls > 6_900 && last.score >= 0.6, "{last:?}");
    assert!(
        last.terms
            .iter()
            .any(|t| &*t.name == "calls-minute" && t.met)
    );
    assert!((3..=5).contains(&last.examples.len()));
    let updates = findings.iter().filter(|f| f.change == Change::Updated);
    assert_eq!(updates.count(), 5);
}

#[test]
fn a_call_centre_whose_calls_are_taken_is_not() {
    let mut dice = Dice(5);
    // Thirty a minute from one number, vouched for, half answered, three minutes each.
    let (_, findings) = run(calls(3_600, 7_200, |_| Planned {
        attested: true,
        ..plan(
            12_025_550_123,
            14_045_000_000 + dice.roll(9_000_000),
            match dice.roll(100) {
                0..55 => Outcome::Talked(120 + u32::try_from(dice.roll(120)).unwrap()),
                _ => Outcome::NotTaken,
            },
        )
    }));
    assert_eq!(opened(&findings), []);
}

#[test]
fn a_school_that_tells_its_parents_is_not() {
    let mut dice = Dice(6);
    // Two thousand in ten minutes: most are taken, by people or machines, and hear half a minute.
    let (_, findings) = run(calls(2_000, 600, |_| Planned {
        attested: true,
        ..plan(
            12_025_550_123,
            12_025_000_000 + dice.roll(900_000) * 11,
            match dice.roll(100) {
                0..80 => Outcome::Talked(24 + u32::try_from(dice.roll(10)).unwrap()),
                _ => Outcome::NotTaken,
            },
        )
    }));
    assert_eq!(opened(&findings), []);
}

#[test]
fn a_neighbours_own_threshold_holds() {
    let robot = |least: u32| {
        let mut settings = BehaviourSettings::default();
        let own = Thresholds {
            high_volume_minute: least,
            high_volume_hour: least * 60,
            ..Thresholds::default()
        };
        settings.neighbours.insert("north".into(), own);
        let plan = calls(600, 300, |n| {
            let to = 14_045_000_000 + u64::try_from(n).unwrap() * 7_919;
            plan(12_025_550_123, to, Outcome::Unseen)
        });
        let (_, findings) = run_with(&mut Behaviours::new(settings), plan);
        opened(&findings).len()
    };
    assert_eq!((robot(60), robot(1_000)), (1, 0));
}

#[test]
fn numbers_that_are_used_up_are_a_snowshoe() {
    let mut dice = Dice(7);
    let mut all = ordinary("south", 6_000, 3_600, 8);
    all.extend(calls(6_000, 3_600, |_| {
        let outcome = match dice.roll(100) {
            0..12 => Outcome::Talked(5),
            _ => Outcome::NotTaken,
        };
        // Any number at all: each calls once, a few twice.
        let (from, to) = (
            12_120_000_000 + dice.roll(7_990_000_000),
            14_045_000_000 + dice.roll(9_000_000),
        );
        plan(from, to, outcome)
    }));
    let (flagged, findings) = run(all);
    let opened = opened(&findings);
    assert!(opened.iter().any(|o| o.0 == "snowshoe"), "{opened:?}");
    assert!(findings.iter().all(|f| f.peer.as_deref() == Some("north")));
    let mut terms = findings.iter().flat_map(|f| &f.terms);
    assert!(terms.any(|t| &*t.name == "rare-numbers-percent" && t.met));
    assert!(share(&flagged, Flag::Snowshoe, |p| p.peer == "north") > 0.8);
    assert_eq!(share(&flagged, Flag::Snowshoe, |p| p.peer == "south"), 0.0);
}

#[test]
fn subscribers_who_call_once_each_are_not() {
    let mut dice = Dice(9);
    let (_, findings) = run(calls(8_000, 3_600, |_| {
        let outcome = match dice.roll(100) {
            0..50 => Outcome::Talked(30 + u32::try_from(dice.roll(200)).unwrap()),
            _ => Outcome::NotTaken,
        };
        let (from, to) = (
            13_030_000_000 + dice.roll(90_000_000),
            14_045_000_000 + dice.roll(9_000_000),
        );
        plan(from, to, outcome)
    }));
    assert_eq!(opened(&findings), []);
    // Nor where no answers are seen.
    let (_, findings) = run(calls(8_000, 3_600, |_| {
        let from = 13_030_000_000 + dice.roll(90_000_000);
        let to = 14_045_000_000 + dice.roll(9_000_000);
        plan(from, to, Outcome::Unseen)
    }));
    assert_eq!(opened(&findings), []);
}

#[test]
fn recordings_that_are_hung_up_on_are_short_calls() {
    let mut dice = Dice(10);
    let (flagged, findings) = run(calls(400, 3_600, |_| {
        let outcome = match dice.roll(100) {
            0..40 => Outcome::Talked(2 + u32::try_from(dice.roll(6)).unwrap()),
            _ => Outcome::NotTaken,
        };
        plan(
            12_025_550_123,
            14_045_000_000 + dice.roll(9_000_000),
            outcome,
        )
    }));
    assert_eq!(
        opened(&findings),
        [("short-calls", "calling-number 12025550123".to_owned())]
    );
    assert!(share(&flagged, Flag::ShortCalls, |_| true) > 0.7);
}

#[test]
fn a_whole_neighbour_of_short_calls_stands_out_without_any_number() {
    let mut dice = Dice(11);
    let (_, findings) = run(calls(6_000, 3_600, |_| {
        let outcome = match dice.roll(100) {
            0..20 => Outcome::Talked(40),
            20..60 => Outcome::Talked(4),
            _ => Outcome::NotTaken,
        };
        let from = 12_025_550_000 + dice.roll(1_000);
        plan(from, 14_045_000_000 + dice.roll(9_000_000), outcome)
    }));
    assert_eq!(opened(&findings), [("short-calls", "neighbour".to_owned())]);
}

#[test]
fn calls_that_nobody_takes_are_low_answer() {
    let mut dice = Dice(12);
    let (_, findings) = run(calls(300, 3_600, |_| {
        let outcome = match dice.roll(100) {
            0..5 => Outcome::Talked(30),
            _ => Outcome::NotTaken,
        };
        plan(
            12_025_550_123,
            14_045_000_000 + dice.roll(9_000_000),
            outcome,
        )
    }));
    assert_eq!(
        opened(&findings),
        [("low-answer", "calling-number 12025550123".to_owned())]
    );
}

#[test]
fn failures_of_our_own_side_are_nobodys_low_answer() {
    assert_eq!(
        answered(&End {
            code: 503,
            ..end(1, State::Failed, None)
        }),
        None
    );
    assert_eq!(
        answered(&End {
            code: 407,
            ..end(1, State::Failed, None)
        }),
        None
    );
    assert_eq!(
        answered(&End {
            one_way: true,
            ..end(1, State::Failed, None)
        }),
        None
    );
    assert_eq!(answered(&end(1, State::Redirected, None)), None);
    assert_eq!(answered(&end(1, State::Unfinished, None)), None);
    assert_eq!(answered(&end(1, State::Cancelled, None)), Some(false));
}

#[test]
fn one_number_after_the_other_is_sequential_dialling() {
    let mut all = ordinary("north", 5_000, 600, 13);
    all.extend(calls(200, 600, |n| {
        let to = 14_045_550_000 + u64::try_from(n).unwrap() * 2;
        plan(12_025_550_123, to, Outcome::NotTaken)
    }));
    let (flagged, findings) = run(all);
    let opened = opened(&findings);
    assert!(
        opened.contains(&(
            "sequential-dialling",
            "calling-number 12025550123".to_owned()
        )),
        "{opened:?}"
    );
    let dialler = |p: &Planned| p.from == 12_025_550_123;
    assert!(share(&flagged, Flag::SequentialDialling, dialler) > 0.85);
    assert_eq!(
        share(&flagged, Flag::SequentialDialling, |p| !dialler(p)),
        0.0
    );
}

#[test]
fn changing_numbers_do_not_hide_it_but_then_it_is_the_neighbours() {
    let mut dice = Dice(14);
    let (_, findings) = run(calls(200, 600, |n| {
        let from = 12_120_000_000 + dice.roll(7_990_000_000);
        let to = 14_045_550_000 + u64::try_from(n).unwrap();
        plan(from, to, Outcome::NotTaken)
    }));
    assert_eq!(
        opened(&findings),
        [("sequential-dialling", "neighbour".to_owned())]
    );
}

#[test]
fn an_office_exchange_is_not_dialled_sequentially() {
    let mut dice = Dice(15);
    // Everybody calls the hundred extensions of one office, and the office calls back.
    let (_, findings) = run(calls(5_000, 3_600, |_| {
        let to = 12_025_550_100 + dice.roll(100);
        let from = 14_045_000_000 + dice.roll(9_000_000);
        plan(from, to, Outcome::Talked(90))
    }));
    assert!(
        opened(&findings)
            .iter()
            .all(|(kind, _)| *kind != "sequential-dialling"),
        "{:?}",
        opened(&findings)
    );
}

/// A quiet hour, then a burst to `to`.
fn burst(to: impl Fn(i64) -> u64, a_minute: i64, usual: i64) -> Vec<Planned> {
    let mut dice = Dice(16);
    let mut all = ordinary("north", 3_000, 4_200, 17);
    let mut from = move || 13_030_000_000 + dice.roll(900_000_000);
    let hour = calls(usual * 60, 3_600, |n| {
        plan(from(), to(n), Outcome::Talked(60))
    });
    let burst = calls(a_minute * 10, 600, |n| {
        plan(from(), to(n), Outcome::NotTaken)
    });
    all.extend(hour);
    all.extend(burst.into_iter().map(|p| Planned {
        ms: p.ms + 3_600_000,
        ..p
    }));
    all
}

#[test]
fn a_burst_to_one_number_is_a_flood() {
    let (flagged, findings) = run(burst(|_| 12_025_550_177, 120, 1));
    assert_eq!(
        opened(&findings),
        [("flood", "called-number 12025550177".to_owned())]
    );
    assert_eq!(findings[0].peer, None);
    let burst = |p: &Planned| p.to == 12_025_550_177 && p.ms >= 3_600_000;
    assert!(share(&flagged, Flag::Flood, burst) > 0.9);
    assert_eq!(share(&flagged, Flag::Flood, |p| !burst(p)), 0.0);
}

#[test]
fn a_burst_over_a_block_is_a_flood_of_its_prefix() {
    let block = |n: i64| 12_025_550_000 + u64::try_from(n).unwrap() * 7_919 % 1_000;
    let (_, findings) = run(burst(block, 1_200, 1));
    assert_eq!(
        opened(&findings),
        [("flood", "called-prefix 12025550".to_owned())]
    );
}

#[test]
fn a_number_that_always_gets_as_much_is_not_flooded() {
    // A hot line, and a toll-free one in an advertisement.
    assert_eq!(opened(&run(burst(|_| 12_025_550_177, 150, 100)).1), []);
    assert_eq!(opened(&run(burst(|_| 18_005_550_177, 400, 5)).1), []);
}

#[test]
fn a_protected_number_is_flooded_by_little() {
    let (flagged, findings) = run(burst(|_| 12_025_550_111, 30, 1));
    assert_eq!(
        opened(&findings),
        [("protected-flood", "called-number 12025550111".to_owned())]
    );
    let burst = |p: &Planned| p.to == 12_025_550_111 && p.ms >= 3_600_000;
    assert!(share(&flagged, Flag::ProtectedFlood, burst) > 0.9);
    assert_eq!(opened(&run(burst_calm()).1), []);
}

#[test]
fn a_protected_number_does_not_wait_until_we_know_what_is_usual() {
    let at_once = |to: u64| {
        let plan = calls(120, 60, |n| {
            let from = 13_035_550_000 + u64::try_from(n).unwrap() * 7;
            plan(from, to, Outcome::NotTaken)
        });
        opened(&run(plan).1)
    };
    let flood = ("protected-flood", "called-number 12025550111".to_owned());
    assert_eq!(at_once(12_025_550_111), [flood]);
    assert_eq!(at_once(12_025_550_112), []);
}

fn burst_calm() -> Vec<Planned> {
    burst(|_| 12_025_550_111, 10, 5)
}

#[test]
fn a_mix_that_changes_at_once_is_seen_and_a_days_drift_is_not() {
    let mix = |unsigned: &dyn Fn(i64) -> u64| {
        let mut dice = Dice(18);
        let plan = calls(30_000, 5 * 3_600, |n| Planned {
            attested: dice.roll(100) >= unsigned(n),
            ..plan(
                13_035_550_000 + dice.roll(5_000) * 7,
                14_045_000_000 + dice.roll(9_000_000),
                Outcome::Unseen,
            )
        });
        opened(&run(plan).1)
    };
    let sudden = mix(&|n| if n < 20_000 { 20 } else { 70 });
    assert_eq!(sudden, [("mix-change", "neighbour".to_owned())]);
    let drift = mix(&|n| 20 + u64::try_from(n).unwrap() / 2_000);
    assert_eq!(drift, []);
}

#[test]
fn strangers_are_judged_by_number_and_never_as_a_neighbour() {
    let mut dice = Dice(19);
    let (_, findings) = run(calls(6_000, 3_600, |_| Planned {
        peer: "",
        ..plan(
            12_120_000_000 + dice.roll(7_990_000_000),
            14_045_000_000 + dice.roll(9_000_000),
            Outcome::NotTaken,
        )
    }));
    assert_eq!(opened(&findings), []);
}

#[test]
fn emergency_calls_and_what_we_hand_on_do_not_count() {
    let mut begin = crate::call::classify::campaign::tests::begin(1, "12025550123");
    assert!(Call::of(&begin, false).is_some());
    assert!(Call::of(&begin, true).is_none());
    begin.direction = Direction::Egress;
    assert!(Call::of(&begin, false).is_none());
}

#[test]
fn a_step_back_of_the_clock_begins_anew() {
    let mut b = Behaviours::new(BehaviourSettings::default());
    let robot = |n: i64| {
        let to = 14_045_000_000 + u64::try_from(n).unwrap() * 7_919;
        plan(12_025_550_123, to, Outcome::Unseen)
    };
    let (flagged, _) = run_with(&mut b, calls(200, 60, robot));
    assert!(share(&flagged, Flag::HighVolume, |_| true) > 0.3);
    // A packet from far ahead, then time as it was: nothing is held against anybody.
    b.handle_time(Timestamp::from_secs(START + 1_000_000));
    let (flagged, findings) = run_with(&mut b, calls(30, 60, robot));
    assert_eq!((opened(&findings), b.counters().steps), (vec![], 1));
    assert!(flagged.iter().all(|(_, f)| *f == Flags::default()));
}

#[test]
fn ends_count_once_however_often_they_are_told() {
    let mut b = Behaviours::new(BehaviourSettings::default());
    let peer: Arc<str> = "north".into();
    let call = Call {
        uid: 7,
        at: Timestamp::from_secs(START),
        peer: Some(&peer),
        calling: None,
        called: None,
        attested: false,
        unsigned: true,
    };
    b.handle_call(&call);
    b.handle_end(&end(7, State::Answered, None));
    b.handle_end(&end(7, State::Answered, None));
    b.handle_end(&end(7, State::Answered, Some(5_000)));
    b.handle_end(&end(7, State::Answered, Some(5_000)));
    b.handle_end(&end(8, State::Answered, Some(5_000)));
    assert_eq!(b.counters().outcomes, 1);
    let n = &b.neighbours[1];
    let score = n.short_calls(Timestamp::from_secs(START), score::Strictness::Open);
    assert_eq!(score.terms()[0].value, 1.0);
}

#[test]
fn memory_is_bounded_by_what_is_stated() {
    let mut b = Behaviours::new(BehaviourSettings::default());
    b.outcomes.wait(1, Place::default(), 0, false);
    let mut one = Neighbour::new(Thresholds::default());
    for n in 0..50_000u32 {
        let caller = Some((key(1, n.to_string().as_bytes()), 1));
        one.handle_call(Timestamp::from_secs(START), caller, false, true);
    }
    let octets = b.calling.octets()
        + b.called.octets()
        + b.callers.most_octets()
        + b.numbers.most_octets()
        + b.blocks.most_octets()
        + b.runs.most_octets()
        + b.outcomes.octets()
        + 1_000 * one.octets()
        + open::OPEN * 1_000;
    assert!(octets < 72 << 20, "{octets}");
}

/// Ten million numbers, each calling once: run by hand, it takes a minute without optimisation.
#[test]
#[ignore = "a minute without optimisation"]
fn ten_million_numbers_take_no_more_room_than_one_million() {
    let mut b = Behaviours::new(BehaviourSettings::default());
    let mut dice = Dice(20);
    let peer: Arc<str> = "north".into();
    let began = cpu_time::ProcessTime::now();
    for n in 0..10_000_000u64 {
        let (from, to) = (
            Tn::from_u64(12_000_000_000 + dice.roll(8_000_000_000)),
            Tn::from_u64(12_000_000_000 + dice.roll(8_000_000_000)),
        );
        let call = Call {
            uid: n,
            at: Timestamp::from_nanos(START * 1_000_000_000 + i64::try_from(n).unwrap() * 360_000),
            peer: Some(&peer),
            calling: from.as_ref(),
            called: to.as_ref(),
            attested: false,
            unsigned: true,
        };
        assert_eq!(b.handle_call(&call), Flags::default());
        b.handle_end(&end(n, State::Failed, None));
    }
    eprintln!("{:?} a call", began.elapsed() / 10_000_000);
    assert!(b.callers.len() <= 1 << CALLING && b.numbers.len() <= 1 << CALLED);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever comes, the same comes out of the same, and what opened closes.
    #[test]
    fn the_same_calls_give_the_same_findings(
        seed in any::<u64>(),
        count in 1usize..1_500,
        spread in 1u64..50,
        seconds in 1i64..5_000,
    ) {
        let made = || {
            let mut dice = Dice(seed);
            let count = i64::try_from(count).unwrap();
            calls(count, seconds, |n| Planned {
                peer: ["north", "south", ""][usize::try_from(dice.roll(3)).unwrap()],
                attested: dice.roll(2) == 0,
                ..plan(
                    12_025_550_100 + dice.roll(spread),
                    12_025_550_100 + dice.roll(spread) + u64::try_from(n / 9).unwrap(),
                    match dice.roll(3) {
                        0 => Outcome::Talked(u32::try_from(dice.roll(60)).unwrap()),
                        1 => Outcome::NotTaken,
                        _ => Outcome::Unseen,
                    },
                )
            })
        };
        let (first, second) = (run(made()), run(made()));
        prop_assert_eq!(&first.1, &second.1);
        let flags = |r: &[(Planned, Flags)]| r.iter().map(|(_, f)| f.0).collect::<Vec<_>>();
        prop_assert_eq!(flags(&first.0), flags(&second.0));
        let ids = |change| {
            let of = first.1.iter().filter(move |f| f.change == change);
            let mut ids: Vec<_> = of.map(|f| f.id.clone()).collect();
            ids.sort();
            ids
        };
        let all = ids(Change::Opened);
        let mut once = all.clone();
        once.dedup();
        prop_assert_eq!(&all, &once);
        prop_assert_eq!(all, ids(Change::Closed));
        for finding in &first.1 {
            prop_assert!(finding.score >= 0.6 && finding.score <= 1.0);
            prop_assert!(matches!(finding.subject, Subject::CalledNumber(_) | Subject::CalledPrefix(_)) || finding.peer.is_some() || finding.subject.value().is_some());
        }
    }
}
