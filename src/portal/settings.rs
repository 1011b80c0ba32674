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
    /// How events are pushed.
    pub push: PushSettings,
    /// Requests that a provider's machine may make in a minute.
    pub per_minute: u32,
    /// Machines of those who hand requests in.
    pub requesters: Vec<RequesterSettings>,
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

/// How events are pushed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushSettings {
    /// Whether providers may be at addresses inside: of this host, private, link-local. Else whoever owns a name could lead us there.
    pub inside: bool,
    /// More roots for TLS, PEM.
    pub roots: Option<Vec<u8>>,
}

/// A machine that hands requests in for an organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequesterSettings {
    /// Its name, in the audit log.
    pub name: Arc<str>,
    /// For whom.
    pub organisation: Arc<str>,
    /// File with its token.
    pub token_file: PathBuf,
}

impl PortalSettings {
    /// A portal on loopback with every default, its state in a folder. For tests, demonstrations and `tracehop portal init`.
    pub fn sample(folder: &std::path::Path) -> Self {
        let listen = |port| ListenSettings {
            address: SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, port)),
            public_url: None,
            tls: None,
        };
        Self {
            name: "portal".into(),
            state: folder.to_owned(),
            key_file: folder.join("portal.key"),
            api: listen(0),
            console: listen(0),
            intake: IntakeSettings::default(),
            walk: WalkSettings::default(),
            push: PushSettings {
                inside: true,
                roots: None,
            },
            per_minute: PER_MINUTE,
            requesters: Vec::new(),
        }
    }
}

/// Requests of one provider's machine in a minute: a question costs three (a page, a receipt, an answer), and the whole country has 48 questions a day
/// (traceback.md §1.5), so this is a burst of a thousand at one provider.
pub const PER_MINUTE: u32 = 3_000;

impl Default for IntakeSettings {
    /// A portal that opens what keeps to the guidance, with room for a busy agency.
    fn default() -> Self {
        Self {
            open_at_once: true,
            per_day: 100,
            fresh_days: 10,
            oldest_days: 548,
        }
    }
}

impl Default for WalkSettings {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(3_600),
            most_hops: 20,
            hint: HintPolicy::default(),
            deadline: None,
        }
    }
}
