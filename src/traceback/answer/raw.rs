//! An answer as read: what a portal keeps, what waits for a person, what another provider said. And the changes that a person makes.
//!
//! Members that this version does not know are kept as they are, so that an answer of a later version can be checked and shown.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::resolution::Names;
use super::{AuditPlace, Forwarded, Party, ProducedBy, Provider, Resolution, answer_id};
use crate::base::Timestamp;
use crate::traceback::coverage::LEAST_SHARE;
use crate::traceback::request::MAX_TEXT;

/// Longest text that a person writes into an answer, in octets. Ours: a page.
pub const MAX_COMMENT: usize = 4096;

/// An answer as read. Its members come in the order of [`super::HopAnswer`], the unknown ones at the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RawAnswer {
    /// Id of the answer.
    pub id: String,
    /// Id of the request.
    pub request_id: Box<str>,
    /// Its case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case_id: Option<Box<str>>,
    /// Which hop of the trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hop_no: Option<u32>,
    /// SHA-256 of the request.
    pub request_sha256: Box<str>,
    /// Rises with each answer to the same request.
    pub revision: u32,
    /// The answer that this one replaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supersedes: Option<String>,
    /// SHA-256 of the signed answer of the hop before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_hop_digest: Option<Box<str>>,
    /// Who answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Provider>,
    /// What the answer is.
    pub resolution: Resolution,
    /// Who handed the call over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Party>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub originator: Option<Party>,
    /// The call before a subscriber's forwarding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarded: Option<Forwarded>,
    /// On what it rests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Value>,
    /// Why it is not certain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undecided: Vec<Value>,
    /// What is wrong with the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Value>,
    /// What was done about the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mitigation: Option<String>,
    /// In words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Who stands behind it.
    pub produced_by: ProducedBy,
    /// The role of the person who approved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<Box<str>>,
    /// Version of the matcher.
    pub matcher_version: String,
    /// How sure it had to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Version of configuration and neighbours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_version: Option<Box<str>>,
    /// Its line in the audit log of who answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditPlace>,
    /// When it was signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<Timestamp>,
    /// Members that we don't know.
    #[serde(flatten)]
    pub further: Map<String, Value>,
}

/// What a person makes of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Edit {
    /// What the answer is; `None` leaves it.
    pub resolution: Option<Resolution>,
    /// Who is named; `None` leaves it where the resolution is left too.
    pub party: Option<Party>,
    /// In words, in place of what stood there.
    pub comment: Option<String>,
    /// What was done about the caller.
    pub mitigation: Option<String>,
}

/// Why an answer can't be changed so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// Somebody must be named.
    #[error("{} names somebody: say whom", .0.label())]
    NobodyNamed(Resolution),
    /// Nobody may be named.
    #[error("{} names nobody", .0.label())]
    SomebodyNamed(Resolution),
    /// A text is too long.
    #[error("{0} octets of text; at most {MAX_COMMENT} are taken")]
    TooLong(usize),
    /// "Not found" needs proof that the window was seen.
    #[error("NOT_FOUND needs proof that the whole window was seen; CAPTURE_GAP says the rest")]
    NotSeen,
    /// A receipt is no answer.
    #[error("PENDING is a receipt, no answer")]
    Receipt,
    /// A question back needs a question, a refusal a reason.
    #[error("{} needs a comment", .0.label())]
    NoComment(Resolution),
}

impl RawAnswer {
    /// The same answer, approved by somebody in a role.
    pub fn approved(&self, role: &str) -> Self {
        Self {
            produced_by: match self.produced_by {
                ProducedBy::Human => ProducedBy::Human,
                _ => ProducedBy::AutoApproved,
            },
            approved_by: Some(role.chars().take(MAX_TEXT / 4).collect()),
            ..self.clone()
        }
    }

