//! Providers who do what they may not.

use std::time::Instant;

use super::*;

#[test]
fn nobody_is_let_in_without_being_known() {
    let place = place();
    let question = place.ask("+12025550123");
    let id = question["id"].as_str().unwrap();
    for (method, path) in [
        ("GET", "/v1/providers/A/hop-requests".to_owned()),
        ("GET", "/v1/providers/ZZ/events".to_owned()),
        ("POST", format!("/v1/hop-requests/{id}/ack")),
        ("PUT", format!("/v1/hop-requests/{id}/answers/x")),
        ("PUT", "/v1/hop-requests/none/drafts/x".to_owned()),
        ("POST", "/v1/tracebacks".to_owned()),
        ("GET", "/v1/tracebacks/TB-2026-000001".to_owned()),
    ] {
        let long = "x".repeat(300);
        let mut seen = Vec::new();
        for token in ["", "thp_wrong", &long, "\"; DROP TABLE provider; --"] {
            let reply = place.send(method, &path, token, "");
            assert_eq!(reply.code, 401, "{method} {path} {token}: {reply:?}");
            assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
            seen.push(reply.body);
        }
        seen.dedup();
        assert_eq!(seen.len(), 1, "refusals differ: {seen:?}");
    }
    place
        .docket
        .suspend_provider(&Who::Automatic, "A", true, clock::now())
        .unwrap();
    assert_eq!(
        place.get(place.token("A"), "/v1/providers/A/events").code,
        401
    );
}

