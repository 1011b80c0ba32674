//! What flags remember, over a restart: `flags.state` in the store's folder.
//!
//! After a kill -9 there is no file, and learning begins anew: an older state would call numbers new that were signed in between.

use std::path::Path;

use super::state_file;
use crate::call::classify::FlagMemory;
use crate::store::embedded::StateSeal;

/// Its name.
const NAME: &str = "flags.state";

/// The most that is read: all filters, callers, and names of neighbours (`call::classify::memory` states their bounds).
const LARGEST: u64 = 256 << 20;

/// Reads what an earlier run left; nothing where there is none or it is broken, which the log says.
pub(super) fn load(folder: &Path, seal: &StateSeal) -> FlagMemory {
    let read = state_file::take(folder, seal, NAME, LARGEST);
    let why = match read.map(|b| b.map(|b| FlagMemory::from_snapshot(&b))) {
        Ok(None) => return FlagMemory::default(),
        Ok(Some(Ok(memory))) => return memory,
        Ok(Some(Err(why))) => why.to_string(),
        Err(why) => why.to_string(),
    };
    let path = folder.join(NAME);
    tracing::warn!(
        "{}: {why}: numbers that neighbours have signed are learnt anew",
        path.display()
    );
    FlagMemory::default()
}

/// Leaves it. Trouble is said, and costs that all is learnt anew.
pub(super) fn save(folder: &Path, seal: &StateSeal, memory: FlagMemory) {
    if let Err(e) = state_file::leave(folder, seal, NAME, memory.into_snapshot()) {
        let path = folder.join(NAME);
        tracing::warn!(
            "{}: {e}: numbers that neighbours have signed are learnt anew",
            path.display()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::classify::memory::MemoryCounters;

    #[test]
    fn what_is_left_is_read_once_and_what_is_broken_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path();
        let seal = StateSeal::default();
        let load = |folder| load(folder, &seal);
        assert_eq!(load(folder).counters(), MemoryCounters::default());
        save(folder, &seal, FlagMemory::default());
        assert!(folder.join(NAME).exists());
        load(folder);
        assert!(!folder.join(NAME).exists());
        std::fs::write(folder.join(NAME), "thflags").unwrap();
        assert_eq!(load(folder).counters(), MemoryCounters::default());
        assert!(!folder.join(NAME).exists());
    }
}
