//! Delivery, and a portal that changes its mind, repeats itself, disputes and goes away.

use super::*;

fn hear(o: &Office, incoming: Incoming, at: u64) -> Heard {
    o.desk.event("itg", &incoming, after(at)).unwrap()
}

fn withdrawn(id: &str) -> Incoming {
    Incoming::Withdrawn { request: id.into() }
}

fn answer_id(o: &Office, id: &str) -> Box<str> {
    o.desk.signed(&key(id)).unwrap().unwrap().id
}

fn accepted(o: &Office, id: &str) -> Incoming {
    Incoming::Accepted {
        request: id.into(),
        answer: answer_id(o, id),
    }
}

fn disputed(o: &Office, id: &str) -> Incoming {
    Incoming::Disputed {
        request: id.into(),
        answer: answer_id(o, id),
        reason: "it was not us".into(),
    }
}

#[test]
fn a_parcel_is_tried_again_under_its_lease_and_with_backoff() {
    let o = office(Mode::Automatic);
    o.ask("HR-1", certain);
    let first = o.parcels(NOW).remove(0);
    assert!(o.parcels(after(119)).is_empty(), "somebody has it");
    // Killed before it was told of: it comes again, the same.
    let again = o.parcels(after(120)).remove(0);
    assert_eq!((&again.key, &again.body), (&first.key, &first.body));
    let tired = |o: &Office, row, random, at| {
        let why = "connection refused".to_owned();
        let what = Delivered::Again { why, after: None };
        o.desk.delivered(row, &what, random, after(at)).unwrap()
    };
    let half = NOW.plus(Duration::from_millis(120_500));
    assert_eq!(tired(&o, again.row, 0.5, 120), Settled::Until(half));
    assert!(o.parcels(after(120)).is_empty());
    assert_eq!(o.desk.next_due("itg").unwrap(), Some(half));
    let third = o.parcels(after(121)).remove(0);
    assert_eq!(third.tries, 1);
    let asked = Delivered::Again {
        why: "429".to_owned(),
        after: Some(Duration::from_secs(999_999)),
    };
    let settled = o
        .desk
        .delivered(third.row, &asked, 0.0, after(121))
        .unwrap();
    assert_eq!(
        settled,
        Settled::Until(after(121 + 3600)),
        "an hour at most"
    );
    assert_eq!(o.tally("tried-again:answer"), 2);
    // A clock that was set back by a year holds nothing up.
    let past = NOW.minus(Duration::from_secs(31_536_000));
    assert_eq!(o.parcels(past).len(), 1);
}

#[test]
fn waits_double_up_to_a_quarter_of_an_hour() {
    use crate::responder::desk::outbox::wait;
    let seconds: Vec<u64> = (1..13).map(|n| wait(n, 1.0).as_secs()).collect();
    assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
    assert_eq!(wait(u32::MAX, 0.5).as_secs(), 450);
    assert_eq!(wait(5, 0.0), Duration::ZERO);
}

#[test]
fn what_the_portal_refuses_comes_back_to_a_person() {
    let o = office(Mode::Automatic);
    o.ask("HR-1", certain);
    let why = "422 no such provider".to_owned();
    assert_eq!(o.deliver(&Delivered::Refused { why }, NOW), Settled::Back);
    let line = o.case("HR-1").line;
    assert_eq!(line.state, RequestState::Review);
    assert!(line.note.unwrap().contains("no such provider"));
    let state = o
        .desk
        .decide(&key("HR-1"), &person(), &Decision::Approve, NOW);
    assert_eq!(state.unwrap(), RequestState::Outbox);
    assert_eq!(body(&o.parcels(NOW)[0])["revision"], 2);
    assert_eq!(
        o.desk.delivered(-1, &Delivered::Taken, 0.0, NOW).unwrap(),
        Settled::Late
    );
}

