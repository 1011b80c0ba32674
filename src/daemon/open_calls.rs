//! The file in the store's folder that holds what was open at a clean stop. It is taken away when it is read: what a kill -9 leaves is unfinished.

use std::path::Path;

use super::state_file;
use crate::call::attempt::Snapshot;
use crate::call::attempt::snapshot::Refused;
use crate::store::embedded::StateSeal;

/// Its name.
const NAME: &str = "open-calls";

/// The most that is read of it: 500,000 calls of the largest size, 16 branches and all numbers, with room to spare.
const LARGEST: u64 = 256 << 20;

/// Reads what an earlier run left, and takes it away. `None` where there is nothing.
pub(super) fn load(folder: &Path, seal: &StateSeal) -> Option<Result<Snapshot, Refused>> {
    match state_file::take(folder, seal, NAME, LARGEST) {
        Ok(bytes) => bytes.map(|b| Snapshot::decode(&b)),
        Err(e) => {
            tracing::warn!("{}: {e}", folder.join(NAME).display());
            Some(Err(Refused::Broken))
        }
    }
}

/// Leaves what is open. Trouble is said and costs how these calls end, nothing else.
pub(super) fn save(folder: &Path, seal: &StateSeal, snapshot: &Snapshot) {
    if snapshot.is_empty() {
        return;
    }
    let path = folder.join(NAME);
    match state_file::leave(folder, seal, NAME, snapshot.encode()) {
        Ok(()) => tracing::info!(calls = snapshot.len(), "calls that are open can go on"),
        Err(e) => tracing::warn!(
            "{}: {e}; calls that are open stay unfinished",
            path.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;
    use crate::call::attempt::snapshot::ClockMark;
    use crate::call::attempt::{AttemptLimits, Attempts};
    use std::fs;

    #[test]
    fn what_is_read_is_gone_and_what_is_broken_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let seal = StateSeal::default();
        let load = || load(dir.path(), &seal);
        assert!(load().is_none());
        let clock = ClockMark {
            boot: 1,
            boot_at: Timestamp::MIN,
        };
        let attempts = Attempts::new(AttemptLimits::default());
        let snapshot = attempts.snapshot(Timestamp::default(), clock, 1);
        save(dir.path(), &seal, &snapshot);
        assert!(load().is_none(), "nothing open, nothing to leave");
        let path = dir.path().join(NAME);
        state_file::leave(dir.path(), &seal, NAME, snapshot.encode()).unwrap();
        assert_eq!(load(), Some(Ok(snapshot)));
        assert!(load().is_none());
        fs::write(&path, b"THCALLS").unwrap();
        assert_eq!(load(), Some(Err(Refused::Broken)));
        assert!(load().is_none());
    }
}
