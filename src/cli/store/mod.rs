//! `tracehop store`: what is done about the store itself.

pub(super) mod hold;
mod keys;

use clap::Subcommand;

use super::Outcome;

/// The store: legal holds and keys
#[derive(Debug, Subcommand)]
pub enum Store {
    #[command(subcommand)]
    Hold(hold::Hold),
    #[command(subcommand)]
    Keys(keys::Keys),
}

impl Store {
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::Hold(c) => c.run(),
            Self::Keys(c) => c.run(),
        }
    }
}
