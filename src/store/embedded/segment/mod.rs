//! Segments: records of one hour, sorted by called number, time and uid, in a Parquet file that any tool reads.
//!
//! | column | type | holds |
//! |---|---|---|
//! | `called`, `to_number`, `diverted_from`, `from_number`, `asserted`, `remote_party`, `orig` | INT64 | numbers as integers of their digits |
//! | `other_numbers` | text | `name=number` for those of the seven that are no integer (`called=*67`), separated by blanks |
//! | `called_text` | text | Request-URI whose user is no number, escaped |
//! | `begun_at` | TIMESTAMP ns, UTC | capture time of the first INVITE |
//! | `uid`, `config`, `clock_error_ns`, `identities` | INT64 | as in the record |
//! | `clock`, `sensor`, `direction`, `peer`, `peer_rule`, `transport`, `source`, `destination`, `trunk`, `validation`, `decided_by`, `attest`, `spc`, `x5u_host`, `verstat`, `provenance` | text | as in the record |
//! | `source_port`, `destination_port`, `vlan`, `iat` | INT64 | as in the record |
//! | `private` | BOOLEAN | as in the record |
//! | `call_id`, `session_id`, `icid`, `sdp_origin` | UINT64 | digests: `printf('%016x', call_id)` is the text of the JSON |
//! | `failed`, `undetermined`, `findings`, `flags` | text | names, separated by blanks; absent when there is none |
//! | `passport`, `chain` | 16 octets | digests of the PASSporT and of the certificates that it was judged with |
//! | `attribution` | text | keys of the rule that named the neighbour, separated by blanks |
//! | `shared` | BOOLEAN | as in the record |
//! | `mac`, `trunk_context`, `orig_ioi`, `tech_prefix`, `rule_header` | text | as in the record, the last one there named `header` |
//! | `notes` | text | what flags rest on: lines of flag, blank, words |
//! | `pair_uid` INT64, `pair_at` TIMESTAMP, `pair_how` text | | of an egress leg, where its ingress leg is certain |
//! | `origid` | UUID | where it is one in its usual form, else `origid_text` |
//! | `state`, `released_by` | text | second half; `state` is absent while there is none |
//! | `code`, `cause`, `ringing_ms`, `final_ms`, `duration_ms`, `retransmissions`, `forks`, `auth_retries`, `stir_cause` | INT64 | second half |
//! | `disagrees`, `one_way` | BOOLEAN | second half |
//!
//! No name needs quotes in DuckDB (`at`, `from` and `to` would).
//!
//! A second half that came after its record was sealed is in an `.ends` file of the same folder: `uid` and the columns of
//! the last three lines. Files of versions before a column was added lack it: there it has no value.

mod find;
mod read;

use std::collections::HashMap;
use std::fmt::Write;
use std::hash::BuildHasherDefault;
use std::net::IpAddr;

use bytes::Bytes;
use parquet::column::writer::ColumnWriter;
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::errors::Result as ParquetResult;
use rustc_hash::FxHasher;

pub(super) use self::find::{KEYS, find_called, partition, prefetch_called};
pub(super) use self::read::{Names, join, read_rows};
use super::codec::{BeginRow, Digits, EndFacts};
use super::names::{Named, flags_text, keys_text, rules_text};
use super::table::{PAGE_ROWS, table};
use crate::call::peer::attribution::mac_text;
use crate::stir::verify::RuleSet;

