//! The coverage ledger on disk: one Parquet file a day, written anew when a seal adds rows to it.
//!
//! A day of one sensor is 1,440 rows, so the whole file is cheap to write; replacing it by rename makes adding the same rows
//! twice harmless. It is never encrypted: there is no number in it, and it must be readable when the records are not any more.
//!
//! The columns behind `unreadable` came later than the others. A file of before lacks them: its counts are 0, and what it says of the
//! clock and of being down is nothing.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parquet::data_type::ByteArray;

use super::table::{Finished, PAGE_ROWS, Reader, Writer, table};
use super::vault::Vault;
use super::{check, layout};
use crate::base::Timestamp;
use crate::call::record::{ClockState, Coverage, Down};
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
        lost_fragments: i64 = false Delta Unsigned None;
        tcp_gaps: i64 = false Delta Unsigned None;
        freezes: i64 = false Delta Unsigned None;
        shed: i64 = false Delta Unsigned None;
        unverified: i64 = false Delta Unsigned None;
        lost_records: i64 = false Delta Unsigned None;
        duplicates: i64 = false Delta Unsigned None;
        clock_synchronised: bool = false Plain Flag None;
        clock_offset_ns: i64 = false Delta Signed None;
        clock_error_ns: i64 = false Delta Unsigned None;
        down: ByteArray = false Dictionary Text None;
    }
}

const NANO: Duration = Duration::from_nanos(1);

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
        let mut all = match read(&path) {
            Ok(all) => all,
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Rows::new()
            }
            // What it said counts as not looked at. Nothing is sealed otherwise, for as long as nobody mends it.
            Err(StoreError::Corrupt { .. }) => {
                check::set_aside(root, &path)?;
                Rows::new()
            }
            Err(e) => return Err(e),
        };
        all.extend(rows);
        let fresh = path.with_extension("new");
        write_summed(&fresh, &all)?;
        layout::rename(&fresh, &path)?;
    }
    layout::sync_dir(&layout::coverage(root))
}

/// A row that says that records of a sensor are lost. It begins beside those that are there, which it would replace otherwise: a nanosecond before the
/// time that it is about, at a moment at which none begins that was ever taken in.
pub(super) fn damaged(
    sensor: &Arc<str>,
    from: Timestamp,
    until: Timestamp,
    known: &Rows,
) -> Coverage {
    let mut row = Coverage {
        sensor: sensor.clone(),
        from: from.minus(NANO),
        until: until.plus(NANO),
        down: Some(Down::Damaged),
        ..Coverage::default()
    };
    while known.contains_key(&(row.sensor.clone(), row.from)) && row.from > Timestamp::MIN {
        row.from = row.from.minus(NANO);
    }
    row
}

/// The footer holds the checksum of all that follows the pages, as it is with zeros in place of this checksum: the name can't, because the file is replaced
/// under it.
const NO_SUM: &str = "00000000";

/// Writes a file that says its own checksum: twice, because only then is it known.
fn write_summed(path: &Path, rows: &Rows) -> Result<Finished, StoreError> {
    let sum = write(path, rows, NO_SUM)?.sum;
    write(path, rows, &format!("{sum:08x}"))
}

/// Checks what follows the pages. A file of before this checksum has none.
fn check_tail(path: &Path, file: &Reader) -> Result<(), StoreError> {
    let Some(says) = file.about("tail") else {
        return Ok(());
    };
    let mut tail = file.tail()?;
    let key = memchr::memmem::find(&tail, b"tracehop.tail");
    let value =
        key.and_then(|at| Some(at + memchr::memmem::find(tail.get(at..)?, says.as_bytes())?));
    if let Some(value) = value.and_then(|at| tail.get_mut(at..at + NO_SUM.len())) {
        value.copy_from_slice(NO_SUM.as_bytes());
    }
    match u32::from_str_radix(says, 16) == Ok(crc32c::crc32c(&tail)) {
        true => Ok(()),
        false => Err(StoreError::corrupt(path, "damaged: footer checksum")),
    }
}

