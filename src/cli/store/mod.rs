//! `tracehop store`: what is done about the store itself.

mod check;
mod size;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Failure, Outcome, load};

/// The store: checks it and repairs what can be repaired, says what it takes for so many calls
#[derive(Debug, Subcommand)]
pub enum Store {
    Check(check::Check),
    Size(size::Size),
}

impl Store {
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::Check(c) => c.run(),
            Self::Size(s) => s.run(),
        }
    }
}

/// Which store.
#[derive(Debug, Args)]
struct Which {
    /// Folder of the store, instead of the one that the configuration names
    #[arg(value_name = "PATH", conflicts_with = "config")]
    path: Option<PathBuf>,
    /// Configuration
    #[arg(long, value_name = "FILE", default_value = "tracehop.toml")]
    config: PathBuf,
}

impl Which {
    fn path(&self) -> Result<PathBuf, Failure> {
        match &self.path {
            Some(path) => Ok(path.clone()),
            None => load(&self.config).map(|config| config.store.path),
        }
    }
}
