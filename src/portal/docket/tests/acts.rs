//! Acts on questions and answers, one by one: who may, and what is refused.

use super::*;

#[test]
fn an_answer_that_does_not_fit_is_kept_told_back_and_never_walked_on() {
    let p = portal();
    let case = p.open();
    let asked = p.last(&case);
    let good = p.body(&asked, "UPSTREAM_DOMESTIC", "P2");
    let with = |change: &dyn Fn(&mut Value)| {
        let mut body = good.clone();
        change(&mut body);
        rejected(p.send(&asked, &body, after(1)))
    };
    let other = with(&|b| b["request_sha256"] = json!("0".repeat(64)));
    assert!(other.contains("request_sha256"), "{other}");
    let several = with(&|b| {
        b["request_id"] = json!("TB-2026-000099-01");
        b["case_id"] = json!("TB-2026-000099");
        b["hop_no"] = json!(7);
        b["previous_hop_digest"] = json!("1".repeat(64));
    });
    for part in [
        "TB-2026-000099-01",
        "another case",
        "hop_no should be 1",
        "previous_hop_digest",
    ] {
        assert!(several.contains(part), "{several}");
    }
    assert!(with(&|b| b["provider"]["portal_id"] = json!("P3")).contains("\"P3\" answers"));
    assert!(with(&|b| b["produced_by"] = json!("needs-person")).contains("draft"));
    assert!(with(&|b| b["upstream"] = json!(null)).contains("names somebody"));
    assert!(with(&|b| b["resolution"] = json!("NOT_FOUND")).contains("names nobody"));
    assert!(with(&|b| b["upstream"]["portal_id"] = json!("P1")).contains("its own provider"));
    assert!(with(&|b| b["upstream"]["ocn"] = json!("703J")).contains("two providers"));
    assert!(with(&|b| b["comment"] = json!("x".repeat(5000))).contains("4096"));
    assert!(with(&|b| b["resolution"] = json!("NO_SUCH")).contains("can't be read"));
    // Signed with the key of somebody else.
    let forged = p.sign("P2", &good);
    let id = good["id"].as_str().unwrap();
    let said = p
        .docket
        .answer("P1", &asked.id, id, &forged.json, after(1))
        .unwrap();
    assert!(rejected(said).contains("not known"));
    // What is visible is not what was signed.
    let text = String::from_utf8(p.sign("P1", &good).json).unwrap();
    let tampered = text.replace("\"portal_id\":\"P2\"", "\"portal_id\":\"P4\"");
    let said = p
        .docket
        .answer("P1", &asked.id, id, tampered.as_bytes(), after(1))
        .unwrap();
    assert!(rejected(said).contains("upstream"));
    assert_eq!(p.asked(&case).len(), 1);
    assert_eq!(p.last(&case).state, "asked");
    assert!(
        p.findings(&case)
            .iter()
            .all(|f| f.starts_with("unverified: an answer of P1 was rejected"))
    );
    // Mended under the same id it is taken, once.
    assert_eq!(p.send(&asked, &good, after(2)), Received::New);
    assert_eq!(p.send(&asked, &good, after(3)), Received::Known);
    let mut other = good.clone();
    other["comment"] = json!("changed");
    assert_eq!(
        p.send(&asked, &other, after(3)),
        Received::Conflict("another answer has this id")
    );
    assert_eq!(p.asked(&case).len(), 2);
    p.sound();
}

