//! What an operator asks before trusting an engine: is every node there, of the right schema, in step, and does what is written come back?

use std::time::{Duration, Instant};

use super::client::{Engine, NodeId};
use super::schema::{self, DATABASE, MIGRATIONS};
use crate::base::Timestamp;

/// How long a row may take to reach the other replicas.
const REPLICATION: Duration = Duration::from_secs(10);
/// Blocks that a table must remember at least.
const WINDOW: i64 = 10_000;
/// How far a node's clock may be off: its errors and parts carry its time.
const CLOCK: i64 = 5;

/// One thing looked at.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// Where.
    pub node: String,
    /// What.
    pub what: &'static str,
    /// How it is.
    pub says: String,
    /// Whether that is as it should be.
    pub good: bool,
}

/// Looks at every node. Nothing stays in the engine of it.
pub fn check(engine: &Engine, now: fn() -> Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    for node in engine.nodes() {
        let name = engine.name(node);
        let mut note = |what, outcome: Result<String, String>| {
            let good = outcome.is_ok();
            let (Ok(says) | Err(says)) = outcome;
            findings.push(Finding {
                node: name.clone(),
                what,
                says,
                good,
            });
            good
        };
        if !note("answers", server(engine, node)) {
            continue;
        }
        note("clock", clock(engine, node, now));
        if !note("schema", version(engine, node)) {
            continue;
        }
        note("in step", in_step(engine, node));
        note("remembers blocks", window(engine, node));
    }
    for shard in 0..engine.shards() {
        let outcome = round_trip(engine, shard, now());
        let good = outcome.is_ok();
        let (Ok(says) | Err(says)) = outcome;
        findings.push(Finding {
            node: format!("shard {}", shard + 1),
            what: "write, read at every replica, delete",
            says,
            good,
        });
    }
    findings
}

fn server(engine: &Engine, node: NodeId) -> Result<String, String> {
    let answer = engine.ask(node, "SELECT version()");
    let answer = answer.map_err(|e| e.to_string())?;
    Ok(format!(
        "ClickHouse {}",
        String::from_utf8_lossy(&answer).trim()
    ))
}

fn clock(engine: &Engine, node: NodeId, now: fn() -> Timestamp) -> Result<String, String> {
    let there = engine.ask_numbers(node, "SELECT toInt64(toUnixTimestamp(now()))");
    let [there] = there.map_err(|e| e.to_string())?;
    let off = there - now().secs();
    let says = format!("{off} s from here");
    if off.abs() > CLOCK {
        Err(says)
    } else {
        Ok(says)
    }
}

fn version(engine: &Engine, node: NodeId) -> Result<String, String> {
    let version = schema::version(engine, node).map_err(|e| e.to_string())?;
    let wanted = MIGRATIONS.len();
    if usize::from(version) == wanted {
        Ok(format!("version {version}"))
    } else {
        Err(format!(
            "version {version}, this program's is {wanted}: run \"tracehop store engine migrate\""
        ))
    }
}

fn in_step(engine: &Engine, node: NodeId) -> Result<String, String> {
    let begun = Instant::now();
    loop {
        match engine.is_fresh(node) {
            Ok(true) => return Ok("has everything".to_owned()),
            Ok(false) if begun.elapsed() < REPLICATION => {
                std::thread::sleep(Duration::from_millis(100));
            }
            Ok(false) => return Err("has not caught up, or lost its coordinator".to_owned()),
            Err(e) => return Err(e.to_string()),
        }
    }
}

fn window(engine: &Engine, node: NodeId) -> Result<String, String> {
    let mut least = i64::MAX;
    for table in schema::REPLICATED {
        let statement = format!(
            "SELECT create_table_query FROM system.tables WHERE database = '{DATABASE}' AND name = '{table}' FORMAT TabSeparated"
        );
        let answer = engine.ask(node, &statement).map_err(|e| e.to_string())?;
        let text = String::from_utf8_lossy(&answer);
        let blocks = text
            .split_once("replicated_deduplication_window = ")
            .and_then(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()).next())
            .and_then(|n| n.parse().ok());
        least = least.min(blocks.unwrap_or(100));
    }
    let says = format!("the last {least} of each table");
    if least < WINDOW { Err(says) } else { Ok(says) }
}

/// A row of its own in `forgotten_local`'s shard-wide sibling would be seen by look-ups; one of the first day of 1970 in `ends_local` is seen by none.
fn round_trip(engine: &Engine, shard: usize, now: Timestamp) -> Result<String, String> {
    let say = |e: super::EngineError| e.to_string();
    let node = engine.fresh(shard).map_err(say)?;
    let uid = now.nanos();
    let row = format!(
        "INSERT INTO {DATABASE}.ends_local (uid, hour, seq) SELECT toInt64({uid}), toInt64(0), toUInt64({uid})"
    );
    engine.ask(node, &row).map_err(say)?;
    let begun = Instant::now();
    let mut outcome = Ok(());
    let replicas: Vec<NodeId> = engine.nodes().filter(|n| n.shard == shard).collect();
    for replica in &replicas {
        let count =
            format!("SELECT count() FROM {DATABASE}.ends_local WHERE uid = {uid} AND hour = 0");
        loop {
            match engine.ask_numbers(*replica, &count) {
                Ok([1]) => break,
                Ok(_) if begun.elapsed() < REPLICATION => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                Ok([found]) => {
                    outcome = Err(format!(
                        "{}: {found} rows after {} s",
                        engine.name(*replica),
                        begun.elapsed().as_secs()
                    ));
                    break;
                }
                Err(e) => {
                    outcome = Err(e.to_string());
                    break;
                }
            }
        }
    }
    let took = begun.elapsed();
    let gone = engine.ask(
        node,
        &format!("ALTER TABLE {DATABASE}.ends_local DROP PARTITION 0"),
    );
    gone.map_err(say)?;
    outcome?;
    Ok(format!(
        "{} replicas have it after {} ms",
        replicas.len(),
        took.as_millis()
    ))
}
