//! A person decides; or says what he answered by hand, in shadow.

use rusqlite::params;
use serde_json::json;

use super::machine::{self, Event, Step};
use super::seal::Draft;
use super::work::{Done, Row, Work};
use super::{Decision, DeskError, Edit};
use crate::responder::case::{Mode, RequestKey, RequestState, Who};
use crate::traceback::answer::Resolution;

impl Work<'_> {
    /// Does what a person decided.
    pub(super) fn decide(
        &self,
        key: &RequestKey,
        who: &Who,
        decision: &Decision,
        seen: Option<&str>,
    ) -> Done<RequestState> {
        let row = self.must(key)?;
        if self.rules.mode(&key.portal) == Mode::Shadow {
            let why = "the portal is in shadow, where nothing leaves; `compare` notes what was answered by hand";
            return Err(not_now(&row, why));
        }
        let kept = self.draft(key)?;
        let stands = kept.as_ref().map(|k| k.answer.id.as_str());
        if seen.is_some() && seen != stands {
            return Err(DeskError::Changed(key.clone()).into());
        }
        let (event, draft) = match decision {
            Decision::Approve => match kept {
                Some(draft) if draft.is_question() => {
                    (Event::ApproveQuestion, Some(draft.approved()))
                }
                Some(draft) => (Event::Approve, Some(draft.approved())),
                None => (Event::Approve, None),
            },
            Decision::Edit(edit) => (Event::Answer, edited(kept, edit)?),
            Decision::Reject(why) => (
                Event::Answer,
                edited(kept, &plain(Resolution::Refused, why))?,
            ),
            Decision::Ask(what) => {
                let edit = plain(Resolution::InsufficientRequest, what);
                (Event::Ask, edited(kept, &edit)?)
            }
        };
        let to = match (machine::next(row.state, event), &draft) {
            (Step::To(to), Some(_)) => to,
            (Step::No(why), _) => return Err(not_now(&row, why)),
            (Step::Stay | Step::To(_), _) => return Err(not_now(&row, "there is no answer yet")),
        };
        let Some(draft) = draft else {
            return Err(not_now(&row, "there is no answer yet"));
        };
        if draft.answer.resolution == Resolution::Pending {
            return Err(not_now(&row, "there is no answer yet: `edit` gives one"));
        }
        if draft.names_nobody() {
            let why = "the answer must name somebody and does not: `edit` says whom";
            return Err(not_now(&row, why));
        }
        if draft.answer.request_id != row.key.id {
            let why = "its id can't be read, so nobody knows what to answer to: ask the portal by another way";
            return Err(not_now(&row, why));
        }
        self.check_signer()?;
        let what = decision.label();
        self.place(&row, to, Some(&format!("{what} by {who}")))?;
        let detail = json!({ "decision": what, "from": row.state, "to": to, "resolution": draft.answer.resolution, "peer": draft.peer });
        self.audit(&row, who, "decision", detail)?;
        self.tally(&key.portal, &format!("decision:{what}"), 1)?;
        self.seal(&row, &draft, who)?;
        Ok(to)
    }

    /// Notes what a person answered by hand.
    pub(super) fn compare(
        &self,
        key: &RequestKey,
        who: &Who,
        said: Resolution,
        peer: Option<&str>,
    ) -> Done<bool> {
        let row = self.must(key)?;
        let found = self.tx.prepare_cached(
            "SELECT matched_resolution, matched_peer FROM request WHERE portal = ? AND id = ? AND matched_resolution IS NOT NULL",
        )?
        .query_map([&*key.portal, &*key.id], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?))
        })?
        .next()
        .transpose()?;
        let Some((resolution, matched)) = found else {
            return Err(not_now(&row, "the matcher has not answered yet"));
        };
        let agrees = agree((&resolution, matched.as_deref()), (said.label(), peer));
        self.change(
            "UPDATE request SET said_resolution = ?, said_peer = ?, said_by = ? WHERE portal = ? AND id = ?",
            params![said.label(), peer, who.to_string(), &*key.portal, &*key.id],
        )?;
        let detail = json!({ "said": said, "peer": peer, "agrees": agrees });
        self.audit(&row, who, "compared", detail)?;
        Ok(agrees)
    }

    /// A request that must be there.
    pub(super) fn must(&self, key: &RequestKey) -> Done<Row> {
        self.row(key)?
            .ok_or_else(|| DeskError::NotThere(key.clone()).into())
    }

    /// The answer as it stands.
    pub(super) fn draft(&self, key: &RequestKey) -> Done<Option<Draft>> {
        let mut statement = self.tx.prepare_cached(
            "SELECT answer, peer FROM request WHERE portal = ? AND id = ? AND answer IS NOT NULL",
        )?;
        let mut rows = statement.query_map([&*key.portal, &*key.id], |row| {
            Ok((row.get::<_, String>(0)?, row.get(1)?))
        })?;
        let row = rows.next().transpose()?;
        row.map(|(answer, peer): (String, _)| Draft::kept(&answer, peer))
            .transpose()
    }
}

impl Decision {
    /// Name in the audit log.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Approve => "approved",
            Self::Edit(_) => "edited",
            Self::Reject(_) => "rejected",
            Self::Ask(_) => "asked",
        }
    }
}

/// Whether two say the same: an answer and the neighbour that it names. Where the matcher names one, to say none is not the same.
pub(super) fn agree(matched: (&str, Option<&str>), said: (&str, Option<&str>)) -> bool {
    matched == said
}

fn plain(resolution: Resolution, comment: &str) -> Edit {
    Edit {
        resolution,
        party: None,
        comment: Some(comment.to_owned()),
    }
}

fn edited(kept: Option<Draft>, edit: &Edit) -> Done<Option<Draft>> {
    let comment = edit.comment.as_deref();
    if comment.is_some_and(|c| c.trim().is_empty()) {
        return Err(DeskError::Wrong("a reason is needed, in words".to_owned()).into());
    }
    Ok(kept.map(|k| k.edited(edit)).transpose()?)
}

fn not_now(row: &Row, why: &'static str) -> super::work::Fault {
    DeskError::NotNow {
        key: row.key.clone(),
        state: row.state,
        why,
    }
    .into()
}
