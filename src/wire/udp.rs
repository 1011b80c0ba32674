//! UDP (RFC 768): ports and payload.
//!
//! Comes in: the payload of an IP packet. Goes out: a [`Datagram`]. Refused: what a receiver would drop too, except that
//! an octet count that the capture cut short is no fault of the sender.

/// A UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Sender's port.
    pub source: u16,
    /// Receiver's port.
    pub destination: u16,
    /// Octets, as far as they were captured.
    pub payload: &'a [u8],
    /// Octets are missing at the end.
    pub short: bool,
}

/// Octets of the UDP header.
pub const HEADER: usize = 8;

/// Reads a datagram. `said` is how many octets the IP header promised; `bytes` may hold fewer.
///
/// `None` when the header is not there, or its length is below 8 or above what IP promised.
pub fn parse(bytes: &[u8], said: usize) -> Option<Datagram<'_>> {
    let (header, rest) = bytes.split_first_chunk::<HEADER>()?;
    let [s1, s2, d1, d2, l1, l2, _, _] = header;
    let length = match usize::from(u16::from_be_bytes([*l1, *l2])) {
        // Jumbograms (RFC 2675 §4): as long as IP says.
        0 if said > usize::from(u16::MAX) => said,
        n => n,
    };
    if length > said {
        return None;
    }
    let wanted = length.checked_sub(HEADER)?;
    let payload = rest.get(..wanted).unwrap_or(rest);
    Some(Datagram {
        source: u16::from_be_bytes([*s1, *s2]),
        destination: u16::from_be_bytes([*d1, *d2]),
        payload,
        short: payload.len() < wanted,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_says_where_the_payload_ends() {
        let d = parse(b"\x13\xc4\x13\xc5\0\x0b\0\0abcdef", 14).unwrap();
        assert_eq!((d.source, d.destination), (5060, 5061));
        assert_eq!((d.payload, d.short), (&b"abc"[..], false));
        let d = parse(b"\x13\xc4\x13\xc5\0\x0b\0\0ab", 11).unwrap();
        assert_eq!((d.payload, d.short), (&b"ab"[..], true));
    }

    #[test]
    fn lengths_that_a_receiver_drops() {
        assert_eq!(parse(b"\x13\xc4\x13\xc5\0\x0b\0\0ab", 10), None);
        assert_eq!(parse(b"\x13\xc4\x13\xc5\0\x07\0\0ab", 10), None);
        assert_eq!(parse(b"\x13\xc4\x13\xc5\0\0\0\0ab", 10), None);
        assert_eq!(parse(b"\x13\xc4\x13\xc5\0\x08\0", 8), None);
    }
}
