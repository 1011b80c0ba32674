//! Evidence: the heads of INVITEs as received, the certificates they were judged with and the state of every rule, so that a call can
//! be judged again months later.
//!
//! ```text
//! file     evidence/<day of capture>/<seq, ten digits>-<first uid, twenty digits>.ev: frames, one after the other
//! frame    length u32, unpacked length u32, crc32c of the payload u32, kind u8, key 16 octets, crc32c of all that u32,
//!          payload: `length` octets of zstd                                   (little endian)
//! kind 0   names: rule IDs (count varint, strings), the first frame of every file            key: zero
//! kind 1   chain: the octets found at a certificate's URL                                    key: digest of these octets
//! kind 2   calls: one after the other, as below                                              key: lowest uid u64, highest uid u64
//! call     uid u64, at i64 (ns since 1970), chains (count varint; URL string, digest 16 octets), validation u8,
//!          deciding rule u8 (its place in the names plus one, or 0), attestation u8 (plus one, or 0),
//!          headers (count varint; passed, failed, undetermined, findings: u128 rule sets), head (length varint, octets)
//! ```
//!
//! A file holds every chain that its calls name, ahead of them, so that each day stands for itself and is deleted as a folder. The index of a file is
//! the row of its frames' headers: a look-up goes along them without reading what lies between, at most some thousand steps.
//!
//! A process writes files of its own and never goes on with another's, so a tail that a crash tore needs no mending: reading ends
//! there. Uids that were given anew after a crash are those of the younger file, told by `seq`. Calls wait in memory until 256 KiB are together or
//! [`EvidenceWriter::commit`] comes.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use smallvec::SmallVec;

use super::codec::{Cut, put_str, put_varint};
use super::layout;
use super::names::{Named, Numbering};
use crate::base::Timestamp;
use crate::base::digest::Digest128;
use crate::call::record::evidence::{
    Evidence, HeaderJudgement, Judgement, StoredChain, StoredEvidence,
};
use crate::stir::credential::MAX_BUNDLE;
use crate::stir::verify::{Attestation, Rule, RuleSet, Validation};
use crate::store::StoreError;

/// Octets of a frame before its payload.
const HEADER: usize = 33;
/// Calls are packed when so much of them is together: some 170 heads, enough that zstd finds what repeats.
const BATCH: usize = 256 << 10;
/// The longest head that is kept: the longest SIP message that reassembly gives out.
const MAX_HEAD: usize = 64 << 10;
/// The longest unpacked payload: a batch and one more call, whose URLs are at most 17 of 2,048 octets.
const MAX_UNPACKED: usize = BATCH + 2 * MAX_HEAD;
/// The longest packed payload: what does not pack grows by less than a 256th.
const MAX_PACKED: u32 = 1 << 20;
/// Below zero are zstd's fastest levels. Measured over heads of 1.4 KB (`evidence_costs` in the tests): 1.2 µs and 487 octets a call; level 1 takes 2.0 µs
/// for 374 octets, level −1 takes 1.4 µs for 482. A signature takes 36 µs.
const LEVEL: i32 = -3;
/// A file is closed when it has grown to this: about 2,000 frames.
const FILE_TARGET: u64 = 64 << 20;
/// Days that are written side by side. A capture goes over midnight once; merged ones may go to and fro.
const OPEN_DAYS: usize = 4;

const NAMES: u8 = 0;
const CHAIN: u8 = 1;
const CALLS: u8 = 2;

/// The writing side.
pub(super) struct EvidenceWriter {
    root: PathBuf,
    next_seq: u64,
    /// The one used last at the end.
    open: Vec<OpenFile>,
    packer: Packer,
}

struct OpenFile {
    day: i64,
    path: PathBuf,
    file: File,
    written: u64,
    chains: HashSet<Digest128>,
    calls: Vec<u8>,
    uids: Option<(u64, u64)>,
    unsynced: bool,
}

