//! What came of the questions, counted.

use std::collections::BTreeMap;

use super::ask::{Question, Ruse};
use super::rules::{Said, Simple};
use crate::responder::Answered;
use crate::traceback::answer::Resolution;

/// Counts of one profile.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Tally {
    /// Honest requests.
    pub requests: u64,
    /// Answered without a person.
    pub automatic: u64,
    /// Of these: another neighbour than the true one.
    pub wrong: u64,
    /// Of these: the right neighbour, and called something that it is not.
    pub wrong_kind: u64,
    /// Of the automatic ones: those that the default modes would let out, [`Resolution::UpstreamDomestic`] alone.
    pub by_default: u64,
    /// Requests whose truth is of that kind.
    pub domestic: u64,
    /// Named for a person to confirm.
    pub named: u64,
    /// Of these wrong.
    pub named_wrong: u64,
    /// Not certain.
    pub ambiguous: u64,
    /// Conditions of those that were not automatic, several each.
    pub conditions: BTreeMap<String, u64>,
    /// The same where one condition alone stood in the way.
    pub alone: BTreeMap<String, u64>,
    /// "Not found", each of them wrong unless the records were lost.
    pub not_found: u64,
    /// Not found and not seen.
    pub gap: u64,
    /// No such downstream here, question back, out of retention.
    pub refused: u64,
    /// What the simple rules said.
    pub simple: BTreeMap<Simple, SimpleTally>,
    /// Lies and fishing.
    pub hostile: BTreeMap<Ruse, HostileTally>,
    /// Whole traces.
    pub traces: Traces,
    /// Records in all stores, and SIP messages that made them.
    pub records: u64,
    /// SIP messages.
    pub messages: u64,
    /// Calls, redials included.
    pub calls: u64,
    /// Seconds that the questions took, over all threads.
    pub asking_s: f64,
}

/// A simple rule's.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub struct SimpleTally {
    /// Named somebody.
    pub answered: u64,
    /// Somebody else.
    pub wrong: u64,
    /// Several fitted.
    pub ambiguous: u64,
    /// None fitted.
    pub nothing: u64,
}

/// Those of a ruse.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub struct HostileTally {
    /// Requests.
    pub requests: u64,
    /// Answered without a person: given away.
    pub given: u64,
    /// A name is proposed to a person.
    pub named: u64,
    /// "Not found", or question back: says nothing about anybody.
    pub empty: u64,
}

/// Whole traces.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub struct Traces {
    /// How many.
    pub traces: u64,
    /// Hops in all.
    pub hops: u64,
    /// Automatic and right up to the first provider: the origin is found.
    pub to_origin: u64,
    /// Automatic and right from the end until one was not.
    pub hops_reached: u64,
}

/// What became of one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Automatic and right.
    Right,
    /// Automatic and wrong.
    Wrong,
    /// Everything else.
    Open,
}

impl Tally {
    /// Counts an answer.
    pub fn count(&mut self, q: &Question, a: &Answered) -> Verdict {
        let automatic = a.explanation.automatic;
        let peer = a.peer.as_deref();
        if let Some(ruse) = q.ruse {
            let t = self.hostile.entry(ruse).or_default();
            t.requests += 1;
            t.given += u64::from(automatic);
            t.named += u64::from(!automatic && peer.is_some());
            t.empty += u64::from(!automatic && peer.is_none());
            return if automatic {
                Verdict::Wrong
            } else {
                Verdict::Open
            };
        }
        let Some(truth) = &q.truth else {
            return Verdict::Open;
        };
        self.requests += 1;
        let domestic = truth.resolution == Resolution::UpstreamDomestic;
        self.domestic += u64::from(domestic);
        let right = peer == Some(&*truth.peer);
        let kind = a.answer.resolution == truth.resolution;
        if automatic {
            self.automatic += 1;
            self.by_default += u64::from(a.answer.resolution == Resolution::UpstreamDomestic);
            self.wrong += u64::from(!right);
            self.wrong_kind += u64::from(right && !kind);
            return if right && kind {
                Verdict::Right
            } else {
                Verdict::Wrong
            };
        }
        let conditions: Vec<&str> = a.explanation.conditions.iter().map(|c| c.label()).collect();
        for c in &conditions {
            *self.conditions.entry((*c).to_owned()).or_default() += 1;
        }
        if let [c] = conditions.as_slice() {
            *self.alone.entry((*c).to_owned()).or_default() += 1;
        }
        match (peer, a.answer.resolution) {
            (Some(_), _) => {
                self.named += 1;
                self.named_wrong += u64::from(!right);
            }
            (None, Resolution::NotFound) => self.not_found += 1,
            (None, Resolution::CaptureGap) => self.gap += 1,
            (None, Resolution::Ambiguous) => self.ambiguous += 1,
            _ => self.refused += 1,
        }
        Verdict::Open
    }

    /// Counts what a simple rule said to an honest request.
    pub fn count_simple(&mut self, rule: Simple, q: &Question, said: &Said) {
        let Some(truth) = &q.truth else { return };
        let t = self.simple.entry(rule).or_default();
        match said {
            Said::Peer(p) => {
                t.answered += 1;
                t.wrong += u64::from(**p != *truth.peer);
            }
            Said::Ambiguous => t.ambiguous += 1,
            Said::Nothing => t.nothing += 1,
        }
    }

    /// Adds another's counts.
    pub fn add(&mut self, o: &Self) {
        for (mine, theirs) in [
            (&mut self.requests, o.requests),
            (&mut self.automatic, o.automatic),
            (&mut self.wrong, o.wrong),
            (&mut self.wrong_kind, o.wrong_kind),
            (&mut self.by_default, o.by_default),
            (&mut self.domestic, o.domestic),
            (&mut self.named, o.named),
            (&mut self.named_wrong, o.named_wrong),
            (&mut self.ambiguous, o.ambiguous),
            (&mut self.not_found, o.not_found),
            (&mut self.gap, o.gap),
            (&mut self.refused, o.refused),
            (&mut self.records, o.records),
            (&mut self.messages, o.messages),
            (&mut self.calls, o.calls),
            (&mut self.traces.traces, o.traces.traces),
            (&mut self.traces.hops, o.traces.hops),
            (&mut self.traces.to_origin, o.traces.to_origin),
            (&mut self.traces.hops_reached, o.traces.hops_reached),
        ] {
            *mine += theirs;
        }
        self.asking_s += o.asking_s;
        for (k, n) in &o.conditions {
            *self.conditions.entry(k.clone()).or_default() += n;
        }
        for (k, n) in &o.alone {
            *self.alone.entry(k.clone()).or_default() += n;
        }
        for (k, n) in &o.simple {
            let t = self.simple.entry(*k).or_default();
            t.answered += n.answered;
            t.wrong += n.wrong;
            t.ambiguous += n.ambiguous;
            t.nothing += n.nothing;
        }
        for (k, n) in &o.hostile {
            let t = self.hostile.entry(*k).or_default();
            t.requests += n.requests;
            t.given += n.given;
            t.named += n.named;
            t.empty += n.empty;
        }
    }

    /// Hostile requests, and those that were answered without a person.
    pub fn hostile_sum(&self) -> (u64, u64) {
        let all = self.hostile.values();
        all.fold((0, 0), |(n, g), t| (n + t.requests, g + t.given))
    }
}
