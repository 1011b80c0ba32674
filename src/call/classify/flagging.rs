//! Which flags an attempt earns.

use super::{Flag, Flags};
use crate::call::attempt::InviteFacts;
use crate::call::peer::{PeerKind, Resolved};
use crate::call::record::{Direction, Verdict};
use crate::number::{Tn, nanp};
use crate::stir::verify::{Attestation, Rule, Validation};

/// Numbers that only our own customers may call from, as prefixes of canonical numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnNumbers(pub Vec<Box<str>>);

impl OwnNumbers {
    fn contains(&self, tn: &Tn) -> bool {
        self.0.iter().any(|p| tn.as_str().starts_with(&**p))
    }
}

/// Judges an attempt as a whole: what verification said, and what its numbers and its neighbour say.
pub fn flag(invite: &InviteFacts, resolved: &Resolved<'_>, own: &OwnNumbers) -> Flags {
    let mut flags = Flags::default();
    if let Some(f) = verdict_flag(invite) {
        flags.insert(f);
    }
    if resolved.direction != Direction::Ingress {
        return flags;
    }
    let from_customer = resolved
        .peer
        .is_some_and(|(p, _)| p.kind == PeerKind::Customer);
    let n = &invite.numbers;
    for tn in n.from.iter().chain(&n.asserted) {
        if own.contains(tn) && !from_customer {
            flags.insert(Flag::OwnNumberInbound);
        }
        if nanp::shape(tn) == nanp::NanpShape::Impossible {
            flags.insert(Flag::InvalidNanp);
        }
    }
    if resolved.peer.is_none() {
        flags.insert(Flag::UnknownUpstream);
    }
    flags
}

fn verdict_flag(invite: &InviteFacts) -> Option<Flag> {
    let v: &Verdict = &invite.verdict;
    match v.validation {
        Validation::Passed => Some(match v.attest? {
            Attestation::A => Flag::AttestA,
            Attestation::B => Flag::AttestB,
            Attestation::C => Flag::AttestC,
        }),
        Validation::Undetermined => Some(Flag::Undetermined),
        Validation::Failed => v.decided_by.map(failure_flag),
        Validation::None if invite.unknown_ppt_only => Some(Flag::UnknownPpt),
        Validation::None => Some(Flag::Unsigned),
    }
}

/// The flag of a rule's family.
fn failure_flag(rule: Rule) -> Flag {
    match rule.family() {
        "stale" => Flag::Stale,
        "orig-mismatch" => Flag::OrigMismatch,
        "dest-mismatch" => Flag::DestMismatch,
        "credential" => Flag::BadCredential,
        "trust" => Flag::Untrusted,
        "revoked" => Flag::Revoked,
        "signature" => Flag::BadSignature,
        _ => Flag::Malformed,
    }
}
