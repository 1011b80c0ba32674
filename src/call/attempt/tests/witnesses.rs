//! What became of a call, by whoever was seen to say so.

use super::*;

impl Tap {
    fn send(&mut self, secs: f64, request: RequestFacts) {
        let (along, against) = (side(IN), side(Direction::Egress));
        self.attempts
            .handle_request(at(secs), along, against, &request);
    }

    fn ack(&mut self, secs: f64, cseq: u32, branch: u64) {
        self.send(
            secs,
            RequestFacts {
                cseq,
                branch,
                ..request(RequestKind::Ack)
            },
        );
    }

    fn cancel(&mut self, secs: f64, branch: u64, cause: Option<u8>) {
        self.send(
            secs,
            RequestFacts {
                branch,
                cause,
                in_dialog: false,
                ..request(RequestKind::Cancel)
            },
        );
    }

    fn answer(&mut self, secs: f64, code: u16, to_tag: u64) {
        let response = ResponseFacts {
            to_tag,
            ..refusal(code, None)
        };
        self.attempts.handle_response(at(secs), side(IN), &response);
    }

    /// The end after a clean stop.
    fn last(&mut self) -> End {
        self.attempts.finish();
        self.ends().pop().unwrap()
    }
}

fn ringing() -> Tap {
    let mut tap = Tap::new();
    tap.invite(0.0, 1, 1);
    tap.response(1.0, 1, 180);
    tap
}

#[test]
fn a_3xx_names_others_and_the_next_invite_is_a_new_attempt() {
    let mut tap = Tap::new();
    tap.invite(0.0, 1, 1);
    tap.response(0.2, 1, 302);
    let e = tap.ends().pop().unwrap();
    assert_eq!((e.state, e.code), (State::Redirected, 302));
    assert_eq!(tap.invite(0.3, 2, 2), InviteIs::New);
}

#[test]
fn a_session_timer_that_is_too_short_is_a_new_attempt_and_a_challenge_is_none() {
    for (code, is) in [
        (422, InviteIs::New),
        (423, InviteIs::New),
        (401, InviteIs::AuthRetry),
    ] {
        let mut tap = Tap::new();
        tap.invite(0.0, 1, 1);
        tap.response(0.2, 1, code);
        assert_eq!(tap.invite(0.3, 2, 2), is, "{code}");
    }
}

#[test]
fn a_cancelled_call_is_one_even_if_nobody_says_487() {
    let mut tap = ringing();
    tap.cancel(5.0, 1, Some(16));
    assert!(tap.ends().is_empty(), "the answer may still come");
    tap.attempts.handle_time(at(38.0));
    let e = tap.ends().pop().unwrap();
    assert_eq!(
        (e.state, e.code, e.cause, e.one_way),
        (State::Cancelled, 0, Some(16), false)
    );
    assert_eq!(tap.attempts.counters().cancels, 1);
    assert!(tap.attempts.is_empty());
}

#[test]
fn the_cause_of_a_cancel_is_kept_where_487_has_none() {
    let mut tap = ringing();
    tap.cancel(5.0, 1, Some(31));
    tap.response(5.1, 1, 487);
    let e = tap.ends().pop().unwrap();
    assert_eq!(
        (e.state, e.code, e.cause),
        (State::Cancelled, 487, Some(31))
    );
}

#[test]
fn an_answer_that_crosses_the_cancel_counts() {
    let mut tap = ringing();
    tap.cancel(5.0, 1, Some(16));
    tap.response(5.01, 1, 200);
    let e = tap.ends().pop().unwrap();
    assert_eq!((e.state, e.code, e.cause), (State::Answered, 200, None));
    tap.attempts.handle_time(at(300.0));
    tap.bye(400.0, true);
    assert_eq!(tap.last().duration_ms, Some(394_990));
}

#[test]
fn one_branch_cancelled_cancels_no_call_that_another_branch_answers() {
    let mut tap = Tap::new();
    tap.invite(0.0, 1, 1);
    tap.invite(0.1, 1, 2);
    tap.cancel(5.0, 2, None);
    tap.attempts.handle_time(at(60.0));
    assert!(tap.ends().is_empty());
    tap.branch_response(61.0, 1, 1, 200);
    assert_eq!(tap.last().state, State::Answered);
}

#[test]
fn a_cancel_of_another_transaction_is_a_stray() {
    let mut tap = ringing();
    tap.send(
        2.0,
        RequestFacts {
            cseq: 7,
            ..request(RequestKind::Cancel)
        },
    );
    assert_eq!(tap.last().state, State::Unfinished);
    let c = tap.attempts.counters();
    assert_eq!((c.cancels, c.stray_cancels), (0, 1));
}

