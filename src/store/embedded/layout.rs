//! Where everything lies, and the order of writes that survives a power cut: write, fsync, rename, fsync the folder.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use time::format_description::StaticFormatDescription;
use time::macros::format_description;
use time::{Date, OffsetDateTime};

use crate::base::Timestamp;
use crate::store::StoreError;

/// Nanoseconds in an hour.
pub(super) const HOUR: i64 = 3_600_000_000_000;
/// Hours in a day, for folder names.
pub(super) const DAY: i64 = 24;

const DATE: StaticFormatDescription = format_description!("[year]-[month]-[day]");

/// The hour since 1970 in which a point in time lies: one folder.
pub(super) fn hour_of(nanos: i64) -> i64 {
    nanos.div_euclid(HOUR)
}

/// The day since 1970 in which an hour lies.
pub(super) fn day_of(hour: i64) -> i64 {
    hour.div_euclid(DAY)
}

pub(super) fn wal(root: &Path) -> PathBuf {
    root.join("wal")
}

pub(super) fn segments(root: &Path) -> PathBuf {
    root.join("seg")
}

pub(super) fn coverage(root: &Path) -> PathBuf {
    root.join("coverage")
}

pub(super) fn campaigns(root: &Path) -> PathBuf {
    root.join("campaigns")
}

/// `campaigns/2026-11-24.jsonl`.
pub(super) fn campaign_file(root: &Path, day: i64) -> PathBuf {
    campaigns(root).join(format!("{}.jsonl", date(day)))
}

pub(super) fn evidence(root: &Path) -> PathBuf {
    root.join("evidence")
}

/// `evidence/2026-11-24`.
pub(super) fn evidence_dir(root: &Path, day: i64) -> PathBuf {
    evidence(root).join(date(day))
}

pub(super) fn keys(root: &Path) -> PathBuf {
    root.join("keys")
}

pub(super) fn holds(root: &Path) -> PathBuf {
    root.join("holds")
}

/// `keys/2026-11-24.key`.
pub(super) fn key_file(root: &Path, name: &str) -> PathBuf {
    keys(root).join(format!("{name}.key"))
}

pub(super) fn log(root: &Path, seq: u64) -> PathBuf {
    wal(root).join(format!("{seq:010}.wal"))
}

/// `seg/2026-11-24/13`, UTC.
pub(super) fn hour_dir(root: &Path, hour: i64) -> PathBuf {
    segments(root)
        .join(date(hour.div_euclid(DAY)))
        .join(format!("{:02}", hour.rem_euclid(DAY)))
}

/// `coverage/2026-11-24.parquet`.
pub(super) fn coverage_file(root: &Path, day: i64) -> PathBuf {
    coverage(root).join(format!("{}.parquet", date(day)))
}

/// Days since 1970 as a date. Nanoseconds reach from 1677 to 2262, so every day that can come in here has one.
pub(super) fn date(day: i64) -> String {
    OffsetDateTime::from_unix_timestamp(day.saturating_mul(86_400))
        .ok()
        .and_then(|t| t.date().format(DATE).ok())
        .unwrap_or_else(|| format!("day {day}"))
}

/// Undoes [`date`].
pub(super) fn day_from(name: &str) -> Option<i64> {
    let date = Date::parse(name, DATE).ok()?;
    let secs = date.midnight().assume_utc().unix_timestamp();
    Some(secs.div_euclid(86_400))
}

/// What a manifest says of a file beyond its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Facts {
    pub rows: u64,
    pub first_uid: u64,
    pub last_uid: u64,
}

/// A segment's name says what a look-up must know to pass it by: `s-<seq>-<first>-<last>-<sum of the index>-<sum>.parquet`, the times in
/// milliseconds within its hour, rounded outwards, the sums as `table` has them; its index is
/// `s-<seq>-<first>-<last>-<sum>.cix`. Files of one seal have the `seq` of the log they replace. One that compaction made begins with `h` instead, and its
/// `seq` is the highest of the segments and ends that went into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Segment {
    pub seq: u64,
    pub hour: i64,
    pub first_ms: u32,
    pub last_ms: u32,
    pub index_sum: u32,
    pub sum: u32,
    /// Whether compaction made it.
    pub merged: bool,
    /// As the manifest says; `None` for a file of a store before format 3.
    pub facts: Option<Facts>,
}

