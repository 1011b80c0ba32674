//! Frames: a header that says what follows and what for, under a checksum of its own, and a packed payload.

use std::io;

use super::{BATCH, MAX_HEAD};
use crate::store::embedded::codec::Cut;
use crate::store::embedded::vault::Cipher;

/// Octets of a frame before its payload.
pub(super) const HEADER: usize = 33;
/// The longest unpacked payload: a batch and one more call, whose URLs are at most 17 of 2,048 octets.
pub(super) const MAX_UNPACKED: usize = BATCH + 2 * MAX_HEAD;
/// The longest packed payload: what does not pack grows by less than a 256th.
pub(super) const MAX_PACKED: u32 = 1 << 20;
/// Below zero are zstd's fastest levels. Measured over heads of 1.4 KB (`evidence_costs` in the tests): 1.2 µs and 487 octets a call; level 1 takes 2.0 µs
/// for 374 octets, level −1 takes 1.4 µs for 482. A signature takes 36 µs.
const LEVEL: i32 = -3;
pub(super) const NAMES: u8 = 0;
pub(super) const CHAIN: u8 = 1;
pub(super) const CALLS: u8 = 2;

/// Packs payloads into frames; keeps its buffers.
pub(super) struct Packer {
    zstd: zstd::bulk::Compressor<'static>,
    frame: Vec<u8>,
}

impl Packer {
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            zstd: zstd::bulk::Compressor::new(LEVEL)?,
            frame: Vec::new(),
        })
    }

    /// A frame that will begin at `at`, sealed where there is a cipher.
    pub fn frame(
        &mut self,
        kind: u8,
        key: [u8; 16],
        payload: &[u8],
        at: u64,
        cipher: Option<&Cipher>,
    ) -> io::Result<&[u8]> {
        let mut packed = self.zstd.compress(payload)?;
        if let Some(cipher) = cipher {
            let mut sealed = Vec::new();
            let unpacked = u32::try_from(payload.len()).unwrap_or(u32::MAX);
            let about = about(at, unpacked, kind, &key);
            cipher.seal_frame(&about, &packed, &mut sealed)?;
            packed = sealed;
        }
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

/// What is authenticated with a sealed payload.
fn about(at: u64, unpacked: u32, kind: u8, key: &[u8; 16]) -> Vec<u8> {
    let mut about = at.to_le_bytes().to_vec();
    about.extend_from_slice(&unpacked.to_le_bytes());
    about.push(kind);
    about.extend_from_slice(key);
    about
}

pub(super) struct Frame {
    pub at: u64,
    pub packed: u32,
    pub unpacked: u32,
    pub sum: u32,
    pub kind: u8,
    pub key: [u8; 16],
}

impl Frame {
    pub fn parse(header: &[u8; HEADER], at: u64) -> Option<Self> {
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

    /// The payload as it was before it was sealed; `None` where it is not that.
    pub fn opened(&self, cipher: &Cipher, sealed: &[u8]) -> Option<Vec<u8>> {
        let about = about(self.at, self.unpacked, self.kind, &self.key);
        cipher.open_frame(&about, sealed)
    }

    pub fn uids(&self) -> (u64, u64) {
        let mut cut = Cut(&self.key);
        (cut.u64().unwrap_or(0), cut.u64().unwrap_or(0))
    }
}
