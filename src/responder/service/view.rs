//! What the responder shows: figures of the desk, how the portals are, how long look-ups take.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::base::Timestamp;
use crate::responder::desk::Figures;
use crate::responder::settings::PortalSettings;
use crate::web::Check;

/// Upper ends of the buckets of look-up times, in milliseconds: 50 is what one hop may take.
pub const LOOKUP_MS: [u64; 10] = [1, 2, 5, 10, 20, 50, 100, 250, 1_000, 5_000];

/// A portal that can't be reached for so long is worth an alarm: shorter ones heal by themselves.
pub const UNREACHED: Duration = Duration::from_secs(300);

/// What lies in the outbox longer than this is stuck, in seconds: tries are a quarter of an hour apart at most.
pub const STUCK_S: i64 = 3_600;

/// What is shown. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct ServiceView(Arc<Shown>);

#[derive(Debug, Default)]
struct Shown {
    figures: ArcSwap<Figures>,
    at: ArcSwap<Option<Timestamp>>,
    portals: Mutex<BTreeMap<Arc<str>, Ends>>,
    buckets: [AtomicU64; LOOKUP_MS.len()],
    lookups: AtomicU64,
    micros: AtomicU64,
    failed: AtomicU64,
    panics: AtomicU64,
}

/// How the two ends of a portal are: since when, and why nothing goes.
#[derive(Clone, Debug, Default)]
struct Ends {
    fetch: Option<(Instant, String)>,
    carry: Option<(Instant, String)>,
}

/// How a portal is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortalView {
    /// Which.
    pub name: Arc<str>,
    /// Why nothing can be fetched or delivered, and for how long.
    pub trouble: Option<(Duration, String)>,
}

/// Look-up times.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lookups {
    /// How many took at most so many milliseconds.
    pub buckets: Vec<(u64, u64)>,
    /// How many there were.
    pub count: u64,
    /// How long they took together.
    pub sum: Duration,
    /// Those that failed for good, for now.
    pub failed: u64,
}

impl ServiceView {
    /// The desk's figures, as last read.
    pub fn figures(&self) -> Arc<Figures> {
        self.0.figures.load_full()
    }

    /// When they were read.
    pub fn figures_at(&self) -> Option<Timestamp> {
        **self.0.at.load()
    }

    /// The portals.
    pub fn portals(&self) -> Vec<PortalView> {
        let portals = self
            .0
            .portals
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let one = |(name, ends): (&Arc<str>, &Ends)| {
            let mut troubles: Vec<_> = [&ends.fetch, &ends.carry].into_iter().flatten().collect();
            troubles.sort_by_key(|(since, _)| *since);
            let first = troubles.first();
            PortalView {
                name: name.clone(),
                trouble: first.map(|(since, why)| (since.elapsed(), why.clone())),
            }
        };
        portals.iter().map(one).collect()
    }

    /// How long look-ups took.
    pub fn lookups(&self) -> Lookups {
        let read = |n: &AtomicU64| n.load(Ordering::Relaxed);
        let counts = LOOKUP_MS.into_iter().zip(&self.0.buckets);
        Lookups {
            buckets: counts.map(|(ms, n)| (ms, read(n))).collect(),
            count: read(&self.0.lookups),
            sum: Duration::from_micros(read(&self.0.micros)),
            failed: read(&self.0.failed),
        }
    }

    /// Whether what leaves, leaves: for health.
    pub fn checks(&self, now: Timestamp) -> Vec<Check> {
        let mut checks: Vec<Check> = Vec::new();
        for portal in self.portals() {
            let name = format!("portal {}", portal.name);
            checks.push(match portal.trouble {
                Some((since, why)) if since >= UNREACHED => {
                    Check::bad(name, format!("for {} s: {why}", since.as_secs()))
                }
                Some((_, why)) => Check::good(name, format!("tried again: {why}")),
                None => Check::good(name, "no trouble"),
            });
        }
        let figures = self.figures();
        let age = figures
            .oldest
            .map(|at| now.secs().saturating_sub(at.secs()));
        checks.push(match age {
            Some(age) if age >= STUCK_S => {
                let waits = format!("the oldest has waited for {age} s");
                Check::bad("outbox", waits)
            }
            _ if figures.halted => Check::good("outbox", "stopped by a person"),
            _ => Check::good("outbox", "nothing is stuck"),
        });
        checks
    }

    /// Panics that were caught.
    pub fn panics(&self) -> u64 {
        self.0.panics.load(Ordering::Relaxed)
    }

    pub(super) fn figures_are(&self, figures: Figures, now: Timestamp) {
        self.0.figures.store(Arc::new(figures));
        self.0.at.store(Arc::new(Some(now)));
    }

    pub(super) fn portals_are(&self, settings: &[PortalSettings]) {
        let mut portals = self
            .0
            .portals
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        portals.retain(|name, _| settings.iter().any(|s| s.name == *name));
        for s in settings {
            portals.entry(s.name.clone()).or_default();
        }
    }

    pub(super) fn looked_up(&self, took: Duration) {
        let add = |n: &AtomicU64, by| {
            n.fetch_add(by, Ordering::Relaxed);
        };
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        for (ms, n) in LOOKUP_MS.into_iter().zip(&self.0.buckets) {
            if micros <= ms * 1_000 {
                add(n, 1);
            }
        }
        add(&self.0.lookups, 1);
        add(&self.0.micros, micros);
    }

    pub(super) fn count_failed_lookup(&self) {
        self.0.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// A panic was caught somewhere in the responder.
    pub fn count_panic(&self) {
        self.0.panics.fetch_add(1, Ordering::Relaxed);
    }

    /// How fetching went. Gives whether trouble is new, and worth a line in the log.
    pub(super) fn fetched(&self, portal: &Arc<str>, failed: Option<String>) -> bool {
        self.note(portal, failed, |ends| &mut ends.fetch)
    }

    /// How delivering went, likewise.
    pub(super) fn carried(&self, portal: &Arc<str>, failed: Option<String>) -> bool {
        self.note(portal, failed, |ends| &mut ends.carry)
    }

    fn note(
        &self,
        portal: &Arc<str>,
        failed: Option<String>,
        end: impl Fn(&mut Ends) -> &mut Option<(Instant, String)>,
    ) -> bool {
        let mut portals = self
            .0
            .portals
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let state = end(portals.entry(portal.clone()).or_default());
        let (was, since) = (state.is_some(), state.as_ref().map(|(since, _)| *since));
        if was && failed.is_none() {
            tracing::info!(%portal, "reached again");
        }
        let new = !was && failed.is_some();
        *state = failed.map(|why| (since.unwrap_or_else(Instant::now), why));
        new
    }
}
