//! The JSON of a record is what docs/FORMATS.md says, member by member.

use std::collections::BTreeSet;

use serde_json::Value;

use super::StoredCall;
use crate::store::embedded::tests::made::{end, full_begin};

/// A record in which nothing is absent.
fn full() -> StoredCall {
    let begin = full_begin(42);
    let mut end = end(&begin);
    end.stir_cause = Some(438);
    StoredCall {
        begin,
        end: Some(end),
    }
}

fn document() -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/FORMATS.md");
    std::fs::read_to_string(path).unwrap()
}

/// The text under a heading, up to the next one of its kind.
fn section<'d>(document: &'d str, heading: &str) -> &'d str {
    let (_, rest) = document.split_once(&format!("\n{heading}\n")).unwrap();
    rest.split("\n## ").next().unwrap()
}

/// Paths of all members that hold no object.
fn leaves(value: &Value, path: &str, out: &mut BTreeSet<String>) {
    match value {
        // Its members are flags, not the record's.
        Value::Object(_) if path == "notes" => assert!(out.insert(path.to_owned())),
        Value::Object(members) => {
            for (name, value) in members {
                let path = match path {
                    "" => name.clone(),
                    path => format!("{path}.{name}"),
                };
                leaves(value, &path, out);
            }
        }
        _ => assert!(out.insert(path.to_owned()), "{path} stands twice"),
    }
}

#[test]
fn every_member_of_a_record_stands_in_the_document_and_nothing_else() {
    let document = document();
    let section = section(&document, "## The record, version 1");
    let listed: Vec<String> = section
        .lines()
        .filter_map(|l| l.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name.to_owned())
        .collect();
    let set: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!(set.len(), listed.len(), "a member is listed twice");
    let mut written = BTreeSet::new();
    leaves(&serde_json::to_value(full()).unwrap(), "", &mut written);
    let missing: Vec<_> = written.difference(&set).collect();
    let invented: Vec<_> = set.difference(&written).collect();
    assert!(missing.is_empty(), "not in the document: {missing:?}");
    assert!(invented.is_empty(), "in no record: {invented:?}");
}

#[test]
fn the_example_of_the_document_is_a_record_as_we_write_it() {
    let document = document();
    let section = section(&document, "## The record, version 1");
    let (_, example) = section.split_once("```json\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let written = serde_json::to_string_pretty(&full()).unwrap();
    assert_eq!(example.trim_end(), written);
}

#[test]
fn members_stand_in_their_order_and_absent_ones_are_null() {
    let begin = crate::store::embedded::tests::made::begin(7);
    let call = StoredCall { begin, end: None };
    let text = serde_json::to_string(&call).unwrap();
    assert!(
        text.starts_with("{\"v\":1,\"uid\":7,\"at\":\"2026-11-24T13:00:00Z\","),
        "{text}"
    );
    assert!(
        text.ends_with("\"flags\":[],\"notes\":{},\"end\":null}"),
        "{text}"
    );
    assert!(text.contains("\"pair\":null"));
}
