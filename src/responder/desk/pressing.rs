//! What is pressing: open requests by how much of their time has run, for metrics and the probe's page.

use super::work::{ALARMS, Done, Work, count_at, key, label, time_at};
use super::{MOST_SHOWN, OpenHop, Pressing, machine};
use crate::responder::case::RequestState;

/// Columns of [`OpenHop`].
const OPEN: &str = "portal, id, state, received, due, alarms";

/// SQL's list of the states in which the deadline matters.
fn timed() -> String {
    let timed = RequestState::ALL.iter().filter(|s| machine::is_timed(**s));
    let labels: Vec<_> = timed.map(|s| format!("'{}'", s.label())).collect();
    labels.join(", ")
}

/// Percent of its time that a request has had, by how many of its alarms have rung.
fn percent(alarms: i64) -> u8 {
    let rung = usize::try_from(alarms).unwrap_or(0);
    let last = rung.checked_sub(1).and_then(|n| ALARMS.get(n));
    last.map_or(0, |(percent, _)| *percent)
}

impl Work<'_> {
    /// Requests whose deadline matters, by portal and by how near it is.
    pub(super) fn pressing(&self) -> Done<Vec<Pressing>> {
        let sql = format!(
            "SELECT portal, alarms, count(*), min(due) FROM request WHERE open = 1 AND state IN ({})
             GROUP BY portal, alarms ORDER BY portal",
            timed()
        );
        let mut statement = self.tx.prepare_cached(&sql)?;
        let rows = statement.query_map([], |row| {
            Ok((
                row.get::<_, Box<str>>(0)?,
                percent(row.get(1)?),
                count_at(row, 2)?,
                time_at(row, 3)?,
            ))
        })?;
        let mut out: Vec<Pressing> = Vec::new();
        for row in rows {
            let (portal, percent, n, due) = row?;
            if out.last().is_none_or(|p| p.portal != portal) {
                let near = ALARMS.iter().map(|(percent, _)| (*percent, 0)).collect();
                out.push(Pressing {
                    portal,
                    near,
                    due: None,
                });
            }
            let Some(p) = out.last_mut() else { continue };
            p.due = Some(p.due.map_or(due, |d| d.min(due)));
            let passed = p.near.iter_mut().filter(|(at, _)| *at <= percent);
            passed.for_each(|(_, sum)| *sum += n);
        }
        Ok(out)
    }

    /// The first open requests by due time.
    pub(super) fn open_hops(&self) -> Done<Vec<OpenHop>> {
        let sql = format!(
            "SELECT {OPEN} FROM request WHERE open = 1 ORDER BY due, portal, id LIMIT {MOST_SHOWN}"
        );
        let mut statement = self.tx.prepare_cached(&sql)?;
        let rows = statement.query_map([], |row| {
            let state = label(row, 2, RequestState::from_label)?;
            Ok(OpenHop {
                key: key(row, 0, 1)?,
                state,
                received: time_at(row, 3)?,
                due: time_at(row, 4)?,
                percent: percent(row.get(5)?),
                timed: machine::is_timed(state),
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}
