//! Whom a name means: the directory, as the acts on cases look into it.

use rusqlite::{OptionalExtension, Row, params};

use super::work::{Done, Work};
use crate::traceback::answer::Party;
use crate::traceback::request::{MAX_IDS, MAX_TEXT, ProviderIds};
use crate::traceback::walk::WalkProvider;

/// What the id of a provider begins with that only an answer has named.
pub(super) const STUB: &str = "unlisted:";
/// Longest name within such an id, in characters. Ours.
const STUB_NAME: usize = 80;

/// A provider, as the acts on cases need it.
#[derive(Clone, Debug)]
pub(super) struct ProviderRow {
    pub id: Box<str>,
    pub name: Box<str>,
    pub listed: bool,
    pub active: bool,
    pub pushed: bool,
    pub deadline: Box<str>,
    pub time_zone: Box<str>,
}

impl ProviderRow {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            name: row.get(1)?,
            listed: row.get(2)?,
            active: row.get(3)?,
            pushed: row.get(4)?,
            deadline: row.get(5)?,
            time_zone: row.get(6)?,
        })
    }

    /// Whether it can be asked.
    pub fn can_be_asked(&self) -> bool {
        self.listed && self.active
    }
}

impl Work<'_> {
    /// A provider by its id here.
    pub(super) fn provider(&self, id: &str) -> Done<Option<ProviderRow>> {
        let mut found = self.tx.prepare_cached(
            "SELECT id, name, listed, active, push_url IS NOT NULL, deadline, time_zone FROM provider WHERE id = ?",
        )?;
        Ok(found.query_row([id], ProviderRow::of).optional()?)
    }

    /// A provider by its id here, or by any other id of it.
    pub(super) fn provider_by(&self, id: &str) -> Done<Option<ProviderRow>> {
        let id = id.trim();
        if id.is_empty() {
            return Ok(None);
        }
        if let Some(found) = self.provider(id)? {
            return Ok(Some(found));
        }
        let mut other = self
            .tx
            .prepare_cached("SELECT provider FROM provider_id WHERE other = ?")?;
        let here: Option<Box<str>> = other
            .query_row([id.to_uppercase()], |row| row.get(0))
            .optional()?;
        match here {
            Some(here) => self.provider(&here),
            None => Ok(None),
        }
    }

    /// The ids under which others know a provider, and its name.
    pub(super) fn ids_of(&self, provider: &ProviderRow) -> Done<ProviderIds> {
        let mut others = self
            .tx
            .prepare_cached("SELECT other FROM provider_id WHERE provider = ? ORDER BY other")?;
        let mut provider_ids = vec![provider.id.to_string()];
        for other in others.query_map([&*provider.id], |row| row.get::<_, String>(0))? {
            let other = other?;
            if !other.eq_ignore_ascii_case(&provider.id) {
                provider_ids.push(other);
            }
        }
        provider_ids.truncate(MAX_IDS);
        Ok(ProviderIds {
            provider_ids,
            name: Some(provider.name.to_string()),
        })
    }

    /// The provider that a party is. Ids count, a name alone can be read in too many ways. One that is not in the directory gets a row there that says so.
    /// Two ids of two providers are refused: why.
    pub(super) fn named(&self, party: &Party) -> Done<std::result::Result<WalkProvider, String>> {
        let ids = [&party.portal_id, &party.ocn, &party.rmd, &party.frn];
        let ids = || ids.into_iter().flatten().filter(|i| !i.trim().is_empty());
        let mut found: Option<ProviderRow> = None;
        for id in ids() {
            let Some(one) = self.provider_by(id)? else {
                continue;
            };
            if found.as_ref().is_some_and(|f| f.id != one.id) {
                return Ok(Err(format!(
                    "the ids that it names belong to two providers, {} and {}",
                    found.map_or_else(|| "?".into(), |f| f.id),
                    one.id
                )));
            }
            found = Some(one);
        }
        if let Some(found) = found {
            return Ok(Ok(WalkProvider {
                listed: found.can_be_asked(),
                id: found.id,
            }));
        }
        let name = ids().next().unwrap_or(&party.name).trim();
        let plain = name.chars().filter(|c| !c.is_control());
        let id: String = STUB.chars().chain(plain.take(STUB_NAME)).collect();
        self.tx.execute(
            "INSERT OR IGNORE INTO provider (id, name, country, listed, active, created, changed) VALUES (?, ?, ?, 0, 1, ?, ?)",
            params![
                id,
                party.name.chars().take(MAX_TEXT).collect::<String>(),
                party.country.chars().take(2).collect::<String>(),
                self.now.nanos(),
                self.now.nanos()
            ],
        )?;
        Ok(Ok(WalkProvider {
            listed: false,
            id: id.into(),
        }))
    }
}
