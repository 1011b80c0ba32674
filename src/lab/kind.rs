//! The kinds of calls that the lab makes, and what a verifier must say about each.
//!
//! Truth is declared here by hand, never computed by the verifier's code: [`Trouble`] names the one rule that a call breaks, what
//! becomes of it, and the SIP code that a verification service would send. Everything else about such a call is in order.

use super::network::{Neighbour, Writing};
use super::pki::Flaw;
use crate::call::classify::Flag;
use crate::stir::verify::{Attestation, Rule, Validation};

/// What a call is like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// No Identity header.
    Unsigned,
    /// In order.
    Valid(Attestation),
    /// In order, with `ppt="shaken"` in quotes.
    QuotedPpt,
    /// In order, with the compact name `y`.
    CompactName,
    /// In order, folded over several lines.
    Folded,
    /// A header of a kind that nobody verifies, then one in order.
    TwoHeaders,
    /// Sent on by a number that was called first, with the diversion signed: the `div` stands first.
    Diverted,
    /// Sent on, with the original PASSporT inside the `div-o`.
    Nested,
    /// With rich call data in a header of its own, and its digests.
    RichCallData,
    /// A header with a bad signature, then one in order.
    BadThenGood,
    /// With one thing wrong or odd.
    Trouble(&'static Trouble),
}

/// One thing wrong or odd with a call.
#[derive(Debug, PartialEq)]
pub struct Trouble {
    /// What is done to the call.
    pub defect: Defect,
    /// The rule that it breaks.
    pub rule: Rule,
    /// What becomes of the call.
    pub validation: Validation,
    /// What a verification service would answer.
    pub sip_code: Option<u16>,
    /// How it is flagged; `None`: like the attestation, as nothing failed.
    pub flag: Option<Flag>,
    /// Whether the claims can be read, so that the attestation claimed can be told.
    pub readable: bool,
    /// The trouble is in a second header beside a good one, with what becomes of that header: what is said above is of the first, and
    /// so of the call.
    pub beside: Option<(Validation, Rule)>,
}

/// What can be done to a call or its PASSporT.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)] // the rule beside each in `TROUBLES` says it
pub enum Defect {
    CommaJoined,
    LostFragment,
    SnapLength,
    Legacy,
    TooLarge,
    Padding,
    Alphabet,
    CompactForm,
    NoInfo,
    NoBrackets,
    DuplicatePpt,
    AlgParameter,
    OtherPptParameter,
    OnlyUnknownPpt,
    InfoNotX5u,
    DuplicateHeaderName,
    HeaderNoJson,
    Typ,
    Alg,
    NoX5u,
    NoPpt,
    Crit,
    DuplicateClaim,
    QuotedIat,
    NegativeIat,
    OrigArray,
    NoOrig,
    BareDest,
    EmptyDest,
    PlusSign,
    AttestD,
    AttestLowerCase,
    NoOrigid,
    OrigidNoUuid,
    Past,
    Future,
    DateHeader,
    OtherOrig,
    Anonymous,
    OtherDest,
    DestByRequestUri,
    OddPort,
    QueryInUrl,
    Certificate(Flaw),
    DerSignature,
    ShortSignature,
    FlippedSignature,
    ForeignKey,
    DivNoNumber,
    DivBroken,
    DivOld,
    DivUnsigned,
    NestedBroken,
    PriorityNoArray,
    PriorityOther,
    PrioritySigner,
    RcdNoName,
    RcdDigest,
    RcdPointer,
    RcdContent,
}

const fn failed(defect: Defect, rule: Rule, sip_code: u16, flag: Flag) -> Trouble {
    Trouble {
        defect,
        rule,
        validation: Validation::Failed,
        sip_code: Some(sip_code),
        flag: Some(flag),
        readable: true,
        beside: None,
    }
}

const fn unreadable(defect: Defect, rule: Rule, sip_code: u16) -> Trouble {
    Trouble {
        readable: false,
        ..failed(defect, rule, sip_code, Flag::Malformed)
    }
}

const fn odd(defect: Defect, rule: Rule) -> Trouble {
    Trouble {
        defect,
        rule,
        validation: Validation::Passed,
        sip_code: None,
        flag: None,
        readable: true,
        beside: None,
    }
}

/// A second header is in trouble, and nothing of it matters to the first.
const fn beside(defect: Defect, rule: Rule, validation: Validation) -> Trouble {
    Trouble {
        beside: Some((validation, rule)),
        ..odd(defect, rule)
    }
}

/// A diversion is in trouble by its own rule, and takes the call with it.
const fn diversion(defect: Defect, rule: Rule, of_div: Rule, sip_code: u16, flag: Flag) -> Trouble {
    Trouble {
        beside: Some((Validation::Failed, of_div)),
        ..failed(defect, rule, sip_code, flag)
    }
}

