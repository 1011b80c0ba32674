//! Who sent a mail, and what proves it: the word of the operator's own mail server (RFC 8601), which is the first `Authentication-Results` that bears its name.
//!
//! The server must take out what others write in its name before it adds its own, as RFC 8601 §5 asks; docs/ADAPTERS.md says so. From is what counts: DMARC must have passed
//! for exactly its domain, or DKIM for it or a domain above it. Anything that can be read in two ways proves nothing.

use mail_parser::{HeaderName, HeaderValue, Message};

/// Most octets of one `Authentication-Results` that are read.
const MAX_RESULTS: usize = 16 * 1024;

/// Who may ask, and what proves it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct SenderSettings {
    /// Addresses, or domains with `@` before them.
    pub senders: Vec<Box<str>>,
    /// The name of the operator's mail server in its `Authentication-Results`.
    pub authserv_id: Option<Box<str>>,
}

/// What proves a sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// DKIM passed for a domain of the sender.
    Dkim,
    /// DMARC passed.
    Dmarc,
    /// Nothing, and why.
    None(String),
}

impl SenderSettings {
    /// Judges a mail.
    ///
    /// # Errors
    ///
    /// Its sender may not ask anything, or nobody can say who it is.
    pub fn judge(&self, mail: &Message<'_>) -> Result<Proof, String> {
        let from = from(mail)?;
        let Some((_, domain)) = from.rsplit_once('@') else {
            return Err("From has no domain".to_owned());
        };
        let listed = |s: &str| match s.strip_prefix('@') {
            Some(whole) => domain.eq_ignore_ascii_case(whole),
            None => from.eq_ignore_ascii_case(s),
        };
        if !self.senders.iter().any(|s| listed(s)) {
            return Err(format!("{from} is not among senders"));
        }
        let Some(us) = &self.authserv_id else {
            return Ok(Proof::None("authserv_id is not configured".to_owned()));
        };
        let results = mail
            .headers_raw()
            .filter(|(name, _)| name.eq_ignore_ascii_case("Authentication-Results"))
            .find_map(|(_, value)| Results::parse(value).filter(|r| r.by.eq_ignore_ascii_case(us)));
        let Some(results) = results else {
            return Ok(Proof::None(format!(
                "no Authentication-Results of {us} say who sent it"
            )));
        };
        Ok(results.prove(domain))
    }
}

/// The one address of the one From.
fn from(mail: &Message<'_>) -> Result<String, String> {
    let mut fields = mail.headers().iter().filter(|h| h.name == HeaderName::From);
    let (Some(field), None) = (fields.next(), fields.next()) else {
        return Err("there is not exactly one From".to_owned());
    };
    let HeaderValue::Address(address) = &field.value else {
        return Err("From can't be read".to_owned());
    };
    let mut all = address.iter();
    match (all.next().and_then(|a| a.address()), all.next()) {
        (Some(one), None) => Ok(one.trim().to_owned()),
        _ => Err("From has not exactly one address".to_owned()),
    }
}

/// Name and value.
type Properties = Vec<(String, String)>;

/// What one server says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Results {
    by: String,
    /// Method, result, properties.
    each: Vec<(String, String, Properties)>,
}

impl Results {
    /// Reads the value of a header; `None` where it can't be.
    fn parse(value: &str) -> Option<Self> {
        if value.len() > MAX_RESULTS {
            return None;
        }
        let plain = without_comments(value)?;
        let mut parts = plain.iter();
        let by = parts
            .next()?
            .split_ascii_whitespace()
            .next()?
            .trim_matches('"');
        let mut each = Vec::new();
        for part in parts {
            let mut words = words(part)?.into_iter();
            let Some((method, result)) = words.next() else {
                continue;
            };
            // `none` alone says nothing.
            if result.is_empty() {
                continue;
            }
            let method = method.split('/').next().unwrap_or_default().to_owned();
            each.push((
                method.to_ascii_lowercase(),
                result.to_ascii_lowercase(),
                words.collect(),
            ));
        }
        Some(Self {
            by: by.to_owned(),
            each,
        })
    }

