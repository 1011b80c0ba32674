//! What is told about all cases of a span, as the industry's own letters report it (traceback.md §1.5): tracebacks, providers, hops, how fast they are
//! answered, and where the calls come from.
//!
//! A case belongs to the span in which it was handed in, a question to the one in which it was asked. Each figure is read from an index that holds
//! all that it needs; memory is bounded by providers and months, not by questions.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use rusqlite::{OptionalExtension, Transaction, params};
use serde::Serialize;

use super::spread::Spread;
use super::{Span, whole};
use crate::base::Timestamp;
use crate::portal::docket::{Docket, Done, Result};
use crate::portal::word::{CaseState, HopState, Outcome};

/// Most countries that answers name: ISO 3166 has 249, and whoever names others can't fill our memory.
const MOST_COUNTRIES: i64 = 1000;
/// Most months: fifty years, beyond which a span is a mistake.
const MOST_MONTHS: usize = 600;
/// The outcomes that say where a call came from.
const FOUND: [Outcome; 2] = [Outcome::Originator, Outcome::PointOfEntry];
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

/// What the cases of a span say, in one pass over their index, in the order of their time.
fn cases(tx: &Transaction<'_>, span: Span, all: &mut Statistics) -> Done<()> {
    let mut months: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    let mut lengths: BTreeMap<usize, u64> = BTreeMap::new();
    let mut ends = Ends::default();
    let mut hops = 0u64;
    let mut month = Within::default();
    let mut statement = tx.prepare_cached(
        "SELECT created, state, outcome, hops, campaign, ended_at, closed FROM trace INDEXED BY trace_figures WHERE created >= ? AND created < ?",
    )?;
    let mut rows = statement.query(params![span.from.nanos(), span.to.nanos()])?;
    while let Some(row) = rows.next()? {
        let created: i64 = row.get(0)?;
        let state = row.get_ref(1)?.as_str().unwrap_or_default();
        let outcome = row.get_ref(2)?.as_str().unwrap_or_default();
        let closed = state == CaseState::Closed.label() && !outcome.is_empty();
        let word = match state {
            _ if closed => outcome,
            state if state == CaseState::Declined.label() => state,
            _ => CaseState::Open.label(),
        };
        if !month.holds(created) {
            month = Within::of(created);
        }
        if !months.contains_key(&month.name) {
            months.insert(month.name.clone(), BTreeMap::new());
        }
        if let Some(words) = months.get_mut(&month.name) {
            match words.get_mut(word) {
                Some(count) => *count += 1,
                None => {
                    words.insert(word.to_owned(), 1);
                }
            }
        }
        all.totals.tracebacks += 1;
        if closed {
            let length = whole(row.get(3)?);
            all.totals.closed += 1;
            hops += length;
            let place = usize::try_from(length).unwrap_or(MOST_HOPS).min(MOST_HOPS);
            *lengths.entry(place).or_default() += 1;
        }
        let found = closed && FOUND.iter().any(|f| f.label() == outcome);
        let at = found.then(|| row.get_ref(5)).transpose()?;
        let at = at.map(|a| a.as_str().unwrap_or_default());
        let last: Option<i64> = row.get(6)?;
        ends.add(row.get(4)?, at, outcome, last.unwrap_or(created));
    }
    all.totals.hops_per_traceback = mean(hops, all.totals.closed);
    let count = |of: &str| -> u64 { months.values().filter_map(|m| m.get(of)).sum() };
    all.totals.completed = FOUND.iter().map(|f| count(f.label())).sum();
    let order = Outcome::ALL.iter().map(|o| o.label());
    let order = order.chain([CaseState::Declined.label(), CaseState::Open.label()]);
    all.outcomes = order
        .map(|of| Count {
            of: of.to_owned(),
            count: count(of),
        })
        .filter(|c| c.count > 0)
        .collect();
    all.months = every_month(months);
    let longest = lengths.keys().last().copied();
    all.path_lengths = longest.map_or_else(Vec::new, |longest| {
        (0..=longest)
            .map(|hops| Length {
                hops,
                tracebacks: lengths.get(&hops).copied().unwrap_or(0),
            })
            .collect()
    });
    ends.tell(tx, span, all)
}

/// The month of a time, and how long it lasts: the cases come in order, so that few months are reckoned.
#[derive(Default)]
struct Within {
    name: String,
    from: i64,
    to: i64,
}

impl Within {
    fn of(nanos: i64) -> Self {
        let name: String = Timestamp::from_nanos(nanos)
            .to_string()
            .chars()
            .take(7)
            .collect();
        let begin = |month: &str| Timestamp::parse_rfc3339(&format!("{month}-01T00:00:00Z"));
        let from = begin(&name).map_or(nanos, Timestamp::nanos);
        let next = month_after(&name).and_then(|m| begin(&m));
        Self {
            name,
            from,
            to: next.map_or(from, Timestamp::nanos),
        }
    }

