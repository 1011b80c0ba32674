//! JOSE header and claims of a PASSporT (RFC 8225 §4 and §5, RFC 8588 §4), read over the octets received.
//!
//! The readers fail only where no JSON object with unique names is there (rules J1 and P1). A claim of the wrong kind is
//! [`Claim::Other`] and the like, so that the rule it breaks can be named and the others are still judged.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use smallvec::SmallVec;

use super::json::{Any, Shallow, each_member};

/// A claim that should be a string.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Claim<'a> {
    /// It is not there.
    #[default]
    Absent,
    /// A string.
    Text(Cow<'a, str>),
    /// Something else.
    Other,
}

impl Claim<'_> {
    /// The string.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(t) => Some(t),
            Self::Absent | Self::Other => None,
        }
    }
}

/// JOSE header. Members that could name a key (`x5c`, `jwk`, `jku`, `kid`) are read past: the key comes from `x5u` alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JoseHeader<'a> {
    /// Should be `passport` (rule J2).
    pub typ: Claim<'a>,
    /// Should be `ES256` (rule J3).
    pub alg: Claim<'a>,
    /// Should be `shaken` (rule J5).
    pub ppt: Claim<'a>,
    /// URL of the certificate (rule J4).
    pub x5u: Claim<'a>,
    /// Whether `crit` is there, whatever it says (rule J6).
    pub crit: bool,
}

/// Issue time (rule P2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Iat {
    /// It is not there.
    #[default]
    Absent,
    /// Seconds since 1970, a fraction rounded down (RFC 7519 §2 allows one).
    Seconds(i64),
    /// A number that is negative or not below 2^53.
    OutOfRange,
    /// No number. RFC 8225 §7.1 quotes it in its example; errata 5985 and 6656 say that it must not be.
    NotANumber,
}

/// Calling identity (rule P3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Orig<'a> {
    /// It is not there.
    #[default]
    Absent,
    /// A telephone number as written.
    Tn(Cow<'a, str>),
    /// A URI as written: other kinds may have one, SHAKEN may not.
    Uri(Cow<'a, str>),
    /// No object with exactly one string.
    Malformed,
}

/// Called identities (rule P4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Dest<'a> {
    /// They are not there.
    #[default]
    Absent,
    /// At least one in all.
    List {
        /// Telephone numbers as written.
        tn: SmallVec<[Cow<'a, str>; 1]>,
        /// URIs as written.
        uri: SmallVec<[Cow<'a, str>; 1]>,
    },
    /// No object with arrays of strings, or nothing in them.
    Malformed,
}

/// Claims of the payload. Further ones are covered by the signature and not looked at (rule P8).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims<'a> {
    /// When it was signed.
    pub iat: Iat,
    /// For which calling number.
    pub orig: Orig<'a>,
    /// For which called numbers.
    pub dest: Dest<'a>,
    /// Level of attestation.
    pub attest: Claim<'a>,
    /// Names the customer, device or gateway to its provider.
    pub origid: Claim<'a>,
    /// Rich call data is there, in a kind of its own or in a SHAKEN token (RFC 9795).
    pub has_rcd: bool,
    /// Keys of the media are there (RFC 8225 §5.2.2).
    pub has_mky: bool,
}

/// Why a part can't be read: no UTF-8, no JSON, no object, a name twice, too deep. Text for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable(pub String);

impl<'a> JoseHeader<'a> {
    /// Reads a decoded header.
    ///
    /// # Errors
    ///
    /// [`Unreadable`] (rule J1).
    pub fn parse(json: &'a [u8]) -> Result<Self, Unreadable> {
        read_whole(json)
    }
}

impl<'a> Claims<'a> {
    /// Reads a decoded payload.
    ///
    /// # Errors
    ///
    /// [`Unreadable`] (rule P1).
    pub fn parse(json: &'a [u8]) -> Result<Self, Unreadable> {
        read_whole(json)
    }
}

fn read_whole<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, Unreadable> {
    serde_json::from_slice(json).map_err(|e| Unreadable(e.to_string()))
}

impl<'de> Deserialize<'de> for JoseHeader<'de> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = JoseHeader<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JOSE header")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let mut out = JoseHeader::default();
                each_member(map, |name, map| {
                    match name {
                        "typ" => out.typ = map.next_value()?,
                        "alg" => out.alg = map.next_value()?,
                        "ppt" => out.ppt = map.next_value()?,
                        "x5u" => out.x5u = map.next_value()?,
                        _ => {
                            out.crit |= name == "crit";
                            map.next_value_seed(INSIDE)?;
                        }
                    }
                    Ok(())
                })?;
                Ok(out)
            }
        }
        d.deserialize_map(Object)
    }
}

