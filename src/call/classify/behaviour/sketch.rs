//! Keys, and how often each was seen at most: a count-min sketch with conservative update over the current hour and the one before.
//!
//! Own code: it is thirty lines, and the libraries' sketches have counters of eight octets and no windows. It only says who is worth an exact count
//! ([`super::heads`]); nobody is flagged for what it says, because it may say too much.

use std::net::IpAddr;

use crate::base::Timestamp;
use crate::base::digest::IdDigest;
use crate::number::Tn;

use super::window::seconds;

/// Names a number, at a neighbour or by itself, exactly: two keys are equal only if both are.
pub(super) type Key = u128;

/// Rows. The chance that a number is overcounted by more than e·N/width is e^-4.
const ROWS: u32 = 4;

/// The width of its windows.
const HOUR: u32 = 3_600;

/// Where a number's digits end in a key: 23 characters of four bits.
const ROOM: u32 = 92;

/// A number's key: four bits a character, above them `room` (36 bits).
pub(super) fn key(room: u64, tn: &[u8]) -> Key {
    let digits = tn.iter().fold(0u128, |key, b| {
        // 0 to 9 as 1 to 10, so that no number is the beginning of another by zeros.
        let nibble = match b {
            b'*' => 11,
            b'#' => 12,
            digit => digit.wrapping_sub(b'0') & 0x0f,
        };
        (key << 4) | u128::from(nibble + u8::from(b.is_ascii_digit()))
    });
    (u128::from(room) << ROOM) | (digits & ((1 << ROOM) - 1))
}

/// The number in a key.
pub(super) fn number(key: Key) -> Option<Tn> {
    let mut text = [0u8; Tn::MAX];
    let mut rest = key & ((1 << ROOM) - 1);
    let mut at = Tn::MAX;
    while rest > 0 {
        at = at.checked_sub(1)?;
        let nibble = u8::try_from(rest & 0x0f).ok()?;
        *text.get_mut(at)? = match nibble {
            11 => b'*',
            12 => b'#',
            n => b'0' + n.checked_sub(1)?,
        };
        rest >>= 4;
    }
    Tn::from_canonical(text.get(at..)?)
}

/// The room of a key.
#[cfg(test)]
pub(super) fn room(key: Key) -> u64 {
    u64::try_from(key >> ROOM).unwrap_or(u64::MAX)
}

/// The room of a neighbour that no rule names: no other stranger's numbers meet its own. Neighbours with a place have rooms below 2^16.
///
/// An IPv4 address is its room. Of IPv6 a subscriber has a /64 to choose addresses in (RFC 6177), so that counts, by 34 bits of a digest.
pub(super) fn stranger(from: IpAddr) -> u64 {
    match from.to_canonical() {
        IpAddr::V4(a) => 1 << 35 | u64::from(u32::from(a)),
        IpAddr::V6(a) => 3 << 34 | IdDigest::of(a.octets().get(..8).unwrap_or(&[])).0 >> 30,
    }
}

/// Spreads a key: the same on every machine and in every run, because records must not depend on either. Whoever finds keys that
/// meet gains no more than exact counts for them.
pub(super) fn spread(key: Key) -> u64 {
    // The finaliser of MurmurHash3, over both halves.
    let mix = |mut h: u64| {
        h ^= h >> 33;
        h = h.wrapping_mul(0xff51_afd7_ed55_8ccd);
        h ^= h >> 33;
        h = h.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        h ^ (h >> 33)
    };
    let high = u64::try_from(key >> 64).unwrap_or(0);
    let low = u64::try_from(key & u128::from(u64::MAX)).unwrap_or(0);
    mix(low ^ mix(high.wrapping_add(0x9e37_79b9_7f4a_7c15)))
}

/// The sketch.
#[derive(Debug)]
pub(super) struct CountMin {
    width: u64,
    hour: u32,
    current: Vec<u16>,
    before: Vec<u16>,
}

