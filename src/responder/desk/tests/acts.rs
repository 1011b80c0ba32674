//! Modes, and what a person decides.

use std::os::unix::fs::PermissionsExt;

use super::*;

fn edit(resolution: Resolution, peer: Option<&str>) -> Decision {
    Decision::Edit(Edit {
        resolution,
        party: peer.map(|p| (p.into(), party(p))),
        comment: Some("by hand".to_owned()),
    })
}

#[test]
fn what_is_certain_and_allowed_leaves_by_itself() {
    let o = office(Mode::Automatic);
    assert_eq!(o.ask("HR-1", certain), RequestState::Outbox);
    let parcels = o.parcels(NOW);
    let answer = body(&parcels[0]);
    assert_eq!(answer["resolution"], "UPSTREAM_DOMESTIC");
    assert_eq!(answer["produced_by"], "auto");
    assert_eq!(answer["revision"], 1);
    assert_eq!(parcels[0].due, Some(o.case("HR-1").line.due));
    assert!(answer["jws"].as_str().unwrap().split('.').count() == 3);
    let index = answer["audit"]["index"].as_u64().unwrap();
    assert_eq!(o.acts()[usize::try_from(index).unwrap()], "answer");
    let settled = o
        .desk
        .delivered(parcels[0].row, &Delivered::Taken, 0.0, NOW)
        .unwrap();
    assert_eq!(settled, Settled::Done);
    assert_eq!(o.state("HR-1"), RequestState::Sent);
    assert_eq!(
        o.acts(),
        [
            "received",
            "look-up",
            "matched",
            "answer",
            "delivered",
            "moved"
        ]
    );
    assert!(o.parcels(after(99_999)).is_empty());
}

#[test]
fn every_reason_to_hold_an_answer_holds_it() {
    let held = |mode, what: &dyn Fn(&Office), answered: &dyn Fn(&str, &[u8]) -> Answered| {
        let o = office(mode);
        what(&o);
        let state = o.ask("HR-1", answered);
        assert!(o.parcels(NOW).is_empty());
        assert!(o.desk.signed(&key("HR-1")).unwrap().is_none());
        (state, o.case("HR-1").line.note.unwrap_or_default())
    };
    let nothing = |_: &Office| {};
    let of = |r, peer: Option<&'static str>, by| {
        move |id: &str, octets: &[u8]| answered(id, octets, r, peer, by)
    };
    let review = |mode, what: &dyn Fn(&Office), a: &dyn Fn(&str, &[u8]) -> Answered, why: &str| {
        let (state, note) = held(mode, what, a);
        assert_eq!(state, RequestState::Review, "{why}");
        assert!(note.contains(why), "{note}");
    };
    use ProducedBy::{Auto, NeedsPerson};
    use Resolution::{Ambiguous, NotFound, UpstreamDomestic};
    let auto = Mode::Automatic;
    assert_eq!(
        held(Mode::Shadow, &nothing, &certain).0,
        RequestState::Ready
    );
    review(Mode::Assisted, &nothing, &certain, "assisted");
    review(
        auto,
        &|o| o.desk.halt(&person(), "why", NOW).unwrap(),
        &certain,
        "halted",
    );
    review(
        auto,
        &nothing,
        &of(UpstreamDomestic, Some("north"), NeedsPerson),
        "not certain",
    );
    review(
        auto,
        &nothing,
        &of(UpstreamDomestic, None, Auto),
        "not known by an id",
    );
    review(auto, &nothing, &of(NotFound, None, Auto), "not automatic");
    review(
        auto,
        &nothing,
        &of(Ambiguous, None, NeedsPerson),
        "candidates",
    );
    let nobody = |id: &str, octets: &[u8]| {
        let mut a = certain(id, octets);
        a.peer = None;
        a
    };
    review(auto, &nothing, &nobody, "not known by an id");
    let keyless = |o: &Office| o.desk.reload(settings(auto), None).unwrap();
    review(auto, &keyless, &certain, "no key");
    let nameless = |id: &str, octets: &[u8]| {
        let mut a = certain(id, octets);
        a.answer.request_id = "".into();
        a
    };
    review(auto, &nothing, &nameless, "can't be read");
}

