//! The states of rules while they are being judged.

use super::rule::Class;
use super::{Rule, RuleSet};

/// Four disjoint sets: a rule in none of them did not apply or was not reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleStates {
    /// Rules that passed.
    pub passed: RuleSet,
    /// Rules that failed, [`Class::Policy`] excluded.
    pub failed: RuleSet,
    /// Rules whose answer could not be found out.
    pub undetermined: RuleSet,
    /// Rules of class [`Class::Policy`] that were violated.
    pub findings: RuleSet,
}

/// The state of one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It passed.
    Passed,
    /// It failed.
    Failed,
    /// It could not be found out.
    Undetermined,
    /// It is violated and fails nothing.
    Finding,
    /// It did not apply, or was not reached.
    NotJudged,
}

impl State {
    /// Lower-case name.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Undetermined => "undetermined",
            Self::Finding => "finding",
            Self::NotJudged => "not judged",
        }
    }
}

impl RuleStates {
    /// Says that a rule holds or is violated; `kept` comes back.
    pub fn judge(&mut self, rule: Rule, kept: bool) -> bool {
        if kept {
            self.passed.insert(rule);
        } else if rule.class() == Class::Policy {
            self.findings.insert(rule);
        } else {
            self.failed.insert(rule);
        }
        kept
    }

    /// Says that a rule can't be decided.
    pub fn cannot_tell(&mut self, rule: Rule) {
        self.undetermined.insert(rule);
    }

    /// Takes back all that was said of a rule.
    pub fn withdraw(&mut self, rule: Rule) {
        for set in [
            &mut self.passed,
            &mut self.failed,
            &mut self.undetermined,
            &mut self.findings,
        ] {
            set.remove(rule);
        }
    }

    /// Takes back what was said of a rule: it can't be decided after all.
    pub fn doubt(&mut self, rule: Rule) {
        self.withdraw(rule);
        self.cannot_tell(rule);
    }

    /// Adds what was judged elsewhere about other rules.
    pub fn add(&mut self, other: &Self) {
        self.passed.0 |= other.passed.0;
        self.failed.0 |= other.failed.0;
        self.undetermined.0 |= other.undetermined.0;
        self.findings.0 |= other.findings.0;
    }

    /// The state of a rule.
    pub fn of(&self, rule: Rule) -> State {
        if self.failed.contains(rule) {
            State::Failed
        } else if self.undetermined.contains(rule) {
            State::Undetermined
        } else if self.findings.contains(rule) {
            State::Finding
        } else if self.passed.contains(rule) {
            State::Passed
        } else {
            State::NotJudged
        }
    }
}
