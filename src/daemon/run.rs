//! The daemon's life: open, give up privileges, watch, reload, drain.
//!
//! ```text
//! configuration ─► sockets and rings ─► no capability, no root ─► confined ─► store, trust ─► READY ─► signals … ─► drained
//! ```
//!
//! Everything that needs a privilege is opened on the first thread before there is another one, and then no privilege is left. Reload takes all of a new
//! configuration or nothing of it. The end comes in the order in which data flows: sources, judges, collect, store, HTTP.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use crossbeam_channel::{Sender, bounded, unbounded};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::intake::{LiveIntake, Note};
use super::keeper::Keeper;
use super::metrics::snapshot;
use super::pipeline::{Live, Order, PipelineError, PipelineSettings, Report, run_intake};
use super::source::{Reader, Reading};
use super::status::{Known, Views};
use super::trust::{Trust, TrustError};
use crate::base::Timestamp;
use crate::call::record::Sensor;
use crate::capture::hep::{HepError, HepHandle, HepListener, HepSettings, why_unreadable};
use crate::capture::live::{self, LiveError, LiveSource};
use crate::config::{Config, Problem};
use crate::engine::Assembler;
use crate::engine::coverage::Accounts;
use crate::engine::mirror::{Mirror, MirrorLimits};
use crate::engine::sequence::Caught;
use crate::fetch::held::Reload;
use crate::host::clock::{self, StepWatch};
use crate::host::log::{self, LogHandle};
use crate::host::privilege::{self, Confined, Identity, PrivilegeError};
use crate::host::supervisor;
use crate::store::embedded::StoreSettings;
use crate::store::{StoreError, looked};
use crate::web::{RunningWeb, WebError, WebServer};
use crate::wire::Provenance;

/// How often the first thread looks at signals and at the others.
const TICK: Duration = Duration::from_millis(100);

/// How often the clock's state is asked for: it drifts by milliseconds meanwhile.
const CLOCK: Duration = Duration::from_secs(10);

/// How long the end may take: systemd waits 90 s by default, an operator less.
const DRAIN: Duration = Duration::from_secs(10);

/// Telegrams of all sources that may wait for intake: a source has at most one block's worth of messages in each.
const CAUGHT: usize = 256;

/// How often the stages are built anew after a defect, before the process ends and lets systemd try.
const REBUILDS: u32 = 8;

/// Why the daemon did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration.
    #[error("{}", .0.iter().map(|p| format!("\n{p}")).collect::<String>())]
    Config(Vec<Problem>),
    /// There is nothing to watch.
    #[error(
        "nothing to watch: neither an interface nor a HEP listener is configured\n    write [[capture.interface]] with name = \"eth0\", or [hep] with udp = \"127.0.0.1:9060\""
    )]
    Nothing,
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
    let signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    let opened = Opened::open(&config)?;
    let mut daemon = Daemon::start(path, config, opened, log)?;
    let ended = daemon.watch(signals);
    daemon.end(ended)
}

/// What needed privileges.
struct Opened {
    live: Vec<LiveSource>,
    hep: Option<HepListener>,
    web: Option<WebServer>,
}

impl Opened {
    fn open(config: &Config) -> Result<Self, RunError> {
        if config.capture.interfaces.is_empty() && config.hep.is_none() {
            return Err(RunError::Nothing);
        }
        // Before any socket: a second start must say that the first one runs, not that an address is taken.
        Keeper::look_for_holder(&config.store)?;
        let live = live::open(&config.capture, 0)?;
        for source in &live {
            if let Some(note) = source.note() {
                tracing::warn!(interface = %source.interface(), "{note}");
            }
        }
        let hep = config.hep.as_ref().map(HepListener::bind).transpose()?;
        let web = config.http.listen;
        let web = web
            .map(|at| WebServer::bind(at, &config.http))
            .transpose()?;
        if let Some(note) = web.as_ref().and_then(WebServer::note) {
            tracing::warn!("{note}");
        }
        let identity = match (&config.run.user, privilege::is_root()) {
            (Some(user), true) => Some(Identity::of(user)?),
            (None, true) => return Err(PrivilegeError::Root.into()),
            (_, false) => None,
        };
        for folder in folders(config) {
            prepare(&folder, identity.as_ref())?;
        }
        privilege::drop_all(identity.as_ref())?;
        if config.run.sandbox {
            let confined = privilege::confine(&readable(config), &folders(config))?;
            if confined != Confined::Fully {
                tracing::warn!(
                    "this kernel confines the file system {}",
                    match confined {
                        Confined::Partly => "in part only",
                        _ => "not at all: the unit's ProtectSystem=strict does",
                    }
                );
            }
        }
        for path in config.hep.iter().flat_map(HepSettings::paths) {
            if let Err(e) = std::fs::File::open(path) {
                let why = why_unreadable(&e);
                tracing::warn!("{}: a reload will fail: {why}", path.display());
            }
        }
        Ok(Self { live, hep, web })
    }
}