#[test]
fn a_question_of_another_provider_is_not_there() {
    let p = portal();
    let case = p.open();
    let asked = p.last(&case);
    let body = p.body(&asked, "UPSTREAM_DOMESTIC", "P2");
    let signed = p.sign("P2", &body);
    let id = body["id"].as_str().unwrap();
    absent(p.docket.answer("P2", &asked.id, id, &signed.json, NOW));
    absent(
        p.docket
            .answer("P2", "TB-2026-000009-01", id, &signed.json, NOW),
    );
    let by = by_hand(Resolution::OriginEndCustomer, Named::Nobody);
    absent(p.docket.answer_by_hand(&staff("P2"), &asked.id, &by, NOW));
    absent(p.docket.answer_by_hand(&analyst(), &asked.id, &by, NOW));
    absent(p.docket.draft("P2", &asked.id, id, &signed.json, NOW));
    absent(p.docket.add_note(&staff("P1"), &case, "hello", NOW));
    absent(p.docket.add_note(&requester("FCC"), &case, "hello", NOW));
    absent(
        p.docket
            .attach(&staff("P2"), &case, Some(&asked.id), "a", b"x", NOW),
    );
    absent(
        p.docket
            .clarify(&requester("FCC"), &asked.id, &Clarification::default(), NOW),
    );
    absent(p.docket.dispute(&staff("P3"), &asked.id, "no", NOW));
}

#[test]
fn somebody_who_never_stops_answering_is_stopped() {
    let p = portal();
    let case = p.open();
    let asked = p.last(&case);
    let mut before = String::new();
    for revision in 1..=24u32 {
        let party = format!("P{}", 2 + revision % 2);
        let mut body = p.body(&asked, "UPSTREAM_DOMESTIC", &party);
        body["id"] = json!(answer_id(&asked.id, revision));
        body["revision"] = json!(revision);
        if !before.is_empty() {
            body["supersedes"] = json!(before);
        }
        before = answer_id(&asked.id, revision);
        assert_eq!(p.send(&asked, &body, after(1)), Received::New);
    }
    let mut body = p.body(&asked, "UPSTREAM_DOMESTIC", "P2");
    body["id"] = json!(answer_id(&asked.id, 25));
    let signed = p.sign("P1", &body);
    let over = p.docket.answer(
        "P1",
        &asked.id,
        &answer_id(&asked.id, 25),
        &signed.json,
        NOW,
    );
    assert!(matches!(over, Err(DocketError::TooMany { .. })));
    assert_eq!(
        p.open_questions(&case).len(),
        1,
        "all but the last branch is taken back"
    );
    p.sound();
}

#[test]
fn a_revision_that_says_the_same_keeps_what_hangs_on_it() {
    let p = portal();
    let case = p.open();
    let first = p.last(&case);
    p.answers(&first, "UPSTREAM_DOMESTIC", "P2");
    let second = p.last(&case);
    let revise = |party: &str, revision: u32| {
        let body = p.revised(&first, "UPSTREAM_DOMESTIC", party, revision);
        p.send(&first, &body, after(70))
    };
    assert_eq!(revise("P2", 2), Received::New);
    p.answers(&second, "UPSTREAM_DOMESTIC", "P3");
    assert_eq!(p.last(&case).provider, "P3");
    assert_eq!(
        revise("P4", 2),
        Received::Conflict("another answer has this id")
    );
    // And one that names another takes the branch back.
    assert_eq!(revise("P4", 3), Received::New);
    let open = p.open_questions(&case);
    assert_eq!((open.len(), open[0].provider.as_str()), (1, "P4"));
    let states: Vec<_> = p.asked(&case).into_iter().map(|a| a.state).collect();
    assert_eq!(states, ["answered", "withdrawn", "withdrawn", "asked"]);
    let gone = p.body(&second, "UPSTREAM_DOMESTIC", "P5");
    let mut gone = gone;
    gone["id"] = json!(answer_id(&second.id, 2));
    gone["revision"] = json!(2);
    assert_eq!(p.send(&second, &gone, after(80)), Received::Withdrawn);
}

