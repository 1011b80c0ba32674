//! Look-ups in the engine and in the probe's own store, as one [`Lookup`].
//!
//! One [`Asked`] serves one question: a few look-ups, then the coverage that says what they are worth. What the engine holds grows meanwhile, so the order is fixed:
//!
//! 1. First it reads which probes there are, and until when all records of each of their sensors are in the engine.
//! 2. Then, shard by shard, it finds a replica that has everything that was acknowledged by then, and asks that one.
//! 3. The coverage is given last, and of another probe only what step 1 knew: a row that was forwarded later is not used, and from where a sensor's records were not all there on
//!    there is a row that says `down: unknown`.
//!
//! So "not found" is never said of a time of which records were still on their way, and where the engine can't be asked there is an error, never the answer of the own store alone.
//!
//! Of the probe's own records the own store is asked; the engine only for those that its retention has deleted. Uids are those of the engine throughout. Sensors of other probes are
//! called `probe/sensor`, so that two of the same name stay two.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::client::{Engine, EngineError, NodeId};
use super::{probes, schema};
use crate::base::Timestamp;
use crate::call::classify::Campaign;
use crate::call::record::{Coverage, Down, StoredCall};
use crate::number::Tn;
use crate::store::embedded::StoreReader;
use crate::store::embedded::spool::{self, Found};
use crate::store::{Bounded, Lookup, Role, StoreError};

/// Uids in one statement: it stays far below the 256 KiB that a server parses.
const UIDS: usize = 5_000;
/// A coverage row belongs to the day of its beginning, as in the own store: so far back of a window rows may begin.
const ROW_BACK: Duration = Duration::from_secs(86_400);

/// A sensor of a probe, as far as the engine knew it when the question came.
#[derive(Clone, Debug)]
struct Account {
    /// `probe/sensor` of another probe.
    name: Arc<str>,
    since: Timestamp,
    until: Timestamp,
    /// It ended there: nothing more comes.
    retired: bool,
}

/// The probes as the engine knew them when the question came.
#[derive(Clone, Debug, Default)]
struct Known {
    accounts: BTreeMap<(u16, Arc<str>), Account>,
    /// The last version of rows of the ledger, by probe.
    versions: BTreeMap<u16, u64>,
    forgotten: Option<Timestamp>,
}

/// The engine and the own store, for one question.
pub struct Asked {
    engine: Arc<Engine>,
    local: StoreReader,
    known: Known,
    /// Of each shard the replica that was found to be up to date.
    chosen: Mutex<Vec<Option<NodeId>>>,
}

impl Asked {
    /// Begins a question.
    ///
    /// # Errors
    ///
    /// [`StoreError::Engine`].
    pub fn begin(engine: Arc<Engine>, local: StoreReader) -> Result<Self, StoreError> {
        let shards = engine.shards();
        let mut asked = Self {
            engine,
            local,
            known: Known::default(),
            chosen: Mutex::new(vec![None; shards]),
        };
        asked.known = asked.ask_known()?;
        // Replicas are looked for anew: they must have what was acknowledged before now.
        asked.chosen = Mutex::new(vec![None; shards]);
        Ok(asked)
    }

    fn own(&self) -> u16 {
        self.engine.settings().probe
    }

    fn ask_known(&self) -> Result<Known, StoreError> {
        let db = schema::DATABASE;
        let mut known = Known::default();
        let rows = self.ask_shard(0, &probes::statement(), probes::TABLE, spool::take_probes)?;
        for row in probes::last(rows) {
            let version = known.versions.entry(row.probe).or_default();
            *version = row.version.max(*version);
            if row.sensor.is_empty() {
                continue;
            }
            let account = Account {
                name: format!("{}/{}", row.name, row.sensor).into(),
                since: row.since,
                until: row.until,
                retired: row.retired,
            };
            known
                .accounts
                .insert((row.probe, row.sensor.as_str().into()), account);
        }
        let statement = format!("SELECT max(before) FROM {db}.forgotten_local FORMAT RowBinary");
        let before = self.ask_shard(0, &statement, "forgotten_local", spool::take_number)?;
        known.forgotten = (before > 0).then(|| Timestamp::from_nanos(before));
        Ok(known)
    }

