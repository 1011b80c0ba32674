//! What the stages count, in a replay as in the daemon.

use super::family as f;
use super::page::Page;
use crate::call::classify::Flag;
use crate::call::classify::skew::CLASSES;
use crate::call::leg::Pairing;
use crate::daemon::pipeline::Report;
use crate::engine::collect::{Tally, TallyKey};
use crate::fetch::FetchReport;

pub(super) fn put(page: &mut Page, report: &Report) {
    page.list(&f::ASSEMBLED, &[], report.assemble.iter());
    page.list(&f::ASSEMBLING, &[], report.assemble.gauges());
    page.list(&f::MESSAGES, &[], report.collect.iter());
    let records = [("begin", report.begins), ("end", report.ends)];
    page.list(&f::RECORDS, &[], records);
    let a = &report.attempts;
    let lost = [
        ("evicted", a.evicted),
        ("headless", a.headless),
        ("orphan", a.orphans),
        ("stray_cancel", a.stray_cancels),
        ("not_resumed", a.not_resumed),
    ];
    page.list(&f::ATTEMPTS_LOST, &[], lost);
    let events = [
        ("cancel", a.cancels),
        ("further_answer", a.further_answers),
        ("further_bye", a.further_byes),
        ("collision", a.collisions),
        ("resumed", a.resumed),
    ];
    page.list(&f::ATTEMPT_EVENTS, &[], events);
    let legs = &report.legs;
    let alone = [
        ("none", legs.alone),
        ("ambiguous", legs.ambiguous),
        ("crowded", legs.crowded),
    ];
    let paired = Pairing::ALL.iter().map(|p| p.label()).zip(legs.paired);
    page.list(&f::EGRESS_LEGS, &[], paired.chain(alone));
    page.count(&f::LEGS_FORGOTTEN, &[], legs.evicted);
    page.list(&f::PASSPORTS, &[], report.replays.iter());
    page.count(&f::PASSPORTS_FORGOTTEN, &[], report.replays.evicted);
    let m = report.memory;
    page.size(&f::FLAG_MEMORY, &["emergency_callers"], m.callers);
    page.size(&f::FLAG_MEMORY, &["signed_octets"], m.signed_octets);
    let lost = [
        ("emergency_caller", m.callers_evicted),
        ("signed_numbers", m.signed_rotated),
        ("neighbour", m.signed_others),
    ];
    page.list(&f::FLAG_MEMORY_LOST, &[], lost);
    page.count(&f::EVIDENCE, &[], report.evidence);
    page.size(&f::UNKNOWN_NEIGHBOURS, &[], report.unknown.len());
    put_behaviour(page, report);
    for (key, tally) in &report.tallies {
        put_tally(page, labels(key), tally);
    }
    if let Some(fetch) = &report.fetch {
        put_fetch(page, fetch);
        page.list(&f::PARKED, &[], report.parked.iter());
        page.size(&f::PARKED_MOST, &[], report.parked.most);
    }
}

pub(super) fn put_tally(page: &mut Page, neighbour: [&str; 2], tally: &Tally) {
    let validations = Tally::VALIDATIONS.iter().map(|v| v.label());
    page.list(&f::CALLS, &neighbour, validations.zip(tally.validations));
    let [direction, peer] = neighbour;
    for ((attest, rule), n) in &tally.verdicts {
        let attest = attest.map_or("none", |a| a.label());
        let reason = rule.map_or("none", |r| r.label());
        page.count(&f::VERDICTS, &[direction, peer, attest, reason], *n);
    }
    for flag in Flag::ALL.iter().filter(|f| tally.flagged(**f) > 0) {
        let labels = [direction, peer, flag.label()];
        page.count(&f::CALL_FLAGS, &labels, tally.flagged(*flag));
    }
    page.count(&f::SPOOFED, &neighbour, tally.spoofed);
    let agreed = tally
        .refused_by_stir
        .saturating_sub(tally.refusal_disagrees);
    let refusals = [("no", agreed), ("yes", tally.refusal_disagrees)];
    page.list(&f::STIR_REFUSALS, &neighbour, refusals);
    let classes = CLASSES.iter().map(|(class, _)| *class);
    page.list(&f::SKEW, &neighbour, classes.zip(tally.skew));
}

fn put_behaviour(page: &mut Page, report: &Report) {
    for ((kind, peer), n) in &report.findings_open {
        let target = matches!(kind, Flag::Flood | Flag::ProtectedFlood);
        let nobody = if target { "none" } else { "unknown" };
        let labels = [peer.as_deref().unwrap_or(nobody), kind.label()];
        page.size(
            &f::FINDINGS_OPEN,
            &labels,
            usize::try_from(*n).unwrap_or(usize::MAX),
        );
    }
    let b = &report.behaviour;
    let looked = [
        ("call", b.calls),
        ("outcome", b.outcomes),
        ("displaced", b.displaced),
        ("refused", b.refused),
        ("crowded", b.crowded),
        ("step", b.steps),
    ];
    page.list(&f::BEHAVIOUR, &[], looked);
    for (peer, n) in &report.campaigns_open {
        let labels = [peer.as_deref().unwrap_or("unknown")];
        page.size(
            &f::CAMPAIGNS_OPEN,
            &labels,
            usize::try_from(*n).unwrap_or(usize::MAX),
        );
    }
    for (peer, n) in &report.campaign_calls {
        page.count(
            &f::CAMPAIGN_CALLS,
            &[peer.as_deref().unwrap_or("unknown")],
            *n,
        );
    }
    let c = &report.campaign;
    let campaigns = [
        ("member", c.members),
        ("opened", c.opened),
        ("quiet", c.quiet),
        ("crowded", c.crowded),
        ("forgotten", c.forgotten),
    ];
    page.list(&f::CAMPAIGNS, &[], campaigns);
}

fn put_fetch(page: &mut Page, fetch: &FetchReport) {
    let outcomes = fetch.iter().map(|(outcome, n)| (outcome.label(), n));
    page.list(&f::FETCH, &[], outcomes);
    page.count(&f::FETCH_REFRESHES, &[], fetch.refreshes);
    page.size(&f::FETCH_IN_FLIGHT, &[], fetch.in_flight);
    page.size(&f::FETCH_WAITING, &[], fetch.waiting);
    page.size(&f::FETCH_CACHED, &[], fetch.cached);
    page.size(&f::FETCH_CACHED_BYTES, &[], fetch.cached_octets);
    page.count(&f::FETCH_NOT_KEPT, &[], fetch.not_kept);
}

/// Labels of a tally; `unknown` stands for a neighbour that no rule names.
fn labels(key: &TallyKey) -> [&str; 2] {
    [key.0.label(), key.1.as_deref().unwrap_or("unknown")]
}
