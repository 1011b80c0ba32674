//! Version 3: chunks of vendor, type and length, in any order.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::{HepError, HepPacket, Key, Payload, is_ipv6, socket};
use crate::base::Timestamp;

/// Octets of the tag and the total length.
pub const HEADER: usize = 6;

/// Octets of a chunk's vendor, type and length.
const CHUNK_HEADER: usize = 6;

/// Tags of version 3. Rev 37 has both.
pub const TAGS: [&[u8; 4]; 2] = [b"HEP3", b"EEP3"];

/// Reads a packet. What follows its total length is not looked at.
///
/// Of a chunk that stands twice the first counts. Chunks that we don't know, and those of other vendors, are skipped by their length.
///
/// # Errors
///
/// [`HepError`]: no tag, shorter than it says, a chunk past the end or shorter than its own header, a chunk of the wrong size for its type.
pub fn parse(bytes: &[u8]) -> Result<HepPacket<'_>, HepError> {
    if !TAGS.iter().any(|t| bytes.starts_with(*t)) {
        return Err(HepError::NotHep);
    }
    let said = bytes.get(4..HEADER).ok_or(HepError::Truncated)?;
    let total = usize::from(u16::from_be_bytes(fixed(said)?));
    if total < HEADER {
        return Err(HepError::Length);
    }
    let rest = bytes.get(HEADER..total).ok_or(HepError::Truncated)?;
    let mut chunks = Chunks::default();
    chunks.read(rest)?;
    Ok(chunks.into_packet())
}

/// What the chunks say.
#[derive(Debug, Default)]
struct Chunks<'a> {
    family: Option<u8>,
    protocol: Option<u8>,
    kind: Option<u8>,
    v4: [Option<Ipv4Addr>; 2],
    v6: [Option<Ipv6Addr>; 2],
    ports: [Option<u16>; 2],
    seconds: Option<u32>,
    micros: Option<u32>,
    agent: Option<u32>,
    key: Option<&'a [u8]>,
    vlan: Option<u16>,
    plain: Option<&'a [u8]>,
    compressed: Option<&'a [u8]>,
}

impl<'a> Chunks<'a> {
    fn read(&mut self, mut rest: &'a [u8]) -> Result<(), HepError> {
        while !rest.is_empty() {
            let (header, tail) = rest
                .split_at_checked(CHUNK_HEADER)
                .ok_or(HepError::Length)?;
            let [v0, v1, t0, t1, l0, l1]: [u8; CHUNK_HEADER] = fixed(header)?;
            let length = usize::from(u16::from_be_bytes([l0, l1]))
                .checked_sub(CHUNK_HEADER)
                .ok_or(HepError::Length)?;
            let (value, tail) = tail.split_at_checked(length).ok_or(HepError::Length)?;
            rest = tail;
            if [v0, v1] == [0, 0] {
                self.take(u16::from_be_bytes([t0, t1]), value)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, kind: u16, value: &'a [u8]) -> Result<(), HepError> {
        match kind {
            0x01 => first(&mut self.family, byte(value)?),
            0x02 => first(&mut self.protocol, byte(value)?),
            0x03 => first(&mut self.v4[0], fixed::<4>(value)?.into()),
            0x04 => first(&mut self.v4[1], fixed::<4>(value)?.into()),
            0x05 => first(&mut self.v6[0], fixed::<16>(value)?.into()),
            0x06 => first(&mut self.v6[1], fixed::<16>(value)?.into()),
            0x07 => first(&mut self.ports[0], u16::from_be_bytes(fixed(value)?)),
            0x08 => first(&mut self.ports[1], u16::from_be_bytes(fixed(value)?)),
            0x09 => first(&mut self.seconds, u32::from_be_bytes(fixed(value)?)),
            0x0a => first(&mut self.micros, u32::from_be_bytes(fixed(value)?)),
            0x0b => first(&mut self.kind, byte(value)?),
            0x0c => first(&mut self.agent, u32::from_be_bytes(fixed(value)?)),
            0x0e => first(&mut self.key, value),
            0x0f => first(&mut self.plain, value),
            0x10 => first(&mut self.compressed, value),
            0x12 => first(&mut self.vlan, u16::from_be_bytes(fixed(value)?)),
            _ => {}
        }
        Ok(())
    }

    fn into_packet(self) -> HepPacket<'a> {
        let plain = self.plain.filter(|p| !p.is_empty()).map(Payload::Plain);
        let compressed = self.compressed.filter(|p| !p.is_empty());
        HepPacket {
            version: 3,
            between: self.between(),
            protocol: self.protocol,
            kind: self.kind.unwrap_or_default(),
            at: time(self.seconds.unwrap_or(0), self.micros.unwrap_or(0)),
            agent: self.agent,
            key: self.key.map(Key),
            vlan: self.vlan.filter(|v| *v != 0),
            payload: plain.or(compressed.map(Payload::Compressed)),
        }
    }

    /// Addresses of the family that is said, or else (hep-js can say 0) of the one that is there.
    fn between(&self) -> Option<(std::net::SocketAddr, std::net::SocketAddr)> {
        let v4 = pair(self.v4.map(|a| a.map(IpAddr::V4)));
        let v6 = pair(self.v6.map(|a| a.map(IpAddr::V6)));
        let (source, destination) = match self.family.and_then(is_ipv6) {
            Some(true) => v6.or(v4),
            _ => v4.or(v6),
        }?;
        let [from, to] = self.ports.map(Option::unwrap_or_default);
        Some((socket(source, from), socket(destination, to)))
    }
}

/// A time that was given. Asterisk knows milliseconds only, which reads the same; more than a second of microseconds is cut at the second.
pub(super) fn time(seconds: u32, micros: u32) -> Option<Timestamp> {
    let at = Timestamp::from_secs(i64::from(seconds));
    let micros = Duration::from_micros(u64::from(micros.min(999_999)));
    (seconds != 0).then(|| at.plus(micros))
}

fn pair(addresses: [Option<IpAddr>; 2]) -> Option<(IpAddr, IpAddr)> {
    let [source, destination] = addresses;
    source.zip(destination)
}

fn first<T>(place: &mut Option<T>, value: T) {
    place.get_or_insert(value);
}

fn byte(value: &[u8]) -> Result<u8, HepError> {
    fixed(value).map(|[b]: [u8; 1]| b)
}

fn fixed<const N: usize>(value: &[u8]) -> Result<[u8; N], HepError> {
    value.try_into().map_err(|_| HepError::Size)
}
