//! Fetched certificates on disk: they serve after a restart without network, and judge a call again months later.
//!
//! ```text
//! FOLDER/lock             held by the process that writes; a second one only reads
//! FOLDER/index.jsonl      a head, then a line for each URL and content, the oldest first; the last line of a URL is its certificate
//! FOLDER/sha256/<hex>     what a server sent, named by its SHA-256
//! FOLDER/ca-list.jws      the last list of authorities that verified, and ca-list-signer.pem
//! FOLDER/crl.der          the last revocation list that verified
//! ```
//!
//! Each file is written beside its place, synced and renamed into it, content before the index that names it. So kill -9 at any moment
//! leaves the old index or the new one, and content that no index names, which the next start removes. Content that is not what its
//! name says is not believed. Bounded in lines and octets; the oldest go first.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use crate::base::Timestamp;
use crate::stir::credential::MAX_BUNDLE;

/// Lines of the index: at 1,000 certificates in use, half of them new each week (survey of 2025), a year's worth.
pub const MAX_LINES: usize = 32_768;

/// Largest index that is read: as many lines with the longest URL.
const MAX_INDEX: u64 = 96 << 20;

/// Largest list that is read back: the cap of the larger one (rule N15).
const MAX_LIST: u64 = 4 << 20;

/// First line of the index; another number is another format.
const HEAD: &str = "{\"tracehop_certificates\":1}";

/// A list of the STI-PA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListFile {
    /// List of authorities.
    CaList,
    /// Certificate of its signer.
    CaListSigner,
    /// Revocation list.
    Crl,
}

impl ListFile {
    const fn name(self) -> &'static str {
        match self {
            Self::CaList => "ca-list.jws",
            Self::CaListSigner => "ca-list-signer.pem",
            Self::Crl => "crl.der",
        }
    }
}

/// A certificate that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Where it came from.
    pub url: Box<str>,
    /// What was sent.
    pub bytes: Vec<u8>,
    /// When.
    pub since: Timestamp,
    /// Until when it is fresh.
    pub fresh_until: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    url: Box<str>,
    sha256: Box<str>,
    octets: u64,
    since: Timestamp,
    fresh_until: Timestamp,
}

/// The folder.
#[derive(Debug)]
pub struct Disk {
    folder: PathBuf,
    /// `None` where another process writes.
    _lock: Option<File>,
    writable: bool,
    lines: VecDeque<Line>,
    /// Lines that name a content.
    named: HashMap<Box<str>, usize>,
    octets: u64,
    max_octets: u64,
    changed: bool,
}

/// What a folder held.
#[derive(Debug, Default)]
pub struct Opened {
    /// The certificate of each URL, at most as many as were asked for, the newest first.
    pub kept: Vec<Kept>,
    /// What was not in order.
    pub notes: Vec<String>,
}

