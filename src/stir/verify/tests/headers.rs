//! Finding Identity headers, and their grammar: H2 to H7, G1 to G9.

use super::*;

#[test]
fn h2_h4_compact_name_folding_and_case() {
    let c = call();
    let folded = c.identity().replace(';', "\r\n  ;").replace('=', " =\t");
    for line in [
        format!("y: {}", c.identity()),
        format!("IDENTITY : {}", c.identity()),
        format!("iDeNtItY:\r\n {folded}"),
    ] {
        let v = c.judge(&c.invite_with(&[&line]));
        assert_eq!(v.validation(), Validation::Passed, "{line}");
    }
}

#[test]
fn h3_values_joined_by_a_comma_are_two() {
    let c = call();
    let forged = c.clone().with(|c| c.key = pki::key(99));
    let line = format!("Identity: {},{}", forged.identity(), c.identity());
    let v = c.judge(&c.invite_with(&[&line]));
    assert_eq!(v.headers.len(), 2);
    assert!(v.headers.iter().all(|h| h.findings.contains(Rule::H3)));
    assert_eq!(v.headers[0].decided_by, Some(Rule::S2));
    assert_eq!((v.best, v.validation()), (Some(1), Validation::Passed));
}

#[test]
fn h4_every_cut_in_the_headers_is_undetermined_and_none_is_unsigned_or_failed() {
    let c = call().other("P-Asserted-Identity: <tel:+12025550123>");
    let whole = c.invite();
    let first_line = whole.iter().position(|b| *b == b'\n').unwrap();
    for end in first_line + 1..whole.len() - 1 {
        let v = c.judge(&whole[..end]);
        assert!(v.truncated, "cut at {end}");
        assert!(!v.is_unsigned());
        assert!(
            matches!(
                v.validation(),
                Validation::Undetermined | Validation::Passed
            ),
            "cut at {end}: {v:?}"
        );
        if v.headers.is_empty() {
            assert_eq!(v.decided_by(), Some(Rule::H4));
        }
    }
    let v = c.judge(&whole);
    assert!(!v.truncated && v.validation() == Validation::Passed);
}

#[test]
fn h4_an_identity_seen_whole_before_the_cut_is_judged() {
    let c = call();
    let first = format!("Identity: {}", c.identity());
    let text = format!(
        "INVITE {RURI} SIP/2.0\r\n{first}\r\nTo: {TO}\r\nFrom: {FROM}\r\nP-Asserted-Identity: <tel:+12025550123>\r\nVia: SIP/2.0/U"
    );
    let v = c.judge(text.as_bytes());
    assert!(v.truncated);
    assert_eq!(v.validation(), Validation::Passed);
    // Without an asserted number there may have been one behind the cut.
    let text = text.replace("P-Asserted-Identity: <tel:+12025550123>\r\n", "");
    let v = c.judge(text.as_bytes());
    assert_eq!(v.decided_by(), Some(Rule::O1));
    assert_eq!(v.validation(), Validation::Undetermined);
    // A bad signature is bad whatever came behind, but a further header there may have been a good one (rule M1).
    let text = text.replace(
        &c.identity(),
        &c.clone().with(|c| c.key = pki::key(99)).identity(),
    );
    let v = c.judge(text.as_bytes());
    assert_eq!(v.best().and_then(|h| h.decided_by), Some(Rule::S2));
    assert_eq!(v.validation(), Validation::Undetermined);
    assert_eq!(v.decided_by(), Some(Rule::H4));
}

#[test]
fn h4_a_cut_in_the_body_changes_nothing() {
    let c = call();
    let text = String::from_utf8(c.invite())
        .unwrap()
        .replace("Content-Length: 0", "Content-Length: 500")
        + "v=0\r\no=";
    let v = c.judge(text.as_bytes());
    assert!(!v.truncated && v.validation() == Validation::Passed);
}

#[test]
fn h5_the_legacy_form_is_set_aside() {
    let c = call()
        .with(|c| c.token = Some("\"c2lnbmF0dXJl\"".to_owned()))
        .parameters("")
        .other("Identity-Info: <https://cert.example.net/old.cer>;alg=rsa-sha1");
    c.gives(&[Rule::H5], &[], &[]);
    let both = call().other("Identity-Info: <https://cert.example.net/old.cer>;alg=rsa-sha1");
    both.passes();
}

#[test]
fn h6_no_identity_is_unsigned() {
    let c = call();
    let v = c.judge(&c.invite_with(&[]));
    assert!(v.is_unsigned());
    assert_eq!((v.validation(), v.sip_code()), (Validation::None, None));
}

#[test]
fn h7_large_values_and_many_headers() {
    let c = call();
    let huge = format!("Identity: {};x={}", c.identity(), "a".repeat(MAX_VALUE));
    let v = c.judge(&c.invite_with(&[&huge]));
    assert_eq!(v.decided_by(), Some(Rule::H7));
    let good = format!("Identity: {}", c.identity());
    let v = c.judge(&c.invite_with(&vec![good.as_str(); 40]));
    assert_eq!(v.headers.len(), MAX_IDENTITIES + 1);
    assert_eq!(v.headers[16].decided_by, Some(Rule::H7));
    assert_eq!(v.validation(), Validation::Passed);
    // An rcd with a jCard is several KB and must not suffer.
    call()
        .claims(
            "\"attest\"",
            &format!("\"rcd\":{{\"nam\":\"{}\"}},\"attest\"", "x".repeat(5000)),
        )
        .passes();
}

