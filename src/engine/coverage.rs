//! The books of coverage: what several sources and later stages know of the same sensor and minute becomes one row.
//!
//! ```text
//! ledger of a reading thread ─┐
//! ledger of another          ─┼─► Accounts ─► rows to store, again and again with the same `from` while they change
//! sheds, losses, clock       ─┘
//! ```
//!
//! - **A sensor covers a moment only if all its sources looked** ([`Accounts::handle_begin`] says which there are): packets are spread over reading
//!   threads by flow, so where one of them was blind nobody knows what was missed. Counts add up all the same.
//! - What is counted where nothing is covered comes out in a row of no length: counted, and no claim.
//! - **Down**: from [`Accounts::handle_down`] on, and from the last known look to [`Accounts::handle_start`], rows say that nobody looked, and why. A clean
//!   stop leaves a mark ([`Accounts::finish`]), so that a start knows a stop from a death.
//! - **A clock that is set** leaves a row of its own over the times that never were, or were twice; rows of ledgers keep apart what they saw in each pass.
//!
//! Rows come out after [`Accounts::handle_time`], [`PUBLISH`] apart, and at the end; so a kill costs what is known of that long.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::base::Timestamp;
use crate::call::record::{ClockState, Coverage, Down};

/// How often the running minute goes to the store: what a kill may cost of what is known to be covered. Records cost a second; a row is some
/// hundred octets.
pub const PUBLISH: Duration = Duration::from_secs(2);

/// How long sensors may take to look after a start, and to stop after they ceased: a drain takes no longer.
const TURN: Duration = Duration::from_secs(10);

/// Minutes of a sensor that are kept open for what still comes: ledgers change rows of four minutes, and calls wait half a minute.
const KEPT: Duration = Duration::from_secs(600);

/// Most minutes kept of a sensor, whatever times come: thrice what [`KEPT`] holds in order.
const MOST_MINUTES: usize = 32;

/// How much of the time that a clock set back makes come twice is marked as such. A clock that once was years ahead was not looking for years.
const MOST_TWICE: Duration = DAY;

/// Most rows of a down time, one a day: older than any retention.
const MOST_DAYS: usize = 4_000;

/// Rows of down times begin so much late: beside rows of ledgers, of the first pass of their times and of later ones, and none takes another's place.
const APART: Duration = Duration::from_micros(100);

const DAY: Duration = Duration::from_secs(86_400);

/// What the daemon let go under overload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shed {
    /// A message that begins no call: a response, another method.
    Message,
    /// A message that had been seen already: nothing is missed by it, and it counts among the duplicates.
    Repeat,
    /// A verification: the call's record is there, undetermined.
    Verification,
}

/// Coverage of all sensors, put together.
#[derive(Debug, Default)]
pub struct Accounts {
    names: Vec<Arc<str>>,
    sensors: BTreeMap<Arc<str>, Sensor>,
    /// What the clock was at its worst, by minute.
    clock: BTreeMap<Timestamp, ClockState>,
    last_clock: Option<ClockState>,
    ready: VecDeque<Coverage>,
    published: Option<Timestamp>,
    late: u64,
}

#[derive(Debug, Default)]
struct Sensor {
    /// Sources that must look.
    sources: BTreeSet<usize>,
    minutes: BTreeMap<Timestamp, Minute>,
    /// Since when it has been down.
    down: Option<(Timestamp, Down)>,
    /// When it was down, as far as minutes of then are kept open: sources tell of whole minutes all the same.
    downs: Vec<(Timestamp, Timestamp)>,
    /// Since when nobody looked and why, and when this process started: until its first look.
    away: Option<(Timestamp, Down, Timestamp)>,
    /// When it last covered something.
    covered: Option<Timestamp>,
    /// Until when it was last said that it did not look: the mark of a stop must not take the place of that.
    marked: Option<Timestamp>,
    /// The books of minutes up to this one are closed, where they are not open.
    closed: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct Minute {
    /// The newest row of each source by its beginning.
    told: BTreeMap<(usize, Timestamp), Coverage>,
    /// What later stages counted.
    counted: Coverage,
    /// Beginnings of rows that have gone out.
    out: BTreeSet<Timestamp>,
    changed: bool,
}

impl Accounts {
    /// For these sensors, in the order of [`crate::wire::Message::sensor`].
    pub fn new(names: impl IntoIterator<Item = Arc<str>>) -> Self {
        let names: Vec<_> = names.into_iter().collect();
        Self {
            sensors: names
                .iter()
                .map(|n| (n.clone(), Sensor::default()))
                .collect(),
            names,
            ..Self::default()
        }
    }

