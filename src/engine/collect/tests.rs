//! Calls that wait, and what is said of them meanwhile.

use super::*;
use crate::call::record::ClockSource;
use crate::number::NumberPlan;
use crate::stir::verify::{CallVerdict, Validation, Want};
use crate::wire::{self, Provenance, Transport, Vlans, sip};

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
