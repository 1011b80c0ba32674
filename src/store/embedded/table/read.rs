//! A Parquet file of ours, read row by row: of a column only the pages that hold a wanted row.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use parquet::column::reader::{get_column_reader, get_typed_column_reader};
use parquet::data_type::DataType;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::page_index::column_index::PrimitiveColumnIndex;
use parquet::file::page_index::offset_index::PageLocation;

use super::footer::{Chunk, Footer, Places, find, guard};
use super::pages::Pages;
use super::{Cell, PAGE_ROWS, Spec, parquet_error};
use crate::store::StoreError;
use crate::store::embedded::blocks::Content;
use crate::store::embedded::sums::Source;
use crate::store::embedded::vault::Vault;

/// A Parquet file, open to be read.
pub(in crate::store::embedded) struct Reader {
    footer: Arc<Footer>,
    source: Arc<Source>,
}

impl Reader {
    /// A file whose footer is at hand.
    pub fn new(footer: Arc<Footer>, file: Arc<Content>) -> Self {
        let source = Source::checked(file, footer.sums.clone());
        Self {
            source: Arc::new(source),
            footer,
        }
    }

    /// Opens a file: see [`Footer::open`].
    pub fn open(
        path: &Path,
        keys: &[&str],
        sum: Option<u32>,
        vault: &Vault,
    ) -> Result<Self, StoreError> {
        let (footer, file) = Footer::open(path, keys, sum, vault)?;
        Ok(Self::new(footer, file))
    }

    pub fn path(&self) -> &Path {
        &self.footer.path
    }

    pub fn groups(&self) -> usize {
        self.footer.groups.len()
    }

    pub fn group_rows(&self, group: usize) -> usize {
        self.footer.groups.get(group).map_or(0, |g| g.rows)
    }

    /// Pages that are damaged, as stretches of octets: every block is read.
    pub fn damaged_blocks(&self) -> Vec<Range<u64>> {
        self.source.damaged_blocks()
    }

    /// All that follows the pages, of the file that is open: another may have taken its name.
    pub fn tail(&self) -> Result<Vec<u8>, StoreError> {
        let tail = self.source.tail(&self.footer.sums);
        tail.map_err(|e| parquet_error(self.path(), e))
    }

    /// Whether the file is laid out as we lay out one of these columns, whatever its statistics say: see [`Footer::is_ours`].
    pub fn is_ours(&self, specs: &[&[Spec]]) -> bool {
        self.footer.is_ours(specs)
    }

