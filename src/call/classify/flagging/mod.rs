//! Which flags an attempt earns for itself: what verification said, and what its numbers, its neighbour and its words say.
//!
//! Comes in: an attempt's facts, its neighbour, the operator's settings. Comes out: [`Flagged`]. What needs more than one call is
//! remembered in [`super::memory`] and [`super::replay`]. The meaning of every flag stands in `docs/FLAGS.md`.
//!
//! - [`verdict`](self): verification · numbers: shape and lists · [`evidence`]: what a flag rests on, read from the record

pub mod evidence;
mod numbers;
mod verdict;

use std::sync::Arc;
use std::time::Duration;

use super::{Flag, Flags, Notes};
use crate::call::attempt::InviteFacts;
use crate::call::peer::{PeerKind, Resolved};
use crate::call::record::{Begin, Direction, Numbers, Verdict};
use crate::number::{Allocations, NumberSet, Tn};
use crate::stir::verify::Validation;

/// Numbers that only our own customers may call from, as prefixes of canonical numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnNumbers(pub Vec<Box<str>>);

impl OwnNumbers {
    fn contains(&self, tn: &Tn) -> bool {
        self.0.iter().any(|p| tn.as_str().starts_with(&**p))
    }
}

/// What flags are set by, besides the call. Cheap to copy: the large parts are shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagSettings {
    /// Flags that are never set.
    pub disabled: Flags,
    /// Numbers of our own.
    pub own: OwnNumbers,
    /// Which blocks of numbers are assigned, where that is known.
    pub allocations: Option<Arc<Allocations>>,
    /// Numbers that nobody calls from.
    pub do_not_originate: Arc<NumberSet>,
    /// Numbers whose being flooded does the most harm: public-safety answering points, hospitals.
    pub protected: Arc<NumberSet>,
    /// Emergency numbers, with the country code and without.
    pub emergency: Arc<NumberSet>,
    /// For how long a number that called an emergency number is called back.
    pub callback: Duration,
    /// How long a neighbour's valid A calls are watched before one of a new number is worth a flag.
    pub learning: Duration,
    /// And of how many calls.
    pub learning_calls: u64,
}

impl Default for FlagSettings {
    /// No lists; 911 and 112; two hours; a week and a thousand calls.
    fn default() -> Self {
        let codes = [&b"911"[..], b"112"].into_iter();
        Self {
            disabled: Flags::default(),
            own: OwnNumbers::default(),
            allocations: None,
            do_not_originate: Arc::default(),
            protected: Arc::default(),
            emergency: Arc::new(NumberSet::of(codes.filter_map(Tn::from_canonical))),
            callback: Duration::from_secs(7_200),
            learning: Duration::from_secs(7 * 86_400),
            learning_calls: 1_000,
        }
    }
}

impl FlagSettings {
    /// Without the flags that are switched off.
    pub fn keep(&self, flags: Flags) -> Flags {
        Flags(flags.0 & !self.disabled.0)
    }
}

/// A call as flags look at it: of an INVITE, or of a record.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Which way it crossed our edge.
    pub direction: Direction,
    /// What the neighbour is to us, where a rule names him.
    pub kind: Option<PeerKind>,
    /// Service provider codes that may sign here; none: any.
    pub signers: &'a [Box<str>],
    /// Its numbers.
    pub numbers: &'a Numbers,
    /// Its verdict.
    pub verdict: &'a Verdict,
}

impl<'a> Subject<'a> {
    /// A call that has just been seen.
    pub fn of_invite(invite: &'a InviteFacts, resolved: &Resolved<'a>) -> Self {
        Self::new(resolved, &invite.numbers, &invite.verdict)
    }

    /// A call of old, with the neighbour that it would have now.
    pub fn of_record(begin: &'a Begin, resolved: &Resolved<'a>) -> Self {
        Self {
            direction: begin.direction,
            ..Self::new(resolved, &begin.numbers, &begin.verdict)
        }
    }

    fn new(resolved: &Resolved<'a>, numbers: &'a Numbers, verdict: &'a Verdict) -> Self {
        Self {
            direction: resolved.direction,
            kind: resolved.peer.map(|(p, _)| p.kind),
            signers: resolved.signers(),
            numbers,
            verdict,
        }
    }

    fn is_ingress(&self) -> bool {
        self.direction == Direction::Ingress
    }