fn write(path: &Path, rows: &Rows, sum: &str) -> Result<Finished, StoreError> {
    let mut file = Writer::create(path, &[CoverageCells::SPECS], &Vault::default(), None)?;
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
            let count = |n: u64| Some(n.cast_signed());
            cells.lost_fragments.put_opt(count(row.lost_fragments));
            cells.tcp_gaps.put_opt(count(row.tcp_gaps));
            cells.freezes.put_opt(count(row.freezes));
            cells.shed.put_opt(count(row.shed));
            cells.unverified.put_opt(count(row.unverified));
            cells.lost_records.put_opt(count(row.lost_records));
            cells.duplicates.put_opt(count(row.duplicates));
            let clock = row.clock;
            cells
                .clock_synchronised
                .put_opt(clock.map(|c| c.synchronised));
            cells.clock_offset_ns.put_opt(clock.map(|c| c.offset_ns));
            cells
                .clock_error_ns
                .put_opt(clock.map(|c| c.error_ns.cast_signed()));
            let down = row.down.map(|d| ByteArray::from(d.label()));
            cells.down.put_opt(down);
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
    file.finish(&[("tail", sum.to_owned())])
}

/// All rows of a day's file.
pub(super) fn read(path: &Path) -> Result<Rows, StoreError> {
    let file = Reader::open(path, &[], None, &Vault::default())?;
    check_tail(path, &file)?;
    let mut rows = Rows::new();
    for group in 0..file.groups() {
        let all: Vec<usize> = (0..file.group_rows(group)).collect();
        let c = CoverageColumns::read(&file, group, &all)?;
        c.add_to(&mut rows, path)?;
    }
    Ok(rows)
}

impl CoverageColumns {
    /// One row.
    pub fn of(row: &Coverage) -> Self {
        let count = |n: u64| vec![Some(n.cast_signed())];
        let clock = row.clock;
        Self {
            sensor: vec![Some(ByteArray::from(&*row.sensor))],
            from_time: vec![Some(row.from.nanos())],
            until_time: vec![Some(row.until.nanos())],
            packets: count(row.packets),
            messages: count(row.messages),
            incomplete: count(row.incomplete),
            dropped: count(row.dropped),
            unreadable: count(row.unreadable),
            lost_fragments: count(row.lost_fragments),
            tcp_gaps: count(row.tcp_gaps),
            freezes: count(row.freezes),
            shed: count(row.shed),
            unverified: count(row.unverified),
            lost_records: count(row.lost_records),
            duplicates: count(row.duplicates),
            clock_synchronised: vec![clock.map(|c| c.synchronised)],
            clock_offset_ns: vec![clock.map(|c| c.offset_ns)],
            clock_error_ns: vec![clock.map(|c| c.error_ns.cast_signed())],
            down: vec![row.down.map(|d| ByteArray::from(d.label()))],
        }
    }

