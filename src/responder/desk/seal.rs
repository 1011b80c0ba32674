//! An answer is signed and put into the outbox; or kept as a draft.

use rusqlite::params;
use serde_json::json;

use super::work::{Done, Fault, Row, Work};
use super::{DeskError, Edit};
use crate::proof::sign::{Kind, Signer};
use crate::responder::Answered;
use crate::responder::case::{Drafts, ParcelKind, RequestKey, Way, Who};
use crate::traceback::answer::resolution::Names;
use crate::traceback::answer::{self, ProducedBy, RawAnswer, Resolution, answer_id, url_uuid};
use crate::traceback::request::sha256_hex;

/// What stands in an answer for whoever decided: the audit log has the name.
const ROLE: &str = "operator";

/// Id of a draft: another one for each, so that whoever decides can say which one he saw. `turn` rises whenever the request moves.
fn draft_id(request: &str, turn: i64) -> String {
    url_uuid(&format!("https://tracehop.example/draft/{turn}/{request}"))
}

/// An answer that is not signed yet, and the id of the neighbour that it names.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Draft {
    pub answer: RawAnswer,
    pub peer: Option<Box<str>>,
}

impl Draft {
    /// The matcher's.
    pub fn of_matcher(answered: &Answered) -> Done<Self> {
        let answer = serde_json::to_value(&answered.answer).and_then(serde_json::from_value);
        Ok(Self {
            answer: answer.map_err(|e| unreadable(&e))?,
            peer: answered.peer.as_deref().map(Into::into),
        })
    }

    /// As it was kept.
    pub fn kept(answer: &str, peer: Option<Box<str>>) -> Done<Self> {
        Ok(Self {
            answer: serde_json::from_str(answer).map_err(|e| unreadable(&e))?,
            peer,
        })
    }

    /// Whether it asks rather than answers.
    pub fn is_question(&self) -> bool {
        matches!(
            self.answer.resolution,
            Resolution::Ambiguous | Resolution::InsufficientRequest
        )
    }

    /// Whether it lacks the name that an answer of its kind must have.
    pub fn names_nobody(&self) -> bool {
        let a = &self.answer;
        a.resolution.names() == Names::Always && a.upstream.is_none() && a.originator.is_none()
    }

    /// A person stands behind it.
    pub fn approved(self) -> Self {
        Self {
            answer: self.answer.approved(ROLE),
            peer: self.peer,
        }
    }

    /// Another answer, by a person.
    pub fn edited(&self, edit: &Edit) -> Result<Self, DeskError> {
        let made = answer::Edit {
            resolution: Some(edit.resolution),
            party: edit.party.as_ref().map(|(_, party)| party.clone()),
            comment: edit.comment.clone(),
            ..answer::Edit::default()
        };
        let answer = self.answer.edited(&made, ROLE);
        let answer = answer.map_err(|e| DeskError::Wrong(e.to_string()))?;
        let named = answer.upstream.is_some() || answer.originator.is_some();
        let peer = match &edit.party {
            Some((id, _)) => Some(Box::from(&**id)),
            None => self.peer.clone().filter(|_| named),
        };
        Ok(Self { answer, peer })
    }

    fn maker(&self) -> &'static str {
        match self.answer.produced_by {
            ProducedBy::Auto => "auto",
            ProducedBy::NeedsPerson => "needs-person",
            ProducedBy::AutoApproved => "auto+approved",
            ProducedBy::Human => "human",
        }
    }

    fn posterior(&self) -> Option<f64> {
        self.answer.evidence.as_ref()?.get("posterior")?.as_f64()
    }
}

fn unreadable(e: &serde_json::Error) -> Fault {
    DeskError::Wrong(format!("the answer can't be read back: {e}")).into()
}

