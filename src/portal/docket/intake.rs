//! A request for a traceback is handed in.

use std::sync::Arc;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::question::{check_call, text};
use super::work::{Done, Work};
use super::{Actor, Docket, DocketError, Problem, Result};
use crate::base::Timestamp;
use crate::portal::word::{CaseState, Category, Role};
use crate::traceback::request::{MAX_TEXT, RawCall, RawTime};

/// How far in the future a call may lie: clocks of those who complain are off by minutes. Ours.
const AHEAD: Duration = Duration::from_secs(300);
/// Longest text of evidence, in characters. Ours: two pages.
const MAX_EVIDENCE: usize = 8192;
/// How near two calls to one number must be to be the same, in seconds, beside what is said of their precision. Ours: two clocks that are off.
const SAME_CALL_S: f64 = 60.0;
/// Imprecision of a time without its seconds.
const MINUTE_S: f64 = 60.0;
/// Seconds of a day.
const DAY_S: u64 = 86_400;

/// A request as it is handed in. Texts are as somebody typed them; what is wrong is said field by field, by the names of these fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Handed {
    /// Called number.
    pub called: String,
    /// Calling number, or a word such as `anonymous`.
    pub calling: String,
    /// When: RFC 3339 with offset, or local time (`2026-11-24T09:30:07`, a blank for the T, seconds left out) with `tz`.
    pub time: String,
    /// Zone of a local time, such as `America/New_York`.
    pub tz: String,
    /// How far the time may be off, in seconds; nothing: a minute for a time without seconds, else one second.
    pub precision_s: Option<f64>,
    /// Whether it was answered.
    pub answered: Option<bool>,
    /// From answer to release, in seconds.
    pub duration_s: Option<f64>,
    /// SIP Call-ID at the terminating provider.
    pub sip_call_id: String,
    /// Session-ID.
    pub session_id: String,
    /// `origid`.
    pub origid: String,
    /// The Identity header's value.
    pub identity: String,
    /// The provider that the call ended at: its id here, or any other id of it.
    pub provider: String,
    /// `routine`, `tdos`, `safety_of_life`; nothing is routine.
    pub priority: String,
    /// On what law the request rests.
    pub legal_basis: String,
    /// Name of the campaign; made where there is none of that name.
    pub campaign: String,
    /// What makes the call suspected: what was said, who complained.
    pub evidence: String,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Submitted {
    /// The case.
    pub case: Arc<str>,
    /// Where it stands.
    pub state: CaseState,
    /// Where it is outside the guidance.
    pub warnings: Vec<Problem>,
}

impl Docket {
    /// Takes a request: requesters for their organisation, analysts for anybody's.
    ///
    /// # Errors
    ///
    /// [`DocketError::Wrong`] with every field; [`DocketError::Refused`] for a call that is being traced; [`DocketError::TooMany`] over the quota.
    pub fn submit(&self, actor: &Actor, handed: &Handed, now: Timestamp) -> Result<Submitted> {
        self.write(now, |w| w.submit(actor, handed))
    }
}

/// A request that was checked.
struct Checked {
    call: RawCall,
    /// Calling number, where it is one.
    calling: Option<String>,
    called_at: Timestamp,
    precision_s: f64,
    provider: Box<str>,
    priority: i64,
    legal_basis: String,
    evidence: String,
    campaign: String,
    warnings: Vec<Problem>,
}

