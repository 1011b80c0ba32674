//! How long a message in a stream is (RFC 3261 §18.3): headers up to the blank line, then `Content-Length` octets.
//!
//! [`Framer`] is asked again each time octets were added and goes on where it stopped, so that a message that comes octet by
//! octet costs no more than one that comes at once, and means the same: whoever cuts a stream into segments decides nothing.
//! [`resync`] finds the thread again after a gap. Both see the same blank line and
//! the same `Content-Length` as [`super::Message::scan`] does: two opinions would let a sender hide a message in another one's body.

use memchr::{memchr, memmem};

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
    /// The front is a SIP message longer than [`MAX_MESSAGE`]; so many octets are its own, whatever its length: its headers, or
    /// as much of them as we read.
    TooLong(usize),
    /// The front is no SIP message: look for the next start line.
    Lost,
}

/// Frames the message at the front of a stream, call by call as octets come in.
///
/// `bytes` must begin with the same octets each time, until the answer is anything but [`Framed::NeedMore`]; then the framer
/// is ready for the next front.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Framer {
    /// No blank line begins before here.
    searched: usize,
    /// The start line was read and is one.
    started: bool,
    /// Length of the message, once its headers are complete.
    total: Option<usize>,
}

impl Framer {
    /// Length of the message at the front, as soon as its headers are complete.
    pub fn total(&self) -> Option<usize> {
        self.total
    }

    /// Looks at the front.
    pub fn frame(&mut self, bytes: &[u8]) -> Framed {
        let framed = self.look(bytes);
        if !matches!(framed, Framed::NeedMore(_)) {
            *self = Self::default();
        }
        framed
    }

    fn look(&mut self, bytes: &[u8]) -> Framed {
        if let Some(total) = self.total {
            return whole_or_more(total, bytes.len());
        }
        let blank = bytes
            .iter()
            .take_while(|b| matches!(b, b'\r' | b'\n'))
            .count();
        if blank > 0 {
            return Framed::KeepAlive(blank);
        }
        if !self.started {
            match begins(bytes) {
                Begins::Yes => self.started = true,
                Begins::Perhaps => return Framed::NeedMore(bytes.len() + 1),
                Begins::No => return Framed::Lost,
            }
        }
        let Some(head) = head_len(bytes, self.searched) else {
            // A blank line may have begun with the last two octets.
            self.searched = bytes.len().saturating_sub(2);
            return if bytes.len() >= MAX_MESSAGE {
                Framed::TooLong(MAX_MESSAGE)
            } else {
                Framed::NeedMore(bytes.len() + 1)
            };
        };
        // RFC 3261 §18.3 makes it compulsory on streams; without it the message can only end at its headers.
        let body = bytes.get(..head).and_then(find_content_length).unwrap_or(0);
        match head.checked_add(body) {
            Some(total) if total <= MAX_MESSAGE => {
                self.total = Some(total);
                whole_or_more(total, bytes.len())
            }
            _ => Framed::TooLong(head.min(MAX_MESSAGE)),
        }
    }
}

/// Frames the front of a stream at once.
pub fn frame(bytes: &[u8]) -> Framed {
    Framer::default().frame(bytes)
}

/// Where the thread may be taken up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resync {
    /// A message begins here.
    At(usize),
    /// None begins before here; what follows may become a beginning when more octets come.
    Keep(usize),
}

/// Looks for the next beginning of a message: after a gap, or in a stream that was joined in the middle.
///
/// A body need not end with a line end, so a message may begin anywhere in a line; what stands before it is not ours. In return the
/// start line must be strict and its method a registered one, and a header line must follow: the body of a NOTIFY may hold a status
/// line alone (RFC 3420), and taking that for a message would swallow the next one.
pub fn resync(bytes: &[u8]) -> Resync {
    Hunter::default().resync(bytes)
}

/// Looks for the next beginning call by call as octets come in, and goes on where it stopped.
///
/// After [`Resync::Keep`], `bytes` must begin with what was kept; after [`Resync::At`], begin with a new one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hunter {
    /// So many octets at the front have neither a line end nor a control.
    seen: usize,
}

impl Hunter {
    /// As [`resync`].
    pub fn resync(&mut self, bytes: &[u8]) -> Resync {
        let (mut at, mut seen) = (0, std::mem::take(&mut self.seen));
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let new = rest.get(seen..).unwrap_or_default();
            let Some(end) = memchr(b'\n', new).map(|n| seen + n) else {
                let from = unfinished(rest.len(), seen, new);
                self.seen = rest.len() - from;
                return Resync::Keep(at + from);
            };
            let (line, after) = rest.split_at_checked(end).unwrap_or_default();
            match begins_within(line, after) {
                (Begins::Yes, n) => return Resync::At(at + n),
                (Begins::Perhaps, n) => return Resync::Keep(at + n),
                (Begins::No, _) => {}
            }
            at += end + 1;
            seen = 0;
        }
    }
}

