//! Coverage, minute by minute: when each sensor was looking, and what it knows that it did not see.
//!
//! A stretch of looking begins with [`Ledger::handle_open`] or the first packet and ends with [`Ledger::handle_close`]. Within it every minute gets a
//! row, also one without packets: nothing having passed is knowledge too.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::base::Timestamp;
use crate::call::record::Coverage;

const MINUTE: Duration = Duration::from_secs(60);

/// A sensor that closes and goes on within this time did not cease to look: capture programs change files so.
const JOIN: Duration = Duration::from_secs(2);

/// A longer silence is no quiet sensor, but two captures in one file, or a clock that stepped.
const MAX_SILENCE: Duration = Duration::from_secs(24 * 3600);

/// Rows kept open for what is given up later. The slowest is an idle TCP stream: a minute and a bit.
const KEPT_ROWS: usize = 4;

/// Coverage of all sensors of a source.
#[derive(Debug, Default)]
pub struct Ledger {
    names: Vec<Arc<str>>,
    sensors: Vec<Sensor>,
    ready: VecDeque<Coverage>,
}

#[derive(Debug, Default)]
struct Sensor {
    /// Rows in the order of `from`; the last one is the present.
    rows: VecDeque<Row>,
    /// Minutes without a packet, not yet given out: from here, before there.
    quiet: VecDeque<(Timestamp, Timestamp)>,
    /// How many sources are open for it, where they say so.
    open: u32,
    closed: bool,
    /// When it was last known to look.
    last: Timestamp,
}

/// Counts of one minute of one sensor.
#[derive(Debug)]
pub struct Row {
    from: Timestamp,
    until: Timestamp,
    changed: bool,
    packets: u64,
    /// SIP messages seen whole.
    pub messages: u64,
    /// Messages that began and were never complete.
    pub incomplete: u64,
    /// Packets that the capture reports as lost.
    pub dropped: u64,
    /// Messages that could not be read.
    pub unreadable: u64,
}

impl Ledger {
    /// Names the sensors by index.
    pub fn name_sensors(&mut self, names: impl IntoIterator<Item = Arc<str>>) {
        self.names = names.into_iter().collect();
    }

    /// A sensor begins to look.
    pub fn handle_open(&mut self, sensor: u16, at: Timestamp) {
        self.with(sensor, |s| {
            s.open += 1;
            s.look(at);
        });
    }

    /// A sensor ceases to look, if nothing else is open for it.
    pub fn handle_close(&mut self, sensor: u16, at: Timestamp) {
        self.with(sensor, |s| {
            s.open = s.open.saturating_sub(1);
            if s.open == 0 && !s.rows.is_empty() {
                s.look(at);
                s.closed = true;
            }
        });
    }

    /// A packet came.
    pub fn handle_packet(&mut self, sensor: u16, at: Timestamp) {
        self.with(sensor, |s| {
            s.look(at);
            s.count(at, |row| row.packets += 1);
        });
    }

    /// Time passes.
    pub fn handle_time(&mut self, now: Timestamp) {
        for s in &mut self.sensors {
            if !s.closed && !s.rows.is_empty() {
                s.look(now);
            }
        }
    }

    /// Counts something in the row of its time.
    pub fn count(&mut self, sensor: u16, at: Timestamp, change: impl FnOnce(&mut Row)) {
        self.with(sensor, |s| {
            if s.rows.is_empty() {
                s.look(at);
            }
            s.count(at, change);
        });
    }

    /// The next row that is new or has changed.
    pub fn poll_row(&mut self) -> Option<Coverage> {
        if let Some(row) = self.ready.pop_front() {
            return Some(row);
        }
        for (i, s) in self.sensors.iter_mut().enumerate() {
            let name = self.names.get(i);
            let name = || name.map_or_else(|| format!("sensor-{i}").into(), Arc::clone);
            let past = s.rows.len().saturating_sub(1);
            let changed = s.rows.iter().take(past).position(|r| r.changed);
            if let Some(row) = changed.and_then(|at| s.rows.get_mut(at)) {
                row.changed = false;
                return Some(row.coverage(name()));
            }
            if let Some((from, before)) = s.quiet.front_mut() {
                let row = Row::new(*from, from.plus(MINUTE)).coverage(name());
                *from = from.plus(MINUTE);
                if *from >= *before {
                    s.quiet.pop_front();
                }
                return Some(row);
            }
            while s.rows.len() > KEPT_ROWS {
                s.rows.pop_front();
            }
        }
        None
    }

    /// Gives out the present rows too.
    pub fn finish(&mut self) {
        let past: Vec<_> = std::iter::from_fn(|| self.poll_row()).collect();
        self.ready.extend(past);
        for (i, s) in self.sensors.iter_mut().enumerate() {
            let name = self.names.get(i);
            if let Some(row) = s.rows.back_mut().filter(|r| r.changed) {
                row.changed = false;
                let name = name.map_or_else(|| format!("sensor-{i}").into(), Arc::clone);
                self.ready.push_back(row.coverage(name));
            }
        }
    }

    /// Asks for a sensor, which is made if this is the first time.
    fn with(&mut self, sensor: u16, act: impl FnOnce(&mut Sensor)) {
        let index = usize::from(sensor);
        if self.sensors.len() <= index {
            self.sensors.resize_with(index + 1, Sensor::default);
        }
        if let Some(s) = self.sensors.get_mut(index) {
            act(s);
        }
    }
}

