//! The answer as the portal gets it: JSON, least disclosure. No number of any call, no address, no name of a neighbour other
//! than the one that is named, and that one only when the answer is certain.
//!
//! - [`resolution`]: what an answer may be, and the choice that it is on a form with four
//! - [`raw`]: an answer as read, and as a person changes it

pub mod raw;
pub mod resolution;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use raw::{Edit, EditError, RawAnswer};
pub use resolution::{FourWay, Resolution};

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
use crate::traceback::{MATCHER_VERSION, Profile, TracebackSettings};

/// Most gaps that an answer lists; a window of two hours has 120 minutes, and what is beyond this number is counted.
const GAPS_LISTED: usize = 16;
/// Namespace of answer ids: that of URLs (RFC 9562 §6.6).
const NAMESPACE: [u8; 16] = [
    0x6b, 0xa7, 0xb8, 0x11, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8,
];

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
    /// The request's case, so that the answers of a path are known to be of one; absent where it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case_id: Option<Box<str>>,
    /// Which hop of the trace the request said that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hop_no: Option<u32>,
    /// SHA-256 of the request, in hexadecimal.
    pub request_sha256: Box<str>,
    /// Rises with each answer to the same request.
    pub revision: u32,
    /// Id of the answer that this one replaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supersedes: Option<String>,
    /// SHA-256 of the signed answer of the hop before, as the request said it: answers chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_hop_digest: Option<Box<str>>,
    /// Who answers: we.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<Provider>,
    /// What the answer is.
    pub resolution: Resolution,
    /// Who handed the call to us.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Party>,
    /// Who made it, when that is a customer of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub originator: Option<Party>,
    /// What the upstream must be asked about in place of the call that we were asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwarded: Option<Forwarded>,
    /// On what it rests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// Why it is not certain, and what would decide it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub undecided: Vec<Undecided>,
    /// What is wrong with the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    /// What was done about the caller; a person says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mitigation: Option<String>,
    /// In words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Who stands behind it.
    pub produced_by: ProducedBy,
    /// The role of the person who approved it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<Box<str>>,
    /// Version of the matcher.
    pub matcher_version: &'static str,
    /// How sure it had to be.
    pub profile: Profile,
    /// Version of configuration and neighbours by which it was answered; the leg has that of its own day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_version: Option<Box<str>>,
    /// The answer's line in our audit log; there once it is signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditPlace>,
    /// When it was signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<Timestamp>,
}

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Provider {
    /// Legal name.
    pub name: Arc<str>,
    /// Id at the portal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub portal_id: Option<Arc<str>>,
}

/// The call before a subscriber's forwarding. Its called number is the one number that an answer ever discloses: without it the trace ends here.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Forwarded {
    /// The subscriber's number, which the upstream's call was to.
    pub called: Box<str>,
}

/// A line of our audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AuditPlace {
    /// Its place; proofs are given by it.
    pub index: u64,
}

/// A neighbour, named.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Party {
    /// Legal name.
    pub name: Arc<str>,
    /// Id at the portal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub portal_id: Option<Arc<str>>,
    /// Number in the Robocall Mitigation Database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rmd: Option<Arc<str>>,
    /// FCC registration number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frn: Option<Arc<str>>,
    /// Operating company number or service provider code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ocn: Option<Arc<str>>,
    /// ISO 3166 country code; empty where it is not known.
    #[serde(default)]
    pub country: Arc<str>,
    /// Whom to write to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<Arc<str>>,
    /// Set when the call entered the country with us.
    #[serde(default)]
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
        config: u32,
    ) -> Self {
        let mut answer = Self::to(request, decision.resolution, settings, config);
        let party = decision.named().map(Party::of);
        if decision.resolution.names_originator() {
            answer.originator = party;
        } else {
            answer.upstream = party;
        }
        if answer.resolution == Resolution::DivertedByOurSubscriber {
            answer.forwarded = decision.named().and_then(|_| forwarded(decision));
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
        if decision.automatic {
            answer.produced_by = ProducedBy::Auto;
        }
        answer
    }

    /// The answer to a request that needs no look-up.
    pub fn unseen(
        request: &HopRequest,
        resolution: Resolution,
        settings: &TracebackSettings,
        config: u32,
    ) -> Self {
        Self::to(request, resolution, settings, config)
    }

    /// No answer yet: nothing is said but that the request is here. A person gives one.
    pub fn pending(request: &HopRequest, settings: &TracebackSettings, config: u32) -> Self {
        Self::to(request, Resolution::Pending, settings, config)
    }

    /// The question back.
    pub fn insufficient(refused: &Insufficient, settings: &TracebackSettings, config: u32) -> Self {
        let id = refused.id.as_deref().unwrap_or_default();
        let sha256 = &refused.sha256;
        let resolution = Resolution::InsufficientRequest;
        let mut answer = Self::bare(id, sha256, resolution, settings, config);
        answer.problems = refused.problems.clone();
        answer
    }

    fn to(
        request: &HopRequest,
        resolution: Resolution,
        settings: &TracebackSettings,
        config: u32,
    ) -> Self {
        Self {
            case_id: Some(request.case_id.clone()),
            hop_no: request.hop_no,
            previous_hop_digest: request.previous_hop_digest.clone(),
            ..Self::bare(&request.id, &request.sha256, resolution, settings, config)
        }
    }

    fn bare(
        request_id: &str,
        sha256: &str,
        resolution: Resolution,
        settings: &TracebackSettings,
        config: u32,
    ) -> Self {
        Self {
            id: answer_id(request_id, 1),
            request_id: request_id.into(),
            case_id: None,
            hop_no: None,
            request_sha256: sha256.into(),
            revision: 1,
            supersedes: None,
            previous_hop_digest: None,
            provider: settings.provider.clone(),
            resolution,
            upstream: None,
            originator: None,
            forwarded: None,
            evidence: None,
            undecided: Vec::new(),
            problems: Vec::new(),
            mitigation: None,
            comment: resolution.comment().map(str::to_owned),
            produced_by: ProducedBy::NeedsPerson,
            approved_by: None,
            matcher_version: MATCHER_VERSION,
            profile: settings.profile,
            config_version: Some(format!("{config:08x}").into()),
            audit: None,
            answered_at: None,
        }
    }
}

impl Party {
    /// A neighbour as answers name it.
    pub fn of(peer: &Peer) -> Self {
        Self {
            name: peer.name.clone(),
            portal_id: peer.portal_id.clone(),
            rmd: peer.rmd.clone(),
            frn: peer.frn.clone(),
            ocn: peer.ocn.clone(),
            country: peer.country.clone(),
            contact: peer.contact.clone(),
            gateway: peer.kind == PeerKind::Foreign,
        }
    }
}

/// UUIDv5 (RFC 9562 §5.5) of an answer.
pub fn answer_id(request_id: &str, revision: u32) -> String {
    url_uuid(&format!(
        "https://tracehop.example/hop-answer/{revision}/{request_id}"
    ))
}

/// UUIDv5 (RFC 9562 §5.5) of a URL.
pub fn url_uuid(url: &str) -> String {
    let mut hash = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(&NAMESPACE);
    hash.update(url.as_bytes());
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

fn forwarded(decision: &Decision<'_>) -> Option<Forwarded> {
    let came = &decision.best()?.attempt.ingress?.begin.numbers;
    let called = came.called?.as_str().into();
    Some(Forwarded { called })
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
