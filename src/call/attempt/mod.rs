//! From SIP messages to call attempts: one per INVITE transaction family at one interface.
//!
//! - [`facts`]: what one message contributes, read by the stateless judges
//! - [`family`]: one attempt and what its messages change
//! - [`oddity`]: what flags need of an INVITE besides its numbers
//! - [`Attempts`]: all of them, driven in capture order
//!
//! A family is Call-ID, From tag and the side of our edge. Into one attempt fold: retransmissions (same CSeq and branch),
//! forks (same CSeq, other branch), and the INVITE sent anew with credentials after 401 or 407. A re-INVITE (tag in To) opens nothing.
//! An INVITE with a higher CSeq after any other final answer is a new attempt.
//!
//! An answer may come before its INVITE: the front of an INVITE that lost a fragment is given out only when the rest is overdue.
//! So answers without an INVITE are kept for a while.

pub mod facts;
mod family;
pub mod oddity;

use std::collections::VecDeque;
use std::time::Duration;

pub use facts::{Facts, InviteFacts, Leg, RequestFacts, RequestKind, ResponseFacts};
use family::{Attempt, SeenAgain};

use crate::base::Timestamp;
use crate::base::bounded::{BoundedMap, OldestFirst};
use crate::call::peer::Side;
use crate::call::record::{End, ReleasedBy};

/// Bounds of what [`Attempts`] remembers.
#[derive(Clone, Copy, Debug)]
pub struct AttemptLimits {
    /// Attempts remembered at once; beyond it the oldest is closed as it stands. 500,000 are 10,000 calls/s of 50 s.
    pub open: usize,
    /// How long an answered call is remembered while no BYE comes.
    pub answered: Duration,
    /// How long an attempt without final answer is remembered: a proxy's Timer C is above three minutes (RFC 3261 §16.6).
    pub ringing: Duration,
    /// How long a finished attempt stays to recognise what comes late: 64·T1 (RFC 3261 §17.1.1.2).
    pub linger: Duration,
    /// Attempts of which only answers were seen, at once. They come from INVITEs that were lost, or that lost a fragment.
    pub headless: usize,
    /// How long those are kept: the time that fragments are waited for (30 s), and 64·T1.
    pub headless_age: Duration,
}

impl Default for AttemptLimits {
    fn default() -> Self {
        Self {
            open: 500_000,
            answered: Duration::from_secs(4 * 3600),
            ringing: Duration::from_secs(240),
            linger: Duration::from_secs(32),
            headless: 50_000,
            headless_age: Duration::from_secs(62),
        }
    }
}

/// What an INVITE request turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InviteIs {
    /// The first of a family: write a record with the uid given to [`Attempts::handle_invite`].
    New,
    /// Seen before: same CSeq and branch.
    Retransmission,
    /// Another branch of the same request.
    Fork,
    /// Sent anew with credentials.
    AuthRetry,
    /// Inside a dialog.
    ReInvite,
}

/// A second half of a record, and what collect needs beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The second half.
    pub end: End,
    /// What [`Attempts::handle_invite_at_place`] was given for the attempt.
    pub place: u32,
    /// Whether this is the first of the attempt's ends that has a `stir_cause`.
    pub spoken_against: bool,
}

/// What did not go as a call goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttemptCounters {
    /// Closed early because the table was full.
    pub evicted: u64,
    /// Calls of which answers were seen and never an INVITE.
    pub headless: u64,
    /// BYEs that belong to no attempt we know.
    pub orphans: u64,
}

/// All attempts that are not finished, or were just now.
#[derive(Debug)]
pub struct Attempts {
    open: BoundedMap<Key, Attempt>,
    headless: BoundedMap<Key, Attempt>,
    ringing: Timers,
    lingering: Timers,
    ends: VecDeque<Ended>,
    limits: AttemptLimits,
    now: Timestamp,
    /// What was open when the source ended.
    closing: Option<OldestFirst<Key, Attempt>>,
    counters: AttemptCounters,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    leg: Leg,
    side: Side,
}

/// When to look at an attempt again: deadline, key, uid. Deadlines of attempts that are gone are not taken out one by one.
type Timers = VecDeque<(Timestamp, Key, u64)>;

/// Below this, timers of attempts that are gone are not worth looking for.
const FEW: usize = 64;

/// Adds a timer, and throws out those that are void once they may be more than those that count: however fast attempts come and
/// go while the clock stands still, timers stay within twice the attempts.
fn add(
    timers: &mut Timers,
    timer: (Timestamp, Key, u64),
    attempts: usize,
    counts: impl Fn(&(Timestamp, Key, u64)) -> bool,
) {
    timers.push_back(timer);
    if timers.len() > FEW && timers.len() > 2 * attempts {
        timers.retain(counts);
    }
}

