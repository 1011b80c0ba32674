//! Looking up: memory first, then the segments whose folder and name say that they touch the window.
//!
//! A look-up takes the lock only to scan memory and to note which files there are, so it holds up an append for a millisecond at
//! most; it reads files without it. If a seal or retention changed what there is meanwhile, it starts over.
//!
//! - `cache`: footers and files kept open · `spread`: segments side by side · `scan`: every record of a window · `select`: those that somebody wants · `state`: what there is

mod cache;
mod scan;
mod select;
mod spread;
mod state;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use self::cache::Name;
pub(super) use self::state::{Hour, Shared, State};
use super::campaigns;
use super::codec::{BeginRow, Digits, EndFacts};
use super::layout::{self, Ends, Segment};
use super::vault::StateSeal;
use super::{ends, erase, index, ledger, segment};
use crate::base::Timestamp;
use crate::call::classify::Campaign;
use crate::call::record::evidence::StoredEvidence;
use crate::call::record::{Begin, Coverage, StoredCall};
use crate::number::Tn;
use crate::store::{Bounded, Lookup, Role, StoreError};

/// How often a look-up starts over. A seal comes every few seconds at most, a look-up takes milliseconds.
const ATTEMPTS: usize = 5;

/// Segments whose indexes are worth a further thread.
const SEGMENTS_A_THREAD: usize = 16;
/// Rows of one segment that are read by one thread, at least: fewer are not worth unpacking the dictionaries once more.
const ROWS_A_PIECE: usize = 16;
/// The rows of one segment are read in about so many pieces at most.
const PIECES: usize = 8;

/// The reading side of a store: cheap to clone, usable from any thread while the writing side goes on.
///
/// Of a store opened with [`EmbeddedStore::open_read_only`](super::EmbeddedStore::open_read_only) it shows what was there at that moment.
#[derive(Clone)]
pub struct StoreReader {
    pub(super) shared: Arc<Shared>,
}

/// How much a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Records in segments.
    pub sealed: u64,
    /// Records in memory and in the log.
    pub in_memory: u64,
    /// Segments and files of ends.
    pub files: u64,
    /// Segments of which it is not known how many records they have: from before format 3, not merged yet.
    pub unknown: u64,
    /// The highest uid.
    pub last_uid: u64,
}

/// The reader of a store that may be closed and opened anew meanwhile; `None` while it can't be read.
pub type CurrentReader = Arc<ArcSwapOption<StoreReader>>;

struct Hit {
    begin: Begin,
    /// With the number of the log that brought it: the highest is the latest.
    end: Option<(u64, EndFacts)>,
}

/// What to look for, ready to compare.
#[derive(Clone, Copy)]
struct Wanted {
    role: Role,
    number: Tn,
    key: i64,
    from: i64,
    until: i64,
}

impl Wanted {
    /// Whether segments are sorted by it.
    fn exact(&self) -> bool {
        self.role == Role::Called && self.key >= 0
    }

    fn matches(&self, begin: &Begin) -> bool {
        self.role.matches(begin, self.number)
    }
}

