//! What a replay found, neighbour by neighbour: a table for people, JSON for machines.

use serde_json::{Value, json};

use super::found;
use super::output::{self, say};
use super::peers;
use super::replay::Done;
use crate::call::classify::Flag;
use crate::call::classify::replay::Sighting;
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

/// Signers in the table: more is for a machine.
const WORST: usize = 10;

/// Signers in the JSON; a year's survey found some thousand in all.
const LISTED: usize = 1_000;

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
        self.print_unknown();
        self.print_replays();
        self.print_skews();
        self.print_disagreements(config);
        self.print_found(config);
        self.print_fetches();
        say!("\nrecords are in {}", config.store.path.display());
    }

    /// Addresses that no rule knows, the busiest first.
    fn print_unknown(&self) {
        let unknown = &self.report.unknown;
        if !unknown.is_empty() {
            say!("\nAddresses that no rule of peers.toml knows");
            say!("{}", peers::unknown_table(unknown.iter().take(WORST)));
            if unknown.len() > WORST {
                say!("{} more: tracehop peers unknown", unknown.len() - WORST);
            }
        }
    }

    /// What no route explains: calls whose PASSporT was seen before.
    fn print_replays(&self) {
        let r = &self.report.replays;
        let of = |s| r.of(s);
        let (moved, late) = (of(Sighting::OtherDestination), of(Sighting::Late));
        let suspect = of(Sighting::Suspect);
        if moved + late + suspect > 0 {
            say!(
                "\nPASSporTs seen again: {moved} towards another number, {late} after their freshness, {suspect} under more Call-IDs than routes come to"
            );
        }
        if r.evicted > 0 {
            say!(
                "{} PASSporTs were forgotten early for want of memory: replays of them go unseen",
                r.evicted
            );
        }
    }

    /// Signers whose clock or way is off, the worst first.
    fn print_skews(&self) {
        let worst = self.report.skews.worst_first();
        let rows: Vec<_> = worst
            .iter()
            .filter_map(|(signer, skew)| {
                let finding = skew.finding()?;
                let seconds = |share| format!("{:+.0} s", skew.percentile(share));
                Some(vec![
                    signer.spc.to_string(),
                    skew.x5u_host.as_deref().unwrap_or("?").to_owned(),
                    finding.what().to_owned(),
                    skew.count.to_string(),
                    seconds(0.1),
                    seconds(0.5),
                    seconds(0.9),
                ])
            })
            .take(WORST)
            .collect();
        if !rows.is_empty() {
            say!("\nSigners whose iat lies off the time of capture");
            let header = [
                "signer",
                "certificate from",
                "looks like",
                "calls",
                "10 %",
                "median",
                "90 %",
            ];
            say!("{}", output::table(&header, rows, 3));
        }
    }

    /// Neighbours whose verification says the opposite of ours.
    fn print_disagreements(&self, config: &Config) {
        let rows: Vec<_> = self
            .report
            .tallies
            .iter()
            .filter(|(_, t)| t.refusal_disagrees + t.flagged(Flag::Disagrees) > 0)
            .map(|(key, t)| {
                vec![
                    name(config, key),
                    key.0.label().to_owned(),
                    t.flagged(Flag::Disagrees).to_string(),
                    t.refused_by_stir.to_string(),
                    t.refusal_disagrees.to_string(),
                ]
            })
            .collect();
        if !rows.is_empty() {
            say!("\nVerification elsewhere that says the opposite");
            let header = ["neighbour", "", "verstat≠", "refused", "of these ≠"];
            say!("{}", output::table(&header, rows, 2));
        }
    }

    /// Behaviours above their thresholds, and campaigns: at the end of a replay all are closed.
    fn print_found(&self, config: &Config) {
        let r = &self.report;
        let findings: Vec<_> = r.findings_closed.iter().map(|f| (**f).clone()).collect();
        if !findings.is_empty() {
            say!("\nBehaviour above its threshold");
            found::print_findings(config, &findings, WORST);
        }
        let campaigns: Vec<_> = r.campaigns_closed.iter().map(|c| (**c).clone()).collect();
        if !campaigns.is_empty() {
            say!("\nCampaigns; `tracehop campaigns` lists them");
            found::print_campaigns(config, &campaigns, WORST);
        }
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
            "findings": r.findings_closed,
            "campaigns": r.campaigns_closed,
            "unknown_neighbours": r.unknown,
            "evidence": r.evidence,
            "passports": counts(r.replays.iter().collect()),
            "passports_evicted": r.replays.evicted,
            "signers": r.skews.worst_first().into_iter().take(LISTED).map(|(signer, s)| json!({
                "spc": signer.spc,
                "chain": signer.chain,
                "x5u_host": s.x5u_host,
                "calls": s.count,
                "skew_seconds": {
                    "lowest": s.lowest,
                    "p10": s.percentile(0.1),
                    "median": s.percentile(0.5),
                    "p90": s.percentile(0.9),
                    "highest": s.highest,
                },
                "finding": s.finding().map(|f| f.label()),
            })).collect::<Vec<_>>(),
            "signers_not_kept": r.skews.others,
            "first": r.span.map(|s| s.0),
            "last": r.span.map(|s| s.1),
            "neighbours": r.tallies.iter().map(|((direction, peer), t)| json!({
                "direction": direction.label(),
                "peer": peer,
                "calls": t.attempts,
                "signed": t.signed,
                "validation": counts(Tally::VALIDATIONS.iter().map(|v| v.label()).zip(t.validations).collect()),
                "refused_by_stir": t.refused_by_stir,
                "refusal_disagrees": t.refusal_disagrees,
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

fn name(config: &Config, key: &TallyKey) -> String {
    found::peer_name(config, key.1.as_deref())
}

fn row(config: &Config, key: &TallyKey, t: &Tally) -> Vec<String> {
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
    let mut row = vec![name(config, key)];
    row.extend(numbers.into_iter().map(|n| {
        if n == 0 {
            "·".to_owned()
        } else {
            n.to_string()
        }
    }));
    row
}
