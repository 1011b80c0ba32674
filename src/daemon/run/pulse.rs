//! The watchdog's heart.

use std::time::{Duration, Instant};

use crate::host::supervisor;

/// Says that we turn, as long as the stages do.
pub(super) struct Pulse {
    every: Option<Duration>,
    due: Instant,
    said: (u64, u64),
}

impl Pulse {
    pub fn new(every: Option<Duration>) -> Self {
        Self {
            // Twice in the time in which it must be said once.
            every: every.map(|e| e / 2),
            due: Instant::now(),
            said: (u64::MAX, u64::MAX),
        }
    }

    pub fn turn(&mut self, beats: (u64, u64)) {
        let Some(every) = self.every.filter(|_| self.due <= Instant::now()) else {
            return;
        };
        // Both have moved since: a thread that hangs leaves us silent, and the supervisor starts us again.
        if beats.0 != self.said.0 && beats.1 != self.said.1 {
            self.said = beats;
            self.due = Instant::now() + every;
            supervisor::alive();
        }
    }
}
