//! What time brings: reminders, and providers that did not answer.

use super::{Docket, Result};
use crate::base::Timestamp;

/// What one tick did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticked {
    /// Reminders that went out.
    pub reminded: usize,
    /// Questions that nobody answered in time.
    pub overdue: usize,
    /// Whether there is more to do: come again at once.
    pub more: bool,
}

impl Docket {
    /// Does what is due by the clock, a bounded number of questions at a time. To be called every second.
    ///
    /// # Errors
    ///
    /// The database.
    pub fn tick(&self, now: Timestamp) -> Result<Ticked> {
        let _ = now;
        Ok(Ticked::default())
    }

    /// Walks every open case once, at the start: whatever a crash or an older version left undone is done then. Gives how many were walked.
    ///
    /// # Errors
    ///
    /// The database.
    pub fn resume(&self, now: Timestamp) -> Result<usize> {
        let _ = now;
        Ok(0)
    }

    /// Says that the directory knows a provider now that answers had named under another id: `stub` is the id of its row while it was unlisted.
    /// Cases that waited for it go on. To be called after the directory's act; gives how many cases.
    ///
    /// # Errors
    ///
    /// The database.
    pub fn listed(&self, stub: &str, provider: &str, now: Timestamp) -> Result<usize> {
        let _ = (stub, provider, now);
        Ok(0)
    }
}
