//! A real Prometheus scrapes a real daemon under traffic, with everything in config/prometheus and config/grafana: every query finds data, and an alert rings.
//!
//! Two things differ from what is shipped, so that it takes a minute: intervals are a second, and `for: 1m` is three. `$__rate_interval` is ten seconds.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::{Value, json};
use tracehop::host::clock;
use tracehop::proof::sign;
use tracehop::wire::hep::{self, HepPacket, Payload};

use super::edge::{CALLEE, CALLER, Edge, Ends, within};
use super::run;
use super::running::Daemon;
use super::support::text;
use super::traffic::Calls;
use super::watch::{self, Selector, panels, queries, selectors, word};

const CALLED: &str = "12025550123";
const HEP_AT: &str = "127.0.0.1:9060";
const API_AT: &str = "127.0.0.1:8443";
const PROMETHEUS_AT: &str = "127.0.0.1:9090";
/// Signs what the portal pushes.
const HOOK: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Everything that a daemon can have: an interface, an agent, a fetcher that asks nobody, a sink, and a portal that pushes.
const PARTS: &str = r#"
[[capture.interface]]
name = "vb"
[hep]
udp = ["127.0.0.1:9060"]
[[hep.agent]]
name = "proxy-a"
networks = ["127.0.0.1/32"]
id = 2001
[fetch]
enabled = true
offline = true
cache = "state/certificates"
[[findings.sink]]
kind = "file"
path = "state/findings/findings.jsonl"
[responder]
enabled = true
key_file = "answers.key"
listen = "127.0.0.1:8443"
[[responder.portal]]
name = "portal"
mode = "assisted"
deadline = "plain-24h"
webhook_secrets = "portal.secrets"
"#;

/// The edge, configured with all of it.
fn edge() -> Edge {
    let edge = Edge::new();
    edge.configure(PARTS);
    let config = fs::read_to_string(edge.path("tracehop.toml")).unwrap();
    let config = config.replacen("[run]", "portal_id = \"EV-01\"\n\n[run]", 1);
    fs::write(edge.path("tracehop.toml"), config).unwrap();
    sign::new_key(&edge.path("answers.key")).unwrap();
    let secrets = edge.path("portal.secrets");
    fs::write(&secrets, HOOK).unwrap();
    fs::set_permissions(&secrets, fs::Permissions::from_mode(0o600)).unwrap();
    // What only its owner may read is the daemon's, who goes on as nobody.
    run("chown", &["-R", "nobody", &text(edge.dir.path())]);
    edge
}

/// One HTTP exchange in the daemon's namespace. HTTP/1.0: nothing comes in chunks.
fn exchange(edge: &Edge, at: &str, head: &str, body: &str) -> Option<(u16, String)> {
    within(&edge.b, || {
        let mut stream = TcpStream::connect(at).ok()?;
        let wait = Some(Duration::from_secs(10));
        stream.set_read_timeout(wait).unwrap();
        let request = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let code = answer.split(' ').nth(1)?.parse().ok()?;
        Some((code, answer.split_once("\r\n\r\n")?.1.to_owned()))
    })
}

/// A hop request about one of our calls, pushed and signed as a portal does.
fn push(edge: &Edge, id: &str, calling: &str) {
    let request = json!({
        "id": id, "case_id": format!("CASE-{id}"), "hop_no": 1, "issued_at": clock::now().to_string(),
        "requester": { "id": "portal", "role": "portal" },
        "downstream": { "provider_ids": ["P-T"] },
        "call": { "called": format!("+{CALLED}"), "calling": calling, "time": { "value": clock::now().to_string(), "precision_s": 1.0 } },
    });
    let (now, secs) = (clock::now(), clock::now().secs());
    let body = format!(r#"{{"type":"hop_request.created","timestamp":"{now}","data":{request}}}"#);
    let key = STANDARD
        .decode(HOOK.strip_prefix("whsec_").unwrap())
        .unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let mac = hmac::sign(&key, format!("msg-{id}.{secs}.{body}").as_bytes());
    let head = format!(
        "POST /v1/hop-requests HTTP/1.0\r\nHost: {API_AT}\r\nContent-Type: application/json\r\nwebhook-id: msg-{id}\r\nwebhook-timestamp: {secs}\r\n\
         webhook-signature: v1,{}",
        STANDARD.encode(mac)
    );
    let answer = exchange(edge, API_AT, &head, &body);
    assert!(matches!(answer, Some((200 | 202, _))), "{answer:?}");
}

/// An agent's packet with an INVITE that nobody signed.
fn unsigned(n: usize) -> Vec<u8> {
    let invite = format!(
        "INVITE sip:+{CALLED}@{CALLEE} SIP/2.0\r\nVia: SIP/2.0/TLS {CALLER};branch=z9hG4bKu{n}\r\nFrom: <sip:+1212555{:04}@{CALLER}>;tag=u{n}\r\n\
         To: <sip:+{CALLED}@{CALLEE}>\r\nCall-ID: u{n}@{CALLER}\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n",
        100 + n % 100
    );
    let packet = HepPacket {
        version: 3,
        between: Some((
            format!("{CALLER}:40000").parse().unwrap(),
            format!("{CALLEE}:5061").parse().unwrap(),
        )),
        protocol: Some(22),
        kind: hep::SIP,
        at: Some(clock::now()),
        agent: Some(2001),
        key: None,
        vlan: None,
        payload: Some(Payload::Plain(invite.as_bytes())),
    };
    hep::write::v3(&packet).unwrap()
}

/// Prometheus beside the daemon, with the rules that are shipped.
struct Prometheus<'a> {
    edge: &'a Edge,
    _process: Ends,
}

