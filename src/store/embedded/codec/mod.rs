//! Records as the log and the memtable hold them: octets, little endian, decoded without a copy.
//!
//! ```text
//! string   length varint, octets (UTF-8)
//! number   0, u64: digits as an integer          n = 1..23, n octets: what is no integer (leading zero, * or #)
//! varint   seven bits an octet, lowest first, high bit set on all but the last; at most 10 octets
//!
//! Begin    uid u64, at i64 (ns since 1970), present u64 (bits below; u32 in logs of version 1), clock error u32, config u32,
//!          clock source u8, direction u8, transport u8, validation u8, identities u8, Call-ID digest u64, sensor string,
//!          source and destination (4 or 16 octets, port u16), then what `present` says, in the order of its bits
//! bit      0 source is IPv6  1 destination is IPv6  2 private  3 peer string  4 peer rule string  5 VLAN u16
//!          6 trunk string  7 called  8 to  9 diverted-from  10 from  11 asserted  12 remote-party (numbers)
//!          13 called text string  14 Session-ID u64  15 icid u64  16 SDP origin u64  17 deciding rule u8
//!          18 attestation u8  19 failed u128  20 undetermined u128  21 findings u128 (rule sets)  22 PASSporT 16 octets
//!          23 orig number  24 iat i64  25 origid string  26 SPC string  27 x5u host string  28 flags u64
//!          29 chain 16 octets  30 verstat u8  31 provenance u8 (absent: a capture file); logs of version 1 end here;
//!          32 keys of the rule u32  33 addresses shared  34 MAC 6 octets  35 trunk context  36 orig-ioi  37 technical prefix
//!          38 header (strings)  39 pair: uid u64, at i64, how u8
//!          40 notes string: lines of flag, blank, note
//! End      uid u64, begun at i64, present u8, state u8, code u16, retransmissions u8, forks u8, auth retries u8,
//!          then bit 0 cause u8, 1 ringing u32, 2 final u32, 3 duration u32 (milliseconds), 4 released by u8, 5 STIR cause u16;
//!          6 disagrees  7 one way (not in version 1)
//! Coverage sensor string, from i64, until i64, packets, messages, incomplete, dropped, unreadable (varints); logs of version 0.1 end here;
//!          lost fragments, TCP gaps, freezes, shed, unverified, lost records, duplicates (varints), present u8, then by its bits
//!          0 clock: synchronised u8, offset i64, error u64  1 down string (label)
//! ```
//!
//! Codes of enums, rules and flags: see `names`. An `End` does not hold `called`, which is that of its `Begin`. Flow label and
//! scope of an IPv6 socket address are not kept: no captured packet has a scope. Octets that are left over, a
//! bit or code that is not known, and text that is not UTF-8 make a record unreadable: it is counted, never guessed.

mod coverage;
mod end;
mod octets;

use std::net::SocketAddr;
use std::sync::Arc;

pub(super) use coverage::{decode_coverage, encode_coverage};
pub(super) use end::EndFacts;
pub(super) use octets::{Cut, put_str, put_varint};
use octets::{put_digits, put_opt_str, put_socket};

use super::names::{Named, Numbering};
use crate::base::Timestamp;
use crate::base::digest::{Digest128, IdDigest};
use crate::call::classify::{Flags, Notes, Verstat};
use crate::call::leg::{Pair, Pairing};
use crate::call::peer::{Attribution, PeerKeys};
use crate::call::record::{Begin, Clock, ClockSource, Direction, Ids, Numbers, Verdict};
use crate::number::Tn;
use crate::stir::verify::{Attestation, Rule, RuleSet, Validation};
use crate::wire::{Provenance, Transport};

/// Bits of `present` that mean something.
const PRESENT: u32 = 41;

/// A number, as an integer where it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Digits {
    Int(u64),
    Text(Tn),
}

impl Digits {
    pub fn of(tn: &Tn) -> Self {
        tn.as_u64().map_or(Self::Text(*tn), Self::Int)
    }

    pub fn tn(self) -> Option<Tn> {
        match self {
            Self::Int(n) => Tn::from_u64(n),
            Self::Text(tn) => Some(tn),
        }
    }

