//! One line as it is kept, and the octets of it that are hashed. docs/FORMATS.md says them for those who check with a program of their own.

use rusqlite::Row;
use serde_json::Value;
use serde_json::value::RawValue;

use super::Entry;
use crate::traceback::audit::Hash;

/// Columns, in the order of [`Line::read`].
pub(super) const SELECT: &str =
    "SELECT idx, at, who, act, case_id, request, detail, leaf FROM audit";
/// Version of the octets that are hashed; it stands in front of them.
const VERSION: &str = "1";

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Line {
    /// Its place, from 0 on.
    pub index: u64,
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// Who.
    pub who: String,
    /// What was done.
    pub act: String,
    /// The case that it served.
    pub case_id: String,
    /// The request, where there is one.
    pub request: Option<String>,
    /// Further facts: JSON, as it is hashed.
    #[serde(serialize_with = "as_json")]
    pub detail: String,
    /// The hash as it is kept.
    #[serde(skip)]
    pub leaf: Hash,
}

impl Line {
    pub(super) fn new(index: u64, entry: &Entry<'_>) -> Self {
        let mut line = Self {
            index,
            at: entry.at.to_string(),
            who: entry.who.to_string(),
            act: entry.act.to_owned(),
            case_id: entry.case_id.to_owned(),
            request: entry.request.map(str::to_owned),
            detail: entry.detail.to_string(),
            leaf: [0; 32],
        };
        line.leaf = line.hash();
        line
    }

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let index: i64 = row.get(0)?;
        Ok(Self {
            index: u64::try_from(index)
                .map_err(|_| rusqlite::Error::IntegralValueOutOfRange(0, index))?,
            at: row.get(1)?,
            who: row.get(2)?,
            act: row.get(3)?,
            case_id: row.get(4)?,
            request: row.get(5)?,
            detail: row.get(6)?,
            leaf: row.get(7)?,
        })
    }

    /// The octets that are hashed: each field as a netstring (`length:octets,`), a request that is not there as `-,`.
    pub fn octets(&self) -> Vec<u8> {
        let index = self.index.to_string();
        let fields = [
            Some(VERSION),
            Some(&index),
            Some(&self.at),
            Some(&self.who),
            Some(&self.act),
            Some(&self.case_id),
            self.request.as_deref(),
            Some(&self.detail),
        ];
        let mut out = Vec::with_capacity(256);
        for field in fields {
            match field {
                Some(text) => {
                    out.extend_from_slice(text.len().to_string().as_bytes());
                    out.push(b':');
                    out.extend_from_slice(text.as_bytes());
                }
                None => out.push(b'-'),
            }
            out.push(b',');
        }
        out
    }

    /// The hash that the line must have.
    pub fn hash(&self) -> Hash {
        crate::traceback::audit::leaf(&self.octets())
    }

    /// The further facts, read.
    pub fn facts(&self) -> Value {
        serde_json::from_str(&self.detail).unwrap_or_default()
    }
}

fn as_json<S: serde::Serializer>(detail: &str, s: S) -> Result<S::Ok, S::Error> {
    match serde_json::from_str::<&RawValue>(detail) {
        Ok(raw) => serde::Serialize::serialize(raw, s),
        Err(_) => s.serialize_str(detail),
    }
}
