//! Whether a signer is to be trusted (ATIS-1000080, RFC 5280, RFC 8226). Octets in, values out: fetching and files are elsewhere.
//!
//! - [`certificate`], [`name`], [`tnauthlist`]: one certificate
//! - [`path`]: from leaf to anchor
//! - [`calist`]: the signed list of authorities
//! - [`crl`]: the national indirect revocation list
//! - [`prepared`]: a credential with all of it judged that does not depend on the call
//! - [`der`], [`pem`], [`signer`]: what these are made of
//!
//! x509-parser gives views of DER; path rules and the revocation list are our own, because the usual libraries refuse critical
//! certificatePolicies and indirect lists, and both are everyday here.

pub mod calist;
pub mod certificate;
pub mod crl;
mod der;
pub mod name;
pub mod path;
mod pem;
pub mod prepared;
mod signer;
#[cfg(test)]
pub(crate) mod testpki;
pub mod tnauthlist;

pub use calist::{CaList, CaListError, SkippedEntry, anchors_of_pem};
pub use certificate::Certificate;
pub use crl::{Crl, CrlError};
pub use pem::MAX_BUNDLE;
pub use prepared::Credential;
pub use signer::SignerFault;
pub use tnauthlist::TnAuthList;

use std::collections::HashMap;
use std::sync::Arc;

/// What trust rests on: anchors, and the revocation list if one is at hand.
#[derive(Clone, Debug, Default)]
pub struct TrustStore {
    anchors: Vec<Certificate>,
    crl: Option<Crl>,
}

impl TrustStore {
    /// From the anchors of a [`CaList`] or of [`anchors_of_pem`], and a revocation list.
    pub fn new(anchors: Vec<Certificate>, crl: Option<Crl>) -> Self {
        Self { anchors, crl }
    }

    /// How many anchors there are.
    pub fn anchor_count(&self) -> usize {
        self.anchors.len()
    }

    /// The revocation list.
    pub fn crl(&self) -> Option<&Crl> {
        self.crl.as_ref()
    }
}

/// Prepared credentials by the exact URL under which they were found. Cheap to copy: the credentials are shared.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    by_url: HashMap<Box<str>, Arc<Credential>>,
}

impl Credentials {
    /// Puts a credential under its URL, in place of the one that was there.
    pub fn insert(&mut self, url: &str, credential: Arc<Credential>) -> Option<Arc<Credential>> {
        self.by_url.insert(url.into(), credential)
    }

    /// Takes the credential under a URL out.
    pub fn remove(&mut self, url: &str) -> Option<Arc<Credential>> {
        self.by_url.remove(url)
    }

    /// The credential under a URL, compared octet by octet.
    pub fn get(&self, url: &str) -> Option<&Arc<Credential>> {
        self.by_url.get(url)
    }

    /// Every URL with its credential, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Arc<Credential>)> {
        self.by_url.iter().map(|(url, c)| (&**url, c))
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
