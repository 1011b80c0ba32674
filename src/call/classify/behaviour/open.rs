//! Findings that are open: when they open, go on and close, and what is told of it.
//!
//! At most [`OPEN`] at once. One that finds no room is counted; its calls are flagged all the same.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::score::{Score, Strictness};
use super::sketch::{Key, number};
use crate::base::Timestamp;
use crate::call::classify::Flag;
use crate::call::classify::finding::{Change, EXAMPLES, Example, Finding, Subject, Term};

/// Findings open at once. About a kilobyte each: 10 MB.
pub(super) const OPEN: usize = 10_000;

/// How long a subject must stay below its threshold before its finding closes: longer than a dialler's pauses.
pub(super) const HOLD: Duration = Duration::from_secs(600);

/// How often an open finding is told anew at most.
const UPDATE: Duration = Duration::from_secs(600);

/// Whom a finding is about, to be looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum About {
    /// A calling number of a neighbour.
    Calling(Key),
    /// A called number.
    Called(Key),
    /// A called prefix.
    Prefix(Key),
    /// A neighbour.
    Neighbour(u32),
}

impl About {
    fn subject(self) -> Subject {
        let text = |key| number(key).map_or_else(|| "?".into(), |tn| tn.as_str().into());
        match self {
            Self::Calling(key) => Subject::CallingNumber(text(key)),
            Self::Called(key) => Subject::CalledNumber(text(key)),
            Self::Prefix(key) => Subject::CalledPrefix(text(key)),
            Self::Neighbour(_) => Subject::Neighbour,
        }
    }
}

/// The call with which something is seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    pub now: Timestamp,
    pub example: Example,
    pub peer: Option<&'a Arc<str>>,
}

#[derive(Debug)]
struct Open {
    id: Box<str>,
    peer: Option<Arc<str>>,
    since: Timestamp,
    last_above: Timestamp,
    told: Timestamp,
    calls: u64,
    score: f64,
    terms: Vec<Term>,
    examples: Examples,
}

/// A few records, spread evenly over all that came by: every n-th, and n doubles when they are too many.
#[derive(Clone, Debug)]
pub(in crate::call::classify) struct Examples {
    kept: Vec<Example>,
    step: u64,
    seen: u64,
}

impl Default for Examples {
    fn default() -> Self {
        Self {
            kept: Vec::new(),
            step: 1,
            seen: 0,
        }
    }
}

impl Examples {
    pub fn see(&mut self, example: Example) {
        if self.seen.is_multiple_of(self.step) {
            if self.kept.len() == EXAMPLES {
                let mut even = false;
                self.kept.retain(|_| {
                    even = !even;
                    even
                });
                self.step = self.step.saturating_mul(2);
            }
            if self.seen.is_multiple_of(self.step) {
                self.kept.push(example);
            }
        }
        self.seen = self.seen.saturating_add(1);
    }

    pub fn kept(&self) -> &[Example] {
        &self.kept
    }
}

/// Findings by kind and subject.
#[derive(Debug, Default)]
pub(super) struct OpenFindings {
    open: BTreeMap<(Flag, About), Open>,
    told: VecDeque<Finding>,
    /// Findings that found no room.
    pub refused: u64,
    looked: Timestamp,
}

impl OpenFindings {
    /// Judges a subject by its score. Gives whether it is above its threshold now, so that the call is flagged.
    pub fn judge(
        &mut self,
        (kind, about): (Flag, About),
        seen: Seen<'_>,
        score: impl Fn(Strictness) -> Score,
    ) -> bool {
        let relaxed = score(Strictness::GoOn);
        if !relaxed.is_met() {
            return false;
        }
        if let Some(open) = self.open.get_mut(&(kind, about)) {
            open.last_above = seen.now;
            open.calls += 1;
            open.examples.see(seen.example);
            if relaxed.value() > open.score {
                open.score = relaxed.value();
            }
            if open.told.plus(UPDATE) <= seen.now {
                open.told = seen.now;
                open.terms = relaxed.terms();
                let finding = open.tell(kind, about, Change::Updated, seen.now);
                self.told.push_back(finding);
            }
            return true;
        }
        let strict = score(Strictness::Open);
        if !strict.is_met() {
            return false;
        }
        if self.open.len() >= OPEN {
            self.refused += 1;
            return true;
        }
        let mut examples = Examples::default();
        examples.see(seen.example);
        let subject = about.subject().label();
        let open = Open {
            id: format!("{}-{}-{subject}", seen.example.uid, kind.label()).into(),
            peer: seen.peer.cloned(),
            since: seen.now,
            last_above: seen.now,
            told: seen.now,
            calls: 1,
            score: strict.value(),
            terms: strict.terms(),
            examples,
        };
        self.told
            .push_back(open.tell(kind, about, Change::Opened, seen.now));
        self.open.insert((kind, about), open);
        true
    }

    /// Whether a finding is open.
    pub fn is_open(&self, kind: Flag, about: About) -> bool {
        self.open.contains_key(&(kind, about))
    }

    /// Closes what has been below its threshold long enough, by whole minutes. What is closed, and when, is the same however often this is called.
    pub fn handle_time(&mut self, now: Timestamp) {
        let now = now.minute();
        if now == self.looked {
            return;
        }
        self.looked = now;
        self.close(|open| Some(open.due()).filter(|due| *due <= now));
    }

    /// Closes all.
    pub fn finish(&mut self, now: Timestamp) {
        self.close(|open| Some(open.due().min(now)));
    }

    pub fn poll(&mut self) -> Option<Finding> {
        self.told.pop_front()
    }

    /// How many are open, by kind and neighbour.
    pub fn count(&self) -> BTreeMap<(Flag, Option<Arc<str>>), u64> {
        let mut counts = BTreeMap::new();
        for ((kind, _), open) in &self.open {
            *counts.entry((*kind, open.peer.clone())).or_default() += 1;
        }
        counts
    }

    /// Closes those that have a time for it, the earliest first.
    fn close(&mut self, when: impl Fn(&Open) -> Option<Timestamp>) {
        let mut closed = Vec::new();
        self.open.retain(|(kind, about), open| {
            let at = when(open);
            closed.extend(at.map(|at| open.tell(*kind, *about, Change::Closed, at)));
            at.is_none()
        });
        closed.sort_by_key(|finding| finding.at);
        self.told.extend(closed);
    }
}

impl Open {
    /// The whole minute at which it closes, if nothing happens before.
    fn due(&self) -> Timestamp {
        let over = self.last_above.plus(HOLD);
        let minute = over.minute();
        match minute == over {
            true => minute,
            false => minute.plus(Duration::from_secs(60)),
        }
    }

    fn tell(&self, kind: Flag, about: About, change: Change, at: Timestamp) -> Finding {
        Finding {
            id: self.id.clone(),
            kind,
            change,
            peer: self.peer.clone(),
            subject: about.subject(),
            since: self.since,
            at,
            calls: self.calls,
            score: self.score,
            terms: self.terms.clone(),
            examples: self.examples.kept().to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_spread_over_all_that_came() {
        let mut examples = Examples::default();
        for uid in 0..1_000 {
            let at = Timestamp::from_secs(0);
            examples.see(Example { uid, at });
            assert!(examples.kept().len() <= EXAMPLES);
        }
        let uids: Vec<u64> = examples.kept().iter().map(|e| e.uid).collect();
        assert_eq!(uids, [0, 256, 512, 768]);
    }
}
