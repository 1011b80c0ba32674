//! `tracehop run`: the daemon.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{Failure, Outcome, listed};
use crate::daemon::run::{self, RunError};
use crate::responder::api::ApiError;
use crate::responder::service::ServiceError;
use crate::store::StoreError;

/// Watches the edge until it is told to end (SIGTERM); SIGHUP reads the configuration again
#[derive(Debug, Args)]
pub struct Run {
    /// Configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl Run {
    pub(super) fn run(self) -> Outcome {
        match run::run(&self.config) {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(RunError::Config(problems)) => Err(Failure::config(listed(&problems))),
            Err(e) => Err(Failure::new(code(&e), e)),
        }
    }
}

/// sysexits(3).
fn code(e: &RunError) -> u8 {
    match e {
        RunError::Config(_) | RunError::Nothing { .. } | RunError::Trust(_) => 78,
        RunError::Privilege(_) => 77,
        RunError::Live(_) | RunError::Hep(_) | RunError::Web(_) => 69,
        RunError::Store(StoreError::Locked { .. }) => 75,
        RunError::Store(_) | RunError::Folder { .. } | RunError::Lost(_) => 74,
        RunError::Responder(ServiceError::World(_))
        | RunError::Api(ApiError::Tls(_) | ApiError::Secret(_)) => 78,
        RunError::Api(ApiError::Bind { .. }) => 69,
        RunError::Api(ApiError::NoThread(_)) => 71,
        RunError::Responder(ServiceError::Desk(_)) => 74,
        RunError::System(_) | RunError::Responder(ServiceError::System(_)) => 71,
        RunError::Pipeline(_) | RunError::Died(_) | RunError::NotDrained { .. } => 70,
    }
}