#[test]
fn a_question_goes_back_by_itself_only_in_automatic_mode() {
    let question = |id: &str, octets: &[u8]| {
        let r = Resolution::InsufficientRequest;
        answered(id, octets, r, None, ProducedBy::NeedsPerson)
    };
    let o = office(Mode::Automatic);
    assert_eq!(o.ask("HR-1", question), RequestState::NeedsInfo);
    assert_eq!(o.deliver(&Delivered::Taken, NOW), Settled::Done);
    assert_eq!(
        o.state("HR-1"),
        RequestState::NeedsInfo,
        "waits for the portal"
    );
    let o = office(Mode::Assisted);
    assert_eq!(o.ask("HR-1", question), RequestState::Review);
    let state = o
        .desk
        .decide(&key("HR-1"), &person(), &Decision::Approve, NOW);
    assert_eq!(state.unwrap(), RequestState::NeedsInfo);
    assert_eq!(
        office(Mode::Shadow).ask("HR-1", question),
        RequestState::Ready
    );
}

#[test]
fn a_person_approves() {
    let o = office(Mode::Assisted);
    o.ask("HR-1", certain);
    let approve = |o: &Office| {
        o.desk
            .decide(&key("HR-1"), &person(), &Decision::Approve, NOW)
    };
    assert_eq!(approve(&o).unwrap(), RequestState::Outbox);
    assert_eq!(body(&o.parcels(NOW)[0])["produced_by"], "auto+approved");
    let twice = approve(&o).unwrap_err();
    assert!(
        twice.is_refusal() && twice.to_string().contains("left already"),
        "{twice}"
    );
    assert_eq!(o.tally("answer:UPSTREAM_DOMESTIC:auto+approved"), 1);
    assert!(matches!(
        o.desk
            .decide(&key("HR-9"), &person(), &Decision::Approve, NOW),
        Err(DeskError::NotThere(_))
    ));
}

#[test]
fn a_person_corrects_an_answer_that_has_left() {
    let o = office(Mode::Automatic);
    o.ask("HR-1", certain);
    let first = o.parcels(NOW).remove(0);
    let south = edit(Resolution::UpstreamDomestic, Some("south"));
    assert_eq!(
        o.desk
            .decide(&key("HR-1"), &person(), &south, after(1))
            .unwrap(),
        RequestState::Outbox
    );
    // The first one is on its way just now: the second must not overtake it.
    assert!(o.parcels(after(1)).is_empty());
    let settled = o
        .desk
        .delivered(first.row, &Delivered::Taken, 0.0, after(2));
    assert_eq!(settled.unwrap(), Settled::Done);
    assert_eq!(
        o.state("HR-1"),
        RequestState::Outbox,
        "that was the old one"
    );
    let second = o.parcels(after(2)).remove(0);
    let answer = body(&second);
    assert_eq!(answer["revision"], 2);
    assert_eq!(answer["supersedes"], body(&first)["id"]);
    assert_eq!(answer["produced_by"], "human");
    assert_eq!(answer["upstream"]["name"], "south");
    assert_eq!(answer["comment"], "by hand");
    assert!(answer.get("evidence").is_none());
    assert_ne!(first.key, second.key);
    o.desk
        .delivered(second.row, &Delivered::Taken, 0.0, after(3))
        .unwrap();
    assert_eq!(o.state("HR-1"), RequestState::Sent);
    assert_eq!(o.case("HR-1").signed.len(), 2);
    assert_eq!(o.case("HR-1").line.peer.as_deref(), Some("south"));
}

