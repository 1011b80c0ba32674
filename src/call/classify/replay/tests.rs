use super::*;
use crate::base::digest::IdDigest;
use crate::call::attempt::Leg;
use crate::call::record::{Ids, Numbers, Verdict};
use Direction::{Egress, Ingress};

const W: Duration = Duration::from_secs(60);

/// A call with the PASSporT of `passport`, signed at 1,000 s for 12025550101.
fn call(passport: &str, id: u64, called: &str) -> InviteFacts {
    let called = Tn::from_canonical(called.as_bytes());
    let meant = called == Tn::from_canonical(b"12025550101");
    InviteFacts {
        leg: Leg {
            call_id: IdDigest(id),
            tag: 1,
        },
        initial: true,
        cseq: 1,
        branch: 1,
        numbers: Numbers {
            called,
            ..Numbers::default()
        },
        called_text: None,
        oddity: Default::default(),
        trunk: None,
        said: Default::default(),
        ids: Ids {
            call_id: IdDigest(id),
            session_id: None,
            icid: None,
            sdp_origin: None,
        },
        verdict: Verdict {
            validation: if meant {
                Validation::Passed
            } else {
                Validation::Failed
            },
            failed: [Rule::D1].into_iter().filter(|_| !meant).collect(),
            identities: 1,
            passport: Some(Digest128::of(passport.as_bytes())),
            iat: Some(1_000),
            origid: Some("one for all".into()),
            ..Verdict::default()
        },
        verstat: None,
        unknown_ppt_only: false,
    }
}

struct Tap(Replays, u64);

impl Tap {
    fn new() -> Self {
        Self(Replays::new(W), 0)
    }

    fn see(&mut self, secs: i64, direction: Direction, invite: &InviteFacts) -> Option<Sighting> {
        let mut flags = Flags::default();
        let at = Timestamp::from_secs(secs);
        self.1 += 1;
        let sighting = self.0.handle(self.1, at, direction, invite, &mut flags);
        let flag = sighting.and_then(Sighting::flag);
        assert_eq!(flags, flag.into_iter().collect());
        sighting
    }
}

#[test]
fn y1_both_legs_at_our_edge_are_one_call_whatever_their_call_ids() {
    let mut tap = Tap::new();
    assert_eq!(
        tap.see(1001, Ingress, &call("p", 1, "12025550101")),
        Some(Sighting::First)
    );
    assert_eq!(
        tap.see(1001, Egress, &call("p", 2, "12025550101")),
        Some(Sighting::OtherLeg)
    );
    // Sent on to another number without a div of its own: dest fits no longer, and yet it is the same call.
    let mut tap = Tap::new();
    tap.see(1001, Ingress, &call("p", 1, "12025550101"));
    assert_eq!(
        tap.see(1001, Egress, &call("p", 2, "12025550102")),
        Some(Sighting::OtherLeg)
    );
}

#[test]
fn y2_retries_and_routes_are_normal_up_to_four_and_suspect_from_five() {
    let mut tap = Tap::new();
    let mut seen = Vec::new();
    for id in 1..=6 {
        seen.push(
            tap.see(1001, Ingress, &call("p", id, "12025550101"))
                .unwrap(),
        );
        // Each goes out again.
        tap.see(1001, Egress, &call("p", 100 + id, "12025550101"));
    }
    use Sighting::*;
    assert_eq!(
        seen,
        [First, Rerouted, Rerouted, Rerouted, Suspect, Suspect]
    );
    assert_eq!(
        tap.see(1002, Ingress, &call("p", 2, "12025550101")),
        Some(SameCall)
    );
    assert_eq!(tap.0.counters().of(Suspect), 4);
}

#[test]
fn y2_another_destination_is_a_replay_under_any_call_id() {
    for id in [1, 7] {
        let mut tap = Tap::new();
        tap.see(1001, Ingress, &call("p", 1, "12025550101"));
        let again = tap.see(1002, Ingress, &call("p", id, "12025550102"));
        assert_eq!(again, Some(Sighting::OtherDestination));
    }
    // The call that it was signed for comes second, and is none.
    let mut tap = Tap::new();
    tap.see(1001, Ingress, &call("p", 7, "12025550102"));
    assert_eq!(
        tap.see(1002, Ingress, &call("p", 1, "12025550101")),
        Some(Sighting::Rerouted)
    );
    assert_eq!(
        tap.see(1003, Ingress, &call("p", 8, "12025550102")),
        Some(Sighting::OtherDestination)
    );
}

#[test]
fn y2_what_we_handed_on_and_comes_back_for_somebody_else_is_a_replay() {
    let mut tap = Tap::new();
    tap.see(1001, Egress, &call("p", 1, "12025550101"));
    let back = tap.see(1002, Ingress, &call("p", 2, "12025550102"));
    assert_eq!(back, Some(Sighting::OtherDestination));
    // For the same number it is a loop or a route through us.
    let mut tap = Tap::new();
    tap.see(1001, Egress, &call("p", 1, "12025550101"));
    let back = tap.see(1002, Ingress, &call("p", 2, "12025550101"));
    assert_eq!(back, Some(Sighting::OtherLeg));
}