    /// One more sensor, numbered after those there are.
    pub fn add_sensor(&mut self, name: Arc<str>) {
        self.sensors.entry(name.clone()).or_default();
        self.names.push(name);
    }

    /// Up to when each sensor that must look is known to have looked; as old as [`PUBLISH`] at the most, while it does. One of which neither this
    /// process nor the store knows a look stands at 1970: an agent that was never heard is no agent that is not there.
    pub fn looked(&self) -> impl Iterator<Item = (&Arc<str>, Timestamp)> {
        let sensors = self.sensors.iter();
        let asked = sensors.filter(|(_, s)| !s.sources.is_empty());
        asked.map(|(name, s)| {
            let before = s.away.map(|(since, ..)| since);
            (name, s.covered.or(before).unwrap_or_default())
        })
    }

    /// A source looks for a sensor from now on; without it nothing of that sensor is covered any more.
    pub fn handle_begin(&mut self, source: usize, sensor: u16) {
        self.with(sensor, |s| {
            s.sources.insert(source);
        });
    }

    /// A source is no longer asked for. What it told so far stays.
    pub fn handle_end(&mut self, source: usize, sensor: u16) {
        self.with(sensor, |s| {
            s.sources.remove(&source);
        });
    }

    /// The process has started. `last` is the newest row that the store has of this sensor ([`last_rows`]): from its end until now nobody looked.
    ///
    /// Gives how many times rows of the present must be told apart from earlier ones, for [`super::assemble::Assembler::begin_pass`].
    pub fn handle_start(&mut self, sensor: u16, last: Option<&Coverage>, now: Timestamp) -> u16 {
        let (Some(last), Some(name)) = (last, self.names.get(usize::from(sensor))) else {
            return 0;
        };
        // The mark of a clean stop, or a down time in which the process ended, goes on under its own beginning.
        let (from, why) = match last.down {
            Some(why @ Down::Stopped) => (last.from, why),
            Some(Down::ClockStep | Down::Damaged) | None => (begin_after(last.until), Down::Died),
            Some(why) => (last.from, why),
        };
        if from < now {
            self.ready.extend(down_rows(name, from, now, why));
            if let Some(s) = self.sensors.get_mut(name) {
                s.away = Some((from, why, now));
            }
            return 0;
        }
        // The clock was set back while we were away. These times are not known to be covered once more, and rows of the present must not
        // replace those of then.
        let from = now.max(last.until.minus(MOST_TWICE));
        self.ready.extend(down_rows(
            name,
            begin_after(from),
            last.until,
            Down::ClockStep,
        ));
        u16::try_from(now.nanos().rem_euclid(999)).unwrap_or(0) + 1
    }

    /// A row of a source's ledger. It replaces an earlier one of that source with the same beginning.
    pub fn handle_row(&mut self, source: usize, row: Coverage) {
        let minute = row.from.minute();
        let sensor = self.sensors.entry(row.sensor.clone()).or_default();
        if sensor.is_closed(minute) {
            // Alone, without what the others told, it would take the place of the row that is in the store.
            self.late += 1;
            return;
        }
        if sensor.minutes.len() >= MOST_MINUTES
            && !sensor.minutes.contains_key(&minute)
            && let Some((oldest, mut m)) = sensor.minutes.pop_first()
        {
            let clock = self.clock.get(&oldest).copied().or(self.last_clock);
            let rows = m.rows(&row.sensor, &sensor.sources, &sensor.downs(), oldest, clock);
            self.ready.extend(rows);
            sensor.closed = sensor.closed.max(Some(oldest));
        }
        let m = sensor.minutes.entry(minute).or_default();
        m.changed = true;
        m.told.insert((source, row.from), row);
    }

