//! The probes that the engine knows: what each has forwarded, and saying that one is no more.
//!
//! A probe that is switched off for good would be waited for: from its last account on, nobody could say "not found". Retiring it says that its sensors ended where their account
//! ends. Should it forward again, its newer row takes that back.

use hyper::body::Bytes;

use super::client::{Engine, EngineError};
use super::schema::DATABASE;
use crate::base::Timestamp;
use crate::store::StoreError;
use crate::store::embedded::spool::{self, ProbeRow};

/// Columns of the table, in the order of [`put`].
pub(super) const COLUMNS: &str = "probe, store, sensor, name, since, until, retired, version";
/// The table.
pub(super) const TABLE: &str = "probes_local";

/// A sensor of a probe; a probe without any has one row with an empty name.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Listed {
    /// The probe's number.
    pub probe: u16,
    /// Its name.
    pub name: String,
    /// The sensor.
    pub sensor: String,
    /// Since when it is accounted for.
    pub since: Option<Timestamp>,
    /// Until when all its records are in the engine.
    pub until: Option<Timestamp>,
    /// Whether it is waited for no more.
    pub retired: bool,
}

/// What there is, as an up-to-date replica has it; the last row of each probe and sensor.
pub(super) fn statement() -> String {
    format!(
        "SELECT probe, store, sensor, name, since, until, retired, version FROM {DATABASE}.{TABLE} WHERE probe > 0 ORDER BY version FORMAT RowBinary"
    )
}

/// A row on its way.
pub(super) fn put(row: &ProbeRow, out: &mut Vec<u8>) {
    out.extend_from_slice(&row.probe.to_le_bytes());
    for text in [&row.store, &row.sensor, &row.name] {
        spool::put_text(out, text);
    }
    for time in [row.since, row.until] {
        out.extend_from_slice(&time.nanos().to_le_bytes());
    }
    out.push(u8::from(row.retired));
    out.extend_from_slice(&row.version.to_le_bytes());
}

/// The last row of each probe and sensor.
pub(super) fn last(rows: Vec<ProbeRow>) -> Vec<ProbeRow> {
    let mut last = std::collections::BTreeMap::new();
    // They come by version; of the same one, the retirement counts.
    for row in rows {
        let key = (row.probe, row.store.clone(), row.sensor.clone());
        let old: Option<&ProbeRow> = last.get(&key);
        if old.is_none_or(|o| (o.version, o.retired) <= (row.version, row.retired)) {
            last.insert(key, row);
        }
    }
    last.into_values().collect()
}

fn rows(engine: &Engine) -> Result<Vec<ProbeRow>, StoreError> {
    let node = engine.fresh(0)?;
    let answer = engine.ask(node, &statement())?;
    Ok(last(spool::take_probes(
        &answer,
        &engine.place(node, TABLE),
    )?))
}

/// All that the engine knows of probes.
///
/// # Errors
///
/// [`StoreError::Engine`].
pub fn list(engine: &Engine) -> Result<Vec<Listed>, StoreError> {
    let rows = rows(engine)?;
    let with_sensors: Vec<u16> = rows
        .iter()
        .filter(|r| !r.sensor.is_empty())
        .map(|r| r.probe)
        .collect();
    let shown = rows
        .into_iter()
        .filter(|r| !r.sensor.is_empty() || !with_sensors.contains(&r.probe));
    Ok(shown
        .map(|r| {
            let time = |t| (!r.sensor.is_empty()).then_some(t);
            Listed {
                probe: r.probe,
                since: time(r.since),
                until: time(r.until),
                retired: r.retired,
                name: r.name.clone(),
                sensor: r.sensor.clone(),
            }
        })
        .collect())
}

/// Retires a probe, or one of its sensors. Gives how many sensors.
///
/// # Errors
///
/// [`StoreError::Engine`].
pub fn retire(engine: &Engine, probe: u16, sensor: Option<&str>) -> Result<usize, StoreError> {
    let rows = rows(engine)?;
    let chosen = rows.into_iter().filter(|r| {
        r.probe == probe
            && !r.retired
            && !r.sensor.is_empty()
            && sensor.is_none_or(|s| s == r.sensor)
    });
    let (mut out, mut count) = (Vec::new(), 0);
    for row in chosen {
        put(
            &ProbeRow {
                retired: true,
                ..row
            },
            &mut out,
        );
        count += 1;
    }
    if count > 0 {
        to_all(engine, TABLE, COLUMNS, &out.into())?;
    }
    Ok(count)
}

/// Rows of a table that every node has, through whichever node takes them.
pub(super) fn to_all(
    engine: &Engine,
    table: &str,
    columns: &str,
    rows: &Bytes,
) -> Result<(), EngineError> {
    let mut failed = None;
    for shard in 0..engine.shards() {
        match engine.insert_into_shard(shard, table, columns, rows) {
            Ok(()) => return Ok(()),
            Err(e) => failed = Some(e),
        }
    }
    failed.map_or(Ok(()), Err)
}
