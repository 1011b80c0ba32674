//! The desk: every request under way, what was decided about it, and the outbox; one SQLite database, so that nothing is there by halves.
//!
//! Whatever is told to a portal or a person is durable first. A `Desk` may be opened by several processes: the daemon and a person at the terminal.

use std::path::Path;

/// The desk.
#[derive(Debug)]
pub struct Desk {}

/// Why the desk could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The database.
    #[error("{path}: {source}")]
    Database {
        /// Which file.
        path: std::path::PathBuf,
        /// What it says.
        source: rusqlite::Error,
    },
}

impl Desk {
    /// Opens or makes the database in a folder.
    ///
    /// # Errors
    ///
    /// [`DeskError`].
    pub fn open(folder: &Path) -> Result<Self, DeskError> {
        let _ = folder;
        Ok(Self {})
    }
}
