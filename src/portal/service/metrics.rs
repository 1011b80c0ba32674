//! Metrics and health of the portal: what the docket, the API and pushes say of themselves. Labels are words of ours, never from the wire.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus::{CounterVec, GaugeVec, Opts, Registry, TextEncoder};

use crate::base::Timestamp;
use crate::host::process::Process;
use crate::portal::api::server::ApiView;
use crate::portal::docket::Docket;
use crate::portal::docket::figures::{Figures, Standing};
use crate::portal::push;
use crate::web::listen;
use crate::web::{Check, Status};

/// The clock is well while it turned within so long: its turns take a second, and a slow disk is no reason for a restart.
const WELL: Duration = Duration::from_secs(30);

/// What is shown.
pub(crate) struct View {
    docket: Arc<Docket>,
    pushes: Arc<push::Counters>,
    now: fn() -> Timestamp,
    started: Timestamp,
    figures: ArcSwap<Figures>,
    ticked: Mutex<Timestamp>,
    web: OnceLock<(ApiView, Arc<listen::Counters>)>,
}

/// A metric: name, help, labels.
type Family = (&'static str, &'static str, &'static [&'static str]);

const BUILD: Family = (
    "tracehop_build_info",
    "Always 1; the label is the version that runs.",
    &["version"],
);
const CASES: Family = (
    "tracehop_portal_cases",
    "Cases by where they stand.",
    &["state"],
);
const CASE_AGE: Family = (
    "tracehop_portal_case_oldest_age_seconds",
    "How long ago the oldest case of a state was handed in; closed and declined ones left out.",
    &["state"],
);
const HOPS: Family = (
    "tracehop_portal_questions",
    "Questions to providers that are under way, by where they stand.",
    &["state"],
);
const HOP_AGE: Family = (
    "tracehop_portal_question_oldest_age_seconds",
    "How long ago the oldest of them was asked.",
    &["state"],
);
const WAITING: Family = (
    "tracehop_portal_pushes_waiting",
    "Events that wait to be pushed.",
    &[],
);
const WAITING_AGE: Family = (
    "tracehop_portal_push_oldest_age_seconds",
    "How long the oldest of them has waited; 0 where there is none.",
    &[],
);
const GIVEN_UP: Family = (
    "tracehop_portal_pushes_given_up",
    "Events that no provider took by push, and that are left for pull.",
    &[],
);
const PUSHES: Family = (
    "tracehop_portal_pushes_total",
    "Tries to push, by what became of them.",
    &["outcome"],
);
const REQUESTS: Family = (
    "tracehop_portal_requests_total",
    "Requests of machines by route and status; route none is any other path.",
    &["route", "status"],
);
const ANSWERS: Family = (
    "tracehop_portal_answers_total",
    "Answers of providers' machines, by what became of them.",
    &["outcome"],
);
const CONNECTIONS: Family = (
    "tracehop_portal_connections_total",
    "Connections by listener and what became of them; accepted is their sum and those under way.",
    &["listener", "outcome"],
);
const AUDIT: Family = (
    "tracehop_portal_audit_lines",
    "Lines of the audit log.",
    &[],
);
const TURNED: Family = (
    "tracehop_portal_clock_timestamp_seconds",
    "When deadlines were looked at last.",
    &[],
);
const START: Family = (
    "process_start_time_seconds",
    "When the process started.",
    &[],
);
const MEMORY: Family = (
    "process_resident_memory_bytes",
    "Memory of the process that is in RAM.",
    &[],
);
const CPU: Family = ("process_cpu_seconds_total", "CPU time of the process.", &[]);
const FDS: Family = ("process_open_fds", "Open file descriptors.", &[]);

/// All of them.
#[cfg(test)]
const ALL: &[Family] = &[
    BUILD,
    CASES,
    CASE_AGE,
    HOPS,
    HOP_AGE,
    WAITING,
    WAITING_AGE,
    GIVEN_UP,
    PUSHES,
    REQUESTS,
    ANSWERS,
    CONNECTIONS,
    AUDIT,
    TURNED,
    START,
    MEMORY,
    CPU,
    FDS,
];

