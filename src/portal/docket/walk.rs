//! The walk on the database: what a case should look like is computed, and what is missing is done. After each event on a case; again after a crash.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{OptionalExtension, params};
use serde_json::{Value, json};

use super::row::{BY_WALK, HopRow, TraceRow};
use super::work::{Done, Work};
use crate::base::Timestamp;
use crate::portal::word::{AnswerState, AnswerWay, CaseState, EventKind, FindingKind, HopState};
use crate::traceback::answer::{Party, RawAnswer, Resolution};
use crate::traceback::path::{self, SignedAnswer, Wrong};
use crate::traceback::request::{RawCall, RawHopRequest};
use crate::traceback::walk::{
    self, End, Outcome, Plan, Standing, WalkAnswer, WalkCase, WalkHop, WalkLeg, WalkProvider,
    WalkRules,
};

/// An answer that counts, with what the portal knows of it.
struct Kept {
    raw: RawAnswer,
    digest: Box<str>,
    named: Option<Box<str>>,
    way: AnswerWay,
}

impl Work<'_> {
    /// Walks a case on, where the walk decides where it stands. Done twice it is done once.
    pub(super) fn walk(&mut self, trace: &str) -> Done<()> {
        let row = self.trace(trace)?;
        if !row.is_walked() {
            return Ok(());
        }
        let hops = self.hops(trace)?;
        let mut kept = BTreeMap::new();
        for hop in &hops {
            if let Some(answer) = self.current(hop)? {
                kept.insert(hop.n, answer);
            }
        }
        let case = self.walk_case(&row, &hops, &kept)?;
        let rules = WalkRules {
            most_hops: self.settings.walk.most_hops,
            hint: self.settings.walk.hint,
        };
        let plan = walk::next(&case, &rules);
        let mut changed = false;
        for (n, why) in &plan.withdraw {
            if let Some(hop) = hops.iter().find(|h| h.n == *n) {
                self.withdraw(hop, why)?;
                changed = true;
            }
        }
        for clarify in &plan.clarify {
            if let Some(hop) = hops.iter().find(|h| h.n == clarify.n) {
                self.clarify_hop(&row, hop, &clarify.call, None)?;
                changed = true;
            }
        }
        for question in &plan.ask {
            let parent = hops.iter().find(|h| Some(h.n) == question.parent);
            self.ask(&row, question, parent.map(|p| &*p.id))?;
            changed = true;
        }
        for finding in &plan.findings {
            let hop = hops.iter().find(|h| Some(h.n) == finding.n);
            changed |= self.find(trace, hop.map(|h| &*h.id), finding.kind, &finding.text)?;
        }
        changed |= self.weigh_path(&row, &plan, &hops, &kept)?;
        changed |= self.stands(&row, &plan.standing)?;
        if changed {
            self.changed_now(trace)?;
        }
        Ok(())
    }

    /// Says that a case changed.
    pub(super) fn changed_now(&mut self, trace: &str) -> Done<()> {
        self.tx
            .prepare_cached("UPDATE trace SET changed = ? WHERE id = ?")?
            .execute(params![self.now.nanos(), trace])?;
        self.touch(Some(trace), &[]);
        Ok(())
    }

    /// The answer to a question that counts, or would if nobody disputed it.
    fn current(&self, hop: &HopRow) -> Done<Option<Kept>> {
        let Some(id) = hop.answer.as_deref() else {
            return Ok(None);
        };
        let mut found = self.tx.prepare_cached(
            "SELECT octets, digest, named, way FROM answer WHERE hop = ? AND id = ?",
        )?;
        let row = found
            .query_row([&*hop.id, id], |r| {
                let way: Box<str> = r.get(3)?;
                Ok((
                    r.get::<_, Vec<u8>>(0)?,
                    r.get(1)?,
                    r.get(2)?,
                    AnswerWay::from_label(&way).unwrap_or(AnswerWay::Console),
                ))
            })
            .optional()?;
        Ok(row.and_then(|(octets, digest, named, way)| {
            // It was read when it was taken.
            let raw = serde_json::from_slice(&octets).ok()?;
            Some(Kept {
                raw,
                digest,
                named,
                way,
            })
        }))
    }

    /// The provider that the current answer to a question names, as it says it.
    pub(super) fn named_party(&self, hop: &HopRow) -> Done<Option<Party>> {
        Ok(self.current(hop)?.and_then(|kept| kept.raw.upstream))
    }

    /// What the current answer to a question tells the walk.
    pub(super) fn answer_of(&self, hop: &HopRow) -> Done<Option<WalkAnswer>> {
        match self.current(hop)? {
            Some(kept) => Ok(Some(self.walk_answer(hop, &kept)?)),
            None => Ok(None),
        }
    }

    /// Digests of earlier revisions that said the same.
    fn same_before(&self, hop: &HopRow, kept: &Kept) -> Done<Vec<Box<str>>> {
        let mut found = self.tx.prepare_cached(
            "SELECT digest, octets FROM answer WHERE hop = ? AND state = ? AND resolution = ? AND named IS ?",
        )?;
        let rows = found.query_map(
            params![
                hop.id,
                AnswerState::Replaced.label(),
                kept.raw.resolution.label(),
                kept.named
            ],
            |r| Ok((r.get::<_, Box<str>>(0)?, r.get::<_, Vec<u8>>(1)?)),
        )?;
        let mut same = Vec::new();
        for row in rows {
            let (digest, octets) = row?;
            let old: Option<RawAnswer> = serde_json::from_slice(&octets).ok();
            if old.is_some_and(|old| forwarded(&old) == forwarded(&kept.raw)) {
                same.push(digest);
            }
        }
        Ok(same)
    }

    fn walk_case(
        &self,
        row: &TraceRow,
        hops: &[HopRow],
        kept: &BTreeMap<u32, Kept>,
    ) -> Done<WalkCase> {
        let number = |id: &str| hops.iter().find(|h| *h.id == *id).map(|h| h.n);
        let mut all = Vec::with_capacity(hops.len());
        for hop in hops {
            let answer = match kept.get(&hop.n) {
                Some(kept) => Some(self.walk_answer(hop, kept)?),
                None => None,
            };
            all.push(WalkHop {
                n: hop.n,
                depth: hop.depth,
                parent: hop.parent.as_deref().and_then(number),
                branch: hop.branch,
                provider: hop.provider.clone(),
                downstream: hop.downstream.clone(),
                state: hop.state,
                previous_digest: hop.previous_digest.clone(),
                call: call_of(&hop.octets),
                answer,
            });
        }
        Ok(WalkCase {
            first: row.first_provider.clone(),
            call: serde_json::from_str(&row.call).unwrap_or_default(),
            names: self.names_of(&all)?,
            hops: all,
        })
    }

    /// Names of everybody whom a case may speak of.
    fn names_of(&self, hops: &[WalkHop]) -> Done<BTreeMap<Box<str>, Box<str>>> {
        let mut names = BTreeMap::new();
        let said = hops.iter().filter_map(|h| h.answer.as_ref());
        let named = said.clone().filter_map(|a| Some(&a.named.as_ref()?.id));
        let signers = said.filter_map(|a| a.leg.as_ref()?.signer.as_ref());
        let asked = hops.iter().map(|h| &h.provider);
        for id in asked.chain(named).chain(signers) {
            if !names.contains_key(id)
                && let Some(provider) = self.provider(id)?
            {
                names.insert(id.clone(), provider.name);
            }
        }
        Ok(names)
    }

    fn walk_answer(&self, hop: &HopRow, kept: &Kept) -> Done<WalkAnswer> {
        let raw = &kept.raw;
        let named = match &kept.named {
            None => None,
            Some(id) => Some(WalkProvider {
                listed: self.provider(id)?.is_some_and(|p| p.can_be_asked()),
                id: id.clone(),
            }),
        };
        Ok(WalkAnswer {
            resolution: raw.resolution,
            named,
            party: raw.originator.clone().or_else(|| raw.upstream.clone()),
            digest: kept.digest.clone(),
            also: self.same_before(hop, kept)?,
            leg: self.leg(raw)?,
            forwarded: forwarded(raw).map(Into::into),
        })
    }

    /// The leg of an answer's evidence. What it says of a signer counts only where the signature was valid.
    fn leg(&self, raw: &RawAnswer) -> Done<Option<WalkLeg>> {
        let Some((at, error_s)) = raw.leg() else {
            return Ok(None);
        };
        let leg = raw.evidence.as_ref().and_then(|e| e.get("leg"));
        let text = |v: Option<&Value>| v.and_then(Value::as_str).map(Box::<str>::from);
        let passport = leg.and_then(|l| l.get("passport"));
        let valid = passport.filter(|p| p.get("validation").is_some_and(|v| v == "passed"));
        let spc = valid.and_then(|p| p.get("spc")).and_then(Value::as_str);
        let signer = match spc {
            Some(spc) => self.provider_by(spc)?.filter(|p| p.can_be_asked()),
            None => None,
        };
        let hex = |t: &str| t.len() >= 32 && t.bytes().all(|b| b.is_ascii_hexdigit());
        let state = leg.and_then(|l| l.get("state")).and_then(Value::as_str);
        Ok(Some(WalkLeg {
            at,
            error_s,
            answered: match state {
                Some("answered") => Some(true),
                Some("cancelled" | "failed" | "redirected") => Some(false),
                _ => None,
            },
            passport: text(passport.and_then(|p| p.get("digest"))).filter(|t| hex(t)),
            origid: text(passport.and_then(|p| p.get("origid")))
                .filter(|t| t.len() <= crate::traceback::request::MAX_TEXT),
            signer: signer.map(|p| p.id),
            identifiers: leg
                .and_then(|l| l.get("identifiers"))
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|i| text(Some(i)))
                .take(8)
                .collect(),
        }))
    }

    /// Checks the path as anybody can, and keeps how long it is and whether it holds.
    fn weigh_path(
        &mut self,
        row: &TraceRow,
        plan: &Plan,
        hops: &[HopRow],
        kept: &BTreeMap<u32, Kept>,
    ) -> Done<bool> {
        let steps: Vec<(&HopRow, &Kept)> = plan
            .path
            .iter()
            .filter_map(|n| Some((hops.iter().find(|h| h.n == *n)?, kept.get(n)?)))
            .collect();
        let mut answers: Vec<SignedAnswer> = Vec::new();
        for (hop, kept) in &steps {
            let mut answer = kept.raw.clone();
            // The signature was checked when it came, and told whose it is; names are those of the directory.
            answer.provider = Some(crate::traceback::answer::Provider {
                name: (&*hop.provider).into(),
                portal_id: Some((&*hop.provider).into()),
            });
            answer.supersedes = None;
            if let (Some(party), Some(named)) = (&mut answer.upstream, &kept.named) {
                party.portal_id = Some((&**named).into());
            }
            // What was asked because of an earlier revision that said the same still hangs on it.
            if answer.previous_hop_digest.is_some() {
                answer.previous_hop_digest = answers.last().map(|a| a.digest.clone());
            }
            answers.push(SignedAnswer {
                answer,
                digest: kept.digest.clone(),
                signature: Ok(Some(hop.provider.clone())),
            });
        }
        let checked = path::check(&answers);
        let mut holds = checked.holds();
        let mut changed = false;
        let mut wrong_texts = Vec::new();
        for (hop, _) in &steps {
            let found = checked
                .hops
                .iter()
                .find(|h| *h.signed.answer.request_id == *hop.id);
            for wrong in found.into_iter().flat_map(|h| &h.wrong) {
                // A provider may stand on a path twice; circles are the walk's.
                if *wrong != Wrong::Loop {
                    wrong_texts.push((hop.id.clone(), wrong.to_string()));
                }
            }
        }
        holds |= wrong_texts.is_empty() && !steps.is_empty();
        for (hop, text) in wrong_texts {
            changed |= self.find(&row.id, Some(&hop), FindingKind::Unverified, &text)?;
        }
        let far = plan
            .findings
            .iter()
            .any(|f| f.kind == FindingKind::Unverified);
        let vouched = steps
            .iter()
            .filter(|(_, k)| k.way == AnswerWay::Console)
            .count();
        let verified = holds && !far && vouched == 0;
        let same: Option<(i64, bool, i64)> = self
            .tx
            .prepare_cached("SELECT hops, verified, vouched FROM trace WHERE id = ?")?
            .query_row([&*row.id], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))
            .optional()?;
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let now = (count(steps.len()), verified, count(vouched));
        if same == Some(now) {
            return Ok(changed);
        }
        self.tx.execute(
            "UPDATE trace SET hops = ?, verified = ?, vouched = ? WHERE id = ?",
            params![now.0, now.1, now.2, row.id],
        )?;
        Ok(true)
    }

    /// Puts the case where the walk says that it stands.
    fn stands(&mut self, row: &TraceRow, standing: &Standing) -> Done<bool> {
        match standing {
            Standing::Walking => self.moves(row, CaseState::Open, ""),
            Standing::Stuck(why) => self.moves(row, CaseState::Stuck, why),
            Standing::Ended(end) => self.ends(row, end),
        }
    }

    fn moves(&mut self, row: &TraceRow, to: CaseState, why: &str) -> Done<bool> {
        if row.state == to && *row.summary == *why {
            return Ok(false);
        }
        self.tx.execute(
            "UPDATE trace SET state = ?, summary = ?, outcome = NULL, ended_at = NULL, originator = NULL, closed = NULL, closed_by = NULL WHERE id = ?",
            params![to.label(), why, row.id],
        )?;
        let act = match row.state {
            CaseState::Closed => "reopened",
            _ => to.label(),
        };
        self.log(act, &row.id, None, json!({ "why": why }))?;
        Ok(true)
    }

    fn ends(&mut self, row: &TraceRow, end: &End) -> Done<bool> {
        let same = row.state == CaseState::Closed
            && row.outcome.as_deref() == Some(end.outcome.label())
            && row.ended_at == end.at
            && *row.summary == *end.text;
        let party = end.party.as_ref().filter(|_| {
            matches!(
                end.outcome,
                Outcome::Originator | Outcome::PointOfEntry | Outcome::Test
            )
        });
        let party = party.and_then(|p| serde_json::to_string(p).ok());
        if same {
            // A correction may name the caller in other words.
            let changed = self.tx.execute(
                "UPDATE trace SET originator = ?1 WHERE id = ?2 AND originator IS NOT ?1",
                params![party, row.id],
            )?;
            return Ok(changed > 0);
        }
        self.tx.execute(
            "UPDATE trace SET state = ?, outcome = ?, ended_at = ?, originator = ?, summary = ?, closed = ?, closed_by = ? WHERE id = ?",
            params![
                CaseState::Closed.label(),
                end.outcome.label(),
                end.at,
                party,
                end.text,
                self.now.nanos(),
                BY_WALK,
                row.id
            ],
        )?;
        let detail = json!({ "outcome": end.outcome, "at": end.at });
        self.log("closed", &row.id, None, detail)?;
        if let Some(at) = &end.at {
            self.repeats(&row.id, end.outcome, at, party.as_deref())?;
        }
        self.tell_closed(&row.id)?;
        Ok(true)
    }

    /// Says where other cases ended at the same provider, or with the same caller.
    pub(super) fn repeats(
        &mut self,
        trace: &str,
        outcome: Outcome,
        at: &str,
        party: Option<&str>,
    ) -> Done<()> {
        if !matches!(outcome, Outcome::Originator | Outcome::PointOfEntry) {
            return Ok(());
        }
        let others: i64 = self
            .tx
            .prepare_cached(
                "SELECT count(*) FROM trace WHERE ended_at = ? AND outcome = ? AND id <> ?",
            )?
            .query_row(params![at, outcome.label(), trace], |r| r.get(0))?;
        if others == 0 {
            return Ok(());
        }
        let mut text = format!(
            "{others} other cases ended at {} as well",
            self.provider(at)?.map_or_else(|| at.into(), |p| p.name)
        );
        let name = party
            .and_then(|p| serde_json::from_str::<Value>(p).ok())
            .and_then(|p| Some(p.get("name")?.as_str()?.to_owned()));
        if let Some(name) = name {
            let callers: i64 = self
                .tx
                .prepare_cached(
                    "SELECT count(*) FROM trace WHERE ended_at = ? AND outcome = ? AND id <> ? AND originator ->> '$.name' = ?",
                )?
                .query_row(params![at, outcome.label(), trace, name], |r| r.get(0))?;
            if callers > 0 {
                text = format!("{text}, {callers} of them with the same party");
            }
        }
        self.tx.execute(
            "DELETE FROM finding WHERE trace = ? AND kind = ?",
            params![trace, FindingKind::Repeat.label()],
        )?;
        self.find(trace, None, FindingKind::Repeat, &text)?;
        Ok(())
    }

    /// Tells everybody who was asked that the case is over; not those whose late answer is still taken.
    pub(super) fn tell_closed(&mut self, trace: &str) -> Done<()> {
        let hops = self.hops(trace)?;
        let silent: BTreeSet<&str> = hops
            .iter()
            .filter(|h| h.state == HopState::NonResponsive)
            .map(|h| &*h.provider)
            .collect();
        let asked: BTreeSet<&str> = hops.iter().map(|h| &*h.provider).collect();
        let data = json!({ "case_id": trace }).to_string();
        for provider in asked.difference(&silent) {
            self.tell(provider, EventKind::CaseClosed, trace, None, &data)?;
        }
        Ok(())
    }
}

/// The call of a question, as it was sent.
pub(super) fn call_of(octets: &[u8]) -> RawCall {
    let request: Option<RawHopRequest> = serde_json::from_slice(octets).ok();
    request.and_then(|r| r.call).unwrap_or_default()
}

/// Of an answer about a forwarded call: the number that was called before the forwarding.
pub(super) fn forwarded(raw: &RawAnswer) -> Option<&str> {
    let diverted = raw.resolution == Resolution::DivertedByOurSubscriber;
    raw.forwarded
        .as_ref()
        .filter(|_| diverted)
        .map(|f| &*f.called)
}

/// When something is, in nanoseconds.
pub(super) fn nanos(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::nanos)
}
