//! Versions 1 and 2: a C structure as it lay in the agent's memory, then the message.
//!
//! ```text
//! 0 version   1 header length   2 family   3 IP protocol   4 source port   6 destination port   8 addresses (4 + 4 or 16 + 16)
//! version 2 only: u32 seconds, u32 microseconds, u16 agent, and usually two octets of padding
//! ```
//!
//! The header's length octet is not looked at: sofia-sip counts the time block, Kamailio, OpenSIPS and captagent don't, and sngrep writes something else.

use std::net::{IpAddr, SocketAddr};

use super::{HepError, HepPacket, Payload, SIP, is_ipv6, socket, v3};
use crate::base::Timestamp;
use crate::wire::sip::frame::{Resync, resync};
use crate::wire::sip::looks_like_sip;

/// Octets before the addresses.
const FRONT: usize = 8;

/// Time and agent without padding, as heplify-server reads it, and with the padding that C compilers add.
const TIME_BLOCK: usize = 10;
const TIME_BLOCK_PADDED: usize = 12;

/// Reads a packet of version 1 or 2. Version 1 bears no time.
///
/// # Errors
///
/// [`HepError::NotHep`] for another version or address family, [`HepError::Truncated`].
pub fn parse(bytes: &[u8], arrived: Timestamp) -> Result<HepPacket<'_>, HepError> {
    let front: &[u8; FRONT] = bytes.first_chunk().ok_or(HepError::Truncated)?;
    let [version, _, family, protocol, s0, s1, d0, d1] = *front;
    if !matches!(version, 1 | 2) {
        return Err(HepError::NotHep);
    }
    let rest = bytes.get(FRONT..).unwrap_or_default();
    let v6 = is_ipv6(family).ok_or(HepError::NotHep)?;
    let ports = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
    let (between, rest) = if v6 {
        addresses::<16>(rest, ports)?
    } else {
        addresses::<4>(rest, ports)?
    };
    let mut packet = HepPacket {
        version,
        between: Some(between),
        protocol: Some(protocol),
        kind: SIP,
        at: None,
        agent: None,
        key: None,
        vlan: None,
        payload: None,
    };
    let mut payload = rest;
    if version == 2 {
        let block: &[u8; TIME_BLOCK] = rest.first_chunk().ok_or(HepError::Truncated)?;
        let [a, b, c, d, e, f, g, h, i0, i1] = *block;
        packet.at = time([a, b, c, d], [e, f, g, h], arrived);
        packet.agent = Some(u32::from(u16::from_le_bytes([i0, i1])));
        payload = rest.get(padded(rest)..).unwrap_or_default();
    }
    packet.payload = (!payload.is_empty()).then_some(Payload::Plain(payload));
    Ok(packet)
}

fn addresses<const N: usize>(
    bytes: &[u8],
    (from, to): (u16, u16),
) -> Result<((SocketAddr, SocketAddr), &[u8]), HepError>
where
    IpAddr: From<[u8; N]>,
{
    let (source, rest) = bytes.split_first_chunk::<N>().ok_or(HepError::Truncated)?;
    let (destination, rest) = rest.split_first_chunk::<N>().ok_or(HepError::Truncated)?;
    Ok(((socket(*source, from), socket(*destination, to)), rest))
}

/// Kamailio writes little-endian, others their host's order, and one collector reads big-endian: of the two readings the one nearer to the packet's
/// arrival is meant. One with more than a second of microseconds is not meant if the other has less.
fn time(seconds: [u8; 4], micros: [u8; 4], arrived: Timestamp) -> Option<Timestamp> {
    let little = (u32::from_le_bytes(seconds), u32::from_le_bytes(micros));
    let big = (u32::from_be_bytes(seconds), u32::from_be_bytes(micros));
    let readings = [little, big]
        .into_iter()
        .filter_map(|(s, us)| Some((us > 999_999, v3::time(s, us)?)));
    let nearest = readings.min_by_key(|(odd, at)| (*odd, at.distance(arrived)));
    nearest.map(|(_, at)| at)
}

/// Where the message begins: where one is seen to begin, first by strict signs (padding may be anything and read like the front of a method), then by
/// lax ones. A piece of a message shows none, and comes from agents that pad.
fn padded(bytes: &[u8]) -> usize {
    let both = [TIME_BLOCK_PADDED, TIME_BLOCK];
    let at = |n: usize| bytes.get(n..).unwrap_or_default();
    let strict = both.into_iter().find(|n| resync(at(*n)) == Resync::At(0));
    let lax = || both.into_iter().find(|n| looks_like_sip(at(*n)));
    strict
        .or_else(lax)
        .unwrap_or(TIME_BLOCK_PADDED.min(bytes.len()))
}
