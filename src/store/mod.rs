//! Floor 5: where call records live. One trait, so that the daemon, the look-up and the tests don't care which store it is.
//!
//! - [`embedded`]: the default: a log and Parquet files in a folder, no server
//! - [`engine`]: one that many probes share: ClickHouse, with the embedded store as its spool
//! - [`memory`]: one that lives as long as its process
//! - [`looked`]: when each sensor last looked
//! - [`select`]: which records somebody wants

pub mod embedded;
pub mod engine;
pub mod looked;
pub mod memory;
pub mod select;

use std::path::{Path, PathBuf};

use crate::base::Timestamp;
use crate::call::classify::Campaign;
use crate::call::record::evidence::StoredEvidence;
use crate::call::record::{Begin, Coverage, End, StoredCall};
use crate::number::Tn;

/// A store of call records. Look-ups see everything appended so far, whether or not it is committed or sealed.
/// All windows are closed at both ends.
pub trait Store {
    /// The highest uid ever appended, 0 in an empty store. New records go on from there.
    fn last_uid(&self) -> u64;

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

    /// Campaigns with a call in the window, as far as their first and last call tell, by the time of the first.
    fn campaigns(&self, _: Timestamp, _: Timestamp) -> Result<Vec<Campaign>, StoreError> {
        Ok(Vec::new())
    }

    /// Makes everything appended so far durable: when this returns, a power cut loses nothing of it.
    fn commit(&mut self) -> Result<(), StoreError>;

    /// Attempts towards a number (Request-URI, To or diverted-from) whose first INVITE lies in the window, by time, then uid.
    fn by_called(
        &self,
        number: Tn,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<StoredCall>, StoreError>;

    /// Attempts from a number (From, P-Asserted-Identity, Remote-Party-ID or signed orig) in the window, by time, then uid.
    fn by_calling(
        &self,
        number: Tn,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<StoredCall>, StoreError>;

    /// How many attempts by [`Store::by_called`] there are, counted without reading them whole.
    fn count_by_called(
        &self,
        number: Tn,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<u64, StoreError>;

    /// How many attempts by [`Store::by_calling`] there are. A campaign's number may have a million of them in an hour, so
    /// a store that can should count them without reading them whole.
    fn count_by_calling(
        &self,
        number: Tn,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<u64, StoreError> {
        let calls = self.by_calling(number, from, until)?;
        Ok(u64::try_from(calls.len()).unwrap_or(u64::MAX))
    }

    /// Attempts by [`Store::by_called`] if there are no more than `most`, else how many: one pass where a store can.
    fn by_called_up_to(
        &self,
        number: Tn,
        from: Timestamp,
        until: Timestamp,
        most: u64,
    ) -> Result<Bounded, StoreError> {
        match self.count_by_called(number, from, until)? {
            count if count > most => Ok(Bounded::TooMany(count)),
            _ => self.by_called(number, from, until).map(Bounded::All),
        }
    }

    /// Attempts by [`Store::by_calling`] if there are no more than `most`, else how many.
    fn by_calling_up_to(
        &self,
        number: Tn,
        from: Timestamp,
        until: Timestamp,
        most: u64,
    ) -> Result<Bounded, StoreError> {
        match self.count_by_calling(number, from, until)? {
            count if count > most => Ok(Bounded::TooMany(count)),
            _ => self.by_calling(number, from, until).map(Bounded::All),
        }
    }

    /// Coverage rows that touch the window, by sensor, then time.
    fn coverage(&self, from: Timestamp, until: Timestamp) -> Result<Vec<Coverage>, StoreError>;

    /// Before this point everything has been deleted by retention; `None` if nothing ever was.
    fn forgotten_before(&self) -> Option<Timestamp>;
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
    /// The store was opened to read.
    #[error("the store is open to read only")]
    ReadOnly,
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
