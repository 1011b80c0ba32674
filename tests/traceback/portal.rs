//! A portal that walks: it keeps a case, asks the next provider by what the last one signed, and checks every signature with its provider's keys.

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post, put};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::{Value, json};
use tracehop::host::clock;
use tracehop::proof::sign::{self, Kind, Verifier};
use tracehop::traceback::answer::RawAnswer;
use tracehop::traceback::path::SignedAnswer;

use crate::chain::{Chain, HOOK, TOKEN};

/// Longest that a walk waits for one provider.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Kept {
    /// Public keys, by provider.
    verifiers: HashMap<String, Arc<Verifier>>,
    /// Where providers are pushed to.
    pushed: HashMap<String, u16>,
    /// Requests, in the order in which they were opened.
    requests: Vec<Asked>,
    deliveries: usize,
    ended: bool,
    wrong: Vec<String>,
}

struct Asked {
    provider: String,
    id: String,
    body: String,
    opened: Instant,
    acked: bool,
    answer: Option<(Duration, SignedAnswer)>,
}

#[derive(Default)]
struct Shared {
    kept: Mutex<Kept>,
    changed: Condvar,
}

/// The portal.
pub struct Portal {
    shared: Arc<Shared>,
    url: String,
}

impl Portal {
    pub fn start() -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        socket.set_nonblocking(true).unwrap();
        let shared = Arc::<Shared>::default();
        let state = shared.clone();
        thread::spawn(move || {
            let router = Router::new()
                .route("/v1/providers/{pid}/hop-requests", get(requests))
                .route("/v1/providers/{pid}/events", get(events))
                .route("/v1/hop-requests/{id}/ack", post(ack))
                .route("/v1/hop-requests/{id}/answers/{answer}", put(answer))
                .with_state(state);
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(serve(socket, router));
        });
        Self { shared, url }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// By which a provider is known: the same for everybody here.
    pub fn token(&self, _: &str) -> String {
        TOKEN.to_owned()
    }

    /// What pushed events are signed with.
    pub fn hook(&self) -> &str {
        HOOK
    }

    /// It fetches the answers of those whom it pushes to.
    pub fn fetches(&self) -> bool {
        true
    }

    /// Learns the keys of everybody, as the real one would at `/.well-known/traceback-provider`.
    pub fn knows(&mut self, chain: &Chain) {
        let mut kept = self.shared.kept.lock().unwrap();
        for hop in &chain.hops {
            let mut verifier = Verifier::default();
            let jwks = hop.jwks.to_string();
            verifier.add(jwks.as_bytes(), Some(&hop.id)).unwrap();
            kept.verifiers.insert(hop.id.clone(), Arc::new(verifier));
            if let Some(port) = hop.push {
                kept.pushed.insert(hop.id.clone(), port);
            }
        }
    }

    pub fn open_case(&self, case: &str, provider: &str, call: Value) {
        self.shared.ask(case, 1, provider, "P-T", None, &call);
    }

    /// Whether the walk came to an end in time.
    pub fn wait_for_end(&self, patience: Duration) -> bool {
        let kept = self.shared.kept.lock().unwrap();
        let going = |k: &mut Kept| !k.ended && k.wrong.is_empty();
        let (kept, _) = self
            .shared
            .changed
            .wait_timeout_while(kept, patience, going)
            .unwrap();
        assert_eq!(kept.wrong, [] as [String; 0]);
        kept.ended
    }

    /// Provider, how long it took, and what it said.
    pub fn steps(&self) -> Vec<(String, Duration, String)> {
        let kept = self.shared.kept.lock().unwrap();
        let step = |a: &Asked| match &a.answer {
            Some((took, s)) => (
                a.provider.clone(),
                *took,
                s.answer.resolution.label().to_owned(),
            ),
            None => (a.provider.clone(), a.opened.elapsed(), "silent".to_owned()),
        };
        kept.requests.iter().map(step).collect()
    }

