mod flow;
mod hostile;
mod spec;
mod tls;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::host::clock;
use crate::portal::docket::directory::Card;
use crate::portal::docket::testing::{docket_with, signer};
use crate::portal::docket::{Actor, Handed};
use crate::portal::settings::{PortalSettings, RequesterSettings};
use crate::portal::word::Role;
use crate::proof::Who;
use crate::proof::sign::{Kind, Signer};
use crate::traceback::answer::answer_id;
use crate::web::Check;

/// A token of an agency's machine.
const AGENCY: &str = "an-agency-of-the-test-with-a-long-token";

/// The docket, its API, and two providers: A and B.
struct Place {
    _dir: TempDir,
    docket: Arc<Docket>,
    api: RunningApi,
    tokens: [String; 2],
}

#[derive(Debug)]
struct Fine;

impl Status for Fine {
    fn metrics(&self) -> String {
        "tracehop_portal_cases 1\n".to_owned()
    }
    fn health(&self) -> Vec<Check> {
        vec![Check::good("clock", "turns")]
    }
    fn readiness(&self) -> Vec<Check> {
        self.health()
    }
}

/// The key of a provider.
fn key(provider: &str) -> Signer {
    signer(provider.as_bytes()[0])
}

fn place() -> Place {
    place_with(|_, _| {})
}

fn place_with(change: impl FnOnce(&std::path::Path, &mut PortalSettings)) -> Place {
    let (dir, docket) = docket_with(|at, settings| {
        let file = at.join("agency.token");
        std::fs::write(&file, AGENCY).unwrap();
        settings.requesters = vec![RequesterSettings {
            name: "agency-1".into(),
            organisation: "Agency".into(),
            token_file: file,
        }];
        change(at, settings);
    });
    let tokens = ["A", "B"].map(|id| {
        let now = clock::now();
        docket
            .add_provider(&Who::Automatic, &Card::new(id, id), now)
            .unwrap();
        let set = key(id).jwks().to_string();
        docket
            .add_keys(&Who::Automatic, id, set.as_bytes(), now)
            .unwrap();
        docket.new_token(&Who::Automatic, id, now).unwrap()
    });
    let server = ApiServer::bind(&docket.settings()).unwrap();
    let api = server
        .start(docket.clone(), Arc::new(Fine), clock::now)
        .unwrap();
    Place {
        _dir: dir,
        docket,
        api,
        tokens,
    }
}

impl Place {
    fn at(&self) -> SocketAddr {
        self.api.address()
    }

    fn token(&self, provider: &str) -> &str {
        &self.tokens[usize::from(provider == "B")]
    }

    /// Opens a case whose first question goes to A. Gives the question.
    fn ask(&self, called: &str) -> Value {
        let handed = Handed {
            called: called.into(),
            calling: "+13035550147".into(),
            time: clock::now().minus(Duration::from_secs(600)).to_string(),
            provider: "A".into(),
            campaign: "Test".into(),
            evidence: "A voice.".into(),
            ..Handed::default()
        };
        let actor = Actor {
            who: Who::User("ana".into()),
            role: Role::Analyst,
            organisation: "portal".into(),
            provider: None,
        };
        let case = self
            .docket
            .submit(&actor, &handed, clock::now())
            .unwrap()
            .case;
        let page = self.docket.open_questions("A", 0).unwrap();
        let mut all = page.entries.iter();
        let mut all = all.by_ref().map(|e| serde_json::from_slice::<Value>(e));
        let found = all.find(|q| q.as_ref().unwrap()["case_id"] == *case);
        found.unwrap().unwrap()
    }

    fn get(&self, token: &str, path: &str) -> Reply {
        self.send("GET", path, token, "")
    }

    /// Sends, and holds request and reply against the description.
    fn send(&self, method: &str, path: &str, token: &str, body: &str) -> Reply {
        let reply = exchange(self.at(), method, path, &bearer(token), body);
        spec::holds(method, path, body, &reply);
        reply
    }

    /// A signed answer of a provider.
    fn answer(&self, provider: &str, question: &Value, resolution: &str, names: &str) -> Value {
        let octets = self.octets(question);
        let mut answer = json!({
            "id": answer_id(question["id"].as_str().unwrap(), 1), "request_id": question["id"], "case_id": question["case_id"],
            "hop_no": question["hop_no"], "request_sha256": crate::traceback::request::sha256_hex(&octets), "revision": 1,
            "provider": {"name": provider, "portal_id": provider},
            "resolution": resolution, "produced_by": "auto", "matcher_version": "2.1",
        });
        if let Some(digest) = question.get("previous_hop_digest") {
            answer["previous_hop_digest"] = digest.clone();
        }
        let member = if resolution.starts_with("ORIGIN") {
            "originator"
        } else {
            "upstream"
        };
        if !names.is_empty() {
            answer[member] =
                json!({"name": names, "portal_id": names, "country": "US", "gateway": false});
        }
        answer
    }

    /// A question's octets, as its provider has them.
    fn octets(&self, question: &Value) -> Vec<u8> {
        let all = ["A", "B"].map(|p| self.docket.open_questions(p, 0).unwrap().entries);
        let found = all
            .into_iter()
            .flatten()
            .find(|e| serde_json::from_slice::<Value>(e).unwrap()["id"] == question["id"]);
        found.expect("it was acknowledged already")
    }

    fn put(&self, token: &str, question: &Value, signed: &[u8], id: &str) -> Reply {
        let path = format!(
            "/v1/hop-requests/{}/answers/{id}",
            question["id"].as_str().unwrap()
        );
        self.send("PUT", &path, token, std::str::from_utf8(signed).unwrap())
    }
}

fn signed(provider: &str, answer: &Value) -> Vec<u8> {
    key(provider).sign_value(Kind::Answer, answer).unwrap().json
}

fn bearer(token: &str) -> String {
    match token {
        "" => String::new(),
        token => format!("Authorization: Bearer {token}\r\n"),
    }
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
    let length = match (method, body.len()) {
        ("GET", 0) => String::new(),
        (_, n) => format!("Content-Length: {n}\r\n"),
    };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: portal.example.net\r\n{headers}{length}\r\n{body}"
    );
    raw(to, request.as_bytes()).expect("no reply")
}

/// Sends octets, and reads what comes.
fn raw(to: SocketAddr, octets: &[u8]) -> Option<Reply> {
    let mut s = TcpStream::connect(to).unwrap();
    s.set_read_timeout(Some(Duration::from_secs(70))).unwrap();
    // Whoever refuses may close before all is sent.
    let _ = s.write_all(octets);
    let mut answer = Vec::new();
    let _ = s.read_to_end(&mut answer);
    let text = String::from_utf8(answer).unwrap();
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some(Reply {
        code: head.split(' ').nth(1)?.parse().ok()?,
        head: head.to_owned(),
        body: body.to_owned(),
    })
}
