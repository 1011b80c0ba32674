//! TNAuthList (RFC 8226 §9): which provider or which numbers a certificate speaks for.
//!
//! The module of RFC 8226 has EXPLICIT tags: `30 08 A0 06 16 04 37 30 39 4A` is service provider code 709J. Lists with IMPLICIT
//! tags or without the choice's tag are refused; both were seen in the field, from broken issuers.

use smallvec::SmallVec;

use super::der;
use crate::number::Tn;

/// Longest service provider code. Real ones have four or five characters; RFC 8226 sets no limit.
const MAX_SPC: usize = 32;

/// Longest number (RFC 8226 §9, `TelephoneNumber`).
const MAX_NUMBER: usize = 15;

/// Most entries. A bundle of 64 KiB could hold some five thousand, and each is compared with each of the issuer's.
const MAX_ENTRIES: usize = 1_024;

/// What a certificate speaks for; at least one entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TnAuthList {
    /// Service provider codes.
    pub spc: SmallVec<[Box<str>; 1]>,
    /// Runs of numbers; a single number is a run of one.
    pub ranges: Vec<TnRange>,
}

/// A run of numbers of equal length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TnRange {
    /// The first.
    pub start: Box<str>,
    /// How many.
    pub count: u64,
}

impl TnAuthList {
    /// Reads the extension's value.
    pub fn parse(der: &[u8]) -> Option<Self> {
        let mut entries = der::whole(der, der::SEQUENCE)?;
        let mut out = Self::default();
        while !entries.is_empty() {
            if out.spc.len() + out.ranges.len() >= MAX_ENTRIES {
                return None;
            }
            let (tag, inner) = der::take(&mut entries)?;
            if tag == der::explicit(0) {
                out.spc.push(text(inner, MAX_SPC, u8::is_ascii_graphic)?);
            } else if tag == der::explicit(1) {
                out.ranges.push(range(der::whole(inner, der::SEQUENCE)?)?);
            } else if tag == der::explicit(2) {
                let start = text(inner, MAX_NUMBER, is_number)?;
                out.ranges.push(TnRange { start, count: 1 });
            } else {
                return None;
            }
        }
        (!out.spc.is_empty() || !out.ranges.is_empty()).then_some(out)
    }

    /// Whether a number is inside one of the runs.
    pub fn covers(&self, tn: &Tn) -> bool {
        self.ranges.iter().any(|r| r.holds(tn.as_str()))
    }

    /// Whether all that `child` speaks for is inside what this list speaks for (RFC 9060).
    ///
    /// A run may lie across several runs of ours that touch. A code is inside the same code alone; numbers under a code can't be
    /// computed, for which numbers a provider holds stands in no certificate.
    pub fn encompasses(&self, child: &Self) -> Encompassed {
        if !child.spc.iter().all(|code| self.spc.contains(code)) {
            return Encompassed::No;
        }
        if child.ranges.iter().all(|run| self.holds_run(run)) {
            return Encompassed::Yes;
        }
        if self.spc.is_empty() {
            Encompassed::No
        } else {
            Encompassed::Unknown
        }
    }

    /// Walks from the run's first number to its last over the runs that hold them. Each of ours is used at most once, so it ends.
    fn holds_run(&self, run: &TnRange) -> bool {
        let Some((mut next, last)) = run.span() else {
            return self.ranges.iter().any(|r| r.start == run.start);
        };
        for _ in 0..=self.ranges.len() {
            let end = self
                .ranges
                .iter()
                .filter(|r| r.start.len() == run.start.len())
                .filter_map(TnRange::span)
                .filter(|(from, to)| (*from..=*to).contains(&next))
                .map(|(_, to)| to)
                .max();
            match end {
                Some(end) if end >= last => return true,
                Some(end) => next = end + 1,
                None => return false,
            }
        }
        false
    }
}

/// Whether a delegate's list lies inside its issuer's (rule X13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encompassed {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// Numbers under a service provider code, or a list that is kept elsewhere: nothing here can tell.
    Unknown,
}

