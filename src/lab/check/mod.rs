//! Any number of calls, straight through the engine, each record held against its truth: no file of gigabytes, and memory for some minutes of
//! calls.
//!
//! In go the configuration that [`super::write_settings`] wrote and a number of calls; out comes a [`CheckReport`]. Calls are made in slices of
//! [`SLICE`], at the rate of a lab; the messages of a slice that come later wait for the next. They enter as SIP messages: frames, fragments and
//! streams are what `calls.pcap` and its tests are for.
//!
//! - [`compare`]: one record against one line of truth
//! - [`ledger`]: which record is whose
//! - [`score`]: precision and recall of the flags that count

pub mod compare;
pub mod ledger;
pub mod score;

use std::fmt;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use ledger::Ledger;
use score::Scores;

use super::call::bridge::Bridge;
use super::call::dialog::Sent;
use super::call::plan::{SECOND, Scope};
use super::call::traffic;
use super::pki::Pki;
use super::truth::{SignedNumbers, Truth};
use super::{DEFAULT_BASE, LabError};
use crate::base::Timestamp;
use crate::daemon::pipeline::PipelineSettings;
use crate::engine::collect::{CollectCounters, Collector, Output};
use crate::engine::judge::{Judge, Judged};
use crate::wire;

/// Calls in a slice: 80,000 messages, a hundred megabytes at most.
const SLICE: usize = 5_000;
/// Calls a second: a million are fourteen hours, within the day for which the lab's lists are good.
const RATE: usize = 20;
/// Messages that the judges share at a time.
const BATCH: usize = 8_192;

/// What to check.
#[derive(Clone, Copy, Debug)]
pub struct CheckOptions {
    /// About how many calls.
    pub calls: usize,
    /// What everything random comes from.
    pub seed: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct CheckReport {
    /// Calls that the lab made.
    pub calls: usize,
    /// Their legs: lines of truth.
    pub legs: usize,
    /// Messages.
    pub messages: u64,
    /// Records that differ from their truth, have none, or are missing.
    pub wrong: usize,
    /// The first of these.
    pub examples: Vec<String>,
    /// Kinds of calls.
    pub kinds: usize,
    /// Most records that waited for their end at once.
    pub most_open: usize,
    /// Seconds that it took.
    pub seconds: f64,
    /// Of the flags that count.
    pub scores: Scores,
}

/// In words.
impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} calls, {} legs, {} messages in {:.0} s; {} kinds of calls; {} open at once at most",
            self.calls, self.legs, self.messages, self.seconds, self.kinds, self.most_open
        )?;
        for example in &self.examples {
            writeln!(f, "  {example}")?;
        }
        match self.wrong {
            0 => writeln!(f, "every record is as its truth says")?,
            n => writeln!(f, "{n} records are not as their truth says")?,
        }
        write!(f, "{}", self.scores)
    }
}

/// One slice of the traffic.
struct Slice {
    calls: usize,
    /// Messages in order of time; none that comes later is before `until`.
    sent: Vec<Sent>,
    truth: Vec<Truth>,
}

/// Makes calls, runs the engine and compares.
///
/// # Errors
///
/// [`LabError`], when a certificate can't be made.
pub fn check(settings: &PipelineSettings, options: CheckOptions) -> Result<CheckReport, LabError> {
    let begun = Instant::now();
    let pki = Pki::new(options.seed, DEFAULT_BASE)?;
    let mut engine = Engine::new(settings);
    let mut ledger = Ledger::default();
    let (mut calls, mut legs) = (0, 0);
    std::thread::scope(|scope| {
        // One slice is made while the one before is judged.
        let (give, take) = sync_channel(1);
        scope.spawn(move || {
            let mut later = Vec::new();
            let mut signed = SignedNumbers::default();
            let slices = options.calls.div_ceil(SLICE).max(1);
            for i in 0..slices {
                let count = (options.calls - i * SLICE).min(SLICE);
                let mut slice = slice(&pki, options.seed, i, count, i + 1 == slices, &mut later);
                slice.truth.sort_by_key(|t| t.at);
                signed.flag(slice.truth.iter_mut());
                if give.send(slice).is_err() {
                    return;
                }
            }
        });
        let take: Receiver<Slice> = take;
        for slice in take {
            calls += slice.calls;
            legs += slice.truth.len();
            ledger.expect(slice.truth);
            for batch in slice.sent.chunks(BATCH) {
                engine.handle(batch, &mut ledger);
            }
        }
    });
    engine.finish(&mut ledger);
    let mut report = ledger.finish();
    (report.calls, report.legs) = (calls, legs);
    report.messages = engine.counters().total();
    report.seconds = begun.elapsed().as_secs_f64();
    Ok(report)
}