    /// The daemon let something of this sensor go that was seen at this time.
    pub fn handle_shed(&mut self, sensor: u16, at: Timestamp, what: Shed, count: u64) {
        self.count(sensor, at, |c| {
            let n = match what {
                Shed::Message => &mut c.shed,
                Shed::Repeat => &mut c.duplicates,
                Shed::Verification => &mut c.unverified,
            };
            *n = n.saturating_add(count);
        });
    }

    /// Records of calls seen at this time could not be stored.
    pub fn handle_lost_records(&mut self, sensor: u16, at: Timestamp, count: u64) {
        self.count(sensor, at, |c| {
            c.lost_records = c.lost_records.saturating_add(count)
        });
    }

    /// Messages came that had come before.
    pub fn handle_duplicates(&mut self, sensor: u16, at: Timestamp, count: u64) {
        self.count(sensor, at, |c| {
            c.duplicates = c.duplicates.saturating_add(count)
        });
    }

    /// What the kernel says of the clock now. It holds for all minutes until it says something else.
    pub fn handle_clock(&mut self, at: Timestamp, state: ClockState) {
        let minute = at.minute();
        let worst = self.clock.entry(minute).or_insert(state);
        *worst = worst.worse(state);
        self.last_clock = Some(state);
        for s in self.sensors.values_mut() {
            if let Some(m) = s.minutes.get_mut(&minute) {
                m.changed = true;
            }
        }
        while self.clock.len() > MOST_MINUTES {
            self.clock.pop_first();
        }
    }

    /// The clock went from `before` to `after` in one step: times that never were, or that come again, say so for every sensor. Tell the ledgers too
    /// ([`super::assemble::Assembler::handle_step`]).
    pub fn handle_step(&mut self, before: Timestamp, after: Timestamp) {
        let (from, until) = match before <= after {
            true => (before, after),
            false => (after.max(before.minus(MOST_TWICE)), before),
        };
        for (name, s) in &mut self.sensors {
            self.ready
                .extend(down_rows(name, begin_after(from), until, Down::ClockStep));
            s.marked = s.marked.max(Some(until));
            // What comes again has books of its own.
            s.closed = None;
            if after < before {
                s.downs.clear();
            }
        }
        self.published = None;
    }

    /// A sensor can't look: its interface is gone. Until [`Accounts::handle_up`].
    pub fn handle_down(&mut self, sensor: u16, at: Timestamp, why: Down) {
        self.with(sensor, |s| {
            s.down.get_or_insert((begin_after(at), why));
        });
    }

    /// It can again.
    pub fn handle_up(&mut self, sensor: u16, at: Timestamp) {
        let Some(name) = self.names.get(usize::from(sensor)) else {
            return;
        };
        let Some(s) = self.sensors.get_mut(name) else {
            return;
        };
        if let Some((from, why)) = s.down.take() {
            s.downs.push((from.minus(APART), at));
            s.marked = s.marked.max(Some(at));
            self.ready.extend(down_rows(name, from, at, why));
        }
    }

    /// Time passes, by the host's clock. Now and then rows come out.
    pub fn handle_time(&mut self, now: Timestamp) {
        let due = self
            .published
            .is_none_or(|last| now < last || now.distance(last) >= PUBLISH);
        if due {
            self.publish(now);
            // The first row goes out as soon as there is one: from then on a kill leaves a trace.
            if self.published.is_some() || !self.ready.is_empty() {
                self.published = Some(now);
            }
        }
    }

    /// The next row for the store.
    pub fn poll_row(&mut self) -> Option<Coverage> {
        self.ready.pop_front()
    }

    /// The process stops: all rows come out, and for each sensor the mark of a clean stop.
    pub fn finish(&mut self, now: Timestamp) {
        self.publish(now);
        for (name, s) in &mut self.sensors {
            let stop = match s.down.take() {
                // It goes on being down for the reason that it is.
                Some(_) => continue,
                // Nobody has looked while what was seen was judged.
                None => match s.covered.max(s.marked) {
                    Some(last) if last > now || now.distance(last) <= TURN => begin_after(last),
                    _ => begin_after(now),
                },
            };
            self.ready.push_back(Coverage {
                sensor: name.clone(),
                from: stop,
                until: stop,
                down: Some(Down::Stopped),
                ..Coverage::default()
            });
        }
    }

    /// How many rows came for minutes whose books were closed, and were not taken.
    pub fn late(&self) -> u64 {
        self.late
    }

