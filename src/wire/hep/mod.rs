//! HEP, the Homer encapsulation protocol: an agent tells us of a SIP message that it sent or received, with its addresses.
//!
//! In goes one packet, out comes [`HepPacket`]: what the agent says, checked for form and for nothing else. Who may say it is decided above. Refused is
//! what contradicts itself ([`HepError`]).
//!
//! There is no RFC. Version 3 is read as "HEP3 Network Protocol Specification, Rev 37" (2025) has it; versions 1 and 2 were never specified, and are
//! read as Kamailio, OpenSIPS, captagent, sngrep and sofia-sip write them.
//!
//! - [`v3`]: made of chunks
//! - [`v2`]: versions 1 and 2, a C structure
//! - [`inflate`]: compressed payloads, within a limit
//! - [`stream`]: packets in a stream (TCP, TLS)
//! - [`write`]: packets made

pub mod inflate;
pub mod stream;
pub mod v2;
pub mod v3;
pub mod write;

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::base::Timestamp;
use crate::wire::Transport;

/// Protocol type of SIP. All that version 1 and 2 carry is taken for it.
pub const SIP: u8 = 1;

/// What one packet says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HepPacket<'a> {
    /// 1, 2 or 3.
    pub version: u8,
    /// Sender and receiver of the message, where both are given. A port that is missing is 0.
    pub between: Option<(SocketAddr, SocketAddr)>,
    /// IP protocol as said: see [`HepPacket::transport`].
    pub protocol: Option<u8>,
    /// Protocol type of the payload: [`SIP`] or something else.
    pub kind: u8,
    /// The agent's time. Missing where it gives none, or zero.
    pub at: Option<Timestamp>,
    /// The agent's number as it reads: see [`is_agent`].
    pub agent: Option<u32>,
    /// What the agent says to be known by, in plain text.
    pub key: Option<Key<'a>>,
    /// VLAN id; never 0, which is how heplify says that there is none.
    pub vlan: Option<u16>,
    /// What it mirrors; `None` in a keep-alive.
    pub payload: Option<Payload<'a>>,
}

/// The authentication key of a packet. It is never shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key<'a>(pub &'a [u8]);

impl fmt::Debug for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// A payload as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload<'a> {
    /// As it is.
    Plain(&'a [u8]),
    /// zlib, gzip or raw deflate.
    Compressed(&'a [u8]),
}

impl<'a> Payload<'a> {
    /// The octets.
    ///
    /// # Errors
    ///
    /// [`HepError::Inflate`] and [`HepError::TooLarge`].
    pub fn open(self) -> Result<Cow<'a, [u8]>, HepError> {
        match self {
            Self::Plain(bytes) => Ok(Cow::Borrowed(bytes)),
            Self::Compressed(bytes) => inflate::inflate(bytes).map(Cow::Owned),
        }
    }
}

/// Why octets are no HEP packet, or one that says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HepError {
    /// They begin like no version.
    NotHep,
    /// They end before the packet does.
    Truncated,
    /// A length contradicts another one.
    Length,
    /// A field's size is not that of its type.
    Size,
    /// The compressed payload is broken.
    Inflate,
    /// The payload is larger than a SIP message may be.
    TooLarge,
}

impl HepPacket<'_> {
    /// What carried the message, as far as the agent says. Asterisk says TCP for TLS; FreeSWITCH says TCP for WebSocket; 22 is TLS by convention, 50 is
    /// WebSocket in OpenSIPS. Anything else is `None`.
    pub fn transport(&self) -> Option<Transport> {
        match self.protocol? {
            6 => Some(Transport::Tcp),
            17 => Some(Transport::Udp),
            22 => Some(Transport::Tls),
            50 => Some(Transport::Ws),
            132 => Some(Transport::Sctp),
            _ => None,
        }
    }
}

/// Reads one packet. `arrived` helps where an agent leaves open in which byte order it writes time.
///
/// # Errors
///
/// [`HepError`]; the payload is looked into only by [`Payload::open`].
pub fn parse(bytes: &[u8], arrived: Timestamp) -> Result<HepPacket<'_>, HepError> {
    match bytes {
        [1 | 2, ..] => v2::parse(bytes, arrived),
        _ => v3::parse(bytes),
    }
}

/// Whether an agent's number as it reads is the one that we know it by. sngrep and sipgrep write a 16-bit number to the wrong end of the field
/// (2002 reads as 0x07d20000), others all octets the wrong way round.
pub fn is_agent(said: u32, known: u32) -> bool {
    let short = u16::try_from(said).map(|s| u32::from(s.swap_bytes()));
    [said, said.rotate_left(16), said.swap_bytes()].contains(&known) || short == Ok(known)
}

/// Address family by its number: 2 everywhere, and IPv6 as Linux, Windows and the BSDs number it.
fn is_ipv6(family: u8) -> Option<bool> {
    match family {
        2 => Some(false),
        10 | 23 | 24 | 28 | 30 => Some(true),
        _ => None,
    }
}

fn socket(address: impl Into<IpAddr>, port: u16) -> SocketAddr {
    SocketAddr::new(address.into(), port)
}

#[cfg(test)]
mod tests;
