//! What verification and others' verification say of a call.

use super::Subject;
use crate::call::classify::{Flag, Flags, Verstat};
use crate::call::record::Verdict;
use crate::stir::verify::{Attestation, Rule, Validation};

/// Adds the flags of the verdict: one that says how the call stands, and what belongs to it.
pub(super) fn flag(
    call: &Subject<'_>,
    verstat: Option<Verstat>,
    unknown_ppt_only: bool,
    flags: &mut Flags,
) {
    let v = call.verdict;
    if let Some(f) = standing(v, unknown_ppt_only) {
        flags.insert(f);
    }
    // Undetermined by no rule: nobody looked.
    if v.validation == Validation::Undetermined && v.decided_by.is_none() {
        flags.insert(Flag::NotVerified);
    }
    if verstat.is_some_and(|said| said.disagrees(v.validation)) {
        flags.insert(Flag::Disagrees);
    }
    if call.is_ingress()
        && v.attest.is_some()
        && call.numbers.private
        && call.numbers.from.is_none()
        && call.numbers.asserted.is_none()
    {
        flags.insert(Flag::AnonymousAttested);
    }
}

/// Whether a signer vouches with attestation A, and verification found no fault.
pub(super) fn is_validated_a(v: &Verdict) -> bool {
    v.validation == Validation::Passed && v.attest == Some(Attestation::A)
}

fn standing(v: &Verdict, unknown_ppt_only: bool) -> Option<Flag> {
    match v.validation {
        Validation::Passed => Some(match v.attest? {
            Attestation::A => Flag::AttestA,
            Attestation::B => Flag::AttestB,
            Attestation::C => Flag::AttestC,
        }),
        Validation::Undetermined => Some(Flag::Undetermined),
        Validation::Failed => v.decided_by.map(failure_flag),
        Validation::None if unknown_ppt_only => Some(Flag::UnknownPpt),
        Validation::None => Some(Flag::Unsigned),
    }
}

/// The flag that a rule's failure earns. Total on purpose: a new rule must say what its failure means.
pub(super) fn failure_flag(rule: Rule) -> Flag {
    use Rule::*;
    match rule {
        H3 | H4 | H5 | H7 | G1 | G1S | G2 | G3 | G4 | G5 | G6 | G7 | G8 | J1 | J2 | J3 | J4
        | J5 | J6 | P1 | P2 | P3 | P4 | P5 | P6 | P7 | P7U | P9 | V1 | V6 | E1 | E2 | E2D | E2K
        | E2C => Flag::Malformed,
        F1 | F2 | F3 | F4 => Flag::Stale,
        O1 | O2 | O3 => Flag::OrigMismatch,
        D1 | D2 | V3 | V4 | E1M => Flag::DestMismatch,
        E1A => Flag::Untrusted,
        X1 | X1I | X2 | X3 | X3D => Flag::BadCredential,
        X4 | X4E | X5 | X6 | X7 | X8 | X9 | X10 | X11 | X12 | X13 | X13S | X14 | X14C | X15 => {
            Flag::Untrusted
        }
        R3 | R4 | R5 => Flag::Revoked,
        S1 | S2 => Flag::BadSignature,
    }
}
