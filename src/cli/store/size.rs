//! `tracehop store size`: disk, memory and machines for so many calls a second, from measured figures.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use crate::cli::Outcome;
use crate::cli::output::{self, say};
use crate::store::embedded::StoreSettings;
use crate::store::measured::{self, Figure};

const DAY_S: f64 = 86_400.0;
/// Compaction writes a merged file of at most so many rows before it deletes what it merged.
const MERGED_ROWS: f64 = 8e6;
/// Logs at once: the open one, and the one whose records are being sealed.
const LOGS: f64 = 2.0;
/// Segments of half a million records whose footers a day's look-ups keep at hand.
const SEGMENT: f64 = 500_000.0;
/// Share of a disk that stays free, so that the guard never stops the store.
const FREE: f64 = 0.10;
/// A node of the engine merges and answers beside taking in: what is left for the latter.
const ENGINE_SHARE: f64 = 0.5;

/// Computes disk, memory and machines for so many calls a second, from what has been measured
#[derive(Debug, Args)]
pub struct Size {
    /// Calls a second, averaged over the day
    #[arg(long, value_name = "N", value_parser = positive)]
    calls_per_second: f64,
    /// How long records are kept
    #[arg(long, value_name = "DAYS", default_value = "548", value_parser = positive)]
    days: f64,
    /// Records of a call: legs that are seen, and attempts that fail before it
    #[arg(long, value_name = "N", default_value = "2", value_parser = positive)]
    legs: f64,
    /// Share of calls with an Identity header, 0 to 1
    #[arg(long, value_name = "SHARE", default_value = "0.6", value_parser = share)]
    signed: f64,
    /// Share of signed calls whose check fails, 0 to 1: for `--evidence failed`
    #[arg(long, value_name = "SHARE", default_value = "0.05", value_parser = share)]
    failed: f64,
    /// Of which calls it is kept what it takes to judge them again
    #[arg(long, value_name = "WHICH", default_value = "signed")]
    evidence: Evidence,
    /// How long that is kept
    #[arg(long, value_name = "DAYS", default_value = "30", value_parser = positive)]
    evidence_days: f64,
    /// The busiest second, as a multiple of the average
    #[arg(long, value_name = "FACTOR", default_value = "3", value_parser = positive)]
    peak: f64,
    /// Size a shared engine too
    #[arg(long)]
    engine: bool,
    /// Probes that send to it, each with so many calls a second
    #[arg(long, value_name = "N", default_value = "10", value_parser = positive, requires = "engine")]
    probes: f64,
    /// Copies of each record in it
    #[arg(long, value_name = "N", default_value = "2", value_parser = positive, requires = "engine")]
    replicas: f64,
    /// Disk of one of its nodes in TB
    #[arg(long, value_name = "TB", default_value = "8", value_parser = positive, requires = "engine")]
    node_disk: f64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What `[store] evidence` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Evidence {
    /// Every call with an Identity header.
    Signed,
    /// Those whose check failed.
    Failed,
    /// None.
    None,
}

/// A line of the answer.
#[derive(Clone, Debug, PartialEq)]
struct Line {
    key: &'static str,
    what: &'static str,
    value: f64,
    unit: Unit,
    /// How it was come by.
    from: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Octets,
    OctetsASecond,
    RecordsASecond,
    Records,
    Cores,
    Number,
}

impl Size {
    pub(in crate::cli) fn run(self) -> Outcome {
        let (lines, warnings) = self.compute();
        if self.json {
            let lines: Map<String, Value> = lines.iter().map(Line::as_json).collect();
            output::json(&json!({ "sizes": lines, "warnings": warnings, "measured": figures() }))?;
        } else {
            let rows = lines.iter().map(Line::row).collect();
            say!("{}", output::table(&["", "", "from"], rows, 3));
            for warning in &warnings {
                say!("{warning}");
            }
            say!(
                "Measured on one machine with 2 cores of an AMD EPYC; `--json` names each figure and the bench that prints it. All else is computed from them."
            );
        }
        Ok(ExitCode::SUCCESS)
    }

    fn records_per_second(&self) -> f64 {
        self.calls_per_second * self.legs
    }

