//! Which ingress leg became which egress leg. Our own switch stands between them and may change Call-ID, addresses and SDP.
//!
//! Keys in order of strength: Call-ID (a proxy keeps it), PASSporT, Session-ID, `icid`, SDP origin, then both numbers within
//! two seconds, and last the same with only the end of the called number equal (technical prefixes). The first key that fits any ingress leg decides; if it fits several, weaker keys narrow them down. What is
//! left must be one leg, or legs of one neighbour, for then the answer is the same. Otherwise the egress leg stays alone.

use std::collections::HashMap;
use std::time::Duration;

use super::{Attempt, Egress, calling_numbers, ended_at, settled_at};
use crate::base::Timestamp;
use crate::call::leg::{BY_NUMBERS, Pairing, SAME_SENSOR, SUFFIX, TWO_SENSORS};
use crate::call::record::{Direction, StoredCall};
use crate::traceback::window::PAIRING_REACH;

/// Whether `key` ties the two legs.
fn fits(key: Pairing, attempt: &Attempt<'_>, ingress: &StoredCall, egress: &StoredCall) -> bool {
    fn same<T: PartialEq>(a: Option<T>, b: Option<T>) -> bool {
        a.is_some() && a == b
    }
    let (i, e) = (&ingress.begin, &egress.begin);
    match key {
        Pairing::CallId => i.ids.call_id == e.ids.call_id,
        Pairing::Passport => same(i.verdict.passport, e.verdict.passport),
        Pairing::SessionId => same(i.ids.session_id, e.ids.session_id),
        Pairing::Icid => same(i.ids.icid, e.ids.icid),
        Pairing::SdpOrigin => same(i.ids.sdp_origin, e.ids.sdp_origin),
        Pairing::Numbers => by_numbers(attempt, ingress, egress, same_called),
        Pairing::Suffix => by_numbers(attempt, ingress, egress, same_suffix),
    }
}

/// Pairs legs that are sorted by time.
pub(super) fn pair<'a>(legs: &[&'a StoredCall]) -> Vec<Attempt<'a>> {
    let mut attempts: Vec<Attempt<'a>> = legs
        .iter()
        .filter(|l| l.begin.direction != Direction::Egress)
        .map(|l| Attempt {
            ingress: Some(l),
            egress: Vec::new(),
            call: 0,
        })
        .collect();
    let known: HashMap<u64, usize> = attempts
        .iter()
        .enumerate()
        .filter_map(|(i, a)| Some((a.ingress?.begin.uid, i)))
        .collect();
    let mut alone = Vec::new();
    for leg in legs
        .iter()
        .filter(|l| l.begin.direction == Direction::Egress)
    {
        let partner = partner_at_capture(&known, leg).or_else(|| find_partner(&attempts, leg));
        match partner.and_then(|(i, how)| Some((attempts.get_mut(i)?, how))) {
            Some((attempt, how)) => attempt.egress.push(Egress {
                leg,
                pairing: Some(how),
            }),
            None => alone.push(Attempt {
                ingress: None,
                egress: vec![Egress { leg, pairing: None }],
                call: 0,
            }),
        }
    }
    attempts.append(&mut alone);
    attempts
}

/// The ingress leg that was told when the call was captured, if it is at hand. By then every leg at our edge was known, and here only those
/// that a look-up brought.
fn partner_at_capture(
    known: &HashMap<u64, usize>,
    egress: &StoredCall,
) -> Option<(usize, Pairing)> {
    let pair = egress.begin.pair?;
    Some((*known.get(&pair.uid)?, pair.how))
}

