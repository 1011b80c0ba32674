//! How a provider's machine is known: by a token whose SHA-256 is kept, by a client certificate, or by both where both are set.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use rusqlite::{OptionalExtension, params};
use serde_json::json;

use super::super::{Docket, Result};
use super::{NO_CASE, absent};
use crate::base::Timestamp;
use crate::engine::mirror::ClientCertificate;
use crate::proof::Who;

/// What a token begins with: so that a scanner for secrets, and a person, know what it is.
const PREFIX: &str = "thp_";
/// Octets of chance in it.
const CHANCE: usize = 32;
/// Names of a certificate that are looked up; one for each host of a provider, and no more.
const NAMES: usize = 16;

/// What is kept of a certificate's name: names in lower case, a fingerprint without colons.
pub(super) fn plain(certificate: &str) -> String {
    let lower = certificate.to_ascii_lowercase();
    match lower.strip_prefix("sha256:") {
        Some(print) => format!("sha256:{}", print.replace(':', "")),
        None => lower,
    }
}

fn hash(token: &str) -> Vec<u8> {
    digest(&SHA256, token.as_bytes()).as_ref().to_vec()
}

impl Docket {
    /// Makes a token for a provider's machine; the one before holds no longer. This is the only time that it is seen.
    ///
    /// # Errors
    ///
    /// [`super::super::DocketError::Absent`].
    pub fn new_token(&self, who: &Who, id: &str, now: Timestamp) -> Result<String> {
        let mut chance = [0u8; CHANCE];
        SystemRandom::new().fill(&mut chance).map_err(|_| {
            super::super::DocketError::Refused("no random numbers from the host".to_owned())
        })?;
        let token = format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(chance));
        self.write(now, |w| {
            let n = w.tx.execute(
                "UPDATE provider SET token_hash = ?, changed = ? WHERE id = ?",
                params![hash(&token), w.now.nanos(), id],
            )?;
            if n == 0 {
                return Err(absent());
            }
            w.note(who, "token made", NO_CASE, None, json!({ "provider": id }))?;
            Ok(())
        })?;
        Ok(token)
    }

    /// Which provider's machine it is: by its token, with its certificate where one is set; or by the certificate alone where there is no token.
    ///
    /// # Errors
    ///
    /// [`super::super::DocketError`]; `None` is nobody who is known and active.
    pub fn machine(
        &self,
        token: Option<&str>,
        shown: Option<&ClientCertificate>,
    ) -> Result<Option<String>> {
        self.read(|tx| {
            let Some(token) = token else {
                return Ok(by_certificate(tx, shown)?);
            };
            let found: Option<(String, Option<String>)> = tx
                .prepare_cached(
                    "SELECT id, certificate FROM provider WHERE token_hash = ? AND active = 1",
                )?
                .query_row([hash(token)], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            Ok(found.and_then(|(id, bound)| match bound {
                None => Some(id),
                Some(bound) => shown.is_some_and(|s| s.is(&bound)).then_some(id),
            }))
        })
    }
}

fn by_certificate(
    tx: &rusqlite::Transaction<'_>,
    shown: Option<&ClientCertificate>,
) -> rusqlite::Result<Option<String>> {
    let Some(shown) = shown else {
        return Ok(None);
    };
    let print = format!("sha256:{}", shown.fingerprint);
    let names = shown.names.iter().take(NAMES);
    let names = names.map(|n| n.to_ascii_lowercase());
    let mut found: Option<String> = None;
    for known in std::iter::once(print).chain(names) {
        let one: Option<String> = tx
            .prepare_cached(
                "SELECT id FROM provider WHERE certificate = ? AND token_hash IS NULL AND active = 1",
            )?
            .query_row([known], |row| row.get(0))
            .optional()?;
        match (&found, one) {
            (Some(before), Some(one)) if *before != one => return Ok(None),
            (None, Some(one)) => found = Some(one),
            _ => {}
        }
    }
    Ok(found)
}
