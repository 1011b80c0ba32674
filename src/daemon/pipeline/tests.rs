//! The stages on threads, steered as a daemon steers them.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::*;
use crate::call::classify::{Flag, FlagMemory};
use crate::call::peer::PeerTable;
use crate::call::record::{Clock, ClockSource, State};
use crate::daemon::keeper::Keeper;
use crate::daemon::open_calls;
use crate::engine::collect::PANICS;
use crate::engine::judge::Wanting;
use crate::engine::park::Why;
use crate::host::clock;
use crate::number::Tn;
use crate::stir::verify::Want;
use crate::store::Lookup as _;
use crate::store::embedded::{GroupCommit, StateSeal, StoreSettings};
use crate::wire::test_support;

/// Hands on what the test sends.
struct Told(Receiver<Vec<Message>>, bool);

impl Intake for Told {
    fn fill(&mut self, batch: &mut Batch<Message>, _: Pressure) -> bool {
        batch.verify = self.1;
        match self.0.recv_timeout(Duration::from_millis(10)) {
            Ok(messages) => batch.items.extend(messages),
            Err(crossbeam_channel::RecvTimeoutError::Timeout) => {}
            Err(crossbeam_channel::RecvTimeoutError::Disconnected) => return false,
        }
        true
    }
}

fn invite(n: u32, sensor: u16) -> Message {
    let text = format!(
        "INVITE sip:+12025550142@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.1;branch=z9hG4bK{n}\r\n\
         From: <sip:+12025550123@example.net>;tag=1\r\nTo: <sip:+12025550142@example.com>\r\nCall-ID: {n}@example.net\r\n\
         CSeq: 1 INVITE\r\nIdentity: e30.e30.;info=<https://cert.example.net/a.pem>;alg=ES256;ppt=shaken\r\n\r\n"
    );
    let mut message = test_support::message(clock::now(), text.as_bytes());
    message.sensor = sensor;
    message
}

struct Daemon {
    folder: tempfile::TempDir,
    orders: Sender<Order>,
    board: Arc<Board>,
    settings: PipelineSettings,
}

impl Daemon {
    fn new() -> Self {
        let (orders, from) = bounded(4);
        let board = Arc::<Board>::default();
        let settings = PipelineSettings {
            judges: 2,
            credentials: Arc::default(),
            verify: Arc::default(),
            collect: CollectSettings {
                plan: Default::default(),
                peers: Arc::default(),
                flags: Default::default(),
                window: Duration::from_secs(60),
                sensors: vec![Sensor {
                    name: "edge".into(),
                    provenance: Provenance::Wire,
                }],
                clock: Clock {
                    source: ClockSource::Free,
                    error_ns: 1,
                },
                config: 1,
                behaviour: Default::default(),
                campaign: Default::default(),
                limits: AttemptLimits::default(),
            },
            assemble: AssembleLimits::default(),
            evidence: EvidenceKept::None,
            group_commit: GroupCommit::default(),
            fetch: None,
            findings: None,
            live: Some(Live {
                credentials: Arc::new(ArcSwap::default()),
                verify: Arc::new(ArcSwap::default()),
                orders: from,
                board: board.clone(),
                hurry: Arc::new(AtomicBool::new(false)),
                carried: Arc::default(),
            }),
        };
        Self {
            folder: tempfile::tempdir().unwrap(),
            orders,
            board,
            settings,
        }
    }

    fn keeper(&self) -> Keeper {
        let path = self.folder.path().join("store");
        Keeper::open(path, StoreSettings::default(), clock::now).unwrap()
    }

    /// The same after a restart.
    fn again(mut self) -> Self {
        let (orders, from) = bounded(4);
        let before = open_calls::load(self.folder.path(), &StateSeal::default());
        let live = self.settings.live.as_mut().unwrap();
        live.orders = from;
        live.carried = Arc::new(Carried::new(before, FlagMemory::default()));
        Self { orders, ..self }
    }

