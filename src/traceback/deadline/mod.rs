//! When an answer is due, by the rule of the country. Rules are data ([`rule`]); what could not be verified is marked so.
//!
//! Comes in: when a request came, what the portal says, a rule and the zone of the office. Goes out: a [`Deadline`], and how much
//! of it has run by the rule's own clock ([`RuleClock::share`]).

pub mod calendar;
pub mod rule;

use std::time::Duration;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

use crate::base::Timestamp;
pub use rule::{Part, Rule};

/// By which rule deadlines run.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize,
)]
pub enum DeadlineRule {
    /// 47 CFR 64.1200(n)(1): 24 h on a clock that keeps business hours.
    #[default]
    #[serde(rename = "us-64.1200n")]
    Us,
    /// Canada: two business days.
    #[serde(rename = "ca-crtc")]
    Canada,
    /// 24 h by the wall.
    #[serde(rename = "plain-24h")]
    Plain,
}

impl DeadlineRule {
    /// Every rule.
    pub const ALL: [Self; 3] = [Self::Us, Self::Canada, Self::Plain];

    /// Name in the configuration.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Us => "us-64.1200n",
            Self::Canada => "ca-crtc",
            Self::Plain => "plain-24h",
        }
    }

    /// By its name.
    pub fn from_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.label() == label)
    }
}

/// Who set the point at which an answer is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SetBy {
    /// The rule.
    Rule,
    /// The portal, whose `due_at` is earlier.
    Portal,
}

/// The deadline of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Deadline {
    /// By which rule.
    pub rule: DeadlineRule,
    /// When the request came.
    pub received: Timestamp,
    /// From when the clock counts.
    pub starts: Timestamp,
    /// When the answer is due.
    pub due: Timestamp,
    /// Who says so.
    pub set_by: SetBy,
    /// When it would be due without those parts of the rule that nobody has verified: who answers by then is in time for certain.
    pub surely_by: Timestamp,
}

/// A zone that is not in the table of zones.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no time zone; write one such as America/New_York")]
pub struct UnknownZone(pub Box<str>);

/// A rule, and the zone in which its business days lie.
#[derive(Clone, Debug)]
pub struct RuleClock {
    rule: &'static Rule,
    zone: TimeZone,
}

/// A span in which the clock runs.
type Span = (Timestamp, Timestamp);

/// Most spans of a clock that are looked at: business weeks, so more than a year. Every rule's time has run long before.
const SPANS: usize = 64;
/// Most days that are looked at for the next business day. The longest run of days off that any table makes is five.
const DAYS_OFF: usize = 31;

impl RuleClock {
    /// The clock of a rule in a zone.
    ///
    /// # Errors
    ///
    /// A zone that is not known.
    pub fn new(rule: DeadlineRule, zone: &str) -> Result<Self, UnknownZone> {
        let zone = TimeZone::get(zone).map_err(|_| UnknownZone(zone.into()))?;
        let rule = Rule::of(rule);
        Ok(Self { rule, zone })
    }

    /// When the answer to a request is due that came at `received`. The portal's own `due_at` counts where it is earlier.
    pub fn deadline(&self, received: Timestamp, portal_due: Option<Timestamp>) -> Deadline {
        let allowed = Duration::from_secs(3600).saturating_mul(self.rule.hours);
        let plain = received.plus(allowed);
        // Where the calendar ends there is no rule clock; the wall's is the earlier one.
        let starts = self.starts(received).unwrap_or(received);
        let by_rule = self.after(starts, allowed).unwrap_or(plain);
        let (due, set_by) = match portal_due {
            Some(portal) if portal < by_rule => (portal, SetBy::Portal),
            _ => (by_rule, SetBy::Rule),
        };
        let surely_by = if self.rule.is_verified() {
            due
        } else {
            due.min(plain)
        };
        Deadline {
            rule: self.rule.name,
            received,
            starts,
            due,
            set_by,
            surely_by,
        }
    }

    /// How much of the time has run at `now`, by this clock: 0 at the start, 1 when it is due. The time that a portal sets runs by the wall, from
    /// when the request came.
    pub fn share(&self, deadline: &Deadline, now: Timestamp) -> f64 {
        if now >= deadline.due {
            return 1.0;
        }
        let (ran, whole) = match self.total(deadline) {
            Some(whole) => {
                let from = deadline.starts;
                (self.running(from, now), whole)
            }
            None => (
                wall(deadline.received, now),
                wall(deadline.received, deadline.due),
            ),
        };
        (ran.as_secs_f64() / whole.as_secs_f64().max(1e-9)).clamp(0.0, 1.0)
    }

