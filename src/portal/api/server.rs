//! The API's socket, bound early, and its thread with its own runtime: whoever floods it holds up neither console nor pushes.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::rustls::ServerConfig;

use super::counters::{ApiCounters, Counters};
use super::guard::Requesters;
use super::{Api, routes};
use crate::base::Timestamp;
use crate::portal::docket::Docket;
use crate::portal::settings::{ListenSettings, PortalSettings};
use crate::web::Status;
use crate::web::listen::{self, Bounds, SharedTls};
use crate::web::tls::{self, Clients, TlsError};

/// Connections at once: two lists of four hundred providers that wait, and room for answers.
const CONNECTIONS: usize = 1_024;
/// Of one address: one that floods leaves seven eighths of the room to others.
const PER_ADDRESS: usize = 128;
/// A connection is asked to end after so long: a slow head, a slow body and the longest wait.
const LIFE: Duration = Duration::from_secs(10 + 10 + super::pull::LONGEST + 5);
/// Threads that wait for the disk: the docket writes one act at a time and reads four at once.
const BLOCKING: usize = 8;

/// Why there is no API.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// An address can't be had.
    #[error(
        "{what} {address}: {source}; take another port, or stop what holds it (ss -ltnp says who)"
    )]
    Bind {
        /// Whose.
        what: &'static str,
        /// Which.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// A certificate or key.
    #[error("{what}.tls: {source}")]
    Tls {
        /// Whose.
        what: &'static str,
        /// What is wrong.
        source: TlsError,
    },
    /// A token.
    #[error("requester: {0}")]
    Secret(String),
    /// No thread or no runtime.
    #[error("can't start the thread of {0}: {1}")]
    NoThread(&'static str, io::Error),
}

/// A socket that listens before anybody answers on it: bound early, while privileges are there.
#[derive(Debug)]
pub struct Socket {
    what: &'static str,
    socket: StdListener,
    address: SocketAddr,
    tls: SharedTls,
}

impl Socket {
    /// Listens at an address.
    ///
    /// # Errors
    ///
    /// [`ApiError`]
    pub fn bind(what: &'static str, settings: &ListenSettings) -> Result<Self, ApiError> {
        let address = settings.address;
        let failed = |source| ApiError::Bind {
            what,
            address,
            source,
        };
        let tls = load_tls(what, settings)?;
        let socket = StdListener::bind(address).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        Ok(Self {
            what,
            address: socket.local_addr().map_err(failed)?,
            socket,
            tls: Arc::new(ArcSwapOption::from(tls)),
        })
    }

    /// Where it listens: with the port that was found when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn load_tls(
    what: &'static str,
    settings: &ListenSettings,
) -> Result<Option<Arc<ServerConfig>>, ApiError> {
    let files = settings.tls.as_ref();
    let config = files.map(|f| tls::load(f, Clients::May)).transpose();
    config.map_err(|source| ApiError::Tls { what, source })
}

/// A server on a thread of its own.
pub struct Running {
    what: &'static str,
    address: SocketAddr,
    tls: SharedTls,
    web: Arc<listen::Counters>,
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Running({} at {})", self.what, self.address)
    }
}

