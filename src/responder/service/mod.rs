//! The responder as it runs: one thread with a runtime of its own, and everything that waits for portals on it.
//!
//! ```text
//! API ──┐                       ┌─► look up, match (threads that may block) ─► desk.matched
//! inlets┴─► desk.take ─► bell ──┤
//!                               └─► outlets: desk.outbox ─► portal ─► desk.delivered        minder: alarms, sweeping, heads, figures
//! ```
//!
//! Comes in: a [`World`], what answers are made by; the reader of the daemon's own store, wherever it is at the moment. Nothing here holds up capture: the store
//! is only read, and the database is the desk's own. A task that panics is counted and begins anew; a thread that ends is for the daemon to notice.
//! A reload takes all of a new world or nothing of it. At the end inlets stop first, then look-ups, then outlets; the API, a thread of its own, goes on until after that.
//!
//! - [`world`]: what answers are made by · `worker`: look-ups · `portal`: inlets and outlets · `minder`: what time brings · `backend`: what the API asks · [`view`]: what is shown

mod backend;
mod minder;
mod portal;
pub mod view;
mod worker;
pub mod world;

use std::collections::BTreeMap;
use std::future::Future;
use std::hash::{BuildHasher, Hasher};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::runtime::{self, Runtime};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::{LocalSet, spawn_blocking, spawn_local};
use tokio::time::{sleep, timeout};

use super::desk::{Desk, DeskError, DeskSettings, Resumed};
use super::settings::{PortalSettings, ResponderSettings};
use crate::base::Timestamp;
use crate::store::embedded::CurrentReader;
use crate::store::engine::Engine;
pub use view::ServiceView;
pub use world::{World, WorldError};

/// Threads that may block at once: look-ups, the desk's transactions, names being resolved.
const BLOCKING: usize = 32;

/// A task that panicked begins anew after so long.
const PAUSE: Duration = Duration::from_secs(1);

