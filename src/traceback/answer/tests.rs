use super::resolution::Names;
use super::*;
use crate::traceback::sample::{peers, request};

fn settings() -> TracebackSettings {
    TracebackSettings {
        provider: Some(Provider {
            name: "Evergreen Voice".into(),
            portal_id: Some("EV-01".into()),
        }),
        ..TracebackSettings::default()
    }
}

fn raw(answer: &HopAnswer) -> RawAnswer {
    serde_json::from_str(&serde_json::to_string(answer).unwrap()).unwrap()
}

fn north() -> Party {
    Party::of(peers().peer("north").unwrap())
}

/// A draft whose window was seen whole.
fn seen(config: u32) -> RawAnswer {
    let answer = HopAnswer::unseen(&request(), Resolution::Ambiguous, &settings(), config);
    let mut draft = raw(&answer);
    draft.evidence = Some(serde_json::json!({"posterior": 0.5, "windows": [{"coverage": 1.0}]}));
    draft
}

/// An answer of a kind, as the matcher or a person makes it.
fn made(resolution: Resolution) -> RawAnswer {
    if resolution == Resolution::Pending {
        return raw(&HopAnswer::pending(&request(), &settings(), 7));
    }
    let draft = seen(7);
    let edit = Edit {
        resolution: Some(resolution),
        party: (resolution.names() == Names::Always).then(north),
        comment: Some("As our people found.".to_owned()),
        ..Edit::default()
    };
    draft.edited(&edit, "traceback desk").unwrap()
}

#[test]
fn ids_are_uuids_of_version_five_and_stay_the_same() {
    let id = answer_id("HR-1", 1);
    assert_eq!(id, answer_id("HR-1", 1));
    assert_ne!(id, answer_id("HR-1", 2));
    let bytes = id.as_bytes();
    assert_eq!((id.len(), bytes[14], bytes[8]), (36, b'5', b'-'));
    assert!(matches!(bytes[19], b'8' | b'9' | b'a' | b'b'), "{id}");
}

#[test]
fn resolutions_are_written_as_in_the_protocol() {
    for r in Resolution::ALL {
        assert_eq!(
            serde_json::to_string(&r).unwrap(),
            format!("\"{}\"", r.label())
        );
        assert_eq!(Resolution::from_label(r.label()), Some(r));
    }
    assert_eq!(Resolution::from_label("GUESS"), None);
}

#[test]
fn each_of_the_seventeen_is_made_written_and_read_back() {
    for r in Resolution::ALL {
        let answer = made(r);
        let json = serde_json::to_value(&answer).unwrap();
        assert_eq!(json["resolution"], r.label());
        let (named, other) = if r.names_originator() {
            ("originator", "upstream")
        } else {
            ("upstream", "originator")
        };
        let names = r.names() == Names::Always;
        assert_eq!(json.get(named).is_some(), names, "{r:?}");
        assert!(json.get(other).is_none(), "{r:?}");
        if names {
            assert_eq!(json[named]["portal_id"], "NO-01");
        }
        if r != Resolution::Pending {
            assert_eq!(json["produced_by"], "human");
            assert_eq!(json["approved_by"], "traceback desk");
        }
        assert_eq!(json["provider"]["portal_id"], "EV-01");
        assert_eq!(
            (&json["case_id"], &json["config_version"]),
            (&"C-1".into(), &"00000007".into())
        );
        assert_eq!(json["profile"], "normal");
        assert!(!json.to_string().contains("null"));
        assert_eq!(serde_json::from_value::<RawAnswer>(json).unwrap(), answer);
    }
}

#[test]
fn each_has_its_place_on_a_form_with_four_choices() {
    use FourWay as Form;
    use Resolution as R;
    let table = [
        (R::UpstreamDomestic, Some(Form::Provider)),
        (R::UpstreamForeign, Some(Form::Provider)),
        (R::OriginEndCustomer, Some(Form::Origin)),
        (R::OriginNonVspPlatform, Some(Form::Origin)),
        (R::DivertedByOurSubscriber, Some(Form::Provider)),
        (R::BlockedHere, Some(Form::Origin)),
        (R::NotFound, Some(Form::NotFound)),
        (R::CaptureGap, Some(Form::NotFound)),
        (R::OutOfRetention, Some(Form::NotFound)),
        (R::NotOurCustomerOfDownstream, Some(Form::NotFound)),
        (R::Ambiguous, Some(Form::Question)),
        (R::InsufficientRequest, Some(Form::Question)),
        (R::TestOrInternal, Some(Form::Origin)),
        (R::LegalRestriction, None),
        (R::LegalHold, None),
        (R::Refused, None),
        (R::Pending, None),
    ];
    assert_eq!(table.map(|(r, _)| r), Resolution::ALL);
    for (r, choice) in table {
        assert_eq!(r.four_way(), choice, "{r:?}");
        // Whoever is named on the form is named in the answer.
        if choice == Some(Form::Provider) {
            assert!(r.names() == Names::Always && !r.names_originator(), "{r:?}");
        }
        // What is handed in without a name says why in words.
        if choice == Some(Form::NotFound) {
            assert!(r.comment().is_some(), "{r:?}");
        }
    }
}

