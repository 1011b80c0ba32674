//! A request on the terminal: deadline, answer, candidates with the terms of their scores.

use serde_json::Value;

use crate::base::Timestamp;
use crate::base::text::escape;
use crate::cli::output::{self, say};
use crate::responder::desk::Case;
use crate::traceback::deadline::{Deadline, Rule, SetBy};

/// Prints all about a request.
pub(super) fn print(case: &Case, now: Timestamp) {
    let l = &case.line;
    let key = escape(l.key.to_string().as_bytes());
    say!("{key}, case {}: {}", escape(l.case_id.as_bytes()), l.state);
    if let Some(note) = &l.note {
        say!("  {}", escape(note.as_bytes()));
    }
    say!(
        "  came by {} at {}; {} reminders",
        case.way,
        l.received,
        case.reminders
    );
    print_deadline(&case.deadline, case.share, now);
    print_request(&case.request);
    match &case.answer {
        Some(answer) => print_answer(answer),
        None => say!("  no answer yet"),
    }
    if let Some(said) = &case.said {
        let peer = said.peer.as_deref().unwrap_or("nobody");
        let same = if said.agrees {
            "the same"
        } else {
            "not the same"
        };
        say!(
            "  by hand: {} naming {peer}, by {}: {same}",
            said.resolution.label(),
            said.who
        );
    }
    for id in &case.signed {
        say!("  signed: answer {id}");
    }
    if let Some(at) = case.delivered {
        say!("  the portal has the last one since {at}");
    }
    if let Some(explanation) = &case.explanation {
        print_candidates(explanation);
    }
}

fn print_deadline(d: &Deadline, share: f64, now: Timestamp) {
    let by = match d.set_by {
        SetBy::Rule => d.rule.label(),
        SetBy::Portal => "the portal's own time, earlier than the rule's",
    };
    let left = span(d.due.secs_since(now));
    say!(
        "  due {} ({left}) by {by}; {:.0} % of the time has run",
        d.due,
        100.0 * share
    );
    if d.surely_by < d.due {
        say!(
            "  in time for certain only until {}: these parts of the rule are not verified:",
            d.surely_by
        );
        for part in Rule::of(d.rule).parts.iter().filter(|p| !p.verified) {
            say!("    - {}", part.says);
        }
    }
}

/// What is asked for; the whole of it where it is none of our own form.
fn print_request(request: &Value) {
    let text = |pointer: &str| match request.pointer(pointer) {
        Some(Value::String(s)) => Some(escape(s.as_bytes())),
        Some(Value::Null) | None => None,
        Some(Value::Array(all)) => {
            let words = all.iter().filter_map(Value::as_str);
            let words: Vec<String> = words.map(|w| escape(w.as_bytes())).collect();
            Some(words.join(" or "))
        }
        Some(other) => Some(escape(other.to_string().as_bytes())),
    };
    let (Some(called), Some(time)) = (text("/call/called"), text("/call/time/value")) else {
        say!("  asked: {}", escape(request.to_string().as_bytes()));
        return;
    };
    let downstream = text("/downstream/provider_ids").or_else(|| text("/downstream/name"));
    let precision = text("/call/time/precision_s").unwrap_or_else(|| "?".to_owned());
    say!(
        "  asked: a call to {called} from {} at {time} (within {precision} s), handed to {}",
        text("/call/calling").unwrap_or_else(|| "nobody knows whom".to_owned()),
        downstream.unwrap_or_else(|| "nobody knows whom".to_owned()),
    );
    for (what, pointer) in [
        ("campaign", "/campaign/name"),
        ("ground", "/legal_basis"),
        ("link", "/source/link"),
    ] {
        if let Some(said) = text(pointer) {
            say!("  {what}: {said}");
        }
    }
}

