//! Every record of a window that somebody wants, by time, in bounded memory: by the index of the called or the calling number where one is
//! named, else by reading the whole window.

use std::ops::ControlFlow;
use std::time::Duration;

use super::StoreReader;
use crate::base::Timestamp;
use crate::call::record::StoredCall;
use crate::store::select::Selection;
use crate::store::{Bounded, Lookup, Role, StoreError};

/// Records in memory at once, but for those of one nanosecond: some 100 MB. A number under attack may have more in an hour.
const SLICE: u64 = 100_000;

/// The widest slice: a number's calls of a day are a few, as a rule.
const WIDEST: Duration = Duration::from_secs(86_400);

impl StoreReader {
    /// Shows every wanted record that began in the window, closed at both ends, by time, then uid, with its second half. Stops early where `visit`
    /// breaks.
    ///
    /// # Errors
    ///
    /// [`StoreError`], where a file can't be read, or the store changed under every attempt.
    pub fn select(
        &self,
        wanted: &Selection,
        from: Timestamp,
        until: Timestamp,
        visit: impl FnMut(StoredCall) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.select_by(SLICE, wanted, from, until, visit)
    }

    /// With at most `slice` records in memory.
    fn select_by(
        &self,
        slice: u64,
        wanted: &Selection,
        from: Timestamp,
        until: Timestamp,
        mut visit: impl FnMut(StoredCall) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let (role, number) = match (wanted.called, wanted.calling) {
            (Some(called), _) => (Role::Called, called),
            (None, Some(calling)) => (Role::Calling, calling),
            (None, None) => {
                return self.scan(from, until, |call| match wanted.matches(&call) {
                    true => visit(call),
                    false => ControlFlow::Continue(()),
                });
            }
        };
        let (mut at, mut width) = match self.first_from(from) {
            Some(first) => (first, WIDEST),
            None => return Ok(()),
        };
        while at <= until {
            let last = at.plus(width.saturating_sub(NANO)).min(until);
            let most = if last > at { slice } else { u64::MAX };
            let calls = match self.look_up(role, number, at, last, most)? {
                Bounded::All(calls) => calls,
                Bounded::TooMany(_) => {
                    width = (width / 2).max(NANO);
                    continue;
                }
            };
            if (calls.len() as u64) < slice / 4 {
                width = (width * 2).min(WIDEST);
            }
            for call in calls {
                if wanted.matches(&call) && visit(call).is_break() {
                    return Ok(());
                }
            }
            let next = last.plus(NANO);
            if next <= at {
                break;
            }
            // Weeks without a record are passed over in one go.
            at = match self.first_from(next) {
                Some(first) => first,
                None => break,
            };
        }
        Ok(())
    }
}

const NANO: Duration = Duration::from_nanos(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use crate::store::embedded::tests::made::{begin, tn};
    use crate::store::embedded::{EmbeddedStore, StoreSettings};

    #[test]
    fn a_number_with_more_calls_than_fit_in_memory_is_read_in_slices() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = EmbeddedStore::open(dir.path(), StoreSettings::default()).unwrap();
        let mut times = Vec::new();
        for uid in 1..=300_u64 {
            let mut b = begin(uid);
            // Bursts: ten calls in the same nanosecond, thirty seconds apart, some of another caller.
            b.at = b.at.plus(Duration::from_secs(30 * (uid / 10)));
            if uid % 3 == 0 {
                b.numbers.from = Some(tn("12025550155"));
            }
            times.push((b.at, uid));
            store.append_begin(&b).unwrap();
            if uid == 150 {
                store.seal().unwrap();
            }
        }
        store.commit().unwrap();
        let reader = store.reader();
        let (from, until) = (times[0].0, times[299].0);
        for (called, calling, step) in [(true, false, 1), (false, true, 3), (true, true, 3)] {
            let wanted = Selection {
                called: called.then(|| tn("12025550100")),
                calling: calling.then(|| tn("12025550155")),
                ..Selection::default()
            };
            let mut found = Vec::new();
            let keep = |call: StoredCall| {
                found.push(call.begin.uid);
                ControlFlow::Continue(())
            };
            reader.select_by(7, &wanted, from, until, keep).unwrap();
            let expected: Vec<u64> = (1..=300).filter(|u| u % step == 0).collect();
            assert_eq!(found, expected);
            let mut few = 0;
            let stop = |_| {
                few += 1;
                ControlFlow::Break(())
            };
            reader.select_by(7, &wanted, from, until, stop).unwrap();
            assert_eq!(few, 1);
        }
    }
}
