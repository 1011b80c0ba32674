//! What verification says: each rule's state, a verdict for each Identity header, the state of its diversions, and one for the call.

use smallvec::SmallVec;

use super::rule::Class;
use super::{Rule, RuleSet, RuleStates};
use crate::base::digest::Digest128;
use crate::number::Tn;
use crate::stir::passport::Kind;

/// Whether the numbers of a call are vouched for.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Validation {
    /// Every rule that applies passed.
    Passed,
    /// A rule failed.
    Failed,
    /// Nothing failed, but something could not be found out: no certificate, a cut message.
    Undetermined,
    /// There was nothing to verify: no Identity header, or none that we understand.
    #[default]
    None,
}

impl Validation {
    /// Lower-case name.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Undetermined => "undetermined",
            Self::None => "none",
        }
    }
}

/// What the signer attests (RFC 8588 §4).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub enum Attestation {
    /// Full: the caller is known and may use the number.
    A,
    /// Partial: the caller is known.
    B,
    /// Gateway: neither.
    C,
}

impl Attestation {
    /// The letter.
    pub const fn label(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
        }
    }
}

/// Which party of the message the signed calling number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrigMatch {
    /// A P-Asserted-Identity.
    Asserted,
    /// From, where no number is asserted.
    From,
    /// From alone, though another number is asserted: a mismatch (rules O1 and O2).
    FromOnly,
    /// None of them.
    Neither,
}

/// Which party of the message the signed called number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DestMatch {
    /// To.
    To,
    /// The Request-URI alone (rule D2).
    RequestUri,
    /// The number that an unbroken chain of diversions began with (rule V5).
    Chain,
    /// None of them.
    Neither,
}

/// State of a call's chain of diversions (rule V3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChainState {
    /// No `div`.
    #[default]
    Absent,
    /// From the number signed first to the Request-URI.
    Unbroken,
    /// The link of this number, counted from one, is missing or does not hold.
    Broken(u8),
    /// Something of it could not be found out.
    Undetermined,
}

/// The chain of diversions of a call, as it was put together from headers in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Chain {
    /// Whether it holds.
    pub state: ChainState,
    /// Its headers, by index, in the order in which the call was sent on; as far as it holds.
    pub links: SmallVec<[u8; 4]>,
    /// Set when the headers fit together in more than one way.
    pub ambiguous: bool,
    /// Set when a number sent the call on more than once.
    pub looped: bool,
}

/// How `verstat` is derived; both ways are in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VerstatMapping {
    /// ATIS-1000082 read strictly: failed only for an untrusted credential or a bad signature.
    #[default]
    Strict,
    /// Passed for attestation A alone; any failure is one.
    AttestA,
}

/// Verdict on one Identity header.
///
/// A rule that is in none of the four sets did not apply, or was not reached because an earlier rule made it meaningless.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct HeaderVerdict {
    /// Outcome for this header.
    pub validation: Validation,
    /// The rule that decided a failure or an undetermined outcome: the first one in the order of work.
    pub decided_by: Option<Rule>,
    /// Rules that passed.
    pub passed: RuleSet,
    /// Rules that failed, [`Class::Policy`] excluded.
    pub failed: RuleSet,
    /// Rules whose answer could not be found out.
    pub undetermined: RuleSet,
    /// Rules of class [`Class::Policy`] that were violated: findings that fail nothing.
    pub findings: RuleSet,
    /// What the token is for.
    pub kind: Kind,
    /// The token's `ppt`, or the parameter's where the token can't be read.
    pub ppt: Option<Box<str>>,
    /// The token's attest claim, if it is one of the three, whether or not the header is valid.
    pub attest: Option<Attestation>,
    /// Signed calling number.
    pub orig: Option<Tn>,
    /// Which party of the message that is.
    pub orig_match: Option<OrigMatch>,
    /// Which party of the message the signed called number is.
    pub dest_match: Option<DestMatch>,
    /// `iat` in seconds since 1970.
    pub iat: Option<i64>,
    /// `origid` as written.
    pub origid: Option<Box<str>>,
    /// `x5u`, or `info` where the token can't be read.
    pub x5u: Option<Box<str>>,
    /// Service provider code of the leaf's TNAuthList.
    pub spc: Option<Box<str>>,
    /// Names the PASSporT: SHA-256 of the signing input as received.
    pub digest: Option<Digest128>,
    /// Names the certificates that it was judged with: SHA-256 of the octets found under `x5u`.
    pub chain: Option<Digest128>,
    /// Verdict on the PASSporT inside a `div-o` (rule V6).
    pub original: Option<Box<HeaderVerdict>>,
}

