//! The three stages on threads, joined by bounded queues.
//!
//! ```text
//! caller's thread      N threads       one thread
//! frames ─ assemble ─► judge ─► judge ─► collect ─► store
//!                 queue          queue, put back in order
//! ```
//!
//! The caller's thread takes in ([`Intake`]): a replay assembles frames there, the daemon puts what its sources caught in order.
//! Batches carry a running number; collect takes them in that order whatever judge was faster, so the records are the same for
//! any number of judges. A full queue makes the stage before it wait: a file can wait. A thread that dies ends the run with an error.
//!
//! With a fetcher ([`PipelineSettings::fetch`]) calls that lack a certificate wait beside collect, in `park`, and their records go
//! out when they go on: the others don't wait for them.

mod live;
mod park;
mod stage;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};

use crate::base::Timestamp;
use crate::call::attempt::{AttemptCounters, AttemptLimits};
use crate::call::classify::behaviour::BehaviourCounters;
use crate::call::classify::campaign::CampaignCounters;
use crate::call::classify::memory::MemoryCounters;
use crate::call::classify::replay::ReplayCounters;
use crate::call::classify::skew::Skews;
use crate::call::classify::{Campaign, Finding, Flag};
use crate::call::leg::LegCounters;
use crate::call::peer::unknown::UnknownNeighbour;
use crate::call::record::evidence::EvidenceKept;
use crate::call::record::{Coverage, Sensor};
use crate::capture::{CaptureError, Merge};
use crate::config::Config;
use crate::engine::assemble::{AssembleCounters, AssembleLimits, Assembler};
use crate::engine::collect::{CollectCounters, CollectSettings, Collector, Tally, TallyKey};
use crate::engine::judge::{Judge, Judged};
use crate::engine::park::{ParkCounters, ParkLimits, Parked, Released};
use crate::fetch::{Client, FetchReport};
use crate::findings::Tap;
use crate::stir::credential::Credentials;
use crate::stir::verify::VerifySettings;
use crate::store::embedded::GroupCommit;
use crate::store::{Store, StoreError};
use crate::wire::{Message, Provenance};

pub use live::{Board, Carried, Live, Order};
use stage::WaitingRoom;

/// Messages in a batch: the hand-over between threads costs less than a microsecond, shared by so many.
pub const BATCH: usize = 64;

/// Batches that may wait in a queue. Times 64 messages of about 1 KB: 4 MB.
pub const QUEUE: usize = 64;

/// What the stages need.
#[derive(Clone, Debug)]
pub struct PipelineSettings {
    /// How many judges.
    pub judges: usize,
    /// Trust.
    pub credentials: Arc<Credentials>,
    /// Rules' settings.
    pub verify: Arc<VerifySettings>,
    /// Calls and neighbours.
    pub collect: CollectSettings,
    /// Bounds of reassembly.
    pub assemble: AssembleLimits,
    /// Of which calls evidence is kept.
    pub evidence: EvidenceKept,
    /// When records are made durable.
    pub group_commit: GroupCommit,
    /// Where certificates that are not at hand are asked for; without one, calls never wait.
    pub fetch: Option<FetchLink>,
    /// Whom to tell of what is flagged.
    pub findings: Option<Tap>,
    /// How a daemon steers and watches the stages while they run.
    pub live: Option<Live>,
}

/// Messages on their way through the stages.
#[derive(Debug)]
pub struct Batch<T> {
    number: u64,
    /// The messages, in order.
    pub items: Vec<T>,
    /// Rows of the coverage ledger that became known beside them.
    pub coverage: Vec<Coverage>,
    /// Whether signatures are to be checked. Not under the worst of overload: the record then says so.
    pub verify: bool,
}

impl<T> Batch<T> {
    pub(super) fn new(number: u64) -> Self {
        Self {
            number,
            items: Vec::with_capacity(BATCH),
            coverage: Vec::new(),
            verify: true,
        }
    }

