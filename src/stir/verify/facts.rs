//! What the rest of the message says about the call: parties, privacy, date, priority, diversions. Read once for all its Identity headers.

use smallvec::SmallVec;

use crate::number::{NumberPlan, Tn};
use crate::wire::sip::uri::split_values;
use crate::wire::sip::{HeaderName, Message, NameAddr, StartLine, Uri};

/// Most P-Asserted-Identity values looked at. RFC 3325 §9.1 allows two: one `sip:`, one `tel:`.
const MAX_ASSERTED: usize = 8;

/// Most Diversion and History-Info headers kept. France's MAN diverts up to five times.
const MAX_DIVERSIONS: usize = 16;

/// Most Resource-Priority headers kept. One is usual.
const MAX_PRIORITIES: usize = 8;

/// A party of the call.
#[derive(Clone, Copy, Debug)]
pub struct Party<'a> {
    /// Its number, canonical, if it is one.
    pub tn: Option<Tn>,
    /// Its URI.
    pub uri: Uri<'a>,
}

/// What a message says besides its Identity headers.
#[derive(Clone, Debug, Default)]
pub struct CallFacts<'a> {
    /// Set when a P-Asserted-Identity or From may have stood behind a cut.
    pub calling_open: bool,
    /// Set when To may have stood behind a cut.
    pub called_open: bool,
    /// P-Asserted-Identity.
    pub asserted: SmallVec<[Party<'a>; 2]>,
    /// From.
    pub from: Option<Party<'a>>,
    /// To.
    pub to: Option<Party<'a>>,
    /// Request-URI.
    pub request: Option<Party<'a>>,
    /// `Privacy: id`, `user` or `header`.
    pub private: bool,
    /// Date as written.
    pub date: Option<&'a [u8]>,
    /// An Identity-Info header stands there (RFC 4474).
    pub identity_info: bool,
    /// Diversion and History-Info as written: what says unsigned that the call was sent on.
    pub diversions: SmallVec<[&'a [u8]; 1]>,
    /// Resource-Priority as written (RFC 4412).
    pub resource_priority: SmallVec<[&'a [u8]; 1]>,
    /// Priority as written (RFC 3261 §20.26).
    pub priority: Option<&'a [u8]>,
    /// The body: a session description, as a rule.
    pub body: &'a [u8],
}

impl<'a> CallFacts<'a> {
    /// Reads a message. The last header of a cut one is not relied on.
    pub fn of(message: &Message<'a>, plan: &NumberPlan) -> Self {
        let cut = is_cut_in_headers(message);
        let mut out = Self {
            calling_open: cut,
            called_open: cut,
            body: message.body,
            ..Self::default()
        };
        if let StartLine::Request { uri, .. } = message.start {
            out.request = Some(Party::of(Uri::parse(uri), plan));
        }
        let party = |value| Some(Party::of(NameAddr::parse(value).uri, plan));
        for header in whole_headers(message) {
            match header.name {
                HeaderName::From if out.from.is_none() => out.from = party(header.value),
                HeaderName::To if out.to.is_none() => out.to = party(header.value),
                HeaderName::PAssertedIdentity => {
                    let room = MAX_ASSERTED.saturating_sub(out.asserted.len());
                    out.asserted
                        .extend(split_values(header.value).take(room).filter_map(party));
                }
                HeaderName::Privacy => out.private |= asks_for_privacy(header.value),
                HeaderName::Date => out.date = Some(header.value),
                HeaderName::IdentityInfo => out.identity_info = true,
                HeaderName::Diversion | HeaderName::HistoryInfo
                    if out.diversions.len() < MAX_DIVERSIONS =>
                {
                    out.diversions.push(header.value);
                }
                HeaderName::Other => out.add_priority(header.raw_name, header.value),
                _ => {}
            }
        }
        out
    }

    fn add_priority(&mut self, name: &[u8], value: &'a [u8]) {
        match name.len() {
            17 if name.eq_ignore_ascii_case(b"Resource-Priority")
                && self.resource_priority.len() < MAX_PRIORITIES =>
            {
                self.resource_priority.push(value);
            }
            8 if name.eq_ignore_ascii_case(b"Priority") => self.priority = Some(value),
            _ => {}
        }
    }

    /// The parties that Diversion and History-Info name.
    pub(super) fn diverted<'p>(
        &self,
        plan: &'p NumberPlan,
    ) -> impl Iterator<Item = Party<'a>> + use<'_, 'a, 'p> {
        let values = self.diversions.iter().flat_map(|v| split_values(v));
        values
            .take(MAX_DIVERSIONS)
            .map(|v| Party::of(NameAddr::parse(v).uri, plan))
    }

    /// From numbers alone, for a token that is judged without its message. What is `None` could not be found out.
    pub fn of_numbers(calling: Option<Tn>, called: Option<Tn>) -> Self {
        let party = |tn: Tn| Party {
            tn: Some(tn),
            uri: Uri::parse(b""),
        };
        Self {
            calling_open: calling.is_none(),
            called_open: called.is_none(),
            from: calling.map(party),
            to: called.map(party),
            ..Self::default()
        }
    }
}

impl<'a> Party<'a> {
    pub(super) fn of(uri: Uri<'a>, plan: &NumberPlan) -> Self {
        Self {
            tn: plan.canonical(uri.subscriber()).tn(),
            uri,
        }
    }

    /// The URI by RFC 8224 §8.5: scheme and host in lower case, no port, parameters or headers; `None` where it is no text.
    pub(super) fn canonical_uri(&self) -> Option<String> {
        let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).ok();
        let scheme = text(self.uri.scheme)?.to_ascii_lowercase();
        let (user, host) = (text(bare_user(&self.uri))?, text(bare_host(&self.uri))?);
        let at = if user.is_empty() || host.is_empty() {
            ""
        } else {
            "@"
        };
        Some(format!("{scheme}:{user}{at}{}", host.to_ascii_lowercase()))
    }

    /// Whether the URI says that the number is withheld or unknown: `sip:anonymous@anonymous.invalid` (RFC 3323 §4.1.1.3) and the
    /// words that gateways put there.
    pub fn is_withheld(&self) -> bool {
        const WORDS: [&[u8]; 7] = [
            b"anonymous",
            b"restricted",
            b"unavailable",
            b"unknown",
            b"private",
            b"withheld",
            b"blocked",
        ];
        let user = self.uri.user;
        self.tn.is_none()
            && (user.is_empty()
                || self.uri.host().eq_ignore_ascii_case(b"anonymous.invalid")
                || WORDS.iter().any(|w| user.eq_ignore_ascii_case(w)))
    }

    /// Whether it is an emergency service: `urn:service:sos` and below it (RFC 5031), 911, 112.
    pub fn is_emergency(&self) -> bool {
        let urn = self.uri.scheme.eq_ignore_ascii_case(b"urn") && is_sos(self.uri.user);
        urn || self
            .tn
            .is_some_and(|tn| matches!(tn.as_bytes(), b"911" | b"112"))
    }
}

