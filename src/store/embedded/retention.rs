//! Retention: whole hours of capture time are deleted by their folders, and what was forgotten stays known.

use std::path::Path;

use super::{EmbeddedStore, layout};
use crate::base::Timestamp;
use crate::store::{Store, StoreError};

/// What retention deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetentionReport {
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
    /// Before this point everything is gone, whether deleted now or earlier.
    pub forgotten_before: Option<Timestamp>,
}

impl EmbeddedStore {
    /// Deletes the folders of all hours that ended `retention` or longer before `now`, and the daily coverage files likewise.
    ///
    /// `now` is the wall clock in the daemon: a replayed old capture is deleted by the next call. What is forgotten is noted first, so that a
    /// crash in between never leaves the store saying that it would know.
    pub fn retain(&mut self, now: Timestamp) -> Result<RetentionReport, StoreError> {
        self.settle()?;
        let root = self.reader.shared.root.clone();
        let limit = layout::hour_of(now.minus(self.settings.retention).nanos());
        let limit = layout::hour_start(limit);
        let mut report = RetentionReport {
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
            std::fs::remove_dir_all(&dir).map_err(|e| StoreError::io(&dir, e))?;
            if let Some(day) = dir.parent() {
                // Fails while the day has other hours.
                let _ = std::fs::remove_dir(day);
            }
            report.hours += 1;
            report.segments += held.segments.len() as u64;
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

    /// Deletes evidence of the days that ended its retention, or the records', before `now`.
    fn forget_evidence(&mut self, now: Timestamp) -> Result<u64, StoreError> {
        let first_kept = self.first_evidence_day(now);
        self.evidence.forget_before(first_kept)
    }

    fn first_evidence_day(&self, now: Timestamp) -> i64 {
        let kept = self
            .settings
            .evidence_retention
            .min(self.settings.retention);
        layout::hour_of(now.minus(kept).nanos()).div_euclid(layout::DAY)
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