#[test]
fn what_the_matcher_writes_reads_back_octet_by_octet() {
    for answer in [
        HopAnswer::unseen(&request(), Resolution::OutOfRetention, &settings(), 1),
        HopAnswer::pending(&request(), &settings(), 1),
    ] {
        let text = serde_json::to_string(&answer).unwrap();
        assert_eq!(serde_json::to_string(&raw(&answer)).unwrap(), text);
    }
}

#[test]
fn an_edit_that_contradicts_itself_is_refused() {
    let draft = seen(1);
    let edit = |resolution, party, comment: Option<&str>| {
        let edit = Edit {
            resolution: Some(resolution),
            party,
            comment: comment.map(str::to_owned),
            ..Edit::default()
        };
        draft.edited(&edit, "desk").map(|a| a.resolution)
    };
    use Resolution::*;
    assert_eq!(
        edit(UpstreamDomestic, None, None),
        Err(EditError::NobodyNamed(UpstreamDomestic))
    );
    assert_eq!(
        edit(NotFound, Some(north()), None),
        Err(EditError::SomebodyNamed(NotFound))
    );
    assert_eq!(
        edit(Refused, None, Some(" ")),
        Err(EditError::NoComment(Refused))
    );
    assert_eq!(edit(Pending, None, None), Err(EditError::Receipt));
    let mut blind = draft.clone();
    blind.evidence = Some(serde_json::json!({"windows": [{"coverage": 0.99}]}));
    let not_found = Edit {
        resolution: Some(NotFound),
        ..Edit::default()
    };
    assert_eq!(blind.edited(&not_found, "desk"), Err(EditError::NotSeen));
    let long = "x".repeat(raw::MAX_COMMENT + 1);
    assert_eq!(
        edit(NotFound, None, Some(&long)),
        Err(EditError::TooLong(4097))
    );
    assert_eq!(edit(BlockedHere, Some(north()), None), Ok(BlockedHere));
}

#[test]
fn evidence_never_vouches_for_what_a_person_put_in_its_place() {
    let mut draft = raw(&HopAnswer::unseen(
        &request(),
        Resolution::UpstreamDomestic,
        &settings(),
        1,
    ));
    draft.upstream = Some(north());
    draft.evidence = Some(
        serde_json::json!({"class": "E1", "posterior": 0.999, "leg": {"at": "2026-11-24T09:30:07Z", "clock_error_ms": 50.0}, "windows": [{"coverage": 1.0}]}),
    );
    assert_eq!(draft.leg(), Some((crate::traceback::sample::T0, 0.05)));
    let words = Edit {
        comment: Some("Customer warned.".to_owned()),
        ..Edit::default()
    };
    let same = draft.edited(&words, "desk").unwrap();
    assert_eq!(
        (same.evidence.as_ref(), same.upstream.as_ref()),
        (draft.evidence.as_ref(), Some(&north()))
    );
    let other = Edit {
        party: Some(Party::of(peers().peer("south").unwrap())),
        ..Edit::default()
    };
    let other = draft.edited(&other, "desk").unwrap();
    assert_eq!(
        other.upstream.as_ref().unwrap().portal_id.as_deref(),
        Some("SO-01")
    );
    assert_eq!(
        other.evidence,
        Some(serde_json::json!({"windows": [{"coverage": 1.0}]}))
    );
    assert_eq!(other.leg(), None);
    let gone = Edit {
        resolution: Some(Resolution::NotFound),
        ..Edit::default()
    };
    let gone = draft.edited(&gone, "desk").unwrap();
    assert_eq!(gone.upstream, None);
    assert!(gone.comment.unwrap().starts_with("No such call"));
}

#[test]
fn an_answer_that_replaces_another_says_so() {
    let sent = made(Resolution::NotFound).stamped(41, crate::traceback::sample::T0);
    assert_eq!(sent.audit, Some(AuditPlace { index: 41 }));
    let next = made(Resolution::UpstreamDomestic).replacing(&sent);
    assert_eq!(
        (next.revision, next.supersedes.as_deref()),
        (2, Some(sent.id.as_str()))
    );
    assert_eq!(next.id, answer_id("HR-1", 2));
    assert_eq!((next.audit, next.answered_at), (None, None));
}

#[test]
fn approval_tells_the_matcher_from_a_person() {
    let draft = raw(&HopAnswer::unseen(
        &request(),
        Resolution::NotFound,
        &settings(),
        1,
    ));
    assert_eq!(draft.approved("desk").produced_by, ProducedBy::AutoApproved);
    assert_eq!(
        made(Resolution::NotFound).approved("desk").produced_by,
        ProducedBy::Human
    );
}

#[test]
fn members_that_are_not_known_stay() {
    let mut json = serde_json::to_value(made(Resolution::NotFound)).unwrap();
    json["x-later"] = serde_json::json!([1]);
    let read: RawAnswer = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), json);
}
