//! Which record belongs to which truth, while calls go on.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use super::CheckReport;
use super::compare::differences;
use super::score::Scores;
use crate::base::Timestamp;
use crate::base::digest::IdDigest;
use crate::call::record::{Begin, Direction, End, StoredCall};
use crate::lab::truth::{Side, Truth};

/// How long after its INVITE nothing more is said of a call: more than 240 s for those that nobody answers, and than the lab's longest call.
const SETTLED: Duration = Duration::from_secs(900);
/// How many differences are told.
const EXAMPLES: usize = 40;

/// Truth that waits for its record, and records that wait for their end.
#[derive(Debug, Default)]
pub struct Ledger {
    /// In order of time: a leg's Call-ID comes again after a redirection.
    expected: HashMap<(IdDigest, Side), VecDeque<Truth>>,
    open: BTreeMap<u64, (Truth, StoredCall)>,
    /// Call-IDs of legs, by record.
    call_ids: BTreeMap<u64, IdDigest>,
    kinds: BTreeSet<&'static str>,
    report: CheckReport,
    scores: Scores,
}

impl Ledger {
    /// Truth of calls that come next.
    pub fn expect(&mut self, truth: Vec<Truth>) {
        for t in truth {
            self.kinds.insert(t.kind);
            let key = (IdDigest::of(t.call_id.as_bytes()), t.side);
            self.expected.entry(key).or_default().push_back(t);
        }
    }

    /// First half of a record.
    pub fn begin(&mut self, begin: Begin) {
        let side = match begin.direction {
            Direction::Egress => Side::Egress,
            Direction::Ingress | Direction::Unknown => Side::Ingress,
        };
        let (uid, key) = (begin.uid, (begin.ids.call_id, side));
        self.call_ids.insert(uid, begin.ids.call_id);
        let queue = self.expected.get_mut(&key);
        let Some(truth) = queue.and_then(VecDeque::pop_front) else {
            self.wrong(format!("a record that no truth knows: {begin:?}"));
            return;
        };
        if self.expected.get(&key).is_some_and(VecDeque::is_empty) {
            self.expected.remove(&key);
        }
        self.open
            .insert(uid, (truth, StoredCall { begin, end: None }));
        self.report.most_open = self.report.most_open.max(self.open.len());
    }

    /// Second half; the last one counts.
    pub fn end(&mut self, end: End) {
        match self.open.get_mut(&end.uid) {
            Some((_, call)) => call.end = Some(end),
            None => self.wrong(format!(
                "an end that comes too late, or belongs to nobody: {end:?}"
            )),
        }
    }

    /// Compares what is over.
    pub fn settle(&mut self, now: Timestamp) {
        let over = now.minus(SETTLED);
        while let Some(first) = self.open.first_entry() {
            if first.get().1.begin.at >= over {
                break;
            }
            let (truth, call) = first.remove();
            self.compare(&truth, &call);
        }
        // Pairs look back as far as calls are open.
        if let Some(oldest) = self.open.first_key_value().map(|(uid, _)| *uid) {
            while self
                .call_ids
                .first_key_value()
                .is_some_and(|(uid, _)| *uid + 200_000 < oldest)
            {
                self.call_ids.pop_first();
            }
        }
    }

    /// Compares the rest, and counts what never came.
    pub fn finish(mut self) -> CheckReport {
        for (truth, call) in std::mem::take(&mut self.open).into_values() {
            self.compare(&truth, &call);
        }
        let missing: Vec<_> = self
            .expected
            .values()
            .flatten()
            .map(|t| (t.at, format!("{} {}: no record", t.kind, t.call_id)))
            .collect();
        let missing: BTreeSet<_> = missing.into_iter().collect();
        for (_, what) in missing {
            self.wrong(what);
        }
        self.report.kinds = self.kinds.len();
        self.report.scores = self.scores;
        self.report
    }

    fn compare(&mut self, truth: &Truth, call: &StoredCall) {
        let pair = call
            .begin
            .pair
            .and_then(|p| self.call_ids.get(&p.uid).copied());
        let found = differences(&truth.line(), call, pair);
        if !found.is_empty() {
            self.wrong(format!(
                "{} {} {} of {}: {}",
                truth.kind,
                truth.side,
                truth.call_id,
                call.begin.at,
                found.join("; ")
            ));
        }
        self.scores.count(truth, &call.begin);
    }

    fn wrong(&mut self, what: String) {
        self.report.wrong += 1;
        if self.report.examples.len() < EXAMPLES {
            self.report.examples.push(what);
        }
    }
}
