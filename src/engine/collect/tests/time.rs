//! The wall clock ticks while calls come and go. When it does, and how often, must change no record: a capture that is replayed gives what it gave live.

use proptest::prelude::*;

use super::*;
use crate::call::classify::behaviour::BehaviourSettings;

/// So few calls make a behaviour here that a short capture has all of them.
fn quick() -> BehaviourSettings {
    let mut s = BehaviourSettings::default();
    s.all.high_volume_minute = 4;
    s.all.low_answer_least = 3;
    s.all.low_answer_percent = 60;
    s.all.short_calls_least = 2;
    s.all.short_calls_percent = 30;
    s.all.neighbour_low_answer_least = 4;
    s.all.neighbour_low_answer_percent = 60;
    s.all.flood_number_minute = 3;
    s.all.flood_times_usual = 2;
    s.all.flood_learning_minutes = 5;
    s
}

/// A call: when, how many seconds after the one before; who, of neighbour and strangers; whom; and what became of it.
#[derive(Clone, Debug)]
struct Planned {
    after: u32,
    sender: u8,
    calling: u8,
    called: u8,
    answer: Option<(u32, u16)>,
    bye: Option<u32>,
}

fn planned() -> impl Strategy<Value = Planned> {
    let after = prop_oneof![8 => 0u32..20, 2 => 20u32..400, 1 => 400u32..4_000];
    let answer = proptest::option::of((1u32..250, prop_oneof![Just(200u16), Just(486), Just(301)]));
    (
        after,
        0u8..3,
        0u8..2,
        0u8..2,
        answer,
        proptest::option::of(0u32..700),
    )
        .prop_map(|(after, sender, calling, called, answer, bye)| Planned {
            after,
            sender,
            calling,
            called,
            answer,
            bye,
        })
}

/// Messages by time, as flow and text.
fn messages(plan: &[Planned]) -> Vec<(i64, Flow, String)> {
    let (mut now, mut out) = (10_000i64, Vec::new());
    for (n, p) in plan.iter().enumerate() {
        now += i64::from(p.after);
        let from = ["198.51.100.1:5060", "203.0.113.1:5060", "203.0.113.2:5060"];
        let flow = Flow {
            source: from[usize::from(p.sender)].parse().unwrap(),
            ..flow()
        };
        let head = |tag: &str, cseq: &str| {
            format!(
                "Via: SIP/2.0/UDP 198.51.100.1;branch=z9hG4bK{n}{cseq}\r\nFrom: <sip:+1202555010{}@example.net>;tag=1\r\n\
                 To: <sip:+1202555014{}@example.com>{tag}\r\nCall-ID: {n}@example.net\r\nCSeq: {cseq}\r\n\r\n",
                p.calling, p.called
            )
        };
        let to = format!("sip:+1202555014{}@192.0.2.1 SIP/2.0", p.called);
        out.push((
            now,
            flow.clone(),
            format!("INVITE {to}\r\n{}", head("", "1 INVITE")),
        ));
        let Some((after, code)) = p.answer else {
            continue;
        };
        let answered = now + i64::from(after);
        let answer = format!("SIP/2.0 {code} X\r\n{}", head(";tag=2", "1 INVITE"));
        out.push((answered, flow.reversed(), answer));
        if let Some(after) = p.bye.filter(|_| code == 200) {
            let bye = format!("BYE {to}\r\n{}", head(";tag=2", "2 BYE"));
            out.push((answered + i64::from(after), flow, bye));
        }
    }
    out.sort_by_key(|(at, _, _)| *at);
    out
}

/// Begins, ends and the rest, each in their order.
type Records = (Vec<Begin>, Vec<String>, Vec<String>);

fn records(messages: &[(i64, Flow, String)], ticks: &[Vec<u32>]) -> Records {
    let mut c = with_neighbours();
    c.handle_settings(CollectSettings {
        behaviour: quick(),
        ..c.settings.clone()
    });
    let mut out = Records::default();
    let mut before = 0;
    for (n, (at, flow, text)) in messages.iter().enumerate() {
        // Per mille of the time since the message before.
        for tick in ticks.get(n).into_iter().flatten() {
            let tick = (at - before) * 1_000_000 * i64::from(*tick);
            c.handle_time(
                Timestamp::from_secs(before).plus(Duration::from_nanos(tick.unsigned_abs())),
            );
        }
        before = *at;
        let message = sip::Message::scan(text.as_bytes()).unwrap();
        let plan = NumberPlan::default();
        let facts = match text.starts_with("INVITE") {
            true => Facts::of_invite(&message, CallVerdict::default(), &plan, &[]),
            false => Facts::of_other(&message),
        };
        c.handle(Judged {
            at: Timestamp::from_secs(*at),
            ..judged(flow.clone(), facts, None)
        });
        drain(&mut c, &mut out);
    }
    c.finish();
    drain(&mut c, &mut out);
    out
}

fn drain(c: &mut Collector, (begins, ends, rest): &mut Records) {
    while let Some(output) = c.poll_output() {
        match output {
            Output::Begin(begin) => begins.push(*begin),
            Output::End(end) => ends.push(format!("{end:?}")),
            Output::Evidence(e) => rest.push(format!("{e:?}")),
            Output::Finding(f) => rest.push(format!("{f:?}")),
            Output::Campaign(c) => rest.push(format!("{c:?}")),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn however_the_clock_ticks_the_records_are_the_same(
        plan in proptest::collection::vec(planned(), 1..60),
        ticks in proptest::collection::vec(proptest::collection::vec(0u32..=1_000, 0..4), 0..180),
    ) {
        let messages = messages(&plan);
        let mut ticks = ticks;
        ticks.iter_mut().for_each(|t| t.sort_unstable());
        let (quiet, ticking) = (records(&messages, &[]), records(&messages, &ticks));
        prop_assert_eq!(quiet.0, ticking.0);
        prop_assert_eq!(quiet.1, ticking.1);
        prop_assert_eq!(quiet.2, ticking.2);
    }
}

/// Two strangers under one calling number: what the one does is not the other's doing.
#[test]
fn strangers_are_told_apart_by_their_address() {
    let call = |sender| Planned {
        after: 1,
        sender,
        calling: 0,
        called: 0,
        answer: None,
        bye: None,
    };
    let plan: Vec<_> = (0..60)
        .map(|n| call(if n % 15 == 14 { 2 } else { 1 }))
        .collect();
    let mut c = records(&messages(&plan), &[]).0;
    c.retain(|b| b.flags.contains(crate::call::classify::Flag::HighVolume));
    let of = |last: &str| {
        c.iter()
            .filter(|b| b.source.ip().to_string().ends_with(last))
            .count()
    };
    assert!(of("113.1") > 20, "{}", of("113.1"));
    assert_eq!(of("113.2"), 0);
}
