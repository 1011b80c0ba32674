//! A store in memory: for providers that live as long as their questions, in the laboratory and in tests. It is never full and keeps nothing.

use std::collections::{BTreeMap, HashMap};

use crate::base::Timestamp;
use crate::call::record::{Begin, Coverage, End, StoredCall};
use crate::number::Tn;
use crate::store::{Bounded, Lookup, Role, Store, StoreError};

/// The store. Records may come in any order.
#[derive(Debug, Default)]
pub struct Memory {
    records: BTreeMap<u64, StoredCall>,
    called: HashMap<Tn, BTreeMap<(Timestamp, u64), ()>>,
    calling: HashMap<Tn, BTreeMap<(Timestamp, u64), ()>>,
    coverage: BTreeMap<(std::sync::Arc<str>, Timestamp), Coverage>,
    /// What [`Lookup::forgotten_before`] says.
    pub forgotten: Option<Timestamp>,
}

impl Memory {
    /// One with these in it.
    ///
    /// # Errors
    ///
    /// [`StoreError::UidTaken`].
    pub fn of(records: Vec<StoredCall>, coverage: Vec<Coverage>) -> Result<Self, StoreError> {
        let mut store = Self::default();
        for r in records {
            store.append_begin(&r.begin)?;
            if let Some(end) = &r.end {
                store.append_end(end)?;
            }
        }
        for c in coverage {
            store.append_coverage(&c)?;
        }
        Ok(store)
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    fn read(
        &self,
        index: &HashMap<Tn, BTreeMap<(Timestamp, u64), ()>>,
        number: Tn,
        from: Timestamp,
        until: Timestamp,
    ) -> Vec<u64> {
        index
            .get(&number)
            .map(|i| {
                i.range((from, 0)..=(until, u64::MAX))
                    .map(|(k, ())| k.1)
                    .collect()
            })
            .unwrap_or_default()
    }

    fn records(&self, uids: Vec<u64>) -> Vec<StoredCall> {
        uids.iter()
            .filter_map(|u| self.records.get(u))
            .cloned()
            .collect()
    }
}

impl Lookup for Memory {
    fn last_uid(&self) -> u64 {
        self.records.keys().next_back().copied().unwrap_or_default()
    }

    fn look_up(
        &self,
        role: Role,
        number: Tn,
        from: Timestamp,
        until: Timestamp,
        most: u64,
    ) -> Result<Bounded, StoreError> {
        let index = match role {
            Role::Called => &self.called,
            Role::Calling => &self.calling,
        };
        let uids = self.read(index, number, from, until);
        Ok(match uids.len() as u64 {
            count if count > most => Bounded::TooMany(count),
            _ => Bounded::All(self.records(uids)),
        })
    }

    fn coverage(&self, from: Timestamp, until: Timestamp) -> Result<Vec<Coverage>, StoreError> {
        let touches = |c: &&Coverage| c.from <= until && c.until >= from;
        Ok(self.coverage.values().filter(touches).cloned().collect())
    }

    fn forgotten_before(&self) -> Option<Timestamp> {
        self.forgotten
    }
}

impl Store for Memory {
    fn append_begin(&mut self, begin: &Begin) -> Result<(), StoreError> {
        if self.records.contains_key(&begin.uid) {
            return Err(StoreError::UidTaken(begin.uid));
        }
        let key = (begin.at, begin.uid);
        let n = &begin.numbers;
        for tn in [n.called, n.to, n.diverted_from].into_iter().flatten() {
            self.called.entry(tn).or_default().insert(key, ());
        }
        for tn in [n.from, n.asserted, n.remote_party, begin.verdict.orig]
            .into_iter()
            .flatten()
        {
            self.calling.entry(tn).or_default().insert(key, ());
        }
        let record = StoredCall {
            begin: begin.clone(),
            end: None,
        };
        self.records.insert(begin.uid, record);
        Ok(())
    }

    fn append_end(&mut self, end: &End) -> Result<(), StoreError> {
        if let Some(record) = self.records.get_mut(&end.uid) {
            record.end = Some(end.clone());
        }
        Ok(())
    }

    fn append_coverage(&mut self, coverage: &Coverage) -> Result<(), StoreError> {
        let key = (coverage.sensor.clone(), coverage.from);
        self.coverage.insert(key, coverage.clone());
        Ok(())
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}
