//! A real portal: `tracehop portal` with its directory and its people, made by its own commands; and providers' machines, which are played here with keys
//! of their own and speak to its API.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use serde_json::{Value, json};
use tracehop::proof::sign::{Kind, Signer, new_key};
use tracehop::traceback::answer::answer_id;
use tracehop::traceback::request::sha256_hex;

use super::driver::http;

/// Everybody's password.
pub const PASSWORD: &str = "a few words in a row";

/// A portal that runs.
pub struct Site {
    folder: tempfile::TempDir,
    process: Child,
    api: u16,
    pub console: u16,
    machines: BTreeMap<String, Machine>,
}

/// A provider's machine.
struct Machine {
    signer: Signer,
    token: String,
    name: String,
}

/// A question as the machine got it.
pub struct Question {
    pub id: String,
    sha256: String,
    said: Value,
}

/// What a machine answers.
pub enum Says<'a> {
    /// It had the call from this provider.
    From(&'a str),
    /// A customer of its own made it.
    Customer(&'a str),
}

impl Site {
    /// With these providers (id, name) and people (name, role, provider).
    pub fn start(providers: &[(&str, &str)], people: &[(&str, &str, Option<&str>)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (api, console) = (free_port(), free_port());
        let dir = folder.path().join("portal");
        let (api_at, console_at) = (format!("127.0.0.1:{api}"), format!("127.0.0.1:{console}"));
        let dir = dir.to_str().unwrap();
        command(
            &[
                "init",
                dir,
                "--name",
                "consortium",
                "--api",
                &api_at,
                "--console",
                &console_at,
                "--json",
            ],
            "",
        );
        let mut site = Self {
            process: Command::new("true").spawn().unwrap(),
            folder,
            api,
            console,
            machines: BTreeMap::new(),
        };
        // Started as root it wants to know as whom it goes on. Tests in a container have nobody else.
        let config = fs::read_to_string(site.config()).unwrap();
        if fs::metadata(site.config()).unwrap().uid() == 0 {
            let config = config.replace("#user = \"tracehop\"", "user = \"root\"");
            fs::write(site.config(), config).unwrap();
        }
        for (id, name) in providers {
            site.provider(id, name);
        }
        for (name, role, provider) in people {
            site.person(name, role, *provider);
        }
        site.run();
        site
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("portal/portal.toml")
    }

    /// The folder of its state.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn act(&self, arguments: &[&str], input: &str) -> String {
        let config = self.config();
        let config = ["--config", config.to_str().unwrap()];
        command(&[arguments, &config].concat(), input)
    }

    fn provider(&mut self, id: &str, name: &str) {
        let key = self.folder.path().join(format!("{id}.pem"));
        let signer = new_key(&key).unwrap();
        let jwks = self.folder.path().join(format!("{id}.jwks"));
        fs::write(&jwks, signer.jwks().to_string()).unwrap();
        self.act(
            &[
                "provider",
                "add",
                id,
                name,
                "--deadline",
                "plain-24h",
                "--keys",
                jwks.to_str().unwrap(),
            ],
            "",
        );
        let token = self.folder.path().join(format!("{id}.token"));
        self.act(
            &["provider", "token", id, "--out", token.to_str().unwrap()],
            "",
        );
        let machine = Machine {
            signer,
            token: fs::read_to_string(token).unwrap().trim().to_owned(),
            name: name.to_owned(),
        };
        self.machines.insert(id.to_owned(), machine);
    }

    fn person(&self, name: &str, role: &str, provider: Option<&str>) {
        let mut arguments = vec![
            "user",
            "add",
            name,
            "--role",
            role,
            "--organisation",
            "Example Bureau",
            "--password-stdin",
        ];
        if let Some(provider) = provider {
            arguments.extend(["--provider", provider]);
        }
        self.act(&arguments, PASSWORD);
    }

    fn run(&mut self) {
        let log = File::create(self.folder.path().join("portal.log")).unwrap();
        self.process = Command::new(env!("CARGO_BIN_EXE_tracehop"))
            .args(["portal", "--config"])
            .arg(self.config())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while !matches!(http(self.console, "GET", "/login", &[], ""), Ok((200, _))) {
            assert!(
                self.process.try_wait().unwrap().is_none()
                    && begun.elapsed() < Duration::from_secs(30),
                "{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What the portal has said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("portal.log")).unwrap_or_default()
    }

    /// A page's address.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.console)
    }

    fn ask(&self, provider: &str, method: &str, path: &str, body: &str) -> (u16, String) {
        let token = format!("Bearer {}", self.machines[provider].token);
        let headers = [
            ("Authorization", &*token),
            ("Content-Type", "application/json"),
        ];
        http(self.api, method, path, &headers, body).unwrap()
    }

    /// The next question to a provider that it has not acknowledged; it acknowledges it.
    pub fn question(&self, provider: &str) -> Question {
        #[derive(serde::Deserialize)]
        struct Page {
            requests: Vec<Box<RawValue>>,
        }
        let begun = Instant::now();
        loop {
            let (status, text) = self.ask(
                provider,
                "GET",
                &format!("/v1/providers/{provider}/hop-requests?state=open&wait=1"),
                "",
            );
            assert_eq!(status, 200, "{text}");
            let page: Page = serde_json::from_str(&text).unwrap();
            if let Some(request) = page.requests.first() {
                let said: Value = serde_json::from_str(request.get()).unwrap();
                let id = said["id"].as_str().unwrap().to_owned();
                let (status, text) =
                    self.ask(provider, "POST", &format!("/v1/hop-requests/{id}/ack"), "");
                assert_eq!(status, 204, "{text}");
                return Question {
                    id,
                    sha256: sha256_hex(request.get().as_bytes()).into(),
                    said,
                };
            }
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "{provider} is asked nothing: {}",
                self.log()
            );
        }
    }

    fn said(&self, provider: &str, question: &Question, says: &Says<'_>) -> Value {
        let machine = &self.machines[provider];
        let party = |id: &str, name: &str| json!({ "name": name, "portal_id": id, "country": "US", "gateway": false });
        let mut answer = json!({
            "id": answer_id(&question.id, 1),
            "request_id": question.id,
            "case_id": question.said["case_id"],
            "hop_no": question.said["hop_no"],
            "request_sha256": question.sha256,
            "revision": 1,
            "provider": { "name": machine.name, "portal_id": provider },
            "resolution": "UPSTREAM_DOMESTIC",
            "evidence": {
                "class": "E3", "posterior": 0.99931, "runner_up": 0.0004, "null": 0.0002, "background_per_s": 0.00001, "candidates": 3,
                "leg": { "at": question.said["call"]["time"]["rfc3339"], "clock_error_ms": 15.0, "clock": "synchronised", "delta_s": 0.2,
                    "calling": "equal", "identifiers": ["call-id"], "delivery": "delivered", "state": "answered", "code": 200, "config": 1 },
                "windows": [{ "from": "2026-11-24T09:28:00Z", "to": "2026-11-24T09:32:00Z", "coverage": 1.0 }], "gaps": [], "gap_count": 0,
            },
            "produced_by": "auto",
            "matcher_version": "1",
            "profile": "strict",
        });
        if let Some(digest) = question.said.get("previous_hop_digest") {
            answer["previous_hop_digest"] = digest.clone();
        }
        match says {
            Says::From(id) => answer["upstream"] = party(id, &self.machines[*id].name),
            Says::Customer(name) => {
                answer["resolution"] = json!("ORIGIN_END_CUSTOMER");
                answer["originator"] = json!({ "name": name, "country": "US", "gateway": false });
                answer["evidence"] = Value::Null;
                answer["produced_by"] = json!("human");
            }
        }
        let members = answer.as_object_mut().unwrap();
        members.retain(|_, v| !v.is_null());
        answer
    }

    /// Signs an answer with the provider's own key, and hands it in.
    pub fn answer(&self, provider: &str, question: &Question, says: &Says<'_>) {
        self.hand_in(provider, question, says, Kind::Answer, "answers");
    }

    /// Shows a draft to the provider's own staff.
    pub fn draft(&self, provider: &str, question: &Question, says: &Says<'_>) {
        self.hand_in(provider, question, says, Kind::Draft, "drafts");
    }

    fn hand_in(&self, provider: &str, question: &Question, says: &Says<'_>, kind: Kind, to: &str) {
        let said = self.said(provider, question, says);
        let signed = self.machines[provider]
            .signer
            .sign_value(kind, &said)
            .unwrap();
        let path = format!(
            "/v1/hop-requests/{}/{to}/{}",
            question.id,
            answer_id(&question.id, 1)
        );
        let (status, text) = self.ask(
            provider,
            "PUT",
            &path,
            &String::from_utf8(signed.json).unwrap(),
        );
        assert!((200..300).contains(&status), "{status}: {text}");
    }

    /// Waits for an event of a kind about a question.
    pub fn event(&self, provider: &str, kind: &str, question: &Question) -> Value {
        let begun = Instant::now();
        loop {
            let (status, text) = self.ask(
                provider,
                "GET",
                &format!("/v1/providers/{provider}/events"),
                "",
            );
            assert_eq!(status, 200, "{text}");
            let page: Value = serde_json::from_str(&text).unwrap();
            let events = page["events"].as_array().unwrap().iter();
            let found = events
                .clone()
                .find(|e| e["type"] == kind && e.to_string().contains(&question.id));
            if let Some(found) = found {
                return found.clone();
            }
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "no {kind}: {text}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A probe as right after its installation: it watches nothing yet, and has its page.
pub struct Probe {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Probe {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let root = fs::metadata(folder.path()).unwrap().uid() == 0;
        let user = if root { "user = \"root\"\n" } else { "" };
        let config = folder.path().join("tracehop.toml");
        let text = format!(
            "[provider]\nname = \"Example Voice\"\ncountry = \"US\"\n[run]\nidle = true\n{user}[store]\npath = \"state/store\"\n\
             [peers]\nfile = \"peers.toml\"\n[http]\nlisten = \"127.0.0.1:{port}\"\n"
        );
        fs::write(&config, text).unwrap();
        let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/peers.example.toml");
        fs::copy(peers, folder.path().join("peers.toml")).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_tracehop"))
            .args(["run", "--config"])
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while !matches!(http(port, "GET", "/", &[], ""), Ok((200, _))) {
            assert!(
                process.try_wait().unwrap().is_none() && begun.elapsed() < Duration::from_secs(30),
                "no page"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Self {
            process,
            port,
            _folder: folder,
        }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// One of the portal's own commands.
fn command(arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tracehop"))
        .arg("portal")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(
        out.status.success(),
        "portal {arguments:?}: {}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8(out.stdout).unwrap()
}
