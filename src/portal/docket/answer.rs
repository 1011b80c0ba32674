//! An answer comes from a provider's machine.

use rusqlite::{OptionalExtension, params};
use serde_json::{Value, json};

use super::row::HopRow;
use super::walk::{forwarded, nanos};
use super::work::{Done, Work};
use super::{Docket, DocketError, Result};
use crate::base::Timestamp;
use crate::number::NumberPlan;
use crate::portal::word::{AnswerState, AnswerWay, EventKind, FindingKind, HopState};
use crate::proof::Who;
use crate::proof::sign::verify::MAX_SIGNED;
use crate::proof::sign::{Kind, Verifier, digest};
use crate::traceback::answer::raw::MAX_COMMENT;
use crate::traceback::answer::resolution::Names;
use crate::traceback::answer::{Party, ProducedBy, RawAnswer, Resolution};
use crate::traceback::request::{MAX_TEXT, sha256_hex};

/// Most answers to one question, rejected ones too: revisions are of people who change their minds. Ours.
const MAX_ANSWERS: i64 = 24;
/// Longest id of an answer: a UUID has 36 octets.
const MAX_ID: usize = 64;

/// What became of an answer or a draft that a machine sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// It is taken (201).
    New,
    /// It was here already (200).
    Known,
    /// It is kept and does not count: everything that is wrong with it (422).
    Rejected(Vec<String>),
    /// Another answer has this id, or the question is over (409).
    Conflict(&'static str),
    /// The question was taken back (410).
    Withdrawn,
}

impl Docket {
    /// Takes an answer that the provider's machine sent: signed JSON, octet by octet. Verified, kept, and the case walked on.
    ///
    /// # Errors
    ///
    /// [`DocketError::Absent`] where there is no such question of this provider (404); [`DocketError::TooMany`] for too many revisions.
    pub fn answer(
        &self,
        provider: &str,
        hop: &str,
        answer: &str,
        octets: &[u8],
        now: Timestamp,
    ) -> Result<Received> {
        self.write(now, |w| w.answer(provider, hop, answer, octets))
    }
}

/// An answer as it was kept before.
struct Old {
    state: AnswerState,
    octets: Vec<u8>,
    wrong: Vec<String>,
}

/// An answer that is taken.
pub(super) struct Taken {
    pub raw: RawAnswer,
    pub octets: Vec<u8>,
    pub digest: Box<str>,
    pub kid: Box<str>,
    pub named: Option<Box<str>>,
    pub way: AnswerWay,
}

