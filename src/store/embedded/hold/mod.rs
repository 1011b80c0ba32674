//! Legal holds: the calls of a case are kept beyond retention, as a small store of their own.
//!
//! ```text
//! holds/lock                          held while a hold is laid, filled or released
//! holds/C-7/hold                      what is held and why: a line of JSON, a line "crc32c XXXXXXXX" of the first; replaced as a whole
//! holds/C-7/2/                        the calls as of the second filling: a store like any other (`seg`, `coverage`, `evidence`, `campaigns`, `keys`)
//! ```
//!
//! Retention goes on deleting whole hours: it needn't know which of their calls are held, because they have been copied. Whoever lays a hold writes
//! down first what is wanted, so that the daemon sees it, and fills it then from what the store has. Calls may still go on, or the window may lie in the
//! future; so the daemon fills it anew before it deletes anything near the window ([`EmbeddedStore::retain`]), and as long as it can't, deletes nothing of
//! that time.
//! A filling a day after the window's end is complete and is not repeated.
//!
//! Each filling is a folder of its own that counts when `hold` names it; the one before is deleted then. What an earlier filling had and the store no
//! longer has is taken over.
//!
//! The copy is sealed by keys of its own where the store is encrypted. Erasing a day that is held is refused: release the hold first.

mod fill;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{EmbeddedStore, StoreReader, StoreSettings, layout};
use crate::base::Timestamp;
use crate::number::Tn;
use crate::store::StoreError;
use crate::store::select::Selection;

/// How long after its window a filling is complete: calls end within a day, or are cut by timers long before (RFC 4028).
const LATE: Duration = Duration::from_secs(86_400);
/// What is kept around the window: coverage, and legs that pair.
const AROUND: Duration = Duration::from_secs(12 * 3_600);
/// A hold is filled anew when retention comes so near to its window: half a day of coverage, whose files are days.
const NEAR: Duration = Duration::from_secs(36 * 3_600);
/// The longest window: a month, as subpoenas ask for.
pub const LONGEST: Duration = Duration::from_secs(31 * 86_400);
/// The longest case id: it is a folder's name, escaped.
pub const CASE: usize = 64;
/// Records of a hold when it is laid. More is no single case.
pub const MOST: u64 = 1_000_000;
/// The largest `hold` file that is read.
const FILE: u64 = 64 << 10;
/// How long the lock is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is held, and why.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Hold {
    /// The case.
    pub case: String,
    /// Calls towards this number.
    pub called: Option<String>,
    /// Calls from this number.
    pub calling: Option<String>,
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// On what ground.
    pub reason: Option<String>,
    /// Who laid it.
    pub who: String,
    /// When.
    pub at: Timestamp,
    /// What there is; absent until it was first filled.
    pub filled: Option<Filled>,
}

/// What a filling found.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Filled {
    /// Its folder.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// Whether all of the window lay so long ago that nothing more comes.
    pub complete: bool,
    /// Records.
    pub records: u64,
    /// Of them those that were found as another leg of the same call alone.
    pub legs: u64,
    /// Calls with evidence.
    pub evidence: u64,
    /// Calls whose evidence can't be read: damage.
    pub evidence_unreadable: u64,
    /// Rows of the ledger.
    pub coverage: u64,
    /// Campaigns.
    pub campaigns: u64,
    /// Before this point the store had deleted everything when the hold was first filled: of that part of the window nothing is held.
    pub forgotten_before: Option<Timestamp>,
}

impl Hold {
    /// What it selects.
    fn selection(&self) -> Selection {
        let tn = |text: &Option<String>| Tn::from_canonical(text.as_ref()?.as_bytes());
        Selection {
            called: tn(&self.called),
            calling: tn(&self.calling),
            ..Selection::default()
        }
    }

    /// Whether it must be filled before anything before `limit` is deleted.
    fn needs(&self, limit: Timestamp) -> bool {
        let complete = self.filled.as_ref().is_some_and(|f| f.complete);
        !complete && self.from.minus(NEAR) < limit
    }

