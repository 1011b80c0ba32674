//! Floor 5: where call records live. Two traits, so that the daemon, the look-up and the tests don't care which store it is: [`Lookup`] for who asks,
//! [`Store`] for who writes as well.
//!
//! - [`embedded`]: the default: a log and Parquet files in a folder, no server
//! - [`engine`]: one that many probes share: ClickHouse, with the embedded store as its spool
//! - [`memory`]: one that lives as long as its process
//! - [`looked`]: when each sensor last looked
//! - [`measured`]: what it takes and does, for sizing
//! - [`select`]: which records somebody wants

pub mod embedded;
pub mod engine;
pub mod looked;
pub mod measured;
pub mod memory;
pub mod select;

use std::path::{Path, PathBuf};

use crate::base::Timestamp;
use crate::call::classify::Campaign;
use crate::call::record::evidence::StoredEvidence;
use crate::call::record::{Begin, Coverage, End, StoredCall};
use crate::number::Tn;

/// By which of its numbers a call is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Towards the number: Request-URI, To or diverted-from.
    Called,
    /// From the number: From, P-Asserted-Identity, Remote-Party-ID or signed orig.
    Calling,
}

impl Role {
    /// Whether a record has the number so: a hash may find strangers.
    pub fn matches(self, begin: &Begin, number: Tn) -> bool {
        let n = &begin.numbers;
        let numbers = match self {
            Self::Called => [n.called, n.to, n.diverted_from, None],
            Self::Calling => [n.from, n.asserted, n.remote_party, begin.verdict.orig],
        };
        numbers.contains(&Some(number))
    }
}

/// Call records that can be looked up. All windows are closed at both ends.
pub trait Lookup {
    /// The highest uid ever appended, 0 in an empty store. New records go on from there.
    fn last_uid(&self) -> u64;

    /// Attempts whose first INVITE lies in the window, by time, then uid, if there are no more than `most`; else how many, without reading
    /// them whole: a campaign's number may have a million of them in an hour.
    fn look_up(
        &self,
        role: Role,
        number: Tn,
        from: Timestamp,
        until: Timestamp,
        most: u64,
    ) -> Result<Bounded, StoreError>;

