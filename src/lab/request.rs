//! Hop requests as a downstream neighbour would have them sent, each with the answer that is right.

use std::time::Duration;

use serde_json::{Value, json};

use super::call::cases::number;
use super::network::Neighbour;
use super::truth::{Side, Truth};
use crate::base::Timestamp;
use crate::call::record::State;

/// A request and its right answer.
#[derive(Clone, Debug)]
pub struct Case {
    /// Name of the file, without ending.
    pub name: String,
    /// The request.
    pub request: Value,
    /// Line of `truth-requests.jsonl`.
    pub expected: Value,
}

/// What one request is about.
struct Ask {
    name: &'static str,
    /// Why its answer is the right one.
    why: &'static str,
    resolution: &'static str,
    /// Precision of its time in seconds.
    precision: u32,
    calling: bool,
    identity: bool,
}

const ASKS: &[Ask] = &[
    ask(
        "certain",
        "one call, delivered and answered",
        "UPSTREAM_DOMESTIC",
    ),
    Ask {
        precision: 60,
        ..ask(
            "retry",
            "refused through westgate, delivered through keystone three seconds later",
            "UPSTREAM_DOMESTIC",
        )
    },
    ask(
        "origin-customer",
        "an end customer of ours began the call",
        "ORIGIN_END_CUSTOMER",
    ),
    ask(
        "foreign-gateway",
        "a provider abroad handed the call over",
        "UPSTREAM_FOREIGN",
    ),
    Ask {
        precision: 60,
        ..ask(
            "ambiguous",
            "two upstreams delivered the same numbers within the minute",
            "AMBIGUOUS",
        )
    },
    ask(
        "diverted",
        "our subscriber had diverted the number that was called first",
        "DIVERTED_BY_OUR_SUBSCRIBER",
    ),
    Ask {
        calling: false,
        ..ask(
            "toll-free",
            "asked by the number after translation",
            "UPSTREAM_DOMESTIC",
        )
    },
    ask(
        "shared-address",
        "two upstreams share the address, the trunk group tells them apart",
        "UPSTREAM_DOMESTIC",
    ),
    Ask {
        identity: true,
        precision: 60,
        ..ask("by-passport", "the PASSporT is given", "UPSTREAM_DOMESTIC")
    },
    ask(
        "tech-prefix",
        "the upstream puts a prefix before the number",
        "UPSTREAM_DOMESTIC",
    ),
];

const fn ask(name: &'static str, why: &'static str, resolution: &'static str) -> Ask {
    Ask {
        name,
        why,
        resolution,
        precision: 1,
        calling: true,
        identity: false,
    }
}

/// Every request. `truth` must hold capture times already; the capture lasts from `start` for `span`.
pub fn requests(truth: &[Truth], start: Timestamp, span: Duration) -> Vec<Case> {
    let middle = start.plus(span / 2);
    let issued = start.plus(Duration::from_secs(25 * 3_600));
    let mut writer = Writer {
        issued,
        cases: Vec::new(),
    };
    for ask in ASKS {
        writer.about(ask, truth);
    }
    let lakeside = Neighbour::named("lakeside")
        .and_then(|n| n.portal_id)
        .unwrap_or_default();
    let time = |at: Timestamp| json!({"value": Timestamp::from_secs(at.secs()), "tz": "UTC", "precision_s": 1});
    let call = |line: u8, at: Timestamp| json!({"called": e164(&number(line)), "calling": e164(&number(99)), "time": time(at)});
    writer.push(
        "not-found",
        "nobody called that number, and we were looking",
        lakeside,
        call(98, middle),
        "NOT_FOUND",
        None,
    );
    let before = start.minus(Duration::from_secs(40 * 60));
    writer.push(
        "capture-gap",
        "we were not looking yet",
        lakeside,
        call(97, before),
        "CAPTURE_GAP",
        None,
    );
    let nameless = json!({"calling": e164(&number(51)), "time": time(middle)});
    writer.push(
        "insufficient",
        "no called number",
        lakeside,
        nameless,
        "INSUFFICIENT_REQUEST",
        None,
    );
    let certain =
        json!({"called": e164(&number(1)), "time": time(middle.minus(Duration::from_secs(60)))});
    writer.push(
        "other-downstream",
        "we hand nothing to the downstream that is named",
        "ZZ-99",
        certain,
        "NOT_OUR_CUSTOMER_OF_DOWNSTREAM",
        None,
    );
    writer.cases
}

struct Writer {
    issued: Timestamp,
    cases: Vec<Case>,
}

impl Writer {
    /// Asks about a call of the capture, as its downstream saw it.
    fn about(&mut self, ask: &Ask, truth: &[Truth]) {
        // The last attempt that went out is the one that was delivered.
        let Some(leg) = truth
            .iter()
            .rfind(|t| t.case == Some(ask.name) && t.side == Side::Egress)
        else {
            return;
        };
        // The downstream's clock is a little behind ours, and it tells whole seconds or minutes.
        let seen = Timestamp::from_nanos(leg.at)
            .plus(Duration::from_millis(180))
            .secs();
        let precision = i64::from(ask.precision);
        let told = Timestamp::from_secs(seen - seen.rem_euclid(precision));
        let mut call = json!({"called": e164(&leg.called)});
        if let (Some(calling), true) = (&leg.calling, ask.calling) {
            call["calling"] = e164(calling);
        }
        if leg.state == State::Answered {
            call["answered"] = json!(true);
        }
        call["time"] = json!({"value": told, "tz": "UTC", "precision_s": ask.precision});
        if let (Some(identity), true) = (&leg.identity, ask.identity) {
            call["identity"] = json!(identity);
        }
        let downstream = leg
            .peer
            .and_then(Neighbour::named)
            .and_then(|n| n.portal_id)
            .unwrap_or_default();
        let upstream = leg.upstream.filter(|_| ask.resolution != "AMBIGUOUS");
        self.push(
            ask.name,
            ask.why,
            downstream,
            call,
            ask.resolution,
            upstream,
        );
    }

    fn push(
        &mut self,
        name: &str,
        why: &str,
        downstream: &str,
        call: Value,
        resolution: &str,
        upstream: Option<&str>,
    ) {
        let number = self.cases.len() + 1;
        let id = format!("HR-{number:04}");
        self.cases.push(Case {
            name: format!("{number:02}-{name}"),
            request: json!({
                "id": id,
                "case_id": format!("CASE-{:04}", 2_600 + number),
                "hop_no": 2,
                "issued_at": self.issued,
                "due_at": self.issued.plus(Duration::from_secs(24 * 3_600)),
                "priority": "routine",
                "legal_basis": "47 CFR 64.1200(n)(1)",
                "requester": {"id": "reference-portal", "role": "consortium"},
                "downstream": {"provider_ids": [downstream]},
                "call": call,
                "campaign": {"name": "lab", "summary": "made by the lab"},
            }),
            expected: json!({
                "id": id,
                "file": format!("requests/{number:02}-{name}.json"),
                "expected": {"resolution": resolution, "upstream": upstream},
                "why": why,
            }),
        });
    }
}

fn e164(number: &str) -> Value {
    json!(format!("+{number}"))
}