    /// Whether it holds calls of a day.
    pub(super) fn touches_day(&self, day: i64) -> bool {
        let start = layout::hour_start(day.saturating_mul(layout::DAY));
        self.from < start.plus(Duration::from_secs(86_400)) && start <= self.until
    }
}

/// All holds, by case.
///
/// # Errors
///
/// [`StoreError::Corrupt`] with the first that can't be read: what it holds isn't known, so nothing may be deleted.
pub fn list(root: &Path) -> Result<Vec<Hold>, StoreError> {
    let mut all = Vec::new();
    for (path, _) in layout::list(&layout::holds(root))? {
        let file = path.join("hold");
        if file.exists() {
            all.push(read(&file)?);
        }
    }
    all.sort_by(|a, b| a.case.cmp(&b.case));
    Ok(all)
}

/// The hold of a case.
///
/// # Errors
///
/// [`StoreError`]; it can't be read.
pub fn find(root: &Path, case: &str) -> Result<Option<Hold>, StoreError> {
    let file = folder(root, case).join("hold");
    match file.exists() {
        true => read(&file).map(Some),
        false => Ok(None),
    }
}

/// Writes down what is to be held, and fills it from what the store has.
///
/// # Errors
///
/// [`StoreError::Hold`] where the case has one already, or too many records match; it is not laid then. Any other after it is laid: the daemon fills it.
pub fn lay(
    root: &Path,
    settings: &StoreSettings,
    hold: Hold,
    now: Timestamp,
) -> Result<Hold, StoreError> {
    let lock = lock(root)?;
    let dir = folder(root, &hold.case);
    if dir.join("hold").exists() {
        return Err(refused(
            &dir,
            "the case has a hold already; release it first",
        ));
    }
    layout::create_dirs(&dir)?;
    write(&dir, &hold)?;
    // The store as it is after the daemon can see the hold: what it deletes from now on, it has filled before.
    let laid = EmbeddedStore::open_reader(root, settings)
        .and_then(|(reader, _)| fill::fill(root, settings, hold, &reader, now, MOST));
    if let Err(StoreError::Hold { .. }) = laid {
        remove(root, &dir)?;
    } else {
        hand_over(root)?;
    }
    drop(lock);
    laid
}

/// Lets a case's calls go: gives whether there was a hold.
///
/// # Errors
///
/// [`StoreError`].
pub fn release(root: &Path, case: &str) -> Result<bool, StoreError> {
    let _lock = lock(root)?;
    let dir = folder(root, case);
    if !dir.exists() {
        return Ok(false);
    }
    remove(root, &dir)?;
    Ok(true)
}

/// Opens what a hold has kept; `None` before it was filled.
///
/// # Errors
///
/// [`StoreError`].
pub fn open(
    root: &Path,
    hold: &Hold,
    settings: &StoreSettings,
) -> Result<Option<StoreReader>, StoreError> {
    let Some(filled) = &hold.filled else {
        return Ok(None);
    };
    let kept = store(root, &hold.case, filled.number);
    let (reader, _) = EmbeddedStore::open_reader(&kept, settings)?;
    Ok(Some(reader))
}

/// Folders of all fillings that count: each is a store with keys of its own.
///
/// # Errors
///
/// [`StoreError`]; a hold can't be read.
pub fn stores(root: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let filled = list(root)?.into_iter();
    let kept = filled.filter_map(|h| Some(store(root, &h.case, h.filled?.number)));
    Ok(kept.collect())
}

/// Fills all holds that must be before anything before `limit` is deleted.
pub(super) fn fill_near(
    root: &Path,
    settings: &StoreSettings,
    reader: &StoreReader,
    limit: Timestamp,
    now: Option<Timestamp>,
) -> Result<u64, StoreError> {
    if !layout::holds(root).exists() {
        return Ok(0);
    }
    if !list(root)?.iter().any(|h| h.needs(limit)) {
        return Ok(0);
    }
    let Some(now) = now else {
        let what = "not filled before retention is told what time it is";
        return Err(refused(&layout::holds(root), what));
    };
    let _lock = lock(root)?;
    let mut filled = 0;
    for hold in list(root)?.into_iter().filter(|h| h.needs(limit)) {
        fill::fill(root, settings, hold, reader, now, u64::MAX)?;
        filled += 1;
    }
    Ok(filled)
}

