//! `tracehop portal user`: people of the console. They are made here, at the portal's host, so that no role can raise itself.

use std::io::BufRead;
use std::process::ExitCode;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use clap::{Args, Subcommand};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::json;

use super::super::output::{self, say};
use super::super::terminal;
use super::super::{Failure, Outcome};
use super::{Which, failed};
use crate::host::clock;
use crate::portal::docket::User as Person;
use crate::portal::password::Secret;
use crate::portal::word::Role;

/// Octets of chance in a password that is made here: 120 bits, and 20 characters to type once.
const CHANCE: usize = 15;

/// People of the console: adds, lists, locks out, gives another password
#[derive(Debug, Subcommand)]
pub enum User {
    Add(Add),
    List(List),
    Disable(Disable),
    Enable(Enable),
    Password(Password),
}

/// Adds somebody and prints his password once
#[derive(Debug, Args)]
pub struct Add {
    /// By which he logs in
    #[arg(value_name = "NAME")]
    name: String,
    /// What he may do: requester, analyst, provider, auditor
    #[arg(long, value_parser = role)]
    role: Role,
    /// As people know him
    #[arg(long, value_name = "TEXT")]
    full_name: Option<String>,
    /// For whom he works: requesters see the cases of theirs
    #[arg(long, value_name = "TEXT", default_value = "")]
    organisation: String,
    /// Of staff of a provider: its id
    #[arg(long, value_name = "ID")]
    provider: Option<String>,
    /// Read the password from standard input instead of making one
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    which: Which,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Lists everybody
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    which: Which,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Locks somebody out, now
#[derive(Debug, Args)]
pub struct Disable {
    /// Whom
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    which: Which,
}

/// Lets somebody in again
#[derive(Debug, Args)]
pub struct Enable {
    /// Whom
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    which: Which,
}

/// Gives somebody another password, prints it once, and ends his sessions
#[derive(Debug, Args)]
pub struct Password {
    /// Whom
    #[arg(value_name = "NAME")]
    name: String,
    /// Read it from standard input instead of making one
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    which: Which,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn role(text: &str) -> Result<Role, String> {
    Role::from_label(text).ok_or_else(|| {
        let all: Vec<_> = Role::ALL.iter().map(|r| r.label()).collect();
        format!("one of {}", all.join(", "))
    })
}

/// A password that nobody guesses.
pub(super) fn chance() -> Result<String, Failure> {
    let mut octets = [0u8; CHANCE];
    SystemRandom::new()
        .fill(&mut octets)
        .map_err(|_| Failure::new(71, "no random numbers from the host"))?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(octets))
}

/// A name that goes into the log and on pages as it is.
pub(super) fn word(name: &str) -> Result<Box<str>, Failure> {
    match name.trim() {
        "" => Err(Failure::usage("a user has a name")),
        name => Ok(name.into()),
    }
}

fn password(from_stdin: bool) -> Result<String, Failure> {
    if !from_stdin {
        return chance();
    }
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(|e| Failure::no_input(format!("standard input: {e}")))?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

impl User {
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::Add(c) => c.run(),
            Self::List(c) => c.run(),
            Self::Disable(c) => switched(&c.which, &c.name, true),
            Self::Enable(c) => switched(&c.which, &c.name, false),
            Self::Password(c) => c.run(),
        }
    }
}

impl Add {
    fn run(self) -> Outcome {
        let docket = self.which.docket()?;
        let password = password(self.password_stdin)?;
        let known = [self.name.as_str(), &docket.settings().name];
        let secret = Secret::of(&password, &known).map_err(Failure::data)?;
        let person = Person {
            name: word(&self.name)?,
            full_name: self.full_name.as_deref().unwrap_or(&self.name).into(),
            role: self.role,
            organisation: self.organisation.as_str().into(),
            provider: self.provider.as_deref().map(Into::into),
            disabled: false,
        };
        docket
            .add_user(&terminal::who(), &person, &secret, clock::now())
            .map_err(failed)?;
        told(self.json, &self.name, &password, self.password_stdin)
    }
}

fn told(as_json: bool, name: &str, password: &str, was_given: bool) -> Outcome {
    match (as_json, was_given) {
        (true, true) => output::json(&json!({ "user": name }))?,
        (true, false) => output::json(&json!({ "user": name, "password": password }))?,
        (false, true) => say!("{name}: done"),
        (false, false) => say!("{name}: {password}   (shown this once)"),
    }
    Ok(ExitCode::SUCCESS)
}

impl List {
    fn run(self) -> Outcome {
        let all = self.which.docket()?.users().map_err(failed)?;
        if self.json {
            output::json(&all)?;
            return Ok(ExitCode::SUCCESS);
        }
        let rows = all.iter().map(|u| {
            vec![
                u.name.to_string(),
                u.full_name.to_string(),
                u.role.to_string(),
                u.organisation.to_string(),
                u.provider.as_deref().unwrap_or_default().to_owned(),
                if u.disabled { "locked out" } else { "" }.to_owned(),
            ]
        });
        let head = ["user", "name", "role", "organisation", "provider", ""];
        say!("{}", output::table(&head, rows.collect(), usize::MAX));
        Ok(ExitCode::SUCCESS)
    }
}

fn switched(which: &Which, name: &str, disabled: bool) -> Outcome {
    let docket = which.docket()?;
    docket
        .set_user_disabled(&terminal::who(), name, disabled, clock::now())
        .map_err(failed)?;
    say!(
        "{name}: {}",
        if disabled { "locked out" } else { "may log in" }
    );
    Ok(ExitCode::SUCCESS)
}

impl Password {
    fn run(self) -> Outcome {
        let docket = self.which.docket()?;
        let password = password(self.password_stdin)?;
        let known = [self.name.as_str(), &docket.settings().name];
        let secret = Secret::of(&password, &known).map_err(Failure::data)?;
        docket
            .set_password(&terminal::who(), &self.name, &secret, None, clock::now())
            .map_err(failed)?;
        told(self.json, &self.name, &password, self.password_stdin)
    }
}
