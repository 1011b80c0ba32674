//! One merge, step by step. Until the manifest is replaced, nothing that it writes counts; from then on, nothing that it replaced.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;

use super::super::layout::{self, Ends, Facts, Segment};
use super::super::lookup::{Hour, Shared};
use super::super::segment::{self, BeginCells, EndCells};
use super::super::table::{Finished, Reader, Writer, parquet_error};
use super::super::vault::Vault;
use super::super::{ends, index, manifest};
use super::CompactionSettings;
use super::columns::{self, Inputs};
use super::entries::Merged;
use super::fold::{Late, Rest};
use super::order::Order;
use super::pace::Pace;
use crate::store::StoreError;

/// Row groups for which second halves are looked up at once: a million rows.
const GROUPS_AT_ONCE: usize = 2;

/// Files of an hour to merge. Without segments, the ends are gathered into one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Job {
    pub hour: i64,
    pub segments: Vec<Segment>,
    /// All ends of the hour, if there are segments.
    pub ends: Vec<Ends>,
}

/// What a merge did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    pub files: u64,
    pub rows: u64,
    pub folded: u64,
    pub read: u64,
    pub written: u64,
}

/// Why a merge did not come to its end.
#[derive(Debug)]
pub(super) enum Halt {
    /// The store closes.
    Stopped,
    /// Retention deleted the hour, or the files are no longer what there is.
    Gone,
    /// There is no room for so many octets.
    NoRoom(u64),
    Failed(StoreError),
}

impl From<StoreError> for Halt {
    fn from(e: StoreError) -> Self {
        Self::Failed(e)
    }
}

impl From<ParquetError> for Halt {
    fn from(e: ParquetError) -> Self {
        Self::Failed(parquet_error("merging".as_ref(), e))
    }
}

/// What was written and does not count yet.
#[derive(Default)]
struct Made {
    segment: Option<Segment>,
    ends: Option<Ends>,
    /// Whether the ends that were there stay.
    keep_ends: bool,
    /// Every file under its present and its later name.
    files: Vec<(PathBuf, PathBuf)>,
    done: Done,
}

impl Job {
    /// Octets that it will write, at most.
    pub fn octets(&self, root: &Path) -> u64 {
        let length = |path: PathBuf| std::fs::metadata(path).map_or(0, |m| m.len());
        self.paths(root).into_iter().map(length).sum()
    }

    fn paths(&self, root: &Path) -> Vec<PathBuf> {
        let segments = self.segments.iter();
        let segments = segments.flat_map(|s| [s.parquet(root), s.index(root)]);
        segments
            .chain(self.ends.iter().map(|e| e.path(root)))
            .collect()
    }

    pub fn run(
        &self,
        shared: &Shared,
        settings: &CompactionSettings,
        pace: &mut Pace<'_>,
    ) -> Result<Done, Halt> {
        let mut made = Made::default();
        let result = self
            .list(shared)
            .and_then(|()| self.make(shared, settings, pace, &mut made))
            .and_then(|()| self.swap(shared, &mut made));
        if let Err(halt) = result {
            for (fresh, place) in &made.files {
                // What stays is void.
                let _ = layout::remove(fresh);
                let _ = layout::remove(place);
            }
            return Err(match halt {
                Halt::Failed(_) if !self.is_current(shared) => Halt::Gone,
                halt => halt,
            });
        }
        for path in self.paths(&shared.root) {
            if made.keep_ends && path.extension().is_some_and(|e| e == "ends") {
                continue;
            }
            // What stays is void.
            let _ = layout::remove(&path);
        }
        Ok(made.done)
    }

    /// Gives the hour a manifest, if it has none: what is made is not to count by its name.
    fn list(&self, shared: &Shared) -> Result<(), Halt> {
        let _files = shared.files();
        let files = shared.state().hours.get(&self.hour).cloned();
        let files = files.ok_or(Halt::Gone)?;
        if !files.listed {
            manifest::write(&shared.root, self.hour, &files)?;
            if let Some(hour) = shared.change().hours.get_mut(&self.hour) {
                hour.listed = true;
            }
        }
        Ok(())
    }

