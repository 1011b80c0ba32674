//! Who signs the STI-PA's lists: a certificate with a path to the pinned STI-PA root.

use super::certificate::Certificate;
use super::{path, pem};

/// Why a list's signer is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignerFault {
    /// Its PEM holds no certificate that can be read, or too many.
    #[error("the signer's certificate can't be read")]
    Unreadable,
    /// The root's PEM holds no certificate that can be read.
    #[error("the STI-PA root can't be read")]
    NoRoot,
    /// No path to the root.
    #[error("the signer's certificate has no path to the STI-PA root")]
    Untrusted,
    /// A certificate of the path was not valid at that time.
    #[error("the signer's certificate was not valid then")]
    Expired,
    /// It has another name than the list's issuer.
    #[error("the list names another issuer")]
    OtherName,
    /// It may not sign this.
    #[error("the signer's key usage does not allow it")]
    Usage,
    /// A critical extension that we don't know.
    #[error("the signer's path has an unknown critical extension")]
    UnknownCritical,
}

/// Reads a signer, leaf first, and verifies its path at a time in seconds since 1970.
pub(super) fn verify_at(signer: &[u8], root: &[u8], at: i64) -> Result<Certificate, SignerFault> {
    let roots = read(root).ok_or(SignerFault::NoRoot)?;
    let mut chain = read(signer).ok_or(SignerFault::Unreadable)?;
    let extras = chain.split_off(1);
    let leaf = chain.pop().ok_or(SignerFault::Unreadable)?;
    if roots.iter().any(|r| r.digest == leaf.digest) {
        // The root signs its own lists.
        return if leaf.validity.holds(at) {
            Ok(leaf)
        } else {
            Err(SignerFault::Expired)
        };
    }
    let paths = path::find(&leaf, &extras, &roots).found;
    if paths.is_empty() {
        return Err(SignerFault::Untrusted);
    }
    let known = |p: &&Vec<&Certificate>| p.iter().all(|c| c.extensions.unknown_critical.is_none());
    if !paths.iter().any(|p| known(&p)) {
        return Err(SignerFault::UnknownCritical);
    }
    if !paths
        .iter()
        .filter(known)
        .any(|p| p.iter().all(|c| c.validity.holds(at)))
    {
        return Err(SignerFault::Expired);
    }
    Ok(leaf)
}

/// The certificates of a bundle: at least one, at most [`path::MAX_DEPTH`], all readable.
fn read(text: &[u8]) -> Option<Vec<Certificate>> {
    let certs: Option<Vec<_>> = pem::certificates(text)
        .take(path::MAX_DEPTH + 1)
        .map(|der| Certificate::parse(&der?).ok())
        .collect();
    certs.filter(|c| !c.is_empty() && c.len() <= path::MAX_DEPTH)
}
