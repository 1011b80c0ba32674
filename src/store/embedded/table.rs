//! Parquet files of this store: how columns are declared, written page by page, and read row by row.
//!
//! All columns of a row group are written side by side, 2,000 rows at a time, so that the rows are gone over once and
//! the buffers stay in the processor's cache; the pages wait in memory (about 70 octets a record) until the
//! group is complete. A page is exactly 2,000 rows in every column.
//!
//! Files are under checksums of our own: see `sums`.
//!
//! A file that is no Parquet, lacks a column that it must have, or makes the Parquet reader panic is
//! [`StoreError::Corrupt`] with its path: never a panic of ours, never an empty answer.

use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parquet::basic::{
    Compression, ConvertedType, Encoding, Repetition, TimeUnit, Type as Physical, ZstdLevel,
};
use parquet::column::reader::{get_column_reader, get_typed_column_reader};
use parquet::column::writer::{ColumnWriter, get_column_writer, get_typed_column_writer_mut};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, FixedLenByteArray, FixedLenByteArrayType,
    Int64Type,
};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{
    ColumnChunkMask, KeyValue, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader,
};
use parquet::file::page_index::column_index::{ColumnIndexMetaData, PrimitiveColumnIndex};
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::file::writer::{SerializedFileWriter, SerializedPageWriter, TrackedWrite};
use parquet::schema::types::{ColumnPath, SchemaDescPtr, SchemaDescriptor, Type, TypePtr};

pub(super) use super::sums::Finished;
use super::sums::{Source, Summing, Sums};
use crate::store::StoreError;

/// Rows of a data page: a cold look-up reads one page of each column (measured: 2.3 ms against 3.6 ms with 20,000 rows).
pub(super) const PAGE_ROWS: usize = 2000;
/// A dictionary that grows past this is given up for plain values: a look-up must not read more than this for one value.
const DICTIONARY_LIMIT: usize = 128 << 10;
/// Zstandard level 3: the level of the measured figures.
const ZSTD_LEVEL: i32 = 3;

/// How values of a column are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// Values that repeat: a dictionary, then zstd.
    Dictionary,
    /// Numbers: packed differences, then zstd.
    Delta,
    /// Numbers that look random: packed differences alone, because zstd would find nothing.
    Packed,
    /// Digests: as they are.
    Plain,
    /// Text that does not repeat, or only by chance: zstd alone.
    Text,
}

/// What a column is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spec {
    pub name: &'static str,
    pub required: bool,
    pub layout: Layout,
    pub meaning: Meaning,
    pub statistics: EnabledStatistics,
}

/// How readers are to take the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Signed,
    Unsigned,
    Time,
    Text,
    Flag,
    Octets16,
    Uuid,
}

/// A value that a column can hold.
pub(super) trait Cell: Clone + Default + 'static {
    type Parquet: DataType<T = Self>;
}

impl Cell for i64 {
    type Parquet = Int64Type;
}

impl Cell for bool {
    type Parquet = BoolType;
}

impl Cell for ByteArray {
    type Parquet = ByteArrayType;
}

impl Cell for FixedLenByteArray {
    type Parquet = FixedLenByteArrayType;
}

/// Values of one column for the rows of one page.
#[derive(Debug)]
pub(super) struct Cells<T> {
    values: Vec<T>,
    /// 1 where there is a value, 0 where there is none.
    present: Vec<i16>,
    required: bool,
}

impl<T: Cell> Cells<T> {
    pub fn new(spec: &Spec) -> Self {
        Self {
            values: Vec::with_capacity(PAGE_ROWS),
            present: Vec::with_capacity(if spec.required { 0 } else { PAGE_ROWS }),
            required: spec.required,
        }
    }

    /// A value of a column that always has one.
    pub fn put(&mut self, value: T) {
        self.values.push(value);
    }

    /// A value of a column that may have none.
    pub fn put_opt(&mut self, value: Option<T>) {
        self.present.push(i16::from(value.is_some()));
        self.values.extend(value);
    }

