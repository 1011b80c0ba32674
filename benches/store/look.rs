//! Looking up, with the file cache dropped before each question and warm.

use std::path::Path;
use std::time::{Duration, Instant};

use tracehop::base::Timestamp;
use tracehop::number::Tn;
use tracehop::store::embedded::{EmbeddedStore, StoreReader};
use tracehop::store::{Lookup, Role};
use tracehop::traceback::window::{PAIRING_REACH, Purpose, ladder};

use super::machine::{drop_cache, octets, quantiles};
use super::made::{self, Random};
use super::merge;
use super::write;

/// Questions of each kind.
pub const QUESTIONS: u64 = 200;
/// Half of four minutes.
pub const HALF: Duration = Duration::from_secs(120);

/// Sizes from 10^6 on, tenfold each, and the one asked for.
pub fn sizes(records: u64) -> Vec<u64> {
    let powers = (6..).map(|p| 10_u64.pow(p)).take_while(|n| *n < records);
    powers.chain([records]).collect()
}

pub fn measure(folder: &Path, records: u64, look_ups: bool, compaction: bool) {
    for size in sizes(records) {
        let store = folder.join(size.to_string());
        if !store.exists() {
            write::fill(&store, size);
        }
        if look_ups {
            ask(&store, size, "as sealed");
        }
        if compaction {
            merge::measure(&store, size);
            if look_ups {
                ask(&merge::copy_of(&store), size, "merged by the hour");
            }
        }
    }
}

fn ask(folder: &Path, records: u64, how: &str) {
    let (store, _) = EmbeddedStore::open_read_only(folder).unwrap();
    println!(
        "### Looking up in {records} records, {how} ({:.1} GB)\n",
        octets(folder, "") as f64 / 1e9
    );
    println!(
        "| | cold: median | 99 of 100 | longest | warm: median | 99 of 100 | records found: median | 99 of 100 | most |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let mut draw = Random::of(7);
    let uids: Vec<u64> = (0..QUESTIONS).map(|_| 1 + draw.below(records)).collect();
    row(&store, "called + 4 minutes", &uids, &|store, uid| {
        let b = made::begin(uid);
        let called = b.numbers.called.unwrap();
        let found = store
            .by_called(called, b.at.minus(HALF), b.at.plus(HALF))
            .unwrap();
        assert!(found.iter().any(|c| c.begin == b));
        found.len()
    });
    row(&store, "calling + 4 minutes", &uids, &|store, uid| {
        let b = made::begin(uid);
        let from = b.numbers.from.unwrap();
        let found = store
            .by_calling(from, b.at.minus(HALF), b.at.plus(HALF))
            .unwrap();
        assert!(found.iter().any(|c| c.begin == b));
        found.len()
    });
    let slips = slips(Timestamp::from_secs(0)).len();
    row(
        &store,
        &format!("called, {slips} windows of wrong time zones"),
        &uids,
        &|store, uid| {
            let b = made::begin(uid);
            let called = b.numbers.called.unwrap();
            slips_of(store, called, b.at)
        },
    );
    row(
        &store,
        "calling, counted over ±12 hours",
        &uids,
        &|store, uid| {
            let b = made::begin(uid);
            let half = Duration::from_secs(12 * 3_600);
            let from = b.numbers.from.unwrap();
            store
                .count(Role::Calling, from, b.at.minus(half), b.at.plus(half))
                .unwrap() as usize
        },
    );
    by_rows(&store, records);
    println!();
}

fn slips(at: Timestamp) -> Vec<(Timestamp, Timestamp)> {
    let windows = ladder(at, 0.0).into_iter();
    windows
        .filter(|w| matches!(w.purpose, Purpose::Slip(_)))
        .map(|w| (w.from.minus(PAIRING_REACH), w.until.plus(PAIRING_REACH)))
        .collect()
}

fn slips_of(store: &StoreReader, called: Tn, at: Timestamp) -> usize {
    slips(at)
        .into_iter()
        .map(|(from, until)| store.by_called(called, from, until).unwrap().len())
        .sum()
}

/// Once with footers at hand as in a daemon that runs, cold each time; then warm.
fn row(store: &StoreReader, what: &str, uids: &[u64], ask: &dyn Fn(&StoreReader, u64) -> usize) {
    let mut found: Vec<usize> = uids.iter().map(|uid| ask(store, *uid)).collect();
    let mut times: Vec<Duration> = uids
        .iter()
        .map(|uid| {
            drop_cache();
            timed(store, *uid, ask)
        })
        .collect();
    let (p50, p99, longest) = quantiles(&mut times);
    for uid in uids {
        ask(store, *uid);
    }
    let mut times: Vec<Duration> = uids.iter().map(|uid| timed(store, *uid, ask)).collect();
    let (warm, warm99, _) = quantiles(&mut times);
    found.sort_unstable();
    let at = |q: f64| found[((found.len() - 1) as f64 * q).ceil() as usize];
    println!(
        "| {what} | {p50:.1} | {p99:.1} | {longest:.1} | {warm:.1} | {warm99:.1} | {} | {} | {} |",
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

fn timed(store: &StoreReader, uid: u64, ask: &dyn Fn(&StoreReader, u64) -> usize) -> Duration {
    let start = Instant::now();
    ask(store, uid);
    start.elapsed()
}

/// Calling look-ups by how many records they find: the busiest callers, with windows as long as it takes.
fn by_rows(store: &StoreReader, records: u64) {
    let mut draw = Random::of(11);
    for want in [42_usize, 100, 400] {
        let mut times = Vec::new();
        let mut rows = Vec::new();
        for _ in 0..4_000 {
            if times.len() >= 50 {
                break;
            }
            let b = made::begin(1 + draw.below(records));
            let from = b.numbers.from.unwrap();
            let (first, last) = (b.at.minus(HALF), b.at.plus(HALF));
            let count = store.count(Role::Calling, from, first, last).unwrap() as usize;
            // What is rare in four minutes is looked for in longer ones.
            let factor = (want as f64 / count as f64).clamp(0.1, 4.0);
            let half = HALF.mul_f64(factor);
            let (first, last) = (b.at.minus(half), b.at.plus(half));
            let count = store.count(Role::Calling, from, first, last).unwrap() as usize;
            if count.abs_diff(want) > want / 5 {
                continue;
            }
            drop_cache();
            let start = Instant::now();
            rows.push(store.by_calling(from, first, last).unwrap().len());
            times.push(start.elapsed());
        }
        if times.is_empty() {
            continue;
        }
        let asked = times.len();
        let (p50, p99, longest) = quantiles(&mut times);
        rows.sort_unstable();
        println!(
            "| calling, about {want} records within 16 minutes, {asked} questions | {p50:.1} | {p99:.1} | {longest:.1} | | | {} | | {} |",
            rows[rows.len() / 2],
            rows[rows.len() - 1]
        );
    }
}
