//! What runs on the threads: a judge, and collect.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, never, select};

use super::live::{Live, Order};
use super::{Batch, PipelineError, PipelineSettings, Report, SHOWN, WhenFull};
use crate::call::attempt::Snapshot;
use crate::call::attempt::snapshot::Refused;
use crate::call::classify::campaign::CampaignState;
use crate::call::classify::finding::Change;
use crate::call::record::Coverage;
use crate::engine::collect::{Collector, Output};
use crate::engine::judge::{Judge, Judged};
use crate::engine::park::{Parked, Released};
use crate::findings::Tap;
use crate::host::clock;
use crate::store::Store;
use crate::store::embedded::GroupCommit;
use crate::wire::Message;

/// Batches that collect keeps while an earlier one is missing: more than both queues hold and any number of judges has in hand.
const WAITING: usize = 4 * super::QUEUE;

/// How often a daemon's counts are shown; its records are durable by then at the latest.
const TICK: Duration = Duration::from_secs(1);

/// How far collect's time stays behind the wall while nothing comes: a message that waited for a fragment comes 30 s late (`wire::ip::reassembly`), and
/// queues take their time. So no message comes before the time that collect was told.
const LATE: Duration = Duration::from_secs(35);

/// One judge: until there are no more batches.
pub(super) fn judge(
    settings: &PipelineSettings,
    input: &Receiver<Batch<Message>>,
    output: &Sender<Batch<Judged>>,
) {
    let (fetch, live) = (settings.fetch.as_ref(), settings.live.as_ref());
    let mut judge = Judge::new(settings.credentials.clone(), settings.verify.clone())
        .with_evidence(settings.evidence);
    if fetch.is_some() {
        judge = judge.asking();
    }
    for batch in input {
        if let Some(live) = live {
            judge.handle_credentials(live.credentials.load_full());
            judge.handle_settings(live.verify.load_full());
        }
        if let Some(link) = fetch {
            judge.handle_credentials(link.client.credentials());
        }
        let items = batch.items.into_iter();
        let judged = Batch {
            number: batch.number,
            items: match batch.verify {
                true => items.map(|m| judge.judge(m)).collect(),
                false => items.map(|m| judge.pass(m)).collect(),
            },
            coverage: batch.coverage,
            verify: batch.verify,
        };
        if output.send(judged).is_err() {
            return;
        }
    }
}

/// Collect's side of the room in which calls wait.
pub(super) struct WaitingRoom {
    pub to_park: Sender<Parked>,
    pub released: Receiver<Released>,
    pub when_full: WhenFull,
}

/// Collect: until there are no more batches and nobody waits.
pub(super) fn collect(
    collector: Collector,
    store: &mut (dyn Store + Send),
    live: Option<&Live>,
    findings: Option<&Tap>,
    input: &Receiver<Batch<Judged>>,
    room: Option<WaitingRoom>,
    group_commit: GroupCommit,
) -> Result<Report, PipelineError> {
    Collect {
        collector,
        store,
        findings,
        report: Report::default(),
        rows: VecDeque::new(),
        group_commit,
    }
    .run(live, input, room.as_ref())
}

pub(super) struct Collect<'a> {
    pub collector: Collector,
    pub store: &'a mut (dyn Store + Send),
    /// Whom to tell of what is flagged. Telling never waits.
    pub findings: Option<&'a Tap>,
    pub report: Report,
    /// Rows of the ledger that must not be written yet.
    pub rows: VecDeque<Coverage>,
    /// When records are made durable.
    pub group_commit: GroupCommit,
}