/// A `Content-Length` value: digits only, at most nine of them.
pub fn content_length(value: &[u8]) -> Option<usize> {
    let value = value.trim_ascii();
    if value.is_empty() || value.len() > 9 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

enum Begins {
    Yes,
    /// As far as it goes.
    Perhaps,
    No,
}

/// Whether the front is a start line, read as generously as the scanner reads it.
fn begins(bytes: &[u8]) -> Begins {
    let reach = bytes.get(..super::MAX_START_LINE).unwrap_or(bytes);
    if memchr(b'\n', reach).is_some() {
        return match super::looks_like_sip(bytes) {
            true => Begins::Yes,
            false => Begins::No,
        };
    }
    match bytes.len() < super::MAX_START_LINE && super::may_be_start_line(bytes) {
        true => Begins::Perhaps,
        false => Begins::No,
    }
}

/// Whether a message begins within a line, and where. `after` begins with its LF.
fn begins_within(line: &[u8], after: &[u8]) -> (Begins, usize) {
    // As far back as an unfinished line is kept.
    let before = line.len().saturating_sub(LONGEST_LINE);
    let line = line.get(before..).unwrap_or_default();
    let Some(start) = find_start(line.strip_suffix(b"\r").unwrap_or(line)) else {
        return (Begins::No, 0);
    };
    let start = before + start;
    let rest = after.get(1..).unwrap_or_default();
    let name = rest
        .iter()
        .take_while(|b| super::is_token(std::slice::from_ref(b)))
        .count();
    let blanks = rest
        .iter()
        .skip(name)
        .take_while(|b| matches!(b, b' ' | b'\t'))
        .count();
    let answer = match rest.get(name + blanks) {
        _ if name > MAX_HEADER_NAME || blanks > MAX_HEADER_NAME => Begins::No,
        Some(b':') if name > 0 => Begins::Yes,
        None => Begins::Perhaps,
        _ => Begins::No,
    };
    (answer, start)
}

/// Where in a line that has no end yet a start line may still begin: behind the last control, and no further back than
/// [`LONGEST_LINE`]. Only its `new` octets, from `seen` on, may have controls.
fn unfinished(length: usize, seen: usize, new: &[u8]) -> usize {
    let clean = new
        .iter()
        .rposition(is_control)
        .map_or(0, |at| seen + at + 1);
    clean.max(length.saturating_sub(LONGEST_LINE))
}

/// The longest line, without its LF, that the framer takes for a start line.
const LONGEST_LINE: usize = super::MAX_START_LINE - 1;

/// The longest header name we wait for at a new beginning, and the most blanks behind it. The longest registered ones have 33 octets.
const MAX_HEADER_NAME: usize = 64;

/// Where in a line a start line as RFC 3261 §25.1 writes it, without controls, begins, to the line's end.
fn find_start(line: &[u8]) -> Option<usize> {
    let start = find_loosely(line)?;
    (!line.get(start..)?.iter().any(is_control)).then_some(start)
}

fn find_loosely(line: &[u8]) -> Option<usize> {
    let Some(request) = line.strip_suffix(b" SIP/2.0") else {
        let at = memmem::rfind(line, b"SIP/2.0 ")?;
        let status = line.get(at + 8..)?;
        return matches!(status, [b'1'..=b'9', b, c] | [b'1'..=b'9', b, c, b' ', ..]
            if b.is_ascii_digit() && c.is_ascii_digit())
        .then_some(at);
    };
    let blank = memchr::memrchr(b' ', request)?;
    let (before, uri) = request.split_at(blank);
    let method = METHODS.iter().find(|m| before.ends_with(m.as_bytes()))?;
    (super::begins_like_request(&[b"X", uri].concat())).then_some(blank - method.len())
}

/// All registered methods (IANA, "SIP Parameters"). None is the end of another.
const METHODS: [&str; 14] = [
    "ACK",
    "BYE",
    "CANCEL",
    "INFO",
    "INVITE",
    "MESSAGE",
    "NOTIFY",
    "OPTIONS",
    "PRACK",
    "PUBLISH",
    "REFER",
    "REGISTER",
    "SUBSCRIBE",
    "UPDATE",
];

fn is_control(b: &u8) -> bool {
    b.is_ascii_control() && !matches!(b, b'\r' | b'\t')
}

fn whole_or_more(total: usize, have: usize) -> Framed {
    if total <= have {
        Framed::Message(total)
    } else {
        Framed::NeedMore(total)
    }
}

/// Octets up to and with the blank line, if it does not begin before `from`. Every line may end in CRLF or in LF.
fn head_len(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let crlf = memmem::find(rest, b"\n\r\n").map(|i| i + 3);
    let lf = memmem::find(rest.get(..crlf.unwrap_or(rest.len()))?, b"\n\n").map(|i| i + 2);
    lf.or(crlf).map(|n| from + n)
}

/// The first readable `Content-Length`. All lines are looked at, also past the scanner's limit on header fields.
fn find_content_length(head: &[u8]) -> Option<usize> {
    let mut begin = memchr(b'\n', head)? + 1;
    loop {
        let line = head.get(begin..)?;
        let mut end = memchr(b'\n', line)? + 1;
        while let Some(b' ' | b'\t') = line.get(end) {
            end += memchr(b'\n', line.get(end..)?)? + 1;
        }
        if let Some(b'c' | b'C' | b'l' | b'L') = line.first()
            && let Some((name, value)) = line.get(..end).and_then(split_field)
            && HeaderName::parse(name.trim_ascii_end()) == HeaderName::ContentLength
            && let Some(n) = content_length(value)
        {
            return Some(n);
        }
        begin += end;
    }
}

fn split_field(field: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, value) = field.split_at(memchr(b':', field)?);
    Some((name, value.get(1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
            Framed::TooLong(51)
        );
        assert_eq!(
            frame(b"OPTIONS sip:a SIP/2.0\r\nContent-Length: -1\r\n\r\n"),
            Framed::Message(45)
        );
        assert_eq!(content_length(b"18446744073709551616"), None);
        let endless = [
            b"OPTIONS sip:a SIP/2.0\r\n",
            "a: b\r\n".repeat(11_000).as_bytes(),
        ]
        .concat();
        assert_eq!(frame(&endless), Framed::TooLong(MAX_MESSAGE));
    }

    #[test]
    fn framer_and_scanner_agree_on_the_blank_line_and_on_folded_lengths() {
        for (head, body) in [
            (&b"OPTIONS sip:a SIP/2.0\r\nl: 3\n\r\n"[..], 3),
            (b"OPTIONS sip:a SIP/2.0\r\nl: 3\r\n\n", 3),
            (b"OPTIONS sip:a SIP/2.0\nl: 3\n\n", 3),
            (
                b"OPTIONS sip:a SIP/2.0\r\nContent-Length :\r\n 3\r\n\r\n",
                3,
            ),
            (b"OPTIONS sip:a SIP/2.0\r\na: b\r\n l: 9\r\n\r\n", 0),
            (b"OPTIONS sip:a SIP/2.0\r\nl: x\r\nl: 2\r\n\r\n", 2),
        ] {
            let bytes = [head, b"0123456789\r\n\r\n"].concat();
            assert_eq!(frame(&bytes), Framed::Message(head.len() + body));
            let scanned = super::super::Message::scan(&bytes[..head.len() + body]).unwrap();
            assert_eq!(scanned.body.len(), body);
        }
    }

    #[test]
    fn the_thread_is_found_again_at_a_start_line() {
        let stream = b"oken;info=<x>\r\nVia: x\r\n\r\nINVITE sip:a@example.net SIP/2.0\r\nVia: y";
        let start = memmem::find(stream, b"INVITE").unwrap();
        assert_eq!(resync(stream), Resync::At(start));
        // Cut anywhere in the line or the next header's name, it is kept until it is clear.
        for cut in start + 1..stream.len() - 3 {
            assert_eq!(resync(&stream[..cut]), Resync::Keep(start), "{cut}");
        }
        assert_eq!(resync(b"nothing\r\nhere\r\n"), Resync::Keep(15));
        assert_eq!(resync(b"a=x\x01"), Resync::Keep(4));
    }

    /// What the framer says of the front, octet by octet.
    fn by_octet(bytes: &[u8]) -> Framed {
        let mut framer = Framer::default();
        (1..=bytes.len())
            .map(|end| framer.frame(&bytes[..end]))
            .find(|f| !matches!(f, Framed::NeedMore(_)))
            .unwrap_or(Framed::Lost)
    }

    #[test]
    fn odd_start_lines_are_framed_however_they_come() {
        let method = "!interesting-Method0123456789_*+`.%indeed'~";
        for line in [
            "INVITE sip:a\x06b\x00@example.net SIP/2.0\r\n".to_owned(),
            " \x0c\tINVITE sip:a@example.net SIP/2.0\r\n".to_owned(),
            "INVITE \x7f\r\t sip:a  sip/3.0\n".to_owned(),
            "sip/2.0\t200\x0cOK\x01\r\n".to_owned(),
            format!("{method} sip:a@example.net SIP/2.0\r\n"),
            format!("{} sip:a@example.net SIP/2.0\r\n", "M".repeat(128)),
        ] {
            let bytes = [line.as_bytes(), b"\r\n"].concat();
            assert_eq!(frame(&bytes), Framed::Message(bytes.len()), "{line:?}");
            assert_eq!(by_octet(&bytes), frame(&bytes), "{line:?}");
        }
        let too_long = format!("{} sip:a@example.net SIP/2.0\r\n", "M".repeat(129));
        for line in [
            "\x16\x03\x01\n",
            "GET / HTTP/1.1\n",
            "a/b sip:a SIP/2.0\n",
            &too_long,
        ] {
            assert_eq!(frame(line.as_bytes()), Framed::Lost, "{line:?}");
            assert_eq!(by_octet(line.as_bytes()), Framed::Lost, "{line:?}");
        }
    }

    #[test]
    fn a_start_line_is_found_again_behind_controls_and_long_lines() {
        let start = "INVITE sip:a@example.net SIP/2.0\r\nVia: y";
        for before in [
            "x\x01".to_owned(),
            "x".repeat(3 * LONGEST_LINE),
            "x\r\x01".repeat(3_000),
        ] {
            let bytes = [before.as_str(), start].concat();
            let bytes = bytes.as_bytes();
            assert_eq!(resync(bytes), Resync::At(before.len()));
            // Octet by octet: what is kept is never the less.
            let (mut from, mut hunter) = (0, Hunter::default());
            for end in 1..bytes.len() {
                assert_eq!(
                    resync(&bytes[from..end]),
                    { hunter }.resync(&bytes[from..end])
                );
                match hunter.resync(&bytes[from..end]) {
                    Resync::Keep(n) => from += n,
                    Resync::At(n) => {
                        from += n;
                        break;
                    }
                }
            }
            assert_eq!(from, before.len());
        }
        let controls = b"INVITE sip:a\x01@example.net SIP/2.0\r\nVia: y\r\n";
        assert_eq!(resync(controls), Resync::Keep(controls.len()));
    }

    #[test]
    fn a_status_line_in_a_body_is_no_beginning() {
        let bytes = b"x\r\nSIP/2.0 200 OK\r\nINVITE sip:a@example.net SIP/2.0\r\nVia: y";
        assert_eq!(resync(bytes), Resync::At(19));
        let bytes = b"x\r\nSIP/2.0 200 OK\r\n\r\n\x01";
        assert_eq!(resync(bytes), Resync::Keep(bytes.len()));
    }

    #[test]
    fn a_message_may_begin_behind_a_body_without_line_end() {
        let bytes = b"bodyINVITE sip:a@example.net SIP/2.0\r\nVia: y";
        assert_eq!(resync(bytes), Resync::At(4));
        let bytes = b"body SIP/2.0 200 OK\r\nVia : y";
        assert_eq!(resync(bytes), Resync::At(5));
        for no in [
            "XINVIT sip:a SIP/2.0",
            "INVITE nothing SIP/2.0",
            "SIP/2.0 2000",
        ] {
            let bytes = [no, "\r\nVia: y\r\n\x01"].concat();
            assert_eq!(resync(bytes.as_bytes()), Resync::Keep(bytes.len()));
        }
    }

    proptest! {
        #[test]
        fn octet_by_octet_gives_the_same(cut in 0usize..OPTIONS.len()) {
            let mut framer = Framer::default();
            let mut last = Framed::NeedMore(0);
            for end in 0..=cut {
                last = framer.frame(&OPTIONS[..end]);
                if last != Framed::NeedMore(46) && !matches!(last, Framed::NeedMore(n) if n == end + 1) { break; }
            }
            prop_assert_eq!(last, frame(&OPTIONS[..cut.min(46)]));
        }

        #[test]
        fn whatever_comes_the_answer_lies_inside(bytes in proptest::collection::vec(
            prop_oneof![Just(b'\r'), Just(b'\n'), Just(b' '), Just(b':'), Just(b'l'), b'0'..=b'9', any::<u8>()], 0..200)) {
            let mut message = b"SIP/2.0 200 OK\r\nl: 1\r\n".to_vec();
            message.extend(&bytes);
            for b in [&bytes, &message] {
                match frame(b) {
                    Framed::Message(n) | Framed::KeepAlive(n) => prop_assert!(n > 0 && n <= b.len()),
                    Framed::NeedMore(n) => prop_assert!(n > b.len()),
                    Framed::TooLong(n) => prop_assert!(n <= b.len()),
                    Framed::Lost => {}
                }
                match resync(b) { Resync::At(n) => prop_assert!(n < b.len()), Resync::Keep(n) => prop_assert!(n <= b.len()) }
            }
        }
    }
}
