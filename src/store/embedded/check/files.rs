//! The one place in which a check opens files of a store.

use std::path::Path;

use crate::store::StoreError;
use crate::store::embedded::layout::{Ends, Segment};
use crate::store::embedded::recover::{self, OpenReport, Recovered};
use crate::store::embedded::table::Reader;
use crate::store::embedded::vault::Vault;
use crate::store::embedded::{ends, index, segment};

/// Files of a store.
pub(super) struct Files<'a> {
    pub root: &'a Path,
    pub vault: Vault,
}

impl<'a> Files<'a> {
    pub fn new(root: &'a Path, vault: &Vault) -> Self {
        Self {
            root,
            vault: vault.clone(),
        }
    }

    pub fn segment(&self, s: &Segment) -> Result<Reader, StoreError> {
        Reader::open(
            &s.parquet(self.root),
            &segment::KEYS,
            Some(s.sum),
            &self.vault,
        )
    }

    /// A segment whose footer is not what its name says. See [`Reader::is_ours`].
    pub fn unproven(&self, s: &Segment) -> Result<Reader, StoreError> {
        Reader::open(&s.parquet(self.root), &segment::KEYS, None, &self.vault)
    }

    pub fn index(&self, s: &Segment) -> Result<Reader, StoreError> {
        Reader::open(
            &s.index(self.root),
            &index::KEYS,
            Some(s.index_sum),
            &self.vault,
        )
    }

    pub fn ends(&self, e: &Ends) -> Result<Reader, StoreError> {
        Reader::open(&e.path(self.root), &ends::KEYS, Some(e.sum), &self.vault)
    }

    pub fn log(&self, seq: u64, report: &mut OpenReport) -> Result<Recovered, StoreError> {
        recover::log(self.root, &self.vault, seq, report)
    }
}
