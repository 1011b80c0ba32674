//! What a neighbour does as a whole.

use super::*;

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
