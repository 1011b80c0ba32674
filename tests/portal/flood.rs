//! A provider, and somebody whom nobody knows, who send as much as they can: others are served, memory stays what it is, and every request has its reply.

use std::collections::BTreeMap;
use std::env;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::house::{Machine, Portal};

/// As many as the requirement says; `TRACEHOP_REQUESTS` sets another number.
const REQUESTS: usize = 100_000;

#[test]
fn a_hundred_thousand_requests_are_answered_and_others_are_served() {
    const THREADS: usize = 8;
    let all = env::var("TRACEHOP_REQUESTS")
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(REQUESTS);
    let portal = Portal::new("");
    let (flood, honest) = (portal.machine("FLOOD", 1), portal.machine("HONEST", 2));
    let running = portal.start();
    let before = running.rss();
    let next = AtomicUsize::new(0);
    let begun = Instant::now();
    let (codes, mut times, most) = thread::scope(|scope| {
        let senders: Vec<_> = (0..THREADS)
            .map(|_| scope.spawn(|| flooded(&portal, &flood, &next, all)))
            .collect();
        let (mut times, mut most) = (Vec::new(), before);
        while !senders.iter().all(thread::ScopedJoinHandle::is_finished) {
            let asked = Instant::now();
            let reply = honest.get("/v1/providers/HONEST/hop-requests?state=open");
            assert_eq!(reply.expect("no reply to who is honest").code, 200);
            times.push(asked.elapsed());
            most = most.max(running.rss());
            thread::sleep(Duration::from_millis(20));
        }
        let mut codes = BTreeMap::<u16, usize>::new();
        for sender in senders {
            for (code, n) in sender.join().unwrap() {
                *codes.entry(code).or_default() += n;
            }
        }
        (codes, times, most)
    });
    times.sort();
    println!(
        "{all} in {} s: {codes:?}; who is honest waits {} ms at the median, {} ms at most; {} MB more",
        begun.elapsed().as_secs(),
        times[times.len() / 2].as_millis(),
        times[times.len() - 1].as_millis(),
        most.saturating_sub(before) >> 20
    );
    assert_eq!(codes.values().sum::<usize>(), all, "{codes:?}");
    let allowed = [200, 401, 404, 413, 422, 429];
    assert!(codes.keys().all(|c| allowed.contains(c)), "{codes:?}");
    assert!(times[times.len() - 1] < Duration::from_secs(2), "{times:?}");
    assert!(
        most.saturating_sub(before) < 64 << 20,
        "{most} after {before}"
    );
    assert!(running.stop(), "{}", portal.logs());
    let done = portal.command(&[
        "audit",
        "verify",
        "--portal",
        portal.config().to_str().unwrap(),
    ]);
    assert!(done.status.success(), "{done:?}");
}

fn flooded(
    portal: &Portal,
    machine: &Machine,
    next: &AtomicUsize,
    all: usize,
) -> BTreeMap<u16, usize> {
    let mut codes = BTreeMap::new();
    let garbage = vec![b'{'; 4_096];
    loop {
        let n = next.fetch_add(1, Ordering::Relaxed);
        if n >= all {
            return codes;
        }
        let reply = match n % 5 {
            0 => machine.get("/v1/providers/FLOOD/events?cursor=0"),
            1 => machine.send(
                "PUT",
                &format!("/v1/hop-requests/TB-2026-{n:06}-01/answers/x"),
                &garbage,
            ),
            2 => portal.send("POST", "/v1/tracebacks", "", &garbage),
            3 => portal.get("thp_nobody", "/v1/providers/FLOOD/hop-requests"),
            _ => machine.send(
                "POST",
                &format!("/v1/providers/FLOOD/reports/{n}"),
                &garbage,
            ),
        };
        let reply = reply.unwrap_or_else(|| panic!("{n}: no reply"));
        *codes.entry(reply.code).or_default() += 1;
    }
}
