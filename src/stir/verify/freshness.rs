//! Rules F1 to F3: whether a PASSporT was fresh when its INVITE passed our tap (RFC 8224 §6.2 step 4).

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::Rule;
use super::states::RuleStates;
use crate::base::Timestamp;
use crate::stir::credential::Certificate;

/// The worst clock that can still tell whether a token is fresh: the window is sixty of it.
const WORST_CLOCK: Duration = Duration::from_secs(1);

/// Judges the clock that the capture times come from, and says whether it will do (rule F3).
pub(super) fn judge_clock(error: Duration, states: &mut RuleStates) -> bool {
    let good = error <= WORST_CLOCK;
    if good {
        states.judge(Rule::F3, true);
    } else {
        states.cannot_tell(Rule::F3);
    }
    good
}

/// Judges `iat`.
///
/// `at` is the capture time, never the wall clock: a capture replayed next year gets the verdict it got live. The window is closed at
/// both ends and reaches into the future as far as into the past, because the signer's clock may be ahead of ours.
pub(super) fn judge(iat: i64, at: Timestamp, window: Duration, states: &mut RuleStates) {
    let fresh = at.distance(Timestamp::from_secs(iat)) <= window;
    states.judge(Rule::F1, fresh);
}

/// Whether what was signed later says so, as far as two clocks agree (rule F4).
pub(super) fn in_order(before: i64, after: i64, window: Duration) -> bool {
    let window = i64::try_from(window.as_secs()).unwrap_or(i64::MAX);
    after.saturating_add(window) >= before
}

/// Judges Date, which decides nothing where there is an `iat`: it should lie within the window and within the time of the leaf.
pub(super) fn judge_date(
    date: &[u8],
    at: Timestamp,
    window: Duration,
    leaf: Option<&Certificate>,
    states: &mut RuleStates,
) {
    let date = parse_date(date);
    let fresh = date.is_some_and(|d| {
        at.distance(d) <= window && leaf.is_none_or(|l| l.validity.holds(d.secs()))
    });
    states.judge(Rule::F2, fresh);
}

/// RFC 3261 §20.17: the date of RFC 1123, always in GMT.
pub(super) fn parse_date(text: &[u8]) -> Option<Timestamp> {
    // A date has 29 characters; folding may add some.
    let text = std::str::from_utf8(text).ok().filter(|t| t.len() <= 64)?;
    let t = OffsetDateTime::parse(text, &Rfc2822).ok()?;
    Some(Timestamp::from_secs(t.unix_timestamp()))
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    fn f1(iat: i64, at: Timestamp) -> State {
        let mut states = RuleStates::default();
        judge(iat, at, Duration::from_secs(60), &mut states);
        states.of(Rule::F1)
    }

    #[test]
    fn f1_window_is_closed_at_both_ends_and_has_two_sides() {
        let at = Timestamp::from_secs(1_000_000);
        for (iat, state) in [
            (1_000_000, State::Passed),
            (999_940, State::Passed),
            (999_939, State::Failed),
            (1_000_060, State::Passed),
            (1_000_061, State::Failed),
            (0, State::Failed),
            ((1 << 53) - 1, State::Failed),
        ] {
            assert_eq!(f1(iat, at), state, "{iat}");
        }
        let later = Timestamp::from_nanos(at.nanos() + 1);
        assert_eq!(f1(999_940, later), State::Failed, "one nanosecond past it");
    }

    #[test]
    fn f2_dates() {
        let at = Timestamp::parse_rfc3339("2010-11-13T23:29:00Z").unwrap();
        let state = |date: &str| {
            let mut states = RuleStates::default();
            judge_date(
                date.as_bytes(),
                at,
                Duration::from_secs(60),
                None,
                &mut states,
            );
            states.of(Rule::F2)
        };
        assert_eq!(state("Sat, 13 Nov 2010 23:29:00 GMT"), State::Passed);
        assert_eq!(state("Sat, 13 Nov 2010 23:30:00 GMT"), State::Passed);
        assert_eq!(state("Sat, 13 Nov 2010 23:30:01 GMT"), State::Finding);
        assert_eq!(state("yesterday"), State::Finding);
        assert_eq!(state(""), State::Finding);
    }
}
