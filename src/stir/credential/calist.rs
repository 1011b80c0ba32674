//! The STI-PA's list of trusted certification authorities (ATIS-1000084, ATIS-1000080): a compact JWS, ES256.
//!
//! In come its text (the bare JWS, or the STI-PA's JSON answer around it), its signer's certificates and the pinned root; out come the anchors, and the entries that could not be used,
//! each with its reason: real lists hold keys that not everybody can read, and one of them must not cost the others.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::certificate::Certificate;
use super::key::PublicKey;
use super::{SignerFault, pem, signer};
use crate::base::Timestamp;
use crate::base::digest::Digest128;
use crate::base::text::escape;

/// Largest list that is looked at.
pub const MAX_LIST: usize = 4 * 1024 * 1024;

/// How much of an answer without a list is shown.
const MAX_SAID: usize = 200;

/// Most entries that are looked at. The national list has about fifty.
pub const MAX_ENTRIES: usize = 4096;

/// A list whose signature and signer were verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaList {
    /// Every entry that can be an anchor.
    pub anchors: Vec<Certificate>,
    /// Entries that are no anchors, or that nothing here can check signatures with.
    pub skipped: Vec<SkippedEntry>,
    /// When it ends.
    pub expires: Timestamp,
    /// Set when it had ended at `now`: refuse it for live calls (rule L3), use it to judge a capture of its days.
    pub expired: bool,
    /// `sequence`; zero in the wild, so no guard against an older list.
    pub sequence: Option<u64>,
    /// `version`.
    pub version: Option<String>,
    /// `x5u` of its header: where its signer's certificate is published.
    pub signer_url: String,
    /// Names its octets.
    pub digest: Digest128,
}

/// An entry that could not be used as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedEntry {
    /// Its place in the list, from zero.
    pub index: usize,
    /// Common name, where it can be read.
    pub name: Option<Box<str>>,
    /// Why.
    pub why: &'static str,
}

/// Why a list is not used at all. The last good one stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaListError {
    /// Larger than [`MAX_LIST`].
    #[error("the CA list is larger than {MAX_LIST} octets")]
    TooLarge,
    /// A PEM bundle: nobody signed it as a list.
    #[error(
        "this is a PEM bundle, not the signed CA list: give it as anchors if it is to be trusted as it is"
    )]
    Pem,
    /// The STI-PA's answer, and no list in it.
    #[error("the STI-PA answered without a CA list: {0}")]
    Answer(String),
    /// Not a compact JWS with a header that can be read.
    #[error("the CA list is no compact JWS: {0}")]
    Malformed(String),
    /// Header refused before its key is looked at.
    #[error("the CA list's header: {0}")]
    Header(&'static str),
    /// The signer.
    #[error("the CA list's signer: {0}")]
    Signer(#[from] SignerFault),
    /// The signature.
    #[error("the CA list's signature is wrong")]
    Signature,
    /// The payload.
    #[error("the CA list's payload: {0}")]
    Payload(String),
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: Option<String>,
    x5u: String,
    crit: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Payload {
    version: Option<String>,
    sequence: Option<u64>,
    exp: u64,
    #[serde(rename = "trustList")]
    trust_list: Vec<serde_json::Value>,
}

impl CaList {
    /// Reads and verifies a list.
    ///
    /// `now` decides [`CaList::expired`] and nothing else. The signer must have been valid at `now`, or at the end of the list where
    /// that was earlier.
    ///
    /// # Errors
    ///
    /// [`CaListError`].
    pub fn verify_at(
        jws: &[u8],
        signer_pem: &[u8],
        sti_pa_root_pem: &[u8],
        now: Timestamp,
    ) -> Result<Self, CaListError> {
        if jws.len() > MAX_LIST {
            return Err(CaListError::TooLarge);
        }
        let text = std::str::from_utf8(jws)
            .map_err(|_| CaListError::Malformed("not text".to_owned()))?
            .trim();
        let jws = opened(text)?;
        let jws = jws.trim();
        let header = read_header(jws)?;
        // The time of its signer is judged once the payload has said when the list ends; nothing of it is used before the
        // signature is known to be good.
        let end = unverified_exp(jws)?;
        let at = now.secs().min(end);
        let signer = signer::verify_at(signer_pem, sti_pa_root_pem, at)?;
        if !signer.extensions.usage.is_none_or(|u| u.digital_signature) {
            return Err(SignerFault::Usage.into());
        }
        let key = signer.key.p256().ok_or(CaListError::Signature)?;
        let mut rules = Validation::new(Algorithm::ES256);
        // `exp` is ours to judge: the crate would read a clock.
        rules.validate_exp = false;
        rules.validate_aud = false;
        rules.required_spec_claims.clear();
        let payload = jsonwebtoken::decode::<Payload>(jws, &DecodingKey::from_ec_der(key), &rules)
            .map_err(|e| match e.kind() {
                jsonwebtoken::errors::ErrorKind::Json(e) => CaListError::Payload(e.to_string()),
                _ => CaListError::Signature,
            })?
            .claims;
        let (anchors, skipped) = anchors(&payload.trust_list);
        let expires = Timestamp::from_secs(end);
        Ok(Self {
            anchors,
            skipped,
            expired: expires < now,
            expires,
            sequence: payload.sequence,
            version: payload.version,
            signer_url: header.x5u,
            digest: Digest128::of(jws.as_bytes()),
        })
    }
}

/// The answer of the STI-PA's interface (ATIS-1000084), of which operators keep either this or the list alone.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    status: Option<Cow<'a, str>>,
    #[serde(borrow)]
    message: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "caList")]
    ca_list: Option<Cow<'a, str>>,
}

