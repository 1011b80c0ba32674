//! The commands, one file each. A command takes its arguments and gives an exit code by sysexits(3); people get a table, machines `--json`.

mod adapter;
mod answer;
mod audit;
mod campaigns;
mod capture;
mod check;
mod classify;
mod coverage;
mod demo;
mod demo_network;
mod flags;
mod found;
mod inbox;
mod keys;
mod lab;
mod lab_network;
mod manual;
mod metrics;
mod output;
mod peers;
mod portal;
mod records;
mod rejudge;
mod replay;
mod replayed;
mod rules;
mod run;
mod signer;
mod store;
mod summary;
mod terminal;
mod trace;
mod verify;

use std::fmt;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::base::Timestamp;
use crate::config::{Config, Problem};
use crate::host::clock;

/// Watches a provider's SIP edge: who signed each call, which neighbour handed it over, and the answer to a traceback.
#[derive(Debug, Parser)]
#[command(name = "tracehop", version, about, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Run),
    Demo(demo::Demo),
    Replay(replay::Replay),
    Capture(capture::Capture),
    Verify(verify::Verify),
    Trace(trace::Trace),
    Records(records::Records),
    #[command(subcommand)]
    Answer(answer::Answer),
    #[command(subcommand)]
    Audit(audit::Audit),
    #[command(subcommand)]
    Inbox(inbox::Inbox),
    Coverage(coverage::Show),
    Campaigns(campaigns::Show),
    Classify(classify::Classify),
    Check(check::Check),
    #[command(subcommand)]
    Adapter(adapter::Adapter),
    #[command(subcommand)]
    Peers(peers::Peers),
    Rules(rules::Rules),
    Flags(flags::Flags),
    #[command(subcommand)]
    Store(store::Store),
    Lab(lab::Lab),
    Portal(portal::Portal),
    Completions(manual::Completions),
    #[command(hide = true)]
    Man(manual::Man),
    #[command(hide = true)]
    Metrics(metrics::Metrics),
}

/// Why a command ended badly: what to print and the exit code.
#[derive(Debug)]
struct Failure {
    code: u8,
    what: String,
}

impl Failure {
    /// The command was called wrongly (EX_USAGE).
    fn usage(what: impl fmt::Display) -> Self {
        Self::new(64, what)
    }

    /// The data is not what it should be (EX_DATAERR).
    fn data(what: impl fmt::Display) -> Self {
        Self::new(65, what)
    }

    /// An input file is not there or not readable (EX_NOINPUT).
    fn no_input(what: impl fmt::Display) -> Self {
        Self::new(66, what)
    }

    /// A defect of ours (EX_SOFTWARE).
    fn software(what: impl fmt::Display) -> Self {
        Self::new(70, what)
    }

    /// An output could not be written (EX_IOERR).
    fn io(what: impl fmt::Display) -> Self {
        Self::new(74, what)
    }

    /// The configuration is wrong (EX_CONFIG).
    fn config(what: impl fmt::Display) -> Self {
        Self::new(78, what)
    }

    fn new(code: u8, what: impl fmt::Display) -> Self {
        Self {
            code,
            what: what.to_string(),
        }
    }
}

/// A case id as an audit line keeps it.
fn case_id(text: &str) -> Result<&str, Failure> {
    let case = text.trim();
    let fits = !case.is_empty() && case.len() <= 128 && !case.chars().any(char::is_control);
    fits.then_some(case).ok_or_else(|| {
        Failure::usage("--case wants the id of a case: up to 128 octets, no control characters")
    })
}

/// What a command gives back.
type Outcome = Result<ExitCode, Failure>;

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(e) => {
            // Help and version are no errors; wrong usage is 64 by sysexits, where clap itself says 2.
            let _ = e.print();
            return ExitCode::from(if e.use_stderr() { 64 } else { 0 });
        }
    };
    let outcome = match arguments.command {
        Command::Run(c) => c.run(),
        Command::Demo(c) => c.run(),
        Command::Replay(c) => c.run(),
        Command::Capture(c) => c.run(),
        Command::Verify(c) => c.run(),
        Command::Trace(c) => c.run(),
        Command::Records(c) => c.run(),
        Command::Answer(c) => c.run(),
        Command::Audit(c) => c.run(),
        Command::Inbox(c) => c.run(),
        Command::Coverage(c) => c.run(),
        Command::Campaigns(c) => c.run(),
        Command::Classify(c) => c.run(),
        Command::Check(c) => c.run(),
        Command::Adapter(c) => c.run(),
        Command::Peers(c) => c.run(),
        Command::Rules(c) => c.run(),
        Command::Flags(c) => c.run(),
        Command::Store(c) => c.run(),
        Command::Lab(c) => c.run(),
        Command::Portal(c) => c.run(),
        Command::Completions(c) => c.run(),
        Command::Man(c) => c.run(),
        Command::Metrics(c) => c.run(),
    };
    outcome.unwrap_or_else(|failure| {
        output::complain(format_args!("{}", failure.what));
        ExitCode::from(failure.code)
    })
}

/// Reads a time on the command line.
fn time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse_rfc3339(text)
        .ok_or_else(|| "not an RFC 3339 time such as 2026-11-24T09:30:00Z".to_owned())
}

/// The span of `--since` and `--until`: until now, and so long, where they are left out.
fn span(
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    long: Duration,
) -> Result<(Timestamp, Timestamp), Failure> {
    let until = until.unwrap_or_else(clock::now);
    let since = since.unwrap_or_else(|| until.minus(long));
    if since >= until {
        return Err(Failure::usage(format!(
            "--since {since} is not before --until {until}"
        )));
    }
    Ok((since, until))
}

/// Loads the configuration or fails with every problem in it.
fn load(path: &Path) -> Result<Config, Failure> {
    Config::load(path).map_err(|problems| Failure::config(listed(&problems)))
}

fn listed(problems: &[Problem]) -> String {
    let mut out = match problems.len() {
        1 => "one problem in the configuration:".to_owned(),
        n => format!("{n} problems in the configuration:"),
    };
    for p in problems {
        out.push_str(&format!("\n{p}"));
    }
    out
}
