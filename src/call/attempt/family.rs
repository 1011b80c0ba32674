//! One call attempt: its INVITEs, the branches of a fork, its answers.

use smallvec::SmallVec;

use super::Ended;
use super::facts::{InviteFacts, ResponseFacts};
use crate::base::Timestamp;
use crate::call::classify::disagreement::refusal_disagrees;
use crate::call::record::{End, ReleasedBy, State};
use crate::number::Tn;
use crate::stir::verify::Validation;

/// The most branches of one fork that are told apart. More answer as the last one does.
const MAX_BRANCHES: usize = 16;

/// What a further INVITE of the same family is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeenAgain {
    Retransmission,
    Fork,
    AuthRetry,
    NewAttempt,
}

/// State of one attempt.
#[derive(Debug)]
pub struct Attempt {
    uid: u64,
    begun_at: Timestamp,
    called: Option<Tn>,
    /// Our own verdict, and on how many headers.
    ours: (Validation, u8),
    cseq: u32,
    branches: SmallVec<[Branch; 1]>,
    ringing_at: Option<Timestamp>,
    /// Final answer of the whole attempt: the first 2xx, or the failure of the last branch.
    last: Option<Final>,
    /// 401 or 407 that may still be met with credentials.
    challenged: Option<Final>,
    released: Option<(Timestamp, ReleasedBy)>,
    /// What the other side's verification said, and whether it refused the call for it.
    theirs: Option<(u16, bool)>,
    retransmissions: u8,
    forks: u8,
    auth_retries: u8,
    /// Until when it stays to recognise what comes late, once it was finished.
    lingers: Option<Timestamp>,
    /// Something changed since the last End that went out.
    dirty: bool,
    /// What the caller of [`super::Attempts::handle_invite_at_place`] wants back with each End.
    place: u32,
    /// An End with what the other side's verification says has gone out.
    told: bool,
}

#[derive(Clone, Copy, Debug)]
struct Branch {
    id: u64,
    failed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Final {
    at: Timestamp,
    code: u16,
    cause: Option<u8>,
}

impl Attempt {
    /// An attempt whose INVITE was seen, with the answers that came before it, if any.
    pub fn new(uid: u64, at: Timestamp, invite: &InviteFacts, answers: Option<Self>) -> Self {
        let mut out = answers
            .filter(|a| a.cseq == invite.cseq)
            .unwrap_or_else(|| Self::headless(invite.cseq));
        out.uid = uid;
        out.begun_at = at;
        out.called = invite.numbers.called;
        out.handle_verdict(invite);
        if !out.branches.iter().any(|b| b.id == invite.branch) {
            out.push_branch(invite.branch);
        }
        out
    }

    /// What we say of it, to be held against what others say.
    pub fn handle_verdict(&mut self, invite: &InviteFacts) {
        self.ours = (invite.verdict.validation, invite.verdict.identities);
    }

    /// An attempt of which an answer was seen first.
    pub fn headless(cseq: u32) -> Self {
        Self {
            uid: 0,
            begun_at: Timestamp::MIN,
            called: None,
            ours: (Validation::None, 0),
            cseq,
            branches: SmallVec::new(),
            ringing_at: None,
            last: None,
            challenged: None,
            released: None,
            theirs: None,
            retransmissions: 0,
            forks: 0,
            auth_retries: 0,
            lingers: None,
            dirty: true,
            place: 0,
            told: false,
        }
    }

    pub fn uid(&self) -> u64 {
        self.uid
    }

    /// An End that goes out.
    pub fn ended(&mut self, end: End) -> Ended {
        let spoken_against = end.stir_cause.is_some() && !std::mem::replace(&mut self.told, true);
        Ended {
            end,
            place: self.place,
            spoken_against,
        }
    }

    pub fn set_place(&mut self, place: u32) {
        self.place = place;
    }

    /// Whether a 2xx was seen.
    pub fn is_answered(&self) -> bool {
        self.last.is_some_and(|f| (200..300).contains(&f.code))
    }

    /// Whether nothing more can change but counts.
    pub fn is_finished(&self) -> bool {
        self.last.is_some() && (!self.is_answered() || self.released.is_some())
    }

    /// Lets it stay until then. Says whether that is news.
    pub fn linger_until(&mut self, deadline: Timestamp) -> bool {
        self.lingers.replace(deadline) != Some(deadline)
    }

    pub fn lingers_until(&self, deadline: Timestamp) -> bool {
        self.lingers == Some(deadline)
    }

