//! What is told about all cases of a span, as the industry's own letters report it (traceback.md §1.5): tracebacks, providers, hops, how fast they are
//! answered, and where the calls come from.
//!
//! A case belongs to the span in which it was handed in, a question to the one in which it was asked. Each figure is read from an index that holds
//! all that it needs; memory is bounded by providers and months, not by questions.

use std::collections::BTreeMap;

use rusqlite::{Transaction, params};
use serde::Serialize;

use super::spread::Spread;
use super::{Span, whole};
use crate::base::Timestamp;
use crate::portal::docket::{Docket, Done, Result};
use crate::portal::word::{CaseState, HopState, Outcome};

/// Most rows of the lists that follow what providers say (origins, countries): who fills them up can't fill our memory.
const MOST_ROWS: i64 = 1000;
/// Most months: fifty years, beyond which a span is a mistake.
const MOST_MONTHS: usize = 600;
/// Hops of a traceback are counted one by one up to here; longer paths go into the last place.
const MOST_HOPS: usize = 20;

/// Everything at once.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Statistics {
    /// The span, and what it says in sum.
    pub totals: Totals,
    /// Tracebacks by month, oldest first, none left out.
    pub months: Vec<Month>,
    /// Tracebacks by outcome, in the order of [`Outcome::ALL`], those that are not over at the end.
    pub outcomes: Vec<Count>,
    /// Closed tracebacks by answered hops of the path.
    pub path_lengths: Vec<Length>,
    /// Answered questions by time taken.
    pub answer_times: Vec<Count>,
    /// Who was asked, and how it answered.
    pub providers: Vec<ProviderFigures>,
    /// Where paths ended: originating providers and points of entry.
    pub origins: Vec<Origin>,
    /// Where the calls came from.
    pub countries: Vec<Count>,
    /// By campaign.
    pub campaigns: Vec<CampaignFigures>,
}

/// In sum.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Totals {
    /// Cases handed in.
    pub tracebacks: u64,
    /// Of these closed.
    pub closed: u64,
    /// Of these with the originating provider or the point of entry known.
    pub completed: u64,
    /// Answered hops of a closed case's path, on the average.
    pub hops_per_traceback: Option<f64>,
    /// Questions asked.
    pub questions: u64,
    /// Questions answered.
    pub answers: u64,
    /// Half of the answers came within so many seconds.
    pub median_s: Option<u64>,
    /// Nine in ten did.
    pub ninety_s: Option<u64>,
    /// Providers that were asked or named.
    pub providers: u64,
    /// Of these, that were never asked or named before the span.
    pub new_providers: u64,
    /// Providers that let a question pass its deadline and have not answered it since.
    pub non_responsive: u64,
}

/// A month.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Month {
    /// `2026-11`.
    pub month: String,
    /// Cases handed in.
    pub tracebacks: u64,
    /// By outcome; `open` for those that are not over.
    pub outcomes: BTreeMap<String, u64>,
}

/// How many of something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Of what.
    pub of: String,
    /// How many.
    pub count: u64,
}

/// Paths of one length.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Length {
    /// Answered hops; the last place is "so many or more".
    pub hops: usize,
    /// How many closed cases.
    pub tracebacks: u64,
}

/// How one provider answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ProviderFigures {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Questions that count: those taken back unanswered do not.
    pub asked: u64,
    /// Answered within the deadline.
    pub in_time: u64,
    /// Answered after it.
    pub late: u64,
    /// Not answered, and the deadline is over.
    pub never: u64,
    /// Not answered yet.
    pub open: u64,
    /// Half of its answers came within so many seconds.
    pub median_s: Option<u64>,
    /// Nine in ten did.
    pub ninety_s: Option<u64>,
}

/// Where paths ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// The provider's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `originator` or `point-of-entry`.
    pub outcome: String,
    /// How many closed cases.
    pub tracebacks: u64,
    /// When the last one was closed.
    pub last: Timestamp,
}

/// One campaign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CampaignFigures {
    /// Its number; absent for cases that belong to none.
    pub id: Option<i64>,
    /// Its name.
    pub name: String,
    /// Cases handed in.
    pub tracebacks: u64,
    /// Of these with the originating provider or the point of entry known.
    pub completed: u64,
    /// At how many providers their paths ended.
    pub origins: u64,
}

