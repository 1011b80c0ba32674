//! Whether a store is what was written: every file of it, row by row, in bounded memory, and beside a process that writes it.
//!
//! In comes a folder; out goes a [`CheckReport`]: which file, what is wrong, which times and how many records are affected, and what can be done. A check
//! changes nothing. [`fn@repair`] takes the store's lock and mends what can be mended; what is lost it says, and it writes it into the coverage ledger,
//! so that nobody says "not found" of a time whose records are gone.
//!
//! - `report`: what is said · `segment`: a segment and its index · `ends`: late second halves · `unique`: uids · `days`: ledger, campaigns, evidence
//! - `repair`: mending · `salvage`: the rows of a damaged segment · `relist`: a manifest · `aside`: the folder `damaged/`

mod aside;
mod days;
mod ends;
mod files;
mod relist;
mod repair;
mod report;
mod salvage;
mod segment;
mod unique;

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

pub(super) use self::aside::{forget_before, set_aside};
use self::files::Files;
pub use self::repair::{RepairReport, Repaired, repair};
use self::report::Target;
pub use self::report::{CheckReport, Finding, Grade, Remedy};
use self::segment::{Rows, is_gone, is_key, key_of, why};
use self::unique::{Of, Run, Twice};
use super::layout::{self, Facts};
use super::lookup::Hour;
use super::manifest;
use super::recover::{self, OpenReport};
use super::vault::{KeySource, Vault};
use crate::base::Timestamp;
use crate::store::StoreError;

/// How often an hour is looked at again whose files go away under the check.
const ATTEMPTS: usize = 5;
/// How long it waits before: whole folders go away file by file.
const AGAIN: Duration = Duration::from_millis(20);
/// Uids that are named where they are there twice.
const NAMED: u64 = 10;

/// How far a check is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Hours done.
    pub hours: u64,
    /// Of so many.
    pub of: u64,
    /// Records read.
    pub records: u64,
    /// Damage found.
    pub damaged: u64,
}

/// What to look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckOptions {
    /// Names, lists, footers and logs alone.
    pub quick: bool,
    /// Passes over what is in logs: whoever has just opened the store has read them.
    pub without_logs: bool,
    /// Only hours from this one on.
    pub since: Option<Timestamp>,
    /// Where the key of an encrypted store comes from.
    pub encryption: Option<KeySource>,
}

/// Checks a store, also while a process writes it. Changes nothing.
///
/// # Errors
///
/// [`StoreError`] where the folder is no store, or can't be listed. Damage is no error: it is in the report.
pub fn check(
    root: &Path,
    options: CheckOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<CheckReport, StoreError> {
    recover::prepare(root, false)?;
    let vault = Vault::open(root, options.encryption.as_ref(), false)?;
    let mut check = Check {
        root,
        files: Files::new(root, &vault),
        progress,
        report: CheckReport {
            quick: options.quick,
            ..CheckReport::default()
        },
        options,
        runs: Vec::new(),
        in_logs: Vec::new(),
        void: BTreeSet::new(),
        first_hour: None,
    };
    check.all()?;
    Ok(check.report)
}

struct Check<'a> {
    root: &'a Path,
    files: Files<'a>,
    options: CheckOptions,
    progress: &'a mut dyn FnMut(Progress),
    report: CheckReport,
    runs: Vec<Run>,
    /// Uids of records in logs, sorted.
    in_logs: Vec<u64>,
    /// Logs there are: files of their numbers are void.
    void: BTreeSet<u64>,
    /// Before it everything was forgotten.
    first_hour: Option<i64>,
}

