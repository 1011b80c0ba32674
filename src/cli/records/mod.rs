//! `tracehop records`: call records of a bounded window, listed or exported, for a case.
//!
//! Numbers are masked everywhere else; here they are shown, because here somebody has said which case he looks for. Who looked, for which case, for
//! what (without the last digits) and how much was found stands in the audit log: the first line before anything is read.
//!
//! - `columns`: a record as CSV · `show`: as a line of a table · `sink`: where records go

mod columns;
mod show;
mod sink;

use std::io::{IsTerminal, Write, stderr};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use serde_json::json;

use self::sink::{More, Sink};
use super::output::{self, say};
use super::store::hold;
use super::{Failure, Outcome, case_id, load, terminal, time};
use crate::base::Timestamp;
use crate::base::digest::IdDigest;
use crate::call::classify::Flag;
use crate::call::record::Direction;
use crate::config::Config;
use crate::findings::Masking;
use crate::host::clock;
use crate::number::Tn;
use crate::proof::audit::Entry;
use crate::stir::verify::Attestation;
use crate::store::Lookup;
use crate::store::embedded::{self, EmbeddedStore, StoreReader};
use crate::store::select::{Neighbour, Selection};
use crate::traceback::coverage::Sight;

/// The longest window: a case is about a call, and whoever doesn't know its day asks for each day.
const LONGEST: Duration = Duration::from_secs(86_400);

/// How often progress is said.
const PROGRESS: Duration = Duration::from_millis(500);

/// Lists and exports call records of a window, with their numbers. Each look-up stands in the audit log
#[derive(Debug, Args)]
pub struct Records {
    /// Why you look: the case. It stands in the audit log
    #[arg(long, value_name = "ID", required_unless_present = "hold")]
    case: Option<String>,
    /// Beginning of the window, RFC 3339
    #[arg(long, value_name = "TIME", value_parser = time, required_unless_present = "hold")]
    from: Option<Timestamp>,
    /// Its end; the window is at most 24 hours
    #[arg(long, value_name = "TIME", value_parser = time, required_unless_present = "hold")]
    until: Option<Timestamp>,
    /// Instead: the calls that the legal hold of this case keeps, all or those that are looked for
    #[arg(long, value_name = "CASE", conflicts_with_all = ["case", "from", "until"])]
    hold: Option<String>,
    #[command(flatten)]
    wanted: Wanted,
    /// Only how many there are
    #[arg(long, conflicts_with_all = ["json", "format", "output"])]
    count: bool,
    /// JSON, a record a line: the same as --format jsonl
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// How records are written, in place of a table
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<Format>,
    /// Into this file, which must not be there yet; only you can read it [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Lines of the table at most
    #[arg(long, value_name = "N", default_value_t = 200)]
    limit: usize,
    /// How numbers are shown in the table
    #[arg(long, value_enum, value_name = "HOW", default_value = "full")]
    numbers: Numbers,
    /// Configuration
    #[arg(long, value_name = "FILE", default_value = "tracehop.toml")]
    config: PathBuf,
}

/// A look: for which case, and at what.
struct Look {
    case: String,
    /// The window that was named, for people.
    from: Timestamp,
    until: Timestamp,
    /// What is read.
    first: Timestamp,
    last: Timestamp,
    selection: Selection,
}

/// What is wanted of the window: at least one of these.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Wanted {
    /// Calls towards this number
    #[arg(long, value_name = "NUMBER")]
    pub called: Option<String>,
    /// Calls from this number
    #[arg(long, value_name = "NUMBER")]
    pub calling: Option<String>,
    /// Calls from or to this neighbour: its id in the peers file, or "unknown"
    #[arg(long, value_name = "ID")]
    pub peer: Option<String>,
    /// Calls with this flag; given twice, with both
    #[arg(long, value_name = "FLAG")]
    pub flag: Vec<String>,
    /// Calls with this Call-ID
    #[arg(long, value_name = "TEXT")]
    pub call_id: Option<String>,
    /// Only these: ingress, egress, unknown
    #[arg(long, value_name = "WAY")]
    pub direction: Option<String>,
    /// Only these: A, B, C
    #[arg(long, value_name = "LEVEL")]
    pub attest: Option<String>,
}

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A record as JSON a line
    Jsonl,
    /// Comma-separated values with a header
    Csv,
    /// One file in the schema of the store's segments
    Parquet,
}

