//! What can't be read of a log: when the records began that stood there, for the ledger, so that nobody says of that time that something was not there.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::ledger;
use super::memtable::Memtable;
use crate::base::Timestamp;
use crate::call::record::{Coverage, Down};

/// Records of a log are nearly in the order of time: by so much those before and after a damaged stretch may be off.
const DISORDER: Duration = Duration::from_secs(60);
/// How far a damaged stretch may reach where no record stands before it, or none after: a frame is a MiB, some thousand records.
const OPEN_ENDED: Duration = Duration::from_secs(3_600);

/// Times of what can't be read of a log.
#[derive(Default)]
pub(super) struct Gaps {
    /// The latest record so far, and the end of the latest row of the ledger: either may be far from the other where a capture is replayed.
    last: [Option<i64>; 2],
    /// Whether a gap waits for a record or a row after it.
    open: [bool; 2],
    span: Option<(Timestamp, Timestamp)>,
    sensors: BTreeSet<Arc<str>>,
}

impl Gaps {
    /// A gap, be it the last frame.
    pub fn begin(&mut self, is_tail: bool) {
        for last in self.last.into_iter().flatten() {
            self.widen(Timestamp::from_nanos(last));
        }
        self.open = [!is_tail; 2];
    }

    /// A record that reads.
    pub fn record(&mut self, at: i64, sensor: &[u8]) {
        if let Ok(sensor) = std::str::from_utf8(sensor) {
            let [open, _] = &mut self.open;
            let open = std::mem::take(open);
            let [last, _] = &mut self.last;
            let before = last.replace(last.map_or(at, |l| l.max(at)));
            self.anchor(open, before, at, sensor);
        }
    }

    /// A row of the ledger that reads.
    pub fn row(&mut self, until: i64, sensor: &str) {
        let [_, open] = &mut self.open;
        let open = std::mem::take(open);
        let [_, last] = &mut self.last;
        let before = last.replace(last.map_or(until, |l| l.max(until)));
        self.anchor(open, before, until, sensor);
    }

    fn anchor(&mut self, open: bool, before: Option<i64>, at: i64, sensor: &str) {
        if open {
            let after = Timestamp::from_nanos(at);
            if before.is_none() {
                self.widen(after.minus(OPEN_ENDED));
            }
            self.widen(after);
        }
        if !self.sensors.contains(sensor) {
            self.sensors.insert(sensor.into());
        }
    }

    fn widen(&mut self, at: Timestamp) {
        let (from, until) = self.span.unwrap_or((at, at));
        self.span = Some((from.min(at.minus(DISORDER)), until.max(at.plus(DISORDER))));
    }

    /// Notes in the ledger that records of this time are lost. Gives what it noted.
    pub fn note(mut self, table: &mut Memtable) -> (Option<(Timestamp, Timestamp)>, Vec<Coverage>) {
        for (open, last) in self.open.into_iter().zip(self.last) {
            if let (true, Some(last)) = (open, last) {
                self.widen(Timestamp::from_nanos(last).plus(OPEN_ENDED));
            }
        }
        let mut noted = Vec::new();
        let Some((from, until)) = self.span else {
            return (None, noted);
        };
        let sensors = table.coverage.keys().map(|(sensor, _)| sensor.clone());
        let sensors: BTreeSet<Arc<str>> = sensors.chain(self.sensors).collect();
        for sensor in sensors {
            let known = table.coverage.values().any(|r| {
                let covers = r.from <= from && until <= r.until;
                r.sensor == sensor && r.down == Some(Down::Damaged) && covers
            });
            if !known {
                let row = ledger::damaged(&sensor, from, until, &table.coverage);
                table.cover(row.clone());
                noted.push(row);
            }
        }
        (Some((from, until)), noted)
    }
}
