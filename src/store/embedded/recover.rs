//! Opening: what is on disk becomes what there is. Says what it came upon, deletes only what a seal left unfinished.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::codec::{BeginRow, EndFacts, decode_coverage, encode_begin};
use super::gaps::Gaps;
use super::layout::{self, Entry};
use super::log::{self, Head};
use super::lookup::{Hour, State};
use super::manifest;
use super::memtable::Memtable;
use super::names::{Numbering, VERSION};
use super::table::Reader;
use super::vault::{Cipher, Vault};
use crate::base::Timestamp;
use crate::call::record::Coverage;
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
    /// Hours whose manifest is damaged: look-ups there fail until `store check` has mended them.
    pub damaged_hours: u64,
    /// Files that a manifest lists and that are not there: look-ups that need them fail.
    pub missing_files: u64,
    /// The first hundred manifests that are damaged and files that are missing.
    pub damaged: Vec<PathBuf>,
    /// Files that are not ours, left alone: how many, and the first hundred.
    pub foreign_files: u64,
    /// The first hundred of them.
    pub foreign: Vec<PathBuf>,
}

impl OpenReport {
    /// How many files of a kind are listed.
    const LISTED: usize = 100;

    fn damaged(&mut self, path: PathBuf) {
        if self.damaged.len() < Self::LISTED {
            self.damaged.push(path);
        }
    }

    fn foreign(&mut self, path: PathBuf) {
        self.foreign_files += 1;
        if self.foreign.len() < Self::LISTED {
            self.foreign.push(path);
        }
    }
}

/// The first line of the file `format`, since manifests say what counts. An earlier version of the program refuses such a store: it
/// would count files that were merged into others as well.
const FORMAT: &str = "tracehop store, format 3";
/// What it was before: logs of version 1, then of version 2 without manifests.
const FORMER: [&str; 2] = ["tracehop store, format 1", "tracehop store, format 2"];

