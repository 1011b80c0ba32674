//! What the operator decides about the responder: section `[responder]` of the configuration, checked.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::adapter::AdapterSettings;
use super::adapter::proof::Verified;
use super::case::{Drafts, Mode};
use crate::traceback::answer::Resolution;
use crate::traceback::deadline::DeadlineRule;

/// The responder.
#[derive(Clone, Debug, PartialEq)]
pub struct ResponderSettings {
    /// Folder of its state: `responder.db`. Beside the store by default.
    pub state: PathBuf,
    /// The key that signs answers, PEM (PKCS#8): Ed25519 or P-256. Without one nothing is sent.
    pub key_file: Option<PathBuf>,
    /// Where the API listens; `None` for pull, files and mail alone.
    pub listen: Option<SocketAddr>,
    /// TLS of the API; `None` only on loopback.
    pub tls: Option<TlsSettings>,
    /// The URL at which portals reach the API, for `/.well-known/traceback-provider`.
    pub public_url: Option<Arc<str>>,
    /// Portals, in the order of the file.
    pub portals: Vec<PortalSettings>,
    /// People and machines of this house who may use the API.
    pub operators: Vec<OperatorSettings>,
    /// Requests that may be under way at once, each portal an even share of them; beyond it new ones are refused with 503 and a time to come again.
    pub open_requests: usize,
}

impl ResponderSettings {
    /// What an operator should know although nothing is wrong.
    pub fn notes(&self) -> Vec<String> {
        let key = self.key_file.is_none().then(|| {
            "responder.key_file is not set: answers can't be signed, and nothing leaves".to_owned()
        });
        let leaving = self.portals.iter().filter(|p| p.mode != Mode::Shadow);
        let portals = leaving.filter_map(|p| {
            let name = &p.name;
            match Verified::of(p).why_not() {
                Some(why) => Some(format!("portal {name}: nothing leaves by itself: {why}")),
                None if p.mode == Mode::Automatic && p.automatic.is_empty() => Some(format!(
                    "portal {name}: its mode is automatic, and no kind of answer is (automatic = [])"
                )),
                None => None,
            }
        });
        key.into_iter().chain(portals).collect()
    }
}

/// TLS of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// Certificate, with those up to its authority, PEM.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Authorities of client certificates; with it a portal may be bound to one.
    pub client_ca: Option<PathBuf>,
}

/// One portal.
#[derive(Clone, Debug, PartialEq)]
pub struct PortalSettings {
    /// Short name, unique: in metrics, log, audit.
    pub name: Arc<str>,
    /// How much may happen without a person.
    pub mode: Mode,
    /// Resolutions that may leave by themselves in automatic mode.
    pub automatic: Vec<Resolution>,
    /// What it gets of answers that wait for a person.
    pub drafts: Drafts,
    /// By which rule its deadlines run.
    pub deadline: DeadlineRule,
    /// Zone of the office that answers, for business hours, such as `America/New_York`.
    pub time_zone: Box<str>,
    /// Requests that one issuer may send in a minute; more are refused.
    pub requests_per_minute: u32,
    /// Keys by which its pushed events are signed, as files with lines `whsec_…` or `whpk_…`; none: no push.
    pub webhook_secrets: Option<PathBuf>,
    /// The token by which it reads answers over the API; none: it can't.
    pub token_file: Option<PathBuf>,
    /// Name in, or `sha256:` fingerprint of, the client certificate that it must show.
    pub client_certificate: Option<Box<str>>,
    /// How requests are got and answers delivered.
    pub adapter: AdapterSettings,
    /// Kinds of campaigns that are reported unasked, by the flag that leads them; empty: none.
    pub reports: Vec<Box<str>>,
    /// Reports a day at most.
    pub reports_per_day: u32,
}

/// Somebody who may use the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorSettings {
    /// His name, in the audit log.
    pub name: Arc<str>,
    /// File with his token.
    pub token_file: PathBuf,
    /// What he may do.
    pub roles: Vec<Role>,
}

/// What an operator may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// See requests, answers and evidence.
    Read,
    /// Look calls up.
    Lookup,
    /// Decide about answers, stop and resume.
    Decide,
    /// Read the audit log and its proofs.
    Audit,
}

impl Role {
    /// By its word in the configuration.
    pub fn from_label(label: &str) -> Option<Self> {
        Some(match label {
            "read" => Self::Read,
            "lookup" => Self::Lookup,
            "decide" => Self::Decide,
            "audit" => Self::Audit,
            _ => return None,
        })
    }
}
