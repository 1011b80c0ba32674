//! A provider: its folder, its daemon, and what can be seen of it from outside.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::{Value, json};
use tracehop::base::Timestamp;
use tracehop::config::Config;
use tracehop::host::clock;
use tracehop::proof::sign::{self, Kind, Verifier};
use tracehop::traceback::answer::RawAnswer;

use crate::calls::{self, CALLED, CALLING};
use crate::node::{free_port, run_section, secret};
use crate::web::{self, Reply};

/// By which portals are known, and know us.
pub fn token(portal: &str) -> String {
    format!("{portal}-token-0123456789abcdef0123456789")
}

/// The key of a portal's events.
fn hook(portal: &str) -> Vec<u8> {
    format!("{portal}-key-of-at-least-24-octets").into_bytes()
}

/// One provider.
pub struct House {
    dir: tempfile::TempDir,
    /// Where the API listens, and where the metrics are.
    pub api: u16,
    pub metrics: u16,
    pub jwks: Value,
    at: Timestamp,
}

/// A portal in the configuration: its name, and the lines of its table after those that all have.
pub struct PortalLines {
    pub name: &'static str,
    pub lines: String,
}

impl PortalLines {
    /// Pushes, and fetches its answers.
    pub fn pushes(name: &'static str) -> Self {
        Self {
            name,
            lines: String::new(),
        }
    }

    /// Pushes and is asked, and gets its answers brought.
    pub fn asked(name: &'static str, url: &str) -> Self {
        let lines = format!(
            "adapter = \"reference\"\n[responder.portal.reference]\nurl = \"{url}\"\ntoken_file = \"{name}.token\"\nwait_seconds = 1\ntimeout_seconds = 1\n"
        );
        Self { name, lines }
    }
}

impl House {
    /// `more` goes into the section of the responder.
    pub fn new(more: &str, portals: &[PortalLines]) -> Self {
        Self::with(&[], more, portals)
    }

    /// With files that only their owner may read.
    pub fn with(files: &[(&str, String)], more: &str, portals: &[PortalLines]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
        for (name, text) in files {
            secret(folder.join(name), text);
        }
        let signer = sign::new_key(&folder.join("answers.key")).unwrap();
        let (api, metrics) = (free_port(), free_port());
        secret(folder.join("alice.token"), &token("alice"));
        let mut config = format!(
            "[provider]\nname = \"Provider 0\"\nportal_id = \"P-0\"\n{}[sensor]\nname = \"edge1\"\n[peers]\nfile = \"peers.toml\"\n\
             [store]\npath = \"state/store\"\n[http]\nlisten = \"127.0.0.1:{metrics}\"\n\
             [responder]\nenabled = true\nkey_file = \"answers.key\"\nlisten = \"127.0.0.1:{api}\"\n{more}\
             [[responder.operator]]\nname = \"alice\"\ntoken_file = \"alice.token\"\nroles = [\"read\"]\n",
            run_section()
        );
        for PortalLines { name, lines } in portals {
            let key = format!("whsec_{}", STANDARD.encode(hook(name)));
            secret(folder.join(format!("{name}.secrets")), &key);
            secret(folder.join(format!("{name}.token")), &token(name));
            // What stands in `lines` comes first, so that it may say otherwise.
            let (own, table) = lines.split_once('[').unwrap_or((lines, ""));
            let table = if table.is_empty() {
                String::new()
            } else {
                format!("[{table}")
            };
            let mut all = format!("[[responder.portal]]\nname = \"{name}\"\n{own}");
            for (key, value) in [
                ("mode", "\"automatic\""),
                ("automatic", "[\"UPSTREAM_DOMESTIC\"]"),
                ("deadline", "\"plain-24h\""),
                ("requests_per_minute", "60000"),
                ("webhook_secrets", &format!("\"{name}.secrets\"")),
                ("token_file", &format!("\"{name}.token\"")),
            ] {
                if !own.lines().any(|l| l.starts_with(&format!("{key} "))) {
                    all.push_str(&format!("{key} = {value}\n"));
                }
            }
            config.push_str(&all);
            config.push_str(&table);
        }
        let peers = "[[peer]]\nid = \"own\"\nname = \"Provider 0\"\nkind = \"own\"\n\
             [[peer]]\nid = \"up\"\nname = \"Upstream\"\nkind = \"provider\"\ncountry = \"US\"\nportal_id = \"P-1\"\n\
             [[peer]]\nid = \"down\"\nname = \"Downstream\"\nkind = \"provider\"\ncountry = \"US\"\nportal_id = \"P-T\"\n\
             [[rule]]\nname = \"own\"\npeer = \"own\"\nnetworks = [\"192.0.2.1/32\"]\n\
             [[rule]]\nname = \"up\"\npeer = \"up\"\nnetworks = [\"198.51.100.1/32\"]\n\
             [[rule]]\nname = \"down\"\npeer = \"down\"\nnetworks = [\"203.0.113.1/32\"]\n";
        let file = folder.join("tracehop.toml");
        fs::write(&file, config).unwrap();
        fs::write(folder.join("peers.toml"), peers).unwrap();
        let config = Config::load(&file).unwrap_or_else(|p| panic!("{p:#?}"));
        // The half-day on either side of the call is over, and its records are there.
        let at = Timestamp::from_secs(clock::now().secs() / 60 * 60 - 30 * 3_600 + 7);
        calls::fill(&config, at);
        let house = Self {
            dir,
            api,
            metrics,
            jwks: signer.jwks(),
            at,
        };
        house.is_its_users();
        house
    }

