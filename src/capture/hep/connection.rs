//! Connections: accepted, shaken hands with, read packet by packet.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::ListenLimits;
use super::counters::ListenCounters;
use crate::engine::mirror::AgentCounts;
use crate::engine::mirror::agent::may_connect;
use crate::engine::mirror::{Agent, CarrierKind, ClientCertificate};
use crate::web::tls;
use crate::wire::hep::stream::{Framed, frame};

/// Octets read at once.
const READ: usize = 16 * 1024;

/// How long we wait where the system gives us no connection, for instance for want of file descriptors.
const ACCEPT_AGAIN: std::time::Duration = std::time::Duration::from_millis(100);

/// What connections tell.
#[derive(Debug)]
pub(super) enum Event {
    Packet {
        peer: SocketAddr,
        over: CarrierKind,
        certificate: Option<Arc<ClientCertificate>>,
        bytes: Vec<u8>,
    },
    Closed {
        peer: SocketAddr,
        over: CarrierKind,
    },
}

/// What connections share.
#[derive(Debug)]
pub(super) struct Shared {
    agents: ArcSwap<Vec<Agent>>,
    tls: ArcSwapOption<ServerConfig>,
    limits: ArcSwap<ListenLimits>,
    state: Mutex<State>,
    /// What each agent showed, a second ago.
    pub by_agent: ArcSwap<Vec<(Arc<str>, AgentCounts)>>,
}

#[derive(Debug, Default)]
struct State {
    counters: ListenCounters,
    by_address: HashMap<IpAddr, usize>,
}

impl Shared {
    pub fn new(
        agents: Vec<Agent>,
        tls: Option<Arc<ServerConfig>>,
        limits: ListenLimits,
        receive_buffer: u64,
    ) -> Self {
        let counters = ListenCounters {
            receive_buffer,
            ..ListenCounters::default()
        };
        Self {
            agents: ArcSwap::from_pointee(agents),
            tls: ArcSwapOption::from(tls),
            limits: ArcSwap::from_pointee(limits),
            state: Mutex::new(State {
                counters,
                ..State::default()
            }),
            by_agent: ArcSwap::default(),
        }
    }

    pub fn reload(&self, agents: Vec<Agent>, tls: Option<Arc<ServerConfig>>, limits: ListenLimits) {
        self.agents.store(Arc::new(agents));
        self.limits.store(Arc::new(limits));
        if tls.is_some() {
            self.tls.store(tls);
        }
    }

    pub fn counters(&self) -> ListenCounters {
        self.with(|s| s.counters)
    }

    pub fn count(&self, change: impl FnOnce(&mut ListenCounters)) {
        self.with(|s| change(&mut s.counters));
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes a connection on, unless there are too many or no agent is there.
    fn admit(&self, from: IpAddr, over: CarrierKind) -> bool {
        let limits = self.limits.load();
        let known = may_connect(&self.agents.load(), from, over);
        self.with(|s| {
            let c = &mut s.counters;
            c.accepted += 1;
            let of_one = s.by_address.get(&from).copied().unwrap_or(0);
            let refused = if !known {
                &mut c.refused_address
            } else if c.open >= u64::try_from(limits.connections).unwrap_or(u64::MAX) {
                &mut c.refused_many
            } else if of_one >= limits.per_address {
                &mut c.refused_many_of_one
            } else {
                c.open += 1;
                s.by_address.insert(from, of_one + 1);
                return true;
            };
            *refused += 1;
            false
        })
    }

    fn release(&self, from: IpAddr, end: End) {
        self.with(|s| {
            let c = &mut s.counters;
            c.open = c.open.saturating_sub(1);
            *match end {
                End::Handshake => &mut c.closed_handshake,
                End::Peer => &mut c.closed_peer,
                End::Cut => &mut c.closed_cut,
                End::Idle => &mut c.closed_idle,
                End::Slow => &mut c.closed_slow,
                End::Broken => &mut c.closed_broken,
                End::Stop => &mut c.closed_stop,
            } += 1;
            match s.by_address.get_mut(&from) {
                Some(n) if *n > 1 => *n -= 1,
                _ => {
                    s.by_address.remove(&from);
                }
            }
        });
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug)]
enum End {
    Handshake,
    Peer,
    Cut,
    Idle,
    Slow,
    Broken,
    Stop,
}

/// Accepts until told to stop.
pub(super) async fn accept(
    listener: TcpListener,
    over: CarrierKind,
    shared: Arc<Shared>,
    events: mpsc::Sender<Event>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            _ = stop.changed() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((socket, peer)) = accepted else {
            shared.count(|c| c.accept_errors += 1);
            sleep(ACCEPT_AGAIN).await;
            continue;
        };
        if !shared.admit(peer.ip(), over) {
            continue;
        }
        let (shared, events, mut stop) = (shared.clone(), events.clone(), stop.clone());
        tokio::spawn(async move {
            let end = tokio::select! {
                _ = stop.changed() => End::Stop,
                end = serve(socket, peer, over, &shared, &events) => end,
            };
            shared.release(peer.ip(), end);
            let _ = events.send(Event::Closed { peer, over }).await;
        });
    }
}

