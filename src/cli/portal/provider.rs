//! `tracehop portal provider`: the directory.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::super::output::{self, say};
use super::super::{Failure, Outcome, keys, terminal};
use super::{Which, failed};
use crate::host::clock;
use crate::portal::docket::directory::{Card, Directory};
use crate::traceback::deadline::DeadlineRule;

/// Largest directory that is read: 20,000 providers of 2 KB.
const MAX_DIRECTORY: u64 = 64 * 1024 * 1024;
/// Largest set of keys.
const MAX_KEYS: u64 = 256 * 1024;

/// The directory: who may be asked, their keys, how their machines are known
#[derive(Debug, Subcommand)]
pub enum Provider {
    Add(Box<Add>),
    List(List),
    Show(Show),
    Import(Import),
    Export(Export),
    Key(Key),
    Retire(Retire),
    Token(Token),
    Suspend(Suspend),
    Resume(Suspend),
}

/// Adds a provider
#[derive(Debug, Args)]
pub struct Add {
    /// Its id at this portal
    #[arg(value_name = "ID")]
    id: String,
    /// Its legal name
    #[arg(value_name = "NAME")]
    name: String,
    /// ISO 3166 code
    #[arg(long, default_value = "US")]
    country: String,
    /// Number in the Robocall Mitigation Database
    #[arg(long, value_name = "NUMBER")]
    rmd: Option<String>,
    /// FCC registration number
    #[arg(long, value_name = "NUMBER")]
    frn: Option<String>,
    /// Operating company number or service provider code; as many as it has
    #[arg(long, value_name = "CODE")]
    ocn: Vec<String>,
    /// Mail address of whom to reach
    #[arg(long, value_name = "ADDRESS")]
    mail: Option<String>,
    /// Where events are pushed to; without it the provider asks
    #[arg(long, value_name = "URL")]
    push_url: Option<String>,
    /// By which rule its deadlines run: us-64.1200n, ca-crtc, plain-24h
    #[arg(long, value_parser = rule, default_value = "us-64.1200n")]
    deadline: DeadlineRule,
    /// Where its business hours are
    #[arg(long, value_name = "ZONE", default_value = "America/New_York")]
    time_zone: String,
    /// Name in its client certificate, or sha256: and the fingerprint
    #[arg(long, value_name = "NAME")]
    certificate: Option<String>,
    /// Its public keys: a JWK set, or the document at /.well-known/traceback-provider
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    #[command(flatten)]
    which: Which,
}

/// Lists the directory
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    which: Which,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Shows a provider with its keys
#[derive(Debug, Args)]
pub struct Show {
    /// Its id
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    which: Which,
}

/// Takes in a directory that `export` wrote: all of it, or nothing
#[derive(Debug, Args)]
pub struct Import {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    which: Which,
}

/// Prints the directory as JSON, with keys and without tokens
#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    which: Which,
}

/// Adds public keys of a provider
#[derive(Debug, Args)]
pub struct Key {
    /// Its id
    #[arg(value_name = "ID")]
    id: String,
    /// A JWK set, or the document at /.well-known/traceback-provider
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    which: Which,
}

/// Retires a key: nothing new may be signed with it, and what came before still holds
#[derive(Debug, Args)]
pub struct Retire {
    /// The provider's id
    #[arg(value_name = "ID")]
    id: String,
    /// The key's name
    #[arg(value_name = "KID")]
    kid: String,
    #[command(flatten)]
    which: Which,
}

/// Makes a token for a provider's machine and prints it once; the one before holds no longer
#[derive(Debug, Args)]
pub struct Token {
    /// Its id
    #[arg(value_name = "ID")]
    id: String,
    /// Write it into this file, for its owner alone, instead of printing it; it must not be there
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    which: Which,
}

/// Suspends a provider, or takes it back (resume)
#[derive(Debug, Args)]
pub struct Suspend {
    /// Its id
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    which: Which,
}

fn rule(text: &str) -> Result<DeadlineRule, String> {
    DeadlineRule::from_label(text).ok_or_else(|| {
        let all: Vec<_> = DeadlineRule::ALL.iter().map(|r| r.label()).collect();
        format!("one of {}", all.join(", "))
    })
}

impl Provider {
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::Add(c) => c.run(),
            Self::List(c) => c.run(),
            Self::Show(c) => c.run(),
            Self::Import(c) => c.run(),
            Self::Export(c) => c.run(),
            Self::Key(c) => c.run(),
            Self::Retire(c) => c.run(),
            Self::Token(c) => c.run(),
            Self::Suspend(c) => c.run(true),
            Self::Resume(c) => c.run(false),
        }
    }
}

impl Add {
    fn run(self) -> Outcome {
        let docket = self.which.docket()?;
        let mut card = Card {
            country: self.country.into(),
            rmd: self.rmd.map(Into::into),
            frn: self.frn.map(Into::into),
            ocns: self.ocn.into_iter().map(Into::into).collect(),
            push_url: self.push_url.map(Into::into),
            deadline: self.deadline,
            time_zone: self.time_zone.into(),
            certificate: self.certificate.map(Into::into),
            ..Card::new(&self.id, &self.name)
        };
        card.contact.mail = self.mail.map(Into::into);
        let set = self.keys.map(|f| keys::bounded(&f, MAX_KEYS)).transpose()?;
        let (who, now) = (terminal::who(), clock::now());
        docket.add_provider(&who, &card, now).map_err(failed)?;
        let added = match &set {
            Some(set) => docket.add_keys(&who, &card.id, set, now).map_err(failed)?,
            None => 0,
        };
        say!("{}: added, with {added} keys", card.id);
        Ok(ExitCode::SUCCESS)
    }
}

