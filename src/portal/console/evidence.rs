//! What an answer says, in words: what it is, and on what it rests. Every value is another's; it is text here and nothing more.

use serde_json::Value;

use crate::traceback::answer::{RawAnswer, Resolution};

/// Longest text of one fact on a page.
const MOST_TEXT: usize = 400;

/// What a resolution says, as people of the trade say it.
pub(super) const fn says(resolution: Resolution) -> &'static str {
    match resolution {
        Resolution::UpstreamDomestic => "Received from a provider",
        Resolution::UpstreamForeign => "Received from abroad: this is the point of entry",
        Resolution::OriginEndCustomer => "Began with a customer of this provider",
        Resolution::OriginNonVspPlatform => "Began with a platform that this provider serves",
        Resolution::DivertedByOurSubscriber => {
            "Forwarded by a subscriber; received from a provider before that"
        }
        Resolution::BlockedHere => "Refused here, never passed on",
        Resolution::NotFound => "No such call, and the whole window was seen",
        Resolution::CaptureGap => "No such call in what was seen, but not all was seen",
        Resolution::OutOfRetention => "Records of that time are gone",
        Resolution::NotOurCustomerOfDownstream => "Hands no calls to the provider that asks",
        Resolution::Ambiguous => "Several candidates, none certain",
        Resolution::InsufficientRequest => "The question can’t be worked on",
        Resolution::TestOrInternal => "A test call, or one inside the network",
        Resolution::LegalRestriction => "The law forbids an answer",
        Resolution::LegalHold => "Under legal hold",
        Resolution::Refused => "Refuses to answer",
        Resolution::Pending => "Received, being worked on",
    }
}

/// Facts of an answer, each with its name.
pub(super) fn facts(answer: &RawAnswer) -> Vec<(&'static str, String)> {
    let mut out = Vec::new();
    let mut say = |name, text: Option<String>| {
        if let Some(text) = text.filter(|t| !t.is_empty()) {
            out.push((name, text.chars().take(MOST_TEXT).collect()));
        }
    };
    let party = answer.upstream.as_ref().or(answer.originator.as_ref());
    say(
        "Names",
        party.map(|p| {
            let country = if p.country.is_empty() { "" } else { ", " };
            format!("{}{country}{}", p.name, p.country)
        }),
    );
    let evidence = answer.evidence.as_ref().unwrap_or(&Value::Null);
    say(
        "How sure",
        number(evidence, "posterior").map(|p| {
            let next =
                number(evidence, "runner_up").map(|r| format!("; the next one {}", percent(r)));
            let missed = number(evidence, "null")
                .map(|n| format!("; that the call was not seen at all {}", percent(n)));
            format!(
                "{}{}{}",
                percent(p),
                next.unwrap_or_default(),
                missed.unwrap_or_default()
            )
        }),
    );
    say("Class of evidence", text(evidence, "class"));
    let leg = evidence.get("leg").unwrap_or(&Value::Null);
    say(
        "The call came in",
        text(leg, "at").map(|at| {
            let error = number(leg, "clock_error_ms").map(|e| format!(", ± {e:.0} ms"));
            let off =
                number(leg, "delta_s").map(|d| format!("; {d:+.1} s from the time asked about"));
            format!(
                "{at}{}{}",
                error.unwrap_or_default(),
                off.unwrap_or_default()
            )
        }),
    );
    say("Called number", text(leg, "called"));
    say("Calling number", text(leg, "calling"));
    let ids = leg.get("identifiers").and_then(Value::as_array);
    say(
        "Same identifiers",
        ids.map(|ids| {
            let ids: Vec<_> = ids.iter().filter_map(Value::as_str).map(words).collect();
            ids.join(", ")
        }),
    );
    say("Handed on", text(leg, "delivery"));
    say(
        "Ended",
        text(leg, "state").map(|state| match number(leg, "code") {
            Some(code) => format!("{state}, {code:.0}"),
            None => state,
        }),
    );
    let passport = leg.get("passport").unwrap_or(&Value::Null);
    say(
        "Signature on the call",
        text(passport, "validation").map(|validation| {
            let signer = text(passport, "spc").map(|s| format!(", signed by {s}"));
            let attest = text(passport, "attest").map(|a| format!(", attestation {a}"));
            format!(
                "{validation}{}{}",
                signer.unwrap_or_default(),
                attest.unwrap_or_default()
            )
        }),
    );
    let window = evidence
        .get("windows")
        .and_then(|w| w.get(0))
        .unwrap_or(&Value::Null);
    say(
        "Seen of the window",
        number(window, "coverage").map(|c| {
            let gaps = number(evidence, "gap_count").filter(|g| *g > 0.0);
            let gaps = gaps.map(|g| format!(", {g:.0} gaps"));
            format!("{}{}", percent(c), gaps.unwrap_or_default())
        }),
    );
    say(
        "Forwarded",
        answer
            .forwarded
            .as_ref()
            .map(|f| format!("the call before was to {}", f.called)),
    );
    let needs: Vec<_> = answer
        .undecided
        .iter()
        .filter_map(|u| text(u, "needs"))
        .collect();
    say("What would decide it", Some(needs.join("; ")));
    let wanted: Vec<_> = answer
        .problems
        .iter()
        .filter_map(|p| text(p, "wanted"))
        .collect();
    say("What is wanted", Some(wanted.join("; ")));
    say("Done about the caller", answer.mitigation.clone());
    say("Comment", answer.comment.clone());
    out
}

