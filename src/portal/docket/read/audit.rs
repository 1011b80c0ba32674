//! The audit log as people read it: the latest line first, by case, who and act. `tracehop audit verify` computes all of it anew.

use rusqlite::OptionalExtension;

use crate::base::Timestamp;
use crate::portal::docket::{Docket, Result};
use crate::proof::audit::{self, Line, TreeHead};

/// Most lines of a page.
pub const MOST_LINES: usize = 200;
/// Most lines that one look passes over for those that are wanted: some tens of milliseconds. Where there are more, the page says from where it goes on.
const MOST_PASSED: u64 = 100_000;

/// Which lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Of a case.
    pub case: Option<String>,
    /// Of somebody: the beginning of his name as the log has it, `user:`, `provider:a`.
    pub who: Option<String>,
    /// Of an act.
    pub act: Option<String>,
    /// Before this line.
    pub before: Option<u64>,
}

/// A page of the log.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct AuditPage {
    /// Lines, the latest first.
    pub lines: Vec<Line>,
    /// Where the next page begins; none at the end of the log.
    pub next: Option<u64>,
}

/// The log as a whole.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct AuditHead {
    /// The head as of now.
    pub now: TreeHead,
    /// The last one that was signed: how many lines, and when.
    pub signed: Option<(u64, String)>,
    /// The signed head itself, to keep elsewhere.
    pub octets: Option<String>,
}

impl Docket {
    /// Lines of the log.
    ///
    /// # Errors
    ///
    /// The database.
    pub fn audit_page(&self, filter: &AuditFilter, most: usize) -> Result<AuditPage> {
        let most = most.min(MOST_LINES);
        self.read(|tx| {
            let size = audit::size(tx)?;
            let end = filter.before.unwrap_or(size).min(size);
            let mut page = AuditPage {
                lines: Vec::new(),
                next: None,
            };
            let is_wanted = |line: &Line| {
                filter
                    .who
                    .as_deref()
                    .is_none_or(|w| line.who.starts_with(w))
                    && filter.act.as_deref().is_none_or(|a| line.act == a)
            };
            let mut last = end;
            let mut passed = 0;
            // The statement gives them one by one: what is not read costs nothing.
            audit::latest(tx, filter.case.as_deref(), end, |line| {
                if page.lines.len() == most || passed == MOST_PASSED {
                    page.next = Some(last);
                    return false;
                }
                passed += 1;
                last = line.index;
                if is_wanted(&line) {
                    page.lines.push(line);
                }
                true
            })?;
            Ok(page)
        })
    }

    /// The log as a whole.
    ///
    /// # Errors
    ///
    /// The database.
    pub fn audit_head(&self, now: Timestamp) -> Result<AuditHead> {
        self.read(|tx| {
            let signed: Option<(i64, String, String)> = tx
                .prepare_cached(
                    "SELECT size, at, signed FROM audit_head ORDER BY size DESC LIMIT 1",
                )?
                .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                .optional()?;
            let (signed, octets) = match signed {
                Some((size, at, octets)) => (Some((super::whole(size), at)), Some(octets)),
                None => (None, None),
            };
            Ok(AuditHead {
                now: TreeHead::of(tx, now)?,
                signed,
                octets,
            })
        })
    }
}
