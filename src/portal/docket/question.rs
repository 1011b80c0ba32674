//! A hop question, as a person changes it: with more in it, or asked again.

use std::time::Duration;

use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::intake::{moment, problem};
use super::row::{HopRow, TraceRow};
use super::walk::{call_of, nanos};
use super::work::{Done, Work};
use super::{Actor, Docket, DocketError, Result};
use crate::base::Timestamp;
use crate::number::NumberPlan;
use crate::portal::word::{Branch, EventKind, HopState, Role};
use crate::traceback::deadline::{Deadline, DeadlineRule, RuleClock};
use crate::traceback::request::{
    HopRequest, ProviderIds, RawCall, RawCampaign, RawHopRequest, RawRequester, RawTime, sha256_hex,
};
use crate::traceback::walk::{Question, WalkAnswer, sharpened};

/// Shares of a deadline at which its provider is reminded (traceback.md §11.5).
pub(super) const REMIND_AT: [f64; 3] = [0.5, 0.75, 0.9];
/// Longest remark, in characters. Ours: a paragraph.
const MAX_REMARK: usize = 1024;
/// How often one question may be clarified. Ours: above it somebody plays ping-pong.
const MOST_CLARIFIED: i64 = 20;

/// What a person adds to a question. Empty texts leave what is there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Clarification {
    /// Called number of this leg.
    pub called: String,
    /// Calling number.
    pub calling: String,
    /// When: as in [`super::Handed`].
    pub time: String,
    /// Zone of a local time.
    pub tz: String,
    /// How far the time may be off, in seconds.
    pub precision_s: Option<f64>,
    /// Whether it was answered.
    pub answered: Option<bool>,
    /// From answer to release, in seconds.
    pub duration_s: Option<f64>,
    /// SIP Call-ID at the downstream.
    pub sip_call_id: String,
    /// Session-ID.
    pub session_id: String,
    /// `origid`.
    pub origid: String,
    /// The Identity header's value.
    pub identity: String,
    /// In words, to the provider's staff: the member `remark` of the question.
    pub remark: String,
}

impl Docket {
    /// Puts more into an open question: the same id, new octets, a new deadline. Analysts; a requester while the provider asks back.
    ///
    /// # Errors
    ///
    /// [`DocketError`].
    pub fn clarify(
        &self,
        actor: &Actor,
        hop: &str,
        more: &Clarification,
        now: Timestamp,
    ) -> Result<()> {
        self.write(now, |w| w.clarify(actor, hop, more))
    }

    /// Asks the same provider again, as a new question in place of the old one: after silence, after a gap that was mended. Analysts.
    /// Gives the new question's id.
    ///
    /// # Errors
    ///
    /// [`DocketError`].
    pub fn ask_again(
        &self,
        actor: &Actor,
        hop: &str,
        remark: &str,
        now: Timestamp,
    ) -> Result<Box<str>> {
        self.write(now, |w| w.ask_again(actor, hop, remark))
    }
}

