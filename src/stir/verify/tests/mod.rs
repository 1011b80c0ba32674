//! Whole calls through the verifier: one good call, and what a change of one thing does to its verdict.

mod compact;
mod delegates;
mod div;
mod headers;
mod numbers;
mod outcome;
mod rich;
mod tokens;
mod trust;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::explain::explain_header_at;
use super::*;
use crate::stir::credential::testpki::{self as pki, Builder, CrlBuilder, Subject};
use crate::stir::credential::{Credential, Crl, TrustStore};

const URL: &str = "https://cert.example.net/sp.pem";
const JOSE: &str =
    r#"{"alg":"ES256","ppt":"shaken","typ":"passport","x5u":"https://cert.example.net/sp.pem"}"#;
const CLAIMS: &str = r#"{"attest":"A","dest":{"tn":["12025550142"]},"iat":1780315200,"orig":{"tn":"12025550123"},"origid":"123e4567-e89b-12d3-a456-426655440000"}"#;
const PARAMETERS: &str = ";info=<https://cert.example.net/sp.pem>;alg=ES256;ppt=shaken";
const FROM: &str = "\"x\" <sip:+12025550123@example.net;user=phone>;tag=1";
const TO: &str = "<sip:+12025550142@example.com>";
const RURI: &str = "sip:+12025550142@198.51.100.7:5060;user=phone";

/// A call in the making. Starts as one that passes every rule.
#[derive(Clone)]
struct Call {
    jose: String,
    claims: String,
    parameters: String,
    request_uri: String,
    from: String,
    to: String,
    others: Vec<String>,
    /// Replaces the token made of the above.
    token: Option<String>,
    key: pki::Key,
    at: Timestamp,
    leaf: Builder,
    extras: Vec<Vec<u8>>,
    crl: Option<CrlBuilder>,
    certificate_at: Option<&'static str>,
    settings: VerifySettings,
    /// Changes what the certificate is judged by.
    trust: fn(TrustStore) -> TrustStore,
    policy: CrlPolicy,
}

fn call() -> Call {
    Call {
        jose: JOSE.to_owned(),
        claims: CLAIMS.to_owned(),
        parameters: PARAMETERS.to_owned(),
        request_uri: RURI.to_owned(),
        from: FROM.to_owned(),
        to: TO.to_owned(),
        others: vec![],
        token: None,
        key: pki::leaf_key(),
        at: Timestamp::from_secs(pki::NOW + 1),
        leaf: pki::leaf(&pki::root(), "709J"),
        extras: vec![],
        crl: Some(CrlBuilder::new(vec![])),
        certificate_at: Some(URL),
        settings: VerifySettings::default(),
        trust: |trust| trust,
        policy: CrlPolicy::Prefer,
    }
}

impl Call {
    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn claims(self, from: &str, to: &str) -> Self {
        assert!(self.claims.contains(from), "{from}");
        self.with(|c| c.claims = c.claims.replace(from, to))
    }

    fn jose(self, from: &str, to: &str) -> Self {
        assert!(self.jose.contains(from), "{from}");
        self.with(|c| c.jose = c.jose.replace(from, to))
    }

    fn parameters(self, text: &str) -> Self {
        self.with(|c| c.parameters = text.to_owned())
    }

    fn other(self, header: &str) -> Self {
        self.with(|c| c.others.push(header.to_owned()))
    }

    fn token(&self) -> String {
        self.token
            .clone()
            .unwrap_or_else(|| pki::jws(&self.jose, &self.claims, &self.key))
    }

    fn identity(&self) -> String {
        format!("{}{}", self.token(), self.parameters)
    }

    fn invite(&self) -> Vec<u8> {
        self.invite_with(&[&format!("Identity: {}", self.identity())])
    }

    fn invite_with(&self, identities: &[&str]) -> Vec<u8> {
        let mut out = format!(
            "INVITE {} SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.1;branch=z9hG4bK1\r\nCall-ID: 1@example.net\r\nCSeq: 1 INVITE\r\nFrom: {}\r\nTo: {}\r\n",
            self.request_uri, self.from, self.to
        );
        for line in self
            .others
            .iter()
            .map(String::as_str)
            .chain(identities.iter().copied())
        {
            out += line;
            out += "\r\n";
        }
        (out + "Content-Length: 0\r\n\r\n").into_bytes()
    }

