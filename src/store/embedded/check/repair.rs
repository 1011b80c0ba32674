//! Mending what a check found. Nothing is deleted: what is damaged is moved to `damaged/`, under the path that it had.
//!
//! The order survives a power cut: the damaged file is linked to its new place, then what can be kept is written, then the ledger says what is lost, and
//! only then is the file unlinked where it was. Whatever is cut short is found again by the next check.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::aside::{copy_aside, keep_aside, set_aside};
use super::files::Files;
use super::relist::relist;
use super::report::{CheckReport, Finding, Target};
use super::salvage::{self, Kept};
use super::{CheckOptions, Progress, check};
use crate::base::Timestamp;
use crate::store::StoreError;
use crate::store::embedded::index;
use crate::store::embedded::layout::{self, Segment};
use crate::store::embedded::lookup::Hour;
use crate::store::embedded::manifest;
use crate::store::embedded::recover::{self, OpenReport};
use crate::store::embedded::seal::SealJob;
use crate::store::embedded::vault::{KeySource, Vault};
use crate::store::embedded::{campaigns, evidence, ledger};

/// What was done about one file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Repaired {
    /// The file.
    pub file: PathBuf,
    /// What was done, or why it could not be.
    pub what: String,
    /// Whether it was done.
    pub done: bool,
    /// Records, or whatever the file is of, that are kept.
    pub kept: u64,
    /// Lost; `None` where nobody can say how many.
    pub lost: Option<u64>,
    /// Capture time of what is lost, as the ledger has it now: the beginning.
    pub from: Option<Timestamp>,
    /// The end.
    pub until: Option<Timestamp>,
    /// Where the damaged file is now.
    pub moved: Option<PathBuf>,
}

/// What a repair found, did, and left.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RepairReport {
    /// The check before.
    pub before: CheckReport,
    /// What was done.
    pub repaired: Vec<Repaired>,
    /// The check after.
    pub after: CheckReport,
}

/// Checks a store, mends what can be mended, and checks it again. No other process may write it meanwhile.
///
/// # Errors
///
/// [`StoreError::Locked`] while a process writes the store; [`StoreError`] where the folder is no store. What can't be mended is no error.
pub fn repair(
    root: &Path,
    encryption: Option<&KeySource>,
    progress: &mut dyn FnMut(Progress),
) -> Result<RepairReport, StoreError> {
    crate::store::embedded::recover::prepare(root, false)?;
    let _lock = crate::store::embedded::lock::take(root)?;
    let vault = Vault::open(root, encryption, false)?;
    let options = CheckOptions {
        encryption: encryption.cloned(),
        ..CheckOptions::default()
    };
    let before = check(root, options.clone(), progress)?;
    let mut repaired = Vec::new();
    let mut after = before.clone();
    // More than one turn where there was more damage than a report lists.
    while !after.is_sound() {
        let done = mend_all(root, &vault, &after);
        let some = done.iter().any(|r| r.done);
        repaired.extend(done);
        if !some {
            break;
        }
        after = check(root, options.clone(), progress)?;
    }
    Ok(RepairReport {
        before,
        repaired,
        after,
    })
}

fn mend_all(root: &Path, vault: &Vault, report: &CheckReport) -> Vec<Repaired> {
    let mut done: Vec<Repaired> = Vec::new();
    let mut seen: Vec<&Target> = Vec::new();
    // The ledger first, then lists, because what comes after adds to them; then logs, whose records become segments, and segments, whose indexes come
    // with them.
    let rank = |f: &&Finding| match f.target {
        Target::Coverage(_) => 0,
        Target::Hour(_) => 1,
        Target::Log(_) => 2,
        Target::Segment(_) => 3,
        _ => 4,
    };
    let mut findings: Vec<&Finding> = report
        .damage()
        .filter(|f| f.target != Target::None)
        .collect();
    findings.sort_by_key(rank);
    for finding in findings {
        let salvaged = match &finding.target {
            Target::Index(s) => seen.contains(&&Target::Segment(*s)),
            Target::Evidence => done.iter().any(|r| r.file == finding.file),
            target => seen.contains(&target),
        };
        if salvaged {
            continue;
        }
        seen.push(&finding.target);
        let mended = Mender {
            files: Files::new(root, vault),
        }
        .mend(finding);
        done.push(mended.unwrap_or_else(|e| Repaired {
            what: format!("could not be repaired: {e}"),
            done: false,
            ..Repaired::of(finding)
        }));
    }
    done
}

impl Repaired {
    fn of(finding: &Finding) -> Self {
        Self {
            file: finding.file.clone(),
            what: String::new(),
            done: true,
            kept: 0,
            lost: Some(0),
            from: None,
            until: None,
            moved: None,
        }
    }

