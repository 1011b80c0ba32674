//! What a certificate allows its holder to claim: JWTClaimConstraints (RFC 8226 §8) and EnhancedJWTClaimConstraints (RFC 9118).
//!
//! In comes the extension's value, later the payload of a token as received; out comes what the token claims against it. Both
//! modules have EXPLICIT tags. The extensions are not critical, so nothing but looking for them gives them effect.

use std::fmt;

use serde_json::Value;

use super::der;
use crate::base::text::escape;
use crate::stir::passport::json;

/// Most claim names in one list. A PASSporT itself may have 64 claims ([`json::MAX_MEMBERS`]).
const MAX_CLAIMS: usize = 64;

/// Most values of one claim. Ours: a list of the numbers that a delegate may show would stand in its TNAuthList.
const MAX_VALUES: usize = 1_024;

/// Claims that every PASSporT has (RFC 8225 §5): to exclude one would allow no token at all.
const BASELINE: [&str; 3] = ["iat", "orig", "dest"];

/// Why constraints don't hold where a certificate has both kinds.
pub(super) const BOTH: &str =
    "JWTClaimConstraints and EnhancedJWTClaimConstraints in one certificate";

/// Constraints of one certificate; at least one of the lists has an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimConstraints {
    /// Claims that must be there.
    pub must_include: Vec<Box<str>>,
    /// Claims whose values are limited where they are there.
    pub permitted: Vec<PermittedValues>,
    /// Claims that must not be there.
    pub must_exclude: Vec<Box<str>>,
}

/// Which values a claim may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermittedValues {
    /// Its name.
    pub claim: Box<str>,
    /// The values: a string as it is, any other value as JSON.
    pub values: Vec<Box<str>>,
}

/// How a token's claims go beyond a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A claim is missing.
    Missing(Box<str>),
    /// A claim has a value that is not listed.
    NotPermitted(Box<str>),
    /// A claim is there that must not be.
    Excluded(Box<str>),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, what) = match self {
            Self::Missing(name) => (name, "is missing"),
            Self::NotPermitted(name) => (name, "has a value that the certificate does not permit"),
            Self::Excluded(name) => (name, "is excluded by the certificate"),
        };
        write!(f, "claim {} {what}", escape(name.as_bytes()))
    }
}

impl ClaimConstraints {
    /// Reads the value of JWTClaimConstraints.
    ///
    /// # Errors
    ///
    /// What is wrong with it: then nothing may be claimed under it (rule X14C).
    pub fn parse(der: &[u8]) -> Result<Self, &'static str> {
        Self::read(der)
            .filter(|c| c.must_exclude.is_empty())
            .ok_or("JWTClaimConstraints can't be read")
    }

    /// Reads the value of EnhancedJWTClaimConstraints.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn parse_enhanced(der: &[u8]) -> Result<Self, &'static str> {
        let out = Self::read(der).ok_or("EnhancedJWTClaimConstraints can't be read")?;
        if out.must_exclude.iter().any(|c| BASELINE.contains(&&**c)) {
            return Err("EnhancedJWTClaimConstraints excludes a claim that every token has");
        }
        Ok(out)
    }

    fn read(der: &[u8]) -> Option<Self> {
        let mut rest = der::whole(der, der::SEQUENCE)?;
        let mut out = Self::default();
        let mut least = 0;
        while !rest.is_empty() {
            let (tag, inner) = der::take(&mut rest)?;
            let n = (0..3).find(|n| tag == der::explicit(*n))?;
            // Each at most once, in order.
            if n < least {
                return None;
            }
            least = n + 1;
            let list = der::whole(inner, der::SEQUENCE)?;
            match n {
                0 => out.must_include = elements(list, MAX_CLAIMS, claim)?,
                1 => out.permitted = elements(list, MAX_CLAIMS, permitted)?,
                _ => out.must_exclude = elements(list, MAX_CLAIMS, claim)?,
            }
        }
        (least > 0).then_some(out)
    }

    /// The first claim of a payload that goes beyond the constraints.
    pub fn violation(&self, payload: &Payload) -> Option<Violation> {
        let missing = self
            .must_include
            .iter()
            .find(|c| payload.claim(c).is_none());
        if let Some(claim) = missing {
            return Some(Violation::Missing(claim.clone()));
        }
        let excluded = self
            .must_exclude
            .iter()
            .find(|c| payload.claim(c).is_some());
        if let Some(claim) = excluded {
            return Some(Violation::Excluded(claim.clone()));
        }
        let beyond = self.permitted.iter().find(|p| {
            payload
                .claim(&p.claim)
                .is_some_and(|value| !p.values.iter().any(|v| is_value(v, value)))
        })?;
        Some(Violation::NotPermitted(beyond.claim.clone()))
    }
}

