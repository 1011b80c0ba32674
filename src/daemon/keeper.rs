//! A store that goes on when the disk does not: full, gone, or failing.
//!
//! What was taken in since the last commit is kept in memory as well. When the store refuses anything, it is closed, what comes is held, and every few
//! seconds the store is opened anew; what had not become durable is put in again, and nothing twice. The room for what is held is bounded: evidence goes
//! first, then the newest records are lost, counted by sensor and minute so that the ledger says so.
//!
//! A store that refuses records because little of its disk is free stays open: it is read, it takes the ledger's rows, and it makes room as retention
//! comes. Records wait for it within the same bounds.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::found::StoreFound;
use crate::base::Timestamp;
use crate::call::classify::Campaign;
use crate::call::classify::campaign::CampaignId;
use crate::call::record::evidence::StoredEvidence;
use crate::call::record::{Begin, Coverage, End};
use crate::number::Tn;
use crate::store::embedded::{
    CurrentReader, EmbeddedStore, RetentionReport, Room, SpaceReport, StoreCounters, StoreSettings,
};
use crate::store::{Bounded, Lookup, Role, Store, StoreError};

/// How often a store that failed is opened anew.
const RETRY: Duration = Duration::from_secs(2);

/// What may be held, first halves, second halves, rows and evidence together: 26 s of 5,000 calls/s, some 200 MB at most.
const HELD: usize = 262_144;

/// Of these, evidence: it is much larger than the rest, and worth less.
const HELD_EVIDENCE: usize = 16_384;

/// Campaigns of which the last state is held: each is below 4 KiB.
const HELD_CAMPAIGNS: usize = 8_192;

/// How often the store looks for segments to merge.
const MERGING: Duration = Duration::from_secs(10);

/// How often retention looks for what is too old: it forgets by the hour.
const RETENTION: Duration = Duration::from_secs(600);

/// How the store is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreHealth {
    /// Why nothing can be written now; `None` while all is well.
    pub trouble: Option<String>,
    /// Times that it failed.
    pub failures: u64,
    /// What is held until it can be written.
    pub held: usize,
    /// Records, first halves, that are lost for want of room.
    pub lost: u64,
    /// Second halves lost: how calls went on.
    pub lost_ends: u64,
    /// States of campaigns lost; a later one makes up for it.
    pub lost_campaigns: u64,
    /// Calls whose evidence is lost.
    pub lost_evidence: u64,
    /// When all that was taken in was last made durable.
    pub committed: Option<Timestamp>,
    /// What the store did since it was last opened.
    pub counters: StoreCounters,
    /// What opening it came upon.
    pub found: StoreFound,
    /// How much room its disk has.
    pub space: SpaceReport,
}

/// A record that could not be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostRecord {
    /// The sensor that saw the call.
    pub sensor: Arc<str>,
    /// When.
    pub at: Timestamp,
}

/// The store of a daemon.
pub struct Keeper {
    path: PathBuf,
    settings: StoreSettings,
    store: Option<EmbeddedStore>,
    last_uid: u64,
    forgotten: Option<Timestamp>,
    /// Not durable yet, in order.
    held: VecDeque<Entry>,
    held_evidence: usize,
    /// Refused for want of room, in order: not in the store, but for those of which it was not known when it was opened anew.
    waiting: VecDeque<Entry>,
    /// Of those that wait, up to which uid the store may hold them already.
    waiting_known: u64,
    /// Rows of the ledger that are not durable yet, the newest of each: a minute of a sensor takes one place however often it is told.
    rows: BTreeMap<(Arc<str>, Timestamp), Coverage>,
    /// Campaigns that are not durable yet, the last state of each.
    campaigns: BTreeMap<CampaignId, Campaign>,
    /// Room for what is held, and how much of it evidence may take.
    room: (usize, usize),
    next_try: Instant,
    next_retention: Instant,
    next_merging: Instant,
    /// Why retention deletes nothing.
    held_up: Option<String>,
    health: StoreHealth,
    shown: Arc<ArcSwap<StoreHealth>>,
    reader: CurrentReader,
    on_lost: Box<dyn FnMut(LostRecord) + Send>,
    now: fn() -> Timestamp,
}

#[derive(Debug)]
enum Entry {
    Begin(Box<Begin>),
    End(End),
    Evidence(Box<StoredEvidence>),
}

/// Says what retention deleted that the shared engine never had.
fn told(report: &RetentionReport) {
    if report.never_forwarded > 0 {
        tracing::error!(
            segments = report.never_forwarded,
            "deleted, and the shared engine never had them: it was away for a month longer than records are kept"
        );
    }
}

