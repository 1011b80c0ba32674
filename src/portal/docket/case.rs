//! A case as a whole: opened, declined, withdrawn, closed, opened again, put into a campaign.

use rusqlite::{OptionalExtension, params};
use serde_json::json;

use super::intake::problem;
use super::question::{refused, text};
use super::row::{BY_WALK, TraceRow};
use super::work::{Done, Work};
use super::{Actor, Docket, DocketError, Result};
use crate::base::Timestamp;
use crate::portal::word::{CaseState, HopState, Outcome};

/// Longest reason or summary, in characters. Ours: half a page.
const MAX_REASON: usize = 2048;

/// How a person closes a case.
#[derive(Clone, Debug, PartialEq)]
pub struct Closing {
    /// How it ended.
    pub outcome: Outcome,
    /// Whom the outcome is about: a provider's id.
    pub ended_at: Option<String>,
    /// In words.
    pub summary: String,
}

impl Docket {
    /// Opens a case that was handed in: the walk begins. Analysts.
    ///
    /// # Errors
    ///
    /// [`DocketError`].
    pub fn open_case(&self, actor: &Actor, case: &str, now: Timestamp) -> Result<()> {
        self.write(now, |w| w.open_case(actor, case))
    }

    /// Does not open it. Analysts.
    ///
    /// # Errors
    ///
    /// [`DocketError`].
    pub fn decline(&self, actor: &Actor, case: &str, why: &str, now: Timestamp) -> Result<()> {
        self.write(now, |w| w.decline(actor, case, why))
    }

    /// Takes a case back: whoever handed it in (his organisation), or an analyst.
    ///
    /// # Errors
    ///
    /// [`DocketError`].
    pub fn withdraw_case(
        &self,
        actor: &Actor,
        case: &str,
        why: &str,
        now: Timestamp,
    ) -> Result<()> {
        self.write(now, |w| w.withdraw_case(actor, case, why))
    }

    /// Closes it by hand. Analysts. The walk does not open it again.
    ///
    /// # Errors
    ///
    /// [`DocketError`].
    pub fn close_case(
        &self,
        actor: &Actor,
        case: &str,
        closing: &Closing,
        now: Timestamp,
    ) -> Result<()> {
        self.write(now, |w| w.close_case(actor, case, closing))
    }

    /// Opens a closed, declined or stuck case again; the walk goes on from what is there. Analysts.
    ///
    /// # Errors
    ///
    /// [`DocketError`].
    pub fn reopen(&self, actor: &Actor, case: &str, why: &str, now: Timestamp) -> Result<()> {
        self.write(now, |w| w.reopen(actor, case, why))
    }