    /// Asks a replica of a shard that is up to date.
    fn ask_shard<T>(
        &self,
        shard: usize,
        statement: &str,
        table: &str,
        take: impl Fn(&[u8], &std::path::Path) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let chosen = |node: Option<Option<NodeId>>| {
            let mut chosen = self.chosen.lock().unwrap_or_else(PoisonError::into_inner);
            let place = chosen.get_mut(shard)?;
            if let Some(node) = node {
                *place = node;
            }
            *place
        };
        let mut last: Option<EngineError> = None;
        // A replica may die between being found and being asked: then another is looked for, once.
        for _ in 0..2 {
            let node = match chosen(None) {
                Some(node) => node,
                None => self.engine.fresh(shard)?,
            };
            match self.engine.ask(node, statement) {
                Ok(answer) => {
                    chosen(Some(Some(node)));
                    return take(&answer, &self.engine.place(node, table));
                }
                Err(e) => {
                    chosen(Some(None));
                    last = Some(e);
                }
            }
        }
        Err(match last {
            Some(e) => e.into(),
            None => StoreError::Restless,
        })
    }

    /// What finds records of the engine.
    fn wanted(&self, role: Role, number: &Tn, from: Timestamp, until: Timestamp) -> String {
        let db = schema::DATABASE;
        let key = spool::key(number);
        let window = format!(
            "begun_at >= {} AND begun_at <= {}",
            from.nanos(),
            until.nanos()
        );
        let listed = |role: u8| {
            format!(
                "(called, begun_at, uid) IN (SELECT called, begun_at, uid FROM {db}.numbers_local WHERE role = {role} AND number = {key} AND {window})"
            )
        };
        let found = match role {
            Role::Calling => listed(0),
            Role::Called if key < 0 => listed(1),
            Role::Called => format!("(called = {key} OR {})", listed(1)),
        };
        // What the own store has deleted of its own; looked at after the own store was asked, so nothing falls between.
        let own = self.own();
        let others = match self.local.forgotten_before() {
            Some(before) => format!("(probe != {own} OR begun_at < {})", before.nanos()),
            None => format!("probe != {own}"),
        };
        format!("{window} AND {found} AND {others}")
    }

    /// Records of the engine, at most so many of each shard.
    fn ask_records(&self, wanted: &str, most: u64) -> Result<Vec<Found>, StoreError> {
        let columns = schema::names(&spool::columns_of_records());
        // A look-up for all of them ends at what a node's answer may hold.
        let limit = most.saturating_add(1).min(u64::from(u32::MAX));
        let statement = format!(
            "SELECT {columns}, seq FROM {}.records_local WHERE {wanted} ORDER BY begun_at, uid LIMIT {limit} FORMAT RowBinary",
            schema::DATABASE
        );
        let mut found = Vec::new();
        for shard in 0..self.engine.shards() {
            found.extend(self.ask_shard(
                shard,
                &statement,
                "records_local",
                spool::take_records,
            )?);
        }
        Ok(found)
    }

    fn count_records(&self, wanted: &str) -> Result<u64, StoreError> {
        let statement = format!(
            "SELECT toInt64(uniqExact(uid)) FROM {}.records_local WHERE {wanted} FORMAT RowBinary",
            schema::DATABASE
        );
        let mut count = 0;
        for shard in 0..self.engine.shards() {
            let of = self.ask_shard(shard, &statement, "records_local", spool::take_number)?;
            count += u64::try_from(of).unwrap_or(0);
        }
        Ok(count)
    }

