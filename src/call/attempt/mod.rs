//! From SIP messages to call attempts: one per INVITE transaction family at one interface.
//!
//! - [`facts`]: what one message contributes, read by the stateless judges
//! - [`family`]: one attempt and what its messages change
//! - [`oddity`]: what flags need of an INVITE besides its numbers
//! - [`lane`]: where a leg runs
//! - [`snapshot`]: what is open, over a restart
//! - [`Attempts`]: all of them, driven in capture order
//!
//! A family is Call-ID, From tag and the [`Lane`]: the side of our edge within one network. Into one attempt fold: retransmissions (same CSeq and branch),
//! forks (same CSeq, other branch), and the INVITE sent anew with credentials after 401 or 407. A re-INVITE (tag in To), UPDATE, PRACK, INFO and REFER
//! open nothing. An INVITE with a higher CSeq after any other final answer is a new attempt.
//!
//! Whoever sends calls chooses Call-ID, tag, CSeq and branch. So only INVITEs between the same numbers fold: else a neighbour could hide calls behind
//! one of them. Another call under the same name gets an attempt of its own, is counted, and gets those answers that its branch tells from the
//! other's. From another neighbour, or through another tunnel, the same name is another family: nobody's messages change a call that is not on his lane.
//!
//! What became of an attempt is told by final answers; where none was seen, by what only an answered call brings: an ACK of its own branch, BYE; else by
//! CANCEL. So a tap that shows one direction alone still tells answered calls from others.
//!
//! An answer may come before its INVITE: the front of an INVITE that lost a fragment is given out only when the rest is overdue.
//! So answers without an INVITE are kept for a while.

pub mod facts;
mod family;
pub mod lane;
pub mod oddity;
pub mod snapshot;

use std::collections::VecDeque;
use std::time::Duration;

pub use facts::{Facts, InviteFacts, Leg, RequestFacts, RequestKind, ResponseFacts};
use family::{Attempt, Ends, SeenAgain};
pub use lane::Lane;
pub use snapshot::Snapshot;

use crate::base::Timestamp;
use crate::base::bounded::{BoundedMap, OldestFirst};
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
    /// When that was: the time of the message that brought it, or the deadline that passed. Whoever lets time pass, and how often, changes nothing.
    pub at: Timestamp,
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
    /// CANCELs of an attempt that we know.
    pub cancels: u64,
    /// CANCELs of none.
    pub stray_cancels: u64,
    /// 2xx of a second branch of a fork, to a call that was answered already.
    pub further_answers: u64,
    /// BYEs of such a second dialog.
    pub further_byes: u64,
    /// INVITEs that bear the name of another call (Call-ID, tag, CSeq) and are none of it.
    pub collisions: u64,
    /// Attempts taken over from before a restart.
    pub resumed: u64,
    /// Attempts that were open before a restart and are not taken over; one where their number is unknown.
    pub not_resumed: u64,
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
    /// The time of the last message. It may run back, which `now` does not.
    at: Timestamp,
    /// What was open when the source ended.
    closing: Option<OldestFirst<Key, Attempt>>,
    /// Attempts whose key is split.
    split: usize,
    counters: AttemptCounters,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    leg: Leg,
    lane: Lane,
    /// 0 but for a call that bears another one's name: then its branch, or where even that is the same, a digest of its numbers.
    split: u64,
}

impl Key {
    fn new(leg: Leg, lane: Lane) -> Self {
        Self {
            leg,
            lane,
            split: 0,
        }
    }

    fn split(self, by: u64) -> Self {
        Self { split: by, ..self }
    }
}

