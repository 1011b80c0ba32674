//! What is told from ends, pairs and coverage.

use proptest::prelude::*;

use super::*;
use crate::call::leg::{Pair, Pairing};
use crate::call::peer::{PeerKey, PeerKeys};
use crate::call::record::{Direction, State};
use crate::traceback::candidate::is_internal;

#[test]
fn h_a_receiver_of_whom_no_word_was_seen_proves_nothing_and_may_be_the_one() {
    let silent = |records: &mut [StoredCall]| {
        for r in records {
            let end = r.end.as_mut().unwrap();
            (end.state, end.code, end.one_way) = (State::Cancelled, 0, true);
            (end.ringing_ms, end.duration_ms) = (None, None);
        }
    };
    let mut records = call(1, "north", "east", 0).records();
    silent(&mut records);
    with(records.clone()).refused(Condition::NotDelivered);
    records.extend(call(11, "south", "east", 2).records());
    with(records.clone()).refused(Condition::TwoDelivered);
    // A BYE proves an answer, whoever saw none.
    records.truncate(2);
    for r in &mut records {
        r.end.as_mut().unwrap().state = State::Answered;
    }
    with(records).certain();
}

#[test]
fn h_a_call_that_was_answered_and_whose_way_out_is_missing_may_be_the_one() {
    let mut records = call(1, "south", "east", 0).records();
    records.truncate(1);
    records.extend(call(11, "north", "east", 3).records());
    with(records.clone()).refused(Condition::TwoDelivered);
    records[0].end.as_mut().unwrap().state = State::Failed;
    records[0].end.as_mut().unwrap().code = 503;
    records[0].end.as_mut().unwrap().ringing_ms = None;
    assert_eq!(with(records).certain().named.as_deref(), Some("north"));
}

#[test]
fn an_end_that_our_leg_to_the_downstream_never_had_is_a_persons_business() {
    let says = |answered, duration_s| {
        let mut c = case();
        (c.request.call.answered, c.request.call.duration_s) = (Some(answered), duration_s);
        c
    };
    // Twelve seconds after four of ringing: counted from either, and rounded up to a minute at the most.
    for good in [9.0, 12.0, 16.0, 60.0, 76.0] {
        assert!(
            !says(true, Some(good))
                .decide()
                .conditions
                .contains(&Condition::ContradictsAnswer)
        );
    }
    says(true, Some(3.0)).refused(Condition::ContradictsAnswer);
    says(true, Some(95.0)).refused(Condition::ContradictsAnswer);
    says(false, None).refused(Condition::ContradictsAnswer);
    // It was handed over and given up before anybody answered; whoever says "answered" means another call.
    let mut c = says(true, None);
    for end in c.records.iter_mut().filter_map(|r| r.end.as_mut()) {
        (end.state, end.code, end.duration_ms) = (State::Cancelled, 487, None);
    }
    c.refused(Condition::ContradictsAnswer);
    c.request.call.answered = Some(false);
    c.certain();
}

#[test]
fn l_whoever_asks_is_not_told_that_it_was_himself() {
    with(call(1, "east", "east", 0).records()).refused(Condition::Loop);
}

#[test]
fn a_redirection_passes_nothing_on() {
    let mut records = call(1, "north", "east", 0).refused().records();
    for r in &mut records {
        let end = r.end.as_mut().unwrap();
        (end.state, end.code) = (State::Redirected, 302);
    }
    with(records).refused(Condition::NotDelivered);
}

#[test]
fn a_call_that_we_refused_ourselves_is_said_to_be_blocked_and_nobody_is_named() {
    let mut records = call(1, "north", "east", 0).never_passed().records();
    for (code, resolution) in [
        (503, Resolution::Ambiguous),
        (404, Resolution::Ambiguous),
        (603, Resolution::BlockedHere),
        (608, Resolution::BlockedHere),
        (437, Resolution::BlockedHere),
    ] {
        records[0].end.as_mut().unwrap().code = code;
        let o = with(records.clone()).decide();
        assert_eq!((o.resolution, o.automatic), (resolution, false), "{code}");
        assert_eq!(o.named, None);
    }
    records.extend(call(11, "south", "east", 1).records());
    assert_eq!(
        with(records).decide().resolution,
        Resolution::UpstreamDomestic
    );
}