    /// The daemon goes on as another user where the test is root.
    fn is_its_users(&self) {
        if nix::unistd::geteuid().is_root() {
            let owned = Command::new("chown")
                .args(["-R", "nobody"])
                .arg(self.folder())
                .status();
            assert!(owned.unwrap().success());
        }
    }

    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// A request about the call that passed here.
    pub fn request(&self, id: &str, case: &str) -> String {
        self.request_at(id, case, self.at)
    }

    /// Other octets, and the same call.
    pub fn clarified(&self, id: &str, case: &str, n: u64) -> String {
        self.request_at(id, case, self.at.plus(Duration::from_millis(1 + n)))
    }

    fn request_at(&self, id: &str, case: &str, at: Timestamp) -> String {
        json!({
            "id": id,
            "case_id": case,
            "hop_no": 1,
            "issued_at": clock::now().to_string(),
            "requester": { "id": "portal", "role": "portal" },
            "downstream": { "provider_ids": ["P-T"] },
            "call": {
                "called": format!("+{CALLED}"),
                "calling": format!("+{CALLING}"),
                "time": { "value": at.to_string(), "precision_s": 1.0 },
            },
        })
        .to_string()
    }

    /// Starts the daemon and does not wait for it.
    pub fn start(&self) -> Daemon {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder().join("log"))
            .unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_tracehop"))
            .args(["run", "--config"])
            .arg(self.folder().join("tracehop.toml"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Daemon(child)
    }

    /// Waits until the API answers.
    pub fn is_up(&self) {
        let until = Instant::now() + Duration::from_secs(60);
        let ask = web::request("GET", "/.well-known/traceback-provider", "", "");
        while web::exchange(self.api, ask.as_bytes()).is_none_or(|r| r.code != 200) {
            assert!(Instant::now() < until, "not up:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder().join("log")).unwrap_or_default()
    }

    /// A command of ours on this provider's configuration.
    pub fn cli(&self, words: &[&str]) -> Output {
        let out = Command::new(env!("CARGO_BIN_EXE_tracehop"))
            .args(words)
            .arg("--config")
            .arg(self.folder().join("tracehop.toml"))
            .output();
        out.unwrap()
    }

    /// The audit log agrees with itself. Gives how many lines it has.
    pub fn audit_holds(&self) -> u64 {
        let out = self.cli(&["audit", "verify", "--json"]);
        let text = String::from_utf8_lossy(&out.stdout);
        assert!(
            out.status.success(),
            "{text}{}",
            String::from_utf8_lossy(&out.stderr)
        );
        let report: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
        report["lines"]
            .as_u64()
            .unwrap_or_else(|| panic!("{report}"))
    }

    /// Rows of the desk's database, one column as text each; only while no daemon runs.
    pub fn rows(&self, sql: &str) -> Vec<String> {
        let config = Config::load(&self.folder().join("tracehop.toml")).unwrap();
        let file = config.responder.unwrap().state.join("responder.db");
        let database = rusqlite::Connection::open(file).unwrap();
        let mut statement = database.prepare(sql).unwrap();
        let rows = statement.query_map([], |r| r.get::<_, String>(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// What the API says to an event of a portal.
    pub fn push(&self, portal: &str, kind: &str, data: &str) -> Option<Reply> {
        static IDS: AtomicU64 = AtomicU64::new(1);
        let id = format!("msg-{}", IDS.fetch_add(1, Ordering::Relaxed));
        let now = clock::now().secs();
        web::exchange(
            self.api,
            self.event(portal, kind, data, &id, now).as_bytes(),
        )
    }

    /// What it says to a new request about the call.
    pub fn created(&self, portal: &str, id: &str) -> Reply {
        let body = self.request(id, &format!("CASE-{id}"));
        let reply = self.push(portal, "hop_request.created", &body);
        reply.unwrap_or_else(|| panic!("{}", self.log()))
    }

    /// A signed event, octet by octet.
    pub fn event(&self, portal: &str, kind: &str, data: &str, id: &str, secs: i64) -> String {
        let body = format!(
            "{{\"type\":\"{kind}\",\"timestamp\":\"{}\",\"data\":{data}}}",
            clock::now()
        );
        signed(portal, &body, id, secs)
    }

    /// What one of the metrics says; the sum where there are several.
    pub fn metric(&self, name: &str) -> f64 {
        let ask = web::request("GET", "/metrics", "", "");
        let all = web::exchange(self.metrics, ask.as_bytes()).unwrap().body;
        let of = all.lines().filter(|l| l.starts_with(name));
        of.filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Opens a signed answer with our public keys.
    pub fn open(&self, body: &[u8]) -> RawAnswer {
        let mut verifier = Verifier::default();
        let jwks = self.jwks.to_string();
        verifier.add(jwks.as_bytes(), Some("P-0")).unwrap();
        let opened = verifier.open(body, Kind::Answer).unwrap();
        serde_json::from_slice(&opened.payload).unwrap()
    }
}

/// A body as a portal's signed event.
fn signed(portal: &str, body: &str, id: &str, secs: i64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &hook(portal));
    let mac = STANDARD.encode(hmac::sign(&key, format!("{id}.{secs}.{body}").as_bytes()));
    let headers = format!(
        "Content-Type: application/json\r\nwebhook-id: {id}\r\nwebhook-timestamp: {secs}\r\nwebhook-signature: v1,{mac}\r\n"
    );
    web::request("POST", "/v1/hop-requests", &headers, body)
}

/// A running daemon; it ends with the test.
pub struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Daemon {
    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    pub fn is_alive(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// SIGTERM. Gives how long its end took, and whether it was in order.
    pub fn stop(&mut self) -> (Duration, bool) {
        let begun = Instant::now();
        let told = Command::new("kill")
            .args(["-TERM", &self.0.id().to_string()])
            .status();
        assert!(told.unwrap().success());
        while self.is_alive() && begun.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let status = self.0.try_wait().unwrap();
        (begun.elapsed(), status.is_some_and(|s| s.success()))
    }

    /// Memory in use, in KiB.
    pub fn rss(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Threads, and open files.
    pub fn threads_and_files(&self) -> (usize, usize) {
        let count =
            |what| fs::read_dir(format!("/proc/{}/{what}", self.0.id())).map_or(0, Iterator::count);
        (count("task"), count("fd"))
    }
}