    fn is_from_customer(&self) -> bool {
        self.kind == Some(PeerKind::Customer)
    }

    /// From a neighbour who is neither a customer nor ourselves; one that nobody knows counts as such.
    fn is_from_outside(&self) -> bool {
        let inside = matches!(self.kind, Some(PeerKind::Customer | PeerKind::Own));
        self.is_ingress() && !inside
    }

    /// The number that called with valid attestation A, where the neighbour handed it to us.
    pub fn signed_with_a(&self) -> Option<Tn> {
        let valid =
            self.is_ingress() && self.kind.is_some() && verdict::is_validated_a(self.verdict);
        self.verdict.orig.filter(|_| valid)
    }
}

/// What a call earns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flagged {
    /// Its flags.
    pub flags: Flags,
    /// What they rest on, where the record does not show it.
    pub notes: Notes,
    /// An emergency call, or one back to somebody whom we saw make one: never counted against anybody.
    pub exempt: bool,
}

impl Flagged {
    /// Adds a flag with its note.
    pub fn add(&mut self, flag: Flag, note: &str) {
        self.flags.insert(flag);
        self.notes.insert(flag, note);
    }
}

/// Whether an INVITE calls an emergency number or service.
pub fn is_emergency(invite: &InviteFacts, settings: &FlagSettings) -> bool {
    let called = invite.numbers.called;
    invite.oddity.sos || called.is_some_and(|tn| settings.emergency.contains(&tn))
}

/// Judges an attempt for itself. `calls_back` says whether the called number was seen to call an emergency number a short while ago
/// ([`super::memory`]).
pub fn flag(
    invite: &InviteFacts,
    resolved: &Resolved<'_>,
    settings: &FlagSettings,
    calls_back: bool,
) -> Flagged {
    let call = Subject::of_invite(invite, resolved);
    let mut out = Flagged::default();
    verdict::flag(
        &call,
        invite.verstat,
        invite.unknown_ppt_only,
        &mut out.flags,
    );
    flag_emergency(invite, settings, calls_back, &mut out);
    flag_configured(&call, settings, &mut out);
    if call.is_ingress() {
        flag_malformed(invite, &mut out);
        if call.kind.is_none() {
            out.flags.insert(Flag::UnknownUpstream);
        }
    }
    out
}

/// Adds the flags that follow from the configuration and from what a record keeps: what would change of old calls by another
/// configuration. These are [`Flag::is_configured`]. [`Flagged::exempt`] is read.
pub fn flag_configured(call: &Subject<'_>, settings: &FlagSettings, out: &mut Flagged) {
    if !call.is_ingress() {
        return;
    }
    flag_signer(call, out);
    numbers::flag_calling(call, settings, out);
    numbers::flag_neighbour(call, out);
}

/// Adds `emergency` and `emergency-callback`.
fn flag_emergency(
    invite: &InviteFacts,
    settings: &FlagSettings,
    calls_back: bool,
    out: &mut Flagged,
) {
    if is_emergency(invite, settings) {
        out.flags.insert(Flag::Emergency);
        out.exempt = true;
    }
    if calls_back {
        out.add(
            Flag::EmergencyCallback,
            "seen: it called an emergency number before",
        );
        out.exempt = true;
    } else if invite.oddity.psap_callback {
        // A claim that anybody can write spares nobody.
        out.add(Flag::EmergencyCallback, "claimed: Priority: psap-callback");
    }
}

/// Adds `malformed-number`.
fn flag_malformed(invite: &InviteFacts, out: &mut Flagged) {
    if let Some(none) = &invite.oddity.malformed {
        let note = format!(
            "{} ({} octets): {}",
            none.text,
            none.octets,
            none.why.what()
        );
        out.add(Flag::MalformedNumber, &note);
    }
}

/// Adds `signer-unexpected`.
fn flag_signer(call: &Subject<'_>, out: &mut Flagged) {
    let v = call.verdict;
    let (Validation::Passed, Some(spc)) = (v.validation, &v.spc) else {
        return;
    };
    let mut codes = call.signers.iter();
    let expected = codes.any(|code| code.eq_ignore_ascii_case(spc));
    if !call.signers.is_empty() && !expected {
        let all: Vec<&str> = call.signers.iter().map(|c| &**c).collect();
        let note = format!("signed by {spc}, expected {}", all.join(" "));
        out.add(Flag::SignerUnexpected, &note);
    }
}

#[cfg(test)]
mod tests;
