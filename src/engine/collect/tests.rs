//! Calls that wait, and what is said of them meanwhile; neighbours of a call, and their rules.
//!
//! - [`time`](self): how time passes changes nothing

mod time;

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::call::attempt::AttemptLimits;
use crate::call::peer::{Peer, PeerKey, PeerKind, PeerRule, PeerTable};
use crate::call::record::{Begin, Clock, ClockSource, Sensor};
use crate::engine::park::{Released, Why};
use crate::number::NumberPlan;
use crate::stir::verify::{CallVerdict, Validation, Want};
use crate::wire::{self, Macs, Provenance, Transport, Vlans, sip};

const HEAD: &str = "Via: SIP/2.0/UDP 198.51.100.1;branch=z9hG4bK1\r\nFrom: <sip:+12025550123@example.net>;tag=1\r\n\
                    To: <sip:+12025550142@example.com>\r\nCall-ID: 1@example.net\r\nCSeq: 1 INVITE\r\n\r\n";

fn collector() -> Collector {
    let settings = CollectSettings {
        plan: Default::default(),
        peers: Arc::default(),
        flags: Default::default(),
        window: Duration::from_secs(60),
        sensors: vec![Sensor {
            name: "edge".into(),
            provenance: Provenance::Wire,
        }],
        clock: Clock {
            source: ClockSource::File,
            error_ns: 0,
        },
        config: 1,
        behaviour: Default::default(),
        campaign: Default::default(),
        limits: AttemptLimits::default(),
    };
    Collector::new(settings, 1).parking(ParkLimits::default())
}

fn flow() -> Flow {
    Flow {
        source: "198.51.100.1:5060".parse().unwrap(),
        destination: "192.0.2.1:5060".parse().unwrap(),
        transport: Transport::Udp,
        vlans: Vlans::new(),
        path: Default::default(),
        macs: Default::default(),
    }
}

fn invite(validation: Validation) -> Box<InviteFacts> {
    let text = format!("INVITE sip:+12025550142@192.0.2.1 SIP/2.0\r\n{HEAD}");
    let message = sip::Message::scan(text.as_bytes()).unwrap();
    let plan = NumberPlan::default();
    let Facts::Invite(mut facts) = Facts::of_invite(&message, CallVerdict::default(), &plan, &[])
    else {
        panic!("an INVITE")
    };
    (facts.verdict.validation, facts.verdict.identities) = (validation, 1);
    facts
}

fn judged(flow: Flow, facts: Facts, wanting: Option<Box<Wanting>>) -> Judged {
    Judged {
        seq: 0,
        at: Timestamp::from_secs(1_000),
        flow,
        sensor: 0,
        facts: Ok(facts),
        evidence: None,
        wanting,
    }
}

/// What comes out of a call that waited: validation, whether the downstream's refusal says the opposite, and how often that was counted.
fn waited(then: Option<Validation>) -> (Validation, bool, u64) {
    let mut c = collector();
    let message = wire::Message {
        seq: 0,
        at: Timestamp::from_secs(1_000),
        flow: flow(),
        sensor: 0,
        bytes: Vec::new(),
        cut: None,
    };
    let wants = smallvec::smallvec![Want::Missing("https://cert.example.net/a.pem".into())];
    let wanting = Some(Box::new(Wanting { wants, message }));
    let facts = Facts::Invite(invite(Validation::Undetermined));
    c.handle(judged(flow(), facts, wanting));
    let refusal = format!("SIP/2.0 438 Invalid Identity Header\r\n{HEAD}");
    let refusal = Facts::of_other(&sip::Message::scan(refusal.as_bytes()).unwrap());
    c.handle(judged(flow().reversed(), refusal, None));
    assert_eq!(
        c.poll_output(),
        None,
        "neither half before the call goes on"
    );
    let uid = c.poll_parked().unwrap().uid;
    c.handle_released(Released {
        uid,
        facts: then.map(invite),
        evidence: None,
        why: Why::Certificate,
    });
    let (Some(Output::Begin(begin)), Some(Output::End(end))) = (c.poll_output(), c.poll_output())
    else {
        panic!("first half, then second half")
    };
    assert_eq!((end.code, c.held()), (438, 0));
    let counted = c.tallies().values().map(|t| t.refusal_disagrees).sum();
    (begin.verdict.validation, end.disagrees, counted)
}

#[test]
fn m2_what_was_said_of_a_call_while_it_waited_is_held_against_its_later_verdict() {
    use Validation::{Failed, Passed, Undetermined};
    assert_eq!(waited(Some(Passed)), (Passed, true, 1));
    assert_eq!(waited(Some(Failed)), (Failed, false, 0));
    assert_eq!(waited(None), (Undetermined, false, 0));
}

/// A collector that knows us and, by a technical prefix at the same address, a reseller and its host.
fn with_neighbours() -> Collector {
    let rule = |name: &str, peer, net: &str| PeerRule {
        networks: vec![net.parse().unwrap()],
        ..PeerRule::new(name, peer)
    };
    let peers = vec![
        Peer::new("us", PeerKind::Own),
        Peer::new("host", PeerKind::Provider),
        Peer::new("reseller", PeerKind::Provider),
    ];
    let rules = vec![
        rule("us", 0, "192.0.2.0/28"),
        PeerRule {
            tech_prefix: Some("77#".into()),
            macs: vec![[2; 6]],
            ..rule("by-prefix", 2, "198.51.100.0/28")
        },
        rule("host", 1, "198.51.100.0/28"),
    ];
    let mut c = collector();
    c.settings.peers = Arc::new(PeerTable::new(peers, rules, 1));
    c
}

