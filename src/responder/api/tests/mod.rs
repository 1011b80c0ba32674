//! Over real sockets, with a real desk, real signatures and the matcher; the store is in memory.

mod operators;
mod pushes;
mod refusals;
mod spec;
mod tls;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;

use super::*;
use crate::number::NumberPlan;
use crate::proof::sign::new_key;
use crate::responder::adapter::AdapterSettings;
use crate::responder::case::Mode;
use crate::responder::desk::DeskSettings;
use crate::responder::settings::{OperatorSettings, PortalSettings, ResponderSettings, Role};
use crate::store::memory::Memory;
use crate::traceback::TracebackSettings;
use crate::traceback::answer::Resolution;
use crate::traceback::deadline::DeadlineRule;
use crate::traceback::sample::{T0, call, coverage, peers};

/// A day after the call, and going on.
fn now() -> Timestamp {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    let since = BEGIN.get_or_init(Instant::now).elapsed();
    T0.plus(Duration::from_secs(86_400)).plus(since)
}

/// The house behind the API.
struct House {
    desk: Arc<Desk>,
    store: Memory,
    signer: Arc<Signer>,
    moved: watch::Sender<u64>,
}

impl House {
    /// Does what the worker does.
    fn work(&self) {
        for waiting in self.desk.received(100, now()).unwrap() {
            let answered = match self.read(&waiting.octets) {
                Ok(request) => self.look_up(&request, now()).unwrap(),
                Err(refused) => {
                    crate::responder::insufficient(&refused, &TracebackSettings::default(), 1)
                }
            };
            self.desk.matched(&waiting.key, &answered, now()).unwrap();
        }
        self.moved.send_modify(|n| *n += 1);
    }
}

impl ApiBackend for House {
    fn taken(&self, _: &RequestKey) {
        self.work();
    }

    fn moved(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }

    fn read(&self, octets: &[u8]) -> Result<HopRequest, Insufficient> {
        HopRequest::parse(octets, &NumberPlan::default())
    }

    fn look_up(&self, request: &HopRequest, now: Timestamp) -> Result<Answered, String> {
        let settings = TracebackSettings::default();
        crate::responder::answer(request, &self.store, &peers(), &settings, now)
            .map_err(|e| e.to_string())
    }

    fn coverage(&self, from: Timestamp, until: Timestamp) -> Result<Vec<Coverage>, String> {
        use crate::store::Lookup;
        self.store.coverage(from, until).map_err(|e| e.to_string())
    }

    fn sensors(&self) -> Vec<Arc<str>> {
        Vec::new()
    }

    fn party(&self, peer: &str) -> Option<(Arc<str>, Party)> {
        let peers = peers();
        let peer = peers.peer(peer)?;
        Some((peer.id.clone(), Party::of(peer)))
    }

    fn about(&self) -> About {
        About {
            name: Some("Example Voice LLC".into()),
            ids: vec!["EV-01".into()],
            retention_days: 548,
        }
    }

    fn signer(&self) -> Option<Arc<Signer>> {
        Some(self.signer.clone())
    }
}

/// Everything that a test needs.
struct Bench {
    dir: TempDir,
    settings: ResponderSettings,
    house: Arc<House>,
    api: RunningApi,
    east: Hook,
    west: Hook,
}

/// A portal's hand.
struct Hook(ring::hmac::Key, Option<Ed25519KeyPair>);

static IDS: AtomicU64 = AtomicU64::new(1);

impl Hook {
    fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let mut signed = format!("{id}.{timestamp}.").into_bytes();
        signed.extend_from_slice(body);
        match &self.1 {
            Some(pair) => format!("v1a,{}", STANDARD.encode(pair.sign(&signed))),
            None => format!("v1,{}", STANDARD.encode(ring::hmac::sign(&self.0, &signed))),
        }
    }

    fn headers(&self, body: &[u8]) -> String {
        let id = format!("msg_{}", IDS.fetch_add(1, Ordering::Relaxed));
        self.headers_of(&id, now().secs(), body)
    }

    fn headers_of(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let signature = self.sign(id, timestamp, body);
        format!(
            "webhook-id: {id}\r\nwebhook-timestamp: {timestamp}\r\nwebhook-signature: {signature}\r\n"
        )
    }
}