    fn kept(mut self, what: &str, kept: &Kept, moved: PathBuf) -> Self {
        self.what = what.to_owned();
        self.kept = kept.rows;
        self.lost = kept.lost;
        (self.from, self.until) = kept.span.unzip();
        self.moved = Some(moved);
        self
    }
}

struct Mender<'a> {
    files: Files<'a>,
}

impl Mender<'_> {
    fn mend(&self, finding: &Finding) -> Result<Repaired, StoreError> {
        let root = self.files.root;
        let repaired = Repaired::of(finding);
        match &finding.target {
            Target::Hour(hour) => self.manifest(*hour, repaired),
            Target::None => Ok(Repaired {
                done: false,
                what: "nothing can be done".to_owned(),
                ..repaired
            }),
            Target::Segment(s) => self.segment(s, repaired),
            Target::Index(s) => self.index(s, repaired),
            Target::Ends(e) => {
                let path = e.path(root);
                let moved = keep_aside(root, &path, &path)?;
                let kept = salvage::late_ends(&self.files, e)?;
                if kept.lost != Some(0) {
                    self.blind(&kept)?;
                }
                self.list(e.hour, |files| {
                    files.ends.retain(|known| known.name() != e.name());
                    files.ends.extend(&kept.ends);
                })?;
                if !kept.ends.iter().any(|k| k.path(root) == path) {
                    self.unlink(&path)?;
                }
                Ok(repaired.kept(
                    "second halves that read are in a file of their own",
                    &kept,
                    moved,
                ))
            }
            Target::Log(seq) => self.log(*seq, repaired),
            Target::Coverage(_) => Ok(Repaired {
                what: "set aside: this day counts as not looked at".to_owned(),
                lost: None,
                from: finding.from,
                until: finding.until,
                moved: Some(set_aside(root, &finding.file)?),
                ..repaired
            }),
            Target::Campaigns(day) => {
                let moved = copy_aside(root, &finding.file)?;
                let kept =
                    campaigns::compact(&finding.file, self.files.vault.to_seal(*day)?.as_ref())?;
                Ok(Repaired {
                    what: "campaigns that read are kept".to_owned(),
                    kept,
                    lost: None,
                    moved: Some(moved),
                    ..repaired
                })
            }
            Target::Evidence => {
                let fresh = finding.file.with_extension("ev.new");
                let found = evidence::salvage(&finding.file, &fresh, &self.files.vault)?;
                let moved = keep_aside(root, &finding.file, &finding.file)?;
                layout::rename(&fresh, &finding.file)?;
                finding.file.parent().map_or(Ok(()), layout::sync_dir)?;
                Ok(Repaired {
                    what: "evidence that reads is kept".to_owned(),
                    kept: found.calls,
                    lost: None,
                    moved: Some(moved),
                    ..repaired
                })
            }
        }
    }
}

