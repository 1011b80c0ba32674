use super::*;
use crate::portal::docket::sample;
use crate::proof::Who;

fn actor(role: Role, organisation: &str) -> Actor {
    Actor {
        who: Who::User("ann".into()),
        role,
        organisation: organisation.into(),
        provider: None,
    }
}

fn ids(cases: &Cases) -> Vec<&str> {
    cases.lines.iter().map(|l| &*l.id).collect()
}

#[test]
fn pages_follow_one_another_in_every_order_without_loss_or_repeat() {
    let (docket, _folder) = sample::empty();
    sample::fill(&docket, 230).unwrap();
    let ann = actor(Role::Analyst, "");
    for order in [Order::Newest, Order::Changed, Order::Urgent] {
        let wanted = Wanted {
            order,
            ..Wanted::default()
        };
        let (mut after, mut seen, mut pages) = (None, Vec::new(), 0);
        loop {
            let page = docket.cases(&ann, &wanted, after.as_ref()).unwrap();
            seen.extend(page.lines.clone());
            pages += 1;
            match page.next {
                Some(next) => after = After::parse(&next.text()),
                None => break,
            }
        }
        assert_eq!((seen.len(), pages), (230, 5), "{order:?}");
        let mut distinct: Vec<_> = seen.iter().map(|l| &l.id).collect();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), 230, "{order:?}");
        let sorted = seen.is_sorted_by(|a, b| match order {
            Order::Newest => a.created >= b.created,
            Order::Changed => a.changed >= b.changed,
            Order::Urgent => (a.priority, a.created) >= (b.priority, b.created),
        });
        assert!(sorted, "{order:?}");
    }
}

#[test]
fn each_filter_takes_what_it_says_and_all_together() {
    let (docket, _folder) = sample::empty();
    sample::fill(&docket, 120).unwrap();
    let ann = actor(Role::Analyst, "");
    let all = |wanted: &Wanted| {
        let page = docket.cases(&ann, wanted, None).unwrap();
        page.lines
    };
    let some = all(&Wanted::default())
        .into_iter()
        .find(|l| l.outcome.is_some())
        .unwrap();
    let by_state = all(&Wanted {
        state: Some(CaseState::Closed),
        ..Wanted::default()
    });
    assert!(!by_state.is_empty() && by_state.iter().all(|l| l.state == CaseState::Closed));
    let by_outcome = all(&Wanted {
        outcome: some.outcome,
        ..Wanted::default()
    });
    assert!(by_outcome.iter().all(|l| l.outcome == some.outcome) && !by_outcome.is_empty());
    let by_number = all(&Wanted {
        number: Some(some.called.clone()),
        ..Wanted::default()
    });
    assert!(by_number.iter().any(|l| l.id == some.id));
    let by_id = all(&Wanted {
        text: Some(some.id.to_lowercase()),
        ..Wanted::default()
    });
    assert_eq!(by_id.len(), 1);
    assert!(
        all(&Wanted {
            text: Some("100%".into()),
            ..Wanted::default()
        })
        .is_empty(),
        "no wildcard"
    );
    let by_provider = all(&Wanted {
        provider: some.first.clone().map(|p| p.id),
        ..Wanted::default()
    });
    assert!(by_provider.iter().any(|l| l.id == some.id));
    let from = all(&Wanted {
        from: Some(some.created),
        to: Some(Timestamp::from_nanos(some.created.nanos() + 1)),
        ..Wanted::default()
    });
    assert!(from.iter().any(|l| l.id == some.id) && from.iter().all(|l| l.created == some.created));
    let counts = docket.case_counts(&ann).unwrap();
    assert_eq!(counts.iter().map(|c| c.count).sum::<u64>(), 120);
}

#[test]
fn requesters_see_their_organisation_and_staff_of_providers_nothing() {
    let (docket, _folder) = sample::empty();
    sample::fill(&docket, 40).unwrap();
    let bureau = docket
        .cases(
            &actor(Role::Requester, "Example Bureau"),
            &Wanted::default(),
            None,
        )
        .unwrap();
    assert!(!bureau.lines.is_empty() && bureau.lines.len() < 40);
    assert!(
        bureau
            .lines
            .iter()
            .all(|l| l.organisation == "Example Bureau")
    );
    let none = docket
        .cases(
            &actor(Role::Requester, "Somebody Else"),
            &Wanted::default(),
            None,
        )
        .unwrap();
    assert_eq!(ids(&none), [""; 0]);
    let staff = docket.cases(
        &actor(Role::Provider, "Example Bureau"),
        &Wanted::default(),
        None,
    );
    assert!(matches!(staff, Err(DocketError::Absent(_))));
    assert!(docket.case_counts(&actor(Role::Provider, "")).is_err());
}

#[test]
fn what_is_no_place_in_the_list_is_none() {
    for text in [
        "",
        "1",
        "1.2",
        "x.0.TB-1",
        "1.0.",
        "99999999999999999999.0.x",
    ] {
        let place = After::parse(text);
        assert!(place.is_none() || text == "1.0.", "{text}: {place:?}");
    }
}
