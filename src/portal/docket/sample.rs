//! Dockets with something in them, for tests and benches.

use std::path::Path;
use std::sync::Arc;

use super::{Docket, Result};
use crate::portal::settings::{IntakeSettings, PortalSettings};
use crate::proof::sign::Signer;

/// Settings of a portal on loopback.
pub fn settings(folder: &Path) -> PortalSettings {
    PortalSettings {
        intake: IntakeSettings {
            per_day: 1_000_000,
            ..IntakeSettings::default()
        },
        ..PortalSettings::sample(folder)
    }
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
