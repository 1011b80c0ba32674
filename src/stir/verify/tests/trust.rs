//! Certificates, revocation and signatures: X1 to X12, X15, R2 to R7, L3, S1, S2, Y1.

use super::*;

#[test]
fn x1_a_url_that_is_not_https_fails_and_the_rest_is_judged() {
    let url = "http://cert.example.net/sp.pem";
    let v = call()
        .jose(URL, url)
        .parameters(&PARAMETERS.replace(URL, url))
        .with(|c| c.certificate_at = Some("http://cert.example.net/sp.pem"))
        .fails(Rule::X1);
    assert!(v.passed.contains(Rule::S2));
}

#[test]
fn x2_an_unknown_certificate_is_undetermined_and_asked_for_only_by_sane_calls() {
    let unknown = call().with(|c| c.certificate_at = None);
    let v = unknown.cannot_tell(Rule::X2);
    assert_eq!(missing_certificate(&v).as_deref(), Some(URL));
    assert!(!v.passed.contains(Rule::S2) && !v.failed.contains(Rule::S2));
    let stale = unknown
        .clone()
        .with(|c| c.at = Timestamp::from_secs(pki::NOW + 100));
    let v = stale.gives(&[Rule::F1], &[Rule::X2], &[]);
    assert_eq!(missing_certificate(&v), None);
    assert_eq!(missing_certificate(&call().verdict()), None);
    let similar = call().with(|c| c.certificate_at = Some("https://CERT.example.net/sp.pem"));
    similar.cannot_tell(Rule::X2);
}

#[test]
fn x3_an_authority_ahead_of_its_leaf_is_named_as_what_is_wrong() {
    let ca = pki::intermediate(&pki::root(), "Example Issuing CA", 3);
    let c = call().with(|c| {
        c.extras.push(pki::leaf(&ca, "709J").build());
        c.leaf = ca.builder.clone();
    });
    let v = c.verdict();
    assert!(v.failed.contains(Rule::X9) && v.failed.contains(Rule::S2));
    assert_eq!(
        c.note(Rule::X9),
        "failed: the first certificate is an authority's; the leaf must come first"
    );
}

#[test]
fn n12_a_fetched_certificate_is_doubted_when_its_content_alone_disagrees() {
    use crate::base::digest::Digest128;
    use crate::stir::credential::Mark;
    let doubted = |c: &Call, fetched: bool| {
        let mut credentials = Credentials::default();
        let trust = TrustStore::new(vec![pki::root().certificate()], None);
        let bundle = pki::pem(&[&pki::leaf(&pki::root(), "709J").build()]);
        let credential = Arc::new(Credential::prepare(&bundle, &trust));
        if fetched {
            credentials.insert_fetched(URL, credential, Mark::default());
        } else {
            credentials.insert(URL, credential);
        }
        let invite = c.invite();
        let message = Message::scan(&invite).unwrap();
        let verdict = verify_call_at(&message, c.at, &credentials, &VerifySettings::default());
        wanted_certificates(&verdict, &credentials).to_vec()
    };
    let bundle = pki::pem(&[&pki::leaf(&pki::root(), "709J").build()]);
    let want = [Want::Doubted(URL.into(), Digest128::of(&bundle))];
    assert_eq!(doubted(&call(), true), []);
    let foreign = call().with(|c| c.key = pki::key(7));
    assert_eq!(doubted(&foreign, true), want);
    assert_eq!(
        doubted(&foreign, false),
        [],
        "the operator's own file is not doubted"
    );
    let late = call().with(|c| c.at = Timestamp::from_secs(pki::TO + 1));
    assert_eq!(doubted(&late, true), [], "stale as well");
}

#[test]
fn s3_a_call_that_passed_wants_nothing_and_each_url_is_wanted_once() {
    let c = call().with(|c| c.certificate_at = None);
    let invite = c.invite();
    let message = Message::scan(&invite).unwrap();
    let none = Credentials::default();
    let settings = VerifySettings::default();
    let mut verdict = verify_call_at(&message, c.at, &none, &settings);
    let again = verdict.headers[0].clone();
    verdict.headers.push(again);
    assert_eq!(
        wanted_certificates(&verdict, &none).to_vec(),
        [Want::Missing(URL.into())]
    );
    verdict.headers[1].validation = Validation::Passed;
    verdict.best = Some(1);
    assert!(wanted_certificates(&verdict, &none).is_empty());
}