    pub fn handle_invite(&mut self, invite: &InviteFacts) -> SeenAgain {
        let known = self.branches.iter().any(|b| b.id == invite.branch);
        let (counter, is) = if invite.cseq < self.cseq || invite.cseq == self.cseq && known {
            (&mut self.retransmissions, SeenAgain::Retransmission)
        } else if invite.cseq == self.cseq {
            // A branch that starts after the others failed may still succeed.
            if !self.is_answered() {
                self.last = None;
            }
            self.push_branch(invite.branch);
            (&mut self.forks, SeenAgain::Fork)
        } else if self.last.is_none() {
            // Without sight of the answers (a one-way tap), a higher CSeq is taken for the usual cause: a challenge.
            self.cseq = invite.cseq;
            self.challenged = None;
            self.branches.clear();
            self.push_branch(invite.branch);
            (&mut self.auth_retries, SeenAgain::AuthRetry)
        } else {
            return SeenAgain::NewAttempt;
        };
        self.dirty |= *counter < u8::MAX;
        *counter = counter.saturating_add(1);
        is
    }

    pub fn handle_response(&mut self, at: Timestamp, response: &ResponseFacts) {
        if response.cseq != self.cseq || self.is_answered() {
            return;
        }
        self.note(response.stir_cause, response.code >= 300);
        let answer = Final {
            at,
            code: response.code,
            cause: response.cause,
        };
        match response.code {
            0..=100 => return,
            101..=199 => {
                if self.ringing_at.is_some() {
                    return;
                }
                self.ringing_at = Some(at);
            }
            200..=299 => self.last = Some(answer),
            // Another branch's answer stands already.
            401 | 407 if self.last.is_some() => return,
            401 | 407 => self.challenged = Some(answer),
            _ => {
                match self.branches.iter_mut().find(|b| b.id == response.branch) {
                    Some(branch) => branch.failed = true,
                    // An only branch is the one that is answered, even where a cut INVITE did not show its name.
                    None => match self.branches.as_mut_slice() {
                        [only] => only.failed = true,
                        _ => {
                            self.push_branch(response.branch);
                            self.fail_last_branch();
                        }
                    },
                }
                // Sent again, or one branch of several: nothing to write.
                if self.last.is_some() || !self.branches.iter().all(|b| b.failed) {
                    return;
                }
                self.last = Some(answer);
            }
        }
        self.dirty = true;
    }

    pub fn handle_bye(&mut self, at: Timestamp, by: ReleasedBy, stir_cause: Option<u16>) {
        if self.is_answered() && self.released.is_none() {
            // The caller's side did not verify its own call.
            if by == ReleasedBy::Called {
                self.note(stir_cause, true);
            }
            self.released = Some((at, by));
            self.dirty = true;
        }
    }

    /// Keeps what the other side's verification says: the first of its causes, but a refusal before a remark.
    fn note(&mut self, cause: Option<u16>, refused: bool) {
        let Some(cause) = cause else { return };
        if self.theirs.is_none_or(|(_, before)| refused && !before) {
            self.theirs = Some((cause, refused));
            self.dirty = true;
        }
    }

    /// The second half of the record, if a final answer makes it worth writing and something is new.
    pub fn take_end_if_final(&mut self) -> Option<End> {
        self.last?;
        self.take_end()
    }

    /// The second half of the record as it stands, if something is new.
    pub fn take_end(&mut self) -> Option<End> {
        if !std::mem::take(&mut self.dirty) {
            return None;
        }
        // A challenge that was never met is the final answer.
        let last = self.last.or(self.challenged);
        let answered = self.is_answered().then_some(last).flatten();
        let (ours, identities) = self.ours;
        Some(End {
            uid: self.uid,
            begun_at: self.begun_at,
            called: self.called,
            state: match last.map(|f| f.code) {
                None => State::Unfinished,
                Some(200..=299) => State::Answered,
                Some(487) => State::Cancelled,
                Some(_) => State::Failed,
            },
            code: last.map_or(0, |f| f.code),
            cause: last.and_then(|f| f.cause),
            stir_cause: self.theirs.map(|(cause, _)| cause),
            disagrees: self
                .theirs
                .is_some_and(|(_, refused)| refusal_disagrees(ours, identities, refused)),
            ringing_ms: self.ringing_at.map(|at| millis(self.begun_at, at)),
            final_ms: last.map(|f| millis(self.begun_at, f.at)),
            duration_ms: answered.and_then(|f| Some(millis(f.at, self.released?.0))),
            released_by: self.released.map(|(_, by)| by),
            retransmissions: self.retransmissions,
            forks: self.forks,
            one_way: false,
            auth_retries: self.auth_retries,
        })
    }

    fn fail_last_branch(&mut self) {
        if let Some(branch) = self.branches.last_mut() {
            branch.failed = true;
        }
    }

    fn push_branch(&mut self, id: u64) {
        if self.branches.len() == MAX_BRANCHES {
            self.branches.pop();
        }
        self.branches.push(Branch { id, failed: false });
    }
}

fn millis(from: Timestamp, to: Timestamp) -> u32 {
    let nanos = to.nanos().saturating_sub(from.nanos()).max(0);
    u32::try_from(nanos / 1_000_000).unwrap_or(u32::MAX)
}
