//! Which ingress leg became which egress leg, told while the calls go on.

use crate::base::Timestamp;

/// What tied an egress leg to its ingress leg, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pairing {
    /// Same Call-ID.
    CallId,
    /// Same PASSporT.
    Passport,
    /// Same Session-ID.
    SessionId,
    /// Same `icid-value`.
    Icid,
    /// Same SDP origin line.
    SdpOrigin,
    /// Same numbers within two seconds, and no other ingress leg has them.
    Numbers,
    /// Likewise, but only the last nine digits of the called number are the same.
    Suffix,
}

impl Pairing {
    /// Every way, strongest first.
    pub const ALL: [Self; 7] = [
        Self::CallId,
        Self::Passport,
        Self::SessionId,
        Self::Icid,
        Self::SdpOrigin,
        Self::Numbers,
        Self::Suffix,
    ];

    /// Its name in records.
    pub const fn label(self) -> &'static str {
        match self {
            Self::CallId => "call-id",
            Self::Passport => "passport",
            Self::SessionId => "session-id",
            Self::Icid => "icid",
            Self::SdpOrigin => "sdp-origin",
            Self::Numbers => "numbers",
            Self::Suffix => "suffix",
        }
    }
}

/// The ingress leg of an egress leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Pair {
    /// `uid` of the ingress leg's record.
    pub uid: u64,
    /// `at` of that record: the store finds the slice of time by it.
    pub at: Timestamp,
    /// What tied them.
    pub how: Pairing,
}