#[test]
fn x4_over_an_intermediate_that_came_along() {
    let ca = pki::intermediate(&pki::root(), "Example Issuing CA", 3);
    let c = call().with(|c| c.leaf = pki::leaf(&ca, "709J"));
    c.fails(Rule::X4);
    assert_eq!(c.judge(&c.invite()).verstat(), "TN-Validation-Failed");
    c.with(|c| c.extras.push(ca.der)).passes();
}

#[test]
fn x4e_at_iat_and_at_capture() {
    let (iat, at) = (pki::NOW, pki::NOW + 1);
    let valid = |from, to| call().with(|c| c.leaf = c.leaf.clone().valid(from, to));
    valid(iat, at).passes();
    valid(iat + 1, at + 9).fails(Rule::X4E);
    valid(iat - 9, at - 1).fails(Rule::X4E);
    let short = pki::intermediate_with(&pki::root(), "Short CA", 3, |b| b.valid(iat - 9, at - 1));
    call()
        .with(|c| {
            c.leaf = pki::leaf(&short, "709J");
            c.extras.push(short.der.clone());
        })
        .fails(Rule::X4E);
}

#[test]
fn x9_x10_x12_authority() {
    let entry = |tag: u8, inner: Vec<u8>| pki::seq(&[pki::tlv(tag, &inner)]);
    let with = |list: &[u8]| call().with(|c| c.leaf = c.leaf.clone().tn_auth_list(list));
    let v = with(b"\x30\x06\x80\x04709J").fails(Rule::X9);
    assert_eq!(v.spc, None);
    let one = |n: &str| entry(0xa2, pki::tlv(0x16, n.as_bytes()));
    let v = with(&one("12025550123")).passes();
    assert_eq!(v.spc, None);
    with(&one("12025550124")).fails(Rule::X10);
    let v = with(&entry(0xa0, pki::tlv(0x16, b"8888"))).finds(Rule::X12);
    assert_eq!(v.spc.as_deref(), Some("8888"));
    let v = with(&entry(0xa0, pki::tlv(0x16, b"709J"))).passes();
    assert_eq!(v.spc.as_deref(), Some("709J"));
}

#[test]
fn x1i_a_host_that_is_an_address_is_a_finding() {
    const AT: &str = "https://192.0.2.1/sp.pem";
    call()
        .jose(URL, AT)
        .parameters(&PARAMETERS.replace(URL, AT))
        .with(|c| c.certificate_at = Some(AT))
        .finds(Rule::X1I);
}

#[test]
fn x5_under_an_authority_with_a_key_that_ring_has_not() {
    let c = call().with(|c| {
        c.leaf = pki::leaf(&pki::root_with_key(pki::Key::P521), "709J");
        c.trust = |_| {
            let odd = pki::root_with_key(pki::Key::P521);
            TrustStore::new(vec![odd.certificate()], None)
        };
    });
    let v = c.gives(&[], &[], &[Rule::X15, Rule::R5]);
    assert!(v.passed.contains(Rule::X4));
    assert_eq!(
        c.note(Rule::X15),
        "finding: unusual-signature unusual-authority-key"
    );
}

#[test]
fn x15_oddities_are_one_finding_however_many_there_are() {
    let odd = |c: &mut Call| c.leaf = c.leaf.clone().without("2.5.29.14").without("2.5.29.35");
    let c = call().with(odd);
    c.finds(Rule::X15);
    assert_eq!(
        c.note(Rule::X15),
        "finding: no-subject-key-id no-authority-key-id"
    );
}

#[test]
fn l3_after_the_end_of_the_list_trust_is_undetermined_where_that_is_asked_for() {
    let ending = |trust| call().with(|c| c.trust = trust);
    ending(|t| t.ending(pki::NOW + 1)).passes();
    let c = ending(|t| t.ending(pki::NOW));
    c.cannot_tell(Rule::X4);
    assert_eq!(
        c.note(Rule::X4),
        "undetermined: the list of authorities ended at 2026-06-01T12:00:00Z"
    );
    // A stranger may have been listed since: not found out either.
    let stranger = c.with(|c| c.leaf = pki::leaf(&pki::other_root(), "709J"));
    stranger.cannot_tell(Rule::X4);
}