/// Makes the folders of a store, or checks that they are of one that this version reads.
pub(super) fn prepare(root: &Path, create: bool) -> Result<(), StoreError> {
    let path = root.join("format");
    match std::fs::read(&path) {
        Ok(found) if found.starts_with(FORMAT.as_bytes()) => {}
        Ok(found) if FORMER.iter().any(|f| found.starts_with(f.as_bytes())) => {
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

/// What there is in a store that another process may be writing.
pub(super) fn snapshot(root: &Path, vault: &Vault) -> Result<(State, OpenReport), StoreError> {
    // The writer may finish a seal while we look: then log and segment have changed places, and we look again.
    for _ in 0..5 {
        let mut report = OpenReport::default();
        let seqs = logs(root, &mut report)?;
        let mut state = State {
            forgotten: forgotten(root)?,
            ..State::default()
        };
        let mut tables = Vec::new();
        let mut vanished = false;
        let mut last = 0;
        for seq in &seqs {
            match log(root, vault, *seq, &mut report) {
                Ok(recovered) => {
                    last = last.max(recovered.last_uid);
                    tables.push(recovered.table);
                }
                Err(e) if e.is_not_found() => vanished = true,
                Err(e) => return Err(e),
            }
        }
        state.hours = hours(root, &seqs, false, &mut report)?;
        if vanished || logs(root, &mut OpenReport::default())? != seqs {
            continue;
        }
        state.active = tables.pop().unwrap_or_default();
        state.active.last_uid = match last {
            0 => last_uid(root, vault, &state.hours)?,
            uid => uid,
        };
        state.frozen = tables.into_iter().map(Arc::new).collect();
        return Ok((state, report));
    }
    Err(StoreError::Restless)
}

/// A log read back.
pub(super) struct Recovered {
    pub table: Memtable,
    pub last_uid: u64,
    /// Octets to keep when the log goes on.
    pub valid: u64,
    /// Whether it may go on: its head is sound, it was numbered by this version, and it is sealed if new ones are.
    pub resumable: bool,
    /// To go on with.
    pub cipher: Option<Cipher>,
    /// When records began that stood in what can't be read, as far as those around it tell.
    pub gap: Option<(Timestamp, Timestamp)>,
    /// Rows of the ledger that say so; the log does not hold them.
    pub noted: Vec<Coverage>,
}

/// Reads one log back.
pub(super) fn log(
    root: &Path,
    vault: &Vault,
    seq: u64,
    report: &mut OpenReport,
) -> Result<Recovered, StoreError> {
    let path = layout::log(root, seq);
    let bytes = log::read(&path)?;
    let cipher = vault.log_key(seq)?;
    if cipher.is_none() && log::looks_sealed(&bytes) {
        // Its writer may have sealed it just now: then it is gone, and not its key alone.
        std::fs::metadata(&path).map_err(|e| StoreError::io(&path, e))?;
        let what = "the key of this log is gone, and its records can't be read without it";
        return Err(StoreError::key(&path, what));
    }
    let mut table = Memtable::new(seq, 0);
    let mut head = None;
    let mut numbering = Numbering::current();
    let mut again = Vec::new();
    let mut gaps = Gaps::default();
    let done = log::replay(
        &bytes,
        seq,
        cipher.as_ref(),
        |kind, version, body| match kind {
            log::GAP => {
                gaps.begin(version == log::TAIL);
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
                if row.down.is_none() {
                    gaps.row(row.until.nanos(), &row.sensor);
                }
                table.cover(row);
                report.coverage += 1;
                true
            }
            _ => false,
        },
    );
    report.torn_bytes += done.torn;
    report.bad_frames += done.bad_frames;
    report.bad_bytes += done.bad_bytes;
    report.unreadable += done.unreadable;
    report.unknown_names += numbering.unknown as u64;
    let last_uid = head.as_ref().map_or(0, |h| h.last_uid);
    table.last_uid = table.last_uid.max(last_uid);
    let (gap, noted) = gaps.note(&mut table);
    Ok(Recovered {
        gap,
        noted,
        last_uid: table.last_uid,
        table,
        valid: done.valid,
        // Numbered the same and naming as much: what is appended must be readable by the names at its start.
        resumable: head.is_some_and(|h| h.numbering == Numbering::current())
            && done.sealed == vault.is_sealed(),
        cipher,
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
            let found = hour_files(root, hour, void, clean, report)?;
            if !found.segments.is_empty() || !found.ends.is_empty() || found.damage.is_some() {
                hours.insert(hour, found);
            }
        }
    }
    Ok(hours)
}

/// Files of one hour folder.
pub(super) fn hour_files(
    root: &Path,
    hour: i64,
    void: &BTreeSet<u64>,
    clean: bool,
    report: &mut OpenReport,
) -> Result<Hour, StoreError> {
    // The folder first: what is listed afterwards and was there is found, and what came in between is looked for by its name.
    let dir = layout::list(&layout::hour_dir(root, hour))?;
    let mut found = Hour::default();
    let mut files = match manifest::read(root, hour) {
        Ok(listed) => listed,
        Err(StoreError::Corrupt { path, what }) => {
            report.damaged_hours += 1;
            report.damaged(path);
            // Its files are noted by their names, so that no later one has the same.
            found.damage = Some(what.into());
            None
        }
        Err(e) => return Err(e),
    };
    if let Some(listed) = &mut files {
        let before = listed.segments.len() + listed.ends.len();
        listed
            .segments
            .retain(|s| s.merged || !void.contains(&s.seq));
        listed.ends.retain(|e| !void.contains(&e.seq));
        if clean && before != listed.segments.len() + listed.ends.len() {
            // Before the files go: a manifest lists nothing that is missing.
            manifest::write(root, hour, listed)?;
        }
    }
    let counts = files.as_ref().map(manifest::names);
    let mut there = BTreeSet::new();
    for (path, name) in dir {
        let entry = name.as_deref().and_then(|n| Entry::parse(hour, n));
        let unfinished = match (entry, &counts) {
            (None | Some(Entry::Manifest), _) => false,
            (Some(Entry::Fresh), _) => true,
            (Some(Entry::Segment(s)), None) => !s.merged && void.contains(&s.seq),
            (Some(Entry::Index(seq)), None) => void.contains(&seq),
            (Some(Entry::Ends(e)), None) => void.contains(&e.seq),
            (Some(_), Some(counts)) => !name.as_ref().is_some_and(|n| counts.contains(n)),
        };
        match entry {
            _ if unfinished => {
                if clean {
                    layout::remove(&path)?;
                    report.void_files += 1;
                }
                continue;
            }
            Some(Entry::Segment(s)) => found.segments.push(s),
            Some(Entry::Ends(e)) => found.ends.push(e),
            Some(Entry::Index(_) | Entry::Manifest) => {}
            _ => report.foreign(path),
        }
        there.extend(name);
    }
    if let Some(files) = files {
        for name in counts.iter().flatten().filter(|n| !there.contains(*n)) {
            let path = layout::hour_dir(root, hour).join(name);
            if !path.exists() {
                report.missing_files += 1;
                report.damaged(path);
            }
        }
        return Ok(files);
    }
    if found.damage.is_none() && found.segments.iter().any(|s| s.merged) {
        // Which files were merged into which is not known.
        let path = manifest::path(root, hour);
        found.damage = Some("is gone, though there are merged segments beside it".into());
        report.damaged_hours += 1;
        report.damaged(path);
    }
    found.segments.sort_unstable();
    found.ends.sort_unstable();
    Ok(found)
}

/// The highest uid that sealed files name, for a store whose logs are gone.
pub(super) fn last_uid(
    root: &Path,
    vault: &Vault,
    hours: &BTreeMap<i64, Hour>,
) -> Result<u64, StoreError> {
    let segments = hours.values().flat_map(|h| &h.segments);
    let Some(newest) = segments.clone().map(|s| s.seq).max() else {
        return Ok(0);
    };
    let listed = segments.clone().filter_map(|s| s.facts);
    let mut last = listed.map(|f| f.last_uid).max().unwrap_or(0);
    for segment in segments.filter(|s| s.seq == newest) {
        let file = Reader::open(&segment.parquet(root), &[], Some(segment.sum), vault)?;
        let uid = file.about("last_uid").and_then(|u| u.parse().ok());
        last = last.max(uid.unwrap_or(0));
    }
    Ok(last)
}

/// The file `forgotten`: a time, and a checksum.
pub(super) fn forgotten_text(until: Timestamp) -> String {
    let line = format!("{until}\n");
    let sum = crc32c::crc32c(line.as_bytes());
    format!("{line}crc32c {sum:08x}\n")
}

/// Until when everything has been forgotten, as the file `forgotten` says. Versions before format 3 wrote no checksum.
pub(super) fn forgotten(root: &Path) -> Result<Option<Timestamp>, StoreError> {
    let path = root.join("forgotten");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) if e.kind() == io::ErrorKind::InvalidData => {
            return Err(StoreError::corrupt(&path, "damaged: no text"));
        }
        Err(e) => return Err(StoreError::io(&path, e)),
    };
    let (time, sum) = text.split_once('\n').unwrap_or((&text, ""));
    let Some(at) = Timestamp::parse_rfc3339(time.trim()) else {
        let what = format!("{:?} is not an RFC 3339 time", time.trim());
        return Err(StoreError::corrupt(&path, what));
    };
    if !sum.is_empty() && text != forgotten_text(at) {
        return Err(StoreError::corrupt(
            &path,
            "damaged: the checksum is another",
        ));
    }
    Ok(Some(at))
}
