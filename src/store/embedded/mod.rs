//! The embedded store: no server, one folder, a log and Parquet files.
//!
//! ```text
//! format                                      "tracehop store, format 3"
//! lock                                        held while a process writes; holds its process id
//! forgotten                                   until when retention has deleted everything (RFC 3339)
//! wal/0000000007.wal                          the open log, and one more while its records are being sealed
//! seg/2026-11-24/13/manifest                  which files of the hour count: see `manifest`
//! seg/2026-11-24/13/s-0000000006-….parquet    records of one hour of capture time, from log 6: see `segment`
//! seg/2026-11-24/13/s-0000000006-….cix        who called, and other called numbers: see `index`
//! seg/2026-11-24/13/e-0000000006-….ends       second halves that came after their segment was sealed: see `ends`
//! coverage/2026-11-24.parquet                 what the sensors saw, minute by minute: see `ledger`
//! campaigns/2026-11-24.jsonl                 campaigns, one state a line: see `campaigns`
//! evidence/2026-11-24/0000000001-….ev         what it takes to judge calls again: see `evidence`
//! holds/C-7/…                                 calls that a case keeps beyond retention: see `hold`
//! keys/2026-11-24.key                         in an encrypted store: the key of a day, wrapped: see `vault`
//! damaged/seg/2026-11-24/13/s-….parquet      what a repair set aside: see `check`
//! ```
//!
//! A record goes into the log and into memory ([`append_begin`](crate::store::Store::append_begin)), is durable after [`commit`](crate::store::Store::commit), and is sealed into a
//! segment once enough have come. Capture time decides the folder, never the wall clock. The log is unlinked when all its
//! files are durable and listed in the manifests of their hours; until then they are void. Names say what a look-up needs to pass a file by.
//!
//! - `codec`, `names`: records as octets · `log`: frames, group commit, reading back · `memtable`: what is not sealed yet
//! - `table`, `sums`: Parquet, page by page, under checksums · `segment`, `index`, `ends`, `ledger`: the four kinds of file · `seal`: memory becomes files
//! - `evidence`: what it takes to judge calls again · `campaigns`: JSON lines by the day
//! - `layout`: where everything lies · `manifest`: what counts of it · `recover`: opening · `lookup`: [`StoreReader`] · `retention`: forgetting by the hour · `space`: the guard of the disk · `hold`: calls kept for a case
//! - `vault`: keys of days · `blocks`: files sealed block by block · `erase`: forgetting days before their time
//!
//! Any Parquet tool reads the records, for instance `SELECT * FROM 'seg/2026-11-24/*/*.parquet' WHERE called = 12025550123`.

mod blocks;
mod campaigns;
mod check;
mod codec;
mod compact;
mod ends;
mod erase;
mod evidence;
pub mod export;
mod gaps;
pub mod hold;
mod index;
mod layout;
mod ledger;
mod lock;
mod log;
mod lookup;
mod manifest;
mod memtable;
mod names;
mod recover;
mod retention;
mod seal;
mod segment;
mod settings;
mod space;
pub(in crate::store) mod spool;
mod sums;
mod table;
mod take;
#[cfg(test)]
pub(crate) mod tests;
mod vault;

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

pub use check::{
    CheckOptions, CheckReport, Finding, Grade, Progress, Remedy, RepairReport, Repaired, check,
    repair,
};
pub use compact::{CompactionCounters, CompactionSettings, RoomGuard};
pub use lookup::{CurrentReader, Held, StoreReader};
pub use recover::OpenReport;
pub use retention::RetentionReport;
pub use settings::{Forwarded, GroupCommit, Sealing, StoreSettings};
pub use space::{Free, MinFree, Room, SharedRoom, SpaceReport};
pub use vault::{KeyListing, KeySource, StateSeal, make_key_file, rotate_keys};

use self::campaigns::CampaignWriter;
use self::codec::encode_begin;
use self::compact::Compactor;
use self::evidence::EvidenceWriter;
use self::log::Log;
use self::lookup::{Shared, State};
use self::seal::{SealJob, Sealed};
use self::space::Space;
use self::vault::Vault;
use crate::base::Timestamp;
use crate::call::record::Begin;
use crate::store::StoreError;

