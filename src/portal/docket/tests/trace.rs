//! Whole traces.

use super::*;

#[test]
fn a_trace_walks_to_its_originator_and_every_step_is_verified() {
    let p = portal();
    let case = p.open();
    for i in 1..6 {
        let asked = p.last(&case);
        assert_eq!(asked.provider, format!("P{i}"));
        assert_eq!(asked.depth, i);
        p.answers(&asked, "UPSTREAM_DOMESTIC", &format!("P{}", i + 1));
    }
    let last = p.last(&case);
    assert_eq!(
        last.request["downstream"]["provider_ids"],
        json!(["P5", "705J"])
    );
    assert_eq!(last.request["call"]["called"], "12025550123");
    let mut body = p.body(&last, "ORIGIN_END_CUSTOMER", "");
    body["originator"] = json!({"name": "Acme Dialling", "country": "US", "gateway": false});
    assert_eq!(p.send(&last, &body, after(90)), Received::New);
    let done = p.case(&case);
    assert_eq!(
        (done.state.as_str(), done.outcome.as_deref()),
        ("closed", Some("originator"))
    );
    assert_eq!(done.ended_at.as_deref(), Some("P6"));
    assert!(done.originator.unwrap().contains("Acme Dialling"));
    assert_eq!((done.hops, done.verified, done.vouched), (6, true, 0));
    assert_eq!(p.asked(&case).len(), 6);
    assert_eq!(
        p.told("P1"),
        ["hop_request.created", "answer.accepted", "case.closed"]
    );
    assert!(p.findings(&case).is_empty(), "{:?}", p.findings(&case));
    p.sound();
}

#[test]
fn the_next_question_names_the_answer_before_and_the_call_as_it_was_seen_there() {
    let p = portal();
    let case = p.open();
    let first = p.last(&case);
    let mut body = p.body(&first, "UPSTREAM_DOMESTIC", "P2");
    body["evidence"] = json!({"leg": {"at": "2026-11-24T14:50:09.25Z", "clock_error_ms": 20.0, "identifiers": []}});
    let signed = p.sign("P1", &body);
    let id = body["id"].as_str().unwrap();
    p.docket
        .answer("P1", &first.id, id, &signed.json, after(1))
        .unwrap();
    let next = p.last(&case);
    assert_eq!(next.request["previous_hop_digest"], json!(signed.digest()));
    assert_eq!(
        next.request["call"]["time"],
        json!({"value": "2026-11-24T14:50:09.25Z", "precision_s": 0.02})
    );
    assert_eq!(next.request["hop_no"], 2);
    // A leg of another hour leads nobody astray, and is said.
    let mut body = p.body(&next, "UPSTREAM_DOMESTIC", "P3");
    body["evidence"] = json!({"leg": {"at": "2026-11-24T09:00:00Z", "clock_error_ms": 20.0}});
    assert_eq!(p.send(&next, &body, after(2)), Received::New);
    assert_eq!(
        p.last(&case).request["call"]["time"],
        next.request["call"]["time"]
    );
    assert!(p.findings(&case)[0].starts_with("unverified: the leg that Provider P2 found lies"));
    assert!(!p.case(&case).verified);
}

#[test]
fn a_call_from_abroad_ends_at_its_point_of_entry() {
    let p = portal();
    let case = p.open();
    p.goes(&case, "UPSTREAM_DOMESTIC", "P2");
    let asked = p.last(&case);
    let mut body = p.body(&asked, "UPSTREAM_FOREIGN", "");
    body["upstream"] = json!({"name": "Abroad Telecom", "country": "XX", "gateway": true});
    assert_eq!(p.send(&asked, &body, after(5)), Received::New);
    let done = p.case(&case);
    assert_eq!(done.outcome.as_deref(), Some("point-of-entry"));
    assert_eq!(done.ended_at.as_deref(), Some("P2"));
    assert!(done.originator.unwrap().contains("Abroad Telecom"));
    assert!(done.verified);
}