impl Check<'_> {
    fn all(&mut self) -> Result<(), StoreError> {
        self.forgotten();
        self.logs()?;
        let hours = self.hours()?;
        let of = hours.len() as u64;
        for (done, hour) in (1..).zip(hours) {
            self.hour(hour)?;
            (self.progress)(Progress {
                hours: done,
                of,
                records: self.report.records,
                damaged: self.report.damaged,
            });
        }
        if !self.options.quick {
            self.unique();
        }
        self.days()
    }

    fn forgotten(&mut self) {
        match recover::forgotten(self.root) {
            Ok(at) => self.first_hour = at.map(|at| layout::hour_of(at.nanos())),
            Err(e) => {
                let finding = Finding::damage(self.root.join("forgotten"), why(&e));
                self.report.add(finding);
            }
        }
    }

    fn logs(&mut self) -> Result<(), StoreError> {
        let mut seen = OpenReport::default();
        let seqs = recover::logs(self.root, &mut seen)?;
        if self.options.without_logs {
            self.void = seqs;
            return Ok(());
        }
        for seq in &seqs {
            let path = layout::log(self.root, *seq);
            let mut found = OpenReport::default();
            let recovered = match self.files.log(*seq, &mut found) {
                Ok(recovered) => recovered,
                Err(e) if is_gone(&e) => {
                    self.report.vanished += 1;
                    continue;
                }
                Err(e) if is_key(&e) => {
                    self.key(&e);
                    continue;
                }
                Err(e) => {
                    self.report.add(Finding::damage(path, why(&e)));
                    continue;
                }
            };
            self.void.insert(*seq);
            self.report.files += 1;
            self.report.octets += std::fs::metadata(&path).map_or(0, |m| m.len());
            self.report.in_logs += found.records;
            let table = recovered.table;
            let span = table.first.zip(table.last);
            let touching = |finding: Finding| match span {
                Some((first, last)) => {
                    finding.touching(Timestamp::from_nanos(first), Timestamp::from_nanos(last))
                }
                None => finding,
            };
            if found.bad_frames > 0 {
                let what = format!(
                    "{} damaged stretches of {} octets: records in them are lost",
                    found.bad_frames, found.bad_bytes
                );
                let finding = Finding::damage(path.clone(), what);
                let finding = finding.mend(Remedy::Log, Target::Log(*seq));
                self.report.add(touching(finding));
            }
            if found.unreadable > 0 {
                let what = format!(
                    "{} events can't be read: written by a later version",
                    found.unreadable
                );
                let finding = Finding::damage(path.clone(), what).records(found.unreadable);
                self.report.add(touching(finding));
            }
            if found.torn_bytes > 0 {
                let what = format!(
                    "{} octets at its end are no whole frame: just being written, or never acknowledged",
                    found.torn_bytes
                );
                self.report.add(Finding::note(path.clone(), what));
            }
            let mut uids = table.uid;
            uids.sort_unstable();
            if let (Some(low), Some(high)) = (uids.first().copied(), uids.last().copied()) {
                self.in_logs.extend(&uids);
                self.runs.push(Run {
                    rows: uids.len() as u64,
                    low,
                    high,
                    of: Of::Log(path, uids),
                });
            }
        }
        self.in_logs.sort_unstable();
        for foreign in seen.foreign {
            self.report
                .add(Finding::note(foreign, "is not ours, and left alone"));
        }
        Ok(())
    }

    /// Hours that have a folder.
    fn hours(&mut self) -> Result<Vec<i64>, StoreError> {
        let since = self.options.since.map(|at| layout::hour_of(at.nanos()));
        let mut hours = Vec::new();
        for (day_dir, name) in layout::list(&layout::segments(self.root))? {
            let Some(day) = name.as_deref().and_then(layout::day_from) else {
                self.report
                    .add(Finding::note(day_dir, "is not ours, and left alone"));
                continue;
            };
            for (dir, name) in layout::list(&day_dir)? {
                let hour = name
                    .and_then(|n| n.parse::<i64>().ok())
                    .filter(|h| (0..layout::DAY).contains(h) && dir.is_dir())
                    .map(|h| day * layout::DAY + h);
                match hour {
                    // What a crash left of an hour that was forgotten, or of a day that was erased: the next writer deletes it.
                    Some(hour) if self.first_hour.is_some_and(|first| hour < first) => {}
                    Some(_) if self.files.vault.is_erased(day) => {}
                    Some(hour) if since.is_none_or(|s| s <= hour) => hours.push(hour),
                    Some(_) => {}
                    None => self
                        .report
                        .add(Finding::note(dir, "is not ours, and left alone")),
                }
            }
        }
        Ok(hours)
    }

    /// One hour. What goes away meanwhile is looked for again: compaction leaves other files, retention none.
    fn hour(&mut self, hour: i64) -> Result<(), StoreError> {
        let mut seen = HashSet::new();
        let mut counted = false;
        let mut vanished = 0;
        for attempt in 1..=ATTEMPTS {
            let last = attempt == ATTEMPTS;
            if attempt > 1 {
                thread::sleep(AGAIN);
                let forgotten = recover::forgotten(self.root).ok().flatten();
                if forgotten.is_some_and(|at| layout::hour_start(hour) < at) {
                    return Ok(());
                }
            }
            let files = self.list(hour, attempt == 1)?;
            let mut gone = 0;
            for s in &files.segments {
                if !seen.insert(s.parquet(self.root)) {
                    continue;
                }
                let report = &mut self.report;
                match segment::check(&self.files, s, self.options.quick, last, &mut |f| {
                    report.add(f)
                }) {
                    Ok(rows) => {
                        self.count(&[s.parquet(self.root), s.index(self.root)]);
                        if let Some(rows) = rows {
                            self.report.records += rows.rows;
                            self.compare(hour, &s.parquet_name(), s.facts, &rows);
                            self.runs.extend(rows.uids.map(|(low, high)| Run {
                                of: Of::Segment(*s),
                                rows: rows.rows,
                                low,
                                high,
                            }));
                        }
                    }
                    Err(e) if is_gone(&e) => {
                        gone += 1;
                        seen.remove(&s.parquet(self.root));
                        if last {
                            let (from, until) = segment::span(s);
                            let finding = Finding::damage(s.parquet(self.root), "is not there");
                            let finding = finding
                                .touching(from, until)
                                .records(s.facts.map(|f| f.rows));
                            let target = Target::Segment(*s);
                            self.report.add(finding.mend(Remedy::Salvage, target));
                        }
                    }
                    Err(e) if is_key(&e) => self.key(&e),
                    Err(e) => return Err(e),
                }
            }
            for e in &files.ends {
                if !seen.insert(e.path(self.root)) {
                    continue;
                }
                let report = &mut self.report;
                match ends::check(&self.files, e, self.options.quick, &mut |f| report.add(f)) {
                    Ok(rows) => {
                        self.count(&[e.path(self.root)]);
                        self.report.ends += rows.unwrap_or(0);
                    }
                    Err(error) if is_gone(&error) => {
                        gone += 1;
                        seen.remove(&e.path(self.root));
                        if last {
                            let finding = Finding::damage(e.path(self.root), "is not there");
                            self.report.add(
                                finding.touching(
                                    layout::hour_start(hour),
                                    layout::hour_start(hour + 1),
                                ),
                            );
                        }
                    }
                    Err(error) if is_key(&error) => self.key(&error),
                    Err(error) => return Err(error),
                }
            }
            let is_empty = files.segments.is_empty() && files.ends.is_empty();
            if !counted && !is_empty {
                counted = true;
                self.report.hours += 1;
            }
            if gone == 0 {
                self.report.vanished += vanished;
                return self.orphans(hour, &files);
            }
            vanished = gone;
        }
        Ok(())
    }

    /// A key that is damaged or gone, told once: what it seals may be sound, and nothing is set aside for its sake.
    pub(super) fn key(&mut self, e: &StoreError) {
        let Some(path) = key_of(e) else { return };
        if !self.report.damage().any(|f| f.file == path) {
            let what = format!(
                "{}: nothing that it seals can be read; put it back from a backup",
                why(e)
            );
            self.report.add(Finding::damage(path.to_owned(), what));
        }
    }

    fn count(&mut self, paths: &[PathBuf]) {
        for path in paths {
            self.report.files += 1;
            self.report.octets += std::fs::metadata(path).map_or(0, |m| m.len());
        }
    }

    /// The files of an hour that count. Says what is wrong with the list, the first time.
    fn list(&mut self, hour: i64, first: bool) -> Result<Hour, StoreError> {
        let mut seen = OpenReport::default();
        let files = recover::hour_files(self.root, hour, &self.void, false, &mut seen)?;
        if !first {
            return Ok(files);
        }
        if files.listed || files.damage.is_some() {
            self.report.files += 1;
        }
        if let Some(what) = &files.damage {
            let finding =
                Finding::damage(manifest::path(self.root, hour), format!("manifest {what}"));
            let (from, until) = (layout::hour_start(hour), layout::hour_start(hour + 1));
            let records = files
                .segments
                .iter()
                .filter_map(|s| Some(s.facts?.rows))
                .sum();
            let finding = finding
                .touching(from, until)
                .records(Some(records).filter(|n| *n > 0));
            self.report
                .add(finding.mend(Remedy::Manifest, Target::Hour(hour)));
        }
        for path in seen.foreign {
            self.report
                .add(Finding::note(path, "is not ours, and left alone"));
        }
        Ok(files)
    }

    /// Whether a manifest says of a file what the file says.
    fn compare(&mut self, hour: i64, name: &str, listed: Option<Facts>, rows: &Rows) {
        let Some(listed) = listed else { return };
        let uids = Some((listed.first_uid, listed.last_uid));
        // Where rows are lost their uids are not known.
        let other_uids = rows.uids.is_some() && rows.whole && rows.uids != uids;
        if listed.rows == rows.rows && !other_uids {
            return;
        }
        let what = format!(
            "manifest says {} rows with uids {} to {} of {name}, and there are {}",
            listed.rows, listed.first_uid, listed.last_uid, rows.rows
        );
        let finding = Finding::damage(manifest::path(self.root, hour), what);
        let (from, until) = (layout::hour_start(hour), layout::hour_start(hour + 1));
        let finding = finding
            .touching(from, until)
            .records(rows.rows.abs_diff(listed.rows));
        self.report
            .add(finding.mend(Remedy::Manifest, Target::Hour(hour)));
    }

    fn orphans(&mut self, hour: i64, files: &Hour) -> Result<(), StoreError> {
        if self.options.quick || files.ends.is_empty() {
            return Ok(());
        }
        match ends::orphans(&self.files, &files.ends, &files.segments, &self.in_logs) {
            Ok(0) => {}
            Ok(n) => {
                let what = format!("{n} second halves whose record is not there");
                let finding = Finding::note(layout::hour_dir(self.root, hour), what);
                let (from, until) = (layout::hour_start(hour), layout::hour_start(hour + 1));
                self.report.add(finding.touching(from, until).records(n));
            }
            // A file that can't be opened has been told of.
            Err(StoreError::Corrupt { .. } | StoreError::Io { .. } | StoreError::Key { .. }) => {}
            Err(e) => return Err(e),
        }
        Ok(())
    }

    fn unique(&mut self) {
        let mut count = 0;
        let mut first: Vec<Twice> = Vec::new();
        unique::find(&self.files, &self.runs, |twice| {
            count += 1;
            if count <= NAMED {
                first.push(twice);
            }
        });
        // A seal or compaction beside us shows a record in both the old and the new place.
        first.retain(|t| t.here.exists() && t.there.exists());
        let Some(one) = first.first() else {
            return;
        };
        let uids: Vec<String> = first.iter().map(|t| t.uid.to_string()).collect();
        let what = format!(
            "{count} uids are there twice, here and in {}: {}; look-ups show each once, counts twice",
            one.there.display(),
            uids.join(", ")
        );
        self.report
            .add(Finding::damage(one.here.clone(), what).records(count));
    }
}
