//! Traffic that opens each kind of finding, and honest traffic that looks like it and opens none.

mod callers;
mod floods;
mod neighbours;

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

const STRANGER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 9));

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
            b.handle_end(at(ms), &end);
        }
        let peer: Arc<str> = p.peer.into();
        let (from, to) = (Tn::from_u64(p.from), Tn::from_u64(p.to));
        let call = Call {
            uid,
            at: at(p.ms),
            peer: Some(&peer).filter(|p| !p.is_empty()),
            source: STRANGER,
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
fn emergency_calls_and_what_we_hand_on_do_not_count() {
    let mut begin = crate::call::classify::campaign::tests::begin(1, "12025550123");
    assert!(Call::of(&begin, begin.flags, false).is_some());
    assert!(Call::of(&begin, begin.flags, true).is_none());
    begin.direction = Direction::Egress;
    assert!(Call::of(&begin, begin.flags, false).is_none());
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
        source: STRANGER,
        calling: None,
        called: None,
        attested: false,
        unsigned: true,
    };
    b.handle_call(&call);
    b.handle_end(Timestamp::MIN, &end(7, State::Answered, None));
    b.handle_end(Timestamp::MIN, &end(7, State::Answered, None));
    b.handle_end(Timestamp::MIN, &end(7, State::Answered, Some(5_000)));
    b.handle_end(Timestamp::MIN, &end(7, State::Answered, Some(5_000)));
    b.handle_end(Timestamp::MIN, &end(8, State::Answered, Some(5_000)));
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
            source: STRANGER,
            calling: from.as_ref(),
            called: to.as_ref(),
            attested: false,
            unsigned: true,
        };
        assert_eq!(b.handle_call(&call), Flags::default());
        b.handle_end(Timestamp::MIN, &end(n, State::Failed, None));
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
