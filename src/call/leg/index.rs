//! Legs by what may tie them to others. A key under which too many legs stand at once says so: then it proves nothing alone.

use std::collections::HashMap;

use ahash::RandomState;
use smallvec::SmallVec;

use super::{LegFacts, Pairing, SUFFIX};
use crate::base::bounded::keyed;
use crate::number::Tn;

/// The most legs that are listed under one key. A call has one or two ingress legs; a Session-ID or number under which more are open at once
/// is a flood or a forgery, and searching it would cost more than it tells.
pub(super) const LISTED: usize = 16;

/// Kind and value. Identifiers count by their digest, numbers as they are, four bits a digit: the last nine of the called one, and the calling one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct IndexKey(u8, u128);

pub(super) type Keys = SmallVec<[IndexKey; 8]>;

/// Finds legs by key. Legs go by the uid of their record.
#[derive(Debug)]
pub(super) struct Index {
    lists: HashMap<IndexKey, List, RandomState>,
}

#[derive(Debug, Default)]
struct List {
    /// In the order in which they came.
    legs: SmallVec<[u64; 1]>,
    /// How many more there are that found no room.
    more: u32,
}

impl Index {
    pub fn new() -> Self {
        Self {
            lists: HashMap::with_hasher(keyed()),
        }
    }

    pub fn insert(&mut self, uid: u64, keys: &[IndexKey]) {
        for key in keys {
            let list = self.lists.entry(*key).or_default();
            match list.legs.len() < LISTED {
                true => list.legs.push(uid),
                false => list.more = list.more.saturating_add(1),
            }
        }
    }

    pub fn remove(&mut self, uid: u64, keys: &[IndexKey]) {
        for key in keys {
            let Some(list) = self.lists.get_mut(key) else {
                continue;
            };
            match list.legs.iter().position(|l| *l == uid) {
                Some(place) => {
                    list.legs.remove(place);
                }
                None => list.more = list.more.saturating_sub(1),
            }
            if list.legs.is_empty() && list.more == 0 {
                self.lists.remove(key);
            }
        }
    }

    /// Legs under a key, and whether these are all.
    pub fn get(&self, key: &IndexKey) -> (&[u64], bool) {
        match self.lists.get(key) {
            Some(list) => (&list.legs, list.more == 0),
            None => (&[], true),
        }
    }

    pub fn len(&self) -> usize {
        self.lists.len()
    }
}

/// Under which keys of one kind a leg stands.
pub(super) fn keys_of(kind: Pairing, leg: &LegFacts) -> Keys {
    let ids = &leg.ids;
    let id = match kind {
        Pairing::CallId => Some(u128::from(ids.call_id.0)),
        Pairing::Passport => leg.passport.map(|d| u128::from_be_bytes(d.0)),
        Pairing::SessionId => ids.session_id.map(|d| u128::from(d.0)),
        Pairing::Icid => ids.icid.map(|d| u128::from(d.0)),
        Pairing::SdpOrigin => ids.sdp_origin.map(|d| u128::from(d.0)),
        Pairing::Numbers | Pairing::Suffix => return number_keys(leg),
    };
    id.map(|id| IndexKey(kind as u8, id)).into_iter().collect()
}

/// Each way to be called with each way to be calling, by the end of the called number: so whole numbers and ends are found under one key.
fn number_keys(leg: &LegFacts) -> Keys {
    let mut keys = Keys::new();
    for called in leg.called() {
        let b = called.as_bytes();
        let end = b.get(b.len().saturating_sub(SUFFIX)..).unwrap_or(b);
        let callings = leg.calling().map(|n| packed(n.as_bytes()));
        let nobody = leg.calling().next().is_none().then_some(0);
        for calling in callings.chain(nobody) {
            // Nine symbols of four bits above 23.
            let key = IndexKey(
                Pairing::Numbers as u8,
                packed(end) << (4 * Tn::MAX) | calling,
            );
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
    }
    keys
}

fn packed(symbols: &[u8]) -> u128 {
    symbols.iter().fold(0, |n, b| {
        n << 4
            | match b {
                b'*' => 11,
                b'#' => 12,
                // A number holds nothing else: 1 to 10.
                digit => u128::from(digit.wrapping_sub(b'0') & 0xf) + 1,
            }
    })
}
