//! One segment with its index: checksums, every row, the order that look-ups rely on, page statistics, and the index both ways.

use std::ops::Range;
use std::path::Path;

use super::files::Files;
use super::report::{Finding, Remedy, Target};
use crate::base::Timestamp;
use crate::call::record::Begin;
use crate::store::StoreError;
use crate::store::embedded::codec::{Digits, EndFacts, Keys, encode_begin};
use crate::store::embedded::index::{self, IndexEntry};
use crate::store::embedded::layout::{self, Segment};
use crate::store::embedded::segment::{self, BeginColumns, EndColumns};
use crate::store::embedded::table::{PAGE_ROWS, Reader};

/// Rows that are read at once: five pages of every column, some 10 MB as records.
const CHUNK: usize = 5 * PAGE_ROWS;
/// Sorts behind every number, as when sealing: at most 18 digits are below 2^60.
const ABSENT: u64 = 1 << 60;

/// What is known of a segment after it was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rows {
    pub rows: u64,
    /// Lowest and highest uid of the rows that read.
    pub uids: Option<(u64, u64)>,
    /// Whether all of them do.
    pub whole: bool,
}

/// Start and end of what a segment may hold, by its name.
pub(super) fn span(s: &Segment) -> (Timestamp, Timestamp) {
    let at = |ms: u32| {
        let start = s.hour.saturating_mul(layout::HOUR);
        Timestamp::from_nanos(start.saturating_add(i64::from(ms) * 1_000_000))
    };
    (at(s.first_ms), at(s.last_ms))
}

/// Every page of a row group: its rows, as they are counted within the group.
pub(super) fn pages(rows: usize) -> impl Iterator<Item = Range<usize>> {
    (0..rows.div_ceil(PAGE_ROWS)).map(move |p| p * PAGE_ROWS..((p + 1) * PAGE_ROWS).min(rows))
}

/// Checks a segment and its index. Gives findings to `say`; the answer is `None` where nothing of it can be read.
///
/// # Errors
///
/// [`StoreError::Io`] with `NotFound`, where one of the files is not there (any more); the `last` time, a missing index is damage.
pub(super) fn check(
    files: &Files<'_>,
    s: &Segment,
    quick: bool,
    last: bool,
    say: &mut dyn FnMut(Finding),
) -> Result<Option<Rows>, StoreError> {
    let path = s.parquet(files.root);
    let (from, until) = span(s);
    let damage = |what: String| {
        Finding::damage(path.clone(), what)
            .touching(from, until)
            .mend(Remedy::Salvage, Target::Segment(*s))
    };
    let file = match files.segment(s) {
        Ok(file) => file,
        Err(e) if is_gone(&e) || is_key(&e) => return Err(e),
        Err(e) => {
            let rows = index_says(files, s);
            say(damage(format!("its footer can't be read: {}", why(&e))).records(rows));
            return Ok(None);
        }
    };
    let total: usize = (0..file.groups()).map(|g| file.group_rows(g)).sum();
    let mut known = Rows {
        rows: total as u64,
        uids: None,
        whole: true,
    };
    let index = match files.index(s) {
        Ok(index) => Some(index),
        Err(e) => {
            // Where the segment is going away too, this is no damage: it is looked at again.
            if is_key(&e) || is_gone(&e) && (!last || !path.exists()) {
                return Err(e);
            }
            say(
                index_damage(files, s, &format!("can't be opened: {}", why(&e)))
                    .records(total as u64),
            );
            None
        }
    };
    if quick {
        return Ok(Some(known));
    }
    let blocks = file.damaged_blocks();
    let mut rows = RowCheck::new(s, index.as_ref());
    rows.go(&file);
    (known.uids, known.whole) = (rows.uids, rows.lost == 0);
    if !blocks.is_empty() || rows.lost > 0 {
        let where_ = match blocks.first() {
            Some(first) => format!(
                "{} octets in {} stretches are not what was written, the first at {}",
                blocks.iter().map(|b| b.end - b.start).sum::<u64>(),
                blocks.len(),
                first.start
            ),
            None => "checksums are right".to_owned(),
        };
        let why = rows
            .why
            .as_deref()
            .map_or(String::new(), |w| format!(" ({w})"));
        let finding = damage(format!("{where_}; {} rows can't be read{why}", rows.lost));
        say(finding.records(rows.lost));
    }
    for (what, count) in [
        ("rows out of order: look-ups may miss them", rows.unordered),
        (
            "rows of another time than the name says: look-ups may miss them",
            rows.elsewhere,
        ),
        (
            "pages whose statistics are wrong: look-ups may miss their rows",
            rows.statistics,
        ),
    ] {
        if count > 0 {
            say(damage(format!("{count} {what}")).records(count));
        }
    }
    if let Some(index) = index {
        check_index(files, s, &index, total, &rows, say);
    }
    Ok(Some(known))
}