impl StoreReader {
    /// How many lines of the files of campaigns that matter to a window can't be read: damage.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`].
    pub fn unreadable_campaigns(
        &self,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<u64, StoreError> {
        Ok(campaigns::find(&self.shared.root, &self.shared.vault, from, until)?.1)
    }

    /// Seals what a process leaves in the store's folder.
    pub fn state_seal(&self) -> StateSeal {
        StateSeal(self.shared.vault.clone())
    }

    /// The same store with other limits of what is kept of its files.
    #[cfg(test)]
    pub(super) fn keeping(&self, octets: usize, files: usize) -> Self {
        let shared = self.shared.keeping(octets, files);
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Footers kept, their octets, and open files.
    #[cfg(test)]
    pub(super) fn kept(&self) -> (usize, usize, usize) {
        self.shared.cache.holds()
    }

    /// How much there is, without reading a file.
    pub fn held(&self) -> Held {
        let state = self.shared.state();
        let mut held = Held {
            in_memory: state.tables().map(|t| t.rows() as u64).sum(),
            last_uid: state.active.last_uid,
            ..Held::default()
        };
        for files in state.hours.values() {
            for segment in &files.segments {
                match segment.facts {
                    Some(facts) => held.sealed += facts.rows,
                    None => held.unknown += 1,
                }
            }
            held.files += (files.segments.len() + files.ends.len()) as u64;
        }
        held
    }

    /// Evidence of a record, as far as it is committed; `None` where none was kept, or not any more.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] where it may have stood in what can't be read of a file.
    pub fn evidence(&self, uid: u64) -> Result<Option<StoredEvidence>, StoreError> {
        super::evidence::find(&self.shared.root, &self.shared.vault, uid)
    }

    /// Runs a look-up until nothing changed under it. `whole` says up to how many records in memory it needs, not only how many there are.
    fn settled<T>(
        &self,
        role: Role,
        number: Tn,
        from: Timestamp,
        until: Timestamp,
        whole: u64,
        run: impl Fn(&Wanted, &mut Found) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        for _ in 0..ATTEMPTS {
            let (wanted, mut found) = {
                let state = self.shared.state();
                let from = state.forgotten.map_or(from, |f| f.max(from)).nanos();
                let wanted = Wanted {
                    role,
                    number,
                    key: Digits::of(&number).key(),
                    from,
                    until: until.nanos(),
                };
                state.check(&self.shared.root, wanted.from, wanted.until)?;
                (wanted, Found::of(&state, &wanted, whole))
            };
            let result = run(&wanted, &mut found);
            let unchanged = self.shared.state().generation == found.generation;
            if unchanged && let Some(result) = self.shared.settle(result) {
                return result;
            }
        }
        Err(StoreError::Restless)
    }

    /// The records, or how many there are where they are more than `most`.
    fn read(
        &self,
        wanted: &Wanted,
        found: &mut Found,
        most: u64,
    ) -> Result<Result<Vec<Hit>, u64>, StoreError> {
        for s in &found.segments {
            self.prefetch(wanted, s)?;
        }
        let rows = spread::each(&found.segments, SEGMENTS_A_THREAD, |s| self.rows(wanted, s))?;
        let count = found.rows + rows.iter().map(Vec::len).sum::<usize>();
        if count as u64 > most {
            return Ok(Err(count as u64));
        }
        let mut hits = std::mem::take(&mut found.hits);
        let size = (count / PIECES).max(ROWS_A_PIECE);
        let segments = found.segments.iter().zip(&rows);
        let pieces: Vec<_> = segments
            .flat_map(|(s, rows)| rows.chunks(size).map(move |rows| (s, rows)))
            .collect();
        let read = spread::each(&pieces, 1, |(s, rows)| {
            let file = self.shared.open(Name::Segment(**s))?;
            segment::read_rows(&file, rows)
        })?;
        for ((s, _), read) in pieces.iter().zip(read) {
            hits.extend(read.into_iter().map(|(begin, end)| Hit {
                begin,
                end: end.map(|e| (s.seq, e)),
            }));
        }
        hits.retain(|h| wanted.matches(&h.begin));
        Ok(Ok(hits))
    }

    /// Has the system fetch what [`StoreReader::rows`] will read of a segment, so that the disk works on all of them at once.
    fn prefetch(&self, wanted: &Wanted, s: &Segment) -> Result<(), StoreError> {
        let index = self.shared.open(Name::Index(*s))?;
        index::prefetch(&index, wanted.role == Role::Called, wanted.key);
        if wanted.exact() {
            let file = self.shared.open(Name::Segment(*s))?;
            segment::prefetch_called(&file, wanted.key, wanted.from, wanted.until);
        }
        Ok(())
    }

    /// Rows of a segment that the key finds, their time checked.
    fn rows(&self, wanted: &Wanted, s: &Segment) -> Result<Vec<usize>, StoreError> {
        let Wanted {
            role,
            key,
            from,
            until,
            ..
        } = *wanted;
        let index = self.shared.open(Name::Index(*s))?;
        let index::Rows { inside, edge } =
            index::find(&index, role == Role::Called, key, from, until)?;
        let mut rows = inside;
        let exact = wanted.exact();
        if edge.is_empty() && !exact {
            return Ok(rows);
        }
        let file = self.shared.open(Name::Segment(*s))?;
        if !edge.is_empty() {
            let times = file.values::<i64>("begun_at", &edge)?;
            let held = edge.into_iter().zip(times);
            rows.extend(
                held.filter(|(_, at)| at.is_some_and(|t| (from..=until).contains(&t)))
                    .map(|(row, _)| row),
            );
            rows.sort_unstable();
            rows.dedup();
        }
        if exact {
            rows.extend(segment::find_called(&file, key, from, until)?);
            rows.sort_unstable();
            rows.dedup();
        }
        Ok(rows)
    }

    /// Gives every hit its latest second half.
    fn join(&self, hits: &mut [Hit], found: &Found) -> Result<(), StoreError> {
        let mut late: HashMap<u64, (u64, EndFacts)> = HashMap::new();
        let mut offer = |seq: u64, end: EndFacts| {
            let best = late.entry(end.uid).or_insert((seq, end));
            if best.0 <= seq {
                *best = (seq, end);
            }
        };
        let mut by_hour: BTreeMap<i64, Vec<u64>> = BTreeMap::new();
        for hit in hits.iter() {
            let uids = by_hour.entry(layout::hour_of(hit.begin.at.nanos()));
            uids.or_default().push(hit.begin.uid);
        }
        for (hour, uids) in &mut by_hour {
            uids.sort_unstable();
            for file in found.ends.iter().filter(|e| e.hour == *hour) {
                let from = uids.partition_point(|u| *u < file.first_uid);
                let until = uids.partition_point(|u| *u <= file.last_uid);
                let uids = uids.get(from..until).unwrap_or_default();
                if uids.is_empty() {
                    continue;
                }
                let reader = self.shared.open(Name::Ends(*file))?;
                for (seq, end) in ends::find(&reader, uids)? {
                    offer(seq.unwrap_or(file.seq), end);
                }
            }
        }
        {
            let state = self.shared.state();
            for table in state.tables() {
                for hit in hits.iter() {
                    if let Some(end) = table.stray(hit.begin.uid) {
                        offer(table.seq, *end);
                    }
                }
            }
        }
        for hit in hits {
            if let Some((seq, end)) = late.get(&hit.begin.uid)
                && hit.end.is_none_or(|(s, _)| s < *seq)
            {
                hit.end = Some((*seq, *end));
            }
        }
        Ok(())
    }
}

/// What was there when a look-up began.
struct Found {
    generation: u64,
    /// Records in memory, if they were asked for whole and are not too many.
    hits: Vec<Hit>,
    /// How many records there are in memory.
    rows: usize,
    segments: Vec<Segment>,
    ends: Vec<Ends>,
}

impl Found {
    /// Records in memory are taken whole if there are no more than `whole`.
    fn of(state: &State, wanted: &Wanted, whole: u64) -> Self {
        let mut found = Self {
            generation: state.generation,
            hits: Vec::new(),
            rows: 0,
            segments: Vec::new(),
            ends: Vec::new(),
        };
        if wanted.from > wanted.until {
            return found;
        }
        for table in state.tables() {
            let rows = table.find(wanted.role, wanted.key, wanted.from, wanted.until);
            found.rows += rows.len();
            if found.rows as u64 > whole {
                found.hits = Vec::new();
                continue;
            }
            found.hits.extend(rows.into_iter().filter_map(|row| {
                Some(Hit {
                    begin: table.row(row).and_then(BeginRow::to_begin)?,
                    end: table.end_of(row).map(|e| (table.seq, *e)),
                })
            }));
        }
        for hour in state.hours(wanted.from, wanted.until) {
            let touching = hour.segments.iter().copied();
            found
                .segments
                .extend(touching.filter(|s| s.touches(wanted.from, wanted.until)));
            found.ends.extend(&hour.ends);
        }
        found
    }
}

impl Hit {
    fn into_call(self) -> StoredCall {
        let end = self.end.map(|(_, end)| end.to_end(&self.begin));
        StoredCall {
            begin: self.begin,
            end,
        }
    }
}

impl Lookup for StoreReader {
    fn last_uid(&self) -> u64 {
        self.shared.state().active.last_uid
    }

    fn look_up(
        &self,
        role: Role,
        number: Tn,
        from: Timestamp,
        until: Timestamp,
        most: u64,
    ) -> Result<Bounded, StoreError> {
        // A hash may find strangers: how many there are is known only when they are read.
        let hashed = Digits::of(&number).key() < 0;
        let whole = if hashed { u64::MAX } else { most };
        self.settled(role, number, from, until, whole, |wanted, found| {
            let mut hits = match self.read(wanted, found, whole)? {
                Ok(hits) => hits,
                Err(count) => return Ok(Bounded::TooMany(count)),
            };
            hits.sort_unstable_by_key(|h| (h.begin.at, h.begin.uid));
            hits.dedup_by_key(|h| h.begin.uid);
            let count = hits.len() as u64;
            if count > most {
                return Ok(Bounded::TooMany(count));
            }
            self.join(&mut hits, found)?;
            Ok(Bounded::All(hits.into_iter().map(Hit::into_call).collect()))
        })
    }

    fn coverage(&self, from: Timestamp, until: Timestamp) -> Result<Vec<Coverage>, StoreError> {
        for _ in 0..ATTEMPTS {
            let (generation, newer) = {
                let state = self.shared.state();
                let tables = state.tables().flat_map(|t| t.coverage.clone());
                (state.generation, tables.collect::<Vec<_>>())
            };
            let result = self.ledger(from, until);
            if self.shared.state().generation != generation {
                continue;
            }
            let mut rows = result?;
            rows.extend(newer);
            erase::blind(&self.shared.vault.erased(), &mut rows);
            rows.retain(|_, row| row.from <= until && from <= row.until);
            return Ok(rows.into_values().collect());
        }
        Err(StoreError::Restless)
    }

    fn campaigns(&self, from: Timestamp, until: Timestamp) -> Result<Vec<Campaign>, StoreError> {
        Ok(campaigns::find(&self.shared.root, &self.shared.vault, from, until)?.0)
    }

    fn forgotten_before(&self) -> Option<Timestamp> {
        self.shared.state().forgotten
    }
}

impl StoreReader {
    /// Rows of the days that the window touches. A row belongs to the day of its beginning, so the day before counts as well.
    fn ledger(&self, from: Timestamp, until: Timestamp) -> Result<ledger::Rows, StoreError> {
        let days = ledger::day_of(from) - 1..=ledger::day_of(until);
        let mut rows = ledger::Rows::new();
        for (path, name) in layout::list(&layout::coverage(&self.shared.root))? {
            let day = name
                .as_deref()
                .and_then(|n| layout::day_from(n.strip_suffix(".parquet")?));
            if day.is_some_and(|d| days.contains(&d)) {
                rows.extend(ledger::read(&path)?);
            }
        }
        Ok(rows)
    }
}
