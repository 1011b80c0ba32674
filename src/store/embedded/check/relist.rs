//! What an hour folder holds, from the names and footers of what lies there: for a manifest that is damaged or gone.

use std::collections::{BTreeMap, BTreeSet};

use super::ends::for_each_uid;
use super::files::Files;
use crate::store::StoreError;
use crate::store::embedded::layout::{self, Entry, Facts, Segment};
use crate::store::embedded::lookup::Hour;
use crate::store::embedded::manifest;
use crate::store::embedded::recover::{self, OpenReport};
use crate::store::embedded::table::Reader;

/// The files that count. A segment that was merged into another counts no more; late ends that were folded in may be listed once more, which changes
/// nothing.
pub(super) fn relist(files: &Files<'_>, hour: i64) -> Result<Hour, StoreError> {
    let root = files.root;
    let void = recover::logs(root, &mut OpenReport::default())?;
    let mut found = Hour {
        listed: true,
        ..Hour::default()
    };
    let mut merged: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for (_, name) in layout::list(&layout::hour_dir(root, hour))? {
        let name = name.unwrap_or_default();
        match Entry::parse(hour, &name) {
            Some(Entry::Segment(mut s)) if s.merged || !void.contains(&s.seq) => {
                // One that can't be read stays, and is mended by itself.
                if let Ok(file) = files.segment(&s) {
                    s.facts = facts(&file);
                    if s.merged {
                        merged.insert(name, manifest::merged(&file));
                    }
                }
                found.segments.push(s);
            }
            Some(Entry::Ends(mut e)) if !void.contains(&e.seq) => {
                if let Ok(file) = files.ends(&e) {
                    let rows = (0..file.groups()).map(|g| file.group_rows(g) as u64).sum();
                    e.rows = Some(rows);
                }
                found.ends.push(e);
            }
            _ => {}
        }
    }
    without_doubles(&mut found.segments, &merged);
    Ok(found)
}

/// Leaves out segments that were merged into others, and merged ones that are not all there while what they are made of still is. `merged` says
/// by its name which logs went into a merged segment.
fn without_doubles(segments: &mut Vec<Segment>, merged: &BTreeMap<String, BTreeSet<u64>>) {
    let all = segments.clone();
    let rows = |of: &dyn Fn(&&Segment) -> bool| {
        let rows = all.iter().filter(of).map(|s| s.facts.map(|f| f.rows));
        rows.sum::<Option<u64>>()
    };
    let mut doubles = BTreeSet::new();
    for (name, logs) in merged {
        // A merge may have several outputs: together they hold all rows, or the merge was cut short.
        let outputs = |s: &&Segment| merged.get(&s.parquet_name()) == Some(logs);
        let inputs = |s: &&Segment| match merged.get(&s.parquet_name()) {
            Some(own) => own.is_subset(logs) && own != logs,
            None => !s.merged && logs.contains(&s.seq),
        };
        // Where one can't be read, nothing is left out for its sake: look-ups show a record once.
        match (rows(&outputs), rows(&inputs)) {
            (Some(out), Some(in_)) if out >= in_ => {
                doubles.extend(all.iter().filter(inputs).map(Segment::parquet_name));
            }
            (Some(_), Some(_)) => {
                doubles.insert(name.clone());
            }
            _ => {}
        }
    }
    segments.retain(|s| !doubles.contains(&s.parquet_name()));
}

/// What a manifest says of a segment, as its rows have it.
fn facts(file: &Reader) -> Option<Facts> {
    let mut uids: Option<(u64, u64)> = None;
    let mut rows = 0;
    for_each_uid(file, |uid| {
        let (low, high) = uids.unwrap_or((uid, uid));
        uids = Some((low.min(uid), high.max(uid)));
        rows += 1;
    });
    let (first_uid, last_uid) = uids?;
    let all: usize = (0..file.groups()).map(|g| file.group_rows(g)).sum();
    (rows == all as u64).then_some(Facts {
        rows,
        first_uid,
        last_uid,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(seq: u64, merged: bool, rows: u64) -> Segment {
        let mut s = Segment::spanning(seq, 0, 1);
        s.merged = merged;
        // Tells outputs of one merge apart.
        s.sum = u32::try_from(rows).unwrap();
        s.facts = Some(Facts {
            rows,
            first_uid: 1,
            last_uid: rows,
        });
        s
    }

    fn left(segments: &[Segment], logs: &[u64]) -> Vec<(u64, bool)> {
        let merged = segments.iter().filter(|s| s.merged);
        let logs: BTreeSet<u64> = logs.iter().copied().collect();
        let merged = merged.map(|s| (s.parquet_name(), logs.clone())).collect();
        let mut segments = segments.to_vec();
        without_doubles(&mut segments, &merged);
        segments.iter().map(|s| (s.seq, s.merged)).collect()
    }

    #[test]
    fn what_was_merged_counts_once_whether_or_not_the_merge_came_to_its_end() {
        let (a, b, c) = (
            segment(1, false, 10),
            segment(2, false, 5),
            segment(3, false, 7),
        );
        let whole = segment(2, true, 15);
        assert_eq!(left(&[a, b, c, whole], &[1, 2]), [(3, false), (2, true)]);
        assert_eq!(left(&[b, c, whole], &[1, 2]), [(3, false), (2, true)]);
        // The first of two outputs alone, and both.
        let (first, second) = (segment(2, true, 9), segment(2, true, 6));
        assert_eq!(
            left(&[a, b, c, first], &[1, 2]),
            [(1, false), (2, false), (3, false)]
        );
        assert_eq!(
            left(&[a, b, first, second], &[1, 2]),
            [(2, true), (2, true)]
        );
        // One that can't be read: both, rather than neither.
        let mut unread = a;
        unread.facts = None;
        assert_eq!(left(&[unread, b, whole], &[1, 2]).len(), 3);
    }
}