    pub fn signed_answers(&self) -> Vec<SignedAnswer> {
        let kept = self.shared.kept.lock().unwrap();
        let answers = kept.requests.iter().filter_map(|a| a.answer.clone());
        answers.map(|(_, signed)| signed).collect()
    }

    /// How often an answer was delivered or fetched.
    pub fn deliveries(&self) -> usize {
        self.shared.kept.lock().unwrap().deliveries
    }
}

impl Shared {
    /// Opens a request, and pushes it to whoever is pushed to.
    fn ask(
        self: &Arc<Self>,
        case: &str,
        hop: u32,
        provider: &str,
        downstream: &str,
        before: Option<&str>,
        call: &Value,
    ) {
        let id = format!("{case}-{hop}");
        let mut body = json!({
            "id": id,
            "case_id": case,
            "hop_no": hop,
            "issued_at": clock::now().to_string(),
            "requester": { "id": "portal", "role": "portal" },
            "downstream": { "provider_ids": [downstream] },
            "call": call,
        });
        if let Some(digest) = before {
            body["previous_hop_digest"] = json!(digest);
        }
        let body = body.to_string();
        let mut kept = self.kept.lock().unwrap();
        let push = kept.pushed.get(provider).copied();
        kept.requests.push(Asked {
            provider: provider.to_owned(),
            id: id.clone(),
            body: body.clone(),
            opened: Instant::now(),
            acked: push.is_some(),
            answer: None,
        });
        drop(kept);
        self.changed.notify_all();
        if let Some(port) = push {
            let shared = self.clone();
            thread::spawn(move || shared.push(port, &id, &body));
        }
    }

    /// Pushes, then fetches the answer.
    fn push(self: &Arc<Self>, port: u16, id: &str, body: &str) {
        let data = format!(
            "{{\"type\":\"hop_request.created\",\"timestamp\":\"{}\",\"data\":{body}}}",
            clock::now()
        );
        let secs = clock::now().secs();
        let key = STANDARD
            .decode(HOOK.strip_prefix("whsec_").unwrap())
            .unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let mac = hmac::sign(&key, format!("msg-{id}.{secs}.{data}").as_bytes());
        let mac = STANDARD.encode(mac);
        let head = format!(
            "POST /v1/hop-requests HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             webhook-id: msg-{id}\r\nwebhook-timestamp: {secs}\r\nwebhook-signature: v1,{mac}\r\nContent-Length: {}\r\n\r\n{data}",
            data.len()
        );
        let until = Instant::now() + PATIENCE;
        loop {
            match exchange(port, &head) {
                Some((202 | 200, _)) => break,
                // It may not be up yet.
                None if Instant::now() < until => thread::sleep(Duration::from_millis(50)),
                other => return self.wrong(format!("{id}: pushed, and got {other:?}")),
            }
        }
        let head = format!(
            "GET /v1/hop-requests/{id}/answer HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        );
        while Instant::now() < until {
            if let Some((200, body)) = exchange(port, &head) {
                return match self.take(id, body.as_bytes()) {
                    Ok(()) => {}
                    Err(why) => self.wrong(why),
                };
            }
            thread::sleep(Duration::from_millis(10));
        }
        self.wrong(format!("{id}: no answer to fetch"));
    }

    fn wrong(&self, what: String) {
        self.kept.lock().unwrap().wrong.push(what);
        self.changed.notify_all();
    }

    /// Takes an answer, and walks on.
    fn take(self: &Arc<Self>, id: &str, body: &[u8]) -> Result<(), String> {
        let mut kept = self.kept.lock().unwrap();
        kept.deliveries += 1;
        let (case, hop) = id.rsplit_once('-').unwrap();
        let place = kept.requests.iter().position(|a| a.id == id);
        let place = place.ok_or("unknown request")?;
        let provider = kept.requests[place].provider.clone();
        let opened = kept.verifiers[&provider]
            .open(body, Kind::Answer)
            .map_err(|e| e.to_string())?;
        let answer: RawAnswer =
            serde_json::from_slice(&opened.payload).map_err(|e| e.to_string())?;
        let digest = sign::digest(&opened.jws);
        let asked = &mut kept.requests[place];
        if asked.answer.is_some() {
            return Ok(());
        }
        let request: Value = serde_json::from_str(&asked.body).unwrap();
        let took = asked.opened.elapsed();
        let signed = SignedAnswer {
            answer: answer.clone(),
            digest: digest.clone(),
            signature: Ok(opened.provider),
        };
        asked.answer = Some((took, signed));
        let next = match answer.resolution.label() {
            "UPSTREAM_DOMESTIC" => answer.upstream.as_ref().and_then(|u| u.portal_id.clone()),
            _ => None,
        };
        match next {
            Some(next) => {
                drop(kept);
                let hop: u32 = hop.parse().unwrap();
                self.ask(
                    case,
                    hop + 1,
                    &next,
                    &provider,
                    Some(&digest),
                    &request["call"],
                );
            }
            None => {
                kept.ended = true;
                drop(kept);
                self.changed.notify_all();
            }
        }
        Ok(())
    }
}

/// One exchange over a connection of its own: status and body.
fn exchange(port: u16, request: &str) -> Option<(u16, String)> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(15)))
        .ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let status = text.split(' ').nth(1)?.parse().ok()?;
    let (_, body) = text.split_once("\r\n\r\n")?;
    Some((status, body.to_owned()))
}