/// Goes over the rows of a segment.
pub(super) struct RowCheck<'a> {
    s: &'a Segment,
    /// Of times in the index, in nanoseconds.
    unit: i64,
    uids: Option<(u64, u64)>,
    lost: u64,
    why: Option<String>,
    pub unordered: u64,
    pub elsewhere: u64,
    statistics: u64,
    /// Of entries that its rows should have in the index.
    entries: Sum,
    /// Pages that can't be read: rows of the file.
    unread: Vec<Range<usize>>,
    last: Option<(u64, i64, u64)>,
    body: Vec<u8>,
}

impl<'a> RowCheck<'a> {
    /// With the index that its rows will be compared with.
    pub fn new(s: &'a Segment, index: Option<&Reader>) -> Self {
        Self {
            s,
            unit: index.map_or(1, |i| index::times(i).1),
            uids: None,
            lost: 0,
            why: None,
            unordered: 0,
            elsewhere: 0,
            statistics: 0,
            entries: Sum::default(),
            unread: Vec::new(),
            last: None,
            body: Vec::new(),
        }
    }

    /// Reads every row.
    pub fn go(&mut self, file: &Reader) {
        let mut before = 0;
        for group in 0..file.groups() {
            let rows = file.group_rows(group);
            let mut at = 0;
            while at < rows {
                let chunk = at..(at + CHUNK).min(rows);
                at = chunk.end;
                match read(file, group, chunk.clone()) {
                    Ok(read) => self.rows(file, group, before, chunk, &read),
                    // Page by page, to know which.
                    Err(_) => {
                        for page in
                            pages(rows).filter(|p| p.start >= chunk.start && p.end <= chunk.end)
                        {
                            match read(file, group, page.clone()) {
                                Ok(read) => self.rows(file, group, before, page, &read),
                                Err(e) => self.lose(before, page, &e),
                            }
                        }
                    }
                }
            }
            before += rows;
        }
    }

    /// Whether an index has an entry for every key of every row that reads, and no others.
    pub fn agrees(&self, index: &Reader, total: usize) -> bool {
        index_sum(index, total, &self.unread)
            .is_ok_and(|found| found.beyond == 0 && found.sum == self.entries)
    }

    fn lose(&mut self, before: usize, page: Range<usize>, e: &StoreError) {
        self.lost += page.len() as u64;
        self.why.get_or_insert_with(|| why(e));
        self.unread.push(before + page.start..before + page.end);
        // What comes next may not be compared with what went before it.
        self.last = None;
    }

    fn rows(
        &mut self,
        file: &Reader,
        group: usize,
        before: usize,
        chunk: Range<usize>,
        read: &[(Begin, Option<EndFacts>)],
    ) {
        for ((begin, _), row) in read.iter().zip(before + chunk.start..) {
            self.body.clear();
            let keys = encode_begin(begin, &mut self.body);
            let at = begin.at.nanos();
            let number = called(begin).unwrap_or(ABSENT);
            let key = (number, at, begin.uid);
            if self.last.is_some_and(|last| last >= key) {
                self.unordered += 1;
            }
            self.last = Some(key);
            if layout::hour_of(at) != self.s.hour || !self.s.touches(at, at) {
                self.elsewhere += 1;
            }
            let (low, high) = self.uids.unwrap_or((begin.uid, begin.uid));
            self.uids = Some((low.min(begin.uid), high.max(begin.uid)));
            self.entries.expect(&keys, at.div_euclid(self.unit), row);
        }
        for (page, rows) in read
            .chunks(PAGE_ROWS)
            .zip(chunk.start / PAGE_ROWS..)
            .map(|(r, p)| (p, r))
        {
            if !statistics_are_right(file, group, page, rows) {
                self.statistics += 1;
            }
        }
    }
}