    /// The key that indexes use: the integer itself, or a hash below zero. A hash is always checked against the record.
    pub fn key(self) -> i64 {
        match self {
            // At most 18 digits: below 2^60.
            Self::Int(n) => i64::try_from(n).unwrap_or(i64::MAX),
            Self::Text(tn) => {
                // FNV-1a, because it must be the same in every version.
                let hash = tn.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, |h, b| {
                    (h ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3)
                });
                i64::MIN | (hash >> 1).cast_signed()
            }
        }
    }
}

/// A [`Begin`] that borrows its text from the octets. Whether that is UTF-8 is looked at once, when a log is read back
/// ([`BeginRow::is_text`]), and again where it becomes text; sealing half a million of them does without.
#[derive(Clone, Copy, Debug)]
pub(super) struct BeginRow<'a> {
    pub uid: u64,
    pub at: i64,
    pub clock: Clock,
    pub config: u32,
    pub direction: Direction,
    pub transport: Transport,
    pub validation: Validation,
    pub identities: u8,
    pub call_id: u64,
    pub sensor: &'a [u8],
    pub source: SocketAddr,
    pub destination: SocketAddr,
    pub private: bool,
    pub peer: Option<&'a [u8]>,
    pub peer_rule: Option<&'a [u8]>,
    pub vlan: Option<u16>,
    pub trunk: Option<&'a [u8]>,
    pub called: Option<Digits>,
    pub to: Option<Digits>,
    pub diverted_from: Option<Digits>,
    pub from: Option<Digits>,
    pub asserted: Option<Digits>,
    pub remote_party: Option<Digits>,
    pub called_text: Option<&'a [u8]>,
    pub session_id: Option<u64>,
    pub icid: Option<u64>,
    pub sdp_origin: Option<u64>,
    pub decided_by: Option<Rule>,
    pub attest: Option<Attestation>,
    pub failed: RuleSet,
    pub undetermined: RuleSet,
    pub findings: RuleSet,
    pub passport: Option<&'a [u8; 16]>,
    pub orig: Option<Digits>,
    pub iat: Option<i64>,
    pub origid: Option<&'a [u8]>,
    pub spc: Option<&'a [u8]>,
    pub x5u_host: Option<&'a [u8]>,
    pub flags: Flags,
    pub chain: Option<&'a [u8; 16]>,
    pub verstat: Option<Verstat>,
    pub provenance: Provenance,
    pub keys: PeerKeys,
    pub shared: bool,
    pub mac: Option<&'a [u8; 6]>,
    pub notes: Option<&'a [u8]>,
    pub trunk_context: Option<&'a [u8]>,
    pub orig_ioi: Option<&'a [u8]>,
    pub tech_prefix: Option<&'a [u8]>,
    pub header: Option<&'a [u8]>,
    pub pair: Option<Pair>,
}

/// Numbers that a record is found by, besides the called number itself.
pub(super) struct Keys {
    /// `called`; `None` where there is none.
    pub called: Option<i64>,
    /// From, P-Asserted-Identity, Remote-Party-ID, signed orig; each once.
    pub calling: smallvec::SmallVec<[i64; 4]>,
    /// To and diverted-from where they differ from `called`, and `called` itself where it is no integer.
    pub aliases: smallvec::SmallVec<[i64; 4]>,
}

impl Keys {
    /// Those of a record.
    pub fn of_begin(b: &Begin) -> Self {
        let n = &b.numbers;
        let digits = |tn: &Option<Tn>| tn.as_ref().map(Digits::of);
        let calling = [&n.from, &n.asserted, &n.remote_party, &b.verdict.orig].map(digits);
        Self::of(
            digits(&n.called),
            calling,
            [&n.to, &n.diverted_from].map(digits),
        )
    }

    fn of(
        called: Option<Digits>,
        calling: [Option<Digits>; 4],
        aliases: [Option<Digits>; 2],
    ) -> Self {
        let mut keys = Self {
            called: called.map(Digits::key),
            calling: Default::default(),
            aliases: Default::default(),
        };
        for key in calling.into_iter().flatten().map(Digits::key) {
            if !keys.calling.contains(&key) {
                keys.calling.push(key);
            }
        }
        keys.aliases.extend(keys.called.filter(|k| *k < 0));
        for key in aliases.into_iter().flatten().map(Digits::key) {
            if keys.called != Some(key) && !keys.aliases.contains(&key) {
                keys.aliases.push(key);
            }
        }
        keys
    }
}

