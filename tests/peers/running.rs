//! `tracehop run` in the callee's namespace: started, asked, ended; and what it left in its store.

use std::fmt;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use tracehop::base::Timestamp;
use tracehop::call::record::StoredCall;
use tracehop::host::clock;
use tracehop::number::Tn;
use tracehop::store::Lookup as _;
use tracehop::store::embedded::{EmbeddedStore, StoreReader};

use super::edge::{Edge, Ends, until, within};
use super::support::{text, tracehop};

/// The daemon of an [`Edge`].
pub struct Daemon<'a> {
    edge: &'a Edge,
    process: Ends,
}

/// How it ended.
pub struct Ended {
    pub code: Option<i32>,
    pub took: Duration,
    /// All that it said.
    pub said: String,
}

impl<'a> Daemon<'a> {
    /// Starts it with the edge's configuration and waits until it is ready.
    pub fn start(edge: &'a Edge) -> Self {
        Self::start_with(edge, &[])
    }

    /// With variables of its environment.
    pub fn start_with(edge: &'a Edge, variables: &[(&str, &str)]) -> Self {
        let mut daemon = Self::launch(edge, variables);
        let begin = Instant::now();
        loop {
            if let Some(status) = daemon.process.0.try_wait().unwrap() {
                panic!("it ended, {status}: {}", daemon.said());
            }
            if matches!(daemon.ask("/readyz"), Some((200, _))) {
                return daemon;
            }
            assert!(
                begin.elapsed() < Duration::from_secs(20),
                "not ready: {}",
                daemon.said()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts it and waits for nothing.
    pub fn launch(edge: &'a Edge, variables: &[(&str, &str)]) -> Self {
        let bin = env!("CARGO_BIN_EXE_tracehop");
        let config = text(&edge.path("tracehop.toml"));
        let set: Vec<String> = variables.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let mut arguments = vec!["env"];
        arguments.extend(set.iter().map(String::as_str));
        arguments.extend([bin, "run", "--config", &config]);
        let mut command = edge.command(&edge.b, &arguments);
        let log = File::options()
            .create(true)
            .append(true)
            .open(edge.path("daemon.log"));
        command.stdout(Stdio::null()).stderr(log.unwrap());
        Self {
            edge,
            process: Ends::of(command),
        }
    }

    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }

    pub fn said(&self) -> String {
        fs::read_to_string(self.edge.path("daemon.log")).unwrap()
    }

    /// Waits until it has said so.
    pub fn says(&self, what: &str) {
        until(what, || self.said().contains(what));
    }

    /// Status and body of a page; `None` while nobody answers.
    pub fn ask(&self, page: &str) -> Option<(u16, String)> {
        within(&self.edge.b, || {
            let mut stream = TcpStream::connect("127.0.0.1:9464").ok()?;
            stream
                .set_read_timeout(Some(Duration::from_secs(5)))
                .unwrap();
            let request =
                format!("GET {page} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).ok()?;
            let code = answer.split(' ').nth(1)?.parse().ok()?;
            let body = answer.split_once("\r\n\r\n")?.1;
            Some((code, body.to_owned()))
        })
    }

    /// Sum of the samples of a metric whose labels hold `label`.
    pub fn metric(&self, name: &str, label: &str) -> f64 {
        let (_, page) = self.ask("/metrics").expect("metrics");
        let mut found = false;
        let mut sum = 0.0;
        for line in page.lines().filter(|l| !l.starts_with('#')) {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            let (of, labels) = sample.split_once('{').unwrap_or((sample, ""));
            if of == name && labels.contains(label) {
                found = true;
                sum += value.parse::<f64>().unwrap();
            }
        }
        assert!(found, "no {name} with {label} in\n{page}");
        sum
    }

    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// SIGKILL; gone when this returns.
    pub fn kill(mut self) {
        self.process.0.kill().unwrap();
        self.process.0.wait().unwrap();
    }

    /// Waits for it to end by itself.
    pub fn wait(mut self) -> Ended {
        let begin = Instant::now();
        until("its end", || self.process.0.try_wait().unwrap().is_some());
        Ended {
            code: self.process.0.wait().unwrap().code(),
            took: begin.elapsed(),
            said: self.said(),
        }
    }

    /// SIGTERM, and nothing but a good end within ten seconds is taken.
    pub fn stop(self) -> Ended {
        self.signal("-TERM");
        let ended = self.wait();
        assert_eq!(ended.code, Some(0), "{}", ended.said);
        assert!(ended.took < Duration::from_secs(10), "{:?}", ended.took);
        ended
    }
}

/// What the store holds now, read beside the daemon or after it.
pub fn store(edge: &Edge) -> StoreReader {
    let (store, report) = EmbeddedStore::open_read_only(&edge.path("state/store")).unwrap();
    assert_eq!(report.bad_frames, 0, "{report:?}");
    store
}

/// Every call to a number, in order of their uids.
pub fn calls(edge: &Edge, called: &str) -> Vec<StoredCall> {
    let number = Tn::from_canonical(called.as_bytes()).unwrap();
    let mut calls = store(edge)
        .by_called(number, Timestamp::default(), Timestamp::MAX)
        .unwrap();
    calls.sort_by_key(|c| c.begin.uid);
    calls
}

/// Waits until so many calls to a number are in the store, and fails when there are more.
pub fn wait_for_calls(edge: &Edge, called: &str, count: usize) {
    until("a record", || calls(edge, called).len() >= count);
    assert_eq!(calls(edge, called).len(), count);
}

/// Octets of the Identity header values that evidence shows.
pub fn identities(edge: &Edge, uid: u64) -> Vec<String> {
    let evidence = store(edge).evidence(uid).unwrap();
    let evidence = evidence.unwrap_or_else(|| panic!("no evidence of {uid}"));
    let head = String::from_utf8_lossy(&evidence.evidence.head).into_owned();
    let lines = head.lines().filter_map(|l| l.strip_prefix("Identity: "));
    lines.map(str::to_owned).collect()
}

/// One stretch of the ledger.
#[derive(Clone)]
pub struct Stretch {
    pub state: String,
    pub why: String,
    pub from: Timestamp,
    pub until: Timestamp,
    pub all: Value,
}

impl fmt::Debug for Stretch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            state,
            why,
            from,
            until,
            all,
        } = self;
        let counts = all.as_object().unwrap().iter();
        let counts = counts.filter(|(_, n)| n.as_u64().is_some_and(|n| n > 0));
        let counts: Vec<_> = counts.map(|(name, n)| format!("{name} {n}")).collect();
        write!(f, "{from} to {until}: {state} {why} {}", counts.join(", "))
    }
}

