//! Which ingress leg became which egress leg, told while the calls go on; and which call that we had handed on came back.
//!
//! In come the attempts at our edge, in order of capture, and how they ended; out go an egress leg's [`Pair`] and the word that an ingress leg is a loop.
//! Nothing is guessed: where the rules leave several ingress legs of different neighbours, or where so many bear one identifier that not all were
//! looked at, there is no pair.
//!
//! - [`rules`]: what ties two legs · `index`: legs by what may tie them · [`Legs`]: the machine

mod index;
mod legs;
pub mod rules;

use std::sync::Arc;

pub use legs::{LegCounters, LegLimits, Legs};
pub use rules::{BY_NUMBERS, REACH, SAME_SENSOR, SUFFIX, TWO_SENSORS};

use crate::base::Timestamp;
use crate::base::digest::Digest128;
use crate::call::attempt::InviteFacts;
use crate::call::record::{Ids, Numbers};
use crate::number::Tn;
use crate::stir::verify::Validation;

/// What tied an egress leg to its ingress leg, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pairing {
    /// Same Call-ID.
    CallId,
    /// Same PASSporT.
    Passport,
    /// Same Session-ID.
    SessionId,
    /// Same `icid-value`.
    Icid,
    /// Same SDP origin line.
    SdpOrigin,
    /// Same numbers within two seconds, and no other ingress leg has them.
    Numbers,
    /// Likewise, but only the last nine digits of the called number are the same.
    Suffix,
}

impl Pairing {
    /// Every way, strongest first.
    pub const ALL: [Self; 7] = [
        Self::CallId,
        Self::Passport,
        Self::SessionId,
        Self::Icid,
        Self::SdpOrigin,
        Self::Numbers,
        Self::Suffix,
    ];

    /// Its name in records.
    pub const fn label(self) -> &'static str {
        match self {
            Self::CallId => "call-id",
            Self::Passport => "passport",
            Self::SessionId => "session-id",
            Self::Icid => "icid",
            Self::SdpOrigin => "sdp-origin",
            Self::Numbers => "numbers",
            Self::Suffix => "suffix",
        }
    }
}

/// The ingress leg of an egress leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Pair {
    /// `uid` of the ingress leg's record.
    pub uid: u64,
    /// `at` of that record: the store finds the slice of time by it.
    pub at: Timestamp,
    /// What tied them.
    pub how: Pairing,
}

/// What of an attempt may tie it to another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegFacts {
    /// `uid` of its record.
    pub uid: u64,
    /// `at` of its record.
    pub at: Timestamp,
    /// Which sensor saw it.
    pub sensor: u16,
    /// How far its time may be off.
    pub error_ns: u32,
    /// The neighbour.
    pub peer: Option<Arc<str>>,
    /// Identifiers.
    pub ids: Ids,
    /// Names its PASSporT. Of a call that waits for its certificate: the one that its headers show at once.
    pub passport: Option<Digest128>,
    /// How many Identity headers it has.
    pub identities: u8,
    /// Numbers, without technical prefix where a rule takes it off.
    pub numbers: Numbers,
    /// `orig` of its PASSporT, where the signature stands.
    pub signed: Option<Tn>,
}

impl LegFacts {
    /// Of an INVITE.
    pub fn new(
        uid: u64,
        at: Timestamp,
        (sensor, error_ns): (u16, u32),
        peer: Option<Arc<str>>,
        invite: &InviteFacts,
    ) -> Self {
        let verdict = &invite.verdict;
        Self {
            uid,
            at,
            sensor,
            error_ns,
            peer,
            ids: invite.ids,
            passport: verdict.passport,
            identities: verdict.identities,
            numbers: invite.numbers,
            signed: verdict
                .orig
                .filter(|_| verdict.validation == Validation::Passed),
        }
    }

    fn called(&self) -> impl Iterator<Item = Tn> + use<> {
        let n = self.numbers;
        [n.called, n.to, n.diverted_from].into_iter().flatten()
    }

    fn calling(&self) -> impl Iterator<Item = Tn> + use<> {
        let n = self.numbers;
        [n.from, n.asserted, n.remote_party, self.signed]
            .into_iter()
            .flatten()
    }
}

/// An ingress leg that may still become an egress leg.
#[derive(Debug)]
struct Ingress {
    leg: LegFacts,
    /// When it had its final answer: from then on no further leg comes out of it.
    settled: Option<Timestamp>,
    /// When an egress leg of it last failed: the next one follows.
    advanced: Option<Timestamp>,
}
