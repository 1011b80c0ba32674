//! What time does: alarms of deadlines, requests whose time is over, records that were kept long enough.

use std::time::Duration;

use rusqlite::params;
use serde_json::json;

use super::machine::Event;
use super::work::{ALARMS, Done, NO_CASE, Work};
use super::{Alarm, Swept};
use crate::base::Timestamp;
use crate::responder::case::Who;

/// How long what is over is kept: five years, as long as providers keep what they answered (reference §9).
const KEPT: Duration = Duration::from_secs(5 * 366 * 86_400);
/// Requests that are kept at most; of more, those that have been over longest are deleted. Some 10 kB each with answer and explanation: 10 GB.
pub(super) const MOST_KEPT: i64 = 1_000_000;
/// Most that one call does, so that it holds up nobody; the next goes on.
const AT_ONCE: i64 = 1000;

impl Work<'_> {
    /// Alarms that are due.
    pub(super) fn alarms(&self) -> Done<Vec<Alarm>> {
        let rows = self.rows(
            "alarm_at <= ? ORDER BY alarm_at LIMIT ?",
            [self.now.nanos(), AT_ONCE],
        )?;
        let mut out = Vec::with_capacity(rows.len());
        for mut row in rows {
            let mut percent = 0;
            let mut next = Some(self.now);
            while let (Some(at), Some((p, _))) = (next, ALARMS.get(usize::from(row.alarms))) {
                if at > self.now {
                    break;
                }
                percent = *p;
                row.alarms += 1;
                next = self.next_alarm(&row, row.state);
            }
            self.change(
                "UPDATE request SET alarms = ?, alarm_at = ? WHERE portal = ? AND id = ?",
                params![
                    row.alarms,
                    next.map(Timestamp::nanos),
                    &*row.key.portal,
                    &*row.key.id
                ],
            )?;
            let detail = json!({ "percent": percent, "due": row.deadline.due, "state": row.state });
            self.audit(&row, &Who::Automatic, "alarm", detail)?;
            self.tally(&row.key.portal, &format!("alarm:{percent}"), 1)?;
            out.push(Alarm {
                percent,
                due: row.deadline.due,
                state: row.state,
                case_id: row.case_id,
                key: row.key,
            });
        }
        Ok(out)
    }

    /// Puts away what is over.
    pub(super) fn sweep(&self) -> Done<Swept> {
        let now = self.now.nanos();
        let mut swept = Swept::default();
        let over = self.rows(
            "gives_up <= ? AND state NOT IN ('closed', 'expired', 'withdrawn') ORDER BY gives_up LIMIT ?",
            [now, AT_ONCE],
        )?;
        for row in over {
            let (_, moved) = self.turn(&row, Event::Lapsed, &Who::Automatic, "lapsed", None)?;
            if !moved {
                // It had its turns: it is over all the same.
                self.place(&row, crate::responder::case::RequestState::Expired, None)?;
                self.drop_parcels(&row.key, "lapsed")?;
            }
            swept.expired += 1;
        }
        swept.undeliverable = self.undeliverable()?;
        swept.pruned = self.prune()?;
        Ok(swept)
    }

    /// Reports, and answers to what is gone, whose time is over.
    fn undeliverable(&self) -> Done<usize> {
        let mut statement = self.tx.prepare_cached(
            "DELETE FROM parcel WHERE row IN (SELECT row FROM parcel WHERE gives_up <= ? LIMIT ?) RETURNING portal, key",
        )?;
        let gone = statement.query_map([self.now.nanos(), AT_ONCE], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        })?;
        let gone: Vec<_> = gone.collect::<rusqlite::Result<_>>()?;
        for (portal, key) in &gone {
            self.tally(portal, "undeliverable", 1)?;
            let detail = json!({ "portal": portal, "key": key });
            self.line(&Who::Automatic, "undeliverable", NO_CASE, None, detail)?;
        }
        Ok(gone.len())
    }

    fn prune(&self) -> Done<usize> {
        const OVER: &str = "state IN ('closed', 'expired', 'withdrawn')";
        let before = self.now.minus(KEPT).nanos();
        let old = self.change(
            &format!("DELETE FROM request WHERE rowid IN (SELECT rowid FROM request WHERE {OVER} AND changed < ? LIMIT ?)"),
            [before, AT_ONCE],
        )?;
        self.change(
            "DELETE FROM report WHERE rowid IN (SELECT rowid FROM report WHERE at < ? LIMIT ?)",
            [before, AT_ONCE],
        )?;
        let count: Option<i64> = self.value("SELECT count(*) FROM request", [])?;
        let many = count
            .unwrap_or(0)
            .saturating_sub(MOST_KEPT)
            .clamp(0, AT_ONCE);
        let mut pruned = old;
        if many > 0 {
            pruned += self.change(
                &format!("DELETE FROM request WHERE rowid IN (SELECT rowid FROM request WHERE {OVER} ORDER BY changed LIMIT ?)"),
                [many],
            )?;
        }
        if pruned > 0 {
            self.tally("", "pruned", pruned)?;
            let detail = json!({ "requests": pruned, "before": Timestamp::from_nanos(before) });
            self.line(&Who::Automatic, "pruned", NO_CASE, None, detail)?;
        }
        Ok(pruned)
    }
}
