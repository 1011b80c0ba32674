//! Second halves that came after their first half was sealed: small Parquet files sorted by uid, joined at read.
//!
//! Compaction folds them into the segments. What it finds no record for in the segments at hand it gathers into one file, with a column `seq` more: the log
//! that brought each, because the latest wins. In a file without it, all came from the log in its name.

use std::path::Path;

use super::codec::EndFacts;
use super::segment::{EndCells, EndColumns, UidCells};
use super::table::{Finished, PAGE_ROWS, Reader, Writer, table};
use super::vault::Vault;
use crate::store::StoreError;

/// Columns to open a file of ends with.
pub(super) const KEYS: [&str; 1] = ["uid"];

table! {
    /// The log that brought a second half.
    SeqCells {
        seq: i64 = false Delta Signed None;
    }
}

/// Rows of a row group, where ends were gathered: as many as a segment's.
const GROUP_ROWS: usize = 500_000;

/// Writes ends, sorted by uid.
pub(super) fn write(
    path: &Path,
    ends: &[EndFacts],
    about: &[(&str, String)],
    vault: &Vault,
    day: i64,
) -> Result<Finished, StoreError> {
    let specs = [UidCells::SPECS, EndCells::SPECS];
    let mut file = Writer::create(path, &specs, vault, Some(day))?;
    file.group(|writers| {
        let (mut uids, mut cells) = (UidCells::new(), EndCells::new());
        for page in ends.chunks(PAGE_ROWS) {
            for end in page {
                uids.uid.put(end.uid.cast_signed());
                cells.push(Some(end));
            }
            let mut writers = writers.iter_mut();
            uids.flush(&mut writers)?;
            cells.flush(&mut writers)?;
        }
        Ok(())
    })?;
    file.finish(about)
}

/// Writes ends of several logs, sorted by uid, each with its log.
pub(super) fn gather(
    path: &Path,
    ends: impl IntoIterator<Item = (u64, EndFacts)>,
    about: &[(&str, String)],
    vault: &Vault,
    day: i64,
) -> Result<Finished, StoreError> {
    let mut ends = ends.into_iter().peekable();
    let specs = [UidCells::SPECS, EndCells::SPECS, SeqCells::SPECS];
    let mut file = Writer::create(path, &specs, vault, Some(day))?;
    while ends.peek().is_some() {
        file.group(|writers| {
            let (mut uids, mut cells) = (UidCells::new(), EndCells::new());
            let mut seqs = SeqCells::new();
            let mut flush = |uids: &mut UidCells, cells: &mut EndCells, seqs: &mut SeqCells| {
                let mut writers = writers.iter_mut();
                uids.flush(&mut writers)?;
                cells.flush(&mut writers)?;
                seqs.flush(&mut writers)
            };
            let mut waiting = 0;
            for (seq, end) in ends.by_ref().take(GROUP_ROWS) {
                uids.uid.put(end.uid.cast_signed());
                cells.push(Some(&end));
                seqs.seq.put_opt(Some(seq.cast_signed()));
                waiting += 1;
                if waiting == PAGE_ROWS {
                    flush(&mut uids, &mut cells, &mut seqs)?;
                    waiting = 0;
                }
            }
            match waiting {
                0 => Ok(()),
                _ => flush(&mut uids, &mut cells, &mut seqs),
            }
        })?;
    }
    file.finish(about)
}

/// Ends of a file in their order, some pages at a time.
pub(super) struct Rows<'f> {
    file: &'f Reader,
    /// Of the log in the file's name.
    seq: u64,
    group: usize,
    /// In the group.
    next: usize,
    /// Over the whole file.
    row: usize,
}

/// An end of a file: its row there, the log that brought it, and what it says.
pub(super) type Row = (usize, u64, EndFacts);

impl<'f> Rows<'f> {
    pub fn of(file: &'f Reader, seq: u64) -> Self {
        Self {
            file,
            seq,
            group: 0,
            next: 0,
            row: 0,
        }
    }

