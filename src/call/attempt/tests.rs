use super::*;
use crate::base::digest::IdDigest;
use crate::call::peer::{Remote, Side};
use crate::call::record::{Direction, State};
use crate::call::record::{Ids, Numbers, Verdict};
use crate::stir::verify::Validation;

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
        oddity: Default::default(),
        trunk: None,
        said: Default::default(),
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

/// From the caller, in the dialog of tag 8.
fn request(kind: RequestKind) -> RequestFacts {
    RequestFacts {
        kind,
        leg: leg(),
        reverse_leg: Leg {
            call_id: IdDigest(1),
            tag: 8,
        },
        cseq: 1,
        branch: 1,
        in_dialog: true,
        cause: None,
        stir_cause: None,
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
            to_tag: 8,
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
            leg,
            reverse_leg,
            ..request(RequestKind::Bye)
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

fn refusal(code: u16, stir_cause: Option<u16>) -> ResponseFacts {
    ResponseFacts {
        leg: leg(),
        code,
        cseq: 1,
        branch: 1,
        to_invite: true,
        cause: None,
        stir_cause,
        to_tag: 8,
    }
}

/// Plays an INVITE so judged and its answers; gives the last End, and how many said for the first time that somebody spoke against it.
fn answered(ours: Validation, identities: u8, answers: &[(u16, Option<u16>)]) -> (End, usize) {
    let mut attempts = Attempts::new(AttemptLimits::default());
    let mut invite = invite(1, 1);
    invite.verdict.validation = ours;
    invite.verdict.identities = identities;
    attempts.handle_invite_at_place(1, at(1.0), side(IN), &invite, || 7);
    for (i, (code, stir)) in answers.iter().enumerate() {
        let at = at(2.0 + i as f64);
        attempts.handle_response(at, side(IN), &refusal(*code, *stir));
    }
    attempts.finish();
    let ends: Vec<_> = std::iter::from_fn(|| attempts.poll_ended()).collect();
    assert!(ends.iter().all(|e| e.place == 7));
    let first = ends.iter().filter(|e| e.spoken_against).count();
    (ends.last().unwrap().end.clone(), first)
}

#[test]
fn m2_a_refusal_is_kept_and_held_against_our_verdict() {
    use Validation::*;
    let (end, first) = answered(Passed, 1, &[(438, Some(438))]);
    assert_eq!((end.stir_cause, end.disagrees, first), (Some(438), true, 1));
    let (end, _) = answered(Failed, 1, &[(438, Some(438))]);
    assert_eq!((end.stir_cause, end.disagrees), (Some(438), false));
    let (end, first) = answered(Passed, 1, &[(486, Option::None)]);
    assert_eq!(
        (end.stir_cause, end.disagrees, first),
        (Option::None, false, 0)
    );
}

#[test]
fn m2_a_remark_on_a_call_that_goes_on_speaks_of_its_only_header() {
    let remark = [(183, Some(436)), (200, Option::None)];
    let (end, first) = answered(Validation::Passed, 1, &remark);
    assert_eq!(
        (end.code, end.stir_cause, end.disagrees, first),
        (200, Some(436), true, 1)
    );
    assert!(!answered(Validation::Passed, 2, &remark).0.disagrees);
    // What refuses counts before what was remarked.
    let (end, first) = answered(Validation::Passed, 2, &[(183, Some(436)), (437, Some(437))]);
    assert_eq!((end.stir_cause, end.disagrees, first), (Some(437), true, 1));
}

#[test]
fn m2_the_called_sides_bye_may_speak_against_a_call_and_the_callers_may_not() {
    for (by_called, want) in [(true, Some(438)), (false, Option::None)] {
        let mut tap = Tap::new();
        tap.invite(1.0, 1, 1);
        tap.response(2.0, 1, 200);
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
        let bye = RequestFacts {
            leg,
            reverse_leg,
            stir_cause: Some(438),
            ..request(RequestKind::Bye)
        };
        tap.attempts.handle_request(at(9.0), along, against, &bye);
        assert_eq!(tap.ends().last().unwrap().stir_cause, want);
    }
}

mod collisions;
mod witnesses;
