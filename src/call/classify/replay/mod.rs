//! Whether a PASSporT was seen before, and whether that is normal (rules Y1 to Y3; RFC 8224 §12.1, RFC 8225 §10.1).
//!
//! Comes in: call attempts in the order of capture, each with the digest of its PASSporT's signing input. Comes out: a [`Sighting`].
//! The digest is the whole key: a signature can be turned into another valid one (s to n − s), and `origid` names a customer or a gateway.
//!
//! Seeing a PASSporT again is normal: the other leg of the call at our own edge, a second tap, a retry, another carrier's route.
//! So each direction is counted for itself, by Call-ID. A replay is what no route explains: towards a number that it was not signed
//! for after one that differs, after its freshness ended, or under more Call-IDs than routes come to. It shows where the second sight of
//! it is ours: a PASSporT that was replayed elsewhere and reaches us once is a mismatch or stale, and no more can be said.

use std::time::Duration;

use rustc_hash::FxHasher;
use smallvec::SmallVec;
use std::hash::Hasher;

use super::{Flag, Flags};
use crate::base::Timestamp;
use crate::base::bounded::BoundedMap;
use crate::base::digest::Digest128;
use crate::call::attempt::InviteFacts;
use crate::call::record::Direction;
use crate::number::Tn;
use crate::stir::verify::{Rule, Validation};

/// PASSporTs remembered at once: 4,000 signed calls/s for twice the usual window of 60 s. Full, they take some 70 MB.
const REMEMBERED: usize = 500_000;

/// Call-IDs in one direction that retries and alternative routes come to. More than these are suspect.
const ROUTES: usize = 4;

/// What the sight of a PASSporT is. Exactly one holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// The first time.
    First,
    /// The first time in this direction: the other leg of a call that passes our edge.
    OtherLeg,
    /// A further attempt under a Call-ID that carried it before.
    SameCall,
    /// Under another Call-ID, to the same destination: a retry or another route.
    Rerouted,
    /// The same, under more Call-IDs than routes come to.
    Suspect,
    /// To a destination that it is not signed for, and another one than before.
    OtherDestination,
    /// Again, after the freshness window.
    Late,
}

impl Sighting {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::First,
        Self::OtherLeg,
        Self::SameCall,
        Self::Rerouted,
        Self::Suspect,
        Self::OtherDestination,
        Self::Late,
    ];

    /// Stable name, as in output and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::OtherLeg => "other_leg",
            Self::SameCall => "same_call",
            Self::Rerouted => "rerouted",
            Self::Suspect => "suspect",
            Self::OtherDestination => "other_destination",
            Self::Late => "late",
        }
    }

    /// The flag that it earns.
    pub const fn flag(self) -> Option<Flag> {
        match self {
            Self::First | Self::OtherLeg | Self::SameCall | Self::Rerouted => None,
            Self::Suspect => Some(Flag::ReplaySuspect),
            Self::OtherDestination | Self::Late => Some(Flag::Replayed),
        }
    }
}

/// How often each [`Sighting`] was. The sum is the number of attempts with a PASSporT whose signature is not known to be wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplayCounters {
    sightings: [u64; Sighting::ALL.len()],
    /// PASSporTs forgotten before their time because memory was full: a replay of one of them goes unseen.
    pub evicted: u64,
}

impl ReplayCounters {
    /// How often it was.
    pub fn of(&self, sighting: Sighting) -> u64 {
        self.sightings.get(sighting as usize).copied().unwrap_or(0)
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Sighting::ALL.into_iter().map(|s| (s.label(), self.of(s)))
    }
}

/// The memory of PASSporTs.
#[derive(Debug)]
pub struct Replays {
    seen: BoundedMap<Digest128, Seen>,
    window: Duration,
    counters: ReplayCounters,
}

/// What is remembered of a PASSporT.
#[derive(Debug)]
struct Seen {
    /// Whether it was past its window the first time already: then lateness is its signer's clock, until it is later still.
    was_late: bool,
    first: Timestamp,
    calls: SmallVec<[Call; 2]>,
}

/// One Call-ID that carried it. Hashes of 32 bits: among the few under one PASSporT none collide by chance.
#[derive(Clone, Copy, Debug)]
struct Call {
    direction: Direction,
    id: u32,
    called: u32,
    to: u32,
}

