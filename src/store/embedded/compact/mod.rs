//! Compaction: the many small segments of an hour become a few large ones, and second halves that came late go into the rows of their records.
//!
//! Comes in: the files of an hour that the manifest lists. Goes out: merged segments of at most 8 million rows (`h-….parquet` and `.cix`), sorted over the
//! whole file, in row groups of 500,000; at most one file of ends, of records that other segments hold. One replacement of the manifest swaps them in; only
//! then are the old files unlinked. A compaction that fails or is cut short leaves files that no manifest lists: void.
//!
//! - `plan`: what is worth merging · `job`: one merge, step by step · `order`: which row comes from where · `entries`: the index · `columns`: the rows
//!   themselves · `fold`: second halves · `pace`: the I/O budget
//!
//! Nothing is decoded to records, so files of any age merge: columns that one lacks have no value. A file with a column that this version does not know is left alone.
//!
//! Memory, at most, of a merge of 8 million rows: 9 octets a row for the order, 12 for the uids and up to 100 for the second halves of a million rows at a
//! time, a row group's pages (35 MB), one column of it, and some pages of every input: about 300 MB; of an hour of 1,000 calls a second half of that.

mod columns;
mod entries;
mod fold;
mod job;
mod order;
mod pace;
mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

#[cfg(test)]
pub(super) use self::job::known_columns as refuse_unknown;
use self::job::{Done, Halt, Job};
use self::pace::Pace;
use super::layout;
use super::lookup::Shared;
use super::settings::Forwarded;
use crate::base::Timestamp;
use crate::store::StoreError;

/// How a store merges its segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompactionSettings {
    /// Octets read and written a second, together; 0: nothing is merged.
    pub octets_per_second: u64,
    /// So many small segments of an hour are merged while it goes on; so many files of ends are gathered into one.
    pub gather: usize,
    /// Rows of a merged segment at most.
    pub most_rows: usize,
    /// Rows of its row groups.
    pub group_rows: usize,
    /// An hour that ended so long ago, and to which nothing was added for as long, is merged whole.
    pub closed_after: Duration,
    /// An hour that ended so long ago has the ends folded in that came after it was merged: most calls are over.
    pub settled_after: Duration,
}

impl Default for CompactionSettings {
    /// The figures of the layout that was measured; four hours, because longer calls are rare.
    fn default() -> Self {
        Self {
            octets_per_second: 32 << 20,
            gather: 16,
            most_rows: 8_000_000,
            group_rows: 500_000,
            closed_after: Duration::from_secs(600),
            settled_after: Duration::from_secs(4 * 3600),
        }
    }
}

/// What compaction has done since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactionCounters {
    /// Merges done.
    pub merges: u64,
    /// Files that they replaced.
    pub files: u64,
    /// Records in the merged segments.
    pub rows: u64,
    /// Second halves that went into the rows of their records.
    pub folded: u64,
    /// Octets read.
    pub read: u64,
    /// Octets written.
    pub written: u64,
    /// Merges that failed; they are tried again.
    pub failures: u64,
    /// Merges put off for want of room on the disk.
    pub no_room: u64,
}

/// How long an hour is left alone after a merge of it failed.
const RETRY: Duration = Duration::from_secs(3600);

/// Asked before a merge whether there is room on the disk for so many octets more.
pub type RoomGuard = Arc<dyn Fn(u64) -> bool + Send + Sync>;

/// What compaction shares with the store.
#[derive(Default)]
pub(super) struct Compaction {
    /// Held by whoever merges.
    working: Mutex<()>,
    figures: Mutex<Figures>,
    /// Set when the store closes.
    stop: AtomicBool,
}

#[derive(Default)]
struct Figures {
    counters: CompactionCounters,
    trouble: Option<String>,
    /// Hours whose merge failed, and when it is tried again.
    failed: BTreeMap<i64, Timestamp>,
    room: Option<RoomGuard>,
    forwarded: Option<Forwarded>,
}

impl Compaction {
    fn figures(&self) -> MutexGuard<'_, Figures> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn counters(&self) -> CompactionCounters {
        self.figures().counters
    }

    pub fn trouble(&self) -> Option<String> {
        self.figures().trouble.clone()
    }

    pub fn guard_room(&self, guard: RoomGuard) {
        self.figures().room = Some(guard);
    }

    /// Leaves files alone that a shared engine has not had yet: it takes them one by one.
    pub fn spare(&self, what_is_not: Forwarded) {
        self.figures().forwarded = Some(what_is_not);
    }

    /// Up to which log files may be merged.
    fn up_to(&self) -> u64 {
        let figures = self.figures();
        figures
            .forwarded
            .as_ref()
            .map_or(u64::MAX, Forwarded::up_to)
    }

    fn has_room(&self, octets: u64) -> bool {
        let guard = self.figures().room.clone();
        guard.is_none_or(|may_write| may_write(octets))
    }
}