    fn make(
        &self,
        shared: &Shared,
        settings: &CompactionSettings,
        pace: &mut Pace<'_>,
        made: &mut Made,
    ) -> Result<(), Halt> {
        let (root, vault) = (&shared.root, &shared.vault);
        made.done.read = self.octets(root);
        let late = self.ends.iter().map(|ends| {
            let file = Reader::open(&ends.path(root), &ends::KEYS, Some(ends.sum), vault)?;
            Ok((*ends, file))
        });
        let late: Result<Vec<_>, StoreError> = late.collect();
        let mut late = Late::of(late?);
        if !self.segments.is_empty() {
            self.merge(shared, settings, &mut late, pace, made)?;
        }
        made.keep_ends = late.rest() == Rest::All && (self.ends.len() == 1);
        if made.keep_ends || late.rest() == Rest::Nothing {
            return Ok(());
        }
        let mut file = Ends {
            seq: late.newest(),
            hour: self.hour,
            first_uid: 0,
            last_uid: 0,
            sum: 0,
            rows: None,
        };
        let fresh = layout::hour_dir(root, self.hour).join("merged.ends.new");
        made.files.push((fresh.clone(), fresh.clone()));
        let about = [("format", "1".to_owned()), ("log", file.seq.to_string())];
        let mut left = late.left();
        let written = ends::gather(
            &fresh,
            left.by_ref(),
            &about,
            vault,
            layout::day_of(self.hour),
        )?;
        let (rows, uids) = left.check()?;
        (file.first_uid, file.last_uid) = uids;
        (file.sum, file.rows) = (written.sum, Some(rows));
        made.place(fresh, file.path(root));
        made.ends = Some(file);
        made.done.written += written.octets;
        pace.spend(written.octets)
    }

    fn merge(
        &self,
        shared: &Shared,
        settings: &CompactionSettings,
        late: &mut Late,
        pace: &mut Pace<'_>,
        made: &mut Made,
    ) -> Result<(), Halt> {
        let (root, vault) = (&shared.root, &shared.vault);
        let day = layout::day_of(self.hour);
        let files = self.segments.iter().map(|s| {
            let file = Reader::open(&s.parquet(root), &segment::KEYS, Some(s.sum), vault)?;
            let index = Reader::open(&s.index(root), &index::KEYS, Some(s.index_sum), vault)?;
            known_columns(&file)?;
            Ok((file, index))
        });
        let files: Result<Vec<_>, StoreError> = files.collect();
        let (files, indexes): (Vec<Reader>, Vec<Reader>) = files?.into_iter().unzip();
        let files: Vec<&Reader> = files.iter().collect();
        let about = self.about(&files, late.newest());
        let order = Order::of(&files, self.hour, pace)?;

        let mut merged = Segment::spanning(self.seq(late.newest()), order.span.0, order.span.1);
        merged.merged = true;
        merged.facts = Some(Facts {
            rows: order.rows() as u64,
            first_uid: order.uids.0,
            last_uid: order.uids.1,
        });
        let fresh = layout::hour_dir(root, self.hour).join("merged.cix.new");
        made.files.push((fresh.clone(), fresh.clone()));
        let written = self.index(&fresh, &indexes, &order, pace, &about, vault)?;
        merged.index_sum = written.sum;
        made.done.written += written.octets;
        made.place(fresh, merged.index(root));
        pace.spend(written.octets)?;

        let fresh = layout::hour_dir(root, self.hour).join("merged.parquet.new");
        made.files.push((fresh.clone(), fresh.clone()));
        let mut file = Writer::create(
            &fresh,
            &[BeginCells::SPECS, EndCells::SPECS],
            vault,
            Some(day),
        )?;
        let seqs = self.segments.iter().map(|s| s.seq).collect();
        let mut inputs = Inputs::of(&files, seqs);
        let group_rows = settings.group_rows.max(1);
        let batch_rows = group_rows.saturating_mul(GROUPS_AT_ONCE);
        for batch in (0..order.rows()).step_by(batch_rows) {
            let batch = batch..(batch + batch_rows).min(order.rows());
            let folds = late.of_rows(&order, &inputs, &batch, pace)?;
            for first in batch.clone().step_by(group_rows) {
                let rows = first..(first + group_rows).min(batch.end);
                let of = |row: usize| folds.partition_point(|(r, ..)| (*r as usize) < row);
                let folds = folds.get(of(rows.start)..of(rows.end)).unwrap_or_default();
                let before = file.octets();
                let mut halt = None;
                let result = file.group(|writers| {
                    match columns::write(writers, &inputs, &order, &rows, folds, pace) {
                        Ok(folded) => {
                            made.done.folded += folded;
                            Ok(())
                        }
                        Err(e) => {
                            halt = Some(e);
                            Err(ParquetError::General("halted".to_owned()))
                        }
                    }
                });
                if let Some(halt) = halt {
                    return Err(halt);
                }
                result?;
                inputs.pass(&order, &rows);
                pace.spend(file.octets() - before)?;
            }
        }
        let written = file.finish(&about)?;
        merged.sum = written.sum;
        made.done.written += written.octets;
        made.done.rows = order.rows() as u64;
        made.place(fresh, merged.parquet(root));
        made.segment = Some(merged);
        Ok(())
    }

