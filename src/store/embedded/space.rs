//! The guard of the disk: before it is full, the store stops by itself, and lets go of what is worth least first.
//!
//! A disk that runs full hurts others on the same host, and leaves no room for what must be written to stay honest: the ledger's row that
//! says what was lost, the seal that makes 70 octets of 250, retention's own notes. So some of it stays free, whoever fills the rest:
//!
//! | free | the store |
//! |---|---|
//! | twice as much or more | does all it does |
//! | less | keeps no more evidence and deletes its oldest days; merges no segments |
//! | less than that | refuses records ([`StoreError::NoRoom`]); coverage and what is in the log find room still |
//!
//! Records are never deleted before their time: what has been promised to be known stays known.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::store::StoreError;

/// What stays free by default: a gibibyte, or where that is more two in a hundred of the file system. File systems slow down, and fail to find room for
/// metadata, somewhat before they are full.
const USUAL: u64 = 1 << 30;
const USUAL_SHARE: u64 = 50;

/// A state is left only with so much more than it was entered with, one in so many, or it would come and go with every file.
const MARGIN: u64 = 20;

/// How much must stay free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinFree {
    /// A gibibyte, or where that is more two in a hundred of the file system.
    Usual,
    /// So many octets; 0 is no guard.
    Octets(u64),
}

impl MinFree {
    /// In octets, on a file system of this size.
    fn of(self, total: u64) -> u64 {
        match self {
            Self::Usual => USUAL.max(total / USUAL_SHARE),
            Self::Octets(octets) => octets,
        }
    }
}

/// What there is of a file system, in octets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Free {
    /// To be had by this process.
    pub free: u64,
    /// In all.
    pub total: u64,
}

/// How much room there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Room {
    /// For everything.
    #[default]
    Plenty,
    /// Not for what is worth least.
    Scarce,
    /// For no record.
    None,
}

impl Room {
    const ALL: [Self; 3] = [Self::Plenty, Self::Scarce, Self::None];

    /// Its name in output.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Plenty => "plenty",
            Self::Scarce => "scarce",
            Self::None => "none",
        }
    }
}

/// What the guard last saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpaceReport {
    /// What that means.
    pub room: Room,
    /// Free, in octets.
    pub free: u64,
    /// What must stay free.
    pub least: u64,
}

impl fmt::Display for SpaceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (free, least) = (self.free >> 20, self.least >> 20);
        write!(f, "{free} MiB are free, {least} MiB must stay so")
    }
}

/// The room of a store, for other threads.
#[derive(Clone, Debug, Default)]
pub struct SharedRoom(Arc<AtomicU8>);

impl SharedRoom {
    /// How much there is.
    pub fn get(&self) -> Room {
        let code = usize::from(self.0.load(Ordering::Relaxed));
        Room::ALL.get(code).copied().unwrap_or_default()
    }

    /// Whether work that can wait may write.
    pub fn may_write(&self) -> bool {
        self.get() == Room::Plenty
    }

    fn set(&self, room: Room) {
        self.0.store(room as u8, Ordering::Relaxed);
    }
}

/// Measures a file system.
pub(super) type Measure = Box<dyn Fn(&Path) -> io::Result<Free> + Send + Sync>;

/// The guard.
pub(super) struct Space {
    path: PathBuf,
    least: MinFree,
    measure: Measure,
    room: SharedRoom,
    report: SpaceReport,
}

impl Space {
    pub fn new(path: &Path, least: MinFree) -> Self {
        Self {
            path: path.to_owned(),
            least,
            measure: Box::new(statvfs),
            room: SharedRoom::default(),
            report: SpaceReport::default(),
        }
    }

    /// Measures anew. A file system that can't be measured is as it was: what is wrong with it the next write says.
    pub fn look(&mut self) -> Room {
        if self.least == MinFree::Octets(0) {
            return Room::Plenty;
        }
        if let Ok(Free { free, total }) = (self.measure)(&self.path) {
            let least = self.least.of(total);
            let room = judge(self.report.room, free, least);
            self.report = SpaceReport { room, free, least };
            self.room.set(room);
        }
        self.report.room
    }

    pub fn report(&self) -> SpaceReport {
        self.report
    }

    pub fn shared(&self) -> SharedRoom {
        self.room.clone()
    }

    /// Whether a record may come.
    pub fn admit(&self) -> Result<(), StoreError> {
        match self.report.room {
            Room::Plenty | Room::Scarce => Ok(()),
            Room::None => Err(StoreError::NoRoom {
                path: self.path.clone(),
                free: self.report.free,
                least: self.report.least,
            }),
        }
    }
}

#[cfg(test)]
impl super::EmbeddedStore {
    /// Guards a disk that has as much free as the test says.
    pub fn guard(&mut self, least: MinFree, free: impl Fn() -> u64 + Send + Sync + 'static) {
        self.space.least = least;
        self.space.measure = Box::new(move |_| {
            Ok(Free {
                free: free(),
                total: u64::MAX,
            })
        });
    }
}

fn judge(was: Room, free: u64, least: u64) -> Room {
    let enough = |least: u64, inside: bool| {
        let margin = if inside { least / MARGIN } else { 0 };
        free >= least.saturating_add(margin)
    };
    if !enough(least, was == Room::None) {
        Room::None
    } else if !enough(least.saturating_mul(2), was != Room::Plenty) {
        Room::Scarce
    } else {
        Room::Plenty
    }
}

