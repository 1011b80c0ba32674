//! TCP connections as a tap sees them: handshake, segments that hold several messages or part of one, keep-alives, segments sent twice
//! or out of order, acknowledgements, and one connection that was there before the capture.

use pnet::packet::tcp::TcpFlags;

use super::frame::{Frames, Segment, Way};
use super::{Frame, Laid, floor};
use crate::lab::call::dialog::Sent;
use crate::lab::network::Path;
use crate::lab::random::Random;

/// Messages in one direction less than this apart share their segments, as Nagle's algorithm makes them.
const TOGETHER: i64 = 3_000_000;
/// A provisional answer may wait this long for the message after it.
const PROVISIONAL_WAITS: i64 = 60_000_000;
/// How often the side that opened the connection sends CRLF CRLF (RFC 5626 §4.4.1 lets it choose).
const KEEP_ALIVE: i64 = 29_000_000_000;

/// Lays one connection down. The last digit of the opener's port says its story: 1, it closes within the capture; 7, it was there
/// before; anything else, it opens and stays.
pub fn lay(
    path: Path,
    mut messages: Vec<Sent>,
    number: usize,
    frames: &mut Frames,
    rng: &mut Random,
    tick: i64,
    laid: &mut Laid,
) {
    let (Some(first), Some(last)) = (
        messages.first().map(|m| m.at),
        messages.last().map(|m| m.at),
    ) else {
        return;
    };
    // Whoever has the odd port opened the connection.
    let they_opened = path.ours.port() == 5060;
    add_keep_alives(&mut messages, path, they_opened, first, last);
    let base = (number as u32 + 1).wrapping_mul(0x1234_5677);
    let mut connection = Connection {
        path,
        next: [base, base ^ 0x5555_0000],
        clock: first - 4_000_000,
        frames,
        tick,
        laid,
    };
    if !began_before(path) {
        connection.open(they_opened);
    }
    let mut batch: Vec<Sent> = Vec::new();
    for message in messages {
        let together = batch.last().is_some_and(|before| {
            let wait = if is_provisional(&before.bytes) && rng.chance(0.4) {
                PROVISIONAL_WAITS
            } else {
                TOGETHER
            };
            before.to_us == message.to_us && message.at - before.at < wait
        });
        if !together {
            connection.send(std::mem::take(&mut batch), rng);
        }
        batch.push(message);
    }
    connection.send(batch, rng);
    if closes(path) {
        connection.close(they_opened);
    }
}

/// Whether a connection was there before the capture: no handshake is seen.
fn began_before(path: Path) -> bool {
    opener_port(path) % 10 == 7
}

/// Whether a connection ends within the capture.
fn closes(path: Path) -> bool {
    opener_port(path) % 10 == 1
}

fn opener_port(path: Path) -> u16 {
    path.theirs.port().max(path.ours.port())
}

fn is_provisional(bytes: &[u8]) -> bool {
    bytes.starts_with(b"SIP/2.0 1")
}

fn add_keep_alives(messages: &mut Vec<Sent>, path: Path, they_opened: bool, first: i64, last: i64) {
    let mut at = first + KEEP_ALIVE;
    while at < last {
        for (delay, to_us, bytes) in [
            (0, they_opened, &b"\r\n\r\n"[..]),
            (1_500_000, !they_opened, b"\r\n"),
        ] {
            messages.push(Sent {
                at: at + delay,
                path,
                to_us,
                bytes: bytes.to_vec(),
                first_of: None,
                loss: Default::default(),
            });
        }
        at += KEEP_ALIVE;
    }
    messages.sort_by_key(|m| m.at);
}

struct Connection<'a> {
    path: Path,
    /// Next sequence number towards us and from us.
    next: [u32; 2],
    /// Time of the last frame.
    clock: i64,
    frames: &'a mut Frames,
    tick: i64,
    laid: &'a mut Laid,
}

