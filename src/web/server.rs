//! The server of metrics and health: its socket, bound early, and its thread with its own runtime, so that whoever reads slowly here holds up no stage.
//!
//! A connection is over after [`LIFE`]; all other bounds are those of [`listen`](super::listen).

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use super::listen::{Bounds, Counters, SharedTls, WebCounters, serve};
use super::{Status, WebSettings, routes};

/// A connection is asked to end after so long: scrapers give up sooner.
const LIFE: Duration = Duration::from_secs(30);

/// A socket that listens, before anybody answers on it: bound early, while privileges are there.
#[derive(Debug)]
pub struct WebServer {
    socket: StdListener,
    address: SocketAddr,
    connections: usize,
    counters: Arc<Counters>,
}

/// A server's counters, for whoever shows them.
#[derive(Clone, Debug)]
pub struct WebView(Arc<Counters>);

impl WebView {
    /// What it did so far.
    pub fn counters(&self) -> WebCounters {
        self.0.read()
    }
}

/// Answers until it is stopped.
#[derive(Debug)]
pub struct RunningWeb {
    address: SocketAddr,
    counters: Arc<Counters>,
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The address can't be had.
    #[error(
        "http.listen {address}: {source}; take another port, or stop what holds it (ss -ltnp says who)"
    )]
    Bind {
        /// Which.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// No thread or no runtime.
    #[error("can't start the HTTP thread: {0}")]
    NoThread(#[from] io::Error),
}

impl WebServer {
    /// Listens at an address.
    ///
    /// # Errors
    ///
    /// [`WebError::Bind`].
    pub fn bind(address: SocketAddr, settings: &WebSettings) -> Result<Self, WebError> {
        let failed = |source| WebError::Bind { address, source };
        let socket = StdListener::bind(address).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        Ok(Self {
            address: socket.local_addr().map_err(failed)?,
            socket,
            connections: settings.connections.max(1),
            counters: Arc::default(),
        })
    }

    /// Its counters, for the page that it will show.
    pub fn view(&self) -> WebView {
        WebView(self.counters.clone())
    }

    /// Where it listens: with the port that was found when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the operator should know when others than this host reach it.
    pub fn note(&self) -> Option<String> {
        let settings = WebSettings {
            listen: Some(self.address),
            connections: self.connections,
        };
        settings.note()
    }

    /// Answers from now on.
    ///
    /// # Errors
    ///
    /// [`WebError::NoThread`].
    pub fn start(self, status: Arc<dyn Status>) -> Result<RunningWeb, WebError> {
        let counters = self.counters;
        let (stop, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(self.socket)?
        };
        let shared = counters.clone();
        let bounds = Bounds {
            connections: self.connections,
            // Scrapers of one host may take all of it: nothing here is worth more to others.
            per_address: self.connections,
            life: LIFE,
        };
        let thread = thread::Builder::new()
            .name("http".to_owned())
            .spawn(move || {
                let router = routes::router(status);
                let no_tls = SharedTls::default();
                runtime.block_on(serve(listener, router, no_tls, bounds, shared, stopped));
            })?;
        Ok(RunningWeb {
            address: self.address,
            counters,
            stop,
            thread,
        })
    }
}

impl RunningWeb {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it did so far.
    pub fn counters(&self) -> WebCounters {
        self.counters.read()
    }

    /// Whether its thread still turns.
    pub fn is_alive(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Takes no more connections, lets answers under way go out for a moment, and ends. Gives what it did, or `None` if its thread had died.
    pub fn stop(self) -> Option<WebCounters> {
        // It fails only when the thread is gone, and joining says so.
        let _ = self.stop.send(true);
        self.thread.join().ok()?;
        Some(self.counters.read())
    }
}
