//! Precision and recall of the flags that count calls, by call and by whom they are about.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::compare::COUNTING;
use crate::call::classify::Flag;
use crate::call::record::{Begin, Direction};
use crate::lab::truth::Truth;

/// What became of one flag.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Score {
    /// Calls that are meant, and flagged.
    pub hit: u64,
    /// Calls that are meant, and not flagged.
    pub missed: u64,
    /// Calls that are flagged, and not meant.
    pub wrong: u64,
    /// Subjects (a caller, a neighbour, a called number or prefix) that are meant.
    pub subjects: BTreeSet<String>,
    /// Of these, those with a call that was flagged.
    pub found: BTreeSet<String>,
    /// Neighbours and callers whose calls were flagged and not meant, with how many.
    pub accused: BTreeMap<String, u64>,
}

/// Of every flag that counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Scores(pub BTreeMap<&'static str, Score>);

/// Most subjects that are kept of those accused wrongly.
const ACCUSED: usize = 1_000;

impl Scores {
    /// Counts one record. Calls are counted where they come in.
    pub fn count(&mut self, truth: &Truth, begin: &Begin) {
        if begin.direction != Direction::Ingress {
            return;
        }
        for flag in COUNTING {
            if truth
                .behaviour
                .as_ref()
                .is_some_and(|b| b.also.contains(&flag) && !b.flags.contains(&flag))
            {
                continue;
            }
            let meant = truth.behaviour.as_ref().filter(|b| b.flags.contains(&flag));
            let flagged = begin.flags.contains(flag);
            if meant.is_none() && !flagged {
                continue;
            }
            let score = self.0.entry(flag.label()).or_default();
            match (meant, flagged) {
                (Some(b), true) => {
                    score.hit += 1;
                    score.subjects.insert(b.subject.clone());
                    score.found.insert(b.subject.clone());
                }
                (Some(b), false) => {
                    score.missed += 1;
                    score.subjects.insert(b.subject.clone());
                }
                (None, _) => {
                    score.wrong += 1;
                    let who = accused(flag, truth);
                    if score.accused.len() < ACCUSED || score.accused.contains_key(&who) {
                        *score.accused.entry(who).or_default() += 1;
                    }
                }
            }
        }
    }
}

/// Whom a flag that was not meant is about.
fn accused(flag: Flag, truth: &Truth) -> String {
    let peer = truth.peer.unwrap_or("unknown");
    match flag {
        Flag::Snowshoe | Flag::MixChange => peer.to_owned(),
        Flag::Flood | Flag::ProtectedFlood => truth.called.clone(),
        _ => format!(
            "{} through {peer}",
            truth.calling.as_deref().unwrap_or("nobody")
        ),
    }
}

impl Score {
    /// How much of what was flagged was meant.
    pub fn precision(&self) -> Option<f64> {
        share(self.hit, self.hit + self.wrong)
    }

    /// How much of what was meant was flagged.
    pub fn recall(&self) -> Option<f64> {
        share(self.hit, self.hit + self.missed)
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// A table for docs/BENCHMARKS.md.
impl fmt::Display for Scores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "| flag | calls meant | precision | recall | subjects found | wrongly accused |\n|---|---|---|---|---|---|"
        )?;
        let percent =
            |v: Option<f64>| v.map_or("–".to_owned(), |v| format!("{:.2} %", 100.0 * v));
        for (flag, s) in &self.0 {
            writeln!(
                f,
                "| {flag} | {} | {} | {} | {} of {} | {} |",
                s.hit + s.missed,
                percent(s.precision()),
                percent(s.recall()),
                s.found.len(),
                s.subjects.len(),
                s.accused.len()
            )?;
        }
        Ok(())
    }
}
