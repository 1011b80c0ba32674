//! Sealing: a full memtable becomes files, in an order that survives a power cut at any point.
//!
//! For every hour: `.cix` and `.ends` written, fsynced and renamed, then `.parquet`, then the folder fsynced, then its manifest; coverage; and only
//! then is the log unlinked. That unlink is the moment at which the files begin to count: as long as the log exists, the files of its number are
//! void, and whoever opens the store deletes them and reads the log. So a record is never lost and never there twice.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::codec::BeginRow;
use super::index::{self, IndexEntry};
use super::layout::{self, Ends, Facts, Segment};
use super::lookup::Hour;
use super::memtable::{Memtable, Posting};
use super::segment::{self, BeginCells, EndCells};
use super::table::Writer;
use super::vault::Vault;
use super::{ends, ledger, manifest};
use crate::store::StoreError;

/// A memtable to seal.
pub(super) struct SealJob {
    pub root: PathBuf,
    /// Frozen: no more records come.
    pub table: Arc<Memtable>,
    /// Records before it have been forgotten and are not written.
    pub forgotten: i64,
    /// Seals what is written; its erased days are not written either.
    pub vault: Vault,
}

/// Files that a seal made.
#[derive(Clone, Debug, Default)]
pub(super) struct Sealed {
    pub segments: Vec<Segment>,
    pub ends: Vec<Ends>,
    /// Octets in them.
    pub octets: u64,
    /// Records that were too old to be written.
    pub too_old: u64,
}

impl Sealed {
    /// Hours with a file, each once.
    pub fn hours(&self) -> BTreeSet<i64> {
        let segments = self.segments.iter().map(|s| s.hour);
        segments.chain(self.ends.iter().map(|e| e.hour)).collect()
    }

    /// Adds the files of an hour to those that it has.
    pub fn add_to(&self, hour: i64, files: &mut Hour) {
        let segments = self.segments.iter().filter(|s| s.hour == hour);
        files.segments.extend(segments);
        let ends = self.ends.iter().filter(|e| e.hour == hour);
        files.ends.extend(ends);
        files.listed = true;
    }
}

/// Row of the memtable and the hour it goes to.
#[derive(Clone, Copy)]
struct Key {
    hour: i64,
    row: u32,
}

/// What the records of one hour span.
struct Span {
    hour: i64,
    first: i64,
    last: i64,
    first_uid: u64,
    last_uid: u64,
}

/// Rows whose octets are fetched at once, before they are read one by one: they lie where they came, and are read in the order of called numbers.
const FETCHED: usize = 64;
/// Octets that memory gives at once.
const LINE: usize = 64;

/// Sorts behind every number: at most 18 digits are below 2^60.
pub(super) const ABSENT: u64 = 1 << 60;

impl SealJob {
    /// Writes the files, without effect as long as the log is there.
    pub fn write(&self) -> Result<Sealed, StoreError> {
        let mut sealed = Sealed::default();
        let order = self.order(&mut sealed);
        // Where each row went: its place in its segment.
        let mut places = vec![u32::MAX; self.table.rows()];
        for hour in order.chunk_by(|a, b| a.hour == b.hour) {
            for (place, key) in hour.iter().enumerate() {
                if let Some(p) = places.get_mut(key.row as usize) {
                    *p = u32::try_from(place).unwrap_or(u32::MAX);
                }
            }
        }
        let calling = self.entries(&self.table.calling, &places);
        let aliases = self.entries(&self.table.aliases, &places);
        let spans = self.spans();
        for hour in order.chunk_by(|a, b| a.hour == b.hour) {
            let span = hour
                .first()
                .and_then(|key| spans.iter().find(|s| s.hour == key.hour))
                .ok_or_else(|| {
                    StoreError::corrupt(&self.root, "an hour in memory without records")
                })?;
            self.segment(span, hour, &calling, &aliases, &mut sealed)?;
        }
        self.ends(&mut sealed)?;
        for hour in sealed.hours() {
            layout::sync_dir(&layout::hour_dir(&self.root, hour))?;
        }
        Ok(sealed)
    }

