//! What goes to providers, and their receipts: questions and events to be asked for, events to be pushed.
//!
//! A page has [`PAGE`] entries at most. Cursors are numbers of rows: what is behind one never comes again, and whoever begins without one gets what is still
//! of use. Nothing here walks on.
//!
//! - `push`: what is to be pushed, and what became of it
//! - `traceback`: a case as machines see it

mod push;
#[cfg(test)]
mod tests;
mod traceback;

use std::time::Duration;

use rusqlite::{OptionalExtension, params};
use serde_json::json;

pub use push::{Due, Pushed};
pub use traceback::{Listed, Step, Traceback};

use super::{Docket, DocketError, Done, Result, Work};
use crate::base::Timestamp;
use crate::portal::word::{EventKind, HopState};
use crate::proof::Who;

/// Most entries of a page. A question has a kilobyte, so that a page stays below the mebibyte that the daemon's client reads by default.
pub const PAGE: usize = 100;
/// Most octets of a page, where questions are large (64 KiB each at most); one entry goes out however large it is.
const PAGE_OCTETS: usize = 512 * 1024;
/// How far back events go for who begins without a cursor: as long as a daemon keeps what is undeliverable (14 days), and as long again.
const BACK: Duration = Duration::from_secs(28 * 86_400);

/// A page of what a provider asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Each a JSON object, octet by octet.
    pub entries: Vec<Vec<u8>>,
    /// Where the next one begins.
    pub cursor: i64,
}

impl Page {
    fn has_room(&self) -> bool {
        let octets: usize = self.entries.iter().map(Vec::len).sum();
        self.entries.len() < PAGE && octets < PAGE_OCTETS
    }
}

impl Docket {
    /// Questions of a provider that it has not acknowledged, behind a cursor.
    ///
    /// # Errors
    ///
    /// [`DocketError`].
    pub fn open_questions(&self, provider: &str, after: i64) -> Result<Page> {
        self.read(|tx| {
            let mut page = Page {
                cursor: after,
                ..Page::default()
            };
            let mut all = tx.prepare_cached(
                "SELECT rowid, octets FROM hop WHERE provider = ? AND state = ? AND rowid > ? ORDER BY rowid",
            )?;
            let mut rows = all.query(params![provider, HopState::Asked.label(), after])?;
            while page.has_room()
                && let Some(row) = rows.next()?
            {
                page.cursor = row.get(0)?;
                page.entries.push(row.get(1)?);
            }
            Ok(page)
        })
    }

    /// Events of a provider behind a cursor, as they stand in a list: `{"type", "timestamp", "data"}`. Questions are in the other list, and not among them.
    ///
    /// # Errors
    ///
    /// [`DocketError`].
    pub fn events(&self, provider: &str, after: i64, now: Timestamp) -> Result<Page> {
        self.read(|tx| {
            let mut page = Page {
                cursor: after,
                ..Page::default()
            };
            // Who goes on from a cursor has been here: nothing may be left out then, however old.
            let since = if after == 0 { now.minus(BACK).nanos() } else { i64::MIN };
            let mut all = tx.prepare_cached(
                "SELECT seq, kind, at, data FROM event WHERE provider = ? AND seq > ? AND at >= ? AND kind <> ? ORDER BY seq",
            )?;
            let created = EventKind::Created.label();
            let mut rows = all.query(params![provider, after, since, created])?;
            while page.has_room()
                && let Some(row) = rows.next()?
            {
                page.cursor = row.get(0)?;
                let (kind, at): (String, i64) = (row.get(1)?, row.get(2)?);
                let data: String = row.get(3)?;
                page.entries.push(event(&kind, Timestamp::from_nanos(at), &data));
            }
            Ok(page)
        })
    }

    /// A provider has a question durably. The same again is the same once.
    ///
    /// # Errors
    ///
    /// [`DocketError::Absent`] where the question is not there, or another provider's.
    pub fn acknowledge(&self, provider: &str, hop: &str, now: Timestamp) -> Result<()> {
        // Most receipts come twice, by push and by pull: a look is cheaper than a transaction.
        let known = self.read(|tx| {
            tx.prepare_cached("SELECT acked IS NOT NULL FROM hop WHERE id = ? AND provider = ?")?
                .query_row(params![hop, provider], |row| row.get::<_, bool>(0))
                .optional()
                .map_err(Into::into)
        })?;
        match known {
            None => Err(DocketError::Absent("question")),
            Some(true) => Ok(()),
            Some(false) => self.write(now, |w| w.acknowledge(provider, hop)),
        }
    }
}

impl Work<'_> {
    /// A question lies at its provider.
    pub(in crate::portal) fn acknowledge(&mut self, provider: &str, hop: &str) -> Done<()> {
        let case: Option<String> = self
            .tx
            .prepare_cached(
                "UPDATE hop SET acked = ?, state = CASE state WHEN ? THEN ? ELSE state END WHERE id = ? AND provider = ? AND acked IS NULL RETURNING trace",
            )?
            .query_row(
                params![
                    self.now.nanos(),
                    HopState::Asked.label(),
                    HopState::Acknowledged.label(),
                    hop,
                    provider
                ],
                |row| row.get(0),
            )
            .optional()?;
        if let Some(case) = case {
            let who = Who::Provider(provider.into());
            self.note(&who, "acknowledged", &case, Some(hop), json!({}))?;
            self.touch(Some(&case), &[provider]);
        }
        Ok(())
    }
}

/// An event as it is listed and pushed; its data stay octet by octet what they are.
fn event(kind: &str, at: Timestamp, data: &str) -> Vec<u8> {
    format!(
        "{{\"type\":{},\"timestamp\":\"{at}\",\"data\":{data}}}",
        json!(kind)
    )
    .into_bytes()
}
