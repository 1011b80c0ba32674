//! What answers are made by, read from the configuration as a whole and swapped as a whole.

use std::path::PathBuf;
use std::sync::Arc;

use crate::call::peer::PeerTable;
use crate::number::NumberPlan;
use crate::proof::sign::{SignError, Signer};
use crate::responder::adapter::Trouble;
use crate::responder::settings::{PortalSettings, ResponderSettings};
use crate::traceback::TracebackSettings;

/// What answers are made by.
#[derive(Clone, Debug)]
pub struct World {
    /// What the operator decided.
    pub settings: ResponderSettings,
    /// What the matcher goes by.
    pub traceback: TracebackSettings,
    /// How numbers are written here.
    pub plan: NumberPlan,
    /// Neighbours.
    pub peers: Arc<PeerTable>,
    /// Our legal name.
    pub name: Arc<str>,
    /// Our id at portals.
    pub provider: Arc<str>,
    /// Version of the configuration.
    pub version: u32,
    /// The key that answers are signed with.
    pub signer: Option<Arc<Signer>>,
}

/// Why a world can't be.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// The key.
    #[error("responder.key_file {path}: {why}")]
    Key {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: SignError,
    },
    /// The way to a portal.
    #[error("portal {portal:?}: {why}")]
    Adapter {
        /// Which portal.
        portal: Arc<str>,
        /// What is wrong.
        why: Trouble,
    },
}

impl World {
    /// Reads the key that the settings name.
    ///
    /// # Errors
    ///
    /// [`WorldError::Key`].
    pub fn signer_of(settings: &ResponderSettings) -> Result<Option<Arc<Signer>>, WorldError> {
        let read = |path: &PathBuf| {
            let path = path.clone();
            Signer::read(&path)
                .map(Arc::new)
                .map_err(|why| WorldError::Key { path, why })
        };
        settings.key_file.as_ref().map(read).transpose()
    }

    /// Whether every adapter can be set up.
    ///
    /// # Errors
    ///
    /// [`WorldError::Adapter`].
    pub fn check(&self) -> Result<(), WorldError> {
        for portal in &self.settings.portals {
            portal.adapter.open().map_err(|why| WorldError::Adapter {
                portal: portal.name.clone(),
                why,
            })?;
        }
        Ok(())
    }

    /// A portal by its name.
    pub fn portal(&self, name: &str) -> Option<&PortalSettings> {
        self.settings.portals.iter().find(|p| &*p.name == name)
    }

    /// What the matcher goes by for one portal: what may be certain there without a person.
    pub fn traceback_for(&self, portal: &str) -> TracebackSettings {
        TracebackSettings {
            automatic: self
                .portal(portal)
                .map(|p| p.automatic.clone())
                .unwrap_or_default(),
            ..self.traceback.clone()
        }
    }
}
