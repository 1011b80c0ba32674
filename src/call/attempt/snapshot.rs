//! Open attempts over a restart: what stands at a clean stop goes into octets, and comes back if nothing speaks against it.
//!
//! ```text
//! "THCALLS\0"  version u16  taken_at i64  boot u64  boot_at i64  peers u32  count u32  entries …  crc32c u32
//! ```
//!
//! Little-endian throughout; an entry is written by [`entry`]. Who reads it trusts nothing in it: a count that is too high, a length that is not
//! there or a sum that does not fit give [`Refused::Broken`]. Finished attempts are left out, for their records are whole.

mod entry;

use std::time::Duration;

use super::family::Attempt;
use super::{Attempts, Key};
use crate::base::Timestamp;
use entry::Reader;

const MAGIC: [u8; 8] = *b"THCALLS\0";
/// Since 2, sides are named by digests of rules' names.
const VERSION: u16 = 2;

/// How far the time of boot may seem to have moved, by the clock on the wall: it is read with 10 ms, and a clock that is slewed moves by 0.05 %.
/// What differs by more was set in between, and deadlines mean nothing any more.
const MOVED: Duration = Duration::from_secs(2);

/// Which run of the host's clock a time belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockMark {
    /// Names the boot of the host.
    pub boot: u64,
    /// When that was, by the clock on the wall.
    pub boot_at: Timestamp,
}

/// Open attempts at a moment.
#[derive(Debug, PartialEq, Eq)]
pub struct Snapshot {
    taken_at: Timestamp,
    clock: ClockMark,
    /// Version of the table of neighbours: sides are told by its rules.
    peers: u32,
    calls: Vec<(Key, Attempt)>,
}

/// Why a snapshot is not taken over. All calls in it stay as their records say: unfinished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Cut, changed, or none.
    #[error("it is broken")]
    Broken,
    /// Of another version of ours.
    #[error("another version wrote it")]
    Version,
    /// Older than any call lasts that we wait for.
    #[error("it is too old")]
    TooOld,
    /// The clock was set, or the host booted: times before and after can't be compared.
    #[error("the clock is another one: the host booted or the clock was set")]
    OtherClock,
    /// Other neighbours or rules.
    #[error("peers.toml has changed, and calls are told apart by its rules")]
    OtherPeers,
}

impl Snapshot {
    /// How many calls.
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// As octets.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + 192 * self.calls.len());
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.taken_at.nanos().to_le_bytes());
        out.extend_from_slice(&self.clock.boot.to_le_bytes());
        out.extend_from_slice(&self.clock.boot_at.nanos().to_le_bytes());
        out.extend_from_slice(&self.peers.to_le_bytes());
        let count = u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&count.to_le_bytes());
        for (key, attempt) in &self.calls {
            entry::write(&mut out, key, attempt);
        }
        let sum = crc32c::crc32c(&out);
        out.extend_from_slice(&sum.to_le_bytes());
        out
    }

    /// From octets.
    ///
    /// # Errors
    ///
    /// [`Refused::Broken`] or [`Refused::Version`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Refused> {
        let (body, sum) = bytes.split_last_chunk::<4>().ok_or(Refused::Broken)?;
        let mut r = Reader(body);
        if r.take::<8>() != Some(MAGIC) || crc32c::crc32c(body) != u32::from_le_bytes(*sum) {
            return Err(Refused::Broken);
        }
        if r.u16() != Some(VERSION) {
            return Err(Refused::Version);
        }
        Self::read(&mut r).ok_or(Refused::Broken)
    }

    fn read(r: &mut Reader<'_>) -> Option<Self> {
        let taken_at = r.time()?;
        let clock = ClockMark {
            boot: r.u64()?,
            boot_at: r.time()?,
        };
        let (peers, count) = (r.u32()?, r.u32()?);
        // Memory grows with the octets that are there, not with the count that is claimed.
        let mut calls = Vec::new();
        for _ in 0..count {
            calls.push(entry::read(r)?);
        }
        r.0.is_empty().then_some(Self {
            taken_at,
            clock,
            peers,
            calls,
        })
    }
}

impl Attempts {
    /// What is open now. To be taken before [`Attempts::finish`], which writes all of it as it stands.
    pub fn snapshot(&self, now: Timestamp, clock: ClockMark, peers: u32) -> Snapshot {
        let open = self.open.iter().filter(|(_, a)| !a.is_over());
        Snapshot {
            taken_at: now,
            clock,
            peers,
            calls: open.map(|(k, a)| (*k, a.clone())).collect(),
        }
    }

    /// Takes open attempts over. Those whose time has run out meanwhile are left as they stand. Gives how many are open again.
    ///
    /// # Errors
    ///
    /// [`Refused`], and nothing is taken over.
    pub fn resume(
        &mut self,
        snapshot: Snapshot,
        now: Timestamp,
        clock: ClockMark,
        peers: u32,
    ) -> Result<u64, Refused> {
        let moved = clock.boot_at.distance(snapshot.clock.boot_at);
        if clock.boot != snapshot.clock.boot || moved > MOVED || snapshot.taken_at > now {
            return Err(Refused::OtherClock);
        }
        if snapshot.taken_at < now.minus(self.limits.answered) {
            return Err(Refused::TooOld);
        }
        if snapshot.peers != peers {
            return Err(Refused::OtherPeers);
        }
        let before = self.counters.resumed;
        self.tick(now);
        for (key, mut attempt) in snapshot.calls {
            let age = match attempt.is_answered() {
                true => self.limits.answered,
                false => self.limits.ringing,
            };
            let due = attempt.begun_at() < now.minus(age);
            if due || self.open.len() >= self.limits.open || self.open.get(&key).is_some() {
                self.counters.not_resumed += 1;
                continue;
            }
            attempt.was_blind();
            self.counters.resumed += 1;
            let begun_at = attempt.begun_at();
            self.remember(key, attempt, begun_at);
        }
        Ok(self.counters.resumed - before)
    }
}

#[cfg(test)]
mod tests;