    fn credentials(&self) -> Credentials {
        let crl = self.crl.as_ref().map(|list| {
            let signer = pki::list_signer(41, 0x02);
            let root = pki::pem(&[&pki::sti_pa_root().der]);
            Crl::verify(&list.build(&signer), &pki::pem(&[&signer.der]), &root).unwrap()
        });
        let trust = (self.trust)(TrustStore::new(vec![pki::root().certificate()], crl));
        let leaf = self.leaf.build();
        let mut chain: Vec<&[u8]> = vec![&leaf];
        chain.extend(self.extras.iter().map(Vec::as_slice));
        let mut out = Credentials::default();
        if let Some(url) = self.certificate_at {
            let credential = Credential::prepare(&pki::pem(&chain), &trust);
            out.insert(url, Arc::new(credential));
        }
        out
    }

    fn judge(&self, message: &[u8]) -> CallVerdict {
        let message = Message::scan(message).unwrap();
        verify_call_at(&message, self.at, &self.credentials(), &self.settings())
    }

    fn settings(&self) -> VerifySettings {
        VerifySettings {
            crl: self.policy,
            ..self.settings.clone()
        }
    }

    /// What a person is told about a rule.
    fn note(&self, rule: Rule) -> String {
        let bytes = self.invite();
        let message = Message::scan(&bytes).unwrap();
        let settings = self.settings();
        let facts = CallFacts::of(&message, &settings.plan);
        let field = self.identity();
        let identity = Identity::parse_field(field.as_bytes()).next().unwrap();
        let (credentials, verdict) = (self.credentials(), self.verdict());
        let rows = explain_header_at(
            &verdict,
            &identity,
            &facts,
            self.at,
            &credentials,
            &settings,
        );
        let row = rows.into_iter().find(|r| r.rule == rule).unwrap();
        format!("{}: {}", row.state, row.note)
    }

    fn verdict(&self) -> HeaderVerdict {
        let call = self.judge(&self.invite());
        assert_eq!(call.headers.len(), 1);
        call.headers[0].clone()
    }

    /// The rules that failed, are undetermined, and are findings.
    #[track_caller]
    fn gives(&self, failed: &[Rule], undetermined: &[Rule], findings: &[Rule]) -> HeaderVerdict {
        let v = self.verdict();
        let of = |set: RuleSet| set.iter().collect::<Vec<_>>();
        assert_eq!(of(v.failed), failed, "failed");
        assert_eq!(of(v.undetermined), undetermined, "undetermined");
        assert_eq!(of(v.findings), findings, "findings");
        let expected = match (failed, undetermined) {
            ([Rule::G7] | [Rule::H5], _) => Validation::None,
            ([_, ..], _) => Validation::Failed,
            ([], [_, ..]) => Validation::Undetermined,
            ([], []) => Validation::Passed,
        };
        assert_eq!(v.validation, expected);
        v
    }

    #[track_caller]
    fn passes(&self) -> HeaderVerdict {
        self.gives(&[], &[], &[])
    }

    #[track_caller]
    fn fails(&self, rule: Rule) -> HeaderVerdict {
        let v = self.gives(&[rule], &[], &[]);
        assert_eq!(v.decided_by, Some(rule));
        v
    }

    #[track_caller]
    fn finds(&self, rule: Rule) -> HeaderVerdict {
        self.gives(&[], &[], &[rule])
    }

    #[track_caller]
    fn cannot_tell(&self, rule: Rule) -> HeaderVerdict {
        let v = self.gives(&[], &[rule], &[]);
        assert_eq!(v.decided_by, Some(rule));
        v
    }
}

/// The URL of the certificate that would decide a header which stands alone.
fn missing_certificate(header: &HeaderVerdict) -> Option<String> {
    let mut call = CallVerdict::default();
    call.headers.push(header.clone());
    let wants = wanted_certificates(&call, &Credentials::default());
    assert!(wants.len() <= 1);
    wants.first().map(|w| w.url().to_owned())
}

fn with_signature(signature: &[u8]) -> Call {
    call().with(|c| {
        let token = c.token();
        let front = token.rsplit_once('.').unwrap().0;
        c.token = Some(format!("{front}.{}", URL_SAFE_NO_PAD.encode(signature)));
    })
}

fn good_signature() -> Vec<u8> {
    let token = call().token();
    URL_SAFE_NO_PAD
        .decode(token.rsplit_once('.').unwrap().1)
        .unwrap()
}

