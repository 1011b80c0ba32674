//! Forgetting in the engine: whole days, on every shard, noted before they go.

use std::collections::BTreeSet;

use hyper::body::Bytes;

use super::client::{Engine, EngineError};
use super::schema::DATABASE;
use crate::base::Timestamp;
use crate::store::embedded::spool;

/// Tables of which a day is a partition.
const TABLES: [&str; 4] = [
    "records_local",
    "numbers_local",
    "ends_local",
    "coverage_local",
];

/// Days in nanoseconds.
const DAY: i64 = 86_400_000_000_000;

/// What was deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retained {
    /// Everything before this is gone.
    pub before: Timestamp,
    /// Days of tables deleted, over all shards.
    pub partitions: u64,
}

/// Deletes the days that ended the engine's retention or longer before `now`. What goes is noted first, so that no answer ever says that it would know.
///
/// # Errors
///
/// [`EngineError`]; run it again then.
pub fn retain(engine: &Engine, now: Timestamp) -> Result<Retained, EngineError> {
    let first = spool::day_of(now.minus(engine.settings().retention));
    let before = Timestamp::from_nanos(first.saturating_mul(DAY));
    let mut retained = Retained {
        before,
        partitions: 0,
    };
    let mut old: BTreeSet<(usize, &str, i64)> = BTreeSet::new();
    for shard in 0..engine.shards() {
        let node = engine.fresh(shard)?;
        for table in TABLES {
            let statement = format!(
                "SELECT DISTINCT partition FROM system.parts WHERE active AND database = '{DATABASE}' AND table = '{table}' FORMAT TabSeparated"
            );
            let answer = engine.ask(node, &statement)?;
            let days = String::from_utf8_lossy(&answer);
            let days = days.lines().filter_map(|l| l.trim().parse().ok());
            old.extend(days.filter(|d| *d < first).map(|d| (shard, table, d)));
        }
    }
    if old.is_empty() {
        return Ok(retained);
    }
    let rows = Bytes::from(before.nanos().to_le_bytes().to_vec());
    engine.insert_into_shard(0, "forgotten_local", "before", &rows)?;
    for (shard, table, day) in old {
        let node = engine.fresh(shard)?;
        engine.ask(
            node,
            &format!("ALTER TABLE {DATABASE}.{table} DROP PARTITION {day}"),
        )?;
        retained.partitions += 1;
    }
    Ok(retained)
}
