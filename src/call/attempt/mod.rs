//! From SIP messages to call attempts: one per INVITE transaction family at one interface.
//!
//! - [`facts`]: what one message contributes, read by the stateless judges
//! - [`Attempts`]: the state between messages, driven in capture order
//!
//! A family is Call-ID, From tag and the two addresses. Into one attempt fold: retransmissions (same CSeq and branch),
//! forks (same CSeq, other branch), and the INVITE sent anew with credentials after 401 or 407. A re-INVITE (tag in To) opens nothing.
//! An INVITE with a higher CSeq after any other final answer is a new attempt.

pub mod facts;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

pub use facts::{Facts, InviteFacts, Leg, RequestFacts, RequestKind, ResponseFacts};

use crate::base::Timestamp;
use crate::base::bounded::BoundedMap;
use crate::call::record::{End, ReleasedBy, State};
use crate::number::Tn;
use crate::wire::Flow;

/// Bounds of what [`Attempts`] remembers.
#[derive(Clone, Copy, Debug)]
pub struct AttemptLimits {
    /// Attempts remembered at once; beyond it the oldest is closed as it stands. 500,000 are 100 calls/s that last an hour and a
    /// half, or 10,000 calls/s of 50 s, in about 150 MB.
    pub open: usize,
    /// How long an answered call is remembered while no BYE comes.
    pub answered: Duration,
    /// How long an attempt without final answer is remembered: a proxy's Timer C is above three minutes (RFC 3261 §16.6).
    pub ringing: Duration,
    /// How long a finished attempt stays to recognise what comes late: 64·T1 (RFC 3261 §17.1.1.2).
    pub linger: Duration,
}