#[test]
fn the_cause_of_bye_is_kept_for_an_answered_call() {
    let mut tap = Tap::new();
    tap.invite(0.0, 1, 1);
    tap.response(1.0, 1, 200);
    tap.send(
        9.0,
        RequestFacts {
            cseq: 2,
            cause: Some(16),
            ..request(RequestKind::Bye)
        },
    );
    let e = tap.last();
    assert_eq!((e.state, e.cause), (State::Answered, Some(16)));
    assert_eq!(e.released_by, Some(ReleasedBy::Caller));
}

#[test]
fn a_tap_that_sees_one_direction_tells_answered_calls_by_ack_and_bye() {
    let mut tap = Tap::new();
    tap.invite(0.0, 1, 1);
    tap.ack(4.0, 1, 99);
    let e = tap.ends().pop().unwrap();
    assert_eq!(
        (e.state, e.code, e.one_way, e.final_ms),
        (State::Answered, 0, true, None)
    );
    tap.bye(9.0, false);
    let e = tap.last();
    assert_eq!((e.duration_ms, e.one_way), (Some(5_000), true));
    // The ACK was lost.
    let mut tap = Tap::new();
    tap.invite(0.0, 1, 1);
    tap.bye(9.0, false);
    let e = tap.last();
    assert_eq!(
        (e.state, e.code, e.one_way, e.duration_ms),
        (State::Answered, 0, true, None)
    );
    assert_eq!(e.released_by, Some(ReleasedBy::Caller));
}

#[test]
fn the_ack_of_a_failure_proves_no_answer() {
    let mut tap = Tap::new();
    tap.invite(0.0, 1, 1);
    tap.ack(4.0, 1, 1);
    let e = tap.last();
    assert_eq!((e.state, e.code, e.one_way), (State::Unfinished, 0, true));
}

#[test]
fn a_one_way_call_that_is_cancelled_or_silent_says_so() {
    let mut tap = Tap::new();
    tap.invite(0.0, 1, 1);
    tap.cancel(4.0, 1, None);
    let e = tap.last();
    assert_eq!((e.state, e.code, e.one_way), (State::Cancelled, 0, true));
    let mut tap = Tap::new();
    tap.invite(0.0, 1, 1);
    let e = tap.last();
    assert_eq!((e.state, e.code, e.one_way), (State::Unfinished, 0, true));
}

#[test]
fn an_answer_that_is_seen_after_its_ack_takes_its_place() {
    let mut tap = Tap::new();
    tap.invite(0.0, 1, 1);
    tap.ack(4.0, 1, 99);
    tap.response(4.5, 1, 200);
    let e = tap.last();
    assert_eq!((e.code, e.one_way, e.final_ms), (200, false, Some(4_500)));
}

#[test]
fn a_callers_bye_while_it_rings_ends_an_early_dialog() {
    let mut tap = ringing();
    tap.bye(5.0, false);
    let e = tap.last();
    assert_eq!((e.state, e.released_by), (State::Unfinished, None));
    // The called side may send none before its answer.
    let mut tap = ringing();
    tap.bye(5.0, true);
    assert_eq!(tap.last().state, State::Answered);
}

#[test]
fn bye_before_the_ack_ends_the_call() {
    let mut tap = Tap::new();
    tap.invite(0.0, 1, 1);
    tap.response(1.0, 1, 200);
    tap.bye(1.2, true);
    tap.ack(1.3, 1, 99);
    let e = tap.last();
    assert_eq!((e.duration_ms, e.code), (Some(200), 200));
}

#[test]
fn the_second_of_two_answers_is_ended_and_the_call_goes_on() {
    let mut tap = Tap::new();
    tap.invite(0.0, 1, 1);
    tap.answer(1.0, 200, 8);
    tap.answer(1.1, 200, 9);
    let mut second = request(RequestKind::Bye);
    second.reverse_leg.tag = 9;
    tap.send(1.2, second);
    tap.bye(60.0, false);
    let e = tap.last();
    assert_eq!(e.duration_ms, Some(59_000));
    let c = tap.attempts.counters();
    assert_eq!((c.further_answers, c.further_byes, c.orphans), (1, 1, 0));
}

#[test]
fn a_dialog_that_ended_early_does_not_ring() {
    let mut tap = Tap::new();
    tap.invite(0.0, 1, 1);
    tap.response(1.0, 1, 199);
    tap.response(2.0, 1, 183);
    assert_eq!(tap.last().ringing_ms, Some(2_000));
}

#[test]
fn other_requests_open_and_change_nothing() {
    let mut tap = Tap::new();
    tap.send(0.0, request(RequestKind::Other));
    tap.send(0.0, request(RequestKind::Ack));
    assert_eq!((tap.attempts.len(), tap.attempts.remembered()), (0, 0));
    tap.invite(0.0, 1, 1);
    let mut inside = invite(2, 5);
    inside.initial = false;
    let is = tap.attempts.handle_invite(9, at(1.0), side(IN), &inside);
    assert_eq!(is, InviteIs::ReInvite);
    assert_eq!(tap.attempts.len(), 1);
}
