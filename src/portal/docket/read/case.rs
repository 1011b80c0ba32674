//! One case, as whoever asks may see it: the call, every hop with its answers checked anew, findings, notes, files, the log.
//!
//! Signatures and chain are checked when the page is made, with the directory's keys: what is shown as verified was verified now. A requester sees the path
//! and how it ended, and nothing of what any provider said beyond that.

use std::collections::HashMap;

use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde::Serialize;
use serde_json::{Value, json};

use super::{ProviderName, maybe_time, maybe_word, named, time, whole, word};
use crate::base::Timestamp;
use crate::portal::docket::{Actor, Docket, DocketError, Done, Problem, Result};
use crate::portal::word::{
    AnswerState, AnswerWay, Branch, CaseState, FindingKind, HopState, Outcome, Role,
};
use crate::proof::audit;
use crate::proof::sign::{Kind, Verifier, digest};
use crate::traceback::answer::{Party, RawAnswer, Resolution};
use crate::traceback::path::{self, SignedAnswer};

/// Hops of a case that are shown: paths have 4 to 10, each may be asked again and fork.
const MOST_HOPS: i64 = 200;
/// Answers of a case.
const MOST_ANSWERS: i64 = 500;
/// Findings, notes, files.
const MOST_LINES: i64 = 200;
/// Lines of the log, the first ones.
const MOST_LOG: usize = 500;

/// A case.
#[derive(Clone, Debug, Serialize)]
pub struct CaseView {
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub state: CaseState,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// 0 routine, 1 denial of service, 2 safety of life.
    pub priority: i64,
    /// Its campaign: number and name.
    pub campaign: Option<(i64, String)>,
    /// Who handed it in.
    pub requester: String,
    /// For whom.
    pub organisation: String,
    /// On what law it rests.
    pub legal_basis: String,
    /// What makes the call suspected.
    pub evidence: String,
    /// Called number.
    pub called: String,
    /// Calling number.
    pub calling: Option<String>,
    /// When the call was.
    pub called_at: Timestamp,
    /// The call as it was handed in.
    pub call: Value,
    /// Where the call ended.
    pub first: Option<ProviderName>,
    /// Where the request is outside the guidance.
    pub warnings: Vec<Warning>,
    /// Whom the outcome is about.
    pub ended_at: Option<ProviderName>,
    /// The caller, as far as named.
    pub originator: Option<Party>,
    /// The finding in words.
    pub summary: String,
    /// Answered hops of the path.
    pub answered: i64,
    /// Whether the docket found every step to hold.
    pub verified: bool,
    /// Hops of the path that were answered in the console.
    pub vouched: i64,
    /// Who closed it.
    pub closed_by: Option<String>,
    /// When it was opened.
    pub opened: Option<Timestamp>,
    /// Changed.
    pub changed: Timestamp,
    /// Closed.
    pub closed: Option<Timestamp>,
    /// Handed in.
    pub created: Timestamp,
    /// Every question, in the order of asking.
    pub hops: Vec<HopView>,
    /// What the walk came upon.
    pub findings: Vec<FindingView>,
    /// What people wrote.
    pub notes: Vec<NoteView>,
    /// Files.
    pub attachments: Vec<AttachmentView>,
    /// The log, for analysts and auditors.
    #[serde(skip)]
    pub log: Vec<audit::Line>,
}

/// Where a request is outside the guidance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Warning {
    /// The field.
    pub field: String,
    /// What is said of it.
    pub wanted: String,
}

