//! Claims beyond those of SHAKEN: `div` and `opt` (RFC 8946), `rph` and `sph` (RFC 8443, RFC 9027), `rcd` and `rcdi`
//! (RFC 9795), `mky` (RFC 8225 §5.2.2).
//!
//! The payload is read a second time, into a tree: ordinary calls never come here, and [`super::Claims`] has refused duplicate names
//! and deep nesting before.

use serde_json::{Map, Value};

use super::{Claim, Claims, Orig};

/// Most priorities of one `rph` that are looked at. Real ones have one or two.
const MAX_PRIORITIES: usize = 16;

/// Most digests of one `rcdi` that are looked at; [`super::json::MAX_MEMBERS`] bounds them as well.
const MAX_DIGESTS: usize = 64;

/// A payload as a tree.
#[derive(Clone, Debug)]
pub struct Extension(Map<String, Value>);

/// A digest of `rcdi`.
#[derive(Clone, Copy, Debug)]
pub struct Digest<'a> {
    /// JSON pointer below `rcd`, as written.
    pub pointer: &'a str,
    /// Algorithm and digest, as written; `None` where it is no string.
    pub value: Option<&'a str>,
}

impl Extension {
    /// Reads a decoded payload; `None` where [`Claims::parse`] fails.
    pub fn read(payload: &[u8]) -> Option<Self> {
        Claims::parse(payload).ok()?;
        match serde_json::from_slice(payload) {
            Ok(Value::Object(members)) => Some(Self(members)),
            _ => None,
        }
    }

    /// Who sent the call on: `tn` or `uri`, beside `hi` and `reason`.
    pub fn div(&self) -> Orig<'_> {
        let Some(div) = self.0.get("div") else {
            return Orig::Absent;
        };
        match (div.get("tn"), div.get("uri")) {
            (Some(Value::String(tn)), None) => Orig::Tn(tn.as_str().into()),
            (None, Some(Value::String(uri))) => Orig::Uri(uri.as_str().into()),
            _ => Orig::Malformed,
        }
    }

    /// The original PASSporT inside a `div-o`.
    pub fn original(&self) -> Option<&str> {
        self.0.get("opt")?.as_str()
    }

    /// The priorities signed; `None` where `rph` is no object with an array of strings in `auth`, or holds none.
    pub fn priorities(&self) -> Option<Vec<&str>> {
        let auth = self.0.get("rph")?.get("auth")?.as_array()?;
        (1..=MAX_PRIORITIES)
            .contains(&auth.len())
            .then(|| auth.iter().map(Value::as_str).collect())?
    }

    /// `sph`.
    pub fn emergency_priority(&self) -> Claim<'_> {
        match self.0.get("sph") {
            None => Claim::Absent,
            Some(Value::String(text)) => Claim::Text(text.as_str().into()),
            Some(_) => Claim::Other,
        }
    }

    /// `rcd`.
    pub fn rich_call_data(&self) -> Option<&Value> {
        self.0.get("rcd")
    }

    /// `rcdi`; `None` where it is there and no object, or too long.
    pub fn digests(&self) -> Option<Vec<Digest<'_>>> {
        let Some(rcdi) = self.0.get("rcdi") else {
            return Some(Vec::new());
        };
        let members = rcdi.as_object().filter(|m| m.len() <= MAX_DIGESTS)?;
        let digest = |(pointer, value)| Digest {
            pointer: String::as_str(pointer),
            value: Value::as_str(value),
        };
        Some(members.iter().map(digest).collect())
    }

    /// `mky` as pairs of algorithm and digest; `None` where it is not an array of such objects.
    pub fn media_keys(&self) -> Option<Vec<(&str, &str)>> {
        self.0
            .get("mky")?
            .as_array()?
            .iter()
            .map(media_key)
            .collect()
    }
}

fn media_key(key: &Value) -> Option<(&str, &str)> {
    Some((key.get("alg")?.as_str()?, key.get("dig")?.as_str()?))
}

/// The one way to write a value: members in lexicographic order at every level, no blanks (RFC 8225 §9).
pub fn canonical(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

/// Depth is bounded by what was read ([`super::json::MAX_DEPTH`]).
fn write(value: &Value, out: &mut String) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            out.push('{');
            for (i, (name, value)) in members.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                out.push_str(&Value::String(name.clone()).to_string());
                out.push(':');
                write(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Extension {
        Extension::read(json.as_bytes()).unwrap()
    }

    #[test]
    fn v1_div_names_one_number_or_uri() {
        let div = |json: &str| read(&format!("{{\"div\":{json}}}"));
        assert_eq!(
            div(r#"{"tn":"12025550142","hi":"1","reason":"no-answer"}"#).div(),
            Orig::Tn("12025550142".into())
        );
        assert_eq!(
            div(r#"{"uri":"sip:a@example.net"}"#).div(),
            Orig::Uri("sip:a@example.net".into())
        );
        for bad in [
            "{}",
            "\"1\"",
            r#"{"tn":["1"]}"#,
            r#"{"tn":"1","uri":"a:b"}"#,
        ] {
            assert_eq!(div(bad).div(), Orig::Malformed, "{bad}");
        }
        assert_eq!(read("{}").div(), Orig::Absent);
    }

    /// The claims of the examples in RFC 8946 and RFC 8588, with the numbers that those print.
    #[test]
    fn v1_p6_the_examples_of_the_rfcs_are_read() {
        let div = r#"{"dest":{"tn":["12155551214"]},"div":{"tn":"121555551213"},"iat":1443208345,"orig":{"tn":"12155551212"}}"#;
        assert_eq!(read(div).div(), Orig::Tn("121555551213".into()));
        let shaken = r#"{"attest":"A","dest":{"tn":["12155551213"]},"iat":1443208345,"orig":{"tn":"12155551212"},"origid":"123e4567-e89b-12d3-a456-426655440000"}"#;
        let claims = Claims::parse(shaken.as_bytes()).unwrap();
        assert_eq!(claims.attest.text(), Some("A"));
        assert_eq!(claims.orig, Orig::Tn("12155551212".into()));
        assert_eq!(read(shaken).div(), Orig::Absent);
    }

    #[test]
    fn j7_the_canonical_form_sorts_at_every_level() {
        let value: Value =
            serde_json::from_str(r#"{ "b" : [ {"d":1, "c":"\u00e9\n"} ], "a": null }"#).unwrap();
        assert_eq!(
            canonical(&value),
            "{\"a\":null,\"b\":[{\"c\":\"é\\n\",\"d\":1}]}"
        );
    }

    #[test]
    fn what_claims_refuse_is_refused_here() {
        assert!(Extension::read(br#"{"div":{"tn":"1","tn":"2"}}"#).is_none());
        assert!(Extension::read(b"[]").is_none());
    }
}