    /// Gives records their latest second halves. These lie in the shard of the log that brought them, which may be another.
    fn join(&self, found: &mut [Found]) -> Result<(), StoreError> {
        let mut places: HashMap<u64, usize> = HashMap::with_capacity(found.len());
        for (i, f) in found.iter().enumerate() {
            places.insert(f.begin.uid, i);
        }
        let columns = schema::names(&spool::columns_of_ends());
        let mut uids: Vec<(i64, u64)> = found.iter().map(|f| (f.hour(), f.begin.uid)).collect();
        uids.sort_unstable();
        for some in uids.chunks(UIDS) {
            let (Some((first, _)), Some((last, _))) = (some.first(), some.last()) else {
                continue;
            };
            let list: Vec<String> = some.iter().map(|(_, uid)| uid.to_string()).collect();
            let statement = format!(
                "SELECT uid, {columns}, seq FROM {}.ends_local WHERE uid IN ({}) AND hour >= {first} AND hour <= {last} FORMAT RowBinary",
                schema::DATABASE,
                list.join(",")
            );
            for shard in 0..self.engine.shards() {
                let late = self.ask_shard(shard, &statement, "ends_local", spool::take_ends)?;
                for end in &late {
                    if let Some(f) = places.get(&end.uid()).and_then(|i| found.get_mut(*i)) {
                        f.offer(end);
                    }
                }
            }
        }
        Ok(())
    }

    /// Gives a record of the own store the uid that it has in the engine.
    fn share(&self, call: &mut StoredCall) -> Result<(), StoreError> {
        let shared = |uid: u64| {
            spool::shared_uid(self.own(), uid)
                .ok_or_else(|| StoreError::Engine(format!("uid {uid}: there is no room for it")))
        };
        call.begin.uid = shared(call.begin.uid)?;
        if let Some(pair) = &mut call.begin.pair {
            pair.uid = shared(pair.uid)?;
        }
        if let Some(end) = &mut call.end {
            end.uid = call.begin.uid;
        }
        Ok(())
    }

    /// Coverage rows of the engine of which it knew everything when the question came.
    fn ask_coverage(
        &self,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<(u16, Coverage)>, StoreError> {
        if self.known.versions.is_empty() {
            return Ok(Vec::new());
        }
        let columns = schema::names(&spool::columns_of_coverage());
        let known = self.known.versions.iter();
        let known: Vec<String> = known
            .map(|(probe, version)| format!("(probe = {probe} AND version <= {version})"))
            .collect();
        let statement = format!(
            "SELECT probe, {columns} FROM {}.coverage_local WHERE from_time >= {} AND from_time <= {} AND until_time >= {} AND ({}) ORDER BY version FORMAT RowBinary",
            schema::DATABASE,
            from.minus(ROW_BACK).nanos(),
            until.nanos(),
            from.nanos(),
            known.join(" OR ")
        );
        self.ask_shard(0, &statement, "coverage_local", spool::take_coverage)
    }
}

/// The coverage of all probes, out of what the engine has of it and the own store's rows.
fn merge(
    own: u16,
    known: &Known,
    rows: Vec<(u16, Coverage)>,
    local: Vec<Coverage>,
    (from, until): (Timestamp, Timestamp),
    forgotten: Option<Timestamp>,
) -> Vec<Coverage> {
    let mut all: BTreeMap<(Arc<str>, Timestamp), Coverage> = BTreeMap::new();
    for (probe, mut row) in rows {
        if probe == own {
            // Of our own sensors only what the own store has let go.
            if forgotten.is_some_and(|f| row.from < f) {
                all.insert((row.sensor.clone(), row.from), row);
            }
            continue;
        }
        let Some(account) = known.accounts.get(&(probe, row.sensor.clone())) else {
            continue;
        };
        if row.from > account.until {
            continue;
        }
        // A row that says that nobody looked stays as it is.
        if row.down.is_none() {
            row.until = row.until.min(account.until);
        }
        row.sensor = account.name.clone();
        all.insert((row.sensor.clone(), row.from), row);
    }
    for ((probe, _), account) in &known.accounts {
        if *probe == own || account.since > until {
            continue;
        }
        let until = match account.retired {
            true => until.min(account.until),
            false => until,
        };
        if until < from {
            continue;
        }
        let unknown = if account.until < until {
            account.until.max(from)
        } else if all.keys().any(|(sensor, _)| *sensor == account.name) {
            continue;
        } else {
            // It was there before and is there after, and says nothing of this time.
            account.since.max(from)
        };
        let row = Coverage {
            sensor: account.name.clone(),
            from: unknown,
            until,
            down: Some(Down::Unknown),
            ..Coverage::default()
        };
        // A row of its own that begins at the same time is no reason to leave this out: what it says is not known to be whole.
        all.insert((row.sensor.clone(), row.from), row);
    }
    for row in local {
        all.insert((row.sensor.clone(), row.from), row);
    }
    all.into_values().collect()
}

impl Lookup for Asked {
    fn last_uid(&self) -> u64 {
        let last = self.local.last_uid();
        spool::shared_uid(self.own(), last).unwrap_or(last)
    }

