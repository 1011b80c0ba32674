//! Templates, what is at hand in them, and what every page shows.
//!
//! Every value is escaped as HTML; no template can switch that off. A value that is not there is an error, so that a page is never half of itself: where
//! one may be missing the template asks first (`x is defined`, or an `Option`, which is `none`).
//!
//! | filter | makes of | |
//! |---|---|---|
//! | `moment` | a time | `26 Nov 2026 16:44:21 UTC` |
//! | `day` | a time | `26 Nov 2026` |
//! | `span` | seconds | `3 min 12 s` |
//! | `word` | a label | `point of entry` |
//! | `tel` | a number | `+1 202-555-0101` |
//! | `size` | octets | `12.3 kB` |
//! | `grouped` | a count | `100,000` |
//! | `path` | a text | as a segment of a path or a value in a query |
//!
//! `kit.html` has the macros: fields of forms, states, times.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::response::{Html, IntoResponse};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, merge_maps};
use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior, Value, context};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::asset::PATHS;
use super::{Answer, Console, Trouble, Visitor};
use crate::portal::docket::Problem;
use crate::portal::word::Role;
use crate::web::client::escaped;

/// Every template.
const TEMPLATES: &[(&str, &str)] = &[
    ("layout.html", include_str!("pages/layout.html")),
    ("bare.html", include_str!("pages/bare.html")),
    ("kit.html", include_str!("pages/kit.html")),
    ("trouble.html", include_str!("pages/trouble.html")),
    ("login.html", include_str!("pages/login.html")),
    ("account.html", include_str!("pages/account.html")),
    ("audit.html", include_str!("pages/audit.html")),
    ("campaign.html", include_str!("pages/campaign.html")),
    ("campaigns.html", include_str!("pages/campaigns.html")),
    ("case.html", include_str!("pages/case.html")),
    ("case_call.html", include_str!("pages/case_call.html")),
    ("case_head.html", include_str!("pages/case_head.html")),
    ("case_hop.html", include_str!("pages/case_hop.html")),
    ("case_log.html", include_str!("pages/case_log.html")),
    ("case_path.html", include_str!("pages/case_path.html")),
    ("case_report.html", include_str!("pages/case_report.html")),
    ("cases.html", include_str!("pages/cases.html")),
    ("intake.html", include_str!("pages/intake.html")),
    ("inbox.html", include_str!("pages/inbox.html")),
    ("inboxlines.html", include_str!("pages/inboxlines.html")),
    ("parts.html", include_str!("pages/parts.html")),
    ("provider.html", include_str!("pages/provider.html")),
    ("providerform.html", include_str!("pages/providerform.html")),
    ("providers.html", include_str!("pages/providers.html")),
    ("question.html", include_str!("pages/question.html")),
    ("report.html", include_str!("pages/report.html")),
    ("reports.html", include_str!("pages/reports.html")),
    ("statistics.html", include_str!("pages/statistics.html")),
];

/// What an act says of itself on the page that comes after it: `?said=` has the word, so that nobody can make a page say anything else.
pub const SAID: &[(&str, &str)] = &[
    (
        "password",
        "Your password is changed, and your other sessions have ended.",
    ),
    ("answered", "Your answer is in."),
    ("handed-in", "Handed in."),
    ("case-opened", "The case is open: the walk has begun."),
    ("case-declined", "The case is declined."),
    (
        "case-withdrawn",
        "The case is taken back; providers are told.",
    ),
    (
        "case-reopened",
        "The case is open again: the walk goes on from what is there.",
    ),
    ("case-closed", "The case is closed."),
    ("case-campaign", "The campaign of the case is changed."),
    ("note-added", "The note is added."),
    ("file-added", "The file is added."),
    (
        "asked-again",
        "The provider is asked again, as a new question.",
    ),
    ("stands-by", "The answer counts again."),
    (
        "clarified",
        "The question is on its way anew, with what you added.",
    ),
    (
        "draft-approved",
        "Approved: your machine signs the answer and sends it.",
    ),
    (
        "draft-rejected",
        "Rejected: your machine is told. The question still waits for an answer.",
    ),
    (
        "disputed",
        "Disputed: that answer does not count until its provider stands by it or replaces it.",
    ),
    ("stands", "You stand by your answer: it counts again."),
    ("campaign-made", "The campaign is made."),
    ("campaign-changed", "The campaign is changed."),
    ("campaigns-merged", "The campaigns are one now."),
    ("report-filed", "The report is put away."),
    ("provider-added", "The provider is in the directory."),
    ("provider-changed", "What the directory says is changed."),
    ("provider-suspended", "The provider is suspended."),
    ("provider-back", "The provider may be asked again."),
];

