//! One framed SIP message, scanned without loss (RFC 3261 §7, as carriers really write it).
//!
//! [`Message::scan`] takes octets and gives the start line, every header field with its octets as received, and the
//! body. It refuses only what has no SIP start line at all; everything odd (bare LF, a blank before the colon,
//! a line without colon, octets that are not UTF-8, …) is kept and named in [`Anomalies`]. Zero copy: all values are
//! slices of the input.
//!
//! - [`header`]: header names, long and compact, and which a probe looks at
//! - [`uri`]: addresses: `From: "Name" <sip:user@host;params>;tag=…`
//! - [`frame`]: how long a message in a stream is

pub mod frame;
pub mod header;
pub mod uri;

pub use header::{HeaderName, Headers};
pub use uri::{NameAddr, Uri};

use memchr::memchr;

/// What was odd about a message that could be read all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Anomalies {
    /// Some line ended in a bare LF.
    pub bare_lf: bool,
    /// Some header continued on the next line.
    pub folded: bool,
    /// A blank stood between a header's name and its colon.
    pub space_before_colon: bool,
    /// A line had no colon and is no header.
    pub line_without_colon: bool,
    /// Empty lines stood before the start line.
    pub leading_empty_lines: bool,
    /// The blank line that ends the headers is missing: the message is cut, or its sender broken.
    pub no_blank_line: bool,
    /// More headers than [`header::MAX_HEADERS`]; the rest was not looked at.
    pub too_many_headers: bool,
    /// `Content-Length` stands twice with different values, or is no number.
    pub bad_content_length: bool,
    /// The body is shorter than `Content-Length` says.
    pub body_too_short: bool,
}

/// First line of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartLine<'a> {
    /// A request.
    Request {
        /// Method as written; compare with [`StartLine::is_method`].
        method: &'a [u8],
        /// Request-URI as written.
        uri: &'a [u8],
    },
    /// A response.
    Response {
        /// Status code, 100 to 999.
        code: u16,
        /// Reason phrase as written.
        reason: &'a [u8],
    },
}

impl StartLine<'_> {
    /// Whether this is a request with the given method. Methods are case-sensitive (RFC 3261 §7.1).
    pub fn is_method(&self, name: &str) -> bool {
        matches!(self, Self::Request { method, .. } if *method == name.as_bytes())
    }
}

/// A scanned message. All slices point into the octets given to [`Message::scan`].
#[derive(Clone, Debug)]
pub struct Message<'a> {
    /// First line.
    pub start: StartLine<'a>,
    /// Header fields in the order received.
    pub headers: Headers<'a>,
    /// What follows the blank line, cut at `Content-Length` where that is shorter.
    pub body: &'a [u8],
    /// What was odd.
    pub anomalies: Anomalies,
}

/// Why octets are no SIP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSip {
    /// Nothing but empty lines: a keep-alive (RFC 5626 §3.5.1).
    Empty,
    /// The first line is neither a request line nor a status line.
    NoStartLine,
}

impl<'a> Message<'a> {
    /// Scans one framed message.
    ///
    /// # Errors
    ///
    /// [`NotSip`], when the octets have no SIP start line.
    pub fn scan(bytes: &'a [u8]) -> Result<Self, NotSip> {
        let mut anomalies = Anomalies::default();
        let mut rest = bytes;
        while let [b'\r' | b'\n', tail @ ..] = rest {
            anomalies.leading_empty_lines = true;
            rest = tail;
        }
        if rest.iter().all(u8::is_ascii_whitespace) {
            return Err(NotSip::Empty);
        }
        let (line, mut rest) = take_line(rest, &mut anomalies);
        let start = start_line(line).ok_or(NotSip::NoStartLine)?;
        let headers = Headers::scan(&mut rest, &mut anomalies);
        let body = cut_body(&headers, rest, &mut anomalies);
        Ok(Self {
            start,
            headers,
            body,
            anomalies,
        })
    }

    /// Whether this is an initial INVITE request: no tag in To (rule H1).
    pub fn is_initial_invite(&self) -> bool {
        self.start.is_method("INVITE")
            && self
                .headers
                .first(HeaderName::To)
                .is_none_or(|to| NameAddr::parse(to).param("tag").is_none())
    }

    /// Sequence number and method of CSeq.
    pub fn cseq(&self) -> Option<(u32, &'a [u8])> {
        let value = self.headers.first(HeaderName::Cseq)?.trim_ascii();
        let i = value.iter().position(|b| !b.is_ascii_digit())?;
        let (number, method) = value.split_at(i);
        let number = std::str::from_utf8(number).ok()?.parse().ok()?;
        Some((number, method.trim_ascii()))
    }

    /// The `branch` of the topmost Via.
    pub fn branch(&self) -> Option<&'a [u8]> {
        let via = self.headers.first(HeaderName::Via)?;
        // Only the first of several comma-joined values is the topmost.
        let top = uri::split_values(via).next()?;
        uri::param_of(top.get(memchr(b';', top)?..)?, "branch")
    }
}

