//! A webhook against a real HTTP server on loopback, which judges signatures for itself.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::sink::webhook::{WebhookSecret, WebhookUrl};
use super::*;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[derive(Clone, Debug)]
struct Got {
    id: String,
    signature: String,
    timestamp: String,
    body: String,
}

/// A server that gives its answers in turn, the last one for ever. `None` hangs.
struct Server {
    at: SocketAddr,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Server {
    fn start(answers: Vec<Option<&'static str>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let got = Arc::<Mutex<Vec<Got>>>::default();
        let seen = got.clone();
        std::thread::spawn(move || {
            let answers = Arc::new(Mutex::new(answers));
            for stream in listener.incoming() {
                let (seen, answers) = (seen.clone(), answers.clone());
                std::thread::spawn(move || {
                    let _ = serve(stream.unwrap(), &seen, &answers);
                });
            }
        });
        Self { at, got }
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    fn way(&self) -> WebhookSettings {
        WebhookSettings {
            to: WebhookUrl::parse(&format!("http://{}/hook", self.at)).unwrap(),
            secrets: vec![WebhookSecret::parse(SECRET).unwrap()],
            roots: None,
            batch: 10,
            timeout: Duration::from_millis(300),
            tries: 3,
        }
    }
}

fn serve(
    stream: impl Read + Write,
    seen: &Mutex<Vec<Got>>,
    answers: &Mutex<Vec<Option<&'static str>>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        assert_eq!(line, "POST /hook HTTP/1.1\r\n");
        let mut headers = std::collections::BTreeMap::new();
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            match line.trim_end().split_once(": ") {
                Some((name, value)) => headers.insert(name.to_lowercase(), value.to_owned()),
                None => break,
            };
        }
        let mut body = vec![0; headers["content-length"].parse().unwrap()];
        reader.read_exact(&mut body)?;
        seen.lock().unwrap().push(Got {
            id: headers["webhook-id"].clone(),
            signature: headers["webhook-signature"].clone(),
            timestamp: headers["webhook-timestamp"].clone(),
            body: String::from_utf8(body).unwrap(),
        });
        let answer = {
            let mut answers = answers.lock().unwrap();
            match answers.len() {
                1 => answers[0],
                _ => answers.remove(0),
            }
        };
        match answer {
            Some(answer) => {
                write!(
                    reader.get_mut(),
                    "HTTP/1.1 {answer}\r\ncontent-length: 2\r\n\r\nok"
                )?;
            }
            None => std::thread::sleep(Duration::from_secs(2)),
        }
    }
}

fn run(server: &Server, calls: u64) -> (Findings, FindingsView) {
    let way = Way::Webhook(Box::new(server.way()));
    let findings = Findings::start(&settings(vec![sink("hook", way)])).unwrap();
    let (tap, view) = (findings.tap(), findings.view());
    (1..=calls).for_each(|uid| tap.tell_call(flagged(uid)));
    (findings, view)
}

fn uids(got: &Got) -> Vec<u64> {
    let body: serde_json::Value = serde_json::from_str(&got.body).unwrap();
    assert_eq!(body["type"], "tracehop.findings");
    let data = body["data"].as_array().unwrap().iter();
    data.map(|e| e["uid"].as_u64().unwrap()).collect()
}

/// As a receiver does it, by the specification.
fn check_signature(got: &Got) {
    let secret = STANDARD
        .decode(SECRET.strip_prefix("whsec_").unwrap())
        .unwrap();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &secret);
    let signed = format!("{}.{}.{}", got.id, got.timestamp, got.body);
    let signature = got.signature.strip_prefix("v1,").unwrap();
    let signature = STANDARD.decode(signature).unwrap();
    ring::hmac::verify(&key, signed.as_bytes(), &signature).unwrap();
    let age = crate::host::clock::now().secs() - got.timestamp.parse::<i64>().unwrap();
    assert!((0..60).contains(&age));
}

#[test]
fn signatures_are_those_of_the_specification() {
    // The example of the specification's own libraries.
    let secret = WebhookSecret::parse(SECRET).unwrap();
    let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    let body = br#"{"test": 2432232314}"#;
    let signature = secret.sign_for_tests(id, 1_614_265_330, body);
    assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    assert_eq!(format!("{secret:?}"), "WebhookSecret");
    for bad in [
        "",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_c2hvcnQ=",
        "whsec_?",
    ] {
        assert!(WebhookSecret::parse(bad).is_none(), "{bad}");
    }
}

#[test]
fn batches_are_signed_and_each_event_comes_once() {
    let server = Server::start(vec![Some("204 No Content")]);
    let (findings, view) = run(&server, 25);
    assert_eq!(findings.stop(soon()), 0);
    let got = server.got();
    got.iter().for_each(check_signature);
    assert!(got.iter().all(|g| uids(g).len() <= 10));
    let all: Vec<u64> = got.iter().flat_map(uids).collect();
    assert_eq!(all, (1..=25).collect::<Vec<_>>());
    let ids: BTreeSet<_> = got.iter().map(|g| &g.id).collect();
    assert_eq!(ids.len(), got.len());
    let c = counts(&view, "hook");
    adds_up(&c);
    assert_eq!(c.of(Outcome::Delivered), 25);
}