impl EvidenceWriter {
    /// Nothing is written before the first call comes.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let newest = files(root)?.into_iter().map(|(seq, ..)| seq).max();
        Ok(Self {
            root: root.to_owned(),
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
        let file = OpenOptions::new().append(true).create_new(true).open(&path);
        let mut out = OpenFile {
            day,
            file: file.map_err(|e| StoreError::io(&path, e))?,
            path,
            written: 0,
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
        let frame = packer.frame(kind, key, payload).map_err(io)?;
        self.file.write_all(frame).map_err(io)?;
        self.written += frame.len() as u64;
        self.unsynced = true;
        Ok(())
    }
}

/// Packs payloads into frames; keeps its buffers.
struct Packer {
    zstd: zstd::bulk::Compressor<'static>,
    frame: Vec<u8>,
}

impl Packer {
    fn new() -> io::Result<Self> {
        Ok(Self {
            zstd: zstd::bulk::Compressor::new(LEVEL)?,
            frame: Vec::new(),
        })
    }

    fn frame(&mut self, kind: u8, key: [u8; 16], payload: &[u8]) -> io::Result<&[u8]> {
        let packed = self.zstd.compress(payload)?;
        let length = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
        self.frame.clear();
        self.frame.extend_from_slice(&length(packed.len()));
        self.frame.extend_from_slice(&length(payload.len()));
        self.frame
            .extend_from_slice(&crc32c::crc32c(&packed).to_le_bytes());
        self.frame.push(kind);
        self.frame.extend_from_slice(&key);
        let sum = crc32c::crc32c(&self.frame);
        self.frame.extend_from_slice(&sum.to_le_bytes());
        self.frame.extend_from_slice(&packed);
        Ok(&self.frame)
    }
}

fn encode(stored: &StoredEvidence, out: &mut Vec<u8>) {
    let e = &stored.evidence;
    out.extend_from_slice(&stored.uid.to_le_bytes());
    out.extend_from_slice(&stored.at.nanos().to_le_bytes());
    put_varint(out, e.chains.len() as u64);
    for chain in &e.chains {
        put_str(out, &chain.url);
        out.extend_from_slice(&chain.digest.0);
    }
    let j = &e.judgement;
    out.push(j.validation.code());
    // There are at most 128 rules: sets of them have 128 bits.
    out.push(j.decided_by.map_or(0, |r| (r as u8).saturating_add(1)));
    out.push(j.attest.map_or(0, |a| a.code().saturating_add(1)));
    put_varint(out, j.headers.len() as u64);
    for h in &j.headers {
        for set in [h.passed, h.failed, h.undetermined, h.findings] {
            out.extend_from_slice(&set.0.to_le_bytes());
        }
    }
    put_varint(out, e.head.len() as u64);
    out.extend_from_slice(&e.head);
}

/// A call whose chains are still digests.
struct Call {
    stored: StoredEvidence,
    chains: Vec<(Box<str>, Digest128)>,
}

fn decode(cut: &mut Cut<'_>, names: &Numbering) -> Option<Call> {
    let (uid, at) = (cut.u64()?, cut.i64()?);
    let count = |cut: &mut Cut<'_>| usize::try_from(cut.varint()?).ok();
    let mut chains = Vec::new();
    for _ in 0..count(cut)? {
        let url = cut.str()?.into();
        chains.push((url, Digest128(cut.take(16)?.try_into().ok()?)));
    }
    let validation = Validation::from_code(cut.u8()?)?;
    let decided_by = match cut.u8()? {
        0 => None,
        n => names.rule(n - 1),
    };
    let attest = match cut.u8()? {
        0 => None,
        n => Some(Attestation::from_code(n - 1)?),
    };
    let mut headers = SmallVec::new();
    for _ in 0..count(cut)? {
        let mut sets = [RuleSet::default(); 4];
        for set in &mut sets {
            let bits = cut.take(16)?.try_into().ok()?;
            *set = names.rules(u128::from_le_bytes(bits));
        }
        let [passed, failed, undetermined, findings] = sets;
        headers.push(HeaderJudgement {
            passed,
            failed,
            undetermined,
            findings,
        });
    }
    let length = count(cut)?;
    let head = cut.take(length)?.into();
    let stored = StoredEvidence {
        uid,
        at: Timestamp::from_nanos(at),
        evidence: Evidence {
            head,
            chains: SmallVec::new(),
            judgement: Judgement {
                validation,
                decided_by,
                attest,
                headers,
            },
        },
    };
    Some(Call { stored, chains })
}

/// Evidence of a record; `None` where none was kept, or not any more.
///
/// # Errors
///
/// [`StoreError::Corrupt`] where it may have stood in what can't be read of a file.
pub(super) fn find(root: &Path, uid: u64) -> Result<Option<StoredEvidence>, StoreError> {
    // The youngest file of each day that may hold it.
    let mut candidates: BTreeMap<i64, (u64, PathBuf)> = BTreeMap::new();
    for (seq, first, day, path) in files(root)? {
        let known = candidates.get(&day).is_some_and(|(s, _)| *s > seq);
        if first <= uid && !known {
            candidates.insert(day, (seq, path));
        }
    }
    let mut candidates: Vec<_> = candidates.into_values().collect();
    candidates.sort_unstable();
    let mut torn = None;
    for (i, (_, path)) in candidates.into_iter().rev().enumerate() {
        let mut file = FileReader::open(&path)?;
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
fn files(root: &Path) -> Result<Vec<(u64, u64, i64, PathBuf)>, StoreError> {
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

struct FileReader<'a> {
    path: &'a Path,
    file: File,
    at: u64,
    length: u64,
    /// The highest uid of the frames gone past.
    highest: u64,
}

struct Frame {
    at: u64,
    packed: u32,
    unpacked: u32,
    sum: u32,
    kind: u8,
    key: [u8; 16],
}

impl<'a> FileReader<'a> {
    fn open(path: &'a Path) -> Result<Self, StoreError> {
        let io = |e| StoreError::io(path, e);
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        Ok(Self {
            path,
            file,
            at: 0,
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
    fn next_frame(&mut self) -> Result<Option<Frame>, StoreError> {
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

    fn payload(&mut self, frame: &Frame) -> Result<Vec<u8>, StoreError> {
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
        let room = usize::try_from(frame.unpacked).unwrap_or(usize::MAX);
        zstd::bulk::decompress(&packed, room.min(MAX_UNPACKED)).map_err(|_| self.damaged(frame.at))
    }

    fn names(&mut self, frame: &Frame) -> Result<Numbering, StoreError> {
        let payload = self.payload(frame)?;
        let read = || {
            let mut cut = Cut(&payload);
            let count = cut.varint()?;
            let names: Option<Vec<&str>> = (0..count).map(|_| cut.str()).collect();
            names
        };
        let names = read().ok_or_else(|| self.damaged(frame.at))?;
        Ok(Numbering::from_names(&names, &[]))
    }

    fn damaged(&self, at: u64) -> StoreError {
        StoreError::corrupt(
            self.path,
            format!("damaged at octet {at}: evidence that stood there can't be read"),
        )
    }
}

impl Frame {
    fn parse(header: &[u8; HEADER], at: u64) -> Option<Self> {
        let (front, sum) = header.split_last_chunk::<4>()?;
        if crc32c::crc32c(front) != u32::from_le_bytes(*sum) {
            return None;
        }
        let mut cut = Cut(front);
        Some(Self {
            at,
            packed: cut.u32()?,
            unpacked: cut.u32()?,
            sum: cut.u32()?,
            kind: cut.u8()?,
            key: cut.take(16)?.try_into().ok()?,
        })
    }

    fn uids(&self) -> (u64, u64) {
        let mut cut = Cut(&self.key);
        (cut.u64().unwrap_or(0), cut.u64().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::embedded::tests::evidence::evidence;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn octets_of_a_call_never_panic(uid: u64, cut in 0..400_usize, place in 0..400_usize, bit in 0..8_u8) {
            let mut octets = Vec::new();
            encode(&evidence(uid), &mut octets);
            let names = Numbering::current();
            let whole = decode(&mut Cut(&octets), &names).unwrap();
            prop_assert_eq!(whole.stored.uid, uid);
            prop_assert_eq!(&whole.stored.evidence.judgement, &evidence(uid).evidence.judgement);
            if let Some(octet) = octets.get_mut(place) {
                *octet ^= 1_u8 << bit;
            }
            let _ = decode(&mut Cut(&octets), &names);
            octets.truncate(cut);
            let _ = decode(&mut Cut(&octets), &names);
        }
    }
}
