//! `tracehop store`: what is done about the store itself.

mod engine;
mod keys;

use clap::Subcommand;

use super::Outcome;

/// The store: its keys, and the shared engine
#[derive(Debug, Subcommand)]
pub enum Store {
    #[command(subcommand)]
    Keys(keys::Keys),
    #[command(subcommand)]
    Engine(engine::EngineCommand),
}

impl Store {
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::Keys(c) => c.run(),
            Self::Engine(c) => c.run(),
        }
    }
}
