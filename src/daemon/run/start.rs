//! Threads are made, from the store up to the sources.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::{self, JoinHandle};

use arc_swap::ArcSwap;
use crossbeam_channel::{Sender, bounded, unbounded};

use super::open::Opened;
use super::sensors::Sensors;
use super::{Daemon, RunError};
use crate::base::Timestamp;
use crate::capture::hep::{HepHandle, HepListener, HepSettings};
use crate::capture::live::LiveSource;
use crate::config::Config;
use crate::daemon::intake::{LiveIntake, Note};
use crate::daemon::keeper::Keeper;
use crate::daemon::page::day::Day;
use crate::daemon::pipeline::{Carried, Live, PipelineError, PipelineSettings, Report, run_intake};
use crate::daemon::source::{Reader, Reading};
use crate::daemon::status::{Known, Views};
use crate::daemon::trust::Trust;
use crate::daemon::{flag_memory, open_calls};
use crate::engine::Assembler;
use crate::engine::coverage::Accounts;
use crate::engine::mirror::Mirror;
use crate::engine::sequence::Caught;
use crate::findings::Findings;
use crate::host::clock;
use crate::host::log::LogHandle;
use crate::host::trouble::Trouble;
use crate::responder::api::RunningApi;
use crate::responder::service::{Running, ServiceError};
use crate::store::embedded::StoreSettings;
use crate::store::engine::{Engine, Forwarder};
use crate::store::looked;
use crate::web::WebServer;

/// Telegrams of all sources that may wait for intake: a source has at most one block's worth of messages in each.
const CAUGHT: usize = 256;

/// Orders that may wait for collect: it looks after each batch.
const ORDERS: usize = 16;

/// How often the stages are built anew after a defect, before the process ends and lets systemd try.
const REBUILDS: u32 = 8;

impl Daemon {
    /// Starts everything that turns; gives nothing back before all of it does.
    pub(super) fn start(
        path: &Path,
        config: Config,
        opened: Opened,
        log: Option<LogHandle>,
    ) -> Result<Self, RunError> {
        let now = clock::now();
        let settings = StoreSettings {
            encryption: opened.key.clone(),
            ..config.store.settings.clone()
        };
        let keeper = Keeper::open(config.store.path.clone(), settings, clock::now)?;
        let reader = keeper.reader();
        let seal = reader.load().as_ref().map(|r| r.state_seal());
        let seal = seal.unwrap_or_default();
        let engine = config.store.engine.clone().map(Engine::new).transpose();
        let engine = engine?.map(Arc::new);
        let forwarder = engine.clone().map(|engine| {
            let forwarded = config.store.settings.forwarded.clone();
            Forwarder::start(engine, keeper.reader(), forwarded, clock::now)
        });
        let forwarder = forwarder.transpose()?;
        let trust = Trust::open(&config, Some(config.history.clone()), now)?;
        for note in trust.notes() {
            tracing::warn!("{note}");
        }
        let mut sensors = Sensors::of(&config);
        let agents = config.hep.clone().map(|h| sensors.number(h));
        let mut books = Books::open(&keeper, sensors.names(), now)?;

        let (orders, from_us) = bounded(ORDERS);
        let steering = Live {
            credentials: trust.credentials.clone(),
            verify: Arc::new(ArcSwap::from_pointee(config.verify_settings())),
            orders: from_us,
            board: Arc::default(),
            hurry: Arc::new(AtomicBool::new(false)),
            carried: Arc::new(Carried::new(
                open_calls::load(&config.store.path, &seal),
                flag_memory::load(&config.store.path, &seal),
            )),
        };
        let at_hand = trust.held().current().credentials.clone();
        let mut stages = PipelineSettings::new(&config, at_hand, judges(&config));
        stages.collect.sensors = sensors.0.clone();
        stages.fetch = trust.link(&config);
        let findings = Findings::start(&config.findings)?;
        stages.findings = Some(findings.tap());
        stages.live = Some(steering.clone());

        // HEP is the last of the sources.
        let sources = opened.live.len() + usize::from(agents.is_some());
        let (to_intake, caught) = bounded::<Caught>(CAUGHT);
        let (notes, noted) = unbounded();
        let intake = LiveIntake::new(sources, caught, books.intake(), noted, clock::now);
        let stop = Arc::new(AtomicBool::new(false));
        let wires = Wires {
            out: to_intake,
            notes: notes.clone(),
            stop: stop.clone(),
        };
        let (readers, readings) = wires.start_readers(&config, opened.live, &books)?;
        let hep = match (opened.hep, agents) {
            (Some(listener), Some(agents)) => {
                Some(wires.start_hep(listener, agents, readers.len(), &books)?)
            }
            _ => None,
        };
        // Intake ends when the last source does.
        let idle = (sources == 0).then(|| wires.out.clone());
        drop(wires);
        let world = config.world().transpose().map_err(ServiceError::from)?;
        let responder = world
            .map(|world| Running::start(world, keeper.reader(), engine, clock::now))
            .transpose()?;
        let api = match (opened.api, &responder) {
            (Some(server), Some(running)) => {
                let shared = running.shared();
                Some(server.start(shared.desk.clone(), Arc::new(shared), clock::now)?)
            }
            _ => None,
        };

        let known = Arc::<ArcSwap<Known>>::default();
        let views = Views {
            board: steering.board.clone(),
            intake: intake.counters(),
            readings,
            hep: hep.as_ref().map(HepHandle::view),
            store: keeper.health(),
            forwarding: forwarder.as_ref().map(Forwarder::state),
            findings: findings.view(),
            responder: responder.as_ref().map(Running::view),
            api: api.as_ref().map(RunningApi::view),
            fetch: stages.fetch.as_ref().map(|link| link.client.clone()),
            web: opened.web.as_ref().map(WebServer::view),
            known: known.clone(),
        };
        let lost = notes.clone();
        let folder = config.store.path.clone();
        let stages = thread::Builder::new()
            .name("intake".to_owned())
            .spawn(move || {
                let ended = run_stages(&stages, keeper, intake, lost);
                // Their records are durable now, and say that they are unfinished.
                let carried = stages.live.map(|l| l.carried);
                if let Some(snapshot) = carried.as_ref().and_then(|c| c.take_after()) {
                    open_calls::save(&folder, &seal, &snapshot);
                }
                // A failed run leaves nothing, and learning begins anew.
                if let Some(memory) = carried.and_then(|c| c.take_memory()) {
                    flag_memory::save(&folder, &seal, memory);
                }
                ended
            })?;
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
            findings: Some(findings),
            responder,
            forwarder,
            api,
            idle,
            web,
            log,
            known: Known {
                day: Arc::new(Day::start(clock::now())),
                ..Known::default()
            },
            reader,
            shown: known,
            asking: Trouble::new("asking how good the clock is (adjtimex)"),
            keeping: Trouble::new("keeping what is known of neighbours in the store's folder"),
            unknown: Vec::new(),
        })
    }
}