impl Sensor {
    /// The sensor looks at this time; what lies between is covered if it was open.
    fn look(&mut self, at: Timestamp) {
        let since = if at > self.last {
            at.distance(self.last)
        } else {
            Duration::ZERO
        };
        let ceased = since > MAX_SILENCE || (self.closed && since > JOIN);
        match self.rows.back_mut() {
            Some(row) if !ceased => {
                let minute = row.from.minute();
                if at.minute() > minute {
                    let next = minute.plus(MINUTE);
                    row.until = next;
                    row.changed = true;
                    if next < at.minute() {
                        self.quiet.push_back((next, at.minute()));
                    }
                    self.rows.push_back(Row::new(at.minute(), at));
                } else if at > row.until {
                    row.until = at;
                    row.changed = true;
                }
            }
            _ => self.rows.push_back(Row::new(at, at)),
        }
        self.last = self.last.max(at);
        self.closed = false;
    }

    fn count(&mut self, at: Timestamp, change: impl FnOnce(&mut Row)) {
        // What is older than all rows counts in the oldest one rather than not at all.
        let index = self
            .rows
            .partition_point(|r| r.from <= at)
            .saturating_sub(1);
        if let Some(row) = self.rows.get_mut(index) {
            row.changed = true;
            change(row);
        }
    }
}

impl Row {
    fn new(from: Timestamp, until: Timestamp) -> Self {
        Self {
            from,
            until,
            changed: true,
            packets: 0,
            messages: 0,
            incomplete: 0,
            dropped: 0,
            unreadable: 0,
        }
    }

    fn coverage(&self, sensor: Arc<str>) -> Coverage {
        Coverage {
            sensor,
            from: self.from,
            until: self.until,
            packets: self.packets,
            messages: self.messages,
            incomplete: self.incomplete,
            dropped: self.dropped,
            unreadable: self.unreadable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds after a full minute.
    fn s(secs: i64) -> Timestamp {
        Timestamp::from_secs(1_795_512_600 + secs)
    }

    fn rows(ledger: &mut Ledger) -> Vec<(i64, i64, u64)> {
        let zero = s(0).secs();
        std::iter::from_fn(|| ledger.poll_row())
            .map(|c| (c.from.secs() - zero, c.until.secs() - zero, c.packets))
            .collect()
    }

    #[test]
    fn first_and_last_minute_are_partial_and_quiet_ones_are_covered() {
        let mut l = Ledger::default();
        l.handle_packet(0, s(10));
        l.handle_packet(0, s(50));
        assert_eq!(rows(&mut l), []);
        l.handle_packet(0, s(200));
        l.handle_packet(0, s(215));
        assert_eq!(rows(&mut l), [(10, 60, 2), (60, 120, 0), (120, 180, 0)]);
        l.finish();
        assert_eq!(rows(&mut l), [(180, 215, 2)]);
    }

    #[test]
    fn what_is_given_up_later_changes_the_row_of_its_minute() {
        let mut l = Ledger::default();
        l.handle_packet(0, s(10));
        l.handle_packet(0, s(70));
        assert_eq!(rows(&mut l), [(10, 60, 1)]);
        l.count(0, s(10), |r| r.incomplete += 1);
        let again = l.poll_row().unwrap();
        assert_eq!((again.from, again.packets, again.incomplete), (s(10), 1, 1));
        assert_eq!(l.poll_row(), None);
    }

    #[test]
    fn between_closing_and_opening_nothing_is_covered() {
        let mut l = Ledger::default();
        l.handle_open(0, s(5));
        l.handle_close(0, s(20));
        l.handle_packet(0, s(40));
        l.handle_close(0, s(41));
        l.handle_packet(0, s(43));
        l.handle_close(0, s(59));
        l.handle_packet(0, s(300));
        l.finish();
        assert_eq!(rows(&mut l), [(5, 20, 0), (40, 59, 2), (300, 300, 1)]);
    }

    #[test]
    fn a_sensor_with_two_sources_looks_until_both_are_closed() {
        let mut l = Ledger::default();
        l.handle_open(0, s(0));
        l.handle_open(0, s(1));
        l.handle_close(0, s(2));
        l.handle_packet(0, s(30));
        l.finish();
        assert_eq!(rows(&mut l), [(0, 30, 1)]);
    }

    #[test]
    fn a_clock_that_jumps_makes_no_millions_of_rows() {
        let mut l = Ledger::default();
        l.handle_packet(0, s(0));
        l.handle_packet(0, Timestamp::MAX);
        l.handle_packet(0, Timestamp::MIN);
        l.handle_packet(0, s(1));
        l.finish();
        assert!(rows(&mut l).len() <= 4);
    }

    #[test]
    fn time_alone_covers_open_sensors_under_their_names() {
        let mut l = Ledger::default();
        l.name_sensors(["edge".into()]);
        l.handle_open(0, s(0));
        l.handle_time(s(61));
        let row = l.poll_row().unwrap();
        assert_eq!((&*row.sensor, row.from, row.until), ("edge", s(0), s(60)));
    }
}
