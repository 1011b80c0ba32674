//! How likely the time that a request tells is for a leg that we captured at another time.
//!
//! Between the two lie our clock, the requester's clock, and digits that somebody left out. Our clock's bound is in the record. How
//! good the requester's is nobody knows, so four kinds are mixed: one as good as reckoned, one three times worse, one that nobody
//! looks after, and times that are wrong in some other way. All attempts of a request were compared with the same clock, whichever it was;
//! that a mixture holds for each attempt by itself is what Bayes' rule makes of that.

use std::f64::consts::{PI, SQRT_2};

use crate::traceback::window::MAIN_S;

/// Spread of the difference between the requester's clock and ours, in seconds, until confirmed answers teach a better one.
pub const CLOCK_PEER_S: f64 = 1.5;
/// Spread of a clock that nobody looks after, in seconds.
const BAD_CLOCK_S: f64 = 15.0;
/// How many times worse than reckoned the second kind of clock is.
const POOR: f64 = 3.0;
/// Least spread in seconds: a millisecond, so that perfect clocks in a configuration divide by no zero.
const LEAST_SPREAD_S: f64 = 1e-3;
/// Shares of clocks as good as reckoned, worse ones, bad ones, and of times that are wrong in some other way. The specification has
/// 0.90 for the first two together: a spread that is not known must not decide between two calls seconds apart.
const SHARES: [f64; 4] = [0.70, 0.20, 0.09, 0.01];

/// Two clocks and a time with some of its digits.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// How far our own time may be off, in seconds.
    pub own_s: f64,
    /// Spread of the requester's clock against ours, in seconds.
    pub peer_s: f64,
    /// Imprecision of the stated time, in seconds.
    pub precision_s: f64,
}

impl Clocks {
    /// Density, per second, of a call that lies `delta_s` after the stated time, if it is the call. `odd`: with times that are wrong in
    /// some other way, anywhere in the main window.
    pub fn density(self, delta_s: f64, odd: bool) -> f64 {
        let [good, poor, bad, other] = SHARES;
        let spread = self.own_s.hypot(self.peer_s).max(LEAST_SPREAD_S);
        let told = |sigma| self.told(delta_s, sigma);
        let main = if odd {
            other / (2.0 * (MAIN_S + self.precision_s))
        } else {
            0.0
        };
        good * told(spread) + poor * told(POOR * spread) + bad * told(BAD_CLOCK_S) + main
    }

    /// The same for one kind of clock. Digits are left out in three ways, each as likely: the time is rounded, it is cut, or it is said to
    /// be good to so many seconds either way. (The specification's p²/12 is the rounded one alone; of a minute that was cut it makes
    /// the last ten seconds a hundred times too unlikely.)
    fn told(self, delta_s: f64, sigma: f64) -> f64 {
        let p = self.precision_s;
        if p <= LEAST_SPREAD_S {
            return normal(delta_s, sigma);
        }
        let spread = |from, until| uniform(delta_s, from, until, sigma);
        (spread(-p / 2.0, p / 2.0) + spread(0.0, p) + spread(-p, p)) / 3.0
    }
}

/// Density of the sum of something even between `from` and `until` and something normal.
pub fn uniform(x: f64, from: f64, until: f64, sigma: f64) -> f64 {
    let (mut low, mut high) = ((x - until) / sigma, (x - from) / sigma);
    // In the tail of both, the small numbers are subtracted, not those next to one.
    if low + high < 0.0 {
        (low, high) = (-high, -low);
    }
    let inside = 0.5 * (libm::erfc(low / SQRT_2) - libm::erfc(high / SQRT_2));
    inside.max(0.0) / (until - from)
}

/// Density of the normal distribution.
fn normal(x: f64, sigma: f64) -> f64 {
    (-0.5 * (x / sigma).powi(2)).exp() / (sigma * (2.0 * PI).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn clocks(precision_s: f64) -> Clocks {
        Clocks {
            own_s: 0.05,
            peer_s: 1.5,
            precision_s,
        }
    }

    #[test]
    fn a_minute_that_was_cut_is_as_likely_at_its_end_as_at_its_beginning() {
        let c = clocks(60.0);
        let (early, late) = (c.density(5.0, true), c.density(55.0, true));
        assert!(late > early / 4.0, "{early} {late}");
        assert!(c.density(-55.0, true) > early / 10.0);
        assert!(c.density(75.0, true) < early / 20.0);
    }

    #[test]
    fn a_second_more_or_less_is_told_from_ten() {
        let c = clocks(1.0);
        assert!(c.density(0.5, true) > 10.0 * c.density(8.0, true));
        // Where clocks may be three times worse, eight seconds exclude nothing.
        assert!(c.density(0.5, true) < 100.0 * c.density(8.0, true));
    }

    proptest! {
        #[test]
        fn it_is_a_density(p in 0.0..120.0f64, peer in 0.0..10.0f64) {
            let c = Clocks { own_s: 0.01, peer_s: peer.max(0.2), precision_s: p };
            // Sum over steps of 50 ms, from well before to well after.
            let sum: f64 = (-8000..8000).map(|i| c.density(f64::from(i) * 0.05, false) * 0.05).sum();
            prop_assert!((0.985..=0.995).contains(&sum), "{sum}");
        }

        #[test]
        fn farther_is_never_likelier(p in 0.0..120.0f64, d in 0.0..500.0f64, further in 0.0..100.0f64) {
            let c = clocks(p);
            prop_assert!(c.density(p + d + further, true) <= c.density(p + d, true) + 1e-15);
            prop_assert!(c.density(-p - d - further, true) <= c.density(-p - d, true) + 1e-15);
        }
    }
}
