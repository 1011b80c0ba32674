//! The store as the spool of the shared engine: what is sealed in the order of sealing, its rows as `RowBinary`, and rows of the engine as records.
//!
//! Comes in: files of this store, answers of the engine. Goes out: batches that are the same octets whenever they are made, so that the engine knows one
//! that it has had. In the engine a record's uid is `probe << 44 | uid`, here and in `pair_uid`.

use std::path::Path;

use super::codec::{Cut, Digits, EndFacts, Keys};
use super::ends;
use super::layout::{self, Ends, Segment};
use super::ledger::{self, CoverageCells, CoverageColumns};
use super::lookup::StoreReader;
use super::segment::{self, BeginCells, BeginColumns, EndCells, EndColumns, Names};
use super::table::binary::sql_type;
use super::table::{Reader, Spec};
use super::vault::Vault;
use crate::base::Timestamp;
use crate::call::record::{Begin, Coverage, StoredCall};
use crate::number::Tn;
use crate::store::StoreError;

/// Bits of a uid within its probe: 17 million million records.
const UID_BITS: u32 = 44;
/// The highest number of a probe: with it a uid stays below 2^53, which every reader of JSON keeps exact.
pub const MOST_PROBES: u16 = 511;
/// Rows that are read from a file at once: five pages of each column, some 20 MB.
const SLICE: usize = 10_000;

/// The uid of a probe's record in the engine.
pub(in crate::store) fn shared_uid(probe: u16, uid: u64) -> Option<u64> {
    (uid >> UID_BITS == 0).then_some(u64::from(probe) << UID_BITS | uid)
}

/// By what look-ups find a number: itself, or a hash below zero.
pub(in crate::store) fn key(number: &Tn) -> i64 {
    Digits::of(number).key()
}

/// A column of the engine: its name and type.
pub(in crate::store) type Column = (&'static str, String);

/// The columns of records, without those that only the engine has.
pub(in crate::store) fn columns_of_records() -> Vec<Column> {
    types(&[BeginCells::SPECS, EndCells::SPECS])
}

/// Those of second halves that came late.
pub(in crate::store) fn columns_of_ends() -> Vec<Column> {
    types(&[EndCells::SPECS])
}

/// Those of the ledger.
pub(in crate::store) fn columns_of_coverage() -> Vec<Column> {
    types(&[CoverageCells::SPECS])
}

fn types(specs: &[&[Spec]]) -> Vec<Column> {
    let specs = specs.iter().flat_map(|s| s.iter());
    specs.map(|s| (s.name, sql_type(s))).collect()
}

/// A sealed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct SealedFile(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Records of an hour.
    Segment(Segment),
    /// Second halves that came after their records were sealed.
    Ends(Ends),
}

impl SealedFile {
    /// The log that it came from; the highest where several were merged.
    pub fn seq(&self) -> u64 {
        match self.0 {
            Kind::Segment(s) => s.seq,
            Kind::Ends(e) => e.seq,
        }
    }

    /// The hour of its records, since 1970.
    pub fn hour(&self) -> i64 {
        match self.0 {
            Kind::Segment(s) => s.hour,
            Kind::Ends(e) => e.hour,
        }
    }

    /// Whether it holds second halves alone.
    pub fn is_ends(&self) -> bool {
        matches!(self.0, Kind::Ends(_))
    }

    fn open(&self, root: &Path, vault: &Vault) -> Result<Reader, StoreError> {
        match self.0 {
            Kind::Segment(s) => Reader::open(&s.parquet(root), &segment::KEYS, Some(s.sum), vault),
            Kind::Ends(e) => Reader::open(&e.path(root), &ends::KEYS, Some(e.sum), vault),
        }
    }
}

/// Rows on their way.
#[derive(Debug, Default)]
pub(in crate::store) struct Batch {
    /// How many records or second halves.
    pub rows: u64,
    /// They.
    pub body: Vec<u8>,
    /// How many entries for numbers.
    pub entries: u64,
    /// They.
    pub numbers: Vec<u8>,
}

/// A sealed file, open to be forwarded.
pub(in crate::store) struct Forwarding {
    file: SealedFile,
    reader: Reader,
    /// Rows of each row group.
    groups: Vec<usize>,
}

