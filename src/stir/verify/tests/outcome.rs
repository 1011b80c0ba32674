//! What a verdict comes to: verstat by both mappings, Reason values, policy, clock.

use super::*;

/// A failure, or its absence, and both columns of the table of the reference: strict, by attestation.
#[test]
fn m3_verstat_by_both_mappings() {
    const PASSED: &str = "TN-Validation-Passed";
    const FAILED: &str = "TN-Validation-Failed";
    const NONE: &str = "No-TN-Validation";
    type Row = (
        &'static str,
        Call,
        Option<u16>,
        Validation,
        &'static str,
        &'static str,
    );
    let rows: [Row; 12] = [
        ("A", call(), None, Validation::Passed, PASSED, PASSED),
        (
            "B",
            call().claims("\"A\"", "\"B\""),
            None,
            Validation::Passed,
            PASSED,
            NONE,
        ),
        (
            "C",
            call().claims("\"A\"", "\"C\""),
            None,
            Validation::Passed,
            PASSED,
            NONE,
        ),
        (
            "bad signature",
            call().with(|c| c.key = pki::key(99)),
            Some(438),
            Validation::Failed,
            FAILED,
            FAILED,
        ),
        (
            "untrusted",
            call().with(|c| c.leaf = pki::leaf(&pki::other_root(), "709J")),
            Some(437),
            Validation::Failed,
            FAILED,
            FAILED,
        ),
        (
            "stale",
            call().with(|c| c.at = Timestamp::from_secs(pki::NOW + 100)),
            Some(403),
            Validation::Failed,
            NONE,
            FAILED,
        ),
        (
            "mismatch",
            call().claims("12025550142", "12025550150"),
            Some(438),
            Validation::Failed,
            NONE,
            FAILED,
        ),
        (
            "malformed",
            call().with(|c| c.token = Some("x".to_owned())),
            Some(438),
            Validation::Failed,
            NONE,
            FAILED,
        ),
        (
            "no info",
            call().parameters(""),
            Some(436),
            Validation::Failed,
            NONE,
            FAILED,
        ),
        (
            "typ",
            call().jose("\"passport\"", "\"JWT\""),
            Some(437),
            Validation::Failed,
            NONE,
            FAILED,
        ),
        (
            "unreachable",
            call().with(|c| c.certificate_at = None),
            Some(436),
            Validation::Undetermined,
            NONE,
            FAILED,
        ),
        (
            "unknown kind",
            call()
                .jose("\"shaken\"", "\"vesper\"")
                .parameters(&PARAMETERS.replace("shaken", "vesper")),
            None,
            Validation::None,
            NONE,
            NONE,
        ),
    ];
    for (name, call, code, validation, strict, attest_a) in rows {
        let v = call.judge(&call.invite());
        assert_eq!(v.validation(), validation, "{name}");
        assert_eq!(v.sip_code(), code, "{name}");
        assert_eq!(v.verstat_by(VerstatMapping::Strict), strict, "{name}");
        assert_eq!(v.verstat_by(VerstatMapping::AttestA), attest_a, "{name}");
    }
}

#[test]
fn h6_an_identity_header_is_required_by_policy_alone() {
    let c = call();
    let without = c.invite_with(&[]);
    let v = c.judge(&without);
    assert_eq!((v.sip_code(), v.validation()), (None, Validation::None));
    let strict = c.with(|c| c.settings.require_identity = true);
    let v = strict.judge(&without);
    assert!(v.is_unsigned());
    assert_eq!(
        (v.sip_code(), v.validation()),
        (Some(428), Validation::None)
    );
    for mapping in [VerstatMapping::Strict, VerstatMapping::AttestA] {
        assert_eq!(v.verstat_by(mapping), "No-TN-Validation");
    }
    // Signed, or cut where one may have stood: not for us to say.
    assert_eq!(strict.judge(&strict.invite()).sip_code(), None);
    assert_eq!(strict.judge(&without[..without.len() - 4]).sip_code(), None);
}

#[test]
fn f3_a_bad_clock_leaves_freshness_open() {
    let with = |error| call().with(|c| c.settings.clock_error = Duration::from_millis(error));
    with(1_000).passes();
    let v = with(1_001).cannot_tell(Rule::F3);
    assert!(!v.passed.contains(Rule::F1) && v.passed.contains(Rule::S2));
    let stale = with(2_000).with(|c| c.at = Timestamp::from_secs(pki::NOW + 500));
    stale.cannot_tell(Rule::F3);
}

#[test]
fn m2_a_reason_for_each_header_that_failed() {
    let reasons = |c: &Call, lines: &[&str]| {
        let bytes = c.invite_with(lines);
        let message = Message::scan(&bytes).unwrap();
        let verdict = c.judge(&bytes);
        reason::values(&verdict, identities(&message))
    };
    let forged = call().with(|c| c.key = pki::key(99));
    let good = format!("Identity: {}", call().identity());
    let bad = format!("Identity: {}", forged.identity());
    let garbage = "Identity: \"x\";info=<https://cert.example.net/sp.pem>".to_owned();
    let c = call();
    assert!(reasons(&c, &[&good]).is_empty());
    assert_eq!(
        reasons(&c, &[&bad]),
        ["STIR ;cause=438 ;text=\"Invalid Identity Header\""]
    );
    let token = forged.token();
    let signature = token.rsplit_once('.').unwrap().1;
    assert_eq!(
        reasons(&c, &[&good, &bad, &garbage]),
        [
            format!("STIR ;cause=438 ;text=\"Invalid Identity Header\" ;ppi=\"..{signature}\""),
            "STIR ;cause=438 ;text=\"Invalid Identity Header\"".to_owned(),
        ]
    );
    let unknown = call().with(|c| c.certificate_at = None);
    assert_eq!(
        reasons(&unknown, &[&good]),
        ["STIR ;cause=436 ;text=\"Bad Identity Info\""]
    );
    let stale = call().with(|c| c.at = Timestamp::from_secs(pki::NOW + 100));
    assert_eq!(
        reasons(&stale, &[&good]),
        ["STIR ;cause=403 ;text=\"Stale Date\""]
    );
}

#[test]
fn m2_no_signature_ends_its_quotes() {
    let c = call();
    let odd = "Identity: ..a\"b;ppt=shaken".to_owned();
    let bytes = c.invite_with(&[&odd, &odd]);
    let message = Message::scan(&bytes).unwrap();
    let found = reason::values(&c.judge(&bytes), identities(&message));
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|r| !r.contains("ppi")), "{found:?}");
}

#[test]
fn o2_d2_the_matching_party_is_recorded() {
    let v = call().passes();
    assert_eq!(
        (v.orig_match, v.dest_match),
        (Some(OrigMatch::From), Some(DestMatch::To))
    );
    let v = call()
        .other("P-Asserted-Identity: <tel:+12025550123>")
        .passes();
    assert_eq!(v.orig_match, Some(OrigMatch::Asserted));
    assert!(v.passed.contains(Rule::O2));
    let v = call()
        .with(|c| c.to = "<sip:+18005550142@example.com>".to_owned())
        .finds(Rule::D2);
    assert_eq!(v.dest_match, Some(DestMatch::RequestUri));
    let v = call()
        .claims("12025550142", "12025550150")
        .claims("12025550123", "12025550150")
        .gives(&[Rule::O1, Rule::D1], &[], &[]);
    assert_eq!(
        (v.orig_match, v.dest_match),
        (Some(OrigMatch::Neither), Some(DestMatch::Neither))
    );
}
