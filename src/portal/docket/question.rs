//! A hop question, as a person changes it: with more in it, or asked again.

use serde::{Deserialize, Serialize};

use super::{Actor, Docket, DocketError, Result};
use crate::base::Timestamp;

/// What a person adds to a question. Empty texts leave what is there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Clarification {
    /// Called number of this leg.
    pub called: String,
    /// Calling number.
    pub calling: String,
    /// When: as in [`super::Handed`].
    pub time: String,
    /// Zone of a local time.
    pub tz: String,
    /// How far the time may be off, in seconds.
    pub precision_s: Option<f64>,
    /// Whether it was answered.
    pub answered: Option<bool>,
    /// From answer to release, in seconds.
    pub duration_s: Option<f64>,
    /// SIP Call-ID at the downstream.
    pub sip_call_id: String,
    /// Session-ID.
    pub session_id: String,
    /// `origid`.
    pub origid: String,
    /// The Identity header's value.
    pub identity: String,
    /// In words, to the provider's staff: the member `remark` of the question.
    pub remark: String,
}

impl Docket {
    /// Puts more into an open question: the same id, new octets, a new deadline. Analysts; a requester while the provider asks back.
    ///
    /// # Errors
    ///
    /// [`DocketError`].
    pub fn clarify(
        &self,
        actor: &Actor,
        hop: &str,
        more: &Clarification,
        now: Timestamp,
    ) -> Result<()> {
        let _ = (actor, hop, more, now);
        Err(DocketError::Refused("not yet".to_owned()))
    }

    /// Asks the same provider again, as a new question in place of the old one: after silence, after a gap that was mended. Analysts.
    /// Gives the new question's id.
    ///
    /// # Errors
    ///
    /// [`DocketError`].
    pub fn ask_again(
        &self,
        actor: &Actor,
        hop: &str,
        remark: &str,
        now: Timestamp,
    ) -> Result<Box<str>> {
        let _ = (actor, hop, remark, now);
        Err(DocketError::Refused("not yet".to_owned()))
    }
}