/// Pages at the head of every page, for whom.
const NAV: &[(&str, &str, &[Role])] = &[
    ("/inbox", "Inbox", &[Role::Provider]),
    (
        "/cases",
        "Cases",
        &[Role::Requester, Role::Analyst, Role::Auditor],
    ),
    (
        "/requests/new",
        "New request",
        &[Role::Requester, Role::Analyst],
    ),
    ("/campaigns", "Campaigns", &[Role::Analyst, Role::Auditor]),
    ("/reports", "Reports", &[Role::Analyst, Role::Auditor]),
    ("/providers", "Providers", &[Role::Analyst, Role::Auditor]),
    ("/statistics", "Statistics", &[Role::Analyst, Role::Auditor]),
    ("/audit", "Audit log", &[Role::Analyst, Role::Auditor]),
];

/// Where somebody of a role begins.
pub(super) fn home(role: Role) -> &'static str {
    let first = NAV.iter().find(|(_, _, roles)| roles.contains(&role));
    first.map_or("/account", |(path, _, _)| path)
}

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut e = Environment::new();
    e.set_undefined_behavior(UndefinedBehavior::Strict);
    e.set_auto_escape_callback(|_| AutoEscape::Html);
    // A line that holds a tag alone leaves no line behind.
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true);
    if let Ok(syntax) = syntax.build() {
        e.set_syntax(syntax);
    }
    e.remove_filter("safe");
    e.remove_global("debug");
    e.add_filter("moment", moment);
    e.add_filter("day", day);
    e.add_filter("span", span);
    e.add_filter("word", |label: &str| label.replace(['-', '_'], " "));
    e.add_filter("tel", |number: &str| tel(number));
    e.add_filter("size", size);
    e.add_filter("grouped", grouped);
    e.add_filter("path", |text: &str| escaped(text));
    for (name, text) in TEMPLATES {
        if let Err(e) = e.add_template(name, text) {
            // A test renders every one; nobody sees this.
            tracing::error!("page {name}: {e}");
        }
    }
    e
});

/// A template, filled in.
pub(super) fn render(name: &str, data: Value) -> Result<String, Error> {
    let head = context! { assets => Serde(&*PATHS) };
    ENVIRONMENT
        .get_template(name)?
        .render(merge_maps([data, head]))
}

impl Console {
    /// A page for somebody who has logged in.
    ///
    /// # Errors
    ///
    /// A template that can't be filled in: ours to mend.
    pub fn page(&self, visitor: &Visitor, name: &str, data: Value) -> Answer {
        let text = self.part(visitor, name, data)?;
        Ok(Html(text).into_response())
    }

    /// The text of a page, or of a part of one.
    ///
    /// # Errors
    ///
    /// As [`Self::page`].
    pub fn part(&self, visitor: &Visitor, name: &str, data: Value) -> Result<String, Trouble> {
        let user = visitor.user();
        let path = visitor.path.split('?').next().unwrap_or_default();
        let of_role = NAV
            .iter()
            .filter(|(_, _, roles)| roles.contains(&user.role));
        let nav: Vec<Value> = of_role
            .map(|(to, title, _)| {
                let here = path == *to
                    || (path.starts_with(to) && path.get(to.len()..to.len() + 1) == Some("/"));
                context! { to => *to, title => *title, here }
            })
            .collect();
        let frame = context! {
            portal => &*self.docket().settings().name,
            me => Serde(user),
            csrf => &*visitor.session.csrf,
            said => visitor.said,
            now => self.now().to_string(),
            nav,
        };
        render(name, merge_maps([data, frame])).map_err(|e| Trouble::home(&format_args!("{e:#}")))
    }
}

/// What is wrong with a form, by field, as the macros of `kit.html` want it.
pub fn problems(all: &[Problem]) -> Value {
    let by_field: BTreeMap<&str, &str> = all.iter().map(|p| (p.field, &*p.wanted)).collect();
    Value::from(Serde(by_field))
}

