//! Retention: whole hours of capture time are deleted by their folders, and what was forgotten stays known.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::{EmbeddedStore, hold, layout};
use crate::base::Timestamp;
use crate::store::{Lookup, StoreError};

/// What retention deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetentionReport {
    /// Why nothing was deleted, though it may have been time: a legal hold could not be filled.
    pub held_up: Option<String>,
    /// Hour folders.
    pub hours: u64,
    /// Segments in them.
    pub segments: u64,
    /// Daily files of the coverage ledger.
    pub coverage_days: u64,
    /// Days of campaigns.
    pub campaign_days: u64,
    /// Days of evidence.
    pub evidence_days: u64,
    /// Hour folders that are older than that and stay: a shared engine has not had them.
    pub awaiting: u64,
    /// Segments deleted although it had not: it was away for too long.
    pub never_forwarded: u64,
    /// Before this point everything is gone, whether deleted now or earlier.
    pub forgotten_before: Option<Timestamp>,
}

/// So much longer is kept what a shared engine has not had: an outage that lasts longer is no outage.
const AWAITED: Duration = Duration::from_secs(30 * 86_400);

/// Removes an hour's folder. A merge that is under way may still put a file there after the folder was read: then once more.
fn remove_hour(dir: &Path) -> Result<(), StoreError> {
    let mut attempts = 5;
    loop {
        match std::fs::remove_dir_all(dir) {
            Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty && attempts > 1 => {
                attempts -= 1;
            }
            result => return result.map_err(|e| StoreError::io(dir, e)),
        }
    }
}

impl EmbeddedStore {
    /// Deletes the folders of all hours that ended `retention` or longer before `now`, and the daily coverage files likewise.
    ///
    /// `now` is the wall clock in the daemon: a replayed old capture is deleted by the next call. What is forgotten is noted first, so that a
    /// crash in between never leaves the store saying that it would know. Legal holds near what is to be deleted are filled before.
    pub fn retain(&mut self, now: Timestamp) -> Result<RetentionReport, StoreError> {
        self.settle()?;
        self.retained_at = Some(now);
        if let Err(e) = self.fill_holds(self.first_evidence_day(now), Some(now)) {
            return Ok(RetentionReport {
                held_up: Some(e.to_string()),
                forgotten_before: self.forgotten_before(),
                ..RetentionReport::default()
            });
        }
        let root = self.reader.shared.root.clone();
        let limit = layout::hour_of(now.minus(self.settings.retention).nanos());
        let (limit, awaiting) = self.awaited(limit, now);
        let limit = layout::hour_start(limit);
        let mut report = RetentionReport {
            awaiting,
            forgotten_before: self.forgotten_before(),
            evidence_days: self.forget_evidence(now)?,
            ..RetentionReport::default()
        };
        let first_evidence_day = self.first_evidence_day(now);
        super::check::forget_before(&root, layout::hour_of(limit.nanos()), first_evidence_day)?;
        if report.forgotten_before.is_none_or(|f| f < limit) {
            let has_older = {
                let state = self.reader.shared.state();
                let oldest = state.hours.keys().next();
                oldest.is_some_and(|h| layout::hour_start(*h) < limit)
                    || state.active.first.is_some_and(|t| t < limit.nanos())
            };
            // A young store has forgotten nothing.
            if report.forgotten_before.is_none() && !has_older {
                return Ok(report);
            }
            layout::write_whole(
                &root.join("forgotten"),
                super::recover::forgotten_text(limit).as_bytes(),
            )?;
            report.forgotten_before = Some(limit);
        }
        let Some(forgotten) = report.forgotten_before else {
            return Ok(report);
        };
        let first_kept = layout::hour_of(forgotten.nanos());
        let files = self.reader.shared.files();
        let gone = {
            let mut state = self.reader.shared.change();
            state.forgotten = Some(forgotten);
            state.generation += 1;
            let kept = state.hours.split_off(&first_kept);
            std::mem::replace(&mut state.hours, kept)
        };
        self.reader.shared.forget(|hour| hour < first_kept);
        for (hour, held) in gone {
            let dir = layout::hour_dir(&root, hour);
            remove_hour(&dir)?;
            if let Some(day) = dir.parent() {
                // Fails while the day has other hours.
                let _ = std::fs::remove_dir(day);
            }
            report.hours += 1;
            report.segments += held.segments.len() as u64;
            let forwarded = &self.settings.forwarded;
            let never = held.segments.iter().filter(|s| !forwarded.has(s.seq));
            report.never_forwarded += never.count() as u64;
        }
        drop(files);
        let first_day = first_kept.div_euclid(layout::DAY);
        report.campaign_days = self.campaigns.forget_before(first_day)?;
        for (path, name) in layout::list(&layout::coverage(&root))? {
            let day = name.and_then(|n| layout::day_from(n.strip_suffix(".parquet")?));
            if day.is_some_and(|d| d < first_day) {
                layout::remove(&path)?;
                report.coverage_days += 1;
            }
        }
        self.reader.shared.vault.forget_before(first_day)?;
        Ok(report)
    }