/// A question.
#[derive(Clone, Debug, Serialize)]
pub struct HopView {
    /// Its id.
    pub id: String,
    /// Order of asking.
    pub n: i64,
    /// Place on its path.
    pub depth: i64,
    /// Whose answer led here.
    pub parent: Option<String>,
    /// Why it was asked.
    pub branch: Branch,
    /// Who is asked.
    pub provider: ProviderName,
    /// Who said that it got the call from there.
    pub downstream: Option<ProviderName>,
    /// Where it stands.
    pub state: HopState,
    /// Asked.
    pub issued: Timestamp,
    /// Due.
    pub due: Timestamp,
    /// The provider has it.
    pub acked: Option<Timestamp>,
    /// Answered.
    pub answered: Option<Timestamp>,
    /// Whether in time.
    pub in_time: Option<bool>,
    /// What was answered.
    pub resolution: Option<Resolution>,
    /// Whom the answer names, where it is a provider of the directory.
    pub named: Option<ProviderName>,
    /// Reminders sent.
    pub reminders: i64,
    /// The question as sent; none for a requester.
    pub request: Option<Value>,
    /// SHA-256 of the question.
    pub sha256: Option<String>,
    /// The answer that counts, or is disputed.
    pub answer: Option<AnswerView>,
    /// Every answer that came, the latest first; none for a requester.
    pub answers: Vec<AnswerView>,
}

/// An answer.
#[derive(Clone, Debug, Serialize)]
pub struct AnswerView {
    /// Its id.
    pub id: String,
    /// Rises with each.
    pub revision: i64,
    /// Where it stands.
    pub state: AnswerState,
    /// How it came.
    pub way: AnswerWay,
    /// When.
    pub received: Timestamp,
    /// From whom.
    pub by: String,
    /// SHA-256 of its compact JWS.
    pub digest: String,
    /// Which key.
    pub kid: Option<String>,
    /// What it says.
    pub resolution: Resolution,
    /// What was signed; none for a requester.
    pub said: Option<RawAnswer>,
    /// What did not hold when it came.
    pub wrong: Vec<String>,
    /// What does not hold now: signature, and the chain from the first hop to here. Nothing: it holds.
    pub flaws: Vec<String>,
    /// Whether it was checked now.
    pub checked: bool,
    /// Who disputes it.
    pub disputed_by: Option<String>,
    /// Why.
    pub dispute: Option<String>,
}

/// What the walk came upon.
#[derive(Clone, Debug, Serialize)]
pub struct FindingView {
    /// At which hop.
    pub hop: Option<String>,
    /// What.
    pub kind: FindingKind,
    /// When.
    pub at: Timestamp,
    /// In words; none for a requester.
    pub text: String,
}

/// A note.
#[derive(Clone, Debug, Serialize)]
pub struct NoteView {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// What.
    pub text: String,
}

/// A file.
#[derive(Clone, Debug, Serialize)]
pub struct AttachmentView {
    /// Its number.
    pub id: i64,
    /// Its hop.
    pub hop: Option<String>,
    /// When it came.
    pub at: Timestamp,
    /// From whom.
    pub by: String,
    /// Its name.
    pub name: String,
    /// How long it is.
    pub octets: u64,
    /// SHA-256 of it.
    pub sha256: String,
}

impl Docket {
    /// A case with everything of it that the actor may see.
    ///
    /// # Errors
    ///
    /// [`DocketError::Absent`]: there is none, or it is not his to see; the database.
    pub fn case(&self, actor: &Actor, case: &str) -> Result<CaseView> {
        let portal = self.signer().jwks().to_string();
        self.read(|tx| {
            let mut view = may_see(tx, actor, case)?;
            view.hops = hops(tx, case)?;
            check(tx, &portal, &mut view.hops)?;
            view.findings = findings(tx, case)?;
            view.notes = notes(tx, actor, case)?;
            view.attachments = attachments(tx, actor, case)?;
            if matches!(actor.role, Role::Analyst | Role::Auditor) {
                view.log = audit::lines(tx, Some(case), 0, MOST_LOG)?;
            }
            if actor.role == Role::Requester {
                view.hide();
            }
            Ok(view)
        })
    }

    /// Whether the actor may see a case: what comes before each act, so that acts say nothing of cases that are not the actor's.
    ///
    /// # Errors
    ///
    /// [`DocketError::Absent`]; the database.
    pub fn case_seen(&self, actor: &Actor, case: &str) -> Result<()> {
        self.read(|tx| may_see(tx, actor, case).map(drop))
    }