fn text(of: &Value, name: &str) -> Option<String> {
    let text = of.get(name)?.as_str()?;
    // Only labels of ours lose their joints; a time or a name stays as it is.
    let label = text
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b == b'-' || b == b'_');
    Some(if label { words(text) } else { text.to_owned() })
}

fn words(label: &str) -> String {
    label.replace(['-', '_'], " ")
}

fn number(of: &Value, name: &str) -> Option<f64> {
    of.get(name)?.as_f64().filter(|n| n.is_finite())
}

/// As many digits as tell it from certainty.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        p if p > 0.0 && p < 0.01 => "below 0.01 %".to_owned(),
        p if p < 100.0 && p > 99.99 => "above 99.99 %".to_owned(),
        p if (1.0..=99.0).contains(&p) => format!("{p:.1} %"),
        p => format!("{p:.2} %"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn facts_are_read_whatever_stands_there() {
        let answer = json!({
            "id": "x", "request_id": "r", "request_sha256": "s", "revision": 1, "resolution": "UPSTREAM_DOMESTIC",
            "upstream": { "name": "<b>Alpha</b>", "country": "US" },
            "evidence": { "class": "E2", "posterior": 0.99999, "runner_up": 0.002, "null": 0.5, "windows": [{ "coverage": 1.0 }], "gap_count": 2,
                "leg": { "at": "2026-11-24T09:30:07Z", "clock_error_ms": 12.4, "delta_s": -1.25, "identifiers": ["call-id", 7], "state": "answered", "code": 200,
                    "passport": { "validation": "valid", "spc": "123A", "attest": "A" } } },
            "comment": "x".repeat(5000), "produced_by": "auto", "matcher_version": "1",
        });
        let answer: RawAnswer = serde_json::from_value(answer).unwrap();
        let facts = facts(&answer);
        let of = |name| {
            facts
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, t)| &**t)
                .unwrap()
        };
        assert_eq!(of("Names"), "<b>Alpha</b>, US");
        assert_eq!(
            of("How sure"),
            "above 99.99 %; the next one 0.20 %; that the call was not seen at all 50.0 %"
        );
        assert_eq!(
            of("The call came in"),
            "2026-11-24T09:30:07Z, ± 12 ms; -1.2 s from the time asked about"
        );
        assert_eq!(of("Same identifiers"), "call id");
        assert_eq!(
            of("Signature on the call"),
            "valid, signed by 123A, attestation A"
        );
        assert_eq!(of("Seen of the window"), "100.00 %, 2 gaps");
        assert_eq!(of("Comment").len(), MOST_TEXT);
        let odd = json!({
            "id": "x", "request_id": "r", "request_sha256": "s", "revision": 1, "resolution": "NOT_FOUND", "evidence": ["odd"],
            "undecided": [1, { "needs": 3 }], "produced_by": "human", "matcher_version": "1",
        });
        let odd: RawAnswer = serde_json::from_value(odd).unwrap();
        assert_eq!(super::facts(&odd), []);
    }
}
