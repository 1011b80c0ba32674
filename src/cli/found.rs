//! Findings and campaigns as tables, for whoever shows them.

use super::output::{self, say};
use crate::base::Timestamp;
use crate::call::classify::finding::Subject;
use crate::call::classify::{Campaign, Finding, Flag};
use crate::config::Config;

/// A neighbour's legal name.
pub(super) fn peer_name(config: &Config, peer: Option<&str>) -> String {
    match peer {
        Some(id) => config
            .peers
            .peer(id)
            .map_or(id.to_string(), |p| p.name.to_string()),
        None => "(no rule names it)".to_owned(),
    }
}

/// Prints findings as a table, the heaviest first.
pub(super) fn print_findings(config: &Config, findings: &[Finding], most: usize) {
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by(|a, b| (b.calls, a.since, &a.id).cmp(&(a.calls, b.since, &b.id)));
    let rows = sorted.into_iter().take(most).map(|f| {
        let terms = f.terms.iter().filter(|t| t.met);
        let terms: Vec<String> = terms.map(|t| format!("{} {}", t.name, t.value)).collect();
        let peer = match (&f.subject, &f.peer) {
            // Whoever calls it.
            (Subject::CalledNumber(_) | Subject::CalledPrefix(_), None) => String::new(),
            (_, peer) => peer_name(config, peer.as_deref()),
        };
        vec![
            Flag::label(f.kind).to_owned(),
            f.subject.to_string(),
            peer,
            second(f.since),
            second(f.at),
            terms.join(", "),
            format!("{:.2}", f.score),
            f.calls.to_string(),
        ]
    });
    let header = [
        "finding",
        "about",
        "neighbour",
        "since",
        "until",
        "because",
        "score",
        "calls",
    ];
    say!(
        "{}",
        output::table(&header, rows.collect(), header.len() - 2)
    );
}

/// Prints campaigns as a table, the largest first.
pub(super) fn print_campaigns(config: &Config, campaigns: &[Campaign], most: usize) {
    let mut sorted: Vec<&Campaign> = campaigns.iter().collect();
    sorted.sort_by(|a, b| (b.volume, a.first, &a.id).cmp(&(a.volume, b.first, &b.id)));
    let rows = sorted.into_iter().take(most).map(|c| {
        let flags: Vec<String> = c.flags.iter().map(|(f, n)| format!("{f} {n}")).collect();
        let examples: Vec<String> = c.examples.iter().map(|e| e.uid.to_string()).collect();
        vec![
            peer_name(config, c.peer.as_deref()),
            c.key.label().to_owned(),
            c.key.value().to_owned(),
            second(c.first),
            second(c.last),
            c.state.label().to_owned(),
            flags.join(", "),
            c.signers.join(", "),
            examples.join(", "),
            c.volume.to_string(),
        ]
    });
    let header = [
        "upstream", "by", "", "first", "last", "", "flags", "signers", "records", "calls",
    ];
    say!(
        "{}",
        output::table(&header, rows.collect(), header.len() - 1)
    );
}

/// A time to the second, which is enough to look at.
fn second(at: Timestamp) -> String {
    Timestamp::from_secs(at.secs()).to_string()
}
