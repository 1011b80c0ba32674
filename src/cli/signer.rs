//! What `tracehop verify` shows of the certificates behind an Identity header: the chain, what it speaks for, its revocation, its oddities.

use serde_json::{Value, json};

use super::output::{self, say};
use crate::base::Timestamp;
use crate::base::text::escape;
use crate::stir::credential::crl::Revocation;
use crate::stir::credential::{Credential, Credentials, Link};
use crate::stir::verify::{HeaderVerdict, Rule};

/// The certificates of one header.
pub(super) struct Signer {
    url: String,
    digest: String,
    fault: Option<&'static str>,
    links: Vec<Link>,
    /// Whether they lead to an authority.
    trusted: bool,
    revocation: &'static str,
    lints: Vec<(&'static str, &'static str, &'static str)>,
}

impl Signer {
    /// `None` where no certificate is at hand.
    pub(super) fn of(
        header: &HeaderVerdict,
        at: Timestamp,
        credentials: &Credentials,
    ) -> Option<Self> {
        let url = header.x5u.as_deref()?;
        let credential: &Credential = credentials.get(url)?;
        let path = credential.chain_at(header.iat, at);
        Some(Self {
            url: escape(url.as_bytes()),
            digest: credential.digest().to_string(),
            fault: credential.fault(),
            links: match (path, credential.leaf()) {
                ([], Some(leaf)) => vec![Link::alone(leaf)],
                (path, _) => path.to_vec(),
            },
            trusted: !path.is_empty(),
            revocation: revocation(header),
            lints: credential
                .lints()
                .iter()
                .map(|l| (l.label(), l.what(), l.source()))
                .collect(),
        })
    }

    pub(super) fn print(&self) {
        if let Some(fault) = self.fault {
            say!("certificate {}: {fault}", self.url);
            return;
        }
        let trusted = if self.trusted {
            ""
        } else {
            ", without a path to an authority"
        };
        say!("certificates of {}{trusted}", self.url);
        let rows = self.links.iter().map(|l| {
            vec![
                escape(l.title.as_bytes()),
                l.serial.to_string(),
                format!("{} to {}", time(l.validity.from), time(l.validity.to)),
                l.key.to_owned(),
                escape(l.authority.as_bytes()),
                l.revocation.map_or_else(String::new, shown),
            ]
        });
        let columns = ["name", "serial", "valid", "key", "speaks for", "revoked"];
        say!("{}", output::table(&columns, rows.collect(), 9));
        say!("revocation: {}", self.revocation);
        for (label, what, source) in &self.lints {
            say!("odd: {label}: {what} ({source})");
        }
    }

    pub(super) fn as_json(&self) -> Value {
        let link = |l: &Link| {
            json!({
                "name": l.title,
                "organization": l.organization,
                "serial": l.serial,
                "valid_from": time(l.validity.from),
                "valid_to": time(l.validity.to),
                "key": l.key,
                "speaks_for": l.authority,
                "revoked": l.revocation.map(|r| json!({
                    "at": r.at,
                    "reason": r.reason,
                    "invalid_since": r.invalid_since,
                })),
            })
        };
        let lints = self.lints.iter();
        json!({
            "url": self.url,
            "digest": self.digest,
            "fault": self.fault,
            "trusted": self.trusted,
            "chain": self.links.iter().map(link).collect::<Vec<_>>(),
            "revocation": self.revocation,
            "lints": lints.map(|(label, what, source)| json!({
                "lint": label,
                "what": what,
                "source": source,
            })).collect::<Vec<_>>(),
        })
    }
}

/// The revocation state in one word, from the rules that judged it.
fn revocation(header: &HeaderVerdict) -> &'static str {
    if header.failed.contains(Rule::R3) {
        "revoked"
    } else if header.findings.contains(Rule::R4) {
        "revoked later"
    } else if header.passed.contains(Rule::R3) {
        "not revoked"
    } else if header.findings.contains(Rule::R5) || header.undetermined.contains(Rule::R5) {
        "unknown"
    } else {
        "not asked"
    }
}

fn shown(r: Revocation) -> String {
    let hold = if r.is_hold() { ", on hold" } else { "" };
    format!("{}, reason {}{hold}", r.at, r.reason)
}

fn time(second: i64) -> String {
    Timestamp::from_secs(second).to_string()
}
