//! `tracehop store hold`: keeps the calls of a case beyond retention, shows what is kept, and lets it go.
//!
//! It runs beside the daemon. Who may: whoever may write the store's folder. Each act stands in the audit log before it is done.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::base::Timestamp;
use crate::cli::case_id;
use crate::cli::output::{self, say};
use crate::cli::{Failure, Outcome, load, terminal, time};
use crate::config::Config;
use crate::findings::Masking;
use crate::host::clock;
use crate::proof::audit::Entry;
use crate::store::StoreError;
use crate::store::embedded::hold::{self, CASE, Filled, LONGEST};

/// Legal holds: keeps the calls of a case beyond retention
#[derive(Debug, Subcommand)]
pub enum Hold {
    Add(Add),
    List(List),
    Show(Show),
    Release(Release),
}

impl Hold {
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::Add(c) => c.run(),
            Self::List(c) => c.run(),
            Self::Show(c) => c.run(),
            Self::Release(c) => c.run(),
        }
    }
}

/// Lays a hold: the calls of a window to or from a number, their other legs, evidence, coverage around them and campaigns
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("number").required(true).multiple(true).args(["called", "calling"])))]
pub struct Add {
    /// The case, up to 64 octets
    #[arg(long, value_name = "ID")]
    case: String,
    /// Calls towards this number
    #[arg(long, value_name = "NUMBER")]
    called: Option<String>,
    /// Calls from this number; with --called, only those between the two
    #[arg(long, value_name = "NUMBER")]
    calling: Option<String>,
    /// Beginning of the window, RFC 3339
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Timestamp,
    /// Its end, at most 31 days later; it may lie ahead
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Timestamp,
    /// On what ground, such as the number of a subpoena
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Configuration
    #[arg(long, value_name = "FILE", default_value = "tracehop.toml")]
    config: PathBuf,
}

