//! An answer that a provider's staff writes in the console; the portal's key vouches for who wrote it.

use serde::{Deserialize, Serialize};

use rusqlite::OptionalExtension;
use serde_json::Map;

use super::answer::{Taken, shape};
use super::intake::problem;
use super::question::{refused, text};
use super::row::HopRow;
use super::work::{Done, Work};
use super::{Actor, Docket, DocketError, Problem, Result};
use crate::base::Timestamp;
use crate::number::NumberPlan;
use crate::portal::word::AnswerWay;
use crate::proof::sign::Kind;
use crate::traceback::answer::{
    Forwarded, Party, ProducedBy, Provider, RawAnswer, Resolution, answer_id,
};

/// Longest comment, in characters. Ours: a paragraph or two; an answer takes 4,096 octets.
const MAX_COMMENT: usize = 1024;
/// What stands in place of a matcher's version.
const BY_HAND: &str = "by-hand";

/// An answer as a form has it.
#[derive(Clone, Debug, PartialEq)]
pub struct ByHand {
    /// What the answer is.
    pub resolution: Resolution,
    /// Who is named.
    pub party: Named,
    /// Of a forwarded call: the number that was called before the forwarding.
    pub forwarded: String,
    /// In words.
    pub comment: String,
    /// What was done about the caller.
    pub mitigation: String,
}

/// Whom an answer by hand names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Named {
    /// Nobody.
    #[default]
    Nobody,
    /// A provider of the directory, by its id.
    Provider(String),
    /// Somebody who is not in the directory: a provider, one abroad, a customer.
    Other(Party),
}

impl Docket {
    /// Takes an answer from the staff of the provider that was asked. It replaces any that was given before.
    ///
    /// # Errors
    ///
    /// [`DocketError::Wrong`] with every field.
    pub fn answer_by_hand(
        &self,
        actor: &Actor,
        hop: &str,
        answer: &ByHand,
        now: Timestamp,
    ) -> Result<()> {
        self.write(now, |w| w.answer_by_hand(actor, hop, answer))
    }
}

impl Work<'_> {
    fn answer_by_hand(&mut self, actor: &Actor, id: &str, answer: &ByHand) -> Done<()> {
        let hop = self.own_hop(id, actor.staff_of()?)?;
        if !hop.takes_answers() {
            return refused("the question was taken back");
        }
        self.check_room(&hop)?;
        let raw = self.written(&hop, answer)?;
        let mut wrong = Vec::new();
        let named = self.names(&hop, &raw, &mut wrong)?;
        wrong.extend(shape(&raw));
        if !wrong.is_empty() {
            let all = wrong.into_iter().map(|w| problem("party", w)).collect();
            return Err(DocketError::Wrong(all).into());
        }
        let signed = self.signer.sign_value(Kind::Answer, &raw);
        let signed = signed.map_err(|e| DocketError::Refused(e.to_string()))?;
        let taken = Taken {
            digest: signed.digest(),
            kid: self.signer.kid().into(),
            octets: signed.json,
            raw,
            named,
            way: AnswerWay::Console,
        };
        self.take(&hop, taken, &actor.who)
    }

    /// The answer as it is signed.
    fn written(&self, hop: &HopRow, answer: &ByHand) -> Done<RawAnswer> {
        let mut wrong: Vec<Problem> = Vec::new();
        let mut take = |field, t: &str, most| match text(field, t, most) {
            Ok(t) => Some(t).filter(|t| !t.is_empty()),
            Err(p) => {
                wrong.push(p);
                None
            }
        };
        let comment = take("comment", &answer.comment, MAX_COMMENT);
        let mitigation = take("mitigation", &answer.mitigation, MAX_COMMENT);
        let resolution = answer.resolution;
        let must_say = matches!(
            resolution,
            Resolution::Ambiguous
                | Resolution::InsufficientRequest
                | Resolution::NotFound
                | Resolution::NotOurCustomerOfDownstream
                | Resolution::BlockedHere
                | Resolution::CaptureGap
                | Resolution::OutOfRetention
                | Resolution::LegalRestriction
                | Resolution::LegalHold
                | Resolution::Refused
        );
        if must_say && comment.is_none() {
            wrong.push(problem("comment", "missing: this answer needs a reason"));
        }
        if resolution == Resolution::Pending {
            wrong.push(problem("resolution", "is a receipt, no answer"));
        }
        let party = match &answer.party {
            Named::Nobody => None,
            Named::Other(party) => Some(party.clone()),
            Named::Provider(id) => match self.provider_by(id)? {
                Some(row) => Some(Party {
                    name: (&*row.name).into(),
                    portal_id: Some((&*row.id).into()),
                    rmd: None,
                    frn: None,
                    ocn: None,
                    country: "".into(),
                    contact: None,
                    gateway: false,
                }),
                None => {
                    wrong.push(problem("party", "is not in the directory"));
                    None
                }
            },
        };
        let mut forwarded = None;
        let number = answer.forwarded.trim();
        if resolution == Resolution::DivertedByOurSubscriber && !number.is_empty() {
            match NumberPlan::default().canonical(number.as_bytes()).tn() {
                Some(tn) => {
                    forwarded = Some(Forwarded {
                        called: tn.as_str().into(),
                    });
                }
                None => wrong.push(problem("forwarded", "is no telephone number")),
            }
        }
        if !wrong.is_empty() {
            return Err(DocketError::Wrong(wrong).into());
        }
        let last: Option<(String, u32)> = self
            .tx
            .query_row(
                "SELECT id, revision FROM answer WHERE hop = ? AND state <> 'rejected' ORDER BY revision DESC LIMIT 1",
                [&*hop.id],
                |r| Ok((r.get(0)?, r.get(1)?)),
            )
            .optional()?;
        let revision = last.as_ref().map_or(1, |(_, r)| r.saturating_add(1));
        let name = self.provider(&hop.provider)?.map(|p| p.name);
        let origin = resolution.names_originator();
        Ok(RawAnswer {
            id: answer_id(&hop.id, revision),
            request_id: hop.id.clone(),
            case_id: Some(hop.trace.clone()),
            hop_no: Some(hop.depth),
            request_sha256: hop.sha256.clone(),
            revision,
            supersedes: last.map(|(id, _)| id),
            previous_hop_digest: hop.previous_digest.clone(),
            provider: Some(Provider {
                name: name.as_deref().unwrap_or(&hop.provider).into(),
                portal_id: Some((&*hop.provider).into()),
            }),
            resolution,
            upstream: party.clone().filter(|_| !origin),
            originator: party.filter(|_| origin),
            forwarded,
            evidence: None,
            undecided: Vec::new(),
            problems: Vec::new(),
            mitigation,
            comment,
            produced_by: ProducedBy::Human,
            approved_by: Some("staff".into()),
            matcher_version: BY_HAND.to_owned(),
            profile: None,
            config_version: None,
            audit: None,
            answered_at: Some(self.now),
            further: Map::new(),
        })
    }
}