/// Appends the octets of a [`Begin`] and gives its keys.
pub(super) fn encode_begin(b: &Begin, out: &mut Vec<u8>) -> Keys {
    let (n, v) = (&b.numbers, &b.verdict);
    let digits = |tn: &Option<Tn>| tn.as_ref().map(Digits::of);
    let a = &b.attribution;
    let mut present = 0_u64;
    let mut bit = |i: u32, set: bool| present |= u64::from(set) << i;
    bit(0, b.source.is_ipv6());
    bit(1, b.destination.is_ipv6());
    bit(2, n.private);
    bit(3, b.peer.is_some());
    bit(4, b.peer_rule.is_some());
    bit(5, b.vlan.is_some());
    bit(6, b.trunk.is_some());
    bit(7, n.called.is_some());
    bit(8, n.to.is_some());
    bit(9, n.diverted_from.is_some());
    bit(10, n.from.is_some());
    bit(11, n.asserted.is_some());
    bit(12, n.remote_party.is_some());
    bit(13, b.called_text.is_some());
    bit(14, b.ids.session_id.is_some());
    bit(15, b.ids.icid.is_some());
    bit(16, b.ids.sdp_origin.is_some());
    bit(17, v.decided_by.is_some());
    bit(18, v.attest.is_some());
    bit(19, v.failed.0 != 0);
    bit(20, v.undetermined.0 != 0);
    bit(21, v.findings.0 != 0);
    bit(22, v.passport.is_some());
    bit(23, v.orig.is_some());
    bit(24, v.iat.is_some());
    bit(25, v.origid.is_some());
    bit(26, v.spc.is_some());
    bit(27, v.x5u_host.is_some());
    bit(28, b.flags.0 != 0);
    bit(29, v.chain.is_some());
    bit(30, b.verstat.is_some());
    bit(31, b.provenance != Provenance::File);
    bit(32, a.keys.0 != 0);
    bit(33, a.shared);
    bit(34, a.mac.is_some());
    bit(35, a.trunk_context.is_some());
    bit(36, a.orig_ioi.is_some());
    bit(37, a.tech_prefix.is_some());
    bit(38, a.header.is_some());
    bit(39, b.pair.is_some());
    bit(40, !b.notes.is_empty());

    out.reserve(512);
    out.extend_from_slice(&b.uid.to_le_bytes());
    out.extend_from_slice(&b.at.nanos().to_le_bytes());
    out.extend_from_slice(&present.to_le_bytes());
    out.extend_from_slice(&b.clock.error_ns.to_le_bytes());
    out.extend_from_slice(&b.config.to_le_bytes());
    out.extend_from_slice(&[
        b.clock.source.code(),
        b.direction.code(),
        b.transport.code(),
        v.validation.code(),
        v.identities,
    ]);
    out.extend_from_slice(&b.ids.call_id.0.to_le_bytes());
    put_str(out, &b.sensor);
    put_socket(out, b.source);
    put_socket(out, b.destination);
    put_opt_str(out, b.peer.as_deref());
    put_opt_str(out, b.peer_rule.as_deref());
    if let Some(vlan) = b.vlan {
        out.extend_from_slice(&vlan.to_le_bytes());
    }
    put_opt_str(out, b.trunk.as_deref());
    let called = digits(&n.called);
    let (to, diverted) = (digits(&n.to), digits(&n.diverted_from));
    let (from, asserted) = (digits(&n.from), digits(&n.asserted));
    let (remote, orig) = (digits(&n.remote_party), digits(&v.orig));
    for number in [called, to, diverted, from, asserted, remote] {
        put_digits(out, number);
    }
    put_opt_str(out, b.called_text.as_deref());
    for id in [b.ids.session_id, b.ids.icid, b.ids.sdp_origin]
        .into_iter()
        .flatten()
    {
        out.extend_from_slice(&id.0.to_le_bytes());
    }
    out.extend(v.decided_by.map(|r| r as u8));
    out.extend(v.attest.map(Attestation::code));
    for set in [v.failed, v.undetermined, v.findings] {
        if set.0 != 0 {
            out.extend_from_slice(&set.0.to_le_bytes());
        }
    }
    if let Some(passport) = &v.passport {
        out.extend_from_slice(&passport.0);
    }
    put_digits(out, orig);
    if let Some(iat) = v.iat {
        out.extend_from_slice(&iat.to_le_bytes());
    }
    put_opt_str(out, v.origid.as_deref());
    put_opt_str(out, v.spc.as_deref());
    put_opt_str(out, v.x5u_host.as_deref());
    if b.flags.0 != 0 {
        out.extend_from_slice(&b.flags.0.to_le_bytes());
    }
    if let Some(chain) = &v.chain {
        out.extend_from_slice(&chain.0);
    }
    out.extend(b.verstat.map(Verstat::code));
    if b.provenance != Provenance::File {
        out.push(b.provenance.code());
    }
    if a.keys.0 != 0 {
        out.extend_from_slice(&a.keys.0.to_le_bytes());
    }
    out.extend(a.mac.iter().flatten());
    put_opt_str(out, a.trunk_context.as_deref());
    put_opt_str(out, a.orig_ioi.as_deref());
    put_opt_str(out, a.tech_prefix.as_deref());
    put_opt_str(out, a.header.as_deref());
    if let Some(pair) = &b.pair {
        out.extend_from_slice(&pair.uid.to_le_bytes());
        out.extend_from_slice(&pair.at.nanos().to_le_bytes());
        out.push(pair.how.code());
    }
    if !b.notes.is_empty() {
        put_str(out, &b.notes.to_text());
    }
    Keys::of(called, [from, asserted, remote, orig], [to, diverted])
}

