//! Signatures of pushed events by the Standard Webhooks specification: symmetric (`v1`, HMAC-SHA256) and asymmetric (`v1a`, Ed25519).
//!
//! ```text
//! webhook-id         the same for the same event, however often it is sent
//! webhook-timestamp  seconds since 1970, of this try
//! webhook-signature  v1,<base64> v1a,<base64> … over "id.timestamp.body"; one that fits is enough
//! ```
//!
//! A message is taken within [`WINDOW`] of its timestamp. For twice that time [`Seen`] remembers ids: the same event may come again when it is
//! signed anew, with a later timestamp, and never the same message twice. Bounded by the rate limit of each portal, which comes first.
//! After a restart nothing is remembered, so what was signed before it is refused ([`push`](super::push)): a portal signs anew when it tries again.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::{hmac, signature};

use super::refusal::Refusal;
use crate::base::Timestamp;
use crate::base::bounded::BoundedMap;
use crate::base::digest::Digest128;

/// How far a timestamp may be off, to either side: the tolerance of the specification's own libraries.
pub const WINDOW: Duration = Duration::from_secs(300);
/// How long ids are remembered: a message signed in our future is good until then.
const REMEMBERED: Duration = Duration::from_secs(600);
/// Most keys of one portal: two while one takes the place of another, and as many again.
const KEYS: usize = 4;
/// Longest file of keys.
const MAX_FILE: u64 = 1024;
/// Octets of a symmetric key, by the specification.
const SECRET: std::ops::RangeInclusive<usize> = 24..=64;
/// Longest id: as other ids here.
const MAX_ID: usize = 256;
/// Signatures that are looked at in one message: as many as keys of a sender that changes them, and its kinds.
const SIGNATURES: usize = 2 * KEYS;

/// A key by which events are checked. It is never shown.
#[derive(Clone)]
pub enum HookKey {
    /// `whsec_…`
    Secret(hmac::Key),
    /// `whpk_…`
    Public(Box<[u8]>),
}

impl fmt::Debug for HookKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret(_) => "HookKey::Secret",
            Self::Public(_) => "HookKey::Public",
        })
    }
}

impl HookKey {
    /// A key as it is written, and a digest by which two of them can be compared.
    pub fn parse(text: &str) -> Option<(Self, Digest128)> {
        let (octets, public) = match text.strip_prefix("whpk_") {
            Some(rest) => (STANDARD.decode(rest).ok()?, true),
            None => (STANDARD.decode(text.strip_prefix("whsec_")?).ok()?, false),
        };
        let digest = Digest128::of(&octets);
        let key = match public {
            true if octets.len() == 32 => Self::Public(octets.into()),
            false if SECRET.contains(&octets.len()) => {
                Self::Secret(hmac::Key::new(hmac::HMAC_SHA256, &octets))
            }
            _ => return None,
        };
        Some((key, digest))
    }

    /// Reads a file of keys, a line each, that only its owner may read.
    ///
    /// # Errors
    ///
    /// What is wrong with the file, without a word of what is in it.
    pub fn read(path: &Path) -> Result<Vec<(Self, Digest128)>, String> {
        let text = secret_text(path, MAX_FILE)?;
        let lines = text.lines().map(str::trim).filter(|l| !l.is_empty());
        let keys: Option<Vec<_>> = lines.map(Self::parse).collect();
        match keys {
            Some(keys) if (1..=KEYS).contains(&keys.len()) => Ok(keys),
            _ => Err(format!(
                "write one to {KEYS} lines, each whsec_ with 24 to 64 octets, or whpk_ with 32, in base64"
            )),
        }
    }

    fn fits(&self, version: &str, signed: &[u8], signature: &[u8]) -> bool {
        match (self, version) {
            (Self::Secret(key), "v1") => hmac::verify(key, signed, signature).is_ok(),
            (Self::Public(key), "v1a") => {
                let key = signature::UnparsedPublicKey::new(&signature::ED25519, key);
                key.verify(signed, signature).is_ok()
            }
            _ => false,
        }
    }
}

/// Reads a short file that only its owner may read.
pub(super) fn secret_text(path: &Path, most: u64) -> Result<String, String> {
    use std::os::unix::fs::PermissionsExt;
    let file = std::fs::metadata(path).map_err(|e| e.to_string())?;
    if file.permissions().mode() & 0o077 != 0 {
        return Err("others than its owner may read it: chmod 600".to_owned());
    }
    if file.len() > most {
        return Err("it is too large for what it should hold".to_owned());
    }
    std::fs::read_to_string(path).map_err(|e| e.to_string())
}

/// What the headers of an event say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// Of the event.
    pub id: &'a str,
    /// Of this try, seconds since 1970.
    pub timestamp: i64,
    signatures: &'a str,
}

