//! An answer comes from a provider's machine.

use super::{Docket, DocketError, Result};
use crate::base::Timestamp;

/// What became of an answer or a draft that a machine sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// It is taken (201).
    New,
    /// It was here already (200).
    Known,
    /// It is kept and does not count: everything that is wrong with it (422).
    Rejected(Vec<String>),
    /// Another answer has this id, or the question is over (409).
    Conflict(&'static str),
    /// The question was taken back (410).
    Withdrawn,
}

impl Docket {
    /// Takes an answer that the provider's machine sent: signed JSON, octet by octet. Verified, kept, and the case walked on.
    ///
    /// # Errors
    ///
    /// [`DocketError::Absent`] where there is no such question of this provider (404); [`DocketError::TooMany`] for too many revisions.
    pub fn answer(
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
}
