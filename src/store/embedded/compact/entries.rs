//! The index of a merged segment, from those of its inputs: entries keep their numbers and get the rows where theirs went.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::super::index::{Entries, IndexEntry};
use super::super::table::Reader;
use super::job::Halt;
use super::order::Order;
use super::pace::Pace;
use crate::store::StoreError;

/// Entries of one kind, sorted by number, time and row. Ends early where something goes wrong: see [`Merged::check`].
pub(super) struct Merged<'a, 's> {
    inputs: Vec<Entries<'a>>,
    readers: &'a [&'a Reader],
    places: &'a [Vec<u32>],
    order: &'a Order,
    /// Number, input, row there.
    heap: BinaryHeap<Reverse<(i64, usize, u32)>>,
    /// Entries of one number, the last first.
    same: Vec<IndexEntry>,
    pace: &'a Pace<'s>,
    halt: Option<Halt>,
}

impl<'a, 's> Merged<'a, 's> {
    pub fn of(
        readers: &'a [&'a Reader],
        alias: bool,
        order: &'a Order,
        places: &'a [Vec<u32>],
        pace: &'a Pace<'s>,
    ) -> Self {
        let inputs = readers.iter().map(|r| Entries::of(r, alias)).collect();
        let mut merged = Self {
            inputs,
            readers,
            places,
            order,
            heap: BinaryHeap::new(),
            same: Vec::new(),
            pace,
            halt: None,
        };
        for input in 0..readers.len() {
            merged.draw(input);
        }
        merged
    }

    /// Whether all entries came.
    pub fn check(self) -> Result<(), Halt> {
        self.halt.map_or(Ok(()), Err)
    }

    /// Puts the next entry of an input on the heap.
    fn draw(&mut self, input: usize) {
        match self.inputs.get_mut(input).map(Entries::next) {
            Some(Ok(Some((number, row)))) => self.heap.push(Reverse((number, input, row))),
            Some(Err(e)) => self.halt = Some(e.into()),
            _ => {}
        }
    }

    /// Gathers all entries of the lowest number.
    fn gather(&mut self) {
        let Some(Reverse((lowest, ..))) = self.heap.peek().copied() else {
            return;
        };
        while let Some(Reverse((number, input, row))) = self.heap.peek().copied()
            && number == lowest
        {
            self.heap.pop();
            self.draw(input);
            let place = self.places.get(input).and_then(|p| p.get(row as usize));
            match place {
                Some(place) => {
                    let at = self.order.begun_at(*place);
                    self.same.push(IndexEntry::new(number, at, *place));
                }
                None => {
                    let path = self.readers.get(input).map(|r| r.path());
                    let what = format!("names row {row}, which its segment does not have");
                    let e = StoreError::corrupt(path.unwrap_or("".as_ref()), what);
                    self.halt = Some(e.into());
                }
            }
        }
        if let Err(halt) = self.pace.check() {
            self.halt = Some(halt);
        }
        self.same.sort_unstable_by(|a, b| b.cmp(a));
        self.same.dedup();
    }
}

impl Iterator for Merged<'_, '_> {
    type Item = IndexEntry;

    fn next(&mut self) -> Option<IndexEntry> {
        if self.same.is_empty() && self.halt.is_none() {
            self.gather();
        }
        match self.halt {
            Some(_) => None,
            None => self.same.pop(),
        }
    }
}
