//! Threads are made, from the store up to the sources.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use arc_swap::ArcSwap;
use crossbeam_channel::{Sender, bounded, unbounded};

use super::open::Opened;
use super::sensors::Sensors;
use super::{Daemon, RunError};
use crate::capture::hep::HepHandle;
use crate::config::Config;
use crate::daemon::intake::{LiveIntake, Note};
use crate::daemon::keeper::Keeper;
use crate::daemon::pipeline::{Live, PipelineError, PipelineSettings, Report, run_intake};
use crate::daemon::source::{Reader, Reading};
use crate::daemon::status::{Known, Views};
use crate::daemon::trust::Trust;
use crate::engine::Assembler;
use crate::engine::coverage::Accounts;
use crate::engine::mirror::Mirror;
use crate::engine::sequence::Caught;
use crate::host::clock;
use crate::host::log::LogHandle;
use crate::store::embedded::StoreSettings;
use crate::store::looked;

/// Telegrams of all sources that may wait for intake: a source has at most one block's worth of messages in each.
const CAUGHT: usize = 256;

/// How often the stages are built anew after a defect, before the process ends and lets systemd try.
const REBUILDS: u32 = 8;

impl Daemon {
    pub(super) fn start(
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
                let mut mirror = Mirror::new(settings.agents, settings.mirror);
                mirror.begin_pass(passes.iter().copied().max().unwrap_or(0));
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

fn judges(config: &Config) -> usize {
    match config.run.judges {
        0 => thread::available_parallelism().map_or(1, usize::from),
        n => n,
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
