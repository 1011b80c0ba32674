//! The directory as a file: for a copy elsewhere, for another portal, and to take in many at once. Tokens are not in it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::{Docket, DocketError, Result};
use super::{Card, PROVIDERS, key, provider};
use crate::base::Timestamp;
use crate::proof::Who;

/// The file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    /// Everybody.
    pub providers: Vec<Entry>,
}

/// A provider in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// What is said of it.
    #[serde(flatten)]
    pub card: Card,
    /// Its keys that are in use: a JWK set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Value>,
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// Providers that were not there.
    pub added: usize,
    /// Those that were.
    pub changed: usize,
    /// Keys that are new.
    pub keys: usize,
}

impl Docket {
    /// Everybody who is listed, with keys in use.
    ///
    /// # Errors
    ///
    /// [`DocketError`].
    pub fn export_directory(&self) -> Result<Directory> {
        let mut providers = Vec::new();
        for one in self.providers()?.into_iter().filter(|p| p.listed) {
            let keys = self.keys_of(&one.card.id)?;
            let keys = keys.into_iter().filter(|k| k.retired.is_none());
            let keys: Vec<Value> = keys.map(|k| k.jwk).collect();
            providers.push(Entry {
                card: one.card,
                jwks: (!keys.is_empty()).then(|| json!({ "keys": keys })),
            });
        }
        Ok(Directory { providers })
    }

    /// Takes all of a file in, or nothing. Who is there already is changed; nobody is taken out, and no key.
    ///
    /// # Errors
    ///
    /// [`DocketError`], with the provider that it is about.
    pub fn import_directory(
        &self,
        who: &Who,
        directory: &Directory,
        now: Timestamp,
    ) -> Result<Imported> {
        if directory.providers.len() > PROVIDERS {
            return Err(DocketError::Refused(format!(
                "{} providers; {PROVIDERS} at most",
                directory.providers.len()
            )));
        }
        self.write(now, |w| {
            let mut done = Imported::default();
            for Entry { card, jwks } in &directory.providers {
                let said = |e: DocketError| DocketError::Refused(format!("{}: {e}", card.id));
                card.check().map_err(said)?;
                match provider(w.tx, &card.id)?.filter(|p| p.listed) {
                    None => {
                        w.add_provider(who, card)?;
                        done.added += 1;
                    }
                    Some(there) if there.card == *card => {}
                    Some(_) => {
                        w.change_provider(who, card)?;
                        done.changed += 1;
                    }
                }
                if let Some(jwks) = jwks {
                    done.keys += w.add_keys(who, &card.id, jwks.to_string().as_bytes())?;
                }
            }
            Ok(done)
        })
    }
}

impl Docket {
    /// All keys of a provider, retired ones too: a set as `tracehop answer verify --keys` takes it.
    ///
    /// # Errors
    ///
    /// [`DocketError`].
    pub fn jwks_of(&self, id: &str) -> Result<Value> {
        let keys = self.read(|tx| key::keys(tx, id))?;
        let keys: Vec<Value> = keys.into_iter().map(|k| k.jwk).collect();
        Ok(json!({ "keys": keys }))
    }
}