impl Docket {
    /// Figures of a span.
    ///
    /// # Errors
    ///
    /// The database.
    pub fn statistics(&self, span: Span) -> Result<Statistics> {
        self.read(|tx| {
            let mut all = Statistics::default();
            cases(tx, span, &mut all)?;
            questions(tx, span, &mut all)?;
            identified(tx, span, &mut all.totals)?;
            all.origins = origins(tx, span)?;
            all.countries = countries(tx, span)?;
            all.campaigns = campaigns(tx, span)?;
            Ok(all)
        })
    }

    /// How one provider answered what it was asked in a span.
    ///
    /// # Errors
    ///
    /// The database.
    pub fn responsiveness(&self, provider: &str, span: Span) -> Result<ProviderFigures> {
        self.read(|tx| {
            let mut one = Tally::default();
            let mut statement = tx.prepare_cached(
                "SELECT issued, answered, in_time, state FROM hop INDEXED BY hop_provider
                 WHERE provider = ? AND issued >= ? AND issued < ?",
            )?;
            let mut rows =
                statement.query(params![provider, span.from.nanos(), span.to.nanos()])?;
            while let Some(row) = rows.next()? {
                let state = row.get_ref(3)?.as_str().unwrap_or_default();
                one.add(row.get(0)?, row.get(1)?, row.get(2)?, state);
            }
            Ok(one.figures(provider.to_owned(), String::new()))
        })
    }
}

/// What a month, an outcome and a length say, in one pass over the cases.
fn cases(tx: &Transaction<'_>, span: Span, all: &mut Statistics) -> Done<()> {
    let mut months: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    let mut outcomes: BTreeMap<String, u64> = BTreeMap::new();
    let mut lengths: BTreeMap<usize, u64> = BTreeMap::new();
    let mut hops = 0u64;
    let mut statement = tx.prepare_cached(
        "SELECT strftime('%Y-%m', created / 1000000000, 'unixepoch') AS month, state, outcome, hops, count(*)
         FROM trace INDEXED BY trace_figures WHERE created >= ? AND created < ? GROUP BY month, state, outcome, hops",
    )?;
    let mut rows = statement.query(params![span.from.nanos(), span.to.nanos()])?;
    while let Some(row) = rows.next()? {
        let (month, state): (String, String) = (row.get(0)?, row.get(1)?);
        let outcome: Option<String> = row.get(2)?;
        let (length, count) = (whole(row.get(3)?), whole(row.get(4)?));
        let closed = state == CaseState::Closed.label();
        let declined = state == CaseState::Declined.label();
        let word = match outcome {
            Some(outcome) if closed => outcome,
            _ if declined => state,
            _ => CaseState::Open.label().to_owned(),
        };
        *outcomes.entry(word.clone()).or_default() += count;
        *months.entry(month).or_default().entry(word).or_default() += count;
        all.totals.tracebacks += count;
        if closed {
            all.totals.closed += count;
            hops += length * count;
            let place = usize::try_from(length).unwrap_or(MOST_HOPS).min(MOST_HOPS);
            *lengths.entry(place).or_default() += count;
        }
    }
    let found = |word: Outcome| outcomes.get(word.label()).copied().unwrap_or(0);
    all.totals.completed = found(Outcome::Originator) + found(Outcome::PointOfEntry);
    all.totals.hops_per_traceback = mean(hops, all.totals.closed);
    all.months = every_month(months);
    let order = Outcome::ALL.iter().map(|o| o.label());
    let order = order.chain([CaseState::Declined.label(), CaseState::Open.label()]);
    all.outcomes = order
        .filter_map(|of| {
            Some(Count {
                of: of.to_owned(),
                count: *outcomes.get(of)?,
            })
        })
        .collect();
    let longest = lengths.keys().last().copied();
    all.path_lengths = longest.map_or_else(Vec::new, |longest| {
        (0..=longest)
            .map(|hops| Length {
                hops,
                tracebacks: lengths.get(&hops).copied().unwrap_or(0),
            })
            .collect()
    });
    Ok(())
}

/// Months without a case are months too: a chart that leaves them out tells something else.
fn every_month(mut found: BTreeMap<String, BTreeMap<String, u64>>) -> Vec<Month> {
    let (Some(first), Some(last)) = (
        found.keys().next().cloned(),
        found.keys().next_back().cloned(),
    ) else {
        return Vec::new();
    };
    let mut out = Vec::new();
    let mut month = first;
    while month <= last && out.len() < MOST_MONTHS {
        let outcomes = found.remove(&month).unwrap_or_default();
        out.push(Month {
            tracebacks: outcomes.values().sum(),
            outcomes,
            month: month.clone(),
        });
        let Some(next) = month_after(&month) else {
            break;
        };
        month = next;
    }
    out
}