fn begun(c: &mut Collector, called: &str, flow: Flow) -> Begin {
    let text = format!("INVITE sip:{called}@192.0.2.1 SIP/2.0\r\n{HEAD}")
        .replace("Call-ID: 1", &format!("Call-ID: {called}"));
    let message = sip::Message::scan(text.as_bytes()).unwrap();
    let plan = NumberPlan::default();
    let facts = Facts::of_invite(&message, CallVerdict::default(), &plan, &[]);
    c.handle(judged(flow, facts, None));
    let begin = std::iter::from_fn(|| c.poll_output()).find_map(|o| match o {
        Output::Begin(begin) => Some(*begin),
        _ => None,
    });
    begin.unwrap()
}

#[test]
fn a_technical_prefix_comes_off_by_the_rule_that_asks_for_it_alone() {
    let mut c = with_neighbours();
    let by_reseller = Flow {
        macs: Macs {
            source: Some([2; 6]),
            destination: None,
        },
        ..flow()
    };
    let called = |b: &Begin| b.numbers.called.map(|t| t.as_str().to_owned());
    let number = Some("12025550142".to_owned());
    let b = begun(&mut c, "77%2312025550142", by_reseller.clone());
    assert_eq!(
        (b.peer.as_deref(), called(&b)),
        (Some("reseller"), number.clone())
    );
    assert_eq!((b.numbers.to, b.called_text.as_deref()), (None, None));
    let a = &b.attribution;
    assert_eq!(
        (a.tech_prefix.as_deref(), a.mac, a.shared),
        (Some("77#"), Some([2; 6]), true)
    );
    assert!(a.keys.contains(PeerKey::TechPrefix) && a.keys.contains(PeerKey::Networks));
    // Of anybody else it is what was dialled.
    let b = begun(&mut c, "77%2312025550143", flow());
    assert_eq!(b.peer.as_deref(), Some("host"));
    assert_eq!(called(&b).as_deref(), Some("77#12025550143"));
    assert_eq!(
        (b.attribution.tech_prefix, b.attribution.shared),
        (None, false)
    );
    let b = begun(&mut c, "12025550142", by_reseller);
    assert_eq!((b.peer.as_deref(), called(&b)), (Some("host"), number));
    assert!(b.attribution.shared);
    assert!(c.unknown().is_empty());
}

#[test]
fn addresses_that_no_rule_knows_are_listed() {
    let mut c = with_neighbours();
    let stranger = Flow {
        source: "203.0.113.9:5071".parse().unwrap(),
        ..flow()
    };
    for called in ["12025550142", "12025550143"] {
        let b = begun(&mut c, called, stranger.clone());
        assert_eq!((b.peer, b.attribution), (None, Default::default()));
    }
    // What we hand on to a stranger is no stranger's call.
    begun(&mut c, "12025550144", stranger.reversed());
    let all = c.unknown().busiest();
    assert_eq!(all.len(), 1);
    assert_eq!((all[0].calls, all[0].socket), (2, stranger.source));
}

/// A call's 200 and BYE still belong to it when the rules have moved meanwhile.
#[test]
fn an_open_call_keeps_its_answers_over_a_reload() {
    for kept in [true, false] {
        let mut c = with_neighbours();
        let begin = begun(&mut c, "12025550142", flow());
        let old = c.settings.peers.clone();
        let (mut peers, mut rules) = (old.peers.clone(), old.rules.clone());
        peers.push(Peer::new("new", PeerKind::Provider));
        let network = vec!["203.0.113.0/28".parse().unwrap()];
        rules.insert(
            0,
            PeerRule {
                networks: network,
                ..PeerRule::new("new", 3)
            },
        );
        // The counter-test: under another name it is another rule.
        if !kept {
            rules[2].name = "renamed".into();
        }
        let peers = Arc::new(PeerTable::new(peers, rules, 2));
        c.handle_settings(CollectSettings {
            peers,
            ..c.settings.clone()
        });
        let head = HEAD.replace("Call-ID: 1", "Call-ID: 12025550142");
        let head = head.replace("@example.com>", "@example.com>;tag=2");
        let answer = format!("SIP/2.0 200 OK\r\n{head}");
        let bye = format!("BYE sip:1@192.0.2.1 SIP/2.0\r\n{head}");
        let bye = bye.replace("CSeq: 1 INVITE", "CSeq: 2 BYE");
        for (text, flow) in [(answer, flow().reversed()), (bye, flow())] {
            let facts = Facts::of_other(&sip::Message::scan(text.as_bytes()).unwrap());
            c.handle(judged(flow, facts, None));
        }
        let ends: Vec<_> = std::iter::from_fn(|| c.poll_output())
            .filter_map(|o| match o {
                Output::End(end) => Some((end.uid, end.code, end.released_by.is_some())),
                _ => None,
            })
            .collect();
        let expected = [(begin.uid, 200, false), (begin.uid, 200, true)];
        assert_eq!(ends, if kept { &expected[..] } else { &[] });
    }
}
