//! Writing: a burst until it is sealed and durable, octets by column, and a steady rate while others judge.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use parquet::file::reader::{FileReader, SerializedFileReader};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
    UnparsedPublicKey,
};
use tracehop::call::record::Begin;
use tracehop::store::embedded::{EmbeddedStore, Sealing, StoreSettings};
use tracehop::store::{Lookup, Store};

use super::machine::{Since, Spent, forget_peak, octets, quantiles, resident};
use super::made::{self, Event, Events};

/// Records of a burst.
const BURST: u64 = 1_000_000;
const ROUNDS: usize = 3;
/// Events between two commits of a burst.
const COMMIT: usize = 100_000;
/// The steady rate, and for how long.
const STEADY: u64 = 100_000;
const STEADY_S: u64 = 20;
/// Threads that judge meanwhile.
const JUDGES: usize = 2;

pub fn settings() -> StoreSettings {
    StoreSettings {
        sealing: Sealing::Background,
        retention: Duration::from_secs(3_650 * 86_400),
        ..StoreSettings::default()
    }
}

pub fn put(store: &mut EmbeddedStore, event: &Event) {
    match event {
        Event::Begin(begin) => store.append_begin(begin),
        Event::End(end) => store.append_end(end),
        Event::Coverage(coverage) => store.append_coverage(coverage),
    }
    .unwrap();
}

pub fn measure(folder: &Path) {
    println!("### Writing\n");
    println!(
        "A burst of {BURST} records, made beforehand; until all of it is sealed and durable. Median of {ROUNDS}.\n"
    );
    println!(
        "| | records/s | µs CPU a record | octets a record on disk | octets written a record | memory above the records', MB |"
    );
    println!("|---|---|---|---|---|---|");
    let dir = folder.join("burst");
    let mut columns = BTreeMap::new();
    for (what, with_ends) in [("first halves alone", false), ("both halves", true)] {
        let events: Vec<Event> = Events::new(BURST, with_ends).collect();
        let mut rounds: Vec<(Spent, f64)> = (0..ROUNDS).map(|_| burst(&dir, &events)).collect();
        rounds.sort_by_key(|a| a.0.wall);
        let (spent, memory) = rounds[ROUNDS / 2];
        println!(
            "| {what} | {:.0} | {:.2} | {:.1} | {:.0} | {memory:.0} |",
            spent.per_second(BURST),
            spent.cpu_us(BURST),
            octets(&dir.join("seg"), "") as f64 / BURST as f64,
            spent.written as f64 / BURST as f64,
        );
        columns = by_column(&dir.join("seg"));
    }
    println!("\nOctets a record by column, both halves:\n");
    let mut columns: Vec<(String, i64)> = columns.into_iter().collect();
    columns.sort_by_key(|(_, octets)| -octets);
    let texts: Vec<String> = columns
        .iter()
        .map(|(name, octets)| (name, *octets as f64 / BURST as f64))
        .filter(|(_, octets)| *octets >= 0.05)
        .map(|(name, octets)| format!("{name} {octets:.2}"))
        .collect();
    println!("{}\n", texts.join(", "));
    fs::remove_dir_all(&dir).unwrap();
    steady(&dir);
}

fn burst(dir: &Path, events: &[Event]) -> (Spent, f64) {
    let _ = fs::remove_dir_all(dir);
    let mut store = EmbeddedStore::open(dir, settings()).unwrap();
    forget_peak();
    let before = resident().0;
    let since = Since::now();
    for batch in events.chunks(COMMIT) {
        for event in batch {
            put(&mut store, event);
        }
        store.commit().unwrap();
    }
    store.seal().unwrap();
    let spent = since.spent();
    (spent, resident().1 - before)
}

/// Octets of each column over all segments; what is no column with a tilde.
fn by_column(dir: &Path) -> BTreeMap<String, i64> {
    let mut columns: BTreeMap<String, i64> = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        let name = path.to_string_lossy().into_owned();
        if path.is_dir() {
            for (name, octets) in by_column(&path) {
                *columns.entry(name).or_default() += octets;
            }
            continue;
        }
        let length = fs::metadata(&path).unwrap().len() as i64;
        let Some(kind) = ["parquet", "cix", "ends"]
            .iter()
            .find(|e| name.ends_with(**e))
        else {
            *columns.entry("~other".to_owned()).or_default() += length;
            continue;
        };
        let file = SerializedFileReader::try_from(path.as_path()).unwrap();
        let mut sum = 0;
        for column in file
            .metadata()
            .row_groups()
            .iter()
            .flat_map(|g| g.columns())
        {
            let name = match *kind {
                "parquet" => column.column_path().string(),
                "cix" => format!("index: {}", column.column_path().string()),
                _ => "ends".to_owned(),
            };
            *columns.entry(name).or_default() += column.compressed_size();
            sum += column.compressed_size();
        }
        *columns.entry(format!("~footers of .{kind}")).or_default() += length - sum;
    }
    columns
}