    /// When so much of the time has run: the reverse of [`Self::share`].
    pub fn at_share(&self, deadline: &Deadline, share: f64) -> Timestamp {
        let share = share.clamp(0.0, 1.0);
        let at = match self.total(deadline) {
            Some(whole) => self.after(deadline.starts, whole.mul_f64(share)),
            None => {
                let whole = wall(deadline.received, deadline.due);
                Some(deadline.received.plus(whole.mul_f64(share)))
            }
        };
        at.unwrap_or(deadline.due).min(deadline.due)
    }

    /// How long this clock runs until a deadline; `None` where the portal set that one.
    fn total(&self, deadline: &Deadline) -> Option<Duration> {
        (deadline.set_by == SetBy::Rule).then(|| self.running(deadline.starts, deadline.due))
    }

    /// From when a request counts.
    fn starts(&self, received: Timestamp) -> Option<Timestamp> {
        let local = self.local(received)?;
        let open = self.is_business_day(local.date());
        match (self.rule.office, self.rule.pause) {
            (Some((from, until)), _) => {
                if open && local.time() < from {
                    self.at(local.date(), from)
                } else if open && local.time() <= until {
                    Some(received)
                } else {
                    self.at(self.next_business_day(local.date())?, from)
                }
            }
            (None, Some(pause)) if !open => self.at(self.next_business_day(local.date())?, pause),
            (None, _) => Some(received),
        }
    }

    /// The point at which the clock has run so long from `from` on.
    fn after(&self, from: Timestamp, mut long: Duration) -> Option<Timestamp> {
        for (begin, end) in self.spans(from) {
            let span = wall(begin, end);
            if long <= span {
                return Some(begin.plus(long));
            }
            long -= span;
        }
        None
    }

    /// How long the clock runs between two points.
    fn running(&self, from: Timestamp, until: Timestamp) -> Duration {
        let spans = self.spans(from).take_while(|(begin, _)| *begin < until);
        spans.map(|(begin, end)| wall(begin, end.min(until))).sum()
    }

    /// The spans in which the clock runs, from a point on: one for each run of business days.
    fn spans(&self, from: Timestamp) -> impl Iterator<Item = Span> {
        let mut next = Some(from);
        std::iter::from_fn(move || {
            let begin = next.take()?;
            let Some(pause) = self.rule.pause else {
                return Some((begin, Timestamp::MAX));
            };
            let stop = self.stop(begin, pause)?;
            let end = self.at(stop, pause)?;
            next = self.next_business_day(stop).and_then(|d| self.at(d, pause));
            Some((begin, end))
        })
        .take(SPANS)
    }

    /// The first day from a point on that is no business day, and whose pause still lies ahead.
    fn stop(&self, from: Timestamp, pause: Time) -> Option<Date> {
        let local = self.local(from)?;
        let mut day = local.date();
        // A business week has five days.
        for _ in 0..DAYS_OFF {
            let ahead = day > local.date() || local.time() < pause;
            if ahead && !self.is_business_day(day) {
                return Some(day);
            }
            day = day.tomorrow().ok()?;
        }
        None
    }

    fn next_business_day(&self, after: Date) -> Option<Date> {
        let mut day = after;
        for _ in 0..DAYS_OFF {
            day = day.tomorrow().ok()?;
            if self.is_business_day(day) {
                return Some(day);
            }
        }
        None
    }

    fn is_business_day(&self, date: Date) -> bool {
        calendar::is_business_day(self.rule.holidays, date)
    }

    fn local(&self, at: Timestamp) -> Option<DateTime> {
        let at = jiff::Timestamp::from_nanosecond(i128::from(at.nanos())).ok()?;
        Some(self.zone.to_datetime(at))
    }

    /// A local time; one that the change to summer time leaves out is as much later.
    fn at(&self, date: Date, time: Time) -> Option<Timestamp> {
        let at = self.zone.to_timestamp(date.to_datetime(time)).ok()?;
        Some(Timestamp::from_nanos(
            i64::try_from(at.as_nanosecond()).ok()?,
        ))
    }
}

/// Time by the wall; none where the order is the other.
fn wall(from: Timestamp, until: Timestamp) -> Duration {
    if until > from {
        until.distance(from)
    } else {
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests;
