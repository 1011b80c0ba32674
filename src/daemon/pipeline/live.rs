//! How a daemon steers the stages while they run, and what it sees of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use crossbeam_channel::Receiver;

use super::Report;
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
#[derive(Debug, Default)]
pub struct Board {
    report: ArcSwap<Report>,
    intake: AtomicU64,
    collect: AtomicU64,
    waiting: AtomicUsize,
    rebuilt: AtomicU64,
}

impl Board {
    /// Counts up to a second old.
    pub fn report(&self) -> Arc<Report> {
        self.report.load_full()
    }

    /// How often intake and collect have turned: numbers that stand still are threads that hang.
    pub fn beats(&self) -> (u64, u64) {
        let beats = |n: &AtomicU64| n.load(Ordering::Relaxed);
        (beats(&self.intake), beats(&self.collect))
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
        self.intake.fetch_add(1, Ordering::Relaxed);
        self.waiting.store(waiting, Ordering::Relaxed);
    }

    pub(super) fn show(&self, report: Report) {
        self.collect.fetch_add(1, Ordering::Relaxed);
        self.report.store(Arc::new(report));
    }
}
