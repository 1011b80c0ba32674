//! What is kept in memory of a file's footer: only what look-ups need.
//!
//! A footer as the Parquet reader has it takes half a MiB for a segment of 500,000 records: each column's metadata, and 24 octets for each page of
//! each column. Kept here: where a column's pages begin (four octets each, read when the first row is read whole), the lowest and highest values of the
//! pages of the key columns, and the checksums. That is about 115 KiB for such a segment and 20 KiB for its index.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use parquet::basic::CompressionCodec;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{
    ColumnChunkMask, ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader,
};
use parquet::file::page_index::column_index::{ColumnIndexMetaData, PrimitiveColumnIndex};
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::statistics::Statistics;
use parquet::schema::types::{SchemaDescPtr, SchemaDescriptor};

use super::{PAGE_ROWS, Spec, parquet_error};
use crate::store::StoreError;
use crate::store::embedded::blocks::Content;
use crate::store::embedded::sums::{Source, Sums};
use crate::store::embedded::vault::Vault;

/// Octets of `PAR1`, before the first page.
const MAGIC: u64 = 4;

/// The footer of a file.
pub(in crate::store::embedded) struct Footer {
    pub(super) path: PathBuf,
    pub(super) schema: SchemaDescPtr,
    pub(super) groups: Vec<Group>,
    pub(super) sums: Arc<Sums>,
    /// Values that the writer left.
    about: Vec<(String, String)>,
    keys: Vec<Key>,
    /// Of all columns, once a row has been read whole: by group, then column.
    places: OnceLock<Vec<Vec<Places>>>,
}

pub(super) struct Group {
    pub rows: usize,
    pub chunks: Vec<Chunk>,
}

/// The pages of one column in one group.
pub(super) struct Chunk {
    /// Where its dictionary or first page begins.
    pub start: u64,
    pub length: u64,
    pub zstd: bool,
    /// The only value of a column of truth values, where the statistics say so.
    pub only: Option<bool>,
    /// No row has a value, as the statistics say.
    pub absent: bool,
}

/// A column that was opened as a key.
struct Key {
    group: usize,
    column: usize,
    values: Option<PrimitiveColumnIndex<i64>>,
    places: Option<Places>,
}

/// Where the pages of a column lie.
pub(super) enum Places {
    /// Each page has [`PAGE_ROWS`] rows and begins where the one before ends: so they begin, counted from the beginning of the chunk.
    Even(Box<[u32]>),
    /// Otherwise.
    Odd(Box<[PageLocation]>),
}

impl Footer {
    /// Reads the footer of a file, and of the page indexes those of the `keys` columns. `sum` is the checksum in its name, if it has one there.
    pub fn open(
        path: &Path,
        keys: &[&str],
        sum: Option<u32>,
        vault: &Vault,
    ) -> Result<(Arc<Self>, Arc<Content>), StoreError> {
        let file = Arc::new(Content::open(path, vault)?);
        let source = Source::unchecked(file.clone());
        let footer = guard(path, || Self::read(path, &source, keys, sum))?;
        Ok((Arc::new(footer), file))
    }

    fn read(
        path: &Path,
        source: &Source,
        keys: &[&str],
        sum: Option<u32>,
    ) -> Result<Self, StoreError> {
        let bad = |e| parquet_error(path, e);
        let metadata = ParquetMetaDataReader::new()
            .parse_and_finish(source)
            .map_err(bad)?;
        let mut about: Vec<(String, String)> = Vec::new();
        let mut sums = None;
        let entries = metadata.file_metadata().key_value_metadata();
        for entry in entries.into_iter().flatten() {
            match (entry.key.strip_prefix("tracehop."), &entry.value) {
                (Some("sums"), Some(value)) => sums = Sums::parse(value),
                (Some(key), Some(value)) => about.push((key.to_owned(), value.clone())),
                _ => {}
            }
        }
        let sums = sums.ok_or_else(|| StoreError::corrupt(path, "no checksums of ours"))?;
        source.check_footer(&sums, sum).map_err(bad)?;
        let schema = shared(metadata.file_metadata().schema_descr_ptr());
        let wanted: Vec<usize> = keys.iter().filter_map(|k| find(&schema, k)).collect();
        let groups = groups(&metadata).map_err(bad)?;
        let mask = ColumnChunkMask::columns(wanted.iter().copied());
        let mut indexes = ParquetMetaDataReader::new_with_metadata(metadata)
            .with_page_index_policy(PageIndexPolicy::Optional)
            .with_page_index_mask(mask);
        indexes.read_page_indexes(source).map_err(bad)?;
        let metadata = indexes.finish().map_err(bad)?;
        let mut kept = Vec::new();
        for (group, g) in groups.iter().enumerate() {
            for column in &wanted {
                let Some((indexes, chunk)) = metadata.page_index().zip(g.chunks.get(*column))
                else {
                    continue;
                };
                let values = match indexes.column_index(group, *column) {
                    Some(ColumnIndexMetaData::INT64(values)) => Some(values.clone()),
                    _ => None,
                };
                let places = indexes.offset_index(group, *column);
                kept.push(Key {
                    group,
                    column: *column,
                    values,
                    places: places.map(|p| Places::of(p.page_locations(), chunk)),
                });
            }
        }
        Ok(Self {
            path: path.to_owned(),
            schema,
            groups,
            sums: Arc::new(sums),
            about,
            keys: kept,
            places: OnceLock::new(),
        })
    }

