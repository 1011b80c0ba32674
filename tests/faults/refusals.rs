//! Whoever is not known, and whoever asks for what is not his, learns nothing: not from octets, not from time. Over TLS, with client certificates, from a real
//! process; and messages that were captured are worth nothing, after a restart neither.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::json;
use tokio_rustls::rustls::crypto::ring as provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tracehop::host::clock;

use crate::house::{House, PortalLines, token};
use crate::web::{self, Reply};

/// Tries of each way.
const TRIES: usize = 200;

/// Who tries at the same time.
const THREADS: usize = 8;

/// When a refusal leaves (`responder::api::refusal`).
const AFTER: Duration = Duration::from_millis(50);

struct Authority {
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self {
            certificate: params.self_signed(&key).unwrap(),
            issuer: Issuer::new(params, key),
        }
    }

    fn leaf(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// A client that trusts this authority, and shows a certificate by another one or none.
    fn client(&self, shows: Option<(&Self, &str)>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(provider::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        Arc::new(match shows {
            Some((by, name)) => {
                let (certificate, key) = by.leaf(name);
                let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
                let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
            None => builder.with_no_client_auth(),
        })
    }
}

/// One exchange: its reply, and how long it took once the connection was there.
fn exchange(client: &Arc<ClientConfig>, port: u16, octets: &str) -> Option<(Reply, Duration)> {
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = ClientConnection::new(client.clone(), name).unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_nodelay(true).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .ok()?;
    while client.is_handshaking() {
        client.complete_io(&mut stream).ok()?;
    }
    let mut stream = StreamOwned::new(client, stream);
    let begun = Instant::now();
    stream.write_all(octets.as_bytes()).ok()?;
    let mut answer = Vec::new();
    // The other side may end without a close_notify.
    let _ = stream.read_to_end(&mut answer);
    let took = begun.elapsed();
    Some((Reply::of(&answer)?, took))
}

/// A way to be refused.
struct Way {
    what: &'static str,
    /// The reason as the metrics say it.
    reason: &'static str,
    client: Arc<ClientConfig>,
    /// What is sent; the number makes ids that were never used.
    octets: Box<dyn Fn(usize) -> String + Send + Sync>,
}

fn now() -> i64 {
    clock::now().secs()
}

fn get(portal: &str, path: &str) -> String {
    let headers = match portal {
        "" => String::new(),
        portal => format!("Authorization: Bearer {}\r\n", token(portal)),
    };
    web::request("GET", path, &headers, "")
}

struct Bench {
    house: Arc<House>,
    authority: Authority,
    /// Shows nothing; shows the certificate of the portal that is bound to one.
    plain: Arc<ClientConfig>,
    portal: Arc<ClientConfig>,
}

impl Bench {
    /// Portal `east` is bound to a certificate, `west` is not.
    fn new() -> Self {
        let authority = Authority::new();
        let (server, key) = authority.leaf("localhost");
        let files = [
            ("api.pem", server.pem()),
            ("api.key", key.serialize_pem()),
            ("ca.pem", authority.certificate.pem()),
        ];
        let tls = "[responder.tls]\ncertificate = \"api.pem\"\nkey = \"api.key\"\nclient_ca = \"ca.pem\"\n";
        let mut east = PortalLines::pushes("east");
        east.lines = "client_certificate = \"portal.example.net\"\n".to_owned();
        let house = House::with(&files, tls, &[east, PortalLines::pushes("west")]);
        Self {
            house: Arc::new(house),
            plain: authority.client(None),
            portal: authority.client(Some((&authority, "portal.example.net"))),
            authority,
        }
    }

    fn is_up(&self) {
        let until = Instant::now() + Duration::from_secs(60);
        let ask = web::request("GET", "/.well-known/traceback-provider", "", "");
        while exchange(&self.plain, self.house.api, &ask).is_none_or(|(r, _)| r.code != 200) {
            assert!(Instant::now() < until, "not up:\n{}", self.house.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn ask(&self, client: &Arc<ClientConfig>, octets: &str) -> Reply {
        let reply = exchange(client, self.house.api, octets);
        reply
            .unwrap_or_else(|| panic!("no reply\n{}", self.house.log()))
            .0
    }

    fn event(&self, portal: &str, kind: &str, data: &str, id: &str) -> String {
        self.house.event(portal, kind, data, id, now())
    }

    fn state(&self, id: &str) -> String {
        let ask = get("alice", &format!("/v1/hop-requests/{id}"));
        let line: serde_json::Value =
            serde_json::from_str(&self.ask(&self.plain, &ask).body).unwrap_or_default();
        line["state"].as_str().unwrap_or("unknown").to_owned()
    }

    fn until(&self, id: &str, wanted: &str) {
        let begun = Instant::now();
        while self.state(id) != wanted {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "{}\n{}",
                self.state(id),
                self.house.log()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn ways(&self, captured: &str) -> Vec<Way> {
        let stranger = self
            .authority
            .client(Some((&self.authority, "stranger.example.net")));
        let house = &self.house;
        let post = {
            let house = house.clone();
            move |portal: &'static str, n: usize, secs: i64| {
                house.event(
                    portal,
                    "hop_request.created",
                    &house.request("HR-9", "C-9"),
                    &format!("w-{portal}-{n}-{secs}"),
                    secs,
                )
            }
        };
        let way = |what,
                   reason,
                   client: &Arc<ClientConfig>,
                   octets: Box<dyn Fn(usize) -> String + Send + Sync>| Way {
            what,
            reason,
            client: client.clone(),
            octets,
        };
        let plain = &self.plain;
        let captured = captured.to_owned();
        let posts = || post.clone();
        let (p1, p2, p3, p4, p5) = (posts(), posts(), posts(), posts(), posts());
        vec![
            way(
                "a key that nobody has",
                "forged",
                plain,
                Box::new(move |n| p1("nobody", n, now())),
            ),
            way(
                "another body than was signed",
                "forged",
                plain,
                Box::new(move |n| p2("west", n, now()).replace("HR-9", "HR-8")),
            ),
            way(
                "no signature",
                "unsigned",
                plain,
                Box::new(|_| {
                    web::request(
                        "POST",
                        "/v1/hop-requests",
                        "",
                        "{\"type\":\"hop_request.created\"}",
                    )
                }),
            ),
            way(
                "signed long ago",
                "stale",
                plain,
                Box::new(move |n| p3("west", n, now() - 400)),
            ),
            way(
                "signed in the future",
                "stale",
                plain,
                Box::new(move |n| p4("west", n, now() + 400)),
            ),
            way(
                "signed before the start",
                "before-start",
                plain,
                Box::new(move |n| p5("west", n, now() - 200)),
            ),
            way(
                "captured and replayed",
                "replayed",
                plain,
                Box::new(move |_| captured.clone()),
            ),
            way(
                "no such request",
                "not-there",
                plain,
                Box::new(|n| get("west", &format!("/v1/hop-requests/HR-none-{n}"))),
            ),
            way(
                "another portal's request",
                "not-there",
                plain,
                Box::new(|_| get("west", "/v1/hop-requests/HR-EAST")),
            ),
            way(
                "another portal's answer",
                "not-there",
                plain,
                Box::new(|_| get("west", "/v1/hop-requests/HR-EAST/answer")),
            ),
            way(
                "another portal's evidence",
                "not-there",
                plain,
                Box::new(|_| get("west", "/v1/hop-requests/HR-EAST/evidence")),
            ),
            way(
                "a token that nobody has",
                "token",
                plain,
                Box::new(|_| get("nobody", "/v1/hop-requests/HR-EAST")),
            ),
            way(
                "no token",
                "unknown",
                plain,
                Box::new(|_| get("", "/v1/hop-requests/HR-EAST")),
            ),
            way(
                "what is for operators",
                "not-for-portals",
                plain,
                Box::new(|_| get("west", "/v1/hop-requests?state=review")),
            ),
            way(
                "no such path",
                "no-route",
                plain,
                Box::new(|_| get("west", "/v1/calls")),
            ),
            way(
                "its token without its certificate",
                "certificate",
                plain,
                Box::new(|_| get("east", "/v1/hop-requests/HR-EAST")),
            ),
            way(
                "its token with another's certificate",
                "certificate",
                &stranger,
                Box::new(|_| get("east", "/v1/hop-requests/HR-EAST")),
            ),
            way(
                "another's certificate alone",
                "certificate",
                &stranger,
                Box::new(|_| get("", "/v1/hop-requests/HR-EAST")),
            ),
            way(
                "no such token with another's certificate",
                "token",
                &stranger,
                Box::new(|_| get("nobody", "/v1/hop-requests/HR-EAST")),
            ),
        ]
    }
}

/// How probable it is that one of the first takes longer than one of the second: Mann and Whitney's U by the product of both counts.
fn longer(first: &[Duration], second: &[Duration]) -> f64 {
    let mut all: Vec<(Duration, bool)> = first.iter().map(|t| (*t, true)).collect();
    all.extend(second.iter().map(|t| (*t, false)));
    all.sort_unstable();
    let (mut below, mut u) = (0, 0);
    for (_, is_first) in all {
        match is_first {
            true => u += below,
            false => below += 1,
        }
    }
    u as f64 / (first.len() * second.len()) as f64
}

#[test]
fn refusals_are_the_same_to_the_octet_and_take_the_same_time() {
    let bench = Bench::new();
    let mut daemon = bench.house.start();
    bench.is_up();
    let east = bench.house.request("HR-EAST", "C-1");
    let reply = bench.ask(
        &bench.portal,
        &bench.event("east", "hop_request.created", &east, "e-1"),
    );
    assert_eq!(reply.code, 202, "{reply:?}\n{}", bench.house.log());
    bench.until("HR-EAST", "outbox");
    let captured = bench.event(
        "west",
        "hop_request.created",
        &bench.house.request("HR-WEST", "C-2"),
        "w-1",
    );
    assert_eq!(bench.ask(&bench.plain, &captured).code, 202);
    let ways = bench.ways(&captured);
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); ways.len()];
    let mut shapes = BTreeMap::<String, Vec<&str>>::new();
    let port = bench.house.api;
    thread::scope(|scope| {
        let ways = &ways;
        let all: Vec<_> = (0..THREADS)
            .map(|t| {
                scope.spawn(move || {
                    let mut seen = Vec::new();
                    for n in 0..TRIES / THREADS * ways.len() {
                        // Each begins elsewhere, so that a machine that stops for a moment stops for all ways.
                        let which = (n + t * 7) % ways.len();
                        let way = &ways[which];
                        let octets = (way.octets)(t * 1_000_000 + n);
                        let (reply, took) = exchange(&way.client, port, &octets)
                            .unwrap_or_else(|| panic!("{}: nothing", way.what));
                        let head: Vec<_> = reply
                            .head
                            .lines()
                            .filter(|l| !l.starts_with("date: "))
                            .collect();
                        seen.push((
                            which,
                            format!("{}\n\n{}", head.join("\n"), reply.body),
                            took,
                        ));
                    }
                    seen
                })
            })
            .collect();
        for (which, shape, took) in all.into_iter().flat_map(|t| t.join().unwrap()) {
            times[which].push(took);
            let of = shapes.entry(shape).or_default();
            if !of.contains(&ways[which].what) {
                of.push(ways[which].what);
            }
        }
    });
    assert_eq!(shapes.len(), 1, "{shapes:#?}");
    assert!(
        shapes.keys().next().unwrap().starts_with("HTTP/1.1 404"),
        "{shapes:#?}"
    );
    // What is compared is what the sender can't know: he knows whether he shows a certificate, which costs its check.
    for shows in [false, true] {
        let of: Vec<usize> = (0..ways.len())
            .filter(|w| Arc::ptr_eq(&ways[*w].client, &bench.plain) != shows)
            .collect();
        let mut medians = Vec::new();
        for way in &of {
            let others: Vec<Duration> = of
                .iter()
                .filter(|w| *w != way)
                .flat_map(|w| times[*w].clone())
                .collect();
            let share = longer(&times[*way], &others);
            let mut own = times[*way].clone();
            own.sort_unstable();
            let (what, median) = (ways[*way].what, own[own.len() / 2]);
            println!(
                "{what}: from {:?}, median {median:?}, longer than others {share:.2}",
                own[0]
            );
            assert!(own[0] >= AFTER, "{what} after {:?}", own[0]);
            // Loose: this machine does much else. A path that skips the fixed time has 0 here, one that takes a step more has 1.
            assert!((0.15..0.85).contains(&share), "{what}: {share}");
            medians.push(median);
        }
        medians.sort_unstable();
        let apart = *medians.last().unwrap() - medians[0];
        assert!(apart < Duration::from_millis(15), "{medians:?}");
    }
    // This house knows which was which.
    let mut wanted = BTreeMap::<&str, usize>::new();
    for (way, times) in ways.iter().zip(&times) {
        *wanted.entry(way.reason).or_default() += times.len();
    }
    for (reason, n) in wanted {
        let name = format!("tracehop_api_refused_total{{reason=\"{reason}\"}}");
        assert_eq!(bench.house.metric(&name) as usize, n, "{reason}");
    }
    // A certificate that another authority made gets no connection at all.
    let other = Authority::new();
    let foreign = bench.authority.client(Some((&other, "portal.example.net")));
    assert!(exchange(&foreign, port, &get("east", "/v1/hop-requests/HR-EAST")).is_none());
    assert!(daemon.is_alive());
    let (_, in_order) = daemon.stop();
    assert!(in_order, "{}", bench.house.log());
    assert_eq!(
        bench.house.rows("SELECT id FROM request ORDER BY id"),
        ["HR-EAST", "HR-WEST"]
    );
    assert_eq!(
        bench
            .house
            .rows("SELECT act FROM audit WHERE act = 'refused'"),
        ["refused"],
        "a sum, not a line each"
    );
    bench.house.audit_holds();
}

#[test]
fn a_captured_message_is_worth_nothing_and_what_came_of_it_can_be_checked() {
    let bench = Bench::new();
    let mut daemon = bench.house.start();
    bench.is_up();
    let created = bench.event(
        "west",
        "hop_request.created",
        &bench.house.request("HR-1", "C-1"),
        "m-1",
    );
    assert_eq!(bench.ask(&bench.plain, &created).code, 202);
    bench.until("HR-1", "outbox");
    let fetch = get("west", "/v1/hop-requests/HR-1/answer");
    let answer = bench.ask(&bench.plain, &fetch);
    assert_eq!(answer.code, 200);
    bench.until("HR-1", "sent");
    // Taken back, and asked again: what took it back must not do so twice.
    let back = json!({ "request_id": "HR-1" }).to_string();
    let withdrawn = bench.event("west", "hop_request.withdrawn", &back, "m-2");
    assert_eq!(bench.ask(&bench.plain, &withdrawn).code, 204);
    bench.until("HR-1", "withdrawn");
    let again = bench.event(
        "west",
        "hop_request.created",
        &bench.house.request("HR-1", "C-1"),
        "m-3",
    );
    assert_eq!(bench.ask(&bench.plain, &again).code, 202);
    bench.until("HR-1", "outbox");
    let all = [&created, &withdrawn, &again];
    let replays = |when: &str| {
        for message in all {
            let asks = [
                message.clone(),
                message.replacen("Content-Type", "Prefer: wait=2\r\nContent-Type", 1),
            ];
            for ask in asks {
                assert_eq!(bench.ask(&bench.plain, &ask).code, 404, "{when}");
            }
        }
        let state = bench.state("HR-1");
        assert_eq!(state, "outbox", "{when}");
    };
    replays("while it runs");
    // The process forgets what it saw, and takes nothing from before; seconds are what a message is signed with.
    daemon.kill();
    thread::sleep(Duration::from_millis(1100));
    daemon = bench.house.start();
    bench.is_up();
    replays("after kill -9");
    // The portal itself goes on, signed anew.
    let anew = bench.event("west", "hop_request.withdrawn", &back, "m-2");
    assert_eq!(bench.ask(&bench.plain, &anew).code, 204);
    bench.until("HR-1", "withdrawn");
    let (_, in_order) = daemon.stop();
    assert!(in_order, "{}", bench.house.log());
    verify(&bench.house, &answer.body);
}

/// What anybody with our public keys can check: the answer, and the audit log against a head that was kept.
fn verify(house: &House, answer: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let keys = file("P-0.json", &house.jwks.to_string());
    let run = |words: &[&str]| {
        let out = Command::new(env!("CARGO_BIN_EXE_tracehop"))
            .args(words)
            .output()
            .unwrap();
        (
            out.status.success(),
            String::from_utf8_lossy(&out.stdout).into_owned(),
        )
    };
    let good = file("good.json", answer);
    let dir = folder.path().join("keys");
    fs::create_dir(&dir).unwrap();
    fs::copy(&keys, dir.join("P-0.json")).unwrap();
    let dir = dir.to_str().unwrap();
    let (holds, said) = run(&["answer", "verify", &good, "--keys", dir]);
    assert!(holds, "{said}");
    let bad = file(
        "bad.json",
        &answer.replace("UPSTREAM_DOMESTIC", "ORIGIN_END_CUSTOMER"),
    );
    assert!(
        !run(&["answer", "verify", &bad, "--keys", dir]).0,
        "a changed answer holds"
    );
    let head = house.cli(&["audit", "head"]);
    assert!(head.status.success());
    let head = file("head.json", &String::from_utf8_lossy(&head.stdout));
    let kept = house.cli(&["audit", "verify", "--head", &head]);
    assert!(
        kept.status.success(),
        "{}",
        String::from_utf8_lossy(&kept.stdout)
    );
}