    /// The hour before which all goes, no later than the first that a shared engine has not had; and how many hours stay for that.
    fn awaited(&self, limit: i64, now: Timestamp) -> (i64, u64) {
        let forwarded = &self.settings.forwarded;
        let longest = self.settings.retention.saturating_add(AWAITED);
        let longest = layout::hour_of(now.minus(longest).nanos());
        let state = self.reader.shared.state();
        let mut old = state.hours.range(longest.min(limit)..limit);
        let waits = old.find(|(_, hour)| {
            let segments = hour.segments.iter().map(|s| s.seq);
            let mut seqs = segments.chain(hour.ends.iter().map(|e| e.seq));
            seqs.any(|seq| !forwarded.has(seq))
        });
        match waits {
            Some((first, _)) => {
                let awaiting = state.hours.range(*first..limit).count();
                (*first, awaiting as u64)
            }
            None => (limit, 0),
        }
    }

    /// Deletes evidence of the days that ended its retention, or the records', before `now`.
    fn forget_evidence(&mut self, now: Timestamp) -> Result<u64, StoreError> {
        let first_kept = self.first_evidence_day(now);
        self.evidence.forget_before(first_kept)
    }

    /// The first day of which evidence is kept: no record is forgotten before its evidence.
    fn first_evidence_day(&self, now: Timestamp) -> i64 {
        let kept = self
            .settings
            .evidence_retention
            .min(self.settings.retention);
        layout::hour_of(now.minus(kept).nanos()).div_euclid(layout::DAY)
    }

    /// Fills the legal holds that must be before days before the given one are deleted. What the time is must be known for that.
    pub(super) fn fill_holds(
        &mut self,
        first_kept: i64,
        now: Option<Timestamp>,
    ) -> Result<u64, StoreError> {
        let limit = layout::hour_start(first_kept.saturating_mul(layout::DAY));
        let root = &self.reader.shared.root;
        hold::fill_near(root, &self.settings, &self.reader, limit, now)
    }
}

/// Goes on with forgetting that a crash cut off: hours before what was noted as forgotten may be there in part.
pub(super) fn finish(root: &Path, forgotten: Timestamp) -> Result<(), StoreError> {
    let first_kept = layout::hour_of(forgotten.nanos());
    for (day_dir, name) in layout::list(&layout::segments(root))? {
        let day = name.as_deref().and_then(layout::day_from);
        let Some(day) = day.filter(|d| d.saturating_mul(layout::DAY) < first_kept) else {
            continue;
        };
        for (dir, name) in layout::list(&day_dir)? {
            let hour = name.and_then(|n| n.parse::<i64>().ok());
            let hour = hour.filter(|h| (0..layout::DAY).contains(h) && dir.is_dir());
            if hour.is_some_and(|h| day * layout::DAY + h < first_kept) {
                std::fs::remove_dir_all(&dir).map_err(|e| StoreError::io(&dir, e))?;
            }
        }
        // Fails while the day has other hours.
        let _ = std::fs::remove_dir(&day_dir);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::made::begin;
    use super::super::{Forwarded, StoreSettings};
    use super::*;
    use crate::store::Store;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn what_a_shared_engine_has_not_had_stays_a_month_longer() {
        let dir = tempfile::tempdir().unwrap();
        let forwarded = Forwarded::nothing();
        let settings = StoreSettings {
            retention: 10 * DAY,
            forwarded: forwarded.clone(),
            ..StoreSettings::default()
        };
        let mut store = EmbeddedStore::open(dir.path(), settings).unwrap();
        let at = begin(1).at;
        for (uid, days) in [(1, 0), (2, 1), (3, 2)] {
            let mut b = begin(uid);
            b.at = at.plus(days * DAY);
            store.append_begin(&b).unwrap();
            store.seal().unwrap();
        }
        // The first log has arrived; of the next two nothing is known.
        forwarded.note(1);
        let report = store.retain(at.plus(30 * DAY)).unwrap();
        assert_eq!(
            (report.hours, report.awaiting, report.never_forwarded),
            (1, 2, 0)
        );
        let report = store.retain(at.plus(41 * DAY + DAY / 2)).unwrap();
        assert_eq!(
            (report.hours, report.awaiting, report.never_forwarded),
            (1, 1, 1)
        );
        forwarded.note(3);
        let report = store.retain(at.plus(41 * DAY + DAY / 2)).unwrap();
        assert_eq!(
            (report.hours, report.awaiting, report.never_forwarded),
            (1, 0, 0)
        );
    }
}