async fn serve(
    socket: TcpStream,
    peer: SocketAddr,
    over: CarrierKind,
    shared: &Shared,
    events: &mpsc::Sender<Event>,
) -> End {
    if over != CarrierKind::Tls {
        return read(socket, peer, over, None, shared, events).await;
    }
    let Some(config) = shared.tls.load_full() else {
        return End::Handshake;
    };
    let slow = shared.limits.load().slow;
    let Ok(Ok(stream)) = timeout(slow, TlsAcceptor::from(config).accept(socket)).await else {
        return End::Handshake;
    };
    let shown = stream.get_ref().1.peer_certificates();
    let certificate = shown
        .and_then(|all| all.first())
        .map(tls::known_by)
        .map(Arc::new);
    read(stream, peer, over, certificate, shared, events).await
}

async fn read(
    mut stream: impl AsyncRead + Unpin,
    peer: SocketAddr,
    over: CarrierKind,
    certificate: Option<Arc<ClientCertificate>>,
    shared: &Shared,
    events: &mpsc::Sender<Event>,
) -> End {
    let mut buffer: Vec<u8> = Vec::new();
    let mut chunk = vec![0; READ];
    // Until when the packet at the front must be whole.
    let mut whole_by = None;
    loop {
        let mut from = 0;
        loop {
            let rest = buffer.get(from..).unwrap_or_default();
            match frame(rest) {
                Framed::Packet(n) => {
                    let bytes = rest.get(..n).unwrap_or(rest).to_vec();
                    from += n;
                    whole_by = None;
                    let certificate = certificate.clone();
                    let packet = Event::Packet {
                        peer,
                        over,
                        certificate,
                        bytes,
                    };
                    // Waits while the stages behind are busy: so does the agent then.
                    if events.send(packet).await.is_err() {
                        return End::Stop;
                    }
                }
                Framed::NeedMore(_) => break,
                Framed::Broken => return End::Broken,
            }
        }
        buffer.drain(..from.min(buffer.len()));
        let limits = **shared.limits.load();
        let now = Instant::now();
        let deadline = if buffer.is_empty() {
            now + limits.idle
        } else {
            *whole_by.get_or_insert(now + limits.slow)
        };
        match timeout_at(deadline, stream.read(&mut chunk)).await {
            Ok(Ok(n)) if n > 0 => buffer.extend_from_slice(chunk.get(..n).unwrap_or_default()),
            Ok(_) if buffer.is_empty() => return End::Peer,
            Ok(_) => return End::Cut,
            Err(_) if buffer.is_empty() => return End::Idle,
            Err(_) => return End::Slow,
        }
    }
}
