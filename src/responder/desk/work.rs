//! One transaction on the desk, and what all of its acts share.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::types::FromSql;
use rusqlite::{OptionalExtension, Row as SqlRow, Transaction, params};
use serde_json::{Value, json};

use super::machine::{self, Event, Step};
use super::{DeskError, DeskSettings};
use crate::base::Timestamp;
use crate::proof::audit::{self, Entry};
use crate::proof::sign::Signer;
use crate::responder::case::{Mode, RequestKey, RequestState, Way, Who};
use crate::responder::settings::PortalSettings;
use crate::traceback::deadline::{Deadline, RuleClock};

/// In place of a case's id where there is none: the request could not be read, or the act is about all of them.
pub(super) const NO_CASE: &str = "-";
/// How long after its due time an answer is still tried. Portals that were away for days still want it; one that
/// has not come back after two weeks has another address.
pub(super) const GIVES_UP: Duration = Duration::from_secs(14 * 86_400);
/// Turns that one request may take, by clarifications, disputes and the like. A portal that goes round and round is not followed for ever.
pub(super) const MOST_TURNS: i64 = 256;
/// Longest note that is kept, in characters.
const MOST_NOTE: usize = 300;
/// Shares of the time at which there is an alarm.
pub const ALARMS: [(u8, f64); 4] = [(50, 0.5), (75, 0.75), (90, 0.9), (100, 1.0)];

/// Why a transaction ends without anything done.
#[derive(Debug)]
pub(super) enum Fault {
    /// The database.
    Sql(rusqlite::Error),
    /// Anything else.
    Desk(DeskError),
}

impl From<rusqlite::Error> for Fault {
    fn from(e: rusqlite::Error) -> Self {
        Self::Sql(e)
    }
}

impl From<DeskError> for Fault {
    fn from(e: DeskError) -> Self {
        Self::Desk(e)
    }
}

/// Result within a transaction.
pub(super) type Done<T> = std::result::Result<T, Fault>;

/// Settings, with the clock of each portal.
#[derive(Debug)]
pub(super) struct Rules {
    pub settings: DeskSettings,
    pub signer: Option<Arc<Signer>>,
    clocks: Vec<RuleClock>,
}

impl Rules {
    pub fn new(settings: DeskSettings, signer: Option<Arc<Signer>>) -> super::Result<Self> {
        let clocks = settings.portals.iter().map(|p| {
            RuleClock::new(p.deadline, &p.time_zone)
                .map_err(|e| DeskError::Setting(format!("portal {}: {e}", p.name)))
        });
        Ok(Self {
            clocks: clocks.collect::<super::Result<_>>()?,
            settings,
            signer,
        })
    }

    pub fn portal(&self, name: &str) -> Option<&PortalSettings> {
        self.settings.portals.iter().find(|p| *p.name == *name)
    }

    /// How much may happen without a person; where the portal is not in the configuration any more, nothing.
    pub fn mode(&self, portal: &str) -> Mode {
        self.portal(portal).map_or(Mode::Shadow, |p| p.mode)
    }

    /// The clock of a portal; of one that is not in the configuration any more, that of its rule in UTC.
    pub fn clock(&self, portal: &str, deadline: &Deadline) -> Option<RuleClock> {
        let at = self
            .settings
            .portals
            .iter()
            .position(|p| *p.name == *portal);
        match at.and_then(|i| self.clocks.get(i)) {
            Some(clock) => Some(clock.clone()),
            None => RuleClock::new(deadline.rule, "UTC").ok(),
        }
    }

    /// The deadline of a request that came to a portal.
    pub fn deadline(
        &self,
        portal: &str,
        received: Timestamp,
        portal_due: Option<Timestamp>,
    ) -> Option<Deadline> {
        let at = self
            .settings
            .portals
            .iter()
            .position(|p| *p.name == *portal)?;
        let clock = self.clocks.get(at)?;
        Some(clock.deadline(received, portal_due))
    }
}

