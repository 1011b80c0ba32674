//! Coverage, minute by minute: when each sensor was looking, and what it knows that it did not see.
//!
//! A stretch of looking begins with [`Ledger::handle_open`] or the first packet and ends with [`Ledger::handle_close`]. Within it every minute gets a
//! row, also one without packets: nothing having passed is knowledge too.
//!
//! A clock that is set ([`Ledger::handle_step`]) ends the stretch and begins another, so that no row covers a time that never was. One that is set
//! back makes times come twice: rows of the second time begin some nanoseconds later in their minute, so that they stand beside those of the first
//! and don't replace them.

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

/// How long before a step of the clock a sensor may have been told the time last, and still have looked until the step. Sources tell the time
/// several times a second.
const MAX_STEP_SILENCE: Duration = Duration::from_secs(60);

/// Rows kept open for what is given up later. The slowest is an idle TCP stream: a minute and a bit.
const KEPT_ROWS: usize = 4;

/// Coverage of all sensors of a source.
#[derive(Debug, Default)]
pub struct Ledger {
    names: Vec<Arc<str>>,
    sensors: Vec<Sensor>,
    ready: VecDeque<Coverage>,
    pass: u16,
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
    /// How often these times have come before: nanoseconds by which rows begin late.
    pass: u16,
}

/// One minute of one sensor.
#[derive(Debug)]
struct Row {
    changed: bool,
    is: Coverage,
}

impl Ledger {
    /// Names the sensors by index.
    pub fn name_sensors(&mut self, names: impl IntoIterator<Item = Arc<str>>) {
        self.names = names.into_iter().collect();
    }

    /// These times have come so often before: rows don't take the place of those of then. For a start after the clock was set back.
    pub fn begin_pass(&mut self, pass: u16) {
        self.pass = pass;
        for s in &mut self.sensors {
            s.pass = pass;
        }
    }

