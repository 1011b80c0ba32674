//! Dockets with something in them, for tests and benches.

use std::path::Path;
use std::sync::Arc;

use super::{Docket, Result};
use crate::portal::settings::PortalSettings;
use crate::proof::sign::Signer;

/// Settings of a portal on loopback that lets any number of requests in.
pub fn settings(folder: &Path) -> PortalSettings {
    let mut settings = PortalSettings::sample(folder);
    settings.intake.per_day = 1_000_000;
    settings
}

/// A docket in a folder.
///
/// # Errors
///
/// As [`Docket::open`].
pub fn open(folder: &Path, signer: Signer) -> Result<Docket> {
    Docket::open(settings(folder), Arc::new(signer))
}

/// One with nothing in it, and the folder that it is gone with.
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub fn empty() -> (Docket, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let signer = crate::proof::sign::new_key(&folder.path().join("portal.key")).unwrap();
    (open(folder.path(), signer).unwrap(), folder)
}
