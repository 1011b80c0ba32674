//! The folder `damaged/`: what a repair set aside, under the path that it had.
//!
//! ```text
//! damaged/seg/2026-11-24/13/s-0000000006-….parquet      as it was found; retention deletes it with its hour
//! damaged/seg/2026-11-24/13/0000000007.wal              a log, with the hour of its last record
//! damaged/coverage/2026-11-24.parquet                   and so on
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::store::StoreError;
use crate::store::embedded::layout;

/// The folder of what was set aside.
const DAMAGED: &str = "damaged";

/// Where something that lies at `place` goes.
fn aside(root: &Path, place: &Path) -> Result<PathBuf, StoreError> {
    let place = place.strip_prefix(root).unwrap_or(place);
    let target = root.join(DAMAGED).join(place);
    if let Some(folder) = target.parent() {
        layout::create_dirs(folder)?;
    }
    Ok(target)
}

/// Moves a file to `damaged/`, and gives where it is now.
pub(in crate::store::embedded) fn set_aside(
    root: &Path,
    path: &Path,
) -> Result<PathBuf, StoreError> {
    let target = aside(root, path)?;
    layout::rename(path, &target)?;
    target.parent().map_or(Ok(()), layout::sync_dir)?;
    path.parent().map_or(Ok(()), layout::sync_dir)?;
    Ok(target)
}

/// Gives a file a second name in `damaged/`, as if it lay at `place`.
pub(super) fn keep_aside(root: &Path, path: &Path, place: &Path) -> Result<PathBuf, StoreError> {
    let target = aside(root, place)?;
    match fs::hard_link(path, &target) {
        // An earlier repair, cut short or of the same file.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        // The file is what is missing, or the file system has no links.
        Err(_) if path.exists() => {
            fs::copy(path, &target).map_err(|e| StoreError::io(&target, e))?;
        }
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            return Err(StoreError::io(&target, e));
        }
        _ => {}
    }
    target.parent().map_or(Ok(()), layout::sync_dir)?;
    Ok(target)
}

/// Copies a file that is written anew under its name.
pub(super) fn copy_aside(root: &Path, path: &Path) -> Result<PathBuf, StoreError> {
    let target = aside(root, path)?;
    fs::copy(path, &target).map_err(|e| StoreError::io(&target, e))?;
    target.parent().map_or(Ok(()), layout::sync_dir)?;
    Ok(target)
}

/// Retention of what was set aside: with the records of its hour, or the evidence of its day.
pub(in crate::store::embedded) fn forget_before(
    root: &Path,
    first_hour: i64,
    first_evidence_day: i64,
) -> Result<(), StoreError> {
    let aside = root.join(DAMAGED);
    if !aside.is_dir() {
        return Ok(());
    }
    let gone = |path: &Path| {
        let done = match path.is_dir() {
            true => fs::remove_dir_all(path),
            false => fs::remove_file(path),
        };
        done.map_err(|e| StoreError::io(path, e))
    };
    let first_day = first_hour.div_euclid(layout::DAY);
    for (dir, name) in layout::list(&layout::segments(&aside))? {
        let Some(day) = name.as_deref().and_then(layout::day_from) else {
            continue;
        };
        for (hour_dir, name) in layout::list(&dir)? {
            let hour = name.and_then(|n| n.parse::<i64>().ok());
            if hour.is_some_and(|h| day * layout::DAY + h < first_hour) {
                gone(&hour_dir)?;
            }
        }
        // Fails while the day has other hours.
        let _ = fs::remove_dir(&dir);
    }
    for (folder, first) in [
        (layout::coverage(&aside), first_day),
        (layout::campaigns(&aside), first_day),
        (layout::evidence(&aside), first_evidence_day.max(first_day)),
    ] {
        for (path, name) in layout::list(&folder)? {
            let name = name.unwrap_or_default();
            let day = name.split_once('.').map_or(name.as_str(), |(day, _)| day);
            if layout::day_from(day).is_some_and(|d| d < first) {
                gone(&path)?;
            }
        }
    }
    Ok(())
}