impl Work<'_> {
    fn clarify(&mut self, actor: &Actor, id: &str, more: &Clarification) -> Done<()> {
        let hop = self.hop(id)?;
        let row = self.trace(&hop.trace)?.visible_to(actor)?;
        let may = match actor.role {
            Role::Analyst => hop.waits() || hop.state == HopState::NeedsInfo,
            _ => hop.state == HopState::NeedsInfo,
        };
        if !may {
            return refused("the question is not open");
        }
        let clarified: i64 = self.tx.query_row(
            "SELECT count(*) FROM event WHERE trace = ? AND hop = ? AND kind = ?",
            params![hop.trace, hop.id, EventKind::Clarified.label()],
            |r| r.get(0),
        )?;
        if clarified >= MOST_CLARIFIED {
            return refused("the question was clarified too often");
        }
        let call = more.over(&call_of(&hop.octets))?;
        let remark = Some(more.remark.trim()).filter(|r| !r.is_empty());
        if remark.is_some_and(|r| r.chars().count() > MAX_REMARK) {
            let wanted = format!("at most {MAX_REMARK} characters");
            return Err(DocketError::Wrong(vec![problem("remark", wanted)]).into());
        }
        if remark.is_none() && call == call_of(&hop.octets) {
            return refused("nothing was added");
        }
        let detail = json!({ "remark": remark.is_some() });
        self.note(&actor.who, "clarify", &hop.trace, Some(&hop.id), detail)?;
        self.clarify_hop(&row, &hop, &call, remark)?;
        self.changed_now(&hop.trace)?;
        self.walk(&hop.trace)
    }

    fn ask_again(&mut self, actor: &Actor, id: &str, remark: &str) -> Done<Box<str>> {
        actor.must_be_analyst()?;
        let hop = self.hop(id)?;
        let row = self.trace(&hop.trace)?;
        if !row.is_walked() {
            return refused("the case is not open");
        }
        if hop.waits() || hop.state == HopState::NeedsInfo {
            return refused("the question is still open; clarify it");
        }
        if hop.state == HopState::Withdrawn {
            return refused("the question was taken back");
        }
        let all = self.hops(&hop.trace)?;
        let most = self.settings.walk.most_hops.saturating_mul(4);
        if all.len() >= usize::try_from(most).unwrap_or(usize::MAX) {
            return refused("too many questions were asked in this case");
        }
        let before = all.iter().find(|h| Some(&h.id) == hop.parent.as_ref());
        let answer: Option<WalkAnswer> = match before {
            Some(before) => self.answer_of(before)?,
            None => None,
        };
        let remark = remark.trim();
        let question = Question {
            provider: hop.provider.clone(),
            downstream: hop.downstream.clone(),
            parent: before.map(|b| b.n),
            depth: hop.depth,
            branch: match hop.branch {
                Branch::Hint => Branch::Hint,
                _ => Branch::Again,
            },
            previous_digest: hop.previous_digest.clone(),
            call: sharpened(&call_of(&hop.octets), answer.as_ref()),
            remark: Some(remark.chars().take(MAX_REMARK).collect::<String>())
                .filter(|r| !r.is_empty()),
        };
        let detail = json!({ "instead_of": hop.id });
        self.note(&actor.who, "ask-again", &hop.trace, Some(&hop.id), detail)?;
        let new = self.ask(&row, &question, hop.parent.as_deref())?;
        self.changed_now(&hop.trace)?;
        self.walk(&hop.trace)?;
        Ok(new)
    }

    /// Asks a question.
    pub(super) fn ask(
        &mut self,
        row: &TraceRow,
        question: &Question,
        parent: Option<&str>,
    ) -> Done<Box<str>> {
        let n: u32 = self
            .tx
            .prepare_cached("SELECT coalesce(max(n), 0) + 1 FROM hop WHERE trace = ?")?
            .query_row([&*row.id], |r| r.get(0))?;
        let id: Box<str> = format!("{}-{n:02}", row.id).into();
        let deadline = self.deadline_of(&question.provider)?;
        let downstream = match &question.downstream {
            Some(downstream) => match self.provider(downstream)? {
                Some(row) => Some(self.ids_of(&row)?),
                None => None,
            },
            None => None,
        };
        let sent = Sent {
            id: &id,
            depth: question.depth,
            call: &question.call,
            downstream,
            previous_digest: question.previous_digest.as_deref(),
            remark: question.remark.as_deref(),
        };
        let octets = self.octets(row, &sent, &deadline)?;
        let sha256 = sha256_hex(octets.as_bytes());
        let (remind, overdue) = self.times(&question.provider, &deadline)?;
        self.tx
            .prepare_cached(
                "INSERT INTO hop (id, trace, n, depth, parent, branch, provider, downstream, state, octets, sha256, previous_digest, issued, due, deadline, overdue_at, remind_at)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                id,
                row.id,
                n,
                question.depth,
                parent,
                question.branch.label(),
                question.provider,
                question.downstream,
                HopState::Asked.label(),
                octets.as_bytes(),
                sha256,
                question.previous_digest,
                self.now.nanos(),
                deadline.due.nanos(),
                json!(deadline).to_string(),
                overdue.nanos(),
                nanos(remind)
            ])?;
        let detail =
            json!({ "provider": question.provider, "branch": question.branch, "sha256": sha256 });
        self.log("asked", &row.id, Some(&id), detail)?;
        let provider = question.provider.clone();
        self.tell(&provider, EventKind::Created, &row.id, Some(&id), &octets)?;
        Ok(id)
    }

    /// Puts more into a question. It is open then, with a new deadline.
    pub(super) fn clarify_hop(
        &mut self,
        row: &TraceRow,
        hop: &HopRow,
        call: &RawCall,
        remark: Option<&str>,
    ) -> Done<()> {
        let deadline = self.deadline_of(&hop.provider)?;
        let old: Option<RawHopRequest> = serde_json::from_slice(&hop.octets).ok();
        let sent = Sent {
            id: &hop.id,
            depth: hop.depth,
            call,
            downstream: old.and_then(|o| o.downstream),
            previous_digest: hop.previous_digest.as_deref(),
            remark,
        };
        let octets = self.octets(row, &sent, &deadline)?;
        let sha256 = sha256_hex(octets.as_bytes());
        let (remind, overdue) = self.times(&hop.provider, &deadline)?;
        self.tx.execute(
            "UPDATE hop SET octets = ?, sha256 = ?, state = ?, due = ?, deadline = ?, overdue_at = ?, remind_at = ?, reminders = 0, acked = NULL, resolution = NULL, named = NULL WHERE id = ?",
            params![
                octets.as_bytes(),
                sha256,
                HopState::Asked.label(),
                deadline.due.nanos(),
                json!(deadline).to_string(),
                overdue.nanos(),
                nanos(remind),
                hop.id
            ],
        )?;
        self.log(
            "clarified",
            &row.id,
            Some(&hop.id),
            json!({ "sha256": sha256 }),
        )?;
        self.tell(
            &hop.provider,
            EventKind::Clarified,
            &row.id,
            Some(&hop.id),
            &octets,
        )
    }

    /// When a provider's answer to a question of now is due.
    fn deadline_of(&self, provider: &str) -> Done<Deadline> {
        let portal = self.settings.walk.deadline.map(|d| self.now.plus(d));
        Ok(self.clock_of(provider)?.deadline(self.now, portal))
    }

    /// The clock of a provider's rule. A zone that nobody knows is that of the rule's country.
    pub(super) fn clock_of(&self, provider: &str) -> Done<RuleClock> {
        let row = self.provider(provider)?;
        let label = row.as_ref().map_or("", |r| &*r.deadline);
        let rule = DeadlineRule::from_label(label).unwrap_or_default();
        let zone = row.as_ref().map_or("UTC", |r| &*r.time_zone);
        RuleClock::new(rule, zone)
            .or_else(|_| RuleClock::new(rule, "America/New_York"))
            .map_err(|e| DocketError::Refused(e.to_string()).into())
    }

    /// When a provider is reminded first, and when it counts as silent.
    fn times(&self, provider: &str, deadline: &Deadline) -> Done<(Option<Timestamp>, Timestamp)> {
        let clock = self.clock_of(provider)?;
        let grace: Duration = self.settings.walk.grace;
        let remind = REMIND_AT.first().map(|s| clock.at_share(deadline, *s));
        Ok((remind, deadline.due.plus(grace)))
    }

    /// A question as it is sent.
    fn octets(&self, row: &TraceRow, sent: &Sent<'_>, deadline: &Deadline) -> Done<String> {
        let campaign: Option<(String, String)> = match row.campaign {
            Some(id) => self
                .tx
                .prepare_cached("SELECT name, summary FROM campaign WHERE id = ?")?
                .query_row([id], |r| Ok((r.get(0)?, r.get(1)?)))
                .optional()?,
            None => None,
        };
        let request = RawHopRequest {
            id: Some(sent.id.to_owned()),
            case_id: Some(row.id.to_string()),
            hop_no: Some(sent.depth),
            issued_at: Some(self.now),
            due_at: Some(deadline.due),
            priority: Some(priority_label(row.priority).to_owned()),
            legal_basis: Some(row.legal_basis.to_string()).filter(|l| !l.is_empty()),
            requester: Some(RawRequester {
                id: Some(self.settings.name.to_string()),
                role: Some("portal".to_owned()),
            }),
            downstream: sent.downstream.clone(),
            call: Some(sent.call.clone()),
            campaign: campaign.map(|(name, summary)| RawCampaign {
                name: Some(name),
                summary: Some(summary).filter(|s| !s.is_empty()),
                media_url: None,
            }),
            previous_hop_digest: sent.previous_digest.map(str::to_owned),
        };
        let mut value = json!(request);
        // Not of the matcher: for the people who read it.
        if let (Some(remark), Some(members)) = (sent.remark, value.as_object_mut()) {
            members.insert("remark".to_owned(), remark.into());
        }
        Ok(bare(value).to_string())
    }
}

