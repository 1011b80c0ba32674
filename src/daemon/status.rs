//! What the daemon shows over HTTP: what its threads have published, and whether that is in order.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::intake::IntakeCounters;
use super::keeper::StoreHealth;
use super::metrics;
use super::metrics::snapshot::{
    Configured, Counts, Interface, Queue, Responder, Snapshot, Stage, Stored, Trust,
};
use super::page::day::Day;
use super::page::strip::Ledger;
use super::page::{self, Shown};
use super::pipeline::{Board, QUEUE};
use super::source::Reading;
use crate::call::record::ClockState;
use crate::capture::hep::HepView;
use crate::capture::live::LiveCounters;
use crate::engine::mirror::AgentCounts;
use crate::fetch;
use crate::findings::FindingsView;
use crate::host::clock;
use crate::host::process::Process;
use crate::responder::api::ApiView;
use crate::responder::service::ServiceView;
use crate::traceback::matching::HEALTHY_CLOCK_NS;
use crate::web::{Check, Status, WebView};

/// How long a stage may stand still: the store's disk may take its time, and no call is lost meanwhile.
const STILL: Duration = Duration::from_secs(30);

/// What the first thread knows and shows.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Trust.
    pub trust: Trust,
    /// Whether the configuration names any: without, signed calls are undetermined, which is what was asked for.
    pub trusts: bool,
    /// The configuration.
    pub config: Configured,
    /// The host's clock.
    pub clock: Option<ClockState>,
    /// How often it was set.
    pub steps: u64,
    /// Octets of the store on disk.
    pub store_bytes: Option<u64>,
    /// Ids of the neighbours of the configuration, without ourselves.
    pub neighbours: Arc<[Arc<str>]>,
    /// Today.
    pub day: Arc<Day>,
    /// The last day of the ledger.
    pub ledger: Arc<Ledger>,
}

/// What the daemon's threads show.
pub struct Views {
    /// The stages.
    pub board: Arc<Board>,
    /// Intake.
    pub intake: Arc<ArcSwap<IntakeCounters>>,
    /// Reading threads.
    pub readings: Vec<Arc<ArcSwap<Reading>>>,
    /// HEP.
    pub hep: Option<HepView>,
    /// The store.
    pub store: Arc<ArcSwap<StoreHealth>>,
    /// Where findings go.
    pub findings: FindingsView,
    /// Answers to traceback requests.
    pub responder: Option<ServiceView>,
    /// Its API.
    pub api: Option<ApiView>,
    /// Certificates over HTTPS.
    pub fetch: Option<fetch::Client>,
    /// The server that shows all this.
    pub web: Option<WebView>,
    /// What the first thread knows.
    pub known: Arc<ArcSwap<Known>>,
}

impl Views {
    /// The daemon as it is now.
    pub fn snapshot(&self) -> Snapshot {
        let report = self.board.report();
        let mut stages = report.as_ref().clone();
        let mut interfaces: Vec<(Arc<str>, Arc<str>, LiveCounters)> = Vec::new();
        let mut reading_rebuilt = 0;
        for reading in &self.readings {
            let r = reading.load();
            stages.assemble.add(&r.assemble);
            reading_rebuilt += r.rebuilt;
            match interfaces
                .iter_mut()
                .find(|(_, name, _)| *name == r.interface)
            {
                Some((_, _, all)) => all.add(&r.live),
                None => interfaces.push((r.sensor.clone(), r.interface.clone(), r.live)),
            }
        }
        stages.fetch = self.fetch.as_ref().map(fetch::Client::report);
        let (intake, store, known) = (self.intake.load(), self.store.load(), self.known.load());
        let (turned, collected) = self.board.ages();
        Snapshot {
            interfaces: interfaces
                .into_iter()
                .map(|(sensor, name, all)| Interface::of(sensor, name, &all))
                .collect(),
            mirror: self.hep.as_ref().map(hep).unwrap_or_default(),
            sequence: (
                intake.late,
                usize::try_from(intake.waiting).unwrap_or(usize::MAX),
            ),
            duplicates: intake.duplicates.iter().collect(),
            shed: intake.shed.iter().collect(),
            queues: vec![Queue {
                name: "judge",
                depth: self.board.waiting(),
                capacity: QUEUE,
            }],
            threads: vec![
                stage("read", reading_rebuilt, None),
                stage("intake", self.board.rebuilt(), Some(turned)),
                stage("collect", report.collect_rebuilt, Some(collected)),
            ],
            trust: Some(self.trust(&known)),
            store: Some(Stored {
                found: store.found,
                counters: store.counters,
                lost: store.lost,
                lost_ends: store.lost_ends,
                lost_evidence: store.lost_evidence,
                lost_campaigns: store.lost_campaigns,
                bytes: known.store_bytes,
                space: Some(store.space).filter(|s| s.least > 0),
                committed: store.committed,
                lag: report.lag,
                writable: store.trouble.is_none(),
            }),
            findings: self.findings.sinks(),
            responder: self.responder.as_ref().map(Responder::of),
            api: self.api.as_ref().map(ApiView::counters),
            clock: (known.clock, known.steps),
            agents: self.hep.as_ref().map(agents).unwrap_or_default(),
            sensors: intake.looked.clone(),
            coverage_late: intake.coverage_late,
            web: self.web.as_ref().map(WebView::counters),
            config: Some(known.config),
            neighbours: known.neighbours.to_vec(),
            process: Some(Process::read()),
            stages,
        }
    }
}