impl Keeper {
    /// Opens the store.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: at the start, trouble is the operator's to mend; only later is it lived with.
    pub fn open(
        path: PathBuf,
        settings: StoreSettings,
        now: fn() -> Timestamp,
    ) -> Result<Self, StoreError> {
        let store = EmbeddedStore::open(&path, settings.clone())?;
        let mut health = StoreHealth::default();
        health
            .found
            .add(&path, &settings, store.open_report(), now());
        let begin = Instant::now();
        let reader = CurrentReader::default();
        reader.store(Some(Arc::new(store.reader())));
        let mut keeper = Self {
            last_uid: store.last_uid(),
            forgotten: store.forgotten_before(),
            path,
            settings,
            store: Some(store),
            held: VecDeque::new(),
            held_evidence: 0,
            waiting: VecDeque::new(),
            waiting_known: 0,
            rows: BTreeMap::new(),
            campaigns: BTreeMap::new(),
            room: (HELD, HELD_EVIDENCE),
            next_try: begin,
            next_retention: begin,
            next_merging: begin,
            held_up: None,
            health,
            shown: Arc::default(),
            reader,
            on_lost: Box::new(|_| ()),
            now,
        };
        keeper.watch_room();
        keeper.show();
        Ok(keeper)
    }

    /// How it is, for other threads.
    pub fn health(&self) -> Arc<ArcSwap<StoreHealth>> {
        Arc::clone(&self.shown)
    }

    /// The store as it can be read now, for other threads: it is another one after trouble.
    pub fn reader(&self) -> CurrentReader {
        Arc::clone(&self.reader)
    }

    /// Whom to tell of each record that is lost.
    pub fn tell_lost(&mut self, whom: impl FnMut(LostRecord) + Send + 'static) {
        self.on_lost = Box::new(whom);
    }

    /// Makes everything durable and closes. Gives how many records could not be written now: the ledger has no word of them, but the next start
    /// says that nobody looked since before them.
    pub fn close(mut self) -> u64 {
        self.next_try = Instant::now();
        self.turn();
        self.reader.store(None);
        let lost = self.health.lost;
        if self.store.is_none() {
            for entry in std::mem::take(&mut self.held) {
                self.lose(entry);
            }
        }
        for entry in std::mem::take(&mut self.waiting) {
            self.lose(entry);
        }
        self.show();
        self.health.lost - lost
    }

    /// Takes an entry in: to the store where that works, and to memory until it is durable.
    fn take(&mut self, entry: Entry) {
        // In their order: an end never before its record.
        if !self.waiting.is_empty() {
            return self.wait(entry);
        }
        if let Some(store) = &mut self.store
            && let Err(e) = entry.put(store)
        {
            match e {
                StoreError::TooLong { .. } => return self.lose(entry),
                StoreError::NoRoom { .. } => {
                    self.refused(&e);
                    self.waiting_known = 0;
                    return self.wait(entry);
                }
                e => self.fail(&e),
            }
        }
        let evidence = matches!(entry, Entry::Evidence(_));
        let (room, room_for_evidence) = self.room;
        if self.held.len() >= room || (evidence && self.held_evidence >= room_for_evidence) {
            if self.store.is_none() {
                return self.lose(entry);
            }
            // A burst: what is held becomes durable now, and need not be held.
            self.commit_now();
            if self.store.is_none() {
                return self.lose(entry);
            }
        }
        self.held_evidence += usize::from(evidence);
        self.held.push_back(entry);
    }

    /// Keeps an entry until the store has room. Evidence is not waited for.
    fn wait(&mut self, entry: Entry) {
        let full = self.waiting.len() + self.held.len() >= self.room.0;
        if full || matches!(entry, Entry::Evidence(_)) {
            return self.lose(entry);
        }
        self.waiting.push_back(entry);
    }

    /// Says once that the store refuses records for want of room.
    fn refused(&mut self, why: &StoreError) {
        if self.health.trouble.is_none() {
            tracing::error!("{why}; records are held in memory meanwhile, and then lost");
            self.health.failures += 1;
        }
        self.health.trouble = Some(why.to_string());
    }

    /// Puts what waited into a store that has room again.
    fn put_waiting(&mut self) {
        while let (Some(store), Some(entry)) = (&mut self.store, self.waiting.front()) {
            match entry.put_again(store, self.waiting_known) {
                Ok(()) => self.held.extend(self.waiting.pop_front()),
                Err(e @ StoreError::NoRoom { .. }) => return self.refused(&e),
                Err(StoreError::TooLong { .. }) => {
                    let entry = self.waiting.pop_front();
                    entry.into_iter().for_each(|e| self.lose(e));
                }
                Err(e) => return self.fail(&e),
            }
        }
        let has_room = |s: &EmbeddedStore| s.space().room != Room::None;
        if self.store.as_ref().is_some_and(has_room) && self.health.trouble.take().is_some() {
            tracing::info!(
                store = %self.path.display(),
                lost = self.health.lost,
                "the store has room again; what was held is written"
            );
        }
    }

