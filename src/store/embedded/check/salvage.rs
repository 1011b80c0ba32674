//! The rows of a damaged segment that read become a segment of their own; so do late second halves.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ends;
use super::files::Files;
use super::segment::{RowCheck, index_says, pages, read, span};
use crate::base::Timestamp;
use crate::store::StoreError;
use crate::store::embedded::codec::{EndFacts, encode_begin};
use crate::store::embedded::layout::{self, Ends, Segment};
use crate::store::embedded::memtable::Memtable;
use crate::store::embedded::seal::SealJob;
use crate::store::embedded::segment::{BeginCells, EndCells};
use crate::store::embedded::table::Reader;

/// What could be kept.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub rows: u64,
    /// Rows that are lost; `None` where nobody can say how many.
    pub lost: Option<u64>,
    /// Capture time of what is lost: the first and the last.
    pub span: Option<(Timestamp, Timestamp)>,
    pub sensors: BTreeSet<Arc<str>>,
    pub segments: Vec<Segment>,
    pub ends: Vec<Ends>,
}

/// Writes the rows of a damaged segment that read into segments of the same log, one for each row group.
pub(super) fn segment(files: &Files<'_>, s: &Segment) -> Result<Kept, StoreError> {
    let mut kept = Kept::default();
    let (file, proven) = match files.segment(s) {
        Ok(file) => (Some(file), true),
        Err(_) => (believable(files, s), false),
    };
    let Some(file) = file else {
        kept.lost = s.facts.map(|f| f.rows).or_else(|| index_says(files, s));
        kept.span = Some(span(s));
        return Ok(kept);
    };
    let mut lost = 0;
    let mut times: Option<(i64, i64)> = None;
    let mut body = Vec::new();
    for group in 0..file.groups() {
        let mut table = Memtable::new(s.seq, 0);
        for page in pages(file.group_rows(group)) {
            let number = page.start / crate::store::embedded::table::PAGE_ROWS;
            let count = page.len() as u64;
            let Ok(rows) = read(&file, group, page) else {
                lost += count;
                let at = file.pages(group, "begun_at").ok().filter(|_| proven);
                let at = at.and_then(|at| Some((*at.min_value(number)?, *at.max_value(number)?)));
                let all = span(s);
                let (low, high) = at.unwrap_or((all.0.nanos(), all.1.nanos()));
                let (first, last) = times.unwrap_or((low, high));
                times = Some((first.min(low), last.max(high)));
                continue;
            };
            for (begin, end) in rows {
                body.clear();
                let keys = encode_begin(&begin, &mut body);
                kept.rows += 1;
                table.begin(begin.uid, begin.at.nanos(), &keys, &body);
                if let Some(end) = end {
                    table.end(end);
                }
                if !kept.sensors.contains(&begin.sensor) {
                    kept.sensors.insert(begin.sensor);
                }
            }
        }
        table.last_uid = match file.about("last_uid").and_then(|u| u.parse().ok()) {
            Some(uid) => table.last_uid.max(uid),
            None => table.last_uid,
        };
        if table.rows() > 0 {
            table.freeze();
            let job = SealJob {
                root: files.root.to_owned(),
                table: Arc::new(table),
                forgotten: i64::MIN,
                vault: files.vault.clone(),
            };
            kept.segments.extend(job.write()?.segments);
        }
    }
    kept.lost = Some(lost);
    kept.span =
        times.map(|(from, until)| (Timestamp::from_nanos(from), Timestamp::from_nanos(until)));
    Ok(kept)
}

/// A segment whose footer is damaged, where all the rest proves that its columns are what they seem: they lie end to end in the order that we know,
/// rows are in order and of their time, and the index agrees.
fn believable(files: &Files<'_>, s: &Segment) -> Option<Reader> {
    let file = files.unproven(s).ok()?;
    if !file.is_ours(&[BeginCells::SPECS, EndCells::SPECS]) {
        return None;
    }
    let index = files.index(s).ok()?;
    let mut rows = RowCheck::new(s, Some(&index));
    rows.go(&file);
    let total = (0..file.groups()).map(|g| file.group_rows(g)).sum();
    let agrees = rows.agrees(&index, total);
    (agrees && rows.unordered == 0 && rows.elsewhere == 0).then_some(file)
}

/// Writes the second halves of a damaged file that read into one of the same log.
pub(super) fn late_ends(files: &Files<'_>, e: &Ends) -> Result<Kept, StoreError> {
    let mut kept = Kept {
        span: Some((layout::hour_start(e.hour), layout::hour_start(e.hour + 1))),
        ..Kept::default()
    };
    let Ok(file) = files.ends(e) else {
        kept.lost = e.rows;
        return Ok(kept);
    };
    let mut lost = 0;
    let mut all: Vec<EndFacts> = Vec::new();
    for group in 0..file.groups() {
        for page in pages(file.group_rows(group)) {
            let count = page.len() as u64;
            match ends::read(&file, group, page) {
                Ok(read) => all.extend(read),
                Err(_) => lost += count,
            }
        }
    }
    // Several of one uid can't be: the last in the file would have won.
    all.sort_by_key(|end| end.uid);
    all.dedup_by_key(|end| end.uid);
    kept.rows = all.len() as u64;
    kept.lost = Some(lost);
    kept.ends = write_ends(files, e, &all)?.into_iter().collect();
    Ok(kept)
}

fn write_ends(files: &Files<'_>, e: &Ends, all: &[EndFacts]) -> Result<Option<Ends>, StoreError> {
    let root = files.root;
    let (Some(first), Some(last)) = (all.first(), all.last()) else {
        return Ok(None);
    };
    let mut fresh = Ends {
        first_uid: first.uid,
        last_uid: last.uid,
        rows: e.rows.map(|_| all.len() as u64),
        ..*e
    };
    let path = fresh.path(root).with_extension("ends.new");
    let about = [("format", "1".to_owned()), ("log", e.seq.to_string())];
    let written = crate::store::embedded::ends::write(
        &path,
        all,
        &about,
        &files.vault,
        layout::day_of(e.hour),
    )?;
    fresh.sum = written.sum;
    layout::rename(&path, &fresh.path(root))?;
    layout::sync_dir(&layout::hour_dir(root, e.hour))?;
    Ok(Some(fresh))
}
