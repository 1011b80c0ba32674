//! Listens for agents that mirror what they see (HEP) over UDP, TCP and TLS.
//!
//! ```text
//! UDP ───────────────────► │
//! TCP ─► framing ────────► │ Mirror ─► Caught ─► the stages behind
//! TLS ─► handshake ─► " ─► │
//! ```
//!
//! [`HepListener::bind`] opens the sockets, while we still may; [`HepListener::start`] gives them to a thread with a runtime of its own. Connections are
//! accepted from addresses of agents alone, within limits for all and for each address; a stream that breaks is closed, never taken up again. Over
//! UDP and TCP nothing is secret and, over UDP, nothing is certain: see [`mirror`](crate::engine::mirror).
//!
//! When the stages behind don't keep up, connections are no longer read, so that their agents wait; datagrams are dropped, and counted. Those that the
//! kernel drops are counted from `/proc/net/udp`.
//!
//! The time of arrival is when a packet was taken up on our thread, not when the kernel got it.
//!
//! - [`counters`]: what became of connections

pub mod counters;

mod connection;
mod drops;
mod thread;

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam_channel as queue;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::runtime;
use tokio::sync::{mpsc, watch};

pub use crate::web::tls::{TlsFiles, why_unreadable};
pub use counters::ListenCounters;

use crate::base::Timestamp;
use crate::call::record::Sensor;
use crate::engine::mirror::{Agent, AgentCounts, Mirror, MirrorCounters, MirrorLimits};
use crate::engine::sequence::Caught;
use crate::web::tls::{self, Clients, TlsError};
use crate::wire::Provenance;
use connection::Shared;
use drops::Drops;
use thread::{Command, Thread};

/// What listening is to be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HepSettings {
    /// Addresses for UDP.
    pub udp: Vec<SocketAddr>,
    /// Addresses for TCP.
    pub tcp: Vec<SocketAddr>,
    /// Addresses for TLS.
    pub tls: Vec<SocketAddr>,
    /// Files for TLS; must be there where an address is. With authorities of client certificates every agent over TLS must show one.
    pub tls_files: Option<TlsFiles>,
    /// The allow-list.
    pub agents: Vec<Agent>,
    /// Bounds of connections.
    pub limits: ListenLimits,
    /// Bounds of what is made of packets.
    pub mirror: MirrorLimits,
}

impl HepSettings {
    /// The agents as sensors, in the order of the configuration.
    pub fn sensors(&self) -> Vec<Sensor> {
        let sensor = |a: &Agent| Sensor {
            name: a.name.clone(),
            provenance: Provenance::Hep,
        };
        self.agents.iter().map(sensor).collect()
    }
}

/// Bounds of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenLimits {
    /// Connections in all.
    pub connections: usize,
    /// Connections of one address. A SIP proxy has one for each of its processes.
    pub per_address: usize,
    /// How long a connection may be silent.
    pub idle: Duration,
    /// How long a TLS handshake, and a packet from its first octet to its last, may take.
    pub slow: Duration,
    /// Receive buffer that the kernel is asked for, for each UDP socket. It grants no more than `net.core.rmem_max`.
    pub receive_buffer: usize,
}

impl Default for ListenLimits {
    /// 256 connections, 64 of one address, ten minutes, ten seconds, 8 MiB.
    fn default() -> Self {
        Self {
            connections: 256,
            per_address: 64,
            idle: Duration::from_secs(600),
            slow: Duration::from_secs(10),
            receive_buffer: 8 << 20,
        }
    }
}

