//! `tracehop portal keys`: public keys of everybody, as files for `tracehop answer verify --keys`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::super::output::say;
use super::super::{Failure, Outcome};
use super::{Which, failed};

/// Writes the public keys of all providers, retired ones too, for `tracehop answer verify --keys DIR`
#[derive(Debug, Args)]
pub struct Keys {
    /// Folder; a file each, named by the provider's id
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    which: Which,
}

impl Keys {
    pub(super) fn run(self) -> Outcome {
        let docket = self.which.docket()?;
        let io = |e: std::io::Error| Failure::io(format!("{}: {e}", self.out.display()));
        std::fs::create_dir_all(&self.out).map_err(io)?;
        let mut written = 0;
        for one in docket.providers().map_err(failed)? {
            let set = docket.jwks_of(&one.card.id).map_err(failed)?;
            if set.pointer("/keys/0").is_none() {
                continue;
            }
            // An id is letters, digits and -_. alone: the directory sees to it.
            let file = self.out.join(format!("{}.json", one.card.id));
            std::fs::write(&file, format!("{set}\n")).map_err(io)?;
            written += 1;
        }
        // What its staff said in the console, the portal's own key vouches for.
        let own = docket.signer().jwks();
        std::fs::write(self.out.join("portal-console.json"), format!("{own}\n")).map_err(io)?;
        say!(
            "{written} providers' keys, and the portal's own, in {}",
            self.out.display()
        );
        Ok(ExitCode::SUCCESS)
    }
}
