//! Who called an emergency number a short while ago: an answering point may call back.

use std::time::Duration;

use crate::base::Timestamp;
use crate::base::bounded::BoundedMap;
use crate::number::Tn;

/// Callers remembered at once, some 6 MB: all 911 calls of the United States in two hours (240 million a year, NENA) are 55,000.
const CALLERS: usize = 65_536;

/// The longest that a caller is remembered; the setting may be shorter.
pub const LONGEST: Duration = Duration::from_secs(24 * 3_600);

/// Callers of emergency numbers, by when they last did. The one who called longest ago is forgotten first.
#[derive(Debug)]
pub struct EmergencyCallers {
    callers: BoundedMap<Tn, Timestamp>,
    /// Callers that were forgotten early, for want of room.
    pub evicted: u64,
}

impl Default for EmergencyCallers {
    fn default() -> Self {
        Self {
            callers: BoundedMap::new(CALLERS, LONGEST),
            evicted: 0,
        }
    }
}

impl EmergencyCallers {
    /// Remembers a caller.
    pub fn insert(&mut self, caller: Tn, at: Timestamp) {
        while self.callers.poll_expired(at).is_some() {}
        self.evicted += u64::from(self.callers.insert(caller, at, at).is_some());
    }

    /// Whether a number called an emergency number within the time before `at`, both ends included.
    pub fn called(&self, number: &Tn, at: Timestamp, within: Duration) -> bool {
        let last = self.callers.get(number);
        last.is_some_and(|last| *last <= at && at <= last.plus(within))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.callers.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.callers.is_empty()
    }

    /// All of them, who called longest ago first.
    pub fn into_oldest_first(self) -> impl Iterator<Item = (Tn, Timestamp)> {
        self.callers.into_oldest_first()
    }
}
