//! Checksums of sealed files. Parquet has none that all writers and readers share, and nothing in it notices a flipped bit in a packed
//! column; so a file carries its own.
//!
//! The footer holds a crc32c for every 4 KiB of pages (`tracehop.sums`: where the pages end, `:`, eight hexadecimal digits a block; 16 KiB in files of
//! earlier versions, as the number of blocks tells), checked on every read; the file's name holds that of everything after the pages, checked on opening. A damaged file answers with an
//! error, never with another number or time.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{ChunkReader, Length};

use super::blocks::{Content, Output};

/// A file that has been written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finished {
    /// Its length on disk.
    pub octets: u64,
    /// Checksum of everything after the pages: for its name.
    pub sum: u32,
}

/// Octets that one checksum covers: what a disk reads at least, so that reading one page reads little else.
const SUMMED: usize = 4 << 10;
/// The same in files of earlier versions.
const SUMMED_BEFORE: usize = 16 << 10;

/// Spans with no more than this between them are fetched as one: a request costs as much as reading this (measured: a request of 4 KiB takes 12 µs,
/// one of 16 KiB 21 µs, one of 128 KiB 114 µs, of a thousand at once).
const CLOSE: u64 = 8 << 10;

/// Sums up what is written.
pub(super) struct Summing {
    file: Output,
    written: u64,
    /// Of whole blocks.
    sums: Vec<u32>,
    /// Of the block being written; after the pages, of all that follows.
    sum: u32,
    /// How much of the block is written; `None` after the pages.
    filled: Option<usize>,
}

impl Summing {
    pub fn over(file: Output) -> Self {
        Self {
            file,
            written: 0,
            sums: Vec::new(),
            sum: 0,
            filled: Some(0),
        }
    }

    /// Where the pages end and the checksums of their blocks, as the footer holds them.
    pub fn end_of_pages(&mut self) -> String {
        if self.filled.take().is_some_and(|f| f > 0) {
            self.sums.push(self.sum);
        }
        self.sum = 0;
        let mut text = format!("{}:", self.written);
        for sum in &self.sums {
            let _ = write!(text, "{sum:08x}");
        }
        text
    }

    /// Makes the file durable.
    pub fn finish(&mut self) -> ParquetResult<Finished> {
        Ok(Finished {
            octets: self.file.finish()?,
            sum: self.sum,
        })
    }
}

