//! The wall clock, how good it is, and whether somebody set it. Everything below is told the time.

use std::io;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::base::Timestamp;
use crate::base::digest::IdDigest;
use crate::call::attempt::snapshot::ClockMark;
use crate::call::record::{Clock, ClockSource, ClockState};
use crate::sys::timex::{self, Timex};

/// A clock that is slewed gains or loses 0.05 % at most (the kernel's limit), which is 5 ms between looks ten seconds apart. What differs by more was set.
const STEP: Duration = Duration::from_millis(200);

/// Now, by the host's clock.
pub fn now() -> Timestamp {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => Timestamp::default().plus(since),
        Err(before) => Timestamp::default().minus(before.duration()),
    }
}

/// How good the host's clock is.
///
/// # Errors
///
/// What the system says.
pub fn state() -> Result<ClockState, io::Error> {
    timex::clock_state().map(state_of)
}

fn state_of(t: Timex) -> ClockState {
    ClockState {
        synchronised: t.synchronised,
        offset_ns: t.offset_ns,
        error_ns: u64::try_from(t.maxerror_us)
            .unwrap_or(0)
            .saturating_mul(1_000),
    }
}

/// The clock as records keep it.
pub fn of_records(state: ClockState) -> Clock {
    Clock {
        source: match state.synchronised {
            true => ClockSource::Synchronised,
            false => ClockSource::Free,
        },
        // What does not fit, 4.3 s and more, is past every limit that anybody asks about.
        error_ns: u32::try_from(state.bound_ns()).unwrap_or(u32::MAX),
    }
}

/// Which run of the clock this is: the boot of the host, and when that was. `None` where the kernel does not say.
pub fn mark() -> Option<ClockMark> {
    let boot = std::fs::read("/proc/sys/kernel/random/boot_id").ok()?;
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let up: f64 = uptime.split(' ').next()?.parse().ok()?;
    let up = Duration::try_from_secs_f64(up).ok()?;
    Some(ClockMark {
        boot: IdDigest::of(boot.trim_ascii()).0,
        boot_at: now().minus(up),
    })
}

/// Sees whether somebody set the clock, by a clock that nobody can set.
#[derive(Clone, Copy, Debug)]
pub struct StepWatch {
    wall: Timestamp,
    steady: Duration,
    began: Instant,
}

/// The clock was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it would show if it had not been.
    pub before: Timestamp,
    /// What it shows.
    pub after: Timestamp,
}

impl StepWatch {
    /// Begins to watch.
    pub fn start() -> Self {
        Self {
            wall: now(),
            steady: Duration::ZERO,
            began: Instant::now(),
        }
    }

    /// Whether the clock was set since the last look, or the host slept. To be asked every few seconds at the latest.
    pub fn look(&mut self) -> Option<Step> {
        self.compare(now(), self.began.elapsed())
    }

    fn compare(&mut self, wall: Timestamp, steady: Duration) -> Option<Step> {
        let expected = self.wall.plus(steady.saturating_sub(self.steady));
        (self.wall, self.steady) = (wall, steady);
        (wall.distance(expected) > STEP).then_some(Step {
            before: expected,
            after: wall,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(secs: i64) -> Timestamp {
        Timestamp::from_secs(1_795_478_400 + secs)
    }

    #[test]
    fn records_bear_the_bound_of_a_kept_clock_and_no_hope_for_a_free_one() {
        let kept = state_of(Timex {
            synchronised: true,
            offset_ns: -500_000,
            maxerror_us: 2_000,
            ..Timex::default()
        });
        let clock = of_records(kept);
        assert_eq!(
            (clock.source, clock.error_ns),
            (ClockSource::Synchronised, 2_500_000)
        );
        let free = of_records(state_of(Timex::default()));
        assert_eq!((free.source, free.error_ns), (ClockSource::Free, u32::MAX));
    }

    #[test]
    fn a_clock_that_is_set_either_way_is_seen_once_and_a_slewed_one_never() {
        let mut watch = StepWatch {
            wall: s(0),
            steady: Duration::ZERO,
            began: Instant::now(),
        };
        let secs = Duration::from_secs;
        // 0.05 % over ten seconds.
        let slewed = s(10).plus(Duration::from_millis(5));
        assert_eq!(watch.compare(slewed, secs(10)), None);
        let forward = watch.compare(s(3_620), secs(20)).unwrap();
        assert_eq!(forward.after, s(3_620));
        assert_eq!(forward.before, s(20).plus(Duration::from_millis(5)));
        assert_eq!(watch.compare(s(3_630), secs(30)), None);
        let back = watch.compare(s(40), secs(40)).unwrap();
        assert_eq!((back.before, back.after), (s(3_640), s(40)));
        assert_eq!(watch.compare(s(50), secs(50)), None);
    }

    #[test]
    fn two_looks_in_one_boot_have_the_same_mark() {
        let (a, b) = (mark().unwrap(), mark().unwrap());
        assert_eq!(a.boot, b.boot);
        assert!(a.boot_at.distance(b.boot_at) < STEP);
    }

    #[test]
    fn the_clock_of_this_host_stands_still_while_nobody_sets_it() {
        let mut watch = StepWatch::start();
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(watch.look(), None);
        state().unwrap();
    }
}
