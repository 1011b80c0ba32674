//! Looking up by uid: which file, which frame, and the certificates that the call names.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::call::{Call, decode};
use super::frame::{CALLS, CHAIN, Frame, HEADER, MAX_PACKED, MAX_UNPACKED, NAMES};
use crate::base::digest::Digest128;
use crate::call::record::evidence::{StoredChain, StoredEvidence};
use crate::store::StoreError;
use crate::store::embedded::blocks::{self, Kind};
use crate::store::embedded::codec::Cut;
use crate::store::embedded::layout;
use crate::store::embedded::names::{Numbering, VERSION};
use crate::store::embedded::vault::{Cipher, Vault};

/// Evidence of a record; `None` where none was kept, or not any more.
///
/// # Errors
///
/// [`StoreError::Corrupt`] where it may have stood in what can't be read of a file.
pub(in crate::store::embedded) fn find(
    root: &Path,
    vault: &Vault,
    uid: u64,
) -> Result<Option<StoredEvidence>, StoreError> {
    // The youngest file of each day that may hold it.
    let mut candidates: BTreeMap<i64, (u64, PathBuf)> = BTreeMap::new();
    for (seq, first, day, path) in files(root)? {
        let known = candidates.get(&day).is_some_and(|(s, _)| *s > seq);
        if first <= uid && !known && !vault.is_erased(day) {
            candidates.insert(day, (seq, path));
        }
    }
    let mut candidates: Vec<_> = candidates.into_values().collect();
    candidates.sort_unstable();
    let mut torn = None;
    for (i, (_, path)) in candidates.into_iter().rev().enumerate() {
        let mut file = FileReader::open(&path, vault)?;
        if let Some(found) = file.find(uid)? {
            return Ok(Some(found));
        }
        // The youngest is where it should have stood: what a crash tore off was never committed, but damage may have come later.
        if i == 0 && file.at < file.length && file.highest < uid {
            torn = Some(file.damaged(file.at));
        }
    }
    torn.map_or(Ok(None), Err)
}

/// Every file: seq, first uid, day, path. In no order.
pub(in crate::store::embedded) fn files(
    root: &Path,
) -> Result<Vec<(u64, u64, i64, PathBuf)>, StoreError> {
    let mut out = Vec::new();
    for (dir, name) in layout::list(&layout::evidence(root))? {
        let Some(day) = name.as_deref().and_then(layout::day_from) else {
            continue;
        };
        for (path, name) in layout::list(&dir)? {
            let parts = name.as_deref().and_then(|n| {
                let (seq, first) = n.strip_suffix(".ev")?.split_once('-')?;
                Some((seq.parse().ok()?, first.parse().ok()?))
            });
            out.extend(parts.map(|(seq, first)| (seq, first, day, path)));
        }
    }
    Ok(out)
}

pub(super) struct FileReader<'a> {
    pub path: &'a Path,
    pub file: File,
    cipher: Option<Cipher>,
    pub at: u64,
    pub length: u64,
    /// The highest uid of the frames gone past.
    highest: u64,
}

impl<'a> FileReader<'a> {
    pub fn open(path: &'a Path, vault: &Vault) -> Result<Self, StoreError> {
        let io = |e| StoreError::io(path, e);
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let cipher = blocks::opened(vault, Kind::Frames, &file, path)?;
        Ok(Self {
            path,
            file,
            at: cipher.as_ref().map_or(0, |_| blocks::HEADER as u64),
            cipher,
            length,
            highest: 0,
        })
    }

    fn find(&mut self, uid: u64) -> Result<Option<StoredEvidence>, StoreError> {
        let mut names = Numbering::current();
        let mut chains: BTreeMap<[u8; 16], Frame> = BTreeMap::new();
        while let Some(frame) = self.next_frame()? {
            match frame.kind {
                NAMES => names = self.names(&frame)?,
                CHAIN => {
                    chains.insert(frame.key, frame);
                }
                CALLS => {
                    let (low, high) = frame.uids();
                    self.highest = self.highest.max(high);
                    if !(low..=high).contains(&uid) {
                        continue;
                    }
                    let payload = self.payload(&frame)?;
                    let mut cut = Cut(&payload);
                    while !cut.0.is_empty() {
                        let call = decode(&mut cut, &names);
                        let mut call = call.ok_or_else(|| self.damaged(frame.at))?;
                        if call.stored.uid == uid {
                            self.join(&mut call, &chains)?;
                            return Ok(Some(call.stored));
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(None)
    }

    fn join(
        &mut self,
        call: &mut Call,
        known: &BTreeMap<[u8; 16], Frame>,
    ) -> Result<(), StoreError> {
        for (url, digest) in std::mem::take(&mut call.chains) {
            let Some(frame) = known.get(&digest.0) else {
                continue;
            };
            let octets: Arc<[u8]> = self.payload(frame)?.into();
            if Digest128::of(&octets) != digest {
                return Err(self.damaged(frame.at));
            }
            call.stored.evidence.chains.push(StoredChain {
                url,
                digest,
                octets,
            });
        }
        Ok(())
    }

    /// The next frame's header; `None` at the end, or where nothing more can be read.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, StoreError> {
        let io = |e| StoreError::io(self.path, e);
        let mut header = [0; HEADER];
        if self.length.saturating_sub(self.at) < HEADER as u64 {
            return Ok(None);
        }
        self.file.seek(SeekFrom::Start(self.at)).map_err(io)?;
        self.file.read_exact(&mut header).map_err(io)?;
        let Some(frame) = Frame::parse(&header, self.at) else {
            return Ok(None);
        };
        let end = self.at + HEADER as u64 + u64::from(frame.packed);
        if end > self.length || frame.packed > MAX_PACKED {
            return Ok(None);
        }
        self.at = end;
        Ok(Some(frame))
    }

    pub fn payload(&mut self, frame: &Frame) -> Result<Vec<u8>, StoreError> {
        let io = |e| StoreError::io(self.path, e);
        let at = SeekFrom::Start(frame.at + HEADER as u64);
        self.file.seek(at).map_err(io)?;
        let mut packed = Vec::new();
        (&mut self.file)
            .take(frame.packed.into())
            .read_to_end(&mut packed)
            .map_err(io)?;
        if crc32c::crc32c(&packed) != frame.sum {
            return Err(self.damaged(frame.at));
        }
        if let Some(cipher) = &self.cipher {
            let opened = frame.opened(cipher, &packed);
            packed = opened.ok_or_else(|| self.damaged(frame.at))?;
        }
        let room = usize::try_from(frame.unpacked).unwrap_or(usize::MAX);
        zstd::bulk::decompress(&packed, room.min(MAX_UNPACKED)).map_err(|_| self.damaged(frame.at))
    }

    pub fn names(&mut self, frame: &Frame) -> Result<Numbering, StoreError> {
        let payload = self.payload(frame)?;
        let read = || {
            let mut cut = Cut(&payload);
            let count = cut.varint()?;
            let names: Option<Vec<&str>> = (0..count).map(|_| cut.str()).collect();
            names
        };
        let names = read().ok_or_else(|| self.damaged(frame.at))?;
        Ok(Numbering::from_names(VERSION, &names, &[], &[]))
    }

    fn damaged(&self, at: u64) -> StoreError {
        StoreError::corrupt(
            self.path,
            format!("damaged at octet {at}: evidence that stood there can't be read"),
        )
    }
}
