//! Notes and attachments of a case.

use rusqlite::params;
use serde_json::json;

use super::intake::problem;
use super::question::{refused, text as plain};
use super::work::{Done, Work};
use super::{Actor, Docket, DocketError, Result};
use crate::base::Timestamp;
use crate::portal::word::Role;
use crate::traceback::request::sha256_hex;

/// Largest attachment, in octets. Ours: a recording of some minutes, a scanned letter.
pub const MAX_ATTACHMENT: usize = 5 * 1024 * 1024;
/// Most attachments of a case. Ours.
pub const MAX_ATTACHMENTS: u32 = 20;
/// Most notes of a case. Ours.
const MAX_NOTES: i64 = 500;
/// Longest note, in characters. Ours: two pages.
const MAX_NOTE: usize = 8192;
/// Longest name of a file, in characters: what file systems take, in octets.
const MAX_NAME: usize = 255;

impl Docket {
    /// Adds a note. Analysts, and the organisation that handed the case in.
    ///
    /// # Errors
    ///
    /// [`DocketError`].
    pub fn add_note(&self, actor: &Actor, case: &str, text: &str, now: Timestamp) -> Result<()> {
        self.write(now, |w| w.add_note(actor, case, text))
    }

    /// Adds an attachment: analysts, the organisation that handed the case in, and, to a question of its own, a provider's staff. Gives its number.
    ///
    /// # Errors
    ///
    /// [`DocketError`].
    pub fn attach(
        &self,
        actor: &Actor,
        case: &str,
        hop: Option<&str>,
        name: &str,
        octets: &[u8],
        now: Timestamp,
    ) -> Result<i64> {
        self.write(now, |w| w.attach(actor, case, hop, name, octets))
    }
}

impl Work<'_> {
    fn add_note(&mut self, actor: &Actor, case: &str, text: &str) -> Done<()> {
        let row = self.trace(case)?.visible_to(actor)?;
        let text = plain("text", text, MAX_NOTE).map_err(|p| DocketError::Wrong(vec![p]))?;
        if text.is_empty() {
            let p = problem("text", "missing");
            return Err(DocketError::Wrong(vec![p]).into());
        }
        let notes: i64 = self.tx.query_row(
            "SELECT count(*) FROM note WHERE trace = ?",
            [&*row.id],
            |r| r.get(0),
        )?;
        if notes >= MAX_NOTES {
            return refused("the case has too many notes");
        }
        self.tx.execute(
            "INSERT INTO note (trace, at, by, text) VALUES (?, ?, ?, ?)",
            params![row.id, self.now.nanos(), actor.name(), text],
        )?;
        self.note(&actor.who, "note", case, None, json!({}))?;
        self.changed_now(case)
    }

    fn attach(
        &mut self,
        actor: &Actor,
        case: &str,
        hop: Option<&str>,
        name: &str,
        octets: &[u8],
    ) -> Done<i64> {
        let trace = match (actor.role, hop) {
            (Role::Provider, Some(hop)) => {
                let hop = self.own_hop(hop, actor.staff_of()?)?;
                match *hop.trace == *case {
                    true => hop.trace,
                    false => return Err(DocketError::Absent("question").into()),
                }
            }
            (_, hop) => {
                let row = self.trace(case)?.visible_to(actor)?;
                if let Some(hop) = hop
                    && self.hop(hop)?.trace != row.id
                {
                    return Err(DocketError::Absent("question").into());
                }
                row.id
            }
        };
        let name = plain("name", name, MAX_NAME).map_err(|p| DocketError::Wrong(vec![p]))?;
        // A name is shown and offered to save, never opened as a path here.
        let name = name
            .rsplit(['/', '\\'])
            .next()
            .unwrap_or_default()
            .to_owned();
        if name.is_empty() || octets.is_empty() {
            let p = problem("file", "missing");
            return Err(DocketError::Wrong(vec![p]).into());
        }
        if octets.len() > MAX_ATTACHMENT {
            let wanted = format!("at most {} MiB", MAX_ATTACHMENT / (1024 * 1024));
            return Err(DocketError::Wrong(vec![problem("file", wanted)]).into());
        }
        let count: u32 = self.tx.query_row(
            "SELECT count(*) FROM attachment WHERE trace = ?",
            [&*trace],
            |r| r.get(0),
        )?;
        if count >= MAX_ATTACHMENTS {
            return refused("the case has too many attachments");
        }
        let sha256 = sha256_hex(octets);
        self.tx.execute(
            "INSERT INTO attachment (trace, hop, at, by, name, octets, sha256) VALUES (?, ?, ?, ?, ?, ?, ?)",
            params![trace, hop, self.now.nanos(), actor.name(), name, octets, sha256],
        )?;
        let id = self.tx.last_insert_rowid();
        self.note(
            &actor.who,
            "attachment",
            &trace,
            hop,
            json!({ "id": id, "sha256": sha256 }),
        )?;
        self.changed_now(&trace)?;
        Ok(id)
    }
}