/// Lists holds, with what each has
#[derive(Debug, Args)]
pub struct List {
    /// Configuration
    #[arg(long, value_name = "FILE", default_value = "tracehop.toml")]
    config: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Shows a hold with its numbers; `tracehop records --hold` shows its calls
#[derive(Debug, Args)]
pub struct Show {
    /// The case
    #[arg(long, value_name = "ID")]
    case: String,
    /// Configuration
    #[arg(long, value_name = "FILE", default_value = "tracehop.toml")]
    config: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Releases a hold: what it has kept is deleted
#[derive(Debug, Args)]
pub struct Release {
    /// The case
    #[arg(long, value_name = "ID")]
    case: String,
    /// Configuration
    #[arg(long, value_name = "FILE", default_value = "tracehop.toml")]
    config: PathBuf,
}

impl Add {
    fn run(self) -> Outcome {
        let config = load(&self.config)?;
        let case = case_id(&self.case)?;
        if case.len() > CASE {
            return Err(Failure::usage(format!(
                "--case has more than {CASE} octets"
            )));
        }
        if self.from > self.until || self.until.distance(self.from) > LONGEST {
            return Err(Failure::usage(
                "--from must not be after --until, nor more than 31 days before it",
            ));
        }
        let number = |option: &str, text: &Option<String>| {
            let Some(text) = text else { return Ok(None) };
            let tn = config.plan.canonical(text.trim().as_bytes()).tn();
            let tn = tn.ok_or_else(|| Failure::usage(format!("{option} {text:?} is no number")))?;
            Ok(Some(tn.as_str().to_owned()))
        };
        let who = terminal::who();
        let now = clock::now();
        let hold = hold::Hold {
            case: case.to_owned(),
            called: number("--called", &self.called)?,
            calling: number("--calling", &self.calling)?,
            from: self.from,
            until: self.until,
            reason: self.reason.clone(),
            who: who.to_string(),
            at: now,
            filled: None,
        };
        audited(
            &config,
            "hold",
            case,
            json!({
                "called": masked(&hold.called), "calling": masked(&hold.calling),
                "from": hold.from, "until": hold.until, "reason": hold.reason,
            }),
        )?;
        let store = &config.store;
        let laid = hold::lay(&store.path, &store.settings, hold, now).map_err(failure)?;
        for line in told(&laid) {
            say!("{line}");
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl List {
    fn run(self) -> Outcome {
        let config = load(&self.config)?;
        let all = hold::list(&config.store.path).map_err(failure)?;
        if self.json {
            let all: Vec<Value> = all.iter().map(|h| as_json(h, Masking::Masked)).collect();
            output::json(&json!({ "holds": all }))?;
            return Ok(ExitCode::SUCCESS);
        }
        if all.is_empty() {
            say!("no hold");
            return Ok(ExitCode::SUCCESS);
        }
        let rows = all.iter().map(|h| {
            let count = |of: fn(&Filled) -> u64| {
                h.filled
                    .as_ref()
                    .map_or("?".to_owned(), |f| of(f).to_string())
            };
            vec![
                h.case.clone(),
                masked(&h.called).unwrap_or_default(),
                masked(&h.calling).unwrap_or_default(),
                h.from.to_string(),
                h.until.to_string(),
                h.who.clone(),
                h.at.to_string(),
                state(h).to_owned(),
                count(|f| f.records),
                count(|f| f.evidence),
            ]
        });
        let header = [
            "case", "called", "calling", "from", "until", "by", "since", "state", "records",
            "evidence",
        ];
        say!("{}", output::table(&header, rows.collect(), 8));
        Ok(ExitCode::SUCCESS)
    }
}

impl Show {
    fn run(self) -> Outcome {
        let config = load(&self.config)?;
        let hold = found(&config, &self.case)?;
        audited(&config, "hold-shown", &hold.case, json!({}))?;
        if self.json {
            output::json(&as_json(&hold, Masking::Full))?;
            return Ok(ExitCode::SUCCESS);
        }
        let whole = |n: &Option<String>| n.clone().unwrap_or_else(|| "any".to_owned());
        say!(
            "case {}: calls from {} to {}, {} to {}",
            hold.case,
            whole(&hold.calling),
            whole(&hold.called),
            hold.from,
            hold.until
        );
        say!("laid by {} at {}", hold.who, hold.at);
        if let Some(reason) = &hold.reason {
            say!("ground: {reason}");
        }
        for line in told(&hold) {
            say!("{line}");
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Release {
    fn run(self) -> Outcome {
        let config = load(&self.config)?;
        let case = case_id(&self.case)?;
        if !hold_exists(&config, case)? {
            return Err(no_hold(case));
        }
        audited(&config, "hold-released", case, json!({}))?;
        hold::release(&config.store.path, case).map_err(failure)?;
        say!("case {case}: released; what retention has deleted meanwhile is gone");
        Ok(ExitCode::SUCCESS)
    }
}

/// The hold of a case, or why there is none.
pub(in crate::cli) fn found(config: &Config, case: &str) -> Result<hold::Hold, Failure> {
    let case = case_id(case)?;
    let found = hold::find(&config.store.path, case).map_err(failure)?;
    found.ok_or_else(|| no_hold(case))
}

/// One that is damaged can be released all the same.
fn hold_exists(config: &Config, case: &str) -> Result<bool, Failure> {
    match hold::find(&config.store.path, case) {
        Ok(found) => Ok(found.is_some()),
        Err(StoreError::Corrupt { .. }) => Ok(true),
        Err(e) => Err(failure(e)),
    }
}

fn no_hold(case: &str) -> Failure {
    Failure::no_input(format!(
        "case {case} has no hold; `tracehop store hold list` has them all"
    ))
}

/// How far a hold is.
fn state(hold: &hold::Hold) -> &'static str {
    match &hold.filled {
        None => "to be filled",
        Some(f) if f.complete => "complete",
        Some(_) => "goes on",
    }
}

/// What a hold has, for people.
fn told(hold: &hold::Hold) -> Vec<String> {
    let Some(f) = &hold.filled else {
        return vec!["not filled yet: the daemon does it before it deletes anything".to_owned()];
    };
    let mut lines = vec![format!(
        "{} records ({} of them other legs), evidence of {}, {} rows of coverage, {} campaigns",
        f.records, f.legs, f.evidence, f.coverage, f.campaigns
    )];
    if !f.complete {
        lines.push(
            "calls may still come or go on: the daemon fills it again before retention deletes any of them"
                .to_owned(),
        );
    }
    if let Some(before) = f.forgotten_before {
        lines.push(format!(
            "records before {before} had been deleted already: of them nothing is held"
        ));
    }
    if f.evidence_unreadable > 0 {
        lines.push(format!(
            "evidence of {} calls can't be read: damage",
            f.evidence_unreadable
        ));
    }
    lines
}

fn as_json(hold: &hold::Hold, masking: Masking) -> Value {
    let shown = |n: &Option<String>| n.as_deref().map(|n| masking.number(n));
    let shown = hold::Hold {
        called: shown(&hold.called),
        calling: shown(&hold.calling),
        ..hold.clone()
    };
    let mut value = json!(shown);
    if let Some(map) = value.as_object_mut() {
        map.insert("state".to_owned(), json!(state(hold)));
    }
    value
}

fn masked(number: &Option<String>) -> Option<String> {
    number.as_deref().map(|n| Masking::Masked.number(n))
}

fn audited(config: &Config, act: &'static str, case: &str, detail: Value) -> Result<(), Failure> {
    let entry = Entry {
        at: clock::now(),
        who: &terminal::who(),
        act,
        case_id: case,
        request: None,
        detail,
    };
    terminal::audited(config, &entry).map(drop)
}

fn failure(e: StoreError) -> Failure {
    match e {
        e @ StoreError::Hold { .. } => Failure::usage(e),
        e @ StoreError::Corrupt { .. } => Failure::data(e),
        e @ StoreError::Key { .. } => Failure::config(e),
        e => Failure::io(e),
    }
}