impl Attempts {
    /// No attempts yet.
    pub fn new(limits: AttemptLimits) -> Self {
        Self {
            open: BoundedMap::new(limits.open, limits.answered),
            headless: BoundedMap::new(limits.headless, limits.headless_age),
            ringing: VecDeque::new(),
            lingering: VecDeque::new(),
            ends: VecDeque::new(),
            limits,
            now: Timestamp::MIN,
            closing: None,
            counters: AttemptCounters::default(),
        }
    }

    /// Counts so far.
    pub fn counters(&self) -> AttemptCounters {
        self.counters
    }

    /// How many attempts are remembered now.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Everything kept: attempts, those known by their answers only, and timers. However fast they come and go, and whatever
    /// capture time does, that is no more than five times the limit on attempts, and once that on answers.
    pub fn remembered(&self) -> usize {
        self.open.len() + self.headless.len() + self.ringing.len() + self.lingering.len()
    }

    /// Takes an INVITE request in. `uid` is used up only if the answer is [`InviteIs::New`].
    pub fn handle_invite(
        &mut self,
        uid: u64,
        at: Timestamp,
        side: Side,
        invite: &InviteFacts,
    ) -> InviteIs {
        self.handle_invite_at_place(uid, at, side, invite, || 0)
    }

    /// The same; a new attempt keeps the number that `place` gives, which comes back with [`Attempts::poll_ended`].
    pub fn handle_invite_at_place(
        &mut self,
        uid: u64,
        at: Timestamp,
        side: Side,
        invite: &InviteFacts,
        place: impl FnOnce() -> u32,
    ) -> InviteIs {
        self.tick(at);
        if !invite.initial {
            return InviteIs::ReInvite;
        }
        let key = Key {
            leg: invite.leg,
            side,
        };
        if let Some(attempt) = self.open.get_mut(&key) {
            match attempt.handle_invite(invite) {
                SeenAgain::Retransmission => return InviteIs::Retransmission,
                SeenAgain::Fork => return InviteIs::Fork,
                SeenAgain::AuthRetry => return InviteIs::AuthRetry,
                SeenAgain::NewAttempt => {}
            }
            // What stood under the key is finished: its End has gone out, or goes now.
            if let Some(old) = self.open.remove(&key) {
                self.close(old);
            }
        }
        let answers = self.headless.remove(&key);
        let place = place();
        let mut attempt = Attempt::new(uid, at, invite, answers);
        attempt.set_place(place);
        let end = attempt.take_end_if_final();
        self.ends.extend(end.map(|end| attempt.ended(end)));
        let finished = attempt.is_finished();
        if let Some((_, old)) = self.open.insert(key, attempt, at) {
            self.counters.evicted += 1;
            self.close(old);
        }
        if finished {
            self.linger(key, uid);
        } else {
            let (deadline, open) = (at.plus(self.limits.ringing), &self.open);
            add(
                &mut self.ringing,
                (deadline, key, uid),
                open.len(),
                |(_, key, uid)| {
                    open.get(key)
                        .is_some_and(|a| a.uid() == *uid && !a.is_answered())
                },
            );
        }
        InviteIs::New
    }

    /// An INVITE that had to wait for a certificate has been judged again.
    pub fn handle_verdict(&mut self, uid: u64, side: Side, invite: &InviteFacts) {
        let key = Key {
            leg: invite.leg,
            side,
        };
        if let Some(attempt) = self.open.get_mut(&key).filter(|a| a.uid() == uid) {
            attempt.handle_verdict(invite);
        }
    }

    /// Takes a response in; `side` is that of the request. Responses to other methods than INVITE change nothing.
    pub fn handle_response(&mut self, at: Timestamp, side: Side, response: &ResponseFacts) {
        self.tick(at);
        if !response.to_invite {
            return;
        }
        let key = Key {
            leg: response.leg,
            side,
        };
        if let Some(attempt) = self.open.get_mut(&key) {
            attempt.handle_response(at, response);
            self.settle(key);
            return;
        }
        if let Some(attempt) = self.headless.get_mut(&key) {
            attempt.handle_response(at, response);
            return;
        }
        let mut attempt = Attempt::headless(response.cseq);
        attempt.handle_response(at, response);
        if self.headless.insert(key, attempt, at).is_some() {
            self.counters.headless += 1;
        }
    }

