//! The daemon's life: open, give up privileges, watch, reload, drain.
//!
//! ```text
//! configuration ─► sockets and rings ─► no capability, no root ─► confined ─► store, trust ─► READY ─► signals … ─► drained
//! ```
//!
//! Everything that needs a privilege is opened on the first thread before there is another one, and then no privilege is left. Reload takes all of a new
//! configuration or nothing of it. The end comes in the order in which data flows: sources, judges, collect, store, findings, HTTP.
//!
//! - `open`: with privileges · `start`: threads · `reload`: SIGHUP · `pulse`: the watchdog · `sensors`: who looks, by number

mod open;
mod pulse;
mod reload;
mod sensors;
mod start;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use crossbeam_channel::Sender;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::intake::Note;
use super::metrics::snapshot;
use super::page::day::Day;
use super::page::strip::{self, Ledger};
use super::pipeline::{Live, Order, PipelineError, Report};
use super::status::Known;
use super::trust::{Trust, TrustError};
use crate::base::Timestamp;
use crate::call::peer::PeerKind;
use crate::call::peer::unknown::UnknownNeighbour;
use crate::capture::hep::{HepError, HepHandle};
use crate::capture::live::LiveError;
use crate::config::{Config, Problem};
use crate::daemon::neighbours;
use crate::engine::sequence::Caught;
use crate::findings::{Findings, tap};
use crate::host::clock::{self, StepWatch};
use crate::host::log::{self, LogHandle};
use crate::host::privilege::PrivilegeError;
use crate::host::process;
use crate::host::supervisor;
use crate::host::trouble::Trouble;
use crate::responder::api::{ApiError, RunningApi};
use crate::responder::service::{self, ServiceError};
use crate::store::Lookup as _;
use crate::store::StoreError;
use crate::store::embedded::{CurrentReader, EmbeddedStore};
use crate::store::engine::Forwarder;
use crate::web::{RunningWeb, WebError};
use open::Opened;
use pulse::Pulse;
use sensors::Sensors;

/// How often the first thread looks at signals and at the others.
const TICK: Duration = Duration::from_millis(100);

/// How often the clock's state is asked for: it drifts by milliseconds meanwhile.
const CLOCK: Duration = Duration::from_secs(10);

/// How often the store is measured: tens of thousands of files after months, a tenth of a second's work.
const SIZE: Duration = Duration::from_secs(600);

/// How often what is known of neighbours goes to disk: whoever adds a rule can wait for a minute.
const NEIGHBOURS: Duration = Duration::from_secs(60);

/// How often the ledger of the last day is read for the page: it grows by a row a minute.
const LEDGER: Duration = Duration::from_secs(60);

/// How long the end may take: systemd waits 90 s by default, an operator less.
const DRAIN: Duration = Duration::from_secs(10);

