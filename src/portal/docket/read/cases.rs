//! The list of cases: filtered, sorted, page by page from a key on, so that the thousandth page costs what the first does.

use rusqlite::types::Value as Sql;
use rusqlite::{Row, params_from_iter};
use serde::Serialize;

use super::{ProviderName, maybe_time, maybe_word, named, time, whole, word};
use crate::base::Timestamp;
use crate::portal::docket::{Actor, Docket, DocketError, Result};
use crate::portal::word::{CaseState, Outcome, Role};

/// Lines of a page.
pub const PAGE: usize = 50;
/// Campaigns that a form offers: a consortium works on some dozens at a time.
const MOST_CAMPAIGNS: i64 = 300;
/// Longest text that is looked for.
pub const MOST_TEXT: usize = 100;

/// In which order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The newest first.
    #[default]
    Newest,
    /// What changed last first.
    Changed,
    /// Safety of life first, of the same priority the newest.
    Urgent,
}

/// Which cases.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// Where they stand.
    pub state: Option<CaseState>,
    /// How they ended.
    pub outcome: Option<Outcome>,
    /// 0 routine, 1 denial of service, 2 safety of life.
    pub priority: Option<i64>,
    /// Of this campaign.
    pub campaign: Option<i64>,
    /// In which this provider was asked, or that ended at it.
    pub provider: Option<String>,
    /// A number, canonical: called or calling.
    pub number: Option<String>,
    /// A text in id, summary, evidence or organisation.
    pub text: Option<String>,
    /// Handed in from then on.
    pub from: Option<Timestamp>,
    /// Handed in before.
    pub to: Option<Timestamp>,
    /// In which order.
    pub order: Order,
}

/// Where a page begins: after the case that the page before ended with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct After {
    /// The value that the order goes by.
    pub key: i64,
    /// Second value; 0 where there is none.
    pub second: i64,
    /// The case.
    pub case: String,
}

/// A case in a list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CaseLine {
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub state: CaseState,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// 0 routine, 1 denial of service, 2 safety of life.
    pub priority: i64,
    /// Of which campaign.
    pub campaign: Option<String>,
    /// Who handed it in.
    pub organisation: String,
    /// Called number.
    pub called: String,
    /// Calling number.
    pub calling: Option<String>,
    /// When the call was.
    pub called_at: Timestamp,
    /// Where the call ended.
    pub first: Option<ProviderName>,
    /// Whom the outcome is about.
    pub ended_at: Option<ProviderName>,
    /// Answered hops of the path.
    pub hops: i64,
    /// Whether every step holds.
    pub verified: bool,
    /// Who is asked now.
    pub asked: Option<String>,
    /// Until when.
    pub due: Option<Timestamp>,
    /// Handed in when.
    pub created: Timestamp,
    /// Changed when.
    pub changed: Timestamp,
}

/// A page of the list.
#[derive(Clone, Debug, PartialEq)]
pub struct Cases {
    /// Its lines.
    pub lines: Vec<CaseLine>,
    /// Where the next page begins; none: this is the last.
    pub next: Option<After>,
}

/// How many cases there are in each state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct StateCount {
    /// The state.
    pub state: CaseState,
    /// How many.
    pub count: u64,
}

