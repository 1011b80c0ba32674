//! Bodies of the fuzz targets: what each parser of hostile octets must keep to, whatever it is fed.
//!
//! A body panics where a promise is broken; parsing badly is no offence, answering wrongly is. Three kinds of promise:
//! two independent readers agree (ours and serde_json's, ours and x509-parser's), what was not signed by the lab is never
//! accepted, and a verdict's four sets of rules are disjoint.
//!
//! `tests/fuzz.rs` runs every target for a bounded time on the stable toolchain, over its seeds and the kept corpus;
//! `fuzz/` wraps the same bodies for libFuzzer.

mod framing;
mod mirror;
mod portal;
mod wire;

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, Signature};
use serde_json::Value;
use x509_parser::prelude::FromDer;

use super::kind::{Kind, TROUBLES};
use super::passport::{self, Claims as Signed};
use super::pki::Pki;
use super::{DEFAULT_BASE, LabError};
use crate::base::Timestamp;
use crate::base::digest::Digest128;
use crate::number::Tn;
use crate::stir::credential::{
    CaList, Certificate, Credential, Credentials, Crl, TnAuthList, TrustStore,
};
use crate::stir::passport::{Claims, Iat, Identity, JoseHeader};
use crate::stir::verify::facts::CallFacts;
use crate::stir::verify::{
    Attestation, CallVerdict, Rule, Validation, VerifySettings, verify_call_at, verify_value_at,
};
use crate::wire::sip::Message;

/// One target.
pub struct Target {
    /// Its name, that of its corpus folder as well.
    pub name: &'static str,
    /// Feeds it; panics where a promise is broken.
    pub check: fn(&[u8]),
    /// Inputs to start from: what the field sends, in order and with every kind of trouble.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target {
        name: "identity",
        check: identity,
        seeds: identity_seeds,
    },
    Target {
        name: "message",
        check: message,
        seeds: message_seeds,
    },
    Target {
        name: "jose",
        check: jose,
        seeds: jose_seeds,
    },
    Target {
        name: "claims",
        check: claims,
        seeds: claims_seeds,
    },
    Target {
        name: "certificate",
        check: certificate,
        seeds: certificate_seeds,
    },
    Target {
        name: "tnauthlist",
        check: tnauthlist,
        seeds: tnauthlist_seeds,
    },
    Target {
        name: "crl",
        check: crl,
        seeds: crl_seeds,
    },
    Target {
        name: "ca-list",
        check: ca_list,
        seeds: ca_list_seeds,
    },
    Target {
        name: "frames",
        check: wire::frames,
        seeds: wire::frames_seeds,
    },
    Target {
        name: "tunnel",
        check: wire::tunnel,
        seeds: wire::tunnel_seeds,
    },
    Target {
        name: "reassembly",
        check: wire::reassembly,
        seeds: wire::reassembly_seeds,
    },
    Target {
        name: "tcp",
        check: wire::tcp_framing,
        seeds: wire::tcp_framing_seeds,
    },
    Target {
        name: "websocket",
        check: wire::websocket,
        seeds: wire::websocket_seeds,
    },
    Target {
        name: "sctp",
        check: wire::sctp_chunks,
        seeds: wire::sctp_chunks_seeds,
    },
    Target {
        name: "framing",
        check: framing::framing,
        seeds: framing::framing_seeds,
    },
    Target {
        name: "hep",
        check: mirror::hep,
        seeds: mirror::hep_seeds,
    },
    Target {
        name: "mirror",
        check: mirror::mirror,
        seeds: mirror::mirror_seeds,
    },
    Target {
        name: "mail",
        check: portal::mail,
        seeds: portal::mail_seeds,
    },
    Target {
        name: "page",
        check: portal::page,
        seeds: portal::page_seeds,
    },
];

/// The target of the given name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|t| t.name == name)
}

/// What the bodies judge with, made once.
struct Bench {
    pki: Pki,
    trust: TrustStore,
    credentials: Credentials,
    /// What the lab's authorities issued: only this may have a path.
    issued: HashSet<Digest128>,
    identities: Vec<Vec<u8>>,
    /// PASSporTs that a provider of the lab signed: only these may pass.
    signed: HashSet<Digest128>,
    root: Vec<u8>,
}

const CALLING: &str = "12025550123";
const CALLED: &str = "12025550142";

fn bench() -> &'static Bench {
    static BENCH: OnceLock<Bench> = OnceLock::new();
    BENCH.get_or_init(|| match Bench::new() {
        Ok(bench) => bench,
        Err(e) => panic!("the lab can't make what the targets need: {e}"),
    })
}

