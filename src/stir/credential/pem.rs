//! PEM bundles (RFC 7468): the `CERTIFICATE` blocks of a text, in order. Other blocks and text between them are passed over.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem;

/// Largest bundle that is looked at (rule X3). Three certificates take 4 KB.
pub const MAX_BUNDLE: usize = 64 * 1024;

const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
const END: &[u8] = b"-----END CERTIFICATE-----";

/// The contents of each block: DER, or `None` where a block is not closed or not base64.
pub fn certificates(text: &[u8]) -> impl Iterator<Item = Option<Vec<u8>>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let begin = memmem::find(rest, BEGIN)? + BEGIN.len();
        rest = rest.get(begin..)?;
        let Some(end) = memmem::find(rest, END) else {
            rest = &[];
            return Some(None);
        };
        let (body, tail) = rest.split_at(end);
        rest = tail;
        let digits: Vec<u8> = body
            .iter()
            .copied()
            .filter(|b| !b.is_ascii_whitespace())
            .collect();
        Some(STANDARD.decode(digits).ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_in_order_with_text_between() {
        let text = b"subject=x\n-----BEGIN CERTIFICATE-----\r\nYWJj\r\n-----END CERTIFICATE-----\r\n-----BEGIN EC PARAMETERS-----\nAAAA\n-----END EC PARAMETERS-----\n-----BEGIN CERTIFICATE-----\nZG Vm\n-----END CERTIFICATE-----";
        let blocks: Vec<_> = certificates(text).collect();
        assert_eq!(blocks, [Some(b"abc".to_vec()), Some(b"def".to_vec())]);
    }

    #[test]
    fn broken_blocks_are_told() {
        let text = b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nYWJj";
        assert_eq!(certificates(text).collect::<Vec<_>>(), [None, None]);
        assert_eq!(certificates(b"").count(), 0);
    }
}