    fn look_up(
        &self,
        role: Role,
        number: Tn,
        from: Timestamp,
        until: Timestamp,
        most: u64,
    ) -> Result<Bounded, StoreError> {
        let local = self.local.look_up(role, number, from, until, most)?;
        let wanted = self.wanted(role, &number, from, until);
        let mut calls = match local {
            Bounded::All(calls) => calls,
            Bounded::TooMany(count) => {
                return Ok(Bounded::TooMany(count + self.count_records(&wanted)?));
            }
        };
        // A hash may find strangers: how many there are is known only when they are read.
        let hashed = spool::key(&number) < 0;
        let mut found = self.ask_records(&wanted, if hashed { u64::MAX } else { most })?;
        found.retain(|f| role.matches(&f.begin, number));
        found.sort_unstable_by_key(|f| (f.begin.at, f.begin.uid));
        found.dedup_by_key(|f| f.begin.uid);
        let more = calls.len() as u64 + found.len() as u64;
        if more > most {
            let of_engine = match hashed {
                true => found.len() as u64,
                false => self.count_records(&wanted)?,
            };
            // At least what was seen: what the engine holds only grows.
            return Ok(Bounded::TooMany((calls.len() as u64 + of_engine).max(more)));
        }
        self.join(&mut found)?;
        for call in &mut calls {
            self.share(call)?;
        }
        calls.extend(found.into_iter().map(Found::into_call));
        calls.sort_by_key(|c| (c.begin.at, c.begin.uid));
        calls.dedup_by_key(|c| c.begin.uid);
        Ok(Bounded::All(calls))
    }

