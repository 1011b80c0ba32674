//! Bytes from the wire as text: readable where they are UTF-8, and reversible always.

use std::fmt::Write;

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
}
