//! Public keys of providers, added from a key, from a key set, or from the document at `/.well-known/traceback-provider`.

use rusqlite::{OptionalExtension, Transaction, params};
use serde_json::{Value, json};

use super::super::{Docket, DocketError, Done, Problem, Result, Work};
use super::{NO_CASE, absent, provider, refused};
use crate::base::Timestamp;
use crate::proof::Who;
use crate::proof::sign::Verifier;

/// Most keys of one provider, retired ones too: a change a month for years.
const KEYS: usize = 100;
/// Largest key as a JWK: one of P-256 has some 250 octets.
const JWK: usize = 2048;

/// A key of a provider.
#[derive(Clone, Debug, PartialEq)]
pub struct ProviderKey {
    /// Its name.
    pub kid: String,
    /// The key.
    pub jwk: Value,
    /// When it was added.
    pub added: Timestamp,
    /// From when on nothing new may be signed with it.
    pub retired: Option<Timestamp>,
}

impl Docket {
    /// Adds the keys of a set to those of a provider. One that is there stays as it is; one that was retired comes back only under another name. Gives how
    /// many are new.
    ///
    /// # Errors
    ///
    /// [`DocketError::Absent`]; [`DocketError::Wrong`] where it is no set, holds no key that we can use, or the private part of one.
    pub fn add_keys(&self, who: &Who, id: &str, set: &[u8], now: Timestamp) -> Result<usize> {
        self.write(now, |w| w.add_keys(who, id, set))
    }

    /// Retires a key: nothing that comes from now on may be signed with it, and what came before still holds.
    ///
    /// # Errors
    ///
    /// [`DocketError::Absent`].
    pub fn retire_key(&self, who: &Who, id: &str, kid: &str, now: Timestamp) -> Result<()> {
        self.write(now, |w| {
            let n = w.tx.execute(
                "UPDATE provider_key SET retired = ? WHERE provider = ? AND kid = ? AND retired IS NULL",
                params![w.now.nanos(), id, kid],
            )?;
            if n == 0 {
                return Err(DocketError::Absent("key").into());
            }
            let detail = json!({ "provider": id, "kid": kid });
            w.note(who, "key retired", NO_CASE, None, detail)?;
            Ok(())
        })
    }

    /// Keys of a provider, the oldest first.
    ///
    /// # Errors
    ///
    /// [`DocketError`].
    pub fn keys_of(&self, id: &str) -> Result<Vec<ProviderKey>> {
        self.read(|tx| keys(tx, id))
    }

    /// Checks what comes now from a provider, with its keys alone.
    ///
    /// # Errors
    ///
    /// [`DocketError`].
    pub fn verifier_of(&self, id: &str) -> Result<Verifier> {
        self.read(|tx| verifier(tx, id, false))
    }

    /// Checks what a provider has ever signed.
    ///
    /// # Errors
    ///
    /// [`DocketError`].
    pub fn verifier_of_all_times(&self, id: &str) -> Result<Verifier> {
        self.read(|tx| verifier(tx, id, true))
    }
}

/// Checks what a provider signed; with `ever` also by keys that were retired since.
pub(in crate::portal) fn verifier(tx: &Transaction<'_>, id: &str, ever: bool) -> Done<Verifier> {
    let mut verifier = Verifier::default();
    let keys = keys(tx, id)?;
    let keys = keys.iter().filter(|k| ever || k.retired.is_none());
    let set = json!({ "keys": keys.map(|k| &k.jwk).collect::<Vec<_>>() }).to_string();
    verifier
        .add(set.as_bytes(), Some(id))
        .map_err(|why| refused(format!("keys of {id}: {why}")))?;
    Ok(verifier)
}

