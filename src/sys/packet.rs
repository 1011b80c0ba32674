//! Packet sockets (packet(7)) and what the kernel says of network interfaces.
//!
//! Opening one takes CAP_NET_RAW. All the rest (filter, ring, bind, membership, fanout) asks for no capability, so a socket opened beforehand can be
//! bound when all capabilities are gone.

use std::ffi::{c_int, c_uint, c_void};
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::ptr::from_mut;
use std::time::Duration;

/// One instruction of a classic BPF program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// How many instructions to skip where a test holds.
    pub jt: u8,
    /// And where it doesn't.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// What the kernel says of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its index. One that is made again under the same name has another.
    pub index: i32,
    /// Switched on, with a carrier.
    pub up: bool,
}

/// What a socket has seen since it was asked last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Packets that passed the filter, the dropped ones among them.
    pub packets: u32,
    /// Those for which there was no room.
    pub drops: u32,
    /// How often the ring was full.
    pub freezes: u32,
}

/// Which sockets share the frames of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fanout {
    /// A new group, with an id that nobody on this host uses.
    New,
    /// The group of this id.
    Join(u16),
}

/// A packet socket. It hears nothing before it is bound.
#[derive(Debug)]
pub struct PacketSocket(OwnedFd);

impl PacketSocket {
    /// Opens one, with protocol 0: no stray frame arrives before filter and interface are set.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` without CAP_NET_RAW, and whatever else the system says.
    pub fn open() -> io::Result<Self> {
        // SAFETY: takes numbers only.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new, and nobody else knows of it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Another descriptor of the same socket.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// Gives the descriptor to someone who closes it.
    pub fn into_raw(self) -> RawFd {
        self.0.into_raw_fd()
    }

    /// Attaches a filter in the place of the one before.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a program that the kernel refuses.
    pub fn attach_filter(&self, program: &[Instruction]) -> io::Result<()> {
        let mut filter: Vec<libc::sock_filter> = program
            .iter()
            .map(|i| libc::sock_filter {
                code: i.code,
                jt: i.jt,
                jf: i.jf,
                k: i.k,
            })
            .collect();
        let len = u16::try_from(filter.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let program = libc::sock_fprog {
            len,
            filter: filter.as_mut_ptr(),
        };
        // SAFETY: the kernel reads `len` instructions at `filter`, which lives beyond the call, and writes none.
        unsafe { self.set(libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program) }
    }

    /// From now on nobody changes the filter, and neither do we.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn lock_filter(&self) -> io::Result<()> {
        self.set_int(libc::SOL_SOCKET, libc::SO_LOCK_FILTER, 1)
    }

    /// Sets an integer option at the level of packet sockets.
    pub(super) fn set_packet(&self, option: c_int, value: c_int) -> io::Result<()> {
        self.set_int(libc::SOL_PACKET, option, value)
    }

    /// What this host itself sends is not captured. Holds for a socket alone; a [`Fanout`] group has its own flag.
    ///
    /// # Errors
    ///
    /// What the system says; kernels before 4.20 don't know it.
    pub fn ignore_outgoing(&self) -> io::Result<()> {
        self.set_packet(libc::PACKET_IGNORE_OUTGOING, 1)
    }

    /// Asks for a receive buffer, beyond the system's limit where we may.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn receive_buffer(&self, octets: usize) -> io::Result<()> {
        let octets = c_int::try_from(octets).unwrap_or(c_int::MAX);
        self.set_int(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, octets)
            .or_else(|_| self.set_int(libc::SOL_SOCKET, libc::SO_RCVBUF, octets))
    }

    /// Listens to one interface, whatever the protocol. A socket of a fanout group can't be bound again.
    ///
    /// # Errors
    ///
    /// What the system says: no such interface, or a member of a group.
    pub fn bind(&self, index: i32) -> io::Result<()> {
        // SAFETY: all zeros is a valid address.
        let mut address: libc::sockaddr_ll = unsafe { zeroed() };
        address.sll_family = family(libc::AF_PACKET);
        address.sll_protocol = ETH_P_ALL.to_be();
        address.sll_ifindex = index;
        // SAFETY: the kernel reads an address of the size given.
        let done = unsafe {
            libc::bind(
                self.0.as_raw_fd(),
                (&raw const address).cast(),
                length::<libc::sockaddr_ll>(),
            )
        };
        done_or_error(done)
    }

