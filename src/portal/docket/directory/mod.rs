//! The directory: who may be asked, by which ids others name them, which keys are theirs, how their machines are known.
//!
//! One id is one provider's: a second claim is refused, because it decides who is asked and whom an answer accuses. A key that is no longer used is retired
//! and stays, since answers of its time are checked with it. Of a token the SHA-256 is kept: it is random, so there is nothing to guess. Bound: [`PROVIDERS`].
//!
//! - `card`: what is said of a provider
//! - `key`: public keys
//! - `machine`: how a provider's machine is known
//! - `exchange`: the directory as a file

mod card;
mod exchange;
mod key;
mod machine;
#[cfg(test)]
mod tests;

use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde_json::json;

pub use card::{Card, Contact};
pub use exchange::{Directory, Entry, Imported};
pub use key::ProviderKey;

use super::{Docket, DocketError, Done, Fault, Result, Work};
use crate::base::Timestamp;
use crate::proof::Who;
use crate::traceback::deadline::DeadlineRule;

/// Most providers: more than twice those in the Robocall Mitigation Database (7,346 in January 2025).
pub const PROVIDERS: usize = 20_000;
/// The audit log's case of what serves none.
pub(super) const NO_CASE: &str = "-";

/// A provider with what the portal has made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// What is said of it.
    pub card: Card,
    /// Whether somebody of the portal has put it into the directory; else an answer has named it.
    pub listed: bool,
    /// Whether it may be asked, and its machine comes in.
    pub active: bool,
    /// Whether a token was made for its machine.
    pub has_token: bool,
    /// When it came in.
    pub created: Timestamp,
    /// When something of it changed last.
    pub changed: Timestamp,
}

impl Docket {
    /// Takes a provider into the directory. One that an answer has named already becomes a listed one, under its id.
    ///
    /// # Errors
    ///
    /// [`DocketError::Wrong`]; [`DocketError::Refused`] where the id, or another one, is somebody's.
    pub fn add_provider(&self, who: &Who, card: &Card, now: Timestamp) -> Result<()> {
        card.check()?;
        self.write(now, |w| w.add_provider(who, card))
    }

    /// Says everything anew of one that is there.
    ///
    /// # Errors
    ///
    /// [`DocketError::Absent`]; as [`Docket::add_provider`].
    pub fn change_provider(&self, who: &Who, card: &Card, now: Timestamp) -> Result<()> {
        card.check()?;
        self.write(now, |w| w.change_provider(who, card))
    }

    /// Suspends a provider, or takes it back: a suspended one is not asked, and its machine stays outside.
    ///
    /// # Errors
    ///
    /// [`DocketError::Absent`].
    pub fn suspend_provider(
        &self,
        who: &Who,
        id: &str,
        suspended: bool,
        now: Timestamp,
    ) -> Result<()> {
        self.write(now, |w| w.suspend_provider(who, id, suspended))
    }

    /// One provider.
    ///
    /// # Errors
    ///
    /// [`DocketError::Absent`].
    pub fn provider(&self, id: &str) -> Result<Provider> {
        self.read(|tx| provider(tx, id)?.ok_or(absent()))
    }

    /// All of them, by id.
    ///
    /// # Errors
    ///
    /// [`DocketError`].
    pub fn providers(&self) -> Result<Vec<Provider>> {
        self.read(|tx| {
            let mut all = tx.prepare_cached(&format!("{SELECT} ORDER BY id"))?;
            let rows = all.query_map([], of_row)?;
            let mut found = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            for one in &mut found {
                one.card.ocns = ocns(tx, &one.card)?;
            }
            Ok(found)
        })
    }

    /// Whose id it is, among all ids of all providers.
    ///
    /// # Errors
    ///
    /// [`DocketError`].
    pub fn provider_named(&self, other: &str) -> Result<Option<String>> {
        self.read(|tx| Ok(named(tx, other)?))
    }
}

