//! The machine: `handle_*` in, pair or loop out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::index::{Index, Keys, keys_of};
use super::rules::{REACH, TWO_SENSORS, fits, is_open, same_numbers, slack};
use super::{Ingress, LegFacts, Pair, Pairing};
use crate::base::Timestamp;
use crate::base::bounded::BoundedMap;
use crate::call::record::{End, State};

/// How long an answered egress leg counts as one that may come back: a subscriber's device that forwards does so within the time that a phone rings.
const COMES_BACK: Duration = Duration::from_secs(60);

/// How soon a call comes back that has kept nothing but its PASSporT and its numbers: a loop through several networks takes milliseconds in each. What
/// comes later with another's PASSporT is a replay, and flagged as one.
const AT_ONCE: Duration = Duration::from_secs(1);

/// What a call that comes back has kept. Numbers and SDP are none of it: a caller who calls twice has both.
const LOOPS: [Pairing; 4] = [
    Pairing::CallId,
    Pairing::Passport,
    Pairing::SessionId,
    Pairing::Icid,
];

/// How much [`Legs`] remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LegLimits {
    /// Ingress legs, and likewise egress legs, at once: 10,000 calls/s that ring for 20 s. Beyond it the oldest go. With its places in the
    /// index a leg takes below 1 KB, so both take 400 MB at most.
    pub legs: usize,
}

impl Default for LegLimits {
    fn default() -> Self {
        Self { legs: 200_000 }
    }
}

/// What became of legs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LegCounters {
    /// Egress legs by what tied them to their ingress leg, in the order of [`Pairing::ALL`].
    pub paired: [u64; Pairing::ALL.len()],
    /// Egress legs that nothing ties to an ingress leg.
    pub alone: u64,
    /// Egress legs that may be those of several ingress legs, of different neighbours.
    pub ambiguous: u64,
    /// Egress legs whose identifiers are borne by more ingress legs than are looked at.
    pub crowded: u64,
    /// Ingress legs that are a call of ours come back.
    pub loops: u64,
    /// Legs forgotten early for want of room.
    pub evicted: u64,
}

/// An egress leg that may come back.
#[derive(Debug)]
struct Egress {
    leg: LegFacts,
    answered: bool,
    /// The ingress leg that it continues, and that one's neighbour.
    ingress: Option<(u64, Option<Arc<str>>)>,
}

/// Legs under way.
#[derive(Debug)]
pub struct Legs {
    ingress: BoundedMap<u64, Ingress>,
    egress: BoundedMap<u64, Egress>,
    by_ingress: Index,
    by_egress: Index,
    /// Ingress legs with a final answer, and when they may go.
    leaving: VecDeque<(Timestamp, u64)>,
    limits: LegLimits,
    now: Timestamp,
    counters: LegCounters,
}

/// What an egress leg belongs to.
enum Found {
    One(u64, Pairing),
    Nothing,
    Several,
    Crowd,
}

impl Legs {
    /// No legs yet.
    pub fn new(limits: LegLimits) -> Self {
        let age = REACH + TWO_SENSORS;
        Self {
            ingress: BoundedMap::new(limits.legs, age),
            egress: BoundedMap::new(limits.legs, age),
            by_ingress: Index::new(),
            by_egress: Index::new(),
            leaving: VecDeque::new(),
            limits,
            now: Timestamp::MIN,
            counters: LegCounters::default(),
        }
    }

    /// Forgets all legs; counts go on.
    pub fn begin_anew(&mut self) {
        let counters = self.counters;
        *self = Self::new(self.limits);
        self.counters = counters;
    }

    /// Counts so far.
    pub fn counters(&self) -> LegCounters {
        self.counters
    }

    /// Legs, and places in the index.
    pub fn remembered(&self) -> (usize, usize) {
        let legs = self.ingress.len() + self.egress.len();
        (legs, self.by_ingress.len() + self.by_egress.len())
    }