/// Why we can't listen.
#[derive(Debug, thiserror::Error)]
pub enum HepError {
    /// A socket.
    #[error("hep: can't listen on {over} {address}: {source}")]
    Listen {
        /// `udp`, `tcp` or `tls`.
        over: &'static str,
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A certificate or key.
    #[error("hep: {0}")]
    Tls(#[from] TlsError),
    /// TLS without files.
    #[error("hep: tls needs a certificate and a key")]
    NoTlsFiles,
    /// No thread, or no runtime.
    #[error("hep: can't start a thread: {0}")]
    NoThread(io::Error),
    /// The thread has died: a defect of ours.
    #[error("hep: the listening thread has died; please report this")]
    Died,
}

/// Bound sockets that nobody reads yet.
#[derive(Debug)]
pub struct HepListener {
    udp: Vec<(UdpSocket, Drops)>,
    tcp: Vec<TcpListener>,
    tls: Vec<TcpListener>,
    settings: HepSettings,
    config: Option<Arc<tokio_rustls::rustls::ServerConfig>>,
    receive_buffer: u64,
}

impl HepListener {
    /// Opens the sockets and reads the files.
    ///
    /// # Errors
    ///
    /// [`HepError`]
    pub fn bind(settings: &HepSettings) -> Result<Self, HepError> {
        let config = match &settings.tls_files {
            Some(files) => Some(tls::load(files, Clients::Must)?),
            None if settings.tls.is_empty() => None,
            None => return Err(HepError::NoTlsFiles),
        };
        let mut receive_buffer = u64::MAX;
        let udp = settings.udp.iter().map(|address| {
            let wrong = |source| HepError::Listen {
                over: "udp",
                address: *address,
                source,
            };
            let socket = open(*address, Type::DGRAM, Protocol::UDP).map_err(wrong)?;
            // The kernel may grant less: it is said, not refused.
            let _ = socket.set_recv_buffer_size(settings.limits.receive_buffer);
            let granted = socket.recv_buffer_size().map_err(wrong)?;
            receive_buffer = receive_buffer.min(u64::try_from(granted).unwrap_or(u64::MAX));
            let socket = UdpSocket::from(socket);
            let drops = Drops::of(socket.local_addr().map_err(wrong)?);
            Ok((socket, drops))
        });
        let udp = udp.collect::<Result<_, HepError>>()?;
        let listen = |over, addresses: &[SocketAddr]| {
            let one = |address: &SocketAddr| {
                let wrong = |source| HepError::Listen {
                    over,
                    address: *address,
                    source,
                };
                let socket = open(*address, Type::STREAM, Protocol::TCP).map_err(wrong)?;
                socket.listen(BACKLOG).map_err(wrong)?;
                Ok(TcpListener::from(socket))
            };
            addresses
                .iter()
                .map(one)
                .collect::<Result<Vec<_>, HepError>>()
        };
        Ok(Self {
            udp,
            tcp: listen("tcp", &settings.tcp)?,
            tls: listen("tls", &settings.tls)?,
            settings: settings.clone(),
            config,
            receive_buffer: if receive_buffer == u64::MAX {
                0
            } else {
                receive_buffer
            },
        })
    }

    /// Where it listens over UDP, TCP and TLS: the ports that the system chose where 0 was asked for.
    pub fn addresses(&self) -> [Vec<SocketAddr>; 3] {
        let of = |l: &Vec<TcpListener>| l.iter().filter_map(|s| s.local_addr().ok()).collect();
        let udp = self.udp.iter().filter_map(|(s, _)| s.local_addr().ok());
        [udp.collect(), of(&self.tcp), of(&self.tls)]
    }

    /// Reads the sockets on a thread of its own. Messages go to `output` as those of `source`; it is told at least every 100 ms up to when
    /// everything was told.
    ///
    /// # Errors
    ///
    /// [`HepError::NoThread`]
    pub fn start(
        self,
        mirror: Mirror,
        output: queue::Sender<Caught>,
        source: usize,
        now: fn() -> Timestamp,
    ) -> Result<HepHandle, HepError> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(HepError::NoThread)?;
        let shared = Arc::new(Shared::new(
            self.settings.agents.clone(),
            self.config.clone(),
            self.settings.limits,
            self.receive_buffer,
        ));
        let counts = Arc::new(ArcSwap::from_pointee(mirror.counters()));
        let (commands, from_handle) = mpsc::unbounded_channel();
        let (stop, stopping) = watch::channel(false);
        let thread = Thread::new(
            mirror,
            output,
            source,
            now,
            shared.clone(),
            counts.clone(),
            from_handle,
        );
        let join = std::thread::Builder::new()
            .name("hep".to_owned())
            .spawn(move || runtime.block_on(thread.run(self, stopping)))
            .map_err(HepError::NoThread)?;
        Ok(HepHandle {
            shared,
            counts,
            commands,
            stop,
            join,
        })
    }
}

/// Connections that wait to be accepted: what the kernel allows by default would do as well.
const BACKLOG: i32 = 128;

fn open(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if kind == Type::STREAM {
        socket.set_reuse_address(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// A running listener. Dropped, it stops without being waited for.
#[derive(Debug)]
pub struct HepHandle {
    shared: Arc<Shared>,
    counts: Arc<ArcSwap<MirrorCounters>>,
    commands: mpsc::UnboundedSender<Command>,
    stop: watch::Sender<bool>,
    join: JoinHandle<Result<(), io::Error>>,
}

/// A listener's counters, for other threads.
#[derive(Clone, Debug)]
pub struct HepView {
    shared: Arc<Shared>,
    counts: Arc<ArcSwap<MirrorCounters>>,
}

impl HepView {
    /// What became of packets and messages, and of connections.
    pub fn counters(&self) -> (MirrorCounters, ListenCounters) {
        (**self.counts.load(), self.shared.counters())
    }

    /// What each agent showed, up to a second ago.
    pub fn by_agent(&self) -> Arc<Vec<(Arc<str>, AgentCounts)>> {
        self.shared.by_agent.load_full()
    }
}

impl HepHandle {
    /// Its counters, for other threads.
    pub fn view(&self) -> HepView {
        HepView {
            shared: self.shared.clone(),
            counts: self.counts.clone(),
        }
    }

    /// What became of packets and messages, some milliseconds ago.
    pub fn mirror_counters(&self) -> MirrorCounters {
        **self.counts.load()
    }

    /// What became of connections.
    pub fn listen_counters(&self) -> ListenCounters {
        self.shared.counters()
    }

    /// Takes another allow-list, other limits and TLS files read anew; sockets and connections stay as they are. Limits of the mirror and of receive
    /// buffers need a restart. Agents must keep their sensors' numbers.
    ///
    /// # Errors
    ///
    /// [`HepError::Tls`], and all is as before.
    pub fn reload(&self, settings: &HepSettings) -> Result<(), HepError> {
        let config = settings.tls_files.as_ref();
        let config = config.map(|f| tls::load(f, Clients::Must)).transpose()?;
        self.shared
            .reload(settings.agents.clone(), config, settings.limits);
        let agents = settings.agents.clone().into();
        self.commands
            .send(Command::Agents(agents))
            .map_err(|_| HepError::Died)
    }

    /// Whether the thread is gone: it was stopped, nobody takes what it tells, or it died.
    pub fn is_finished(&self) -> bool {
        self.join.is_finished()
    }

    /// Stops: what lies in the sockets is still read, what is incomplete comes out cut, and everything is told before this returns, unless nobody takes
    /// it for five seconds.
    ///
    /// # Errors
    ///
    /// [`HepError::Died`], or what kept the thread from its sockets.
    pub fn stop(self) -> Result<(), HepError> {
        let _ = self.stop.send(true);
        self.join()
    }

    /// Waits for the end of the thread.
    ///
    /// # Errors
    ///
    /// As [`HepHandle::stop`].
    pub fn join(self) -> Result<(), HepError> {
        let Self { join, stop, .. } = self;
        let ended = join.join().map_err(|_| HepError::Died)?;
        drop(stop);
        ended.map_err(HepError::NoThread)
    }
}
