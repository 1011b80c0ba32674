//! `tracehop inbox`: requests under way, from the terminal. It works on the desk's database itself, whether the daemon runs or not.

mod show;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::output::{self, say};
use super::{Failure, Outcome, load, terminal};
use crate::base::Timestamp;
use crate::base::text::escape;
use crate::config::Config;
use crate::host::clock;
use crate::proof::database::RESPONDER;
use crate::proof::sign::Signer;
use crate::responder::case::{RequestKey, RequestState, Who};
use crate::responder::desk::{Decision, Desk, DeskError, DeskSettings, Edit, Filter, Line};
use crate::responder::settings::ResponderSettings;
use crate::traceback::answer::{Party, Resolution};
use show::{print, span};

/// Shows requests under way and decides about them
#[derive(Debug, Subcommand)]
pub enum Inbox {
    /// Lists requests, those due first
    List(List),
    /// Shows a request with its answer, every candidate and the deadline
    Show(One),
    /// Lets an answer leave as it is
    Approve(Approved),
    /// Gives another answer
    Edit(Change),
    /// Refuses to answer; the reason goes to the portal
    Reject(Because),
    /// Puts a question back to the portal
    Ask(What),
    /// Stops everything that leaves, until `resume`
    Halt(Stop),
    /// Lets things leave again
    Resume(Here),
    /// Trusts answers about a neighbour again after a dispute; without one, lists those that are held
    Release(Release),
    /// Notes what was answered by hand, to compare it with the answer in shadow
    Compare(Said),
    /// Shows how often answers by hand and answers in shadow agree
    Agreement(Here),
}

/// Where the desk is.
#[derive(Debug, Args)]
pub struct Here {
    /// Configuration
    #[arg(long, value_name = "FILE", default_value = "tracehop.toml")]
    config: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    here: Here,
    /// Only of this portal
    #[arg(long, value_name = "NAME")]
    portal: Option<String>,
    /// Only in this state, such as review; may be given more than once [default: all under way]
    #[arg(long, value_name = "STATE", value_parser = state)]
    state: Vec<RequestState>,
    /// At most so many
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    most: usize,
}

#[derive(Debug, Args)]
pub struct One {
    #[command(flatten)]
    here: Here,
    /// The request: its id, or PORTAL/ID
    key: String,
}

#[derive(Debug, Args)]
pub struct Approved {
    #[command(flatten)]
    one: One,
    /// Only where this answer still stands: its id, as `show` has it
    #[arg(long, value_name = "ID")]
    answer: Option<String>,
}

#[derive(Debug, Args)]
pub struct Change {
    #[command(flatten)]
    one: One,
    /// What the answer is, such as UPSTREAM_DOMESTIC
    #[arg(long, value_name = "RESOLUTION", value_parser = resolution)]
    resolution: Resolution,
    /// The neighbour that it names, by its id in peers.toml
    #[arg(long, value_name = "PEER")]
    upstream: Option<String>,
    /// In words, for the portal
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
}