pub(super) fn bare_user<'a>(uri: &Uri<'a>) -> &'a [u8] {
    uri.user.split(|b| *b == b';').next().unwrap_or_default()
}

/// Without a final dot, which names the same host.
pub(super) fn bare_host<'a>(uri: &Uri<'a>) -> &'a [u8] {
    let host = uri.host();
    host.strip_suffix(b".").unwrap_or(host)
}

/// `service:sos` or a service below it, such as `service:sos.fire`.
pub(super) fn is_sos(text: &[u8]) -> bool {
    const SOS: &[u8] = b"service:sos";
    text.split_at_checked(SOS.len())
        .is_some_and(|(front, rest)| {
            front.eq_ignore_ascii_case(SOS) && matches!(rest, [] | [b'.', ..])
        })
}

/// One Identity header field.
pub(super) struct Field<'a> {
    pub value: &'a [u8],
    /// Whether it surely ended before the cut.
    pub whole: bool,
}

/// Every Identity header field in the order received.
pub(super) fn identity_fields<'a>(message: &Message<'a>) -> impl Iterator<Item = Field<'a>> {
    let whole = whole_count(message);
    message
        .headers
        .iter()
        .enumerate()
        .filter(|(_, h)| h.name == HeaderName::Identity)
        .map(move |(i, h)| Field {
            value: h.value,
            whole: i < whole,
        })
}

/// Whether headers may be missing: no blank line behind them, or more of them than were looked at.
pub(super) fn is_cut_in_headers(message: &Message<'_>) -> bool {
    message.anomalies.no_blank_line || message.anomalies.too_many_headers
}

fn whole_headers<'m, 'a>(
    message: &'m Message<'a>,
) -> impl Iterator<Item = &'m crate::wire::sip::header::Header<'a>> {
    message.headers.iter().take(whole_count(message))
}

/// How many headers surely end before the cut: without the blank line the last one may go on, even behind a line end.
fn whole_count(message: &Message<'_>) -> usize {
    let all = message.headers.iter().count();
    if message.anomalies.no_blank_line {
        all.saturating_sub(1)
    } else {
        all
    }
}

/// Whether a value of Privacy withholds the caller's identity (RFC 3323 §4.2, RFC 3325 §9.3).
pub fn asks_for_privacy(value: &[u8]) -> bool {
    value
        .split(|b| matches!(b, b';' | b','))
        .map(<[u8]>::trim_ascii)
        .any(|v| {
            [&b"id"[..], b"user", b"header"]
                .iter()
                .any(|w| v.eq_ignore_ascii_case(w))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(uri: &str) -> Party<'_> {
        Party::of(Uri::parse(uri.as_bytes()), &NumberPlan::default())
    }

    #[test]
    fn o3_withheld_numbers() {
        for uri in [
            "sip:anonymous@anonymous.invalid",
            "sip:12025550123@anonymous.invalid;x",
            "sip:Restricted@198.51.100.1",
            "sip:unknown@example.net",
            "sip:Unavailable@example.net",
            "sip:example.net",
        ] {
            let p = party(uri);
            assert_eq!(p.is_withheld(), p.tn.is_none(), "{uri}");
        }
        for uri in [
            "sip:alice@example.net",
            "tel:+12025550123",
            "sip:+12025550123@example.net",
        ] {
            assert!(!party(uri).is_withheld(), "{uri}");
        }
    }

    #[test]
    fn d4_emergency_services() {
        for uri in [
            "urn:service:sos",
            "URN:service:sos.fire",
            "tel:911",
            "sip:112@example.net;user=phone",
        ] {
            assert!(party(uri).is_emergency(), "{uri}");
        }
        for uri in [
            "urn:service:sosx",
            "urn:service:counseling",
            "tel:+1911",
            "sip:9110@example.net",
        ] {
            assert!(!party(uri).is_emergency(), "{uri}");
        }
    }

    #[test]
    fn privacy_words() {
        assert!(asks_for_privacy(b"id"));
        assert!(asks_for_privacy(b"critical; ID"));
        assert!(!asks_for_privacy(b"none"));
        assert!(!asks_for_privacy(b"session;critical"));
    }
}