#[test]
fn e_what_was_shared_at_capture_stays_shared() {
    let mut c = case();
    c.records[0].begin.attribution.shared = true;
    c.refused_only(Condition::SharedAddress);
    c.records[0].begin.attribution.keys = PeerKeys::from_iter([PeerKey::Networks, PeerKey::Otg]);
    c.certain();
    // An address that has moved since: its rule names somebody else now, and says nothing of then.
    let mut moved = case();
    moved.records[0].begin.attribution.keys = PeerKeys::from_iter([PeerKey::Networks]);
    let north = moved.peers.rules[0].networks.clone();
    moved.peers.rules[1].networks = north;
    moved.refused_only(Condition::SharedAddress);
    moved.peers.version = 2;
    moved.certain();
    let mut renamed = case();
    renamed.peers.rules[0].peer = 1;
    renamed.certain();
}

#[test]
fn halves_of_two_calls_are_not_one() {
    let mut c = case();
    let end = c.records[0].end.as_mut().unwrap();
    end.duration_ms = Some(12_000 + 5_000);
    c.certain();
    c.records[0].end.as_mut().unwrap().duration_ms = Some(12_000 + 5_001);
    c.refused_only(Condition::UnresolvedPeer);
    let end = c.records[0].end.as_mut().unwrap();
    (end.state, end.code, end.duration_ms) = (State::Failed, 503, None);
    c.refused_only(Condition::UnresolvedPeer);
    // Nor are they under one Call-ID: a proxy before us that forks sends the same one over several neighbours.
    for r in &mut c.records {
        r.begin.ids.call_id = IdDigest(7);
    }
    c.request.call.ids.call_id = Some(IdDigest(7));
    c.refused_only(Condition::UnresolvedPeer);
    let mut late = case();
    late.records[0].end.as_mut().unwrap().final_ms = Some(4_000 + 3_020);
    late.certain();
    late.records[0].end.as_mut().unwrap().final_ms = Some(4_000 + 3_021);
    late.refused_only(Condition::UnresolvedPeer);
}

#[test]
fn a_number_that_only_ends_alike_is_for_a_person() {
    let called = |text: &str| {
        let mut c = case();
        for r in &mut c.records {
            r.begin.numbers.called = tn(text);
        }
        c.decide()
    };
    let o = called("77712025550123");
    assert_eq!((o.class, o.automatic), (Some(EvidenceClass::E4), false));
    assert_eq!(o.named.as_deref(), Some("north"));
    // Another area with the same last nine digits is somebody else.
    assert_eq!(called("13025550123").resolution, Resolution::NotFound);
}

#[test]
fn a_call_inside_our_own_platform_is_no_absence() {
    let mut records = call(1, "us", "us", 0).records();
    records.truncate(1);
    records[0].begin.direction = Direction::Unknown;
    let c = with(records);
    assert!(is_internal(&c.records, &c.request.call, &c.peers));
    assert_eq!(
        c.decide().resolution,
        Resolution::NotFound,
        "until it is said"
    );
    let mut other = with(c.records.clone());
    other.records[0].begin.numbers.from = tn("13035550199");
    assert!(!is_internal(
        &other.records,
        &other.request.call,
        &other.peers
    ));
    other.records[0].begin.numbers.from = None;
    other.request.call.calling = None;
    assert!(is_internal(
        &other.records,
        &other.request.call,
        &other.peers
    ));
    other.records[0].begin.direction = Direction::Ingress;
    assert!(!is_internal(
        &other.records,
        &other.request.call,
        &other.peers
    ));
}

