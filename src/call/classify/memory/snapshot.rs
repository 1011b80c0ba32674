//! What is remembered, as octets: a file of the daemon's.
//!
//! ```text
//! "thflags\x01"
//! u32 callers:    { u8 length, number, i64 when (nanoseconds since 1970) }
//! u32 neighbours: { u8 length, id, u8 generations (young, old):
//!                   { i64 since, u64 calls, u8 filters: { u32 room, u64 words of the filter, of the length of its place } } }
//! u32 CRC-32C of everything before
//! ```
//!
//! Numbers are little-endian. It refuses anything that does not fit to the last octet, and then nothing of it is taken.

use std::sync::Arc;

use super::signed::{Generation, LAYERS, Layer, NEIGHBOURS, Signed, octets_of};
use super::{EmergencyCallers, FlagMemory, SignedNumbers};
use crate::base::Timestamp;
use crate::number::Tn;

/// Name and version of the format. Another number of bits or another hashing is another version.
const MAGIC: &[u8; 8] = b"thflags\x01";

/// Why a snapshot is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSnapshot {
    /// It begins otherwise.
    #[error("of another version, or none of ours")]
    Magic,
    /// The checksum does not fit.
    #[error("damaged: its checksum is wrong")]
    Checksum,
    /// The checksum fits, and the content does not.
    #[error("its parts do not fit together")]
    Content,
}

impl FlagMemory {
    /// All that is remembered. It costs the memory: what is taken is the last state of a process.
    pub fn into_snapshot(self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        let callers: Vec<_> = self.emergency.into_oldest_first().collect();
        put_count(&mut out, callers.len());
        for (caller, at) in callers {
            put_text(&mut out, caller.as_bytes());
            out.extend_from_slice(&at.nanos().to_le_bytes());
        }
        put_count(&mut out, self.signed.neighbours.len());
        for (id, signed) in &self.signed.neighbours {
            put_text(&mut out, id.as_bytes());
            out.push(1 + u8::from(signed.old.is_some()));
            for generation in std::iter::once(&signed.young).chain(&signed.old) {
                put_generation(&mut out, generation);
            }
        }
        let sum = crc32c::crc32c(&out);
        out.extend_from_slice(&sum.to_le_bytes());
        out
    }

    /// Undoes [`FlagMemory::into_snapshot`].
    ///
    /// # Errors
    ///
    /// [`BadSnapshot`].
    pub fn from_snapshot(octets: &[u8]) -> Result<Self, BadSnapshot> {
        if !octets.starts_with(MAGIC) {
            return Err(BadSnapshot::Magic);
        }
        let (content, sum) = octets
            .split_last_chunk::<4>()
            .ok_or(BadSnapshot::Checksum)?;
        if crc32c::crc32c(content) != u32::from_le_bytes(*sum) {
            return Err(BadSnapshot::Checksum);
        }
        let body = content.get(MAGIC.len()..).ok_or(BadSnapshot::Content)?;
        read(&mut Cut(body)).ok_or(BadSnapshot::Content)
    }
}

fn put_count(out: &mut Vec<u8>, n: usize) {
    out.extend_from_slice(&u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes());
}

/// A text of at most 255 octets: numbers have 23, and ids of neighbours are refused above that by the configuration.
fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    let text = text.get(..255).unwrap_or(text);
    out.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    out.extend_from_slice(text);
}

fn put_generation(out: &mut Vec<u8>, g: &Generation) {
    out.extend_from_slice(&g.since.nanos().to_le_bytes());
    out.extend_from_slice(&g.calls.to_le_bytes());
    out.push(u8::try_from(g.layers.len()).unwrap_or(u8::MAX));
    for layer in &g.layers {
        out.extend_from_slice(&layer.room.to_le_bytes());
        for word in layer.filter.iter() {
            out.extend_from_slice(&word.to_le_bytes());
        }
    }
}

fn read(cut: &mut Cut<'_>) -> Option<FlagMemory> {
    let mut emergency = EmergencyCallers::default();
    for _ in 0..cut.u32()? {
        let caller = Tn::from_canonical(cut.text()?)?;
        emergency.insert(caller, cut.time()?);
    }
    let mut signed = SignedNumbers::default();
    for _ in 0..cut.u32()? {
        let id = std::str::from_utf8(cut.text()?).ok()?;
        let generations = cut.u8()?;
        let young = generation(cut)?;
        let old = match generations {
            1 => None,
            2 => Some(generation(cut)?),
            _ => return None,
        };
        let one = Signed { young, old };
        signed.octets += one.octets();
        signed.neighbours.insert(Arc::from(id), one);
    }
    (cut.0.is_empty() && signed.neighbours.len() <= NEIGHBOURS)
        .then_some(FlagMemory { emergency, signed })
}

fn generation(cut: &mut Cut<'_>) -> Option<Generation> {
    let since = cut.time()?;
    let calls = cut.u64()?;
    let count = usize::from(cut.u8()?);
    if !(1..=LAYERS).contains(&count) {
        return None;
    }
    let mut layers = Vec::with_capacity(count);
    for place in 0..count {
        let room = cut.u32()?;
        // Cut off before anything is made of it: a length that is not there takes no memory.
        let octets = cut.take(octets_of(place))?;
        let (words, _) = octets.as_chunks::<8>();
        let words = words.iter().map(|w| u64::from_le_bytes(*w)).collect();
        layers.push(Layer::from_words(place, words, room));
    }
    Some(Generation {
        since,
        calls,
        layers,
    })
}

/// What is not read yet.
struct Cut<'a>(&'a [u8]);

impl<'a> Cut<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(front)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (front, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*front)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn time(&mut self) -> Option<Timestamp> {
        self.array()
            .map(|b| Timestamp::from_nanos(i64::from_le_bytes(b)))
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let n = self.u8()?;
        self.take(usize::from(n))
    }
}