    pub fn flush(&mut self, writer: Option<&mut ColumnWriter<'_>>) -> ParquetResult<()> {
        let writer = writer.ok_or_else(|| ParquetError::General("a column too many".to_owned()))?;
        let writer = get_typed_column_writer_mut::<T::Parquet>(writer);
        let present = (!self.required).then_some(self.present.as_slice());
        writer.write_batch(&self.values, present, None)?;
        self.values.clear();
        self.present.clear();
        Ok(())
    }
}

/// Declares the columns of a table once: the schema, the buffers to write and the vectors to read follow from it.
macro_rules! table {
    ($(#[$doc:meta])* $name:ident { $( $field:ident: $cell:ty = $required:literal $layout:ident $meaning:ident $statistics:ident; )* }) => {
        $(#[$doc])*
        pub(super) struct $name { $( pub $field: $crate::store::embedded::table::Cells<$cell>, )* }

        impl $name {
            pub const SPECS: &[$crate::store::embedded::table::Spec] = &[$(
                $crate::store::embedded::table::Spec {
                    name: stringify!($field),
                    required: $required,
                    layout: $crate::store::embedded::table::Layout::$layout,
                    meaning: $crate::store::embedded::table::Meaning::$meaning,
                    statistics: parquet::file::properties::EnabledStatistics::$statistics,
                },
            )*];

            #[allow(unused_assignments, clippy::indexing_slicing)] // the list is a constant and has a first spec
            pub fn new() -> Self {
                let mut specs = Self::SPECS.iter();
                Self { $( $field: {
                    // One spec a field, from the same list.
                    let spec = specs.next().unwrap_or(&Self::SPECS[0]);
                    $crate::store::embedded::table::Cells::new(spec)
                }, )* }
            }

            /// Writes the rows gathered as one page of every column.
            pub fn flush<'w, 'f: 'w>(
                &mut self,
                writers: &mut impl Iterator<Item = &'w mut parquet::column::writer::ColumnWriter<'f>>,
            ) -> parquet::errors::Result<()> {
                $( self.$field.flush(writers.next())?; )*
                Ok(())
            }
        }
    };
    ($(#[$doc:meta])* $name:ident reads $read:ident { $( $field:ident: $cell:ty = $required:literal $layout:ident $meaning:ident $statistics:ident; )* }) => {
        $crate::store::embedded::table::table! {
            $(#[$doc])* $name { $( $field: $cell = $required $layout $meaning $statistics; )* }
        }

        /// The same columns, read: one value a row.
        pub(super) struct $read { $( pub $field: Vec<Option<$cell>>, )* }

        impl $read {
            pub fn read(
                reader: &$crate::store::embedded::table::Reader,
                group: usize,
                rows: &[usize],
            ) -> Result<Self, $crate::store::StoreError> {
                Ok(Self { $( $field: reader.rows(group, stringify!($field), rows)?, )* })
            }
        }
    };
}
pub(super) use table;

/// A Parquet file being written. It has its name only after [`Writer::finish`] and a rename by the caller.
pub(super) struct Writer {
    path: PathBuf,
    file: SerializedFileWriter<Summing>,
    schema: SchemaDescPtr,
    properties: WriterPropertiesPtr,
}

impl Writer {
    pub fn create(path: &Path, specs: &[&[Spec]]) -> Result<Self, StoreError> {
        let bad = |e| parquet_error(path, e);
        let schema = schema(specs).map_err(bad)?;
        let properties = Arc::new(properties(specs).map_err(bad)?);
        let file = File::create(path).map_err(|e| StoreError::io(path, e))?;
        let file =
            SerializedFileWriter::new(Summing::over(file), schema.clone(), properties.clone())
                .map_err(bad)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            schema: Arc::new(SchemaDescriptor::new(schema)),
            properties,
        })
    }

    /// Writes one row group: `fill` writes page after page to all columns.
    pub fn group(
        &mut self,
        fill: impl FnOnce(&mut [ColumnWriter<'_>]) -> ParquetResult<()>,
    ) -> Result<(), StoreError> {
        let path = self.path.clone();
        self.try_group(fill).map_err(|e| parquet_error(&path, e))
    }

    fn try_group(
        &mut self,
        fill: impl FnOnce(&mut [ColumnWriter<'_>]) -> ParquetResult<()>,
    ) -> ParquetResult<()> {
        let columns = self.schema.columns();
        let mut sinks: Vec<_> = columns
            .iter()
            .map(|_| TrackedWrite::new(Vec::new()))
            .collect();
        let mut writers: Vec<_> = columns
            .iter()
            .zip(&mut sinks)
            .map(|(column, sink)| {
                let pages = Box::new(SerializedPageWriter::new(sink));
                get_column_writer(column.clone(), self.properties.clone(), pages)
            })
            .collect();
        fill(&mut writers)?;
        let closed: ParquetResult<Vec<_>> = writers.into_iter().map(ColumnWriter::close).collect();
        let mut group = self.file.next_row_group()?;
        for (closed, sink) in closed?.into_iter().zip(sinks) {
            group.append_column(&Bytes::from(sink.into_inner()?), closed)?;
        }
        group.close()?;
        Ok(())
    }

    /// Writes the footer and makes the file durable.
    pub fn finish(mut self, about: &[(&str, String)]) -> Result<Finished, StoreError> {
        let path = self.path.clone();
        self.try_finish(about).map_err(|e| parquet_error(&path, e))
    }

    fn try_finish(&mut self, about: &[(&str, String)]) -> ParquetResult<Finished> {
        self.file.flush()?;
        let sums = self.file.inner_mut().end_of_pages();
        let sums = [("sums", sums)];
        for (key, value) in about.iter().chain(&sums) {
            let entry = KeyValue::new(format!("tracehop.{key}"), value.clone());
            self.file.append_key_value_metadata(entry);
        }
        self.file.finish()?;
        self.file.inner().finish()
    }
}

fn schema(specs: &[&[Spec]]) -> ParquetResult<TypePtr> {
    let fields: ParquetResult<Vec<TypePtr>> = specs
        .iter()
        .flat_map(|s| s.iter())
        .map(|s| s.to_type().map(Arc::new))
        .collect();
    let root = Type::group_type_builder("tracehop").with_fields(fields?);
    root.build().map(Arc::new)
}

impl Spec {
    fn to_type(self) -> ParquetResult<Type> {
        let physical = match self.meaning {
            Meaning::Signed | Meaning::Unsigned | Meaning::Time => Physical::INT64,
            Meaning::Text => Physical::BYTE_ARRAY,
            Meaning::Flag => Physical::BOOLEAN,
            Meaning::Octets16 | Meaning::Uuid => Physical::FIXED_LEN_BYTE_ARRAY,
        };
        let builder = Type::primitive_type_builder(self.name, physical);
        let builder = builder.with_repetition(if self.required {
            Repetition::REQUIRED
        } else {
            Repetition::OPTIONAL
        });
        match self.meaning {
            Meaning::Signed | Meaning::Flag => builder,
            Meaning::Unsigned => builder.with_converted_type(ConvertedType::UINT_64),
            Meaning::Time => builder.with_logical_type(Some(
                parquet::basic::LogicalType::timestamp(true, TimeUnit::NANOS),
            )),
            Meaning::Text => builder.with_converted_type(ConvertedType::UTF8),
            Meaning::Octets16 => builder.with_length(16),
            Meaning::Uuid => builder
                .with_length(16)
                .with_logical_type(Some(parquet::basic::LogicalType::Uuid)),
        }
        .build()
    }
}

fn properties(specs: &[&[Spec]]) -> ParquetResult<WriterProperties> {
    let zstd = Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?);
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("tracehop ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(PAGE_ROWS)
        .set_dictionary_page_size_limit(DICTIONARY_LIMIT)
        .set_dictionary_enabled(false)
        .set_max_row_group_row_count(None)
        .set_statistics_enabled(EnabledStatistics::None);
    for spec in specs.iter().flat_map(|s| s.iter()) {
        let column = || ColumnPath::from(spec.name);
        let (compression, encoding) = match spec.layout {
            Layout::Dictionary | Layout::Text => (zstd, Encoding::PLAIN),
            Layout::Delta => (zstd, Encoding::DELTA_BINARY_PACKED),
            Layout::Packed => (Compression::UNCOMPRESSED, Encoding::DELTA_BINARY_PACKED),
            Layout::Plain => (Compression::UNCOMPRESSED, Encoding::PLAIN),
        };
        properties = properties
            .set_column_compression(column(), compression)
            .set_column_dictionary_enabled(column(), spec.layout == Layout::Dictionary)
            .set_column_encoding(column(), encoding)
            .set_column_statistics_enabled(column(), spec.statistics);
    }
    Ok(properties.build())
}

/// A Parquet file, open to be read.
pub(super) struct Reader {
    path: PathBuf,
    file: Arc<Source>,
    metadata: ParquetMetaData,
    schema: SchemaDescPtr,
    /// Footer with the page locations of all columns, once a row has been read whole.
    whole: OnceLock<ParquetMetaData>,
}

impl Reader {
    /// Opens a file and reads its footer, and of the page indexes those of the `keys` columns. `sum` is the checksum in its name, if
    /// it has one there.
    pub fn open(path: &Path, keys: &[&str], sum: Option<u32>) -> Result<Self, StoreError> {
        let io = |e| StoreError::io(path, e);
        let file = Arc::new(Source::open(path).map_err(io)?);
        guard(path, || {
            let bad = |e| parquet_error(path, e);
            let mut metadata = ParquetMetaDataReader::new()
                .parse_and_finish(&*file)
                .map_err(bad)?;
            let sums = about(&metadata, "sums").and_then(Sums::parse);
            let sums = sums.ok_or_else(|| StoreError::corrupt(path, "no checksums of ours"))?;
            file.check(sums, sum).map_err(bad)?;
            let schema = metadata.file_metadata().schema_descr_ptr();
            let keys = keys.iter().filter_map(|k| find(&schema, k));
            let mask = ColumnChunkMask::columns(keys);
            let mut pages = ParquetMetaDataReader::new_with_metadata(metadata)
                .with_page_index_policy(PageIndexPolicy::Optional)
                .with_page_index_mask(mask);
            pages.read_page_indexes(&*file).map_err(bad)?;
            metadata = pages.finish().map_err(bad)?;
            Ok(Self {
                path: path.to_owned(),
                file: file.clone(),
                metadata,
                schema,
                whole: OnceLock::new(),
            })
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn groups(&self) -> usize {
        self.metadata.num_row_groups()
    }

    pub fn group_rows(&self, group: usize) -> usize {
        let groups = self.metadata.row_groups();
        groups
            .get(group)
            .and_then(|g| usize::try_from(g.num_rows()).ok())
            .unwrap_or(0)
    }

    /// What it takes to keep this open, in octets: an estimate that counts all page locations, read or not.
    pub fn weight(&self) -> usize {
        let rows: usize = (0..self.groups()).map(|g| self.group_rows(g)).sum();
        let locations = rows.div_ceil(PAGE_ROWS) * self.schema.num_columns();
        self.metadata.memory_size() + locations * size_of::<PageLocation>()
    }

    /// A value that [`Writer::finish`] wrote.
    pub fn about(&self, key: &str) -> Option<&str> {
        about(&self.metadata, key)
    }

    /// Lowest and highest value of every page of a column of integers that was opened as a key; no statistics
    /// for pages without values. Pages are [`PAGE_ROWS`] rows each.
    pub fn pages(
        &self,
        group: usize,
        column: &str,
    ) -> Result<&PrimitiveColumnIndex<i64>, StoreError> {
        let index = self.metadata.page_index().and_then(|pages| {
            let column = find(&self.schema, column)?;
            pages.column_index(group, column)
        });
        match index {
            Some(ColumnIndexMetaData::INT64(index)) => Ok(index),
            _ => Err(self.lacks(column, "page statistics")),
        }
    }

    /// Values of a column in the given rows, which rise. A column that the file does not have has no values: it was
    /// added to the schema after the file was written.
    pub fn rows<T: Cell>(
        &self,
        group: usize,
        column: &str,
        rows: &[usize],
    ) -> Result<Vec<Option<T>>, StoreError> {
        let Some(place) = find(&self.schema, column) else {
            return Ok(vec![None; rows.len()]);
        };
        guard(&self.path, || {
            self.try_rows::<T>(group, place, rows)
                .map_err(|e| parquet_error(&self.path, e))
        })
    }

    fn try_rows<T: Cell>(
        &self,
        group: usize,
        column: usize,
        rows: &[usize],
    ) -> ParquetResult<Vec<Option<T>>> {
        let oversized = |_| ParquetError::General("no such column".to_owned());
        let descriptor = self.schema.column(column);
        if descriptor.physical_type() != T::Parquet::get_physical_type()
            || descriptor.max_rep_level() != 0
            || descriptor.max_def_level() > 1
        {
            return Err(ParquetError::General(format!(
                "column {} has another type",
                descriptor.name()
            )));
        }
        let meta = self.metadata.row_group(group);
        let total = usize::try_from(meta.num_rows()).map_err(oversized)?;
        let chunk = meta.column(column);
        let locations = self.locations(group, column)?;
        let pages = SerializedPageReader::new(self.file.clone(), chunk, total, Some(locations))?;
        let optional = descriptor.max_def_level() == 1;
        let reader = get_column_reader(descriptor, Box::new(pages));
        let mut reader = get_typed_column_reader::<T::Parquet>(reader);

        let mut out = Vec::with_capacity(rows.len());
        let (mut values, mut present) = (Vec::new(), Vec::new());
        let mut next = 0;
        let mut rest = rows;
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

    /// Where the pages of a column lie: from the footer if the column is a key, else after reading all page locations.
    fn locations(&self, group: usize, column: usize) -> ParquetResult<Vec<PageLocation>> {
        let known = |metadata: &ParquetMetaData| {
            let pages = metadata.page_index()?;
            Some(pages.offset_index(group, column)?.page_locations().clone())
        };
        if let Some(locations) = known(&self.metadata) {
            return Ok(locations);
        }
        let whole = match self.whole.get() {
            Some(whole) => whole,
            None => {
                let mut pages = ParquetMetaDataReader::new_with_metadata(self.metadata.clone())
                    .with_column_index_policy(PageIndexPolicy::Skip)
                    .with_offset_index_policy(PageIndexPolicy::Required);
                pages.read_page_indexes(&*self.file)?;
                let read = pages.finish()?;
                self.whole.get_or_init(|| read)
            }
        };
        known(whole).ok_or_else(|| ParquetError::General("no page locations".to_owned()))
    }

    pub fn lacks(&self, column: &str, what: &str) -> StoreError {
        StoreError::corrupt(&self.path, format!("column {column}: no {what}"))
    }
}

fn about<'m>(metadata: &'m ParquetMetaData, key: &str) -> Option<&'m str> {
    let mut entries = metadata.file_metadata().key_value_metadata()?.iter();
    let entry = entries.find(|e| e.key.strip_prefix("tracehop.") == Some(key))?;
    entry.value.as_deref()
}

fn find(schema: &SchemaDescriptor, column: &str) -> Option<usize> {
    schema.columns().iter().position(|c| c.name() == column)
}

/// Runs the Parquet reader over octets that may be anything.
fn guard<T>(path: &Path, read: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
        Err(StoreError::corrupt(
            path,
            "the Parquet reader gave up on it".to_owned(),
        ))
    })
}

fn parquet_error(path: &Path, e: ParquetError) -> StoreError {
    match e {
        ParquetError::External(e) => match e.downcast::<io::Error>() {
            Ok(e) => StoreError::io(path, *e),
            Err(e) => StoreError::corrupt(path, e.to_string()),
        },
        e => StoreError::corrupt(path, e.to_string()),
    }
}
