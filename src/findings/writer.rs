//! A sink's thread: takes events from the queue, makes text of them, puts them where they go, and tries again within bounds.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::OnceLock;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::SinkSettings;
use super::counters::{Counters, Outcome};
use super::event::Event;
use super::render::{Rendered, Renderer};
use super::sink::{Failure, Sink, open};
use crate::host::clock;
use crate::host::trouble::{Change, Trouble};

/// How long a sink that has to end sleeps at most before it looks whether it must.
const SLICE: Duration = Duration::from_millis(50);

/// The first wait before trying again; each next one is twice as long.
const BACKOFF: Duration = Duration::from_millis(500);

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(60);

/// A sink that runs.
#[derive(Debug)]
pub(super) struct Running {
    pub name: Arc<str>,
    pub queue: Sender<Event>,
    pub counters: Arc<Counters>,
    /// Set when it has to end: until when it may take.
    ends: Arc<OnceLock<Instant>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Has it end: it takes what is in the queue, until then.
    pub fn end(mut self, until: Instant) -> Self {
        let _ = self.ends.set(until);
        // The thread ends when nobody holds the other end of its queue.
        self.queue = bounded(0).0;
        self
    }

    /// Waits for it; gives its name where it did not end.
    pub fn join(mut self, until: Instant) -> Option<Arc<str>> {
        let thread = self.thread.take()?;
        while !thread.is_finished() && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
        if !thread.is_finished() {
            return Some(self.name);
        }
        // A panic on it was counted when it happened.
        let _ = thread.join();
        None
    }
}

/// Starts a sink.
pub(super) fn start(
    settings: &SinkSettings,
    renderer: Renderer,
    counters: Arc<Counters>,
) -> std::io::Result<Running> {
    let (queue, events) = bounded(settings.queue);
    let ends = Arc::<OnceLock<Instant>>::default();
    let mut writer = Writer {
        settings: settings.clone(),
        renderer,
        events,
        counters: counters.clone(),
        ends: ends.clone(),
        sink: open(settings),
        trouble: Trouble::new("findings"),
        is_over: false,
    };
    let thread = thread::Builder::new()
        .name("findings".to_owned())
        .spawn(move || writer.run())?;
    Ok(Running {
        name: settings.name.clone(),
        queue,
        counters,
        ends,
        thread: Some(thread),
    })
}

struct Writer {
    settings: SinkSettings,
    renderer: Renderer,
    events: Receiver<Event>,
    counters: Arc<Counters>,
    ends: Arc<OnceLock<Instant>>,
    sink: Box<dyn Sink>,
    trouble: Trouble,
    /// The receiver wants no more.
    is_over: bool,
}

impl Writer {
    fn run(&mut self) {
        while let Some(batch) = self.gather() {
            if self.is_over {
                batch
                    .iter()
                    .for_each(|e| self.counters.add(e.kind, Outcome::Disabled));
                continue;
            }
            self.deliver(&batch);
        }
        if catch_unwind(AssertUnwindSafe(|| self.sink.close())).is_err() {
            self.counters.panic();
        }
    }

    /// The next events, at least one; `None` when there will be no more.
    fn gather(&self) -> Option<Vec<Rendered>> {
        let (most, linger) = self.sink.batch();
        let first = self.events.recv().ok()?;
        if self.patience().is_zero() {
            // No time is left: what waits still is only counted.
            self.counters.add(first.kind(), Outcome::Unsent);
            for event in &self.events {
                self.counters.add(event.kind(), Outcome::Unsent);
            }
            return None;
        }
        let mut batch = Vec::with_capacity(most.min(256));
        let take = |event: &Event, batch: &mut Vec<Rendered>| match self.renderer.render(event) {
            Some(rendered) => batch.push(rendered),
            None => self.counters.add(event.kind(), Outcome::Refused),
        };
        take(&first, &mut batch);
        let until = Instant::now() + linger;
        while batch.len() < most {
            let left = match self.ends.get() {
                Some(_) => Duration::ZERO,
                None => until.saturating_duration_since(Instant::now()),
            };
            match self.events.recv_timeout(left.min(SLICE)) {
                Ok(event) => take(&event, &mut batch),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) if left <= SLICE => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        Some(batch)
    }

    /// Puts a batch where it goes. Each event of it is counted once.
    fn deliver(&mut self, batch: &[Rendered]) {
        let mut left = batch;
        let mut tries = 0;
        let mut wait = BACKOFF;
        while !left.is_empty() {
            let patience = self.patience();
            if patience.is_zero() {
                return self.count(left, Outcome::Unsent);
            }
            let put = catch_unwind(AssertUnwindSafe(|| self.sink.put(left, patience)));
            let put = put.unwrap_or_else(|_| {
                self.counters.panic();
                self.sink = open(&self.settings);
                (0, Err(Failure::later("a defect of ours (a panic)")))
            });
            let (done, result) = put;
            let (good, rest) = left.split_at(done.min(left.len()));
            self.count(good, Outcome::Delivered);
            left = rest;
            if done > 0 {
                (tries, wait) = (0, BACKOFF);
            }
            self.note(&result);
            match result {
                Ok(()) => return self.count(left, Outcome::Delivered),
                Err(Failure::Never(_)) => {
                    let (one, rest) = left.split_at(left.len().min(self.sink.unit()));
                    self.count(one, Outcome::Refused);
                    left = rest;
                }
                Err(Failure::Over(_)) => {
                    self.is_over = true;
                    return self.count(left, Outcome::Disabled);
                }
                Err(Failure::Later { at_least, .. }) => {
                    tries += 1;
                    if tries >= self.sink.tries() {
                        return self.count(left, Outcome::Failed);
                    }
                    self.counters.retry();
                    self.sleep(jitter(wait).max(at_least.unwrap_or_default().min(LONGEST)));
                    wait = (wait * 2).min(LONGEST);
                }
            }
        }
    }

    fn count(&self, events: &[Rendered], outcome: Outcome) {
        events
            .iter()
            .for_each(|e| self.counters.add(e.kind, outcome));
    }

    /// Says a change of state once.
    fn note(&mut self, result: &Result<(), Failure>) {
        self.counters.set_works(result.is_ok());
        let sink = &self.settings.name;
        match self.trouble.note(result) {
            Some(Change::Began(why)) => {
                tracing::error!(%sink, "findings can't be delivered: {why}");
            }
            Some(Change::Over(times)) => {
                tracing::info!(%sink, "findings are delivered again, after {times} failures");
            }
            None => {}
        }
    }

    /// How long a try may take.
    fn patience(&self) -> Duration {
        match self.ends.get() {
            Some(until) => until.saturating_duration_since(Instant::now()),
            None => Duration::MAX,
        }
    }

    /// Waits, unless the end comes first.
    fn sleep(&self, time: Duration) {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.ends.get().is_some_and(|e| *e <= Instant::now()) {
                return;
            }
            // At the end, what can't be delivered at once is not waited for longer than need be.
            let slice = left.min(SLICE);
            thread::sleep(slice);
        }
    }
}

/// Three to five quarters of a time, so that sinks that failed together don't try again together.
fn jitter(time: Duration) -> Duration {
    let part = u32::try_from(clock::now().nanos().rem_euclid(1_000_003) % 512).unwrap_or(0);
    time * (768 + part) / 1024
}
