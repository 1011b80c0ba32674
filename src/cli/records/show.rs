//! Records as a table for people.

use crate::base::text::escape;
use crate::call::record::{Direction, End, StoredCall};
use crate::cli::found::peer_name;
use crate::config::Config;
use crate::findings::Masking;
use crate::number::Tn;

/// Columns of the table.
pub(super) const HEADER: [&str; 10] = [
    "time",
    "way",
    "called",
    "calling",
    "neighbour",
    "attest",
    "verdict",
    "flags",
    "outcome",
    "record",
];

/// One line.
pub(super) fn row(config: &Config, masking: Masking, call: &StoredCall) -> Vec<String> {
    let b = &call.begin;
    let number = |n: Option<Tn>| n.map(|n| masking.number(n.as_str()));
    let called = number(b.numbers.called).or_else(|| {
        let text = b
            .called_text
            .as_deref()
            .filter(|_| masking == Masking::Full);
        text.map(|t| escape(t.as_bytes()))
    });
    let calling = number(b.numbers.from.or(b.numbers.asserted));
    let calling = match (calling, b.numbers.private) {
        (Some(n), true) => format!("{n} (private)"),
        (Some(n), false) => n,
        (None, true) => "anonymous".to_owned(),
        (None, false) => String::new(),
    };
    let verdict = match b.verdict.decided_by {
        Some(rule) => format!("{} ({})", b.verdict.validation.label(), rule.id()),
        None => b.verdict.validation.label().to_owned(),
    };
    let flags: Vec<&str> = b.flags.iter().map(|f| f.label()).collect();
    let way = match b.direction {
        Direction::Ingress => "in",
        Direction::Egress => "out",
        Direction::Unknown => "?",
    };
    vec![
        b.at.to_string(),
        way.to_owned(),
        called.unwrap_or_default(),
        calling,
        peer_name(config, b.peer.as_deref()),
        b.verdict.attest.map_or("", |a| a.label()).to_owned(),
        verdict,
        flags.join(" "),
        call.end.as_ref().map(outcome).unwrap_or_default(),
        b.uid.to_string(),
    ]
}

fn outcome(end: &End) -> String {
    let mut said = match end.code {
        0 => format!("{:?}", end.state).to_lowercase(),
        code => format!("{:?} {code}", end.state).to_lowercase(),
    };
    if let Some(ms) = end.duration_ms {
        said.push_str(&format!(", {:.1} s", f64::from(ms) / 1_000.0));
    }
    said
}
