//! The probe's own page: what one looks at before Grafana is set up. A [`Snapshot`], the day's beginning, the ledger's last day and the checks in, HTML out.
//!
//! It is rendered on the server, needs no script, asks nobody else for anything, and bears no telephone number and nobody's words: who may read
//! metrics may read it. Every list on it is bounded.
//!
//! - [`day`]: since when today's calls are counted · [`strip`]: who looked when · `model`: what the template is given · `calls`, `notices`, `hops`: its parts

mod calls;
pub mod day;
mod hops;
mod model;
mod notices;
pub mod strip;

use minijinja::value::Serde;
use minijinja::{Environment, Error, UndefinedBehavior, Value};

use crate::base::Timestamp;
use crate::daemon::metrics::Snapshot;
use crate::web::Check;
use day::Day;
use strip::Ledger;

/// The page's style: it asks for nothing else.
pub const STYLE: &str = include_str!("style.css");

/// Escaped as HTML, because its name says so.
const NAME: &str = "page.html";

/// What the page is made of.
pub struct Shown<'a> {
    /// What the daemon's threads show.
    pub snapshot: &'a Snapshot,
    /// Today.
    pub day: &'a Day,
    /// The last day of the ledger.
    pub ledger: &'a Ledger,
    /// Health and readiness.
    pub checks: Vec<Check>,
    /// Now.
    pub now: Timestamp,
    /// Whether it is to ask for itself again.
    pub again: bool,
}

/// Renders the page. A template that does not fit is a defect of ours; the page says so, and metrics go on.
pub fn render(shown: &Shown<'_>) -> String {
    let model = model::Model::of(shown);
    match fill(&model) {
        Ok(html) => html,
        Err(e) => format!(
            "<!doctype html><title>tracehop</title><p>The page could not be made, a defect of tracehop: {}",
            e.kind()
        ),
    }
}

fn fill(model: &model::Model) -> Result<String, Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.add_template(NAME, include_str!("page.html"))?;
    environment
        .get_template(NAME)?
        .render(Value::from(Serde(model)))
}

#[cfg(test)]
mod tests;
