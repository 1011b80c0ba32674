//! Whether a signer is to be trusted (ATIS-1000080, RFC 5280, RFC 8226). Octets in, values out: fetching and files are elsewhere.
//!
//! - [`certificate`], [`extensions`], [`key`], [`name`]: one certificate
//! - [`tnauthlist`], [`constraints`]: what its holder may sign for and may claim
//! - [`lint`]: what is odd about it and fails nothing
//! - [`path`], [`chain`]: from leaf to anchor
//! - [`calist`]: the signed list of authorities
//! - [`crl`]: the national indirect revocation list
//! - [`history`]: which lists were accepted before, so that an older one is not
//! - [`prepared`]: a credential with all of it judged that does not depend on the call
//! - [`der`], [`pem`], [`signer`]: what these are made of
//!
//! x509-parser gives views of DER; path rules and the revocation list are our own, because the usual libraries refuse critical
//! certificatePolicies and indirect lists, and both are everyday here.

pub mod calist;
pub mod certificate;
pub mod chain;
pub mod constraints;
pub mod crl;
mod der;
pub mod extensions;
pub mod history;
pub mod key;
pub mod lint;
pub mod name;
pub mod path;
mod pem;
pub mod prepared;
mod signer;
#[cfg(test)]
pub(crate) mod testpki;
pub mod tnauthlist;

pub use calist::{CaList, CaListError, SkippedEntry, anchors_of_pem, signer_url};
pub use certificate::Certificate;
pub use chain::Link;
pub use crl::{Crl, CrlError};
pub use history::{ListHistory, RollBack};
pub use lint::Lint;
pub use pem::MAX_BUNDLE;
pub use prepared::{Credential, readable};
pub use signer::SignerFault;
pub use tnauthlist::TnAuthList;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What trust rests on: anchors, and the revocation lists that are at hand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustStore {
    anchors: Vec<Certificate>,
    /// The national one first.
    crls: Vec<Crl>,
    aliases: Vec<Box<str>>,
    ends: Option<i64>,
}

impl TrustStore {
    /// From the anchors of a [`CaList`] or of [`anchors_of_pem`], and the national revocation list.
    pub fn new(anchors: Vec<Certificate>, crl: Option<Crl>) -> Self {
        Self {
            anchors,
            crls: crl.into_iter().collect(),
            aliases: Vec::new(),
            ends: None,
        }
    }

    /// With another country's revocation list, for the certificates that name it (rule R7).
    #[must_use]
    pub fn with_other_crl(mut self, crl: Crl) -> Self {
        self.crls.push(crl);
        self
    }

    /// With URLs under which certificates name the national revocation list beside those that it names itself (rule R2).
    #[must_use]
    pub fn with_crl_aliases(mut self, urls: impl IntoIterator<Item = Box<str>>) -> Self {
        self.aliases.extend(urls);
        self
    }

    /// Relied on for calls up to that second alone; later ones are undetermined (rule L3, to fail closed).
    #[must_use]
    pub fn ending(mut self, second: i64) -> Self {
        self.ends = Some(second);
        self
    }

    /// How many anchors there are.
    pub fn anchor_count(&self) -> usize {
        self.anchors.len()
    }

    /// The national revocation list.
    pub fn crl(&self) -> Option<&Crl> {
        self.crls.first()
    }
}

/// Prepared credentials by the exact URL under which they were found. Cheap to copy: the credentials are shared.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    by_url: HashMap<Box<str>, Place>,
}

#[derive(Clone, Debug)]
struct Place {
    credential: Arc<Credential>,
    /// Set for a fetched one.
    mark: Option<Mark>,
}

/// Says that somebody looked a fetched credential up. Whoever keeps the cache takes the mark down now and then (rule N13).
#[derive(Clone, Debug, Default)]
pub struct Mark(Arc<AtomicBool>);

impl Mark {
    /// Whether it was looked up since this was asked last.
    pub fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }

    fn set(&self) {
        // Read first: many judges look the same credential up, and a line that is only read is shared by all cores.
        if !self.0.load(Ordering::Relaxed) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

impl Credentials {
    /// Puts a credential under its URL, in place of the one that was there.
    pub fn insert(&mut self, url: &str, credential: Arc<Credential>) -> Option<Arc<Credential>> {
        self.put(url, credential, None)
    }

    /// [`Credentials::insert`] for one that was fetched, and may be fetched again.
    pub fn insert_fetched(
        &mut self,
        url: &str,
        credential: Arc<Credential>,
        mark: Mark,
    ) -> Option<Arc<Credential>> {
        self.put(url, credential, Some(mark))
    }

    fn put(
        &mut self,
        url: &str,
        credential: Arc<Credential>,
        mark: Option<Mark>,
    ) -> Option<Arc<Credential>> {
        let before = self.by_url.insert(url.into(), Place { credential, mark });
        before.map(|p| p.credential)
    }

    /// Takes the credential under a URL out.
    pub fn remove(&mut self, url: &str) -> Option<Arc<Credential>> {
        self.by_url.remove(url).map(|p| p.credential)
    }

    /// The credential under a URL, compared octet by octet.
    pub fn get(&self, url: &str) -> Option<&Arc<Credential>> {
        let place = self.by_url.get(url)?;
        if let Some(mark) = &place.mark {
            mark.set();
        }
        Some(&place.credential)
    }

    /// Whether there is one under a URL; leaves no mark.
    pub fn contains(&self, url: &str) -> bool {
        self.by_url.contains_key(url)
    }

    /// Whether the credential under a URL was fetched, so that another may be there by now.
    pub fn is_fetched(&self, url: &str) -> bool {
        self.by_url.get(url).is_some_and(|p| p.mark.is_some())
    }

    /// All of them judged again by other trust.
    #[must_use]
    pub fn prepare_again(&self, trust: &TrustStore) -> Self {
        let again = self.by_url.iter().map(|(url, place)| {
            let credential = Arc::new(place.credential.prepare_again(trust));
            let mark = place.mark.clone();
            (url.clone(), Place { credential, mark })
        });
        Self {
            by_url: again.collect(),
        }
    }

    /// Every URL with its credential, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Arc<Credential>)> {
        self.by_url.iter().map(|(url, p)| (&**url, &p.credential))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_url.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_url.is_empty()
    }
}
