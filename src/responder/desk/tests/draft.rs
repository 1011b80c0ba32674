//! Drafts: what waits for a person is shown to our staff at the portal, and leaves by their click only where that is allowed.

use super::*;
use crate::proof::sign::{Flaw, Kind, Verifier};
use crate::responder::case::{Drafts, ParcelKind};

fn with(drafts: Drafts) -> Office {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(Mode::Assisted);
    settings.portals[0].drafts = drafts;
    let desk = Desk::open(folder.path(), settings, signer()).unwrap();
    Office { folder, desk }
}

fn decided(draft: &str, approved: bool) -> Incoming {
    Incoming::Drafted {
        request: "R-1".into(),
        draft: draft.into(),
        by: "mara".into(),
        approved,
        reason: "the trunk was idle".into(),
    }
}

#[test]
fn a_draft_is_shown_and_is_no_answer() {
    let o = with(Drafts::Show);
    assert_eq!(o.ask("R-1", certain), RequestState::Review);
    let parcels = o.parcels(NOW);
    assert_eq!(parcels.len(), 1);
    assert_eq!(parcels[0].kind, ParcelKind::Draft);
    let mut keys = Verifier::default();
    let jwks = signer().unwrap().jwks().to_string();
    keys.add(jwks.as_bytes(), None).unwrap();
    assert!(keys.open(&parcels[0].body, Kind::Draft).is_ok());
    let as_answer = keys.open(&parcels[0].body, Kind::Answer);
    assert!(matches!(as_answer, Err(Flaw::Kind { .. })), "{as_answer:?}");
    let taken = o
        .desk
        .delivered(parcels[0].row, &Delivered::Taken, 0.5, NOW);
    assert_eq!(taken.unwrap(), Settled::Done);
    assert_eq!(o.state("R-1"), RequestState::Review);
}

#[test]
fn a_draft_that_the_portal_refuses_still_waits_for_a_person() {
    for refused in [Delivered::Gone, Delivered::Refused { why: "no".into() }] {
        let o = with(Drafts::Show);
        o.ask("R-1", certain);
        o.deliver(&refused, NOW);
        assert_eq!(o.state("R-1"), RequestState::Review);
    }
}

#[test]
fn nothing_is_shown_where_it_is_off() {
    let o = with(Drafts::Off);
    o.ask("R-1", certain);
    assert_eq!(o.parcels(NOW), []);
}

#[test]
fn a_click_at_the_portal_lets_it_leave_where_that_is_allowed() {
    let o = with(Drafts::Approve);
    o.ask("R-1", certain);
    let draft = o.parcels(NOW).remove(0);
    let heard = o
        .desk
        .event("itg", &decided(&draft.key, true), NOW)
        .unwrap();
    assert_eq!(heard, Heard::As(RequestState::Outbox));
    // The draft's parcel is on its way just now: nothing of another kind waits for it.
    let answers: Vec<Parcel> = o.parcels(NOW);
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(answers[0].kind, ParcelKind::Answer);
    assert_eq!(body(&answers[0])["produced_by"], "auto+approved");
    assert!(o.acts().contains(&"draft-decided".to_owned()));
}

#[test]
fn a_click_changes_nothing_where_it_is_only_shown_or_rejected_or_late() {
    let o = with(Drafts::Show);
    o.ask("R-1", certain);
    let draft = o.parcels(NOW).remove(0);
    o.desk
        .event("itg", &decided(&draft.key, true), NOW)
        .unwrap();
    assert_eq!(o.state("R-1"), RequestState::Review);

    let o = with(Drafts::Approve);
    o.ask("R-1", certain);
    let draft = o.parcels(NOW).remove(0);
    o.desk
        .event("itg", &decided(&draft.key, false), NOW)
        .unwrap();
    assert_eq!(o.state("R-1"), RequestState::Review);
    let note = o.case("R-1").line.note.unwrap();
    assert!(
        note.contains("rejected in the portal's console by mara"),
        "{note}"
    );
    // Another draft than the one that stands there.
    o.desk.event("itg", &decided("D-0", true), NOW).unwrap();
    assert_eq!(o.state("R-1"), RequestState::Review);
    assert_eq!(o.tally("draft-late"), 1);
    // Everything stands still.
    o.desk.halt(&person(), "trouble", NOW).unwrap();
    o.desk
        .event("itg", &decided(&draft.key, true), NOW)
        .unwrap();
    assert_eq!(o.state("R-1"), RequestState::Review);
}

#[test]
fn a_decision_here_takes_the_draft_back() {
    let o = with(Drafts::Approve);
    o.ask("R-1", certain);
    o.desk
        .decide(&key("R-1"), &person(), &Decision::Approve, NOW)
        .unwrap();
    let kinds: Vec<ParcelKind> = o.parcels(NOW).iter().map(|p| p.kind).collect();
    assert_eq!(kinds, [ParcelKind::Answer]);
}
