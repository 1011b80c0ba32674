//! Campaigns: what cases have in common, how far they got, and reports that providers sent unasked.

use rusqlite::{OptionalExtension, Row, params};
use serde_json::Value;

use super::{ProviderName, maybe_time, maybe_word, named, time, whole, word};
use crate::base::Timestamp;
use crate::portal::docket::{Docket, DocketError, Result};
use crate::portal::word::{CaseState, Category, Outcome};

/// Most campaigns of a page.
pub const MOST_CAMPAIGNS: usize = 200;
/// Most cases, origins and reports that a campaign's page shows; the case list has all.
const MOST_SHOWN: i64 = 50;
/// Most reports of a page.
pub const MOST_REPORTS: usize = 200;

/// A campaign, in short.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct CampaignLine {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// What it is about.
    pub category: Category,
    /// In words.
    pub summary: String,
    /// When it was made.
    pub created: Timestamp,
    /// By whom.
    pub created_by: String,
    /// Cases.
    pub cases: u64,
    /// Cases that are not over.
    pub open: u64,
    /// Closed cases with the originating provider or the point of entry known.
    pub completed: u64,
    /// When the last case was handed in.
    pub last: Option<Timestamp>,
}

/// A case of a campaign.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct CampaignCase {
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub state: CaseState,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Called number.
    pub called: String,
    /// Calling number.
    pub calling: Option<String>,
    /// When the call was.
    pub called_at: Timestamp,
    /// At whom it ended.
    pub ended_at: Option<ProviderName>,
}

/// Where cases of a campaign ended.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct CampaignOrigin {
    /// At whom.
    pub provider: ProviderName,
    /// How.
    pub outcome: Outcome,
    /// How many.
    pub cases: u64,
}

/// A report that a provider sent unasked.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ReportLine {
    /// Who sent it.
    pub provider: ProviderName,
    /// Its key.
    pub key: String,
    /// When it came.
    pub received: Timestamp,
    /// In words.
    pub summary: String,
    /// Whom it names.
    pub upstream: Option<ProviderName>,
    /// The campaign that an analyst put it into.
    pub campaign: Option<(i64, String)>,
    /// Who has looked at it.
    pub seen_by: Option<String>,
    /// The signed octets, read.
    pub said: Value,
}

/// All about a campaign.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct CampaignPage {
    /// In short.
    pub line: CampaignLine,
    /// Its latest cases.
    pub cases: Vec<CampaignCase>,
    /// Where they ended, the most first.
    pub origins: Vec<CampaignOrigin>,
    /// What providers reported of it.
    pub reports: Vec<ReportLine>,
}

const LINE: &str = "c.id, c.name, c.category, c.summary, c.created, c.created_by, count(t.id),
    coalesce(sum(t.state IN ('submitted', 'open', 'stuck')), 0),
    coalesce(sum(t.state = 'closed' AND t.outcome IN ('originator', 'point-of-entry')), 0), max(t.created)";
const REPORT: &str = "r.provider, p.name, r.key, r.received, r.summary, r.upstream, (SELECT name FROM provider WHERE id = r.upstream), r.campaign, c.name,
    r.seen_by, r.octets FROM report r JOIN provider p ON p.id = r.provider LEFT JOIN campaign c ON c.id = r.campaign";

