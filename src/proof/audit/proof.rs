//! Proofs out of the log, as JSON that anybody can check with RFC 9162 in hand.

use rusqlite::Connection;
use serde::{Serialize, Serializer};

use super::{Kept, hex, size};
use crate::traceback::audit::{self, Hash, Nodes};

/// Shows that a line is in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inclusion {
    /// Place of the line.
    pub index: u64,
    /// Its hash.
    #[serde(serialize_with = "one")]
    pub leaf: Hash,
    /// How many lines the tree has.
    pub size: u64,
    /// Its root.
    #[serde(serialize_with = "one")]
    pub root: Hash,
    /// Hashes beside the way from the line to the root, from below.
    #[serde(serialize_with = "many")]
    pub path: Vec<Hash>,
}

/// Shows that the log only went on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Consistency {
    /// How many lines the earlier tree has.
    pub first: u64,
    /// Its root.
    #[serde(serialize_with = "one")]
    pub first_root: Hash,
    /// How many lines the later tree has.
    pub second: u64,
    /// Its root.
    #[serde(serialize_with = "one")]
    pub second_root: Hash,
    /// The hashes of the proof.
    #[serde(serialize_with = "many")]
    pub path: Vec<Hash>,
}

/// Proves that a line is in the tree of the first `of` lines; `None` for `of` means all that there are. Gives nothing when there is no
/// such line or tree.
///
/// # Errors
///
/// What the database says.
pub fn inclusion(
    connection: &Connection,
    index: u64,
    of: Option<u64>,
) -> rusqlite::Result<Option<Inclusion>> {
    let all = size(connection)?;
    let of = of.unwrap_or(all);
    if of > all {
        return Ok(None);
    }
    let kept = Kept(connection);
    let Some(path) = audit::inclusion(&kept, index, of)? else {
        return Ok(None);
    };
    Ok(Some(Inclusion {
        index,
        leaf: kept.node(0, index)?,
        size: of,
        root: audit::root(&kept, of)?,
        path,
    }))
}

/// Proves that the tree of `second` lines goes on from that of `first` lines; without `second` the tree of all. Gives nothing when there
/// are no such trees.
///
/// # Errors
///
/// What the database says.
pub fn consistency(
    connection: &Connection,
    first: u64,
    second: Option<u64>,
) -> rusqlite::Result<Option<Consistency>> {
    let all = size(connection)?;
    let second = second.unwrap_or(all);
    if second > all {
        return Ok(None);
    }
    let kept = Kept(connection);
    let Some(path) = audit::consistency(&kept, first, second)? else {
        return Ok(None);
    };
    Ok(Some(Consistency {
        first,
        first_root: audit::root(&kept, first)?,
        second,
        second_root: audit::root(&kept, second)?,
        path,
    }))
}

fn one<S: Serializer>(hash: &Hash, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(&hex(hash))
}

fn many<S: Serializer>(hashes: &[Hash], s: S) -> Result<S::Ok, S::Error> {
    s.collect_seq(hashes.iter().map(hex))
}