    /// Names of the columns.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.footer.schema.columns().iter().map(|c| c.name())
    }

    /// Octets of a column in a group, as they are on disk.
    pub fn column_octets(&self, group: usize, column: &str) -> u64 {
        let place = find(&self.footer.schema, column);
        let chunk = place.and_then(|p| self.footer.groups.get(group)?.chunks.get(p));
        chunk.map_or(0, |c| c.length)
    }

    /// Rows of all groups.
    pub fn total_rows(&self) -> usize {
        self.footer.groups.iter().map(|g| g.rows).sum()
    }

    /// Row groups that hold some of the given rows, which are counted over the whole file and rise: each with its first row and its rows, counted
    /// from there. Rows that no group has are an error.
    pub fn by_group(&self, rows: &[usize]) -> Result<Vec<(usize, usize, Vec<usize>)>, StoreError> {
        let mut parts = Vec::new();
        let (mut first, mut rest) = (0, rows);
        for (group, g) in self.footer.groups.iter().enumerate() {
            let here = rest.partition_point(|row| *row < first + g.rows);
            let (these, others) = rest.split_at(here);
            if !these.is_empty() {
                let counted = these.iter().map(|row| row.checked_sub(first));
                let counted: Option<Vec<usize>> = counted.collect();
                let counted = counted.ok_or_else(|| self.lacks("any", "such row"))?;
                parts.push((group, first, counted));
            }
            rest = others;
            first += g.rows;
        }
        match rest.first() {
            Some(row) => Err(StoreError::corrupt(
                self.path(),
                format!("has {first} rows, and row {row} is asked for"),
            )),
            None => Ok(parts),
        }
    }

    /// Values of a column in the given rows, which are counted over all groups and rise.
    pub fn values<T: Cell>(
        &self,
        column: &str,
        rows: &[usize],
    ) -> Result<Vec<Option<T>>, StoreError> {
        let mut values = Vec::with_capacity(rows.len());
        for (group, _, rows) in self.by_group(rows)? {
            values.extend(self.rows::<T>(group, column, &rows)?);
        }
        Ok(values)
    }

    /// A value that the writer left.
    pub fn about(&self, key: &str) -> Option<&str> {
        self.footer.about(key)
    }

    /// Lowest and highest value of every page of a column of integers that was opened as a key; no statistics
    /// for pages without values. Pages are [`PAGE_ROWS`] rows each.
    pub fn pages(
        &self,
        group: usize,
        column: &str,
    ) -> Result<&PrimitiveColumnIndex<i64>, StoreError> {
        let place = find(&self.footer.schema, column);
        let values = place.and_then(|p| self.footer.values(group, p));
        values.ok_or_else(|| self.lacks(column, "page statistics"))
    }

    /// The only value of a column of truth values in a group, where statistics say that there is no other.
    pub fn only(&self, group: usize, column: &str) -> Option<bool> {
        let place = find(&self.footer.schema, column)?;
        self.footer.groups.get(group)?.chunks.get(place)?.only
    }

    /// Whether the file has a column.
    pub fn has(&self, column: &str) -> bool {
        find(&self.footer.schema, column).is_some()
    }

    /// Has the system fetch what reading these rows of these columns will need, all at once and in the background; columns that the file
    /// does not have are passed over. It changes no answer: what goes wrong here goes wrong again when the rows are read, and is said then.
    pub fn prefetch(&self, group: usize, columns: &[&str], rows: &[usize]) {
        let columns = columns.iter().filter_map(|c| find(&self.footer.schema, c));
        self.prefetch_columns(group, columns, rows);
    }

    /// The same of all columns.
    pub fn prefetch_all(&self, group: usize, rows: &[usize]) {
        self.prefetch_columns(group, 0..self.footer.schema.num_columns(), rows);
    }

    fn prefetch_columns(&self, group: usize, columns: impl Iterator<Item = usize>, rows: &[usize]) {
        let Some(g) = self.footer.groups.get(group) else {
            return;
        };
        let mut spans = Vec::new();
        for column in columns {
            let places = guard(self.path(), || {
                let places = self.footer.places(&self.source, group, column);
                places.map_err(|e| parquet_error(self.path(), e))
            });
            if let (Ok(places), Some(chunk)) = (places, g.chunks.get(column))
                && !chunk.absent
            {
                Chosen::spans(rows, places, chunk, &mut spans);
            }
        }
        self.source.will_need(spans);
    }

    /// Values of a column in the given rows, which rise. A column that the file does not have has no values: it was
    /// added to the schema after the file was written.
    pub fn rows<T: Cell>(
        &self,
        group: usize,
        column: &str,
        rows: &[usize],
    ) -> Result<Vec<Option<T>>, StoreError> {
        let Some(place) = find(&self.footer.schema, column) else {
            return Ok(vec![None; rows.len()]);
        };
        guard(self.path(), || {
            self.try_rows::<T>(group, place, rows)
                .map_err(|e| parquet_error(self.path(), e))
        })
    }

    fn try_rows<T: Cell>(
        &self,
        group: usize,
        column: usize,
        rows: &[usize],
    ) -> ParquetResult<Vec<Option<T>>> {
        let descriptor = self.footer.schema.column(column);
        if descriptor.physical_type() != T::Parquet::get_physical_type()
            || descriptor.max_rep_level() != 0
            || descriptor.max_def_level() > 1
        {
            return Err(ParquetError::General(format!(
                "column {} has another type",
                descriptor.name()
            )));
        }
        let groups = &self.footer.groups;
        let place = groups.get(group).map(|g| (g.rows, g.chunks.get(column)));
        let Some((total, Some(chunk))) = place else {
            return Err(ParquetError::General("no such column".to_owned()));
        };
        if chunk.absent && rows.is_sorted() && rows.last().is_none_or(|last| *last < total) {
            return Ok(vec![None; rows.len()]);
        }
        let places = self.footer.places(&self.source, group, column)?;
        let chosen = Chosen::of(rows, places, chunk, total)?;
        let optional = descriptor.max_def_level() == 1;
        let pages = Pages::new(
            &self.source,
            descriptor.clone(),
            chunk.zstd,
            (chosen.start, chosen.places),
            chosen.total,
        )?;
        let reader = get_column_reader(descriptor, Box::new(pages));
        let mut reader = get_typed_column_reader::<T::Parquet>(reader);

        let mut out = Vec::with_capacity(rows.len());
        let (mut values, mut present) = (Vec::new(), Vec::new());
        let mut next = 0;
        let mut rest = &*chosen.rows;
        while let Some(first) = rest.first() {
            let run = rest
                .iter()
                .enumerate()
                .take_while(|(i, row)| **row == first + i)
                .count();
            let (_, tail) = rest.split_at(run);
            rest = tail;
            let gap = first.checked_sub(next);
            let gap =
                gap.ok_or_else(|| ParquetError::General("rows that don't rise".to_owned()))?;
            reader.skip_records(gap)?;
            values.clear();
            present.clear();
            let levels = optional.then_some(&mut present);
            let (read, _, _) = reader.read_records(run, levels, None, &mut values)?;
            if read != run {
                return Err(ParquetError::General(format!("only {read} of {run} rows")));
            }
            let mut values = values.drain(..);
            if optional {
                out.extend(present.iter().map(|p| (*p == 1).then(|| values.next())?));
            } else {
                out.extend(values.by_ref().map(Some));
            }
            next = first + run;
        }
        if out.len() == rows.len() {
            Ok(out)
        } else {
            Err(ParquetError::General("values missing".to_owned()))
        }
    }

    pub fn lacks(&self, column: &str, what: &str) -> StoreError {
        StoreError::corrupt(self.path(), format!("column {column}: no {what}"))
    }
}

