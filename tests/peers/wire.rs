//! Frames as no device here would send them: tags by the pile, fragments in any order, IPv6 behind extension headers.

use std::net::{Ipv4Addr, Ipv6Addr};

/// What is sent, and what should come of it.
pub struct Sent {
    pub frames: Vec<Vec<u8>>,
    /// Those that are no RTP.
    pub sip_frames: u64,
    pub messages: usize,
}

/// So many signed INVITEs, each another way, with five RTP frames after each.
pub fn calls(n: usize) -> Sent {
    let (mut frames, mut sip_frames) = (Vec::new(), 0);
    for i in 0..n {
        let host = u8::try_from(i % 200).unwrap() + 10;
        let message = invite(i, if i % 12 == 11 { 40_000 } else { 2_400 });
        let short = invite(i, 700);
        let mut sip = match i % 12 {
            0 => v4_udp(host, 5060, &short, 65_000),
            1 => v4_udp(host, 5060, &message, 1_200),
            2 => {
                let mut frames = v4_udp(host, 5060, &message, 800);
                frames.reverse();
                frames
            }
            3 => v6_udp(host, &short, 65_000, &[]),
            4 => v6_udp(host, &message, 1_200, &[]),
            5 => v6_udp(host, &message, 1_200, &[0, 60]),
            6 => tagged(&[0x8100], v4_udp(host, 5060, &message, 1_200)),
            7 => tagged(&[0x88a8, 0x8100], v6_udp(host, &message, 1_200, &[])),
            8 => tagged(
                &[0x88a8, 0x8100, 0x8100],
                v4_udp(host, 5060, &message, 1_200),
            ),
            9 => tcp(host, &message),
            10 => v4_udp(host, 5080, &short, 65_000),
            _ => v4_udp(host, 5060, &message, 65_000),
        };
        sip_frames += u64::try_from(sip.len()).unwrap();
        frames.append(&mut sip);
        let rtp = [0x80; 172];
        for tags in [&[][..], &[0x8100], &[0x88a8, 0x8100]] {
            frames.extend(tagged(tags, v4_udp(host, 16_384, &rtp, 65_000)));
        }
        for _ in 0..2 {
            frames.push(ethernet(0x86dd, &v6(host, 17, &udp(16_384, &rtp))));
        }
    }
    Sent {
        frames,
        sip_frames,
        messages: n,
    }
}

/// Signed INVITEs in two fragments each, from hosts that differ; numbered from `from` on.
pub fn signed(from: usize, n: usize) -> Vec<Vec<u8>> {
    let one = |i: usize| {
        v4_udp(
            u8::try_from(i % 200).unwrap() + 10,
            5060,
            &invite(i, 2_000),
            1_400,
        )
    };
    (from..from + n).flat_map(one).collect()
}

/// INVITEs in one frame each.
pub fn short(n: usize) -> Vec<Vec<u8>> {
    let one = |i: usize| {
        v4_udp(
            u8::try_from(i % 200).unwrap() + 10,
            5060,
            &invite(i, 400),
            65_000,
        )
    };
    (0..n).flat_map(one).collect()
}

/// A capture file of Ethernet frames.
pub fn pcap(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for word in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 262_144, 1] {
        out.extend(word.to_le_bytes());
    }
    for (n, frame) in frames.iter().enumerate() {
        let length = u32::try_from(frame.len()).unwrap();
        let n = u32::try_from(n).unwrap();
        for word in [1_795_512_600 + n / 1_000_000, n % 1_000_000, length, length] {
            out.extend(word.to_le_bytes());
        }
        out.extend(frame);
    }
    out
}

fn invite(i: usize, identity: usize) -> Vec<u8> {
    format!(
        "INVITE sip:+12025550{:03}@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{i}\r\n\
         From: <sip:+12025550100@example.net>;tag={i}\r\nTo: <sip:+12025550123@example.com>\r\nCall-ID: {i}@example.net\r\n\
         CSeq: 1 INVITE\r\nIdentity: {i}{}\r\nContent-Length: 0\r\n\r\n",
        i % 200,
        "eyJhbGciOiJFUzI1NiJ9".repeat(identity / 20),
    )
    .into_bytes()
}

fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 8).unwrap();
    let mut out = Vec::new();
    for word in [port, port, length, 0] {
        out.extend(word.to_be_bytes());
    }
    out.extend(payload);
    out
}