#[test]
fn a_receiver_in_trouble_is_asked_again_with_the_same_id() {
    let server = Server::start(vec![Some("500 Oops"), None, Some("200 OK")]);
    let (findings, view) = run(&server, 3);
    wait_for("delivered", || {
        counts(&view, "hook").of(Outcome::Delivered) == 3
    });
    findings.stop(soon());
    let got = server.got();
    assert!(got.len() >= 3, "{}", got.len());
    got.iter().for_each(check_signature);
    assert!(
        got.iter()
            .all(|g| g.id == got[0].id && g.body == got[0].body)
    );
    let c = counts(&view, "hook");
    adds_up(&c);
    assert!(c.retries >= 2 && c.works);
}

#[test]
fn one_that_stays_in_trouble_is_given_up_after_so_many_tries() {
    let server = Server::start(vec![Some("503 Busy")]);
    let (findings, view) = run(&server, 3);
    wait_for("given up", || {
        counts(&view, "hook").of(Outcome::Failed) == 3
    });
    assert_eq!(server.got().len(), 3);
    findings.stop(soon());
    let c = counts(&view, "hook");
    adds_up(&c);
    assert_eq!((c.retries, c.works), (2, false));
}

#[test]
fn one_that_wants_no_more_gets_no_more_until_it_is_configured_anew() {
    let server = Server::start(vec![Some("410 Gone")]);
    let (mut findings, view) = run(&server, 3);
    let tap = findings.tap();
    wait_for("over", || counts(&view, "hook").of(Outcome::Disabled) == 3);
    tap.tell_call(flagged(4));
    wait_for("the fourth", || {
        counts(&view, "hook").of(Outcome::Disabled) == 4
    });
    assert_eq!(server.got().len(), 1);
    let mut other = server.way();
    other.tries = 4;
    let other = sink("hook", Way::Webhook(Box::new(other)));
    findings.reload(&settings(vec![other])).unwrap();
    tap.tell_call(flagged(5));
    wait_for("asked again", || server.got().len() == 2);
    findings.stop(soon());
    adds_up(&counts(&view, "hook"));
}

#[test]
fn the_end_waits_for_one_that_hangs_only_so_long() {
    let server = Server::start(vec![None]);
    let (findings, view) = run(&server, 25);
    wait_for("asked", || !server.got().is_empty());
    let began = Instant::now();
    let unsent = findings.stop(Instant::now() + Duration::from_millis(400));
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    let c = counts(&view, "hook");
    adds_up(&c);
    assert!(unsent > 0);
    assert_eq!(c.of(Outcome::Delivered), 0);
}

#[test]
fn without_tls_only_this_host_is_spoken_to() {
    for good in [
        "https://noc.example.net/a",
        "http://127.0.0.1:8080/a",
        "http://[::1]/a",
        "http://localhost/",
    ] {
        assert!(WebhookUrl::parse(good).is_some(), "{good}");
    }
    for bad in [
        "http://noc.example.net/a",
        "http://192.0.2.1/",
        "ftp://127.0.0.1/",
        "https://",
        "noc.example.net",
    ] {
        assert!(WebhookUrl::parse(bad).is_none(), "{bad}");
    }
}

/// A server with a certificate of an authority of its own, by name.
fn tls_server() -> (Server, Vec<u8>) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use tokio_rustls::rustls::crypto::ring;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let leaf = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&leaf, &issuer).unwrap();
    let chain = vec![CertificateDer::from(certificate.der().to_vec())];
    let key = PrivateKeyDer::try_from(leaf.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let got = Arc::<Mutex<Vec<Got>>>::default();
    let seen = got.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (seen, config) = (seen.clone(), config.clone());
            std::thread::spawn(move || {
                let tls = ServerConnection::new(config).unwrap();
                let answers = Mutex::new(vec![Some("200 OK")]);
                let _ = serve(StreamOwned::new(tls, stream.unwrap()), &seen, &answers);
            });
        }
    });
    (Server { at, got }, pem.into_bytes())
}

#[test]
fn over_tls_only_a_receiver_whose_authority_is_trusted_gets_anything() {
    let (server, pem) = tls_server();
    let way = |roots| {
        let mut way = server.way();
        let url = format!("https://localhost:{}/hook", server.at.port());
        way.to = WebhookUrl::parse(&url).unwrap();
        way.timeout = Duration::from_secs(10);
        way.tries = 1;
        way.roots = roots;
        Way::Webhook(Box::new(way))
    };
    let sinks = vec![sink("trusted", way(Some(pem))), sink("stranger", way(None))];
    let findings = Findings::start(&settings(sinks)).unwrap();
    let (tap, view) = (findings.tap(), findings.view());
    (1..=5).for_each(|uid| tap.tell_call(flagged(uid)));
    wait_for("both", || {
        counts(&view, "trusted").of(Outcome::Delivered) == 5
            && counts(&view, "stranger").of(Outcome::Failed) == 5
    });
    findings.stop(soon());
    let got = server.got();
    got.iter().for_each(check_signature);
    assert_eq!(
        got.iter().flat_map(uids).collect::<Vec<_>>(),
        [1, 2, 3, 4, 5]
    );
}