    fn count(
        &self,
        role: Role,
        number: Tn,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<u64, StoreError> {
        if spool::key(&number) < 0 {
            return Ok(self.look_up_all(role, number, from, until)?.len() as u64);
        }
        let local = self.local.count(role, number, from, until)?;
        let wanted = self.wanted(role, &number, from, until);
        Ok(local + self.count_records(&wanted)?)
    }

    fn coverage(&self, from: Timestamp, until: Timestamp) -> Result<Vec<Coverage>, StoreError> {
        let local = self.local.coverage(from, until)?;
        let rows = self.ask_coverage(from, until)?;
        let forgotten = self.local.forgotten_before();
        let window = (from, until);
        Ok(merge(
            self.own(),
            &self.known,
            rows,
            local,
            window,
            forgotten,
        ))
    }

    fn campaigns(&self, from: Timestamp, until: Timestamp) -> Result<Vec<Campaign>, StoreError> {
        self.local.campaigns(from, until)
    }

    /// What the engine has deleted is gone for all but perhaps one probe.
    fn forgotten_before(&self) -> Option<Timestamp> {
        self.known.forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_secs(1_795_500_000 + second)
    }

    fn row(sensor: &str, from: i64, until: i64) -> Coverage {
        Coverage {
            sensor: sensor.into(),
            from: at(from),
            until: at(until),
            packets: 1,
            ..Coverage::default()
        }
    }

    fn known(accounts: &[(u16, &str, i64, i64)]) -> Known {
        Known {
            accounts: accounts
                .iter()
                .map(|(probe, sensor, since, until)| {
                    let account = Account {
                        name: format!("p{probe}/{sensor}").into(),
                        since: at(*since),
                        until: at(*until),
                        retired: false,
                    };
                    ((*probe, Arc::from(*sensor)), account)
                })
                .collect(),
            ..Known::default()
        }
    }

    fn shown(rows: &[Coverage]) -> Vec<(String, i64, i64, bool)> {
        let secs = |t: Timestamp| t.secs() - 1_795_500_000;
        rows.iter()
            .map(|r| {
                let down = r.down.is_some();
                (r.sensor.to_string(), secs(r.from), secs(r.until), down)
            })
            .collect()
    }

    fn merged(
        known: &Known,
        rows: Vec<(u16, Coverage)>,
        local: Vec<Coverage>,
    ) -> Vec<(String, i64, i64, bool)> {
        shown(&merge(1, known, rows, local, (at(0), at(600)), None))
    }

    #[test]
    fn from_where_another_probe_has_not_forwarded_nobody_is_said_to_have_looked() {
        let known = known(&[(1, "a", 0, 60), (2, "a", -600, 90)]);
        let rows = vec![
            (1, row("a", 0, 60)),
            (2, row("a", 0, 60)),
            (2, row("a", 60, 120)),
            (2, row("a", 120, 180)),
        ];
        let local = vec![row("a", 0, 60), row("a", 60, 600)];
        assert_eq!(
            merged(&known, rows, local),
            [
                ("a".to_owned(), 0, 60, false),
                ("a".to_owned(), 60, 600, false),
                ("p2/a".to_owned(), 0, 60, false),
                ("p2/a".to_owned(), 60, 90, false),
                ("p2/a".to_owned(), 90, 600, true),
            ]
        );
    }

    #[test]
    fn a_sensor_of_another_probe_that_is_silent_is_not_left_out() {
        // One that is far ahead and has no row here; one that is far behind; one that came later.
        let known = known(&[
            (2, "a", -600, 9_000),
            (3, "b", -9_000, -600),
            (4, "c", 700, 900),
        ]);
        assert_eq!(
            merged(&known, Vec::new(), vec![row("own", 0, 600)]),
            [
                ("own".to_owned(), 0, 600, false),
                ("p2/a".to_owned(), 0, 600, true),
                ("p3/b".to_owned(), 0, 600, true),
            ]
        );
    }

    #[test]
    fn a_retired_sensor_is_not_waited_for() {
        let mut known = known(&[(2, "a", -600, 60), (3, "b", -600, -60)]);
        for account in known.accounts.values_mut() {
            account.retired = true;
        }
        let rows = vec![(2, row("a", 0, 60))];
        assert_eq!(
            merged(&known, rows, Vec::new()),
            [("p2/a".to_owned(), 0, 60, false)]
        );
    }

    #[test]
    fn of_our_own_sensors_the_engine_is_asked_for_what_the_own_store_let_go() {
        let known = known(&[(1, "a", 0, 600)]);
        let rows = vec![(1, row("a", 0, 60)), (1, row("a", 300, 360))];
        let merged = merge(
            1,
            &known,
            rows,
            vec![row("a", 240, 300)],
            (at(0), at(600)),
            Some(at(240)),
        );
        assert_eq!(
            shown(&merged),
            [
                ("a".to_owned(), 0, 60, false),
                ("a".to_owned(), 240, 300, false)
            ]
        );
    }

    #[test]
    fn a_row_that_begins_where_the_account_ends_is_not_believed() {
        let known = known(&[(2, "a", 0, 60)]);
        let rows = vec![(2, row("a", 0, 60)), (2, row("a", 60, 120))];
        assert_eq!(
            merged(&known, rows, Vec::new()),
            [
                ("p2/a".to_owned(), 0, 60, false),
                ("p2/a".to_owned(), 60, 600, true)
            ]
        );
    }
}
