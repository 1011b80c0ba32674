//! The words that the rooms of the responder share: a request under way, what may become of it, what goes out.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::base::Timestamp;
use crate::base::words::words;
pub use crate::proof::Who;

/// Names one request: ids are the portal's, so two portals may use the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub struct RequestKey {
    /// Name of the portal in the configuration.
    pub portal: Arc<str>,
    /// The request's id.
    pub id: Box<str>,
}

impl fmt::Display for RequestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.portal, self.id)
    }
}

words! {
    /// Where a request stands.
    RequestState {
        /// Taken in, durable, not looked at yet.
        Received "received";
        /// An answer was computed, and the portal is in shadow: it never leaves, and waits to be compared with a person's.
        Ready "ready";
        /// A person must decide.
        Review "review";
        /// A question went back: what is missing is listed in the answer.
        NeedsInfo "needs-info";
        /// The answer is signed and on its way.
        Outbox "outbox";
        /// The portal has it.
        Sent "sent";
        /// The portal says that it accepts it.
        Accepted "accepted";
        /// The portal, or somebody on the path, says that it is wrong: a person decides.
        Disputed "disputed";
        /// The case is over.
        Closed "closed";
        /// Nobody decided before the portal gave up.
        Expired "expired";
        /// The portal took it back.
        Withdrawn "withdrawn";
    }
}

words! {
    /// How much may happen without a person.
    Mode {
        /// Answers are computed and never sent.
        Shadow "shadow";
        /// A person clicks.
        Assisted "assisted";
        /// What is certain, and of a kind that is listed, leaves by itself.
        Automatic "automatic";
    }
}

words! {
    /// What a portal gets of answers that wait for a person of this house.
    Drafts {
        /// Nothing.
        Off "off";
        /// The draft, for our staff in its console. They decide here.
        Show "show";
        /// The draft, and what our staff approves there leaves: the portal is trusted to know them.
        Approve "approve";
    }
}

words! {
    /// How a request came.
    Way {
        /// The portal pushed it.
        Push "push";
        /// We asked the portal.
        Pull "pull";
        /// A file.
        File "file";
        /// A mail whose sender is proven.
        Mail "mail";
        /// A mail whose sender is not: a person decides about whatever it asks, in every mode, and no question goes back by itself.
        Unproven "mail-unproven";
    }
}

words! {
    /// What a parcel holds.
    ParcelKind {
        /// An answer, signed.
        Answer "answer";
        /// What a person of this house is to decide about, for its staff in the portal's console.
        Draft "draft";
        /// A campaign that we report unasked.
        Report "report";
    }
}

/// What an adapter brings from a portal. The octets are those of our own protocol: an adapter for another has put them so.
#[derive(Clone, Debug, PartialEq)]
pub enum Incoming {
    /// A request, new, sent again, or clarified: an object HopRequest as JSON.
    Request(Vec<u8>),
    /// A reminder.
    Reminder {
        /// Of which request.
        request: Box<str>,
    },
    /// The portal took a request back.
    Withdrawn {
        /// Which.
        request: Box<str>,
    },
    /// The portal accepts an answer.
    Accepted {
        /// To which request.
        request: Box<str>,
        /// Which answer.
        answer: Box<str>,
    },
    /// An answer is disputed.
    Disputed {
        /// To which request.
        request: Box<str>,
        /// Which answer.
        answer: Box<str>,
        /// Why, in the portal's words; at most [`crate::traceback::request::MAX_TEXT`] octets are kept.
        reason: Box<str>,
    },
    /// Our staff decided in the portal's console about a draft.
    Drafted {
        /// To which request.
        request: Box<str>,
        /// Which draft they saw.
        draft: Box<str>,
        /// Who, in the portal's words.
        by: Box<str>,
        /// Whether it may leave.
        approved: bool,
        /// Why not.
        reason: Box<str>,
    },
    /// A case is over.
    CaseClosed {
        /// Which.
        case: Box<str>,
    },
}

/// Something that goes out, durable until the portal has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Parcel {
    /// Place in the outbox.
    pub row: i64,
    /// To whom.
    pub portal: Arc<str>,
    /// What it is.
    pub kind: ParcelKind,
    /// The request that it answers; the campaign that it reports.
    pub subject: Box<str>,
    /// The same for the same content however often it is sent: the answer's id, the report's. The portal takes it once.
    pub key: Box<str>,
    /// JSON: a signed answer, a signed report.
    pub body: Vec<u8>,
    /// How often it was tried.
    pub tries: u32,
    /// When it is due by the rule clock; `None` for a report.
    pub due: Option<Timestamp>,
}

/// What became of a try to deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// The portal has it, now or from an earlier try.
    Taken,
    /// Not now: no connection, a time-out, 5xx, 429.
    Again {
        /// What happened, without any secret.
        why: String,
        /// When the portal wants it again.
        after: Option<Duration>,
    },
    /// The portal will never take this: 4xx. A person must look.
    Refused {
        /// What it said, cut short.
        why: String,
    },
    /// The portal says that the request is no longer there.
    Gone,
}
