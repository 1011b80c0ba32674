//! `tracehop store engine`: the ClickHouse cluster that many probes share.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};

use crate::cli::output::{self, say};
use crate::cli::trace::engine_of;
use crate::cli::{Failure, Outcome, load};
use crate::host::clock;
use crate::store::engine::{Engine, check, probes, retain, schema};

/// The shared engine: its schema, whether it can be relied on, which probes it knows, and what it forgets
#[derive(Debug, Subcommand)]
pub enum EngineCommand {
    Migrate(Migrate),
    Check(Check),
    Probes(Probes),
    Retire(Retire),
    Retain(Retain),
}

/// Brings the schema of every node up to date. Run it before the first probe, and again when tracehop asks for it
#[derive(Debug, Args)]
pub struct Migrate {
    #[command(flatten)]
    which: Which,
}

/// Looks at every node: answers, clock, schema, in step with its shard; writes a row to every shard, reads it at each replica, deletes it
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    which: Which,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Lists the probes that the engine knows, and until when the records of each of their sensors are there
#[derive(Debug, Args)]
pub struct Probes {
    #[command(flatten)]
    which: Which,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Says that a probe, or one of its sensors, is no more: from its last account on it is not waited for
#[derive(Debug, Args)]
pub struct Retire {
    #[command(flatten)]
    which: Which,
    /// The probe's number
    #[arg(long, value_name = "NUMBER")]
    probe: u16,
    /// Only this sensor of it
    #[arg(long, value_name = "NAME")]
    sensor: Option<String>,
}

/// Deletes the days that are older than the engine's retention, on every shard. Run it daily, on one probe
#[derive(Debug, Args)]
pub struct Retain {
    #[command(flatten)]
    which: Which,
}

/// Which engine.
#[derive(Debug, Args)]
struct Which {
    /// Configuration
    #[arg(long, value_name = "FILE", default_value = "tracehop.toml")]
    config: PathBuf,
}

impl Which {
    fn open(&self) -> Result<Arc<Engine>, Failure> {
        let engine = engine_of(&load(&self.config)?)?;
        engine.ok_or_else(|| {
            Failure::config(format!(
                "{}: there is no [store.engine]",
                self.config.display()
            ))
        })
    }
}

impl EngineCommand {
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::Migrate(c) => c.run(),
            Self::Check(c) => c.run(),
            Self::Probes(c) => c.run(),
            Self::Retire(c) => c.run(),
            Self::Retain(c) => c.run(),
        }
    }
}

impl Migrate {
    fn run(self) -> Outcome {
        let engine = self.which.open()?;
        let mut failed = None;
        for node in engine.nodes() {
            let name = engine.name(node);
            match schema::migrate(&engine, node) {
                Ok(run) if run.is_empty() => say!("{name}: up to date"),
                Ok(run) => {
                    for m in run {
                        say!("{name}: {:03} {}", m.version, m.name);
                    }
                }
                Err(e) => {
                    output::complain(format_args!("{e}"));
                    failed = Some(e);
                }
            }
        }
        match failed {
            None => Ok(ExitCode::SUCCESS),
            Some(_) => Err(Failure::io(
                "not every node is up to date; mend what is named and run it again",
            )),
        }
    }
}

impl Check {
    fn run(self) -> Outcome {
        let engine = self.which.open()?;
        let findings = check::check(&engine, clock::now);
        let good = findings.iter().all(|f| f.good);
        if self.json {
            output::json(&findings)?;
        } else {
            let rows = findings.iter().map(|f| {
                let is = if f.good { "good" } else { "BAD" };
                vec![
                    f.node.clone(),
                    f.what.to_owned(),
                    is.to_owned(),
                    f.says.clone(),
                ]
            });
            say!(
                "{}",
                output::table(&["node", "what", "", "how it is"], rows.collect(), 4)
            );
        }
        Ok(ExitCode::from(if good { 0 } else { 1 }))
    }
}

impl Probes {
    fn run(self) -> Outcome {
        let engine = self.which.open()?;
        let probes = probes::list(&engine).map_err(Failure::io)?;
        if self.json {
            output::json(&probes)?;
            return Ok(ExitCode::SUCCESS);
        }
        let time = |t: Option<crate::base::Timestamp>| t.map(|t| t.to_string()).unwrap_or_default();
        let rows = probes.iter().map(|p| {
            vec![
                p.probe.to_string(),
                p.name.clone(),
                p.sensor.clone(),
                time(p.since),
                time(p.until),
                if p.retired { "retired" } else { "" }.to_owned(),
            ]
        });
        let head = ["probe", "name", "sensor", "since", "all there until", ""];
        say!("{}", output::table(&head, rows.collect(), head.len()));
        Ok(ExitCode::SUCCESS)
    }
}

impl Retire {
    fn run(self) -> Outcome {
        let engine = self.which.open()?;
        let sensor = self.sensor.as_deref();
        let retired = probes::retire(&engine, self.probe, sensor).map_err(Failure::io)?;
        if retired == 0 {
            return Err(Failure::data(
                "the engine knows no such probe or sensor that is not retired already",
            ));
        }
        say!("{retired} sensors are not waited for any more");
        Ok(ExitCode::SUCCESS)
    }
}

impl Retain {
    fn run(self) -> Outcome {
        let engine = self.which.open()?;
        let retained = retain::retain(&engine, clock::now()).map_err(Failure::io)?;
        say!(
            "everything before {} is gone: {} days of tables deleted now",
            retained.before,
            retained.partitions
        );
        Ok(ExitCode::SUCCESS)
    }
}