#[test]
fn r3_revoked_before_the_call_and_after_it() {
    let at = pki::NOW + 1;
    let revoked = |serial: u8, when: i64| {
        call().with(|c| {
            let entry = pki::certificate_issuer(&pki::root().name());
            c.crl = Some(CrlBuilder::new(vec![(vec![serial], when, vec![entry])]));
        })
    };
    let v = revoked(0x11, at - 500).fails(Rule::R3);
    assert!(v.passed.contains(Rule::S2));
    revoked(0x11, at).fails(Rule::R3);
    let v = revoked(0x11, at + 1).finds(Rule::R4);
    assert!(v.passed.contains(Rule::R3), "validly signed then");
    revoked(0x12, at - 500).passes();
    // The intermediate (rule R6).
    let ca = pki::intermediate_with(&pki::root(), "Example Issuing CA", 3, |b| b.serial(&[0x77]));
    revoked(0x77, at - 500)
        .with(|c| {
            c.leaf = pki::leaf(&ca, "709J");
            c.extras.push(ca.der.clone());
        })
        .fails(Rule::R3);
}

#[test]
fn r4_a_later_revocation_says_since_when_the_key_was_not_to_be_relied_on() {
    let at = pki::NOW + 1;
    let later = |since: i64| {
        call().with(|c| {
            let reason = ("2.5.29.21", false, vec![0x0a, 1, 1]);
            let time = time::OffsetDateTime::from_unix_timestamp(since).unwrap();
            let format =
                time::macros::format_description!("[year][month][day][hour][minute][second]Z");
            let time = pki::tlv(0x18, time.format(&format).unwrap().as_bytes());
            let entry = vec![
                pki::certificate_issuer(&pki::root().name()),
                reason,
                ("2.5.29.24", false, time),
            ];
            c.crl = Some(CrlBuilder::new(vec![(vec![0x11], at + 60, entry)]));
        })
    };
    let c = later(at);
    c.finds(Rule::R4);
    assert_eq!(
        c.note(Rule::R4),
        "finding: revoked 2026-06-01T12:01:01Z, reason 1; the key is not to be relied on since 2026-06-01T12:00:01Z, before the call"
    );
    assert!(later(at + 1).note(Rule::R4).ends_with(", after it"));
}

#[test]
fn r4_a_hold_counts_while_it_lasts_and_its_removal_takes_it_back() {
    let at = pki::NOW + 1;
    let reason = |n: u8| ("2.5.29.21", false, vec![0x0a, 1, n]);
    let list = |reasons: &[u8]| {
        let entries = reasons.iter().map(|n| {
            let issuer = pki::certificate_issuer(&pki::root().name());
            (vec![0x11], at - 500, vec![issuer, reason(*n)])
        });
        let entries = entries.collect();
        call().with(|c| c.crl = Some(CrlBuilder::new(entries)))
    };
    let held = list(&[6]);
    held.fails(Rule::R3);
    assert!(held.note(Rule::R3).contains("reason 6 (on hold)"));
    list(&[6, 8]).passes();
    list(&[1, 8]).fails(Rule::R3);
}

