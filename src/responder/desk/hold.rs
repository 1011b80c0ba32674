//! What stands still: everything, by the kill switch, or answers about a neighbour.

use rusqlite::{OptionalExtension, params};
use serde_json::json;

use super::work::{Done, NO_CASE, Work, cut, time_at};
use super::{Halted, Held};
use crate::responder::case::Who;

impl Work<'_> {
    /// Stops all.
    pub(super) fn halt(&self, who: &Who, why: &str) -> Done<()> {
        let new = self.change(
            "INSERT INTO halted (one, since, who, why) VALUES (1, ?, ?, ?) ON CONFLICT DO NOTHING",
            params![self.now.nanos(), who.to_string(), cut(why)],
        )?;
        if new > 0 {
            let detail = json!({ "why": cut(why) });
            self.line(who, "halted", NO_CASE, None, detail)?;
        }
        Ok(())
    }

    /// Lets all go on.
    pub(super) fn resume(&self, who: &Who) -> Done<bool> {
        let was = self.change("DELETE FROM halted", [])? > 0;
        if was {
            self.line(who, "resumed", NO_CASE, None, json!({}))?;
        }
        Ok(was)
    }

    /// Who stopped it.
    pub(super) fn halted(&self) -> Done<Option<Halted>> {
        let mut statement = self
            .tx
            .prepare_cached("SELECT since, who, why FROM halted")?;
        let halted = statement.query_row([], |row| {
            Ok(Halted {
                since: time_at(row, 0)?,
                who: row.get(1)?,
                why: row.get(2)?,
            })
        });
        Ok(halted.optional()?)
    }

    /// Whether answers about a neighbour are held.
    pub(super) fn is_held(&self, portal: &str, peer: &str) -> Done<bool> {
        let one: Option<i64> = self.value(
            "SELECT 1 FROM held WHERE portal = ? AND peer = ?",
            [portal, peer],
        )?;
        Ok(one.is_some())
    }

    /// Those that are.
    pub(super) fn held(&self) -> Done<Vec<Held>> {
        let mut statement = self
            .tx
            .prepare_cached("SELECT portal, peer, since, why FROM held ORDER BY since, peer")?;
        let held = statement.query_map([], |row| {
            Ok(Held {
                portal: row.get(0)?,
                peer: row.get(1)?,
                since: time_at(row, 2)?,
                why: row.get(3)?,
            })
        })?;
        Ok(held.collect::<rusqlite::Result<_>>()?)
    }

    /// Trusts answers about a neighbour again.
    pub(super) fn release(&self, peer: &str, portal: Option<&str>, who: &Who) -> Done<usize> {
        let n = self.change(
            "DELETE FROM held WHERE peer = ?1 AND (?2 IS NULL OR portal = ?2)",
            params![peer, portal],
        )?;
        if n > 0 {
            let detail = json!({ "peer": peer, "portal": portal });
            self.line(who, "released", NO_CASE, None, detail)?;
        }
        Ok(n)
    }
}