/// A log that has grown this long is sealed however few records it holds: many second halves for the same calls.
const LOG_TARGET: u64 = log::MAX_LOG / 4;
/// An early seal holds at least this share of a full one, so that captures of different days taken in turns don't make a
/// segment of every record.
const EARLY_SHARE: usize = 64;

/// What the store has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreCounters {
    /// First halves taken in.
    pub begins: u64,
    /// Second halves taken in.
    pub ends: u64,
    /// Coverage rows taken in.
    pub coverage: u64,
    /// Calls whose evidence was taken in.
    pub evidence: u64,
    /// Calls whose evidence was not: longer than a SIP message can be.
    pub evidence_too_long: u64,
    /// Calls whose evidence was not: too little room.
    pub evidence_no_room: u64,
    /// Days of evidence deleted before their time, to make room.
    pub evidence_days_freed: u64,
    /// First and second halves refused for want of room; whoever brought them may bring them again.
    pub refused: u64,
    /// States of campaigns taken in.
    pub campaigns: u64,
    /// States of campaigns that were not, for want of room.
    pub campaigns_no_room: u64,
    /// Taken in, but older than what retention has deleted: no look-up finds them, and no segment holds them.
    pub too_old: u64,
    /// Seals done.
    pub seals: u64,
    /// Octets in the files of these seals.
    pub sealed_octets: u64,
    /// Seals that failed and were, or will be, tried again.
    pub seal_failures: u64,
    /// What merging segments did.
    pub compaction: CompactionCounters,
}

/// The writing side of a store. One process at a time has it.
pub struct EmbeddedStore {
    reader: StoreReader,
    settings: StoreSettings,
    log: Log,
    evidence: EvidenceWriter,
    campaigns: CampaignWriter,
    last_uid: u64,
    /// The latest time that the store was told.
    now: Option<Timestamp>,
    counters: StoreCounters,
    report: OpenReport,
    sealing: Option<JoinHandle<Result<Sealed, StoreError>>>,
    compactor: Option<Compactor>,
    seal_trouble: Option<String>,
    space: Space,
    /// The time that retention was last told.
    retained_at: Option<Timestamp>,
    /// Unlocks when it is dropped, last of all.
    _lock: File,
}

impl EmbeddedStore {
    /// Opens a store to write, and makes it where there is none. Reads back the logs of a process that died.
    ///
    /// # Errors
    ///
    /// [`StoreError::Locked`] while another process writes; [`StoreError::Corrupt`] when the folder is no store, or one of a later version.
    pub fn open(path: &Path, settings: StoreSettings) -> Result<Self, StoreError> {
        recover::prepare(path, true)?;
        let lock = lock::take(path)?;
        let vault = Vault::open(path, settings.encryption.as_ref(), true)?;
        erase::finish(path, &vault)?;
        let mut report = OpenReport::default();
        let seqs = recover::logs(path, &mut report)?;
        vault.sweep_logs(&seqs)?;
        for (stale, name) in layout::list(&layout::wal(path))? {
            if name.is_some_and(|n| n.ends_with(".new")) {
                layout::remove(&stale)?;
            }
        }
        let forgotten = recover::forgotten(path)?;
        if let Some(forgotten) = forgotten {
            retention::finish(path, forgotten)?;
        }
        let mut state = State {
            hours: recover::hours(path, &seqs, true, &mut report)?,
            forgotten,
            ..State::default()
        };
        let mut counters = StoreCounters::default();
        let forgotten = state.forgotten.map_or(i64::MIN, Timestamp::nanos);
        let mut last_uid = 0;
        let mut open = None;
        for seq in &seqs {
            let recovered = recover::log(path, &vault, *seq, &mut report)?;
            last_uid = last_uid.max(recovered.last_uid);
            if Some(seq) == seqs.last() && recovered.resumable {
                if !recovered.noted.is_empty() {
                    // Before what is damaged is cut off: that it was there must not be forgotten.
                    let rows = recovered.noted.into_iter();
                    let rows = rows.map(|r| ((r.sensor.clone(), r.from), r)).collect();
                    ledger::add(path, &rows)?;
                }
                let log = Log::resume(path, *seq, recovered.valid, recovered.cipher)?;
                open = Some((log, recovered.table));
                continue;
            }
            // A log whose sealing was not finished, or one of another version.
            let job = SealJob::freeze(path, &vault, recovered.table, forgotten);
            let sealed = job.write()?;
            job.publish(&sealed, |hour| state.hours.get(&hour).cloned())?;
            counters.note(&sealed);
            state.install(&sealed, None);
        }
        if seqs.is_empty() {
            last_uid = recover::last_uid(path, &vault, &state.hours)?;
        }
        let (log, table) = match open {
            Some(open) => open,
            None => {
                let seq = next_seq(&state, &seqs);
                let log = Log::create(path, &vault, seq, last_uid)?;
                (log, memtable::Memtable::new(seq, last_uid))
            }
        };
        state.active = table;
        let evidence = EvidenceWriter::open(path, vault.clone())?;
        let campaigns = CampaignWriter::open(path, vault.clone())?;
        let shared = Arc::new(Shared::new(path, vault, state, settings.footer_cache));
        shared.compaction.spare(settings.forwarded.clone());
        let mut space = Space::new(path, settings.min_free);
        space.look();
        let room = space.shared();
        let may_write: RoomGuard = Arc::new(move |_| room.may_write());
        shared.compaction.guard_room(may_write);
        Ok(Self {
            reader: StoreReader { shared },
            space,
            retained_at: None,
            settings,
            log,
            evidence,
            campaigns,
            last_uid,
            now: None,
            counters,
            report,
            sealing: None,
            compactor: None,
            seal_trouble: None,
            _lock: lock,
        })
    }