/// Whose id it is.
pub(in crate::portal) fn named(
    tx: &Transaction<'_>,
    other: &str,
) -> rusqlite::Result<Option<String>> {
    tx.prepare_cached("SELECT provider FROM provider_id WHERE other = ?")?
        .query_row([other.to_uppercase()], |row| row.get(0))
        .optional()
}

pub(super) fn absent() -> Fault {
    DocketError::Absent("provider").into()
}

const SELECT: &str = "SELECT id, name, country, listed, active, rmd, frn, contact, push_url, deadline, time_zone, token_hash IS NOT NULL, certificate, created, changed FROM provider";

fn of_row(row: &Row<'_>) -> rusqlite::Result<Provider> {
    let text = |n: usize| row.get::<_, String>(n).map(Into::into);
    let perhaps = |n: usize| {
        let text = row.get::<_, Option<String>>(n);
        text.map(|t| t.map(Into::into))
    };
    Ok(Provider {
        card: Card {
            id: text(0)?,
            name: text(1)?,
            country: text(2)?,
            rmd: perhaps(5)?,
            frn: perhaps(6)?,
            ocns: Vec::new(),
            // Written by us; one of a later version has perhaps more.
            contact: serde_json::from_str(&row.get::<_, String>(7)?).unwrap_or_default(),
            push_url: perhaps(8)?,
            deadline: DeadlineRule::from_label(&row.get::<_, String>(9)?).unwrap_or_default(),
            time_zone: text(10)?,
            certificate: perhaps(12)?,
        },
        listed: row.get(3)?,
        active: row.get(4)?,
        has_token: row.get(11)?,
        created: Timestamp::from_nanos(row.get(13)?),
        changed: Timestamp::from_nanos(row.get(14)?),
    })
}

/// Ids that are neither its own, nor one of a registry.
fn ocns(tx: &Transaction<'_>, card: &Card) -> rusqlite::Result<Vec<std::sync::Arc<str>>> {
    let mut all =
        tx.prepare_cached("SELECT other FROM provider_id WHERE provider = ? ORDER BY other")?;
    let rows = all.query_map([&*card.id], |row| row.get::<_, String>(0))?;
    let known = [Some(&card.id), card.rmd.as_ref(), card.frn.as_ref()];
    let known: Vec<_> = known
        .into_iter()
        .flatten()
        .map(|k| k.to_uppercase())
        .collect();
    let mut found = Vec::new();
    for other in rows {
        let other = other?;
        if !known.contains(&other) {
            found.push(other.into());
        }
    }
    Ok(found)
}

/// One provider, within a transaction.
pub(in crate::portal) fn provider(tx: &Transaction<'_>, id: &str) -> Done<Option<Provider>> {
    let found = tx
        .prepare_cached(&format!("{SELECT} WHERE id = ?"))?
        .query_row([id], of_row)
        .optional()?;
    let Some(mut found) = found else {
        return Ok(None);
    };
    found.card.ocns = ocns(tx, &found.card)?;
    Ok(Some(found))
}