    /// A leg comes in. Where it is a call that we had handed on, gives the egress leg of then.
    ///
    /// It is if an egress leg of ours that has not failed bears the same identifier; answered ones count for a minute. After a failure the same
    /// identifiers come again without any loop: the upstream tries another way. Where it tries two at once, it is the neighbour again of whom we had the
    /// call before, and our leg went to somebody else. A PASSporT is copied by who replays it, so it counts only between the same numbers, and at once.
    pub fn handle_ingress(&mut self, leg: LegFacts) -> Option<Pair> {
        self.tick(leg.at);
        let out = LOOPS
            .into_iter()
            .find_map(|kind| self.came_back(kind, &leg));
        self.counters.loops += u64::from(out.is_some());
        self.by_ingress.insert(leg.uid, &ingress_keys(&leg));
        let (uid, at) = (leg.uid, leg.at);
        let ingress = Ingress {
            leg,
            settled: None,
            advanced: None,
        };
        if let Some((uid, old)) = self.ingress.insert(uid, ingress, at) {
            self.counters.evicted += 1;
            self.by_ingress.remove(uid, &ingress_keys(&old.leg));
        }
        out
    }

    /// A leg goes out. Gives the ingress leg that it continues, where that is certain.
    pub fn handle_egress(&mut self, leg: LegFacts) -> Option<Pair> {
        self.tick(leg.at);
        let pair = match self.find(&leg) {
            Found::One(uid, how) => self.ingress.get(&uid).map(|i| Pair {
                uid,
                at: i.leg.at,
                how,
            }),
            Found::Nothing => {
                self.counters.alone += 1;
                None
            }
            Found::Several => {
                self.counters.ambiguous += 1;
                None
            }
            Found::Crowd => {
                self.counters.crowded += 1;
                None
            }
        };
        let ingress = pair.and_then(|p| Some((p.uid, self.ingress.get(&p.uid)?.leg.peer.clone())));
        if let Some(n) = pair.and_then(|p| self.counters.paired.get_mut(p.how as usize)) {
            *n += 1;
        }
        self.by_egress.insert(leg.uid, &egress_keys(&leg));
        let (uid, at) = (leg.uid, leg.at);
        let egress = Egress {
            leg,
            answered: false,
            ingress,
        };
        if let Some((uid, old)) = self.egress.insert(uid, egress, at) {
            self.counters.evicted += 1;
            self.by_egress.remove(uid, &egress_keys(&old.leg));
        }
        pair
    }

    /// A leg has its final answer, or goes on as it stands.
    pub fn handle_end(&mut self, now: Timestamp, end: &End) {
        self.now = self.now.max(now);
        let after = end.final_ms.map(|ms| Duration::from_millis(u64::from(ms)));
        // Where no answer was seen, it was over when we noticed.
        let settled = after.map_or(self.now, |after| end.begun_at.plus(after));
        if let Some(ingress) = self.ingress.get_mut(&end.uid) {
            if ingress.settled.replace(settled).is_none() {
                self.leave(end.uid);
            }
        } else if end.state == State::Answered {
            if let Some(egress) = self.egress.get_mut(&end.uid) {
                egress.answered = true;
            }
        } else if let Some(egress) = self.egress.remove(&end.uid) {
            self.by_egress.remove(end.uid, &egress_keys(&egress.leg));
            let ingress = egress
                .ingress
                .and_then(|(uid, _)| self.ingress.get_mut(&uid));
            if let Some(ingress) = ingress {
                ingress.advanced = ingress.advanced.max(Some(settled));
            }
        }
    }

    /// Another sensor's clock may be behind: the leg stays for as long as clocks may differ.
    fn leave(&mut self, uid: u64) {
        self.leaving.push_back((self.now.plus(TWO_SENSORS), uid));
        // However many end while capture time stands still.
        if self.leaving.len() > self.limits.legs
            && let Some((_, uid)) = self.leaving.pop_front()
        {
            self.forget(uid);
        }
    }

    fn forget(&mut self, uid: u64) {
        if let Some(ingress) = self.ingress.remove(&uid) {
            self.by_ingress.remove(uid, &ingress_keys(&ingress.leg));
        }
    }

    /// Lets time pass. Capture time that runs back stands still here.
    fn tick(&mut self, at: Timestamp) {
        self.now = self.now.max(at);
        while let Some((_, uid)) = self.leaving.pop_front_if(|(due, _)| *due < self.now) {
            self.forget(uid);
        }
        while let Some((uid, old)) = self.ingress.poll_expired(self.now) {
            self.by_ingress.remove(uid, &ingress_keys(&old.leg));
        }
        while let Some((uid, old)) = self.egress.poll_expired(self.now) {
            self.by_egress.remove(uid, &egress_keys(&old.leg));
        }
    }

