//! A case as a whole: opened, declined, withdrawn, closed, opened again, put into a campaign.

use super::{Actor, Docket, DocketError, Result};
use crate::base::Timestamp;
use crate::portal::word::Outcome;

/// How a person closes a case.
#[derive(Clone, Debug, PartialEq)]
pub struct Closing {
    /// How it ended.
    pub outcome: Outcome,
    /// Whom the outcome is about: a provider's id.
    pub ended_at: Option<String>,
    /// In words.
    pub summary: String,
}

impl Docket {
    /// Opens a case that was handed in: the walk begins. Analysts.
    ///
    /// # Errors
    ///
    /// [`DocketError`].
    pub fn open_case(&self, actor: &Actor, case: &str, now: Timestamp) -> Result<()> {
        let _ = (actor, case, now);
        Err(DocketError::Refused("not yet".to_owned()))
    }

    /// Does not open it. Analysts.
    ///
    /// # Errors
    ///
    /// [`DocketError`].
    pub fn decline(&self, actor: &Actor, case: &str, why: &str, now: Timestamp) -> Result<()> {
        let _ = (actor, case, why, now);
        Err(DocketError::Refused("not yet".to_owned()))
    }

    /// Takes a case back: whoever handed it in (his organisation), or an analyst.
    ///
    /// # Errors
    ///
    /// [`DocketError`].
    pub fn withdraw_case(
        &self,
        actor: &Actor,
        case: &str,
        why: &str,
        now: Timestamp,
    ) -> Result<()> {
        let _ = (actor, case, why, now);
        Err(DocketError::Refused("not yet".to_owned()))
    }

    /// Closes it by hand. Analysts. The walk does not open it again.
    ///
    /// # Errors
    ///
    /// [`DocketError`].
    pub fn close_case(
        &self,
        actor: &Actor,
        case: &str,
        closing: &Closing,
        now: Timestamp,
    ) -> Result<()> {
        let _ = (actor, case, closing, now);
        Err(DocketError::Refused("not yet".to_owned()))
    }

    /// Opens a closed, declined or stuck case again; the walk goes on from what is there. Analysts.
    ///
    /// # Errors
    ///
    /// [`DocketError`].
    pub fn reopen(&self, actor: &Actor, case: &str, why: &str, now: Timestamp) -> Result<()> {
        let _ = (actor, case, why, now);
        Err(DocketError::Refused("not yet".to_owned()))
    }

    /// Puts it into a campaign, or into none. Analysts.
    ///
    /// # Errors
    ///
    /// [`DocketError`].
    pub fn set_campaign(
        &self,
        actor: &Actor,
        case: &str,
        campaign: Option<i64>,
        now: Timestamp,
    ) -> Result<()> {
        let _ = (actor, case, campaign, now);
        Err(DocketError::Refused("not yet".to_owned()))
    }
}