/// A store filled by one thread with what another makes.
pub fn fill(folder: &Path, records: u64) {
    let partial = folder.with_extension("partial");
    let _ = fs::remove_dir_all(&partial);
    let since = Since::now();
    let mut store = EmbeddedStore::open(&partial, settings()).unwrap();
    let (batches, made): (_, Receiver<Vec<Event>>) = sync_channel(8);
    let maker = thread::spawn(move || {
        let mut events = Events::new(records, true);
        loop {
            let batch: Vec<Event> = events.by_ref().take(10_000).collect();
            if batch.is_empty() || batches.send(batch).is_err() {
                return;
            }
        }
    });
    for (batch, n) in made.iter().zip(1_u64..) {
        for event in &batch {
            put(&mut store, event);
        }
        if n.is_multiple_of(10) {
            store.commit().unwrap();
        }
        if n.is_multiple_of(2_000) {
            eprintln!(
                "{} of {records} records, {:.0?}",
                store.last_uid(),
                since.spent().wall
            );
        }
    }
    maker.join().unwrap();
    store.close().unwrap();
    let spent = since.spent();
    fs::rename(&partial, folder).unwrap();
    println!(
        "{records} records filled in {:.0?}: {:.0} a second with the making of them, {:.2} µs CPU (making included), {:.1} octets a record on disk, {:.0} written\n",
        spent.wall,
        spent.per_second(records),
        spent.cpu_us(records),
        octets(&folder.join("seg"), "") as f64 / records as f64,
        spent.written as f64 / records as f64
    );
}

/// One that checks signatures as a judge does, until it is told to stop.
fn judge(stop: &AtomicBool, checks: &AtomicU64) {
    let random = SystemRandom::new();
    let kind = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref(), &random).unwrap();
    let input = [b'x'; 308];
    let signature = pair.sign(&random, &input).unwrap();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref());
    while !stop.load(Ordering::Relaxed) {
        key.verify(&input, signature.as_ref()).unwrap();
        checks.fetch_add(1, Ordering::Relaxed);
    }
}

fn steady(dir: &Path) {
    let mut events: Vec<Begin> = (1..=BURST).map(made::begin).collect();
    let span = events[events.len() - 1].at.distance(events[0].at) + Duration::from_millis(1);
    let (stop, checks) = (AtomicBool::new(false), AtomicU64::new(0));
    let (taken, alone, beside, mut waits) = thread::scope(|scope| {
        for _ in 0..JUDGES {
            scope.spawn(|| judge(&stop, &checks));
        }
        thread::sleep(Duration::from_millis(200));
        let count = |over: Duration, before: u64| {
            (checks.load(Ordering::Relaxed) - before) as f64 / over.as_secs_f64()
        };
        let (start, before) = (Instant::now(), checks.load(Ordering::Relaxed));
        thread::sleep(Duration::from_secs(3));
        let alone = count(start.elapsed(), before);

        let mut store = EmbeddedStore::open(dir, settings()).unwrap();
        let (start, before) = (Instant::now(), checks.load(Ordering::Relaxed));
        let batch = (STEADY / 100) as usize;
        let mut waits = Vec::new();
        let mut taken = 0;
        let mut next = 0;
        for tick in 0..STEADY_S * 100 {
            let due = start + Duration::from_millis(tick * 10);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            for _ in 0..batch {
                let begin = &mut events[next];
                store.append_begin(begin).unwrap();
                // Comes again later, as another one.
                begin.uid += BURST;
                begin.at = begin.at.plus(span);
                next = (next + 1) % BURST as usize;
                taken += 1;
            }
            if tick % 100 == 99 {
                store.commit().unwrap();
            }
            waits.push(due.elapsed());
        }
        let over = start.elapsed();
        let beside = count(over, before);
        stop.store(true, Ordering::Relaxed);
        store.close().unwrap();
        (taken as f64 / over.as_secs_f64(), alone, beside, waits)
    });
    let (p50, p99, longest) = quantiles(&mut waits);
    println!(
        "{STEADY} records a second for {STEADY_S} s beside {JUDGES} threads that check P-256 signatures all the time: {taken:.0} a second taken in and committed every second; \
         a batch of {} was in {p50:.1} ms after it was due (median; 99 of 100 {p99:.0}, longest {longest:.0}); \
         the judges made {beside:.0} checks a second, {alone:.0} without the store: {:.0} %.\n",
        STEADY / 100,
        beside / alone * 100.0
    );
    fs::remove_dir_all(dir).unwrap();
}
