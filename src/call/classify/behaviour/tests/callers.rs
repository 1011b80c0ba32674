//! What a calling number does, and lawful callers who look alike.

use super::*;

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
