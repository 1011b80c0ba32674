//! Independent programs as judges: tshark, openssl, secsipidx, PyJWT, sipp with tcpdump, kamailio, sngrep, sipgrep, promtool, systemd, DuckDB. `tests/run` installs and runs them;
//! a plain `cargo test` leaves them out.

#[path = "../support/mod.rs"]
mod support;

#[path = "../support/watch.rs"]
mod watch;

mod browser;
mod capture;
mod carriers;
mod chain;
mod daemon;
mod daemon_disk;
mod daemon_faults;
mod daemon_hep;
mod duckdb;
mod edge;
mod encapsulation;
mod findings;
mod hep;
mod metrics;
mod openapi;
mod package;
mod robocall;
mod running;
mod signer;
mod store_faults;
mod systemd;
mod traffic;
mod watching;
mod wire;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use signer::openssl_pki;
use support::{Lab, text, tracehop};
use tracehop::capture::Merge;
use tracehop::engine::assemble::{AssembleLimits, Assembler};
use tracehop::stir::credential::extensions::ConstraintState;
use tracehop::stir::credential::{Credential, TrustStore, anchors_of_pem};
use tracehop::wire::sip::{HeaderName, Message};

/// Runs a program to its end and gives its output; fails with what it said.
fn run(program: &str, arguments: &[&str]) -> String {
    let out = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}; tests/run installs it"));
    assert!(
        out.status.success(),
        "{program} {arguments:?}: {}\n{}{}",
        out.status,
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// Call-ID and number of Identity headers of every INVITE, how often each was seen.
type Invites = BTreeMap<(String, usize), usize>;

/// Every message of the laboratory's captures.
fn messages(lab: &Lab) -> Vec<tracehop::wire::Message> {
    let mut source = Merge::open(lab.captures().into_iter().map(|f| (f, 0))).unwrap();
    let mut assembler = Assembler::new(AssembleLimits::default());
    while let Some(event) = source.next_event().unwrap() {
        event.feed(&mut assembler);
    }
    assembler.finish();
    std::iter::from_fn(|| assembler.poll_message()).collect()
}

fn our_invites(lab: &Lab) -> Invites {
    let mut out = Invites::new();
    for m in messages(lab) {
        let Ok(sip) = Message::scan(&m.bytes) else {
            continue;
        };
        if m.cut.is_none() && sip.start.is_method("INVITE") {
            let call_id = sip.headers.first(HeaderName::CallId).unwrap_or_default();
            let identities = sip.headers.all(HeaderName::Identity).count();
            let key = (String::from_utf8_lossy(call_id).into_owned(), identities);
            *out.entry(key).or_default() += 1;
        }
    }
    out
}

/// Fields of every packet with an INVITE as tshark reads them: a line for each, `;` between fields and `|` between values of one.
fn tshark_invites(file: &Path, fields: &[&str]) -> String {
    let path = text(file);
    let how = ["-r", &path, "-o", "tcp.reassemble_out_of_order:TRUE"];
    let which = ["-Y", "sip.Method == \"INVITE\"", "-T", "fields"];
    let marks = ["occurrence=a", "aggregator=|", "separator=;"];
    let marks = marks.iter().flat_map(|m| ["-E", m]);
    let fields = fields.iter().flat_map(|f| ["-e", f]);
    let all: Vec<&str> = how
        .into_iter()
        .chain(which)
        .chain(marks)
        .chain(fields)
        .collect();
    run("tshark", &all)
}

#[test]
#[ignore = "needs tshark"]
fn peer_tshark_sees_the_same_invites() {
    let lab = Lab::new(3, 400);
    let ours = our_invites(&lab);
    let mut theirs = Invites::new();
    for file in lab.captures() {
        let out = tshark_invites(&file, &["sip.Method", "sip.Call-ID", "sip.Identity"]);
        for line in out.lines().filter(|l| !l.is_empty()) {
            let mut fields = line.splitn(3, ';');
            // Several messages may share a segment: their methods and Call-IDs stand joined.
            let methods: Vec<&str> = fields.next().unwrap().split('|').collect();
            let call_ids: Vec<&str> = fields.next().unwrap().split('|').collect();
            let identity = fields.next().unwrap_or("");
            let identities = identity.split('|').filter(|v| !v.is_empty()).count();
            if methods.len() == 1 && call_ids.len() == 1 {
                *theirs
                    .entry((call_ids[0].to_owned(), identities))
                    .or_default() += 1;
            }
        }
    }
    assert!(theirs.len() > 250, "{}", theirs.len());
    let odd: Vec<_> = theirs
        .iter()
        .filter(|(k, n)| ours.get(*k) != Some(n))
        .collect();
    // tshark does not put every message of a shared segment or a stream with gaps on a line of its own; where it names one, we agree.
    assert!(
        odd.len() * 100 <= theirs.len(),
        "{} of {}: {odd:?}",
        odd.len(),
        theirs.len()
    );
}

/// A program that ends with the test.
struct Running(Child);

impl Running {
    fn start(program: &str, arguments: &[&str]) -> Self {
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("{program}: {e}; tests/run installs it"));
        Self(child)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "needs sipp, tcpdump and root"]
fn peer_sipp_calls_are_captured_and_replayed() {
    for (transport, port) in [("u1", 15_060u16), ("t1", 15_070)] {
        let dir = tempfile::tempdir().unwrap();
        openssl_pki(dir.path());
        let pcap = dir.path().join("sipp.pcap");
        let (uas, uac) = (port.to_string(), (port + 1).to_string());
        let capture = Running::start(
            "tcpdump",
            &[
                "-i",
                "lo",
                "-U",
                "-s",
                "0",
                "-w",
                &text(&pcap),
                "-Z",
                "root",
                "port",
                &uas,
            ],
        );
        let begin = Instant::now();
        while fs::metadata(&pcap).map_or(0, |m| m.len()) < 24 {
            assert!(
                begin.elapsed() < Duration::from_secs(20),
                "tcpdump did not begin"
            );
            sleep(Duration::from_millis(50));
        }
        let _uas = Running::start(
            "sipp",
            &[
                "-sn",
                "uas",
                "-i",
                "127.0.0.1",
                "-p",
                &uas,
                "-t",
                transport,
                "-nostdin",
            ],
        );
        sleep(Duration::from_millis(500));
        run(
            "sipp",
            &[
                &format!("127.0.0.1:{uas}"),
                "-sn",
                "uac",
                "-s",
                "+12025550123",
                "-i",
                "127.0.0.1",
                "-p",
                &uac,
                "-t",
                transport,
                "-r",
                "50",
                "-m",
                "40",
                "-d",
                "300",
                "-timeout",
                "30",
                "-nostdin",
            ],
        );
        sleep(Duration::from_millis(500));
        drop(capture);
        let config = text(&dir.path().join("tracehop.toml"));
        let out = tracehop(&["replay", &text(&pcap), "--config", &config, "--json"]);
        let report: Value = serde_json::from_slice(&out.stdout)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out.stderr)));
        assert_eq!(report["records"], 40, "{transport}: {report:#}");
        assert_eq!(report["messages"]["attempt"], 40);
        // INVITE, 180, 200, ACK, BYE, 200: nothing is lost on the way.
        assert!(
            report["messages"]["response"].as_u64().unwrap() >= 120,
            "{report:#}"
        );
        assert!(
            report["messages"]["dialog_request"].as_u64().unwrap() >= 80,
            "{report:#}"
        );
    }
}

#[test]
#[ignore = "needs promtool"]
fn peer_promtool_accepts_the_metrics() {
    let lab = Lab::new(5, 400);
    let metrics = lab.path("metrics.prom");
    let mut arguments = vec!["replay".to_owned()];
    arguments.extend(lab.captures().iter().map(|c| text(c)));
    let config = text(&lab.path("tracehop.toml"));
    arguments.extend([
        "--config".into(),
        config,
        "--metrics".into(),
        text(&metrics),
        "--json".into(),
    ]);
    let out = tracehop(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    check_metrics(&fs::read(&metrics).unwrap());
}

/// promtool finds nothing to say.
fn check_metrics(page: &[u8]) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool; tests/run installs it");
    promtool.stdin.take().unwrap().write_all(page).unwrap();
    let out = promtool.wait_with_output().unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
}
