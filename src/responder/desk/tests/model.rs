//! Random acts on a desk that is dropped and opened again between any two of them, beside a model that knows where everything must stand; and a
//! portal that must see each answer once, whatever is lost on the way.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::responder::desk::machine::{Event, Step, next};

#[derive(Clone, Debug)]
enum Act {
    Take {
        id: u8,
        version: u8,
    },
    /// A look-up of all that waits, with this answer.
    Match(u8),
    Decide {
        id: u8,
        what: u8,
    },
    /// A round of deliveries, each with this outcome; 9: killed before it was told of.
    Deliver(u8),
    Word {
        id: u8,
        what: u8,
    },
    CloseCase,
    Halt(bool),
    Reopen,
    Pass(u32),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0u8..3, 0u8..2).prop_map(|(id, version)| Act::Take { id, version }),
        4 => (0u8..4).prop_map(Act::Match),
        2 => (0u8..3, 0u8..4).prop_map(|(id, what)| Act::Decide { id, what }),
        4 => (0u8..10).prop_map(Act::Deliver),
        3 => (0u8..3, 0u8..4).prop_map(|(id, what)| Act::Word { id, what }),
        1 => Just(Act::CloseCase),
        1 => any::<bool>().prop_map(Act::Halt),
        2 => Just(Act::Reopen),
        2 => (1u32..400_000).prop_map(Act::Pass),
    ]
}

/// Where a request must stand.
#[derive(Clone, Debug)]
struct Kept {
    state: RequestState,
    version: u8,
    disputed: bool,
    has_answer: bool,
    question: bool,
    /// Whether its answer leaves, or left, without that a person saw it.
    unseen: bool,
}

struct World {
    folder: TempDir,
    desk: Desk,
    now: Timestamp,
    halted: bool,
    held: bool,
    model: HashMap<String, Kept>,
    /// What the portal has, by the key of PUT.
    portal: HashMap<String, Vec<u8>>,
}

fn name(id: u8) -> String {
    format!("HR-{id}")
}

