//! Taking in: a record goes into the log and into memory, evidence and campaigns into files of their own; a commit makes all of it durable.
//!
//! Look-ups of the writing side are those of its reader.

use super::codec::{EndFacts, encode_begin, encode_coverage};
use super::space::Room;
use super::{EmbeddedStore, ledger, log};
use crate::base::Timestamp;
use crate::call::classify::Campaign;
use crate::call::record::evidence::StoredEvidence;
use crate::call::record::{Begin, Coverage, End};
use crate::number::Tn;
use crate::store::{Bounded, Lookup, Role, Store, StoreError};

impl Lookup for EmbeddedStore {
    fn last_uid(&self) -> u64 {
        self.last_uid
    }

    fn look_up(
        &self,
        role: Role,
        number: Tn,
        from: Timestamp,
        until: Timestamp,
        most: u64,
    ) -> Result<Bounded, StoreError> {
        self.reader.look_up(role, number, from, until, most)
    }

    fn coverage(&self, from: Timestamp, until: Timestamp) -> Result<Vec<Coverage>, StoreError> {
        self.reader.coverage(from, until)
    }

    fn campaigns(&self, from: Timestamp, until: Timestamp) -> Result<Vec<Campaign>, StoreError> {
        self.reader.campaigns(from, until)
    }

    fn forgotten_before(&self) -> Option<Timestamp> {
        self.reader.forgotten_before()
    }
}

impl Store for EmbeddedStore {
    /// # Errors
    ///
    /// [`StoreError::UidTaken`] when memory holds the uid already; uids of sealed records are not looked up. [`StoreError::NoRoom`] as of the last
    /// commit.
    fn append_begin(&mut self, begin: &Begin) -> Result<(), StoreError> {
        self.admit()?;
        self.make_room()?;
        let mut body = std::mem::take(&mut self.log.body);
        body.clear();
        let keys = encode_begin(begin, &mut body);
        let mut state = self.reader.shared.change();
        // Uids rise as a rule: then there is nothing to look for.
        let taken = begin.uid <= self.last_uid
            && (state.active.holds(begin.uid) || state.frozen.iter().any(|t| t.holds(begin.uid)));
        let result = if taken {
            Err(StoreError::UidTaken(begin.uid))
        } else {
            self.log.push(log::BEGIN, &body)
        };
        if result.is_ok() {
            let table = &mut state.active;
            table.begin(begin.uid, begin.at.nanos(), &keys, &body);
            self.last_uid = self.last_uid.max(begin.uid);
            self.counters.begins += 1;
            let erased = self.reader.shared.vault.is_erased(ledger::day_of(begin.at));
            if erased || state.forgotten.is_some_and(|f| begin.at < f) {
                self.counters.too_old += 1;
            }
        }
        drop(state);
        self.log.body = body;
        result
    }

    fn append_end(&mut self, end: &End) -> Result<(), StoreError> {
        self.admit()?;
        self.make_room()?;
        let facts = EndFacts::of(end);
        let mut body = std::mem::take(&mut self.log.body);
        body.clear();
        facts.encode(&mut body);
        let result = self.log.push(log::END, &body);
        if result.is_ok() {
            self.reader.shared.change().active.end(facts);
            self.counters.ends += 1;
        }
        self.log.body = body;
        result
    }

    fn append_coverage(&mut self, coverage: &Coverage) -> Result<(), StoreError> {
        let mut body = Vec::new();
        encode_coverage(coverage, &mut body);
        self.log.push(log::COVERAGE, &body)?;
        self.reader.shared.change().active.cover(coverage.clone());
        self.counters.coverage += 1;
        Ok(())
    }

    fn append_evidence(&mut self, stored: &StoredEvidence) -> Result<(), StoreError> {
        if self.is_erased(stored.at) {
            return Ok(());
        }
        if self.space.report().room != Room::Plenty {
            self.counters.evidence_no_room += 1;
            return Ok(());
        }
        let kept = self.evidence.append(stored)?;
        self.counters.evidence += u64::from(kept);
        self.counters.evidence_too_long += u64::from(!kept);
        Ok(())
    }

    fn append_campaign(&mut self, campaign: &Campaign) -> Result<(), StoreError> {
        if self.is_erased(campaign.last) {
            return Ok(());
        }
        if self.space.report().room == Room::None {
            self.counters.campaigns_no_room += 1;
            return Ok(());
        }
        self.campaigns.append(campaign)?;
        self.counters.campaigns += 1;
        Ok(())
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.log.commit()?;
        // After the log: a record may lack its evidence, never evidence its record.
        self.evidence.commit()?;
        self.campaigns.commit()?;
        self.poll_sealing();
        self.watch_space()
    }
}
