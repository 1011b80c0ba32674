use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::engine::mirror::ClientCertificate;
use crate::portal::docket::testing::{docket, now, signer};
use crate::proof::sign::Kind;

fn who() -> Who {
    Who::Terminal("op".into())
}

#[test]
fn one_id_is_one_providers() {
    let (_dir, docket) = docket();
    let first = Card {
        ocns: vec!["7077".into()],
        rmd: Some("RMD0001".into()),
        ..Card::new("EB-07", "Eastbridge Telecom")
    };
    docket.add_provider(&who(), &first, now()).unwrap();
    let again = docket.add_provider(&who(), &first, now()).unwrap_err();
    assert!(again.to_string().contains("already"), "{again}");
    for taken in ["eb-07", "7077", "rmd0001"] {
        let other = Card {
            ocns: vec![taken.into()],
            ..Card::new("WB-01", "Westbridge")
        };
        let why = docket.add_provider(&who(), &other, now()).unwrap_err();
        assert!(why.to_string().contains("is an id of EB-07"), "{why}");
    }
    // Nothing is there by halves.
    assert!(matches!(
        docket.provider("WB-01"),
        Err(DocketError::Absent(_))
    ));
    assert_eq!(
        docket.provider_named("7077").unwrap().as_deref(),
        Some("EB-07")
    );
    assert_eq!(docket.provider("EB-07").unwrap().card, first);
    assert_eq!(docket.providers().unwrap().len(), 1);
    let moved = Card {
        ocns: vec!["7078".into()],
        ..first
    };
    docket.change_provider(&who(), &moved, now()).unwrap();
    assert_eq!(docket.provider_named("7077").unwrap(), None);
    assert_eq!(docket.provider("EB-07").unwrap().card, moved);
}

#[test]
fn a_retired_key_checks_what_came_before_and_nothing_new() {
    let (_dir, docket) = docket();
    docket
        .add_provider(&who(), &Card::new("EV-01", "Example Voice"), now())
        .unwrap();
    let (old, new) = (signer(1), signer(2));
    let set = json!({ "jwks": { "keys": [old.jwk(), { "kty": "RSA", "n": "x", "e": "AQAB" }] } });
    let set = set.to_string();
    assert_eq!(
        docket
            .add_keys(&who(), "EV-01", set.as_bytes(), now())
            .unwrap(),
        1
    );
    assert_eq!(
        docket
            .add_keys(&who(), "EV-01", set.as_bytes(), now())
            .unwrap(),
        0
    );
    let signed = old.sign_value(Kind::Report, &json!({ "a": 1 })).unwrap();
    assert!(
        docket
            .verifier_of("EV-01")
            .unwrap()
            .open(&signed.json, Kind::Report)
            .is_ok()
    );
    let added = docket.add_keys(&who(), "EV-01", new.jwk().to_string().as_bytes(), now());
    assert_eq!(added.unwrap(), 1);
    docket
        .retire_key(&who(), "EV-01", old.kid(), now())
        .unwrap();
    assert!(
        docket
            .verifier_of("EV-01")
            .unwrap()
            .open(&signed.json, Kind::Report)
            .is_err()
    );
    let ever = docket.verifier_of_all_times("EV-01").unwrap();
    assert!(ever.open(&signed.json, Kind::Report).is_ok());
    // What the provider still publishes does not bring it back.
    docket
        .add_keys(&who(), "EV-01", set.as_bytes(), now())
        .unwrap();
    assert!(
        docket
            .verifier_of("EV-01")
            .unwrap()
            .open(&signed.json, Kind::Report)
            .is_err()
    );
    let retired = docket.retire_key(&who(), "EV-01", old.kid(), now());
    assert!(matches!(retired, Err(DocketError::Absent("key"))));
}

