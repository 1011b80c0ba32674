//! A neighbour's mix against its own usual: shares of unsigned, of attested A and of answered calls, and mean length, over spans of ten minutes.
//!
//! The usual is a mean over spans, which forgets half in eight hours. How far a span lies beyond half of what is allowed is summed up (a two-sided
//! CUSUM): a change of the allowed size shows after two spans, a larger one after one, and noise never adds up.

use super::caller::Became;
use super::score::{Score, Strictness};
use super::thresholds::Thresholds;
use super::window::seconds;
use crate::base::Timestamp;

/// The width of a span.
const SPAN: u32 = 600;

/// Spans over which the usual is a mean: half is forgotten after fifty of them, eight hours.
const MEMORY: f64 = 72.0;

/// Timed calls of a span below which their mean length says nothing.
const TIMED_LEAST: u32 = 50;

/// What is held against its usual.
const NAMES: [&str; 4] = [
    "unsigned-points-off-usual",
    "attested-a-points-off-usual",
    "answered-points-off-usual",
    "mean-length-doublings-off-usual",
];

#[derive(Clone, Copy, Debug, Default)]
struct Measure {
    usual: f64,
    spans: u32,
    /// Sums of what lies above and below.
    up: f64,
    down: f64,
}

/// The mix of one neighbour.
#[derive(Debug, Default)]
pub(super) struct Mix {
    span: u32,
    calls: u32,
    unsigned: u32,
    attested: u32,
    finished: u32,
    answered: u32,
    timed: u32,
    seconds: u64,
    measures: [Measure; 4],
}

impl Mix {
    pub fn handle_call(&mut self, now: Timestamp, attested: bool, unsigned: bool, t: &Thresholds) {
        let span = seconds(now) / SPAN;
        if span != self.span {
            self.close(t);
            // Spans without a call are no change of the mix.
            *self = Self {
                span,
                measures: self.measures,
                ..Self::default()
            };
        }
        self.calls = self.calls.saturating_add(1);
        self.attested = self.attested.saturating_add(u32::from(attested));
        self.unsigned = self.unsigned.saturating_add(u32::from(unsigned));
    }

    pub fn handle_outcome(&mut self, _now: Timestamp, became: Became) {
        match became {
            Became::Finished { answered } => {
                self.finished = self.finished.saturating_add(1);
                self.answered = self.answered.saturating_add(u32::from(answered));
            }
            Became::Lasted { ms } => {
                self.timed = self.timed.saturating_add(1);
                self.seconds = self.seconds.saturating_add(u64::from(ms.div_ceil(1_000)));
            }
        }
    }

    /// How the last spans stand against the usual.
    pub fn score(&self, t: &Thresholds, strictness: Strictness) -> Score {
        let mut score = Score::new(strictness);
        for ((name, measure), allowed) in NAMES.iter().zip(&self.measures).zip(allowed(t)) {
            // In units of what is allowed; it counts from there on.
            let off = measure.up.max(measure.down);
            score.above(name, off, allowed, 60);
        }
        score
    }

    fn close(&mut self, t: &Thresholds) {
        if self.calls < t.mix_least {
            return;
        }
        let percent = |part: u32, whole: u32| 100.0 * f64::from(part) / f64::from(whole.max(1));
        let mean = self.seconds as f64 / f64::from(self.timed.max(1));
        let values = [
            Some(percent(self.unsigned, self.calls)),
            Some(percent(self.attested, self.calls)),
            (self.finished >= t.mix_least / 2).then(|| percent(self.answered, self.finished)),
            // A second at least, so that the logarithm stays within reason.
            (self.timed >= TIMED_LEAST).then(|| mean.max(1.0).log2()),
        ];
        for ((measure, value), allowed) in self.measures.iter_mut().zip(values).zip(allowed(t)) {
            if let Some(value) = value {
                measure.handle(value, allowed, t.mix_learning_tens);
            }
        }
    }
}

fn allowed(t: &Thresholds) -> [f64; 4] {
    let points = f64::from(t.mix_points);
    [
        points,
        points,
        points,
        f64::from(t.mix_duration_times).log2(),
    ]
}

impl Measure {
    fn handle(&mut self, value: f64, allowed: f64, learning: u32) {
        let off = value - self.usual;
        if self.spans >= learning {
            let sum = |sum: f64, off: f64| {
                // Not beyond twice, so that it comes down soon when all is as usual again.
                (sum + off - allowed / 2.0).clamp(0.0, 2.0 * allowed)
            };
            (self.up, self.down) = (sum(self.up, off), sum(self.down, -off));
        }
        self.spans = self.spans.saturating_add(1);
        self.usual += off / f64::from(self.spans).min(MEMORY);
    }
}
