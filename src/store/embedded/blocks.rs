//! The layer under Parquet: a file as the octets that were written, whether or not they lie sealed on disk.
//!
//! ```text
//! file     header, blocks
//! header   "tracehop-aes1\n" 14 octets, kind u8 (1 blocks, 2 frames, 3 one frame), 0 u8, day since 1970 i64, salt 16 octets, crc32c of all that u32
//! block    16 KiB of what was written (the last one less), sealed, and its tag of 16 octets                    (little endian)
//! ```
//!
//! The key of the file is made of the day's key, the salt and the header: a file under another day's header does not open. The nonce is the number of the
//! block, and with it is authenticated whether it is the last: blocks that were swapped, left out or cut off do not open. Blocks are those of the checksums
//! of `sums`, so reading a page opens one block, as it checks one without encryption.
//!
//! A file without the magic is plain: it was written before the store was encrypted.

use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use parquet::errors::{ParquetError, Result as ParquetResult};

use super::codec::Cut;
use super::layout;
use super::vault::{Cipher, Secret, TAG, Vault, fill};
use crate::store::StoreError;

/// Octets of a block as written: a few pages, so that reading one page reads little else.
pub(super) const BLOCK: usize = 16 << 10;
/// A block as it lies on disk.
const SEALED: usize = BLOCK + TAG;
/// What an encrypted file begins with.
const MAGIC: &[u8; 14] = b"tracehop-aes1\n";
/// Octets of the header.
pub(super) const HEADER: usize = 44;

/// What follows a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Blocks, as above.
    Blocks = 1,
    /// Frames, as `evidence` has them.
    Frames = 2,
    /// One frame that is the whole rest: what a process leaves for the next (`vault::StateSeal`).
    Whole = 3,
}

/// Makes the header of a file, and its cipher.
pub(super) fn header(kind: Kind, day: i64, key: &Secret) -> io::Result<([u8; HEADER], Cipher)> {
    let mut salt = [0; 16];
    fill(&mut salt)?;
    let mut header = [0; HEADER];
    let mut rest = &mut header[..];
    rest.write_all(MAGIC)?;
    rest.write_all(&[kind as u8, 0])?;
    rest.write_all(&day.to_le_bytes())?;
    rest.write_all(&salt)?;
    let (front, sum) = header.split_at_mut(HEADER - 4);
    sum.copy_from_slice(&crc32c::crc32c(front).to_le_bytes());
    let cipher = key.cipher(&salt, front)?;
    Ok((header, cipher))
}

/// Reads the header of a file that may be encrypted: its cipher, or `None` where it is plain.
pub(super) fn opened(
    vault: &Vault,
    kind: Kind,
    file: &File,
    path: &Path,
) -> Result<Option<Cipher>, StoreError> {
    // The store would not be open without its key if it had encrypted files: nothing is read for nothing.
    if !vault.is_sealed() {
        return Ok(None);
    }
    let io = |e| StoreError::io(path, e);
    let mut header = [0; HEADER];
    if file.metadata().map_err(io)?.len() < HEADER as u64 {
        return Ok(None);
    }
    file.read_exact_at(&mut header, 0).map_err(io)?;
    if !header.starts_with(MAGIC) {
        return Ok(None);
    }
    let Some((day, salt, front)) = parts(&header, kind) else {
        return Err(StoreError::corrupt(path, "damaged: header of encryption"));
    };
    let key = vault.to_open(day, path)?;
    key.cipher(salt, front).map(Some).map_err(io)
}

/// The day of a header of a kind, its salt, and all of it that its checksum covers.
fn parts(header: &[u8; HEADER], kind: Kind) -> Option<(i64, &[u8], &[u8])> {
    let (front, sum) = header.split_at(HEADER - 4);
    let mut cut = Cut(front);
    cut.take(MAGIC.len())?;
    let ours = cut.u8()? == kind as u8 && crc32c::crc32c(front).to_le_bytes() == sum;
    cut.u8()?;
    let (day, salt) = (cut.i64()?, cut.take(16)?);
    ours.then_some((day, salt, front))
}

