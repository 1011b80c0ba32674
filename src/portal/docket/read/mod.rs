//! What pages, exports and machines look at. Each look is one transaction that changes nothing, bounded in rows.
//!
//! - [`cases`], [`case`]: the list of cases, and one of them
//! - [`inbox`]: a provider's own questions
//! - [`statistics`]: figures of a span
//! - [`campaign`]: campaigns, and reports that came unasked
//! - [`directory`]: providers and their keys
//! - [`audit`]: the log

pub mod audit;
pub mod campaign;
pub mod case;
pub mod cases;
pub mod directory;
#[cfg(test)]
pub(crate) mod filler;
pub mod inbox;
mod spread;
pub mod statistics;
#[cfg(test)]
mod tests;

use rusqlite::Row;
use rusqlite::types::Type;

use crate::base::Timestamp;

/// From a time on, up to and without another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Span {
    /// From here on.
    pub from: Timestamp,
    /// Before that.
    pub to: Timestamp,
}

/// A provider as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ProviderName {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// A count: SQLite's integers have a sign.
fn whole(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

fn time(row: &Row<'_>, at: usize) -> rusqlite::Result<Timestamp> {
    row.get(at).map(Timestamp::from_nanos)
}

fn maybe_time(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Timestamp>> {
    let nanos: Option<i64> = row.get(at)?;
    Ok(nanos.map(Timestamp::from_nanos))
}

/// A word of ours. Another one in the database is an error: a later version was here.
fn word<T>(row: &Row<'_>, at: usize, of: impl Fn(&str) -> Option<T>) -> rusqlite::Result<T> {
    let text: String = row.get(at)?;
    of(&text).ok_or_else(|| {
        let what = format!("{text:?} is no word of this version");
        rusqlite::Error::FromSqlConversionFailure(at, Type::Text, what.into())
    })
}

fn maybe_word<T>(
    row: &Row<'_>,
    at: usize,
    of: impl Fn(&str) -> Option<T>,
) -> rusqlite::Result<Option<T>> {
    match row.get_ref(at)? {
        rusqlite::types::ValueRef::Null => Ok(None),
        _ => word(row, at, of).map(Some),
    }
}

fn named(row: &Row<'_>, id: usize, name: usize) -> rusqlite::Result<Option<ProviderName>> {
    let Some(id) = row.get::<_, Option<String>>(id)? else {
        return Ok(None);
    };
    let name: Option<String> = row.get(name)?;
    Ok(Some(ProviderName {
        name: name.unwrap_or_else(|| id.clone()),
        id,
    }))
}
