//! The vault: one random key for each day of capture time, so that a day can be erased by destroying 32 octets.
//!
//! ```text
//! keys/store.key                      made when the store is first encrypted: tells a wrong key at once, and seals what a process leaves for the next
//! keys/2026-11-24.key                 key of a day: its segments, indexes, ends, evidence and campaigns
//! keys/wal-0000000007.key             key of a log: goes with it
//! keys/erased                         days whose key was destroyed before their time, a line each
//! ```
//!
//! Each is wrapped by the operator's key, which is nowhere in the store: see [`KeySource`]. A key is durable before anything is sealed with it. What
//! was written before encryption was switched on stays as it is and stays readable; from then on everything new is sealed, and compaction seals what it merges.
//!
//! Coverage is not sealed: it has no numbers in it, and says for an erased day that it was erased.
//!
//! - `source`: where the operator's key comes from · `cipher`: AES-256-GCM and derived keys · `file`: files of keys · `change`: erasing and changing the
//!   operator's key

mod change;
mod cipher;
mod file;
mod source;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(super) use self::change::places;
#[cfg(test)]
pub(super) use self::change::rotate;
pub use self::change::{KeyListing, rotate_keys};
pub(super) use self::cipher::{Cipher, FRAME, Secret, TAG, fill};
use self::file::KeyFile;
pub use self::source::{KeySource, make_key_file};
use super::{blocks, layout};
use crate::store::StoreError;

/// The name of the key that belongs to no day.
const STORE: &str = "store";

/// The keys of a store; of one that is not encrypted, none. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Vault(Option<Arc<Inner>>);

struct Inner {
    root: PathBuf,
    store: [u8; 16],
    /// The operator's.
    wrapping: Secret,
    /// The store's own.
    own: Secret,
    days: Mutex<Days>,
}

/// As many as the store has days: a hundred octets each.
#[derive(Default)]
struct Days {
    keys: HashMap<i64, Secret>,
    erased: BTreeSet<i64>,
}

impl Vault {
    /// Opens the vault of a store; makes one where there is none, a source is given and `make` is set.
    ///
    /// # Errors
    ///
    /// [`StoreError::Key`]: the store is encrypted and no key is given, or not its key.
    pub fn open(root: &Path, source: Option<&KeySource>, make: bool) -> Result<Self, StoreError> {
        let path = layout::key_file(root, STORE);
        let Some(source) = source else {
            if path.exists() {
                let what =
                    "the store is encrypted: set key_file or key_command in [store.encryption]";
                return Err(StoreError::key(&path, what));
            }
            return Ok(Self::default());
        };
        let wrapping = source.fetch()?;
        if !path.exists() {
            if !make {
                return Ok(Self::default());
            }
            if !names(root)?.is_empty() {
                // A new one would be of another store than the keys that are there.
                let what = "it is gone, and other keys are there: restore it from the backup of the folder";
                return Err(StoreError::key(&path, what));
            }
            let io = |e| StoreError::io(&path, e);
            layout::create_dirs(&layout::keys(root))?;
            let mut store = [0; 16];
            fill(&mut store).map_err(io)?;
            let key = Secret::random().map_err(io)?;
            let by = std::slice::from_ref(&wrapping);
            KeyFile::wrap(store, STORE, &key, by)
                .map_err(io)?
                .write(&path)?;
        }
        let file = KeyFile::read(&path, STORE)?;
        let own = unwrap(&path, &file, file.store, std::slice::from_ref(&wrapping))?;
        let inner = Inner {
            root: root.to_owned(),
            store: file.store,
            wrapping,
            own,
            days: Mutex::new(Days {
                keys: HashMap::new(),
                erased: change::erased(root)?,
            }),
        };
        Ok(Self(Some(Arc::new(inner))))
    }

