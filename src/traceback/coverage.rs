//! How much of a window was seen, out of the coverage ledger. "Not found" and "certain" are both only said with it.
//!
//! A call crosses our edge in front of *one* sensor and nobody knows beforehand which. So the share of a window is that
//! of its worst sensor: a call that only the blind one could have seen is a call that was not captured. A sensor counts
//! when it shows in the rows at hand, which reach hours to both sides of the window, or when the configuration names it;
//! one that was down for the whole window has no row in it and counts as blind.

use std::sync::Arc;

use crate::base::Timestamp;
use crate::call::record::Coverage;

/// Least share of a window, and of every minute in it, that counts as seen: the 99.9 % below which "not found" is not said.
pub const LEAST_SHARE: f64 = 0.999;
/// Rows that follow each other within this many nanoseconds leave no gap: rounding at the minute's end.
const SEAM_NS: i64 = 1_000_000;

/// What kind of hole it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hole {
    /// The sensor was not looking.
    Blind,
    /// It looked, and lost more than one in a thousand.
    Lossy,
}

/// A hole in what one sensor saw.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Gap {
    /// Which sensor.
    pub sensor: Arc<str>,
    /// What kind.
    pub kind: Hole,
    /// Its beginning, within the window.
    pub from: Timestamp,
    /// Its end, within the window.
    pub until: Timestamp,
}

/// What was seen of a window.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Sight {
    /// Share seen by the worst sensor, weighted by time, from 0 to 1; 0 where nobody was looking.
    pub share: f64,
    /// Holes, by sensor, then time.
    pub gaps: Vec<Gap>,
}

impl Sight {
    /// What `rows` say about the window. `expected` names sensors that must have been looking even if no row shows them.
    pub fn over(
        rows: &[Coverage],
        from: Timestamp,
        until: Timestamp,
        expected: &[Arc<str>],
    ) -> Self {
        let mut sensors: Vec<&Arc<str>> = rows.iter().map(|r| &r.sensor).chain(expected).collect();
        sensors.sort_unstable();
        sensors.dedup();
        let mut sight = Self {
            share: if sensors.is_empty() { 0.0 } else { 1.0 },
            gaps: Vec::new(),
        };
        for sensor in sensors {
            let share = sight.add(rows, sensor, from, until);
            sight.share = sight.share.min(share);
        }
        sight
    }

    /// Whether the window was seen well enough to say that something was not there, or that nothing else was.
    pub fn is_whole(&self) -> bool {
        self.share >= LEAST_SHARE && self.gaps.is_empty()
    }

    /// Adds one sensor's gaps and gives the share that it saw.
    fn add(
        &mut self,
        rows: &[Coverage],
        sensor: &Arc<str>,
        from: Timestamp,
        until: Timestamp,
    ) -> f64 {
        let mut own: Vec<&Coverage> = rows
            .iter()
            .filter(|r| r.sensor == *sensor && r.from <= until && r.until >= from)
            .collect();
        own.sort_unstable_by_key(|r| (r.from, r.until));
        let mut gap = |kind, from, until| {
            self.gaps.push(Gap {
                sensor: sensor.clone(),
                kind,
                from,
                until,
            });
        };
        let (mut cursor, mut seen) = (from, 0.0);
        for row in own {
            let (begin, end) = (row.from.max(cursor), row.until.min(until));
            if nanos(cursor, begin) > SEAM_NS {
                gap(Hole::Blind, cursor, begin);
            }
            let share = row.completeness();
            // Also for a row that another one overlaps: what it lost is lost.
            let whole = share >= LEAST_SHARE;
            if !whole && row.until > from && row.from < until {
                gap(Hole::Lossy, row.from.max(from), end);
            }
            // The seam before a row counts as seen with it.
            let begin = if nanos(cursor, begin) > SEAM_NS {
                begin
            } else {
                cursor
            };
            if end > begin {
                seen += end.secs_since(begin) * share;
                cursor = end;
            }
        }
        if nanos(cursor, until) > SEAM_NS {
            gap(Hole::Blind, cursor, until);
        }
        let whole = until.secs_since(from);
        if whole > 0.0 {
            (seen / whole).clamp(0.0, 1.0)
        } else {
            0.0
        }
    }
}

fn nanos(from: Timestamp, until: Timestamp) -> i64 {
    until.nanos().saturating_sub(from.nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(sensor: &str, from: i64, until: i64, dropped: u64) -> Coverage {
        Coverage {
            sensor: sensor.into(),
            from: Timestamp::from_secs(from),
            until: Timestamp::from_secs(until),
            packets: 1000 - dropped,
            messages: 500,
            incomplete: 0,
            dropped,
            unreadable: 0,
        }
    }

    fn over(rows: &[Coverage], from: i64, until: i64) -> Sight {
        Sight::over(
            rows,
            Timestamp::from_secs(from),
            Timestamp::from_secs(until),
            &[],
        )
    }

    #[test]
    fn minutes_side_by_side_are_whole() {
        let mut rows = vec![
            row("a", 0, 60, 0),
            row("a", 60, 120, 0),
            row("a", 120, 180, 0),
        ];
        let s = over(&rows, 30, 170);
        assert!(s.is_whole() && (s.share - 1.0).abs() < 1e-9, "{s:?}");
        rows[0].until = Timestamp::from_nanos(59_999_999_999);
        assert!(
            over(&rows, 30, 170).is_whole(),
            "a minute that ends a nanosecond early"
        );
    }

    #[test]
    fn a_gap_is_named_and_counted() {
        let s = over(&[row("a", 0, 60, 0), row("a", 90, 180, 0)], 0, 180);
        assert!((s.share - 150.0 / 180.0).abs() < 1e-9);
        let [gap] = s.gaps.as_slice() else {
            panic!("{s:?}")
        };
        assert_eq!(
            (gap.kind, gap.from.secs(), gap.until.secs()),
            (Hole::Blind, 60, 90)
        );
        assert!(!s.is_whole());
    }

    #[test]
    fn a_minute_with_drops_is_a_gap_of_its_own_kind() {
        let s = over(&[row("a", 0, 60, 0), row("a", 60, 120, 2)], 0, 120);
        assert!((s.share - 0.999).abs() < 1e-9);
        assert_eq!(s.gaps.first().map(|g| g.kind), Some(Hole::Lossy));
        assert!(!s.is_whole());
    }

    #[test]
    fn the_worst_sensor_counts_and_one_that_was_down_is_blind() {
        let rows = [row("a", 0, 120, 0), row("b", 500, 560, 0)];
        let s = over(&rows, 0, 120);
        assert_eq!(s.share, 0.0);
        assert_eq!(s.gaps.first().map(|g| &*g.sensor), Some("b"));
    }

    #[test]
    fn no_row_at_all_means_that_nobody_was_looking() {
        assert_eq!(over(&[], 0, 60).share, 0.0);
        let s = Sight::over(
            &[row("a", 0, 60, 0)],
            Timestamp::from_secs(0),
            Timestamp::from_secs(60),
            &["b".into()],
        );
        assert!(!s.is_whole());
    }

    #[test]
    fn overlapping_rows_are_not_counted_twice() {
        let s = over(&[row("a", 0, 60, 0), row("a", 30, 60, 0)], 0, 120);
        assert!((s.share - 0.5).abs() < 1e-9);
        let s = over(&[row("a", 0, 60, 0), row("a", 30, 60, 100)], 0, 60);
        assert_eq!(s.gaps.len(), 1, "what the overlapped row lost is lost");
    }
}