impl<'a> BeginRow<'a> {
    /// Reads the octets of [`encode_begin`], by this version or an earlier one; `None` where they are anything else.
    pub fn decode(bytes: &'a [u8], numbering: &Numbering) -> Option<Self> {
        let mut cut = Cut(bytes);
        let uid = cut.u64()?;
        let at = cut.i64()?;
        let present = match numbering.version {
            1 => cut.u32()?.into(),
            _ => cut.u64()?,
        };
        if present >> PRESENT != 0 {
            return None;
        }
        let has = |i: u32| present & (1 << i) != 0;
        let error_ns = cut.u32()?;
        let config = cut.u32()?;
        let clock = Clock {
            source: ClockSource::from_code(cut.u8()?)?,
            error_ns,
        };
        // Struct fields are evaluated in the order written: it is the order of the octets.
        let row = Self {
            uid,
            at,
            clock,
            config,
            direction: Direction::from_code(cut.u8()?)?,
            transport: Transport::from_code(cut.u8()?)?,
            validation: Validation::from_code(cut.u8()?)?,
            identities: cut.u8()?,
            call_id: cut.u64()?,
            sensor: cut.text()?,
            source: cut.socket(has(0))?,
            destination: cut.socket(has(1))?,
            private: has(2),
            peer: cut.opt(has(3), Cut::text)?,
            peer_rule: cut.opt(has(4), Cut::text)?,
            vlan: cut.opt(has(5), Cut::u16)?,
            trunk: cut.opt(has(6), Cut::text)?,
            called: cut.opt(has(7), Cut::digits)?,
            to: cut.opt(has(8), Cut::digits)?,
            diverted_from: cut.opt(has(9), Cut::digits)?,
            from: cut.opt(has(10), Cut::digits)?,
            asserted: cut.opt(has(11), Cut::digits)?,
            remote_party: cut.opt(has(12), Cut::digits)?,
            called_text: cut.opt(has(13), Cut::text)?,
            session_id: cut.opt(has(14), Cut::u64)?,
            icid: cut.opt(has(15), Cut::u64)?,
            sdp_origin: cut.opt(has(16), Cut::u64)?,
            decided_by: cut
                .opt(has(17), Cut::u8)?
                .and_then(|code| numbering.rule(code)),
            attest: match cut.opt(has(18), Cut::u8)? {
                Some(code) => Some(Attestation::from_code(code)?),
                None => None,
            },
            failed: cut.rules(has(19), numbering)?,
            undetermined: cut.rules(has(20), numbering)?,
            findings: cut.rules(has(21), numbering)?,
            passport: cut.opt(has(22), Cut::array)?,
            orig: cut.opt(has(23), Cut::digits)?,
            iat: cut.opt(has(24), Cut::i64)?,
            origid: cut.opt(has(25), Cut::text)?,
            spc: cut.opt(has(26), Cut::text)?,
            x5u_host: cut.opt(has(27), Cut::text)?,
            flags: numbering.flags(cut.opt(has(28), Cut::u64)?.unwrap_or(0)),
            chain: cut.opt(has(29), Cut::array)?,
            verstat: match cut.opt(has(30), Cut::u8)? {
                Some(code) => Some(Verstat::from_code(code)?),
                None => None,
            },
            provenance: match cut.opt(has(31), Cut::u8)? {
                Some(code) => Provenance::from_code(code)?,
                None => Provenance::File,
            },
            keys: numbering.keys(cut.opt(has(32), Cut::u32)?.unwrap_or(0)),
            shared: has(33),
            mac: cut.opt(has(34), Cut::array)?,
            trunk_context: cut.opt(has(35), Cut::text)?,
            orig_ioi: cut.opt(has(36), Cut::text)?,
            tech_prefix: cut.opt(has(37), Cut::text)?,
            header: cut.opt(has(38), Cut::text)?,
            pair: cut.opt(has(39), |cut| {
                Some(Pair {
                    uid: cut.u64()?,
                    at: Timestamp::from_nanos(cut.i64()?),
                    how: Pairing::from_code(cut.u8()?)?,
                })
            })?,
            notes: cut.opt(has(40), Cut::text)?,
        };
        cut.0.is_empty().then_some(row)
    }