#[test]
fn one_that_is_lost_on_its_way_holds_up_its_correction_for_a_lease_at_most() {
    let o = office(Mode::Automatic);
    o.ask("HR-1", certain);
    assert_eq!(o.parcels(NOW).len(), 1);
    let south = edit(Resolution::UpstreamDomestic, Some("south"));
    o.desk
        .decide(&key("HR-1"), &person(), &south, after(1))
        .unwrap();
    assert!(o.parcels(after(100)).is_empty());
    assert_eq!(body(&o.parcels(after(121))[0])["revision"], 2);
}

#[test]
fn what_a_person_can_not_say() {
    let o = office(Mode::Assisted);
    o.ask("HR-1", certain);
    let say = |d: &Decision| o.desk.decide(&key("HR-1"), &person(), d, NOW).unwrap_err();
    for (decision, why) in [
        (edit(Resolution::UpstreamForeign, None), "say whom"),
        (edit(Resolution::Refused, Some("south")), "names nobody"),
        (edit(Resolution::NotFound, None), "whole window"),
        (edit(Resolution::Pending, None), "receipt"),
        (Decision::Reject("  ".to_owned()), "in words"),
        (Decision::Ask("x".repeat(5000)), "at most"),
    ] {
        let e = say(&decision);
        assert!(
            e.is_refusal() && e.to_string().contains(why),
            "{decision:?}: {e}"
        );
    }
    assert_eq!(o.state("HR-1"), RequestState::Review);
    o.desk.reload(settings(Mode::Assisted), None).unwrap();
    assert!(matches!(say(&Decision::Approve), DeskError::Unsigned(_)));
    assert_eq!(
        o.acts().last().unwrap(),
        "matched",
        "nothing of it was done"
    );
}

#[test]
fn what_could_not_be_looked_up_is_a_persons_to_answer() {
    let o = office(Mode::Automatic);
    let broken =
        |id: &str, octets: &[u8]| answered(id, octets, Resolution::Pending, None, ProducedBy::Auto);
    assert_eq!(o.ask("HR-1", broken), RequestState::Review);
    assert!(o.case("HR-1").line.note.unwrap().contains("by a defect"));
    let say = |d: &Decision| o.desk.decide(&key("HR-1"), &person(), d, NOW);
    let why = say(&Decision::Approve).unwrap_err().to_string();
    assert!(why.contains("`edit`"), "{why}");
    let north = edit(Resolution::UpstreamDomestic, Some("north"));
    assert_eq!(say(&north).unwrap(), RequestState::Outbox);
}

#[test]
fn an_answer_that_must_name_somebody_and_does_not_is_not_approved() {
    let o = office(Mode::Assisted);
    let nameless = |id: &str, octets: &[u8]| {
        let r = Resolution::UpstreamDomestic;
        answered(id, octets, r, None, ProducedBy::NeedsPerson)
    };
    assert_eq!(o.ask("HR-1", nameless), RequestState::Review);
    let done = o
        .desk
        .decide(&key("HR-1"), &person(), &Decision::Approve, NOW);
    assert!(done.unwrap_err().to_string().contains("says whom"));
    assert_eq!(o.state("HR-1"), RequestState::Review);
}

