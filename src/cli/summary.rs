//! What a replay found, neighbour by neighbour: a table for people, JSON for machines.

use serde_json::{Value, json};

use super::output::{self, say};
use super::replay::Done;
use crate::call::classify::Flag;
use crate::capture::Ending;
use crate::config::Config;
use crate::engine::collect::{DirectionKey, Tally, TallyKey};

/// Flags that say a valid-looking call is not what it claims, or that its caller can't be: what a NOC looks at first.
const SPOOF: [Flag; 4] = [
    Flag::OrigMismatch,
    Flag::DestMismatch,
    Flag::OwnNumberInbound,
    Flag::InvalidNanp,
];

/// Families of failed verification, as columns of their own.
const FAILED: [(Flag, &str); 6] = [
    (Flag::Malformed, "form"),
    (Flag::Stale, "stale"),
    (Flag::BadCredential, "cred"),
    (Flag::Untrusted, "trust"),
    (Flag::Revoked, "revkd"),
    (Flag::BadSignature, "sig"),
];

impl Done {
    /// Prints the summary.
    pub(super) fn print(&self, config: &Config) {
        let r = &self.report;
        for note in &self.notes {
            say!("note: {note}");
        }
        let span = r.span.map_or(String::new(), |(first, last)| {
            format!(", from {first} to {last}")
        });
        say!(
            "{} frames, {} SIP messages, {} call attempts{span}",
            r.assemble.frames_in,
            r.collect.total(),
            r.begins,
        );
        for (path, ending) in self.endings.iter().filter(|(_, e)| *e != Ending::Clean) {
            say!("{}: {ending}", path.display());
        }
        for trouble in &self.troubles {
            say!("{trouble}");
        }
        let lost = r.assemble.messages_out - r.assemble.messages_whole;
        if lost > 0 {
            say!(
                "{lost} messages were not whole in the capture; they count as undetermined, never as unsigned"
            );
        }
        for direction in [
            DirectionKey::Ingress,
            DirectionKey::Egress,
            DirectionKey::Unknown,
        ] {
            let rows: Vec<_> = r
                .tallies
                .iter()
                .filter(|((d, _), _)| *d == direction)
                .map(|(key, tally)| row(config, key, tally))
                .collect();
            if rows.is_empty() {
                continue;
            }
            say!("\n{}", heading(direction));
            let mut header = vec!["neighbour", "calls", "signed", "A", "B", "C"];
            header.extend(FAILED.iter().map(|(_, short)| *short));
            header.extend(["orig≠", "dest≠", "own no.", "no NANP", "undet.", "unsigned"]);
            say!("{}", output::table(&header, rows, 1));
        }
        self.print_fetches();
        say!("\nrecords are in {}", config.store.display());
    }

    /// What was asked for over HTTPS, and how calls that lacked a certificate went on.
    fn print_fetches(&self) {
        let Some(fetch) = &self.report.fetch else {
            return;
        };
        let rows = |counts: Vec<(&'static str, u64)>| -> Vec<Vec<String>> {
            let some = counts.into_iter().filter(|(_, n)| *n > 0);
            some.map(|(label, n)| vec![label.to_owned(), n.to_string()])
                .collect()
        };
        for note in &fetch.notes {
            say!("note: {note}");
        }
        say!(
            "\nCertificates over HTTPS: {} requests, {} certificates in memory",
            fetch.requests(),
            fetch.cached
        );
        let outcomes = rows(fetch.iter().map(|(o, n)| (o.label(), n)).collect());
        if !outcomes.is_empty() {
            say!("{}", output::table(&["outcome", "wishes"], outcomes, 1));
        }
        let parked = &self.report.parked;
        if parked.wanting > 0 {
            say!(
                "\n{} calls lacked a certificate, {} at once at most",
                parked.wanting,
                parked.most
            );
            let ended = rows(parked.iter().collect());
            say!("{}", output::table(&["went on by", "calls"], ended, 1));
        }
    }

    /// The summary as JSON.
    pub(super) fn as_json(&self) -> Value {
        let r = &self.report;
        let counts = |pairs: Vec<(&'static str, u64)>| -> Value {
            pairs
                .into_iter()
                .map(|(k, n)| (k.to_owned(), json!(n)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        json!({
            "files": self.endings.iter().map(|(path, ending)| json!({
                "file": path,
                "clean": *ending == Ending::Clean,
                "ending": ending.to_string(),
            })).collect::<Vec<_>>(),
            "notes": self.notes,
            "assembled": counts(r.assemble.iter().collect()),
            "imbalances": r.imbalances(),
            "messages": counts(r.collect.iter().collect()),
            "fetch": r.fetch.as_ref().map(|f| json!({
                "requests": f.requests(),
                "outcomes": counts(f.iter().map(|(o, n)| (o.label(), n)).collect()),
                "refreshes": f.refreshes,
                "cached": f.cached,
                "not_kept": f.not_kept,
                "notes": f.notes,
                "calls_wanting": r.parked.wanting,
                "calls_waiting_at_most": r.parked.most,
                "calls": counts(r.parked.iter().collect()),
            })),
            "records": r.begins,
            "first": r.span.map(|s| s.0),
            "last": r.span.map(|s| s.1),
            "neighbours": r.tallies.iter().map(|((direction, peer), t)| json!({
                "direction": direction.label(),
                "peer": peer,
                "calls": t.attempts,
                "signed": t.signed,
                "validation": counts(Tally::VALIDATIONS.iter().map(|v| v.label()).zip(t.validations).collect()),
                "flags": counts(Flag::ALL.iter().map(|f| (f.label(), t.flagged(*f))).filter(|(_, n)| *n > 0).collect()),
            })).collect::<Vec<_>>(),
        })
    }
}

fn heading(direction: DirectionKey) -> &'static str {
    match direction {
        DirectionKey::Ingress => "Handed to us by",
        DirectionKey::Egress => "Handed on by us to",
        DirectionKey::Unknown => "Between strangers, or inside our own platform",
    }
}

fn row(config: &Config, key: &TallyKey, t: &Tally) -> Vec<String> {
    let name = match &key.1 {
        Some(id) => config
            .peers
            .peer(id)
            .map_or(id.to_string(), |p| p.name.to_string()),
        None => "(no rule names it)".to_owned(),
    };
    let mut numbers = vec![
        t.attempts,
        t.signed,
        t.flagged(Flag::AttestA),
        t.flagged(Flag::AttestB),
        t.flagged(Flag::AttestC),
    ];
    numbers.extend(FAILED.iter().map(|(f, _)| t.flagged(*f)));
    numbers.extend(SPOOF.iter().map(|f| t.flagged(*f)));
    numbers.extend([t.flagged(Flag::Undetermined), t.flagged(Flag::Unsigned)]);
    let mut row = vec![name];
    row.extend(numbers.into_iter().map(|n| {
        if n == 0 {
            "·".to_owned()
        } else {
            n.to_string()
        }
    }));
    row
}
