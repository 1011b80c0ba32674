//! A whole case over HTTP: asked, received, answered, walked on.

use std::time::Instant;

use super::*;

#[test]
fn a_case_walks_from_provider_to_provider() {
    let place = place();
    let [a, b] = &place.tokens;
    let first = place.ask("+12025550123");
    let list = place.get(a, "/v1/providers/A/hop-requests?state=open&cursor=&wait=0");
    assert_eq!(list.code, 200);
    assert_eq!(list.json()["requests"][0], first);
    let cursor = list.json()["cursor"].as_str().unwrap().to_owned();
    let rest = place.get(
        a,
        &format!("/v1/providers/A/hop-requests?state=open&cursor={cursor}"),
    );
    assert_eq!(rest.json()["requests"], json!([]));
    let answer = place.answer("A", &first, "UPSTREAM_DOMESTIC", "B");
    let id = answer["id"].as_str().unwrap().to_owned();
    let ack = format!("/v1/hop-requests/{}/ack", first["id"].as_str().unwrap());
    assert_eq!(place.send("POST", &ack, a, "").code, 204);
    assert_eq!(place.send("POST", &ack, a, "").code, 204);
    let octets = signed("A", &answer);
    assert_eq!(place.put(a, &first, &octets, &id).code, 201);
    assert_eq!(place.put(a, &first, &octets, &id).code, 200);
    let list = place.get(b, "/v1/providers/B/hop-requests?state=open");
    let second = list.json()["requests"][0].clone();
    assert_eq!(second["downstream"]["provider_ids"][0], "A");
    let last = place.answer("B", &second, "ORIGIN_END_CUSTOMER", "Acme Calls");
    let id = last["id"].as_str().unwrap().to_owned();
    assert_eq!(place.put(b, &second, &signed("B", &last), &id).code, 201);
    let found = place
        .docket
        .traceback(first["case_id"].as_str().unwrap(), None)
        .unwrap();
    assert_eq!(found.case.outcome.as_deref(), Some("originator"));
    assert!(found.case.verified, "{found:#?}");
    let told = place.get(a, "/v1/providers/A/events").json();
    let kinds: Vec<_> = told["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["type"].as_str().unwrap())
        .collect();
    assert!(
        kinds.contains(&"answer.accepted") && kinds.contains(&"case.closed"),
        "{kinds:?}"
    );
    let after = told["cursor"].as_str().unwrap();
    let rest = place
        .get(a, &format!("/v1/providers/A/events?cursor={after}"))
        .json();
    assert_eq!(rest["events"], json!([]));
}

#[test]
fn who_waits_is_woken() {
    let place = place();
    let (at, token) = (place.at(), place.token("A").to_owned());
    let waits = std::thread::spawn(move || {
        let begun = Instant::now();
        let path = "/v1/providers/A/hop-requests?state=open&wait=30";
        (
            exchange(at, "GET", path, &bearer(&token), ""),
            begun.elapsed(),
        )
    });
    std::thread::sleep(Duration::from_millis(300));
    let asked = place.ask("+12025550123");
    let (reply, took) = waits.join().unwrap();
    assert_eq!(reply.json()["requests"][0], asked);
    assert!(took < Duration::from_secs(4), "it was polled for: {took:?}");
}

#[test]
fn who_waits_for_nothing_gets_an_empty_page_in_time_and_at_the_end() {
    let place = place();
    let begun = Instant::now();
    let reply = place.get(place.token("A"), "/v1/providers/A/events?wait=1");
    assert_eq!(reply.json(), json!({ "events": [], "cursor": "0" }));
    assert!(begun.elapsed() >= Duration::from_secs(1));
    let (at, token) = (place.at(), place.token("A").to_owned());
    let waits = std::thread::spawn(move || {
        exchange(
            at,
            "GET",
            "/v1/providers/A/events?wait=60",
            &bearer(&token),
            "",
        )
    });
    std::thread::sleep(Duration::from_millis(300));
    let begun = Instant::now();
    assert!(place.api.stop());
    assert_eq!(waits.join().unwrap().json()["events"], json!([]));
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn an_agencys_machine_hands_in_and_sees_its_own() {
    let place = place();
    let body = json!({ "called": "+12025550123", "calling": "+13035550147", "provider": "A", "campaign": "Test", "evidence": "A voice.",
        "time": clock::now().minus(Duration::from_secs(600)).to_string() });
    let reply = place.send("POST", "/v1/tracebacks", AGENCY, &body.to_string());
    assert_eq!(reply.code, 201, "{reply:?}");
    let case = reply.json()["case"].as_str().unwrap().to_owned();
    let again = place.send("POST", "/v1/tracebacks", AGENCY, &body.to_string());
    assert_eq!(again.code, 409);
    assert!(
        again.json()["detail"].as_str().unwrap().contains(&case),
        "{again:?}"
    );
    let path = format!("/v1/tracebacks/{case}");
    assert_eq!(reply.header("location"), Some(&*path));
    let shown = place.get(AGENCY, &path).json();
    assert_eq!(shown["state"], "open");
    assert_eq!(shown["path"][0]["provider"], "A");
    let wrong = place.send("POST", "/v1/tracebacks", AGENCY, "{\"called\":\"x\"}");
    assert_eq!(wrong.code, 422);
    assert!(
        wrong.json()["problems"].as_array().unwrap().len() > 1,
        "{wrong:?}"
    );
    assert_eq!(
        place
            .send("POST", "/v1/tracebacks", AGENCY, "{\"x\":1}")
            .code,
        400
    );
    // Another organisation's case is not there, nor is a provider's machine a requester.
    let other = place.ask("+12025550124");
    let path = format!("/v1/tracebacks/{}", other["case_id"].as_str().unwrap());
    let absent = place.get(AGENCY, "/v1/tracebacks/TB-2020-000001");
    assert_eq!(place.get(AGENCY, &path).body, absent.body);
    assert_eq!(place.get(place.token("A"), &path).code, 401);
    assert_eq!(place.get(AGENCY, "/v1/providers/A/events").code, 401);
}

#[test]
fn everybody_may_know_who_we_are_and_whoever_is_here_how_we_are() {
    let place = place();
    let about = place.get("", "/.well-known/traceback-portal").json();
    let whpk = about["webhook_keys"][0].as_str().unwrap();
    assert_eq!(whpk, place.docket.signer().webhook_key().unwrap());
    assert_eq!(place.get("", "/healthz").json()["ok"], true);
    assert_eq!(place.get("", "/readyz").code, 200);
    assert_eq!(place.get("", "/metrics").body, "tracehop_portal_cases 1\n");
}

#[test]
fn reports_and_drafts_are_taken_once() {
    let place = place();
    let a = place.token("A");
    let report = json!({ "id": "K-1", "upstream": { "name": "B" }, "campaign": { "flag": "invalid-nanp", "calls": 1000 } });
    let octets = key("A").sign_value(Kind::Report, &report).unwrap().json;
    let text = String::from_utf8(octets).unwrap();
    assert_eq!(
        place
            .send("POST", "/v1/providers/A/reports/K-1", a, &text)
            .code,
        201
    );
    assert_eq!(
        place
            .send("POST", "/v1/providers/A/reports/K-1", a, &text)
            .code,
        200
    );
    assert_eq!(
        place
            .send("POST", "/v1/providers/A/reports/K-2", a, &text)
            .code,
        422
    );
    assert_eq!(
        place
            .send("POST", "/v1/providers/B/reports/K-1", a, &text)
            .code,
        404
    );
    let question = place.ask("+12025550123");
    let answer = place.answer("A", &question, "UPSTREAM_DOMESTIC", "B");
    let id = answer["id"].as_str().unwrap();
    let path = format!(
        "/v1/hop-requests/{}/drafts/{id}",
        question["id"].as_str().unwrap()
    );
    let draft = key("A").sign_value(Kind::Draft, &answer).unwrap().json;
    let draft = String::from_utf8(draft).unwrap();
    assert_eq!(place.send("PUT", &path, a, &draft).code, 201);
    assert_eq!(place.send("PUT", &path, a, &draft).code, 200);
    // A draft is no answer.
    let as_answer = place.put(a, &question, draft.as_bytes(), id);
    assert_eq!(as_answer.code, 422, "{as_answer:?}");
}
