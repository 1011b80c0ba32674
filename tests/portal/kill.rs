//! kill -9 at any point, under traffic: no question is lost, none is asked twice, each answer is taken once, and the audit log holds.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::house::{AGENCY, Machine, Portal};

/// How often it is killed.
const KILLS: usize = 50;
/// Providers on every path.
const HOPS: usize = 5;
/// Cases under way at once.
const AT_ONCE: usize = 20;
/// Cases between two kills at most: however fast the disk is, there are some at the last one, and the portal lists them all.
const A_KILL: usize = 18;
/// Cases in all, at least.
const LEAST: usize = 30;

/// Raises the flag in the end, also where the test fails: a thread that waits for it would wait for ever.
struct Raise<'a>(&'a AtomicBool);

impl Drop for Raise<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn no_question_is_lost_and_none_asked_twice_however_often_the_portal_is_killed() {
    let portal = Portal::new("");
    let machines: Vec<Machine> = (0..HOPS)
        .map(|n| portal.machine(&format!("C{n}"), n as u8 + 1))
        .collect();
    let (enough, over) = (AtomicBool::new(false), AtomicBool::new(false));
    let (cases, handed) = (Mutex::new(BTreeSet::new()), AtomicUsize::new(0));
    let killed = AtomicUsize::new(0);
    let mut seed = 0x2545_f491_4f6c_dd1du64;
    thread::scope(|scope| {
        let _raised = [Raise(&enough), Raise(&over)];
        for (n, machine) in machines.iter().enumerate() {
            let over = &over;
            scope.spawn(move || answer_all(machine, n, over));
        }
        let handing = scope.spawn(|| {
            while !enough.load(Ordering::Relaxed) || cases.lock().unwrap().len() < LEAST {
                let open = portal
                    .docket()
                    .tracebacks(Some("open"), 1_000)
                    .unwrap()
                    .len();
                let most = (killed.load(Ordering::Relaxed) + 1) * A_KILL;
                match open < AT_ONCE && cases.lock().unwrap().len() < most {
                    true => hand_in(&portal, &handed, &cases),
                    false => thread::sleep(Duration::from_millis(10)),
                }
            }
        });
        for _ in 0..KILLS {
            let running = portal.start();
            // xorshift: anywhere between nothing and a third of a second.
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            thread::sleep(Duration::from_micros(seed % 330_000));
            running.kill();
            killed.fetch_add(1, Ordering::Relaxed);
        }
        let running = portal.start();
        enough.store(true, Ordering::Relaxed);
        handing.join().unwrap();
        // Everything that was handed in comes to its end.
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let all = portal.docket().tracebacks(None, 1_000).unwrap();
            if all.iter().all(|c| c.state == "closed") {
                break;
            }
            assert!(Instant::now() < until, "{all:#?}\n{}", portal.logs());
            thread::sleep(Duration::from_millis(50));
        }
        over.store(true, Ordering::Relaxed);
        assert!(running.stop(), "{}", portal.logs());
    });
    let all = portal.docket().tracebacks(None, 1_000).unwrap();
    println!("{} cases over {KILLS} kills", all.len());
    // What was told to be taken is there.
    let known: BTreeSet<String> = all.iter().map(|c| c.id.clone()).collect();
    let told = cases.lock().unwrap();
    assert!(told.is_subset(&known), "{:?}", told.difference(&known));
    for case in &all {
        let found = portal.docket().traceback(&case.id, None).unwrap();
        assert_eq!(case.outcome.as_deref(), Some("originator"), "{found:#?}");
        assert!(case.verified, "{found:#?}");
        let asked: Vec<_> = found.path.iter().map(|s| &*s.provider).collect();
        assert_eq!(asked, ["C0", "C1", "C2", "C3", "C4"], "{found:#?}");
        assert_eq!(portal.docket().answers_of(&case.id).unwrap().len(), HOPS);
    }
    let config = portal.config();
    let done = portal.command(&[
        "audit",
        "verify",
        "--portal",
        config.to_str().unwrap(),
        "--json",
    ]);
    assert!(done.status.success(), "{done:?}");
}

/// Hands one request in, again and again until the portal has it.
fn hand_in(portal: &Portal, handed: &AtomicUsize, cases: &Mutex<BTreeSet<String>>) {
    let n = handed.fetch_add(1, Ordering::Relaxed);
    let number = format!("+1202555{:04}", 100 + n % 100);
    let at = tracehop::host::clock::now().minus(Duration::from_secs(7_200 + 60 * n as u64));
    let body = json!({ "called": number, "calling": "+13035550147", "time": at.to_string(), "provider": "C0", "campaign": "Test", "evidence": "A voice." });
    for _ in 0..400 {
        let reply = portal.send(
            "POST",
            "/v1/tracebacks",
            AGENCY,
            body.to_string().as_bytes(),
        );
        match reply.map(|r| (r.code, r.body)) {
            Some((201, text)) => {
                let text: Value = serde_json::from_str(&text).unwrap();
                cases
                    .lock()
                    .unwrap()
                    .insert(text["case"].as_str().unwrap().to_owned());
                return;
            }
            // It was taken, and the reply was lost.
            Some((409, _)) => return,
            Some((503, _)) | None => thread::sleep(Duration::from_millis(20)),
            other => panic!("{other:?}"),
        }
    }
    panic!("nobody takes it:\n{}", portal.logs());
}

/// A provider's machine: receipts and answers, each sent until it is taken, and sometimes once more.
fn answer_all(machine: &Machine, n: usize, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        let Some(questions) = machine.questions() else {
            thread::sleep(Duration::from_millis(10));
            continue;
        };
        if questions.is_empty() {
            thread::sleep(Duration::from_millis(10));
        }
        for question in questions {
            let question = question.get();
            let (resolution, names) = match n + 1 == HOPS {
                true => ("ORIGIN_END_CUSTOMER", "Acme Calls".to_owned()),
                false => ("UPSTREAM_DOMESTIC", format!("C{}", n + 1)),
            };
            let (id, octets) = machine.answer(question, resolution, &names);
            let mut taken = 0;
            while taken < 2 && !over.load(Ordering::Relaxed) {
                match machine
                    .put(question, &id, &octets)
                    .map(|r| (r.code, r.body))
                {
                    Some((200 | 201, _)) => taken += 1,
                    Some((503, _)) | None => thread::sleep(Duration::from_millis(10)),
                    other => panic!("{}: {other:?}", machine.id),
                }
            }
        }
    }
}
