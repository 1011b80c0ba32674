//! Which numbers a neighbour has handed over with valid attestation A before.
//!
//! A Bloom filter for each neighbour, in two generations: numbers go into the young one, and both are asked. The young one becomes the
//! old one after 90 days, or when it is full, and the old one is forgotten. A filter that errs takes a new number for a known one, about
//! one in 250,000 when all is full: a flag is missed, and none is wrong by it. What is forgotten would be "new" again; so a neighbour
//! is judged only while what is remembered of him goes back as far as he has to be watched, whatever the reason why it does not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fastbloom::BloomFilter;

use super::super::flagging::FlagSettings;
use crate::base::Timestamp;
use crate::number::Tn;

/// Numbers in the first filter of a generation; each further one holds four times as many.
const FIRST: u32 = 4_096;
const GROWTH: u32 = 4;

/// Filters of a generation at most: 5.6 million numbers in 22 MB, more than any neighbour's subscribers who call in 90 days.
pub(super) const LAYERS: usize = 6;

/// Bits a number; with sixteen hashes one in three million is mistaken in a full filter ((1 - e^-½)^16), and a generation has six.
const BITS: usize = 32;
const HASHES: u32 = 16;

/// Octets of all filters at most. Beyond it a neighbour gets no larger filter and forgets his own numbers sooner, nobody else's.
/// First filters (16 KB) are always given.
const BUDGET: usize = 128 << 20;

/// Neighbours at most: four times what a large carrier's edge has. With two first filters each they take 128 MB beside the budget.
pub(super) const NEIGHBOURS: usize = 4_096;

/// How long numbers go into one generation.
const GENERATION: Duration = Duration::from_secs(90 * 86_400);

/// Where the filters' hashing starts: fixed, so that a replay says the same again and a snapshot can be read.
const SEED: u128 = 0x7472_6163_6568_6f70_2073_6967_6e65_6421;

/// A number that is new to a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct News {
    /// Calls whose numbers are remembered.
    pub calls: u64,
    /// Since when.
    pub since: Timestamp,
}

/// Numbers by neighbour.
#[derive(Debug, Default)]
pub struct SignedNumbers {
    pub(super) neighbours: BTreeMap<Arc<str>, Signed>,
    pub(super) octets: usize,
    /// Generations that ended early, for want of room.
    pub rotated: u64,
    /// Calls of neighbours beyond the limit.
    pub others: u64,
}

/// What one neighbour has signed.
#[derive(Debug)]
pub(super) struct Signed {
    pub young: Generation,
    pub old: Option<Generation>,
}

#[derive(Debug)]
pub(super) struct Generation {
    pub since: Timestamp,
    pub calls: u64,
    pub layers: Vec<Layer>,
}

#[derive(Debug)]
pub(super) struct Layer {
    pub filter: BloomFilter,
    /// How many numbers still go in.
    pub room: u32,
}

impl SignedNumbers {
    /// Remembers that a neighbour handed over a call with valid attestation A for `orig`, and says if that is news.
    pub fn handle(
        &mut self,
        at: Timestamp,
        peer: &Arc<str>,
        orig: &Tn,
        settings: &FlagSettings,
    ) -> Option<News> {
        if !self.neighbours.contains_key(peer) {
            if self.neighbours.len() >= NEIGHBOURS {
                self.others += 1;
                return None;
            }
            let begun = Signed {
                young: Generation::begin(at),
                old: None,
            };
            self.octets += begun.octets();
            self.neighbours.insert(peer.clone(), begun);
        }
        let signed = self.neighbours.get_mut(peer)?;
        let before = signed.octets();
        if at > signed.young.since.plus(GENERATION) {
            signed.rotate(at);
        }
        let news = News {
            calls: signed.calls(),
            since: signed.since(),
        };
        let known = signed.contains(orig);
        signed.young.calls += 1;
        let spare = BUDGET.saturating_sub(self.octets);
        if !signed.young.contains(orig) && !signed.young.insert(orig, spare) {
            signed.rotate(at);
            signed.young.insert(orig, 0);
            self.rotated += 1;
        }
        self.octets = self.octets.saturating_sub(before) + signed.octets();
        let learnt =
            news.calls >= settings.learning_calls && at >= news.since.plus(settings.learning);
        (!known && learnt).then_some(news)
    }

    /// Forgets neighbours.
    pub fn retain(&mut self, keep: impl Fn(&Arc<str>) -> bool) {
        self.neighbours.retain(|id, _| keep(id));
        self.octets = self.neighbours.values().map(Signed::octets).sum();
    }

    /// Octets that the filters take.
    pub fn octets(&self) -> usize {
        self.octets
    }
}

impl Signed {
    fn rotate(&mut self, at: Timestamp) {
        let young = std::mem::replace(&mut self.young, Generation::begin(at));
        self.old = Some(young);
    }

    fn contains(&self, orig: &Tn) -> bool {
        self.young.contains(orig) || self.old.as_ref().is_some_and(|o| o.contains(orig))
    }

    fn since(&self) -> Timestamp {
        self.old.as_ref().unwrap_or(&self.young).since
    }

    fn calls(&self) -> u64 {
        self.young.calls + self.old.as_ref().map_or(0, |o| o.calls)
    }

    pub fn octets(&self) -> usize {
        self.young.octets() + self.old.as_ref().map_or(0, Generation::octets)
    }
}

impl Generation {
    fn begin(at: Timestamp) -> Self {
        Self {
            since: at,
            calls: 0,
            layers: vec![Layer::new(0)],
        }
    }

    fn contains(&self, orig: &Tn) -> bool {
        // The largest holds most.
        let hash = |l: &Layer| l.filter.contains(orig.as_bytes());
        self.layers.iter().rev().any(hash)
    }

    /// Puts a number in; `false` where there is no more room. `spare` octets may be taken for a further filter.
    fn insert(&mut self, orig: &Tn, spare: usize) -> bool {
        let full = self.layers.last().is_none_or(|l| l.room == 0);
        if full {
            let next = self.layers.len();
            if next >= LAYERS || octets_of(next) > spare {
                return false;
            }
            self.layers.push(Layer::new(next));
        }
        if let Some(layer) = self.layers.last_mut() {
            layer.filter.insert(orig.as_bytes());
            layer.room = layer.room.saturating_sub(1);
        }
        true
    }

    fn octets(&self) -> usize {
        self.layers.iter().map(|l| l.filter.num_bits() / 8).sum()
    }
}

impl Layer {
    fn new(place: usize) -> Self {
        Self::from_words(place, vec![0; octets_of(place) / 8], numbers_of(place))
    }

    /// From the words of a filter that had [`octets_of`] this place.
    pub fn from_words(place: usize, words: Vec<u64>, room: u32) -> Self {
        let filter = BloomFilter::from_vec(words).seed(&SEED).hashes(HASHES);
        let room = room.min(numbers_of(place));
        Self { filter, room }
    }
}

/// Numbers that the filter at a place of its generation takes.
pub(super) fn numbers_of(place: usize) -> u32 {
    let power = u32::try_from(place.min(LAYERS)).unwrap_or(0);
    FIRST.saturating_mul(GROWTH.saturating_pow(power))
}

/// Octets of that filter.
pub(super) fn octets_of(place: usize) -> usize {
    usize::try_from(numbers_of(place)).unwrap_or(0) * BITS / 8
}