    fn publish(&mut self, now: Timestamp) {
        for (name, s) in &mut self.sensors {
            let downs = s.downs();
            for (minute, m) in s.minutes.iter_mut().filter(|(_, m)| m.changed) {
                m.changed = false;
                let clock = self.clock.get(minute).copied().or(self.last_clock);
                for row in m.rows(name, &s.sources, &downs, *minute, clock) {
                    if row.until > row.from {
                        s.covered = s.covered.max(Some(row.until));
                        if let Some((from, why, started)) = s.away.take()
                            && row.from > started
                            && row.from.distance(started) <= TURN
                        {
                            self.ready.extend(down_rows(name, from, row.from, why));
                        }
                    }
                    self.ready.push_back(row);
                }
            }
            let newest = s.minutes.keys().next_back().copied();
            let (minutes, closed) = (&mut s.minutes, &mut s.closed);
            minutes.retain(|minute, _| {
                let kept = newest.is_some_and(|n| n.distance(*minute) <= KEPT)
                    // After a step back the newest is no longer the present.
                    || now.distance(*minute) <= KEPT;
                if !kept && now > *minute {
                    *closed = (*closed).max(Some(*minute));
                }
                kept
            });
            s.downs
                .retain(|(_, until)| now.distance(*until) <= 2 * KEPT);
            if let Some((from, why)) = s.down {
                self.ready.extend(down_rows(name, from, now, why));
                // What is over goes on under a beginning of today.
                let today = begin_after(day(now));
                if today > from && today < now {
                    s.downs.push((from.minus(APART), today));
                    s.down = Some((today, why));
                }
            }
        }
    }

    fn count(&mut self, sensor: u16, at: Timestamp, change: impl FnOnce(&mut Coverage)) {
        self.with(sensor, |s| {
            let minute = at.minute();
            // What is older than all books, or strange, counts in the oldest ones rather than not at all.
            let strange = s.is_closed(minute) || s.minutes.len() >= MOST_MINUTES;
            let minute = match (strange, s.minutes.first_key_value()) {
                (true, Some((oldest, _))) if !s.minutes.contains_key(&minute) => *oldest,
                _ => minute,
            };
            let m = s.minutes.entry(minute).or_default();
            m.changed = true;
            change(&mut m.counted);
        });
    }

    fn with(&mut self, sensor: u16, act: impl FnOnce(&mut Sensor)) {
        let name = self.names.get(usize::from(sensor));
        if let Some(s) = name.and_then(|n| self.sensors.get_mut(n)) {
            act(s);
        }
    }
}

impl Sensor {
    fn is_closed(&self, minute: Timestamp) -> bool {
        self.closed >= Some(minute) && !self.minutes.contains_key(&minute)
    }

    /// When it was down, up to now.
    fn downs(&self) -> Vec<(Timestamp, Timestamp)> {
        let now = self
            .down
            .map(|(from, _)| (from.minus(APART), Timestamp::MAX));
        self.downs.iter().copied().chain(now).collect()
    }
}

impl Minute {
    /// The rows of this minute: one for each stretch in which all sources looked, without those in which the sensor was down.
    fn rows(
        &mut self,
        sensor: &Arc<str>,
        sources: &BTreeSet<usize>,
        downs: &[(Timestamp, Timestamp)],
        minute: Timestamp,
        clock: Option<ClockState>,
    ) -> Vec<Coverage> {
        let told = self.told.keys().map(|(source, _)| source);
        let required: BTreeSet<usize> = told.chain(sources).copied().collect();
        let mut stretches: Option<Vec<(Timestamp, Timestamp)>> = None;
        for source in &required {
            let own = self.stretches_of(*source);
            stretches = Some(match stretches {
                None => own,
                Some(others) => common(&others, &own),
            });
        }
        let row = |from, until| Coverage {
            sensor: sensor.clone(),
            from,
            until,
            clock,
            ..Coverage::default()
        };
        let mut rows: Vec<Coverage> = stretches
            .map(|all| without(all, downs))
            .unwrap_or_default()
            .into_iter()
            .map(|(from, until)| row(from, until))
            .collect();
        let from = self.told.values().map(|c| c.from).min().unwrap_or(minute);
        if rows.is_empty() {
            rows.push(row(from, from));
        }
        // Each account counts in the stretch that it began in, or the next one, or the last.
        let counted = Coverage {
            from: minute,
            ..self.counted.clone()
        };
        for told in self.told.values().chain([&counted]) {
            let place = rows.iter().position(|r| r.until >= told.from);
            let last = rows.len().saturating_sub(1);
            if let Some(row) = rows.get_mut(place.unwrap_or(last)) {
                row.merge(told);
            }
        }
        // What has gone out and is no stretch any more must not stand as it was.
        let still: BTreeSet<Timestamp> = rows.iter().map(|r| r.from).collect();
        for gone in self.out.difference(&still) {
            rows.push(row(*gone, *gone));
        }
        self.out.extend(still);
        rows
    }