impl<'a> Prometheus<'a> {
    fn start(edge: &'a Edge) -> Self {
        let folder = edge.path("prometheus");
        fs::create_dir(&folder).unwrap();
        for name in [
            "prometheus.yml",
            "tracehop.rules.yml",
            "tracehop.alerts.yml",
        ] {
            let shipped = fs::read_to_string(watch::prometheus().join(name)).unwrap();
            let quick = shipped
                .replace("_interval: 15s", "_interval: 1s")
                .replace("for: 1m\n", "for: 3s\n");
            assert!(
                name == "tracehop.rules.yml" || quick != shipped,
                "{name} is as it was"
            );
            fs::write(folder.join(name), quick).unwrap();
        }
        let config = format!("--config.file={}", text(&folder.join("prometheus.yml")));
        let data = format!("--storage.tsdb.path={}", text(&folder.join("data")));
        let at = format!("--web.listen-address={PROMETHEUS_AT}");
        let mut command = edge.command(&edge.b, &["prometheus", &config, &data, &at]);
        let log = fs::File::create(folder.join("log")).unwrap();
        command.stdout(Stdio::null()).stderr(log);
        let prometheus = Self {
            edge,
            _process: Ends::of(command),
        };
        super::edge::until("Prometheus", || prometheus.get("/-/ready").is_some());
        prometheus
    }

    fn get(&self, path: &str) -> Option<String> {
        let head = format!("GET {path} HTTP/1.0\r\nHost: {PROMETHEUS_AT}");
        let (code, body) = exchange(self.edge, PROMETHEUS_AT, &head, "")?;
        (code == 200).then_some(body)
    }

    fn api(&self, path: &str) -> Value {
        let body = self.get(path).unwrap_or_else(|| panic!("no {path}"));
        serde_json::from_str::<Value>(&body).unwrap()["data"].clone()
    }

    /// What a query gives now: labels and value of each series.
    fn ask(&self, query: &str) -> Result<Vec<(Value, f64)>, String> {
        let mut encoded = String::new();
        for b in query.bytes() {
            match b {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b':' => {
                    encoded.push(char::from(b))
                }
                _ => encoded += &format!("%{b:02X}"),
            }
        }
        let head = "POST /api/v1/query HTTP/1.0\r\nHost: prometheus\r\nContent-Type: application/x-www-form-urlencoded";
        let (_, body) = exchange(self.edge, PROMETHEUS_AT, head, &format!("query={encoded}"))
            .ok_or("no answer")?;
        let answer: Value = serde_json::from_str(&body).map_err(|e| e.to_string())?;
        if answer["status"] != "success" {
            return Err(answer["error"].to_string());
        }
        let one = |r: &Value| (r["metric"].clone(), word(&r["value"][1]).parse().unwrap());
        Ok(answer["data"]["result"]
            .as_array()
            .unwrap()
            .iter()
            .map(one)
            .collect())
    }

    /// Why a query gives nothing that can be shown.
    fn trouble(&self, query: &str) -> Option<String> {
        match self.ask(query) {
            Err(e) => Some(format!("{e}: {query}")),
            Ok(found) if found.iter().all(|(_, v)| v.is_nan()) => {
                Some(format!("no data, {} series: {query}", found.len()))
            }
            Ok(_) => None,
        }
    }

    /// Values of a label, as a dashboard's variable asks for them: `label_values(selector, label)`.
    fn label_values(&self, definition: &str) -> Vec<String> {
        let inside = definition
            .strip_prefix("label_values(")
            .and_then(|d| d.strip_suffix(")"));
        let (selector, label) = inside
            .and_then(|i| i.rsplit_once(", "))
            .unwrap_or_else(|| panic!("{definition}"));
        let found = self
            .ask(&format!("count by ({label}) ({selector})"))
            .unwrap();
        found
            .iter()
            .map(|(labels, _)| word(&labels[label]))
            .collect()
    }

