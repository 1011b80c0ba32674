//! Lists of numbers and prefixes: do-not-originate, protected, emergency.
//!
//! Comes in: a text with one number or prefix a line. Comes out: a set that says by which entry a number is on it. It refuses what is
//! neither, with line and remedy. A prefix ends in `*`; `#` starts a comment, and what stands behind a comma is a remark.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;

use rustc_hash::FxHasher;

use super::{Fault, Faults, NumberPlan, Tn};

/// Digits of the longest entry: E.164 §6 allows fifteen.
const LONGEST: usize = 15;

/// Entries that a list may have, some 80 MB: ten times the registries' lists of today.
pub const MAX_ENTRIES: usize = 4_000_000;

/// Numbers and prefixes, digits only. To look one up costs a probe for each length of entry, whatever the number of entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NumberSet {
    /// Entries by [`key`]. They are the operator's, so no hostile keys are in it.
    keys: HashSet<u64, BuildHasherDefault<FxHasher>>,
    /// Lengths of the numbers and of the prefixes that occur, a bit each.
    whole: u32,
    prefixes: u32,
}

/// The entry by which a number is on a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The number itself.
    Number,
    /// A prefix of so many digits.
    Prefix(usize),
}

impl Entry {
    /// The entry as it is written in the list.
    pub fn text(self, tn: &Tn) -> String {
        match self {
            Self::Number => tn.to_string(),
            Self::Prefix(n) => format!("{}*", tn.as_str().get(..n).unwrap_or_default()),
        }
    }
}

impl NumberSet {
    /// Reads a list. Numbers are written in any way that the plan knows; a prefix has the country code and ends in `*`.
    ///
    /// # Errors
    ///
    /// What is wrong, by line.
    pub fn parse(text: &str, plan: &NumberPlan) -> Result<Self, Faults> {
        let mut out = Self::default();
        let mut faults = Faults::default();
        for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
            let entry = line.split(['#', ',']).next().unwrap_or_default().trim();
            if entry.is_empty() {
                continue;
            }
            if out.keys.len() >= MAX_ENTRIES {
                faults.add(Fault {
                    line: number,
                    what: format!("more than {MAX_ENTRIES} entries"),
                    remedy: "write prefixes instead of single numbers",
                });
                break;
            }
            if !out.add(entry, plan) {
                faults.add(Fault {
                    line: number,
                    what: format!("{entry:?} is neither a number nor a prefix"),
                    remedy: "write a number such as +1 202-555-0123, or a prefix with the country code such as 1202555*",
                });
            }
        }
        faults.or(out)
    }

    /// Of single numbers and short codes.
    pub fn of(numbers: impl IntoIterator<Item = Tn>) -> Self {
        let mut out = Self::default();
        for tn in numbers {
            out.insert(tn.as_bytes(), false);
        }
        out
    }

    fn add(&mut self, entry: &str, plan: &NumberPlan) -> bool {
        match entry.strip_suffix('*') {
            Some(prefix) => {
                let digits: Vec<u8> = prefix.bytes().filter(|b| !b"+-.() ".contains(b)).collect();
                self.insert(&digits, true)
            }
            None => {
                let tn = plan.canonical(entry.as_bytes()).tn();
                tn.is_some_and(|tn| self.insert(tn.as_bytes(), false))
            }
        }
    }

    fn insert(&mut self, digits: &[u8], prefix: bool) -> bool {
        let Some(key) = key(digits, prefix) else {
            return false;
        };
        let lengths = if prefix {
            &mut self.prefixes
        } else {
            &mut self.whole
        };
        *lengths |= 1 << digits.len();
        self.keys.insert(key);
        true
    }

    /// By which entry a number is on the list, if it is: by itself before any prefix, by a short prefix before a long one.
    pub fn find(&self, tn: &Tn) -> Option<Entry> {
        let digits = tn.as_bytes();
        let has = |lengths: u32, n: usize| n <= LONGEST && lengths & (1 << n) != 0;
        let there = |n: usize, prefix| {
            let front = digits.get(..n);
            front
                .and_then(|d| key(d, prefix))
                .is_some_and(|k| self.keys.contains(&k))
        };
        if has(self.whole, digits.len()) && there(digits.len(), false) {
            return Some(Entry::Number);
        }
        if self.prefixes == 0 {
            return None;
        }
        (1..=digits.len().min(LONGEST))
            .find(|n| has(self.prefixes, *n) && there(*n, true))
            .map(Entry::Prefix)
    }

    /// Whether a number is on the list.
    pub fn contains(&self, tn: &Tn) -> bool {
        self.find(tn).is_some()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

/// An entry as an integer: its digits (fifteen take 50 bits), how many they are, and whether it is a prefix.
fn key(digits: &[u8], prefix: bool) -> Option<u64> {
    if digits.is_empty() || digits.len() > LONGEST || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0, |n, d| n * 10 + u64::from(d - b'0'));
    let length = u64::try_from(digits.len()).ok()?;
    Some(value << 5 | length << 1 | u64::from(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tn(text: &str) -> Tn {
        Tn::from_canonical(text.as_bytes()).unwrap()
    }

    fn set(text: &str) -> NumberSet {
        NumberSet::parse(text, &NumberPlan::default()).unwrap()
    }

    #[test]
    fn numbers_and_prefixes_in_every_way_that_people_write() {
        let s = set(
            "\u{feff}# tax office\n+1 (202) 555-0123, main line\n2025550124\r\n\n1202555 01 3*  # a block\n911\n",
        );
        assert_eq!(s.len(), 4);
        assert_eq!(s.find(&tn("12025550123")), Some(Entry::Number));
        assert_eq!(s.find(&tn("12025550124")), Some(Entry::Number));
        assert_eq!(s.find(&tn("12025550137")), Some(Entry::Prefix(10)));
        assert_eq!(s.find(&tn("911")), Some(Entry::Number));
        for other in ["12025550125", "120255501", "1202555012", "9110", "*67"] {
            assert_eq!(s.find(&tn(other)), None, "{other}");
        }
        let found = tn("12025550137");
        assert_eq!(s.find(&found).unwrap().text(&found), "1202555013*");
    }

    #[test]
    fn what_is_neither_is_named_by_its_line() {
        let text = "12025550123\nalice\n*\n12x*\n1234567890123456*\n";
        let faults = NumberSet::parse(text, &NumberPlan::default()).unwrap_err();
        let lines: Vec<_> = faults.iter().map(|f| f.line).collect();
        assert_eq!(lines, [2, 3, 4, 5]);
    }

    proptest! {
        /// Against a list that is searched from end to end.
        #[test]
        fn finds_what_a_plain_search_finds(
            entries in proptest::collection::vec(("[0-9]{1,6}", any::<bool>()), 0..20),
            number in "[0-9]{1,8}",
        ) {
            let mut s = NumberSet::default();
            for (digits, prefix) in &entries {
                prop_assert!(s.insert(digits.as_bytes(), *prefix));
            }
            let plain = |(d, prefix): &(String, bool)| {
                *d == number || (*prefix && number.starts_with(d.as_str()))
            };
            let expected = entries.iter().any(plain);
            prop_assert_eq!(s.contains(&tn(&number)), expected);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "(?s).{0,300}") {
            let _ = NumberSet::parse(&text, &NumberPlan::default());
        }
    }
}
