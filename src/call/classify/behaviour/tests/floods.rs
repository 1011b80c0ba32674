//! Bursts towards a number or a block.

use super::*;

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