    /// Lists the files in the manifests and unlinks the log: now they count. `listed` says what there is in an hour besides; nobody may change
    /// that meanwhile.
    pub fn publish(
        &self,
        sealed: &Sealed,
        listed: impl Fn(i64) -> Option<Hour>,
    ) -> Result<(), StoreError> {
        for hour in sealed.hours() {
            let mut files = listed(hour).unwrap_or_default();
            sealed.add_to(hour, &mut files);
            manifest::write(&self.root, hour, &files)?;
        }
        if !self.table.coverage.is_empty() {
            ledger::add(&self.root, &self.table.coverage)?;
        }
        layout::remove(&layout::log(&self.root, self.table.seq))?;
        layout::sync_dir(&layout::wal(&self.root))?;
        self.vault.drop_log_key(self.table.seq)
    }

    /// Rows by hour, called number (absent and non-integer ones last), time and uid.
    ///
    /// Hour, number and row are sorted as one integer, which halves the time of sorting them as a struct. Rows of one number, as good
    /// as in order by then, are put in order after that.
    fn order(&self, sealed: &mut Sealed) -> Vec<Key> {
        let table = &self.table;
        let first = layout::hour_of(table.first.unwrap_or(0));
        let erased = self.vault.erased();
        // 32 bits of hours since the first, 64 of number, 32 of row.
        let mut packed: Vec<u128> = table
            .called
            .iter()
            .zip(&table.at)
            .zip(0_u32..)
            .filter(|((_, at), _)| **at >= self.forgotten && !is_erased(&erased, **at))
            .map(|((called, at), row)| {
                let hour = (layout::hour_of(*at) - first).unsigned_abs();
                let called = u64::try_from(*called).unwrap_or(u64::MAX);
                u128::from(hour) << 96 | u128::from(called.min(ABSENT)) << 32 | u128::from(row)
            })
            .collect();
        sealed.too_old = (table.rows() - packed.len()) as u64;
        packed.sort_unstable();
        let row = |p: &u128| u32::try_from(*p & u128::from(u32::MAX)).unwrap_or(u32::MAX);
        let place = |p: &u128| {
            let row = row(p) as usize;
            (table.at.get(row), table.uid.get(row))
        };
        for same in packed.chunk_by_mut(|a, b| *a >> 32 == *b >> 32) {
            if !same.is_sorted_by_key(place) {
                same.sort_unstable_by_key(place);
            }
        }
        packed
            .iter()
            .map(|p| Key {
                // Below 2^32.
                hour: first + (*p >> 96) as i64,
                row: row(p),
            })
            .collect()
    }