/// How long each part of the end may take: a delivery under way is worth waiting for, and the daemon drains within ten seconds.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why there is no responder.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// What the operator decided can't be worked with.
    #[error(transparent)]
    World(#[from] WorldError),
    /// The desk.
    #[error("responder: {0}")]
    Desk(#[from] DeskError),
    /// No thread, no runtime.
    #[error("can't start the responder: {0}")]
    System(#[from] std::io::Error),
}

/// What wakes whom. A ring that nobody hears yet is not lost.
#[derive(Debug, Default)]
pub struct Bell {
    work: Notify,
    out: Notify,
    moved: watch::Sender<u64>,
}

impl Bell {
    /// A request is durable and waits to be looked at.
    pub fn ring(&self) {
        self.work.notify_one();
    }

    /// Requests moved: something may leave, and who waits for an answer looks again.
    pub fn ring_out(&self) {
        self.moved.send_modify(|n| *n = n.wrapping_add(1));
        self.out.notify_waiters();
    }

    /// Changes whenever requests moved.
    pub fn moved(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }
}

/// What the API and all tasks share.
#[derive(Clone)]
pub struct Shared {
    /// The desk.
    pub desk: Arc<Desk>,
    /// What answers are made by, as of now.
    pub world: Arc<ArcSwap<World>>,
    /// The store.
    pub reader: CurrentReader,
    /// The engine that holds the records of other probes as well.
    pub engine: Option<Arc<Engine>>,
    /// Wakes the worker and the outlets.
    pub bell: Arc<Bell>,
    /// What is shown.
    pub view: ServiceView,
    /// The time.
    pub now: fn() -> Timestamp,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

impl Shared {
    /// Something of the desk, on a thread that may block.
    pub async fn at_desk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Desk, Timestamp) -> Result<T, DeskError> + Send + 'static,
    ) -> Result<T, DeskError> {
        let (desk, now) = (self.desk.clone(), self.now);
        match spawn_blocking(move || work(&desk, now())).await {
            Ok(done) => done,
            Err(panic) => {
                self.view.count_panic();
                Err(DeskError::Setting(format!("a defect at the desk: {panic}")))
            }
        }
    }
}

/// A running responder.
#[derive(Debug)]
pub struct Running {
    shared: Shared,
    orders: mpsc::UnboundedSender<Order>,
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

/// What the thread is told.
struct Order {
    world: World,
    taken: oneshot::Sender<Result<(), ServiceError>>,
}

impl Running {
    /// Opens the desk and starts. Everything that can be wrong with what the operator wrote is found here.
    ///
    /// # Errors
    ///
    /// [`ServiceError`].
    pub fn start(
        world: World,
        reader: CurrentReader,
        engine: Option<Arc<Engine>>,
        now: fn() -> Timestamp,
    ) -> Result<Self, ServiceError> {
        world.check()?;
        let settings = &world.settings;
        warn_of(settings);
        let signer = world.signer.clone();
        let desk = Desk::open(&settings.state, DeskSettings::from(settings), signer)?;
        let resumed = desk.begin(now())?;
        if resumed != Resumed::default() {
            tracing::info!(
                look_ups = resumed.look_ups,
                deliveries = resumed.parcels,
                "what was under way when the last process ended is taken up again"
            );
        }
        let shared = Shared {
            desk: Arc::new(desk),
            world: Arc::new(ArcSwap::from_pointee(world)),
            reader,
            engine,
            bell: Arc::default(),
            view: ServiceView::default(),
            now,
        };
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING)
            .build()?;
        let (orders, given) = mpsc::unbounded_channel();
        let (stop, stopped) = watch::channel(false);
        let inside = shared.clone();
        let thread = thread::Builder::new()
            .name("responder".to_owned())
            .spawn(move || turn(&runtime, inside, given, stopped))?;
        Ok(Self {
            shared,
            orders,
            stop,
            thread,
        })
    }

    /// What it shows.
    pub fn view(&self) -> ServiceView {
        self.shared.view.clone()
    }

    /// What the API shares with it.
    pub fn shared(&self) -> Shared {
        self.shared.clone()
    }

    /// Whether its thread still turns.
    pub fn is_alive(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Takes a new world, or keeps the old one and says why.
    ///
    /// # Errors
    ///
    /// [`ServiceError`]; all is as before.
    pub fn reload(&self, world: World) -> Result<(), ServiceError> {
        let gone = || ServiceError::System(std::io::Error::other("its thread ended"));
        world.check()?;
        let (taken, answer) = oneshot::channel();
        self.orders
            .send(Order { world, taken })
            .map_err(|_| gone())?;
        answer.blocking_recv().map_err(|_| gone())?
    }

    /// Ends in order. Gives whether it was over in time.
    pub fn stop(self, until: Instant) -> bool {
        // It fails only when the thread is gone.
        let _ = self.stop.send(true);
        while !self.thread.is_finished() {
            if Instant::now() >= until {
                return false;
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.thread.join().is_ok()
    }
}

/// The thread.
fn turn(
    runtime: &Runtime,
    shared: Shared,
    orders: mpsc::UnboundedReceiver<Order>,
    stopped: watch::Receiver<bool>,
) {
    let local = LocalSet::new();
    local.block_on(runtime, run(shared, orders, stopped));
}

async fn run(
    shared: Shared,
    mut orders: mpsc::UnboundedReceiver<Order>,
    mut stopped: watch::Receiver<bool>,
) {
    let (stop_work, work_stopped) = watch::channel(false);
    let worker = keep(&shared, "worker", work_stopped.clone(), {
        let (shared, stopped) = (shared.clone(), work_stopped.clone());
        move || worker::work(shared.clone(), stopped.clone())
    });
    let minder = keep(&shared, "minder", work_stopped.clone(), {
        let (shared, stopped) = (shared.clone(), work_stopped);
        move || minder::mind(shared.clone(), stopped.clone())
    });
    let mut portals = BTreeMap::new();
    turn_portals(&shared, &mut portals).await;
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order { world, taken }) => {
                    let done = take(&shared, world).await;
                    if done.is_ok() {
                        turn_portals(&shared, &mut portals).await;
                        shared.bell.ring_out();
                    }
                    // Who asked may have given up.
                    let _ = taken.send(done);
                }
                None => break,
            },
            // Also when whoever could say so is gone.
            _ = stopped.wait_for(|stop| *stop) => break,
        }
    }
    for portal in portals.values() {
        portal.stop_inlet();
    }
    let _ = stop_work.send(true);
    let _ = timeout(PATIENCE, async {
        let _ = worker.await;
        let _ = minder.await;
    })
    .await;
    for portal in std::mem::take(&mut portals).into_values() {
        portal.stop().await;
    }
}

