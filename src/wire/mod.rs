//! Floor 1: from octets on the wire to SIP messages. Every parser here takes hostile bytes, allocates within limits,
//! and never panics.
//!
//! - [`link`]: a captured frame → its IP packet
//! - [`ip`]: IP packets, and fragments put together
//! - [`tunnel`]: tunnels opened, and the way through them
//! - [`udp`], [`tcp`], [`sctp`]: datagrams, streams put together, chunks
//! - [`hep`]: what an agent mirrors to us
//! - [`ws`]: WebSocket in a stream
//! - [`sip`]: one framed message, scanned without loss

pub mod hep;
pub mod ip;
pub mod link;
pub mod sctp;
pub mod sip;
pub mod tcp;
#[cfg(test)]
pub(crate) mod test_support;
pub mod tunnel;
pub mod udp;
pub mod ws;

use std::hash::{Hash, Hasher};
use std::net::SocketAddr;

use smallvec::SmallVec;

use crate::base::Timestamp;
use tunnel::TunnelPath;

/// What carried a SIP message.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// UDP, whole or put together from fragments.
    Udp,
    /// TCP, in clear.
    Tcp,
    /// TLS, which only whoever ends it can show us.
    Tls,
    /// WebSocket (RFC 7118), in clear.
    Ws,
    /// WebSocket over TLS.
    Wss,
    /// SCTP (RFC 4168).
    Sctp,
}

impl Transport {
    /// Lower-case name, as in output and configuration.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
            Self::Sctp => "sctp",
        }
    }
}

/// Where we have a message from.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Provenance {
    /// A capture file.
    File,
    /// An interface of ours.
    Wire,
    /// An agent that mirrors what it sees (HEP).
    Hep,
}

impl Provenance {
    /// Lower-case name, as in output.
    pub const fn label(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Wire => "wire",
            Self::Hep => "hep",
        }
    }
}

/// VLAN ids of a frame, outermost first. Nearly always none or one.
pub type Vlans = SmallVec<[u16; 2]>;

/// Between whom a message went, and over what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Sender's address and port.
    pub source: SocketAddr,
    /// Receiver's address and port.
    pub destination: SocketAddr,
    /// What carried it.
    pub transport: Transport,
    /// VLAN ids of the frame that holds it, outermost first; in a tunnel that carries frames, of the frame inside.
    pub vlans: Vlans,
    /// Through which tunnels it came.
    pub path: TunnelPath,
    /// Hardware addresses of the frame that holds it. Two flows are the same whatever these are.
    pub macs: Macs,
}

/// A hardware address.
pub type Mac = [u8; 6];

/// Hardware addresses of a frame, as far as the link shows them: an agent shows none, a cooked capture only the sender's. They tell by which router
/// a packet came, which may change in the middle of a stream or datagram: so all are equal, and a key that holds them is none the finer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Macs {
    /// The sender's.
    pub source: Option<Mac>,
    /// The receiver's.
    pub destination: Option<Mac>,
}

impl PartialEq for Macs {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Macs {}

impl Hash for Macs {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Macs {
    /// The same, the other way round.
    pub const fn reversed(self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
        }
    }
}

impl Flow {
    /// The same, the other way round.
    pub fn reversed(&self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            transport: self.transport,
            vlans: self.vlans.clone(),
            path: self.path.clone(),
            macs: self.macs.reversed(),
        }
    }
}

/// Why a captured message is not whole. Headers that would have come later are unknown, not absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cut {
    /// The capture kept only the first octets of a packet.
    SnapLength,
    /// An IP fragment never came.
    LostFragment,
    /// A TCP segment never came.
    TcpGap,
    /// The stream or the capture ended, or a limit was reached, before the message did.
    EndOfStream,
}

/// One SIP message as it was captured. `seq` is its place in the capture: the order in which `collect` sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Running number, without gaps within one source.
    pub seq: u64,
    /// Capture time of the packet that completed the message.
    pub at: Timestamp,
    /// Between whom, and over what.
    pub flow: Flow,
    /// Which sensor of the configuration saw it, by index.
    pub sensor: u16,
    /// The octets: start line, headers, body.
    pub bytes: Vec<u8>,
    /// Set when it is not whole.
    pub cut: Option<Cut>,
}
