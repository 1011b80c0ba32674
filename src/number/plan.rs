//! From the user part of a URI to a canonical number, by the country's plan.

use smallvec::SmallVec;

use crate::number::Tn;

/// How numbers without a country code are written where this probe stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberPlan {
    /// Country code that a national number gets in front, digits only.
    pub country_code: String,
    /// How many digits a national number has.
    pub national_length: usize,
    /// What stands in front of an international number instead of `+`.
    pub international_prefixes: Vec<String>,
}

impl Default for NumberPlan {
    /// North America: country code 1, ten digits, 011.
    fn default() -> Self {
        Self {
            country_code: "1".to_owned(),
            national_length: 10,
            international_prefixes: vec!["011".to_owned()],
        }
    }
}

/// What the user part of a URI holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserPart {
    /// A telephone number.
    Number {
        /// In canonical form.
        tn: Tn,
        /// Whether the country code had to be added.
        country_added: bool,
    },
    /// Not a number: empty, a name, or too long.
    Other,
}

impl UserPart {
    /// The number, if it is one.
    pub fn tn(self) -> Option<Tn> {
        match self {
            Self::Number { tn, .. } => Some(tn),
            Self::Other => None,
        }
    }
}

impl NumberPlan {
    /// Canonicalises the user part of a SIP URI or the number of a `tel:` URI as it stands on the wire:
    /// percent-decoding, user parameters cut at the first `;` (RFC 4904 puts `tgrp` there), `+` and visual separators
    /// dropped, international prefix replaced, `phone-context` of a global form put in front, country code added
    /// to a number of national length.
    pub fn canonical(&self, user: &[u8]) -> UserPart {
        // As nearly all are written: digits, with or without `+`.
        let digits = user.strip_prefix(b"+").unwrap_or(user);
        if digits.len() <= Tn::MAX && digits.iter().copied().all(Tn::is_canonical) {
            return self.complete(digits, digits.len() < user.len(), &[]);
        }
        let mut text = Digits::default();
        let mut global = false;
        let (number, params) = match memchr::memchr(b';', user) {
            Some(i) => user.split_at(i),
            None => (user, &[][..]),
        };
        let mut rest = number.iter().copied();
        let mut first = true;
        while let Some(b) = rest.next() {
            let b = if b == b'%' {
                match (rest.next().and_then(hex), rest.next().and_then(hex)) {
                    (Some(h), Some(l)) => h * 16 + l,
                    _ => return UserPart::Other,
                }
            } else {
                b
            };
            match b {
                b'+' if first => global = true,
                b'-' | b'.' | b'(' | b')' | b' ' => {}
                b'0'..=b'9' | b'*' | b'#' => {
                    if text.push(b).is_none() {
                        return UserPart::Other;
                    }
                }
                // A percent-encoded `;` starts the parameters as well.
                b';' => break,
                _ => return UserPart::Other,
            }
            first = false;
        }
        self.complete(text.as_slice(), global, params)
    }

    /// Puts the country code where it belongs.
    fn complete(&self, bytes: &[u8], global: bool, params: &[u8]) -> UserPart {
        let number = |tn: Option<Tn>, country_added| match tn {
            Some(tn) => UserPart::Number { tn, country_added },
            None => UserPart::Other,
        };
        if global {
            return number(Tn::from_canonical(bytes), false);
        }
        // A short code such as 911 is none of the context's numbers: it is dialled as it stands.
        if bytes.len() > SHORT_CODE
            && let Some(context) = global_context(params)
        {
            return number(join(&context, bytes), true);
        }
        for prefix in &self.international_prefixes {
            // A prefix alone, or with a short code behind it, is no international number.
            if let Some(rest) = bytes.strip_prefix(prefix.as_bytes())
                && rest.len() >= 7
            {
                return number(Tn::from_canonical(rest), false);
            }
        }
        if bytes.len() == self.national_length && bytes.iter().all(u8::is_ascii_digit) {
            return number(join(self.country_code.as_bytes(), bytes), true);
        }
        number(Tn::from_canonical(bytes), false)
    }
}

#[derive(Default)]
struct Digits {
    text: [u8; Tn::MAX],
    len: usize,
}

impl Digits {
    fn push(&mut self, b: u8) -> Option<()> {
        *self.text.get_mut(self.len)? = b;
        self.len += 1;
        Some(())
    }

