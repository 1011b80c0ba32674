//! How much each sender may ask, and how many may wait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::web::rate::Buckets;

/// Look-ups that one operator may make in a minute: a person at work makes a few, a scan needs thousands.
pub const LOOKUPS_PER_MINUTE: u32 = 60;
/// Reads of answers and states for each request that a portal may send: it asks for state, answer and evidence, and again.
pub const READS_PER_REQUEST: u32 = 10;
/// Longest that a push waits for its answer.
pub const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Pushes that wait at once; others get their 202 at once.
pub const WAITING: usize = 64;
/// How often those who wait look, where nothing told them to.
pub const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// What somebody may do so many times in a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// Sends requests.
    Push,
    /// Reads answers.
    Read,
    /// Looks calls up.
    LookUp,
}

/// Counts of all senders: as many as there are portals and operators in the configuration.
#[derive(Debug)]
pub struct Limits {
    buckets: Buckets<(What, Arc<str>)>,
    /// Room for those who wait.
    pub waiting: Arc<Semaphore>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            buckets: Buckets::default(),
            waiting: Arc::new(Semaphore::new(WAITING)),
        }
    }
}

impl Limits {
    /// Takes one of those that `who`, a name out of the configuration, may do in a minute.
    ///
    /// # Errors
    ///
    /// How long until there is one again.
    pub fn take(
        &self,
        what: What,
        who: &Arc<str>,
        per_minute: u32,
        now: Instant,
    ) -> Result<(), Duration> {
        self.buckets.take((what, who.clone()), per_minute, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_holds_as_many_as_it_may_and_fills_evenly() {
        let limits = Limits::default();
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let begin = Instant::now();
        let take = |who, after| limits.take(What::Push, who, 6, begin + Duration::from_secs(after));
        for _ in 0..6 {
            take(&a, 0).unwrap();
        }
        assert_eq!(take(&a, 0), Err(Duration::from_secs(10)));
        take(&b, 0).unwrap();
        take(&a, 10).unwrap();
        assert!(take(&a, 11).is_err());
        // An hour of silence is worth a minute.
        for _ in 0..6 {
            take(&a, 3600).unwrap();
        }
        assert!(take(&a, 3600).is_err());
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let limits = Limits::default();
        let who: Arc<str> = "a".into();
        let now = Instant::now() + Duration::from_secs(60);
        limits.take(What::LookUp, &who, 1, now).unwrap();
        let earlier = now - Duration::from_secs(30);
        assert!(limits.take(What::LookUp, &who, 1, earlier).is_err());
        assert!(limits.take(What::LookUp, &who, 1, now).is_err());
    }
}
