//! `tracehop store`: what is done about the store itself.

mod check;
mod keys;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Failure, Outcome, load};
use crate::store::embedded::KeySource;

/// The store: checks it, repairs what can be repaired, and its keys
#[derive(Debug, Subcommand)]
pub enum Store {
    Check(check::Check),
    #[command(subcommand)]
    Keys(keys::Keys),
}

impl Store {
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::Check(c) => c.run(),
            Self::Keys(c) => c.run(),
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
