//! Packets in a stream: version 3 alone, by its total length. There is nothing to take up the thread by once it is lost, since a payload may hold anything: a
//! stream that breaks is over.

use super::v3::{HEADER, TAGS};

/// What the front of a stream holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framed {
    /// A packet of so many octets.
    Packet(usize),
    /// At least so many octets are needed in all.
    NeedMore(usize),
    /// No packet: the stream is to be closed.
    Broken,
}

/// Looks at the front of a stream. The first octet that can't be right is enough.
pub fn frame(bytes: &[u8]) -> Framed {
    let seen = bytes.get(..4).unwrap_or(bytes);
    if !TAGS.iter().any(|t| t.starts_with(seen)) {
        return Framed::Broken;
    }
    let Some([.., hi, lo]) = bytes.first_chunk::<HEADER>() else {
        return Framed::NeedMore(HEADER);
    };
    match usize::from(u16::from_be_bytes([*hi, *lo])) {
        total if total < HEADER => Framed::Broken,
        total if total <= bytes.len() => Framed::Packet(total),
        total => Framed::NeedMore(total),
    }
}
