//! Which row of a merged segment comes from where.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::super::layout;
use super::super::seal::ABSENT;
use super::super::table::{PAGE_ROWS, Reader};
use super::job::Halt;
use super::pace::Pace;
use crate::store::StoreError;

/// Rows whose keys are read at once: five pages.
const READ_ROWS: usize = 5 * PAGE_ROWS;

/// The inputs are sorted, and stay in order: so their numbers say it all.
pub(super) struct Order {
    /// Of every row, its input.
    pub from: Vec<u8>,
    /// Of every row, the milliseconds since the hour began.
    ms: Vec<u32>,
    hour: i64,
    /// Times of the first and the last record.
    pub span: (i64, i64),
    /// The lowest and the highest uid.
    pub uids: (u64, u64),
}

/// Called number (absent and non-integer ones last), time, uid: as seals sort.
type Key = (u64, i64, u64);

impl Order {
    /// Merges the inputs, at most 256, whose rows lie in `hour`.
    pub fn of(inputs: &[&Reader], hour: i64, pace: &mut Pace<'_>) -> Result<Self, Halt> {
        let rows = inputs.iter().map(|i| i.total_rows()).sum();
        let mut order = Self {
            from: Vec::with_capacity(rows),
            ms: Vec::with_capacity(rows),
            hour,
            span: (i64::MAX, i64::MIN),
            uids: (u64::MAX, 0),
        };
        let mut streams: Vec<Keys<'_>> = inputs.iter().map(|i| Keys::of(i, hour)).collect();
        let mut heap = BinaryHeap::with_capacity(inputs.len());
        for (number, stream) in (0_u8..).zip(&mut streams) {
            if let Some(key) = stream.next(pace)? {
                heap.push(Reverse((key, number)));
            }
        }
        while let Some(mut top) = heap.peek_mut() {
            let Reverse(((_, at, uid), number)) = *top;
            order.from.push(number);
            order.ms.push(ms(hour, at));
            order.span = (order.span.0.min(at), order.span.1.max(at));
            order.uids = (order.uids.0.min(uid), order.uids.1.max(uid));
            let stream = streams.get_mut(usize::from(number));
            match stream.map_or(Ok(None), |s| s.next(pace))? {
                Some(key) => *top = Reverse((key, number)),
                None => drop(std::collections::binary_heap::PeekMut::pop(top)),
            }
        }
        Ok(order)
    }

    pub fn rows(&self) -> usize {
        self.from.len()
    }

    /// The time of a row, to the millisecond.
    pub fn begun_at(&self, row: u32) -> i64 {
        let ms = self.ms.get(row as usize).copied().unwrap_or(0);
        self.hour
            .saturating_mul(layout::HOUR)
            .saturating_add(i64::from(ms) * 1_000_000)
    }

    /// Where the rows of each of so many inputs went.
    pub fn places(&self, inputs: usize) -> Vec<Vec<u32>> {
        let mut counts = vec![0_usize; inputs];
        for from in &self.from {
            if let Some(count) = counts.get_mut(usize::from(*from)) {
                *count += 1;
            }
        }
        let mut places: Vec<Vec<u32>> = counts.into_iter().map(Vec::with_capacity).collect();
        for (from, row) in self.from.iter().zip(0_u32..) {
            if let Some(places) = places.get_mut(usize::from(*from)) {
                places.push(row);
            }
        }
        places
    }
}

/// Milliseconds of a time since its hour began.
fn ms(hour: i64, at: i64) -> u32 {
    let since = at - hour.saturating_mul(layout::HOUR);
    u32::try_from(since / 1_000_000).unwrap_or(0)
}

/// The keys of a segment, some pages at a time.
struct Keys<'r> {
    file: &'r Reader,
    hour: i64,
    group: usize,
    /// In the group.
    next: usize,
    read: std::vec::IntoIter<Key>,
    last: Key,
}

impl<'r> Keys<'r> {
    fn of(file: &'r Reader, hour: i64) -> Self {
        Self {
            file,
            hour,
            group: 0,
            next: 0,
            read: Vec::new().into_iter(),
            last: (0, i64::MIN, 0),
        }
    }

    fn next(&mut self, pace: &mut Pace<'_>) -> Result<Option<Key>, Halt> {
        loop {
            if let Some(key) = self.read.next() {
                if key < self.last {
                    return Err(self.odd("its rows are not in order").into());
                }
                self.last = key;
                return Ok(Some(key));
            }
            if self.group >= self.file.groups() {
                return Ok(None);
            }
            let total = self.file.group_rows(self.group);
            if self.next >= total {
                (self.group, self.next) = (self.group + 1, 0);
                continue;
            }
            let rows: Vec<usize> = (self.next..(self.next + READ_ROWS).min(total)).collect();
            self.next += rows.len();
            self.read = self.keys(&rows)?.into_iter();
            // Packed, a key takes some 12 octets.
            pace.spend(rows.len() as u64 * 12)?;
        }
    }

    fn keys(&self, rows: &[usize]) -> Result<Vec<Key>, StoreError> {
        let called = self.file.rows::<i64>(self.group, "called", rows)?;
        let at = self.file.rows::<i64>(self.group, "begun_at", rows)?;
        let uids = self.file.rows::<i64>(self.group, "uid", rows)?;
        let keys = called.into_iter().zip(at.into_iter().zip(uids));
        keys.map(|(called, both)| {
            let (Some(at), Some(uid)) = both else {
                return Err(self.file.lacks("begun_at or uid", "value"));
            };
            if layout::hour_of(at) != self.hour {
                return Err(self.odd("it has rows of another hour"));
            }
            let called = called.and_then(|c| u64::try_from(c).ok());
            Ok((
                called.unwrap_or(ABSENT).min(ABSENT),
                at,
                uid.cast_unsigned(),
            ))
        })
        .collect()
    }

    fn odd(&self, what: &str) -> StoreError {
        StoreError::corrupt(self.file.path(), what)
    }
}
