//! `tracehop demo`: the whole line in one command, on packets that the laboratory signed with real keys.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::Value;

use super::output::say;
use super::{Failure, Outcome, demo_network, load, replay, replayed, trace};
use crate::config::Config;
use crate::daemon::metrics;
use crate::host::clock;
use crate::lab::{self, LabOptions};

/// Laboratory, replay, and three traceback questions answered: start here
#[derive(Debug, Args)]
pub struct Demo {
    /// Folder to work in; one that a demo made is made anew
    #[arg(long, value_name = "DIR", default_value = "tracehop-demo")]
    dir: PathBuf,
    /// The same seed gives the same calls
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many calls, about
    #[arg(long, default_value_t = 3_000)]
    calls: usize,
    /// A portal and ten carriers on this host, and tracebacks that one watches walk; until Ctrl-C
    #[arg(long, conflicts_with_all = ["seed", "calls"])]
    network: bool,
    /// Seconds that an answer is on its way to the portal, so that one sees it come [default: 1, with --seconds 0]
    #[arg(long, value_name = "SECONDS", requires = "network", value_parser = clap::value_parser!(u64).range(..=60))]
    pace: Option<u64>,
    /// End after so long, with a table of what was found; the exit code says whether all of it is true
    #[arg(long, value_name = "SECONDS", requires = "network", value_parser = clap::value_parser!(u64).range(10..=3_600))]
    seconds: Option<u64>,
}

/// Marks a folder as made by a demo, to be made anew.
const MARK: &str = "made-by-tracehop-demo";

/// Questions to show, by the resolution that is expected of them.
const QUESTIONS: [(&str, &str); 3] = [
    (
        "UPSTREAM_DOMESTIC",
        "A call that one neighbour certainly handed over",
    ),
    (
        "AMBIGUOUS",
        "A call that two neighbours may have handed over: no guess",
    ),
    (
        "NOT_FOUND",
        "A call that never was, with the proof that we were looking",
    ),
];

impl Demo {
    pub(super) fn run(self) -> Outcome {
        let begin = Instant::now();
        let dir = self.fresh_dir()?;
        if self.network {
            return self.network(dir);
        }
        say!("1. The laboratory: providers, keys, certificates, calls as packets\n");
        let options = LabOptions {
            seed: self.seed,
            calls: self.calls,
            ..LabOptions::new(&dir)
        };
        say!("{}", lab::generate(&options).map_err(Failure::io)?);
        fs::write(dir.join(MARK), "")
            .map_err(|e| Failure::io(format!("{}: {e}", dir.display())))?;

        say!(
            "\n2. The replay: packets to SIP, every Identity header judged, every call recorded\n"
        );
        let config = load(&dir.join("tracehop.toml"))?;
        let captures = captures(&dir)?;
        let done = replay::replay(&config, &captures, None, config.fetch_enabled, true)?;
        for capture in &captures {
            replayed::remember(&config.store.path, capture, clock::now())
                .map_err(|e| Failure::io(format!("{}: {e}", capture.display())))?;
        }
        let metrics = dir.join("metrics.prom");
        fs::write(&metrics, metrics::render(&done.report))
            .map_err(|e| Failure::io(format!("{}: {e}", metrics.display())))?;
        done.print(&config);

        say!("\n3. Three questions of a traceback portal");
        for (resolution, about) in QUESTIONS {
            let request = request(&dir, resolution)?;
            say!("\n{about}");
            say!("{}", question(&request));
            let answered = trace::ask(&config, &request)?;
            trace::print(&answered);
            if answered.answer.resolution.label() != resolution {
                return Err(Failure::software(format!(
                    "expected {resolution} for this question"
                )));
            }
        }
        next(&dir, &config);
        say!("\nAll of it took {:.1} s.", begin.elapsed().as_secs_f64());
        Ok(ExitCode::SUCCESS)
    }

    fn network(&self, dir: PathBuf) -> Outcome {
        fs::create_dir_all(&dir)
            .and_then(|()| fs::write(dir.join(MARK), ""))
            .map_err(|e| Failure::io(format!("{}: {e}", dir.display())))?;
        let pace = self.pace.unwrap_or(u64::from(self.seconds.is_none()));
        demo_network::run(&demo_network::Options {
            dir,
            pace: Duration::from_secs(pace),
            seconds: self.seconds,
        })
    }

