//! Checks what others signed, with keys that the caller has got and trusts: nothing is fetched.
//!
//! The algorithm is the key's, never the token's: a header that names another one is refused. So is `crit` with anything in it, which
//! would say that the payload is to be read in a way that we don't know.

use std::collections::HashMap;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::{Value, json};

use super::same::same;
use super::{Kind, thumbprint};

/// Largest signed object that is read, in octets. An answer with every window, hole and condition has some 8 KB.
pub const MAX_SIGNED: usize = 256 * 1024;
/// Most keys that a verifier holds: two of each provider in the Robocall Mitigation Database (7,346 in January 2025), rounded up.
pub const MAX_KEYS: usize = 20_000;
/// Most keys of one name that are tried. Names are thumbprints, so this is one; others may number theirs.
const MAX_SAME_KID: usize = 16;

/// What is wrong with something signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// It can't be read.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// No signature.
    #[error("not signed: there is no member \"jws\"")]
    Unsigned,
    /// An algorithm that we don't take.
    #[error("algorithm {0:?} is not taken: only EdDSA and ES256 are")]
    Algorithm(Box<str>),
    /// It was signed as something else.
    #[error("signed as {found:?}, not as {wanted:?}")]
    Kind {
        /// What its header says.
        found: Box<str>,
        /// What was asked for.
        wanted: &'static str,
    },
    /// The key is not among those that we have.
    #[error("signed by a key that is not known: {0:?}")]
    UnknownKey(Box<str>),
    /// The key is known, and this is not its signature.
    #[error("the signature is not good")]
    Signature,
    /// The visible members say something else than what was signed.
    #[error("member {0:?} is not what was signed")]
    Tampered(Box<str>),
}

/// A public key, and whose it is.
#[derive(Clone)]
struct PublicKey {
    key: DecodingKey,
    algorithm: Algorithm,
    provider: Option<Box<str>>,
}

/// Something whose signature held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// What was signed, octet by octet.
    pub payload: Vec<u8>,
    /// The compact JWS.
    pub jws: Box<str>,
    /// Which key.
    pub kid: Box<str>,
    /// Id of the provider whose key it is, where the caller has said so.
    pub provider: Option<Box<str>>,
}

/// Public keys by name.
#[derive(Clone, Default)]
pub struct Verifier {
    keys: HashMap<Box<str>, Vec<PublicKey>>,
    count: usize,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Verifier({} keys)", self.count)
    }
}

#[derive(Deserialize)]
struct Protected {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
    b64: Option<Value>,
}