impl<'de> Deserialize<'de> for Claims<'de> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Claims<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the claims of a PASSporT")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let mut out = Claims::default();
                each_member(map, |name, map| {
                    match name {
                        "iat" => out.iat = iat(&map.next_value_seed(INSIDE)?),
                        "orig" => out.orig = map.next_value()?,
                        "dest" => out.dest = map.next_value()?,
                        "attest" => out.attest = map.next_value()?,
                        "origid" => out.origid = map.next_value()?,
                        _ => {
                            out.has_rcd |= name == "rcd";
                            out.has_mky |= name == "mky";
                            map.next_value_seed(INSIDE)?;
                        }
                    }
                    Ok(())
                })?;
                Ok(out)
            }
        }
        d.deserialize_map(Object)
    }
}

/// Values that stand inside the outermost object.
const INSIDE: Any = Any(1);

fn iat(value: &Shallow<'_>) -> Iat {
    /// Below it every JSON implementation keeps integers exactly (RFC 8259 §6).
    const LIMIT: u64 = 1 << 53;
    match value {
        Shallow::Unsigned(n) if *n < LIMIT => {
            i64::try_from(*n).map_or(Iat::OutOfRange, Iat::Seconds)
        }
        // Between zero and 2^53 a floored float converts exactly.
        #[allow(clippy::cast_possible_truncation)]
        Shallow::Float(f) if *f >= 0.0 && *f < LIMIT as f64 => Iat::Seconds(f.floor() as i64),
        Shallow::Unsigned(_) | Shallow::Negative(_) | Shallow::Float(_) => Iat::OutOfRange,
        _ => Iat::NotANumber,
    }
}

impl<'de> Deserialize<'de> for Claim<'de> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(match INSIDE.deserialize(d)? {
            Shallow::Text(t) => Self::Text(t),
            _ => Self::Other,
        })
    }
}

/// Scalars give `$otherwise`; objects and arrays are left to the visitor.
macro_rules! scalars_are {
    ($otherwise:expr) => {
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok($otherwise)
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok($otherwise)
        }
        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok($otherwise)
        }
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok($otherwise)
        }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok($otherwise)
        }
        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
            Ok($otherwise)
        }
    };
}

impl<'de> Deserialize<'de> for Orig<'de> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct OrigVisitor;
        impl<'de> Visitor<'de> for OrigVisitor {
            type Value = Orig<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("orig")
            }
            scalars_are!(Orig::Malformed);
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                INSIDE.visit_seq(seq)?;
                Ok(Orig::Malformed)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let (mut tn, mut uri) = (Claim::Absent, Claim::Absent);
                let inner = INSIDE.deeper()?;
                each_member(map, |name, map| {
                    match name {
                        "tn" => tn = map.next_value()?,
                        "uri" => uri = map.next_value()?,
                        _ => drop(map.next_value_seed(inner)?),
                    }
                    Ok(())
                })?;
                Ok(match (tn, uri) {
                    (Claim::Text(tn), Claim::Absent) => Orig::Tn(tn),
                    (Claim::Absent, Claim::Text(uri)) => Orig::Uri(uri),
                    _ => Orig::Malformed,
                })
            }
        }
        d.deserialize_any(OrigVisitor)
    }
}