    /// Octets of all its files on disk.
    ///
    /// # Errors
    ///
    /// What the system says; files that go away meanwhile are left out.
    pub fn size_on_disk(path: &Path) -> std::io::Result<u64> {
        let mut sum = 0u64;
        for entry in std::fs::read_dir(path)?.flatten() {
            let Ok(is) = entry.metadata() else { continue };
            let more = match is.is_dir() {
                true => Self::size_on_disk(&entry.path()).unwrap_or(0),
                false => is.len(),
            };
            sum = sum.saturating_add(more);
        }
        Ok(sum)
    }

    /// A record as the log holds it: what other stores are given when they are measured beside this one.
    pub fn octets_of(begin: &Begin) -> Vec<u8> {
        let mut body = Vec::new();
        encode_begin(begin, &mut body);
        body
    }

    /// Looks whether another process has the store open to write, and changes nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError::Locked`], with who holds it.
    pub fn look_for_holder(path: &Path) -> Result<(), StoreError> {
        match path.join("lock").exists() {
            true => lock::take(path).map(drop),
            false => Ok(()),
        }
    }

    /// Opens a store to read, also while another process writes it: shows what that process has written to the log so far (which may
    /// be more than is committed). A look-up that finds a file gone, because the writer merged or deleted it meanwhile, looks anew at what there is.
    /// One that is encrypted is opened by [`EmbeddedStore::open_reader`].
    pub fn open_read_only(path: &Path) -> Result<(StoreReader, OpenReport), StoreError> {
        Self::open_reader(path, &StoreSettings::default())
    }

    /// Opens a store to read, with a memory for footers and the key as the settings have them.
    ///
    /// # Errors
    ///
    /// [`StoreError::Key`], where the store is encrypted and the key is not its key.
    pub fn open_reader(
        path: &Path,
        settings: &StoreSettings,
    ) -> Result<(StoreReader, OpenReport), StoreError> {
        recover::prepare(path, false)?;
        let vault = Vault::open(path, settings.encryption.as_ref(), false)?;
        let (state, report) = recover::snapshot(path, &vault)?;
        let shared = Shared::beside_a_writer(path, vault, state, settings.footer_cache);
        let shared = Arc::new(shared);
        Ok((StoreReader { shared }, report))
    }

    /// A reading side for other threads: its look-ups go on beside appends.
    pub fn reader(&self) -> StoreReader {
        self.reader.clone()
    }

    /// What opening came upon.
    pub fn open_report(&self) -> &OpenReport {
        &self.report
    }

    /// What has been done since.
    pub fn counters(&self) -> StoreCounters {
        StoreCounters {
            compaction: self.reader.shared.compaction.counters(),
            ..self.counters
        }
    }

    /// Why the last merge of segments failed, until all succeed. Nothing is lost by it: what was to be merged stays as it is.
    pub fn compaction_trouble(&self) -> Option<String> {
        self.reader.shared.compaction.trouble()
    }

