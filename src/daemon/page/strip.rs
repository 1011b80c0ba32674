//! The last day of the coverage ledger, sensor by sensor, in cells of a quarter of an hour.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::base::Timestamp;
use crate::call::record::Coverage;
use crate::traceback::coverage::{Hole, Sight};

/// A quarter of an hour: what a narrow screen can still show of a day.
const CELL: Duration = Duration::from_secs(900);

/// A day of them.
const CELLS: u32 = 96;

/// The ledger of a running minute comes a few seconds late: what is younger is not yet known.
const LATE: Duration = Duration::from_secs(60);

/// Most sensors that are shown; the rest is counted.
pub const MOST: usize = 50;

/// How a quarter of an hour was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// All of it was seen.
    Whole,
    /// Seen, by a clock that can't be relied on.
    Clock,
    /// A part was not seen, or packets were lost.
    Lossy,
    /// Nobody looked.
    Dark,
}

impl Cell {
    /// Its class in the style.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Clock => "clock",
            Self::Lossy => "lossy",
            Self::Dark => "dark",
        }
    }

    /// In words.
    pub const fn what(self) -> &'static str {
        match self {
            Self::Whole => "seen",
            Self::Clock => "seen, by a clock that can't be relied on",
            Self::Lossy => "seen in part",
            Self::Dark => "not seen",
        }
    }
}

/// Cells of one kind that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Which cell is the first, of 96.
    pub first: u32,
    /// How many.
    pub cells: u32,
    /// How they were.
    pub cell: Cell,
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

/// One sensor's day.
#[derive(Clone, Debug, PartialEq)]
pub struct Strip {
    /// Its name.
    pub sensor: Arc<str>,
    /// Share of the day that it saw, from 0 to 1.
    pub share: f64,
    /// The day.
    pub stretches: Vec<Stretch>,
}

/// The last day of every sensor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    /// By name, [`MOST`] at most.
    pub strips: Vec<Strip>,
    /// How many more there are.
    pub more: usize,
    /// Since when.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// Why it could not be read.
    pub trouble: Option<String>,
}

/// The time that the strips show: a day up to the last minute that is known, by whole quarters of an hour.
pub fn span(now: Timestamp) -> (Timestamp, Timestamp) {
    let cell = i64::try_from(CELL.as_secs()).unwrap_or(i64::MAX);
    let known = now.minus(LATE);
    let last = known.secs().div_euclid(cell).saturating_mul(cell);
    let from = Timestamp::from_secs(last).minus(CELL * (CELLS - 1));
    (from, known)
}

impl Ledger {
    /// The ledger could not be read.
    pub fn unread(trouble: String) -> Self {
        Self {
            trouble: Some(trouble),
            ..Self::default()
        }
    }

    /// What rows of [`span`] say. `expected` are sensors that must look, whether or not a row names them.
    pub fn of(rows: Vec<Coverage>, expected: &[Arc<str>], now: Timestamp) -> Self {
        let (from, until) = span(now);
        let mut sensors: BTreeMap<Arc<str>, Vec<Coverage>> =
            expected.iter().map(|s| (s.clone(), Vec::new())).collect();
        for row in rows {
            sensors.entry(row.sensor.clone()).or_default().push(row);
        }
        let more = sensors.len().saturating_sub(MOST);
        let shown = sensors.into_iter().take(MOST);
        Self {
            strips: shown
                .map(|(sensor, rows)| strip(sensor, &rows, from, until))
                .collect(),
            more,
            from,
            until,
            trouble: None,
        }
    }
}

