//! `tracehop audit`: the log of every look-up, answer, decision and export; a provider's, or with `--portal` a portal's.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use rusqlite::{Connection, TransactionBehavior};
use serde_json::json;

use super::output::{self, say};
use super::{Failure, Outcome, keys, listed, load, terminal};
use crate::config::PortalConfig;
use crate::host::clock;
use crate::proof::audit::{self, Entry, Line, TreeHead, head, proof, verify};
use crate::proof::database;
use crate::proof::sign::{Signed, Signer, Verifier};

/// Most lines that are read at once.
const BATCH: usize = 1000;
/// Largest file of a kept head.
const MAX_HEAD: u64 = 64 * 1024;

/// The audit log: checks it, shows the lines of a case, proves a line, signs its head, exports it
#[derive(Debug, Subcommand)]
pub enum Audit {
    Verify(VerifyLog),
    Show(Show),
    Proof(Proof),
    Head(Head),
    Export(Export),
}

/// Computes the whole log anew: what was changed, taken out or cut off is named
#[derive(Debug, Args)]
pub struct VerifyLog {
    /// A signed head that was kept elsewhere: shows what was cut off or written anew since
    #[arg(long, value_name = "FILE")]
    head: Vec<PathBuf>,
    /// Public keys by which heads are checked, beside our own: see `tracehop answer verify`
    #[arg(long, value_name = "FILE|DIR")]
    keys: Vec<PathBuf>,
    #[command(flatten)]
    which: Which,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Shows what was done for a case
#[derive(Debug, Args)]
pub struct Show {
    /// The case
    #[arg(long, value_name = "ID")]
    case: String,
    #[command(flatten)]
    which: Which,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Proves that a line is in the log, as JSON: its hash and those beside the way to the root (RFC 9162)
#[derive(Debug, Args)]
pub struct Proof {
    /// Place of the line
    #[arg(value_name = "N")]
    index: u64,
    #[command(flatten)]
    which: Which,
}

/// Signs the head as of now and prints it: keep it elsewhere
#[derive(Debug, Args)]
pub struct Head {
    #[command(flatten)]
    which: Which,
}

/// Writes all lines and a head, one JSON object a line; the export itself is in the log
#[derive(Debug, Args)]
pub struct Export {
    /// Why you export: the case that it serves
    #[arg(long, value_name = "ID")]
    case: String,
    /// The first line
    #[arg(long, value_name = "N", default_value_t = 0)]
    from: u64,
    /// File to write, for its owner alone; it must not be there
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, Args)]
struct Which {
    /// Configuration
    #[arg(long, value_name = "FILE", default_value = "tracehop.toml")]
    config: PathBuf,
    /// The log of a portal instead: its configuration
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    portal: Option<PathBuf>,
}

/// Whose log it is.
struct Log {
    folder: PathBuf,
    name: &'static str,
    key_file: Option<PathBuf>,
}

impl Audit {
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::Verify(c) => c.run(),
            Self::Show(c) => c.run(),
            Self::Proof(c) => c.run(),
            Self::Head(c) => c.run(),
            Self::Export(c) => c.run(),
        }
    }
}

impl Which {
    fn log(&self) -> Result<Log, Failure> {
        let Some(path) = &self.portal else {
            let config = load(&self.config)?;
            return Ok(Log {
                folder: terminal::state(&config),
                name: database::RESPONDER,
                key_file: config.responder.and_then(|r| r.key_file),
            });
        };
        let config = PortalConfig::load(path).map_err(|p| Failure::config(listed(&p)))?;
        Ok(Log {
            folder: config.settings.state,
            name: database::PORTAL,
            key_file: Some(config.settings.key_file),
        })
    }

    fn read(&self) -> Result<(Log, Connection), Failure> {
        let log = self.log()?;
        let connection =
            database::open_to_read(&log.folder, log.name).map_err(Failure::no_input)?;
        Ok((log, connection))
    }

    fn write(&self) -> Result<(Log, Connection), Failure> {
        let log = self.log()?;
        let connection = database::open(&log.folder, log.name).map_err(Failure::io)?;
        audit::create(&connection).map_err(Failure::io)?;
        Ok((log, connection))
    }
}

/// Our key, where one is configured.
fn signer(log: &Log) -> Result<Option<Signer>, Failure> {
    let read = log
        .key_file
        .as_ref()
        .map(|f| Signer::read(f).map_err(|e| Failure::config(format!("{}: {e}", f.display()))));
    read.transpose()
}

impl VerifyLog {
    fn run(self) -> Outcome {
        let (log, connection) = self.which.read()?;
        let mut verifier = keys::read(&self.keys)?;
        if let Some(signer) = signer(&log)? {
            let own = signer.jwks().to_string();
            verifier
                .add(own.as_bytes(), None)
                .map_err(Failure::software)?;
        }
        let mut kept = Vec::new();
        for file in &self.head {
            let octets = keys::bounded(file, MAX_HEAD)?;
            let (head, _) = TreeHead::open(octets.trim_ascii(), &verifier)
                .map_err(|e| Failure::data(format!("{}: {e}", file.display())))?;
            kept.push(head);
        }
        let verifier = (!verifier.is_empty()).then_some(verifier);
        let found = verify::verify(&connection, verifier.as_ref(), &kept).map_err(Failure::io)?;
        if self.json {
            output::json(&found)?;
        } else {
            print(&found, verifier.as_ref());
        }
        Ok(ExitCode::from(u8::from(!found.holds())))
    }
}