#[test]
fn a_question_back_is_answered_by_what_the_path_knows_and_else_by_a_person() {
    let p = portal();
    let case = p.open();
    let first = p.last(&case);
    let mut body = p.body(&first, "UPSTREAM_DOMESTIC", "P2");
    body["evidence"] = json!({"leg": {"at": "2026-11-24T14:50:09Z", "clock_error_ms": 20.0, "state": "answered",
        "passport": {"digest": "ab".repeat(16), "validation": "passed"}}});
    assert_eq!(p.send(&first, &body, after(1)), Received::New);
    let before = p.last(&case);
    p.goes(&case, "AMBIGUOUS", "");
    let clear = p.last(&case);
    assert_eq!(
        (clear.id.clone(), clear.state.as_str()),
        (before.id, "asked")
    );
    assert_ne!(clear.sha256, before.sha256);
    assert_eq!(clear.request["call"]["answered"], true);
    assert_eq!(
        p.told("P2"),
        ["hop_request.created", "hop_request.clarified"]
    );
    let again = |revision: u32, resolution: &str, party: &str| {
        let asked = p.last(&case);
        let body = p.revised(&asked, resolution, party, revision);
        assert_eq!(p.send(&asked, &body, after(200)), Received::New);
    };
    again(2, "AMBIGUOUS", "");
    assert_eq!(p.case(&case).state, "stuck");
    let id = p.last(&case).id;
    let more = Clarification {
        duration_s: Some(42.0),
        remark: "The complainant says that it was a recording.".into(),
        ..Clarification::default()
    };
    p.docket
        .clarify(&analyst(), &id, &more, after(300))
        .unwrap();
    let clear = p.last(&case);
    assert_eq!(clear.request["call"]["duration_s"], 42.0);
    assert!(
        clear.request["remark"]
            .as_str()
            .unwrap()
            .contains("recording")
    );
    assert_eq!(p.case(&case).state, "open");
    refused(
        p.docket
            .clarify(&analyst(), &id, &Clarification::default(), after(301)),
    );
    let bad = Clarification {
        calling: "bob".into(),
        ..Clarification::default()
    };
    assert_eq!(
        wrong(
            &p.docket
                .clarify(&analyst(), &id, &bad, after(301))
                .unwrap_err()
        ),
        ["calling"]
    );
    again(3, "UPSTREAM_DOMESTIC", "P3");
    assert_eq!(p.last(&case).provider, "P3");
}

#[test]
fn a_receipt_is_no_answer() {
    let p = portal();
    let case = p.open();
    p.goes(&case, "PENDING", "");
    assert_eq!(p.last(&case).state, "acknowledged");
    assert_eq!(
        p.docket.tick(after(9000)).unwrap().overdue,
        1,
        "the clock runs on"
    );
}

#[test]
fn a_receipt_takes_no_answer_back() {
    let p = portal();
    let case = p.open();
    let first = p.last(&case);
    p.answers(&first, "UPSTREAM_DOMESTIC", "P2");
    let receipt = p.revised(&first, "PENDING", "", 2);
    assert_eq!(p.send(&first, &receipt, after(70)), Received::New);
    let states = || {
        p.column(
            "SELECT state FROM answer WHERE hop = ? ORDER BY revision",
            &first.id,
        )
    };
    assert_eq!(states(), ["current", "replaced"]);
    p.docket
        .dispute(&analyst(), &first.id, "not the call", after(80))
        .unwrap();
    assert_eq!(states(), ["disputed", "replaced"]);
    p.docket
        .stand_by(&staff("P1"), &first.id, "checked again", after(90))
        .unwrap();
    assert_eq!(states(), ["current", "replaced"]);
    assert_eq!(p.asked(&case).len(), 2, "nobody was asked anew");
    p.sound();
}

fn by_hand(resolution: Resolution, party: Named) -> ByHand {
    ByHand {
        resolution,
        party,
        forwarded: String::new(),
        comment: String::new(),
        mitigation: String::new(),
    }
}

