//! Destroying keys, and changing the key that wraps them.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{Inner, KeyFile, KeySource, STORE, Vault, names, unwrap};
use crate::store::StoreError;
use crate::store::embedded::{EmbeddedStore, hold, layout};

/// The longest list of erased days that is read: a century.
const ERASED: u64 = 1 << 19;

/// A key, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyListing {
    /// A day, a log ("wal-…") or "store".
    pub name: String,
    /// Ids of the keys that wrap it.
    pub wrapped_by: Vec<String>,
    /// Octets of the files that it opens, so far as they are sealed; of a day those of segments, evidence and campaigns.
    pub octets: u64,
}

/// Days that were erased, as the file `keys/erased` says.
pub(super) fn erased(root: &Path) -> Result<BTreeSet<i64>, StoreError> {
    let path = layout::keys(root).join("erased");
    let text = match layout::read_small(&path, ERASED) {
        Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(BTreeSet::new());
        }
        text => text?,
    };
    let text = std::str::from_utf8(&text).ok();
    let days = text.and_then(|t| t.lines().map(layout::day_from).collect());
    days.ok_or_else(|| StoreError::corrupt(&path, "not a date a line"))
}

fn note(root: &Path, days: &BTreeSet<i64>) -> Result<(), StoreError> {
    let path = layout::keys(root).join("erased");
    let text: String = days.iter().map(|d| layout::date(*d) + "\n").collect();
    layout::write_whole(&path, text.as_bytes())
}

/// Overwrites a key and unlinks it. A file system that writes elsewhere than before, or a drive that does, keeps the old octets for a while: what
/// is there then is still wrapped.
pub(super) fn destroy(path: &Path) -> Result<(), StoreError> {
    let io = |e| StoreError::io(path, e);
    let mut file = match OpenOptions::new().write(true).open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file.map_err(io)?,
    };
    let length = file.metadata().map_err(io)?.len();
    let zeros = vec![0; usize::try_from(length).unwrap_or(0)];
    file.write_all(&zeros).map_err(io)?;
    file.sync_all().map_err(io)?;
    layout::remove(path)?;
    path.parent().map_or(Ok(()), layout::sync_dir)
}

impl Vault {
    /// Notes that days are erased and destroys their keys. The note comes first: after a crash between the two opening the store goes on with it.
    pub fn erase(&self, days: &BTreeSet<i64>) -> Result<(), StoreError> {
        let Some(inner) = &self.0 else {
            return Ok(());
        };
        let mut held = inner.days();
        let all: BTreeSet<i64> = held.erased.union(days).copied().collect();
        if all != held.erased {
            note(&inner.root, &all)?;
            held.erased = all;
        }
        for day in days {
            held.keys.remove(day);
            destroy(&layout::key_file(&inner.root, &layout::date(*day)))?;
        }
        Ok(())
    }

    /// Destroys keys of days before the given one that have no files left, and forgets that days before it were erased.
    pub fn forget_before(&self, first_kept: i64) -> Result<(), StoreError> {
        let Some(inner) = &self.0 else {
            return Ok(());
        };
        let mut held = inner.days();
        for (name, path) in names(&inner.root)? {
            let day = layout::day_from(&name).filter(|d| *d < first_kept);
            let Some(day) = day.filter(|d| !inner.has_files(*d)) else {
                continue;
            };
            held.keys.remove(&day);
            destroy(&path)?;
        }
        let kept = held.erased.split_off(&first_kept);
        if held.erased.is_empty() {
            held.erased = kept;
            return Ok(());
        }
        held.erased = kept;
        note(&inner.root, &held.erased)
    }

    /// Destroys keys of logs that are gone: a crash came between the two.
    pub fn sweep_logs(&self, logs: &BTreeSet<u64>) -> Result<(), StoreError> {
        let Some(inner) = &self.0 else {
            return Ok(());
        };
        for (name, path) in names(&inner.root)? {
            let seq = name.strip_prefix("wal-").and_then(|s| s.parse().ok());
            if seq.is_some_and(|seq| !logs.contains(&seq)) {
                destroy(&path)?;
            }
        }
        Ok(())
    }
}

impl Inner {
    fn has_files(&self, day: i64) -> bool {
        places(&self.root, day).iter().any(|p| p.exists())
    }
}

/// What the key of a day is for.
pub(in crate::store::embedded) fn places(root: &Path, day: i64) -> [PathBuf; 3] {
    [
        layout::segments(root).join(layout::date(day)),
        layout::evidence_dir(root, day),
        layout::campaign_file(root, day),
    ]
}