    /// What the records that are not forgotten span, hour by hour: gone through as they came, which is nearly the order of time.
    fn spans(&self) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        let rows = self.table.at.iter().zip(&self.table.uid);
        for (at, uid) in rows.filter(|(at, _)| **at >= self.forgotten) {
            let hour = layout::hour_of(*at);
            match spans.iter_mut().rev().find(|s| s.hour == hour) {
                Some(span) => {
                    span.first = span.first.min(*at);
                    span.last = span.last.max(*at);
                    span.first_uid = span.first_uid.min(*uid);
                    span.last_uid = span.last_uid.max(*uid);
                }
                None => spans.push(Span {
                    hour,
                    first: *at,
                    last: *at,
                    first_uid: *uid,
                    last_uid: *uid,
                }),
            }
        }
        spans
    }

    /// Touches the octets of these rows, so that memory works on all of them side by side; a row at a time, each would be waited for.
    fn fetch(&self, keys: &[Key]) {
        let touched = keys.iter().fold(0_u8, |touched, key| {
            let octets = self
                .table
                .bytes(key.row)
                .map_or(&[][..], |(_, octets)| octets);
            let lines = octets.iter().step_by(LINE).chain(octets.last());
            let end = self.table.end_of(key.row).map_or(0, |e| e.forks);
            lines.fold(touched ^ end, |touched, octet| touched ^ octet)
        });
        std::hint::black_box(touched);
    }

    fn about(&self) -> [(&'static str, String); 3] {
        [
            ("format", "1".to_owned()),
            ("log", self.table.seq.to_string()),
            ("last_uid", self.table.last_uid.to_string()),
        ]
    }

    fn segment(
        &self,
        span: &Span,
        keys: &[Key],
        calling: &[(i64, IndexEntry)],
        aliases: &[(i64, IndexEntry)],
        sealed: &mut Sealed,
    ) -> Result<(), StoreError> {
        let mut segment = Segment::spanning(self.table.seq, span.first, span.last);
        layout::create_dirs(&layout::hour_dir(&self.root, segment.hour))?;

        let fresh = segment.index(&self.root).with_extension("cix.new");
        let calling = of_hour(calling, segment.hour);
        let aliases = of_hour(aliases, segment.hour);
        let day = layout::day_of(segment.hour);
        let written = index::write(&fresh, calling, aliases, &self.about(), &self.vault, day)?;
        sealed.octets += written.octets;
        segment.index_sum = written.sum;
        layout::rename(&fresh, &segment.index(&self.root))?;

        let fresh = segment.parquet(&self.root).with_extension("parquet.new");
        let specs = [BeginCells::SPECS, EndCells::SPECS];
        let mut file = Writer::create(&fresh, &specs, &self.vault, Some(day))?;
        let numbering = super::names::Numbering::current();
        let mut damaged = None;
        file.group(|writers| {
            segment::write_rows(writers, |rows| {
                for keys in keys.chunks(FETCHED) {
                    self.fetch(keys);
                    for key in keys {
                        let row = self.table.bytes(key.row).and_then(|(chunk, bytes)| {
                            Some((chunk, BeginRow::decode(bytes, &numbering)?))
                        });
                        match row {
                            Some((chunk, row)) => {
                                rows.push(&row, chunk, self.table.end_of(key.row))?;
                            }
                            None => damaged = Some(key.row),
                        }
                    }
                }
                Ok(())
            })
        })?;
        if let Some(row) = damaged {
            let what = format!("row {row} in memory can't be read");
            return Err(StoreError::corrupt(&fresh, what));
        }
        let written = file.finish(&self.about())?;
        sealed.octets += written.octets;
        segment.sum = written.sum;
        segment.facts = Some(Facts {
            rows: keys.len() as u64,
            first_uid: span.first_uid,
            last_uid: span.last_uid,
        });
        layout::rename(&fresh, &segment.parquet(&self.root))?;
        sealed.segments.push(segment);
        Ok(())
    }

    /// Index entries with their hours, sorted.
    fn entries(&self, postings: &[Posting], places: &[u32]) -> Vec<(i64, IndexEntry)> {
        let mut entries: Vec<_> = postings
            .iter()
            .filter_map(|p| {
                let at = *self.table.at.get(p.row as usize)?;
                let place = *places.get(p.row as usize)?;
                let entry = IndexEntry::new(p.key, at, place);
                (place != u32::MAX).then_some((layout::hour_of(at), entry))
            })
            .collect();
        entries.sort_unstable();
        entries
    }

    fn ends(&self, sealed: &mut Sealed) -> Result<(), StoreError> {
        let erased = self.vault.erased();
        let mut strays: Vec<_> = self
            .table
            .strays()
            .filter(|e| e.begun_at >= self.forgotten && !is_erased(&erased, e.begun_at))
            .copied()
            .collect();
        strays.sort_unstable_by_key(|e| (layout::hour_of(e.begun_at), e.uid));
        for hour in
            strays.chunk_by(|a, b| layout::hour_of(a.begun_at) == layout::hour_of(b.begun_at))
        {
            let (Some(first), Some(last)) = (hour.first(), hour.last()) else {
                continue;
            };
            let mut file = Ends {
                seq: self.table.seq,
                hour: layout::hour_of(first.begun_at),
                first_uid: first.uid,
                last_uid: last.uid,
                sum: 0,
                rows: Some(hour.len() as u64),
            };
            layout::create_dirs(&layout::hour_dir(&self.root, file.hour))?;
            let fresh = file.path(&self.root).with_extension("ends.new");
            let day = layout::day_of(file.hour);
            let written = ends::write(&fresh, hour, &self.about(), &self.vault, day)?;
            sealed.octets += written.octets;
            file.sum = written.sum;
            layout::rename(&fresh, &file.path(&self.root))?;
            sealed.ends.push(file);
        }
        Ok(())
    }
}

fn is_erased(erased: &BTreeSet<i64>, at: i64) -> bool {
    !erased.is_empty() && erased.contains(&layout::day_of(layout::hour_of(at)))
}

fn of_hour(entries: &[(i64, IndexEntry)], hour: i64) -> impl Iterator<Item = IndexEntry> {
    let from = entries.partition_point(|(h, _)| *h < hour);
    let until = entries.partition_point(|(h, _)| *h <= hour);
    let entries = entries.get(from..until).unwrap_or_default();
    entries.iter().map(|(_, entry)| *entry)
}
