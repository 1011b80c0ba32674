//! A hop request: "you handed this call to us; who handed it to you?"
//!
//! [`RawHopRequest`] is the JSON as written, unknown fields tolerated. [`HopRequest`] has been checked: numbers canonical,
//! times in UTC, identifiers as digests. What can't be used is refused with every reason at once ([`Insufficient`]),
//! because each question back costs the requester a day.
//!
//! - [`raw`]: as written
//! - `check`: field by field

mod check;
pub mod raw;

pub use raw::{ProviderIds, RawCall, RawCampaign, RawHopRequest, RawRequester, RawTime};

use ring::digest::{SHA256, digest};

use crate::base::Timestamp;
use crate::base::digest::{Digest128, IdDigest};
use crate::number::{NumberPlan, Tn};
use check::{Check, readable_id};

/// Largest request that is read, in octets. A request with a raw Identity header of the longest kind and a campaign
/// summary stays below a quarter of it.
pub const MAX_OCTETS: usize = 64 * 1024;
/// Longest identifier or name, in octets: RFC 5321 allows a mailbox, the longest name in use here, 254.
pub const MAX_TEXT: usize = 256;
/// Most ids of one provider: three kinds, and a few of each.
pub const MAX_IDS: usize = 16;
/// Longest raw Identity header value, in octets. Ours: a PASSporT of SHAKEN has some 500, and one that fills a quarter of the
/// largest UDP datagram is no PASSporT of a call.
pub const MAX_IDENTITY: usize = 16 * 1024;
/// Largest stated imprecision in seconds: with it the main window of ±(120 s + p) is two hours long, the most that one
/// look-up may ask for (privacy: no scanning).
pub const MAX_PRECISION_S: f64 = 3480.0;
/// Longest duration of a call in seconds: a week, above which it is a mistake in units.
pub const MAX_DURATION_S: f64 = 604_800.0;
/// Imprecision assumed for a time on the full minute that says nothing about its precision.
const MINUTE_S: f64 = 60.0;

/// How urgent it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Like any other; also what an unknown word means.
    #[default]
    Routine,
    /// Telephony denial of service under way.
    Tdos,
    /// Somebody's life is in danger.
    SafetyOfLife,
}

/// A request that can be worked on.
#[derive(Clone, Debug, PartialEq)]
pub struct HopRequest {
    /// The requester's name for this hop.
    pub id: Box<str>,
    /// The case that the look-up serves. Always there: without a case nobody looks anything up.
    pub case_id: Box<str>,
    /// Which hop of the trace this is.
    pub hop_no: Option<u32>,
    /// When the portal wrote it.
    pub issued_at: Option<Timestamp>,
    /// When the answer is due.
    pub due_at: Option<Timestamp>,
    /// SHA-256 of the signed answer of the hop before, 64 hexadecimal digits: the answer repeats it, so that answers chain.
    pub previous_hop_digest: Option<Box<str>>,
    /// How urgent it is.
    pub priority: Priority,
    /// The provider that says it got the call from us.
    pub downstream: Option<ProviderIds>,
    /// The call.
    pub call: TracedCall,
    /// SHA-256 of the request's octets, in hexadecimal: the answer repeats it.
    pub sha256: Box<str>,
}

/// The call that is asked about.
#[derive(Clone, Debug, PartialEq)]
pub struct TracedCall {
    /// Called number.
    pub called: Tn,
    /// Calling number, where it was not withheld.
    pub calling: Option<Tn>,
    /// When, by the requester's clock.
    pub at: Timestamp,
    /// How far that may be off to either side for want of digits, in seconds.
    pub precision_s: f64,
    /// Whether it was answered.
    pub answered: Option<bool>,
    /// From answer to release, in seconds.
    pub duration_s: Option<f64>,
    /// Identifiers.
    pub ids: RequestIds,
}

/// Identifiers of the call, as digests to compare with those of the records.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestIds {
    /// SIP Call-ID at the downstream.
    pub call_id: Option<IdDigest>,
    /// Session-ID, its local UUID.
    pub session_id: Option<IdDigest>,
    /// `origid`.
    pub origid: Option<Box<str>>,
    /// The PASSporT.
    pub passport: Option<Digest128>,
}

impl RequestIds {
    /// Whether there is an identifier that names one call. `origid` does not: what it stands for is the signer's choice.
    pub fn any(&self) -> bool {
        self.call_id.is_some() || self.session_id.is_some() || self.passport.is_some()
    }
}

