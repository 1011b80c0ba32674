//! What an INVITE says of the trunk that it came over. Anybody can write it: rules take it into account only beside addresses.

use smallvec::SmallVec;

use crate::base::text;
use crate::call::record::Numbers;
use crate::number::{NumberPlan, Tn};
use crate::wire::sip::uri::param_of;
use crate::wire::sip::{HeaderName, Message, NameAddr, Uri};

/// Longest text from the wire that is kept of one value. Real ones are below 100 octets.
const MAX_TEXT: usize = 256;

/// Values kept of one header: rules ask for headers that a carrier writes once.
const MAX_VALUES: usize = 4;

/// Longest dialled digits looked at: a prefix of 12, and the longest number (15) behind an international prefix.
const MAX_DIALLED: usize = 32;

/// What rules may ask of an INVITE, besides its trunk group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// `trunk-context` beside the trunk group (RFC 4904).
    pub context: Option<Box<str>>,
    /// `otg` of From.
    pub otg: Option<Box<str>>,
    /// `orig-ioi` of P-Charging-Vector (RFC 7315).
    pub orig_ioi: Option<Box<str>>,
    /// User of the Request-URI, where it is what one dials: digits, `*`, `#`, and no `+`.
    pub dialled: Option<SmallVec<[u8; 24]>>,
    /// The same of To.
    pub dialled_to: Option<SmallVec<[u8; 24]>>,
    /// Headers that some rule asks for: name as the rule has it, value.
    pub headers: Vec<(Box<str>, Box<str>)>,
}

/// All that rules may ask of a message.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a> {
    /// Trunk group: `tgrp` of Contact or Request-URI, or `otg` of From.
    pub group: Option<&'a str>,
    /// The rest.
    pub said: &'a Said,
}

impl Words<'static> {
    /// A message that says nothing.
    pub const fn none() -> Self {
        const NOTHING: &Said = &Said {
            context: None,
            otg: None,
            orig_ioi: None,
            dialled: None,
            dialled_to: None,
            headers: Vec::new(),
        };
        Self {
            group: None,
            said: NOTHING,
        }
    }
}

impl Said {
    /// Reads an INVITE; of headers only those named.
    pub fn of(
        message: &Message<'_>,
        request_uri: &Uri<'_>,
        from: &NameAddr<'_>,
        to: &NameAddr<'_>,
        headers: &[Box<str>],
    ) -> Self {
        let keep = |v: &[u8]| Box::from(text::escape(v.get(..MAX_TEXT).unwrap_or(v)));
        let contact = message.headers.first(HeaderName::Contact);
        let contact = contact.map(|c| NameAddr::parse(c).uri);
        let grouped = contact.filter(|c| c.param("tgrp").is_some());
        let context = grouped.unwrap_or(*request_uri).param("trunk-context");
        let otg = from.uri.param("otg").or_else(|| from.param("otg"));
        let vector = message.headers.first(HeaderName::PChargingVector);
        let orig_ioi = vector.and_then(|v| bare_param(v, "orig-ioi"));
        let full = |v: &&[u8]| !v.is_empty();
        Self {
            context: context.filter(full).map(keep),
            otg: otg.filter(full).map(keep),
            orig_ioi: orig_ioi.filter(full).map(keep),
            dialled: dialled(request_uri),
            dialled_to: dialled(&to.uri),
            headers: headers
                .iter()
                .flat_map(|name| {
                    let known = HeaderName::parse(name.as_bytes());
                    let all = message.headers.iter();
                    let values = all.filter(move |h| match known {
                        HeaderName::Other => h.raw_name.eq_ignore_ascii_case(name.as_bytes()),
                        known => h.name == known,
                    });
                    let values = values.take(MAX_VALUES);
                    values.map(move |h| (name.clone(), keep(h.value)))
                })
                .collect(),
        }
    }

    /// Values of a header, in any case of its name.
    pub fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = move |(n, _): &&(Box<str>, Box<str>)| n.eq_ignore_ascii_case(name);
        self.headers.iter().filter(named).map(|(_, v)| &**v)
    }

    /// What was dialled behind a technical prefix: digits that may be a number.
    pub fn without_prefix(&self, prefix: &str) -> Option<&[u8]> {
        strip(self.dialled.as_deref()?, prefix)
    }

    /// Takes a technical prefix off the called number, and off To where it stands there too. Does the same if asked again.
    pub fn take_off(&self, prefix: &str, plan: &NumberPlan, numbers: &mut Numbers) {
        let number = |dialled: &[u8]| plan.canonical(dialled).tn();
        let Some(called) = self.without_prefix(prefix).and_then(number) else {
            return;
        };
        let to = self.dialled_to.as_deref().and_then(|t| strip(t, prefix));
        let to: Option<Tn> = to.and_then(number).or(numbers.to);
        numbers.to = to.filter(|to| *to != called);
        numbers.called = Some(called);
    }
}

/// Fewest digits behind a prefix: the shortest service codes have three.
const MIN_REST: usize = 3;

fn strip<'a>(dialled: &'a [u8], prefix: &str) -> Option<&'a [u8]> {
    let rest = dialled.strip_prefix(prefix.as_bytes())?;
    (rest.len() >= MIN_REST && rest.iter().all(u8::is_ascii_digit)).then_some(rest)
}

