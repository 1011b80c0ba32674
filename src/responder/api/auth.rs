//! Who it is: portals by the signature of what they push, by token or client certificate when they read; operators by token.
//!
//! Tokens are kept as MACs under a key of this process, so comparing tells nothing about them and memory holds none. A portal that is bound to a client
//! certificate must show it with everything, so a token that was stolen is worth nothing without it (as RFC 8705 §3 has it).

use std::path::Path;
use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use ring::{hmac, rand};

use super::refusal::Refusal;
use super::webhook::{Envelope, HookKey, secret_text};
use crate::base::digest::Digest128;
use crate::responder::adapter::AdapterSettings;
use crate::responder::settings::{ResponderSettings, Role};
use crate::web::listen::Guest;

/// Longest file of a token: one line.
const MAX_TOKEN: u64 = 4096;
/// Least of a token: 128 bits in hexadecimal.
const LEAST_TOKEN: usize = 32;

/// Everybody who is known.
#[derive(Debug)]
pub struct Door {
    /// Under which tokens are kept.
    key: hmac::Key,
    portals: Vec<Arc<Portal>>,
    operators: Vec<Arc<Operator>>,
    public_url: Option<Arc<str>>,
}

/// A portal.
#[derive(Debug)]
pub struct Portal {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Requests a minute.
    pub per_minute: u32,
    /// Whether it fetches its answers here, because we bring it none.
    pub fetches: bool,
    hooks: Vec<HookKey>,
    token: Option<hmac::Tag>,
    certificate: Option<Box<str>>,
}

/// Somebody of this house.
#[derive(Debug)]
pub struct Operator {
    /// His name in the configuration.
    pub name: Arc<str>,
    roles: Vec<Role>,
    token: hmac::Tag,
}

/// Who asks.
#[derive(Clone, Debug)]
pub enum Caller {
    /// A portal.
    Portal(Arc<Portal>),
    /// An operator.
    Operator(Arc<Operator>),
}