async fn serve(socket: TcpListener, router: Router) {
    use hyper::server::conn::http1;
    use hyper_util::rt::TokioIo;
    use hyper_util::service::TowerToHyperService;
    let listener = tokio::net::TcpListener::from_std(socket).unwrap();
    while let Ok((stream, _)) = listener.accept().await {
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            // Whoever goes away in the middle asks again.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

type Wish = Query<HashMap<String, String>>;

async fn requests(
    State(shared): State<Arc<Shared>>,
    Path(pid): Path<String>,
    Query(wish): Wish,
    headers: HeaderMap,
) -> Result<String, StatusCode> {
    let token = headers.get("authorization").and_then(|v| v.to_str().ok());
    if token != Some(&format!("Bearer {TOKEN}")) {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let cursor: usize = wish["cursor"].parse().unwrap_or(0);
    let wait: u64 = wish["wait"].parse().map_err(|_| StatusCode::BAD_REQUEST)?;
    let until = Instant::now() + Duration::from_secs(wait);
    loop {
        let (found, next) = {
            let kept = shared.kept.lock().unwrap();
            let open = |a: &&Asked| a.provider == pid && a.answer.is_none();
            let all = kept.requests.iter().skip(cursor).filter(open);
            let all: Vec<String> = all.map(|a| a.body.clone()).collect();
            (all, kept.requests.len())
        };
        if !found.is_empty() || Instant::now() >= until {
            let all = found.join(",");
            return Ok(format!("{{\"requests\":[{all}],\"cursor\":\"{next}\"}}"));
        }
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

async fn events(Query(wish): Wish) -> Result<String, StatusCode> {
    let wait: u64 = wish["wait"].parse().map_err(|_| StatusCode::BAD_REQUEST)?;
    tokio::time::sleep(Duration::from_secs(wait)).await;
    Ok("{\"events\":[]}".to_owned())
}

async fn ack(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> StatusCode {
    let mut kept = shared.kept.lock().unwrap();
    match kept.requests.iter_mut().find(|a| a.id == id) {
        Some(asked) => {
            asked.acked = true;
            StatusCode::NO_CONTENT
        }
        None => StatusCode::NOT_FOUND,
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    Path((id, _)): Path<(String, String)>,
    body: Bytes,
) -> StatusCode {
    let acked = {
        let kept = shared.kept.lock().unwrap();
        kept.requests.iter().any(|a| a.id == id && a.acked)
    };
    if !acked {
        shared.wrong(format!("{id}: answered, and never acknowledged"));
    }
    match shared.take(&id, &body) {
        Ok(()) => StatusCode::CREATED,
        Err(why) => {
            shared.wrong(why);
            StatusCode::BAD_REQUEST
        }
    }
}