    fn compute(&self) -> (Vec<Line>, Vec<String>) {
        let settings = StoreSettings::default();
        let unsealed = settings.segment_records as f64;
        let rate = self.records_per_second();
        let peak = rate * self.peak;
        let a_day = rate * DAY_S;
        let total = a_day * self.days;
        let record = measured::RECORD_OCTETS.value + self.signed * measured::SIGNED_OCTETS.value;
        let index = measured::INDEX_OCTETS.value;
        let kept = match self.evidence {
            Evidence::Signed => self.signed,
            Evidence::Failed => self.signed * self.failed,
            Evidence::None => 0.0,
        };
        // The second leg of a call has the evidence of its own.
        let evidence_days = self.evidence_days.min(self.days);
        let evidence = a_day * evidence_days * kept * measured::EVIDENCE_OCTETS.value;
        let log = LOGS * unsealed * measured::LOG_OCTETS.value;
        // Retention deletes by the hour, so an hour more than asked lies there.
        let hour = rate * 3_600.0 * (record + index);
        let merging = MERGED_ROWS.min(rate * 3_600.0) * (record + index);
        let coverage = self.days * measured::COVERAGE_OCTETS.value;
        let used = total * (record + index) + evidence + log + hour + merging + coverage;
        let memory = LOGS * unsealed * measured::MEMORY_OCTETS.value;
        let footers =
            (a_day / SEGMENT * measured::FOOTER_OCTETS.value).min(settings.footer_cache as f64);
        let compaction = MERGED_ROWS.min(rate * 3_600.0) * measured::COMPACTION_MEMORY_OCTETS.value;
        let cpu = measured::RECORD_CPU_US.value + measured::COMPACTION_CPU_US.value;
        let mut lines = vec![
            Line::new(
                "records_per_second",
                "records a second, on average",
                rate,
                Unit::RecordsASecond,
                "calls a second × legs",
            ),
            Line::new(
                "records",
                "records kept",
                total,
                Unit::Records,
                "the same over the days",
            ),
            Line::new(
                "disk_records",
                "disk: records",
                total * record,
                Unit::Octets,
                format!("{record:.1} octets each, measured"),
            ),
            Line::new(
                "disk_index",
                "disk: index",
                total * index,
                Unit::Octets,
                format!("{index:.1} octets each, measured"),
            ),
            Line::new(
                "disk_evidence",
                "disk: evidence",
                evidence,
                Unit::Octets,
                format!(
                    "{:.0} octets a call, measured, for {evidence_days:.0} days",
                    measured::EVIDENCE_OCTETS.value
                ),
            ),
            Line::new(
                "disk_log",
                "disk: log",
                log,
                Unit::Octets,
                format!(
                    "{LOGS:.0} logs of {unsealed:.0} records, {:.0} octets each, measured",
                    measured::LOG_OCTETS.value
                ),
            ),
            Line::new(
                "disk_headroom",
                "disk: room for retention and compaction",
                hour + merging,
                Unit::Octets,
                "an hour, and a merged file beside what it merges: computed",
            ),
            Line::new(
                "disk_coverage",
                "disk: coverage",
                coverage,
                Unit::Octets,
                "a row a minute of one sensor, measured",
            ),
            Line::new(
                "disk",
                "**disk to buy**",
                used / (1.0 - FREE),
                Unit::Octets,
                format!("the sum, {:.0} % of the disk free", FREE * 100.0),
            ),
            Line::new(
                "memory",
                "memory of the store",
                memory + footers + compaction,
                Unit::Octets,
                "records not sealed, footers of a day, a merge: computed from measured octets",
            ),
            Line::new(
                "written_per_second",
                "written to the disk, on average",
                rate * (measured::WRITTEN_OCTETS.value + 2.0 * (record + index)),
                Unit::OctetsASecond,
                "log and segment measured, compaction computed",
            ),
            Line::new(
                "cores",
                "cores for the store, in the busiest second",
                peak * cpu / 1e6,
                Unit::Cores,
                format!("{cpu:.2} µs a record, measured"),
            ),
            Line::new(
                "peak_records_per_second",
                "records in the busiest second",
                peak,
                Unit::RecordsASecond,
                format!(
                    "{:.0} times the average; {:.0} are sustained, {:.0} for a second, measured",
                    self.peak,
                    measured::SUSTAINED_PER_SECOND.value,
                    measured::BURST_PER_SECOND.value
                ),
            ),
        ];
        let mut warnings = Vec::new();
        if peak > measured::BURST_PER_SECOND.value {
            warnings.push("One probe can't take this in: more than was measured even for a second. Spread the calls over several probes.".to_owned());
        } else if peak > measured::SUSTAINED_PER_SECOND.value {
            warnings.push("The busiest second is above what was measured to be sustained beside the judges: it holds for seconds, not for an hour.".to_owned());
        }
        if self.engine {
            self.engine(&mut lines, &mut warnings);
        }
        (lines, warnings)
    }

