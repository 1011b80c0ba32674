//! A portal that changes its mind.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::house::{House, token};
use crate::portal::Portal;
use crate::web::{self, Say};

/// Where a request stands, as one of this house sees it.
fn state(house: &House, id: &str) -> String {
    let headers = format!("Authorization: Bearer {}\r\n", token("alice"));
    let ask = web::request("GET", &format!("/v1/hop-requests/{id}"), &headers, "");
    let reply = web::exchange(house.api, ask.as_bytes()).unwrap();
    let line: Value = serde_json::from_str(&reply.body).unwrap_or_default();
    line["state"].as_str().unwrap_or("unknown").to_owned()
}

fn until(house: &House, id: &str, wanted: &str) {
    let begun = Instant::now();
    while state(house, id) != wanted {
        let found = state(house, id);
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{id} is {found}, not {wanted}\n{}",
            house.log()
        );
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_portal_that_changes_its_mind_is_followed_so_far_and_no_further() {
    let portal = Portal::new("portal", |_, _| Say::Close);
    portal.is_well(true);
    let house = House::new("", &[portal.lines()]);
    let mut daemon = house.start();
    house.is_up();
    let word =
        |kind: &str, data: Value| house.push("portal", kind, &data.to_string()).unwrap().code;
    let clarify = |id: &str, n| {
        house
            .push(
                "portal",
                "hop_request.clarified",
                &house.clarified(id, "CASE-1", n),
            )
            .unwrap()
    };
    let soon = Duration::from_secs(20);

    // Answered, accepted, asked otherwise, answered anew.
    assert_eq!(house.created("portal", "HR-1").code, 202);
    assert!(
        portal.wait_for("HR-1", 1, soon).is_some(),
        "{}",
        house.log()
    );
    let first = portal.answer_ids("HR-1").remove(0);
    assert_eq!(
        word(
            "answer.accepted",
            json!({ "request_id": "HR-1", "answer_id": first })
        ),
        204
    );
    until(&house, "HR-1", "accepted");
    assert_eq!(clarify("HR-1", 0).code, 202);
    assert!(
        portal.wait_for("HR-1", 2, soon).is_some(),
        "{}",
        house.log()
    );
    // A word about the first answer, which was replaced, moves nothing.
    until(&house, "HR-1", "sent");
    assert_eq!(
        word(
            "answer.accepted",
            json!({ "request_id": "HR-1", "answer_id": first })
        ),
        204
    );
    assert_eq!(state(&house, "HR-1"), "sent");
    // Taken back before it is answered, and asked again.
    assert_eq!(
        word("hop_request.withdrawn", json!({ "request_id": "HR-1" })),
        204
    );
    until(&house, "HR-1", "withdrawn");
    assert_eq!(clarify("HR-1", 0).code, 202);
    assert!(
        portal.wait_for("HR-1", 3, soon).is_some(),
        "{}",
        house.log()
    );
    // Disputed: nothing about that neighbour leaves by itself any more.
    until(&house, "HR-1", "sent");
    let all = portal.answer_ids("HR-1");
    let last = all.iter().find(|a| {
        house
            .open(only_body(&portal, "HR-1", a).as_bytes())
            .revision
            == 3
    });
    let disputed = json!({ "request_id": "HR-1", "answer_id": last.unwrap(), "reason": "not us" });
    assert_eq!(word("answer.disputed", disputed), 204);
    until(&house, "HR-1", "disputed");
    assert_eq!(house.created("portal", "HR-2").code, 202);
    until(&house, "HR-2", "review");
    // Words about what never was.
    for kind in [
        "hop_request.withdrawn",
        "hop_request.reminder",
        "answer.accepted",
        "answer.disputed",
    ] {
        assert_eq!(
            word(kind, json!({ "request_id": "HR-99", "answer_id": "A-1" })),
            204,
            "{kind}"
        );
    }
    assert_eq!(word("case.closed", json!({ "case_id": "CASE-99" })), 204);
    assert_eq!(word("portal.exploded", json!([])), 204);
    assert_eq!(word("answer.accepted", json!({})), 400);

    // Round and round.
    let (mut taken, mut turned_down) = (0, 0);
    for n in 0..700 {
        let reply = match n % 3 {
            0 => house
                .push(
                    "portal",
                    "hop_request.withdrawn",
                    "{\"request_id\":\"HR-3\"}",
                )
                .unwrap(),
            1 => house
                .push(
                    "portal",
                    "hop_request.reminder",
                    "{\"request_id\":\"HR-3\"}",
                )
                .unwrap(),
            _ => clarify("HR-3", n),
        };
        match reply.code {
            202 => taken += 1,
            204 => {}
            409 => {
                turned_down += 1;
                assert!(reply.body.contains("changed more often"), "{reply:?}");
            }
            _ => panic!("{reply:?}"),
        }
    }
    println!("{taken} changes taken, {turned_down} turned down");
    assert!(taken >= 64 && turned_down >= 50, "{taken}, {turned_down}");
    // The case is over, and it stays so.
    assert_eq!(word("case.closed", json!({ "case_id": "CASE-1" })), 204);
    until(&house, "HR-1", "closed");
    assert_eq!(clarify("HR-1", 9).code, 409);
    assert!(daemon.is_alive());
    assert_eq!(portal.answers("HR-1"), 3);
    let (_, in_order) = daemon.stop();
    assert!(in_order, "{}", house.log());
    let lines = house.audit_holds();
    println!("the audit log has {lines} lines");
    assert!(lines < 1_200, "{lines}");
}

fn only_body(portal: &Portal, id: &str, answer: &str) -> String {
    let brought = portal.brought.lock().unwrap();
    brought[id][answer].first().unwrap().clone()
}
