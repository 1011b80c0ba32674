//! Requests as they are handed in: what is wrong with them, what an analyst decides, quotas.

use super::*;

#[test]
fn everything_that_is_wrong_with_a_request_is_said_at_once() {
    let p = portal();
    let none = Handed::default();
    let error = p.docket.submit(&analyst(), &none, NOW).unwrap_err();
    assert_eq!(wrong(&error), ["time", "called", "provider"]);
    let with = |change: fn(&mut Handed)| {
        let mut h = handed();
        change(&mut h);
        p.docket.submit(&analyst(), &h, NOW)
    };
    let future = with(|h| h.time = "2026-11-24T15:06:00Z".into()).unwrap_err();
    assert_eq!(wrong(&future), ["time"]);
    assert_eq!(
        wrong(&with(|h| h.time = "2025-11-01T12:00:00Z".into()).unwrap_err()),
        ["time"]
    );
    assert_eq!(
        wrong(&with(|h| h.provider = "P77".into()).unwrap_err()),
        ["provider"]
    );
    assert_eq!(
        wrong(&with(|h| h.priority = "soon".into()).unwrap_err()),
        ["priority"]
    );
    assert_eq!(
        wrong(&with(|h| h.evidence = "x".repeat(9000)).unwrap_err()),
        ["evidence"]
    );
    assert_eq!(
        wrong(&with(|h| h.time = "2026-11-24 09:50".into()).unwrap_err()),
        ["tz"]
    );
    // Skipped by the change to summer time.
    let skipped = |h: &mut Handed| {
        h.time = "2026-03-08 02:30:00".into();
        h.tz = "America/New_York".into();
    };
    assert_eq!(wrong(&with(skipped).unwrap_err()), ["time"]);
}

#[test]
fn a_local_time_is_read_in_its_zone_and_without_seconds_is_worth_a_minute() {
    let p = portal();
    let mut h = handed();
    h.time = "2026-11-24 09:50".into();
    h.tz = "America/New_York".into();
    h.precision_s = None;
    let case = p.docket.submit(&analyst(), &h, NOW).unwrap().case;
    let time = &p.last(&case).request["call"]["time"];
    assert_eq!(
        time,
        &json!({"value": "2026-11-24T14:50:00Z", "tz": "America/New_York", "precision_s": 60.0})
    );
}

#[test]
fn a_request_outside_of_the_guidance_waits_for_an_analyst() {
    let p = portal();
    let rob = requester("FTC");
    let mut h = handed();
    h.evidence = String::new();
    h.time = "2026-11-01T12:00:00Z".into();
    let done = p.docket.submit(&rob, &h, NOW).unwrap();
    let fields: Vec<_> = done.warnings.iter().map(|w| w.field).collect();
    assert_eq!(
        (done.state, fields),
        (CaseState::Submitted, vec!["time", "evidence"])
    );
    assert!(p.asked(&done.case).is_empty());
    absent(p.docket.open_case(&rob, &done.case, NOW));
    p.docket.open_case(&analyst(), &done.case, NOW).unwrap();
    assert_eq!(p.last(&done.case).provider, "P1");
    refused(p.docket.decline(&analyst(), &done.case, "no", NOW));
    let inside = p.docket.submit(&rob, &handed(), NOW).unwrap();
    assert_eq!((inside.state, inside.warnings.len()), (CaseState::Open, 0));
    absent(p.docket.submit(&staff("P1"), &handed(), NOW));
}

#[test]
fn a_call_that_is_being_traced_is_not_traced_twice() {
    let p = portal();
    let rob = requester("FTC");
    let first = p.docket.submit(&rob, &handed(), NOW).unwrap().case;
    let mut near = handed();
    near.time = "2026-11-24T14:51:00Z".into();
    let why = refused(p.docket.submit(&rob, &near, NOW));
    assert!(why.contains(&*first), "{why}");
    let why = refused(p.docket.submit(&requester("FCC"), &near, NOW));
    assert!(!why.contains(&*first), "of another's case nothing is told");
    near.calling = "+1 303 555 0199".into();
    p.docket.submit(&rob, &near, NOW).unwrap();
    p.docket
        .withdraw_case(&rob, &first, "a mistake", NOW)
        .unwrap();
    assert_eq!(p.told("P1").last().unwrap(), "case.closed");
    p.docket.submit(&rob, &handed(), NOW).unwrap();
}

#[test]
fn a_quota_is_an_organisations_and_lives_are_never_refused() {
    let p = portal();
    let rob = requester("FTC");
    let at = |n: u32| {
        let mut h = handed();
        h.time = format!("2026-11-24T12:{:02}:07Z", 5 * n);
        h
    };
    for n in 0..5 {
        p.docket.submit(&rob, &at(n), NOW).unwrap();
    }
    let over = p.docket.submit(&rob, &at(6), after(60)).unwrap_err();
    assert!(
        matches!(
            over,
            DocketError::TooMany {
                after_s: 86_340,
                ..
            }
        ),
        "{over}"
    );
    p.docket.submit(&requester("FCC"), &at(6), NOW).unwrap();
    let mut life = at(7);
    life.priority = "safety_of_life".into();
    let done = p.docket.submit(&rob, &life, NOW).unwrap();
    assert_eq!(p.last(&done.case).request["priority"], "safety_of_life");
    p.docket.submit(&rob, &at(8), after(86_401)).unwrap();
}
