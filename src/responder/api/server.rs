//! The API's socket, bound early, and its thread with its own runtime: whoever floods it holds up neither stages nor outbox.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::auth::Door;
use super::counters::{ApiCounters, Counters};
use super::limits::Limits;
use super::refusal::Refusal;
use super::webhook::Seen;
use super::{Api, ApiBackend, routes};
use crate::base::Timestamp;
use crate::proof::audit::Entry;
use crate::responder::case::Who;
use crate::responder::desk::Desk;
use crate::responder::settings::{ResponderSettings, TlsSettings};
use crate::web::listen::{self, Bounds, SharedTls};
use crate::web::tls::{self, Clients, TlsError, TlsFiles};

/// Connections at once: each is one request, so hundreds of portals at the same moment.
const CONNECTIONS: usize = 256;
/// Of one address: one that floods leaves three quarters of the room to others.
const PER_ADDRESS: usize = 64;
/// A connection is asked to end after so long: a slow head, a slow body and the longest wait, 10 s each.
const LIFE: Duration = Duration::from_secs(35);
/// Threads that wait for the disk: the desk is one database, so more would only queue.
const BLOCKING: usize = 4;
/// How often refusals are summed up in the audit log: at most 144 lines a day, however many there are.
const SUMMED_UP: Duration = Duration::from_secs(600);

/// Why there is no API.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The address can't be had.
    #[error(
        "responder.listen {address}: {source}; take another port, or stop what holds it (ss -ltnp says who)"
    )]
    Bind {
        /// Which.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// A certificate or key.
    #[error("responder.tls: {0}")]
    Tls(#[from] TlsError),
    /// A file of keys or a token.
    #[error("responder: {0}")]
    Secret(String),
    /// No thread or no runtime.
    #[error("can't start the thread of the API: {0}")]
    NoThread(io::Error),
}

/// A socket that listens before anybody answers on it: bound early, while privileges are there.
#[derive(Debug)]
pub struct ApiServer {
    socket: StdListener,
    address: SocketAddr,
    tls: SharedTls,
    door: Door,
    web: Arc<listen::Counters>,
    counters: Arc<Counters>,
}

/// Its counters, for whoever shows them.
#[derive(Clone, Debug)]
pub struct ApiView {
    web: Arc<listen::Counters>,
    counters: Arc<Counters>,
}

impl ApiView {
    /// What it did so far.
    pub fn counters(&self) -> ApiCounters {
        self.counters.read(self.web.read())
    }
}

/// Answers until it is stopped.
pub struct RunningApi {
    address: SocketAddr,
    tls: SharedTls,
    api: Arc<Api>,
    view: ApiView,
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl std::fmt::Debug for RunningApi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RunningApi({})", self.address)
    }
}

impl ApiServer {
    /// Reads keys and tokens and listens. `None` where the settings name no address.
    ///
    /// # Errors
    ///
    /// [`ApiError`]
    pub fn bind(settings: &ResponderSettings) -> Result<Option<Self>, ApiError> {
        let Some(address) = settings.listen else {
            return Ok(None);
        };
        let failed = |source| ApiError::Bind { address, source };
        let tls = load_tls(settings.tls.as_ref())?;
        let door = Door::read(settings).map_err(ApiError::Secret)?;
        let socket = StdListener::bind(address).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        Ok(Some(Self {
            address: socket.local_addr().map_err(failed)?,
            socket,
            tls: Arc::new(ArcSwapOption::from(tls)),
            door,
            web: Arc::default(),
            counters: Arc::default(),
        }))
    }

    /// Where it listens: with the port that was found when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its counters.
    pub fn view(&self) -> ApiView {
        ApiView {
            web: self.web.clone(),
            counters: self.counters.clone(),
        }
    }