impl Views {
    /// Trust as it is now: the fetcher may have newer lists than the files.
    fn trust(&self, known: &Known) -> Trust {
        let fetched = self.fetch.as_ref().and_then(|f| f.report().lists);
        match fetched {
            Some(now) => Trust {
                authorities: now.authorities,
                ca_list_ends: now.ca_list_ends,
                crl_ends: now.crl_ends,
                ..known.trust
            },
            None => known.trust,
        }
    }
}

/// Packets and connections in one list: counters, and gauges.
fn hep(view: &HepView) -> (Counts, Counts) {
    let (mirror, listen) = view.counters();
    let counters = mirror.iter().chain(listen.iter());
    (
        counters.collect(),
        mirror.gauges().chain(listen.gauges()).collect(),
    )
}

fn agents(view: &HepView) -> Vec<(Option<Arc<str>>, Counts)> {
    let counts = |c: &AgentCounts| vec![("packets", c.packets), ("messages", c.messages)];
    let by_agent = view.by_agent();
    let named = by_agent.iter().map(|(n, c)| (Some(n.clone()), counts(c)));
    named.collect()
}

fn stage(name: &'static str, rebuilt: u64, beat: Option<Duration>) -> Stage {
    Stage {
        name,
        // Each panic that is caught has its thread begin anew.
        panics: rebuilt,
        rebuilds: rebuilt,
        beat,
    }
}

impl Status for Views {
    fn metrics(&self) -> String {
        metrics::render_snapshot(&self.snapshot())
    }

    fn page(&self, again: bool) -> String {
        let known = self.known.load();
        let mut checks = self.readiness();
        checks.extend(self.health());
        page::render(&Shown {
            snapshot: &self.snapshot(),
            day: &known.day,
            ledger: &known.ledger,
            checks,
            now: clock::now(),
            again,
        })
    }

    fn style(&self) -> &'static str {
        page::STYLE
    }

    fn health(&self) -> Vec<Check> {
        let (intake, collect) = self.board.ages();
        let turns = |name: &str, age: Duration| match age < STILL {
            true => Check::good(name, "turns"),
            false => Check::bad(name, format!("has not turned for {} s", age.as_secs())),
        };
        vec![turns("intake", intake), turns("collect", collect)]
    }

    fn readiness(&self) -> Vec<Check> {
        let mut checks = Vec::new();
        for reading in &self.readings {
            let reading = reading.load();
            let name = format!("capture {}", reading.interface);
            checks.push(match &reading.trouble {
                Some(why) => Check::bad(name, why.clone()),
                None if reading.live.link_up == 0 => Check::bad(name, "the interface is down"),
                None => Check::good(name, "read"),
            });
        }
        if self.readings.is_empty() && self.hep.is_none() && self.responder.is_none() {
            // Started all the same ([run] idle): whoever asks shall not take that for looking.
            checks.push(Check::bad(
                "capture",
                "nothing to watch yet: no interface, no HEP listener, no responder",
            ));
        }
        if let Some(responder) = &self.responder {
            checks.extend(responder.checks(clock::now()));
        }
        let known = self.known.load();
        checks.push(match self.trust(&known).authorities {
            0 if !known.trusts => {
                Check::good("trust", "none is configured: signed calls are undetermined")
            }
            0 if self.fetch.is_none() => Check::bad("trust", "no authority: no call can pass"),
            n => Check::good("trust", format!("{n} authorities")),
        });
        let store = self.store.load();
        checks.push(match &store.trouble {
            Some(why) => Check::bad("store", why.clone()),
            None => Check::good("store", "takes records"),
        });
        checks.push(match known.clock {
            Some(c) if c.bound_ns() <= u64::from(HEALTHY_CLOCK_NS) => {
                Check::good("clock", "synchronised well enough")
            }
            // Calls are judged all the same; only answers wait for a person.
            _ => Check::good(
                "clock",
                "not synchronised: nothing is answered automatically",
            ),
        });
        checks
    }
}
