//! Where frames of an interface come out: a ring, or pnet over a socket of ours. And how either is made.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use pnet::datalink::{self, Channel, DataLinkReceiver, NetworkInterface};

use super::filter::{self, Front};
use super::settings::{Backend, InterfaceSettings, LiveError, LiveSettings};
use super::{RETIRE_MS, place};
use crate::host::clock;
use crate::sys::packet::{Fanout, Instruction, PacketSocket};
use crate::sys::ring::{Frame, Ring, RingSize};

/// Where frames come out.
#[derive(Debug)]
pub(super) enum Tap {
    Ring(Ring),
    Pnet(PnetTap),
    /// Nowhere, now or for good.
    None,
}

/// What a tap tells.
pub(super) enum Told<'a> {
    Frame(Frame<'a>),
    /// The end of a block, and whether the kernel was dropping frames in it.
    Block {
        losing: bool,
    },
    /// Reading failed.
    Error,
}

impl Tap {
    pub(super) fn socket(&self) -> Option<&PacketSocket> {
        match self {
            Self::Ring(ring) => Some(ring.socket()),
            Self::Pnet(p) => Some(&p.socket),
            Self::None => None,
        }
    }

    pub(super) fn wait(&self, time: Duration) -> io::Result<bool> {
        match self {
            Self::Ring(ring) => ring.wait(time),
            Self::Pnet(p) => p.socket.wait(time),
            Self::None => {
                std::thread::sleep(time);
                Ok(false)
            }
        }
    }

    /// Hands on what waits, up to so many blocks. `true` when nothing more waits.
    pub(super) fn read(&mut self, blocks: u32, each: &mut dyn FnMut(Told<'_>)) -> bool {
        match self {
            Self::Ring(ring) => {
                for _ in 0..blocks {
                    let Some(mut block) = ring.next_block() else {
                        return true;
                    };
                    let mut losing = false;
                    while let Some(frame) = block.next_frame() {
                        losing |= frame.losing;
                        each(Told::Frame(frame));
                    }
                    each(Told::Block { losing });
                }
                false
            }
            Self::Pnet(p) => p.read(blocks.saturating_mul(FRAMES), each),
            Self::None => true,
        }
    }
}

/// Frames that pnet reads for what would be a block: about what one holds.
const FRAMES: u32 = 256;

/// pnet's receiver.
pub(super) struct PnetTap {
    receiver: Box<dyn DataLinkReceiver>,
    /// The same socket, to ask and to bind again.
    socket: PacketSocket,
    buffer: usize,
}

impl fmt::Debug for PnetTap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PnetTap").field(&self.socket).finish()
    }
}

impl PnetTap {
    fn read(&mut self, frames: u32, each: &mut dyn FnMut(Told<'_>)) -> bool {
        for _ in 0..frames {
            // Asked first: pnet would wait for its timeout, and take an interface that is down for an error to give up on.
            if !self.socket.wait(Duration::ZERO).unwrap_or(false) {
                return true;
            }
            match self.receiver.next() {
                Ok(bytes) => each(Told::Frame(Frame {
                    at: clock::now(),
                    // A buffer that is full may have cut the frame.
                    original_len: bytes.len() + usize::from(bytes.len() == self.buffer),
                    bytes,
                    outgoing: false,
                    losing: false,
                    retagged: false,
                })),
                Err(e) if e.kind() == io::ErrorKind::TimedOut => return true,
                Err(e) => {
                    if e.raw_os_error() != Some(libc::ENETDOWN) {
                        each(Told::Error);
                    }
                    return true;
                }
            }
        }
        false
    }
}

/// A step that the system refused.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) what: &'static str,
    pub(super) source: io::Error,
}

fn refused(what: &'static str) -> impl FnOnce(io::Error) -> Refused {
    move |source| Refused { what, source }
}

/// Makes the taps of one interface.
#[derive(Debug)]
pub(super) struct Maker {
    name: Arc<str>,
    program: Vec<Instruction>,
    size: RingSize,
    snap: u32,
    promiscuous: bool,
    ignore_outgoing: bool,
}

/// A tap, with what goes with it.
pub(super) struct Made {
    pub(super) tap: Tap,
    /// What is lost without a ring.
    pub(super) note: Option<String>,
    pub(super) spares: Vec<PacketSocket>,
}

impl Maker {
    pub(super) fn new(
        settings: &LiveSettings,
        interface: &InterfaceSettings,
        front: Front,
        ignore_outgoing: bool,
    ) -> Self {
        Self {
            name: interface.name.clone(),
            program: filter::generate(&settings.filter, front, ignore_outgoing),
            size: ring_size(settings.ring_octets),
            snap: settings.filter.snap,
            promiscuous: settings.promiscuous,
            ignore_outgoing,
        }
    }

    /// One tap for each thread; one in all where pnet reads.
    pub(super) fn make(
        &self,
        interface: &InterfaceSettings,
        index: i32,
        spares: usize,
    ) -> Result<Vec<Made>, LiveError> {
        let failed = |r: Refused| LiveError::of(&self.name, r.what, r.source);
        match interface.backend {
            Backend::Ring => self.rings(interface.threads, index, spares).map_err(failed),
            Backend::Pnet => self
                .pnet(index, "configured so", interface)
                .map_err(failed)
                .map(|m| vec![m]),
            Backend::Auto => match self.rings(interface.threads, index, spares) {
                Ok(made) => Ok(made),
                // Without permission nothing else helps.
                Err(r) if r.source.kind() == io::ErrorKind::PermissionDenied => Err(failed(r)),
                Err(r) => {
                    let why = format!("{}: {}", r.what, r.source);
                    let made = self.pnet(index, &why, interface).map_err(failed)?;
                    Ok(vec![made])
                }
            },
        }
    }

