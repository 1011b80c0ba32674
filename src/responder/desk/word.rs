//! What goes into the desk and what comes out of it.

use std::sync::Arc;

use serde_json::Value;

use crate::base::Timestamp;
use crate::responder::case::{RequestKey, RequestState, Way};
use crate::responder::settings::{PortalSettings, ResponderSettings};
use crate::traceback::answer::{Party, Resolution};
use crate::traceback::deadline::Deadline;

/// What the desk is told by the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct DeskSettings {
    /// Portals.
    pub portals: Vec<PortalSettings>,
    /// Requests that may be under way at once, of all portals; each has an even share.
    pub open_requests: usize,
}

impl From<&ResponderSettings> for DeskSettings {
    fn from(settings: &ResponderSettings) -> Self {
        Self {
            portals: settings.portals.clone(),
            open_requests: settings.open_requests,
        }
    }
}

/// What became of a request that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is new, and durable.
    New(RequestKey),
    /// It was here already, octet for octet; nothing was done.
    Again(RequestKey, RequestState),
    /// It was here with other octets, or had been taken back: it is looked at anew.
    Clarified(RequestKey),
    /// It was not taken.
    Refused(Refusal),
}

/// Why a request was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// No such portal in the configuration.
    UnknownPortal,
    /// More octets than are read.
    TooLong,
    /// As many requests are under way as may be: come again later.
    Full,
    /// The case is closed, and the request is another than it was.
    Over,
    /// It was changed more often than is looked at.
    ChangedTooOften,
}

impl Refusal {
    /// Name in metrics and the log.
    pub const fn label(self) -> &'static str {
        match self {
            Self::UnknownPortal => "unknown-portal",
            Self::TooLong => "too-long",
            Self::Full => "full",
            Self::Over => "over",
            Self::ChangedTooOften => "changed-too-often",
        }
    }
}

/// A request that must be matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Which.
    pub key: RequestKey,
    /// As it came.
    pub octets: Vec<u8>,
    /// When it came.
    pub received: Timestamp,
    /// How.
    pub way: Way,
}

/// What became of an answer that the matcher gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filed {
    /// The request stands there now.
    As(RequestState),
    /// The request was changed, taken back or closed meanwhile: the answer was dropped.
    Late,
}

/// What a person decides.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// The answer leaves as it is.
    Approve,
    /// Another answer leaves.
    Edit(Edit),
    /// We do not answer: `REFUSED` leaves, with this as its comment.
    Reject(String),
    /// A question goes back, with this as its comment.
    Ask(String),
}

/// An answer that a person gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    /// What it is.
    pub resolution: Resolution,
    /// Id of the neighbour that is named, and how it is named.
    pub party: Option<(Arc<str>, Party)>,
    /// In words.
    pub comment: Option<String>,
}

/// What came of a portal's word about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The request stands there now.
    As(RequestState),
    /// It changes nothing: noted in the audit log.
    Noted,
    /// No such request, or case.
    Unknown,
}

/// What became of a parcel after a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The portal has it.
    Done,
    /// It is tried again then.
    Until(Timestamp),
    /// The portal refuses it: a person must look.
    Back,
    /// It is not wanted any more.
    Dropped,
    /// It was not in the outbox any more.
    Late,
}

/// A signed answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Its id.
    pub id: Box<str>,
    /// Its revision.
    pub revision: u32,
    /// JSON with member `jws`.
    pub body: Vec<u8>,
    /// When it was signed.
    pub at: Timestamp,
    /// When the portal had it.
    pub delivered: Option<Timestamp>,
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posted {
    /// It is in the outbox.
    New,
    /// It was posted before.
    Known,
    /// As many were posted within a day as may be.
    TooMany,
    /// The portal is in shadow, where nothing leaves.
    Shadow,
}

/// A deadline that draws near.
#[derive(Clone, Debug, PartialEq)]
pub struct Alarm {
    /// Of which request.
    pub key: RequestKey,
    /// Its case.
    pub case_id: Box<str>,
    /// How much of the time has run, in percent: 50, 75, 90, or 100 when it is over.
    pub percent: u8,
    /// When it is due.
    pub due: Timestamp,
    /// Where it stands.
    pub state: RequestState,
}

/// What the desk put away by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Requests whose time is over.
    pub expired: usize,
    /// Reports that could not be delivered in time.
    pub undeliverable: usize,
    /// Cases whose records were deleted.
    pub pruned: usize,
}

/// What a process that begins gives out again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resumed {
    /// Look-ups that were under way.
    pub look_ups: usize,
    /// Deliveries that were under way.
    pub parcels: usize,
}

