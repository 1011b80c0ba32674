//! Reports that nobody asked for, in the same outbox.

use std::time::Duration;

use rusqlite::params;
use serde_json::{Value, json};

use super::work::{Done, GIVES_UP, NO_CASE, Work};
use super::{DeskError, Posted};
use crate::base::Timestamp;
use crate::proof::sign::Kind;
use crate::responder::case::{Mode, ParcelKind, Who};

/// A day, for `reports_per_day`.
const DAY: Duration = Duration::from_secs(86_400);

/// Reports of one campaign that are looked at: one for each digit of its volume, and volumes have twenty at most.
const MOST: i64 = 32;

impl Work<'_> {
    /// Reports of a campaign that were posted.
    pub(super) fn reported(
        &self,
        portal: &str,
        campaign: &str,
    ) -> Done<Vec<(Box<str>, Timestamp)>> {
        let sql =
            "SELECT key, at FROM report WHERE portal = ? AND campaign = ? ORDER BY at DESC LIMIT ?";
        let mut statement = self.tx.prepare_cached(sql)?;
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, Timestamp::from_nanos(row.get(1)?)));
        let rows = statement.query_map(params![portal, campaign, MOST], row)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Signs a report and puts it into the outbox, once.
    pub(super) fn post_report(
        &self,
        portal: &str,
        campaign: &str,
        key: &str,
        body: &Value,
    ) -> Done<Posted> {
        let Some(settings) = self.rules.portal(portal) else {
            return Err(DeskError::Wrong(format!("there is no portal {portal:?}")).into());
        };
        let known: Option<i64> = self.value(
            "SELECT 1 FROM report WHERE portal = ? AND key = ?",
            [portal, key],
        )?;
        if known.is_some() {
            return Ok(Posted::Known);
        }
        if settings.mode == Mode::Shadow {
            return Ok(Posted::Shadow);
        }
        let today: Option<i64> = self.value(
            "SELECT count(*) FROM report WHERE portal = ? AND at > ?",
            params![portal, self.now.minus(DAY).nanos()],
        )?;
        if today.unwrap_or(0) >= i64::from(settings.reports_per_day) {
            self.tally(portal, "report-over-the-day", 1)?;
            return Ok(Posted::TooMany);
        }
        let signed = self.sign(Kind::Report, body)?;
        let now = self.now.nanos();
        self.change(
            "INSERT INTO report (portal, key, campaign, at) VALUES (?, ?, ?, ?)",
            params![portal, key, campaign, now],
        )?;
        self.change(
            "INSERT INTO parcel (portal, kind, subject, key, body, made, next_at, gives_up) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                portal,
                ParcelKind::Report.label(),
                campaign,
                key,
                signed,
                now,
                now,
                self.now.plus(GIVES_UP).nanos()
            ],
        )?;
        let detail = json!({ "portal": portal, "campaign": campaign, "key": key });
        self.line(&Who::Automatic, "report", NO_CASE, None, detail)?;
        self.tally(portal, "report", 1)?;
        Ok(Posted::New)
    }
}
