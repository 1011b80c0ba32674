//! The grammar of an Identity header field (RFC 8224 §4, erratum 6499):
//! `header.payload.signature ;info=<absoluteURI> [;alg=token] [;ppt=token] [;generic-param]`.
//!
//! Folding and blanks are fine around `;` and `=`, and nowhere in the token. Parameter names are taken in any case,
//! values in quotes or bare. A URL in angle brackets may hold `;`, `=` and `,`.

use crate::wire::sip::uri::quoted_len;
use memchr::memchr;

/// One Identity value, taken apart. All slices are as received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity<'a> {
    /// The token, from the front to the first `;`.
    pub token: &'a [u8],
    /// `info` without its angle brackets.
    pub info: Option<&'a [u8]>,
    /// Whether `info` stood in angle brackets with nothing behind them.
    pub info_bracketed: bool,
    /// `alg` without quotes.
    pub alg: Option<&'a [u8]>,
    /// `ppt` without quotes.
    pub ppt: Option<&'a [u8]>,
    /// `info`, `alg` or `ppt` stands twice (rule G4).
    pub duplicate: bool,
    /// A comma joins this value with another (rule H3).
    pub joined: bool,
}

/// A token split on its dots (rules G1 and G2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// Full form.
    Full(Parts<'a>),
    /// Compact form, `..signature`: header and payload have to be rebuilt from the message. Holds the signature, still encoded.
    Compact(&'a [u8]),
    /// Not three parts.
    Malformed,
}

/// The three parts of a full token, still encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// Header, dot and payload: what is signed (rule S2).
    pub signing_input: &'a [u8],
    /// JOSE header.
    pub header: &'a [u8],
    /// Claims.
    pub payload: &'a [u8],
    /// Signature.
    pub signature: &'a [u8],
}

impl<'a> Identity<'a> {
    /// The values of one header field: one, or several where a comma follows a complete value (rule H3).
    pub fn parse_field(field: &'a [u8]) -> impl Iterator<Item = Self> {
        let mut rest = Some(field);
        let mut joined = false;
        std::iter::from_fn(move || {
            let (mut value, tail) = parse_value(rest?);
            joined |= tail.is_some();
            value.joined = joined;
            // A comma with nothing behind it joins nothing.
            rest = tail.filter(|t| !trim(t).is_empty());
            Some(value)
        })
    }

    /// Splits the token on its dots.
    pub fn split_token(&self) -> Token<'a> {
        let token = self.token;
        let mut dots = memchr::memchr_iter(b'.', token);
        let (Some(a), Some(b), None) = (dots.next(), dots.next(), dots.next()) else {
            return Token::Malformed;
        };
        let (signing_input, signature) = (token.get(..b), token.get(b + 1..));
        let (header, payload) = (token.get(..a), token.get(a + 1..b));
        match (signing_input, header, payload, signature) {
            (Some(_), Some([]), Some([]), Some(signature @ [_, ..])) => Token::Compact(signature),
            (Some(signing_input), Some(header), Some(payload), Some(signature)) => {
                Token::Full(Parts {
                    signing_input,
                    header,
                    payload,
                    signature,
                })
            }
            _ => Token::Malformed,
        }
    }

    /// Whether `info` is there as the grammar wants it: an absolute URI in angle brackets (rule G3).
    pub fn has_absolute_info(&self) -> bool {
        self.info_bracketed && self.info.is_some_and(is_absolute_uri)
    }
}

/// Reads one value and gives what follows the comma behind it.
fn parse_value(text: &[u8]) -> (Identity<'_>, Option<&[u8]>) {
    let (token, mut rest) = text.split_at(memchr(b';', text).unwrap_or(text.len()));
    let mut out = Identity {
        token: trim(token),
        ..Identity::default()
    };
    loop {
        match rest {
            [b';', tail @ ..] => rest = parse_param(tail, &mut out),
            [b',', tail @ ..] => return (out, Some(tail)),
            _ => return (out, None),
        }
    }
}