    /// Numbers that it is found by.
    pub fn keys(&self) -> Keys {
        let calling = [self.from, self.asserted, self.remote_party, self.orig];
        Keys::of(self.called, calling, [self.to, self.diverted_from])
    }

    /// Whether all its text is UTF-8.
    pub fn is_text(&self) -> bool {
        let texts = [
            Some(self.sensor),
            self.peer,
            self.peer_rule,
            self.trunk,
            self.called_text,
            self.origid,
            self.spc,
            self.x5u_host,
            self.trunk_context,
            self.orig_ioi,
            self.tech_prefix,
            self.header,
            self.notes,
        ];
        texts
            .into_iter()
            .flatten()
            .all(|t| std::str::from_utf8(t).is_ok())
    }

    /// The record itself, if all its text is UTF-8.
    pub fn to_begin(self) -> Option<Begin> {
        let tn = |d: Option<Digits>| d.and_then(Digits::tn);
        let text = |t: Option<&'a [u8]>| match t {
            Some(t) => std::str::from_utf8(t).ok().map(Some),
            None => Some(None),
        };
        let boxed = |t| Some(text(t)?.map(Box::from));
        Some(Begin {
            uid: self.uid,
            at: Timestamp::from_nanos(self.at),
            clock: self.clock,
            sensor: text(Some(self.sensor))??.into(),
            provenance: self.provenance,
            config: self.config,
            direction: self.direction,
            peer: text(self.peer)?.map(Arc::from),
            peer_rule: text(self.peer_rule)?.map(Arc::from),
            attribution: Attribution {
                keys: self.keys,
                shared: self.shared,
                mac: self.mac.copied(),
                trunk_context: boxed(self.trunk_context)?,
                orig_ioi: boxed(self.orig_ioi)?,
                tech_prefix: boxed(self.tech_prefix)?,
                header: boxed(self.header)?,
            },
            pair: self.pair,
            transport: self.transport,
            source: self.source,
            destination: self.destination,
            vlan: self.vlan,
            trunk: boxed(self.trunk)?,
            numbers: Numbers {
                called: tn(self.called),
                to: tn(self.to),
                diverted_from: tn(self.diverted_from),
                from: tn(self.from),
                asserted: tn(self.asserted),
                remote_party: tn(self.remote_party),
                private: self.private,
            },
            called_text: boxed(self.called_text)?,
            ids: Ids {
                call_id: IdDigest(self.call_id),
                session_id: self.session_id.map(IdDigest),
                icid: self.icid.map(IdDigest),
                sdp_origin: self.sdp_origin.map(IdDigest),
            },
            verdict: Verdict {
                validation: self.validation,
                decided_by: self.decided_by,
                attest: self.attest,
                failed: self.failed,
                undetermined: self.undetermined,
                findings: self.findings,
                identities: self.identities,
                passport: self.passport.copied().map(Digest128),
                orig: tn(self.orig),
                iat: self.iat,
                origid: boxed(self.origid)?,
                spc: boxed(self.spc)?,
                x5u_host: boxed(self.x5u_host)?,
                chain: self.chain.copied().map(Digest128),
            },
            verstat: self.verstat,
            flags: self.flags,
            notes: text(self.notes)?.map(Notes::from_text).unwrap_or_default(),
        })
    }
}
