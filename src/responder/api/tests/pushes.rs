//! What portals push, and read.

use super::*;
use crate::proof::sign::{Kind, Verifier};
use crate::responder::case::RequestState;

fn state(bench: &Bench, portal: &str, id: &str) -> RequestState {
    let key = RequestKey {
        portal: portal.into(),
        id: id.into(),
    };
    bench
        .house
        .desk
        .show(&key, now())
        .unwrap()
        .unwrap()
        .line
        .state
}

#[test]
fn a_request_is_taken_and_its_signed_answer_read() {
    let bench = Bench::new();
    for (hook, portal, id) in [
        (&bench.east, "east", "HR-1"),
        (&bench.west, "west", "HR 2/ä"),
    ] {
        let reply = bench.push(hook, &created(id), "");
        assert_eq!(reply.code, 202, "{reply:?}");
        assert_eq!(reply.json(), json!({ "id": id }));
        let path = reply.header("location").unwrap().to_owned();
        let answer = bench.get(portal, &format!("{path}/answer"));
        assert_eq!(answer.code, 200, "{answer:?}");
        let mut verifier = Verifier::default();
        let keys = bench.get("nobody", "/.well-known/jwks.json").body;
        verifier.add(keys.as_bytes(), None).unwrap();
        verifier.open(answer.body.as_bytes(), Kind::Answer).unwrap();
        assert_eq!(answer.json()["resolution"], "UPSTREAM_DOMESTIC");
        assert_eq!(bench.get(portal, &path).json()["state"], "answered");
        let evidence = bench.get(portal, &format!("{path}/evidence")).json();
        assert_eq!(evidence["evidence"]["class"], "E3", "{evidence:#}");
        assert_eq!(evidence["answer_id"], answer.json()["id"]);
    }
}

#[test]
fn the_same_event_again_gets_the_same_reply_and_is_one_request() {
    let bench = Bench::new();
    let body = created("HR-1").to_string();
    let send = |after: i64| {
        let headers = bench
            .east
            .headers_of("msg_same", now().secs() + after, body.as_bytes());
        let mut reply = bench.ask("POST", "/v1/hop-requests", &headers, &body);
        reply.head = reply
            .head
            .lines()
            .filter(|l| !l.starts_with("date"))
            .collect();
        reply
    };
    let first = send(0);
    assert_eq!(first.code, 202);
    assert_eq!(send(1), first);
    assert_eq!(send(2), first);
    let counters = bench.api.counters();
    assert_eq!((counters.taken, counters.again), (1, 2));
}

#[test]
fn who_waits_gets_a_certain_answer_at_once_and_the_same_202_for_all_else() {
    let bench = Bench::new();
    let prefer = "Prefer: wait=2\r\n";
    let begin = Instant::now();
    let reply = bench.push(&bench.east, &created("HR-1"), prefer);
    assert_eq!(reply.code, 200, "{reply:?}");
    assert!(begin.elapsed() < Duration::from_secs(1));
    assert!(reply.json()["jws"].is_string());
    // A stranger as the downstream, a neighbour who got no such call, a call that is not there: none may be told from another.
    let mut seen = Vec::new();
    for (n, downstream) in ["XX-99", "WE-01", "EA-01"].iter().enumerate() {
        let mut event = created(&format!("HR-1{n}"));
        event["data"]["downstream"]["provider_ids"] = json!([downstream]);
        if *downstream == "EA-01" {
            event["data"]["call"]["called"] = json!("+12025550199");
        }
        let begin = Instant::now();
        let reply = bench.push(&bench.east, &event, prefer);
        let took = begin.elapsed();
        assert!((2_000..2_600).contains(&took.as_millis()), "{took:?}");
        seen.push((reply.code, reply.body.len(), reply.head.len()));
    }
    assert!(seen.iter().all(|s| *s == seen[0] && s.0 == 202), "{seen:?}");
    // And none leaves by itself.
    assert_eq!(state(&bench, "east", "HR-10"), RequestState::Review);
}

#[test]
fn events_about_requests_change_where_they_stand() {
    let bench = Bench::new();
    bench.push(&bench.east, &created("HR-1"), "");
    let answer = bench.get("east", "/v1/hop-requests/HR-1/answer").json();
    let about = json!({ "request_id": "HR-1", "answer_id": answer["id"], "reason": "not ours" });
    for (kind, stands) in [
        ("hop_request.reminder", RequestState::Sent),
        ("answer.accepted", RequestState::Accepted),
        ("answer.disputed", RequestState::Disputed),
        ("portal.painted", RequestState::Disputed),
    ] {
        let reply = bench.push(&bench.east, &event(kind, about.clone()), "");
        assert_eq!((reply.code, &*reply.body), (204, ""), "{kind}");
        assert_eq!(state(&bench, "east", "HR-1"), stands, "{kind}");
    }
    let stray = event(
        "answer.accepted",
        json!({ "request_id": "no", "answer_id": "no" }),
    );
    assert_eq!(bench.push(&bench.east, &stray, "").code, 204);
    let closed = event("case.closed", json!({ "case_id": "C-1" }));
    assert_eq!(bench.push(&bench.east, &closed, "").code, 204);
    assert_eq!(state(&bench, "east", "HR-1"), RequestState::Closed);
    let other = event("hop_request.clarified", {
        let mut other = request("HR-1");
        other["call"]["called"] = json!("+12025550199");
        other
    });
    assert_eq!(bench.push(&bench.east, &other, "").code, 409);
    for wrong in [
        json!({ "type": "hop_request.withdrawn", "timestamp": "x", "data": {} }),
        json!([]),
    ] {
        assert_eq!(bench.push(&bench.east, &wrong, "").code, 400, "{wrong}");
    }
    let counters = bench.api.counters();
    assert_eq!(
        (
            counters.heard,
            counters.stray_event,
            counters.unknown_event,
            counters.malformed
        ),
        (4, 1, 1, 2)
    );
}