impl Bench {
    fn new() -> Result<Self, LabError> {
        let pki = Pki::new(7, DEFAULT_BASE)?;
        let file = |name: &str| pki.files.get(name).cloned().unwrap_or_default();
        let root = file("sti-pa-root.pem");
        let list = CaList::verify_at(
            &file("ca-list.jws"),
            &file("ca-list-signer.pem"),
            &root,
            DEFAULT_BASE,
        );
        let crl = Crl::verify(&file("crl.der"), &file("crl-signer.pem"), &root);
        let trust = TrustStore::new(list.map_or_else(|_| Vec::new(), |l| l.anchors), crl.ok());
        let mut credentials = Credentials::default();
        for (url, name) in &pki.index {
            let bytes = file(&format!("x5u/{name}"));
            credentials.insert(url, Arc::new(Credential::prepare(&bytes, &trust)));
        }
        let issued = issued(&pki, &trust);
        let (identities, signed) = made(&pki, &credentials);
        Ok(Self {
            pki,
            trust,
            credentials,
            issued,
            identities,
            signed,
            root,
        })
    }
}

/// Digests of all certificates of the lab that have a path, whichever stands first in its bundle.
fn issued(pki: &Pki, trust: &TrustStore) -> HashSet<Digest128> {
    let mut out = HashSet::new();
    for pem in pki.files.values() {
        // One is bare DER.
        let credential = Credential::prepare(pem, trust);
        if credential.is_trusted() {
            out.extend(credential.leaf().map(|l| l.digest));
        }
        for block in x509_parser::pem::Pem::iter_from_buffer(pem).flatten() {
            let armoured = super::pki::cert::armour(&block.contents);
            let first = [armoured.as_bytes(), pem].concat();
            let credential = Credential::prepare(&first, trust);
            if credential.is_trusted() {
                out.extend(credential.leaf().map(|l| l.digest));
            }
        }
    }
    out
}

/// Identity values of every kind, and the PASSporTs among them whose signature is good.
fn made(pki: &Pki, credentials: &Credentials) -> (Vec<Vec<u8>>, HashSet<Digest128>) {
    let kinds = [Attestation::A, Attestation::B, Attestation::C]
        .map(Kind::Valid)
        .into_iter()
        .chain([Kind::QuotedPpt, Kind::TwoHeaders])
        .chain(TROUBLES.iter().map(Kind::Trouble));
    let (mut values, mut signed) = (Vec::new(), HashSet::new());
    for (i, kind) in kinds.enumerate() {
        let claims = Signed {
            attest: Attestation::A,
            orig: CALLING.to_owned(),
            dest: CALLED.to_owned(),
            iat: DEFAULT_BASE.secs(),
            origid: format!("123e4567-e89b-12d3-a456-4266554400{:02x}", i & 0xff),
        };
        let signer = &pki.signers[i % pki.signers.len()];
        let fields = passport::identity(kind, &claims, CALLED, signer, pki);
        // What was spoiled after signing was signed all the same: a change may undo it.
        let unspoiled = Kind::Valid(Attestation::A);
        let unspoiled = passport::identity(unspoiled, &claims, CALLED, signer, pki);
        for field in fields.iter().chain(&unspoiled) {
            let verdict = judge_value(field.value.as_bytes(), credentials);
            let good = verdict
                .headers
                .iter()
                .filter(|h| h.passed.contains(Rule::S2));
            signed.extend(good.filter_map(|h| h.digest));
        }
        values.extend(fields.into_iter().map(|f| f.value.into()));
    }
    (values, signed)
}

fn judge_value(value: &[u8], credentials: &Credentials) -> CallVerdict {
    let number = |text: &str| Tn::from_canonical(text.as_bytes());
    let facts = CallFacts::of_numbers(number(CALLING), number(CALLED));
    verify_value_at(
        value,
        &facts,
        DEFAULT_BASE,
        credentials,
        &VerifySettings::default(),
    )
}

/// What holds of every verdict.
fn sound(verdict: &CallVerdict, signed: &HashSet<Digest128>) {
    for h in &verdict.headers {
        let sets = [h.passed, h.failed, h.undetermined, h.findings].map(|s| s.0);
        let all = sets.iter().fold(0, |all, s| all | s);
        let ones: u32 = sets.iter().map(|s| s.count_ones()).sum();
        assert_eq!(all.count_ones(), ones, "a rule has two states: {h:?}");
        if h.validation == Validation::Passed {
            let digest = h.digest.expect("what passed has a name");
            assert!(signed.contains(&digest), "nobody signed this: {h:?}");
        }
    }
    if let Some(best) = verdict.best {
        assert!(best < verdict.headers.len());
    }
}

fn identity(data: &[u8]) {
    let values = Identity::parse_field(data).take(data.len() + 2);
    let count = values
        .inspect(|value| {
            value.split_token();
        })
        .count();
    assert!(count <= data.len() + 1, "more values than octets");
    let bench = bench();
    sound(&judge_value(data, &bench.credentials), &bench.signed);
}