/// Seals a small file as a whole; it opens only under the same name.
pub(super) fn seal_whole(key: &Secret, name: &str, octets: &[u8]) -> io::Result<Vec<u8>> {
    let (header, cipher) = header(Kind::Whole, 0, key)?;
    let mut out = header.to_vec();
    cipher.seal_frame(name.as_bytes(), octets, &mut out)?;
    Ok(out)
}

/// What [`seal_whole`] was given, or the file as it is where it is plain.
pub(super) fn open_whole(key: &Secret, name: &str, file: Vec<u8>) -> io::Result<Vec<u8>> {
    if !file.starts_with(MAGIC) {
        return Ok(file);
    }
    let opened = (|| {
        let (header, sealed) = file.split_first_chunk::<HEADER>()?;
        let (_, salt, front) = parts(header, Kind::Whole)?;
        let cipher = key.cipher(salt, front).ok()?;
        cipher.open_frame(name.as_bytes(), sealed)
    })();
    opened.ok_or_else(|| io::Error::other("damaged, or sealed by another key"))
}

/// A file being written.
pub(super) enum Output {
    /// As it is.
    Plain(File),
    /// In sealed blocks.
    Sealed(Box<Blocks>),
}

/// Blocks being written. One that is full waits for the octet behind it: until then it may be the last.
pub(super) struct Blocks {
    file: File,
    cipher: Cipher,
    number: u64,
    block: Vec<u8>,
}

impl Output {
    /// Makes a file: sealed by the key of `day`, where the store has keys and the file a day.
    pub fn create(path: &Path, vault: &Vault, day: Option<i64>) -> Result<Self, StoreError> {
        let io = |e| StoreError::io(path, e);
        let key = match day {
            Some(day) => vault.to_seal(day)?.map(|key| (day, key)),
            None => None,
        };
        let mut file = layout::create(path).map_err(io)?;
        let Some((day, key)) = key else {
            return Ok(Self::Plain(file));
        };
        let (header, cipher) = header(Kind::Blocks, day, &key).map_err(io)?;
        file.write_all(&header).map_err(io)?;
        let blocks = Blocks {
            file,
            cipher,
            number: 0,
            block: Vec::with_capacity(SEALED),
        };
        Ok(Self::Sealed(Box::new(blocks)))
    }

    /// Makes it whole and durable, and says how long it is.
    pub fn finish(&mut self) -> io::Result<u64> {
        let file = match self {
            Self::Plain(file) => file,
            Self::Sealed(blocks) => {
                blocks.seal(true)?;
                &mut blocks.file
            }
        };
        file.sync_all()?;
        Ok(file.metadata()?.len())
    }
}

impl Blocks {
    fn seal(&mut self, is_last: bool) -> io::Result<()> {
        self.cipher
            .seal_block(self.number, is_last, &mut self.block)?;
        self.file.write_all(&self.block)?;
        self.number += 1;
        self.block.clear();
        Ok(())
    }
}

impl Write for Output {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let blocks = match self {
            Self::Plain(file) => return file.write(octets),
            Self::Sealed(blocks) => blocks,
        };
        if blocks.block.len() >= BLOCK && !octets.is_empty() {
            blocks.seal(false)?;
        }
        let taken = octets.len().min(BLOCK - blocks.block.len());
        let (octets, _) = octets.split_at(taken);
        blocks.block.extend_from_slice(octets);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.flush(),
            // A block is written when it is full, or the last.
            Self::Sealed(_) => Ok(()),
        }
    }
}

/// A file that is read by position, as it was written.
pub(super) struct Content {
    file: File,
    length: u64,
    cipher: Option<Cipher>,
}