impl Work<'_> {
    fn answer(&mut self, provider: &str, id: &str, answer: &str, octets: &[u8]) -> Done<Received> {
        let hop = self.own_hop(id, provider)?;
        if octets.len() > MAX_SIGNED || answer.len() > MAX_ID {
            return Ok(Received::Rejected(vec!["it is too large".to_owned()]));
        }
        match self.kept(&hop, answer)? {
            Some(old) if old.octets == octets => {
                return Ok(match old.state {
                    AnswerState::Rejected => Received::Rejected(old.wrong),
                    _ => Received::Known,
                });
            }
            // What never counted may be mended under the same id.
            Some(old) if old.state != AnswerState::Rejected => {
                return Ok(Received::Conflict("another answer has this id"));
            }
            _ => {}
        }
        if !hop.takes_answers() {
            return Ok(Received::Withdrawn);
        }
        self.check_room(&hop)?;
        let who = Who::Provider(provider.into());
        match self.read(&hop, answer, octets)? {
            Ok(taken) => {
                self.take(&hop, taken, &who)?;
                Ok(Received::New)
            }
            Err((raw, wrong)) => {
                self.reject(&hop, answer, octets, raw.as_ref(), &wrong, &who)?;
                Ok(Received::Rejected(wrong))
            }
        }
    }

    fn kept(&self, hop: &HopRow, answer: &str) -> Done<Option<Old>> {
        let mut found = self
            .tx
            .prepare_cached("SELECT state, octets, wrong FROM answer WHERE hop = ? AND id = ?")?;
        let old = found.query_row([&*hop.id, answer], |r| {
            let (state, wrong): (Box<str>, Box<str>) = (r.get(0)?, r.get(2)?);
            Ok(Old {
                state: AnswerState::from_label(&state).unwrap_or(AnswerState::Rejected),
                octets: r.get(1)?,
                wrong: serde_json::from_str(&wrong).unwrap_or_default(),
            })
        });
        Ok(old.optional()?)
    }

    /// Refuses a provider that never stops.
    pub(super) fn check_room(&self, hop: &HopRow) -> Done<()> {
        let count: i64 = self
            .tx
            .prepare_cached("SELECT count(*) FROM answer WHERE hop = ?")?
            .query_row([&*hop.id], |r| r.get(0))?;
        match count < MAX_ANSWERS {
            true => Ok(()),
            false => Err(DocketError::TooMany {
                what: format!("{MAX_ANSWERS} answers to one question"),
                after_s: 3600,
            }
            .into()),
        }
    }

    /// The keys with which a provider may sign now.
    pub(super) fn keys_of(&self, provider: &str) -> Done<Verifier> {
        let mut verifier = Verifier::default();
        let mut keys = self.tx.prepare_cached(
            "SELECT jwk FROM provider_key WHERE provider = ?1 AND (retired IS NULL OR retired > ?2)",
        )?;
        let rows = keys.query_map(params![provider, self.now.nanos()], |r| {
            r.get::<_, String>(0)
        })?;
        for jwk in rows {
            let Ok(jwk) = serde_json::from_str::<Value>(&jwk?) else {
                continue;
            };
            let set = json!({ "keys": [jwk] }).to_string();
            // A key that is no use to us is passed over.
            let _ = verifier.add(set.as_bytes(), Some(provider));
        }
        Ok(verifier)
    }

    /// Reads an answer, and finds everything that is wrong with it.
    #[allow(clippy::type_complexity)]
    fn read(
        &mut self,
        hop: &HopRow,
        id: &str,
        octets: &[u8],
    ) -> Done<std::result::Result<Taken, (Option<RawAnswer>, Vec<String>)>> {
        let opened = match self.keys_of(&hop.provider)?.open(octets, Kind::Answer) {
            Ok(opened) => opened,
            Err(flaw) => return Ok(Err((None, vec![flaw.to_string()]))),
        };
        let raw: RawAnswer = match serde_json::from_slice(&opened.payload) {
            Ok(raw) => raw,
            Err(e) => {
                let why = e.to_string().chars().take(MAX_TEXT).collect::<String>();
                return Ok(Err((
                    None,
                    vec![format!("the answer can't be read: {why}")],
                )));
            }
        };
        let mut wrong = self.chained(hop, id, &raw)?;
        wrong.extend(self.revised(hop, &raw)?);
        if raw.produced_by == ProducedBy::NeedsPerson {
            wrong.push("a person must look at it first: it is a draft".to_owned());
        }
        wrong.extend(shape(&raw));
        let named = match wrong.is_empty() {
            true => self.names(hop, &raw, &mut wrong)?,
            false => None,
        };
        if !wrong.is_empty() {
            return Ok(Err((Some(raw), wrong)));
        }
        Ok(Ok(Taken {
            digest: digest(&opened.jws),
            kid: opened.kid,
            octets: octets.to_vec(),
            raw,
            named,
            way: AnswerWay::Machine,
        }))
    }

    /// What does not fit the question.
    pub(super) fn chained(&self, hop: &HopRow, id: &str, raw: &RawAnswer) -> Done<Vec<String>> {
        let mut wrong = Vec::new();
        if raw.id != id {
            wrong.push(format!("its id is {:?}", cut(&raw.id)));
        }
        if raw.request_id != hop.id {
            wrong.push(format!("it answers {:?}", cut(&raw.request_id)));
        }
        if raw.case_id.as_deref().is_some_and(|c| *c != *hop.trace) {
            wrong.push("it is of another case".to_owned());
        }
        if raw.hop_no.is_some_and(|n| n != hop.depth) {
            wrong.push(format!("hop_no should be {}", hop.depth));
        }
        if *raw.request_sha256 != *hop.sha256 {
            wrong.push("request_sha256 is not that of the question as it stands".to_owned());
        }
        if raw.previous_hop_digest != hop.previous_digest {
            wrong.push("previous_hop_digest is not that of the question".to_owned());
        }
        match &raw.provider {
            None => wrong.push("it does not say who answers".to_owned()),
            Some(provider) => {
                let claimed = provider.portal_id.as_deref().unwrap_or(&provider.name);
                let here = self.provider_by(claimed)?;
                if here.is_none_or(|p| p.id != hop.provider) {
                    wrong.push(format!("it says that {:?} answers", cut(claimed)));
                }
            }
        }
        Ok(wrong)
    }

    /// What is wrong with its place among earlier answers.
    fn revised(&self, hop: &HopRow, raw: &RawAnswer) -> Done<Vec<String>> {
        let mut wrong = Vec::new();
        let last: Option<(String, i64)> = self
            .tx
            .prepare_cached(
                "SELECT id, revision FROM answer WHERE hop = ? AND state <> ? ORDER BY revision DESC LIMIT 1",
            )?
            .query_row([&*hop.id, AnswerState::Rejected.label()], |r| {
                Ok((r.get(0)?, r.get(1)?))
            })
            .optional()?;
        if raw.revision == 0 {
            wrong.push("its revision is 0".to_owned());
        }
        if let Some((last, revision)) = last {
            if i64::from(raw.revision) <= revision {
                wrong.push(format!("revision {revision} is here already"));
            }
            if raw.supersedes.as_deref() != Some(&*last) {
                wrong.push(format!("it does not say that it supersedes {last}"));
            }
        }
        Ok(wrong)
    }

    /// The provider that an answer names as its upstream, by its id here.
    pub(super) fn names(
        &mut self,
        hop: &HopRow,
        raw: &RawAnswer,
        wrong: &mut Vec<String>,
    ) -> Done<Option<Box<str>>> {
        let domestic = matches!(
            raw.resolution,
            Resolution::UpstreamDomestic
                | Resolution::DivertedByOurSubscriber
                | Resolution::BlockedHere
        );
        let Some(party) = raw.upstream.as_ref().filter(|_| domestic) else {
            return Ok(None);
        };
        match self.named(party)? {
            Err(why) => wrong.push(why),
            Ok(named) if named.id == hop.provider => {
                wrong.push(
                    "it names its own provider as the one that handed the call over".to_owned(),
                );
            }
            Ok(named) => return Ok(Some(named.id)),
        }
        Ok(None)
    }

    fn reject(
        &mut self,
        hop: &HopRow,
        id: &str,
        octets: &[u8],
        raw: Option<&RawAnswer>,
        wrong: &[String],
        who: &Who,
    ) -> Done<()> {
        self.tx.execute(
            "INSERT INTO answer (hop, id, revision, state, way, received, by, octets, digest, resolution, wrong) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (hop, id) DO UPDATE SET received = excluded.received, octets = excluded.octets, wrong = excluded.wrong, resolution = excluded.resolution",
            params![
                hop.id,
                id,
                raw.map_or(0, |r| r.revision),
                AnswerState::Rejected.label(),
                AnswerWay::Machine.label(),
                self.now.nanos(),
                who.to_string(),
                octets,
                "",
                raw.map_or("", |r| r.resolution.label()),
                json!(wrong).to_string()
            ],
        )?;
        let detail = json!({ "answer": id, "sha256": sha256_hex(octets), "wrong": wrong });
        self.note(who, "rejected", &hop.trace, Some(&hop.id), detail)?;
        let text = wrong.join("; ");
        let text = format!("an answer of {} was rejected: {text}", hop.provider);
        self.find(&hop.trace, Some(&hop.id), FindingKind::Unverified, &text)?;
        self.changed_now(&hop.trace)
    }

    /// Keeps an answer, in place of any before it, and walks on. A receipt takes no answer back.
    pub(super) fn take(&mut self, hop: &HopRow, taken: Taken, who: &Who) -> Done<()> {
        let raw = &taken.raw;
        let counts = raw.resolution != Resolution::Pending || hop.answer.is_none();
        if counts {
            self.tx.execute(
                "UPDATE answer SET state = ? WHERE hop = ? AND state IN (?, ?)",
                [
                    AnswerState::Replaced.label(),
                    &*hop.id,
                    AnswerState::Current.label(),
                    AnswerState::Disputed.label(),
                ],
            )?;
        }
        let state = match counts {
            true => AnswerState::Current,
            false => AnswerState::Replaced,
        };
        self.tx.execute(
            "INSERT OR REPLACE INTO answer (hop, id, revision, state, way, received, by, octets, digest, kid, resolution, named) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                hop.id,
                raw.id,
                raw.revision,
                state.label(),
                taken.way.label(),
                self.now.nanos(),
                who.to_string(),
                taken.octets,
                taken.digest,
                taken.kid,
                raw.resolution.label(),
                taken.named
            ],
        )?;
        let detail = json!({
            "answer": raw.id, "revision": raw.revision, "resolution": raw.resolution, "named": taken.named,
            "way": taken.way, "digest": taken.digest,
        });
        self.note(who, "answered", &hop.trace, Some(&hop.id), detail)?;
        let state = match raw.resolution {
            // A receipt: the clock runs on.
            Resolution::Pending if hop.waits() => HopState::Acknowledged,
            Resolution::Pending => hop.state,
            Resolution::Ambiguous | Resolution::InsufficientRequest => HopState::NeedsInfo,
            _ => HopState::Answered,
        };
        if raw.resolution == Resolution::Pending {
            self.tx.execute(
                "UPDATE hop SET state = ?, acked = coalesce(acked, ?) WHERE id = ?",
                params![state.label(), self.now.nanos(), hop.id],
            )?;
            return self.changed_now(&hop.trace);
        }
        if hop.state == HopState::NonResponsive {
            let text = format!("{} answered after its deadline", hop.provider);
            self.find(&hop.trace, Some(&hop.id), FindingKind::Late, &text)?;
        }
        let answered = (state == HopState::Answered).then_some(self.now);
        // Whether it was in time is decided by the first answer, not by a later revision.
        self.tx.execute(
            "UPDATE hop SET state = ?, acked = coalesce(acked, ?), answered = coalesce(answered, ?), in_time = coalesce(in_time, ?), resolution = ?, named = ?, answer = ?,
                 overdue_at = NULL, remind_at = NULL WHERE id = ?",
            params![
                state.label(),
                self.now.nanos(),
                nanos(answered),
                answered.map(|at| at <= hop.due),
                raw.resolution.label(),
                taken.named,
                raw.id,
                hop.id
            ],
        )?;
        if state == HopState::Answered && taken.way == AnswerWay::Machine {
            self.tell_about(hop, EventKind::Accepted, Some(&raw.id), None)?;
        }
        self.touch(Some(&hop.trace), &[&hop.provider]);
        self.changed_now(&hop.trace)?;
        if state == HopState::NeedsInfo && !self.trace(&hop.trace)?.is_walked() {
            // Nobody will say more: a person closed the case.
            return self.withdraw(hop, "the case is over");
        }
        self.walk(&hop.trace)
    }
}