    fn prove(&self, domain: &str) -> Proof {
        let property = |properties: &[(String, String)], name: &str| {
            let mut all = properties
                .iter()
                .filter(|(n, _)| n.eq_ignore_ascii_case(name));
            match (all.next(), all.next()) {
                (Some((_, value)), None) => Some(value.clone()),
                _ => None,
            }
        };
        let of = |name: &'static str| self.each.iter().filter(move |(m, ..)| m == name);
        // A server says of DMARC one thing. Two are somebody else's.
        let mut dmarc = of("dmarc");
        match (dmarc.next(), dmarc.next()) {
            (Some((_, result, properties)), None) if result == "pass" => {
                let from = property(properties, "header.from");
                if from.is_some_and(|f| f.eq_ignore_ascii_case(domain)) {
                    return Proof::Dmarc;
                }
            }
            (Some((_, result, _)), None) if result == "fail" => {
                return Proof::None(format!("DMARC failed for {domain}"));
            }
            (Some(_), Some(_)) => return Proof::None("DMARC has two results".to_owned()),
            _ => {}
        }
        let signed = of("dkim").any(|(_, result, properties)| {
            let by = property(properties, "header.d").or_else(|| {
                let identity = property(properties, "header.i")?;
                Some(identity.rsplit_once('@')?.1.to_owned())
            });
            result == "pass" && by.is_some_and(|d| is_at_or_above(&d, domain))
        });
        match signed {
            true => Proof::Dkim,
            false => Proof::None(format!("neither DKIM nor DMARC passed for {domain}")),
        }
    }
}

/// Whether a domain is the other one, or one above it. One without a dot is nobody's.
fn is_at_or_above(upper: &str, domain: &str) -> bool {
    let (upper, domain) = (upper.to_ascii_lowercase(), domain.to_ascii_lowercase());
    upper.contains('.') && (upper == domain || domain.ends_with(&format!(".{upper}")))
}

/// Its parts between semicolons, comments left out and quoted texts kept whole. `None` where a comment or a quoted text does not end.
fn without_comments(value: &str) -> Option<Vec<String>> {
    let mut parts = vec![String::new()];
    let (mut depth, mut quoted, mut escaped) = (0u32, false, false);
    for c in value.chars() {
        let part = parts.last_mut()?;
        if escaped {
            escaped = false;
            if depth == 0 {
                part.push(c);
            }
            continue;
        }
        match c {
            '\\' if quoted || depth > 0 => escaped = true,
            '"' if depth == 0 => {
                quoted = !quoted;
                part.push(c);
            }
            '(' if !quoted => depth += 1,
            ')' if !quoted && depth > 0 => {
                depth -= 1;
                part.push(' ');
            }
            _ if depth > 0 => {}
            ';' if !quoted => parts.push(String::new()),
            c => part.push(c),
        }
    }
    (depth == 0 && !quoted).then_some(parts)
}