impl Connection<'_> {
    fn open(&mut self, they_opened: bool) {
        let at = self.clock;
        self.control(at, they_opened, TcpFlags::SYN, 1);
        self.control(at + 400_000, !they_opened, TcpFlags::SYN | TcpFlags::ACK, 1);
        self.control(at + 800_000, they_opened, TcpFlags::ACK, 0);
    }

    fn close(&mut self, they_opened: bool) {
        let at = self.clock + 5_000_000;
        self.control(at, they_opened, TcpFlags::FIN | TcpFlags::ACK, 1);
        self.control(at + 400_000, !they_opened, TcpFlags::FIN | TcpFlags::ACK, 1);
        self.control(at + 800_000, they_opened, TcpFlags::ACK, 0);
    }

    /// A segment without octets; `takes` is how many numbers it uses up.
    fn control(&mut self, at: i64, to_us: bool, flags: u8, takes: u32) {
        let (mine, other) = (usize::from(!to_us), usize::from(to_us));
        let acknowledgement = if flags & TcpFlags::ACK == 0 {
            0
        } else {
            self.next[other]
        };
        self.put(
            at,
            to_us,
            Segment {
                sequence: self.next[mine],
                acknowledgement,
                flags,
            },
            &[],
        );
        self.next[mine] = self.next[mine].wrapping_add(takes);
    }

    fn put(&mut self, at: i64, to_us: bool, segment: Segment, payload: &[u8]) {
        let way = Way {
            path: self.path,
            to_us,
        };
        let bytes = self.frames.segment(&way, segment, payload);
        let at = floor(at, self.tick);
        self.laid.frames.push(Frame {
            at,
            length: bytes.len(),
            bytes,
        });
        self.clock = self.clock.max(at);
    }

    /// Sends messages of one direction as one stretch of the stream.
    fn send(&mut self, batch: Vec<Sent>, rng: &mut Random) {
        const SEGMENT_GAP: i64 = 15_000;
        let Some(last) = batch.last() else { return };
        let (to_us, start) = (last.to_us, last.at.max(self.clock + SEGMENT_GAP));
        let (mine, other) = (usize::from(!to_us), usize::from(to_us));
        let stream: Vec<u8> = batch.iter().flat_map(|m| m.bytes.iter().copied()).collect();
        let room = Way {
            path: self.path,
            to_us,
        }
        .segment();
        // Now and then the first segment ends in the middle of nowhere.
        let head = if rng.chance(0.2) {
            1 + rng.index(stream.len().min(room))
        } else {
            room
        };
        let mut parts = Vec::new();
        let mut at = 0;
        while at < stream.len() {
            let end = stream.len().min(at + if at == 0 { head } else { room });
            parts.push((at, end, start + SEGMENT_GAP * parts.len() as i64));
            at = end;
        }
        if parts.len() > 1 && rng.chance(0.12) {
            let i = rng.index(parts.len() - 1);
            let (a, b) = (parts[i].2, parts[i + 1].2);
            parts[i].2 = b + 900_000;
            parts[i + 1].2 = a;
        }
        let sent_twice = rng.chance(0.05).then(|| rng.index(parts.len()));
        let first = self.next[mine];
        let acknowledgement = self.next[other];
        for (i, (from, to, at)) in parts.iter().copied().enumerate() {
            let segment = Segment {
                sequence: first.wrapping_add(from as u32),
                acknowledgement,
                flags: TcpFlags::ACK | if to == stream.len() { TcpFlags::PSH } else { 0 },
            };
            let octets = stream.get(from..to).unwrap_or_default();
            self.put(at, to_us, segment, octets);
            if sent_twice == Some(i) {
                self.put(at + 1_100_000, to_us, segment, octets);
            }
        }
        let mut end = 0;
        for message in &batch {
            end += message.bytes.len();
            // Complete when everything up to its end has been seen, in whatever order.
            let needed = parts.iter().filter(|(from, ..)| *from < end);
            if let (Some(leg), Some(at)) = (message.first_of, needed.map(|(.., at)| *at).max()) {
                self.laid.complete.insert(leg, floor(at, self.tick));
            }
        }
        self.next[mine] = first.wrapping_add(stream.len() as u32);
        let at = self.clock + 40_000;
        self.control(at, !to_us, TcpFlags::ACK, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::network::Neighbour;
    use etherparse::{SlicedPacket, TransportSlice};
    use std::collections::BTreeMap;

    fn messages(port: u16) -> Vec<Sent> {
        let path = Neighbour::named("westgate").unwrap().path(0, 0, port, true);
        (0..400)
            .map(|i| Sent {
                // Threes that share an instant, far enough from the next three.
                at: 1_000_000_000 * (i / 3) + i,
                path,
                to_us: i % 7 != 0,
                bytes: format!(
                    "INVITE sip:{i:0width$}@example.net SIP/2.0\r\n\r\n",
                    width = 10 + (i as usize * 37) % 3_000
                )
                .into_bytes(),
                first_of: Some(i as usize),
                loss: Default::default(),
            })
            .collect()
    }

    /// Both directions put together by sequence number, as (octets, whether a SYN was seen, segments sent twice, out of order).
    fn streams(frames: &[Frame]) -> [(Vec<u8>, bool, usize, usize); 2] {
        [5060u16, 0].map(|to| {
            let mut parts: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
            let (mut syn, mut twice, mut disorder, mut high) = (None, 0, 0, 0);
            for f in frames {
                let p = SlicedPacket::from_ethernet(&f.bytes).unwrap();
                let Some(TransportSlice::Tcp(t)) = p.transport else {
                    panic!("no TCP")
                };
                if (t.destination_port() == 5060) != (to == 5060) {
                    continue;
                }
                if t.syn() {
                    syn = Some(t.sequence_number());
                } else if !t.payload().is_empty() {
                    disorder += usize::from(t.sequence_number() < high);
                    high = high.max(t.sequence_number());
                    twice += usize::from(
                        parts
                            .insert(t.sequence_number(), t.payload().to_vec())
                            .is_some(),
                    );
                }
            }
            let mut next = syn.map_or_else(|| *parts.keys().next().unwrap(), |s| s.wrapping_add(1));
            let mut octets = Vec::new();
            for (at, part) in parts {
                assert_eq!(at, next, "a hole in the stream");
                next = next.wrapping_add(part.len() as u32);
                octets.extend(part);
            }
            (octets, syn.is_some(), twice, disorder)
        })
    }

    #[test]
    fn streams_give_their_messages_back() {
        let sent = messages(40_211);
        let laid = super::super::lay(sent.clone(), 3, 1, i64::MAX);
        let [to_us, from_us] = streams(&laid.frames);
        for (to, (octets, syn, ..)) in [(true, &to_us), (false, &from_us)] {
            let text = String::from_utf8(octets.clone()).unwrap();
            let got: Vec<_> = text
                .split("INVITE")
                .map(str::trim)
                .filter(|t| !t.is_empty())
                .collect();
            let want: Vec<_> = sent
                .iter()
                .filter(|m| m.to_us == to)
                .map(|m| std::str::from_utf8(&m.bytes[6..]).unwrap().trim())
                .collect();
            assert_eq!(got, want);
            assert!(syn);
        }
        assert!(
            to_us.2 > 0 && to_us.3 > 0,
            "segments sent twice and out of order"
        );
        assert_eq!(laid.complete.len(), sent.len());
        let in_one = laid
            .frames
            .iter()
            .filter(|f| memchr::memmem::find_iter(&f.bytes, b"INVITE").count() > 1)
            .count();
        assert!(in_one > 0, "several messages in a segment");
    }

    #[test]
    fn one_connection_was_there_before() {
        let laid = super::super::lay(messages(40_217), 3, 1, i64::MAX);
        assert!(streams(&laid.frames).iter().all(|(_, syn, ..)| !syn));
    }
}
