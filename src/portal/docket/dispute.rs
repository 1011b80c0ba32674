//! Somebody says that an answer is wrong. It does not count until its provider stands by it or replaces it.

use super::{Actor, Docket, DocketError, Result};
use crate::base::Timestamp;

impl Docket {
    /// Disputes the current answer to a question. Analysts; staff of the provider that the answer names.
    ///
    /// # Errors
    ///
    /// [`DocketError`].
    pub fn dispute(&self, actor: &Actor, hop: &str, why: &str, now: Timestamp) -> Result<()> {
        let _ = (actor, hop, why, now);
        Err(DocketError::Refused("not yet".to_owned()))
    }

    /// Disputes the answer that led to a question of one's own: "we never handed that call to them". Staff of the provider that was asked, who see
    /// their own questions only. `hop` is their own.
    ///
    /// # Errors
    ///
    /// [`DocketError`].
    pub fn dispute_what_led_here(
        &self,
        actor: &Actor,
        hop: &str,
        why: &str,
        now: Timestamp,
    ) -> Result<()> {
        let _ = (actor, hop, why, now);
        Err(DocketError::Refused("not yet".to_owned()))
    }

    /// Stands by a disputed answer: it counts again. Staff of the provider that gave it; analysts, who say why.
    ///
    /// # Errors
    ///
    /// [`DocketError`].
    pub fn stand_by(&self, actor: &Actor, hop: &str, why: &str, now: Timestamp) -> Result<()> {
        let _ = (actor, hop, why, now);
        Err(DocketError::Refused("not yet".to_owned()))
    }
}