    fn lose(&mut self, entry: Entry) {
        match entry {
            Entry::Begin(begin) => {
                self.health.lost += 1;
                (self.on_lost)(LostRecord {
                    sensor: begin.sensor,
                    at: begin.at,
                });
            }
            Entry::End(_) => self.health.lost_ends += 1,
            Entry::Evidence(_) => self.health.lost_evidence += 1,
        }
    }

    fn fail(&mut self, why: &StoreError) {
        // Once, and not again for each vain attempt to open it.
        if self.store.is_some() {
            tracing::error!(
                store = %self.path.display(),
                "records can't be stored: {why}; they are held in memory and written when the store can be opened again, tried every {} s",
                RETRY.as_secs()
            );
        }
        self.health.failures += 1;
        self.health.trouble = Some(why.to_string());
        self.next_try = Instant::now() + RETRY;
        self.reader.store(None);
        // What waited for room waits for the store.
        self.held.append(&mut self.waiting);
        if let Some(store) = self.store.take() {
            self.health.counters = store.counters();
        }
    }

    /// Opens a store that failed, when it is time, and makes everything durable.
    fn turn(&mut self) {
        if self.store.is_none() && Instant::now() >= self.next_try {
            self.open_again();
        }
        self.commit_now();
        self.show();
    }

    fn open_again(&mut self) {
        let opened = EmbeddedStore::open(&self.path, self.settings.clone());
        let put = opened.and_then(|mut store| {
            let known = store.last_uid();
            let mut refused = None;
            for (place, entry) in self.held.iter().enumerate() {
                match entry.put_again(&mut store, known) {
                    Err(e @ StoreError::NoRoom { .. }) => {
                        refused = Some((place, e));
                        break;
                    }
                    other => other?,
                }
            }
            for row in self.rows.values() {
                store.append_coverage(row)?;
            }
            for campaign in self.campaigns.values() {
                store.append_campaign(campaign)?;
            }
            store.commit()?;
            Ok((store, known, refused))
        });
        if let Ok((store, ..)) = &put {
            let report = store.open_report();
            self.health
                .found
                .add(&self.path, &self.settings, report, (self.now)());
        }
        match put {
            Ok((store, known, Some((place, e)))) => {
                self.reader.store(Some(Arc::new(store.reader())));
                self.store = Some(store);
                self.waiting = self.held.split_off(place);
                self.waiting_known = known;
                self.health.trouble = None;
                self.refused(&e);
            }
            Ok((store, _, None)) => {
                tracing::info!(
                    store = %self.path.display(),
                    held = self.held.len(),
                    lost = self.health.lost,
                    "the store takes records again; what was held is written"
                );
                self.reader.store(Some(Arc::new(store.reader())));
                self.store = Some(store);
                self.health.trouble = None;
            }
            Err(e) => self.fail(&e),
        }
    }

    fn commit_now(&mut self) {
        let Some(store) = &mut self.store else {
            return;
        };
        match store.commit() {
            Ok(()) => {
                self.held.clear();
                self.held_evidence = 0;
                self.rows.clear();
                self.campaigns.clear();
                self.health.committed = Some((self.now)());
                self.put_waiting();
            }
            Err(e) => self.fail(&e),
        }
        self.watch_room();
        if Instant::now() >= self.next_merging {
            self.next_merging = Instant::now() + MERGING;
            if let Some(store) = &mut self.store {
                // In the background; what fails there is logged and counted, and takes nothing from anybody.
                let _ = store.tend((self.now)());
            }
        }
        if Instant::now() >= self.next_retention {
            self.next_retention = Instant::now() + RETENTION;
            match self.store.as_mut().map(|s| s.retain((self.now)())) {
                Some(Ok(report)) => {
                    told(&report);
                    self.note_retention(report.held_up);
                }
                Some(Err(e)) => self.fail(&e),
                None => {}
            }
        }
    }

    /// Says once that retention waits for a legal hold, and once that it goes on.
    fn note_retention(&mut self, held_up: Option<String>) {
        match (&self.held_up, &held_up) {
            (None, Some(why)) => tracing::error!(
                store = %self.path.display(),
                "retention deletes nothing, because a legal hold can't be filled: {why}; it is tried again every {} min",
                RETENTION.as_secs() / 60
            ),
            (Some(_), None) => tracing::info!(store = %self.path.display(), "retention goes on"),
            _ => {}
        }
        self.held_up = held_up;
    }

