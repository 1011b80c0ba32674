//! Campaigns that go to a portal unasked: flagged calls of one upstream that belong together, with a few examples to trace.
//!
//! In: the store's campaigns of the last day, what the operator switched on (`reports`, `reports_per_day`). Out: signed reports in the desk's outbox, each posted once.
//! Whatever was posted is known by the desk, so a restart posts nothing twice.
//!
//! - A campaign is reported by the flag that leads it: the one that most of its calls have, notes such as `unsigned` left out. One of an upstream that no rule
//!   names is not reported: there is nobody to name.
//! - Its key is a UUIDv5 of portal, campaign, and the number of digits of its volume. An update follows when it has two more digits, so has grown tenfold at least, and a day after the last.
//! - Upstreams take turns, each with its largest first: one that sends a hundred campaigns does not use up the day of the others.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::desk::{Desk, DeskError, Posted};
use super::settings::PortalSettings;
use crate::base::Timestamp;
use crate::call::classify::Flag;
use crate::call::classify::about::Severity;
use crate::call::classify::campaign::{Campaign, Key};
use crate::call::classify::finding::{EXAMPLES, Example};
use crate::call::peer::{Peer, PeerTable};
use crate::call::record::StoredCall;
use crate::number::Tn;
use crate::store::{Lookup, StoreError};
use crate::traceback::answer::{Party, Provider, url_uuid};

/// How far back campaigns are looked for: an update follows after a day at the earliest.
const BACK: Duration = Duration::from_secs(86_400);

/// Least time between two reports of one campaign.
const BETWEEN: Duration = Duration::from_secs(86_400);

/// Fewest calls: below ten there is no digit to speak of, and `[campaign] least_calls` is ten by default.
const LEAST: u64 = 10;

/// Version of the format (docs/FORMATS.md).
const VERSION: u32 = 1;

/// Why nothing was reported.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The store.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The desk.
    #[error("{0}")]
    Desk(#[from] DeskError),
}

/// What came of one round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Reports put into the outbox.
    pub posted: usize,
    /// Campaigns that must wait for the next day.
    pub waiting: usize,
}

/// Reports what is due at one portal.
///
/// # Errors
///
/// [`ReportError`]; what was posted before stays posted.
pub fn post(
    desk: &Desk,
    store: &dyn Lookup,
    peers: &PeerTable,
    portal: &PortalSettings,
    provider: Option<&Provider>,
    now: Timestamp,
) -> Result<Round, ReportError> {
    let mut round = Round::default();
    if portal.reports.is_empty() {
        return Ok(round);
    }
    let campaigns = store.campaigns(now.minus(BACK), now)?;
    let mut by_peer: BTreeMap<&str, (&Peer, Vec<&Campaign>)> = BTreeMap::new();
    for campaign in &campaigns {
        let Some(peer) = campaign.peer.as_deref().and_then(|id| peers.peer(id)) else {
            continue;
        };
        if campaign.volume >= LEAST && is_wanted(campaign, portal) {
            let (_, of_peer) = by_peer.entry(&*peer.id).or_insert((peer, Vec::new()));
            of_peer.push(campaign);
        }
    }
    for (peer, campaign, group) in in_turn(by_peer) {
        let Some(revision) = due(desk, portal, campaign, now)? else {
            continue;
        };
        if round.waiting > 0 {
            round.waiting += 1;
            continue;
        }
        let key = report_key(&portal.name, &campaign.id, revision);
        let examples = campaign
            .examples
            .iter()
            .take(EXAMPLES)
            .map(|e| example(e, campaign, store))
            .collect::<Result<Vec<_>, _>>()?;
        let body = json!({
            "v": VERSION,
            "id": key,
            "type": "campaign",
            "revision": revision,
            "portal": portal.name,
            "provider": provider,
            "upstream": Party::of(peer),
            "group": { "id": group_key(&portal.name, &peer.id), "campaigns": group.0, "calls": group.1 },
            "campaign": {
                "id": campaign.id,
                "flag": leading(campaign),
                "key": campaign.key,
                "first": campaign.first,
                "last": campaign.last,
                "calls": campaign.volume,
                "flags": flags(campaign),
                "signers": campaign.signers,
                "state": campaign.state,
            },
            "examples": examples,
            "made_at": now,
        });
        match desk.post_report(&portal.name, &campaign.id, &key, &body, now)? {
            Posted::New => round.posted += 1,
            Posted::TooMany => round.waiting += 1,
            Posted::Known => {}
            Posted::Shadow => break,
        }
    }
    Ok(round)
}

/// The flag that most of its calls have, notes left out; the first of equals.
fn leading(campaign: &Campaign) -> Option<Flag> {
    let mut best: Option<(Flag, u64)> = None;
    for (flag, calls) in &campaign.flags {
        let says = flag.severity() != Severity::Note;
        if says && best.is_none_or(|(_, most)| *calls > most) {
            best = Some((*flag, *calls));
        }
    }
    best.map(|(flag, _)| flag)
}

