//! The forwarder: a thread that sends what the probe's own store has sealed, until the engine has it.
//!
//! Comes in: sealed files, in the order of their logs. Goes out: their rows, each file in batches of [`BATCH`] rows, each batch one block of the engine; then the coverage
//! that speaks for them. What the engine has acknowledged is noted by the log in `cursor`.
//!
//! **Exactly once.** A batch is the same octets whenever it is made, and the engine knows a block that it has had by them, through whichever replica it comes, for the
//! last 10,000 blocks of a shard. So a batch whose outcome is not known is sent again at once. After a restart, and when the outcome has been open for longer than [`OPEN`], the
//! engine is asked first how many of its rows are there, at a replica that has caught up. And look-ups take each uid once.
//!
//! **Coverage last.** A row of the ledger is sent only when nothing sealed waits to be sent and nothing is being sealed, so a row in the engine says that the records of
//! its time are there too. A record may be taken in as long after its INVITE as a call may wait for a certificate: so much of the end of each sensor's
//! account is held back, see [`HELD_BACK`].
//!
//! **Trouble stays here.** It reads files and never holds up the writer. It takes one batch in memory (some 30 MB), tries again after a second, twice as long each time up to a
//! minute, for as long as it takes. What waits and since when is shown.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use hyper::body::Bytes;

use super::client::{Engine, EngineError};
use super::cursor::{self, Cursor};
use super::schema;
use crate::base::Timestamp;
use crate::call::record::Coverage;
use crate::store::StoreError;
use crate::store::embedded::spool::{self, Forwarding, SealedFile};
use crate::store::embedded::{CurrentReader, StoreReader};

/// Rows of a batch: some 15 MB, and in the engine one part, which is not too small.
pub const BATCH: usize = 50_000;
/// Coverage rows of a batch.
const ROWS: usize = 10_000;
/// For so long a batch of unknown outcome is sent again without asking: far less than the engine needs to forget a block (10,000 of them).
pub const OPEN: Duration = Duration::from_secs(600);
/// The end of a sensor's account that is held back: the longest that a call may wait for a certificate (`fetch.wait_seconds` is below 301), and a second.
pub const HELD_BACK: Duration = Duration::from_secs(302);
/// How often it looks for something to do.
const TICK: Duration = Duration::from_millis(500);
/// The shortest and longest pause after trouble.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Days of the ledger of which the rows sent are remembered: what changes is today and yesterday.
const REMEMBERED: usize = 3;

/// Columns behind those of a file: where a row comes from.
const ORIGIN: &str = "probe, seq, chunk";

/// How forwarding goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForwardState {
    /// Sealed files that wait.
    pub waiting: u64,
    /// The hour of the oldest of them.
    pub oldest: Option<Timestamp>,
    /// Files acknowledged since the start.
    pub files: u64,
    /// Rows acknowledged since the start: records and late second halves.
    pub rows: u64,
    /// Octets sent and acknowledged.
    pub octets: u64,
    /// Batches that were there already when the engine was asked.
    pub found: u64,
    /// Times that something failed and was, or will be, tried again.
    pub failures: u64,
    /// Why nothing goes on, while nothing does.
    pub trouble: Option<String>,
    /// When the engine last acknowledged something, or there was nothing to send.
    pub last_good: Option<Timestamp>,
}

/// Why a turn ended early.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("told to end")]
    Told,
}

/// A running forwarder.
#[derive(Debug)]
pub struct Forwarder {
    stop: Arc<AtomicBool>,
    state: Arc<ArcSwap<ForwardState>>,
    thread: Option<JoinHandle<()>>,
}

impl Forwarder {
    /// Starts one. `acknowledged` is kept at the highest log of which the engine has everything: what lies above it must stay as it is.
    ///
    /// # Errors
    ///
    /// What the system says: no thread.
    pub fn start(
        engine: Arc<Engine>,
        reader: CurrentReader,
        acknowledged: Arc<AtomicU64>,
        now: fn() -> Timestamp,
    ) -> std::io::Result<Self> {
        let (stop, state) = (Arc::<AtomicBool>::default(), Arc::<ArcSwap<_>>::default());
        let mut turning = Turning {
            engine,
            reader,
            acknowledged,
            now,
            stop: stop.clone(),
            shown: state.clone(),
            state: ForwardState::default(),
            cursor: None,
            suspect: true,
            open_since: None,
            seen: HashMap::new(),
            sent: BTreeMap::new(),
        };
        let thread = thread::Builder::new()
            .name("forward".to_owned())
            .spawn(move || turning.run())?;
        Ok(Self {
            stop,
            state,
            thread: Some(thread),
        })
    }