#[test]
fn a_good_call_passes_every_rule_that_applies() {
    let v = call().other("Date: Mon, 01 Jun 2026 12:00:00 GMT").passes();
    // These only ever fail, or are about what this call has not: asserted numbers, diversions, priority, rich call data, delegates.
    let never = [
        Rule::H4,
        Rule::H5,
        Rule::H7,
        Rule::P9,
        Rule::F4,
        Rule::O2,
        Rule::V1,
        Rule::V3,
        Rule::V4,
        Rule::V6,
        Rule::E1,
        Rule::E1M,
        Rule::E1A,
        Rule::E2,
        Rule::E2D,
        Rule::E2K,
        Rule::E2C,
        Rule::X13,
        Rule::X13S,
        Rule::X14,
    ];
    let not_passed: Vec<_> = Rule::ALL
        .iter()
        .copied()
        .filter(|r| !v.passed.contains(*r))
        .collect();
    assert_eq!(not_passed, never);
    assert_eq!(v.attest, Some(Attestation::A));
    assert_eq!(v.orig.unwrap().as_str(), "12025550123");
    assert_eq!(v.iat, Some(pki::NOW));
    assert_eq!(v.spc.as_deref(), Some("709J"));
    assert_eq!(v.x5u.as_deref(), Some(URL));
    assert_eq!(v.ppt.as_deref(), Some("shaken"));
    assert!(v.origid.is_some() && v.decided_by.is_none());
}

#[test]
fn every_rule_has_its_place_in_the_order_of_work() {
    let mut seen = RuleSet::default();
    for rule in ORDER_OF_WORK {
        assert!(!seen.contains(*rule), "{rule} twice");
        seen.insert(*rule);
    }
    assert_eq!(seen, Rule::ALL.iter().copied().collect());
}

#[test]
fn failures_are_listed_together_and_the_cheapest_decides() {
    let v = call()
        .with(|c| {
            c.at = Timestamp::from_secs(pki::NOW + 100);
            c.key = pki::key(99);
            c.from = "<sip:+12025550199@example.net>".to_owned();
            c.leaf = pki::leaf(&pki::other_root(), "709J");
        })
        .gives(&[Rule::F1, Rule::O1, Rule::X4, Rule::S2], &[], &[]);
    assert_eq!(v.decided_by, Some(Rule::F1));
}

#[test]
fn m1_the_best_header_speaks_in_any_order() {
    let c = call();
    let b = call().claims("\"A\"", "\"B\"");
    let unknown = call()
        .jose(URL, "https://cert.example.org/x.pem")
        .parameters(";info=<https://cert.example.org/x.pem>;ppt=shaken");
    let forged = call().with(|c| c.key = pki::key(99));
    let other = call()
        .jose("\"shaken\"", "\"vesper\"")
        .parameters(&PARAMETERS.replace("shaken", "vesper"));
    let ranked = [&c, &b, &unknown, &forged, &other];
    let lines: Vec<_> = ranked
        .iter()
        .map(|c| format!("Identity: {}", c.identity()))
        .collect();
    for (i, better) in lines.iter().enumerate() {
        for worse in lines.iter().skip(i + 1) {
            let v = c.judge(&c.invite_with(&[better, worse]));
            assert_eq!((v.headers.len(), v.best), (2, Some(0)));
            let v = c.judge(&c.invite_with(&[worse, better]));
            assert_eq!(v.best, Some(1));
        }
    }
    let v = c.judge(&c.invite_with(&[&lines[3], &lines[0]]));
    assert_eq!(
        (v.attest(), v.verstat()),
        (Some(Attestation::A), "TN-Validation-Passed")
    );
}

#[test]
fn the_memo_changes_no_verdict() {
    let calls = [
        call(),
        call().with(|c| c.key = pki::key(99)),
        call().claims("\"A\"", "\"C\""),
        with_signature(&[&good_signature()[..32], &[1; 32]].concat()),
    ];
    let mut memo = SignatureMemo::new(2);
    for round in 0..3 {
        for c in &calls {
            let bytes = c.invite();
            let message = Message::scan(&bytes).unwrap();
            let settings = VerifySettings::default();
            let with =
                verify_call_with_memo_at(&message, c.at, &c.credentials(), &settings, &mut memo);
            assert_eq!(with, c.judge(&bytes), "round {round}");
        }
    }
    assert_eq!(memo.hits + memo.misses, 12);
    let mut memo = SignatureMemo::new(64);
    let bytes = calls[0].invite();
    let message = Message::scan(&bytes).unwrap();
    for _ in 0..3 {
        let credentials = calls[0].credentials();
        verify_call_with_memo_at(
            &message,
            calls[0].at,
            &credentials,
            &VerifySettings::default(),
            &mut memo,
        );
    }
    assert_eq!((memo.hits, memo.misses), (2, 1));
}