fn file(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn token(name: &str) -> String {
    format!("{name}-token-of-the-tests-0123456789")
}

fn portal(dir: &Path, name: &str, secret: &str) -> PortalSettings {
    PortalSettings {
        name: name.into(),
        mode: Mode::Automatic,
        automatic: vec![Resolution::UpstreamDomestic],
        drafts: crate::responder::case::Drafts::Off,
        deadline: DeadlineRule::Plain,
        time_zone: "America/New_York".into(),
        requests_per_minute: 60_000,
        webhook_secrets: Some(file(dir, &format!("{name}.secrets"), secret)),
        token_file: Some(file(dir, &format!("{name}.token"), &token(name))),
        client_certificate: None,
        adapter: AdapterSettings::PushOnly,
        reports: Vec::new(),
        reports_per_day: 0,
    }
}

impl Bench {
    fn new() -> Self {
        Self::with(|_, _| {})
    }

    /// With settings changed before it starts.
    fn with(change: impl FnOnce(&Path, &mut ResponderSettings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        let secret = [7u8; 32];
        let pair = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap();
        let public = STANDARD.encode(pair.public_key());
        let operator = |name: &str, roles: &[Role]| OperatorSettings {
            name: name.into(),
            token_file: file(at, &format!("{name}.token"), &token(name)),
            roles: roles.to_vec(),
        };
        let all = [Role::Read, Role::Lookup, Role::Decide, Role::Audit];
        let mut settings = ResponderSettings {
            state: at.join("state"),
            key_file: None,
            listen: Some("127.0.0.1:0".parse().unwrap()),
            tls: None,
            public_url: Some("https://provider.example.net".into()),
            portals: vec![
                portal(at, "east", &format!("whsec_{}\n", STANDARD.encode(secret))),
                portal(at, "west", &format!("whpk_{public}\n")),
            ],
            operators: vec![operator("alice", &all), operator("bob", &[Role::Read])],
            open_requests: 1_000,
        };
        change(at, &mut settings);
        let signer = Arc::new(new_key(&at.join("key.pem")).unwrap());
        let desk = Arc::new(
            Desk::open(
                &settings.state,
                DeskSettings::from(&settings),
                Some(signer.clone()),
            )
            .unwrap(),
        );
        let house = Arc::new(House {
            desk: desk.clone(),
            store: Memory::of(call(1, "north", "east", 0).records(), coverage()).unwrap(),
            signer,
            moved: watch::Sender::new(0),
        });
        let server = ApiServer::bind(&settings).unwrap().unwrap();
        let api = server.start(desk, house.clone(), now).unwrap();
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &secret);
        let none = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &[]);
        Self {
            dir,
            settings,
            house,
            api,
            east: Hook(key, None),
            west: Hook(none, Some(pair)),
        }
    }

    fn at(&self) -> SocketAddr {
        self.api.address()
    }

    fn push(&self, hook: &Hook, event: &Value, prefer: &str) -> Reply {
        let body = event.to_string();
        let headers = hook.headers(body.as_bytes());
        self.ask(
            "POST",
            "/v1/hop-requests",
            &format!("{headers}{prefer}"),
            &body,
        )
    }

    fn get(&self, who: &str, path: &str) -> Reply {
        self.ask("GET", path, &bearer(who), "")
    }

    fn post(&self, who: &str, path: &str, body: &Value) -> Reply {
        self.ask("POST", path, &bearer(who), &body.to_string())
    }

    /// Asks, and holds request and reply against the description.
    fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Reply {
        let reply = exchange(self.at(), method, path, headers, body);
        spec::holds(method, path, body, &reply);
        reply
    }
}

fn bearer(who: &str) -> String {
    format!("Authorization: Bearer {}\r\n", token(who))
}

/// What came back.
#[derive(Clone, Debug, PartialEq)]
struct Reply {
    code: u16,
    head: String,
    body: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|l| l.split_once(": "));
        lines.find(|(n, _)| *n == name).map(|(_, v)| v)
    }
}

fn exchange(to: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> Reply {
    let mut s = TcpStream::connect(to).unwrap();
    s.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let length = match (method, body.len()) {
        ("GET", 0) => String::new(),
        (_, n) => format!("Content-Length: {n}\r\n"),
    };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: provider.example.net\r\n{headers}{length}\r\n{body}"
    );
    s.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    s.read_to_end(&mut answer).unwrap();
    reply(&answer)
}

fn reply(octets: &[u8]) -> Reply {
    let text = String::from_utf8(octets.to_vec()).unwrap();
    let (head, body) = text
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no head: {text:?}"));
    Reply {
        code: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

/// A request about the call that the store has, whose downstream is `east`.
fn request(id: &str) -> Value {
    json!({
        "id": id,
        "case_id": "C-1",
        "downstream": { "provider_ids": ["EA-01"] },
        "call": {
            "called": "+12025550123",
            "calling": "+13035550147",
            "time": { "value": T0.to_string(), "precision_s": 1 },
        },
    })
}

fn event(kind: &str, data: Value) -> Value {
    json!({ "type": kind, "timestamp": now().to_string(), "data": data })
}

fn created(id: &str) -> Value {
    event("hop_request.created", request(id))
}
