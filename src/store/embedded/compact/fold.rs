//! Second halves that came late: those of the records at hand go into their rows, the others stay.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use super::super::codec::EndFacts;
use super::super::ends;
use super::super::layout::Ends;
use super::super::table::Reader;
use super::columns::Inputs;
use super::job::Halt;
use super::order::Order;
use super::pace::Pace;

/// A second half for a row of the merged segment: the row, the log that brought it, and what it says.
pub(super) type Fold = (u32, u64, EndFacts);

/// The files of ends of an hour.
pub(super) struct Late {
    files: Vec<File>,
    /// How many second halves went into rows.
    pub folded: u64,
}

struct File {
    ends: Ends,
    reader: Reader,
    /// Of every row, whether its record is in the merged segment.
    folded: Vec<bool>,
}

impl Late {
    pub fn of(files: Vec<(Ends, Reader)>) -> Self {
        let file = |(ends, reader): (Ends, Reader)| File {
            folded: vec![false; reader.total_rows()],
            ends,
            reader,
        };
        Self {
            files: files.into_iter().map(file).collect(),
            folded: 0,
        }
    }

    /// Those for some rows of the merged segment, by row, the latest of each.
    pub fn of_rows(
        &mut self,
        order: &Order,
        inputs: &Inputs<'_>,
        rows: &Range<usize>,
        pace: &mut Pace<'_>,
    ) -> Result<Vec<Fold>, Halt> {
        if self.files.is_empty() {
            return Ok(Vec::new());
        }
        let mut uids: Vec<(u64, u32)> = Vec::with_capacity(rows.len());
        inputs.merged::<i64>(order, rows, "uid", pace, |row, uid| {
            let uid = uid.unwrap_or_default().cast_unsigned();
            uids.push((uid, u32::try_from(row).unwrap_or(u32::MAX)));
            Ok(())
        })?;
        uids.sort_unstable();
        let first_of = |uid: u64| uids.partition_point(|(u, _)| *u < uid);
        let mut folds: Vec<Fold> = Vec::new();
        for file in &mut self.files {
            pace.spend(octets(&file.reader))?;
            let mut stream = ends::Rows::of(&file.reader, file.ends.seq);
            let some =
                |low: u64, high: u64| uids.get(first_of(low)).is_some_and(|(uid, _)| *uid <= high);
            let one = |_: usize, uid: u64| uids.get(first_of(uid)).is_some_and(|(u, _)| *u == uid);
            while let Some(page) = stream.page(some, one)? {
                for (row, seq, end) in page {
                    if let Some(folded) = file.folded.get_mut(row) {
                        *folded = true;
                    }
                    let same = uids.iter().skip(first_of(end.uid));
                    let same = same.take_while(|(uid, _)| *uid == end.uid);
                    folds.extend(same.map(|(_, row)| (*row, seq, end)));
                }
                pace.check()?;
            }
        }
        // Of one row the highest log comes first, and stays.
        folds.sort_by_key(|(row, seq, _)| (*row, Reverse(*seq)));
        folds.dedup_by_key(|(row, ..)| *row);
        self.folded += folds.len() as u64;
        Ok(folds)
    }

    /// Whether every row went into a record, or none did.
    pub fn rest(&self) -> Rest {
        let mut flags = self.files.iter().flat_map(|f| &f.folded);
        match (flags.clone().all(|f| *f), flags.any(|f| *f)) {
            (true, _) => Rest::Nothing,
            (false, true) => Rest::Some,
            (false, false) => Rest::All,
        }
    }

    /// What is left, by uid, the latest of each.
    pub fn left(&self) -> Left<'_> {
        let mut left = Left {
            files: self
                .files
                .iter()
                .map(|file| Stream {
                    rows: ends::Rows::of(&file.reader, file.ends.seq),
                    folded: &file.folded,
                    page: Vec::new().into_iter(),
                })
                .collect(),
            heap: BinaryHeap::new(),
            waiting: Vec::new(),
            halt: None,
            uids: None,
            count: 0,
        };
        for file in 0..left.files.len() {
            left.waiting.push(None);
            left.draw(file);
        }
        left
    }

    /// The highest log.
    pub fn newest(&self) -> u64 {
        self.files.iter().map(|f| f.ends.seq).max().unwrap_or(0)
    }
}

/// What is left of files of ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    Nothing,
    Some,
    All,
}

fn octets(reader: &Reader) -> u64 {
    let groups = 0..reader.groups();
    groups
        .map(|g| {
            reader
                .columns()
                .map(|c| reader.column_octets(g, c))
                .sum::<u64>()
        })
        .sum()
}

struct Stream<'a> {
    rows: ends::Rows<'a>,
    folded: &'a [bool],
    page: std::vec::IntoIter<ends::Row>,
}

/// Ends of several files by uid. Ends early where something goes wrong: see [`Left::check`].
pub(super) struct Left<'a> {
    files: Vec<Stream<'a>>,
    /// Uid, log (the highest first), file.
    heap: BinaryHeap<Reverse<(u64, Reverse<u64>, usize)>>,
    /// Of each file, the end that the heap has.
    waiting: Vec<Option<EndFacts>>,
    halt: Option<Halt>,
    uids: Option<(u64, u64)>,
    pub count: u64,
}

impl Left<'_> {
    /// How many there were, with the lowest and the highest uid.
    pub fn check(self) -> Result<(u64, (u64, u64)), Halt> {
        match self.halt {
            Some(halt) => Err(halt),
            None => Ok((self.count, self.uids.unwrap_or_default())),
        }
    }

    fn draw(&mut self, number: usize) {
        let Some(file) = self.files.get_mut(number) else {
            return;
        };
        loop {
            if let Some((_, seq, end)) = file.page.next() {
                self.heap.push(Reverse((end.uid, Reverse(seq), number)));
                if let Some(place) = self.waiting.get_mut(number) {
                    *place = Some(end);
                }
                return;
            }
            let folded = file.folded;
            let open = |row: usize, _: u64| !folded.get(row).copied().unwrap_or(false);
            match file.rows.page(|_, _| true, open) {
                Ok(Some(page)) => file.page = page.into_iter(),
                Ok(None) => return,
                Err(e) => {
                    self.halt = Some(e.into());
                    return;
                }
            }
        }
    }

    fn pop(&mut self) -> Option<(u64, EndFacts)> {
        let Reverse((_, Reverse(seq), number)) = self.heap.pop()?;
        let end = self.waiting.get_mut(number)?.take();
        self.draw(number);
        Some((seq, end?))
    }
}

impl Iterator for Left<'_> {
    type Item = (u64, EndFacts);

    fn next(&mut self) -> Option<Self::Item> {
        let (seq, end) = self.pop()?;
        // Earlier ones of the same record are forgotten.
        while self
            .heap
            .peek()
            .is_some_and(|Reverse((uid, ..))| *uid == end.uid)
        {
            self.pop()?;
        }
        if self.halt.is_some() {
            return None;
        }
        let (first, _) = self.uids.unwrap_or((end.uid, end.uid));
        self.uids = Some((first, end.uid));
        self.count += 1;
        Some((seq, end))
    }
}
