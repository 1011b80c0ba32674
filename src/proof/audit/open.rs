//! A provider's log for those who come without the desk: a look-up at the terminal, and who signs heads by hand.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::{Entry, append, create};
use crate::proof::database::{self, OpenError, RESPONDER};

/// Opens the log to write to it; its tables are made where they are not there.
///
/// # Errors
///
/// [`OpenError`].
pub fn open(folder: &Path) -> Result<Connection, OpenError> {
    let connection = database::open(folder, RESPONDER)?;
    create(&connection).map_err(|e| said(folder, e))?;
    Ok(connection)
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
    noted.map_err(|e| said(folder, e))
}

fn said(folder: &Path, source: rusqlite::Error) -> OpenError {
    OpenError::Database {
        path: folder.join(RESPONDER),
        source,
    }
}