#[test]
fn a_circle_is_asked_again_once_and_then_closed() {
    let p = portal();
    let case = p.open();
    p.goes(&case, "UPSTREAM_DOMESTIC", "P2");
    p.goes(&case, "UPSTREAM_DOMESTIC", "P3");
    p.goes(&case, "UPSTREAM_DOMESTIC", "P2");
    // P2 with another downstream: once that is legitimate.
    assert_eq!(p.last(&case).provider, "P2");
    p.goes(&case, "UPSTREAM_DOMESTIC", "P3");
    let again = p.last(&case);
    assert_eq!(
        (again.provider.as_str(), again.branch.as_str()),
        ("P2", "again")
    );
    assert!(again.request["remark"].as_str().unwrap().contains("circle"));
    p.answers(&again, "UPSTREAM_DOMESTIC", "P3");
    let done = p.case(&case);
    assert_eq!(
        (done.state.as_str(), done.outcome.as_deref()),
        ("closed", Some("loop"))
    );
    assert_eq!(done.ended_at, None);
    p.sound();
}

#[test]
fn a_contradiction_is_asked_again_on_both_sides_and_closed_when_both_stand() {
    let p = portal();
    let case = p.open();
    let first = p.last(&case);
    let mut body = p.body(&first, "UPSTREAM_DOMESTIC", "P2");
    let digest = "ab".repeat(16);
    body["evidence"] = json!({"leg": {"at": "2026-11-24T14:50:09Z", "clock_error_ms": 20.0, "state": "answered",
        "passport": {"digest": digest, "validation": "passed", "origid": "o-1"}}});
    assert_eq!(p.send(&first, &body, after(1)), Received::New);
    p.goes(&case, "NOT_FOUND", "");
    let open = p.open_questions(&case);
    let who: Vec<_> = open
        .iter()
        .map(|a| (a.provider.as_str(), a.branch.as_str()))
        .collect();
    assert_eq!(who, [("P2", "again"), ("P1", "again")]);
    let call = &open[0].request["call"];
    assert_eq!(call["answered"], true);
    assert_eq!(call["identity_sha256"], json!(digest));
    assert_eq!(call["origid"], "o-1");
    assert!(
        open[1].request["remark"]
            .as_str()
            .unwrap()
            .contains("P2 has no record")
    );
    p.answers(&open[1], "UPSTREAM_DOMESTIC", "P2");
    assert_eq!(p.case(&case).state, "open");
    p.answers(&open[0], "NOT_FOUND", "");
    let done = p.case(&case);
    assert_eq!(done.outcome.as_deref(), Some("contradiction"));
    assert_eq!(done.ended_at, None, "nobody knows who is wrong");
    assert!(done.summary.contains("P1") && done.summary.contains("P2"));
    p.sound();
}

#[test]
fn who_finds_the_call_when_asked_again_goes_on_with_it() {
    let p = portal();
    let case = p.open();
    p.goes(&case, "UPSTREAM_DOMESTIC", "P2");
    p.goes(&case, "NOT_FOUND", "");
    let open = p.open_questions(&case);
    p.answers(&open[0], "UPSTREAM_DOMESTIC", "P3");
    let states: Vec<_> = p
        .asked(&case)
        .into_iter()
        .map(|a| (a.provider, a.state))
        .collect();
    let is = |who: &str, state: &str| (who.to_owned(), state.to_owned());
    assert_eq!(
        states,
        [
            is("P1", "answered"),
            is("P2", "answered"),
            is("P2", "answered"),
            is("P1", "withdrawn"),
            is("P3", "asked")
        ]
    );
    p.goes(&case, "ORIGIN_END_CUSTOMER", "P3");
    let done = p.case(&case);
    assert_eq!(
        (done.outcome.as_deref(), done.hops, done.verified),
        (Some("originator"), 3, true)
    );
}

