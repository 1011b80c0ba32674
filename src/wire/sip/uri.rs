//! Addresses in headers: `"Name" <sip:user@host:port;params?headers>;params`, `tel:` and the bare forms.
//!
//! Reads what carriers write and never refuses: what is not there is empty or `None`. Values stay octets.

use memchr::{memchr, memrchr};

/// A header value that holds an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameAddr<'a> {
    /// Display name as written, with its quotes.
    pub display: &'a [u8],
    /// The URI.
    pub uri: Uri<'a>,
    /// Header parameters, from the first `;` behind the address.
    params: &'a [u8],
}

impl<'a> NameAddr<'a> {
    /// Reads one value (of a comma-joined list: one element, see [`split_values`]).
    pub fn parse(value: &'a [u8]) -> Self {
        let value = value.trim_ascii();
        // A quoted display name may hold `<`; look for the bracket behind its closing quote.
        let name_end = if value.first() == Some(&b'"') {
            quoted_len(value)
        } else {
            0
        };
        let (quoted, rest) = value.split_at(name_end);
        if let Some(open) = memchr(b'<', rest) {
            let (name, rest) = rest.split_at(open);
            let rest = rest.get(1..).unwrap_or_default();
            let close = memchr(b'>', rest).unwrap_or(rest.len());
            let (uri, after) = rest.split_at(close);
            return Self {
                display: if quoted.is_empty() {
                    name.trim_ascii()
                } else {
                    quoted
                },
                uri: Uri::parse(uri),
                params: after.get(1..).unwrap_or_default(),
            };
        }
        // Bare form: parameters belong to the header, not to the URI (RFC 3261 §20), but a `;` before `@`
        // is part of the user (RFC 4904).
        let from = memchr(b'@', rest).unwrap_or(0);
        let semi = rest
            .get(from..)
            .and_then(|r| memchr(b';', r))
            .map_or(rest.len(), |i| from + i);
        let (uri, params) = rest.split_at(semi);
        Self {
            display: quoted,
            uri: Uri::parse(uri),
            params,
        }
    }

    /// A header parameter, for instance `tag`.
    pub fn param(&self, name: &str) -> Option<&'a [u8]> {
        param_of(self.params, name)
    }
}

/// A URI as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uri<'a> {
    /// All of it.
    pub raw: &'a [u8],
    /// Scheme as written, without colon; empty where there is none.
    pub scheme: &'a [u8],
    /// User part with its parameters and without password; the whole number of a `tel:` URI with its parameters.
    pub user: &'a [u8],
    /// Host and port as written.
    pub host_port: &'a [u8],
    /// URI parameters from the first `;`.
    params: &'a [u8],
}

impl<'a> Uri<'a> {
    /// Reads a URI.
    pub fn parse(raw: &'a [u8]) -> Self {
        let raw = raw.trim_ascii();
        let raw = raw.strip_prefix(b"<").unwrap_or(raw);
        let raw = raw.strip_suffix(b">").unwrap_or(raw);
        let (scheme, rest) = match memchr(b':', raw) {
            Some(i) if i > 0 && raw.get(..i).is_some_and(is_scheme) => {
                let (s, r) = raw.split_at(i);
                (s, r.get(1..).unwrap_or_default())
            }
            _ => raw.split_at(0),
        };
        let hierarchical =
            scheme.eq_ignore_ascii_case(b"sip") || scheme.eq_ignore_ascii_case(b"sips");
        if !hierarchical {
            // tel:+1202…;phone-context=…, urn:service:sos
            let (_, params) = rest.split_at(memchr(b';', rest).unwrap_or(rest.len()));
            return Self {
                raw,
                scheme,
                user: rest,
                host_port: b"",
                params,
            };
        }
        // The last `@` before the headers: passwords and user parameters may hold odd things.
        let head_end = memchr(b'?', rest).unwrap_or(rest.len());
        let (addr, _headers) = rest.split_at(head_end);
        let (user, host) = match memrchr(b'@', addr) {
            Some(i) => {
                let (u, h) = addr.split_at(i);
                (u, h.get(1..).unwrap_or_default())
            }
            None => addr.split_at(0),
        };
        // `user:password` is obsolete, but a password must not become part of a number.
        let user = memchr(b':', user).map_or(user, |i| user.split_at(i).0);
        let (host_port, params) = host.split_at(memchr(b';', host).unwrap_or(host.len()));
        Self {
            raw,
            scheme,
            user,
            host_port,
            params,
        }
    }

