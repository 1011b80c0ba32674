//! A docket for tests.

use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tempfile::TempDir;

use super::Docket;
use crate::base::Timestamp;
use crate::portal::settings::PortalSettings;
use crate::proof::sign::Signer;

/// When tests are.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_secs(1_795_512_600)
}

/// A key of its own for each number.
pub(crate) fn signer(n: u8) -> Signer {
    let start = [
        0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
    ];
    let der = [start.as_slice(), &[n; 32]].concat();
    let text = BASE64_STANDARD.encode(der);
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
    Signer::load(pem.as_bytes()).unwrap()
}

/// An empty one in a folder of its own.
pub(crate) fn docket() -> (TempDir, Arc<Docket>) {
    docket_with(|_, _| {})
}

/// The same, with other settings.
pub(crate) fn docket_with(
    change: impl FnOnce(&Path, &mut PortalSettings),
) -> (TempDir, Arc<Docket>) {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = PortalSettings::sample(folder.path());
    change(folder.path(), &mut settings);
    let docket = Docket::open(settings, Arc::new(signer(200))).unwrap();
    (folder, Arc::new(docket))
}

impl Docket {
    /// Anything at all.
    pub(crate) fn write_for_tests<T>(
        &self,
        now: Timestamp,
        act: impl FnOnce(&mut super::Work<'_>) -> super::Done<T>,
    ) -> super::Result<T> {
        self.write(now, act)
    }

    /// Events by provider, how their push stands, and what was said.
    pub(crate) fn pushes_for_tests(&self) -> Vec<(String, String, Option<String>)> {
        self.read(|tx| {
            let mut all = tx.prepare("SELECT provider, push, said FROM event ORDER BY seq")?;
            let rows = all.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .unwrap()
    }
}
