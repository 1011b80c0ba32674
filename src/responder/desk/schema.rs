//! The desk's tables in the responder's database.
//!
//! Times are nanoseconds since 1970, states and the like are the labels of [`crate::responder::case`]. The audit log has tables of its own in the same
//! file, so that an act and its line are one transaction.

use std::path::Path;

use rusqlite::Connection;

use super::{DeskError, Result};
use crate::proof::database::{self, RESPONDER};

/// What leads from each version to the next; only ever appended to.
const MIGRATIONS: [&str; 1] = ["
CREATE TABLE request (
    portal TEXT NOT NULL,
    id TEXT NOT NULL,
    case_id TEXT NOT NULL,
    way TEXT NOT NULL,
    octets BLOB NOT NULL,
    sha256 TEXT NOT NULL,
    state TEXT NOT NULL,
    open INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    received INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    due INTEGER NOT NULL,
    deadline TEXT NOT NULL,
    gives_up INTEGER NOT NULL,
    alarms INTEGER NOT NULL DEFAULT 0,
    alarm_at INTEGER,
    looks INTEGER NOT NULL DEFAULT 0,
    look_again INTEGER NOT NULL DEFAULT 0,
    turns INTEGER NOT NULL DEFAULT 0,
    reminders INTEGER NOT NULL DEFAULT 0,
    disputed INTEGER NOT NULL DEFAULT 0,
    answer TEXT,
    explanation BLOB,
    resolution TEXT,
    peer TEXT,
    produced_by TEXT,
    posterior REAL,
    note TEXT,
    matched_resolution TEXT,
    matched_peer TEXT,
    matched_certain INTEGER,
    said_resolution TEXT,
    said_peer TEXT,
    said_by TEXT,
    PRIMARY KEY (portal, id)
) STRICT;
CREATE INDEX request_open ON request (due, portal, id) WHERE open = 1;
CREATE INDEX request_due ON request (due, portal, id);
CREATE INDEX request_state ON request (portal, state);
CREATE INDEX request_case ON request (portal, case_id);
CREATE INDEX request_received ON request (priority DESC, due) WHERE state = 'received';
CREATE INDEX request_alarm ON request (alarm_at) WHERE alarm_at IS NOT NULL;
CREATE INDEX request_gives_up ON request (gives_up) WHERE state NOT IN ('closed', 'expired', 'withdrawn');
CREATE INDEX request_over ON request (changed) WHERE state IN ('closed', 'expired', 'withdrawn');
CREATE INDEX request_said ON request (portal) WHERE said_resolution IS NOT NULL;
CREATE TABLE answer (
    portal TEXT NOT NULL,
    id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    answer_id TEXT NOT NULL,
    body BLOB NOT NULL,
    peer TEXT,
    at INTEGER NOT NULL,
    delivered INTEGER,
    PRIMARY KEY (portal, id, revision),
    FOREIGN KEY (portal, id) REFERENCES request (portal, id) ON DELETE CASCADE
) STRICT;
CREATE TABLE parcel (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    portal TEXT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    key TEXT NOT NULL,
    body BLOB NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    made INTEGER NOT NULL,
    next_at INTEGER NOT NULL,
    leased INTEGER NOT NULL DEFAULT 0,
    due INTEGER,
    gives_up INTEGER NOT NULL,
    dropped INTEGER NOT NULL DEFAULT 0,
    why TEXT,
    UNIQUE (portal, kind, key)
) STRICT;
CREATE INDEX parcel_next ON parcel (portal, next_at);
CREATE INDEX parcel_subject ON parcel (portal, kind, subject);
CREATE TABLE report (
    portal TEXT NOT NULL,
    key TEXT NOT NULL,
    campaign TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (portal, key)
) STRICT;
CREATE INDEX report_at ON report (portal, at);
CREATE TABLE held (
    portal TEXT NOT NULL,
    peer TEXT NOT NULL,
    since INTEGER NOT NULL,
    why TEXT NOT NULL,
    PRIMARY KEY (portal, peer)
) STRICT;
CREATE TABLE halted (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    since INTEGER NOT NULL,
    who TEXT NOT NULL,
    why TEXT NOT NULL
) STRICT;
CREATE TABLE tally (
    portal TEXT NOT NULL,
    what TEXT NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (portal, what)
) STRICT;
"];

/// Opens the database, and brings it to this version.
pub(super) fn open(folder: &Path) -> Result<Connection> {
    let mut connection = database::open(folder, RESPONDER)?;
    let path = || folder.join(RESPONDER);
    connection.set_prepared_statement_cache_capacity(64);
    match database::migrate(&mut connection, &MIGRATIONS) {
        Ok(None) => Ok(connection),
        Ok(Some(found)) => Err(DeskError::Later {
            path: path(),
            found,
            known: database::version(&MIGRATIONS),
        }),
        Err(source) => Err(DeskError::Database {
            path: path(),
            source,
        }),
    }
}
