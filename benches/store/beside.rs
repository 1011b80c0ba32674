//! The same records in the same run in SQLite (a file an hour, indexes live) and fjall, both look-ups indexed, each record as the octets that our log holds.
//!
//! First halves only: a second half would be an update, which costs those two more than us.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use rusqlite::{Connection, params};
use tracehop::call::record::Begin;
use tracehop::store::embedded::{EmbeddedStore, StoreReader};
use tracehop::store::{Lookup, Store};

use super::look::HALF;
use super::machine::{Since, drop_cache, forget_peak, octets, quantiles, resident};
use super::made::{self, Random};
use super::write;

/// So many at most: the slowest of them takes a minute for it.
const MOST: u64 = 5_000_000;
/// Records to a transaction.
const BATCH: usize = 100_000;
/// Cold questions of each kind.
const QUESTIONS: u64 = 100;
const HOUR: i64 = 3_600_000_000_000;

trait Other {
    fn name(&self) -> &'static str;
    fn put(&mut self, batch: &[Begin]);
    /// Everything durable.
    fn settle(&mut self);
    fn called(&self, b: &Begin) -> usize;
    fn calling(&self, b: &Begin) -> usize;
}

pub fn measure(folder: &Path, records: u64) {
    let records = records.min(MOST);
    println!("### Beside others\n");
    println!(
        "{records} first halves, made beforehand, the same for each, written by one thread in batches of {BATCH} until settled; then {QUESTIONS} cold questions of each kind, after others that brought in what each keeps at hand.\n"
    );
    println!(
        "| | records/s | µs CPU a record | octets a record on disk | octets written a record | memory, MB | called + 4 minutes, cold: median / 99 of 100, ms | calling + 4 minutes, cold |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let dir = folder.join("beside");
    let mut first = None;
    // Beforehand, because ours works on in the background.
    let all: Vec<Begin> = (1..=records).map(made::begin).collect();
    let draw = |seed| {
        let mut draw = Random::of(seed);
        let uids = (0..QUESTIONS).map(|_| 1 + draw.below(records));
        uids.map(made::begin).collect::<Vec<Begin>>()
    };
    let (others, asked) = (draw(5), draw(7));
    for n in 0..3 {
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        forget_peak();
        let memory = resident().0;
        let mut other: Box<dyn Other> = match n {
            0 => Box::new(Ours::new(&dir)),
            1 => Box::new(Sqlite::new(&dir)),
            _ => Box::new(Fjall::new(&dir)),
        };
        let since = Since::now();
        for batch in all.chunks(BATCH) {
            other.put(batch);
        }
        other.settle();
        let spent = since.spent();
        let memory = resident().1 - memory;
        let on_disk = octets(&dir, "") as f64 / records as f64;
        let called = cold(&others, &asked, |b| other.called(b));
        let calling = cold(&others, &asked, |b| other.calling(b));
        let line = Line {
            rate: spent.per_second(records),
            cpu: spent.cpu_us(records),
            on_disk,
            written: spent.written as f64 / records as f64,
        };
        println!(
            "| {} | {:.0} | {:.2} | {:.1} | {:.0} | {memory:.0} | {:.1} / {:.1} | {:.1} / {:.1} |",
            other.name(),
            line.rate,
            line.cpu,
            line.on_disk,
            line.written,
            called.0,
            called.1,
            calling.0,
            calling.1
        );
        match &first {
            None => first = Some(line),
            Some(ours) => println!(
                "| ours to it | {:.1} × | 1/{:.1} | 1/{:.1} | 1/{:.1} | | | |",
                ours.rate / line.rate,
                line.cpu / ours.cpu,
                line.on_disk / ours.on_disk,
                line.written / ours.written
            ),
        }
    }
    fs::remove_dir_all(&dir).unwrap();
    println!();
}

struct Line {
    rate: f64,
    cpu: f64,
    on_disk: f64,
    written: f64,
}

/// The same questions before would leave their answers in the caches that some have of their own.
fn cold(others: &[Begin], asked: &[Begin], ask: impl Fn(&Begin) -> usize) -> (f64, f64) {
    for b in others {
        ask(b);
    }
    let mut times: Vec<Duration> = asked
        .iter()
        .map(|b| {
            drop_cache();
            let start = Instant::now();
            assert!(ask(b) > 0);
            start.elapsed()
        })
        .collect();
    let (p50, p99, _) = quantiles(&mut times);
    (p50, p99)
}

fn called_of(b: &Begin) -> i64 {
    integer(b.numbers.called)
}

fn calling_of(b: &Begin) -> i64 {
    integer(b.numbers.from)
}

fn integer(tn: Option<tracehop::number::Tn>) -> i64 {
    tn.map_or(0, |tn| tn.as_str().parse().unwrap())
}

fn window(b: &Begin) -> (i64, i64) {
    (b.at.minus(HALF).nanos(), b.at.plus(HALF).nanos())
}

struct Ours {
    store: EmbeddedStore,
    reader: StoreReader,
}

impl Ours {
    fn new(dir: &Path) -> Self {
        let store = EmbeddedStore::open(dir, write::settings()).unwrap();
        Self {
            reader: store.reader(),
            store,
        }
    }
}

impl Other for Ours {
    fn name(&self) -> &'static str {
        "**embedded store**"
    }

    fn put(&mut self, batch: &[Begin]) {
        for begin in batch {
            self.store.append_begin(begin).unwrap();
        }
        self.store.commit().unwrap();
    }

    fn settle(&mut self) {
        self.store.seal().unwrap();
    }

    fn called(&self, b: &Begin) -> usize {
        let number = b.numbers.called.unwrap();
        let found = self
            .reader
            .by_called(number, b.at.minus(HALF), b.at.plus(HALF));
        found.unwrap().len()
    }

    fn calling(&self, b: &Begin) -> usize {
        let number = b.numbers.from.unwrap();
        let found = self
            .reader
            .by_calling(number, b.at.minus(HALF), b.at.plus(HALF));
        found.unwrap().len()
    }
}

