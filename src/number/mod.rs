//! Telephone numbers: one canonical form, so that `+1 (202) 555-0123`, `12025550123` and `2025550123` are equal.
//!
//! Rules: RFC 8224 §8.3 and the six steps of canonicalisation that are usual in STIR verifiers. See [`plan`] for the steps
//! and [`nanp`] for what makes a North American number impossible; [`malformed`] for what only starts like a number.
//!
//! Data that an operator brings, read from files by `config`: [`allocation`] which blocks are assigned, [`listed`] lists of numbers.

pub mod allocation;
pub mod fault;
pub mod listed;
pub mod malformed;
pub mod nanp;
pub mod plan;

pub use allocation::{Allocation, Allocations};
pub use fault::{Fault, Faults};
pub use listed::NumberSet;
pub use malformed::Malformed;
pub use plan::{NumberPlan, UserPart};

use std::fmt;

/// A telephone number in canonical form: digits with the country code and without `+`, or a short or feature
/// code as dialled (`911`, `*67`). Only the characters `0`–`9`, `*` and `#`; 1 to 23 of them.
///
/// Twenty-three, because French portability prefixes already give sixteen, and the value fits 24 octets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tn {
    text: [u8; Self::MAX],
    len: u8,
}

impl Tn {
    /// The most characters a number may have.
    pub const MAX: usize = 23;

    /// From characters that are already canonical; `None` where one is not, or where there are too few or too many.
    pub fn from_canonical(text: &[u8]) -> Option<Self> {
        let mut out = Self {
            text: [0; Self::MAX],
            len: u8::try_from(text.len()).ok()?,
        };
        out.text.get_mut(..text.len())?.copy_from_slice(text);
        (!text.is_empty() && text.iter().copied().all(Self::is_canonical)).then_some(out)
    }

    /// Whether a character may stand in a canonical number.
    pub(super) const fn is_canonical(b: u8) -> bool {
        b.is_ascii_digit() || b == b'*' || b == b'#'
    }

    /// The characters.
    pub fn as_str(&self) -> &str {
        self.as_bytes()
            .utf8_chunks()
            .next()
            .map_or("", |c| c.valid())
    }

    /// The characters as octets.
    pub fn as_bytes(&self) -> &[u8] {
        self.text.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The number as an integer, where it is all digits, has no leading zero and fits 18 digits: the form of the store's key.
    pub fn as_u64(&self) -> Option<u64> {
        let b = self.as_bytes();
        if b.len() > 18 || b.first() == Some(&b'0') || !b.iter().all(u8::is_ascii_digit) {
            return None;
        }
        Some(b.iter().fold(0, |n, d| n * 10 + u64::from(d - b'0')))
    }

    /// Undoes [`Tn::as_u64`]. Zero is no number.
    pub fn from_u64(n: u64) -> Option<Self> {
        (n > 0)
            .then(|| Self::from_canonical(n.to_string().as_bytes()))
            .flatten()
    }
}

impl fmt::Display for Tn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Tn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tn({self})")
    }
}

impl serde::Serialize for Tn {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_back() {
        let tn = Tn::from_canonical(b"12025550123").unwrap();
        assert_eq!(tn.as_u64(), Some(12_025_550_123));
        assert_eq!(Tn::from_u64(12_025_550_123), Some(tn));
        assert_eq!(Tn::from_canonical(b"*67").unwrap().as_u64(), None);
        assert_eq!(
            Tn::from_canonical(b"011442079460123").unwrap().as_u64(),
            None
        );
    }

    #[test]
    fn only_digits_star_and_hash_and_not_too_many() {
        assert_eq!(Tn::from_canonical(b""), None);
        assert_eq!(Tn::from_canonical(b"+1"), None);
        assert!(Tn::from_canonical(&[b'1'; 23]).is_some());
        assert_eq!(Tn::from_canonical(&[b'1'; 24]), None);
    }
}