#[derive(Debug, Args)]
pub struct Because {
    #[command(flatten)]
    one: One,
    /// Why, for the portal
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

#[derive(Debug, Args)]
pub struct What {
    #[command(flatten)]
    one: One,
    /// The question, for the portal
    #[arg(long, value_name = "TEXT")]
    what: String,
}

#[derive(Debug, Args)]
pub struct Stop {
    #[command(flatten)]
    here: Here,
    /// Why, for whoever finds it so
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

#[derive(Debug, Args)]
pub struct Release {
    #[command(flatten)]
    here: Here,
    /// The neighbour, by its id in peers.toml
    peer: Option<String>,
    /// Only at this portal
    #[arg(long, value_name = "NAME")]
    portal: Option<String>,
}

#[derive(Debug, Args)]
pub struct Said {
    #[command(flatten)]
    one: One,
    /// What was answered by hand
    #[arg(long, value_name = "RESOLUTION", value_parser = resolution)]
    said: Resolution,
    /// The neighbour that was named, by its id in peers.toml
    #[arg(long, value_name = "PEER")]
    upstream: Option<String>,
}

fn state(text: &str) -> Result<RequestState, String> {
    RequestState::from_label(text).ok_or_else(|| words(RequestState::ALL.iter().map(|s| s.label())))
}

fn resolution(text: &str) -> Result<Resolution, String> {
    let found = Resolution::ALL.into_iter().find(|r| r.label() == text);
    found.ok_or_else(|| words(Resolution::ALL.iter().map(|r| r.label())))
}

fn words(all: impl Iterator<Item = &'static str>) -> String {
    format!("it is one of {}", all.collect::<Vec<_>>().join(", "))
}

impl Inbox {
    pub(super) fn run(self) -> Outcome {
        match self {
            Self::List(c) => c.run(),
            Self::Show(c) => c.show(),
            Self::Approve(c) => {
                let seen = c.answer;
                c.one.decide_seen(seen, |_| Ok(Decision::Approve))
            }
            Self::Edit(c) => {
                let (resolution, comment) = (c.resolution, c.comment);
                let upstream = c.upstream;
                c.one.decide(move |config| {
                    let party = upstream.map(|id| party(config, &id)).transpose()?;
                    Ok(Decision::Edit(Edit {
                        resolution,
                        party,
                        comment,
                    }))
                })
            }
            Self::Reject(c) => {
                let reason = c.reason;
                c.one.decide(|_| Ok(Decision::Reject(reason)))
            }
            Self::Ask(c) => {
                let what = c.what;
                c.one.decide(|_| Ok(Decision::Ask(what)))
            }
            Self::Halt(c) => c.run(),
            Self::Resume(c) => c.resume(),
            Self::Release(c) => c.run(),
            Self::Compare(c) => c.run(),
            Self::Agreement(c) => c.agreement(),
        }
    }
}

/// The desk, opened.
struct Opened {
    config: Config,
    desk: Desk,
    who: Who,
    now: Timestamp,
}

impl Here {
    /// Opens the desk; with the key where something may be signed.
    fn open(&self, signing: bool) -> Result<Opened, Failure> {
        let config = load(&self.config)?;
        let settings: &ResponderSettings = config.responder.as_ref().ok_or_else(|| {
            let file = self.config.display();
            Failure::config(format!(
                "{file}: the responder is off; write enabled = true into [responder]"
            ))
        })?;
        if !settings.state.join(RESPONDER).exists() {
            return Err(Failure::no_input(format!(
                "{}: there is no {RESPONDER}: `tracehop run` makes it when it starts",
                settings.state.display()
            )));
        }
        let signer = match &settings.key_file {
            Some(path) if signing => {
                let key = Signer::read(path);
                let key = key.map_err(|e| Failure::config(format!("{}: {e}", path.display())))?;
                Some(Arc::new(key))
            }
            _ => None,
        };
        let desk = Desk::open(&settings.state, DeskSettings::from(settings), signer);
        Ok(Opened {
            desk: desk.map_err(failed)?,
            who: terminal::who(),
            now: clock::now(),
            config,
        })
    }

    fn resume(self) -> Outcome {
        let o = self.open(false)?;
        let was = o.desk.resume(&o.who, o.now).map_err(failed)?;
        if self.json {
            output::json(&json!({ "was_halted": was }))?;
        } else if was {
            say!("things leave again");
        } else {
            say!("nothing was halted");
        }
        Ok(ExitCode::SUCCESS)
    }