impl TnRange {
    /// Runs are decimal and of one length: they end at all nines, and leading zeros count.
    fn holds(&self, number: &str) -> bool {
        if number.len() != self.start.len() {
            return false;
        }
        match (number.parse::<u64>(), self.span()) {
            (Ok(n), Some((first, last))) => (first..=last).contains(&n),
            // `*` or `#`: no arithmetic.
            _ => *self.start == *number,
        }
    }

    /// First and last number; `None` where there is a `*` or `#`. At most fifteen digits, so that nothing overflows but the count, and
    /// that is cut at all nines.
    fn span(&self) -> Option<(u64, u64)> {
        let digits = u32::try_from(self.start.len()).ok()?;
        let first = self.start.parse::<u64>().ok()?;
        let last = first.saturating_add(self.count.saturating_sub(1));
        Some((first, last.min(10u64.checked_pow(digits)?.checked_sub(1)?)))
    }
}

fn range(mut inner: &[u8]) -> Option<TnRange> {
    let (tag, start) = der::take(&mut inner)?;
    let count = der::unsigned(der::expect(&mut inner, der::INTEGER)?)?;
    let sound = tag == der::IA5_STRING
        && (1..=MAX_NUMBER).contains(&start.len())
        && start.iter().all(is_number)
        && count >= 2
        && inner.is_empty();
    Some(TnRange {
        start: std::str::from_utf8(start).ok().filter(|_| sound)?.into(),
        count,
    })
}

fn text(inner: &[u8], longest: usize, allowed: impl Fn(&u8) -> bool) -> Option<Box<str>> {
    let text = der::whole(inner, der::IA5_STRING)?;
    let sound = (1..=longest).contains(&text.len()) && text.iter().all(allowed);
    std::str::from_utf8(text)
        .ok()
        .filter(|_| sound)
        .map(Into::into)
}

