//! Walks through worlds in which everybody says what he likes, in any order.

use proptest::prelude::*;

use super::*;
use crate::traceback::request::{RawTime, sha256_hex};

const RULES: WalkRules = WalkRules {
    most_hops: 8,
    hint: HintPolicy::WhenStuck,
};

/// What somebody answers, when he is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Will {
    Names(u8),
    Diverts(u8),
    Unlisted,
    Foreign,
    Origin,
    Denies,
    Gap,
    Refuses,
    AsksBack,
    Silent,
    Test,
}

fn wills() -> impl Strategy<Value = Will> {
    prop_oneof![
        8 => (0..6u8).prop_map(Will::Names),
        1 => (0..6u8).prop_map(Will::Diverts),
        1 => Just(Will::Unlisted),
        1 => Just(Will::Foreign),
        1 => Just(Will::Origin),
        4 => Just(Will::Denies),
        1 => Just(Will::Gap),
        1 => Just(Will::Refuses),
        1 => Just(Will::AsksBack),
        2 => Just(Will::Silent),
        1 => Just(Will::Test),
    ]
}

/// What each of six providers says: by whom it is said to have handed the call over, and whether it is asked again.
#[derive(Clone, Debug)]
struct World {
    says: Vec<Will>,
    signer: Option<u8>,
}

fn worlds() -> impl Strategy<Value = World> {
    let says = proptest::collection::vec(wills(), 6 * 7 * 2);
    (says, proptest::option::of(0..6u8)).prop_map(|(says, signer)| World { says, signer })
}

fn name(i: u8) -> Box<str> {
    format!("P{i}").into()
}

impl World {
    fn will(&self, hop: &WalkHop) -> Will {
        let index = |id: &str| id.trim_start_matches('P').parse::<usize>().unwrap();
        let downstream = hop.downstream.as_deref().map_or(6, index);
        let again = usize::from(hop.branch == Branch::Again);
        self.says[(index(&hop.provider) * 7 + downstream) * 2 + again]
    }

    fn answer(&self, hop: &mut WalkHop) {
        let will = self.will(hop);
        let own = &hop.provider;
        let resolution = match will {
            Will::Silent => {
                hop.state = HopState::NonResponsive;
                return;
            }
            Will::Names(to) if name(to) == *own => Resolution::OriginEndCustomer,
            Will::Names(_) | Will::Unlisted => Resolution::UpstreamDomestic,
            Will::Diverts(to) if name(to) == *own => Resolution::TestOrInternal,
            Will::Diverts(_) => Resolution::DivertedByOurSubscriber,
            Will::Foreign => Resolution::UpstreamForeign,
            Will::Origin => Resolution::OriginEndCustomer,
            Will::Denies => Resolution::NotFound,
            Will::Gap => Resolution::CaptureGap,
            Will::Refuses => Resolution::Refused,
            Will::AsksBack => Resolution::Ambiguous,
            Will::Test => Resolution::TestOrInternal,
        };
        let named = match will {
            Will::Names(to) | Will::Diverts(to) if name(to) != *own => Some(WalkProvider {
                id: name(to),
                listed: true,
            }),
            Will::Unlisted => Some(WalkProvider {
                id: "unlisted:X".into(),
                listed: false,
            }),
            _ => None,
        };
        let told = format!(
            "{own} {:?} {:?} {resolution:?} {named:?} {}",
            hop.downstream, hop.previous_digest, hop.branch
        );
        hop.state = match resolution {
            Resolution::Ambiguous => HopState::NeedsInfo,
            _ => HopState::Answered,
        };
        hop.answer = Some(WalkAnswer {
            resolution,
            named,
            party: None,
            digest: sha256_hex(told.as_bytes()),
            also: Vec::new(),
            leg: Some(WalkLeg {
                at: Timestamp::from_secs(1_795_532_400),
                error_s: 0.05,
                answered: Some(true),
                signer: self.signer.map(name),
                ..WalkLeg::default()
            }),
            forwarded: Some("12025550100".into()),
        });
    }
}

fn case() -> WalkCase {
    WalkCase {
        first: name(0),
        call: RawCall {
            called: Some("12025550123".into()),
            time: Some(RawTime {
                value: Some(Timestamp::from_secs(1_795_532_400).to_string()),
                ..RawTime::default()
            }),
            ..RawCall::default()
        },
        hops: Vec::new(),
        names: BTreeMap::new(),
    }
}