impl EmbeddedStore {
    /// The keys of a store, by name, whether or not it is open elsewhere. Says who could open them, and opens none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`], where one can't be read.
    pub fn keys(root: &Path) -> Result<Vec<KeyListing>, StoreError> {
        let mut listed = Vec::new();
        for (name, path) in names(root)? {
            let file = KeyFile::read(&path, &name)?;
            let seq = name.strip_prefix("wal-").and_then(|s| s.parse().ok());
            let files = match (layout::day_from(&name), seq) {
                (Some(day), _) => places(root, day).to_vec(),
                (None, Some(seq)) => vec![layout::log(root, seq)],
                (None, None) => Vec::new(),
            };
            let octets = files.iter().map(|p| size(p)).fold(0, u64::saturating_add);
            let ids = file.wrapped.iter().map(|(id, _)| format!("{id:016x}"));
            listed.push(KeyListing {
                wrapped_by: ids.collect(),
                name,
                octets,
            });
        }
        Ok(listed)
    }

    /// Days of which the records were erased, as dates, whether or not the store is open elsewhere.
    ///
    /// # Errors
    ///
    /// [`StoreError`], where the note of it can't be read.
    pub fn erased_days(root: &Path) -> Result<Vec<String>, StoreError> {
        Ok(erased(root)?.into_iter().map(layout::date).collect())
    }
}

/// Octets of a file or of all files of a folder; what goes away meanwhile counts for nothing.
fn size(path: &Path) -> u64 {
    match path.is_dir() {
        true => EmbeddedStore::size_on_disk(path).unwrap_or(0),
        false => path.metadata().map_or(0, |m| m.len()),
    }
}

/// A store and those that legal holds keep in it (`holds/CASE/N`), so far as they are encrypted: one key of the operator's wraps them all.
fn stores(root: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut found = vec![root.to_owned()];
    for (case, _) in layout::list(&root.join("holds"))? {
        if case.is_dir() {
            let inside = layout::list(&case)?.into_iter().map(|(path, _)| path);
            found.extend(inside.filter(|p| layout::key_file(p, STORE).exists()));
        }
    }
    Ok(found)
}

/// Wraps every key of a store anew, by another key of the operator's; gives how many there are. The store must not be open to write.
///
/// First every key is wrapped by both, then by the new one alone. Whenever it is cut off, either the old key opens all of them or the new one does, and
/// doing it again goes on from there.
///
/// # Errors
///
/// [`StoreError::Locked`], and [`StoreError::Key`] where neither key opens one.
pub fn rotate_keys(root: &Path, old: &KeySource, new: &KeySource) -> Result<usize, StoreError> {
    EmbeddedStore::look_for_holder(root)?;
    let mut count = 0;
    // Holds are stores with keys of their own; the store's come last, so that doing it again finds what is left.
    for kept in hold::stores(root)? {
        if layout::key_file(&kept, STORE).exists() {
            count += rotate(&kept, old, new, usize::MAX)?;
        }
    }
    Ok(count + rotate(root, old, new, usize::MAX)?)
}

/// As [`rotate_keys`], cut off after so many writes.
pub(in crate::store::embedded) fn rotate(
    root: &Path,
    old: &KeySource,
    new: &KeySource,
    mut writes: usize,
) -> Result<usize, StoreError> {
    let _lock = crate::store::embedded::lock::take(root)?;
    let (old, new) = (old.fetch()?, new.fetch()?);
    let own = layout::key_file(root, STORE);
    if old.id() == new.id() {
        return Err(StoreError::key(&own, "the new key is the old one"));
    }
    let by = [new, old];
    let [new, _] = &by;
    let mut all = Vec::new();
    for root in stores(root)? {
        let store = KeyFile::read(&layout::key_file(&root, STORE), STORE)?.store;
        let names = names(&root)?.into_iter();
        all.extend(names.map(|(name, path)| (store, name, path)));
    }
    let mut wrap = |wanted: &dyn Fn(&KeyFile) -> bool, with: &[_]| {
        for (store, name, path) in &all {
            let file = KeyFile::read(path, name)?;
            if !wanted(&file) {
                continue;
            }
            let key = unwrap(path, &file, *store, &by)?;
            let Some(left) = writes.checked_sub(1) else {
                return Err(StoreError::key(path, "cut off"));
            };
            writes = left;
            KeyFile::wrap(*store, name, &key, with)
                .map_err(|e| StoreError::io(path, e))?
                .write(path)?;
        }
        Ok(())
    };
    let id = new.id();
    wrap(&|f| f.wrapped.iter().all(|(by, _)| *by != id), &by)?;
    wrap(
        &|f| f.wrapped.iter().any(|(by, _)| *by != id),
        std::slice::from_ref(new),
    )?;
    Ok(all.len())
}
