//! Words that point at another neighbour, names of calls that another neighbour's calls bear, and numbers that are none. Whoever means ill writes what he likes
//! into a message; his address he can't write. So nothing of it ever falls on anybody else.

use std::collections::BTreeSet;
use std::fs;

use tracehop::call::classify::Flag;
use tracehop::call::record::{ReleasedBy, State, StoredCall};
use tracehop::config::Config;

use super::*;

/// A wholesaler whose address carries four more, each told apart by another word; and somebody cheap who would be one of them.
const PEERS: &str = r#"
[[peer]]
id = "own"
name = "Example Voice"
kind = "own"
[[peer]]
id = "victim"
name = "Victim Telecom"
kind = "provider"
[[peer]]
id = "wholesale"
name = "Wholesale Voice"
kind = "provider"
[[peer]]
id = "cheap"
name = "Cheap Minutes"
kind = "provider"

[[rule]]
name = "own"
peer = "own"
networks = ["192.0.2.0/28"]
[[rule]]
name = "victim-by-group"
peer = "victim"
networks = ["198.51.100.0/28"]
trunk_group = "VT-1"
trunk_context = "example.net"
[[rule]]
name = "victim-by-otg"
peer = "victim"
networks = ["198.51.100.0/28"]
otg = "VT-2"
[[rule]]
name = "victim-by-ioi"
peer = "victim"
networks = ["198.51.100.0/28"]
orig_ioi = "victim.example.net"
[[rule]]
name = "victim-by-header"
peer = "victim"
networks = ["198.51.100.0/28"]
header = { name = "X-Trunk", value = "VICTIM" }
[[rule]]
name = "victim-by-prefix"
peer = "victim"
networks = ["198.51.100.0/28"]
tech_prefix = "9011#"
[[rule]]
name = "wholesale"
peer = "wholesale"
networks = ["198.51.100.0/28"]
[[rule]]
name = "cheap"
peer = "cheap"
networks = ["203.0.113.0/28"]
"#;

const OWN: &str = "192.0.2.1";
const WHOLESALE: &str = "198.51.100.3";
const CHEAP: &str = "203.0.113.7";
/// Of no rule.
const NOBODY: &str = "203.0.113.99";

fn settings_with_peers() -> (Lab, PipelineSettings) {
    let mut lab = Lab::new(41, 400);
    fs::write(lab.path("peers.toml"), PEERS).unwrap();
    lab.config = Config::load(&lab.path("tracehop.toml")).unwrap_or_else(|p| panic!("{p:#?}"));
    let settings = settings(&lab.config, 2);
    (lab, settings)
}

/// A datagram from port 5060 to port 5060, so many milliseconds after the beginning.
fn udp(ms: i64, from: &str, to: &str, text: &str) -> Taken {
    let address = |text: &str| text.parse::<std::net::Ipv4Addr>().unwrap().octets();
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00, 0x45, 0];
    bytes.extend((28 + text.len() as u16).to_be_bytes());
    bytes.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    bytes.extend(address(from));
    bytes.extend(address(to));
    bytes.extend([0x13, 0xc4, 0x13, 0xc4]);
    bytes.extend((8 + text.len() as u16).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(text.bytes());
    Taken {
        at: Timestamp::from_nanos((1_795_512_600_000 + ms) * 1_000_000),
        link: LinkType::from_dlt(1),
        original_len: bytes.len(),
        bytes,
    }
}

/// Every word that a rule of the victim's asks for, and what a reader of logs would take for its mark.
const WORDS: [(&str, &str, &str); 12] = [
    (
        "tgrp of Contact",
        "",
        "Contact: <sip:+12025550100;tgrp=VT-1;trunk-context=example.net@198.51.100.3>\r\n",
    ),
    (
        "tgrp of the Request-URI",
        "sip:+12025550123;tgrp=VT-1;trunk-context=example.net@192.0.2.1;user=phone",
        "",
    ),
    (
        "otg",
        "",
        "From: <sip:+12025550100@example.net;otg=VT-2>;tag=otg\r\n",
    ),
    (
        "otg of the group",
        "",
        "From: <sip:+12025550100@example.net;otg=VT-1>;tag=otg\r\n",
    ),
    (
        "orig-ioi",
        "",
        "P-Charging-Vector: icid-value=1;orig-ioi=victim.example.net\r\n",
    ),
    ("header", "", "X-Trunk: VICTIM\r\n"),
    ("technical prefix", "sip:9011#12025550123@192.0.2.1", ""),
    (
        "asserted identity",
        "",
        "P-Asserted-Identity: <sip:+12025550100@198.51.100.3>\r\n",
    ),
    (
        "a Via below with its address",
        "",
        "Via: SIP/2.0/UDP 198.51.100.3:5060;branch=z9hG4bKbelow;received=198.51.100.3;rport=5060\r\n",
    ),
    (
        "Record-Route",
        "",
        "Record-Route: <sip:198.51.100.3;lr>\r\n",
    ),
    (
        "marks that people trust",
        "",
        "X-Forwarded-For: 198.51.100.3\r\nX-Real-IP: 198.51.100.3\r\nX-Src: 198.51.100.3\r\nUser-Agent: Victim Telecom SBC\r\n",
    ),
    (
        "all of them",
        "sip:9011#12025550123;tgrp=VT-1;trunk-context=example.net@192.0.2.1",
        "From: <sip:+12025550100@example.net;otg=VT-2>;tag=otg\r\nX-Trunk: VICTIM\r\n\
         P-Charging-Vector: icid-value=1;orig-ioi=victim.example.net\r\n\
         Contact: <sip:+12025550100;tgrp=VT-1;trunk-context=example.net@198.51.100.3>\r\n\
         P-Asserted-Identity: <sip:+12025550100@198.51.100.3>\r\n",
    ),
];

