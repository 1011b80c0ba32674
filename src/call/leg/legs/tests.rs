use proptest::prelude::*;

use super::*;
use crate::base::digest::{Digest128, IdDigest};
use crate::call::record::{Direction, Ids, Numbers, StoredCall};
use crate::number::Tn;
use crate::traceback::candidate;
use crate::traceback::sample::{call, traced};

fn at(ms: i64) -> Timestamp {
    Timestamp::from_nanos(1_795_512_607_000_000_000 + ms * 1_000_000)
}

fn leg(uid: u64, ms: i64, peer: &str) -> LegFacts {
    LegFacts {
        uid,
        at: at(ms),
        sensor: 0,
        error_ns: 0,
        peer: Some(peer.into()),
        ids: Ids {
            call_id: IdDigest(uid),
            session_id: None,
            icid: None,
            sdp_origin: None,
        },
        passport: None,
        identities: 0,
        numbers: Numbers {
            called: Tn::from_canonical(b"12025550142"),
            from: Tn::from_canonical(b"12025550100"),
            ..Numbers::default()
        },
        signed: None,
    }
}

/// With a Session-ID.
fn session(uid: u64, ms: i64, peer: &str, session: u64) -> LegFacts {
    let mut leg = leg(uid, ms, peer);
    leg.ids.session_id = Some(IdDigest(session));
    leg
}

fn end(uid: u64, begun: i64, state: State, after: Option<u32>) -> End {
    let mut end = call(uid, "north", "east", 0).records()[0]
        .end
        .clone()
        .unwrap();
    (end.uid, end.begun_at) = (uid, at(begun));
    (end.state, end.final_ms) = (state, after);
    end
}

fn legs() -> Legs {
    Legs::new(LegLimits::default())
}

fn how(pair: Option<Pair>) -> Option<(u64, Pairing)> {
    pair.map(|p| (p.uid, p.how))
}

#[test]
fn an_egress_leg_is_the_ingress_leg_with_the_same_session_and_its_time() {
    let mut legs = legs();
    assert_eq!(legs.handle_ingress(session(1, 0, "north", 7)), None);
    assert_eq!(legs.handle_ingress(session(2, 1, "south", 8)), None);
    let pair = legs.handle_egress(session(3, 40, "east", 7)).unwrap();
    assert_eq!(
        (pair.uid, pair.at, pair.how),
        (1, at(0), Pairing::SessionId)
    );
}

#[test]
fn every_way_finds_the_leg_and_the_strongest_is_named() {
    let mut legs = legs();
    legs.handle_ingress(leg(1, 0, "north"));
    let mut out = leg(10, 40, "east");
    out.numbers.called = Tn::from_canonical(b"77712025550142");
    assert_eq!(how(legs.handle_egress(out)), Some((1, Pairing::Suffix)));
    assert_eq!(
        how(legs.handle_egress(leg(11, 40, "east"))),
        Some((1, Pairing::Numbers))
    );
    type Give = fn(&mut LegFacts);
    let ways: [(Pairing, Give); 5] = [
        (Pairing::SdpOrigin, |l| {
            l.ids.sdp_origin = Some(IdDigest(70))
        }),
        (Pairing::Icid, |l| l.ids.icid = Some(IdDigest(71))),
        (Pairing::SessionId, |l| {
            l.ids.session_id = Some(IdDigest(72))
        }),
        (Pairing::Passport, |l| l.passport = Some(Digest128([7; 16]))),
        (Pairing::CallId, |l| l.ids.call_id = IdDigest(73)),
    ];
    for (i, (name, give)) in ways.into_iter().enumerate() {
        let mut legs = Legs::new(LegLimits::default());
        let (mut a, mut b) = (leg(1, 0, "north"), leg(2, 40, "east"));
        give(&mut a);
        give(&mut b);
        // Those that are weaker tie it, too.
        for (_, weaker) in &ways[..i] {
            weaker(&mut a);
            weaker(&mut b);
        }
        legs.handle_ingress(a);
        assert_eq!(how(legs.handle_egress(b)), Some((1, name)));
        let places = usize::from(name == Pairing::CallId);
        assert_eq!(legs.counters().paired[0], places as u64);
    }
}

