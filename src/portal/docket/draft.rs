//! A draft that a provider's machine shows its own staff here, and the click that decides it.

use rusqlite::{OptionalExtension, params};
use serde_json::json;

use super::answer::shape;
use super::intake::problem;
use super::question::{refused, text};
use super::work::{Done, Work};
use super::{Actor, Docket, DocketError, Received, Result};
use crate::base::Timestamp;
use crate::portal::word::{EventKind, HopState};
use crate::proof::Who;
use crate::proof::sign::Kind;
use crate::proof::sign::verify::MAX_SIGNED;
use crate::traceback::answer::RawAnswer;

/// Longest reason, in characters. Ours.
const MAX_REASON: usize = 1024;

/// What a person makes of a draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is to be sent.
    Approve,
    /// It is not: why.
    Reject(String),
}

impl Docket {
    /// Takes a draft: JSON signed as `hop-answer-draft+jws`. A later one takes the place of the one before.
    ///
    /// # Errors
    ///
    /// As [`Docket::answer`].
    pub fn draft(
        &self,
        provider: &str,
        hop: &str,
        answer: &str,
        octets: &[u8],
        now: Timestamp,
    ) -> Result<Received> {
        self.write(now, |w| w.draft(provider, hop, answer, octets))
    }

    /// Decides a draft: the provider's machine is told, and signs the answer itself. `answer` is the id of the draft that was seen.
    ///
    /// # Errors
    ///
    /// [`DocketError::Refused`] where it is another one by now, or decided.
    pub fn decide_draft(
        &self,
        actor: &Actor,
        hop: &str,
        answer: &str,
        decision: &Decision,
        now: Timestamp,
    ) -> Result<()> {
        self.write(now, |w| w.decide_draft(actor, hop, answer, decision))
    }
}

impl Work<'_> {
    fn draft(&mut self, provider: &str, id: &str, answer: &str, octets: &[u8]) -> Done<Received> {
        let hop = self.own_hop(id, provider)?;
        if octets.len() > MAX_SIGNED {
            return Ok(Received::Rejected(vec!["it is too large".to_owned()]));
        }
        let old: Option<Vec<u8>> = self
            .tx
            .query_row(
                "SELECT octets FROM draft WHERE hop = ? AND answer = ?",
                [&*hop.id, answer],
                |r| r.get(0),
            )
            .optional()?;
        if old.is_some_and(|o| o == octets) {
            return Ok(Received::Known);
        }
        if !hop.takes_answers() {
            return Ok(Received::Withdrawn);
        }
        if hop.state == HopState::Answered {
            return Ok(Received::Conflict("the question is answered"));
        }
        let opened = match self.keys_of(provider)?.open(octets, Kind::Draft) {
            Ok(opened) => opened,
            Err(flaw) => return Ok(Received::Rejected(vec![flaw.to_string()])),
        };
        let raw: RawAnswer = match serde_json::from_slice(&opened.payload) {
            Ok(raw) => raw,
            Err(_) => return Ok(Received::Rejected(vec!["it can't be read".to_owned()])),
        };
        let mut wrong = self.chained(&hop, answer, &raw)?;
        wrong.extend(shape(&raw));
        if !wrong.is_empty() {
            return Ok(Received::Rejected(wrong));
        }
        let mut named = None;
        if let Some(party) = &raw.upstream {
            let ids = [&party.portal_id, &party.ocn, &party.rmd, &party.frn];
            for id in ids.into_iter().flatten() {
                named = named.or(self.provider_by(id)?.map(|p| p.id));
            }
        }
        let posterior = raw
            .evidence
            .as_ref()
            .and_then(|e| e.get("posterior")?.as_f64());
        self.tx.execute(
            "INSERT OR REPLACE INTO draft (hop, answer, octets, resolution, named, posterior, received) VALUES (?, ?, ?, ?, ?, ?, ?)",
            params![
                hop.id,
                answer,
                octets,
                raw.resolution.label(),
                named,
                posterior,
                self.now.nanos()
            ],
        )?;
        let detail = json!({ "answer": answer, "resolution": raw.resolution });
        let who = Who::Provider(provider.into());
        self.note(&who, "drafted", &hop.trace, Some(&hop.id), detail)?;
        self.touch(Some(&hop.trace), &[provider]);
        Ok(Received::New)
    }

    fn decide_draft(
        &mut self,
        actor: &Actor,
        id: &str,
        answer: &str,
        decision: &Decision,
    ) -> Done<()> {
        let hop = self.own_hop(id, actor.staff_of()?)?;
        let seen: Option<(String, bool)> = self
            .tx
            .query_row(
                "SELECT answer, decided IS NOT NULL FROM draft WHERE hop = ?",
                [&*hop.id],
                |r| Ok((r.get(0)?, r.get(1)?)),
            )
            .optional()?;
        match seen {
            None => return Err(DocketError::Absent("draft").into()),
            Some((now, _)) if *now != *answer => {
                return refused("there is another draft by now: look at it first");
            }
            Some((_, true)) => return refused("it is decided already"),
            Some(_) => {}
        }
        if !hop.waits()
            && !matches!(
                hop.state,
                HopState::NonResponsive | HopState::Disputed | HopState::NeedsInfo
            )
        {
            return refused("the question is not open");
        }
        let by = actor.name();
        let (kind, label, reason) = match decision {
            Decision::Approve => (EventKind::DraftApproved, "approved", None),
            Decision::Reject(why) => {
                let why = text("reason", why, MAX_REASON);
                let why = why.map_err(|p| DocketError::Wrong(vec![p]))?;
                if why.is_empty() {
                    let p = problem("reason", "missing: what is wrong with it?");
                    return Err(DocketError::Wrong(vec![p]).into());
                }
                (EventKind::DraftRejected, "rejected", Some(why))
            }
        };
        self.tx.execute(
            "UPDATE draft SET decided = ?, decided_by = ?, decision = ? WHERE hop = ?",
            params![self.now.nanos(), by, label, hop.id],
        )?;
        let detail = json!({ "answer": answer, "decision": label });
        self.note(&actor.who, "decision", &hop.trace, Some(&hop.id), detail)?;
        let mut data =
            json!({ "request_id": hop.id, "case_id": hop.trace, "answer_id": answer, "by": by });
        if let Some(reason) = reason {
            data["reason"] = reason.into();
        }
        let data = data.to_string();
        self.tell(&hop.provider, kind, &hop.trace, Some(&hop.id), &data)
    }
}
