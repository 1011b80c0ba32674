//! What became of the requests, and which condition kept how many from being answered.

use std::collections::BTreeMap;

use crate::responder::Answered;
use crate::traceback::answer::Resolution;
use crate::traceback::condition::Condition;

#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub requests: u32,
    pub automatic: u32,
    pub automatic_wrong: u32,
    /// Named for a person to confirm.
    pub proposed: u32,
    pub proposed_wrong: u32,
    pub ambiguous: u32,
    pub not_found: u32,
    pub gap: u32,
    /// What the posterior alone would have answered, without any other gate.
    pub posterior: u32,
    pub posterior_wrong: u32,
    pub gates: BTreeMap<Condition, Gate>,
}

/// What one condition costs, and what it is for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gate {
    /// Requests for which it held.
    pub held: u32,
    /// Of these: it alone.
    pub alone: u32,
    /// Of these: the upstream with the highest posterior was not the one.
    pub alone_wrong: u32,
}

impl Tally {
    pub fn count(&mut self, a: &Answered, truth: &str, threshold: f64) {
        self.requests += 1;
        let named = a
            .answer
            .upstream
            .as_ref()
            .map(|p| p.name.trim_end_matches(" LLC") == truth);
        match (named, a.explanation.automatic) {
            (Some(right), true) => {
                self.automatic += 1;
                self.automatic_wrong += u32::from(!right);
            }
            (Some(right), false) => {
                self.proposed += 1;
                self.proposed_wrong += u32::from(!right);
            }
            (None, _) => match a.answer.resolution {
                Resolution::NotFound => self.not_found += 1,
                Resolution::CaptureGap => self.gap += 1,
                _ => self.ambiguous += 1,
            },
        }
        let top = a.explanation.upstreams.first();
        let wrong = top.is_none_or(|(name, _)| name != truth);
        if top.is_some_and(|(_, p)| *p >= threshold) {
            self.posterior += 1;
            self.posterior_wrong += u32::from(wrong);
        }
        let conditions = &a.explanation.conditions;
        for c in conditions {
            let gate = self.gates.entry(*c).or_default();
            gate.held += 1;
            if conditions.len() == 1 {
                gate.alone += 1;
                gate.alone_wrong += u32::from(wrong);
            }
        }
    }

    pub fn add(&mut self, o: &Self) {
        self.requests += o.requests;
        self.automatic += o.automatic;
        self.automatic_wrong += o.automatic_wrong;
        self.proposed += o.proposed;
        self.proposed_wrong += o.proposed_wrong;
        self.ambiguous += o.ambiguous;
        self.not_found += o.not_found;
        self.gap += o.gap;
        self.posterior += o.posterior;
        self.posterior_wrong += o.posterior_wrong;
        for (c, other) in &o.gates {
            let gate = self.gates.entry(*c).or_default();
            gate.held += other.held;
            gate.alone += other.alone;
            gate.alone_wrong += other.alone_wrong;
        }
    }

    pub fn share(&self, n: u32) -> f64 {
        f64::from(n) / f64::from(self.requests.max(1))
    }

    pub fn print(&self, name: &str) {
        let percent = |n| 100.0 * self.share(n);
        println!(
            "{name}: {} requests; automatic {:.2} % ({} wrong); for a person: named {:.2} % ({} wrong), ambiguous {:.2} %, \
             gap {:.2} %, not found {:.2} %; posterior alone {:.2} % ({} wrong)",
            self.requests,
            percent(self.automatic),
            self.automatic_wrong,
            percent(self.proposed),
            self.proposed_wrong,
            percent(self.ambiguous),
            percent(self.gap),
            percent(self.not_found),
            percent(self.posterior),
            self.posterior_wrong,
        );
        for (c, g) in &self.gates {
            println!(
                "    {:20} held {:6.3} %, alone {:6.3} % ({} of {} wrong)",
                c.label(),
                percent(g.held),
                percent(g.alone),
                g.alone_wrong,
                g.alone,
            );
        }
    }
}