/// The claims of a token with all that is in them.
#[derive(Clone, Debug)]
pub struct Payload(Value);

impl Payload {
    /// Reads a decoded payload as strictly as rule P1 does; `None` where that fails.
    pub fn read(octets: &[u8]) -> Option<Self> {
        let value = json::read_whole(octets).ok()?;
        value.is_object().then_some(Self(value))
    }

    fn claim(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
}

/// Whether a permitted value is the value of a claim: for a string its characters once JSON's escapes are gone, for any other value the
/// same JSON, however it is written.
fn is_value(permitted: &str, value: &Value) -> bool {
    match value {
        Value::String(text) => text == permitted,
        other => json::read_whole(permitted.as_bytes())
            .is_ok_and(|p| json::deterministic(&p) == json::deterministic(other)),
    }
}

/// The elements of a list: one at least (`SIZE (1..MAX)`), `most` at most.
fn elements<T>(
    mut list: &[u8],
    most: usize,
    read: impl Fn(u8, &[u8]) -> Option<T>,
) -> Option<Vec<T>> {
    let mut out = Vec::new();
    while !list.is_empty() {
        if out.len() >= most {
            return None;
        }
        let (tag, inner) = der::take(&mut list)?;
        out.push(read(tag, inner)?);
    }
    (!out.is_empty()).then_some(out)
}

fn claim(tag: u8, name: &[u8]) -> Option<Box<str>> {
    let sound = tag == der::IA5_STRING && !name.is_empty() && name.is_ascii();
    std::str::from_utf8(name)
        .ok()
        .filter(|_| sound)
        .map(Into::into)
}

fn permitted(tag: u8, mut inner: &[u8]) -> Option<PermittedValues> {
    let (name_tag, name) = der::take(&mut inner)?;
    let list = der::whole(inner, der::SEQUENCE)?;
    let values = elements(list, MAX_VALUES, |tag, value| {
        (tag == der::UTF8_STRING).then_some(())?;
        std::str::from_utf8(value).ok().map(Into::into)
    })?;
    Some(PermittedValues {
        claim: claim(name_tag, name)?,
        values,
    })
    .filter(|_| tag == der::SEQUENCE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stir::credential::testpki::{self as pki, Limits};
    use proptest::prelude::*;

    fn parse(limits: &Limits) -> ClaimConstraints {
        ClaimConstraints::parse_enhanced(&limits.der()).unwrap()
    }

    fn violation(limits: &Limits, payload: &str) -> Option<String> {
        let payload = Payload::read(payload.as_bytes()).unwrap();
        parse(limits).violation(&payload).map(|v| v.to_string())
    }

    #[test]
    fn x14_must_include_permitted_values_must_exclude() {
        let limits = Limits {
            include: &["rcd"],
            permit: &[("attest", &["A", "B"])],
            exclude: &["crn"],
        };
        for (payload, expected) in [
            (r#"{"rcd":{},"attest":"A"}"#, None),
            (r#"{"rcd":null}"#, None),
            (r#"{"rcd":{},"attest":"\u0042"}"#, None),
            (r#"{"attest":"A"}"#, Some("claim rcd is missing")),
            (
                r#"{"rcd":{},"attest":"C"}"#,
                Some("claim attest has a value that the certificate does not permit"),
            ),
            (
                r#"{"rcd":{},"attest":["A"]}"#,
                Some("claim attest has a value that the certificate does not permit"),
            ),
            (
                r#"{"rcd":{},"crn":""}"#,
                Some("claim crn is excluded by the certificate"),
            ),
        ] {
            assert_eq!(
                violation(&limits, payload).as_deref(),
                expected,
                "{payload}"
            );
        }
    }

    #[test]
    fn x14_values_that_are_no_strings_are_compared_as_json() {
        let limits = Limits {
            permit: &[(
                "rcd",
                &[r#"{"nam":"Example","apn":"12025550100"}"#, "7", "true"],
            )],
            ..Limits::default()
        };
        for (value, kept) in [
            (r#"{"nam":"Example","apn":"12025550100"}"#, true),
            (r#"{ "apn":"12025550100", "nam":"Ex\u0061mple" }"#, true),
            (r#"{"nam":"Example","apn":"12025550101"}"#, false),
            (r#"{"nam":"Example"}"#, false),
            ("7", true),
            ("7.5", false),
            (r#""7""#, true),
            ("true", true),
            ("false", false),
        ] {
            let payload = format!(r#"{{"rcd":{value}}}"#);
            assert_eq!(violation(&limits, &payload).is_none(), kept, "{value}");
        }
    }

    #[test]
    fn x14c_what_is_no_constraint_is_refused() {
        let good = Limits {
            include: &["rcd"],
            ..Limits::default()
        }
        .der();
        assert!(ClaimConstraints::parse(&good).is_ok());
        let ia5 = |t: &str| pki::tlv(0x16, t.as_bytes());
        let utf8 = |t: &str| pki::tlv(0x0c, t.as_bytes());
        let list = |n: u8, parts: &[Vec<u8>]| pki::tlv(0xa0 + n, &pki::seq(parts));
        let names = |n| list(n, &[ia5("rcd")]);
        let many: Vec<_> = (0..=MAX_CLAIMS).map(|i| ia5(&i.to_string())).collect();
        for (why, bad) in [
            ("empty", pki::seq(&[])),
            ("an empty list", pki::seq(&[list(0, &[])])),
            ("implicit tag", pki::seq(&[pki::tlv(0x80, &ia5("rcd"))])),
            ("bare names", pki::seq(&[pki::tlv(0xa0, &ia5("rcd"))])),
            ("out of order", pki::seq(&[names(2), names(0)])),
            ("twice", pki::seq(&[names(0), names(0)])),
            ("another member", pki::seq(&[names(3)])),
            ("UTF8String", pki::seq(&[list(0, &[utf8("rcd")])])),
            ("no name", pki::seq(&[list(0, &[ia5("")])])),
            ("too many", pki::seq(&[list(0, &many)])),
            (
                "no values",
                pki::seq(&[list(1, &[pki::seq(&[ia5("rcd"), pki::seq(&[])])])]),
            ),
            (
                "IA5String value",
                pki::seq(&[list(1, &[pki::seq(&[ia5("rcd"), pki::seq(&[ia5("x")])])])]),
            ),
            ("octets behind", [good.clone(), vec![0]].concat()),
        ] {
            assert!(ClaimConstraints::parse_enhanced(&bad).is_err(), "{why}");
            assert!(ClaimConstraints::parse(&bad).is_err(), "{why}");
        }
        let excluding = pki::seq(&[names(2)]);
        assert!(ClaimConstraints::parse_enhanced(&excluding).is_ok());
        assert!(
            ClaimConstraints::parse(&excluding).is_err(),
            "RFC 9118 only"
        );
        let all = pki::seq(&[list(2, &[ia5("orig")])]);
        assert!(ClaimConstraints::parse_enhanced(&all).is_err());
    }

    proptest! {
        #[test]
        fn hostile_constraints_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..96)) {
            let _ = ClaimConstraints::parse(&bytes);
            let _ = ClaimConstraints::parse_enhanced(&bytes);
        }

        #[test]
        fn a_changed_octet_never_panics_and_stays_within_bounds(at in 0usize..256, with: u8) {
            let mut der = Limits {
                include: &["rcd", "crn"],
                permit: &[("attest", &["A", "B"])],
                exclude: &["div"],
            }.der();
            let at = at % der.len();
            der[at] = with;
            if let Ok(c) = ClaimConstraints::parse_enhanced(&der) {
                prop_assert!(c.must_include.len() + c.permitted.len() + c.must_exclude.len() <= 3 * MAX_CLAIMS);
            }
        }
    }
}
