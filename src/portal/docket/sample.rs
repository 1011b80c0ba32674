//! Dockets with something in them, for tests and benches.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Docket, Result};
use crate::portal::settings::{
    HintPolicy, IntakeSettings, ListenSettings, PortalSettings, WalkSettings,
};
use crate::proof::sign::Signer;

/// Settings of a portal on loopback.
pub fn settings(folder: &Path) -> PortalSettings {
    let listen = |port| ListenSettings {
        address: ([127, 0, 0, 1], port).into(),
        public_url: None,
        tls: None,
    };
    PortalSettings {
        name: "portal.example.net".into(),
        state: folder.to_owned(),
        key_file: folder.join("portal.key"),
        api: listen(0),
        console: listen(0),
        intake: IntakeSettings {
            open_at_once: true,
            per_day: 1_000_000,
            fresh_days: 10,
            oldest_days: 365,
        },
        walk: WalkSettings {
            grace: Duration::from_secs(3600),
            most_hops: 15,
            hint: HintPolicy::WhenStuck,
            deadline: None,
        },
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