/// What the answer rests on, in a line or two; `--json` has all of it.
fn print_evidence(evidence: &Value) {
    let number = |pointer: &str| evidence.pointer(pointer).and_then(Value::as_f64);
    let word = |pointer: &str| evidence.pointer(pointer).and_then(Value::as_str);
    let mut parts = Vec::new();
    if let Some(class) = word("/class") {
        parts.push(format!("class {}", escape(class.as_bytes())));
    }
    for (what, pointer) in [
        ("certainty", "/posterior"),
        ("runner-up", "/runner_up"),
        ("of the window seen", "/windows/0/coverage"),
    ] {
        if let Some(share) = number(pointer) {
            parts.push(format!("{what} {:.4} %", 100.0 * share));
        }
    }
    if !parts.is_empty() {
        say!("  evidence: {}", parts.join(", "));
    }
    if let Some(at) = word("/leg/at") {
        let delivery = word("/leg/delivery").unwrap_or("?");
        say!(
            "  leg: came in at {}, {:+.2} s from the time asked; {}",
            escape(at.as_bytes()),
            number("/leg/delta_s").unwrap_or_default(),
            escape(delivery.as_bytes())
        );
    }
    let gaps = evidence.get("gap_count").and_then(Value::as_u64);
    if let Some(gaps) = gaps.filter(|n| *n > 0) {
        say!("  holes in the main window: {gaps}");
    }
}

fn print_answer(answer: &Value) {
    let text = |v: &Value| escape(v.as_str().unwrap_or_default().as_bytes());
    let of = |field: &str| text(answer.get(field).unwrap_or(&Value::Null));
    let (resolution, by) = (of("resolution"), of("produced_by"));
    say!("  answer: {resolution} [{by}], {}", of("id"));
    for field in ["upstream", "originator"] {
        if let Some(name) = answer.get(field).and_then(|p| p.get("name")) {
            say!("  {field}: {}", text(name));
        }
    }
    if let Some(evidence) = answer.get("evidence") {
        print_evidence(evidence);
    }
    let rows = |list: &str| {
        answer
            .get(list)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    let cell = |row: &Value, field: &str| text(row.get(field).unwrap_or(&Value::Null));
    for row in rows("undecided") {
        let (what, needs) = (cell(row, "condition"), cell(row, "needs"));
        say!("  not certain: {what}; would decide it: {needs}");
    }
    for row in rows("problems") {
        let (field, wanted) = (cell(row, "field"), cell(row, "wanted"));
        say!("  the request: {field}: {wanted}");
    }
    if answer.get("comment").is_some() {
        say!("  comment: {}", of("comment"));
    }
}

/// The candidates with the terms of their scores, from the explanation as it was kept.
fn print_candidates(explanation: &Value) {
    let list = |v: &Value, field: &str| v.get(field).and_then(Value::as_array).cloned();
    let text = |v: &Value| match v {
        Value::String(s) => escape(s.as_bytes()),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let number = |v: Option<&Value>, digits: usize| {
        v.and_then(Value::as_f64)
            .map(|n| format!("{n:+.digits$}"))
            .unwrap_or_default()
    };
    let joined = |all: Vec<String>| all.join(", ");
    let rows: Vec<Vec<String>> = list(explanation, "rows")
        .unwrap_or_default()
        .iter()
        .map(|row| {
            let of = |field: &str| row.get(field).map(text).unwrap_or_default();
            let to = list(row, "downstreams").unwrap_or_default();
            let terms = list(row, "terms").unwrap_or_default();
            let terms = terms.iter().map(|t| {
                let about = t.get("about").map(text).unwrap_or_default();
                format!("{about} {}", number(t.get("value"), 2))
            });
            vec![
                of("at"),
                of("upstream"),
                joined(to.iter().map(text).collect()),
                of("delivery"),
                joined(terms.collect()),
                number(row.get("delta_s"), 2),
                number(row.get("log_likelihood"), 2),
                row.get("posterior")
                    .and_then(Value::as_f64)
                    .map(|p| format!("{p:.4}"))
                    .unwrap_or_default(),
            ]
        })
        .collect();
    if !rows.is_empty() {
        let head = [
            "at", "upstream", "to", "delivery", "terms", "Δt", "ln L", "P",
        ];
        say!("{}", output::table(&head, rows, 5));
    }
    let null = explanation
        .get("null")
        .and_then(|n| n.get(1))
        .and_then(Value::as_f64);
    if let Some(null) = null {
        say!("  not captured: {null:.4}");
    }
    for note in list(explanation, "notes").unwrap_or_default() {
        say!("  note: {}", text(&note));
    }
}

/// Hours and minutes; `late` where it is over.
pub(super) fn span(seconds: f64) -> String {
    let minutes = (seconds.abs() / 60.0).round();
    let (hours, minutes) = ((minutes / 60.0).floor(), minutes % 60.0);
    let late = if seconds < 0.0 { " late" } else { "" };
    format!("{hours:.0}:{minutes:02.0}{late}")
}
