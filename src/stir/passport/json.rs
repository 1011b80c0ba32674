//! JSON values with the strictness that serde_json leaves to its callers: no member name twice in one object at any
//! level (RFC 7515 §4; two parsers may disagree which one counts), bounded depth, bounded members. Borrowed, so that a
//! PASSporT without escapes is read without an allocation.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use smallvec::SmallVec;

/// Deepest nesting of objects and arrays. An rcd claim with a jCard takes seven.
pub const MAX_DEPTH: u8 = 16;

/// Most members of one object. A PASSporT has five to ten; names are compared pairwise.
pub const MAX_MEMBERS: usize = 64;

/// A JSON string; borrowed where it has no escapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<'a>(pub Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(v)))
            }
            fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(v.to_owned())))
            }
        }
        d.deserialize_str(TextVisitor)
    }
}

/// What a value is, without what is inside lists and objects.
#[derive(Clone, Debug, PartialEq)]
pub enum Shallow<'a> {
    /// A string.
    Text(Cow<'a, str>),
    /// A number without fraction that fits.
    Unsigned(u64),
    /// A negative number without fraction that fits.
    Negative(i64),
    /// Any other number.
    Float(f64),
    /// `true`, `false` or `null`.
    Constant,
    /// An array, checked and thrown away.
    List,
    /// An object, checked and thrown away.
    Object,
}

/// Reads any value at a depth, checking names and depth all the way down.
#[derive(Clone, Copy, Debug)]
pub struct Any(pub u8);

impl<'de> DeserializeSeed<'de> for Any {
    type Value = Shallow<'de>;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Any {
    type Value = Shallow<'de>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Shallow::Constant)
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Shallow::Constant)
    }
    fn visit_u64<E>(self, v: u64) -> Result<Self::Value, E> {
        Ok(Shallow::Unsigned(v))
    }
    fn visit_i64<E>(self, v: i64) -> Result<Self::Value, E> {
        Ok(Shallow::Negative(v))
    }
    fn visit_f64<E>(self, v: f64) -> Result<Self::Value, E> {
        Ok(Shallow::Float(v))
    }
    fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Self::Value, E> {
        Ok(Shallow::Text(Cow::Borrowed(v)))
    }
    fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
        Ok(Shallow::Text(Cow::Owned(v.to_owned())))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let inner = self.deeper()?;
        while seq.next_element_seed(inner)?.is_some() {}
        Ok(Shallow::List)
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let inner = self.deeper()?;
        each_member(map, |_, map| map.next_value_seed(inner).map(drop))?;
        Ok(Shallow::Object)
    }
}

impl Any {
    /// One level further in.
    ///
    /// # Errors
    ///
    /// Past [`MAX_DEPTH`].
    pub fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.0 >= MAX_DEPTH {
            return Err(E::custom("nested too deep"));
        }
        Ok(Self(self.0 + 1))
    }
}

/// Reads any value with all that is in it, as strictly as [`Any`]. Allocates: for the few tokens whose other claims matter.
#[derive(Clone, Copy, Debug)]
struct Whole(Any);

