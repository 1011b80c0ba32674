//! Where a request goes: every state, every event. Pure, total, and the only place that says so.
//!
//! A portal's word is never an error: what makes no sense where the request stands changes nothing. A person is told why not.

use crate::responder::case::RequestState::{self, *};

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// It came again, octet for octet.
    Repeated,
    /// It came with other octets.
    Changed,
    /// The matcher's answer: never to leave, for a person, a question, or certain and allowed.
    Matched(RequestState),
    /// A person lets the answer leave.
    Approve,
    /// A person lets a question leave that the matcher put.
    ApproveQuestion,
    /// A person gives another answer.
    Answer,
    /// A person asks back.
    Ask,
    /// The portal has the last answer.
    Taken,
    /// The portal will not take it.
    Refused,
    /// The portal knows nothing of the request.
    Gone,
    /// It was taken back.
    Withdrawn,
    /// The last answer is accepted.
    Accepted,
    /// The last answer is disputed.
    Disputed,
    /// Another answer about the neighbour that this one names is disputed, and nobody has looked at this one.
    Held,
    /// The case is over.
    Closed,
    /// Its time is over.
    Lapsed,
}

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It stands there then.
    To(RequestState),
    /// Nothing.
    Stay,
    /// It can't be done.
    No(&'static str),
}

use Step::{No, Stay, To};

/// Where a request goes from a state by an event.
pub(super) fn next(state: RequestState, event: Event) -> Step {
    match event {
        Event::Repeated => match state {
            // Taken back, or given up, and asked again: it is new.
            Expired | Withdrawn => To(Received),
            _ => Stay,
        },
        Event::Changed => match state {
            Closed => No("the case is over"),
            _ => To(Received),
        },
        Event::Matched(to) => match state {
            Received => To(to),
            _ => No("it is not waiting to be matched"),
        },
        Event::Approve => match state {
            Ready | Review => To(Outbox),
            Outbox | Sent | Accepted => No("that answer has left already; `edit` gives another"),
            Disputed => No("that answer is disputed; `edit` says which one stands"),
            _ => unanswered(state),
        },
        Event::ApproveQuestion => match state {
            Ready | Review => To(NeedsInfo),
            NeedsInfo => No("that question has left already; `ask` puts another"),
            _ => unanswered(state),
        },
        Event::Answer => match state {
            Ready | Review | NeedsInfo | Outbox | Sent | Accepted | Disputed => To(Outbox),
            _ => unanswered(state),
        },
        Event::Ask => match state {
            Ready | Review | NeedsInfo | Outbox | Sent | Accepted | Disputed => To(NeedsInfo),
            _ => unanswered(state),
        },
        Event::Taken => match state {
            Outbox => To(Sent),
            _ => Stay,
        },
        Event::Refused => match state {
            Outbox | NeedsInfo => To(Review),
            _ => Stay,
        },
        Event::Gone => match state {
            Outbox | NeedsInfo => To(Withdrawn),
            _ => Stay,
        },
        Event::Withdrawn => match state {
            Closed | Expired | Withdrawn => Stay,
            _ => To(Withdrawn),
        },
        Event::Accepted => match state {
            // From the outbox: it had the answer, and we did not hear so.
            Outbox | Sent | Disputed => To(Accepted),
            _ => Stay,
        },
        Event::Disputed => match state {
            Outbox | Sent | Accepted | Closed => To(Disputed),
            _ => Stay,
        },
        Event::Held => match state {
            Outbox => To(Review),
            _ => Stay,
        },
        Event::Closed => match state {
            Received | Review | Outbox => To(Expired),
            Ready | NeedsInfo | Sent | Accepted | Disputed => To(Closed),
            Closed | Expired | Withdrawn => Stay,
        },
        Event::Lapsed => match state {
            Received | Review | NeedsInfo | Outbox => To(Expired),
            Ready | Sent | Accepted | Disputed => To(Closed),
            Closed | Expired | Withdrawn => Stay,
        },
    }
}

fn unanswered(state: RequestState) -> Step {
    No(match state {
        Received => "it has not been looked at yet",
        Closed => "the case is over",
        Expired => "its time is over",
        Withdrawn => "the portal took it back",
        NeedsInfo => "a question went back; `edit` gives an answer all the same",
        _ => "there is no such question",
    })
}