#[test]
fn what_is_gone_at_the_portal_is_withdrawn_and_may_be_asked_again() {
    let o = office(Mode::Automatic);
    o.ask("HR-1", certain);
    assert_eq!(o.deliver(&Delivered::Gone, NOW), Settled::Dropped);
    assert_eq!(o.state("HR-1"), RequestState::Withdrawn);
    let taken = o
        .desk
        .take("itg", Way::Pull, &request("HR-1", 0), after(9))
        .unwrap();
    assert_eq!(taken, Taken::Clarified(key("HR-1")));
    let octets = request("HR-1", 0);
    let filed = o
        .desk
        .matched(&key("HR-1"), &certain("HR-1", &octets), after(9));
    assert_eq!(filed.unwrap(), Filed::As(RequestState::Outbox));
    assert_eq!(body(&o.parcels(after(9))[0])["revision"], 2);
}

#[test]
fn one_that_goes_round_and_round_is_not_followed_for_ever() {
    let o = office(Mode::Automatic);
    o.ask("HR-1", certain);
    let mut refused = 0;
    for i in 0..600 {
        let taken = o.desk.take("itg", Way::Pull, &request("HR-1", i % 2), NOW);
        refused += u32::from(taken.unwrap() == Taken::Refused(Refusal::ChangedTooOften));
    }
    assert!(refused > 150, "{refused}");
    assert!(o.acts().len() < 300);
}

#[test]
fn withdrawn_takes_it_out_of_the_outbox() {
    let o = office(Mode::Automatic);
    o.ask("HR-1", certain);
    assert_eq!(
        hear(&o, withdrawn("HR-1"), 1),
        Heard::As(RequestState::Withdrawn)
    );
    assert!(o.parcels(after(2)).is_empty());
    assert!(o.desk.collect(&key("HR-1"), after(2)).unwrap().is_none());
    assert_eq!(o.tally("dropped:withdrawn"), 1);
    assert_eq!(hear(&o, withdrawn("HR-1"), 3), Heard::Noted);
    assert_eq!(hear(&o, withdrawn("HR-9"), 3), Heard::Unknown);
    assert!(o.acts().contains(&"withdrawn".to_owned()));
}

#[test]
fn a_portal_that_changes_its_mind() {
    let o = office(Mode::Automatic);
    o.ask("HR-1", certain);
    o.deliver(&Delivered::Taken, NOW);
    for at in [10, 20] {
        let word = accepted(&o, "HR-1");
        assert_eq!(hear(&o, word, at), Heard::As(RequestState::Accepted));
        let word = disputed(&o, "HR-1");
        assert_eq!(
            hear(&o, word.clone(), at + 1),
            Heard::As(RequestState::Disputed)
        );
        assert_eq!(hear(&o, word, at + 2), Heard::Noted);
    }
    let word = accepted(&o, "HR-1");
    assert_eq!(hear(&o, word, 30), Heard::As(RequestState::Accepted));
    let close = || Incoming::CaseClosed { case: "C-7".into() };
    assert_eq!(hear(&o, close(), 40), Heard::As(RequestState::Closed));
    assert_eq!(hear(&o, close(), 41), Heard::Noted);
    let word = accepted(&o, "HR-1");
    assert_eq!(hear(&o, word, 42), Heard::Noted);
    let taken = |v| {
        o.desk
            .take("itg", Way::Push, &request("HR-1", v), after(50))
            .unwrap()
    };
    assert_eq!(taken(0), Taken::Again(key("HR-1"), RequestState::Closed));
    assert_eq!(taken(1), Taken::Refused(Refusal::Over));
    let word = disputed(&o, "HR-1");
    assert_eq!(
        hear(&o, word, 60),
        Heard::As(RequestState::Disputed),
        "late, and yet"
    );
}

#[test]
fn a_dispute_holds_the_neighbour_until_it_is_released() {
    let o = office(Mode::Automatic);
    o.ask("HR-1", certain);
    o.deliver(&Delivered::Taken, NOW);
    let word = disputed(&o, "HR-1");
    hear(&o, word, 1);
    let held = o.desk.held().unwrap();
    assert_eq!((&*held[0].portal, &*held[0].peer), ("itg", "north"));
    assert!(held[0].why.contains("it was not us"));
    assert_eq!(o.ask("HR-2", certain), RequestState::Review);
    let south = |id: &str, octets: &[u8]| {
        answered(
            id,
            octets,
            Resolution::UpstreamDomestic,
            Some("south"),
            ProducedBy::Auto,
        )
    };
    assert_eq!(
        o.ask("HR-3", south),
        RequestState::Outbox,
        "nothing against him"
    );
    // Clarified, the disputed request itself stays a person's, whoever is named.
    let octets = request("HR-1", 1);
    o.desk.take("itg", Way::Push, &octets, NOW).unwrap();
    let filed = o
        .desk
        .matched(&key("HR-1"), &south("HR-1", &octets), NOW)
        .unwrap();
    assert_eq!(filed, Filed::As(RequestState::Review));
    assert_eq!(
        o.desk
            .release("north", Some("other"), &person(), NOW)
            .unwrap(),
        0
    );
    assert_eq!(o.desk.release("north", None, &person(), NOW).unwrap(), 1);
    assert_eq!(o.ask("HR-4", certain), RequestState::Outbox);
}