/// Refuses to erase days of which calls are held.
pub(super) fn forbid_erasing(root: &Path, days: &BTreeSet<i64>) -> Result<(), StoreError> {
    for hold in list(root)? {
        if days.iter().any(|d| hold.touches_day(*d)) {
            let what = format!(
                "case {} holds calls of that day; release it first (tracehop store hold release)",
                hold.case
            );
            return Err(refused(&folder(root, &hold.case), what));
        }
    }
    Ok(())
}

/// `holds/C-7`, what is no letter, digit, hyphen, underscore or inner dot as `%` and two hexadecimal digits.
fn folder(root: &Path, case: &str) -> PathBuf {
    let mut name = String::new();
    for (i, octet) in case.bytes().enumerate() {
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(octet)),
            b'.' if i > 0 => name.push('.'),
            _ => name.push_str(&format!("%{octet:02X}")),
        }
    }
    layout::holds(root).join(name)
}

fn store(root: &Path, case: &str, number: u64) -> PathBuf {
    folder(root, case).join(number.to_string())
}

fn refused(path: &Path, what: impl Into<String>) -> StoreError {
    StoreError::Hold {
        path: path.to_owned(),
        what: what.into(),
    }
}

fn read(path: &Path) -> Result<Hold, StoreError> {
    let octets = layout::read_small(path, FILE)?;
    let hold = std::str::from_utf8(&octets).ok().and_then(|text| {
        let (line, sum) = text.strip_suffix('\n')?.split_once('\n')?;
        let sum = u32::from_str_radix(sum.strip_prefix("crc32c ")?, 16).ok()?;
        (crc32c::crc32c(line.as_bytes()) == sum).then_some(())?;
        serde_json::from_str(line).ok()
    });
    hold.ok_or_else(|| {
        StoreError::corrupt(
            path,
            "damaged: what is held can't be read, so retention deletes nothing",
        )
    })
}

fn write(dir: &Path, hold: &Hold) -> Result<(), StoreError> {
    let path = dir.join("hold");
    let line = serde_json::to_string(hold).map_err(|e| StoreError::io(&path, e.into()))?;
    let sum = crc32c::crc32c(line.as_bytes());
    layout::write_whole(&path, format!("{line}\ncrc32c {sum:08x}\n").as_bytes())
}

/// The statement goes first: without it the rest counts for nothing.
fn remove(root: &Path, dir: &Path) -> Result<(), StoreError> {
    layout::remove(&dir.join("hold"))?;
    layout::sync_dir(dir)?;
    fs::remove_dir_all(dir).map_err(|e| StoreError::io(dir, e))?;
    layout::sync_dir(&layout::holds(root))
}

/// Waits for whoever else is at the holds.
fn lock(root: &Path) -> Result<File, StoreError> {
    let dir = layout::holds(root);
    layout::create_dirs(&dir)?;
    let path = dir.join("lock");
    let io = |e| StoreError::io(&path, e);
    let file = layout::options()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(io)?;
    let begin = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::WouldBlock) if begin.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(fs::TryLockError::WouldBlock) => {
                let holder = "another process, which is laying or filling a hold".to_owned();
                return Err(StoreError::Locked { path, holder });
            }
            Err(fs::TryLockError::Error(e)) => return Err(io(e)),
        }
    }
}

/// What root has made belongs to whoever the store belongs to: else the daemon could not fill it.
fn hand_over(root: &Path) -> Result<(), StoreError> {
    let io = |e| StoreError::io(root, e);
    let of = fs::metadata(root).map_err(io)?;
    if of.uid() == 0 || !nix::unistd::Uid::effective().is_root() {
        return Ok(());
    }
    give(&layout::holds(root), of.uid(), of.gid()).map_err(io)
}

fn give(path: &Path, uid: u32, gid: u32) -> io::Result<()> {
    chown(path, Some(uid), Some(gid))?;
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), uid, gid)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
