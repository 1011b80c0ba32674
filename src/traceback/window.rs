//! Which spans of time must be looked up: a ladder around the stated time, then the hypothesis that its zone is wrong.
//!
//! The rungs ±5 s, ±30 s and ±(120 s + p) are one look-up, the *main window*: only what lies in it is ever answered
//! automatically. Beyond it, ±15 minutes and the zone slips are looked at so that a person finds what there is.

use std::time::Duration;

use crate::base::Timestamp;

/// Innermost rung in seconds: clocks that both sides keep by NTP.
pub const NEAR_S: f64 = 5.0;
/// Second rung in seconds.
pub const CLOSE_S: f64 = 30.0;
/// Half the main window in seconds, without the request's imprecision.
pub const MAIN_S: f64 = 120.0;
/// Half the wide window in seconds.
pub const WIDE_S: f64 = 900.0;
/// Hours by which a stated time may be off when its zone was mistaken: one hour for daylight saving, the rest for North
/// American local time (Atlantic to Hawaii) sent as UTC.
pub const SLIPS_H: [i8; 14] = [-10, -8, -7, -6, -5, -4, -1, 1, 4, 5, 6, 7, 8, 10];
/// How far beside a slip a call may lie, in seconds, without the request's imprecision: a slip is exact, the clocks are not.
pub const SLIP_TOLERANCE_S: f64 = CLOSE_S;
/// Half the span over which the background is measured.
pub const BACKGROUND: Duration = Duration::from_secs(12 * 3600);
/// Half the span in which an identifier is looked for: an identifier outlives any mistake in the zone.
pub const IDENTIFIER: Duration = Duration::from_secs(24 * 3600);
/// How long after an ingress INVITE its egress INVITE may come: Timer C of a proxy (RFC 3261 §16.6, above 3 minutes), after
/// which the branch is given up. Windows are read with this margin so that no pair is cut in two.
pub const PAIRING_REACH: Duration = crate::call::leg::REACH;

/// Where on the ladder a call lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    /// Within ±5 s.
    Near,
    /// Within ±30 s.
    Close,
    /// Within ±(120 s + p).
    Main,
    /// Within ±(15 min + p).
    Wide,
    /// Off by so many whole hours.
    Slip(i8),
    /// Elsewhere: found by identifier only.
    Far,
}

impl Rung {
    /// The rung of a call that lies `delta_s` after the stated time.
    pub fn of(delta_s: f64, precision_s: f64) -> Self {
        let d = delta_s.abs();
        if d <= NEAR_S {
            Self::Near
        } else if d <= CLOSE_S {
            Self::Close
        } else if d <= MAIN_S + precision_s {
            Self::Main
        } else if d <= WIDE_S + precision_s {
            Self::Wide
        } else {
            SLIPS_H
                .into_iter()
                .find(|h| {
                    (delta_s - f64::from(*h) * 3600.0).abs() <= SLIP_TOLERANCE_S + precision_s
                })
                .map_or(Self::Far, Self::Slip)
        }
    }

    /// Whether it lies in the main window, the only one that is answered automatically.
    pub fn is_main(self) -> bool {
        self <= Self::Main
    }
}

/// What a span is looked up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// ±(120 s + p).
    Main,
    /// ±(15 min + p), the main window included.
    Wide,
    /// Around a slip of so many hours.
    Slip(i8),
}

/// A span of time, closed at both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Window {
    /// What for.
    pub purpose: Purpose,
    /// Its first point.
    pub from: Timestamp,
    /// Its last point.
    pub until: Timestamp,
}

impl Window {
    /// The main window of a stated time.
    pub fn main(at: Timestamp, precision_s: f64) -> Self {
        around(Purpose::Main, at, MAIN_S + precision_s)
    }

    /// The wide window of a stated time.
    pub fn wide(at: Timestamp, precision_s: f64) -> Self {
        around(Purpose::Wide, at, WIDE_S + precision_s)
    }

    /// Whether a point lies in it.
    pub fn contains(&self, at: Timestamp) -> bool {
        (self.from..=self.until).contains(&at)
    }
}

/// The whole ladder for a stated time, in the order in which it is climbed.
pub fn ladder(at: Timestamp, precision_s: f64) -> Vec<Window> {
    let mut windows = vec![Window::main(at, precision_s), Window::wide(at, precision_s)];
    windows.extend(SLIPS_H.into_iter().map(|h| {
        around(
            Purpose::Slip(h),
            shifted(at, h),
            SLIP_TOLERANCE_S + precision_s,
        )
    }));
    windows
}

fn around(purpose: Purpose, at: Timestamp, half_s: f64) -> Window {
    let half = Duration::try_from_secs_f64(half_s).unwrap_or(Duration::ZERO);
    Window {
        purpose,
        from: at.minus(half),
        until: at.plus(half),
    }
}

fn shifted(at: Timestamp, hours: i8) -> Timestamp {
    let span = Duration::from_secs(u64::from(hours.unsigned_abs()) * 3600);
    if hours < 0 {
        at.minus(span)
    } else {
        at.plus(span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rungs_are_closed_at_their_ends() {
        for (delta, rung) in [
            (0.0, Rung::Near),
            (-5.0, Rung::Near),
            (5.001, Rung::Close),
            (30.0, Rung::Close),
            (121.0, Rung::Main),
            (-121.001, Rung::Wide),
            (901.0, Rung::Wide),
            (901.001, Rung::Far),
            (3600.0, Rung::Slip(1)),
            (-3631.0, Rung::Slip(-1)),
            (-3631.001, Rung::Far),
            (5.0 * 3600.0 + 3.0, Rung::Slip(5)),
            (9.0 * 3600.0, Rung::Far),
        ] {
            assert_eq!(Rung::of(delta, 1.0), rung, "{delta}");
        }
    }

    #[test]
    fn imprecision_widens_every_window() {
        assert_eq!(Rung::of(179.0, 60.0), Rung::Main);
        let w = Window::main(Timestamp::from_secs(1000), 60.0);
        assert!(w.contains(Timestamp::from_secs(820)) && w.contains(Timestamp::from_secs(1180)));
        assert!(!w.contains(Timestamp::from_secs(819)) && !w.contains(Timestamp::from_secs(1181)));
    }

    proptest! {
        #[test]
        fn what_has_a_rung_lies_in_a_window_of_the_ladder(delta in -50_000i64..50_000, p in 0u32..3480) {
            let t0 = Timestamp::from_secs(1_795_512_600);
            let at = Timestamp::from_secs(t0.secs() + delta);
            let p = f64::from(p);
            let looked_up = ladder(t0, p).iter().any(|w| w.contains(at));
            prop_assert_eq!(Rung::of(at.secs_since(t0), p) != Rung::Far, looked_up);
        }
    }
}