#[test]
fn r2_a_list_that_a_certificate_does_not_name_says_nothing_of_it() {
    let elsewhere = "https://other-pa.example/crl";
    let at = |urls: &[&str], issuer: Option<&[u8]>| {
        call().with(|c| c.leaf = c.leaf.clone().revocation_point(urls, issuer))
    };
    let signer = pki::list_signer(41, 0x02).name();
    let other = pki::name(&[("C", "US"), ("CN", "Other CRL")]);
    at(&[pki::CRL_URL], Some(&signer)).passes();
    at(&[elsewhere, pki::CRL_URL], Some(&other)).passes();
    at(&[elsewhere], Some(&signer)).passes();
    let stranger = at(&[elsewhere], Some(&other));
    stranger.finds(Rule::R5);
    stranger
        .clone()
        .with(|c| c.trust = |t| t.with_crl_aliases(["https://other-pa.example/crl".into()]))
        .passes();
    // A list that does not say where it is published.
    let nowhere = |c: Call| {
        c.with(|c| {
            let mut list = CrlBuilder::new(vec![]);
            list.extensions[1].2 = pki::seq(&[pki::tlv(0x84, &[0xff])]);
            c.crl = Some(list);
        })
    };
    nowhere(at(&[elsewhere], None)).finds(Rule::X15);
    nowhere(at(&[elsewhere], Some(&signer))).passes();
    nowhere(stranger.clone()).finds(Rule::R5);
    // Named on it all the same, it is revoked.
    let named = stranger.with(|c| {
        let entry = pki::certificate_issuer(&pki::root().name());
        c.crl = Some(CrlBuilder::new(vec![(
            vec![0x11],
            pki::NOW - 500,
            vec![entry],
        )]));
    });
    named.gives(&[Rule::R3], &[], &[Rule::R5]);
    // Without a word about lists it goes with the national one.
    let silent = call().with(|c| c.leaf = c.leaf.clone().without("2.5.29.31"));
    silent.finds(Rule::X15);
}

/// A list of another country, with an entry for the tests' leaf.
fn other_crl() -> Crl {
    let governor = pki::other_root();
    let b = pki::leaf(&governor, "x")
        .usage(0x02)
        .subject_name(pki::name(&[("CN", "Other CRL")]));
    let signer = pki::Issuer::new(b, pki::key(44));
    let entry = pki::certificate_issuer(&pki::root().name());
    let mut list = CrlBuilder::new(vec![(vec![0x11], pki::NOW - 500, vec![entry])]);
    list.extensions[1].2 = pki::idp_at("https://other-pa.example/crl");
    let signer_pem = pki::pem(&[&signer.der]);
    Crl::verify(
        &list.build(&signer),
        &signer_pem,
        &pki::pem(&[&governor.der]),
    )
    .unwrap()
}

#[test]
fn r7_another_countrys_list_speaks_for_those_that_name_it_alone() {
    let with_other = call().with(|c| c.trust = |t| t.with_other_crl(other_crl()));
    with_other.passes();
    let theirs = with_other.with(|c| {
        let leaf = c.leaf.clone();
        c.leaf = leaf.revocation_point(&["https://other-pa.example/crl"], None);
    });
    theirs.gives(&[Rule::R3], &[], &[Rule::X15]);
    let good = theirs.with(|c| c.leaf = c.leaf.clone().serial(&[0x12]));
    good.finds(Rule::X15);
    good.with(|c| c.trust = |t| t)
        .gives(&[], &[], &[Rule::X15, Rule::R5]);
}

#[test]
fn r5_what_an_unknown_revocation_means_is_policy() {
    let none = |policy| {
        call().with(|c| {
            c.crl = None;
            c.policy = policy;
        })
    };
    none(CrlPolicy::Prefer).finds(Rule::R5);
    none(CrlPolicy::Require).cannot_tell(Rule::R5);
    let off = none(CrlPolicy::Off).passes();
    assert!(!off.passed.contains(Rule::R5) && !off.passed.contains(Rule::R3));
    let revoked = |policy| {
        call().with(|c| {
            let entry = pki::certificate_issuer(&pki::root().name());
            c.crl = Some(CrlBuilder::new(vec![(
                vec![0x11],
                pki::NOW - 500,
                vec![entry],
            )]));
            c.policy = policy;
        })
    };
    revoked(CrlPolicy::Require).fails(Rule::R3);
    revoked(CrlPolicy::Prefer).fails(Rule::R3);
    revoked(CrlPolicy::Off).passes();
    call().with(|c| c.policy = CrlPolicy::Require).passes();
}

