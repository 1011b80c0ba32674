//! A reader of DER (X.690 §10) for the few structures that x509-parser leaves to us: definite lengths in their shortest
//! form, one-octet tags, no copy.

/// `INTEGER`
pub const INTEGER: u8 = 0x02;
/// `OBJECT IDENTIFIER`
pub const OID: u8 = 0x06;
/// `BIT STRING`
pub const BIT_STRING: u8 = 0x03;
/// `ENUMERATED`
pub const ENUMERATED: u8 = 0x0a;
/// `UTF8String`
pub const UTF8_STRING: u8 = 0x0c;
/// `IA5String`
pub const IA5_STRING: u8 = 0x16;
/// `SEQUENCE`
pub const SEQUENCE: u8 = 0x30;
/// `SET`
pub const SET: u8 = 0x31;

/// Tag of a constructed, context-specific element: `[n]` EXPLICIT.
pub const fn explicit(n: u8) -> u8 {
    0xa0 | n
}

/// Takes one element off the front: its tag and its contents. `None` at the end, and where it is not DER.
pub fn take<'a>(rest: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let [tag, first, tail @ ..] = *rest else {
        return None;
    };
    // Tags above 30 take further octets; nothing that we read has one.
    if tag & 0x1f == 0x1f {
        return None;
    }
    let (len, tail) = match *first {
        n @ 0..=0x7f => (usize::from(n), tail),
        n @ 0x81..=0x83 => {
            let (digits, tail) = tail.split_at_checked(usize::from(n & 0x7f))?;
            let len = digits.iter().fold(0usize, |l, b| l << 8 | usize::from(*b));
            let shortest = digits.first() != Some(&0) && len > 0x7f;
            (shortest.then_some(len)?, tail)
        }
        // Indefinite, or 16 MB and more.
        _ => return None,
    };
    let (contents, tail) = tail.split_at_checked(len)?;
    *rest = tail;
    Some((*tag, contents))
}

/// Takes one element of the tag that must come.
pub fn expect<'a>(rest: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (found, contents) = take(rest)?;
    (found == tag).then_some(contents)
}

/// The contents of an element that is all of `text`.
pub fn whole(mut text: &[u8], tag: u8) -> Option<&[u8]> {
    let contents = expect(&mut text, tag)?;
    text.is_empty().then_some(contents)
}

/// A certificate or list, split into what is signed and the signature.
pub struct SignedDer<'a> {
    /// What is signed, with its tag.
    pub tbs: &'a [u8],
    /// The signature.
    pub signature: &'a [u8],
}

/// What is wrong where [`signed`] gives nothing.
pub const NOT_SIGNED: &str =
    "not DER outside, or the signature algorithms inside and outside differ";

/// Splits what is signed from its signature. The algorithm outside, which nobody signs, must be octet by octet the one inside
/// (RFC 5280 §4.1.1.2): so not one octet of the whole can be changed without breaking it.
pub fn signed(text: &[u8]) -> Option<SignedDer<'_>> {
    let mut rest = whole(text, SEQUENCE)?;
    let (_, tbs) = take_raw(&mut rest)?;
    let (_, outside) = take_raw(&mut rest)?;
    let [0, signature @ ..] = whole(rest, BIT_STRING)? else {
        return None;
    };
    // Version and serial number stand before it; it is the first sequence in both structures.
    let mut parts = whole(tbs, SEQUENCE)?;
    let inside = loop {
        match take_raw(&mut parts)? {
            (SEQUENCE, raw) => break raw,
            _ => continue,
        }
    };
    (inside == outside).then_some(SignedDer { tbs, signature })
}

/// Takes one element off the front, with its tag and length.
fn take_raw<'a>(rest: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let begin = *rest;
    let (tag, _) = take(rest)?;
    Some((tag, begin.get(..begin.len() - rest.len())?))
}

/// An integer's magnitude without leading zeros: how serial numbers are compared (rule R3).
pub fn magnitude(integer: &[u8]) -> &[u8] {
    let zeros = integer.iter().take_while(|b| **b == 0).count();
    integer.get(zeros..).unwrap_or_default()
}

/// A positive integer of at most eight octets, in its shortest form.
pub fn unsigned(integer: &[u8]) -> Option<u64> {
    let digits = match integer {
        [0] => integer,
        [0, rest @ ..] if rest.first().is_some_and(|b| *b >= 0x80) => rest,
        [0x01..=0x7f, ..] => integer,
        _ => return None,
    };
    (digits.len() <= 8).then(|| digits.iter().fold(0, |n, b| n << 8 | u64::from(*b)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_are_definite_and_shortest() {
        let mut long = vec![0x04, 0x81, 0x80];
        long.extend([7; 128]);
        assert_eq!(whole(&long, 0x04).map(<[u8]>::len), Some(128));
        for bad in [
            &[0x04, 0x81, 0x01, 7][..],
            &[0x04, 0x82, 0x00, 0x80],
            &[0x04, 0x80, 0, 0],
            &[0x04, 2, 7],
            &[0x04],
            &[0x1f, 0x01, 0],
            &[0x04, 0x84, 0, 0, 0, 1, 7],
        ] {
            assert_eq!(take(&mut { bad }), None, "{bad:x?}");
        }
        assert_eq!(whole(&[0x04, 1, 7, 0], 0x04), None, "trailing");
    }

    #[test]
    fn integers() {
        assert_eq!(unsigned(&[0x32]), Some(50));
        assert_eq!(unsigned(&[0]), Some(0));
        assert_eq!(unsigned(&[0, 0x80]), Some(128));
        assert_eq!(unsigned(&[0, 0x7f]), None, "not shortest");
        assert_eq!(unsigned(&[0x80]), None, "negative");
        assert_eq!(unsigned(&[1; 9]), None);
        assert_eq!(magnitude(&[0, 0, 5]), &[5]);
    }

    proptest! {
        #[test]
        fn hostile_octets_end(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut rest = &bytes[..];
            while take(&mut rest).is_some() {}
        }
    }
}
