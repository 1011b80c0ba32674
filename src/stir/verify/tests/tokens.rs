//! JOSE header and claims: J1 to J6, P1 to P8.

use super::*;

#[test]
fn j1_p1_unreadable_parts_get_no_signature_check() {
    let twice = call().jose("\"alg\"", "\"alg\":\"none\",\"alg\"");
    let v = twice.fails(Rule::J1);
    assert!(!v.passed.contains(Rule::S2));
    let v = call().with(|c| c.jose = "[]".to_owned()).verdict();
    assert_eq!(v.decided_by, Some(Rule::J1));
    let v = call()
        .claims("\"attest\":\"A\"", "\"attest\":\"C\",\"attest\":\"A\"")
        .fails(Rule::P1);
    assert_eq!((v.attest, v.passed.contains(Rule::S2)), (None, false));
    call()
        .with(|c| c.claims = "hello".to_owned())
        .fails(Rule::P1);
}

#[test]
fn j2_typ() {
    for typ in ["\"JWT\"", "\"Passport\"", "7"] {
        call().jose("\"passport\"", typ).fails(Rule::J2);
    }
    call().jose("\"typ\":\"passport\",", "").fails(Rule::J2);
}

#[test]
fn j3_another_algorithm_is_never_tried() {
    for alg in ["none", "HS256", "RS256", "ES384", "es256"] {
        let v = call().jose("ES256", alg).fails(Rule::J3);
        assert!(!v.passed.contains(Rule::S2));
    }
}

#[test]
fn j4_x5u_is_the_only_source_of_keys() {
    for other in ["\"kid\":", "\"jku\":", "\"x5c\":"] {
        let v = call().jose("\"x5u\":", other).fails(Rule::J4);
        assert!(!v.passed.contains(Rule::X2) && !v.passed.contains(Rule::S2));
    }
    let v = call().jose(&format!("\"{URL}\""), "5").fails(Rule::J4);
    assert_eq!(
        v.x5u.as_deref(),
        Some(URL),
        "info stands in, for the record"
    );
    call().jose("{", "{\"jwk\":{\"kty\":\"EC\"},").passes();
}

#[test]
fn j5_a_base_passport_is_not_shaken() {
    call()
        .jose("\"ppt\":\"shaken\",", "")
        .parameters(";info=<https://cert.example.net/sp.pem>")
        .fails(Rule::J5);
}

#[test]
fn j6_crit() {
    call()
        .jose("{", "{\"crit\":[\"b64\"],\"b64\":false,")
        .fails(Rule::J6);
}

#[test]
fn s2_p8_key_order_blanks_and_further_claims_are_covered_as_received() {
    call()
        .with(|c| {
            c.jose = format!(
                "{{ \"x5u\" : \"{URL}\",\n\"typ\":\"passport\", \"ppt\":\"shaken\",\"alg\":\"ES256\", \"note\":[1] }}"
            );
        })
        .claims("{\"attest\"", " { \"mky\":[{\"alg\":\"sha-256\",\"dig\":\"00\"}], \"attest\" ")
        .passes();
}

#[test]
fn p2_iat() {
    call().claims("1780315200", "1780315200.9").passes();
    for bad in ["\"1780315200\"", "-5", "9007199254740992", "null"] {
        let v = call().claims("1780315200", bad).fails(Rule::P2);
        assert_eq!(v.iat, None);
        assert!(v.passed.contains(Rule::S2) && !v.passed.contains(Rule::F1));
    }
    call().claims("\"iat\":1780315200,", "").fails(Rule::P2);
}

#[test]
fn p3_orig() {
    for bad in [
        "{\"uri\":\"sip:12025550123@example.net\"}",
        "[\"12025550123\"]",
        "{}",
    ] {
        let v = call()
            .claims("{\"tn\":\"12025550123\"}", bad)
            .fails(Rule::P3);
        assert!(!v.passed.contains(Rule::O1) && v.orig.is_none());
    }
}

#[test]
fn p4_dest() {
    for bad in ["{\"tn\":\"12025550142\"}", "{\"tn\":[]}", "\"12025550142\""] {
        call()
            .claims("{\"tn\":[\"12025550142\"]}", bad)
            .fails(Rule::P4);
    }
}

#[test]
fn p5_signed_numbers_in_other_forms_match_and_are_named() {
    for odd in ["+12025550123", "1-202-555-0123", "2025550123"] {
        let c = call().claims("\"12025550123\"", &format!("\"{odd}\""));
        let v = c.verdict();
        assert_eq!(v.validation, Validation::Passed, "{odd}");
        assert_eq!(v.orig.unwrap().as_str(), "12025550123");
        assert_eq!(v.findings.contains(Rule::P5), odd.len() > 10);
    }
    call()
        .claims("[\"12025550142\"]", "[\"+12025550142\"]")
        .finds(Rule::P5);
}

#[test]
fn p6_attest_is_one_capital_letter() {
    for level in ["B", "C"] {
        let v = call().claims("\"A\"", &format!("\"{level}\"")).passes();
        assert_eq!(v.attest.unwrap().label(), level);
    }
    for bad in ["\"ABC\"", "\"a\"", "\"\"", "\"D\"", "\"A \"", "1"] {
        let v = call().claims("\"A\"", bad).fails(Rule::P6);
        assert_eq!(v.attest, None);
    }
    call().claims("\"attest\":\"A\",", "").fails(Rule::P6);
}

#[test]
fn p7_origid() {
    let id = "\"123e4567-e89b-12d3-a456-426655440000\"";
    call()
        .claims(&format!(",\"origid\":{id}"), "")
        .fails(Rule::P7);
    call().claims(id, "\"\"").fails(Rule::P7);
    call().claims(id, "5").fails(Rule::P7);
    let v = call().claims(id, "\"gateway-7\"").finds(Rule::P7U);
    assert_eq!(v.origid.as_deref(), Some("gateway-7"));
}

#[test]
fn what_the_record_keeps_of_a_token_is_bounded() {
    let long = "\u{e9}".repeat(3000);
    let v = call()
        .claims("123e4567-e89b-12d3-a456-426655440000", &long)
        .finds(Rule::P7U);
    assert_eq!(v.origid.map(|o| o.len()), Some(128));
    let v = call()
        .jose("\"shaken\"", &format!("\"{long}\""))
        .parameters(";info=<https://cert.example.net/sp.pem>")
        .gives(&[Rule::G7], &[], &[]);
    assert_eq!(v.ppt.map(|p| p.len()), Some(32));
    let url = format!("https://cert.example.net/{}", "a".repeat(3000));
    let v = call()
        .jose(URL, &url)
        .parameters(&PARAMETERS.replace(URL, &url))
        .gives(&[Rule::X1], &[Rule::X2], &[]);
    assert_eq!(missing_certificate(&v), None);
}
