use super::*;
use crate::base::digest::IdDigest;
use crate::call::peer::Remote;
use crate::call::record::{Direction, State};
use crate::call::record::{Ids, Numbers, Verdict};

fn side(direction: Direction) -> Side {
    Side {
        direction,
        remote: Remote::Rule(0),
    }
}

const IN: Direction = Direction::Ingress;

fn leg() -> Leg {
    Leg {
        call_id: IdDigest(1),
        tag: 7,
    }
}

fn invite(cseq: u32, branch: u64) -> InviteFacts {
    InviteFacts {
        leg: leg(),
        initial: true,
        cseq,
        branch,
        numbers: Numbers::default(),
        called_text: None,
        trunk: None,
        ids: Ids {
            call_id: IdDigest(1),
            session_id: None,
            icid: None,
            sdp_origin: None,
        },
        verdict: Verdict::default(),
        verstat: None,
        unknown_ppt_only: false,
    }
}

struct Tap {
    attempts: Attempts,
    uid: u64,
}

impl Tap {
    fn new() -> Self {
        Self {
            attempts: Attempts::new(AttemptLimits::default()),
            uid: 0,
        }
    }

    fn invite(&mut self, secs: f64, cseq: u32, branch: u64) -> InviteIs {
        let is =
            self.attempts
                .handle_invite(self.uid + 1, at(secs), side(IN), &invite(cseq, branch));
        self.uid += u64::from(is == InviteIs::New);
        is
    }

    fn response(&mut self, secs: f64, cseq: u32, code: u16) {
        self.branch_response(secs, cseq, u64::from(cseq), code);
    }

    fn branch_response(&mut self, secs: f64, cseq: u32, branch: u64, code: u16) {
        let r = ResponseFacts {
            leg: leg(),
            code,
            cseq,
            branch,
            to_invite: true,
            cause: None,
            stir_cause: None,
        };
        self.attempts.handle_response(at(secs), side(IN), &r);
    }

    fn bye(&mut self, secs: f64, by_called: bool) {
        let other = Leg {
            call_id: IdDigest(1),
            tag: 8,
        };
        let out = side(Direction::Egress);
        let (leg, reverse_leg, along, against) = if by_called {
            (other, leg(), out, side(IN))
        } else {
            (leg(), other, side(IN), out)
        };
        let r = RequestFacts {
            kind: RequestKind::Bye,
            leg,
            reverse_leg,
            stir_cause: None,
        };
        self.attempts.handle_request(at(secs), along, against, &r);
    }

    fn ends(&mut self) -> Vec<End> {
        std::iter::from_fn(|| self.attempts.poll_end()).collect()
    }
}

fn at(secs: f64) -> Timestamp {
    Timestamp::from_nanos((secs * 1e9) as i64)
}

#[test]
fn an_answered_call_is_written_at_the_answer_and_again_at_bye() {
    let mut tap = Tap::new();
    assert_eq!(tap.invite(0.0, 1, 1), InviteIs::New);
    tap.response(0.1, 1, 100);
    tap.response(1.0, 1, 180);
    assert!(tap.ends().is_empty());
    tap.response(5.0, 1, 200);
    let e = &tap.ends()[0];
    assert_eq!(
        (e.state, e.code, e.ringing_ms, e.final_ms),
        (State::Answered, 200, Some(1000), Some(5000))
    );
    tap.bye(15.0, true);
    let e = &tap.ends()[0];
    assert_eq!(
        (e.duration_ms, e.released_by),
        (Some(10_000), Some(ReleasedBy::Called))
    );
}

#[test]
fn retransmissions_forks_and_credentials_fold_into_one_attempt() {
    let mut tap = Tap::new();
    assert_eq!(tap.invite(0.0, 1, 1), InviteIs::New);
    assert_eq!(tap.invite(0.5, 1, 1), InviteIs::Retransmission);
    assert_eq!(tap.invite(0.6, 1, 2), InviteIs::Fork);
    tap.response(0.7, 1, 407);
    assert_eq!(tap.invite(0.8, 2, 3), InviteIs::AuthRetry);
    tap.branch_response(1.0, 2, 3, 486);
    let e = tap.ends().pop().unwrap();
    assert_eq!(
        (e.retransmissions, e.forks, e.auth_retries, e.code),
        (1, 1, 1, 486)
    );
    assert_eq!(tap.uid, 1);
}

