//! The answer as the portal gets it: JSON, least disclosure. No number of any call, no address, no name of a neighbour other
//! than the one that is named, and that one only when the answer is certain.

use std::sync::Arc;

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};

use crate::base::Timestamp;
use crate::base::digest::{Digest128, IdDigest};
use crate::call::peer::{Peer, PeerKind};
use crate::call::record::{ClockSource, Coverage, State};
use crate::stir::verify::{Attestation, Rule, Validation};
use crate::traceback::candidate::{CalledAs, Delivery};
use crate::traceback::condition::Condition;
use crate::traceback::coverage::{Gap, Sight};
use crate::traceback::matching::{Decision, EvidenceClass};
use crate::traceback::request::{HopRequest, Insufficient, Problem};
use crate::traceback::score::{Calling, Identifier};
use crate::traceback::window::{Window, ladder};
use crate::traceback::{MATCHER_VERSION, TracebackSettings};

/// Most gaps that an answer lists; a window of two hours has 120 minutes, and what is beyond this number is counted.
const GAPS_LISTED: usize = 16;
/// Namespace of answer ids: that of URLs (RFC 9562 §6.6).
const NAMESPACE: [u8; 16] = [
    0x6b, 0xa7, 0xb8, 0x11, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8,
];

/// What the answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Resolution {
    /// A provider of our country handed it to us.
    UpstreamDomestic,
    /// A provider abroad did: the call entered the country with us.
    UpstreamForeign,
    /// A customer of ours made it.
    OriginEndCustomer,
    /// A customer of ours that is a reseller or a dialling platform, and in no registry of providers.
    OriginNonVspPlatform,
    /// A subscriber of ours forwarded it; the upstream is that of the call before the forwarding.
    DivertedByOurSubscriber,
    /// It came in, was refused here, and never went on.
    BlockedHere,
    /// No such call, and we were looking.
    NotFound,
    /// No such call, but we were not looking all the time.
    CaptureGap,
    /// Records of that day are gone.
    OutOfRetention,
    /// We hand no calls to the downstream that was named.
    NotOurCustomerOfDownstream,
    /// There are candidates and none is certain.
    Ambiguous,
    /// The request can't be worked on.
    InsufficientRequest,
    /// A test call, or one inside our own house.
    TestOrInternal,
    /// The law forbids an answer; a person says so.
    LegalRestriction,
    /// What is asked for is under legal hold; a person says so.
    LegalHold,
    /// We do not answer; a person says so.
    Refused,
    /// Received, and worked on: the receipt.
    Pending,
}

impl Resolution {
    /// Every resolution.
    pub const ALL: [Self; 17] = [
        Self::UpstreamDomestic,
        Self::UpstreamForeign,
        Self::OriginEndCustomer,
        Self::OriginNonVspPlatform,
        Self::DivertedByOurSubscriber,
        Self::BlockedHere,
        Self::NotFound,
        Self::CaptureGap,
        Self::OutOfRetention,
        Self::NotOurCustomerOfDownstream,
        Self::Ambiguous,
        Self::InsufficientRequest,
        Self::TestOrInternal,
        Self::LegalRestriction,
        Self::LegalHold,
        Self::Refused,
        Self::Pending,
    ];

    /// Name as in the answer.
    pub const fn label(self) -> &'static str {
        match self {
            Self::UpstreamDomestic => "UPSTREAM_DOMESTIC",
            Self::UpstreamForeign => "UPSTREAM_FOREIGN",
            Self::OriginEndCustomer => "ORIGIN_END_CUSTOMER",
            Self::OriginNonVspPlatform => "ORIGIN_NON_VSP_PLATFORM",
            Self::DivertedByOurSubscriber => "DIVERTED_BY_OUR_SUBSCRIBER",
            Self::BlockedHere => "BLOCKED_HERE",
            Self::NotFound => "NOT_FOUND",
            Self::CaptureGap => "CAPTURE_GAP",
            Self::OutOfRetention => "OUT_OF_RETENTION",
            Self::NotOurCustomerOfDownstream => "NOT_OUR_CUSTOMER_OF_DOWNSTREAM",
            Self::Ambiguous => "AMBIGUOUS",
            Self::InsufficientRequest => "INSUFFICIENT_REQUEST",
            Self::TestOrInternal => "TEST_OR_INTERNAL",
            Self::LegalRestriction => "LEGAL_RESTRICTION",
            Self::LegalHold => "LEGAL_HOLD",
            Self::Refused => "REFUSED",
            Self::Pending => "PENDING",
        }
    }
}