    /// When a source looked, in order, without overlaps.
    fn stretches_of(&self, source: usize) -> Vec<(Timestamp, Timestamp)> {
        let mut out: Vec<(Timestamp, Timestamp)> = Vec::new();
        let own = self
            .told
            .range((source, Timestamp::MIN)..=(source, Timestamp::MAX));
        for (_, c) in own {
            match out.last_mut() {
                Some((_, until)) if *until >= c.from => *until = (*until).max(c.until),
                _ => out.push((c.from, c.until)),
            }
        }
        out
    }
}

/// What is in both.
fn common(
    a: &[(Timestamp, Timestamp)],
    b: &[(Timestamp, Timestamp)],
) -> Vec<(Timestamp, Timestamp)> {
    let mut out = Vec::new();
    for (from, until) in a {
        for (other_from, other_until) in b {
            let both = (*from.max(other_from), *until.min(other_until));
            if both.0 < both.1 {
                out.push(both);
            }
        }
    }
    out
}

/// What is left without these.
fn without(
    mut all: Vec<(Timestamp, Timestamp)>,
    gone: &[(Timestamp, Timestamp)],
) -> Vec<(Timestamp, Timestamp)> {
    for (gone_from, gone_until) in gone {
        let cut = |(from, until): (Timestamp, Timestamp)| {
            let before = (from, until.min(*gone_from));
            let after = (from.max(*gone_until), until);
            [before, after]
                .into_iter()
                .filter(|(from, until)| from < until)
        };
        let apart =
            |(from, until): &(Timestamp, Timestamp)| until <= gone_from || from >= gone_until;
        let whole = |one| match apart(&one) {
            true => vec![one],
            false => cut(one).collect(),
        };
        all = all.into_iter().flat_map(whole).collect();
    }
    all
}

/// Rows of a time in which nobody looked: one a day, because rows are found by the day of their beginning.
fn down_rows(
    sensor: &Arc<str>,
    from: Timestamp,
    until: Timestamp,
    why: Down,
) -> impl Iterator<Item = Coverage> {
    let sensor = sensor.clone();
    let earliest = until.minus(DAY.saturating_mul(u32::try_from(MOST_DAYS).unwrap_or(u32::MAX)));
    let mut from = from.max(earliest);
    std::iter::from_fn(move || {
        if from >= until {
            return None;
        }
        let end = day(from).plus(DAY).min(until);
        let row = Coverage {
            sensor: sensor.clone(),
            from,
            until: end,
            down: Some(why),
            ..Coverage::default()
        };
        from = begin_after(end);
        Some(row)
    })
}

fn day(at: Timestamp) -> Timestamp {
    let day = i64::try_from(DAY.as_nanos()).unwrap_or(i64::MAX);
    Timestamp::from_nanos(at.nanos().div_euclid(day).saturating_mul(day))
}

/// Where a row of a down time begins that began at this moment: at no other row's beginning.
fn begin_after(at: Timestamp) -> Timestamp {
    at.plus(APART)
}

/// The newest row of each sensor: where each last looked, or what it was down for.
pub fn last_rows(rows: impl IntoIterator<Item = Coverage>) -> BTreeMap<Arc<str>, Coverage> {
    let mut last: BTreeMap<Arc<str>, Coverage> = BTreeMap::new();
    for row in rows {
        let newer = |known: &Coverage| (row.until, row.from) > (known.until, known.from);
        if last.get(&row.sensor).is_none_or(newer) {
            last.insert(row.sensor.clone(), row);
        }
    }
    last
}

#[cfg(test)]
mod tests;