fn is_wanted(campaign: &Campaign, portal: &PortalSettings) -> bool {
    leading(campaign).is_some_and(|lead| portal.reports.iter().any(|r| **r == *lead.label()))
}

fn flags(campaign: &Campaign) -> Value {
    let each = campaign.flags.iter();
    let each = each.map(|(flag, calls)| (flag.label().to_owned(), Value::from(*calls)));
    Value::Object(each.collect())
}

/// Campaigns and calls of one upstream that are reported.
type Group = (usize, u64);

/// One of each upstream, then the next of each; the largest first.
fn in_turn<'c>(
    by_peer: BTreeMap<&str, (&'c Peer, Vec<&'c Campaign>)>,
) -> Vec<(&'c Peer, &'c Campaign, Group)> {
    let mut all = Vec::new();
    for (_, (peer, mut campaigns)) in by_peer {
        campaigns.sort_by(|a, b| (b.volume, &a.id).cmp(&(a.volume, &b.id)));
        let calls = campaigns
            .iter()
            .fold(0u64, |n, c| n.saturating_add(c.volume));
        let group = (campaigns.len(), calls);
        let turns = campaigns.into_iter().enumerate();
        all.extend(turns.map(|(turn, campaign)| (turn, peer, campaign, group)));
    }
    all.sort_by(|a, b| (a.0, b.2.volume, &a.1.id).cmp(&(b.0, a.2.volume, &b.1.id)));
    all.into_iter()
        .map(|(_, peer, campaign, group)| (peer, campaign, group))
        .collect()
}

/// The revision that is due; `None` where nothing is.
fn due(
    desk: &Desk,
    portal: &PortalSettings,
    campaign: &Campaign,
    now: Timestamp,
) -> Result<Option<u32>, DeskError> {
    let digits = campaign.volume.checked_ilog10().unwrap_or(0);
    let before = desk.reported(&portal.name, &campaign.id)?;
    let Some(last) = before.iter().map(|(_, at)| *at).max() else {
        return Ok(Some(digits));
    };
    // What the desk has of it that is of no revision we know is of an older program: nothing more is said then.
    let said = (0..=digits).rev().find(|n| {
        before
            .iter()
            .any(|(key, _)| **key == *report_key(&portal.name, &campaign.id, *n))
    });
    let grown = said.is_some_and(|said| digits >= said.saturating_add(2));
    Ok((grown && last.plus(BETWEEN) <= now).then_some(digits))
}

/// Key and id of a report: the same however often it is made.
pub fn report_key(portal: &str, campaign: &str, revision: u32) -> String {
    url_uuid(&format!(
        "https://tracehop.example/report/{revision}/{portal}/{campaign}"
    ))
}

/// Names everything that is reported of one upstream, and not the upstream.
fn group_key(portal: &str, peer: &str) -> String {
    url_uuid(&format!(
        "https://tracehop.example/report-group/{portal}/{peer}"
    ))
}

/// A call to trace. Its numbers are in the store under the calling number where that is what the campaign has in common; of others the time alone is known here.
fn example(
    example: &Example,
    campaign: &Campaign,
    store: &dyn Lookup,
) -> Result<Value, StoreError> {
    let calling = match &campaign.key {
        Key::CallingNumber(number) => Tn::from_canonical(number.as_bytes()),
        Key::SignerOrigid(_) | Key::NumberPattern(_) => None,
    };
    let found = match calling {
        Some(number) => store.by_calling(number, example.at, example.at)?,
        None => Vec::new(),
    };
    let call = found.iter().find(|c| c.begin.uid == example.uid);
    Ok(match call {
        None => json!({ "at": example.at }),
        Some(call) => told(call),
    })
}

fn told(call: &StoredCall) -> Value {
    let b = &call.begin;
    let number = |n: Option<Tn>| n.map(|n| format!("+{}", n.as_str()));
    json!({
        "at": b.at,
        "clock_error_ms": f64::from(b.clock.error_ns) / 1e6,
        "called": number(b.numbers.called.or(b.numbers.to)),
        "calling": number(b.numbers.from),
        "asserted": number(b.numbers.asserted),
        "flags": b.flags.iter().map(Flag::label).collect::<Vec<_>>(),
        "passport": b.verdict.passport.map(|digest| json!({
            "digest": digest,
            "validation": b.verdict.validation,
            "decided_by": b.verdict.decided_by,
            "spc": b.verdict.spc,
            "attest": b.verdict.attest,
            "origid": b.verdict.origid,
            "iat": b.verdict.iat,
        })),
    })
}

#[cfg(test)]
mod tests;
