//! The call, as the next question puts it.

use super::{WalkAnswer, WalkLeg};
use crate::base::Timestamp;
use crate::traceback::path::MAX_APART_S;
use crate::traceback::request::{RawCall, RawTime};

/// What a time without a word about its precision is worth, in seconds: as [`crate::traceback::request`] takes it.
const ASSUMED_S: (f64, f64) = (60.0, 1.0);
/// The least precision that is said, in seconds: below a millisecond clocks of two providers mean nothing.
const LEAST_S: f64 = 0.001;

/// When a call was, as a question says it, and how far that may be off.
fn asked(call: &RawCall) -> Option<(Timestamp, f64)> {
    let time = call.time.as_ref()?;
    let at = Timestamp::parse_rfc3339(time.value.as_deref()?.trim())?;
    let (minute, second) = ASSUMED_S;
    let assumed = if at == at.minute() { minute } else { second };
    Some((at, time.precision_s.unwrap_or(assumed)))
}

/// The leg of an answer, where it can be the call that was asked about. Whoever names a leg of another hour must not lead the next provider astray.
fn near<'a>(call: &RawCall, answer: &'a WalkAnswer) -> Option<&'a WalkLeg> {
    let leg = answer.leg.as_ref()?;
    asked(call)?;
    apart(call, answer).is_none().then_some(leg)
}

/// How many seconds the leg of an answer lies from what was asked, where that is more than clocks and a call allow.
pub fn apart(call: &RawCall, answer: &WalkAnswer) -> Option<f64> {
    let leg = answer.leg.as_ref()?;
    let (at, precision) = asked(call)?;
    let apart = leg.at.secs_since(at).abs();
    (apart > MAX_APART_S + precision + leg.error_s).then_some(apart)
}

fn time_of(leg: &WalkLeg) -> RawTime {
    RawTime {
        value: Some(leg.at.to_string()),
        tz: None,
        precision_s: Some((leg.error_s.max(LEAST_S) * 1e3).ceil() / 1e3),
    }
}

/// The call as the provider saw it that answered: its time where that is the better one, and of the identifiers those that it saw too.
pub(super) fn seen(call: &RawCall, answer: &WalkAnswer) -> RawCall {
    let mut next = call.clone();
    let Some(leg) = near(call, answer) else {
        return next;
    };
    if asked(call).is_some_and(|(_, precision)| leg.error_s < precision) {
        next.time = Some(time_of(leg));
    }
    let bore = |name: &str| leg.identifiers.iter().any(|i| **i == *name);
    // A back-to-back agent gives the other leg a Call-ID of its own, and a gateway may sign anew: what did not come in there was not sent by the next.
    if !bore("call-id") {
        next.sip_call_id = None;
    }
    if !bore("session-id") {
        next.session_id = None;
    }
    if !bore("passport") {
        next.identity = None;
        next.identity_sha256 = None;
    }
    if !bore("origid") && !bore("passport") {
        next.origid = None;
    }
    next
}

/// The call with everything that tells it from others: the leg of the answer that led here, to the second and beyond.
pub fn sharpened(call: &RawCall, before: Option<&WalkAnswer>) -> RawCall {
    let mut next = call.clone();
    let Some(leg) = before.and_then(|answer| near(call, answer)) else {
        return next;
    };
    if asked(call).is_none_or(|(_, precision)| leg.error_s < precision) {
        next.time = Some(time_of(leg));
    }
    next.answered = next.answered.or(leg.answered);
    if next.identity.is_none() && next.identity_sha256.is_none() {
        next.identity_sha256 = leg.passport.as_deref().map(str::to_owned);
    }
    if next.origid.is_none() {
        next.origid = leg.origid.as_deref().map(str::to_owned);
    }
    // A question says that nobody answered, or how long they spoke.
    if next.answered == Some(false) {
        next.duration_s = next.duration_s.filter(|d| *d <= 0.0);
    }
    next
}
