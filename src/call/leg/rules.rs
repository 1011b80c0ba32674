//! What ties two legs, in the order of [`Pairing::ALL`]. The same rules as a look-up in the store goes by (`traceback::candidate::pairing`).

use std::time::Duration;

use super::{Ingress, LegFacts, Pairing};
use crate::base::Timestamp;

/// How long after its ingress INVITE an egress INVITE may come when only the numbers tie them together.
pub const BY_NUMBERS: Duration = Duration::from_secs(2);
/// How many last digits of a called number tell it apart: the longest national numbers without their first digit.
pub const SUFFIX: usize = 9;
/// How far an egress INVITE may seem to precede its ingress INVITE within one sensor: two interfaces, one clock.
pub const SAME_SENSOR: Duration = Duration::from_millis(5);
/// Most that two sensors' clocks are believed to differ; a clock that may be off by more is not healthy anyway.
pub const TWO_SENSORS: Duration = Duration::from_secs(2);
/// How long after an ingress INVITE its egress INVITE may come: Timer C of a proxy (RFC 3261 §16.6, above 3 minutes), after
/// which the branch is given up.
pub const REACH: Duration = Duration::from_secs(190);

/// How far two legs' times may be off against each other.
pub(super) fn slack(a: &LegFacts, b: &LegFacts) -> Duration {
    if a.sensor == b.sensor {
        return SAME_SENSOR;
    }
    let error = |l: &LegFacts| Duration::from_nanos(u64::from(l.error_ns));
    (error(a) + error(b) + SAME_SENSOR).min(TWO_SENSORS)
}

/// Whether the ingress leg was under way when the egress INVITE went out.
pub(super) fn is_open(ingress: &Ingress, egress: &LegFacts) -> bool {
    let (i, at) = (&ingress.leg, egress.at);
    let slack = slack(i, egress);
    i.at <= at.plus(slack)
        && i.at >= at.minus(REACH)
        && ingress.settled.is_none_or(|s| s.plus(slack) >= at)
}

/// Whether `key` ties the two.
pub(super) fn fits(key: Pairing, ingress: &Ingress, egress: &LegFacts) -> bool {
    fn same<T: PartialEq>(a: Option<T>, b: Option<T>) -> bool {
        a.is_some() && a == b
    }
    let (i, e) = (&ingress.leg, egress);
    match key {
        Pairing::CallId => i.ids.call_id == e.ids.call_id,
        Pairing::Passport => same(i.passport, e.passport),
        Pairing::SessionId => same(i.ids.session_id, e.ids.session_id),
        Pairing::Icid => same(i.ids.icid, e.ids.icid),
        Pairing::SdpOrigin => same(i.ids.sdp_origin, e.ids.sdp_origin),
        Pairing::Numbers => same_called(i, e) && by_numbers(ingress, egress),
        Pairing::Suffix => {
            let end = |l: &LegFacts| {
                let called = l.numbers.called?;
                called.as_bytes().last_chunk::<SUFFIX>().copied()
            };
            same(end(i), end(e)) && by_numbers(ingress, egress)
        }
    }
}

fn same_called(a: &LegFacts, b: &LegFacts) -> bool {
    a.called().any(|n| b.called().any(|m| m == n))
}

fn same_calling(a: &LegFacts, b: &LegFacts) -> bool {
    let mut theirs = b.calling().peekable();
    match theirs.peek() {
        None => a.calling().next().is_none(),
        Some(_) => theirs.any(|n| a.calling().any(|m| m == n)),
    }
}

/// Whether both run between the same numbers.
pub(super) fn same_numbers(a: &LegFacts, b: &LegFacts) -> bool {
    same_called(a, b) && same_calling(a, b)
}

fn by_numbers(ingress: &Ingress, egress: &LegFacts) -> bool {
    let (i, e) = (&ingress.leg, egress);
    let soon = BY_NUMBERS + slack(i, e);
    // Route advance: the next leg follows the failure of the one before.
    let follows = |failed: Timestamp| failed <= e.at && failed.distance(e.at) <= soon;
    let within = i.at.distance(e.at) <= soon || ingress.advanced.is_some_and(follows);
    // Two PASSporTs that differ are two calls. Where there are several, the one that was kept need not be the same.
    let two_passports = i.identities == 1
        && e.identities == 1
        && i.passport.is_some()
        && e.passport.is_some()
        && i.passport != e.passport;
    within && same_calling(i, e) && !two_passports
}
