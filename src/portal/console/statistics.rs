//! Statistics: what is told of all cases in a span, as a page, as CSV and as JSON.

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::IntoResponse;
use axum::routing::get;
use minijinja::context;
use minijinja::value::Serde;
use serde::{Deserialize, Serialize};
use std::time::Duration;

use super::sheet::{Sheet, file};
use super::tally::Counted;
use super::{Answer, Console, Trouble, Visitor, chart};
use crate::base::Timestamp;
use crate::portal::docket::read::Span;
use crate::portal::docket::read::statistics::{Month, Statistics};
use crate::portal::word::{Outcome, Role};

/// Who sees figures of everybody.
const ROLES: &[Role] = &[Role::Analyst, Role::Auditor];
/// Lines of a table on the page; the export has all.
const SHOWN: usize = 50;
const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/statistics", get(page))
        .route("/statistics/export/{what}", get(export))
}

/// A span as somebody chose it.
#[derive(Debug, Default, Deserialize)]
struct Choice {
    from: Option<String>,
    to: Option<String>,
}

/// A span and how it is said.
#[derive(Debug, Serialize)]
struct Chosen {
    from: String,
    to: String,
    #[serde(skip)]
    span: Span,
}

/// Both days count. What can't be read is left to its default: the last year, up to today.
fn chosen(choice: &Choice, now: Timestamp) -> Chosen {
    let midnight = |text: &str| {
        let day = text.len() == 10;
        Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z")).filter(|_| day)
    };
    let day = |t: Timestamp| t.to_string().chars().take(10).collect::<String>();
    let today = midnight(&day(now)).unwrap_or(now);
    let to = choice.to.as_deref().and_then(midnight).unwrap_or(today);
    let from = choice.from.as_deref().and_then(midnight);
    let from = from.unwrap_or_else(|| to.minus(DAY * 364)).min(to);
    Chosen {
        from: day(from),
        to: day(to),
        span: Span {
            from,
            to: to.plus(DAY),
        },
    }
}

/// Spans that are a click away.
fn offered(now: Timestamp) -> Vec<(&'static str, String, String)> {
    let day = |t: Timestamp| t.to_string().chars().take(10).collect::<String>();
    [
        ("30 days", 29),
        ("90 days", 89),
        ("12 months", 364),
        ("3 years", 3 * 365),
    ]
    .map(|(name, days)| (name, day(now.minus(DAY * days)), day(now)))
    .to_vec()
}

/// Four groups, so that a column can be read; the table beside it has every outcome.
const GROUPS: [(&str, &str); 4] = [
    ("found", "Originator or point of entry found"),
    ("silent", "Ended at a provider that did not answer"),
    ("other", "Closed otherwise"),
    ("open", "Not closed"),
];

fn groups(month: &Month) -> Vec<u64> {
    let of =
        |labels: &[&str]| -> u64 { labels.iter().filter_map(|l| month.outcomes.get(*l)).sum() };
    let found = of(&[Outcome::Originator.label(), Outcome::PointOfEntry.label()]);
    let silent = of(&[Outcome::NonResponsive.label()]);
    let open = of(&["open"]);
    vec![
        found,
        silent,
        month.tracebacks.saturating_sub(found + silent + open),
        open,
    ]
}

async fn page(
    State(console): State<Console>,
    visitor: Visitor,
    Query(choice): Query<Choice>,
) -> Answer {
    visitor.is(ROLES)?;
    let chosen = chosen(&choice, console.now());
    let span = chosen.span;
    let Counted { all, at } = console.statistics(span).await?;
    let months: Vec<_> = all
        .months
        .iter()
        .map(|m| (m.month.clone(), groups(m)))
        .collect();
    let t = &all.totals;
    let data = context! {
        chosen => Serde(&chosen),
        offered => offered(console.now()),
        counted_at => at.to_string(),
        groups => GROUPS,
        chart => Serde(chart::columns(&months)),
        months => Serde(&months),
        totals => Serde(t),
        completed_share => percent(t.completed, t.closed),
        answered_share => percent(t.answers, t.questions),
        outcomes => counted(all.outcomes.iter().map(|c| (c.of.clone(), c.count))),
        lengths => counted(all.path_lengths.iter().map(|l| (l.hops.to_string(), l.tracebacks))),
        times => counted(all.answer_times.iter().map(|c| (c.of.clone(), c.count))),
        countries => counted(all.countries.iter().take(SHOWN).map(|c| (c.of.clone(), c.count))),
        providers => Serde(all.providers.iter().take(SHOWN).collect::<Vec<_>>()),
        origins => Serde(all.origins.iter().take(SHOWN).collect::<Vec<_>>()),
        campaigns => Serde(all.campaigns.iter().take(SHOWN).collect::<Vec<_>>()),
        shown => SHOWN,
        more => context! {
            providers => all.providers.len().saturating_sub(SHOWN),
            origins => all.origins.len().saturating_sub(SHOWN),
            countries => all.countries.len().saturating_sub(SHOWN),
            campaigns => all.campaigns.len().saturating_sub(SHOWN),
        },
    };
    console.page(&visitor, "statistics.html", data)
}

/// Lines with their bars.
fn counted(of: impl Iterator<Item = (String, u64)>) -> Vec<(String, u64, f64)> {
    let of: Vec<_> = of.collect();
    let bars = chart::bars(of.iter().map(|(_, count)| *count));
    of.into_iter()
        .zip(bars)
        .map(|((name, count), bar)| (name, count, bar))
        .collect()
}

