//! Layer 3: IPv4 (RFC 791) and IPv6 with its extension headers (RFC 8200), and fragments put together.
//!
//! - [`parse`]: an IP packet → addresses, protocol, payload, and whether it is a fragment
//! - [`reassembly`]: fragments → datagrams, within limits on everything
//!
//! The IP header says where the packet ends, so link padding is cut off here; and where the capture kept less than the
//! header says, [`Packet::said`] is larger than the payload. Checksums are not looked at: offloading makes them wrong in captures.

pub mod reassembly;

use std::net::IpAddr;

use etherparse::{Ipv4HeaderSlice, Ipv6HeaderSlice};

pub use reassembly::{Reassembler, ReassemblyLimits};

/// UDP's protocol number.
pub const UDP: u8 = 17;
/// TCP's protocol number.
pub const TCP: u8 = 6;

/// The most IPv6 extension headers before the payload. RFC 8200 §4.1 knows seven kinds, each to occur once.
pub const MAX_EXTENSIONS: usize = 8;

/// One IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Sender.
    pub source: IpAddr,
    /// Receiver.
    pub destination: IpAddr,
    /// What the payload is. In a fragment: what the fragmentable part begins with.
    pub protocol: u8,
    /// Set when it is one of several fragments.
    pub fragment: Option<Fragment>,
    /// Octets after the headers, as far as they were captured, without link padding.
    pub payload: &'a [u8],
    /// How many octets the payload had on the wire.
    pub said: usize,
}

/// Where a fragment belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Identification: 16 bits in IPv4, 32 in IPv6.
    pub id: u32,
    /// Offset of its first octet, a multiple of eight.
    pub offset: u16,
    /// Whether more fragments follow.
    pub more: bool,
}

/// Why octets are no IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IpError {
    /// Neither version 4 nor 6.
    Version,
    /// The packet ends before its headers do.
    Truncated,
    /// Lengths in the header contradict each other.
    Malformed,
    /// More extension headers than [`MAX_EXTENSIONS`].
    TooManyExtensions,
}

/// Reads an IP packet of either version.
///
/// # Errors
///
/// [`IpError`], when there is no readable header.
pub fn parse(packet: &[u8]) -> Result<Packet<'_>, IpError> {
    match packet.first().map(|b| b >> 4) {
        Some(4) => parse_v4(packet),
        Some(6) => parse_v6(packet),
        Some(_) => Err(IpError::Version),
        None => Err(IpError::Truncated),
    }
}

fn parse_v4(packet: &[u8]) -> Result<Packet<'_>, IpError> {
    use etherparse::err::ipv4::HeaderSliceError as E;
    let header = Ipv4HeaderSlice::from_slice(packet).map_err(|e| match e {
        E::Len(_) => IpError::Truncated,
        E::Content(_) => IpError::Malformed,
    })?;
    let head = header.slice().len();
    let rest = packet.get(head..).ok_or(IpError::Truncated)?;
    let said = match usize::from(header.total_len()) {
        // The sender's network card cuts a large TCP segment; captured before it does, the length is 0.
        0 => rest.len(),
        total => total.checked_sub(head).ok_or(IpError::Malformed)?,
    };
    let offset = header.fragments_offset().value();
    let more = header.more_fragments();
    Ok(Packet {
        source: IpAddr::V4(header.source_addr()),
        destination: IpAddr::V4(header.destination_addr()),
        protocol: header.protocol().0,
        fragment: (more || offset != 0).then(|| Fragment {
            id: u32::from(header.identification()),
            offset: offset.saturating_mul(8),
            more,
        }),
        payload: rest.get(..said).unwrap_or(rest),
        said,
    })
}

fn parse_v6(packet: &[u8]) -> Result<Packet<'_>, IpError> {
    use etherparse::err::ipv6::HeaderSliceError as E;
    let header = Ipv6HeaderSlice::from_slice(packet).map_err(|e| match e {
        E::Len(_) => IpError::Truncated,
        E::Content(_) => IpError::Malformed,
    })?;
    let rest = packet
        .get(header.slice().len()..)
        .ok_or(IpError::Truncated)?;
    let said = match usize::from(header.payload_length()) {
        // As in IPv4, and jumbograms (RFC 2675).
        0 => rest.len(),
        said => said,
    };
    let upper = walk_extensions(header.next_header().0, rest.get(..said).unwrap_or(rest))?;
    Ok(Packet {
        source: IpAddr::V6(header.source_addr()),
        destination: IpAddr::V6(header.destination_addr()),
        protocol: upper.protocol,
        fragment: upper.fragment,
        payload: upper.payload,
        said: said.checked_sub(upper.skipped).ok_or(IpError::Malformed)?,
    })
}

/// What stands behind IPv6 extension headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upper<'a> {
    /// What the payload is.
    pub protocol: u8,
    /// Set when a Fragment header stood before the payload.
    pub fragment: Option<Fragment>,
    /// What follows.
    pub payload: &'a [u8],
    /// Octets of extension headers.
    pub skipped: usize,
}

/// Goes through extension headers (RFC 8200 §4) until something else, or a real fragment, begins. A lone "fragment" that is
/// the whole packet (RFC 6946) is gone through like any other header.
///
/// # Errors
///
/// [`IpError::Truncated`] and [`IpError::TooManyExtensions`].
pub fn walk_extensions(first: u8, bytes: &[u8]) -> Result<Upper<'_>, IpError> {
    let mut protocol = first;
    let mut payload = bytes;
    let mut skipped = 0;
    for _ in 0..=MAX_EXTENSIONS {
        let length = match (protocol, payload) {
            (44, [next, _, o1, o2, a, b, c, d, rest @ ..]) => {
                let field = u16::from_be_bytes([*o1, *o2]);
                let fragment = Fragment {
                    id: u32::from_be_bytes([*a, *b, *c, *d]),
                    offset: field & 0xfff8,
                    more: field & 1 == 1,
                };
                if fragment.more || fragment.offset != 0 {
                    return Ok(Upper {
                        protocol: *next,
                        fragment: Some(fragment),
                        payload: rest,
                        skipped: skipped + 8,
                    });
                }
                8
            }
            // Hop-by-hop, routing, destination options, mobility, HIP, shim6.
            (0 | 43 | 60 | 135 | 139 | 140, [_, n, ..]) => (usize::from(*n) + 1) * 8,
            // Authentication header (RFC 4302 §2.2) counts in fours.
            (51, [_, n, ..]) => (usize::from(*n) + 2) * 4,
            (0 | 43 | 44 | 51 | 60 | 135 | 139 | 140, _) => return Err(IpError::Truncated),
            _ => {
                return Ok(Upper {
                    protocol,
                    fragment: None,
                    payload,
                    skipped,
                });
            }
        };
        protocol = *payload.first().ok_or(IpError::Truncated)?;
        payload = payload.get(length..).ok_or(IpError::Truncated)?;
        skipped += length;
    }
    Err(IpError::TooManyExtensions)
}

#[cfg(test)]
mod tests;