    /// Whom to ask before a merge whether the disk has room for so many octets more.
    pub fn guard_room(&self, guard: RoomGuard) {
        self.reader.shared.compaction.guard_room(guard);
    }

    /// Has segments merged that are worth it at `now`, the wall clock in the daemon: in the background, where seals are, and else before it
    /// returns. To be called now and then: a few times a minute.
    ///
    /// # Errors
    ///
    /// Where it is not in the background: what a merge failed by. Nothing is lost by that.
    pub fn tend(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.now = Some(now);
        self.poll_sealing();
        let settings = &self.settings.compaction;
        if settings.octets_per_second == 0 {
            return Ok(());
        }
        let shared = &self.reader.shared;
        if self.settings.sealing == Sealing::Background {
            if self.compactor.is_none() {
                self.compactor = Compactor::start(shared, settings);
            }
            if let Some(compactor) = &self.compactor {
                compactor.look(now);
            }
            return Ok(());
        }
        compact::work(shared, settings, now, false)
    }

    /// Merges all that is worth it at `now`, as fast as it goes.
    ///
    /// # Errors
    ///
    /// What the first merge that failed did so by; the others are done.
    pub fn compact(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.settle()?;
        compact::work(&self.reader.shared, &self.settings.compaction, now, false)
    }

    /// How much room the disk has, as of the last commit.
    pub fn space(&self) -> SpaceReport {
        self.space.report()
    }

    /// Whether there is room for a record.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoRoom`].
    pub fn has_room(&self) -> Result<(), StoreError> {
        self.space.admit()
    }

    /// The same for other threads, such as those whose work can wait.
    pub fn room(&self) -> SharedRoom {
        self.space.shared()
    }

    /// Looks at the disk, and makes room where there is little: a day of evidence at a time, the oldest first. The newest stays.
    fn watch_space(&mut self) -> Result<(), StoreError> {
        if self.space.look() == Room::Plenty {
            return Ok(());
        }
        let days = self.evidence.days()?;
        if let [oldest, .., newest] = days.as_slice()
            && oldest < newest
            && self.fill_holds(*oldest + 1, self.retained_at).is_ok()
        {
            self.counters.evidence_days_freed += self.evidence.forget_before(oldest + 1)?;
        }
        Ok(())
    }

    /// Counts what is refused for want of room.
    fn admit(&mut self) -> Result<(), StoreError> {
        self.space
            .admit()
            .inspect_err(|_| self.counters.refused += 1)
    }

    /// Why the last seal failed, until one succeeds. Its records are safe in the log and in memory.
    pub fn seal_trouble(&self) -> Option<&str> {
        self.seal_trouble.as_deref()
    }

    /// Seals everything taken in so far and waits for it.
    pub fn seal(&mut self) -> Result<(), StoreError> {
        self.settle()?;
        if !self.reader.shared.state().active.is_empty() {
            self.rotate()?;
            self.settle()?;
        }
        Ok(())
    }

    /// Seals everything and closes. A store that is dropped instead is committed as far as that works, and its log read back
    /// when it is opened again.
    pub fn close(mut self) -> Result<(), StoreError> {
        self.seal()?;
        self.log.commit()?;
        self.campaigns.commit()?;
        self.evidence.commit()
    }

    fn is_erased(&self, at: Timestamp) -> bool {
        self.reader.shared.vault.is_erased(ledger::day_of(at))
    }

    /// Makes room for one more record.
    fn make_room(&mut self) -> Result<(), StoreError> {
        let full = {
            let state = self.reader.shared.state();
            let table = &state.active;
            let span = table.last.zip(table.first).map(|(l, f)| l.abs_diff(f));
            let span = span.is_some_and(|s| u128::from(s) >= self.settings.segment_span.as_nanos());
            table.len() >= self.settings.segment_records
                || self.log.len() >= LOG_TARGET
                || (span && table.rows() >= self.settings.segment_records / EARLY_SHARE)
        };
        if full { self.rotate() } else { Ok(()) }
    }

