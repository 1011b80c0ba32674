//! A portal that speaks our own protocol.

use std::sync::Arc;
use std::time::Duration;

use crate::web::client::ClientSettings;

/// A portal of our own protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct ReferenceSettings {
    /// Where, and who we are there.
    pub client: ClientSettings,
    /// Our id at the portal.
    pub provider: Arc<str>,
    /// How long the portal is asked to wait when it has nothing.
    pub wait: Duration,
}
