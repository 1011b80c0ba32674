//! One call attempt: its INVITEs, the branches of a fork, its answers.

use smallvec::SmallVec;

use super::Ended;
use super::facts::{InviteFacts, RequestFacts, ResponseFacts, no_branch};
use crate::base::Timestamp;
use crate::base::digest::IdDigest;
use crate::call::classify::disagreement::refusal_disagrees;
use crate::call::record::{End, ReleasedBy, State};
use crate::number::Tn;
use crate::stir::verify::Validation;

/// The most branches of one fork that are told apart. More answer as the last one does.
const MAX_BRANCHES: usize = 16;

/// The place of an attempt from before a restart: there was another table then.
const NO_PLACE: u32 = u32::MAX;

/// What of an open attempt goes over a restart.
#[derive(Clone, Debug)]
pub struct Saved {
    pub uid: u64,
    pub begun_at: Timestamp,
    pub ends: Ends,
    pub ours: (Validation, u8),
    pub cseq: u32,
    pub branches: SmallVec<[Branch; 1]>,
    pub ringing_at: Option<Timestamp>,
    pub last: Option<Final>,
    pub challenged: Option<Final>,
    pub acknowledged: Option<Timestamp>,
    pub dialog: Option<u64>,
    pub cancel_cause: Option<u8>,
    pub theirs: Option<(u16, bool)>,
    /// Retransmissions, forks, retries with credentials.
    pub counts: [u8; 3],
    pub heard: bool,
    pub told: bool,
}

/// What a further INVITE of the same family is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeenAgain {
    Retransmission,
    Fork,
    AuthRetry,
    NewAttempt,
    /// Another call under the same name: Call-ID, tag and CSeq collide.
    Stranger,
}

/// Between which numbers an INVITE runs, to tell a call from another one that bears its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    pub called: Option<Tn>,
    /// Of a Request-URI without number: a digest of it.
    pub called_text: u64,
    pub from: Option<Tn>,
}

impl Ends {
    pub fn of(invite: &InviteFacts) -> Self {
        let text = invite.called_text.as_deref();
        Self {
            called: invite.numbers.called,
            called_text: text.map_or(0, |t| IdDigest::of(t.as_bytes()).0),
            from: invite.numbers.from,
        }
    }

    /// Whether they may be those of one call. From may be missing where an INVITE was cut.
    fn agree(&self, other: &Self) -> bool {
        let from = self.from.is_none() || other.from.is_none() || self.from == other.from;
        self.called == other.called && self.called_text == other.called_text && from
    }

    /// A digest for a name of its own.
    pub fn digest(&self) -> u64 {
        let mut text = self.called_text.to_be_bytes().to_vec();
        for number in [self.called, self.from] {
            text.extend(number.iter().flat_map(|n| n.as_bytes()));
            text.push(b'/');
        }
        IdDigest::of(&text).0
    }
}

