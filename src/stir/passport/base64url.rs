//! base64url without padding (RFC 7515 §2), strict about alphabet and length.
//!
//! Unused bits of the last character should be zero; where they are not, two texts stand for one value. That is told
//! apart from garbage, because RFC 4648 §3.5 leaves it to the decoder (rule G1S).

use base64_simd::{AsOut, URL_SAFE_NO_PAD};
use smallvec::SmallVec;

/// Whether the unused bits of a text were zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slack {
    /// They were, or there are none.
    Clean,
    /// They were not.
    Set,
}

/// A character outside `A-Za-z0-9-_`, padding, or an impossible length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotBase64Url;

/// Decodes `text` into `out`, which is overwritten.
///
/// # Errors
///
/// [`NotBase64Url`]; `out` holds nothing useful then.
pub fn decode<const N: usize>(
    text: &[u8],
    out: &mut SmallVec<[u8; N]>,
) -> Result<Slack, NotBase64Url>
where
    [u8; N]: smallvec::Array<Item = u8>,
{
    // Whole groups of four go through the vector code; it refuses slack bits, so the tail is ours.
    let (groups, tail) = text.split_at(text.len() - text.len() % 4);
    out.clear();
    out.resize(groups.len() / 4 * 3, 0);
    URL_SAFE_NO_PAD
        .decode(groups, out.as_mut_slice().as_out())
        .map_err(|_| NotBase64Url)?;
    let bits = |b: &u8| sextet(*b).ok_or(NotBase64Url);
    match tail {
        [] => Ok(Slack::Clean),
        [a, b] => {
            let n = bits(a)? << 6 | bits(b)?;
            out.extend_from_slice(&[octet(n >> 4)]);
            Ok(slack(n & 0xf))
        }
        [a, b, c] => {
            let n = bits(a)? << 12 | bits(b)? << 6 | bits(c)?;
            out.extend_from_slice(&[octet(n >> 10), octet(n >> 2)]);
            Ok(slack(n & 0x3))
        }
        _ => Err(NotBase64Url),
    }
}

const fn slack(bits: u32) -> Slack {
    if bits == 0 { Slack::Clean } else { Slack::Set }
}

const fn octet(n: u32) -> u8 {
    n.to_le_bytes()[0]
}

fn sextet(b: u8) -> Option<u32> {
    let n = match b {
        b'A'..=b'Z' => b - b'A',
        b'a'..=b'z' => b - b'a' + 26,
        b'0'..=b'9' => b - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => return None,
    };
    Some(u32::from(n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as ORACLE;
    use proptest::prelude::*;

    fn decoded(text: &str) -> Result<(Vec<u8>, Slack), NotBase64Url> {
        let mut out = SmallVec::<[u8; 256]>::new();
        let slack = decode(text.as_bytes(), &mut out)?;
        Ok((out.to_vec(), slack))
    }

    #[test]
    fn padding_other_alphabet_blanks_and_impossible_lengths_are_refused() {
        for bad in [
            "YQ==", "YWI=", "+A", "/A", "Y Q", "YQ\n", "A", "AAAAA", "\u{e9}A",
        ] {
            assert_eq!(decoded(bad), Err(NotBase64Url), "{bad:?}");
        }
    }

    #[test]
    fn slack_bits_decode_and_are_named() {
        assert_eq!(decoded("YQ"), Ok((b"a".to_vec(), Slack::Clean)));
        assert_eq!(decoded("YR"), Ok((b"a".to_vec(), Slack::Set)));
        assert_eq!(decoded("YWI"), Ok((b"ab".to_vec(), Slack::Clean)));
        assert_eq!(decoded("YWJ"), Ok((b"ab".to_vec(), Slack::Set)));
        assert_eq!(decoded(""), Ok((Vec::new(), Slack::Clean)));
    }

    proptest! {
        #[test]
        fn agrees_with_another_decoder(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert_eq!(decoded(&ORACLE.encode(&bytes)), Ok((bytes, Slack::Clean)));
        }

        #[test]
        fn refuses_what_another_decoder_refuses(text in "[A-Za-z0-9_=+/ -]{0,40}") {
            let ours = decoded(&text).ok().filter(|(_, s)| *s == Slack::Clean).map(|(v, _)| v);
            prop_assert_eq!(ours, ORACLE.decode(&text).ok());
        }
    }
}
