//! WebSocket (RFC 6455) in clear, with SIP in it (RFC 7118), seen from the side: one direction at a time.
//!
//! - [`handshake`]: HTTP's upgrade, as either side says it, at the front of a stream
//! - [`likely_frame`]: whether a frame with SIP begins here: how a connection is known that was there before the capture
//! - [`Frames`]: octets in order → messages
//!
//! Refused and counted: compressed messages (RFC 7692; the SIP in them is lost to us), messages longer than
//! [`MAX_MESSAGE`], and frames that break the rules, after which the thread is lost.

pub mod frame;

use memchr::{memchr, memmem};

pub use frame::{Broken, Frames, Got, header_before, likely_frame};

/// The most octets of an upgrade's head. Web servers grant 8 KiB (Apache, nginx); a proxy in front of them adds some.
pub const MAX_HANDSHAKE: usize = 16 * 1024;

/// The longest message that is put together: as long as one in any other stream.
pub const MAX_MESSAGE: usize = crate::wire::sip::frame::MAX_MESSAGE;

/// What the front of a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// HTTP's upgrade to WebSocket with SIP, of so many octets; frames follow.
    Sip(usize),
    /// It may become one.
    More,
    /// Something else.
    No,
}

/// Looks whether a stream begins with the upgrade to SIP over WebSocket, a client's or a server's.
pub fn handshake(bytes: &[u8]) -> Handshake {
    let starts = |start: &[u8]| {
        let n = bytes.len().min(start.len());
        bytes.get(..n) == start.get(..n)
    };
    if bytes.is_empty() || !(starts(b"GET ") || starts(b"HTTP/1.1 101")) {
        return Handshake::No;
    }
    let Some(end) = memmem::find(bytes, b"\r\n\r\n") else {
        let is_possible = bytes.len() < MAX_HANDSHAKE;
        return if is_possible {
            Handshake::More
        } else {
            Handshake::No
        };
    };
    let head = bytes.get(..end).unwrap_or_default();
    let is_upgrade = values(head, b"upgrade").any(|v| v.eq_ignore_ascii_case(b"websocket"));
    let is_sip = values(head, b"sec-websocket-protocol").any(|v| v.eq_ignore_ascii_case(b"sip"));
    if end <= MAX_HANDSHAKE && is_upgrade && is_sip {
        Handshake::Sip(end + 4)
    } else {
        Handshake::No
    }
}

/// Values of a header, split at commas.
fn values<'a>(head: &'a [u8], name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    head.split(|b| *b == b'\n')
        .filter_map(move |line| {
            let (this, value) = line.split_at(memchr(b':', line)?);
            let is_it = this.trim_ascii().eq_ignore_ascii_case(name);
            is_it.then(|| value.get(1..).unwrap_or_default())
        })
        .flat_map(|value| value.split(|b| *b == b','))
        .map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests;