    /// Says once that room is scarce, and once that it no longer is.
    fn watch_room(&mut self) {
        let Some(store) = &self.store else { return };
        let (now, was) = (store.space(), self.health.space);
        self.health.space = now;
        if let Err(e) = store.has_room() {
            self.refused(&e);
        }
        if now.room == was.room {
            return;
        }
        let store = self.path.display();
        match (was.room, now.room) {
            (Room::Plenty, Room::Scarce | Room::None) => tracing::warn!(
                %store,
                "{now}: until there is twice that, no evidence is kept, and its oldest days are deleted"
            ),
            (Room::Scarce | Room::None, Room::Plenty) => {
                tracing::info!(%store, "{now}: evidence is kept again");
            }
            // The refusal of a record says it, and the end of that.
            _ => {}
        }
    }

    fn show(&mut self) {
        if let Some(store) = &self.store {
            self.health.counters = store.counters();
            self.forgotten = store.forgotten_before();
        }
        // What is held while all is well is durable within a second: no news.
        self.health.held = match self.store {
            Some(_) => self.waiting.len(),
            None => self.held.len(),
        };
        self.shown.store(Arc::new(self.health.clone()));
    }

    fn reading(&self) -> Result<&EmbeddedStore, StoreError> {
        self.store.as_ref().ok_or_else(|| StoreError::LogFailed {
            path: self.path.clone(),
            why: self.health.trouble.clone().unwrap_or_default(),
        })
    }
}

impl Entry {
    fn put(&self, store: &mut EmbeddedStore) -> Result<(), StoreError> {
        match self {
            Self::Begin(begin) => store.append_begin(begin),
            Self::End(end) => store.append_end(end),
            Self::Evidence(evidence) => store.append_evidence(evidence),
        }
    }

    /// Puts it into a store that was opened anew and may hold it already. `known` is the highest uid it had then.
    fn put_again(&self, store: &mut EmbeddedStore, known: u64) -> Result<(), StoreError> {
        if let Self::Begin(begin) = self
            && begin.uid <= known
            && holds(store, begin)?
        {
            return Ok(());
        }
        match self.put(store) {
            Err(StoreError::UidTaken(_)) => Ok(()),
            other => other,
        }
    }
}

/// Whether a store has a record on disk. One without any number is told by its log alone.
fn holds(store: &EmbeddedStore, begin: &Begin) -> Result<bool, StoreError> {
    let n = &begin.numbers;
    let calls = match (n.called, n.from) {
        (Some(called), _) => store.by_called(called, begin.at, begin.at)?,
        (None, Some(from)) => store.by_calling(from, begin.at, begin.at)?,
        (None, None) => Vec::new(),
    };
    Ok(calls.iter().any(|c| c.begin.uid == begin.uid))
}

/// Appending never fails: see [`Keeper`].
impl Lookup for Keeper {
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
        self.reading()?.look_up(role, number, from, until, most)
    }

    fn coverage(&self, from: Timestamp, until: Timestamp) -> Result<Vec<Coverage>, StoreError> {
        self.reading()?.coverage(from, until)
    }

    fn campaigns(&self, from: Timestamp, until: Timestamp) -> Result<Vec<Campaign>, StoreError> {
        self.reading()?.campaigns(from, until)
    }

    fn forgotten_before(&self) -> Option<Timestamp> {
        self.forgotten
    }
}

impl Store for Keeper {
    fn append_begin(&mut self, begin: &Begin) -> Result<(), StoreError> {
        self.last_uid = self.last_uid.max(begin.uid);
        self.take(Entry::Begin(Box::new(begin.clone())));
        Ok(())
    }

    fn append_end(&mut self, end: &End) -> Result<(), StoreError> {
        self.take(Entry::End(end.clone()));
        Ok(())
    }

    fn append_coverage(&mut self, row: &Coverage) -> Result<(), StoreError> {
        if let Some(store) = &mut self.store
            && let Err(e) = store.append_coverage(row)
        {
            self.fail(&e);
        }
        let key = (row.sensor.clone(), row.from);
        self.rows.insert(key, row.clone());
        Ok(())
    }

    fn append_evidence(&mut self, evidence: &StoredEvidence) -> Result<(), StoreError> {
        self.take(Entry::Evidence(Box::new(evidence.clone())));
        Ok(())
    }

    fn append_campaign(&mut self, campaign: &Campaign) -> Result<(), StoreError> {
        if let Some(store) = &mut self.store
            && let Err(e) = store.append_campaign(campaign)
        {
            if matches!(e, StoreError::TooLong { .. }) {
                self.health.lost_campaigns += 1;
                return Ok(());
            }
            self.fail(&e);
        }
        if self.campaigns.len() < HELD_CAMPAIGNS || self.campaigns.contains_key(&campaign.id) {
            self.campaigns.insert(campaign.id.clone(), campaign.clone());
        } else if self.store.is_none() {
            self.health.lost_campaigns += 1;
        } else {
            self.commit_now();
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.turn();
        Ok(())
    }
}
