//! `tracehop replay`: captures into the store.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::replayed::{self, List};
use super::{Failure, Outcome, load, output};
use crate::capture::{CaptureError, Ending, Merge};
use crate::config::Config;
use crate::daemon::pipeline::{self, FetchLink, PipelineSettings, Report, WhenFull};
use crate::daemon::{metrics, neighbours};
use crate::fetch::{Fetcher, directory};
use crate::host::clock;
use crate::store::embedded::EmbeddedStore;

/// Reads captures (pcap, pcapng), judges every call in them and keeps its record
#[derive(Debug, Args)]
pub struct Replay {
    /// Captures; several are merged by time
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Configuration
    #[arg(long, value_name = "FILE", default_value = "tracehop.toml")]
    config: PathBuf,
    /// How many threads judge; the records don't depend on it [default: one per core]
    #[arg(long, value_name = "N")]
    judges: Option<usize>,
    /// Replay captures that are in the store already; their calls are stored twice
    #[arg(long)]
    again: bool,
    /// Fetch certificates that are not at hand, as the section fetch says, whether or not it is enabled there
    #[arg(long)]
    fetch: bool,
    /// Write metrics in Prometheus' text format to this file
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Replay {
    pub(super) fn run(self) -> Outcome {
        let config = load(&self.config)?;
        let mut list =
            List::open(&config.store.path).map_err(|e| unreadable(&config.store.path, e))?;
        let mut fingerprints = Vec::new();
        for file in &self.files {
            let print = replayed::fingerprint(file)
                .map_err(|e| Failure::no_input(format!("{}: {e}", file.display())))?;
            if let (Some(known), false) = (list.find(&print), self.again) {
                return Err(Failure::data(format!(
                    "{} was replayed at {} as {}: its calls are in {}.\n    --again stores them once more; for a clean start remove that folder and {}",
                    file.display(),
                    known.at,
                    known.file.display(),
                    config.store.path.display(),
                    config.store.path.with_extension("replayed.jsonl").display(),
                )));
            }
            fingerprints.push(print);
        }
        let fetch = self.fetch || config.fetch_enabled;
        let done = replay(&config, &self.files, self.judges, fetch, !self.json)?;
        for (file, print) in self.files.iter().zip(fingerprints) {
            list.add(file, print, clock::now())
                .map_err(|e| unreadable(&config.store.path, e))?;
        }
        if let Some(path) = &self.metrics {
            std::fs::write(path, metrics::render(&done.report))
                .map_err(|e| Failure::io(format!("{}: {e}", path.display())))?;
        }
        if self.json {
            output::json(&done.as_json())?;
        } else {
            done.print(&config);
        }
        // Everything before the damage is in the store, but a script should notice.
        let damaged =
            !done.troubles.is_empty() || done.endings.iter().any(|(_, e)| *e != Ending::Clean);
        Ok(ExitCode::from(if damaged { 65 } else { 0 }))
    }
}

fn unreadable(store: &Path, e: std::io::Error) -> Failure {
    Failure::io(format!(
        "{}: {e}",
        store.with_extension("replayed.jsonl").display()
    ))
}

/// What a replay gave.
pub(super) struct Done {
    pub report: Report,
    pub endings: Vec<(PathBuf, Ending)>,
    pub troubles: Vec<CaptureError>,
    pub notes: Vec<String>,
}

/// Reads captures into the configuration's store.
pub(super) fn replay(
    config: &Config,
    files: &[PathBuf],
    judges: Option<usize>,
    fetch: bool,
    progress: bool,
) -> Result<Done, Failure> {
    let mut loaded = directory::load(&config.credentials, clock::now()).map_err(Failure::config)?;
    let mut notes = std::mem::take(&mut loaded.notes);
    let at_hand = loaded.credentials.clone();
    let fetcher = match fetch {
        true => Some(Fetcher::start(&config.fetch, loaded).map_err(Failure::config)?),
        false => None,
    };
    if let Some(fetcher) = &fetcher {
        notes.extend(fetcher.notes.iter().cloned());
    }
    let mut source =
        Merge::open(files.iter().map(|f| (f.clone(), 0))).map_err(Failure::no_input)?;
    let bar = bar(source.progress().1, progress);
    let mut store = open_store(config)?;
    neighbours::keep_table(config).map_err(Failure::io)?;
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let mut settings = PipelineSettings::new(config, at_hand, judges.unwrap_or(cores));
    settings.fetch = fetcher.as_ref().map(|f| FetchLink {
        client: f.client(),
        limits: config.fetch.park,
        when_full: WhenFull::Wait,
    });
    let run = pipeline::run_files(&settings, &mut store, &mut source, |done, _| {
        bar.set_position(done)
    });
    bar.finish_and_clear();
    let (mut report, troubles) = run.map_err(Failure::io)?;
    // What came after the last call still goes to disk.
    report.fetch = fetcher.map(Fetcher::stop);
    // Retention goes by capture time: an old capture is not gone the moment it is read.
    if let Some((_, last)) = report.span {
        let dropped = store.retain(last).map_err(Failure::io)?;
        if dropped.hours > 0 {
            notes.push(format!(
                "{} hours of records older than the retention were deleted",
                dropped.hours
            ));
        }
    }
    let too_old = store.counters().too_old;
    if too_old > 0 {
        notes.push(format!("{too_old} records are older than this store's retention and can't be looked up: raise store.retention_days, or use a store of their own"));
    }
    store.close().map_err(Failure::io)?;
    neighbours::write_unknown(&config.store.path, &report, clock::now()).map_err(Failure::io)?;
    Ok(Done {
        report,
        endings: source
            .endings()
            .map(|(path, _, ending)| (path.to_owned(), ending.unwrap_or(Ending::Clean)))
            .collect(),
        troubles,
        notes,
    })
}

/// Opens the configuration's store for writing.
pub(super) fn open_store(config: &Config) -> Result<EmbeddedStore, Failure> {
    EmbeddedStore::open(&config.store.path, config.store.settings.clone()).map_err(Failure::io)
}

fn bar(total: u64, shown: bool) -> ProgressBar {
    if !shown {
        return ProgressBar::hidden();
    }
    let style =
        ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total).with_style(style)
}
