//! One transaction on the docket, and what all of its acts share.

use std::sync::Arc;

use rusqlite::Transaction;
use serde_json::Value;

use super::{Change, DocketError};
use crate::base::Timestamp;
use crate::portal::settings::PortalSettings;
use crate::proof::Who;
use crate::proof::audit::{self, Entry};
use crate::proof::sign::Signer;

/// Why a transaction ends without anything done.
#[derive(Debug)]
pub enum Fault {
    /// The database.
    Sql(rusqlite::Error),
    /// Anything else.
    Docket(DocketError),
}

impl From<rusqlite::Error> for Fault {
    fn from(e: rusqlite::Error) -> Self {
        Self::Sql(e)
    }
}

impl From<DocketError> for Fault {
    fn from(e: DocketError) -> Self {
        Self::Docket(e)
    }
}

/// Result within a transaction.
pub type Done<T> = std::result::Result<T, Fault>;

/// One act under way.
pub struct Work<'a> {
    /// The transaction.
    pub tx: &'a Transaction<'a>,
    /// What the operator decided.
    pub settings: &'a PortalSettings,
    /// The portal's own key.
    pub signer: &'a Arc<Signer>,
    /// The time of the act.
    pub now: Timestamp,
    changed: Vec<Change>,
}

impl std::fmt::Debug for Work<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Work(at {})", self.now)
    }
}

impl<'a> Work<'a> {
    pub(super) fn new(
        tx: &'a Transaction<'a>,
        settings: &'a PortalSettings,
        signer: &'a Arc<Signer>,
        now: Timestamp,
    ) -> Self {
        Self {
            tx,
            settings,
            signer,
            now,
            changed: Vec::new(),
        }
    }

    /// Writes the act's line into the audit log. `case` is `-` where the act serves none.
    pub fn note(
        &self,
        who: &Who,
        act: &'static str,
        case: &str,
        request: Option<&str>,
        detail: Value,
    ) -> Done<u64> {
        let entry = Entry {
            at: self.now,
            who,
            act,
            case_id: case,
            request,
            detail,
        };
        Ok(audit::append(self.tx, &entry)?)
    }

    /// Says what the act changed, for who watches.
    pub fn touch(&mut self, case: Option<&str>, providers: &[&str]) {
        self.changed.push(Change {
            case: case.map(Into::into),
            providers: providers.iter().map(|&p| p.into()).collect(),
        });
    }

    pub(super) fn changed(self) -> Vec<Change> {
        self.changed
    }
}