    /// Those of the next page with rows that are wanted; pages and rows that are not are passed over. `None` at the end.
    pub fn page(
        &mut self,
        page_wanted: impl Fn(u64, u64) -> bool,
        wanted: impl Fn(usize, u64) -> bool,
    ) -> Result<Option<Vec<Row>>, StoreError> {
        while self.group < self.file.groups() {
            let total = self.file.group_rows(self.group);
            if self.next >= total {
                (self.group, self.next) = (self.group + 1, 0);
                continue;
            }
            let rows: Vec<usize> = (self.next..(self.next + PAGE_ROWS).min(total)).collect();
            let pages = self.file.pages(self.group, "uid")?;
            let page = self.next / PAGE_ROWS;
            let low = pages.min_values().get(page).map(|u| u.cast_unsigned());
            let high = pages.max_values().get(page).map(|u| u.cast_unsigned());
            let first = self.row;
            self.next += rows.len();
            self.row += rows.len();
            if low.zip(high).is_some_and(|(l, h)| !page_wanted(l, h)) {
                continue;
            }
            let uids = self.file.rows::<i64>(self.group, "uid", &rows)?;
            let mut hits = Vec::new();
            for (row, uid) in rows.into_iter().zip(uids) {
                let uid = uid.ok_or_else(|| self.file.lacks("uid", "value"))?;
                let over_all = first + row % PAGE_ROWS;
                if wanted(over_all, uid.cast_unsigned()) {
                    hits.push((row, over_all, uid.cast_unsigned()));
                }
            }
            if hits.is_empty() {
                continue;
            }
            let rows: Vec<usize> = hits.iter().map(|(row, ..)| *row).collect();
            let seqs = self.file.rows::<i64>(self.group, "seq", &rows)?;
            let columns = EndColumns::read(self.file, self.group, &rows)?;
            let mut found = Vec::with_capacity(hits.len());
            for (i, ((_, over_all, uid), seq)) in hits.into_iter().zip(seqs).enumerate() {
                let seq = seq.map_or(self.seq, i64::cast_unsigned);
                let end = columns.row(i, uid, 0, self.file.path())?;
                let end = end.ok_or_else(|| self.file.lacks("state", "value"))?;
                found.push((over_all, seq, end));
            }
            return Ok(Some(found));
        }
        Ok(None)
    }
}

/// The ends of those of the given uids (sorted) that are in the file, with the logs that brought them where those are not the one in its name.
pub(super) fn find(
    file: &Reader,
    uids: &[u64],
) -> Result<Vec<(Option<u64>, EndFacts)>, StoreError> {
    let mut found = Vec::new();
    for group in 0..file.groups() {
        let pages = file.pages(group, "uid")?;
        let total = file.group_rows(group);
        let wanted = pages.min_values().iter().zip(pages.max_values());
        let rows: Vec<usize> = wanted
            .enumerate()
            .filter(|(_, (low, high))| {
                let from = uids.partition_point(|u| *u < low.cast_unsigned());
                uids.get(from).is_some_and(|u| *u <= high.cast_unsigned())
            })
            .flat_map(|(page, _)| page * PAGE_ROWS..((page + 1) * PAGE_ROWS).min(total))
            .collect();
        if rows.is_empty() {
            continue;
        }
        let stored = file.rows::<i64>(group, "uid", &rows)?;
        let hits: Vec<(usize, u64)> = rows
            .into_iter()
            .zip(stored)
            .filter_map(|(row, uid)| Some((row, uid?.cast_unsigned())))
            .filter(|(_, uid)| uids.binary_search(uid).is_ok())
            .collect();
        let rows: Vec<usize> = hits.iter().map(|(row, _)| *row).collect();
        let columns = EndColumns::read(file, group, &rows)?;
        let seqs = file.rows::<i64>(group, "seq", &rows)?;
        for (i, ((_, uid), seq)) in hits.iter().zip(seqs).enumerate() {
            let end = columns.row(i, *uid, 0, file.path())?;
            found.extend(end.map(|e| (seq.map(i64::cast_unsigned), e)));
        }
    }
    Ok(found)
}
