//! SCTP (RFC 9260) as SIP uses it (RFC 4168): messages that fit one DATA chunk.
//!
//! Comes in: the payload of an IP packet. Goes out: its [`Chunk`]s. A message spread over several chunks is not put together; each piece
//! comes out as [`Chunk::Part`], to be counted. Checksums and the association's state are not looked at: content decides what is SIP.

/// SCTP's protocol number.
pub const PROTOCOL: u8 = 132;

/// The ports of a packet, and its chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Sender's port.
    pub source: u16,
    /// Receiver's port.
    pub destination: u16,
    /// Octets behind the common header, as far as they were captured.
    chunks: &'a [u8],
    /// How many there were on the wire.
    said: usize,
}

/// One chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunk<'a> {
    /// A whole message.
    Message {
        /// Its octets, as far as they were captured.
        payload: &'a [u8],
        /// Octets are missing at the end.
        short: bool,
    },
    /// A piece of a message.
    Part {
        /// Its octets, as far as they were captured.
        payload: &'a [u8],
        /// It is the first one.
        first: bool,
    },
    /// No data.
    Control,
    /// Its length can't be; nothing after it can be read.
    Malformed,
}

/// Reads a packet. `said` is how many octets IP promised; `bytes` may hold fewer. `None` when the common header is not there.
pub fn parse(bytes: &[u8], said: usize) -> Option<Packet<'_>> {
    let (header, chunks) = bytes.split_first_chunk::<12>()?;
    let [s1, s2, d1, d2, ..] = header;
    Some(Packet {
        source: u16::from_be_bytes([*s1, *s2]),
        destination: u16::from_be_bytes([*d1, *d2]),
        chunks,
        said: said.checked_sub(12)?,
    })
}

impl<'a> Packet<'a> {
    /// Its chunks. Each takes at least four octets, so a packet bounds their number.
    pub fn chunks(self) -> impl Iterator<Item = Chunk<'a>> {
        let mut rest = self.chunks;
        let mut said = self.said;
        std::iter::from_fn(move || {
            let (chunk, length) = next(rest, said)?;
            if chunk == Chunk::Malformed {
                (rest, said) = (&[], 0);
            } else {
                rest = rest.get(length..).unwrap_or_default();
                said = said.saturating_sub(length);
            }
            Some(chunk)
        })
    }
}

/// The chunk at the front, and where the next one begins.
fn next(bytes: &[u8], said: usize) -> Option<(Chunk<'_>, usize)> {
    let [kind, flags, l1, l2, ..] = bytes else {
        // What the capture cut off is gone; less than a chunk's header in the packet itself is a fault.
        let is_fault = !bytes.is_empty() && said <= bytes.len();
        return is_fault.then_some((Chunk::Malformed, 0));
    };
    let length = usize::from(u16::from_be_bytes([*l1, *l2]));
    let header = match kind {
        // DATA, and I-DATA (RFC 8260).
        0 => 16,
        64 => 20,
        _ => 4,
    };
    if length < header || length > said {
        return Some((Chunk::Malformed, 0));
    }
    let chunk = if header == 4 {
        Chunk::Control
    } else {
        let payload = bytes.get(header.min(bytes.len())..length.min(bytes.len()));
        let payload = payload.unwrap_or_default();
        let (first, last) = (flags & 2 != 0, flags & 1 != 0);
        match first && last {
            true => Chunk::Message {
                payload,
                short: bytes.len() < length,
            },
            false => Chunk::Part { payload, first },
        }
    };
    // Chunks are padded to four octets, and the padding is not in their length.
    Some((chunk, length.next_multiple_of(4)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn data(flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = 16 + payload.len() as u16;
        let mut out = vec![0, flags];
        out.extend(length.to_be_bytes());
        out.extend([0; 12]);
        out.extend(payload);
        out.resize(out.len().next_multiple_of(4), 0);
        out
    }

    fn packet(chunks: &[Vec<u8>]) -> Vec<u8> {
        let common = [0x13, 0xc4, 0x13, 0xc5, 0, 0, 0, 1, 0, 0, 0, 0];
        [&common[..], &chunks.concat()].concat()
    }

    #[test]
    fn several_messages_stand_in_one_packet() {
        let sack = vec![3, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let bytes = packet(&[sack, data(3, b"first"), data(7, b"second"), data(2, b"pa")]);
        let p = parse(&bytes, bytes.len()).unwrap();
        assert_eq!((p.source, p.destination), (5060, 5061));
        let message = |payload| Chunk::Message {
            payload,
            short: false,
        };
        let part = Chunk::Part {
            payload: b"pa",
            first: true,
        };
        let chunks: Vec<_> = p.chunks().collect();
        assert_eq!(
            chunks,
            [Chunk::Control, message(b"first"), message(b"second"), part]
        );
    }

    #[test]
    fn what_the_capture_cut_is_short_and_what_lies_is_malformed() {
        let bytes = packet(&[data(3, b"message")]);
        let cut = &bytes[..bytes.len() - 4];
        let chunks: Vec<_> = parse(cut, bytes.len()).unwrap().chunks().collect();
        let short = Chunk::Message {
            payload: b"mess",
            short: true,
        };
        assert_eq!(chunks, [short]);
        let chunks: Vec<_> = parse(cut, cut.len()).unwrap().chunks().collect();
        assert_eq!(chunks, [Chunk::Malformed]);
        let lies = packet(&[vec![0, 3, 0, 15]]);
        let chunks: Vec<_> = parse(&lies, lies.len()).unwrap().chunks().collect();
        assert_eq!(chunks, [Chunk::Malformed]);
    }

    proptest! {
        #[test]
        fn never_panics_and_always_ends(bytes in proptest::collection::vec(any::<u8>(), 0..200), more in 0usize..50) {
            if let Some(p) = parse(&bytes, bytes.len() + more) {
                prop_assert!(p.chunks().count() <= bytes.len() / 4);
            }
        }
    }
}
