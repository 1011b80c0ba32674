//! docs/METRICS.md, made from the families: `tracehop metrics --markdown` prints it, and a test holds the file against it.

use std::fmt::Write as _;

use super::family::{ALL, Family, Kind};
use crate::capture::live::LiveCounters;
use crate::engine::assemble::AssembleCounters;
use crate::engine::mirror::counters::MirrorCounters;
use crate::engine::shed::ShedCounters;
use crate::web::WebCounters;

/// What a table can't say: which counts add up, what outcomes mean, questions to ask.
const ABOUT: &str = include_str!("about.md");

/// The page.
pub fn render() -> String {
    let mut out = String::from(
        "# Metrics\n\n\
         Made by `tracehop metrics --markdown`; a test holds it against the code.\n\n\
         `tracehop run` serves these at `/metrics`, `tracehop replay --metrics FILE` writes those that a replay has, in Prometheus' text format. Labels come from enums of the program, from ids of\n\
         `peers.toml` and from names in the configuration; nothing from the wire becomes a label, so their number is bounded. A metric of a part that is not there, such as the fetcher, is not there either.\n\
         Counters count from the start of the process, and most are there from the start: the neighbours of `peers.toml`, the portals and the flags of unknown neighbours are 0 before anything happened, so that no\n\
         rate misses a first event. `tracehop_responder_total` is durable and goes on over restarts.\n\n\
         | metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n",
    );
    for family in ALL {
        // Writing into a string can't fail.
        let _ = writeln!(out, "{}", row(family));
    }
    list(
        &mut out,
        "Outcomes of `tracehop_capture_total` and values of `tracehop_capture_state`",
        LiveCounters::HELP,
    );
    list(
        &mut out,
        "Outcomes of `tracehop_hep_total` and values of `tracehop_hep_keeping`",
        MirrorCounters::HELP,
    );
    list(
        &mut out,
        "Kinds of `tracehop_shed_total`",
        ShedCounters::HELP,
    );
    list(
        &mut out,
        "Outcomes of `tracehop_assembled_total` and values of `tracehop_assembling`",
        AssembleCounters::HELP,
    );
    list(
        &mut out,
        "Outcomes of `tracehop_http_connections_total`",
        WebCounters::HELP,
    );
    out.push('\n');
    out.push_str(ABOUT.trim());
    out.push('\n');
    out
}

fn row(f: &Family) -> String {
    let kind = match f.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
    };
    let labels: Vec<_> = f.labels.iter().map(|l| format!("`{l}`")).collect();
    let labels = match labels.is_empty() {
        true => "–".to_owned(),
        false => labels.join(", "),
    };
    let unit = f.unit();
    format!("| `{}` | {kind} | {unit} | {labels} | {} |", f.name, f.help)
}

fn list(out: &mut String, title: &str, help: &[(&str, &str)]) {
    let _ = write!(
        out,
        "\n## {title}\n\n| value | what it counts |\n|---|---|\n"
    );
    for (name, what) in help {
        let _ = writeln!(out, "| `{name}` | {what} |");
    }
}
