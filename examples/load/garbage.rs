//! What no honest network sends: octets without sense, datagrams that never become whole, connections that never begin or never end.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use pnet::datalink::{self, Channel, Config};

use super::octets::{ethernet, ipv4, ipv6, tcp, udp, udp4};
use super::{Failure, duration};

const OURS: [u8; 4] = [192, 0, 2, 2];
const SYN: u8 = 2;
const PSH_ACK: u8 = 0x18;

/// What a frame holds, and how many in a thousand are so.
const KINDS: [(&str, u32); 11] = [
    ("random octets to a SIP port", 150),
    ("first IPv4 fragment alone", 150),
    ("some other IPv4 fragment alone", 100),
    ("IPv6 fragment alone", 150),
    ("SYN alone", 150),
    ("garbage in TCP, from the middle", 100),
    ("SIP in TCP that never ends", 80),
    ("tunnels in tunnels", 60),
    ("whole frames at random", 50),
    ("SIP cut short", 9),
    ("SIP with 6,000 headers", 1),
];

/// Sends until the time is over, and prints how many of which kind.
pub fn frames(interface: &str, seconds: &str, threads: &str) -> Result<(), Failure> {
    let until = Instant::now() + duration(seconds)?;
    let threads: u64 = threads.parse()?;
    let interfaces = datalink::interfaces();
    let interface = interfaces.into_iter().find(|i| i.name == interface);
    let interface = interface.ok_or("no such interface")?;
    let mut senders = Vec::new();
    for seed in 1..=threads {
        let Channel::Ethernet(mut out, _) = datalink::channel(&interface, Config::default())?
        else {
            return Err("no Ethernet".into());
        };
        senders.push(thread::spawn(move || {
            let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let mut sent = [0u64; KINDS.len()];
            let mut refused = 0u64;
            while Instant::now() < until {
                for _ in 0..64 {
                    let kind = random.kind();
                    for frame in build(kind, &mut random) {
                        match out.send_to(&frame, None) {
                            Some(Ok(())) => sent[kind] += 1,
                            _ => refused += 1,
                        }
                    }
                }
            }
            (sent, refused)
        }));
    }
    let mut sent = [0u64; KINDS.len()];
    let mut refused = 0;
    for sender in senders {
        let (s, r) = sender.join().map_err(|_| "a sender died")?;
        refused += r;
        for (all, one) in sent.iter_mut().zip(s) {
            *all += one;
        }
    }
    for ((name, _), sent) in KINDS.iter().zip(sent) {
        println!("{sent:>12}  {name}");
    }
    println!("{:>12}  frames in all", sent.iter().sum::<u64>());
    println!("{refused:>12}  that this machine did not take");
    Ok(())
}

fn build(kind: usize, r: &mut Random) -> Vec<Vec<u8>> {
    let from = [198, 18 + (r.next() & 1) as u8, r.octet(), r.octet()];
    let port = 1024 + (r.next() % 60_000) as u16;
    let over_tcp = |r: &mut Random, flags, payload: &[u8]| {
        let segment = tcp((port, 5060), r.next() as u32, flags, payload);
        ethernet(0x0800, &ipv4(from, OURS, 6, (0, 0), &segment))
    };
    let fragment = |r: &mut Random, field: u16, payload: &[u8]| {
        let id = r.next() as u16;
        ethernet(0x0800, &ipv4(from, OURS, 17, (id, field), payload))
    };
    match kind {
        0 => {
            let octets = r.octets(1_400);
            vec![udp4(from, OURS, (port, 5060), &octets)]
        }
        1 => {
            let octets = r.octets(1_400);
            let first = udp((port, 5060), &octets);
            vec![fragment(r, 0x2000, &first[..first.len() / 8 * 8])]
        }
        2 => {
            let octets = r.octets(1_400);
            // Any offset, more to come or not; some lie past the end of any datagram.
            let field = (r.next() as u16) & 0x3fff;
            vec![fragment(r, field, &octets)]
        }
        3 => {
            let mut source = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            source[8..].copy_from_slice(&r.next().to_be_bytes());
            let ours = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
            let mut part = vec![17, 0];
            part.extend((r.next() as u16 & 0xfff9).to_be_bytes());
            part.extend((r.next() as u32).to_be_bytes());
            part.extend(r.octets(1_392));
            vec![ethernet(0x86dd, &ipv6(source, ours, 44, &part))]
        }
        4 => vec![over_tcp(r, SYN, &[])],
        5 => {
            let octets = r.octets(1_400);
            vec![over_tcp(r, PSH_ACK, &octets)]
        }
        6 => {
            let text = format!(
                "INVITE sip:+12025550123@192.0.2.2 SIP/2.0\r\nCall-ID: {}\r\nContent-Length: 60000\r\n\r\n{}",
                r.next(),
                "x".repeat(800)
            );
            vec![over_tcp(r, PSH_ACK, text.as_bytes())]
        }
        7 => vec![tunnels(r, from)],
        8 => vec![r.octets(1_500)]
            .into_iter()
            .filter(|f| f.len() > 14)
            .collect(),
        9 => {
            let whole = invite(r, "");
            let cut = r.next() as usize % whole.len();
            vec![udp4(from, OURS, (port, 5060), &whole.as_bytes()[..cut])]
        }
        _ => {
            let whole = invite(r, &"a: b\r\n".repeat(6_000));
            let datagram = udp((port, 5060), whole.as_bytes());
            let id = r.next() as u16;
            let last = (datagram.len() - 1) / 1_480;
            let parts = datagram.chunks(1_480).enumerate().map(|(i, part)| {
                let more = if i < last { 0x2000 } else { 0 };
                let field = more | (i as u16 * 185);
                ethernet(0x0800, &ipv4(from, OURS, 17, (id, field), part))
            });
            parts.collect()
        }
    }
}

