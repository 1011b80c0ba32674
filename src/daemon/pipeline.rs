//! The three stages on threads, joined by bounded queues.
//!
//! ```text
//! caller's thread      N threads       one thread
//! frames ─ assemble ─► judge ─► judge ─► collect ─► store
//!                 queue          queue, put back in order
//! ```
//!
//! Batches carry a running number; collect takes them in that order whatever judge was faster, so the records are the same for
//! any number of judges. A full queue makes the stage before it wait: a file can wait. A thread that dies ends the run with an error.
//!
//! With a fetcher ([`PipelineSettings::fetch`]) calls that lack a certificate wait beside collect, in [`super::park`], and their records go
//! out when they go on: the others don't wait for them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded, never, select};

use crate::base::Timestamp;
use crate::call::attempt::{AttemptCounters, AttemptLimits};
use crate::call::classify::replay::ReplayCounters;
use crate::call::classify::skew::Skews;
use crate::call::record::evidence::EvidenceKept;
use crate::call::record::{Coverage, Sensor};
use crate::capture::{CaptureError, Merge};
use crate::config::Config;
use crate::engine::assemble::{AssembleCounters, AssembleLimits, Assembler};
use crate::engine::collect::{
    CollectCounters, CollectSettings, Collector, Output, Tally, TallyKey,
};
use crate::engine::judge::{Judge, Judged};
use crate::engine::park::{ParkCounters, ParkLimits, Parked, Released};
use crate::fetch::{Client, FetchReport};
use crate::stir::credential::Credentials;
use crate::stir::verify::VerifySettings;
use crate::store::{Store, StoreError};
use crate::wire::{Message, Provenance};

use super::park;

/// Messages in a batch: the hand-over between threads costs less than a microsecond, shared by so many.
const BATCH: usize = 64;

/// Batches that may wait in a queue. Times 64 messages of about 1 KB: 4 MB.
const QUEUE: usize = 64;

/// Batches that collect keeps while an earlier one is missing: more than both queues hold and any number of judges has in hand.
const WAITING: usize = 4 * QUEUE;

/// Records between two commits of the log: what a crash in the middle of a replay may cost is read again anyway.
const RECORDS_PER_COMMIT: u64 = 65_536;

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
    /// Where certificates that are not at hand are asked for; without one, calls never wait.
    pub fetch: Option<FetchLink>,
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
                own_numbers: config.provider.own_numbers.clone(),
                window: config.freshness,
                sensors: vec![Sensor {
                    name: config.sensor.clone(),
                    provenance: Provenance::File,
                }],
                clock: config.clock,
                config: config.version,
                limits: AttemptLimits::default(),
            },
            assemble: config.assemble,
            evidence: config.evidence,
            fetch: None,
        }
    }
}

/// What came of a run. Sum of outcomes equals inputs at each stage: see [`Report::imbalances`].
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Frames and messages.
    pub assemble: AssembleCounters,
    /// Messages and attempts.
    pub collect: CollectCounters,
    /// The table of attempts.
    pub attempts: AttemptCounters,
    /// What became of PASSporTs.
    pub replays: ReplayCounters,
    /// Signers' clocks.
    pub skews: Skews,
    /// Calls of which evidence was given to the store.
    pub evidence: u64,
    /// By neighbour.
    pub tallies: BTreeMap<TallyKey, Tally>,
    /// Records written, first halves.
    pub begins: u64,
    /// Second halves written.
    pub ends: u64,
    /// First and last capture time of a record.
    pub span: Option<(Timestamp, Timestamp)>,
    /// Calls that lacked a certificate, and how each went on.
    pub parked: ParkCounters,
    /// What the fetcher did, up to the end of the run.
    pub fetch: Option<FetchReport>,
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

struct Batch<T> {
    number: u64,
    items: Vec<T>,
    coverage: Vec<Coverage>,
}

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
    mut feed: impl FnMut(&mut Assembler) -> bool,
) -> Result<Report, PipelineError> {
    let (to_judges, from_assemble) = bounded::<Batch<Message>>(QUEUE);
    let (to_collect, from_judges) = bounded::<Batch<Judged>>(QUEUE);
    thread::scope(|scope| {
        let fetch = settings.fetch.as_ref();
        let judges: Vec<_> = (0..settings.judges.max(1))
            .map(|_| {
                let (input, output) = (from_assemble.clone(), to_collect.clone());
                let judge = Judge::new(settings.credentials.clone(), settings.verify.clone())
                    .with_evidence(settings.evidence);
                let judge = match fetch {
                    Some(_) => judge.asking(),
                    None => judge,
                };
                thread::Builder::new()
                    .name("judge".to_owned())
                    .spawn_scoped(scope, move || judge_batches(judge, fetch, &input, &output))
            })
            .collect::<Result<_, _>>()?;
        // The stages end when nobody holds the sending end of their queue.
        drop((from_assemble, to_collect));
        let mut collector = Collector::new(settings.collect.clone(), store.last_uid() + 1);
        let mut waiting = None;
        if let Some(link) = fetch {
            collector = collector.parking(link.limits);
            // No more than may wait are ever in either, so nobody waits for room in them.
            let (to_park, from_collect) = bounded::<Parked>(link.limits.calls.max(1));
            let (to_collect, released) = bounded::<Released>(link.limits.calls.max(1));
            let judge = Judge::new(link.client.credentials(), settings.verify.clone())
                .with_evidence(settings.evidence);
            thread::Builder::new()
                .name("park".to_owned())
                .spawn_scoped(scope, move || {
                    park::run(judge, link, &from_collect, &to_collect)
                })?;
            waiting = Some(WaitingRoom {
                to_park,
                released,
                when_full: link.when_full,
            });
        }
        let collect = thread::Builder::new()
            .name("collect".to_owned())
            .spawn_scoped(scope, move || {
                collect_batches(collector, store, &from_judges, waiting)
            })?;

        let assembler = Assembler::new(settings.assemble)
            .with_sensors(settings.collect.sensors.iter().map(|s| s.name.clone()));
        let assemble = assemble_batches(assembler, &mut feed, &to_judges);
        drop(to_judges);
        let dead = judges.into_iter().filter_map(|j| j.join().err()).count();
        let mut report = collect
            .join()
            .map_err(|_| PipelineError::Died("collect"))??;
        if dead > 0 {
            return Err(PipelineError::Died("judge"));
        }
        report.assemble = assemble;
        report.fetch = fetch.map(|link| link.client.report());
        Ok(report)
    })
}