/// What a question says, beside what the case says.
struct Sent<'a> {
    id: &'a str,
    depth: u32,
    call: &'a RawCall,
    downstream: Option<ProviderIds>,
    previous_digest: Option<&'a str>,
    remark: Option<&'a str>,
}

/// Without members that say nothing: schemas of hop requests have no `null`.
fn bare(value: Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .filter(|(_, v)| !v.is_null())
                .map(|(k, v)| (k, bare(v)))
                .collect(),
        ),
        other => other,
    }
}

/// How urgent, as a question says it.
pub(super) const fn priority_label(priority: i64) -> &'static str {
    match priority {
        2 => "safety_of_life",
        1 => "tdos",
        _ => "routine",
    }
}

pub(super) fn refused<T>(why: &str) -> Done<T> {
    Err(DocketError::Refused(why.to_owned()).into())
}

impl Clarification {
    /// The call with this in it, checked as a provider will check it.
    fn over(&self, old: &RawCall) -> Done<RawCall> {
        let text = |new: &str, old: &Option<String>| match new.trim() {
            "" => old.clone(),
            new => Some(new.to_owned()),
        };
        let mut wrong = Vec::new();
        let mut call = RawCall {
            called: text(&self.called, &old.called),
            calling: text(&self.calling, &old.calling),
            time: old.time.clone(),
            duration_s: self.duration_s.or(old.duration_s),
            answered: self.answered.or(old.answered),
            sip_call_id: text(&self.sip_call_id, &old.sip_call_id),
            session_id: text(&self.session_id, &old.session_id),
            origid: text(&self.origid, &old.origid),
            identity_sha256: old.identity_sha256.clone(),
            identity: text(&self.identity, &old.identity),
        };
        if !self.identity.trim().is_empty() {
            call.identity_sha256 = None;
        }
        if !self.time.trim().is_empty() {
            match moment(&self.time, &self.tz) {
                Ok((at, precision_s)) => {
                    call.time = Some(RawTime {
                        value: Some(at.to_string()),
                        tz: Some(self.tz.trim().to_owned()).filter(|t| !t.is_empty()),
                        precision_s: self.precision_s.or(precision_s),
                    });
                }
                Err(why) => wrong.push(problem(why.0, why.1)),
            }
        } else if let (Some(precision), Some(time)) = (self.precision_s, &mut call.time) {
            time.precision_s = Some(precision);
        }
        wrong.extend(check_call(&mut call));
        match wrong.is_empty() {
            true => Ok(call),
            false => Err(DocketError::Wrong(wrong).into()),
        }
    }
}

