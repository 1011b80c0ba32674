//! Why the desk could not do what it was asked.

use std::path::PathBuf;

use crate::proof::database::OpenError;
use crate::responder::case::{RequestKey, RequestState};

/// Why the desk could not do what it was asked. Nothing of it was done then.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The database.
    #[error("{path}: {source}")]
    Database {
        /// Which file.
        path: PathBuf,
        /// What it says.
        source: rusqlite::Error,
    },
    /// It can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database was made by a later tracehop.
    #[error(
        "{path} was made by a later tracehop (its version is {found}, this one knows {known}): run that one"
    )]
    Later {
        /// Which file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// A setting that can't be worked with.
    #[error("{0}")]
    Setting(String),
    /// There is no such request.
    #[error("{0}: there is no such request")]
    NotThere(RequestKey),
    /// What was asked can't be done where the request stands.
    #[error("{key} ({state}): {why}")]
    NotNow {
        /// Which.
        key: RequestKey,
        /// Where it stands.
        state: RequestState,
        /// Why not.
        why: &'static str,
    },
    /// Another answer stands there than the one that was seen.
    #[error("{0}: the answer is another now: look at it again")]
    Changed(RequestKey),
    /// An answer that can't be given.
    #[error("{0}")]
    Wrong(String),
    /// No key to sign with, or it did not sign.
    #[error("the answer can't be signed: {0}")]
    Unsigned(String),
}

impl DeskError {
    /// Whether the fault is in what was asked; the rest is ours.
    pub const fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::NotThere(_) | Self::NotNow { .. } | Self::Changed(_) | Self::Wrong(_)
        )
    }
}
