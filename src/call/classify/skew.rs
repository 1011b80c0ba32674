//! How far each signer's `iat` lies from the time of capture (rule F5).
//!
//! Comes in: attempts whose PASSporT is seen for the first time, signed by a certificate that we hold. Comes out: for each certificate
//! a small histogram. A constant offset is a clock that is wrong; scatter is delay on the way, or replay.
//!
//! Positive skew is an `iat` ahead of our clock. A sound signer shows −1 to 0 s: `iat` is cut to whole seconds.

use std::collections::HashMap;

use ahash::RandomState;

use crate::base::Timestamp;
use crate::base::digest::Digest128;
use crate::call::record::Verdict;
use crate::stir::verify::{Rule, Validation};

/// Signers kept apart. A year's survey found 15,988 certificates in all; one provider's edge meets some hundreds a day.
const SIGNERS: usize = 4_096;

/// Where a bin of the histogram begins, in seconds of skew; below the first there is one more. Narrow where clocks are told apart,
/// with edges at the usual widths of the window (15, 60 and 300 s).
const EDGES: [i64; 26] = [
    -3_600, -900, -300, -120, -90, -60, -45, -30, -20, -15, -10, -5, -3, -2, -1, 1, 2, 5, 10, 20,
    30, 60, 120, 300, 900, 3_600,
];

/// Calls from which a signer is worth a finding: fewer are chance.
const ENOUGH: u32 = 5;

/// A median beyond this is an offset: NTP keeps clocks within a tenth of a second, and a call set up within a few seconds.
const OFFSET: f64 = 5.0;

/// Between the tenth and the ninetieth percentile: more than this is scatter.
const SPREAD: f64 = 10.0;

/// A certificate that signs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Signer {
    /// Service provider code.
    pub spc: Box<str>,
    /// Digest of the certificates.
    pub chain: Digest128,
}

/// Skew of one signer.
#[derive(Clone, Debug, PartialEq)]
pub struct Skew {
    /// Calls.
    pub count: u32,
    /// Host of the certificate's URL.
    pub x5u_host: Option<Box<str>>,
    /// The furthest into the past, in seconds.
    pub lowest: f64,
    /// The furthest ahead.
    pub highest: f64,
    bins: [u32; EDGES.len() + 1],
}

/// What is remarkable about a signer's skew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkewFinding {
    /// All of it by about the same: its clock is wrong.
    Offset,
    /// All over the place: delay on the way, or replay.
    Scatter,
}

impl SkewFinding {
    /// Stable name.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Offset => "offset",
            Self::Scatter => "scatter",
        }
    }

    /// What it means, in one line.
    pub const fn what(self) -> &'static str {
        match self {
            Self::Offset => "its clock is wrong",
            Self::Scatter => "delayed on the way, or replayed",
        }
    }
}

impl Skew {
    fn new(x5u_host: Option<Box<str>>) -> Self {
        Self {
            count: 0,
            x5u_host,
            lowest: f64::INFINITY,
            highest: f64::NEG_INFINITY,
            bins: [0; EDGES.len() + 1],
        }
    }

    fn count(&mut self, seconds: f64) {
        self.count = self.count.saturating_add(1);
        self.lowest = self.lowest.min(seconds);
        self.highest = self.highest.max(seconds);
        let bin = EDGES.partition_point(|e| (*e as f64) <= seconds);
        if let Some(n) = self.bins.get_mut(bin) {
            *n = n.saturating_add(1);
        }
    }

    /// The skew that a share of the calls does not exceed: the middle of its bin, within what was seen.
    pub fn percentile(&self, share: f64) -> f64 {
        let rank = (f64::from(self.count) * share).ceil().max(1.0);
        let mut below = 0.0;
        let bin = self.bins.iter().position(|n| {
            below += f64::from(*n);
            below >= rank
        });
        let bin = bin.unwrap_or(EDGES.len());
        let edge = |i: usize| EDGES.get(i).map(|e| *e as f64);
        let low = bin.checked_sub(1).and_then(edge).unwrap_or(self.lowest);
        let high = edge(bin).unwrap_or(self.highest);
        let (low, high) = (low.max(self.lowest), high.min(self.highest));
        f64::midpoint(low, high)
    }

    /// Whether it is worth a look, and why.
    pub fn finding(&self) -> Option<SkewFinding> {
        if self.count < ENOUGH {
            return None;
        }
        if self.percentile(0.9) - self.percentile(0.1) > SPREAD {
            return Some(SkewFinding::Scatter);
        }
        (self.percentile(0.5).abs() > OFFSET).then_some(SkewFinding::Offset)
    }
}

/// All signers.
#[derive(Clone, Debug, Default)]
pub struct Skews {
    signers: HashMap<Signer, Skew, RandomState>,
    /// Calls of signers beyond the limit.
    pub others: u64,
}