impl Segment {
    /// Of records from `first` to `last`, which lie in the same hour. The rest is filled in when it is known.
    pub fn spanning(seq: u64, first: i64, last: i64) -> Self {
        let hour = hour_of(first);
        let ms = |t: i64| u32::try_from(t.rem_euclid(HOUR) / 1_000_000).unwrap_or(0);
        Self {
            seq,
            hour,
            first_ms: ms(first),
            last_ms: ms(last) + 1,
            index_sum: 0,
            sum: 0,
            merged: false,
            facts: None,
        }
    }

    /// Whether it may hold records of the window.
    pub fn touches(&self, from: i64, until: i64) -> bool {
        let start = i128::from(self.hour) * i128::from(HOUR);
        let ns = |ms: u32| start + i128::from(ms) * 1_000_000;
        ns(self.first_ms) <= i128::from(until) && i128::from(from) <= ns(self.last_ms)
    }

    pub fn parquet(&self, root: &Path) -> PathBuf {
        hour_dir(root, self.hour).join(self.parquet_name())
    }

    pub fn index(&self, root: &Path) -> PathBuf {
        hour_dir(root, self.hour).join(self.index_name())
    }

    pub fn parquet_name(&self) -> String {
        format!("{}-{:08x}.parquet", self.stem(), self.sum)
    }

    pub fn index_name(&self) -> String {
        format!("{}.cix", self.stem())
    }

    fn stem(&self) -> String {
        let Self {
            seq,
            first_ms,
            last_ms,
            index_sum,
            ..
        } = self;
        let kind = if self.merged { 'h' } else { 's' };
        format!("{kind}-{seq:010}-{first_ms:07}-{last_ms:07}-{index_sum:08x}")
    }
}

/// Ends that came after their segment was sealed: `e-<seq>-<lowest uid>-<highest uid>-<sum>.ends`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ends {
    /// Of the log that brought them; of several that were gathered into one file, the highest.
    pub seq: u64,
    pub hour: i64,
    pub first_uid: u64,
    pub last_uid: u64,
    pub sum: u32,
    /// As the manifest says.
    pub rows: Option<u64>,
}

impl Ends {
    pub fn path(&self, root: &Path) -> PathBuf {
        hour_dir(root, self.hour).join(self.name())
    }

    pub fn name(&self) -> String {
        format!(
            "e-{:010}-{:020}-{:020}-{:08x}.ends",
            self.seq, self.first_uid, self.last_uid, self.sum
        )
    }
}

/// A file of an hour folder by its name; `None` for what is not ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Segment(Segment),
    Index(u64),
    Ends(Ends),
    Manifest,
    /// Half-written when the process died.
    Fresh,
}

impl Entry {
    pub fn parse(hour: i64, name: &str) -> Option<Self> {
        if name == "manifest" {
            return Some(Self::Manifest);
        }
        let (stem, extension) = name.rsplit_once('.')?;
        if extension == "new" {
            return Some(Self::Fresh);
        }
        let parts: Vec<&str> = stem.split('-').collect();
        let sum = |text: &str| u32::from_str_radix(text, 16).ok();
        match (extension, parts.as_slice()) {
            ("cix", ["s" | "h", seq, _, _, _]) => Some(Self::Index(seq.parse().ok()?)),
            ("parquet", [kind @ ("s" | "h"), seq, first, last, index, own]) => {
                Some(Self::Segment(Segment {
                    seq: seq.parse().ok()?,
                    hour,
                    first_ms: first.parse().ok()?,
                    last_ms: last.parse().ok()?,
                    index_sum: sum(index)?,
                    sum: sum(own)?,
                    merged: *kind == "h",
                    facts: None,
                }))
            }
            ("ends", ["e", seq, first, last, own]) => Some(Self::Ends(Ends {
                seq: seq.parse().ok()?,
                hour,
                first_uid: first.parse().ok()?,
                last_uid: last.parse().ok()?,
                sum: sum(own)?,
                rows: None,
            })),
            _ => None,
        }
    }
}

/// Names in a folder, sorted; none where there is no folder. A name that is not UTF-8 comes as `None`.
pub(super) fn list(dir: &Path) -> Result<Vec<(PathBuf, Option<String>)>, StoreError> {
    let io = |source| StoreError::io(dir, source);
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(io)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(io)?;
        names.push((entry.path(), entry.file_name().into_string().ok()));
    }
    names.sort();
    Ok(names)
}

/// Files hold telephone numbers: their group may read them, others not, whatever the umask.
const FILE_MODE: u32 = 0o640;
/// Of folders likewise.
const DIR_MODE: u32 = 0o750;

/// How files of the store are made.
pub(super) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(FILE_MODE);
    options
}