#[test]
fn what_is_anothers_is_not_there() {
    let place = place();
    let question = place.ask("+12025550123");
    let (id, b) = (question["id"].as_str().unwrap(), place.token("B"));
    let own = place.answer("A", &question, "UPSTREAM_DOMESTIC", "B");
    let forged = signed("B", &own);
    let answer = own["id"].as_str().unwrap();
    for (theirs, nobodys) in [
        (
            place.send("POST", &format!("/v1/hop-requests/{id}/ack"), b, ""),
            place.send("POST", "/v1/hop-requests/TB-2020-000001-01/ack", b, ""),
        ),
        (
            place.put(b, &question, &forged, answer),
            place.put(b, &json!({ "id": "TB-2020-000001-01" }), &forged, answer),
        ),
        (
            place.get(b, "/v1/providers/A/hop-requests"),
            place.get(b, "/v1/providers/NOBODY/hop-requests"),
        ),
        (
            place.get(b, "/v1/providers/A/events?wait=60"),
            place.get(b, "/v1/providers/%2e%2e%2fA/events"),
        ),
    ] {
        assert_eq!(theirs.code, 404, "{theirs:?}");
        let head = |r: &Reply| {
            let lines = r.head.lines().filter(|l| !l.starts_with("date:"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(
            (&theirs.body, head(&theirs)),
            (&nobodys.body, head(&nobodys))
        );
    }
    // And nothing came of it.
    let found = place
        .docket
        .traceback(question["case_id"].as_str().unwrap(), None)
        .unwrap();
    assert_eq!(found.path.len(), 1);
    assert_eq!(found.path[0].state, "asked");
}

#[test]
fn false_answers_are_told_why_and_walk_nowhere() {
    let place = place();
    let (question, a) = (place.ask("+12025550123"), place.token("A"));
    let good = place.answer("A", &question, "UPSTREAM_DOMESTIC", "B");
    let id = good["id"].as_str().unwrap();
    let with = |member: &str, value: Value| {
        let mut other = good.clone();
        other[member] = value;
        signed("A", &other)
    };
    let mut tampered: Value = serde_json::from_slice(&signed("A", &good)).unwrap();
    tampered["upstream"]["portal_id"] = json!("A");
    let with_report = key("A").sign_value(Kind::Report, &good).unwrap().json;
    for (what, octets) in [
        ("another's key", signed("B", &good)),
        ("unsigned", good.to_string().into_bytes()),
        ("changed", tampered.to_string().into_bytes()),
        ("another kind", with_report),
        (
            "another question's",
            with("request_id", json!("TB-2026-000009-01")),
        ),
        ("another case's", with("case_id", json!("TB-2026-000009"))),
        (
            "other octets",
            with("request_sha256", json!("0".repeat(64))),
        ),
        ("another hop", with("hop_no", json!(7))),
        (
            "a chain",
            with("previous_hop_digest", json!("0".repeat(64))),
        ),
        ("no JSON", b"{".to_vec()),
        ("nothing", Vec::new()),
        ("deep", [vec![b'['; 100_000], vec![b']'; 100_000]].concat()),
    ] {
        let reply = place.put(a, &question, &octets, id);
        assert_eq!(reply.code, 422, "{what}: {reply:?}");
        assert!(
            !reply.json()["reasons"].as_array().unwrap().is_empty(),
            "{what}"
        );
    }
    assert_eq!(
        place.docket.open_questions("B", 0).unwrap().entries.len(),
        0
    );
    // The good one is taken all the same.
    let reply = place.put(a, &question, &signed("A", &good), id);
    assert_eq!(reply.code, 201, "{reply:?}");
    assert_eq!(
        place.docket.open_questions("B", 0).unwrap().entries.len(),
        1
    );
    // The same id with other content is no replay of it.
    let other = with("comment", json!("later"));
    let reply = place.put(a, &question, &other, id);
    assert_eq!(reply.code, 409, "{reply:?}");
}

#[test]
fn ten_megabytes_end_early_and_are_counted() {
    let place = place();
    let question = place.ask("+12025550123");
    let path = format!(
        "/v1/hop-requests/{}/answers/x",
        question["id"].as_str().unwrap()
    );
    let begun = Instant::now();
    let head = format!(
        "PUT {path} HTTP/1.1\r\nHost: x\r\n{}Content-Length: 10485760\r\n\r\n",
        bearer(place.token("A"))
    );
    let octets = [head.as_bytes(), &vec![b'x'; 10 << 20]].concat();
    // Its sender reads the refusal if it stops to listen; the connection is over either way.
    if let Some(reply) = raw(place.at(), &octets) {
        assert_eq!(reply.code, 413, "{reply:?}");
    }
    let just_above = "x".repeat(300 * 1024);
    let reply = place.send("PUT", &path, place.token("A"), &just_above);
    assert_eq!(reply.code, 413);
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    let counted = place.api.view().counters().replies;
    let n = counted
        .iter()
        .find(|(r, s, _)| r.ends_with("answers/{answer_id}") && s == "413");
    assert_eq!(n.map(|(.., n)| *n), Some(2), "{counted:?}");
}

#[test]
fn a_slow_drip_is_cut_and_holds_up_nobody() {
    let place = place();
    let mut drips = Vec::new();
    for _ in 0..40 {
        let mut s = TcpStream::connect(place.at()).unwrap();
        let head = format!(
            "PUT /v1/hop-requests/x/answers/y HTTP/1.1\r\nHost: x\r\n{}Content-Length: 1000\r\n\r\nx",
            bearer(place.token("A"))
        );
        s.write_all(head.as_bytes()).unwrap();
        drips.push(s);
    }
    let begun = Instant::now();
    assert_eq!(
        place.get(place.token("B"), "/v1/providers/B/events").code,
        200
    );
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    let mut answer = String::new();
    let mut first = drips.swap_remove(0);
    first
        .set_read_timeout(Some(Duration::from_secs(15)))
        .unwrap();
    first.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[test]
fn a_flood_of_one_provider_is_its_own_trouble() {
    let place = place_with(|_, settings| settings.per_minute = 20);
    let (a, b) = (place.token("A"), place.token("B"));
    let codes: Vec<u16> = (0..60)
        .map(|_| place.get(a, "/v1/providers/A/events").code)
        .collect();
    assert!(codes[..20].iter().all(|c| *c == 200), "{codes:?}");
    assert_eq!(*codes.last().unwrap(), 429);
    assert_eq!(place.get(b, "/v1/providers/B/events").code, 200);
    let reply = place.get(a, "/v1/providers/A/events");
    assert!(reply.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
}

#[test]
fn more_than_a_few_requests_of_one_provider_do_not_wait() {
    let place = place();
    let (at, token) = (place.at(), place.token("A").to_owned());
    let waiting: Vec<_> = (0..8)
        .map(|_| {
            let token = token.clone();
            std::thread::spawn(move || {
                exchange(
                    at,
                    "GET",
                    "/v1/providers/A/events?wait=3",
                    &bearer(&token),
                    "",
                )
                .code
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(700));
    let begun = Instant::now();
    assert_eq!(
        place.get(&token, "/v1/providers/A/events?wait=60").code,
        200
    );
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    for thread in waiting {
        assert_eq!(thread.join().unwrap(), 200);
    }
}

#[test]
fn queries_and_paths_that_mean_nothing_change_nothing() {
    let place = place();
    let a = place.token("A");
    for query in [
        "cursor=-1",
        "cursor=x",
        "wait=61",
        "wait=-1",
        "state=closed",
        "cursor=99999999999999999999",
    ] {
        let reply = place.get(a, &format!("/v1/providers/A/hop-requests?{query}"));
        assert_eq!(reply.code, 400, "{query}: {reply:?}");
    }
    for path in [
        "/",
        "/v1",
        "/v2/providers/A/events",
        "/v1/hop-requests",
        "/v1/providers/A/events/",
    ] {
        assert_eq!(place.get(a, path).code, 404, "{path}");
    }
    let delete = exchange(
        place.at(),
        "DELETE",
        "/v1/providers/A/events",
        &bearer(a),
        "",
    );
    assert_eq!(delete.code, 405);
    assert_eq!(
        place
            .send("POST", "/v1/hop-requests/%ff%fe/ack", a, "")
            .code,
        404
    );
    let none = place.api.view().counters().replies;
    assert!(
        none.iter()
            .any(|(r, s, n)| *r == "none" && s == "404" && *n == 5),
        "{none:?}"
    );
}