    /// Takes a request other than INVITE in, with its side and that of a request the other way round. Only BYE changes anything.
    pub fn handle_request(
        &mut self,
        at: Timestamp,
        side: Side,
        reversed: Side,
        request: &RequestFacts,
    ) {
        self.tick(at);
        if request.kind != RequestKind::Bye {
            return;
        }
        // The called side's BYE has the tags the other way round and runs the other way.
        let ways = [
            (request.leg, side, ReleasedBy::Caller),
            (request.reverse_leg, reversed, ReleasedBy::Called),
        ];
        for (leg, side, by) in ways {
            let key = Key { leg, side };
            if let Some(attempt) = self.open.get_mut(&key) {
                attempt.handle_bye(at, by, request.stir_cause);
                self.settle(key);
                return;
            }
            if let Some(attempt) = self.headless.get_mut(&key) {
                attempt.handle_bye(at, by, request.stir_cause);
                return;
            }
        }
        self.counters.orphans += 1;
    }

    /// Second halves of records that are ready to be written.
    pub fn poll_end(&mut self) -> Option<End> {
        self.poll_ended().map(|ended| ended.end)
    }

    /// The same, with what belongs to the attempt besides.
    pub fn poll_ended(&mut self) -> Option<Ended> {
        loop {
            if let Some(end) = self.ends.pop_front() {
                return Some(end);
            }
            let (_, attempt) = self.closing.as_mut()?.next()?;
            self.close(attempt);
        }
    }

    /// Lets time pass without a message.
    pub fn handle_time(&mut self, now: Timestamp) {
        self.tick(now);
    }

    /// Goes on counting where others left off, of which `lost` were still open.
    pub fn count_on(&mut self, counters: AttemptCounters, lost: u64) {
        self.counters = counters;
        self.counters.evicted += lost;
    }

    /// The source has ended: everything is closed as it stands, one by one while [`Attempts::poll_end`] is called, for there may be
    /// half a million.
    pub fn finish(&mut self) {
        let none = BoundedMap::new(self.limits.open, self.limits.answered);
        let open = std::mem::replace(&mut self.open, none);
        self.closing = Some(open.into_oldest_first());
        while self.headless.pop_oldest().is_some() {
            self.counters.headless += 1;
        }
    }

    /// Writes what is final of an attempt, and lets a finished one linger.
    fn settle(&mut self, key: Key) {
        let Some(attempt) = self.open.get_mut(&key) else {
            return;
        };
        if let Some(end) = attempt.take_end_if_final() {
            let (uid, finished) = (end.uid, attempt.is_finished());
            let ended = attempt.ended(end);
            self.ends.push_back(ended);
            if finished {
                self.linger(key, uid);
            }
        }
    }

    fn linger(&mut self, key: Key, uid: u64) {
        let deadline = self.now.plus(self.limits.linger);
        if !self
            .open
            .get_mut(&key)
            .is_some_and(|a| a.linger_until(deadline))
        {
            return;
        }
        let open = &self.open;
        add(
            &mut self.lingering,
            (deadline, key, uid),
            open.len(),
            |(deadline, key, uid)| {
                open.get(key)
                    .is_some_and(|a| a.uid() == *uid && a.lingers_until(*deadline))
            },
        );
    }

    /// Lets time pass. Capture time that runs back stands still here.
    fn tick(&mut self, at: Timestamp) {
        self.now = self.now.max(at);
        let due =
            |timers: &mut Timers, now| timers.pop_front_if(|(deadline, _, _)| *deadline <= now);
        while let Some((deadline, key, uid)) = due(&mut self.lingering, self.now) {
            self.close_if(&key, uid, |a| a.is_finished() && a.lingers_until(deadline));
        }
        while let Some((_, key, uid)) = due(&mut self.ringing, self.now) {
            self.close_if(&key, uid, |a| !a.is_answered());
        }
        while let Some((_, attempt)) = self.open.poll_expired(self.now) {
            self.close(attempt);
        }
        while self.headless.poll_expired(self.now).is_some() {
            self.counters.headless += 1;
        }
    }

    fn close_if(&mut self, key: &Key, uid: u64, due: impl Fn(&Attempt) -> bool) {
        let due = self.open.get(key).is_some_and(|a| a.uid() == uid && due(a));
        if due && let Some(attempt) = self.open.remove(key) {
            self.close(attempt);
        }
    }

    fn close(&mut self, mut attempt: Attempt) {
        let end = attempt.take_end();
        self.ends.extend(end.map(|end| attempt.ended(end)));
    }
}

#[cfg(test)]
mod tests;
