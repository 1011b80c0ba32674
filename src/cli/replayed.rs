//! Which captures were replayed into a store: reading one twice would store its calls twice.
//!
//! A list beside the store's folder, one JSON line a capture. A capture is known by its length and the SHA-256 of its first and last
//! mebibyte, whatever its name.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use crate::base::Timestamp;

/// How much of each end of a capture is looked at.
const ENDS: u64 = 1 << 20;

/// One capture that was replayed to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Replayed {
    pub file: PathBuf,
    pub at: Timestamp,
    fingerprint: String,
}

/// The list of one store.
pub(super) struct List {
    path: PathBuf,
    known: Vec<Replayed>,
}

impl List {
    /// Reads the list beside a store's folder; one that is not there is empty.
    pub fn open(store: &Path) -> std::io::Result<Self> {
        let path = store.with_extension("replayed.jsonl");
        let text = match fs::read_to_string(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        let known = text
            .lines()
            .filter_map(|l| serde_json::from_str(l).ok())
            .collect();
        Ok(Self { path, known })
    }

    /// When a capture of this fingerprint was replayed, and under which name.
    pub fn find(&self, fingerprint: &str) -> Option<&Replayed> {
        self.known.iter().find(|r| r.fingerprint == fingerprint)
    }

    /// Adds a capture.
    pub fn add(&mut self, file: &Path, fingerprint: String, at: Timestamp) -> std::io::Result<()> {
        let entry = Replayed {
            file: file.to_owned(),
            at,
            fingerprint,
        };
        let line = serde_json::to_string(&entry)? + "\n";
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)?
            .write_all(line.as_bytes())?;
        self.known.push(entry);
        Ok(())
    }
}

/// Puts a capture on the list of a store.
pub(super) fn remember(store: &Path, capture: &Path, at: Timestamp) -> std::io::Result<()> {
    List::open(store)?.add(capture, fingerprint(capture)?, at)
}

/// Names a capture by what is in it.
pub(super) fn fingerprint(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut digest = Context::new(&SHA256);
    digest.update(&length.to_be_bytes());
    let mut octets = Vec::new();
    (&mut file).take(ENDS).read_to_end(&mut octets)?;
    file.seek(SeekFrom::Start(length.saturating_sub(ENDS)))?;
    file.take(ENDS).read_to_end(&mut octets)?;
    digest.update(&octets);
    Ok(digest
        .finish()
        .as_ref()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capture_is_known_under_any_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &[u8]| {
            let path = dir.path().join(name);
            fs::write(&path, content).unwrap();
            fingerprint(&path).unwrap()
        };
        let (a, b, c) = (
            file("a", b"calls"),
            file("b", b"calls"),
            file("c", b"others"),
        );
        assert_eq!(a, b);
        assert_ne!(a, c);
        let store = dir.path().join("store");
        let mut list = List::open(&store).unwrap();
        assert!(list.find(&a).is_none());
        list.add(Path::new("a"), a, Timestamp::from_secs(5))
            .unwrap();
        let list = List::open(&store).unwrap();
        assert_eq!(list.find(&b).unwrap().at, Timestamp::from_secs(5));
        assert!(list.find(&c).is_none());
    }
}