impl World {
    fn step(&mut self, id: &str, event: Event) -> bool {
        let kept = self.model.get_mut(id).unwrap();
        let Step::To(to) = next(kept.state, event) else {
            return false;
        };
        kept.state = to;
        true
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Take { id, version } => self.take(&name(*id), *version),
            Act::Match(what) => self.look(*what),
            Act::Decide { id, what } => self.decide(&name(*id), *what),
            Act::Deliver(what) => self.deliver(*what),
            Act::Word { id, what } => self.word(&name(*id), *what),
            Act::CloseCase => {
                let close = Incoming::CaseClosed { case: "C-7".into() };
                self.desk.event("itg", &close, self.now).unwrap();
                let ids: Vec<String> = self.model.keys().cloned().collect();
                for id in ids {
                    self.step(&id, Event::Closed);
                }
            }
            Act::Halt(on) => {
                self.halted = *on;
                if *on {
                    self.desk.halt(&person(), "x", self.now).unwrap();
                } else {
                    self.desk.resume(&person(), self.now).unwrap();
                }
            }
            // Not closed: nothing is told to the old one.
            Act::Reopen => self.desk = open(self.folder.path(), Mode::Automatic),
            Act::Pass(seconds) => {
                self.now = self.now.plus(Duration::from_secs(u64::from(*seconds)));
                self.desk.alarms(self.now).unwrap();
            }
        }
    }

    fn take(&mut self, id: &str, version: u8) {
        let octets = request(id, u32::from(version));
        let taken = self.desk.take("itg", Way::Push, &octets, self.now).unwrap();
        let Some(kept) = self.model.get_mut(id) else {
            assert_eq!(taken, Taken::New(key(id)));
            let kept = Kept {
                state: RequestState::Received,
                version,
                disputed: false,
                has_answer: false,
                question: false,
                unseen: false,
            };
            self.model.insert(id.to_owned(), kept);
            return;
        };
        let event = if kept.version == version {
            Event::Repeated
        } else {
            Event::Changed
        };
        match next(kept.state, event) {
            Step::To(to) => {
                assert_eq!(taken, Taken::Clarified(key(id)));
                (kept.state, kept.version, kept.has_answer) = (to, version, false);
            }
            Step::Stay => assert_eq!(taken, Taken::Again(key(id), kept.state)),
            Step::No(_) => assert_eq!(taken, Taken::Refused(Refusal::Over)),
        }
    }

    fn look(&mut self, what: u8) {
        for w in self.desk.received(10, self.now).unwrap() {
            let id = w.key.id.to_string();
            let (r, peer, by) = match what {
                0 => (Resolution::Ambiguous, None, ProducedBy::NeedsPerson),
                1 => (
                    Resolution::InsufficientRequest,
                    None,
                    ProducedBy::NeedsPerson,
                ),
                _ => (
                    Resolution::UpstreamDomestic,
                    Some("north"),
                    ProducedBy::Auto,
                ),
            };
            let a = answered(&id, &w.octets, r, peer, by);
            let filed = self.desk.matched(&w.key, &a, self.now).unwrap();
            let (halted, held) = (self.halted, self.held);
            let kept = self.model.get_mut(&id).unwrap();
            let to = match what {
                _ if halted || kept.disputed => RequestState::Review,
                0 => RequestState::Review,
                1 => RequestState::NeedsInfo,
                _ if held => RequestState::Review,
                _ => RequestState::Outbox,
            };
            assert_eq!(kept.state, RequestState::Received, "{id} was given out");
            (kept.state, kept.has_answer, kept.question) = (to, true, what < 2);
            kept.unseen = to == RequestState::Outbox;
            assert_eq!(filed, Filed::As(to));
        }
    }

    fn decide(&mut self, id: &str, what: u8) {
        let decision = match what {
            0 => Decision::Approve,
            1 => Decision::Edit(Edit {
                resolution: Resolution::UpstreamDomestic,
                party: Some(("south".into(), party("south"))),
                comment: None,
            }),
            2 => Decision::Reject("no".to_owned()),
            _ => Decision::Ask("what?".to_owned()),
        };
        let done = self.desk.decide(&key(id), &person(), &decision, self.now);
        let Some(kept) = self.model.get(id).cloned() else {
            assert!(matches!(done, Err(DeskError::NotThere(_))));
            return;
        };
        let event = match what {
            0 if kept.question => Event::ApproveQuestion,
            0 => Event::Approve,
            3 => Event::Ask,
            _ => Event::Answer,
        };
        match next(kept.state, event) {
            Step::To(to) if kept.has_answer => {
                assert_eq!(done.unwrap(), to);
                let kept = self.model.get_mut(id).unwrap();
                kept.state = to;
                kept.question = what == 3 || (what == 0 && kept.question);
                kept.unseen = false;
            }
            _ => assert!(done.unwrap_err().is_refusal()),
        }
    }

    fn deliver(&mut self, what: u8) {
        let parcels = self.desk.outbox("itg", 10, self.now).unwrap();
        assert!(!self.halted || parcels.is_empty());
        for p in parcels {
            let outcome = match what {
                0 => Delivered::Gone,
                1 => Delivered::Refused {
                    why: "no".to_owned(),
                },
                2 | 3 => Delivered::Again {
                    why: "time-out".to_owned(),
                    after: None,
                },
                _ => Delivered::Taken,
            };
            // A portal may have it although we hear of a time-out.
            if matches!(what, 3..) {
                let had = self
                    .portal
                    .entry(p.key.to_string())
                    .or_insert_with(|| p.body.clone());
                assert_eq!(*had, p.body, "the same key, the same octets");
            }
            if what == 9 {
                continue;
            }
            self.desk.delivered(p.row, &outcome, 0.5, self.now).unwrap();
            let id = p.subject.to_string();
            match outcome {
                Delivered::Gone => self.step(&id, Event::Gone),
                Delivered::Refused { .. } => self.step(&id, Event::Refused),
                Delivered::Taken => self.step(&id, Event::Taken),
                Delivered::Again { .. } => false,
            };
        }
    }

    fn word(&mut self, id: &str, what: u8) {
        let signed = self.desk.signed(&key(id)).unwrap();
        let request: Box<str> = id.into();
        let answer = signed.as_ref().map_or("none".into(), |s| s.id.clone());
        let (incoming, event) = match what {
            0 => (Incoming::Reminder { request }, None),
            1 => (Incoming::Withdrawn { request }, Some(Event::Withdrawn)),
            2 => (
                Incoming::Accepted { request, answer },
                Some(Event::Accepted),
            ),
            _ => {
                let reason = "wrong".into();
                let word = Incoming::Disputed {
                    request,
                    answer,
                    reason,
                };
                (word, Some(Event::Disputed))
            }
        };
        let heard = self.desk.event("itg", &incoming, self.now).unwrap();
        if !self.model.contains_key(id) {
            assert_eq!(heard, Heard::Unknown);
            return;
        }
        if let Some(event) = event {
            self.step(id, event);
        }
        if what == 3 {
            self.model.get_mut(id).unwrap().disputed = true;
            let held = self.desk.held().unwrap();
            let was = std::mem::replace(&mut self.held, held.iter().any(|h| &*h.peer == "north"));
            if self.held && !was {
                let unseen = self.model.iter().filter(|(_, k)| k.unseen);
                let unseen: Vec<String> = unseen.map(|(id, _)| id.clone()).collect();
                for other in unseen.iter().filter(|other| **other != id) {
                    self.step(other, Event::Held);
                }
            }
        }
    }

    fn check(&self) {
        for (id, kept) in &self.model {
            let case = self.desk.show(&key(id), self.now).unwrap().unwrap();
            assert_eq!(case.line.state, kept.state, "{id}");
            assert_eq!(case.answer.is_some(), kept.has_answer, "{id}");
            let (current, others) = self.lying(id);
            match kept.state {
                RequestState::Outbox => assert_eq!(current, 1, "{id}: nothing is lost"),
                RequestState::NeedsInfo | RequestState::Sent => assert!(current <= 1, "{id}"),
                _ => assert_eq!(current, 0, "{id}: what is not wanted stays here"),
            }
            assert_eq!(others, 0, "{id}: only the last answer is on its way");
            if kept.state == RequestState::Sent {
                let signed = self.desk.signed(&key(id)).unwrap().unwrap();
                assert!(self.portal.contains_key(&*signed.id), "{id} is there");
            }
        }
        assert_eq!(self.desk.halted().unwrap().is_some(), self.halted);
    }

    /// Parcels to a request that are wanted: with the last answer, and with others.
    fn lying(&self, id: &str) -> (i64, i64) {
        let last = self.desk.signed(&key(id)).unwrap().map(|s| s.id);
        let count =
            "SELECT count(*) FROM parcel WHERE subject = ?1 AND dropped = 0 AND (key = ?2) = ?3";
        let n = |same: bool| {
            let values = rusqlite::params![id, last.as_deref().unwrap_or(""), same];
            self.desk
                .with(|tx| tx.query_row(count, values, |row| row.get(0)))
        };
        (n(true).unwrap(), n(false).unwrap())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn nothing_is_lost_and_nothing_comes_twice(acts in proptest::collection::vec(act(), 1..60)) {
        let folder = tempfile::tempdir().unwrap();
        let mut world = World {
            desk: open(folder.path(), Mode::Automatic),
            folder,
            now: NOW,
            halted: false,
            held: false,
            model: HashMap::new(),
            portal: HashMap::new(),
        };
        for act in &acts {
            world.act(act);
            world.check();
        }
        let path = world.folder.path().join(RESPONDER);
        let connection = rusqlite::Connection::open(path).unwrap();
        let log = crate::proof::audit::verify::verify(&connection, None, &[]).unwrap();
        prop_assert!(log.holds(), "{log:?}");
    }
}
