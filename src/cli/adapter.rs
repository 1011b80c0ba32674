//! `tracehop adapter test`: recorded examples of a portal, replayed through its mapping; what holds is written down as the proof that automatic sending needs.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::output::{self, say};
use super::{Failure, Outcome, load};
use crate::host::clock;
use crate::responder::adapter::examples::{self, Report};
use crate::responder::adapter::proof::{ProofFile, mapping_digest};
use crate::responder::settings::PortalSettings;

/// Portals that do not speak our protocol
#[derive(Debug, Subcommand)]
pub enum Adapter {
    Test(Test),
}

/// Replays recorded examples through a portal's mapping, and writes the proof where all of them hold
///
/// docs/ADAPTERS.md says how examples are recorded. Nothing is sent. Without the proof, or after any change of the mapping, a portal in automatic mode is
/// worked as an assisted one.
#[derive(Debug, Args)]
pub struct Test {
    /// Configuration
    #[arg(value_name = "CONFIG", default_value = "tracehop.toml")]
    config: PathBuf,
    /// Name of the portal
    #[arg(long, value_name = "NAME")]
    portal: String,
    /// Folder of the examples
    #[arg(long, value_name = "FOLDER")]
    examples: PathBuf,
    /// Write no proof
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Adapter {
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::Test(test) => test.run(),
        }
    }
}

impl Test {
    fn run(self) -> Outcome {
        let config = load(&self.config)?;
        let responder = config.responder.as_ref().ok_or_else(|| {
            Failure::usage("the responder is off: write enabled = true into [responder]; a portal's mode is shadow until you say otherwise")
        })?;
        let portal = responder.portals.iter().find(|p| *p.name == *self.portal);
        let portal = portal.ok_or_else(|| {
            let all: Vec<&str> = responder.portals.iter().map(|p| &*p.name).collect();
            Failure::usage(format!(
                "no portal is called {:?}; there are {}",
                self.portal,
                all.join(", ")
            ))
        })?;
        let report = examples::replay(portal, &self.examples).map_err(Failure::no_input)?;
        let written = match portal.adapter.claim() {
            Some((_, proof)) if report.is_good() && !self.dry_run => {
                write(portal, &report, proof)?;
                Some(proof.to_owned())
            }
            _ => None,
        };
        if self.json {
            output::json(
                &json!({ "portal": portal.name, "good": report.is_good(), "examples": report, "proof": written }),
            )?;
        } else {
            print(&report, portal, written.as_deref());
        }
        Ok(match report.is_good() {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(1),
        })
    }
}

fn print(report: &Report, portal: &PortalSettings, written: Option<&Path>) {
    let rows = report.all.iter().map(|r| {
        let outcome = r.wrong.as_deref().map_or("as expected", |_| "DIFFERS");
        vec![
            r.name.clone(),
            outcome.to_owned(),
            r.wrong.clone().unwrap_or_default(),
        ]
    });
    let header = ["example", "outcome", "difference"];
    say!("{}", output::table(&header, rows.collect(), header.len()));
    for r in &report.all {
        if let Some(got) = r.got.as_ref() {
            // No expectation by itself: whoever takes it over says that it is right.
            say!("{} came out as: {got:#}", r.name);
        }
    }
    for missing in &report.missing {
        say!("missing: {missing}");
    }
    match written {
        Some(path) => {
            say!("proof written to {}", path.display());
            if portal
                .adapter
                .claim()
                .is_some_and(|(verified, _)| !verified)
            {
                say!("write verified = true into the portal's table, and the daemon will take it");
            }
        }
        None => say!("no proof was written"),
    }
}

/// Whole or not at all: the daemon may be reading.
fn write(portal: &PortalSettings, report: &Report, path: &Path) -> Result<(), Failure> {
    let digest =
        mapping_digest(portal).ok_or_else(|| Failure::software("a mapping without a digest"))?;
    let proof = ProofFile {
        v: 1,
        portal: portal.name.to_string(),
        mapping_sha256: digest.into(),
        examples_sha256: report.examples_sha256.to_string(),
        requests: report.count("request"),
        answers: report.count("answer"),
        tracehop: env!("CARGO_PKG_VERSION").to_owned(),
        at: clock::now(),
    };
    let said = |e: &dyn std::fmt::Display| Failure::io(format!("{}: {e}", path.display()));
    let text = serde_json::to_string_pretty(&proof).map_err(|e| said(&e))?;
    let new = path.with_extension("json.tmp");
    let written = || {
        let mut file = fs::File::create(&new)?;
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    written().map_err(|e: std::io::Error| said(&e))
}