#[test]
fn a_set_that_is_none_or_private_is_refused() {
    let (_dir, docket) = docket();
    docket
        .add_provider(&who(), &Card::new("EV-01", "Example Voice"), now())
        .unwrap();
    let mut private = signer(1).jwk().clone();
    private["d"] = json!("AAAA");
    for (set, says) in [
        ("[]".to_owned(), "JWK set"),
        ("no".to_owned(), "JWK set"),
        (json!({ "keys": [] }).to_string(), "a key of"),
        (
            json!({ "keys": [{ "kty": "RSA" }] }).to_string(),
            "a key of",
        ),
        (json!({ "keys": [private] }).to_string(), "private"),
    ] {
        let why = docket
            .add_keys(&who(), "EV-01", set.as_bytes(), now())
            .unwrap_err();
        assert!(why.to_string().contains(says), "{set}: {why}");
    }
    let mut other = signer(2).jwk().clone();
    other["kid"] = signer(1).jwk()["kid"].clone();
    docket
        .add_keys(
            &who(),
            "EV-01",
            signer(1).jwks().to_string().as_bytes(),
            now(),
        )
        .unwrap();
    let set = json!({ "keys": [other] }).to_string();
    let why = docket
        .add_keys(&who(), "EV-01", set.as_bytes(), now())
        .unwrap_err();
    assert!(why.to_string().contains("another name"), "{why}");
    let nobody = docket.add_keys(&who(), "XX", set.as_bytes(), now());
    assert!(matches!(nobody, Err(DocketError::Absent("provider"))));
}

#[test]
fn a_machine_is_known_by_its_token_and_by_the_certificate_that_it_is_bound_to() {
    let (_dir, docket) = docket();
    let shown = |name: &str| ClientCertificate {
        names: vec![name.into()],
        fingerprint: "ab01".into(),
    };
    let card = |id: &str, certificate: Option<&str>| Card {
        certificate: certificate.map(Into::into),
        ..Card::new(id, id)
    };
    docket
        .add_provider(&who(), &card("A", None), now())
        .unwrap();
    docket
        .add_provider(&who(), &card("B", Some("b.example.net")), now())
        .unwrap();
    docket
        .add_provider(&who(), &card("C", Some("SHA256:AB:01")), now())
        .unwrap();
    let taken = docket.add_provider(&who(), &card("D", Some("sha256:ab01")), now());
    assert!(taken.unwrap_err().to_string().contains("certificate"));
    let machine = |token: Option<&str>, name: Option<&str>| {
        let shown = name.map(shown);
        docket.machine(token, shown.as_ref()).unwrap()
    };
    let a = docket.new_token(&who(), "A", now()).unwrap();
    assert_eq!(machine(Some(&a), None).as_deref(), Some("A"));
    assert_eq!(machine(Some("thp_x"), None), None);
    assert_eq!(machine(None, None), None);
    // By its certificate alone, as long as it has no token; then by both.
    assert_eq!(machine(None, Some("x")).as_deref(), Some("C"));
    // Two providers' certificate is nobody's.
    assert_eq!(machine(None, Some("B.example.net")), None);
    let b = docket.new_token(&who(), "B", now()).unwrap();
    assert_eq!(machine(Some(&b), None), None);
    assert_eq!(machine(Some(&b), Some("other")), None);
    assert_eq!(
        machine(Some(&b), Some("B.example.net")).as_deref(),
        Some("B")
    );
    assert_eq!(machine(None, Some("B.example.net")).as_deref(), Some("C"));
    // Another token takes its place, and a suspended provider has none.
    let next = docket.new_token(&who(), "A", now()).unwrap();
    assert_eq!(machine(Some(&a), None), None);
    assert_eq!(machine(Some(&next), None).as_deref(), Some("A"));
    docket.suspend_provider(&who(), "A", true, now()).unwrap();
    assert_eq!(machine(Some(&next), None), None);
    docket.suspend_provider(&who(), "A", false, now()).unwrap();
    assert_eq!(machine(Some(&next), None).as_deref(), Some("A"));
    assert!(docket.new_token(&who(), "X", now()).is_err());
}

