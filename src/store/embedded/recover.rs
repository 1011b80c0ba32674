//! Opening: what is on disk becomes what there is. Says what it came upon, deletes only what a seal left unfinished.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::codec::{BeginRow, EndFacts, decode_coverage, encode_begin};
use super::layout::{self, Entry};
use super::ledger;
use super::log::{self, Head};
use super::lookup::Hour;
use super::memtable::Memtable;
use super::names::{Numbering, VERSION};
use super::table::Reader;
use crate::base::Timestamp;
use crate::store::StoreError;

/// What opening came upon. All zero after a clean close.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// Records read back from logs.
    pub records: u64,
    /// Second halves read back from logs.
    pub ends: u64,
    /// Coverage rows read back from logs.
    pub coverage: u64,
    /// Octets at the end of logs that are no whole frame, as a power cut leaves them. They were never acknowledged,
    /// unless the disk damaged the very last frame.
    pub torn_bytes: u64,
    /// Stretches in the middle of logs that can't be read: damage. Records in them are lost.
    pub bad_frames: u64,
    /// Octets in those.
    pub bad_bytes: u64,
    /// Events in sound frames that this version can't read.
    pub unreadable: u64,
    /// Rules or flags that a log of another version names and this one does not know.
    pub unknown_names: u64,
    /// Files deleted because a seal did not come to its end; their records are in the log.
    pub void_files: u64,
    /// Files that are not ours, left alone: how many, and the first hundred.
    pub foreign_files: u64,
    /// The first hundred of them.
    pub foreign: Vec<PathBuf>,
}

impl OpenReport {
    /// How many foreign files are listed.
    const LISTED: usize = 100;

    fn foreign(&mut self, path: PathBuf) {
        self.foreign_files += 1;
        if self.foreign.len() < Self::LISTED {
            self.foreign.push(path);
        }
    }
}

/// The first line of the file `format`, since logs are of version 2. An earlier version of the program refuses such a store: it
/// would take the logs for damaged.
const FORMAT: &str = "tracehop store, format 2";
/// What it was before.
const FORMER: &str = "tracehop store, format 1";

/// Makes the folders of a store, or checks that they are of one that this version reads.
pub(super) fn prepare(root: &Path, create: bool) -> Result<(), StoreError> {
    let path = root.join("format");
    match std::fs::read(&path) {
        Ok(found) if found.starts_with(FORMAT.as_bytes()) => {}
        Ok(found) if found.starts_with(FORMER.as_bytes()) => {
            if create {
                layout::write_whole(&path, format!("{FORMAT}\n").as_bytes())?;
            }
        }
        Ok(_) => {
            return Err(StoreError::corrupt(
                &path,
                format!("does not say {FORMAT:?}: written by a later version, or not by us"),
            ));
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let strangers = layout::list(root)?.into_iter().find(|(_, name)| {
                !matches!(name.as_deref(), Some("lock" | "format.new" | "lost+found"))
            });
            if let Some((stranger, _)) = strangers {
                let what = "the folder holds other files and no store; name an empty or new folder";
                return Err(StoreError::corrupt(&stranger, what));
            }
            if !create {
                return Err(StoreError::io(&path, e));
            }
            layout::create_dirs(root)?;
            layout::write_whole(&path, format!("{FORMAT}\n").as_bytes())?;
        }
        Err(e) => return Err(StoreError::io(&path, e)),
    }
    if create {
        for dir in [
            layout::wal(root),
            layout::segments(root),
            layout::coverage(root),
        ] {
            layout::create_dirs(&dir)?;
        }
    }
    Ok(())
}

/// Numbers of the logs there are, rising.
pub(super) fn logs(root: &Path, report: &mut OpenReport) -> Result<BTreeSet<u64>, StoreError> {
    let mut seqs = BTreeSet::new();
    for (path, name) in layout::list(&layout::wal(root))? {
        let name = name.unwrap_or_default();
        match name.rsplit_once('.').map(|(stem, ext)| (stem.parse(), ext)) {
            Some((Ok(seq), "wal")) => {
                seqs.insert(seq);
            }
            // A log that never got its name: nothing in it was acknowledged.
            Some((Ok::<u64, _>(_), "new")) => {}
            _ => report.foreign(path),
        }
    }
    Ok(seqs)
}