impl<'de> DeserializeSeed<'de> for Whole {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Whole {
    type Value = Value;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_bool<E>(self, v: bool) -> Result<Self::Value, E> {
        Ok(Value::Bool(v))
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Value::Null)
    }
    fn visit_u64<E>(self, v: u64) -> Result<Self::Value, E> {
        Ok(Value::Number(v.into()))
    }
    fn visit_i64<E>(self, v: i64) -> Result<Self::Value, E> {
        Ok(Value::Number(v.into()))
    }
    fn visit_f64<E: Error>(self, v: f64) -> Result<Self::Value, E> {
        let number = Number::from_f64(v).ok_or_else(|| E::custom("a number that is none"))?;
        Ok(Value::Number(number))
    }
    fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
        Ok(Value::String(v.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let inner = Self(self.0.deeper()?);
        let mut out = Vec::new();
        while let Some(element) = seq.next_element_seed(inner)? {
            out.push(element);
        }
        Ok(Value::Array(out))
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let inner = Self(self.0.deeper()?);
        let mut out = Map::new();
        each_member(map, |name, map| {
            out.insert(name.to_owned(), map.next_value_seed(inner)?);
            Ok(())
        })?;
        Ok(Value::Object(out))
    }
}

/// Reads one value that is all of `text`.
///
/// # Errors
///
/// No JSON, a member name twice, too deep, too many members.
pub fn read_whole(text: &[u8]) -> Result<Value, serde_json::Error> {
    let mut d = serde_json::Deserializer::from_slice(text);
    let value = Whole(Any(0)).deserialize(&mut d)?;
    d.end()?;
    Ok(value)
}

/// A value in the one form that RFC 8225 §9 gives it: names in order, no blanks. Two values are the same if these texts are.
pub fn deterministic(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            let members: Vec<_> = members
                .into_iter()
                .map(|(name, v)| format!("{}:{}", Value::from(name.as_str()), deterministic(v)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(elements) => {
            let elements: Vec<_> = elements.iter().map(deterministic).collect();
            format!("[{}]", elements.join(","))
        }
        other => other.to_string(),
    }
}

/// Hands each member name to `read`, which must take its value; refuses a name that stands twice.
///
/// # Errors
///
/// A duplicate name, more than [`MAX_MEMBERS`], or what `read` refuses.
pub fn each_member<'de, A: MapAccess<'de>>(
    mut map: A,
    mut read: impl FnMut(&str, &mut A) -> Result<(), A::Error>,
) -> Result<(), A::Error> {
    let mut names: SmallVec<[Cow<'de, str>; 8]> = SmallVec::new();
    while let Some(Text(name)) = map.next_key()? {
        if names.contains(&name) {
            return Err(A::Error::custom("a member name stands twice"));
        }
        if names.len() >= MAX_MEMBERS {
            return Err(A::Error::custom("too many members"));
        }
        read(&name, &mut map)?;
        names.push(name);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Shallow<'_>, serde_json::Error> {
        let mut d = serde_json::Deserializer::from_str(text);
        let v = Any(0).deserialize(&mut d)?;
        d.end()?;
        Ok(v)
    }

    #[test]
    fn a_name_twice_is_refused_at_any_level() {
        for bad in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":{"b":1,"b":2}}"#,
            r#"[{"a":[{"b":1,"b":2}]}]"#,
            r#"{"iat":1,"i\u0061t":2}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(read(r#"{"a":{"a":{"a":1}},"b":{"a":1}}"#).is_ok());
    }

    #[test]
    fn depth_and_members_are_bounded() {
        let nest = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(read(&nest(16)).is_ok());
        assert!(read(&nest(17)).is_err());
        assert!(read(&nest(100_000)).is_err());
        let members = |n: usize| {
            let m: Vec<_> = (0..n).map(|i| format!("\"{i}\":0")).collect();
            format!("{{{}}}", m.join(","))
        };
        assert!(read(&members(64)).is_ok());
        assert!(read(&members(65)).is_err());
    }

    #[test]
    fn text_without_escapes_is_borrowed() {
        assert!(matches!(
            read(r#""shaken""#),
            Ok(Shallow::Text(Cow::Borrowed("shaken")))
        ));
        assert!(
            matches!(read(r#""shak\u0065n""#), Ok(Shallow::Text(Cow::Owned(t))) if t == "shaken")
        );
    }

    #[test]
    fn whole_values_are_read_as_strictly() {
        assert!(read_whole(br#"{"a":{"b":1,"b":2}}"#).is_err());
        assert!(read_whole(b"{} {}").is_err());
        let nest = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(read_whole(nest(16).as_bytes()).is_ok());
        assert!(read_whole(nest(17).as_bytes()).is_err());
    }

    #[test]
    fn the_deterministic_form_has_names_in_order_and_no_blanks() {
        let of = |text: &str| deterministic(&read_whole(text.as_bytes()).unwrap());
        assert_eq!(
            of(r#" { "b" : [ 1, -2, 1.5, null ], "a" : { "z": "\u0041\"", "y": true } } "#),
            r#"{"a":{"y":true,"z":"A\""},"b":[1,-2,1.5,null]}"#
        );
    }

    proptest! {
        #[test]
        fn whole_values_and_shallow_ones_are_taken_alike(text in r#"[\[\]{}:,"a1\\ -]{0,40}"#) {
            prop_assert_eq!(read(&text).is_ok(), read_whole(text.as_bytes()).is_ok());
        }

        #[test]
        fn takes_what_serde_json_takes_but_for_duplicates(text in r#"[\[\]{}:,"a1\\ -]{0,40}"#) {
            let oracle = serde_json::from_str::<serde_json::Value>(&text);
            match read(&text) {
                Ok(_) => prop_assert!(oracle.is_ok()),
                Err(e) => prop_assert!(oracle.is_err() || e.to_string().contains("twice")),
            }
        }
    }
}
