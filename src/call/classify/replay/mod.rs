//! Whether a PASSporT was seen before, and whether that is normal (rules Y1 to Y3; RFC 8224 §12.1, RFC 8225 §10.1).
//!
//! Comes in: call attempts in the order of capture, each with the digest of its PASSporT's signing input; those whose verdict
//! waits, once more when it is known. Comes out: a [`Sighting`], which goes by what came before the attempt, not by whose verdict was known before.
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

/// PASSporTs remembered at once: 4,000 signed calls/s for twice the usual window of 60 s. Full, they take some 80 MB.
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
    /// Of its record, which tells what came before it.
    uid: u64,
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

    /// Notes an attempt that waits for its verdict: a replay may come before that.
    pub fn note(&mut self, uid: u64, at: Timestamp, direction: Direction, invite: &InviteFacts) {
        if let Some(passport) = shown(invite).filter(|_| !forged(invite)) {
            self.remember(passport, Call::new(uid, direction, invite), at, invite);
        }
    }

    /// Takes an attempt whose verdict is known, and adds its flag. `None` where it has no PASSporT, or one that anybody could have made
    /// up: with a wrong signature it says nothing of the call whose signing input it copies.
    pub fn handle(
        &mut self,
        uid: u64,
        at: Timestamp,
        direction: Direction,
        invite: &InviteFacts,
        flags: &mut Flags,
    ) -> Option<Sighting> {
        let passport = shown(invite)?;
        if forged(invite) {
            self.forget(&passport, uid);
            return None;
        }
        let now = Call::new(uid, direction, invite);
        let elsewhere = invite.verdict.failed.contains(Rule::D1);
        let window = self.window;
        let late = self.is_late(at, invite);
        let seen = self.remember(passport, now, at, invite)?;
        let again_late = late && (!seen.was_late || seen.first.plus(window) < at);
        let sighting = seen.look(now, elsewhere, again_late);
        if let Some(n) = self.counters.sightings.get_mut(sighting as usize) {
            *n += 1;
        }
        if let Some(flag) = sighting.flag() {
            flags.insert(flag);
        }
        Some(sighting)
    }

    fn is_late(&self, at: Timestamp, invite: &InviteFacts) -> bool {
        let iat = invite.verdict.iat;
        iat.is_some_and(|iat| at > Timestamp::from_secs(iat).plus(self.window))
    }

    /// What is known of a PASSporT, with this call in it.
    fn remember(
        &mut self,
        passport: Digest128,
        call: Call,
        at: Timestamp,
        invite: &InviteFacts,
    ) -> Option<&mut Seen> {
        while self.seen.poll_expired(at).is_some() {}
        if self.seen.get(&passport).is_none() {
            let seen = Seen {
                was_late: self.is_late(at, invite),
                first: at,
                calls: SmallVec::new(),
            };
            let out = self.seen.insert(passport, seen, at);
            self.counters.evicted += u64::from(out.is_some());
        }
        let seen = self.seen.get_mut(&passport)?;
        seen.add(call);
        Some(seen)
    }

    /// Takes back what was noted of a call whose signature turned out to be wrong.
    fn forget(&mut self, passport: &Digest128, uid: u64) {
        let Some(seen) = self.seen.get_mut(passport) else {
            return;
        };
        seen.calls.retain(|c| c.uid != uid);
        if seen.calls.is_empty() {
            self.seen.remove(passport);
        }
    }
}

/// The PASSporT that an attempt shows.
fn shown(invite: &InviteFacts) -> Option<Digest128> {
    let v = &invite.verdict;
    v.passport.filter(|_| v.validation != Validation::None)
}

/// Whether its signature is known to be wrong.
fn forged(invite: &InviteFacts) -> bool {
    let failed = invite.verdict.failed;
    [Rule::S1, Rule::S2].into_iter().any(|r| failed.contains(r))
}

impl Seen {
    /// Adds a call that is not known yet: no more than it takes to tell what is suspect, in each of three directions.
    fn add(&mut self, call: Call) {
        let routes = || self.calls.iter().filter(|c| c.direction == call.direction);
        let known = routes().any(|c| c.id == call.id);
        if !known && routes().count() <= ROUTES {
            self.calls.push(call);
        }
    }

    /// What a call is that was added.
    fn look(&self, now: Call, elsewhere: bool, late: bool) -> Sighting {
        let before = || self.calls.iter().filter(|c| c.uid < now.uid);
        let along = || before().filter(|c| c.direction == now.direction);
        let routes = along().count();
        let known = along().any(|c| c.id == now.id);
        // What we handed on and comes back for somebody else was taken from there.
        let returned =
            |c: &&Call| now.direction == Direction::Ingress && c.direction == Direction::Egress;
        let mut earlier = before().filter(|c| c.direction == now.direction || returned(c));
        let moved = elsewhere && earlier.any(|c| !c.same_destination(now));
        if before().next().is_none() {
            Sighting::First
        } else if moved {
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
    fn new(uid: u64, direction: Direction, invite: &InviteFacts) -> Self {
        Self {
            uid,
            direction,
            // The low half will do.
            id: low(invite.ids.call_id.0),
            called: name(invite.numbers.called),
            to: name(invite.numbers.to),
        }
    }

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
