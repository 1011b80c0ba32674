//! The wall clock. Everything below is told the time.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::base::Timestamp;

/// Now, by the host's clock.
pub fn now() -> Timestamp {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => Timestamp::default().plus(since),
        Err(before) => Timestamp::default().minus(before.duration()),
    }
}