/// A request as it lies here, without what is large.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub key: RequestKey,
    pub case_id: Box<str>,
    pub sha256: Box<str>,
    pub state: RequestState,
    pub deadline: Deadline,
    pub gives_up: i64,
    pub alarms: u8,
    pub turns: i64,
    pub reminders: u32,
    pub disputed: bool,
    /// How it came, as it stands now.
    pub way: Way,
}

const ROW: &str = "SELECT portal, id, case_id, sha256, state, deadline, gives_up, alarms, turns, reminders, disputed, way FROM request";

impl Row {
    fn read(row: &SqlRow<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            key: key(row, 0, 1)?,
            case_id: row.get(2)?,
            sha256: row.get(3)?,
            state: label(row, 4, RequestState::from_label)?,
            deadline: json_at(row, 5)?,
            gives_up: row.get(6)?,
            alarms: row.get(7)?,
            turns: row.get(8)?,
            reminders: row.get(9)?,
            disputed: row.get(10)?,
            way: label(row, 11, Way::from_label)?,
        })
    }
}

/// A request's key out of two columns.
pub(super) fn key(row: &SqlRow<'_>, portal: usize, id: usize) -> rusqlite::Result<RequestKey> {
    Ok(RequestKey {
        portal: row.get::<_, String>(portal)?.into(),
        id: row.get(id)?,
    })
}

/// A word out of a column.
pub(super) fn label<T>(
    row: &SqlRow<'_>,
    at: usize,
    read: impl Fn(&str) -> Option<T>,
) -> rusqlite::Result<T> {
    let text: String = row.get(at)?;
    read(&text).ok_or_else(|| unreadable(at, format!("{text:?} is no such word")))
}

/// A value out of a column with JSON.
pub(super) fn json_at<T: serde::de::DeserializeOwned>(
    row: &SqlRow<'_>,
    at: usize,
) -> rusqlite::Result<T> {
    let text: String = row.get(at)?;
    serde_json::from_str(&text).map_err(|e| unreadable(at, e.to_string()))
}

fn unreadable(at: usize, why: String) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, why.into())
}

/// A count out of a column.
pub(super) fn count_at(row: &SqlRow<'_>, at: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(at)?).unwrap_or(0))
}

/// A point in time out of a column.
pub(super) fn time_at(row: &SqlRow<'_>, at: usize) -> rusqlite::Result<Timestamp> {
    Ok(Timestamp::from_nanos(row.get(at)?))
}

/// One transaction.
pub(super) struct Work<'a> {
    pub tx: &'a Transaction<'a>,
    pub rules: &'a Rules,
    pub now: Timestamp,
}

