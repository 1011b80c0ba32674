//! A small deterministic source of numbers: the same seed gives the same capture on every machine and for ever.
//!
//! SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014). Not for secrets: the lab's keys are
//! no secrets either.

/// A stream of numbers.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A stream for a seed and a purpose, so that one part of the lab can change without moving the others.
    pub fn new(seed: u64, purpose: &str) -> Self {
        // FNV-1a: spreads short names well enough, the first outputs do the rest.
        let name = purpose.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
            (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let mut stream = Self(seed ^ name);
        let start = stream.bits();
        Self(start ^ seed.rotate_left(32))
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 up to and without `limit`; 0 for a limit of 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        // The high half of the product: the bias is below limit / 2^64.
        ((u128::from(self.bits()) * u128::from(limit)) >> 64) as u64
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low.wrapping_add(self.below(high.abs_diff(low).saturating_add(1)) as i64)
    }

    /// True once in a while: with probability `share`.
    pub fn chance(&mut self, share: f64) -> bool {
        ((self.bits() >> 11) as f64) < share * (1u64 << 53) as f64
    }

    /// A place in a list of `len` entries.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// One of `list`, which must not be empty.
    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.index(list.len())]
    }

    /// The place in a list of weights, each hit in proportion.
    pub fn weighted(&mut self, weights: impl Iterator<Item = u32> + Clone) -> usize {
        let mut left = self.below(weights.clone().map(u64::from).sum());
        for (i, w) in weights.enumerate() {
            match left.checked_sub(u64::from(w)) {
                Some(rest) => left = rest,
                None => return i,
            }
        }
        0
    }

    /// `digits` hexadecimal digits, 16 at most.
    pub fn hex(&mut self, digits: usize) -> String {
        let mut text = format!("{:016x}", self.bits());
        text.truncate(digits);
        text
    }

    /// A version 4 UUID (RFC 9562 §5.4).
    pub fn uuid(&mut self) -> String {
        let high = self.bits() & !0xf000 | 0x4000;
        let low = self.bits() & !(0b11 << 62) | (0b10 << 62);
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xffff,
            low >> 48,
            low & 0xffff_ffff_ffff
        )
    }

    /// Puts a list in a random order.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for i in (1..list.len()).rev() {
            list.swap(i, self.index(i + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_stream() {
        // First outputs of SplitMix64 with state 1234567, as in the reference implementation.
        let mut r = Random(1_234_567);
        assert_eq!(
            [r.bits(), r.bits(), r.bits()],
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn seeds_and_purposes_give_streams_of_their_own() {
        let first = |seed, purpose| Random::new(seed, purpose).bits();
        assert_eq!(first(1, "calls"), first(1, "calls"));
        assert_ne!(first(1, "calls"), first(2, "calls"));
        assert_ne!(first(1, "calls"), first(1, "keys"));
    }

    #[test]
    fn numbers_stay_within_their_limits() {
        let mut r = Random::new(1, "test");
        for _ in 0..1000 {
            assert!((-3..=4).contains(&r.between(-3, 4)));
            assert!(r.below(7) < 7);
            assert_ne!(r.weighted([3, 0, 1].into_iter()), 1);
        }
        assert_eq!(r.uuid().len(), 36);
        assert_eq!(r.uuid().as_bytes()[14], b'4');
    }
}