#[test]
fn what_two_neighbours_may_have_sent_is_paired_with_neither() {
    let mut legs = legs();
    legs.handle_ingress(leg(1, 0, "north"));
    legs.handle_ingress(leg(2, 10, "south"));
    assert_eq!(legs.handle_egress(leg(3, 40, "east")), None);
    assert_eq!(legs.counters().ambiguous, 1);
    // Of one neighbour, the answer is the same; of an unknown one it is not, for that may be two.
    for (peer, pair) in [(Some("north".into()), Some(2)), (None, None)] {
        let mut legs = Legs::new(LegLimits::default());
        for uid in [1, 2] {
            let peer = peer.clone();
            legs.handle_ingress(LegFacts {
                peer,
                ..leg(uid, 0, "")
            });
        }
        let found = legs.handle_egress(leg(3, 40, "east"));
        assert_eq!(found.map(|p| p.uid), pair);
    }
}

#[test]
fn a_leg_that_has_its_final_answer_becomes_no_further_leg() {
    let mut legs = legs();
    legs.handle_ingress(session(1, 0, "north", 7));
    legs.handle_end(at(300), &end(1, 0, State::Failed, Some(300)));
    legs.handle_ingress(session(2, 400, "south", 7));
    let pair = legs.handle_egress(session(3, 440, "east", 7));
    assert_eq!(how(pair), Some((2, Pairing::SessionId)));
}

#[test]
fn route_advance_follows_the_failure_of_the_leg_before() {
    let mut legs = legs();
    legs.handle_ingress(leg(1, 0, "north"));
    assert!(legs.handle_egress(leg(2, 40, "west")).is_some());
    legs.handle_end(at(9_040), &end(2, 40, State::Failed, Some(9_000)));
    assert_eq!(
        how(legs.handle_egress(leg(3, 9_100, "east"))),
        Some((1, Pairing::Numbers))
    );
    // Half a minute later nothing but the numbers is too little.
    assert_eq!(legs.handle_egress(leg(4, 40_000, "east")), None);
}

#[test]
fn two_passports_are_two_calls_whatever_the_numbers() {
    let mut legs = legs();
    let signed = |leg: LegFacts, p: u8| LegFacts {
        passport: Some(Digest128([p; 16])),
        identities: 1,
        ..leg
    };
    legs.handle_ingress(signed(leg(1, 0, "north"), 1));
    assert_eq!(legs.handle_egress(signed(leg(2, 40, "east"), 2)), None);
}

/// A stranger copies a call's Session-ID onto many calls, so that its leg can't be found.
#[test]
fn a_crowd_under_one_identifier_hides_nothing_that_a_weaker_one_tells_and_forges_no_pair() {
    let forged = |legs: &mut Legs| {
        for uid in 100..1_000 {
            let mut f = session(uid, 10, "mallory", 7);
            f.numbers.from = Tn::from_canonical(b"12025550199");
            legs.handle_ingress(f);
        }
    };
    let mut legs = legs();
    legs.handle_ingress(session(1, 0, "north", 7));
    forged(&mut legs);
    let pair = legs.handle_egress(session(2, 40, "east", 7));
    assert_eq!(
        how(pair),
        Some((1, Pairing::SessionId)),
        "the numbers tell it"
    );
    // Where nothing else tells it, nobody is named, though no more are listed than mallory's.
    let mut out = session(3, 50, "east", 7);
    out.numbers.from = None;
    assert_eq!(legs.handle_egress(out), None);
    assert_eq!(legs.counters().crowded, 1);
    // They all end, and with them the crowd.
    for uid in 100..1_000 {
        legs.handle_end(at(60), &end(uid, 10, State::Failed, Some(50)));
    }
    let pair = legs.handle_egress(session(4, 5_000, "east", 7));
    assert_eq!(how(pair), Some((1, Pairing::SessionId)));
}

#[test]
fn nothing_is_left_of_legs_that_are_over() {
    let mut legs = legs();
    for uid in 0..1_000 {
        legs.handle_ingress(session(2 * uid, 0, "north", uid % 3));
        legs.handle_egress(session(2 * uid + 1, 0, "east", uid));
        if uid % 2 == 0 {
            legs.handle_end(at(10), &end(2 * uid, 0, State::Answered, Some(10)));
            legs.handle_end(at(10), &end(2 * uid + 1, 0, State::Failed, Some(10)));
        }
    }
    legs.handle_ingress(leg(9_999, 200_000, "north"));
    assert_eq!(legs.remembered().0, 1);
    assert_eq!(legs.remembered().1, 2, "its Call-ID and its numbers");
    assert!(legs.by_egress.len() == 0 && legs.leaving.is_empty());
}

