//! Random acts by everybody, in any order, with the clock running: what must always hold, holds.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Act {
    Submit(u8),
    Answer {
        which: usize,
        kind: usize,
        party: u8,
    },
    Revise {
        which: usize,
        party: u8,
    },
    Garbage {
        which: usize,
        by: u8,
    },
    ByHand {
        which: usize,
        party: u8,
    },
    Dispute(usize),
    StandBy(usize),
    Clarify(usize),
    AskAgain(usize),
    Close(usize),
    Reopen(usize),
    Withdraw(usize),
    Pass(u64),
    Resume,
}

const KINDS: [&str; 9] = [
    "UPSTREAM_DOMESTIC",
    "UPSTREAM_DOMESTIC",
    "UPSTREAM_DOMESTIC",
    "ORIGIN_END_CUSTOMER",
    "NOT_FOUND",
    "CAPTURE_GAP",
    "AMBIGUOUS",
    "PENDING",
    "BLOCKED_HERE",
];

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let which = 0..40usize;
    let one = prop_oneof![
        2 => (0..6u8).prop_map(Act::Submit),
        10 => (which.clone(), 0..KINDS.len(), 1..=5u8)
            .prop_map(|(which, kind, party)| Act::Answer { which, kind, party }),
        3 => (which.clone(), 1..=5u8).prop_map(|(which, party)| Act::Revise { which, party }),
        1 => (which.clone(), 1..=5u8).prop_map(|(which, by)| Act::Garbage { which, by }),
        1 => (which.clone(), 1..=5u8).prop_map(|(which, party)| Act::ByHand { which, party }),
        1 => which.clone().prop_map(Act::Dispute),
        1 => which.clone().prop_map(Act::StandBy),
        1 => which.clone().prop_map(Act::Clarify),
        1 => which.clone().prop_map(Act::AskAgain),
        1 => which.clone().prop_map(Act::Close),
        1 => which.clone().prop_map(Act::Reopen),
        1 => which.prop_map(Act::Withdraw),
        2 => (0..5000u64).prop_map(Act::Pass),
        1 => Just(Act::Resume),
    ];
    proptest::collection::vec(one, 1..60)
}

struct World {
    p: Portal,
    cases: Vec<String>,
    now: u64,
}

impl World {
    fn asked(&self, which: usize) -> Option<(String, Asked)> {
        let all: Vec<(String, Asked)> = self
            .cases
            .iter()
            .flat_map(|c| self.p.asked(c).into_iter().map(|a| (c.clone(), a)))
            .collect();
        // The last ones are those that wait.
        (!all.is_empty()).then(|| all[all.len() - 1 - which % all.len()].clone())
    }

    fn case(&self, which: usize) -> Option<&String> {
        (!self.cases.is_empty()).then(|| &self.cases[which % self.cases.len()])
    }

    fn next_revision(&self, asked: &Asked) -> (u32, Option<String>) {
        let last = self.p.column(
            "SELECT id FROM answer WHERE hop = ? AND state <> 'rejected' ORDER BY revision",
            &asked.id,
        );
        let revision = u32::try_from(last.len()).unwrap() + 1;
        (revision, last.last().cloned())
    }

    fn answer(&self, asked: &Asked, kind: &str, party: &str) {
        let party = if party == asked.provider { "P9" } else { party };
        let names = matches!(kind, "UPSTREAM_DOMESTIC" | "ORIGIN_END_CUSTOMER");
        let mut body = self.p.body(asked, kind, if names { party } else { "" });
        let (revision, before) = self.next_revision(asked);
        body["id"] = json!(answer_id(&asked.id, revision));
        body["revision"] = json!(revision);
        if let Some(before) = before {
            body["supersedes"] = json!(before);
        }
        let signed = self.p.sign(&asked.provider, &body);
        let id = answer_id(&asked.id, revision);
        let said = self.p.docket.answer(
            &asked.provider,
            &asked.id,
            &id,
            &signed.json,
            after(self.now),
        );
        match said {
            Ok(Received::New | Received::Withdrawn) => {}
            Ok(Received::Rejected(why)) => panic!("{why:?}"),
            Err(DocketError::TooMany { .. }) => {}
            other => panic!("{other:?}"),
        }
    }

