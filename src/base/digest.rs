//! Short digests of identifiers (Call-ID, Session-ID, …) that are only ever compared with each other.

use ring::digest::{SHA256, digest};

/// The first eight octets of the SHA-256 of an identifier, as a number.
///
/// Sixty-four bits: among the 10^4 candidates that a look-up may hold at most, two different
/// identifiers collide with a chance below 10^-11. SHA-256 because the sender chooses the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdDigest(pub u64);

impl IdDigest {
    /// Digests one identifier as it stood on the wire.
    pub fn of(text: &[u8]) -> Self {
        let d = digest(&SHA256, text);
        Self(first_u64(d.as_ref()))
    }
}

impl serde::Serialize for IdDigest {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&format_args!("{:016x}", self.0))
    }
}

/// SHA-256, cut to sixteen octets: names one PASSporT (its signing input) or one certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest128(pub [u8; 16]);

impl Digest128 {
    /// Digests `text`.
    pub fn of(text: &[u8]) -> Self {
        let mut out = [0; 16];
        for (o, b) in out.iter_mut().zip(digest(&SHA256, text).as_ref()) {
            *o = *b;
        }
        Self(out)
    }

    /// From hexadecimal text of at least 32 digits (a full SHA-256 has 64; only the first 32 count).
    pub fn from_hex(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        let mut out = [0; 16];
        for (o, pair) in out.iter_mut().zip(text.get(..32)?.chunks_exact(2)) {
            let [h, l] = pair else { return None };
            *o = u8::try_from((*h as char).to_digit(16)? * 16 + (*l as char).to_digit(16)?).ok()?;
        }
        text.iter().all(u8::is_ascii_hexdigit).then_some(Self(out))
    }
}

impl std::fmt::Display for Digest128 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl serde::Serialize for Digest128 {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Digest128 {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'_, str>>::deserialize(d)?;
        Self::from_hex(&text).ok_or_else(|| serde::de::Error::custom("no digest in hexadecimal"))
    }
}

fn first_u64(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .take(8)
        .fold(0, |n, b| (n << 8) | u64::from(*b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_and_back() {
        let d = Digest128::of(b"header.payload");
        assert_eq!(Digest128::from_hex(&d.to_string()), Some(d));
        assert_eq!(Digest128::from_hex("00"), None);
        assert_eq!(Digest128::from_hex(&"zz".repeat(16)), None);
    }

    #[test]
    fn identifiers_differ() {
        assert_ne!(
            IdDigest::of(b"a@example.net"),
            IdDigest::of(b"b@example.net")
        );
    }
}
