//! Trust while the daemon runs: held over reloads, and renewed by a fetcher where there is one.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::pipeline::{FetchLink, WhenFull};
use crate::base::Timestamp;
use crate::config::Config;
use crate::fetch::directory::LoadError;
use crate::fetch::held::{HeldTrust, Reload};
use crate::fetch::{FetchReport, Fetcher, StartError};
use crate::stir::credential::Credentials;

/// What the judges go by.
pub struct Trust {
    held: HeldTrust,
    fetcher: Option<Fetcher>,
    /// For judges without a fetcher.
    pub credentials: Arc<ArcSwap<Credentials>>,
}

/// Why there is no trust to begin with.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// Files.
    #[error(transparent)]
    Files(#[from] LoadError),
    /// Fetching.
    #[error(transparent)]
    Fetch(#[from] StartError),
}

impl Trust {
    /// Reads all files, and starts the fetcher where the configuration asks for one.
    ///
    /// # Errors
    ///
    /// [`TrustError`].
    pub fn open(
        config: &Config,
        history: Option<PathBuf>,
        now: Timestamp,
    ) -> Result<Self, TrustError> {
        let held = HeldTrust::open(config.credentials.clone(), history, now)?;
        let loaded = held.current();
        let fetcher = match config.fetch_enabled {
            true => Some(Fetcher::start(&config.fetch, loaded.as_ref().clone())?),
            false => None,
        };
        let credentials = Arc::new(ArcSwap::from_pointee(loaded.credentials.clone()));
        Ok(Self {
            held,
            fetcher,
            credentials,
        })
    }

    /// How the stages use the fetcher.
    pub fn link(&self, config: &Config) -> Option<FetchLink> {
        self.fetcher.as_ref().map(|f| FetchLink {
            client: f.client(),
            limits: config.fetch.park,
            when_full: WhenFull::GoOn,
        })
    }

    /// Reads the files of another configuration, or the same files again; swaps or keeps.
    pub fn reload(&mut self, config: &Config, now: Timestamp) -> Reload {
        let outcome = self.held.reload_files_at(config.credentials.clone(), now);
        if outcome == Reload::Swapped {
            let loaded = self.held.current();
            self.credentials.store(Arc::new(loaded.credentials.clone()));
            let taken = self
                .fetcher
                .as_ref()
                .is_none_or(|f| f.reload(loaded.as_ref().clone()));
            if !taken {
                return Reload::Kept("the fetcher is still taking in an earlier reload".to_owned());
            }
        }
        outcome
    }

    /// What the files gave, with what could not be used of them.
    pub fn held(&self) -> &HeldTrust {
        &self.held
    }

    /// What starting the fetcher came upon.
    pub fn notes(&self) -> impl Iterator<Item = &str> {
        let files = self.held.current().notes.iter();
        let fetch = self.fetcher.iter().flat_map(|f| &f.notes);
        files.chain(fetch).map(String::as_str)
    }

    /// Ends the fetcher; everything fetched is on disk then.
    pub fn stop(self) -> Option<FetchReport> {
        self.fetcher.map(Fetcher::stop)
    }
}