/// Does what a plan says. Gives whether there was anything to do.
fn apply(case: &mut WalkCase, plan: &Plan) -> bool {
    for (n, _) in &plan.withdraw {
        let hop = case.hops.iter_mut().find(|h| h.n == *n).unwrap();
        assert_ne!(hop.state, HopState::Withdrawn);
        hop.state = HopState::Withdrawn;
    }
    for clarify in &plan.clarify {
        let hop = case.hops.iter_mut().find(|h| h.n == clarify.n).unwrap();
        assert_ne!(
            hop.call, clarify.call,
            "a question is clarified by something"
        );
        hop.call = clarify.call.clone();
        hop.state = HopState::Asked;
        hop.answer = None;
    }
    for q in &plan.ask {
        let key = |h: &WalkHop| (h.parent, h.provider.clone(), h.downstream.clone(), h.branch);
        let hop = WalkHop {
            n: u32::try_from(case.hops.len()).unwrap() + 1,
            depth: q.depth,
            parent: q.parent,
            branch: q.branch,
            provider: q.provider.clone(),
            downstream: q.downstream.clone(),
            state: HopState::Asked,
            previous_digest: q.previous_digest.clone(),
            call: q.call.clone(),
            answer: None,
        };
        let live = case.hops.iter().filter(|h| h.is_live());
        assert!(
            live.into_iter().all(|h| key(h) != key(&hop)),
            "asked twice: {hop:?}"
        );
        case.hops.push(hop);
    }
    !plan.ask.is_empty() || !plan.withdraw.is_empty() || !plan.clarify.is_empty()
}

/// Walks a case to where nobody owes anything; `order` picks who answers next.
fn walk(world: &World, rules: &WalkRules, mut order: u64) -> (WalkCase, Plan) {
    let mut case = case();
    for _ in 0..1000 {
        let plan = next(&case, rules);
        apply(&mut case, &plan);
        let once = next(&case, rules);
        assert!(
            !apply(&mut case, &once),
            "done twice it is done once: {once:?}"
        );
        assert!(case.hops.len() <= rules.most_questions());
        assert!(case.hops.iter().all(|h| h.depth <= rules.most_hops));
        let owing = |h: &&mut WalkHop| matches!(h.state, HopState::Asked | HopState::Acknowledged);
        let mut open: Vec<_> = case.hops.iter_mut().filter(owing).collect();
        if open.is_empty() {
            return (case, once);
        }
        let at = usize::try_from(order % 7).unwrap() % open.len();
        order = order.rotate_right(3) ^ 0x9e37;
        world.answer(open[at]);
    }
    panic!("it never ends: {case:?}");
}

/// What people see of a path: who, and what he said.
fn picture(case: &WalkCase, plan: &Plan) -> String {
    let hop = |n: &u32| case.hops.iter().find(|h| h.n == *n).unwrap();
    let path: Vec<_> = plan
        .path
        .iter()
        .map(|n| {
            let h = hop(n);
            (h.provider.clone(), h.answer.as_ref().map(|a| a.resolution))
        })
        .collect();
    format!("{path:?} {:?}", plan.standing)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn every_walk_ends_within_its_bounds(world in worlds(), order: u64, hint in 0..3usize) {
        let rules = WalkRules { hint: HintPolicy::ALL[hint], ..RULES };
        let (case, plan) = walk(&world, &rules, order);
        prop_assert_ne!(&plan.standing, &Standing::Walking, "{:?}", case);
        // Whoever is on the path has answered, and nobody is accused of silence who was not silent.
        if let Standing::Ended(end) = &plan.standing {
            if end.outcome == Outcome::NonResponsive {
                let at = end.at.as_deref().unwrap();
                prop_assert!(case.hops.iter().any(|h| *h.provider == *at && h.state == HopState::NonResponsive));
            }
            if end.outcome == Outcome::Originator {
                let last = plan.path.last().and_then(|n| case.hops.iter().find(|h| h.n == *n)).unwrap();
                prop_assert_eq!(end.at.as_deref(), Some(&*last.provider));
                prop_assert_ne!(last.branch, Branch::Hint);
            }
        }
    }

    #[test]
    fn the_order_of_answers_changes_nothing(world in worlds(), a: u64, b: u64) {
        let rules = WalkRules { hint: HintPolicy::Never, ..RULES };
        let (case_a, plan_a) = walk(&world, &rules, a);
        let (case_b, plan_b) = walk(&world, &rules, b);
        prop_assert_eq!(picture(&case_a, &plan_a), picture(&case_b, &plan_b));
    }
}