impl HeaderVerdict {
    /// The states of its rules.
    pub fn states(&self) -> RuleStates {
        RuleStates {
            passed: self.passed,
            failed: self.failed,
            undetermined: self.undetermined,
            findings: self.findings,
        }
    }
}

/// Verdict on the call: that of its best Identity header.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct CallVerdict {
    /// One verdict per Identity header, in the order received.
    pub headers: SmallVec<[HeaderVerdict; 1]>,
    /// Which of them speaks for the call.
    pub best: Option<usize>,
    /// Set when the message was cut before its headers ended, so that "no Identity" can't be said.
    pub truncated: bool,
    /// Its diversions.
    pub chain: Chain,
    /// Set when local policy wants an Identity header on every call (rule H6).
    pub required: bool,
}

impl CallVerdict {
    /// The verdict that speaks for the call.
    pub fn best(&self) -> Option<&HeaderVerdict> {
        self.headers.get(self.best?)
    }

    /// Validation of the call. Behind a cut a further header may have stood that would have passed: then only a pass is certain.
    pub fn validation(&self) -> Validation {
        match self.best() {
            Some(h) if h.validation == Validation::Passed || !self.truncated => h.validation,
            _ if self.truncated => Validation::Undetermined,
            _ => Validation::None,
        }
    }

    /// Attestation, where the call's header is valid.
    pub fn attest(&self) -> Option<Attestation> {
        self.best()
            .filter(|h| h.validation == Validation::Passed)
            .and_then(|h| h.attest)
    }

    /// Whether the call carries no Identity header at all, and we know it.
    pub fn is_unsigned(&self) -> bool {
        self.headers.is_empty() && !self.truncated
    }

    /// The rule that decided it, if it did not pass.
    pub fn decided_by(&self) -> Option<Rule> {
        match (self.best(), self.validation()) {
            (Some(h), v) if h.validation == v => h.decided_by,
            (_, Validation::Undetermined) => Some(Rule::H4),
            _ => None,
        }
    }

    /// SIP code that a verification service would have sent, or `None` where it would have let the call pass.
    pub fn sip_code(&self) -> Option<u16> {
        if self.required && self.is_unsigned() {
            return Some(428);
        }
        self.decided_by().map(Rule::sip_code).filter(|c| *c != 0)
    }

    /// `verstat` by the strict reading of ATIS-1000082.
    pub fn verstat(&self) -> &'static str {
        self.verstat_by(VerstatMapping::Strict)
    }

    /// `verstat` (3GPP TS 24.229) by either reading.
    pub fn verstat_by(&self, mapping: VerstatMapping) -> &'static str {
        const PASSED: &str = "TN-Validation-Passed";
        const FAILED: &str = "TN-Validation-Failed";
        const NONE: &str = "No-TN-Validation";
        match mapping {
            VerstatMapping::Strict => match (self.validation(), self.decided_by()) {
                (Validation::Passed, _) => PASSED,
                (Validation::Failed, Some(rule))
                    if matches!(rule.class(), Class::Trust | Class::Signature) =>
                {
                    FAILED
                }
                _ => NONE,
            },
            VerstatMapping::AttestA => match (self.validation(), self.decided_by()) {
                (Validation::Passed, _) if self.attest() == Some(Attestation::A) => PASSED,
                (Validation::Failed, _) => FAILED,
                // Who can't be reached vouches for nothing. What the tap lost is not the call's failure.
                (Validation::Undetermined, Some(Rule::X2)) => FAILED,
                _ => NONE,
            },
        }
    }
}