/// A new world, where the desk can work by it.
async fn take(shared: &Shared, world: World) -> Result<(), ServiceError> {
    let settings = DeskSettings::from(&world.settings);
    let signer = world.signer.clone();
    shared
        .at_desk(move |desk, _| desk.reload(settings, signer))
        .await?;
    warn_of(&world.settings);
    shared.world.store(Arc::new(world));
    Ok(())
}

/// What an operator should know at each start and reload.
fn warn_of(settings: &ResponderSettings) {
    for note in settings.notes() {
        tracing::warn!("{note}");
    }
}

/// Tasks of one portal.
struct Turning {
    settings: PortalSettings,
    inlet: watch::Sender<bool>,
    outlet: watch::Sender<bool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Turning {
    fn stop_inlet(&self) {
        let _ = self.inlet.send(true);
    }

    async fn stop(self) {
        self.stop_inlet();
        let _ = self.outlet.send(true);
        for mut task in self.tasks {
            if timeout(PATIENCE, &mut task).await.is_err() {
                // What was on its way goes again when its lease is over.
                task.abort();
            }
        }
    }
}

/// Has exactly the portals of the world turn, each by its settings of now.
async fn turn_portals(shared: &Shared, turning: &mut BTreeMap<Arc<str>, Turning>) {
    let world = shared.world.load_full();
    let wanted = |name: &Arc<str>, settings: &PortalSettings| {
        let now = world.settings.portals.iter().find(|p| p.name == *name);
        now.is_some_and(|p| p == settings)
    };
    let gone: Vec<Arc<str>> = turning
        .iter()
        .filter(|(name, t)| !wanted(name, &t.settings))
        .map(|(name, _)| name.clone())
        .collect();
    for name in gone {
        if let Some(old) = turning.remove(&name) {
            old.stop().await;
        }
    }
    shared.view.portals_are(&world.settings.portals);
    for settings in &world.settings.portals {
        if !turning.contains_key(&settings.name) {
            turning.insert(settings.name.clone(), start_portal(shared, settings));
        }
    }
}

fn start_portal(shared: &Shared, settings: &PortalSettings) -> Turning {
    let (inlet, inlet_stopped) = watch::channel(false);
    let (outlet, outlet_stopped) = watch::channel(false);
    let one = Rc::new(settings.clone());
    let fetching = keep(shared, "inlet", inlet_stopped.clone(), {
        let (shared, one) = (shared.clone(), one.clone());
        move || portal::fetch(shared.clone(), one.clone(), inlet_stopped.clone())
    });
    let carrying = keep(shared, "outlet", outlet_stopped.clone(), {
        let shared = shared.clone();
        move || portal::carry(shared.clone(), one.clone(), outlet_stopped.clone())
    });
    Turning {
        settings: settings.clone(),
        inlet,
        outlet,
        tasks: vec![fetching, carrying],
    }
}

/// Has a task begin anew when it panics, until it ends by itself.
fn keep<F: Future<Output = ()> + 'static>(
    shared: &Shared,
    name: &'static str,
    stopped: watch::Receiver<bool>,
    make: impl Fn() -> F + 'static,
) -> tokio::task::JoinHandle<()> {
    let view = shared.view.clone();
    spawn_local(async move {
        while let Err(panic) = spawn_local(make()).await {
            if *stopped.borrow() || panic.is_cancelled() {
                break;
            }
            view.count_panic();
            tracing::error!(
                "the responder's {name} broke and begins anew; please report this with the log"
            );
            sleep(PAUSE).await;
        }
    })
}

/// At least 0 and below 1: spreads tries, and is no secret.
fn random() -> f64 {
    let state = std::hash::RandomState::new();
    let bits = state.build_hasher().finish() >> 11;
    bits as f64 / (1u64 << 53) as f64
}

/// Waits longer with every failure, up to a limit, and never twice the same.
#[derive(Debug)]
struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The first pause, and the longest: a portal that comes back is heard within a minute.
    const FIRST: Duration = Duration::from_millis(500);
    const MOST: Duration = Duration::from_secs(60);

    fn new() -> Self {
        Self { failures: 0 }
    }

    fn good(&mut self) {
        self.failures = 0;
    }

    /// Between half and all of a span that doubles.
    fn next(&mut self, random: f64) -> Duration {
        let span = Self::FIRST
            .saturating_mul(1u32.checked_shl(self.failures).unwrap_or(u32::MAX))
            .min(Self::MOST);
        self.failures = self.failures.saturating_add(1).min(16);
        span.mul_f64(0.5 + random / 2.0)
    }
}
