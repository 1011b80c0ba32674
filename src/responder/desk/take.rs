//! A request comes in.

use rusqlite::params;
use serde_json::{Value, json};

use super::machine::{self, Event, Step};
use super::work::{Done, GIVES_UP, MOST_TURNS, NO_CASE, Row, Work};
use super::{Refusal, Taken, Waiting};
use crate::base::Timestamp;
use crate::responder::case::{RequestKey, RequestState, Way, Who};
use crate::traceback::deadline::Deadline;
use crate::traceback::request::{MAX_OCTETS, MAX_TEXT, Priority, sha256_hex};

/// How long a look-up is waited for before the request is given out again, at first and at most: it takes milliseconds, and a store that is away
/// comes back.
const LOOK_AGAIN: (i64, i64) = (60_000_000_000, 900_000_000_000);

/// What the desk reads of a request; the rest is the matcher's.
struct Peek {
    id: Box<str>,
    case_id: Box<str>,
    due_at: Option<Timestamp>,
    priority: Priority,
}

impl Peek {
    /// Also of what is no request at all: then it is named by its digest.
    fn of(octets: &[u8], sha256: &str) -> Self {
        let value: Value = serde_json::from_slice(octets).unwrap_or_default();
        let text = |field| {
            let text = value.get(field).and_then(Value::as_str).map(str::trim);
            text.filter(|t| !t.is_empty() && t.len() <= MAX_TEXT)
        };
        let digest = || format!("sha256-{}", sha256.get(..32).unwrap_or(sha256)).into();
        Self {
            id: text("id").map_or_else(digest, Into::into),
            case_id: text("case_id").unwrap_or(NO_CASE).into(),
            due_at: text("due_at").and_then(Timestamp::parse_rfc3339),
            priority: match text("priority") {
                Some("tdos") => Priority::Tdos,
                Some("safety_of_life") => Priority::SafetyOfLife,
                _ => Priority::Routine,
            },
        }
    }

    const fn rank(&self) -> i64 {
        match self.priority {
            Priority::Routine => 0,
            Priority::Tdos => 1,
            Priority::SafetyOfLife => 2,
        }
    }
}