    /// Runs with these messages and gives the report and the calls in the store.
    fn run(
        &self,
        verify: bool,
        messages: Vec<Message>,
    ) -> (Report, Vec<crate::call::record::StoredCall>) {
        let (to, from) = unbounded();
        to.send(messages).unwrap();
        drop(to);
        let mut keeper = self.keeper();
        let report = run_intake(&self.settings, &mut keeper, &mut Told(from, verify)).unwrap();
        let called = Tn::from_canonical(b"12025550142").unwrap();
        let calls = keeper
            .by_called(called, Timestamp::MIN, Timestamp::MAX)
            .unwrap();
        keeper.close();
        let live = self.settings.live.as_ref().unwrap();
        if let Some(snapshot) = live.carried.take_after() {
            open_calls::save(self.folder.path(), &StateSeal::default(), &snapshot);
        }
        (report, calls)
    }
}

/// What follows an INVITE: an answer to it, or the caller's BYE.
fn then(start: &str, n: u32, cseq: &str, secs: u64) -> Message {
    let text = format!(
        "{start}\r\nVia: SIP/2.0/UDP 198.51.100.1;branch=z9hG4bK{n}\r\nFrom: <sip:+12025550123@example.net>;tag=1\r\n\
         To: <sip:+12025550142@example.com>;tag=2\r\nCall-ID: {n}@example.net\r\nCSeq: {cseq}\r\n\r\n"
    );
    let mut message = test_support::message(clock::now(), text.as_bytes());
    message.at = message.at.plus(Duration::from_secs(secs));
    if start.starts_with("SIP/2.0") {
        message.flow = message.flow.reversed();
    }
    message
}

#[test]
fn a_call_that_a_restart_cuts_in_two_is_one_record_with_its_duration() {
    let d = Daemon::new();
    let answer = then("SIP/2.0 200 OK", 1, "1 INVITE", 0);
    let (_, calls) = d.run(true, vec![invite(1, 0), answer, invite(2, 0)]);
    let states: Vec<_> = calls
        .iter()
        .map(|c| c.end.as_ref().unwrap().state)
        .collect();
    assert_eq!(states, [State::Answered, State::Unfinished]);
    let d = d.again();
    let bye = then("BYE sip:a@192.0.2.1 SIP/2.0", 1, "2 BYE", 30);
    let busy = then("SIP/2.0 486 Busy Here", 2, "1 INVITE", 31);
    let (report, calls) = d.run(true, vec![bye, busy, invite(3, 0)]);
    assert_eq!((report.attempts.resumed, report.attempts.orphans), (2, 0));
    assert_eq!(calls.len(), 3, "no record twice");
    let ends: Vec<_> = calls.iter().map(|c| c.end.as_ref().unwrap()).collect();
    let states: Vec<_> = ends.iter().map(|e| (e.state, e.code)).collect();
    assert_eq!(
        states,
        [
            (State::Answered, 200),
            (State::Failed, 486),
            (State::Unfinished, 0)
        ]
    );
    let duration = ends[0].duration_ms.unwrap();
    assert!((29_900..40_000).contains(&duration), "{duration}");
    // The one that is open now goes on; those that ended don't.
    let (report, _) = d.again().run(true, vec![]);
    assert_eq!(report.attempts.resumed, 1);
}

#[test]
fn calls_from_before_a_restart_that_can_not_go_on_are_counted() {
    let d = Daemon::new();
    d.run(true, vec![invite(1, 0)]);
    let mut d = d.again();
    d.settings.collect.peers = Arc::new(PeerTable::new(Vec::new(), Vec::new(), 99));
    let (report, calls) = d.run(true, vec![then("BYE sip:a@b SIP/2.0", 1, "2 BYE", 30)]);
    let a = report.attempts;
    assert_eq!((a.resumed, a.not_resumed, a.orphans), (0, 1, 1));
    assert_eq!(calls[0].end.as_ref().unwrap().state, State::Unfinished);
}