/// An INVITE with other words of a case. Its own Via says it is the victim's as well.
fn worded(call: &str, (_, uri, more): (&str, &str, &str)) -> String {
    let uri = if uri.is_empty() {
        "sip:+12025550123@192.0.2.1"
    } else {
        uri
    };
    let from = if more.contains("From: ") {
        ""
    } else {
        "From: <sip:+12025550100@198.51.100.3>;tag=t\r\n"
    };
    format!(
        "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.3:5060;branch=z9hG4bK{call};received=198.51.100.3\r\n{from}\
         To: <sip:+12025550123@192.0.2.1>\r\nCall-ID: {call}@198.51.100.3\r\nCSeq: 1 INVITE\r\n{more}Content-Length: 0\r\n\r\n"
    )
}

#[test]
fn no_words_of_a_message_lead_to_a_neighbour_whose_address_it_has_not() {
    let (_lab, settings) = settings_with_peers();
    let mut frames = Vec::new();
    let mut ms = 0;
    for (n, words) in WORDS.into_iter().enumerate() {
        for (who, from) in [("w", WHOLESALE), ("c", CHEAP), ("n", NOBODY)] {
            ms += 10;
            frames.push(udp(ms, from, OWN, &worded(&format!("{who}{n}"), words)));
        }
    }
    let (store, report) = run(&settings, &frames);
    assert_eq!(store.begins.len(), 3 * WORDS.len());
    assert_eq!(report.collect.attempts, 3 * WORDS.len() as u64);
    let by = |who: &str, n: usize| {
        let id = IdDigest::of(format!("{who}{n}@198.51.100.3").as_bytes());
        let found = store.begins.iter().find(|b| b.ids.call_id == id);
        found.unwrap_or_else(|| panic!("{who}{n}"))
    };
    let mut named = 0;
    for (n, (what, ..)) in WORDS.into_iter().enumerate() {
        let (wholesale, cheap, nobody) = (by("w", n), by("c", n), by("n", n));
        assert_eq!(cheap.peer.as_deref(), Some("cheap"), "{what}");
        assert_eq!(nobody.peer, None, "{what}");
        assert_eq!(nobody.direction, Direction::Ingress, "{what}");
        assert!(nobody.flags.contains(Flag::UnknownUpstream), "{what}");
        for b in [cheap, nobody] {
            assert_ne!(b.source.ip().to_string(), WHOLESALE, "{what}");
        }
        named += usize::from(wholesale.peer.as_deref() == Some("victim"));
    }
    assert_eq!(
        named, 7,
        "the same words from the shared address do name the victim, where a rule asks for them"
    );
    assert_eq!(report.unknown.len(), 1);
}

/// A message of a call whose names anybody may have chosen.
fn named(start: &str, to_tag: &str, branch: &str, cseq: &str) -> String {
    let to_tag = match to_tag {
        "" => String::new(),
        tag => format!(";tag={tag}"),
    };
    format!(
        "{start}\r\nVia: SIP/2.0/UDP proxy.example.net;branch=z9hG4bK{branch}\r\nFrom: <sip:+12025550100@example.net>;tag=same\r\n\
         To: <sip:+12025550123@example.net>{to_tag}\r\nCall-ID: same@example.net\r\nCSeq: {cseq}\r\nContent-Length: 0\r\n\r\n"
    )
}

fn of<'a>(calls: &'a [StoredCall], peer: &str) -> &'a StoredCall {
    let mut calls = calls
        .iter()
        .filter(|c| c.begin.peer.as_deref() == Some(peer));
    let call = calls.next().unwrap_or_else(|| panic!("no call of {peer}"));
    assert!(calls.next().is_none(), "a second call of {peer}");
    call
}