impl Content {
    /// Opens a file.
    pub fn open(path: &Path, vault: &Vault) -> Result<Self, StoreError> {
        let io = |e| StoreError::io(path, e);
        let file = File::open(path).map_err(io)?;
        let cipher = opened(vault, Kind::Blocks, &file, path)?;
        let on_disk = file.metadata().map_err(io)?.len();
        let length = match &cipher {
            None => on_disk,
            Some(_) => written(on_disk)
                .ok_or_else(|| StoreError::corrupt(path, "damaged: it ends within a block"))?,
        };
        Ok(Self {
            file,
            length,
            cipher,
        })
    }

    /// Octets that can only be read together; checksums cover a whole part of them, or the other way round.
    pub fn grain(&self) -> u64 {
        self.cipher.as_ref().map_or(1, |_| BLOCK as u64)
    }

    /// Octets as written.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Has the system fetch a span in the background.
    pub fn will_need(&self, span: Range<u64>) {
        let (start, end) = (span.start, span.end.min(self.length));
        let (start, end) = match self.cipher {
            None => (start, end),
            Some(_) => (place(start), place(end.next_multiple_of(BLOCK as u64))),
        };
        let length = i64::try_from(end.saturating_sub(start)).ok();
        if let Some((start, length)) = i64::try_from(start).ok().zip(length) {
            // A file system that does not know the advice is as slow as without it.
            let advice = PosixFadviseAdvice::POSIX_FADV_WILLNEED;
            let _ = posix_fadvise(&self.file, start, length, advice);
        }
    }

    /// Reads `length` octets from `start`.
    pub fn read(&self, start: u64, length: usize) -> ParquetResult<Vec<u8>> {
        let Some(cipher) = &self.cipher else {
            let mut octets = vec![0; length];
            self.file.read_exact_at(&mut octets, start)?;
            return Ok(octets);
        };
        let end = start.checked_add(length as u64);
        let Some(end) = end.filter(|end| *end <= self.length) else {
            return Err(ParquetError::EOF(format!("{length} octets at {start}")));
        };
        // An empty file has one block, which is opened all the same.
        if length == 0 && self.length > 0 {
            return Ok(Vec::new());
        }
        let odd = |_| ParquetError::General("a block of impossible length".to_owned());
        let (block, sealed) = (BLOCK as u64, SEALED as u64);
        let (first, last) = (start / block, end.saturating_sub(1) / block);
        let final_block = self.length.saturating_sub(1) / block;
        let from = first * sealed;
        let until = ((last + 1) * sealed).min(self.length + (final_block + 1) * TAG as u64);
        let mut octets = vec![0; usize::try_from(until - from).map_err(odd)?];
        self.file.read_exact_at(&mut octets, HEADER as u64 + from)?;
        let mut out = Vec::with_capacity(octets.len());
        for (number, octets) in (first..).zip(octets.chunks_mut(SEALED)) {
            let opened = cipher.open_block(number, number == final_block, octets);
            let opened = opened.ok_or_else(|| {
                ParquetError::General(format!("damaged: block {number} does not open"))
            })?;
            out.extend_from_slice(opened);
        }
        let skip = usize::try_from(start - first * block).map_err(odd)?;
        out.truncate(skip + length);
        out.drain(..skip);
        Ok(out)
    }
}

/// Where the block lies in an encrypted file that begins with octet `at` of what was written.
fn place(at: u64) -> u64 {
    let blocks = at / BLOCK as u64;
    blocks
        .saturating_mul(SEALED as u64)
        .saturating_add(HEADER as u64)
}

/// How long what was written is, of an encrypted file of a length; `None` where no file is so long.
fn written(on_disk: u64) -> Option<u64> {
    let body = on_disk.checked_sub(HEADER as u64)?;
    let blocks = body.div_ceil(SEALED as u64);
    let rest = body.checked_sub(blocks.checked_sub(1)? * SEALED as u64)?;
    // The last block holds something, unless it is the only one.
    let least = TAG as u64 + u64::from(blocks > 1);
    (rest >= least).then(|| body - blocks * TAG as u64)
}

#[cfg(test)]
mod tests;