impl Default for AttemptLimits {
    fn default() -> Self {
        Self {
            open: 500_000,
            answered: Duration::from_secs(4 * 3600),
            ringing: Duration::from_secs(240),
            linger: Duration::from_secs(32),
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

/// How many attempts left otherwise than by their own end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttemptCounters {
    /// Closed early because the table was full.
    pub evicted: u64,
    /// Responses, ACKs, CANCELs and BYEs that belong to no attempt we know.
    pub orphans: u64,
}

/// All attempts that are not finished, or were just now.
#[derive(Debug)]
pub struct Attempts {
    open: BoundedMap<Key, Attempt>,
    ringing: VecDeque<(Timestamp, Key, u64)>,
    lingering: VecDeque<(Timestamp, Key, u64)>,
    ends: VecDeque<End>,
    limits: AttemptLimits,
    now: Timestamp,
    counters: AttemptCounters,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    leg: Leg,
    from: IpAddr,
    to: IpAddr,
}

#[derive(Debug)]
struct Attempt {
    end: End,
    cseq: u32,
    branch: u64,
    challenged: Option<u16>,
    answered_at: Option<Timestamp>,
    finished: bool,
    /// What changed since the last End that went out.
    dirty: bool,
}

impl Attempts {
    /// No attempts yet.
    pub fn new(limits: AttemptLimits) -> Self {
        Self {
            open: BoundedMap::new(limits.open, limits.answered),
            ringing: VecDeque::new(),
            lingering: VecDeque::new(),
            ends: VecDeque::new(),
            limits,
            now: Timestamp::MIN,
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

    /// Takes an INVITE request in. `uid` is used up only if the answer is [`InviteIs::New`].
    pub fn handle_invite(
        &mut self,
        uid: u64,
        at: Timestamp,
        flow: &Flow,
        invite: &InviteFacts,
    ) -> InviteIs {
        self.tick(at);
        if !invite.initial {
            return InviteIs::ReInvite;
        }
        let key = Key::of(invite.leg, flow);
        if let Some(attempt) = self.open.get_mut(&key)
            && let Some(is) = attempt.seen_again(invite)
        {
            return is;
        }
        // What stood under the key is finished: its End has gone out, or goes now.
        if let Some(old) = self.open.remove(&key) {
            self.close(old);
        }
        let attempt = Attempt::new(uid, at, invite);
        if let Some((_, old)) = self.open.insert(key, attempt, at) {
            self.counters.evicted += 1;
            self.close(old);
        }
        self.ringing
            .push_back((at.plus(self.limits.ringing), key, uid));
        InviteIs::New
    }

    /// Takes a response in; responses to other methods than INVITE change nothing.
    pub fn handle_response(&mut self, at: Timestamp, flow: &Flow, response: &ResponseFacts) {
        self.tick(at);
        if !response.to_invite {
            return;
        }
        // A response runs against the request's direction.
        let key = Key::against(response.leg, flow);
        let Some(attempt) = self.open.get_mut(&key) else {
            self.counters.orphans += 1;
            return;
        };
        if attempt.handle_response(at, response) {
            self.ends.push_back(attempt.end.clone());
            attempt.dirty = false;
        }
        if attempt.finished {
            let deadline = at.plus(self.limits.linger);
            self.lingering.push_back((deadline, key, attempt.end.uid));
        }
    }

    /// Takes a CANCEL or BYE in; other requests change nothing.
    pub fn handle_request(&mut self, at: Timestamp, flow: &Flow, request: &RequestFacts) {
        self.tick(at);
        if request.kind != RequestKind::Bye {
            return;
        }
        let along = Key::of(request.leg, flow);
        let (key, by) = if self.open.get(&along).is_some() {
            (along, ReleasedBy::Caller)
        } else {
            // The called side's BYE has the tags the other way round and runs the other way.
            (Key::against(request.reverse_leg, flow), ReleasedBy::Called)
        };
        let Some(attempt) = self.open.get_mut(&key) else {
            self.counters.orphans += 1;
            return;
        };
        if let Some(answered) = attempt.answered_at
            && !attempt.finished
        {
            attempt.end.duration_ms = Some(millis(answered, at));
            attempt.end.released_by = Some(by);
            attempt.finished = true;
            attempt.dirty = false;
            self.ends.push_back(attempt.end.clone());
            let deadline = at.plus(self.limits.linger);
            self.lingering.push_back((deadline, key, attempt.end.uid));
        }
    }

    /// Second halves of records that are ready to be written.
    pub fn poll_end(&mut self) -> Option<End> {
        self.ends.pop_front()
    }

    /// Closes everything as it stands: the source has ended.
    pub fn finish(&mut self) {
        while let Some((_, attempt)) = self.open.pop_oldest() {
            self.close(attempt);
        }
    }

    /// Lets time pass. Capture time that runs back stands still here.
    fn tick(&mut self, at: Timestamp) {
        self.now = self.now.max(at);
        for lingering in [false, true] {
            loop {
                let queue = if lingering {
                    &mut self.lingering
                } else {
                    &mut self.ringing
                };
                let Some(&(deadline, key, uid)) = queue.front() else {
                    break;
                };
                if deadline > self.now {
                    break;
                }
                queue.pop_front();
                let due = self.open.get(&key).is_some_and(|a| {
                    a.end.uid == uid
                        && if lingering {
                            a.finished
                        } else {
                            a.answered_at.is_none()
                        }
                });
                if due && let Some(attempt) = self.open.remove(&key) {
                    self.close(attempt);
                }
            }
        }
        while let Some((_, attempt)) = self.open.poll_expired(self.now) {
            self.close(attempt);
        }
    }

    fn close(&mut self, mut attempt: Attempt) {
        if let (Some(code), State::Unfinished) = (attempt.challenged, attempt.end.state) {
            // The challenge was never answered: it is the final answer.
            attempt.end.state = State::Failed;
            attempt.end.code = code;
            attempt.dirty = true;
        }
        if attempt.dirty {
            self.ends.push_back(attempt.end);
        }
    }
}

impl Attempt {
    fn new(uid: u64, at: Timestamp, invite: &InviteFacts) -> Self {
        Self {
            end: End {
                uid,
                begun_at: at,
                called: called(invite),
                state: State::Unfinished,
                code: 0,
                cause: None,
                ringing_ms: None,
                final_ms: None,
                duration_ms: None,
                released_by: None,
                retransmissions: 0,
                forks: 0,
                auth_retries: 0,
            },
            cseq: invite.cseq,
            branch: invite.branch,
            challenged: None,
            answered_at: None,
            finished: false,
            dirty: true,
        }
    }

    /// What an INVITE of the same family means; `None` when it opens an attempt of its own.
    fn seen_again(&mut self, invite: &InviteFacts) -> Option<InviteIs> {
        let (counter, is) = if invite.cseq <= self.cseq {
            if invite.cseq < self.cseq || invite.branch == self.branch {
                (&mut self.end.retransmissions, InviteIs::Retransmission)
            } else {
                (&mut self.end.forks, InviteIs::Fork)
            }
        } else if !self.finished && self.answered_at.is_none() {
            // Without sight of the answers (a one-way tap), a higher CSeq is taken for the usual cause.
            self.cseq = invite.cseq;
            self.branch = invite.branch;
            self.challenged = None;
            (&mut self.end.auth_retries, InviteIs::AuthRetry)
        } else {
            return None;
        };
        *counter = counter.saturating_add(1);
        self.dirty = true;
        Some(is)
    }

    /// Whether the second half of the record is worth writing now.
    fn handle_response(&mut self, at: Timestamp, response: &ResponseFacts) -> bool {
        if response.cseq != self.cseq || self.finished || self.answered_at.is_some() {
            return false;
        }
        let since = millis(self.end.begun_at, at);
        match response.code {
            100 => false,
            101..=199 => {
                if self.end.ringing_ms.is_none() {
                    self.end.ringing_ms = Some(since);
                    self.dirty = true;
                }
                false
            }
            401 | 407 => {
                self.challenged = Some(response.code);
                self.end.final_ms = Some(since);
                self.dirty = true;
                false
            }
            code => {
                self.end.code = code;
                self.end.cause = response.cause;
                self.end.final_ms = Some(since);
                self.end.state = match code {
                    200..=299 => State::Answered,
                    487 => State::Cancelled,
                    _ => State::Failed,
                };
                if self.end.state == State::Answered {
                    self.answered_at = Some(at);
                } else {
                    self.finished = true;
                }
                true
            }
        }
    }
}

impl Key {
    fn of(leg: Leg, flow: &Flow) -> Self {
        Self {
            leg,
            from: flow.source.ip(),
            to: flow.destination.ip(),
        }
    }

    fn against(leg: Leg, flow: &Flow) -> Self {
        Self {
            leg,
            from: flow.destination.ip(),
            to: flow.source.ip(),
        }
    }
}

fn called(invite: &InviteFacts) -> Option<Tn> {
    invite.numbers.called
}

fn millis(from: Timestamp, to: Timestamp) -> u32 {
    let nanos = to.nanos().saturating_sub(from.nanos()).max(0);
    u32::try_from(nanos / 1_000_000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
