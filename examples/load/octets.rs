//! Frames by hand, well-formed as far as the kernel looks.

/// Ethernet between two made-up addresses.
pub fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    frame.extend(kind.to_be_bytes());
    frame.extend(payload);
    frame
}

/// An IPv4 packet; `fragment` is the identification, with flags and offset behind it.
pub fn ipv4(
    from: [u8; 4],
    to: [u8; 4],
    protocol: u8,
    fragment: (u16, u16),
    payload: &[u8],
) -> Vec<u8> {
    let length = u16::try_from(20 + payload.len()).unwrap_or(u16::MAX);
    let mut packet = vec![0x45, 0];
    for word in [length, fragment.0, fragment.1] {
        packet.extend(word.to_be_bytes());
    }
    packet.extend([64, protocol, 0, 0]);
    packet.extend(from);
    packet.extend(to);
    let sum: u32 = packet
        .chunks_exact(2)
        .map(|w| u32::from(u16::from_be_bytes([w[0], w[1]])))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap_or(0);
    packet[10..12].copy_from_slice(&folded.to_be_bytes());
    packet.extend(payload);
    packet
}

/// An IPv6 packet.
pub fn ipv6(from: [u8; 16], to: [u8; 16], next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
    packet.extend(length.to_be_bytes());
    packet.extend([next, 64]);
    packet.extend(from);
    packet.extend(to);
    packet.extend(payload);
    packet
}

/// A UDP datagram without a checksum.
pub fn udp(ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).unwrap_or(u16::MAX);
    let mut datagram = Vec::with_capacity(8 + payload.len());
    for word in [ports.0, ports.1, length, 0] {
        datagram.extend(word.to_be_bytes());
    }
    datagram.extend(payload);
    datagram
}

/// A TCP segment without a checksum.
pub fn tcp(ports: (u16, u16), sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut segment = Vec::with_capacity(20 + payload.len());
    segment.extend(ports.0.to_be_bytes());
    segment.extend(ports.1.to_be_bytes());
    segment.extend(sequence.to_be_bytes());
    segment.extend([0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(payload);
    segment
}

/// A whole frame with one datagram.
pub fn udp4(from: [u8; 4], to: [u8; 4], ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    ethernet(0x0800, &ipv4(from, to, 17, (0, 0), &udp(ports, payload)))
}