    /// A file of a case: name and octets.
    ///
    /// # Errors
    ///
    /// As [`Self::case`].
    pub fn case_attachment(&self, actor: &Actor, case: &str, id: i64) -> Result<(String, Vec<u8>)> {
        self.read(|tx| {
            may_see(tx, actor, case)?;
            let listed = attachments(tx, actor, case)?;
            let absent = DocketError::Absent("file");
            if !listed.iter().any(|a| a.id == id) {
                return Err(absent.into());
            }
            let mut statement =
                tx.prepare_cached("SELECT name, octets FROM attachment WHERE id = ?")?;
            let found = statement.query_row([id], |row| Ok((row.get(0)?, row.get(1)?)));
            found.optional()?.ok_or_else(|| absent.into())
        })
    }

    /// The answers of a case that count, as they came: for `tracehop answer verify`. With them the keys that they are checked with, each with its provider.
    ///
    /// # Errors
    ///
    /// As [`Self::case`]; requesters get neither.
    pub fn case_proof(&self, actor: &Actor, case: &str) -> Result<(Vec<u8>, Value)> {
        if actor.role == Role::Requester {
            return Err(DocketError::Absent("file"));
        }
        self.read(|tx| {
            may_see(tx, actor, case)?;
            let mut statement = tx.prepare_cached(
                "SELECT a.octets FROM hop h JOIN answer a ON a.hop = h.id AND a.id = h.answer WHERE h.trace = ? ORDER BY h.n LIMIT ?",
            )?;
            let mut octets = Vec::new();
            let rows = statement.query_map(params![case, MOST_ANSWERS], |row| row.get::<_, Vec<u8>>(0))?;
            for row in rows {
                octets.extend(row?);
                octets.push(b'\n');
            }
            let mut keys = Vec::new();
            for (provider, jwk) in self::keys(tx, case)? {
                let mut jwk: Value = serde_json::from_str(&jwk).unwrap_or_default();
                if let Some(members) = jwk.as_object_mut() {
                    members.insert("provider".to_owned(), provider.into());
                    keys.push(jwk);
                }
            }
            Ok((octets, json!({ "keys": keys })))
        })
    }
}

/// The case's own row, where the actor may see it.
fn may_see(tx: &Transaction<'_>, actor: &Actor, case: &str) -> Done<CaseView> {
    let sql = "SELECT t.id, t.state, t.outcome, t.priority, t.campaign, (SELECT name FROM campaign WHERE id = t.campaign), t.requester, t.organisation,
            t.legal_basis, t.evidence, t.called, t.calling, t.called_at, t.call, t.first_provider, (SELECT name FROM provider WHERE id = t.first_provider),
            t.warnings, t.ended_at, (SELECT name FROM provider WHERE id = t.ended_at), t.originator, t.summary, t.hops, t.verified, t.vouched, t.closed_by,
            t.opened, t.changed, t.closed, t.created
        FROM trace t WHERE t.id = ?";
    let found = tx.prepare_cached(sql)?.query_row([case], own).optional()?;
    let absent = DocketError::Absent("case");
    let view = found.ok_or(absent)?;
    let may = match actor.role {
        Role::Analyst | Role::Auditor => true,
        Role::Requester => *view.organisation == *actor.organisation,
        Role::Provider => false,
    };
    match may {
        true => Ok(view),
        false => Err(DocketError::Absent("case").into()),
    }
}