    /// Answers from now on, by the clock `now`.
    ///
    /// # Errors
    ///
    /// [`ApiError::NoThread`]
    pub fn start(
        self,
        desk: Arc<Desk>,
        backend: Arc<dyn ApiBackend>,
        now: fn() -> Timestamp,
    ) -> Result<RunningApi, ApiError> {
        let view = self.view();
        let api = Arc::new(Api {
            desk,
            backend,
            door: ArcSwap::from_pointee(self.door),
            limits: Limits::default(),
            seen: Seen::default(),
            counters: self.counters,
            now,
            started: now(),
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(BLOCKING)
            .build()
            .map_err(ApiError::NoThread)?;
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(self.socket).map_err(ApiError::NoThread)?
        };
        let bounds = Bounds {
            connections: CONNECTIONS,
            per_address: PER_ADDRESS,
            life: LIFE,
        };
        let (stop, stopped) = watch::channel(false);
        let (shared, tls, web) = (api.clone(), self.tls.clone(), self.web);
        let thread = thread::Builder::new()
            .name("api".to_owned())
            .spawn(move || {
                runtime.block_on(async move {
                    let router = routes::router(shared.clone());
                    let sums = tokio::spawn(sum_up(shared.clone(), stopped.clone()));
                    listen::serve(listener, router, tls, bounds, web, stopped).await;
                    // It ends by the same word.
                    let _ = sums.await;
                });
            })
            .map_err(ApiError::NoThread)?;
        Ok(RunningApi {
            address: self.address,
            tls: self.tls,
            api,
            view,
            stop,
            thread,
        })
    }
}

impl RunningApi {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its counters, for other threads.
    pub fn view(&self) -> ApiView {
        self.view.clone()
    }

    /// What it did so far.
    pub fn counters(&self) -> ApiCounters {
        self.view.counters()
    }

    /// Whether its thread still turns.
    pub fn is_alive(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Takes other portals, operators, keys and TLS files. The address needs a restart.
    ///
    /// # Errors
    ///
    /// [`ApiError`], and all is as before.
    pub fn reload(&self, settings: &ResponderSettings) -> Result<(), ApiError> {
        let tls = load_tls(settings.tls.as_ref())?;
        let door = Door::read(settings).map_err(ApiError::Secret)?;
        self.tls.store(tls);
        self.api.door.store(Arc::new(door));
        Ok(())
    }

    /// Takes no more connections, lets replies under way go out for a moment, and ends. Gives what it did, or `None` if its thread had died.
    pub fn stop(self) -> Option<ApiCounters> {
        // It fails only when the thread is gone, and joining says so.
        let _ = self.stop.send(true);
        self.thread.join().ok()?;
        Some(self.view.counters())
    }
}

fn load_tls(
    settings: Option<&TlsSettings>,
) -> Result<Option<Arc<tokio_rustls::rustls::ServerConfig>>, ApiError> {
    let files = settings.map(|s| TlsFiles {
        certificate: s.certificate.clone(),
        key: s.key.clone(),
        client_ca: s.client_ca.clone(),
    });
    let config = files.map(|f| tls::load(&f, Clients::May)).transpose()?;
    Ok(config)
}

/// Writes sums of refusals into the audit log now and then, and at the end.
async fn sum_up(api: Arc<Api>, mut stopped: watch::Receiver<bool>) {
    let mut tick = interval(SUMMED_UP);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told: Vec<(Refusal, u64)> = api.counters.refused();
    loop {
        let last = tokio::select! {
            _ = tick.tick() => false,
            _ = stopped.wait_for(|stop| *stop) => true,
        };
        let all = api.counters.refused();
        let new = all.iter().zip(&told);
        let new = new.filter_map(|((why, now), (_, before))| {
            let n = now.saturating_sub(*before);
            (n > 0).then(|| (why.label().to_owned(), json!(n)))
        });
        let new: serde_json::Map<String, Value> = new.collect();
        if !new.is_empty() {
            let shared = api.clone();
            let noted = tokio::task::spawn_blocking(move || {
                shared.desk.note(&Entry {
                    at: (shared.now)(),
                    who: &Who::Automatic,
                    act: "refused",
                    case_id: NO_CASE,
                    request: None,
                    detail: Value::Object(new),
                })
            });
            match noted.await {
                Ok(Ok(_)) => told = all,
                Ok(Err(e)) => tracing::error!("refusals could not be noted: {e}"),
                Err(e) => tracing::error!("refusals could not be noted: {e}"),
            }
        }
        if last {
            return;
        }
    }
}

/// Refusals serve no case.
const NO_CASE: &str = "-";
