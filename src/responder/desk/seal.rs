//! An answer is signed and put into the outbox; or kept as a draft.

use rusqlite::params;
use serde_json::{Map, Value, json};

use super::work::{Done, Row, Work};
use super::{DeskError, Edit};
use crate::responder::Answered;
use crate::responder::case::{ParcelKind, RequestKey, Who};
use crate::responder::sign::{Kind, Signer};
use crate::traceback::answer::{ProducedBy, Resolution, answer_id};
use crate::traceback::coverage::LEAST_SHARE;
use crate::traceback::request::sha256_hex;

/// An answer that is not signed yet, as JSON.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Draft {
    pub answer: Map<String, Value>,
    pub resolution: Box<str>,
    pub peer: Option<Box<str>>,
    pub produced_by: Value,
}

impl Draft {
    /// The matcher's.
    pub fn of_matcher(answered: &Answered) -> Self {
        let answer = match serde_json::to_value(&answered.answer) {
            Ok(Value::Object(answer)) => answer,
            _ => Map::new(),
        };
        Self {
            answer,
            resolution: answered.answer.resolution.label().into(),
            peer: answered.peer.as_deref().map(Into::into),
            produced_by: json!(answered.answer.produced_by),
        }
    }

    /// As it was kept.
    pub fn kept(answer: &str, peer: Option<Box<str>>) -> Option<Self> {
        let answer: Map<String, Value> = serde_json::from_str(answer).ok()?;
        Some(Self {
            resolution: answer.get("resolution")?.as_str()?.into(),
            produced_by: answer.get("produced_by")?.clone(),
            peer,
            answer,
        })
    }

    /// Whether it asks rather than answers.
    pub fn is_question(&self) -> bool {
        [Resolution::Ambiguous, Resolution::InsufficientRequest]
            .iter()
            .any(|r| r.label() == &*self.resolution)
    }

    /// A person stands behind the matcher's answer.
    pub fn approved(mut self) -> Self {
        self.by(ProducedBy::AutoApproved);
        self
    }

    /// Another answer, by a person. Evidence stays only where it is evidence for what the person says.
    pub fn edited(mut self, edit: &Edit) -> Result<Self, DeskError> {
        let resolution = edit.resolution;
        let names = names(resolution);
        match (names, &edit.party) {
            (Some(_), None) => {
                return Err(DeskError::Wrong(format!(
                    "{} names a neighbour: say which",
                    resolution.label()
                )));
            }
            (None, Some(_)) => {
                return Err(DeskError::Wrong(format!(
                    "{} names nobody",
                    resolution.label()
                )));
            }
            _ => {}
        }
        match resolution {
            Resolution::Pending => {
                return Err(DeskError::Wrong(
                    "PENDING is a receipt, no answer".to_owned(),
                ));
            }
            Resolution::NotFound if !self.saw_all() => {
                return Err(DeskError::Wrong(
                    "NOT_FOUND needs proof that the whole window was seen; CAPTURE_GAP says the rest"
                        .to_owned(),
                ));
            }
            _ => {}
        }
        let peer = edit.party.as_ref().map(|(id, _)| Box::from(&**id));
        let same = self.peer == peer && *self.resolution == *resolution.label();
        let names_in_evidence = self
            .answer
            .get("evidence")
            .is_some_and(|e| e.get("leg").is_some_and(|l| !l.is_null()));
        if !same && (names.is_some() || names_in_evidence) {
            self.answer.shift_remove("evidence");
        }
        for field in ["upstream", "originator", "undecided", "problems", "comment"] {
            self.answer.shift_remove(field);
        }
        self.answer
            .insert("resolution".to_owned(), json!(resolution));
        if let (Some(field), Some((_, party))) = (names, &edit.party) {
            self.answer.insert(field.to_owned(), json!(party));
        }
        if let Some(comment) = &edit.comment {
            self.answer.insert("comment".to_owned(), json!(comment));
        }
        self.resolution = resolution.label().into();
        self.peer = peer;
        self.by(ProducedBy::Human);
        Ok(self)
    }

    fn by(&mut self, maker: ProducedBy) {
        self.produced_by = json!(maker);
        self.answer
            .insert("produced_by".to_owned(), self.produced_by.clone());
    }

    /// Whether its evidence says that the main window was seen.
    fn saw_all(&self) -> bool {
        let share = self.answer.get("evidence").and_then(|e| {
            let main = e.get("windows")?.as_array()?.first()?;
            main.get("coverage")?.as_f64()
        });
        share.is_some_and(|s| s >= LEAST_SHARE)
    }

    fn posterior(&self) -> Option<f64> {
        self.answer.get("evidence")?.get("posterior")?.as_f64()
    }
}

/// In which field an answer names a neighbour.
pub(super) const fn names(resolution: Resolution) -> Option<&'static str> {
    match resolution {
        Resolution::UpstreamDomestic
        | Resolution::UpstreamForeign
        | Resolution::DivertedByOurSubscriber => Some("upstream"),
        Resolution::OriginEndCustomer | Resolution::OriginNonVspPlatform => Some("originator"),
        Resolution::BlockedHere
        | Resolution::NotFound
        | Resolution::CaptureGap
        | Resolution::OutOfRetention
        | Resolution::NotOurCustomerOfDownstream
        | Resolution::Ambiguous
        | Resolution::InsufficientRequest
        | Resolution::TestOrInternal
        | Resolution::LegalRestriction
        | Resolution::LegalHold
        | Resolution::Refused
        | Resolution::Pending => None,
    }
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

    /// Keeps a draft.
    pub(super) fn keep(&self, key: &RequestKey, draft: &Draft) -> Done<()> {
        let text = Value::from(draft.answer.clone()).to_string();
        self.change(
            "UPDATE request SET answer = ?, resolution = ?, peer = ?, produced_by = ?, posterior = ? WHERE portal = ? AND id = ?",
            params![
                text,
                &*draft.resolution,
                draft.peer.as_deref(),
                draft.produced_by.as_str(),
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
        let set = &mut draft.answer;
        set.insert("id".to_owned(), json!(answer_key));
        set.insert("request_id".to_owned(), json!(id));
        set.insert("revision".to_owned(), json!(revision));
        if last > 0 {
            set.insert("supersedes".to_owned(), json!(answer_id(id, last)));
        }
        set.shift_remove("audit");
        let digest = sha256_hex(Value::from(set.clone()).to_string().as_bytes());
        let detail = json!({
            "answer": answer_key,
            "revision": revision,
            "resolution": draft.resolution,
            "peer": draft.peer,
            "produced_by": draft.produced_by,
            "sha256": digest,
        });
        let index = self.audit(row, who, "answer", detail)?;
        draft
            .answer
            .insert("audit".to_owned(), json!({ "index": index }));
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
        self.change(
            "INSERT INTO parcel (portal, kind, subject, key, body, made, next_at, due, gives_up) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                portal,
                ParcelKind::Answer.label(),
                id,
                answer_key,
                body,
                self.now.nanos(),
                self.now.nanos(),
                row.deadline.due.nanos(),
                row.gives_up
            ],
        )?;
        let maker = draft.produced_by.as_str().unwrap_or_default();
        self.tally(portal, &format!("answer:{}:{maker}", draft.resolution), 1)
    }
}