fn assemble_batches(
    mut assembler: Assembler,
    feed: &mut impl FnMut(&mut Assembler) -> bool,
    output: &Sender<Batch<Message>>,
) -> AssembleCounters {
    let mut number = 0;
    let mut items = Vec::with_capacity(BATCH);
    loop {
        let more = feed(&mut assembler);
        if !more {
            assembler.finish();
        }
        while let Some(message) = assembler.poll_message() {
            items.push(message);
        }
        if items.len() >= BATCH || !more {
            let full = std::mem::replace(&mut items, Vec::with_capacity(BATCH));
            let batch = Batch {
                number,
                items: full,
                coverage: std::iter::from_fn(|| assembler.poll_coverage()).collect(),
            };
            number += 1;
            // Nobody takes it: a later stage has failed and says so itself.
            if output.send(batch).is_err() {
                break;
            }
        }
        if !more {
            break;
        }
    }
    assembler.counters()
}

fn judge_batches(
    mut judge: Judge,
    fetch: Option<&FetchLink>,
    input: &Receiver<Batch<Message>>,
    output: &Sender<Batch<Judged>>,
) {
    for batch in input {
        if let Some(link) = fetch {
            judge.handle_credentials(link.client.credentials());
        }
        let judged = Batch {
            number: batch.number,
            items: batch.items.into_iter().map(|m| judge.judge(m)).collect(),
            coverage: batch.coverage,
        };
        if output.send(judged).is_err() {
            return;
        }
    }
}

/// Collect's side of the room in which calls wait.
struct WaitingRoom {
    to_park: Sender<Parked>,
    released: Receiver<Released>,
    when_full: WhenFull,
}

fn collect_batches(
    mut collector: Collector,
    store: &mut (dyn Store + Send),
    input: &Receiver<Batch<Judged>>,
    room: Option<WaitingRoom>,
) -> Result<Report, PipelineError> {
    let mut report = Report::default();
    let mut early = BTreeMap::new();
    let mut next = 0;
    let nobody = never();
    let released = room.as_ref().map_or(&nobody, |r| &r.released);
    loop {
        let batch = select! {
            recv(input) -> batch => batch.ok(),
            recv(released) -> call => {
                collector.handle_released(call.map_err(|_| PipelineError::Died("park"))?);
                write(&mut collector, store, &mut report)?;
                continue;
            }
        };
        let Some(batch) = batch else { break };
        early.insert(batch.number, batch);
        if early.len() > WAITING {
            // A batch that should have come long ago: its judge is dead.
            return Err(PipelineError::Died("judge"));
        }
        while let Some(batch) = early.remove(&next) {
            next += 1;
            for judged in batch.items {
                collector.handle(judged);
                if let Some(room) = &room {
                    room.take(&mut collector)?;
                }
                write(&mut collector, store, &mut report)?;
            }
            for row in &batch.coverage {
                store.append_coverage(row)?;
            }
        }
    }
    collector.finish();
    write(&mut collector, store, &mut report)?;
    // The source has ended; who waits still goes on by himself.
    while collector.held() > 0 {
        let call = released.recv().map_err(|_| PipelineError::Died("park"))?;
        collector.handle_released(call);
        write(&mut collector, store, &mut report)?;
    }
    store.commit()?;
    report.collect = collector.counters();
    report.attempts = collector.attempt_counters();
    report.replays = collector.replay_counters();
    report.skews = collector.skews().clone();
    report.tallies = collector.tallies().clone();
    report.parked = collector.park_counters();
    Ok(report)
}

impl WaitingRoom {
    /// Sends calls to wait, and waits for one to leave where there is no more room.
    fn take(&self, collector: &mut Collector) -> Result<(), PipelineError> {
        let died = || PipelineError::Died("park");
        while let Some(parked) = collector.poll_parked() {
            self.to_park.send(parked).map_err(|_| died())?;
        }
        while self.when_full == WhenFull::Wait && collector.is_full() {
            collector.handle_released(self.released.recv().map_err(|_| died())?);
        }
        Ok(())
    }
}

fn write(
    collector: &mut Collector,
    store: &mut (dyn Store + Send),
    report: &mut Report,
) -> Result<(), StoreError> {
    while let Some(output) = collector.poll_output() {
        match output {
            Output::Begin(begin) => {
                store.append_begin(&begin)?;
                report.begins += 1;
                let (first, last) = report.span.unwrap_or((begin.at, begin.at));
                report.span = Some((first.min(begin.at), last.max(begin.at)));
                if report.begins.is_multiple_of(RECORDS_PER_COMMIT) {
                    store.commit()?;
                }
            }
            Output::Evidence(evidence) => {
                store.append_evidence(&evidence)?;
                report.evidence += 1;
            }
            Output::End(end) => {
                store.append_end(&end)?;
                report.ends += 1;
            }
        }
    }
    Ok(())
}
