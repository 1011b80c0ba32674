//! Signatures: what a portal keeps, anybody can check years later, without us.
//!
//! Comes in: a key file of ours, and something to sign. Goes out: its JSON with a further member `jws`, a compact JWS (RFC 7515) whose
//! payload is exactly the octets of that JSON without it. The payload is what counts; the members beside it are there to be read, and
//! [`Verifier::open`] checks that they say the same.
//!
//! Refused: keys that others may read, other algorithms than EdDSA (Ed25519, RFC 8037) and ES256, `none` above all.
//!
//! - [`verify`]: keys of others, and the check

mod same;
pub mod verify;

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

pub use verify::{Flaw, Opened, Verifier};

use crate::traceback::answer::HopAnswer;
use crate::traceback::request::sha256_hex;

/// Largest key file: a PKCS#8 key of either kind has below 300 octets.
const MAX_KEY_FILE: u64 = 16 * 1024;
/// What stands before the seed in a PKCS#8 key of Ed25519 (RFC 8410 §7).
const ED25519_PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// What is signed. It stands in the protected header as `typ`, so that a signature under one kind is never good for another (RFC 8725 §3.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A hop answer.
    Answer,
    /// An answer that its own house has not approved: shown to its staff, and never an answer.
    Draft,
    /// A campaign that we report unasked.
    Report,
    /// The head of the audit log.
    TreeHead,
}

impl Kind {
    /// As `typ` says it.
    pub const fn typ(self) -> &'static str {
        match self {
            Self::Answer => "hop-answer+jws",
            Self::Draft => "hop-answer-draft+jws",
            Self::Report => "campaign-report+jws",
            Self::TreeHead => "audit-head+jws",
        }
    }
}

/// Why there is no key or no signature.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The file.
    #[error("{0}")]
    File(#[from] std::io::Error),
    /// Others may read it.
    #[error("others than its owner may read it: chmod 600")]
    Open,
    /// It is no key that we can use.
    #[error(
        "it is no private key that we can use: PEM \"PRIVATE KEY\" (PKCS#8, not encrypted), Ed25519 or P-256; `tracehop answer key --new FILE` makes one"
    )]
    Key,
    /// The host has no randomness.
    #[error("no random numbers from the host")]
    Random,
    /// Only objects are signed.
    #[error("only a JSON object without a member \"jws\" can be signed")]
    NoObject,
    /// The library, which says no more.
    #[error("signing failed: {0}")]
    Failed(String),
}

/// Something signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// What was signed, with the member `jws` at its end.
    pub json: Vec<u8>,
    /// The compact JWS alone.
    pub jws: String,
}

impl Signed {
    /// SHA-256 of the compact JWS, in hexadecimal: the next hop's `previous_hop_digest`.
    pub fn digest(&self) -> Box<str> {
        digest(&self.jws)
    }
}

/// SHA-256 of a compact JWS, in hexadecimal.
pub fn digest(jws: &str) -> Box<str> {
    sha256_hex(jws.as_bytes())
}

/// Signs answers, reports and tree heads.
pub struct Signer {
    key: EncodingKey,
    algorithm: Algorithm,
    kid: Box<str>,
    jwk: Value,
}

/// Says which key, and nothing of it.
impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.kid)
    }
}

impl Signer {
    /// Reads a key file that only its owner may read.
    ///
    /// # Errors
    ///
    /// What is wrong with the file, without a word of what is in it.
    pub fn read(path: &Path) -> Result<Self, SignError> {
        let file = File::open(path)?;
        let about = file.metadata()?;
        if about.mode() & 0o077 != 0 {
            return Err(SignError::Open);
        }
        let mut pem = Vec::new();
        file.take(MAX_KEY_FILE).read_to_end(&mut pem)?;
        Self::load(&pem)
    }

