//! A map with a limit on entries and on age. Everything that a packet can make us remember lives in one.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
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

/// Hashing for keys from the wire, by a key that nobody outside knows.
pub fn keyed() -> ahash::RandomState {
    // The standard library draws its keys from the system; these are drawn from it.
    let key = RandomState::new();
    let [a, b, c, d] = [0, 1, 2, 3].map(|n: u8| key.hash_one(n));
    ahash::RandomState::with_seeds(a, b, c, d)
}

/// Entries in order of insertion; the oldest leave first. All operations are O(1) on average.
///
/// Keys come from the wire, so hashing is keyed anew for every map: by AHash, which costs a fifth of the standard library's SipHash.
///
/// The map itself holds places only; keys and values lie in a slab, chained by age. So a map that grows moves no values, and
/// to ask for the oldest hashes nothing.
#[derive(Debug)]
pub struct BoundedMap<K, V> {
    places: HashMap<K, u32, ahash::RandomState>,
    slab: Vec<Node<K, V>>,
    oldest: u32,
    newest: u32,
    /// First of the nodes that hold nothing, chained by `younger`.
    free: u32,
    limit: usize,
    age: Duration,
}

#[derive(Debug)]
struct Node<K, V> {
    entry: Option<(K, V)>,
    born: Timestamp,
    older: u32,
    younger: u32,
}

/// No node.
const NONE: u32 = u32::MAX;

impl<K: Hash + Eq + Clone, V> BoundedMap<K, V> {
    /// At most `limit` entries, none older than `age`.
    pub fn new(limit: usize, age: Duration) -> Self {
        Self {
            places: HashMap::with_hasher(keyed()),
            slab: Vec::new(),
            oldest: NONE,
            newest: NONE,
            free: NONE,
            limit: limit.clamp(1, NONE as usize),
            age,
        }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The value under `key`, to look at.
    pub fn get(&self, key: &K) -> Option<&V> {
        let node = self.slab.get(*self.places.get(key)? as usize)?;
        node.entry.as_ref().map(|(_, value)| value)
    }

    /// The value under `key`, to change.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let node = self.slab.get_mut(*self.places.get(key)? as usize)?;
        node.entry.as_mut().map(|(_, value)| value)
    }

    /// Takes the value under `key` out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        if self.is_empty() {
            return None;
        }
        let place = self.places.remove(key)?;
        self.vacate(place).map(|(_, value)| value)
    }

    /// Puts a new value under `key` (its age starts at `now`) and gives back the entry that had to leave
    /// for want of room, if any. A value already under `key` is replaced and dropped.
    pub fn insert(&mut self, key: K, value: V, now: Timestamp) -> Option<(K, V)> {
        let full = self.len() >= self.limit;
        let out = if full && !self.places.contains_key(&key) {
            self.pop_oldest()
        } else {
            None
        };
        let place = self.occupy(key.clone(), value, now);
        if let Some(before) = self.places.insert(key, place) {
            self.vacate(before);
        }
        out
    }

    /// When the oldest entry was put in.
    pub fn oldest_since(&self) -> Option<Timestamp> {
        self.slab.get(self.oldest as usize).map(|n| n.born)
    }

    /// Takes out one entry older than the age limit; call until it gives `None`.
    pub fn poll_expired(&mut self, now: Timestamp) -> Option<(K, V)> {
        let oldest = self.slab.get(self.oldest as usize)?;
        if oldest.born < now.minus(self.age) {
            self.pop_oldest()
        } else {
            None
        }
    }

    /// Takes out the oldest entry.
    pub fn pop_oldest(&mut self) -> Option<(K, V)> {
        let (key, value) = self.vacate(self.oldest)?;
        self.places.remove(&key);
        Some((key, value))
    }

    /// All entries to look at, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let node = |place: u32| self.slab.get(place as usize);
        std::iter::successors(node(self.oldest), move |n| node(n.younger))
            .filter_map(|n| n.entry.as_ref())
            .map(|(k, v)| (k, v))
    }

    /// All entries, the oldest first.
    pub fn into_oldest_first(self) -> OldestFirst<K, V> {
        OldestFirst {
            next: self.oldest,
            slab: self.slab,
        }
    }

    /// Puts an entry into a node, as the youngest.
    fn occupy(&mut self, key: K, value: V, born: Timestamp) -> u32 {
        let node = Node {
            entry: Some((key, value)),
            born,
            older: self.newest,
            younger: NONE,
        };
        let place = match self.slab.get_mut(self.free as usize) {
            Some(free) => {
                let place = self.free;
                self.free = free.younger;
                *free = node;
                place
            }
            None => {
                // At most one node more than the limit, which is below NONE.
                let place = u32::try_from(self.slab.len()).unwrap_or(NONE);
                self.slab.push(node);
                place
            }
        };
        match self.slab.get_mut(self.newest as usize) {
            Some(before) => before.younger = place,
            None => self.oldest = place,
        }
        self.newest = place;
        place
    }

    /// Takes the entry out of a node, and the node out of the chain.
    fn vacate(&mut self, place: u32) -> Option<(K, V)> {
        let node = self.slab.get_mut(place as usize)?;
        let entry = node.entry.take()?;
        let (older, younger) = (node.older, node.younger);
        node.younger = self.free;
        self.free = place;
        match self.slab.get_mut(older as usize) {
            Some(older) => older.younger = younger,
            None => self.oldest = younger,
        }
        match self.slab.get_mut(younger as usize) {
            Some(younger) => younger.older = older,
            None => self.newest = older,
        }
        Some(entry)
    }
}

