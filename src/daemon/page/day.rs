//! Since when "today" is counted: midnight UTC where the probe was there then, and otherwise the moment from which on it can say.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::Timestamp;
use crate::engine::collect::{Tally, TallyKey};

/// What each neighbour sent or got.
pub type Tallies = BTreeMap<TallyKey, Tally>;

/// Seconds of a day.
const DAY: i64 = 86_400;

/// Who looks at the clock later than this after midnight was not there at midnight: the host slept. The first thread looks ten times a second.
const LATE: Duration = Duration::from_secs(5);

/// Why the day begins when it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Begins {
    /// The process started then.
    #[default]
    Start,
    /// It is midnight.
    Midnight,
    /// The clock was set, or the host slept.
    Clock,
    /// The stages were built anew after a defect, and count from zero.
    Defect,
}

/// A day, and what had been counted before it.
#[derive(Clone, Debug, Default)]
pub struct Day {
    /// Since when.
    pub since: Timestamp,
    /// Why since then.
    pub begins: Begins,
    before: Tallies,
    rebuilt: u64,
}

impl Day {
    /// The process starts.
    pub fn start(now: Timestamp) -> Self {
        Self {
            since: now,
            ..Self::default()
        }
    }

    /// The day that it is now, where that is another one: after midnight, or when counts began anew. `counted` is asked only then.
    pub fn next(
        &self,
        now: Timestamp,
        rebuilt: u64,
        counted: impl FnOnce() -> Tallies,
    ) -> Option<Self> {
        if rebuilt != self.rebuilt {
            return Some(Self {
                since: now,
                begins: Begins::Defect,
                before: Tallies::new(),
                rebuilt,
            });
        }
        let (today, then) = (
            now.secs().div_euclid(DAY),
            self.since.secs().div_euclid(DAY),
        );
        if today == then {
            return None;
        }
        let midnight = Timestamp::from_secs(today.saturating_mul(DAY));
        let in_time = now.distance(midnight) <= LATE && today > then;
        Some(Self {
            since: if in_time { midnight } else { now },
            begins: if in_time {
                Begins::Midnight
            } else {
                Begins::Clock
            },
            before: counted(),
            rebuilt,
        })
    }

    /// The clock was set: what was counted before can't be put on either side of a midnight.
    pub fn step(&self, now: Timestamp, counted: Tallies) -> Self {
        Self {
            since: now,
            begins: Begins::Clock,
            before: counted,
            rebuilt: self.rebuilt,
        }
    }

    /// What was counted today.
    pub fn of(&self, counted: &Tallies) -> Tallies {
        let none = Tally::default();
        let today = |(key, all): (&TallyKey, &Tally)| {
            let before = self.before.get(key).unwrap_or(&none);
            (key.clone(), less(all, before))
        };
        counted.iter().map(today).collect()
    }
}

/// What came since.
fn less(all: &Tally, before: &Tally) -> Tally {
    let mut out = Tally::default();
    out.attempts = all.attempts.saturating_sub(before.attempts);
    out.spoofed = all.spoofed.saturating_sub(before.spoofed);
    for ((n, all), before) in out
        .validations
        .iter_mut()
        .zip(all.validations)
        .zip(before.validations)
    {
        *n = all.saturating_sub(before);
    }
    for (verdict, n) in &all.verdicts {
        let then = before.verdicts.get(verdict).copied().unwrap_or(0);
        out.verdicts.insert(*verdict, n.saturating_sub(then));
    }
    let flags = all.flags.iter().enumerate();
    out.flags = flags
        .map(|(i, n)| n.saturating_sub(before.flags.get(i).copied().unwrap_or(0)))
        .collect();
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::collect::DirectionKey;

    const MIDNIGHT: i64 = 20_000 * DAY;

    fn s(secs: i64) -> Timestamp {
        Timestamp::from_secs(MIDNIGHT + secs)
    }

    fn counted(n: u64) -> Tallies {
        let mut tally = Tally::default();
        tally.attempts = n;
        [((DirectionKey::Ingress, None), tally)].into()
    }

    fn today(day: &Day, n: u64) -> u64 {
        day.of(&counted(n)).values().map(|t| t.attempts).sum()
    }

    #[test]
    fn the_first_day_begins_with_the_process_and_the_next_at_midnight() {
        let first = Day::start(s(-3_600));
        assert_eq!(today(&first, 7), 7);
        assert!(first.next(s(-1), 0, || unreachable!()).is_none());
        let next = first.next(s(0), 0, || counted(7)).unwrap();
        assert_eq!((next.since, next.begins), (s(0), Begins::Midnight));
        assert_eq!(today(&next, 10), 3);
        assert!(next.next(s(DAY - 1), 0, || unreachable!()).is_none());
    }

    #[test]
    fn who_was_not_there_at_midnight_does_not_say_so() {
        let first = Day::start(s(-3_600));
        let woken = first.next(s(3_600), 0, || counted(7)).unwrap();
        assert_eq!((woken.since, woken.begins), (s(3_600), Begins::Clock));
        let back = first.step(s(-50_000), counted(7));
        assert_eq!((back.since, back.begins), (s(-50_000), Begins::Clock));
        assert_eq!(today(&back, 8), 1);
        // Set back over a midnight, and nobody said so.
        let yesterday = Day::start(s(10)).next(s(-1), 0, || counted(7)).unwrap();
        assert_eq!(yesterday.begins, Begins::Clock);
    }

    #[test]
    fn stages_that_are_built_anew_count_from_zero_and_the_day_says_so() {
        let day = Day::start(s(1)).next(s(2), 1, || unreachable!()).unwrap();
        assert_eq!((day.begins, today(&day, 2)), (Begins::Defect, 2));
        assert!(day.next(s(3), 1, || unreachable!()).is_none());
    }
}