impl Forwarding {
    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.groups.iter().sum()
    }

    /// The rows of one batch: `most` from the `chunk`-th time `most` on.
    pub fn batch(&self, probe: u16, chunk: u32, most: usize) -> Result<Batch, StoreError> {
        let from = most.saturating_mul(usize::try_from(chunk).unwrap_or(usize::MAX));
        let until = from.saturating_add(most).min(self.rows());
        let mut batch = Batch::default();
        let mut first = 0;
        for (group, rows) in self.groups.iter().enumerate() {
            let (begin, end) = (from.max(first), until.min(first + rows));
            let wanted: Vec<usize> = (begin..end).map(|row| row - first).collect();
            for slice in wanted.chunks(SLICE) {
                match self.file.0 {
                    Kind::Segment(s) => {
                        self.records(group, slice, (probe, s.seq, chunk), &mut batch)?;
                    }
                    Kind::Ends(e) => {
                        self.ends(group, slice, e.hour, (probe, e.seq, chunk), &mut batch)?;
                    }
                }
            }
            first += rows;
        }
        Ok(batch)
    }

    fn records(
        &self,
        group: usize,
        rows: &[usize],
        origin: (u16, u64, u32),
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        let place = self.reader.path();
        let mut begin = BeginColumns::read(&self.reader, group, rows)?;
        let end = EndColumns::read(&self.reader, group, rows)?;
        for uids in [&mut begin.uid, &mut begin.pair_uid] {
            share(uids, origin.0, place)?;
        }
        let mut names = Names::of(place);
        for row in 0..rows.len() {
            begin
                .put_binary(row, &mut batch.body)
                .and_then(|()| end.put_binary(row, &mut batch.body))
                .ok_or_else(|| StoreError::corrupt(place, "a row lacks what it must have"))?;
            put_origin(origin, &mut batch.body);
            batch.rows += 1;
            let record = begin.row(row, &mut names)?;
            let keys = Keys::of_begin(&record);
            let roles = [(0, &keys.calling), (1, &keys.aliases)];
            for (role, numbers) in roles {
                for number in numbers {
                    batch.numbers.push(role);
                    for n in [
                        *number,
                        record.at.nanos(),
                        record.uid.cast_signed(),
                        keys.called.filter(|k| *k > 0).unwrap_or(0),
                    ] {
                        batch.numbers.extend_from_slice(&n.to_le_bytes());
                    }
                    put_origin(origin, &mut batch.numbers);
                    batch.entries += 1;
                }
            }
        }
        Ok(())
    }

    fn ends(
        &self,
        group: usize,
        rows: &[usize],
        hour: i64,
        origin: (u16, u64, u32),
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        let place = self.reader.path();
        let mut uids = self.reader.rows::<i64>(group, "uid", rows)?;
        share(&mut uids, origin.0, place)?;
        let end = EndColumns::read(&self.reader, group, rows)?;
        for (row, uid) in uids.into_iter().enumerate() {
            let uid = uid.ok_or_else(|| self.reader.lacks("uid", "value"))?;
            batch.body.extend_from_slice(&uid.to_le_bytes());
            batch.body.extend_from_slice(&hour.to_le_bytes());
            end.put_binary(row, &mut batch.body)
                .ok_or_else(|| StoreError::corrupt(place, "a row lacks what it must have"))?;
            put_origin(origin, &mut batch.body);
            batch.rows += 1;
        }
        Ok(())
    }
}

fn share(uids: &mut [Option<i64>], probe: u16, place: &Path) -> Result<(), StoreError> {
    for uid in uids.iter_mut().flatten() {
        let shared = shared_uid(probe, uid.cast_unsigned());
        let shared = shared.ok_or_else(|| {
            StoreError::corrupt(
                place,
                format!("uid {uid}: the shared engine has no room for it"),
            )
        })?;
        *uid = shared.cast_signed();
    }
    Ok(())
}

fn put_origin((probe, seq, chunk): (u16, u64, u32), out: &mut Vec<u8>) {
    out.extend_from_slice(&probe.to_le_bytes());
    out.extend_from_slice(&seq.to_le_bytes());
    out.extend_from_slice(&chunk.to_le_bytes());
}

/// A coverage row as `RowBinary`.
pub(in crate::store) fn put_coverage(row: &Coverage, out: &mut Vec<u8>) -> Option<()> {
    CoverageColumns::of(row).put_binary(0, out)
}

/// Days of the ledger and what tells whether they are as they were: file length and time of change.
pub(in crate::store) type LedgerDays = Vec<(i64, u64, std::time::SystemTime)>;

