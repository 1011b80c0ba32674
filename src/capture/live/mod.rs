//! Frames from interfaces of this host, by TPACKET_V3 rings, or by pnet where there is no ring.
//!
//! ```text
//! open ─► one LiveSource a reading thread ─ poll ─► Opened, Frame …, Dropped, Closed
//! ```
//!
//! [`open`] needs CAP_NET_RAW; nothing after it needs any capability. An interface that goes down and comes up, or is deleted and made again under its name,
//! is told as [`Event::Closed`] and [`Event::Opened`], so that coverage is honest, and read on. What the kernel drops is asked for four times a second,
//! or as soon as a frame says so.
//!
//! Several threads on one interface are a fanout group: each packet comes to one of them, both directions of a flow and all fragments of a datagram to
//! the same (see [`PacketSocket::fanout`]). No thread hears anything before all have joined, so none hears twice. The kernel doesn't let a member be
//! bound again, so each interface made again takes a spare socket of every thread; when these run out, the first thread goes on alone.
//!
//! - [`filter`]: what the kernel lets through
//! - [`settings`]: what is read, and why it can't be
//! - [`counters`]: what became of it

pub mod counters;
pub mod filter;
mod group;
pub mod settings;
mod tap;

use std::io;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

pub use counters::LiveCounters;
pub use settings::{Backend, InterfaceSettings, LiveError, LiveSettings};

use super::Event;
use crate::base::Timestamp;
use crate::engine::Frame;
use crate::host::clock;
use crate::sys::packet::PacketSocket;
use crate::wire::link::LinkType;
use filter::Front;
use group::{Group, Seat};
use tap::{Made, Maker, Refused, Tap};

/// How often an interface is looked at and the kernel asked what it dropped.
const LOOK: Duration = Duration::from_millis(250);

/// When a block that isn't full comes to us: the longest that a frame waits on a quiet line, but for the kernel's clock ticks.
const RETIRE_MS: u32 = 20;

/// A frame that came before so long has been told, where nothing more waits: twice [`RETIRE_MS`] and two ticks of 10 ms.
pub const LATENCY: Duration = Duration::from_millis(60);

/// Blocks read in one [`LiveSource::poll`], so that a flood keeps nobody from looking at the clock.
const BLOCKS: u32 = 16;

/// Polls that empty the largest ring that can be configured. Frames may go on coming, where the interface is up again already.
const DRAIN: u32 = 4_096 / BLOCKS;

/// Opens every configured interface: one source for each reading thread. Sensors are numbered from `sensor` on, in the order of [`LiveSettings::sensors`].
///
/// # Errors
///
/// [`LiveError`] of the first that can't be opened.
pub fn open(settings: &LiveSettings, sensor: u16) -> Result<Vec<LiveSource>, LiveError> {
    let mut out = Vec::new();
    let sensors = settings.sensors();
    for interface in &settings.interfaces {
        let place = sensors.iter().position(|s| *s == interface.sensor);
        let place = u16::try_from(place.unwrap_or(0)).unwrap_or(u16::MAX);
        out.extend(open_one(settings, interface, sensor.saturating_add(place))?);
    }
    Ok(out)
}

fn open_one(
    settings: &LiveSettings,
    interface: &InterfaceSettings,
    sensor: u16,
) -> Result<Vec<LiveSource>, LiveError> {
    let name = &interface.name;
    let open = || {
        let socket = PacketSocket::open();
        socket.map_err(|e| LiveError::of(name, "a packet socket can't be opened", e))
    };
    let probe = open()?;
    let missing = || LiveError::NoInterface { name: name.clone() };
    let link = probe.link(name).ok_or_else(missing)?;
    let hardware = probe.hardware(name).ok_or_else(missing)?;
    let (link_type, front) = link_type(hardware).ok_or_else(|| LiveError::LinkType {
        name: name.clone(),
        hardware,
    })?;
    // On loopback each packet is seen twice, going out and coming in.
    let ignore_outgoing = interface.ignore_outgoing || hardware == libc::ARPHRD_LOOPBACK;
    let maker = Arc::new(Maker::new(settings, interface, front, ignore_outgoing));
    let made = maker.make(interface, link.index, SPARES)?;
    let group = (made.len() > 1).then(|| Arc::new(Group::new(link.index, SPARES)));
    let one = |(thread, made)| {
        let Made { tap, note, spares } = made;
        Ok(LiveSource {
            interface: name.clone(),
            probe: open()?,
            sensor,
            thread: u16::try_from(thread).unwrap_or(u16::MAX),
            link_type,
            ignore_outgoing,
            maker: Arc::clone(&maker),
            group: group.clone(),
            counters: LiveCounters {
                fallback: u64::from(note.is_some()),
                spare_sockets: count(spares.len()),
                ..LiveCounters::default()
            },
            tap,
            spares,
            note,
            looked: None,
            trouble: None,
            up: false,
            fresh: false,
            drained: false,
            last: Timestamp::MIN,
        })
    };
    made.into_iter().enumerate().map(one).collect()
}

