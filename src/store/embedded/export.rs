//! Records as one Parquet file outside the store, in the schema of its segments: plain, whatever protects the store.
//!
//! Records come in any order and stay in it. Memory: the rows of one group and their pages, below 100 MB.

use std::fs::File;
use std::path::Path;

use bytes::{Bytes, BytesMut};

use super::codec::{BeginRow, EndFacts, encode_begin};
use super::names::Numbering;
use super::segment::{self, BeginCells, EndCells};
use super::table::{Finished, Writer};
use crate::call::record::StoredCall;
use crate::store::StoreError;

/// Rows of a group: a fifth of a segment's, so that an export is not felt beside a running daemon.
const GROUP: usize = 100_000;

/// Names of the columns of a segment, in their order.
pub fn columns() -> impl Iterator<Item = &'static str> {
    let specs = BeginCells::SPECS.iter().chain(EndCells::SPECS);
    specs.map(|s| s.name)
}

/// A Parquet file of records, being written.
pub struct ParquetExport {
    writer: Writer,
    /// Rows of the group, one after the other as the log has them.
    octets: BytesMut,
    rows: Vec<(usize, Option<EndFacts>)>,
    written: u64,
}

impl ParquetExport {
    /// Into a file that was just made; `path` is for messages.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn over(path: &Path, file: File) -> Result<Self, StoreError> {
        Ok(Self {
            writer: Writer::over(path, file, &[BeginCells::SPECS, EndCells::SPECS])?,
            octets: BytesMut::new(),
            rows: Vec::new(),
            written: 0,
        })
    }

    /// Adds a record.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; then the file is of no use.
    pub fn push(&mut self, call: &StoredCall) -> Result<(), StoreError> {
        let mut body = Vec::new();
        encode_begin(&call.begin, &mut body);
        self.octets.extend_from_slice(&body);
        let end = call.end.as_ref().map(EndFacts::of);
        self.rows.push((self.octets.len(), end));
        if self.rows.len() >= GROUP {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let chunk: Bytes = self.octets.split().freeze();
        let rows = std::mem::take(&mut self.rows);
        let numbering = Numbering::current();
        let mut damaged = None;
        self.writer.group(|writers| {
            segment::write_rows(writers, |cells| {
                let mut from = 0;
                for (until, end) in &rows {
                    let octets = chunk.get(from..*until).unwrap_or_default();
                    match BeginRow::decode(octets, &numbering) {
                        Some(row) => cells.push(&row, &chunk, end.as_ref())?,
                        None => damaged = Some(self.written),
                    }
                    from = *until;
                }
                Ok(())
            })
        })?;
        self.written += rows.len() as u64;
        match damaged {
            Some(_) => Err(StoreError::corrupt(
                self.writer.path(),
                "a record in memory can't be read",
            )),
            None => Ok(()),
        }
    }

    /// Writes what is left and makes the file durable. `about` goes into the footer, each key behind `tracehop.`.
    pub(super) fn finish_with(mut self, about: &[(&str, String)]) -> Result<Finished, StoreError> {
        if !self.rows.is_empty() {
            self.flush()?;
        }
        self.writer.finish(about)
    }

    /// Writes what is left and makes the file durable.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn finish(self) -> Result<(), StoreError> {
        let about = [("format", "1".to_owned()), ("export", "1".to_owned())];
        self.finish_with(&about).map(drop)
    }
}
