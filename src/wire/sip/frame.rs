//! How long a message in a stream is (RFC 3261 §18.3): headers up to the blank line, then `Content-Length` octets.

use memchr::memmem;

use super::HeaderName;

/// The most octets of one message: what fits a UDP datagram, and what we grant a stream as well.
pub const MAX_MESSAGE: usize = 65_535;

/// What the front of a stream holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framed {
    /// A whole message of so many octets.
    Message(usize),
    /// So many octets of CRLF keep-alive (RFC 5626 §3.5.1) to skip.
    KeepAlive(usize),
    /// The message is not complete yet; at least so many octets are needed in all.
    NeedMore(usize),
    /// The front is no SIP message, or one longer than [`MAX_MESSAGE`]: look for the next start line.
    Lost,
}

/// Frames the front of a stream.
pub fn frame(bytes: &[u8]) -> Framed {
    let blank = bytes
        .iter()
        .take_while(|b| matches!(b, b'\r' | b'\n'))
        .count();
    if blank > 0 {
        return Framed::KeepAlive(blank);
    }
    let Some(head) = head_len(bytes) else {
        return match bytes.len() {
            n if n >= MAX_MESSAGE => Framed::Lost,
            n if could_begin(bytes) => Framed::NeedMore(n + 1),
            _ => Framed::Lost,
        };
    };
    if !super::looks_like_sip(bytes) {
        return Framed::Lost;
    }
    let body = bytes
        .get(..head)
        .and_then(find_content_length)
        // RFC 3261 §18.3 makes it compulsory on streams; without it the message can only end at its headers.
        .unwrap_or(0);
    match head.checked_add(body) {
        Some(n) if n > MAX_MESSAGE => Framed::Lost,
        Some(n) if n <= bytes.len() => Framed::Message(n),
        Some(n) => Framed::NeedMore(n),
        None => Framed::Lost,
    }
}

/// Where the next start line may begin, looking from the second line on: to find the thread again after a gap.
pub fn resync(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(i) = memchr::memchr(b'\n', bytes.get(at..)?) {
        at += i + 1;
        let rest = bytes.get(at..)?;
        let line_end = memchr::memchr(b'\n', rest)?;
        if super::looks_like_sip(rest.get(..=line_end)?)
            && !rest.starts_with(b"\r")
            && !rest.starts_with(b"\n")
        {
            return Some(at);
        }
    }
    None
}

/// A `Content-Length` value: digits only, at most nine of them.
pub fn content_length(value: &[u8]) -> Option<usize> {
    let value = value.trim_ascii();
    if value.is_empty() || value.len() > 9 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Octets up to and with the blank line.
fn head_len(bytes: &[u8]) -> Option<usize> {
    let crlf = memmem::find(bytes, b"\r\n\r\n").map(|i| i + 4);
    let lf = memmem::find(bytes.get(..crlf.unwrap_or(bytes.len()))?, b"\n\n").map(|i| i + 2);
    lf.or(crlf)
}

/// Whether the front may still become a SIP start line: a short beginning without a line end, or a good line.
fn could_begin(bytes: &[u8]) -> bool {
    let part = b"SIP/2.0 ";
    let short = bytes.len() < 32
        && (part.starts_with(bytes) || bytes.iter().all(|b| b.is_ascii_graphic() || *b == b' '));
    short || super::looks_like_sip(bytes)
}

fn find_content_length(head: &[u8]) -> Option<usize> {
    head.split(|&b| b == b'\n').skip(1).find_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        let (name, value) = line.split_at(colon);
        (HeaderName::parse(name.trim_ascii()) == HeaderName::ContentLength)
            .then(|| content_length(value.get(1..)?))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: &[u8] =
        b"OPTIONS sip:a@example.net SIP/2.0\r\nl: 3\r\n\r\nabcSIP/2.0 200 OK\r\n\r\n";

    #[test]
    fn messages_keep_alives_and_rests() {
        assert_eq!(frame(OPTIONS), Framed::Message(46));
        assert_eq!(frame(&OPTIONS[46..]), Framed::Message(18));
        assert_eq!(frame(b"\r\n\r\nSIP/2.0"), Framed::KeepAlive(4));
        assert_eq!(frame(&OPTIONS[..45]), Framed::NeedMore(46));
        assert_eq!(frame(b"OPT"), Framed::NeedMore(4));
        assert_eq!(frame(b""), Framed::NeedMore(1));
        assert_eq!(frame(b"\x16\x03\x01\x02\x00\x01"), Framed::Lost);
        assert_eq!(frame(b"GET / HTTP/1.1\r\n\r\n"), Framed::Lost);
    }

    #[test]
    fn hostile_lengths() {
        assert_eq!(
            frame(b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 99999999\r\n\r\n"),
            Framed::Lost
        );
        assert_eq!(
            frame(b"OPTIONS sip:a SIP/2.0\r\nContent-Length: -1\r\n\r\n"),
            Framed::Message(45)
        );
        assert_eq!(content_length(b"18446744073709551616"), None);
    }

    #[test]
    fn the_thread_is_found_again_at_a_start_line() {
        let stream = b"oken;info=<x>\r\nVia: x\r\n\r\nINVITE sip:a@example.net SIP/2.0\r\n";
        let at = resync(stream).unwrap();
        assert!(stream[at..].starts_with(b"INVITE"));
        assert_eq!(resync(b"nothing\r\nhere\r\n"), None);
    }
}
