//! Header fields: names, compact names, values as received.

use memchr::memchr;
use smallvec::SmallVec;

use super::{Anomalies, take_line};

/// The most header fields looked at in one message. Real INVITEs have 15 to 40; 64 KiB of one-letter headers would be 16,000.
pub const MAX_HEADERS: usize = 256;

/// The header fields that a probe looks at. All others stay in the message as [`HeaderName::Other`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeaderName {
    /// `Via`, `v`
    Via,
    /// `From`, `f`
    From,
    /// `To`, `t`
    To,
    /// `Call-ID`, `i`
    CallId,
    /// `CSeq`
    Cseq,
    /// `Contact`, `m`
    Contact,
    /// `Content-Length`, `l`
    ContentLength,
    /// `Content-Type`, `c`
    ContentType,
    /// `Date` (RFC 3261 §20.17)
    Date,
    /// `Diversion` (RFC 5806)
    Diversion,
    /// `History-Info` (RFC 7044)
    HistoryInfo,
    /// `Identity`, `y` (RFC 8224 §4)
    Identity,
    /// `Identity-Info`, `n` (RFC 4474; obsolete)
    IdentityInfo,
    /// `P-Asserted-Identity` (RFC 3325)
    PAssertedIdentity,
    /// `P-Charge-Info` (RFC 8496)
    PChargeInfo,
    /// `P-Charging-Vector` (RFC 7315)
    PChargingVector,
    /// `Privacy` (RFC 3323)
    Privacy,
    /// `Reason` (RFC 3326, RFC 9410)
    Reason,
    /// `Record-Route`
    RecordRoute,
    /// `Remote-Party-ID` (never standardised, still common)
    RemotePartyId,
    /// `Session-ID` (RFC 7989)
    SessionId,
    /// Any other.
    Other,
}

impl HeaderName {
    /// How many there are.
    const COUNT: usize = Self::Other as usize + 1;

    /// Recognises a name in any case, long or compact.
    pub fn parse(name: &[u8]) -> Self {
        if let [letter] = name {
            return match letter.to_ascii_lowercase() {
                b'v' => Self::Via,
                b'f' => Self::From,
                b't' => Self::To,
                b'i' => Self::CallId,
                b'm' => Self::Contact,
                b'l' => Self::ContentLength,
                b'c' => Self::ContentType,
                b'y' => Self::Identity,
                b'n' => Self::IdentityInfo,
                _ => Self::Other,
            };
        }
        // By length, so that three are compared at most.
        let long: &[(&[u8], Self)] = match name.len() {
            2 => &[(b"to", Self::To)],
            3 => &[(b"via", Self::Via)],
            4 => &[
                (b"from", Self::From),
                (b"cseq", Self::Cseq),
                (b"date", Self::Date),
            ],
            6 => &[(b"reason", Self::Reason)],
            7 => &[
                (b"call-id", Self::CallId),
                (b"contact", Self::Contact),
                (b"privacy", Self::Privacy),
            ],
            8 => &[(b"identity", Self::Identity)],
            9 => &[(b"diversion", Self::Diversion)],
            10 => &[(b"session-id", Self::SessionId)],
            12 => &[
                (b"content-type", Self::ContentType),
                (b"history-info", Self::HistoryInfo),
                (b"record-route", Self::RecordRoute),
            ],
            13 => &[
                (b"identity-info", Self::IdentityInfo),
                (b"p-charge-info", Self::PChargeInfo),
            ],
            14 => &[(b"content-length", Self::ContentLength)],
            15 => &[(b"remote-party-id", Self::RemotePartyId)],
            17 => &[(b"p-charging-vector", Self::PChargingVector)],
            19 => &[(b"p-asserted-identity", Self::PAssertedIdentity)],
            _ => &[],
        };
        long.iter()
            .find(|(long, _)| long.eq_ignore_ascii_case(name))
            .map_or(Self::Other, |(_, known)| *known)
    }
}