/// One thing that is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// Field, as a path.
    pub field: &'static str,
    /// What is wrong and what is wanted instead.
    pub wanted: String,
}

/// Why a request can't be worked on: everything at once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .problems.iter().map(|p| format!("{}: {}", p.field, p.wanted)).collect::<Vec<_>>().join("; "))]
pub struct Insufficient {
    /// The request's id, where it could be read.
    pub id: Option<Box<str>>,
    /// SHA-256 of the request's octets, in hexadecimal.
    pub sha256: Box<str>,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

impl HopRequest {
    /// Reads and checks a request.
    ///
    /// # Errors
    ///
    /// [`Insufficient`] with everything that is missing or wrong.
    pub fn parse(octets: &[u8], plan: &NumberPlan) -> Result<Self, Insufficient> {
        let sha256 = sha256_hex(octets);
        let refuse = |id, field, wanted| Insufficient {
            id,
            sha256: sha256.clone(),
            problems: vec![Problem { field, wanted }],
        };
        if octets.len() > MAX_OCTETS {
            let wanted = format!("{} octets; at most {MAX_OCTETS} are read", octets.len());
            return Err(refuse(None, "request", wanted));
        }
        let raw: RawHopRequest = serde_json::from_slice(octets).map_err(|e| {
            let text = e.to_string().chars().take(MAX_TEXT).collect();
            refuse(readable_id(octets), "request", text)
        })?;
        Self::from_raw(&raw, sha256, plan)
    }

