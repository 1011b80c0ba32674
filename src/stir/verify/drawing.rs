//! An Identity value in its parts, for people: JOSE header, claims, form of the signature, parameters.

use serde_json::{Value, json};
use smallvec::SmallVec;

use super::signature::SignatureForm;
use crate::base::text::escape;
use crate::stir::passport::{Identity, Token, base64url};

/// Longest part that is drawn, in characters; real ones have below 2,000.
const MAX_DRAWN: usize = 8_000;

/// What is in an Identity value, whether or not it is good.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Drawing {
    /// JOSE header; text where it is no JSON.
    pub jose: Value,
    /// Claims; text where they are no JSON.
    pub claims: Value,
    /// Form of the signature.
    pub signature: String,
    /// The parameters by name; null for those that are not there.
    pub parameters: Value,
}

impl Drawing {
    /// Takes a value apart.
    pub fn of(identity: &Identity<'_>) -> Self {
        let text = |p: Option<&[u8]>| p.map(escape);
        let parameters = json!({
            "info": text(identity.info),
            "alg": text(identity.alg),
            "ppt": text(identity.ppt),
        });
        let (jose, claims, signature) = match identity.split_token() {
            Token::Full(parts) => (
                part(parts.header),
                part(parts.payload),
                signature(parts.signature),
            ),
            Token::Compact(part) => (
                Value::Null,
                Value::Null,
                format!("compact form: {}", signature(part)),
            ),
            Token::Malformed => (Value::Null, Value::Null, "no three parts".to_owned()),
        };
        Self {
            jose,
            claims,
            signature,
            parameters,
        }
    }

    /// Its lines for a terminal: nothing of it moves the cursor or changes the direction of writing.
    pub fn lines(&self) -> Vec<String> {
        let mut out = Vec::new();
        for (name, value) in [
            ("JOSE header", &self.jose),
            ("claims", &self.claims),
            ("parameters", &self.parameters),
        ] {
            out.push(format!("{name}:"));
            let text = serde_json::to_string_pretty(value).unwrap_or_default();
            let mut rest = MAX_DRAWN;
            for line in text.lines() {
                out.push(format!("  {}", harmless(line, rest)));
                rest = rest.saturating_sub(line.len());
                if rest == 0 {
                    out.push("  …".to_owned());
                    break;
                }
            }
        }
        out.push(format!("signature: {}", self.signature));
        out
    }
}

/// Without controls and without the marks that turn text around (Unicode UAX 9), which JSON does not escape.
fn harmless(line: &str, most: usize) -> String {
    let mut out = String::with_capacity(line.len().min(most));
    for c in line.chars().take(most) {
        let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || turns {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

fn part(encoded: &[u8]) -> Value {
    let mut octets = SmallVec::<[u8; 512]>::new();
    if base64url::decode(encoded, &mut octets).is_err() {
        return format!("no base64url: {}", escape(encoded)).into();
    }
    serde_json::from_slice(&octets)
        .map(cleaned)
        .unwrap_or_else(|_| escape(&octets).into())
}

/// The same value with harmless texts: JSON lets controls of eight bits pass. serde_json bounds the depth.
fn cleaned(value: Value) -> Value {
    match value {
        Value::String(text) => harmless(&text, MAX_DRAWN).into(),
        Value::Array(items) => items.into_iter().map(cleaned).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| (harmless(&name, MAX_DRAWN), cleaned(value)))
            .collect(),
        scalar => scalar,
    }
}

fn signature(encoded: &[u8]) -> String {
    let mut octets = SmallVec::<[u8; 64]>::new();
    if base64url::decode(encoded, &mut octets).is_err() {
        return "no base64url".to_owned();
    }
    let form = match SignatureForm::of(&octets) {
        SignatureForm::Fixed => "r and s",
        SignatureForm::Der => "DER",
        SignatureForm::Length => "of a length that ES256 does not have",
        SignatureForm::Range => "r or s out of range",
    };
    format!("{} octets, {form}", octets.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    fn draw(jose: &str, claims: &str, rest: &str) -> Drawing {
        let [jose, claims] = [jose, claims].map(|t| URL_SAFE_NO_PAD.encode(t));
        let value = format!("{jose}.{claims}.{rest}");
        Drawing::of(&Identity::parse_field(value.as_bytes()).next().unwrap())
    }

    #[test]
    fn a_value_is_drawn_in_its_parts() {
        let drawing = draw(
            r#"{"alg":"ES256"}"#,
            r#"{"iat":1}"#,
            "AAAA;info=<https://cert.example.net/sp.pem>;ppt=shaken",
        );
        assert_eq!(drawing.jose["alg"], "ES256");
        assert_eq!(drawing.claims["iat"], 1);
        assert_eq!(drawing.parameters["ppt"], "shaken");
        assert!(drawing.parameters["alg"].is_null());
        assert!(drawing.signature.starts_with("3 octets, of a length"));
        let lines = drawing.lines();
        assert!(
            lines.contains(&"    \"alg\": \"ES256\"".to_owned()),
            "{lines:?}"
        );
    }

    #[test]
    fn no_claim_reaches_a_terminal_unescaped() {
        let drawing = draw("[", "{\"nam\":\"a\u{202e}b\\u001b[2J\u{9b}\"}", "x");
        let text = drawing.lines().join("\n");
        assert!(!text.contains(['\u{202e}', '\u{1b}', '\u{9b}']), "{text}");
        let json = serde_json::to_string(&drawing).unwrap();
        assert!(!json.contains(['\u{202e}', '\u{1b}', '\u{9b}']), "{json}");
        assert_eq!(drawing.jose, "[");
        let long = draw("1", &format!("\"{}\"", "x".repeat(50_000)), "x");
        assert!(long.lines().join("").len() < 2 * MAX_DRAWN);
    }
}