impl Stretch {
    /// Whether the sensor looked and lost nothing. Here nobody need keep the clock in step.
    pub fn looked(&self) -> bool {
        ["whole", "clock"].contains(&self.state.as_str())
    }
}

/// What `tracehop coverage --json` says of a sensor since the test began, without what lies before and after.
pub fn coverage(edge: &Edge, sensor: &str) -> Vec<Stretch> {
    coverage_until(edge, sensor, clock::now())
}

/// The same up to another time than now.
pub fn coverage_until(edge: &Edge, sensor: &str, until: Timestamp) -> Vec<Stretch> {
    let until = until.to_string();
    let config = text(&edge.path("tracehop.toml"));
    let out = tracehop(&[
        "coverage", "--json", "--until", &until, "--config", &config, "--sensor", sensor,
    ]);
    let report: Value = serde_json::from_slice(&out.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out.stderr)));
    let time = |v: &Value| Timestamp::parse_rfc3339(v.as_str().unwrap()).unwrap();
    let ranges = report["sensors"][0]["ranges"].as_array().unwrap();
    let stretch = |r: &Value| Stretch {
        state: r["state"].as_str().unwrap().to_owned(),
        why: r["why"].as_str().unwrap_or_default().to_owned(),
        from: time(&r["from"]),
        until: time(&r["until"]),
        all: r.clone(),
    };
    let mut out: Vec<_> = ranges.iter().map(stretch).collect();
    if out.first().is_some_and(|s| s.state == "unknown") {
        out.remove(0);
    }
    if out.last().is_some_and(|s| s.state == "unknown") {
        out.pop();
    }
    out
}