impl Door {
    /// Reads keys and tokens of everybody in the configuration.
    ///
    /// # Errors
    ///
    /// Which file is wrong, and what is wrong with it.
    pub fn read(settings: &ResponderSettings) -> Result<Self, String> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new())
            .map_err(|_| "no random numbers from the host".to_owned())?;
        let mut tokens: Vec<hmac::Tag> = Vec::new();
        let mut token = |path: &Path| {
            let tag = read_token(path, &key).map_err(|e| format!("{}: {e}", path.display()))?;
            // Two who have the same token can't be told apart.
            match tokens.iter().any(|t| t.as_ref() == tag.as_ref()) {
                true => Err(format!("{}: somebody else has this token", path.display())),
                false => {
                    tokens.push(tag);
                    Ok(tag)
                }
            }
        };
        let mut digests: Vec<Digest128> = Vec::new();
        let mut portals = Vec::new();
        for p in &settings.portals {
            let keys = match &p.webhook_secrets {
                Some(path) => {
                    HookKey::read(path).map_err(|e| format!("{}: {e}", path.display()))?
                }
                None => Vec::new(),
            };
            if keys.iter().any(|(_, d)| digests.contains(d)) {
                return Err(format!(
                    "portal {}: another portal has the same key",
                    p.name
                ));
            }
            digests.extend(keys.iter().map(|(_, d)| *d));
            portals.push(Arc::new(Portal {
                name: p.name.clone(),
                per_minute: p.requests_per_minute,
                fetches: matches!(p.adapter, AdapterSettings::PushOnly),
                hooks: keys.into_iter().map(|(k, _)| k).collect(),
                token: p.token_file.as_deref().map(&mut token).transpose()?,
                certificate: p.client_certificate.clone(),
            }));
        }
        let mut operators = Vec::new();
        for o in &settings.operators {
            operators.push(Arc::new(Operator {
                name: o.name.clone(),
                roles: o.roles.clone(),
                token: token(&o.token_file)?,
            }));
        }
        Ok(Self {
            key,
            portals,
            operators,
            public_url: settings.public_url.clone(),
        })
    }

    /// Which portal signed a body.
    ///
    /// # Errors
    ///
    /// [`Refusal`]
    pub fn issuer(
        &self,
        envelope: &Envelope<'_>,
        body: &[u8],
        guest: &Guest,
    ) -> Result<Arc<Portal>, Refusal> {
        let signed = envelope.signed(body);
        let mut by = self.portals.iter();
        let portal = by.find(|p| envelope.is_by(&p.hooks, &signed));
        let portal = portal.ok_or(Refusal::Forged)?;
        portal.shows_its_certificate(guest)?;
        Ok(portal.clone())
    }

    /// Who asks with a token, or with a client certificate alone.
    ///
    /// # Errors
    ///
    /// [`Refusal`]
    pub fn caller(&self, headers: &HeaderMap, guest: &Guest) -> Result<Caller, Refusal> {
        let Some(shown) = headers.get(AUTHORIZATION) else {
            return self.by_certificate(guest);
        };
        let token = shown.to_str().ok().and_then(bearer);
        let token = token.ok_or(Refusal::Token)?.as_bytes();
        let is = |tag: &hmac::Tag| hmac::verify(&self.key, token, tag.as_ref()).is_ok();
        if let Some(operator) = self.operators.iter().find(|o| is(&o.token)) {
            return Ok(Caller::Operator(operator.clone()));
        }
        let mut portals = self.portals.iter();
        let portal = portals.find(|p| p.token.as_ref().is_some_and(is));
        let portal = portal.ok_or(Refusal::Token)?;
        portal.shows_its_certificate(guest)?;
        Ok(Caller::Portal(portal.clone()))
    }

    /// Portals that have no token, and whose certificate is shown.
    fn by_certificate(&self, guest: &Guest) -> Result<Caller, Refusal> {
        let shown = guest.certificate.as_ref().ok_or(Refusal::Unknown)?;
        let is = |p: &&Arc<Portal>| {
            p.token.is_none() && p.certificate.as_ref().is_some_and(|c| shown.is(c))
        };
        let mut known = self.portals.iter().filter(is);
        match (known.next(), known.next()) {
            (Some(portal), None) => Ok(Caller::Portal(portal.clone())),
            _ => Err(Refusal::Certificate),
        }
    }

    /// Where portals reach us.
    pub fn public_url(&self) -> Option<&str> {
        self.public_url.as_deref()
    }

    /// Names of all portals.
    pub fn portals(&self) -> impl Iterator<Item = &Arc<str>> {
        self.portals.iter().map(|p| &p.name)
    }
}

impl Portal {
    fn shows_its_certificate(&self, guest: &Guest) -> Result<(), Refusal> {
        let Some(bound) = &self.certificate else {
            return Ok(());
        };
        match &guest.certificate {
            Some(shown) if shown.is(bound) => Ok(()),
            _ => Err(Refusal::Certificate),
        }
    }
}

impl Operator {
    /// Whether he may.
    ///
    /// # Errors
    ///
    /// [`Refusal::Role`]
    pub fn may(&self, role: Role) -> Result<(), Refusal> {
        match self.roles.contains(&role) {
            true => Ok(()),
            false => Err(Refusal::Role),
        }
    }
}

impl Caller {
    /// The operator, if it is one who may.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotForPortals`], [`Refusal::Role`]
    pub fn operator(self, role: Role) -> Result<Arc<Operator>, Refusal> {
        match self {
            Self::Operator(operator) => operator.may(role).map(|()| operator),
            Self::Portal(_) => Err(Refusal::NotForPortals),
        }
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn read_token(path: &Path, key: &hmac::Key) -> Result<hmac::Tag, String> {
    let text = secret_text(path, MAX_TOKEN)?;
    let token = text.trim();
    match token.len() >= LEAST_TOKEN && token.bytes().all(|b| b.is_ascii_graphic()) {
        true => Ok(hmac::sign(key, token.as_bytes())),
        false => Err(format!(
            "write one line of {LEAST_TOKEN} characters at least, as `openssl rand -hex 32` gives them"
        )),
    }
}
