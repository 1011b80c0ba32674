//! Rules E2, E2C, E2D and E2K: rich call data (RFC 9795), in a token of its own or in a SHAKEN one.
//!
//! Digests over what stands in the token are checked. A picture or card that it only refers to is never fetched.

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use ring::digest::{Algorithm, SHA256, SHA384, SHA512, digest};
use serde_json::Value;

use super::{Rule, RuleStates};
use crate::stir::passport::Kind;
use crate::stir::passport::extension::{Digest, Extension, canonical};

/// Members that refer to content elsewhere, which has to be covered by a digest.
const REFERENCES: [&str; 2] = ["icn", "jcl"];

/// Judges the claims. In a SHAKEN token what could not be fetched leaves the calling number alone: E2C is for `rcd` tokens.
pub(super) fn judge(kind: Kind, extension: &Extension, states: &mut RuleStates) {
    let (Some(rcd), Some(digests)) = (extension.rich_call_data(), extension.digests()) else {
        states.judge(Rule::E2, false);
        return;
    };
    let covered = |name: &&str| digests.iter().any(|d| member(d.pointer) == *name);
    let named = rcd.get("nam").is_some_and(Value::is_string);
    let referring = REFERENCES
        .into_iter()
        .filter(|name| rcd.get(name).is_some());
    states.judge(Rule::E2, named && referring.clone().all(|n| covered(&n)));
    let checks: Vec<_> = digests.iter().map(|d| check(d, rcd)).collect();
    if !digests.is_empty() {
        let slashed = |d: &Digest<'_>| d.pointer.starts_with('/');
        states.judge(Rule::E2K, digests.iter().all(slashed));
    }
    if checks.contains(&Check::Wrong) {
        states.judge(Rule::E2D, false);
    } else if checks.contains(&Check::Right) {
        states.judge(Rule::E2D, true);
    }
    let elsewhere = referring.count() > 0 || checks.contains(&Check::Elsewhere);
    if elsewhere && kind == Kind::Rcd {
        states.cannot_tell(Rule::E2C);
    }
}

/// What a pointer begins with; drafts had it without slash.
fn member(pointer: &str) -> &str {
    let pointer = pointer.strip_prefix('/').unwrap_or(pointer);
    pointer.split('/').next().unwrap_or_default()
}

/// What came of one digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    Right,
    Wrong,
    /// What it covers does not stand in the token.
    Elsewhere,
}

fn check(digest_of: &Digest<'_>, rcd: &Value) -> Check {
    let Some((algorithm, wanted)) = digest_of.value.and_then(read) else {
        return Check::Wrong;
    };
    let pointer = match digest_of.pointer.strip_prefix('/') {
        Some(_) => digest_of.pointer.to_owned(),
        None => format!("/{}", digest_of.pointer),
    };
    match rcd.pointer(&pointer) {
        // A text is a reference; so is whatever the token does not hold.
        Some(inline @ (Value::Array(_) | Value::Object(_))) => {
            let found = digest(algorithm, canonical(inline).as_bytes());
            if found.as_ref() == wanted {
                Check::Right
            } else {
                Check::Wrong
            }
        }
        Some(_) => Check::Elsewhere,
        None => Check::Wrong,
    }
}

/// `sha256-` and the like, and a digest of that length in either alphabet of base64, padded or not.
fn read(text: &str) -> Option<(&'static Algorithm, Vec<u8>)> {
    let (name, digest) = text.split_once('-')?;
    let algorithm = match name {
        "sha256" => &SHA256,
        "sha384" => &SHA384,
        "sha512" => &SHA512,
        _ => return None,
    };
    let lenient =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let octets = [STANDARD, URL_SAFE]
        .iter()
        .find_map(|a| GeneralPurpose::new(a, lenient).decode(digest).ok())?;
    (octets.len() == algorithm.output_len()).then_some((algorithm, octets))
}