#[test]
fn an_answer_by_hand_walks_on_and_is_shown_as_what_it_is() {
    let p = portal();
    let case = p.open();
    let asked = p.last(&case);
    let sam = staff("P1");
    let no_reason = by_hand(Resolution::NotFound, Named::Nobody);
    let error = p
        .docket
        .answer_by_hand(&sam, &asked.id, &no_reason, NOW)
        .unwrap_err();
    assert_eq!(wrong(&error), ["comment"]);
    let nobody = by_hand(Resolution::UpstreamDomestic, Named::Nobody);
    let error = p
        .docket
        .answer_by_hand(&sam, &asked.id, &nobody, NOW)
        .unwrap_err();
    assert_eq!(wrong(&error), ["party"]);
    let named = by_hand(Resolution::UpstreamDomestic, Named::Provider("P2".into()));
    p.docket
        .answer_by_hand(&sam, &asked.id, &named, after(1))
        .unwrap();
    let next = p.last(&case);
    assert_eq!(next.provider, "P2");
    // Signed with the portal's key, and good for who checks the path.
    let octets: Vec<u8> = p
        .docket
        .read(|tx| {
            let sql = "SELECT octets FROM answer WHERE hop = ?";
            Ok(tx.query_row(sql, [&asked.id], |r| r.get(0))?)
        })
        .unwrap();
    let mut keys = crate::proof::sign::Verifier::default();
    let jwks = p.docket.signer().jwks().to_string();
    keys.add(jwks.as_bytes(), Some("portal")).unwrap();
    let opened = keys.open(&octets, Kind::Answer).unwrap();
    assert_eq!(
        next.request["previous_hop_digest"],
        json!(crate::proof::sign::digest(&opened.jws))
    );
    p.answers(&next, "ORIGIN_END_CUSTOMER", "P2");
    let done = p.case(&case);
    assert_eq!(
        (done.outcome.as_deref(), done.hops),
        (Some("originator"), 2)
    );
    assert_eq!(
        (done.verified, done.vouched),
        (false, 1),
        "the provider did not sign it"
    );
    // He corrects himself: another revision, and the walk turns.
    let other = by_hand(Resolution::UpstreamDomestic, Named::Provider("P3".into()));
    p.docket
        .answer_by_hand(&sam, &asked.id, &other, after(5))
        .unwrap();
    assert_eq!(
        (
            p.case(&case).state.as_str(),
            p.last(&case).provider.as_str()
        ),
        ("open", "P3")
    );
}

#[test]
fn a_draft_is_decided_as_it_was_seen() {
    let p = portal();
    let case = p.open();
    let asked = p.last(&case);
    let sam = staff("P1");
    let draft = |id: &str, kind| {
        let mut body = p.body(&asked, "UPSTREAM_DOMESTIC", "P2");
        body["id"] = json!(id);
        body["produced_by"] = json!("needs-person");
        body["evidence"] = json!({"posterior": 0.97});
        let signed = p.signers[0].sign_value(kind, &body).unwrap();
        p.docket
            .draft("P1", &asked.id, id, &signed.json, after(1))
            .unwrap()
    };
    assert_eq!(draft("d-1", Kind::Draft), Received::New);
    assert_eq!(draft("d-1", Kind::Draft), Received::Known);
    // A draft never passes as an answer, nor an answer as a draft.
    assert!(rejected(draft("d-2", Kind::Answer)).contains("hop-answer+jws"));
    let mut body = p.body(&asked, "UPSTREAM_DOMESTIC", "P2");
    body["id"] = json!("d-9");
    let signed = p.signers[0].sign_value(Kind::Draft, &body).unwrap();
    let said = p
        .docket
        .answer("P1", &asked.id, "d-9", &signed.json, NOW)
        .unwrap();
    assert!(rejected(said).contains("hop-answer-draft+jws"));
    assert_eq!(draft("d-2", Kind::Draft), Received::New);
    let decide = |id: &str, d: &Decision| p.docket.decide_draft(&sam, &asked.id, id, d, after(2));
    let why = refused(decide("d-1", &Decision::Approve));
    assert!(why.contains("another draft"));
    absent(
        p.docket
            .decide_draft(&staff("P2"), &asked.id, "d-2", &Decision::Approve, NOW),
    );
    assert_eq!(
        wrong(&decide("d-2", &Decision::Reject(" ".into())).unwrap_err()),
        ["reason"]
    );
    decide("d-2", &Decision::Approve).unwrap();
    assert!(refused(decide("d-2", &Decision::Approve)).contains("already"));
    assert_eq!(p.told("P1"), ["hop_request.created", "draft.approved"]);
    let data = p.column(
        "SELECT data FROM event WHERE provider = ? AND kind = 'draft.approved'",
        "P1",
    );
    let data: Value = serde_json::from_str(&data[0]).unwrap();
    assert_eq!(
        (&data["request_id"], &data["answer_id"], &data["by"]),
        (&json!(asked.id), &json!("d-2"), &json!("sam"))
    );
    assert_eq!(
        p.last(&case).state,
        "asked",
        "only the provider's own signature counts"
    );
}

