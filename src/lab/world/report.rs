//! What came of a run, as a table for people and as JSON.

use std::fmt;

use super::WorldOptions;
use super::profile::{Figures, Profile};
use super::rules::Simple;
use super::tally::Tally;
use super::{Case, SHOWN};

/// What came of a run.
#[derive(Clone, Debug, serde::Serialize)]
pub struct WorldReport {
    /// Which world.
    pub profile: Profile,
    /// Factors on clocks and redials.
    pub factors: (f64, f64),
    /// Seed.
    pub seed: u64,
    /// Providers in each world.
    pub providers: usize,
    /// What it was drawn from.
    pub figures: Figures,
    /// Counts.
    pub tally: Tally,
    /// Wrong answers, and what was given away; the first ones.
    pub cases: Vec<Case>,
    /// The request that was to be explained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explained: Option<Case>,
    /// Seconds that it took.
    pub seconds: f64,
}

impl WorldReport {
    pub(super) fn new(options: &WorldOptions) -> Self {
        Self {
            profile: options.profile,
            factors: (options.skew, options.redials),
            seed: options.seed,
            providers: options.providers,
            figures: options.profile.figures(options.skew, options.redials),
            tally: Tally::default(),
            cases: Vec::new(),
            explained: None,
            seconds: 0.0,
        }
    }

    pub(super) fn take(&mut self, (tally, cases, explained): (Tally, Vec<Case>, Option<Case>)) {
        self.tally.add(&tally);
        self.cases.extend(cases);
        self.cases.truncate(SHOWN);
        self.explained = self.explained.take().or(explained);
    }

    /// Its name: profile, and what differs from it.
    pub fn name(&self) -> String {
        let mut name = self.profile.label().to_owned();
        for (factor, what) in [(self.factors.0, "skew"), (self.factors.1, "redials")] {
            if (factor - 1.0).abs() > f64::EPSILON {
                name += &format!(", {what} ×{factor}");
            }
        }
        name
    }

    /// Automatic answers that were wrong in whatever way.
    pub fn wrong(&self) -> u64 {
        self.tally.wrong + self.tally.wrong_kind
    }

    /// Most that the true share of wrong answers can be, at 95 %: the rule of three where none was seen, and Poisson's upper limit otherwise
    /// (three for none, about n + 1.645·√n + 1.7 for n).
    pub fn wrong_at_most(&self) -> f64 {
        let n = self.wrong() as f64;
        let most = if n > 0.0 {
            n + 1.645 * n.sqrt() + 1.7
        } else {
            3.0
        };
        most / self.tally.automatic.max(1) as f64
    }

    /// One row for each way to answer: name, requests, answered %, wrong, wrong %, for a person %, ambiguous %, not found %, gap %.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let t = &self.tally;
        let all = t.requests.max(1) as f64;
        let percent = |n: u64| format!("{:.2}", 100.0 * n as f64 / all);
        let share = |wrong: u64, of: u64| format!("{:.4}", 100.0 * wrong as f64 / of.max(1) as f64);
        let mut rows = vec![vec![
            self.name(),
            "tracehop, automatic".to_owned(),
            t.requests.to_string(),
            percent(t.automatic),
            self.wrong().to_string(),
            share(self.wrong(), t.automatic),
            percent(t.named),
            percent(t.ambiguous + t.refused),
            percent(t.not_found),
            percent(t.gap),
        ]];
        for rule in Simple::ALL {
            let s = t.simple.get(&rule).copied().unwrap_or_default();
            rows.push(vec![
                String::new(),
                rule.label().to_owned(),
                String::new(),
                percent(s.answered),
                s.wrong.to_string(),
                share(s.wrong, s.answered),
                String::new(),
                percent(s.ambiguous),
                percent(s.nothing),
                String::new(),
            ]);
        }
        rows
    }

    /// Heads of [`WorldReport::rows`].
    pub const HEAD: [&'static str; 10] = [
        "world",
        "rule",
        "requests",
        "answered %",
        "wrong",
        "wrong %",
        "for a person %",
        "ambiguous %",
        "not found %",
        "gap %",
    ];
}

/// What the table does not show.
impl fmt::Display for WorldReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = &self.tally;
        let of = |n: u64, all: u64| 100.0 * n as f64 / all.max(1) as f64;
        writeln!(
            f,
            "{}: seed {}, {} providers a world, {} calls, {} SIP messages, {} records, in {:.0} s ({:.0} µs a question)",
            self.name(),
            self.seed,
            self.providers,
            t.calls,
            t.messages,
            t.records,
            self.seconds,
            1e6 * t.asking_s / (t.requests + t.hostile_sum().0).max(1) as f64
        )?;
        writeln!(
            f,
            "  wrong: {} named another neighbour, {} the right one by a wrong kind; the true share is below {:.4} % (95 %)",
            t.wrong,
            t.wrong_kind,
            100.0 * self.wrong_at_most()
        )?;
        writeln!(
            f,
            "  {:.2} % of the answers that name a provider at home leave unseen under the default modes",
            of(t.by_default, t.domestic)
        )?;
        writeln!(
            f,
            "  proposed to a person: {} names, {} of them wrong; \"not found\": {}",
            t.named, t.named_wrong, t.not_found
        )?;
        let w = &t.traces;
        writeln!(
            f,
            "  whole traces: {}, {:.2} hops; {:.2} % reach the origin without a person, and {:.2} % of all hops are reached so",
            w.traces,
            w.hops as f64 / w.traces.max(1) as f64,
            of(w.to_origin, w.traces),
            of(w.hops_reached, w.hops)
        )?;
        let listed = |f: &mut fmt::Formatter<'_>,
                      what: &str,
                      all: &std::collections::BTreeMap<String, u64>| {
            let mut rows: Vec<_> = all.iter().collect();
            rows.sort_by_key(|(name, n)| (std::cmp::Reverse(**n), name.as_str()));
            let rows: Vec<String> = rows
                .iter()
                .map(|(name, n)| format!("{name} {:.2} %", of(**n, t.requests)))
                .collect();
            writeln!(f, "  {what}: {}", rows.join(", "))
        };
        listed(f, "held back by", &t.conditions)?;
        listed(f, "by that alone", &t.alone)?;
        for (ruse, h) in &t.hostile {
            writeln!(
                f,
                "  hostile, {}: {} requests, {} given away, {} proposed to a person, {} without a name",
                ruse.label(),
                h.requests,
                h.given,
                h.named,
                h.empty
            )?;
        }
        for case in &self.cases {
            let what = match (&case.truth, case.ruse) {
                (_, Some(ruse)) => format!("hostile ({})", ruse.label()),
                (Some(t), _) => format!("true is {} ({})", t.peer, t.resolution.label()),
                (None, None) => String::new(),
            };
            writeln!(
                f,
                "  wrong: request {} at provider {}: {what}",
                case.number, case.provider
            )?;
        }
        Ok(())
    }
}