#[test]
fn legs_are_bounded_and_counted_while_capture_time_stands_still() {
    const LEGS: usize = 5_000;
    let mut legs = Legs::new(LegLimits { legs: LEGS });
    for uid in 0..100_000 {
        legs.handle_ingress(session(2 * uid, 0, "north", uid % 64));
        legs.handle_egress(leg(2 * uid + 1, 0, "east"));
        if uid % 2 == 0 {
            legs.handle_end(at(0), &end(2 * uid, 0, State::Failed, Some(0)));
        }
    }
    let (many, places) = legs.remembered();
    assert!(many <= 2 * LEGS && legs.leaving.len() <= LEGS, "{many}");
    assert!(places <= 3 * many, "{places}");
    assert!(legs.counters().evicted >= 100_000 - LEGS as u64);
    let octets = size_of::<Ingress>();
    println!("an ingress leg takes {octets} octets and its places: {places} for {many} legs");
}

fn looped(legs: &mut Legs, leg: LegFacts) -> Option<u64> {
    legs.handle_ingress(leg).map(|out| out.uid)
}

#[test]
fn a_call_that_we_handed_on_comes_back() {
    let mut legs = legs();
    legs.handle_ingress(session(1, 0, "north", 7));
    legs.handle_egress(session(2, 40, "east", 7));
    assert_eq!(looped(&mut legs, session(3, 300, "west", 7)), Some(2));
    // From whom we handed it to, as well.
    assert_eq!(looped(&mut legs, session(4, 400, "east", 7)), Some(2));
    assert_eq!(legs.counters().loops, 2);
    // Numbers alone are none: the caller calls again.
    let mut fresh = Legs::new(LegLimits::default());
    fresh.handle_ingress(leg(1, 0, "north"));
    fresh.handle_egress(leg(2, 40, "east"));
    assert_eq!(looped(&mut fresh, leg(3, 300, "west")), None);
}

#[test]
fn a_passport_alone_is_a_loop_at_once_and_between_the_same_numbers_alone() {
    let signed = |uid, ms, peer: &str| LegFacts {
        passport: Some(Digest128([1; 16])),
        ..leg(uid, ms, peer)
    };
    let out = || {
        let mut legs = legs();
        legs.handle_ingress(signed(1, 0, "north"));
        legs.handle_egress(signed(2, 40, "east"));
        legs
    };
    assert_eq!(looped(&mut out(), signed(3, 400, "west")), Some(2));
    assert_eq!(
        looped(&mut out(), signed(3, 1_100, "west")),
        None,
        "a replay"
    );
    let mut other = signed(3, 400, "west");
    other.numbers.called = Tn::from_canonical(b"12025550177");
    assert_eq!(looped(&mut out(), other), None, "a replay");
}

#[test]
fn another_try_after_a_failure_is_no_loop() {
    let mut legs = legs();
    legs.handle_ingress(session(1, 0, "north", 7));
    legs.handle_egress(session(2, 40, "east", 7));
    legs.handle_end(at(900), &end(2, 40, State::Failed, Some(860)));
    legs.handle_end(at(910), &end(1, 0, State::Failed, Some(910)));
    assert_eq!(looped(&mut legs, session(3, 1_000, "south", 7)), None);
}

#[test]
fn an_upstream_that_tries_two_ways_at_once_is_no_loop() {
    let mut legs = legs();
    legs.handle_ingress(session(1, 0, "north", 7));
    legs.handle_egress(session(2, 40, "east", 7));
    assert_eq!(looped(&mut legs, session(3, 100, "north", 7)), None);
    // But what we sent back to it and comes again is one.
    legs.handle_egress(session(4, 140, "north", 7));
    assert_eq!(looped(&mut legs, session(5, 200, "north", 7)), Some(4));
}

#[test]
fn an_answered_leg_counts_for_a_minute() {
    for (after, is) in [(59_000, Some(2)), (61_000, None)] {
        let mut legs = Legs::new(LegLimits::default());
        legs.handle_ingress(session(1, 0, "north", 7));
        legs.handle_egress(session(2, 40, "east", 7));
        legs.handle_end(at(900), &end(2, 40, State::Answered, Some(860)));
        assert_eq!(looped(&mut legs, session(3, 40 + after, "west", 7)), is);
    }
}

