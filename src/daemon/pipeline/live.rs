//! How a daemon steers the stages while they run, and what it sees of them.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use crossbeam_channel::Receiver;

use super::Report;
use crate::call::attempt::Snapshot;
use crate::call::attempt::snapshot::Refused;
use crate::call::classify::FlagMemory;
use crate::call::record::Clock;
use crate::engine::collect::CollectSettings;
use crate::stir::credential::Credentials;
use crate::stir::verify::VerifySettings;

/// What may change while the stages run, and where they show what they count.
#[derive(Clone, Debug)]
pub struct Live {
    /// Trust; a fetcher's takes its place.
    pub credentials: Arc<ArcSwap<Credentials>>,
    /// Rules' settings.
    pub verify: Arc<ArcSwap<VerifySettings>>,
    /// What collect is told.
    pub orders: Receiver<Order>,
    /// What the stages show.
    pub board: Arc<Board>,
    /// Set when the end has come: calls that wait for certificates go on at once.
    pub hurry: Arc<AtomicBool>,
    /// Open calls of before a restart, and those that we leave.
    pub carried: Arc<Carried>,
}

/// Open calls over a restart: collect takes what is there when it begins, and leaves what is open when its source has ended.
#[derive(Debug, Default)]
pub struct Carried {
    before: Mutex<Option<Result<Snapshot, Refused>>>,
    after: Mutex<Option<Snapshot>>,
    memory: Mutex<Option<FlagMemory>>,
}

impl Carried {
    /// With what an earlier run left.
    pub fn new(before: Option<Result<Snapshot, Refused>>, memory: FlagMemory) -> Self {
        Self {
            before: Mutex::new(before),
            after: Mutex::default(),
            memory: Mutex::new(Some(memory)),
        }
    }

    /// What flags remember: before the stages begin of the run before, after their end of this one. Once each.
    pub fn take_memory(&self) -> Option<FlagMemory> {
        let memory = self.memory.lock();
        memory.unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Leaves what flags remember.
    pub fn leave_memory(&self, left: FlagMemory) {
        let memory = self.memory.lock();
        *memory.unwrap_or_else(PoisonError::into_inner) = Some(left);
    }

    /// What an earlier run left, once.
    pub fn take_before(&self) -> Option<Result<Snapshot, Refused>> {
        let before = self.before.lock();
        before.unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What this run left, once.
    pub fn take_after(&self) -> Option<Snapshot> {
        let after = self.after.lock();
        after.unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Leaves what is open.
    pub fn leave(&self, snapshot: Snapshot) {
        let after = self.after.lock();
        *after.unwrap_or_else(PoisonError::into_inner) = Some(snapshot);
    }
}

/// What collect is told.
#[derive(Debug)]
pub enum Order {
    /// Neighbours and the rest are others from now on.
    Settings(Box<CollectSettings>),
    /// How good capture times are from now on.
    Clock(Clock),
    /// The wall clock has stepped: what is open ends as it stands, for its deadlines mean nothing any more.
    Step,
}

/// What the stages show while they run.
#[derive(Debug)]
pub struct Board {
    report: ArcSwap<Report>,
    began: Instant,
    intake: Beat,
    collect: Beat,
    waiting: AtomicUsize,
    rebuilt: AtomicU64,
}

/// How often a stage has turned, and when it last did.
#[derive(Debug, Default)]
struct Beat {
    turns: AtomicU64,
    /// Milliseconds after the board began.
    last: AtomicU64,
}

impl Beat {
    fn turn(&self, began: Instant) {
        let now = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.turns.fetch_add(1, Ordering::Relaxed);
        self.last.store(now, Ordering::Relaxed);
    }

    fn age(&self, began: Instant) -> Duration {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        began.elapsed().saturating_sub(last)
    }
}

impl Default for Board {
    fn default() -> Self {
        Self {
            report: ArcSwap::default(),
            began: Instant::now(),
            intake: Beat::default(),
            collect: Beat::default(),
            waiting: AtomicUsize::new(0),
            rebuilt: AtomicU64::new(0),
        }
    }
}

impl Board {
    /// Counts up to a second old.
    pub fn report(&self) -> Arc<Report> {
        self.report.load_full()
    }

    /// How often intake and collect have turned: numbers that stand still are threads that hang.
    pub fn beats(&self) -> (u64, u64) {
        let turns = |b: &Beat| b.turns.load(Ordering::Relaxed);
        (turns(&self.intake), turns(&self.collect))
    }

    /// How long ago intake and collect last turned.
    pub fn ages(&self) -> (Duration, Duration) {
        (self.intake.age(self.began), self.collect.age(self.began))
    }

    /// Batches that waited for a judge when last looked.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// How often the stages were built anew after a defect.
    pub fn rebuilt(&self) -> u64 {
        self.rebuilt.load(Ordering::Relaxed)
    }

    /// The stages are built anew.
    pub fn count_rebuilt(&self) {
        self.rebuilt.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn beat_intake(&self, waiting: usize) {
        self.intake.turn(self.began);
        self.waiting.store(waiting, Ordering::Relaxed);
    }

    pub(super) fn show(&self, report: Report) {
        self.collect.turn(self.began);
        self.report.store(Arc::new(report));
    }
}