fn strip(sensor: Arc<str>, rows: &[Coverage], from: Timestamp, until: Timestamp) -> Strip {
    let must = [sensor.clone()];
    let mut stretches: Vec<Stretch> = Vec::new();
    let mut begin = from;
    for n in 0..CELLS {
        let end = begin.plus(CELL).min(until);
        let within = rows.iter().filter(|r| r.until >= begin && r.from <= end);
        let within: Vec<_> = within.cloned().collect();
        let cell = cell(&Sight::over(&within, begin, end, &must), begin, end);
        match stretches.last_mut().filter(|s| s.cell == cell) {
            Some(last) => {
                last.cells += 1;
                last.until = end;
            }
            None => stretches.push(Stretch {
                first: n,
                cells: 1,
                cell,
                from: begin,
                until: end,
            }),
        }
        begin = end;
    }
    Strip {
        share: Sight::over(rows, from, until, &must).share,
        sensor,
        stretches,
    }
}

fn cell(sight: &Sight, from: Timestamp, until: Timestamp) -> Cell {
    let has = |kind| sight.gaps.iter().any(|g| g.kind == kind);
    let blind = sight.gaps.iter().filter(|g| g.kind == Hole::Blind);
    let blind: Duration = blind.map(|g| g.from.distance(g.until)).sum();
    if blind >= from.distance(until) {
        Cell::Dark
    } else if has(Hole::Blind) || has(Hole::Lossy) {
        Cell::Lossy
    } else if has(Hole::Clock) {
        Cell::Clock
    } else {
        Cell::Whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A full quarter of an hour, and 40 s.
    const NOW: Timestamp = Timestamp::from_secs(1_795_478_400 + 40);

    fn row(sensor: &str, from: Timestamp, seconds: u64) -> Coverage {
        Coverage {
            sensor: sensor.into(),
            from,
            until: from.plus(Duration::from_secs(seconds)),
            packets: 10,
            messages: 5,
            ..Coverage::default()
        }
    }

    #[test]
    fn a_day_ends_with_the_last_minute_that_is_known() {
        let (from, until) = span(NOW);
        assert_eq!(until, NOW.minus(LATE));
        // The minute before a full quarter belongs to the one before it.
        assert_eq!(from.secs(), NOW.secs() - 40 - 86_400);
        let (from, _) = span(NOW.plus(LATE));
        assert_eq!(from.secs(), NOW.secs() - 40 - 86_400 + 900);
    }

    #[test]
    fn cells_of_a_kind_are_one_stretch_and_together_a_day() {
        let (from, until) = span(NOW);
        let hour = |n: u64| from.plus(Duration::from_secs(3_600 * n));
        let mut lossy = row("edge", hour(10), 60);
        lossy.dropped = 9;
        let mut rows = vec![row("edge", from, 36_000), lossy];
        rows.push(row("edge", hour(10).plus(Duration::from_secs(60)), 3_540));
        let ledger = Ledger::of(rows, &["edge".into(), "never".into()], NOW);
        let [edge, never] = &ledger.strips[..] else {
            panic!("{ledger:?}")
        };
        let kinds = |s: &Strip| -> Vec<_> {
            s.stretches
                .iter()
                .map(|s| (s.cell, s.first, s.cells))
                .collect()
        };
        assert_eq!(
            kinds(edge),
            [
                (Cell::Whole, 0, 40),
                (Cell::Lossy, 40, 1),
                (Cell::Whole, 41, 3),
                (Cell::Dark, 44, 52)
            ]
        );
        assert!((0.4..0.5).contains(&edge.share), "{}", edge.share);
        assert_eq!(kinds(never), [(Cell::Dark, 0, 96)]);
        assert_eq!(never.share, 0.0);
        assert_eq!(edge.stretches.last().unwrap().until, until);
    }

    #[test]
    fn a_part_of_a_cell_without_a_look_is_no_whole_cell() {
        let (from, _) = span(NOW);
        let ledger = Ledger::of(vec![row("edge", from, 880)], &[], NOW);
        assert_eq!(ledger.strips[0].stretches[0].cell, Cell::Lossy);
    }

    #[test]
    fn many_sensors_are_folded_and_counted() {
        let names: Vec<Arc<str>> = (0..MOST + 7).map(|n| format!("s{n:03}").into()).collect();
        let ledger = Ledger::of(Vec::new(), &names, NOW);
        assert_eq!((ledger.strips.len(), ledger.more), (MOST, 7));
    }
}
