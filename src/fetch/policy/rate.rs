//! So many at once, so many a minute.

use crate::base::Timestamp;

/// How many at once, and how many a minute from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// At once.
    pub burst: u32,
    /// A minute.
    pub per_minute: u32,
}

/// A token bucket in thousandths of a token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    thousandths: u64,
    at: Timestamp,
}

impl Bucket {
    pub fn full(rate: Rate) -> Self {
        Self {
            thousandths: u64::from(rate.burst) * 1000,
            at: Timestamp::MIN,
        }
    }

    /// Whether there is a token. A clock that was put back gives none.
    pub fn has(&self, rate: Rate, now: Timestamp) -> bool {
        self.at(rate, now).thousandths >= 1000
    }

    /// Takes a token, if there is one.
    pub fn take(&mut self, rate: Rate, now: Timestamp) {
        *self = self.at(rate, now);
        self.thousandths = self.thousandths.saturating_sub(1000);
    }

    fn at(&self, rate: Rate, now: Timestamp) -> Self {
        // Beyond a day every bucket is full.
        let millis = now.distance(self.at).as_millis().min(86_400_000);
        let gained = u64::try_from(millis).unwrap_or(0) * u64::from(rate.per_minute) / 60;
        if now <= self.at || gained == 0 {
            return *self;
        }
        Self {
            thousandths: (self.thousandths + gained).min(u64::from(rate.burst) * 1000),
            at: now,
        }
    }
}