/// A whole stream: both ends agree, the INVITE in two segments, the end.
fn tcp(host: u8, message: &[u8]) -> Vec<Vec<u8>> {
    let segment = |seq: u32, flags: u8, payload: &[u8]| {
        let mut s = Vec::new();
        s.extend(40_000u16.to_be_bytes());
        s.extend(5060u16.to_be_bytes());
        s.extend(seq.to_be_bytes());
        s.extend([0, 0, 0, 1, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        s.extend(payload);
        ethernet(0x0800, &v4(host, 6, 0, 0x4000, &s))
    };
    let (front, back) = message.split_at(1_300);
    let begun = 1_000 + 1;
    let middle = begun + u32::try_from(front.len()).unwrap();
    let end = middle + u32::try_from(back.len()).unwrap();
    vec![
        segment(1_000, 0x02, &[]),
        segment(begun, 0x18, front),
        segment(middle, 0x18, back),
        segment(end, 0x11, &[]),
    ]
}

fn v4(host: u8, protocol: u8, id: u16, field: u16, payload: &[u8]) -> Vec<u8> {
    let mut p = vec![0x45, 0];
    p.extend(u16::try_from(payload.len() + 20).unwrap().to_be_bytes());
    p.extend(id.to_be_bytes());
    p.extend(field.to_be_bytes());
    p.extend([64, protocol, 0, 0]);
    p.extend(Ipv4Addr::new(192, 0, 2, host).octets());
    p.extend(Ipv4Addr::new(192, 0, 2, 2).octets());
    p.extend(payload);
    p
}

/// In fragments of at most so many octets.
fn v4_udp(host: u8, port: u16, payload: &[u8], most: usize) -> Vec<Vec<u8>> {
    let whole = udp(port, payload);
    // Differs where messages follow each other from one host.
    let id = whole
        .iter()
        .fold(0u16, |n, o| n.wrapping_mul(31).wrapping_add(u16::from(*o)));
    let step = most / 8 * 8;
    let one = |(n, piece): (usize, &[u8])| {
        let more = (n + 1) * step < whole.len();
        let field = u16::try_from(n * step / 8).unwrap() | if more { 0x2000 } else { 0 };
        ethernet(0x0800, &v4(host, 17, id, field, piece))
    };
    whole.chunks(step).enumerate().map(one).collect()
}

fn v6(host: u8, next: u8, payload: &[u8]) -> Vec<u8> {
    let mut p = vec![0x60, 0, 0, 0];
    p.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    p.extend([next, 64]);
    for last in [host, 2] {
        let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last.into());
        p.extend(address.octets());
    }
    p.extend(payload);
    p
}

/// The same with IPv6; `before` are extension headers before the Fragment header, outermost last.
fn v6_udp(host: u8, payload: &[u8], most: usize, before: &[u8]) -> Vec<Vec<u8>> {
    let whole = udp(5060, payload);
    let step = most / 8 * 8;
    let one = |(n, piece): (usize, &[u8])| {
        let more = (n + 1) * step < whole.len();
        let (mut next, mut front) = (17, Vec::new());
        if whole.len() > step {
            let field = u16::try_from(n * step).unwrap() | u16::from(more);
            front.extend([next, 0]);
            front.extend(field.to_be_bytes());
            front.extend(u32::try_from(whole.len()).unwrap().to_be_bytes());
            next = 44;
        }
        for header in before {
            front = [&[next, 0, 1, 4, 0, 0, 0, 0][..], &front].concat();
            next = *header;
        }
        ethernet(0x86dd, &v6(host, next, &[front, piece.to_vec()].concat()))
    };
    whole.chunks(step).enumerate().map(one).collect()
}

fn ethernet(kind: u16, packet: &[u8]) -> Vec<u8> {
    let mut f = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    f.extend(kind.to_be_bytes());
    f.extend(packet);
    f
}

/// Puts tags in, the ids counting from 101.
fn tagged(tpids: &[u16], mut frames: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let ids = 101u16..;
    let tag = |(tpid, id): (&u16, u16)| [tpid.to_be_bytes(), id.to_be_bytes()].concat();
    let tags: Vec<u8> = tpids.iter().zip(ids).flat_map(tag).collect();
    for frame in &mut frames {
        frame.splice(12..12, tags.iter().copied());
    }
    frames
}