/// What is wrong with an answer by itself: whom it names, and texts without end.
pub(super) fn shape(raw: &RawAnswer) -> Vec<String> {
    let mut wrong = Vec::new();
    let label = raw.resolution.label();
    let origin = raw.resolution.names_originator();
    let party = match origin {
        true => raw.originator.as_ref(),
        false => raw.upstream.as_ref(),
    };
    match (raw.resolution.names(), party) {
        (Names::Always, None) => wrong.push(format!("{label} names somebody, and this does not")),
        (Names::Never, _) if raw.upstream.is_some() || raw.originator.is_some() => {
            wrong.push(format!("{label} names nobody, and this does"));
        }
        _ => {}
    }
    if origin && raw.upstream.is_some() || !origin && raw.originator.is_some() {
        wrong.push(format!(
            "{label} can't name both an upstream and an originator"
        ));
    }
    for party in [&raw.upstream, &raw.originator].into_iter().flatten() {
        if party.name.trim().is_empty() {
            wrong.push("whom it names has no name".to_owned());
        }
        if texts(party).any(|t| t.chars().count() > MAX_TEXT) {
            wrong.push(format!("a name or id has more than {MAX_TEXT} characters"));
        }
    }
    for text in [&raw.comment, &raw.mitigation].into_iter().flatten() {
        if text.len() > MAX_COMMENT {
            wrong.push(format!("a text has more than {MAX_COMMENT} octets"));
        }
    }
    if raw.resolution == Resolution::DivertedByOurSubscriber
        && let Some(called) = forwarded(raw)
        && NumberPlan::default()
            .canonical(called.as_bytes())
            .tn()
            .is_none()
    {
        wrong.push("forwarded.called is no telephone number".to_owned());
    }
    wrong
}

fn texts(party: &Party) -> impl Iterator<Item = &str> {
    let ids = [
        &party.portal_id,
        &party.rmd,
        &party.frn,
        &party.ocn,
        &party.contact,
    ];
    let ids = ids.into_iter().flatten();
    ids.map(|t| &**t).chain([&*party.name, &*party.country])
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_ID).collect()
}
