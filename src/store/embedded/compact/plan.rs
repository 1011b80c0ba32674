//! What is worth merging.
//!
//! - (a) While an hour goes on: as soon as 16 small segments have gathered, they become one. So many files of ends likewise.
//! - (b) When it has ended ten minutes ago and nothing was added for as long: all its small segments.
//! - (c) When it has ended four hours ago and is as quiet: segments whose late ends are more than a 256th of their rows, the large ones too.
//!
//! A segment is small unless it has half the rows that a merged one may have. So a row is written once by its seal, once by (a), at most once more by (b),
//! and at most once more by (c).

use std::time::Duration;

use super::super::layout::{self, Ends, Segment};
use super::super::lookup::{Hour, State};
use super::{CompactionSettings, Job};
use crate::base::Timestamp;

/// Segments of one merge at most: each takes two open files.
const MOST_INPUTS: usize = 64;
/// Files of ends of one merge at most.
const MOST_ENDS: usize = 64;
/// Ends are folded into segments that are settled when they are more than this share of the rows.
const PENDING_SHARE: u64 = 256;

/// The next merge: busy hours first, then the newest. Files of logs above `up_to` are left alone, and hours that `skip` names.
pub(super) fn next(
    state: &State,
    settings: &CompactionSettings,
    now: Timestamp,
    up_to: u64,
    skip: impl Fn(i64) -> bool,
) -> Option<Job> {
    let mut closed = None;
    for (hour, files) in state.hours.iter().rev() {
        if files.damage.is_some() || skip(*hour) {
            continue;
        }
        let choice = Choice {
            settings,
            now,
            hour: *hour,
            files,
            up_to,
        };
        if let Some(job) = choice.busy() {
            return Some(job);
        }
        if closed.is_none() {
            closed = choice.closed().or_else(|| choice.settled());
        }
    }
    closed
}

struct Choice<'a> {
    settings: &'a CompactionSettings,
    now: Timestamp,
    hour: i64,
    files: &'a Hour,
    up_to: u64,
}

impl Choice<'_> {
    fn busy(&self) -> Option<Job> {
        let fresh = self.segments().filter(|s| !s.merged && self.is_small(s));
        if fresh.clone().count() >= self.settings.gather.max(2)
            && let Some(job) = self.merge(fresh)
        {
            return Some(job);
        }
        let ends = self.ends();
        (ends.len() > self.settings.gather.max(2)).then(|| Job {
            hour: self.hour,
            segments: Vec::new(),
            ends: ends.into_iter().take(MOST_ENDS).collect(),
        })
    }

    fn closed(&self) -> Option<Job> {
        if !self.ended_before(self.settings.closed_after) || !self.is_quiet() {
            return None;
        }
        self.merge(self.segments().filter(|s| self.is_small(s)))
    }

    fn settled(&self) -> Option<Job> {
        if !self.ended_before(self.settings.settled_after) || !self.is_quiet() {
            return None;
        }
        let ends = self.ends();
        let newest = ends.iter().map(|e| e.seq).max()?;
        // Others had all the ends offered when they were merged.
        let behind = self.segments().filter(|s| s.seq < newest || !s.merged);
        let rows: u64 = behind.clone().map(|s| self.rows(s)).sum();
        let pending: u64 = ends.iter().map(|e| e.rows.unwrap_or(1)).sum();
        if pending.saturating_mul(PENDING_SHARE) < rows || ends.len() > MOST_ENDS {
            return None;
        }
        let chosen = self.fill(behind);
        (!chosen.is_empty()).then_some(Job {
            hour: self.hour,
            segments: chosen,
            ends,
        })
    }

    /// At least two of the candidates and the ends, as one merge.
    fn merge<'s>(&self, candidates: impl Iterator<Item = &'s Segment>) -> Option<Job> {
        let segments = self.fill(candidates);
        let ends = self.ends();
        if segments.len() < 2 {
            return None;
        }
        // Too many ends to have them all offered: they are gathered first.
        let segments = match ends.len() > MOST_ENDS {
            true => Vec::new(),
            false => segments,
        };
        Some(Job {
            hour: self.hour,
            segments,
            ends: ends.into_iter().take(MOST_ENDS).collect(),
        })
    }

    /// As many as one merge may have, the oldest first.
    fn fill<'s>(&self, candidates: impl Iterator<Item = &'s Segment>) -> Vec<Segment> {
        let mut all: Vec<Segment> = candidates.copied().collect();
        all.sort_unstable_by_key(|s| s.seq);
        let most = self.settings.most_rows as u64;
        let mut rows = 0;
        let mut chosen = Vec::new();
        for segment in all {
            let more = self.rows(&segment);
            if chosen.len() < MOST_INPUTS && (rows + more <= most || chosen.is_empty()) {
                rows += more;
                chosen.push(segment);
            }
        }
        chosen
    }

    fn segments(&self) -> impl Iterator<Item = &Segment> + Clone {
        let up_to = self.up_to;
        self.files.segments.iter().filter(move |s| s.seq <= up_to)
    }

    fn ends(&self) -> Vec<Ends> {
        let ends = self.files.ends.iter().copied();
        let mut ends: Vec<Ends> = ends.filter(|e| e.seq <= self.up_to).collect();
        ends.sort_unstable_by_key(|e| e.seq);
        ends
    }

    fn is_small(&self, segment: &Segment) -> bool {
        self.rows(segment) < (self.settings.most_rows / 2) as u64
    }

    /// Where it is not known, as many as seals make.
    fn rows(&self, segment: &Segment) -> u64 {
        let full = self.settings.group_rows as u64;
        segment.facts.map_or(full, |f| f.rows)
    }

    /// Whether nothing was added for a while: a capture that is replayed fills hours that are long over.
    fn is_quiet(&self) -> bool {
        let quiet = self.now.minus(self.settings.closed_after);
        self.files.changed.is_none_or(|c| c <= quiet)
    }

    fn ended_before(&self, ago: Duration) -> bool {
        layout::hour_start(self.hour + 1) <= self.now.minus(ago)
    }
}