    /// Whether this is a `tel:` URI.
    pub fn is_tel(&self) -> bool {
        self.scheme.eq_ignore_ascii_case(b"tel")
    }

    /// Where a telephone number stands, if it is one: the user part, but of no other scheme than those that name subscribers. What
    /// `isbn:2983792873` names never called anybody.
    pub fn subscriber(&self) -> &'a [u8] {
        let named = [&b""[..], b"tel", b"sip", b"sips"];
        match named.iter().any(|s| self.scheme.eq_ignore_ascii_case(s)) {
            true => self.user,
            false => b"",
        }
    }

    /// Host without port and without the brackets of an IPv6 literal.
    pub fn host(&self) -> &'a [u8] {
        if let Some(rest) = self.host_port.strip_prefix(b"[") {
            return rest.split_at(memchr(b']', rest).unwrap_or(rest.len())).0;
        }
        let end = memrchr(b':', self.host_port).unwrap_or(self.host_port.len());
        self.host_port.split_at(end).0
    }

    /// A parameter, looked for in the user part first (RFC 4904 puts `tgrp` there), then behind the host.
    pub fn param(&self, name: &str) -> Option<&'a [u8]> {
        let in_user = memchr(b';', self.user).and_then(|i| param_of(self.user.split_at(i).1, name));
        in_user.or_else(|| param_of(self.params, name))
    }
}

fn is_scheme(text: &[u8]) -> bool {
    text.first().is_some_and(u8::is_ascii_alphabetic)
        && text
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b))
}

/// Finds `;name=value` (or `;name` alone, which gives an empty value) in a parameter list. Names in any case; quotes around a value are taken off.
pub fn param_of<'a>(params: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut rest = params;
    loop {
        let start = memchr(b';', rest)? + 1;
        rest = rest.get(start..)?;
        let end = param_end(rest);
        let (param, tail) = rest.split_at(end);
        rest = tail;
        let (key, value) = match memchr(b'=', param) {
            Some(i) => {
                let (k, v) = param.split_at(i);
                (k, v.get(1..).unwrap_or_default())
            }
            None => param.split_at(param.len()),
        };
        if key.trim_ascii().eq_ignore_ascii_case(name.as_bytes()) {
            let value = value.trim_ascii();
            let bare = value
                .strip_prefix(b"\"")
                .and_then(|v| v.strip_suffix(b"\""));
            return Some(bare.unwrap_or(value));
        }
    }
}

/// Octets up to the `;` or `,` that ends a parameter, past quoted text.
fn param_end(text: &[u8]) -> usize {
    let mut i = 0;
    while let Some(&b) = text.get(i) {
        match b {
            b';' | b',' => return i,
            b'"' => i += text.get(i..).map_or(1, quoted_len).max(1),
            _ => i += 1,
        }
    }
    text.len()
}

/// Length of the quoted string at the front, with both quotes; all of the text where it never closes.
pub(crate) fn quoted_len(text: &[u8]) -> usize {
    let mut i = 1;
    while let Some(&b) = text.get(i) {
        match b {
            b'\\' => i += 2,
            b'"' => return i + 1,
            _ => i += 1,
        }
    }
    text.len()
}

/// Splits a comma-joined header value; commas inside quotes and angle brackets don't count.
pub fn split_values(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut i = 0;
        let mut angle = false;
        while let Some(&b) = text.get(i) {
            match b {
                b'"' if !angle => {
                    i += text.get(i..).map_or(1, quoted_len).max(1);
                    continue;
                }
                b'<' => angle = true,
                b'>' => angle = false,
                b',' if !angle => {
                    rest = text.get(i + 1..);
                    return text.get(..i).map(<[u8]>::trim_ascii);
                }
                _ => {}
            }
            i += 1;
        }
        rest = None;
        Some(text.trim_ascii())
    })
    .filter(|v| !v.is_empty())
}
