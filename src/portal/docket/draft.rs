//! A draft that a provider's machine shows its own staff here, and the click that decides it.

use super::{Actor, Docket, DocketError, Received, Result};
use crate::base::Timestamp;

/// What a person makes of a draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is to be sent.
    Approve,
    /// It is not: why.
    Reject(String),
}

impl Docket {
    /// Takes a draft: JSON signed as `hop-answer-draft+jws`. A later one takes the place of the one before.
    ///
    /// # Errors
    ///
    /// As [`Docket::answer`].
    pub fn draft(
        &self,
        provider: &str,
        hop: &str,
        answer: &str,
        octets: &[u8],
        now: Timestamp,
    ) -> Result<Received> {
        let _ = (provider, hop, answer, octets, now);
        Err(DocketError::Refused("not yet".to_owned()))
    }

    /// Decides a draft: the provider's machine is told, and signs the answer itself. `answer` is the id of the draft that was seen.
    ///
    /// # Errors
    ///
    /// [`DocketError::Refused`] where it is another one by now, or decided.
    pub fn decide_draft(
        &self,
        actor: &Actor,
        hop: &str,
        answer: &str,
        decision: &Decision,
        now: Timestamp,
    ) -> Result<()> {
        let _ = (actor, hop, answer, decision, now);
        Err(DocketError::Refused("not yet".to_owned()))
    }
}