    fn holds(&self, nanos: i64) -> bool {
        (self.from..self.to).contains(&nanos)
    }
}

/// Where paths ended, by provider and by campaign. Bounded by what the directory and the campaigns are bounded by.
#[derive(Default)]
struct Ends {
    providers: HashMap<Box<str>, usize>,
    /// By provider and outcome: how many, and when the last.
    origins: BTreeMap<(usize, bool), (u64, i64)>,
    campaigns: BTreeMap<Option<i64>, OfCampaign>,
}

#[derive(Default)]
struct OfCampaign {
    tracebacks: u64,
    completed: u64,
    ends: BTreeSet<usize>,
}

impl Ends {
    /// One case; `at` is where its path ended, when that was found.
    fn add(&mut self, campaign: Option<i64>, at: Option<&str>, outcome: &str, last: i64) {
        let of = self.campaigns.entry(campaign).or_default();
        of.tracebacks += 1;
        let Some(at) = at else {
            return;
        };
        of.completed += 1;
        let next = self.providers.len();
        let place = match self.providers.get(at) {
            Some(place) => *place,
            None => {
                self.providers.insert(at.into(), next);
                next
            }
        };
        of.ends.insert(place);
        let made = outcome == Outcome::Originator.label();
        let origin = self.origins.entry((place, made)).or_default();
        origin.0 += 1;
        origin.1 = origin.1.max(last);
    }

    fn tell(self, tx: &Transaction<'_>, span: Span, all: &mut Statistics) -> Done<()> {
        let mut ids: Vec<(&str, usize)> =
            self.providers.iter().map(|(id, p)| (&**id, *p)).collect();
        ids.sort_by_key(|(_, place)| *place);
        let mut countries: BTreeMap<String, u64> = BTreeMap::new();
        let mut card = tx.prepare_cached("SELECT name, country FROM provider WHERE id = ?")?;
        for ((place, made), (tracebacks, last)) in &self.origins {
            let id = ids.get(*place).map_or("", |(id, _)| id);
            let found: Option<(String, String)> = card
                .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let (name, country) = found.unwrap_or_default();
            if *made {
                *countries.entry(country).or_default() += tracebacks;
            }
            let outcome = if *made {
                Outcome::Originator
            } else {
                Outcome::PointOfEntry
            };
            all.origins.push(Origin {
                id: id.to_owned(),
                name,
                outcome: outcome.label().to_owned(),
                tracebacks: *tracebacks,
                last: Timestamp::from_nanos(*last),
            });
        }
        // The country of whoever handed the call to the point of entry, as that one names it.
        let mut statement = tx.prepare_cached(
            "SELECT coalesce(upper(originator ->> 'country'), '') AS whence, count(*) AS n FROM trace INDEXED BY trace_figures
             WHERE created >= ? AND created < ? AND state = 'closed' AND outcome = 'point-of-entry' GROUP BY whence ORDER BY n DESC LIMIT ?",
        )?;
        let mut rows =
            statement.query(params![span.from.nanos(), span.to.nanos(), MOST_COUNTRIES])?;
        while let Some(row) = rows.next()? {
            *countries.entry(row.get(0)?).or_default() += whole(row.get(1)?);
        }
        all.countries = countries
            .into_iter()
            .map(|(of, count)| Count { of, count })
            .collect();
        let mut name = tx.prepare_cached("SELECT name FROM campaign WHERE id = ?")?;
        for (id, of) in self.campaigns {
            let found: Option<String> = name.query_row([id], |row| row.get(0)).optional()?;
            all.campaigns.push(CampaignFigures {
                id,
                name: found.unwrap_or_default(),
                tracebacks: of.tracebacks,
                completed: of.completed,
                origins: u64::try_from(of.ends.len()).unwrap_or(u64::MAX),
            });
        }
        // Stable: equals stay in the order of their names.
        all.origins
            .sort_by(|a, b| (b.tracebacks, &a.id).cmp(&(a.tracebacks, &b.id)));
        all.countries.sort_by_key(|c| Reverse(c.count));
        all.campaigns.sort_by_key(|c| Reverse(c.tracebacks));
        Ok(())
    }
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
    let mut by_provider: HashMap<String, Tally> = HashMap::new();
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
            let place = TIMES.iter().position(|&(most, _)| took <= most);
            if let Some(count) = place.and_then(|p| taken.get_mut(p)) {
                *count += 1;
            }
        }
    }
    let mut times = Spread::default();
    for tally in by_provider.values() {
        times.join(&tally.times);
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