#[test]
fn a_new_try_after_a_failure_is_a_new_attempt() {
    let mut tap = Tap::new();
    tap.invite(0.0, 1, 1);
    tap.response(0.2, 1, 503);
    assert_eq!(tap.invite(1.0, 2, 2), InviteIs::New);
    tap.response(1.2, 2, 200);
    let ends = tap.ends();
    assert_eq!(
        ends.iter().map(|e| (e.uid, e.code)).collect::<Vec<_>>(),
        [(1, 503), (2, 200)]
    );
}

#[test]
fn a_challenge_that_is_never_met_is_the_final_answer() {
    let mut tap = Tap::new();
    tap.invite(0.0, 1, 1);
    tap.response(0.2, 1, 401);
    tap.attempts.finish();
    let e = tap.ends().pop().unwrap();
    assert_eq!((e.state, e.code), (State::Failed, 401));
}

#[test]
fn silence_ends_after_timer_c_as_unfinished() {
    let mut tap = Tap::new();
    tap.invite(0.0, 1, 1);
    tap.response(1.0, 1, 180);
    tap.bye(241.0, false);
    let e = tap.ends().pop().unwrap();
    assert_eq!(
        (e.state, e.code, e.ringing_ms),
        (State::Unfinished, 0, Some(1000))
    );
    assert!(tap.attempts.is_empty());
    assert_eq!(tap.attempts.counters().orphans, 1);
}

#[test]
fn a_finished_attempt_is_forgotten_after_64_t1() {
    let mut tap = Tap::new();
    tap.invite(0.0, 1, 1);
    tap.response(0.2, 1, 486);
    assert_eq!(tap.invite(10.0, 1, 1), InviteIs::Retransmission);
    assert_eq!(
        tap.invite(33.0, 1, 1),
        InviteIs::New,
        "64*T1 later the same key is another call"
    );
    assert_eq!(
        tap.ends()
            .iter()
            .rfind(|e| e.uid == 1)
            .unwrap()
            .retransmissions,
        1
    );
}

#[test]
fn the_table_is_bounded_and_evicts_with_a_count() {
    let limits = AttemptLimits {
        open: 2,
        ..AttemptLimits::default()
    };
    let mut attempts = Attempts::new(limits);
    for i in 0..5 {
        let mut f = invite(1, 1);
        f.leg.tag = i;
        attempts.handle_invite(i, at(0.0), side(IN), &f);
    }
    assert_eq!((attempts.len(), attempts.counters().evicted), (2, 3));
}

#[test]
fn the_same_call_on_two_interfaces_is_two_attempts() {
    let mut tap = Tap::new();
    tap.invite(0.0, 1, 1);
    let out = side(Direction::Egress);
    let is = tap.attempts.handle_invite(2, at(0.01), out, &invite(1, 9));
    assert_eq!(is, InviteIs::New);
}

#[test]
fn a_fork_fails_with_its_last_branch_and_succeeds_with_any() {
    let mut tap = Tap::new();
    tap.invite(0.0, 1, 1);
    tap.invite(0.1, 1, 2);
    tap.branch_response(0.5, 1, 2, 482);
    assert!(
        tap.ends().is_empty(),
        "the other branch may still be answered"
    );
    tap.branch_response(3.0, 1, 1, 200);
    let e = tap.ends().pop().unwrap();
    assert_eq!((e.state, e.code, e.forks), (State::Answered, 200, 1));
    let mut tap = Tap::new();
    tap.invite(0.0, 1, 1);
    tap.invite(0.1, 1, 2);
    tap.branch_response(0.5, 1, 2, 482);
    tap.branch_response(3.0, 1, 1, 486);
    assert_eq!(tap.ends().pop().unwrap().code, 486);
}

#[test]
fn answers_that_come_before_their_invite_are_joined_to_it() {
    let mut tap = Tap::new();
    tap.response(1.0, 1, 180);
    tap.response(2.0, 1, 200);
    tap.bye(9.0, false);
    assert!(tap.ends().is_empty());
    // The front of the INVITE comes out when its last fragment is overdue, with the time at which it was captured.
    assert_eq!(tap.invite(0.5, 1, 1), InviteIs::New);
    let e = tap.ends().pop().unwrap();
    assert_eq!(
        (e.state, e.ringing_ms, e.final_ms, e.duration_ms),
        (State::Answered, Some(500), Some(1500), Some(7000))
    );
}

#[test]
fn answers_without_any_invite_are_counted() {
    let mut tap = Tap::new();
    tap.response(1.0, 1, 200);
    tap.attempts.finish();
    assert_eq!(tap.attempts.counters().headless, 1);
    assert!(tap.ends().is_empty());
}
