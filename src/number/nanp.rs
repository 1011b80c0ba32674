//! What can't be a North American number: shape rules of the NANP, without numbering data.

use crate::number::Tn;

/// What the shape of a canonical number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NanpShape {
    /// Country code 1, area code and exchange of a legal shape.
    Possible,
    /// Country code 1, and no such number can exist: wrong length, area code not `[2-9][0-8]X`,
    /// an N11 area code, an exchange not `[2-9]XX`, or an N11 exchange outside the toll-free area codes.
    Impossible,
    /// Another country, or a short or feature code: these rules don't apply.
    NotNanp,
}

/// Judges the shape of a canonical number: `NXX-NXX-XXXX` with N from 2 to 9, no N11 code, and no area
/// code with 9 in the middle, which is kept back for the plan's expansion.
pub fn shape(tn: &Tn) -> NanpShape {
    let [b'1', national @ ..] = tn.as_bytes() else {
        return NanpShape::NotNanp;
    };
    if national.len() < 7 {
        return NanpShape::NotNanp;
    }
    let [a, b, c, d, e, f, line @ ..] = national else {
        return NanpShape::Impossible;
    };
    let n = |d: &u8| (b'2'..=b'9').contains(d);
    let n11 = |x: &u8, y: &u8| *x == b'1' && *y == b'1';
    let toll_free = *a == b'8' && b == c && matches!(b, b'0' | b'2'..=b'8');
    let digits = national.iter().all(u8::is_ascii_digit);
    if digits
        && line.len() == 4
        && n(a)
        && *b != b'9'
        && !n11(b, c)
        && n(d)
        && (toll_free || !n11(e, f))
    {
        NanpShape::Possible
    } else {
        NanpShape::Impossible
    }
}

/// A possible North American number in its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Area code.
    pub npa: u16,
    /// Exchange.
    pub nxx: u16,
    /// The last four digits.
    pub line: u16,
}

/// Takes a number of [`NanpShape::Possible`] apart; `None` for any other.
pub fn parts(tn: &Tn) -> Option<Parts> {
    if shape(tn) != NanpShape::Possible {
        return None;
    }
    let number = |digits: &[u8]| {
        let value = |n, d: &u8| n * 10 + u16::from(d.saturating_sub(b'0'));
        digits.iter().fold(0, value)
    };
    let national = tn.as_bytes().get(1..)?;
    Some(Parts {
        npa: number(national.get(..3)?),
        nxx: number(national.get(3..6)?),
        line: number(national.get(6..)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> NanpShape {
        shape(&Tn::from_canonical(text.as_bytes()).unwrap())
    }

    #[test]
    fn parts_of_what_is_possible_alone() {
        let tn = |text: &str| Tn::from_canonical(text.as_bytes()).unwrap();
        let (npa, nxx, line) = (202, 555, 123);
        assert_eq!(parts(&tn("12025550123")), Some(Parts { npa, nxx, line }));
        assert_eq!(parts(&tn("12021550123")), None);
        assert_eq!(parts(&tn("442079460123")), None);
    }

    #[test]
    fn shapes() {
        assert_eq!(of("12025550123"), NanpShape::Possible);
        assert_eq!(of("18004115550"), NanpShape::Possible, "toll-free");
        for bad in [
            "11025550123",
            "12925550123",
            "19115550123",
            "12021550123",
            "12029110123",
            "1202555012",
            "120255501234",
            "10005550123",
        ] {
            assert_eq!(of(bad), NanpShape::Impossible, "{bad}");
        }
        for other in ["442079460123", "911", "1", "*67", "112"] {
            assert_eq!(of(other), NanpShape::NotNanp, "{other}");
        }
    }
}