    /// Checks a request that has been read. `sha256` is that of its octets.
    ///
    /// # Errors
    ///
    /// [`Insufficient`] with everything that is missing or wrong.
    pub fn from_raw(
        raw: &RawHopRequest,
        sha256: Box<str>,
        plan: &NumberPlan,
    ) -> Result<Self, Insufficient> {
        let mut check = Check::default();
        let id = check.name("id", raw.id.as_deref());
        let case_id = check.name("case_id", raw.case_id.as_deref());
        if let Some(ids) = &raw.downstream {
            check.provider(ids);
        }
        let previous_hop_digest =
            check.sha256("previous_hop_digest", raw.previous_hop_digest.as_deref());
        let call = match &raw.call {
            Some(call) => check.call(call, plan),
            None => {
                check.add("call", "missing: called number and time are needed");
                None
            }
        };
        match (id, case_id, call) {
            (Some(id), Some(case_id), Some(call)) if check.problems.is_empty() => Ok(Self {
                id,
                case_id,
                hop_no: raw.hop_no,
                issued_at: raw.issued_at,
                due_at: raw.due_at,
                previous_hop_digest,
                priority: match raw.priority.as_deref() {
                    Some("tdos") => Priority::Tdos,
                    Some("safety_of_life") => Priority::SafetyOfLife,
                    _ => Priority::Routine,
                },
                downstream: raw.downstream.clone(),
                call,
                sha256,
            }),
            (id, ..) => Err(Insufficient {
                id,
                sha256,
                problems: check.problems,
            }),
        }
    }
}

/// SHA-256 as 64 hexadecimal digits.
pub fn sha256_hex(octets: &[u8]) -> Box<str> {
    use std::fmt::Write;
    let mut text = String::with_capacity(64);
    for b in digest(&SHA256, octets).as_ref() {
        let _ = write!(text, "{b:02x}");
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<HopRequest, Insufficient> {
        HopRequest::parse(text.as_bytes(), &NumberPlan::default())
    }

    fn problems(text: &str) -> Vec<&'static str> {
        parse(text)
            .expect_err("must be refused")
            .problems
            .iter()
            .map(|p| p.field)
            .collect()
    }

    const LEAST: &str = r#"{"id":"HR-1","case_id":"C-7","call":{"called":"(202) 555-0123","time":{"value":"2026-11-24T04:30:07-05:00"}}}"#;

    #[test]
    fn the_least_that_is_enough() {
        let r = parse(LEAST).unwrap();
        assert_eq!(r.call.called.as_str(), "12025550123");
        assert_eq!(r.call.at.to_string(), "2026-11-24T09:30:07Z");
        assert_eq!(r.call.precision_s, 1.0);
        assert_eq!(r.priority, Priority::Routine);
        assert_eq!(r.sha256.len(), 64);
    }

    #[test]
    fn a_time_on_the_minute_is_taken_as_cut_to_the_minute() {
        let r = parse(&LEAST.replace("30:07", "30:00")).unwrap();
        assert_eq!(r.call.precision_s, 60.0);
    }

    #[test]
    fn everything_that_is_missing_is_said_at_once() {
        assert_eq!(problems("{}"), ["id", "case_id", "call"]);
        assert_eq!(
            problems(
                r#"{"id":"x","case_id":" ","call":{"called":"bob","calling":"0x1","time":{"value":"yesterday"},"duration_s":-1}}"#
            ),
            [
                "case_id",
                "call.called",
                "call.calling",
                "call.time.value",
                "call.duration_s"
            ]
        );
        assert_eq!(problems("nonsense"), ["request"]);
        let refused = parse(r#"{"id":"HR-9","call":5}"#).unwrap_err();
        assert_eq!(refused.id.as_deref(), Some("HR-9"));
    }

    #[test]
    fn unknown_fields_are_tolerated() {
        assert!(parse(&LEAST.replace(r#""id""#, r#""x-new":[1],"id""#)).is_ok());
    }

    #[test]
    fn a_withheld_calling_number_is_no_calling_number() {
        let r = parse(&LEAST.replace(r#""time""#, r#""calling":"Anonymous","time""#)).unwrap();
        assert_eq!(r.call.calling, None);
    }

    #[test]
    fn a_downstream_needs_an_id() {
        let with = |d: &str| LEAST.replace(r#""call""#, &format!(r#""downstream":{d},"call""#));
        assert!(parse(&with(r#"{"provider_ids":["EB-07"]}"#)).is_ok());
        assert_eq!(
            problems(&with(r#"{"name":"Eastbridge"}"#)),
            ["downstream.provider_ids"]
        );
        let many = serde_json::json!({"provider_ids": vec!["x"; MAX_IDS + 1]});
        assert_eq!(
            problems(&with(&many.to_string())),
            ["downstream.provider_ids"]
        );
    }

    #[test]
    fn an_identity_header_and_its_digest_are_the_same_thing() {
        let digest = Digest128::of(b"aGVhZA.cGF5");
        let with = |f: &str| LEAST.replace(r#""time""#, &format!(r#"{f},"time""#));
        let header =
            r#""identity":"aGVhZA.cGF5.c2ln;info=<https://cert.example/a.pem>;ppt=shaken""#;
        let a = parse(&with(header)).unwrap();
        let b = parse(&with(&format!(r#""identity_sha256":"{digest}""#))).unwrap();
        assert_eq!(a.call.ids.passport, Some(digest));
        assert_eq!(b.call.ids.passport, Some(digest));
        let other = "0".repeat(64);
        assert_eq!(
            problems(&with(&format!(r#"{header},"identity_sha256":"{other}""#))),
            ["call.identity_sha256"]
        );
        assert_eq!(problems(&with(r#""identity":"..c2ln""#)), ["call.identity"]);
    }

    #[test]
    fn bounds_hold() {
        let long = "x".repeat(MAX_TEXT + 1);
        assert_eq!(problems(&LEAST.replace("HR-1", &long)), ["id"]);
        assert_eq!(problems(&" ".repeat(MAX_OCTETS + 1)), ["request"]);
        let p = LEAST.replace(r#"-05:00""#, r#"-05:00","precision_s":3481"#);
        assert_eq!(problems(&p), ["call.time.precision_s"]);
    }

    #[test]
    fn what_was_written_reads_back() {
        let raw: RawHopRequest = serde_json::from_str(LEAST).unwrap();
        let text = serde_json::to_string(&raw).unwrap();
        assert_eq!(serde_json::from_str::<RawHopRequest>(&text).unwrap(), raw);
        assert!(!text.contains("null"), "{text}");
    }

    proptest! {
        #[test]
        fn never_panics(octets in proptest::collection::vec(any::<u8>(), 0..300), called in ".{0,30}", id in ".{0,20}") {
            let _ = HopRequest::parse(&octets, &NumberPlan::default());
            let raw = RawHopRequest {
                id: Some(id.clone()),
                case_id: Some("c".into()),
                call: Some(RawCall { called: Some(called), identity: Some(id), time: Some(RawTime::default()), ..RawCall::default() }),
                ..RawHopRequest::default()
            };
            let text = serde_json::to_vec(&raw).unwrap();
            let refused = HopRequest::parse(&text, &NumberPlan::default()).unwrap_err();
            prop_assert!(refused.problems.iter().any(|p| p.field == "call.time.value"));
        }
    }
}
