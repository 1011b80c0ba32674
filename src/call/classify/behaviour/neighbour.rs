//! One neighbour as a whole: numbers that are used up, calls that nobody takes or that end at once, without any one number standing out.

use datasketches::hll::{HllSketch, HllType};

use super::caller::{Became, Quarter, Shares, count, hour};
use super::mix::Mix;
use super::score::{Score, Strictness};
use super::sketch::Key;
use super::thresholds::Thresholds;
use super::window::seconds;
use crate::base::Timestamp;

/// Registers of a sketch of numbers, as a power of two: 2 KB, and an error of 1.04/sqrt(2^11), 2.3 in a hundred.
const REGISTERS: u8 = 11;

/// Finished calls, or timed ones, below which their share says nothing of a neighbour.
const OUTCOMES_LEAST: f64 = 50.0;

/// A number that called this often in the hour is no longer rare.
pub(super) const OFTEN: u32 = 3;

/// One neighbour.
#[derive(Debug)]
pub(super) struct Neighbour {
    /// Where its behaviours begin.
    pub thresholds: Thresholds,
    /// Calls of numbers without a finding of their own.
    counts: Quarter,
    numbers: Numbers,
    /// Its mix.
    pub mix: Mix,
}

/// Numbers seen in this hour of the clock.
#[derive(Debug, Default)]
struct Numbers {
    hour: u32,
    calls: u32,
    all: Option<Box<HllSketch>>,
    often: Option<Box<HllSketch>>,
}

impl Neighbour {
    pub fn new(thresholds: Thresholds) -> Self {
        Self {
            thresholds,
            counts: Quarter::default(),
            numbers: Numbers::default(),
            mix: Mix::default(),
        }
    }

    /// Takes a call in, of a number that has called so often in this hour of the clock.
    pub fn handle_call(
        &mut self,
        now: Timestamp,
        caller: Option<(Key, u32)>,
        attested: bool,
        unsigned: bool,
    ) {
        self.counts.add(now, hour::CALLS, 1);
        self.counts.add(now, hour::ATTESTED, u32::from(attested));
        self.mix
            .handle_call(now, attested, unsigned, &self.thresholds);
        if let Some((key, times)) = caller {
            self.numbers.handle(now, key, times);
        }
    }

    /// `own` is whether the number has a finding of its own, which then says it all.
    pub fn handle_outcome(&mut self, now: Timestamp, became: Became, own: bool) {
        self.mix.handle_outcome(now, became);
        if !own {
            count(&mut self.counts, now, became, self.thresholds.short_seconds);
        }
    }

    /// Many numbers, each used once or twice, whose calls nobody wants. Ordinary subscribers too call once or twice in an hour: only outcomes tell them apart, so without
    /// outcomes there is no finding.
    pub fn snowshoe(&self, now: Timestamp, strictness: Strictness) -> Score {
        let t = &self.thresholds;
        let n = &self.numbers;
        let calls = f64::from(n.calls);
        let mut score = Score::new(strictness);
        // Most often there are too few calls, and the rest is dear.
        if !score
            .needs("calls", calls, t.snowshoe_least.into())
            .is_enough()
        {
            return score;
        }
        let of = Shares::of(&self.counts, now);
        let estimate = |s: &Option<Box<HllSketch>>| s.as_ref().map_or(0.0, |s| s.estimate());
        let (all, often) = (estimate(&n.all), estimate(&n.often));
        let rare = if all > 0.0 {
            100.0 * (1.0 - often / all).max(0.0)
        } else {
            0.0
        };
        let per_ten = if all > 0.0 {
            10.0 * calls / all
        } else {
            f64::INFINITY
        };
        let answered = if of.finished >= OUTCOMES_LEAST {
            of.answered
        } else {
            100.0
        };
        let short = if of.timed >= OUTCOMES_LEAST {
            of.short
        } else {
            0.0
        };
        score
            .above(
                "rare-numbers-percent",
                rare,
                t.snowshoe_rare_percent.into(),
                20,
            )
            .below(
                "calls-per-ten-numbers",
                per_ten.min(1e6),
                t.snowshoe_calls_per_ten_numbers.into(),
                20,
            )
            .below(
                "answered-percent",
                answered,
                t.snowshoe_answer_percent.into(),
                20,
            )
            .above("short-percent", short, t.snowshoe_short_percent.into(), 20);
        score
    }

    /// Answered calls that end at once.
    pub fn short_calls(&self, now: Timestamp, strictness: Strictness) -> Score {
        let t = &self.thresholds;
        let share = t.neighbour_short_calls_percent;
        let mean = t.neighbour_short_calls_mean_seconds;
        let of = Shares::of(&self.counts, now);
        of.short_calls(
            t.neighbour_short_calls_least,
            (share, 50),
            (mean, 50),
            strictness,
        )
    }

    /// Calls that nobody takes.
    pub fn low_answer(&self, now: Timestamp, strictness: Strictness) -> Score {
        let t = &self.thresholds;
        let (least, percent) = (t.neighbour_low_answer_least, t.neighbour_low_answer_percent);
        Shares::of(&self.counts, now).low_answer(least, percent, strictness)
    }

    /// Octets that its sketches take.
    #[cfg(test)]
    pub fn octets(&self) -> usize {
        let of = |s: &Option<Box<HllSketch>>| s.as_ref().map_or(0, |s| s.estimated_size());
        size_of::<Self>() + of(&self.numbers.all) + of(&self.numbers.often)
    }
}

impl Numbers {
    fn handle(&mut self, now: Timestamp, key: Key, times: u32) {
        let hour = seconds(now) / 3_600;
        if hour != self.hour {
            *self = Self {
                hour,
                ..Self::default()
            };
        }
        self.calls = self.calls.saturating_add(1);
        let put = |sketch: &mut Option<Box<HllSketch>>| {
            // The size is a constant within the library's limits, so there always is one.
            let new = || HllSketch::new(REGISTERS, HllType::Hll8).ok().map(Box::new);
            if sketch.is_none() {
                *sketch = new();
            }
            if let Some(sketch) = sketch {
                sketch.update(key);
            }
        };
        if times == 1 {
            put(&mut self.all);
        }
        if times == OFTEN {
            put(&mut self.often);
        }
    }
}
