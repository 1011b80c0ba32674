//! SIP over TCP (RFC 9293, RFC 3261 §18.3), seen from the side: one direction at a time, within limits on everything.
//!
//! [`Streams`] takes segments in and gives framed messages out. A stream may be joined in the middle, come out of order, come twice,
//! overlap (the first octets win) or have holes: after a hole that does not fill in time, the message it cuts comes out marked
//! [`Cut::TcpGap`](crate::wire::Cut::TcpGap), and the thread is taken up at the next start line. Content decides what is SIP, not ports; a stream that shows no
//! start line within [`HUNT_LIMIT`](stream::HUNT_LIMIT) octets is remembered as not SIP.
//!
//! - [`stream`]: one direction of one connection
//! - [`flows`]: all of them, and what they may cost

pub mod flows;
pub mod stream;

use etherparse::TcpHeaderSlice;

pub use flows::{SegmentFate, StreamCounts, StreamKey, StreamLimits, Streams};

/// A TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Sender's port.
    pub source: u16,
    /// Receiver's port.
    pub destination: u16,
    /// Sequence number of the first octet, or of SYN where that is set.
    pub seq: u32,
    /// Opens the connection.
    pub syn: bool,
    /// Nothing follows the payload.
    pub fin: bool,
    /// The connection is dead.
    pub rst: bool,
    /// Octets, as far as they were captured.
    pub payload: &'a [u8],
    /// How many octets there were on the wire.
    pub said: usize,
}

impl Segment<'_> {
    /// Sequence number of the first octet of payload: SYN takes one (RFC 9293 §3.4).
    fn first(&self) -> u32 {
        self.seq.wrapping_add(u32::from(self.syn))
    }
}

/// Reads a segment. `said` is how many octets IP promised; `bytes` may hold fewer. `None` when the header is not there or contradicts itself.
pub fn parse(bytes: &[u8], said: usize) -> Option<Segment<'_>> {
    let header = TcpHeaderSlice::from_slice(bytes).ok()?;
    let head = header.slice().len();
    Some(Segment {
        source: header.source_port(),
        destination: header.destination_port(),
        seq: header.sequence_number(),
        syn: header.syn(),
        fin: header.fin(),
        rst: header.rst(),
        payload: bytes.get(head..)?,
        said: said.checked_sub(head)?,
    })
}

#[cfg(test)]
mod tests;