    /// Puts it into a campaign, or into none. Analysts.
    ///
    /// # Errors
    ///
    /// [`DocketError`].
    pub fn set_campaign(
        &self,
        actor: &Actor,
        case: &str,
        campaign: Option<i64>,
        now: Timestamp,
    ) -> Result<()> {
        self.write(now, |w| w.set_campaign(actor, case, campaign))
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
    fn open_case(&mut self, actor: &Actor, case: &str) -> Done<()> {
        actor.must_be_analyst()?;
        let row = self.trace(case)?;
        if row.state != CaseState::Submitted {
            return refused("the case does not wait to be opened");
        }
        self.tx.execute(
            "UPDATE trace SET state = ?, opened = ? WHERE id = ?",
            params![CaseState::Open.label(), self.now.nanos(), row.id],
        )?;
        self.note(&actor.who, "opened", case, None, json!({}))?;
        self.changed_now(case)?;
        self.walk(case)
    }

    fn decline(&mut self, actor: &Actor, case: &str, why: &str) -> Done<()> {
        actor.must_be_analyst()?;
        let row = self.trace(case)?;
        if row.state != CaseState::Submitted {
            return refused("the case does not wait to be opened");
        }
        self.give_up(actor, &row, "declined", &reason(why)?)
    }

    fn withdraw_case(&mut self, actor: &Actor, case: &str, why: &str) -> Done<()> {
        let row = self.trace(case)?.visible_to(actor)?;
        let open = matches!(
            row.state,
            CaseState::Submitted | CaseState::Open | CaseState::Stuck
        );
        if !open {
            return refused("the case is over");
        }
        self.give_up(actor, &row, "withdrawn", &reason(why)?)
    }

    /// A case that nobody goes on with.
    fn give_up(&mut self, actor: &Actor, row: &TraceRow, act: &'static str, why: &str) -> Done<()> {
        self.take_all_back(&row.id, "the case was taken back")?;
        self.tx.execute(
            "UPDATE trace SET state = ?, summary = ?, closed = ?, closed_by = ? WHERE id = ?",
            params![
                CaseState::Declined.label(),
                why,
                self.now.nanos(),
                actor.who.to_string(),
                row.id
            ],
        )?;
        self.note(&actor.who, act, &row.id, None, json!({ "why": why }))?;
        self.tell_closed(&row.id)?;
        self.changed_now(&row.id)
    }

    fn close_case(&mut self, actor: &Actor, case: &str, closing: &Closing) -> Done<()> {
        actor.must_be_analyst()?;
        let row = self.trace(case)?;
        let by_person = row.state == CaseState::Closed && row.closed_by.as_deref() != Some(BY_WALK);
        if by_person || row.state == CaseState::Declined {
            return refused("the case is over; open it again first");
        }
        let summary = text("summary", &closing.summary, MAX_REASON);
        let mut wrong = Vec::new();
        let summary = summary.unwrap_or_else(|p| {
            wrong.push(p);
            String::new()
        });
        if summary.is_empty() && wrong.is_empty() {
            wrong.push(problem("summary", "missing: why is it over?"));
        }
        let mut at = None;
        let ended_at = closing
            .ended_at
            .as_deref()
            .map(str::trim)
            .filter(|e| !e.is_empty());
        if let Some(ended_at) = ended_at {
            match self.provider_by(ended_at)? {
                Some(found) => at = Some(found.id),
                None => wrong.push(problem("ended_at", "is not in the directory")),
            }
        }
        if !wrong.is_empty() {
            return Err(DocketError::Wrong(wrong).into());
        }
        self.take_all_back(case, "the case is over")?;
        self.tx.execute(
            "UPDATE trace SET state = ?, outcome = ?, ended_at = ?, summary = ?, closed = ?, closed_by = ? WHERE id = ?",
            params![
                CaseState::Closed.label(),
                closing.outcome.label(),
                at,
                summary,
                self.now.nanos(),
                actor.who.to_string(),
                case
            ],
        )?;
        let detail = json!({ "outcome": closing.outcome, "at": at });
        self.note(&actor.who, "closed", case, None, detail)?;
        if let Some(at) = &at {
            self.repeats(case, closing.outcome, at, None)?;
        }
        self.tell_closed(case)?;
        self.changed_now(case)
    }

    fn reopen(&mut self, actor: &Actor, case: &str, why: &str) -> Done<()> {
        actor.must_be_analyst()?;
        let row = self.trace(case)?;
        if !matches!(row.state, CaseState::Closed | CaseState::Declined) {
            return refused("the case is open");
        }
        let why = reason(why)?;
        // The walk puts it where it stands: one that ends where it ended is closed at once.
        self.tx.execute(
            "UPDATE trace SET state = ?, outcome = NULL, ended_at = NULL, originator = NULL, summary = '', closed = NULL, closed_by = NULL, opened = coalesce(opened, ?) WHERE id = ?",
            params![CaseState::Open.label(), self.now.nanos(), case],
        )?;
        self.note(&actor.who, "reopened", case, None, json!({ "why": why }))?;
        self.changed_now(case)?;
        self.walk(case)
    }

    fn set_campaign(&mut self, actor: &Actor, case: &str, campaign: Option<i64>) -> Done<()> {
        actor.must_be_analyst()?;
        let row = self.trace(case)?;
        if let Some(campaign) = campaign {
            let found: Option<i64> = self
                .tx
                .query_row("SELECT id FROM campaign WHERE id = ?", [campaign], |r| {
                    r.get(0)
                })
                .optional()?;
            found.ok_or(DocketError::Absent("campaign"))?;
        }
        self.tx.execute(
            "UPDATE trace SET campaign = ? WHERE id = ?",
            params![campaign, row.id],
        )?;
        self.note(
            &actor.who,
            "campaign",
            case,
            None,
            json!({ "campaign": campaign }),
        )?;
        self.changed_now(case)
    }

    /// Takes back every question that is still open.
    fn take_all_back(&mut self, case: &str, why: &str) -> Done<()> {
        for hop in self.hops(case)? {
            if hop.waits() || hop.state == HopState::NeedsInfo {
                self.withdraw(&hop, why)?;
            }
        }
        Ok(())
    }
}
