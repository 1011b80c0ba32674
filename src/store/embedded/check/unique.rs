//! Whether every uid is there once, over all segments and logs, in bounded memory: stretch by stretch of uids.

use std::path::{Path, PathBuf};

use super::ends::for_each_uid;
use super::files::Files;
use crate::store::embedded::layout::Segment;

/// Uids that are held at once: 16 octets each, 128 MB.
const AT_ONCE: u64 = 8_000_000;

/// Where uids are.
pub(super) struct Run {
    pub of: Of,
    pub rows: u64,
    pub low: u64,
    pub high: u64,
}

pub(super) enum Of {
    Segment(Segment),
    /// Sorted.
    Log(PathBuf, Vec<u64>),
}

/// A uid that is there twice.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Twice {
    pub uid: u64,
    pub here: PathBuf,
    pub there: PathBuf,
}

/// Shows every uid that is there more than once. A file that can't be read, or is no longer there, is passed by.
pub(super) fn find(files: &Files<'_>, runs: &[Run], mut show: impl FnMut(Twice)) {
    find_with(files, runs, AT_ONCE, &mut show);
}

fn find_with(files: &Files<'_>, runs: &[Run], at_once: u64, show: &mut impl FnMut(Twice)) {
    let low = runs.iter().map(|r| r.low).min().unwrap_or(0);
    let high = runs.iter().map(|r| r.high).max().unwrap_or(0);
    let mut stretches = vec![(low, high, (0..runs.len()).collect::<Vec<usize>>())];
    while let Some((low, high, members)) = stretches.pop() {
        let of = |i: &usize| runs.get(*i);
        let members: Vec<usize> = members
            .into_iter()
            .filter(|i| of(i).is_some_and(|r| r.low <= high && low <= r.high))
            .collect();
        let expected: f64 = members
            .iter()
            .filter_map(of)
            .map(|r| r.within(low, high))
            .sum();
        if expected > at_once as f64 && low < high {
            let mid = low.midpoint(high);
            stretches.push((mid + 1, high, members.clone()));
            stretches.push((low, mid, members));
            continue;
        }
        let mut uids: Vec<(u64, usize)> = Vec::new();
        for i in members {
            if let Some(run) = runs.get(i) {
                run.for_each(files, |uid| {
                    if (low..=high).contains(&uid) {
                        uids.push((uid, i));
                    }
                });
            }
        }
        uids.sort_unstable();
        for pair in uids.windows(2) {
            if let [(a, here), (b, there)] = pair
                && a == b
                && let (Some(here), Some(there)) = (runs.get(*here), runs.get(*there))
            {
                show(Twice {
                    uid: *a,
                    here: here.path(files.root),
                    there: there.path(files.root),
                });
            }
        }
    }
}

impl Run {
    /// About how many of its uids lie in a stretch, as if they were spread evenly.
    fn within(&self, low: u64, high: u64) -> f64 {
        let (low, high) = (low.max(self.low), high.min(self.high));
        if low > high {
            return 0.0;
        }
        let share = ((high - low) as f64 + 1.0) / ((self.high - self.low) as f64 + 1.0);
        share * self.rows as f64
    }

    fn for_each(&self, files: &Files<'_>, mut show: impl FnMut(u64)) {
        match &self.of {
            Of::Log(_, uids) => uids.iter().for_each(|uid| show(*uid)),
            Of::Segment(s) => {
                if let Ok(file) = files.segment(s) {
                    for_each_uid(&file, show);
                }
            }
        }
    }

    fn path(&self, root: &Path) -> PathBuf {
        match &self.of {
            Of::Log(path, _) => path.clone(),
            Of::Segment(s) => s.parquet(root),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::embedded::vault::Vault;

    fn log(name: &str, uids: impl Iterator<Item = u64>) -> Run {
        let uids: Vec<u64> = uids.collect();
        Run {
            rows: uids.len() as u64,
            low: uids[0],
            high: uids[uids.len() - 1],
            of: Of::Log(name.into(), uids),
        }
    }

    #[test]
    fn a_uid_that_is_there_twice_is_found_however_little_is_held_at_once() {
        let runs = [
            log("a", 1..=1000),
            log("b", (1001..=2000).chain([2000])),
            log("c", [0, 500, 3000].into_iter()),
            log("d", [u64::MAX].into_iter()),
        ];
        for at_once in [1, 7, 1_000_000] {
            let mut found = Vec::new();
            find_with(
                &Files::new(Path::new(""), &Vault::default()),
                &runs,
                at_once,
                &mut |t| found.push(t.uid),
            );
            assert_eq!(found, [500, 2000], "{at_once}");
        }
        let mut none = 0;
        find_with(
            &Files::new(Path::new(""), &Vault::default()),
            &[],
            1,
            &mut |_| none += 1,
        );
        assert_eq!(none, 0);
    }
}