    /// Freezes the active memtable, starts a new log and has the old one sealed.
    fn rotate(&mut self) -> Result<(), StoreError> {
        self.settle()?;
        self.log.commit()?;
        let shared = self.reader.shared.clone();
        let seq = self.log.seq() + 1;
        let log = Log::create(&shared.root, &shared.vault, seq, self.last_uid)?;
        let job = {
            let mut state = shared.change();
            let fresh = memtable::Memtable::new(seq, self.last_uid);
            let full = std::mem::replace(&mut state.active, fresh);
            let forgotten = state.forgotten.map_or(i64::MIN, Timestamp::nanos);
            let job = SealJob::freeze(&shared.root, &shared.vault, full, forgotten);
            state.frozen.push(job.table.clone());
            state.generation += 1;
            job
        };
        self.log = log;
        if self.settings.sealing == Sealing::Background {
            let now = self.now;
            let spawned = std::thread::Builder::new()
                .name("seal".to_owned())
                .spawn(move || run(&shared, &job, now));
            if let Ok(handle) = spawned {
                self.sealing = Some(handle);
                return Ok(());
            }
        }
        // Inline, or no thread to be had: `settle` runs what is frozen.
        self.settle()
    }

    /// Waits for sealing under way, and tries again what failed.
    fn settle(&mut self) -> Result<(), StoreError> {
        if let Some(handle) = self.sealing.take() {
            match handle.join() {
                Ok(Ok(sealed)) => self.counters.note(&sealed),
                Ok(Err(e)) => self.note_trouble(e.to_string()),
                Err(_) => self.note_trouble("the sealing thread died".to_owned()),
            }
        }
        loop {
            let job = {
                let state = self.reader.shared.state();
                let Some(table) = state.frozen.first() else {
                    self.seal_trouble = None;
                    return Ok(());
                };
                SealJob {
                    root: self.reader.shared.root.clone(),
                    table: table.clone(),
                    forgotten: state.forgotten.map_or(i64::MIN, Timestamp::nanos),
                    vault: self.reader.shared.vault.clone(),
                }
            };
            match run(&self.reader.shared, &job, self.now) {
                Ok(sealed) => self.counters.note(&sealed),
                Err(e) => {
                    self.note_trouble(e.to_string());
                    return Err(e);
                }
            }
        }
    }

    fn note_trouble(&mut self, why: String) {
        self.counters.seal_failures += 1;
        self.seal_trouble = Some(why);
    }

    /// Looks whether the sealing thread is done.
    fn poll_sealing(&mut self) {
        if self.sealing.as_ref().is_some_and(JoinHandle::is_finished) {
            // A failure is noted, and tried again when room is needed.
            let _ = self.settle();
        }
    }
}

/// Seals, and shows the files to look-ups in place of the memtable.
fn run(shared: &Shared, job: &SealJob, now: Option<Timestamp>) -> Result<Sealed, StoreError> {
    let sealed = job.write()?;
    let _files = shared.files();
    job.publish(&sealed, |hour| shared.state().hours.get(&hour).cloned())?;
    let mut state = shared.change();
    state.frozen.retain(|t| t.seq != job.table.seq);
    state.install(&sealed, now);
    Ok(sealed)
}

impl SealJob {
    fn freeze(root: &Path, vault: &Vault, mut table: memtable::Memtable, forgotten: i64) -> Self {
        table.freeze();
        Self {
            root: root.to_owned(),
            table: Arc::new(table),
            forgotten,
            vault: vault.clone(),
        }
    }
}

impl State {
    fn install(&mut self, sealed: &Sealed, now: Option<Timestamp>) {
        for hour in sealed.hours() {
            let files = self.hours.entry(hour).or_default();
            sealed.add_to(hour, files);
            files.changed = now;
        }
        self.generation += 1;
    }
}

impl StoreCounters {
    fn note(&mut self, sealed: &Sealed) {
        self.seals += 1;
        self.sealed_octets += sealed.octets;
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        // While the lock is still held.
        self.compactor = None;
        // Nobody is left to tell; what was acknowledged is durable already.
        let _ = self.log.commit();
        let _ = self.evidence.commit();
        let _ = self.campaigns.commit();
        if let Some(handle) = self.sealing.take() {
            let _ = handle.join();
        }
    }
}

/// A number that no log and no file has had.
fn next_seq(state: &State, logs: &BTreeSet<u64>) -> u64 {
    let hours = state.hours.values();
    let sealed = hours.flat_map(|h| {
        let segments = h.segments.iter().map(|s| s.seq);
        segments.chain(h.ends.iter().map(|e| e.seq))
    });
    sealed
        .chain(logs.iter().copied())
        .max()
        .map_or(1, |s| s + 1)
}
