//! What the staff of one provider sees: its own questions, drafts and answers, and who said that it handed the call over. Nothing of any other hop.

use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde_json::Value;

use super::{ProviderName, maybe_time, maybe_word, named, time, word};
use crate::base::Timestamp;
use crate::portal::docket::{Docket, DocketError, Done, Result};
use crate::portal::word::{AnswerState, AnswerWay, Branch, HopState};
use crate::traceback::answer::{RawAnswer, Resolution};

/// Most lines of a page.
pub const MOST_LINES: usize = 200;
/// Most answers of one hop that are shown: each revision is one, and what was refused is kept too.
const MOST_ANSWERS: i64 = 50;
/// Most attachments of one hop that are listed.
const MOST_ATTACHMENTS: i64 = 50;

/// Which questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InboxPart {
    /// Those that wait for an answer; late ones and disputed ones too.
    Open,
    /// Those that are answered, or were taken back.
    Past,
}

impl InboxPart {
    fn states(self) -> &'static str {
        match self {
            Self::Open => "('asked', 'acknowledged', 'needs-info', 'disputed', 'non-responsive')",
            Self::Past => "('answered', 'withdrawn')",
        }
    }

    /// By what they are sorted: what is due soonest first, then what counts as unanswered, the latest first; past ones the latest first.
    fn key(self) -> &'static str {
        match self {
            Self::Open => "state = 'non-responsive', iif(state = 'non-responsive', -due, due)",
            // (A bare number would be a column's place.)
            Self::Past => "'', -issued",
        }
    }
}

/// One question.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct InboxLine {
    /// Its id.
    pub hop: String,
    /// Its case.
    pub case: String,
    /// Place on its path.
    pub depth: u32,
    /// Why it was asked.
    pub branch: Branch,
    /// Where it stands.
    pub state: HopState,
    /// 0 routine, 1 denial of service, 2 safety of life.
    pub priority: u8,
    /// Asked when.
    pub issued: Timestamp,
    /// Due when.
    pub due: Timestamp,
    /// Answered when.
    pub answered: Option<Timestamp>,
    /// Whether that was in time.
    pub in_time: Option<bool>,
    /// Who says that it got the call from this provider.
    pub downstream: Option<ProviderName>,
    /// What the case's campaign is called.
    pub campaign: Option<String>,
    /// What was answered.
    pub resolution: Option<Resolution>,
    /// Whom the answer names.
    pub named: Option<ProviderName>,
    /// The question as sent.
    pub request: Value,
    /// What the provider's machine found.
    pub draft: Option<DraftLine>,
}

/// A draft, in short.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct DraftLine {
    /// Id of the answer that it would be: who approves names it, so that what is approved is what was seen.
    pub answer: String,
    /// What it says.
    pub resolution: Resolution,
    /// Whom it names.
    pub named: Option<ProviderName>,
    /// How sure the matcher is.
    pub posterior: Option<f64>,
    /// When it came.
    pub received: Timestamp,
    /// What was decided: `approved`, `rejected`.
    pub decision: Option<String>,
    /// By whom.
    pub decided_by: Option<String>,
}

/// One answer to the question.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct AnswerLine {
    /// Its id.
    pub id: String,
    /// Rises with each.
    pub revision: u32,
    /// Where it stands.
    pub state: AnswerState,
    /// How it came.
    pub way: AnswerWay,
    /// When.
    pub received: Timestamp,
    /// From whom.
    pub by: String,
    /// What it says.
    pub resolution: Resolution,
    /// The signed octets, read; absent where they can't be.
    pub said: Option<RawAnswer>,
    /// SHA-256 of its compact JWS.
    pub digest: String,
    /// What does not hold.
    pub wrong: Vec<String>,
    /// Why somebody says that it is wrong.
    pub dispute: Option<String>,
    /// Who does.
    pub disputed_by: Option<String>,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct AttachmentLine {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// How long it is.
    pub octets: u64,
    /// When it came.
    pub at: Timestamp,
}

/// The answer that led to the question.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct NamedBy {
    /// Its question.
    pub hop: String,
    /// Whose it is.
    pub provider: ProviderName,
    /// Where it stands; none when it was taken back.
    pub state: Option<AnswerState>,
    /// Why somebody disputes it.
    pub dispute: Option<String>,
}

