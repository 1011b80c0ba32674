//! The index beside a segment: who called, and who was called by another name than that of the Request-URI.
//!
//! A small Parquet file, `.cix`: `alias` (false in the first row groups, calling numbers; true in those after them, To, diverted-from, and
//! called numbers that are no integer), `number` (as an integer; below zero a hash of one that is none), `begun_ms` (capture time
//! in whole milliseconds since 1970: it tells all rows but those in the very millisecond in which a window begins or ends, whose exact time
//! is in the segment) and `row` of the segment, counted over all its row groups. Sorted by all four; a row group has at most 500,000 entries.
//! Milliseconds and not nanoseconds, because they save 2.5 octets a record; not whole seconds, because then nearly every window had rows whose
//! time had to be looked up in the segment, a page each. Files of earlier versions have `second` in place of `begun_ms`, and are read.

use std::path::Path;

use super::segment::partition;
use super::table::{Finished, PAGE_ROWS, Reader, Writer, table};
use super::vault::Vault;
use crate::store::StoreError;

table! {
    /// An entry.
    IndexCells {
        alias: bool = true Text Flag Chunk;
        number: i64 = true Delta Signed Page;
        begun_ms: i64 = true Packed Signed None;
        row: i64 = true Packed Signed None;
    }
}

/// Nanoseconds of a millisecond.
const MS: i64 = 1_000_000;
/// Nanoseconds of a second: the unit of earlier versions.
const SECOND: i64 = 1_000_000_000;
/// Entries of a row group: as many as a segment has rows in one, so that writing needs no more memory than there.
const GROUP_ENTRIES: usize = 500_000;

/// Says that a row of the segment is found by a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct IndexEntry {
    number: i64,
    begun_ms: i64,
    row: u32,
}

impl IndexEntry {
    /// `begun_at` in nanoseconds since 1970.
    pub fn new(number: i64, begun_at: i64, row: u32) -> Self {
        Self {
            number,
            begun_ms: begun_at.div_euclid(MS),
            row,
        }
    }
}

/// Columns to open an index with, those of earlier versions too.
pub(super) const KEYS: [&str; 5] = ["alias", "number", "begun_ms", "second", "row"];

/// Writes the index of a segment: each of both kinds of entries sorted.
pub(super) fn write(
    path: &Path,
    calling: impl IntoIterator<Item = IndexEntry>,
    aliases: impl IntoIterator<Item = IndexEntry>,
    about: &[(&str, String)],
    vault: &Vault,
    day: i64,
) -> Result<Finished, StoreError> {
    let mut file = Writer::create(path, &[IndexCells::SPECS], vault, Some(day))?;
    groups(&mut file, false, calling)?;
    groups(&mut file, true, aliases)?;
    file.finish(about)
}

fn groups(
    file: &mut Writer,
    alias: bool,
    entries: impl IntoIterator<Item = IndexEntry>,
) -> Result<(), StoreError> {
    let mut entries = entries.into_iter().peekable();
    while entries.peek().is_some() {
        file.group(|writers| {
            let mut cells = IndexCells::new();
            let mut waiting = 0;
            for entry in entries.by_ref().take(GROUP_ENTRIES) {
                cells.alias.put(alias);
                cells.number.put(entry.number);
                cells.begun_ms.put(entry.begun_ms);
                cells.row.put(entry.row.into());
                waiting += 1;
                if waiting == PAGE_ROWS {
                    cells.flush(&mut writers.iter_mut())?;
                    waiting = 0;
                }
            }
            match waiting {
                0 => Ok(()),
                _ => cells.flush(&mut writers.iter_mut()),
            }
        })?;
    }
    Ok(())
}

/// All entries of one kind, in their order: number and row. Their times are those of the rows, which the segment has exactly.
#[allow(dead_code, reason = "for compaction")]
pub(super) fn entries(index: &Reader, alias: bool) -> Result<Vec<(i64, u32)>, StoreError> {
    let mut all = Vec::new();
    for group in 0..index.groups() {
        if says_alias(index, group)? != Some(alias) {
            continue;
        }
        let every: Vec<usize> = (0..index.group_rows(group)).collect();
        let numbers = index.rows::<i64>(group, "number", &every)?;
        let rows = index.rows::<i64>(group, "row", &every)?;
        for both in numbers.into_iter().zip(rows) {
            let (Some(number), Some(row)) = both else {
                return Err(index.lacks("number or row", "value"));
            };
            let row = u32::try_from(row).map_err(|_| index.lacks("row", "possible value"))?;
            all.push((number, row));
        }
    }
    Ok(all)
}

/// The column of times of an index, and its unit in nanoseconds.
pub(super) fn times(index: &Reader) -> (&'static str, i64) {
    match index.has("begun_ms") {
        true => ("begun_ms", MS),
        false => ("second", SECOND),
    }
}

/// Which kind of entries a group holds.
fn says_alias(index: &Reader, group: usize) -> Result<Option<bool>, StoreError> {
    match index.only(group, "alias") {
        Some(only) => Ok(Some(only)),
        None => {
            let first = index.rows(group, "alias", &[0])?;
            Ok(first.into_iter().flatten().next())
        }
    }
}

/// Rows of a segment that a number finds, both rising.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// Surely within the window.
    pub inside: Vec<usize>,
    /// In the unit of time in which the window begins or ends: their exact time is for the caller to check.
    pub edge: Vec<usize>,
}

