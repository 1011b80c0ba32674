//! What is counted: messages by what became of them, and calls by neighbour.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::call::classify::{Flag, skew};
use crate::call::peer::Resolved;
use crate::call::record::{Begin, Direction};
use crate::stir::verify::{Attestation, Rule, Validation};

/// Every judged message ends in exactly one of these, and every initial INVITE in one of the first four.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CollectCounters {
    /// INVITEs that opened an attempt: records.
    pub attempts: u64,
    /// INVITEs seen before.
    pub retransmissions: u64,
    /// Further branches.
    pub forks: u64,
    /// INVITEs sent anew with credentials.
    pub auth_retries: u64,
    /// INVITEs inside a dialog.
    pub reinvites: u64,
    /// Responses.
    pub responses: u64,
    /// ACK, CANCEL, BYE.
    pub dialog_requests: u64,
    /// Other requests.
    pub other_requests: u64,
    /// Messages without a start line.
    pub not_sip: u64,
    /// Messages that made a judge panic.
    pub panicked: u64,
}

impl CollectCounters {
    /// Names and values, for metrics and sums.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("attempt", self.attempts),
            ("retransmission", self.retransmissions),
            ("fork", self.forks),
            ("auth_retry", self.auth_retries),
            ("reinvite", self.reinvites),
            ("response", self.responses),
            ("dialog_request", self.dialog_requests),
            ("other_request", self.other_requests),
            ("not_sip", self.not_sip),
            ("panicked", self.panicked),
        ]
        .into_iter()
    }

    /// Messages in.
    pub fn total(&self) -> u64 {
        self.iter().map(|(_, n)| n).sum()
    }
}

/// What one neighbour sent or got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Call attempts.
    pub attempts: u64,
    /// Of these with at least one Identity header.
    pub signed: u64,
    /// Attempts by validation, in the order of [`Tally::VALIDATIONS`].
    pub validations: [u64; 4],
    /// Attempts by claimed attestation and the rule that decided.
    pub verdicts: BTreeMap<(Option<Attestation>, Option<Rule>), u64>,
    /// Attempts by flag, in the order of [`Flag::ALL`]; empty before the first.
    pub flags: Vec<u64>,
    /// Attempts with at least one flag of [`Flag::SPOOFED`], each once.
    pub spoofed: u64,
    /// Attempts that the other side's verification spoke against (`Reason: STIR` or a refusal).
    pub refused_by_stir: u64,
    /// Of these, those that we say the opposite of.
    pub refusal_disagrees: u64,
    /// First sights of PASSporTs by how far `iat` lies from capture, in the order of [`skew::CLASSES`].
    pub skew: [u64; skew::CLASSES.len()],
    /// Index among the collector's places.
    pub(super) place: u32,
}

impl Tally {
    /// The order of `validations`.
    pub const VALIDATIONS: [Validation; 4] = [
        Validation::Passed,
        Validation::Failed,
        Validation::Undetermined,
        Validation::None,
    ];

    /// Attempts with the given flag.
    pub fn flagged(&self, flag: Flag) -> u64 {
        self.flags.get(flag as usize).copied().unwrap_or(0)
    }

    pub(super) fn count(&mut self, begin: &Begin) {
        self.attempts += 1;
        let verdict = &begin.verdict;
        self.signed += u64::from(verdict.identities > 0);
        let verdicts = &mut self.verdicts;
        *verdicts
            .entry((verdict.attest, verdict.decided_by))
            .or_default() += 1;
        for (n, v) in self.validations.iter_mut().zip(Self::VALIDATIONS) {
            *n += u64::from(v == begin.verdict.validation);
        }
        self.flags.resize(Flag::ALL.len(), 0);
        for (n, f) in self.flags.iter_mut().zip(Flag::ALL) {
            *n += u64::from(begin.flags.contains(*f));
        }
        let spoofed = Flag::SPOOFED.iter().any(|f| begin.flags.contains(*f));
        self.spoofed += u64::from(spoofed);
    }
}

/// Direction and neighbour; `None` for one that no rule names.
pub type TallyKey = (DirectionKey, Option<Arc<str>>);

/// [`Direction`] in an order for tables: ingress first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DirectionKey {
    /// [`Direction::Ingress`]
    Ingress,
    /// [`Direction::Egress`]
    Egress,
    /// [`Direction::Unknown`]
    Unknown,
}

impl From<Direction> for DirectionKey {
    fn from(d: Direction) -> Self {
        match d {
            Direction::Ingress => Self::Ingress,
            Direction::Egress => Self::Egress,
            Direction::Unknown => Self::Unknown,
        }
    }
}

impl DirectionKey {
    /// Lower-case name.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
            Self::Unknown => "unknown",
        }
    }
}

pub(super) fn key_of(resolved: &Resolved<'_>) -> TallyKey {
    let peer = resolved.peer.map(|(p, _)| p.id.clone());
    (resolved.direction.into(), peer)
}

/// The place of a neighbour: which tally an attempt's end belongs to.
pub(super) fn place_of(
    resolved: Resolved<'_>,
    tallies: &mut BTreeMap<TallyKey, Tally>,
    places: &mut Vec<TallyKey>,
) -> u32 {
    let key = key_of(&resolved);
    if let Some(tally) = tallies.get(&key) {
        return tally.place;
    }
    // At most three for each neighbour of the configuration.
    let place = u32::try_from(places.len()).unwrap_or(u32::MAX);
    places.push(key.clone());
    let tally = Tally {
        place,
        ..Tally::default()
    };
    tallies.insert(key, tally);
    place
}
