//! A portal in a folder, and providers whose machines the test plays.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tracehop::config::PortalConfig;
use tracehop::host::clock;
use tracehop::portal::docket::Docket;
use tracehop::portal::docket::directory::Card;
use tracehop::proof::Who;
use tracehop::proof::sign::{Kind, Signer};
use tracehop::traceback::answer::answer_id;
use tracehop::traceback::request::sha256_hex;

use crate::node::{free_port, run_section, secret};

/// Token of the machine that hands requests in.
pub const AGENCY: &str = "0123456789abcdef0123456789abcdef-agency";

/// A portal's folder, its database open beside the process.
pub struct Portal {
    dir: tempfile::TempDir,
    docket: Arc<Docket>,
    port: u16,
    whpk: String,
}

/// A process; it ends with the test.
pub struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// kill -9.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// SIGTERM; whether it ended well.
    pub fn stop(mut self) -> bool {
        let pid = self.0.id().to_string();
        let told = Command::new("kill").arg(pid).status().unwrap();
        assert!(told.success());
        self.0.wait().unwrap().success()
    }

    /// Memory in RAM, octets.
    pub fn rss(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = text.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace()
            .next()
            .unwrap()
            .parse::<u64>()
            .unwrap()
            * 1024
    }
}

impl Portal {
    /// Makes a folder by `tracehop portal init`, with more lines in its file.
    pub fn new(more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let at = dir.path().join("portal");
        let port = free_port();
        let made = Command::new(env!("CARGO_BIN_EXE_tracehop"))
            .args(["portal", "init", "--json", "--api"])
            .arg(format!("127.0.0.1:{port}"))
            .args(["--console", &format!("127.0.0.1:{}", free_port())])
            .arg(&at)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let made: Value = serde_json::from_slice(&made.stdout).unwrap();
        secret(at.join("agency.token"), AGENCY);
        let file = at.join("portal.toml");
        let text = fs::read_to_string(&file).unwrap();
        // Whom it goes on as where tests run as root.
        let user = run_section().lines().find(|l| l.starts_with("user"));
        let text = text.replace("[run]\n", &format!("[run]\n{}\n", user.unwrap_or_default()));
        let text = text.replace("per_day = 100 ", "per_day = 100000 ");
        let text = text.replace("per_minute = 3000 ", "per_minute = 600000 ");
        let agency = "[[requester]]\nname = \"agency-1\"\norganisation = \"Agency\"\ntoken_file = \"agency.token\"\n";
        fs::write(&file, format!("{text}\n{agency}{more}")).unwrap();
        let config = PortalConfig::load(&file).unwrap_or_else(|p| panic!("{p:#?}"));
        let signer = Signer::read(&config.settings.key_file).unwrap();
        let docket = Docket::open(config.settings, Arc::new(signer)).unwrap();
        Self {
            dir,
            docket: Arc::new(docket),
            port,
            whpk: made["webhook_key"].as_str().unwrap().to_owned(),
        }
    }