/// See [`BoundedMap::into_oldest_first`].
#[derive(Debug)]
pub struct OldestFirst<K, V> {
    slab: Vec<Node<K, V>>,
    next: u32,
}

impl<K, V> Iterator for OldestFirst<K, V> {
    type Item = (K, V);

    fn next(&mut self) -> Option<(K, V)> {
        let node = self.slab.get_mut(self.next as usize)?;
        self.next = node.younger;
        node.entry.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
    fn the_slab_stays_bounded() {
        let mut m = BoundedMap::new(4, Duration::from_secs(10));
        for i in 0..10_000 {
            m.insert(i % 7, i, at(0));
            m.insert(100, i, at(0));
            m.remove(&100);
        }
        assert!(m.slab.len() <= 5);
    }

    proptest! {
        /// Against a list that is searched from end to end.
        #[test]
        fn holds_and_gives_out_what_a_list_would(steps in proptest::collection::vec((0..5_u8, 0..8_u8), 0..200)) {
            let mut m = BoundedMap::new(5, Duration::from_secs(20));
            let mut list: Vec<(u8, i64, i64)> = Vec::new();
            for (now, (step, key)) in (0..).zip(steps) {
                match step {
                    0 | 1 => {
                        let known = list.iter().position(|e| e.0 == key);
                        let out = match known {
                            Some(i) => { list.remove(i); None }
                            None if list.len() == 5 => { let e = list.remove(0); Some((e.0, e.1)) }
                            None => None,
                        };
                        list.push((key, now, now));
                        prop_assert_eq!(m.insert(key, now, at(now)), out);
                    }
                    2 => {
                        let known = list.iter().position(|e| e.0 == key);
                        prop_assert_eq!(m.remove(&key), known.map(|i| list.remove(i).1));
                    }
                    3 => {
                        let due = list.first().is_some_and(|e| e.2 < now - 20);
                        let out = due.then(|| list.remove(0)).map(|e| (e.0, e.1));
                        prop_assert_eq!(m.poll_expired(at(now)), out);
                    }
                    _ => {
                        let out = (!list.is_empty()).then(|| list.remove(0)).map(|e| (e.0, e.1));
                        prop_assert_eq!(m.pop_oldest(), out);
                    }
                }
                prop_assert_eq!(m.len(), list.len());
                for key in 0..8 {
                    let value = list.iter().find(|e| e.0 == key).map(|e| e.1);
                    prop_assert_eq!(m.get(&key).copied(), value);
                }
            }
            let seen: Vec<_> = m.iter().map(|(k, v)| (*k, *v)).collect();
            let rest: Vec<_> = list.into_iter().map(|e| (e.0, e.1)).collect();
            prop_assert_eq!(&seen, &rest);
            prop_assert_eq!(m.into_oldest_first().collect::<Vec<_>>(), rest);
        }
    }
}