/// Checks a call as a provider will, and makes its numbers canonical. What is wrong, by the names of a form.
pub(super) fn check_call(call: &mut RawCall) -> Vec<super::Problem> {
    let raw = RawHopRequest {
        id: Some("x".to_owned()),
        case_id: Some("x".to_owned()),
        call: Some(call.clone()),
        ..RawHopRequest::default()
    };
    match HopRequest::from_raw(&raw, "".into(), &NumberPlan::default()) {
        Ok(request) => {
            call.called = Some(request.call.called.as_str().to_owned());
            if let Some(calling) = request.call.calling {
                call.calling = Some(calling.as_str().to_owned());
            }
            Vec::new()
        }
        Err(refused) => refused
            .problems
            .into_iter()
            .map(|p| problem(form_field(p.field), p.wanted))
            .collect(),
    }
}

fn form_field(field: &'static str) -> &'static str {
    match field {
        "call.called" => "called",
        "call.calling" => "calling",
        "call.time" | "call.time.value" => "time",
        "call.time.tz" => "tz",
        "call.time.precision_s" => "precision_s",
        "call.duration_s" => "duration_s",
        "call.sip_call_id" => "sip_call_id",
        "call.session_id" => "session_id",
        "call.origid" => "origid",
        "call.identity" | "call.identity_sha256" => "identity",
        other => other,
    }
}

/// A text from outside, bounded and without what a terminal would obey.
pub(super) fn text(
    field: &'static str,
    text: &str,
    most: usize,
) -> std::result::Result<String, super::Problem> {
    let plain: String = text
        .trim()
        .chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .collect();
    match plain.chars().count() <= most {
        true => Ok(plain),
        false => Err(problem(field, format!("at most {most} characters"))),
    }
}
