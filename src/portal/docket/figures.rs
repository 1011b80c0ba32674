//! Figures for whoever watches: how many of what, and how old the oldest is. Counted through indexes; what is closed is a row of an index each.

use super::{Docket, Result};
use crate::base::Timestamp;

/// How many, and since when the oldest has been so.
pub type Standing = (String, i64, Option<Timestamp>);

/// Figures at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Cases by state.
    pub cases: Vec<Standing>,
    /// Questions by state, those that are under way.
    pub hops: Vec<Standing>,
    /// Pushes that wait, and since when the oldest does.
    pub pushes: (i64, Option<Timestamp>),
    /// Pushes given up in all.
    pub given_up: i64,
    /// Lines of the audit log.
    pub audit: i64,
}

impl Docket {
    /// Reads them.
    ///
    /// # Errors
    ///
    /// [`super::DocketError`].
    pub fn figures(&self) -> Result<Figures> {
        self.read(|tx| {
            let standing = |sql: &str| -> rusqlite::Result<Vec<Standing>> {
                let mut all = tx.prepare_cached(sql)?;
                let rows = all.query_map([], |row| {
                    let oldest: Option<i64> = row.get(2)?;
                    Ok((row.get(0)?, row.get(1)?, oldest.map(Timestamp::from_nanos)))
                })?;
                rows.collect()
            };
            let cases = standing("SELECT state, count(*), min(created) FROM trace GROUP BY state")?;
            let hops = standing(
                "SELECT state, count(*), min(issued) FROM hop WHERE state IN ('asked', 'acknowledged', 'needs-info', 'disputed', 'non-responsive') GROUP BY state",
            )?;
            let pushes = tx
                .prepare_cached("SELECT count(*), min(at) FROM event WHERE push = 'due'")?
                .query_row([], |row| {
                    let oldest: Option<i64> = row.get(1)?;
                    Ok((row.get(0)?, oldest.map(Timestamp::from_nanos)))
                })?;
            let given_up = tx
                .prepare_cached("SELECT count(*) FROM event WHERE push = 'given-up'")?
                .query_row([], |row| row.get(0))?;
            let audit = tx
                .prepare_cached("SELECT coalesce(max(idx) + 1, 0) FROM audit")?
                .query_row([], |row| row.get(0))?;
            Ok(Figures {
                cases,
                hops,
                pushes,
                given_up,
                audit,
            })
        })
    }
}

impl Docket {
    /// Whether an act could be done now: a transaction that is opened and given up.
    ///
    /// # Errors
    ///
    /// [`super::DocketError`].
    pub fn writable(&self) -> Result<()> {
        let done = self.write(Timestamp::default(), |_| -> super::Done<()> {
            Err(super::DocketError::Absent("nothing").into())
        });
        match done {
            Err(super::DocketError::Absent(_)) | Ok(()) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Signs a head of the audit log and keeps it, if one is due.
    ///
    /// # Errors
    ///
    /// [`super::DocketError`].
    pub fn keep_head(&self, now: Timestamp) -> Result<()> {
        self.write(now, |w| {
            crate::proof::audit::head::keep_if_due(w.tx, w.signer, now)?;
            Ok(())
        })
    }
}