impl Work<'_> {
    /// See [`Docket::add_provider`].
    pub(in crate::portal) fn add_provider(&mut self, who: &Who, card: &Card) -> Done<()> {
        let before = provider(self.tx, &card.id)?;
        match &before {
            Some(p) if p.listed => {
                return Err(refused(format!("{} is in the directory already", card.id)));
            }
            Some(_) => {}
            None => {
                let n: i64 = self
                    .tx
                    .query_row("SELECT count(*) FROM provider", [], |row| row.get(0))?;
                if usize::try_from(n).unwrap_or(usize::MAX) >= PROVIDERS {
                    return Err(refused(format!(
                        "the directory is full: {PROVIDERS} providers"
                    )));
                }
                self.tx.execute(
                    "INSERT INTO provider (id, name, created, changed) VALUES (?, ?, ?, ?)",
                    params![card.id, card.name, self.now.nanos(), self.now.nanos()],
                )?;
            }
        }
        self.write_card(card)?;
        self.note(
            who,
            "provider added",
            NO_CASE,
            None,
            json!({ "provider": card.id, "name": card.name }),
        )?;
        self.touch(None, &[&card.id]);
        Ok(())
    }

    /// See [`Docket::change_provider`].
    pub(in crate::portal) fn change_provider(&mut self, who: &Who, card: &Card) -> Done<()> {
        let before = provider(self.tx, &card.id)?.ok_or(absent())?;
        self.write_card(card)?;
        // Perhaps it is reached now.
        self.next_head(&card.id)?;
        let fields = changed(&before.card, card);
        self.note(
            who,
            "provider changed",
            NO_CASE,
            None,
            json!({ "provider": card.id, "fields": fields }),
        )?;
        self.touch(None, &[&card.id]);
        Ok(())
    }

    fn write_card(&mut self, card: &Card) -> Done<()> {
        let contact = serde_json::to_string(&card.contact).unwrap_or_else(|_| "{}".to_owned());
        if let Some(certificate) = &card.certificate {
            let taken: bool = self.tx.query_row(
                "SELECT EXISTS (SELECT 1 FROM provider WHERE certificate = ? AND id <> ?)",
                params![machine::plain(certificate), card.id],
                |row| row.get(0),
            )?;
            if taken {
                return Err(refused(format!(
                    "another provider is known by the certificate {certificate}"
                )));
            }
        }
        self.tx
            .prepare_cached(
                "UPDATE provider SET name = ?, country = ?, listed = 1, rmd = ?, frn = ?, contact = ?, push_url = ?, deadline = ?, time_zone = ?,
                 certificate = ?, changed = ? WHERE id = ?",
            )?
            .execute(params![
                card.name,
                card.country,
                card.rmd,
                card.frn,
                contact,
                card.push_url,
                card.deadline.label(),
                card.time_zone,
                card.certificate.as_deref().map(machine::plain),
                self.now.nanos(),
                card.id
            ])?;
        self.tx
            .prepare_cached("DELETE FROM provider_id WHERE provider = ?")?
            .execute([&*card.id])?;
        for other in card.others() {
            if let Some(owner) = named(self.tx, &other)? {
                return Err(refused(format!("{other} is an id of {owner}")));
            }
            self.tx
                .prepare_cached("INSERT INTO provider_id (other, provider) VALUES (?, ?)")?
                .execute(params![other, card.id])?;
        }
        self.relisted(&card.id)
    }

    fn suspend_provider(&mut self, who: &Who, id: &str, suspended: bool) -> Done<()> {
        let n = self.tx.execute(
            "UPDATE provider SET active = ?, changed = ? WHERE id = ?",
            params![!suspended, self.now.nanos(), id],
        )?;
        if n == 0 {
            return Err(absent());
        }
        let act = match suspended {
            true => "provider suspended",
            false => "provider taken back",
        };
        self.next_head(id)?;
        self.note(who, act, NO_CASE, None, json!({ "provider": id }))?;
        self.touch(None, &[id]);
        self.relisted(id)
    }
}

pub(super) fn refused(what: String) -> Fault {
    DocketError::Refused(what).into()
}

/// Names of the fields that differ: the audit log keeps no copy of anybody's contact.
fn changed(before: &Card, now: &Card) -> Vec<&'static str> {
    let mut all = Vec::new();
    let mut look = |name, differs: bool| {
        if differs {
            all.push(name);
        }
    };
    look("name", before.name != now.name);
    look("country", before.country != now.country);
    look("rmd", before.rmd != now.rmd);
    look("frn", before.frn != now.frn);
    look("ocns", !before.others().eq(now.others()));
    look("contact", before.contact != now.contact);
    look("push_url", before.push_url != now.push_url);
    look("deadline", before.deadline != now.deadline);
    look("time_zone", before.time_zone != now.time_zone);
    look("certificate", before.certificate != now.certificate);
    all
}