/// Rows of the segment found by `number` in the window.
pub(super) fn find(
    index: &Reader,
    alias: bool,
    number: i64,
    from: i64,
    until: i64,
) -> Result<Rows, StoreError> {
    let (column, unit) = times(index);
    let (first, last) = (from.div_euclid(unit), until.div_euclid(unit));
    // A unit that lies wholly in the window has no rows to check.
    let whole_first = from.rem_euclid(unit) == 0;
    let whole_last = until.rem_euclid(unit) == unit - 1;
    let is_edge = |at| (at == first && !whole_first) || (at == last && !whole_last);
    let mut found = Rows::default();
    for group in 0..index.groups() {
        if says_alias(index, group)? != Some(alias) {
            continue;
        }
        let rows = rows_of(index, group, number)?;
        if rows.is_empty() {
            continue;
        }
        let times = index.rows::<i64>(group, column, &rows)?;
        let targets = index.rows::<i64>(group, "row", &rows)?;
        for (at, row) in times.into_iter().zip(targets) {
            let row = row.and_then(|row| usize::try_from(row).ok());
            let (Some(at), Some(row)) = (at, row) else {
                return Err(index.lacks("begun_ms or row", "value"));
            };
            if !(first..=last).contains(&at) {
                continue;
            }
            match is_edge(at) {
                true => found.edge.push(row),
                false => found.inside.push(row),
            }
        }
    }
    for rows in [&mut found.inside, &mut found.edge] {
        rows.sort_unstable();
        rows.dedup();
    }
    Ok(found)
}

/// Has what a look-up needs fetched into the system's cache, in the background.
pub(super) fn prefetch(index: &Reader, alias: bool, number: i64) {
    for group in 0..index.groups() {
        if index.only(group, "alias") == Some(alias)
            && let Ok(rows) = pages_of(index, group, number)
            && !rows.is_empty()
        {
            index.prefetch(group, &["number", "begun_ms", "second", "row"], &rows);
        }
    }
}

/// Rows of the index in a group that have the number.
fn rows_of(index: &Reader, group: usize, number: i64) -> Result<Vec<usize>, StoreError> {
    let rows = pages_of(index, group, number)?;
    if rows.is_empty() {
        return Ok(rows);
    }
    let numbers = index.rows::<i64>(group, "number", &rows)?;
    let rows = rows.into_iter().zip(numbers);
    Ok(rows
        .filter(|(_, n)| *n == Some(number))
        .map(|(row, _)| row)
        .collect())
}

/// Rows of the pages in which the number may stand.
fn pages_of(index: &Reader, group: usize, number: i64) -> Result<Vec<usize>, StoreError> {
    let pages = index.pages(group, "number")?;
    let (low, high) = (pages.min_values(), pages.max_values());
    let count = low.len().min(high.len());
    let first = partition(count, |p| high.get(p).is_some_and(|h| *h < number));
    let last = partition(count, |p| low.get(p).is_some_and(|l| *l <= number));
    let total = index.group_rows(group);
    Ok((first * PAGE_ROWS..(last * PAGE_ROWS).min(total)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(calling: &[IndexEntry], aliases: &[IndexEntry]) -> (tempfile::TempDir, Reader) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.cix");
        let all = |e: &[IndexEntry]| e.to_vec();
        let vault = Vault::default();
        let written = write(&path, all(calling), all(aliases), &[], &vault, 0).unwrap();
        let reader = Reader::open(&path, &KEYS, Some(written.sum), &vault).unwrap();
        (dir, reader)
    }

    #[test]
    fn only_rows_in_a_millisecond_that_the_window_cuts_are_at_its_edge() {
        let at = |ms: i64| ms * MS + 400_000;
        let calling: Vec<_> = (0..10)
            .map(|i| IndexEntry::new(5, at(1_000 + i), u32::try_from(i).unwrap()))
            .collect();
        let (_dir, index) = written(&calling, &[IndexEntry::new(5, at(1_003), 77)]);
        let rows = find(&index, false, 5, at(1_002), at(1_005)).unwrap();
        assert_eq!((rows.inside, rows.edge), (vec![3, 4], vec![2, 5]));
        let rows = find(&index, false, 5, 1_002 * MS, 1_006 * MS - 1).unwrap();
        assert_eq!((rows.inside, rows.edge), (vec![2, 3, 4, 5], vec![]));
        let rows = find(&index, false, 5, 1_002 * MS + 1, 1_002 * MS + 2).unwrap();
        assert_eq!((rows.inside, rows.edge), (vec![], vec![2]));
        let rows = find(&index, true, 5, 0, i64::MAX).unwrap();
        assert_eq!((rows.inside, rows.edge), (vec![77], vec![]));
        let rows = find(&index, false, 6, 0, i64::MAX).unwrap();
        assert!(rows.inside.is_empty() && rows.edge.is_empty());
    }

    #[test]
    fn an_index_of_more_than_one_row_group_is_read_as_one() {
        let count = u32::try_from(GROUP_ENTRIES + PAGE_ROWS + 1).unwrap();
        let calling: Vec<_> = (0..count)
            .map(|row| IndexEntry::new(i64::from(row / 3), i64::from(row) * MS, row))
            .collect();
        let (_dir, index) = written(&calling, &[]);
        assert_eq!(index.groups(), 2);
        let read = entries(&index, false).unwrap();
        assert_eq!(read.len(), calling.len());
        assert!(
            read.iter()
                .zip(&calling)
                .all(|(r, c)| *r == (c.number, c.row))
        );
        assert_eq!(entries(&index, true).unwrap(), []);
        // One whose entries lie in both groups.
        let number = i64::try_from(GROUP_ENTRIES / 3).unwrap();
        let rows = find(&index, false, number, 0, i64::MAX).unwrap();
        let first = GROUP_ENTRIES / 3 * 3;
        assert_eq!(rows.inside, [first, first + 1, first + 2]);
    }
}
