//! The call record: one per call attempt at one interface. Everything below makes it, everything above reads it.
//!
//! A call is written twice. [`Begin`] when its INVITE was seen and judged: from then on the call is durable. [`End`] when
//! its final answer came and again when it ended. [`StoredCall`] is both, joined at read.
//!
//! - [`coverage`]: what a sensor saw and could not see, minute by minute
//! - [`evidence`]: what it takes to judge a call again

pub mod coverage;
pub mod evidence;

use std::net::SocketAddr;
use std::sync::Arc;

pub use coverage::{ClockState, Coverage, Down};
pub use evidence::Evidence;

use crate::base::Timestamp;
use crate::base::digest::{Digest128, IdDigest};
use crate::call::classify::{Flags, Notes, Verstat};
use crate::call::leg::Pair;
use crate::call::peer::Attribution;
use crate::number::Tn;
use crate::stir::verify::{Attestation, Rule, RuleSet, Validation};
use crate::wire::{Provenance, Transport};

/// Which way a call crossed our edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// A neighbour handed it to us; `peer` is that upstream.
    Ingress,
    /// We handed it to a neighbour; `peer` is that downstream.
    Egress,
    /// No rule knows either side.
    Unknown,
}

/// A place at which we look: an interface, an agent that mirrors what it sees, a set of capture files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sensor {
    /// Its name, kept in every record.
    pub name: Arc<str>,
    /// What kind of place it is.
    pub provenance: Provenance,
}

/// Where capture times come from, and how far they may be off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Clock {
    /// Source of the time.
    pub source: ClockSource,
    /// Bound of the error in nanoseconds.
    pub error_ns: u32,
}

/// Source of capture times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClockSource {
    /// Packet times of a capture file; the bound comes from the configuration.
    File,
    /// A host clock that is synchronised.
    Synchronised,
    /// A clock that nobody disciplines.
    Free,
}

/// The numbers of an INVITE, canonical.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Numbers {
    /// Request-URI.
    pub called: Option<Tn>,
    /// To, where it differs from the Request-URI.
    pub to: Option<Tn>,
    /// First (oldest) Diversion or History-Info entry, where there is one.
    pub diverted_from: Option<Tn>,
    /// From.
    pub from: Option<Tn>,
    /// First P-Asserted-Identity that is a number.
    pub asserted: Option<Tn>,
    /// Remote-Party-ID.
    pub remote_party: Option<Tn>,
    /// The caller asked for privacy, or From is anonymous.
    pub private: bool,
}

/// Identifiers that outlive a hop, as digests to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Ids {
    /// Call-ID.
    pub call_id: IdDigest,
    /// Session-ID (RFC 7989), its local UUID.
    pub session_id: Option<IdDigest>,
    /// `icid-value` of P-Charging-Vector.
    pub icid: Option<IdDigest>,
    /// `o=` line of the SDP.
    pub sdp_origin: Option<IdDigest>,
}

/// The part of the verdict that is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Verdict {
    /// Outcome for the call.
    pub validation: Validation,
    /// The rule that decided it.
    pub decided_by: Option<Rule>,
    /// Attestation claimed in the header that speaks for the call, valid or not.
    pub attest: Option<Attestation>,
    /// Rules that failed.
    pub failed: RuleSet,
    /// Rules that could not be decided.
    pub undetermined: RuleSet,
    /// Policy findings.
    pub findings: RuleSet,
    /// How many Identity headers there were.
    pub identities: u8,
    /// Names the PASSporT that speaks for the call.
    pub passport: Option<Digest128>,
    /// Its calling number.
    pub orig: Option<Tn>,
    /// Its `iat`, seconds since 1970.
    pub iat: Option<i64>,
    /// Its `origid`.
    pub origid: Option<Box<str>>,
    /// Service provider code of the signer.
    pub spc: Option<Box<str>>,
    /// Host of its `x5u`.
    pub x5u_host: Option<Box<str>>,
    /// Names the certificates that it was judged with.
    pub chain: Option<Digest128>,
}

