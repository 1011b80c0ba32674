//! One record against one line of `truth.jsonl`.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::base::digest::IdDigest;
use crate::call::classify::Flag;
use crate::call::record::{End, StoredCall};
use crate::stir::verify::Validation;

/// Flags that count calls: the lab says whose calls they are meant for, and [`super::score`] how many they hit.
pub use crate::call::classify::behaviour::KINDS as COUNTING;

/// How far a duration may be off: frames of one message, and the resolution of a capture, in milliseconds.
const DURATION: i64 = 5;

/// What a record says otherwise than its truth; `pair` is the Call-ID of the leg that the record is paired with.
pub fn differences(row: &Value, call: &StoredCall, pair: Option<IdDigest>) -> Vec<String> {
    let mut out = Vec::new();
    let (b, end) = (&call.begin, call.end.as_ref());
    let mut same = |what: &str, got: Value| {
        let want = &row[what];
        if *want != got {
            out.push(format!("{what}: truth {want}, record {got}"));
        }
    };
    same("validation", json(&b.verdict.validation));
    if b.verdict.validation != Validation::Passed {
        same("rule", json(&b.verdict.decided_by));
    }
    // A token that breaks the form may still be readable; then the truth does not say what it claims.
    if !row["attest"].is_null() {
        same("attest", json(&b.verdict.attest));
    }
    same("peer", json(&b.peer));
    same("called", json(&b.numbers.called));
    same("calling", json(&b.numbers.from));
    same("transport", json(&b.transport));
    same("state", json(&end.map(|e| e.state)));
    same("code", json(&end.map(|e| e.code)));
    same("cause", json(&end.and_then(|e| e.cause)));
    same("released_by", json(&end.and_then(|e| e.released_by)));
    same("one_way", end.is_some_and(|e| e.one_way).into());
    same("verstat", json(&b.verstat));
    same("stir_cause", json(&end.and_then(|e| e.stir_cause)));
    same("disagrees", end.is_some_and(|e| e.disagrees).into());
    let count = |n: fn(&End) -> u8| json(&end.map(n));
    same("retransmissions", count(|e| e.retransmissions));
    same("forks", count(|e| e.forks));
    same("auth_retries", count(|e| e.auth_retries));
    // What ties two legs is not said where the Identity is in trouble.
    if !row["pair_by"].is_null() || row["pair"].is_null() {
        same("pair_by", json(&b.pair.map(|p| p.how)));
    }
    let want = row["pair"].as_str().map(|id| IdDigest::of(id.as_bytes()));
    if want != pair {
        out.push(format!("pair: truth {}, record {:?}", row["pair"], b.pair));
    }
    let want = row["duration_ms"].as_i64();
    let got = end.and_then(|e| e.duration_ms).map(i64::from);
    // Who sees one direction only takes the ACK for the answer.
    let near = want
        .zip(got)
        .is_some_and(|(w, g)| (w - g).abs() <= DURATION);
    if want != got && !near && row["one_way"] == false {
        out.push(format!("duration_ms: truth {want:?}, record {got:?}"));
    }
    let counts = |f: &Flag| COUNTING.contains(f);
    let flags = b.flags.iter().filter(|f| !counts(f));
    let flags: BTreeSet<&str> = flags.map(Flag::label).collect();
    let want = labels(&row["flags"]);
    if flags != want {
        out.push(format!("flags: truth {want:?}, record {flags:?}"));
    }
    let failed: BTreeSet<&str> = b.verdict.failed.iter().map(|r| r.id()).collect();
    let missing: Vec<_> = labels(&row["failed"])
        .difference(&failed)
        .copied()
        .collect();
    if !missing.is_empty() {
        out.push(format!("failed: {missing:?} are missing in {failed:?}"));
    }
    out
}

fn json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

fn labels(list: &Value) -> BTreeSet<&str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}
