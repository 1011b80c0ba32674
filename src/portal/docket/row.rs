//! Cases and questions, as the acts read them from the database.

use rusqlite::{OptionalExtension, Row};

use super::work::{Done, Fault, Work};
use super::{Actor, DocketError};
use crate::base::Timestamp;
use crate::portal::word::{Branch, CaseState, HopState, Role};

/// A case.
#[derive(Clone, Debug)]
pub(super) struct TraceRow {
    pub id: Box<str>,
    pub state: CaseState,
    pub outcome: Option<Box<str>>,
    pub priority: i64,
    pub campaign: Option<i64>,
    pub organisation: Box<str>,
    pub legal_basis: Box<str>,
    pub call: Box<str>,
    pub first_provider: Box<str>,
    pub summary: Box<str>,
    pub ended_at: Option<Box<str>>,
    pub closed_by: Option<Box<str>>,
}

/// What closes a case by itself, and may open it again.
pub(super) const BY_WALK: &str = "walk";

impl TraceRow {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        let state: Box<str> = row.get(1)?;
        Ok(Self {
            id: row.get(0)?,
            state: CaseState::from_label(&state).ok_or(rusqlite::Error::InvalidQuery)?,
            outcome: row.get(2)?,
            priority: row.get(3)?,
            campaign: row.get(4)?,
            organisation: row.get(5)?,
            legal_basis: row.get(6)?,
            call: row.get(7)?,
            first_provider: row.get(8)?,
            summary: row.get(9)?,
            ended_at: row.get(10)?,
            closed_by: row.get(11)?,
        })
    }

    /// Whether the walk decides where it stands.
    pub fn is_walked(&self) -> bool {
        match self.state {
            CaseState::Open | CaseState::Stuck => true,
            CaseState::Closed => self.closed_by.as_deref() == Some(BY_WALK),
            CaseState::Submitted | CaseState::Declined => false,
        }
    }

    /// Refuses whoever may not see it: an analyst may, and the organisation that handed it in.
    pub fn visible_to(self, actor: &Actor) -> Done<Self> {
        let own = actor.role == Role::Requester && *actor.organisation == *self.organisation;
        match own || actor.is_analyst() {
            true => Ok(self),
            false => Err(DocketError::Absent("case").into()),
        }
    }
}

/// A question.
#[derive(Clone, Debug)]
pub(super) struct HopRow {
    pub id: Box<str>,
    pub trace: Box<str>,
    pub n: u32,
    pub depth: u32,
    pub parent: Option<Box<str>>,
    pub branch: Branch,
    pub provider: Box<str>,
    pub downstream: Option<Box<str>>,
    pub state: HopState,
    pub octets: Vec<u8>,
    pub sha256: Box<str>,
    pub previous_digest: Option<Box<str>>,
    pub due: Timestamp,
    pub named: Option<Box<str>>,
    pub answer: Option<Box<str>>,
}

const HOP: &str = "SELECT id, trace, n, depth, parent, branch, provider, downstream, state, octets, sha256, previous_digest, due, named, answer FROM hop";

impl HopRow {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        let (branch, state): (Box<str>, Box<str>) = (row.get(5)?, row.get(8)?);
        let bad = || rusqlite::Error::InvalidQuery;
        Ok(Self {
            id: row.get(0)?,
            trace: row.get(1)?,
            n: row.get(2)?,
            depth: row.get(3)?,
            parent: row.get(4)?,
            branch: Branch::from_label(&branch).ok_or_else(bad)?,
            provider: row.get(6)?,
            downstream: row.get(7)?,
            state: HopState::from_label(&state).ok_or_else(bad)?,
            octets: row.get(9)?,
            sha256: row.get(10)?,
            previous_digest: row.get(11)?,
            due: Timestamp::from_nanos(row.get(12)?),
            named: row.get(13)?,
            answer: row.get(14)?,
        })
    }

    /// Whether the provider owes an answer.
    pub fn waits(&self) -> bool {
        matches!(self.state, HopState::Asked | HopState::Acknowledged)
    }

    /// Whether an answer is taken.
    pub fn takes_answers(&self) -> bool {
        self.state != HopState::Withdrawn
    }
}

impl Work<'_> {
    /// A case, or that there is none.
    pub(super) fn trace(&self, id: &str) -> Done<TraceRow> {
        let mut found = self.tx.prepare_cached(
            "SELECT id, state, outcome, priority, campaign, organisation, legal_basis, call, first_provider, summary, ended_at, closed_by FROM trace WHERE id = ?",
        )?;
        let row = found.query_row([id], TraceRow::of).optional()?;
        row.ok_or_else(|| Fault::Docket(DocketError::Absent("case")))
    }

    /// A question, or that there is none.
    pub(super) fn hop(&self, id: &str) -> Done<HopRow> {
        let mut found = self.tx.prepare_cached(&format!("{HOP} WHERE id = ?"))?;
        let row = found.query_row([id], HopRow::of).optional()?;
        row.ok_or_else(|| Fault::Docket(DocketError::Absent("question")))
    }

    /// A question of one provider; anybody else's is not there.
    pub(super) fn own_hop(&self, id: &str, provider: &str) -> Done<HopRow> {
        let hop = self.hop(id)?;
        match *hop.provider == *provider {
            true => Ok(hop),
            false => Err(DocketError::Absent("question").into()),
        }
    }

    /// Every question of a case, in the order of asking.
    pub(super) fn hops(&self, trace: &str) -> Done<Vec<HopRow>> {
        let mut found = self
            .tx
            .prepare_cached(&format!("{HOP} WHERE trace = ? ORDER BY n"))?;
        let rows = found.query_map([trace], HopRow::of)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}