/// Reads one parameter behind its `;`, and leaves what starts with the next `;` or `,`.
fn parse_param<'a>(text: &'a [u8], out: &mut Identity<'a>) -> &'a [u8] {
    let name_end = text
        .iter()
        .position(|b| b"=;,".contains(b))
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(name_end);
    let name = trim(name);
    let Some(rest) = rest.strip_prefix(b"=") else {
        return rest;
    };
    let rest = trim_start(rest);
    let (value, form, rest) = match rest {
        [b'<', tail @ ..] => match memchr(b'>', tail) {
            Some(end) => {
                let (value, tail) = tail.split_at(end);
                (value, Form::Bracketed, tail.get(1..).unwrap_or_default())
            }
            // Unclosed: nothing behind it can be told from the URL.
            None => (tail, Form::Bare, &[][..]),
        },
        [b'"', ..] => {
            let (value, tail) = rest.split_at(quoted_len(rest));
            let value = value.strip_prefix(b"\"").unwrap_or(value);
            (
                value.strip_suffix(b"\"").unwrap_or(value),
                Form::Quoted,
                tail,
            )
        }
        _ => {
            let (value, tail) = rest.split_at(param_end(rest));
            (trim(value), Form::Bare, tail)
        }
    };
    let (junk, rest) = rest.split_at(param_end(rest));
    let clean = trim(junk).is_empty();
    let slot = if name.eq_ignore_ascii_case(b"info") {
        out.info_bracketed = matches!(form, Form::Bracketed) && clean;
        &mut out.info
    } else if name.eq_ignore_ascii_case(b"alg") {
        &mut out.alg
    } else if name.eq_ignore_ascii_case(b"ppt") {
        &mut out.ppt
    } else {
        return rest;
    };
    out.duplicate |= slot.replace(value).is_some();
    rest
}

enum Form {
    Bracketed,
    Quoted,
    Bare,
}

fn param_end(text: &[u8]) -> usize {
    memchr::memchr2(b';', b',', text).unwrap_or(text.len())
}

/// `scheme:rest` without blanks or control characters.
fn is_absolute_uri(text: &[u8]) -> bool {
    let Some(colon) = memchr(b':', text) else {
        return false;
    };
    let (scheme, rest) = text.split_at(colon);
    scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b))
        && rest.len() > 1
        && text.iter().all(u8::is_ascii_graphic)
}

/// RFC 3261 LWS, line ends of folding included.
fn is_blank(b: &u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\r' | b'\n')
}

fn trim_start(text: &[u8]) -> &[u8] {
    let n = text.iter().take_while(|b| is_blank(b)).count();
    text.get(n..).unwrap_or_default()
}