fn own(row: &Row<'_>) -> rusqlite::Result<CaseView> {
    let json = |at| {
        row.get::<_, Option<String>>(at)
            .map(Option::unwrap_or_default)
    };
    let campaign: Option<i64> = row.get(4)?;
    let campaign_name: Option<String> = row.get(5)?;
    Ok(CaseView {
        id: row.get(0)?,
        state: word(row, 1, CaseState::from_label)?,
        outcome: maybe_word(row, 2, Outcome::from_label)?,
        priority: row.get(3)?,
        campaign: campaign.zip(campaign_name),
        requester: row.get(6)?,
        organisation: row.get(7)?,
        legal_basis: row.get(8)?,
        evidence: row.get(9)?,
        called: row.get(10)?,
        calling: row.get(11)?,
        called_at: time(row, 12)?,
        call: serde_json::from_str(&json(13)?).unwrap_or_default(),
        first: named(row, 14, 15)?,
        warnings: serde_json::from_str(&json(16)?).unwrap_or_default(),
        ended_at: named(row, 17, 18)?,
        originator: serde_json::from_str(&json(19)?).ok(),
        summary: row.get(20)?,
        answered: row.get(21)?,
        verified: row.get(22)?,
        vouched: row.get(23)?,
        closed_by: row.get(24)?,
        opened: maybe_time(row, 25)?,
        changed: time(row, 26)?,
        closed: maybe_time(row, 27)?,
        created: time(row, 28)?,
        hops: Vec::new(),
        findings: Vec::new(),
        notes: Vec::new(),
        attachments: Vec::new(),
        log: Vec::new(),
    })
}

