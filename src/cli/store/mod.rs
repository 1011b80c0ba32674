//! `tracehop store`: what is done about the store itself.

mod keys;

use clap::Subcommand;

use super::Outcome;

/// The store: its keys
#[derive(Debug, Subcommand)]
pub enum Store {
    #[command(subcommand)]
    Keys(keys::Keys),
}

impl Store {
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::Keys(c) => c.run(),
        }
    }
}