impl StoreReader {
    /// Sealed files of logs above `seq`, in the order of the logs, then of hours; segments before ends.
    pub(in crate::store) fn sealed_after(&self, seq: u64) -> Vec<SealedFile> {
        let state = self.shared.state();
        let hours = state.hours.values();
        let mut files: Vec<SealedFile> = hours
            .flat_map(|h| {
                let segments = h.segments.iter().copied().map(Kind::Segment);
                segments.chain(h.ends.iter().copied().map(Kind::Ends))
            })
            .map(SealedFile)
            .filter(|f| f.seq() > seq)
            .collect();
        files.sort_by_key(|f| (f.seq(), f.is_ends(), f.hour()));
        files
    }

    /// Opens a sealed file.
    pub(in crate::store) fn forwarding(&self, file: SealedFile) -> Result<Forwarding, StoreError> {
        let reader = file.open(&self.shared.root, &self.shared.vault)?;
        Ok(Forwarding {
            groups: (0..reader.groups()).map(|g| reader.group_rows(g)).collect(),
            file,
            reader,
        })
    }

    /// Names what is sealed, if nothing is being sealed just now: as long as it stays the same, the ledger on disk speaks for sealed records only.
    pub(in crate::store) fn at_rest(&self) -> Option<u64> {
        let state = self.shared.state();
        state.frozen.is_empty().then_some(state.generation)
    }

    /// Its folder.
    pub(in crate::store) fn root(&self) -> &Path {
        &self.shared.root
    }

    /// The days of the ledger.
    pub(in crate::store) fn ledger_days(&self) -> Result<LedgerDays, StoreError> {
        let mut days = Vec::new();
        for (path, name) in layout::list(&layout::coverage(&self.shared.root))? {
            let day = name.and_then(|n| layout::day_from(n.strip_suffix(".parquet")?));
            let Some(day) = day else { continue };
            match std::fs::metadata(&path).and_then(|m| Ok((m.len(), m.modified()?))) {
                Ok((length, changed)) => days.push((day, length, changed)),
                // Retention was faster.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(StoreError::io(&path, e)),
            }
        }
        Ok(days)
    }

    /// The rows of one day of the ledger.
    pub(in crate::store) fn ledger_day(&self, day: i64) -> Result<Vec<Coverage>, StoreError> {
        let rows = ledger::read(&layout::coverage_file(&self.shared.root, day))?;
        Ok(rows.into_values().collect())
    }
}

/// A record of the engine, with the latest second half that is known.
#[derive(Debug)]
pub(in crate::store) struct Found {
    /// First half.
    pub begin: Begin,
    end: Option<(u64, EndFacts)>,
}

/// A second half that came late.
#[derive(Debug)]
pub(in crate::store) struct Late {
    seq: u64,
    facts: EndFacts,
}

impl Late {
    /// Whose it is.
    pub fn uid(&self) -> u64 {
        self.facts.uid
    }
}

impl Found {
    /// Takes a second half if it is later than what there is.
    pub fn offer(&mut self, late: &Late) {
        if self.end.is_none_or(|(seq, _)| seq <= late.seq) {
            self.end = Some((late.seq, late.facts));
        }
    }

    /// Both halves.
    pub fn into_call(self) -> StoredCall {
        let end = self.end.map(|(_, end)| end.to_end(&self.begin));
        StoredCall {
            begin: self.begin,
            end,
        }
    }

    /// The hour in which it began, since 1970.
    pub fn hour(&self) -> i64 {
        layout::hour_of(self.begin.at.nanos())
    }
}

/// Records out of an answer: the columns of records, then `seq`.
pub(in crate::store) fn take_records(bytes: &[u8], place: &Path) -> Result<Vec<Found>, StoreError> {
    let mut cut = Cut(bytes);
    let (mut begin, mut end) = (BeginColumns::none(), EndColumns::none());
    let mut seqs = Vec::new();
    while !cut.0.is_empty() {
        let row = begin
            .take_binary(&mut cut)
            .and_then(|()| end.take_binary(&mut cut));
        let seq = row.and_then(|()| cut.u64());
        seqs.push(seq.ok_or_else(|| cut_short(place))?);
    }
    let rows = segment::join(&begin, &end, seqs.len(), place)?;
    let found = rows.into_iter().zip(seqs).map(|((begin, end), seq)| Found {
        begin,
        end: end.map(|e| (seq, e)),
    });
    Ok(found.collect())
}