    /// Index of the interface that it is bound to; negative when that one has gone.
    pub fn bound(&self) -> io::Result<i32> {
        // SAFETY: all zeros is a valid address.
        let mut address: libc::sockaddr_ll = unsafe { zeroed() };
        let mut len = length::<libc::sockaddr_ll>();
        // SAFETY: the kernel writes at most as many octets as the address has.
        let done = unsafe {
            libc::getsockname(self.0.as_raw_fd(), (&raw mut address).cast(), &raw mut len)
        };
        done_or_error(done).map(|()| address.sll_ifindex)
    }

    /// Hears also what is sent to others. By membership: it ends with the socket, and no interface flag is touched.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn promiscuous(&self, index: i32) -> io::Result<()> {
        let request = libc::packet_mreq {
            mr_ifindex: index,
            mr_type: PROMISCUOUS,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        // SAFETY: a plain structure without pointers.
        unsafe { self.set(libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &request) }
    }

    /// Shares frames with the other sockets of a group, by the kernel's symmetric hash of addresses and ports: both directions of a flow come to the same
    /// socket, and all fragments of a datagram do, because of fragments only the addresses count (`__flow_hash_from_keys`, `fanout_demux_hash`).
    /// Gives the group's id. The socket must be bound.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn fanout(&self, which: Fanout, ignore_outgoing: bool) -> io::Result<u16> {
        let mut flags = libc::PACKET_FANOUT_HASH;
        if ignore_outgoing {
            flags |= libc::PACKET_FANOUT_FLAG_IGNORE_OUTGOING;
        }
        let id = match which {
            Fanout::New => {
                flags |= libc::PACKET_FANOUT_FLAG_UNIQUEID;
                0
            }
            Fanout::Join(id) => id,
        };
        let argument = flags << 16 | c_uint::from(id);
        // SAFETY: a plain integer.
        unsafe { self.set(libc::SOL_PACKET, libc::PACKET_FANOUT, &argument)? };
        let mut is: c_uint = 0;
        // SAFETY: any bits are a valid integer.
        unsafe { self.get(libc::SOL_PACKET, libc::PACKET_FANOUT, &mut is)? };
        Ok(u16::try_from(is & 0xffff).unwrap_or_default())
    }

    /// What was seen since the last call: asking sets the kernel's numbers back.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn statistics(&self) -> io::Result<Statistics> {
        // SAFETY: all zeros is a valid value.
        let mut s: libc::tpacket_stats_v3 = unsafe { zeroed() };
        // SAFETY: any bits are valid in its integers. Without a ring of version 3 the kernel fills in the first two.
        unsafe { self.get(libc::SOL_PACKET, libc::PACKET_STATISTICS, &mut s)? };
        Ok(Statistics {
            packets: s.tp_packets,
            drops: s.tp_drops,
            freezes: s.tp_freeze_q_cnt,
        })
    }

    /// Takes the error that waits at the socket, such as `NetworkDown`.
    pub fn take_error(&self) -> Option<io::Error> {
        let mut code: c_int = 0;
        // SAFETY: any bits are a valid integer.
        match unsafe { self.get(libc::SOL_SOCKET, libc::SO_ERROR, &mut code) } {
            Ok(()) if code == 0 => None,
            Ok(()) => Some(io::Error::from_raw_os_error(code)),
            Err(e) => Some(e),
        }
    }

    /// Waits until there is something to read or an error to take, or time is up. `true` when there is.
    ///
    /// # Errors
    ///
    /// What the system says; a signal is no error, and ends the waiting.
    pub fn wait(&self, time: Duration) -> io::Result<bool> {
        let mut fd = libc::pollfd {
            fd: self.0.as_raw_fd(),
            events: libc::POLLIN | libc::POLLERR,
            revents: 0,
        };
        let ms = c_int::try_from(time.as_millis()).unwrap_or(c_int::MAX);
        // SAFETY: one structure, which the kernel reads and writes during the call.
        match unsafe { libc::poll(from_mut(&mut fd), 1, ms) } {
            n if n >= 0 => Ok(n > 0),
            _ => match io::Error::last_os_error() {
                e if e.kind() == io::ErrorKind::Interrupted => Ok(false),
                e => Err(e),
            },
        }
    }

    /// What the kernel says of the interface of this name now; `None` while there is none.
    pub fn link(&self, name: &str) -> Option<Link> {
        let (mut index, mut flags) = (0, 0);
        // The names of C's interface: the request's union is read as what was asked for.
        self.interface(name, libc::SIOCGIFINDEX, |r| {
            // SAFETY: SIOCGIFINDEX fills in the index; any bits are a valid integer.
            index = unsafe { r.ifr_ifru.ifru_ifindex };
        })?;
        self.interface(name, libc::SIOCGIFFLAGS, |r| {
            // SAFETY: SIOCGIFFLAGS fills in the flags; any bits are a valid integer.
            flags = c_int::from(unsafe { r.ifr_ifru.ifru_flags });
        })?;
        let up = libc::IFF_UP | libc::IFF_RUNNING;
        Some(Link {
            index,
            up: flags & up == up,
        })
    }

    /// The hardware type of an interface (`ARPHRD_…`), which says what its frames begin with.
    pub fn hardware(&self, name: &str) -> Option<u16> {
        let mut hardware = 0;
        self.interface(name, libc::SIOCGIFHWADDR, |r| {
            // SAFETY: SIOCGIFHWADDR fills in the address; any bits are valid in it.
            hardware = unsafe { r.ifr_ifru.ifru_hwaddr.sa_family };
        })?;
        Some(hardware)
    }

    fn interface(
        &self,
        name: &str,
        request: libc::Ioctl,
        read: impl FnOnce(&libc::ifreq),
    ) -> Option<()> {
        // SAFETY: all zeros is a valid request.
        let mut r: libc::ifreq = unsafe { zeroed() };
        // The last octet stays zero.
        if name.len() >= r.ifr_name.len() {
            return None;
        }
        for (to, from) in r.ifr_name.iter_mut().zip(name.bytes()) {
            *to = libc::c_char::from_ne_bytes([from]);
        }
        // SAFETY: these requests read the name and fill in the union, both within the structure.
        let done = unsafe { libc::ioctl(self.0.as_raw_fd(), request, from_mut(&mut r)) };
        (done == 0).then(|| read(&r))
    }

    pub(super) fn raw(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    fn set_int(&self, level: c_int, option: c_int, value: c_int) -> io::Result<()> {
        // SAFETY: a plain integer.
        unsafe { self.set(level, option, &value) }
    }

    /// # Safety
    ///
    /// The option must take a `T`, and what pointers in it point to must be as the option wants it.
    pub(super) unsafe fn set<T>(&self, level: c_int, option: c_int, value: &T) -> io::Result<()> {
        let value: *const T = value;
        // SAFETY: the kernel reads as many octets as the value has; the caller vouches for what they mean.
        let done = unsafe {
            libc::setsockopt(
                self.0.as_raw_fd(),
                level,
                option,
                value.cast::<c_void>(),
                length::<T>(),
            )
        };
        done_or_error(done)
    }

    /// # Safety
    ///
    /// Any bits must be a valid `T`.
    unsafe fn get<T>(&self, level: c_int, option: c_int, value: &mut T) -> io::Result<()> {
        let mut len = length::<T>();
        // SAFETY: the kernel writes at most as many octets as the value has; the caller vouches that any will do.
        let done = unsafe {
            libc::getsockopt(
                self.0.as_raw_fd(),
                level,
                option,
                from_mut(value).cast::<c_void>(),
                &raw mut len,
            )
        };
        done_or_error(done)
    }
}

/// Membership of an interface in promiscuous mode (`PACKET_MR_PROMISC`), in the type of the request.
const PROMISCUOUS: u16 = 1;
const _: () = assert!(libc::PACKET_MR_PROMISC == 1);

/// All protocols (`ETH_P_ALL`).
const ETH_P_ALL: u16 = 3;

fn done_or_error(done: c_int) -> io::Result<()> {
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn family(family: c_int) -> libc::sa_family_t {
    libc::sa_family_t::try_from(family).unwrap_or_default()
}

fn length<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).unwrap_or(0)
}