    fn as_slice(&self) -> &[u8] {
        self.text.get(..self.len).unwrap_or_default()
    }
}

fn join(front: &[u8], back: &[u8]) -> Option<Tn> {
    let mut d = Digits::default();
    front.iter().chain(back).try_for_each(|&b| d.push(b))?;
    Tn::from_canonical(d.as_slice())
}

fn hex(b: u8) -> Option<u8> {
    u8::try_from((b as char).to_digit(16)?).ok()
}

/// Digits of the longest short code: 911, 112, 211 to 988.
const SHORT_CODE: usize = 3;

/// The digits of `;phone-context=+1`, without visual separators. A context that is a domain says nothing about the country.
fn global_context(params: &[u8]) -> Option<SmallVec<[u8; Tn::MAX]>> {
    const NAME: &[u8] = b"phone-context=+";
    params.split(|&b| b == b';').find_map(|p| {
        let (name, digits) = p.split_at_checked(NAME.len())?;
        if !name.eq_ignore_ascii_case(NAME) || digits.len() > Tn::MAX {
            return None;
        }
        let digits: SmallVec<_> = digits
            .iter()
            .copied()
            .filter(|b| !b"-.()".contains(b))
            .collect();
        (!digits.is_empty() && digits.iter().all(u8::is_ascii_digit)).then_some(digits)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn canonical(user: &str) -> Option<String> {
        NumberPlan::default()
            .canonical(user.as_bytes())
            .tn()
            .map(|t| t.to_string())
    }

    #[test]
    fn the_ways_one_number_is_written() {
        for user in [
            "+12025550123",
            "12025550123",
            "2025550123",
            "%2B12025550123",
            "+1-202-555-0123",
            "(202) 555.0123",
            "+12025550123;rn=+12025550000;npdi",
            "+12025550123;tgrp=tg-1;trunk-context=example.net",
            "5550123;phone-context=+1202",
            "555-0123;phone-context=+1-202",
            "5550123;tgrp=tg-1;trunk-context=+1;Phone-Context=+1202",
            "01112025550123",
        ] {
            assert_eq!(canonical(user).as_deref(), Some("12025550123"), "{user}");
        }
    }

    #[test]
    fn codes_stay_as_dialled() {
        assert_eq!(canonical("911").as_deref(), Some("911"));
        for context in ["911;phone-context=+1", "911;phone-context=example.net"] {
            assert_eq!(canonical(context).as_deref(), Some("911"), "{context}");
        }
        assert_eq!(canonical("112").as_deref(), Some("112"));
        assert_eq!(canonical("988").as_deref(), Some("988"));
        assert_eq!(canonical("*67").as_deref(), Some("*67"));
        assert_eq!(canonical("011").as_deref(), Some("011"));
    }

    #[test]
    fn sixteen_digits_of_a_french_portability_prefix_stay() {
        assert_eq!(
            canonical("+3310200123456789").as_deref(),
            Some("3310200123456789")
        );
    }

    #[test]
    fn another_country_completes_its_own_numbers_alone() {
        let norway = NumberPlan {
            country_code: "47".to_owned(),
            national_length: 8,
            international_prefixes: vec!["00".to_owned()],
        };
        let canonical = |user: &str| norway.canonical(user.as_bytes()).tn().unwrap().to_string();
        assert_eq!(canonical("22123456"), "4722123456");
        assert_eq!(canonical("0012025550123"), "12025550123");
        assert_eq!(
            canonical("12025550123"),
            "12025550123",
            "no leading 1 is cut"
        );
        assert_eq!(canonical("2025550123"), "2025550123");
    }

    #[test]
    fn names_are_no_numbers() {
        for user in ["", "alice", "anonymous", "1202555O123", "%2", "%zz1", "+"] {
            assert_eq!(canonical(user), None, "{user}");
        }
    }

    #[test]
    fn a_domain_as_context_adds_nothing() {
        assert_eq!(
            canonical("5550123;phone-context=example.com").as_deref(),
            Some("5550123")
        );
    }

    proptest! {
        #[test]
        fn never_panics_and_is_idempotent_for_global_numbers(user in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Some(tn) = NumberPlan::default().canonical(&user).tn() {
                let again = NumberPlan::default().canonical(format!("+{tn}").as_bytes()).tn();
                prop_assert_eq!(again, Some(tn));
            }
        }
    }
}
