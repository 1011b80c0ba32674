//! When each sensor last looked, out of a store's coverage: what a start needs to say how long nobody did.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Lookup, StoreError};
use crate::base::Timestamp;
use crate::call::record::Coverage;
use crate::engine::coverage::last_rows;

/// How far back to look, in turn: a restart, a weekend, a season, and then all.
const BACK: [Duration; 4] = [
    Duration::from_secs(2 * 3600),
    Duration::from_secs(3 * 86_400),
    Duration::from_secs(100 * 86_400),
    Duration::MAX,
];

/// The newest coverage row of each of these sensors; none for one that the store has nothing of.
///
/// # Errors
///
/// What the store says.
pub fn last_looked(
    store: &dyn Lookup,
    sensors: &[Arc<str>],
    now: Timestamp,
) -> Result<BTreeMap<Arc<str>, Coverage>, StoreError> {
    let mut last = BTreeMap::new();
    for back in BACK {
        let rows = store.coverage(now.minus(back), Timestamp::MAX)?;
        last = last_rows(rows);
        if sensors.iter().all(|s| last.contains_key(s)) {
            break;
        }
    }
    last.retain(|sensor, _| sensors.contains(sensor));
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use crate::store::embedded::{EmbeddedStore, StoreSettings};

    #[test]
    fn the_newest_row_is_found_however_long_ago() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = EmbeddedStore::open(dir.path(), StoreSettings::default()).unwrap();
        let now = Timestamp::from_secs(1_795_478_400);
        for (sensor, ago) in [
            ("new", 60),
            ("new", 30),
            ("old", 40 * 86_400),
            ("other", 10),
        ] {
            let from = now.minus(Duration::from_secs(ago));
            let row = Coverage {
                sensor: sensor.into(),
                from,
                until: from.plus(Duration::from_secs(5)),
                ..Coverage::default()
            };
            store.append_coverage(&row).unwrap();
        }
        let wanted = ["new".into(), "old".into(), "never".into()];
        let last = last_looked(&store, &wanted, now).unwrap();
        let ago: Vec<_> = last
            .values()
            .map(|r| now.distance(r.from).as_secs())
            .collect();
        assert_eq!(
            last.keys().map(|k| &**k).collect::<Vec<_>>(),
            ["new", "old"]
        );
        assert_eq!(ago, [30, 40 * 86_400]);
    }
}