fn month_after(month: &str) -> Option<String> {
    let (year, month) = month.split_once('-')?;
    let (year, month): (u32, u32) = (year.parse().ok()?, month.parse().ok()?);
    Some(match month {
        12 => format!("{:04}-01", year + 1),
        m => format!("{year:04}-{:02}", m + 1),
    })
}

#[allow(clippy::cast_precision_loss)]
fn mean(sum: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| sum as f64 / of as f64)
}

/// What one provider, or all of them, made of the questions.
#[derive(Default)]
struct Tally {
    figures: ProviderFigures,
    times: Spread,
}

impl Tally {
    fn add(&mut self, issued: i64, answered: Option<i64>, in_time: Option<bool>, state: &str) {
        let figures = &mut self.figures;
        match answered {
            Some(at) => {
                if in_time.unwrap_or(false) {
                    figures.in_time += 1;
                } else {
                    figures.late += 1;
                }
                self.times.add(seconds(at.saturating_sub(issued)));
            }
            None if state == HopState::Withdrawn.label() => return,
            None if state == HopState::NonResponsive.label() => figures.never += 1,
            None => figures.open += 1,
        }
        figures.asked += 1;
    }

    fn figures(self, id: String, name: String) -> ProviderFigures {
        ProviderFigures {
            id,
            name,
            median_s: self.times.within(0.5),
            ninety_s: self.times.within(0.9),
            ..self.figures
        }
    }
}

fn seconds(nanos: i64) -> u64 {
    u64::try_from(nanos / 1_000_000_000).unwrap_or(0)
}

/// Upper bounds of the times of [`Statistics::answer_times`], in seconds, with their names.
const TIMES: [(u64, &str); 6] = [
    (60, "within a minute"),
    (3600, "a minute to an hour"),
    (4 * 3600, "1 to 4 hours"),
    (24 * 3600, "4 hours to a day"),
    (72 * 3600, "1 to 3 days"),
    (u64::MAX, "longer"),
];

/// How questions were answered, in one pass over their index.
fn questions(tx: &Transaction<'_>, span: Span, all: &mut Statistics) -> Done<()> {
    let mut by_provider: BTreeMap<String, Tally> = BTreeMap::new();
    let mut times = Spread::default();
    let mut taken = [0u64; TIMES.len()];
    let mut statement = tx.prepare_cached(
        "SELECT issued, answered, in_time, state, provider FROM hop INDEXED BY hop_issued WHERE issued >= ? AND issued < ?",
    )?;
    let mut rows = statement.query(params![span.from.nanos(), span.to.nanos()])?;
    while let Some(row) = rows.next()? {
        let (issued, answered): (i64, Option<i64>) = (row.get(0)?, row.get(1)?);
        let state = row.get_ref(3)?.as_str().unwrap_or_default();
        let provider = row.get_ref(4)?.as_str().unwrap_or_default();
        if !by_provider.contains_key(provider) {
            by_provider.insert(provider.to_owned(), Tally::default());
        }
        if let Some(tally) = by_provider.get_mut(provider) {
            tally.add(issued, answered, row.get(2)?, state);
        }
        all.totals.questions += 1;
        if let Some(at) = answered {
            let took = seconds(at.saturating_sub(issued));
            all.totals.answers += 1;
            times.add(took);
            let place = TIMES.iter().position(|&(most, _)| took <= most);
            if let Some(count) = place.and_then(|p| taken.get_mut(p)) {
                *count += 1;
            }
        }
    }
    all.totals.median_s = times.within(0.5);
    all.totals.ninety_s = times.within(0.9);
    all.answer_times = TIMES
        .iter()
        .zip(taken)
        .map(|(&(_, of), count)| Count {
            of: of.to_owned(),
            count,
        })
        .collect();
    let mut names = tx.prepare_cached("SELECT name FROM provider WHERE id = ?")?;
    for (id, tally) in by_provider {
        let name = names.query_row([&id], |row| row.get(0))?;
        all.providers.push(tally.figures(id, name));
    }
    all.providers.retain(|p| p.asked > 0);
    all.totals.non_responsive = count(all.providers.iter().filter(|p| p.never > 0));
    all.providers
        .sort_by(|a, b| b.asked.cmp(&a.asked).then_with(|| a.id.cmp(&b.id)));
    Ok(())
}

