//! `tracehop portal`: the reference traceback portal: runs it, makes one, keeps its directory and people, hands requests in.
//!
//! Every subcommand but `init` opens the database beside the running portal: acts are transactions, and the portal sees them at once or within five seconds.

mod case;
mod init;
mod keys;
mod provider;
mod serve;
mod user;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};

use super::{Failure, Outcome, listed};
use crate::config::PortalConfig;
use crate::portal::docket::{Docket, DocketError};
use crate::proof::sign::Signer;

/// The traceback portal: runs until it is told to end (SIGTERM); SIGHUP reads the configuration again
#[derive(Debug, Args)]
#[command(subcommand_negates_reqs = true, args_conflicts_with_subcommands = true)]
pub struct Portal {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, Subcommand)]
enum What {
    Init(init::Init),
    #[command(subcommand)]
    Provider(provider::Provider),
    #[command(subcommand)]
    User(user::User),
    #[command(subcommand)]
    Case(case::Case),
    Keys(keys::Keys),
}

/// Which portal.
#[derive(Debug, Args)]
struct Which {
    /// Configuration of the portal
    #[arg(long, value_name = "FILE", default_value = "portal.toml")]
    config: PathBuf,
}

impl Portal {
    pub(super) fn run(self) -> Outcome {
        match self.what {
            None => serve::run(&self.which.config),
            Some(What::Init(c)) => c.run(),
            Some(What::Provider(c)) => c.run(),
            Some(What::User(c)) => c.run(),
            Some(What::Case(c)) => c.run(),
            Some(What::Keys(c)) => c.run(),
        }
    }
}

impl Which {
    fn load(&self) -> Result<PortalConfig, Failure> {
        PortalConfig::load(&self.config).map_err(|p| Failure::config(listed(&p)))
    }

    /// The docket, beside whoever has it open.
    fn docket(&self) -> Result<Docket, Failure> {
        let settings = self.load()?.settings;
        let path = settings.key_file.clone();
        let signer =
            Signer::read(&path).map_err(|e| Failure::config(format!("{}: {e}", path.display())))?;
        Docket::open(settings, Arc::new(signer)).map_err(failed)
    }
}

/// sysexits(3) of what the docket says.
fn failed(e: DocketError) -> Failure {
    match &e {
        DocketError::Open(_) | DocketError::Database { .. } => Failure::io(e),
        DocketError::Later { .. } => Failure::config(e),
        DocketError::TooMany { .. } => Failure::new(75, e),
        DocketError::Absent(_) | DocketError::Refused(_) | DocketError::Wrong(_) => {
            Failure::data(e)
        }
    }
}