/// The compact JWS in a file, whichever form the file has.
fn opened(text: &str) -> Result<Cow<'_, str>, CaListError> {
    if text.starts_with("-----BEGIN") {
        return Err(CaListError::Pem);
    }
    if !text.starts_with('{') {
        return Ok(Cow::Borrowed(text));
    }
    let answer: Answer<'_> =
        serde_json::from_str(text).map_err(|e| CaListError::Malformed(e.to_string()))?;
    answer.ca_list.ok_or_else(|| {
        let said = [answer.status, answer.message];
        let said: Vec<_> = said
            .iter()
            .flatten()
            .map(|t| escape(t.as_bytes()))
            .collect();
        let said = said.join(": ");
        CaListError::Answer(said.chars().take(MAX_SAID).collect())
    })
}

/// Where a list says that its signer's certificate is published: `x5u` of its header, not verified. For whoever fetches that.
pub fn signer_url(jws: &[u8]) -> Option<String> {
    let jws = std::str::from_utf8(jws).ok()?.trim();
    Some(read_header(jws).ok()?.x5u)
}

/// Anchors of a plain PEM bundle, for labs and for countries without a signed list.
pub fn anchors_of_pem(text: &[u8]) -> (Vec<Certificate>, Vec<SkippedEntry>) {
    collect(pem::certificates(text).take(MAX_ENTRIES).map(Ok))
}

fn part(jws: &str, n: usize) -> Result<Vec<u8>, CaListError> {
    let malformed = |what: &str| CaListError::Malformed(what.to_owned());
    if jws.bytes().filter(|b| *b == b'.').count() != 2 {
        return Err(malformed("not three parts"));
    }
    let text = jws.split('.').nth(n).unwrap_or_default();
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| malformed("not base64url"))
}

fn read_header(jws: &str) -> Result<Header, CaListError> {
    let header: Header = serde_json::from_slice(&part(jws, 0)?)
        .map_err(|e| CaListError::Malformed(e.to_string()))?;
    if header.alg != "ES256" {
        return Err(CaListError::Header("alg is not ES256"));
    }
    if header
        .typ
        .as_ref()
        .is_some_and(|t| !t.eq_ignore_ascii_case("JWT"))
    {
        return Err(CaListError::Header("typ is not JWT"));
    }
    if header.crit.is_some() {
        return Err(CaListError::Header("crit is there, and we understand none"));
    }
    Ok(header)
}

fn unverified_exp(jws: &str) -> Result<i64, CaListError> {
    let payload: Payload =
        serde_json::from_slice(&part(jws, 1)?).map_err(|e| CaListError::Payload(e.to_string()))?;
    i64::try_from(payload.exp).map_err(|_| CaListError::Payload("exp is too large".to_owned()))
}

fn anchors(list: &[serde_json::Value]) -> (Vec<Certificate>, Vec<SkippedEntry>) {
    collect(list.iter().take(MAX_ENTRIES).map(|entry| {
        let text = entry.as_str().ok_or("not a string")?;
        let mut blocks = pem::certificates(text.as_bytes());
        match (blocks.next(), blocks.next()) {
            (Some(block), None) => Ok(block),
            (None, _) => Err("no certificate"),
            (Some(_), Some(_)) => Err("more than one certificate"),
        }
    }))
}