fn identity_seeds() -> Vec<Vec<u8>> {
    bench().identities.clone()
}

fn message(data: &[u8]) {
    let Ok(message) = Message::scan(data) else {
        return;
    };
    let bench = bench();
    let settings = VerifySettings::default();
    let verdict = verify_call_at(&message, DEFAULT_BASE, &bench.credentials, &settings);
    sound(&verdict, &bench.signed);
    assert!(
        !(verdict.is_unsigned() && verdict.truncated),
        "a cut message is never unsigned"
    );
}

fn message_seeds() -> Vec<Vec<u8>> {
    let invite = |value: &[u8]| {
        let head = format!(
            "INVITE sip:+{CALLED}@192.0.2.1;user=phone SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.1;branch=z9hG4bK1\r\n\
             From: \"x\" <sip:+{CALLING}@example.net>;tag=1\r\nTo: <sip:+{CALLED}@example.com>\r\nCall-ID: 1@example.net\r\nCSeq: 1 INVITE\r\n\
             P-Asserted-Identity: <tel:+{CALLING}>\r\nDate: Tue, 24 Nov 2026 15:00:00 GMT\r\nIdentity: "
        );
        [head.as_bytes(), value, b"\r\nContent-Length: 0\r\n\r\n"].concat()
    };
    identity_seeds().iter().map(|v| invite(v)).collect()
}

/// The decoded parts of the seeds' tokens.
fn parts(n: usize) -> Vec<Vec<u8>> {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let part = |value: &Vec<u8>| {
        let text = value.split(|b| matches!(b, b'.' | b';')).nth(n)?;
        URL_SAFE_NO_PAD.decode(text).ok()
    };
    bench().identities.iter().filter_map(part).collect()
}

/// serde_json's own view of an object; `None` where it has none. It takes the last of two equal names, we take neither.
fn other_view(data: &[u8]) -> Option<serde_json::Map<String, Value>> {
    match serde_json::from_slice(data) {
        Ok(Value::Object(members)) => Some(members),
        _ => None,
    }
}

fn jose(data: &[u8]) {
    let Ok(header) = JoseHeader::parse(data) else {
        return;
    };
    let members = other_view(data).expect("we read an object where there is none");
    for (name, claim) in [
        ("typ", &header.typ),
        ("alg", &header.alg),
        ("ppt", &header.ppt),
        ("x5u", &header.x5u),
    ] {
        assert_eq!(
            claim.text(),
            members.get(name).and_then(Value::as_str),
            "{name}"
        );
    }
    assert_eq!(header.crit, members.contains_key("crit"));
}

fn jose_seeds() -> Vec<Vec<u8>> {
    parts(0)
}

fn claims(data: &[u8]) {
    let Ok(claims) = Claims::parse(data) else {
        return;
    };
    let members = other_view(data).expect("we read an object where there is none");
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    assert_eq!(claims.attest.text(), text("attest"));
    assert_eq!(claims.origid.text(), text("origid"));
    let number = members.get("iat").and_then(Value::as_f64);
    match claims.iat {
        Iat::Absent => assert!(!members.contains_key("iat")),
        Iat::Seconds(iat) => {
            let seen = number.expect("iat is a number").floor();
            assert!((iat as f64 - seen).abs() < 1.0, "{iat} {seen}");
        }
        Iat::OutOfRange => assert!(number.is_some()),
        Iat::NotANumber => assert!(number.is_none()),
    }
}

fn claims_seeds() -> Vec<Vec<u8>> {
    parts(1)
}

fn certificate(data: &[u8]) {
    let bench = bench();
    if let Ok(cert) = Certificate::parse(data) {
        let (_, theirs) = x509_parser::certificate::X509Certificate::from_der(data)
            .expect("we read a certificate where there is none");
        assert_eq!(cert.validity.from, theirs.validity().not_before.timestamp());
        assert_eq!(cert.validity.to, theirs.validity().not_after.timestamp());
    }
    let credential = Credential::prepare(data, &bench.trust);
    if let Some(leaf) = credential.leaf()
        && credential.is_trusted()
    {
        let issued = bench.issued.contains(&leaf.digest);
        assert!(issued, "a certificate that nobody issued has a path");
    }
}

fn certificate_seeds() -> Vec<Vec<u8>> {
    let files = bench().pki.files.iter();
    let bundles = files.filter(|(name, _)| name.ends_with(".pem"));
    bundles
        .flat_map(|(_, pem)| {
            let first = x509_parser::pem::parse_x509_pem(pem).map(|(_, p)| p.contents);
            [Some(pem.clone()), first.ok()].into_iter().flatten()
        })
        .collect()
}

