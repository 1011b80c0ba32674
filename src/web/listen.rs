//! What the HTTP servers of this process share: connections taken, shaken hands with, served one request each, and ended in time.
//!
//! What bounds it is [`Bounds`]: so many connections at once and of one address, of which each gives its request's head in time and has a head of
//! [`HEAD_OCTETS`] at most, gets one answer, and is over after a while however slowly it reads.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::tls::known_by;
use crate::engine::mirror::ClientCertificate;

/// For a handshake, and for a request's head: more than any client needs on a bad day.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// The smallest that hyper takes; a scraper's head has 300 octets, a portal's with a token some 600.
pub const HEAD_OCTETS: usize = 8 * 1024;

/// Headers in a head.
const HEADERS: usize = 64;

/// A connection is cut so long after it was asked to end, as at the end of the process.
const GRACE: Duration = Duration::from_secs(2);

/// After a failure to accept, which is about our own want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Bounds of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Connections at once; who finds no room waits in the kernel's queue.
    pub connections: usize,
    /// Connections of one address at once; more are closed.
    pub per_address: usize,
    /// A connection is asked to end after so long.
    pub life: Duration,
}

/// Who is at the other end of a connection: what the connection itself proves.
#[derive(Clone, Debug, Default)]
pub struct Guest {
    /// Its certificate, by an authority that we rely on.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// Its address.
    pub address: Option<IpAddr>,
}

/// TLS of a server, changed on reload; `None` is plain HTTP.
pub(crate) type SharedTls = Arc<ArcSwapOption<ServerConfig>>;

macro_rules! counters {
    ($($name:ident $what:literal;)*) => {
        /// What a server did.
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
        pub(crate) struct Counters { $( pub $name: AtomicU64, )* }

        impl Counters {
            pub fn read(&self) -> WebCounters {
                WebCounters { $( $name: self.$name.load(Ordering::Relaxed), )* }
            }
        }
    };
}

counters! {
    accepted "connections taken";
    accept_failed "connections that could not be taken, for want of file descriptors";
    crowded "connections closed at once because their address has as many as it may";
    ended "connections that ended well";
    broken "connections that ended in an error: no TLS, no HTTP, a head too large or too slow, gone in the middle";
    cut "connections cut because they were not over in time";
}

/// How many connections each address has.
#[derive(Clone, Debug, Default)]
struct Crowd(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A place in it, given back at the end.
struct Place(Crowd, IpAddr);

impl Crowd {
    fn place(&self, address: IpAddr, most: usize) -> Option<Place> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let here = all.entry(address).or_default();
        if *here >= most {
            return None;
        }
        *here += 1;
        Some(Place(self.clone(), address))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Self(crowd, address) = self;
        let mut all = crowd.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(address) {
            Some(n) if *n > 1 => *n -= 1,
            _ => {
                all.remove(address);
            }
        }
    }
}

/// Serves until told to stop. Routes find the [`Guest`] among a request's extensions.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    tls: SharedTls,
    bounds: Bounds,
    counters: Arc<Counters>,
    mut stopped: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(bounds.connections));
    let total = u32::try_from(bounds.connections).unwrap_or(u32::MAX);
    let crowd = Crowd::default();
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
            Ok((stream, address)) => {
                counters.accepted.fetch_add(1, Ordering::Relaxed);
                let Some(place) = crowd.place(address.ip(), bounds.per_address) else {
                    counters.crowded.fetch_add(1, Ordering::Relaxed);
                    continue;
                };
                let (router, tls) = (router.clone(), tls.load_full());
                let (counters, stopped) = (counters.clone(), stopped.clone());
                tokio::spawn(async move {
                    let outcome = welcome(stream, address.ip(), router, tls, bounds, stopped).await;
                    let counter = match outcome {
                        End::Well => &counters.ended,
                        End::Broken => &counters.broken,
                        End::Cut => &counters.cut,
                    };
                    counter.fetch_add(1, Ordering::Relaxed);
                    drop((permit, place));
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

async fn welcome(
    stream: TcpStream,
    address: IpAddr,
    router: Router,
    tls: Option<Arc<ServerConfig>>,
    bounds: Bounds,
    mut stopped: watch::Receiver<bool>,
) -> End {
    let mut guest = Guest {
        certificate: None,
        address: Some(address),
    };
    let Some(config) = tls else {
        let router = router.layer(axum::Extension(guest));
        return attend(stream, router, bounds.life, stopped).await;
    };
    let handshake = timeout(HEAD_TIME, TlsAcceptor::from(config).accept(stream));
    let stream = tokio::select! {
        done = handshake => done,
        _ = stopped.wait_for(|stop| *stop) => return End::Cut,
    };
    let Ok(Ok(stream)) = stream else {
        return End::Broken;
    };
    let shown = stream.get_ref().1.peer_certificates();
    guest.certificate = shown
        .and_then(|all| all.first())
        .map(|c| Arc::new(known_by(c)));
    let router = router.layer(axum::Extension(guest));
    attend(stream, router, bounds.life, stopped).await
}

async fn attend(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    life: Duration,
    mut stopped: watch::Receiver<bool>,
) -> End {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_OCTETS)
        .max_headers(HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let over = tokio::select! {
        done = connection.as_mut() => Some(done),
        () = sleep(life) => None,
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
