//! What runs on the listening thread: packets of all sockets into one [`Mirror`], and what it gives to the stages behind.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam_channel as queue;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::HepListener;
use super::connection::{Event, Shared, accept};
use super::drops::Drops;
use crate::base::Timestamp;
use crate::engine::mirror::{Agent, Carrier, CarrierKind, Mirror, MirrorCounters};
use crate::engine::sequence::Caught;
use crate::host::clock::StepWatch;
use crate::wire::Message;

/// How often we look whether the stages behind take more, and split messages are too old.
const TICK: Duration = Duration::from_millis(10);

/// Ticks between two times that `upto` is told: 50 ms, of the 100 that the sequencer is promised.
const TICKS_PER_UPTO: u32 = 5;

/// Ticks between two looks at the kernel's drops.
const TICKS_PER_DROPS: u32 = 100;

/// Ticks between two times that running minutes of coverage are told: once a second, as reading threads do.
const TICKS_PER_COVERAGE: u32 = 100;

/// How long a socket must be quiet before it counts as empty, at the end.
const QUIET: Duration = Duration::from_millis(5);

/// Datagrams between a socket's task and ours. A task reads 128 before others run, so that this is never full while ours runs.
const DATAGRAMS: usize = 1_024;

/// Packets of connections between their tasks and ours.
const PACKETS: usize = 64;

/// Events taken at once before messages go on.
const EVENTS: usize = 1_024;

/// Octets of messages that wait for the stages behind; beyond it connections are not read and datagrams are dropped.
const WAITING: usize = 16 << 20;

/// How long a stop waits for the stages behind.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What the handle asks for.
pub(super) enum Command {
    Agents(Arc<[Agent]>),
}

type Datagram = (SocketAddr, Vec<u8>);

pub(super) struct Thread {
    mirror: Mirror,
    output: queue::Sender<Caught>,
    source: usize,
    now: fn() -> Timestamp,
    shared: Arc<Shared>,
    counts: Arc<ArcSwap<MirrorCounters>>,
    commands: mpsc::UnboundedReceiver<Command>,
    waiting: Caught,
    octets: usize,
    steps: StepWatch,
    /// Datagrams dropped by us of which the mirror has been told.
    told: u64,
}

impl Thread {
    pub fn new(
        mirror: Mirror,
        output: queue::Sender<Caught>,
        source: usize,
        now: fn() -> Timestamp,
        shared: Arc<Shared>,
        counts: Arc<ArcSwap<MirrorCounters>>,
        commands: mpsc::UnboundedReceiver<Command>,
    ) -> Self {
        let waiting = Caught {
            source,
            ..Caught::default()
        };
        Self {
            mirror,
            output,
            source,
            now,
            shared,
            counts,
            commands,
            waiting,
            octets: 0,
            steps: StepWatch::start(),
            told: 0,
        }
    }

    /// Runs until it is stopped, its handle is gone, or nobody takes what it tells.
    pub async fn run(
        mut self,
        listener: HepListener,
        mut stop: watch::Receiver<bool>,
    ) -> io::Result<()> {
        let (to_udp, mut datagrams) = mpsc::channel(DATAGRAMS);
        let (to_tcp, mut packets) = mpsc::channel(PACKETS);
        let mut drops = Vec::new();
        for (socket, kernel) in listener.udp {
            let socket = Arc::new(UdpSocket::from_std(socket)?);
            // Kept open here: with the socket the kernel's count of it goes.
            drops.push((socket.clone(), kernel));
            tokio::spawn(receive(
                socket,
                self.shared.clone(),
                to_udp.clone(),
                stop.clone(),
            ));
        }
        for (sockets, over) in [
            (listener.tcp, CarrierKind::Tcp),
            (listener.tls, CarrierKind::Tls),
        ] {
            for socket in sockets {
                let socket = TcpListener::from_std(socket)?;
                let (shared, events) = (self.shared.clone(), to_tcp.clone());
                tokio::spawn(accept(socket, over, shared, events, stop.clone()));
            }
        }
        // From here on only tasks hold the sending ends: when they are gone, all is told.
        drop((to_udp, to_tcp));
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut ticks = 0u32;
        loop {
            let full = self.octets >= WAITING;
            tokio::select! {
                _ = stop.changed() => break,
                Some(datagram) = datagrams.recv() => {
                    self.look_at_clock();
                    self.handle_datagram(&datagram);
                    for _ in 0..EVENTS {
                        let Ok(next) = datagrams.try_recv() else { break };
                        self.handle_datagram(&next);
                    }
                }
                Some(event) = packets.recv(), if !full => {
                    self.look_at_clock();
                    self.handle_event(event);
                    while self.octets < WAITING && let Ok(next) = packets.try_recv() {
                        self.handle_event(next);
                    }
                }
                _ = tick.tick() => {
                    ticks = ticks.wrapping_add(1);
                    if ticks.is_multiple_of(TICKS_PER_DROPS) {
                        self.ask_kernel(&mut drops);
                    }
                    self.obey();
                    self.tell_dropped();
                    self.look_at_clock();
                    self.mirror.handle_time((self.now)());
                    if ticks.is_multiple_of(TICKS_PER_COVERAGE) {
                        self.mirror.publish_coverage();
                        let by_agent = self.mirror.by_agent();
                        let by_agent = by_agent.map(|(n, c)| (n.clone(), c)).collect();
                        self.shared.by_agent.store(Arc::new(by_agent));
                    }
                    self.gather();
                }
            }
            if !self.tell(ticks.is_multiple_of(TICKS_PER_UPTO)) {
                return Ok(());
            }
            self.counts.store(Arc::new(self.mirror.counters()));
        }
        // Tasks end by the same word; datagrams that lie in the sockets come before.
        while let Some(datagram) = datagrams.recv().await {
            self.handle_datagram(&datagram);
        }
        while let Some(event) = packets.recv().await {
            self.handle_event(event);
        }
        self.ask_kernel(&mut drops);
        self.tell_dropped();
        self.mirror.handle_time((self.now)());
        self.mirror.finish();
        self.gather();
        self.gather_coverage();
        self.waiting.upto = (self.now)();
        let last = std::mem::take(&mut self.waiting);
        if let Err(queue::SendTimeoutError::Timeout(lost)) =
            self.output.send_timeout(last, LAST_WORDS)
        {
            let lost = u64::try_from(lost.messages.len()).unwrap_or(u64::MAX);
            self.shared.count(|c| c.queue_full += lost);
        }
        self.counts.store(Arc::new(self.mirror.counters()));
        Ok(())
    }