/// How numbers are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Numbers {
    /// Whole
    Full,
    /// Without their last four digits: for a screen that others see
    Masked,
}

impl Records {
    pub(super) fn run(self) -> Outcome {
        let config = load(&self.config)?;
        let (look, store) = self.look(&config)?;
        let who = terminal::who();
        let note = |act, detail| {
            let entry = Entry {
                at: clock::now(),
                who: &who,
                act,
                case_id: &look.case,
                request: None,
                detail,
            };
            terminal::audited(&config, &entry)
        };
        let mut asked = self.wanted.said(&config);
        asked.insert("from".to_owned(), json!(look.from));
        asked.insert("until".to_owned(), json!(look.until));
        asked.extend(self.hold.as_ref().map(|_| ("hold".to_owned(), json!(true))));
        asked.insert("as".to_owned(), json!(self.how()));
        note("records", asked.into())?;

        let mut sink = self.sink(&config)?;
        let mut progress = Progress::new();
        let mut found = 0u64;
        let mut cut = false;
        let mut trouble = None;
        let read = store.select(&look.selection, look.first, look.last, |call| {
            progress.say(found, call.begin.at);
            match sink.push(&call) {
                Ok(More::Yes) => {
                    found += 1;
                    ControlFlow::Continue(())
                }
                Ok(More::No) => {
                    cut = true;
                    ControlFlow::Break(())
                }
                Err(e) => {
                    trouble = Some(e);
                    ControlFlow::Break(())
                }
            }
        });
        progress.end();
        let ended = match (read, trouble) {
            (Err(e), _) => Err(Failure::io(e)),
            (Ok(()), Some(trouble)) => Err(trouble),
            (Ok(()), None) => sink.finish(),
        };
        if ended.is_err() {
            sink::discard(self.output.as_deref());
        }
        note(
            "records-shown",
            json!({ "count": found, "all": ended.is_ok() && !cut }),
        )?;
        let rows = ended?;
        if self.count {
            say!("{found}");
        } else if self.how() == "table" {
            if !rows.is_empty() {
                let columns = show::HEADER.len();
                say!("{}", output::table(&show::HEADER, rows, columns - 1));
            }
            say!("{}", counted(found, cut));
        }
        self.say_what_was_seen(&look, &store, &config)?;
        Ok(ExitCode::SUCCESS)
    }

    /// Where and what to look for.
    fn look(&self, config: &Config) -> Result<(Look, StoreReader), Failure> {
        if let Some(case) = &self.hold {
            let held = hold::found(config, case)?;
            let kept = &config.store;
            let reader = embedded::hold::open(&kept.path, &held, &kept.settings);
            let reader = reader.map_err(Failure::io)?.ok_or_else(|| {
                Failure::no_input("the hold was not filled yet; its calls are in the store still")
            })?;
            let look = Look {
                case: held.case,
                from: held.from,
                until: held.until,
                // Other legs may lie outside.
                first: Timestamp::MIN,
                last: Timestamp::MAX,
                selection: self.wanted.selection(config)?,
            };
            return Ok((look, reader));
        }
        let (Some(case), Some(from), Some(until)) = (&self.case, self.from, self.until) else {
            return Err(Failure::usage("--case, --from and --until, or --hold"));
        };
        let case = case_id(case)?.to_owned();
        let selection = self.wanted.selection(config)?;
        if !selection.is_bounded() || self.wanted.says_little() {
            return Err(Failure::usage(
                "say what you look for: at least one of --called, --calling, --peer, --flag, --call-id",
            ));
        }
        if from > until {
            return Err(Failure::usage(format!(
                "--from {from} is after --until {until}"
            )));
        }
        if until.distance(from) > LONGEST {
            return Err(Failure::usage(
                "the window is longer than 24 hours; ask for each day by itself",
            ));
        }
        let look = Look {
            case,
            from,
            until,
            first: from,
            last: until,
            selection,
        };
        Ok((look, open(config)?))
    }