    fn index(
        &self,
        fresh: &Path,
        indexes: &[Reader],
        order: &Order,
        pace: &mut Pace<'_>,
        about: &[(&str, String)],
        vault: &Vault,
    ) -> Result<Finished, Halt> {
        let indexes: Vec<&Reader> = indexes.iter().collect();
        let places = order.places(indexes.len());
        let mut calling = Merged::of(&indexes, false, order, &places, pace);
        let mut aliases = Merged::of(&indexes, true, order, &places, pace);
        let written = index::write(
            fresh,
            calling.by_ref(),
            aliases.by_ref(),
            about,
            vault,
            layout::day_of(self.hour),
        )?;
        calling.check()?;
        aliases.check()?;
        Ok(written)
    }

    /// The highest log of all that goes in: an end of a higher one is later than all of them.
    fn seq(&self, newest_ends: u64) -> u64 {
        let segments = self.segments.iter().map(|s| s.seq);
        segments.max().unwrap_or(0).max(newest_ends)
    }

    fn about(&self, files: &[&Reader], newest_ends: u64) -> [(&'static str, String); 4] {
        let mut merged = BTreeSet::new();
        let mut last_uid = 0;
        for (segment, file) in self.segments.iter().zip(files) {
            match file.about("merged") {
                Some(seqs) => merged.extend(seqs.split(' ').filter_map(|s| s.parse::<u64>().ok())),
                None => drop(merged.insert(segment.seq)),
            }
            let uid = file.about("last_uid").and_then(|u| u.parse().ok());
            last_uid = last_uid.max(uid.unwrap_or(0));
        }
        let merged: Vec<String> = merged.iter().map(u64::to_string).collect();
        [
            ("format", "1".to_owned()),
            ("log", self.seq(newest_ends).to_string()),
            ("last_uid", last_uid.to_string()),
            ("merged", merged.join(" ")),
        ]
    }

    /// Puts what was made in the place of what it was made from.
    fn swap(&self, shared: &Shared, made: &mut Made) -> Result<(), Halt> {
        let _files = shared.files();
        let files = shared.state().hours.get(&self.hour).cloned();
        let mut files = files.filter(|f| self.is_in(f)).ok_or(Halt::Gone)?;
        for (fresh, place) in &made.files {
            layout::rename(fresh, place)?;
        }
        layout::sync_dir(&layout::hour_dir(&shared.root, self.hour))?;
        files.segments.retain(|s| !self.segments.contains(s));
        files.segments.extend(made.segment);
        if !made.keep_ends {
            files.ends.retain(|e| !self.ends.contains(e));
            files.ends.extend(made.ends);
        }
        files.listed = true;
        let written = manifest::write(&shared.root, self.hour, &files);
        if let Err(e) = written {
            // It may have been replaced all the same: then the files count, and must stay. Which it is, the next opening sees.
            made.files.clear();
            return Err(e.into());
        }
        made.done.files = (self.segments.len() + self.ends.len()) as u64;
        {
            let mut state = shared.change();
            if let Some(hour) = state.hours.get_mut(&self.hour) {
                *hour = files;
            }
            state.generation += 1;
        }
        shared.forget_files(&self.segments, &self.ends);
        Ok(())
    }

    fn is_current(&self, shared: &Shared) -> bool {
        let state = shared.state();
        state.hours.get(&self.hour).is_some_and(|f| self.is_in(f))
    }

    fn is_in(&self, files: &Hour) -> bool {
        self.segments.iter().all(|s| files.segments.contains(s))
            && self.ends.iter().all(|e| files.ends.contains(e))
    }
}

impl Made {
    /// The file made last has its later name now.
    fn place(&mut self, fresh: PathBuf, place: PathBuf) {
        self.files.pop();
        self.files.push((fresh, place));
    }
}

/// A column of a later version would be lost.
pub(in crate::store::embedded) fn known_columns(file: &Reader) -> Result<(), StoreError> {
    let known = |name: &str| {
        let specs = BeginCells::SPECS.iter().chain(EndCells::SPECS);
        specs.map(|s| s.name).any(|n| n == name)
    };
    match file.columns().find(|name| !known(name)) {
        Some(name) => Err(StoreError::corrupt(
            file.path(),
            format!("column {name} is of a later version: the file is not merged"),
        )),
        None => Ok(()),
    }
}
