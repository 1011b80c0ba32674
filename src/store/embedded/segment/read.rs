//! Rows of a segment as records.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use parquet::data_type::{ByteArray, FixedLenByteArray};

use super::{BeginColumns, EndColumns, uuid_text};
use crate::base::Timestamp;
use crate::base::digest::{Digest128, IdDigest};
use crate::call::classify::Notes;
use crate::call::leg::Pair;
use crate::call::peer::Attribution;
use crate::call::peer::attribution::mac_from;
use crate::call::record::{Begin, Clock, Ids, Numbers, Verdict};
use crate::number::Tn;
use crate::stir::verify::RuleSet;
use crate::store::StoreError;
use crate::store::embedded::codec::EndFacts;
use crate::store::embedded::names::{Named, flags_from, keys_from, rule, rules_from};
use crate::store::embedded::table::Reader;
use crate::wire::Provenance;

/// Where columns come from, as errors name it: a file, or the shared engine.
type Place = std::path::Path;

/// Reads the given rows, counted over all row groups, whole. They rise.
pub(in crate::store::embedded) fn read_rows(
    segment: &Reader,
    rows: &[usize],
) -> Result<Vec<(Begin, Option<EndFacts>)>, StoreError> {
    let parts = segment.by_group(rows)?;
    for (group, _, rows) in &parts {
        segment.prefetch_all(*group, rows);
    }
    let mut records = Vec::with_capacity(rows.len());
    for (group, _, rows) in parts {
        let begin = BeginColumns::read(segment, group, &rows)?;
        let end = EndColumns::read(segment, group, &rows)?;
        records.extend(join(&begin, &end, rows.len(), segment.path())?);
    }
    Ok(records)
}

/// Both halves of so many rows.
pub(in crate::store::embedded) fn join(
    begin: &BeginColumns,
    end: &EndColumns,
    rows: usize,
    place: &Place,
) -> Result<Vec<(Begin, Option<EndFacts>)>, StoreError> {
    let mut names = Names::of(place);
    (0..rows)
        .map(|i| {
            let first = begin.row(i, &mut names)?;
            let second = end.row(i, first.uid, first.at.nanos(), place)?;
            Ok((first, second))
        })
        .collect()
}

/// Shares names that repeat, and says which column is to blame.
pub(in crate::store::embedded) struct Names<'a> {
    place: &'a Place,
    known: HashMap<Vec<u8>, Arc<str>>,
}

impl<'a> Names<'a> {
    pub fn of(place: &'a Place) -> Self {
        Self {
            place,
            known: HashMap::new(),
        }
    }

    fn shared(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.known.get(text.as_bytes()) {
            return known.clone();
        }
        let shared: Arc<str> = text.into();
        self.known.insert(text.as_bytes().to_vec(), shared.clone());
        shared
    }
}

fn text<'c>(
    cells: &'c [Option<ByteArray>],
    row: usize,
    column: &str,
    place: &Place,
) -> Result<Option<&'c str>, StoreError> {
    match cells.get(row).and_then(Option::as_ref) {
        Some(cell) => match std::str::from_utf8(cell.data()) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(lacks(place, column, "UTF-8 text")),
        },
        None => Ok(None),
    }
}

fn named<T: Named>(
    cells: &[Option<ByteArray>],
    row: usize,
    column: &str,
    place: &Place,
) -> Result<Option<T>, StoreError> {
    match text(cells, row, column, place)? {
        Some(name) => match T::from_name(name) {
            Some(value) => Ok(Some(value)),
            None => Err(unknown(place, column, name)),
        },
        None => Ok(None),
    }
}

fn small<T: TryFrom<i64>>(
    cells: &[Option<i64>],
    row: usize,
    column: &str,
    place: &Place,
) -> Result<Option<T>, StoreError> {
    match cells.get(row).copied().flatten() {
        Some(n) => match T::try_from(n) {
            Ok(n) => Ok(Some(n)),
            Err(_) => Err(unknown(place, column, &n.to_string())),
        },
        None => Ok(None),
    }
}

fn unknown(place: &Place, column: &str, value: &str) -> StoreError {
    let what = format!("column {column} says {value:?}, which this version does not know");
    StoreError::corrupt(place, what)
}