#[test]
fn g1_padding_other_alphabet_blanks_and_parts() {
    let good = call().token();
    let (front, sig) = good.rsplit_once('.').unwrap();
    for bad in [
        format!("{good}=="),
        format!("{front}.{}+", &sig[..85]),
        format!("{front}.{}/", &sig[..85]),
        format!("{front}. {sig}"),
        good.replacen('.', ".\r\n ", 1),
        front.to_owned(),
        format!("{good}.x"),
        format!("{good}xxx"),
        "garbage".to_owned(),
        String::new(),
    ] {
        let v = call().with(|c| c.token = Some(bad.clone())).verdict();
        assert_eq!(v.decided_by, Some(Rule::G1), "{bad}");
        assert!(!v.passed.contains(Rule::S2) && !v.failed.contains(Rule::S2));
    }
}

#[test]
fn g1_what_can_be_read_of_a_garbled_token_is_still_told() {
    let v = call().with(|c| c.token = Some(c.token() + "=")).verdict();
    assert_eq!(v.x5u.as_deref(), Some(URL));
    assert_eq!(v.attest, Some(Attestation::A));
}

#[test]
fn g1s_slack_bits_are_a_finding_and_the_signature_is_over_what_was_received() {
    // Eighty-six characters hold 516 bits: four are slack.
    let c = call();
    let token = c.token();
    let last = token.chars().last().unwrap();
    let next = char::from(u8::try_from(last).unwrap() + 1);
    let slack = format!("{}{next}", &token[..token.len() - 1]);
    let v = c.clone().with(|c| c.token = Some(slack)).finds(Rule::G1S);
    assert_eq!(v.digest, c.verdict().digest, "replay key is the same");
}

#[test]
fn g2_compact_form_fails_as_shaken() {
    let c = call().with(|c| {
        let token = c.token();
        c.token = Some(format!("..{}", token.rsplit_once('.').unwrap().1));
    });
    let v = c.fails(Rule::G2);
    assert_eq!(v.x5u.as_deref(), Some(URL), "from the parameter");
    assert_eq!(c.judge(&c.invite()).sip_code(), Some(438));
}

#[test]
fn g3_g9_info() {
    let missing = ";alg=ES256;ppt=shaken";
    let v = call().parameters(missing).fails(Rule::G3);
    assert_eq!(v.x5u.as_deref(), Some(URL), "from the token");
    call().parameters("").fails(Rule::G3);
    call()
        .parameters(";info=https://cert.example.net/sp.pem;ppt=shaken")
        .fails(Rule::G3);
}

#[test]
fn g4_duplicate_parameters_and_odd_urls() {
    call()
        .parameters(&format!("{PARAMETERS};ppt=shaken"))
        .fails(Rule::G4);
    let odd = "https://cert.example.net/a=b.pem";
    call()
        .jose(URL, odd)
        .parameters(&format!(";info=<{odd}>"))
        .with(|c| c.certificate_at = Some(odd))
        .passes();
}

#[test]
fn g5_alg_parameter() {
    call()
        .parameters(";info=<https://cert.example.net/sp.pem>")
        .passes();
    call()
        .parameters(&PARAMETERS.replace("ES256", "\"es256\""))
        .passes();
    let c = call().parameters(&PARAMETERS.replace("ES256", "RS256"));
    c.fails(Rule::G5);
    assert_eq!(c.judge(&c.invite()).sip_code(), Some(437));
}

#[test]
fn g6_ppt_parameter() {
    for same in ["shaken", "\"shaken\"", "SHAKEN"] {
        call()
            .parameters(&PARAMETERS.replace("shaken", same))
            .passes();
    }
    call()
        .parameters(&PARAMETERS.replace("shaken", "div"))
        .fails(Rule::G6);
    call()
        .jose("\"shaken\"", "\"div\"")
        .gives(&[Rule::G6, Rule::J5], &[], &[]);
}

#[test]
fn g7_e5_unknown_kinds_are_set_aside_and_others_count() {
    let other = call()
        .jose("\"shaken\"", "\"vesper\"")
        .parameters(&PARAMETERS.replace("shaken", "vesper"));
    let v = other.gives(&[Rule::G7], &[], &[]);
    assert_eq!(v.ppt.as_deref(), Some("vesper"));
    assert_eq!(v.decided_by, Some(Rule::G7));
    let alone = other.judge(&other.invite());
    assert_eq!(
        (alone.validation(), alone.sip_code()),
        (Validation::None, None)
    );
    assert!(!alone.is_unsigned());
    // Token alone, parameter alone.
    call()
        .jose("\"shaken\"", "\"msg\"")
        .parameters(";info=<https://cert.example.net/sp.pem>")
        .gives(&[Rule::G7], &[], &[]);
    call()
        .with(|c| c.token = Some("..c2ln".to_owned()))
        .parameters(&PARAMETERS.replace("shaken", "rsp"))
        .gives(&[Rule::G7], &[], &[]);
    let c = call();
    let lines = [
        format!("Identity: {}", other.identity()),
        format!("Identity: {}", c.identity()),
    ];
    let v = c.judge(&c.invite_with(&[&lines[0], &lines[1]]));
    assert_eq!((v.best, v.validation()), (Some(1), Validation::Passed));
}

#[test]
fn g8_info_and_x5u_are_one_string() {
    let other = PARAMETERS.replace("/sp.pem", "/SP.pem");
    call().parameters(&other).fails(Rule::G8);
}