    /// How many attempts there are.
    fn count(
        &self,
        role: Role,
        number: Tn,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<u64, StoreError> {
        Ok(match self.look_up(role, number, from, until, 0)? {
            Bounded::All(calls) => calls.len() as u64,
            Bounded::TooMany(count) => count,
        })
    }

    /// Coverage rows that touch the window, by sensor, then time.
    fn coverage(&self, from: Timestamp, until: Timestamp) -> Result<Vec<Coverage>, StoreError>;

    /// Campaigns with a call in the window, as far as their first and last call tell, by the time of the first.
    fn campaigns(&self, _: Timestamp, _: Timestamp) -> Result<Vec<Campaign>, StoreError> {
        Ok(Vec::new())
    }

    /// Before this point everything has been deleted by retention; `None` if nothing ever was.
    fn forgotten_before(&self) -> Option<Timestamp>;

    /// All attempts in the window, however many.
    fn look_up_all(
        &self,
        role: Role,
        number: Tn,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<StoredCall>, StoreError> {
        match self.look_up(role, number, from, until, u64::MAX)? {
            Bounded::All(calls) => Ok(calls),
            // Not with this limit.
            Bounded::TooMany(_) => Err(StoreError::Restless),
        }
    }

    /// All attempts towards a number.
    fn by_called(
        &self,
        number: Tn,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<StoredCall>, StoreError> {
        self.look_up_all(Role::Called, number, from, until)
    }

    /// All attempts from a number.
    fn by_calling(
        &self,
        number: Tn,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<StoredCall>, StoreError> {
        self.look_up_all(Role::Calling, number, from, until)
    }
}

/// A store of call records. Look-ups see everything appended so far, whether or not it is committed or sealed.
pub trait Store: Lookup {
    /// Takes the first half of a record in. It is durable after the next [`Store::commit`].
    fn append_begin(&mut self, begin: &Begin) -> Result<(), StoreError>;

    /// Takes a second half in.
    fn append_end(&mut self, end: &End) -> Result<(), StoreError>;

    /// Takes a coverage row in. A row for the same sensor and `from` replaces the earlier one.
    fn append_coverage(&mut self, coverage: &Coverage) -> Result<(), StoreError>;

    /// Takes in what it takes to judge a call again, after its first half. A store that keeps no evidence lets it go.
    fn append_evidence(&mut self, _: &StoredEvidence) -> Result<(), StoreError> {
        Ok(())
    }

    /// Takes a campaign in as it stands; a later state of the same id replaces an earlier one. Look-ups see it after the next
    /// [`Store::commit`]. A store that keeps no campaigns lets it go.
    fn append_campaign(&mut self, _: &Campaign) -> Result<(), StoreError> {
        Ok(())
    }

    /// Makes everything appended so far durable: when this returns, a power cut loses nothing of it.
    fn commit(&mut self) -> Result<(), StoreError>;
}

/// What a look-up with a limit gives.
#[derive(Clone, Debug, PartialEq)]
pub enum Bounded {
    /// All that there are.
    All(Vec<StoredCall>),
    /// So many: more than the limit.
    TooMany(u64),
}

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process has the store open to write.
    #[error("{path}: in use by {holder}; stop it, or open the store read-only")]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// Who holds it, as far as the lock file says.
        holder: String,
    },
    /// A file is not what it should be: damaged, foreign, or of a later version.
    #[error("{path}: {what}{}", advice(path))]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A key is not there, or not the right one.
    #[error("{path}: {what}")]
    Key {
        /// The file of the key, or who was to give it.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Writing the log failed, now or earlier. Nothing is acknowledged any more; open the store anew to go on with
    /// what is on disk.
    #[error(
        "{path}: the log can't be written ({why}); nothing more is taken in until the store is opened anew"
    )]
    LogFailed {
        /// The log.
        path: PathBuf,
        /// What the system said when it failed.
        why: String,
    },
    /// So little of the disk is free that no record is taken: see [`embedded::MinFree`].
    #[error(
        "{path}: only {} MiB are free and {} MiB must stay so: no record is taken until there is room. Make room on that disk, or set [store] retention_days, evidence_days or min_free_mb lower",
        free >> 20,
        least >> 20
    )]
    NoRoom {
        /// The store.
        path: PathBuf,
        /// Octets that are free.
        free: u64,
        /// Octets that must stay free.
        least: u64,
    },
    /// A legal hold can't be laid, or forbids what was asked.
    #[error("{path}: {what}")]
    Hold {
        /// The hold.
        path: PathBuf,
        /// What is in the way.
        what: String,
    },
    /// A record does not fit an event of the log.
    #[error("a record of {octets} octets; the most is {limit}")]
    TooLong {
        /// Its length.
        octets: usize,
        /// The limit.
        limit: usize,
    },
    /// A record with this uid has been taken in already.
    #[error("uid {0} has been taken already")]
    UidTaken(u64),
    /// The shared engine could not be asked, or not so that its answer counts. What the probe's own store holds alone would be no answer.
    #[error("the shared engine: {0}")]
    Engine(String),
    /// The store changed under every attempt to read it: seals or retention while a look-up was going on.
    #[error("the store kept changing during the look-up; ask again")]
    Restless,
}

/// What to do about a file of a store that is not what it should be.
fn advice(path: &Path) -> &'static str {
    let ours = ["parquet", "cix", "ends", "ev", "wal", "jsonl"];
    let extension = path.extension().and_then(|e| e.to_str());
    let is_ours = extension.is_some_and(|e| ours.contains(&e)) || path.ends_with("manifest");
    match is_ours {
        true => "; `tracehop store check` says what is affected and what can be repaired",
        false => "",
    }
}

impl StoreError {
    /// Whether a file was not there.
    fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
    }

    fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }

    fn key(path: &Path, what: impl Into<String>) -> Self {
        Self::Key {
            path: path.to_owned(),
            what: what.into(),
        }
    }

    fn corrupt(path: &Path, what: impl Into<String>) -> Self {
        Self::Corrupt {
            path: path.to_owned(),
            what: what.into(),
        }
    }
}
