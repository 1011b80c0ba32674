use proptest::prelude::*;

use super::super::facts::{InviteFacts, ResponseFacts};
use super::super::{AttemptLimits, InviteIs, Leg, RequestFacts, RequestKind};
use super::*;
use crate::base::digest::IdDigest;
use crate::call::peer::{Remote, Side};
use crate::call::record::{Direction, End, Ids, Numbers, ReleasedBy, State, Verdict};
use crate::number::Tn;

const CLOCK: ClockMark = ClockMark {
    boot: 7,
    boot_at: Timestamp::from_secs(1_000),
};

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(10_000 + secs)
}

fn side(direction: Direction) -> Side {
    Side {
        direction,
        remote: Remote::Address([192, 0, 2, 1].into()),
    }
}

fn leg(n: u64, tag: u64) -> Leg {
    Leg {
        call_id: IdDigest(n),
        tag,
    }
}

fn invite(n: u64) -> InviteFacts {
    let numbers = Numbers {
        called: Tn::from_canonical(b"12025550142"),
        from: Tn::from_canonical(b"12025550123"),
        ..Numbers::default()
    };
    InviteFacts {
        leg: leg(n, 1),
        initial: true,
        cseq: 1,
        branch: n,
        numbers,
        called_text: None,
        trunk: None,
        said: Default::default(),
        oddity: Default::default(),
        ids: Ids {
            call_id: IdDigest(n),
            session_id: None,
            icid: None,
            sdp_origin: None,
        },
        verdict: Verdict::default(),
        verstat: None,
        unknown_ppt_only: false,
    }
}

fn answer(n: u64, code: u16) -> ResponseFacts {
    ResponseFacts {
        leg: leg(n, 1),
        code,
        cseq: 1,
        branch: n,
        to_invite: true,
        cause: None,
        stir_cause: None,
        to_tag: 2,
    }
}

const IN: Direction = Direction::Ingress;

/// Call 1 is answered, call 2 rings, call 3 is over.
fn stopped() -> Snapshot {
    let mut attempts = Attempts::new(AttemptLimits::default());
    for n in [1, 2, 3] {
        let is = attempts.handle_invite(n, at(0), side(IN), &invite(n));
        assert_eq!(is, InviteIs::New);
    }
    attempts.handle_response(at(4), side(IN), &answer(1, 200));
    attempts.handle_response(at(4), side(IN), &answer(2, 180));
    attempts.handle_response(at(4), side(IN), &answer(3, 486));
    attempts.snapshot(at(10), CLOCK, 5)
}

fn bye(n: u64, by_called: bool) -> RequestFacts {
    let (a, b) = (leg(n, 1), leg(n, 2));
    let (leg, reverse_leg) = if by_called { (b, a) } else { (a, b) };
    RequestFacts {
        kind: RequestKind::Bye,
        leg,
        reverse_leg,
        cseq: 2,
        branch: 99,
        in_dialog: true,
        cause: Some(16),
        stir_cause: None,
    }
}

fn ends(attempts: &mut Attempts) -> Vec<End> {
    std::iter::from_fn(|| attempts.poll_end()).collect()
}

#[test]
fn calls_go_on_after_a_restart_where_they_were() {
    let bytes = stopped().encode();
    let snapshot = Snapshot::decode(&bytes).unwrap();
    assert_eq!(snapshot.encode(), bytes);
    let mut attempts = Attempts::new(AttemptLimits::default());
    assert_eq!(attempts.resume(snapshot, at(12), CLOCK, 5), Ok(2));
    assert!(
        ends(&mut attempts).is_empty(),
        "their records say so already"
    );
    let (along, against) = (side(Direction::Egress), side(IN));
    attempts.handle_request(at(64), along, against, &bye(1, true));
    let e = ends(&mut attempts).pop().unwrap();
    assert_eq!(
        (e.uid, e.begun_at, e.state, e.code),
        (1, at(0), State::Answered, 200)
    );
    assert_eq!(e.duration_ms, Some(60_000));
    assert_eq!(e.released_by, Some(ReleasedBy::Called));
    // The answer fell into the time in which nobody looked, and BYE shows that there was one.
    attempts.handle_request(at(70), side(IN), side(IN), &bye(2, false));
    let e = ends(&mut attempts).pop().unwrap();
    assert_eq!(
        (e.uid, e.state, e.code, e.duration_ms),
        (2, State::Answered, 0, None)
    );
    assert!(!e.one_way);
}

#[test]
fn what_is_taken_over_ends_by_its_own_timers() {
    let mut attempts = Attempts::new(AttemptLimits::default());
    attempts.resume(stopped(), at(12), CLOCK, 5).unwrap();
    assert_eq!(attempts.len(), 2);
    attempts.handle_time(at(241));
    assert_eq!(attempts.len(), 1, "what only rang is given up");
    attempts.handle_time(at(4 * 3_600 + 1));
    assert_eq!(attempts.len(), 0);
    // Later than that nothing of it comes back.
    let mut attempts = Attempts::new(AttemptLimits::default());
    assert_eq!(attempts.resume(stopped(), at(300), CLOCK, 5), Ok(1));
}

#[test]
fn another_time_table_or_version_is_refused() {
    let refused = |now, clock, peers| {
        let mut attempts = Attempts::new(AttemptLimits::default());
        let refused = attempts.resume(stopped(), now, clock, peers).unwrap_err();
        assert!(attempts.is_empty());
        refused
    };
    let late = at(4 * 3_600 + 11);
    assert_eq!(refused(late, CLOCK, 5), Refused::TooOld);
    assert_eq!(refused(at(9), CLOCK, 5), Refused::OtherClock);
    let booted = ClockMark { boot: 8, ..CLOCK };
    assert_eq!(refused(at(12), booted, 5), Refused::OtherClock);
    let set = ClockMark {
        boot_at: Timestamp::from_secs(1_003),
        ..CLOCK
    };
    assert_eq!(refused(at(12), set, 5), Refused::OtherClock);
    assert_eq!(refused(at(12), CLOCK, 6), Refused::OtherPeers);
    let mut bytes = stopped().encode();
    bytes[8] = 9;
    let body = bytes.len() - 4;
    let sum = crc32c::crc32c(&bytes[..body]).to_le_bytes();
    bytes[body..].copy_from_slice(&sum);
    assert_eq!(Snapshot::decode(&bytes), Err(Refused::Version));
}

#[test]
fn every_cut_and_every_changed_octet_is_seen() {
    let bytes = stopped().encode();
    for cut in 0..bytes.len() {
        assert_eq!(Snapshot::decode(&bytes[..cut]), Err(Refused::Broken));
    }
    for i in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[i] ^= 0x10;
        assert_eq!(Snapshot::decode(&bytes), Err(Refused::Broken), "{i}");
    }
}

proptest! {
    /// With a sum that fits, too: nothing panics, and nothing grows beyond what is there.
    #[test]
    fn any_octets_are_read_or_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..600), whole in any::<bool>()) {
        if whole {
            let mut front = stopped().encode();
            front.truncate(46);
            front.append(&mut bytes);
            bytes = front;
        }
        let sum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        let _ = Snapshot::decode(&bytes);
    }
}