/// One leg of the property below: whether it comes in, when, whose, its identifiers, and when and how it ends.
type Drawn = (bool, i64, usize, [u64; 5], (u8, u32));

fn record(uid: u64, (ingress, ms, peer, ids, (state, after)): Drawn) -> StoredCall {
    let mut all = call(uid, "north", "east", 0).records();
    let mut r = all.swap_remove(usize::from(!ingress));
    let peers = ["north", "south", "east", "west"];
    let b = &mut r.begin;
    (b.uid, b.at) = (uid, at(10 * ms));
    b.peer = Some(peers[peer].into());
    let [call_id, session, passport, caller, prefix] = ids;
    b.ids.call_id = IdDigest(if call_id == 0 { 1 } else { 1_000 + uid });
    b.ids.session_id = (session > 0).then_some(IdDigest(session));
    b.verdict.passport = (passport > 0).then_some(Digest128([passport as u8; 16]));
    b.verdict.identities = u8::from(passport > 0);
    b.numbers.from = Tn::from_canonical(format!("120255501{caller:02}").as_bytes());
    if prefix == 0 {
        b.numbers.called = Tn::from_canonical(b"99912025550123");
    }
    // Ends differ from look-up to look-up so that no two legs are one sighting.
    b.source.set_port(5_000 + uid as u16);
    r.end = (state > 0).then(|| {
        let states = [State::Failed, State::Answered];
        End {
            begun_at: at(10 * ms),
            // Odd, so that none ends when another begins: within an instant there is no order.
            ..end(uid, ms, states[usize::from(state) - 1], Some(after | 1))
        }
    });
    if let Some(end) = &mut r.end {
        end.ringing_ms = None;
    }
    r
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// What is told while calls go on is what a look-up in the store finds afterwards.
    #[test]
    fn pairs_are_those_of_a_look_up(drawn in proptest::collection::vec(
        (any::<bool>(), 0..900i64, 0..4usize, [0..12u64, 0..4u64, 0..4u64, 0..2u64, 0..4u64], (0..3u8, 1..3_000u32)), 1..24)) {
        let mut drawn = drawn;
        // Legs of one instant have no order.
        drawn.sort_by_key(|d| d.1);
        drawn.dedup_by_key(|d| d.1);
        let records: Vec<_> = (1..).zip(drawn).map(|(uid, d)| record(uid, d)).collect();
        let mut legs = Legs::new(LegLimits::default());
        let mut ends: Vec<&StoredCall> = records.iter().filter(|r| r.end.is_some()).collect();
        let over = |r: &StoredCall| r.begin.at.plus(std::time::Duration::from_millis(r.end.as_ref().unwrap().final_ms.unwrap().into()));
        ends.sort_by_key(|r| over(r));
        let mut ends = ends.into_iter().peekable();
        let mut told = Vec::new();
        for r in &records {
            while let Some(e) = ends.next_if(|e| over(e) < r.begin.at) {
                legs.handle_end(over(e), e.end.as_ref().unwrap());
            }
            let b = &r.begin;
            let leg = LegFacts {
                uid: b.uid,
                at: b.at,
                sensor: 0,
                error_ns: b.clock.error_ns,
                peer: b.peer.clone(),
                ids: b.ids,
                passport: b.verdict.passport,
                identities: b.verdict.identities,
                numbers: b.numbers,
                signed: None,
            };
            match b.direction {
                Direction::Ingress => { legs.handle_ingress(leg); }
                _ => {
                    let pair = legs.handle_egress(leg);
                    told.push((b.uid, pair.map(|p| (p.uid, p.how))));
                }
            }
        }
        let found = candidate::collect(&records, &traced());
        for (uid, pair) in told {
            let attempt = found.iter().find(|a| a.egress.iter().any(|e| e.leg.begin.uid == uid));
            // The look-up keeps what is a call to the number of its request alone.
            let Some(attempt) = attempt else { continue };
            let pairing = attempt.egress.iter().find(|e| e.leg.begin.uid == uid).unwrap().pairing;
            let theirs = attempt.ingress.map(|i| i.begin.uid).zip(pairing);
            prop_assert_eq!(pair, theirs, "leg {}", uid);
        }
    }
}
