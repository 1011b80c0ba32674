//! Metrics in Prometheus' text format, of a replay as of the daemon: a [`Snapshot`] of what the stages counted, rendered.
//!
//! Names, labels and helps stand in [`family`], and nowhere else; docs/METRICS.md is made from them. Labels come from enums, from peers.toml and from
//! the names in the configuration, never from the wire: so their number is bounded by the configuration. What no rule names is `unknown`.
//!
//! - [`family`]: every metric there is
//! - [`page`]: families and values → text
//! - [`snapshot`]: what is shown
//! - [`markdown`] makes docs/METRICS.md
//! - `stages`, `live`: which value goes where

pub mod family;
mod live;
pub mod markdown;
pub mod page;
pub mod snapshot;
mod stages;

pub use snapshot::Snapshot;

use super::pipeline::Report;
use page::Page;

/// Renders what a run counted.
pub fn render(report: &Report) -> String {
    let mut page = Page::new();
    stages::put(&mut page, report);
    page.text()
}

/// Renders what the daemon counted so far, and how it is.
pub fn render_snapshot(snapshot: &Snapshot) -> String {
    let mut page = Page::new();
    stages::put(&mut page, &snapshot.stages);
    live::put(&mut page, snapshot);
    page.text()
}

#[cfg(test)]
pub(crate) mod tests;