impl Work<'_> {
    /// Takes a request.
    pub(super) fn take(&self, portal: &str, way: Way, octets: &[u8]) -> Done<Taken> {
        let Some(settings) = self.rules.portal(portal) else {
            return Ok(Taken::Refused(Refusal::UnknownPortal));
        };
        if octets.len() > MAX_OCTETS {
            return Ok(Taken::Refused(Refusal::TooLong));
        }
        let sha256 = sha256_hex(octets);
        let peek = Peek::of(octets, &sha256);
        let key = RequestKey {
            portal: settings.name.clone(),
            id: peek.id.clone(),
        };
        let Some(row) = self.row(&key)? else {
            return self.take_new(key, &peek, way, octets, &sha256);
        };
        let event = if row.sha256 == sha256 {
            Event::Repeated
        } else {
            Event::Changed
        };
        match machine::next(row.state, event) {
            Step::Stay => Ok(Taken::Again(key, row.state)),
            Step::No(_) => Ok(Taken::Refused(Refusal::Over)),
            Step::To(_) if row.turns >= MOST_TURNS => Ok(Taken::Refused(Refusal::ChangedTooOften)),
            Step::To(_) if !machine::is_open(row.state) && self.is_full(&key.portal)? => {
                Ok(Taken::Refused(Refusal::Full))
            }
            Step::To(to) => self.take_anew(&row, to, &peek, way, octets, &sha256),
        }
    }

    fn take_new(
        &self,
        key: RequestKey,
        peek: &Peek,
        way: Way,
        octets: &[u8],
        sha256: &str,
    ) -> Done<Taken> {
        if self.is_full(&key.portal)? {
            return Ok(Taken::Refused(Refusal::Full));
        }
        let Some(deadline) = self.rules.deadline(&key.portal, self.now, peek.due_at) else {
            return Ok(Taken::Refused(Refusal::UnknownPortal));
        };
        let row = Row {
            key,
            case_id: peek.case_id.clone(),
            sha256: sha256.into(),
            state: RequestState::Received,
            deadline,
            gives_up: gives_up(&deadline),
            alarms: 0,
            turns: 0,
            reminders: 0,
            disputed: false,
            way,
        };
        let alarm = self.next_alarm(&row, row.state);
        self.change(
            "INSERT INTO request (portal, id, case_id, way, octets, sha256, state, open, priority, received, changed, due, deadline, gives_up, alarm_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?)",
            params![
                &*row.key.portal,
                &*row.key.id,
                &*row.case_id,
                way.label(),
                octets,
                sha256,
                row.state.label(),
                peek.rank(),
                self.now.nanos(),
                self.now.nanos(),
                deadline.due.nanos(),
                text(&deadline),
                row.gives_up,
                alarm.map(Timestamp::nanos)
            ],
        )?;
        let detail = json!({ "way": way, "sha256": sha256, "due": deadline.due });
        let portal = Who::Portal(row.key.portal.clone());
        self.audit(&row, &portal, "received", detail)?;
        self.tally(&row.key.portal, "received", 1)?;
        Ok(Taken::New(row.key))
    }

    /// It was clarified, or asked again after it had been taken back. Clarified it keeps its deadline, unless the portal names an earlier one.
    fn take_anew(
        &self,
        row: &Row,
        to: RequestState,
        peek: &Peek,
        way: Way,
        octets: &[u8],
        sha256: &str,
    ) -> Done<Taken> {
        let again = matches!(row.state, RequestState::Expired | RequestState::Withdrawn);
        let received = if again {
            self.now
        } else {
            row.deadline.received
        };
        let deadline = self.rules.deadline(&row.key.portal, received, peek.due_at);
        let mut row = Row {
            case_id: peek.case_id.clone(),
            sha256: sha256.into(),
            way,
            deadline: deadline.unwrap_or(row.deadline),
            ..row.clone()
        };
        if again {
            row.alarms = 0;
        }
        row.gives_up = gives_up(&row.deadline);
        self.change(
            "UPDATE request SET case_id = ?, way = ?, octets = ?, sha256 = ?, priority = ?, received = ?, due = ?, deadline = ?, gives_up = ?, alarms = ?,
                 answer = NULL, explanation = NULL, resolution = NULL, peer = NULL, produced_by = NULL, posterior = NULL,
                 matched_resolution = NULL, matched_peer = NULL, matched_certain = NULL,
                 said_resolution = NULL, said_peer = NULL, said_by = NULL
             WHERE portal = ? AND id = ?",
            params![
                &*row.case_id,
                way.label(),
                octets,
                sha256,
                peek.rank(),
                received.nanos(),
                row.deadline.due.nanos(),
                text(&row.deadline),
                row.gives_up,
                row.alarms,
                &*row.key.portal,
                &*row.key.id
            ],
        )?;
        let was = row.state;
        self.place(&row, to, None)?;
        self.drop_parcels(&row.key, "clarified")?;
        let detail = json!({ "from": was, "to": to, "way": way, "sha256": sha256 });
        let portal = Who::Portal(row.key.portal.clone());
        self.audit(&row, &portal, "clarified", detail)?;
        self.tally(&row.key.portal, "clarified", 1)?;
        Ok(Taken::Clarified(row.key))
    }

    /// Whether a portal has as many requests under way as it may: an even share, so that none takes the room of another.
    fn is_full(&self, portal: &str) -> Done<bool> {
        let settings = &self.rules.settings;
        let share = settings.open_requests / settings.portals.len().max(1);
        let share = i64::try_from(share.max(1)).unwrap_or(i64::MAX);
        let mut open = 0;
        for state in RequestState::ALL.iter().filter(|s| machine::is_open(**s)) {
            let of_state = self.value::<i64>(
                "SELECT count(*) FROM (SELECT 1 FROM request WHERE portal = ? AND state = ? LIMIT ?)",
                params![portal, state.label(), share],
            )?;
            open += of_state.unwrap_or(0);
        }
        Ok(open >= share)
    }

    /// Gives out what is to be matched.
    pub(super) fn received(&self, most: usize) -> Done<Vec<Waiting>> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let now = self.now.nanos();
        // A lease that ends later than any lease does was given by a clock that was ahead.
        let mut statement = self.tx.prepare_cached(
            "SELECT portal, id, case_id, octets, received, way, looks FROM request
             WHERE state = 'received' AND (look_again <= ?1 OR look_again > ?2) ORDER BY priority DESC, due LIMIT ?3",
        )?;
        let ahead = now.saturating_add(LOOK_AGAIN.1);
        let rows = statement.query_map([now, ahead, most], |row| {
            let waiting = Waiting {
                key: super::work::key(row, 0, 1)?,
                octets: row.get(3)?,
                received: super::work::time_at(row, 4)?,
                way: super::work::label(row, 5, Way::from_label)?,
            };
            Ok((waiting, row.get::<_, String>(2)?, row.get::<_, u32>(6)?))
        })?;
        let rows: Vec<_> = rows.collect::<rusqlite::Result<_>>()?;
        let mut out = Vec::with_capacity(rows.len());
        for (waiting, case_id, looks) in rows {
            let wait = LOOK_AGAIN.0 << looks.min(4);
            self.change(
                "UPDATE request SET looks = looks + 1, look_again = ? WHERE portal = ? AND id = ?",
                params![
                    now.saturating_add(wait.min(LOOK_AGAIN.1)),
                    &*waiting.key.portal,
                    &*waiting.key.id
                ],
            )?;
            let detail = json!({ "try": looks.saturating_add(1) });
            let key = Some(&waiting.key);
            self.line(&Who::Automatic, "look-up", &case_id, key, detail)?;
            out.push(waiting);
        }
        Ok(out)
    }
}

fn gives_up(deadline: &Deadline) -> i64 {
    deadline.due.max(deadline.received).plus(GIVES_UP).nanos()
}

/// Of what has no map and no foreign key: it can always be written.
fn text(deadline: &Deadline) -> String {
    serde_json::to_string(deadline).unwrap_or_default()
}