impl Work<'_> {
    /// A request.
    pub fn row(&self, key: &RequestKey) -> Done<Option<Row>> {
        let sql = format!("{ROW} WHERE portal = ? AND id = ?");
        let mut statement = self.tx.prepare_cached(&sql)?;
        let row = statement.query_row(params![&*key.portal, &*key.id], Row::read);
        Ok(row.optional()?)
    }

    /// Requests by a condition on the table.
    pub fn rows(&self, condition: &str, values: impl rusqlite::Params) -> Done<Vec<Row>> {
        let mut statement = self
            .tx
            .prepare_cached(&format!("{ROW} WHERE {condition}"))?;
        let rows = statement.query_map(values, Row::read)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// One column of one row.
    pub fn value<T: FromSql>(&self, sql: &str, values: impl rusqlite::Params) -> Done<Option<T>> {
        let mut statement = self.tx.prepare_cached(sql)?;
        Ok(statement.query_row(values, |row| row.get(0)).optional()?)
    }

    /// Changes rows; gives how many.
    pub fn change(&self, sql: &str, values: impl rusqlite::Params) -> Done<usize> {
        Ok(self.tx.prepare_cached(sql)?.execute(values)?)
    }

    /// Counts something, durably.
    pub fn tally(&self, portal: &str, what: &str, n: usize) -> Done<()> {
        if n > 0 {
            let n = i64::try_from(n).unwrap_or(i64::MAX);
            let sql = "INSERT INTO tally (portal, what, n) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n";
            self.change(sql, params![portal, what, n])?;
        }
        Ok(())
    }

    /// Appends a line about a request to the audit log.
    pub fn audit(&self, row: &Row, who: &Who, act: &'static str, detail: Value) -> Done<u64> {
        self.line(who, act, &row.case_id, Some(&row.key), detail)
    }

    /// Appends a line to the audit log.
    pub fn line(
        &self,
        who: &Who,
        act: &'static str,
        case_id: &str,
        key: Option<&RequestKey>,
        detail: Value,
    ) -> Done<u64> {
        let request = key.map(RequestKey::to_string);
        let entry = Entry {
            at: self.now,
            who,
            act,
            case_id,
            request: request.as_deref(),
            detail,
        };
        Ok(audit::append(self.tx, &entry)?)
    }

    /// Moves a request by an event of a portal or of time. Gives where it stands then, and whether it moved; parcels that are not wanted
    /// any more leave the outbox.
    pub fn turn(
        &self,
        row: &Row,
        event: Event,
        who: &Who,
        act: &'static str,
        note: Option<&str>,
    ) -> Done<(RequestState, bool)> {
        let to = match machine::next(row.state, event) {
            Step::To(to) => to,
            Step::Stay | Step::No(_) => return Ok((row.state, false)),
        };
        if row.turns >= MOST_TURNS {
            self.tally(&row.key.portal, "turned-too-often", 1)?;
            return Ok((row.state, false));
        }
        self.place(row, to, note)?;
        if !matches!(
            to,
            RequestState::Outbox | RequestState::NeedsInfo | RequestState::Sent
        ) {
            self.drop_parcels(&row.key, to.label())?;
        }
        let detail = json!({ "from": row.state, "to": to, "note": note.map(cut) });
        self.audit(row, who, act, detail)?;
        self.tally(&row.key.portal, act, 1)?;
        Ok((to, true))
    }

    /// Puts a request into a state.
    pub fn place(&self, row: &Row, to: RequestState, note: Option<&str>) -> Done<()> {
        let alarm = self.next_alarm(row, to);
        self.change(
            "UPDATE request SET state = ?, open = ?, changed = ?, note = ?, alarm_at = ?, turns = turns + 1, looks = 0, look_again = 0
             WHERE portal = ? AND id = ?",
            params![
                to.label(),
                machine::is_open(to),
                self.now.nanos(),
                note.map(cut),
                alarm.map(Timestamp::nanos),
                &*row.key.portal,
                &*row.key.id
            ],
        )?;
        Ok(())
    }

    /// When the next alarm is due of a request that will stand there.
    pub fn next_alarm(&self, row: &Row, state: RequestState) -> Option<Timestamp> {
        if !machine::is_timed(state) {
            return None;
        }
        let (_, share) = *ALARMS.get(usize::from(row.alarms))?;
        let clock = self.rules.clock(&row.key.portal, &row.deadline)?;
        Some(clock.at_share(&row.deadline, share))
    }

    /// Takes a request's parcels out of the outbox. One that is on its way just now stays, marked, until its lease ends, so that nothing overtakes it.
    pub fn drop_parcels(&self, key: &RequestKey, why: &str) -> Done<usize> {
        let ours = "portal = ? AND kind IN ('answer', 'draft') AND subject = ?";
        let of = params![&*key.portal, &*key.id, self.now.nanos()];
        let sql =
            format!("UPDATE parcel SET dropped = 1 WHERE {ours} AND leased > ? AND dropped = 0");
        let away = self.change(&sql, of)?;
        let sql = format!("DELETE FROM parcel WHERE {ours} AND leased <= ?");
        let gone = self.change(&sql, of)?;
        self.tally(&key.portal, &format!("dropped:{why}"), away + gone)?;
        Ok(away + gone)
    }

    /// Whether everything stands still.
    pub fn is_halted(&self) -> Done<bool> {
        let one: Option<i64> = self.value("SELECT one FROM halted", [])?;
        Ok(one.is_some())
    }
}

/// A text that is kept, cut short.
pub(super) fn cut(text: &str) -> String {
    text.chars().take(MOST_NOTE).collect()
}
