//! What starts like a telephone number and is none.
//!
//! Comes in: the user part of a URI as written. Comes out: why it is no number, or nothing. Names, short codes, service codes with `*` and
//! `#`, and what hides the caller are not meant: they don't pretend.

use super::{NumberPlan, UserPart};

/// Why something is no telephone number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// More than fifteen digits (E.164 §6).
    TooLong,
    /// Characters that no number has.
    Characters,
    /// `+` and a zero: no country code begins so (E.164 annex A).
    LeadingZero,
    /// `+` and nothing behind it.
    Nothing,
}

impl Malformed {
    /// In a few words.
    pub const fn what(self) -> &'static str {
        match self {
            Self::TooLong => "more than fifteen digits",
            Self::Characters => "characters that no number has",
            Self::LeadingZero => "a country code that begins with 0",
            Self::Nothing => "no digits",
        }
    }
}

/// E.164 §6: the most digits of an international number.
const MOST_DIGITS: usize = 15;

/// Short codes have up to six digits.
const SHORT: usize = 6;

/// Judges the user part of a URI.
pub fn malformed(user: &[u8], plan: &NumberPlan) -> Option<Malformed> {
    let (front, rest) = match user {
        [b'%', b'2', b'B' | b'b', rest @ ..] | [b'+', rest @ ..] => (b'+', rest),
        [front, ..] => (*front, user),
        [] => return None,
    };
    if front != b'+' && !front.is_ascii_digit() {
        return None;
    }
    if front == b'+' && matches!(rest, [] | [b';', ..]) {
        return Some(Malformed::Nothing);
    }
    let number = match plan.canonical(user) {
        UserPart::Number { tn, .. } => tn,
        UserPart::Other => {
            // Either more digits than any number may have, or something else in it.
            let end = memchr::memchr(b';', user).unwrap_or(user.len());
            let (text, _) = rest.split_at(end.saturating_sub(user.len() - rest.len()));
            let number = |b: &u8| b.is_ascii_digit() || b"-.() ".contains(b);
            return Some(if text.iter().all(number) {
                Malformed::TooLong
            } else {
                Malformed::Characters
            });
        }
    };
    let digits = number.as_bytes();
    if front == b'+' && digits.first() == Some(&b'0') {
        Some(Malformed::LeadingZero)
    } else if digits.len() > MOST_DIGITS {
        Some(Malformed::TooLong)
    } else if digits.len() > SHORT && !digits.iter().all(u8::is_ascii_digit) {
        Some(Malformed::Characters)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(user: &str) -> Option<Malformed> {
        malformed(user.as_bytes(), &NumberPlan::default())
    }

    #[test]
    fn what_starts_like_a_number_and_is_none() {
        let many = "1".repeat(1_000);
        for (user, why) in [
            ("1202555O123", Malformed::Characters),
            ("+1202555O123", Malformed::Characters),
            ("%2B1202555x123", Malformed::Characters),
            ("1202555%zz", Malformed::Characters),
            ("+1202é5550123", Malformed::Characters),
            ("12*34567", Malformed::Characters),
            ("+1202555012345678", Malformed::TooLong),
            (&many, Malformed::TooLong),
            ("+02025550123", Malformed::LeadingZero),
            ("%2b02025550123", Malformed::LeadingZero),
            ("+", Malformed::Nothing),
            ("%2B", Malformed::Nothing),
            ("+;verstat=TN-Validation-Passed", Malformed::Nothing),
        ] {
            assert_eq!(of(user), Some(why), "{user:.30}");
        }
    }

    #[test]
    fn names_codes_and_every_way_to_write_a_number_are_not_meant() {
        for user in [
            "",
            "anonymous",
            "Restricted",
            "alice1",
            "*67",
            "#31",
            "911",
            "12345",
            "311*",
            "+12025550123",
            "2025550123",
            "02079460123",
            "011442079460123",
            "+1-202-555-0123",
            "%2B12025550123",
            "12025550123;rn=+12025550000;npdi",
            "+12025550123;tgrp=x;trunk-context=é",
            "123456789012345",
        ] {
            assert_eq!(of(user), None, "{user}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(user in proptest::collection::vec(any::<u8>(), 0..60), front in "(\\+|%2B|[0-9])?") {
            let mut text = front.into_bytes();
            text.extend(user);
            let _ = malformed(&text, &NumberPlan::default());
        }

        #[test]
        fn a_number_of_the_plan_is_never_malformed(number in "\\+?[1-9][0-9]{6,14}") {
            prop_assert_eq!(of(&number), None);
        }
    }
}
