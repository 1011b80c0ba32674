//! One calling number of one neighbour: how many calls, how many are answered, how long they last.

use super::heads::Weight;
use super::score::{Score, Strictness};
use super::thresholds::Thresholds;
use super::window::Windowed;
use crate::base::Timestamp;

/// What is counted of a number by the hour, and of a whole neighbour by the quarter of an hour.
pub(super) mod hour {
    /// Calls.
    pub const CALLS: usize = 0;
    /// Of these with a valid attestation A.
    pub const ATTESTED: usize = 1;
    /// Calls that came to an end that says something of the caller.
    pub const FINISHED: usize = 2;
    /// Of these answered.
    pub const ANSWERED: usize = 3;
    /// Answered calls of which the length is known.
    pub const TIMED: usize = 4;
    /// Of these short ones.
    pub const SHORT: usize = 5;
    /// Their seconds together.
    pub const SECONDS: usize = 6;
    /// How many counts.
    pub const COUNTS: usize = 7;
}

/// Counts of a number over an hour.
pub(super) type Hour = Windowed<{ hour::COUNTS }, 3_600>;

/// Counts of a neighbour over a quarter of an hour: its calls are many, and what it sent an hour ago must not hide what it sends now.
pub(super) type Quarter = Windowed<{ hour::COUNTS }, 900>;

/// What became of a call, as far as it says something of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Became {
    /// It was answered, or was not.
    Finished { answered: bool },
    /// It was answered, and lasted so many milliseconds.
    Lasted { ms: u32 },
}

/// Counts an outcome.
pub(super) fn count<const SECONDS: u32>(
    counts: &mut Windowed<{ hour::COUNTS }, SECONDS>,
    now: Timestamp,
    became: Became,
    short_seconds: u32,
) {
    match became {
        Became::Finished { answered } => {
            counts.add(now, hour::FINISHED, 1);
            counts.add(now, hour::ANSWERED, u32::from(answered));
        }
        Became::Lasted { ms } => {
            counts.add(now, hour::TIMED, 1);
            counts.add(
                now,
                hour::SHORT,
                u32::from(ms <= short_seconds.saturating_mul(1_000)),
            );
            counts.add(now, hour::SECONDS, ms.div_ceil(1_000));
        }
    }
}

/// Shares of such counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shares {
    pub calls: f64,
    pub finished: f64,
    pub timed: f64,
    /// Per hundred.
    pub attested: f64,
    /// Per hundred.
    pub answered: f64,
    /// Per hundred.
    pub short: f64,
    /// Seconds.
    pub mean: f64,
}

impl Shares {
    pub fn of<const SECONDS: u32>(
        counts: &Windowed<{ hour::COUNTS }, SECONDS>,
        now: Timestamp,
    ) -> Self {
        let n = |which| counts.count(now, which);
        let percent = |part: f64, whole: f64| {
            if whole > 0.0 {
                100.0 * part / whole
            } else {
                0.0
            }
        };
        let (calls, finished, timed) = (n(hour::CALLS), n(hour::FINISHED), n(hour::TIMED));
        Self {
            calls,
            finished,
            timed,
            attested: percent(n(hour::ATTESTED), calls),
            answered: percent(n(hour::ANSWERED), finished),
            short: percent(n(hour::SHORT), timed),
            mean: if timed > 0.0 {
                n(hour::SECONDS) / timed
            } else {
                0.0
            },
        }
    }
}

impl Shares {
    /// Answered calls that end at once: from how many on, and from which share and down to which mean length. Each has its weight.
    pub fn short_calls(
        &self,
        least: u32,
        (percent, share_weighs): (u32, i32),
        (mean, mean_weighs): (u32, i32),
        strictness: Strictness,
    ) -> Score {
        let mut score = Score::new(strictness);
        score
            .needs("answered", self.timed, least.into())
            .above("short-percent", self.short, percent.into(), share_weighs)
            .below("mean-seconds", self.mean, mean.into(), mean_weighs);
        score
    }

    /// Calls that nobody takes: from how many on, and up to which share of answers.
    pub fn low_answer(&self, least: u32, percent: u32, strictness: Strictness) -> Score {
        let mut score = Score::new(strictness);
        score.needs("finished", self.finished, least.into()).below(
            "answered-percent",
            self.answered,
            percent.into(),
            100,
        );
        score
    }
}

/// Outcomes of a busy number before they can excuse it.
const EXCUSE_LEAST: f64 = 20.0;

/// Of calls in a hundred, how many must be attested A to speak for a number.
const ATTESTED_PERCENT: f64 = 90.0;