impl Write for Summing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = match self.filled {
            Some(filled) => bytes.len().min(SUMMED - filled),
            None => bytes.len(),
        };
        let (bytes, _) = bytes.split_at(taken);
        let taken = self.file.write(bytes)?;
        let (bytes, _) = bytes.split_at(taken);
        self.sum = crc32c::crc32c_append(self.sum, bytes);
        self.written += taken as u64;
        if let Some(filled) = &mut self.filled {
            *filled += taken;
            if *filled == SUMMED {
                self.sums.push(self.sum);
                (self.sum, *filled) = (0, 0);
            }
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A file read by position, so that several threads may share it.
pub(super) struct Source {
    file: Arc<Content>,
    /// None while the footer is read, from which they come.
    sums: Option<Arc<Sums>>,
    /// The blocks read last: columns that hold little share one.
    last: Mutex<Option<(u64, Bytes)>>,
}

/// Checksums of the pages of a file.
pub(super) struct Sums {
    /// Where the pages end.
    pages: u64,
    blocks: Vec<u32>,
    /// Octets that each covers.
    summed: u64,
}

impl Sums {
    /// Where the pages end.
    pub fn pages(&self) -> u64 {
        self.pages
    }

    /// Octets that they take.
    pub fn weight(&self) -> usize {
        size_of_val(&*self.blocks)
    }

    pub fn parse(text: &str) -> Option<Self> {
        let (pages, sums) = text.split_once(':')?;
        let pages: u64 = pages.parse().ok()?;
        let blocks: Option<Vec<u32>> = sums
            .as_bytes()
            .chunks(8)
            .map(|hex| u32::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok())
            .collect();
        let blocks = blocks?;
        let count = u64::try_from(blocks.len()).ok()?;
        let mut known = [SUMMED, SUMMED_BEFORE].into_iter().map(|s| s as u64);
        let summed = known.find(|summed| pages.div_ceil(*summed) == count)?;
        Some(Self {
            pages,
            blocks,
            summed,
        })
    }
}

impl Source {
    /// A file whose footer is to be read.
    pub fn unchecked(file: Arc<Content>) -> Self {
        Self::new(file, None)
    }

    /// A file whose pages are checked.
    pub fn checked(file: Arc<Content>, sums: Arc<Sums>) -> Self {
        Self::new(file, Some(sums))
    }

    fn new(file: Arc<Content>, sums: Option<Arc<Sums>>) -> Self {
        Self {
            file,
            sums,
            last: Mutex::new(None),
        }
    }

    /// Checks the footer, from which `sums` come, by the sum in the file's name.
    pub fn check_footer(&self, sums: &Sums, name: Option<u32>) -> ParquetResult<()> {
        self.tail_length(sums)?;
        if let Some(name) = name
            && crc32c::crc32c(&self.tail(sums)?) != name
        {
            return Err(ParquetError::General("damaged: footer checksum".to_owned()));
        }
        Ok(())
    }

    /// All that follows the pages.
    pub fn tail(&self, sums: &Sums) -> ParquetResult<Vec<u8>> {
        self.file.read(sums.pages, self.tail_length(sums)?)
    }

    fn tail_length(&self, sums: &Sums) -> ParquetResult<usize> {
        let length = self.file.len().checked_sub(sums.pages);
        let length = length.and_then(|l| usize::try_from(l).ok());
        length.ok_or_else(|| ParquetError::General("pages past its end".to_owned()))
    }

    /// Goes over all pages, block by block, and gives those that can't be read or are not what was written: where they begin and end.
    pub fn damaged_blocks(&self) -> Vec<Range<u64>> {
        let mut damaged: Vec<Range<u64>> = Vec::new();
        let Some(sums) = &self.sums else {
            return damaged;
        };
        let mut at = 0;
        while at < sums.pages {
            let end = sums.pages.min(at + sums.summed);
            let length = usize::try_from(end - at).unwrap_or(0);
            if self.get_bytes(at, length).is_err() {
                match damaged.last_mut() {
                    Some(last) if last.end == at => last.end = end,
                    _ => damaged.push(at..end),
                }
            }
            at = end;
        }
        damaged
    }

    /// Has the system fetch these spans of pages in the background, the blocks around them whole.
    pub fn will_need(&self, mut spans: Vec<Range<u64>>) {
        let block = self.sums.as_ref().map_or(SUMMED as u64, |s| s.summed);
        for span in &mut spans {
            span.start -= span.start % block;
            span.end = span.end.div_ceil(block).saturating_mul(block);
        }
        spans.sort_unstable_by_key(|s| s.start);
        let near = |a: &Range<u64>, b: &Range<u64>| b.start <= a.end.saturating_add(CLOSE);
        let mut spans = spans.into_iter().peekable();
        while let Some(mut span) = spans.next() {
            while let Some(next) = spans.next_if(|next| near(&span, next)) {
                span.end = span.end.max(next.end);
            }
            self.file.will_need(span);
        }
    }

    /// Reads octets of pages with the whole blocks around them, and checks those.
    fn read_checked(&self, sums: &Sums, start: u64, end: u64) -> ParquetResult<Bytes> {
        // What comes as a whole is kept as a whole: in an encrypted file several checksums cover one block.
        let block = sums.summed.max(self.file.grain());
        let from = start - start % block;
        let until = end.div_ceil(block).saturating_mul(block).min(sums.pages);
        let odd = |_| ParquetError::General("a page of impossible length".to_owned());
        if end < start {
            return Err(ParquetError::General(
                "a page before its beginning".to_owned(),
            ));
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, bytes)) = &*last
            && let Some(skip) = start.checked_sub(*at)
            && end - at <= bytes.len() as u64
        {
            let (skip, keep) = (usize::try_from(skip), usize::try_from(end - at));
            return Ok(bytes.slice(skip.map_err(odd)?..keep.map_err(odd)?));
        }
        let bytes = self
            .file
            .read(from, usize::try_from(until - from).map_err(odd)?)?;
        let expected = sums
            .blocks
            .iter()
            .skip(usize::try_from(from / sums.summed).map_err(odd)?);
        let summed = usize::try_from(sums.summed).map_err(odd)?;
        for (bytes, sum) in bytes.chunks(summed).zip(expected) {
            if crc32c::crc32c(bytes) != *sum {
                return Err(ParquetError::General("damaged: page checksum".to_owned()));
            }
        }
        let (skip, keep) = (start - from, end - from);
        let range = usize::try_from(skip).map_err(odd)?..usize::try_from(keep).map_err(odd)?;
        let bytes = Bytes::from(bytes);
        *last = Some((from, bytes.clone()));
        Ok(bytes.slice(range))
    }
}

impl Length for Source {
    fn len(&self) -> u64 {
        self.file.len()
    }
}

impl ChunkReader for Source {
    type T = io::Cursor<Bytes>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        // Whoever asks without a length reads a header: a page of ours is smaller than this.
        let length = self.file.len().saturating_sub(start).min(64 << 10);
        let length = usize::try_from(length).unwrap_or(0);
        self.get_bytes(start, length).map(io::Cursor::new)
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let end = u64::try_from(length)
            .ok()
            .and_then(|l| start.checked_add(l));
        match (end.filter(|end| *end <= self.file.len()), &self.sums) {
            (Some(end), Some(sums)) if end <= sums.pages => self.read_checked(sums, start, end),
            (Some(_), _) => Ok(self.file.read(start, length)?.into()),
            (None, _) => Err(ParquetError::EOF(format!(
                "{length} octets at {start} of {}",
                self.file.len()
            ))),
        }
    }
}
