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
    // Undetermined by no rule: nobody looked.
    let v = &invite.verdict;
    if v.validation == Validation::Undetermined && v.decided_by.is_none() {
        flags.insert(Flag::NotVerified);
    }
    let claimed = invite.verstat;
    if claimed.is_some_and(|v| v.disagrees(invite.verdict.validation)) {
        flags.insert(Flag::Disagrees);
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

/// The flag that a rule's failure earns. Total on purpose: a new rule must say what its failure means.
fn failure_flag(rule: Rule) -> Flag {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::digest::IdDigest;
    use crate::call::attempt::Leg;
    use crate::call::peer::Peer;
    use crate::call::peer::PeerRule;
    use crate::call::record::{Ids, Numbers};

    fn tn(text: &str) -> Option<Tn> {
        Tn::from_canonical(text.as_bytes())
    }

    fn invite(from: &str, verdict: Verdict) -> InviteFacts {
        InviteFacts {
            leg: Leg {
                call_id: IdDigest(1),
                tag: 1,
            },
            initial: true,
            cseq: 1,
            branch: 1,
            numbers: Numbers {
                from: tn(from),
                ..Numbers::default()
            },
            called_text: None,
            trunk: None,
            said: Default::default(),
            ids: Ids {
                call_id: IdDigest(1),
                session_id: None,
                icid: None,
                sdp_origin: None,
            },
            verdict,
            verstat: None,
            unknown_ppt_only: false,
        }
    }

    fn flags(
        invite: &InviteFacts,
        direction: Direction,
        kind: Option<PeerKind>,
    ) -> Vec<&'static str> {
        let peer = kind.map(|kind| Peer::new("p", kind));
        let rule = PeerRule::new("r", 0);
        let resolved = Resolved {
            direction,
            peer: peer.as_ref().map(|p| (p, &rule)),
        };
        let own = OwnNumbers(vec!["1202555014".into()]);
        flag(invite, &resolved, &own)
            .iter()
            .map(Flag::label)
            .collect()
    }

    #[test]
    fn own_numbers_may_come_from_customers_only() {
        let call = invite("12025550142", Verdict::default());
        use PeerKind::*;
        assert_eq!(
            flags(&call, Direction::Ingress, Some(Provider)),
            ["unsigned", "own-number-inbound"]
        );
        assert_eq!(
            flags(&call, Direction::Ingress, Some(Customer)),
            ["unsigned"]
        );
        assert_eq!(
            flags(&call, Direction::Egress, Some(Provider)),
            ["unsigned"]
        );
        assert_eq!(
            flags(&call, Direction::Ingress, None),
            ["unsigned", "own-number-inbound", "unknown-upstream"]
        );
    }

    #[test]
    fn numbers_that_can_not_exist() {
        let call = invite("11115550100", Verdict::default());
        assert_eq!(
            flags(&call, Direction::Ingress, Some(PeerKind::Provider)),
            ["unsigned", "invalid-nanp"]
        );
    }

    #[test]
    fn could_not_find_out_is_neither_unsigned_nor_failed() {
        let verdict = Verdict {
            validation: Validation::Undetermined,
            decided_by: Some(Rule::H4),
            ..Verdict::default()
        };
        assert_eq!(
            flags(&invite("12025550100", verdict), Direction::Egress, None),
            ["undetermined"]
        );
    }

    #[test]
    fn an_attestation_counts_only_when_valid() {
        let verdict = |validation, decided_by| Verdict {
            validation,
            decided_by,
            attest: Some(Attestation::A),
            ..Verdict::default()
        };
        let of = |v| flags(&invite("12025550100", v), Direction::Egress, None);
        assert_eq!(of(verdict(Validation::Passed, None)), ["attest-a"]);
        assert_eq!(
            of(verdict(Validation::Failed, Some(Rule::S2))),
            ["bad-signature"]
        );
    }
}