impl Docket {
    /// Cases that an actor may see: requesters those of their organisation, analysts and auditors all, staff of providers none.
    ///
    /// # Errors
    ///
    /// [`DocketError::Absent`] for staff of a provider; the database.
    pub fn cases(&self, actor: &Actor, wanted: &Wanted, after: Option<&After>) -> Result<Cases> {
        let mut asked = Asked::of(actor)?;
        asked.wanted(wanted);
        if let Some(after) = after {
            asked.after(wanted.order, after);
        }
        let (keys, order) = match wanted.order {
            Order::Newest => ("t.created, 0", "t.created DESC, t.id DESC"),
            Order::Changed => ("t.changed, 0", "t.changed DESC, t.id DESC"),
            Order::Urgent => (
                "t.priority, t.created",
                "t.priority DESC, t.created DESC, t.id DESC",
            ),
        };
        // The page is found first, and what is shown of each line only then.
        let sql = format!(
            "WITH page AS (SELECT t.id AS id, ROW_NUMBER() OVER () AS place FROM (
                 SELECT t.id FROM trace t WHERE {} ORDER BY {order} LIMIT {}) t)
             SELECT {LINE}, {keys} FROM page JOIN trace t ON t.id = page.id ORDER BY page.place",
            asked.clauses.join(" AND "),
            PAGE + 1
        );
        self.read(|tx| {
            let mut statement = tx.prepare_cached(&sql)?;
            let rows = statement.query_map(params_from_iter(&asked.values), |row| {
                Ok((
                    line(row)?,
                    row.get::<_, i64>(KEYS)?,
                    row.get::<_, i64>(KEYS + 1)?,
                ))
            })?;
            let mut rows: Vec<_> = rows.collect::<rusqlite::Result<_>>()?;
            let more = rows.len() > PAGE;
            rows.truncate(PAGE);
            let next = rows
                .last()
                .filter(|_| more)
                .map(|(line, key, second)| After {
                    key: *key,
                    second: *second,
                    case: line.id.clone(),
                });
            let lines = rows.into_iter().map(|(line, _, _)| line).collect();
            Ok(Cases { lines, next })
        })
    }

    /// How many cases an actor may see, by state.
    ///
    /// # Errors
    ///
    /// As [`Self::cases`].
    pub fn case_counts(&self, actor: &Actor) -> Result<Vec<StateCount>> {
        let asked = Asked::of(actor)?;
        let sql = format!(
            "SELECT t.state, count(*) FROM trace t WHERE {} GROUP BY t.state",
            asked.clauses.join(" AND ")
        );
        let found: Vec<StateCount> = self.read(|tx| {
            let mut statement = tx.prepare_cached(&sql)?;
            let rows = statement.query_map(params_from_iter(&asked.values), |row| {
                Ok(StateCount {
                    state: word(row, 0, CaseState::from_label)?,
                    count: whole(row.get(1)?),
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })?;
        let of = |state| {
            found
                .iter()
                .find(|c| c.state == state)
                .map_or(0, |c| c.count)
        };
        let all = CaseState::ALL.iter();
        Ok(all
            .map(|&state| StateCount {
                state,
                count: of(state),
            })
            .collect())
    }
}

impl Docket {
    /// Number and name of the campaigns that a form offers: the newest.
    ///
    /// # Errors
    ///
    /// The database.
    pub fn campaign_names(&self) -> Result<Vec<(i64, String)>> {
        self.read(|tx| {
            let sql = "SELECT id, name FROM campaign ORDER BY id DESC LIMIT ?";
            let mut statement = tx.prepare_cached(sql)?;
            let rows =
                statement.query_map([MOST_CAMPAIGNS], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }
}

/// Columns of [`line()`].
const LINE: &str = "t.id, t.state, t.outcome, t.priority, (SELECT name FROM campaign WHERE id = t.campaign), t.organisation, t.called, t.calling,
    t.called_at, t.first_provider, (SELECT name FROM provider WHERE id = t.first_provider), t.ended_at,
    (SELECT name FROM provider WHERE id = t.ended_at), t.hops, t.verified, t.created, t.changed,
    (SELECT p.name FROM hop h JOIN provider p ON p.id = h.provider WHERE h.trace = t.id AND h.state IN ('asked', 'acknowledged', 'needs-info') ORDER BY h.n DESC LIMIT 1),
    (SELECT h.due FROM hop h WHERE h.trace = t.id AND h.state IN ('asked', 'acknowledged', 'needs-info') ORDER BY h.n DESC LIMIT 1)";
/// The column after them.
const KEYS: usize = 19;

fn line(row: &Row<'_>) -> rusqlite::Result<CaseLine> {
    Ok(CaseLine {
        id: row.get(0)?,
        state: word(row, 1, CaseState::from_label)?,
        outcome: maybe_word(row, 2, Outcome::from_label)?,
        priority: row.get(3)?,
        campaign: row.get(4)?,
        organisation: row.get(5)?,
        called: row.get(6)?,
        calling: row.get(7)?,
        called_at: time(row, 8)?,
        first: named(row, 9, 10)?,
        ended_at: named(row, 11, 12)?,
        hops: row.get(13)?,
        verified: row.get(14)?,
        created: time(row, 15)?,
        changed: time(row, 16)?,
        asked: row.get(17)?,
        due: maybe_time(row, 18)?,
    })
}

/// What is asked of the database: clauses that we wrote, with every value apart from them.
struct Asked {
    clauses: Vec<&'static str>,
    values: Vec<Sql>,
}

impl Asked {
    fn of(actor: &Actor) -> Result<Self> {
        let mut asked = Self {
            clauses: Vec::new(),
            values: Vec::new(),
        };
        match actor.role {
            Role::Analyst | Role::Auditor => asked.clauses.push("TRUE"),
            Role::Requester => {
                asked.add("t.organisation = ?", actor.organisation.to_string().into())
            }
            Role::Provider => return Err(DocketError::Absent("page")),
        }
        Ok(asked)
    }

    fn add(&mut self, clause: &'static str, value: Sql) {
        self.clauses.push(clause);
        self.values.push(value);
    }

    fn wanted(&mut self, wanted: &Wanted) {
        let text = |t: &str| Sql::Text(t.to_owned());
        if let Some(state) = wanted.state {
            self.add("t.state = ?", text(state.label()));
        }
        if let Some(outcome) = wanted.outcome {
            self.add("t.outcome = ?", text(outcome.label()));
        }
        if let Some(priority) = wanted.priority {
            self.add("t.priority = ?", priority.into());
        }
        if let Some(campaign) = wanted.campaign {
            self.add("t.campaign = ?", campaign.into());
        }
        if let Some(provider) = &wanted.provider {
            let clause = "(t.ended_at = ? OR t.id IN (SELECT trace FROM hop WHERE provider = ?))";
            self.add(clause, text(provider));
            self.values.push(text(provider));
        }
        if let Some(number) = &wanted.number {
            self.add("(t.called = ? OR t.calling = ?)", text(number));
            self.values.push(text(number));
        }
        if let Some(sought) = &wanted.text {
            let clause = "(t.id LIKE ? ESCAPE '!' OR t.organisation LIKE ? ESCAPE '!' OR t.summary LIKE ? ESCAPE '!' OR t.evidence LIKE ? ESCAPE '!')";
            let part: String = sought.chars().take(MOST_TEXT).collect();
            let part = part
                .replace('!', "!!")
                .replace('%', "!%")
                .replace('_', "!_");
            let part = format!("%{part}%");
            self.add(clause, text(&part));
            self.values.extend([text(&part), text(&part), text(&part)]);
        }
        if let Some(from) = wanted.from {
            self.add("t.created >= ?", from.nanos().into());
        }
        if let Some(to) = wanted.to {
            self.add("t.created < ?", to.nanos().into());
        }
    }

    fn after(&mut self, order: Order, after: &After) {
        let case = Sql::Text(after.case.clone());
        match order {
            Order::Newest => self.add("(t.created, t.id) < (?, ?)", after.key.into()),
            Order::Changed => self.add("(t.changed, t.id) < (?, ?)", after.key.into()),
            Order::Urgent => {
                self.add(
                    "(t.priority, t.created, t.id) < (?, ?, ?)",
                    after.key.into(),
                );
                self.values.push(after.second.into());
            }
        }
        self.values.push(case);
    }
}

impl After {
    /// As it stands in a link.
    pub fn text(&self) -> String {
        format!("{}.{}.{}", self.key, self.second, self.case)
    }

    /// Out of a link.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '.');
        Some(Self {
            key: parts.next()?.parse().ok()?,
            second: parts.next()?.parse().ok()?,
            case: parts.next().filter(|c| c.len() <= 64)?.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests;