#[test]
fn who_approves_what_he_saw_does_not_approve_what_came_since() {
    let o = office(Mode::Assisted);
    o.ask("HR-1", certain);
    let draft = |o: &Office| {
        o.case("HR-1").answer.unwrap()["id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let seen = draft(&o);
    let octets = request("HR-1", 1);
    o.desk.take("itg", Way::Push, &octets, NOW).unwrap();
    let again = certain("HR-1", &octets);
    o.desk.matched(&key("HR-1"), &again, NOW).unwrap();
    let decide = |seen: &str| {
        o.desk
            .decide_seen(&key("HR-1"), &person(), &Decision::Approve, seen, NOW)
    };
    assert!(matches!(decide(&seen), Err(DeskError::Changed(_))));
    assert_eq!(o.state("HR-1"), RequestState::Review);
    assert_eq!(decide(&draft(&o)).unwrap(), RequestState::Outbox);
    let sent = body(&o.parcels(NOW)[0]);
    assert_eq!(sent["id"], crate::traceback::answer::answer_id("HR-1", 1));
}

#[test]
fn a_person_rejects_and_asks() {
    let o = office(Mode::Assisted);
    o.ask("HR-1", certain);
    let decide = |d| o.desk.decide(&key("HR-1"), &person(), &d, NOW).unwrap();
    assert_eq!(
        decide(Decision::Ask("which zone?".to_owned())),
        RequestState::NeedsInfo
    );
    let asked = body(&o.parcels(NOW)[0]);
    assert_eq!(asked["resolution"], "INSUFFICIENT_REQUEST");
    assert_eq!(asked["comment"], "which zone?");
    assert!(asked.get("upstream").is_none());
    assert_eq!(
        decide(Decision::Reject("no case".to_owned())),
        RequestState::Outbox
    );
    let signed = o.desk.signed(&key("HR-1")).unwrap().unwrap();
    let refused: serde_json::Value = serde_json::from_slice(&signed.body).unwrap();
    assert_eq!(refused["resolution"], "REFUSED");
    assert_eq!((signed.revision, signed.delivered), (2, None));
}

#[test]
fn in_shadow_nothing_leaves_and_both_are_compared() {
    let o = office(Mode::Shadow);
    for id in ["HR-1", "HR-2", "HR-3"] {
        assert_eq!(o.ask(id, certain), RequestState::Ready);
    }
    let refused = o
        .desk
        .decide(&key("HR-1"), &person(), &Decision::Approve, NOW);
    assert!(refused.unwrap_err().to_string().contains("shadow"));
    let domestic = Resolution::UpstreamDomestic;
    let say = |id, r, peer| o.desk.compare(&key(id), &person(), r, peer, NOW).unwrap();
    assert!(say("HR-1", domestic, Some("north")));
    assert!(!say("HR-2", domestic, Some("south")));
    assert!(!say("HR-3", domestic, None), "a name is part of the answer");
    let said = o.case("HR-2").said.unwrap();
    assert!(!said.agrees && said.who.contains("ada"));
    let agreement = o.desk.agreement().unwrap();
    let (portal, a) = &agreement[0];
    assert_eq!(&**portal, "itg");
    assert_eq!(
        (a.compared, a.agreed, a.certain, a.certain_agreed, a.left),
        (3, 1, 3, 1, 0)
    );
    // The operator trusts it now: what is ready may leave.
    o.desk.reload(settings(Mode::Assisted), signer()).unwrap();
    let state = o
        .desk
        .decide(&key("HR-1"), &person(), &Decision::Approve, NOW);
    assert_eq!(state.unwrap(), RequestState::Outbox);
    o.desk.reload(settings(Mode::Shadow), signer()).unwrap();
    assert!(
        o.parcels(NOW).is_empty(),
        "back in shadow, what lies there stays"
    );
    assert!(o.desk.collect(&key("HR-1"), NOW).unwrap().is_none());
}

#[test]
fn what_can_not_be_read_is_a_case_too() {
    let o = office(Mode::Automatic);
    let taken = o.desk.take("itg", Way::File, b"no JSON \xff", NOW).unwrap();
    let Taken::New(key) = taken else {
        panic!("{taken:?}")
    };
    assert!(key.id.starts_with("sha256-"));
    let plan = crate::number::NumberPlan::default();
    let refused = crate::traceback::request::HopRequest::parse(b"no JSON \xff", &plan).unwrap_err();
    let a = crate::responder::insufficient(&refused, &TracebackSettings::default(), 7);
    let filed = o.desk.matched(&key, &a, NOW).unwrap();
    assert_eq!(
        filed,
        Filed::As(RequestState::Review),
        "to whom should it go?"
    );
    let asked = o.desk.decide(&key, &person(), &Decision::Approve, NOW);
    assert!(asked.unwrap_err().is_refusal());
    let case = o.desk.show(&key, NOW).unwrap().unwrap();
    assert_eq!(case.request, "no JSON \\xff");
    assert_eq!(&*case.line.case_id, "-");
}

#[test]
fn an_answer_to_octets_that_were_clarified_meanwhile_is_dropped() {
    let o = office(Mode::Automatic);
    let old = request("HR-1", 0);
    o.desk.take("itg", Way::Push, &old, NOW).unwrap();
    let new = request("HR-1", 1);
    let taken = o.desk.take("itg", Way::Push, &new, NOW).unwrap();
    assert_eq!(taken, Taken::Clarified(key("HR-1")));
    let late = o.desk.matched(&key("HR-1"), &certain("HR-1", &old), NOW);
    assert_eq!(late.unwrap(), Filed::Late);
    let filed = o.desk.matched(&key("HR-1"), &certain("HR-1", &new), NOW);
    assert_eq!(filed.unwrap(), Filed::As(RequestState::Outbox));
    let twice = o.desk.matched(&key("HR-1"), &certain("HR-1", &new), NOW);
    assert_eq!(twice.unwrap(), Filed::Late);
    assert_eq!(o.tally("matched-late"), 2);
}

#[test]
fn a_look_up_is_leased_and_in_the_log() {
    let o = office(Mode::Automatic);
    o.desk
        .take("itg", Way::Push, &request("HR-1", 0), NOW)
        .unwrap();
    let urgent = String::from_utf8(request("HR-2", 0)).unwrap();
    let urgent = urgent.replace(r#""case_id""#, r#""priority":"safety_of_life","case_id""#);
    o.desk
        .take("itg", Way::Push, urgent.as_bytes(), after(1))
        .unwrap();
    let waiting = o.desk.received(1, after(1)).unwrap();
    assert_eq!(&*waiting[0].key.id, "HR-2", "somebody's life is in danger");
    assert_eq!(o.desk.received(9, after(1)).unwrap().len(), 1);
    assert!(o.desk.received(9, after(2)).unwrap().is_empty());
    assert_eq!(
        o.desk.received(9, after(62)).unwrap().len(),
        2,
        "nothing was heard of them"
    );
    assert!(
        o.desk.received(9, after(130)).unwrap().is_empty(),
        "the wait doubles"
    );
    let lookups = o.acts().iter().filter(|a| *a == "look-up").count();
    assert_eq!(lookups, 4);
}

#[test]
fn the_files_are_their_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("state");
    let desk = open(&inner, Mode::Shadow);
    desk.take("itg", Way::Push, &request("HR-1", 0), NOW)
        .unwrap();
    let mode = |p: &Path| std::fs::metadata(p).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&inner), 0o700);
    let mut files = 0;
    for entry in std::fs::read_dir(&inner).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
        files += 1;
    }
    assert_eq!(files, 3, "database, WAL and its index");
}

#[test]
fn a_database_of_a_later_version_is_left_alone() {
    let o = office(Mode::Shadow);
    o.desk
        .with(|tx| tx.pragma_update(None, "user_version", 99))
        .unwrap();
    let e = Desk::open(o.folder.path(), settings(Mode::Shadow), None).unwrap_err();
    assert!(matches!(e, DeskError::Later { found: 99, .. }), "{e}");
}

#[test]
fn a_zone_that_is_none_is_refused_and_the_old_settings_stay() {
    let o = office(Mode::Automatic);
    let mut wrong = settings(Mode::Shadow);
    wrong.portals[0].time_zone = "Mars/Olympus".into();
    assert!(matches!(
        o.desk.reload(wrong, None),
        Err(DeskError::Setting(_))
    ));
    assert_eq!(o.ask("HR-1", certain), RequestState::Outbox);
}