/// All that a provider sees of one question.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct InboxHop {
    /// In short.
    pub line: InboxLine,
    /// The draft, as the machine wrote it.
    pub draft: Option<RawAnswer>,
    /// Its answers, the latest first.
    pub answers: Vec<AnswerLine>,
    /// Files that its staff added.
    pub attachments: Vec<AttachmentLine>,
    /// Who named this provider.
    pub named_by: Option<NamedBy>,
}

/// How many questions of a provider wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Waiting {
    /// Open, past their deadline ones too.
    pub open: u64,
    /// Of these past their deadline.
    pub overdue: u64,
    /// Of these with a draft that nobody has decided on.
    pub drafts: u64,
}

const LINE: &str = "h.id, h.trace, h.depth, h.branch, h.state, t.priority, h.issued, h.due, h.answered, h.in_time, h.downstream,
    (SELECT name FROM provider WHERE id = h.downstream), (SELECT name FROM campaign WHERE id = t.campaign), h.resolution, h.named,
    (SELECT name FROM provider WHERE id = h.named), h.octets, d.answer, d.resolution, d.named, (SELECT name FROM provider WHERE id = d.named),
    d.posterior, d.received, d.decision, d.decided_by";
const FROM: &str = "hop h JOIN trace t ON t.id = h.trace LEFT JOIN draft d ON d.hop = h.id";