impl Running {
    /// Serves what `router` makes; it gets what says when all is over.
    ///
    /// # Errors
    ///
    /// [`ApiError::NoThread`]
    pub(crate) fn start(
        socket: Socket,
        bounds: Bounds,
        router: impl FnOnce(watch::Receiver<bool>) -> axum::Router + Send + 'static,
    ) -> Result<Self, ApiError> {
        let Socket {
            what,
            socket,
            address,
            tls,
        } = socket;
        let failed = |e| ApiError::NoThread(what, e);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(BLOCKING)
            .build()
            .map_err(failed)?;
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(socket).map_err(failed)?
        };
        let (stop, stopped) = watch::channel(false);
        let (shared, web) = (tls.clone(), Arc::<listen::Counters>::default());
        let counters = web.clone();
        let thread = thread::Builder::new()
            .name(what.to_owned())
            .spawn(move || {
                runtime.block_on(async move {
                    let router = router(stopped.clone());
                    listen::serve(listener, router, shared, bounds, counters, stopped).await;
                });
            })
            .map_err(failed)?;
        Ok(Self {
            what,
            address,
            tls,
            web,
            stop,
            thread,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections so far.
    pub(crate) fn web(&self) -> &Arc<listen::Counters> {
        &self.web
    }

    /// Whether its thread still turns.
    pub fn is_alive(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Takes other TLS files. The address needs a restart.
    ///
    /// # Errors
    ///
    /// [`ApiError::Tls`], and all is as before.
    pub fn reload(&self, settings: &ListenSettings) -> Result<(), ApiError> {
        self.tls.store(load_tls(self.what, settings)?);
        Ok(())
    }

    /// Takes no more connections, lets replies under way go out for a moment, and ends. Whether its thread was well.
    pub fn stop(self) -> bool {
        // It fails only when the thread is gone, and joining says so.
        let _ = self.stop.send(true);
        self.thread.join().is_ok()
    }
}

/// The API before it starts.
#[derive(Debug)]
pub struct ApiServer {
    socket: Socket,
    requesters: Requesters,
    counters: Arc<Counters>,
}

/// The API.
#[derive(Debug)]
pub struct RunningApi {
    server: Running,
    counters: Arc<Counters>,
    requesters: Arc<ArcSwap<Requesters>>,
}

impl ApiServer {
    /// Reads tokens and listens.
    ///
    /// # Errors
    ///
    /// [`ApiError`]
    pub fn bind(settings: &PortalSettings) -> Result<Self, ApiError> {
        Ok(Self {
            requesters: Requesters::read(&settings.requesters).map_err(ApiError::Secret)?,
            socket: Socket::bind("api", &settings.api)?,
            counters: Arc::default(),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.socket.address()
    }

    /// Answers from now on, by the clock `now`.
    ///
    /// # Errors
    ///
    /// [`ApiError::NoThread`]
    pub fn start(
        self,
        docket: Arc<Docket>,
        status: Arc<dyn Status>,
        now: fn() -> Timestamp,
    ) -> Result<RunningApi, ApiError> {
        let counters = self.counters;
        let requesters = Arc::new(ArcSwap::from_pointee(self.requesters));
        let bounds = Bounds {
            connections: CONNECTIONS,
            per_address: PER_ADDRESS,
            life: LIFE,
        };
        let (shared, known) = (counters.clone(), requesters.clone());
        let server = Running::start(self.socket, bounds, move |stopped| {
            routes::router(Arc::new(Api {
                docket,
                requesters: known,
                rates: crate::web::rate::Buckets::default(),
                waiting: super::pull::Waiting::default(),
                counters: shared,
                status,
                now,
                stopped,
            }))
        })?;
        Ok(RunningApi {
            server,
            counters,
            requesters,
        })
    }
}

impl RunningApi {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Its counters, for other threads.
    pub fn view(&self) -> ApiView {
        ApiView {
            web: self.server.web().clone(),
            counters: self.counters.clone(),
        }
    }

    /// Whether its thread still turns.
    pub fn is_alive(&self) -> bool {
        self.server.is_alive()
    }

    /// Takes other machines of requesters and TLS files.
    ///
    /// # Errors
    ///
    /// [`ApiError`], and all is as before.
    pub fn reload(&self, settings: &PortalSettings) -> Result<(), ApiError> {
        let requesters = Requesters::read(&settings.requesters).map_err(ApiError::Secret)?;
        self.server.reload(&settings.api)?;
        self.requesters.store(Arc::new(requesters));
        Ok(())
    }

    /// As [`Running::stop`].
    pub fn stop(self) -> bool {
        self.server.stop()
    }
}

/// The API's counters, for whoever shows them.
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