fn lacks(place: &Place, column: &str, what: &str) -> StoreError {
    StoreError::corrupt(place, format!("column {column}: no {what}"))
}

impl BeginColumns {
    pub fn row(&self, i: usize, names: &mut Names<'_>) -> Result<Begin, StoreError> {
        let s = names.place;
        let text = |cells, column: &str| text(cells, i, column, s);
        let boxed = |cells, column: &str| Ok::<_, StoreError>(text(cells, column)?.map(Box::from));
        let integer = |cells: &[Option<i64>]| cells.get(i).copied().flatten();
        let id = |cells: &[Option<i64>]| integer(cells).map(|n| IdDigest(n.cast_unsigned()));
        let lacks = |column: &str| lacks(s, column, "value");
        let rules = |cells, column: &str| match text(cells, column)? {
            Some(names) => rules_from(names).map_err(|name| unknown(s, column, name)),
            None => Ok(RuleSet::default()),
        };
        let socket = |ips, ports: &[Option<i64>], column: &str| {
            let ip = text(ips, column)?.and_then(|t| t.parse::<IpAddr>().ok());
            let port = small::<u16>(ports, i, column, s)?;
            let both = ip.zip(port).map(|(ip, port)| SocketAddr::new(ip, port));
            both.ok_or_else(|| lacks(column))
        };
        let octets = |cells: &[Option<FixedLenByteArray>]| {
            let cell = cells.get(i)?.as_ref()?;
            <[u8; 16]>::try_from(cell.data()).ok()
        };
        let others = text(&self.other_numbers, "other_numbers")?.unwrap_or("");
        let number = |cells: &[Option<i64>], column: &str| {
            integer(cells)
                .and_then(|n| Tn::from_u64(n.try_into().ok()?))
                .or_else(|| {
                    let mut parts = others.split(' ').filter_map(|p| p.split_once('='));
                    let (_, digits) = parts.find(|(name, _)| *name == column)?;
                    Tn::from_canonical(digits.as_bytes())
                })
        };
        let uid = integer(&self.uid).ok_or_else(|| lacks("uid"))?;
        let at = integer(&self.begun_at).ok_or_else(|| lacks("begun_at"))?;
        let sensor = text(&self.sensor, "sensor")?.ok_or_else(|| lacks("sensor"))?;
        let (peer, peer_rule) = (
            text(&self.peer, "peer")?,
            text(&self.peer_rule, "peer_rule")?,
        );
        let decided_by = match text(&self.decided_by, "decided_by")? {
            Some(id) => Some(rule(id).ok_or_else(|| unknown(s, "decided_by", id))?),
            None => None,
        };
        let origid = match octets(&self.origid) {
            Some(uuid) => Some(uuid_text(&uuid).into()),
            None => boxed(&self.origid_text, "origid_text")?,
        };
        let flags = match text(&self.flags, "flags")? {
            Some(names) => flags_from(names).map_err(|name| unknown(s, "flags", name))?,
            None => Default::default(),
        };
        let keys = match text(&self.attribution, "attribution")? {
            Some(names) => keys_from(names).map_err(|name| unknown(s, "attribution", name))?,
            None => Default::default(),
        };
        let mac = match text(&self.mac, "mac")? {
            Some(mac) => Some(mac_from(mac).ok_or_else(|| unknown(s, "mac", mac))?),
            None => None,
        };
        let how = named(&self.pair_how, i, "pair_how", s)?;
        let pair = match (integer(&self.pair_uid), integer(&self.pair_at), how) {
            (Some(uid), Some(at), Some(how)) => Some(Pair {
                uid: uid.cast_unsigned(),
                at: Timestamp::from_nanos(at),
                how,
            }),
            (None, None, None) => None,
            _ => return Err(lacks("pair_uid, pair_at or pair_how")),
        };
        Ok(Begin {
            uid: uid.cast_unsigned(),
            at: Timestamp::from_nanos(at),
            clock: Clock {
                source: named(&self.clock, i, "clock", s)?.ok_or_else(|| lacks("clock"))?,
                error_ns: small(&self.clock_error_ns, i, "clock_error_ns", s)?.unwrap_or(0),
            },
            config: small(&self.config, i, "config", s)?.unwrap_or(0),
            direction: named(&self.direction, i, "direction", s)?
                .ok_or_else(|| lacks("direction"))?,
            transport: named(&self.transport, i, "transport", s)?
                .ok_or_else(|| lacks("transport"))?,
            source: socket(&self.source, &self.source_port, "source")?,
            destination: socket(&self.destination, &self.destination_port, "destination")?,
            vlan: small(&self.vlan, i, "vlan", s)?,
            trunk: boxed(&self.trunk, "trunk")?,
            numbers: Numbers {
                called: number(&self.called, "called"),
                to: number(&self.to_number, "to_number"),
                diverted_from: number(&self.diverted_from, "diverted_from"),
                from: number(&self.from_number, "from_number"),
                asserted: number(&self.asserted, "asserted"),
                remote_party: number(&self.remote_party, "remote_party"),
                private: self.private.get(i).copied().flatten().unwrap_or(false),
            },
            called_text: boxed(&self.called_text, "called_text")?,
            ids: Ids {
                call_id: id(&self.call_id).ok_or_else(|| lacks("call_id"))?,
                session_id: id(&self.session_id),
                icid: id(&self.icid),
                sdp_origin: id(&self.sdp_origin),
            },
            verdict: Verdict {
                validation: named(&self.validation, i, "validation", s)?
                    .ok_or_else(|| lacks("validation"))?,
                decided_by,
                attest: named(&self.attest, i, "attest", s)?,
                failed: rules(&self.failed, "failed")?,
                undetermined: rules(&self.undetermined, "undetermined")?,
                findings: rules(&self.findings, "findings")?,
                identities: small(&self.identities, i, "identities", s)?.unwrap_or(0),
                passport: octets(&self.passport).map(Digest128),
                orig: number(&self.orig, "orig"),
                iat: integer(&self.iat),
                origid,
                spc: boxed(&self.spc, "spc")?,
                x5u_host: boxed(&self.x5u_host, "x5u_host")?,
                chain: octets(&self.chain).map(Digest128),
            },
            verstat: named(&self.verstat, i, "verstat", s)?,
            flags,
            notes: text(&self.notes, "notes")?
                .map(Notes::from_text)
                .unwrap_or_default(),
            sensor: names.shared(sensor),
            // Before there was a live capture, all came from files.
            provenance: named(&self.provenance, i, "provenance", s)?.unwrap_or(Provenance::File),
            peer: peer.map(|p| names.shared(p)),
            peer_rule: peer_rule.map(|p| names.shared(p)),
            attribution: Attribution {
                keys,
                shared: self.shared.get(i).copied().flatten().unwrap_or(false),
                mac,
                trunk_context: boxed(&self.trunk_context, "trunk_context")?,
                orig_ioi: boxed(&self.orig_ioi, "orig_ioi")?,
                tech_prefix: boxed(&self.tech_prefix, "tech_prefix")?,
                header: boxed(&self.rule_header, "rule_header")?,
            },
            pair,
        })
    }
}

