//! A store in memory: what look-ups need of one, for a provider whose records live as long as its questions.
//!
//! Records come in order of their time, as collect gives them out; nothing is ever deleted.

use rustc_hash::FxHashMap;

use crate::base::Timestamp;
use crate::call::record::{Begin, Coverage, End, StoredCall};
use crate::number::Tn;
use crate::store::{Store, StoreError};

/// The store. Its records' uids are 1, 2, 3 and so on.
#[derive(Debug, Default)]
pub struct Memory {
    records: Vec<StoredCall>,
    called: FxHashMap<Tn, Vec<usize>>,
    calling: FxHashMap<Tn, Vec<usize>>,
    coverage: Vec<Coverage>,
}

impl Memory {
    /// Records of a window, by time.
    fn window<'s>(
        &'s self,
        index: &'s FxHashMap<Tn, Vec<usize>>,
        number: Tn,
        from: Timestamp,
        until: Timestamp,
    ) -> impl Iterator<Item = &'s StoredCall> {
        let all = index.get(&number).map_or(&[][..], |v| v);
        let at = |i: &usize| self.records.get(*i).map(|r| r.begin.at);
        let begin = all.partition_point(|i| at(i) < Some(from));
        let rest = all.get(begin..).unwrap_or_default();
        rest.iter()
            .filter_map(|i| self.records.get(*i))
            .take_while(move |r| r.begin.at <= until)
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

impl Store for Memory {
    fn last_uid(&self) -> u64 {
        self.records.len() as u64
    }

    fn append_begin(&mut self, begin: &Begin) -> Result<(), StoreError> {
        let place = self.records.len();
        if begin.uid != place as u64 + 1 {
            return Err(StoreError::UidTaken(begin.uid));
        }
        let n = &begin.numbers;
        let mut file = |index: bool, numbers: &[Option<Tn>]| {
            let index = match index {
                true => &mut self.called,
                false => &mut self.calling,
            };
            for (i, tn) in numbers.iter().enumerate() {
                // Each record once under each number.
                if let Some(tn) = tn.filter(|_| !numbers[..i].contains(tn)) {
                    index.entry(tn).or_default().push(place);
                }
            }
        };
        file(true, &[n.called, n.to, n.diverted_from]);
        file(
            false,
            &[n.from, n.asserted, n.remote_party, begin.verdict.orig],
        );
        self.records.push(StoredCall {
            begin: begin.clone(),
            end: None,
        });
        Ok(())
    }

    fn append_end(&mut self, end: &End) -> Result<(), StoreError> {
        let place = (end.uid as usize).wrapping_sub(1);
        if let Some(record) = self.records.get_mut(place) {
            record.end = Some(end.clone());
        }
        Ok(())
    }

    fn append_coverage(&mut self, coverage: &Coverage) -> Result<(), StoreError> {
        self.coverage.push(coverage.clone());
        Ok(())
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn by_called(
        &self,
        number: Tn,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<StoredCall>, StoreError> {
        Ok(self
            .window(&self.called, number, from, until)
            .cloned()
            .collect())
    }

    fn by_calling(
        &self,
        number: Tn,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<StoredCall>, StoreError> {
        Ok(self
            .window(&self.calling, number, from, until)
            .cloned()
            .collect())
    }

    fn count_by_called(
        &self,
        number: Tn,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<u64, StoreError> {
        Ok(self.window(&self.called, number, from, until).count() as u64)
    }

    fn count_by_calling(
        &self,
        number: Tn,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<u64, StoreError> {
        Ok(self.window(&self.calling, number, from, until).count() as u64)
    }

    fn coverage(&self, from: Timestamp, until: Timestamp) -> Result<Vec<Coverage>, StoreError> {
        let touches = |c: &&Coverage| c.from <= until && c.until >= from;
        Ok(self.coverage.iter().filter(touches).cloned().collect())
    }

    fn forgotten_before(&self) -> Option<Timestamp> {
        None
    }
}
