//! Why the docket did not do something.

use std::path::PathBuf;

use crate::proof::database::OpenError;

/// Why an act was not done, or a page not read. Nothing of the act was done then.
#[derive(Debug, thiserror::Error)]
pub enum DocketError {
    /// Folder or file.
    #[error("{0}")]
    Open(#[from] OpenError),
    /// The database.
    #[error("{path}: {source}")]
    Database {
        /// Which.
        path: PathBuf,
        /// What it says.
        source: rusqlite::Error,
    },
    /// It was made by a later version.
    #[error(
        "{path} is of version {found}, and this tracehop knows {known}: install the later one again"
    )]
    Later {
        /// Which.
        path: PathBuf,
        /// Version found.
        found: i64,
        /// Version known.
        known: i64,
    },
    /// There is no such thing, or it is not the asker's to see: the two are never told apart.
    #[error("there is no such {0}")]
    Absent(&'static str),
    /// It can't be done as things stand.
    #[error("{0}")]
    Refused(String),
    /// What was handed in is wrong: every field at once.
    #[error("{}", .0.iter().map(|p| format!("{}: {}", p.field, p.wanted)).collect::<Vec<_>>().join("; "))]
    Wrong(Vec<Problem>),
    /// Too much of it; come again after so many seconds.
    #[error("{what}; come again in {after_s} s")]
    TooMany {
        /// What there is too much of.
        what: String,
        /// When to come again.
        after_s: u64,
    },
}

/// One thing that is wrong with what was handed in.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// Name of the field.
    pub field: &'static str,
    /// What is wanted instead.
    pub wanted: String,
}
