//! Somebody says that an answer is wrong. It does not count until its provider stands by it or replaces it.

use rusqlite::params;
use serde_json::json;

use super::intake::problem;
use super::question::{refused, text};
use super::row::HopRow;
use super::work::{Done, Work};
use super::{Actor, Docket, DocketError, Result};
use crate::base::Timestamp;
use crate::portal::word::{AnswerState, EventKind, FindingKind, HopState, Role};

/// Longest reason, in characters. Ours.
const MAX_REASON: usize = 1024;

impl Docket {
    /// Disputes the current answer to a question. Analysts; staff of the provider that the answer names.
    ///
    /// # Errors
    ///
    /// [`DocketError`].
    pub fn dispute(&self, actor: &Actor, hop: &str, why: &str, now: Timestamp) -> Result<()> {
        self.write(now, |w| {
            let hop = w.hop(hop)?;
            let named = actor.role == Role::Provider
                && actor
                    .provider
                    .as_deref()
                    .is_some_and(|p| hop.named.as_deref() == Some(p));
            match actor.is_analyst() || named {
                true => w.dispute(actor, &hop, why),
                false => Err(DocketError::Absent("question").into()),
            }
        })
    }

    /// Disputes the answer that led to a question of one's own: "we never handed that call to them". Staff of the provider that was asked, who see
    /// their own questions only. `hop` is their own.
    ///
    /// # Errors
    ///
    /// [`DocketError`].
    pub fn dispute_what_led_here(
        &self,
        actor: &Actor,
        hop: &str,
        why: &str,
        now: Timestamp,
    ) -> Result<()> {
        self.write(now, |w| {
            let own = w.own_hop(hop, actor.staff_of()?)?;
            let Some(parent) = own.parent.as_deref() else {
                return refused("no other provider's answer led to this question");
            };
            let before = w.hop(parent)?;
            match before.named.as_deref() == Some(&*own.provider) {
                true => w.dispute(actor, &before, why),
                false => refused("the answer that led here no longer names you"),
            }
        })
    }

    /// Stands by a disputed answer: it counts again. Staff of the provider that gave it; analysts, who say why.
    ///
    /// # Errors
    ///
    /// [`DocketError`].
    pub fn stand_by(&self, actor: &Actor, hop: &str, why: &str, now: Timestamp) -> Result<()> {
        self.write(now, |w| {
            let hop = match actor.is_analyst() {
                true => w.hop(hop)?,
                false => w.own_hop(hop, actor.staff_of()?)?,
            };
            w.stand_by(actor, &hop, why)
        })
    }
}

fn reason(why: &str) -> Done<String> {
    let why = text("reason", why, MAX_REASON).map_err(|p| DocketError::Wrong(vec![p]))?;
    match why.is_empty() {
        false => Ok(why),
        true => Err(DocketError::Wrong(vec![problem("reason", "missing")]).into()),
    }
}

impl Work<'_> {
    fn dispute(&mut self, actor: &Actor, hop: &HopRow, why: &str) -> Done<()> {
        let why = reason(why)?;
        let Some(answer) = hop
            .answer
            .as_deref()
            .filter(|_| hop.state == HopState::Answered)
        else {
            return refused("there is no answer that counts");
        };
        let by = match (&actor.provider, actor.role) {
            (Some(provider), Role::Provider) => format!("provider:{provider}"),
            _ => actor.who.to_string(),
        };
        self.tx.execute(
            "UPDATE answer SET state = ?, disputed_by = ?, dispute = ? WHERE hop = ? AND id = ?",
            params![AnswerState::Disputed.label(), by, why, hop.id, answer],
        )?;
        self.tx.execute(
            "UPDATE hop SET state = ? WHERE id = ?",
            [HopState::Disputed.label(), &hop.id],
        )?;
        let detail = json!({ "answer": answer });
        self.note(&actor.who, "disputed", &hop.trace, Some(&hop.id), detail)?;
        let text = format!("{by} disputes the answer of {}: {why}", hop.provider);
        self.find(&hop.trace, Some(&hop.id), FindingKind::Dispute, &text)?;
        self.tell_about(hop, EventKind::Disputed, Some(answer), Some(&why))?;
        self.changed_now(&hop.trace)?;
        self.walk(&hop.trace)
    }

    fn stand_by(&mut self, actor: &Actor, hop: &HopRow, why: &str) -> Done<()> {
        let why = reason(why)?;
        let Some(answer) = hop
            .answer
            .as_deref()
            .filter(|_| hop.state == HopState::Disputed)
        else {
            return refused("the answer is not disputed");
        };
        self.tx.execute(
            "UPDATE answer SET state = ? WHERE hop = ? AND id = ?",
            [AnswerState::Current.label(), &hop.id, answer],
        )?;
        self.tx.execute(
            "UPDATE hop SET state = ? WHERE id = ?",
            [HopState::Answered.label(), &hop.id],
        )?;
        let detail = json!({ "answer": answer });
        self.note(&actor.who, "stands-by", &hop.trace, Some(&hop.id), detail)?;
        let text = format!("{} stands by its answer: {why}", hop.provider);
        self.find(&hop.trace, Some(&hop.id), FindingKind::Dispute, &text)?;
        self.tell_about(hop, EventKind::Accepted, Some(answer), None)?;
        self.changed_now(&hop.trace)?;
        self.walk(&hop.trace)
    }
}
