//! What the operator of a portal decides: `portal.toml`, checked.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use crate::traceback::walk::HintPolicy;

/// A portal.
#[derive(Clone, Debug, PartialEq)]
pub struct PortalSettings {
    /// Its name, on pages and in requests (`requester.id`).
    pub name: Arc<str>,
    /// Folder of its state: `portal.db`.
    pub state: PathBuf,
    /// Its Ed25519 key, PEM: signs pushed events (Standard Webhooks, `v1a`) and vouches for answers that staff gave in the console.
    pub key_file: PathBuf,
    /// Where providers' machines come.
    pub api: ListenSettings,
    /// Where people come.
    pub console: ListenSettings,
    /// How requests are let in.
    pub intake: IntakeSettings,
    /// How cases are walked.
    pub walk: WalkSettings,
}

/// A listener.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenSettings {
    /// Address.
    pub address: SocketAddr,
    /// The URL under which others reach it.
    pub public_url: Option<Arc<str>>,
    /// TLS; `None` only on loopback.
    pub tls: Option<crate::web::tls::TlsFiles>,
}

/// How requests are let in.
#[derive(Clone, Debug, PartialEq)]
pub struct IntakeSettings {
    /// Whether a request within the guidance becomes a case without an analyst.
    pub open_at_once: bool,
    /// Requests of one organisation in a day; those for safety of life are never refused.
    pub per_day: u32,
    /// Calls older than this get a warning: providers often lack older records (traceback.md §1.1: less than ten days are preferred).
    pub fresh_days: u32,
    /// Calls older than this are refused.
    pub oldest_days: u32,
}

/// How cases are walked.
#[derive(Clone, Debug, PartialEq)]
pub struct WalkSettings {
    /// After the deadline, until a provider counts as non-responsive.
    pub grace: Duration,
    /// Most hops of a path.
    pub most_hops: u32,
    /// When the signer of a verified PASSporT is asked directly.
    pub hint: HintPolicy,
    /// A deadline in place of each provider's own rule, for demonstrations and tests.
    pub deadline: Option<Duration>,
}
