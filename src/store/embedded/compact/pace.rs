//! The I/O budget: a bucket of octets that fills at a steady rate.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::job::Halt;

/// The longest sleep between two looks at whether the store closes.
const NAP: Duration = Duration::from_millis(50);

/// Octets that may be read and written, together.
pub(super) struct Pace<'s> {
    /// Octets a second; `None`: as fast as it goes.
    rate: Option<u64>,
    stop: &'s AtomicBool,
    /// When what has been spent so far is paid for.
    free_at: Instant,
}

impl<'s> Pace<'s> {
    pub fn new(rate: Option<u64>, stop: &'s AtomicBool) -> Self {
        Self {
            rate,
            stop,
            free_at: Instant::now(),
        }
    }

    /// Counts octets read or written, and waits until they fit the budget.
    pub fn spend(&mut self, octets: u64) -> Result<(), Halt> {
        self.check()?;
        let Some(rate) = self.rate else { return Ok(()) };
        let now = Instant::now();
        // What was not used for more than a second is not saved up.
        let floor = now.checked_sub(Duration::from_secs(1)).unwrap_or(now);
        self.free_at = self.free_at.max(floor);
        let nanos = u128::from(octets) * 1_000_000_000 / u128::from(rate.max(1));
        self.free_at += Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX >> 8));
        while let Some(rest) = self.free_at.checked_duration_since(Instant::now()) {
            if rest.is_zero() {
                break;
            }
            std::thread::sleep(rest.min(NAP));
            self.check()?;
        }
        Ok(())
    }

    /// Fails when the store closes.
    pub fn check(&self) -> Result<(), Halt> {
        match self.stop.load(Ordering::Relaxed) {
            true => Err(Halt::Stopped),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_holds_and_a_stop_ends_the_wait() {
        let stop = AtomicBool::new(false);
        let begin = Instant::now();
        let mut pace = Pace::new(Some(1_000_000), &stop);
        for _ in 0..10 {
            pace.spend(20_000).unwrap();
        }
        assert!(begin.elapsed() >= Duration::from_millis(190));
        stop.store(true, Ordering::Relaxed);
        let begin = Instant::now();
        assert!(matches!(pace.spend(1 << 40), Err(Halt::Stopped)));
        assert!(begin.elapsed() < Duration::from_secs(5));
        stop.store(false, Ordering::Relaxed);
        Pace::new(None, &stop).spend(u64::MAX).unwrap();
    }
}