/// The ingress leg of `egress` and the key that found it.
fn find_partner(attempts: &[Attempt<'_>], egress: &StoredCall) -> Option<(usize, Pairing)> {
    let earliest = egress.begin.at.minus(PAIRING_REACH);
    let latest = egress.begin.at.plus(TWO_SENSORS);
    let start = attempts.partition_point(|a| a.at() < earliest);
    let mut open: Vec<(usize, &StoredCall)> = attempts
        .iter()
        .enumerate()
        .skip(start)
        .take_while(|(_, a)| a.at() <= latest)
        .filter_map(|(i, a)| Some((i, a.ingress?)))
        .filter(|(_, l)| l.begin.direction == Direction::Ingress && is_open(l, egress))
        .collect();
    let mut found = None;
    for key in Pairing::ALL {
        let fits: Vec<_> = open
            .iter()
            .copied()
            .filter(|(i, l)| attempts.get(*i).is_some_and(|a| fits(key, a, l, egress)))
            .collect();
        if fits.is_empty() {
            continue;
        }
        open = fits;
        found = found.or(Some(key));
        if open.len() == 1 {
            break;
        }
    }
    let how = found?;
    let (last, leg) = open.last()?;
    let one_neighbour =
        leg.begin.peer.is_some() && open.iter().all(|(_, l)| l.begin.peer == leg.begin.peer);
    (open.len() == 1 || one_neighbour).then_some((*last, how))
}

/// Whether an ingress leg was under way when the egress INVITE went out.
fn is_open(ingress: &StoredCall, egress: &StoredCall) -> bool {
    let slack = slack(ingress, egress);
    let at: Timestamp = egress.begin.at;
    ingress.begin.at <= at.plus(slack) && settled_at(ingress).is_none_or(|e| e.plus(slack) >= at)
}

fn slack(a: &StoredCall, b: &StoredCall) -> Duration {
    if a.begin.sensor == b.begin.sensor {
        return SAME_SENSOR;
    }
    let error = |l: &StoredCall| Duration::from_nanos(u64::from(l.begin.clock.error_ns));
    (error(a) + error(b) + SAME_SENSOR).min(TWO_SENSORS)
}

fn by_numbers(
    attempt: &Attempt<'_>,
    ingress: &StoredCall,
    egress: &StoredCall,
    same_called: fn(&StoredCall, &StoredCall) -> bool,
) -> bool {
    let (i, e) = (&ingress.begin, &egress.begin);
    let soon = BY_NUMBERS + slack(ingress, egress);
    // Route advance: the next leg follows the failure of the one before.
    let follows =
        |o: &Egress<'_>| ended_at(o.leg).is_some_and(|f| f <= e.at && f.distance(e.at) <= soon);
    let within = i.at.distance(e.at) <= soon || attempt.egress.iter().any(follows);
    if !within {
        return false;
    }
    let mut theirs = calling_numbers(egress).peekable();
    let same_calling = if theirs.peek().is_none() {
        calling_numbers(ingress).next().is_none()
    } else {
        theirs.any(|(_, n)| calling_numbers(ingress).any(|(_, m)| m == n))
    };
    // Two PASSporTs that differ are two calls. Where there are several, the one that was kept need not be the same.
    let two_passports = i.verdict.identities == 1
        && e.verdict.identities == 1
        && i.verdict.passport.is_some()
        && e.verdict.passport.is_some()
        && i.verdict.passport != e.verdict.passport;
    same_calling && !two_passports && same_called(ingress, egress)
}

fn same_called(ingress: &StoredCall, egress: &StoredCall) -> bool {
    let numbers = |l: &StoredCall| {
        let n = &l.begin.numbers;
        [n.called, n.to, n.diverted_from]
    };
    let theirs = numbers(egress);
    numbers(ingress)
        .into_iter()
        .flatten()
        .any(|n| theirs.contains(&Some(n)))
}

fn same_suffix(ingress: &StoredCall, egress: &StoredCall) -> bool {
    let end = |l: &StoredCall| {
        l.begin
            .numbers
            .called
            .and_then(|n| n.as_bytes().last_chunk::<SUFFIX>().copied())
    };
    end(ingress).is_some() && end(ingress) == end(egress)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::digest::{Digest128, IdDigest};
    use crate::traceback::candidate::collect;
    use crate::traceback::sample::{call, traced};

    fn how(records: &[StoredCall]) -> Vec<Vec<Option<Pairing>>> {
        collect(records, &traced())
            .iter()
            .map(|a| a.egress.iter().map(|e| e.pairing).collect())
            .collect()
    }

    #[test]
    fn numbers_pair_where_nothing_better_is_there() {
        assert_eq!(
            how(&call(1, "north", "east", 0).records()),
            [[Some(Pairing::Numbers)]]
        );
    }

    #[test]
    fn the_strongest_key_is_named() {
        let mut r = call(1, "north", "east", 0).records();
        for leg in &mut r {
            leg.begin.ids.sdp_origin = Some(IdDigest::of(b"o"));
        }
        assert_eq!(how(&r), [[Some(Pairing::SdpOrigin)]]);
        for leg in &mut r {
            leg.begin.ids.icid = Some(IdDigest::of(b"i"));
        }
        assert_eq!(how(&r), [[Some(Pairing::Icid)]]);
        for leg in &mut r {
            leg.begin.ids.session_id = Some(IdDigest::of(b"s"));
        }
        assert_eq!(how(&r), [[Some(Pairing::SessionId)]]);
        for leg in &mut r {
            leg.begin.verdict.passport = Some(Digest128::of(b"p"));
        }
        assert_eq!(how(&r), [[Some(Pairing::Passport)]]);
        for leg in &mut r {
            leg.begin.ids.call_id = IdDigest::of(b"c");
        }
        assert_eq!(how(&r), [[Some(Pairing::CallId)]]);
    }

    #[test]
    fn a_failed_ingress_leg_does_not_get_the_egress_leg_of_its_retry() {
        let mut r = call(1, "north", "east", 0).never_passed().records();
        r.extend(call(10, "south", "east", 1).records());
        for leg in &mut r {
            leg.begin.verdict.passport = Some(Digest128::of(b"copied on every attempt"));
        }
        let attempts = collect(&r, &traced());
        let out: Vec<_> = attempts.iter().map(|a| a.egress.len()).collect();
        assert_eq!(out, [0, 1]);
    }

    #[test]
    fn an_egress_leg_that_two_neighbours_may_have_sent_stays_alone() {
        let mut r = call(1, "north", "east", 0).records();
        let mut other = call(10, "south", "east", 0).never_passed().records();
        other[0].end = None;
        r.extend(other);
        let attempts = collect(&r, &traced());
        assert_eq!(attempts.len(), 3);
        assert_eq!(attempts.iter().filter(|a| a.ingress.is_none()).count(), 1);
        // The same neighbour twice is the same answer.
        r[2].begin.peer = Some("north".into());
        assert_eq!(collect(&r, &traced()).len(), 2);
    }

    #[test]
    fn a_technical_prefix_does_not_part_two_legs() {
        let mut r = call(1, "north", "east", 0).records();
        r[0].begin.numbers.called = crate::number::Tn::from_canonical(b"77712025550123");
        assert_eq!(how(&r), [[Some(Pairing::Suffix)]]);
    }

    #[test]
    fn route_advance_goes_on_where_the_leg_before_failed() {
        let mut r = call(1, "north", "west", 0).refused().records();
        r[1].end.as_mut().unwrap().final_ms = Some(9_000);
        crate::traceback::sample::advance(&mut r, 3, "east", 10);
        r[2].begin.ids.call_id = IdDigest(3);
        assert_eq!(how(&r), [[Some(Pairing::Numbers), Some(Pairing::Numbers)]]);
    }

    #[test]
    fn two_signatures_are_two_calls() {
        let mut r = call(1, "north", "east", 0).records();
        for (leg, p) in r.iter_mut().zip([b"p", b"q"]) {
            leg.begin.verdict.passport = Some(Digest128::of(p));
            leg.begin.verdict.identities = 1;
        }
        assert_eq!(collect(&r, &traced()).len(), 2);
    }

    #[test]
    fn an_egress_leg_before_its_ingress_leg_is_not_its_own() {
        let mut r = call(1, "north", "east", 0).records();
        r[1].begin.at = r[0].begin.at.minus(Duration::from_millis(500));
        assert_eq!(collect(&r, &traced()).len(), 2);
    }
}