fn is_number(b: &u8) -> bool {
    b.is_ascii_digit() || matches!(b, b'*' | b'#')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(hex: &str) -> Option<TnAuthList> {
        let bytes: Vec<u8> = hex
            .as_bytes()
            .chunks(2)
            .map(|p| u8::from_str_radix(std::str::from_utf8(p).unwrap(), 16).unwrap())
            .collect();
        TnAuthList::parse(&bytes)
    }

    fn tn(text: &str) -> Tn {
        Tn::from_canonical(text.as_bytes()).unwrap()
    }

    #[test]
    fn x9_a_service_provider_code() {
        let list = parse("3008A00616043730394A").unwrap();
        assert_eq!(list.spc[..], ["709J".into()]);
        assert!(list.ranges.is_empty());
    }

    #[test]
    fn x9_code_range_and_number() {
        let list = parse("302BA00616043730394AA1123010160B3132313535353530313030020132A20D160B3132313535353530313939").unwrap();
        assert_eq!(list.spc[..], ["709J".into()]);
        assert_eq!(
            list.ranges,
            [
                TnRange {
                    start: "12155550100".into(),
                    count: 50
                },
                TnRange {
                    start: "12155550199".into(),
                    count: 1
                }
            ]
        );
        for (number, inside) in [
            ("12155550099", false),
            ("12155550100", true),
            ("12155550149", true),
            ("12155550150", false),
            ("12155550199", true),
            ("2155550100", false),
            ("012155550100", false),
        ] {
            assert_eq!(list.covers(&tn(number)), inside, "{number}");
        }
    }

    #[test]
    fn x9_implicit_tags_and_the_two_malformed_forms_of_the_field_are_refused() {
        for bad in [
            "300680043730394A",
            "300613043735354A",
            "3008A006163535384A",
            "3000",
            "",
            "3008A00616043730394A00",
            "3008A00613043730394A",
            "3004A0021600",
            "3008A30616043730394A",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn x10_runs_stop_at_all_nines() {
        let r = TnRange {
            start: "0099".into(),
            count: u64::MAX,
        };
        assert!(r.holds("9999") && r.holds("0099"));
        assert!(!r.holds("0098") && !r.holds("10000") && !r.holds("99"));
    }

    fn run(start: &str, count: u64) -> TnRange {
        TnRange {
            start: start.into(),
            count,
        }
    }

    fn runs(ranges: &[(&str, u64)]) -> TnAuthList {
        TnAuthList {
            ranges: ranges.iter().map(|(s, n)| run(s, *n)).collect(),
            ..TnAuthList::default()
        }
    }

    fn code(spc: &str) -> TnAuthList {
        TnAuthList {
            spc: smallvec::smallvec![spc.into()],
            ..TnAuthList::default()
        }
    }

    #[test]
    fn x13_runs_lie_inside_runs_over_seams_and_leading_zeros_and_no_further() {
        let parent = runs(&[
            ("12025550100", 50),
            ("12025550150", 50),
            ("0012", 3),
            ("9990", u64::MAX),
            ("*67", 1),
        ]);
        for (start, count, inside) in [
            ("12025550100", 1, true),
            ("12025550100", 100, true),
            ("12025550149", 2, true),
            ("12025550199", 1, true),
            ("12025550199", 2, false),
            ("12025550099", 2, false),
            ("2025550100", 1, false),
            ("0012", 3, true),
            ("012", 1, false),
            ("12", 1, false),
            ("0015", 1, false),
            // Both are cut at all nines.
            ("9990", u64::MAX, true),
            ("9999", 5, true),
            ("9989", 2, false),
            ("*67", 1, true),
            ("*68", 1, false),
        ] {
            let child = runs(&[(start, count)]);
            let expected = if inside {
                Encompassed::Yes
            } else {
                Encompassed::No
            };
            assert_eq!(parent.encompasses(&child), expected, "{start} {count}");
        }
        let both = runs(&[("12025550100", 1), ("12025550200", 1)]);
        assert_eq!(parent.encompasses(&both), Encompassed::No, "each of them");
    }

    #[test]
    fn x13_codes_hold_themselves_and_numbers_under_a_code_cannot_be_computed() {
        let numbers = runs(&[("12025550100", 2)]);
        assert_eq!(code("709J").encompasses(&code("709J")), Encompassed::Yes);
        assert_eq!(code("709J").encompasses(&code("710J")), Encompassed::No);
        assert_eq!(numbers.encompasses(&code("709J")), Encompassed::No);
        assert_eq!(code("709J").encompasses(&numbers), Encompassed::Unknown);
        let mixed = TnAuthList {
            ranges: numbers.ranges.clone(),
            ..code("709J")
        };
        assert_eq!(mixed.encompasses(&numbers), Encompassed::Yes);
        assert_eq!(mixed.encompasses(&mixed), Encompassed::Yes);
        let more = runs(&[("12025550100", 3)]);
        assert_eq!(mixed.encompasses(&more), Encompassed::Unknown);
    }

    #[test]
    fn entries_are_bounded() {
        let entry = [0xa2, 0x05, 0x16, 0x03, b'9', b'1', b'1'];
        let list = |n: usize| crate::stir::credential::testpki::tlv(0x30, &entry.repeat(n));
        assert!(TnAuthList::parse(&list(MAX_ENTRIES)).is_some());
        assert!(TnAuthList::parse(&list(MAX_ENTRIES + 1)).is_none());
    }

    proptest! {
        #[test]
        fn x13_encompassing_is_what_counting_one_by_one_says(
            parent in proptest::collection::vec((0u64..100, 1u64..40), 0..6), start in 0u64..100, count in 1u64..40) {
            let two = |(s, n): (u64, u64)| run(&format!("{s:02}"), n);
            let parent = TnAuthList { ranges: parent.into_iter().map(two).collect(), ..TnAuthList::default() };
            let child = TnAuthList { ranges: vec![two((start, count))], ..TnAuthList::default() };
            let last = (start + count - 1).min(99);
            let each = (start..=last).all(|n| parent.ranges.iter().any(|r| r.holds(&format!("{n:02}"))));
            prop_assert_eq!(parent.encompasses(&child) == Encompassed::Yes, each);
        }

        #[test]
        fn hostile_der_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = TnAuthList::parse(&bytes);
        }
    }
}
