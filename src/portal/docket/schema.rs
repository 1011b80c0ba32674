//! The docket's tables.
//!
//! Times are nanoseconds since 1970, states and the like are the labels of [`crate::portal::word`]. The audit log has tables of its own in the same file.

use std::path::Path;

use rusqlite::Connection;

use super::{DocketError, Result};
use crate::proof::database::{self, PORTAL};

/// What leads from each version to the next; only ever appended to.
const MIGRATIONS: [&str; 1] = ["
-- Who may be asked. `listed` is 0 for one that only an answer has named.
CREATE TABLE provider (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    country TEXT NOT NULL DEFAULT 'US',
    listed INTEGER NOT NULL DEFAULT 1,
    active INTEGER NOT NULL DEFAULT 1,
    rmd TEXT,
    frn TEXT,
    contact TEXT NOT NULL DEFAULT '{}',      -- JSON: name, mail, phone, url
    push_url TEXT,                           -- where events are pushed to; none: pull
    deadline TEXT NOT NULL DEFAULT 'us-64.1200n',
    time_zone TEXT NOT NULL DEFAULT 'America/New_York',
    token_hash BLOB,                         -- SHA-256 of the token by which its machine is known
    certificate TEXT,                        -- name in its client certificate, or sha256:...
    created INTEGER NOT NULL,
    changed INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX provider_token ON provider (token_hash) WHERE token_hash IS NOT NULL;
CREATE UNIQUE INDEX provider_certificate ON provider (certificate) WHERE certificate IS NOT NULL;
-- Every id of a provider (its own, OCN or SPC, RMD, FRN), in upper case. One id is one provider's.
CREATE TABLE provider_id (
    other TEXT PRIMARY KEY,
    provider TEXT NOT NULL REFERENCES provider (id) ON DELETE CASCADE
) STRICT;
-- Public keys. One that is no longer used stays: answers of its time are checked with it.
CREATE TABLE provider_key (
    provider TEXT NOT NULL REFERENCES provider (id) ON DELETE CASCADE,
    kid TEXT NOT NULL,
    jwk TEXT NOT NULL,
    added INTEGER NOT NULL,
    retired INTEGER,
    PRIMARY KEY (provider, kid)
) STRICT;
CREATE TABLE user (
    name TEXT PRIMARY KEY,
    full_name TEXT NOT NULL,
    role TEXT NOT NULL,
    organisation TEXT NOT NULL DEFAULT '',
    provider TEXT REFERENCES provider (id),  -- of staff of a provider
    secret TEXT NOT NULL,                    -- Argon2id, PHC string
    disabled INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    locked_until INTEGER,
    created INTEGER NOT NULL
) STRICT;
CREATE TABLE session (
    hash BLOB PRIMARY KEY,                   -- SHA-256 of the cookie
    user TEXT NOT NULL REFERENCES user (name) ON DELETE CASCADE,
    csrf TEXT NOT NULL,
    created INTEGER NOT NULL,
    seen INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT;
CREATE INDEX session_expires ON session (expires);
CREATE TABLE campaign (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    category TEXT NOT NULL,
    summary TEXT NOT NULL DEFAULT '',
    created INTEGER NOT NULL,
    created_by TEXT NOT NULL
) STRICT;
-- A request for a traceback, and the case that comes of it.
CREATE TABLE trace (
    id TEXT PRIMARY KEY,                     -- TB-2026-000001
    state TEXT NOT NULL,
    outcome TEXT,
    priority INTEGER NOT NULL,               -- 0 routine, 1 tdos, 2 safety of life
    campaign INTEGER REFERENCES campaign (id),
    requester TEXT NOT NULL,                 -- user
    organisation TEXT NOT NULL,
    legal_basis TEXT NOT NULL DEFAULT '',
    evidence TEXT NOT NULL DEFAULT '',
    called TEXT NOT NULL,                    -- canonical
    calling TEXT,
    called_at INTEGER NOT NULL,
    call TEXT NOT NULL,                      -- JSON: the member `call` of a hop request
    first_provider TEXT NOT NULL REFERENCES provider (id),
    warnings TEXT NOT NULL DEFAULT '[]',     -- JSON: where it is outside the guidance
    ended_at TEXT REFERENCES provider (id),  -- originating, gateway, silent provider: whom the outcome is about
    originator TEXT,                         -- JSON Party: the caller, as far as named
    summary TEXT NOT NULL DEFAULT '',        -- what the finding is, in words
    hops INTEGER NOT NULL DEFAULT 0,         -- answered hops of the path
    verified INTEGER NOT NULL DEFAULT 0,     -- whether every step of the path holds, each answer signed by its provider
    vouched INTEGER NOT NULL DEFAULT 0,      -- hops of the path that were answered in the console
    closed_by TEXT,                          -- who closed it: 'walk', which may open it again, or a person
    opened INTEGER,
    changed INTEGER NOT NULL,
    closed INTEGER,
    created INTEGER NOT NULL
) STRICT;
CREATE INDEX trace_state ON trace (state, priority DESC, created);
-- Holds all that statistics read of a case, but for the caller's country.
CREATE INDEX trace_figures ON trace (created, state, outcome, hops, campaign, ended_at, closed);
CREATE INDEX trace_changed ON trace (changed, id);
CREATE INDEX trace_urgent ON trace (priority, created, id);
CREATE INDEX trace_calling ON trace (calling);
CREATE INDEX trace_campaign ON trace (campaign, created);
CREATE INDEX trace_called ON trace (called);
CREATE INDEX trace_requester ON trace (requester, created);
CREATE INDEX trace_organisation ON trace (organisation, created);
CREATE INDEX trace_ended ON trace (ended_at, outcome);
-- A hop question.
CREATE TABLE hop (
    id TEXT PRIMARY KEY,                     -- TB-2026-000001-03
    trace TEXT NOT NULL REFERENCES trace (id),
    n INTEGER NOT NULL,                      -- order in which they were asked
    depth INTEGER NOT NULL,                  -- hop_no: place on its path, from 1 on
    parent TEXT REFERENCES hop (id),         -- whose answer led here
    branch TEXT NOT NULL,
    provider TEXT NOT NULL REFERENCES provider (id),
    downstream TEXT REFERENCES provider (id),
    state TEXT NOT NULL,
    octets BLOB NOT NULL,                    -- the HopRequest as sent
    sha256 TEXT NOT NULL,
    previous_digest TEXT,
    issued INTEGER NOT NULL,
    due INTEGER NOT NULL,
    deadline TEXT NOT NULL,                  -- JSON
    overdue_at INTEGER,                      -- when it counts as non-responsive; none: over
    remind_at INTEGER,                       -- next reminder; none: no more
    reminders INTEGER NOT NULL DEFAULT 0,
    acked INTEGER,
    answered INTEGER,
    resolution TEXT,
    named TEXT,                              -- provider id that the current answer names
    answer TEXT,                             -- id of the current answer
    in_time INTEGER                          -- of an answered one
) STRICT;
CREATE UNIQUE INDEX hop_trace ON hop (trace, n);
CREATE INDEX hop_open ON hop (provider, state, issued);
CREATE INDEX hop_overdue ON hop (overdue_at) WHERE overdue_at IS NOT NULL;
CREATE INDEX hop_remind ON hop (remind_at) WHERE remind_at IS NOT NULL;
CREATE INDEX hop_state ON hop (state, issued);
-- Holds all that statistics read of a question.
CREATE INDEX hop_issued ON hop (issued, provider, state, answered, in_time);
CREATE INDEX hop_provider ON hop (provider, issued);
CREATE INDEX hop_named ON hop (named, answered) WHERE named IS NOT NULL;
CREATE INDEX hop_parent ON hop (parent) WHERE parent IS NOT NULL;
-- Every answer that came, also those that do not count.
CREATE TABLE answer (
    hop TEXT NOT NULL REFERENCES hop (id),
    id TEXT NOT NULL,                        -- the answer's UUID
    revision INTEGER NOT NULL,
    state TEXT NOT NULL,
    way TEXT NOT NULL,
    received INTEGER NOT NULL,
    by TEXT NOT NULL,                        -- provider:..., user:...
    octets BLOB NOT NULL,                    -- signed JSON as it came
    digest TEXT NOT NULL,                    -- SHA-256 of the compact JWS
    kid TEXT,
    resolution TEXT NOT NULL,
    named TEXT,
    wrong TEXT NOT NULL DEFAULT '[]',        -- JSON: what does not hold
    disputed_by TEXT,
    dispute TEXT,
    PRIMARY KEY (hop, id)
) STRICT;
-- A draft that a provider's machine shows its staff here: an answer that its own person may approve with one click.
CREATE TABLE draft (
    hop TEXT PRIMARY KEY REFERENCES hop (id),
    answer TEXT NOT NULL,
    octets BLOB NOT NULL,
    resolution TEXT NOT NULL,
    named TEXT,
    posterior REAL,
    received INTEGER NOT NULL,
    decided INTEGER,
    decided_by TEXT,
    decision TEXT                            -- approved, rejected
) STRICT;
-- What providers are told, in order. Pull reads it by `seq`; push works it off.
CREATE TABLE event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    provider TEXT NOT NULL REFERENCES provider (id),
    kind TEXT NOT NULL,
    trace TEXT NOT NULL,
    hop TEXT,
    data TEXT NOT NULL,                      -- JSON: the member `data`, octet by octet
    at INTEGER NOT NULL,
    push TEXT NOT NULL,
    next_try INTEGER,
    tries INTEGER NOT NULL DEFAULT 0,
    said TEXT
) STRICT;
CREATE INDEX event_provider ON event (provider, seq);
CREATE INDEX event_due ON event (next_try) WHERE push = 'due';
CREATE INDEX event_waits ON event (provider, seq) WHERE push = 'due';
CREATE INDEX event_given_up ON event (seq) WHERE push = 'given-up';
CREATE INDEX event_trace ON event (trace);
CREATE TABLE finding (
    id INTEGER PRIMARY KEY,
    trace TEXT NOT NULL REFERENCES trace (id),
    hop TEXT,
    kind TEXT NOT NULL,
    at INTEGER NOT NULL,
    text TEXT NOT NULL
) STRICT;
CREATE INDEX finding_trace ON finding (trace);
CREATE TABLE note (
    id INTEGER PRIMARY KEY,
    trace TEXT NOT NULL REFERENCES trace (id),
    at INTEGER NOT NULL,
    by TEXT NOT NULL,
    text TEXT NOT NULL
) STRICT;
CREATE INDEX note_trace ON note (trace);
CREATE TABLE attachment (
    id INTEGER PRIMARY KEY,
    trace TEXT NOT NULL REFERENCES trace (id),
    hop TEXT,
    at INTEGER NOT NULL,
    by TEXT NOT NULL,
    name TEXT NOT NULL,
    octets BLOB NOT NULL,
    sha256 TEXT NOT NULL
) STRICT;
CREATE INDEX attachment_trace ON attachment (trace);
-- Campaigns that providers report unasked.
CREATE TABLE report (
    provider TEXT NOT NULL REFERENCES provider (id),
    key TEXT NOT NULL,
    received INTEGER NOT NULL,
    octets BLOB NOT NULL,
    upstream TEXT,
    summary TEXT NOT NULL DEFAULT '',
    campaign INTEGER REFERENCES campaign (id),
    seen_by TEXT,
    PRIMARY KEY (provider, key)
) STRICT;
CREATE INDEX report_received ON report (received);
CREATE INDEX report_campaign ON report (campaign) WHERE campaign IS NOT NULL;
-- Running numbers: of cases, by year.
CREATE TABLE counter (
    name TEXT PRIMARY KEY,
    n INTEGER NOT NULL
) STRICT;
"];

/// Opens the database, and brings it to this version.
pub(super) fn open(folder: &Path) -> Result<Connection> {
    let mut connection = database::open(folder, PORTAL)?;
    let path = || folder.join(PORTAL);
    connection.set_prepared_statement_cache_capacity(128);
    match database::migrate(&mut connection, &MIGRATIONS) {
        Ok(None) => Ok(connection),
        Ok(Some(found)) => Err(DocketError::Later {
            path: path(),
            found,
            known: database::version(&MIGRATIONS),
        }),
        Err(source) => Err(DocketError::Database {
            path: path(),
            source,
        }),
    }
}

/// Opens it once more, to read.
pub(super) fn open_reader(folder: &Path) -> Result<Connection> {
    let connection = database::open_to_read(folder, PORTAL)?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_once_and_a_later_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        drop(open(folder.path()).unwrap());
        let again = open(folder.path()).unwrap();
        open_reader(folder.path()).unwrap();
        again.pragma_update(None, "user_version", 99).unwrap();
        let later = open(folder.path()).unwrap_err();
        assert!(
            matches!(later, DocketError::Later { found: 99, .. }),
            "{later}"
        );
    }
}
