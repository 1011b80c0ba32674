//! Rows on their way into the columns of a segment: gathered by one thread, packed by another.

use std::collections::HashMap;
use std::fmt::Write;
use std::hash::BuildHasherDefault;
use std::net::IpAddr;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;

use bytes::{Bytes, BytesMut};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::errors::{ParquetError, Result as ParquetResult};
use rustc_hash::FxHasher;

use super::{BeginCells, EndCells, uuid_octets};
use crate::call::peer::attribution::mac_text;
use crate::stir::verify::RuleSet;
use crate::store::embedded::codec::{BeginRow, Digits, EndFacts};
use crate::store::embedded::names::{Named, flags_text, keys_text, rules_text};
use crate::store::embedded::table::PAGE_ROWS;

/// Rows that are gathered before they go into the columns: an eighth of a page, so that all their values stay in a core's cache.
const BATCH_ROWS: usize = PAGE_ROWS / 8;

/// Some rows, column by column.
struct Batch {
    begin: BeginCells,
    end: EndCells,
    /// Of origids.
    uuids: BytesMut,
    rows: usize,
}

/// Batches in hand: one is gathered, one is packed, and others wait where one of the two threads is ahead.
const BATCHES: usize = 4;

impl Batch {
    fn new() -> Self {
        Self {
            begin: BeginCells::new(),
            end: EndCells::new(),
            uuids: BytesMut::new(),
            rows: 0,
        }
    }