#[test]
fn a_directory_goes_out_and_comes_in_whole() {
    let (_dir, one) = docket();
    let card = Card {
        push_url: Some("https://ev.example.net/v1/hop-requests".into()),
        contact: Contact {
            mail: Some("trace@ev.example.net".into()),
            ..Contact::default()
        },
        ..Card::new("EV-01", "Example Voice")
    };
    one.add_provider(&who(), &card, now()).unwrap();
    one.add_provider(&who(), &Card::new("EB-07", "Eastbridge"), now())
        .unwrap();
    one.add_keys(
        &who(),
        "EV-01",
        signer(1).jwks().to_string().as_bytes(),
        now(),
    )
    .unwrap();
    one.new_token(&who(), "EV-01", now()).unwrap();
    let text = serde_json::to_string(&one.export_directory().unwrap()).unwrap();
    assert!(!text.contains("token"), "{text}");
    let read: Directory = serde_json::from_str(&text).unwrap();
    let (_dir, two) = docket();
    let done = two.import_directory(&who(), &read, now()).unwrap();
    assert_eq!(
        done,
        Imported {
            added: 2,
            changed: 0,
            keys: 1
        }
    );
    let done = two.import_directory(&who(), &read, now()).unwrap();
    assert_eq!(done, Imported::default());
    assert_eq!(two.export_directory().unwrap(), read);
    // One that is wrong keeps all others out.
    let mut wrong = read;
    for (n, entry) in wrong.providers.iter_mut().enumerate() {
        entry.card.id = ["NEW", "a b"][n].into();
        entry.card.ocns.clear();
    }
    let why = two.import_directory(&who(), &wrong, now()).unwrap_err();
    assert!(why.to_string().contains("a b: id"), "{why}");
    assert!(two.provider("NEW").is_err());
}

/// A name for a test's provider that an answer brought.
#[test]
fn one_that_only_an_answer_named_becomes_listed() {
    let (_dir, docket) = docket();
    docket
        .write(now(), |w| {
            w.tx.execute(
                "INSERT INTO provider (id, name, listed, created, changed) VALUES ('N', 'New', 0, 1, 1)",
                [],
            )?;
            Ok(())
        })
        .unwrap();
    assert!(docket.export_directory().unwrap().providers.is_empty());
    docket
        .add_provider(&who(), &Card::new("N", "New Telecom"), now())
        .unwrap();
    let there = docket.provider("N").unwrap();
    assert!(there.listed && there.active && !there.has_token);
    assert_eq!(there.card.name, Arc::from("New Telecom"));
}

/// An answer names somebody by a code that nobody has; once the directory knows it the case goes on.
#[test]
fn a_case_that_waited_for_a_provider_goes_on_when_it_is_listed() {
    use crate::portal::docket::{Actor, Handed};
    use crate::portal::word::Role;
    use crate::traceback::answer::answer_id;
    let (_dir, docket) = docket();
    docket
        .add_provider(&who(), &Card::new("A", "Alpha"), now())
        .unwrap();
    docket
        .add_keys(&who(), "A", signer(1).jwk().to_string().as_bytes(), now())
        .unwrap();
    let handed = Handed {
        called: "+12025550123".into(),
        time: now().minus(std::time::Duration::from_secs(600)).to_string(),
        provider: "A".into(),
        ..Handed::default()
    };
    let actor = Actor {
        who: who(),
        role: Role::Analyst,
        organisation: "portal".into(),
        provider: None,
    };
    let case = docket.submit(&actor, &handed, now()).unwrap().case;
    let question = docket.open_questions("A", 0).unwrap().entries.remove(0);
    let asked: serde_json::Value = serde_json::from_slice(&question).unwrap();
    let hop = asked["id"].as_str().unwrap();
    let answer = json!({
        "id": answer_id(hop, 1), "request_id": hop, "case_id": asked["case_id"], "hop_no": asked["hop_no"],
        "request_sha256": crate::traceback::request::sha256_hex(&question), "revision": 1,
        "provider": { "name": "Alpha", "portal_id": "A" }, "resolution": "UPSTREAM_DOMESTIC",
        "upstream": { "name": "Beta", "ocn": "70b7", "country": "US", "gateway": false },
        "produced_by": "auto", "matcher_version": "2.1",
    });
    let signed = signer(1).sign_value(Kind::Answer, &answer).unwrap();
    let id = answer["id"].as_str().unwrap();
    docket.answer("A", hop, id, &signed.json, now()).unwrap();
    assert_eq!(docket.traceback(&case, None).unwrap().case.state, "stuck");
    let card = Card {
        ocns: vec!["70B7".into()],
        ..Card::new("BT-01", "Beta")
    };
    docket.add_provider(&who(), &card, now()).unwrap();
    let found = docket.traceback(&case, None).unwrap();
    assert_eq!(found.case.state, "open", "{found:#?}");
    assert_eq!(found.path.len(), 2);
    assert_eq!(found.path[1].provider, "Beta");
    assert_eq!(docket.open_questions("BT-01", 0).unwrap().entries.len(), 1);
}
