//! What encryption costs: the same records into a plain store and an encrypted one, by turns, and the same questions to both.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tracehop::store::embedded::{
    EmbeddedStore, KeySource, StoreReader, StoreSettings, make_key_file,
};
use tracehop::store::{Lookup, Store};

use super::look::{HALF, QUESTIONS};
use super::machine::{Since, Spent, drop_cache, octets, quantiles};
use super::made::{self, Event, Events, Random};
use super::write;

/// Records of a burst.
const BURST: u64 = 1_000_000;
const ROUNDS: usize = 5;
/// Events between two commits.
const COMMIT: usize = 100_000;

/// A kind of store and what was measured of it.
struct Kind {
    name: &'static str,
    dir: PathBuf,
    settings: StoreSettings,
    rounds: Vec<Spent>,
}

pub fn measure(folder: &Path) {
    let key = folder.join("key");
    let _ = fs::remove_file(&key);
    make_key_file(&key).unwrap();
    let mut kinds =
        [("plain", None), ("encrypted", Some(KeySource::File(key)))].map(|(name, encryption)| {
            Kind {
                name,
                dir: folder.join(name),
                settings: StoreSettings {
                    encryption,
                    ..write::settings()
                },
                rounds: Vec::new(),
            }
        });
    let events: Vec<Event> = Events::new(BURST, true).collect();
    for _ in 0..ROUNDS {
        for kind in &mut kinds {
            kind.rounds.push(burst(kind, &events));
        }
    }
    println!("### Encryption\n");
    println!("Bursts of {BURST} records with both halves, {ROUNDS} of each by turns, medians.\n");
    println!("| | records/s | µs CPU a record | octets a record on disk |\n|---|---|---|---|");
    let mut rows = Vec::new();
    for kind in &mut kinds {
        kind.rounds.sort_by_key(|s| s.wall);
        let wall = kind.rounds[ROUNDS / 2];
        kind.rounds.sort_by_key(|s| s.cpu);
        let cpu = kind.rounds[ROUNDS / 2];
        let size = octets(&kind.dir.join("seg"), "") as f64 / BURST as f64;
        let row = (wall.per_second(BURST), cpu.cpu_us(BURST), size);
        println!(
            "| {} | {:.0} | {:.2} | {:.2} |",
            kind.name, row.0, row.1, row.2
        );
        rows.push(row);
    }
    let [plain, sealed] = rows.as_slice() else {
        return;
    };
    println!(
        "| ratio | {:.2} | {:.2} | {:.3} |\n",
        sealed.0 / plain.0,
        sealed.1 / plain.1,
        sealed.2 / plain.2
    );
    ask(&kinds);
    for kind in &kinds {
        fs::remove_dir_all(&kind.dir).unwrap();
    }
}

fn burst(kind: &Kind, events: &[Event]) -> Spent {
    let _ = fs::remove_dir_all(&kind.dir);
    let mut store = EmbeddedStore::open(&kind.dir, kind.settings.clone()).unwrap();
    let since = Since::now();
    for batch in events.chunks(COMMIT) {
        for event in batch {
            write::put(&mut store, event);
        }
        store.commit().unwrap();
    }
    store.seal().unwrap();
    since.spent()
}

/// The same questions to both, one after the other.
fn ask(kinds: &[Kind; 2]) {
    let stores = kinds
        .each_ref()
        .map(|k| EmbeddedStore::open_reader(&k.dir, &k.settings).unwrap().0);
    let mut draw = Random::of(13);
    let uids: Vec<u64> = (0..QUESTIONS).map(|_| 1 + draw.below(BURST)).collect();
    println!(
        "| ms | plain: median | 99 of 100 | encrypted: median | 99 of 100 | ratio of medians |"
    );
    println!("|---|---|---|---|---|---|");
    for (what, by_called) in [("called", true), ("calling", false)] {
        for cold in [true, false] {
            let mut times: [Vec<Duration>; 2] = Default::default();
            for uid in &uids {
                for (store, times) in stores.iter().zip(&mut times) {
                    // Footers at hand as in a daemon that runs.
                    question(store, *uid, by_called);
                    if cold {
                        drop_cache();
                    }
                    let start = Instant::now();
                    question(store, *uid, by_called);
                    times.push(start.elapsed());
                }
            }
            let [plain, sealed] = times.each_mut().map(|t| quantiles(t));
            println!(
                "| {what} + 4 minutes, {} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} |",
                if cold { "cold" } else { "warm" },
                plain.0,
                plain.1,
                sealed.0,
                sealed.1,
                sealed.0 / plain.0
            );
        }
    }
    println!();
}

fn question(store: &StoreReader, uid: u64, by_called: bool) {
    let b = made::begin(uid);
    let (from, until) = (b.at.minus(HALF), b.at.plus(HALF));
    let found = match by_called {
        true => store.by_called(b.numbers.called.unwrap(), from, until),
        false => store.by_calling(b.numbers.from.unwrap(), from, until),
    };
    assert!(found.unwrap().iter().any(|c| c.begin == b));
}