/// The called number as a segment sorts by it.
fn called(begin: &Begin) -> Option<u64> {
    match begin.numbers.called.as_ref().map(Digits::of) {
        Some(Digits::Int(n)) => Some(n),
        _ => None,
    }
}

pub(super) fn read(
    file: &Reader,
    group: usize,
    rows: Range<usize>,
) -> Result<Vec<(Begin, Option<EndFacts>)>, StoreError> {
    let rows: Vec<usize> = rows.collect();
    let begin = BeginColumns::read(file, group, &rows)?;
    let end = EndColumns::read(file, group, &rows)?;
    segment::join(&begin, &end, rows.len(), file.path())
}

/// Whether lowest and highest values of a page are those of its rows.
fn statistics_are_right(
    file: &Reader,
    group: usize,
    page: usize,
    rows: &[(Begin, Option<EndFacts>)],
) -> bool {
    let (Ok(numbers), Ok(times)) = (file.pages(group, "called"), file.pages(group, "begun_at"))
    else {
        return false;
    };
    let int = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let called = rows.iter().filter_map(|(b, _)| called(b)).map(int);
    let at = rows.iter().map(|(b, _)| b.at.nanos());
    let called_right = match (called.clone().min(), called.max()) {
        (Some(low), Some(high)) => {
            !numbers.is_null_page(page)
                && numbers.min_value(page) == Some(&low)
                && numbers.max_value(page) == Some(&high)
        }
        _ => numbers.is_null_page(page),
    };
    called_right
        && times.min_value(page) == at.clone().min().as_ref()
        && times.max_value(page) == at.max().as_ref()
}

/// A sum over index entries that does not ask for their order: equal sums are equal entries, but for a chance of one in 2^64 that no damage aims at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    entries: u64,
    sum: u64,
}

