//! `tracehop lab`: keys, certificates, captures and their truth, from a seed; `tracehop lab network`: a world of providers, and how often a
//! trace across it is right.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::output::{self, say};
use super::{Failure, Outcome};
use crate::daemon::pipeline::PipelineSettings;
use crate::fetch::directory;
use crate::lab::check::{CheckOptions, check};
use crate::lab::{self, Encapsulation, LabOptions};

/// Makes keys, certificates, captures of signed calls, and the truth about them
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Lab {
    #[command(subcommand)]
    room: Option<Room>,
    #[command(flatten)]
    captures: Captures,
}

#[derive(Debug, Subcommand)]
enum Room {
    Network(super::lab_network::Network),
}

#[derive(Debug, Args)]
struct Captures {
    /// Folder to write to; it must be empty or not exist
    #[arg(value_name = "DIR", required = true)]
    out: Option<PathBuf>,
    /// The same seed gives the same octets
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many calls, about
    #[arg(long, default_value_t = 3_000)]
    calls: usize,
    /// What every frame of the capture is put into
    #[arg(long, value_enum, default_value_t)]
    encapsulation: Encapsulation,
    /// The largest IP packet on the link that carries the tunnel; what exceeds it goes in fragments
    #[arg(long, default_value_t = 1_500, value_parser = clap::value_parser!(u16).range(100..))]
    outer_mtu: u16,
    /// Write configuration and certificates alone; the calls go straight through the engine, and each record is held against its truth
    #[arg(long, conflicts_with_all = ["encapsulation", "outer_mtu"])]
    check: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Lab {
    pub(super) fn run(self) -> Outcome {
        match self.room {
            Some(Room::Network(network)) => network.run(),
            None => self.captures.run(),
        }
    }
}

impl Captures {
    fn run(self) -> Outcome {
        let out = self.out.clone().unwrap_or_default();
        let taken = out
            .read_dir()
            .is_ok_and(|mut entries| entries.next().is_some());
        if taken {
            return Err(Failure::usage(format!(
                "{} is not empty: name a new folder",
                out.display()
            )));
        }
        if self.check {
            return self.checked(&out);
        }
        let options = LabOptions {
            seed: self.seed,
            calls: self.calls,
            encapsulation: self.encapsulation,
            outer_mtu: self.outer_mtu.into(),
            ..LabOptions::new(&out)
        };
        let summary = lab::generate(&options).map_err(Failure::io)?;
        if self.json {
            output::json(&summary)?;
        } else {
            say!("{summary}");
        }
        Ok(ExitCode::SUCCESS)
    }

    fn checked(&self, out: &Path) -> Outcome {
        lab::write_settings(out, self.seed).map_err(Failure::io)?;
        let config = super::load(&out.join("tracehop.toml"))?;
        let loaded =
            directory::load(&config.credentials, lab::DEFAULT_BASE).map_err(Failure::io)?;
        let judges = std::thread::available_parallelism().map_or(1, usize::from);
        let settings = PipelineSettings::new(&config, loaded.credentials, judges);
        let options = CheckOptions {
            calls: self.calls,
            seed: self.seed,
        };
        let report = check(&settings, options).map_err(Failure::io)?;
        if self.json {
            output::json(&report)?;
        } else {
            say!("{report}");
        }
        Ok(ExitCode::from(u8::from(report.wrong > 0)))
    }
}