    fn write(&self, writers: &mut [ColumnWriter<'_>]) -> ParquetResult<()> {
        let mut writers = writers.iter_mut();
        self.begin.write(&mut writers)?;
        self.end.write(&mut writers)
    }

    /// Texts count who shares them, and two threads that count in turn wait for each other: so whoever fills a batch empties it.
    fn clear(&mut self) {
        self.begin.clear();
        self.end.clear();
        self.rows = 0;
    }
}

/// Writes rows of a segment: `gather` gives them one by one, and a thread beside packs every batch that is full.
pub(in crate::store::embedded) fn write_rows(
    writers: &mut [ColumnWriter<'_>],
    gather: impl FnOnce(&mut SegmentRows) -> ParquetResult<()>,
) -> ParquetResult<()> {
    let (full, to_pack) = mpsc::sync_channel::<Batch>(BATCHES);
    let (packed, empty) = mpsc::channel();
    thread::scope(|scope| {
        let packer = thread::Builder::new().name("pack".to_owned());
        let packer = packer.spawn_scoped(scope, move || {
            for batch in to_pack {
                batch.write(writers)?;
                // Nobody waits for the last ones.
                let _ = packed.send(batch);
            }
            Ok(())
        });
        let packer = packer.map_err(|e| ParquetError::External(Box::new(e)))?;
        let mut rows = SegmentRows::new(full, empty);
        let gathered = gather(&mut rows).and_then(|()| rows.finish());
        let packed = packer
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // Where packing failed, that is why gathering did.
        packed.and(gathered)
    })
}

/// Rows of a segment on their way into its columns.
pub(in crate::store::embedded) struct SegmentRows {
    batch: Batch,
    full: SyncSender<Batch>,
    empty: Receiver<Batch>,
    /// Batches that are not made yet.
    to_make: usize,
    addresses: Addresses,
    rules: HashMap<u128, ByteArray, BuildHasherDefault<FxHasher>>,
    flags: HashMap<u64, ByteArray, BuildHasherDefault<FxHasher>>,
    keys: HashMap<u32, ByteArray, BuildHasherDefault<FxHasher>>,
    macs: HashMap<[u8; 6], ByteArray, BuildHasherDefault<FxHasher>>,
}

/// Sets that are remembered as text. Far more than occur together; past it, all are forgotten.
const SETS: usize = 4096;

impl SegmentRows {
    fn new(full: SyncSender<Batch>, empty: Receiver<Batch>) -> Self {
        Self {
            batch: Batch::new(),
            full,
            empty,
            to_make: BATCHES - 1,
            addresses: Addresses::default(),
            rules: HashMap::default(),
            flags: HashMap::default(),
            keys: HashMap::default(),
            macs: HashMap::default(),
        }
    }

    /// Adds a row, whose text lies in `chunk`.
    pub fn push(
        &mut self,
        row: &BeginRow<'_>,
        chunk: &Bytes,
        end: Option<&EndFacts>,
    ) -> ParquetResult<()> {
        let must = |t: &[u8]| ByteArray::from(chunk.slice_ref(t));
        let text = |t: Option<&[u8]>| t.map(must);
        let number = |d: Option<Digits>| match d {
            Some(Digits::Int(n)) => Some(n.cast_signed()),
            _ => None,
        };
        let c = &mut self.batch.begin;
        c.called.put_opt(number(row.called));
        c.begun_at.put(row.at);
        c.uid.put(row.uid.cast_signed());
        c.to_number.put_opt(number(row.to));
        c.diverted_from.put_opt(number(row.diverted_from));
        c.from_number.put_opt(number(row.from));
        c.asserted.put_opt(number(row.asserted));
        c.remote_party.put_opt(number(row.remote_party));
        c.orig.put_opt(number(row.orig));
        c.other_numbers.put_opt(other_numbers(row));
        c.called_text.put_opt(text(row.called_text));
        c.private.put(row.private);
        c.clock.put(row.clock.source.cell());
        c.clock_error_ns.put(row.clock.error_ns.into());
        c.sensor.put(must(row.sensor));
        c.config.put(row.config.into());
        c.direction.put(row.direction.cell());
        c.peer.put_opt(text(row.peer));
        c.peer_rule.put_opt(text(row.peer_rule));
        c.transport.put(row.transport.cell());
        c.source.put(self.addresses.text(row.source.ip()));
        c.source_port.put(row.source.port().into());
        c.destination.put(self.addresses.text(row.destination.ip()));
        c.destination_port.put(row.destination.port().into());
        c.vlan.put_opt(row.vlan.map(i64::from));
        c.trunk.put_opt(text(row.trunk));
        c.call_id.put(row.call_id.cast_signed());
        c.session_id.put_opt(row.session_id.map(u64::cast_signed));
        c.icid.put_opt(row.icid.map(u64::cast_signed));
        c.sdp_origin.put_opt(row.sdp_origin.map(u64::cast_signed));
        c.validation.put(row.validation.cell());
        c.decided_by.put_opt(
            row.decided_by
                .map(|r| Bytes::from_static(r.id().as_bytes()).into()),
        );
        c.attest.put_opt(row.attest.map(Named::cell));
        for (cells, set) in [
            (&mut c.failed, row.failed),
            (&mut c.undetermined, row.undetermined),
            (&mut c.findings, row.findings),
        ] {
            let names = (!set.is_empty())
                .then(|| remember(&mut self.rules, set.0, || rules_text(RuleSet(set.0))));
            cells.put_opt(names);
        }
        c.identities.put(row.identities.into());
        let octets = |o: &[u8]| FixedLenByteArray::from(ByteArray::from(chunk.slice_ref(o)));
        c.passport
            .put_opt(row.passport.map(|p| octets(p.as_slice())));
        c.iat.put_opt(row.iat);
        let uuid = row.origid.and_then(uuid_octets);
        c.origid_text
            .put_opt(text(row.origid.filter(|_| uuid.is_none())));
        let uuids = &mut self.batch.uuids;
        c.origid.put_opt(uuid.map(|u| {
            // One allocation for those of a batch.
            if uuids.capacity() < u.len() {
                uuids.reserve(BATCH_ROWS * u.len());
            }
            uuids.extend_from_slice(&u);
            FixedLenByteArray::from(ByteArray::from(uuids.split().freeze()))
        }));
        c.spc.put_opt(text(row.spc));
        c.x5u_host.put_opt(text(row.x5u_host));
        let flags = row.flags;
        let names =
            (flags.0 != 0).then(|| remember(&mut self.flags, flags.0, || flags_text(flags)));
        c.flags.put_opt(names);
        c.chain.put_opt(row.chain.map(|o| octets(o.as_slice())));
        c.verstat.put_opt(row.verstat.map(Named::cell));
        c.provenance.put_opt(Some(row.provenance.cell()));
        let keys = row.keys;
        let names = (keys.0 != 0).then(|| remember(&mut self.keys, keys.0, || keys_text(keys)));
        c.attribution.put_opt(names);
        c.shared.put_opt(Some(row.shared));
        let mac = row
            .mac
            .map(|m| remember(&mut self.macs, *m, || mac_text(m)));
        c.mac.put_opt(mac);
        c.trunk_context.put_opt(text(row.trunk_context));
        c.orig_ioi.put_opt(text(row.orig_ioi));
        c.tech_prefix.put_opt(text(row.tech_prefix));
        c.rule_header.put_opt(text(row.header));
        c.pair_uid.put_opt(row.pair.map(|p| p.uid.cast_signed()));
        c.pair_at.put_opt(row.pair.map(|p| p.at.nanos()));
        c.pair_how.put_opt(row.pair.map(|p| p.how.cell()));
        c.notes.put_opt(text(row.notes));
        self.batch.end.push(end);

        self.batch.rows += 1;
        if self.batch.rows == BATCH_ROWS {
            let next = self.next_batch()?;
            let batch = std::mem::replace(&mut self.batch, next);
            self.full.send(batch).map_err(|_| stopped())?;
        }
        Ok(())
    }

    fn next_batch(&mut self) -> ParquetResult<Batch> {
        if self.to_make > 0 {
            self.to_make -= 1;
            return Ok(Batch::new());
        }
        let mut batch = self.empty.recv().map_err(|_| stopped())?;
        batch.clear();
        Ok(batch)
    }

    /// Hands over the last rows.
    fn finish(self) -> ParquetResult<()> {
        match self.batch.rows {
            0 => Ok(()),
            _ => self.full.send(self.batch).map_err(|_| stopped()),
        }
    }
}

fn stopped() -> ParquetError {
    ParquetError::General("packing has stopped".to_owned())
}

fn remember<K: std::hash::Hash + Eq>(
    known: &mut HashMap<K, ByteArray, BuildHasherDefault<FxHasher>>,
    key: K,
    text: impl FnOnce() -> String,
) -> ByteArray {
    if known.len() >= SETS {
        known.clear();
    }
    let text = known.entry(key).or_insert_with(|| text().as_str().into());
    text.clone()
}

/// Addresses as text, the last of each slot remembered. A fixed number of slots, so that no choice of addresses makes it slow or large.
struct Addresses(Vec<Option<(IpAddr, ByteArray)>>);

impl Default for Addresses {
    fn default() -> Self {
        Self(vec![None; 256])
    }
}

impl Addresses {
    fn text(&mut self, ip: IpAddr) -> ByteArray {
        let last = match ip {
            IpAddr::V4(ip) => ip.octets().iter().fold(0, |h: u8, b| h.rotate_left(1) ^ b),
            IpAddr::V6(ip) => ip.octets().iter().fold(0, |h: u8, b| h.rotate_left(1) ^ b),
        };
        let fresh = || (ip, ByteArray::from(ip.to_string().as_str()));
        match self.0.get_mut(usize::from(last)) {
            Some(slot) => {
                if slot.as_ref().is_none_or(|(known, _)| *known != ip) {
                    *slot = Some(fresh());
                }
                slot.as_ref()
                    .map(|(_, text)| text.clone())
                    .unwrap_or_default()
            }
            None => fresh().1,
        }
    }
}

/// Numbers that are no integer, by their column.
fn other_numbers(row: &BeginRow<'_>) -> Option<ByteArray> {
    let numbers = [
        ("called", row.called),
        ("to_number", row.to),
        ("diverted_from", row.diverted_from),
        ("from_number", row.from),
        ("asserted", row.asserted),
        ("remote_party", row.remote_party),
        ("orig", row.orig),
    ];
    let mut out = String::new();
    for (name, number) in numbers {
        if let Some(Digits::Text(tn)) = number {
            let blank = if out.is_empty() { "" } else { " " };
            let _ = write!(out, "{blank}{name}={tn}");
        }
    }
    (!out.is_empty()).then(|| out.as_str().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::embedded::codec::encode_begin;
    use crate::store::embedded::names::Numbering;
    use crate::store::embedded::table::Writer;
    use crate::store::embedded::tests::made::begin;
    use crate::store::embedded::vault::Vault;

    /// A row group of a new file, written with all writers but the last few.
    fn write(
        without: usize,
        gather: impl FnOnce(&mut SegmentRows) -> ParquetResult<()>,
    ) -> Result<(), String> {
        let dir = tempfile::tempdir().unwrap();
        let specs = [BeginCells::SPECS, EndCells::SPECS];
        let path = dir.path().join("rows.parquet");
        let mut file = Writer::create(&path, &specs, &Vault::default(), None).unwrap();
        let written = file.group(|writers| {
            let some = writers.len() - without;
            write_rows(&mut writers[..some], gather)
        });
        written.map_err(|e| e.to_string())
    }

    /// So many rows, all the same.
    fn equal(rows: usize) -> impl FnOnce(&mut SegmentRows) -> ParquetResult<()> {
        let mut octets = Vec::new();
        encode_begin(&begin(1), &mut octets);
        let chunk = Bytes::from(octets);
        move |cells| {
            let row = BeginRow::decode(&chunk, &Numbering::current()).unwrap();
            (0..rows).try_for_each(|_| cells.push(&row, &chunk, None))
        }
    }

    #[test]
    fn where_packing_fails_gathering_ends_and_says_why() {
        for rows in [0, 1, BATCH_ROWS, (BATCHES + 3) * BATCH_ROWS + 1] {
            write(0, equal(rows)).unwrap();
        }
        for rows in [1, BATCH_ROWS, 100 * BATCH_ROWS] {
            let why = write(1, equal(rows)).unwrap_err();
            assert!(why.contains("a column too many"), "{rows}: {why}");
        }
    }

    #[test]
    fn where_gathering_fails_packing_ends() {
        let why = write(0, |_| Err(ParquetError::General("no more".to_owned()))).unwrap_err();
        assert!(why.contains("no more"), "{why}");
    }
}
