//! `tracehop trace`: who handed this call to us?

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use serde_json::{Map, Value, json};

use super::output::{self, say};
use super::{Failure, Outcome, load, terminal};
use crate::base::Timestamp;
use crate::config::Config;
use crate::host::clock;
use crate::proof::audit::Entry;
use crate::responder::{self, Answered};
use crate::store::Lookup;
use crate::store::embedded::{EmbeddedStore, StoreReader};
use crate::store::engine::{self, Engine};
use crate::traceback::answer::{HopAnswer, ProducedBy, Resolution};
use crate::traceback::request::HopRequest;

/// Looks a call up and answers who handed it to us, with candidates and scores
#[derive(Debug, Args)]
pub struct Trace {
    /// The called number
    #[arg(long, value_name = "NUMBER", required_unless_present = "request")]
    called: Option<String>,
    /// The calling number that the recipient saw
    #[arg(long, value_name = "NUMBER")]
    calling: Option<String>,
    /// When the call was made, RFC 3339
    #[arg(long, value_name = "TIME", required_unless_present = "request")]
    time: Option<String>,
    /// How exact the time is, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    precision: f64,
    /// Portal id or peer id of the downstream neighbour that got the call from us
    #[arg(long, value_name = "ID")]
    downstream: Option<String>,
    /// Why you ask: the case that the look-up serves. It stands in the audit log
    #[arg(long, value_name = "ID", required_unless_present = "request")]
    case: Option<String>,
    /// A hop request as JSON, in place of the options above; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["called", "calling", "time", "downstream", "case"])]
    request: Option<PathBuf>,
    /// Configuration
    #[arg(long, value_name = "FILE", default_value = "tracehop.toml")]
    config: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Trace {
    pub(super) fn run(self) -> Outcome {
        let config = load(&self.config)?;
        let octets = match &self.request {
            Some(path) if path.as_os_str() == "-" => {
                std::io::read_to_string(std::io::stdin()).map(String::into_bytes)
            }
            Some(path) => fs::read(path),
            None => Ok(self.as_request(&config)),
        }
        .map_err(|e| {
            Failure::no_input(format!(
                "{}: {e}",
                self.request.clone().unwrap_or_default().display()
            ))
        })?;
        let answered = ask(&config, &octets)?;
        if self.json {
            output::json(&as_json(&config, &answered))?;
        } else {
            print(&answered);
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The options as a hop request.
    fn as_request(&self, config: &Config) -> Vec<u8> {
        let known = |id: &String| {
            config
                .peers
                .peer(id)
                .and_then(|p| p.portal_id.as_deref())
                .unwrap_or(id)
                .to_owned()
        };
        let mut call = Map::new();
        call.insert("called".to_owned(), json!(self.called));
        call.insert(
            "time".to_owned(),
            json!({ "value": self.time, "precision_s": self.precision }),
        );
        if let Some(calling) = &self.calling {
            call.insert("calling".to_owned(), json!(calling));
        }
        let mut request = Map::new();
        request.insert("id".to_owned(), json!("command-line"));
        request.insert("case_id".to_owned(), json!(self.case));
        request.insert("call".to_owned(), call.into());
        if let Some(downstream) = &self.downstream {
            request.insert(
                "downstream".to_owned(),
                json!({ "provider_ids": [known(downstream)] }),
            );
        }
        Value::from(request).to_string().into_bytes()
    }
}

/// Answers a hop request from the configuration's store. The look-up is in the audit log before it is done.
pub(super) fn ask(config: &Config, octets: &[u8]) -> Result<Answered, Failure> {
    let (store, report) = EmbeddedStore::open_reader(&config.store.path, &config.store.settings)
        .map_err(Failure::no_input)?;
    if report.bad_frames > 0 {
        output::complain(format_args!(
            "{}: {} damaged stretches in the log, {} octets: records in them are lost",
            config.store.path.display(),
            report.bad_frames,
            report.bad_bytes
        ));
    }
    let settings = config.traceback_settings();
    let request = match HopRequest::parse(octets, &config.plan) {
        Ok(request) => request,
        Err(refused) => {
            return Ok(responder::insufficient(&refused, &settings, config.version));
        }
    };
    let who = terminal::who();
    let entry = Entry {
        at: clock::now(),
        who: &who,
        act: "look-up",
        case_id: &request.case_id,
        request: Some(&request.id),
        detail: json!({ "sha256": request.sha256 }),
    };
    terminal::audited(config, &entry)?;
    let store = asked(config, &store)?;
    responder::answer(&request, &*store, &config.peers, &settings, now(octets))
        .map_err(|e| Failure::io(format!("{}: {e}", config.store.path.display())))
}

/// What a question is asked of: the own store, and the shared engine where there is one.
pub(super) fn asked(config: &Config, own: &StoreReader) -> Result<Box<dyn Lookup>, Failure> {
    let engine = engine_of(config)?;
    engine::ask(engine.as_ref(), own).map_err(Failure::io)
}

/// The shared engine of the configuration.
pub(super) fn engine_of(config: &Config) -> Result<Option<Arc<Engine>>, Failure> {
    let settings = config.store.engine.clone();
    let engine = settings.map(Engine::new).transpose();
    Ok(engine.map_err(Failure::software)?.map(Arc::new))
}

/// The time of asking. A capture of the laboratory lies in a future of its own: there the question is asked when it was issued.
fn now(octets: &[u8]) -> Timestamp {
    let issued = serde_json::from_slice::<Value>(octets)
        .ok()
        .and_then(|v| Timestamp::parse_rfc3339(v.get("issued_at")?.as_str()?));
    issued.map_or(clock::now(), |t| t.max(clock::now()))
}

/// Prints the answer and why it is so.
pub(super) fn print(answered: &Answered) {
    let a = &answered.answer;
    say!("{}", headline(a));
    for u in &a.undecided {
        say!(
            "  not certain: {:?} — would decide it: {}",
            u.condition,
            u.needs
        );
    }
    for p in &a.problems {
        say!("  the request: {}: {}", p.field, p.wanted);
    }
    if let Some(e) = &a.evidence {
        let percent = |p: f64| format!("{:.2} %", p * 100.0);
        let mut parts = Vec::new();
        if let Some(class) = e.class {
            parts.push(format!("evidence class {class:?}"));
        }
        if let Some(p) = e.posterior {
            parts.push(format!("certainty {}", percent(p)));
        }
        if let Some(p) = e.runner_up {
            parts.push(format!("next upstream {}", percent(p)));
        }
        parts.push(format!("not captured {}", percent(e.null)));
        say!("  {}", parts.join(", "));
        for w in e.windows.iter().take(1) {
            say!(
                "  searched {} to {}, {} of it seen",
                w.window.from,
                w.window.until,
                percent(w.coverage)
            );
        }
        if e.gap_count > 0 {
            say!("  {} holes in what was seen", e.gap_count);
        }
    }
    if let Some(comment) = &a.comment {
        say!("  {comment}");
    }
    let x = &answered.explanation;
    if !x.rows.is_empty() {
        let head = x.head();
        let head: Vec<&str> = head.iter().map(String::as_str).collect();
        say!("{}", output::table(&head, x.table(), 5));
        for f in x.rows.first().iter().flat_map(|r| &r.flags) {
            say!("  flag of the first: {}: {}", f.flag, f.evidence);
        }
        say!("  columns between Δt and ln L are the terms of each attempt's log-likelihood");
    }
    for note in &x.notes {
        say!("  note: {note}");
    }
}

fn headline(a: &HopAnswer) -> String {
    let who = a.upstream.as_ref().or(a.originator.as_ref()).map(|p| {
        let id = p
            .portal_id
            .as_ref()
            .map(|i| format!(", portal id {i}"))
            .unwrap_or_default();
        format!("{} ({}{id})", p.name, p.country)
    });
    let what = match a.resolution {
        Resolution::UpstreamDomestic => "handed to us by",
        Resolution::UpstreamForeign => "entered the country with us, handed over by",
        Resolution::OriginEndCustomer => "made by our customer",
        Resolution::DivertedByOurSubscriber => "forwarded by our subscriber; it had come from",
        Resolution::NotFound => "no such call, and we were looking",
        Resolution::CaptureGap => "no such call, but we were not looking all the time",
        Resolution::OutOfRetention => "records of that day are gone",
        Resolution::NotOurCustomerOfDownstream => "we hand no calls to that downstream",
        Resolution::Ambiguous => "not certain: a person must look",
        Resolution::InsufficientRequest => "the request can't be worked on",
        Resolution::OriginNonVspPlatform => "made by a platform that we serve",
        Resolution::BlockedHere => "refused here, and never passed on",
        Resolution::TestOrInternal => "a test call, or one inside our network",
        Resolution::LegalRestriction => "the law does not allow us to answer",
        Resolution::LegalHold => "under legal hold",
        Resolution::Refused => "we do not answer this",
        Resolution::Pending => "received, and worked on",
    };
    let by = match a.produced_by {
        ProducedBy::Auto => " [automatic]",
        ProducedBy::NeedsPerson => " [held for a person]",
        ProducedBy::AutoApproved => " [approved]",
        ProducedBy::Human => " [by a person]",
    };
    match who {
        Some(who) => format!("{}: {what} {who}{by}", a.resolution.label()),
        None => format!("{}: {what}{by}", a.resolution.label()),
    }
}

fn as_json(config: &Config, answered: &Answered) -> Value {
    let party = answered
        .answer
        .upstream
        .as_ref()
        .or(answered.answer.originator.as_ref());
    let peer = party.and_then(|p| config.peers.peers.iter().find(|k| k.name == p.name));
    json!({
        "answer": answered.answer,
        "upstream_peer": peer.map(|p| &p.id),
        "explanation": answered.explanation,
    })
}
