//! Rule P9: whether `mky` names the keys that the session description offers (RFC 8225 §5.2.2).

use super::facts::CallFacts;
use super::{Rule, RuleStates};
use crate::stir::passport::Extension;

/// Most fingerprints of one session description that are looked at; one for each medium is usual.
const MAX_FINGERPRINTS: usize = 32;

/// Judges the keys. Without a fingerprint in the message there is nothing to compare.
pub(super) fn judge(extension: &Extension, facts: &CallFacts<'_>, states: &mut RuleStates) {
    let mut offered: Vec<_> = facts
        .body
        .split(|b| *b == b'\n')
        .filter_map(|line| fingerprint(line.trim_ascii()))
        .take(MAX_FINGERPRINTS)
        .collect();
    if offered.is_empty() {
        return;
    }
    let signed = extension.media_keys().map(|keys| {
        let mut keys: Vec<_> = keys.into_iter().map(|(a, d)| plain(a, d)).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    });
    offered.sort_unstable();
    offered.dedup();
    states.judge(Rule::P9, signed.is_some_and(|s| s == offered));
}

/// `a=fingerprint:sha-256 4A:AD:…` (RFC 8122 §5).
fn fingerprint(line: &[u8]) -> Option<(String, String)> {
    let line = str::from_utf8(line).ok()?;
    let (algorithm, digest) = line.strip_prefix("a=fingerprint:")?.split_once(' ')?;
    Some(plain(algorithm, digest))
}

/// In lower case and without the colons, which `dig` leaves out.
fn plain(algorithm: &str, digest: &str) -> (String, String) {
    let digest: String = digest.trim().chars().filter(|c| *c != ':').collect();
    (algorithm.to_ascii_lowercase(), digest.to_ascii_lowercase())
}
