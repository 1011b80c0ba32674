//! The responder's database for those who come without the desk: a look-up at the terminal, and who checks the log.

use std::fs::{self, DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::{Entry, append, create};

/// Name of the database in the responder's folder.
pub const DATABASE: &str = "responder.db";
/// How long a writer waits for another one, which writes for milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why the log can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder or the file.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The database.
    #[error("{path}: {source}")]
    Database {
        /// Which.
        path: PathBuf,
        /// What it says.
        source: rusqlite::Error,
    },
}

/// Opens the log to write to it; folder, file and tables are made where they are not there, for their owner alone. Made by root, they
/// belong to whoever owns the folder above, which is the daemon's user: else it could not write to them.
///
/// # Errors
///
/// [`OpenError`].
pub fn open(folder: &Path) -> Result<Connection, OpenError> {
    let path = folder.join(DATABASE);
    let file = |path: &Path, source| OpenError::File {
        path: path.to_owned(),
        source,
    };
    if !folder.exists() {
        DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(folder)
            .and_then(|()| as_above(folder))
            .map_err(|e| file(folder, e))?;
    }
    if !path.exists() {
        // `create_new` would fail when the daemon is faster by a moment.
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&path)
            .and_then(|_| as_above(&path))
            .map_err(|e| file(&path, e))?;
    }
    let database = |source| OpenError::Database {
        path: path.clone(),
        source,
    };
    let connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(database)?;
    prepare(&connection).map_err(database)?;
    Ok(connection)
}

/// Opens the log to read it.
///
/// # Errors
///
/// [`OpenError`]; there is none.
pub fn open_to_read(folder: &Path) -> Result<Connection, OpenError> {
    let path = folder.join(DATABASE);
    fs::metadata(&path).map_err(|source| OpenError::File {
        path: path.clone(),
        source,
    })?;
    connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .map_err(|source| OpenError::Database { path, source })
}

/// Notes one act, durably, in the log of a folder. Gives its place.
///
/// # Errors
///
/// [`OpenError`]; then the act must not be done.
pub fn note(folder: &Path, entry: &Entry<'_>) -> Result<u64, OpenError> {
    let mut connection = open(folder)?;
    let noted = (|| {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let index = append(&transaction, entry)?;
        transaction.commit()?;
        Ok(index)
    })();
    noted.map_err(|source| OpenError::Database {
        path: folder.join(DATABASE),
        source,
    })
}

fn connect(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(PATIENCE)?;
    Ok(connection)
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    create(connection)
}

/// Gives what root has made to the owner of the folder above.
fn as_above(path: &Path) -> std::io::Result<()> {
    let Some(above) = path.parent() else {
        return Ok(());
    };
    let (made, above) = (fs::metadata(path)?, fs::metadata(above)?);
    if made.uid() == 0 && above.uid() != 0 {
        chown(path, Some(above.uid()), Some(above.gid()))?;
    }
    Ok(())
}
