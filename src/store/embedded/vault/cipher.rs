//! AES-256-GCM by ring, and the keys that it runs on.
//!
//! A data key never seals anything itself: from it, a salt and a purpose HKDF (RFC 5869, SHA-256) makes the key of one file, so a number that counts the
//! blocks of that file is a nonce that never comes twice. Frames that are appended, perhaps after a crash tore one off, have random nonces instead.

use std::io;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, MAX_TAG_LEN, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::{Zeroize, Zeroizing};

/// Octets of a key.
pub(in crate::store::embedded) const KEY: usize = 32;
/// Octets that sealing adds: what proves that nothing was changed.
pub(in crate::store::embedded) const TAG: usize = MAX_TAG_LEN;
/// Octets that a sealed frame is longer than what it holds: its nonce ahead, its tag behind.
pub(in crate::store::embedded) const FRAME: usize = NONCE_LEN + TAG;

/// A secret of 256 bits: wiped when it is let go, and without a form to print.
#[derive(Clone)]
pub(in crate::store::embedded) struct Secret(Zeroizing<[u8; KEY]>);

impl Secret {
    pub fn from_octets(mut octets: [u8; KEY]) -> Self {
        let secret = Self(Zeroizing::new(octets));
        octets.zeroize();
        secret
    }

    pub fn random() -> io::Result<Self> {
        let mut octets = Zeroizing::new([0; KEY]);
        fill(&mut *octets)?;
        Ok(Self(octets))
    }

    pub(super) fn octets(&self) -> &[u8; KEY] {
        &self.0
    }

    /// Names the secret and tells nothing of it: the first eight octets of an HMAC (SHA-256) under it.
    pub fn id(&self) -> u64 {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.octets());
        let tag = hmac::sign(&key, b"tracehop wrapping key");
        let head = tag.as_ref().first_chunk().copied();
        u64::from_be_bytes(head.unwrap_or_default())
    }

    /// The key of one file or purpose.
    pub fn cipher(&self, salt: &[u8], purpose: &[u8]) -> io::Result<Cipher> {
        struct Length;
        impl KeyType for Length {
            fn len(&self) -> usize {
                KEY
            }
        }
        let mut octets = Zeroizing::new([0; KEY]);
        let prk = Salt::new(HKDF_SHA256, salt).extract(self.octets());
        prk.expand(&[purpose], Length)
            .and_then(|okm| okm.fill(&mut *octets))
            .map_err(|_| io::Error::other("no key could be derived"))?;
        Cipher::of(&octets)
    }
}

/// Random octets.
pub(in crate::store::embedded) fn fill(octets: &mut [u8]) -> io::Result<()> {
    let filled = SystemRandom::new().fill(octets);
    filled.map_err(|_| io::Error::other("no random numbers to be had"))
}

/// Seals and opens under one key. What ring keeps of the key is not ours to wipe.
pub(in crate::store::embedded) struct Cipher(LessSafeKey);

impl Cipher {
    pub(super) fn of(key: &[u8; KEY]) -> io::Result<Self> {
        let key = UnboundKey::new(&AES_256_GCM, key);
        let key = key.map_err(|_| io::Error::other("no key of AES-256"))?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// Seals block `number` of a file: `octets` become what is stored, longer by [`TAG`].
    pub fn seal_block(&self, number: u64, is_last: bool, octets: &mut Vec<u8>) -> io::Result<()> {
        let aad = Aad::from([u8::from(is_last)]);
        self.0
            .seal_in_place_append_tag(counted(number), aad, octets)
            .map_err(|_| io::Error::other("a block too long to be sealed"))
    }

    /// Opens block `number` in place; `None` where it is not what was sealed.
    pub fn open_block<'o>(
        &self,
        number: u64,
        is_last: bool,
        octets: &'o mut [u8],
    ) -> Option<&'o [u8]> {
        let aad = Aad::from([u8::from(is_last)]);
        let opened = self.0.open_in_place(counted(number), aad, octets);
        opened.ok().map(|o| &*o)
    }

    /// Appends a frame to `out`: nonce, `plain` sealed, tag. It opens only with the same `about`.
    pub fn seal_frame(&self, about: &[u8], plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let mut nonce = [0; NONCE_LEN];
        fill(&mut nonce)?;
        out.reserve(plain.len() + FRAME);
        out.extend_from_slice(&nonce);
        let from = out.len();
        out.extend_from_slice(plain);
        let (_, body) = out.split_at_mut(from);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce, Aad::from(about), body)
            .map_err(|_| io::Error::other("a frame too long to be sealed"))?;
        out.extend_from_slice(tag.as_ref());
        Ok(())
    }

    /// What [`Cipher::seal_frame`] was given; `None` where it is not that.
    pub fn open_frame(&self, about: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut octets = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self
            .0
            .open_in_place(nonce, Aad::from(about), &mut octets)
            .ok()?
            .len();
        octets.truncate(length);
        Some(octets)
    }
}

/// The nonce of a block: four octets of zero, then its number.
fn counted(number: u64) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    let (_, count) = nonce.split_at_mut(NONCE_LEN - size_of::<u64>());
    count.copy_from_slice(&number.to_le_bytes());
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_opens_only_where_it_was_sealed() {
        let secret = Secret::random().unwrap();
        let cipher = secret.cipher(b"salt", b"blocks").unwrap();
        let mut sealed = b"+1 202 555 0100".to_vec();
        cipher.seal_block(7, false, &mut sealed).unwrap();
        assert_eq!(sealed.len(), 15 + TAG);
        let opened = |cipher: &Cipher, number, last| {
            let mut octets = sealed.clone();
            let opened = cipher.open_block(number, last, &mut octets);
            opened.map(<[u8]>::to_vec)
        };
        assert_eq!(opened(&cipher, 7, false).unwrap(), b"+1 202 555 0100");
        assert_eq!(opened(&cipher, 8, false), None);
        assert_eq!(opened(&cipher, 7, true), None);
        for (salt, purpose) in [("salt", "frames"), ("tlas", "blocks")] {
            let other = secret.cipher(salt.as_bytes(), purpose.as_bytes()).unwrap();
            assert_eq!(opened(&other, 7, false), None);
        }
    }

    #[test]
    fn a_frame_opens_only_with_what_it_is_about() {
        let cipher = Secret::random().unwrap().cipher(b"", b"log").unwrap();
        let mut out = vec![9];
        cipher.seal_frame(b"at 9", b"a call", &mut out).unwrap();
        assert_eq!(out.len(), 1 + 6 + FRAME);
        assert_eq!(cipher.open_frame(b"at 9", &out[1..]).unwrap(), b"a call");
        assert_eq!(cipher.open_frame(b"at 8", &out[1..]), None);
        for at in 1..out.len() {
            let mut out = out.clone();
            out[at] ^= 1;
            assert_eq!(cipher.open_frame(b"at 9", &out[1..]), None);
            assert_eq!(cipher.open_frame(b"at 9", &out[1..at]), None);
        }
    }

    #[test]
    fn the_name_of_a_secret_is_always_the_same() {
        let secret = Secret::from_octets([7; KEY]);
        assert_eq!(secret.id(), Secret::from_octets([7; KEY]).id());
        assert_ne!(secret.id(), Secret::from_octets([8; KEY]).id());
    }
}
