//! `tracehop check`: every problem of a configuration with file, line and remedy.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::output::{self, say};
use super::{Failure, Outcome, listed};
use crate::call::peer::review::review;
use crate::config::{Config, PortalConfig};
use crate::fetch::directory;
use crate::host::clock;

/// Checks a configuration and every file that it names
#[derive(Debug, Args)]
pub struct Check {
    /// The configuration to check
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
    /// It is a portal's
    #[arg(long)]
    portal: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) fn run(self) -> Outcome {
        if self.portal {
            return self.of_portal();
        }
        let config = match Config::load(&self.config) {
            Ok(config) => config,
            Err(problems) if self.json => {
                output::json(&serde_json::json!({ "problems": problems }))?;
                return Ok(ExitCode::from(78));
            }
            Err(problems) => return Err(Failure::config(listed(&problems))),
        };
        let loaded = directory::load(&config.credentials, clock::now()).map_err(Failure::config)?;
        let notes: Vec<_> = loaded
            .notes
            .iter()
            .cloned()
            .chain(config.http.note())
            .chain(config.idles().map(|remedy| {
                format!("`tracehop run` has nothing to watch yet and nobody to answer: {remedy}")
            }))
            .chain(config.responder.iter().flat_map(|r| r.notes()))
            .collect();
        let portals: Vec<_> = config
            .responder
            .iter()
            .flat_map(|r| &r.portals)
            .map(|p| format!("{} ({}, {})", p.name, p.mode, p.adapter.label()))
            .collect();
        let (remarks, more) = review(&config.peers);
        if self.json {
            output::json(&serde_json::json!({
                "problems": [],
                "remarks": remarks,
                "more_remarks": more,
                "peers": config.peers.peers.len(),
                "rules": config.peers.rules.len(),
                "certificates": loaded.certificates,
                "authorities": loaded.authorities,
                "portals": portals,
                "ca_list_ends": loaded.ca_list_ends,
                "notes": notes,
            }))?;
            return Ok(ExitCode::SUCCESS);
        }
        say!("{}: no problem", self.config.display());
        say!(
            "  {} peers, {} rules, {} certificates, {} authorities",
            config.peers.peers.len(),
            config.peers.rules.len(),
            loaded.certificates,
            loaded.authorities,
        );
        if !portals.is_empty() {
            say!("  answering {}", portals.join(", "));
        }
        for note in &notes {
            say!("  note: {note}");
        }
        if !remarks.is_empty() {
            say!("\nrules of neighbours: nothing that is wrong by itself");
            let rows = remarks.iter().map(|r| {
                vec![
                    r.kind.label().to_owned(),
                    r.about.join(", "),
                    r.what.clone(),
                ]
            });
            let header = ["what", "about", "so"];
            say!("{}", output::table(&header, rows.collect(), usize::MAX));
        }
        if more > 0 {
            say!("{more} more pairs of rules meet");
        }
        Ok(ExitCode::SUCCESS)
    }

    fn of_portal(self) -> Outcome {
        let config = match PortalConfig::load(&self.config) {
            Ok(config) => config,
            Err(problems) if self.json => {
                output::json(&serde_json::json!({ "problems": problems }))?;
                return Ok(ExitCode::from(78));
            }
            Err(problems) => return Err(Failure::config(listed(&problems))),
        };
        let notes = config.notes();
        let s = &config.settings;
        if self.json {
            output::json(&serde_json::json!({
                "problems": [], "notes": notes, "api": s.api.address, "console": s.console.address,
                "requesters": s.requesters.len(),
            }))?;
            return Ok(ExitCode::SUCCESS);
        }
        say!("{}: no problem", self.config.display());
        say!(
            "  portal {}: machines at {}, people at {}, {} machines hand requests in",
            s.name,
            s.api.address,
            s.console.address,
            s.requesters.len()
        );
        for note in &notes {
            say!("  note: {note}");
        }
        Ok(ExitCode::SUCCESS)
    }
}