/// Who stands behind the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum ProducedBy {
    /// The matcher alone: every gate held.
    #[serde(rename = "auto")]
    Auto,
    /// The matcher, and a person must still look at it: it does not leave as it is.
    #[serde(rename = "needs-person")]
    NeedsPerson,
    /// The matcher, approved by a person.
    #[serde(rename = "auto+approved")]
    AutoApproved,
    /// A person.
    #[serde(rename = "human")]
    Human,
}

/// A hop answer. Absent fields are left out of the JSON.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct HopAnswer {
    /// UUIDv5 of request id and revision: sending it twice is sending it once.
    pub id: String,
    /// The request's id; empty where it could not be read.
    pub request_id: Box<str>,
    /// SHA-256 of the request, in hexadecimal.
    pub request_sha256: Box<str>,
    /// Rises with each answer to the same request.
    pub revision: u32,
    /// Id of the answer that this one replaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supersedes: Option<String>,
    /// What the answer is.
    pub resolution: Resolution,
    /// Who handed the call to us.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Party>,
    /// Who made it, when that is a customer of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub originator: Option<Party>,
    /// On what it rests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// Why it is not certain, and what would decide it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub undecided: Vec<Undecided>,
    /// What is wrong with the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    /// In words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Who stands behind it.
    pub produced_by: ProducedBy,
    /// Version of the matcher.
    pub matcher_version: &'static str,
}

/// A neighbour, named.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Party {
    /// Legal name.
    pub name: Arc<str>,
    /// Id at the portal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub portal_id: Option<Arc<str>>,
    /// Number in the Robocall Mitigation Database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rmd: Option<Arc<str>>,
    /// Operating company number or service provider code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ocn: Option<Arc<str>>,
    /// ISO 3166 country code.
    pub country: Arc<str>,
    /// Whom to write to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<Arc<str>>,
    /// Set when the call entered the country with us.
    pub gateway: bool,
}

/// One reason why the answer is not certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Undecided {
    /// The reason.
    pub condition: Condition,
    /// What would decide the case.
    pub needs: &'static str,
}

/// On what an answer rests.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Evidence {
    /// Its class; absent where nothing was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<EvidenceClass>,
    /// Posterior of the upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub posterior: Option<f64>,
    /// Posterior of the next upstream, which is not named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runner_up: Option<f64>,
    /// Posterior of "not captured".
    pub null: f64,
    /// Calls to the number per second.
    pub background_per_s: f64,
    /// How many attempts were weighed.
    pub candidates: usize,
    /// The leg; only in a certain answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leg: Option<LegEvidence>,
    /// Windows that were searched, with the share that was seen.
    pub windows: Vec<Searched>,
    /// Holes in the main window; the first sixteen.
    pub gaps: Vec<Gap>,
    /// How many holes there are.
    pub gap_count: usize,
}

/// A window that was searched.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Searched {
    /// The window.
    #[serde(flatten)]
    pub window: Window,
    /// Share of it that was seen.
    pub coverage: f64,
}

/// The leg that was found.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct LegEvidence {
    /// When its INVITE came in.
    pub at: Timestamp,
    /// How far that may be off, in milliseconds.
    pub clock_error_ms: f64,
    /// Where the time comes from.
    pub clock: ClockSource,
    /// Seconds from the request's time to ours.
    pub delta_s: f64,
    /// By which of its numbers it was a call to the number asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub called: Option<CalledAs>,
    /// How the calling number compares.
    pub calling: Calling,
    /// Identifiers that are equal.
    pub identifiers: Vec<&'static str>,
    /// Names the way in without telling it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trunk_alias: Option<IdDigest>,
    /// What became of it.
    pub delivery: Delivery,
    /// How the ingress attempt ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// Final status code of the ingress attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    /// Its PASSporT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passport: Option<PassportFacts>,
    /// Version of the configuration that resolved the neighbour.
    pub config: u32,
}

