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
mod rows;

use std::fmt::Write;

use parquet::data_type::{ByteArray, FixedLenByteArray};

pub(super) use self::find::{KEYS, find_called, partition, prefetch_called};
pub(super) use self::read::{Names, join, read_rows};
pub(super) use self::rows::write_rows;
use super::codec::EndFacts;
use super::names::Named;
use super::table::table;

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