const fn undetermined(
    defect: Defect,
    rule: Rule,
    sip_code: Option<u16>,
    readable: bool,
) -> Trouble {
    Trouble {
        defect,
        rule,
        validation: Validation::Undetermined,
        sip_code,
        flag: Some(Flag::Undetermined),
        readable,
        beside: None,
    }
}

const fn ignored(defect: Defect, rule: Rule) -> Trouble {
    Trouble {
        defect,
        rule,
        validation: Validation::None,
        sip_code: None,
        flag: Some(Flag::UnknownPpt),
        readable: false,
        beside: None,
    }
}

const fn certificate(flaw: Flaw, rule: Rule, flag: Flag) -> Trouble {
    failed(Defect::Certificate(flaw), rule, 437, flag)
}

/// Everything that can be wrong or odd, in the order of the rules.
pub const TROUBLES: &[Trouble] = &{
    use Defect as D;
    use Flag::{
        BadCredential, BadSignature, DestMismatch, Malformed, OrigMismatch, Revoked, Stale,
        Untrusted,
    };
    use Rule as R;
    [
        odd(D::CommaJoined, R::H3),
        undetermined(D::LostFragment, R::H4, None, false),
        undetermined(D::SnapLength, R::H4, None, false),
        ignored(D::Legacy, R::H5),
        unreadable(D::TooLarge, R::H7, 438),
        unreadable(D::Padding, R::G1, 438),
        unreadable(D::Alphabet, R::G1, 438),
        unreadable(D::CompactForm, R::G2, 438),
        failed(D::NoInfo, R::G3, 436, Malformed),
        failed(D::NoBrackets, R::G3, 436, Malformed),
        failed(D::DuplicatePpt, R::G4, 438, Malformed),
        failed(D::AlgParameter, R::G5, 437, Malformed),
        failed(D::OtherPptParameter, R::G6, 438, Malformed),
        ignored(D::OnlyUnknownPpt, R::G7),
        failed(D::InfoNotX5u, R::G8, 436, Malformed),
        failed(D::DuplicateHeaderName, R::J1, 438, Malformed),
        failed(D::HeaderNoJson, R::J1, 438, Malformed),
        failed(D::Typ, R::J2, 437, Malformed),
        failed(D::Alg, R::J3, 437, Malformed),
        failed(D::NoX5u, R::J4, 436, Malformed),
        failed(D::NoPpt, R::J5, 438, Malformed),
        failed(D::Crit, R::J6, 438, Malformed),
        unreadable(D::DuplicateClaim, R::P1, 438),
        failed(D::QuotedIat, R::P2, 438, Malformed),
        failed(D::NegativeIat, R::P2, 438, Malformed),
        failed(D::OrigArray, R::P3, 438, Malformed),
        failed(D::NoOrig, R::P3, 438, Malformed),
        failed(D::BareDest, R::P4, 438, Malformed),
        failed(D::EmptyDest, R::P4, 438, Malformed),
        odd(D::PlusSign, R::P5),
        unreadable(D::AttestD, R::P6, 438),
        unreadable(D::AttestLowerCase, R::P6, 438),
        failed(D::NoOrigid, R::P7, 438, Malformed),
        odd(D::OrigidNoUuid, R::P7U),
        failed(D::Past, R::F1, 403, Stale),
        failed(D::Future, R::F1, 403, Stale),
        odd(D::DateHeader, R::F2),
        failed(D::OtherOrig, R::O1, 438, OrigMismatch),
        undetermined(D::Anonymous, R::O3, None, true),
        failed(D::OtherDest, R::D1, 438, DestMismatch),
        odd(D::DestByRequestUri, R::D2),
        diversion(D::DivNoNumber, R::V3, R::V1, 438, DestMismatch),
        diversion(D::DivBroken, R::V3, R::V3, 438, DestMismatch),
        diversion(D::DivOld, R::F4, R::F1, 403, Stale),
        failed(D::DivUnsigned, R::D1, 438, DestMismatch),
        failed(D::NestedBroken, R::V6, 438, Malformed),
        beside(D::PriorityNoArray, R::E1, Validation::Failed),
        beside(D::PriorityOther, R::E1M, Validation::Failed),
        beside(D::PrioritySigner, R::E1A, Validation::Undetermined),
        beside(D::RcdNoName, R::E2, Validation::Failed),
        beside(D::RcdDigest, R::E2D, Validation::Failed),
        beside(D::RcdPointer, R::E2K, Validation::Passed),
        beside(D::RcdContent, R::E2C, Validation::Undetermined),
        failed(D::Certificate(Flaw::PlainHttp), R::X1, 436, BadCredential),
        failed(D::OddPort, R::X1, 436, BadCredential),
        failed(D::QueryInUrl, R::X1, 436, BadCredential),
        odd(D::Certificate(Flaw::Address), R::X1I),
        undetermined(D::Certificate(Flaw::Missing), R::X2, Some(436), true),
        certificate(Flaw::Garbage, R::X3, BadCredential),
        odd(D::Certificate(Flaw::BareDer), R::X3D),
        certificate(Flaw::Untrusted, R::X4, Untrusted),
        certificate(Flaw::SelfSigned, R::X4, Untrusted),
        certificate(Flaw::Expired, R::X4E, Untrusted),
        certificate(Flaw::NotYetValid, R::X4E, Untrusted),
        certificate(Flaw::P384, R::X5, Untrusted),
        certificate(Flaw::Critical, R::X6, Untrusted),
        odd(D::Certificate(Flaw::Policy), R::X7),
        certificate(Flaw::KeyUsage, R::X8, Untrusted),
        certificate(Flaw::NoTnAuthList, R::X9, Untrusted),
        certificate(Flaw::ImplicitTags, R::X9, Untrusted),
        certificate(Flaw::NoWrapper, R::X9, Untrusted),
        certificate(Flaw::NoLength, R::X9, Untrusted),
        certificate(Flaw::OtherNumbers, R::X10, Untrusted),
        undetermined(D::Certificate(Flaw::ByReference), R::X10, Some(437), true),
        odd(D::Certificate(Flaw::Subject), R::X12),
        certificate(Flaw::NotEncompassed, R::X13, Untrusted),
        certificate(Flaw::Constraint, R::X14, Untrusted),
        certificate(Flaw::TwoConstraints, R::X14C, Untrusted),
        odd(D::Certificate(Flaw::P521Authority), R::X15),
        certificate(Flaw::Revoked, R::R3, Revoked),
        certificate(Flaw::IssuerRevoked, R::R3, Revoked),
        failed(D::DerSignature, R::S1, 438, BadSignature),
        failed(D::ShortSignature, R::S1, 438, BadSignature),
        failed(D::FlippedSignature, R::S2, 438, BadSignature),
        failed(D::ForeignKey, R::S2, 438, BadSignature),
    ]
};