    /// The clock went from `before` to `after` in one step. What was given up on before counts for the time after it.
    pub fn handle_step(&mut self, before: Timestamp, after: Timestamp) {
        for (i, s) in self.sensors.iter_mut().enumerate() {
            if s.rows.is_empty() {
                continue;
            }
            if !s.closed && before > s.last && before.distance(s.last) <= MAX_STEP_SILENCE {
                s.look(before);
            }
            // All that was known of the time before goes out; nothing of it can change any more.
            let name = name_of(&self.names, i);
            while let Some(row) = s.poll_quiet(&name) {
                self.ready.push_back(row);
            }
            let rows = s.rows.drain(..).filter(|r| r.changed);
            self.ready.extend(rows.map(|r| r.named(&name)));
            if after < s.last {
                s.pass = s.pass.wrapping_add(1);
                self.pass = self.pass.max(s.pass);
            }
            s.last = after;
            if !s.closed {
                s.look(after);
            }
        }
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
    pub fn count(&mut self, sensor: u16, at: Timestamp, change: impl FnOnce(&mut Coverage)) {
        self.with(sensor, |s| {
            if s.rows.is_empty() {
                // Something of before may still be given up on; that is no looking.
                let closed = s.closed;
                s.look(at);
                s.closed = closed;
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
            let past = s.rows.len().saturating_sub(1);
            let changed = s.rows.iter().take(past).position(|r| r.changed);
            if let Some(row) = changed.and_then(|at| s.rows.get_mut(at)) {
                row.changed = false;
                return Some(row.named(&name_of(&self.names, i)));
            }
            if !s.quiet.is_empty() {
                let row = s.poll_quiet(&name_of(&self.names, i));
                if row.is_some() {
                    return row;
                }
            }
            while s.rows.len() > KEPT_ROWS {
                s.rows.pop_front();
            }
        }
        None
    }

    /// Gives out the present rows too, as they are: what is known so far survives what may come.
    pub fn publish(&mut self) {
        let past: Vec<_> = std::iter::from_fn(|| self.poll_row()).collect();
        self.ready.extend(past);
        for (i, s) in self.sensors.iter_mut().enumerate() {
            if let Some(row) = s.rows.back_mut().filter(|r| r.changed) {
                row.changed = false;
                self.ready.push_back(row.named(&name_of(&self.names, i)));
            }
        }
    }

    /// Asks for a sensor, which is made if this is the first time.
    fn with(&mut self, sensor: u16, act: impl FnOnce(&mut Sensor)) {
        let index = usize::from(sensor);
        if self.sensors.len() <= index {
            let pass = self.pass;
            self.sensors.resize_with(index + 1, || Sensor {
                pass,
                ..Sensor::default()
            });
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
                let minute = row.is.from.minute();
                if at.minute() > minute {
                    let next = minute.plus(MINUTE);
                    row.is.until = next;
                    row.changed = true;
                    if next < at.minute() {
                        self.quiet.push_back((next, at.minute()));
                    }
                    let from = at.minute().plus(self.late());
                    self.rows.push_back(Row::new(from, at.max(from)));
                } else if at > row.is.until {
                    row.is.until = at;
                    row.changed = true;
                }
            }
            _ => {
                let from = at.plus(self.late());
                self.rows.push_back(Row::new(from, from));
            }
        }
        self.last = self.last.max(at);
        self.closed = false;
    }

    /// The next minute without a packet.
    fn poll_quiet(&mut self, name: &Arc<str>) -> Option<Coverage> {
        let late = self.late();
        let (from, before) = self.quiet.front_mut()?;
        let row = Row::new(from.plus(late), from.plus(MINUTE)).named(name);
        *from = from.plus(MINUTE);
        if *from >= *before {
            self.quiet.pop_front();
        }
        Some(row)
    }

    /// By how much whole minutes begin late, so that their rows stand beside those of an earlier pass.
    fn late(&self) -> Duration {
        Duration::from_nanos(u64::from(self.pass))
    }

    fn count(&mut self, at: Timestamp, change: impl FnOnce(&mut Coverage)) {
        // What is older than all rows counts in the oldest one rather than not at all.
        let index = self
            .rows
            .partition_point(|r| r.is.from <= at)
            .saturating_sub(1);
        if let Some(row) = self.rows.get_mut(index) {
            row.changed = true;
            change(&mut row.is);
        }
    }
}

impl Row {
    fn new(from: Timestamp, until: Timestamp) -> Self {
        Self {
            changed: true,
            is: Coverage {
                from,
                until,
                ..Coverage::default()
            },
        }
    }

    fn named(&self, sensor: &Arc<str>) -> Coverage {
        Coverage {
            sensor: sensor.clone(),
            ..self.is.clone()
        }
    }
}

fn name_of(names: &[Arc<str>], sensor: usize) -> Arc<str> {
    let name = names.get(sensor);
    name.map_or_else(|| format!("sensor-{sensor}").into(), Arc::clone)
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
        l.publish();
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
        l.publish();
        assert_eq!(rows(&mut l), [(5, 20, 0), (40, 59, 2), (300, 300, 1)]);
    }

    #[test]
    fn a_sensor_with_two_sources_looks_until_both_are_closed() {
        let mut l = Ledger::default();
        l.handle_open(0, s(0));
        l.handle_open(0, s(1));
        l.handle_close(0, s(2));
        l.handle_packet(0, s(30));
        l.publish();
        assert_eq!(rows(&mut l), [(0, 30, 1)]);
    }

    #[test]
    fn a_clock_that_jumps_makes_no_millions_of_rows() {
        let mut l = Ledger::default();
        l.handle_packet(0, s(0));
        l.handle_packet(0, Timestamp::MAX);
        l.handle_packet(0, Timestamp::MIN);
        l.handle_packet(0, s(1));
        l.publish();
        assert!(rows(&mut l).len() <= 4);
    }

    #[test]
    fn a_clock_set_forward_covers_no_time_that_never_was() {
        let mut l = Ledger::default();
        l.handle_open(0, s(0));
        l.handle_packet(0, s(10));
        l.handle_step(s(20), s(3_620));
        l.handle_packet(0, s(3_630));
        l.handle_time(s(3_661));
        l.publish();
        assert_eq!(
            rows(&mut l),
            [(0, 20, 1), (3_620, 3_660, 1), (3_660, 3_661, 0)]
        );
    }

    #[test]
    fn a_clock_set_back_makes_rows_beside_those_of_the_first_time() {
        let mut l = Ledger::default();
        l.handle_open(0, s(0));
        l.handle_packet(0, s(30));
        l.handle_time(s(130));
        l.handle_step(s(140), s(20));
        l.handle_packet(0, s(40));
        l.handle_time(s(130));
        l.publish();
        let all: Vec<_> = std::iter::from_fn(|| l.poll_row()).collect();
        let mut keys: Vec<_> = all.iter().map(|c| c.from).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), all.len(), "no row replaces another: {all:#?}");
        let packets: Vec<_> = all.iter().map(|c| c.packets).collect();
        assert_eq!(packets, [0, 1, 0, 1, 0, 0]);
        assert_eq!(all[2].until, s(140), "until the step");
        let late = Duration::from_nanos(1);
        assert_eq!(all[3].from, s(20).plus(late), "from where it went");
        assert_eq!(all[4].from, s(60).plus(Duration::from_nanos(1)));
    }

    #[test]
    fn a_closed_sensor_stays_closed_over_a_step() {
        let mut l = Ledger::default();
        l.handle_open(0, s(0));
        l.handle_close(0, s(10));
        l.handle_step(s(20), s(500));
        l.handle_time(s(600));
        l.publish();
        assert_eq!(rows(&mut l), [(0, 10, 0)]);
        l.handle_open(0, s(610));
        l.publish();
        assert_eq!(rows(&mut l), [(610, 610, 0)]);
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