/// One number.
#[derive(Debug, Default)]
pub(super) struct Caller {
    minute: Windowed<1, 60>,
    hour: Hour,
    day: Windowed<1, 86_400>,
}

impl Weight for Caller {
    fn weight(&self, now: Timestamp) -> f64 {
        // Of the day only, a number that is quiet now: lighter than one that calls.
        self.hour.count(now, hour::CALLS) * 8.0 + self.day.count(now, 0)
    }
}

impl Caller {
    pub fn handle_call(&mut self, now: Timestamp, attested: bool) {
        self.minute.add(now, 0, 1);
        self.hour.add(now, hour::CALLS, 1);
        self.hour.add(now, hour::ATTESTED, u32::from(attested));
        self.day.add(now, 0, 1);
    }

    pub fn handle_outcome(&mut self, now: Timestamp, became: Became, t: &Thresholds) {
        count(&mut self.hour, now, became, t.short_seconds);
    }

    /// More calls than a person makes. Calls that are answered and listened to, and that a provider vouches for, speak for it.
    pub fn high_volume(&self, now: Timestamp, t: &Thresholds, strictness: Strictness) -> Score {
        let of = Shares::of(&self.hour, now);
        let mut score = Score::new(strictness);
        score
            .above(
                "calls-minute",
                self.minute.count(now, 0),
                t.high_volume_minute.into(),
                60,
            )
            .above("calls-hour", of.calls, t.high_volume_hour.into(), 60)
            .above(
                "calls-day",
                self.day.count(now, 0),
                t.high_volume_day.into(),
                60,
            )
            .excuses("attested-a-percent", of.attested, ATTESTED_PERCENT, 20);
        let heard = of.finished >= EXCUSE_LEAST && of.timed >= EXCUSE_LEAST;
        let wanted = heard && of.mean >= f64::from(t.good_mean_seconds);
        // Without enough outcomes nothing excuses.
        let answered = if wanted { of.answered } else { 0.0 };
        score.excuses(
            "answered-and-heard-percent",
            answered,
            t.good_answer_percent.into(),
            60,
        );
        score
    }

    /// Answered calls that end at once.
    pub fn short_calls(&self, now: Timestamp, t: &Thresholds, strictness: Strictness) -> Score {
        let (share, mean) = (t.short_calls_percent, t.short_calls_mean_seconds);
        let of = Shares::of(&self.hour, now);
        of.short_calls(t.short_calls_least, (share, 60), (mean, 40), strictness)
    }

    /// Calls that nobody takes.
    pub fn low_answer(&self, now: Timestamp, t: &Thresholds, strictness: Strictness) -> Score {
        let of = Shares::of(&self.hour, now);
        of.low_answer(t.low_answer_least, t.low_answer_percent, strictness)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seven hundred calls in the hour, of which thirty were taken for so long.
    fn caller(taken: u32, ms: u32) -> (Caller, Timestamp) {
        let t = Thresholds::default();
        let (start, now) = (36_000, Timestamp::from_secs(36_000 + 3_599));
        let mut caller = Caller::default();
        for n in 0..700 {
            caller.handle_call(Timestamp::from_secs(start + n * 5), false);
        }
        for _ in 0..taken {
            caller.handle_outcome(now, Became::Finished { answered: true }, &t);
            caller.handle_outcome(now, Became::Lasted { ms }, &t);
        }
        (caller, now)
    }

    #[test]
    fn many_calls_are_excused_only_where_enough_of_them_are_taken_and_heard() {
        let is_high = |taken, ms| {
            let (caller, now) = caller(taken, ms);
            let score = caller.high_volume(now, &Thresholds::default(), Strictness::Open);
            score.is_met()
        };
        assert!(!is_high(30, 20_000));
        assert!(is_high(30, 19_000), "taken, and not listened to");
        assert!(is_high(19, 20_000), "too few to know");
    }

    #[test]
    fn a_short_call_lasts_up_to_the_seconds_written() {
        let short = |ms| {
            let (caller, now) = caller(30, ms);
            Shares::of(&caller.hour, now).short
        };
        assert_eq!((short(6_000), short(6_001)), (100.0, 0.0));
    }

    #[test]
    fn few_calls_say_nothing_of_length_or_answers() {
        let t = Thresholds::default();
        let is_met = |taken| {
            let (caller, now) = caller(taken, 1_000);
            caller.short_calls(now, &t, Strictness::Open).is_met()
        };
        assert!(is_met(30) && !is_met(29));
    }
}