/// One header field as received.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    /// Which one.
    pub name: HeaderName,
    /// Its name as written.
    pub raw_name: &'a [u8],
    /// Its value without blanks at both ends. Folded values still hold their line ends; RFC 3261 §7.3.1
    /// makes each the same as one blank.
    pub value: &'a [u8],
}

/// All header fields of a message in the order received.
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    fields: SmallVec<[Header<'a>; 24]>,
    /// Where the first field of each name stands: most names are asked for several times, or never there.
    first: [u16; HeaderName::COUNT],
}

/// Stands nowhere: more than [`MAX_HEADERS`].
const NOWHERE: u16 = u16::MAX;

impl Default for Headers<'_> {
    fn default() -> Self {
        Self {
            fields: SmallVec::new(),
            first: [NOWHERE; HeaderName::COUNT],
        }
    }
}

impl<'a> Headers<'a> {
    /// Reads header lines from `rest` up to the blank line, and leaves the body in `rest`.
    pub(super) fn scan(rest: &mut &'a [u8], anomalies: &mut Anomalies) -> Self {
        let mut headers = Self::default();
        loop {
            if rest.is_empty() {
                anomalies.no_blank_line = true;
                return headers;
            }
            let begin = *rest;
            let (line, tail) = take_line(begin, anomalies);
            *rest = tail;
            if line.is_empty() {
                return headers;
            }
            // A line that begins with a blank continues the header before it.
            let mut value_end = line.len();
            while let [b' ' | b'\t', ..] = *rest {
                anomalies.folded = true;
                let (more, tail) = take_line(rest, anomalies);
                // `more` is a slice of `begin`: its end is our value's new end.
                value_end = offset_in(begin, more) + more.len();
                *rest = tail;
            }
            let field = begin.get(..value_end).unwrap_or(line);
            let Some(colon) = memchr(b':', line) else {
                anomalies.line_without_colon = true;
                continue;
            };
            if headers.fields.len() == MAX_HEADERS {
                anomalies.too_many_headers = true;
                // The body begins after the blank line, wherever that is.
                skip_to_body(rest);
                return headers;
            }
            let (raw_name, value) = field.split_at(colon);
            let name = raw_name.trim_ascii_end();
            anomalies.space_before_colon |= name.len() != raw_name.len();
            headers.push(Header {
                name: HeaderName::parse(name),
                raw_name: name,
                value: value.get(1..).unwrap_or_default().trim_ascii(),
            });
        }
    }

    fn push(&mut self, header: Header<'a>) {
        if let Some(first) = self.first.get_mut(header.name as usize)
            && *first == NOWHERE
        {
            // Below MAX_HEADERS.
            *first = u16::try_from(self.fields.len()).unwrap_or(NOWHERE);
        }
        self.fields.push(header);
    }

    /// The first value under a name.
    pub fn first(&self, name: HeaderName) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    /// Every value under a name, in the order received.
    pub fn all(&self, name: HeaderName) -> impl Iterator<Item = &'a [u8]> + '_ {
        let first = self.first.get(name as usize).copied().unwrap_or(NOWHERE);
        let fields = self.fields.get(usize::from(first)..).unwrap_or_default();
        fields
            .iter()
            .filter(move |h| h.name == name)
            .map(|h| h.value)
    }

    /// Every header field.
    pub fn iter(&self) -> impl Iterator<Item = &Header<'a>> {
        self.fields.iter()
    }
}

fn offset_in(whole: &[u8], part: &[u8]) -> usize {
    (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize)
}

fn skip_to_body(rest: &mut &[u8]) {
    let crlf = memchr::memmem::find(rest, b"\r\n\r\n").map(|i| i + 4);
    let lf = memchr::memmem::find(rest, b"\n\n").map(|i| i + 2);
    let end = match (crlf, lf) {
        (Some(a), Some(b)) => a.min(b),
        (Some(a), None) | (None, Some(a)) => a,
        (None, None) => rest.len(),
    };
    *rest = rest.get(end..).unwrap_or_default();
}