/// `name=value` pairs; blanks around the sign are allowed, values may be quoted. `None` where it can be read in two ways.
fn words(part: &str) -> Option<Vec<(String, String)>> {
    let mut out: Vec<(String, String)> = Vec::new();
    let mut rest = part.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || c.is_whitespace());
        let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
        if name.is_empty() || name.contains('"') {
            return None;
        }
        let after = after.trim_start();
        let Some(after) = after.strip_prefix('=') else {
            out.push((name.to_owned(), String::new()));
            rest = after;
            continue;
        };
        let after = after.trim_start();
        let (value, left) = match after.strip_prefix('"') {
            Some(inner) => inner.split_once('"')?,
            None => {
                let end = after.find(char::is_whitespace).unwrap_or(after.len());
                after.split_at(end)
            }
        };
        if value.contains('"') || left.starts_with(|c: char| !c.is_whitespace()) {
            return None;
        }
        out.push((name.to_owned(), value.to_owned()));
        rest = left.trim_start();
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn judge(headers: &str) -> Result<Proof, String> {
        let settings = SenderSettings {
            senders: vec!["trace@portal.example".into(), "@desk.portal.example".into()],
            authserv_id: Some("mx.example.net".into()),
        };
        let mail = format!("{headers}\r\nSubject: x\r\n\r\nbody\r\n");
        let mail = mail_parser::MessageParser::default()
            .parse(mail.as_bytes())
            .unwrap();
        settings.judge(&mail)
    }

    const FROM: &str = "From: Trace <trace@portal.example>";

    fn proven(results: &str) -> bool {
        let judged = judge(&format!("Authentication-Results: {results}\r\n{FROM}")).unwrap();
        !matches!(judged, Proof::None(_))
    }

    #[test]
    fn dkim_or_dmarc_for_the_domain_of_from_prove_it() {
        for good in [
            "mx.example.net; dkim=pass header.d=portal.example",
            "MX.example.net 1;\r\n\tspf=fail smtp.mailfrom=x.example;\r\n\tdkim=pass (2048-bit key; unprotected) header.i=@portal.example header.s=s1",
            "mx.example.net; dmarc=pass (p=reject) header.from=portal.example; dkim=fail header.d=portal.example",
            "mx.example.net; dkim=fail header.d=x.example; dkim = pass reason=\"good; very\" header.d=\"portal.example\"",
        ] {
            assert!(proven(good), "{good}");
        }
    }

    #[test]
    fn everything_else_proves_nothing() {
        for bad in [
            "mx.example.net; none",
            "mx.other.example; dkim=pass header.d=portal.example",
            "mx.example.net; dkim=fail header.d=portal.example",
            "mx.example.net; dkim=pass header.d=evil.example",
            "mx.example.net; dkim=pass header.d=example",
            "mx.example.net; dkim=pass header.d=tal.example",
            "mx.example.net; dkim=pass header.d=sub.portal.example",
            "mx.example.net; dkim=pass header.d=portal.example header.d=evil.example",
            "mx.example.net; spf=pass smtp.mailfrom=portal.example",
            "mx.example.net; dmarc=pass header.from=evil.example",
            "mx.example.net; dmarc=fail header.from=portal.example; dkim=pass header.d=portal.example",
            "mx.example.net; dmarc=pass header.from=portal.example; dmarc=fail header.from=portal.example",
            "mx.example.net; x=(dkim=pass header.d=portal.example)",
            "mx.example.net; reason=\"; dkim=pass header.d=portal.example\"",
            "mx.example.net; dkim=pass header.d=portal.example (never ends",
        ] {
            assert!(!proven(bad), "{bad}");
        }
    }

    /// The first of our server counts: a later one stood there when the mail came in.
    #[test]
    fn what_a_stranger_wrote_in_our_servers_name_below_does_not_count() {
        let ours = "Authentication-Results: mx.example.net; dkim=fail header.d=portal.example";
        let forged = "Authentication-Results: mx.example.net; dkim=pass header.d=portal.example";
        let judged = judge(&format!("{ours}\r\n{forged}\r\n{FROM}")).unwrap();
        assert!(matches!(judged, Proof::None(_)), "{judged:?}");
    }

    #[test]
    fn who_is_not_on_the_list_or_has_two_names_is_refused() {
        let results = "Authentication-Results: mx.example.net; dkim=pass header.d=portal.example";
        for from in [
            "From: x@portal.example",
            "From: trace@portal.example.evil.example",
            "From: trace@portal.example\r\nFrom: x@evil.example",
            "From: trace@portal.example, x@evil.example",
            "From: \"trace@portal.example\" <x@evil.example>",
            "X-From: trace@portal.example",
        ] {
            assert!(judge(&format!("{results}\r\n{from}")).is_err(), "{from}");
        }
        let desk = judge(&format!("{results}\r\nFrom: anybody@desk.portal.example")).unwrap();
        assert_eq!(desk, Proof::Dkim);
    }

    proptest! {
        #[test]
        fn never_panics_and_proves_nothing_without_pass(text in "[ -~]{0,120}") {
            let silent = !text.to_ascii_lowercase().contains("pass");
            if let Some(results) = Results::parse(&text) && silent {
                prop_assert!(matches!(results.prove("portal.example"), Proof::None(_)));
            }
        }
    }
}
