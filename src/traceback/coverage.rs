//! How much of a window was seen, out of the coverage ledger. "Not found" and "certain" are both only said with it.
//!
//! A call crosses our edge in front of *one* sensor and nobody knows beforehand which. So the share of a window is that
//! of its worst sensor: a call that only the blind one could have seen is a call that was not captured. A sensor counts
//! when it shows in the rows at hand, which reach hours to both sides of the window, or when the configuration names it;
//! one that was down for the whole window has no row in it, or one that says why, and counts as blind.
//!
//! Times of a clock that nothing keeps in step, or that may be off by more than [`HEALTHY_CLOCK_NS`], are no times to say "it was not there" of:
//! such a row is a hole as well.

use std::sync::Arc;

use crate::base::Timestamp;
use crate::call::record::Coverage;
use crate::traceback::matching::HEALTHY_CLOCK_NS;

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
    /// It looked, and lost more than one in a thousand, or the record of a call.
    Lossy,
    /// It looked by a clock that could not be relied on.
    Clock,
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
        let (down, own): (Vec<&Coverage>, Vec<&Coverage>) =
            own.into_iter().partition(|r| r.down.is_some());
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
            let whole = share >= LEAST_SHARE && row.keeps_all_records();
            let within = row.until > from && row.from < until;
            if !whole && within {
                gap(Hole::Lossy, row.from.max(from), end);
            }
            if within && !clock_is_healthy(row) {
                gap(Hole::Clock, row.from.max(from), end);
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
        // Where a row says that it was looking and another that it was not, the clock was set back and the time passed twice.
        for row in down {
            let (begin, end) = (row.from.max(from), row.until.min(until));
            let blind = self
                .gaps
                .iter()
                .filter(|g| g.kind == Hole::Blind && g.sensor == *sensor)
                .map(|g| nanos(g.from.max(begin), g.until.min(end)).max(0))
                .fold(0, i64::saturating_add);
            let claimed = nanos(begin, end).saturating_sub(blind);
            if claimed > SEAM_NS {
                self.gaps.push(Gap {
                    sensor: sensor.clone(),
                    kind: Hole::Blind,
                    from: begin,
                    until: end,
                });
                seen -= claimed as f64 / 1e9;
            }
        }
        let whole = until.secs_since(from);
        if whole > 0.0 {
            (seen / whole).clamp(0.0, 1.0)
        } else {
            0.0
        }
    }
}

/// Whether its times can be relied on. A file's rows say nothing of a clock, and are taken as they are: the bound of its times is in the records.
pub fn clock_is_healthy(row: &Coverage) -> bool {
    row.clock
        .is_none_or(|c| c.bound_ns() <= u64::from(HEALTHY_CLOCK_NS))
}

fn nanos(from: Timestamp, until: Timestamp) -> i64 {
    until.nanos().saturating_sub(from.nanos())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::record::{ClockState, Down};

    fn row(sensor: &str, from: i64, until: i64, dropped: u64) -> Coverage {
        Coverage {
            sensor: sensor.into(),
            from: Timestamp::from_secs(from),
            until: Timestamp::from_secs(until),
            packets: 1000 - dropped,
            messages: 500,
            dropped,
            ..Coverage::default()
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
    fn what_was_let_go_or_lost_on_its_way_to_the_store_makes_holes() {
        let mut rows = vec![row("a", 0, 60, 0), row("a", 60, 120, 0)];
        rows[1].shed = 5;
        let s = over(&rows, 0, 120);
        assert_eq!((s.gaps.len(), s.gaps[0].kind), (1, Hole::Lossy));
        rows[1].shed = 0;
        rows[1].unverified = 5;
        rows[1].duplicates = 5;
        assert!(over(&rows, 0, 120).is_whole());
        // One call in a hundred thousand messages is one whose answer may be wrong.
        rows[1].lost_records = 1;
        rows[1].messages = 1_000_000;
        let s = over(&rows, 0, 120);
        assert_eq!((s.gaps.len(), s.gaps[0].kind), (1, Hole::Lossy));
    }

    #[test]
    fn a_clock_that_is_not_kept_in_step_makes_a_hole_and_one_nobody_asked_about_none() {
        let mut rows = vec![row("a", 0, 60, 0), row("a", 60, 120, 0)];
        assert!(over(&rows, 0, 120).is_whole());
        let mut clock = ClockState {
            synchronised: true,
            offset_ns: -500_000_000,
            error_ns: 500_000_000,
        };
        rows[1].clock = Some(clock);
        assert!(over(&rows, 0, 120).is_whole());
        clock.error_ns += 1;
        rows[1].clock = Some(clock);
        let s = over(&rows, 0, 120);
        assert_eq!((s.gaps.len(), s.gaps[0].kind), (1, Hole::Clock));
        rows[1].clock = Some(ClockState::default());
        assert!(!over(&rows, 0, 120).is_whole());
        assert!(over(&rows, 0, 59).is_whole());
    }

    #[test]
    fn a_row_that_says_down_is_a_hole_and_outweighs_one_that_says_looking() {
        let mut rows = vec![row("a", 0, 60, 0), row("a", 60, 120, 0)];
        let down = |from, until| Coverage {
            down: Some(Down::Interface),
            ..row("a", from, until, 0)
        };
        rows.push(down(120, 180));
        let s = over(&rows, 0, 180);
        assert_eq!((s.gaps.len(), s.gaps[0].kind), (1, Hole::Blind));
        assert!((s.share - 2.0 / 3.0).abs() < 1e-9, "{}", s.share);
        rows[2] = down(30, 60);
        let s = over(&rows, 0, 120);
        assert_eq!((s.gaps.len(), s.gaps[0].kind), (1, Hole::Blind));
        assert!((s.share - 0.75).abs() < 1e-9, "{}", s.share);
        // Nothing but down: the sensor is there, and blind.
        assert_eq!(over(&rows[2..], 35, 50).share, 0.0);
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