    /// Values of matchers that no series has: a misspelt one finds nothing, and zeros that stand in for nothing hide it.
    fn unheard(&self, query: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        for Selector { metric, matchers } in selectors(query) {
            for (label, operator, value) in matchers {
                let asked: Vec<String> = match operator.as_str() {
                    "=~" if !value.starts_with('$') => {
                        value.split('|').map(str::to_owned).collect()
                    }
                    "=" => vec![value],
                    _ => continue,
                };
                for value in asked.iter().filter(|_| metric != "ALERTS") {
                    let of = format!("{metric}{{{label}=~\"{value}\"}}");
                    if self.ask(&of).unwrap().is_empty() {
                        wrong.push(of);
                    }
                }
            }
        }
        wrong
    }
}

/// The variables of a dashboard, each once as all of it and once as one value that has calls.
fn substitutions(prometheus: &Prometheus, dashboard: &Value) -> Vec<Vec<(String, String)>> {
    let (mut all, mut one) = (Vec::new(), Vec::new());
    for v in dashboard["templating"]["list"].as_array().unwrap() {
        if v["type"] != "query" {
            continue;
        }
        let name = format!("${}", word(&v["name"]));
        let definition = word(&v["definition"]).replace("$instance", ".*");
        let values = prometheus.label_values(&definition);
        assert!(
            !values.is_empty(),
            "{name} of {} has no value: {definition}",
            dashboard["uid"]
        );
        let busiest = values
            .iter()
            .find(|v| *v == "northstar")
            .unwrap_or(&values[0]);
        all.push((name.clone(), word(&v["allValue"])));
        one.push((name, busiest.clone()));
    }
    vec![all, one]
}

#[test]
#[ignore = "needs prometheus, sipp, ip and root"]
fn peer_prometheus_finds_data_for_every_panel_and_rule_and_an_alert_rings() {
    let edge = edge();
    let daemon = Daemon::start(&edge);
    let prometheus = Prometheus::start(&edge);
    let _callee = edge.callee(&edge.b, CALLEE, "u1");
    let begin = Instant::now();
    let calls = edge.place(&Calls {
        rate: 15,
        ..Calls::to(CALLED, 300)
    });
    let agent = within(&edge.b, || UdpSocket::bind("127.0.0.1:0")).unwrap();
    let mut n = 0;
    while begin.elapsed() < Duration::from_secs(22) {
        n += 1;
        agent.send_to(&unsigned(n), HEP_AT).unwrap();
        let signed = edge.mirrored(CALLED, n % 100, clock::now());
        agent.send_to(&signed, HEP_AT).unwrap();
        if n.is_multiple_of(20) {
            push(
                &edge,
                &format!("HR-{n}"),
                &format!("+121255501{:02}", n % 100),
            );
        }
        sleep(Duration::from_millis(100));
    }
    // Deadlines are looked at every half minute, figures of the desk every five seconds.
    calls.finish();
    let seen = |query: &str| {
        prometheus
            .ask(query)
            .unwrap()
            .iter()
            .map(|(_, v)| v)
            .sum::<f64>()
    };
    assert!(seen("sum(tracehop_calls_total{validation=\"passed\"})") > 300.0);
    assert!(seen("sum(tracehop_calls_total{validation=\"none\"})") > 100.0);
    super::edge::until("requests", || {
        seen("sum(tracehop_responder_requests)") >= 5.0
    });

    let mut wrong = Vec::new();
    for (name, query) in watch::recorded() {
        wrong.extend(prometheus.trouble(&query));
        wrong.extend(prometheus.trouble(&name));
        wrong.extend(prometheus.unheard(&query));
    }
    for alert in watch::alerts() {
        wrong.extend(prometheus.unheard(&word(&alert["expr"])));
    }
    let mut asked = 0;
    for dashboard in watch::dashboards() {
        for variables in substitutions(&prometheus, &dashboard) {
            for panel in panels(&dashboard) {
                for shipped in queries(panel) {
                    let mut query = shipped.clone();
                    for (name, value) in &variables {
                        query = query.replace(name, value);
                    }
                    let query = query.replace("$__rate_interval", "10s");
                    assert!(!query.contains('$'), "{query}");
                    let place = format!("{} / {}", word(&dashboard["uid"]), word(&panel["title"]));
                    let trouble = prometheus.trouble(&query);
                    wrong.extend(trouble.map(|t| format!("{place}: {t}")));
                    let unheard = prometheus.unheard(&shipped);
                    wrong.extend(
                        unheard
                            .into_iter()
                            .map(|u| format!("{place}: no series {u}")),
                    );
                    asked += 1;
                }
            }
        }
    }
    assert_eq!(wrong, [] as [String; 0], "of {asked} queries");
    assert!(asked > 150, "{asked}");

    // Rules are in order, and nothing that is tested here is down.
    let rules = prometheus.api("/api/v1/rules");
    for group in rules["groups"].as_array().unwrap() {
        for rule in group["rules"].as_array().unwrap() {
            assert_eq!(rule["health"], "ok", "{rule}");
        }
    }
    let ringing = |name: &str| {
        let all = prometheus.api("/api/v1/alerts");
        let all = all["alerts"].as_array().unwrap().clone();
        all.into_iter()
            .find(|a| a["labels"]["alertname"] == name && a["state"] == "firing")
    };
    for silent in [
        "TracehopDown",
        "TracehopCaptureDown",
        "TracehopSensorBlind",
        "TracehopStoreNotWritable",
    ] {
        assert_eq!(ringing(silent), None);
    }
    // The probe's own page says the same.
    let (code, page) = daemon.ask("/").unwrap();
    assert_eq!(code, 200);
    assert!(page.contains("northstar"), "{page}");
    daemon.stop();
    super::edge::until("the alert", || ringing("TracehopDown").is_some());
    let alert = ringing("TracehopDown").unwrap();
    let summary = word(&alert["annotations"]["summary"]);
    assert_eq!(summary, "127.0.0.1:9464 does not answer");
    println!("{asked} queries of panels; {alert}");
}

