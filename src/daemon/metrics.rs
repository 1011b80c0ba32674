//! Metrics in Prometheus' text format. Labels come from enums and from peers.toml only, never from the wire.
//! docs/METRICS.md lists them.

use prometheus::{IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

use super::pipeline::Report;
use crate::call::classify::Flag;
use crate::call::classify::skew::CLASSES;
use crate::engine::collect::{Tally, TallyKey};

/// Renders what a run counted.
pub fn render(report: &Report) -> String {
    let registry = Registry::new();
    let counter = |name: &str, help: &str, labels: &[&str]| {
        // Names and labels are constants of this file: they are valid, and registered once.
        let c = IntCounterVec::new(Opts::new(name, help), labels).ok()?;
        registry.register(Box::new(c.clone())).ok()?;
        Some(c)
    };
    let add = |c: &Option<IntCounterVec>, labels: &[&str], n: u64| {
        if let Some(c) = c {
            c.with_label_values(labels).inc_by(n);
        }
    };

    let assembled = counter(
        "tracehop_assembled_total",
        "Frames, fragments, datagrams, TCP segments and SIP messages, by what became of them; docs/METRICS.md says which add up.",
        &["outcome"],
    );
    for (outcome, n) in report.assemble.iter() {
        add(&assembled, &[outcome], n);
    }
    let messages = counter(
        "tracehop_messages_total",
        "SIP messages, by what became of them. The sum is the number of messages.",
        &["outcome"],
    );
    for (outcome, n) in report.collect.iter() {
        add(&messages, &[outcome], n);
    }
    let records = counter(
        "tracehop_records_total",
        "Record halves written.",
        &["half"],
    );
    add(&records, &["begin"], report.begins);
    add(&records, &["end"], report.ends);
    let lost = counter(
        "tracehop_attempts_lost_total",
        "Attempts closed early because the table was full, calls of which only answers were seen, and BYEs of calls we don't know.",
        &["reason"],
    );
    add(&lost, &["evicted"], report.attempts.evicted);
    add(&lost, &["headless"], report.attempts.headless);
    add(&lost, &["orphan"], report.attempts.orphans);

    let passports = counter(
        "tracehop_passports_total",
        "Call attempts with a PASSporT whose signature is not known to be wrong, by what the sight of it is; the last three are no normal routing.",
        &["sighting"],
    );
    for (sighting, n) in report.replays.iter() {
        add(&passports, &[sighting], n);
    }
    let forgotten = counter(
        "tracehop_passports_forgotten_total",
        "PASSporTs forgotten before their time because memory was full: replays of them go unseen.",
        &[],
    );
    add(&forgotten, &[], report.replays.evicted);
    let evidence = counter(
        "tracehop_evidence_total",
        "Calls of which it is kept what it takes to judge them again.",
        &[],
    );
    add(&evidence, &[], report.evidence);

    let calls = counter(
        "tracehop_calls_total",
        "Call attempts by neighbour and validation. The sum is the number of records.",
        &["direction", "peer", "validation"],
    );
    let flags = counter(
        "tracehop_call_flags_total",
        "Call attempts by neighbour and flag; one attempt may have several flags.",
        &["direction", "peer", "flag"],
    );
    let refusals = counter(
        "tracehop_stir_refusals_total",
        "Call attempts that the other side's verification spoke against, by neighbour and by whether our verdict is the opposite.",
        &["direction", "peer", "disagrees"],
    );
    let skew = counter(
        "tracehop_passport_skew_total",
        "PASSporTs seen for the first time, by neighbour and by how far iat lies behind or ahead of capture.",
        &["direction", "peer", "skew"],
    );
    for (key, tally) in &report.tallies {
        let (direction, peer) = labels(key);
        let agreed = tally
            .refused_by_stir
            .saturating_sub(tally.refusal_disagrees);
        add(&refusals, &[direction, peer, "no"], agreed);
        add(
            &refusals,
            &[direction, peer, "yes"],
            tally.refusal_disagrees,
        );
        for ((class, _), n) in CLASSES.iter().zip(tally.skew) {
            add(&skew, &[direction, peer, class], n);
        }
        for (v, n) in Tally::VALIDATIONS.iter().zip(tally.validations) {
            add(&calls, &[direction, peer, v.label()], n);
        }
        for flag in Flag::ALL.iter().filter(|f| tally.flagged(**f) > 0) {
            add(
                &flags,
                &[direction, peer, flag.label()],
                tally.flagged(*flag),
            );
        }
    }
    if let Some(fetch) = &report.fetch {
        let wishes = counter(
            "tracehop_fetch_total",
            "Wishes for a certificate, by what became of them.",
            &["outcome"],
        );
        for (outcome, n) in fetch.iter() {
            add(&wishes, &[outcome.label()], n);
        }
        let parked = counter(
            "tracehop_parked_total",
            "Calls that lacked a certificate, by how they went on.",
            &["why"],
        );
        for (why, n) in report.parked.iter() {
            add(&parked, &[why], n);
        }
        let gauge = |name: &str, help: &str, n: u64| {
            let g = IntGauge::new(name, help).ok()?;
            g.set(i64::try_from(n).unwrap_or(i64::MAX));
            registry.register(Box::new(g)).ok()
        };
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        // A name that is taken is a defect of this file, and shows in its test.
        let _ = [
            gauge(
                "tracehop_fetch_in_flight",
                "Requests for certificates under way.",
                count(fetch.in_flight),
            ),
            gauge(
                "tracehop_fetch_waiting",
                "Certificates that wait to be asked for.",
                count(fetch.waiting),
            ),
            gauge(
                "tracehop_fetch_cached",
                "Fetched certificates in memory.",
                count(fetch.cached),
            ),
            gauge(
                "tracehop_fetch_cached_bytes",
                "Octets of fetched certificates in memory.",
                count(fetch.cached_octets),
            ),
            gauge(
                "tracehop_fetch_not_kept",
                "Certificates that could not be written to disk.",
                fetch.not_kept,
            ),
            gauge(
                "tracehop_parked_most",
                "The most calls that waited for a certificate at once.",
                count(report.parked.most),
            ),
        ];
    }
    TextEncoder::new()
        .encode_to_string(&registry.gather())
        .unwrap_or_default()
}

/// Labels of a tally; `unknown` stands for a neighbour that no rule names.
fn labels(key: &TallyKey) -> (&'static str, &str) {
    (key.0.label(), key.1.as_deref().unwrap_or("unknown"))
}
