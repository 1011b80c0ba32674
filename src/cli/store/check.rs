//! `tracehop store check`: whether every file is what was written, what is lost where it is not, and mending.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use super::Which;
use crate::cli::output::{self, complain, say};
use crate::cli::{Failure, Outcome};
use crate::store::StoreError;
use crate::store::embedded::{
    CheckOptions, CheckReport, Finding, Grade, Progress, Remedy, RepairReport, Repaired, check,
    repair,
};

/// How often progress is shown.
const SHOWN: Duration = Duration::from_millis(200);

/// Checks every file of the store, also beside a daemon that writes it: exit code 65 where there is damage
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    which: Which,
    /// Looks at names, lists, footers and logs alone
    #[arg(long, conflicts_with = "repair")]
    quick: bool,
    /// Mends what can be mended: stop the daemon first. Damaged files are kept in the folder `damaged`, and the coverage ledger says what is lost
    #[arg(long)]
    repair: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(in crate::cli) fn run(self) -> Outcome {
        let (path, encryption) = self.which.place()?;
        let mut meter = Meter::new();
        let mut progress = |p: Progress| meter.show(&p);
        if self.repair {
            let done = repair(&path, encryption.as_ref(), &mut progress).map_err(failure)?;
            meter.clear();
            return self.repaired(&path, &done);
        }
        let options = CheckOptions {
            quick: self.quick,
            encryption,
            ..CheckOptions::default()
        };
        let report = check(&path, options, &mut progress).map_err(failure)?;
        meter.clear();
        if self.json {
            output::json(&report)?;
        } else {
            found(&path, &report);
            if !report.is_sound() {
                advise(&report);
            }
        }
        Ok(code(&report))
    }

    fn repaired(&self, path: &Path, done: &RepairReport) -> Outcome {
        if self.json {
            output::json(&json!({
                "before": done.before,
                "repaired": done.repaired,
                "after": done.after,
            }))?;
            return Ok(code(&done.after));
        }
        found(path, &done.before);
        for one in &done.repaired {
            say!("{}", repaired_line(path, one));
        }
        if !done.before.is_sound() {
            say!("\nafter the repair:");
            found(path, &done.after);
        }
        Ok(code(&done.after))
    }
}

fn failure(e: StoreError) -> Failure {
    match e {
        StoreError::Locked { .. } => Failure::new(75, e),
        StoreError::Io { .. } => Failure::no_input(e),
        StoreError::Key { .. } => Failure::config(e),
        e => Failure::data(e),
    }
}

fn code(report: &CheckReport) -> ExitCode {
    ExitCode::from(if report.is_sound() { 0 } else { 65 })
}

fn found(path: &Path, report: &CheckReport) {
    for finding in &report.findings {
        say!("{}", finding_line(path, finding));
    }
    let listed = report.findings.len() as u64;
    let all = report.damaged + report.noted;
    if all > listed {
        say!("and {} more", all - listed);
    }
    let how = if report.quick { ", quickly" } else { "" };
    let hours = if report.hours == 1 { "hour" } else { "hours" };
    say!(
        "{}: {} files, {} octets, {} {hours}, {} records in segments and {} in logs, {} late second halves, {} rows of coverage checked{how}",
        path.display(),
        report.files,
        report.octets,
        report.hours,
        report.records,
        report.in_logs,
        report.ends,
        report.coverage,
    );
    if report.vanished > 0 {
        say!(
            "{} files went away meanwhile: the store is being written",
            report.vanished
        );
    }
    match report.damaged {
        0 => say!("sound"),
        1 => say!("DAMAGED in one place"),
        n => say!("DAMAGED in {n} places"),
    }
}

fn finding_line(root: &Path, f: &Finding) -> String {
    let file = f.file.strip_prefix(root).unwrap_or(&f.file).display();
    let grade = match f.grade {
        Grade::Damage => "damage",
        Grade::Note => "note",
    };
    let mut line = format!("{grade}: {file}: {}", f.what);
    if let (Some(from), Some(until)) = (f.from, f.until) {
        line.push_str(&format!("\n        concerns {from} to {until}"));
        if let Some(records) = f.records.filter(|n| *n > 0) {
            line.push_str(&format!(", {records} records"));
        }
    }
    if f.grade == Grade::Damage {
        line.push_str(&format!("\n        repair: {}", f.remedy.what()));
    }
    line
}

fn repaired_line(root: &Path, r: &Repaired) -> String {
    let file = r.file.strip_prefix(root).unwrap_or(&r.file).display();
    let done = if r.done { "repaired" } else { "NOT repaired" };
    let mut line = format!("{done}: {file}: {}", r.what);
    if r.done {
        let lost = match r.lost {
            Some(n) => format!("{n} lost"),
            None => "nobody can say how many are lost".to_owned(),
        };
        line.push_str(&format!("\n        {} kept, {lost}", r.kept));
    }
    if let (Some(from), Some(until)) = (r.from, r.until) {
        line.push_str(&format!(
            "\n        the ledger says that {from} to {until} is not to be relied on"
        ));
    }
    if let Some(moved) = &r.moved {
        let moved = moved.strip_prefix(root).unwrap_or(moved).display();
        line.push_str(&format!("\n        as it was found: {moved}"));
    }
    line
}

fn advise(report: &CheckReport) {
    if report.damage().any(|f| f.remedy != Remedy::None) {
        complain(format_args!(
            "stop the daemon and run `tracehop store check --repair`; first look at the disk that did this"
        ));
    }
}

/// Progress on a terminal.
struct Meter {
    shown: Option<Instant>,
    is_terminal: bool,
}

impl Meter {
    fn new() -> Self {
        Self {
            shown: None,
            is_terminal: std::io::stderr().is_terminal(),
        }
    }

    fn show(&mut self, p: &Progress) {
        if !self.is_terminal || self.shown.is_some_and(|at| at.elapsed() < SHOWN) {
            return;
        }
        self.shown = Some(Instant::now());
        let _ = write!(
            std::io::stderr(),
            "\r{} of {} hours, {} records, {} damaged ",
            p.hours,
            p.of,
            p.records,
            p.damaged
        );
    }

    fn clear(&mut self) {
        if self.shown.take().is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
