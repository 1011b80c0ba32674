//! Floor 5: where call records live. One trait, so that the daemon, the look-up and the tests don't care which store it is.

use crate::base::Timestamp;
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

    /// Coverage rows that touch the window, by sensor, then time.
    fn coverage(&self, from: Timestamp, until: Timestamp) -> Result<Vec<Coverage>, StoreError>;

    /// Before this point everything has been deleted by retention; `None` if nothing ever was.
    fn forgotten_before(&self) -> Option<Timestamp>;
}

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}