impl<'de> Deserialize<'de> for Dest<'de> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct DestVisitor;
        impl<'de> Visitor<'de> for DestVisitor {
            type Value = Dest<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("dest")
            }
            scalars_are!(Dest::Malformed);
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                INSIDE.visit_seq(seq)?;
                Ok(Dest::Malformed)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let (mut tn, mut uri) = (Names::default(), Names::default());
                let inner = INSIDE.deeper()?;
                each_member(map, |name, map| {
                    match name {
                        "tn" => tn = map.next_value()?,
                        "uri" => uri = map.next_value()?,
                        _ => drop(map.next_value_seed(inner)?),
                    }
                    Ok(())
                })?;
                Ok(match (tn.0, uri.0) {
                    (Some(tn), Some(uri)) if !(tn.is_empty() && uri.is_empty()) => {
                        Dest::List { tn, uri }
                    }
                    _ => Dest::Malformed,
                })
            }
        }
        d.deserialize_any(DestVisitor)
    }
}

/// An array of strings; `None` where it is anything else. Absent counts as empty.
struct Names<'a>(Option<SmallVec<[Cow<'a, str>; 1]>>);

impl Default for Names<'_> {
    fn default() -> Self {
        Self(Some(SmallVec::new()))
    }
}

impl<'de> Deserialize<'de> for Names<'de> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct NamesVisitor;
        impl<'de> Visitor<'de> for NamesVisitor {
            type Value = Names<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of strings")
            }
            scalars_are!(Names(None));
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                INSIDE.visit_map(map)?;
                Ok(Names(None))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut out = Names::default();
                let inner = INSIDE.deeper()?.deeper()?;
                while let Some(element) = seq.next_element_seed(inner)? {
                    match (element, &mut out.0) {
                        (Shallow::Text(t), Some(list)) => list.push(t),
                        _ => out.0 = None,
                    }
                }
                Ok(out)
            }
        }
        d.deserialize_any(NamesVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEADER: &str = r#"{"alg":"ES256","ppt":"shaken","typ":"passport","x5u":"https://cert.example.net/sp.pem"}"#;
    const CLAIMS: &str = r#"{"attest":"A","dest":{"tn":["12025550142"]},"iat":1443208345,"orig":{"tn":"12025550123"},"origid":"123e4567-e89b-12d3-a456-426655440000"}"#;

    fn claims(json: &str) -> Claims<'_> {
        Claims::parse(json.as_bytes()).unwrap_or_else(|e| panic!("{json}: {}", e.0))
    }

    #[test]
    fn a_shaken_token() {
        let h = JoseHeader::parse(HEADER.as_bytes()).unwrap();
        assert_eq!(h.typ.text(), Some("passport"));
        assert_eq!(h.alg.text(), Some("ES256"));
        assert_eq!(h.ppt.text(), Some("shaken"));
        assert_eq!(h.x5u.text(), Some("https://cert.example.net/sp.pem"));
        assert!(!h.crit);
        let c = claims(CLAIMS);
        assert_eq!(c.iat, Iat::Seconds(1_443_208_345));
        assert_eq!(c.orig, Orig::Tn("12025550123".into()));
        assert!(
            matches!(&c.dest, Dest::List { tn, uri } if tn[..] == ["12025550142"] && uri.is_empty())
        );
        assert_eq!(c.attest.text(), Some("A"));
        assert!(c.origid.text().is_some());
    }

    #[test]
    fn order_blanks_escapes_and_further_claims_do_not_matter() {
        let c = claims(
            " { \"rcd\" : {\"nam\":\"Example\",\"jcd\":[\"vcard\",[[\"fn\",{},\"text\",\"x\"]]]},\n \"origid\":\"x\", \"iat\" : 1443208345 , \"orig\":{\"tn\":\"120255501\\u00323\"},\"dest\":{\"uri\":[\"sip:a@example.net\"],\"tn\":[]},\"attest\":\"B\" } ",
        );
        assert_eq!(c.orig, Orig::Tn("12025550123".into()));
        assert!(matches!(&c.dest, Dest::List { tn, uri } if tn.is_empty() && uri.len() == 1));
    }

    #[test]
    fn j1_p1_what_is_no_object_with_unique_names_is_unreadable() {
        for bad in [
            "",
            "[]",
            "1",
            "null",
            "\"x\"",
            "{",
            "{}x",
            "{}{}",
            "{'a':1}",
            r#"{"iat":1,"iat":1}"#,
            r#"{"orig":{"tn":"1","tn":"1"}}"#,
            r#"{"x":{"y":1,"y":1}}"#,
            r#"{"dest":[{"tn":1,"tn":1}]}"#,
            "{\"a\":NaN}",
            "{\"a\":1,}",
            "\u{feff}{}",
        ] {
            assert!(Claims::parse(bad.as_bytes()).is_err(), "{bad}");
            if !bad.contains("orig") && !bad.contains("dest") {
                assert!(JoseHeader::parse(bad.as_bytes()).is_err(), "{bad}");
            }
        }
        assert!(Claims::parse(b"{\"a\":\"\xff\"}").is_err(), "no UTF-8");
    }

    #[test]
    fn j6_crit_counts_whatever_it_holds() {
        for crit in [r#"{"crit":[]}"#, r#"{"crit":null}"#, r#"{"crit":["b64"]}"#] {
            assert!(JoseHeader::parse(crit.as_bytes()).unwrap().crit, "{crit}");
        }
    }

    #[test]
    fn p2_iat_is_a_number_with_its_fraction_floored() {
        for (json, iat) in [
            ("1443208345", Iat::Seconds(1_443_208_345)),
            ("1443208345.999", Iat::Seconds(1_443_208_345)),
            ("1.443208345e9", Iat::Seconds(1_443_208_345)),
            ("0", Iat::Seconds(0)),
            ("9007199254740991", Iat::Seconds((1 << 53) - 1)),
            ("9007199254740992", Iat::OutOfRange),
            ("18446744073709551615", Iat::OutOfRange),
            ("1e300", Iat::OutOfRange),
            ("-1", Iat::OutOfRange),
            ("-0.5", Iat::OutOfRange),
            ("\"1443208345\"", Iat::NotANumber),
            ("null", Iat::NotANumber),
            ("[1443208345]", Iat::NotANumber),
            ("true", Iat::NotANumber),
        ] {
            assert_eq!(claims(&format!("{{\"iat\":{json}}}")).iat, iat, "{json}");
        }
        assert_eq!(claims("{}").iat, Iat::Absent);
    }

    #[test]
    fn p3_orig_is_an_object_with_exactly_one_string() {
        for bad in [
            r#""12025550123""#,
            r#"["12025550123"]"#,
            r#"{"tn":["12025550123"]}"#,
            r#"{"tn":12025550123}"#,
            r#"{"tn":"1","uri":"sip:a@example.net"}"#,
            r#"{}"#,
            "null",
        ] {
            assert_eq!(
                claims(&format!("{{\"orig\":{bad}}}")).orig,
                Orig::Malformed,
                "{bad}"
            );
        }
        assert_eq!(
            claims(r#"{"orig":{"uri":"sip:a@example.net"}}"#).orig,
            Orig::Uri("sip:a@example.net".into())
        );
    }

    #[test]
    fn p4_dest_is_an_object_with_arrays_that_are_not_all_empty() {
        for bad in [
            r#"{"tn":"1555"}"#,
            r#"{"tn":[]}"#,
            r#"{"tn":[1555]}"#,
            r#"{"tn":["1555"],"uri":"sip:a@example.net"}"#,
            r#"{"tn":["1555",null]}"#,
            r#"["1555"]"#,
            r#""1555""#,
            "{}",
            "null",
        ] {
            assert_eq!(
                claims(&format!("{{\"dest\":{bad}}}")).dest,
                Dest::Malformed,
                "{bad}"
            );
        }
    }

    proptest! {
        #[test]
        fn hostile_json_never_panics(json in r#"[\[\]{}:,"a1\\ .eE-]{0,60}"#) {
            let _ = Claims::parse(json.as_bytes());
            let _ = JoseHeader::parse(json.as_bytes());
        }

        #[test]
        fn a_mutated_token_never_panics(at in 0usize..150, with: u8) {
            let mut json = CLAIMS.as_bytes().to_vec();
            let at = at % json.len();
            json[at] = with;
            let _ = Claims::parse(&json);
        }
    }
}