impl Replays {
    /// Remembers PASSporTs for twice the freshness window: `iat` may lie one window ahead, and one stays fresh another window behind it.
    pub fn new(window: Duration) -> Self {
        Self::with_limit(window, REMEMBERED)
    }

    fn with_limit(window: Duration, limit: usize) -> Self {
        Self {
            seen: BoundedMap::new(limit, window.saturating_mul(2)),
            window,
            counters: ReplayCounters::default(),
        }
    }

    /// Counts so far.
    pub fn counters(&self) -> ReplayCounters {
        self.counters
    }

    /// Remembers nothing any more, and goes on counting, with a window that may be another.
    pub fn begin_anew(&mut self, window: Duration) {
        let counters = self.counters;
        *self = Self {
            counters,
            ..Self::new(window)
        };
    }

    /// Takes the next attempt and adds its flag. `None` where it has no PASSporT, or one that anybody could have made up: with a wrong
    /// signature it says nothing of the call whose signing input it copies.
    pub fn handle(
        &mut self,
        at: Timestamp,
        direction: Direction,
        invite: &InviteFacts,
        flags: &mut Flags,
    ) -> Option<Sighting> {
        while self.seen.poll_expired(at).is_some() {}
        let v = &invite.verdict;
        let forged = [Rule::S1, Rule::S2]
            .into_iter()
            .any(|r| v.failed.contains(r));
        let passport = v
            .passport
            .filter(|_| !forged && v.validation != Validation::None)?;
        let late = v
            .iat
            .is_some_and(|iat| at > Timestamp::from_secs(iat).plus(self.window));
        let now = Call {
            direction,
            // The low half will do.
            id: low(invite.ids.call_id.0),
            called: name(invite.numbers.called),
            to: name(invite.numbers.to),
        };
        let sighting = match self.seen.get_mut(&passport) {
            Some(seen) => {
                let elsewhere = v.failed.contains(Rule::D1);
                let again_late = late && (!seen.was_late || seen.first.plus(self.window) < at);
                seen.look(now, elsewhere, again_late)
            }
            None => {
                let seen = Seen {
                    was_late: late,
                    first: at,
                    calls: SmallVec::from_slice(&[now]),
                };
                let out = self.seen.insert(passport, seen, at);
                self.counters.evicted += u64::from(out.is_some());
                Sighting::First
            }
        };
        if let Some(n) = self.counters.sightings.get_mut(sighting as usize) {
            *n += 1;
        }
        if let Some(flag) = sighting.flag() {
            flags.insert(flag);
        }
        Some(sighting)
    }
}

impl Seen {
    fn look(&mut self, now: Call, elsewhere: bool, late: bool) -> Sighting {
        let before = || self.calls.iter().filter(|c| c.direction == now.direction);
        let routes = before().count();
        let known = before().any(|c| c.id == now.id);
        // What we handed on and comes back for somebody else was taken from there.
        let returned =
            |c: &&Call| now.direction == Direction::Ingress && c.direction == Direction::Egress;
        let earlier = |c: &&Call| c.direction == now.direction || returned(c);
        let mut earlier = self.calls.iter().filter(earlier);
        let moved = elsewhere && earlier.any(|c| !c.same_destination(now));
        // No more than it takes to tell what is suspect, in each of three directions.
        if !known && routes <= ROUTES {
            self.calls.push(now);
        }
        if moved {
            Sighting::OtherDestination
        } else if routes == 0 {
            Sighting::OtherLeg
        } else if late {
            // Even under its own Call-ID: nobody retransmits for so long.
            Sighting::Late
        } else if known {
            Sighting::SameCall
        } else if routes >= ROUTES {
            Sighting::Suspect
        } else {
            Sighting::Rerouted
        }
    }
}

impl Call {
    /// A number that was called before, under either name: what a route rewrites, the other keeps.
    fn same_destination(self, other: Self) -> bool {
        [self.called, self.to]
            .into_iter()
            .any(|n| n != 0 && (n == other.called || n == other.to))
    }
}

/// A number as a hash; 0 where there is none.
fn name(tn: Option<Tn>) -> u32 {
    tn.map_or(0, |tn| {
        let mut h = FxHasher::default();
        h.write(tn.as_bytes());
        low(h.finish()).max(1)
    })
}

#[allow(clippy::cast_possible_truncation)] // half of the bits are enough
const fn low(hash: u64) -> u32 {
    hash as u32
}

#[cfg(test)]
mod tests;
