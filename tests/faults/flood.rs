//! A portal that sends more than it may, as fast as it can.

use std::collections::BTreeMap;
use std::env;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::house::{House, PortalLines};
use crate::portal::Portal;
use crate::web::Say;

/// As many as the requirement says; `TRACEHOP_REQUESTS` sets another number.
const REQUESTS: usize = 100_000;

#[test]
fn a_hundred_thousand_requests_are_each_taken_or_refused_with_a_reason() {
    const THREADS: usize = 8;
    let all = env::var("TRACEHOP_REQUESTS")
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(REQUESTS);
    let honest = Portal::new("honest", |_, _| Say::Close);
    honest.is_well(true);
    let mut flood = PortalLines::pushes("flood");
    // More than its room, so that both bounds are met: a thousand a second may come.
    flood.lines = "requests_per_minute = 60000\n".to_owned();
    let house = House::new("open_requests = 1000\n", &[flood, honest.lines()]);
    let mut daemon = house.start();
    house.is_up();
    let before = daemon.rss();
    let begun = Instant::now();
    let next = AtomicUsize::new(0);
    let (codes, honest_times, most) = thread::scope(|scope| {
        let (house, next) = (&house, &next);
        let senders: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(move || {
                    let mut codes = BTreeMap::<u16, usize>::new();
                    loop {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        if n >= all {
                            return codes;
                        }
                        let reply = house.created("flood", &format!("F-{n}"));
                        if reply.code != 202 {
                            assert!(
                                reply.head.contains("retry-after: ")
                                    && reply.body.contains("\"detail\""),
                                "{reply:?}"
                            );
                        }
                        *codes.entry(reply.code).or_default() += 1;
                    }
                })
            })
            .collect();
        let (mut times, mut most, mut n) = (Vec::new(), before, 0);
        while !senders.iter().all(thread::ScopedJoinHandle::is_finished) {
            n += 1;
            let id = format!("HR-{n}");
            let asked = Instant::now();
            assert_eq!(house.created("honest", &id).code, 202);
            let took = honest.wait_for(&id, 1, Duration::from_secs(60));
            assert!(took.is_some(), "{id} is not answered\n{}", house.log());
            times.push(asked.elapsed());
            most = most.max(daemon.rss());
            thread::sleep(Duration::from_millis(500));
        }
        let mut codes = BTreeMap::<u16, usize>::new();
        for (code, n) in senders.into_iter().flat_map(|s| s.join().unwrap()) {
            *codes.entry(code).or_default() += n;
        }
        times.sort_unstable();
        (codes, times, most)
    });
    let took = begun.elapsed();
    println!("{all} requests in {took:?}: {codes:?}; memory {before} KiB, {most} KiB at most");
    println!(
        "{} honest ones meanwhile: median {:?}, longest {:?}",
        honest_times.len(),
        honest_times[honest_times.len() / 2],
        honest_times.last().unwrap()
    );
    assert_eq!(codes.values().sum::<usize>(), all);
    assert!(
        codes.keys().all(|c| [202, 429, 503].contains(c)),
        "{codes:?}"
    );
    assert_eq!(codes[&202], 500.min(all), "its half of the room");
    assert!(most - before < 64 << 10, "{before} to {most} KiB");
    let (_, in_order) = daemon.stop();
    assert!(in_order, "{}", house.log());
    let lines = house.audit_holds() as usize;
    let taken = codes[&202] + honest_times.len();
    assert!(lines < 12 * taken, "{lines} lines for {taken} requests");
    let state = house.folder().join("state");
    let disk = disk(&state);
    println!("{lines} lines of audit, {} KiB on disk", disk >> 10);
    assert!(disk < 64 << 20, "{disk} octets");
}

fn disk(folder: &std::path::Path) -> u64 {
    let all = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    all.map(|e| match e.metadata().unwrap() {
        m if m.is_dir() => disk(&e.path()),
        m => m.len(),
    })
    .sum()
}