/// The sentence of `said=` in a query.
pub(super) fn said(query: &str) -> Option<&'static str> {
    let word = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("said="))?;
    let found = SAID.iter().find(|(w, _)| *w == word);
    found.map(|(_, sentence)| *sentence)
}

pub(super) fn moment(text: &str) -> String {
    match OffsetDateTime::parse(text, &Rfc3339) {
        Ok(t) => format!(
            "{} {:02}:{:02}:{:02} UTC",
            date(t),
            t.hour(),
            t.minute(),
            t.second()
        ),
        Err(_) => text.to_owned(),
    }
}

fn day(text: &str) -> String {
    OffsetDateTime::parse(text, &Rfc3339).map_or_else(|_| text.to_owned(), date)
}

fn date(t: OffsetDateTime) -> String {
    let month: String = t.month().to_string().chars().take(3).collect();
    format!("{} {month} {}", t.day(), t.year())
}

/// Two units, which is as exactly as anybody reads.
pub(super) fn span(seconds: f64) -> String {
    let whole = seconds.abs();
    let sign = if seconds < 0.0 { "−" } else { "" };
    let parts: [(f64, &str); 4] = [(86_400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s")];
    if whole < 1.0 {
        return format!("{sign}{:.0} ms", whole * 1e3);
    }
    let mut rest = whole.floor();
    let mut said = Vec::new();
    for (unit, name) in parts {
        let n = (rest / unit).floor();
        rest -= n * unit;
        if n > 0.0 {
            said.push(format!("{n:.0} {name}"));
        } else if !said.is_empty() {
            break;
        }
        if said.len() == 2 {
            break;
        }
    }
    format!("{sign}{}", said.join(" "))
}

/// North American numbers in their groups, other canonical ones with their `+`; anything else as it is.
pub(super) fn tel(number: &str) -> String {
    let digits = number.strip_prefix('+').unwrap_or(number);
    if digits.len() < 7 || !digits.bytes().all(|d| d.is_ascii_digit()) {
        return number.to_owned();
    }
    let of = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    match digits.strip_prefix('1') {
        Some(national) if national.len() == 10 => {
            format!("+1 {}-{}-{}", of(1, 4), of(4, 7), of(7, 11))
        }
        _ => format!("+{digits}"),
    }
}

fn size(octets: f64) -> String {
    match octets {
        o if o < 1e3 => format!("{o:.0} octets"),
        o if o < 1e6 => format!("{:.1} kB", o / 1e3),
        o => format!("{:.1} MB", o / 1e6),
    }
}

fn grouped(count: i64) -> String {
    let digits = count.unsigned_abs().to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if count < 0 {
        out.push('−');
    }
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_can_be_read_and_none_switches_escaping_off() {
        for (name, text) in TEMPLATES {
            let read = ENVIRONMENT.get_template(name);
            assert!(read.is_ok(), "{name}");
            for word in [
                "autoescape",
                "|safe",
                "| safe",
                "style=",
                "onclick",
                "http://",
                "https://",
            ] {
                assert!(!text.contains(word), "{name}: {word}");
            }
        }
    }

    #[test]
    fn times_spans_numbers_and_sizes_are_for_people() {
        assert_eq!(
            moment("2026-11-26T16:44:21.25Z"),
            "26 Nov 2026 16:44:21 UTC"
        );
        assert_eq!(day("2026-01-05T00:00:00Z"), "5 Jan 2026");
        assert_eq!(moment("<b>"), "<b>");
        for (seconds, says) in [
            (0.25, "250 ms"),
            (1.9, "1 s"),
            (192.0, "3 min 12 s"),
            (3600.0, "1 h"),
            (3605.0, "1 h"),
            (-90_000.0, "−1 d 1 h"),
        ] {
            assert_eq!(span(seconds), says);
        }
        assert_eq!(tel("+12025550101"), "+1 202-555-0101");
        assert_eq!(tel("12025550101"), "+1 202-555-0101");
        assert_eq!(tel("442079460123"), "+442079460123");
        assert_eq!((&*tel("911"), &*tel("anonymous")), ("911", "anonymous"));
        assert_eq!(tel("+442079460123"), "+442079460123");
        assert_eq!(tel("+1é025550101"), "+1é025550101");
        assert_eq!(size(12_345.0), "12.3 kB");
        assert_eq!(
            [0, 999, 1000, 1_234_567, -1000].map(grouped),
            ["0", "999", "1,000", "1,234,567", "−1,000"]
        );
    }
}
