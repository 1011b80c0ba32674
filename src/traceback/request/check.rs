//! The checks of a request, field by field; what is wrong is collected and never ends them early.

use super::raw::{ProviderIds, RawCall, RawTime};
use super::{
    MAX_DURATION_S, MAX_IDENTITY, MAX_IDS, MAX_PRECISION_S, MAX_TEXT, MINUTE_S, Problem,
    RequestIds, TracedCall,
};
use crate::base::Timestamp;
use crate::base::digest::{Digest128, IdDigest};
use crate::number::{NumberPlan, Tn};

/// The id of a request whose other fields have the wrong shape, so that the question back can name it.
pub(super) fn readable_id(octets: &[u8]) -> Option<Box<str>> {
    let value: serde_json::Value = serde_json::from_slice(octets).ok()?;
    let id = value.get("id")?.as_str()?;
    (!id.is_empty() && id.len() <= MAX_TEXT).then(|| id.into())
}

/// Problems found so far.
#[derive(Default)]
pub(super) struct Check {
    pub problems: Vec<Problem>,
}

impl Check {
    pub fn add(&mut self, field: &'static str, wanted: impl Into<String>) {
        self.problems.push(Problem {
            field,
            wanted: wanted.into(),
        });
    }

    pub fn name(&mut self, field: &'static str, text: Option<&str>) -> Option<Box<str>> {
        match text.map(str::trim) {
            None | Some("") => {
                self.add(field, "missing");
                None
            }
            Some(text) => self.fits(field, text, MAX_TEXT).then(|| text.into()),
        }
    }

    fn fits(&mut self, field: &'static str, text: &str, most: usize) -> bool {
        let fits = text.len() <= most;
        if !fits {
            self.add(
                field,
                format!("{} octets; at most {most} are read", text.len()),
            );
        }
        fits
    }

    pub fn provider(&mut self, ids: &ProviderIds) {
        if ids.provider_ids.len() > MAX_IDS {
            let count = ids.provider_ids.len();
            self.add(
                "downstream.provider_ids",
                format!("{count} ids; at most {MAX_IDS} are read"),
            );
        }
        for text in ids.provider_ids.iter().chain(&ids.name) {
            self.fits("downstream", text, MAX_TEXT);
        }
        if ids.provider_ids.iter().all(|i| i.trim().is_empty()) {
            self.add(
                "downstream.provider_ids",
                "missing; a name alone can be read in too many ways",
            );
        }
    }

    pub fn call(&mut self, call: &RawCall, plan: &NumberPlan) -> Option<TracedCall> {
        let called = match call.called.as_deref().map(str::trim) {
            None | Some("") => {
                self.add("call.called", "missing");
                None
            }
            Some(text) => {
                let tn = plan.canonical(text.as_bytes()).tn();
                if tn.is_none() {
                    self.add("call.called", "is no telephone number such as +12025550123");
                }
                tn
            }
        };
        let calling = self.calling(call.calling.as_deref(), plan);
        let time = self.time(call.time.as_ref());
        let duration_s = self.number("call.duration_s", call.duration_s, MAX_DURATION_S);
        if call.answered == Some(false) && duration_s.is_some_and(|d| d > 0.0) {
            self.add("call.duration_s", "contradicts answered = false");
        }
        let ids = self.ids(call);
        let (at, precision_s) = time?;
        Some(TracedCall {
            called: called?,
            calling,
            at,
            precision_s,
            answered: call.answered.or(duration_s.map(|d| d > 0.0)),
            duration_s,
            ids,
        })
    }

    fn calling(&mut self, text: Option<&str>, plan: &NumberPlan) -> Option<Tn> {
        let text = text.map(str::trim).filter(|t| !t.is_empty())?;
        let withheld = [
            "anonymous",
            "restricted",
            "private",
            "unavailable",
            "unknown",
        ];
        if withheld.iter().any(|w| text.eq_ignore_ascii_case(w)) {
            return None;
        }
        let tn = plan.canonical(text.as_bytes()).tn();
        if tn.is_none() {
            self.add(
                "call.calling",
                "is neither a telephone number nor a word such as anonymous; leave it out if it is unknown",
            );
        }
        tn
    }