#[test]
fn who_names_another_when_asked_again_takes_the_old_branch_back() {
    let p = portal();
    let case = p.open();
    p.goes(&case, "UPSTREAM_DOMESTIC", "P2");
    p.goes(&case, "NOT_FOUND", "");
    let open = p.open_questions(&case);
    p.answers(&open[1], "UPSTREAM_DOMESTIC", "P4");
    assert_eq!(p.open_questions(&case).len(), 1, "P2 may still find it");
    p.answers(&open[0], "NOT_FOUND", "");
    let last = p.last(&case);
    assert_eq!(
        (last.provider.as_str(), last.state.as_str()),
        ("P4", "asked")
    );
    let old: Vec<_> = p
        .asked(&case)
        .into_iter()
        .filter(|a| a.provider == "P2")
        .collect();
    assert!(old.iter().all(|a| a.state == "withdrawn"), "{old:?}");
    p.answers(&last, "ORIGIN_END_CUSTOMER", "P4");
    let done = p.case(&case);
    assert_eq!(
        (done.outcome.as_deref(), done.hops, done.verified),
        (Some("originator"), 2, true)
    );
}

#[test]
fn silence_ends_a_case_at_the_right_provider_and_a_late_answer_walks_on() {
    let p = portal();
    let case = p.open();
    p.goes(&case, "UPSTREAM_DOMESTIC", "P2");
    assert_eq!(p.docket.tick(after(3660 + 599)).unwrap().overdue, 0);
    assert_eq!(
        p.told("P2")
            .iter()
            .filter(|k| *k == "hop_request.reminder")
            .count(),
        1
    );
    let ticked = p.docket.tick(after(3660 + 600)).unwrap();
    assert_eq!((ticked.overdue, ticked.more), (1, false));
    let done = p.case(&case);
    assert_eq!(done.outcome.as_deref(), Some("non-responsive"));
    assert_eq!(done.ended_at.as_deref(), Some("P2"));
    assert!(
        !p.told("P2").contains(&"case.closed".to_owned()),
        "its answer is still taken"
    );
    assert_eq!(p.told("P1").last().unwrap(), "case.closed");
    let late = p.last(&case);
    let body = p.body(&late, "UPSTREAM_DOMESTIC", "P3");
    assert_eq!(p.send(&late, &body, after(9000)), Received::New);
    assert_eq!(p.case(&case).state, "open");
    assert_eq!(p.case(&case).outcome, None);
    assert_eq!(p.last(&case).provider, "P3");
    assert!(p.findings(&case).iter().any(|f| f.starts_with("late: P2")));
    let in_time = p.column(
        "SELECT coalesce(in_time, '-') || '' FROM hop WHERE trace = ? ORDER BY n",
        &case,
    );
    assert_eq!(in_time, ["1", "0", "-"]);
    p.sound();
}

#[test]
fn reminders_come_at_shares_of_the_deadline_and_those_slept_through_are_one() {
    let p = portal();
    let case = p.open();
    for at in [1799, 1800, 1801, 2700, 3239, 3240, 3599] {
        p.docket.tick(after(at)).unwrap();
    }
    assert_eq!(
        p.told("P1")
            .iter()
            .filter(|k| *k == "hop_request.reminder")
            .count(),
        3
    );
    p.answers(&p.last(&case), "UPSTREAM_DOMESTIC", "P2");
    p.docket.tick(after(3500)).unwrap();
    assert_eq!(
        p.told("P2")
            .iter()
            .filter(|k| *k == "hop_request.reminder")
            .count(),
        1
    );
}

#[test]
fn a_provider_that_nobody_knows_stops_the_walk_until_it_is_listed() {
    let p = portal();
    let case = p.open();
    let asked = p.last(&case);
    let mut body = p.body(&asked, "UPSTREAM_DOMESTIC", "");
    body["upstream"] =
        json!({"name": "Newcomer Voice", "ocn": "999Z", "country": "US", "gateway": false});
    assert_eq!(p.send(&asked, &body, after(1)), Received::New);
    let stuck = p.case(&case);
    assert_eq!(stuck.state, "stuck");
    assert!(
        stuck
            .summary
            .contains("names Newcomer Voice, who is not in the directory")
    );
    list(&p.docket, "NV-1", "999Z");
    assert_eq!(p.case(&case).state, "open");
    assert_eq!(p.last(&case).provider, "NV-1");
}