/// What is told about a PASSporT.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PassportFacts {
    /// SHA-256 of its signing input, the first 128 bits.
    pub digest: Digest128,
    /// Whether it was valid.
    pub validation: Validation,
    /// The rule that decided it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<Rule>,
    /// Service provider code of the signer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spc: Option<Box<str>>,
    /// Attestation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attest: Option<Attestation>,
    /// origid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origid: Option<Box<str>>,
    /// iat, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iat: Option<i64>,
}

impl HopAnswer {
    /// The answer that a decision gives.
    pub fn from_decision(
        request: &HopRequest,
        decision: &Decision<'_>,
        coverage: &[Coverage],
        settings: &TracebackSettings,
    ) -> Self {
        let mut answer = Self::bare(&request.id, &request.sha256, decision.resolution);
        let party = decision.named().map(Party::of);
        match decision.resolution {
            Resolution::OriginEndCustomer => answer.originator = party,
            _ => answer.upstream = party,
        }
        answer.evidence = Some(evidence(request, decision, coverage, settings));
        answer.undecided = decision
            .conditions
            .iter()
            .map(|&condition| Undecided {
                condition,
                needs: condition.what_decides(),
            })
            .collect();
        answer.comment = comment(decision.resolution);
        if decision.automatic {
            answer.produced_by = ProducedBy::Auto;
        }
        answer
    }

    /// The answer to a request that needs no look-up.
    pub fn unseen(request: &HopRequest, resolution: Resolution) -> Self {
        let mut answer = Self::bare(&request.id, &request.sha256, resolution);
        answer.comment = comment(resolution);
        answer
    }

    /// The question back.
    pub fn insufficient(refused: &Insufficient) -> Self {
        let id = refused.id.as_deref().unwrap_or_default();
        let mut answer = Self::bare(id, &refused.sha256, Resolution::InsufficientRequest);
        answer.problems = refused.problems.clone();
        answer.comment = comment(Resolution::InsufficientRequest);
        answer
    }

    fn bare(request_id: &str, sha256: &str, resolution: Resolution) -> Self {
        Self {
            id: answer_id(request_id, 1),
            request_id: request_id.into(),
            request_sha256: sha256.into(),
            revision: 1,
            supersedes: None,
            resolution,
            upstream: None,
            originator: None,
            evidence: None,
            undecided: Vec::new(),
            problems: Vec::new(),
            comment: None,
            produced_by: ProducedBy::NeedsPerson,
            matcher_version: MATCHER_VERSION,
        }
    }
}

impl Party {
    pub(crate) fn of(peer: &Peer) -> Self {
        Self {
            name: peer.name.clone(),
            portal_id: peer.portal_id.clone(),
            rmd: peer.rmd.clone(),
            ocn: peer.ocn.clone(),
            country: peer.country.clone(),
            contact: peer.contact.clone(),
            gateway: peer.kind == PeerKind::Foreign,
        }
    }
}

/// UUIDv5 (RFC 9562 §5.5) of an answer.
pub fn answer_id(request_id: &str, revision: u32) -> String {
    let mut hash = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(&NAMESPACE);
    hash.update(format!("https://tracehop.example/hop-answer/{revision}/{request_id}").as_bytes());
    let mut id = [0u8; 16];
    for (o, b) in id.iter_mut().zip(hash.finish().as_ref()) {
        *o = *b;
    }
    let n = (u128::from_be_bytes(id) & !(0xf << 76) & !(0x3 << 62)) | (0x5 << 76) | (0x2 << 62);
    let group = |shift: u32, digits: u32| (n >> shift) & ((1 << (4 * digits)) - 1);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        group(96, 8),
        group(80, 4),
        group(64, 4),
        group(48, 4),
        group(0, 12)
    )
}