#[test]
fn r5_without_a_current_list_revocation_is_unknown_and_fails_nothing() {
    let v = call().with(|c| c.crl = None).finds(Rule::R5);
    assert!(!v.passed.contains(Rule::R3));
    let list = |this_update: i64, next_update: Option<i64>| {
        call().with(|c| {
            c.crl = Some(CrlBuilder {
                this_update,
                next_update,
                ..CrlBuilder::new(vec![])
            })
        })
    };
    list(pki::NOW - 500, Some(pki::NOW)).finds(Rule::R5);
    list(pki::NOW - 500, None).finds(Rule::R5);
    // A list made after the call still knows certificates that had not ended.
    list(pki::NOW + 5000, Some(pki::NOW + 9000)).passes();
    list(pki::NOW + 5000, Some(pki::NOW + 9000))
        .with(|c| c.leaf = c.leaf.clone().valid(pki::FROM, pki::NOW + 4000))
        .finds(Rule::R5);
    // And a stale list that names the certificate is believed.
    let stale = list(pki::NOW - 500, Some(pki::NOW)).with(|c| {
        let entry = pki::certificate_issuer(&pki::root().name());
        if let Some(crl) = &mut c.crl {
            crl.entries.push((vec![0x11], pki::NOW - 600, vec![entry]));
        }
    });
    stale.gives(&[Rule::R3], &[], &[Rule::R5]);
}

#[test]
fn s1_der_short_long_zero_and_too_large() {
    let token = call().token();
    let input = token.rsplit_once('.').unwrap().0.as_bytes();
    let good = good_signature();
    for bad in [
        pki::leaf_key().sign_der(input),
        good[1..].to_vec(),
        good[..63].to_vec(),
        [&good[..], &[0]].concat(),
        [&[0; 32], &good[32..]].concat(),
        [&good[..32], &[0; 32]].concat(),
        [&[0xff; 32], &good[32..]].concat(),
        [0; 64].to_vec(),
        vec![],
    ] {
        let v = with_signature(&bad).fails(Rule::S1);
        assert!(!v.passed.contains(Rule::S2));
    }
}

#[test]
fn s2_another_key_and_a_changed_octet_fail() {
    let c = call().with(|c| c.key = pki::key(99));
    let v = c.fails(Rule::S2);
    assert_eq!(v.attest, Some(Attestation::A), "told, though worth nothing");
    let call_verdict = c.judge(&c.invite());
    assert_eq!(call_verdict.attest(), None);
    assert_eq!(call_verdict.verstat(), "TN-Validation-Failed");
    let token = call().token();
    let (head, rest) = token.split_once('.').unwrap();
    let (_, sig) = rest.split_once('.').unwrap();
    let upgraded = URL_SAFE_NO_PAD.encode(CLAIMS.replace("\"A\"", "\"B\""));
    call()
        .with(|c| c.token = Some(format!("{head}.{upgraded}.{sig}")))
        .fails(Rule::S2);
}

#[test]
fn y1_the_other_signature_of_the_pair_has_the_same_digest() {
    let good = good_signature();
    let other = [&good[..32], &super::signature::tests::negate(&good[32..])].concat();
    assert_ne!(good, other);
    let (a, b) = (call().passes(), with_signature(&other).passes());
    assert_eq!(a.digest, b.digest);
    assert!(a.digest.is_some());
}

/// RFC 8225 §7.1: the key of its appendix, and `iat` in quotes, which the errata forbid.
#[test]
fn rfc_8225_example_verifies_and_its_quoted_iat_is_named() {
    const KEY: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8HNbQd/TmvCKwPKHkMF9fScavGeH78YTU8qLS8I5HLHSSmlATLcslQMhNC/OhlWBYC626nIlo7XeebYS7Sb37g==";
    const TOKEN: &str = "eyJhbGciOiJFUzI1NiIsInR5cCI6InBhc3Nwb3J0IiwieDV1IjoiaHR0cHM6Ly9jZXJ0LmV4YW1wbGUub3JnL3Bhc3Nwb3J0LmNlciJ9.eyJkZXN0Ijp7InVyaSI6WyJzaXA6YWxpY2VAZXhhbXBsZS5jb20iXX0sImlhdCI6IjE0NDMyMDgzNDUiLCJvcmlnIjp7InRuIjoiMTIxNTU1NTEyMTIifX0.rq3pjT1hoRwakEGjHCnWSwUnshd0-zJ6F1VOgFWSjHBr8Qjpjlk-cpFYpFYsojNCpTzO3QfPOlckGaS6hEck7w";
    let key = STANDARD.decode(KEY).unwrap();
    let c = call()
        .with(|c| {
            c.token = Some(TOKEN.to_owned());
            c.leaf = c
                .leaf
                .clone()
                .subject_key(Subject::P256(key[key.len() - 65..].to_vec()));
            c.certificate_at = Some("https://cert.example.org/passport.cer");
            c.from = "<sip:+12155551212@example.net>;tag=1".to_owned();
            c.to = "<sip:alice@example.com>".to_owned();
        })
        .parameters(";info=<https://cert.example.org/passport.cer>");
    let v = c.gives(&[Rule::J5, Rule::P2, Rule::P6, Rule::P7], &[], &[]);
    assert!(v.passed.contains(Rule::S2), "the signature is good");
    assert!(v.passed.contains(Rule::O1) && v.passed.contains(Rule::D1));
}

