//! A store that goes on when the disk does not: full, gone, or failing.
//!
//! What was taken in since the last commit is kept in memory as well. When the store refuses anything, it is closed, what comes is held, and every few
//! seconds the store is opened anew; what had not become durable is put in again, and nothing twice. The room for what is held is bounded: evidence goes
//! first, then the newest records are lost, counted by sensor and minute so that the ledger says so.
//!
//! A store that refuses records because little of its disk is free stays open: it is read, it takes the ledger's rows, and it makes room as retention
//! comes. Records wait for it within the same bounds.

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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::store::embedded::MinFree;
    use crate::store::embedded::tests::evidence::evidence;
    use crate::store::embedded::tests::made::{begin, end, tn};

    fn keeper(folder: &Path) -> (Keeper, Arc<Mutex<Vec<LostRecord>>>) {
        let path = folder.join("store");
        let mut keeper =
            Keeper::open(path, StoreSettings::default(), crate::host::clock::now).unwrap();
        let lost = Arc::<Mutex<Vec<LostRecord>>>::default();
        let told = lost.clone();
        keeper.tell_lost(move |record| told.lock().unwrap().push(record));
        (keeper, lost)
    }

    /// As when the disk is full.
    fn refuse(keeper: &mut Keeper) {
        keeper.fail(&StoreError::LogFailed {
            path: keeper.path.clone(),
            why: "No space left on device".to_owned(),
        });
        keeper.next_try = Instant::now() + Duration::from_secs(3_600);
    }

    fn uids(keeper: &Keeper) -> Vec<u64> {
        let all = keeper.by_called(tn("12025550100"), Timestamp::MIN, Timestamp::MAX);
        let mut uids: Vec<u64> = all.unwrap().iter().map(|c| c.begin.uid).collect();
        uids.sort_unstable();
        uids
    }

    #[test]
    fn what_finds_no_room_while_the_store_takes_nothing_is_told_and_the_rest_is_written_once() {
        let dir = tempfile::tempdir().unwrap();
        let (mut keeper, lost) = keeper(dir.path());
        keeper.room = (5, 2);
        for uid in 1..=3 {
            keeper.append_begin(&begin(uid)).unwrap();
        }
        keeper.commit().unwrap();
        // Taken in and perhaps in the log, but nobody has said that it is durable.
        keeper.append_begin(&begin(4)).unwrap();
        refuse(&mut keeper);
        for uid in 5..=10 {
            keeper.append_begin(&begin(uid)).unwrap();
            keeper.commit().unwrap();
        }
        let health = keeper.health().load_full();
        assert_eq!((health.held, health.lost), (5, 2));
        assert!(health.trouble.is_some());
        let told: Vec<_> = lost.lock().unwrap().clone();
        let one = begin(9);
        let (sensor, at) = (one.sensor, one.at);
        assert_eq!(told, vec![LostRecord { sensor, at }; 2]);
        keeper.next_try = Instant::now();
        keeper.commit().unwrap();
        keeper.append_begin(&begin(11)).unwrap();
        keeper.commit().unwrap();
        let health = keeper.health().load_full();
        assert_eq!((health.held, health.lost), (0, 2));
        assert_eq!(health.trouble, None);
        assert_eq!(uids(&keeper), [1, 2, 3, 4, 5, 6, 7, 8, 11]);
        assert_eq!(keeper.close(), 0);
    }

    /// The running minute is told every two seconds: days without a store must not cost a place for each time.
    /// A keeper whose disk has as many MiB free as the test says, of which 10 must stay so.
    fn guarded(folder: &Path) -> (Keeper, Arc<Mutex<Vec<LostRecord>>>, Arc<AtomicU64>) {
        let (mut keeper, lost) = keeper(folder);
        let free = Arc::new(AtomicU64::new(1_000));
        let told = free.clone();
        let store = keeper.store.as_mut().unwrap();
        store.guard(MinFree::Octets(10 << 20), move || {
            told.load(Ordering::Relaxed) << 20
        });
        (keeper, lost, free)
    }

    #[test]
    fn what_a_disk_without_room_does_not_take_waits_in_order_and_is_written_once() {
        let dir = tempfile::tempdir().unwrap();
        let (mut keeper, lost, free) = guarded(dir.path());
        keeper.room = (6, 2);
        keeper.append_begin(&begin(1)).unwrap();
        free.store(9, Ordering::Relaxed);
        keeper.commit().unwrap();
        let reader = keeper.reader();
        for uid in 2..=4 {
            keeper.append_begin(&begin(uid)).unwrap();
            keeper.append_end(&end(&begin(uid))).unwrap();
        }
        keeper.append_evidence(&evidence(4)).unwrap();
        keeper.append_begin(&begin(5)).unwrap();
        keeper.append_end(&end(&begin(5))).unwrap();
        keeper.commit().unwrap();
        let health = keeper.health().load_full();
        assert!(health.trouble.as_ref().unwrap().contains("9 MiB are free"));
        assert_eq!(
            (
                health.held,
                health.lost,
                health.lost_ends,
                health.lost_evidence
            ),
            (6, 1, 1, 1)
        );
        assert_eq!(lost.lock().unwrap().len(), 1);
        assert!(reader.load().is_some(), "it is read still");
        assert_eq!(uids(&keeper), [1]);
        let row = Coverage {
            sensor: "edge-1".into(),
            from: begin(1).at,
            until: begin(1).at.plus(Duration::from_secs(60)),
            lost_records: 1,
            ..Coverage::default()
        };
        keeper.append_coverage(&row).unwrap();
        keeper.commit().unwrap();
        let at = begin(1).at;
        assert_eq!(keeper.coverage(at, at).unwrap()[0].lost_records, 1);
        free.store(1_000, Ordering::Relaxed);
        keeper.commit().unwrap();
        keeper.append_begin(&begin(6)).unwrap();
        keeper.commit().unwrap();
        let health = keeper.health().load_full();
        assert_eq!(
            (health.trouble.as_ref(), health.held, health.lost),
            (None, 0, 1)
        );
        let all = keeper
            .by_called(tn("12025550100"), Timestamp::MIN, Timestamp::MAX)
            .unwrap();
        let ended: Vec<_> = all.iter().map(|c| (c.begin.uid, c.end.is_some())).collect();
        assert_eq!(
            ended,
            [(1, false), (2, true), (3, true), (4, true), (6, false)]
        );
    }

    #[test]
    fn a_store_opened_anew_without_room_writes_later_what_it_lacks_and_nothing_twice() {
        let dir = tempfile::tempdir().unwrap();
        let (mut keeper, _, _) = guarded(dir.path());
        keeper.append_begin(&begin(1)).unwrap();
        // In the log, though nobody has said that it is durable.
        keeper.store.as_mut().unwrap().commit().unwrap();
        keeper.append_end(&end(&begin(1))).unwrap();
        keeper.append_begin(&begin(2)).unwrap();
        refuse(&mut keeper);
        keeper.append_begin(&begin(3)).unwrap();
        // More than any disk has.
        keeper.settings.min_free = MinFree::Octets(u64::MAX / 4);
        keeper.next_try = Instant::now();
        keeper.commit().unwrap();
        assert!(keeper.reader().load().is_some());
        assert!(
            keeper
                .health
                .trouble
                .as_ref()
                .unwrap()
                .contains("min_free_mb")
        );
        keeper.append_begin(&begin(4)).unwrap();
        keeper.store.as_mut().unwrap().seal().unwrap();
        let store = keeper.store.as_mut().unwrap();
        store.guard(MinFree::Octets(1), || 1 << 40);
        keeper.commit().unwrap();
        keeper.commit().unwrap();
        assert_eq!(uids(&keeper), [1, 2, 3, 4]);
        assert_eq!(keeper.health.trouble, None);
        let put = keeper.store.as_ref().unwrap().counters().begins;
        assert_eq!(put, 2, "1 and 2 were there");
    }

    #[test]
    fn what_waits_for_room_at_the_end_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let (mut keeper, lost, free) = guarded(dir.path());
        free.store(0, Ordering::Relaxed);
        keeper.commit().unwrap();
        keeper.append_begin(&begin(1)).unwrap();
        assert_eq!(keeper.close(), 1);
        assert_eq!(lost.lock().unwrap().len(), 1);
    }

    #[test]
    fn a_minute_takes_one_place_however_often_it_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let (mut keeper, _) = keeper(dir.path());
        refuse(&mut keeper);
        let minute = Timestamp::from_secs(1_795_512_600);
        for told in 1..=100u64 {
            let row = Coverage {
                sensor: "edge".into(),
                from: minute,
                until: minute.plus(Duration::from_millis(told)),
                packets: told,
                ..Coverage::default()
            };
            keeper.append_coverage(&row).unwrap();
        }
        assert_eq!((keeper.held.len(), keeper.rows.len()), (0, 1));
        keeper.next_try = Instant::now();
        keeper.commit().unwrap();
        assert!(keeper.rows.is_empty());
        let rows = keeper.coverage(Timestamp::MIN, Timestamp::MAX).unwrap();
        let packets: Vec<_> = rows.iter().map(|r| r.packets).collect();
        assert_eq!(packets, [100]);
    }

    #[test]
    fn campaigns_are_held_as_they_last_stood_while_the_store_takes_nothing() {
        use crate::call::classify::campaign::{CampaignState, Key};
        let dir = tempfile::tempdir().unwrap();
        let (mut keeper, _) = keeper(dir.path());
        refuse(&mut keeper);
        let at = Timestamp::from_secs(1_795_512_600);
        for volume in 1..=100 {
            let campaign = Campaign {
                id: "1-calling-number".into(),
                peer: None,
                key: Key::CallingNumber("12025550199".into()),
                first: at,
                last: at,
                volume,
                flags: Vec::new(),
                signers: Vec::new(),
                examples: Vec::new(),
                state: CampaignState::Open,
            };
            keeper.append_campaign(&campaign).unwrap();
        }
        assert_eq!(keeper.campaigns.len(), 1);
        keeper.next_try = Instant::now();
        keeper.commit().unwrap();
        assert!(keeper.campaigns.is_empty());
        let found = keeper.campaigns(at, at).unwrap();
        assert_eq!(found.iter().map(|c| c.volume).collect::<Vec<_>>(), [100]);
    }

    #[test]
    fn an_end_on_a_store_that_takes_nothing_says_how_many_records_are_lost() {
        let dir = tempfile::tempdir().unwrap();
        let (mut keeper, lost) = keeper(dir.path());
        refuse(&mut keeper);
        for uid in 1..=3 {
            keeper.append_begin(&begin(uid)).unwrap();
        }
        fs::remove_dir_all(dir.path().join("store")).unwrap();
        fs::write(dir.path().join("store"), "no folder").unwrap();
        assert_eq!(keeper.close(), 3);
        assert_eq!(lost.lock().unwrap().len(), 3);
    }
}
