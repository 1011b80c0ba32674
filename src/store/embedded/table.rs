//! Parquet files of this store: how columns are declared, written page by page, and read row by row.
//!
//! All columns of a row group are written side by side, some rows at a time, so that the rows are gone over once and
//! the buffers stay in the processor's cache; the pages wait in memory (about 70 octets a record) until the
//! group is complete. A page is exactly 2,000 rows in every column.
//!
//! Files are under checksums of our own: see `sums`.
//!
//! A file that is no Parquet, lacks a column that it must have, or makes the Parquet reader panic is
//! [`StoreError::Corrupt`] with its path: never a panic of ours, never an empty answer.

pub(super) mod binary;
mod footer;
mod pages;
mod read;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{
    Compression, ConvertedType, Encoding, Repetition, TimeUnit, Type as Physical, ZstdLevel,
};
use parquet::column::writer::{ColumnWriter, get_column_writer, get_typed_column_writer_mut};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, FixedLenByteArray, FixedLenByteArrayType,
    Int64Type,
};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::{SerializedFileWriter, SerializedPageWriter, TrackedWrite};
use parquet::schema::types::{ColumnPath, SchemaDescPtr, SchemaDescriptor, Type, TypePtr};

pub(super) use self::footer::Footer;
pub(super) use self::read::Reader;
use super::blocks::Output;
pub(super) use super::sums::Finished;
use super::sums::Summing;
use super::vault::Vault;
use crate::store::StoreError;

/// Rows of a data page: a cold look-up reads one page of each column (measured: 2.3 ms against 3.6 ms with 20,000 rows).
pub(super) const PAGE_ROWS: usize = 2000;
/// A dictionary that grows past this is given up for plain values: a look-up must not read more than this for one value.
const DICTIONARY_LIMIT: usize = 128 << 10;
/// Zstandard level 1: level 3 takes a tenth more time to seal and saves nothing (measured: 72.7 octets a record against 72.6).
const ZSTD_LEVEL: i32 = 1;

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
    /// What does not repeat, or only within a page: zstd alone.
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

/// Values of one column for some rows, a page at most.
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
        if let Some(value) = value {
            self.values.push(value);
        }
    }

    /// Writes the rows gathered: a page as soon as [`PAGE_ROWS`] are there.
    pub fn write(&self, writer: Option<&mut ColumnWriter<'_>>) -> ParquetResult<()> {
        let writer = writer.ok_or_else(|| ParquetError::General("a column too many".to_owned()))?;
        let writer = get_typed_column_writer_mut::<T::Parquet>(writer);
        let present = (!self.required).then_some(self.present.as_slice());
        writer.write_batch(&self.values, present, None)?;
        Ok(())
    }

    pub fn clear(&mut self) {
        self.values.clear();
        self.present.clear();
    }

    pub fn flush(&mut self, writer: Option<&mut ColumnWriter<'_>>) -> ParquetResult<()> {
        self.write(writer)?;
        self.clear();
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

            /// Writes the rows gathered into every column: a page as soon as it is full.
            pub fn write<'w, 'f: 'w>(
                &self,
                writers: &mut impl Iterator<Item = &'w mut parquet::column::writer::ColumnWriter<'f>>,
            ) -> parquet::errors::Result<()> {
                $( self.$field.write(writers.next())?; )*
                Ok(())
            }

            /// Makes room for the next page.
            pub fn clear(&mut self) {
                $( self.$field.clear(); )*
            }

            /// Writes the rows gathered into every column, and makes room for the next.
            #[allow(dead_code)] // not every table is written by one thread
            pub fn flush<'w, 'f: 'w>(
                &mut self,
                writers: &mut impl Iterator<Item = &'w mut parquet::column::writer::ColumnWriter<'f>>,
            ) -> parquet::errors::Result<()> {
                self.write(writers)?;
                self.clear();
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

            /// No rows.
            #[allow(dead_code)] // not every table goes to the shared engine
            pub fn none() -> Self {
                Self { $( $field: Vec::new(), )* }
            }

            /// A row as `RowBinary`; `None` where it lacks what it must have.
            #[allow(dead_code)]
            pub fn put_binary(&self, row: usize, out: &mut Vec<u8>) -> Option<()> {
                let mut specs = $name::SPECS.iter();
                $(
                    let cell = self.$field.get(row).and_then(Option::as_ref);
                    $crate::store::embedded::table::binary::put(cell, specs.next()?, out)?;
                )*
                Some(())
            }

            /// One more row, from `RowBinary`; `None` where that is something else.
            #[allow(dead_code)]
            pub fn take_binary(&mut self, cut: &mut $crate::store::embedded::codec::Cut<'_>) -> Option<()> {
                let mut specs = $name::SPECS.iter();
                $( self.$field.push($crate::store::embedded::table::binary::take(specs.next()?, cut)?); )*
                Some(())
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
    /// A new file, sealed by the key of `day` where the store has keys and the file a day.
    pub fn create(
        path: &Path,
        specs: &[&[Spec]],
        vault: &Vault,
        day: Option<i64>,
    ) -> Result<Self, StoreError> {
        super::layout::step(path)?;
        Self::onto(path, Output::create(path, vault, day)?, specs)
    }

    /// Into a file that the caller has made, and which is no part of the store's own.
    pub fn over(path: &Path, file: File, specs: &[&[Spec]]) -> Result<Self, StoreError> {
        Self::onto(path, Output::Plain(file), specs)
    }

    fn onto(path: &Path, file: Output, specs: &[&[Spec]]) -> Result<Self, StoreError> {
        let bad = |e| parquet_error(path, e);
        let schema = schema(specs).map_err(bad)?;
        let properties = Arc::new(properties(specs).map_err(bad)?);
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

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Octets written so far.
    pub fn octets(&self) -> u64 {
        self.file.bytes_written() as u64
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
        super::layout::step(&self.path)?;
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
        self.file.inner_mut().finish()
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

pub(super) fn parquet_error(path: &Path, e: ParquetError) -> StoreError {
    match e {
        ParquetError::External(e) => match e.downcast::<io::Error>() {
            Ok(e) => StoreError::io(path, *e),
            Err(e) => StoreError::corrupt(path, e.to_string()),
        },
        e => StoreError::corrupt(path, e.to_string()),
    }
}