    /// Starts the process and waits until it answers.
    pub fn start(&self) -> Running {
        let at = self.dir.path().join("portal");
        if nix::unistd::geteuid().is_root() {
            let owned = Command::new("chown")
                .args(["-R", "nobody"])
                .arg(&at)
                .status();
            assert!(owned.unwrap().success());
        }
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log())
            .unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_tracehop"))
            .args(["portal", "--config"])
            .arg(at.join("portal.toml"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let running = Running(child);
        let until = Instant::now() + Duration::from_secs(20);
        while self.get("", "/healthz").is_none_or(|r| r.code != 200) {
            assert!(Instant::now() < until, "it is not up:\n{}", self.logs());
            std::thread::sleep(Duration::from_millis(5));
        }
        running
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("portal.log")
    }

    pub fn logs(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    pub fn config(&self) -> PathBuf {
        self.dir.path().join("portal/portal.toml")
    }

    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    pub fn docket(&self) -> &Docket {
        &self.docket
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The key that daemons check pushes with.
    pub fn hook(&self) -> &str {
        &self.whpk
    }

    /// A daemon brings its answers.
    pub fn fetches(&self) -> bool {
        false
    }

    /// Lists a provider and gives its token.
    pub fn token(&self, id: &str) -> String {
        let (who, now) = (Who::Automatic, clock::now());
        self.docket
            .add_provider(&who, &Card::new(id, id), now)
            .unwrap();
        self.docket.new_token(&who, id, now).unwrap()
    }

    /// The keys of a provider, and where it is pushed to.
    pub fn knows(&self, id: &str, jwks: &Value, push: Option<u16>) {
        let (who, now) = (Who::Automatic, clock::now());
        let set = jwks.to_string();
        self.docket.add_keys(&who, id, set.as_bytes(), now).unwrap();
        if let Some(port) = push {
            let card = Card {
                push_url: Some(format!("http://127.0.0.1:{port}/v1/hop-requests").into()),
                ..Card::new(id, id)
            };
            self.docket.change_provider(&who, &card, now).unwrap();
        }
    }

    /// A provider whose machine the test is.
    pub fn machine(&self, id: &str, seed: u8) -> Machine {
        let token = self.token(id);
        let key = signer(seed);
        self.knows(id, &key.jwks(), None);
        Machine {
            id: id.to_owned(),
            token,
            key,
            port: self.port,
        }
    }

    pub fn get(&self, token: &str, path: &str) -> Option<Reply> {
        exchange(self.port, "GET", path, token, b"")
    }

    pub fn send(&self, method: &str, path: &str, token: &str, body: &[u8]) -> Option<Reply> {
        exchange(self.port, method, path, token, body)
    }

    /// `tracehop …` beside it.
    pub fn command(&self, arguments: &[&str]) -> std::process::Output {
        Command::new(env!("CARGO_BIN_EXE_tracehop"))
            .args(arguments)
            .output()
            .unwrap()
    }
}

fn signer(seed: u8) -> Signer {
    let start = [
        0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
    ];
    let text = BASE64_STANDARD.encode([start.as_slice(), &[seed; 32]].concat());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
    Signer::load(pem.as_bytes()).unwrap()
}

/// A provider's machine.
pub struct Machine {
    pub id: String,
    pub token: String,
    pub key: Signer,
    port: u16,
}

impl Machine {
    pub fn get(&self, path: &str) -> Option<Reply> {
        exchange(self.port, "GET", path, &self.token, b"")
    }

    pub fn send(&self, method: &str, path: &str, body: &[u8]) -> Option<Reply> {
        exchange(self.port, method, path, &self.token, body)
    }

    /// Questions that it has not acknowledged, octet by octet.
    pub fn questions(&self) -> Option<Vec<Box<serde_json::value::RawValue>>> {
        #[derive(serde::Deserialize)]
        struct Page {
            requests: Vec<Box<serde_json::value::RawValue>>,
        }
        let path = format!("/v1/providers/{}/hop-requests?state=open", self.id);
        let reply = self.get(&path).filter(|r| r.code == 200)?;
        Some(serde_json::from_str::<Page>(&reply.body).unwrap().requests)
    }

    /// A signed answer to a question, and its id.
    pub fn answer(&self, question: &str, resolution: &str, names: &str) -> (String, Vec<u8>) {
        let asked: Value = serde_json::from_str(question).unwrap();
        let id = answer_id(asked["id"].as_str().unwrap(), 1);
        let mut answer = json!({
            "id": id, "request_id": asked["id"], "case_id": asked["case_id"], "hop_no": asked["hop_no"],
            "request_sha256": sha256_hex(question.as_bytes()), "revision": 1,
            "provider": { "name": self.id, "portal_id": self.id },
            "resolution": resolution, "produced_by": "auto", "matcher_version": "2.1",
        });
        if let Some(digest) = asked.get("previous_hop_digest") {
            answer["previous_hop_digest"] = digest.clone();
        }
        let member = if resolution.starts_with("ORIGIN") {
            "originator"
        } else {
            "upstream"
        };
        answer[member] =
            json!({ "name": names, "portal_id": names, "country": "US", "gateway": false });
        let signed = self.key.sign_value(Kind::Answer, &answer).unwrap();
        (id, signed.json)
    }

    /// Hands an answer in.
    pub fn put(&self, question: &str, id: &str, octets: &[u8]) -> Option<Reply> {
        let asked: Value = serde_json::from_str(question).unwrap();
        let hop = asked["id"].as_str().unwrap();
        self.send(
            "PUT",
            &format!("/v1/hop-requests/{hop}/answers/{id}"),
            octets,
        )
    }
}

/// What came back.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    pub code: u16,
    pub head: String,
    pub body: String,
}

/// One exchange over a connection of its own; `None` where it broke.
pub fn exchange(port: u16, method: &str, path: &str, token: &str, body: &[u8]) -> Option<Reply> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .ok()?;
    let bearer = match token {
        "" => String::new(),
        token => format!("Authorization: Bearer {token}\r\n"),
    };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{bearer}Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).ok()?;
    let mut octets = Vec::new();
    stream.read_to_end(&mut octets).ok()?;
    let text = String::from_utf8(octets).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some(Reply {
        code: head.split(' ').nth(1)?.parse().ok()?,
        head: head.to_owned(),
        body: body.to_owned(),
    })
}
