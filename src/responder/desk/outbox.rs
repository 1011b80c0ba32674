//! What is on its way: given out under a lease, tried again with backoff, until the portal has it or its time is over.
//!
//! A portal sees each answer once, however often it is sent: the key of a parcel is the answer's id. While one is on its way nothing newer to the
//! same request is given out, so that a correction never comes before what it corrects.

use std::time::Duration;

use rusqlite::{OptionalExtension, params};
use serde_json::json;

use super::machine::Event;
use super::work::{Done, Work, cut, label, time_at};
use super::{Settled, Signed};
use crate::base::Timestamp;
use crate::responder::case::{Delivered, Mode, Parcel, ParcelKind, RequestKey, RequestState, Who};

/// How long a parcel that was given out is not given out again, unless something is heard of it. Longer than any try takes.
pub const LEASE: Duration = Duration::from_secs(120);
/// Longest wait after the first failed try; it doubles with each.
pub const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Longest wait between two tries.
pub const LONGEST_WAIT: Duration = Duration::from_secs(900);
/// Longest wait that a portal may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(3600);
/// Most parcels that are given out at once.
const MOST: usize = 256;

/// How long to wait after so many tries: full jitter (Brooker, "Exponential backoff and jitter", 2015), so that a portal that comes back is not
/// overrun.
pub fn wait(tries: u32, random: f64) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(1 << tries.saturating_sub(1).min(16));
    doubled.min(LONGEST_WAIT).mul_f64(random.clamp(0.0, 1.0))
}

/// A parcel as it lies in the outbox, without its content.
struct Lying {
    portal: Box<str>,
    kind: ParcelKind,
    subject: Box<str>,
    key: Box<str>,
    tries: u32,
    dropped: bool,
}