impl Work<'_> {
    fn submit(&mut self, actor: &Actor, handed: &Handed) -> Done<Submitted> {
        if !matches!(actor.role, Role::Requester | Role::Analyst) {
            return Err(DocketError::Absent("form").into());
        }
        let checked = self.check(handed)?;
        self.check_same(actor, &checked)?;
        self.check_quota(actor, &checked)?;
        let campaign = self.campaign_named(actor, &checked.campaign)?;
        let id = self.next_case()?;
        let at_once = self.settings.intake.open_at_once && checked.warnings.is_empty();
        let opened = actor.is_analyst() || at_once || checked.priority == SAFETY_OF_LIFE;
        let state = match opened {
            true => CaseState::Open,
            false => CaseState::Submitted,
        };
        let now = self.now.nanos();
        self.tx.execute(
            "INSERT INTO trace (id, state, priority, campaign, requester, organisation, legal_basis, evidence, called, calling, called_at, call, first_provider, warnings, opened, changed, created)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                id,
                state.label(),
                checked.priority,
                campaign,
                actor.name(),
                &*actor.organisation,
                checked.legal_basis,
                checked.evidence,
                checked.call.called,
                checked.calling,
                checked.called_at.nanos(),
                json!(checked.call).to_string(),
                checked.provider,
                json!(checked.warnings).to_string(),
                opened.then_some(now),
                now,
                now
            ],
        )?;
        let detail =
            json!({ "provider": checked.provider, "state": state, "priority": checked.priority });
        self.note(&actor.who, "submitted", &id, None, detail)?;
        self.touch(Some(&id), &[]);
        if opened {
            self.walk(&id)?;
        }
        Ok(Submitted {
            case: (&*id).into(),
            state,
            warnings: checked.warnings,
        })
    }

    fn check(&self, handed: &Handed) -> Done<Checked> {
        let mut wrong = Vec::new();
        let mut warnings = Vec::new();
        let some = |t: &str| Some(t.trim().to_owned()).filter(|t| !t.is_empty());
        let mut take = |field, t: &str, most| match text(field, t, most) {
            Ok(t) => t,
            Err(p) => {
                wrong.push(p);
                String::new()
            }
        };
        let legal_basis = take("legal_basis", &handed.legal_basis, MAX_TEXT);
        let evidence = take("evidence", &handed.evidence, MAX_EVIDENCE);
        let campaign = take("campaign", &handed.campaign, MAX_TEXT);
        let mut time = None;
        if handed.time.trim().is_empty() {
            wrong.push(problem(
                "time",
                "missing: when was the call, and in which time zone?",
            ));
        } else {
            match moment(&handed.time, &handed.tz) {
                Ok(found) => time = Some(found),
                Err((field, wanted)) => wrong.push(problem(field, wanted)),
            }
        }
        let (at, said) = time.unwrap_or((self.now, None));
        let mut call = RawCall {
            called: some(&handed.called),
            calling: some(&handed.calling),
            time: Some(RawTime {
                value: Some(at.to_string()),
                tz: some(&handed.tz),
                precision_s: handed.precision_s.or(said),
            }),
            duration_s: handed.duration_s,
            answered: handed.answered,
            sip_call_id: some(&handed.sip_call_id),
            session_id: some(&handed.session_id),
            origid: some(&handed.origid),
            identity_sha256: None,
            identity: some(&handed.identity),
        };
        let precision_s = call.time.as_ref().and_then(|t| t.precision_s);
        wrong.extend(check_call(&mut call));
        let days = |n: u32| Duration::from_secs(u64::from(n) * DAY_S);
        let intake = &self.settings.intake;
        if time.is_some() {
            if at > self.now.plus(AHEAD) {
                wrong.push(problem("time", "lies in the future: is the zone right?"));
            } else if at < self.now.minus(days(intake.oldest_days)) {
                let wanted = format!("older than {} days: records are gone", intake.oldest_days);
                wrong.push(problem("time", wanted));
            } else if at < self.now.minus(days(intake.fresh_days)) {
                let wanted = format!(
                    "older than {} days: providers often lack older records",
                    intake.fresh_days
                );
                warnings.push(problem("time", wanted));
            }
        }
        let mut provider: Box<str> = "".into();
        match self.provider_by(&handed.provider)? {
            Some(found) if found.can_be_asked() => provider = found.id,
            Some(_) => wrong.push(problem("provider", "is suspended in the directory")),
            None if handed.provider.trim().is_empty() => {
                let wanted = "missing: which provider did the call end at?";
                wrong.push(problem("provider", wanted));
            }
            None => wrong.push(problem("provider", "is not in the directory")),
        }
        let priority = match handed.priority.trim() {
            "" | "routine" => 0,
            "tdos" => 1,
            "safety_of_life" => SAFETY_OF_LIFE,
            _ => {
                let wanted = "is routine, tdos or safety_of_life";
                wrong.push(problem("priority", wanted));
                0
            }
        };
        if call.calling.is_none() {
            let wanted = "missing: it tells the call from others to the same number";
            warnings.push(problem("calling", wanted));
        }
        if campaign.is_empty() {
            let wanted = "missing: what are these calls about?";
            warnings.push(problem("campaign", wanted));
        }
        if evidence.is_empty() {
            let wanted = "missing: what makes the call suspected?";
            warnings.push(problem("evidence", wanted));
        }
        if !wrong.is_empty() {
            return Err(DocketError::Wrong(wrong).into());
        }
        Ok(Checked {
            called_at: at,
            precision_s: precision_s.unwrap_or(1.0),
            calling: call.calling.clone().filter(|c| digits(c)),
            call,
            provider,
            priority,
            legal_basis,
            evidence,
            campaign,
            warnings,
        })
    }

    /// Refuses a call that is being traced.
    fn check_same(&self, actor: &Actor, checked: &Checked) -> Done<()> {
        let reach = Duration::from_secs_f64(
            (SAME_CALL_S + checked.precision_s)
                .clamp(0.0, crate::traceback::request::MAX_PRECISION_S),
        );
        let mut found = self.tx.prepare_cached(
            "SELECT id, organisation FROM trace WHERE called = ? AND called_at BETWEEN ? AND ? AND state IN ('submitted', 'open', 'stuck')
                 AND (calling IS ? OR calling IS NULL OR ? IS NULL) ORDER BY created LIMIT 1",
        )?;
        let same: Option<(String, String)> = found
            .query_row(
                params![
                    checked.call.called,
                    checked.called_at.minus(reach).nanos(),
                    checked.called_at.plus(reach).nanos(),
                    checked.calling,
                    checked.calling
                ],
                |r| Ok((r.get(0)?, r.get(1)?)),
            )
            .optional()?;
        let Some((id, organisation)) = same else {
            return Ok(());
        };
        // Of another organisation's case nobody learns more than that it is there.
        let why = match actor.is_analyst() || *organisation == *actor.organisation {
            true => format!("this call is being traced already: {id}"),
            false => "this call is being traced already".to_owned(),
        };
        Err(DocketError::Refused(why).into())
    }

    fn check_quota(&self, actor: &Actor, checked: &Checked) -> Done<()> {
        if actor.is_analyst() || checked.priority == SAFETY_OF_LIFE {
            return Ok(());
        }
        let since = self.now.minus(Duration::from_secs(DAY_S)).nanos();
        let (count, oldest): (u32, Option<i64>) = self
            .tx
            .prepare_cached(
                "SELECT count(*), min(created) FROM trace WHERE organisation = ? AND created > ? AND priority < ?",
            )?
            .query_row(params![&*actor.organisation, since, SAFETY_OF_LIFE], |r| {
                Ok((r.get(0)?, r.get(1)?))
            })?;
        let most = self.settings.intake.per_day;
        if count < most {
            return Ok(());
        }
        let free = oldest.map_or(self.now, Timestamp::from_nanos);
        let free = free.plus(Duration::from_secs(DAY_S));
        Err(DocketError::TooMany {
            what: format!("{most} requests of one organisation in a day"),
            after_s: free.distance(self.now).as_secs().max(1),
        }
        .into())
    }

    /// The campaign of a name; made where there is none.
    fn campaign_named(&mut self, actor: &Actor, name: &str) -> Done<Option<i64>> {
        if name.is_empty() {
            return Ok(None);
        }
        let found: Option<i64> = self
            .tx
            .query_row("SELECT id FROM campaign WHERE name = ?", [name], |r| {
                r.get(0)
            })
            .optional()?;
        if found.is_some() {
            return Ok(found);
        }
        self.tx.execute(
            "INSERT INTO campaign (name, category, created, created_by) VALUES (?, ?, ?, ?)",
            params![
                name,
                Category::Other.label(),
                self.now.nanos(),
                actor.name()
            ],
        )?;
        Ok(Some(self.tx.last_insert_rowid()))
    }

    /// The next case's id: numbered by year.
    fn next_case(&self) -> Done<String> {
        let at = jiff::Timestamp::from_nanosecond(i128::from(self.now.nanos()));
        let year = at.map_or(1970, |t| TimeZone::UTC.to_datetime(t).year());
        let n: i64 = self.tx.query_row(
            "INSERT INTO counter (name, n) VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET n = n + 1 RETURNING n",
            [format!("case-{year}")],
            |r| r.get(0),
        )?;
        Ok(format!("TB-{year}-{n:06}"))
    }
}

