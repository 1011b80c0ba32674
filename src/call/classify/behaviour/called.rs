//! One called number, or one block of a thousand: calls in a minute against what is usual there.

use super::heads::Weight;
use super::score::{Score, Strictness};
use super::thresholds::Thresholds;
use super::window::{Windowed, seconds};
use crate::base::Timestamp;

/// How much of the usual is kept over a minute: half after an hour, 2^(-1/60).
const KEPT: f64 = 0.988_514_020_352_896_1;

/// Nothing gets less than this in a minute as its usual: what was never called is not flooded by a handful.
const USUAL_LEAST: f64 = 1.0;

/// Minutes without a call after which a usual is as good as forgotten: a day.
const FORGOTTEN: u32 = 1_440;

/// One number or block.
#[derive(Debug, Default)]
pub(super) struct Called {
    calls: Windowed<1, 60>,
    /// Mean calls in a minute, of minutes that are over.
    usual: f64,
    minute: u32,
}

impl Weight for Called {
    fn weight(&self, now: Timestamp) -> f64 {
        self.calls.count(now, 0).max(self.usual)
    }
}

/// Which behaviour is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Number,
    Block,
    Protected,
}

impl Called {
    /// Takes a call in. While the target is flooded, what is usual is not learnt, or the flood would become it.
    pub fn handle_call(&mut self, now: Timestamp, flooded: bool) {
        let minute = seconds(now) / 60;
        let gone = minute.saturating_sub(self.minute);
        if gone > 0 && self.minute > 0 && !flooded {
            let last = f64::from(self.calls.current(0));
            self.usual = self.usual * KEPT + last * (1.0 - KEPT);
            // The minutes between had no call.
            let idle = i32::try_from((gone - 1).min(FORGOTTEN)).unwrap_or(0);
            self.usual *= KEPT.powi(idle);
        }
        self.minute = minute;
        self.calls.add(now, 0, 1);
    }

    /// Where the history is short, a mean that starts from nothing says too little; `known` is for how many minutes we have looked.
    pub fn flood(
        &self,
        now: Timestamp,
        t: &Thresholds,
        target: Target,
        toll_free: bool,
        known: u32,
        strictness: Strictness,
    ) -> Score {
        let factor = if toll_free {
            f64::from(t.flood_toll_free_factor)
        } else {
            1.0
        };
        let (minute, times) = match target {
            Target::Number => (
                f64::from(t.flood_number_minute) * factor,
                t.flood_times_usual,
            ),
            Target::Block => (
                f64::from(t.flood_prefix_minute) * factor,
                t.flood_times_usual,
            ),
            Target::Protected => (
                t.protected_flood_minute.into(),
                t.protected_flood_times_usual,
            ),
        };
        let calls = self.calls.count(now, 0);
        let mut score = Score::new(strictness);
        if target != Target::Protected {
            score.needs(
                "looked-minutes",
                known.into(),
                t.flood_learning_minutes.into(),
            );
        }
        // As much as was learnt in the time that we have looked, and no more: a mean over an hour that began ten minutes ago is six times too low.
        let learnt = 1.0 - KEPT.powi(i32::try_from(known.min(FORGOTTEN)).unwrap_or(0));
        let usual = if learnt > 0.0 {
            self.usual / learnt
        } else {
            0.0
        };
        score.needs("calls-minute", calls, minute).above(
            "times-usual",
            calls / usual.max(USUAL_LEAST),
            times.into(),
            100,
        );
        score
    }
}