/// Why the daemon did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration.
    #[error("{}", .0.iter().map(|p| format!("\n{p}")).collect::<String>())]
    Config(Vec<Problem>),
    /// There is nothing to watch.
    #[error(
        "nothing to watch and nobody to answer: neither an interface nor a HEP listener is configured, and the responder is off\n    {remedy}"
    )]
    Nothing {
        /// What to write.
        remedy: &'static str,
    },
    /// An interface.
    #[error(transparent)]
    Live(#[from] LiveError),
    /// Privileges.
    #[error(transparent)]
    Privilege(#[from] PrivilegeError),
    /// The folder of the state.
    #[error("{path}: {source}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Trust.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The stages.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// No thread, no signals.
    #[error("can't start: {0}")]
    System(#[from] std::io::Error),
    /// A thread that should never end did.
    #[error("the {0} thread ended; what is durable stays, please report this with the log")]
    Died(&'static str),
    /// At the end the store took nothing, and there was no more time to wait.
    #[error(
        "{0} records could not be stored and are lost: the store refused them to the end; make room, the next start says since when nobody looked"
    )]
    Lost(u64),
    /// The end took too long.
    #[error("not drained within {} s: {what}; what is durable stays", DRAIN.as_secs())]
    NotDrained {
        /// What did not end.
        what: &'static str,
    },
    /// HEP.
    #[error(transparent)]
    Hep(#[from] HepError),
    /// Metrics and health.
    #[error(transparent)]
    Web(#[from] WebError),
    /// Answers to traceback requests.
    #[error(transparent)]
    Responder(#[from] ServiceError),
    /// Its API.
    #[error(transparent)]
    Api(#[from] ApiError),
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
///
/// [`RunError`].
pub fn run(path: &Path) -> Result<(), RunError> {
    let config = Config::load(path).map_err(RunError::Config)?;
    let (log, note) = match log::start(config.log) {
        Ok((log, note)) => (Some(log), note),
        // Somebody else in this process has a log already: a test.
        Err(_) => (None, None),
    };
    if let Some(note) = note {
        tracing::warn!("{note}");
    }
    process::allow_files();
    let signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    let opened = Opened::open(&config)?;
    let mut daemon = Daemon::start(path, config, opened, log)?;
    let ended = daemon.watch(signals);
    daemon.end(ended)
}

/// A running daemon.
struct Daemon {
    path: PathBuf,
    config: Config,
    trust: Trust,
    steering: Live,
    orders: Sender<Order>,
    notes: Sender<Note>,
    stop: Arc<AtomicBool>,
    sensors: Sensors,
    readers: Vec<JoinHandle<()>>,
    hep: Option<HepHandle>,
    stages: Option<JoinHandle<Result<(Report, u64), PipelineError>>>,
    findings: Option<Findings>,
    responder: Option<service::Running>,
    forwarder: Option<Forwarder>,
    api: Option<RunningApi>,
    /// Held by a daemon without a source, whose intake would be over at once.
    idle: Option<Sender<Caught>>,
    web: Option<RunningWeb>,
    log: Option<LogHandle>,
    known: Known,
    /// Reads the ledger for the page.
    reader: CurrentReader,
    shown: Arc<ArcSwap<Known>>,
    asking: Trouble,
    keeping: Trouble,
    /// Neighbours that no rule knows, as last written.
    unknown: Vec<UnknownNeighbour>,
}

impl Daemon {
    /// Turns until a signal or a defect ends it.
    fn watch(&mut self, mut signals: Signals) -> Result<(), RunError> {
        let interfaces = self.config.capture.interfaces.iter();
        let agents = self.config.hep.iter().flat_map(|h| &h.agents);
        let watched = interfaces.map(|i| &*i.name);
        let watched: Vec<_> = watched.chain(agents.map(|a| &*a.name)).collect();
        let portals = self.config.responder.iter().flat_map(|r| &r.portals);
        let portals: Vec<_> = portals.map(|p| &*p.name).collect();
        let answering = match portals[..] {
            [] => String::new(),
            _ => format!(", answering {}", portals.join(", ")),
        };
        let watching = match watched[..] {
            [] => "nothing".to_owned(),
            _ => watched.join(", "),
        };
        let summary = match self.config.nothing_to_do() {
            Some(_) => format!("nothing to watch yet: {} says how", self.path.display()),
            None => format!(
                "watching {watching} with {} neighbours{answering}",
                self.config.peers.peers.len(),
            ),
        };
        tracing::info!(config = %self.path.display(), version = self.config.version, "{summary}");
        supervisor::ready(&summary);
        self.show(true);
        let mut steps = StepWatch::start();
        let mut clock_due = Instant::now();
        let mut size_due = Instant::now();
        let mut neighbours_due = Instant::now();
        let mut ledger_due = Instant::now();
        let mut pulse = Pulse::new(supervisor::watchdog());
        loop {
            for signal in signals.pending() {
                match signal {
                    SIGHUP => {
                        self.reload();
                        neighbours_due = Instant::now();
                    }
                    _ => {
                        tracing::info!("told to end: draining");
                        return Ok(());
                    }
                }
            }
            if let Some(step) = steps.look() {
                tracing::warn!(before = %step.before, after = %step.after, "the clock was set: open calls end as they stand, and the ledger says so");
                let _ = self.notes.send(Note::Step(step));
                let _ = self.orders.send(Order::Step);
                self.known.steps += 1;
                let counted = self.steering.board.report().tallies.clone();
                let day = self.known.day.step(clock::now(), counted);
                self.begin_day(day);
            }
            self.look_at_the_day();
            if clock_due <= Instant::now() {
                clock_due = Instant::now() + CLOCK;
                self.ask_clock();
            }
            if neighbours_due <= Instant::now() {
                neighbours_due = Instant::now() + NEIGHBOURS;
                self.keep_neighbours();
            }
            if size_due <= Instant::now() {
                size_due = Instant::now() + SIZE;
                self.known.store_bytes = EmbeddedStore::size_on_disk(&self.config.store.path).ok();
                self.shown.store(Arc::new(self.known.clone()));
            }
            if ledger_due <= Instant::now() {
                ledger_due = Instant::now() + LEDGER;
                self.read_ledger();
            }
            pulse.turn(self.steering.board.beats());
            if self.stages.as_ref().is_none_or(JoinHandle::is_finished) {
                return Err(RunError::Died("intake"));
            }
            if self.readers.iter().any(JoinHandle::is_finished) {
                return Err(RunError::Died("reading"));
            }
            if self.hep.as_ref().is_some_and(HepHandle::is_finished) {
                return Err(RunError::Died("hep"));
            }
            if self.responder.as_ref().is_some_and(|r| !r.is_alive()) {
                return Err(RunError::Died("responder"));
            }
            if self.forwarder.as_ref().is_some_and(|f| !f.is_alive()) {
                return Err(RunError::Died("forward"));
            }
            if self.api.as_ref().is_some_and(|a| !a.is_alive()) {
                return Err(RunError::Died("api"));
            }
            if self.web.as_ref().is_some_and(|w| !w.is_alive()) {
                return Err(RunError::Died("http"));
            }
            thread::sleep(TICK);
        }
    }

    /// Shows trust and configuration, as they are after a start or a reload.
    fn show(&mut self, good: bool) {
        let loaded = self.trust.held().current();
        let crl = loaded
            .lists
            .crl
            .as_ref()
            .and_then(|c| c.window().next_update);
        self.known.trust = snapshot::Trust {
            certificates: loaded.certificates,
            authorities: loaded.authorities,
            ca_list_ends: loaded.ca_list_ends,
            crl_ends: crl.map(Timestamp::from_secs),
            loaded: Some(clock::now()),
            kept_old: self.trust.held().trouble().is_some(),
            notes: loaded.notes.len(),
        };
        self.known.trusts = self.config.credentials.trust_anything();
        let peers = self.config.peers.peers.iter();
        let others = peers.filter(|p| p.kind != PeerKind::Own);
        self.known.neighbours = others.map(|p| p.id.clone()).collect();
        self.known.config = snapshot::Configured {
            version: self.config.version,
            reloaded: clock::now(),
            good,
        };
        self.shown.store(Arc::new(self.known.clone()));
    }

    /// Keeps the table of neighbours that records name, and the list of those whom no rule knows.
    fn keep_neighbours(&mut self) {
        self.keep_unknown(&self.steering.board.report());
        let kept = neighbours::keep_table(&self.config);
        self.keeping.handle(&kept);
    }

    fn keep_unknown(&mut self, report: &Report) {
        if report.unknown != self.unknown {
            let written = neighbours::write_unknown(&self.config.store.path, report, clock::now());
            if written.is_ok() {
                self.unknown.clone_from(&report.unknown);
            }
            self.keeping.handle(&written);
        }
    }

    /// After midnight, and when counts began anew, today is another day.
    fn look_at_the_day(&mut self) {
        let board = &self.steering.board;
        let counted = || board.report().tallies.clone();
        if let Some(day) = self.known.day.next(clock::now(), board.rebuilt(), counted) {
            self.begin_day(day);
        }
    }

    fn begin_day(&mut self, day: Day) {
        self.known.day = Arc::new(day);
        self.shown.store(Arc::new(self.known.clone()));
    }

    /// Reads the last day of the ledger, for the page: some thousand rows.
    fn read_ledger(&mut self) {
        let now = clock::now();
        let (from, until) = strip::span(now);
        let expected = self.config.sensors();
        let ledger = match self.reader.load().as_ref().map(|r| r.coverage(from, until)) {
            Some(Ok(rows)) => Ledger::of(rows, &expected, now),
            Some(Err(e)) => Ledger::unread(e.to_string()),
            None => Ledger::unread("the store is not open".to_owned()),
        };
        self.known.ledger = Arc::new(ledger);
        self.shown.store(Arc::new(self.known.clone()));
    }

    fn ask_clock(&mut self) {
        let asked = clock::state();
        self.asking.handle(&asked);
        // Where there is no answer, records go on with what the configuration says of the clock.
        if let Ok(state) = asked {
            self.known.clock = Some(state);
            self.shown.store(Arc::new(self.known.clone()));
            let _ = self.notes.send(Note::Clock(clock::now(), state));
            let _ = self.orders.send(Order::Clock(clock::of_records(state)));
        }
    }

    /// Drains in the order in which data flows. What does not end in time is named.
    fn end(mut self, ended: Result<(), RunError>) -> Result<(), RunError> {
        supervisor::stopping();
        let until = Instant::now() + DRAIN;
        self.stop.store(true, Ordering::Relaxed);
        self.steering.hurry.store(true, Ordering::Relaxed);
        if let Some(hep) = self.hep.take()
            && let Err(e) = hep.stop()
        {
            tracing::error!("HEP: {e}");
        }
        let done = |h: &JoinHandle<_>| h.is_finished();
        while Instant::now() < until && !self.readers.iter().all(done) {
            thread::sleep(Duration::from_millis(10));
        }
        for reader in self.readers.drain(..) {
            if !reader.is_finished() {
                return Err(RunError::NotDrained { what: "reading" });
            }
            // A panic there was said when it happened.
            let _ = reader.join();
        }
        self.idle = None;
        let Some(stages) = self.stages.take() else {
            return ended;
        };
        while Instant::now() < until && !stages.is_finished() {
            thread::sleep(Duration::from_millis(10));
        }
        if !stages.is_finished() {
            return Err(RunError::NotDrained { what: "the stages" });
        }
        let (report, lost) = stages.join().map_err(|_| RunError::Died("intake"))??;
        if let Some(findings) = self.findings.take() {
            let unsent = findings.stop(until.min(Instant::now() + tap::DRAIN));
            if unsent > 0 {
                tracing::warn!(
                    unsent,
                    "findings that could not be delivered before the end"
                );
            }
        }
        if let Some(responder) = self.responder.take()
            && !responder.stop(until)
        {
            return Err(RunError::NotDrained {
                what: "the responder",
            });
        }
        if let Some(api) = self.api.take() {
            api.stop();
        }
        // What has not been forwarded is on disk, and goes on after the next start.
        if let Some(forwarder) = self.forwarder.take() {
            forwarder.stop(until);
        }
        self.keep_unknown(&report);
        self.trust.stop();
        if let Some(web) = self.web.take() {
            web.stop();
        }
        if lost > 0 {
            return Err(RunError::Lost(lost));
        }
        tracing::info!(records = report.begins, "drained");
        ended
    }
}
