//! What there is: memory, sealed files by the hour, and what the writing side and all readers share of it.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::cache::{Cache, Name};
use crate::base::Timestamp;
use crate::store::StoreError;
use crate::store::embedded::compact::Compaction;
use crate::store::embedded::layout::{self, Ends, Segment};
use crate::store::embedded::memtable::Memtable;
use crate::store::embedded::table::Reader;
use crate::store::embedded::vault::Vault;
use crate::store::embedded::{manifest, recover};

/// What there is.
#[derive(Debug, Default)]
pub(in crate::store::embedded) struct State {
    pub active: Memtable,
    /// Full, and being sealed. More than one only where a live store was opened to read.
    pub frozen: Vec<Arc<Memtable>>,
    pub hours: BTreeMap<i64, Hour>,
    pub forgotten: Option<Timestamp>,
    /// Rises whenever anything but the active memtable changes.
    pub generation: u64,
}

/// Files of one hour folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::store::embedded) struct Hour {
    pub segments: Vec<Segment>,
    pub ends: Vec<Ends>,
    /// Whether there is a manifest.
    pub listed: bool,
    /// Why it is not known what counts: the manifest can't be read. Nothing is deleted or merged here, and look-ups fail.
    pub damage: Option<Arc<str>>,
    /// When files were last added, by the time that the store was told; not known of what was there at opening.
    pub changed: Option<Timestamp>,
}

impl State {
    /// Hours that touch the window.
    pub(super) fn hours(&self, from: i64, until: i64) -> impl Iterator<Item = &Hour> {
        let (first, last) = (layout::hour_of(from), layout::hour_of(until));
        // An empty range would panic.
        let range: RangeInclusive<i64> = first.min(last)..=last;
        self.hours.range(range).map(|(_, h)| h)
    }

    /// Fails where it is not known which files count in an hour that touches the window.
    pub(super) fn check(&self, root: &Path, from: i64, until: i64) -> Result<(), StoreError> {
        let (first, last) = (layout::hour_of(from), layout::hour_of(until));
        for (hour, files) in self.hours.range(first.min(last)..=last) {
            if let Some(what) = &files.damage {
                return Err(StoreError::corrupt(&manifest::path(root, *hour), &**what));
            }
        }
        Ok(())
    }

    pub(super) fn tables(&self) -> impl Iterator<Item = &Memtable> {
        let frozen = self.frozen.iter().map(|f| &**f);
        frozen.chain(std::iter::once(&self.active))
    }
}

/// What the writing side and all readers share.
pub(in crate::store::embedded) struct Shared {
    pub root: PathBuf,
    pub vault: Vault,
    pub(super) state: RwLock<State>,
    /// Held by whoever changes which files count, from before the manifest is written until the state says the same.
    pub(super) files: Mutex<()>,
    pub(super) cache: Cache,
    pub compaction: Compaction,
    /// Whether another process may be writing the store.
    pub(super) beside: bool,
}

impl Shared {
    pub fn new(root: &Path, vault: Vault, mut state: State, cache: usize) -> Self {
        let erased = vault.erased();
        state
            .hours
            .retain(|hour, _| !erased.contains(&layout::day_of(*hour)));
        Self {
            root: root.to_owned(),
            cache: Cache::new(root, vault.clone(), cache),
            vault,
            state: RwLock::new(state),
            files: Mutex::default(),
            compaction: Compaction::default(),
            beside: false,
        }
    }

    /// Closes files that were merged into others.
    pub fn forget_files(&self, segments: &[Segment], ends: &[Ends]) {
        let segments = segments.iter();
        let segments = segments.flat_map(|s| [Name::Segment(*s), Name::Index(*s)]);
        let ends = ends.iter().map(|e| Name::Ends(*e));
        self.cache.forget_files(segments.chain(ends));
    }

    /// Of a store that another process may be writing.
    pub fn beside_a_writer(root: &Path, vault: Vault, state: State, cache: usize) -> Self {
        Self {
            beside: true,
            ..Self::new(root, vault, state, cache)
        }
    }

    /// The same sealed files with other limits of what is kept of them.
    #[cfg(test)]
    pub(super) fn keeping(&self, octets: usize, files: usize) -> Self {
        let state = State {
            hours: self.state().hours.clone(),
            ..State::default()
        };
        Self {
            cache: Cache::with_files(&self.root, self.vault.clone(), octets, files),
            ..Self::beside_a_writer(&self.root, self.vault.clone(), state, octets)
        }
    }

    /// What is to be done about a look-up that nothing changed under: its answer, or `None` where it is worth starting over.
    pub(super) fn settle<T>(&self, result: Result<T, StoreError>) -> Option<Result<T, StoreError>> {
        match result {
            Err(e) if e.is_not_found() => {
                if self.beside && self.look_anew() {
                    return None;
                }
                Some(Err(match e {
                    StoreError::Io { path, .. } => StoreError::corrupt(
                        &path,
                        "is gone, though it counts; `tracehop store check` says what is lost",
                    ),
                    e => e,
                }))
            }
            result => Some(result),
        }
    }

    /// Takes in what another process has made of the store; `false` where that is nothing new.
    pub(super) fn look_anew(&self) -> bool {
        let Ok((fresh, _)) = recover::snapshot(&self.root, &self.vault) else {
            return false;
        };
        let mut state = self.change();
        let changed = fresh.hours != state.hours;
        let generation = state.generation + 1;
        *state = State {
            generation,
            ..fresh
        };
        changed
    }

    /// Taken before [`Shared::change`] wherever both are.
    pub fn files(&self) -> MutexGuard<'_, ()> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn change(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A file, opened now or kept open since.
    pub(super) fn open(&self, name: Name) -> Result<Reader, StoreError> {
        self.cache.open(name)
    }

    /// Forgets files of hours that are gone.
    pub fn forget(&self, is_gone: impl Fn(i64) -> bool) {
        self.cache.forget(is_gone);
    }
}
