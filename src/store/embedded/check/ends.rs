//! Second halves in files of their own: order, names, and whether each has its record.

use super::files::Files;
use super::report::{Finding, Remedy, Target};
use super::segment::{is_gone, is_key, pages, why};
use crate::store::StoreError;
use crate::store::embedded::codec::EndFacts;
use crate::store::embedded::layout::{self, Ends, Segment};
use crate::store::embedded::segment::EndColumns;
use crate::store::embedded::table::{PAGE_ROWS, Reader};

/// Uids that are looked for at once: 32 MB.
const AT_ONCE: usize = 4_000_000;

/// Checks one file. Gives how many second halves it holds; `None` where it can't be opened.
///
/// # Errors
///
/// [`StoreError::Io`] with `NotFound`, where it is not there (any more).
pub(super) fn check(
    files: &Files<'_>,
    e: &Ends,
    quick: bool,
    say: &mut dyn FnMut(Finding),
) -> Result<Option<u64>, StoreError> {
    let path = e.path(files.root);
    let start = layout::hour_start(e.hour);
    let damage = |what: String| {
        Finding::damage(path.clone(), what)
            .touching(start, layout::hour_start(e.hour + 1))
            .mend(Remedy::Salvage, Target::Ends(*e))
    };
    let file = match files.ends(e) {
        Ok(file) => file,
        Err(error) if is_gone(&error) || is_key(&error) => return Err(error),
        Err(error) => {
            say(damage(format!("its footer can't be read: {}", why(&error))));
            return Ok(None);
        }
    };
    let total: usize = (0..file.groups()).map(|g| file.group_rows(g)).sum();
    if quick {
        return Ok(Some(total as u64));
    }
    let (mut lost, mut unordered, mut last) = (0, 0, None);
    let mut reason = None;
    let mut span: Option<(u64, u64)> = None;
    for group in 0..file.groups() {
        for page in pages(file.group_rows(group)) {
            let at = page.start / PAGE_ROWS;
            let count = page.len() as u64;
            let read = read(&file, group, page);
            let read = match read {
                Ok(read) => read,
                Err(error) => {
                    lost += count;
                    reason.get_or_insert_with(|| why(&error));
                    last = None;
                    continue;
                }
            };
            for end in &read {
                if last.is_some_and(|last| last >= end.uid) {
                    unordered += 1;
                }
                last = Some(end.uid);
                let (low, high) = span.unwrap_or((end.uid, end.uid));
                span = Some((low.min(end.uid), high.max(end.uid)));
            }
            let signed = |end: Option<&EndFacts>| end.map(|e| e.uid.cast_signed());
            let statistics = file.pages(group, "uid")?;
            if statistics.min_value(at).copied() != signed(read.first())
                || statistics.max_value(at).copied() != signed(read.last())
            {
                unordered += count;
            }
        }
    }
    if lost > 0 || !file.damaged_blocks().is_empty() {
        let why = reason.map_or(String::new(), |w| format!(" ({w})"));
        let what = format!("damaged: {lost} second halves can't be read{why}");
        say(damage(what).records(lost));
    }
    if unordered > 0 {
        let what = format!("{unordered} second halves out of order: look-ups may miss them");
        say(damage(what).records(unordered));
    }
    if lost == 0 && span.is_some_and(|(low, high)| low < e.first_uid || e.last_uid < high) {
        say(damage(
            "holds other uids than its name says: look-ups may miss them".to_owned(),
        ));
    }
    Ok(Some(total as u64))
}

/// Second halves of some rows.
pub(super) fn read(
    file: &Reader,
    group: usize,
    rows: std::ops::Range<usize>,
) -> Result<Vec<EndFacts>, StoreError> {
    let rows: Vec<usize> = rows.collect();
    let uids = file.rows::<i64>(group, "uid", &rows)?;
    let columns = EndColumns::read(file, group, &rows)?;
    let mut read = Vec::with_capacity(rows.len());
    for (i, uid) in uids.into_iter().enumerate() {
        let uid = uid
            .ok_or_else(|| file.lacks("uid", "value"))?
            .cast_unsigned();
        let end = columns.row(i, uid, 0, file.path())?;
        read.push(end.ok_or_else(|| file.lacks("state", "value"))?);
    }
    Ok(read)
}

/// How many second halves of an hour have no record, neither in its segments nor among the uids of logs (sorted).
pub(super) fn orphans(
    files: &Files<'_>,
    ends: &[Ends],
    segments: &[Segment],
    in_logs: &[u64],
) -> Result<u64, StoreError> {
    let mut orphans = 0;
    let mut wanted = Vec::new();
    for e in ends {
        let file = files.ends(e)?;
        for group in 0..file.groups() {
            for page in pages(file.group_rows(group)) {
                let rows: Vec<usize> = page.collect();
                let Ok(uids) = file.rows::<i64>(group, "uid", &rows) else {
                    continue;
                };
                wanted.extend(uids.into_iter().flatten().map(i64::cast_unsigned));
                if wanted.len() >= AT_ONCE {
                    orphans += missing(files, &mut wanted, segments, in_logs)?;
                }
            }
        }
    }
    Ok(orphans + missing(files, &mut wanted, segments, in_logs)?)
}

/// How many of the wanted uids are nowhere. Empties them.
fn missing(
    files: &Files<'_>,
    wanted: &mut Vec<u64>,
    segments: &[Segment],
    in_logs: &[u64],
) -> Result<u64, StoreError> {
    wanted.sort_unstable();
    wanted.dedup();
    wanted.retain(|uid| in_logs.binary_search(uid).is_err());
    let mut found = vec![false; wanted.len()];
    for s in segments.iter().filter(|_| !wanted.is_empty()) {
        let file = files.segment(s)?;
        for_each_uid(&file, |uid| {
            if let Ok(at) = wanted.binary_search(&uid)
                && let Some(found) = found.get_mut(at)
            {
                *found = true;
            }
        });
    }
    wanted.clear();
    Ok(found.into_iter().filter(|f| !f).count() as u64)
}

/// Shows the uids of a segment, as far as they can be read.
pub(super) fn for_each_uid(file: &Reader, mut show: impl FnMut(u64)) {
    for group in 0..file.groups() {
        for page in pages(file.group_rows(group)) {
            let rows: Vec<usize> = page.collect();
            let uids = file.rows::<i64>(group, "uid", &rows);
            for uid in uids.into_iter().flatten().flatten() {
                show(uid.cast_unsigned());
            }
        }
    }
}
