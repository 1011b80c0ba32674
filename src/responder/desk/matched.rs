//! The matcher's answer is filed: it leaves, or it waits.

use std::io::Read;

use rusqlite::params;
use serde_json::{Value, json};

use super::machine::{self, Event, Step};
use super::seal::Draft;
use super::work::{Done, Fault, Row, Work};
use super::{DeskError, Filed};
use crate::responder::Answered;
use crate::responder::case::{Mode, RequestKey, RequestState, Way, Who};
use crate::traceback::answer::resolution::Names;
use crate::traceback::answer::{ProducedBy, Resolution};

/// Level of zstd: explanations are JSON that repeats itself, and are read seldom.
const LEVEL: i32 = 3;
/// Largest explanation that is read back, in octets: fifty rows with every term take a tenth of it.
const MOST_EXPLANATION: u64 = 4 << 20;

impl Work<'_> {
    /// Files an answer.
    pub(super) fn matched(&self, key: &RequestKey, answered: &Answered) -> Done<Filed> {
        let Some(row) = self.row(key)? else {
            return Ok(Filed::Late);
        };
        // The digest tells of which octets the answer speaks: they may have changed meanwhile.
        if row.state != RequestState::Received || row.sha256 != answered.answer.request_sha256 {
            self.tally(&key.portal, "matched-late", 1)?;
            return Ok(Filed::Late);
        }
        let (to, note) = self.course(&row, answered)?;
        let draft = Draft::of_matcher(answered)?;
        self.tx.execute_batch("SAVEPOINT filing")?;
        match self.file(&row, to, note, answered, &draft) {
            // What can't be signed waits for a person, who sees why.
            Err(Fault::Desk(DeskError::Unsigned(why))) => {
                self.tx.execute_batch("ROLLBACK TO filing")?;
                let note = format!("it could not be signed: {why}");
                self.file(&row, RequestState::Review, Some(&note), answered, &draft)
            }
            other => other,
        }
    }

    fn file(
        &self,
        row: &Row,
        to: RequestState,
        note: Option<&str>,
        answered: &Answered,
        draft: &Draft,
    ) -> Done<Filed> {
        let Step::To(to) = machine::next(row.state, Event::Matched(to)) else {
            return Ok(Filed::Late);
        };
        let answer = &answered.answer;
        let explanation = serde_json::to_vec(&answered.explanation)
            .ok()
            .and_then(|json| zstd::encode_all(json.as_slice(), LEVEL).ok());
        self.change(
            "UPDATE request SET explanation = ?, matched_resolution = ?, matched_peer = ?, matched_certain = ? WHERE portal = ? AND id = ?",
            params![
                explanation,
                answer.resolution.label(),
                answered.peer.as_deref(),
                answer.produced_by == ProducedBy::Auto,
                &*row.key.portal,
                &*row.key.id
            ],
        )?;
        self.place(row, to, note)?;
        let detail = json!({
            "resolution": answer.resolution,
            "produced_by": answer.produced_by,
            "peer": answered.peer,
            "candidates": answered.explanation.attempts,
            "to": to,
            "why": note,
        });
        self.audit(row, &Who::Automatic, "matched", detail)?;
        self.tally(
            &row.key.portal,
            &format!("matched:{}", answer.resolution.label()),
            1,
        )?;
        if matches!(to, RequestState::Outbox | RequestState::NeedsInfo) {
            self.seal(row, draft, &Who::Automatic)?;
        } else {
            self.keep_draft(row, draft)?;
            if to == RequestState::Review {
                self.show_draft(row)?;
            }
        }
        Ok(Filed::As(to))
    }

    /// Where an answer goes, and why it does not leave by itself. What leaves has passed every line of this.
    fn course(&self, row: &Row, answered: &Answered) -> Done<(RequestState, Option<&'static str>)> {
        let answer = &answered.answer;
        let review = |why| Ok((RequestState::Review, Some(why)));
        let Some(portal) = self.rules.portal(&row.key.portal) else {
            return review("the portal is not in the configuration");
        };
        match portal.mode {
            Mode::Shadow => return Ok((RequestState::Ready, None)),
            Mode::Assisted => return review("the portal's mode is assisted"),
            Mode::Automatic => {}
        }
        if answer.resolution == Resolution::Pending {
            return review("it could not be looked up, by a defect: a person must answer");
        }
        if answer.request_id != row.key.id {
            return review("the request's id can't be read, so nobody knows what to answer to");
        }
        if self.is_halted()? {
            return review("everything was halted");
        }
        if row.way == Way::Unproven {
            return review("nothing proves the sender of the mail");
        }
        if row.disputed {
            return review("an answer to this request was disputed");
        }
        if self.rules.signer.is_none() {
            return review("there is no key to sign with");
        }
        match answer.resolution {
            Resolution::InsufficientRequest => return Ok((RequestState::NeedsInfo, None)),
            Resolution::Ambiguous => return review("none of the candidates is certain"),
            _ => {}
        }
        if answer.produced_by != ProducedBy::Auto {
            return review("the answer is not certain, or of a kind that is a person's");
        }
        if !portal.automatic.contains(&answer.resolution) {
            return review("answers of this kind are not automatic at this portal");
        }
        let party = answer.upstream.as_ref().or(answer.originator.as_ref());
        let names_somebody = party.is_some() || answer.resolution.names() == Names::Always;
        match &answered.peer {
            Some(peer) if self.is_held(&row.key.portal, peer)? => {
                review("answers about this neighbour are held since one was disputed")
            }
            peer if names_somebody && (peer.is_none() || party.is_none()) => {
                review("the neighbour that is named is not known by an id")
            }
            _ => Ok((RequestState::Outbox, None)),
        }
    }
}

/// The explanation as it was filed.
pub(super) fn explanation(packed: &[u8]) -> Option<Value> {
    let reader = zstd::Decoder::new(packed).ok()?;
    serde_json::from_reader(reader.take(MOST_EXPLANATION)).ok()
}