impl CountMin {
    /// Four rows of 2^`bits` counters of two octets, twice.
    pub fn new(bits: u32) -> Self {
        let width = 1u64 << bits;
        let cells = usize::try_from(width * u64::from(ROWS)).unwrap_or(0);
        Self {
            width,
            hour: 0,
            current: vec![0; cells],
            before: vec![0; cells],
        }
    }

    /// Counts a key. Gives how often it was seen in this hour of the clock at most, and with what is left of the one before.
    pub fn add(&mut self, now: Timestamp, key: Key) -> (u32, u32) {
        self.roll(now);
        let cells = self.cells(key);
        let least = |counts: &[u16]| {
            let of = cells.iter().filter_map(|c| counts.get(*c));
            of.copied().min().unwrap_or(0)
        };
        let (seen, before) = (least(&self.current).saturating_add(1), least(&self.before));
        for cell in cells {
            if let Some(count) = self.current.get_mut(cell) {
                *count = (*count).max(seen);
            }
        }
        let left = HOUR - seconds(now) % HOUR;
        let before = u32::from(before) * left / HOUR;
        (seen.into(), before + u32::from(seen))
    }

    /// Octets that it takes.
    #[cfg(test)]
    pub fn octets(&self) -> usize {
        (self.current.len() + self.before.len()) * 2
    }

    fn cells(&self, key: Key) -> [usize; ROWS as usize] {
        // Kirsch and Mitzenmacher: two hashes give all rows. A row takes twenty bits at most, so one of 64 is enough for two.
        let a = spread(key);
        let b = a.rotate_right(44) | 1;
        [0u64, 1, 2, 3].map(|row| {
            let column = a.wrapping_add(row.wrapping_mul(b)) & (self.width - 1);
            usize::try_from(row * self.width + column).unwrap_or(usize::MAX)
        })
    }

    fn roll(&mut self, now: Timestamp) {
        let hour = seconds(now) / HOUR;
        match hour.saturating_sub(self.hour) {
            0 => return,
            1 => std::mem::swap(&mut self.current, &mut self.before),
            _ => self.before = vec![0; self.before.len()],
        }
        // New, not filled: of fresh memory a quiet edge touches little.
        self.current = vec![0; self.current.len()];
        self.hour = hour;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn a_key_is_its_number(text in "[0-9*#]{1,23}", at in 0u64..1 << 36) {
            let k = key(at, text.as_bytes());
            let tn = number(k).unwrap();
            prop_assert_eq!(tn.as_str(), text.as_str());
            prop_assert_eq!(room(k), at);
        }

        #[test]
        fn it_never_says_less_than_there_was(calls in proptest::collection::vec(0u32..400, 1..2_000)) {
            let mut sketch = CountMin::new(6);
            let mut exact = HashMap::new();
            for n in calls {
                let k = key(1, n.to_string().as_bytes());
                let truth = exact.entry(k).or_insert(0u32);
                *truth += 1;
                prop_assert!(sketch.add(Timestamp::from_secs(100), k).0 >= *truth);
            }
        }
    }

    #[test]
    fn strangers_have_a_room_each() {
        let of = |a: &str| stranger(a.parse().unwrap());
        assert_ne!(of("198.51.100.1"), of("198.51.100.2"));
        assert_eq!(of("198.51.100.1"), of("::ffff:198.51.100.1"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        for a in ["0.0.0.0", "255.255.255.255", "2001:db8::1"] {
            assert!(of(a) > u16::MAX.into() && of(a) < 1 << 36);
        }
        assert_ne!(of("0.0.0.0") >> 34, of("2001:db8::1") >> 34);
    }

    #[test]
    fn the_hour_before_fades() {
        let mut sketch = CountMin::new(10);
        let k = key(1, b"12025550100");
        for _ in 0..100 {
            sketch.add(Timestamp::from_secs(3_599), k);
        }
        assert_eq!(sketch.add(Timestamp::from_secs(3_600), k), (1, 101));
        assert_eq!(sketch.add(Timestamp::from_secs(5_400), k), (2, 52));
        assert_eq!(sketch.add(Timestamp::from_secs(20_000), k), (1, 1));
    }
}
