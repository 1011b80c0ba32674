//! The fields of a request that an adapter may fill, by the names that the configuration uses.

/// One field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// The requester's name for this hop.
    Id,
    /// The case.
    CaseId,
    /// Which hop of the trace.
    HopNo,
    /// When the request was made.
    IssuedAt,
    /// When the answer is due.
    DueAt,
    /// `routine`, `tdos`, `safety_of_life`.
    Priority,
    /// On what law it rests.
    LegalBasis,
    /// Who asks.
    RequesterId,
    /// In what role.
    RequesterRole,
    /// Id of the provider that says it got the call from us.
    Downstream,
    /// Its name.
    DownstreamName,
    /// Called number.
    Called,
    /// Calling number.
    Calling,
    /// When the call was; with [`Field::Date`] the time of day.
    Time,
    /// The day, where it stands apart from the time.
    Date,
    /// The zone that the time is in, where it stands apart.
    Zone,
    /// How far the time may be off, in seconds.
    PrecisionS,
    /// From answer to release, in seconds.
    DurationS,
    /// Whether it was answered.
    Answered,
    /// SIP Call-ID at the downstream.
    SipCallId,
    /// Session-ID.
    SessionId,
    /// `origid`.
    Origid,
    /// Digest of the PASSporT.
    IdentitySha256,
    /// The Identity header.
    Identity,
    /// Name of the campaign.
    CampaignName,
    /// What is said in the calls.
    CampaignSummary,
    /// A recording.
    MediaUrl,
    /// Digest of the answer of the hop before.
    PreviousHopDigest,
    /// A link to the portal's own form. Kept for the person who decides, never fetched.
    Link,
    /// Where the request stands, in the portal's words.
    State,
}

impl Field {
    /// Every field.
    pub const ALL: [Self; 30] = [
        Self::Id,
        Self::CaseId,
        Self::HopNo,
        Self::IssuedAt,
        Self::DueAt,
        Self::Priority,
        Self::LegalBasis,
        Self::RequesterId,
        Self::RequesterRole,
        Self::Downstream,
        Self::DownstreamName,
        Self::Called,
        Self::Calling,
        Self::Time,
        Self::Date,
        Self::Zone,
        Self::PrecisionS,
        Self::DurationS,
        Self::Answered,
        Self::SipCallId,
        Self::SessionId,
        Self::Origid,
        Self::IdentitySha256,
        Self::Identity,
        Self::CampaignName,
        Self::CampaignSummary,
        Self::MediaUrl,
        Self::PreviousHopDigest,
        Self::Link,
        Self::State,
    ];

    /// Its name in the configuration, and as a named group of a pattern.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::CaseId => "case_id",
            Self::HopNo => "hop_no",
            Self::IssuedAt => "issued_at",
            Self::DueAt => "due_at",
            Self::Priority => "priority",
            Self::LegalBasis => "legal_basis",
            Self::RequesterId => "requester_id",
            Self::RequesterRole => "requester_role",
            Self::Downstream => "downstream",
            Self::DownstreamName => "downstream_name",
            Self::Called => "called",
            Self::Calling => "calling",
            Self::Time => "time",
            Self::Date => "date",
            Self::Zone => "zone",
            Self::PrecisionS => "precision_s",
            Self::DurationS => "duration_s",
            Self::Answered => "answered",
            Self::SipCallId => "sip_call_id",
            Self::SessionId => "session_id",
            Self::Origid => "origid",
            Self::IdentitySha256 => "identity_sha256",
            Self::Identity => "identity",
            Self::CampaignName => "campaign_name",
            Self::CampaignSummary => "campaign_summary",
            Self::MediaUrl => "media_url",
            Self::PreviousHopDigest => "previous_hop_digest",
            Self::Link => "link",
            Self::State => "state",
        }
    }

    /// By its name.
    pub fn from_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|f| f.label() == label)
    }

    /// Most octets of it that are read.
    pub(super) const fn most(self) -> usize {
        use crate::traceback::request::{MAX_IDENTITY, MAX_TEXT};
        match self {
            Self::Identity => MAX_IDENTITY,
            // A summary of what is said, and links with tokens in them.
            Self::CampaignSummary | Self::Link | Self::MediaUrl => 4096,
            Self::SipCallId => 4 * MAX_TEXT,
            _ => MAX_TEXT,
        }
    }
}

impl serde::Serialize for Field {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for field in Field::ALL {
            assert_eq!(Field::from_label(field.label()), Some(field));
        }
        assert_eq!(Field::from_label("calls"), None);
    }
}
