//! What is to be pushed, and what became of it.
//!
//! Events of a provider go out in their order, one at a time: of each provider the first that waits, its head, is due or not, and the others wait behind it
//! (their own `next_try` never matters, and is drawn to the head's so that nobody looks at them in vain). What is taken from here is leased: if nobody says
//! what became of it, it is due again when the lease is over. So a crash costs one more try, under the same `webhook-id`.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{OptionalExtension, params};

use super::super::{Docket, Done, Result, Work};
use super::event;
use crate::base::Timestamp;
use crate::portal::word::{EventKind, PushState};

/// How long a try may take, and some: connecting and reply take 10 s at most.
const LEASE: Duration = Duration::from_secs(60);
/// For so long after its deadline, or after it came where it has none, an event is tried.
const TRIED: Duration = Duration::from_secs(14 * 86_400);
/// What a provider says in refusing, and we keep of it.
const SAID: usize = 300;

/// An event that is to be pushed now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Its number: `webhook-id` is made of it.
    pub seq: i64,
    /// To whom.
    pub provider: Arc<str>,
    /// Where.
    pub url: Arc<str>,
    /// The body.
    pub body: Vec<u8>,
    /// Tries before this one.
    pub tries: u32,
}

/// What became of a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It was taken.
    Taken,
    /// It will be tried again.
    Again {
        /// Why.
        why: String,
        /// When.
        at: Timestamp,
    },
    /// It is not taken, and never will be.
    Refused {
        /// Why.
        why: String,
    },
}

impl Docket {
    /// The next event of each provider that is due, and leases it. Those in `busy` are left alone. So many at most; those who wait longest first.
    ///
    /// # Errors
    ///
    /// [`super::super::DocketError`].
    pub fn due_pushes(&self, busy: &[Arc<str>], most: usize, now: Timestamp) -> Result<Vec<Due>> {
        // A look first: most of the time nothing is due.
        let waits = self.read(|tx| {
            let waits: bool = tx
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM event WHERE push = 'due' AND next_try <= ?)",
                )?
                .query_row([now.nanos()], |row| row.get(0))?;
            Ok(waits)
        })?;
        match waits && most > 0 {
            true => self.write(now, |w| w.due_pushes(busy, most)),
            false => Ok(Vec::new()),
        }
    }

    /// Notes what became of tries.
    ///
    /// # Errors
    ///
    /// [`super::super::DocketError`].
    pub fn pushed(&self, outcomes: &[(i64, Pushed)], now: Timestamp) -> Result<()> {
        match outcomes.is_empty() {
            true => Ok(()),
            false => self.write(now, |w| {
                outcomes.iter().try_for_each(|(seq, o)| w.pushed(*seq, o))
            }),
        }
    }
}

/// When the head of an event's provider is tried.
const HEAD: &str = "(SELECT h.next_try FROM event h WHERE h.provider = event.provider AND h.push = 'due' ORDER BY h.seq LIMIT 1)";

impl Work<'_> {
    fn due_pushes(&mut self, busy: &[Arc<str>], most: usize) -> Done<Vec<Due>> {
        let due = PushState::Due.label();
        // Whoever is no longer pushed to finds everything by pull.
        let stale = self.now.minus(TRIED).nanos();
        self.tx
            .prepare_cached(
                "UPDATE event SET push = ?, next_try = NULL, said = coalesce(said, 'nobody is pushed to') WHERE push = 'due' AND next_try <= ?
                 AND (EXISTS (SELECT 1 FROM provider p WHERE p.id = event.provider AND (p.push_url IS NULL OR p.active = 0))
                      OR max(at, coalesce((SELECT due FROM hop WHERE hop.id = event.hop), at)) < ?)",
            )?
            .execute(params![PushState::GivenUp.label(), self.now.nanos(), stale])?;
        // Behind a head that waits nothing is due.
        self.tx
            .prepare_cached(&format!(
                "UPDATE event SET next_try = {HEAD} WHERE push = 'due' AND next_try <= ? AND {HEAD} > ?"
            ))?
            .execute(params![self.now.nanos(), self.now.nanos()])?;
        let mut found: Vec<Due> = Vec::new();
        {
            let mut all = self.tx.prepare_cached(
                "SELECT e.seq, e.provider, p.push_url, e.kind, e.at, e.data, e.tries FROM event e JOIN provider p ON p.id = e.provider
                 WHERE e.push = 'due' AND e.next_try <= ?
                 AND NOT EXISTS (SELECT 1 FROM event o WHERE o.provider = e.provider AND o.push = 'due' AND o.seq < e.seq)
                 ORDER BY e.next_try",
            )?;
            let mut rows = all.query([self.now.nanos()])?;
            while found.len() < most
                && let Some(row) = rows.next()?
            {
                let provider: String = row.get(1)?;
                if busy.iter().any(|b| **b == *provider) {
                    continue;
                }
                let (kind, at): (String, i64) = (row.get(3)?, row.get(4)?);
                let data: String = row.get(5)?;
                found.push(Due {
                    seq: row.get(0)?,
                    provider: provider.into(),
                    url: row.get::<_, String>(2)?.into(),
                    body: event(&kind, Timestamp::from_nanos(at), &data),
                    tries: row.get(6)?,
                });
            }
        }
        for one in &found {
            self.tx
                .prepare_cached(
                    "UPDATE event SET next_try = ?, tries = tries + 1 WHERE seq = ? AND push = ?",
                )?
                .execute(params![self.now.plus(LEASE).nanos(), one.seq, due])?;
        }
        Ok(found)
    }

    fn pushed(&mut self, seq: i64, outcome: &Pushed) -> Done<()> {
        let (state, at, said) = match outcome {
            Pushed::Taken => (PushState::Done, None, None),
            Pushed::Again { why, at } => (PushState::Due, Some(at.nanos()), Some(why)),
            Pushed::Refused { why } => (PushState::GivenUp, None, Some(why)),
        };
        let said = said.map(|s| {
            s.chars()
                .filter(|c| !c.is_control())
                .take(SAID)
                .collect::<String>()
        });
        let row: Option<(String, String, Option<String>, String)> = self
            .tx
            .prepare_cached(
                "UPDATE event SET push = ?, next_try = ?, said = ? WHERE seq = ? AND push = 'due' RETURNING provider, kind, hop, trace",
            )?
            .query_row(params![state.label(), at, said, seq], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
            .optional()?;
        let Some((provider, kind, hop, case)) = row else {
            return Ok(());
        };
        if !matches!(outcome, Pushed::Again { .. }) {
            self.next_head(&provider)?;
        }
        // A 2xx says that the question is durable there (hop-answer.yaml): that is its receipt.
        let asks = kind == EventKind::Created.label() || kind == EventKind::Clarified.label();
        if let (Pushed::Taken, true, Some(hop)) = (outcome, asks, &hop) {
            self.acknowledge(&provider, hop)?;
        }
        if matches!(outcome, Pushed::Refused { .. }) {
            let case = (!case.is_empty()).then_some(&*case);
            self.touch(case, &[&provider]);
        }
        Ok(())
    }

    /// The next that waits is due now.
    pub(in crate::portal) fn next_head(&mut self, provider: &str) -> Done<()> {
        self.tx
            .prepare_cached(
                "UPDATE event SET next_try = ? WHERE seq = (SELECT min(seq) FROM event WHERE provider = ? AND push = 'due')",
            )?
            .execute(params![self.now.nanos(), provider])?;
        Ok(())
    }
}
