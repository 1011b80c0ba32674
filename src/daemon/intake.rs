//! What the sources caught becomes batches for the judges: in order, without what is let go.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::pipeline::{BATCH, Batch, Intake, Pressure};
use crate::base::Timestamp;
use crate::call::record::{ClockState, Down};
use crate::daemon::keeper::LostRecord;
use crate::engine::coverage::{Accounts, Shed};
use crate::engine::duplicates::{DuplicateCounters, DuplicateSettings, Duplicates};
use crate::engine::sequence::{Caught, Sequencer};
use crate::engine::shed::{Fate, Level, ShedCounters, Shedder};
use crate::host::clock::Step;
use crate::wire::Message;

/// How long a message waits for slower sources: several times the 20 ms in which the kernel gives a block that isn't full.
const PATIENCE: Duration = Duration::from_millis(150);

/// How long a batch that isn't full waits for more. Nobody looks at a call sooner than that.
const LINGER: Duration = Duration::from_millis(10);

/// Messages that are put in order at once. Beyond it the sources wait, and the kernel's rings fill: two seconds of 5,000 calls/s.
const MOST_WAITING: usize = 65_536;

/// How often it is shown how far each sensor has looked.
const LOOKED: Duration = Duration::from_secs(1);

/// The most messages in a batch after a jam.
const MOST: usize = 4 * BATCH;

/// What intake is told besides.
#[derive(Debug)]
pub enum Note {
    /// A further sensor.
    Sensor(Arc<str>),
    /// A source no longer looks for a sensor.
    End {
        /// Which source.
        source: usize,
        /// Which sensor.
        sensor: u16,
    },
    /// A source looks for a sensor from now on.
    Begin {
        /// Which source.
        source: usize,
        /// Which sensor.
        sensor: u16,
    },
    /// A sensor can't look, and why.
    Down(u16, Timestamp, Down),
    /// It looks again.
    Up(u16, Timestamp),
    /// A record could not be kept.
    Lost(LostRecord),
    /// How the clock is.
    Clock(Timestamp, ClockState),
    /// The clock was set.
    Step(Step),
}

/// What intake did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IntakeCounters {
    /// Messages that the sources caught.
    pub caught: u64,
    /// Messages handed to the judges.
    pub passed: u64,
    /// Messages that another sensor had shown before.
    pub duplicates: DuplicateCounters,
    /// Messages that came after later ones had gone out; they are among those that passed or were shed.
    pub late: u64,
    /// Messages that wait for slower sources now.
    pub waiting: u64,
    /// Rows of the ledger that came too late.
    pub coverage_late: u64,
    /// What was let go, by kind.
    pub shed: ShedCounters,
    /// How much is let go now.
    pub level: Level,
    /// Up to when each sensor looked.
    pub looked: Vec<(Arc<str>, Timestamp)>,
}

impl IntakeCounters {
    /// Whether what came in is what went out.
    pub fn balances(&self) -> bool {
        let s = self.shed;
        let shed = s.retransmissions + s.others + s.answers;
        self.caught == self.passed + self.waiting + self.duplicates.duplicates + shed
    }
}

/// Takes in what the sources caught, until all of them are gone.
pub struct LiveIntake {
    caught: Receiver<Caught>,
    sequencer: Sequencer,
    /// Where there is more than one sensor.
    duplicates: Duplicates,
    shedder: Shedder,
    accounts: Accounts,
    notes: Receiver<Note>,
    names: Vec<Arc<str>>,
    looked: Instant,
    counters: IntakeCounters,
    shown: Arc<ArcSwap<IntakeCounters>>,
    now: fn() -> Timestamp,
}