/// Priority of a case in which somebody's life is in danger.
const SAFETY_OF_LIFE: i64 = 2;

/// Whether a calling number is one, and no word such as `anonymous`.
fn digits(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

pub(super) fn problem(field: &'static str, wanted: impl Into<String>) -> Problem {
    Problem {
        field,
        wanted: wanted.into(),
    }
}

/// A time as somebody typed it, and what its digits say of its precision. Without an offset the zone says what it means; a time that a change of the clock
/// skips or has twice is refused.
pub(super) fn moment(
    time: &str,
    tz: &str,
) -> std::result::Result<(Timestamp, Option<f64>), (&'static str, String)> {
    let (time, tz) = (time.trim(), tz.trim());
    if time.len() > 64 || tz.len() > 64 {
        return Err(("time", "at most 64 octets".to_owned()));
    }
    if let Some(at) = Timestamp::parse_rfc3339(time) {
        return Ok((at, None));
    }
    let local: DateTime = time.parse().map_err(|_| {
        let wanted =
            "is no time such as 2026-11-24T09:30:00-05:00, or 2026-11-24 09:30:00 with a zone";
        ("time", wanted.to_owned())
    })?;
    if tz.is_empty() {
        let wanted =
            "missing: a local time means nothing without its zone, such as America/New_York";
        return Err(("tz", wanted.to_owned()));
    }
    let zone = TimeZone::get(tz).map_err(|_| {
        let wanted = "is no time zone such as America/New_York";
        ("tz", wanted.to_owned())
    })?;
    let at = zone
        .to_ambiguous_timestamp(local)
        .unambiguous()
        .map_err(|_| {
            let wanted =
                "is skipped or comes twice in that zone on that day: write it with its offset";
            ("time", wanted.to_owned())
        })?;
    let at = i64::try_from(at.as_nanosecond())
        .map_err(|_| ("time", "lies outside of all time".to_owned()))?;
    let no_seconds = time.matches(':').count() < 2;
    Ok((Timestamp::from_nanos(at), no_seconds.then_some(MINUTE_S)))
}