/// The ledger's books, begun with what the store knows of each sensor.
struct Books {
    names: Vec<Arc<str>>,
    accounts: Accounts,
    /// How often capture times have been here before, by sensor.
    passes: Vec<u16>,
}

impl Books {
    fn open(keeper: &Keeper, names: Vec<Arc<str>>, now: Timestamp) -> Result<Self, RunError> {
        let mut accounts = Accounts::new(names.clone());
        let last = looked::last_looked(keeper, &names, now)?;
        let passes = (0u16..)
            .zip(&names)
            .map(|(sensor, name)| accounts.handle_start(sensor, last.get(name), now))
            .collect();
        Ok(Self {
            names,
            accounts,
            passes,
        })
    }

    /// What intake takes over.
    fn intake(&mut self) -> (Vec<Arc<str>>, Accounts) {
        (self.names.clone(), std::mem::take(&mut self.accounts))
    }

    /// How the assemblers of a sensor are made.
    fn assemblers(&self, config: &Config, sensor: u16) -> Box<dyn Fn() -> Assembler + Send> {
        let (limits, names) = (config.assemble, self.names.clone());
        let tunnels = config.capture.filter.tunnels.clone();
        let pass = self.passes.get(usize::from(sensor)).copied();
        Box::new(move || {
            let mut assembler = Assembler::new(limits)
                .with_tunnels(tunnels.clone())
                .with_sensors(names.iter().cloned());
            assembler.begin_pass(pass.unwrap_or(0));
            assembler
        })
    }
}

/// What each source is given.
struct Wires {
    out: Sender<Caught>,
    notes: Sender<Note>,
    stop: Arc<AtomicBool>,
}

/// Reading threads, and what they show.
type Readers = (Vec<JoinHandle<()>>, Vec<Arc<ArcSwap<Reading>>>);

impl Wires {
    fn start_readers(
        &self,
        config: &Config,
        live: Vec<LiveSource>,
        books: &Books,
    ) -> Result<Readers, RunError> {
        let (mut threads, mut readings) = (Vec::new(), Vec::new());
        for (index, source) in live.into_iter().enumerate() {
            let sensor = source.sensor();
            self.begin(index, sensor);
            let shown = Arc::<ArcSwap<Reading>>::default();
            readings.push(shown.clone());
            let name = books.names.get(usize::from(sensor));
            let reader = Reader {
                index,
                name: name.cloned().unwrap_or_default(),
                assembler: books.assemblers(config, sensor),
                source,
                out: self.out.clone(),
                notes: self.notes.clone(),
                stop: self.stop.clone(),
                shown,
            };
            let thread = thread::Builder::new().name(format!("read-{index}"));
            threads.push(thread.spawn(move || reader.run())?);
        }
        Ok((threads, readings))
    }

    fn start_hep(
        &self,
        listener: HepListener,
        settings: HepSettings,
        index: usize,
        books: &Books,
    ) -> Result<HepHandle, RunError> {
        for agent in &settings.agents {
            self.begin(index, agent.sensor);
        }
        let mut mirror = Mirror::new(settings.agents, settings.mirror);
        mirror.begin_pass(books.passes.iter().copied().max().unwrap_or(0));
        Ok(listener.start(mirror, self.out.clone(), index, clock::now)?)
    }

    /// The ledger is told who looks for whom.
    fn begin(&self, source: usize, sensor: u16) {
        // Intake lives longer than we do.
        let _ = self.notes.send(Note::Begin { source, sensor });
    }
}

fn judges(config: &Config) -> usize {
    match config.run.judges {
        0 => thread::available_parallelism().map_or(1, usize::from),
        n => n,
    }
}

/// Runs the stages until the sources are gone. What breaks in them is built anew around the same store. Gives how many records were lost in the end.
fn run_stages(
    settings: &PipelineSettings,
    mut keeper: Keeper,
    mut intake: LiveIntake,
    notes: Sender<Note>,
) -> Result<(Report, u64), PipelineError> {
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
    let lost = keeper.close();
    ended.map(|report| (report, lost))
}