    /// How it goes.
    pub fn state(&self) -> Arc<ArcSwap<ForwardState>> {
        self.state.clone()
    }

    /// Whether it still turns: it ends only when it is told to.
    pub fn is_alive(&self) -> bool {
        self.thread.as_ref().is_some_and(|t| !t.is_finished())
    }

    /// Tells it to end after the batch in hand, and waits for it.
    pub fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

struct Turning {
    engine: Arc<Engine>,
    reader: CurrentReader,
    acknowledged: Arc<AtomicU64>,
    now: fn() -> Timestamp,
    stop: Arc<AtomicBool>,
    shown: Arc<ArcSwap<ForwardState>>,
    state: ForwardState,
    /// `None` until it has been read and the engine knows us.
    cursor: Option<Cursor>,
    /// What is sent next may be there already.
    suspect: bool,
    /// Since when the outcome of the batch in hand has been open.
    open_since: Option<Instant>,
    /// Days of the ledger as they were last seen on disk.
    seen: HashMap<i64, (u64, SystemTime)>,
    /// Checksums of the rows sent of the last days.
    sent: BTreeMap<i64, HashMap<(Arc<str>, Timestamp), u32>>,
}

impl Turning {
    fn run(&mut self) {
        let mut pause = PAUSES.0;
        while !self.told() {
            let turned = match self.reader.load_full() {
                Some(reader) => self.turn(&reader),
                // The store is being opened anew.
                None => Ok(()),
            };
            match turned {
                Ok(()) => {
                    if self.state.trouble.take().is_some() {
                        tracing::info!("forwarding to the shared engine goes on");
                    }
                    self.show();
                    pause = PAUSES.0;
                    self.sleep(TICK);
                }
                Err(Stopped::Told) => return,
                Err(e) => {
                    self.state.failures += 1;
                    let why = e.to_string();
                    if self.state.trouble.is_none() {
                        tracing::warn!(
                            "forwarding to the shared engine: {why}; what is sealed waits here and is sent later"
                        );
                    }
                    self.state.trouble = Some(why);
                    self.show();
                    // Probes that were cut off together don't come back together.
                    let spread = u64::from(self.engine.settings().probe) % 8;
                    self.sleep(pause + pause / 16 * u32::try_from(spread).unwrap_or(0));
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
    }

    fn told(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn sleep(&self, span: Duration) {
        let until = Instant::now() + span;
        while !self.told() && Instant::now() < until {
            thread::sleep(Duration::from_millis(50).min(span));
        }
    }

    fn show(&self) {
        self.shown.store(Arc::new(self.state.clone()));
    }

    /// Everything that there is to do now.
    fn turn(&mut self, reader: &StoreReader) -> Result<(), Stopped> {
        let mut cursor = match self.cursor.take() {
            Some(cursor) => cursor,
            None => {
                let cursor = Cursor::read(reader.root())?;
                self.acknowledged
                    .store(cursor.acknowledged, Ordering::Relaxed);
                self.register(reader)?;
                cursor
            }
        };
        let turned = self.all(reader, &mut cursor);
        self.cursor = Some(cursor);
        turned
    }

    fn all(&mut self, reader: &StoreReader, cursor: &mut Cursor) -> Result<(), Stopped> {
        loop {
            let files = reader.sealed_after(cursor.acknowledged);
            self.state.waiting = files.len() as u64;
            self.state.oldest = files.iter().map(|f| spool::hour_start(f.hour())).min();
            self.show();
            let Some(first) = files.first() else { break };
            let seq = first.seq();
            for file in files.iter().take_while(|f| f.seq() == seq) {
                self.file(reader, *file)?;
            }
            cursor.acknowledged = seq;
            cursor.write(reader.root())?;
            self.acknowledged.store(seq, Ordering::Relaxed);
            self.suspect = false;
            self.state.last_good = Some((self.now)());
        }
        self.suspect = false;
        self.ledger(reader, cursor)?;
        self.state.last_good = Some((self.now)());
        Ok(())
    }

    /// Makes sure that this probe's number is this store's.
    fn register(&self, reader: &StoreReader) -> Result<(), Stopped> {
        let id = cursor::store_id(reader.root())?;
        let settings = self.engine.settings();
        let probe = settings.probe;
        for node in self.engine.nodes() {
            // One that is away comes up to date before it is asked: the schema of the others is what counts.
            if let Ok(version) = schema::version(&self.engine, node)
                && usize::from(version) != schema::MIGRATIONS.len()
            {
                let what = format!(
                    "its schema is version {version}, this program's {}",
                    schema::MIGRATIONS.len()
                );
                let node = self.engine.name(node);
                return Err(EngineError::Schema { node, what }.into());
            }
        }
        for again in [true, false] {
            let node = self.engine.fresh(0)?;
            let statement = format!(
                "SELECT DISTINCT store FROM {}.probes_local WHERE probe = {probe} FORMAT TabSeparated",
                schema::DATABASE
            );
            let answer = self.engine.ask(node, &statement)?;
            let text = String::from_utf8_lossy(&answer);
            let mut known = text.lines().filter(|l| !l.is_empty()).peekable();
            if known.peek().is_some() || !again {
                return match known.find(|l| *l != id) {
                    None => Ok(()),
                    Some(other) => Err(EngineError::Taken {
                        probe,
                        other: other.chars().take(32).collect(),
                    }
                    .into()),
                };
            }
            let mut rows = Vec::new();
            put_probe(&mut rows, probe, &id, "", &settings.name, None, 0);
            self.to_all(PROBES, PROBE_COLUMNS, &rows.into())?;
        }
        Ok(())
    }

    /// One sealed file, batch by batch.
    fn file(&mut self, reader: &StoreReader, file: SealedFile) -> Result<(), Stopped> {
        let open = match reader.forwarding(file) {
            Ok(open) => open,
            // Retention was faster. It says so itself.
            Err(StoreError::Io { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound
                    && !reader.sealed_after(file.seq() - 1).contains(&file) =>
            {
                return Ok(());
            }
            Err(e) => return Err(e.into()),
        };
        let batches = open.rows().div_ceil(BATCH);
        for chunk in 0..u32::try_from(batches).unwrap_or(u32::MAX) {
            if self.told() {
                return Err(Stopped::Told);
            }
            self.batch(file, &open, chunk)?;
        }
        self.state.files += 1;
        Ok(())
    }

    fn batch(&mut self, file: SealedFile, open: &Forwarding, chunk: u32) -> Result<(), Stopped> {
        let settings = self.engine.settings();
        let batch = open.batch(settings.probe, chunk, BATCH)?;
        let shard = self.shard_of(file.seq());
        let (table, columns) = match file.is_ends() {
            false => ("records_local", record_columns()),
            true => ("ends_local", end_columns()),
        };
        self.state.octets += (batch.body.len() + batch.numbers.len()) as u64;
        let rows = batch.rows;
        let parts = [
            (table, columns, batch.body, rows),
            (
                "numbers_local",
                number_columns(),
                batch.numbers,
                batch.entries,
            ),
        ];
        for (table, columns, body, rows) in parts {
            if rows == 0 {
                continue;
            }
            let known = self.suspect || self.open_since.is_some_and(|s| s.elapsed() > OPEN);
            if known && self.is_there(shard, table, file, chunk, rows)? {
                self.state.found += 1;
                self.open_since = None;
                continue;
            }
            let body = Bytes::from(body);
            if let Err(e) = self.engine.insert_into_shard(shard, table, &columns, &body) {
                if !e.nothing_sent() {
                    self.open_since.get_or_insert_with(Instant::now);
                }
                return Err(e.into());
            }
            self.open_since = None;
        }
        self.state.rows += rows;
        self.show();
        Ok(())
    }

    fn shard_of(&self, seq: u64) -> usize {
        let shards = self.engine.shards() as u64;
        usize::try_from(seq % shards).unwrap_or(0)
    }

    /// Whether the engine has a batch whole.
    fn is_there(
        &self,
        shard: usize,
        table: &str,
        file: SealedFile,
        chunk: u32,
        rows: u64,
    ) -> Result<bool, EngineError> {
        let node = self.engine.fresh(shard)?;
        let (probe, seq) = (self.engine.settings().probe, file.seq());
        let when = match table {
            "ends_local" => format!("hour = {}", file.hour()),
            _ => format!(
                "begun_at >= {} AND begun_at < {}",
                spool::hour_start(file.hour()).nanos(),
                spool::hour_start(file.hour() + 1).nanos()
            ),
        };
        let statement = format!(
            "SELECT count() FROM {}.{table} WHERE probe = {probe} AND seq = {seq} AND chunk = {chunk} AND {when}",
            schema::DATABASE
        );
        let [found] = self.engine.ask_numbers(node, &statement)?;
        match u64::try_from(found).unwrap_or(0) {
            0 => Ok(false),
            found if found == rows => Ok(true),
            found => Err(EngineError::Partial {
                batch: format!("{table} {probe}/{seq}/{chunk}"),
                found,
                rows,
            }),
        }
    }

    /// The rows of the ledger that are new or changed, if they speak for nothing but what was sent.
    fn ledger(&mut self, reader: &StoreReader, cursor: &mut Cursor) -> Result<(), Stopped> {
        for (day, length, changed) in reader.ledger_days()? {
            if self.seen.get(&day) == Some(&(length, changed)) {
                continue;
            }
            let Some(generation) = reader.at_rest() else {
                return Ok(());
            };
            if !reader.sealed_after(cursor.acknowledged).is_empty() {
                return Ok(());
            }
            let rows = match reader.ledger_day(day) {
                Ok(rows) => rows,
                Err(StoreError::Io { source, .. })
                    if source.kind() == std::io::ErrorKind::NotFound =>
                {
                    continue;
                }
                Err(e) => return Err(e.into()),
            };
            // A seal may have added rows whose records are not there yet.
            if reader.at_rest() != Some(generation) {
                return Ok(());
            }
            self.day(reader, cursor, day, &rows)?;
            self.seen.insert(day, (length, changed));
        }
        Ok(())
    }

    fn day(
        &mut self,
        reader: &StoreReader,
        cursor: &mut Cursor,
        day: i64,
        rows: &[Coverage],
    ) -> Result<(), Stopped> {
        let mut sum = 0;
        let mut sent = self.sent.remove(&day).unwrap_or_default();
        let mut fresh = Vec::new();
        for row in rows {
            let mut octets = Vec::with_capacity(256);
            if spool::put_coverage(row, &mut octets).is_none() {
                continue;
            }
            sum = crc32c::crc32c_append(sum, &octets);
            let own = crc32c::crc32c(&octets);
            let key = (row.sensor.clone(), row.from);
            if sent.insert(key, own) != Some(own) {
                fresh.push((row, octets));
            }
        }
        if cursor.days.get(&day) != Some(&sum) && !fresh.is_empty() {
            let probe = self.engine.settings().probe;
            for rows in fresh.chunks(ROWS) {
                // Reserved before it is used: no version is ever given to two states of a row.
                cursor.version += 1;
                cursor.write(reader.root())?;
                let mut body = Vec::new();
                for (_, octets) in rows {
                    body.extend_from_slice(&probe.to_le_bytes());
                    body.extend_from_slice(&cursor.version.to_le_bytes());
                    body.extend_from_slice(octets);
                }
                self.state.octets += body.len() as u64;
                self.to_all("coverage_local", &coverage_columns(), &body.into())?;
            }
            let mut about = Vec::new();
            let id = cursor::store_id(reader.root())?;
            for (row, _) in &fresh {
                let span = cursor
                    .sensors
                    .entry(row.sensor.clone())
                    .or_insert((row.from, row.until));
                *span = (span.0.min(row.from), span.1.max(row.until));
            }
            let name = &self.engine.settings().name;
            for (sensor, (since, until)) in &cursor.sensors {
                let until = until.minus(HELD_BACK).max(*since);
                let span = Some((*since, until));
                put_probe(&mut about, probe, &id, sensor, name, span, cursor.version);
            }
            self.to_all(PROBES, PROBE_COLUMNS, &about.into())?;
        }
        cursor.days.insert(day, sum);
        cursor.write(reader.root())?;
        self.sent.insert(day, sent);
        while self.sent.len() > REMEMBERED {
            self.sent.pop_first();
        }
        Ok(())
    }

    /// Rows of a table that every node has, through whichever node takes them.
    fn to_all(&self, table: &str, columns: &str, rows: &Bytes) -> Result<(), EngineError> {
        let mut failed = None;
        for shard in 0..self.engine.shards() {
            match self.engine.insert_into_shard(shard, table, columns, rows) {
                Ok(()) => return Ok(()),
                Err(e) => failed = Some(e),
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

const PROBES: &str = "probes_local";
const PROBE_COLUMNS: &str = "probe, store, sensor, name, since, until, version";

fn put_probe(
    out: &mut Vec<u8>,
    probe: u16,
    id: &str,
    sensor: &str,
    name: &str,
    span: Option<(Timestamp, Timestamp)>,
    version: u64,
) {
    out.extend_from_slice(&probe.to_le_bytes());
    for text in [id, sensor, name] {
        spool::put_text(out, text);
    }
    for time in span.map_or([0, 0], |(since, until)| [since.nanos(), until.nanos()]) {
        out.extend_from_slice(&time.to_le_bytes());
    }
    out.extend_from_slice(&version.to_le_bytes());
}

fn record_columns() -> String {
    format!("{}, {ORIGIN}", schema::names(&spool::columns_of_records()))
}

fn end_columns() -> String {
    format!(
        "uid, hour, {}, {ORIGIN}",
        schema::names(&spool::columns_of_ends())
    )
}

fn number_columns() -> String {
    format!("role, number, begun_at, uid, called, {ORIGIN}")
}

fn coverage_columns() -> String {
    format!(
        "probe, version, {}",
        schema::names(&spool::columns_of_coverage())
    )
}
