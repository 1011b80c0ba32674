//! What can be chosen about a store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::compact::CompactionSettings;
use super::space::MinFree;
use super::vault::KeySource;

/// How a store behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSettings {
    /// Records to a segment, and so the most that memory holds twice over (once taking in, once being sealed): about 250 octets each.
    pub segment_records: usize,
    /// A segment is sealed early once it spans this much capture time and holds at least a 64th of `segment_records`.
    pub segment_span: Duration,
    /// How long records are kept. [`EmbeddedStore::retain`](super::EmbeddedStore::retain) deletes what is older.
    pub retention: Duration,
    /// How long evidence is kept, where that is shorter.
    pub evidence_retention: Duration,
    /// Memory for what look-ups keep of footers: about 100 KiB for each segment of 500,000 records and its index.
    pub footer_cache: usize,
    /// Who seals.
    pub sealing: Sealing,
    /// When whoever writes commits.
    pub group_commit: GroupCommit,
    /// What a shared engine has had: the rest stays as it was sealed.
    pub forwarded: Forwarded,
    /// How segments are merged.
    pub compaction: CompactionSettings,
    /// How much of the disk must stay free.
    pub min_free: MinFree,
    /// Whose key wraps the keys of the days; `None` for a store that is not encrypted.
    pub encryption: Option<KeySource>,
}

/// Up to which log a shared engine has everything. What lies above it must not be merged, and retention spares it where it can: it goes to the engine file by file.
#[derive(Clone, Debug)]
pub struct Forwarded(Arc<AtomicU64>);

impl Forwarded {
    /// There is no engine: nothing waits.
    pub fn everything() -> Self {
        Self(Arc::new(AtomicU64::new(u64::MAX)))
    }

    /// Nothing is known to have arrived yet.
    pub fn nothing() -> Self {
        Self(Arc::default())
    }

    /// Whether all files of this log have arrived, or need not.
    pub fn has(&self, seq: u64) -> bool {
        seq <= self.up_to()
    }

    /// The last log of which all has arrived.
    pub fn up_to(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Notes that everything up to this log has arrived.
    pub fn note(&self, seq: u64) {
        self.0.store(seq, Ordering::Relaxed);
    }
}

impl PartialEq for Forwarded {
    /// Settings are the same however far forwarding has come.
    fn eq(&self, other: &Self) -> bool {
        self.has(u64::MAX) == other.has(u64::MAX)
    }
}

impl Eq for Forwarded {}

/// When records are made durable, many at once: what comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupCommit {
    /// After so long, live: what kill -9 or a power cut may cost.
    pub every: Duration,
    /// After so many records.
    pub records: u64,
}

impl Default for GroupCommit {
    /// A second, as is promised; and 65,536 records, so that a replay at full speed waits for the disk some ten times a second.
    fn default() -> Self {
        Self {
            every: Duration::from_secs(1),
            records: 65_536,
        }
    }
}

/// Who seals a full memtable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealing {
    /// A thread of its own, one at a time: appending goes on meanwhile, and waits only when the next one is full too.
    Background,
    /// The append that finds it full.
    Inline,
}

impl Default for StoreSettings {
    /// Half a million records (the measured size) or 15 minutes to a segment, 90 days (30 of evidence), 64 MiB of footers: a day and a half at 1,000 calls a second.
    /// The disk is not guarded: the configuration does that.
    fn default() -> Self {
        Self {
            segment_records: 500_000,
            segment_span: Duration::from_secs(900),
            retention: Duration::from_secs(90 * 86_400),
            evidence_retention: Duration::from_secs(30 * 86_400),
            footer_cache: 64 << 20,
            sealing: Sealing::Background,
            group_commit: GroupCommit::default(),
            forwarded: Forwarded::everything(),
            compaction: CompactionSettings::default(),
            min_free: MinFree::Octets(0),
            encryption: None,
        }
    }
}
