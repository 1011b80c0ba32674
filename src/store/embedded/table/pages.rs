//! Pages of one column, unpacked with a zstd context that each thread keeps: the Parquet reader makes two for every column of every file that it
//! reads, which costs more than unpacking a page.

use std::cell::RefCell;
use std::sync::Arc;

use bytes::Bytes;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::schema::types::ColumnDescPtr;
use zstd::bulk::Decompressor;

use crate::store::embedded::sums::Source;

/// The most that one page may be unpacked to: 2,000 texts as long as any that an event of the log holds are below it.
const LONGEST_PAGE: usize = 256 << 20;

thread_local! {
    static UNPACK: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// The dictionary, if one begins at `start` before the first of the places, and the pages at the places. Rows are counted as if there were no others.
pub(super) struct Pages {
    /// Told that nothing is packed.
    inner: SerializedPageReader<Source>,
    zstd: bool,
}

impl Pages {
    pub fn new(
        source: &Arc<Source>,
        descriptor: ColumnDescPtr,
        zstd: bool,
        (start, places): (u64, Vec<PageLocation>),
        rows: usize,
    ) -> ParquetResult<Self> {
        let odd = |_| ParquetError::General("an impossible place".to_owned());
        let meta = ColumnChunkMetaData::builder(descriptor)
            .set_data_page_offset(i64::try_from(start).map_err(odd)?)
            .build()?;
        let inner = SerializedPageReader::new(source.clone(), &meta, rows, Some(places))?;
        Ok(Self { inner, zstd })
    }

    fn unpacked(&self, page: Page) -> ParquetResult<Page> {
        if !self.zstd {
            return Ok(page);
        }
        match page {
            Page::DataPage {
                buf,
                num_values,
                encoding,
                def_level_encoding,
                rep_level_encoding,
                statistics,
            } => Ok(Page::DataPage {
                buf: unpack(buf)?,
                num_values,
                encoding,
                def_level_encoding,
                rep_level_encoding,
                statistics,
            }),
            Page::DictionaryPage {
                buf,
                num_values,
                encoding,
                is_sorted,
            } => Ok(Page::DictionaryPage {
                buf: unpack(buf)?,
                num_values,
                encoding,
                is_sorted,
            }),
            // Never written by any version of ours.
            Page::DataPageV2 { .. } => Err(ParquetError::General("a page of version 2".into())),
        }
    }
}

fn unpack(packed: Bytes) -> ParquetResult<Bytes> {
    if packed.is_empty() {
        return Ok(packed);
    }
    let size = zstd::zstd_safe::get_frame_content_size(&packed)
        .ok()
        .flatten();
    let size = size.and_then(|s| usize::try_from(s).ok());
    let size = size.filter(|s| *s <= LONGEST_PAGE);
    let size = size.ok_or_else(|| ParquetError::General("a page of unknown length".to_owned()))?;
    UNPACK.with_borrow_mut(|context| {
        let context = match context {
            Some(context) => context,
            None => context.insert(Decompressor::new()?),
        };
        Ok(context.decompress(&packed, size)?.into())
    })
}

impl Iterator for Pages {
    type Item = ParquetResult<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> ParquetResult<Option<Page>> {
        let page = self.inner.get_next_page()?;
        page.map(|p| self.unpacked(p)).transpose()
    }

    fn peek_next_page(&mut self) -> ParquetResult<Option<PageMetadata>> {
        self.inner.peek_next_page()
    }

    fn skip_next_page(&mut self) -> ParquetResult<()> {
        self.inner.skip_next_page()
    }

    fn supports_deferred_dictionary(&self) -> bool {
        self.inner.supports_deferred_dictionary()
    }

    fn take_deferred_dictionary(&mut self) -> ParquetResult<Option<Page>> {
        let page = self.inner.take_deferred_dictionary()?;
        page.map(|p| self.unpacked(p)).transpose()
    }

    fn at_record_boundary(&mut self) -> ParquetResult<bool> {
        self.inner.at_record_boundary()
    }
}
