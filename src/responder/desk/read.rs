//! What people and metrics see.

use rusqlite::types::Value as Sql;
use rusqlite::{OptionalExtension, Row as SqlRow, params_from_iter};
use serde_json::Value;

use super::decide::agree;
use super::matched::explanation;
use super::work::{Done, Work, count_at, json_at, key, label, time_at};
use super::{Agreement, Case, Figures, Filter, Line, MOST_LISTED, Said};
use crate::base::Timestamp;
use crate::base::text::escape;
use crate::responder::case::{RequestKey, RequestState, Way};
use crate::traceback::answer::Resolution;

const LINE: &str =
    "portal, id, case_id, state, received, due, resolution, peer, posterior, produced_by, note";

fn line(row: &SqlRow<'_>) -> rusqlite::Result<Line> {
    Ok(Line {
        key: key(row, 0, 1)?,
        case_id: row.get(2)?,
        state: label(row, 3, RequestState::from_label)?,
        received: time_at(row, 4)?,
        due: time_at(row, 5)?,
        resolution: row.get(6)?,
        peer: row.get(7)?,
        posterior: row.get(8)?,
        produced_by: row.get(9)?,
        note: row.get(10)?,
    })
}

impl Work<'_> {
    /// Requests by due time.
    pub(super) fn list(&self, filter: &Filter) -> Done<Vec<Line>> {
        let mut wanted: Vec<String> = Vec::new();
        let mut values: Vec<Sql> = Vec::new();
        if filter.states.is_empty() {
            wanted.push("open = 1".to_owned());
        } else {
            let marks = vec!["?"; filter.states.len()].join(", ");
            wanted.push(format!("state IN ({marks})"));
            let states = filter.states.iter();
            values.extend(states.map(|s| Sql::from(s.label().to_owned())));
        }
        if let Some(portal) = &filter.portal {
            wanted.push("portal = ?".to_owned());
            values.push(Sql::from(portal.to_string()));
        }
        if let Some(after) = &filter.after {
            let due: Option<i64> = self.value(
                "SELECT due FROM request WHERE portal = ? AND id = ?",
                [&*after.portal, &*after.id],
            )?;
            wanted.push("(due, portal, id) > (?, ?, ?)".to_owned());
            values.push(Sql::from(due.unwrap_or(i64::MIN)));
            values.push(Sql::from(after.portal.to_string()));
            values.push(Sql::from(after.id.to_string()));
        }
        let most = match filter.most {
            0 => MOST_LISTED,
            n => n.min(MOST_LISTED),
        };
        values.push(Sql::from(i64::try_from(most).unwrap_or(1)));
        let sql = format!(
            "SELECT {LINE} FROM request WHERE {} ORDER BY due, portal, id LIMIT ?",
            wanted.join(" AND ")
        );
        let mut statement = self.tx.prepare_cached(&sql)?;
        let lines = statement.query_map(params_from_iter(values), line)?;
        Ok(lines.collect::<rusqlite::Result<_>>()?)
    }

    /// All about one.
    pub(super) fn show(&self, key: &RequestKey) -> Done<Option<Case>> {
        let of = [&*key.portal, &*key.id];
        let sql = format!(
            "SELECT {LINE}, way, octets, deadline, answer, explanation, said_resolution, said_peer, said_by,
                 matched_resolution, matched_peer, reminders FROM request WHERE portal = ? AND id = ?"
        );
        let mut statement = self.tx.prepare_cached(&sql)?;
        let found = statement.query_row(of, |row| {
            let octets: Vec<u8> = row.get(12)?;
            let answer: Option<String> = row.get(14)?;
            let packed: Option<Vec<u8>> = row.get(15)?;
            Ok(Case {
                line: line(row)?,
                way: label(row, 11, Way::from_label)?,
                request: serde_json::from_slice(&octets)
                    .unwrap_or_else(|_| Value::from(escape(&octets))),
                deadline: json_at(row, 13)?,
                share: 0.0,
                answer: answer.and_then(|a| serde_json::from_str(&a).ok()),
                explanation: packed.and_then(|p| explanation(&p)),
                signed: Vec::new(),
                delivered: None,
                said: said(row, 16)?,
                reminders: row.get(21)?,
            })
        });
        let Some(mut case) = found.optional()? else {
            return Ok(None);
        };
        if let Some(clock) = self.rules.clock(&key.portal, &case.deadline) {
            case.share = clock.share(&case.deadline, self.now);
        }
        let mut statement = self.tx.prepare_cached(
            "SELECT answer_id, delivered FROM answer WHERE portal = ? AND id = ? ORDER BY revision",
        )?;
        let signed = statement.query_map(of, |row| {
            Ok((row.get::<_, Box<str>>(0)?, row.get::<_, Option<i64>>(1)?))
        })?;
        for signed in signed {
            let (id, delivered) = signed?;
            case.signed.push(id);
            case.delivered = delivered.map(Timestamp::from_nanos);
        }
        Ok(Some(case))
    }

    /// How often a person and the matcher agree.
    pub(super) fn agreement(&self) -> Done<Vec<(Box<str>, Agreement)>> {
        let mut statement = self.tx.prepare_cached(
            "SELECT portal, matched_certain, said_resolution, said_peer, said_by, matched_resolution, matched_peer
             FROM request WHERE said_resolution IS NOT NULL ORDER BY portal",
        )?;
        let rows = statement.query_map([], |row| {
            let certain: Option<bool> = row.get(1)?;
            Ok((
                row.get::<_, Box<str>>(0)?,
                certain.unwrap_or(false),
                said(row, 2)?,
            ))
        })?;
        let mut out: Vec<(Box<str>, Agreement)> = Vec::new();
        for row in rows {
            let (portal, certain, said) = row?;
            if out.last().is_none_or(|(p, _)| *p != portal) {
                out.push((portal, Agreement::default()));
            }
            let (Some((_, a)), Some(said)) = (out.last_mut(), said) else {
                continue;
            };
            a.compared += 1;
            a.agreed += u32::from(said.agrees);
            a.certain += u32::from(certain);
            a.certain_agreed += u32::from(certain && said.agrees);
            a.left += u32::from(!certain);
        }
        Ok(out)
    }

    /// Figures.
    pub(super) fn figures(&self) -> Done<Figures> {
        let mut statement = self
            .tx
            .prepare_cached("SELECT portal, state, count(*) FROM request GROUP BY portal, state")?;
        let requests = statement.query_map([], |row| {
            Ok((
                row.get(0)?,
                label(row, 1, RequestState::from_label)?,
                count_at(row, 2)?,
            ))
        })?;
        let requests = requests.collect::<rusqlite::Result<_>>()?;
        let mut statement = self.tx.prepare_cached(
            "SELECT portal, count(*) FROM parcel WHERE dropped = 0 GROUP BY portal",
        )?;
        let outbox = statement.query_map([], |row| Ok((row.get(0)?, count_at(row, 1)?)))?;
        let outbox = outbox.collect::<rusqlite::Result<_>>()?;
        let mut statement = self
            .tx
            .prepare_cached("SELECT portal, what, n FROM tally ORDER BY portal, what")?;
        let tallies =
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, count_at(row, 2)?)))?;
        let tallies = tallies.collect::<rusqlite::Result<_>>()?;
        let (pressing, open) = (self.pressing()?, self.open_hops()?);
        let oldest: Option<Option<i64>> =
            self.value("SELECT min(made) FROM parcel WHERE dropped = 0", [])?;
        let held: Option<i64> = self.value("SELECT count(*) FROM held", [])?;
        Ok(Figures {
            requests,
            pressing,
            open,
            outbox,
            oldest: oldest.flatten().map(Timestamp::from_nanos),
            halted: self.is_halted()?,
            held: u64::try_from(held.unwrap_or(0)).unwrap_or(0),
            tallies,
        })
    }
}

/// What a person answered, from five columns on: his resolution, neighbour and name, then the matcher's resolution and neighbour.
fn said(row: &SqlRow<'_>, at: usize) -> rusqlite::Result<Option<Said>> {
    let Some(resolution) = row.get::<_, Option<String>>(at)? else {
        return Ok(None);
    };
    let peer: Option<Box<str>> = row.get(at + 1)?;
    let who: Option<Box<str>> = row.get(at + 2)?;
    let matched: Option<String> = row.get(at + 3)?;
    let matched_peer: Option<String> = row.get(at + 4)?;
    let agrees = agree(
        (&matched.unwrap_or_default(), matched_peer.as_deref()),
        (&resolution, peer.as_deref()),
    );
    let resolution = Resolution::ALL
        .into_iter()
        .find(|r| r.label() == resolution);
    Ok(resolution.map(|resolution| Said {
        resolution,
        peer,
        who: who.unwrap_or_default(),
        agrees,
    }))
}
