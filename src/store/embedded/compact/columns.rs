//! The rows of a merged segment, column by column: of each input a contiguous range, taken in turns as the order says.

use std::ops::Range;

use parquet::column::writer::ColumnWriter;
use parquet::data_type::{ByteArray, FixedLenByteArray};

use super::super::codec::EndFacts;
use super::super::segment::{BeginCells, EndCells, end_flag, end_number, end_text};
use super::super::table::{Cell, Cells, Meaning, PAGE_ROWS, Reader, Spec};
use super::fold::Fold;
use super::job::Halt;
use super::order::Order;
use super::pace::Pace;
use crate::store::StoreError;

/// The inputs, read from front to back.
pub(super) struct Inputs<'a> {
    readers: &'a [&'a Reader],
    /// The highest log of each: a second half in a row of it is of no later one.
    seqs: Vec<u64>,
    /// Of each, the rows before the current place.
    starts: Vec<usize>,
}

impl<'a> Inputs<'a> {
    pub fn of(readers: &'a [&'a Reader], seqs: Vec<u64>) -> Self {
        Self {
            starts: vec![0; readers.len()],
            readers,
            seqs,
        }
    }

    /// The rows of each input that go into the given ones, which begin at the current place.
    fn ranges(&self, order: &Order, rows: &Range<usize>) -> Vec<Range<usize>> {
        let mut ranges: Vec<Range<usize>> = self.starts.iter().map(|s| *s..*s).collect();
        for from in order.from.get(rows.clone()).unwrap_or_default() {
            if let Some(range) = ranges.get_mut(usize::from(*from)) {
                range.end += 1;
            }
        }
        ranges
    }

    /// Goes on behind the given rows.
    pub fn pass(&mut self, order: &Order, rows: &Range<usize>) {
        let ranges = self.ranges(order, rows);
        self.starts = ranges.into_iter().map(|r| r.end).collect();
    }

    /// The values of a column for some rows of the merged segment, which begin at the current place.
    pub fn merged<T: Cell>(
        &self,
        order: &Order,
        rows: &Range<usize>,
        column: &str,
        pace: &mut Pace<'_>,
        mut put: impl FnMut(usize, Option<T>) -> Result<(), Halt>,
    ) -> Result<(), Halt> {
        let mut values = Vec::with_capacity(self.readers.len());
        for (reader, range) in self.readers.iter().zip(self.ranges(order, rows)) {
            pace.spend(share(reader, column, range.len()))?;
            let wanted: Vec<usize> = range.collect();
            values.push(reader.values::<T>(column, &wanted)?.into_iter());
        }
        let from = order.from.get(rows.clone()).unwrap_or_default();
        for (row, from) in rows.clone().zip(from) {
            let value = values.get_mut(usize::from(*from)).and_then(Iterator::next);
            put(row, value.flatten())?;
        }
        Ok(())
    }

    /// Of some second halves, sorted by row, those that are later than what their rows have.
    fn later(
        &self,
        order: &Order,
        rows: &Range<usize>,
        folds: &[Fold],
        pace: &mut Pace<'_>,
    ) -> Result<Vec<Fold>, Halt> {
        let mut later = Vec::with_capacity(folds.len());
        let mut folds = folds.iter().peekable();
        if folds.peek().is_none() {
            return Ok(later);
        }
        self.merged::<ByteArray>(order, rows, "state", pace, |row, state| {
            if let Some(fold) = folds.next_if(|(of, ..)| *of as usize == row) {
                let from = order.from.get(row).copied().unwrap_or_default();
                let own = self.seqs.get(usize::from(from)).copied();
                if state.is_none() || own < Some(fold.1) {
                    later.push(*fold);
                }
            }
            Ok(())
        })?;
        Ok(later)
    }
}

/// What a column has on disk for so many of its rows, about.
fn share(reader: &Reader, column: &str, rows: usize) -> u64 {
    let octets: u64 = (0..reader.groups())
        .map(|g| reader.column_octets(g, column))
        .sum();
    let all = reader.total_rows().max(1) as u128;
    u64::try_from(u128::from(octets) * rows as u128 / all).unwrap_or(u64::MAX)
}

/// Writes a row group: the given rows, with the second halves, sorted by row, that belong to them. Gives how many of these were later than what the
/// rows had.
pub(super) fn write(
    writers: &mut [ColumnWriter<'_>],
    inputs: &Inputs<'_>,
    order: &Order,
    rows: &Range<usize>,
    folds: &[Fold],
    pace: &mut Pace<'_>,
) -> Result<u64, Halt> {
    let folds = inputs.later(order, rows, folds, pace)?;
    let begin = BeginCells::SPECS.iter().map(|s| (s, [].as_slice()));
    let end = EndCells::SPECS.iter().map(|s| (s, folds.as_slice()));
    for ((spec, folds), writer) in begin.chain(end).zip(writers) {
        let mut column = Column {
            spec,
            inputs,
            order,
            rows,
            folds,
            pace,
            writer,
        };
        match spec.meaning {
            Meaning::Signed | Meaning::Unsigned | Meaning::Time => column.copy(end_number)?,
            Meaning::Text => column.copy(end_text)?,
            Meaning::Flag => column.copy(end_flag)?,
            Meaning::Octets16 | Meaning::Uuid => column.copy::<FixedLenByteArray>(|_, _| None)?,
        }
    }
    Ok(folds.len() as u64)
}

/// One column on its way.
struct Column<'c, 'i, 's, 'w> {
    spec: &'c Spec,
    inputs: &'c Inputs<'i>,
    order: &'c Order,
    rows: &'c Range<usize>,
    folds: &'c [Fold],
    pace: &'c mut Pace<'s>,
    writer: &'c mut ColumnWriter<'w>,
}

impl Column<'_, '_, '_, '_> {
    fn copy<T: Cell>(&mut self, of_end: impl Fn(&str, &EndFacts) -> Option<T>) -> Result<(), Halt> {
        let Self {
            spec,
            inputs,
            order,
            rows,
            writer,
            ..
        } = self;
        let mut cells = Cells::<T>::new(spec);
        let mut folds = self.folds.iter().peekable();
        let mut waiting = 0;
        inputs.merged::<T>(order, rows, spec.name, self.pace, |row, value| {
            let value = match folds.next_if(|(of, ..)| *of as usize == row) {
                Some((_, _, end)) => of_end(spec.name, end),
                None => value,
            };
            match (spec.required, value) {
                (false, value) => cells.put_opt(value),
                (true, Some(value)) => cells.put(value),
                (true, None) => {
                    let from = order.from.get(row).copied().unwrap_or_default();
                    let reader = inputs.readers.get(usize::from(from));
                    let path = reader.map(|r| r.path()).unwrap_or("".as_ref());
                    let what = format!("column {}: no value", spec.name);
                    return Err(StoreError::corrupt(path, what).into());
                }
            }
            waiting += 1;
            if waiting == PAGE_ROWS {
                waiting = 0;
                cells.flush(Some(writer))?;
            }
            Ok(())
        })?;
        if waiting > 0 {
            cells.flush(Some(self.writer))?;
        }
        Ok(())
    }
}