/// RFC 7515 A.3: the JWS layer alone.
/// RFC 8225 Appendix A: neither the public key printed there nor the public half of the private key printed there made its signature.
#[test]
fn rfc_8225_appendix_a_reads_well_and_does_not_verify() {
    const TOKEN: &str = "eyJhbGciOiJFUzI1NiIsInR5cCI6InBhc3Nwb3J0IiwieDV1IjoiaHR0cHM6Ly9jZXJ0LmV4YW1wbGUub3JnL3Bhc3Nwb3J0LmNlciJ9.eyJkZXN0Ijp7InVyaSI6WyJzaXA6YWxpY2VAZXhhbXBsZS5jb20iXX0sImlhdCI6MTQ3MTM3NTQxOCwib3JpZyI6eyJ0biI6IjEyMTU1NTUxMjEyIn19.VLBCIVDCaeK6M4hLJb6SHQvacAQVvoiiEOWQ_iUkqk79UD81fHQ0E1b3_GluIkba7UWYRM47ZbNFdOJquE35cw";
    const PRINTED: &str =
        "BPBzW0Hf05rwisDyh5DBfX0nGrxnh+/GE1PKi0vCORyx0kppQEy3LJUDITQvzoZVgWAutupyJaO13nm2Eu0m9+4=";
    const HALF: &str =
        "BBZ9qPUdQROmg0Ks62n0oDyjRXv0i5YBEq30LVwU+TJ3cUE/hJ6I1nFCEOsPS10EeWzf/AV7z74rYWs/JAX2+6E=";
    for key in [PRINTED, HALF] {
        let c = call()
            .with(|c| {
                c.token = Some(TOKEN.to_owned());
                let point = STANDARD.decode(key).unwrap();
                c.leaf = c.leaf.clone().subject_key(Subject::P256(point));
                c.certificate_at = Some("https://cert.example.org/passport.cer");
                c.from = "<sip:+12155551212@example.net>;tag=1".to_owned();
                c.to = "<sip:alice@example.com>".to_owned();
            })
            .parameters(";info=<https://cert.example.org/passport.cer>");
        let v = c.verdict();
        for rule in [
            Rule::X5,
            Rule::J1,
            Rule::P1,
            Rule::P2,
            Rule::P4,
            Rule::S1,
            Rule::O1,
            Rule::D1,
        ] {
            assert!(v.passed.contains(rule), "{rule}");
        }
        assert!(v.failed.contains(Rule::S2));
    }
}

#[test]
fn rfc_7515_example_verifies() {
    const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    let coordinate = |text| URL_SAFE_NO_PAD.decode(text).unwrap();
    let point = [
        vec![4],
        coordinate("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"),
        coordinate("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"),
    ]
    .concat();
    let v = call()
        .with(|c| {
            c.token = Some(TOKEN.to_owned());
            c.leaf = c.leaf.clone().subject_key(Subject::P256(point));
        })
        .verdict();
    // No PASSporT by any rule, and without x5u there is no key.
    for rule in [Rule::J2, Rule::J4, Rule::J5, Rule::P2, Rule::P3, Rule::P4] {
        assert!(v.failed.contains(rule), "{rule}");
    }
    assert!(!v.passed.contains(Rule::S2));
}
