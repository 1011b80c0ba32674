//! The audit log: every look-up, answer, decision and export, with who and the case; nothing is ever changed or taken out.
//!
//! Lines are hashed into a tree ([`crate::traceback::audit`]) whose signed heads can be kept elsewhere, so that not even whoever holds the
//! database can change what was written. Triggers refuse changes by mistake; the tree finds those on purpose. Perfect subtrees are
//! kept, so a line costs two writes on the average and root and proofs a logarithm of reads.
//!
//! A line takes some 300 octets with its node. The log grows with what is done and never shrinks: 10 million lines are 3 GB.
//!
//! - [`mod@line`]: a line, and its octets that are hashed
//! - [`head`]: signed heads
//! - [`proof`]: that a line is in the log, that the log only went on
//! - [`verify`]: everything computed anew
//! - [`open`]: the log, for those who come without the desk

pub mod head;
pub mod line;
pub mod open;
pub mod proof;
#[cfg(test)]
mod tests;
pub mod verify;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

pub use head::TreeHead;
pub use line::Line;
pub use proof::{Consistency, Inclusion};

use super::Who;
use crate::base::Timestamp;
use crate::traceback::audit::{self, Hash, Nodes};

/// One line of the log.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub who: &'a Who,
    /// What was done: `received`, `look-up`, `answer`, `decision`, `delivered`, `export`, …
    pub act: &'static str,
    /// The case that it served.
    pub case_id: &'a str,
    /// The request, where there is one.
    pub request: Option<&'a str>,
    /// Further facts, without any telephone number.
    pub detail: serde_json::Value,
}

/// Makes the tables of the log, where they are not there.
///
/// # Errors
///
/// What the database says.
pub fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS audit (
             idx INTEGER PRIMARY KEY, at TEXT NOT NULL, who TEXT NOT NULL, act TEXT NOT NULL, case_id TEXT NOT NULL,
             request TEXT, detail TEXT NOT NULL, leaf BLOB NOT NULL);
         CREATE INDEX IF NOT EXISTS audit_case ON audit (case_id);
         CREATE TABLE IF NOT EXISTS audit_node (
             level INTEGER NOT NULL, idx INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (level, idx)) WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS audit_head (
             size INTEGER PRIMARY KEY, at TEXT NOT NULL, root BLOB NOT NULL, signed TEXT NOT NULL);
         CREATE TRIGGER IF NOT EXISTS audit_goes_on BEFORE INSERT ON audit
             WHEN NEW.idx IS NOT (SELECT coalesce(max(idx) + 1, 0) FROM audit)
             BEGIN SELECT RAISE(ABORT, 'the audit log is only ever appended to'); END;
         CREATE TRIGGER IF NOT EXISTS audit_node_once BEFORE INSERT ON audit_node
             WHEN EXISTS (SELECT 1 FROM audit_node WHERE level = NEW.level AND idx = NEW.idx)
             BEGIN SELECT RAISE(ABORT, 'the audit log is only ever appended to'); END;
         CREATE TRIGGER IF NOT EXISTS audit_head_once BEFORE INSERT ON audit_head
             WHEN EXISTS (SELECT 1 FROM audit_head WHERE size = NEW.size)
             BEGIN SELECT RAISE(ABORT, 'the audit log is only ever appended to'); END;",
    )?;
    for table in ["audit", "audit_node", "audit_head"] {
        for act in ["update", "delete"] {
            connection.execute_batch(&format!(
                "CREATE TRIGGER IF NOT EXISTS {table}_no_{act} BEFORE {act} ON {table}
                     BEGIN SELECT RAISE(ABORT, 'the audit log is only ever appended to'); END;"
            ))?;
        }
    }
    Ok(())
}

