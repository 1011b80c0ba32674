//! The portal as a process sees it: sockets first, then the docket, then threads; and all of them ended in order.
//!
//! ```text
//! settings ─► sockets, key ─► (no privilege left) ─► docket ─► api · console · push · clock ─► … ─► drained
//! ```
//!
//! - `clock`: what time brings: reminders, silence, signed heads of the audit log, figures
//! - `metrics`: what is shown of it

mod clock;
mod metrics;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::watch;

use super::api::server::{Running, Socket};
use super::api::{ApiError, ApiServer, RunningApi};
use super::console;
use super::docket::{Docket, DocketError};
use super::push;
use super::settings::PortalSettings;
use crate::base::Timestamp;
use crate::proof::sign::{SignError, Signer};
use crate::web::listen::Bounds;
use metrics::View;

/// Connections of the console at once: 512 pages that are watched live, and as many that are loaded.
const CONSOLE: usize = 1_024;
/// Of one address: an office behind one.
const CONSOLE_ADDRESS: usize = 256;
/// A page that is watched is asked again after ten minutes.
const CONSOLE_LIFE: Duration = Duration::from_secs(620);

/// Why there is no portal.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// A listener.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The key.
    #[error("{path}: {source}")]
    Key {
        /// Which file.
        path: std::path::PathBuf,
        /// What is wrong.
        source: SignError,
    },
    /// The docket.
    #[error(transparent)]
    Docket(#[from] DocketError),
    /// No thread.
    #[error("can't start a thread: {0}")]
    System(#[from] std::io::Error),
}

/// What needs privileges, and the key.
#[derive(Debug)]
pub struct Opened {
    settings: PortalSettings,
    signer: Arc<Signer>,
    api: ApiServer,
    console: Socket,
}

/// A portal that runs.
#[derive(Debug)]
pub struct RunningPortal {
    docket: Arc<Docket>,
    api: RunningApi,
    console: Running,
    stop: watch::Sender<bool>,
    threads: Vec<(&'static str, JoinHandle<()>)>,
}

impl Opened {
    /// Reads the key and listens.
    ///
    /// # Errors
    ///
    /// [`ServiceError`]
    pub fn open(settings: PortalSettings) -> Result<Self, ServiceError> {
        let path = &settings.key_file;
        let signer = Signer::read(path).map_err(|source| ServiceError::Key {
            path: path.clone(),
            source,
        })?;
        Ok(Self {
            api: ApiServer::bind(&settings)?,
            console: Socket::bind("console", &settings.console)?,
            signer: Arc::new(signer),
            settings,
        })
    }

    /// Opens the docket, goes on where it stood, and answers from now on.
    ///
    /// # Errors
    ///
    /// [`ServiceError`]
    pub fn start(self, now: fn() -> Timestamp) -> Result<RunningPortal, ServiceError> {
        let docket = Arc::new(Docket::open(self.settings, self.signer)?);
        let resumed = docket.resume(now())?;
        if resumed > 0 {
            tracing::warn!(
                cases = resumed,
                "cases went on that a crash had interrupted"
            );
        }
        let (stop, stopped) = watch::channel(false);
        let pushes = Arc::<push::Counters>::default();
        let view = Arc::new(View::new(docket.clone(), pushes.clone(), now));
        let api = self.api.start(docket.clone(), view.clone(), now)?;
        let shared = docket.clone();
        let bounds = Bounds {
            connections: CONSOLE,
            per_address: CONSOLE_ADDRESS,
            life: CONSOLE_LIFE,
        };
        let console = Running::start(self.console, bounds, move |_| console::router(shared, now))?;
        view.shows(api.view(), console.web().clone());
        let mut threads = Vec::new();
        let (shared, heard) = (docket.clone(), stopped.clone());
        threads.push((
            "push",
            on_runtime("push", move || push::run(shared, pushes, now, heard))?,
        ));
        let shared = docket.clone();
        let clock = on_runtime("clock", move || clock::run(shared, view, now, stopped))?;
        threads.push(("clock", clock));
        Ok(RunningPortal {
            docket,
            api,
            console,
            stop,
            threads,
        })
    }
}

/// A thread with a runtime of its own.
fn on_runtime<F: Future<Output = ()>>(
    name: &str,
    work: impl FnOnce() -> F + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(4)
        .build()?;
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || runtime.block_on(work()))
}

impl RunningPortal {
    /// The docket.
    pub fn docket(&self) -> &Arc<Docket> {
        &self.docket
    }

    /// Where providers' machines come.
    pub fn api(&self) -> SocketAddr {
        self.api.address()
    }

    /// Where people come.
    pub fn console(&self) -> SocketAddr {
        self.console.address()
    }

    /// The thread that should never end and did.
    pub fn died(&self) -> Option<&'static str> {
        if !self.api.is_alive() {
            return Some("api");
        }
        if !self.console.is_alive() {
            return Some("console");
        }
        let mut threads = self.threads.iter();
        threads
            .find(|(_, t)| t.is_finished())
            .map(|(name, _)| *name)
    }

    /// Takes other settings. Addresses, the folder and the key need a restart.
    ///
    /// # Errors
    ///
    /// [`ServiceError`], and all is as before.
    pub fn reload(&self, settings: PortalSettings) -> Result<(), ServiceError> {
        self.api.reload(&settings)?;
        self.console.reload(&settings.console)?;
        self.docket.reload(settings);
        Ok(())
    }

    /// Takes no more connections, lets what is under way end, and closes the docket. Whether all threads were well.
    pub fn stop(self) -> bool {
        // It fails only when all threads are gone, and joining says so.
        let _ = self.stop.send(true);
        let api = self.api.stop();
        let console = self.console.stop();
        let mut well = api && console;
        for (_, thread) in self.threads {
            well &= thread.join().is_ok();
        }
        well
    }
}
