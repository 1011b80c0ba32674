//! What verification says: each rule's state, a verdict for each Identity header, and one for the call.

use smallvec::SmallVec;

use super::rule::Class;
use super::{Rule, RuleSet};
use crate::base::digest::Digest128;
use crate::number::Tn;

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
    /// The token's `ppt`, or the parameter's where the token can't be read.
    pub ppt: Option<Box<str>>,
    /// The token's attest claim, if it is one of the three, whether or not the header is valid.
    pub attest: Option<Attestation>,
    /// Signed calling number.
    pub orig: Option<Tn>,
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
        self.decided_by().map(Rule::sip_code).filter(|c| *c != 0)
    }

    /// `verstat` by the strict reading of ATIS-1000082: failed only for an untrusted credential or a bad signature.
    pub fn verstat(&self) -> &'static str {
        match (self.validation(), self.decided_by().map(Rule::class)) {
            (Validation::Passed, _) => "TN-Validation-Passed",
            (Validation::Failed, Some(Class::Trust | Class::Signature)) => "TN-Validation-Failed",
            _ => "No-TN-Validation",
        }
    }
}