impl Docket {
    /// Questions of a provider, in the order of [`InboxPart`]. `after` is the last one of the page before.
    ///
    /// # Errors
    ///
    /// The database.
    pub fn inbox(
        &self,
        provider: &str,
        part: InboxPart,
        after: Option<&str>,
        most: usize,
    ) -> Result<Vec<InboxLine>> {
        let states = part.states();
        let key = part.key();
        // The key of a page is read from the provider's own questions: another's id says nothing.
        let sql = format!(
            "WITH page (id) AS (
                 SELECT id FROM hop WHERE provider = ?1 AND state IN {states}
                     AND (?2 IS NULL OR ({key}, id) > (SELECT {key}, id FROM hop WHERE id = ?2 AND provider = ?1))
                 ORDER BY {key}, id LIMIT ?3)
             SELECT {LINE} FROM page JOIN {FROM} WHERE h.id = page.id ORDER BY {of_hop}, h.id",
            of_hop = key.replace("state", "h.state").replace("due", "h.due").replace("issued", "h.issued"),
        );
        let most = i64::try_from(most.min(MOST_LINES)).unwrap_or(1);
        self.read(|tx| {
            let mut statement = tx.prepare_cached(&sql)?;
            let lines = statement.query_map(params![provider, after, most], line)?;
            Ok(lines.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// How many questions of a provider wait.
    ///
    /// # Errors
    ///
    /// The database.
    pub fn waiting(&self, provider: &str, now: Timestamp) -> Result<Waiting> {
        let sql = format!(
            "SELECT count(*), coalesce(sum(h.due < ?2), 0), coalesce(sum(d.hop IS NOT NULL AND d.decided IS NULL), 0)
             FROM hop h LEFT JOIN draft d ON d.hop = h.id WHERE h.provider = ?1 AND h.state IN {}",
            InboxPart::Open.states()
        );
        self.read(|tx| {
            let mut statement = tx.prepare_cached(&sql)?;
            Ok(statement.query_row(params![provider, now.nanos()], |row| {
                Ok(Waiting {
                    open: super::whole(row.get(0)?),
                    overdue: super::whole(row.get(1)?),
                    drafts: super::whole(row.get(2)?),
                })
            })?)
        })
    }

    /// All that a provider sees of one of its questions.
    ///
    /// # Errors
    ///
    /// [`DocketError::Absent`]: there is none, or it is another's.
    pub fn inbox_hop(&self, provider: &str, hop: &str) -> Result<InboxHop> {
        self.read(|tx| {
            let sql = format!("SELECT {LINE} FROM {FROM} WHERE h.id = ? AND h.provider = ?");
            let found = tx
                .prepare_cached(&sql)?
                .query_row(params![hop, provider], line)
                .optional()?;
            let line = found.ok_or(DocketError::Absent("question"))?;
            let draft = tx
                .prepare_cached("SELECT octets FROM draft WHERE hop = ?")?
                .query_row([hop], |row| row.get::<_, Vec<u8>>(0))
                .optional()?;
            Ok(InboxHop {
                draft: draft.and_then(|octets| serde_json::from_slice(&octets).ok()),
                answers: answers(tx, hop)?,
                attachments: attachments(tx, hop)?,
                named_by: named_by(tx, hop)?,
                line,
            })
        })
    }

    /// A file that a provider's staff added to its own question: name and octets.
    ///
    /// # Errors
    ///
    /// [`DocketError::Absent`]: there is none, or it is another's.
    pub fn inbox_attachment(&self, provider: &str, id: i64) -> Result<(String, Vec<u8>)> {
        self.read(|tx| {
            let found = tx
                .prepare_cached(
                    "SELECT a.name, a.octets FROM attachment a JOIN hop h ON h.id = a.hop WHERE a.id = ? AND h.provider = ?",
                )?
                .query_row(params![id, provider], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            Ok(found.ok_or(DocketError::Absent("file"))?)
        })
    }
}

fn line(row: &Row<'_>) -> rusqlite::Result<InboxLine> {
    let octets = row.get_ref(16)?.as_blob().unwrap_or_default();
    let draft = match row.get::<_, Option<String>>(17)? {
        None => None,
        Some(answer) => Some(DraftLine {
            answer,
            resolution: word(row, 18, Resolution::from_label)?,
            named: named(row, 19, 20)?,
            posterior: row.get(21)?,
            received: time(row, 22)?,
            decision: row.get(23)?,
            decided_by: row.get(24)?,
        }),
    };
    Ok(InboxLine {
        hop: row.get(0)?,
        case: row.get(1)?,
        depth: row.get(2)?,
        branch: word(row, 3, Branch::from_label)?,
        state: word(row, 4, HopState::from_label)?,
        priority: row.get(5)?,
        issued: time(row, 6)?,
        due: time(row, 7)?,
        answered: maybe_time(row, 8)?,
        in_time: row.get(9)?,
        downstream: named(row, 10, 11)?,
        campaign: row.get(12)?,
        resolution: maybe_word(row, 13, Resolution::from_label)?,
        named: named(row, 14, 15)?,
        request: serde_json::from_slice(octets).unwrap_or_default(),
        draft,
    })
}

fn answers(tx: &Transaction<'_>, hop: &str) -> Done<Vec<AnswerLine>> {
    let mut statement = tx.prepare_cached(
        "SELECT id, revision, state, way, received, by, resolution, octets, digest, wrong, dispute, disputed_by FROM answer
         WHERE hop = ? ORDER BY received DESC, revision DESC LIMIT ?",
    )?;
    let rows = statement.query_map(params![hop, MOST_ANSWERS], |row| {
        let octets = row.get_ref(7)?.as_blob().unwrap_or_default();
        let wrong: String = row.get(9)?;
        Ok(AnswerLine {
            id: row.get(0)?,
            revision: row.get(1)?,
            state: word(row, 2, AnswerState::from_label)?,
            way: word(row, 3, AnswerWay::from_label)?,
            received: time(row, 4)?,
            by: row.get(5)?,
            resolution: word(row, 6, Resolution::from_label)?,
            said: serde_json::from_slice(octets).ok(),
            digest: row.get(8)?,
            wrong: serde_json::from_str(&wrong).unwrap_or_default(),
            dispute: row.get(10)?,
            disputed_by: row.get(11)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn attachments(tx: &Transaction<'_>, hop: &str) -> Done<Vec<AttachmentLine>> {
    let mut statement = tx.prepare_cached(
        "SELECT id, name, length(octets), at FROM attachment WHERE hop = ? ORDER BY id LIMIT ?",
    )?;
    let rows = statement.query_map(params![hop, MOST_ATTACHMENTS], |row| {
        Ok(AttachmentLine {
            id: row.get(0)?,
            name: row.get(1)?,
            octets: super::whole(row.get(2)?),
            at: time(row, 3)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn named_by(tx: &Transaction<'_>, hop: &str) -> Done<Option<NamedBy>> {
    let found = tx
        .prepare_cached(
            "SELECT q.id, q.provider, p.name, a.state, a.dispute FROM hop h JOIN hop q ON q.id = h.parent JOIN provider p ON p.id = q.provider
             LEFT JOIN answer a ON a.hop = q.id AND a.id = q.answer WHERE h.id = ? AND q.provider = h.downstream",
        )?
        .query_row([hop], |row| {
            Ok(NamedBy {
                hop: row.get(0)?,
                provider: ProviderName {
                    id: row.get(1)?,
                    name: row.get(2)?,
                },
                state: maybe_word(row, 3, AnswerState::from_label)?,
                dispute: row.get(4)?,
            })
        })
        .optional()?;
    Ok(found)
}
