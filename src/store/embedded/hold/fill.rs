//! Filling a hold: its calls, their other legs, their evidence, the coverage around them, the campaigns that they are part of.
//!
//! Records pass through one by one; in memory are only uids and calling numbers.

use std::collections::HashSet;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use super::{AROUND, Filled, Hold, LATE, folder, refused, store, write};
use crate::base::Timestamp;
use crate::call::classify::Campaign;
use crate::call::classify::campaign::Key;
use crate::call::leg::REACH;
use crate::call::record::{Coverage, Down, StoredCall};
use crate::number::Tn;
use crate::store::embedded::{EmbeddedStore, Sealing, StoreReader, StoreSettings, layout};
use crate::store::{Lookup, Store, StoreError};

/// An egress leg may have been captured a little before its ingress leg: another sensor, another clock.
const BEFORE: Duration = Duration::from_secs(2);

/// Fills a hold, at most with so many records, and puts it in place of the filling before.
pub(super) fn fill(
    root: &Path,
    settings: &StoreSettings,
    mut hold: Hold,
    reader: &StoreReader,
    now: Timestamp,
    most: u64,
) -> Result<Hold, StoreError> {
    let before = super::open(root, &hold, settings)?;
    let number = hold.filled.as_ref().map_or(1, |f| f.number + 1);
    let place = store(root, &hold.case, number);
    let fresh = place.with_extension("new");
    for stale in [&place, &fresh] {
        if stale.exists() {
            fs::remove_dir_all(stale).map_err(|e| StoreError::io(stale, e))?;
        }
    }
    layout::create_dirs(&fresh)?;
    let own = StoreSettings {
        sealing: Sealing::Inline,
        encryption: settings.encryption.clone(),
        ..StoreSettings::default()
    };
    let mut copy = Copy {
        store: EmbeddedStore::open(&fresh, own)?,
        seen: HashSet::new(),
        callers: HashSet::new(),
        filled: Filled {
            number,
            at: now,
            complete: hold.until.plus(LATE) <= now,
            forgotten_before: match &hold.filled {
                Some(filled) => filled.forgotten_before,
                None => reader.forgotten_before().filter(|f| hold.from < *f),
            },
            ..Filled::default()
        },
        most,
        place: folder(root, &hold.case),
    };
    copy.take_all(&hold, reader, before.as_ref())?;
    let Copy { store, filled, .. } = copy;
    store.close()?;
    layout::rename(&fresh, &place)?;
    let dir = folder(root, &hold.case);
    layout::sync_dir(&dir)?;
    hold.filled = Some(filled);
    write(&dir, &hold)?;
    // Fillings that no longer count. What stays for want of rights or time goes with the next one.
    for (path, name) in layout::list(&dir)? {
        let other = name.is_some_and(|n| n != "hold" && n != number.to_string());
        if other && path.is_dir() {
            let _ = fs::remove_dir_all(&path);
        }
    }
    Ok(hold)
}

struct Copy {
    store: EmbeddedStore,
    seen: HashSet<u64>,
    callers: HashSet<Tn>,
    filled: Filled,
    most: u64,
    place: std::path::PathBuf,
}

impl Copy {
    fn take_all(
        &mut self,
        hold: &Hold,
        reader: &StoreReader,
        before: Option<&StoreReader>,
    ) -> Result<(), StoreError> {
        let mut failed = None;
        let selection = hold.selection();
        reader.select(&selection, hold.from, hold.until, |call| {
            let taken = self
                .take(&call)
                .and_then(|()| self.take_legs(&call, reader));
            match taken {
                Ok(()) => ControlFlow::Continue(()),
                Err(e) => {
                    failed = Some(e);
                    ControlFlow::Break(())
                }
            }
        })?;
        if let Some(e) = failed {
            return Err(e);
        }
        if let Some(before) = before {
            let all = (Timestamp::MIN, Timestamp::MAX);
            before.scan(all.0, all.1, |call| match self.take(&call) {
                Ok(()) => ControlFlow::Continue(()),
                Err(e) => {
                    failed = Some(e);
                    ControlFlow::Break(())
                }
            })?;
        }
        if let Some(e) = failed {
            return Err(e);
        }
        self.take_evidence(reader, before)?;
        self.take_coverage(hold, reader, before)?;
        self.take_campaigns(hold, reader, before)?;
        self.store.commit()
    }

    /// A record with its second half, once.
    fn take(&mut self, call: &StoredCall) -> Result<(), StoreError> {
        let uid = call.begin.uid;
        if !self.seen.insert(uid) {
            return Ok(());
        }
        if self.filled.records >= self.most {
            let what = format!(
                "more than {} records match: narrow it by --calling, --from and --until",
                self.most
            );
            return Err(refused(&self.place, what));
        }
        let n = &call.begin.numbers;
        self.callers.extend(n.from.or(n.asserted));
        self.store.append_begin(&call.begin)?;
        if let Some(end) = &call.end {
            self.store.append_end(end)?;
        }
        self.filled.records += 1;
        Ok(())
    }

