//! Footers kept in memory, and files kept open: each with a limit of its own, the least recently used let go first.
//!
//! A day of 1,000 calls a second is some 400 segments of two files each: their footers fit the memory, but not their files the
//! usual limit of descriptors. A file let go is opened again by its name, which says all that it holds.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::blocks::Content;
use super::super::layout::{Ends, Segment};
use super::super::table::{Footer, Reader};
use super::super::vault::Vault;
use super::super::{ends, index, segment};
use crate::store::StoreError;

/// A file that may be kept open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Name {
    Segment(Segment),
    Index(Segment),
    Ends(Ends),
}

impl Name {
    fn path(&self, root: &Path) -> PathBuf {
        match self {
            Self::Segment(s) => s.parquet(root),
            Self::Index(s) => s.index(root),
            Self::Ends(e) => e.path(root),
        }
    }

    fn keys(&self) -> &'static [&'static str] {
        match self {
            Self::Segment(_) => &segment::KEYS,
            Self::Index(_) => &index::KEYS,
            Self::Ends(_) => &ends::KEYS,
        }
    }

    fn sum(&self) -> u32 {
        match self {
            Self::Segment(s) => s.sum,
            Self::Index(s) => s.index_sum,
            Self::Ends(e) => e.sum,
        }
    }

    fn hour(&self) -> i64 {
        match self {
            Self::Segment(s) | Self::Index(s) => s.hour,
            Self::Ends(e) => e.hour,
        }
    }
}

/// The fewest files kept open: below this a look-up opens each anew, which costs microseconds.
const FEWEST_FILES: u64 = 64;
/// The most: three days of 1,000 calls a second.
const MOST_FILES: u64 = 2_048;

/// How many files are kept open: a quarter of what the process may have, so that sockets have theirs.
fn files() -> usize {
    let soft = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE);
    let soft = soft.map_or(1_024, |(soft, _)| soft);
    usize::try_from((soft / 4).clamp(FEWEST_FILES, MOST_FILES)).unwrap_or(64)
}

/// Footers and files.
pub(super) struct Cache {
    root: PathBuf,
    vault: Vault,
    /// Octets of footers at most.
    limit: usize,
    /// Open files at most, beside those that look-ups have in hand: one for each of their threads.
    files: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    entries: HashMap<Name, Entry>,
    clock: u64,
    weight: usize,
    open: usize,
}

struct Entry {
    footer: Arc<Footer>,
    file: Option<Arc<Content>>,
    used: u64,
}

impl Cache {
    pub fn new(root: &Path, vault: Vault, limit: usize) -> Self {
        Self::with_files(root, vault, limit, files())
    }

    pub fn with_files(root: &Path, vault: Vault, limit: usize, files: usize) -> Self {
        Self {
            root: root.to_owned(),
            vault,
            limit,
            files,
            kept: Mutex::default(),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A file, opened now or kept open since.
    pub fn open(&self, name: Name) -> Result<Reader, StoreError> {
        let footer = match self.kept().get(&name) {
            Some((footer, Some(file))) => return Ok(Reader::new(footer, file)),
            Some((footer, None)) => Some(footer),
            None => None,
        };
        let path = name.path(&self.root);
        let (footer, file) = match footer {
            Some(footer) => (footer, Arc::new(Content::open(&path, &self.vault)?)),
            None => Footer::open(&path, name.keys(), Some(name.sum()), &self.vault)?,
        };
        self.kept()
            .put(name, &footer, &file, self.limit, self.files);
        Ok(Reader::new(footer, file))
    }

    /// Forgets files that are gone, so that their room on the disk is free.
    pub fn forget_files(&self, names: impl IntoIterator<Item = Name>) {
        let mut kept = self.kept();
        for name in names {
            kept.remove(&name);
        }
    }

    /// Forgets files of hours that are gone.
    pub fn forget(&self, is_gone: impl Fn(i64) -> bool) {
        let mut kept = self.kept();
        let gone: Vec<Name> = kept.entries.keys().copied().collect();
        for name in gone.iter().filter(|n| is_gone(n.hour())) {
            kept.remove(name);
        }
    }

    /// Octets of footers and number of files that are kept.
    #[cfg(test)]
    pub fn holds(&self) -> (usize, usize, usize) {
        let kept = self.kept();
        (kept.entries.len(), kept.weight, kept.open)
    }
}

impl Kept {
    fn get(&mut self, name: &Name) -> Option<(Arc<Footer>, Option<Arc<Content>>)> {
        self.clock += 1;
        let entry = self.entries.get_mut(name)?;
        entry.used = self.clock;
        Some((entry.footer.clone(), entry.file.clone()))
    }

    fn put(
        &mut self,
        name: Name,
        footer: &Arc<Footer>,
        file: &Arc<Content>,
        limit: usize,
        files: usize,
    ) {
        self.remove(&name);
        self.weight += footer.weight();
        self.open += 1;
        let entry = Entry {
            footer: footer.clone(),
            file: Some(file.clone()),
            used: self.clock,
        };
        self.entries.insert(name, entry);
        while self.entries.len() > 1 && self.weight > limit {
            let Some(oldest) = self.oldest(|_| true) else {
                return;
            };
            self.remove(&oldest);
        }
        while self.open > files {
            let oldest = self.oldest(|e| e.file.is_some());
            let Some(entry) = oldest.and_then(|o| self.entries.get_mut(&o)) else {
                return;
            };
            entry.file = None;
            self.open -= 1;
        }
    }

    fn oldest(&self, of: impl Fn(&Entry) -> bool) -> Option<Name> {
        let entries = self.entries.iter().filter(|(_, e)| of(e));
        entries.min_by_key(|(_, e)| e.used).map(|(name, _)| *name)
    }

    fn remove(&mut self, name: &Name) {
        if let Some(old) = self.entries.remove(name) {
            self.weight -= old.footer.weight();
            self.open -= usize::from(old.file.is_some());
        }
    }
}
