//! `tracehop lab network`: how often a traceback is answered, and how often wrongly, over a world whose truth is known.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::output::{self, say};
use super::{Failure, Outcome};
use crate::lab::world::export::export;
use crate::lab::world::profile::Profile;
use crate::lab::world::{WorldOptions, WorldReport, run};

/// Traces calls across a made-up world of providers, and counts right and wrong answers beside those of simple rules
#[derive(Debug, Args)]
pub struct Network {
    /// The same seed gives the same figures
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Providers in a world
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u16).range(12..=20_000))]
    providers: u16,
    /// Requests for each profile, about; a world has ten thousand at most
    #[arg(long, default_value_t = 60_000)]
    requests: usize,
    /// Profiles to run; all four where none is named
    #[arg(long, value_enum)]
    profile: Vec<Profile>,
    /// Multiplies how far clocks are off
    #[arg(long, default_value_t = 1.0)]
    skew: f64,
    /// Multiplies how often callers dial again
    #[arg(long, default_value_t = 1.0)]
    redials: f64,
    /// Runs normal three times more: clocks off three times as far, three times as many redials, and both
    #[arg(long, conflicts_with_all = ["skew", "redials"])]
    variants: bool,
    /// Explains one request, by its number, of the first profile
    #[arg(long, value_name = "N")]
    explain: Option<usize>,
    /// Writes one world as configurations and stores for daemons, with its questions and their answers, instead of asking
    #[arg(long, value_name = "DIR")]
    stores: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Network {
    pub(super) fn run(self) -> Outcome {
        let profiles = match self.profile.as_slice() {
            [] => Profile::ALL.to_vec(),
            some => some.to_vec(),
        };
        let mut runs: Vec<(Profile, f64, f64)> = profiles
            .into_iter()
            .map(|p| (p, self.skew, self.redials))
            .collect();
        if self.variants {
            let more = [(3.0, 1.0), (1.0, 3.0), (3.0, 3.0)];
            runs.extend(more.map(|(s, r)| (Profile::Normal, s, r)));
        }
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let options = |(profile, skew, redials): (Profile, f64, f64)| WorldOptions {
            seed: self.seed,
            providers: usize::from(self.providers),
            requests: self.requests,
            skew,
            redials,
            threads,
            explain: self.explain,
            ..WorldOptions::new(profile)
        };
        if let Some(out) = &self.stores {
            return self.export(
                &options(*runs.first().unwrap_or(&(Profile::Normal, 1.0, 1.0))),
                out,
            );
        }
        let mut reports = Vec::new();
        for one in runs {
            let options = options(one);
            let report = shown(&options)?;
            if let (Some(case), false) = (&report.explained, self.json) {
                let text = serde_json::to_string_pretty(case).map_err(Failure::software)?;
                say!("{text}");
                return Ok(ExitCode::SUCCESS);
            }
            reports.push(report);
        }
        if self.json {
            output::json(&reports)?;
        } else {
            print(&reports);
        }
        // What may be wrong in the world of gaps is measured, not forbidden.
        let wrong = reports
            .iter()
            .filter(|r| r.profile != Profile::Gaps)
            .any(|r| r.wrong() + r.tally.hostile_sum().1 > 0);
        Ok(ExitCode::from(u8::from(wrong)))
    }
}

impl Network {
    fn export(&self, options: &WorldOptions, out: &Path) -> Outcome {
        if out.read_dir().is_ok_and(|mut all| all.next().is_some()) {
            let out = out.display();
            return Err(Failure::usage(format!(
                "{out} is not empty: name a new folder"
            )));
        }
        let done = export(options, out).map_err(Failure::io)?;
        if self.json {
            output::json(&done)?;
        } else {
            say!(
                "{} providers, {} requests, {} traces in {}",
                done.providers,
                done.requests,
                done.traces,
                out.display()
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Runs one, with a bar that shows how far it is.
fn shown(options: &WorldOptions) -> Result<WorldReport, Failure> {
    let bar = ProgressBar::new(options.requests as u64);
    let style =
        ProgressStyle::with_template("{msg} {bar:30} {human_pos}/{human_len} requests, {elapsed}");
    bar.set_style(style.map_err(Failure::software)?);
    bar.set_message(options.profile.label());
    bar.tick();
    let done = AtomicUsize::new(0);
    let tell = |n: usize| {
        let all = done.fetch_add(n, Ordering::Relaxed) + n;
        bar.set_position(all as u64);
    };
    let report = run(options, &tell).map_err(Failure::software)?;
    bar.finish_and_clear();
    Ok(report)
}

fn print(reports: &[WorldReport]) {
    let rows = reports.iter().flat_map(WorldReport::rows).collect();
    say!("{}", output::table(&WorldReport::HEAD, rows, 2));
    for report in reports {
        say!("\n{report}");
    }
}