/// The pages that hold wanted rows, as if there were no others, and the rows counted so.
struct Chosen<'r> {
    /// Where the dictionary begins, else the first of the pages: the Parquet reader takes what lies before that for the dictionary.
    start: u64,
    places: Vec<PageLocation>,
    total: usize,
    rows: Cow<'r, [usize]>,
}

impl<'r> Chosen<'r> {
    /// Where the dictionary and the pages with wanted rows lie.
    fn spans(rows: &[usize], places: &Places, chunk: &Chunk, spans: &mut Vec<Range<u64>>) {
        let Places::Even(starts) = places else {
            return;
        };
        let end = |page: usize| starts.get(page).map_or(chunk.length, |s| u64::from(*s));
        if end(0) > 0 {
            spans.push(chunk.start..chunk.start.saturating_add(end(0)));
        }
        for rows in rows.chunk_by(|a, b| a / PAGE_ROWS == b / PAGE_ROWS) {
            let page = rows.first().map_or(0, |row| row / PAGE_ROWS);
            if page < starts.len() {
                let (start, end) = (end(page), end(page + 1));
                spans.push(chunk.start.saturating_add(start)..chunk.start.saturating_add(end));
            }
        }
    }

    fn of(rows: &'r [usize], places: &Places, chunk: &Chunk, total: usize) -> ParquetResult<Self> {
        let odd = || ParquetError::General("pages at impossible places".to_owned());
        let starts = match places {
            Places::Even(starts) => starts,
            Places::Odd(places) => {
                return Ok(Self {
                    start: chunk.start,
                    places: places.to_vec(),
                    total,
                    rows: rows.into(),
                });
            }
        };
        let mut pages: Vec<usize> = Vec::new();
        // What lies before the first page is the dictionary.
        let dictionary = starts.first().is_some_and(|first| *first > 0);
        if dictionary {
            pages.push(0);
        }
        let mut renumbered = Vec::with_capacity(rows.len());
        for rows in rows.chunk_by(|a, b| a / PAGE_ROWS == b / PAGE_ROWS) {
            let page = rows.first().map_or(0, |row| row / PAGE_ROWS);
            match pages.last() {
                Some(last) if *last == page => {}
                Some(last) if *last > page => {
                    return Err(ParquetError::General("rows that don't rise".to_owned()));
                }
                _ => pages.push(page),
            }
            let (first, now) = (page * PAGE_ROWS, (pages.len() - 1) * PAGE_ROWS);
            renumbered.extend(rows.iter().map(|row| row - first + now));
        }
        let mut chosen = Vec::with_capacity(pages.len());
        let mut counted = 0;
        for page in pages {
            let start = u64::from(*starts.get(page).ok_or_else(odd)?);
            let end = starts.get(page + 1).map_or(chunk.length, |s| u64::from(*s));
            let size = end.checked_sub(start).and_then(|s| i32::try_from(s).ok());
            chosen.push(PageLocation {
                offset: i64::try_from(chunk.start + start).map_err(|_| odd())?,
                compressed_page_size: size.ok_or_else(odd)?,
                first_row_index: i64::try_from(counted).map_err(|_| odd())?,
            });
            counted += total.saturating_sub(page * PAGE_ROWS).min(PAGE_ROWS);
        }
        let first = chosen.first().filter(|_| !dictionary);
        let start = first.and_then(|p| u64::try_from(p.offset).ok());
        Ok(Self {
            start: start.unwrap_or(chunk.start),
            places: chosen,
            total: counted,
            rows: renumbered.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use parquet::data_type::ByteArray;
    use proptest::prelude::*;

    use super::super::{Writer, table};
    use super::*;

    table! {
        /// A column of each layout.
        AllCells reads AllColumns {
            number: i64 = true Delta Signed Page;
            random: i64 = false Packed Signed None;
            name: ByteArray = false Dictionary Text None;
            many: ByteArray = true Dictionary Text None;
            text: ByteArray = false Text Text None;
            flag: bool = true Text Flag Chunk;
            never: ByteArray = false Dictionary Text Chunk;
        }
    }

    /// Three pages and a short one.
    const ROWS: usize = 3 * PAGE_ROWS + 77;

    fn name(row: usize) -> Option<ByteArray> {
        (!row.is_multiple_of(5)).then(|| ByteArray::from(["a", "bb", "ccc"][row % 3]))
    }

    fn text(row: usize) -> Option<ByteArray> {
        (row.is_multiple_of(2)).then(|| ByteArray::from(format!("text {row}").as_str()))
    }

    /// So long that the dictionary is given up after the first page.
    fn many(row: usize) -> ByteArray {
        ByteArray::from(format!("{row:0>100}").as_str())
    }

    fn random(row: usize) -> Option<i64> {
        let n = (row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (!row.is_multiple_of(7)).then_some(n.cast_signed())
    }

    static FILE: LazyLock<(tempfile::TempDir, Reader)> = LazyLock::new(|| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("all.parquet");
        let mut file = Writer::create(&path, &[AllCells::SPECS], &Vault::default(), None).unwrap();
        file.group(|writers| {
            let mut cells = AllCells::new();
            for row in 0..ROWS {
                cells.number.put(row as i64 * 3);
                cells.random.put_opt(random(row));
                cells.name.put_opt(name(row));
                cells.many.put(many(row));
                cells.text.put_opt(text(row));
                cells.flag.put(true);
                cells.never.put_opt(None);
                if (row + 1) % PAGE_ROWS == 0 {
                    cells.flush(&mut writers.iter_mut())?;
                }
            }
            cells.flush(&mut writers.iter_mut())
        })
        .unwrap();
        let sum = file.finish(&[]).unwrap().sum;
        let reader = Reader::open(&path, &["number"], Some(sum), &Vault::default()).unwrap();
        (dir, reader)
    });

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn the_rows_that_are_asked_for_are_read_and_no_others(
            rows in prop::collection::btree_set(0..ROWS, 0..40),
            run in 0..ROWS,
            length in 0_usize..2_500,
        ) {
            let run = run..(run + length).min(ROWS);
            let rows: std::collections::BTreeSet<usize> = rows.into_iter().chain(run).collect();
            let rows: Vec<usize> = rows.into_iter().collect();
            let read = AllColumns::read(&FILE.1, 0, &rows).unwrap();
            for (i, row) in rows.iter().enumerate() {
                prop_assert_eq!(read.number[i], Some(*row as i64 * 3));
                prop_assert_eq!(read.random[i], random(*row));
                prop_assert_eq!(&read.name[i], &name(*row));
                prop_assert_eq!(&read.many[i], &Some(many(*row)));
                prop_assert_eq!(&read.text[i], &text(*row));
                prop_assert_eq!(read.flag[i], Some(true));
                prop_assert_eq!(&read.never[i], &None);
            }
        }
    }

    #[test]
    fn rows_that_do_not_rise_or_do_not_exist_are_an_error() {
        let reader = &FILE.1;
        for rows in [
            &[5, 4][..],
            &[2_500, 100],
            &[ROWS],
            &[ROWS - 1, ROWS],
            &[usize::MAX],
        ] {
            assert!(reader.rows::<i64>(0, "number", rows).is_err(), "{rows:?}");
        }
        assert!(reader.rows::<i64>(1, "number", &[0]).is_err());
        assert!(reader.rows::<i64>(0, "name", &[0]).is_err());
        assert_eq!(reader.only(0, "flag"), Some(true));
        assert_eq!(reader.only(0, "number"), None);
    }

    #[test]
    fn a_footer_is_small() {
        // Four pages of seven columns: what a look-up needs, and no more than some pages of it.
        let weight = FILE.1.footer.weight();
        assert!((1_000..3_000).contains(&weight), "{weight}");
    }
}