/// The number that was called first, where a call is sent on.
pub const CALLED_FIRST: &str = "18445550198";

impl Kind {
    /// Whether the call was sent on by [`CALLED_FIRST`].
    pub fn is_sent_on(self) -> bool {
        use Defect::{DivBroken, DivNoNumber, DivOld, NestedBroken};
        match self {
            Self::Diverted | Self::Nested => true,
            Self::Trouble(t) => matches!(t.defect, DivNoNumber | DivBroken | DivOld | NestedBroken),
            _ => false,
        }
    }

    /// Whether To still names [`CALLED_FIRST`]. Elsewhere the chain alone explains where the call goes.
    pub fn keeps_to(self) -> bool {
        match self {
            Self::Diverted | Self::Nested => true,
            Self::Trouble(t) => t.defect == Defect::NestedBroken,
            _ => false,
        }
    }

    /// Whether a neighbour's way of writing leaves the call what it is: a chain of diversions ends at the very Request-URI, and so does a
    /// PASSporT for a number that To does not show.
    pub fn fits(self, from: Option<&Neighbour>) -> bool {
        let by_request_uri =
            matches!(self, Self::Trouble(t) if t.defect == Defect::DestByRequestUri);
        !(self.is_sent_on() || by_request_uri)
            || from.is_none_or(|n| n.writing != Writing::TechPrefix)
    }

    /// Whether the call asks for priority.
    pub fn is_priority(self) -> bool {
        use Defect::{PriorityNoArray, PriorityOther, PrioritySigner};
        matches!(self, Self::Trouble(t) if matches!(t.defect, PriorityNoArray | PriorityOther | PrioritySigner))
    }
}

impl Trouble {
    /// The trouble that a defect makes.
    pub fn of(defect: Defect) -> Option<&'static Self> {
        TROUBLES.iter().find(|t| t.defect == defect)
    }

    /// Whether the tap loses part of the message, so that only one leg is in trouble.
    pub fn is_of_the_tap(&self) -> bool {
        matches!(self.defect, Defect::LostFragment | Defect::SnapLength)
    }
}

/// What a verifier must say about one leg.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Outcome.
    pub validation: Validation,
    /// The rule that decided it, if it did not pass.
    pub rule: Option<Rule>,
    /// Rules that must be among the failed ones.
    pub failed: Vec<Rule>,
    /// Rules of policy that must be among the findings.
    pub findings: Vec<Rule>,
    /// SIP code.
    pub sip_code: Option<u16>,
    /// Attestation claimed in the token that speaks for the call.
    pub attest: Option<Attestation>,
    /// Outcome and deciding rule of each Identity header.
    pub headers: Vec<(Validation, Option<Rule>)>,
    /// The flag that follows from all that.
    pub flag: Flag,
}