impl EndColumns {
    pub fn row(
        &self,
        i: usize,
        uid: u64,
        begun_at: i64,
        s: &Place,
    ) -> Result<Option<EndFacts>, StoreError> {
        let Some(state) = named(&self.state, i, "state", s)? else {
            return Ok(None);
        };
        Ok(Some(EndFacts {
            uid,
            begun_at,
            state,
            code: small(&self.code, i, "code", s)?.unwrap_or(0),
            cause: small(&self.cause, i, "cause", s)?,
            ringing_ms: small(&self.ringing_ms, i, "ringing_ms", s)?,
            final_ms: small(&self.final_ms, i, "final_ms", s)?,
            duration_ms: small(&self.duration_ms, i, "duration_ms", s)?,
            released_by: named(&self.released_by, i, "released_by", s)?,
            retransmissions: small(&self.retransmissions, i, "retransmissions", s)?.unwrap_or(0),
            forks: small(&self.forks, i, "forks", s)?.unwrap_or(0),
            auth_retries: small(&self.auth_retries, i, "auth_retries", s)?.unwrap_or(0),
            stir_cause: small(&self.stir_cause, i, "stir_cause", s)?,
            disagrees: self.disagrees.get(i).copied().flatten().unwrap_or(false),
            one_way: self.one_way.get(i).copied().flatten().unwrap_or(false),
        }))
    }
}
