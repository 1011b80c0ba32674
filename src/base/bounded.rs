//! A map with a limit on entries and on age. Everything that a packet can make us remember lives in one.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use crate::base::Timestamp;

/// Why an entry left a [`BoundedMap`] by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evicted {
    /// It was older than the map's age limit.
    Age,
    /// It was the oldest when the map was full.
    Count,
}

/// Entries in order of insertion; the oldest leave first. All operations are O(1) on average.
///
/// Hashing is the standard library's keyed SipHash, because the keys come from the wire.
#[derive(Debug)]
pub struct BoundedMap<K, V> {
    entries: HashMap<K, Slot<V>>,
    order: VecDeque<(K, u64, Timestamp)>,
    next: u64,
    limit: usize,
    age: Duration,
}

#[derive(Debug)]
struct Slot<V> {
    serial: u64,
    value: V,
}

impl<K: Hash + Eq + Clone, V> BoundedMap<K, V> {
    /// At most `limit` entries, none older than `age`.
    pub fn new(limit: usize, age: Duration) -> Self {
        Self {
            entries: HashMap::new(),
            order: VecDeque::new(),
            next: 0,
            limit: limit.max(1),
            age,
        }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value under `key`, to look at.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|s| &s.value)
    }

    /// The value under `key`, to change.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key).map(|s| &mut s.value)
    }

    /// Takes the value under `key` out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let slot = self.entries.remove(key)?;
        self.shrink();
        Some(slot.value)
    }

    /// Puts a new value under `key` (its age starts at `now`) and gives back the entry that had to leave
    /// for want of room, if any. A value already under `key` is replaced and dropped.
    pub fn insert(&mut self, key: K, value: V, now: Timestamp) -> Option<(K, V)> {
        let out = if self.entries.len() >= self.limit && !self.entries.contains_key(&key) {
            self.pop_oldest()
        } else {
            None
        };
        let serial = self.next;
        self.next += 1;
        self.order.push_back((key.clone(), serial, now));
        self.entries.insert(key, Slot { serial, value });
        self.shrink();
        out
    }

    /// Takes out one entry older than the age limit; call until it gives `None`.
    pub fn poll_expired(&mut self, now: Timestamp) -> Option<(K, V)> {
        let limit = now.minus(self.age);
        let (_, _, born) = self.oldest()?;
        if *born < limit {
            self.pop_oldest()
        } else {
            None
        }
    }

    /// Takes out the oldest entry.
    pub fn pop_oldest(&mut self) -> Option<(K, V)> {
        self.oldest()?;
        let (key, _, _) = self.order.pop_front()?;
        let slot = self.entries.remove(&key)?;
        Some((key, slot.value))
    }

    /// Skips what was removed or replaced meanwhile and shows the oldest entry that still stands.
    fn oldest(&mut self) -> Option<&(K, u64, Timestamp)> {
        while let Some((key, serial, _)) = self.order.front() {
            if self.entries.get(key).is_some_and(|s| s.serial == *serial) {
                break;
            }
            self.order.pop_front();
        }
        self.order.front()
    }

    /// Keeps the queue of birth dates from growing past twice the entries that stand.
    fn shrink(&mut self) {
        if self.order.len() > 64 && self.order.len() > 2 * self.entries.len() {
            let entries = &self.entries;
            self.order
                .retain(|(k, serial, _)| entries.get(k).is_some_and(|s| s.serial == *serial));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn the_oldest_leaves_when_full() {
        let mut m = BoundedMap::new(2, Duration::from_secs(10));
        assert_eq!(m.insert("a", 1, at(0)), None);
        assert_eq!(m.insert("b", 2, at(1)), None);
        assert_eq!(m.insert("a", 3, at(2)), None, "a new a is younger than b");
        assert_eq!(m.insert("c", 4, at(3)), Some(("b", 2)));
        assert_eq!(m.len(), 2);
    }

    #[test]
    fn age_counts_from_insertion_and_the_limit_itself_stays() {
        let mut m = BoundedMap::new(9, Duration::from_secs(10));
        m.insert("a", 1, at(0));
        assert_eq!(m.poll_expired(at(10)), None);
        assert_eq!(m.poll_expired(at(11)), Some(("a", 1)));
        assert_eq!(m.poll_expired(at(99)), None);
    }

    #[test]
    fn the_queue_of_births_stays_bounded() {
        let mut m = BoundedMap::new(4, Duration::from_secs(10));
        for i in 0..10_000 {
            m.insert("same", i, at(0));
        }
        assert!(m.order.len() <= 66);
        for i in 0..10_000 {
            m.insert("one", i, at(0));
            m.remove(&"one");
        }
        assert!(m.order.len() <= 66);
    }
}