impl Sum {
    fn add(&mut self, alias: bool, number: i64, time: i64, row: usize) {
        let parts = [
            u64::from(alias),
            number.cast_unsigned(),
            time.cast_unsigned(),
            row as u64,
        ];
        // SplitMix64 over each part in turn.
        let hash = parts.into_iter().fold(0, |h: u64, part| {
            let mut x = (h ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
            x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            x ^ (x >> 31)
        });
        self.sum = self.sum.wrapping_add(hash);
        self.entries += 1;
    }

    fn expect(&mut self, keys: &Keys, time: i64, row: usize) {
        for (alias, keys) in [(false, &keys.calling), (true, &keys.aliases)] {
            for key in keys {
                self.add(alias, *key, time, row);
            }
        }
    }
}

fn index_damage(files: &Files<'_>, s: &Segment, what: &str) -> Finding {
    let (from, until) = span(s);
    Finding::damage(s.index(files.root), what)
        .touching(from, until)
        .mend(Remedy::Index, Target::Index(*s))
}

fn check_index(
    files: &Files<'_>,
    s: &Segment,
    file: &Reader,
    total: usize,
    rows: &RowCheck<'_>,
    say: &mut dyn FnMut(Finding),
) {
    let found = match index_sum(file, total, &rows.unread) {
        Ok(found) => found,
        Err(e) => {
            say(index_damage(files, s, &why(&e)).records(total as u64));
            return;
        }
    };
    let blocks = file.damaged_blocks();
    if let Some(first) = blocks.first() {
        let what = format!("octets from {} on are not what was written", first.start);
        say(index_damage(files, s, &what).records(total as u64));
    } else if found.unordered > 0 {
        let what = format!(
            "{} entries out of order: look-ups may miss them",
            found.unordered
        );
        say(index_damage(files, s, &what).records(found.unordered));
    } else if found.beyond > 0 || found.sum != rows.entries {
        let what = format!(
            "{} entries, and the rows have {}: they don't agree, look-ups by calling number may miss calls",
            found.sum.entries + found.beyond,
            rows.entries.entries
        );
        say(index_damage(files, s, &what).records(total as u64));
    }
}

#[derive(Default)]
struct IndexFound {
    /// Of entries of rows that read.
    sum: Sum,
    unordered: u64,
    /// Entries of rows that the segment does not have.
    beyond: u64,
}

fn index_sum(
    file: &Reader,
    total: usize,
    unread: &[Range<usize>],
) -> Result<IndexFound, StoreError> {
    let mut found = IndexFound::default();
    let (column, _) = index::times(file);
    for group in 0..file.groups() {
        let rows = file.group_rows(group);
        let mut last = None;
        let statistics = file.pages(group, "number")?;
        for page in pages(rows) {
            let at = page.start / PAGE_ROWS;
            let wanted: Vec<usize> = page.collect();
            let aliases = file.rows::<bool>(group, "alias", &wanted)?;
            let numbers = file.rows::<i64>(group, "number", &wanted)?;
            let times = file.rows::<i64>(group, column, &wanted)?;
            let targets = file.rows::<i64>(group, "row", &wanted)?;
            let known = numbers.iter().flatten();
            if statistics.min_value(at) != known.clone().min()
                || statistics.max_value(at) != known.max()
            {
                found.unordered += wanted.len() as u64;
            }
            let entries = aliases.into_iter().zip(numbers).zip(times).zip(targets);
            for (((alias, number), time), row) in entries {
                let (Some(alias), Some(number), Some(time), Some(row)) = (alias, number, time, row)
                else {
                    return Err(file.lacks("alias, number, time or row", "value"));
                };
                let key = (alias, number, time, row);
                if last.is_some_and(|last| last >= key) {
                    found.unordered += 1;
                }
                last = Some(key);
                match usize::try_from(row) {
                    Ok(row) if unread.iter().any(|r| r.contains(&row)) => {}
                    Ok(row) if row < total => found.sum.add(alias, number, time, row),
                    _ => found.beyond += 1,
                }
            }
        }
    }
    Ok(found)
}

/// What the index of a segment must hold: calling numbers, other called numbers, and of how many rows. 24 octets an entry are held at once.
pub(super) fn entries(
    file: &Reader,
) -> Result<(Vec<IndexEntry>, Vec<IndexEntry>, u64), StoreError> {
    let (mut calling, mut aliases) = (Vec::new(), Vec::new());
    let (mut body, mut row) = (Vec::new(), 0_u32);
    for group in 0..file.groups() {
        for page in pages(file.group_rows(group)) {
            for (begin, _) in read(file, group, page)? {
                body.clear();
                let keys = encode_begin(&begin, &mut body);
                let at = begin.at.nanos();
                let entry = |number: &i64| IndexEntry::new(*number, at, row);
                calling.extend(keys.calling.iter().map(entry));
                aliases.extend(keys.aliases.iter().map(entry));
                row = row.saturating_add(1);
            }
        }
    }
    calling.sort_unstable();
    aliases.sort_unstable();
    Ok((calling, aliases, row.into()))
}

/// How many rows a segment has by what its index says; nothing where that can't be read either.
pub(super) fn index_says(files: &Files<'_>, s: &Segment) -> Option<u64> {
    let file = files.index(s).ok()?;
    let mut most = None;
    for group in 0..file.groups() {
        for page in pages(file.group_rows(group)) {
            let wanted: Vec<usize> = page.collect();
            let rows = file.rows::<i64>(group, "row", &wanted).ok()?;
            most = most.max(rows.into_iter().flatten().max());
        }
    }
    u64::try_from(most?).ok().map(|row| row + 1)
}

/// Whether the file is not there.
pub(super) fn is_gone(e: &StoreError) -> bool {
    let gone =
        matches!(e, StoreError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound);
    gone && !is_key(e)
}

/// The key that is what is wrong, where it is one: the file that it seals may be as sound as it was.
pub(super) fn key_of(e: &StoreError) -> Option<&Path> {
    match e {
        StoreError::Key { path, .. } => Some(path),
        StoreError::Corrupt { path, .. } | StoreError::Io { path, .. } => {
            Some(path.as_path()).filter(|p| p.extension().is_some_and(|e| e == "key"))
        }
        _ => None,
    }
}

pub(super) fn is_key(e: &StoreError) -> bool {
    key_of(e).is_some()
}

/// What went wrong, without the file's name.
pub(super) fn why(e: &StoreError) -> String {
    match e {
        StoreError::Io { source, .. } => source.to_string(),
        StoreError::Corrupt { what, .. } | StoreError::Key { what, .. } => what.clone(),
        e => e.to_string(),
    }
}