impl LiveIntake {
    /// For so many sources, which send to `caught`; the books are those of sensors with these names.
    pub fn new(
        sources: usize,
        caught: Receiver<Caught>,
        (names, accounts): (Vec<Arc<str>>, Accounts),
        notes: Receiver<Note>,
        now: fn() -> Timestamp,
    ) -> Self {
        Self {
            caught,
            sequencer: Sequencer::new(sources, PATIENCE),
            duplicates: Duplicates::new(DuplicateSettings::default()),
            shedder: Shedder::new(),
            accounts,
            notes,
            names,
            looked: Instant::now(),
            counters: IntakeCounters::default(),
            shown: Arc::default(),
            now,
        }
    }

    /// What it did, for other threads.
    pub fn counters(&self) -> Arc<ArcSwap<IntakeCounters>> {
        Arc::clone(&self.shown)
    }

    fn take(&mut self, mut caught: Caught) {
        let messages = u64::try_from(caught.messages.len()).unwrap_or(u64::MAX);
        self.counters.caught += messages;
        self.sequencer.handle_caught(&mut caught);
        for row in caught.coverage {
            self.accounts.handle_row(caught.source, row);
        }
    }

    fn note(&mut self, note: Note) {
        let accounts = &mut self.accounts;
        match note {
            Note::Sensor(name) => {
                self.names.push(name.clone());
                accounts.add_sensor(name);
            }
            Note::Down(sensor, at, why) => accounts.handle_down(sensor, at, why),
            Note::Up(sensor, at) => accounts.handle_up(sensor, at),
            Note::End { source, sensor } => accounts.handle_end(source, sensor),
            Note::Begin { source, sensor } => accounts.handle_begin(source, sensor),
            Note::Clock(at, state) => accounts.handle_clock(at, state),
            Note::Step(step) => {
                accounts.handle_step(step.before, step.after);
                self.duplicates.handle_step();
            }
            Note::Lost(lost) => {
                let place = self.names.iter().position(|n| *n == lost.sensor);
                if let Some(sensor) = place.and_then(|p| u16::try_from(p).ok()) {
                    accounts.handle_lost_records(sensor, lost.at, 1);
                }
            }
        }
    }

    fn pass(
        &mut self,
        (arrived, message): (Timestamp, Message),
        level: Level,
        batch: &mut Batch<Message>,
    ) {
        let (sensor, at) = (message.sensor, message.at);
        // A time ahead of ours is another clock's.
        let arrived = arrived.min((self.now)());
        if self.names.len() > 1 && !self.duplicates.handle(&message, arrived) {
            return self.accounts.handle_duplicates(sensor, at, 1);
        }
        match self.shedder.handle(&message, level) {
            Fate::Shed => return self.accounts.handle_shed(sensor, at, Shed::Message, 1),
            Fate::ShedRepeat => return self.accounts.handle_shed(sensor, at, Shed::Repeat, 1),
            Fate::Pass => {}
            Fate::PassUnchecked => {
                self.accounts.handle_shed(sensor, at, Shed::Verification, 1);
                batch.verify = false;
            }
        }
        self.counters.passed += 1;
        batch.items.push(message);
    }

    /// Messages whose turn it is go on, as many as fit into a batch.
    fn pass_ready(&mut self, level: Level, batch: &mut Batch<Message>) {
        self.sequencer.handle_time((self.now)());
        while batch.items.len() < MOST
            && let Some(arrival) = self.sequencer.poll_message()
        {
            self.pass(arrival, level, batch);
        }
    }

    fn show(&mut self, level: Level) {
        self.counters.late = self.sequencer.late();
        self.counters.waiting = u64::try_from(self.sequencer.waiting()).unwrap_or(u64::MAX);
        self.counters.duplicates = self.duplicates.counters();
        self.counters.coverage_late = self.accounts.late();
        self.counters.shed = self.shedder.counters();
        self.counters.level = level;
        if self.looked.elapsed() >= LOOKED {
            self.looked = Instant::now();
            let sensors = self.accounts.looked();
            self.counters.looked = sensors.map(|(n, at)| (n.clone(), at)).collect();
        }
        self.shown.store(Arc::new(self.counters.clone()));
    }
}

