//! A hop request as written: JSON whose every field may be missing.

use crate::base::Timestamp;
use crate::call::peer::Peer;

/// A hop request as written.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RawHopRequest {
    /// The requester's name for this hop.
    pub id: Option<String>,
    /// The case that the look-up serves.
    pub case_id: Option<String>,
    /// Which hop of the trace this is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hop_no: Option<u32>,
    /// When the request was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<Timestamp>,
    /// When the answer is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
    /// `routine`, `tdos` or `safety_of_life`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    /// On what law the request rests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub legal_basis: Option<String>,
    /// Who asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requester: Option<RawRequester>,
    /// The provider that says it got the call from us.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downstream: Option<ProviderIds>,
    /// The call.
    pub call: Option<RawCall>,
    /// What the call is said to be part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub campaign: Option<RawCampaign>,
    /// Digest of the answer of the hop before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_hop_digest: Option<String>,
}

/// Who asks, as written.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RawRequester {
    /// Its id.
    pub id: Option<String>,
    /// Its role.
    pub role: Option<String>,
}

/// A campaign, as written. Kept for the person who reads the case; the matcher doesn't look at it.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RawCampaign {
    /// Name.
    pub name: Option<String>,
    /// What is said in the calls.
    pub summary: Option<String>,
    /// A recording.
    pub media_url: Option<String>,
}

/// Names of one provider. Any one id that matches is enough; the name alone is not.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ProviderIds {
    /// Its ids: at the portal, operating company numbers, numbers in the Robocall Mitigation Database.
    #[serde(default)]
    pub provider_ids: Vec<String>,
    /// Legal name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl ProviderIds {
    /// Whether one of the ids is one of `peer`'s.
    pub fn names(&self, peer: &Peer) -> bool {
        [&peer.portal_id, &peer.ocn, &peer.rmd]
            .into_iter()
            .flatten()
            .any(|id| self.contains(id))
    }

    /// Whether one of the ids is `id`, in any case.
    pub fn contains(&self, id: &str) -> bool {
        let same = |i: &String| i.trim().eq_ignore_ascii_case(id.trim());
        !id.trim().is_empty() && self.provider_ids.iter().any(same)
    }
}

/// The call, as written.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RawCall {
    /// Called number.
    pub called: Option<String>,
    /// Calling number, or a word such as `anonymous`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calling: Option<String>,
    /// When.
    pub time: Option<RawTime>,
    /// From answer to release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_s: Option<f64>,
    /// Whether it was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered: Option<bool>,
    /// SIP Call-ID at the downstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sip_call_id: Option<String>,
    /// Session-ID (RFC 7989).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// `origid` of the PASSporT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origid: Option<String>,
    /// SHA-256 of the PASSporT's signing input (`header.payload` as received), in hexadecimal; at least 32 digits of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity_sha256: Option<String>,
    /// The Identity header's value instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
}

/// A time, as written.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RawTime {
    /// RFC 3339 with offset.
    pub value: Option<String>,
    /// Zone that the requester's source spoke.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tz: Option<String>,
    /// How far the time may be off to either side for want of digits, in seconds: 60 for a time on the minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision_s: Option<f64>,
}