#[test]
fn a_dispute_brings_back_what_was_to_leave_unseen_about_its_neighbour() {
    let o = office(Mode::Automatic);
    o.ask("HR-1", certain);
    o.deliver(&Delivered::Taken, NOW);
    let by = |peer: &'static str, by| {
        move |id: &str, octets: &[u8]| {
            answered(id, octets, Resolution::UpstreamDomestic, Some(peer), by)
        }
    };
    assert_eq!(o.ask("HR-2", certain), RequestState::Outbox);
    let south = by("south", ProducedBy::Auto);
    assert_eq!(o.ask("HR-3", south), RequestState::Outbox);
    let weak = by("north", ProducedBy::NeedsPerson);
    assert_eq!(o.ask("HR-4", weak), RequestState::Review);
    let approve = Decision::Approve;
    o.desk
        .decide(&key("HR-4"), &person(), &approve, NOW)
        .unwrap();
    let word = disputed(&o, "HR-1");
    hear(&o, word, 1);
    assert_eq!(o.state("HR-1"), RequestState::Disputed);
    assert_eq!(o.state("HR-2"), RequestState::Review, "nobody saw it");
    let leaving: Vec<_> = o.parcels(after(1)).into_iter().map(|p| p.subject).collect();
    assert_eq!(
        leaving,
        ["HR-3".into(), "HR-4".into()],
        "another's, a person's"
    );
    assert_eq!(o.tally("held-back"), 1);
    assert!(o.acts().contains(&"held-back".to_owned()));
}

#[test]
fn a_dispute_about_an_answer_that_was_replaced_holds_its_neighbour_and_moves_nothing() {
    let o = office(Mode::Automatic);
    o.ask("HR-1", certain);
    o.deliver(&Delivered::Taken, NOW);
    let word = disputed(&o, "HR-1");
    let south = Decision::Edit(Edit {
        resolution: Resolution::UpstreamDomestic,
        party: Some(("south".into(), party("south"))),
        comment: None,
    });
    o.desk
        .decide(&key("HR-1"), &person(), &south, after(1))
        .unwrap();
    o.deliver(&Delivered::Taken, after(1));
    assert_eq!(hear(&o, word, 2), Heard::Noted);
    assert_eq!(o.state("HR-1"), RequestState::Sent);
    assert_eq!(&*o.desk.held().unwrap()[0].peer, "north");
    let strange = Incoming::Disputed {
        request: "HR-1".into(),
        answer: "no answer of ours".into(),
        reason: "x".into(),
    };
    assert_eq!(hear(&o, strange, 3), Heard::As(RequestState::Disputed));
    assert_eq!(o.desk.held().unwrap().len(), 2, "taken for the last one");
}

#[test]
fn the_kill_switch_holds_the_outbox_of_every_process() {
    let o = office(Mode::Automatic);
    o.ask("HR-1", certain);
    let terminal = open(o.folder.path(), Mode::Automatic);
    terminal.halt(&person(), "something is wrong", NOW).unwrap();
    terminal.halt(&person(), "again", after(5)).unwrap();
    let halted = o.desk.halted().unwrap().unwrap();
    assert_eq!((&*halted.why, halted.since), ("something is wrong", NOW));
    assert!(o.parcels(NOW).is_empty());
    assert!(o.desk.collect(&key("HR-1"), NOW).unwrap().is_none());
    assert!(o.desk.figures().unwrap().halted);
    assert_eq!(o.ask("HR-2", certain), RequestState::Review);
    assert!(o.desk.resume(&person(), NOW).unwrap());
    assert!(!terminal.resume(&person(), NOW).unwrap());
    assert_eq!(o.parcels(NOW).len(), 1);
    let acts = o.acts();
    assert_eq!(acts.iter().filter(|a| *a == "halted").count(), 1);
    assert_eq!(acts.last().unwrap(), "resumed");
}

