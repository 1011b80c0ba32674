//! `tracehop store`: what is done about the store itself.

mod check;
mod engine;
pub(super) mod hold;
mod keys;
mod size;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Failure, Outcome, load};
use crate::store::embedded::KeySource;

/// The store: checks it and repairs what can be repaired, legal holds, its keys, what it takes for so many calls, and the shared engine
#[derive(Debug, Subcommand)]
pub enum Store {
    Check(check::Check),
    #[command(subcommand)]
    Hold(hold::Hold),
    #[command(subcommand)]
    Keys(keys::Keys),
    #[command(subcommand)]
    Engine(engine::EngineCommand),
    Size(size::Size),
}

impl Store {
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::Check(c) => c.run(),
            Self::Hold(c) => c.run(),
            Self::Keys(c) => c.run(),
            Self::Engine(c) => c.run(),
            Self::Size(s) => s.run(),
        }
    }
}

/// Which store.
#[derive(Debug, Args)]
struct Which {
    /// Folder of the store, instead of the one that the configuration names; one that is encrypted needs the configuration
    #[arg(value_name = "PATH", conflicts_with = "config")]
    path: Option<PathBuf>,
    /// Configuration
    #[arg(long, value_name = "FILE", default_value = "tracehop.toml")]
    config: PathBuf,
}

impl Which {
    /// Its folder, and where its key comes from.
    fn place(&self) -> Result<(PathBuf, Option<KeySource>), Failure> {
        match &self.path {
            Some(path) => Ok((path.clone(), None)),
            None => {
                let store = load(&self.config)?.store;
                Ok((store.path, store.settings.encryption))
            }
        }
    }
}