    fn engine(&self, lines: &mut Vec<Line>, warnings: &mut Vec<String>) {
        let probe = self.records_per_second();
        let all = probe * self.probes;
        let octets = all * DAY_S * self.days * measured::ENGINE_OCTETS.value * self.replicas;
        let room = self.node_disk * 1e12 * (1.0 - FREE) / 2.0;
        // Merges of ClickHouse need as much again for the parts that they merge: half a disk is data.
        let by_disk = (octets / room).ceil();
        let takes = measured::ENGINE_PER_SECOND.value * ENGINE_SHARE;
        let by_rate = (all * self.peak * self.replicas / takes).ceil();
        let shards = (by_disk.max(by_rate) / self.replicas).ceil().max(1.0);
        let nodes = shards * self.replicas;
        let per_node = (takes / (probe * self.peak)).floor();
        lines.extend([
            Line::new(
                "engine_records_per_second",
                "engine: records a second from all probes",
                all,
                Unit::RecordsASecond,
                format!("{:.0} probes, computed", self.probes),
            ),
            Line::new(
                "engine_disk",
                "engine: disk of all copies",
                octets,
                Unit::Octets,
                format!(
                    "{:.0} octets a row by called and by calling number, measured",
                    measured::ENGINE_OCTETS.value
                ),
            ),
            Line::new(
                "engine_nodes",
                "engine: nodes",
                nodes,
                Unit::Number,
                format!(
                    "{shards:.0} shards of {:.0} copies, half of {:.0} TB data each; computed",
                    self.replicas, self.node_disk
                ),
            ),
            Line::new(
                "engine_probes_per_node",
                "engine: probes that a node takes in",
                per_node,
                Unit::Number,
                format!(
                    "half of {:.0} records a second, measured, at the peak",
                    measured::ENGINE_PER_SECOND.value
                ),
            ),
        ]);
        if per_node < 1.0 {
            warnings.push(
                "One probe is more than a node of the engine takes in at the peak.".to_owned(),
            );
        }
    }
}

impl Line {
    fn new(
        key: &'static str,
        what: &'static str,
        value: f64,
        unit: Unit,
        from: impl Into<String>,
    ) -> Self {
        Self {
            key,
            what,
            value,
            unit,
            from: from.into(),
        }
    }

    fn row(&self) -> Vec<String> {
        let what = self.what.trim_matches('*').to_owned();
        vec![what, self.unit.text(self.value), self.from.clone()]
    }

    fn as_json(&self) -> (String, Value) {
        let value =
            json!({ "value": self.value.ceil(), "unit": self.unit.label(), "from": self.from });
        let value = match self.unit {
            Unit::Cores => {
                json!({ "value": self.value, "unit": self.unit.label(), "from": self.from })
            }
            _ => value,
        };
        (self.key.to_owned(), value)
    }
}

impl Unit {
    fn label(self) -> &'static str {
        match self {
            Self::Octets => "octets",
            Self::OctetsASecond => "octets/s",
            Self::RecordsASecond => "records/s",
            Self::Records => "records",
            Self::Cores => "cores",
            Self::Number => "",
        }
    }

    fn text(self, value: f64) -> String {
        let scaled = |value: f64, names: [&str; 5]| {
            let mut value = value;
            let mut names = names.into_iter();
            let mut name = names.next().unwrap_or_default();
            while value >= 1_000.0 {
                let Some(next) = names.next() else { break };
                (value, name) = (value / 1_000.0, next);
            }
            let digits = usize::from(value < 100.0);
            format!("{value:.digits$} {name}").trim_end().to_owned()
        };
        match self {
            Self::Octets => scaled(value, ["B", "kB", "MB", "GB", "TB"]),
            Self::OctetsASecond => scaled(value, ["B/s", "kB/s", "MB/s", "GB/s", "TB/s"]),
            Self::RecordsASecond => scaled(
                value,
                ["/s", "thousand/s", "million/s", "billion/s", "trillion/s"],
            ),
            Self::Records => scaled(value, ["", "thousand", "million", "billion", "trillion"]),
            Self::Cores => format!("{value:.2}"),
            Self::Number => format!("{value:.0}"),
        }
    }
}

/// Every figure with the command that prints it.
fn figures() -> Value {
    let all: [(&str, Figure); 16] = [
        ("record_octets", measured::RECORD_OCTETS),
        ("signed_octets", measured::SIGNED_OCTETS),
        ("index_octets", measured::INDEX_OCTETS),
        ("log_octets", measured::LOG_OCTETS),
        ("written_octets", measured::WRITTEN_OCTETS),
        ("evidence_octets", measured::EVIDENCE_OCTETS),
        ("coverage_octets", measured::COVERAGE_OCTETS),
        ("burst_per_second", measured::BURST_PER_SECOND),
        ("sustained_per_second", measured::SUSTAINED_PER_SECOND),
        ("record_cpu_us", measured::RECORD_CPU_US),
        ("compaction_cpu_us", measured::COMPACTION_CPU_US),
        ("memory_octets", measured::MEMORY_OCTETS),
        ("footer_octets", measured::FOOTER_OCTETS),
        (
            "compaction_memory_octets",
            measured::COMPACTION_MEMORY_OCTETS,
        ),
        ("engine_octets", measured::ENGINE_OCTETS),
        ("engine_per_second", measured::ENGINE_PER_SECOND),
    ];
    let all = all.map(|(name, f)| (name.to_owned(), json!({ "value": f.value, "by": f.by })));
    Value::Object(all.into_iter().collect())
}

