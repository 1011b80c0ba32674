//! Whoever sends a call chooses its names.

use std::net::IpAddr;

use super::*;
use crate::number::Tn;

fn tn(text: &str) -> Option<Tn> {
    Tn::from_canonical(text.as_bytes())
}

fn to(called: &str, cseq: u32, branch: u64) -> InviteFacts {
    let mut facts = invite(cseq, branch);
    facts.numbers.called = tn(called);
    facts.numbers.from = tn("12025550100");
    facts
}

fn stranger(last: u8) -> Side {
    Side {
        direction: IN,
        remote: Remote::Address(IpAddr::from([203, 0, 113, last])),
    }
}

const A: &str = "12025550142";
const B: &str = "12025550143";

#[test]
fn two_neighbours_with_one_name_are_two_calls_and_neither_ends_the_others() {
    let mut attempts = Attempts::new(AttemptLimits::default());
    for (uid, who) in [(1, stranger(1)), (2, stranger(2))] {
        let is = attempts.handle_invite(uid, at(0.0), who, &to(A, 1, 1));
        assert_eq!(is, InviteIs::New);
    }
    attempts.handle_response(at(1.0), stranger(2), &refusal(486, None));
    let ends: Vec<_> = std::iter::from_fn(|| attempts.poll_end()).collect();
    assert_eq!(ends.iter().map(|e| e.uid).collect::<Vec<_>>(), [2]);
}

#[test]
fn the_same_addresses_in_two_tunnels_are_two_calls() {
    let mut attempts = Attempts::new(AttemptLimits::default());
    for network in [0, 1, 2] {
        let lane = Lane {
            side: side(IN),
            network,
        };
        let is = attempts.handle_invite(network, at(0.0), lane, &to(A, 1, 1));
        assert_eq!(is, InviteIs::New);
    }
}

#[test]
fn answers_cancels_and_byes_from_a_third_address_change_nothing() {
    let mut attempts = Attempts::new(AttemptLimits::default());
    attempts.handle_invite(1, at(0.0), stranger(1), &to(A, 1, 1));
    let third = stranger(3);
    attempts.handle_request(at(1.0), third, third, &request(RequestKind::Cancel));
    attempts.handle_request(at(1.0), third, third, &request(RequestKind::Ack));
    attempts.handle_request(at(1.0), third, third, &request(RequestKind::Bye));
    attempts.handle_response(at(1.0), third, &refusal(200, None));
    assert_eq!(attempts.poll_end(), None);
    attempts.finish();
    let ends: Vec<_> = std::iter::from_fn(|| attempts.poll_end()).collect();
    let [end] = ends.as_slice() else {
        panic!("{ends:?}")
    };
    assert_eq!(
        (end.uid, end.state, end.one_way),
        (1, State::Unfinished, true)
    );
    let c = attempts.counters();
    assert_eq!((c.stray_cancels, c.orphans, c.headless), (1, 1, 1));
}

#[test]
fn a_neighbour_hides_no_call_behind_the_name_of_another() {
    // Calls to many numbers, as forks, retransmissions, older requests or retries of the first one.
    let names: [fn(u32) -> (u32, u64); 4] = [
        |n| (1_000, u64::from(n)),
        |_| (1_000, 1),
        |n| (1_000 - n, u64::from(n)),
        |n| (1_000 + n, u64::from(n)),
    ];
    for (i, name) in names.into_iter().enumerate() {
        let mut attempts = Attempts::new(AttemptLimits::default());
        let mut again = 0;
        for n in 0..50u32 {
            let (cseq, branch) = name(n);
            let facts = to(&format!("120255501{n:02}"), cseq, branch);
            let uid = u64::from(n) + 1;
            let is = attempts.handle_invite(uid, at(0.0), side(IN), &facts);
            assert_eq!(is, InviteIs::New, "way {i}, call {n}");
            let is = attempts.handle_invite(99, at(0.1), side(IN), &facts);
            again += u32::from(is == InviteIs::Retransmission);
        }
        assert_eq!(again, 50, "way {i}");
        attempts.finish();
        let ends = std::iter::from_fn(|| attempts.poll_end()).count();
        assert_eq!(ends, 50, "way {i}");
    }
}

#[test]
fn answers_go_to_the_call_whose_branch_they_bear() {
    let mut attempts = Attempts::new(AttemptLimits::default());
    attempts.handle_invite(1, at(0.0), side(IN), &to(A, 1, 1));
    attempts.handle_invite(2, at(0.0), side(IN), &to(B, 1, 2));
    assert_eq!(attempts.counters().collisions, 1);
    let answer = |code, branch| ResponseFacts {
        branch,
        ..refusal(code, None)
    };
    attempts.handle_response(at(1.0), side(IN), &answer(486, 2));
    attempts.handle_response(at(2.0), side(IN), &answer(200, 1));
    let ends: Vec<_> = std::iter::from_fn(|| attempts.poll_end())
        .map(|e| (e.uid, e.code))
        .collect();
    assert_eq!(ends, [(2, 486), (1, 200)]);
    // When all is over, nothing is left of it.
    attempts.handle_request(at(3.0), side(IN), side(IN), &request(RequestKind::Bye));
    attempts.handle_time(at(100.0));
    assert_eq!((attempts.len(), attempts.split), (0, 0));
}

#[test]
fn a_fork_towards_another_number_is_a_call_of_its_own_and_towards_the_same_is_none() {
    let mut attempts = Attempts::new(AttemptLimits::default());
    let mut put = |facts| attempts.handle_invite(1, at(0.0), side(IN), &facts);
    assert_eq!(put(to(A, 1, 1)), InviteIs::New);
    assert_eq!(put(to(A, 1, 2)), InviteIs::Fork);
    assert_eq!(put(to(B, 1, 3)), InviteIs::New);
    // Cut before its From.
    let mut cut = to(A, 1, 1);
    cut.numbers.from = None;
    assert_eq!(put(cut), InviteIs::Retransmission);
}

/// Half-open calls without end, while capture time stands still: the bound holds, and what had to go is counted.
#[test]
fn a_million_half_open_calls_are_bounded_and_counted() {
    const OPEN: usize = 20_000;
    let limits = AttemptLimits {
        open: OPEN,
        headless: 1_000,
        ..AttemptLimits::default()
    };
    let mut attempts = Attempts::new(limits);
    let mut most = 0;
    let mut ends = 0u64;
    for n in 0..1_000_000u64 {
        let mut facts = to(A, 1, n);
        facts.leg.tag = n;
        attempts.handle_invite(n, at(0.0), side(IN), &facts);
        if n % 2 == 0 {
            // Rings for ever.
            let response = ResponseFacts {
                leg: facts.leg,
                branch: n,
                ..refusal(180, None)
            };
            attempts.handle_response(at(0.0), side(IN), &response);
        }
        most = most.max(attempts.remembered());
        while attempts.poll_end().is_some() {
            ends += 1;
        }
    }
    let evicted = attempts.counters().evicted;
    assert_eq!((attempts.len(), evicted), (OPEN, 1_000_000 - OPEN as u64));
    assert_eq!(ends, evicted, "each has its record");
    assert!(most <= 5 * OPEN, "{most}");
    let octets = size_of::<Key>() + size_of::<Attempt>();
    println!(
        "an open call takes {octets} octets and its places; {most} places at most for {OPEN} calls"
    );
}