/// What may end an attempt by time. At the same moment, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// It was over, and what could come late has come.
    Lingering,
    /// Nobody answered.
    Ringing,
    /// It was answered long ago.
    Old,
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
            at: Timestamp::MIN,
            closing: None,
            split: 0,
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
        lane: impl Into<Lane>,
        invite: &InviteFacts,
    ) -> InviteIs {
        self.handle_invite_at_place(uid, at, lane, invite, || 0)
    }

    /// The same; a new attempt keeps the number that `place` gives, which comes back with [`Attempts::poll_ended`].
    pub fn handle_invite_at_place(
        &mut self,
        uid: u64,
        at: Timestamp,
        lane: impl Into<Lane>,
        invite: &InviteFacts,
        place: impl FnOnce() -> u32,
    ) -> InviteIs {
        self.tick(at);
        if !invite.initial {
            return InviteIs::ReInvite;
        }
        let key = self.key_of_invite(Key::new(invite.leg, lane.into()), invite);
        if let Some(attempt) = self.open.get_mut(&key) {
            match attempt.handle_invite(invite) {
                SeenAgain::Retransmission => return InviteIs::Retransmission,
                SeenAgain::Fork => return InviteIs::Fork,
                SeenAgain::AuthRetry => return InviteIs::AuthRetry,
                SeenAgain::NewAttempt | SeenAgain::Stranger => {}
            }
            // What stood under the key is finished: its End has gone out, or goes now.
            if let Some(old) = self.remove(&key) {
                self.close(old, self.at);
            }
        }
        self.counters.collisions += u64::from(key.split != 0);
        let answers = self.headless.remove(&key);
        let place = place();
        let mut attempt = Attempt::new(uid, at, invite, answers);
        attempt.set_place(place);
        let end = attempt.take_end_if_final();
        self.ends.extend(end.map(|end| attempt.ended(end, self.at)));
        self.remember(key, attempt, at);
        InviteIs::New
    }

    /// Under which key an INVITE is looked up and kept.
    fn key_of_invite(&self, key: Key, invite: &InviteFacts) -> Key {
        let Some(first) = self.open.get(&key) else {
            return key;
        };
        let ends = Ends::of(invite);
        if first.runs_between(&ends) || invite.cseq > first.cseq() {
            return key;
        }
        let by_branch = key.split(invite.branch.max(1));
        if !first.has_branch(invite.cseq, invite.branch) {
            match self.open.get(&by_branch) {
                Some(other) if !other.runs_between(&ends) => {}
                _ => return by_branch,
            }
        }
        key.split(ends.digest().max(1))
    }

    /// The key of the attempt that an answer or CANCEL belongs to.
    fn key_of_branch(&self, key: Key, cseq: u32, branch: u64) -> Key {
        if self.split == 0 {
            return key;
        }
        let own = key.split(branch.max(1));
        let is_split = self
            .open
            .get(&own)
            .is_some_and(|a| a.has_branch(cseq, branch));
        if is_split { own } else { key }
    }

    /// Puts an attempt in, and a timer for it.
    fn remember(&mut self, key: Key, attempt: Attempt, at: Timestamp) {
        let (uid, begun_at) = (attempt.uid(), attempt.begun_at());
        let (finished, answered) = (attempt.is_over(), attempt.is_answered());
        self.split += usize::from(key.split != 0);
        if let Some((old_key, old)) = self.open.insert(key, attempt, at) {
            self.split -= usize::from(old_key.split != 0);
            self.counters.evicted += 1;
            self.close(old, self.at);
        }
        if finished {
            self.linger(key, uid);
        } else if !answered {
            let (deadline, open) = (begun_at.plus(self.limits.ringing), &self.open);
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
    }

    fn remove(&mut self, key: &Key) -> Option<Attempt> {
        let attempt = self.open.remove(key)?;
        self.split -= usize::from(key.split != 0);
        Some(attempt)
    }

    /// An INVITE that had to wait for a certificate has been judged again.
    pub fn handle_verdict(&mut self, uid: u64, lane: impl Into<Lane>, invite: &InviteFacts) {
        let key = self.key_of_invite(Key::new(invite.leg, lane.into()), invite);
        if let Some(attempt) = self.open.get_mut(&key).filter(|a| a.uid() == uid) {
            attempt.handle_verdict(invite);
        }
    }

    /// Takes a response in; `lane` is that of the request. Responses to other methods than INVITE change nothing.
    pub fn handle_response(
        &mut self,
        at: Timestamp,
        lane: impl Into<Lane>,
        response: &ResponseFacts,
    ) {
        self.tick(at);
        if !response.to_invite {
            return;
        }
        let key = Key::new(response.leg, lane.into());
        let key = self.key_of_branch(key, response.cseq, response.branch);
        if let Some(attempt) = self.open.get_mut(&key) {
            self.counters.further_answers += u64::from(attempt.handle_response(at, response));
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

    /// Takes a request other than INVITE in, with its lane and that of a request the other way round. Only ACK, CANCEL and BYE change anything.
    pub fn handle_request(
        &mut self,
        at: Timestamp,
        lane: impl Into<Lane>,
        reversed: impl Into<Lane>,
        request: &RequestFacts,
    ) {
        self.tick(at);
        let along = Key::new(request.leg, lane.into());
        match request.kind {
            RequestKind::Ack => {
                if let Some(attempt) = self.named(&along) {
                    attempt.handle_ack(at, request);
                    self.settle(along);
                }
            }
            RequestKind::Cancel => {
                let key = self.key_of_branch(along, request.cseq, request.branch);
                match self.named(&key).is_some_and(|a| a.handle_cancel(request)) {
                    true => self.counters.cancels += 1,
                    false => self.counters.stray_cancels += 1,
                }
                self.settle(key);
            }
            RequestKind::Bye => {
                let against = Key::new(request.reverse_leg, reversed.into());
                self.handle_bye(at, along, against, request);
            }
            RequestKind::Other => {}
        }
    }

    fn handle_bye(&mut self, at: Timestamp, along: Key, against: Key, bye: &RequestFacts) {
        // The called side's BYE has the tags the other way round and runs the other way.
        for (key, by) in [(along, ReleasedBy::Caller), (against, ReleasedBy::Called)] {
            if let Some(attempt) = self.named(&key) {
                if !attempt.handle_bye(at, by, bye) {
                    self.counters.further_byes += 1;
                }
                self.settle(key);
                return;
            }
        }
        self.counters.orphans += 1;
    }

    /// An attempt by its key, whether or not its INVITE was seen.
    fn named(&mut self, key: &Key) -> Option<&mut Attempt> {
        match self.open.get_mut(key) {
            Some(attempt) => Some(attempt),
            None => self.headless.get_mut(key),
        }
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
            self.close(attempt, self.at);
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

    /// Attempts from before a restart that can't be taken over.
    pub fn count_not_resumed(&mut self, calls: u64) {
        self.counters.not_resumed += calls;
    }

    /// The source has ended: everything is closed as it stands, one by one while [`Attempts::poll_end`] is called, for there may be
    /// half a million.
    pub fn finish(&mut self) {
        let none = BoundedMap::new(self.limits.open, self.limits.answered);
        let open = std::mem::replace(&mut self.open, none);
        self.closing = Some(open.into_oldest_first());
        self.split = 0;
        while self.headless.pop_oldest().is_some() {
            self.counters.headless += 1;
        }
    }

    /// Writes what is final of an attempt, and lets a finished one linger.
    fn settle(&mut self, key: Key) {
        let Some(attempt) = self.open.get_mut(&key) else {
            return;
        };
        let over = attempt.is_over();
        if let Some(end) = attempt.take_end_if_final() {
            let uid = end.uid;
            let ended = attempt.ended(end, self.at);
            self.ends.push_back(ended);
            if over {
                self.linger(key, uid);
            }
        } else if over && attempt.begins_to_linger() {
            // Cancelled, and perhaps nobody says 487: the answer is waited for as long as a client does (RFC 3261 §9.1).
            let uid = attempt.uid();
            self.linger(key, uid);
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
        (self.at, self.now) = (at, self.now.max(at));
        // The earliest first, so that it is one order whether time passes in one step or in many.
        while let Some((due, which)) = self.next_due().filter(|(due, _)| *due <= self.now) {
            let timer = match which {
                Due::Lingering => self.lingering.pop_front(),
                Due::Ringing => self.ringing.pop_front(),
                Due::Old => None,
            };
            match (which, timer) {
                (Due::Lingering, Some((_, key, uid))) => {
                    self.close_if(due, &key, uid, |a| a.is_over() && a.lingers_until(due));
                }
                (Due::Ringing, Some((_, key, uid))) => {
                    self.close_if(due, &key, uid, |a| !a.is_answered());
                }
                _ => {
                    if let Some((key, attempt)) = self.open.pop_oldest() {
                        self.split -= usize::from(key.split != 0);
                        self.close(attempt, due);
                    }
                }
            }
        }
        while self.headless.poll_expired(self.now).is_some() {
            self.counters.headless += 1;
        }
    }

    /// What ends next by time, and when.
    fn next_due(&self) -> Option<(Timestamp, Due)> {
        let lingering = self.lingering.front().map(|t| (t.0, Due::Lingering));
        let ringing = self.ringing.front().map(|t| (t.0, Due::Ringing));
        let old = self.open.oldest_since().map(|since| {
            let limit = since.plus(self.limits.answered);
            (limit.plus(Duration::from_nanos(1)), Due::Old)
        });
        [lingering, ringing, old].into_iter().flatten().min()
    }

    fn close_if(&mut self, at: Timestamp, key: &Key, uid: u64, due: impl Fn(&Attempt) -> bool) {
        let due = self.open.get(key).is_some_and(|a| a.uid() == uid && due(a));
        if due && let Some(attempt) = self.remove(key) {
            self.close(attempt, at);
        }
    }

    fn close(&mut self, mut attempt: Attempt, at: Timestamp) {
        let end = attempt.take_end();
        self.ends.extend(end.map(|end| attempt.ended(end, at)));
    }
}

#[cfg(test)]
mod tests;
