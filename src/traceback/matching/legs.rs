//! What the legs of one call say against it: conditions that need no other candidate's posterior.

use std::net::IpAddr;
use std::time::Duration;

use super::HEALTHY_CLOCK_NS;
use crate::base::Timestamp;
use crate::call::peer::{Peer, PeerKey, PeerKeys, PeerKind, PeerRule, PeerTable};
use crate::call::record::{Begin, End, State, StoredCall};
use crate::stir::verify::Validation;
use crate::traceback::candidate::{Downstream, Upstream, ended_at};
use crate::traceback::condition::Condition;
use crate::traceback::request::HopRequest;
use crate::traceback::score::{Calling, Identifier, Scored};

/// How far the answers of two legs of one call may lie apart. Ours: two healthy clocks, and a second in our switch.
const SAME_ANSWER: Duration = Duration::from_secs(3);
/// How much two legs of one call may differ in length, in milliseconds. Ours: a BYE that is lost thrice comes after 3.5 s (RFC 3261
/// §17.1.2.2: again after 0.5, 1 and 2 s), and our switch may take a second.
const SAME_LENGTH_MS: u32 = 5_000;
/// The longest step of billing, in seconds: calls abroad are often billed by the minute.
const LONGEST_STEP_S: f64 = 60.0;

/// Whether the call came in for one number and went out to another with the first one as its forwarder.
pub(super) fn forwarded_here(best: &Scored<'_>) -> bool {
    let Some(came) = best.attempt.ingress.map(|l| &l.begin.numbers) else {
        return false;
    };
    let went = &best.leg.begin.numbers;
    came.called.is_some() && went.diverted_from == came.called && went.called != came.called
}

/// Conditions about the legs and the neighbour alone.
pub(super) fn about_evidence(
    found: &mut Vec<Condition>,
    best: &Scored<'_>,
    upstream: Upstream<'_>,
    peers: &PeerTable,
) {
    let Upstream::Known(peer) = upstream else {
        found.push(Condition::UnresolvedPeer);
        return;
    };
    if [best.attempt.ingress, Some(best.leg)]
        .into_iter()
        .flatten()
        .any(|l| l.begin.clock.error_ns > HEALTHY_CLOCK_NS)
    {
        found.push(Condition::ClockUnhealthy);
    }
    if let Some(leg) = best.attempt.ingress {
        // What was so at capture stands in the record. Today's rules speak of it where they are the same, or where the record says nothing.
        let told = leg.begin.attribution.keys != PeerKeys::default();
        let today = leg.begin.config == peers.version || !told;
        if was_told_by_nothing(&leg.begin) || (today && address_is_shared(leg, peer, peers)) {
            found.push(Condition::SharedAddress);
        }
        if halves_disagree(best) {
            found.push(Condition::UnresolvedPeer);
        }
        if peer.kind == PeerKind::Customer && leg.begin.numbers.diverted_from.is_some() {
            found.push(Condition::PostForwarding);
        }
    }
}

/// Whether the way in and the way out ended as one call can't: the way out was answered and the way in was not, or at another time, or they
/// lasted differently. A switch passes answers back, so they are then halves of two calls, even under one Call-ID: a proxy before us that
/// forks sends the same one over several neighbours. Whose the missing half is nobody knows.
fn halves_disagree(best: &Scored<'_>) -> bool {
    let mut went = best.attempt.egress.iter().map(|e| e.leg);
    let Some(went) = went.find(|l| std::ptr::eq(*l, best.leg)) else {
        return false;
    };
    let Some(came) = best.attempt.ingress else {
        return false;
    };
    let (Some(a), Some(b)) = (&came.end, &went.end) else {
        return false;
    };
    let answered_at = |leg: &StoredCall, end: &End| {
        let after = Duration::from_millis(u64::from(end.final_ms?));
        Some(leg.begin.at.plus(after))
    };
    match (a.state, b.state) {
        (State::Failed | State::Redirected | State::Cancelled, State::Answered) => true,
        (State::Answered, State::Answered) => {
            let apart = answered_at(came, a)
                .zip(answered_at(went, b))
                .is_some_and(|(x, y)| x.distance(y) > SAME_ANSWER);
            let longer = a.duration_ms.zip(b.duration_ms);
            apart || longer.is_some_and(|(x, y)| x.abs_diff(y) > SAME_LENGTH_MS)
        }
        _ => false,
    }
}

/// Whether, when the call was captured, another neighbour had the same address and no word of the message told them apart. Today's rules need
/// not show that any more.
fn was_told_by_nothing(leg: &Begin) -> bool {
    let by = &leg.attribution;
    let said = |key: &PeerKey| by.keys.contains(*key);
    by.shared && !PeerKey::SAID.iter().any(said) && leg.trunk.is_none()
}