/// Appends a line within the transaction of the act itself, so that neither is there without the other. Gives its place in the log.
///
/// # Errors
///
/// What the database says.
pub fn append(transaction: &Transaction<'_>, entry: &Entry<'_>) -> rusqlite::Result<u64> {
    let index = size(transaction)?;
    let line = Line::new(index, entry);
    let leaf = audit::leaf(&line.octets());
    transaction
        .prepare_cached(
            "INSERT INTO audit (idx, at, who, act, case_id, request, detail, leaf) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            whole(index)?,
            line.at,
            line.who,
            line.act,
            line.case_id,
            line.request,
            line.detail,
            leaf
        ])?;
    let kept = Kept(transaction);
    let (mut level, mut place, mut hash) = (0, index, leaf);
    while place & 1 == 1 {
        hash = audit::parent(&kept.node(level, place - 1)?, &hash);
        (level, place) = (level + 1, place >> 1);
        transaction
            .prepare_cached("INSERT INTO audit_node (level, idx, hash) VALUES (?, ?, ?)")?
            .execute(params![level, whole(place)?, hash])?;
    }
    Ok(index)
}

/// How many lines there are.
///
/// # Errors
///
/// What the database says.
pub fn size(connection: &Connection) -> rusqlite::Result<u64> {
    let last: Option<i64> = connection
        .prepare_cached("SELECT max(idx) FROM audit")?
        .query_row([], |row| row.get(0))
        .optional()?
        .flatten();
    Ok(last.map_or(0, |last| u64::try_from(last).unwrap_or(0) + 1))
}

/// Lines of a case, or all, from a place on.
///
/// # Errors
///
/// What the database says.
pub fn lines(
    connection: &Connection,
    case: Option<&str>,
    from: u64,
    most: usize,
) -> rusqlite::Result<Vec<Line>> {
    let from = whole(from)?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    match case {
        Some(case) => connection
            .prepare_cached(&format!(
                "{} WHERE case_id = ? AND idx >= ? ORDER BY idx LIMIT ?",
                line::SELECT
            ))?
            .query_map(params![case, from, most], Line::read)?
            .collect(),
        None => connection
            .prepare_cached(&format!(
                "{} WHERE idx >= ? ORDER BY idx LIMIT ?",
                line::SELECT
            ))?
            .query_map(params![from, most], Line::read)?
            .collect(),
    }
}

/// Lines of a case, or all, before a place, the latest first, until the caller has enough of them.
///
/// # Errors
///
/// What the database says.
pub fn latest(
    connection: &Connection,
    case: Option<&str>,
    before: u64,
    mut more: impl FnMut(Line) -> bool,
) -> rusqlite::Result<()> {
    let before = whole(before)?;
    let select = line::SELECT;
    // With the case first SQLite takes its index; without one the table itself.
    let (sql, case) = match case {
        Some(case) => (
            format!("{select} WHERE idx < ?1 AND case_id = ?2 ORDER BY idx DESC"),
            Some(case),
        ),
        None => (
            format!("{select} WHERE idx < ?1 AND ?2 IS NULL ORDER BY idx DESC"),
            None,
        ),
    };
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![before, case])?;
    while let Some(row) = rows.next()? {
        if !more(Line::read(row)?) {
            break;
        }
    }
    Ok(())
}

/// The hashes that are kept.
struct Kept<'a>(&'a Connection);

impl Nodes for Kept<'_> {
    type Error = rusqlite::Error;

    fn node(&self, level: u32, index: u64) -> rusqlite::Result<Hash> {
        let index = whole(index)?;
        if level == 0 {
            return self
                .0
                .prepare_cached("SELECT leaf FROM audit WHERE idx = ?")?
                .query_row([index], |row| row.get(0));
        }
        self.0
            .prepare_cached("SELECT hash FROM audit_node WHERE level = ? AND idx = ?")?
            .query_row(params![level, index], |row| row.get(0))
    }
}

/// SQLite's integers have a sign.
fn whole(n: u64) -> rusqlite::Result<i64> {
    i64::try_from(n).map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))
}

/// A hash in hexadecimal.
pub fn hex(hash: &Hash) -> String {
    use std::fmt::Write;
    hash.iter().fold(String::with_capacity(64), |mut text, b| {
        let _ = write!(text, "{b:02x}");
        text
    })
}

/// A hash out of 64 hexadecimal digits.
pub fn unhex(text: &str) -> Option<Hash> {
    let mut out = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (o, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *o = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(out)
}
