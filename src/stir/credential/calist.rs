//! The STI-PA's list of trusted certification authorities (ATIS-1000084, ATIS-1000080): a compact JWS, ES256.
//!
//! In come its text, its signer's certificates and the pinned root; out come the anchors, and the entries that could not be used,
//! each with its reason: real lists hold keys that not everybody can read, and one of them must not cost the others.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::certificate::{Certificate, PublicKey};
use super::{SignerFault, pem, signer};
use crate::base::Timestamp;

/// Largest list that is looked at.
pub const MAX_LIST: usize = 4 * 1024 * 1024;

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
        let jws = std::str::from_utf8(jws)
            .map_err(|_| CaListError::Malformed("not text".to_owned()))?
            .trim();
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
        })
    }
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
    use crate::stir::credential::testpki::{self as pki, Issuer};

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
        let p521 = pki::root_with_key(pki::Subject::Unsupported);
        let rsa = pki::root_with_key(pki::Subject::Rsa(vec![]));
        let p384 = pki::root_with_key(pki::Subject::P384(vec![]));
        let entries = [
            entry(&pki::root()),
            "garbage".into(),
            7.into(),
            entry(&ca),
            entry(&leaf),
            entry(&p521),
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
    fn what_is_no_list_is_refused() {
        for bad in ["", "a.b", "a.b.c.d", "....", "\u{e9}.b.c"] {
            assert!(verify(bad, pki::NOW).is_err(), "{bad:?}");
        }
        for body in ["{}", "[]", r#"{"exp":"1","trustList":[]}"#, r#"{"exp":1}"#] {
            assert!(verify(&signed(HEADER, body), pki::NOW).is_err(), "{body}");
        }
    }
}
