//! `tracehop metrics`: every metric there is. For whoever writes the docs.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::Outcome;
use super::output::{self, say};
use crate::daemon::metrics::{family, markdown};

/// Lists the metrics
#[derive(Debug, Args)]
pub struct Metrics {
    /// Print Markdown: docs/METRICS.md is this output
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Metrics {
    pub(super) fn run(self) -> Outcome {
        if self.markdown {
            say!("{}", markdown::render().trim_end());
        } else if self.json {
            let all: Vec<_> = family::ALL
                .iter()
                .map(|f| json!({ "name": f.name, "labels": f.labels, "unit": f.unit(), "help": f.help }))
                .collect();
            output::json(&all)?;
        } else {
            let rows = family::ALL
                .iter()
                .map(|f| vec![f.name.into(), f.labels.join(", "), f.help.into()])
                .collect();
            let header = ["metric", "labels", "meaning"];
            say!("{}", output::table(&header, rows, header.len()));
        }
        Ok(ExitCode::SUCCESS)
    }
}