struct Sqlite {
    dir: PathBuf,
    hours: BTreeMap<i64, Connection>,
}

impl Sqlite {
    fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            hours: BTreeMap::new(),
        }
    }

    fn find(&self, column: &str, number: i64, b: &Begin) -> usize {
        let (from, until) = window(b);
        let hours = from.div_euclid(HOUR)..=until.div_euclid(HOUR);
        let ask =
            format!("SELECT uid, at, body FROM call WHERE {column} = ?1 AND at BETWEEN ?2 AND ?3");
        let mut octets = 0;
        let mut count = 0;
        for (_, file) in self.hours.range(hours) {
            let mut ask = file.prepare_cached(&ask).unwrap();
            let mut rows = ask.query(params![number, from, until]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                octets += row.get_ref(2).unwrap().as_blob().unwrap().len();
                count += 1;
            }
        }
        std::hint::black_box(octets);
        count
    }
}

impl Other for Sqlite {
    fn name(&self) -> &'static str {
        "SQLite, a file an hour, indexes live"
    }

    fn put(&mut self, batch: &[Begin]) {
        for hour in batch.chunk_by(|a, b| hour_of(a) == hour_of(b)) {
            let number = hour.first().map_or(0, hour_of);
            let path = self.dir.join(format!("{number}.sqlite"));
            let file = self.hours.entry(number).or_insert_with(|| {
                let file = Connection::open(path).unwrap();
                file.execute_batch(
                    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -65536;
                     CREATE TABLE call (uid INTEGER PRIMARY KEY, called INTEGER, calling INTEGER, at INTEGER, body BLOB);
                     CREATE INDEX called ON call (called, at); CREATE INDEX calling ON call (calling, at);",
                )
                .unwrap();
                file
            });
            let batch = file.transaction().unwrap();
            {
                let mut insert = batch
                    .prepare_cached("INSERT INTO call VALUES (?1, ?2, ?3, ?4, ?5)")
                    .unwrap();
                for b in hour {
                    let body = EmbeddedStore::octets_of(b);
                    let row = params![
                        b.uid as i64,
                        called_of(b),
                        calling_of(b),
                        b.at.nanos(),
                        body
                    ];
                    insert.execute(row).unwrap();
                }
            }
            batch.commit().unwrap();
        }
    }

    fn settle(&mut self) {
        for file in self.hours.values() {
            file.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
                .unwrap();
        }
    }

    fn called(&self, b: &Begin) -> usize {
        self.find("called", called_of(b), b)
    }

    fn calling(&self, b: &Begin) -> usize {
        self.find("calling", calling_of(b), b)
    }
}

fn hour_of(b: &Begin) -> i64 {
    b.at.nanos().div_euclid(HOUR)
}

struct Fjall {
    database: Database,
    /// By called number, time and uid: the record.
    called: Keyspace,
    /// By calling number, time and uid: the called number.
    calling: Keyspace,
}

impl Fjall {
    fn new(dir: &Path) -> Self {
        let database = Database::builder(dir).open().unwrap();
        let called = database
            .keyspace("called", KeyspaceCreateOptions::default)
            .unwrap();
        let calling = database
            .keyspace("calling", KeyspaceCreateOptions::default)
            .unwrap();
        Self {
            database,
            called,
            calling,
        }
    }
}

fn key(number: i64, at: i64, uid: u64) -> [u8; 24] {
    let mut key = [0; 24];
    key[..8].copy_from_slice(&number.to_be_bytes());
    key[8..16].copy_from_slice(&at.to_be_bytes());
    key[16..].copy_from_slice(&uid.to_be_bytes());
    key
}

impl Other for Fjall {
    fn name(&self) -> &'static str {
        "fjall 3"
    }

    fn put(&mut self, batch: &[Begin]) {
        for some in batch.chunks(1_000) {
            let mut batch = self.database.batch();
            for b in some {
                let (called, calling, at) = (called_of(b), calling_of(b), b.at.nanos());
                batch.insert(
                    &self.called,
                    key(called, at, b.uid),
                    EmbeddedStore::octets_of(b),
                );
                batch.insert(&self.calling, key(calling, at, b.uid), called.to_be_bytes());
            }
            batch.commit().unwrap();
        }
        self.database.persist(PersistMode::SyncAll).unwrap();
    }

    fn settle(&mut self) {
        self.database.persist(PersistMode::SyncAll).unwrap();
    }

    fn called(&self, b: &Begin) -> usize {
        let (from, until) = window(b);
        let number = called_of(b);
        let found = self
            .called
            .range(key(number, from, 0)..=key(number, until, u64::MAX));
        found.fold(0, |n, row| {
            row.into_inner().unwrap();
            n + 1
        })
    }

    fn calling(&self, b: &Begin) -> usize {
        let (from, until) = window(b);
        let number = calling_of(b);
        let found = self
            .calling
            .range(key(number, from, 0)..=key(number, until, u64::MAX));
        found
            .filter(|_| true)
            .map(|row| {
                let (found, called) = row.into_inner().unwrap();
                let mut full = [0; 24];
                full[..8].copy_from_slice(&called);
                full[8..].copy_from_slice(&found[8..]);
                self.called.get(full).unwrap().unwrap()
            })
            .count()
    }
}
