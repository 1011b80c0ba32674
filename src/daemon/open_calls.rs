//! The file in the store's folder that holds what was open at a clean stop. It is taken away when it is read: what a kill -9 leaves is unfinished.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use crate::call::attempt::Snapshot;
use crate::call::attempt::snapshot::Refused;

/// Its name.
const NAME: &str = "open-calls";

/// The most that is read of it: 500,000 calls of the largest size, 16 branches and all numbers, with room to spare.
const LARGEST: u64 = 256 << 20;

/// Reads what an earlier run left, and takes it away. `None` where there is nothing.
pub(super) fn load(folder: &Path) -> Option<Result<Snapshot, Refused>> {
    let path = folder.join(NAME);
    let file = File::open(&path).ok()?;
    let mut bytes = Vec::new();
    let read = file.take(LARGEST).read_to_end(&mut bytes);
    // What can't be taken away would come back after a kill -9, when it is no longer true.
    let gone = fs::remove_file(&path).and_then(|()| sync(folder));
    if let Err(e) = read.map(drop).and(gone) {
        tracing::warn!("{}: {e}", path.display());
        return Some(Err(Refused::Broken));
    }
    Some(Snapshot::decode(&bytes))
}

/// Leaves what is open. Trouble is said and costs how these calls end, nothing else.
pub(super) fn save(folder: &Path, snapshot: &Snapshot) {
    if snapshot.is_empty() {
        return;
    }
    let path = folder.join(NAME);
    match write(folder, &path, &snapshot.encode()) {
        Ok(()) => tracing::info!(calls = snapshot.len(), "calls that are open can go on"),
        Err(e) => tracing::warn!(
            "{}: {e}; calls that are open stay unfinished",
            path.display()
        ),
    }
}

fn write(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = folder.join(format!("{NAME}.new"));
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    sync(folder)
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;
    use crate::call::attempt::snapshot::ClockMark;
    use crate::call::attempt::{AttemptLimits, Attempts};

    #[test]
    fn what_is_read_is_gone_and_what_is_broken_is_said() {
        let dir = tempfile::tempdir().unwrap();
        assert!(load(dir.path()).is_none());
        let clock = ClockMark {
            boot: 1,
            boot_at: Timestamp::MIN,
        };
        let attempts = Attempts::new(AttemptLimits::default());
        let snapshot = attempts.snapshot(Timestamp::default(), clock, 1);
        save(dir.path(), &snapshot);
        assert!(load(dir.path()).is_none(), "nothing open, nothing to leave");
        let path = dir.path().join(NAME);
        write(dir.path(), &path, &snapshot.encode()).unwrap();
        assert_eq!(load(dir.path()), Some(Ok(snapshot)));
        assert!(load(dir.path()).is_none());
        fs::write(&path, b"THCALLS").unwrap();
        assert_eq!(load(dir.path()), Some(Err(Refused::Broken)));
        assert!(load(dir.path()).is_none());
    }
}