    /// The answer as a person changes it, in the same revision. Evidence that was gathered for another resolution, or about another
    /// neighbour, is left out: it would vouch for what it does not show.
    ///
    /// # Errors
    ///
    /// [`EditError`].
    pub fn edited(&self, edit: &Edit, role: &str) -> Result<Self, EditError> {
        let resolution = edit.resolution.unwrap_or(self.resolution);
        for text in [&edit.comment, &edit.mitigation].into_iter().flatten() {
            if text.len() > MAX_COMMENT {
                return Err(EditError::TooLong(text.len()));
            }
        }
        let before = self.upstream.as_ref().or(self.originator.as_ref());
        let kept = (resolution == self.resolution).then_some(before).flatten();
        let party = edit.party.as_ref().or(kept);
        let same = resolution == self.resolution && party == before;
        match resolution {
            Resolution::Pending => return Err(EditError::Receipt),
            Resolution::NotFound if !self.saw_all() => return Err(EditError::NotSeen),
            _ => {}
        }
        match (resolution.names(), party) {
            (Names::Always, None) => return Err(EditError::NobodyNamed(resolution)),
            (Names::Never, Some(_)) => return Err(EditError::SomebodyNamed(resolution)),
            _ => {}
        }
        let comment = edit.comment.clone().or_else(|| {
            let kept = (resolution == self.resolution).then(|| self.comment.clone());
            kept.unwrap_or_else(|| resolution.comment().map(str::to_owned))
        });
        let must_say = matches!(
            resolution,
            Resolution::LegalRestriction | Resolution::Refused
        );
        if must_say && edit.comment.as_deref().is_none_or(|c| c.trim().is_empty()) {
            return Err(EditError::NoComment(resolution));
        }
        let origin = resolution.names_originator();
        Ok(Self {
            resolution,
            upstream: party.filter(|_| !origin).cloned(),
            originator: party.filter(|_| origin).cloned(),
            evidence: if same {
                self.evidence.clone()
            } else {
                self.evidence.as_ref().and_then(searched)
            },
            forwarded: self.forwarded.clone().filter(|_| same),
            undecided: if same {
                self.undecided.clone()
            } else {
                Vec::new()
            },
            problems: if same {
                self.problems.clone()
            } else {
                Vec::new()
            },
            mitigation: edit.mitigation.clone().or_else(|| self.mitigation.clone()),
            comment,
            produced_by: ProducedBy::Human,
            approved_by: Some(role.chars().take(MAX_TEXT / 4).collect()),
            audit: None,
            answered_at: None,
            ..self.clone()
        })
    }

    /// The answer that replaces one which has left already.
    pub fn replacing(&self, sent: &RawAnswer) -> Self {
        let revision = sent.revision.saturating_add(1);
        Self {
            id: answer_id(&self.request_id, revision),
            revision,
            supersedes: Some(sent.id.clone()),
            audit: None,
            answered_at: None,
            ..self.clone()
        }
    }

    /// The answer as it is signed: with its line in the audit log and the time.
    pub fn stamped(&self, index: u64, at: Timestamp) -> Self {
        Self {
            audit: Some(AuditPlace { index }),
            answered_at: Some(at),
            ..self.clone()
        }
    }

    /// Whether its evidence says that the main window was seen.
    fn saw_all(&self) -> bool {
        let main = self
            .evidence
            .as_ref()
            .and_then(|e| e.get("windows")?.get(0));
        let share = main.and_then(|w| w.get("coverage")?.as_f64());
        share.is_some_and(|s| s >= LEAST_SHARE)
    }

    /// When the leg came in, and how far that may be off, in seconds.
    pub fn leg(&self) -> Option<(Timestamp, f64)> {
        let leg = self.evidence.as_ref()?.get("leg")?;
        let at = Timestamp::parse_rfc3339(leg.get("at")?.as_str()?)?;
        let error = leg.get("clock_error_ms")?.as_f64()? / 1e3;
        (error.is_finite() && error >= 0.0).then_some((at, error))
    }
}

/// What of the evidence is about the look-up alone: where we looked and what we saw of it.
fn searched(evidence: &Value) -> Option<Value> {
    let all = evidence.as_object()?;
    let kept: Map<String, Value> = ["windows", "gaps", "gap_count"]
        .into_iter()
        .filter_map(|k| Some((k.to_owned(), all.get(k)?.clone())))
        .collect();
    (!kept.is_empty()).then(|| kept.into())
}