    /// Adds what the columns say; a later row of a sensor and beginning replaces an earlier one.
    pub fn add_to(&self, rows: &mut Rows, place: &Path) -> Result<(), StoreError> {
        let c = self;
        for i in 0..c.sensor.len() {
            let n = |cells: &[Option<i64>]| cells.get(i).copied().flatten();
            let sensor = c.sensor.get(i).and_then(Option::as_ref);
            let sensor = sensor.and_then(|s| std::str::from_utf8(s.data()).ok());
            let (Some(sensor), Some(from), Some(until)) =
                (sensor, n(&c.from_time), n(&c.until_time))
            else {
                let what = "sensor, from_time or until_time: no value";
                return Err(StoreError::corrupt(place, what));
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
                lost_fragments: count(&c.lost_fragments),
                tcp_gaps: count(&c.tcp_gaps),
                freezes: count(&c.freezes),
                shed: count(&c.shed),
                unverified: count(&c.unverified),
                lost_records: count(&c.lost_records),
                duplicates: count(&c.duplicates),
                clock: c
                    .clock_synchronised
                    .get(i)
                    .copied()
                    .flatten()
                    .map(|synchronised| ClockState {
                        synchronised,
                        offset_ns: n(&c.clock_offset_ns).unwrap_or(0),
                        error_ns: count(&c.clock_error_ns),
                    }),
                // A reason of a later version is still a time in which nobody looked.
                down: c.down.get(i).and_then(Option::as_ref).map(|label| {
                    std::str::from_utf8(label.data())
                        .ok()
                        .and_then(Down::from_label)
                        .unwrap_or(Down::Unknown)
                }),
            };
            rows.insert((row.sensor.clone(), row.from), row);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::codec::{decode_coverage, encode_coverage};
    use super::*;

    table! {
        /// The columns of version 0.1.
        OldCells {
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

    #[test]
    fn a_log_of_version_0_1_reads_and_a_later_one_is_all_or_nothing() {
        let row = Coverage {
            sensor: "edge".into(),
            packets: 300,
            unreadable: 5,
            ..Coverage::default()
        };
        let mut octets = Vec::new();
        encode_coverage(&row, &mut octets);
        // Seven counts and the bits are what version 0.1 did not write.
        let old = octets.len() - 8;
        assert_eq!(decode_coverage(&octets[..old]), Some(row.clone()));
        let full = Coverage {
            duplicates: u64::MAX,
            clock: Some(ClockState::default()),
            down: Some(Down::Interface),
            ..row
        };
        octets.clear();
        encode_coverage(&full, &mut octets);
        assert_eq!(decode_coverage(&octets), Some(full));
        for cut in (0..octets.len()).filter(|n| *n != old) {
            assert_eq!(decode_coverage(&octets[..cut]), None, "{cut}");
        }
        octets.push(0);
        assert_eq!(decode_coverage(&octets), None);
    }

    #[test]
    fn a_file_that_another_takes_the_place_of_is_read_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        layout::create_dirs(&layout::coverage(dir.path())).unwrap();
        let add_minute = |minute: i64| {
            let row = Coverage {
                sensor: "edge".into(),
                from: Timestamp::from_secs(60 * minute),
                until: Timestamp::from_secs(60 * minute + 60),
                ..Coverage::default()
            };
            add(dir.path(), &[((row.sensor.clone(), row.from), row)].into()).unwrap();
        };
        add_minute(1);
        let path = layout::coverage_file(dir.path(), 0);
        let before = Reader::open(&path, &[], None, &Vault::default()).unwrap();
        add_minute(2);
        check_tail(&path, &before).unwrap();
        assert_eq!(before.total_rows(), 1);
        assert_eq!(read(&path).unwrap().len(), 2);
    }

    #[test]
    fn a_file_of_version_0_1_reads_as_if_the_later_columns_were_empty() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("2026-11-24.parquet");
        let mut file = Writer::create(&path, &[OldCells::SPECS], &Vault::default(), None).unwrap();
        file.group(|writers| {
            let mut cells = OldCells::new();
            cells.sensor.put(ByteArray::from("edge"));
            cells.from_time.put(60_000_000_000);
            cells.until_time.put(120_000_000_000);
            for (n, column) in (1..).zip([
                &mut cells.packets,
                &mut cells.messages,
                &mut cells.incomplete,
                &mut cells.dropped,
                &mut cells.unreadable,
            ]) {
                column.put(n);
            }
            cells.flush(&mut writers.iter_mut())
        })
        .unwrap();
        file.finish(&[]).unwrap();
        let row = Coverage {
            sensor: "edge".into(),
            from: Timestamp::from_secs(60),
            until: Timestamp::from_secs(120),
            packets: 1,
            messages: 2,
            incomplete: 3,
            dropped: 4,
            unreadable: 5,
            ..Coverage::default()
        };
        let rows = read(&path).unwrap();
        assert_eq!(rows.into_values().collect::<Vec<_>>(), [row]);
    }
}
