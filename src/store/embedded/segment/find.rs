//! Rows of a segment by called number and time, from the statistics of its pages.

use crate::store::StoreError;
use crate::store::embedded::table::{PAGE_ROWS, Reader};

/// Columns whose page statistics guide a look-up.
pub(in crate::store::embedded) const KEYS: [&str; 2] = ["called", "begun_at"];

/// Rows of a segment, counted over all row groups, whose called number is the given integer and whose time lies in the window.
pub(in crate::store::embedded) fn find_called(
    segment: &Reader,
    number: i64,
    from: i64,
    until: i64,
) -> Result<Vec<usize>, StoreError> {
    let mut found = Vec::new();
    let mut next = 0;
    for group in 0..segment.groups() {
        let first = next;
        next += segment.group_rows(group);
        let rows = pages_of(segment, group, number, from, until)?;
        if rows.is_empty() {
            continue;
        }
        let called = segment.rows::<i64>(group, "called", &rows)?;
        let at = segment.rows::<i64>(group, "begun_at", &rows)?;
        let hit = |c: &Option<i64>, t: &Option<i64>| {
            *c == Some(number) && t.is_some_and(|t| (from..=until).contains(&t))
        };
        let hits = rows.iter().zip(called.iter().zip(&at));
        let hits = hits.filter(|(_, (c, t))| hit(c, t));
        found.extend(hits.map(|(row, _)| first + row));
    }
    Ok(found)
}

/// Has what [`find_called`] needs fetched into the system's cache, in the background.
pub(in crate::store::embedded) fn prefetch_called(
    segment: &Reader,
    number: i64,
    from: i64,
    until: i64,
) {
    for group in 0..segment.groups() {
        if let Ok(rows) = pages_of(segment, group, number, from, until)
            && !rows.is_empty()
        {
            segment.prefetch(group, &KEYS, &rows);
        }
    }
}

/// Rows of the pages of a group that may hold the number in the window.
fn pages_of(
    segment: &Reader,
    group: usize,
    number: i64,
    from: i64,
    until: i64,
) -> Result<Vec<usize>, StoreError> {
    let called = segment.pages(group, "called")?;
    let at = segment.pages(group, "begun_at")?;
    let (low, high) = (called.min_values(), called.max_values());
    let pages = low.len().min(high.len());
    let null = |page: usize| called.is_null_page(page);
    // Sorted by called number, absent ones last: pages that may hold it lie side by side.
    let first = partition(pages, |p| {
        !null(p) && high.get(p).is_some_and(|h| *h < number)
    });
    let last = partition(pages, |p| {
        !null(p) && low.get(p).is_some_and(|l| *l <= number)
    });
    let total = segment.group_rows(group);
    Ok((first..last)
        .filter(|page| {
            at.min_value(*page).is_none_or(|t| *t <= until)
                && at.max_value(*page).is_none_or(|t| from <= *t)
        })
        .flat_map(|page| page * PAGE_ROWS..((page + 1) * PAGE_ROWS).min(total))
        .collect())
}

/// The first of `0..count` for which `before` no longer holds.
pub(in crate::store::embedded) fn partition(count: usize, before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, count);
    while low < high {
        let mid = low.midpoint(high);
        if before(mid) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    low
}