/// First half of a record: all that is known when the INVITE has been judged.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Begin {
    /// Names the record within its store; rises with the order of capture.
    pub uid: u64,
    /// Capture time of the first INVITE of the attempt.
    pub at: Timestamp,
    /// How good that time is.
    pub clock: Clock,
    /// Which sensor saw it.
    pub sensor: Arc<str>,
    /// Where that sensor has it from.
    pub provenance: Provenance,
    /// Version of the configuration that judged it and resolved its neighbour.
    pub config: u32,
    /// Which way it crossed our edge.
    pub direction: Direction,
    /// The neighbour: upstream on ingress, downstream on egress.
    pub peer: Option<Arc<str>>,
    /// The rule of peers.toml that named it.
    pub peer_rule: Option<Arc<str>>,
    /// By what it was told.
    pub attribution: Attribution,
    /// Of an egress leg: the ingress leg that it continues, where that is certain.
    pub pair: Option<Pair>,
    /// What carried it.
    pub transport: Transport,
    /// Sender.
    pub source: SocketAddr,
    /// Receiver.
    pub destination: SocketAddr,
    /// Outer VLAN id.
    pub vlan: Option<u16>,
    /// `tgrp` of Contact or Request-URI, or `otg` of From.
    pub trunk: Option<Box<str>>,
    /// Numbers.
    pub numbers: Numbers,
    /// Request-URI as escaped text, where its user is no number.
    pub called_text: Option<Box<str>>,
    /// Identifiers.
    pub ids: Ids,
    /// Verdict.
    pub verdict: Verdict,
    /// What the INVITE says that somebody verified before us. Anybody can write it.
    pub verstat: Option<Verstat>,
    /// Flags.
    pub flags: Flags,
    /// What flags rest on, where the rest of the record does not show it.
    pub notes: Notes,
}

/// How an attempt stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// No final answer was seen before we stopped waiting or looking.
    Unfinished,
    /// 2xx.
    Answered,
    /// The caller gave up: CANCEL and 487.
    Cancelled,
    /// 4xx to 6xx.
    Failed,
    /// 3xx: the receiver names others to try.
    Redirected,
}

/// Who ended an answered call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReleasedBy {
    /// The side that sent the INVITE.
    Caller,
    /// The side that received it.
    Called,
}

/// Second half of a record. A later one for the same `uid` replaces an earlier one.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct End {
    /// Whose record this ends.
    pub uid: u64,
    /// `at` of that record: the store finds the slice of time by it.
    pub begun_at: Timestamp,
    /// `numbers.called` of that record: the store sorts by it.
    pub called: Option<Tn>,
    /// How the attempt stands.
    pub state: State,
    /// Final status code, 0 where none was seen.
    pub code: u16,
    /// Q.850 cause of a Reason header.
    pub cause: Option<u8>,
    /// What the other side's verification said against the call: 403, 428 or 436 to 438, from `Reason: STIR` (RFC 9410) or the answer itself.
    pub stir_cause: Option<u16>,
    /// Whether that is the opposite of our own verdict.
    pub disagrees: bool,
    /// First provisional answer above 100, in milliseconds after the INVITE.
    pub ringing_ms: Option<u32>,
    /// Final answer, in milliseconds after the INVITE.
    pub final_ms: Option<u32>,
    /// From the answer to BYE, in milliseconds.
    pub duration_ms: Option<u32>,
    /// Who sent BYE.
    pub released_by: Option<ReleasedBy>,
    /// No answer to it was ever seen: a tap that sees one direction alone, or a receiver that is silent.
    pub one_way: bool,
    /// How often the INVITE was seen again: retransmissions.
    pub retransmissions: u8,
    /// Further branches of a fork (same Call-ID, From tag and CSeq, other branch).
    pub forks: u8,
    /// INVITEs sent anew with credentials after 401 or 407.
    pub auth_retries: u8,
}

/// Version of a record's JSON: docs/FORMATS.md, "The record". Members are added without a new version; it rises only when one goes away or comes to mean
/// something else.
pub const RECORD_VERSION: u32 = 1;

/// A record as read from the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCall {
    /// First half.
    pub begin: Begin,
    /// Second half, as far as it is known.
    pub end: Option<End>,
}

/// The one place in which a record becomes JSON.
impl serde::Serialize for StoredCall {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        #[derive(serde::Serialize)]
        struct Record<'a> {
            v: u32,
            #[serde(flatten)]
            begin: &'a Begin,
            end: Option<&'a End>,
        }
        let record = Record {
            v: RECORD_VERSION,
            begin: &self.begin,
            end: self.end.as_ref(),
        };
        record.serialize(s)
    }
}

impl StoredCall {
    /// Whether the receiving side took the attempt on: it rang or answered, or refused it for reasons of the called
    /// party (busy, declined, no answer, cancelled by the caller). A 5xx, a 404 or nothing at all means that the call went elsewhere.
    pub fn was_delivered(&self) -> bool {
        self.end.as_ref().is_some_and(|e| {
            e.ringing_ms.is_some()
                || matches!(e.state, State::Answered)
                || matches!(e.code, 480 | 486 | 487 | 600 | 603)
        })
    }
}

#[cfg(test)]
mod tests;
