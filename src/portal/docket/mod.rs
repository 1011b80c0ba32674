//! The docket: every request, case, question and answer, the directory, people; one SQLite database, so that nothing is there by halves.
//!
//! Each act is one transaction with its line in the audit log ([`crate::proof::audit`]) and takes the time as an argument. None waits for anything but the
//! disk, so asynchronous callers use `spawn_blocking`. Reads go by connections of their own and wait for no act. What an act changed is told to
//! who listens ([`Docket::changes`]) after it is durable.
//!
//! - [`user`], [`session`]: people, and who has logged in
//! - [`read`]: what pages and exports look at
//! - `schema`: its tables
//! - `work`: one transaction, and what all acts share
//! - [`directory`]: providers, their keys, how their machines are known
//! - [`wire`]: what goes to providers and comes from their machines
//! - `report`: campaigns that providers report unasked; [`figures`]: for whoever watches
//! - `error`: why something was not done
//! - `actor`: who acts
//! - `intake`, `case`, `note`: requests, cases as a whole, what people add to them
//! - `question`, `answer`, `answer_by_hand`, `draft`, `dispute`: hop questions and what comes back
//! - `campaign`: campaigns, and what becomes of reports
//! - `clock`: reminders, silence
//! - `walk`: the walk, done on the database
//! - `relisted`: what goes on when the directory changed
//! - `party`, `row`, `tell`: whom a name means; cases and questions as read; what providers are told

mod actor;
mod answer;
mod answer_by_hand;
mod campaign;
mod case;
mod clock;
pub mod directory;
mod dispute;
mod draft;
mod error;
pub mod figures;
mod intake;
mod note;
mod party;
mod question;
pub mod read;
mod relisted;
mod report;
mod row;
#[doc(hidden)]
pub mod sample;
mod schema;
pub mod session;
mod tell;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub mod user;
mod walk;
pub mod wire;
mod work;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::broadcast;

pub use actor::Actor;
pub use answer::Received;
pub use answer_by_hand::{ByHand, Named};
pub use campaign::CampaignForm;
pub use case::Closing;
pub use clock::Ticked;
pub use draft::Decision;
pub use error::{DocketError, Problem};
pub use intake::{Handed, Submitted};
pub use note::{MAX_ATTACHMENT, MAX_ATTACHMENTS};
pub use question::Clarification;
pub use session::{Cookie, Session};
pub use user::User;
pub use work::{Done, Fault, Work};

use super::settings::PortalSettings;
use crate::base::Timestamp;
use crate::proof::database::PORTAL;
use crate::proof::sign::Signer;

/// Connections that read at once: as many as threads that wait for the disk.
const READERS: usize = 4;
/// Changes that a slow listener may be behind; then it is told that it missed some and reads anew.
const CHANGES: usize = 1024;

/// Result of the docket.
pub type Result<T> = std::result::Result<T, DocketError>;

/// What an act changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The case.
    pub case: Option<Arc<str>>,
    /// Providers for whom there is something new.
    pub providers: Vec<Arc<str>>,
}

/// The docket. Share it as `Arc<Docket>`.
#[derive(Debug)]
pub struct Docket {
    path: PathBuf,
    writer: Mutex<Connection>,
    readers: Vec<Mutex<Connection>>,
    settings: RwLock<Arc<PortalSettings>>,
    signer: Arc<Signer>,
    changes: broadcast::Sender<Change>,
}

impl Docket {
    /// Opens the database in the folder of the settings, and makes both where they are not there.
    ///
    /// # Errors
    ///
    /// [`DocketError`].
    pub fn open(settings: PortalSettings, signer: Arc<Signer>) -> Result<Self> {
        let folder = settings.state.clone();
        let writer = schema::open(&folder)?;
        let readers = (0..READERS).map(|_| schema::open_reader(&folder).map(Mutex::new));
        Ok(Self {
            path: folder.join(PORTAL),
            writer: Mutex::new(writer),
            readers: readers.collect::<Result<_>>()?,
            settings: RwLock::new(Arc::new(settings)),
            signer,
            changes: broadcast::Sender::new(CHANGES),
        })
    }

    /// Takes new settings: a reload. The folder stays.
    pub fn reload(&self, settings: PortalSettings) {
        *self
            .settings
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    /// The settings as they are now.
    pub fn settings(&self) -> Arc<PortalSettings> {
        self.settings
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The portal's own key.
    pub fn signer(&self) -> &Arc<Signer> {
        &self.signer
    }

    /// Tells what every act of this process changes, once it is durable.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// One act: a transaction that writes. Where it fails nothing of it was done.
    pub(super) fn write<T>(
        &self,
        now: Timestamp,
        act: impl FnOnce(&mut Work<'_>) -> Done<T>,
    ) -> Result<T> {
        let settings = self.settings();
        // After a panic the transaction was rolled back: the connection is sound.
        let mut connection = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(Fault::from)
            .and_then(|tx| {
                let mut work = Work::new(&tx, &settings, &self.signer, now);
                let done = act(&mut work)?;
                let changed = work.changed();
                tx.commit()?;
                Ok((done, changed))
            });
        drop(connection);
        let (done, changed) = outcome.map_err(|fault| self.said(fault))?;
        for change in changed {
            // Nobody listens: nobody is told.
            let _ = self.changes.send(change);
        }
        Ok(done)
    }

    /// One look: a transaction that only reads, and waits for nobody but other looks.
    pub(super) fn read<T>(&self, look: impl FnOnce(&Transaction<'_>) -> Done<T>) -> Result<T> {
        let mut connection = self.reader();
        let outcome = connection
            .transaction()
            .map_err(Fault::from)
            .and_then(|tx| look(&tx));
        outcome.map_err(|fault| self.said(fault))
    }

    /// The first reader that is free, or the one that this thread's number says.
    fn reader(&self) -> std::sync::MutexGuard<'_, Connection> {
        for reader in &self.readers {
            if let Ok(free) = reader.try_lock() {
                return free;
            }
        }
        match self.readers.first() {
            Some(reader) => reader.lock().unwrap_or_else(PoisonError::into_inner),
            None => self.writer.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    fn said(&self, fault: Fault) -> DocketError {
        match fault {
            Fault::Docket(e) => e,
            Fault::Sql(source) => DocketError::Database {
                path: self.path.clone(),
                source,
            },
        }
    }

    /// Where the database is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