#[test]
#[ignore = "needs promtool"]
fn peer_promtool_accepts_rules_alerts_and_configuration_and_their_tests_pass() {
    let promtool = |arguments: &[&str]| {
        let out = Command::new("promtool")
            .args(arguments)
            .current_dir(watch::prometheus())
            .output()
            .expect("promtool; tests/run installs it");
        let said = String::from_utf8_lossy(&out.stdout).into_owned()
            + &String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{arguments:?}: {said}");
        said
    };
    promtool(&["check", "config", "prometheus.yml"]);
    promtool(&[
        "check",
        "rules",
        "--lint=all",
        "--lint-fatal",
        "tracehop.rules.yml",
        "tracehop.alerts.yml",
    ]);
    let tests = fs::read_dir(watch::prometheus()).unwrap();
    let tests = tests.map(|e| e.unwrap().file_name().into_string().unwrap());
    let tests: Vec<_> = tests.filter(|n| n.ends_with("_test.yml")).collect();
    assert_eq!(tests.len(), 4);
    for test in tests {
        promtool(&["test", "rules", &test]);
    }
}

#[test]
#[ignore = "needs python3"]
fn peer_python_writes_the_dashboards_that_are_kept() {
    let out = tempfile::tempdir().unwrap();
    let script = watch::root().join("config/grafana/dashboards.py");
    run(
        "/usr/bin/python3",
        &[&text(&script), "--out", &text(out.path())],
    );
    let read =
        |folder: &Path, name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
    let kept = watch::root().join("config/grafana/dashboards");
    let files: Vec<_> = fs::read_dir(&kept)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(files.len(), fs::read_dir(out.path()).unwrap().count());
    for name in files {
        assert!(
            read(&kept, &name) == read(out.path(), &name),
            "{name} is old: run config/grafana/dashboards.py"
        );
    }
}

/// Grafana's own types of a dashboard read each of ours and give it back; what they don't know would be lost.
const ROUND_TRIP: &str = r#"
import json, re, sys
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
register_default_plugins()
def lost(a, b, path=""):
    if isinstance(a, dict) and isinstance(b, dict):
        return [p for k in a for p in (lost(a[k], b[k], path + "/" + k) if k in b else [path + "/" + k])]
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return [p for i, (x, y) in enumerate(zip(a, b)) for p in lost(x, y, path + "/%d" % i)]
    return [] if a == b else ["%s: %r is %r" % (path, a, b)]
for name in sys.argv[1:]:
    ours = json.load(open(name))
    back = json.loads(json.dumps(Dashboard.from_json(ours), cls=JSONEncoder))
    # Grafana writes a variable's query there a second time, and its types leave it out.
    gone = [p for p in lost(ours, back) if not re.fullmatch(r"/templating/list/\d+/definition", p)]
    assert not gone, (name, gone)
    print("read", len(ours["panels"]))
"#;

#[test]
#[ignore = "needs grafana-foundation-sdk"]
fn peer_grafanas_types_read_every_dashboard_whole() {
    let folder = watch::root().join("config/grafana/dashboards");
    let files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|e| text(&e.unwrap().path()))
        .collect();
    let python = watch::root().join("target/peers/bin/python");
    let mut arguments = vec!["-c", ROUND_TRIP];
    arguments.extend(files.iter().map(String::as_str));
    let said = run(&text(&python), &arguments);
    assert_eq!(
        said.lines().filter(|l| l.starts_with("read ")).count(),
        5,
        "{said}"
    );
}
