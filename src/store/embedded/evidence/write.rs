//! The writing side: calls are gathered, packed and appended, a file for each day.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::call::encode;
use super::find::files;
use super::frame::{CALLS, CHAIN, NAMES, Packer};
use super::{BATCH, MAX_HEAD};
use crate::base::digest::Digest128;
use crate::call::record::evidence::StoredEvidence;
use crate::stir::credential::MAX_BUNDLE;
use crate::stir::verify::Rule;
use crate::store::StoreError;
use crate::store::embedded::blocks::{self, Kind};
use crate::store::embedded::codec::{put_str, put_varint};
use crate::store::embedded::layout;
use crate::store::embedded::vault::{Cipher, Vault};

/// A file is closed when it has grown to this: about 2,000 frames.
const FILE_TARGET: u64 = 64 << 20;
/// Days that are written side by side. A capture goes over midnight once; merged ones may go to and fro.
const OPEN_DAYS: usize = 4;

/// The writing side.
pub(in crate::store::embedded) struct EvidenceWriter {
    root: PathBuf,
    vault: Vault,
    next_seq: u64,
    /// The one used last at the end.
    open: Vec<OpenFile>,
    packer: Packer,
}

struct OpenFile {
    day: i64,
    path: PathBuf,
    file: File,
    cipher: Option<Cipher>,
    written: u64,
    chains: HashSet<Digest128>,
    calls: Vec<u8>,
    uids: Option<(u64, u64)>,
    unsynced: bool,
}

impl EvidenceWriter {
    /// Nothing is written before the first call comes.
    pub fn open(root: &Path, vault: Vault) -> Result<Self, StoreError> {
        let newest = files(root)?.into_iter().map(|(seq, ..)| seq).max();
        Ok(Self {
            root: root.to_owned(),
            vault,
            next_seq: newest.map_or(1, |s| s.saturating_add(1)),
            open: Vec::new(),
            packer: Packer::new().map_err(|e| StoreError::io(&layout::evidence(root), e))?,
        })
    }

    /// Takes a call in; `false` where its head is too long to be kept.
    pub fn append(&mut self, stored: &StoredEvidence) -> Result<bool, StoreError> {
        if stored.evidence.head.len() > MAX_HEAD {
            return Ok(false);
        }
        let mut file = self.take(stored)?;
        // A file that fails is left behind with its torn tail; the next call begins another.
        file.append(stored, &mut self.packer)?;
        if file.written < FILE_TARGET {
            self.open.push(file);
            return Ok(true);
        }
        file.commit(&mut self.packer).map(|()| true)
    }