impl Collect<'_> {
    fn run(
        mut self,
        live: Option<&Live>,
        input: &Receiver<Batch<Judged>>,
        room: Option<&WaitingRoom>,
    ) -> Result<Report, PipelineError> {
        if let Some(before) = live.and_then(|l| l.carried.take_before()) {
            self.resume(before);
        }
        if let Some(memory) = live.and_then(|l| l.carried.take_memory()) {
            self.collector.handle_memory(memory);
        }
        let mut early = BTreeMap::new();
        let mut next = 0;
        let (no_call, no_order) = (never(), never());
        let released = room.map_or(&no_call, |r| &r.released);
        let mut orders = live.map_or(&no_order, |l| &l.orders);
        let every = self.group_commit.every.min(TICK);
        let tick = live.map_or(Duration::MAX, |_| every);
        let mut ticked = Instant::now();
        let mut committed = ticked;
        loop {
            if let Some(live) = live
                && ticked.elapsed() >= TICK
            {
                ticked = Instant::now();
                committed = ticked;
                self.tick(live)?;
            } else if live.is_some() && committed.elapsed() >= every {
                committed = Instant::now();
                self.store.commit()?;
            }
            let batch = select! {
                recv(input) -> batch => batch.ok(),
                recv(released) -> call => {
                    self.release(call.map_err(|_| PipelineError::Died("park"))?)?;
                    continue;
                }
                recv(orders) -> order => {
                    match order {
                        Ok(order) => self.obey(order)?,
                        // Whoever gives them is gone: there will be none.
                        Err(_) => orders = &no_order,
                    }
                    continue;
                }
                default(tick) => continue,
            };
            let Some(batch) = batch else { break };
            early.insert(batch.number, batch);
            if early.len() > WAITING {
                // A batch that should have come long ago: its judge is dead.
                return Err(PipelineError::Died("judge"));
            }
            while let Some(batch) = early.remove(&next) {
                next += 1;
                if let (Some(_), Some(last)) = (live, batch.items.last()) {
                    self.report.lag = Some(clock::now().distance(last.at));
                }
                for judged in batch.items {
                    self.handle(judged, room)?;
                }
                self.rows.extend(batch.coverage);
                if room.is_none() {
                    self.write_rows()?;
                }
            }
        }
        if let (Some(live), Some(mark)) = (live, live.and_then(|_| clock::mark())) {
            live.carried
                .leave(self.collector.snapshot(clock::now(), mark));
        }
        self.collector.finish();
        self.write()?;
        // The source has ended; who waits still goes on by himself.
        while self.collector.held() > 0 {
            let call = released.recv().map_err(|_| PipelineError::Died("park"))?;
            self.release(call)?;
        }
        self.write_rows()?;
        self.store.commit()?;
        self.publish();
        if let Some(live) = live {
            live.board.show(self.report.clone());
            live.carried.leave_memory(self.collector.take_memory());
        }
        Ok(self.report)
    }

    /// One message. A panic is a defect of ours: it costs what was known of open calls, and never the process.
    fn handle(&mut self, judged: Judged, room: Option<&WaitingRoom>) -> Result<(), PipelineError> {
        let collector = &mut self.collector;
        if catch_unwind(AssertUnwindSafe(|| collector.handle(judged))).is_err() {
            self.collector.rebuild(self.store.last_uid() + 1);
            self.report.collect_rebuilt += 1;
        }
        if let Some(room) = room {
            room.take(&mut self.collector)?;
        }
        self.write()
    }

    /// Takes over what was open before a restart, or says why not.
    fn resume(&mut self, before: Result<Snapshot, Refused>) {
        let (now, mark) = (clock::now(), clock::mark());
        let calls = before.as_ref().map_or(1, Snapshot::len);
        let resumed = before.and_then(|snapshot| {
            let mark = mark.ok_or(Refused::OtherClock)?;
            self.collector.resume(snapshot, now, mark)
        });
        match resumed {
            Ok(resumed) => tracing::info!(calls, resumed, "calls that were open go on"),
            Err(why) => {
                let calls = u64::try_from(calls).unwrap_or(u64::MAX);
                self.collector.count_not_resumed(calls);
                tracing::warn!("calls that were open at the last end stay unfinished: {why}");
            }
        }
    }

    pub fn release(&mut self, call: Released) -> Result<(), PipelineError> {
        self.collector.handle_released(call);
        self.write()
    }

    fn obey(&mut self, order: Order) -> Result<(), PipelineError> {
        match order {
            Order::Settings(settings) => self.collector.handle_settings(*settings),
            Order::Clock(clock) => self.collector.handle_clock(clock),
            Order::Step => {
                self.collector.handle_step();
                self.write()?;
            }
        }
        Ok(())
    }

    /// Once a second: calls end by time, records become durable, counts are shown.
    fn tick(&mut self, live: &Live) -> Result<(), PipelineError> {
        self.collector.handle_time(clock::now().minus(LATE));
        self.write()?;
        self.write_rows()?;
        self.store.commit()?;
        self.publish();
        live.board.show(self.report.clone());
        Ok(())
    }

    /// Writes rows of the ledger up to the oldest call that still waits for its certificate: it has no record yet, and if we die now no row may say
    /// that its time was covered.
    pub fn write_rows(&mut self) -> Result<(), PipelineError> {
        let oldest = self.collector.oldest_held();
        let known = |row: &mut Coverage| oldest.is_none_or(|at| row.until <= at);
        while let Some(row) = self.rows.pop_front_if(known) {
            self.store.append_coverage(&row)?;
        }
        Ok(())
    }

    fn publish(&mut self) {
        let (report, collector) = (&mut self.report, &self.collector);
        report.collect = collector.counters();
        report.attempts = collector.attempt_counters();
        report.legs = collector.leg_counters();
        report.replays = collector.replay_counters();
        report.skews = collector.skews().clone();
        report.memory = collector.memory_counters();
        report.unknown = collector.unknown().busiest();
        report.unknown_evicted = collector.unknown().evicted();
        report.tallies = collector.tallies().clone();
        report.parked = collector.park_counters();
        report.behaviour = collector.behaviours().counters();
        report.findings_open = collector.behaviours().open();
        report.campaign = collector.campaigns().counters();
        report.campaigns_open = collector.campaigns().open();
        report.campaign_calls = collector.campaigns().calls().clone();
    }

    fn write(&mut self) -> Result<(), PipelineError> {
        let (store, report) = (&mut *self.store, &mut self.report);
        while let Some(output) = self.collector.poll_output() {
            match output {
                Output::Begin(begin) => {
                    store.append_begin(&begin)?;
                    report.begins += 1;
                    let (first, last) = report.span.unwrap_or((begin.at, begin.at));
                    report.span = Some((first.min(begin.at), last.max(begin.at)));
                    if report.begins.is_multiple_of(self.group_commit.records) {
                        store.commit()?;
                    }
                    if let Some(tap) = self.findings {
                        tap.tell_call(begin);
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
                Output::Finding(finding) => {
                    report.findings += 1;
                    let closed = &mut report.findings_closed;
                    if finding.change == Change::Closed && closed.len() < SHOWN {
                        closed.push(Arc::new((*finding).clone()));
                    }
                    if let Some(tap) = self.findings {
                        tap.tell_behaviour(finding);
                    }
                }
                Output::Campaign(campaign) => {
                    store.append_campaign(&campaign)?;
                    report.campaigns += 1;
                    let closed = &mut report.campaigns_closed;
                    if campaign.state == CampaignState::Closed
                        && campaign.volume > 0
                        && closed.len() < SHOWN
                    {
                        closed.push(Arc::new((*campaign).clone()));
                    }
                    if let Some(tap) = self.findings {
                        tap.tell_campaign(campaign);
                    }
                }
            }
        }
        Ok(())
    }
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