impl Work<'_> {
    /// Gives out what is due for a portal.
    pub(super) fn outbox(&self, portal: &str, most: usize) -> Done<Vec<Parcel>> {
        let Some(name) = self.rules.portal(portal).map(|p| p.name.clone()) else {
            return Ok(Vec::new());
        };
        if self.rules.mode(portal) == Mode::Shadow || self.is_halted()? {
            return Ok(Vec::new());
        }
        let now = self.now.nanos();
        let past = self.now.plus(LEASE).nanos();
        self.change(
            "DELETE FROM parcel WHERE portal = ?1 AND dropped = 1 AND (leased <= ?2 OR leased > ?3)",
            params![portal, now, past],
        )?;
        // A time further ahead than any wait was set by a clock that was ahead: it does not hold a parcel back.
        let mut statement = self.tx.prepare_cached(
            "SELECT row, kind, subject, key, body, tries, due FROM parcel AS p
             WHERE portal = ?1 AND dropped = 0 AND (next_at <= ?2 OR next_at > ?3) AND (leased <= ?2 OR leased > ?4)
               AND NOT EXISTS (SELECT 1 FROM parcel AS q
                   WHERE q.portal = p.portal AND q.kind = p.kind AND q.subject = p.subject AND q.dropped = 1)
             ORDER BY next_at, row LIMIT ?5",
        )?;
        let most = i64::try_from(most.min(MOST)).unwrap_or(1);
        let ahead = self.now.plus(LONGEST_ASKED).nanos();
        let parcels = statement.query_map(params![portal, now, ahead, past, most], |row| {
            Ok(Parcel {
                row: row.get(0)?,
                portal: name.clone(),
                kind: label(row, 1, ParcelKind::from_label)?,
                subject: row.get(2)?,
                key: row.get(3)?,
                body: row.get(4)?,
                tries: row.get(5)?,
                due: row.get::<_, Option<i64>>(6)?.map(Timestamp::from_nanos),
            })
        })?;
        let parcels: Vec<Parcel> = parcels.collect::<rusqlite::Result<_>>()?;
        for parcel in &parcels {
            self.change(
                "UPDATE parcel SET leased = ? WHERE row = ?",
                [past, parcel.row],
            )?;
        }
        Ok(parcels)
    }

    /// When the next parcel is due.
    pub(super) fn next_due(&self, portal: &str) -> Done<Option<Timestamp>> {
        let at: Option<Option<i64>> = self.value(
            "SELECT min(max(next_at, leased)) FROM parcel WHERE portal = ? AND dropped = 0",
            [portal],
        )?;
        Ok(at.flatten().map(Timestamp::from_nanos))
    }

    /// What became of a try.
    pub(super) fn delivered(&self, place: i64, what: &Delivered, random: f64) -> Done<Settled> {
        let Some(parcel) = self.lying(place)? else {
            return Ok(Settled::Late);
        };
        if let Delivered::Again { why, after } = what {
            return self.again(place, &parcel, why, *after, random);
        }
        self.change("DELETE FROM parcel WHERE row = ?", [place])?;
        let (act, settled) = match what {
            Delivered::Taken => ("delivered", Settled::Done),
            Delivered::Refused { .. } => ("refused-by-portal", Settled::Back),
            Delivered::Gone | Delivered::Again { .. } => ("gone-at-portal", Settled::Dropped),
        };
        let why = match what {
            Delivered::Refused { why } => Some(cut(why)),
            _ => None,
        };
        self.tally(&parcel.portal, &format!("{act}:{}", parcel.kind.label()), 1)?;
        let detail = json!({ "kind": parcel.kind, "subject": parcel.subject, "key": parcel.key, "tries": parcel.tries.saturating_add(1), "why": why });
        let portal = Who::Portal(parcel.portal.clone().into());
        let key = RequestKey {
            portal: parcel.portal.clone().into(),
            id: parcel.subject.clone(),
        };
        let row = match parcel.kind {
            ParcelKind::Answer | ParcelKind::Draft => self.row(&key)?,
            ParcelKind::Report => None,
        };
        let Some(row) = row else {
            self.line(&portal, act, super::work::NO_CASE, None, detail)?;
            return Ok(settled);
        };
        self.audit(&row, &portal, act, detail)?;
        // Whatever the portal makes of a draft, a person of this house decides.
        if parcel.kind == ParcelKind::Draft {
            return Ok(settled);
        }
        let taken = matches!(what, Delivered::Taken);
        if taken {
            self.mark_delivered(&parcel.portal, &parcel.key)?;
        }
        // What became of an answer that another one has replaced moves nothing.
        if parcel.dropped || !self.is_last(&key, &parcel.key)? {
            return Ok(if taken { settled } else { Settled::Dropped });
        }
        let (event, note) = match what {
            Delivered::Taken => (Event::Taken, None),
            Delivered::Refused { .. } => {
                let why = why.unwrap_or_default();
                (
                    Event::Refused,
                    Some(format!("the portal refused it: {why}")),
                )
            }
            _ => (
                Event::Gone,
                Some("the portal knows nothing of the request".to_owned()),
            ),
        };
        self.turn(&row, event, &portal, "moved", note.as_deref())?;
        Ok(settled)
    }

    fn again(
        &self,
        place: i64,
        parcel: &Lying,
        why: &str,
        after: Option<Duration>,
        random: f64,
    ) -> Done<Settled> {
        let tally = format!("tried-again:{}", parcel.kind.label());
        self.tally(&parcel.portal, &tally, 1)?;
        if parcel.dropped {
            self.change("DELETE FROM parcel WHERE row = ?", [place])?;
            return Ok(Settled::Dropped);
        }
        let tries = parcel.tries.saturating_add(1);
        let asked = after.unwrap_or_default().min(LONGEST_ASKED);
        let next = self.now.plus(wait(tries, random).max(asked));
        self.change(
            "UPDATE parcel SET tries = ?, next_at = ?, leased = 0, why = ? WHERE row = ?",
            params![tries, next.nanos(), cut(why), place],
        )?;
        Ok(Settled::Until(next))
    }

    /// What the portal may read now, where it does not wait for a person, and is neither halted nor in shadow.
    pub(super) fn peek(&self, key: &RequestKey) -> Done<Option<(RequestState, Signed)>> {
        if self.rules.mode(&key.portal) == Mode::Shadow || self.is_halted()? {
            return Ok(None);
        }
        let Some(row) = self.row(key)? else {
            return Ok(None);
        };
        let stands = matches!(
            row.state,
            RequestState::NeedsInfo
                | RequestState::Outbox
                | RequestState::Sent
                | RequestState::Accepted
                | RequestState::Disputed
                | RequestState::Closed
        );
        let signed = self.signed(key)?.filter(|_| stands);
        Ok(signed.map(|signed| (row.state, signed)))
    }

    /// The portal fetches its answer.
    pub(super) fn collect(&self, key: &RequestKey) -> Done<Option<Signed>> {
        let Some((_, signed)) = self.peek(key)? else {
            return Ok(None);
        };
        if signed.delivered.is_some() {
            return Ok(Some(signed));
        }
        let lying: Option<i64> = self.value(
            "SELECT row FROM parcel WHERE portal = ? AND kind = 'answer' AND key = ?",
            [&*key.portal, &*signed.id],
        )?;
        match lying {
            Some(place) => {
                self.delivered(place, &Delivered::Taken, 0.0)?;
            }
            None => self.mark_delivered(&key.portal, &signed.id)?,
        }
        self.signed(key)
    }

    /// The last signed answer.
    pub(super) fn signed(&self, key: &RequestKey) -> Done<Option<Signed>> {
        let mut statement = self.tx.prepare_cached(
            "SELECT answer_id, revision, body, at, delivered FROM answer WHERE portal = ? AND id = ? ORDER BY revision DESC LIMIT 1",
        )?;
        let signed = statement.query_row([&*key.portal, &*key.id], |row| {
            Ok(Signed {
                id: row.get(0)?,
                revision: row.get(1)?,
                body: row.get(2)?,
                at: time_at(row, 3)?,
                delivered: row.get::<_, Option<i64>>(4)?.map(Timestamp::from_nanos),
            })
        });
        Ok(signed.optional()?)
    }

    fn mark_delivered(&self, portal: &str, answer: &str) -> Done<()> {
        let sql = "UPDATE answer SET delivered = ? WHERE portal = ? AND answer_id = ? AND delivered IS NULL";
        self.change(sql, params![self.now.nanos(), portal, answer])?;
        Ok(())
    }

    /// Whether an answer is the last one to its request.
    pub(super) fn is_last(&self, key: &RequestKey, answer: &str) -> Done<bool> {
        let last: Option<String> = self.value(
            "SELECT answer_id FROM answer WHERE portal = ? AND id = ? ORDER BY revision DESC LIMIT 1",
            [&*key.portal, &*key.id],
        )?;
        Ok(last.is_some_and(|l| l == answer))
    }

    fn lying(&self, place: i64) -> Done<Option<Lying>> {
        let mut statement = self.tx.prepare_cached(
            "SELECT portal, kind, subject, key, tries, dropped FROM parcel WHERE row = ?",
        )?;
        let lying = statement.query_row([place], |row| {
            Ok(Lying {
                portal: row.get(0)?,
                kind: label(row, 1, ParcelKind::from_label)?,
                subject: row.get(2)?,
                key: row.get(3)?,
                tries: row.get(4)?,
                dropped: row.get(5)?,
            })
        });
        Ok(lying.optional()?)
    }
}