/// Merges what is worth it at `now`, until nothing is left or the store closes. `paced` keeps to the budget.
pub(super) fn work(
    shared: &Shared,
    settings: &CompactionSettings,
    now: Timestamp,
    paced: bool,
) -> Result<(), StoreError> {
    let compaction = &shared.compaction;
    let _working = compaction
        .working
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let rate = paced.then_some(settings.octets_per_second);
    let mut first_failure = None;
    // Whatever the clock says, once is enough.
    let mut failed_now = BTreeSet::new();
    let mut pace = Pace::new(rate, &compaction.stop);
    loop {
        let failed = {
            let mut figures = compaction.figures();
            figures.failed.retain(|_, again| *again > now);
            figures.failed.clone()
        };
        let job = {
            let state = shared.state();
            let above = compaction.up_to();
            plan::next(&state, settings, now, above, |hour| {
                failed.contains_key(&hour) || failed_now.contains(&hour)
            })
        };
        let Some(job) = job else { break };
        let hour = job.hour;
        let failure = match run(shared, settings, &job, &mut pace) {
            Ok(done) => {
                let mut figures = compaction.figures();
                figures.counters.note(&done);
                figures.failed.remove(&hour);
                if figures.failed.is_empty() {
                    figures.trouble = None;
                }
                continue;
            }
            Err(Halt::Stopped) => break,
            // Retention took the hour.
            Err(Halt::Gone) => continue,
            Err(Halt::NoRoom(octets)) => {
                compaction.figures().counters.no_room += 1;
                failed_now.insert(hour);
                tracing::warn!(octets, "no room to merge segments: they stay as they are");
                compaction.figures().failed.insert(hour, now.plus(RETRY));
                continue;
            }
            Err(Halt::Failed(e)) => e,
        };
        let mut figures = compaction.figures();
        figures.counters.failures += 1;
        if figures.trouble.is_none() {
            tracing::error!(
                "merging segments failed: {failure}; nothing is lost, it is tried again in {} min",
                RETRY.as_secs() / 60
            );
        }
        figures.trouble = Some(failure.to_string());
        figures.failed.insert(hour, now.plus(RETRY));
        failed_now.insert(hour);
        first_failure.get_or_insert(failure);
    }
    first_failure.map_or(Ok(()), Err)
}

fn run(
    shared: &Shared,
    settings: &CompactionSettings,
    job: &Job,
    pace: &mut Pace<'_>,
) -> Result<Done, Halt> {
    let octets = job.octets(&shared.root);
    if !shared.compaction.has_room(octets) {
        return Err(Halt::NoRoom(octets));
    }
    // What a merge makes does not count before its last step, so one that dies leaves nothing half done.
    catch_unwind(AssertUnwindSafe(|| job.run(shared, settings, pace))).unwrap_or_else(|_| {
        let hour = layout::hour_dir(&shared.root, job.hour);
        Err(StoreError::corrupt(&hour, "merging it died").into())
    })
}

impl CompactionCounters {
    fn note(&mut self, done: &Done) {
        self.merges += 1;
        self.files += done.files;
        self.rows += done.rows;
        self.folded += done.folded;
        self.read += done.read;
        self.written += done.written;
    }
}

/// The thread that merges beside the store's work.
pub(super) struct Compactor {
    orders: Arc<(Mutex<Orders>, Condvar)>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Orders {
    /// Look for work, as of this time.
    now: Option<Timestamp>,
    stop: bool,
}

impl Compactor {
    /// Starts it; `None` where no thread can be had: the store works without.
    pub fn start(shared: &Arc<Shared>, settings: &CompactionSettings) -> Option<Self> {
        let orders = Arc::new((Mutex::new(Orders::default()), Condvar::new()));
        let (for_thread, shared) = (orders.clone(), shared.clone());
        let (of_thread, settings) = (shared.clone(), settings.clone());
        let thread = std::thread::Builder::new()
            .name("compact".to_owned())
            .spawn(move || {
                while let Some(now) = next_order(&for_thread) {
                    // A failure is in the figures.
                    let _ = work(&of_thread, &settings, now, true);
                }
            });
        Some(Self {
            orders,
            shared,
            thread: Some(thread.ok()?),
        })
    }

    /// Has it look for work.
    pub fn look(&self, now: Timestamp) {
        let (orders, bell) = &*self.orders;
        orders.lock().unwrap_or_else(PoisonError::into_inner).now = Some(now);
        bell.notify_one();
    }
}

fn next_order((orders, bell): &(Mutex<Orders>, Condvar)) -> Option<Timestamp> {
    let mut orders = orders.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if orders.stop {
            return None;
        }
        if let Some(now) = orders.now.take() {
            return Some(now);
        }
        orders = bell.wait(orders).unwrap_or_else(PoisonError::into_inner);
    }
}

impl Drop for Compactor {
    /// Stops within the time of reading one column of a row group: what is half done is void.
    fn drop(&mut self) {
        self.shared.compaction.stop.store(true, Ordering::Relaxed);
        let (orders, bell) = &*self.orders;
        orders.lock().unwrap_or_else(PoisonError::into_inner).stop = true;
        bell.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.shared.compaction.stop.store(false, Ordering::Relaxed);
    }
}