fn statvfs(path: &Path) -> io::Result<Free> {
    let of = nix::sys::statvfs::statvfs(path)?;
    let octets = |blocks: u64| blocks.saturating_mul(of.fragment_size());
    Ok(Free {
        free: octets(of.blocks_available()),
        total: octets(of.blocks()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::embedded::tests::evidence::evidence;
    use crate::store::embedded::tests::made::{begin, end, tn};
    use crate::store::embedded::{EmbeddedStore, StoreSettings};
    use crate::store::{Lookup, Store};
    use std::sync::atomic::AtomicU64;

    const LEAST: u64 = 1_000_000;

    /// A store whose disk has as much free as the test says.
    fn store(dir: &Path) -> (EmbeddedStore, Arc<AtomicU64>) {
        let mut store = EmbeddedStore::open(dir, StoreSettings::default()).unwrap();
        let free = Arc::new(AtomicU64::new(10 * LEAST));
        let told = free.clone();
        store.guard(MinFree::Octets(LEAST), move || told.load(Ordering::Relaxed));
        (store, free)
    }

    #[test]
    fn the_usual_is_a_gibibyte_or_two_in_a_hundred() {
        assert_eq!(MinFree::Usual.of(20 << 30), 1 << 30);
        assert_eq!(MinFree::Usual.of(1 << 40), (1 << 40) / 50);
        assert_eq!(MinFree::Octets(7).of(1 << 40), 7);
    }

    #[test]
    fn a_state_is_not_left_by_a_hair() {
        assert_eq!(judge(Room::Plenty, 200, 100), Room::Plenty);
        assert_eq!(judge(Room::Plenty, 199, 100), Room::Scarce);
        assert_eq!(judge(Room::Scarce, 209, 100), Room::Scarce);
        assert_eq!(judge(Room::Scarce, 210, 100), Room::Plenty);
        assert_eq!(judge(Room::Scarce, 99, 100), Room::None);
        assert_eq!(judge(Room::None, 104, 100), Room::None);
        assert_eq!(judge(Room::None, 105, 100), Room::Scarce);
        assert_eq!(judge(Room::None, 1_000, 100), Room::Plenty);
    }

    #[test]
    fn without_room_records_are_refused_and_coverage_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, free) = store(dir.path());
        store.append_begin(&begin(1)).unwrap();
        free.store(LEAST - 1, Ordering::Relaxed);
        store.commit().unwrap();
        let refused = store.append_begin(&begin(2)).unwrap_err();
        assert!(
            matches!(refused, StoreError::NoRoom { free, least, .. } if free == LEAST - 1 && least == LEAST)
        );
        assert!(refused.to_string().contains("min_free_mb"), "{refused}");
        let refused = store.append_end(&end(&begin(1))).unwrap_err();
        assert!(matches!(refused, StoreError::NoRoom { .. }));
        let row = crate::call::record::Coverage {
            sensor: "edge-1".into(),
            from: begin(1).at,
            until: begin(1).at.plus(std::time::Duration::from_secs(60)),
            lost_records: 1,
            ..Default::default()
        };
        store.append_coverage(&row).unwrap();
        store.commit().unwrap();
        assert_eq!(store.counters().refused, 2);
        // Look-ups go on, and so does everything once there is room.
        let at = begin(1).at;
        let found =
            |store: &EmbeddedStore| store.by_called(tn("12025550100"), at, at).unwrap().len();
        assert_eq!(found(&store), 1);
        assert_eq!(store.coverage(at, at).unwrap().len(), 1);
        free.store(10 * LEAST, Ordering::Relaxed);
        store.commit().unwrap();
        store.append_begin(&begin(2)).unwrap();
        assert_eq!(found(&store), 2);
    }

    #[test]
    fn with_little_room_evidence_goes_the_oldest_day_first_and_records_stay() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, free) = store(dir.path());
        let day = std::time::Duration::from_secs(86_400);
        for uid in 1..=3_u64 {
            let mut e = evidence(uid);
            e.at = e.at.plus(day * u32::try_from(uid).unwrap());
            store.append_evidence(&e).unwrap();
            let mut b = begin(uid);
            b.at = e.at;
            store.append_begin(&b).unwrap();
        }
        store.commit().unwrap();
        let reader = store.reader();
        let kept = || {
            (1..=3)
                .filter(|uid| reader.evidence(*uid).unwrap().is_some())
                .collect::<Vec<_>>()
        };
        assert_eq!(kept(), [1, 2, 3]);
        assert!(store.room().may_write());
        free.store(2 * LEAST - 1, Ordering::Relaxed);
        store.commit().unwrap();
        assert_eq!(kept(), [2, 3]);
        assert!(!store.room().may_write());
        store.append_evidence(&evidence(9)).unwrap();
        store.append_begin(&begin(9)).unwrap();
        store.commit().unwrap();
        assert_eq!(kept(), [3]);
        store.commit().unwrap();
        assert_eq!(kept(), [3], "the day that is written stays");
        let c = store.counters();
        assert_eq!(
            (c.evidence, c.evidence_no_room, c.evidence_days_freed),
            (3, 1, 2)
        );
        assert_eq!(c.begins, 4);
        assert!(reader.evidence(9).unwrap().is_none());
        assert_eq!(
            store.space().to_string(),
            "1 MiB are free, 0 MiB must stay so"
        );
    }

    #[test]
    fn a_real_file_system_can_be_measured() {
        let dir = tempfile::tempdir().unwrap();
        let of = statvfs(dir.path()).unwrap();
        assert!(of.free <= of.total && of.total > 0);
        assert!(statvfs(Path::new("/no/such/folder")).is_err());
    }
}