/// Whether octets begin like a SIP message: cheap enough to ask of every UDP payload.
pub fn looks_like_sip(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let [b'\r' | b'\n', tail @ ..] = rest {
        rest = tail;
    }
    let line = match memchr(
        b'\n',
        rest.get(..rest.len().min(MAX_START_LINE)).unwrap_or(rest),
    ) {
        Some(i) => rest.get(..i).unwrap_or(rest),
        // The first packet of a cut message may hold part of the line only.
        None => return rest.starts_with(b"SIP/2.0 ") || begins_like_request(rest),
    };
    start_line(line.strip_suffix(b"\r").unwrap_or(line)).is_some()
}

/// How far we look for the end of a start line. RFC 3261 sets no limit; messages end at 64 KiB over UDP.
const MAX_START_LINE: usize = 8 * 1024;

/// `METHOD sip:` and the like, without the end of the line.
fn begins_like_request(bytes: &[u8]) -> bool {
    let Some(blank) = memchr(b' ', bytes.get(..bytes.len().min(32)).unwrap_or(bytes)) else {
        return false;
    };
    let (method, rest) = bytes.split_at(blank);
    let Some(rest) = rest.get(1..) else {
        return false;
    };
    is_token(method)
        && [b"sip:".as_slice(), b"sips:", b"tel:", b"urn:"]
            .iter()
            .any(|scheme| {
                rest.get(..scheme.len())
                    .is_some_and(|s| s.eq_ignore_ascii_case(scheme))
            })
}

/// Reads a request line or a status line. Generous where generosity loses nothing: any blanks between the parts,
/// `sip/2.0` in any case, any URI scheme, angle brackets and blanks inside the URI.
fn start_line(line: &[u8]) -> Option<StartLine<'_>> {
    let line = line.trim_ascii();
    if let Some(rest) = strip_version(line) {
        let rest = rest.trim_ascii_start();
        let (code, reason) = rest.split_at_checked(3)?;
        let code: u16 = std::str::from_utf8(code).ok()?.parse().ok()?;
        if code < 100 || reason.first().is_some_and(|b| !b.is_ascii_whitespace()) {
            return None;
        }
        return Some(StartLine::Response {
            code,
            reason: reason.trim_ascii(),
        });
    }
    let (method, rest) = line.split_at(memchr(b' ', line)?);
    let rest = rest.trim_ascii();
    let last = memchr::memrchr(b' ', rest)?;
    let (uri, version) = rest.split_at(last);
    let version = version.trim_ascii();
    let known = version
        .get(..4)
        .is_some_and(|v| v.eq_ignore_ascii_case(b"SIP/"));
    let uri = uri.trim_ascii();
    (known && is_method(method) && !uri.is_empty()).then_some(StartLine::Request { method, uri })
}

/// Whether what has no line end yet may become a line that [`start_line`] reads: no beginning of one is refused, or a message
/// would be lost where its start line comes in pieces.
fn may_be_start_line(part: &[u8]) -> bool {
    let part = part.trim_ascii_start();
    let word = part
        .iter()
        .take(MAX_METHOD + 1)
        .take_while(|b| is_token(std::slice::from_ref(b)) || **b == b'/')
        .count();
    match part.get(word) {
        None => word <= MAX_METHOD,
        Some(b' ') => strip_version(part).is_some() || part.get(..word).is_some_and(is_method),
        Some(_) => strip_version(part).is_some(),
    }
}

fn strip_version(line: &[u8]) -> Option<&[u8]> {
    let (version, rest) = line.split_at_checked(7)?;
    (version.eq_ignore_ascii_case(b"SIP/2.0") && rest.first().is_some_and(u8::is_ascii_whitespace))
        .then_some(rest)
}

fn is_method(text: &[u8]) -> bool {
    text.len() <= MAX_METHOD && is_token(text)
}

/// The longest method we take for one. The longest registered one, SUBSCRIBE, has nine octets; the one that RFC 4475 made up to be odd, 43.
const MAX_METHOD: usize = 128;

/// RFC 3261 §25.1 `token`.
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty()
        && text
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(b))
}

/// Takes one line without its end; the end is CRLF or a bare LF.
fn take_line<'a>(bytes: &'a [u8], anomalies: &mut Anomalies) -> (&'a [u8], &'a [u8]) {
    let Some(i) = memchr(b'\n', bytes) else {
        anomalies.no_blank_line = true;
        return (bytes.strip_suffix(b"\r").unwrap_or(bytes), &[]);
    };
    let (line, rest) = bytes.split_at(i);
    let rest = rest.get(1..).unwrap_or_default();
    match line.strip_suffix(b"\r") {
        Some(line) => (line, rest),
        None => {
            anomalies.bare_lf = true;
            (line, rest)
        }
    }
}

fn cut_body<'a>(headers: &Headers<'a>, rest: &'a [u8], anomalies: &mut Anomalies) -> &'a [u8] {
    let mut length = None;
    for value in headers.all(HeaderName::ContentLength) {
        match frame::content_length(value) {
            Some(n) if length.is_none_or(|l| l == n) => length = Some(n),
            _ => anomalies.bad_content_length = true,
        }
    }
    match length {
        Some(n) => match rest.get(..n) {
            Some(body) => body,
            None => {
                anomalies.body_too_short = true;
                rest
            }
        },
        None => rest,
    }
}

#[cfg(test)]
mod tests;