fn tnauthlist(data: &[u8]) {
    let Some(list) = TnAuthList::parse(data) else {
        return;
    };
    assert!(!list.spc.is_empty() || !list.ranges.is_empty());
    assert!(list.spc.len() + list.ranges.len() <= data.len());
    for range in &list.ranges {
        if let Some(first) = Tn::from_canonical(range.start.as_bytes()) {
            assert!(list.covers(&first), "a run without its first number");
        }
    }
}

fn tnauthlist_seeds() -> Vec<Vec<u8>> {
    let hex = |text: &str| {
        let octets = text.as_bytes().chunks_exact(2);
        octets
            .filter_map(|o| u8::from_str_radix(std::str::from_utf8(o).ok()?, 16).ok())
            .collect()
    };
    [
        "3008A00616043730394A",
        "302BA00616043730394AA1123010160B3132313535353530313030020132A20D160B3132313535353530313939",
        "300680043730394A",
        "300613043735354A",
        "3008A006163535384A",
    ]
    .map(hex)
    .into()
}

/// As it is, and again with the lab's signature over what it says: what lies behind a good signature is hostile as well.
fn crl(data: &[u8]) {
    let bench = bench();
    let signer = file(&bench.pki, "crl-signer.pem");
    if Crl::verify(data, signer, &bench.root).is_ok() {
        assert_eq!(data, file(&bench.pki, "crl.der"), "nobody signed this list");
    }
    let signature: DerSignature = bench.pki.crl_signer.sign(data);
    let signed = x509_signed(data, signature.as_bytes());
    if let Ok(list) = Crl::verify(&signed, signer, &bench.root) {
        assert!(list.len() <= data.len(), "more entries than octets");
    }
}

/// `SEQUENCE { tbs, ecdsa-with-SHA256, signature }`.
fn x509_signed(tbs: &[u8], signature: &[u8]) -> Vec<u8> {
    const ECDSA_WITH_SHA256: [u8; 12] = [0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
    let bits = tlv(3, &[&[0], signature].concat());
    tlv(0x30, &[tbs, &ECDSA_WITH_SHA256, &bits].concat())
}

fn tlv(tag: u8, contents: &[u8]) -> Vec<u8> {
    let len = contents.len();
    let head: Vec<u8> = match len {
        0..=0x7f => vec![tag, len as u8],
        0x80..=0xff => vec![tag, 0x81, len as u8],
        0x100..=0xffff => vec![tag, 0x82, (len >> 8) as u8, len as u8],
        _ => vec![tag, 0x83, (len >> 16) as u8, (len >> 8) as u8, len as u8],
    };
    [&head, contents].concat()
}

/// The list, and what its signature covers.
fn crl_seeds() -> Vec<Vec<u8>> {
    let list = file(&bench().pki, "crl.der");
    let tbs = x509_parser::revocation_list::CertificateRevocationList::from_der(list)
        .map(|(_, l)| l.tbs_cert_list.as_ref().to_vec());
    [Some(list.to_vec()), tbs.ok()]
        .into_iter()
        .flatten()
        .collect()
}

/// As it is, and as the payload of a list that the lab signs.
fn ca_list(data: &[u8]) {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let bench = bench();
    let verify = |jws: &[u8], now: Timestamp| {
        CaList::verify_at(
            jws,
            file(&bench.pki, "ca-list-signer.pem"),
            &bench.root,
            now,
        )
    };
    if verify(data, DEFAULT_BASE).is_ok() {
        // Lines that end it are no part of it.
        assert_eq!(
            data.trim_ascii(),
            file(&bench.pki, "ca-list.jws").trim_ascii(),
            "nobody signed this list"
        );
    }
    let input = format!(
        "{}.{}",
        URL_SAFE_NO_PAD
            .encode(r#"{"alg":"ES256","typ":"JWT","x5u":"https://sti-pa.example/list.pem"}"#),
        URL_SAFE_NO_PAD.encode(data)
    );
    let signature: Signature = bench.pki.list_signer.sign(input.as_bytes());
    let jws = format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()));
    if let Ok(list) = verify(jws.as_bytes(), DEFAULT_BASE) {
        let entries = list.anchors.len() + list.skipped.len();
        assert!(entries <= data.len(), "more entries than octets");
    }
}

/// The list, and its payload.
fn ca_list_seeds() -> Vec<Vec<u8>> {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let list = file(&bench().pki, "ca-list.jws").to_vec();
    let payload = list.split(|b| *b == b'.').nth(1).unwrap_or_default();
    let payload = URL_SAFE_NO_PAD.decode(payload).unwrap_or_default();
    vec![list, payload]
}

fn file<'a>(pki: &'a Pki, name: &str) -> &'a [u8] {
    pki.files.get(name).map_or(&[], Vec::as_slice)
}