fn number(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "a number is needed".to_owned())?;
    // Far above every carrier; below it, nothing here comes near what a number holds exactly.
    match number.is_finite() && (0.0..=1e7).contains(&number) {
        true => Ok(number),
        false => Err("a number from 0 to 10,000,000 is needed".to_owned()),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match number(text)? {
        0.0 => Err("more than 0 is needed".to_owned()),
        number => Ok(number),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match number(text)? {
        share if share <= 1.0 => Ok(share),
        _ => Err("a share from 0 to 1 is needed".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        size: Size,
    }

    fn sizes(args: &[&str]) -> (Vec<Line>, Vec<String>) {
        let all = ["size"].iter().chain(args);
        Arguments::try_parse_from(all).unwrap().size.compute()
    }

    fn value(lines: &[Line], key: &str) -> f64 {
        lines.iter().find(|l| l.key == key).unwrap().value
    }

    #[test]
    fn disk_grows_with_calls_legs_and_days() {
        let (one, _) = sizes(&["--calls-per-second", "100", "--days", "10"]);
        for more in [
            ["--calls-per-second", "200", "--days", "10", "--legs", "2"],
            ["--calls-per-second", "100", "--days", "20", "--legs", "2"],
            ["--calls-per-second", "100", "--days", "10", "--legs", "4"],
        ] {
            let (two, _) = sizes(&more);
            let of = |lines: &[Line]| value(lines, "disk_records") + value(lines, "disk_index");
            assert!((of(&two) / of(&one) - 2.0).abs() < 1e-9);
            assert!(value(&two, "disk") > value(&one, "disk"));
        }
        assert_eq!(value(&one, "records"), 100.0 * 2.0 * 86_400.0 * 10.0);
    }

    #[test]
    fn evidence_is_counted_for_the_calls_that_have_it_and_no_longer_than_records() {
        let of = |args: &[&str]| {
            let args = [&["--calls-per-second", "10"], args].concat();
            value(&sizes(&args).0, "disk_evidence")
        };
        assert_eq!(of(&["--evidence", "none"]), 0.0);
        let signed = of(&["--days", "30"]);
        assert!(
            (of(&["--evidence", "failed", "--failed", "0.1"]) * 10.0 / signed - 1.0).abs() < 1e-9
        );
        assert!((of(&["--days", "15"]) * 2.0 / signed - 1.0).abs() < 1e-9);
        assert_eq!(of(&["--signed", "0"]), 0.0);
    }

    #[test]
    fn a_rate_above_what_was_measured_is_said() {
        assert!(sizes(&["--calls-per-second", "1000"]).1.is_empty());
        for above in [measured::SUSTAINED_PER_SECOND, measured::BURST_PER_SECOND] {
            let rate = (above.value * 1.1 / 2.0).to_string();
            let args = ["--calls-per-second", &rate, "--peak", "1"];
            assert_eq!(sizes(&args).1.len(), 1, "{rate}");
        }
    }

    #[test]
    fn an_engine_has_a_node_for_each_copy_at_least_and_more_for_more_disk() {
        let engine = |disk: &str| {
            let args = [
                "--calls-per-second",
                "1000",
                "--engine",
                "--node-disk",
                disk,
            ];
            value(&sizes(&args).0, "engine_nodes")
        };
        assert!(engine("1000") >= 2.0);
        assert!(engine("4") > engine("16"));
        assert_eq!(engine("4") % 2.0, 0.0);
    }

    #[test]
    fn nonsense_is_refused() {
        for args in [
            &["--calls-per-second", "0"][..],
            &["--calls-per-second", "NaN"],
            &["--calls-per-second", "-1"],
            &["--calls-per-second", "1", "--signed", "1.5"],
            &["--calls-per-second", "1", "--probes", "3"],
            &[],
        ] {
            let all = ["size"].iter().chain(args);
            assert!(Arguments::try_parse_from(all).is_err(), "{args:?}");
        }
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(Unit::Octets.text(1_234.0), "1.2 kB");
        assert_eq!(Unit::Octets.text(4.2e12), "4.2 TB");
        assert_eq!(Unit::Octets.text(4.2e15), "4200 TB");
        assert_eq!(Unit::Records.text(56.0), "56.0");
    }
}
