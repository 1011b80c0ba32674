//! Providers: who they are, how they are reached, which keys they sign with. No token, and no hash of one, ever leaves here.

use rusqlite::{OptionalExtension, Row, params};
use serde_json::Value;

use super::{maybe_time, time};
use crate::base::Timestamp;
use crate::portal::docket::{Docket, DocketError, Result};

/// Most providers of a page.
pub const MOST_PROVIDERS: usize = 500;
/// Most names that a form offers: the Robocall Mitigation Database had 7,346 in January 2025 (traceback.md §10), and a page has to stay below 200 KB; of the others one types the id.
const MOST_OFFERED: i64 = 1000;
/// Most keys and ids that are shown.
const MOST_KEYS: i64 = 100;

/// A provider, in short.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ProviderLine {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// ISO 3166 country code.
    pub country: String,
    /// Whether it is in the directory; one that is not was only named.
    pub listed: bool,
    /// Whether it may be asked.
    pub active: bool,
    /// Whether events are pushed to it.
    pub pushed: bool,
    /// How many of its keys are in use.
    pub keys: u32,
    /// Questions that wait for it.
    pub open: u32,
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct KeyLine {
    /// Its name.
    pub kid: String,
    /// When it was added.
    pub added: Timestamp,
    /// Since when it is no longer used.
    pub retired: Option<Timestamp>,
}

/// All about a provider.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ProviderPage {
    /// In short.
    #[serde(flatten)]
    pub line: ProviderLine,
    /// Number in the Robocall Mitigation Database.
    pub rmd: Option<String>,
    /// FCC registration number.
    pub frn: Option<String>,
    /// Its other ids.
    pub ids: Vec<String>,
    /// Whom to write to: name, mail, phone, url.
    pub contact: Value,
    /// Where events are pushed to.
    pub push_url: Option<String>,
    /// Its rule of deadlines.
    pub deadline: String,
    /// Where it is, for the rule.
    pub time_zone: String,
    /// Whether its machine has a token.
    pub token: bool,
    /// The client certificate by which its machine is known.
    pub certificate: Option<String>,
    /// Its keys.
    pub public_keys: Vec<KeyLine>,
    /// When it was added.
    pub created: Timestamp,
    /// When it was changed.
    pub changed: Timestamp,
}

const LINE: &str = "p.id, p.name, p.country, p.listed, p.active, p.push_url IS NOT NULL,
    (SELECT count(*) FROM provider_key WHERE provider = p.id AND retired IS NULL),
    (SELECT count(*) FROM hop WHERE provider = p.id AND state IN ('asked', 'acknowledged', 'needs-info', 'disputed'))";