/// Which requests are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of one portal.
    pub portal: Option<Box<str>>,
    /// In these states; empty: those under way.
    pub states: Vec<RequestState>,
    /// At most so many; 0: [`super::MOST_LISTED`].
    pub most: usize,
    /// Those after this one in the order of the list.
    pub after: Option<RequestKey>,
}

/// One line of the list.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Line {
    /// Which.
    #[serde(flatten)]
    pub key: RequestKey,
    /// Its case.
    pub case_id: Box<str>,
    /// Where it stands.
    pub state: RequestState,
    /// When it came.
    pub received: Timestamp,
    /// When it is due.
    pub due: Timestamp,
    /// What the answer is, once there is one.
    pub resolution: Option<Box<str>>,
    /// The neighbour that it names.
    pub peer: Option<Box<str>>,
    /// Posterior of that neighbour.
    pub posterior: Option<f64>,
    /// Who stands behind the answer.
    pub produced_by: Option<Box<str>>,
    /// Why it is where it is, in words.
    pub note: Option<Box<str>>,
}

/// All about one request.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Case {
    /// As in the list.
    #[serde(flatten)]
    pub line: Line,
    /// How it came.
    pub way: Way,
    /// The request as it came; a text where it is no JSON.
    pub request: Value,
    /// The deadline.
    pub deadline: Deadline,
    /// Share of the time that has run by the rule's clock.
    pub share: f64,
    /// The answer as it stands: a draft until it is signed.
    pub answer: Option<Value>,
    /// How it came about: every candidate with its terms. For this house only.
    pub explanation: Option<Value>,
    /// Ids of the answers that were signed, the last one last.
    pub signed: Vec<Box<str>>,
    /// When the portal had the last of them.
    pub delivered: Option<Timestamp>,
    /// What a person answered by hand, to compare.
    pub said: Option<Said>,
    /// Reminders that came.
    pub reminders: u32,
}

/// What a person answered by hand.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Said {
    /// What.
    pub resolution: Resolution,
    /// Which neighbour he named.
    pub peer: Option<Box<str>>,
    /// Who.
    pub who: Box<str>,
    /// Whether it is what the matcher says.
    pub agrees: bool,
}

/// How often a person and the matcher agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Agreement {
    /// Requests that were compared.
    pub compared: u32,
    /// Those in which the matcher's answer is a person's.
    pub agreed: u32,
    /// Those that the matcher would have sent by itself.
    pub certain: u32,
    /// Of these, those in which the person says the same.
    pub certain_agreed: u32,
    /// Those that it would have left to a person.
    pub left: u32,
}

/// A neighbour about whom nothing leaves by itself.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Held {
    /// At which portal.
    pub portal: Box<str>,
    /// The neighbour.
    pub peer: Box<str>,
    /// Since when.
    pub since: Timestamp,
    /// Why.
    pub why: Box<str>,
}

/// That everything stands still.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Halted {
    /// Since when.
    pub since: Timestamp,
    /// Who stopped it.
    pub who: Box<str>,
    /// Why.
    pub why: Box<str>,
}

/// A request under way, as the probe's page shows it: no number, no neighbour, nobody's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenHop {
    /// Which.
    pub key: RequestKey,
    /// Where it stands.
    pub state: RequestState,
    /// When it came.
    pub received: Timestamp,
    /// When it is due.
    pub due: Timestamp,
    /// How many percent of its time have run, by the alarms that have rung.
    pub percent: u8,
    /// Whether its deadline matters to us: it waits for us, or its answer is on its way.
    pub timed: bool,
}

/// Requests of one portal whose deadline matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pressing {
    /// The portal.
    pub portal: Box<str>,
    /// Percent of the time, and how many requests have had so much of it or more.
    pub near: Vec<(u8, u64)>,
    /// When the most pressing one is due.
    pub due: Option<Timestamp>,
}

/// The desk in figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Requests by portal and state.
    pub requests: Vec<(Box<str>, RequestState, u64)>,
    /// Requests whose deadline matters, by portal.
    pub pressing: Vec<Pressing>,
    /// The first open requests by due time, [`MOST_SHOWN`](super::MOST_SHOWN) at most.
    pub open: Vec<OpenHop>,
    /// Parcels in the outbox, by portal.
    pub outbox: Vec<(Box<str>, u64)>,
    /// When the oldest of them was put there.
    pub oldest: Option<Timestamp>,
    /// Whether everything stands still.
    pub halted: bool,
    /// Neighbours that are held, of all portals.
    pub held: u64,
    /// What was counted, by portal and name: answers by resolution and maker, deliveries, refusals, alarms, what was dropped. Durable, of all
    /// processes together.
    pub tallies: Vec<(Box<str>, Box<str>, u64)>,
}