#[test]
fn y2_a_retry_of_a_misdirected_call_is_no_replay() {
    let mut tap = Tap::new();
    tap.see(1001, Ingress, &call("p", 1, "12025550102"));
    assert_eq!(
        tap.see(1003, Ingress, &call("p", 2, "12025550102")),
        Some(Sighting::Rerouted)
    );
}

#[test]
fn y2_after_the_window_it_is_a_replay_unless_its_signer_was_late_from_the_start() {
    let mut tap = Tap::new();
    tap.see(1001, Ingress, &call("p", 1, "12025550101"));
    assert_eq!(
        tap.see(1060, Ingress, &call("p", 2, "12025550101")),
        Some(Sighting::Rerouted)
    );
    assert_eq!(
        tap.see(1061, Ingress, &call("p", 3, "12025550101")),
        Some(Sighting::Late)
    );
    let verbatim = tap.see(1061, Ingress, &call("p", 1, "12025550101"));
    assert_eq!(verbatim, Some(Sighting::Late));
    let mut tap = Tap::new();
    tap.see(1300, Ingress, &call("q", 1, "12025550101"));
    assert_eq!(
        tap.see(1303, Ingress, &call("q", 2, "12025550101")),
        Some(Sighting::Rerouted)
    );
    assert_eq!(
        tap.see(1361, Ingress, &call("q", 3, "12025550101")),
        Some(Sighting::Late)
    );
}

#[test]
fn y1_a_wrong_signature_says_nothing_of_the_call_that_it_copies() {
    let mut tap = Tap::new();
    let mut forged = call("p", 0, "12025550101");
    forged.verdict.failed.insert(Rule::S2);
    for id in 10..20 {
        forged.ids.call_id = IdDigest(id);
        assert_eq!(tap.see(1001, Ingress, &forged), None);
    }
    assert_eq!(
        tap.see(1001, Ingress, &call("p", 1, "12025550101")),
        Some(Sighting::First)
    );
}

/// Attempts noted in their turn, their verdicts known in another order.
#[test]
fn y2_what_came_before_counts_whoever_is_judged_first() {
    let meant = call("p", 1, "12025550101");
    let elsewhere = call("p", 2, "12025550102");
    let late = call("p", 3, "12025550101");
    let mut tap = Tap::new();
    let (first, second, third) = (
        Timestamp::from_secs(1_001),
        Timestamp::from_secs(1_002),
        Timestamp::from_secs(1_061),
    );
    let mut flags = Flags::default();
    tap.0.note(1, first, Ingress, &meant);
    tap.0.note(2, second, Ingress, &elsewhere);
    let mut handle =
        |tap: &mut Tap, uid, at, call| tap.0.handle(uid, at, Ingress, call, &mut flags);
    assert_eq!(
        handle(&mut tap, 2, second, &elsewhere),
        Some(Sighting::OtherDestination)
    );
    assert_eq!(handle(&mut tap, 3, third, &late), Some(Sighting::Late));
    assert_eq!(handle(&mut tap, 1, first, &meant), Some(Sighting::First));
    assert_eq!(tap.0.counters().iter().map(|(_, n)| n).sum::<u64>(), 3);

    // What waited and was forged was never there.
    let mut tap = Tap::new();
    let mut forged = call("p", 1, "12025550102");
    tap.0.note(1, first, Ingress, &forged);
    tap.0.note(2, second, Ingress, &meant);
    forged.verdict.failed.insert(Rule::S2);
    assert_eq!(handle(&mut tap, 1, first, &forged), None);
    assert_eq!(handle(&mut tap, 2, second, &meant), Some(Sighting::First));
    let mut tap = Tap::new();
    tap.0.note(1, first, Ingress, &call("p", 1, "12025550102"));
    assert_eq!(handle(&mut tap, 1, first, &forged), None);
    assert_eq!(tap.0.seen.len(), 0);
}

#[test]
fn y3_calls_of_one_origid_are_told_apart() {
    let mut tap = Tap::new();
    for (id, passport) in [(1, "p"), (2, "q"), (3, "r")] {
        assert_eq!(
            tap.see(1001, Ingress, &call(passport, id, "12025550101")),
            Some(Sighting::First)
        );
    }
}

#[test]
fn y1_memory_ends_after_two_windows_and_at_its_limit() {
    let mut tap = Tap::new();
    tap.see(1001, Ingress, &call("p", 1, "12025550101"));
    assert_eq!(
        tap.see(1121, Ingress, &call("p", 2, "12025550101")),
        Some(Sighting::Late)
    );
    assert_eq!(
        tap.see(1122, Ingress, &call("p", 3, "12025550101")),
        Some(Sighting::First)
    );
    let mut tap = Tap(Replays::with_limit(W, 2), 0);
    for (id, passport) in [(1, "p"), (2, "q"), (3, "r"), (4, "p")] {
        assert_eq!(
            tap.see(1001, Ingress, &call(passport, id, "12025550101")),
            Some(Sighting::First)
        );
    }
    assert_eq!(tap.0.counters().evicted, 2);
    assert_eq!(tap.0.seen.len(), 2);
}

#[test]
fn y1_one_passport_takes_bounded_memory() {
    let mut tap = Tap::new();
    for id in 0..10_000 {
        tap.see(1001, Ingress, &call("p", id, "12025550101"));
    }
    let seen = tap.0.seen.get(&Digest128::of(b"p")).unwrap();
    assert_eq!(seen.calls.len(), ROUTES + 1);
}