    fn act(&mut self, act: &Act) {
        let now = after(self.now);
        let docket = &self.p.docket;
        match act {
            Act::Submit(n) => {
                let mut h = handed();
                h.time = format!("2026-11-24T1{n}:00:07Z");
                h.time = h.time.replace("T15", "T09");
                if let Ok(done) = docket.submit(&analyst(), &h, now) {
                    self.cases.push(done.case.to_string());
                }
            }
            Act::Answer { which, kind, party } => {
                if let Some((_, asked)) = self.asked(*which) {
                    self.answer(&asked, KINDS[*kind], &format!("P{party}"));
                }
            }
            Act::Revise { which, party } => {
                if let Some((_, asked)) = self.asked(*which) {
                    self.answer(&asked, "UPSTREAM_DOMESTIC", &format!("P{party}"));
                }
            }
            Act::Garbage { which, by } => {
                if let Some((_, asked)) = self.asked(*which) {
                    let by = format!("P{by}");
                    let body = self.p.body(&asked, "UPSTREAM_DOMESTIC", "P2");
                    let mut signed = self.p.sign(&by, &body).json;
                    signed.reverse();
                    let said = docket.answer(&by, &asked.id, "x", &signed, now);
                    assert!(!matches!(said, Ok(Received::New)));
                    assert!(by == asked.provider || matches!(said, Err(DocketError::Absent(_))));
                }
            }
            Act::ByHand { which, party } => {
                if let Some((_, asked)) = self.asked(*which) {
                    let by = ByHand {
                        resolution: Resolution::UpstreamDomestic,
                        party: Named::Provider(format!("P{party}")),
                        forwarded: String::new(),
                        comment: String::new(),
                        mitigation: String::new(),
                    };
                    let _ = docket.answer_by_hand(&staff(&asked.provider), &asked.id, &by, now);
                }
            }
            Act::Dispute(which) => {
                if let Some((_, asked)) = self.asked(*which) {
                    let _ = docket.dispute(&analyst(), &asked.id, "no", now);
                }
            }
            Act::StandBy(which) => {
                if let Some((_, asked)) = self.asked(*which) {
                    let _ = docket.stand_by(&staff(&asked.provider), &asked.id, "yes", now);
                }
            }
            Act::Clarify(which) => {
                if let Some((_, asked)) = self.asked(*which) {
                    let more = Clarification {
                        remark: format!("at {}", self.now),
                        ..Clarification::default()
                    };
                    let _ = docket.clarify(&analyst(), &asked.id, &more, now);
                }
            }
            Act::AskAgain(which) => {
                if let Some((_, asked)) = self.asked(*which) {
                    let _ = docket.ask_again(&analyst(), &asked.id, "", now);
                }
            }
            Act::Close(which) => {
                if let Some(case) = self.case(*which) {
                    let closing = Closing {
                        outcome: Outcome::Abandoned,
                        ended_at: None,
                        summary: "over".into(),
                    };
                    let _ = docket.close_case(&analyst(), case, &closing, now);
                }
            }
            Act::Reopen(which) => {
                if let Some(case) = self.case(*which) {
                    let _ = docket.reopen(&analyst(), case, "again", now);
                }
            }
            Act::Withdraw(which) => {
                if let Some(case) = self.case(*which) {
                    let _ = docket.withdraw_case(&analyst(), case, "not needed", now);
                }
            }
            Act::Pass(seconds) => {
                self.now += seconds;
                while docket.tick(after(self.now)).unwrap().more {}
            }
            Act::Resume => {
                docket.resume(now).unwrap();
            }
        }
    }

    fn holds(&self) {
        for case in &self.cases {
            let (row, asked) = (self.p.case(case), self.p.asked(case));
            let open = |a: &Asked| matches!(&*a.state, "asked" | "acknowledged" | "needs-info");
            match &*row.state {
                "closed" | "declined" => {
                    assert!(!asked.iter().any(open), "{row:?} {asked:?}");
                    assert_eq!(row.state == "closed", row.outcome.is_some());
                }
                "open" => assert!(asked.iter().any(open), "nobody is asked: {row:?} {asked:?}"),
                "stuck" => assert!(!row.summary.is_empty()),
                other => panic!("{other}"),
            }
            assert!(asked.len() <= 48 && asked.iter().all(|a| a.depth <= 12));
            let ids: BTreeSet<_> = asked.iter().map(|a| &a.id).collect();
            assert_eq!(ids.len(), asked.len());
            for a in &asked {
                let current = self.p.column(
                    "SELECT id FROM answer WHERE hop = ? AND state IN ('current', 'disputed')",
                    &a.id,
                );
                assert!(current.len() <= 1, "one answer counts: {current:?}");
            }
        }
        self.p.sound();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn whatever_everybody_does_the_docket_is_sound(acts in acts()) {
        let mut world = World { p: portal(), cases: Vec::new(), now: 1 };
        for act in &acts {
            world.act(act);
        }
        world.holds();
        // A restart finds nothing to do.
        let seen = |w: &World| -> Vec<_> { w.cases.iter().map(|c| (w.p.case(c), w.p.asked(c))).collect() };
        let before = seen(&world);
        world.p.docket.resume(after(world.now)).unwrap();
        prop_assert_eq!(before, seen(&world));
    }
}
