//! Socket, connections and their bounds. A thread of its own with its own runtime: whoever reads slowly here holds up no stage.
//!
//! What bounds it: so many connections at once, of which each gives its request's head within [`HEAD_TIME`], has a head of [`HEAD_OCTETS`] at most,
//! sends no body that anybody reads, gets one answer, and is over after [`LIFE`] however slowly it reads.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::{Status, WebSettings, routes};

/// For a request's head: more than any scraper needs on a bad day.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// The smallest that hyper takes; a scraper's head has 300 octets.
const HEAD_OCTETS: usize = 8 * 1024;

/// Headers in a head.
const HEADERS: usize = 64;

/// A connection is asked to end after so long: scrapers give up sooner.
const LIFE: Duration = Duration::from_secs(30);

/// And is cut so long after it was asked, as at the end of the process.
const GRACE: Duration = Duration::from_secs(2);

/// After a failure to accept, which is about our own want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

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

macro_rules! counters {
    ($($name:ident $what:literal;)*) => {
        /// What the server did.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct WebCounters { $( #[doc = $what] pub $name: u64, )* }

        impl WebCounters {
            /// Every counter by its stable name.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$( (stringify!($name), self.$name) ),*].into_iter()
            }

            /// What each counts.
            pub const HELP: &'static [(&'static str, &'static str)] = &[$( (stringify!($name), $what) ),*];
        }

        #[derive(Debug, Default)]
        struct Counters { $( $name: AtomicU64, )* }

        impl Counters {
            fn read(&self) -> WebCounters {
                WebCounters { $( $name: self.$name.load(Ordering::Relaxed), )* }
            }
        }
    };
}

counters! {
    accepted "connections taken";
    accept_failed "connections that could not be taken, for want of file descriptors";
    ended "connections that ended well";
    broken "connections that ended in an error: no HTTP, a head too large or too slow, gone in the middle";
    cut "connections cut because they were not over in time";
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
        let connections = self.connections;
        let thread = thread::Builder::new()
            .name("http".to_owned())
            .spawn(move || {
                runtime.block_on(serve(listener, status, connections, shared, stopped));
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

async fn serve(
    listener: TcpListener,
    status: Arc<dyn Status>,
    connections: usize,
    counters: Arc<Counters>,
    mut stopped: watch::Receiver<bool>,
) {
    let router = routes::router(status);
    let room = Arc::new(Semaphore::new(connections));
    let total = u32::try_from(connections).unwrap_or(u32::MAX);
    loop {
        let taken = async {
            // Room first: who finds none waits in the kernel's queue.
            let permit = room.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            taken = taken => taken,
            // Also when whoever could say so is gone.
            _ = stopped.changed() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                counters.accepted.fetch_add(1, Ordering::Relaxed);
                let service = TowerToHyperService::new(router.clone());
                let (counters, stopped) = (counters.clone(), stopped.clone());
                tokio::spawn(async move {
                    let outcome = attend(stream, service, stopped).await;
                    let counter = match outcome {
                        End::Well => &counters.ended,
                        End::Broken => &counters.broken,
                        End::Cut => &counters.cut,
                    };
                    counter.fetch_add(1, Ordering::Relaxed);
                    drop(permit);
                });
            }
            // Gone before we came: nothing of ours.
            Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(_) => {
                counters.accept_failed.fetch_add(1, Ordering::Relaxed);
                sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    // Everybody is out when all room is there again.
    let _ = timeout(GRACE.saturating_mul(2), room.acquire_many(total)).await;
}

enum End {
    Well,
    Broken,
    Cut,
}

async fn attend(
    stream: TcpStream,
    service: TowerToHyperService<axum::Router>,
    mut stopped: watch::Receiver<bool>,
) -> End {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_OCTETS)
        .max_headers(HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let over = tokio::select! {
        done = connection.as_mut() => Some(done),
        () = sleep(LIFE) => None,
        _ = stopped.wait_for(|stop| *stop) => None,
    };
    let over = match over {
        Some(done) => Ok(done),
        None => {
            connection.as_mut().graceful_shutdown();
            timeout(GRACE, connection).await
        }
    };
    match over {
        Ok(Ok(())) => End::Well,
        Ok(Err(_)) => End::Broken,
        Err(_) => End::Cut,
    }
}
