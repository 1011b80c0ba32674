//! A SQLite database with its WAL: the one way to open it, for a desk, for a look-up at the terminal, and for who checks the log.
//!
//! Folder and file are made where they are not there, for their owner alone. Made by root they belong to whoever owns the folder above, which is the
//! daemon's user: else it could not write to them.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::audit;

/// Name of the responder's database in its folder.
pub const RESPONDER: &str = "responder.db";
/// Name of the portal's.
pub const PORTAL: &str = "portal.db";
/// How long a process waits for another one's transaction. Each takes milliseconds, and a disk that stands still is trouble anyhow.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why it can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder or the file.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
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

/// Opens it to write. Its tables are for the caller to make.
///
/// # Errors
///
/// [`OpenError`].
pub fn open(folder: &Path, name: &str) -> Result<Connection, OpenError> {
    let path = folder.join(name);
    make_folder(folder).map_err(|e| file_error(folder, e))?;
    make_file(&path).map_err(|e| file_error(&path, e))?;
    connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .and_then(durable)
        .map_err(|source| OpenError::Database { path, source })
}

/// Opens it to read.
///
/// # Errors
///
/// [`OpenError`]; there is none.
pub fn open_to_read(folder: &Path, name: &str) -> Result<Connection, OpenError> {
    let path = folder.join(name);
    fs::metadata(&path).map_err(|e| file_error(&path, e))?;
    connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .map_err(|source| OpenError::Database { path, source })
}

fn file_error(path: &Path, source: io::Error) -> OpenError {
    OpenError::File {
        path: path.to_owned(),
        source,
    }
}

fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.exists() {
        return Ok(());
    }
    let mut builder = DirBuilder::new();
    builder.mode(0o700).recursive(true).create(folder)?;
    as_above(folder)
}

/// SQLite gives its other files the permissions and, where root makes them, the owner of this one.
fn make_file(path: &Path) -> io::Result<()> {
    let is_new = !path.exists();
    // `create_new` would fail when another process is faster by a moment.
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(0o600);
    let mode = options.open(path)?.metadata()?.permissions().mode();
    if mode & 0o077 != 0 {
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
    }
    if is_new { as_above(path) } else { Ok(()) }
}

/// Gives what root has made to the owner of the folder above.
fn as_above(path: &Path) -> io::Result<()> {
    let Some(above) = path.parent() else {
        return Ok(());
    };
    let (made, above) = (fs::metadata(path)?, fs::metadata(above)?);
    if made.uid() == 0 && above.uid() != 0 {
        chown(path, Some(above.uid()), Some(above.gid()))?;
    }
    Ok(())
}

/// Brings a database to the version that the number of `migrations` says: what leads from each version to the next, only ever appended to. Makes the tables
/// of the audit log too. Gives the version that was found where it is a later one, which is left alone.
///
/// # Errors
///
/// What the database says.
pub fn migrate(connection: &mut Connection, migrations: &[&str]) -> rusqlite::Result<Option<i64>> {
    // Two processes may come at once: the version is read within the transaction that changes it.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = version(migrations);
    if found > known {
        return Ok(Some(found));
    }
    for step in migrations.iter().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    audit::create(&transaction)?;
    transaction.commit()?;
    Ok(None)
}

/// The version of a database after so many migrations.
pub fn version(migrations: &[&str]) -> i64 {
    i64::try_from(migrations.len()).unwrap_or(i64::MAX)
}

fn connect(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(PATIENCE)?;
    Ok(connection)
}

fn durable(connection: Connection) -> rusqlite::Result<Connection> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // FULL: a transaction that was told of is on the disk, even when the power fails.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // A statement that may fail in the middle keeps a journal of its own: in a folder that the sandbox forbids, unless in memory.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(connection)
}