impl Kind {
    /// Stable name: the label of the rule for troubles.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::Valid(Attestation::A) => "valid-a",
            Self::Valid(Attestation::B) => "valid-b",
            Self::Valid(Attestation::C) => "valid-c",
            Self::QuotedPpt => "quoted-ppt",
            Self::CompactName => "compact-name",
            Self::Folded => "folded",
            Self::TwoHeaders => "two-headers",
            Self::BadThenGood => "two-headers-bad-first",
            Self::Diverted => "diverted",
            Self::Nested => "diverted-nested",
            Self::RichCallData => "rich-call-data",
            Self::Trouble(t) => t.rule.label(),
        }
    }

    /// What the verifier must say, given the attestation that the token claims.
    pub fn verdict(self, attest: Attestation) -> Verdict {
        let passed = (Validation::Passed, None);
        let valid = Verdict {
            validation: Validation::Passed,
            rule: None,
            failed: Vec::new(),
            findings: Vec::new(),
            sip_code: None,
            attest: Some(attest),
            headers: vec![passed],
            flag: match attest {
                Attestation::A => Flag::AttestA,
                Attestation::B => Flag::AttestB,
                Attestation::C => Flag::AttestC,
            },
        };
        match self {
            Self::Valid(_) | Self::QuotedPpt | Self::CompactName | Self::Folded => valid,
            Self::Nested => valid,
            Self::Diverted | Self::RichCallData => Verdict {
                headers: vec![passed, passed],
                ..valid
            },
            Self::TwoHeaders => Verdict {
                headers: vec![(Validation::None, Some(Rule::G7)), passed],
                ..valid
            },
            Self::BadThenGood => Verdict {
                headers: vec![(Validation::Failed, Some(Rule::S2)), passed],
                ..valid
            },
            Self::Unsigned => Verdict {
                validation: Validation::None,
                attest: None,
                headers: Vec::new(),
                flag: Flag::Unsigned,
                ..valid
            },
            Self::Trouble(t) => t.verdict(valid),
        }
    }
}

impl Trouble {
    fn verdict(&self, valid: Verdict) -> Verdict {
        let decided = (self.validation != Validation::Passed).then_some(self.rule);
        let one = |on: bool| if on { vec![self.rule] } else { Vec::new() };
        Verdict {
            validation: self.validation,
            rule: decided,
            failed: one(self.validation == Validation::Failed),
            findings: one(self.validation == Validation::Passed && self.beside.is_none()),
            sip_code: self.sip_code,
            attest: valid.attest.filter(|_| self.readable),
            headers: match self.defect {
                // Cut ahead of the Identity header: not one was seen.
                Defect::LostFragment | Defect::SnapLength => Vec::new(),
                Defect::CommaJoined => vec![
                    (Validation::None, Some(Rule::G7)),
                    (Validation::Passed, None),
                ],
                _ => {
                    let decided_beside =
                        |(v, rule)| (v, Some(rule).filter(|_| v != Validation::Passed));
                    let first = (self.validation, decided);
                    let second = self.beside.map(decided_beside);
                    std::iter::once(first).chain(second).collect()
                }
            },
            flag: self.flag.unwrap_or(valid.flag),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stir::verify::rule::Class;
    use std::collections::BTreeSet;

    #[test]
    fn every_rule_that_a_capture_can_show_has_a_trouble() {
        // R5 needs a verifier without a revocation list, and F3 one with a bad clock: configuration, not traffic.
        let beside = TROUBLES.iter().filter_map(|t| Some(t.beside?.1));
        let shown: BTreeSet<_> = TROUBLES.iter().map(|t| t.rule).chain(beside).collect();
        let missing: Vec<_> = Rule::ALL
            .iter()
            .filter(|r| !shown.contains(r) && **r != Rule::F3)
            .collect();
        // A new finding may come without a call that shows it; whatever fails or stays open must have one.
        let silent = |r: &&Rule| r.class() == Class::Policy;
        assert!(missing.contains(&&Rule::R5) && missing.into_iter().all(|r| silent(&r)));
        assert!(shown.len() >= 25);
    }

    #[test]
    fn codes_and_outcomes_declared_here_are_those_of_the_rules() {
        for t in TROUBLES {
            if t.beside.is_some() && t.validation == Validation::Passed {
                assert_eq!(t.sip_code, None, "what stands beside decides nothing");
                continue;
            }
            let code = Some(t.rule.sip_code()).filter(|c| *c != 0);
            assert_eq!(t.sip_code, code, "{:?}", t.defect);
            let policy = t.rule.class() == Class::Policy;
            assert_eq!(policy, t.validation == Validation::Passed, "{:?}", t.defect);
        }
    }
}