    /// Whether a footer that may be damaged still says what one of ours must: the columns that we know in their order, later ones perhaps missing, and
    /// their pages end to end from the beginning of the file to where the checksums end. Then no column can be taken for another.
    pub fn is_ours(&self, specs: &[&[Spec]]) -> bool {
        let mut specs = specs.iter().flat_map(|s| s.iter());
        let known = self.schema.columns().iter().all(|column| {
            let spec = specs.find(|s| s.name == column.name());
            let same = |s: &Spec| {
                s.to_type().is_ok_and(|t| {
                    t.get_physical_type() == column.physical_type()
                        && column.max_def_level() == i16::from(!s.required)
                        && column.max_rep_level() == 0
                })
            };
            spec.is_some_and(same)
        });
        let mut at = MAGIC;
        for chunk in self.groups.iter().flat_map(|g| &g.chunks) {
            if chunk.start != at {
                return false;
            }
            at = at.saturating_add(chunk.length);
        }
        known && at == self.sums.pages()
    }

    /// A value that the writer left.
    pub fn about(&self, key: &str) -> Option<&str> {
        let entry = self.about.iter().find(|(k, _)| k == key);
        entry.map(|(_, value)| value.as_str())
    }

    /// What it takes to keep this, in octets: an estimate that counts all page locations, read or not.
    pub fn weight(&self) -> usize {
        let pages = |g: &Group| g.rows.div_ceil(PAGE_ROWS);
        let of_group = |g: &Group| {
            let column = size_of::<Chunk>() + size_of::<Places>() + pages(g) * size_of::<u32>();
            g.chunks.len() * column
        };
        // Lowest, highest, count and presence of null values; where it begins.
        let key_page = 3 * size_of::<i64>() + 1 + size_of::<u32>();
        let of_key = |k: &Key| {
            let pages = self.groups.get(k.group).map_or(0, pages);
            size_of::<Key>() + pages * key_page
        };
        let fixed = size_of::<Self>() + self.path.as_os_str().len() + self.sums.weight() + 512;
        fixed
            + self.groups.iter().map(of_group).sum::<usize>()
            + self.keys.iter().map(of_key).sum::<usize>()
    }

    /// Lowest and highest value of every page of a key column of integers.
    pub(super) fn values(&self, group: usize, column: usize) -> Option<&PrimitiveColumnIndex<i64>> {
        self.key(group, column)?.values.as_ref()
    }

    fn key(&self, group: usize, column: usize) -> Option<&Key> {
        let mut keys = self.keys.iter();
        keys.find(|k| k.group == group && k.column == column)
    }

    /// Where the pages of a column lie: at hand if the column is a key, else after reading those of all columns.
    pub(super) fn places(
        &self,
        source: &Source,
        group: usize,
        column: usize,
    ) -> ParquetResult<&Places> {
        if let Some(places) = self.key(group, column).and_then(|k| k.places.as_ref()) {
            return Ok(places);
        }
        let all = match self.places.get() {
            Some(all) => all,
            None => {
                let read = self.read_places(source)?;
                self.places.get_or_init(|| read)
            }
        };
        let places = all.get(group).and_then(|g| g.get(column));
        places.ok_or_else(|| ParquetError::General("no page locations".to_owned()))
    }