fn trim(text: &[u8]) -> &[u8] {
    let text = trim_start(text);
    let n = text.iter().rev().take_while(|b| is_blank(b)).count();
    text.get(..text.len() - n).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(field: &[u8]) -> Identity<'_> {
        let mut values = Identity::parse_field(field);
        let value = values.next().expect("a value");
        assert_eq!(values.next(), None);
        value
    }

    const URL: &[u8] = b"https://cert.example.net/sp.pem";

    #[test]
    fn token_and_parameters() {
        let id =
            one(b"h.p.s;info=<https://cert.example.net/sp.pem>;alg=ES256;ppt=shaken;other=1;flag");
        assert_eq!(id.token, b"h.p.s");
        assert_eq!(id.info, Some(URL));
        assert!(id.has_absolute_info());
        assert_eq!(
            (id.alg, id.ppt),
            (Some(&b"ES256"[..]), Some(&b"shaken"[..]))
        );
        assert!(!id.duplicate && !id.joined);
    }

    #[test]
    fn h4_folding_and_blanks_around_semicolon_and_equals() {
        let id = one(
            b" h.p.s\r\n ; info =\r\n\t<https://cert.example.net/sp.pem> ; PPT = \"shaken\" \r\n ;alg\t=ES256",
        );
        assert_eq!(id.token, b"h.p.s");
        assert_eq!(id.info, Some(URL));
        assert!(id.has_absolute_info());
        assert_eq!(
            (id.alg, id.ppt),
            (Some(&b"ES256"[..]), Some(&b"shaken"[..]))
        );
    }

    #[test]
    fn g4_a_url_may_hold_equals_semicolon_and_comma() {
        let id = one(b"h.p.s;info=<https://cert.example.net/a;b=c,d>;ppt=shaken");
        assert_eq!(id.info, Some(&b"https://cert.example.net/a;b=c,d"[..]));
        assert_eq!(id.ppt, Some(&b"shaken"[..]));
    }

    #[test]
    fn g4_duplicates_are_seen_in_any_case() {
        assert!(one(b"h.p.s;info=<a:b>;INFO=<a:b>").duplicate);
        assert!(one(b"h.p.s;info=<a:b>;ppt=shaken;ppt=shaken").duplicate);
        assert!(one(b"h.p.s;info=<a:b>;alg=ES256;Alg=ES256").duplicate);
        assert!(!one(b"h.p.s;info=<a:b>;x=1;x=2").duplicate);
    }

    #[test]
    fn g3_info_needs_brackets_and_a_scheme() {
        for bad in [
            &b"h.p.s"[..],
            b"h.p.s;info",
            b"h.p.s;info=",
            b"h.p.s;info=https://cert.example.net/sp.pem",
            b"h.p.s;info=\"https://cert.example.net/sp.pem\"",
            b"h.p.s;info=<cert.example.net/sp.pem>",
            b"h.p.s;info=<>",
            b"h.p.s;info=<https://cert.example.net/sp.pem",
            b"h.p.s;info=<https://cert.example.net/sp.pem>x",
            b"h.p.s;info=<https://cert.example.net/s p.pem>",
        ] {
            assert!(!one(bad).has_absolute_info(), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn g9_a_value_without_semicolon_is_a_token_alone() {
        assert_eq!(one(b"garbage").token, b"garbage");
        assert_eq!(one(b"").token, b"");
    }

    #[test]
    fn h3_a_comma_behind_a_complete_value_starts_another() {
        let ids: Vec<_> =
            Identity::parse_field(b"a.b.c;info=<x:1>;ppt=div, d.e.f;info=<x:2,3>;ppt=\"sha,ken\"")
                .collect();
        assert_eq!(ids.len(), 2);
        assert_eq!(ids[0].token, b"a.b.c");
        assert_eq!(ids[1].token, b"d.e.f");
        assert_eq!(ids[1].info, Some(&b"x:2,3"[..]));
        assert_eq!(ids[1].ppt, Some(&b"sha,ken"[..]));
        assert!(ids.iter().all(|i| i.joined));
        assert_eq!(Identity::parse_field(b"a.b.c;info=<x:1>, ").count(), 1);
    }

    #[test]
    fn g1_g2_three_parts_or_compact() {
        assert!(
            matches!(one(b"h.p.s").split_token(), Token::Full(p) if p.signing_input == b"h.p" && p.signature == b"s")
        );
        assert_eq!(one(b"..s").split_token(), Token::Compact(b"s"));
        for bad in [&b"h.p"[..], b"h.p.s.t", b"hps", b""] {
            assert_eq!(one(bad).split_token(), Token::Malformed);
        }
    }

    proptest! {
        #[test]
        fn hostile_fields_end(field in proptest::collection::vec(
            prop_oneof![Just(b';'), Just(b','), Just(b'='), Just(b'<'), Just(b'>'), Just(b'"'), Just(b'\\'), Just(b'.'), any::<u8>()], 0..200)) {
            let mut n = 0;
            for id in Identity::parse_field(&field) {
                id.split_token();
                id.has_absolute_info();
                n += 1;
            }
            prop_assert!(n >= 1 && n <= field.len() + 1);
        }

        #[test]
        fn what_is_written_is_read(url in "[a-z;=,?/]{1,40}", ppt in "[a-z-]{1,8}") {
            let field = format!("h.p.s;info=<https:{url}>;ppt={ppt}");
            let id = one(field.as_bytes());
            let info = format!("https:{url}");
            prop_assert_eq!(id.info, Some(info.as_bytes()));
            prop_assert_eq!(id.ppt, Some(ppt.as_bytes()));
        }
    }
}
