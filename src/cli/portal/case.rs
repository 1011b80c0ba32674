//! `tracehop portal case`: requests for a traceback from the terminal, and what became of them.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::super::output::{self, say};
use super::super::{Failure, Outcome, keys, terminal};
use super::{Which, failed};
use crate::host::clock;
use crate::portal::docket::wire::{Listed, Traceback};
use crate::portal::docket::{Actor, Handed};
use crate::portal::word::Role;

/// Largest request that is read.
const MAX_REQUEST: u64 = 64 * 1024;

/// Cases: hands a request in, lists, shows, writes a case's signed answers as files
#[derive(Debug, Subcommand)]
pub enum Case {
    Submit(Submit),
    List(List),
    Show(Show),
    Export(Export),
}

/// Hands a request for a traceback in, as an analyst does in the console
#[derive(Debug, Args)]
pub struct Submit {
    /// The request as JSON, or - for standard input: called, time, tz, provider, campaign, evidence, … (docs/PORTAL.md)
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// For whom
    #[arg(long, value_name = "TEXT", default_value = "portal")]
    organisation: String,
    #[command(flatten)]
    which: Which,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Lists cases, the newest first
#[derive(Debug, Args)]
pub struct List {
    /// Only those in this state: submitted, open, stuck, closed, declined
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// How many
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    #[command(flatten)]
    which: Which,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Shows a case with its path
#[derive(Debug, Args)]
pub struct Show {
    /// The case
    #[arg(value_name = "ID")]
    case: String,
    #[command(flatten)]
    which: Which,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Writes the signed answers of a case and all keys: `tracehop answer verify` checks them, here or anywhere
#[derive(Debug, Args)]
pub struct Export {
    /// The case
    #[arg(value_name = "ID")]
    case: String,
    /// Folder: a file for each answer of the path, named by its question; in beside/ those that are not on it
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    which: Which,
}

impl Case {
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::Submit(c) => c.run(),
            Self::List(c) => c.run(),
            Self::Show(c) => c.run(),
            Self::Export(c) => c.run(),
        }
    }
}

impl Submit {
    fn run(self) -> Outcome {
        let octets = match self.file.as_os_str() == "-" {
            true => {
                let mut octets = Vec::new();
                std::io::stdin()
                    .lock()
                    .take(MAX_REQUEST)
                    .read_to_end(&mut octets)
                    .map_err(|e| Failure::no_input(format!("standard input: {e}")))?;
                octets
            }
            false => keys::bounded(&self.file, MAX_REQUEST)?,
        };
        let handed: Handed = serde_json::from_slice(&octets)
            .map_err(|e| Failure::data(format!("{}: {e}", self.file.display())))?;
        let actor = Actor {
            who: terminal::who(),
            role: Role::Analyst,
            organisation: self.organisation.as_str().into(),
            provider: None,
        };
        let docket = self.which.docket()?;
        let done = docket
            .submit(&actor, &handed, clock::now())
            .map_err(failed)?;
        if self.json {
            output::json(&done)?;
            return Ok(ExitCode::SUCCESS);
        }
        say!("{}: {}", done.case, done.state);
        for warning in &done.warnings {
            say!("  note: {}: {}", warning.field, warning.wanted);
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn row(c: &Listed) -> Vec<String> {
    let ended = c.ended_at.as_deref().unwrap_or_default();
    vec![
        c.id.clone(),
        c.state.clone(),
        c.outcome.clone().unwrap_or_default(),
        ended.to_owned(),
        if c.verified { "verified" } else { "" }.to_owned(),
        c.hops.to_string(),
        c.called.clone(),
        c.called_at.to_string(),
        c.organisation.clone(),
    ]
}

const HEAD: [&str; 9] = [
    "case", "state", "outcome", "ended at", "path", "hops", "called", "call at", "for",
];

impl List {
    fn run(self) -> Outcome {
        let docket = self.which.docket()?;
        let all = docket
            .tracebacks(self.state.as_deref(), self.limit)
            .map_err(failed)?;
        if self.json {
            output::json(&all)?;
            return Ok(ExitCode::SUCCESS);
        }
        let rows = all.iter().map(row).collect();
        say!("{}", output::table(&HEAD, rows, usize::MAX));
        Ok(ExitCode::SUCCESS)
    }
}

impl Show {
    fn run(self) -> Outcome {
        let docket = self.which.docket()?;
        let found = docket.traceback(&self.case, None).map_err(failed)?;
        if self.json {
            output::json(&found)?;
            return Ok(ExitCode::SUCCESS);
        }
        print(&found);
        Ok(ExitCode::SUCCESS)
    }
}

fn print(found: &Traceback) {
    say!(
        "{}",
        output::table(&HEAD, vec![row(&found.case)], usize::MAX)
    );
    if !found.summary.is_empty() {
        say!("\n{}", found.summary);
    }
    let rows = found.path.iter().map(|s| {
        vec![
            s.question.clone(),
            s.provider.clone(),
            s.branch.clone(),
            s.state.clone(),
            s.asked.to_string(),
            s.answered.map_or_else(String::new, |at| at.to_string()),
        ]
    });
    let head = [
        "question",
        "provider",
        "asked for",
        "state",
        "asked",
        "answered",
    ];
    say!("\n{}", output::table(&head, rows.collect(), usize::MAX));
}

impl Export {
    fn run(self) -> Outcome {
        let docket = self.which.docket()?;
        let answers = docket.answers_of(&self.case).map_err(failed)?;
        let io = |e: std::io::Error| Failure::io(format!("{}: {e}", self.out.display()));
        std::fs::create_dir_all(&self.out).map_err(io)?;
        // A question's id is the portal's own: letters, digits and hyphens.
        for (question, octets) in &answers {
            let file = self.out.join(format!("{question}.json"));
            std::fs::write(&file, octets).map_err(io)?;
        }
        let others = docket.answers_beside(&self.case).map_err(failed)?;
        let beside = self.out.join("beside");
        if !others.is_empty() {
            std::fs::create_dir_all(&beside).map_err(io)?;
        }
        for (question, octets) in &others {
            let file = beside.join(format!("{question}.json"));
            std::fs::write(&file, octets).map_err(io)?;
        }
        let out = self.out.display();
        say!("{} answers in {out}", answers.len());
        say!(
            "check them:  tracehop portal keys --out KEYS && tracehop answer verify --keys KEYS {out}/*.json"
        );
        Ok(ExitCode::SUCCESS)
    }
}