#[test]
fn a_forwarded_call_is_traced_before_the_forwarding() {
    let p = portal();
    let case = p.open();
    let asked = p.last(&case);
    let mut body = p.body(&asked, "DIVERTED_BY_OUR_SUBSCRIBER", "P2");
    body["forwarded"] = json!({"called": "13035550166"});
    assert_eq!(p.send(&asked, &body, after(1)), Received::New);
    let next = p.last(&case);
    assert_eq!(
        (next.provider.as_str(), next.branch.as_str()),
        ("P2", "diversion")
    );
    assert_eq!(next.request["call"]["called"], "13035550166");
    p.answers(&next, "ORIGIN_END_CUSTOMER", "P2");
    assert_eq!(p.case(&case).outcome.as_deref(), Some("originator"));
    // Without that number nobody can be asked.
    let p = portal();
    let case = p.open();
    p.goes(&case, "DIVERTED_BY_OUR_SUBSCRIBER", "P2");
    assert_eq!(p.case(&case).state, "stuck");
    assert!(p.findings(&case)[0].starts_with("diversion: Provider P1"));
}

#[test]
fn a_signer_is_asked_directly_when_the_path_stops_and_shown_beside_it() {
    let p = portal();
    let case = p.open();
    let first = p.last(&case);
    let mut body = p.body(&first, "UPSTREAM_DOMESTIC", "P2");
    body["evidence"] = json!({"leg": {"at": "2026-11-24T14:50:09Z", "clock_error_ms": 20.0,
        "passport": {"digest": "ab".repeat(16), "validation": "passed", "spc": "707J"}}});
    assert_eq!(p.send(&first, &body, after(1)), Received::New);
    assert!(
        p.asked(&case).iter().all(|a| a.branch != "hint"),
        "the path goes on"
    );
    p.docket.tick(after(5000)).unwrap();
    let hint = p.last(&case);
    assert_eq!(
        (hint.provider.as_str(), hint.branch.as_str()),
        ("P7", "hint")
    );
    assert_eq!(hint.downstream, None);
    assert!(hint.request.get("previous_hop_digest").is_none());
    assert_eq!(
        hint.request["call"]["identity_sha256"],
        json!("ab".repeat(16))
    );
    assert_eq!(p.case(&case).state, "open");
    let body = p.body(&hint, "ORIGIN_END_CUSTOMER", "P7");
    assert_eq!(p.send(&hint, &body, after(5001)), Received::New);
    let done = p.case(&case);
    assert_eq!(done.outcome.as_deref(), Some("non-responsive"));
    assert_eq!(done.ended_at.as_deref(), Some("P2"));
    assert_eq!(
        (done.hops, done.originator),
        (1, None),
        "a hint is no part of the path"
    );
    assert!(
        p.findings(&case)
            .iter()
            .any(|f| f == "hint: Provider P7, asked directly: the call began there")
    );
}

#[test]
fn a_failed_signature_in_evidence_is_no_hint() {
    let p = portal();
    let case = p.open();
    let first = p.last(&case);
    let mut body = p.body(&first, "NOT_FOUND", "");
    body["evidence"] = json!({"leg": {"at": "2026-11-24T14:50:09Z", "clock_error_ms": 20.0,
        "passport": {"digest": "ab".repeat(16), "validation": "failed", "spc": "707J"}}});
    assert_eq!(p.send(&first, &body, after(1)), Received::New);
    assert_eq!(p.case(&case).outcome.as_deref(), Some("not-found"));
    assert_eq!(p.asked(&case).len(), 1);
}

#[test]
fn where_other_cases_ended_too_is_said() {
    let p = portal();
    let mut last = String::new();
    for minute in 0..3 {
        let mut h = handed();
        h.time = format!("2026-11-24T13:{:02}:07Z", 10 * minute);
        last = p
            .docket
            .submit(&analyst(), &h, NOW)
            .unwrap()
            .case
            .to_string();
        p.goes(&last, "ORIGIN_END_CUSTOMER", "P1");
    }
    assert_eq!(
        p.findings(&last),
        ["repeat: 2 other cases ended at Provider P1 as well, 2 of them with the same party"]
    );
}