/// Slice `i`. What is sent after its end goes to `later`, unless it is the last.
fn slice(pki: &Pki, seed: u64, i: usize, calls: usize, last: bool, later: &mut Vec<Sent>) -> Slice {
    let span = i64::try_from(SLICE / RATE).unwrap_or(1) * SECOND;
    let start = DEFAULT_BASE.nanos() + i64::try_from(i).unwrap_or(0) * span;
    let scope = Scope {
        start,
        span,
        run: DEFAULT_BASE.nanos(),
        calls,
        lossy: false,
    };
    let seed = seed.wrapping_add((i as u64) << 32);
    let mut plans = traffic::plan(scope, seed);
    plans.retain(|p| p.at >= start);
    let mut bridge = Bridge::new(pki, seed, start, span);
    for (n, plan) in plans.iter().enumerate() {
        bridge.play(n + 1, plan);
    }
    bridge.noise(span);
    let mut sent = std::mem::take(later);
    sent.append(&mut bridge.tape.sent);
    // Stable: messages of one instant stay in the order in which they were written.
    sent.sort_by_key(|s| s.at);
    if !last {
        *later = sent.split_off(sent.partition_point(|s| s.at < start + span));
    }
    Slice {
        calls: plans.len(),
        sent,
        truth: bridge.truth,
    }
}

/// Judges on threads of their own, and collect.
struct Engine {
    judges: Vec<Judge>,
    collector: Collector,
    seq: u64,
    now: Timestamp,
}

impl Engine {
    fn new(settings: &PipelineSettings) -> Self {
        let judge = || Judge::new(settings.credentials.clone(), settings.verify.clone());
        Self {
            judges: (0..settings.judges.max(1)).map(|_| judge()).collect(),
            collector: Collector::new(settings.collect.clone(), 1),
            seq: 0,
            now: Timestamp::MIN,
        }
    }

    fn counters(&self) -> CollectCounters {
        self.collector.counters()
    }

    fn handle(&mut self, batch: &[Sent], ledger: &mut Ledger) {
        let first = self.seq;
        self.seq += batch.len() as u64;
        let part = batch.len().div_ceil(self.judges.len()).max(1);
        let judged: Vec<Vec<Judged>> = std::thread::scope(|scope| {
            let threads: Vec<_> = self
                .judges
                .iter_mut()
                .zip(batch.chunks(part).enumerate())
                .map(|(judge, (i, sent))| {
                    let first = first + (i * part) as u64;
                    scope.spawn(move || {
                        let numbered = sent.iter().zip(first..);
                        numbered
                            .map(|(s, seq)| judge.judge(message(s, seq)))
                            .collect()
                    })
                })
                .collect();
            threads.into_iter().filter_map(|t| t.join().ok()).collect()
        });
        for judged in judged.into_iter().flatten() {
            self.now = judged.at;
            self.collector.handle(judged);
            self.take(ledger);
        }
        ledger.settle(self.now);
    }

    fn finish(&mut self, ledger: &mut Ledger) {
        self.collector
            .handle_time(self.now.plus(Duration::from_secs(300)));
        self.take(ledger);
        self.collector.finish();
        self.take(ledger);
    }

    fn take(&mut self, ledger: &mut Ledger) {
        while let Some(output) = self.collector.poll_output() {
            match output {
                Output::Begin(begin) => ledger.begin(*begin),
                Output::End(end) => ledger.end(end),
                Output::Evidence(_) | Output::Finding(_) | Output::Campaign(_) => {}
            }
        }
    }
}

/// A message as the engine takes it.
pub(super) fn message(sent: &Sent, seq: u64) -> wire::Message {
    wire::Message {
        seq,
        at: Timestamp::from_nanos(sent.at),
        flow: sent.path.flow(sent.to_us),
        sensor: 0,
        bytes: sent.bytes.clone(),
        cut: None,
    }
}