impl<'a> Envelope<'a> {
    /// Reads the headers.
    ///
    /// # Errors
    ///
    /// [`Refusal::Unsigned`], [`Refusal::Stale`].
    pub fn read(headers: &'a HeaderMap, now: Timestamp) -> Result<Self, Refusal> {
        let text = |name| one(headers, name).ok_or(Refusal::Unsigned);
        let id = text("webhook-id")?;
        // A full stop would let the same octets be read as another id, timestamp and body.
        if id.is_empty() || id.len() > MAX_ID || id.contains('.') {
            return Err(Refusal::Unsigned);
        }
        let seconds = text("webhook-timestamp")?;
        let digits = seconds.bytes().all(|b| b.is_ascii_digit());
        let timestamp = seconds.parse::<i64>().ok().filter(|_| digits);
        let timestamp = timestamp.ok_or(Refusal::Unsigned)?;
        let signatures = text("webhook-signature")?;
        let window = i64::try_from(WINDOW.as_secs()).unwrap_or(0);
        match timestamp.abs_diff(now.secs()) <= window.unsigned_abs() {
            true => Ok(Self {
                id,
                timestamp,
                signatures,
            }),
            false => Err(Refusal::Stale),
        }
    }

    /// What is signed.
    pub fn signed(&self, body: &[u8]) -> Vec<u8> {
        let mut signed = format!("{}.{}.", self.id, self.timestamp).into_bytes();
        signed.extend_from_slice(body);
        signed
    }

    /// Whether one of the signatures is by one of the keys.
    pub fn is_by(&self, keys: &[HookKey], signed: &[u8]) -> bool {
        let mut all = self.signatures.split(' ').take(SIGNATURES);
        all.any(|text| {
            let Some((version, signature)) = text.split_once(',') else {
                return false;
            };
            let Ok(signature) = STANDARD.decode(signature) else {
                return false;
            };
            keys.iter().any(|k| k.fits(version, signed, &signature))
        })
    }
}

/// The value of a header that is there once.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut all = headers.get_all(name).iter();
    let first = all.next()?.to_str().ok()?;
    all.next().is_none().then_some(first)
}

/// Whether an event is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fresh {
    /// It was not here within [`REMEMBERED`].
    New,
    /// It was, and was signed anew since.
    Again,
}

/// Ids of events that came, by portal.
#[derive(Debug, Default)]
pub struct Seen(Mutex<HashMap<Arc<str>, BoundedMap<Digest128, Mark>>>);

#[derive(Clone, Copy, Debug)]
struct Mark {
    timestamp: i64,
    body: Digest128,
}

impl Mark {
    fn of(envelope: &Envelope<'_>, body: &[u8]) -> Self {
        Self {
            timestamp: envelope.timestamp,
            body: Digest128::of(body),
        }
    }

    fn after(self, before: Option<&Self>) -> Result<Fresh, Refusal> {
        match before {
            None => Ok(Fresh::New),
            Some(before) if before.body != self.body => Err(Refusal::IdReused),
            Some(before) if before.timestamp >= self.timestamp => Err(Refusal::Replayed),
            Some(_) => Ok(Fresh::Again),
        }
    }
}

impl Seen {
    /// Looks whether a message whose signature fits was here before, and remembers nothing.
    ///
    /// # Errors
    ///
    /// [`Refusal::Replayed`], [`Refusal::IdReused`].
    pub fn look(
        &self,
        portal: &Arc<str>,
        envelope: &Envelope<'_>,
        body: &[u8],
    ) -> Result<Fresh, Refusal> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = Digest128::of(envelope.id.as_bytes());
        let before = all.get(portal).and_then(|ids| ids.get(&key));
        Mark::of(envelope, body).after(before)
    }

    /// Remembers a message whose signature fits. Room is for all that the rate limit lets in, and for half as many again.
    ///
    /// # Errors
    ///
    /// [`Refusal::Replayed`], [`Refusal::IdReused`].
    pub fn remember(
        &self,
        portal: &Arc<str>,
        per_minute: u32,
        envelope: &Envelope<'_>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Fresh, Refusal> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ids = all.entry(portal.clone()).or_insert_with(|| {
            // A full bucket, ten minutes of its filling, and some more for a clock that is set.
            let room = usize::try_from(per_minute).unwrap_or(usize::MAX);
            BoundedMap::new(room.saturating_mul(16), REMEMBERED)
        });
        while ids.poll_expired(now).is_some() {}
        let key = Digest128::of(envelope.id.as_bytes());
        let mark = Mark::of(envelope, body);
        let fresh = mark.after(ids.get(&key))?;
        // Anew, so that its time counts from now.
        ids.remove(&key);
        ids.insert(key, mark, now);
        Ok(fresh)
    }
}
