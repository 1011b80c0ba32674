//! Records that no segment holds yet: their octets as in the log, and their keys in columns that a look-up scans.
//!
//! No map is kept for the keys: look-ups name a window, records come in nearly the order of time, so blocks of
//! 4,096 rows with their first and last time leave little to scan, and an append costs a few pushes instead of
//! cache misses in large maps (measured: 0.5 ms to scan 500,000 rows when the window spans them all).

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use rustc_hash::FxHashMap;

use super::codec::{BeginRow, EndFacts, Keys};
use super::names::Numbering;
use crate::base::Timestamp;
use crate::call::record::Coverage;
use crate::store::Role;

/// Rows of a block.
const BLOCK: usize = 4096;
/// Octets of a chunk: large enough to be few, small enough that growing never copies much.
const CHUNK: usize = 1 << 20;

/// Says that a row is found by a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Posting {
    pub key: i64,
    pub row: u32,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    chunk: u32,
    offset: u32,
    length: u32,
}

#[derive(Clone, Copy, Debug)]
struct Block {
    first: i64,
    last: i64,
    calling: usize,
    aliases: usize,
}

/// No `End` yet.
const NONE: u32 = u32::MAX;

#[derive(Debug, Default)]
pub(super) struct Memtable {
    /// The log that holds the same.
    pub seq: u64,
    full: Vec<Bytes>,
    tail: Vec<u8>,
    places: Vec<Place>,
    /// `i64::MAX` where no number is called.
    pub called: Vec<i64>,
    pub at: Vec<i64>,
    pub uid: Vec<u64>,
    /// Index into `ends`.
    end: Vec<u32>,
    ends: Vec<EndFacts>,
    pub calling: Vec<Posting>,
    pub aliases: Vec<Posting>,
    blocks: Vec<Block>,
    /// Uids that came in rising order, with their rows, and the others.
    rising: Vec<(u64, u32)>,
    others: FxHashMap<u64, u32>,
    /// Ends of records that are not in here.
    strays: FxHashMap<u64, EndFacts>,
    pub coverage: BTreeMap<(Arc<str>, Timestamp), Coverage>,
    pub first: Option<i64>,
    pub last: Option<i64>,
    pub last_uid: u64,
}

impl Memtable {
    /// Of the log `seq`; `last_uid` is the highest before it.
    pub fn new(seq: u64, last_uid: u64) -> Self {
        Self {
            seq,
            last_uid,
            ..Self::default()
        }
    }

    /// Rows, and ends that have none here: what bounds it.
    pub fn len(&self) -> usize {
        self.places.len() + self.strays.len()
    }

    pub fn rows(&self) -> usize {
        self.places.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0 && self.coverage.is_empty()
    }

    /// Takes a record in; `false` when its uid is here already.
    pub fn begin(&mut self, uid: u64, at: i64, keys: &Keys, body: &[u8]) -> bool {
        let Ok(row) = u32::try_from(self.places.len()) else {
            return false;
        };
        match self.rising.last() {
            Some((last, _)) if uid <= *last => {
                if self.row_of(uid).is_some() {
                    return false;
                }
                self.others.insert(uid, row);
            }
            _ => self.rising.push((uid, row)),
        }
        if self.places.len().is_multiple_of(BLOCK) {
            self.blocks.push(Block {
                first: at,
                last: at,
                calling: self.calling.len(),
                aliases: self.aliases.len(),
            });
        }
        if let Some(block) = self.blocks.last_mut() {
            block.first = block.first.min(at);
            block.last = block.last.max(at);
        }
        self.first = Some(self.first.map_or(at, |f| f.min(at)));
        self.last = Some(self.last.map_or(at, |l| l.max(at)));
        self.last_uid = self.last_uid.max(uid);
        let place = self.keep(body);
        self.places.push(place);
        self.called.push(keys.called.unwrap_or(i64::MAX));
        self.at.push(at);
        self.uid.push(uid);
        for key in &keys.calling {
            self.calling.push(Posting { key: *key, row });
        }
        for key in &keys.aliases {
            self.aliases.push(Posting { key: *key, row });
        }
        let end = self.strays.remove(&uid);
        self.end.push(NONE);
        if let Some(end) = end {
            self.set_end(row, end);
        }
        true
    }

    /// Takes a second half in: the later one wins.
    pub fn end(&mut self, end: EndFacts) {
        match self.row_of(end.uid) {
            Some(row) => self.set_end(row, end),
            None => {
                self.strays.insert(end.uid, end);
            }
        }
    }

    pub fn cover(&mut self, coverage: Coverage) {
        let key = (coverage.sensor.clone(), coverage.from);
        self.coverage.insert(key, coverage);
    }