impl Verifier {
    /// How many keys it holds.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Names of its keys.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(|kid| &**kid)
    }

    /// Takes the keys of a JWK set. `provider` says whose they are; without it each key may name its provider itself (`"provider"`),
    /// which is good only in a set that the caller has put together. Keys of other kinds are passed over. Gives how many were taken.
    ///
    /// # Errors
    ///
    /// What is wrong with the set: it is none, a key in it names another provider, or there would be more than [`MAX_KEYS`].
    pub fn add(&mut self, jwks: &[u8], provider: Option<&str>) -> Result<usize, String> {
        let set: Value = serde_json::from_slice(jwks).map_err(|e| e.to_string())?;
        // The document at /.well-known/traceback-provider has the set in a member.
        let set = set.get("jwks").unwrap_or(&set);
        let keys = set.get("keys").and_then(Value::as_array);
        let keys = keys.ok_or("it is no JWK set: there is no member \"keys\"")?;
        let mut taken = 0;
        for jwk in keys {
            let own = jwk.get("provider").and_then(Value::as_str);
            if let (Some(own), Some(provider)) = (own, provider)
                && own != provider
            {
                return Err(format!(
                    "a key in it says that it is {own:?}'s, and the file is {provider:?}'s"
                ));
            }
            let Some((kid, mut key)) = PublicKey::of(jwk) else {
                continue;
            };
            if self.count >= MAX_KEYS {
                return Err(format!("more than {MAX_KEYS} keys"));
            }
            key.provider = provider.or(own).map(Into::into);
            self.keys.entry(kid).or_default().push(key);
            self.count += 1;
            taken += 1;
        }
        Ok(taken)
    }

    /// Checks something signed, as a portal keeps it: an object with a member `jws`.
    ///
    /// # Errors
    ///
    /// The first flaw that was found.
    pub fn open(&self, signed: &[u8], kind: Kind) -> Result<Opened, Flaw> {
        if signed.len() > MAX_SIGNED {
            return Err(Flaw::Malformed("it is too large"));
        }
        let visible: Value =
            serde_json::from_slice(signed).map_err(|_| Flaw::Malformed("it is no JSON"))?;
        let Value::Object(mut visible) = visible else {
            return Err(Flaw::Malformed("it is no JSON object"));
        };
        let jws = match visible.shift_remove("jws") {
            Some(Value::String(jws)) => jws,
            Some(_) => return Err(Flaw::Malformed("jws is no text")),
            None => return Err(Flaw::Unsigned),
        };
        let opened = self.open_jws(&jws, kind)?;
        let signed: Value = serde_json::from_slice(&opened.payload)
            .map_err(|_| Flaw::Malformed("the payload is no JSON"))?;
        let Value::Object(signed) = signed else {
            return Err(Flaw::Malformed("the payload is no JSON object"));
        };
        let names = signed.keys().chain(visible.keys());
        for name in names {
            match (signed.get(name), visible.get(name)) {
                (Some(a), Some(b)) if same(a, b) => {}
                _ => return Err(Flaw::Tampered(name.as_str().into())),
            }
        }
        Ok(opened)
    }

    /// Checks a compact JWS alone.
    ///
    /// # Errors
    ///
    /// The first flaw that was found.
    pub fn open_jws(&self, jws: &str, kind: Kind) -> Result<Opened, Flaw> {
        if jws.len() > MAX_SIGNED {
            return Err(Flaw::Malformed("it is too large"));
        }
        let three = Flaw::Malformed("jws has not three parts");
        let (message, signature) = jws.rsplit_once('.').ok_or(three.clone())?;
        let (header, payload) = message.split_once('.').ok_or(three)?;
        let octets = |part: &str| {
            let octets = BASE64_URL_SAFE_NO_PAD.decode(part);
            octets.map_err(|_| Flaw::Malformed("jws is no base64url"))
        };
        let header: Protected = serde_json::from_slice(&octets(header)?)
            .map_err(|_| Flaw::Malformed("the header of jws can't be read"))?;
        if header.crit.is_some() || header.b64.is_some() {
            return Err(Flaw::Malformed("jws asks for an extension (crit, b64)"));
        }
        if !["EdDSA", "ES256"].contains(&header.alg.as_str()) {
            return Err(Flaw::Algorithm(header.alg.into()));
        }
        let typ = header.typ.unwrap_or_default();
        if typ != kind.typ() {
            let wanted = kind.typ();
            let found = typ.into();
            return Err(Flaw::Kind { found, wanted });
        }
        let kid: Box<str> = header.kid.unwrap_or_default().into();
        let Some(keys) = self.keys.get(&kid) else {
            return Err(Flaw::UnknownKey(kid));
        };
        let good = |key: &&PublicKey| {
            let algorithm = key.algorithm;
            header.alg == name(algorithm)
                && jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key.key, algorithm)
                    .is_ok_and(|good| good)
        };
        let key = keys.iter().take(MAX_SAME_KID).find(good);
        let key = key.ok_or(Flaw::Signature)?;
        Ok(Opened {
            payload: octets(payload)?,
            jws: jws.into(),
            kid,
            provider: key.provider.clone(),
        })
    }
}

impl PublicKey {
    /// A key with its name: the set's, or else its thumbprint.
    fn of(jwk: &Value) -> Option<(Box<str>, Self)> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        if text("use").is_some_and(|u| u != "sig") {
            return None;
        }
        let (kty, crv, x) = (text("kty")?, text("crv")?, text("x")?);
        let (key, algorithm, needed) = match (kty, crv) {
            ("OKP", "Ed25519") => (
                DecodingKey::from_ed_components(x).ok()?,
                Algorithm::EdDSA,
                json!({ "crv": crv, "kty": kty, "x": x }),
            ),
            ("EC", "P-256") => {
                let y = text("y")?;
                (
                    DecodingKey::from_ec_components(x, y).ok()?,
                    Algorithm::ES256,
                    json!({ "crv": crv, "kty": kty, "x": x, "y": y }),
                )
            }
            _ => return None,
        };
        let kid = text("kid").map_or_else(|| thumbprint(&needed), Into::into);
        let key = Self {
            key,
            algorithm,
            provider: None,
        };
        Some((kid, key))
    }
}

const fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::EdDSA => "EdDSA",
        _ => "ES256",
    }
}
