//! A request for a traceback is handed in.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Actor, Docket, DocketError, Problem, Result};
use crate::base::Timestamp;
use crate::portal::word::CaseState;

/// A request as it is handed in. Texts are as somebody typed them; what is wrong is said field by field, by the names of these fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Handed {
    /// Called number.
    pub called: String,
    /// Calling number, or a word such as `anonymous`.
    pub calling: String,
    /// When: RFC 3339 with offset, or local time (`2026-11-24T09:30:07`, a blank for the T, seconds left out) with `tz`.
    pub time: String,
    /// Zone of a local time, such as `America/New_York`.
    pub tz: String,
    /// How far the time may be off, in seconds; nothing: a minute for a time without seconds, else one second.
    pub precision_s: Option<f64>,
    /// Whether it was answered.
    pub answered: Option<bool>,
    /// From answer to release, in seconds.
    pub duration_s: Option<f64>,
    /// SIP Call-ID at the terminating provider.
    pub sip_call_id: String,
    /// Session-ID.
    pub session_id: String,
    /// `origid`.
    pub origid: String,
    /// The Identity header's value.
    pub identity: String,
    /// The provider that the call ended at: its id here, or any other id of it.
    pub provider: String,
    /// `routine`, `tdos`, `safety_of_life`; nothing is routine.
    pub priority: String,
    /// On what law the request rests.
    pub legal_basis: String,
    /// Name of the campaign; made where there is none of that name.
    pub campaign: String,
    /// What makes the call suspected: what was said, who complained.
    pub evidence: String,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Submitted {
    /// The case.
    pub case: Arc<str>,
    /// Where it stands.
    pub state: CaseState,
    /// Where it is outside the guidance.
    pub warnings: Vec<Problem>,
}

impl Docket {
    /// Takes a request: requesters for their organisation, analysts for anybody's.
    ///
    /// # Errors
    ///
    /// [`DocketError::Wrong`] with every field; [`DocketError::Refused`] for a call that is being traced; [`DocketError::TooMany`] over the quota.
    pub fn submit(&self, actor: &Actor, handed: &Handed, now: Timestamp) -> Result<Submitted> {
        let _ = (actor, handed, now);
        Err(DocketError::Refused("not yet".to_owned()))
    }
}
