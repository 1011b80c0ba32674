//! What providers are told: rows that pull reads in order, and push works off. And what was come upon.

use rusqlite::params;
use serde_json::{Value, json};

use super::row::HopRow;
use super::work::{Done, Work};
use crate::portal::word::{EventKind, FindingKind, HopState, PushState};
use crate::traceback::request::MAX_TEXT;

/// Longest reason that is told to a provider, in characters.
const REASON: usize = 1024;

impl Work<'_> {
    /// Tells a provider something. `data` is the member of the event, octet by octet.
    pub(super) fn tell(
        &mut self,
        provider: &str,
        kind: EventKind,
        trace: &str,
        hop: Option<&str>,
        data: &str,
    ) -> Done<()> {
        let pushed = self.provider(provider)?.is_some_and(|p| p.pushed);
        let (push, next) = match pushed {
            true => (PushState::Due, Some(self.now.nanos())),
            false => (PushState::None, None),
        };
        self.tx
            .prepare_cached(
                "INSERT INTO event (provider, kind, trace, hop, data, at, push, next_try) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                provider,
                kind.label(),
                trace,
                hop,
                data,
                self.now.nanos(),
                push.label(),
                next
            ])?;
        self.touch(Some(trace), &[provider]);
        Ok(())
    }

    /// Tells the provider of a question something about it.
    pub(super) fn tell_about(
        &mut self,
        hop: &HopRow,
        kind: EventKind,
        answer: Option<&str>,
        reason: Option<&str>,
    ) -> Done<()> {
        let mut data = json!({ "request_id": hop.id, "case_id": hop.trace });
        if let Some(answer) = answer {
            data["answer_id"] = answer.into();
        }
        if let Some(reason) = reason {
            data["reason"] = reason.chars().take(REASON).collect::<String>().into();
        }
        let (provider, trace, id) = (hop.provider.clone(), hop.trace.clone(), hop.id.clone());
        self.tell(&provider, kind, &trace, Some(&id), &data.to_string())
    }

    /// Takes a question back.
    pub(super) fn withdraw(&mut self, hop: &HopRow, why: &str) -> Done<()> {
        self.tx.execute(
            "UPDATE hop SET state = ?, overdue_at = NULL, remind_at = NULL WHERE id = ?",
            params![HopState::Withdrawn.label(), hop.id],
        )?;
        self.tell_about(hop, EventKind::Withdrawn, None, Some(why))?;
        self.log(
            "withdrawn",
            &hop.trace,
            Some(&hop.id),
            json!({ "why": why }),
        )
    }

    /// Keeps what was come upon, once. Gives whether it is new.
    pub(super) fn find(
        &mut self,
        trace: &str,
        hop: Option<&str>,
        kind: FindingKind,
        text: &str,
    ) -> Done<bool> {
        let text: String = text.chars().take(4 * MAX_TEXT).collect();
        let new = self
            .tx
            .prepare_cached(
                "INSERT INTO finding (trace, hop, kind, at, text) SELECT ?1, ?2, ?3, ?4, ?5
                 WHERE NOT EXISTS (SELECT 1 FROM finding WHERE trace = ?1 AND hop IS ?2 AND kind = ?3 AND text = ?5)",
            )?
            .execute(params![trace, hop, kind.label(), self.now.nanos(), text])?;
        Ok(new > 0)
    }

    /// A line in the audit log for what follows by itself.
    pub(super) fn log(
        &self,
        act: &'static str,
        trace: &str,
        hop: Option<&str>,
        detail: Value,
    ) -> Done<()> {
        self.note(&crate::proof::Who::Automatic, act, trace, hop, detail)?;
        Ok(())
    }
}
