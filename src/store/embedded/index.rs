//! The index beside a segment: who called, and who was called by another name than that of the Request-URI.
//!
//! A small Parquet file, `.cix`: `alias` (false in the first row group, calling numbers; true in the second, To, diverted-from, and
//! called numbers that are no integer), `number` (as an integer; below zero a hash of one that is none), `second` (capture time
//! in whole seconds since 1970: enough to pass by rows outside the window; the exact time is in the segment) and `row` of the
//! segment. Sorted by all four. The whole seconds and not the nanoseconds, because they save four octets a record.

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
        second: i64 = true Packed Signed None;
        row: i64 = true Packed Signed None;
    }
}

/// Says that a row of the segment is found by a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct IndexEntry {
    pub number: i64,
    pub second: i64,
    pub row: u32,
}

/// The whole second of a point in time.
pub(super) fn second(nanos: i64) -> i64 {
    nanos.div_euclid(1_000_000_000)
}

/// Columns to open an index with.
pub(super) const KEYS: [&str; 4] = ["alias", "number", "second", "row"];

/// Writes the index of one hour: entries sorted, each with its hour.
pub(super) fn write(
    path: &Path,
    calling: &[(i64, IndexEntry)],
    aliases: &[(i64, IndexEntry)],
    about: &[(&str, String)],
    vault: &Vault,
    day: i64,
) -> Result<Finished, StoreError> {
    let mut file = Writer::create(path, &[IndexCells::SPECS], vault, Some(day))?;
    for (alias, entries) in [(false, calling), (true, aliases)] {
        if entries.is_empty() {
            continue;
        }
        file.group(|writers| {
            let mut cells = IndexCells::new();
            for page in entries.chunks(PAGE_ROWS) {
                for (_, entry) in page {
                    cells.alias.put(alias);
                    cells.number.put(entry.number);
                    cells.second.put(entry.second);
                    cells.row.put(entry.row.into());
                }
                cells.flush(&mut writers.iter_mut())?;
            }
            Ok(())
        })?;
    }
    file.finish(about)
}

/// Rows of a segment that a number finds, both rising.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// Surely within the window.
    pub inside: Vec<usize>,
    /// In the first or the last second of the window: their exact time is for the caller to check.
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
    let (from, until) = (second(from), second(until));
    let mut found = Rows::default();
    for group in 0..index.groups() {
        let says = match index.only(group, "alias") {
            Some(only) => Some(only),
            None => index
                .rows(group, "alias", &[0])?
                .into_iter()
                .flatten()
                .next(),
        };
        if says != Some(alias) {
            continue;
        }
        let pages = index.pages(group, "number")?;
        let (low, high) = (pages.min_values(), pages.max_values());
        let count = low.len().min(high.len());
        let first = partition(count, |p| high.get(p).is_some_and(|h| *h < number));
        let last = partition(count, |p| low.get(p).is_some_and(|l| *l <= number));
        let total = index.group_rows(group);
        let rows: Vec<usize> = (first * PAGE_ROWS..(last * PAGE_ROWS).min(total)).collect();
        if rows.is_empty() {
            continue;
        }
        let numbers = index.rows::<i64>(group, "number", &rows)?;
        let rows: Vec<usize> = rows
            .into_iter()
            .zip(numbers)
            .filter(|(_, n)| *n == Some(number))
            .map(|(row, _)| row)
            .collect();
        if rows.is_empty() {
            continue;
        }
        let seconds = index.rows::<i64>(group, "second", &rows)?;
        let targets = index.rows::<i64>(group, "row", &rows)?;
        for (at, row) in seconds.into_iter().zip(targets) {
            let row = row.and_then(|row| usize::try_from(row).ok());
            let (Some(at), Some(row)) = (at, row) else {
                continue;
            };
            if at == from || at == until {
                found.edge.push(row);
            } else if (from..until).contains(&at) {
                found.inside.push(row);
            }
        }
    }
    for rows in [&mut found.inside, &mut found.edge] {
        rows.sort_unstable();
        rows.dedup();
    }
    Ok(found)
}