impl Mender<'_> {
    fn segment(&self, s: &Segment, repaired: Repaired) -> Result<Repaired, StoreError> {
        let root = self.files.root;
        let (path, old_index) = (s.parquet(root), s.index(root));
        let moved = keep_aside(root, &path, &path)?;
        let kept = salvage::segment(&self.files, s)?;
        if kept.lost != Some(0) {
            self.blind(&kept)?;
        }
        self.list(s.hour, |files| {
            files
                .segments
                .retain(|known| known.parquet_name() != s.parquet_name());
            files.segments.extend(&kept.segments);
        })?;
        if !kept.segments.iter().any(|k| k.parquet(root) == path) {
            self.unlink(&path)?;
        }
        if !kept.segments.iter().any(|k| k.index(root) == old_index) {
            keep_aside(root, &old_index, &old_index)?;
            self.unlink(&old_index)?;
        }
        Ok(repaired.kept("rows that read are in a segment of their own", &kept, moved))
    }

    /// Makes an index anew. Its checksum stands in the name of its segment too, which therefore gets another.
    fn index(&self, s: &Segment, repaired: Repaired) -> Result<Repaired, StoreError> {
        let root = self.files.root;
        let file = self.files.segment(s)?;
        let (calling, aliases, rows) = super::segment::entries(&file)?;
        let about = ["format", "log", "last_uid"];
        let about: Vec<(&str, String)> = about
            .into_iter()
            .filter_map(|key| Some((key, file.about(key)?.to_owned())))
            .collect();
        let mut fresh = *s;
        let path = fresh.index(root).with_extension("cix.new");
        fresh.index_sum = {
            let (vault, day) = (&self.files.vault, layout::day_of(s.hour));
            index::write(&path, calling, aliases, &about, vault, day)?.sum
        };
        let old = s.index(root);
        let moved = old
            .exists()
            .then(|| keep_aside(root, &old, &old))
            .transpose()?;
        layout::rename(&path, &fresh.index(root))?;
        layout::sync_dir(&layout::hour_dir(root, s.hour))?;
        if fresh != *s {
            let (path, renamed) = (s.parquet(root), fresh.parquet(root));
            match fs::hard_link(&path, &renamed) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(StoreError::io(&renamed, e));
                }
                _ => layout::sync_dir(&layout::hour_dir(root, s.hour))?,
            }
            self.list(s.hour, |files| {
                files
                    .segments
                    .retain(|known| known.parquet_name() != s.parquet_name());
                files.segments.push(fresh);
            })?;
            self.unlink(&path)?;
            self.unlink(&old)?;
        }
        Ok(Repaired {
            what: "the index is made anew".to_owned(),
            kept: rows,
            moved,
            ..repaired
        })
    }

    /// Seals what reads of a log. Reading it back notes in the ledger what does not.
    fn log(&self, seq: u64, repaired: Repaired) -> Result<Repaired, StoreError> {
        let root = self.files.root;
        let path = layout::log(root, seq);
        let recovered = self.files.log(seq, &mut OpenReport::default())?;
        let mut table = recovered.table;
        let hour = layout::hour_of(table.last.unwrap_or(0));
        let place = layout::hour_dir(root, hour).join(format!("{seq:010}.wal"));
        let moved = keep_aside(root, &path, &place)?;
        let kept = table.rows() as u64;
        let gap = recovered.gap;
        table.freeze();
        let job = SealJob {
            root: root.to_owned(),
            table: Arc::new(table),
            forgotten: i64::MIN,
            vault: self.files.vault.clone(),
        };
        let sealed = job.write()?;
        // What there is besides, be it listed or not.
        let mut others = BTreeMap::new();
        for hour in sealed.hours() {
            others.insert(hour, self.hour(hour)?);
        }
        job.publish(&sealed, |hour| others.get(&hour).cloned())?;
        Ok(Repaired {
            what: "records that read are in segments".to_owned(),
            kept,
            lost: None,
            from: gap.map(|(from, _)| from),
            until: gap.map(|(_, until)| until),
            moved: Some(moved),
            ..repaired
        })
    }

    /// The files of an hour that count, those of logs that are still there left out.
    fn hour(&self, hour: i64) -> Result<Hour, StoreError> {
        let root = self.files.root;
        let mut seen = OpenReport::default();
        let void = recover::logs(root, &mut seen)?;
        recover::hour_files(root, hour, &void, false, &mut seen)
    }

    /// Changes what the manifest of an hour lists. An hour without one counts by the names of its files.
    fn list(&self, hour: i64, change: impl FnOnce(&mut Hour)) -> Result<(), StoreError> {
        let root = self.files.root;
        let Some(mut files) = manifest::read(root, hour)? else {
            return Ok(());
        };
        change(&mut files);
        files.segments.sort_unstable();
        files.segments.dedup();
        files.ends.sort_unstable();
        files.ends.dedup();
        manifest::write(root, hour, &files)
    }

    /// Makes the manifest of an hour anew.
    fn manifest(&self, hour: i64, repaired: Repaired) -> Result<Repaired, StoreError> {
        let root = self.files.root;
        let path = manifest::path(root, hour);
        let files = relist(&self.files, hour)?;
        let moved = path
            .exists()
            .then(|| keep_aside(root, &path, &path))
            .transpose()?;
        manifest::write(root, hour, &files)?;
        Ok(Repaired {
            what: "the manifest is made anew from names and footers".to_owned(),
            kept: files
                .segments
                .iter()
                .filter_map(|s| Some(s.facts?.rows))
                .sum(),
            moved,
            ..repaired
        })
    }

    /// Writes into the ledger that nobody can say what was seen in a time whose records are lost.
    fn blind(&self, kept: &Kept) -> Result<(), StoreError> {
        let Some((from, until)) = kept.span else {
            return Ok(());
        };
        let root = self.files.root;
        let mut known = ledger::Rows::new();
        for day in ledger::day_of(from) - 1..=ledger::day_of(until) {
            match ledger::read(&layout::coverage_file(root, day)) {
                Ok(rows) => known.extend(rows),
                // A day that can't be read, or is not there, counts as not looked at anyway.
                Err(StoreError::Io { .. } | StoreError::Corrupt { .. }) => {}
                Err(e) => return Err(e),
            }
        }
        let touching = known
            .values()
            .filter(|r| r.from <= until && from <= r.until);
        let mut sensors: BTreeSet<Arc<str>> = touching.map(|r| r.sensor.clone()).collect();
        sensors.extend(kept.sensors.iter().cloned());
        let mut rows = ledger::Rows::new();
        for sensor in sensors {
            let row = ledger::damaged(&sensor, from, until, &known);
            rows.insert((sensor, row.from), row);
        }
        layout::create_dirs(&layout::coverage(root))?;
        ledger::add(root, &rows)
    }

    fn unlink(&self, path: &Path) -> Result<(), StoreError> {
        layout::remove(path)?;
        path.parent().map_or(Ok(()), layout::sync_dir)
    }
}