    fn rings(&self, threads: u16, index: i32, spares: usize) -> Result<Vec<Made>, Refused> {
        let open = || PacketSocket::open().map_err(refused("a packet socket can't be opened"));
        if threads <= 1 {
            return Ok(vec![Made {
                tap: Tap::Ring(self.alone(open()?, index)?),
                note: None,
                spares: Vec::new(),
            }]);
        }
        let mut out = Vec::new();
        let mut fanout = Fanout::New;
        for _ in 0..threads {
            let ring = self.ring(open()?)?;
            fanout = Fanout::Join(self.join(ring.socket(), index, fanout)?);
            out.push(Made {
                tap: Tap::Ring(ring),
                note: None,
                spares: (0..spares).map(|_| open()).collect::<Result<_, _>>()?,
            });
        }
        // All have joined, so each packet comes to one: now they may hear.
        for made in &out {
            made.tap.socket().map_or(Ok(()), |s| self.listen(s))?;
        }
        Ok(out)
    }

    /// A ring of its own, deaf and unbound.
    pub(super) fn ring(&self, socket: PacketSocket) -> Result<Ring, Refused> {
        socket
            .attach_filter(&filter::nothing())
            .map_err(refused("the kernel refuses a filter"))?;
        Ring::new(socket, self.size).map_err(refused("no ring can be had"))
    }

    /// A ring that reads an interface without others.
    pub(super) fn alone(&self, socket: PacketSocket, index: i32) -> Result<Ring, Refused> {
        let ring = Ring::new(socket, self.size).map_err(refused("no ring can be had"))?;
        if self.ignore_outgoing {
            // A kernel that doesn't know it leaves it to the filter.
            let _ = ring.socket().ignore_outgoing();
        }
        self.listen(ring.socket())?;
        self.bind(ring.socket(), index)?;
        Ok(ring)
    }

    /// Binds a deaf socket and makes it a member of a group. Gives the group's id.
    pub(super) fn join(
        &self,
        socket: &PacketSocket,
        index: i32,
        fanout: Fanout,
    ) -> Result<u16, Refused> {
        self.bind(socket, index)?;
        socket
            .fanout(fanout, self.ignore_outgoing)
            .map_err(refused("the threads can't share the interface (fanout)"))
    }

    /// Lets a socket hear what the filter passes, for good.
    pub(super) fn listen(&self, socket: &PacketSocket) -> Result<(), Refused> {
        socket
            .attach_filter(&self.program)
            .and_then(|()| socket.lock_filter())
            .map_err(refused("the kernel refuses the filter"))
    }

    /// Binds a socket that is no member of a group, also again.
    pub(super) fn bind(&self, socket: &PacketSocket, index: i32) -> Result<(), Refused> {
        socket
            .bind(index)
            .map_err(refused("the socket can't be bound"))?;
        if self.promiscuous {
            socket
                .promiscuous(index)
                .map_err(refused("the interface can't be made promiscuous"))?;
        }
        Ok(())
    }

    fn pnet(&self, index: i32, why: &str, interface: &InterfaceSettings) -> Result<Made, Refused> {
        let socket = PacketSocket::open().map_err(refused("a packet socket can't be opened"))?;
        self.listen(&socket)?;
        if self.ignore_outgoing {
            let _ = socket.ignore_outgoing();
        }
        // As much as a ring would have. Without CAP_NET_ADMIN the system's limit holds.
        let octets = place(self.size.block).saturating_mul(place(self.size.blocks));
        socket
            .receive_buffer(octets)
            .map_err(refused("no receive buffer can be had"))?;
        let ours = socket
            .try_clone()
            .map_err(refused("the socket can't be shared"))?;
        let buffer = place(self.snap);
        let config = datalink::Config {
            read_buffer_size: buffer,
            read_timeout: Some(Duration::from_millis(RETIRE_MS.into())),
            promiscuous: self.promiscuous,
            socket_fd: Some(socket.into_raw()),
            ..datalink::Config::default()
        };
        let of = NetworkInterface {
            name: self.name.to_string(),
            description: String::new(),
            index: u32::try_from(index).unwrap_or(0),
            mac: None,
            ips: Vec::new(),
            flags: 0,
        };
        let receiver = match datalink::channel(&of, config).map_err(refused("pnet can't read"))? {
            Channel::Ethernet(_, receiver) => receiver,
            _ => {
                return Err(refused("pnet can't read")(
                    io::ErrorKind::Unsupported.into(),
                ));
            }
        };
        let mut note = format!(
            "{}: read by pnet without a ring ({why}): frames bear the time at which we read them, not the kernel's; the outer VLAN tag is lost; about fifteen \
             times the work for each frame",
            self.name
        );
        if interface.threads > 1 {
            note.push_str("; one thread reads it");
        }
        Ok(Made {
            tap: Tap::Pnet(PnetTap {
                receiver,
                socket: ours,
                buffer,
            }),
            note: Some(note),
            spares: Vec::new(),
        })
    }
}

/// Blocks of a MiB, which hold thousands of messages, or of a quarter of that in a small ring, so that there are several.
fn ring_size(octets: usize) -> RingSize {
    let block = if octets >= 16 << 20 {
        1 << 20
    } else {
        256 << 10
    };
    RingSize {
        block,
        blocks: u32::try_from(octets)
            .unwrap_or(u32::MAX)
            .div_ceil(block)
            .max(2),
        retire_ms: RETIRE_MS,
    }
}
