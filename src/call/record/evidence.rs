//! What it takes to judge a call again months later: what was received, the certificates, and what was said then.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::base::Timestamp;
use crate::base::digest::Digest128;
use crate::stir::verify::{Attestation, CallVerdict, HeaderVerdict, Rule, RuleSet, Validation};

/// Of which calls evidence is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EvidenceKept {
    /// Every call with an Identity header.
    #[default]
    Signed,
    /// Those that failed or could not be judged.
    Failed,
    /// None.
    None,
}

impl EvidenceKept {
    /// Whether evidence of a call so judged is kept.
    pub fn wants(self, verdict: &CallVerdict) -> bool {
        let judged = verdict.validation();
        match self {
            Self::None => false,
            Self::Signed => !verdict.headers.is_empty(),
            Self::Failed => {
                !verdict.headers.is_empty()
                    && matches!(judged, Validation::Failed | Validation::Undetermined)
            }
        }
    }
}

/// Evidence of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Octets of the INVITE as received, without its body.
    pub head: Box<[u8]>,
    /// Certificates that were at hand, each URL once.
    pub chains: SmallVec<[StoredChain; 1]>,
    /// What was said then.
    pub judgement: Judgement,
}

/// Certificates as they were found at a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredChain {
    /// The URL.
    pub url: Box<str>,
    /// SHA-256 of the octets.
    pub digest: Digest128,
    /// The octets.
    pub octets: Arc<[u8]>,
}

/// Evidence of the call that a record is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvidence {
    /// The record.
    pub uid: u64,
    /// Capture time of its INVITE.
    pub at: Timestamp,
    /// The evidence.
    pub evidence: Evidence,
}

/// A verdict with the state of every rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Judgement {
    /// Outcome for the call.
    pub validation: Validation,
    /// The rule that decided it.
    pub decided_by: Option<Rule>,
    /// Attestation claimed in the header that speaks for the call.
    pub attest: Option<Attestation>,
    /// Each Identity header.
    pub headers: SmallVec<[HeaderJudgement; 1]>,
}

/// The state of every rule for one Identity header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct HeaderJudgement {
    /// Rules that passed.
    pub passed: RuleSet,
    /// Rules that failed.
    pub failed: RuleSet,
    /// Rules that could not be decided.
    pub undetermined: RuleSet,
    /// Policy findings.
    pub findings: RuleSet,
}

impl Judgement {
    /// Of a verdict.
    pub fn of(verdict: &CallVerdict) -> Self {
        Self {
            validation: verdict.validation(),
            decided_by: verdict.decided_by(),
            attest: verdict.best().and_then(|h| h.attest),
            headers: verdict.headers.iter().map(HeaderJudgement::of).collect(),
        }
    }
}

impl HeaderJudgement {
    fn of(header: &HeaderVerdict) -> Self {
        Self {
            passed: header.passed,
            failed: header.failed,
            undetermined: header.undetermined,
            findings: header.findings,
        }
    }

    /// The name of a rule's state, in the words of [`crate::stir::verify::State`].
    pub fn state(&self, rule: Rule) -> &'static str {
        use crate::stir::verify::State;
        let states = [
            (self.passed, State::Passed),
            (self.failed, State::Failed),
            (self.undetermined, State::Undetermined),
            (self.findings, State::Finding),
        ];
        let state = states.into_iter().find(|(set, _)| set.contains(rule));
        state.map_or(State::NotJudged, |(_, s)| s).label()
    }
}