#[test]
fn a_panic_in_collect_costs_one_message_and_is_counted() {
    let d = Daemon::new();
    let (report, calls) = d.run(true, vec![invite(1, 0), invite(2, PANICS), invite(3, 0)]);
    assert_eq!((report.collect_rebuilt, report.collect.panicked), (1, 1));
    assert_eq!(calls.len(), 2);
    assert_eq!(
        report.attempts.evicted, 1,
        "the open attempt was lost, and is counted"
    );
}

#[test]
fn what_flags_remember_is_left_for_the_next_run() {
    let emergency = |n| {
        let mut message = invite(n, 0);
        let text = String::from_utf8(message.bytes).unwrap();
        message.bytes = text
            .replace("INVITE sip:+12025550142@", "INVITE sip:911@")
            .into_bytes();
        message
    };
    let first = Daemon::new();
    let (report, _) = first.run(true, vec![emergency(1)]);
    assert_eq!(report.memory.callers, 1);
    let left = first.settings.live.as_ref().unwrap().carried.take_memory();
    let second = Daemon::new();
    let live = second.settings.live.as_ref().unwrap();
    live.carried.leave_memory(left.unwrap());
    let mut back = invite(2, 0);
    let text = String::from_utf8(back.bytes).unwrap();
    // The caller of before is called.
    let text = text.replace("sip:+12025550142@", "sip:+12025550123@");
    back.bytes = text
        .replace("From: <sip:+12025550123", "From: <sip:+12125550100")
        .into_bytes();
    let (report, _) = second.run(true, vec![back]);
    assert_eq!(report.memory.callers, 1);
    let tally = report.tallies.values().next().unwrap();
    assert_eq!(tally.flagged(Flag::EmergencyCallback), 1);
}

#[test]
fn calls_that_were_not_checked_are_undetermined_and_say_so() {
    let d = Daemon::new();
    let (_, calls) = d.run(false, vec![invite(1, 0)]);
    let begin = &calls[0].begin;
    assert_eq!(begin.verdict.validation.label(), "undetermined");
    assert!(begin.flags.contains(Flag::NotVerified));
    let (_, calls) = Daemon::new().run(true, vec![invite(1, 0)]);
    assert!(!calls[0].begin.flags.contains(Flag::NotVerified));
}

/// What is flagged is told with its record, and a sink that takes nothing costs no record.
#[test]
fn flagged_calls_are_told_and_a_sink_that_takes_nothing_costs_no_record() {
    use crate::findings::counters::Outcome;
    use crate::findings::{
        FileSettings, Filter, Findings, FindingsSettings, Masking, SinkSettings, Way,
    };
    let mut d = Daemon::new();
    let sink = |name: &str, path: &str, queue| SinkSettings {
        name: name.into(),
        filter: Filter::default(),
        masking: Masking::Full,
        queue,
        way: Way::File(FileSettings {
            path: d.folder.path().join(path),
            octets: 1 << 20,
            keep: 1,
        }),
    };
    let settings = FindingsSettings {
        host: Some("edge-1.example.net".into()),
        sinks: vec![
            sink("good", "findings.jsonl", 1_000),
            sink("bad", "no/such/folder", 1),
        ],
    };
    let findings = Findings::start(&settings).unwrap();
    let view = findings.view();
    d.settings.findings = Some(findings.tap());
    let (report, calls) = d.run(true, (1..=200).map(|n| invite(n, 0)).collect());
    assert_eq!((report.begins, calls.len()), (200, 200));
    findings.stop(std::time::Instant::now() + Duration::from_secs(5));
    let text = std::fs::read_to_string(d.folder.path().join("findings.jsonl")).unwrap();
    let lines = text
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap());
    let uids: Vec<u64> = lines
        .filter(|v| v["type"] == "call")
        .map(|v| v["uid"].as_u64().unwrap())
        .collect();
    let flagged = calls.iter().filter(|c| c.begin.flags.iter().count() > 0);
    assert_eq!(uids, flagged.map(|c| c.begin.uid).collect::<Vec<_>>());
    assert_eq!(
        uids.len(),
        200,
        "each has an Identity header that can't be read"
    );
    let bad = view
        .sinks()
        .into_iter()
        .find(|s| &*s.name == "bad")
        .unwrap();
    assert_eq!(bad.of(Outcome::Delivered), 0);
    assert_eq!(
        bad.told,
        bad.outcomes.iter().map(|(_, _, n)| n).sum::<u64>()
    );
}