impl View {
    pub fn new(docket: Arc<Docket>, pushes: Arc<push::Counters>, now: fn() -> Timestamp) -> Self {
        let started = now();
        Self {
            docket,
            pushes,
            now,
            started,
            figures: ArcSwap::default(),
            ticked: Mutex::new(started),
            web: OnceLock::new(),
        }
    }

    /// What listens is there.
    pub fn shows(&self, api: ApiView, console: Arc<listen::Counters>) {
        // It is said once.
        let _ = self.web.set((api, console));
    }

    pub fn figures_are(&self, figures: Figures) {
        self.figures.store(Arc::new(figures));
    }

    pub fn ticked(&self, now: Timestamp) {
        *self.ticked.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    fn last_tick(&self) -> Timestamp {
        *self.ticked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A page being filled.
#[derive(Default)]
struct Page {
    registry: Registry,
    wrong: Vec<String>,
}

impl Page {
    fn gauge(&mut self, family: Family, rows: &[(&[&str], f64)]) {
        let (name, help, labels) = family;
        let put = || -> prometheus::Result<()> {
            let vec = GaugeVec::new(Opts::new(name, help), labels)?;
            for (labels, value) in rows {
                vec.get_metric_with_label_values(labels)?.add(*value);
            }
            self.registry.register(Box::new(vec))
        };
        // A defect of ours, which costs this value and shows in the tests.
        if let Err(e) = put() {
            self.wrong.push(format!("{name}: {e}"));
        }
    }

    fn counter(&mut self, family: Family, rows: &[(&[&str], f64)]) {
        let (name, help, labels) = family;
        let put = || -> prometheus::Result<()> {
            let vec = CounterVec::new(Opts::new(name, help), labels)?;
            for (labels, value) in rows {
                vec.get_metric_with_label_values(labels)?.inc_by(*value);
            }
            self.registry.register(Box::new(vec))
        };
        if let Err(e) = put() {
            self.wrong.push(format!("{name}: {e}"));
        }
    }

    fn standings(&mut self, how_many: Family, age: Family, all: &[Standing], now: Timestamp) {
        let counts: Vec<_> = all.iter().map(|(s, n, _)| ([&**s], *n as f64)).collect();
        let counts: Vec<_> = counts.iter().map(|(l, n)| (l.as_slice(), *n)).collect();
        self.gauge(how_many, &counts);
        let open = all
            .iter()
            .filter(|(s, ..)| !matches!(&**s, "closed" | "declined"));
        let ages: Vec<_> = open
            .filter_map(|(s, _, oldest)| Some(([&**s], age_of(*oldest, now)?)))
            .collect();
        let ages: Vec<_> = ages.iter().map(|(l, n)| (l.as_slice(), *n)).collect();
        self.gauge(age, &ages);
    }
}

fn age_of(since: Option<Timestamp>, now: Timestamp) -> Option<f64> {
    since.map(|since| now.secs_since(since).max(0.0))
}

impl View {
    fn page(&self) -> Page {
        let mut page = Page::default();
        let now = (self.now)();
        let figures = self.figures.load();
        page.gauge(BUILD, &[(&[env!("CARGO_PKG_VERSION")], 1.0)]);
        page.standings(CASES, CASE_AGE, &figures.cases, now);
        page.standings(HOPS, HOP_AGE, &figures.hops, now);
        page.gauge(WAITING, &[(&[], figures.pushes.0 as f64)]);
        let oldest = age_of(figures.pushes.1, now).unwrap_or(0.0);
        page.gauge(WAITING_AGE, &[(&[], oldest)]);
        page.gauge(GIVEN_UP, &[(&[], figures.given_up as f64)]);
        page.gauge(AUDIT, &[(&[], figures.audit as f64)]);
        let pushes = self.pushes.read();
        let rows: Vec<_> = pushes.iter().map(|(w, n)| ([w], n as f64)).collect();
        let rows: Vec<_> = rows.iter().map(|(l, n)| (l.as_slice(), *n)).collect();
        page.counter(PUSHES, &rows);
        if let Some((api, console)) = self.web.get() {
            let api = api.counters();
            let rows: Vec<_> = api
                .replies
                .iter()
                .map(|(route, status, n)| ([*route, &**status], *n as f64))
                .collect();
            let rows: Vec<_> = rows.iter().map(|(l, n)| (l.as_slice(), *n)).collect();
            page.counter(REQUESTS, &rows);
            let rows: Vec<_> = api.answers.iter().map(|(w, n)| ([*w], *n as f64)).collect();
            let rows: Vec<_> = rows.iter().map(|(l, n)| (l.as_slice(), *n)).collect();
            page.counter(ANSWERS, &rows);
            let listeners = [("api", api.web), ("console", console.read())];
            let rows: Vec<_> = listeners
                .iter()
                .flat_map(|(name, c)| c.iter().map(move |(w, n)| ([*name, w], n as f64)))
                .collect();
            let rows: Vec<_> = rows.iter().map(|(l, n)| (l.as_slice(), *n)).collect();
            page.counter(CONNECTIONS, &rows);
        }
        page.gauge(TURNED, &[(&[], seconds(self.last_tick()))]);
        page.gauge(START, &[(&[], seconds(self.started))]);
        let process = Process::read();
        if let Some(bytes) = process.resident_bytes {
            page.gauge(MEMORY, &[(&[], bytes as f64)]);
        }
        if let Some(cpu) = process.cpu {
            page.counter(CPU, &[(&[], cpu.as_secs_f64())]);
        }
        if let Some(fds) = process.open_fds {
            page.gauge(FDS, &[(&[], fds as f64)]);
        }
        page
    }
}

fn seconds(at: Timestamp) -> f64 {
    at.secs_since(Timestamp::default())
}

impl Status for View {
    fn metrics(&self) -> String {
        let page = self.page();
        TextEncoder::new()
            .encode_to_string(&page.registry.gather())
            .unwrap_or_default()
    }

    fn health(&self) -> Vec<Check> {
        let since = self.last_tick();
        let state = format!("turned last at {since}");
        vec![match (self.now)().distance(since) < WELL {
            true => Check::good("clock", state),
            false => Check::bad("clock", state),
        }]
    }

    fn readiness(&self) -> Vec<Check> {
        let mut checks = self.health();
        checks.push(match self.docket.writable() {
            Ok(()) => Check::good("docket", "takes acts"),
            Err(e) => Check::bad("docket", e.to_string()),
        });
        checks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portal::docket::testing::{docket, now};

    #[test]
    fn every_metric_is_described() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/METRICS.md");
        let docs = std::fs::read_to_string(path).unwrap();
        for (name, help, labels) in ALL {
            assert!(docs.contains(&format!("| `{name}` |")), "{name}");
            if name.starts_with("tracehop_portal_") {
                let labels: Vec<_> = labels.iter().map(|l| format!("`{l}`")).collect();
                let shown = if labels.is_empty() {
                    "–".to_owned()
                } else {
                    labels.join(", ")
                };
                assert!(docs.contains(&format!("{shown} | {help} |")), "{name}");
            }
        }
    }

    #[test]
    fn every_metric_can_be_shown() {
        let (_dir, docket) = docket();
        let view = View::new(docket.clone(), Arc::default(), now);
        view.figures_are(Figures {
            cases: vec![
                ("open".into(), 3, Some(now().minus(Duration::from_secs(60)))),
                ("closed".into(), 9, Some(now())),
            ],
            pushes: (2, Some(now().minus(Duration::from_secs(5)))),
            ..docket.figures().unwrap()
        });
        assert_eq!(view.page().wrong, [] as [String; 0]);
        let text = view.metrics();
        for line in [
            "tracehop_portal_cases{state=\"open\"} 3",
            "tracehop_portal_case_oldest_age_seconds{state=\"open\"} 60",
            "tracehop_portal_push_oldest_age_seconds 5",
            "tracehop_portal_pushes_total{outcome=\"taken\"} 0",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        assert!(!text.contains("age_seconds{state=\"closed\"}"));
        assert!(
            view.readiness().iter().all(|c| c.ok),
            "{:?}",
            view.readiness()
        );
        view.ticked(now().minus(WELL));
        assert!(!view.health()[0].ok);
    }
}