    fn read_places(&self, source: &Source) -> ParquetResult<Vec<Vec<Places>>> {
        let metadata = ParquetMetaDataReader::new().parse_and_finish(source)?;
        let mut indexes = ParquetMetaDataReader::new_with_metadata(metadata)
            .with_column_index_policy(PageIndexPolicy::Skip)
            .with_offset_index_policy(PageIndexPolicy::Required);
        indexes.read_page_indexes(source)?;
        let metadata = indexes.finish()?;
        let none = || ParquetError::General("no page locations".to_owned());
        let indexes = metadata.page_index().ok_or_else(none)?;
        let of_group = |(group, g): (usize, &Group)| {
            let chunks = g.chunks.iter().enumerate();
            let places = chunks.map(|(column, chunk)| {
                let index = indexes.offset_index(group, column).ok_or_else(none)?;
                Ok(Places::of(index.page_locations(), chunk))
            });
            places.collect()
        };
        self.groups.iter().enumerate().map(of_group).collect()
    }
}

fn groups(metadata: &ParquetMetaData) -> ParquetResult<Vec<Group>> {
    let odd = |_| ParquetError::General("an impossible number of rows".to_owned());
    let groups = metadata.row_groups().iter();
    groups
        .map(|g| {
            let chunks: ParquetResult<Vec<Chunk>> = g.columns().iter().map(Chunk::of).collect();
            Ok(Group {
                rows: usize::try_from(g.num_rows()).map_err(odd)?,
                chunks: chunks?,
            })
        })
        .collect()
}

impl Chunk {
    fn of(meta: &ColumnChunkMetaData) -> ParquetResult<Self> {
        let (start, length) = meta.byte_range();
        let zstd = match meta.compression_codec() {
            CompressionCodec::UNCOMPRESSED => false,
            CompressionCodec::ZSTD => true,
            other => return Err(ParquetError::General(format!("packed with {other}"))),
        };
        let only = match meta.statistics() {
            Some(Statistics::Boolean(s)) if s.min_opt() == s.max_opt() => s.min_opt().copied(),
            _ => None,
        };
        let nulls = meta.statistics().and_then(Statistics::null_count_opt);
        Ok(Self {
            start,
            length,
            zstd,
            only,
            absent: nulls.is_some() && nulls == u64::try_from(meta.num_values()).ok(),
        })
    }
}

impl Places {
    fn of(pages: &[PageLocation], chunk: &Chunk) -> Self {
        Self::even(pages, chunk).unwrap_or_else(|| Self::Odd(pages.into()))
    }

    fn even(pages: &[PageLocation], chunk: &Chunk) -> Option<Self> {
        let end = chunk.start.checked_add(chunk.length)?;
        let mut starts = Vec::with_capacity(pages.len());
        for (i, page) in pages.iter().enumerate() {
            let start = u64::try_from(page.offset).ok()?;
            let size = u64::try_from(page.compressed_page_size).ok()?;
            let next = match pages.get(i + 1) {
                Some(next) => u64::try_from(next.offset).ok()?,
                None => end,
            };
            if usize::try_from(page.first_row_index).ok()? != i * PAGE_ROWS
                || start.checked_add(size)? != next
            {
                return None;
            }
            starts.push(u32::try_from(start.checked_sub(chunk.start)?).ok()?);
        }
        Some(Self::Even(starts.into()))
    }
}

/// Schemas that are shared between footers. A version of the program writes four; those of other versions are kept by each file.
const SCHEMAS: usize = 16;

/// One schema for all files that have the same: it takes more than all the rest of a footer.
fn shared(schema: SchemaDescPtr) -> SchemaDescPtr {
    static KNOWN: Mutex<Vec<Arc<SchemaDescriptor>>> = Mutex::new(Vec::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(same) = known.iter().find(|k| ***k == *schema) {
        return same.clone();
    }
    if known.len() < SCHEMAS {
        known.push(schema.clone());
    }
    schema
}

pub(super) fn find(schema: &SchemaDescriptor, column: &str) -> Option<usize> {
    schema.columns().iter().position(|c| c.name() == column)
}

/// Runs the Parquet reader over octets that may be anything.
pub(super) fn guard<T>(
    path: &Path,
    read: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
        Err(StoreError::corrupt(
            path,
            "the Parquet reader gave up on it".to_owned(),
        ))
    })
}