    /// Takes a key: PEM, PKCS#8, Ed25519 or P-256.
    ///
    /// # Errors
    ///
    /// [`SignError::Key`].
    pub fn load(pem: &[u8]) -> Result<Self, SignError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| SignError::Key)?;
        let der = der.secret_pkcs8_der();
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            let x = BASE64_URL_SAFE_NO_PAD.encode(pair.public_key());
            let kid = thumbprint(&json!({ "crv": "Ed25519", "kty": "OKP", "x": x }));
            return Ok(Self {
                key: EncodingKey::from_ed_der(der),
                algorithm: Algorithm::EdDSA,
                jwk: json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "alg": "EdDSA", "use": "sig" }),
                kid,
            });
        }
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random)
            .map_err(|_| SignError::Key)?;
        // An uncompressed point (SEC 1 §2.3.3): 4, x, y.
        let point = pair.public_key().as_ref();
        let half = |at: std::ops::Range<usize>| {
            let octets = point.get(at).ok_or(SignError::Key)?;
            Ok::<_, SignError>(BASE64_URL_SAFE_NO_PAD.encode(octets))
        };
        let (x, y) = (half(1..33)?, half(33..65)?);
        let kid = thumbprint(&json!({ "crv": "P-256", "kty": "EC", "x": x, "y": y }));
        Ok(Self {
            key: EncodingKey::from_ec_der(der),
            algorithm: Algorithm::ES256,
            jwk: json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": kid, "alg": "ES256", "use": "sig" }),
            kid,
        })
    }

    /// Names the key: its thumbprint by RFC 7638.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public key, as a JWK.
    pub fn jwk(&self) -> &Value {
        &self.jwk
    }

    /// The public key as a set, for `/.well-known/traceback-provider`.
    pub fn jwks(&self) -> Value {
        json!({ "keys": [self.jwk] })
    }

    /// The public key as Standard Webhooks write it, for those whom we push to: `whpk_…`. Only a key of Ed25519 has one.
    pub fn webhook_key(&self) -> Option<String> {
        if self.algorithm != Algorithm::EdDSA {
            return None;
        }
        let x = self.jwk.get("x")?.as_str()?;
        let octets = BASE64_URL_SAFE_NO_PAD.decode(x).ok()?;
        Some(format!("whpk_{}", BASE64_STANDARD.encode(octets)))
    }

    /// Signs a pushed event by the Standard Webhooks specification: the value of `webhook-signature`, `v1a,…`. `None` without a key of Ed25519.
    pub fn sign_webhook(&self, id: &str, timestamp: i64, body: &[u8]) -> Option<String> {
        if self.algorithm != Algorithm::EdDSA {
            return None;
        }
        let mut message = format!("{id}.{timestamp}.").into_bytes();
        message.extend_from_slice(body);
        let signature = jsonwebtoken::crypto::sign(&message, &self.key, self.algorithm).ok()?;
        let octets = BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?;
        Some(format!("v1a,{}", BASE64_STANDARD.encode(octets)))
    }

    /// Signs an answer.
    ///
    /// # Errors
    ///
    /// [`SignError::Failed`], when the host has no randomness for ES256.
    pub fn sign(&self, answer: &HopAnswer) -> Result<Signed, SignError> {
        self.sign_value(Kind::Answer, answer)
    }

    /// Signs anything that is a JSON object.
    ///
    /// # Errors
    ///
    /// It is no object, or has a member `jws`; as [`Signer::sign`].
    pub fn sign_value<T: Serialize>(&self, kind: Kind, value: &T) -> Result<Signed, SignError> {
        let text = serde_json::to_string(value).map_err(|e| SignError::Failed(e.to_string()))?;
        self.sign_octets(kind, text)
    }

    /// Signs a JSON object as it is written, octet by octet.
    ///
    /// # Errors
    ///
    /// As [`Signer::sign_value`].
    pub fn sign_octets(&self, kind: Kind, text: String) -> Result<Signed, SignError> {
        let members = match serde_json::from_str::<Value>(&text) {
            Ok(Value::Object(members)) if !members.contains_key("jws") => members.len(),
            _ => return Err(SignError::NoObject),
        };
        let payload = RawValue::from_string(text).map_err(|_| SignError::NoObject)?;
        let header = Header {
            typ: Some(kind.typ().to_owned()),
            kid: Some(self.kid.to_string()),
            ..Header::new(self.algorithm)
        };
        let jws = jsonwebtoken::encode(&header, &payload, &self.key)
            .map_err(|e| SignError::Failed(e.to_string()))?;
        let open = payload.get().trim_end().strip_suffix('}');
        let open = open.ok_or(SignError::NoObject)?;
        let comma = if members == 0 { "" } else { "," };
        let json = format!("{open}{comma}\"jws\":\"{jws}\"}}").into_bytes();
        Ok(Signed { json, jws })
    }
}

/// Makes a new key of Ed25519 in a file that is not there yet, readable by its owner alone, and gives its signer.
///
/// # Errors
///
/// The file is there, or can't be written; the host has no randomness.
pub fn new_key(path: &Path) -> Result<Signer, SignError> {
    let mut seed = [0u8; 32];
    SystemRandom::new()
        .fill(&mut seed)
        .map_err(|_| SignError::Random)?;
    let der = [ED25519_PKCS8.as_slice(), &seed].concat();
    let text = BASE64_STANDARD.encode(der);
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
    let signer = Signer::load(pem.as_bytes())?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(pem.as_bytes())?;
    file.sync_all()?;
    Ok(signer)
}

/// RFC 7638: SHA-256 over the members that a key needs, in the order of their names, without white space.
fn thumbprint(needed: &Value) -> Box<str> {
    let octets = needed.to_string();
    let digest = ring::digest::digest(&ring::digest::SHA256, octets.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(digest).into()
}

#[cfg(test)]
mod tests;
