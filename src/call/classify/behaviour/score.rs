//! A score that explains itself: terms, each with what was measured, where it begins to count, and what it adds.
//!
//! Weights are hundredths, so that sums are exact. A finding opens at [`OPENS`] of them. While it is open, each threshold is relaxed by [`SLACK`], so
//! that it does not flicker.

use smallvec::SmallVec;

use crate::call::classify::finding::Term;

/// Hundredths from which on a finding opens and goes on.
pub(super) const OPENS: i32 = 60;

/// How far thresholds are relaxed while a finding is open.
const SLACK: f64 = 0.7;

/// How a score is taken: to open, or to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strictness {
    /// Thresholds as they stand.
    Open,
    /// Relaxed.
    GoOn,
}

#[derive(Clone, Copy, Debug)]
struct Measured {
    name: &'static str,
    value: f64,
    threshold: f64,
    weight: i32,
    met: bool,
}

/// The terms of one behaviour of one subject at one moment.
#[derive(Clone, Debug)]
pub(super) struct Score {
    slack: f64,
    terms: SmallVec<[Measured; 6]>,
    enough: bool,
}

impl Score {
    pub fn new(strictness: Strictness) -> Self {
        Self {
            slack: match strictness {
                Strictness::Open => 1.0,
                Strictness::GoOn => SLACK,
            },
            terms: SmallVec::new(),
            enough: true,
        }
    }

    /// Without so many there is no score at all.
    pub fn needs(&mut self, name: &'static str, value: f64, threshold: f64) -> &mut Self {
        let met = value >= threshold * self.slack;
        self.enough &= met;
        self.push(name, value, threshold, 0, met)
    }

    /// Whether nothing is missing that it needs. If something is, no term changes that.
    pub fn is_enough(&self) -> bool {
        self.enough
    }

    /// Counts from the threshold on.
    pub fn above(
        &mut self,
        name: &'static str,
        value: f64,
        threshold: f64,
        weight: i32,
    ) -> &mut Self {
        self.push(
            name,
            value,
            threshold,
            weight,
            value >= threshold * self.slack,
        )
    }

    /// Counts up to the threshold.
    pub fn below(
        &mut self,
        name: &'static str,
        value: f64,
        threshold: f64,
        weight: i32,
    ) -> &mut Self {
        self.push(
            name,
            value,
            threshold,
            weight,
            value <= threshold / self.slack,
        )
    }

    /// Speaks for the subject, from the threshold on, as strictly open or not.
    pub fn excuses(
        &mut self,
        name: &'static str,
        value: f64,
        threshold: f64,
        weight: i32,
    ) -> &mut Self {
        self.push(name, value, threshold, -weight, value >= threshold)
    }

    fn push(
        &mut self,
        name: &'static str,
        value: f64,
        threshold: f64,
        weight: i32,
        met: bool,
    ) -> &mut Self {
        self.terms.push(Measured {
            name,
            value,
            threshold,
            weight,
            met,
        });
        self
    }

    /// Whether the behaviour is there.
    pub fn is_met(&self) -> bool {
        self.enough && self.hundredths() >= OPENS
    }

    fn hundredths(&self) -> i32 {
        let met = self.terms.iter().filter(|t| t.met);
        met.map(|t| t.weight).sum::<i32>().clamp(0, 100)
    }

    /// The score, 0 to 1.
    pub fn value(&self) -> f64 {
        match self.enough {
            true => f64::from(self.hundredths()) / 100.0,
            false => 0.0,
        }
    }

    /// What it is made of.
    pub fn terms(&self) -> Vec<Term> {
        let terms = self.terms.iter().map(|t| Term {
            name: t.name.into(),
            // Three decimals: enough to read, and the same on every machine.
            value: (t.value * 1_000.0).round() / 1_000.0,
            threshold: t.threshold,
            weight: f64::from(t.weight) / 100.0,
            met: t.met,
        });
        terms.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_the_sum_of_what_is_met() {
        let mut s = Score::new(Strictness::Open);
        s.needs("calls", 10.0, 10.0)
            .above("rate", 5.0, 5.0, 50)
            .below("answered", 0.3, 0.2, 40);
        assert_eq!(s.value(), 0.5);
        assert!(!s.is_met());
        let mut s = Score::new(Strictness::GoOn);
        s.needs("calls", 7.0, 10.0)
            .above("rate", 3.5, 5.0, 50)
            .below("answered", 0.28, 0.2, 40);
        assert_eq!(s.value(), 0.9);
        assert!(s.is_met());
        s.excuses("good", 1.0, 1.0, 40);
        assert!(!s.is_met());
        s.needs("more", 1.0, 10.0);
        assert_eq!(s.value(), 0.0);
        assert_eq!(s.terms().iter().map(|t| t.weight).sum::<f64>(), 0.5);
    }
}