/// What the daemon writes into.
fn folders(config: &Config) -> Vec<PathBuf> {
    let beside = config.history.parent().map(Path::to_owned);
    let cache = config.fetch.folder.clone().filter(|_| config.fetch_enabled);
    [Some(config.store.clone()), beside, cache]
        .into_iter()
        .flatten()
        .collect()
}

/// What it reads, over reloads too: the configuration with all beside it, certificates, and what names and hosts need of the system.
fn readable(config: &Config) -> Vec<PathBuf> {
    let system = [
        "/etc",
        "/usr/lib",
        "/usr/lib64",
        "/lib",
        "/lib64",
        "/usr/share/zoneinfo",
        "/proc",
        "/sys/class/net",
        "/run/systemd",
        "/dev",
    ];
    let hep = config.hep.iter().flat_map(HepSettings::paths);
    let files = config.credentials.paths().chain(hep);
    // Folders, since a file that is replaced is another one.
    let folders = files.map(|p| p.parent().unwrap_or(p).to_owned());
    system
        .iter()
        .map(PathBuf::from)
        .chain([config.folder.clone()])
        .chain(folders)
        .collect()
}

fn prepare(folder: &Path, identity: Option<&Identity>) -> Result<(), RunError> {
    let made = std::fs::create_dir_all(folder);
    let owned = made.and_then(|()| identity.map_or(Ok(()), |i| i.own(folder)));
    owned.map_err(|source| RunError::Folder {
        path: folder.to_owned(),
        source,
    })
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
    stages: Option<JoinHandle<Result<Report, PipelineError>>>,
    web: Option<RunningWeb>,
    log: Option<LogHandle>,
    known: Known,
    shown: Arc<ArcSwap<Known>>,
}

