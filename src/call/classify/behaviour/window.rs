//! Counts over a sliding span of capture time, in the memory of two.

use crate::base::Timestamp;

/// `N` counts over the last `SECONDS`: those of the current span of that width, and of the one before in proportion to how much of it is still
/// inside. Between a burst's end and the end of its window it says at most twice, and never more than was counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Windowed<const N: usize, const SECONDS: u32> {
    index: u32,
    current: [u32; N],
    before: [u32; N],
}

impl<const N: usize, const SECONDS: u32> Default for Windowed<N, SECONDS> {
    fn default() -> Self {
        Self {
            index: 0,
            current: [0; N],
            before: [0; N],
        }
    }
}

/// Whole seconds since 1970; what lies before or beyond 32 bits is at the limits.
pub(super) fn seconds(at: Timestamp) -> u32 {
    u32::try_from(at.secs().max(0)).unwrap_or(u32::MAX)
}

impl<const N: usize, const SECONDS: u32> Windowed<N, SECONDS> {
    /// Counts.
    pub fn add(&mut self, now: Timestamp, which: usize, n: u32) {
        self.roll(now);
        if let Some(count) = self.current.get_mut(which) {
            *count = count.saturating_add(n);
        }
    }

    /// How many there were in the last span.
    pub fn count(&self, now: Timestamp, which: usize) -> f64 {
        let seconds = seconds(now);
        let index = seconds / SECONDS;
        let current = f64::from(self.current.get(which).copied().unwrap_or(0));
        let before = f64::from(self.before.get(which).copied().unwrap_or(0));
        let left = 1.0 - f64::from(seconds % SECONDS) / f64::from(SECONDS);
        match index.saturating_sub(self.index) {
            0 => current + before * left,
            1 => current * left,
            _ => 0.0,
        }
    }

    /// What was counted since the current span began.
    pub fn current(&self, which: usize) -> u32 {
        self.current.get(which).copied().unwrap_or(0)
    }

    /// Begins the span that `now` lies in; gives whether it is another.
    pub fn roll(&mut self, now: Timestamp) -> bool {
        let index = seconds(now) / SECONDS;
        match index.saturating_sub(self.index) {
            0 => return false,
            1 => self.before = std::mem::replace(&mut self.current, [0; N]),
            _ => (self.before, self.current) = ([0; N], [0; N]),
        }
        self.index = index;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_left_the_span_no_longer_counts() {
        let mut w = Windowed::<1, 60>::default();
        let at = Timestamp::from_secs;
        (0..60).for_each(|s| w.add(at(600 + s), 0, 1));
        assert!(w.count(at(659), 0) >= 60.0);
        assert!((w.count(at(690), 0) - 30.0).abs() < 1.0);
        assert_eq!(w.count(at(720), 0), 0.0);
        w.add(at(10_000), 0, 1);
        assert_eq!(w.count(at(10_000), 0), 1.0);
    }

    #[test]
    fn time_before_1970_and_after_2106_is_at_the_limits() {
        assert_eq!(seconds(Timestamp::MIN), 0);
        assert_eq!(seconds(Timestamp::MAX), u32::MAX);
    }
}