#[test]
fn explanations_name_what_was_seen() {
    let explain = |c: &Call| {
        let bytes = c.invite();
        let message = Message::scan(&bytes).unwrap();
        let settings = VerifySettings::default();
        let facts = CallFacts::of(&message, &settings.plan);
        let field = c.identity();
        let identity = Identity::parse_field(field.as_bytes()).next().unwrap();
        let (credentials, verdict) = (c.credentials(), c.verdict());
        let rows = explain_header_at(&verdict, &identity, &facts, c.at, &credentials, &settings);
        assert_eq!(rows.len(), Rule::ALL.len());
        move |rule: Rule| {
            let row = rows.iter().find(|r| r.rule == rule).unwrap();
            format!("{}: {}", row.state, row.note)
        }
    };
    let good = explain(&call());
    assert_eq!(
        good(Rule::F1),
        "passed: iat 2026-06-01T12:00:00Z, captured +1.0 s from it, window 60 s"
    );
    assert_eq!(
        good(Rule::O1),
        "passed: signed 12025550123, From 12025550123"
    );
    assert_eq!(
        good(Rule::D1),
        "passed: signed 12025550142, To 12025550142, Request-URI 12025550142"
    );
    assert_eq!(good(Rule::X4), "passed: SHAKEN 709J < Example STI Root");
    assert_eq!(good(Rule::X9), "passed: service provider code 709J");
    assert_eq!(good(Rule::H5), "not judged: ");
    let der = explain(&with_signature(&pki::leaf_key().sign_der(b"x")));
    assert!(der(Rule::S1).starts_with("failed: 7") && der(Rule::S1).ends_with("octets of DER"));
    let quoted = explain(&call().claims("1780315200", "\"1780315200\""));
    assert_eq!(quoted(Rule::P2), "failed: not a number");
    let unknown = explain(&call().with(|c| c.certificate_at = None));
    assert_eq!(unknown(Rule::X2), format!("undetermined: {URL}"));
}

#[test]
fn a_token_without_its_message_is_judged_by_the_numbers_given() {
    let c = call();
    let field = c.identity();
    let identity = Identity::parse_field(field.as_bytes()).next().unwrap();
    let tn = |t: &str| crate::number::Tn::from_canonical(t.as_bytes());
    let judge = |calling, called| {
        verify_header_at(
            &identity,
            &CallFacts::of_numbers(calling, called),
            c.at,
            &c.credentials(),
            &VerifySettings::default(),
            &mut SignatureMemo::none(),
        )
    };
    let (orig, dest) = (tn("12025550123"), tn("12025550142"));
    assert_eq!(judge(orig, dest).validation, Validation::Passed);
    assert_eq!(judge(tn("12025550124"), dest).decided_by, Some(Rule::O1));
    assert_eq!(judge(orig, tn("12025550143")).decided_by, Some(Rule::D1));
    let open = judge(None, None);
    assert_eq!(open.validation, Validation::Undetermined);
    assert!(open.undetermined.contains(Rule::O1) && open.undetermined.contains(Rule::D1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_changed_octet_of_a_token_passes(at in 0usize..1000, with in "[A-Za-z0-9_.=-]") {
        let c = call();
        let token = c.token();
        let at = at % token.len();
        let mut changed = token.clone().into_bytes();
        changed[at] = with.as_bytes()[0];
        prop_assume!(changed != token.as_bytes());
        let v = c.with(|c| c.token = Some(String::from_utf8(changed).unwrap())).verdict();
        // The last character has four slack bits: other text, same signature.
        prop_assert!(v.validation != Validation::Passed || v.findings.contains(Rule::G1S), "{:?}", v);
    }

    #[test]
    fn hostile_identities_never_panic(field in proptest::collection::vec(
        prop_oneof![Just(b';'), Just(b','), Just(b'='), Just(b'<'), Just(b'>'), Just(b'"'), Just(b'.'), Just(b'e'), any::<u8>()], 0..120)) {
        let mut bytes = b"INVITE sip:a@example.net SIP/2.0\r\nIdentity: ".to_vec();
        bytes.extend(field);
        bytes.extend(b"\r\n\r\n");
        if let Ok(message) = Message::scan(&bytes) {
            let v = verify_call_at(&message, Timestamp::from_secs(pki::NOW), &Credentials::default(), &VerifySettings::default());
            prop_assert!(v.validation() != Validation::Passed);
        }
    }
}
