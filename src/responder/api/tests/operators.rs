//! What people of this house do.

use super::*;

/// A request that waits for a person.
fn held(bench: &Bench, hook: &Hook, id: &str) {
    let mut event = created(id);
    event["data"]["downstream"]["provider_ids"] = json!(["XX-99"]);
    assert_eq!(bench.push(hook, &event, "").code, 202);
}

fn acts(bench: &Bench) -> Vec<(String, String, String)> {
    let read = |tx: &rusqlite::Transaction<'_>| {
        let mut lines = tx.prepare("SELECT act, who, case_id FROM audit ORDER BY idx")?;
        let lines = lines.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?;
        lines.collect()
    };
    bench.house.desk.with(read).unwrap()
}

#[test]
fn requests_are_listed_page_by_page() {
    let bench = Bench::new();
    for n in 0..5 {
        held(&bench, &bench.east, &format!("HR-{n}"));
    }
    let mut path = "/v1/hop-requests?state=review,received&limit=2".to_owned();
    let mut seen = Vec::new();
    for _ in 0..4 {
        let page = bench.get("bob", &path).json();
        let ids = page["requests"].as_array().unwrap().iter();
        seen.extend(ids.map(|r| r["id"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["cursor"].as_str() else {
            break;
        };
        path = format!("/v1/hop-requests?state=review,received&limit=2&cursor={cursor}");
    }
    seen.sort();
    assert_eq!(seen, ["HR-0", "HR-1", "HR-2", "HR-3", "HR-4"]);
    for wrong in ["state=nowhere", "cursor=!", "limit=x", "called=12025550123"] {
        let reply = bench.get("bob", &format!("/v1/hop-requests?{wrong}"));
        assert_eq!(reply.code, 400, "{wrong}");
    }
}

#[test]
fn a_person_decides_about_the_answer_that_he_saw() {
    let bench = Bench::new();
    held(&bench, &bench.east, "HR-1");
    let path = "/v1/hop-requests/HR-1/decision";
    let case = bench.get("alice", "/v1/hop-requests/HR-1/evidence").json();
    let id = &case["case"]["answer"]["id"];
    let stale = json!({ "decision": "approve", "answer_id": "another" });
    assert_eq!(bench.post("alice", path, &stale).code, 409);
    assert_eq!(bench.post("bob", path, &stale).code, 404);
    assert_eq!(bench.post("east", path, &stale).code, 404);
    let unknown =
        json!({ "decision": "edit", "resolution": "UPSTREAM_DOMESTIC", "upstream": "nobody" });
    assert_eq!(bench.post("alice", path, &unknown).code, 422);
    for wrong in [
        json!({}),
        json!({ "decision": "burn" }),
        json!({ "decision": "reject", "reason": " " }),
        json!({ "decision": "approve", "answer_id": id, "more": 1 }),
    ] {
        assert_eq!(bench.post("alice", path, &wrong).code, 400, "{wrong}");
    }
    let edit = json!({ "decision": "edit", "answer_id": id, "resolution": "UPSTREAM_DOMESTIC", "upstream": "south", "comment": "by hand" });
    let decided = bench.post("alice", path, &edit);
    assert_eq!(decided.json()["state"], "outbox", "{decided:?}");
    let answer = bench.get("east", "/v1/hop-requests/HR-1/answer").json();
    assert_eq!(answer["upstream"]["portal_id"], "SO-01");
    assert_eq!(answer["produced_by"], "human");
    let by_alice = acts(&bench).into_iter().filter(|a| a.1 == "operator:alice");
    let by_alice: Vec<_> = by_alice.map(|a| (a.0, a.2)).collect();
    assert!(
        by_alice.contains(&("read".into(), "C-1".into())),
        "{by_alice:?}"
    );
    assert!(by_alice.iter().any(|a| a.0 != "read"), "{by_alice:?}");
}

#[test]
fn the_other_decisions_are_made_too() {
    let bench = Bench::new();
    for (id, decision, state) in [
        (
            "HR-1",
            json!({ "decision": "reject", "reason": "not our business" }),
            "outbox",
        ),
        (
            "HR-2",
            json!({ "decision": "ask", "what": "which zone?" }),
            "needs-info",
        ),
    ] {
        held(&bench, &bench.east, id);
        let decided = bench.post(
            "alice",
            &format!("/v1/hop-requests/{id}/decision"),
            &decision,
        );
        assert_eq!(decided.json()["state"], state, "{decided:?}");
    }
}

#[test]
fn an_id_that_two_portals_use_needs_the_portal() {
    let bench = Bench::new();
    held(&bench, &bench.east, "HR-1");
    held(&bench, &bench.west, "HR-1");
    assert_eq!(bench.get("bob", "/v1/hop-requests/HR-1").code, 400);
    let of = |portal: &str| bench.get("bob", &format!("/v1/hop-requests/HR-1?portal={portal}"));
    assert_eq!(of("west").json()["portal"], "west");
    assert_eq!(of("south").code, 404);
}

#[test]
fn a_look_up_needs_a_case_and_stands_in_the_audit_log() {
    let bench = Bench::new();
    let found = bench.post("alice", "/v1/lookups", &request("L-1")).json();
    assert_eq!(found["answer"]["resolution"], "UPSTREAM_DOMESTIC");
    assert_eq!(found["explanation"]["rows"][0]["upstream"], "north");
    let line = found["audit"]["index"].as_u64().unwrap();
    let last = acts(&bench).pop().unwrap();
    assert_eq!(
        last,
        ("look-up".into(), "operator:alice".into(), "C-1".into())
    );
    let proof = bench
        .get("alice", &format!("/v1/audit/proof?entry={line}"))
        .json();
    assert_eq!(proof["index"], line);
    let head = bench.get("alice", "/v1/audit/head").json();
    assert_eq!(head["root"], proof["root"]);
    assert_eq!(bench.get("alice", "/v1/audit/proof?entry=99").code, 400);
    let mut no_case = request("L-2");
    no_case.as_object_mut().unwrap().remove("case_id");
    let refused = bench.post("alice", "/v1/lookups", &no_case);
    assert_eq!(refused.code, 422);
    assert_eq!(refused.json()["problems"][0]["field"], "case_id");
    let mut day = request("L-3");
    day["call"]["time"]["precision_s"] = json!(43_200);
    assert_eq!(bench.post("alice", "/v1/lookups", &day).code, 422);
    assert_eq!(bench.post("bob", "/v1/lookups", &request("L-4")).code, 404);
    assert_eq!(acts(&bench).len(), 1, "what was refused was not looked up");
}

#[test]
fn one_operator_makes_so_many_look_ups_a_minute() {
    let bench = Bench::new();
    let looked = (0..70).map(|n| bench.post("alice", "/v1/lookups", &request(&format!("L-{n}"))));
    let codes: Vec<u16> = looked.map(|r| r.code).collect();
    assert!(codes[..60].iter().all(|c| *c == 200), "{codes:?}");
    assert!(codes.contains(&429), "{codes:?}");
}

#[test]
fn coverage_is_told_for_two_days_at_most() {
    let bench = Bench::new();
    let ask = |from: i64, to: i64| {
        let at = |h: i64| Timestamp::from_secs(T0.secs() + h * 3600);
        bench.get(
            "bob",
            &format!("/v1/coverage?from={}&to={}", at(from), at(to)),
        )
    };
    let seen = ask(-1, 1).json();
    assert_eq!(
        (&seen["share"], &seen["whole"]),
        (&json!(1.0), &json!(true))
    );
    let seen = ask(-24, 24).json();
    assert_eq!(seen["whole"], false);
    assert_eq!(seen["gap_count"], 2);
    for (from, to) in [(-24, 25), (1, -1), (1, 1)] {
        assert_eq!(ask(from, to).code, 400);
    }
    assert_eq!(bench.get("bob", "/v1/coverage").code, 400);
}

#[test]
fn what_leaves_can_be_stopped_and_let_go() {
    let bench = Bench::new();
    assert_eq!(
        bench.post("bob", "/v1/halt", &json!({ "why": "x" })).code,
        404
    );
    assert_eq!(
        bench.post("alice", "/v1/halt", &json!({ "why": "" })).code,
        400
    );
    let halted = bench
        .post("alice", "/v1/halt", &json!({ "why": "a wrong answer" }))
        .json();
    assert_eq!(halted["halted"]["who"], "operator:alice");
    let reply = bench.push(&bench.east, &created("HR-1"), "Prefer: wait=1\r\n");
    assert_eq!(reply.code, 202);
    assert_eq!(bench.get("east", "/v1/hop-requests/HR-1/answer").code, 202);
    let resumed = bench.ask("POST", "/v1/resume", &bearer("alice"), "");
    assert_eq!(resumed.json()["was_halted"], true);
}

#[test]
fn everybody_may_know_who_we_are() {
    let bench = Bench::new();
    let reply = bench.ask("GET", "/.well-known/traceback-provider", "", "");
    let document = reply.json();
    assert_eq!(document["provider"]["ids"], json!(["EV-01"]));
    assert_eq!(
        document["push_url"],
        "https://provider.example.net/v1/hop-requests"
    );
    assert_eq!(document["jwks"], bench.house.signer.jwks());
}