/// How often an interface with several threads can be made again before one thread has to read it alone. A spare socket without a ring costs about 2 KB.
const SPARES: usize = 16;

/// What frames of an interface of this hardware begin with (`linux/if_arp.h`).
fn link_type(hardware: u16) -> Option<(LinkType, Front)> {
    match hardware {
        libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => Some((LinkType::Ethernet, Front::Ethernet)),
        // tun, and raw IP of mobile modems (519).
        libc::ARPHRD_NONE | 519 => Some((LinkType::RawIp, Front::Ip)),
        _ => None,
    }
}

/// One thread's part of an interface.
#[derive(Debug)]
pub struct LiveSource {
    interface: Arc<str>,
    sensor: u16,
    thread: u16,
    link_type: LinkType,
    ignore_outgoing: bool,
    maker: Arc<Maker>,
    /// Asks for the interface by name, also while there is no tap.
    probe: PacketSocket,
    group: Option<Arc<Group>>,
    tap: Tap,
    /// Unbound sockets, for when the interface is made again.
    spares: Vec<PacketSocket>,
    note: Option<String>,
    trouble: Option<String>,
    counters: LiveCounters,
    looked: Option<Instant>,
    up: bool,
    /// The tap's socket is no member of a group yet: joining it failed half-way.
    fresh: bool,
    /// Nothing more waited at the end of the last poll.
    drained: bool,
    /// Capture time of the last frame.
    last: Timestamp,
}

impl LiveSource {
    /// Waits for frames, `wait` at most, and tells what came. It comes back after some thousand frames, if more wait.
    ///
    /// # Errors
    ///
    /// [`LiveError::System`] when the socket can't be waited for: nothing that an interface does leads to it.
    pub fn poll(
        &mut self,
        wait: Duration,
        each: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), LiveError> {
        if self.looked.is_none_or(|at| at.elapsed() >= LOOK) {
            self.look(each);
        }
        let ready = self.tap.wait(wait.min(LOOK)).map_err(|source| {
            LiveError::of(&self.interface, "frames can't be waited for", source)
        })?;
        if !ready {
            self.drained = true;
            return Ok(());
        }
        // Taken before anyone reads: a receiver would stumble over it.
        let error = self.tap.socket().and_then(PacketSocket::take_error);
        let losing = self.read(each);
        if let Some(error) = error {
            // The interface went down, or away (ENETDOWN, ENETUNREACH, ENODEV): the look will tell.
            let of_link = [libc::ENETDOWN, libc::ENODEV, libc::ENXIO];
            if !error.raw_os_error().is_some_and(|c| of_link.contains(&c)) {
                self.counters.socket_errors += 1;
            }
            self.look(each);
        } else if losing {
            self.ask_drops(each);
        }
        Ok(())
    }

    /// Everything that the wire showed before this time has been told.
    pub fn upto(&self, now: Timestamp) -> Timestamp {
        if self.drained {
            self.last.max(now.minus(LATENCY)).min(now)
        } else {
            self.last
        }
    }

    /// Name of the interface.
    pub fn interface(&self) -> &Arc<str> {
        &self.interface
    }

    /// Which sensor its frames are of.
    pub fn sensor(&self) -> u16 {
        self.sensor
    }

    /// Which of the interface's threads, from 0.
    pub fn thread(&self) -> u16 {
        self.thread
    }

    /// What is lost because there is no ring.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Why the interface can't be read at present, though it is there.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// What became of everything so far.
    pub fn counters(&self) -> LiveCounters {
        self.counters
    }

