//! An answer that a provider's staff writes in the console; the portal's key vouches for who wrote it.

use serde::{Deserialize, Serialize};

use super::{Actor, Docket, DocketError, Result};
use crate::base::Timestamp;
use crate::traceback::answer::{Party, Resolution};

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
        let _ = (actor, hop, answer, now);
        Err(DocketError::Refused("not yet".to_owned()))
    }
}
