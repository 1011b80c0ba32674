//! Priority and rich call data: E1, E2, P9.

use super::*;

fn beside(ppt: &str, claim: &str) -> Call {
    call()
        .jose("\"shaken\"", &format!("\"{ppt}\""))
        .parameters(&PARAMETERS.replace("shaken", ppt))
        .with(|c| {
            c.claims = format!(
                r#"{{"dest":{{"tn":["12025550142"]}},"iat":{},"orig":{{"tn":"12025550123"}},{claim}}}"#,
                pki::NOW
            );
        })
}

fn rph(claim: &str) -> Call {
    beside("rph", claim).with(|c| c.settings.priority_signers = vec!["709J".into()])
}

#[test]
fn e1_claims_and_header_agree() {
    let ets = rph(r#""rph":{"auth":["ets.0","wps.1"]}"#);
    ets.clone()
        .other("Resource-Priority: WPS.1, ets.0, dsn.flash")
        .passes();
    ets.clone()
        .other("Resource-Priority: ets.0")
        .other("resource-priority: wps.1")
        .passes();
    ets.clone()
        .other("Resource-Priority: ets.0")
        .fails(Rule::E1M);
    ets.fails(Rule::E1M);
    for bad in [
        r#""rph":{"auth":"ets.0"}"#,
        r#""rph":{"auth":[]}"#,
        r#""rph":{"auth":[1]}"#,
        r#""rph":["ets.0"]"#,
        r#""x":1"#,
    ] {
        rph(bad).other("Resource-Priority: ets.0").fails(Rule::E1);
    }
}

#[test]
fn e1_a_call_back_from_an_emergency_centre_says_so_twice() {
    let back = rph(r#""rph":{"auth":["esnet.0"]},"sph":"psap-callback""#)
        .other("Resource-Priority: esnet.0");
    back.clone().other("Priority: PSAP-callback").passes();
    back.clone().other("Priority: urgent").fails(Rule::E1M);
    back.fails(Rule::E1M);
    rph(r#""rph":{"auth":["esnet.0"]},"sph":1"#)
        .other("Resource-Priority: esnet.0")
        .fails(Rule::E1);
}

#[test]
fn e1a_whether_a_signer_may_sign_for_priorities_is_known_from_a_list_alone() {
    beside("rph", r#""rph":{"auth":["ets.0"]}"#)
        .other("Resource-Priority: ets.0")
        .cannot_tell(Rule::E1A);
}

#[test]
fn e1_e2_neither_vouches_for_a_call() {
    for c in [
        rph(r#""rph":{"auth":["ets.0"]}"#).other("Resource-Priority: ets.0"),
        beside("rcd", r#""rcd":{"nam":"Example Dental"}"#),
    ] {
        assert_eq!(c.passes().validation, Validation::Passed);
        let v = c.judge(&c.invite());
        assert_eq!((v.best, v.validation()), (None, Validation::None));
        assert!(!v.is_unsigned());
        // Whatever it says, the SHAKEN header speaks for the call.
        let shaken = call();
        for ppt in ["\"shaken\"", "\"vesper\""] {
            let first = format!(
                "Identity: {}",
                c.clone().with(|c| c.key = pki::key(99)).identity()
            );
            let second = shaken.clone().jose("\"shaken\"", ppt);
            let second = second.parameters(";info=<https://cert.example.net/sp.pem>");
            let line = format!("Identity: {}", second.identity());
            let v = shaken.judge(&shaken.invite_with(&[&first, &line]));
            assert_eq!(v.best, Some(1));
        }
    }
}

const CARD: &str = r#"[ "vcard", [["fn", {}, "text", "Example Dental"], ["photo", {"b":1,"a":2}, "uri", "https://example.net/p.png"]] ]"#;

fn digest(algorithm: &'static ring::digest::Algorithm, text: &str) -> Vec<u8> {
    ring::digest::digest(algorithm, text.as_bytes())
        .as_ref()
        .to_vec()
}

#[test]
fn e2_digests_over_a_card_are_checked_in_its_one_written_form() {
    let plain = r#"["vcard",[["fn",{},"text","Example Dental"],["photo",{"a":2,"b":1},"uri","https://example.net/p.png"]]]"#;
    let with = |key: &str, digest: &str| {
        let rcdi = format!(r#""rcdi":{{"{key}":"{digest}"}}"#);
        beside(
            "rcd",
            &format!(r#""rcd":{{"jcd":{CARD},"nam":"x"}},{rcdi}"#),
        )
    };
    let sha256 = digest(&ring::digest::SHA256, plain);
    for text in [URL_SAFE_NO_PAD.encode(&sha256), STANDARD.encode(&sha256)] {
        with("/jcd", &format!("sha256-{text}")).passes();
        with("jcd", &format!("sha256-{text}")).finds(Rule::E2K);
    }
    let sha384 = STANDARD.encode(digest(&ring::digest::SHA384, plain));
    with("/jcd", &format!("sha384-{sha384}")).passes();
    let sha512 = STANDARD.encode(digest(&ring::digest::SHA512, plain));
    with("/jcd", &format!("sha512-{sha512}")).passes();
    let inner = digest(
        &ring::digest::SHA256,
        r#"["fn",{},"text","Example Dental"]"#,
    );
    with("/jcd/1/0", &format!("sha256-{}", STANDARD.encode(inner))).passes();
    for bad in [
        format!(
            "sha256-{}",
            STANDARD.encode(digest(&ring::digest::SHA256, CARD))
        ),
        format!("sha1-{}", STANDARD.encode(&sha256)),
        format!("sha384-{}", STANDARD.encode(&sha256)),
        "sha256-".to_owned(),
        "x".to_owned(),
    ] {
        with("/jcd", &bad).fails(Rule::E2D);
    }
    with("/jcd/7", &format!("sha256-{}", STANDARD.encode(&sha256))).fails(Rule::E2D);
    // A picture inside the card stands elsewhere.
    with(
        "/jcd/1/1/3",
        &format!("sha256-{}", STANDARD.encode(&sha256)),
    )
    .cannot_tell(Rule::E2C);
}

#[test]
fn e2_the_caller_is_named_and_references_are_covered() {
    beside(
        "rcd",
        r#""rcd":{"nam":"Example Dental","apn":"12025550100"}"#,
    )
    .passes();
    let icon = r#""rcd":{"nam":"x","icn":"https://example.net/i.png"}"#;
    let covered = format!(r#"{icon},"rcdi":{{"/icn":"sha256-{}"}}"#, "A".repeat(43));
    beside("rcd", &covered).cannot_tell(Rule::E2C);
    for bad in [
        r#""rcd":{"apn":"12025550100"}"#,
        r#""rcd":{"nam":1}"#,
        r#""rcd":"x""#,
        r#""rcd":{"nam":"x"},"rcdi":[]"#,
        r#""crn":"x""#,
    ] {
        beside("rcd", bad).fails(Rule::E2);
    }
    beside("rcd", icon).gives(&[Rule::E2], &[Rule::E2C], &[]);
}

#[test]
fn e2_a_shaken_token_may_carry_rich_call_data() {
    let with = |claim: &str| call().claims("\"attest\"", &format!("{claim},\"attest\""));
    with(r#""rcd":{"nam":"Example Dental"}"#).passes();
    // A picture that nobody fetched is no doubt about the calling number.
    with(&format!(
        r#""rcd":{{"nam":"x","icn":"https://example.net/i.png"}},"rcdi":{{"/icn":"sha256-{}"}}"#,
        "A".repeat(43)
    ))
    .passes();
    with(r#""rcd":{"apn":"1"}"#).fails(Rule::E2);
    with(r#""rcd":{"nam":"x","jcd":["a"]},"rcdi":{"/jcd":"sha256-AAAA"}"#).fails(Rule::E2D);
}

#[test]
fn p9_keys_of_the_media() {
    let body = |c: &Call, body: &str| {
        let text = String::from_utf8(c.invite()).unwrap();
        let text = text.replace(
            "Content-Length: 0\r\n\r\n",
            &format!("Content-Length: {}\r\n\r\n{body}", body.len()),
        );
        c.judge(text.as_bytes()).headers[0].clone()
    };
    let sdp = "v=0\r\nm=audio 1 UDP/TLS/RTP/SAVP 0\r\na=fingerprint:SHA-256 4A:AD:b9\r\n";
    let signed = call().claims(
        "\"attest\"",
        r#""mky":[{"alg":"sha-256","dig":"4AADB9"}],"attest""#,
    );
    assert!(body(&signed, sdp).passed.contains(Rule::P9));
    let v = body(&signed, &sdp.replace("b9", "b8"));
    assert!(v.findings.contains(Rule::P9));
    assert_eq!(v.validation, Validation::Passed, "SHAKEN does not use it");
    // Nothing offered, nothing to compare; nothing signed, nothing judged.
    assert!(!body(&signed, "v=0\r\n").passed.contains(Rule::P9));
    let plain = body(&call(), sdp);
    assert!(!plain.passed.contains(Rule::P9) && !plain.findings.contains(Rule::P9));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Signed by somebody who may sign, and so judged to the end.
    #[test]
    fn e1_e2_v1_hostile_claims_never_panic_and_never_vouch(
        ppt in prop_oneof![Just("div"), Just("div-o"), Just("rph"), Just("rcd")],
        name in prop_oneof![Just("div"), Just("opt"), Just("rph"), Just("sph"), Just("rcd"), Just("rcdi"), Just("mky")],
        value in r#"[\[\]{}:,"a1/~-]{0,40}|\{"(tn|uri|auth|nam|jcd|/jcd)":("[ -~&&[^"\\]]{0,20}"|\[[0-9,]{0,5}\])\}"#,
    ) {
        let c = beside(ppt, &format!("\"{name}\":{value}"));
        let shaken = call();
        let lines = [&shaken, &c].map(|h| format!("Identity: {}", h.identity()));
        let v = c.judge(&c.invite_with(&[&lines[1]]));
        prop_assert!(v.validation() != Validation::Passed, "{v:?}");
        let v = c.judge(&c.invite_with(&[&lines[0], &lines[1]]));
        prop_assert!(v.best == Some(0) || ppt == "div-o");
    }
}
