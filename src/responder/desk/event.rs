//! A portal's word about requests and cases.

use rusqlite::params;
use serde_json::json;

use super::machine::Event;
use super::work::{Done, Fault, MOST_TURNS, Row, Work, cut};
use super::{Decision, Heard, Taken};
use crate::responder::case::{Drafts, Incoming, RequestKey, RequestState, Way, Who};

/// Reminders of one request that get a line each in the audit log; all are counted.
const REMINDERS_LOGGED: u32 = 16;
/// Most requests of one case that end with it: more than hops that one provider can have in a trace.
const MOST_OF_CASE: i64 = 1000;

impl Work<'_> {
    /// Hears it.
    pub(super) fn event(&self, portal: &str, incoming: &Incoming) -> Done<Heard> {
        if self.rules.portal(portal).is_none() {
            return Ok(Heard::Unknown);
        }
        let who = Who::Portal(portal.into());
        let row = |id: &str| {
            self.row(&RequestKey {
                portal: portal.into(),
                id: id.into(),
            })
        };
        match incoming {
            Incoming::Request(octets) => match self.take(portal, Way::Push, octets)? {
                Taken::New(key) | Taken::Clarified(key) | Taken::Again(key, _) => Ok(self
                    .row(&key)?
                    .map_or(Heard::Unknown, |r| Heard::As(r.state))),
                Taken::Refused(_) => Ok(Heard::Noted),
            },
            Incoming::Reminder { request } => match row(request)? {
                Some(row) => self.reminded(&row, &who),
                None => Ok(Heard::Unknown),
            },
            Incoming::Withdrawn { request } => match row(request)? {
                Some(row) => self.heard(&row, Event::Withdrawn, &who, "withdrawn", None),
                None => Ok(Heard::Unknown),
            },
            Incoming::Accepted { request, answer } => match row(request)? {
                Some(row) if self.is_stale(&row, answer)? => Ok(Heard::Noted),
                Some(row) => self.heard(&row, Event::Accepted, &who, "accepted", None),
                None => Ok(Heard::Unknown),
            },
            Incoming::Disputed {
                request,
                answer,
                reason,
            } => match row(request)? {
                Some(row) => self.disputed(&row, answer, reason, &who),
                None => Ok(Heard::Unknown),
            },
            Incoming::Drafted { request, .. } => match row(request)? {
                Some(row) => self.drafted(&row, incoming, &who),
                None => Ok(Heard::Unknown),
            },
            Incoming::CaseClosed { case } => self.case_closed(portal, case, &who),
        }
    }

    fn heard(
        &self,
        row: &Row,
        event: Event,
        who: &Who,
        act: &'static str,
        note: Option<&str>,
    ) -> Done<Heard> {
        let (state, moved) = self.turn(row, event, who, act, note)?;
        Ok(if moved {
            Heard::As(state)
        } else {
            Heard::Noted
        })
    }

    fn reminded(&self, row: &Row, who: &Who) -> Done<Heard> {
        self.change(
            "UPDATE request SET reminders = min(reminders + 1, 1000000) WHERE portal = ? AND id = ?",
            [&*row.key.portal, &*row.key.id],
        )?;
        self.tally(&row.key.portal, "reminder", 1)?;
        if row.reminders < REMINDERS_LOGGED {
            self.audit(row, who, "reminder", json!({ "state": row.state }))?;
        }
        Ok(Heard::As(row.state))
    }

    /// Our staff decided in the portal's console. What they approved leaves where the operator trusts the portal to know them, and where it still is
    /// what they saw.
    fn drafted(&self, row: &Row, said: &Incoming, who: &Who) -> Done<Heard> {
        let Incoming::Drafted {
            draft,
            by,
            approved,
            reason,
            ..
        } = said
        else {
            return Ok(Heard::Noted);
        };
        let portal = self.rules.portal(&row.key.portal);
        let trusted = portal.is_some_and(|p| p.drafts == Drafts::Approve);
        let detail = json!({ "draft": cut(draft), "by": cut(by), "approved": approved, "trusted": trusted, "reason": cut(reason) });
        self.audit(row, who, "draft-decided", detail)?;
        let what = if *approved { "approved" } else { "rejected" };
        self.tally(&row.key.portal, &format!("draft-{what}"), 1)?;
        if *approved && trusted && !self.is_halted()? {
            match self.decide(&row.key, who, &Decision::Approve, Some(draft)) {
                Ok(state) => return Ok(Heard::As(state)),
                // It has moved on since: whoever approved saw something else.
                Err(Fault::Desk(_)) => {
                    self.tally(&row.key.portal, "draft-late", 1)?;
                    return Ok(Heard::Noted);
                }
                Err(sql) => return Err(sql),
            }
        }
        if row.state == RequestState::Review {
            let note = format!(
                "{what} in the portal's console by {}: {}",
                cut(by),
                cut(reason)
            );
            self.change(
                "UPDATE request SET note = ? WHERE portal = ? AND id = ?",
                params![cut(&note), &*row.key.portal, &*row.key.id],
            )?;
        }
        Ok(Heard::Noted)
    }

    /// A dispute: whatever the answer, nothing about the neighbour that it named leaves by itself any more, and to this request neither.
    fn disputed(&self, row: &Row, answer: &str, reason: &str, who: &Who) -> Done<Heard> {
        let (portal, id) = (&*row.key.portal, &*row.key.id);
        let named: Option<Option<String>> = self.value(
            "SELECT peer FROM answer WHERE portal = ? AND id = ? AND answer_id = ?",
            [portal, id, answer],
        )?;
        // An answer that we do not know is taken for the last one: a neighbour too many is held rather than one too few.
        let peer = match named {
            Some(peer) => peer,
            None => self
                .value(
                    "SELECT peer FROM answer WHERE portal = ? AND id = ? ORDER BY revision DESC LIMIT 1",
                    [portal, id],
                )?
                .flatten(),
        };
        let why = format!("request {id}: {}", cut(reason));
        if let Some(peer) = peer {
            let held = self.change(
                "INSERT INTO held (portal, peer, since, why) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                params![portal, peer, self.now.nanos(), why],
            )?;
            if held > 0 {
                self.audit(row, who, "held", json!({ "peer": peer }))?;
                self.tally(portal, "held", 1)?;
                self.hold_back(row, &peer)?;
            }
        }
        if !row.disputed {
            self.change(
                "UPDATE request SET disputed = 1 WHERE portal = ? AND id = ?",
                [portal, id],
            )?;
        }
        if self.is_stale(row, answer)? || row.turns >= MOST_TURNS {
            self.tally(portal, "disputed-late", 1)?;
            return Ok(Heard::Noted);
        }
        let note = format!("disputed: {}", cut(reason));
        self.heard(row, Event::Disputed, who, "disputed", Some(&note))
    }

    /// Answers about a neighbour that were to leave by themselves and have not left go to a person. They are no more than requests may be under way.
    fn hold_back(&self, disputed: &Row, peer: &str) -> Done<()> {
        let waiting = self.rows(
            "portal = ? AND id <> ? AND peer = ? AND state = 'outbox' AND produced_by = 'auto'",
            [&*disputed.key.portal, &*disputed.key.id, peer],
        )?;
        let why = Some("answers about this neighbour are held since one was disputed");
        for row in waiting {
            self.turn(&row, Event::Held, &Who::Automatic, "held-back", why)?;
        }
        Ok(())
    }

    /// Whether a word is about an answer that another one has replaced.
    fn is_stale(&self, row: &Row, answer: &str) -> Done<bool> {
        let known: Option<i64> = self.value(
            "SELECT revision FROM answer WHERE portal = ? AND id = ? AND answer_id = ?",
            [&*row.key.portal, &*row.key.id, answer],
        )?;
        Ok(known.is_some() && !self.is_last(&row.key, answer)?)
    }

    fn case_closed(&self, portal: &str, case: &str, who: &Who) -> Done<Heard> {
        let rows = self.rows(
            "portal = ? AND case_id = ? AND state NOT IN ('closed', 'expired', 'withdrawn') LIMIT ?",
            params![portal, case, MOST_OF_CASE],
        )?;
        let mut heard = Heard::Unknown;
        for row in rows {
            heard = self.heard(&row, Event::Closed, who, "closed", None)?;
        }
        if heard == Heard::Unknown {
            let known: Option<i64> = self.value(
                "SELECT 1 FROM request WHERE portal = ? AND case_id = ?",
                [portal, case],
            )?;
            if known.is_some() {
                heard = Heard::Noted;
            }
        }
        Ok(heard)
    }
}