/// Whether some other neighbour's rule would have fitted the leg just as well: one that asks for words, such as a trunk group, on a leg
/// that says none, or one for the very same networks.
fn address_is_shared(leg: &StoredCall, peer: &Peer, peers: &PeerTable) -> bool {
    let b = &leg.begin;
    let ip: IpAddr = b.source.ip();
    let chosen = peers
        .rules
        .iter()
        .find(|r| Some(&r.name) == b.peer_rule.as_ref());
    // A rule may have been given to another neighbour since: it is no rival of itself.
    let others = peers
        .rules
        .iter()
        .filter(|r| Some(&r.name) != b.peer_rule.as_ref());
    others.into_iter().any(|r| {
        let other = peers
            .peers
            .get(r.peer)
            .is_some_and(|p| Upstream::Known(p).key() != Upstream::Known(peer).key());
        let is_sensor =
            |name: &Option<std::sync::Arc<str>>| name.as_ref().is_none_or(|name| *name == b.sensor);
        let fits = (r.networks.is_empty() || r.has_address(ip))
            && r.way.takes(b.direction)
            && r.port.is_none_or(|p| p == b.source.port())
            && r.vlan.is_none_or(|v| b.vlan == Some(v))
            && r.own_port.is_none_or(|p| p == b.destination.port())
            && r.transport.is_none_or(|t| t == b.transport)
            && is_sensor(&r.interface)
            && is_sensor(&r.agent);
        let tells_nothing = if r.listens() {
            is_silent(b, r)
        } else {
            chosen.is_some_and(|c| {
                c.networks == r.networks && !c.listens() && c.vlan == r.vlan && c.port == r.port
            })
        };
        other && fits && tells_nothing
    })
}

/// Whether a leg says nothing of what a rule listens for. A called number is always there, with or without a technical prefix.
fn is_silent(leg: &Begin, rule: &PeerRule) -> bool {
    let said = &leg.attribution;
    let missing = |key: PeerKey| match key {
        PeerKey::TrunkGroup | PeerKey::Otg => leg.trunk.is_none(),
        PeerKey::TrunkContext => said.trunk_context.is_none(),
        PeerKey::OrigIoi => said.orig_ioi.is_none(),
        PeerKey::Header => said.header.is_none(),
        _ => false,
    };
    rule.keys().iter().any(missing)
}

/// Whether the request tells an end that no leg of the attempt had which the downstream took on. A downstream that got the call from
/// somebody else, while ours to it was given up before anybody answered, asks just so.
pub(super) fn contradicts_answer(
    best: &Scored<'_>,
    request: &HopRequest,
    downstream: &Downstream,
) -> bool {
    let Some(said) = request.call.answered else {
        return false;
    };
    let told = request.call.duration_s.filter(|_| said);
    let (mut known, mut agrees) = (false, false);
    for leg in best.attempt.taken_on(downstream) {
        let Some(end) = leg.end.as_ref() else {
            return false;
        };
        let answered = match end.state {
            State::Answered => true,
            State::Failed | State::Redirected | State::Cancelled => false,
            State::Unfinished => return false,
        };
        known = true;
        let length = || {
            told.zip(end.duration_ms)
                .is_none_or(|(s, ms)| is_length(s, ms, end.final_ms))
        };
        agrees |= said == answered && (!answered || length());
    }
    known && !agrees
}

/// Whether a bill may show `said` seconds for a call of `ms`: counted from the answer or from the INVITE, and rounded up to a minute at the most.
fn is_length(said: f64, ms: u32, rang_ms: Option<u32>) -> bool {
    let apart = f64::from(SAME_LENGTH_MS) / 1000.0;
    let lasted = f64::from(ms) / 1000.0;
    let rang = f64::from(rang_ms.unwrap_or(0)) / 1000.0;
    (lasted - apart..=lasted + rang + LONGEST_STEP_S + apart).contains(&said)
}

/// Whether the request says something else than a PASSporT of the call that we verified.
pub(super) fn contradicts_passport(best: &Scored<'_>, request: &HopRequest) -> bool {
    let verified = best
        .attempt
        .legs()
        .map(|l| &l.begin.verdict)
        .find(|v| v.validation == Validation::Passed);
    let Some(verdict) = verified else {
        return false;
    };
    let other_caller = best.calling == Calling::Differs
        && verdict.orig.is_some()
        && verdict.orig != request.call.calling;
    best.passport == Identifier::Differs || best.origid == Identifier::Differs || other_caller
}

/// How often the call of `best` came in while an earlier passage of it was still under way, itself included.
pub(super) fn passages<'s, 'a: 's>(
    best: &Scored<'a>,
    all: impl Iterator<Item = &'s Scored<'a>>,
) -> usize {
    let same = |a: &StoredCall, b: &StoredCall| {
        let passport = a.begin.verdict.passport;
        let session = a.begin.ids.session_id;
        (passport.is_some() && passport == b.begin.verdict.passport)
            || (session.is_some() && session == b.begin.ids.session_id)
    };
    let leg = best.attempt.ingress.unwrap_or(best.leg);
    let mut passages: Vec<&StoredCall> = all
        .filter_map(|s| s.attempt.ingress)
        .filter(|l| std::ptr::eq(*l, leg) || same(l, leg))
        .collect();
    passages.sort_by_key(|l| (l.begin.at, l.begin.uid));
    let mut open_until: Option<Timestamp> = None;
    let (mut run, mut longest) = (0, 0);
    for l in passages {
        let under_way = open_until.is_some_and(|end| l.begin.at <= end);
        run = if under_way { run + 1 } else { 1 };
        longest = longest.max(run);
        // A leg whose end is unknown may still be under way.
        open_until =
            Some(ended_at(l).unwrap_or(Timestamp::MAX)).max(open_until.filter(|_| under_way));
    }
    longest
}