fn comment(resolution: Resolution) -> Option<String> {
    let text = match resolution {
        Resolution::UpstreamDomestic => return None,
        Resolution::UpstreamForeign => "The call entered the country with us: gateway.",
        Resolution::OriginEndCustomer => "The call began with a customer of ours.",
        Resolution::DivertedByOurSubscriber => {
            "A subscriber of ours had forwarded the call; the trace goes on with the call before the forwarding."
        }
        Resolution::NotFound => {
            "No such call, although the whole window was seen. Please check number, time and zone."
        }
        Resolution::CaptureGap => {
            "No such call in what was seen, but the window was not seen whole."
        }
        Resolution::OutOfRetention => "Records of that time are no longer kept.",
        Resolution::NotOurCustomerOfDownstream => {
            "We hand no calls to the provider that was named."
        }
        Resolution::Ambiguous => {
            "There are candidates, and none is certain. What would decide it is listed."
        }
        Resolution::InsufficientRequest => {
            "The request can't be worked on. What is missing is listed."
        }
        Resolution::OriginNonVspPlatform => "The call began with a platform that we serve.",
        Resolution::BlockedHere => "The call was refused here and never went on.",
        Resolution::TestOrInternal => "A test call, or one inside our own network.",
        Resolution::LegalRestriction => "The law does not allow us to answer.",
        Resolution::LegalHold => "What is asked for is under legal hold.",
        Resolution::Refused => "We do not answer this request.",
        Resolution::Pending => "The request was received and is worked on.",
    };
    Some(text.to_owned())
}

fn evidence(
    request: &HopRequest,
    decision: &Decision<'_>,
    coverage: &[Coverage],
    settings: &TracebackSettings,
) -> Evidence {
    let posterior = |i: usize| decision.shares.get(i).map(|s| round(s.posterior));
    Evidence {
        class: decision.class,
        posterior: posterior(0),
        runner_up: posterior(1),
        null: round(decision.null),
        background_per_s: round(decision.background.rate_per_s),
        candidates: decision.scored.len(),
        leg: decision.named().and_then(|_| leg(decision)),
        windows: ladder(request.call.at, request.call.precision_s)
            .into_iter()
            .map(|window| Searched {
                window,
                coverage: round(
                    Sight::over(coverage, window.from, window.until, &settings.sensors).share,
                ),
            })
            .collect(),
        gaps: decision
            .sight
            .gaps
            .iter()
            .take(GAPS_LISTED)
            .cloned()
            .collect(),
        gap_count: decision.sight.gaps.len(),
    }
}

fn leg(decision: &Decision<'_>) -> Option<LegEvidence> {
    let best = decision.best()?;
    let ingress = best.attempt.ingress?;
    let (b, end) = (&ingress.begin, ingress.end.as_ref());
    let identifiers = [
        ("passport", best.passport),
        ("call-id", best.call_id),
        ("session-id", best.session_id),
        ("origid", best.origid),
    ];
    Some(LegEvidence {
        at: b.at,
        clock_error_ms: f64::from(b.clock.error_ns) / 1e6,
        clock: b.clock.source,
        delta_s: round(best.delta_s),
        called: best.called,
        calling: best.calling,
        identifiers: identifiers
            .into_iter()
            .filter(|(_, id)| *id == Identifier::Equal)
            .map(|(name, _)| name)
            .collect(),
        trunk_alias: b.peer_rule.as_ref().map(|rule| {
            let trunk = b.trunk.as_deref().unwrap_or_default();
            IdDigest::of(format!("{rule}\n{trunk}").as_bytes())
        }),
        delivery: best.delivery,
        state: end.map(|e| e.state),
        code: end.map(|e| e.code).filter(|c| *c != 0),
        passport: b.verdict.passport.map(|digest| PassportFacts {
            digest,
            validation: b.verdict.validation,
            decided_by: b.verdict.decided_by,
            spc: b.verdict.spc.clone(),
            attest: b.verdict.attest,
            origid: b.verdict.origid.clone(),
            iat: b.verdict.iat,
        }),
        config: b.config,
    })
}

/// To six decimals: logarithms differ in the last digits from one machine to another, answers must not.
pub(crate) fn round(x: f64) -> f64 {
    (x * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uuids_of_version_five_and_stay_the_same() {
        let id = answer_id("HR-1", 1);
        assert_eq!(id, answer_id("HR-1", 1));
        assert_ne!(id, answer_id("HR-1", 2));
        let bytes = id.as_bytes();
        assert_eq!((id.len(), bytes[14], bytes[8]), (36, b'5', b'-'));
        assert!(matches!(bytes[19], b'8' | b'9' | b'a' | b'b'), "{id}");
    }

    #[test]
    fn resolutions_are_written_as_in_the_protocol() {
        for r in Resolution::ALL {
            assert_eq!(
                serde_json::to_string(&r).unwrap(),
                format!("\"{}\"", r.label())
            );
        }
    }
}