/// An attempt: the way in, and the ways out with how each was paired.
type Shape = (Option<u64>, Vec<(u64, Option<Pairing>)>);

fn shape(records: &[StoredCall]) -> Vec<Shape> {
    collect(records, &request().call)
        .iter()
        .map(|a| {
            let out = a.egress.iter().map(|e| (e.leg.begin.uid, e.pairing));
            (a.ingress.map(|l| l.begin.uid), out.collect())
        })
        .collect()
}

proptest! {
    /// Pairs that were told at capture are taken as they are; where the ingress leg is not at hand, the look-up's own rules hold.
    #[test]
    fn a_pair_told_at_capture_comes_first(
        calls in proptest::collection::vec((0i64..6, 0usize..3, any::<bool>()), 1..6),
        gone in 0usize..6,
    ) {
        let names = ["north", "south", "abroad"];
        let mut records: Vec<StoredCall> = calls
            .iter()
            .zip(0u64..)
            .flat_map(|((at, who, passed), i)| {
                let c = call(1 + 10 * i, names[*who], "east", *at);
                if *passed { c } else { c.never_passed() }.records()
            })
            .collect();
        let by_rule = shape(&records);
        for r in &mut records {
            if r.begin.direction == Direction::Egress {
                // The truth: the ingress leg of the same call.
                let at = r.begin.at;
                r.begin.pair = Some(Pair { uid: r.begin.uid - 1, at, how: Pairing::Icid });
            }
        }
        let told = shape(&records);
        for (ingress, out) in &told {
            for (uid, how) in out {
                prop_assert_eq!((*ingress, *how), (Some(uid - 1), Some(Pairing::Icid)));
            }
        }
        // A pair with a leg that the look-up did not bring says nothing.
        let uid = 1 + 10 * (gone % calls.len()) as u64;
        for r in &mut records {
            if let Some(pair) = &mut r.begin.pair && pair.uid == uid {
                pair.uid = 9_999;
            }
        }
        let mut unpaired = records.clone();
        for r in &mut unpaired {
            if r.begin.pair.is_some_and(|p| p.uid == 9_999) {
                r.begin.pair = None;
            }
        }
        prop_assert_eq!(shape(&records), shape(&unpaired));
        for r in &mut records {
            r.begin.pair = None;
        }
        prop_assert_eq!(shape(&records), by_rule);
    }

    /// "Not found" is only ever said of a main window that every sensor saw whole.
    #[test]
    fn not_found_is_never_said_of_a_window_that_was_not_seen(
        holes in proptest::collection::vec((-10i64..10, 0u64..4, 0u64..3, any::<bool>()), 0..5),
        precision in 0u32..3480,
    ) {
        let mut c = with(Vec::new());
        c.request.call.precision_s = f64::from(precision);
        let minute = c.request.call.at.minute().secs();
        for (offset, dropped, lost, blind) in holes {
            let from = Timestamp::from_secs(minute + 60 * offset);
            if blind {
                c.coverage.retain(|r| r.from != from);
            } else if let Some(row) = c.coverage.iter_mut().find(|r| r.from == from) {
                row.dropped = dropped;
                row.lost_records = lost / 2;
            }
        }
        let o = c.decide();
        prop_assert!(!o.automatic);
        // Counted anew, minute by minute, by the ledger's own figures.
        let (first, last) = (c.request.call.at.secs() - 120 - i64::from(precision), c.request.call.at.secs() + 120 + i64::from(precision));
        let whole = (first.div_euclid(60)..=last.div_euclid(60)).all(|m| {
            c.coverage.iter().any(|r| {
                r.from.secs() == 60 * m && r.completeness() >= 0.999 && r.lost_records == 0
            })
        });
        match o.resolution {
            Resolution::NotFound => prop_assert!(whole, "{o:?}"),
            Resolution::CaptureGap => prop_assert!(!whole, "{o:?}"),
            _ => prop_assert!(false, "{o:?}"),
        }
    }
}