fn percent(part: u64, of: u64) -> Option<u64> {
    (part * 100 + of / 2).checked_div(of)
}

/// Tables that there are as CSV, and all at once as JSON.
async fn export(
    State(console): State<Console>,
    visitor: Visitor,
    Path(what): Path<String>,
    Query(choice): Query<Choice>,
) -> Answer {
    visitor.is(ROLES)?;
    let chosen = chosen(&choice, console.now());
    let span = chosen.span;
    let all = console
        .look(move |docket, _| docket.statistics(span))
        .await?;
    match &*what {
        "statistics.json" => json(&chosen, &all),
        "months.csv" => months(&all),
        "outcomes.csv" => {
            let lines = all.outcomes.iter().map(|c| (c.of.clone(), c.count));
            counts("outcomes", ["outcome", "tracebacks"], lines)
        }
        "path-lengths.csv" => {
            let lines = all
                .path_lengths
                .iter()
                .map(|l| (l.hops.to_string(), l.tracebacks));
            counts("path-lengths", ["hops", "tracebacks"], lines)
        }
        "answer-times.csv" => {
            let lines = all.answer_times.iter().map(|c| (c.of.clone(), c.count));
            counts("answer-times", ["time", "answers"], lines)
        }
        "countries.csv" => {
            let lines = all.countries.iter().map(|c| (c.of.clone(), c.count));
            counts("countries", ["country", "tracebacks"], lines)
        }
        "providers.csv" => providers(&all),
        "origins.csv" => origins(&all),
        "campaigns.csv" => campaigns(&all),
        _ => Err(Trouble::absent("export")),
    }
}

fn json(chosen: &Chosen, all: &Statistics) -> Answer {
    let value = serde_json::json!({ "from": chosen.from, "to": chosen.to, "statistics": all });
    let octets = serde_json::to_vec_pretty(&value).map_err(|e| Trouble::home(&e))?;
    Ok(file("statistics.json", "application/json", octets).into_response())
}

fn counts(
    name: &'static str,
    columns: [&str; 2],
    lines: impl Iterator<Item = (String, u64)>,
) -> Answer {
    let mut sheet = Sheet::new(name, &columns)?;
    for (of, count) in lines {
        sheet.line([of, count.to_string()])?;
    }
    sheet.answer()
}

fn months(all: &Statistics) -> Answer {
    let mut sheet = Sheet::new("months", &["month", "outcome", "tracebacks"])?;
    for month in &all.months {
        for (outcome, count) in &month.outcomes {
            sheet.line([month.month.clone(), outcome.clone(), count.to_string()])?;
        }
    }
    sheet.answer()
}

fn maybe<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(String::new, |v| v.to_string())
}

fn providers(all: &Statistics) -> Answer {
    let columns = [
        "id", "name", "asked", "in_time", "late", "never", "open", "median_s", "ninety_s",
    ];
    let mut sheet = Sheet::new("providers", &columns)?;
    for p in &all.providers {
        sheet.line([
            p.id.clone(),
            p.name.clone(),
            p.asked.to_string(),
            p.in_time.to_string(),
            p.late.to_string(),
            p.never.to_string(),
            p.open.to_string(),
            maybe(p.median_s),
            maybe(p.ninety_s),
        ])?;
    }
    sheet.answer()
}

fn origins(all: &Statistics) -> Answer {
    let mut sheet = Sheet::new("origins", &["id", "name", "outcome", "tracebacks", "last"])?;
    for o in &all.origins {
        sheet.line([
            o.id.clone(),
            o.name.clone(),
            o.outcome.clone(),
            o.tracebacks.to_string(),
            o.last.to_string(),
        ])?;
    }
    sheet.answer()
}

fn campaigns(all: &Statistics) -> Answer {
    let columns = ["id", "name", "tracebacks", "completed", "origins"];
    let mut sheet = Sheet::new("campaigns", &columns)?;
    for c in &all.campaigns {
        sheet.line([
            maybe(c.id),
            c.name.clone(),
            c.tracebacks.to_string(),
            c.completed.to_string(),
            c.origins.to_string(),
        ])?;
    }
    sheet.answer()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_whole_days_and_never_backwards() {
        let now = Timestamp::parse_rfc3339("2026-11-26T16:00:00Z").unwrap();
        let of = |from: Option<&str>, to: Option<&str>| {
            let choice = Choice {
                from: from.map(str::to_owned),
                to: to.map(str::to_owned),
            };
            let c = chosen(&choice, now);
            (c.from, c.to, c.span.from.to_string(), c.span.to.to_string())
        };
        let year = of(None, None);
        assert_eq!((&*year.0, &*year.1), ("2025-11-27", "2026-11-26"));
        assert!(year.3.starts_with("2026-11-27T00:00:00"));
        let one = of(Some("2026-11-01"), Some("2026-11-01"));
        assert!(one.2.starts_with("2026-11-01T") && one.3.starts_with("2026-11-02T"));
        let back = of(Some("2026-12-01"), Some("2026-11-01"));
        assert_eq!((&*back.0, &*back.1), ("2026-11-01", "2026-11-01"));
        assert_eq!(of(Some("x"), Some("2026-13-01")), year);
    }
}
