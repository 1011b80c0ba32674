//! Bodies of the targets for framing: a stream means the same in whatever pieces it comes, and framer and scanner read the same length.

use std::collections::VecDeque;

use super::message_seeds;
use crate::wire::sip::Message;
use crate::wire::sip::frame::{Framed, Framer, Hunter, Resync, resync};
use crate::wire::tcp::Segment;
use crate::wire::tcp::stream::{Found, Stream};

/// The longest stream: longer than a start line may be, and soon read octet by octet.
const LONGEST: usize = 12_000;

/// What a stream gave out.
#[derive(Debug, PartialEq, Eq)]
enum Out {
    Message(Vec<u8>),
    TooLong(Vec<u8>),
    Lost,
}

/// Reads a stream in pieces of the given lengths.
fn read(data: &[u8], lengths: impl Iterator<Item = usize>) -> Vec<Out> {
    let (mut out, mut kept, mut framer) = (Vec::new(), Vec::new(), Framer::default());
    let mut hunting: Option<Hunter> = None;
    let mut rest = data;
    for length in lengths {
        let (piece, after) = rest.split_at(length.clamp(1, rest.len().max(1)).min(rest.len()));
        if piece.is_empty() {
            break;
        }
        rest = after;
        kept.extend_from_slice(piece);
        while !kept.is_empty() {
            if let Some(hunter) = &mut hunting {
                match hunter.resync(&kept) {
                    Resync::At(n) => {
                        kept.drain(..n);
                        hunting = None;
                    }
                    Resync::Keep(n) => {
                        kept.drain(..n);
                        break;
                    }
                }
                continue;
            }
            let used = match framer.frame(&kept) {
                Framed::NeedMore(_) => break,
                Framed::KeepAlive(n) => n,
                Framed::Message(n) => {
                    out.push(Out::Message(kept.get(..n).unwrap_or_default().to_vec()));
                    n
                }
                Framed::TooLong(n) => {
                    out.push(Out::TooLong(kept.get(..n).unwrap_or_default().to_vec()));
                    hunting = Some(Hunter::default());
                    memchr::memchr(b'\n', &kept).map_or(kept.len(), |n| n + 1)
                }
                Framed::Lost => {
                    assert_ne!(resync(&kept), Resync::At(0), "lost and found at once");
                    out.push(Out::Lost);
                    hunting = Some(Hunter::default());
                    0
                }
            };
            kept.drain(..used);
        }
    }
    out
}

/// The same through the machine that reads TCP.
fn streamed(data: &[u8], size: usize) -> Vec<Found> {
    let mut stream = Stream::opened(0, super::DEFAULT_BASE);
    let mut sink = VecDeque::new();
    let mut seq = 0u32;
    for payload in data.chunks(size) {
        let segment = Segment {
            source: 5060,
            destination: 5060,
            seq,
            syn: false,
            fin: false,
            rst: false,
            payload,
            said: payload.len(),
        };
        stream.receive(&segment, super::DEFAULT_BASE, &mut sink);
        seq += payload.len() as u32;
    }
    let found = sink.into_iter().map(|(found, _)| found);
    found.filter(|f| *f != Found::KeepAlive).collect()
}

/// At once, octet by octet, and in pieces as long as its own octets say.
pub(super) fn framing(data: &[u8]) {
    let data = data.get(..LONGEST).unwrap_or(data);
    let at_once = read(data, [data.len()].into_iter());
    let by_octet = read(data, std::iter::repeat(1));
    assert_eq!(at_once, by_octet, "octet by octet it is another stream");
    let own = data.iter().map(|b| 1 + usize::from(*b));
    assert_eq!(at_once, read(data, own), "cut it is another stream");
    for out in &at_once {
        let Out::Message(bytes) = out else {
            continue;
        };
        let message = Message::scan(bytes).expect("what is framed is a message");
        let odd = message.anomalies;
        assert!(
            !odd.body_too_short,
            "the framer cuts where the scanner reads on"
        );
        if !odd.too_many_headers {
            assert!(!odd.no_blank_line && bytes.ends_with(message.body));
            let head = bytes.len() - message.body.len();
            assert!(
                head > 0 && bytes.get(head - 1) == Some(&b'\n'),
                "two lengths of one message"
            );
        }
    }
    // Once the thread is lost, TCP also looks for WebSocket where segments begin.
    if at_once.iter().all(|o| matches!(o, Out::Message(_))) {
        let whole = |o| match o {
            Out::Message(bytes) => Found::Message { bytes, cut: None },
            _ => Found::LostThread,
        };
        let messages: Vec<_> = at_once.into_iter().map(whole).collect();
        assert_eq!(streamed(data, LONGEST), messages);
        assert_eq!(streamed(data, 1), messages);
    }
}

pub(super) fn framing_seeds() -> Vec<Vec<u8>> {
    let ok = b"SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP a.example.net\r\nl: 4\r\n\r\nbody";
    let bye = b"BYE sip:a@example.net SIP/2.0\nContent-Length :\n 0\n\n";
    let long = b"OPTIONS sip:a@example.net SIP/2.0\r\nContent-Length: 99999\r\n\r\n";
    let mut out: Vec<Vec<u8>> = message_seeds()
        .into_iter()
        .take(4)
        .map(|m| [&m[..], ok, b"\r\n\r\n", bye].concat())
        .collect();
    out.extend([
        [&ok[..], b"lost \x01 thread\r\n", bye, ok].concat(),
        [&long[..], b"\0\0", ok, bye].concat(),
        [&b" \tINVITE sip:a\x06 SIP/2.0\r\n\r\n"[..], ok].concat(),
        b"bodySIP/2.0 200 OK\r\nVia  : x\r\n\r\n".to_vec(),
    ]);
    out
}