/// Whether somebody or something still has to act: what counts towards the bound.
pub(super) const fn is_open(state: RequestState) -> bool {
    match state {
        Received | Ready | Review | NeedsInfo | Outbox | Disputed => true,
        Sent | Accepted | Closed | Expired | Withdrawn => false,
    }
}

/// Whether the deadline matters. In shadow the answer is a person's business elsewhere.
pub(super) const fn is_timed(state: RequestState) -> bool {
    matches!(state, Received | Review | NeedsInfo | Outbox)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: [Event; 19] = [
        Event::Repeated,
        Event::Changed,
        Event::Matched(Ready),
        Event::Matched(Review),
        Event::Matched(NeedsInfo),
        Event::Matched(Outbox),
        Event::Approve,
        Event::ApproveQuestion,
        Event::Answer,
        Event::Ask,
        Event::Taken,
        Event::Refused,
        Event::Gone,
        Event::Withdrawn,
        Event::Accepted,
        Event::Disputed,
        Event::Held,
        Event::Closed,
        Event::Lapsed,
    ];

    /// One letter a state, in the order of [`RequestState::ALL`]: r ready, v review, n needs-info, o outbox, s sent, a accepted, d disputed, c closed,
    /// x expired, w withdrawn, R received; `.` stays, `-` can't be.
    const TABLE: [(Event, &str); 19] = [
        //                            R r v n o s a d c x w
        (Event::Repeated, "         . . . . . . . . . R R"),
        (Event::Changed, "          R R R R R R R R - R R"),
        (Event::Matched(Ready), "   r - - - - - - - - - -"),
        (Event::Matched(Review), "  v - - - - - - - - - -"),
        (Event::Matched(NeedsInfo), "n - - - - - - - - - -"),
        (Event::Matched(Outbox), "  o - - - - - - - - - -"),
        (Event::Approve, "          - o o - - - - - - - -"),
        (Event::ApproveQuestion, "  - n n - - - - - - - -"),
        (Event::Answer, "           - o o o o o o o - - -"),
        (Event::Ask, "              - n n n n n n n - - -"),
        (Event::Taken, "            . . . . s . . . . . ."),
        (Event::Refused, "          . . . v v . . . . . ."),
        (Event::Gone, "             . . . w w . . . . . ."),
        (Event::Withdrawn, "        w w w w w w w w . . ."),
        (Event::Accepted, "         . . . . a a . a . . ."),
        (Event::Disputed, "         . . . . d d d . d . ."),
        (Event::Held, "             . . . . v . . . . . ."),
        (Event::Closed, "           x c x c x c c c . . ."),
        (Event::Lapsed, "           x c x x x c c c . . ."),
    ];

    fn letter(state: RequestState) -> &'static str {
        match state {
            Received => "R",
            Ready => "r",
            Review => "v",
            NeedsInfo => "n",
            Outbox => "o",
            Sent => "s",
            Accepted => "a",
            Disputed => "d",
            Closed => "c",
            Expired => "x",
            Withdrawn => "w",
        }
    }

    #[test]
    fn every_state_and_every_event() {
        for (event, row) in TABLE {
            let wanted: Vec<&str> = row.split_whitespace().collect();
            assert_eq!(wanted.len(), RequestState::ALL.len());
            for (state, wanted) in RequestState::ALL.iter().zip(wanted) {
                let found = match next(*state, event) {
                    To(to) => letter(to),
                    Stay => ".",
                    No(_) => "-",
                };
                assert_eq!(found, wanted, "{state} on {event:?}");
            }
        }
        assert_eq!(TABLE.map(|(e, _)| e), EVENTS);
    }

    #[test]
    fn a_portal_is_never_told_no() {
        let word = [
            Event::Repeated,
            Event::Taken,
            Event::Refused,
            Event::Gone,
            Event::Withdrawn,
            Event::Accepted,
            Event::Disputed,
            Event::Closed,
        ];
        for state in RequestState::ALL {
            for event in word {
                assert!(!matches!(next(*state, event), No(_)), "{state} {event:?}");
            }
        }
    }

    #[test]
    fn what_is_timed_is_open() {
        for state in RequestState::ALL {
            assert!(is_open(*state) || !is_timed(*state), "{state}");
        }
    }
}