impl List {
    fn run(self) -> Outcome {
        let docket = self.which.docket()?;
        let all = docket.providers().map_err(failed)?;
        let mut rows = Vec::new();
        let mut lines = Vec::new();
        for p in &all {
            let keys = docket.keys_of(&p.card.id).map_err(failed)?;
            let keys = keys.iter().filter(|k| k.retired.is_none()).count();
            let state = match (p.listed, p.active) {
                (false, _) => "named by an answer",
                (_, false) => "suspended",
                _ => "",
            };
            let known = match (p.has_token, p.card.certificate.is_some()) {
                (true, true) => "token, certificate",
                (true, false) => "token",
                (false, true) => "certificate",
                (false, false) => "no",
            };
            if self.json {
                lines.push(json!({ "provider": p.card, "listed": p.listed, "active": p.active, "token": p.has_token, "keys": keys }));
                continue;
            }
            rows.push(vec![
                p.card.id.to_string(),
                p.card.name.to_string(),
                p.card.country.to_string(),
                p.card.ocns.join(" "),
                if p.card.push_url.is_some() {
                    "pushed"
                } else {
                    "asks"
                }
                .to_owned(),
                known.to_owned(),
                keys.to_string(),
                state.to_owned(),
            ]);
        }
        if self.json {
            output::json(&lines)?;
            return Ok(ExitCode::SUCCESS);
        }
        let head = ["id", "name", "in", "codes", "events", "machine", "keys", ""];
        say!("{}", output::table(&head, rows, usize::MAX));
        Ok(ExitCode::SUCCESS)
    }
}

impl Show {
    fn run(self) -> Outcome {
        let docket = self.which.docket()?;
        let found = docket.provider(&self.id).map_err(failed)?;
        let keys = docket.keys_of(&self.id).map_err(failed)?;
        let keys: Vec<_> = keys
            .iter()
            .map(|k| json!({ "kid": k.kid, "added": k.added, "retired": k.retired, "jwk": k.jwk }))
            .collect();
        output::json(&json!({
            "provider": found.card, "listed": found.listed, "active": found.active, "token": found.has_token,
            "created": found.created, "changed": found.changed, "keys": keys,
        }))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Import {
    fn run(self) -> Outcome {
        let docket = self.which.docket()?;
        let octets = keys::bounded(&self.file, MAX_DIRECTORY)?;
        let directory: Directory = serde_json::from_slice(&octets)
            .map_err(|e| Failure::data(format!("{}: {e}", self.file.display())))?;
        let done = docket
            .import_directory(&terminal::who(), &directory, clock::now())
            .map_err(failed)?;
        say!(
            "{} providers added, {} changed, {} keys added",
            done.added,
            done.changed,
            done.keys
        );
        Ok(ExitCode::SUCCESS)
    }
}

impl Export {
    fn run(self) -> Outcome {
        let docket = self.which.docket()?;
        output::json(&docket.export_directory().map_err(failed)?)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Key {
    fn run(self) -> Outcome {
        let docket = self.which.docket()?;
        let set = keys::bounded(&self.file, MAX_KEYS)?;
        let added = docket
            .add_keys(&terminal::who(), &self.id, &set, clock::now())
            .map_err(failed)?;
        say!("{}: {added} keys added", self.id);
        Ok(ExitCode::SUCCESS)
    }
}

impl Retire {
    fn run(self) -> Outcome {
        let docket = self.which.docket()?;
        docket
            .retire_key(&terminal::who(), &self.id, &self.kid, clock::now())
            .map_err(failed)?;
        say!("{}: {} is retired", self.id, self.kid);
        Ok(ExitCode::SUCCESS)
    }
}

impl Token {
    fn run(self) -> Outcome {
        let docket = self.which.docket()?;
        let mut file = self.out.as_deref().map(secret).transpose()?;
        let token = docket
            .new_token(&terminal::who(), &self.id, clock::now())
            .map_err(failed)?;
        match (&mut file, &self.out) {
            (Some(file), Some(path)) => {
                let written = file
                    .write_all(format!("{token}\n").as_bytes())
                    .and_then(|()| file.sync_all());
                written.map_err(|e| Failure::io(format!("{}: {e}", path.display())))?;
                say!("{}: its token is in {}", self.id, path.display());
            }
            _ => say!("{token}"),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn secret(path: &Path) -> Result<std::fs::File, Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let made = options.open(path);
    made.map_err(|e| Failure::io(format!("{}: {e}", path.display())))
}

impl Suspend {
    fn run(self, suspended: bool) -> Outcome {
        let docket = self.which.docket()?;
        docket
            .suspend_provider(&terminal::who(), &self.id, suspended, clock::now())
            .map_err(failed)?;
        let state = if suspended { "suspended" } else { "active" };
        say!("{}: {state}", self.id);
        Ok(ExitCode::SUCCESS)
    }
}