fn invite(r: &mut Random, more: &str) -> String {
    let id = r.next();
    format!(
        "INVITE sip:+12025550123@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK{id}\r\n\
         From: <sip:+12125550100@example.net>;tag={id}\r\nTo: <sip:+12025550123@example.com>\r\n\
         Call-ID: {id}\r\nCSeq: 1 INVITE\r\n{more}Content-Length: 0\r\n\r\n"
    )
}

/// Up to twenty layers of GRE, VXLAN, IP in IP and MPLS, with nothing sensible in the innermost.
fn tunnels(r: &mut Random, from: [u8; 4]) -> Vec<u8> {
    let octets = r.octets(300);
    let mut inner = ipv4(from, OURS, 17, (0, 0), &udp((5060, 5060), &octets));
    for _ in 0..r.next() % 20 {
        inner = match r.next() % 3 {
            0 => {
                let mut gre = vec![0, 0, 0x08, 0];
                gre.extend(inner);
                ipv4(from, OURS, 47, (0, 0), &gre)
            }
            1 => {
                let mut vxlan = vec![8, 0, 0, 0, 0, 0, 1, 0];
                vxlan.extend(ethernet(0x0800, &inner));
                ipv4(from, OURS, 17, (0, 0), &udp((4789, 4789), &vxlan))
            }
            _ => ipv4(from, OURS, 4, (0, 0), &inner),
        };
    }
    if r.next() & 1 == 0 {
        let mut labels = vec![0, 1, 0, 64, 0, 2, 1, 64];
        labels.extend(inner);
        return ethernet(0x8847, &labels);
    }
    ethernet(0x0800, &inner)
}

/// Garbage to a HEP listener: packets that are none, that begin well, and connections that say half a packet and stay.
pub fn hep(address: &str, seconds: &str) -> Result<(), Failure> {
    let until = Instant::now() + duration(seconds)?;
    let address: SocketAddr = address.parse()?;
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    let mut random = Random(7);
    let (mut datagrams, mut connections, mut refused) = (0u64, 0u64, 0u64);
    let mut held: Vec<TcpStream> = Vec::new();
    let mut connect_due = Instant::now();
    while Instant::now() < until {
        let packet = hep_packet(&mut random);
        match socket.send_to(&packet, address) {
            Ok(_) => datagrams += 1,
            Err(_) => refused += 1,
        }
        if connect_due > Instant::now() {
            continue;
        }
        connect_due = Instant::now() + Duration::from_millis(2);
        match TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
            Ok(mut stream) => {
                let packet = hep_packet(&mut random);
                let _ = stream.write_all(&packet);
                connections += 1;
                held.push(stream);
            }
            Err(_) => refused += 1,
        }
        if held.len() > 400 {
            held.drain(..200);
        }
    }
    println!(
        "{datagrams:>12}  HEP datagrams\n{connections:>12}  HEP connections\n{refused:>12}  that were not taken"
    );
    Ok(())
}

fn hep_packet(r: &mut Random) -> Vec<u8> {
    let octets = r.octets(600);
    let mut packet = match r.next() % 4 {
        0 => return octets,
        1 => b"HEP3".to_vec(),
        2 => vec![1, 16],
        _ => vec![2, 16],
    };
    if packet.len() == 4 {
        // Its length is right, or says that more is to come.
        let length = octets.len() + 6 + (r.next() as usize & 1) * 30_000;
        packet.extend(u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
    }
    packet.extend(octets);
    packet
}

/// xorshift64*: fast, and the same each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 8
    }

    fn octet(&mut self) -> u8 {
        (self.next() & 0xff) as u8
    }

    /// One up to so many.
    fn octets(&mut self, most: usize) -> Vec<u8> {
        let count = 1 + self.next() as usize % most;
        let words = (0..count.div_ceil(7)).flat_map(|_| {
            let word = self.next().to_le_bytes();
            word.into_iter().take(7)
        });
        let mut octets: Vec<u8> = words.collect();
        octets.truncate(count);
        octets
    }

    fn kind(&mut self) -> usize {
        let mut at = (self.next() % 1_000) as u32;
        for (kind, (_, share)) in KINDS.iter().enumerate() {
            if at < *share {
                return kind;
            }
            at -= share;
        }
        0
    }
}