/// The digits of a user part up to its parameters. `#` stands percent-encoded in a URI (RFC 3261 §25.1), and bare from some senders.
fn dialled(uri: &Uri<'_>) -> Option<SmallVec<[u8; 24]>> {
    let user = uri.subscriber();
    let user = user.split(|b| *b == b';').next().unwrap_or_default();
    let mut out = SmallVec::new();
    let mut rest = user;
    while let Some((&b, tail)) = rest.split_first() {
        rest = tail;
        match b {
            b'0'..=b'9' | b'*' | b'#' => out.push(b),
            b'%' if tail.get(..2).is_some_and(|h| h.eq_ignore_ascii_case(b"23")) => {
                out.push(b'#');
                rest = tail.get(2..).unwrap_or_default();
            }
            b'%' if tail.get(..2).is_some_and(|h| h.eq_ignore_ascii_case(b"2a")) => {
                out.push(b'*');
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => return None,
        }
        if out.len() > MAX_DIALLED {
            return None;
        }
    }
    (!out.is_empty()).then_some(out)
}

/// A parameter of a header that has nothing but parameters: the first has no `;` in front.
fn bare_param<'a>(value: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let front = value.get(..name.len())?;
    let rest = value.get(name.len()..)?.trim_ascii_start();
    match rest.strip_prefix(b"=") {
        Some(v) if front.eq_ignore_ascii_case(name.as_bytes()) => {
            let v = v.split(|b| *b == b';').next().unwrap_or_default();
            let v = v.trim_ascii();
            let bare = v.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\""));
            Some(bare.unwrap_or(v))
        }
        _ => param_of(value, name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, headers: &[&str]) -> Said {
        let message = Message::scan(text.as_bytes()).unwrap();
        let crate::wire::sip::StartLine::Request { uri, .. } = message.start else {
            panic!("no request");
        };
        let address = |name| NameAddr::parse(message.headers.first(name).unwrap_or_default());
        let headers: Vec<Box<str>> = headers.iter().map(|h| (*h).into()).collect();
        Said::of(
            &message,
            &Uri::parse(uri),
            &address(HeaderName::From),
            &address(HeaderName::To),
            &headers,
        )
    }

    const INVITE: &str = "INVITE sip:9011%2312025550123;tgrp=out;trunk-context=b.example@192.0.2.1 SIP/2.0\r\n\
        f: <sip:12025550100@a.example;otg=OT-1>;tag=1\r\n\
        To: <sip:12025550123@192.0.2.1>\r\n\
        m: <sip:x;tgrp=TG-1;trunk-context=a.example@198.51.100.1>\r\n\
        P-Charging-Vector: orig-ioi=home.example;icid-value=1\r\n\
        X-Trunk: one\r\nx-trunk: two\r\nX-Other: three\r\n\r\n";

    #[test]
    fn an_invite_says_its_trunk() {
        let s = said(INVITE, &["X-Trunk", "From"]);
        assert_eq!(s.context.as_deref(), Some("a.example"));
        assert_eq!(s.otg.as_deref(), Some("OT-1"));
        assert_eq!(s.orig_ioi.as_deref(), Some("home.example"));
        assert_eq!(s.header("x-TRUNK").collect::<Vec<_>>(), ["one", "two"]);
        // The compact name is the same header, and nobody asked for X-Other.
        assert_eq!(s.header("From").count(), 1);
        assert_eq!(s.headers.len(), 3);
    }

    #[test]
    fn the_context_is_that_of_the_trunk_group() {
        let text = INVITE.replace("m: <sip:x;tgrp=TG-1;", "m: <sip:x;");
        assert_eq!(said(&text, &[]).context.as_deref(), Some("b.example"));
    }

    #[test]
    fn a_prefix_comes_off_the_called_number_and_only_it() {
        let s = said(INVITE, &[]);
        let plan = NumberPlan::default();
        let tn = |t: &str| Tn::from_canonical(t.as_bytes());
        let before = Numbers {
            called: tn("9011#12025550123"),
            to: tn("12025550123"),
            ..Numbers::default()
        };
        let mut numbers = before;
        for _ in 0..2 {
            s.take_off("9011#", &plan, &mut numbers);
            assert_eq!((numbers.called, numbers.to), (tn("12025550123"), None));
        }
        let mut numbers = before;
        s.take_off("9012#", &plan, &mut numbers);
        assert_eq!(numbers, before);
        // What is left of `9011#` behind 901 is no number.
        assert_eq!(s.without_prefix("901"), None);
    }

    #[test]
    fn to_loses_its_prefix_with_the_request_uri() {
        let text = INVITE.replace("To: <sip:1202", "To: <sip:9011#1303");
        let mut numbers = Numbers::default();
        said(&text, &[]).take_off("9011#", &NumberPlan::default(), &mut numbers);
        let to = numbers.to.map(|t| t.as_str().to_owned());
        assert_eq!(to.as_deref(), Some("13035550123"));
    }

    #[test]
    fn a_number_with_plus_has_no_prefix() {
        let text = INVITE.replace("9011%231", "+1");
        assert_eq!(said(&text, &[]).dialled, None);
        let long = INVITE.replace("9011%231", &"9".repeat(1_000));
        assert_eq!(said(&long, &[]).dialled, None);
    }
}