#[test]
fn a_disputed_answer_counts_again_when_its_provider_stands_by_it() {
    let p = portal();
    let case = p.open();
    let first = p.last(&case);
    p.answers(&first, "UPSTREAM_DOMESTIC", "P2");
    let second = p.last(&case);
    p.answers(&second, "ORIGIN_END_CUSTOMER", "P2");
    absent(p.docket.dispute(&staff("P3"), &first.id, "no", after(70)));
    refused(
        p.docket
            .dispute_what_led_here(&staff("P1"), &first.id, "no", after(70)),
    );
    p.docket
        .dispute_what_led_here(
            &staff("P2"),
            &second.id,
            "we never had that call",
            after(70),
        )
        .unwrap();
    assert_eq!(p.case(&case).state, "stuck");
    assert_eq!(p.told("P1").last().unwrap(), "answer.disputed");
    assert!(
        p.findings(&case)
            .iter()
            .any(|f| f.contains("provider:P2 disputes"))
    );
    refused(p.docket.dispute(&analyst(), &first.id, "me too", after(71)));
    absent(p.docket.stand_by(&staff("P2"), &first.id, "no", after(72)));
    p.docket
        .stand_by(&staff("P1"), &first.id, "checked again", after(72))
        .unwrap();
    let done = p.case(&case);
    assert_eq!(
        (done.state.as_str(), done.outcome.as_deref()),
        ("closed", Some("originator"))
    );
    assert_eq!(p.asked(&case).len(), 2, "nobody was asked anew");
    p.sound();
}

#[test]
fn a_disputed_answer_that_is_replaced_takes_its_branch_with_it() {
    let p = portal();
    let case = p.open();
    let first = p.last(&case);
    p.answers(&first, "UPSTREAM_DOMESTIC", "P2");
    p.docket
        .dispute(&analyst(), &first.id, "the times do not fit", after(70))
        .unwrap();
    assert_eq!(p.last(&case).state, "asked", "what hangs on it waits");
    let body = p.revised(&first, "UPSTREAM_DOMESTIC", "P3", 2);
    assert_eq!(p.send(&first, &body, after(80)), Received::New);
    let who: Vec<_> = p
        .asked(&case)
        .into_iter()
        .map(|a| (a.provider, a.state))
        .collect();
    let is = |who: &str, state: &str| (who.to_owned(), state.to_owned());
    assert_eq!(
        who,
        [
            is("P1", "answered"),
            is("P2", "withdrawn"),
            is("P3", "asked")
        ]
    );
}

#[test]
fn what_a_person_closed_a_late_answer_does_not_open() {
    let p = portal();
    let case = p.open();
    p.goes(&case, "UPSTREAM_DOMESTIC", "P2");
    p.docket.tick(after(9000)).unwrap();
    let closing = Closing {
        outcome: Outcome::NonResponsive,
        ended_at: Some("P2".into()),
        summary: "Reported to the authority.".into(),
    };
    absent(
        p.docket
            .close_case(&requester("FTC"), &case, &closing, after(9001)),
    );
    p.docket
        .close_case(&analyst(), &case, &closing, after(9001))
        .unwrap();
    refused(
        p.docket
            .close_case(&analyst(), &case, &closing, after(9002)),
    );
    let late = p.last(&case);
    let body = p.body(&late, "UPSTREAM_DOMESTIC", "P3");
    assert_eq!(p.send(&late, &body, after(9100)), Received::New);
    assert_eq!(p.case(&case).state, "closed");
    assert!(p.findings(&case).iter().any(|f| f.starts_with("late")));
    p.docket
        .reopen(&analyst(), &case, "the answer came", after(9200))
        .unwrap();
    assert_eq!(
        (
            p.case(&case).state.as_str(),
            p.last(&case).provider.as_str()
        ),
        ("open", "P3")
    );
    p.sound();
}

