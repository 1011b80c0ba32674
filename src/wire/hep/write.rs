//! Writes packets of version 3, for laboratories and tests: the daemon only reads.

use std::net::{IpAddr, SocketAddr};

use super::{HepPacket, Payload};

/// The octets of a packet; `None` where they are more than its length can say.
pub fn v3(packet: &HepPacket<'_>) -> Option<Vec<u8>> {
    let mut out = b"HEP3\0\0".to_vec();
    let mut chunk = |kind: u16, value: &[u8]| {
        let length = u16::try_from(value.len().checked_add(6)?).ok()?;
        out.extend([0, 0]);
        out.extend(kind.to_be_bytes());
        out.extend(length.to_be_bytes());
        out.extend_from_slice(value);
        Some(())
    };
    if let Some((source, destination)) = packet.between {
        chunk(1, &[if source.is_ipv4() { 2 } else { 10 }])?;
        for (n, socket) in [(0, source), (1, destination)] {
            address(socket, n, &mut chunk)?;
        }
    }
    if let Some(protocol) = packet.protocol {
        chunk(2, &[protocol])?;
    }
    if let Some(at) = packet.at {
        let micros = at.nanos().rem_euclid(1_000_000_000) / 1_000;
        chunk(9, &u32::try_from(at.secs()).ok()?.to_be_bytes())?;
        chunk(10, &u32::try_from(micros).ok()?.to_be_bytes())?;
    }
    chunk(11, &[packet.kind])?;
    if let Some(agent) = packet.agent {
        chunk(12, &agent.to_be_bytes())?;
    }
    if let Some(key) = packet.key {
        chunk(14, key.0)?;
    }
    if let Some(vlan) = packet.vlan {
        chunk(18, &vlan.to_be_bytes())?;
    }
    match packet.payload {
        Some(Payload::Plain(bytes)) => chunk(15, bytes)?,
        Some(Payload::Compressed(bytes)) => chunk(16, bytes)?,
        None => {}
    }
    let total = u16::try_from(out.len()).ok()?;
    if let Some(place) = out.get_mut(4..6) {
        place.copy_from_slice(&total.to_be_bytes());
    }
    Some(out)
}

fn address(
    socket: SocketAddr,
    n: u16,
    chunk: &mut impl FnMut(u16, &[u8]) -> Option<()>,
) -> Option<()> {
    match socket.ip() {
        IpAddr::V4(ip) => chunk(3 + n, &ip.octets())?,
        IpAddr::V6(ip) => chunk(5 + n, &ip.octets())?,
    }
    chunk(7 + n, &socket.port().to_be_bytes())
}
