//! What is shown: plain values that the stages publish. Whoever has nothing to say of a part leaves it at its default, and its metrics are not there.

use std::sync::Arc;
use std::time::Duration;

use crate::base::Timestamp;
use crate::call::record::ClockState;
use crate::capture::live::LiveCounters;
use crate::daemon::found::StoreFound;
use crate::daemon::pipeline::Report;
use crate::findings::counters::SinkCounts;
use crate::host::process::Process;
use crate::responder::api::ApiCounters;
use crate::responder::desk::Figures;
use crate::responder::service::ServiceView;
use crate::responder::service::view::Lookups;
use crate::store::embedded::{SpaceReport, StoreCounters};
use crate::web::WebCounters;

/// Counts by their stable names, as the stages' `iter()` gives them.
pub type Counts = Vec<(&'static str, u64)>;

/// The daemon at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The stages from assemble to the store, and the fetcher.
    pub stages: Report,
    /// Interfaces, in the order of the configuration.
    pub interfaces: Vec<Interface>,
    /// All of HEP ([`crate::engine::mirror::counters::MirrorCounters`]): counters, and gauges.
    pub mirror: (Counts, Counts),
    /// HEP agents by their configured names; `None` for those that nobody named.
    pub agents: Vec<(Option<Arc<str>>, Counts)>,
    /// The sequencer: messages that came late, and that wait.
    pub sequence: (u64, usize),
    /// Messages that came more than once, by what became of them.
    pub duplicates: Counts,
    /// Let go under overload, by what it was ([`crate::engine::shed::ShedCounters`]).
    pub shed: Counts,
    /// Queues between stages.
    pub queues: Vec<Queue>,
    /// Threads.
    pub threads: Vec<Stage>,
    /// Lists and certificates on disk.
    pub trust: Option<Trust>,
    /// The store.
    pub store: Option<Stored>,
    /// Sinks of findings.
    pub findings: Vec<SinkCounts>,
    /// Answers to traceback requests.
    pub responder: Option<Responder>,
    /// Its API.
    pub api: Option<ApiCounters>,
    /// The host's clock, and how often it was set.
    pub clock: (Option<ClockState>, u64),
    /// Up to when each sensor looked.
    pub sensors: Vec<(Arc<str>, Timestamp)>,
    /// Rows of the ledger that came too late.
    pub coverage_late: u64,
    /// The HTTP server.
    pub web: Option<WebCounters>,
    /// The configuration.
    pub config: Option<Configured>,
    /// Ids of the neighbours of the configuration, ourselves not among them: their counters are there before their first call.
    pub neighbours: Vec<Arc<str>>,
    /// The process; `None` where /proc can't be read.
    pub process: Option<Process>,
}

/// Answers to traceback requests.
#[derive(Clone, Debug, Default)]
pub struct Responder {
    /// The desk in figures, as last read.
    pub figures: Figures,
    /// When they were.
    pub at: Option<Timestamp>,
    /// Each portal, and whether it can be reached both ways.
    pub portals: Vec<(Arc<str>, bool)>,
    /// How long look-ups took.
    pub lookups: Lookups,
    /// Panics caught.
    pub panics: u64,
}

impl Responder {
    /// What a running one shows.
    pub fn of(view: &ServiceView) -> Self {
        let portals = view.portals().into_iter();
        Self {
            figures: view.figures().as_ref().clone(),
            at: view.figures_at(),
            portals: portals.map(|p| (p.name, p.trouble.is_none())).collect(),
            lookups: view.lookups(),
            panics: view.panics(),
        }
    }
}

/// One interface.
#[derive(Clone, Debug, Default)]
pub struct Interface {
    /// Its sensor's name.
    pub sensor: Arc<str>,
    /// Its name, by the configuration.
    pub name: Arc<str>,
    /// Whether it is captured now.
    pub up: bool,
    /// Packets that passed the filter, with those that were dropped.
    pub packets: u64,
    /// Packets that the kernel dropped.
    pub drops: u64,
    /// Times that the ring was full.
    pub freezes: u64,
    /// Whatever else is counted.
    pub others: Counts,
    /// States that may fall again.
    pub states: Counts,
}

impl Interface {
    /// One interface with the counters of all its reading threads, added up.
    pub fn of(sensor: Arc<str>, name: Arc<str>, counters: &LiveCounters) -> Self {
        let of_their_own = ["packets_passed", "packets_dropped", "ring_freezes"];
        let others = counters.iter();
        Self {
            sensor,
            name,
            up: counters.link_up > 0,
            packets: counters.packets_passed,
            drops: counters.packets_dropped,
            freezes: counters.ring_freezes,
            others: others.filter(|(n, _)| !of_their_own.contains(n)).collect(),
            states: counters.gauges().collect(),
        }
    }
}

/// One queue.
#[derive(Clone, Copy, Debug)]
pub struct Queue {
    /// Between which stages: `judge`, `collect`, `store`.
    pub name: &'static str,
    /// What waits.
    pub depth: usize,
    /// What may.
    pub capacity: usize,
}

/// One thread, or all of a kind.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    /// Its name.
    pub name: &'static str,
    /// Panics caught.
    pub panics: u64,
    /// Times that it was built anew.
    pub rebuilds: u64,
    /// How long ago it last turned.
    pub beat: Option<Duration>,
}

/// Lists and certificates.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trust {
    /// Certificates by URL.
    pub certificates: usize,
    /// Authorities.
    pub authorities: usize,
    /// When the list of authorities ends.
    pub ca_list_ends: Option<Timestamp>,
    /// When the revocation list ought to be replaced.
    pub crl_ends: Option<Timestamp>,
    /// When it was all read.
    pub loaded: Option<Timestamp>,
    /// Whether newer lists were refused.
    pub kept_old: bool,
    /// Notes for the operator.
    pub notes: usize,
}

/// The store.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stored {
    /// What it did.
    pub counters: StoreCounters,
    /// What opening it came upon.
    pub found: StoreFound,
    /// Records that could not be stored.
    pub lost: u64,
    /// Second halves that could not be.
    pub lost_ends: u64,
    /// Calls whose evidence could not be.
    pub lost_evidence: u64,
    /// States of campaigns that could not be.
    pub lost_campaigns: u64,
    /// Octets on disk, where measured.
    pub bytes: Option<u64>,
    /// Room on its disk, where it is guarded.
    pub space: Option<SpaceReport>,
    /// When a commit last returned.
    pub committed: Option<Timestamp>,
    /// How far the newest record lies behind the clock.
    pub lag: Option<Duration>,
    /// Whether it takes records.
    pub writable: bool,
}

/// The configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct Configured {
    /// Its checksum.
    pub version: u32,
    /// When it was last asked for.
    pub reloaded: Timestamp,
    /// Whether that succeeded.
    pub good: bool,
}