    /// Finds the ingress leg of an egress leg: the strongest key that ties any decides, weaker ones narrow. What is left must be one leg, or legs
    /// of one neighbour, for then the answer is the same.
    fn find(&self, egress: &LegFacts) -> Found {
        let mut how = None;
        // Keys that tie more legs than are listed: which ones is known only where a weaker key names all of its own.
        let mut crowds: Vec<Pairing> = Vec::new();
        let mut left: Option<Vec<&Ingress>> = None;
        for key in Pairing::ALL {
            match &mut left {
                Some(legs) => {
                    if legs.iter().any(|i| fits(key, i, egress)) {
                        legs.retain(|i| fits(key, i, egress));
                    }
                }
                None => {
                    let (legs, all) = self.tied(key, egress);
                    if !all {
                        how = how.or(Some(key));
                        crowds.push(key);
                        continue;
                    }
                    let of_crowds = |i: &&Ingress| crowds.iter().all(|c| fits(*c, i, egress));
                    let legs: Vec<_> = legs.into_iter().filter(of_crowds).collect();
                    if !legs.is_empty() {
                        how = how.or(Some(key));
                        left = Some(legs);
                    }
                }
            }
            if left.as_ref().is_some_and(|l| l.len() == 1) {
                break;
            }
        }
        let (Some(how), Some(legs)) = (how, left) else {
            return match crowds.is_empty() {
                true => Found::Nothing,
                false => Found::Crowd,
            };
        };
        let Some(last) = legs.last() else {
            return Found::Nothing;
        };
        let one_neighbour =
            last.leg.peer.is_some() && legs.iter().all(|i| i.leg.peer == last.leg.peer);
        match legs.len() == 1 || one_neighbour {
            true => Found::One(last.leg.uid, how),
            false => Found::Several,
        }
    }

    /// Open ingress legs that a key ties, by time, and whether these are all.
    fn tied(&self, kind: Pairing, egress: &LegFacts) -> (Vec<&Ingress>, bool) {
        let (mut legs, mut all) = (Vec::<&Ingress>::new(), true);
        for key in keys_of(kind, egress) {
            let (uids, whole) = self.by_ingress.get(&key);
            all &= whole;
            let found = uids.iter().filter_map(|uid| self.ingress.get(uid));
            legs.extend(found.filter(|i| is_open(i, egress) && fits(kind, i, egress)));
        }
        legs.sort_unstable_by_key(|i| (i.leg.at, i.leg.uid));
        legs.dedup_by_key(|i| i.leg.uid);
        (legs, all)
    }

    fn came_back(&self, how: Pairing, ingress: &LegFacts) -> Option<Pair> {
        let is_it = |e: &&Egress| {
            let before = e.leg.at <= ingress.at.plus(slack(&e.leg, ingress));
            let alive = !e.answered || e.leg.at.distance(ingress.at) <= COMES_BACK;
            let from_the_same = e.ingress.as_ref().is_some_and(|(_, p)| *p == ingress.peer);
            let tried_twice = from_the_same && e.leg.peer != ingress.peer;
            let hasty = || {
                let soon = e.leg.at.distance(ingress.at) <= AT_ONCE;
                soon && !e.answered && same_numbers(&e.leg, ingress)
            };
            let enough = how != Pairing::Passport || hasty();
            before && alive && !tried_twice && enough
        };
        keys_of(how, ingress).iter().find_map(|key| {
            let (uids, _) = self.by_egress.get(key);
            let mut out = uids.iter().filter_map(|uid| self.egress.get(uid));
            let leg = &out.find(is_it)?.leg;
            let (uid, at) = (leg.uid, leg.at);
            Some(Pair { uid, at, how })
        })
    }
}

fn ingress_keys(leg: &LegFacts) -> Keys {
    // Suffixes are found under the keys of numbers.
    let kinds = Pairing::ALL.into_iter().filter(|k| *k != Pairing::Suffix);
    kinds.flat_map(|k| keys_of(k, leg)).collect()
}

fn egress_keys(leg: &LegFacts) -> Keys {
    LOOPS.into_iter().flat_map(|k| keys_of(k, leg)).collect()
}

#[cfg(test)]
mod tests;