impl Daemon {
    fn start(
        path: &Path,
        config: Config,
        opened: Opened,
        log: Option<LogHandle>,
    ) -> Result<Self, RunError> {
        let now = clock::now();
        let settings = StoreSettings {
            retention: config.retention,
            evidence_retention: config.evidence_retention,
            ..StoreSettings::default()
        };
        let keeper = Keeper::open(config.store.clone(), settings, clock::now)?;
        let trust = Trust::open(&config, Some(config.history.clone()), now)?;
        for note in trust.notes() {
            tracing::warn!("{note}");
        }
        let mut sensors = Sensors::of(&config);
        let hep = config.hep.clone().map(|h| sensors.number(h));
        let names = sensors.names();
        let mut accounts = Accounts::new(names.clone());
        let last = looked::last_looked(&keeper, &names, now)?;
        let mut passes = Vec::new();
        for (sensor, name) in (0u16..).zip(&names) {
            passes.push(accounts.handle_start(sensor, last.get(name), now));
        }

        let (orders, from_us) = bounded(16);
        let steering = Live {
            credentials: trust.credentials.clone(),
            verify: Arc::new(ArcSwap::from_pointee(config.verify_settings())),
            orders: from_us,
            board: Arc::default(),
            hurry: Arc::new(AtomicBool::new(false)),
        };
        let mut stages = PipelineSettings::new(
            &config,
            trust.held().current().credentials.clone(),
            judges(&config),
        );
        stages.collect.sensors = sensors.0.clone();
        stages.fetch = trust.link(&config);
        stages.live = Some(steering.clone());

        // HEP is the last of the sources.
        let hep_source = opened.live.len();
        let (to_intake, caught) = bounded::<Caught>(CAUGHT);
        let (notes, noted) = unbounded();
        let intake = LiveIntake::new(
            opened.live.len(),
            caught,
            (names.clone(), accounts),
            noted,
            clock::now,
        );
        let stop = Arc::new(AtomicBool::new(false));
        let mut readings = Vec::new();
        let mut readers = Vec::new();
        for (index, source) in opened.live.into_iter().enumerate() {
            let (limits, names) = (config.assemble, names.clone());
            let tunnels = config.capture.filter.tunnels.clone();
            let pass = passes
                .get(usize::from(source.sensor()))
                .copied()
                .unwrap_or(0);
            let _ = notes.send(Note::Begin {
                source: index,
                sensor: source.sensor(),
            });
            let name = names.get(usize::from(source.sensor()));
            let names_of = name.cloned().unwrap_or_default();
            let shown = Arc::<ArcSwap<Reading>>::default();
            readings.push(shown.clone());
            let reader = Reader {
                index,
                assembler: Box::new(move || {
                    let mut a = Assembler::new(limits)
                        .with_tunnels(tunnels.clone())
                        .with_sensors(names.iter().cloned());
                    a.begin_pass(pass);
                    a
                }),
                name: names_of.clone(),
                source,
                out: to_intake.clone(),
                notes: notes.clone(),
                stop: stop.clone(),
                shown,
            };
            let name = format!("read-{index}");
            readers.push(
                thread::Builder::new()
                    .name(name)
                    .spawn(move || reader.run())?,
            );
        }
        let hep = match (opened.hep, hep) {
            (Some(listener), Some(settings)) => {
                for agent in &settings.agents {
                    let sensor = agent.sensor;
                    let _ = notes.send(Note::Begin {
                        source: hep_source,
                        sensor,
                    });
                }
                let agents = settings.agents.iter();
                let pass = agents
                    .filter_map(|a| passes.get(usize::from(a.sensor)).copied())
                    .max();
                let mut mirror = Mirror::new(settings.agents, settings.mirror);
                mirror.begin_pass(pass.unwrap_or(0));
                Some(listener.start(mirror, to_intake.clone(), hep_source, clock::now)?)
            }
            _ => None,
        };
        drop(to_intake);
        let known = Arc::<ArcSwap<Known>>::default();
        let views = Views {
            board: steering.board.clone(),
            intake: intake.counters(),
            readings,
            hep: hep.as_ref().map(HepHandle::view),
            store: keeper.health(),
            fetch: stages.fetch.as_ref().map(|link| link.client.clone()),
            known: known.clone(),
        };
        let lost = notes.clone();
        let stages = thread::Builder::new()
            .name("intake".to_owned())
            .spawn(move || run_stages(&stages, keeper, intake, lost))?;
        let web = opened.web.map(|w| w.start(Arc::new(views))).transpose()?;
        Ok(Self {
            path: path.to_owned(),
            config,
            trust,
            steering,
            orders,
            notes,
            stop,
            sensors,
            readers,
            hep,
            stages: Some(stages),
            web,
            log,
            known: Known::default(),
            shown: known,
        })
    }
}

/// Runs the stages until the sources are gone. What breaks in them is built anew around the same store.
fn run_stages(
    settings: &PipelineSettings,
    mut keeper: Keeper,
    mut intake: LiveIntake,
    notes: Sender<Note>,
) -> Result<Report, PipelineError> {
    keeper.tell_lost(move |lost| {
        // Intake may have ended before us: then nobody writes the ledger any more.
        let _ = notes.send(Note::Lost(lost));
    });
    let mut rebuilt = 0;
    let ended = loop {
        let run = AssertUnwindSafe(|| run_intake(settings, &mut keeper, &mut intake));
        let ended = catch_unwind(run).unwrap_or(Err(PipelineError::Died("intake")));
        match ended {
            Err(e @ PipelineError::Died(_)) if rebuilt < REBUILDS => {
                tracing::error!("{e}; the stages begin anew");
                rebuilt += 1;
                if let Some(live) = &settings.live {
                    live.board.count_rebuilt();
                }
            }
            ended => break ended,
        }
    };
    let health = keeper.close();
    if health.lost > 0 {
        tracing::error!(
            lost = health.lost,
            "records could not be stored and are lost"
        );
    }
    ended
}

