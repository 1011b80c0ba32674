//! Erasing days before their time: their key is destroyed, then their files are deleted, and it stays known that there were some.
//!
//! A day that was erased answers as one in which no sensor was looking: see [`Down::Erased`]. Records of it that come later are let go and counted as too old.

use std::collections::BTreeSet;
use std::path::Path;

use super::vault::{Vault, places};
use super::{EmbeddedStore, hold, layout, ledger};
use crate::base::Timestamp;
use crate::call::record::{Coverage, Down};
use crate::store::StoreError;

impl EmbeddedStore {
    /// Erases the days in which the given points in time lie: records, evidence, campaigns; gives how many days there were. Everything taken in is sealed
    /// first, so that no log holds them any more.
    ///
    /// # Errors
    ///
    /// [`StoreError::Key`] in a store that is not encrypted.
    pub fn erase(&mut self, days: &[Timestamp]) -> Result<usize, StoreError> {
        let shared = self.reader.shared.clone();
        if !shared.vault.is_sealed() {
            let what = "the store is not encrypted: its days have no keys to destroy";
            return Err(StoreError::key(&layout::keys(&shared.root), what));
        }
        let days: BTreeSet<i64> = days.iter().copied().map(ledger::day_of).collect();
        hold::forbid_erasing(&shared.root, &days)?;
        self.seal()?;
        self.campaigns.commit()?;
        self.evidence.close(&days);
        shared.vault.erase(&days)?;
        // No merge of theirs comes to its end meanwhile.
        let files = shared.files();
        {
            let mut state = shared.change();
            state
                .hours
                .retain(|h, _| !days.contains(&layout::day_of(*h)));
            state.generation += 1;
        }
        shared.forget(|hour| days.contains(&layout::day_of(hour)));
        for d in &days {
            delete(&shared.root, *d)?;
        }
        drop(files);
        Ok(days.len())
    }
}

/// Goes on with erasing that a crash cut off.
pub(super) fn finish(root: &Path, vault: &Vault) -> Result<(), StoreError> {
    let days = vault.erased();
    vault.erase(&days)?;
    days.iter().try_for_each(|d| delete(root, *d))
}

fn delete(root: &Path, day: i64) -> Result<(), StoreError> {
    for place in places(root, day) {
        let gone = match place.is_dir() {
            true => std::fs::remove_dir_all(&place),
            false => std::fs::remove_file(&place),
        };
        match gone {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::io(&place, e));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What the ledger says where days were erased: that every sensor that it names there has nothing to show of that day.
pub(super) fn blind(erased: &BTreeSet<i64>, rows: &mut ledger::Rows) {
    if erased.is_empty() {
        return;
    }
    let mut gone = BTreeSet::new();
    rows.retain(|(sensor, from), _| {
        let day = ledger::day_of(*from);
        let is_erased = erased.contains(&day);
        if is_erased {
            gone.insert((sensor.clone(), day));
        }
        !is_erased
    });
    for (sensor, day) in gone {
        let start = |day: i64| layout::hour_start(day.saturating_mul(layout::DAY));
        let row = Coverage {
            sensor: sensor.clone(),
            from: start(day),
            until: start(day + 1),
            down: Some(Down::Erased),
            ..Coverage::default()
        };
        rows.insert((sensor, row.from), row);
    }
}