impl Disk {
    /// Opens a folder, or makes it.
    ///
    /// # Errors
    ///
    /// When it can't be made or read. What is damaged in it costs a note.
    pub fn open(folder: &Path, max_octets: u64, most: usize) -> io::Result<(Self, Opened)> {
        fs::create_dir_all(folder.join("sha256"))?;
        let mut out = Opened::default();
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join("lock"))?;
        let lock = match lock.try_lock() {
            Ok(()) => Some(lock),
            Err(TryLockError::WouldBlock) => {
                out.notes.push(format!(
                    "{} is written by another process: this one keeps nothing there",
                    folder.display()
                ));
                None
            }
            Err(TryLockError::Error(e)) => return Err(e),
        };
        let (lines, bad) = read_index(&folder.join("index.jsonl"))?;
        if bad > 0 {
            out.notes.push(format!(
                "{}: {bad} lines can't be read and are left out",
                folder.join("index.jsonl").display()
            ));
        }
        let mut disk = Self {
            folder: folder.to_owned(),
            writable: lock.is_some(),
            _lock: lock,
            lines: VecDeque::new(),
            named: HashMap::new(),
            octets: 0,
            max_octets,
            changed: false,
        };
        lines.into_iter().for_each(|l| disk.add(l));
        disk.shrink();
        disk.remove_unnamed()?;
        out.kept = disk.read_newest(most, &mut out.notes);
        Ok((disk, out))
    }

    /// Writes what a server sent; the index follows with [`Disk::sync`].
    ///
    /// # Errors
    ///
    /// When it can't be written; what was there before stays.
    pub fn put(&mut self, kept: &Kept) -> io::Result<()> {
        if !self.writable {
            return Ok(());
        }
        let sha256 = hex(&kept.bytes);
        if !self.named.contains_key(&sha256) {
            replace(&self.content(&sha256), &kept.bytes)?;
        }
        if let Some(same) = self
            .lines
            .iter()
            .position(|l| l.sha256 == sha256 && l.url == kept.url)
        {
            self.drop_line(same);
        }
        self.add(Line {
            url: kept.url.clone(),
            sha256,
            octets: u64::try_from(kept.bytes.len()).unwrap_or(u64::MAX),
            since: kept.since,
            fresh_until: kept.fresh_until,
        });
        self.changed = true;
        Ok(())
    }

    /// Writes the index, if it has changed, and removes what became too much.
    ///
    /// # Errors
    ///
    /// When it can't be written; the old one stays.
    pub fn sync(&mut self) -> io::Result<()> {
        if !self.changed {
            return Ok(());
        }
        let gone = self.shrink();
        let mut text = format!("{HEAD}\n");
        for line in &self.lines {
            text.push_str(&serde_json::to_string(line)?);
            text.push('\n');
        }
        replace(&self.folder.join("index.jsonl"), text.as_bytes())?;
        self.changed = false;
        for sha256 in gone {
            fs::remove_file(self.content(&sha256))?;
        }
        Ok(())
    }

    /// Keeps a list of the STI-PA.
    ///
    /// # Errors
    ///
    /// When it can't be written; the old one stays.
    pub fn put_list(&self, list: ListFile, bytes: &[u8]) -> io::Result<()> {
        if !self.writable {
            return Ok(());
        }
        replace(&self.folder.join(list.name()), bytes)
    }

    /// The list that was kept, if there is one that can be read.
    pub fn list(&self, list: ListFile) -> Option<Vec<u8>> {
        read(&self.folder.join(list.name()), MAX_LIST).ok()
    }

    /// Octets of everything named by the index.
    pub fn octets(&self) -> u64 {
        self.octets
    }

    fn content(&self, sha256: &str) -> PathBuf {
        self.folder.join("sha256").join(sha256)
    }

    fn add(&mut self, line: Line) {
        let named = self.named.entry(line.sha256.clone()).or_default();
        *named += 1;
        if *named == 1 {
            self.octets = self.octets.saturating_add(line.octets);
        }
        self.lines.push_back(line);
    }

    /// Takes a line out; gives back its content's name where no other line has it.
    fn drop_line(&mut self, at: usize) -> Option<Box<str>> {
        let line = self.lines.remove(at)?;
        let named = self.named.get_mut(&line.sha256)?;
        *named -= 1;
        if *named > 0 {
            return None;
        }
        self.named.remove(&line.sha256);
        self.octets = self.octets.saturating_sub(line.octets);
        Some(line.sha256)
    }

    fn shrink(&mut self) -> Vec<Box<str>> {
        let mut gone = Vec::new();
        while self.lines.len() > MAX_LINES || self.octets > self.max_octets {
            if self.lines.is_empty() {
                break;
            }
            self.changed = true;
            gone.extend(self.drop_line(0));
        }
        gone.retain(|sha256| !self.named.contains_key(sha256));
        gone
    }

    /// Removes what a crash left between content and index.
    fn remove_unnamed(&self) -> io::Result<()> {
        if !self.writable {
            return Ok(());
        }
        for entry in fs::read_dir(self.folder.join("sha256"))? {
            let entry = entry?;
            let known = entry
                .file_name()
                .to_str()
                .is_some_and(|name| self.named.contains_key(name));
            if !known {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    fn read_newest(&self, most: usize, notes: &mut Vec<String>) -> Vec<Kept> {
        let mut seen = HashSet::new();
        let mut out = Vec::new();
        let mut odd = 0;
        for line in self.lines.iter().rev() {
            if out.len() >= most {
                break;
            }
            if !seen.insert(&line.url) {
                continue;
            }
            let limit = u64::try_from(MAX_BUNDLE).unwrap_or(u64::MAX);
            match read(&self.content(&line.sha256), limit) {
                Ok(bytes) if hex(&bytes) == line.sha256 => out.push(Kept {
                    url: line.url.clone(),
                    bytes,
                    since: line.since,
                    fresh_until: line.fresh_until,
                }),
                Ok(_) | Err(_) => odd += 1,
            }
        }
        if odd > 0 {
            notes.push(format!(
                "{}: {odd} certificates are gone or not what their name says",
                self.folder.display()
            ));
        }
        out
    }
}

fn hex(bytes: &[u8]) -> Box<str> {
    let digest = digest(&SHA256, bytes);
    let digits: String = digest.as_ref().iter().map(|b| format!("{b:02x}")).collect();
    digits.into()
}

/// The lines, and how many could not be read. An index that is not there is empty; so is one of another format.
fn read_index(path: &Path) -> io::Result<(Vec<Line>, usize)> {
    let bytes = match read(path, MAX_INDEX) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        bytes => bytes?,
    };
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.lines();
    if lines.next() != Some(HEAD) {
        return Ok((Vec::new(), text.lines().count()));
    }
    let name = |l: &Line| l.sha256.len() == 64 && l.sha256.bytes().all(|b| b.is_ascii_hexdigit());
    let (mut out, mut bad) = (Vec::new(), 0);
    for line in lines {
        match serde_json::from_str::<Line>(line) {
            Ok(line) if name(&line) => out.push(line),
            Ok(_) | Err(_) => bad += 1,
        }
    }
    Ok((out, bad))
}

/// Reads a file of at most `limit` octets.
fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    File::open(path)?
        .take(limit.saturating_add(1))
        .read_to_end(&mut out)?;
    if u64::try_from(out.len()).unwrap_or(u64::MAX) > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "too large"));
    }
    Ok(out)
}

/// Puts a file in the place of another so that there is always one of the two, whole.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&beside, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