    /// Hands on what waits. `true` when the kernel says that it is dropping.
    fn read(&mut self, each: &mut dyn FnMut(Event<'_>)) -> bool {
        let Self {
            tap,
            counters,
            last,
            ignore_outgoing,
            link_type,
            sensor,
            ..
        } = self;
        let mut losing = false;
        self.drained = tap.read(BLOCKS, &mut |told| match told {
            tap::Told::Block { losing: l } => {
                counters.blocks += 1;
                counters.blocks_losing += u64::from(l);
                losing |= l;
            }
            tap::Told::Frame(f) if f.outgoing && *ignore_outgoing => counters.frames_outgoing += 1,
            tap::Told::Frame(f) => {
                counters.frames += 1;
                counters.frames_truncated += u64::from(f.bytes.len() < f.original_len);
                counters.frames_retagged += u64::from(f.retagged);
                *last = f.at;
                each(Event::Frame(Frame {
                    at: f.at,
                    link: *link_type,
                    sensor: *sensor,
                    bytes: f.bytes,
                    original_len: f.original_len,
                }));
            }
            tap::Told::Error => counters.socket_errors += 1,
        });
        losing
    }

    /// Tells what the kernel dropped since it was asked last: at the end, before nobody asks any more.
    pub fn ask_drops(&mut self, each: &mut dyn FnMut(Event<'_>)) {
        let Some(Ok(s)) = self.tap.socket().map(PacketSocket::statistics) else {
            return;
        };
        let c = &mut self.counters;
        c.packets_passed += u64::from(s.packets);
        c.packets_dropped += u64::from(s.drops);
        c.ring_freezes += u64::from(s.freezes);
        if s.drops > 0 {
            each(Event::Dropped {
                sensor: self.sensor,
                at: clock::now(),
                packets: s.drops.into(),
            });
        }
    }

    /// Looks at the interface, and follows it.
    fn look(&mut self, each: &mut dyn FnMut(Event<'_>)) {
        self.looked = Some(Instant::now());
        self.ask_drops(each);
        let link = self.probe.link(&self.interface);
        let bound = self.tap.socket().map(PacketSocket::bound);
        let bound = bound.and_then(io::Result::ok);
        let moved = link.is_some_and(|l| Some(l.index) != bound);
        let up = link.is_some_and(|l| l.up);
        if self.up && (moved || !up) {
            self.close(each);
        }
        if self.counters.retired != 0 {
            return;
        }
        if let Some(link) = link.filter(|_| moved || self.fresh) {
            match self.rebind(link.index) {
                Ok(()) => {
                    self.counters.rebinds += 1;
                    self.trouble = None;
                }
                Err(Refused { what, source }) => {
                    // Made and gone again, perhaps; the next look tries again.
                    self.counters.rebind_failures += 1;
                    self.trouble = Some(format!("{}: {what}: {source}", self.interface));
                    return;
                }
            }
        }
        if up && !self.up && self.counters.retired == 0 {
            self.up = true;
            self.counters.link_ups += 1;
            self.counters.link_up = 1;
            each(Event::Opened {
                sensor: self.sensor,
                at: clock::now(),
            });
        }
    }

    fn close(&mut self, each: &mut dyn FnMut(Event<'_>)) {
        let at = clock::now();
        // What came before still lies in a block that isn't full. After the event it would look like a sign of life.
        sleep(LATENCY);
        for _ in 0..DRAIN {
            self.read(each);
            if self.drained {
                break;
            }
        }
        self.ask_drops(each);
        self.up = false;
        self.counters.link_downs += 1;
        self.counters.link_up = 0;
        each(Event::Closed {
            sensor: self.sensor,
            at,
        });
    }

    /// Reads the interface that has this index now.
    fn rebind(&mut self, index: i32) -> Result<(), Refused> {
        let Some(shared) = self.group.clone() else {
            return match (&self.tap, self.spares.pop()) {
                // A ring that could not be had once the last spare socket was due.
                (Tap::None, Some(spare)) => {
                    self.tap = Tap::Ring(self.maker.alone(spare, index)?);
                    Ok(())
                }
                (tap, _) => match tap.socket() {
                    Some(socket) => self.maker.bind(socket, index),
                    None => Err(no_socket()),
                },
            };
        };
        let mut group = shared.lock();
        match group.seat(index) {
            Seat::Member(fanout) => {
                if !self.fresh {
                    // The old ring goes first: there may not be memory for two.
                    self.tap = Tap::None;
                    let spare = self.take_spare()?;
                    self.tap = Tap::Ring(self.maker.ring(spare)?);
                    self.fresh = true;
                }
                let socket = self.tap.socket().ok_or_else(no_socket)?;
                let id = self.maker.join(socket, index, fanout)?;
                group.founded(id);
                self.fresh = false;
                self.maker.listen(socket)
            }
            Seat::Alone if self.thread == 0 => {
                self.tap = Tap::None;
                self.fresh = false;
                self.group = None;
                let spare = self.take_spare()?;
                self.tap = Tap::Ring(self.maker.alone(spare, index)?);
                Ok(())
            }
            Seat::Alone => {
                self.tap = Tap::None;
                self.spares.clear();
                self.counters.spare_sockets = 0;
                self.counters.retired = 1;
                Ok(())
            }
        }
    }

    fn take_spare(&mut self) -> Result<PacketSocket, Refused> {
        let spare = self.spares.pop().ok_or_else(no_socket);
        self.counters.spare_sockets = count(self.spares.len());
        spare
    }
}

fn no_socket() -> Refused {
    Refused {
        what: "it was made again more often than there were spare sockets; start tracehop again",
        source: io::ErrorKind::NotFound.into(),
    }
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

fn place(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