    fn agreement(self) -> Outcome {
        let o = self.open(false)?;
        let all = o.desk.agreement().map_err(failed)?;
        if self.json {
            let portals: serde_json::Map<String, Value> = all
                .iter()
                .map(|(portal, a)| (portal.to_string(), json!(a)))
                .collect();
            output::json(&portals)?;
        } else if all.is_empty() {
            say!(
                "nothing was compared yet; `tracehop inbox compare` notes what was answered by hand"
            );
        } else {
            let share = |n: u32, of: u32| match of {
                0 => "-".to_owned(),
                of => format!("{n} of {of}, {:.2} %", 100.0 * f64::from(n) / f64::from(of)),
            };
            let rows = all.iter().map(|(portal, a)| {
                vec![
                    portal.to_string(),
                    a.compared.to_string(),
                    share(a.agreed, a.compared),
                    share(a.certain_agreed, a.certain),
                    a.left.to_string(),
                ]
            });
            let head = [
                "portal",
                "compared",
                "agree",
                "certain ones agree",
                "left to a person",
            ];
            say!("{}", output::table(&head, rows.collect(), 1));
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl List {
    fn run(self) -> Outcome {
        let o = self.here.open(false)?;
        let filter = Filter {
            portal: self.portal.map(Into::into),
            states: self.state,
            most: self.most,
            after: None,
        };
        let lines = o.desk.list(&filter).map_err(failed)?;
        let halted = o.desk.halted().map_err(failed)?;
        if self.here.json {
            output::json(&json!({ "halted": halted, "requests": lines }))?;
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(h) = halted {
            let why = escape(h.why.as_bytes());
            say!(
                "halted since {} by {}: {why}; nothing leaves until `tracehop inbox resume`",
                h.since,
                h.who
            );
        }
        if lines.is_empty() {
            say!("nothing is waiting");
            return Ok(ExitCode::SUCCESS);
        }
        let rows = lines.iter().map(|l| cells(l, o.now)).collect();
        let head = [
            "request",
            "case",
            "state",
            "answer",
            "upstream",
            "note",
            "certainty",
            "due in",
        ];
        say!("{}", output::table(&head, rows, 6));
        Ok(ExitCode::SUCCESS)
    }
}

fn cells(l: &Line, now: Timestamp) -> Vec<String> {
    let text = |t: &Option<Box<str>>| escape(t.as_deref().unwrap_or_default().as_bytes());
    vec![
        escape(l.key.to_string().as_bytes()),
        escape(l.case_id.as_bytes()),
        l.state.to_string(),
        text(&l.resolution),
        text(&l.peer),
        text(&l.note),
        l.posterior
            .map(|p| format!("{:.2} %", p * 100.0))
            .unwrap_or_default(),
        span(l.due.secs_since(now)),
    ]
}

impl One {
    fn show(self) -> Outcome {
        let o = self.here.open(false)?;
        let key = o.key(&self.key)?;
        let case = o.desk.show(&key, o.now).map_err(failed)?;
        let case = case.ok_or_else(|| failed(DeskError::NotThere(key)))?;
        if self.here.json {
            output::json(&case)?;
        } else {
            print(&case, o.now);
        }
        Ok(ExitCode::SUCCESS)
    }

    fn decide(self, decision: impl FnOnce(&Config) -> Result<Decision, Failure>) -> Outcome {
        self.decide_seen(None, decision)
    }

    fn decide_seen(
        self,
        seen: Option<String>,
        decision: impl FnOnce(&Config) -> Result<Decision, Failure>,
    ) -> Outcome {
        let o = self.here.open(true)?;
        let key = o.key(&self.key)?;
        let decision = decision(&o.config)?;
        let state = match seen {
            Some(seen) => o.desk.decide_seen(&key, &o.who, &decision, &seen, o.now),
            None => o.desk.decide(&key, &o.who, &decision, o.now),
        };
        let state = state.map_err(failed)?;
        if self.here.json {
            output::json(&json!({ "request": key, "decision": decision.label(), "state": state }))?;
        } else {
            let key = escape(key.to_string().as_bytes());
            say!("{key}: {}; its state is now {state}", decision.label());
            if o.desk.halted().map_err(failed)?.is_some() {
                say!("everything is halted: it leaves after `tracehop inbox resume`");
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Stop {
    fn run(self) -> Outcome {
        let o = self.here.open(false)?;
        o.desk.halt(&o.who, &self.reason, o.now).map_err(failed)?;
        let halted = o.desk.halted().map_err(failed)?;
        if self.here.json {
            output::json(&json!({ "halted": halted }))?;
        } else {
            say!("halted: nothing leaves until `tracehop inbox resume`");
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Release {
    fn run(self) -> Outcome {
        let o = self.here.open(false)?;
        let Some(peer) = &self.peer else {
            let held = o.desk.held().map_err(failed)?;
            if self.here.json {
                output::json(&held)?;
            } else if held.is_empty() {
                say!("no neighbour is held");
            } else {
                let rows = held.iter().map(|h| {
                    let text = |t: &str| escape(t.as_bytes());
                    vec![
                        text(&h.portal),
                        text(&h.peer),
                        h.since.to_string(),
                        text(&h.why),
                    ]
                });
                let head = ["portal", "neighbour", "since", "why"];
                say!("{}", output::table(&head, rows.collect(), head.len()));
            }
            return Ok(ExitCode::SUCCESS);
        };
        let released = o.desk.release(peer, self.portal.as_deref(), &o.who, o.now);
        let n = released.map_err(failed)?;
        if n == 0 {
            return Err(Failure::data(format!("{peer:?} is not held")));
        }
        if self.here.json {
            output::json(&json!({ "released": n }))?;
        } else {
            say!("answers about {peer} may leave by themselves again");
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Said {
    fn run(self) -> Outcome {
        let o = self.one.here.open(false)?;
        let key = o.key(&self.one.key)?;
        if let Some(id) = &self.upstream {
            party(&o.config, id)?;
        }
        let upstream = self.upstream.as_deref();
        let agrees = o.desk.compare(&key, &o.who, self.said, upstream, o.now);
        let agrees = agrees.map_err(failed)?;
        if self.one.here.json {
            output::json(&json!({ "request": key, "agrees": agrees }))?;
        } else if agrees {
            say!("the answer in shadow says the same");
        } else {
            say!("the answer in shadow says something else; `tracehop inbox show` shows it");
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Opened {
    /// A request by `PORTAL/ID`, or by its id alone where only one portal has it.
    fn key(&self, text: &str) -> Result<RequestKey, Failure> {
        let portals: Vec<Arc<str>> = self
            .config
            .responder
            .iter()
            .flat_map(|r| r.portals.iter().map(|p| p.name.clone()))
            .collect();
        if let Some((portal, id)) = text.split_once('/')
            && let Some(portal) = portals.iter().find(|p| ***p == *portal)
        {
            return Ok(RequestKey {
                portal: portal.clone(),
                id: id.into(),
            });
        }
        let mut found = Vec::new();
        for portal in portals {
            let key = RequestKey {
                portal,
                id: text.into(),
            };
            if self.desk.show(&key, self.now).map_err(failed)?.is_some() {
                found.push(key);
            }
        }
        match (found.pop(), found.pop()) {
            (Some(key), None) => Ok(key),
            (Some(a), Some(b)) => Err(Failure::usage(format!(
                "{text:?} is a request of two portals: say {a} or {b}"
            ))),
            _ => Err(Failure::data(format!("{text:?}: there is no such request"))),
        }
    }
}

/// A neighbour as answers name it.
fn party(config: &Config, id: &str) -> Result<(Arc<str>, Party), Failure> {
    let peer = config.peers.peer(id).ok_or_else(|| {
        Failure::data(format!(
            "{id:?} is no neighbour in peers.toml; `tracehop peers list` lists them"
        ))
    })?;
    Ok((peer.id.clone(), Party::of(peer)))
}

fn failed(e: DeskError) -> Failure {
    if e.is_refusal() {
        Failure::data(e)
    } else {
        Failure::io(e)
    }
}