#[test]
fn a_portal_that_fetches_its_answer_has_it() {
    let o = office(Mode::Automatic);
    assert!(o.desk.collect(&key("HR-1"), NOW).unwrap().is_none());
    o.ask("HR-1", certain);
    let signed = o.desk.collect(&key("HR-1"), after(3)).unwrap().unwrap();
    assert_eq!(signed.delivered, Some(after(3)));
    assert_eq!(o.state("HR-1"), RequestState::Sent);
    assert!(o.parcels(after(4)).is_empty());
    let again = o.desk.collect(&key("HR-1"), after(9)).unwrap().unwrap();
    assert_eq!(again, signed);
}

#[test]
fn a_portal_reads_nothing_in_shadow_nor_while_all_is_halted() {
    let o = office(Mode::Automatic);
    o.ask("HR-1", certain);
    let peek = || o.desk.peek(&key("HR-1")).unwrap().map(|(state, _)| state);
    assert_eq!(peek(), Some(RequestState::Outbox));
    assert_eq!(
        o.state("HR-1"),
        RequestState::Outbox,
        "nothing counts as delivered"
    );
    o.desk.reload(settings(Mode::Shadow), signer()).unwrap();
    assert_eq!(peek(), None);
    o.desk.reload(settings(Mode::Automatic), signer()).unwrap();
    o.desk.halt(&person(), "x", NOW).unwrap();
    assert_eq!(peek(), None);
}

#[test]
fn one_portal_knows_nothing_of_anothers_requests() {
    let o = office(Mode::Automatic);
    o.ask("HR-1", certain);
    let word = withdrawn("HR-1");
    assert_eq!(o.desk.event("other", &word, NOW).unwrap(), Heard::Unknown);
    let taken = o
        .desk
        .take("other", Way::Push, &request("HR-1", 5), NOW)
        .unwrap();
    assert!(matches!(taken, Taken::New(k) if &*k.portal == "other"));
    assert!(o.desk.outbox("other", 9, NOW).unwrap().is_empty());
    assert_eq!(o.state("HR-1"), RequestState::Outbox);
    let refused = o
        .desk
        .take("third", Way::Push, &request("HR-1", 5), NOW)
        .unwrap();
    assert_eq!(refused, Taken::Refused(Refusal::UnknownPortal));
    assert_eq!(o.desk.event("third", &word, NOW).unwrap(), Heard::Unknown);
}

#[test]
fn a_report_leaves_once_and_only_so_many_a_day() {
    let o = office(Mode::Automatic);
    let post = |key: &str, at| {
        let report = serde_json::json!({ "campaign": key });
        o.desk
            .post_report("itg", "camp-1", key, &report, after(at))
            .unwrap()
    };
    assert_eq!(post("a", 0), Posted::New);
    assert_eq!(post("a", 1), Posted::Known);
    assert_eq!(post("b", 2), Posted::New);
    assert_eq!(post("c", 3), Posted::TooMany);
    let parcels = o.parcels(after(3));
    assert_eq!(parcels.len(), 2);
    assert_eq!(parcels[0].kind, crate::responder::case::ParcelKind::Report);
    assert!(body(&parcels[0])["jws"].is_string());
    for p in parcels {
        o.desk
            .delivered(p.row, &Delivered::Taken, 0.0, after(4))
            .unwrap();
    }
    assert_eq!(
        post("a", 90_000),
        Posted::Known,
        "never twice, once it was taken"
    );
    assert_eq!(post("c", 90_000), Posted::New);
    let strange = o
        .desk
        .post_report("third", "x", "x", &serde_json::json!({}), NOW);
    assert!(strange.unwrap_err().is_refusal());
    o.desk.reload(settings(Mode::Shadow), signer()).unwrap();
    assert_eq!(post("d", 90_001), Posted::Shadow);
}