    /// Evidence of all records, by uid: files of evidence are looked up by the lowest uid in them.
    fn take_evidence(
        &mut self,
        reader: &StoreReader,
        before: Option<&StoreReader>,
    ) -> Result<(), StoreError> {
        let mut uids: Vec<u64> = self.seen.iter().copied().collect();
        uids.sort_unstable();
        for uid in uids {
            self.take_evidence_of(uid, reader, before)?;
        }
        Ok(())
    }

    fn take_evidence_of(
        &mut self,
        uid: u64,
        reader: &StoreReader,
        before: Option<&StoreReader>,
    ) -> Result<(), StoreError> {
        let mut unreadable = false;
        for from in [Some(reader), before].into_iter().flatten() {
            match from.evidence(uid) {
                Ok(Some(evidence)) => {
                    self.store.append_evidence(&evidence)?;
                    self.filled.evidence += 1;
                    unreadable = false;
                    break;
                }
                Ok(None) => {}
                Err(StoreError::Corrupt { .. }) => unreadable = true,
                Err(e) => return Err(e),
            }
        }
        self.filled.evidence_unreadable += u64::from(unreadable);
        Ok(())
    }

    /// Other legs of the same call: the one that it continues, and those that continue it and share a number with it.
    fn take_legs(&mut self, call: &StoredCall, reader: &StoreReader) -> Result<(), StoreError> {
        let b = &call.begin;
        let first = b.pair.map_or(b.uid, |p| p.uid);
        let begun = b.pair.map_or(b.at, |p| p.at);
        let n = &b.numbers;
        let mut legs = Vec::new();
        let (from, until) = (begun.minus(BEFORE), begun.plus(REACH));
        let called: HashSet<Tn> = [n.called, n.to, n.diverted_from]
            .into_iter()
            .flatten()
            .collect();
        for number in called {
            legs.extend(reader.by_called(number, from, until)?);
        }
        let calling = [n.from, n.asserted, n.remote_party, b.verdict.orig];
        let calling: HashSet<Tn> = calling.into_iter().flatten().collect();
        for number in calling {
            legs.extend(reader.by_calling(number, from, until)?);
        }
        let is_leg =
            |c: &StoredCall| c.begin.uid == first || c.begin.pair.is_some_and(|p| p.uid == first);
        legs.retain(is_leg);
        if b.pair.is_some() && !legs.iter().any(|c| c.begin.uid == first) {
            // Its numbers were all rewritten: by its time, then.
            reader.scan(begun, begun, |c| {
                if c.begin.uid == first {
                    legs.push(c);
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            })?;
        }
        for leg in legs {
            let known = self.filled.records;
            self.take(&leg)?;
            self.filled.legs += self.filled.records - known;
        }
        Ok(())
    }

    /// Rows around the window: the store's, and those that it no longer has.
    fn take_coverage(
        &mut self,
        hold: &Hold,
        reader: &StoreReader,
        before: Option<&StoreReader>,
    ) -> Result<(), StoreError> {
        let (from, until) = (hold.from.minus(AROUND), hold.until.plus(AROUND));
        let of = |r: &Coverage| (r.sensor.clone(), r.from);
        let rows = reader.coverage(from, until)?;
        let rows: Vec<Coverage> = rows
            .into_iter()
            .filter(|r| r.down != Some(Down::Erased))
            .collect();
        let known: HashSet<_> = rows.iter().map(of).collect();
        let earlier = match before {
            Some(before) => before.coverage(from, until)?,
            None => Vec::new(),
        };
        let earlier = earlier.into_iter().filter(|r| !known.contains(&of(r)));
        for row in earlier.chain(rows.iter().cloned()) {
            self.store.append_coverage(&row)?;
            self.filled.coverage += 1;
        }
        Ok(())
    }

    fn take_campaigns(
        &mut self,
        hold: &Hold,
        reader: &StoreReader,
        before: Option<&StoreReader>,
    ) -> Result<(), StoreError> {
        let mut known = HashSet::new();
        for from in [Some(reader), before].into_iter().flatten() {
            for campaign in from.campaigns(hold.from, hold.until)? {
                if self.is_part(&campaign) && known.insert(campaign.id.clone()) {
                    self.store.append_campaign(&campaign)?;
                    self.filled.campaigns += 1;
                }
            }
        }
        Ok(())
    }

    /// Whether a held call is an example of a campaign, or has the number that it is about.
    fn is_part(&self, campaign: &Campaign) -> bool {
        let number = match &campaign.key {
            Key::CallingNumber(n) => Tn::from_canonical(n.as_bytes()),
            _ => None,
        };
        number.is_some_and(|n| self.callers.contains(&n))
            || campaign.examples.iter().any(|e| self.seen.contains(&e.uid))
    }
}