table! {
    /// First halves.
    BeginCells reads BeginColumns {
        called: i64 = false Packed Signed Page;
        begun_at: i64 = true Packed Time Page;
        uid: i64 = true Packed Signed Chunk;
        to_number: i64 = false Packed Signed Chunk;
        diverted_from: i64 = false Packed Signed Chunk;
        from_number: i64 = false Packed Signed Chunk;
        asserted: i64 = false Packed Signed Chunk;
        remote_party: i64 = false Packed Signed Chunk;
        orig: i64 = false Packed Signed Chunk;
        // Where a column is mostly empty, statistics of the chunk cost nothing and spare a look-up its pages.
        other_numbers: ByteArray = false Text Text Chunk;
        called_text: ByteArray = false Text Text Chunk;
        private: bool = true Text Flag None;
        clock: ByteArray = true Dictionary Text None;
        clock_error_ns: i64 = true Delta Signed None;
        sensor: ByteArray = true Dictionary Text None;
        config: i64 = true Delta Signed None;
        direction: ByteArray = true Dictionary Text None;
        peer: ByteArray = false Dictionary Text None;
        peer_rule: ByteArray = false Dictionary Text None;
        transport: ByteArray = true Dictionary Text None;
        source: ByteArray = true Dictionary Text None;
        source_port: i64 = true Delta Signed None;
        destination: ByteArray = true Dictionary Text None;
        destination_port: i64 = true Delta Signed None;
        vlan: i64 = false Dictionary Signed None;
        trunk: ByteArray = false Dictionary Text Chunk;
        call_id: i64 = true Plain Unsigned None;
        session_id: i64 = false Plain Unsigned None;
        // Both legs of a call lie side by side and mostly share these two: packed, the second costs a few octets.
        icid: i64 = false Text Unsigned None;
        sdp_origin: i64 = false Plain Unsigned None;
        validation: ByteArray = true Dictionary Text None;
        decided_by: ByteArray = false Dictionary Text Chunk;
        attest: ByteArray = false Dictionary Text None;
        failed: ByteArray = false Dictionary Text Chunk;
        undetermined: ByteArray = false Dictionary Text Chunk;
        findings: ByteArray = false Dictionary Text Chunk;
        identities: i64 = true Delta Signed None;
        passport: FixedLenByteArray = false Text Octets16 None;
        iat: i64 = false Delta Signed None;
        origid: FixedLenByteArray = false Dictionary Uuid None;
        origid_text: ByteArray = false Dictionary Text Chunk;
        spc: ByteArray = false Dictionary Text None;
        x5u_host: ByteArray = false Dictionary Text None;
        flags: ByteArray = false Dictionary Text None;
        chain: FixedLenByteArray = false Dictionary Octets16 Chunk;
        verstat: ByteArray = false Dictionary Text Chunk;
        provenance: ByteArray = false Dictionary Text None;
        attribution: ByteArray = false Dictionary Text None;
        shared: bool = false Text Flag None;
        mac: ByteArray = false Dictionary Text Chunk;
        trunk_context: ByteArray = false Dictionary Text Chunk;
        orig_ioi: ByteArray = false Dictionary Text Chunk;
        tech_prefix: ByteArray = false Dictionary Text Chunk;
        rule_header: ByteArray = false Dictionary Text Chunk;
        pair_uid: i64 = false Packed Signed None;
        pair_at: i64 = false Packed Time None;
        pair_how: ByteArray = false Dictionary Text None;
        notes: ByteArray = false Dictionary Text Chunk;
    }
}

table! {
    /// Second halves.
    EndCells reads EndColumns {
        state: ByteArray = false Dictionary Text None;
        code: i64 = false Dictionary Signed None;
        cause: i64 = false Dictionary Signed Chunk;
        ringing_ms: i64 = false Packed Signed None;
        final_ms: i64 = false Packed Signed None;
        duration_ms: i64 = false Packed Signed None;
        released_by: ByteArray = false Dictionary Text Chunk;
        retransmissions: i64 = false Delta Signed None;
        forks: i64 = false Delta Signed None;
        auth_retries: i64 = false Delta Signed None;
        stir_cause: i64 = false Dictionary Signed Chunk;
        disagrees: bool = false Text Flag None;
        one_way: bool = false Text Flag None;
    }
}

table! {
    /// What names a second half that is stored apart.
    UidCells {
        uid: i64 = true Delta Signed Page;
    }
}

/// Rows of a segment on their way into its columns.
pub(super) struct SegmentRows {
    begin: BeginCells,
    end: EndCells,
    waiting: usize,
    addresses: Addresses,
    rules: HashMap<u128, ByteArray, BuildHasherDefault<FxHasher>>,
    flags: HashMap<u64, ByteArray, BuildHasherDefault<FxHasher>>,
    keys: HashMap<u32, ByteArray, BuildHasherDefault<FxHasher>>,
    macs: HashMap<[u8; 6], ByteArray, BuildHasherDefault<FxHasher>>,
}

/// Sets that are remembered as text. Far more than occur together; past it, all are forgotten.
const SETS: usize = 4096;

