//! Second halves that came after their first half was sealed: small Parquet files sorted by uid, joined at read.

use std::path::Path;

use super::codec::EndFacts;
use super::segment::{EndCells, EndColumns, UidCells};
use super::table::{Finished, PAGE_ROWS, Reader, Writer};
use super::vault::Vault;
use crate::store::StoreError;

/// Columns to open a file of ends with.
pub(super) const KEYS: [&str; 1] = ["uid"];

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

/// The ends of those of the given uids (sorted) that are in the file.
pub(super) fn find(file: &Reader, uids: &[u64]) -> Result<Vec<EndFacts>, StoreError> {
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
        for (i, (_, uid)) in hits.iter().enumerate() {
            found.extend(columns.row(i, *uid, 0, file.path())?);
        }
    }
    Ok(found)
}
