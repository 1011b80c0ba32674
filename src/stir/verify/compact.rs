//! Rule J7: what a compact token stands for (RFC 8225 §7, RFC 8224 §4.1.1).
//!
//! Header and payload are rebuilt as the signer must have written them: members in lexicographic order, no blanks, `iat` from Date,
//! the calling number from P-Asserted-Identity or From, the called one from To. Base PASSporTs alone: what the claims of an extension
//! were can't be told from a message.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::facts::{CallFacts, Party};
use super::freshness::parse_date;
use crate::stir::passport::extension::canonical;

/// A header and a payload, rebuilt.
pub(super) struct Rebuilt {
    pub header: String,
    pub payload: String,
}

/// What a message lacks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// Date, or one that can be read.
    Date,
    /// A calling identity that can be told.
    Calling,
    /// A called one.
    Called,
    /// `info`.
    Url,
}

impl Rebuilt {
    /// What was signed.
    pub fn signing_input(&self) -> String {
        let [header, payload] = [&self.header, &self.payload].map(|p| URL_SAFE_NO_PAD.encode(p));
        format!("{header}.{payload}")
    }
}

/// Rebuilds from a message and the `info` parameter.
pub(super) fn rebuild(info: Option<&[u8]>, facts: &CallFacts<'_>) -> Result<Rebuilt, Missing> {
    let url = info
        .and_then(|i| str::from_utf8(i).ok())
        .ok_or(Missing::Url)?;
    let date = facts.date.and_then(parse_date).ok_or(Missing::Date)?;
    let asserted = facts.asserted.iter().find(|p| p.tn.is_some());
    let calling = asserted.or(facts.from.as_ref());
    if asserted.is_none() && facts.calling_open {
        return Err(Missing::Calling);
    }
    let orig = calling.and_then(identity).ok_or(Missing::Calling)?;
    let called = facts.to.as_ref().and_then(identity);
    let (kind, text) = called.ok_or(Missing::Called)?;
    let dest = json!({ (kind): [text] });
    let (kind, text) = orig;
    let orig = json!({ (kind): text });
    Ok(Rebuilt {
        header: canonical(&json!({"alg": "ES256", "typ": "passport", "x5u": url})),
        payload: canonical(&json!({"dest": dest, "iat": date.secs(), "orig": orig})),
    })
}

/// A party as `tn` or `uri`; `None` where it is withheld.
fn identity(party: &Party<'_>) -> Option<(&'static str, Value)> {
    if let Some(tn) = party.tn {
        return Some(("tn", tn.as_str().into()));
    }
    if party.is_withheld() {
        return None;
    }
    Some(("uri", party.canonical_uri()?.into()))
}