    fn is_empty(&self) -> bool {
        self.items.is_empty() && self.coverage.is_empty()
    }
}

/// Where messages come from.
pub trait Intake {
    /// Waits for messages, but not long, and puts them into the batch: [`BATCH`] or somewhat more are a good measure. `false`: nothing more will come.
    fn fill(&mut self, batch: &mut Batch<Message>, pressure: Pressure) -> bool;
}

/// How busy the judges are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pressure {
    /// Batches that wait for a judge.
    pub waiting: usize,
    /// How many may.
    pub room: usize,
}

/// How the stages use a fetcher.
#[derive(Clone, Debug)]
pub struct FetchLink {
    /// The fetcher. Its credentials take the place of [`PipelineSettings::credentials`].
    pub client: Client,
    /// How many calls may wait, and for how long.
    pub limits: ParkLimits,
    /// What becomes of the source when no more calls may wait.
    pub when_full: WhenFull,
}

/// What becomes of the source when no more calls may wait for certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It waits as well: a file can.
    Wait,
    /// It goes on, and calls that find no room are undetermined at once: a live edge can't be held up.
    GoOn,
}

impl PipelineSettings {
    /// What a configuration asks for, with the bounds of attempts at their defaults.
    pub fn new(config: &Config, credentials: Credentials, judges: usize) -> Self {
        Self {
            judges,
            credentials: Arc::new(credentials),
            verify: Arc::new(config.verify_settings()),
            collect: CollectSettings {
                peers: config.peers.clone(),
                plan: config.plan.clone(),
                flags: config.flags.clone(),
                window: config.freshness,
                sensors: vec![Sensor {
                    name: config.sensor.clone(),
                    provenance: Provenance::File,
                }],
                clock: config.clock,
                config: config.version,
                behaviour: config.behaviour.clone(),
                campaign: config.campaign,
                limits: AttemptLimits::default(),
            },
            assemble: config.assemble,
            evidence: config.store.evidence,
            group_commit: config.store.settings.group_commit,
            fetch: None,
            findings: None,
            live: None,
        }
    }
}

/// Findings, and campaigns, that a report lists for a summary: half a kilobyte each.
pub const SHOWN: usize = 1_000;

/// What came of a run. Sum of outcomes equals inputs at each stage: see [`Report::imbalances`].
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Frames and messages.
    pub assemble: AssembleCounters,
    /// Messages and attempts.
    pub collect: CollectCounters,
    /// The table of attempts.
    pub attempts: AttemptCounters,
    /// Legs and their pairs.
    pub legs: LegCounters,
    /// What became of PASSporTs.
    pub replays: ReplayCounters,
    /// Signers' clocks.
    pub skews: Skews,
    /// What flags remember.
    pub memory: MemoryCounters,
    /// Calls of which evidence was given to the store.
    pub evidence: u64,
    /// Addresses that handed calls over and that no rule knows, busiest first.
    pub unknown: Vec<UnknownNeighbour>,
    /// How many such addresses were forgotten for want of room.
    pub unknown_evicted: u64,
    /// By neighbour.
    pub tallies: BTreeMap<TallyKey, Tally>,
    /// Records written, first halves.
    pub begins: u64,
    /// Second halves written.
    pub ends: u64,
    /// Findings given out: opened, updated and closed.
    pub findings: u64,
    /// Campaigns given out: begun, going on and over.
    pub campaigns: u64,
    /// What behaviours looked at, and what they could not.
    pub behaviour: BehaviourCounters,
    /// Findings that are open, by kind and neighbour.
    pub findings_open: BTreeMap<(Flag, Option<Arc<str>>), u64>,
    /// What became of campaigns.
    pub campaign: CampaignCounters,
    /// Campaigns that are open, by upstream.
    pub campaigns_open: BTreeMap<Option<Arc<str>>, u64>,
    /// Calls in campaigns, by upstream.
    pub campaign_calls: BTreeMap<Option<Arc<str>>, u64>,
    /// Findings that are over, the first [`SHOWN`] of them.
    pub findings_closed: Vec<Arc<Finding>>,
    /// Campaigns that are over, likewise.
    pub campaigns_closed: Vec<Arc<Campaign>>,
    /// First and last capture time of a record.
    pub span: Option<(Timestamp, Timestamp)>,
    /// Calls that lacked a certificate, and how each went on.
    pub parked: ParkCounters,
    /// What the fetcher did, up to the end of the run.
    pub fetch: Option<FetchReport>,
    /// How long after its capture the last message was collected, in a daemon.
    pub lag: Option<Duration>,
    /// Times that collect panicked, a defect of ours, and began anew: what it knew of open calls was lost.
    pub collect_rebuilt: u64,
}