/// A log read back.
pub(super) struct Recovered {
    pub table: Memtable,
    pub last_uid: u64,
    /// Octets to keep when the log goes on.
    pub valid: u64,
    /// Whether it may go on: its head is sound and it was numbered by this version.
    pub resumable: bool,
    /// When records began that stood in what can't be read, as far as those around it tell.
    pub gap: Option<(Timestamp, Timestamp)>,
}

/// Records of a log are nearly in the order of time: by so much those before and after a damaged stretch may be off.
const DISORDER: Duration = Duration::from_secs(60);
/// How far a damaged stretch may reach where no record stands before it, or none after: a frame is a MiB, some thousand records.
const OPEN_ENDED: Duration = Duration::from_secs(3_600);

/// Times of what can't be read of a log.
#[derive(Default)]
struct Gaps {
    /// The latest record so far.
    last: Option<i64>,
    /// Whether a gap waits for a record after it.
    open: bool,
    span: Option<(Timestamp, Timestamp)>,
    sensors: BTreeSet<Arc<str>>,
}

impl Gaps {
    fn begin(&mut self) {
        if let Some(last) = self.last {
            self.widen(Timestamp::from_nanos(last));
        }
        self.open = true;
    }

    fn record(&mut self, at: i64, sensor: &[u8]) {
        if std::mem::take(&mut self.open) {
            let after = Timestamp::from_nanos(at);
            if self.last.is_none() {
                self.widen(after.minus(OPEN_ENDED));
            }
            self.widen(after);
        }
        self.last = Some(self.last.map_or(at, |l| l.max(at)));
        if let Ok(sensor) = std::str::from_utf8(sensor)
            && !self.sensors.contains(sensor)
        {
            self.sensors.insert(sensor.into());
        }
    }

    fn widen(&mut self, at: Timestamp) {
        let (from, until) = self.span.unwrap_or((at, at));
        self.span = Some((from.min(at.minus(DISORDER)), until.max(at.plus(DISORDER))));
    }

    /// Notes in the ledger that records of this time are lost.
    fn note(mut self, table: &mut Memtable) -> Option<(Timestamp, Timestamp)> {
        if let (true, Some(last)) = (self.open, self.last) {
            self.widen(Timestamp::from_nanos(last).plus(OPEN_ENDED));
        }
        let (from, until) = self.span?;
        let sensors = table.coverage.keys().map(|(sensor, _)| sensor.clone());
        let sensors: BTreeSet<Arc<str>> = sensors.chain(self.sensors).collect();
        for sensor in sensors {
            let row = ledger::damaged(&sensor, from, until, &table.coverage);
            table.cover(row);
        }
        Some((from, until))
    }
}

/// Reads one log back.
pub(super) fn log(root: &Path, seq: u64, report: &mut OpenReport) -> Result<Recovered, StoreError> {
    let path = layout::log(root, seq);
    let bytes = log::read(&path)?;
    let mut table = Memtable::new(seq, 0);
    let mut head = None;
    let mut numbering = Numbering::current();
    let mut again = Vec::new();
    let mut gaps = Gaps::default();
    let done = log::replay(&bytes, seq, |kind, version, body| match kind {
        log::GAP => {
            gaps.begin();
            true
        }
        log::HEAD => {
            let Some(read) = Head::decode(body, version) else {
                return false;
            };
            numbering = read.numbering.clone();
            head = Some(read);
            true
        }
        log::BEGIN => {
            // Where the head is damaged, the layout is still known.
            numbering.version = version;
            let row = BeginRow::decode(body, &numbering).filter(BeginRow::is_text);
            let Some(row) = row else {
                return false;
            };
            let taken = if numbering.current && version == VERSION {
                table.begin(row.uid, row.at, &row.keys(), body)
            } else {
                again.clear();
                row.to_begin().is_some_and(|begin| {
                    let keys = encode_begin(&begin, &mut again);
                    table.begin(row.uid, row.at, &keys, &again)
                })
            };
            gaps.record(row.at, row.sensor);
            report.records += u64::from(taken);
            taken
        }
        log::END => {
            let Some(end) = EndFacts::decode(body, version) else {
                return false;
            };
            table.end(end);
            report.ends += 1;
            true
        }
        log::COVERAGE => {
            let Some(row) = decode_coverage(body) else {
                return false;
            };
            table.cover(row);
            report.coverage += 1;
            true
        }
        _ => false,
    });
    report.torn_bytes += done.torn;
    report.bad_frames += done.bad_frames;
    report.bad_bytes += done.bad_bytes;
    report.unreadable += done.unreadable;
    report.unknown_names += numbering.unknown as u64;
    let last_uid = head.as_ref().map_or(0, |h| h.last_uid);
    table.last_uid = table.last_uid.max(last_uid);
    let gap = gaps.note(&mut table);
    Ok(Recovered {
        gap,
        last_uid: table.last_uid,
        table,
        valid: done.valid,
        // Numbered the same and naming as much: what is appended must be readable by the names at its start.
        resumable: head.is_some_and(|h| h.numbering == Numbering::current()),
    })
}