    /// Makes every chunk shareable: no more records come.
    pub fn freeze(&mut self) {
        let tail = std::mem::take(&mut self.tail);
        self.full.push(Bytes::from(tail));
    }

    /// The octets of a row, to share. Frozen tables only; empty otherwise.
    pub fn bytes(&self, row: u32) -> Option<(&Bytes, &[u8])> {
        let place = self.places.get(row as usize)?;
        let chunk = self.full.get(place.chunk as usize)?;
        let from = place.offset as usize;
        Some((chunk, chunk.get(from..from + place.length as usize)?))
    }

    pub fn row(&self, row: u32) -> Option<BeginRow<'_>> {
        let place = self.places.get(row as usize)?;
        let chunk = match self.full.get(place.chunk as usize) {
            Some(chunk) => chunk.as_ref(),
            None => self.tail.as_slice(),
        };
        let from = place.offset as usize;
        let bytes = chunk.get(from..from + place.length as usize)?;
        BeginRow::decode(bytes, &CURRENT)
    }

    pub fn end_of(&self, row: u32) -> Option<&EndFacts> {
        let at = *self.end.get(row as usize)?;
        self.ends.get(at as usize)
    }

    pub fn stray(&self, uid: u64) -> Option<&EndFacts> {
        self.strays.get(&uid)
    }

    pub fn strays(&self) -> impl Iterator<Item = &EndFacts> {
        self.strays.values()
    }

    /// Rows found by `key` whose time lies in the window, each once, rising.
    pub fn find(&self, role: Role, key: i64, from: i64, until: i64) -> Vec<u32> {
        let mut found = Vec::new();
        for (i, block) in self.blocks.iter().enumerate() {
            if block.last < from || until < block.first {
                continue;
            }
            let next = self.blocks.get(i + 1);
            let (postings, start, end) = match role {
                Role::Calling => (&self.calling, block.calling, next.map(|n| n.calling)),
                Role::Called => (&self.aliases, block.aliases, next.map(|n| n.aliases)),
            };
            let postings = postings.get(start..end.unwrap_or(postings.len()));
            let hits = postings.unwrap_or_default().iter();
            found.extend(hits.filter(|p| p.key == key).map(|p| p.row));
            if role == Role::Called {
                let rows = (i * BLOCK)..;
                let called = self.called.iter().skip(i * BLOCK).take(BLOCK);
                let hits = rows.zip(called).filter(|(_, k)| **k == key);
                found.extend(hits.filter_map(|(row, _)| u32::try_from(row).ok()));
            }
        }
        found.retain(|row| {
            let at = self.at.get(*row as usize).copied().unwrap_or(i64::MIN);
            (from..=until).contains(&at)
        });
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Whether a record with this uid is here.
    pub fn holds(&self, uid: u64) -> bool {
        self.row_of(uid).is_some()
    }

    fn set_end(&mut self, row: u32, end: EndFacts) {
        let Some(place) = self.end.get_mut(row as usize) else {
            return;
        };
        match self.ends.get_mut(*place as usize) {
            Some(old) => *old = end,
            None => {
                *place = u32::try_from(self.ends.len()).unwrap_or(NONE);
                self.ends.push(end);
            }
        }
    }

    /// The row of a uid: uids rise without gaps as a rule, so the first guess is nearly always right.
    fn row_of(&self, uid: u64) -> Option<u32> {
        let (first, _) = self.rising.first()?;
        let guess = usize::try_from(uid.wrapping_sub(*first)).ok();
        if let Some((u, row)) = guess.and_then(|g| self.rising.get(g))
            && *u == uid
        {
            return Some(*row);
        }
        match self.rising.binary_search_by_key(&uid, |(u, _)| *u) {
            Ok(at) => self.rising.get(at).map(|(_, row)| *row),
            Err(_) => self.others.get(&uid).copied(),
        }
    }

    fn keep(&mut self, body: &[u8]) -> Place {
        if self.tail.len() + body.len() > CHUNK && !self.tail.is_empty() {
            let tail = std::mem::replace(&mut self.tail, Vec::with_capacity(CHUNK));
            self.full.push(Bytes::from(tail));
        }
        // A chunk and a record are below 2^32 octets: events are at most 64 KiB.
        let short = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let place = Place {
            chunk: short(self.full.len()),
            offset: short(self.tail.len()),
            length: short(body.len()),
        };
        self.tail.extend_from_slice(body);
        place
    }
}

/// Rows are encoded by this version, always: a log of another one is decoded and encoded anew when it is read back.
static CURRENT: std::sync::LazyLock<Numbering> = std::sync::LazyLock::new(Numbering::current);
