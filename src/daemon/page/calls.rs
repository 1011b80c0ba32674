//! Today's calls: a row for each neighbour, and the flags.

use serde::Serialize;

use super::day::Tallies;
use super::model::grouped;
use crate::call::classify::{Flag, Severity};
use crate::engine::collect::{DirectionKey, Tally};
use crate::stir::verify::Attestation;

/// Most neighbours with a row of their own; the others share one.
pub const MOST: usize = 50;

/// Calls that neighbours hand over, and that we hand to them.
#[derive(Debug, Serialize)]
pub struct Calls {
    /// Calls in all that neighbours hand over.
    all: String,
    /// By neighbour, the busiest first.
    rows: Vec<Row>,
    /// Whether any call passed without an attestation, which SHAKEN has not.
    other: bool,
    /// Calls that we hand over.
    egress: String,
    /// Calls of which no rule says which way they run.
    unknown: Option<String>,
    /// Flags of calls that neighbours hand over, the most frequent first.
    flags: Vec<FlagRow>,
}

/// A neighbour.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    /// Whether it stands for several.
    folded: bool,
    calls: String,
    a: String,
    b: String,
    c: String,
    other: String,
    failed: String,
    undetermined: String,
    none: String,
    spoofed: String,
    /// Whether something failed or was spoofed: then the number is marked.
    marked: [bool; 2],
    /// Shares in thousandths, for the bar: passed, failed, undetermined, none; where each begins, and how long it is.
    bar: [[u64; 2]; 4],
}

#[derive(Debug, Serialize)]
struct FlagRow {
    name: &'static str,
    what: &'static str,
    n: String,
    bad: bool,
}

impl Calls {
    pub fn of(today: &Tallies) -> Self {
        let ingress = today
            .iter()
            .filter(|((d, _), t)| *d == DirectionKey::Ingress && t.attempts > 0);
        let mut rows: Vec<(&str, &Tally)> = ingress
            .map(|((_, peer), t)| (peer.as_deref().unwrap_or("unknown"), t))
            .collect();
        rows.sort_by(|(n, t), (m, u)| u.attempts.cmp(&t.attempts).then(n.cmp(m)));
        let sums: Vec<Sum> = rows.iter().map(|(_, t)| Sum::of(t)).collect();
        let all: u64 = sums.iter().map(|s| s.calls).sum();
        let named = rows.iter().zip(&sums).take(MOST);
        let mut shown: Vec<Row> = named
            .map(|((n, _), s)| s.row((*n).to_owned(), false))
            .collect();
        let rest = sums.get(MOST..).unwrap_or_default();
        if !rest.is_empty() {
            let name = format!("{} more neighbours", rest.len());
            shown.push(Sum::all(rest).row(name, true));
        }
        let way = |way: DirectionKey| -> u64 {
            let of = today.iter().filter(|((d, _), _)| *d == way);
            of.map(|(_, t)| t.attempts).sum()
        };
        let unknown = way(DirectionKey::Unknown);
        Self {
            all: grouped(all),
            other: sums.iter().any(|s| s.other > 0),
            rows: shown,
            egress: grouped(way(DirectionKey::Egress)),
            unknown: (unknown > 0).then(|| grouped(unknown)),
            flags: flags(rows.iter().map(|(_, t)| *t)),
        }
    }
}

fn flags<'a>(tallies: impl Iterator<Item = &'a Tally> + Clone) -> Vec<FlagRow> {
    let sum = |flag: Flag| -> u64 { tallies.clone().map(|t| t.flagged(flag)).sum() };
    let told = [Flag::AttestA, Flag::AttestB, Flag::AttestC];
    let mut found: Vec<(Flag, u64)> = Flag::ALL
        .iter()
        .filter(|f| !told.contains(f))
        .map(|f| (*f, sum(*f)))
        .filter(|(_, n)| *n > 0)
        .collect();
    found.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let row = |(flag, n): (Flag, u64)| FlagRow {
        name: flag.label(),
        what: flag.what(),
        n: grouped(n),
        bad: flag.severity() == Severity::Bad,
    };
    found.into_iter().map(row).collect()
}

/// Calls by what became of their verification. What fits nowhere is `other`, so that a row adds up.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    calls: u64,
    attested: [u64; 3],
    other: u64,
    failed: u64,
    undetermined: u64,
    none: u64,
    spoofed: u64,
}

impl Sum {
    fn of(t: &Tally) -> Self {
        let valid = |a| t.verdicts.get(&(Some(a), None)).copied().unwrap_or(0);
        let attested = [Attestation::A, Attestation::B, Attestation::C].map(valid);
        let [_, failed, undetermined, none] = t.validations;
        let told = attested.iter().sum::<u64>() + failed + undetermined + none;
        Self {
            calls: t.attempts,
            attested,
            other: t.attempts.saturating_sub(told),
            failed,
            undetermined,
            none,
            spoofed: t.spoofed,
        }
    }

    fn all(sums: &[Self]) -> Self {
        let mut out = Self::default();
        for s in sums {
            out.calls += s.calls;
            for (n, more) in out.attested.iter_mut().zip(s.attested) {
                *n += more;
            }
            out.other += s.other;
            out.failed += s.failed;
            out.undetermined += s.undetermined;
            out.none += s.none;
            out.spoofed += s.spoofed;
        }
        out
    }

    fn row(&self, name: String, folded: bool) -> Row {
        let [a, b, c] = self.attested;
        let mut begin = 0;
        let bar = [
            a + b + c + self.other,
            self.failed,
            self.undetermined,
            self.none,
        ]
        .map(|n| {
            let long = n.saturating_mul(1_000) / self.calls.max(1);
            let at = [begin, long];
            begin += long;
            at
        });
        Row {
            name,
            folded,
            calls: grouped(self.calls),
            a: grouped(a),
            b: grouped(b),
            c: grouped(c),
            other: grouped(self.other),
            failed: grouped(self.failed),
            undetermined: grouped(self.undetermined),
            none: grouped(self.none),
            spoofed: grouped(self.spoofed),
            marked: [self.failed > 0, self.spoofed > 0],
            bar,
        }
    }
}