impl Docket {
    /// Providers by name, from one on. `text` is looked for in ids and names.
    ///
    /// # Errors
    ///
    /// The database.
    pub fn provider_lines(
        &self,
        text: Option<&str>,
        after: Option<&str>,
        most: usize,
    ) -> Result<Vec<ProviderLine>> {
        let sql = format!(
            "SELECT {LINE} FROM provider p WHERE (?1 IS NULL OR instr(lower(p.name), ?1) OR instr(lower(p.id), ?1)
                 OR EXISTS (SELECT 1 FROM provider_id WHERE provider = p.id AND instr(lower(other), ?1)))
                 AND (?2 IS NULL OR (lower(p.name), p.id) > (SELECT lower(name), id FROM provider WHERE id = ?2))
             ORDER BY lower(p.name), p.id LIMIT ?3"
        );
        let text = text.map(str::to_ascii_lowercase);
        let most = i64::try_from(most.min(MOST_PROVIDERS)).unwrap_or(1);
        self.read(|tx| {
            let mut statement = tx.prepare_cached(&sql)?;
            let lines = statement.query_map(params![text, after, most], line)?;
            Ok(lines.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Id, name and country of those that a form offers.
    ///
    /// # Errors
    ///
    /// The database.
    pub fn offered(&self) -> Result<Vec<(String, String, String)>> {
        self.read(|tx| {
            let mut statement = tx.prepare_cached(
                "SELECT id, name, country FROM provider WHERE listed ORDER BY lower(name), id LIMIT ?",
            )?;
            let rows = statement.query_map([MOST_OFFERED], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// The provider that somebody means by its id, one of its other ids, or its whole name where only one bears it.
    ///
    /// # Errors
    ///
    /// The database.
    pub fn meant(&self, text: &str) -> Result<Option<String>> {
        let text = text.trim();
        self.read(|tx| {
            let mut statement = tx.prepare_cached(
                "SELECT id FROM provider WHERE id = ?1 UNION SELECT provider FROM provider_id WHERE other = upper(?1) LIMIT 2",
            )?;
            let mut found = statement.query_map([text], |row| row.get(0))?;
            if let Some(id) = found.next() {
                return Ok(Some(id?));
            }
            let mut statement = tx.prepare_cached(
                "SELECT id FROM provider WHERE listed AND lower(name) = lower(?1) LIMIT 2",
            )?;
            let found: Vec<String> = statement
                .query_map([text], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            Ok(match <[String; 1]>::try_from(found) {
                Ok([only]) => Some(only),
                Err(_) => None,
            })
        })
    }

    /// All about a provider.
    ///
    /// # Errors
    ///
    /// [`DocketError::Absent`].
    pub fn provider_page(&self, id: &str) -> Result<ProviderPage> {
        let sql = format!(
            "SELECT {LINE}, p.rmd, p.frn, p.contact, p.push_url, p.deadline, p.time_zone, p.token_hash IS NOT NULL, p.certificate, p.created, p.changed
             FROM provider p WHERE p.id = ?"
        );
        self.read(|tx| {
            let found = tx
                .prepare_cached(&sql)?
                .query_row([id], |row| {
                    let contact: String = row.get(10)?;
                    Ok(ProviderPage {
                        line: line(row)?,
                        rmd: row.get(8)?,
                        frn: row.get(9)?,
                        ids: Vec::new(),
                        contact: serde_json::from_str(&contact).unwrap_or_default(),
                        push_url: row.get(11)?,
                        deadline: row.get(12)?,
                        time_zone: row.get(13)?,
                        token: row.get(14)?,
                        certificate: row.get(15)?,
                        public_keys: Vec::new(),
                        created: time(row, 16)?,
                        changed: time(row, 17)?,
                    })
                })
                .optional()?;
            let mut page = found.ok_or(DocketError::Absent("provider"))?;
            let mut statement = tx.prepare_cached(
                "SELECT other FROM provider_id WHERE provider = ? ORDER BY other LIMIT ?",
            )?;
            let ids = statement.query_map(params![id, MOST_KEYS], |row| row.get(0))?;
            page.ids = ids.collect::<rusqlite::Result<_>>()?;
            let mut statement = tx.prepare_cached(
                "SELECT kid, added, retired FROM provider_key WHERE provider = ? ORDER BY retired IS NOT NULL, added DESC LIMIT ?",
            )?;
            let keys = statement.query_map(params![id, MOST_KEYS], |row| {
                Ok(KeyLine {
                    kid: row.get(0)?,
                    added: time(row, 1)?,
                    retired: maybe_time(row, 2)?,
                })
            })?;
            page.public_keys = keys.collect::<rusqlite::Result<_>>()?;
            Ok(page)
        })
    }
}

fn line(row: &Row<'_>) -> rusqlite::Result<ProviderLine> {
    Ok(ProviderLine {
        id: row.get(0)?,
        name: row.get(1)?,
        country: row.get(2)?,
        listed: row.get(3)?,
        active: row.get(4)?,
        pushed: row.get(5)?,
        keys: row.get(6)?,
        open: row.get(7)?,
    })
}