#[test]
fn another_neighbour_with_the_same_names_changes_nothing_of_a_call() {
    const INVITE: &str = "INVITE sip:+12025550123@192.0.2.1 SIP/2.0";
    const BYE: &str = "BYE sip:+12025550123@192.0.2.1 SIP/2.0";
    let (_lab, settings) = settings_with_peers();
    // Every name is the same; the tag that our callee gave is stolen too. The one who means ill begins first, or second.
    for first in [WHOLESALE, CHEAP] {
        let second = if first == CHEAP { WHOLESALE } else { CHEAP };
        let answer = "SIP/2.0 200 OK";
        let frames = [
            udp(0, first, OWN, &named(INVITE, "", "b", "1 INVITE")),
            udp(20, second, OWN, &named(INVITE, "", "b", "1 INVITE")),
            // He gives up the other's call, ends it, and answers it in our name and in his own.
            udp(
                40,
                CHEAP,
                OWN,
                &named(&INVITE.replace("INVITE", "CANCEL"), "", "b", "1 CANCEL"),
            ),
            udp(
                60,
                CHEAP,
                OWN,
                &named("SIP/2.0 404 Not Found", "x", "b", "1 INVITE"),
            ),
            udp(500, OWN, WHOLESALE, &named(answer, "ours", "b", "1 INVITE")),
            udp(
                520,
                OWN,
                CHEAP,
                &named("SIP/2.0 487 Request Terminated", "his", "b", "1 INVITE"),
            ),
            udp(1_500, CHEAP, OWN, &named(BYE, "ours", "c", "2 BYE")),
            udp(10_500, WHOLESALE, OWN, &named(BYE, "ours", "d", "2 BYE")),
        ];
        let (store, report) = run(&settings, &frames);
        let calls = store.calls();
        assert_eq!(calls.len(), 2, "{first} first: {calls:#?}");
        let (good, ill) = (of(&calls, "wholesale"), of(&calls, "cheap"));
        let end = good.end.as_ref().unwrap();
        assert_eq!(
            (end.state, end.code),
            (State::Answered, 200),
            "{first} first"
        );
        assert_eq!(end.duration_ms, Some(10_000), "{first} first: {good:#?}");
        assert_eq!(end.released_by, Some(ReleasedBy::Caller));
        let end = ill.end.as_ref().unwrap();
        assert_eq!(
            (end.state, end.code),
            (State::Cancelled, 487),
            "{first} first"
        );
        assert_eq!(report.collect.total(), frames.len() as u64);
    }
}

#[test]
fn numbers_of_a_thousand_digits_are_malformed_and_leave_a_small_record() {
    let (_lab, settings) = settings_with_peers();
    let digits = "1".repeat(1_000);
    let long = format!("<sip:+{digits}@example.net>");
    let plain = "<sip:+12025550100@example.net>";
    // The header that has it, and whether it is a calling number.
    let cases = [
        ("From", true),
        ("P-Asserted-Identity", true),
        ("To", false),
        ("Request-URI", false),
        ("Remote-Party-ID", false),
        ("P-Preferred-Identity", false),
        ("Diversion", false),
        ("History-Info", false),
        ("Contact", false),
        ("Referred-By", false),
        ("Refer-To", false),
        ("P-Called-Party-ID", false),
        ("P-Charge-Info", false),
        ("Reply-To", false),
    ];
    let mut frames = Vec::new();
    for (n, (header, _)) in cases.into_iter().enumerate() {
        let in_place = |name: &str, otherwise: &str| {
            if header == name {
                long.clone()
            } else {
                otherwise.to_owned()
            }
        };
        let uri = in_place("Request-URI", "<sip:+12025550123@192.0.2.1>");
        let uri = uri.trim_matches(['<', '>']).to_owned();
        let more = match header {
            "From" | "To" | "Request-URI" => String::new(),
            "History-Info" => format!("History-Info: {long};index=1\r\n"),
            name => format!("{name}: {long}\r\n"),
        };
        let invite = format!(
            "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.7;branch=z9hG4bK{n}\r\nFrom: {};tag={n}\r\nTo: {}\r\n\
             Call-ID: {n}@example.net\r\nCSeq: 1 INVITE\r\n{more}Content-Length: 0\r\n\r\n",
            in_place("From", plain),
            in_place("To", "<sip:+12025550123@example.net>"),
        );
        frames.push(udp(10 * n as i64, CHEAP, OWN, &invite));
    }
    let (store, _) = run(&settings, &frames);
    assert_eq!(store.begins.len(), cases.len());
    for (b, (header, calling)) in store.begins.iter().zip(cases) {
        assert_eq!(
            b.flags.contains(Flag::MalformedNumber),
            calling,
            "{header}: {:?}",
            b.flags
        );
        let record = serde_json::to_string(b).unwrap();
        assert!(record.len() < 4_096, "{header}: {} octets", record.len());
        assert!(!record.contains(&digits[..300]), "{header}: {record}");
        assert_eq!(b.peer.as_deref(), Some("cheap"), "{header}");
    }
    let ids: BTreeSet<_> = store.begins.iter().map(|b| b.ids.call_id).collect();
    assert_eq!(ids.len(), cases.len());
}
