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
}

impl TnRange {
    /// Runs are decimal and of one length: they end at all nines, and leading zeros count.
    fn holds(&self, number: &str) -> bool {
        if number.len() != self.start.len() {
            return false;
        }
        match (number.parse::<u64>(), self.start.parse::<u64>()) {
            (Ok(n), Ok(start)) => n >= start && n - start < self.count,
            // `*` or `#`: no arithmetic.
            _ => *self.start == *number,
        }
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

    proptest! {
        #[test]
        fn hostile_der_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = TnAuthList::parse(&bytes);
        }
    }
}
