//! Freshness, calling and called numbers: F1, F2, O1 to O3, D1 to D5.

use super::*;

#[test]
fn f1_both_sides() {
    for (shift, state) in [
        (-61, false),
        (-60, true),
        (0, true),
        (60, true),
        (61, false),
    ] {
        let c = call().with(|c| c.at = Timestamp::from_secs(pki::NOW + shift));
        if state {
            c.passes();
        } else {
            let v = c.fails(Rule::F1);
            assert!(
                v.passed.contains(Rule::S2),
                "the signature is judged all the same"
            );
            assert_eq!(c.judge(&c.invite()).sip_code(), Some(403));
        }
    }
}

#[test]
fn f2_date_decides_nothing() {
    call()
        .other("Date: Mon, 01 Jun 2026 12:02:00 GMT")
        .finds(Rule::F2);
    call().other("Date: soon").finds(Rule::F2);
}

#[test]
fn o1_any_asserted_number_counts_before_from() {
    let wrong_from = call().with(|c| c.from = "<sip:+12025550199@example.net>;tag=1".to_owned());
    wrong_from.fails(Rule::O1);
    wrong_from
        .clone()
        .other("P-Asserted-Identity: \"a,b\" <sip:+12025550123@example.net>")
        .finds(Rule::O2);
    wrong_from
        .clone()
        .other("P-Asserted-Identity: <sip:+12025550198@example.net>, <tel:+12025550123>")
        .finds(Rule::O2);
    wrong_from
        .clone()
        .other("P-Asserted-Identity: <sip:+12025550198@example.net>")
        .other("P-Asserted-Identity: <tel:+1-202-555-0123>")
        .finds(Rule::O2);
    // Only From matches: a mismatch (rule O2).
    let v = call()
        .other("P-Asserted-Identity: <sip:+12025550198@example.net>")
        .gives(&[Rule::O1], &[], &[Rule::O2]);
    assert_eq!(v.orig_match, Some(OrigMatch::FromOnly));
    // An asserted name is no number to compare.
    call()
        .other("P-Asserted-Identity: <sip:pbx@example.net>")
        .passes();
    for never in ["P-Preferred-Identity", "Remote-Party-ID", "Diversion"] {
        wrong_from
            .clone()
            .other(&format!("{never}: <sip:+12025550123@example.net>"))
            .fails(Rule::O1);
    }
}

#[test]
fn o1_wire_forms_of_the_same_number() {
    for user in [
        "12025550123",
        "2025550123",
        "%2B12025550123",
        "+12025550123;tgrp=TG-1;trunk-context=example.net",
        "+1-202-555-0123",
    ] {
        call()
            .with(|c| c.from = format!("<sip:{user}@example.net;user=phone>;tag=1"))
            .passes();
    }
    call()
        .with(|c| c.from = "sip:alice@example.net;tag=1".to_owned())
        .fails(Rule::O1);
}

#[test]
fn o3_a_withheld_number_is_not_comparable() {
    for from in [
        "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=1",
        "<sip:Restricted@198.51.100.1>;tag=1",
        "<sip:Unavailable@example.net>;tag=1",
        "<sip:198.51.100.1>;tag=1",
    ] {
        let c = call().with(|c| c.from = from.to_owned());
        let v = c.cannot_tell(Rule::O3);
        assert!(v.passed.contains(Rule::S2) && v.passed.contains(Rule::D1));
        c.clone()
            .other("P-Asserted-Identity: <tel:+12025550123>")
            .passes();
        c.other("P-Asserted-Identity: <tel:+12025550199>")
            .fails(Rule::O1);
    }
    let other = call().with(|c| c.from = "<sip:+12025550199@example.net>;tag=1".to_owned());
    other.clone().other("Privacy: id").cannot_tell(Rule::O3);
    other.other("Privacy: none").fails(Rule::O1);
    call().other("Privacy: id").passes();
}

#[test]
fn d1_d3_any_element_may_be_the_to_number() {
    call()
        .claims("[\"12025550142\"]", "[\"12025550150\",\"12025550142\"]")
        .passes();
    call()
        .claims("[\"12025550142\"]", "[\"12025550150\"]")
        .fails(Rule::D1);
}

#[test]
fn d2_request_uri_alone_is_a_finding() {
    let c = call().with(|c| c.to = "<sip:+18005550142@example.com>".to_owned());
    c.finds(Rule::D2);
    c.with(|c| c.request_uri = "sip:+12025550143@example.com".to_owned())
        .fails(Rule::D1);
    // The other way round the call was retargeted, and To is what was signed.
    call()
        .with(|c| c.request_uri = "sip:+12025550143;rn=+12025550000@example.com".to_owned())
        .passes();
}

#[test]
fn d4_an_emergency_call_is_never_a_mismatch() {
    let sos = call().with(|c| {
        c.request_uri = "sip:+12025550177@psap.example.net".to_owned();
        c.to = "<urn:service:sos>".to_owned();
    });
    for dest in ["{\"tn\":[\"911\"]}", "{\"uri\":[\"urn:service:sos\"]}"] {
        sos.clone()
            .claims("{\"tn\":[\"12025550142\"]}", dest)
            .passes();
    }
    let v = sos.passes();
    assert!(!v.passed.contains(Rule::D1), "not judged");
    // Signed for an emergency, sent to somebody else: a replay.
    call()
        .claims("[\"12025550142\"]", "[\"911\"]")
        .fails(Rule::D1);
    call()
        .with(|c| {
            c.to = "<sip:911@example.net>".to_owned();
            c.request_uri = "sip:911@example.net".to_owned();
        })
        .claims("[\"12025550142\"]", "[\"911\"]")
        .passes();
}

#[test]
fn d5_uris_compare_without_port_and_parameters() {
    let to = |uri: &str| {
        let to = format!("<{uri}>");
        call()
            .with(|c| c.to = to)
            .claims(
                "{\"tn\":[\"12025550142\"]}",
                "{\"uri\":[\"sip:Alice@example.com\"]}",
            )
            .with(|c| c.request_uri = "sip:198.51.100.7".to_owned())
    };
    to("sip:Alice@EXAMPLE.com:5060;transport=udp").passes();
    to("sip:alice@example.com").fails(Rule::D1);
    to("sips:Alice@example.com").fails(Rule::D1);
    to("sip:Alice@example.net").fails(Rule::D1);
    call()
        .claims(
            "{\"tn\":[\"12025550142\"]}",
            "{\"uri\":[\"sip:+12025550142@example.com;user=phone\"]}",
        )
        .passes();
}
