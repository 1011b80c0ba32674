//! `tracehop verify --record`: a stored call judged again, at its capture time, with today's rules, and held against what was said then.
//!
//! Which trust is used is always said: the certificates as they were stored with the call (or, asked for, as they are at hand today); list of
//! authorities and revocation list as they are configured now.

use std::path::Path;

use serde_json::{Value, json};

use super::Failure;
use super::output::{self, say};
use crate::base::Timestamp;
use crate::call::record::Numbers;
use crate::call::record::evidence::{Judgement, StoredEvidence};
use crate::config::Config;
use crate::fetch::directory;
use crate::host::clock;
use crate::stir::credential::{Credential, Credentials};
use crate::stir::verify::{CallVerdict, Rule};
use crate::store::embedded::EmbeddedStore;
use crate::store::{Lookup, StoreError};
use crate::traceback::explain::SeenBy;

/// Finds the evidence of a record.
pub(super) fn find(config: &Config, uid: u64) -> Result<StoredEvidence, Failure> {
    let (reader, _) = EmbeddedStore::open_reader(&config.store.path, &config.store.settings)
        .map_err(|e| failed(&config.store.path, &e))?;
    match reader.evidence(uid) {
        Ok(Some(found)) => Ok(found),
        Ok(None) if uid == 0 || uid > reader.last_uid() => Err(Failure::no_input(format!(
            "no record {uid}: the newest in {} is {}",
            config.store.path.display(),
            reader.last_uid()
        ))),
        Ok(None) => Err(Failure::no_input(format!(
            "no evidence of record {uid}: it has no Identity header, or it is older than evidence_days = {}, or [store] evidence did not ask for it",
            config.store.settings.evidence_retention.as_secs() / 86_400
        ))),
        Err(e) => Err(failed(&config.store.path, &e)),
    }
}

/// Which sensor showed a record, and where it has it from: by the numbers of its INVITE, since records are found by them.
pub(super) fn seen_by(
    config: &Config,
    stored: &StoredEvidence,
    numbers: &Numbers,
) -> Option<SeenBy> {
    let (reader, _) =
        EmbeddedStore::open_reader(&config.store.path, &config.store.settings).ok()?;
    let (at, uid) = (stored.at, stored.uid);
    let called = numbers.called.map(|n| reader.by_called(n, at, at));
    let calling = numbers.from.or(numbers.asserted);
    let calling = calling.map(|n| reader.by_calling(n, at, at));
    let found = [called, calling].into_iter().flatten().flatten().flatten();
    let record = found.into_iter().find(|r| r.begin.uid == uid)?;
    Some(SeenBy {
        sensor: record.begin.sensor,
        provenance: record.begin.provenance,
    })
}

fn failed(store: &Path, e: &StoreError) -> Failure {
    match e {
        StoreError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            Failure::no_input(format!("no store at {}", store.display()))
        }
        e => Failure::io(e),
    }
}

/// What a stored call is judged with now.
pub(super) struct Trust {
    pub credentials: Credentials,
    /// Whether certificates are today's.
    current: bool,
    /// Where certificates come from and what came of them, one line each.
    said: Vec<String>,
}

impl Trust {
    /// The certificates as stored, or today's; anchors and revocation list as configured now.
    pub fn load(config: &Config, stored: &StoredEvidence, current: bool) -> Result<Self, Failure> {
        let now = directory::load(&config.credentials, clock::now()).map_err(Failure::config)?;
        let chains = &stored.evidence.chains;
        if current {
            let said = chains.iter().map(|c| match now.credentials.get(&c.url) {
                Some(n) if n.digest() == c.digest => format!("{} is the same today", c.url),
                Some(n) => format!("{}: stored {}, today {}", c.url, c.digest, n.digest()),
                None => format!("{} is not at hand today", c.url),
            });
            return Ok(Self {
                said: said.collect(),
                credentials: now.credentials,
                current,
            });
        }
        let mut credentials = Credentials::default();
        for c in chains {
            let prepared = Credential::prepare(&c.octets, &now.trust);
            credentials.insert(&c.url, prepared.into());
        }
        Ok(Self {
            said: chains
                .iter()
                .map(|c| format!("{} as stored, SHA-256 {}…", c.url, c.digest))
                .collect(),
            credentials,
            current,
        })
    }

    fn print(&self) {
        let which = if self.current {
            "as at hand today"
        } else {
            "as stored with the call"
        };
        say!(
            "trust: certificates {which}; list of authorities and revocation list as configured now"
        );
        for line in &self.said {
            say!("  {line}");
        }
        if self.said.is_empty() {
            say!("  no certificate was at hand when the call was judged");
        }
    }
}

/// One thing that is said otherwise now.
struct Difference {
    what: String,
    then: String,
    now: String,
}

/// What is said otherwise now than then.
pub(super) struct Comparison {
    differences: Vec<Difference>,
}

impl Comparison {
    pub fn of(then: &Judgement, verdict: &CallVerdict) -> Self {
        let now = Judgement::of(verdict);
        let mut differences = Vec::new();
        let mut same = |what: String, then: String, now: String| {
            if then != now {
                differences.push(Difference { what, then, now });
            }
        };
        let rule = |r: Option<Rule>| r.map_or("none", Rule::id).to_owned();
        same(
            "validation".to_owned(),
            then.validation.label().to_owned(),
            now.validation.label().to_owned(),
        );
        same(
            "deciding rule".to_owned(),
            rule(then.decided_by),
            rule(now.decided_by),
        );
        let attest = |j: &Judgement| j.attest.map_or("none", |a| a.label()).to_owned();
        same("attestation claimed".to_owned(), attest(then), attest(&now));
        same(
            "Identity headers".to_owned(),
            then.headers.len().to_string(),
            now.headers.len().to_string(),
        );
        for (i, (t, n)) in then.headers.iter().zip(&now.headers).enumerate() {
            for rule in Rule::ALL {
                same(
                    format!("header {}, {}", i + 1, rule.id()),
                    t.state(*rule).to_owned(),
                    n.state(*rule).to_owned(),
                );
            }
        }
        Self { differences }
    }
}

/// What is printed beside the explanation.
pub(super) struct Rejudged {
    pub uid: u64,
    pub at: Timestamp,
    /// `None` where the record is no longer there, or has no number to find it by.
    pub seen_by: Option<SeenBy>,
    pub trust: Trust,
    pub comparison: Comparison,
}

impl Rejudged {
    pub fn print(&self) {
        let by = self.seen_by.as_ref();
        let by = by.map(|b| format!(", seen by {b}")).unwrap_or_default();
        say!("\nrecord {}, captured at {}{by}", self.uid, self.at);
        self.trust.print();
        let differences = &self.comparison.differences;
        if differences.is_empty() {
            say!("nothing differs from what was said then");
            return;
        }
        say!("differs from what was said then:");
        let rows = differences
            .iter()
            .map(|d| vec![d.what.clone(), d.then.clone(), d.now.clone()])
            .collect();
        say!("{}", output::table(&["what", "then", "now"], rows, 9));
    }

    pub fn as_json(&self) -> Value {
        let trust = if self.trust.current {
            "current"
        } else {
            "stored"
        };
        json!({
            "uid": self.uid,
            "at": self.at,
            "seen_by": self.seen_by,
            "trust": {
                "certificates": trust,
                "anchors": "current",
                "crl": "current",
                "said": self.trust.said,
            },
            "differences": self.comparison.differences.iter().map(|d| json!({
                "what": d.what, "then": d.then, "now": d.now,
            })).collect::<Vec<_>>(),
        })
    }
}