    /// Whether new files are sealed.
    pub fn is_sealed(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the day was erased.
    pub fn is_erased(&self, day: i64) -> bool {
        let inner = self.0.as_ref();
        inner.is_some_and(|inner| inner.days().erased.contains(&day))
    }

    /// Days that were erased.
    pub fn erased(&self) -> BTreeSet<i64> {
        let inner = self.0.as_ref();
        inner.map_or_else(BTreeSet::new, |inner| inner.days().erased.clone())
    }

    /// The key to seal files of a day with: made if there is none yet. `None` in a store that is not encrypted.
    pub fn to_seal(&self, day: i64) -> Result<Option<Secret>, StoreError> {
        self.0.as_ref().map(|i| i.day(day, true)).transpose()
    }

    /// The key to open files of a day with.
    ///
    /// # Errors
    ///
    /// [`StoreError::Key`], where there is none.
    pub fn to_open(&self, day: i64, file: &Path) -> Result<Secret, StoreError> {
        match &self.0 {
            Some(inner) => inner.day(day, false),
            None => Err(StoreError::key(
                file,
                "the file is encrypted, and the store has no keys",
            )),
        }
    }

    /// Makes the key of a new log.
    pub fn make_log_key(&self, seq: u64) -> Result<Option<Cipher>, StoreError> {
        let Some(inner) = &self.0 else {
            return Ok(None);
        };
        let name = log_name(seq);
        let key = inner.make(&name)?;
        log_cipher(&key, &layout::key_file(&inner.root, &name)).map(Some)
    }

    /// The key of a log; `None` where it has none: it was begun before the store was encrypted.
    pub fn log_key(&self, seq: u64) -> Result<Option<Cipher>, StoreError> {
        let Some(inner) = &self.0 else {
            return Ok(None);
        };
        let name = log_name(seq);
        let path = layout::key_file(&inner.root, &name);
        let file = match KeyFile::read(&path, &name) {
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            file => file?,
        };
        let key = inner.unwrap(&path, &file)?;
        log_cipher(&key, &path).map(Some)
    }

    /// Destroys the key of a log that is gone.
    pub fn drop_log_key(&self, seq: u64) -> Result<(), StoreError> {
        let inner = self.0.as_ref();
        inner.map_or(Ok(()), |inner| {
            change::destroy(&layout::key_file(&inner.root, &log_name(seq)))
        })
    }
}

/// Seals small files in the store's folder that are not the store's: what a process knows and leaves for the next one. Of a store that is not
/// encrypted, it leaves them as they are.
#[derive(Clone, Default)]
pub struct StateSeal(pub(super) Vault);

impl StateSeal {
    /// The octets to write into the file of this name.
    ///
    /// # Errors
    ///
    /// No random numbers to be had.
    pub fn seal(&self, name: &str, octets: Vec<u8>) -> io::Result<Vec<u8>> {
        match &self.0.0 {
            Some(inner) => blocks::seal_whole(&inner.own, name, &octets),
            None => Ok(octets),
        }
    }

    /// What was sealed; a file of before encryption as it is.
    ///
    /// # Errors
    ///
    /// It was sealed by another key or for another name, or is damaged.
    pub fn open(&self, name: &str, file: Vec<u8>) -> io::Result<Vec<u8>> {
        match &self.0.0 {
            Some(inner) => blocks::open_whole(&inner.own, name, file),
            None => Ok(file),
        }
    }
}

fn log_name(seq: u64) -> String {
    format!("wal-{seq:010}")
}

fn log_cipher(key: &Secret, path: &Path) -> Result<Cipher, StoreError> {
    let cipher = key.cipher(b"", b"tracehop log");
    cipher.map_err(|e| StoreError::io(path, e))
}

impl Inner {
    fn days(&self) -> MutexGuard<'_, Days> {
        self.days.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn day(&self, day: i64, make: bool) -> Result<Secret, StoreError> {
        let name = layout::date(day);
        let path = layout::key_file(&self.root, &name);
        // Held while a key is made, so that no two threads make one.
        let mut days = self.days();
        if days.erased.contains(&day) {
            return Err(StoreError::key(&path, "this day was erased"));
        }
        if let Some(key) = days.keys.get(&day) {
            return Ok(key.clone());
        }
        let key = match KeyFile::read(&path, &name) {
            Ok(file) => self.unwrap(&path, &file)?,
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                if !make {
                    // Another process may have erased it since.
                    let what = match change::erased(&self.root)?.contains(&day) {
                        true => "this day was erased",
                        false => {
                            "the key of this day is gone, and its files can't be read without it"
                        }
                    };
                    return Err(StoreError::key(&path, what));
                }
                self.make(&name)?
            }
            Err(e) => return Err(e),
        };
        days.keys.insert(day, key.clone());
        Ok(key)
    }

    /// Makes a key and has it on disk before it is used.
    fn make(&self, name: &str) -> Result<Secret, StoreError> {
        let path = layout::key_file(&self.root, name);
        let io = |e| StoreError::io(&path, e);
        let key = Secret::random().map_err(io)?;
        let by = std::slice::from_ref(&self.wrapping);
        let file = KeyFile::wrap(self.store, name, &key, by).map_err(io)?;
        file.write(&path)?;
        Ok(key)
    }

    fn unwrap(&self, path: &Path, file: &KeyFile) -> Result<Secret, StoreError> {
        unwrap(path, file, self.store, std::slice::from_ref(&self.wrapping))
    }
}

/// The key in a file; fails where it is of another store, or wrapped by none of `by`.
fn unwrap(
    path: &Path,
    file: &KeyFile,
    store: [u8; 16],
    by: &[Secret],
) -> Result<Secret, StoreError> {
    if file.store != store {
        return Err(StoreError::corrupt(path, "a key of another store"));
    }
    file.unwrap(by, path)?.ok_or_else(|| {
        let given: Vec<String> = by.iter().map(|k| format!("{:016x}", k.id())).collect();
        let what = format!(
            "wrapped by key {}, and the key given is {}: not the right key_file or key_command",
            file.openers(),
            given.join(" and ")
        );
        StoreError::key(path, what)
    })
}

/// Names of the key files in a store: days, logs, and the store's own.
fn names(root: &Path) -> Result<BTreeMap<String, PathBuf>, StoreError> {
    let files = layout::list(&layout::keys(root))?.into_iter();
    let names = files.filter_map(|(path, name)| {
        let name = name?.strip_suffix(".key")?.to_owned();
        Some((name, path))
    });
    Ok(names.collect())
}
