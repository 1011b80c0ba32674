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

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::base::Timestamp;
use crate::call::attempt::{AttemptCounters, AttemptLimits};
use crate::call::record::Coverage;
use crate::capture::{CaptureError, Merge};
use crate::config::Config;
use crate::engine::assemble::{AssembleCounters, AssembleLimits, Assembler};
use crate::engine::collect::{
    CollectCounters, CollectSettings, Collector, Output, Tally, TallyKey,
};
use crate::engine::judge::{Judge, Judged};
use crate::stir::credential::Credentials;
use crate::stir::verify::VerifySettings;
use crate::store::{Store, StoreError};
use crate::wire::Message;

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
}

impl PipelineSettings {
    /// What a configuration asks for, with bounds at their defaults.
    pub fn new(config: &Config, credentials: Credentials, judges: usize) -> Self {
        Self {
            judges,
            credentials: Arc::new(credentials),
            verify: Arc::new(VerifySettings {
                window: config.freshness,
                plan: config.plan.clone(),
                crl: config.crl,
            }),
            collect: CollectSettings {
                peers: config.peers.clone(),
                own_numbers: config.provider.own_numbers.clone(),
                sensors: vec![config.sensor.clone()],
                clock: config.clock,
                config: config.version,
                limits: AttemptLimits::default(),
            },
            assemble: AssembleLimits::default(),
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
    /// By neighbour.
    pub tallies: BTreeMap<TallyKey, Tally>,
    /// Records written, first halves.
    pub begins: u64,
    /// Second halves written.
    pub ends: u64,
    /// First and last capture time of a record.
    pub span: Option<(Timestamp, Timestamp)>,
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
        let judges: Vec<_> = (0..settings.judges.max(1))
            .map(|_| {
                let (input, output) = (from_assemble.clone(), to_collect.clone());
                let judge = Judge::new(settings.credentials.clone(), settings.verify.clone());
                thread::Builder::new()
                    .name("judge".to_owned())
                    .spawn_scoped(scope, move || judge_batches(judge, &input, &output))
            })
            .collect::<Result<_, _>>()?;
        // The stages end when nobody holds the sending end of their queue.
        drop((from_assemble, to_collect));
        let collector = Collector::new(settings.collect.clone(), store.last_uid() + 1);
        let collect = thread::Builder::new()
            .name("collect".to_owned())
            .spawn_scoped(scope, move || {
                collect_batches(collector, store, &from_judges)
            })?;

        let assembler = Assembler::new(settings.assemble)
            .with_sensors(settings.collect.sensors.iter().cloned());
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
    input: &Receiver<Batch<Message>>,
    output: &Sender<Batch<Judged>>,
) {
    for batch in input {
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

fn collect_batches(
    mut collector: Collector,
    store: &mut (dyn Store + Send),
    input: &Receiver<Batch<Judged>>,
) -> Result<Report, PipelineError> {
    let mut report = Report::default();
    let mut waiting = BTreeMap::new();
    let mut next = 0;
    for batch in input {
        waiting.insert(batch.number, batch);
        if waiting.len() > WAITING {
            // A batch that should have come long ago: its judge is dead.
            return Err(PipelineError::Died("judge"));
        }
        while let Some(batch) = waiting.remove(&next) {
            next += 1;
            for judged in batch.items {
                collector.handle(judged);
                write(&mut collector, store, &mut report)?;
            }
            for row in &batch.coverage {
                store.append_coverage(row)?;
            }
        }
    }
    collector.finish();
    write(&mut collector, store, &mut report)?;
    store.commit()?;
    report.collect = collector.counters();
    report.attempts = collector.attempt_counters();
    report.tallies = collector.tallies().clone();
    Ok(report)
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
            Output::End(end) => {
                store.append_end(&end)?;
                report.ends += 1;
            }
        }
    }
    Ok(())
}
