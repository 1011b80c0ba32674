//! A record as a line of CSV: columns as the segments name them, values as the JSON has them.

use serde_json::Value;

/// Name of each column and the member of the record's JSON that it holds. `other_numbers` and `origid_text` of the segments have no column: numbers and
/// `origid` are texts here.
pub(super) const COLUMNS: &[(&str, &str)] = &[
    ("called", "/numbers/called"),
    ("begun_at", "/at"),
    ("uid", "/uid"),
    ("to_number", "/numbers/to"),
    ("diverted_from", "/numbers/diverted_from"),
    ("from_number", "/numbers/from"),
    ("asserted", "/numbers/asserted"),
    ("remote_party", "/numbers/remote_party"),
    ("orig", "/verdict/orig"),
    ("called_text", "/called_text"),
    ("private", "/numbers/private"),
    ("clock", "/clock/source"),
    ("clock_error_ns", "/clock/error_ns"),
    ("sensor", "/sensor"),
    ("config", "/config"),
    ("direction", "/direction"),
    ("peer", "/peer"),
    ("peer_rule", "/peer_rule"),
    ("transport", "/transport"),
    ("source", "/source"),
    ("destination", "/destination"),
    ("vlan", "/vlan"),
    ("trunk", "/trunk"),
    ("call_id", "/ids/call_id"),
    ("session_id", "/ids/session_id"),
    ("icid", "/ids/icid"),
    ("sdp_origin", "/ids/sdp_origin"),
    ("validation", "/verdict/validation"),
    ("decided_by", "/verdict/decided_by"),
    ("attest", "/verdict/attest"),
    ("failed", "/verdict/failed"),
    ("undetermined", "/verdict/undetermined"),
    ("findings", "/verdict/findings"),
    ("identities", "/verdict/identities"),
    ("passport", "/verdict/passport"),
    ("iat", "/verdict/iat"),
    ("origid", "/verdict/origid"),
    ("spc", "/verdict/spc"),
    ("x5u_host", "/verdict/x5u_host"),
    ("flags", "/flags"),
    ("chain", "/verdict/chain"),
    ("verstat", "/verstat"),
    ("provenance", "/provenance"),
    ("attribution", "/attribution/keys"),
    ("shared", "/attribution/shared"),
    ("mac", "/attribution/mac"),
    ("trunk_context", "/attribution/trunk_context"),
    ("orig_ioi", "/attribution/orig_ioi"),
    ("tech_prefix", "/attribution/tech_prefix"),
    ("rule_header", "/attribution/header"),
    ("pair_uid", "/pair/uid"),
    ("pair_at", "/pair/at"),
    ("pair_how", "/pair/how"),
    ("notes", "/notes"),
    ("state", "/end/state"),
    ("code", "/end/code"),
    ("cause", "/end/cause"),
    ("ringing_ms", "/end/ringing_ms"),
    ("final_ms", "/end/final_ms"),
    ("duration_ms", "/end/duration_ms"),
    ("released_by", "/end/released_by"),
    ("retransmissions", "/end/retransmissions"),
    ("forks", "/end/forks"),
    ("auth_retries", "/end/auth_retries"),
    ("stir_cause", "/end/stir_cause"),
    ("disagrees", "/end/disagrees"),
    ("one_way", "/end/one_way"),
];

/// The cells of a record, from its JSON.
pub(super) fn cells(record: &Value) -> impl Iterator<Item = String> + '_ {
    COLUMNS
        .iter()
        .map(|(_, pointer)| guarded(cell(record.pointer(pointer).unwrap_or(&Value::Null))))
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(all) => {
            let words: Vec<String> = all.iter().map(cell).collect();
            words.join(" ")
        }
        Value::Object(all) => {
            let lines: Vec<String> = all
                .iter()
                .map(|(k, v)| format!("{k} {}", cell(v)))
                .collect();
            lines.join("\n")
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// What a spreadsheet would take for a formula begins with an apostrophe: these texts come from the wire. No number, word or time of ours begins so.
fn guarded(text: String) -> String {
    match text.as_bytes().first() {
        Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r') => format!("'{text}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::embedded::export;
    use serde_json::json;

    #[test]
    fn columns_are_those_of_the_segments_in_their_order() {
        let apart = [
            "other_numbers",
            "origid_text",
            "source_port",
            "destination_port",
        ];
        let segment: Vec<_> = export::columns().filter(|c| !apart.contains(c)).collect();
        let ours: Vec<_> = COLUMNS.iter().map(|(name, _)| *name).collect();
        assert_eq!(ours, segment);
    }

    #[test]
    fn a_text_from_the_wire_is_no_formula() {
        for (text, shown) in [
            ("=1+1", "'=1+1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("sip:alice@example.com", "sip:alice@example.com"),
            ("*67", "*67"),
        ] {
            let record = json!({ "called_text": text });
            assert!(cells(&record).any(|c| c == shown), "{text}");
        }
    }

    #[test]
    fn lists_are_words_and_notes_are_lines() {
        let record = json!({"flags": ["stale", "attest-a"], "notes": {"stale": "61 s", "loop": "again"}, "end": null});
        let all: Vec<String> = cells(&record).collect();
        assert!(all.contains(&"stale attest-a".to_owned()));
        assert!(all.contains(&"stale 61 s\nloop again".to_owned()));
    }
}