fn print(found: &verify::Verified, verifier: Option<&Verifier>) {
    for fault in &found.faults {
        say!("{fault}");
    }
    let signatures = match verifier {
        Some(_) => format!("signatures of heads that hold: {}", found.signatures),
        None => "signatures of heads were not checked for want of a key".to_owned(),
    };
    say!(
        "lines: {}; heads compared: {}; {signatures}; root {}",
        found.lines,
        found.heads,
        audit::hex(&found.root)
    );
    if found.holds() {
        say!("Every line is as it was written.");
    } else {
        say!("The log is NOT as it was written.");
    }
}

impl Show {
    fn run(self) -> Outcome {
        let (_, connection) = self.which.read()?;
        let mut lines: Vec<Line> = Vec::new();
        let mut from = 0;
        loop {
            let more =
                audit::lines(&connection, Some(&self.case), from, BATCH).map_err(Failure::io)?;
            let Some(last) = more.last() else { break };
            from = last.index + 1;
            if self.json {
                for line in &more {
                    output::json(line)?;
                }
            } else {
                lines.extend(more);
            }
        }
        if !self.json {
            let rows = lines.iter().map(|l| {
                vec![
                    l.index.to_string(),
                    l.at.clone(),
                    l.who.clone(),
                    l.act.clone(),
                    l.request.clone().unwrap_or_default(),
                    l.detail.clone(),
                ]
            });
            let head = ["line", "at", "who", "what", "request", "details"];
            say!("{}", output::table(&head, rows.collect(), 9));
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Proof {
    fn run(self) -> Outcome {
        let (_, connection) = self.which.read()?;
        // In the last signed tree, if it has the line: that root is one that somebody may have kept.
        let last = head::last(&connection).map_err(Failure::io)?;
        let of = last.map(|h| h.size).filter(|size| self.index < *size);
        let inclusion = proof::inclusion(&connection, self.index, of).map_err(Failure::io)?;
        let Some(inclusion) = inclusion else {
            return Err(Failure::data(format!("there is no line {}", self.index)));
        };
        let line = audit::lines(&connection, None, self.index, 1).map_err(Failure::io)?;
        let signed = head::last_signed(&connection).map_err(Failure::io)?;
        let signed = signed.filter(|_| of.is_some()).map(as_value);
        output::json(&json!({ "line": line.first(), "inclusion": inclusion, "head": signed }))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn as_value(signed: Signed) -> serde_json::Value {
    serde_json::from_slice(&signed.json).unwrap_or_default()
}

impl Head {
    fn run(self) -> Outcome {
        let (log, mut connection) = self.which.write()?;
        let Some(signer) = signer(&log)? else {
            return Err(no_key());
        };
        let signed = keep(&mut connection, &signer).map_err(Failure::io)?;
        output::json(&as_value(signed))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn no_key() -> Failure {
    Failure::config(
        "there is no key to sign with: `tracehop answer key --new FILE` makes one, [responder] key_file names it",
    )
}

fn keep(connection: &mut Connection, signer: &Signer) -> rusqlite::Result<Signed> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let signed = head::keep(&transaction, signer, clock::now())?;
    transaction.commit()?;
    Ok(signed)
}

fn noted(connection: &mut Connection, entry: &Entry<'_>) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    audit::append(&transaction, entry)?;
    transaction.commit()
}

impl Export {
    fn run(self) -> Outcome {
        let (log, mut connection) = self.which.write()?;
        let signer = signer(&log)?;
        let failed = |e: std::io::Error| Failure::io(format!("{}: {e}", self.out.display()));
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.out)
            .map_err(failed)?;
        let who = terminal::who();
        let entry = Entry {
            at: clock::now(),
            who: &who,
            act: "export",
            case_id: &self.case,
            request: None,
            detail: json!({ "from": self.from }),
        };
        noted(&mut connection, &entry).map_err(Failure::io)?;
        let mut from = self.from;
        loop {
            let lines = audit::lines(&connection, None, from, BATCH).map_err(Failure::io)?;
            let Some(last) = lines.last() else { break };
            from = last.index + 1;
            for line in &lines {
                let mut text = serde_json::to_vec(line).map_err(Failure::software)?;
                text.push(b'\n');
                file.write_all(&text).map_err(failed)?;
            }
        }
        let head = match &signer {
            Some(signer) => as_value(keep(&mut connection, signer).map_err(Failure::io)?),
            None => json!(TreeHead::of(&connection, clock::now()).map_err(Failure::io)?),
        };
        file.write_all(format!("{}\n", json!({ "head": head })).as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(failed)?;
        say!("{from} lines, written to {}", self.out.display());
        Ok(ExitCode::SUCCESS)
    }
}
