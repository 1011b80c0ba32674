use proptest::prelude::*;

use super::*;

/// RFC 8037, appendix A.1: the key of its examples, as PKCS#8.
const ED: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
";

fn ed() -> Signer {
    Signer::load(ED.as_bytes()).unwrap()
}

fn p256() -> Signer {
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
        .unwrap();
    let text = BASE64_STANDARD.encode(key);
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
    Signer::load(pem.as_bytes()).unwrap()
}

fn knows(signers: &[&Signer]) -> Verifier {
    let mut v = Verifier::default();
    for s in signers {
        v.add(s.jwks().to_string().as_bytes(), Some("EV-01"))
            .unwrap();
    }
    v
}

fn token(header: &Value, payload: &str) -> String {
    let part = |t: &str| BASE64_URL_SAFE_NO_PAD.encode(t);
    format!("{}.{}.", part(&header.to_string()), part(payload))
}

#[test]
fn the_key_of_rfc_8037_has_its_thumbprint() {
    // RFC 8037, appendix A.2 and A.3.
    let s = ed();
    assert_eq!(s.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    assert_eq!(s.jwk()["x"], "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
}

#[test]
fn what_is_signed_opens_and_is_the_object_without_its_signature() {
    for s in [ed(), p256()] {
        let value = json!({"id": "A-1", "n": 1.0, "list": [1, {"b": null}]});
        let signed = s.sign_value(Kind::Answer, &value).unwrap();
        let opened = knows(&[&s]).open(&signed.json, Kind::Answer).unwrap();
        assert_eq!(opened.payload, value.to_string().into_bytes());
        assert_eq!(opened.jws.as_ref(), signed.jws);
        assert_eq!(opened.provider.as_deref(), Some("EV-01"));
        let mut whole: Value = serde_json::from_slice(&signed.json).unwrap();
        assert_eq!(whole["jws"], signed.jws);
        whole.as_object_mut().unwrap().shift_remove("jws");
        assert_eq!(whole, value);
        assert_eq!(signed.digest().len(), 64);
    }
    assert_eq!(
        ed().sign_octets(Kind::Report, "{}".into()).unwrap().json[..8],
        *b"{\"jws\":\""
    );
}

#[test]
fn a_portal_may_write_it_anew_and_change_nothing() {
    let s = ed();
    let signed = s
        .sign_value(Kind::Answer, &json!({"a": 1.0, "b": 2}))
        .unwrap();
    let anew = format!("{{ \"b\": 2,\n \"jws\": \"{}\", \"a\": 1 }}", signed.jws);
    knows(&[&s]).open(anew.as_bytes(), Kind::Answer).unwrap();
    for (tampered, name) in [
        (format!(r#"{{"a":1,"b":3,"jws":"{}"}}"#, signed.jws), "b"),
        (format!(r#"{{"a":1,"jws":"{}"}}"#, signed.jws), "b"),
        (
            format!(r#"{{"a":1,"b":2,"c":0,"jws":"{}"}}"#, signed.jws),
            "c",
        ),
        (format!(r#"{{"a":"1","b":2,"jws":"{}"}}"#, signed.jws), "a"),
    ] {
        let flaw = knows(&[&s]).open(tampered.as_bytes(), Kind::Answer);
        assert_eq!(flaw, Err(Flaw::Tampered(name.into())));
    }
}

#[test]
fn large_whole_numbers_are_compared_to_the_last_digit() {
    let s = ed();
    let signed = s
        .sign_value(Kind::Answer, &json!({"n": 9_007_199_254_740_993_u64}))
        .unwrap();
    let other = format!(r#"{{"n":9007199254740992,"jws":"{}"}}"#, signed.jws);
    let flaw = knows(&[&s]).open(other.as_bytes(), Kind::Answer);
    assert_eq!(flaw, Err(Flaw::Tampered("n".into())));
}

#[test]
fn alg_none_and_its_kin_are_refused() {
    let s = ed();
    let v = knows(&[&s]);
    for alg in ["none", "None", "HS256", "RS256", "ES384", ""] {
        let header = json!({"alg": alg, "kid": s.kid(), "typ": "hop-answer+jws"});
        let jws = token(&header, r#"{"a":1}"#);
        assert_eq!(
            v.open_jws(&jws, Kind::Answer),
            Err(Flaw::Algorithm(alg.into()))
        );
    }
    // An algorithm that we take, and not the key's.
    let header = json!({"alg": "ES256", "kid": s.kid(), "typ": "hop-answer+jws"});
    let jws = token(&header, r#"{"a":1}"#) + "AAAA";
    assert_eq!(v.open_jws(&jws, Kind::Answer), Err(Flaw::Signature));
    let header = json!({"alg": "EdDSA", "kid": s.kid(), "typ": "hop-answer+jws", "crit": ["b64"], "b64": false});
    let jws = token(&header, "{}");
    assert!(matches!(
        v.open_jws(&jws, Kind::Answer),
        Err(Flaw::Malformed(_))
    ));
}

#[test]
fn a_foreign_key_and_a_name_that_is_not_the_keys_are_refused() {
    let (s, other) = (ed(), p256());
    let signed = s.sign_value(Kind::Answer, &json!({"a": 1})).unwrap();
    let flaw = knows(&[&other]).open(&signed.json, Kind::Answer);
    assert_eq!(flaw, Err(Flaw::UnknownKey(s.kid().into())));
    // The name of a known key over a signature by another one.
    let mut jwk = new_pair();
    jwk["kid"] = json!(s.kid());
    let mut v = Verifier::default();
    v.add(json!({"keys": [jwk]}).to_string().as_bytes(), None)
        .unwrap();
    assert_eq!(v.open(&signed.json, Kind::Answer), Err(Flaw::Signature));
    // With both under one name, the one that fits is found.
    v.add(s.jwks().to_string().as_bytes(), Some("EV-01"))
        .unwrap();
    let opened = v.open(&signed.json, Kind::Answer).unwrap();
    assert_eq!(opened.provider.as_deref(), Some("EV-01"));
}

fn new_pair() -> Value {
    let folder = tempfile::tempdir().unwrap();
    new_key(&folder.path().join("k")).unwrap().jwk().clone()
}

#[test]
fn a_signature_of_one_kind_is_none_of_another() {
    let s = ed();
    let signed = s.sign_value(Kind::Report, &json!({"a": 1})).unwrap();
    let flaw = knows(&[&s]).open(&signed.json, Kind::Answer).unwrap_err();
    assert!(matches!(flaw, Flaw::Kind { .. }), "{flaw}");
}

#[test]
fn what_is_no_object_or_signed_already_is_not_signed() {
    let s = ed();
    for text in ["[1]", "1", r#"{"jws":"x"}"#, "{", ""] {
        let e = s.sign_octets(Kind::Answer, text.to_owned());
        assert!(matches!(e, Err(SignError::NoObject)), "{text}");
    }
}

#[test]
fn a_new_key_is_its_owners_alone_and_never_written_over() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answer.pem");
    let made = new_key(&path).unwrap();
    let read = Signer::read(&path).unwrap();
    assert_eq!(made.kid(), read.kid());
    assert_eq!(format!("{read:?}"), format!("Signer({})", read.kid()));
    assert!(matches!(new_key(&path), Err(SignError::File(_))));
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    assert!(matches!(Signer::read(&path), Err(SignError::Open)));
}

#[test]
fn other_keys_are_refused() {
    for text in [
        "",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        &ED.replace("PRIVATE", "PUBLIC"),
    ] {
        assert!(
            matches!(Signer::load(text.as_bytes()), Err(SignError::Key)),
            "{text}"
        );
    }
}

#[test]
fn a_set_may_name_the_provider_of_each_key_but_not_against_the_callers_word() {
    let s = ed();
    let mut jwk = s.jwk().clone();
    jwk["provider"] = json!("NO-01");
    let set = json!({"keys": [jwk, {"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}).to_string();
    let signed = s.sign_value(Kind::Answer, &json!({"a": 1})).unwrap();
    let mut v = Verifier::default();
    assert_eq!(v.add(set.as_bytes(), None), Ok(1));
    let opened = v.open(&signed.json, Kind::Answer).unwrap();
    assert_eq!(opened.provider.as_deref(), Some("NO-01"));
    assert!(
        Verifier::default()
            .add(set.as_bytes(), Some("EV-01"))
            .is_err()
    );
    assert!(Verifier::default().add(b"[]", None).is_err());
    let document = json!({"provider_ids": ["x"], "jwks": s.jwks()}).to_string();
    assert_eq!(Verifier::default().add(document.as_bytes(), None), Ok(1));
}

proptest! {
    #[test]
    fn any_change_of_a_character_is_found(at in 0usize..400, by in 1u8..255) {
        let s = ed();
        let signed = s.sign_value(Kind::Answer, &json!({"id": "A-1", "resolution": "NOT_FOUND", "n": 7})).unwrap();
        let mut octets = signed.json.clone();
        let at = at % octets.len();
        octets[at] = octets[at].wrapping_add(by);
        let v = knows(&[&s]);
        if let Ok(opened) = v.open(&octets, Kind::Answer) {
            // A change that is none: only what is written another way.
            prop_assert_eq!(opened.jws.as_ref(), signed.jws.as_str());
        }
    }

    #[test]
    fn never_panics(text in "\\PC{0,60}", header in "\\{\"alg\":\"(EdDSA|none)\",\"kid\":\"[a-z]{0,3}\"\\}") {
        let v = knows(&[&ed()]);
        let _ = v.open(text.as_bytes(), Kind::Answer);
        let _ = v.open_jws(&text, Kind::Answer);
        let _ = v.open_jws(&format!("{}.{text}.{text}", BASE64_URL_SAFE_NO_PAD.encode(&header)), Kind::Answer);
        let _ = Verifier::default().add(text.as_bytes(), None);
    }
}