/// State of one attempt.
///
/// What can be told of it comes from three kinds of witnesses, the better before the worse: final answers; ACK and BYE, which prove
/// an answer that was not seen; CANCEL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    uid: u64,
    begun_at: Timestamp,
    ends: Ends,
    /// Our own verdict, and on how many headers.
    ours: (Validation, u8),
    cseq: u32,
    branches: SmallVec<[Branch; 1]>,
    ringing_at: Option<Timestamp>,
    /// Final answer of the whole attempt: the first 2xx, or the failure of the last branch.
    last: Option<Final>,
    /// 401 or 407 that may still be met with credentials.
    challenged: Option<Final>,
    /// When an ACK showed that a 2xx had come.
    acknowledged: Option<Timestamp>,
    /// The called side's tag in the dialog that was answered first.
    dialog: Option<u64>,
    /// BYE of that dialog. It may come before the answer, where two taps show the two directions.
    released: Option<Released>,
    /// Q.850 cause of a CANCEL.
    cancel_cause: Option<u8>,
    /// An answer of any kind was seen.
    heard: bool,
    /// We looked away for a while: what was not seen then may have happened.
    blind: bool,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Branch {
    pub id: u64,
    pub failed: bool,
    pub cancelled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Final {
    pub at: Timestamp,
    pub code: u16,
    pub cause: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Released {
    at: Timestamp,
    by: ReleasedBy,
    /// The called side's tag.
    remote: u64,
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
        out.ends = Ends::of(invite);
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
            ends: Ends {
                called: None,
                called_text: 0,
                from: None,
            },
            ours: (Validation::None, 0),
            cseq,
            branches: SmallVec::new(),
            ringing_at: None,
            last: None,
            challenged: None,
            acknowledged: None,
            dialog: None,
            released: None,
            cancel_cause: None,
            heard: false,
            blind: false,
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
    pub fn ended(&mut self, end: End, at: Timestamp) -> Ended {
        let spoken_against = end.stir_cause.is_some() && !std::mem::replace(&mut self.told, true);
        Ended {
            end,
            place: self.place,
            spoken_against,
            at,
        }
    }

    pub fn set_place(&mut self, place: u32) {
        self.place = place;
    }

    /// Whether a 2xx was seen.
    fn saw_answer(&self) -> bool {
        self.last.is_some_and(|f| (200..300).contains(&f.code))
    }

    /// Whether it was answered: a 2xx was seen, or no final answer but what only an answered call brings.
    pub fn is_answered(&self) -> bool {
        self.saw_answer() || self.last.is_none() && self.is_answer_proven()
    }

    /// Whether ACK or BYE show an answer that we did not see.
    fn is_answer_proven(&self) -> bool {
        self.acknowledged.is_some()
            || self.released.is_some_and(|r| {
                // A caller may end an early dialog with BYE (RFC 3261 §15), and the called side may not.
                r.by == ReleasedBy::Called || !self.heard || self.blind
            })
    }

    /// Whether all that is not answered was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.branches.iter().any(|b| b.cancelled)
            && self.branches.iter().all(|b| b.cancelled || b.failed)
    }

    /// Whether nothing more can change but counts.
    pub fn is_finished(&self) -> bool {
        match self.is_answered() {
            true => self.released.is_some(),
            false => self.last.is_some(),
        }
    }

    /// Whether it may be forgotten once what can come late has come.
    pub fn is_over(&self) -> bool {
        self.is_finished() || !self.is_answered() && self.is_cancelled()
    }

    /// Whether a request or answer with this branch and CSeq is one of its own.
    pub fn has_branch(&self, cseq: u32, branch: u64) -> bool {
        self.cseq == cseq && self.branches.iter().any(|b| b.id == branch)
    }

    /// Whether it runs between these numbers.
    pub fn runs_between(&self, ends: &Ends) -> bool {
        self.ends.agree(ends)
    }

    /// Whether it is not waited for yet.
    pub fn begins_to_linger(&self) -> bool {
        self.lingers.is_none()
    }

    pub fn begun_at(&self) -> Timestamp {
        self.begun_at
    }

    pub fn cseq(&self) -> u32 {
        self.cseq
    }

    /// Lets it stay until then. Says whether that is news.
    pub fn linger_until(&mut self, deadline: Timestamp) -> bool {
        self.lingers.replace(deadline) != Some(deadline)
    }

    pub fn lingers_until(&self, deadline: Timestamp) -> bool {
        self.lingers == Some(deadline)
    }

    pub fn handle_invite(&mut self, invite: &InviteFacts) -> SeenAgain {
        if !self.ends.agree(&Ends::of(invite)) {
            // A client sends no new request before the last one has its answer, so what had none gets none.
            return match invite.cseq > self.cseq {
                true => SeenAgain::NewAttempt,
                false => SeenAgain::Stranger,
            };
        }
        let known = self.branches.iter().any(|b| b.id == invite.branch);
        let (counter, is) = if invite.cseq < self.cseq || invite.cseq == self.cseq && known {
            (&mut self.retransmissions, SeenAgain::Retransmission)
        } else if invite.cseq == self.cseq {
            // A branch that starts after the others failed may still succeed.
            if !self.saw_answer() {
                self.last = None;
            }
            self.push_branch(invite.branch);
            (&mut self.forks, SeenAgain::Fork)
        } else if self.last.is_none() && !self.is_answer_proven() && !self.is_cancelled() {
            // Without sight of the answers (a one-way tap), a higher CSeq is taken for the usual cause: a challenge.
            self.cseq = invite.cseq;
            self.challenged = None;
            self.cancel_cause = None;
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

    /// Says whether it is the answer of a further branch of a fork to a call that is answered already.
    pub fn handle_response(&mut self, at: Timestamp, response: &ResponseFacts) -> bool {
        self.dirty |= !self.heard;
        self.heard = true;
        if response.cseq != self.cseq {
            return false;
        }
        if self.saw_answer() {
            let answers = (200..300).contains(&response.code);
            return answers && self.dialog.is_some_and(|d| d != response.to_tag);
        }
        self.note(response.stir_cause, response.code >= 300);
        let answer = Final {
            at,
            code: response.code,
            cause: response.cause,
        };
        match response.code {
            // 199 says that a dialog ended early (RFC 6228), not that anything rings.
            0..=100 | 199 => return false,
            101..=198 => {
                if self.ringing_at.is_some() {
                    return false;
                }
                self.ringing_at = Some(at);
            }
            200..=299 => {
                self.last = Some(answer);
                self.dialog = Some(response.to_tag);
                // A BYE that came before may have ended another branch.
                self.released = self.released.filter(|r| r.remote == response.to_tag);
            }
            // Another branch's answer stands already.
            401 | 407 if self.last.is_some() => return false,
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
                    return false;
                }
                self.last = Some(answer);
            }
        }
        self.dirty = true;
        false
    }

    /// Says whether the BYE is this call's: a caller whose call was answered twice ends the second dialog and keeps the first.
    pub fn handle_bye(&mut self, at: Timestamp, by: ReleasedBy, bye: &RequestFacts) -> bool {
        let remote = match by {
            ReleasedBy::Caller => bye.reverse_leg.tag,
            ReleasedBy::Called => bye.leg.tag,
        };
        if self.dialog.is_some_and(|d| d != remote) {
            return false;
        }
        // Sent again; or the BYE of a call that had failed.
        let failed = self.last.is_some() && !self.saw_answer();
        if self.released.is_some() || failed || !(self.saw_answer() || bye.in_dialog) {
            return true;
        }
        // The caller's side did not verify its own call.
        if by == ReleasedBy::Called {
            self.note(bye.stir_cause, true);
        }
        self.released = Some(Released {
            at,
            by,
            remote,
            cause: bye.cause,
        });
        self.dirty = true;
        true
    }

    /// The ACK for a 2xx is a transaction of its own, with a new branch (RFC 3261 §13.2.2.4); that for a failure has the INVITE's (§17.1.1.3).
    pub fn handle_ack(&mut self, at: Timestamp, ack: &RequestFacts) {
        // Where the INVITE was cut, or is missing, its branch is unknown.
        let unknown = |id: u64| id == no_branch();
        let comparable = !self.branches.is_empty()
            && !unknown(ack.branch)
            && !self.branches.iter().any(|b| unknown(b.id));
        let proves = comparable
            && ack.in_dialog
            && ack.cseq == self.cseq
            && !self.has_branch(ack.cseq, ack.branch);
        if proves && self.last.is_none() && self.acknowledged.is_none() {
            self.acknowledged = Some(at);
            self.dialog = self.dialog.or(Some(ack.reverse_leg.tag));
            self.dirty = true;
        }
    }

    /// Says whether it is this attempt's.
    pub fn handle_cancel(&mut self, cancel: &RequestFacts) -> bool {
        if cancel.cseq != self.cseq {
            return false;
        }
        match self.branches.iter_mut().find(|b| b.id == cancel.branch) {
            Some(branch) => branch.cancelled = true,
            // As with answers: a cut INVITE does not show its branch.
            None => match self.branches.as_mut_slice() {
                [only] => only.cancelled = true,
                _ => return false,
            },
        }
        self.cancel_cause = self.cancel_cause.or(cancel.cause);
        self.dirty |= !self.is_answered();
        true
    }

    /// It was open before a restart, and we did not look in between.
    pub fn was_blind(&mut self) {
        self.blind = true;
    }

    /// What of it goes over a restart.
    pub fn save(&self) -> Saved {
        Saved {
            uid: self.uid,
            begun_at: self.begun_at,
            ends: self.ends,
            ours: self.ours,
            cseq: self.cseq,
            branches: self.branches.clone(),
            ringing_at: self.ringing_at,
            last: self.last,
            challenged: self.challenged,
            acknowledged: self.acknowledged,
            dialog: self.dialog,
            cancel_cause: self.cancel_cause,
            theirs: self.theirs,
            counts: [self.retransmissions, self.forks, self.auth_retries],
            heard: self.heard,
            told: self.told,
        }
    }

    /// Undoes [`Attempt::save`]; `None` for what no attempt can be.
    pub fn restore(saved: Saved) -> Option<Self> {
        if saved.branches.len() > MAX_BRANCHES {
            return None;
        }
        let [retransmissions, forks, auth_retries] = saved.counts;
        Some(Self {
            uid: saved.uid,
            begun_at: saved.begun_at,
            ends: saved.ends,
            ours: saved.ours,
            branches: saved.branches,
            ringing_at: saved.ringing_at,
            last: saved.last,
            challenged: saved.challenged,
            acknowledged: saved.acknowledged,
            dialog: saved.dialog,
            cancel_cause: saved.cancel_cause,
            theirs: saved.theirs,
            retransmissions,
            forks,
            auth_retries,
            heard: saved.heard,
            told: saved.told,
            // Its End has gone out as it stands.
            dirty: false,
            place: NO_PLACE,
            ..Self::headless(saved.cseq)
        })
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
        (self.last.is_some() || self.is_answered()).then(|| self.take_end())?
    }

    /// The second half of the record as it stands, if something is new.
    pub fn take_end(&mut self) -> Option<End> {
        if !std::mem::take(&mut self.dirty) {
            return None;
        }
        let answered = self.is_answered();
        let cancelled = !answered && self.is_cancelled();
        // A challenge that was never met is the final answer.
        let challenged = self.challenged.filter(|_| !answered && !cancelled);
        let last = self.last.or(challenged);
        let released = self.released.filter(|_| answered);
        // An answer that was not seen came before its ACK.
        let answered_at = match self.saw_answer() {
            true => last.map(|f| f.at),
            false => self.acknowledged,
        };
        let cause = match (answered, cancelled || last.is_some_and(|f| f.code == 487)) {
            (true, _) => released.and_then(|r| r.cause),
            (false, true) => self.cancel_cause,
            (false, false) => None,
        };
        let (ours, identities) = self.ours;
        Some(End {
            uid: self.uid,
            begun_at: self.begun_at,
            called: self.ends.called,
            state: match last.map(|f| f.code) {
                None if answered => State::Answered,
                None if cancelled => State::Cancelled,
                None => State::Unfinished,
                Some(200..=299) => State::Answered,
                Some(300..=399) => State::Redirected,
                Some(487) => State::Cancelled,
                Some(_) => State::Failed,
            },
            code: last.map_or(0, |f| f.code),
            cause: last.and_then(|f| f.cause).or(cause),
            stir_cause: self.theirs.map(|(cause, _)| cause),
            disagrees: self
                .theirs
                .is_some_and(|(_, refused)| refusal_disagrees(ours, identities, refused)),
            ringing_ms: self.ringing_at.map(|at| millis(self.begun_at, at)),
            final_ms: last.map(|f| millis(self.begun_at, f.at)),
            duration_ms: answered_at.and_then(|at| Some(millis(at, released?.at))),
            released_by: released.map(|r| r.by),
            retransmissions: self.retransmissions,
            forks: self.forks,
            one_way: !self.heard,
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
        self.branches.push(Branch {
            id,
            failed: false,
            cancelled: false,
        });
    }
}

fn millis(from: Timestamp, to: Timestamp) -> u32 {
    let nanos = to.nanos().saturating_sub(from.nanos()).max(0);
    u32::try_from(nanos / 1_000_000).unwrap_or(u32::MAX)
}