fn collect(
    entries: impl Iterator<Item = Result<Option<Vec<u8>>, &'static str>>,
) -> (Vec<Certificate>, Vec<SkippedEntry>) {
    let (mut anchors, mut skipped): (Vec<Certificate>, Vec<SkippedEntry>) = Default::default();
    for (index, entry) in entries.enumerate() {
        let cert = entry
            .and_then(|der| der.ok_or("not base64"))
            .and_then(|der| Certificate::parse(&der).map_err(|e| e.0));
        let mut skip = |name, why| skipped.push(SkippedEntry { index, name, why });
        match cert {
            Err(why) => skip(None, why),
            Ok(c) if !c.extensions.is_ca => skip(c.common_name, "not a certification authority"),
            Ok(c) if anchors.iter().any(|a| a.digest == c.digest) => {
                skip(c.common_name, "listed before")
            }
            Ok(c) => {
                // It stays an anchor all the same: what it issued can't be judged, which is not the same as untrusted.
                if c.key == PublicKey::Unsupported {
                    skip(c.common_name.clone(), "a key that can't be used here");
                }
                anchors.push(c);
            }
        }
    }
    (anchors, skipped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stir::credential::testpki::{self as pki, Issuer, Key};
    use proptest::prelude::*;

    const HEADER: &str =
        r#"{"alg":"ES256","typ":"JWT","x5u":"https://sti-pa.example/ca-list-signer.pem"}"#;

    fn list_signer() -> Issuer {
        pki::list_signer(43, 0x80)
    }

    fn payload(entries: &[serde_json::Value], exp: i64) -> String {
        serde_json::json!({"version": "1.0", "sequence": 0, "exp": exp, "trustList": entries})
            .to_string()
    }

    fn entry(ca: &Issuer) -> serde_json::Value {
        String::from_utf8(pki::pem(&[&ca.der])).unwrap().into()
    }

    fn verify(jws: &str, now: i64) -> Result<CaList, CaListError> {
        CaList::verify_at(
            jws.as_bytes(),
            &pki::pem(&[&list_signer().der]),
            &pki::pem(&[&pki::sti_pa_root().der]),
            Timestamp::from_secs(now),
        )
    }

    fn signed(header: &str, payload: &str) -> String {
        pki::jws(header, payload, &list_signer().key)
    }

    const EXP: i64 = pki::NOW + 86_400;

    #[test]
    fn l4_odd_entries_are_skipped_and_named() {
        let ca = pki::intermediate(&pki::root(), "Example Issuing CA", 3);
        let leaf = Issuer::new(pki::leaf(&pki::root(), "709J"), pki::key(5));
        let strange = pki::root_with_key(Key::Unsupported);
        let rsa = pki::root_with_key(Key::Rsa);
        let p384 = pki::root_with_key(Key::P384);
        let entries = [
            entry(&pki::root()),
            "garbage".into(),
            7.into(),
            entry(&ca),
            entry(&leaf),
            entry(&strange),
            entry(&rsa),
            entry(&p384),
            entry(&ca),
        ];
        let list = verify(&signed(HEADER, &payload(&entries, EXP)), pki::NOW).unwrap();
        let names: Vec<_> = list.anchors.iter().map(Certificate::title).collect();
        assert_eq!(
            names,
            [
                "Example STI Root",
                "Example Issuing CA",
                "Odd STI Root",
                "Odd STI Root",
                "Odd STI Root"
            ]
        );
        let skipped: Vec<_> = list.skipped.iter().map(|s| s.index).collect();
        assert_eq!(skipped, [1, 2, 4, 5, 8]);
        assert_eq!((list.sequence, list.expired), (Some(0), false));
        assert_eq!(list.signer_url, "https://sti-pa.example/ca-list-signer.pem");
    }

    #[test]
    fn l3_an_expired_list_says_so_and_still_opens() {
        let jws = signed(HEADER, &payload(&[entry(&pki::root())], EXP));
        assert!(!verify(&jws, EXP).unwrap().expired);
        let late = verify(&jws, EXP + 1).unwrap();
        assert!(late.expired && late.anchors.len() == 1);
        assert!(verify(&jws, EXP + 40 * 365 * 86_400).unwrap().expired);
    }

    #[test]
    fn l2_the_header_is_checked_before_the_key() {
        let body = payload(&[], EXP);
        for (header, expected) in [
            (r#"{"alg":"none","x5u":"https://a"}"#, "alg is not ES256"),
            (r#"{"alg":"HS256","x5u":"https://a"}"#, "alg is not ES256"),
            (
                r#"{"alg":"ES256","x5u":"https://a","crit":["b64"]}"#,
                "crit is there, and we understand none",
            ),
            (
                r#"{"alg":"ES256","typ":"passport","x5u":"https://a"}"#,
                "typ is not JWT",
            ),
        ] {
            assert_eq!(
                verify(&signed(header, &body), pki::NOW),
                Err(CaListError::Header(expected))
            );
        }
        for header in [
            r#"{"alg":"ES256"}"#,
            r#"{"alg":"ES256","x5u":5}"#,
            r#"{"alg":"HS256","alg":"ES256","x5u":"https://a"}"#,
        ] {
            let got = verify(&signed(header, &body), pki::NOW);
            assert!(matches!(got, Err(CaListError::Malformed(_))), "{got:?}");
        }
    }

    #[test]
    fn l2_signature_and_signer() {
        let body = payload(&[entry(&pki::root())], EXP);
        let forged = pki::jws(HEADER, &body, &pki::key(44));
        assert_eq!(verify(&forged, pki::NOW), Err(CaListError::Signature));
        let good = signed(HEADER, &body);
        let other = signed(HEADER, &payload(&[entry(&pki::other_root())], EXP));
        let (head, tail) = (
            good.rsplit_once('.').unwrap(),
            other.rsplit_once('.').unwrap(),
        );
        let swapped = format!("{}.{}", head.0, tail.1);
        assert_eq!(verify(&swapped, pki::NOW), Err(CaListError::Signature));
        let stranger = Issuer::new(pki::leaf(&pki::root(), "709J"), list_signer().key);
        let got = CaList::verify_at(
            good.as_bytes(),
            &pki::pem(&[&stranger.der]),
            &pki::pem(&[&pki::sti_pa_root().der]),
            Timestamp::from_secs(pki::NOW),
        );
        assert_eq!(got, Err(CaListError::Signer(SignerFault::Untrusted)));
        assert_eq!(
            verify(&good, pki::FROM - 1),
            Err(CaListError::Signer(SignerFault::Expired))
        );
    }

    #[test]
    fn l1_the_sti_pas_answer_around_the_list_is_opened() {
        let jws = signed(HEADER, &payload(&[entry(&pki::root())], EXP));
        let answer = serde_json::json!({"status": "success", "message": "CA List", "caList": jws});
        let bare = verify(&jws, pki::NOW).unwrap();
        assert_eq!(verify(&format!("\n{answer}\n"), pki::NOW), Ok(bare));
        let spoiled = answer.to_string().replace("success", "\u{1}");
        assert!(
            verify(&spoiled, pki::NOW).is_err(),
            "a raw control character"
        );
        let no = r#"{"status":"error","message":"token\u001b expired"}"#;
        let Err(CaListError::Answer(said)) = verify(no, pki::NOW) else {
            panic!()
        };
        assert!(said.starts_with("error: token\\") && said.is_ascii());
        for bad in [r#"{"caList":5}"#, r#"{"caList":"a.b"}"#, "{", "{}"] {
            assert!(verify(bad, pki::NOW).is_err(), "{bad}");
        }
    }

    #[test]
    fn l1_a_pem_bundle_is_no_signed_list_and_the_message_says_where_it_belongs() {
        let bundle = String::from_utf8(pki::pem(&[&pki::root().der])).unwrap();
        let error = verify(&bundle, pki::NOW).unwrap_err();
        assert_eq!(error, CaListError::Pem);
        assert!(error.to_string().contains("anchors"));
        assert_eq!(anchors_of_pem(bundle.as_bytes()).0.len(), 1);
    }

    proptest! {
        #[test]
        fn hostile_lists_never_panic(text in "[{}\\[\\]:,\"a-z.A-Z0-9\\\\-]{0,80}") {
            let _ = verify(&text, pki::NOW);
            let _ = anchors_of_pem(text.as_bytes());
        }

        #[test]
        fn no_changed_octet_of_a_list_goes_through(at in 0usize..8192, with in "[A-Za-z0-9_.{-]") {
            let mut jws = signed(HEADER, &payload(&[entry(&pki::root())], EXP)).into_bytes();
            let at = at % jws.len();
            prop_assume!(jws[at] != with.as_bytes()[0]);
            jws[at] = with.as_bytes()[0];
            let text = String::from_utf8(jws).unwrap();
            let good = verify(&signed(HEADER, &payload(&[entry(&pki::root())], EXP)), pki::NOW).unwrap();
            // The last character has slack bits: other text, same signature, same list.
            let same = verify(&text, pki::NOW).map(|list| CaList { digest: good.digest, ..list });
            prop_assert!(same.is_err() || same == Ok(good), "a changed octet at {} went through", at);
        }
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for bad in ["", "a.b", "a.b.c.d", "....", "\u{e9}.b.c"] {
            assert!(verify(bad, pki::NOW).is_err(), "{bad:?}");
        }
        for body in ["{}", "[]", r#"{"exp":"1","trustList":[]}"#, r#"{"exp":1}"#] {
            assert!(verify(&signed(HEADER, body), pki::NOW).is_err(), "{body}");
        }
    }
}
