//! Who acts, and what he may: people in the console, and machines of those who hand requests in.

use std::sync::Arc;

use super::{DocketError, Done, Result};
use crate::portal::word::Role;
use crate::proof::Who;

/// Somebody who acts on cases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Who, as the audit log says it.
    pub who: Who,
    /// What he may.
    pub role: Role,
    /// For whom he acts: an agency, a provider's name. Requesters see the cases of their organisation.
    pub organisation: Arc<str>,
    /// The provider whose staff he is.
    pub provider: Option<Arc<str>>,
}

impl Actor {
    /// Whether he works on every case.
    pub fn is_analyst(&self) -> bool {
        self.role == Role::Analyst
    }

    /// His name, as notes and cases have it.
    pub fn name(&self) -> String {
        match &self.who {
            Who::User(name) => name.to_string(),
            other => other.to_string(),
        }
    }

    /// Refuses whoever is no analyst. What he may not do looks like what is not there.
    pub(super) fn must_be_analyst(&self) -> Done<()> {
        match self.is_analyst() {
            true => Ok(()),
            false => Err(DocketError::Absent("case").into()),
        }
    }

    /// The provider whose staff he is; others are refused.
    ///
    /// # Errors
    ///
    /// [`DocketError::Absent`].
    pub fn staff_of(&self) -> Result<&Arc<str>> {
        let provider = self.provider.as_ref();
        provider
            .filter(|_| self.role == Role::Provider)
            .ok_or(DocketError::Absent("question"))
    }
}
