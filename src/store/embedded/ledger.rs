//! The coverage ledger on disk: one Parquet file a day, written anew when a seal adds rows to it.
//!
//! A day of one sensor is 1,440 rows, so the whole file is cheap to write; replacing it by rename makes adding the same rows
//! twice harmless.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use parquet::data_type::ByteArray;

use super::layout;
use super::table::{Finished, PAGE_ROWS, Reader, Writer, table};
use crate::base::Timestamp;
use crate::call::record::Coverage;
use crate::store::StoreError;

table! {
    /// A row of the ledger.
    CoverageCells reads CoverageColumns {
        sensor: ByteArray = true Dictionary Text None;
        from_time: i64 = true Delta Time Page;
        until_time: i64 = true Delta Time None;
        packets: i64 = true Delta Unsigned None;
        messages: i64 = true Delta Unsigned None;
        incomplete: i64 = true Delta Unsigned None;
        dropped: i64 = true Delta Unsigned None;
        unreadable: i64 = true Delta Unsigned None;
    }
}

/// Rows by sensor and beginning.
pub(super) type Rows = BTreeMap<(Arc<str>, Timestamp), Coverage>;

/// The day of a row, since 1970.
pub(super) fn day_of(at: Timestamp) -> i64 {
    layout::hour_of(at.nanos()).div_euclid(layout::DAY)
}

/// Adds rows to the files of their days.
pub(super) fn add(root: &Path, rows: &Rows) -> Result<(), StoreError> {
    let mut days: BTreeMap<i64, Rows> = BTreeMap::new();
    for (key, row) in rows {
        let day = days.entry(day_of(row.from)).or_default();
        day.insert(key.clone(), row.clone());
    }
    for (day, rows) in days {
        let path = layout::coverage_file(root, day);
        let mut all = if path.exists() {
            read(&path)?
        } else {
            Rows::new()
        };
        all.extend(rows);
        let fresh = path.with_extension("new");
        write(&fresh, &all)?;
        layout::rename(&fresh, &path)?;
    }
    layout::sync_dir(&layout::coverage(root))
}

fn write(path: &Path, rows: &Rows) -> Result<Finished, StoreError> {
    let mut file = Writer::create(path, &[CoverageCells::SPECS])?;
    file.group(|writers| {
        let mut cells = CoverageCells::new();
        let mut waiting = 0;
        for row in rows.values() {
            cells.sensor.put(ByteArray::from(&*row.sensor));
            cells.from_time.put(row.from.nanos());
            cells.until_time.put(row.until.nanos());
            cells.packets.put(row.packets.cast_signed());
            cells.messages.put(row.messages.cast_signed());
            cells.incomplete.put(row.incomplete.cast_signed());
            cells.dropped.put(row.dropped.cast_signed());
            cells.unreadable.put(row.unreadable.cast_signed());
            waiting += 1;
            if waiting == PAGE_ROWS {
                cells.flush(&mut writers.iter_mut())?;
                waiting = 0;
            }
        }
        if waiting > 0 {
            cells.flush(&mut writers.iter_mut())?;
        }
        Ok(())
    })?;
    file.finish(&[])
}

/// All rows of a day's file.
pub(super) fn read(path: &Path) -> Result<Rows, StoreError> {
    let file = Reader::open(path, &[], None)?;
    let mut rows = Rows::new();
    for group in 0..file.groups() {
        let all: Vec<usize> = (0..file.group_rows(group)).collect();
        let c = CoverageColumns::read(&file, group, &all)?;
        for i in all {
            let n = |cells: &[Option<i64>]| cells.get(i).copied().flatten();
            let sensor = c.sensor.get(i).and_then(Option::as_ref);
            let sensor = sensor.and_then(|s| std::str::from_utf8(s.data()).ok());
            let (Some(sensor), Some(from), Some(until)) =
                (sensor, n(&c.from_time), n(&c.until_time))
            else {
                return Err(file.lacks("sensor, from_time or until_time", "value"));
            };
            let count = |cells: &[Option<i64>]| n(cells).unwrap_or(0).cast_unsigned();
            let row = Coverage {
                sensor: sensor.into(),
                from: Timestamp::from_nanos(from),
                until: Timestamp::from_nanos(until),
                packets: count(&c.packets),
                messages: count(&c.messages),
                incomplete: count(&c.incomplete),
                dropped: count(&c.dropped),
                unreadable: count(&c.unreadable),
            };
            rows.insert((row.sensor.clone(), row.from), row);
        }
    }
    Ok(rows)
}
