//! Heads of the tree: how many lines there are, their root, and when. Signed, so that one that is kept elsewhere shows later whether
//! anything before it was changed or cut off.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{Kept, hex, unhex, whole};
use crate::base::Timestamp;
use crate::proof::sign::{Flaw, Kind, Opened, Signed, Signer, Verifier};
use crate::traceback::audit::{self, Hash};

/// A head is signed so long after the one before, if there are new lines. Ours: what may be rewritten unseen is an hour, at most.
pub const EVERY: Duration = Duration::from_secs(3600);
/// And after so many lines. Ours.
pub const EVERY_LINES: u64 = 1000;

/// A head.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TreeHead {
    /// How many lines.
    pub size: u64,
    /// The root over them.
    #[serde(with = "as_hex")]
    pub root: Hash,
    /// When it was made.
    pub at: Timestamp,
}

impl TreeHead {
    /// The head as of now.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub fn of(connection: &Connection, now: Timestamp) -> rusqlite::Result<Self> {
        let size = super::size(connection)?;
        Ok(Self {
            size,
            root: audit::root(&Kept(connection), size)?,
            at: now,
        })
    }

    /// Reads a signed head that somebody kept.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn open(signed: &[u8], verifier: &Verifier) -> Result<(Self, Opened), Flaw> {
        let opened = verifier.open(signed, Kind::TreeHead)?;
        let head = serde_json::from_slice(&opened.payload)
            .map_err(|_| Flaw::Malformed("it is no head of an audit log"))?;
        Ok((head, opened))
    }
}

/// Signs the head as of now and keeps it. The last one comes again where nothing was written since.
///
/// # Errors
///
/// What the database says, or why it can't be signed.
pub fn keep(
    transaction: &Transaction<'_>,
    signer: &Signer,
    now: Timestamp,
) -> rusqlite::Result<Signed> {
    let head = TreeHead::of(transaction, now)?;
    if let Some(signed) = at(transaction, head.size)? {
        return Ok(signed);
    }
    let signed = signer
        .sign_value(Kind::TreeHead, &head)
        .map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))?;
    transaction.execute(
        "INSERT INTO audit_head (size, at, root, signed) VALUES (?, ?, ?, ?)",
        params![
            whole(head.size)?,
            now.to_string(),
            head.root,
            String::from_utf8_lossy(&signed.json)
        ],
    )?;
    Ok(signed)
}

/// Signs and keeps a head if it is time: an hour after the last one, or a thousand lines.
///
/// # Errors
///
/// As [`keep`].
pub fn keep_if_due(
    transaction: &Transaction<'_>,
    signer: &Signer,
    now: Timestamp,
) -> rusqlite::Result<Option<Signed>> {
    let size = super::size(transaction)?;
    let due = match last(transaction)? {
        None => size > 0,
        Some(head) => {
            let new = size.saturating_sub(head.size);
            // A clock that was set back must not put it off for ever.
            new >= EVERY_LINES || (new > 0 && now.distance(head.at) >= EVERY)
        }
    };
    due.then(|| keep(transaction, signer, now)).transpose()
}

/// The last head that was signed.
///
/// # Errors
///
/// What the database says.
pub fn last(connection: &Connection) -> rusqlite::Result<Option<TreeHead>> {
    connection
        .prepare_cached("SELECT size, at, root FROM audit_head ORDER BY size DESC LIMIT 1")?
        .query_row([], |row| {
            let (size, at): (i64, String) = (row.get(0)?, row.get(1)?);
            Ok(TreeHead {
                size: u64::try_from(size).unwrap_or(0),
                root: row.get(2)?,
                at: Timestamp::parse_rfc3339(&at).unwrap_or(Timestamp::MIN),
            })
        })
        .optional()
}

/// The last head, as it was signed.
///
/// # Errors
///
/// What the database says.
pub fn last_signed(connection: &Connection) -> rusqlite::Result<Option<Signed>> {
    match last(connection)? {
        Some(head) => at(connection, head.size),
        None => Ok(None),
    }
}

/// Heads that were signed, with the size of their trees, the smallest first.
///
/// # Errors
///
/// What the database says.
pub fn all(connection: &Connection) -> rusqlite::Result<Vec<(u64, Hash, Signed)>> {
    connection
        .prepare_cached("SELECT size, root, signed FROM audit_head ORDER BY size")?
        .query_map([], |row| {
            let size: i64 = row.get(0)?;
            let signed = signed(row.get(2)?);
            Ok((u64::try_from(size).unwrap_or(0), row.get(1)?, signed))
        })?
        .collect()
}

fn at(connection: &Connection, size: u64) -> rusqlite::Result<Option<Signed>> {
    connection
        .prepare_cached("SELECT signed FROM audit_head WHERE size = ?")?
        .query_row([whole(size)?], |row| Ok(signed(row.get(0)?)))
        .optional()
}

fn signed(json: String) -> Signed {
    let jws = serde_json::from_str::<serde_json::Value>(&json)
        .ok()
        .and_then(|v| Some(v.get("jws")?.as_str()?.to_owned()))
        .unwrap_or_default();
    Signed {
        json: json.into_bytes(),
        jws,
    }
}

mod as_hex {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::{Hash, hex, unhex};

    pub fn serialize<S: Serializer>(hash: &Hash, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&hex(hash))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Hash, D::Error> {
        let text = <std::borrow::Cow<'_, str>>::deserialize(d)?;
        unhex(&text).ok_or_else(|| serde::de::Error::custom("no hash of 64 hexadecimal digits"))
    }
}