impl Docket {
    /// Campaigns, the latest first, from one on.
    ///
    /// # Errors
    ///
    /// The database.
    pub fn campaign_lines(&self, before: Option<i64>, most: usize) -> Result<Vec<CampaignLine>> {
        let sql = format!(
            "SELECT {LINE} FROM (SELECT * FROM campaign WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2) c
             LEFT JOIN trace t ON t.campaign = c.id GROUP BY c.id ORDER BY c.id DESC"
        );
        let most = i64::try_from(most.min(MOST_CAMPAIGNS)).unwrap_or(1);
        self.read(|tx| {
            let mut statement = tx.prepare_cached(&sql)?;
            let lines = statement.query_map(params![before, most], line)?;
            Ok(lines.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// All about a campaign.
    ///
    /// # Errors
    ///
    /// [`DocketError::Absent`].
    pub fn campaign_page(&self, id: i64) -> Result<CampaignPage> {
        self.read(|tx| {
            let sql = format!(
                "SELECT {LINE} FROM campaign c LEFT JOIN trace t ON t.campaign = c.id WHERE c.id = ? GROUP BY c.id"
            );
            let found = tx
                .prepare_cached(&sql)?
                .query_row([id], line)
                .optional()?;
            let line = found.ok_or(DocketError::Absent("campaign"))?;
            let mut statement = tx.prepare_cached(
                "SELECT t.id, t.state, t.outcome, t.called, t.calling, t.called_at, t.ended_at, p.name
                 FROM trace t LEFT JOIN provider p ON p.id = t.ended_at WHERE t.campaign = ? ORDER BY t.created DESC LIMIT ?",
            )?;
            let cases = statement.query_map(params![id, MOST_SHOWN], |row| {
                Ok(CampaignCase {
                    id: row.get(0)?,
                    state: word(row, 1, CaseState::from_label)?,
                    outcome: maybe_word(row, 2, Outcome::from_label)?,
                    called: row.get(3)?,
                    calling: row.get(4)?,
                    called_at: time(row, 5)?,
                    ended_at: named(row, 6, 7)?,
                })
            })?;
            let cases = cases.collect::<rusqlite::Result<_>>()?;
            let mut statement = tx.prepare_cached(
                "SELECT t.ended_at, p.name, t.outcome, count(*) AS n FROM trace t JOIN provider p ON p.id = t.ended_at
                 WHERE t.campaign = ? AND t.state = 'closed' AND t.outcome IN ('originator', 'point-of-entry')
                 GROUP BY t.ended_at, t.outcome ORDER BY n DESC, t.ended_at LIMIT ?",
            )?;
            let origins = statement.query_map(params![id, MOST_SHOWN], |row| {
                Ok(CampaignOrigin {
                    provider: ProviderName {
                        id: row.get(0)?,
                        name: row.get(1)?,
                    },
                    outcome: word(row, 2, Outcome::from_label)?,
                    cases: whole(row.get(3)?),
                })
            })?;
            let origins = origins.collect::<rusqlite::Result<_>>()?;
            let sql = format!("SELECT {REPORT} WHERE r.campaign = ? ORDER BY r.received DESC LIMIT ?");
            let mut statement = tx.prepare_cached(&sql)?;
            let reports = statement.query_map(params![id, MOST_SHOWN], report)?;
            Ok(CampaignPage {
                line,
                cases,
                origins,
                reports: reports.collect::<rusqlite::Result<_>>()?,
            })
        })
    }

    /// Reports that providers sent unasked, the latest first: those that nobody has put anywhere, or all.
    ///
    /// # Errors
    ///
    /// The database.
    pub fn report_lines(
        &self,
        only_new: bool,
        before: Option<(Timestamp, &str)>,
        most: usize,
    ) -> Result<Vec<ReportLine>> {
        let sql = format!(
            "SELECT {REPORT} WHERE (NOT ?1 OR r.seen_by IS NULL) AND (?2 IS NULL OR (r.received, r.key) < (?2, ?3))
             ORDER BY r.received DESC, r.key DESC LIMIT ?4"
        );
        let (at, key) = before.map_or((None, None), |(at, key)| (Some(at.nanos()), Some(key)));
        let most = i64::try_from(most.min(MOST_REPORTS)).unwrap_or(1);
        self.read(|tx| {
            let mut statement = tx.prepare_cached(&sql)?;
            let lines = statement.query_map(params![only_new, at, key, most], report)?;
            Ok(lines.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// One report.
    ///
    /// # Errors
    ///
    /// [`DocketError::Absent`].
    pub fn report_page(&self, provider: &str, key: &str) -> Result<ReportLine> {
        let sql = format!("SELECT {REPORT} WHERE r.provider = ? AND r.key = ?");
        self.read(|tx| {
            let found = tx
                .prepare_cached(&sql)?
                .query_row(params![provider, key], report)
                .optional()?;
            Ok(found.ok_or(DocketError::Absent("report"))?)
        })
    }
}

fn line(row: &Row<'_>) -> rusqlite::Result<CampaignLine> {
    Ok(CampaignLine {
        id: row.get(0)?,
        name: row.get(1)?,
        category: word(row, 2, Category::from_label)?,
        summary: row.get(3)?,
        created: time(row, 4)?,
        created_by: row.get(5)?,
        cases: whole(row.get(6)?),
        open: whole(row.get(7)?),
        completed: whole(row.get(8)?),
        last: maybe_time(row, 9)?,
    })
}

fn report(row: &Row<'_>) -> rusqlite::Result<ReportLine> {
    let octets = row.get_ref(10)?.as_blob().unwrap_or_default();
    let campaign: Option<i64> = row.get(7)?;
    let name: Option<String> = row.get(8)?;
    Ok(ReportLine {
        provider: ProviderName {
            id: row.get(0)?,
            name: row.get(1)?,
        },
        key: row.get(2)?,
        received: time(row, 3)?,
        summary: row.get(4)?,
        upstream: named(row, 5, 6)?,
        campaign: campaign.zip(name),
        seen_by: row.get(9)?,
        said: serde_json::from_slice(octets).unwrap_or_default(),
    })
}
