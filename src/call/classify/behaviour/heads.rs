//! Exact counts for the few keys that matter: a table of fixed size, eight places a bucket. A full bucket gives up its lightest entry.
//!
//! What is given up is counted. Own code, because the choice must be the same in every run, and by weight rather than age.

use super::sketch::{Key, spread};
use crate::base::Timestamp;

/// Places in a bucket: their keys are two lines of the cache.
const WAYS: usize = 8;

/// What an entry is worth.
pub(super) trait Weight {
    /// The lighter, the sooner it is given up.
    fn weight(&self, now: Timestamp) -> f64;
}

/// Where an entry is, and which of those that have been there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Index from 1; 0 for none.
    pub at: u32,
    /// Rises when the place changes hands.
    pub generation: u16,
}

/// The table.
#[derive(Debug)]
pub(super) struct Heads<V> {
    /// Zero is free: no number has that key.
    keys: Vec<Key>,
    /// Index of the value, from 1.
    places: Vec<u32>,
    values: Vec<(u16, V)>,
    /// Entries given up for heavier ones.
    pub displaced: u64,
}

impl<V: Weight + Default> Heads<V> {
    /// Room for 2^`bits` keys.
    pub fn new(bits: u32) -> Self {
        let size = (1usize << bits).max(WAYS);
        Self {
            keys: vec![0; size],
            places: vec![0; size],
            values: Vec::new(),
            displaced: 0,
        }
    }

    /// How many keys are in it.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Octets that it may take.
    #[cfg(test)]
    pub fn most_octets(&self) -> usize {
        self.keys.len() * (size_of::<Key>() + size_of::<u32>() + size_of::<(u16, V)>())
    }

    /// The entry of a key.
    pub fn find(&mut self, key: Key) -> Option<(Place, &mut V)> {
        let slot = self.slot(key)?;
        self.at_slot(slot)
    }

    /// The entry of a key, new where there is none.
    pub fn find_or_add(&mut self, now: Timestamp, key: Key) -> Option<(Place, &mut V)> {
        if let Some(slot) = self.slot(key) {
            return self.at_slot(slot);
        }
        let bucket = self.bucket(key);
        let free = bucket.clone().find(|s| self.keys.get(*s) == Some(&0));
        let slot = match free {
            Some(slot) => {
                self.values.push((0, V::default()));
                *self.places.get_mut(slot)? = u32::try_from(self.values.len()).ok()?;
                slot
            }
            None => {
                let weight = |s: &usize| self.value(*s).map_or(0.0, |(_, v)| v.weight(now));
                let slot = bucket.min_by(|a, b| weight(a).total_cmp(&weight(b)))?;
                let value = (*self.places.get(slot)?).checked_sub(1)?;
                let (generation, v) = self.values.get_mut(usize::try_from(value).ok()?)?;
                *generation = generation.wrapping_add(1);
                *v = V::default();
                self.displaced += 1;
                slot
            }
        };
        *self.keys.get_mut(slot)? = key;
        self.at_slot(slot)
    }

    /// The entry at a place, unless that has changed hands.
    pub fn at(&mut self, place: Place) -> Option<&mut V> {
        let index = usize::try_from(place.at.checked_sub(1)?).ok()?;
        let (generation, value) = self.values.get_mut(index)?;
        (*generation == place.generation).then_some(value)
    }

    fn bucket(&self, key: Key) -> std::ops::Range<usize> {
        let buckets = self.keys.len() / WAYS;
        // Upper bits, so that it does not go with the sketch's cells.
        let bucket = usize::try_from(spread(key) >> 32).unwrap_or(0) & (buckets - 1);
        bucket * WAYS..(bucket + 1) * WAYS
    }

    fn slot(&self, key: Key) -> Option<usize> {
        let bucket = self.bucket(key);
        let keys = self.keys.get(bucket.clone())?;
        Some(bucket.start + keys.iter().position(|k| *k == key)?)
    }

    fn value(&self, slot: usize) -> Option<&(u16, V)> {
        let index = self.places.get(slot)?.checked_sub(1)?;
        self.values.get(usize::try_from(index).ok()?)
    }

    fn at_slot(&mut self, slot: usize) -> Option<(Place, &mut V)> {
        let at = *self.places.get(slot)?;
        let (generation, value) = self
            .values
            .get_mut(usize::try_from(at.checked_sub(1)?).ok()?)?;
        let place = Place {
            at,
            generation: *generation,
        };
        Some((place, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::classify::behaviour::sketch::key;

    #[derive(Debug, Default)]
    struct Count(u32);

    impl Weight for Count {
        fn weight(&self, _: Timestamp) -> f64 {
            f64::from(self.0)
        }
    }

    #[test]
    fn the_heavy_stay_whatever_comes() {
        let now = Timestamp::from_secs(0);
        let mut heads = Heads::<Count>::new(6);
        let heavy = key(1, b"12025550100");
        let (place, v) = heads.find_or_add(now, heavy).unwrap();
        v.0 = 1_000;
        for n in 0..10_000u32 {
            heads
                .find_or_add(now, key(2, n.to_string().as_bytes()))
                .unwrap()
                .1
                .0 = 1;
        }
        assert_eq!(heads.find(heavy).unwrap().1.0, 1_000);
        assert_eq!(heads.at(place).unwrap().0, 1_000);
        assert_eq!(heads.len(), 64);
        assert_eq!(heads.displaced, 10_001 - 64);
    }

    #[test]
    fn a_place_that_changed_hands_is_nobodys() {
        let now = Timestamp::from_secs(0);
        let mut heads = Heads::<Count>::new(3);
        let (place, _) = heads.find_or_add(now, key(1, b"1")).unwrap();
        for n in 2..20u32 {
            heads
                .find_or_add(now, key(1, n.to_string().as_bytes()))
                .unwrap()
                .1
                .0 = 1;
        }
        assert!(heads.find(key(1, b"1")).is_none());
        assert!(heads.at(place).is_none());
        assert!(heads.at(Place::default()).is_none());
    }
}
