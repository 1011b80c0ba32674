//! A thread that reads one interface, or its part of one, and assembles messages.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use crossbeam_channel::Sender;

use super::intake::Note;
use crate::call::record::Down;
use crate::capture::live::{LiveCounters, LiveError, LiveSource};
use crate::engine::coverage::PUBLISH;
use crate::engine::sequence::Caught;
use crate::engine::{AssembleCounters, Assembler};
use crate::host::clock::{self, StepWatch};

/// How long a thread waits for frames: so often at least it tells how far it is.
const WAIT: Duration = Duration::from_millis(50);

/// How long it rests after an error that a look at the interface did not mend.
const REST: Duration = Duration::from_secs(1);

/// What a reading thread shows.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Name of the interface.
    pub interface: Arc<str>,
    /// Name of its sensor.
    pub sensor: Arc<str>,
    /// What the interface gave.
    pub live: LiveCounters,
    /// What became of it.
    pub assemble: AssembleCounters,
    /// Why it can't be read at present.
    pub trouble: Option<String>,
    /// Times that reading panicked, a defect of ours, and began anew: what was being put together was lost.
    pub rebuilt: u64,
}

/// A reading thread's own.
pub(super) struct Reader {
    /// Its number among the sources.
    pub index: usize,
    /// Where frames come from.
    pub source: LiveSource,
    /// Name of its sensor.
    pub name: Arc<str>,
    /// Gives an assembler that has seen nothing.
    pub assembler: Box<dyn Fn() -> Assembler + Send>,
    /// Where messages go.
    pub out: Sender<Caught>,
    /// Where it is told whether the interface is up.
    pub notes: Sender<Note>,
    /// Set when the end has come.
    pub stop: Arc<AtomicBool>,
    /// What others see.
    pub shown: Arc<ArcSwap<Reading>>,
}

impl Reader {
    /// Reads until it is stopped, or nobody takes what it reads.
    pub fn run(mut self) {
        let mut reading = Reading {
            interface: self.source.interface().clone(),
            sensor: self.name.clone(),
            ..Reading::default()
        };
        let mut before = AssembleCounters::default();
        let mut assembler = (self.assembler)();
        let mut clock = StepWatch::start();
        let mut published = None;
        let mut freezes = 0;
        let mut up = true;
        loop {
            let stopping = self.stop.load(Ordering::Relaxed);
            let turned = AssertUnwindSafe(|| self.turn(&mut assembler, &mut clock, stopping));
            match catch_unwind(turned) {
                Ok(Ok(())) => self.say(&mut reading, self.source.trouble().map(str::to_owned)),
                Ok(Err(e)) => {
                    self.say(&mut reading, Some(e.to_string()));
                    thread::sleep(REST);
                }
                Err(_) => {
                    tracing::error!(interface = %reading.interface, "reading panicked and begins anew; please report this");
                    reading.rebuilt += 1;
                    before.add(&assembler.counters());
                    assembler = (self.assembler)();
                }
            }
            let frozen = self.source.counters().ring_freezes;
            if frozen > freezes {
                let (sensor, now) = (self.source.sensor(), clock::now());
                assembler.handle_freezes(sensor, now, frozen - freezes);
                freezes = frozen;
            }
            let is_up = self.source.counters().link_up > 0;
            if is_up != up {
                up = is_up;
                self.say_link(up, &reading.interface);
            }
            // Twice as often as the rows go on, and at once after the start.
            if published.is_none_or(|last: Instant| last.elapsed() >= PUBLISH / 2) {
                published = Some(Instant::now());
                assembler.publish_coverage();
            }
            let caught = self.caught(&mut assembler);
            reading.live = self.source.counters();
            reading.assemble = assembler.counters();
            reading.assemble.add(&before);
            self.shown.store(Arc::new(reading.clone()));
            if self.out.send(caught).is_err() || stopping {
                return;
            }
        }
    }

    fn turn(
        &mut self,
        assembler: &mut Assembler,
        clock: &mut StepWatch,
        stopping: bool,
    ) -> Result<(), LiveError> {
        if let Some(step) = clock.look() {
            assembler.handle_step(step.before, step.after);
        }
        // At the end what already waits is taken, and no more waited for.
        let wait = if stopping { Duration::ZERO } else { WAIT };
        self.source.poll(wait, &mut |event| event.feed(assembler))?;
        assembler.handle_time(clock::now());
        if stopping {
            self.source.ask_drops(&mut |event| event.feed(assembler));
            assembler.handle_close(self.source.sensor(), clock::now());
            assembler.finish();
        }
        Ok(())
    }

    fn caught(&self, assembler: &mut Assembler) -> Caught {
        let messages = std::iter::from_fn(|| assembler.poll_message());
        Caught {
            source: self.index,
            messages: messages.map(|m| (m.at, m)).collect(),
            coverage: std::iter::from_fn(|| assembler.poll_coverage()).collect(),
            upto: self.source.upto(clock::now()),
        }
    }

    /// The first thread of an interface speaks for all: it reads as long as any does.
    fn say_link(&self, up: bool, interface: &str) {
        if self.source.thread() > 0 {
            return;
        }
        let (sensor, now) = (self.source.sensor(), clock::now());
        let note = if up {
            tracing::info!(interface, "the interface is up: calls are seen again");
            Note::Up(sensor, now)
        } else {
            tracing::warn!(
                interface,
                "the interface is down or gone: no call is seen on it"
            );
            Note::Down(sensor, now, Down::Interface)
        };
        // Intake ends after us.
        let _ = self.notes.send(note);
    }

    /// Trouble is said once when it comes and once when it goes.
    fn say(&self, reading: &mut Reading, trouble: Option<String>) {
        let (interface, thread) = (&*reading.interface, self.source.thread());
        match (&reading.trouble, &trouble) {
            (None, Some(why)) => tracing::warn!(interface, thread, "not read: {why}"),
            (Some(_), None) => tracing::info!(interface, thread, "read again"),
            _ => {}
        }
        reading.trouble = trouble;
    }
}