#[test]
fn what_can_not_be_worked_on_is_a_question_back() {
    let bench = Bench::new();
    let event = event(
        "hop_request.created",
        json!({ "id": "HR-1", "case_id": "C-1" }),
    );
    assert_eq!(bench.push(&bench.east, &event, "").code, 202);
    assert_eq!(
        bench.get("east", "/v1/hop-requests/HR-1").json()["state"],
        "needs-info"
    );
    let answer = bench.get("east", "/v1/hop-requests/HR-1/answer").json();
    assert_eq!(answer["resolution"], "INSUFFICIENT_REQUEST");
}

#[test]
fn more_than_may_be_is_told_to_those_who_are_known() {
    let bench = Bench::with(|_, s| {
        s.portals[0].requests_per_minute = 6;
        s.open_requests = 6;
    });
    let mut codes = Vec::new();
    for n in 0..8 {
        // What is not certain stays open.
        let mut event = created(&format!("HR-{n}"));
        event["data"]["downstream"]["provider_ids"] = json!(["XX-99"]);
        let reply = bench.push(&bench.east, &event, "");
        if reply.code != 202 {
            let again: u64 = reply.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=60).contains(&again));
        }
        codes.push(reply.code);
    }
    assert_eq!(codes, [202, 202, 202, 503, 503, 503, 429, 429]);
    // The other portal has a budget of its own, and room of its own.
    assert_eq!(bench.push(&bench.west, &created("HR-1"), "").code, 202);
}

#[test]
fn a_flood_of_one_portal_is_bounded_answered_or_refused_and_audited_once_each() {
    let bench = Bench::with(|_, s| {
        s.portals[0].requests_per_minute = 400;
        s.open_requests = 200;
    });
    let send = |n: usize| {
        let mut event = created(&format!("HR-{n}"));
        event["data"]["downstream"]["provider_ids"] = json!(["XX-99"]);
        let body = event.to_string();
        let headers = bench.east.headers(body.as_bytes());
        exchange(bench.at(), "POST", "/v1/hop-requests", &headers, &body).code
    };
    let send = &send;
    let codes: Vec<u16> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|t| scope.spawn(move || (0..150).map(|n| send(t * 1000 + n)).collect::<Vec<_>>()))
            .collect();
        threads
            .into_iter()
            .flat_map(|t| t.join().unwrap())
            .collect()
    });
    let count = |code| codes.iter().filter(|c| **c == code).count();
    assert_eq!(count(202), 100);
    assert_eq!(count(202) + count(503) + count(429), 1200);
    assert!(count(429) > 400);
    let received: u32 = bench
        .house
        .desk
        .with(|tx| {
            tx.query_row(
                "SELECT count(*) FROM audit WHERE act = 'received'",
                [],
                |r| r.get(0),
            )
        })
        .unwrap();
    assert_eq!(received, 100);
    // The other portal is served all the while.
    assert_eq!(bench.get("west", "/v1/hop-requests/HR-1").code, 404);
}

#[test]
fn what_was_signed_before_a_restart_is_refused_until_it_is_signed_anew() {
    let bench = Bench::new();
    let old = |event: Value, id: &str| {
        let body = event.to_string();
        let before = now().secs() - 10;
        let headers = bench.east.headers_of(id, before, body.as_bytes());
        let prefer = format!("{headers}Prefer: wait=1\r\n");
        bench.ask("POST", "/v1/hop-requests", &prefer, &body)
    };
    let state = || bench.get("east", "/v1/hop-requests/HR-1").json()["state"].clone();
    assert_eq!(old(created("HR-1"), "msg_new").code, 404);
    assert_eq!(bench.push(&bench.east, &created("HR-1"), "").code, 202);
    let stands = state();
    assert_eq!(old(created("HR-1"), "msg_old").code, 404);
    let taken_back = json!({ "type": "hop_request.withdrawn", "data": { "request_id": "HR-1" } });
    assert_eq!(old(taken_back, "msg_back").code, 404);
    assert_eq!(state(), stands);
}