fn count(of: impl Iterator) -> u64 {
    u64::try_from(of.count()).unwrap_or(u64::MAX)
}

/// Providers that were asked or named, and how many of them are new.
fn identified(tx: &Transaction<'_>, span: Span, totals: &mut Totals) -> Done<()> {
    let (from, to) = (span.from.nanos(), span.to.nanos());
    (totals.providers, totals.new_providers) = tx
        .prepare_cached(
            "SELECT count(*), coalesce(sum(NOT EXISTS (SELECT 1 FROM hop INDEXED BY hop_provider WHERE provider = p.id AND issued < ?1)
                 AND NOT EXISTS (SELECT 1 FROM hop INDEXED BY hop_named WHERE named = p.id AND answered < ?1)), 0)
             FROM provider p
             WHERE EXISTS (SELECT 1 FROM hop INDEXED BY hop_provider WHERE provider = p.id AND issued >= ?1 AND issued < ?2)
                 OR EXISTS (SELECT 1 FROM hop INDEXED BY hop_named WHERE named = p.id AND answered >= ?1 AND answered < ?2)",
        )?
        .query_row(params![from, to], |row| {
            Ok((whole(row.get(0)?), whole(row.get(1)?)))
        })?;
    Ok(())
}

/// The outcomes that say where a call came from.
const FOUND: &str = "('originator', 'point-of-entry')";

fn origins(tx: &Transaction<'_>, span: Span) -> Done<Vec<Origin>> {
    let sql = format!(
        "SELECT t.ended_at, p.name, t.outcome, count(*) AS n, max(coalesce(t.closed, t.changed))
         FROM trace t JOIN provider p ON p.id = t.ended_at
         WHERE t.created >= ? AND t.created < ? AND t.state = 'closed' AND t.outcome IN {FOUND}
         GROUP BY t.ended_at, t.outcome ORDER BY n DESC, t.ended_at LIMIT {MOST_ROWS}"
    );
    let mut statement = tx.prepare_cached(&sql)?;
    let rows = statement.query_map(params![span.from.nanos(), span.to.nanos()], |row| {
        Ok(Origin {
            id: row.get(0)?,
            name: row.get(1)?,
            outcome: row.get(2)?,
            tracebacks: whole(row.get(3)?),
            last: Timestamp::from_nanos(row.get(4)?),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The country of whoever handed the call to the point of entry, as that one names it; else that of the originating provider.
fn countries(tx: &Transaction<'_>, span: Span) -> Done<Vec<Count>> {
    let sql = format!(
        "SELECT CASE t.outcome WHEN 'point-of-entry' THEN coalesce(upper(t.originator ->> 'country'), '') ELSE p.country END AS whence,
             count(*) AS n
         FROM trace t JOIN provider p ON p.id = t.ended_at
         WHERE t.created >= ? AND t.created < ? AND t.state = 'closed' AND t.outcome IN {FOUND}
         GROUP BY whence ORDER BY n DESC, whence LIMIT {MOST_ROWS}"
    );
    let mut statement = tx.prepare_cached(&sql)?;
    let rows = statement.query_map(params![span.from.nanos(), span.to.nanos()], |row| {
        Ok(Count {
            of: row.get(0)?,
            count: whole(row.get(1)?),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn campaigns(tx: &Transaction<'_>, span: Span) -> Done<Vec<CampaignFigures>> {
    let sql = format!(
        "SELECT t.campaign, c.name, count(*) AS n, sum(t.state = 'closed' AND t.outcome IN {FOUND}),
             count(DISTINCT CASE WHEN t.state = 'closed' AND t.outcome IN {FOUND} THEN t.ended_at END)
         FROM trace t INDEXED BY trace_figures LEFT JOIN campaign c ON c.id = t.campaign
         WHERE t.created >= ? AND t.created < ? GROUP BY t.campaign ORDER BY n DESC, t.campaign LIMIT {MOST_ROWS}"
    );
    let mut statement = tx.prepare_cached(&sql)?;
    let rows = statement.query_map(params![span.from.nanos(), span.to.nanos()], |row| {
        Ok(CampaignFigures {
            id: row.get(0)?,
            name: row.get::<_, Option<String>>(1)?.unwrap_or_default(),
            tracebacks: whole(row.get(2)?),
            completed: whole(row.get::<_, Option<i64>>(3)?.unwrap_or(0)),
            origins: whole(row.get(4)?),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
