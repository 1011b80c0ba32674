//! A case as machines see it: an organisation its own, the operator at the terminal any.

use rusqlite::{OptionalExtension, Row, params};
use serde::Serialize;

use super::super::{Docket, DocketError, Result};
use crate::base::Timestamp;

/// Most cases of a list.
const LISTED: usize = 1_000;

/// A case in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its id.
    pub id: String,
    /// For whom.
    pub organisation: String,
    /// Where it stands.
    pub state: String,
    /// How it ended.
    pub outcome: Option<String>,
    /// The provider that the outcome is about: its name.
    pub ended_at: Option<String>,
    /// Called number.
    pub called: String,
    /// When the call was.
    pub called_at: Timestamp,
    /// When it was handed in.
    pub created: Timestamp,
    /// When something of it changed last.
    pub changed: Timestamp,
    /// When it was closed.
    pub closed: Option<Timestamp>,
    /// Answered hops of its path.
    pub hops: u32,
    /// Whether every step of the path holds.
    pub verified: bool,
}

/// A case with its path: names of providers, and no evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Traceback {
    /// In short.
    #[serde(flatten)]
    pub case: Listed,
    /// What was found, in words.
    pub summary: String,
    /// Everybody who was asked, in the order of asking.
    pub path: Vec<Step>,
}

/// Somebody who was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The question.
    pub question: String,
    /// Its provider's name.
    pub provider: String,
    /// Why it was asked.
    pub branch: String,
    /// Where it stands.
    pub state: String,
    /// When it was asked.
    pub asked: Timestamp,
    /// By when it is to answer.
    pub due: Timestamp,
    /// When it answered.
    pub answered: Option<Timestamp>,
}

/// Id of a question, and the signed answer octet by octet as it came.
type Signed = (String, Vec<u8>);

const SELECT: &str = "SELECT t.id, t.organisation, t.state, t.outcome, p.name, t.called, t.called_at, t.created, t.changed, t.closed, t.hops, t.verified, t.summary
    FROM trace t LEFT JOIN provider p ON p.id = t.ended_at";

fn at(row: &Row<'_>, n: usize) -> rusqlite::Result<Timestamp> {
    row.get(n).map(Timestamp::from_nanos)
}

fn listed(row: &Row<'_>) -> rusqlite::Result<Listed> {
    Ok(Listed {
        id: row.get(0)?,
        organisation: row.get(1)?,
        state: row.get(2)?,
        outcome: row.get(3)?,
        ended_at: row.get(4)?,
        called: row.get(5)?,
        called_at: at(row, 6)?,
        created: at(row, 7)?,
        changed: at(row, 8)?,
        closed: row.get::<_, Option<i64>>(9)?.map(Timestamp::from_nanos),
        hops: row.get(10)?,
        verified: row.get(11)?,
    })
}

impl Docket {
    /// A case with its path. Where an organisation is named, it is one of its own.
    ///
    /// # Errors
    ///
    /// [`DocketError::Absent`].
    pub fn traceback(&self, id: &str, organisation: Option<&str>) -> Result<Traceback> {
        self.read(|tx| {
            let found = tx
                .prepare_cached(&format!("{SELECT} WHERE t.id = ? AND (?2 IS NULL OR t.organisation = ?2)"))?
                .query_row(params![id, organisation], |row| Ok((listed(row)?, row.get(12)?)))
                .optional()?;
            let (case, summary) = found.ok_or(DocketError::Absent("case"))?;
            let mut all = tx.prepare_cached(
                "SELECT h.id, p.name, h.branch, h.state, h.issued, h.due, h.answered FROM hop h JOIN provider p ON p.id = h.provider WHERE h.trace = ? ORDER BY h.n",
            )?;
            let rows = all.query_map([id], |row| {
                Ok(Step {
                    question: row.get(0)?,
                    provider: row.get(1)?,
                    branch: row.get(2)?,
                    state: row.get(3)?,
                    asked: at(row, 4)?,
                    due: at(row, 5)?,
                    answered: row.get::<_, Option<i64>>(6)?.map(Timestamp::from_nanos),
                })
            })?;
            let path = rows.collect::<rusqlite::Result<_>>()?;
            Ok(Traceback {
                case,
                summary,
                path,
            })
        })
    }

    /// Cases, the newest first; those in a state, where one is named.
    ///
    /// # Errors
    ///
    /// [`DocketError`].
    pub fn tracebacks(&self, state: Option<&str>, most: usize) -> Result<Vec<Listed>> {
        self.read(|tx| {
            let most = i64::try_from(most.min(LISTED)).unwrap_or(i64::MAX);
            let mut all = tx.prepare_cached(&format!(
                "{SELECT} WHERE ?1 IS NULL OR t.state = ?1 ORDER BY t.created DESC, t.id DESC LIMIT ?2"
            ))?;
            let rows = all.query_map(params![state, most], listed)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// The signed answers of the path that a case went, in the order of asking: the question's id, and the octets as they came.
    ///
    /// # Errors
    ///
    /// [`DocketError::Absent`].
    pub fn answers_of(&self, case: &str) -> Result<Vec<Signed>> {
        self.answers(case, true)
    }

    /// Those that are not on it: hints, questions that were asked again, branches that were taken back.
    ///
    /// # Errors
    ///
    /// [`DocketError::Absent`].
    pub fn answers_beside(&self, case: &str) -> Result<Vec<Signed>> {
        self.answers(case, false)
    }

    fn answers(&self, case: &str, on_path: bool) -> Result<Vec<Signed>> {
        self.read(|tx| {
            let there: bool = tx.query_row(
                "SELECT EXISTS (SELECT 1 FROM trace WHERE id = ?)",
                [case],
                |row| row.get(0),
            )?;
            if !there {
                return Err(DocketError::Absent("case").into());
            }
            // The path is what led to the deepest answer; hints and questions that were asked again beside it are not on it.
            let mut all = tx.prepare_cached(
                "WITH RECURSIVE path (id, parent) AS (
                     SELECT * FROM (SELECT id, parent FROM hop WHERE trace = ?1 AND answer IS NOT NULL AND state <> 'withdrawn' AND branch <> 'hint'
                                    ORDER BY depth DESC, n DESC LIMIT 1)
                     UNION ALL SELECT h.id, h.parent FROM hop h JOIN path p ON h.id = p.parent)
                 SELECT h.id, a.octets FROM hop h JOIN answer a ON a.hop = h.id AND a.id = h.answer
                 WHERE h.trace = ?1 AND EXISTS (SELECT 1 FROM path WHERE path.id = h.id) = ?2 ORDER BY h.n",
            )?;
            let rows = all.query_map(params![case, on_path], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }
}
