//! Base PASSporTs and the compact form: G2, J5, J7; and tokens that RFCs print.

use super::*;

fn generic(call: Call) -> Call {
    call.with(|c| c.settings.profile = Profile::Generic)
}

fn base() -> Call {
    generic(call())
        .jose("\"ppt\":\"shaken\",", "")
        .parameters(";info=<https://cert.example.net/sp.pem>;alg=ES256")
        .with(|c| {
            c.claims = format!(
                r#"{{"dest":{{"tn":["12025550142"]}},"iat":{},"orig":{{"tn":"12025550123"}}}}"#,
                pki::NOW
            );
        })
}

fn compact(call: Call) -> Call {
    call.with(|c| {
        let token = c.token();
        c.token = Some(format!("..{}", token.rsplit_once('.').unwrap().1));
    })
}

const DATE: &str = "Date: Mon, 01 Jun 2026 12:00:00 GMT";

#[test]
fn j5_a_base_passport_counts_in_the_generic_profile_alone() {
    let v = base().passes();
    assert_eq!((v.kind, v.attest), (Kind::Base, None));
    let c = base();
    let v = c.judge(&c.invite());
    assert_eq!((v.best, v.validation()), (Some(0), Validation::Passed));
    // Its URIs are compared as such.
    let alice = base()
        .claims(
            "{\"tn\":\"12025550123\"}",
            "{\"uri\":\"sip:alice@example.net\"}",
        )
        .with(|c| c.from = "<sip:alice@EXAMPLE.net:5060>;tag=1".to_owned());
    alice.passes();
    alice
        .with(|c| c.from = "<sip:bob@example.net>;tag=1".to_owned())
        .fails(Rule::O1);
    // SHAKEN is judged as ever, and its rules are not relaxed.
    generic(call()).passes();
    generic(call())
        .claims("\"attest\":\"A\",", "")
        .fails(Rule::P6);
    let shaken = base().with(|c| c.settings.profile = Profile::Shaken);
    let v = shaken.verdict();
    assert!(v.failed.contains(Rule::J5) && v.failed.contains(Rule::P6));
}

#[test]
fn j7_a_compact_token_is_rebuilt_from_its_message() {
    let c = compact(base()).other(DATE);
    let v = c.passes();
    assert_eq!(v.orig.unwrap().as_str(), "12025550123");
    assert_eq!(v.iat, Some(pki::NOW));
    assert_eq!(v.digest, base().verdict().digest, "the same PASSporT");
    // The message is what was signed.
    c.clone()
        .with(|c| c.from = "<sip:+12025550124@example.net>;tag=1".to_owned())
        .fails(Rule::S2);
    c.clone()
        .other("P-Asserted-Identity: <tel:+12025550123>")
        .passes();
    c.with(|c| c.others.clear())
        .other("Date: Mon, 01 Jun 2026 12:00:01 GMT")
        .fails(Rule::S2);
    let alice = base()
        .claims(
            "{\"tn\":\"12025550123\"}",
            "{\"uri\":\"sip:alice@example.net\"}",
        )
        .with(|c| c.from = "<sip:alice@EXAMPLE.net:5060;user=x>;tag=1".to_owned());
    compact(alice).other(DATE).passes();
}

#[test]
fn j7_without_a_date_or_a_caller_nothing_is_rebuilt() {
    let c = compact(base());
    let v = c.fails(Rule::F1);
    assert!(!v.passed.contains(Rule::S2));
    assert_eq!(c.judge(&c.invite()).sip_code(), Some(403));
    c.clone()
        .other("Date: soon")
        .gives(&[Rule::F1], &[], &[Rule::F2]);
    // A date that is not fresh.
    let old = compact(base()).other(DATE).with(|c| {
        c.at = Timestamp::from_secs(pki::NOW + 100);
    });
    let v = old.gives(&[Rule::F1], &[], &[Rule::F2]);
    assert!(v.passed.contains(Rule::S2));
    c.other(DATE)
        .with(|c| c.from = "<sip:anonymous@anonymous.invalid>;tag=1".to_owned())
        .cannot_tell(Rule::O3);
}

#[test]
fn g2_compact_form_is_for_base_passports() {
    compact(generic(call())).other(DATE).fails(Rule::G2);
    compact(base().with(|c| c.settings.profile = Profile::Shaken))
        .other(DATE)
        .fails(Rule::G2);
    for ppt in ["div", "rcd", "rph", "div-o"] {
        let v = compact(generic(call()))
            .parameters(&PARAMETERS.replace("shaken", ppt))
            .other(DATE)
            .verdict();
        assert_eq!(v.decided_by, Some(Rule::G2), "{ppt}");
        assert!(!v.passed.contains(Rule::S2));
    }
    for garbage in ["..====", "..a", ".x.c2ln"] {
        let v = base()
            .with(|c| c.token = Some(garbage.to_owned()))
            .verdict();
        assert!(v.failed.contains(Rule::G1), "{garbage}");
    }
}

/// RFC 7515 A.3: the octets, key and signature that it prints.
#[test]
fn s2_the_example_of_rfc_7515_verifies() {
    let input = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let signature =
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    let [x, y] = [
        "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    ]
    .map(|p| URL_SAFE_NO_PAD.decode(p).unwrap());
    let key = [vec![4], x, y].concat();
    assert!(verifies(input, signature, &key));
    assert!(!verifies(&input.replacen('e', "f", 1), signature, &key));
}

fn verifies(input: &str, signature: &str, key: &[u8]) -> bool {
    let octets = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let digest = signature::InputDigest::of(input.as_bytes());
    let signed = signature::Signed::new(input.as_bytes(), digest, &octets).unwrap();
    SignatureMemo::none().check(&signed, key)
}

fn encoded(header: &str, claims: &str) -> String {
    [header, claims]
        .map(|p| URL_SAFE_NO_PAD.encode(p))
        .join(".")
}

const PRINTED_HEADER: &str =
    r#"{"alg":"ES256","typ":"passport","x5u":"https://cert.example.org/passport.cer"}"#;

/// RFC 8225 §7.1: the signature holds, and `iat` stands in quotes.
#[test]
fn p2_the_example_of_rfc_8225_has_a_good_signature_and_a_bad_iat() {
    let claims = r#"{"dest":{"uri":["sip:alice@example.com"]},"iat":"1443208345","orig":{"tn":"12155551212"}}"#;
    let signature =
        "rq3pjT1hoRwakEGjHCnWSwUnshd0-zJ6F1VOgFWSjHBr8Qjpjlk-cpFYpFYsojNCpTzO3QfPOlckGaS6hEck7w";
    let der = STANDARD
        .decode("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8HNbQd/TmvCKwPKHkMF9fScavGeH78YTU8qLS8I5HLHSSmlATLcslQMhNC/OhlWBYC626nIlo7XeebYS7Sb37g==")
        .unwrap();
    let input = encoded(PRINTED_HEADER, claims);
    assert!(verifies(&input, signature, &der[der.len() - 65..]));
    let c = base().with(|c| {
        c.token = Some(format!("{input}.{signature}"));
        c.parameters = ";info=<https://cert.example.org/passport.cer>".to_owned();
    });
    let v = c.verdict();
    assert!(v.failed.contains(Rule::P2) && v.passed.contains(Rule::J5));
}