/// A world in which each provider says one thing to everybody.
fn plain(says: [Will; 6]) -> World {
    let says = says.into_iter().flat_map(|w| [w; 14]).collect();
    World { says, signer: None }
}

fn outcome(says: [Will; 6]) -> (Outcome, Option<Box<str>>, usize) {
    let (case, plan) = walk(&plain(says), &RULES, 0);
    match plan.standing {
        Standing::Ended(end) => (end.outcome, end.at, case.hops.len()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_kind_of_end_is_about_the_right_provider() {
    use Will::*;
    let from = |end| [Names(1), Names(2), end, Silent, Silent, Silent];
    let at = |i| Some(name(i));
    assert_eq!(outcome(from(Origin)), (Outcome::Originator, at(2), 3));
    assert_eq!(outcome(from(Foreign)), (Outcome::PointOfEntry, at(2), 3));
    assert_eq!(outcome(from(Silent)), (Outcome::NonResponsive, at(2), 3));
    assert_eq!(outcome(from(Gap)), (Outcome::NoRecord, at(2), 3));
    assert_eq!(outcome(from(Refuses)), (Outcome::Refused, at(2), 3));
    assert_eq!(outcome(from(Test)), (Outcome::Test, at(2), 3));
    // Both sides were asked again.
    assert_eq!(outcome(from(Denies)), (Outcome::Contradiction, None, 5));
    assert_eq!(outcome(from(Names(0))).0, Outcome::Loop);
    let first = [Denies, Silent, Silent, Silent, Silent, Silent];
    assert_eq!(outcome(first), (Outcome::NotFound, at(0), 1));
}

#[test]
fn nobody_is_asked_a_third_time_because_the_first_question_is_taken_back() {
    let mut says = [Will::Denies; 6];
    says[0] = Will::Names(1);
    let world = plain(says);
    let mut case = case();
    for answered in [1, 2, 3] {
        let plan = next(&case, &RULES);
        apply(&mut case, &plan);
        let mut hops = case.hops.iter_mut();
        world.answer(hops.find(|h| h.n == answered).unwrap());
    }
    let asked = |case: &WalkCase| case.hops.iter().map(|h| h.branch).collect::<Vec<_>>();
    let (main, again) = (Branch::Main, Branch::Again);
    assert_eq!(asked(&case), [main, main, again, again]);
    // Having answered twice, it asks back on the first question.
    let first = case.hops.iter_mut().find(|h| h.n == 2).unwrap();
    first.state = HopState::NeedsInfo;
    first.answer.as_mut().unwrap().resolution = Resolution::Ambiguous;
    let plan = next(&case, &RULES);
    assert_eq!(plan.withdraw.iter().map(|w| w.0).collect::<Vec<_>>(), [2]);
    apply(&mut case, &plan);
    let plan = next(&case, &RULES);
    assert!(!apply(&mut case, &plan), "done twice it is done once");
    assert_eq!(asked(&case), [main, main, again, again]);
}

#[test]
fn a_path_that_is_too_long_stops() {
    let rules = WalkRules {
        most_hops: 2,
        ..RULES
    };
    let says = [
        Will::Names(1),
        Will::Names(2),
        Will::Origin,
        Will::Silent,
        Will::Silent,
        Will::Silent,
    ];
    let (case, plan) = walk(&plain(says), &rules, 0);
    assert!(
        matches!(plan.standing, Standing::Stuck(_)),
        "{:?}",
        plan.standing
    );
    assert_eq!(case.hops.len(), 2);
    assert_eq!(plan.findings[0].kind, FindingKind::TooLong);
}

#[test]
fn a_signer_meets_the_path() {
    let mut world = plain([
        Will::Names(1),
        Will::Silent,
        Will::Silent,
        Will::Names(1),
        Will::Silent,
        Will::Silent,
    ]);
    world.signer = Some(3);
    let (case, plan) = walk(&world, &RULES, 0);
    let hint = case.hops.iter().find(|h| h.branch == Branch::Hint).unwrap();
    assert_eq!((&*hint.provider, hint.downstream.as_deref()), ("P3", None));
    assert!(
        plan.findings
            .iter()
            .any(|f| f.text.contains("there it meets the path"))
    );
    assert_eq!(plan.path, [1]);
}