    fn how(&self) -> &'static str {
        match (self.count, self.json, self.format) {
            (true, ..) => "count",
            (_, true, _) | (_, _, Some(Format::Jsonl)) => "jsonl",
            (_, _, Some(Format::Csv)) => "csv",
            (_, _, Some(Format::Parquet)) => "parquet",
            _ => "table",
        }
    }

    fn sink<'a>(&self, config: &'a Config) -> Result<Sink<'a>, Failure> {
        let format = self.format.or(self.json.then_some(Format::Jsonl));
        match format {
            Some(format) => Sink::open(format, self.output.as_deref()),
            None if self.output.is_some() => Err(Failure::usage(
                "--output needs --format jsonl, csv or parquet",
            )),
            None if self.count => Ok(Sink::Count),
            None => Ok(Sink::Table {
                config,
                masking: match self.numbers {
                    Numbers::Full => Masking::Full,
                    Numbers::Masked => Masking::Masked,
                },
                most: self.limit,
                rows: Vec::new(),
            }),
        }
    }

    /// What "there are no others" is worth: how much of the window each sensor saw, and what retention has deleted of it. To people, on standard
    /// error where records are on standard output.
    fn say_what_was_seen(
        &self,
        look: &Look,
        store: &StoreReader,
        config: &Config,
    ) -> Result<(), Failure> {
        let tell = |text: String| match self.how() {
            "table" => say!("{text}"),
            _ => output::complain(format_args!("{text}")),
        };
        if let Some(before) = store.forgotten_before().filter(|f| *f > look.from) {
            tell(format!(
                "records before {before} were deleted by retention: of them nothing is shown"
            ));
        }
        let rows = store.coverage(look.from, look.until).map_err(Failure::io)?;
        for sensor in config.sensors() {
            let own: Vec<_> = rows
                .iter()
                .filter(|r| r.sensor == sensor)
                .cloned()
                .collect();
            let share = Sight::over(&own, look.from, look.until, &[]).share;
            if share < 1.0 || self.how() == "table" {
                // Never 100 % where something is missing.
                let percent = (share * 10_000.0).floor() / 100.0;
                tell(format!("{sensor} saw {percent:.2} % of the window"));
            }
        }
        Ok(())
    }
}

fn counted(found: u64, cut: bool) -> String {
    match (found, cut) {
        (n, true) => {
            format!("the first {n} records; there are more: --limit, --json or --format has them")
        }
        (0, false) => "no record".to_owned(),
        (1, false) => "1 record".to_owned(),
        (n, false) => format!("{n} records"),
    }
}

/// Opens the configuration's store to read, also beside the daemon.
pub(super) fn open(config: &Config) -> Result<StoreReader, Failure> {
    let path = &config.store.path;
    let (store, report) =
        EmbeddedStore::open_reader(path, &config.store.settings).map_err(Failure::no_input)?;
    if report.bad_frames > 0 {
        output::complain(format_args!(
            "{}: {} damaged stretches in the log, {} octets: records in them are lost",
            path.display(),
            report.bad_frames,
            report.bad_bytes
        ));
    }
    Ok(store)
}