/// Why a run ended early. What was committed before stays.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system gave us no thread.
    #[error("can't start a thread: {0}")]
    NoThread(#[from] std::io::Error),
    /// A thread died: a defect of ours.
    #[error("the {0} thread died; please report this with the capture that caused it")]
    Died(&'static str),
}

impl Report {
    /// Each level at which what came in is not what came out; empty unless we have a bug.
    pub fn imbalances(&self) -> Vec<String> {
        let records: u64 = self.tallies.values().map(|t| t.attempts).sum();
        let levels = [
            ("messages", self.assemble.messages_out, self.collect.total()),
            ("attempts", self.collect.attempts, self.begins),
            ("neighbours", self.begins, records),
            ("parked", self.parked.wanting, self.parked.total()),
        ];
        let assemble = self.assemble.imbalance().map(str::to_owned);
        let later = levels
            .into_iter()
            .filter(|(_, a, b)| a != b)
            .map(|(level, a, b)| format!("{level}: {a} in, {b} out"));
        assemble.into_iter().chain(later).collect()
    }
}

/// Frames between two reports of progress: some ten a second.
const EVENTS_PER_PROGRESS: u32 = 16_384;

/// Runs the stages over capture files, merged by time. `progress` is told now and then how many octets of how many have gone past.
///
/// A file that can't be read any further ends there; the others go on, and the errors come back beside the report.
///
/// # Errors
///
/// [`PipelineError`], when the store fails or a thread dies.
pub fn run_files(
    settings: &PipelineSettings,
    store: &mut (dyn Store + Send),
    files: &mut Merge,
    mut progress: impl FnMut(u64, u64),
) -> Result<(Report, Vec<CaptureError>), PipelineError> {
    let mut troubles = Vec::new();
    let mut events = 0u32;
    let report = run(settings, store, |assembler| {
        events = events.wrapping_add(1);
        if events.is_multiple_of(EVENTS_PER_PROGRESS) {
            let (done, total) = files.progress();
            progress(done, total);
        }
        match files.next_event() {
            Ok(Some(event)) => event.feed(assembler),
            Ok(None) => return false,
            Err(e) => troubles.push(e),
        }
        true
    })?;
    Ok((report, troubles))
}

/// Runs the stages until `feed` says that there is nothing more. `feed` hands one frame (or a few) to the assembler it is
/// given, and answers whether there may be more.
///
/// # Errors
///
/// [`PipelineError`], when the store fails or a thread dies.
pub fn run(
    settings: &PipelineSettings,
    store: &mut (dyn Store + Send),
    feed: impl FnMut(&mut Assembler) -> bool,
) -> Result<Report, PipelineError> {
    let assembler = Assembler::new(settings.assemble)
        .with_sensors(settings.collect.sensors.iter().map(|s| s.name.clone()));
    let mut source = Fed { assembler, feed };
    let mut report = run_intake(settings, store, &mut source)?;
    report.assemble = source.assembler.counters();
    Ok(report)
}

/// A source of frames with its own assembler.
struct Fed<F> {
    assembler: Assembler,
    feed: F,
}

impl<F: FnMut(&mut Assembler) -> bool> Intake for Fed<F> {
    fn fill(&mut self, batch: &mut Batch<Message>, _: Pressure) -> bool {
        loop {
            let more = (self.feed)(&mut self.assembler);
            if !more {
                self.assembler.finish();
            }
            let messages = std::iter::from_fn(|| self.assembler.poll_message());
            batch.items.extend(messages);
            if batch.items.len() >= BATCH || !more {
                let rows = std::iter::from_fn(|| self.assembler.poll_coverage());
                batch.coverage.extend(rows);
                return more;
            }
        }
    }
}

/// Runs the stages until `intake` says that there is nothing more. The caller's thread is the one that takes in.
///
/// # Errors
///
/// [`PipelineError`], when the store fails or a thread dies.
pub fn run_intake(
    settings: &PipelineSettings,
    store: &mut (dyn Store + Send),
    intake: &mut dyn Intake,
) -> Result<Report, PipelineError> {
    let (to_judges, from_intake) = bounded::<Batch<Message>>(QUEUE);
    let (to_collect, from_judges) = bounded::<Batch<Judged>>(QUEUE);
    thread::scope(|scope| {
        let fetch = settings.fetch.as_ref();
        let judges: Vec<_> = (0..settings.judges.max(1))
            .map(|_| {
                let (input, output) = (from_intake.clone(), to_collect.clone());
                thread::Builder::new()
                    .name("judge".to_owned())
                    .spawn_scoped(scope, move || stage::judge(settings, &input, &output))
            })
            .collect::<Result<_, _>>()?;
        // The stages end when nobody holds the sending end of their queue.
        drop((from_intake, to_collect));
        let mut collector = Collector::new(settings.collect.clone(), store.last_uid() + 1);
        let mut waiting = None;
        if let Some(link) = fetch {
            collector = collector.parking(link.limits);
            // No more than may wait are ever in either, so nobody waits for room in them.
            let (to_park, from_collect) = bounded::<Parked>(link.limits.calls.max(1));
            let (to_collect, released) = bounded::<Released>(link.limits.calls.max(1));
            let judge = Judge::new(link.client.credentials(), settings.verify.clone())
                .with_evidence(settings.evidence);
            let live = settings.live.as_ref();
            thread::Builder::new()
                .name("park".to_owned())
                .spawn_scoped(scope, move || {
                    park::run(judge, link, live, &from_collect, &to_collect)
                })?;
            waiting = Some(WaitingRoom {
                to_park,
                released,
                when_full: link.when_full,
            });
        }
        let live = settings.live.as_ref();
        let findings = settings.findings.as_ref();
        let group_commit = settings.group_commit;
        let collect = thread::Builder::new()
            .name("collect".to_owned())
            .spawn_scoped(scope, move || {
                stage::collect(
                    collector,
                    store,
                    live,
                    findings,
                    &from_judges,
                    waiting,
                    group_commit,
                )
            })?;

        take_in(intake, live, &to_judges);
        drop(to_judges);
        let dead = judges.into_iter().filter_map(|j| j.join().err()).count();
        let mut report = collect
            .join()
            .map_err(|_| PipelineError::Died("collect"))??;
        if dead > 0 {
            return Err(PipelineError::Died("judge"));
        }
        report.fetch = fetch.map(|link| link.client.report());
        Ok(report)
    })
}

/// Numbers batches and hands them to the judges. A full queue makes whoever is before us wait.
fn take_in(intake: &mut dyn Intake, live: Option<&Live>, output: &Sender<Batch<Message>>) {
    let mut number = 0;
    loop {
        let mut batch = Batch::new(number);
        let pressure = Pressure {
            waiting: output.len(),
            room: QUEUE,
        };
        let more = intake.fill(&mut batch, pressure);
        if let Some(live) = live {
            live.board.beat_intake(output.len());
        }
        if !batch.is_empty() {
            number += 1;
            // Nobody takes it: a later stage has failed and says so itself.
            if output.send(batch).is_err() {
                return;
            }
        }
        if !more {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