impl Daemon {
    /// Turns until a signal or a defect ends it.
    fn watch(&mut self, mut signals: Signals) -> Result<(), RunError> {
        let summary = format!(
            "watching {} with {} neighbours",
            self.config
                .capture
                .interfaces
                .iter()
                .map(|i| &*i.name)
                .collect::<Vec<_>>()
                .join(", "),
            self.config.peers.peers.len(),
        );
        tracing::info!(config = %self.path.display(), version = self.config.version, "{summary}");
        supervisor::ready(&summary);
        self.show(true);
        let mut steps = StepWatch::start();
        let mut clock_due = Instant::now();
        let mut pulse = Pulse::new(supervisor::watchdog());
        loop {
            for signal in signals.pending() {
                match signal {
                    SIGHUP => self.reload(),
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
            }
            if clock_due <= Instant::now() {
                clock_due = Instant::now() + CLOCK;
                self.ask_clock();
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
        self.known.config = snapshot::Configured {
            version: self.config.version,
            reloaded: clock::now(),
            good,
        };
        self.shown.store(Arc::new(self.known));
    }

    fn ask_clock(&mut self) {
        match clock::state() {
            Ok(state) => {
                self.known.clock = Some(state);
                self.shown.store(Arc::new(self.known));
                let _ = self.notes.send(Note::Clock(clock::now(), state));
                let _ = self.orders.send(Order::Clock(clock::of_records(state)));
            }
            Err(e) => tracing::debug!("the clock's state can't be asked for: {e}"),
        }
    }

    /// Takes all of the configuration as it is now, or nothing of it.
    fn reload(&mut self) {
        supervisor::reloading();
        let outcome = self.take_new();
        self.show(outcome.is_ok());
        match outcome {
            Ok(()) => tracing::info!(version = self.config.version, "reloaded"),
            Err(why) => tracing::error!("not reloaded, everything stays as it was: {why}"),
        }
        supervisor::ready("reloaded");
    }

    fn take_new(&mut self) -> Result<(), String> {
        let new = Config::load(&self.path).map_err(|p| RunError::Config(p).to_string())?;
        // These two are the only parts that can still refuse: all the rest has been checked.
        self.take_agents(&new).map_err(|e| e.to_string())?;
        if let Reload::Kept(why) = self.trust.reload(&new, clock::now()) {
            let old = self.config.clone();
            self.take_agents(&old).map_err(|e| format!("{why}; {e}"))?;
            return Err(why);
        }
        for note in self.trust.notes() {
            tracing::warn!("{note}");
        }
        let restart = needs_restart(&self.config, &new);
        if !restart.is_empty() {
            tracing::warn!(
                "changed, and taken at the next start only: {}",
                restart.join(", ")
            );
        }
        if let Some(log) = &self.log {
            log.set_level(new.log.level);
        }
        self.steering.verify.store(Arc::new(new.verify_settings()));
        let mut stages = PipelineSettings::new(&new, Default::default(), 0).collect;
        stages.sensors = self.sensors.0.clone();
        let _ = self.orders.send(Order::Settings(Box::new(stages)));
        self.ask_clock();
        self.config = new;
        Ok(())
    }

    /// Takes the allow-list of HEP, and tells the ledger who looks from now on.
    fn take_agents(&mut self, new: &Config) -> Result<(), HepError> {
        let (Some(hep), Some(settings)) = (&self.hep, &new.hep) else {
            return Ok(());
        };
        let known = self.sensors.0.len();
        let settings = self.sensors.number(settings.clone());
        hep.reload(&settings)?;
        let source = self.readers.len();
        for sensor in self.sensors.0.iter().skip(known) {
            let _ = self.notes.send(Note::Sensor(sensor.name.clone()));
        }
        for (sensor, _) in (0u16..).zip(&self.sensors.0) {
            let asked = settings.agents.iter().any(|a| a.sensor == sensor);
            let of_hep = usize::from(sensor) >= self.config.capture.sensors().len();
            let _ = match (of_hep, asked) {
                (true, true) => self.notes.send(Note::Begin { source, sensor }),
                (true, false) => self.notes.send(Note::End { source, sensor }),
                (false, _) => Ok(()),
            };
        }
        Ok(())
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
        let Some(stages) = self.stages.take() else {
            return ended;
        };
        while Instant::now() < until && !stages.is_finished() {
            thread::sleep(Duration::from_millis(10));
        }
        if !stages.is_finished() {
            return Err(RunError::NotDrained { what: "the stages" });
        }
        let report = stages.join().map_err(|_| RunError::Died("intake"))??;
        self.trust.stop();
        if let Some(web) = self.web.take() {
            web.stop();
        }
        tracing::info!(records = report.begins, "drained");
        ended
    }
}

/// Says that we turn, as long as the stages do.
struct Pulse {
    every: Option<Duration>,
    due: Instant,
    said: (u64, u64),
}

impl Pulse {
    fn new(every: Option<Duration>) -> Self {
        Self {
            // Twice in the time in which it must be said once.
            every: every.map(|e| e / 2),
            due: Instant::now(),
            said: (u64::MAX, u64::MAX),
        }
    }

    fn turn(&mut self, beats: (u64, u64)) {
        let Some(every) = self.every.filter(|_| self.due <= Instant::now()) else {
            return;
        };
        // Both have moved since: a thread that hangs leaves us silent, and the supervisor starts us again.
        if beats.0 != self.said.0 && beats.1 != self.said.1 {
            self.said = beats;
            self.due = Instant::now() + every;
            supervisor::alive();
        }
    }
}

fn judges(config: &Config) -> usize {
    match config.run.judges {
        0 => thread::available_parallelism().map_or(1, usize::from),
        n => n,
    }
}

/// Sensors by number. Who has a number keeps it, over reloads too: messages on their way bear it.
struct Sensors(Vec<Sensor>);

impl Sensors {
    /// Those of interfaces; [`live::open`] numbers them so.
    fn of(config: &Config) -> Self {
        let wire = config.capture.sensors().into_iter().map(|name| Sensor {
            name,
            provenance: Provenance::Wire,
        });
        Self(wire.collect())
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.0.iter().map(|s| s.name.clone()).collect()
    }

    /// Gives each agent the number of its name, and new names the next ones.
    fn number(&mut self, mut hep: HepSettings) -> HepSettings {
        for agent in &mut hep.agents {
            let known = |s: &Sensor| s.provenance == Provenance::Hep && s.name == agent.name;
            let place = self.0.iter().position(known).unwrap_or_else(|| {
                self.0.push(Sensor {
                    name: agent.name.clone(),
                    provenance: Provenance::Hep,
                });
                self.0.len() - 1
            });
            agent.sensor = u16::try_from(place).unwrap_or(u16::MAX);
        }
        hep
    }
}

/// Settings that sockets, threads and folders were made by.
fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let changed = [
        ("[capture]", old.capture != new.capture),
        ("[run]", old.run != new.run),
        ("[store] path", old.store != new.store),
        ("[hep] addresses", addresses(old) != addresses(new)),
        ("[hep] limits", hep_limits(old) != hep_limits(new)),
        ("[http]", old.http != new.http),
        ("[limits]", old.assemble != new.assemble),
        ("[fetch] enabled", old.fetch_enabled != new.fetch_enabled),
    ];
    changed
        .into_iter()
        .filter(|(_, c)| *c)
        .map(|(n, _)| n)
        .collect()
}

/// Those that the listener does not take at a reload.
fn hep_limits(config: &Config) -> Option<(MirrorLimits, usize)> {
    let hep = config.hep.as_ref()?;
    Some((hep.mirror, hep.limits.receive_buffer))
}

fn addresses(config: &Config) -> Option<[&[std::net::SocketAddr]; 3]> {
    let hep = config.hep.as_ref()?;
    Some([&hep.udp, &hep.tcp, &hep.tls])
}
