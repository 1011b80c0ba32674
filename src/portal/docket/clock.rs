//! What time brings: reminders, and providers that did not answer.

use rusqlite::{OptionalExtension, params};
use serde_json::json;

use super::question::REMIND_AT;
use super::walk::nanos;
use super::work::{Done, Work};
use super::{Docket, Result};
use crate::base::Timestamp;
use crate::portal::word::{EventKind, HopState};
use crate::traceback::deadline::Deadline;

/// Most questions that one act of the clock takes up, and most cases of one act of [`Docket::resume`]: others wait for it. Some milliseconds.
const AT_ONCE: u32 = 64;

/// What one tick did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticked {
    /// Reminders that went out.
    pub reminded: usize,
    /// Questions that nobody answered in time.
    pub overdue: usize,
    /// Whether there is more to do: come again at once.
    pub more: bool,
}

impl Docket {
    /// Does what is due by the clock, a bounded number of questions at a time. To be called every second.
    ///
    /// # Errors
    ///
    /// The database.
    pub fn tick(&self, now: Timestamp) -> Result<Ticked> {
        // A look costs others nothing; most seconds have nothing to do.
        if self.read(|tx| {
            let due: bool = tx
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM hop WHERE overdue_at <= ?1) OR EXISTS (SELECT 1 FROM hop WHERE remind_at <= ?1)",
                )?
                .query_row([now.nanos()], |r| r.get(0))?;
            Ok(!due)
        })? {
            return Ok(Ticked::default());
        }
        self.write(now, |w| w.tick())
    }

    /// Walks every open case once, at the start: whatever a crash or an older version left undone is done then. Gives how many were walked.
    ///
    /// # Errors
    ///
    /// The database.
    pub fn resume(&self, now: Timestamp) -> Result<usize> {
        let (mut after, mut walked) = (String::new(), 0);
        loop {
            let ids: Vec<String> = self.read(|tx| {
                let mut found = tx.prepare_cached(
                    "SELECT id FROM trace WHERE state IN ('open', 'stuck') AND id > ? ORDER BY id LIMIT ?",
                )?;
                let rows = found.query_map(params![after, AT_ONCE], |r| r.get(0))?;
                Ok(rows.collect::<rusqlite::Result<_>>()?)
            })?;
            let Some(last) = ids.last() else {
                return Ok(walked);
            };
            after.clone_from(last);
            walked += ids.len();
            // In steps, so that others get their turn.
            self.write(now, |w| ids.iter().try_for_each(|id| w.walk(id)))?;
        }
    }
}

impl Work<'_> {
    fn tick(&mut self) -> Done<Ticked> {
        let overdue =
            self.due("SELECT id FROM hop WHERE overdue_at <= ? ORDER BY overdue_at LIMIT ?")?;
        let remind =
            self.due("SELECT id FROM hop WHERE remind_at <= ? ORDER BY remind_at LIMIT ?")?;
        for id in &overdue {
            self.overdue(id)?;
        }
        let most = usize::try_from(AT_ONCE).unwrap_or(usize::MAX);
        let mut reminded = 0;
        for id in &remind {
            reminded += usize::from(self.remind(id)?);
        }
        Ok(Ticked {
            reminded,
            overdue: overdue.len(),
            more: overdue.len().max(remind.len()) >= most,
        })
    }

    fn due(&self, sql: &str) -> Done<Vec<String>> {
        let mut found = self.tx.prepare_cached(sql)?;
        let rows = found.query_map(params![self.now.nanos(), AT_ONCE], |r| r.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn overdue(&mut self, id: &str) -> Done<()> {
        let hop = self.hop(id)?;
        let state = match hop.waits() {
            true => HopState::NonResponsive,
            false => hop.state,
        };
        self.tx.execute(
            "UPDATE hop SET state = ?, overdue_at = NULL, remind_at = NULL WHERE id = ?",
            [state.label(), id],
        )?;
        if state != hop.state {
            let detail = json!({ "provider": hop.provider, "due": hop.due });
            self.log("overdue", &hop.trace, Some(id), detail)?;
            self.touch(Some(&hop.trace), &[&hop.provider]);
            self.changed_now(&hop.trace)?;
            self.walk(&hop.trace)?;
        }
        Ok(())
    }

    /// Gives whether somebody was reminded.
    fn remind(&mut self, id: &str) -> Done<bool> {
        let found: Option<(String, u32)> = self
            .tx
            .query_row(
                "SELECT deadline, reminders FROM hop WHERE id = ? AND remind_at <= ?",
                params![id, self.now.nanos()],
                |r| Ok((r.get(0)?, r.get(1)?)),
            )
            .optional()?;
        let Some((deadline, reminders)) = found else {
            return Ok(false);
        };
        let hop = self.hop(id)?;
        let deadline: Option<Deadline> = serde_json::from_str(&deadline).ok();
        let mut next = None;
        if let Some(deadline) = deadline {
            // Shares that went by while nobody looked are one reminder.
            let clock = self.clock_of(&hop.provider)?;
            next = REMIND_AT
                .iter()
                .map(|share| clock.at_share(&deadline, *share))
                .find(|at| *at > self.now);
        }
        let next = next.filter(|_| hop.waits());
        self.tx.execute(
            "UPDATE hop SET remind_at = ?, reminders = ? WHERE id = ?",
            params![nanos(next), reminders.saturating_add(1), id],
        )?;
        if !hop.waits() {
            return Ok(false);
        }
        let data =
            json!({ "request_id": hop.id, "case_id": hop.trace, "due_at": hop.due }).to_string();
        let (provider, trace) = (hop.provider.clone(), hop.trace.clone());
        self.tell(&provider, EventKind::Reminder, &trace, Some(id), &data)?;
        self.log(
            "reminded",
            &trace,
            Some(id),
            json!({ "n": reminders.saturating_add(1) }),
        )?;
        Ok(true)
    }
}