impl Work<'_> {
    /// Whether there is a key.
    pub(super) fn check_signer(&self) -> Done<&Signer> {
        let signer = self.rules.signer.as_deref();
        signer.ok_or_else(|| {
            let why = "there is no key; `tracehop answer key` makes one, `key_file` names it";
            DeskError::Unsigned(why.to_owned()).into()
        })
    }

    /// Signs an object.
    pub(super) fn sign<T: serde::Serialize>(&self, kind: Kind, value: &T) -> Done<Vec<u8>> {
        let signed = self.check_signer()?.sign_value(kind, value);
        Ok(signed.map_err(|e| DeskError::Unsigned(e.to_string()))?.json)
    }

    /// Keeps a draft under an id of its own.
    pub(super) fn keep_draft(&self, row: &Row, draft: &Draft) -> Done<()> {
        let mut draft = draft.clone();
        draft.answer.id = draft_id(&row.key.id, row.turns);
        self.keep(&row.key, &draft)
    }

    /// Shows the draft that waits for a person to our staff at the portal, where that is wanted.
    pub(super) fn show_draft(&self, row: &Row) -> Done<()> {
        let portal = self.rules.portal(&row.key.portal);
        let wanted = portal.is_some_and(|p| p.drafts != Drafts::Off);
        if !wanted || self.rules.signer.is_none() || row.way == Way::Unproven {
            return Ok(());
        }
        let Some(draft) = self.draft(&row.key)? else {
            return Ok(());
        };
        // What can't be read back to its request is nothing to approve with one click.
        if draft.answer.request_id != row.key.id || draft.answer.resolution == Resolution::Pending {
            return Ok(());
        }
        let body = self.sign(Kind::Draft, &draft.answer)?;
        self.audit(
            row,
            &Who::Automatic,
            "draft",
            json!({ "draft": draft.answer.id }),
        )?;
        self.post(row, ParcelKind::Draft, &draft.answer.id, &body)
    }

    /// Puts something about a request into the outbox.
    fn post(&self, row: &Row, kind: ParcelKind, key: &str, body: &[u8]) -> Done<()> {
        self.change(
            "INSERT INTO parcel (portal, kind, subject, key, body, made, next_at, due, gives_up) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                &*row.key.portal,
                kind.label(),
                &*row.key.id,
                key,
                body,
                self.now.nanos(),
                self.now.nanos(),
                row.deadline.due.nanos(),
                row.gives_up
            ],
        )?;
        Ok(())
    }

    /// Keeps an answer.
    fn keep(&self, key: &RequestKey, draft: &Draft) -> Done<()> {
        let text = serde_json::to_string(&draft.answer).map_err(|e| unreadable(&e))?;
        self.change(
            "UPDATE request SET answer = ?, resolution = ?, peer = ?, produced_by = ?, posterior = ? WHERE portal = ? AND id = ?",
            params![
                text,
                draft.answer.resolution.label(),
                draft.peer.as_deref(),
                draft.maker(),
                draft.posterior(),
                &*key.portal,
                &*key.id
            ],
        )?;
        Ok(())
    }

    /// Signs an answer and puts it into the outbox, in place of any other to this request. The audit line comes first: the answer names it.
    pub(super) fn seal(&self, row: &Row, draft: &Draft, who: &Who) -> Done<()> {
        let (portal, id) = (&*row.key.portal, &*row.key.id);
        let last: Option<i64> = self.value(
            "SELECT coalesce(max(revision), 0) FROM answer WHERE portal = ? AND id = ?",
            [portal, id],
        )?;
        let last = last.and_then(|r| u32::try_from(r).ok()).unwrap_or(0);
        let revision = last.saturating_add(1);
        let answer_key = answer_id(id, revision);
        let mut draft = draft.clone();
        draft.answer = RawAnswer {
            id: answer_key.clone(),
            revision,
            supersedes: (last > 0).then(|| answer_id(id, last)),
            audit: None,
            answered_at: None,
            ..draft.answer
        };
        let text = serde_json::to_vec(&draft.answer).map_err(|e| unreadable(&e))?;
        let resolution = draft.answer.resolution;
        let detail = json!({
            "answer": answer_key,
            "revision": revision,
            "resolution": resolution,
            "peer": draft.peer,
            "produced_by": draft.answer.produced_by,
            "sha256": sha256_hex(&text),
        });
        let index = self.audit(row, who, "answer", detail)?;
        draft.answer = draft.answer.stamped(index, self.now);
        let body = self.sign(Kind::Answer, &draft.answer)?;
        self.keep(&row.key, &draft)?;
        self.drop_parcels(&row.key, "superseded")?;
        self.change(
            "INSERT INTO answer (portal, id, revision, answer_id, body, peer, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
            params![
                portal,
                id,
                revision,
                answer_key,
                body,
                draft.peer.as_deref(),
                self.now.nanos()
            ],
        )?;
        self.post(row, ParcelKind::Answer, &answer_key, &body)?;
        let tally = format!("answer:{}:{}", resolution.label(), draft.maker());
        self.tally(portal, &tally, 1)
    }
}