/// Second halves out of an answer: `uid`, their columns, then `seq`.
pub(in crate::store) fn take_ends(bytes: &[u8], place: &Path) -> Result<Vec<Late>, StoreError> {
    let mut cut = Cut(bytes);
    let mut end = EndColumns::none();
    let mut names = Vec::new();
    while !cut.0.is_empty() {
        let uid = cut.i64();
        let row = uid.and_then(|uid| {
            end.take_binary(&mut cut)?;
            Some((uid.cast_unsigned(), cut.u64()?))
        });
        names.push(row.ok_or_else(|| cut_short(place))?);
    }
    let mut late = Vec::with_capacity(names.len());
    for (row, (uid, seq)) in names.into_iter().enumerate() {
        if let Some(facts) = end.row(row, uid, 0, place)? {
            late.push(Late { seq, facts });
        }
    }
    Ok(late)
}

/// Coverage rows out of an answer: `probe`, then their columns; a later row of a sensor and beginning replaces an earlier one.
pub(in crate::store) fn take_coverage(
    bytes: &[u8],
    place: &Path,
) -> Result<Vec<(u16, Coverage)>, StoreError> {
    let mut cut = Cut(bytes);
    let mut rows = std::collections::BTreeMap::new();
    while !cut.0.is_empty() {
        let mut columns = CoverageColumns::none();
        let probe = cut.u16();
        let probe = probe.and_then(|probe| columns.take_binary(&mut cut).map(|()| probe));
        let probe = probe.ok_or_else(|| cut_short(place))?;
        let mut one = ledger::Rows::new();
        columns.add_to(&mut one, place)?;
        rows.extend(one.into_iter().map(|(key, row)| ((probe, key), row)));
    }
    let rows = rows.into_iter().map(|((probe, _), row)| (probe, row));
    Ok(rows.collect())
}

fn cut_short(place: &Path) -> StoreError {
    StoreError::corrupt(place, "an answer that is no whole number of rows")
}

/// When an hour begins.
pub(in crate::store) fn hour_start(hour: i64) -> Timestamp {
    layout::hour_start(hour)
}

/// The day of a point in time, since 1970.
pub(in crate::store) fn day_of(at: Timestamp) -> i64 {
    ledger::day_of(at)
}

/// Writes a small file of the store, so that it is there whole or not at all, and durable.
pub(in crate::store) fn write_small(path: &Path, octets: &[u8]) -> Result<(), StoreError> {
    if let Some(folder) = path.parent() {
        layout::create_dirs(folder)?;
    }
    layout::write_whole(path, octets)
}

/// A text as `RowBinary`.
pub(in crate::store) fn put_text(out: &mut Vec<u8>, text: &str) {
    super::codec::put_str(out, text);
}

/// What the engine knows of a probe, or of one of its sensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct ProbeRow {
    /// The probe.
    pub probe: u16,
    /// Its sensor; empty for the probe itself.
    pub sensor: String,
    /// What the probe is called.
    pub name: String,
    /// Since when the sensor is accounted for.
    pub since: Timestamp,
    /// Until when all records of it are in the engine.
    pub until: Timestamp,
    /// The last version of rows of the ledger.
    pub version: u64,
}

/// What the engine knows of probes, out of an answer.
pub(in crate::store) fn take_probes(
    bytes: &[u8],
    place: &Path,
) -> Result<Vec<ProbeRow>, StoreError> {
    let mut cut = Cut(bytes);
    let mut rows = Vec::new();
    while !cut.0.is_empty() {
        let mut row = || {
            Some(ProbeRow {
                probe: cut.u16()?,
                sensor: cut.str()?.to_owned(),
                name: cut.str()?.to_owned(),
                since: Timestamp::from_nanos(cut.i64()?),
                until: Timestamp::from_nanos(cut.i64()?),
                version: cut.u64()?,
            })
        };
        rows.push(row().ok_or_else(|| cut_short(place))?);
    }
    Ok(rows)
}

/// The only number of an answer.
pub(in crate::store) fn take_number(bytes: &[u8], place: &Path) -> Result<i64, StoreError> {
    let mut cut = Cut(bytes);
    let number = cut.i64().filter(|_| cut.0.is_empty());
    number.ok_or_else(|| cut_short(place))
}