    /// Takes what the handle asks for before the next packet: whoever was told that a list holds may send by it.
    fn obey(&mut self) {
        while let Ok(Command::Agents(agents)) = self.commands.try_recv() {
            self.mirror.handle_agents(agents);
        }
    }

    fn handle_datagram(&mut self, (peer, bytes): &Datagram) {
        self.obey();
        let now = (self.now)();
        if self.octets >= WAITING {
            self.shared.count(|c| c.queue_full += 1);
            return;
        }
        self.mirror.handle_packet(*peer, Carrier::Udp, bytes, now);
        self.gather();
    }

    fn handle_event(&mut self, event: Event) {
        self.obey();
        let now = (self.now)();
        match event {
            Event::Packet {
                peer,
                over,
                certificate,
                bytes,
            } => {
                let over = match over {
                    CarrierKind::Tls => Carrier::Tls(certificate.as_deref()),
                    _ => Carrier::Tcp,
                };
                self.mirror.handle_packet(peer, over, &bytes, now);
            }
            Event::Closed { peer, over } => self.mirror.handle_closed(peer, over, now),
        }
        self.gather();
    }

    fn ask_kernel(&mut self, drops: &mut [(Arc<UdpSocket>, Drops)]) {
        for (_, count) in drops {
            match count.more() {
                Some(0) => {}
                Some(more) => self.mirror.handle_dropped(more, (self.now)()),
                None => self.shared.count(|c| c.drops_unknown += 1),
            }
        }
    }

    /// Drops of our own, here and in the sockets' tasks.
    fn tell_dropped(&mut self) {
        let dropped = self.shared.counters().queue_full;
        if dropped > self.told {
            self.mirror
                .handle_dropped(dropped - self.told, (self.now)());
            self.told = dropped;
        }
    }

    fn gather(&mut self) {
        while let Some((arrived, message)) = self.mirror.poll_message() {
            self.octets += weight(&message);
            self.waiting.messages.push((arrived, message));
        }
    }

    fn gather_coverage(&mut self) {
        let coverage = std::iter::from_fn(|| self.mirror.poll_coverage());
        self.waiting.coverage.extend(coverage);
    }

    /// Before any time is told: a ledger that does not know of a step would cover all that lies between.
    fn look_at_clock(&mut self) {
        if let Some(step) = self.steps.look() {
            self.mirror.handle_step(step.before, step.after);
        }
    }

    /// Hands on what there is; `false` where nobody takes it any more. What finds no room waits.
    fn tell(&mut self, idle: bool) -> bool {
        self.gather_coverage();
        if self.waiting.messages.is_empty() && self.waiting.coverage.is_empty() && !idle {
            return true;
        }
        self.waiting.upto = (self.now)();
        let empty = Caught {
            source: self.source,
            ..Caught::default()
        };
        match self
            .output
            .try_send(std::mem::replace(&mut self.waiting, empty))
        {
            Ok(()) => self.octets = 0,
            Err(queue::TrySendError::Full(back)) => self.waiting = back,
            Err(queue::TrySendError::Disconnected(_)) => return false,
        }
        true
    }
}

/// What a message costs while it waits.
fn weight(message: &Message) -> usize {
    message.bytes.len() + size_of::<(Timestamp, Message)>()
}

/// Reads a UDP socket until told to stop, and then what lies in it.
async fn receive(
    socket: Arc<UdpSocket>,
    shared: Arc<Shared>,
    datagrams: mpsc::Sender<Datagram>,
    mut stop: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let received = tokio::select! {
            received = socket.recv_from(&mut buffer) => received,
            _ = stop.changed() => break,
        };
        // An error of one datagram, such as an ICMP answer to none of ours, is no end of the socket.
        let Ok((n, peer)) = received else {
            tokio::task::yield_now().await;
            continue;
        };
        let bytes = buffer.get(..n).unwrap_or_default().to_vec();
        if datagrams.try_send((peer, bytes)).is_err() {
            shared.count(|c| c.queue_full += 1);
        }
    }
    for _ in 0..DATAGRAMS * 64 {
        // Waits for a moment: what came since the last look is not known of before the runtime asks the kernel.
        let (n, peer) = match timeout(QUIET, socket.recv_from(&mut buffer)).await {
            Ok(Ok(received)) => received,
            Ok(Err(_)) => continue,
            Err(_) => return,
        };
        let bytes = buffer.get(..n).unwrap_or_default().to_vec();
        if datagrams.send((peer, bytes)).await.is_err() {
            return;
        }
    }
}