impl Wanted {
    /// As the store has it.
    pub fn selection(&self, config: &Config) -> Result<Selection, Failure> {
        let peer = match self.peer.as_deref() {
            None => None,
            Some("unknown") => Some(Neighbour::Unknown),
            // One that has left the peers file still has records.
            Some(id) => Some(Neighbour::Known(id.into())),
        };
        let mut selection = Selection {
            called: self.number("--called", self.called.as_deref(), config)?,
            calling: self.number("--calling", self.calling.as_deref(), config)?,
            peer,
            call_id: self.call_id.as_ref().map(|t| IdDigest::of(t.as_bytes())),
            ..Selection::default()
        };
        for label in &self.flag {
            let flag = Flag::from_label(label).ok_or_else(|| {
                Failure::usage(format!(
                    "no flag is called {label:?}; `tracehop flags` lists all"
                ))
            })?;
            selection.flags.insert(flag);
        }
        selection.direction = match self.direction.as_deref() {
            None => None,
            Some("ingress") => Some(Direction::Ingress),
            Some("egress") => Some(Direction::Egress),
            Some("unknown") => Some(Direction::Unknown),
            Some(other) => {
                return Err(Failure::usage(format!(
                    "--direction {other:?} is none of ingress, egress, unknown"
                )));
            }
        };
        selection.attest = match self.attest.as_deref() {
            None => None,
            Some("A") => Some(Attestation::A),
            Some("B") => Some(Attestation::B),
            Some("C") => Some(Attestation::C),
            Some(other) => {
                return Err(Failure::usage(format!(
                    "--attest {other:?} is none of A, B, C"
                )));
            }
        };
        Ok(selection)
    }

    /// Whether nothing is named but what half of all calls have.
    fn says_little(&self) -> bool {
        let named = [&self.called, &self.calling, &self.peer, &self.call_id];
        named.iter().all(|o| o.is_none()) && self.flag.is_empty()
    }

    fn number(
        &self,
        option: &str,
        text: Option<&str>,
        config: &Config,
    ) -> Result<Option<Tn>, Failure> {
        let Some(text) = text else { return Ok(None) };
        match config.plan.canonical(text.trim().as_bytes()).tn() {
            Some(tn) => Ok(Some(tn)),
            None => Err(Failure::usage(format!("{option} {text:?} is no number"))),
        }
    }

    /// What is asked for, for the audit log: no number whole.
    pub fn said(&self, config: &Config) -> serde_json::Map<String, serde_json::Value> {
        let masked = |text: &Option<String>| {
            let tn = config.plan.canonical(text.as_ref()?.trim().as_bytes()).tn();
            Some(Masking::Masked.number(tn?.as_str()))
        };
        let members = [
            ("called", json!(masked(&self.called))),
            ("calling", json!(masked(&self.calling))),
            ("peer", json!(self.peer)),
            (
                "flags",
                json!((!self.flag.is_empty()).then_some(&self.flag)),
            ),
            (
                "call_id",
                json!(self.call_id.as_ref().map(|t| IdDigest::of(t.as_bytes()))),
            ),
            ("direction", json!(self.direction)),
            ("attest", json!(self.attest)),
        ];
        let members = members.into_iter().filter(|(_, v)| !v.is_null());
        members.map(|(k, v)| (k.to_owned(), v)).collect()
    }
}

/// How far a long export is, where somebody watches.
struct Progress {
    watched: bool,
    said: bool,
    next: Instant,
}

impl Progress {
    fn new() -> Self {
        Self {
            watched: stderr().is_terminal() && !std::io::stdout().is_terminal(),
            said: false,
            next: Instant::now() + PROGRESS,
        }
    }

    fn say(&mut self, found: u64, at: Timestamp) {
        if self.watched && found.is_multiple_of(256) && Instant::now() >= self.next {
            let _ = write!(stderr().lock(), "\r{found} records, at {at} ");
            self.said = true;
            self.next = Instant::now() + PROGRESS;
        }
    }

    fn end(&self) {
        if self.said {
            let _ = write!(stderr().lock(), "\r{:70}\r", "");
        }
    }
}