    /// Makes everything taken in durable.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        let mut i = 0;
        while let Some(file) = self.open.get_mut(i) {
            if let Err(e) = file.commit(&mut self.packer) {
                self.open.remove(i);
                return Err(e);
            }
            i += 1;
        }
        Ok(())
    }

    /// The days that there are, as days since 1970, rising.
    pub fn days(&self) -> Result<Vec<i64>, StoreError> {
        let names = layout::list(&layout::evidence(&self.root))?.into_iter();
        let mut days: Vec<i64> = names.filter_map(|(_, n)| layout::day_from(&n?)).collect();
        days.sort_unstable();
        Ok(days)
    }

    /// Lets go of files of days that are about to be erased, with what waits for them.
    pub fn close(&mut self, days: &BTreeSet<i64>) {
        self.open.retain(|f| !days.contains(&f.day));
    }

    /// Deletes all days before the given one, as days since 1970, and says how many there were.
    pub fn forget_before(&mut self, first_kept: i64) -> Result<u64, StoreError> {
        self.open.retain(|f| f.day >= first_kept);
        let mut gone = 0;
        for (path, name) in layout::list(&layout::evidence(&self.root))? {
            let day = name.as_deref().and_then(layout::day_from);
            if day.is_some_and(|d| d < first_kept) {
                fs::remove_dir_all(&path).map_err(|e| StoreError::io(&path, e))?;
                gone += 1;
            }
        }
        Ok(gone)
    }

    /// The file for a call's day.
    fn take(&mut self, stored: &StoredEvidence) -> Result<OpenFile, StoreError> {
        let day = layout::hour_of(stored.at.nanos()).div_euclid(layout::DAY);
        if let Some(i) = self.open.iter().position(|f| f.day == day) {
            return Ok(self.open.remove(i));
        }
        if self.open.len() >= OPEN_DAYS {
            self.open.remove(0).commit(&mut self.packer)?;
        }
        let dir = layout::evidence_dir(&self.root, day);
        layout::create_dirs(&dir)?;
        let path = dir.join(format!("{:010}-{:020}.ev", self.next_seq, stored.uid));
        self.next_seq += 1;
        let io = |e| StoreError::io(&path, e);
        let key = self.vault.to_seal(day)?;
        let mut options = layout::options();
        let mut file = options
            .append(true)
            .create_new(true)
            .open(&path)
            .map_err(io)?;
        let (cipher, written) = match key {
            Some(key) => {
                let (header, cipher) = blocks::header(Kind::Frames, day, &key).map_err(io)?;
                std::io::Write::write_all(&mut file, &header).map_err(io)?;
                (Some(cipher), header.len() as u64)
            }
            None => (None, 0),
        };
        let mut out = OpenFile {
            day,
            file,
            cipher,
            path,
            written,
            chains: HashSet::new(),
            calls: Vec::new(),
            uids: None,
            unsynced: false,
        };
        layout::sync_dir(&dir)?;
        let mut names = Vec::new();
        put_varint(&mut names, Rule::ALL.len() as u64);
        for rule in Rule::ALL {
            put_str(&mut names, rule.id());
        }
        out.write(NAMES, [0; 16], &names, &mut self.packer)?;
        Ok(out)
    }
}

impl OpenFile {
    fn append(&mut self, stored: &StoredEvidence, packer: &mut Packer) -> Result<(), StoreError> {
        for chain in &stored.evidence.chains {
            if chain.octets.len() <= MAX_BUNDLE && self.chains.insert(chain.digest) {
                self.write(CHAIN, chain.digest.0, &chain.octets, packer)?;
            }
        }
        encode(stored, &mut self.calls);
        let (low, high) = self.uids.unwrap_or((stored.uid, stored.uid));
        self.uids = Some((low.min(stored.uid), high.max(stored.uid)));
        if self.calls.len() >= BATCH {
            self.flush(packer)?;
        }
        Ok(())
    }

    fn commit(&mut self, packer: &mut Packer) -> Result<(), StoreError> {
        self.flush(packer)?;
        if std::mem::take(&mut self.unsynced) {
            self.file
                .sync_data()
                .map_err(|e| StoreError::io(&self.path, e))?;
        }
        Ok(())
    }

    fn flush(&mut self, packer: &mut Packer) -> Result<(), StoreError> {
        let Some((low, high)) = self.uids.take() else {
            return Ok(());
        };
        let mut key = [0; 16];
        let (l, h) = key.split_at_mut(8);
        l.copy_from_slice(&low.to_le_bytes());
        h.copy_from_slice(&high.to_le_bytes());
        let calls = std::mem::take(&mut self.calls);
        let written = self.write(CALLS, key, &calls, packer);
        self.calls = calls;
        self.calls.clear();
        written
    }

    fn write(
        &mut self,
        kind: u8,
        key: [u8; 16],
        payload: &[u8],
        packer: &mut Packer,
    ) -> Result<(), StoreError> {
        let io = |e| StoreError::io(&self.path, e);
        let frame = packer.frame(kind, key, payload, self.written, self.cipher.as_ref());
        let frame = frame.map_err(io)?;
        self.file.write_all(frame).map_err(io)?;
        self.written += frame.len() as u64;
        self.unsynced = true;
        Ok(())
    }
}