impl Skews {
    /// Counts an attempt, if its signature holds under a certificate that we have: anybody can write another signer's URL.
    pub fn handle(&mut self, at: Timestamp, verdict: &Verdict) -> Option<f64> {
        let wrong = [Rule::S1, Rule::S2];
        let decided = matches!(verdict.validation, Validation::Passed | Validation::Failed);
        if !decided || wrong.into_iter().any(|r| verdict.failed.contains(r)) {
            return None;
        }
        let skew = Timestamp::from_secs(verdict.iat?).secs_since(at);
        let signer = Signer {
            spc: verdict.spc.clone()?,
            chain: verdict.chain?,
        };
        if self.signers.len() >= SIGNERS && !self.signers.contains_key(&signer) {
            self.others += 1;
            return Some(skew);
        }
        self.signers
            .entry(signer)
            .or_insert_with(|| Skew::new(verdict.x5u_host.clone()))
            .count(skew);
        Some(skew)
    }

    /// Every signer, the one with the largest median first.
    pub fn worst_first(&self) -> Vec<(&Signer, &Skew)> {
        let mut all: Vec<_> = self.signers.iter().collect();
        all.sort_by(|(a, s), (b, t)| {
            let (s, t) = (s.percentile(0.5).abs(), t.percentile(0.5).abs());
            t.total_cmp(&s).then_with(|| a.cmp(b))
        });
        all
    }
}

/// Classes of skew for metrics, with the seconds at which each begins; the last two names are beyond the edges.
pub const CLASSES: [(&str, f64); 7] = [
    ("behind", f64::NEG_INFINITY),
    ("behind_60", -60.0),
    ("behind_10", -10.0),
    ("sound", -3.0),
    ("ahead", 1.0),
    ("ahead_10", 10.0),
    ("ahead_60", 60.0),
];

/// The index of the class in [`CLASSES`] that a skew lies in.
pub fn class_of(seconds: f64) -> usize {
    CLASSES
        .partition_point(|(_, begins)| *begins <= seconds)
        .saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(iat: i64) -> Verdict {
        Verdict {
            validation: Validation::Passed,
            iat: Some(iat),
            spc: Some("709J".into()),
            chain: Some(Digest128::of(b"chain")),
            x5u_host: Some("cert.example.net".into()),
            ..Verdict::default()
        }
    }

    fn skews(offsets: impl IntoIterator<Item = i64>) -> Skews {
        let mut out = Skews::default();
        for o in offsets {
            out.handle(
                Timestamp::from_nanos(1_000_400_000_000),
                &verdict(1_000 + o),
            );
        }
        out
    }

    fn only(skews: &Skews) -> &Skew {
        skews.worst_first()[0].1
    }

    #[test]
    fn f5_a_constant_offset_is_a_clock_and_scatter_is_delay_or_replay() {
        let finding = |offsets: Vec<i64>| only(&skews(offsets)).finding();
        assert_eq!(finding(vec![0, -1, 0, -1, -2, 0]), None);
        assert_eq!(
            finding(vec![-47, -46, -48, -47, -47]),
            Some(SkewFinding::Offset)
        );
        assert_eq!(finding(vec![22, 23, 22, 22, 24]), Some(SkewFinding::Offset));
        assert_eq!(
            finding(vec![-1, -30, -2, -55, -10, -41]),
            Some(SkewFinding::Scatter)
        );
        assert_eq!(finding(vec![-47; 4]), None, "too few");
    }

    #[test]
    fn f5_percentiles_lie_within_what_was_seen() {
        let s = skews([-47, -46, -48, -47, -47]);
        let s = only(&s);
        assert!((s.lowest + 48.4).abs() < 1e-6 && (s.highest + 46.4).abs() < 1e-6);
        for share in [0.0, 0.1, 0.5, 0.9, 1.0] {
            let p = s.percentile(share);
            assert!((s.lowest..=s.highest).contains(&p), "{share}: {p}");
        }
        let far = skews([-100_000; 5]);
        assert!((only(&far).percentile(0.5) + 100_000.4).abs() < 1e-6);
    }

    #[test]
    fn f5_who_can_not_be_told_is_not_counted() {
        let mut s = Skews::default();
        let at = Timestamp::from_secs(1_000);
        let mut forged = verdict(900);
        forged.validation = Validation::Failed;
        forged.failed.insert(Rule::S2);
        assert_eq!(s.handle(at, &forged), None);
        let mut unknown = verdict(900);
        (unknown.chain, unknown.validation) = (None, Validation::Undetermined);
        assert_eq!(s.handle(at, &unknown), None);
        assert!(s.worst_first().is_empty());
    }

    #[test]
    fn f5_the_table_is_bounded() {
        let mut s = Skews::default();
        for i in 0..5_000_u32 {
            let mut v = verdict(1_000);
            v.chain = Some(Digest128::of(&i.to_be_bytes()));
            s.handle(Timestamp::from_secs(1_000), &v);
        }
        assert_eq!(
            (s.worst_first().len(), s.others),
            (SIGNERS, 5_000 - SIGNERS as u64)
        );
    }

    #[test]
    fn f5_classes_cover_every_skew() {
        let label = |s| CLASSES[class_of(s)].0;
        assert_eq!(label(-1e12), "behind");
        assert_eq!(label(-60.0), "behind_60");
        assert_eq!(label(-0.4), "sound");
        assert_eq!(label(1.0), "ahead");
        assert_eq!(label(1e12), "ahead_60");
        assert!(CLASSES.is_sorted_by(|a, b| a.1 < b.1));
    }
}