fn hops(tx: &Transaction<'_>, case: &str) -> Done<Vec<HopView>> {
    let mut statement = tx.prepare_cached(
        "SELECT h.id, h.n, h.depth, h.parent, h.branch, h.provider, p.name, h.downstream, d.name, h.state, h.issued, h.due, h.acked, h.answered, h.in_time,
             h.resolution, h.named, n.name, h.reminders, h.octets, h.sha256
         FROM hop h JOIN provider p ON p.id = h.provider LEFT JOIN provider d ON d.id = h.downstream LEFT JOIN provider n ON n.id = h.named
         WHERE h.trace = ? ORDER BY h.n LIMIT ?",
    )?;
    let rows = statement.query_map(params![case, MOST_HOPS], |row| {
        let octets = row.get_ref(19)?.as_blob().unwrap_or_default();
        Ok(HopView {
            id: row.get(0)?,
            n: row.get(1)?,
            depth: row.get(2)?,
            parent: row.get(3)?,
            branch: word(row, 4, Branch::from_label)?,
            provider: ProviderName {
                id: row.get(5)?,
                name: row.get(6)?,
            },
            downstream: named(row, 7, 8)?,
            state: word(row, 9, HopState::from_label)?,
            issued: time(row, 10)?,
            due: time(row, 11)?,
            acked: maybe_time(row, 12)?,
            answered: maybe_time(row, 13)?,
            in_time: row.get(14)?,
            resolution: maybe_word(row, 15, Resolution::from_label)?,
            named: named(row, 16, 17)?,
            reminders: row.get(18)?,
            request: serde_json::from_slice(octets).ok(),
            sha256: row.get(20)?,
            answer: None,
            answers: Vec::new(),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Reads all answers and checks them: each signature, and each chain of answers that count.
fn check(tx: &Transaction<'_>, portal: &str, hops: &mut [HopView]) -> Done<()> {
    let Some(case) = hops.first().map(|h| h.id.clone()) else {
        return Ok(());
    };
    let case = case
        .rsplit_once('-')
        .map_or("", |(case, _)| case)
        .to_owned();
    let mut providers = Verifier::default();
    for (provider, jwk) in keys(tx, &case)? {
        // A key that can't be read signs nothing.
        let _ = providers.add(format!("{{\"keys\":[{jwk}]}}").as_bytes(), Some(&provider));
    }
    let mut own = Verifier::default();
    let _ = own.add(portal.as_bytes(), None);
    let mut signed: HashMap<String, SignedAnswer> = HashMap::new();
    let mut statement = tx.prepare_cached(
        "SELECT a.hop, a.id, a.revision, a.state, a.way, a.received, a.by, a.octets, a.digest, a.kid, a.resolution, a.wrong, a.disputed_by, a.dispute,
             h.answer IS a.id
         FROM hop h JOIN answer a ON a.hop = h.id WHERE h.trace = ? ORDER BY a.received DESC, a.revision DESC LIMIT ?",
    )?;
    let rows = statement.query_map(params![case, MOST_ANSWERS], |row| {
        let octets = row.get_ref(7)?.as_blob().unwrap_or_default().to_vec();
        let wrong: String = row.get(11)?;
        let view = AnswerView {
            id: row.get(1)?,
            revision: row.get(2)?,
            state: word(row, 3, AnswerState::from_label)?,
            way: word(row, 4, AnswerWay::from_label)?,
            received: time(row, 5)?,
            by: row.get(6)?,
            digest: row.get(8)?,
            kid: row.get(9)?,
            resolution: word(row, 10, Resolution::from_label)?,
            said: None,
            wrong: serde_json::from_str(&wrong).unwrap_or_default(),
            flaws: Vec::new(),
            checked: false,
            disputed_by: row.get(12)?,
            dispute: row.get(13)?,
        };
        Ok((
            row.get::<_, String>(0)?,
            view,
            octets,
            row.get::<_, bool>(14)?,
        ))
    })?;
    for row in rows {
        let (hop, mut view, octets, counts) = row?;
        let verifier = match view.way {
            AnswerWay::Machine => &providers,
            AnswerWay::Console => &own,
        };
        let opened = open(verifier, view.way, &octets);
        view.said = opened.as_ref().map(|s| s.answer.clone());
        if let Some(Err(flaw)) = opened.as_ref().map(|s| &s.signature) {
            view.flaws.push(flaw.clone());
        }
        if opened.is_none() {
            view.flaws.push("what is kept can't be read".to_owned());
        }
        let Some(place) = hops.iter_mut().find(|h| h.id == hop) else {
            continue;
        };
        if counts {
            place.answer = Some(view.clone());
            if let Some(opened) = opened {
                signed.insert(hop, opened);
            }
        }
        place.answers.push(view);
    }
    chains(hops, &signed);
    Ok(())
}

/// Checks, for each hop whose answer counts, the chain from the first hop to it.
fn chains(hops: &mut [HopView], signed: &HashMap<String, SignedAnswer>) {
    let parents: HashMap<String, Option<String>> = hops
        .iter()
        .map(|h| (h.id.clone(), h.parent.clone()))
        .collect();
    for hop in hops.iter_mut() {
        let Some(answer) = hop.answer.as_mut() else {
            continue;
        };
        answer.checked = true;
        let mut chain = Vec::new();
        let mut at = Some(hop.id.clone());
        while let Some(id) = at.filter(|_| chain.len() <= parents.len()) {
            chain.extend(signed.get(&id).cloned());
            at = parents.get(&id).cloned().flatten();
        }
        chain.reverse();
        let path = path::check(&chain);
        let found = path
            .hops
            .iter()
            .find(|h| *h.signed.digest == *answer.digest);
        match found {
            Some(found) => answer.flaws = found.wrong.iter().map(ToString::to_string).collect(),
            None if answer.flaws.is_empty() => answer.flaws.push("it is on no path".to_owned()),
            None => {}
        }
    }
}

/// What was signed, and what its signature is worth; `None` where it can't be read at all.
fn open(verifier: &Verifier, way: AnswerWay, octets: &[u8]) -> Option<SignedAnswer> {
    match verifier.open(octets, Kind::Answer) {
        Ok(opened) => {
            let answer: RawAnswer = serde_json::from_slice(&opened.payload).ok()?;
            // The portal's key vouches for whom the docket let answer.
            let whose = match way {
                AnswerWay::Machine => opened.provider,
                AnswerWay::Console => {
                    let provider = answer.provider.as_ref();
                    provider
                        .and_then(|p| p.portal_id.as_deref())
                        .map(Into::into)
                }
            };
            Some(SignedAnswer {
                answer,
                digest: digest(&opened.jws),
                signature: Ok(whose),
            })
        }
        Err(flaw) => {
            let mut visible: Value = serde_json::from_slice(octets).ok()?;
            let jws = visible.as_object_mut()?.shift_remove("jws");
            Some(SignedAnswer {
                answer: serde_json::from_value(visible).ok()?,
                digest: digest(jws.as_ref().and_then(Value::as_str).unwrap_or_default()),
                signature: Err(flaw.to_string()),
            })
        }
    }
}

/// Keys of all providers of a case, those of earlier times too.
fn keys(tx: &Transaction<'_>, case: &str) -> Done<Vec<(String, String)>> {
    let mut statement = tx.prepare_cached(
        "SELECT k.provider, k.jwk FROM provider_key k WHERE k.provider IN (SELECT provider FROM hop WHERE trace = ?) ORDER BY k.provider, k.added LIMIT ?",
    )?;
    let rows = statement.query_map(params![case, MOST_HOPS * 4], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn findings(tx: &Transaction<'_>, case: &str) -> Done<Vec<FindingView>> {
    let sql = "SELECT hop, kind, at, text FROM finding WHERE trace = ? ORDER BY id LIMIT ?";
    let mut statement = tx.prepare_cached(sql)?;
    let rows = statement.query_map(params![case, MOST_LINES], |row| {
        Ok(FindingView {
            hop: row.get(0)?,
            kind: word(row, 1, FindingKind::from_label)?,
            at: time(row, 2)?,
            text: row.get(3)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Requesters see what their own organisation wrote; what analysts and providers write to a case is not for them.
const OWN: &str =
    "(?3 IS NULL OR by IN (SELECT name FROM user WHERE organisation = ?3 AND role = 'requester'))";

fn organisation(actor: &Actor) -> Option<&str> {
    (actor.role == Role::Requester).then_some(&*actor.organisation)
}

fn notes(tx: &Transaction<'_>, actor: &Actor, case: &str) -> Done<Vec<NoteView>> {
    let sql =
        format!("SELECT at, by, text FROM note WHERE trace = ?1 AND {OWN} ORDER BY id LIMIT ?2");
    let mut statement = tx.prepare_cached(&sql)?;
    let rows = statement.query_map(params![case, MOST_LINES, organisation(actor)], |row| {
        Ok(NoteView {
            at: time(row, 0)?,
            by: row.get(1)?,
            text: row.get(2)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn attachments(tx: &Transaction<'_>, actor: &Actor, case: &str) -> Done<Vec<AttachmentView>> {
    let sql = format!(
        "SELECT id, hop, at, by, name, length(octets), sha256 FROM attachment WHERE trace = ?1 AND {OWN} ORDER BY id LIMIT ?2"
    );
    let mut statement = tx.prepare_cached(&sql)?;
    let rows = statement.query_map(params![case, MOST_LINES, organisation(actor)], |row| {
        Ok(AttachmentView {
            id: row.get(0)?,
            hop: row.get(1)?,
            at: time(row, 2)?,
            by: row.get(3)?,
            name: row.get(4)?,
            octets: whole(row.get(5)?),
            sha256: row.get(6)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

impl CaseView {
    /// Takes out what a requester does not see.
    fn hide(&mut self) {
        for hop in &mut self.hops {
            hop.request = None;
            hop.sha256 = None;
            hop.answers.clear();
            if let Some(answer) = &mut hop.answer {
                answer.said = None;
                answer.dispute = None;
                answer.disputed_by = None;
                answer.by = String::new();
                if !answer.flaws.is_empty() {
                    answer.flaws = vec!["it does not hold".to_owned()];
                }
                answer.wrong.clear();
            }
        }
        for finding in &mut self.findings {
            finding.text = String::new();
        }
        self.closed_by = None;
    }
}

impl From<Problem> for Warning {
    fn from(p: Problem) -> Self {
        Self {
            field: p.field.to_owned(),
            wanted: p.wanted,
        }
    }
}