#[test]
fn a_silent_provider_is_asked_again_by_a_person() {
    let p = portal();
    let case = p.open();
    let first = p.last(&case);
    refused(p.docket.ask_again(&analyst(), &first.id, "", after(1)));
    p.docket.tick(after(9000)).unwrap();
    assert_eq!(p.case(&case).state, "closed");
    let new = p
        .docket
        .ask_again(&analyst(), &first.id, "Please.", after(9001))
        .unwrap();
    let asked = p.last(&case);
    assert_eq!((asked.id.as_str(), asked.branch.as_str()), (&*new, "again"));
    assert_eq!(p.case(&case).state, "open");
    p.answers(&asked, "ORIGIN_END_CUSTOMER", "P1");
    assert_eq!(p.case(&case).outcome.as_deref(), Some("originator"));
}

#[test]
fn notes_and_attachments_are_bounded() {
    let p = portal();
    let case = p.open();
    let asked = p.last(&case);
    p.docket
        .add_note(&analyst(), &case, "A <b>note</b>.", NOW)
        .unwrap();
    assert_eq!(
        wrong(&p.docket.add_note(&analyst(), &case, "  ", NOW).unwrap_err()),
        ["text"]
    );
    let big = vec![0u8; MAX_ATTACHMENT + 1];
    let attach =
        |name: &str, octets: &[u8]| p.docket.attach(&analyst(), &case, None, name, octets, NOW);
    assert_eq!(wrong(&attach("a.wav", &big).unwrap_err()), ["file"]);
    p.docket
        .attach(&staff("P1"), &case, Some(&asked.id), "a.pdf", b"%PDF", NOW)
        .unwrap();
    absent(
        p.docket
            .attach(&staff("P1"), &case, None, "a.pdf", b"%PDF", NOW),
    );
    for _ in 1..MAX_ATTACHMENTS {
        attach("../../etc/x.wav", b"RIFF").unwrap();
    }
    assert!(refused(attach("b.wav", b"RIFF")).contains("too many"));
    let names = p.column(
        "SELECT name FROM attachment WHERE trace = ? ORDER BY id",
        &case,
    );
    assert_eq!((names[0].as_str(), names[1].as_str()), ("a.pdf", "x.wav"));
}

#[test]
fn what_a_crash_left_undone_is_done_at_the_start() {
    let p = portal();
    let case = p.open();
    p.goes(&case, "UPSTREAM_DOMESTIC", "P2");
    // As if the process had died between the answer and the next question.
    p.docket
        .write(NOW, |w| {
            w.tx.execute("DELETE FROM hop WHERE provider = 'P2'", [])?;
            Ok(())
        })
        .unwrap();
    assert_eq!(p.docket.resume(after(100)).unwrap(), 1);
    assert_eq!(p.last(&case).provider, "P2");
    let before = (p.asked(&case), p.told("P1"), p.told("P2"), p.case(&case));
    p.docket.resume(after(101)).unwrap();
    assert_eq!(
        (p.asked(&case), p.told("P1"), p.told("P2"), p.case(&case)),
        before
    );
}

#[test]
fn a_revision_from_a_retired_key_is_refused() {
    let p = portal();
    let case = p.open();
    let asked = p.last(&case);
    p.docket
        .write(NOW, |w| {
            w.tx.execute(
                "UPDATE provider_key SET retired = ? WHERE provider = 'P1'",
                [NOW.nanos()],
            )?;
            Ok(())
        })
        .unwrap();
    let body = p.body(&asked, "UPSTREAM_DOMESTIC", "P2");
    assert!(rejected(p.send(&asked, &body, after(1))).contains("not known"));
}
