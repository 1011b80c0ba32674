//! Notes and attachments of a case.

use super::{Actor, Docket, DocketError, Result};
use crate::base::Timestamp;

/// Largest attachment, in octets. Ours: a recording of some minutes, a scanned letter.
pub const MAX_ATTACHMENT: usize = 5 * 1024 * 1024;
/// Most attachments of a case. Ours.
pub const MAX_ATTACHMENTS: usize = 20;

impl Docket {
    /// Adds a note. Analysts, and the organisation that handed the case in.
    ///
    /// # Errors
    ///
    /// [`DocketError`].
    pub fn add_note(&self, actor: &Actor, case: &str, text: &str, now: Timestamp) -> Result<()> {
        let _ = (actor, case, text, now);
        Err(DocketError::Refused("not yet".to_owned()))
    }

    /// Adds an attachment: analysts, the organisation that handed the case in, and, to a question of its own, a provider's staff. Gives its number.
    ///
    /// # Errors
    ///
    /// [`DocketError`].
    pub fn attach(
        &self,
        actor: &Actor,
        case: &str,
        hop: Option<&str>,
        name: &str,
        octets: &[u8],
        now: Timestamp,
    ) -> Result<i64> {
        let _ = (actor, case, hop, name, octets, now);
        Err(DocketError::Refused("not yet".to_owned()))
    }
}
