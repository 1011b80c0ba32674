//! How requests come from a portal and how answers get there. One file a kind; all are configuration, none is a portal that we made up.
//!
//! An adapter has two ends, each with a task of its own: an [`Inlet`] that waits for what the portal has, an [`Outlet`] that carries parcels there.
//! Neither decides anything. What comes is durable before it is settled with the portal; what goes is tried again by the outbox.

pub mod directory;
pub mod ends;
pub mod event;
pub mod examples;
pub mod field;
pub mod file_drop;
pub mod folder;
pub mod http_json;
pub mod mailbox;
pub mod mapping;
pub mod moment;
pub mod proof;
pub mod reference;
pub mod submission;
pub mod template;

use std::path::Path;

use super::case::{Delivered, Incoming, Parcel, Way};
use crate::call::peer::PeerTable;
pub use file_drop::FileDropSettings;
pub use http_json::HttpJsonSettings;
pub use mailbox::MailboxSettings;
pub use proof::{Claimed, Verified};
pub use reference::ReferenceSettings;
use submission::Words;

/// What an adapter says that has no way to show a draft.
const NO_DRAFTS: &str = "drafts are shown by the adapter \"reference\" alone";

/// Which kind, with its settings.
#[derive(Clone, Debug, PartialEq)]
pub enum AdapterSettings {
    /// Nothing is fetched: the portal pushes, and reads its answers from the API.
    PushOnly,
    /// The portal speaks our own protocol.
    Reference(Box<ReferenceSettings>),
    /// The portal has an HTTP interface of its own.
    HttpJson(Box<Claimed<HttpJsonSettings>>),
    /// Files in a folder.
    FileDrop(Box<Claimed<FileDropSettings>>),
    /// Mails in a maildir.
    Mailbox(Box<Claimed<MailboxSettings>>),
}

impl AdapterSettings {
    /// Its word in the configuration.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::PushOnly => "push",
            Self::Reference(_) => "reference",
            Self::HttpJson(_) => "http-json",
            Self::FileDrop(_) => "file-drop",
            Self::Mailbox(_) => "mailbox",
        }
    }

    /// Whether the operator says that the mapping is verified, and where the proof is; `None` where there is none to be proven.
    pub fn claim(&self) -> Option<(bool, &Path)> {
        match self {
            Self::PushOnly | Self::Reference(_) => None,
            Self::HttpJson(c) => Some((c.verified, &c.proof)),
            Self::FileDrop(c) => Some((c.verified, &c.proof)),
            Self::Mailbox(c) => Some((c.verified, &c.proof)),
        }
    }

    /// The portal's words, where it has them.
    pub fn words(&self) -> Option<&Words> {
        match self {
            Self::PushOnly | Self::Reference(_) => None,
            Self::HttpJson(c) => Some(&c.settings.mapping.words),
            Self::FileDrop(c) => Some(&c.settings.mapping.words),
            Self::Mailbox(c) => Some(&c.settings.mapping.words),
        }
    }

    /// Looks the neighbours of its directory up. Gives what is wrong.
    pub fn resolve(&mut self, peers: &PeerTable) -> Vec<String> {
        match self {
            Self::PushOnly | Self::Reference(_) => Vec::new(),
            Self::HttpJson(c) => c.settings.mapping.request.directory.resolve(peers),
            Self::FileDrop(c) => c.settings.mapping.request.directory.resolve(peers),
            Self::Mailbox(c) => c.settings.mapping.request.directory.resolve(peers),
        }
    }
}

/// Something that came, and how to settle it.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrival {
    /// What.
    pub what: Incoming,
    /// How.
    pub way: Way,
    /// By which the adapter knows it again: a file's name, an event's id.
    pub receipt: Box<str>,
}

/// Why an adapter can't do its work now; tried again with backoff, said once a change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Trouble(pub String);

/// Where requests come from. Runs on a runtime of one thread.
#[allow(async_fn_in_trait)]
pub trait Inlet {
    /// Waits until there is something, or for a while. What was not settled may come again.
    async fn poll(&mut self) -> Result<Vec<Arrival>, Trouble>;

    /// Tells the portal that an arrival is durable here: acknowledges it, moves the file.
    async fn settle(&mut self, arrival: &Arrival) -> Result<(), Trouble>;

    /// Puts away what can't be a request, with the reason, so that a person finds it and it does not come again.
    async fn reject(&mut self, arrival: &Arrival, why: &str) -> Result<(), Trouble>;
}

/// Where answers go.
#[allow(async_fn_in_trait)]
pub trait Outlet {
    /// Tries once.
    async fn deliver(&mut self, parcel: &Parcel) -> Delivered;
}