/// Makes a file, or empties the one that is there.
pub(super) fn create(path: &Path) -> io::Result<File> {
    let mut options = options();
    options.write(true).create(true).truncate(true).open(path)
}

/// Makes a folder and those above it, each durable in its parent.
pub(super) fn create_dirs(dir: &Path) -> Result<(), StoreError> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent().filter(|p| !p.as_os_str().is_empty()) {
        create_dirs(parent)?;
        match DirBuilder::new().mode(DIR_MODE).create(dir) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                return Err(StoreError::io(dir, e));
            }
            _ => sync_dir(parent)?,
        }
        return Ok(());
    }
    fs::create_dir_all(dir).map_err(|e| StoreError::io(dir, e))
}

/// Makes the names in a folder durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    step(dir)?;
    File::open(dir)
        .and_then(|d| d.sync_all())
        .map_err(|e| StoreError::io(dir, e))
}

pub(super) fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    step(to)?;
    fs::rename(from, to).map_err(|e| StoreError::io(to, e))
}

/// Removes a file that may be gone already.
pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    step(path)?;
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(StoreError::io(path, e)),
        _ => Ok(()),
    }
}

/// Tests have the machine stop before the n-th change of a file: that and all later ones of the thread fail.
#[cfg(test)]
pub(super) mod stop {
    use std::cell::Cell;

    thread_local! {
        pub static AFTER: Cell<Option<u32>> = const { Cell::new(None) };
    }
}

/// Called before a change of a file.
pub(super) fn step(path: &Path) -> Result<(), StoreError> {
    #[cfg(test)]
    if let Some(left) = stop::AFTER.get() {
        if left == 0 {
            return Err(StoreError::io(
                path,
                io::Error::other("the machine stopped"),
            ));
        }
        stop::AFTER.set(Some(left - 1));
    }
    let _ = path;
    Ok(())
}

/// Reads a small file whole.
pub(super) fn read_small(path: &Path, most: u64) -> Result<Vec<u8>, StoreError> {
    let io = |source| StoreError::io(path, source);
    let file = File::open(path).map_err(io)?;
    let mut octets = Vec::new();
    let read = io::Read::read_to_end(&mut io::Read::take(file, most + 1), &mut octets);
    match read.map_err(io)? as u64 {
        length if length > most => Err(StoreError::corrupt(path, "too long to be ours")),
        _ => Ok(octets),
    }
}

/// Writes a small file so that it is there whole or not at all.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let fresh = path.with_extension("new");
    step(&fresh)?;
    let io = |source| StoreError::io(&fresh, source);
    let mut file = create(&fresh).map_err(io)?;
    io::Write::write_all(&mut file, bytes).map_err(io)?;
    file.sync_all().map_err(io)?;
    rename(&fresh, path)?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// The point in time at which an hour begins.
pub(super) fn hour_start(hour: i64) -> Timestamp {
    Timestamp::from_nanos(hour.saturating_mul(HOUR))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_named_by_capture_time() {
        let at = Timestamp::parse_rfc3339("2026-11-24T13:59:59.999999999Z").unwrap();
        let dir = hour_dir(Path::new("s"), hour_of(at.nanos()));
        assert_eq!(dir, Path::new("s/seg/2026-11-24/13"));
        let before = hour_dir(Path::new("s"), hour_of(-1));
        assert_eq!(before, Path::new("s/seg/1969-12-31/23"));
        assert_eq!(day_from("1969-12-31"), Some(-1));
        assert_eq!(day_from("2026-13-01"), None);
    }

    #[test]
    fn names_hold_the_span() {
        let start = 491_000 * HOUR;
        let mut s = Segment::spanning(7, start + 1_500_000, start + 2_000_001);
        (s.index_sum, s.sum) = (0xdead_beef, 5);
        assert_eq!((s.first_ms, s.last_ms), (1, 3));
        assert!(s.touches(start + 2_000_001, i64::MAX));
        assert!(!s.touches(start + 3_000_001, i64::MAX));
        assert!(s.touches(i64::MIN, start + 1_500_000));
        assert!(!s.touches(i64::MIN, start));
        let path = s.parquet(Path::new(""));
        let name = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(Entry::parse(s.hour, name), Some(Entry::Segment(s)));
        assert_eq!(Entry::parse(0, "readme.txt"), None);
        assert_eq!(Entry::parse(0, "s-1-2-3-4-5.parquet.bak"), None);
        let index = s.index(Path::new(""));
        let name = index.file_name().unwrap().to_str().unwrap();
        assert_eq!(Entry::parse(s.hour, name), Some(Entry::Index(7)));
    }
}
