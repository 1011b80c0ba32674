//! What became of each event that was told to a sink.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::event::EventKind;

/// What became of an event. Each that was told has exactly one in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It is where it was to go.
    Delivered,
    /// The queue was full.
    Dropped,
    /// It was tried as often as is allowed.
    Failed,
    /// The receiver will never take it: too long.
    Refused,
    /// The receiver has said that it wants no more (410).
    Disabled,
    /// It waited still when the sink had to end.
    Unsent,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 6] = [
        Self::Delivered,
        Self::Dropped,
        Self::Failed,
        Self::Refused,
        Self::Disabled,
        Self::Unsent,
    ];

    /// Its name in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Dropped => "dropped",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Disabled => "disabled",
            Self::Unsent => "unsent",
        }
    }
}

/// Counts of one sink. They go on over a reload that keeps its name.
#[derive(Debug)]
pub(super) struct Counters {
    told: [AtomicU64; EventKind::ALL.len()],
    outcomes: [[AtomicU64; Outcome::ALL.len()]; EventKind::ALL.len()],
    retries: AtomicU64,
    panics: AtomicU64,
    works: AtomicBool,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            told: Default::default(),
            outcomes: Default::default(),
            retries: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            // Until something was tried, nothing is wrong.
            works: AtomicBool::new(true),
        }
    }
}

impl Counters {
    pub fn tell(&self, kind: EventKind) {
        if let Some(n) = self.told.get(kind as usize) {
            n.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn add(&self, kind: EventKind, outcome: Outcome) {
        let place = self.outcomes.get(kind as usize);
        if let Some(n) = place.and_then(|k| k.get(outcome as usize)) {
            n.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    pub fn panic(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    pub fn set_works(&self, works: bool) {
        self.works.store(works, Ordering::Relaxed);
    }

    pub fn show(&self, name: Arc<str>, waiting: usize, capacity: usize) -> SinkCounts {
        let read = |n: &AtomicU64| n.load(Ordering::Relaxed);
        let mut outcomes = Vec::new();
        for (kind, counts) in EventKind::ALL.into_iter().zip(&self.outcomes) {
            let each = Outcome::ALL.into_iter().zip(counts);
            outcomes.extend(each.map(|(outcome, n)| (kind, outcome, read(n))));
        }
        SinkCounts {
            name,
            told: self.told.iter().map(read).sum(),
            outcomes,
            retries: read(&self.retries),
            panics: read(&self.panics),
            works: self.works.load(Ordering::Relaxed),
            waiting,
            capacity,
        }
    }
}

/// A sink at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkCounts {
    /// Its name.
    pub name: Arc<str>,
    /// Events that passed its filter.
    pub told: u64,
    /// What became of them.
    pub outcomes: Vec<(EventKind, Outcome, u64)>,
    /// Times that it was tried again.
    pub retries: u64,
    /// Panics caught on its thread.
    pub panics: u64,
    /// Whether the last try succeeded.
    pub works: bool,
    /// Events that wait.
    pub waiting: usize,
    /// How many may.
    pub capacity: usize,
}

impl SinkCounts {
    /// How many events came to an outcome.
    pub fn of(&self, outcome: Outcome) -> u64 {
        let these = self.outcomes.iter().filter(|(_, o, _)| *o == outcome);
        these.map(|(_, _, n)| n).sum()
    }
}
