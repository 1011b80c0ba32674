//! The one place in which a check opens files of a store.

use std::path::Path;

use crate::store::StoreError;
use crate::store::embedded::layout::{Ends, Segment};
use crate::store::embedded::recover::{self, OpenReport, Recovered};
use crate::store::embedded::table::Reader;
use crate::store::embedded::{ends, index, segment};

/// Files of a store.
pub(super) struct Files<'a> {
    pub root: &'a Path,
}

impl<'a> Files<'a> {
    pub fn new(root: &'a Path) -> Self {
        Self { root }
    }

    pub fn segment(&self, s: &Segment) -> Result<Reader, StoreError> {
        Reader::open(&s.parquet(self.root), &segment::KEYS, Some(s.sum))
    }

    /// A segment whose footer is not what its name says. See [`Reader::is_ours`].
    pub fn unproven(&self, s: &Segment) -> Result<Reader, StoreError> {
        Reader::open(&s.parquet(self.root), &segment::KEYS, None)
    }

    pub fn index(&self, s: &Segment) -> Result<Reader, StoreError> {
        Reader::open(&s.index(self.root), &index::KEYS, Some(s.index_sum))
    }

    pub fn ends(&self, e: &Ends) -> Result<Reader, StoreError> {
        Reader::open(&e.path(self.root), &ends::KEYS, Some(e.sum))
    }

    pub fn log(&self, seq: u64, report: &mut OpenReport) -> Result<Recovered, StoreError> {
        recover::log(self.root, seq, report)
    }
}