pub(super) fn keys(tx: &Transaction<'_>, id: &str) -> Done<Vec<ProviderKey>> {
    let mut all = tx.prepare_cached(
        "SELECT kid, jwk, added, retired FROM provider_key WHERE provider = ? ORDER BY added, kid",
    )?;
    let rows = all.query_map([id], |row| {
        let jwk: String = row.get(1)?;
        let retired: Option<i64> = row.get(3)?;
        Ok(ProviderKey {
            kid: row.get(0)?,
            // Written by us.
            jwk: serde_json::from_str(&jwk).unwrap_or_default(),
            added: Timestamp::from_nanos(row.get(2)?),
            retired: retired.map(Timestamp::from_nanos),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn wrong(wanted: impl Into<String>) -> DocketError {
    DocketError::Wrong(vec![Problem {
        field: "keys",
        wanted: wanted.into(),
    }])
}

impl Work<'_> {
    /// See [`Docket::add_keys`].
    pub(in crate::portal) fn add_keys(&mut self, who: &Who, id: &str, set: &[u8]) -> Done<usize> {
        provider(self.tx, id)?.ok_or(absent())?;
        let mut added = Vec::new();
        for (kid, jwk) in usable(set, id)? {
            let there: Option<(String, Option<i64>)> = self
                .tx
                .prepare_cached(
                    "SELECT jwk, retired FROM provider_key WHERE provider = ? AND kid = ?",
                )?
                .query_row(params![id, kid], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            match there {
                // A provider publishes an old key beside the new one for a while: it stays retired here.
                Some((there, _)) if there == jwk => continue,
                Some(_) => {
                    return Err(
                        wrong(format!("another name: {kid:?} is another key of {id}")).into(),
                    );
                }
                None => {}
            }
            self.tx
                .prepare_cached(
                    "INSERT INTO provider_key (provider, kid, jwk, added) VALUES (?, ?, ?, ?)",
                )?
                .execute(params![id, kid, jwk, self.now.nanos()])?;
            added.push(kid);
        }
        let n: i64 = self.tx.query_row(
            "SELECT count(*) FROM provider_key WHERE provider = ?",
            [id],
            |row| row.get(0),
        )?;
        if usize::try_from(n).unwrap_or(usize::MAX) > KEYS {
            return Err(wrong(format!("{KEYS} keys at most, retired ones too")).into());
        }
        if !added.is_empty() {
            let detail = json!({ "provider": id, "kids": added });
            self.note(who, "keys added", NO_CASE, None, detail)?;
            self.touch(None, &[id]);
        }
        Ok(added.len())
    }
}

/// Keys of a set that can check a signature, each with its name, public members alone and in one order.
fn usable(set: &[u8], id: &str) -> Result<Vec<(String, String)>> {
    let document: Value =
        serde_json::from_slice(set).map_err(|_| wrong("a JWK set (RFC 7517), as JSON"))?;
    // A key alone, as `tracehop answer key` shows it, is a set of one.
    let alone = document.get("kty").map(|_| json!({ "keys": [document] }));
    let document = alone.as_ref().unwrap_or(&document);
    let set = document.get("jwks").unwrap_or(document);
    let keys = set.get("keys").and_then(Value::as_array);
    let keys = keys.ok_or_else(|| wrong("a JWK set: an object with a member \"keys\""))?;
    let mut usable = Vec::new();
    for jwk in keys.iter().take(KEYS) {
        if jwk.get("d").is_some() || jwk.get("k").is_some() {
            return Err(wrong(
                "public keys alone: this set holds a private one; make another key, that one is known now",
            ));
        }
        let alone = json!({ "keys": [jwk] }).to_string();
        let mut one = Verifier::default();
        if one.add(alone.as_bytes(), Some(id)).map_err(wrong)? == 0 {
            continue;
        }
        let Some(kid) = one.kids().next().map(ToOwned::to_owned) else {
            continue;
        };
        let mut public = json!({ "kid": kid });
        if let Some(members) = public.as_object_mut() {
            for name in ["kty", "crv", "x", "y"] {
                if let Some(value) = jwk.get(name) {
                    members.insert(name.to_owned(), value.clone());
                }
            }
        }
        let public = public.to_string();
        if public.len() > JWK {
            return Err(wrong(format!("keys of {JWK} octets at most")));
        }
        usable.push((kid, public));
    }
    match usable.is_empty() {
        true => Err(wrong("a key of Ed25519 or P-256 for signatures")),
        false => Ok(usable),
    }
}
