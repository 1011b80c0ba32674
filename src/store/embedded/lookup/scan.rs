//! Every record of a window in the order of time, in bounded memory: slices of time, as wide as their records allow.
//!
//! Segments are sorted by called number, so a slice costs the times of every segment that it touches, and the rows within it.

use std::ops::ControlFlow;
use std::time::Duration;

use super::{ATTEMPTS, BeginRow, Found, Hit, Name, StoreReader, segment};
use crate::base::Timestamp;
use crate::call::record::StoredCall;
use crate::store::{Lookup, StoreError};

/// Records in memory at once, but for a single second that has more: some 100 MB.
const SLICE: usize = 100_000;

/// The widest slice: records are kept by the hour.
const WIDEST: Duration = Duration::from_secs(3_600);

/// The narrowest.
const NARROWEST: Duration = Duration::from_secs(1);

impl StoreReader {
    /// Shows every record that began in the window, closed at both ends, by time, then uid. Stops early where `visit` breaks.
    ///
    /// # Errors
    ///
    /// [`StoreError`], where a file can't be read, or the store changed under every attempt.
    pub fn scan(
        &self,
        from: Timestamp,
        until: Timestamp,
        mut visit: impl FnMut(StoredCall) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        // Retention may have forgotten what is in memory still.
        let from = self.forgotten_before().map_or(from, |f| f.max(from));
        let (mut at, mut width) = match self.first_from(from) {
            Some(first) => (first.max(from), WIDEST),
            None => return Ok(()),
        };
        while at <= until {
            let last = at.plus(width - Duration::from_nanos(1)).min(until);
            let Some(hits) = self.slice(at, last, width > NARROWEST)? else {
                width = (width / 2).max(NARROWEST);
                continue;
            };
            if hits.len() < SLICE / 4 {
                width = (width * 2).min(WIDEST);
            }
            for hit in hits {
                if visit(hit.into_call()).is_break() {
                    return Ok(());
                }
            }
            let next = last.plus(Duration::from_nanos(1));
            if next <= at {
                break;
            }
            // Weeks without a record are passed over in one go.
            at = match self.first_from(next) {
                Some(first) => next.max(first),
                None => break,
            };
        }
        Ok(())
    }

    /// No record begins between `from` and this.
    pub(super) fn first_from(&self, from: Timestamp) -> Option<Timestamp> {
        let state = self.shared.state();
        let tables = state.tables();
        let in_memory = tables.filter(|t| t.last.is_some_and(|l| l >= from.nanos()));
        let hour = super::layout::hour_of(from.nanos());
        let on_disk = state
            .hours
            .range(hour..)
            .flat_map(|(_, hour)| &hour.segments);
        let on_disk = on_disk.filter(|s| s.touches(from.nanos(), i64::MAX));
        let firsts = in_memory.filter_map(|t| t.first);
        // The beginning of the hour says enough of a segment.
        let hours = on_disk.map(|s| super::layout::hour_start(s.hour).nanos());
        let first = firsts.chain(hours).min()?;
        Some(Timestamp::from_nanos(first).max(from))
    }

    /// The records of a slice; `None` where they are too many and it `may_narrow`.
    fn slice(
        &self,
        from: Timestamp,
        until: Timestamp,
        may_narrow: bool,
    ) -> Result<Option<Vec<Hit>>, StoreError> {
        let (from, until) = (from.nanos(), until.nanos());
        let inside = |at: &i64| (from..=until).contains(at);
        for _ in 0..ATTEMPTS {
            let mut found = {
                let state = self.shared.state();
                state.check(&self.shared.root, from, until)?;
                let mut found = Found {
                    generation: state.generation,
                    hits: Vec::new(),
                    rows: 0,
                    segments: Vec::new(),
                    ends: Vec::new(),
                };
                for table in state.tables() {
                    found.rows += table.at.iter().filter(|at| inside(at)).count();
                    if may_narrow && found.rows > SLICE {
                        return Ok(None);
                    }
                    let rows = (0u32..).zip(&table.at).filter(|(_, at)| inside(at));
                    found.hits.extend(rows.filter_map(|(row, _)| {
                        Some(Hit {
                            begin: table.row(row).and_then(BeginRow::to_begin)?,
                            end: table.end_of(row).map(|e| (table.seq, *e)),
                        })
                    }));
                }
                for hour in state.hours(from, until) {
                    let segments = hour.segments.iter().copied();
                    found
                        .segments
                        .extend(segments.filter(|s| s.touches(from, until)));
                    found.ends.extend(&hour.ends);
                }
                found
            };
            let result = self.slice_of(&mut found, inside, may_narrow);
            let unchanged = self.shared.state().generation == found.generation;
            if unchanged && let Some(result) = self.shared.settle(result) {
                return result;
            }
        }
        Err(StoreError::Restless)
    }

    fn slice_of(
        &self,
        found: &mut Found,
        inside: impl Fn(&i64) -> bool,
        may_narrow: bool,
    ) -> Result<Option<Vec<Hit>>, StoreError> {
        let mut hits = std::mem::take(&mut found.hits);
        let mut count = hits.len();
        let mut wanted = Vec::new();
        for s in &found.segments {
            let file = self.shared.open(Name::Segment(*s))?;
            let mut rows = Vec::new();
            let mut first = 0;
            for group in 0..file.groups() {
                let all: Vec<usize> = (0..file.group_rows(group)).collect();
                let times = file.rows::<i64>(group, "begun_at", &all)?;
                let held = all.iter().zip(times);
                let held = held.filter(|(_, at)| at.as_ref().is_some_and(&inside));
                rows.extend(held.map(|(row, _)| first + row));
                first += all.len();
                if may_narrow && count + rows.len() > SLICE {
                    return Ok(None);
                }
            }
            count += rows.len();
            if !rows.is_empty() {
                wanted.push((s.seq, file, rows));
            }
        }
        for (seq, file, rows) in wanted {
            let read = segment::read_rows(&file, &rows)?;
            hits.extend(read.into_iter().map(|(begin, end)| Hit {
                begin,
                end: end.map(|e| (seq, e)),
            }));
        }
        hits.sort_unstable_by_key(|h| (h.begin.at, h.begin.uid));
        hits.dedup_by_key(|h| h.begin.uid);
        self.join(&mut hits, found)?;
        Ok(Some(hits))
    }
}