    /// An empty folder: a new one, or one that a demo made before.
    fn fresh_dir(&self) -> Result<PathBuf, Failure> {
        let dir = self.dir.clone();
        let taken = dir.read_dir().is_ok_and(|mut e| e.next().is_some());
        if taken && !dir.join(MARK).exists() {
            return Err(Failure::usage(format!(
                "{} holds something else: name another folder with --dir",
                dir.display()
            )));
        }
        if taken {
            fs::remove_dir_all(&dir).map_err(|e| Failure::io(format!("{}: {e}", dir.display())))?;
        }
        Ok(dir)
    }
}

/// The captures that a laboratory wrote, by name.
fn captures(dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = dir
        .read_dir()
        .map_err(|e| Failure::io(format!("{}: {e}", dir.display())))?;
    let mut out: Vec<_> = entries
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "pcap"))
        .collect();
    out.sort();
    Ok(out)
}

/// The first request of the laboratory of which the truth expects the given answer.
fn request(dir: &Path, resolution: &str) -> Result<Vec<u8>, Failure> {
    let path = dir.join("truth-requests.jsonl");
    let truth =
        fs::read_to_string(&path).map_err(|e| Failure::io(format!("{}: {e}", path.display())))?;
    let file = truth
        .lines()
        .filter_map(|l| serde_json::from_str::<Value>(l).ok())
        .find(|t| {
            t.pointer("/expected/resolution")
                .is_some_and(|r| r == resolution)
        })
        .and_then(|t| Some(dir.join(t.get("file")?.as_str()?)))
        .ok_or_else(|| {
            Failure::software(format!("the laboratory has no request for {resolution}"))
        })?;
    fs::read(&file).map_err(|e| Failure::io(format!("{}: {e}", file.display())))
}

/// The request in words.
fn question(request: &[u8]) -> String {
    let v: Value = serde_json::from_slice(request).unwrap_or_default();
    let text = |path: &str, without: &'static str| {
        v.pointer(path)
            .and_then(Value::as_str)
            .unwrap_or(without)
            .to_owned()
    };
    format!(
        "  \"{} got a call to {} from {} at {} from you. Who handed it to you?\"",
        text("/downstream/provider_ids/0", "A provider"),
        text("/call/called", "a number"),
        text("/call/calling", "a withheld number"),
        text("/call/time/value", "an unknown time"),
    )
}

/// When a message of the laboratory was seen: judged at another time it is stale.
fn seen_at(dir: &Path, name: &str) -> Option<String> {
    let truth = fs::read(dir.join(format!("messages/{name}.json"))).ok()?;
    let truth: Value = serde_json::from_slice(&truth).ok()?;
    Some(truth.get("at")?.as_str()?.to_owned())
}

/// The message that is shown.
const SHOWN: &str = "O1-other-orig";

fn next(dir: &Path, config: &Config) {
    let d = dir.display();
    say!("\n4. What to type next (tracehop is target/release/tracehop)\n");
    say!("  tracehop check {d}/tracehop.toml");
    say!(
        "  tracehop trace --request {d}/requests/02-retry.json --config {d}/tracehop.toml   # further questions; their truth is in truth-requests.jsonl"
    );
    let seen = seen_at(dir, SHOWN).unwrap_or_else(|| lab::DEFAULT_BASE.to_string());
    say!(
        "  tracehop verify {d}/messages/{SHOWN}.sip --at {seen} --config {d}/tracehop.toml   # one message of each kind of trouble"
    );
    say!(
        "  tracehop rules O                                                              # what each rule checks, and its source"
    );
    say!(
        "  tracehop flags numbers                                                        # what makes a call remarkable, and when an honest one is"
    );
    say!(
        "  tracehop classify --since {} --config {d}/tracehop.toml   # which flags another configuration would give",
        lab::DEFAULT_BASE
    );
    say!(
        "  less {d}/metrics.prom                                                         # the same counts for Prometheus"
    );
    say!(
        "  head -3 {d}/truth.jsonl                                                        # what each call must be judged as"
    );
    say!(
        "  # a capture of your own: copy config/tracehop.toml and config/peers.example.toml, then check and replay"
    );
    say!("  # records: {} (Parquet)", config.store.path.display());
}