impl Intake for LiveIntake {
    fn fill(&mut self, batch: &mut Batch<Message>, pressure: Pressure) -> bool {
        let level = Level::of(pressure.waiting, pressure.room);
        let until = Instant::now() + LINGER;
        let mut more = true;
        loop {
            // All that is there is taken before anything is waited for: who is behind must not rest.
            while self.sequencer.waiting() < MOST_WAITING
                && let Ok(caught) = self.caught.try_recv()
            {
                self.take(caught);
            }
            self.pass_ready(level, batch);
            if batch.items.len() >= BATCH || !more || Instant::now() >= until {
                break;
            }
            match self.caught.recv_deadline(until) {
                Ok(caught) => self.take(caught),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.sequencer.finish();
                    more = false;
                }
            }
        }
        while let Ok(note) = self.notes.try_recv() {
            self.note(note);
        }
        let now = (self.now)();
        self.accounts.handle_time(now);
        if !more && self.sequencer.waiting() == 0 {
            self.accounts.finish(now);
        }
        batch
            .coverage
            .extend(std::iter::from_fn(|| self.accounts.poll_row()));
        self.show(level);
        // After the end what still waits goes out batch by batch.
        more || self.sequencer.waiting() > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::test_support;
    use crossbeam_channel::{never, unbounded};

    fn now() -> Timestamp {
        Timestamp::from_secs(2_000)
    }

    fn message(n: usize) -> Message {
        let text = format!("INVITE sip:{n}@example.net SIP/2.0\r\n\r\n");
        test_support::message(Timestamp::from_secs(1_000), text.as_bytes())
    }

    const CALM: Pressure = Pressure {
        waiting: 0,
        room: 64,
    };

    fn intake(from: Receiver<Caught>) -> LiveIntake {
        LiveIntake::new(1, from, Default::default(), never(), now)
    }

    fn caught(messages: usize) -> Caught {
        let at = Timestamp::from_secs(1_000);
        Caught {
            source: 0,
            messages: (0..messages).map(|n| (at, message(n))).collect(),
            coverage: Vec::new(),
            upto: at,
        }
    }

    #[test]
    fn everything_goes_out_also_when_the_sources_are_gone() {
        let (to, from) = unbounded();
        let mut intake = intake(from);
        to.send(caught(1_000)).unwrap();
        drop(to);
        let (mut out, mut turns) = (0, 0);
        loop {
            let mut batch = Batch::new(0);
            let more = intake.fill(&mut batch, CALM);
            assert!(batch.items.len() <= MOST && batch.verify);
            out += batch.items.len();
            turns += 1;
            if !more {
                break;
            }
        }
        assert_eq!(out, 1_000);
        assert!(turns < 10);
        assert!(intake.counters.balances());
    }

    #[test]
    fn who_is_behind_takes_all_that_is_there_before_resting() {
        let (to, from) = unbounded();
        let mut intake = intake(from);
        for _ in 0..100 {
            to.send(caught(10)).unwrap();
        }
        let mut batch = Batch::new(0);
        assert!(intake.fill(&mut batch, CALM));
        assert_eq!(batch.items.len(), MOST);
    }

    #[test]
    fn under_the_worst_of_overload_batches_go_unchecked_and_every_first_invite_goes() {
        let (to, from) = unbounded();
        let mut intake = intake(from);
        to.send(caught(10)).unwrap();
        to.send(caught(10)).unwrap();
        let jammed = Pressure {
            waiting: 64,
            room: 64,
        };
        let mut batch = Batch::new(0);
        assert!(intake.fill(&mut batch, jammed));
        assert_eq!((batch.items.len(), batch.verify), (10, false));
        let c = intake.counters;
        assert!(c.balances());
        assert_eq!((c.shed.checks, c.shed.retransmissions), (10, 10));
    }
}