impl SegmentRows {
    pub fn new() -> Self {
        Self {
            begin: BeginCells::new(),
            end: EndCells::new(),
            waiting: 0,
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
        writers: &mut [ColumnWriter<'_>],
    ) -> ParquetResult<()> {
        let must = |t: &[u8]| ByteArray::from(chunk.slice_ref(t));
        let text = |t: Option<&[u8]>| t.map(must);
        let number = |d: Option<Digits>| match d {
            Some(Digits::Int(n)) => Some(n.cast_signed()),
            _ => None,
        };
        let c = &mut self.begin;
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
        c.origid
            .put_opt(uuid.map(|u| FixedLenByteArray::from(u.to_vec())));
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
        self.end.push(end);

        self.waiting += 1;
        if self.waiting == PAGE_ROWS {
            self.flush(writers)?;
        }
        Ok(())
    }

    /// Writes the last, shorter page.
    pub fn flush(&mut self, writers: &mut [ColumnWriter<'_>]) -> ParquetResult<()> {
        if self.waiting > 0 {
            let mut writers = writers.iter_mut();
            self.begin.flush(&mut writers)?;
            self.end.flush(&mut writers)?;
            self.waiting = 0;
        }
        Ok(())
    }
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

impl EndCells {
    pub fn push(&mut self, end: Option<&EndFacts>) {
        self.state.put_opt(end.map(|e| e.state.cell()));
        self.code.put_opt(end.map(|e| e.code.into()));
        self.cause.put_opt(end.and_then(|e| e.cause).map(i64::from));
        self.ringing_ms
            .put_opt(end.and_then(|e| e.ringing_ms).map(i64::from));
        self.final_ms
            .put_opt(end.and_then(|e| e.final_ms).map(i64::from));
        self.duration_ms
            .put_opt(end.and_then(|e| e.duration_ms).map(i64::from));
        self.released_by
            .put_opt(end.and_then(|e| e.released_by).map(Named::cell));
        self.retransmissions
            .put_opt(end.map(|e| e.retransmissions.into()));
        self.forks.put_opt(end.map(|e| e.forks.into()));
        self.auth_retries
            .put_opt(end.map(|e| e.auth_retries.into()));
        self.stir_cause
            .put_opt(end.and_then(|e| e.stir_cause).map(i64::from));
        self.disagrees.put_opt(end.map(|e| e.disagrees));
        self.one_way.put_opt(end.map(|e| e.one_way));
    }
}

/// What a second half has in a column of integers; `None` as well for other columns.
pub(super) fn end_number(column: &str, e: &EndFacts) -> Option<i64> {
    match column {
        "code" => Some(e.code.into()),
        "cause" => e.cause.map(i64::from),
        "ringing_ms" => e.ringing_ms.map(i64::from),
        "final_ms" => e.final_ms.map(i64::from),
        "duration_ms" => e.duration_ms.map(i64::from),
        "retransmissions" => Some(e.retransmissions.into()),
        "forks" => Some(e.forks.into()),
        "auth_retries" => Some(e.auth_retries.into()),
        "stir_cause" => e.stir_cause.map(i64::from),
        _ => None,
    }
}

/// The same in a column of text.
pub(super) fn end_text(column: &str, e: &EndFacts) -> Option<ByteArray> {
    match column {
        "state" => Some(e.state.cell()),
        "released_by" => e.released_by.map(Named::cell),
        _ => None,
    }
}

/// The same in a column of truth values.
pub(super) fn end_flag(column: &str, e: &EndFacts) -> Option<bool> {
    match column {
        "disagrees" => Some(e.disagrees),
        "one_way" => Some(e.one_way),
        _ => None,
    }
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

/// The octets of a UUID in its usual form: lower case, with hyphens. Anything else stays text, so that nothing is lost.
fn uuid_octets(text: &[u8]) -> Option<[u8; 16]> {
    let text: &[u8; 36] = text.try_into().ok()?;
    let mut out = [0; 16];
    let mut places = out.iter_mut();
    let mut high = None;
    for (i, b) in text.iter().enumerate() {
        let digit = match (i, b) {
            (8 | 13 | 18 | 23, b'-') => continue,
            (8 | 13 | 18 | 23, _) => return None,
            (_, b'0'..=b'9') => b - b'0',
            (_, b'a'..=b'f') => b - b'a' + 10,
            _ => return None,
        };
        high = match high {
            None => Some(digit << 4),
            Some(high) => {
                *places.next()? = high | digit;
                None
            }
        };
    }
    Some(out)
}

fn uuid_text(octets: &[u8]) -> String {
    let mut out = String::with_capacity(36);
    for (i, b) in octets.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        let _ = write!(out, "{b:02x}");
    }
    out
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
    use proptest::prelude::*;

    #[test]
    fn only_the_usual_form_of_a_uuid_becomes_octets() {
        let usual = "0f0e0d0c-0102-4a3b-8c9d-00ff10ee20dd";
        assert_eq!(uuid_text(&uuid_octets(usual.as_bytes()).unwrap()), usual);
        assert_eq!(uuid_octets(usual.to_uppercase().as_bytes()), None);
        assert_eq!(uuid_octets(b"0f0e0d0c01024a3b8c9d00ff10ee20dd"), None);
        assert_eq!(uuid_octets(b"0f0e0d0c-0102-4a3b-8c9d-00ff10ee20d-"), None);
    }

    proptest! {
        #[test]
        fn every_uuid_goes_both_ways(octets in any::<[u8; 16]>()) {
            prop_assert_eq!(uuid_octets(uuid_text(&octets).as_bytes()), Some(octets));
        }
    }
}