    fn time(&mut self, time: Option<&RawTime>) -> Option<(Timestamp, f64)> {
        let Some(time) = time else {
            self.add("call.time", "missing");
            return None;
        };
        let at = match time.value.as_deref().map(str::trim) {
            None | Some("") => {
                self.add("call.time.value", "missing");
                None
            }
            Some(text) => {
                let at = Timestamp::parse_rfc3339(text);
                if at.is_none() {
                    self.add(
                        "call.time.value",
                        "is no RFC 3339 time with an offset, such as 2026-11-24T09:30:00Z",
                    );
                }
                at
            }
        };
        if let Some(tz) = &time.tz {
            self.fits("call.time.tz", tz, MAX_TEXT);
        }
        let precision = self.number("call.time.precision_s", time.precision_s, MAX_PRECISION_S);
        let at = at?;
        // A time on the full minute without a word about its precision has most likely been cut to the minute.
        let assumed = if at == at.minute() { MINUTE_S } else { 1.0 };
        Some((at, precision.unwrap_or(assumed)))
    }

    fn number(&mut self, field: &'static str, value: Option<f64>, most: f64) -> Option<f64> {
        let value = value?;
        let fits = value.is_finite() && (0.0..=most).contains(&value);
        if !fits {
            self.add(field, format!("must lie between 0 and {most}"));
        }
        fits.then_some(value)
    }

    fn ids(&mut self, call: &RawCall) -> RequestIds {
        let given = self.digest(call.identity_sha256.as_deref());
        let computed = self.identity(call.identity.as_deref());
        if let (Some(a), Some(b)) = (given, computed)
            && a != b
        {
            self.add("call.identity_sha256", "is not the digest of call.identity");
        }
        let call_id = self.text(
            "call.sip_call_id",
            call.sip_call_id.as_deref(),
            4 * MAX_TEXT,
        );
        let session_id = self.text("call.session_id", call.session_id.as_deref(), MAX_TEXT);
        let origid = self.text("call.origid", call.origid.as_deref(), MAX_TEXT);
        RequestIds {
            call_id: call_id.map(|t| IdDigest::of(t.as_bytes())),
            // `local;remote=…` (RFC 7989 §5): records keep the local UUID.
            session_id: session_id
                .and_then(|t| t.split(';').next())
                .map(|t| IdDigest::of(t.trim().as_bytes())),
            origid: origid.map(Into::into),
            passport: given.or(computed),
        }
    }

    fn text<'a>(
        &mut self,
        field: &'static str,
        text: Option<&'a str>,
        most: usize,
    ) -> Option<&'a str> {
        let text = text.map(str::trim).filter(|t| !t.is_empty())?;
        self.fits(field, text, most).then_some(text)
    }

    /// A whole SHA-256, in small letters.
    pub fn sha256(&mut self, field: &'static str, text: Option<&str>) -> Option<Box<str>> {
        let text = self.text(field, text, 64)?;
        let good = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        if !good {
            self.add(field, "needs 64 hexadecimal digits");
        }
        good.then(|| text.to_ascii_lowercase().into())
    }

    fn digest(&mut self, text: Option<&str>) -> Option<Digest128> {
        let text = self.text("call.identity_sha256", text, 64)?;
        let digest = Digest128::from_hex(text);
        if digest.is_none() {
            self.add("call.identity_sha256", "needs 32 to 64 hexadecimal digits");
        }
        digest
    }

    /// Digest of the signing input of an Identity header value: what stands before the second dot, octet by octet.
    fn identity(&mut self, text: Option<&str>) -> Option<Digest128> {
        let text = self.text("call.identity", text, MAX_IDENTITY)?;
        let token = text.split(';').next().unwrap_or_default().trim();
        let input = token.rsplit_once('.').map(|(input, _)| input);
        let full = input.filter(|i| {
            i.split_once('.')
                .is_some_and(|(h, p)| !h.is_empty() && !p.is_empty() && !p.contains('.'))
        });
        if full.is_none() {
            self.add(
                "call.identity",
                "is no Identity header in full form (header.payload.signature)",
            );
        }
        full.map(|i| Digest128::of(i.as_bytes()))
    }
}
