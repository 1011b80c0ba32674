//! Bytes from the wire as text: readable where they are UTF-8, and reversible always. Words of others with telephone numbers masked.

use std::fmt::{self, Write};

/// Writes `bytes` as UTF-8 text in which every byte that is not printable UTF-8, and every backslash,
/// stands as `\xNN`. Nothing is lost: [`unescape`] gives the bytes back.
pub fn escape(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '\\' || c.is_control() {
                let mut buf = [0; 4];
                for b in c.encode_utf8(&mut buf).bytes() {
                    let _ = write!(out, "\\x{b:02x}");
                }
            } else {
                out.push(c);
            }
        }
        for b in chunk.invalid() {
            let _ = write!(out, "\\x{b:02x}");
        }
    }
    out
}

/// Undoes [`escape`]. A backslash that does not start `\xNN` is kept as it is.
pub fn unescape(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&b, tail)) = rest.split_first() {
        if let [b'x', h, l, after @ ..] = tail
            && b == b'\\'
            && let (Some(h), Some(l)) = ((*h as char).to_digit(16), (*l as char).to_digit(16))
        {
            out.push(u8::try_from(h * 16 + l).unwrap_or_default());
            rest = after;
        } else {
            out.push(b);
            rest = tail;
        }
    }
    out
}

/// Shows words of others as they are, but for the last four digits of what may be a telephone number: ten digits or more, in groups or not. For the log,
/// where ids of a portal stand: the first digits still tell one from another.
#[derive(Clone, Copy, Debug)]
pub struct Masked<T>(pub T);

/// Digits from which on it may be a telephone number with its area.
const NUMBER: usize = 10;
/// Digits that are masked: what tells the lines of one exchange apart.
const LINE: usize = 4;

impl<T: fmt::Display> fmt::Display for Masked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let grouping = |c: char| matches!(c, '-' | '.' | ' ' | '(' | ')' | '/');
        let mut rest = &*text;
        while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
            let (before, from) = rest.split_at(at);
            let end = from.find(|c: char| !c.is_ascii_digit() && !grouping(c));
            let (run, after) = from.split_at(end.unwrap_or(from.len()));
            f.write_str(before)?;
            let digits = run.bytes().filter(u8::is_ascii_digit).count();
            let shown = if digits < NUMBER {
                digits
            } else {
                digits - LINE
            };
            let mut seen = 0;
            for c in run.chars() {
                seen += usize::from(c.is_ascii_digit());
                let hidden = c.is_ascii_digit() && seen > shown;
                f.write_char(if hidden { 'x' } else { c })?;
            }
            rest = after;
        }
        f.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn latin1_stands_as_hex() {
        assert_eq!(escape(b"Jos\xe9 \\ \r\n"), "Jos\\xe9 \\x5c \\x0d\\x0a");
    }

    proptest! {
        #[test]
        fn nothing_is_lost(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(unescape(&escape(&bytes)), bytes);
        }
    }

    #[test]
    fn the_end_of_a_telephone_number_is_masked_wherever_it_stands() {
        for (text, shown) in [
            ("", ""),
            ("HR-0001 of itg-48213377", "HR-0001 of itg-48213377"),
            ("portal/12025550123", "portal/1202555xxxx"),
            ("call +1 (202) 555-0123!", "call +1 (202) 555-xxxx!"),
            ("a 2025550123 b 2025550124", "a 202555xxxx b 202555xxxx"),
            ("é1202555012é", "é120255xxxxé"),
        ] {
            assert_eq!(Masked(text).to_string(), shown);
        }
    }
}