#[test]
fn a_step_of_the_clock_ends_what_is_open_and_records_are_durable_within_seconds() {
    let d = Daemon::new();
    let (to, from) = unbounded();
    let mut keeper = d.keeper();
    let health = keeper.health();
    let called = Tn::from_canonical(b"12025550142").unwrap();
    std::thread::scope(|s| {
        let run = s.spawn(|| {
            let report = run_intake(&d.settings, &mut keeper, &mut Told(from, true));
            (report.unwrap(), keeper)
        });
        to.send(vec![invite(1, 0)]).unwrap();
        let seen = |what: &dyn Fn(&Report) -> bool| {
            let begin = std::time::Instant::now();
            while !what(&d.board.report()) {
                assert!(
                    begin.elapsed() < Duration::from_secs(30),
                    "{:?}",
                    d.board.report()
                );
                std::thread::sleep(Duration::from_millis(20));
            }
        };
        seen(&|r| r.begins == 1 && r.ends == 0);
        assert!(health.load().committed.is_some());
        d.orders.send(Order::Step).unwrap();
        seen(&|r| r.ends == 1);
        drop(to);
        let (_, keeper) = run.join().unwrap();
        let calls = keeper
            .by_called(called, Timestamp::MIN, Timestamp::MAX)
            .unwrap();
        assert_eq!(calls[0].end.as_ref().unwrap().state, State::Unfinished);
    });
}

/// Were we to die while a call waits, the ledger must not say that its time was covered: the call has no record yet.
#[test]
fn no_row_of_the_ledger_goes_before_a_call_that_waits_for_its_certificate() {
    let d = Daemon::new();
    let mut keeper = d.keeper();
    let collector = Collector::new(d.settings.collect.clone(), 1).parking(ParkLimits::default());
    let mut c = stage::Collect {
        group_commit: GroupCommit::default(),
        collector,
        store: &mut keeper,
        findings: None,
        report: Report::default(),
        rows: Default::default(),
    };
    let message = invite(1, 0);
    let wants = smallvec::smallvec![Want::Missing("https://cert.example.net/a.pem".into())];
    let mut judged = Judge::new(Arc::default(), Arc::default()).judge(message.clone());
    judged.wanting = Some(Box::new(Wanting {
        wants,
        message: message.clone(),
    }));
    c.collector.handle(judged);
    let row = |from: Timestamp, until: Timestamp| Coverage {
        sensor: "edge".into(),
        from,
        until,
        ..Coverage::default()
    };
    let s = Duration::from_secs;
    let (before, after) = (message.at.minus(s(60)), message.at.plus(s(60)));
    c.rows.push_back(row(before, message.at));
    c.rows.push_back(row(message.at, after));
    c.write_rows().unwrap();
    let rows = |c: &stage::Collect<'_>| c.store.coverage(before, after).unwrap().len();
    assert_eq!(rows(&c), 1);
    let uid = c.collector.poll_parked().unwrap().uid;
    c.release(Released {
        uid,
        facts: None,
        evidence: None,
        why: Why::TimedOut,
    })
    .unwrap();
    c.write_rows().unwrap();
    assert_eq!((rows(&c), c.report.begins), (2, 1));
}