/// Files in the hour folders. Those of `void` seals are left out, and deleted when `clean`.
pub(super) fn hours(
    root: &Path,
    void: &BTreeSet<u64>,
    clean: bool,
    report: &mut OpenReport,
) -> Result<BTreeMap<i64, Hour>, StoreError> {
    let mut hours = BTreeMap::new();
    for (day_dir, name) in layout::list(&layout::segments(root))? {
        let Some(day) = name.as_deref().and_then(layout::day_from) else {
            report.foreign(day_dir);
            continue;
        };
        for (hour_dir, name) in layout::list(&day_dir)? {
            let hour = name
                .and_then(|n| n.parse::<i64>().ok())
                .filter(|h| (0..layout::DAY).contains(h) && hour_dir.is_dir());
            let Some(hour) = hour.map(|h| day * layout::DAY + h) else {
                report.foreign(hour_dir);
                continue;
            };
            let found = hour_files(&hour_dir, hour, void, clean, report)?;
            if !found.segments.is_empty() || !found.ends.is_empty() {
                hours.insert(hour, found);
            }
        }
    }
    Ok(hours)
}

fn hour_files(
    dir: &Path,
    hour: i64,
    void: &BTreeSet<u64>,
    clean: bool,
    report: &mut OpenReport,
) -> Result<Hour, StoreError> {
    let mut found = Hour::default();
    for (path, name) in layout::list(dir)? {
        let entry = name.and_then(|n| Entry::parse(hour, &n));
        let unfinished = match entry {
            Some(Entry::Fresh) => true,
            Some(Entry::Segment(s)) => void.contains(&s.seq),
            Some(Entry::Index(seq)) => void.contains(&seq),
            Some(Entry::Ends(e)) => void.contains(&e.seq),
            None => false,
        };
        match entry {
            _ if unfinished => {
                if clean {
                    layout::remove(&path)?;
                    report.void_files += 1;
                }
            }
            Some(Entry::Segment(s)) => found.segments.push(s),
            Some(Entry::Ends(e)) => found.ends.push(e),
            Some(Entry::Index(_)) => {}
            _ => report.foreign(path),
        }
    }
    found.segments.sort_unstable();
    found.ends.sort_unstable();
    Ok(found)
}

/// The highest uid that sealed files name, for a store whose logs are gone.
pub(super) fn last_uid(root: &Path, hours: &BTreeMap<i64, Hour>) -> Result<u64, StoreError> {
    let segments = hours.values().flat_map(|h| &h.segments);
    let Some(newest) = segments.clone().map(|s| s.seq).max() else {
        return Ok(0);
    };
    let mut last = 0;
    for segment in segments.filter(|s| s.seq == newest) {
        let file = Reader::open(&segment.parquet(root), &[], Some(segment.sum))?;
        let uid = file.about("last_uid").and_then(|u| u.parse().ok());
        last = last.max(uid.unwrap_or(0));
    }
    Ok(last)
}

/// Until when everything has been forgotten, as the file `forgotten` says.
pub(super) fn forgotten(root: &Path) -> Result<Option<Timestamp>, StoreError> {
    let path = root.join("forgotten");
    match std::fs::read_to_string(&path) {
        Ok(text) => match Timestamp::parse_rfc3339(text.trim()) {
            Some(at) => Ok(Some(at)),
            None => Err(StoreError::corrupt(
                &path,
                format!("{:?} is not an RFC 3339 time", text.trim()),
            )),
        },
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(StoreError::io(&path, e)),
    }
}
